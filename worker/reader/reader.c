/* reader.c - see s4rec-reader.h.
 *
 *     no handle ── build ──▶ building: rows go into `next` ── complete ──▶ following: rows wait for their version record, then go into `now`
 *         ▲                       │ an error                                   │ another space, counts that do not fit, a pointer, an error
 *         └───────────────────────┴────────────────────────────────────────────┘
 *
 * One way leads out of everything that does not fit: a new view from offset 0, beside the one that is served, until it is complete. Rows of a new
 * space stand before the version record that tells of it: hence they wait, or they would get into the view that they do not belong to.
 *
 * Compaction may leave a follower that lags a version record whose rows have gone since; then counts do not fit although nothing was missed. Such an
 * alarm costs reading the topic again, no more: a build counts at the end of the topic, which is not compacted.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec/embedding.h"
#include "topics/topics.h"
#include "worker/clock.h"
#include "worker/reader/handle.h"
#include "worker/reader/rows.h"

#define D_MAX 65536
#define OFFSETS_MAX 65536
#define MESSAGES_PER_POLL 50000
#define PENDING_BYTES_MAX ((size_t)256 << 20) /* of all partitions; a transaction that is larger is read as a new view */
#define PENDING_BYTES_KEPT ((size_t)1 << 20)  /* a partition's buffer of this size is kept for the next one */
#define BUILD_EVERY_MS 1000
#define POINTER_MS 10000
#define SETTLE_POLLS 20
#define SETTLE_MS 50
#define BAD_TOLD 5

static const char *const kind_name[ROW_VECTORS] = { "item", "user", "prototype" };

/* A record that waits for the version record behind it; key and value follow. */
struct waiting {
	int64_t offset;
	uint32_t key_len, len;
	int deleted;
};

struct part {
	int64_t end, position;
	uint64_t counted[ROW_VECTORS]; /* what the newest version record says ... */
	uint64_t found[ROW_VECTORS];   /* ... and what was here when it came: it stands behind the rows that it counts */
	uint64_t version;              /* 0 = none yet */
	char space[64];
	int at_end;
	int amid;                      /* rows of a transaction are in the view that is built, and not yet its version record */
	char *pending;                 /* (pending_size) waiting records */
	size_t pending_len, pending_size;
};

struct s4rec_reader {
	struct handles handles;
	char *home;                   /* prefix */
	char *wanted;                 /* the prefix that the newest pointer names; the home itself where there is none */
	int stay, keep;
	void (*on_event)(void *ctx, const struct s4rec_event *e);
	void *ctx;

	rd_kafka_t *rk;               /* NULL: a view must be begun */
	char topic[TOPIC_NAME_MAX], home_topic[TOPIC_NAME_MAX];
	rd_kafka_t *watch;            /* reads the home's pointer while that leads away */
	int watch_end;
	struct part *parts;
	int part_count, parts_at_end;
	struct rows *next, *now;      /* being built, served */
	char rebuild[256];            /* why a new view must be begun; "" = it need not */
	int64_t built_ms;
	size_t pending_bytes;
	struct s4rec_version newest;  /* that was read */
	uint64_t served_version;      /* of `now`, and its newest record, while another one is built */
	struct s4rec_version served_newest;
	uint64_t records;
	size_t bad;                   /* records that could not be read */
	float *vec;                   /* (D_MAX) */
	int64_t *offsets;             /* (OFFSETS_MAX) */
};

static void __attribute__((format(printf, 2, 3))) must_build(struct s4rec_reader *r, const char *fmt, ...)
{
	va_list args;

	if (r->rebuild[0]) /* the first cause */
		return;
	va_start(args, fmt);
	vsnprintf(r->rebuild, sizeof r->rebuild, fmt, args);
	va_end(args);
}

static void tell(const struct s4rec_reader *r, struct s4rec_event e)
{
	if (r->on_event)
		r->on_event(r->ctx, &e);
}

static void bad_record(struct s4rec_reader *r, int32_t partition, int64_t offset, const char *why)
{
	if (r->bad++ < BAD_TOLD)
		handles_say(&r->handles, S4REC_WARNING, "view unreadable topic=%s partition=%d offset=%lld: %s", r->topic, partition, (long long)offset, why);
}

static struct rows *view(const struct s4rec_reader *r)
{
	return r->now ? r->now : r->next;
}

static uint64_t smallest_version(const struct s4rec_reader *r)
{
	uint64_t v = r->part_count ? r->parts[0].version : 0;

	for (int p = 1; p < r->part_count; p++)
		if (r->parts[p].version < v)
			v = r->parts[p].version;
	return v;
}

/* --- a new view ------------------------------------------------------------------------------------------------------- */

static void drop_parts(struct s4rec_reader *r)
{
	for (int p = 0; p < r->part_count; p++)
		free(r->parts[p].pending);
	free(r->parts);
	r->parts = NULL;
	r->part_count = r->parts_at_end = 0;
	r->pending_bytes = 0;
}

/* What the view says of itself that is served on. */
static void keep_served(struct s4rec_reader *r)
{
	if (!r->now || !r->rk || r->next)
		return;
	r->served_version = smallest_version(r);
	r->served_newest = r->newest;
}

static void drop_handle(struct s4rec_reader *r)
{
	handle_free(r->rk);
	r->rk = NULL;
	rows_free(r->next);
	r->next = NULL;
}

/* The ends as everybody's writes are seen: a read_committed handle stops at any open transaction. */
static int take_ends(struct s4rec_reader *r)
{
	rd_kafka_t *eye = NULL;
	int64_t low;
	int x = handle_new(&eye, &r->handles, 0);

	for (int p = 0; x == 0 && p < r->part_count; p++) {
		struct part *part = &r->parts[p];
		rd_kafka_resp_err_t err = base_watermarks(eye, r->topic, p, &low, &part->end);

		if (err) {
			handles_say(&r->handles, S4REC_ERROR, "%s [%d]: its end cannot be read: %s", r->topic, p, rd_kafka_err2str(err));
			x = -EHOSTUNREACH;
		} else if (part->end == low || part->end == 0) {
			part->at_end = 1;
			r->parts_at_end++;
		}
	}
	handle_free(eye);
	return x;
}

static int find_parts(struct s4rec_reader *r)
{
	int n = 0, x = handle_partitions(r->rk, &r->handles, r->topic, &n);

	if (x < 0)
		return x;
	drop_parts(r);
	r->parts = calloc((size_t)n, sizeof *r->parts);
	if (r->parts == NULL)
		return -ENOMEM;
	r->part_count = n;
	return rows_new(&r->next, n, r->keep);
}

/* The home's partition with the pointer, from its beginning. */
static int open_watch(struct s4rec_reader *r)
{
	int n, x = handle_new(&r->watch, &r->handles, 1);

	r->watch_end = 0;
	if (x == 0)
		x = handle_partitions(r->watch, &r->handles, r->home_topic, &n);
	if (x == 0)
		x = handle_assign(r->watch, &r->handles, r->home_topic, partition_of(POINTER_KEY, strlen(POINTER_KEY), n), n);
	return x;
}

/* Where the home itself is read its pointer comes with its rows. */
static int set_watch(struct s4rec_reader *r)
{
	if (strcmp(r->topic, r->home_topic) == 0) {
		handle_free(r->watch);
		r->watch = NULL;
	} else if (r->watch == NULL) {
		return open_watch(r);
	}
	return 0;
}

static int begin(struct s4rec_reader *r, const char *why)
{
	int64_t early_ms = r->built_ms + BUILD_EVERY_MS - monotonic_ms();
	int x;

	if (r->built_ms && early_ms > 0) /* what is wrong may be so for a while */
		usleep((useconds_t)early_ms * 1000);
	r->built_ms = monotonic_ms();
	topic_name(r->topic, sizeof r->topic, r->wanted, TOPIC_EMBEDDINGS);
	memset(&r->newest, 0, sizeof r->newest);
	r->bad = 0;
	x = set_watch(r);
	if (x == 0)
		x = handle_new(&r->rk, &r->handles, 1);
	if (x == 0)
		x = find_parts(r);
	if (x == 0)
		x = take_ends(r);
	if (x == 0)
		x = handle_assign(r->rk, &r->handles, r->topic, -1, r->part_count);
	if (x < 0) {
		drop_handle(r);
		return x;
	}
	tell(r, (struct s4rec_event){ .type = S4REC_BUILD, .topic = r->topic, .why = why });
	return 0;
}

static int build(struct s4rec_reader *r)
{
	char why[sizeof r->rebuild];
	int first = r->now == NULL && r->built_ms == 0;

	snprintf(why, sizeof why, "%s", r->rebuild[0] ? r->rebuild : first ? "first view" : "an error before");
	r->rebuild[0] = '\0';
	if (!first)
		handles_say(&r->handles, S4REC_WARNING, "%s is read anew from its beginning: %s", r->topic, why);
	keep_served(r);
	drop_handle(r);
	return begin(r, why);
}

/* --- records -------------------------------------------------------------------------------------------------------- */

static struct s4rec_version version_out(const struct version *v, int32_t partition)
{
	struct s4rec_version o = { .version = v->version, .step = v->step, .watermark_ms = v->watermark_ms, .published_ms = v->published_ms,
		.freshness_p50_ms = v->freshness_p50_ms, .freshness_p99_ms = v->freshness_p99_ms, .offsets = v->offsets, .offset_count = v->offset_count,
		.partition = partition, .items = v->items, .users = v->users, .prototypes = v->prototypes, .total_items = v->total_items,
		.total_users = v->total_users, .total_prototypes = v->total_prototypes, .oldest_user_steps = v->oldest_user_steps, .gaps = v->gaps,
		.gap_base = v->gap_base, .gap_step = v->gap_step, .dimension = v->dimension, .held = v->held };

	memcpy(o.model_id, v->model_id, sizeof o.model_id);
	memcpy(o.space_id, v->space_id, sizeof o.space_id);
	memcpy(o.numeric_id, v->numeric_id, sizeof o.numeric_id);
	memcpy(o.held_why, v->held_why, sizeof o.held_why);
	return o;
}

static int set_row(struct s4rec_reader *r, struct rows *rows, int32_t partition, int64_t offset, enum row_kind kind, const char *id, size_t id_len,
                   const void *value, size_t len)
{
	struct embedding e;
	size_t before = rows_dimension(rows);
	int x, new_width, good = embedding_decode(&e, r->vec, D_MAX, value, len) == 0;

	if (!good)
		bad_record(r, partition, offset, "not a vector");
	x = rows_set(rows, kind, id, id_len, partition, good ? &e : NULL, &new_width);
	if (x < 0)
		return x;
	if (new_width)
		handles_say(&r->handles, S4REC_WARNING, "view width_changed from=%zu to=%zu", before, e.D);
	if (good)
		tell(r, (struct s4rec_event){ .type = S4REC_ROW, .row = &(struct s4rec_row){ .kind = (enum s4rec_kind)kind, .id = id, .id_len = id_len,
			.vector = e.vector, .dimension = e.D, .version = e.version, .event_time_ms = e.event_time_ms, .generation = e.generation,
			.prototype = e.prototype } });
	return 0;
}

static int take_row(struct s4rec_reader *r, struct rows *rows, int32_t partition, int64_t offset, const void *key, size_t key_len, const void *value, size_t len)
{
	enum row_kind kind;
	const char *id;
	size_t id_len;

	row_key_parse(&kind, &id, &id_len, key, key_len); /* was looked at when it came */
	if (value)
		return set_row(r, rows, partition, offset, kind, id, id_len, value, len);
	rows_delete(rows, kind, id, id_len);
	tell(r, (struct s4rec_event){ .type = S4REC_ROW, .row = &(struct s4rec_row){ .kind = (enum s4rec_kind)kind, .id = id, .id_len = id_len, .prototype = -1 } });
	return 0;
}

/* --- records that wait ------------------------------------------------------------------------------------------------ */

static int wait_for_version(struct s4rec_reader *r, struct part *part, const rd_kafka_message_t *m)
{
	struct waiting w = { .offset = m->offset, .key_len = (uint32_t)m->key_len, .len = (uint32_t)m->len, .deleted = m->payload == NULL };
	size_t need = sizeof w + m->key_len + m->len;
	char *to;

	if (r->pending_bytes + need > PENDING_BYTES_MAX) {
		must_build(r, "a transaction of more than %zu MB", PENDING_BYTES_MAX >> 20);
		return 0;
	}
	if (part->pending_len + need > part->pending_size) {
		size_t size = 2 * part->pending_size > part->pending_len + need ? 2 * part->pending_size : part->pending_len + need + 4096;

		to = realloc(part->pending, size);
		if (to == NULL)
			return -ENOMEM;
		part->pending = to;
		part->pending_size = size;
	}
	to = part->pending + part->pending_len;
	memcpy(to, &w, sizeof w);
	memcpy(to + sizeof w, m->key, m->key_len);
	if (m->len)
		memcpy(to + sizeof w + m->key_len, m->payload, m->len);
	part->pending_len += need;
	r->pending_bytes += need;
	return 0;
}

static int take_waiting(struct s4rec_reader *r, struct part *part, int32_t partition)
{
	struct waiting w;
	int x = 0;

	for (size_t at = 0; x == 0 && at < part->pending_len; at += sizeof w + w.key_len + w.len) {
		const char *key = part->pending + at + sizeof w;

		memcpy(&w, part->pending + at, sizeof w);
		x = take_row(r, r->now, partition, w.offset, key, w.key_len, w.deleted ? NULL : key + w.key_len, w.len);
	}
	r->pending_bytes -= part->pending_len;
	part->pending_len = 0;
	if (part->pending_size > PENDING_BYTES_KEPT) {
		free(part->pending);
		part->pending = NULL;
		part->pending_size = 0;
	}
	return x;
}

/* --- version records ---------------------------------------------------------------------------------------------------- */

/* Does it go on where the view that is served stands? */
static int goes_on(struct s4rec_reader *r, const struct part *part, const struct version *v, int32_t partition)
{
	if (strcmp(part->space, v->space_id) != 0)
		must_build(r, "space %s follows %s", v->space_id, part->space);
	else if (v->version < part->version)
		must_build(r, "version %llu follows %llu in partition %d: another topic of that name", (unsigned long long)v->version,
		           (unsigned long long)part->version, partition);
	return !r->rebuild[0];
}

static void compare(struct s4rec_reader *r, const struct part *part, int32_t partition)
{
	for (int k = 0; k < ROW_VECTORS; k++)
		if (part->counted[k] != part->found[k])
			must_build(r, "partition %d has %llu %s rows at version %llu, which counts %llu: records were missed", partition,
			           (unsigned long long)part->found[k], kind_name[k], (unsigned long long)part->version, (unsigned long long)part->counted[k]);
}

static int take_version(struct s4rec_reader *r, const rd_kafka_message_t *m)
{
	struct part *part = &r->parts[m->partition];
	struct s4rec_version told;
	struct version v;
	int x;

	if (m->payload == NULL || version_decode(&v, r->offsets, OFFSETS_MAX, m->payload, m->len) < 0) {
		bad_record(r, m->partition, m->offset, "not a version record");
		return 0;
	}
	if (!r->next) {
		if (!goes_on(r, part, &v, m->partition))
			return 0;
		x = take_waiting(r, part, m->partition);
		if (x < 0)
			return x;
	}
	part->amid = 0;
	part->version = v.version;
	memcpy(part->space, v.space_id, sizeof part->space);
	part->counted[ROW_ITEM] = v.items;
	part->counted[ROW_USER] = v.users;
	part->counted[ROW_PROTOTYPE] = v.prototypes;
	memcpy(part->found, rows_live(r->next ? r->next : r->now, m->partition), sizeof part->found);
	told = version_out(&v, m->partition);
	tell(r, (struct s4rec_event){ .type = S4REC_VERSION, .version = &told });
	if (v.version >= r->newest.version) {
		r->newest = told;
		r->newest.offsets = NULL;
		r->newest.offset_count = 0;
	}
	if (!r->next)
		compare(r, part, m->partition);
	return 0;
}

/* --- the pointer -------------------------------------------------------------------------------------------------------- */

static int is_pointer(const rd_kafka_message_t *m)
{
	return m->key_len == strlen(POINTER_KEY) && memcmp(m->key, POINTER_KEY, m->key_len) == 0;
}

static int take_pointer(struct s4rec_reader *r, const rd_kafka_message_t *m)
{
	char name[TOPIC_NAME_MAX], *to = m->payload && m->len ? strndup(m->payload, m->len) : strdup(r->home);

	if (to == NULL)
		return -ENOMEM;
	if (topic_name(name, sizeof name, to, TOPIC_EMBEDDINGS) < 0) {
		handles_say(&r->handles, S4REC_WARNING, "the pointer at offset %lld of %s [%d] is no prefix", (long long)m->offset, r->home_topic, m->partition);
		free(to);
		return 0;
	}
	free(r->wanted);
	r->wanted = to;
	return 0;
}

static void follow_pointer(struct s4rec_reader *r)
{
	char name[TOPIC_NAME_MAX];

	topic_name(name, sizeof name, r->wanted, TOPIC_EMBEDDINGS);
	if (strcmp(name, r->topic) == 0 || (r->watch ? !r->watch_end : r->parts_at_end < r->part_count)) /* a newer one may lie behind */
		return;
	handles_say(&r->handles, S4REC_INFO, "readers of %s are led to %s (s4rec promote; --pointer false stays)", r->home, r->wanted);
	must_build(r, "readers are led to %s", r->wanted);
}

/* What of the pointer has come; *ret_any 0: nothing. */
static int poll_watch(struct s4rec_reader *r, int timeout_ms, int *ret_any)
{
	rd_kafka_message_t *m = rd_kafka_consumer_poll(r->watch, timeout_ms);
	int x = 0;

	*ret_any = m != NULL;
	if (m == NULL)
		return 0;
	if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
		r->watch_end = 1;
	else if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
		x = is_pointer(m) ? take_pointer(r, m) : 0;
	else if (base_read_error(m->err) != BASE_PASSES) {
		handles_say(&r->handles, S4REC_ERROR, "%s [%d] with the pointer of readers cannot be read: %s", r->home_topic, m->partition, rd_kafka_message_errstr(m));
		x = -EIO;
	}
	rd_kafka_message_destroy(m);
	return x;
}

/* At the start: the newest one, before anything is read in vain. After an error, too: what was read may be gone because readers are led elsewhere by now. */
static int find_pointer(struct s4rec_reader *r)
{
	int64_t end_ms = monotonic_ms() + POINTER_MS;
	char *home = strdup(r->home);
	int any, x = home ? open_watch(r) : -ENOMEM;

	if (home) {
		free(r->wanted);
		r->wanted = home;
	}
	while (x == 0 && !r->watch_end && monotonic_ms() < end_ms)
		x = poll_watch(r, 100, &any);
	if (x == 0 && !r->watch_end) {
		handles_say(&r->handles, S4REC_ERROR, "%s cannot be read to its end", r->home_topic);
		x = -EHOSTUNREACH;
	}
	if (x == 0 && strcmp(r->wanted, r->home))
		handles_say(&r->handles, S4REC_INFO, "readers of %s are led to %s (s4rec promote; --pointer false stays)", r->home, r->wanted);
	return x;
}

/* --- poll --------------------------------------------------------------------------------------------------------------- */

static int take(struct s4rec_reader *r, const rd_kafka_message_t *m)
{
	enum row_kind kind;
	const char *id;
	size_t id_len;

	if (is_pointer(m)) {
		if (!r->stay && strcmp(r->topic, r->home_topic) == 0)
			return take_pointer(r, m);
		return 0;
	}
	if (m->key == NULL || row_key_parse(&kind, &id, &id_len, m->key, m->key_len) < 0) {
		bad_record(r, m->partition, m->offset, "a key of no known kind");
		return 0;
	}
	if (kind == ROW_MODEL)
		return take_version(r, m);
	if (r->next) {
		r->parts[m->partition].amid = 1;
		return take_row(r, r->next, m->partition, m->offset, m->key, m->key_len, m->payload, m->len);
	}
	return wait_for_version(r, &r->parts[m->partition], m);
}

static void reached(struct s4rec_reader *r, int32_t partition, int64_t position)
{
	struct part *p = &r->parts[partition];

	p->position = position;
	if (!p->at_end && position >= p->end) {
		p->at_end = 1;
		r->parts_at_end++;
	}
}

static int read_error(struct s4rec_reader *r, const rd_kafka_message_t *m)
{
	const char *text = rd_kafka_message_errstr(m);

	switch (base_read_error(m->err)) {
	case BASE_PASSES:
		handles_say(&r->handles, S4REC_WARNING, "%s [%d]: %s; trying on", r->topic, m->partition, text);
		return 0;
	case BASE_OFFSET_GONE:
		must_build(r, "partition %d no longer has what comes next: %s", m->partition, text);
		return 0;
	case BASE_TOPIC_GONE:
		handles_say(&r->handles, S4REC_ERROR, "%s [%d] is gone: %s; was the topic deleted?", r->topic, m->partition, text);
		return -ENOENT;
	case BASE_DENIED:
		handles_say(&r->handles, S4REC_ERROR, "%s [%d]: %s; does this user have the right to read it?", r->topic, m->partition, text);
		return -EACCES;
	default:
		handles_say(&r->handles, S4REC_ERROR, "%s [%d] at offset %lld cannot be read: %s (%s)", r->topic, m->partition, (long long)m->offset, text, rd_kafka_err2name(m->err));
		return -EIO;
	}
}

static int poll_one(struct s4rec_reader *r, int timeout_ms, int *ret_any)
{
	rd_kafka_message_t *m = rd_kafka_consumer_poll(r->rk, timeout_ms);
	int x = 0;

	*ret_any = m != NULL;
	if (m == NULL)
		return 0;
	if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		reached(r, m->partition, m->offset);
	} else if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
		x = take(r, m);
		r->records++;
		reached(r, m->partition, m->offset + 1);
	} else {
		x = read_error(r, m);
	}
	rd_kafka_message_destroy(m);
	return x;
}

/* Complete: "" in why. */
static void look(const struct s4rec_reader *r, char *why, size_t size)
{
	for (int p = 0; p < r->part_count; p++)
		if (r->parts[p].version == 0) {
			snprintf(why, size, "no version record in partition %d of %s: no worker has published there yet", p, r->topic);
			return;
		}
	for (int p = 0; p < r->part_count; p++)
		for (int k = 0; k < ROW_VECTORS; k++)
			if (r->parts[p].counted[k] != r->parts[p].found[k]) {
				snprintf(why, size, "partition %d of %s has %llu %s rows, its version record %llu counts %llu", p, r->topic,
				         (unsigned long long)r->parts[p].found[k], kind_name[k], (unsigned long long)r->parts[p].version,
				         (unsigned long long)r->parts[p].counted[k]);
				return;
			}
	if (rows_odd(r->next)) {
		snprintf(why, size, "%zu rows of %s are not %zu wide", rows_odd(r->next), r->topic, rows_dimension(r->next));
		return;
	}
	for (int p = 0; p < r->part_count; p++)
		if (!r->parts[p].at_end) {
			snprintf(why, size, "partition %d of %s was read to offset %lld of %lld", p, r->topic, (long long)r->parts[p].position, (long long)r->parts[p].end);
			return;
		}
	for (int p = 0; p < r->part_count; p++)
		if (r->parts[p].amid) {
			snprintf(why, size, "partition %d of %s was read amid a transaction behind version %llu", p, r->topic, (unsigned long long)r->parts[p].version);
			return;
		}
	for (int p = 1; p < r->part_count; p++)
		if (strcmp(r->parts[p].space, r->parts[0].space) != 0) {
			snprintf(why, size, "partition %d of %s is in space %s, partition 0 in %s", p, r->topic, r->parts[p].space, r->parts[0].space);
			return;
		}
	why[0] = '\0';
}

static void switch_if_complete(struct s4rec_reader *r)
{
	char why[512];

	look(r, why, sizeof why);
	if (why[0])
		return;
	rows_free(r->now);
	r->now = r->next;
	r->next = NULL;
	tell(r, (struct s4rec_event){ .type = S4REC_COMPLETE });
}

/* Until nothing more is here, a view is complete, or must be begun. */
static int poll_some(struct s4rec_reader *r, int timeout_ms)
{
	int x = 0, any = 1, was_building = r->next != NULL;

	for (int n = 0; x == 0 && any && n < MESSAGES_PER_POLL && !r->rebuild[0] && was_building == (r->next != NULL); n++) {
		x = poll_one(r, n ? 0 : timeout_ms, &any);
		if (x == 0 && r->next && r->parts_at_end == r->part_count)
			switch_if_complete(r);
	}
	return x;
}

static int drain_watch(struct s4rec_reader *r)
{
	int x = 0, any = r->watch != NULL;

	for (int n = 0; x == 0 && any && n < MESSAGES_PER_POLL; n++)
		x = poll_watch(r, 0, &any);
	return x;
}

int s4rec_reader_poll(struct s4rec_reader *r, int timeout_ms)
{
	int x = drain_watch(r);

	if (x == 0 && r->rk == NULL && !r->stay && r->watch == NULL)
		x = find_pointer(r);
	if (x == 0 && r->rk == NULL)
		x = build(r);
	if (x == 0)
		x = poll_some(r, timeout_ms);
	if (x == 0 && !r->stay)
		follow_pointer(r);
	if (x == 0 && r->rebuild[0])
		x = build(r);
	handles_tell(&r->handles);
	if (x == -ENOMEM)
		handles_say(&r->handles, S4REC_ERROR, "out of memory at %zu rows of %s",
		            s4rec_reader_count(r, S4REC_ITEM) + s4rec_reader_count(r, S4REC_USER), r->topic);
	if (x < 0) { /* all of it anew with the next call */
		keep_served(r);
		drop_handle(r);
		handle_free(r->watch);
		r->watch = NULL;
	}
	return x;
}

int s4rec_reader_bootstrap(struct s4rec_reader *r, int (*stop)(void *ctx), void *ctx)
{
	int x = 0;

	while (x == 0 && !r->now && !(r->rk && r->parts_at_end == r->part_count) && !(stop && stop(ctx)))
		x = s4rec_reader_poll(r, 100);
	/* a transaction becomes visible partition by partition */
	for (int tries = 0; x == 0 && !r->now && tries < SETTLE_POLLS && !(stop && stop(ctx)) && smallest_version(r); tries++)
		x = s4rec_reader_poll(r, SETTLE_MS);
	return x < 0 || r->now ? x : -EAGAIN;
}

/* --- life ----------------------------------------------------------------------------------------------------------- */

int s4rec_reader_open(struct s4rec_reader **ret, const struct s4rec_reader_options *o)
{
	struct s4rec_reader *r = calloc(1, sizeof *r);
	const char *prefix = o->prefix ? o->prefix : "s4rec";
	int x;

	if (r == NULL)
		return -ENOMEM;
	x = handles_init(&r->handles, o);
	r->stay = o->stay;
	r->keep = !o->count_only;
	r->on_event = o->on_event;
	r->ctx = o->ctx;
	r->home = strdup(prefix);
	r->wanted = strdup(prefix);
	r->vec = malloc(D_MAX * sizeof *r->vec);
	r->offsets = malloc(OFFSETS_MAX * sizeof *r->offsets);
	if (x == 0 && (!r->home || !r->wanted || !r->vec || !r->offsets))
		x = -ENOMEM;
	if (x == 0 && topic_name(r->home_topic, sizeof r->home_topic, prefix, TOPIC_EMBEDDINGS) < 0) {
		handles_say(&r->handles, S4REC_ERROR, "the prefix is too long");
		x = -EINVAL;
	}
	if (x == 0 && !r->stay)
		x = find_pointer(r);
	if (x == 0)
		x = build(r);
	if (x < 0) {
		s4rec_reader_close(r);
		return x;
	}
	*ret = r;
	return 0;
}

void s4rec_reader_close(struct s4rec_reader *r)
{
	if (r == NULL)
		return;
	drop_handle(r);
	handle_free(r->watch);
	drop_parts(r);
	rows_free(r->now);
	handles_release(&r->handles);
	free(r->home);
	free(r->wanted);
	free(r->vec);
	free(r->offsets);
	free(r);
}

/* --- look ----------------------------------------------------------------------------------------------------------- */

int s4rec_reader_ready(const struct s4rec_reader *r)
{
	return r->now != NULL;
}

void s4rec_reader_missing(const struct s4rec_reader *r, char *ret, size_t size)
{
	if (r->next)
		look(r, ret, size);
	else
		snprintf(ret, size, "%s", r->rk ? "" : "it has not been begun, after an error");
}

uint64_t s4rec_reader_version(const struct s4rec_reader *r, const struct s4rec_version **ret)
{
	int served_before = r->now && (r->next || !r->rk);

	if (ret)
		*ret = served_before ? &r->served_newest : &r->newest;
	return served_before ? r->served_version : smallest_version(r);
}

int s4rec_reader_progress(const struct s4rec_reader *r, uint64_t *ret_records)
{
	if (ret_records)
		*ret_records = r->records;
	return r->rk && r->parts_at_end == r->part_count;
}

size_t s4rec_reader_count(const struct s4rec_reader *r, enum s4rec_kind kind)
{
	return view(r) ? rows_count(view(r), (enum row_kind)kind) : 0;
}

size_t s4rec_reader_dimension(const struct s4rec_reader *r)
{
	return view(r) ? rows_dimension(view(r)) : 0;
}

size_t s4rec_reader_find(const struct s4rec_reader *r, enum s4rec_kind kind, const char *id, size_t id_len)
{
	return view(r) ? rows_find(view(r), (enum row_kind)kind, id, id_len) : SIZE_MAX;
}

void s4rec_reader_get(const struct s4rec_reader *r, enum s4rec_kind kind, size_t i, struct s4rec_row *ret, float *vector)
{
	rows_get(view(r), (enum row_kind)kind, i, ret, vector);
}

int s4rec_reader_top(const struct s4rec_reader *r, const struct s4rec_query *q, struct s4rec_hit *hits, size_t k, size_t *ret_count)
{
	*ret_count = 0;
	if (!r->keep)
		return -EINVAL;
	if (view(r))
		*ret_count = rows_top(view(r), q, hits, k);
	return 0;
}
