/* state.c - flushing; see state.h. restore.c is the way back. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "codec/embedding.h"
#include "worker/crash_point.h"
#include "worker/learn/cutlog.h"
#include "worker/log.h"
#include "worker/state/state_private.h"

#define SLICE_BYTES (1024 * 1024) /* handed to the writer at a time */
#define TURN_MS 10                 /* that a turn of the loop spends on a flush ... */
#define TURN_ROWS 1024            /* ... looking at the clock after so many rows */

uint64_t state_hash(const void *key, size_t key_len, const void *value, size_t len)
{
	return XXH3_64bits_withSeed(value, len, XXH3_64bits(key, key_len));
}

uint64_t state_manifest_hash(const struct manifest *m, void *room, size_t size)
{
	struct manifest bare = *m;
	size_t len;
	bare.self_hash = 0;
	return manifest_encode(room, size, &len, &bare) == 0 ? XXH3_64bits(room, len) : 0;
}

static double now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int failed(int r)
{
	log_error("cannot write state: %s", strerror(-r));
	return r == -ENOMEM ? EX_OSERR : EX_SOFTWARE;
}

/* ---- life ---- */

static size_t count_chunks(struct learner *l)
{
	struct dense d;
	size_t n = 0;
	for (size_t i = 0; state_dense(l, i, &d) == 0; i++)
		n += (d.bytes + STATE_CHUNK - 1) / STATE_CHUNK;
	return n;
}

int state_new(struct state **ret, const struct config *c, struct learner *l, int partitions)
{
	struct state *s = calloc(1, sizeof *s);
	if (!s)
		return log_no_memory();

	s->cfg = c;
	s->l = l;
	s->value_max = state_value_max(l);
	s->config = config_fold_text(c);
	size_t manifest_bytes = MANIFEST_BYTES((size_t)partitions, s->config ? strlen(s->config) : 0);
	if (s->value_max < manifest_bytes)
		s->value_max = manifest_bytes;
	s->dense_n = count_chunks(l);
	s->value = malloc(s->value_max);
	s->dense_hash = calloc(s->dense_n + 1, sizeof *s->dense_hash);
	s->offsets = calloc((size_t)partitions, sizeof *s->offsets);
	s->m.partitions = (size_t)partitions;
	s->run_id = "";
	if (!s->config || !s->value || !s->dense_hash || !s->offsets || staged_new(&s->slice) < 0) {
		state_free(s);
		return log_no_memory();
	}
	*ret = s;
	return 0;
}

int state_write(struct state *s, const char *run_id)
{
	s->run_id = run_id;
	return state_writer_new(&s->writer, s->cfg);
}

void state_free(struct state *s)
{
	if (!s)
		return;
	state_close_topic(s);
	state_writer_free(s->writer);
	staged_free(s->slice);
	free(s->config);
	free(s->value);
	free(s->dense_hash);
	free(s->offsets);
	free(s);
}

struct state_stats state_stats(const struct state *s)
{
	return s->stats;
}

int state_busy(const struct state *s)
{
	return s->phase != FLUSH_IDLE;
}

int state_copying(const struct state *s)
{
	return s->phase == FLUSH_SAVING && s->opened;
}

/* ---- one flush ---- */

static int hand_over(struct state *s)
{
	struct staged *next = NULL;
	if (staged_records(s->slice) == 0)
		return 0;
	if (!s->writer) { /* state_sums */
		staged_clear(s->slice);
		return 0;
	}
	if (staged_new(&next) < 0)
		return -ENOMEM;
	int r = state_writer_put(s->writer, s->slice);
	if (r < 0) {
		staged_free(next);
		return r;
	}
	s->slice = next;
	return 0;
}

/* value NULL = a delete. */
static int put(struct state *s, const char *key, size_t key_len, const void *value, size_t len)
{
	int r = staged_record(s->slice, TOPIC_STATE, 0, key, key_len, value, len);
	s->stats.rows++;
	s->rows++;
	return r == 0 && staged_bytes(s->slice) >= SLICE_BYTES ? hand_over(s) : r;
}

/* changes_save: also called by whoever is about to change the row. */
static int save_row(void *ctx, enum state_kind kind, uint32_t row)
{
	struct state *s = ctx;
	size_t key_len, len;
	int r = state_row_save(s->l, kind, row, s->key, &key_len, s->value, s->value_max, &len);
	if (r == -ENOENT)
		return 0; /* given up since: its delete stands in the list of the forgotten */
	if (r < 0)
		return r;

	uint64_t hash = state_hash(s->key, key_len, s->value, len);
	s->sum[kind == STATE_ITEM ? SUM_ITEM : SUM_USER] += hash - changes_hash(s->l->changes, kind, row);
	r = changes_set_hash(s->l->changes, kind, row, hash);
	return r < 0 ? r : put(s, s->key, key_len, s->value, len);
}

/* Before the rows: a user or item that came back has a row again, which then follows its delete. */
static int save_forgotten(struct state *s)
{
	size_t len, key_len, at = 0;
	const char *id;
	enum state_kind kind;
	uint64_t hash;
	int r = 0;
	while (r == 0 && (id = changes_forgotten(s->l->changes, &at, &kind, &len, &hash))) {
		s->sum[kind == STATE_ITEM ? SUM_ITEM : SUM_USER] -= hash;
		r = row_key(s->key, sizeof s->key, &key_len, kind == STATE_ITEM ? ROW_ITEM : ROW_USER, id, len);
		if (r == 0)
			r = put(s, s->key, key_len, NULL, 0);
	}
	s->forgotten = at;
	return r;
}

static int save_dense(struct state *s)
{
	struct dense d;
	size_t n = 0;
	int r = 0, end;
	for (size_t i = 0; r == 0 && (end = state_dense(s->l, i, &d)) != -ENOENT; i++) {
		r = end;
		for (size_t at = 0; r == 0 && at < d.bytes; at += STATE_CHUNK, n++) {
			size_t bytes = d.bytes - at < STATE_CHUNK ? d.bytes - at : STATE_CHUNK, len;
			int key_len = snprintf(s->key, sizeof s->key, "dense/%s/%zu", d.name, at / STATE_CHUNK);
			r = dense_state_encode(s->value, s->value_max, &len, (const char *)d.data + at, bytes);
			if (r < 0)
				break;
			uint64_t hash = state_hash(s->key, (size_t)key_len, s->value, len);
			if (hash == s->dense_hash[n] && !s->resend)
				continue;
			s->sum[SUM_DENSE] += hash - s->dense_hash[n];
			s->dense_hash[n] = hash;
			r = put(s, s->key, (size_t)key_len, s->value, len);
		}
	}
	s->resend = 0;
	return r;
}

int state_begin(struct state *s, uint64_t version, const int64_t *offsets, int embedding_partitions)
{
	struct manifest *m = &s->m;
	uint64_t flush = m->flush + 1;
	*m = (struct manifest){ .offsets = s->offsets, .partitions = m->partitions, .version = version, .flush = flush, .format = STATE_FORMAT,
		.config = s->config, .config_len = strlen(s->config), .config_hash = config_fold_hash(s->cfg), .dense = s->dense_n, .embedding_partitions = (uint64_t)embedding_partitions };
	memcpy(m->offsets, offsets, m->partitions * sizeof *offsets);
	snprintf(m->model_id, sizeof m->model_id, "%s", s->cfg->model_id);
	snprintf(m->run_id, sizeof m->run_id, "%s", s->run_id);
	snprintf(m->numeric_id, sizeof m->numeric_id, "%s", model_numeric_id(s->l->model));
	state_numbers_save(s->l, m);
	s->begun_ms = now_ms();
	s->rows = 0;
	s->phase = FLUSH_SAVING;
	s->opened = 0;
	changes_begin(s->l->changes, save_row, s);
	int r = save_forgotten(s);
	if (r == 0)
		r = save_dense(s);
	crash_point("flush.dense_copied");
	return r < 0 ? failed(r) : 0;
}

/* All rows are written: the manifest closes the transaction. */
static int save_manifest(struct state *s)
{
	size_t len;
	s->m.item_hash = s->sum[SUM_ITEM];
	s->m.user_hash = s->sum[SUM_USER];
	s->m.dense_hash = s->sum[SUM_DENSE];
	s->m.self_hash = state_manifest_hash(&s->m, s->value, s->value_max);
	int r = manifest_encode(s->value, s->value_max, &len, &s->m);
	if (r == 0)
		r = put(s, "manifest", 8, s->value, len);
	return r == 0 ? hand_over(s) : r;
}

/* Rows that are in nobody's use are not marked: see changes_forget. */
static int mark_all(struct learner *l)
{
	size_t len;
	int r = changes_all(l->changes, STATE_ITEM, model_items(l->model));
	for (uint32_t row = 0; r == 0 && row < users_rows(l->users); row++)
		if (idmap_id(l->user_ids, row, &len))
			r = changes_row(l->changes, STATE_USER, row);
	return r;
}

int state_mark_all(struct state *s)
{
	s->resend = 1;
	int r = mark_all(s->l);
	return r < 0 ? failed(r) : 0;
}

/* The outcome of the flush that was ended. */
static int settle(struct state *s, int wait)
{
	enum writer_outcome outcome;
	int code = state_writer_poll(s->writer, &outcome, wait);
	if (code || outcome == WRITER_BUSY)
		return code;
	s->phase = FLUSH_IDLE;
	if (outcome == WRITER_DONE) {
		changes_drop_forgotten(s->l->changes, s->forgotten);
		s->stats.flushes++;
		s->stats.last_ms = now_ms() - s->begun_ms;
		s->stats.step = s->m.step;
		s->last_cut_offset = s->cut_offset;
		crash_point("flush.settled");
		log_info("state flushed: step=%llu rows=%llu ms=%.0f", (unsigned long long)s->m.step, (unsigned long long)s->rows, s->stats.last_ms);
		return 0;
	}
	log_warn("state flush of step %llu was aborted: the next one writes all rows again", (unsigned long long)s->m.step);
	s->m.flush--;
	return state_mark_all(s);
}

static int save_for(struct state *s, double ms, int *ret_left)
{
	double end = now_ms() + ms;
	int r;
	do
		r = changes_save_some(s->l->changes, TURN_ROWS, ret_left);
	while (r == 0 && *ret_left && now_ms() < end);
	return r;
}

static int turn(struct state *s, int64_t cut_offset, double ms, int wait)
{
	int left, r = 0;
	if (!s->opened && cut_offset >= 0) {
		state_writer_open(s->writer);
		s->cut_offset = cut_offset;
		s->opened = 1;
	}
	if (state_copying(s)) {
		r = save_for(s, ms, &left);
		crash_point("flush.rows_copied");
		if (r == 0 && !left) {
			r = save_manifest(s);
			crash_point("flush.manifest_copied");
			s->phase = FLUSH_WAITING;
		}
		if (r < 0)
			return failed(r);
	}
	if (s->phase == FLUSH_WAITING && s->opened) {
		state_writer_end(s->writer, s->last_cut_offset);
		s->phase = FLUSH_ENDING;
	}
	return s->phase == FLUSH_ENDING ? settle(s, wait) : 0;
}

int state_turn(struct state *s, int64_t cut_offset)
{
	return s->phase == FLUSH_IDLE ? 0 : turn(s, cut_offset, TURN_MS, 0);
}

int state_finish(struct state *s, int64_t cut_offset)
{
	return s->phase == FLUSH_IDLE ? 0 : turn(s, cut_offset, HUGE_VAL, 1);
}

void state_restored_at(struct state *s, int64_t cut_offset)
{
	s->last_cut_offset = cut_offset;
}

void state_read_before(struct state *s, int64_t offset)
{
	s->read_before = offset;
}

int state_sums(struct state *s, uint64_t version, const int64_t *offsets, int embedding_partitions, const struct manifest **ret)
{
	int left, r = state_begin(s, version, offsets, embedding_partitions);
	*ret = &s->m;
	if (r)
		return r;
	r = save_for(s, HUGE_VAL, &left);
	if (r == 0)
		r = save_manifest(s);
	s->phase = FLUSH_IDLE;
	return r < 0 ? failed(r) : 0;
}

int state_found(struct state *s, const struct cut *first, struct staged *rows)
{
	uint64_t before = s->stats.flushes; /* a replay may have flushed */
	int r = rows ? state_writer_put(s->writer, rows) : 0;
	if (r < 0) {
		staged_free(rows);
		return failed(r);
	}
	r = state_begin(s, first->version, first->offsets, (int)first->embedding_partitions);
	if (r == 0 && cutlog_stage(s->slice, first) < 0)
		r = failed(-ENOMEM);
	if (r == 0)
		r = state_finish(s, 0);
	if (r == 0 && s->stats.flushes == before)
		r = EX_TEMPFAIL; /* aborted, said so */
	return r;
}
