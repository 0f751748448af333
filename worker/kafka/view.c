/* view.c - see view.h.
 *
 * Ids live in an idmap per kind (it gives stable row numbers); rows live densely, so that a kind is one matrix: a deleted
 * row's place is taken by the last one. Live rows are counted per partition, and compared with the partition's version
 * record at the moment that record is read: it stands behind the rows that it counts.
 */
#include "worker/kafka/view.h"
#include "worker/kafka/pointer.h"
#include "model/idmap.h"
#include "topics/topics.h"
#include "worker/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#define D_MAX 65536
#define MESSAGES_PER_POLL 50000
#define KINDS ROW_MODEL /* the kinds that have rows: item, user, prototype */

static const char *const kind_name[KINDS] = { "item", "user", "prototype" };

struct row {
	uint32_t number;   /* in the idmap */
	int32_t prototype;
	int32_t partition;
	uint32_t D;        /* 0 = its bytes could not be decoded */
};

struct kind {
	struct idmap *ids;
	uint32_t *place;   /* (idmap rows) dense index of a row number */
	size_t place_size;
	struct row *rows;  /* (count) */
	float *vectors;    /* (count, D) when kept */
	size_t count, size;
};

struct part {
	int64_t end, position;
	uint64_t live[KINDS];
	uint64_t counted[KINDS]; /* what the newest version record says ... */
	uint64_t found[KINDS];   /* ... and what was here when it came */
	uint64_t version;        /* 0 = none yet */
	int at_end;
};

struct view {
	rd_kafka_t *rk;
	char topic[TOPIC_NAME_MAX];
	struct part *parts;
	int part_count, parts_at_end;
	uint64_t records;
	int keep;
	view_cb *cb;
	void *ctx;
	size_t D;               /* of the matrix */
	size_t other_width;     /* rows of another width than D */
	size_t bad;             /* records that could not be read */
	struct kind kinds[KINDS];
	float *vec;             /* (D_MAX) */
	int64_t *offsets;       /* (offsets_max) of a version record */
	struct version newest;
	size_t offsets_max;
};

static int fail(const char *what, const char *why)
{
	log_error("%s: %s", what, why);
	return EX_UNAVAILABLE;
}

/* --- start ---------------------------------------------------------------------------------------------------------- */

/* The ends as everybody's writes are seen: a read_committed handle stops at any open transaction. */
static int take_ends(struct view *v, const struct config *c)
{
	rd_kafka_t *rk = NULL;
	int64_t low;
	int p, r;

	r = client_new(&rk, c, CLIENT_CONSUMER_UNCOMMITTED);
	if (r)
		return r;
	for (p = 0; p < v->part_count && r == 0; p++)
		if (client_watermarks(rk, v->topic, p, &low, &v->parts[p].end) < 0)
			r = fail(v->topic, "its end cannot be read");
		else if (v->parts[p].end == low || v->parts[p].end == 0) {
			v->parts[p].at_end = 1;
			v->parts_at_end++;
		}
	client_free(rk);
	return r;
}

static int count_partitions(struct view *v, const struct config *c)
{
	const struct rd_kafka_metadata *md;
	rd_kafka_resp_err_t err;
	int i;

	/* All topics: asking for one that is missing makes the client wait for it. */
	err = rd_kafka_metadata(v->rk, 1, NULL, &md, (int)c->connect_timeout_ms);
	if (err)
		return fail(c->bootstrap_servers, rd_kafka_err2str(err));
	for (i = 0; i < md->topic_cnt; i++)
		if (strcmp(md->topics[i].topic, v->topic) == 0)
			v->part_count = md->topics[i].partition_cnt;
	rd_kafka_metadata_destroy(md);
	if (v->part_count == 0) {
		log_error("topic %s is missing at %s; `s4rec topics create` makes it, `s4rec train` fills it (--topic.prefix)",
		        v->topic, c->bootstrap_servers);
		return EX_CONFIG;
	}
	return 0;
}

static int assign_all(struct view *v)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(v->part_count);
	rd_kafka_resp_err_t err;
	int p;

	for (p = 0; p < v->part_count; p++)
		rd_kafka_topic_partition_list_add(list, v->topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
	err = client_assign(v->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	return err ? fail(v->topic, rd_kafka_err2str(err)) : 0;
}

int view_new(struct view **ret, const struct config *c, int keep, view_cb *cb, void *ctx)
{
	struct view *v = calloc(1, sizeof *v);
	int k, r = EX_SOFTWARE;

	if (v == NULL)
		return fail("view", "out of memory"), EX_SOFTWARE;
	v->keep = keep;
	v->cb = cb;
	v->ctx = ctx;
	v->offsets_max = 65536;
	v->vec = malloc(D_MAX * sizeof *v->vec);
	v->offsets = malloc(v->offsets_max * sizeof *v->offsets);
	if (v->vec == NULL || v->offsets == NULL)
		goto out;
	for (k = 0; k < KINDS; k++)
		if (idmap_new(&v->kinds[k].ids, UINT32_MAX) < 0)
			goto out;
	r = EX_CONFIG;
	if (topic_name(v->topic, sizeof v->topic, c->topic_prefix, TOPIC_EMBEDDINGS) < 0) {
		fail("topic.prefix", "too long");
		goto out;
	}

	r = client_new(&v->rk, c, CLIENT_CONSUMER);
	if (r == 0)
		r = count_partitions(v, c);
	if (r)
		goto out;

	v->parts = calloc((size_t)v->part_count, sizeof *v->parts);
	r = v->parts ? take_ends(v, c) : EX_SOFTWARE;
	if (r == 0)
		r = assign_all(v);
	if (r)
		goto out;
	*ret = v;
	return 0;
out:
	view_free(v);
	return r;
}

void view_free(struct view *v)
{
	int k;

	if (v == NULL)
		return;
	client_free(v->rk);
	for (k = 0; k < KINDS; k++) {
		idmap_free(v->kinds[k].ids);
		free(v->kinds[k].place);
		free(v->kinds[k].rows);
		free(v->kinds[k].vectors);
	}
	free(v->parts);
	free(v->vec);
	free(v->offsets);
	free(v);
}

/* --- rows ----------------------------------------------------------------------------------------------------------- */

static int reserve(struct view *v, struct kind *x, uint32_t number)
{
	if (number >= x->place_size) {
		size_t n = x->place_size ? 2 * x->place_size : 1024;
		uint32_t *p;

		while (n <= number)
			n *= 2;
		p = realloc(x->place, n * sizeof *p);
		if (p == NULL)
			return -ENOMEM;
		x->place = p;
		x->place_size = n;
	}
	if (x->count == x->size) {
		size_t n = x->size ? 2 * x->size : 1024;
		struct row *rows = realloc(x->rows, n * sizeof *rows);
		float *vectors;

		if (rows == NULL)
			return -ENOMEM;
		x->rows = rows;
		if (v->keep && v->D) {
			vectors = realloc(x->vectors, n * v->D * sizeof *vectors);
			if (vectors == NULL)
				return -ENOMEM;
			x->vectors = vectors;
		}
		x->size = n;
	}
	return 0;
}

/* A new width starts the matrices anew: vectors of two widths have nothing to say to each other. The rows that were here
 * count as missing until they come again. */
static int set_width(struct view *v, size_t D)
{
	int k;

	v->other_width = 0;
	for (k = 0; k < KINDS; k++) {
		struct kind *x = &v->kinds[k];

		v->other_width += x->count;
		if (v->keep) {
			free(x->vectors);
			x->vectors = x->size ? calloc(x->size * D, sizeof *x->vectors) : NULL;
			if (x->size && x->vectors == NULL)
				return -ENOMEM;
		}
	}
	if (v->D)
		log_warn("view width_changed from=%zu to=%zu", v->D, D);
	v->D = D;
	return 0;
}

static int row_set(struct view *v, enum row_kind kind, const char *id, size_t id_len, int32_t partition, const struct embedding *e)
{
	struct kind *x = &v->kinds[kind];
	struct row *row;
	uint32_t number;
	size_t i;
	int r, is_new;

	if (e && e->D != v->D) {
		r = set_width(v, e->D);
		if (r < 0)
			return r;
	}
	r = idmap_intern(x->ids, &number, &is_new, id, id_len);
	if (r < 0)
		return r;
	if (is_new) {
		r = reserve(v, x, number);
		if (r < 0) {
			idmap_remove(x->ids, number);
			idmap_reuse(x->ids, number);
			return r;
		}
		x->place[number] = (uint32_t)x->count;
		x->rows[x->count++] = (struct row){ .number = number, .partition = partition };
		v->other_width += v->D != 0; /* until its vector is here */
		v->parts[partition].live[kind]++;
	}
	i = x->place[number];
	row = &x->rows[i];
	if (row->partition != partition) { /* a writer with another partitioner, or partitions were added */
		v->parts[row->partition].live[kind]--;
		v->parts[partition].live[kind]++;
		row->partition = partition;
	}
	if (row->D != v->D && e)
		v->other_width--;
	row->prototype = e ? e->prototype : -1;
	if (e) {
		row->D = (uint32_t)e->D;
		if (v->keep)
			memcpy(x->vectors + i * v->D, e->vector, v->D * sizeof *x->vectors);
	}
	return 0;
}

static void row_delete(struct view *v, enum row_kind kind, const char *id, size_t id_len)
{
	struct kind *x = &v->kinds[kind];
	uint32_t number = idmap_find(x->ids, id, id_len);
	size_t i, last = x->count - 1;

	if (number == UINT32_MAX)
		return;
	i = x->place[number];
	v->parts[x->rows[i].partition].live[kind]--;
	if (x->rows[i].D != v->D)
		v->other_width--;
	if (i != last) {
		x->rows[i] = x->rows[last];
		x->place[x->rows[i].number] = (uint32_t)i;
		if (v->keep && v->D)
			memcpy(x->vectors + i * v->D, x->vectors + last * v->D, v->D * sizeof *x->vectors);
	}
	x->count--;
	idmap_remove(x->ids, number);
	idmap_reuse(x->ids, number);
}

/* --- records -------------------------------------------------------------------------------------------------------- */

static void bad_record(struct view *v, const rd_kafka_message_t *m, const char *why)
{
	if (v->bad++ < 5)
		log_warn("view unreadable topic=%s partition=%d offset=%lld: %s", v->topic, m->partition, (long long)m->offset, why);
}

static void on_version(struct view *v, const rd_kafka_message_t *m)
{
	struct part *p = &v->parts[m->partition];
	struct version ver;

	if (m->payload == NULL || version_decode(&ver, v->offsets, v->offsets_max, m->payload, m->len) < 0) {
		bad_record(v, m, "not a version record");
		return;
	}
	p->version = ver.version;
	p->counted[ROW_ITEM] = ver.items;
	p->counted[ROW_USER] = ver.users;
	p->counted[ROW_PROTOTYPE] = ver.prototypes;
	memcpy(p->found, p->live, sizeof p->found);
	if (ver.version >= v->newest.version) {
		v->newest = ver;
		v->newest.offsets = NULL;
		v->newest.offset_count = 0;
	}
	if (v->cb)
		v->cb(v->ctx, ROW_MODEL, "", 0, NULL, &ver, m->partition);
}

static int on_row(struct view *v, const rd_kafka_message_t *m, enum row_kind kind, const char *id, size_t id_len)
{
	struct embedding e;
	int r = 0, good = 0;

	if (m->payload == NULL)
		row_delete(v, kind, id, id_len);
	else {
		good = embedding_decode(&e, v->vec, D_MAX, m->payload, m->len) == 0 && e.D > 0;
		if (!good)
			bad_record(v, m, "not a vector");
		r = row_set(v, kind, id, id_len, m->partition, good ? &e : NULL);
	}
	if (r < 0)
		return r;
	if (v->cb && (good || m->payload == NULL))
		v->cb(v->ctx, kind, id, id_len, good ? &e : NULL, NULL, m->partition);
	return 0;
}

static int on_message(struct view *v, const rd_kafka_message_t *m)
{
	enum row_kind kind;
	const char *id;
	size_t id_len;

	if (m->key_len == strlen(POINTER_KEY) && memcmp(m->key, POINTER_KEY, m->key_len) == 0) {
		log_info("a pointer at offset %lld of %s [%d] leads readers to %.*s", (long long)m->offset, v->topic, m->partition,
		         m->payload ? (int)m->len : 10, m->payload ? (const char *)m->payload : "this topic");
		return 0;
	}
	if (m->key == NULL || row_key_parse(&kind, &id, &id_len, m->key, m->key_len) < 0) {
		bad_record(v, m, "a key of no known kind");
		return 0;
	}
	if (kind == ROW_MODEL)
		on_version(v, m);
	else if (on_row(v, m, kind, id, id_len) < 0) {
		log_error("out of memory at %zu rows", v->kinds[0].count + v->kinds[1].count + v->kinds[2].count);
		return EX_SOFTWARE;
	}
	return 0;
}

static void reached(struct view *v, struct part *p, int64_t position)
{
	p->position = position;
	if (!p->at_end && position >= p->end) {
		p->at_end = 1;
		v->parts_at_end++;
	}
}

int view_poll(struct view *v, int timeout_ms, int *ret_end)
{
	rd_kafka_message_t *m;
	int n, r = 0;

	for (n = 0; n < MESSAGES_PER_POLL && r == 0; n++) {
		m = rd_kafka_consumer_poll(v->rk, n ? 0 : timeout_ms);
		if (m == NULL)
			break;
		if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
			reached(v, &v->parts[m->partition], m->offset);
		else if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
			r = on_message(v, m);
			v->records++;
			reached(v, &v->parts[m->partition], m->offset + 1);
		} else {
			r = client_read_error(m->err, v->topic, m->partition, m->offset, rd_kafka_message_errstr(m));
		}
		rd_kafka_message_destroy(m);
	}
	*ret_end = v->parts_at_end == v->part_count;
	return r;
}

int view_settle(struct view *v, int (*stop)(void))
{
	uint64_t version;
	int r = 0, end;

	for (int tries = 0; r == 0 && tries < 20 && !stop() && !view_complete(v, &version, NULL, 0) && version; tries++)
		r = view_poll(v, 50, &end);
	return r;
}

uint64_t view_records(const struct view *v)
{
	return v->records;
}

int view_complete(const struct view *v, uint64_t *ret_version, char *why, size_t why_size)
{
	int p, k;

	*ret_version = v->parts[0].version;
	for (p = 1; p < v->part_count; p++)
		if (v->parts[p].version < *ret_version)
			*ret_version = v->parts[p].version;

	for (p = 0; p < v->part_count; p++)
		if (v->parts[p].version == 0) {
			snprintf(why, why_size, "no version record in partition %d of %s: no worker has published there yet", p, v->topic);
			return 0;
		}
	for (p = 0; p < v->part_count; p++)
		for (k = 0; k < KINDS; k++)
			if (v->parts[p].counted[k] != v->parts[p].found[k]) {
				snprintf(why, why_size, "partition %d of %s has %llu %s rows, its version record %llu counts %llu", p, v->topic,
				         (unsigned long long)v->parts[p].found[k], kind_name[k], (unsigned long long)v->parts[p].version,
				         (unsigned long long)v->parts[p].counted[k]);
				return 0;
			}
	if (v->other_width) {
		snprintf(why, why_size, "%zu rows of %s are not %zu wide", v->other_width, v->topic, v->D);
		return 0;
	}
	for (p = 0; p < v->part_count; p++)
		if (!v->parts[p].at_end) {
			snprintf(why, why_size, "partition %d of %s was read to offset %lld of %lld", p, v->topic, (long long)v->parts[p].position,
			         (long long)v->parts[p].end);
			return 0;
		}
	if (why_size)
		why[0] = '\0';
	return 1;
}

/* --- use ------------------------------------------------------------------------------------------------------------ */

size_t view_rows(const struct view *v, enum row_kind kind)
{
	return kind < KINDS ? v->kinds[kind].count : 0;
}

const char *view_id(const struct view *v, enum row_kind kind, size_t i, size_t *ret_len)
{
	return idmap_id(v->kinds[kind].ids, v->kinds[kind].rows[i].number, ret_len);
}

const float *view_vector(const struct view *v, enum row_kind kind, size_t i, int32_t *ret_prototype)
{
	if (ret_prototype)
		*ret_prototype = v->kinds[kind].rows[i].prototype;
	return v->kinds[kind].vectors + i * v->D;
}

const struct version *view_newest(const struct view *v)
{
	return &v->newest;
}

size_t view_dimension(const struct view *v)
{
	return v->D;
}

size_t view_find(const struct view *v, enum row_kind kind, const char *id, size_t id_len)
{
	uint32_t number = idmap_find(v->kinds[kind].ids, id, id_len);

	return number == UINT32_MAX ? SIZE_MAX : v->kinds[kind].place[number];
}
