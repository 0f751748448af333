/* cutlog.c - see cutlog.h */
#include "worker/learn/cutlog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "worker/clock.h"
#include "worker/kafka/reader.h"
#include "worker/log.h"

#define ATTEMPT_KEY "attempt"

/* ---- made ---- */

void cutlog_run_id(char *ret, size_t size)
{
	snprintf(ret, size, "%lld-%d", (long long)wall_ms(), (int)getpid());
}

void cutlog_sign(struct cut *c, const struct learner *l, const char *run_id, int embedding_partitions)
{
	c->config_hash = config_fold_hash(l->cfg);
	c->embedding_partitions = (uint32_t)embedding_partitions;
	c->from_hash = l->from_hash;
	c->catching_up = l->catching_up != 0;
	c->max_users = l->max_users;
	c->max_items = l->max_items;
	snprintf(c->model_id, sizeof c->model_id, "%s", l->cfg->model_id);
	snprintf(c->run_id, sizeof c->run_id, "%s", run_id);
	snprintf(c->numeric_id, sizeof c->numeric_id, "%s", model_numeric_id(l->model));
}

int cutlog_stage(struct staged *s, const struct cut *c)
{
	char key[24];
	uint8_t value[CUT_PARTITIONS_MAX * 10 + 1024];
	size_t len;
	int key_len = snprintf(key, sizeof key, "%llu", (unsigned long long)c->step);
	int r = cut_encode(value, sizeof value, &len, c);
	return r < 0 ? r : staged_record(s, TOPIC_BATCHES, 0, key, (size_t)key_len, value, len);
}

int cutlog_stage_attempt(struct staged *s, const struct attempt *a)
{
	uint8_t value[128];
	size_t len;
	int r = attempt_encode(value, sizeof value, &len, a);
	return r < 0 ? r : staged_record(s, TOPIC_BATCHES, 0, ATTEMPT_KEY, strlen(ATTEMPT_KEY), value, len);
}

/* ---- read back ---- */

struct cutlog {
	const struct config *cfg;
	struct reader in;
	uint64_t expect;     /* next step number; UINT64_MAX = any, the first record tells */
	int64_t low;         /* oldest offset when `expect` was noted */
	uint64_t attempts;   /* since the last commit ... */
	struct attempt first; /* ... the first of them */
	int64_t offsets[CUT_PARTITIONS_MAX];
};

int cutlog_new(struct cutlog **ret, const struct config *c, enum reader_end end)
{
	struct cutlog *l = calloc(1, sizeof *l);
	if (!l)
		return log_no_memory();

	l->cfg = c;
	l->expect = UINT64_MAX;
	int r = reader_open(&l->in, c, TOPIC_BATCHES, end);
	if (r) {
		cutlog_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

int cutlog_grew(struct cutlog *l)
{
	int64_t end = l->in.end;
	return reader_extend(&l->in, END_ALL) == 0 && l->in.end > end;
}

void cutlog_free(struct cutlog *l)
{
	if (!l)
		return;
	reader_close(&l->in);
	free(l);
}

static int check(const struct cutlog *l, const struct cut *c, int64_t offset)
{
	if (l->expect != UINT64_MAX && c->step != l->expect) {
		log_error("%s offset %lld: expected the cut of step %llu, found %llu: the log of cuts has a gap; begin a new model with a new topic.prefix",
		          l->in.topic, (long long)offset, (unsigned long long)l->expect, (unsigned long long)c->step);
		return EX_DATAERR;
	}
	if (c->config_hash != config_fold_hash(l->cfg)) {
		log_error("%s: this model (%s) was folded with other options (hash %016llx, now %016llx): set the fold options back, or begin a new model "
		          "with a new topic.prefix",
		          l->in.topic, c->model_id, (unsigned long long)c->config_hash, (unsigned long long)config_fold_hash(l->cfg));
		return EX_CONFIG;
	}
	return 0;
}

static int foreign(const struct cutlog *l, int64_t offset)
{
	log_error("%s offset %lld is not a cut record: has something else written to this topic?", l->in.topic, (long long)offset);
	return EX_DATAERR;
}

static int decode(struct cutlog *l, int64_t offset, const void *value, size_t len, struct cut *ret)
{
	return value && cut_decode(ret, l->offsets, CUT_PARTITIONS_MAX, value, len) == 0 ? 0 : foreign(l, offset);
}

static int is_cut(const rd_kafka_message_t *m)
{
	return m->key_len != strlen(ATTEMPT_KEY) || memcmp(m->key, ATTEMPT_KEY, m->key_len) != 0;
}

static int count_attempt(struct cutlog *l, const rd_kafka_message_t *m)
{
	struct attempt a;
	if (!m->payload || attempt_decode(&a, m->payload, m->len) < 0)
		return foreign(l, m->offset);
	if (l->attempts++ == 0)
		l->first = a;
	return 0;
}

uint64_t cutlog_attempts(const struct cutlog *l, struct attempt *ret_first)
{
	*ret_first = l->first;
	return l->attempts;
}

/* The next record that is a cut; NULL at the end. */
static int next_cut(struct cutlog *l, rd_kafka_message_t **ret)
{
	int r = reader_next(&l->in, ret);
	while (r == 0 && *ret && !is_cut(*ret)) {
		r = count_attempt(l, *ret);
		rd_kafka_message_destroy(*ret);
		*ret = NULL;
		if (r == 0)
			r = reader_next(&l->in, ret);
	}
	return r;
}

int cutlog_next(struct cutlog *l, struct cut *ret, int64_t *ret_offset, int *ret_end)
{
	rd_kafka_message_t *m;
	int r = next_cut(l, &m);
	*ret_end = !m;
	if (r || !m)
		return r;
	*ret_offset = m->offset;
	r = decode(l, m->offset, m->payload, m->len, ret);
	if (l->low != l->in.low) /* a delete of old cuts has overtaken this reader; the caller knows which it can do without */
		l->expect = UINT64_MAX;
	l->low = l->in.low;
	if (r == 0)
		r = check(l, ret, m->offset);
	l->expect = ret->step + 1;
	if (ret->commit)
		l->attempts = 0;
	rd_kafka_message_destroy(m);
	return r;
}

int cutlog_last(struct cutlog *l, struct cut *ret, int *ret_none)
{
	void *value;
	size_t len;
	int64_t offset;
	int r = reader_last(&l->in, is_cut, &value, &len, &offset);
	*ret_none = !value;
	if (value)
		r = decode(l, offset, value, len, ret);
	free(value);
	return r;
}
