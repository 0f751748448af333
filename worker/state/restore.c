/* restore.c - the state topic back into a learner, at once or as it grows; see state.h.
 *
 * The topic has one partition, so records come in the order of the flushes, and the last record of a key is the one that counts. Between two
 * manifests what was read adds up to nothing in particular; at the end of a flush it must add up to its manifest.
 * A trainer has fenced the producers before the last piece (state_write), so nothing can be added; who only reads ends at the last stable
 * offset, which is never inside a flush.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "codec/cut.h"
#include "worker/clock.h"
#include "worker/crash_point.h"
#include "worker/kafka/reader.h"
#include "worker/log.h"
#include "worker/state/state_private.h"

#define TURN_MS 50 /* of following, at most */

struct restore {
	struct state *s;
	struct reader in;
	uint64_t records;
	uint64_t dense_seen;
	int64_t manifest_offset; /* of the newest manifest, s->m; -1 none */
	int unchecked;           /* the record read last is a manifest, and nobody has looked whether it adds up */
};

static int no_manifest(const struct restore *x, int64_t offset)
{
	log_error("%s offset %lld is not a manifest that this version can read; has something else written to this topic?", x->in.topic, (long long)offset);
	return EX_DATAERR;
}

static int bad_record(const struct restore *x, const rd_kafka_message_t *m, const char *why)
{
	int len = !m->key ? 0 : m->key_len > 80 ? 80 : (int)m->key_len;
	log_error("%s offset %lld, key %.*s: %s; has something else written to this topic? Else begin a new model with a new topic.prefix", x->in.topic,
	          (long long)m->offset, len, len ? (const char *)m->key : "", why);
	return EX_DATAERR;
}

static int too_many_items(const struct state *s)
{
	log_error("max.items=%lld is below the item rows that this model has used: raise it", (long long)s->cfg->max_items);
	return EX_CONFIG;
}

static int load_row(struct restore *x, enum state_kind kind, const char *id, size_t id_len, const rd_kafka_message_t *m)
{
	struct state *s = x->s;
	struct learner *l = s->l;
	uint32_t row;
	enum sum sum = kind == STATE_ITEM ? SUM_ITEM : SUM_USER;
	int r = state_row_load(l, kind, id, id_len, m->payload, m->len, &row);
	if (r == 0) {
		uint64_t hash = state_hash(m->key, m->key_len, m->payload, m->len);
		s->sum[sum] += hash - changes_hash(l->changes, kind, row);
		r = changes_set_hash(l->changes, kind, row, hash);
	}
	if (r == 0)
		return 0;
	if (r == -ENOMEM)
		return log_no_memory();
	if (r == -ENOSPC)
		return too_many_items(s);
	return bad_record(x, m, r == -EEXIST ? "its row belongs to another id" : "not a row of this model");
}

static int remove_row(struct restore *x, enum state_kind kind, const char *id, size_t id_len)
{
	struct learner *l = x->s->l;
	struct idmap *ids = kind == STATE_ITEM ? l->item_ids : l->user_ids;
	uint32_t row = idmap_find(ids, id, id_len);
	if (row == UINT32_MAX)
		return 0; /* written and given up between two flushes that are one after compaction */
	x->s->sum[kind == STATE_ITEM ? SUM_ITEM : SUM_USER] -= changes_hash(l->changes, kind, row);
	changes_set_hash(l->changes, kind, row, 0);
	state_row_remove(l, kind, row);
	return 0;
}

/* key: "name/chunk" */
static int load_dense(struct restore *x, const char *key, size_t key_len, const rd_kafka_message_t *m)
{
	struct state *s = x->s;
	struct dense d;
	const void *data;
	size_t n = 0, len;
	char want[128];
	if (!m->payload)
		return bad_record(x, m, "deleted");
	if (dense_state_decode(&data, &len, m->payload, m->len) < 0)
		return bad_record(x, m, "not a chunk");
	for (size_t i = 0; state_dense(s->l, i, &d) == 0; i++)
		for (size_t at = 0; at < d.bytes; at += STATE_CHUNK, n++) {
			int want_len = snprintf(want, sizeof want, "%s/%zu", d.name, at / STATE_CHUNK);
			if ((size_t)want_len != key_len || memcmp(want, key, key_len))
				continue;
			if (len != (d.bytes - at < STATE_CHUNK ? d.bytes - at : STATE_CHUNK))
				return bad_record(x, m, "another size than this model has");
			memcpy((char *)d.data + at, data, len);
			uint64_t hash = state_hash(m->key, m->key_len, m->payload, m->len);
			x->dense_seen += s->dense_hash[n] == 0;
			s->sum[SUM_DENSE] += hash - s->dense_hash[n];
			s->dense_hash[n] = hash;
			return 0;
		}
	return bad_record(x, m, "no tensor of this model");
}

static int starts(const rd_kafka_message_t *m, const char *prefix, const char **ret_rest, size_t *ret_len)
{
	size_t n = strlen(prefix);
	if (m->key_len < n || memcmp(m->key, prefix, n))
		return 0;
	*ret_rest = (const char *)m->key + n;
	*ret_len = m->key_len - n;
	return 1;
}

static int is_manifest(const rd_kafka_message_t *m)
{
	const char *rest;
	size_t len;
	return m->key && starts(m, "manifest", &rest, &len) && len == 0;
}

static int check_options(const struct restore *x, const struct manifest *m)
{
	char changes[1024];
	if (m->config_hash == config_fold_hash(x->s->cfg))
		return 0;
	config_fold_changes(x->s->cfg, m->config, m->config_len, changes, sizeof changes);
	log_error("%s: this model (%s) was folded with other options: %s; set them back, or begin a new model with a new topic.prefix", x->in.topic, m->model_id,
	          changes);
	return EX_CONFIG;
}

static int newer_format(const struct restore *x, uint64_t format)
{
	log_error("%s was written by a newer s4rec (format %llu, this one knows %d): start that one, or begin a new model with a new topic.prefix", x->in.topic,
	          (unsigned long long)format, STATE_FORMAT);
	return EX_CONFIG;
}

static int load_manifest(struct restore *x, const void *value, size_t len, int64_t offset)
{
	struct state *s = x->s;
	struct manifest got;
	int64_t offsets[CUT_PARTITIONS_MAX];
	if (!value || manifest_decode(&got, offsets, CUT_PARTITIONS_MAX, value, len) < 0)
		return no_manifest(x, offset);
	if (got.format > STATE_FORMAT)
		return newer_format(x, got.format);
	if (got.self_hash != state_manifest_hash(&got, s->value, s->value_max))
		return no_manifest(x, offset);
	int r = check_options(x, &got);
	if (r)
		return r;
	got.config = s->config; /* the same text */
	if (got.partitions != s->m.partitions) {
		log_error("%s: this model was folded from %zu input partitions, now there are %zu: begin a new model with a new topic.prefix", x->in.topic,
		          got.partitions, s->m.partitions);
		return EX_CONFIG;
	}
	memcpy(s->offsets, offsets, got.partitions * sizeof *offsets);
	got.offsets = s->offsets;
	s->m = got;
	x->manifest_offset = offset;
	return 0;
}

static int load(struct restore *x, const rd_kafka_message_t *m)
{
	const char *rest;
	size_t len;
	x->records++;
	if (!m->key)
		return bad_record(x, m, "no key");
	if (starts(m, "item/", &rest, &len))
		return m->payload ? load_row(x, STATE_ITEM, rest, len, m) : remove_row(x, STATE_ITEM, rest, len);
	if (starts(m, "user/", &rest, &len))
		return m->payload ? load_row(x, STATE_USER, rest, len, m) : remove_row(x, STATE_USER, rest, len);
	if (starts(m, "dense/", &rest, &len))
		return load_dense(x, rest, len, m);
	if (is_manifest(m)) {
		x->unchecked = 1;
		return m->offset <= x->manifest_offset ? 0 : load_manifest(x, m->payload, m->len, m->offset); /* the newest was read first */
	}
	return bad_record(x, m, "unknown");
}

static int load_and_free(struct restore *x, rd_kafka_message_t *m)
{
	crash_point("restore.among_rows");
	int r = load(x, m);
	rd_kafka_message_destroy(m);
	return r;
}

static int read_rows(struct restore *x)
{
	rd_kafka_message_t *m;
	int r;
	while ((r = reader_next(&x->in, &m)) == 0 && m)
		if ((r = load_and_free(x, m)))
			return r;
	return r;
}

static int differs(const struct restore *x, const char *what, uint64_t found, uint64_t manifest)
{
	if (x->s->read_before) {
		log_info("%s: the rows of step %llu are not whole any more: newer flushes took their place", x->in.topic, (unsigned long long)x->s->m.step);
		return EX_DATAERR;
	}
	log_error("%s: %s differ from the manifest of step %llu: %llu (or a sum of their hashes) against %llu; %s", x->in.topic, what,
	          (unsigned long long)x->s->m.step, (unsigned long long)found, (unsigned long long)manifest,
	          x->s->writer ? "records are missing or foreign: begin a new model with a new topic.prefix"
	                       : "records are missing or foreign, or a worker's flushes overtook this reading: try again");
	return EX_DATAERR;
}

static int check_sums(struct restore *x)
{
	const struct state *s = x->s;
	const struct manifest *m = &s->m;
	const struct learner *l = s->l;
	if (idmap_count(l->item_ids) != m->items)
		return differs(x, "items", idmap_count(l->item_ids), m->items);
	if (idmap_count(l->user_ids) != m->users)
		return differs(x, "users", idmap_count(l->user_ids), m->users);
	if (x->dense_seen != m->dense || m->dense != s->dense_n)
		return differs(x, "tensors", x->dense_seen, m->dense);
	if (s->sum[SUM_ITEM] != m->item_hash)
		return differs(x, "items", s->sum[SUM_ITEM], m->item_hash);
	if (s->sum[SUM_USER] != m->user_hash)
		return differs(x, "users", s->sum[SUM_USER], m->user_hash);
	if (s->sum[SUM_DENSE] != m->dense_hash)
		return differs(x, "tensors", s->sum[SUM_DENSE], m->dense_hash);
	return 0;
}

/* ---- reading ---- */

/* The newest manifest first, because it explains better than the rows would why they do not fit. */
static int open_topic(struct state *s)
{
	struct restore *x = s->reading = calloc(1, sizeof *x);
	void *value = NULL;
	size_t len;
	int64_t offset;
	if (!x)
		return log_no_memory();
	x->s = s;
	x->manifest_offset = -1;
	int r = reader_open(&x->in, s->cfg, TOPIC_STATE, s->writer ? END_ALL : END_COMMITTED);
	if (s->read_before && s->read_before < x->in.end)
		x->in.end = s->read_before;
	crash_point("restore.begins");
	if (r == 0)
		r = reader_last(&x->in, is_manifest, &value, &len, &offset);
	if (r == 0 && value)
		r = load_manifest(x, value, len, offset);
	crash_point("restore.manifest_read");
	free(value);
	return r;
}

void state_close_topic(struct state *s)
{
	if (s->reading)
		reader_close(&s->reading->in);
	free(s->reading);
	s->reading = NULL;
}

/* What has come, for a turn at most; waits only when nothing has. */
static int follow(struct restore *x, int timeout_ms)
{
	rd_kafka_message_t *m;
	int64_t end_ms = monotonic_ms() + TURN_MS;
	int r = reader_follow(&x->in, timeout_ms, &m);
	while (r == 0 && m) {
		x->unchecked = 0;
		r = load_and_free(x, m);
		if (r == 0 && monotonic_ms() < end_ms)
			r = reader_follow(&x->in, 0, &m);
		else
			m = NULL;
	}
	return r;
}

int state_follow(struct state *s, int timeout_ms, struct state_followed *ret)
{
	int r = s->reading ? 0 : open_topic(s);
	struct restore *x = s->reading;
	if (r == 0)
		r = follow(x, timeout_ms);
	if (r)
		return r;
	if (x->in.at_end && x->unchecked) {
		r = check_sums(x);
		x->unchecked = 0;
	}
	*ret = (struct state_followed){ .caught_up = x->in.at_end, .records = x->records, .offset = x->in.next };
	if (x->manifest_offset >= 0)
		ret->step = s->m.step;
	return r;
}

void state_restart(struct state *s, struct learner *l)
{
	size_t partitions = s->m.partitions;
	state_close_topic(s);
	s->l = l;
	memset(s->sum, 0, sizeof s->sum);
	memset(s->dense_hash, 0, s->dense_n * sizeof *s->dense_hash);
	s->m = (struct manifest){ .partitions = partitions };
}

static int refuse_headless(const struct restore *x)
{
	log_error("%s: %llu records but no manifest: it is not whole; begin a new model with a new topic.prefix", x->in.topic, (unsigned long long)x->records);
	return EX_DATAERR;
}

/* All of it, or what following has left, as the state of now. */
static int restore(struct restore *x)
{
	int r = read_rows(x);
	if (r || (x->manifest_offset < 0 && x->records == 0))
		return r;
	crash_point("restore.rows_read");
	r = x->manifest_offset < 0 ? refuse_headless(x) : check_sums(x);
	if (r)
		return r;
	int e = state_numbers_load(x->s->l, &x->s->m);
	if (e == 0)
		return 0;
	if (e == -ENOMEM)
		return log_no_memory();
	if (e == -ENOSPC)
		return too_many_items(x->s);
	log_error("%s: the manifest of step %llu does not fit its rows: %s", x->in.topic, (unsigned long long)x->s->m.step, strerror(-e));
	return EX_DATAERR;
}

int state_restore(struct state *s, const struct manifest **ret)
{
	int followed = s->reading != NULL;
	int r = followed ? reader_extend(&s->reading->in, s->writer ? END_ALL : END_COMMITTED) : open_topic(s);
	struct restore *x = s->reading;
	uint64_t before = x ? x->records : 0;
	if (r == 0)
		r = restore(x);
	*ret = r || x->manifest_offset < 0 ? NULL : &s->m;
	if (*ret) {
		s->stats.step = s->m.step;
		log_info("restored %s: step=%llu items=%llu users=%llu records=%llu new_records=%llu", x->in.topic, (unsigned long long)s->m.step,
		         (unsigned long long)s->m.items, (unsigned long long)s->m.users, (unsigned long long)x->records, (unsigned long long)(x->records - before));
	}
	state_close_topic(s);
	crash_point("restore.done");
	return r;
}
