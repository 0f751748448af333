/* restore.c - the state topic back into a learner; see state.h.
 *
 * The topic has one partition, so records come in the order of the flushes, and the last record of a key is the one that counts.
 * A trainer has fenced the producers before (state_write), so nothing can be added; who only reads ends at the last stable offset, which is
 * never inside a flush.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "codec/cut.h"
#include "worker/crash_point.h"
#include "worker/kafka/reader.h"
#include "worker/log.h"
#include "worker/state/state_private.h"

struct restore {
	struct state *s;
	struct reader in;
	uint64_t records;
	uint64_t dense_seen;
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
	if (r == -ENOSPC) {
		log_error("max.items=%lld is below the items that this model has: raise it", (long long)s->cfg->max_items);
		return EX_CONFIG;
	}
	return bad_record(x, m, r == -EEXIST ? "its row belongs to another id" : "not a row of this model");
}

static int remove_user(struct restore *x, const char *id, size_t id_len)
{
	struct learner *l = x->s->l;
	uint32_t row = idmap_find(l->user_ids, id, id_len);
	if (row == UINT32_MAX)
		return 0; /* written and given up between two flushes that are one after compaction */
	x->s->sum[SUM_USER] -= changes_hash(l->changes, STATE_USER, row);
	changes_set_hash(l->changes, STATE_USER, row, 0);
	users_remove(l->users, row);
	idmap_remove(l->user_ids, row);
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

static int load(struct restore *x, const rd_kafka_message_t *m)
{
	const char *rest;
	size_t len;
	x->records++;
	if (!m->key)
		return bad_record(x, m, "no key");
	if (starts(m, "item/", &rest, &len))
		return m->payload ? load_row(x, STATE_ITEM, rest, len, m) : bad_record(x, m, "deleted");
	if (starts(m, "user/", &rest, &len))
		return m->payload ? load_row(x, STATE_USER, rest, len, m) : remove_user(x, rest, len);
	if (starts(m, "dense/", &rest, &len))
		return load_dense(x, rest, len, m);
	if (is_manifest(m))
		return 0; /* the newest was read first */
	return bad_record(x, m, "unknown");
}

static int read_rows(struct restore *x)
{
	rd_kafka_message_t *m;
	for (;;) {
		int r = reader_next(&x->in, &m);
		if (r || !m)
			return r;
		crash_point("restore.among_rows");
		r = load(x, m);
		rd_kafka_message_destroy(m);
		if (r)
			return r;
	}
}

/* First, because it explains better than the rows would why they do not fit. */
static int read_manifest(struct restore *x, int *ret_none)
{
	struct state *s = x->s;
	struct manifest got;
	int64_t offsets[CUT_PARTITIONS_MAX];
	void *value;
	size_t len;
	int64_t offset;
	int r = reader_last(&x->in, is_manifest, &value, &len, &offset);
	*ret_none = !value;
	if (value && (manifest_decode(&got, offsets, CUT_PARTITIONS_MAX, value, len) < 0 || got.self_hash != state_manifest_hash(&got, s->value, s->value_max)))
		r = no_manifest(x, offset);
	free(value);
	if (r || *ret_none)
		return r;
	if (got.config_hash != config_fold_hash(s->cfg)) {
		log_error("%s: this model (%s) was folded with other options (hash %016llx, now %016llx): set the fold options back, or begin a new model "
		          "with a new topic.prefix",
		          x->in.topic, got.model_id, (unsigned long long)got.config_hash, (unsigned long long)config_fold_hash(s->cfg));
		return EX_CONFIG;
	}
	if (got.partitions != s->m.partitions) {
		log_error("%s: this model was folded from %zu input partitions, now there are %zu: begin a new model with a new topic.prefix", x->in.topic,
		          got.partitions, s->m.partitions);
		return EX_CONFIG;
	}
	memcpy(s->offsets, offsets, got.partitions * sizeof *offsets);
	got.offsets = s->offsets;
	s->m = got;
	return 0;
}

static int differs(const struct restore *x, const char *what, uint64_t found, uint64_t manifest)
{
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

static int restore(struct restore *x, int *ret_none)
{
	int r = reader_open(&x->in, x->s->cfg, TOPIC_STATE, x->s->writer ? END_ALL : END_COMMITTED);
	crash_point("restore.begins");
	if (r == 0)
		r = read_manifest(x, ret_none);
	crash_point("restore.manifest_read");
	if (r == 0)
		r = read_rows(x);
	if (r || (*ret_none && x->records == 0))
		return r;
	if (*ret_none) {
		log_error("%s: %llu records but no manifest: it is not whole; begin a new model with a new topic.prefix", x->in.topic, (unsigned long long)x->records);
		return EX_DATAERR;
	}
	crash_point("restore.rows_read");
	r = check_sums(x);
	if (r)
		return r;
	int e = state_numbers_load(x->s->l, &x->s->m);
	if (e == 0)
		return 0;
	if (e == -ENOMEM)
		return log_no_memory();
	log_error("%s: the manifest of step %llu does not fit its rows: %s", x->in.topic, (unsigned long long)x->s->m.step, strerror(-e));
	return EX_DATAERR;
}

int state_restore(struct state *s, const struct manifest **ret)
{
	struct restore x = { .s = s };
	int none = 1, r = restore(&x, &none);
	*ret = r || none ? NULL : &s->m;
	if (*ret) {
		s->stats.step = s->m.step;
		log_info("restored %s: step=%llu items=%llu users=%llu records=%llu", x.in.topic, (unsigned long long)s->m.step, (unsigned long long)s->m.items,
		         (unsigned long long)s->m.users, (unsigned long long)x.records);
	}
	reader_close(&x.in);
	crash_point("restore.done");
	return r;
}
