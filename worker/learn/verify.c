/* verify.c - see verify.h. Reading order: verify, verify_fold, then begin, fold_to, compare.
 *
 * Where it begins, and where it ends: the newest state is the end, the one before is the beginning, as long as compaction has left the latter
 * whole; the cuts between the two are kept by the worker for that. Where there is only one, the beginning of the fold will do, or the next state
 * is waited for.
 */
#include "worker/learn/verify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "worker/learn/loop_private.h"
#include "worker/log.h"
#include "worker/state/rows.h"

#define TRIES_MAX 3 /* beside a worker that flushes */
#define DIFFERENCES_MAX 5 /* that are named, of numbers and of rows */

/* A manifest as it stands in the state topic. */
struct found {
	int64_t offset;    /* -1 = none */
	struct manifest m; /* its offsets point at ... */
	int64_t *offsets;  /* ... these, (CUT_PARTITIONS_MAX) */
};

struct verify {
	const struct config *cfg;
	struct loop *w;            /* what is folded */
	struct found newest, before;
	uint64_t base;             /* step of the state that the fold begins from */
	int from_cut;              /* ... or it begins with the first cut, of that step */
	int replaced;              /* the newest state cannot be folded from what came before: its weights are those of a file, or a gap lies there */
	int removed;             /* cuts behind the state were gone when they were asked for */
};

static const volatile sig_atomic_t never; /* a signal ends a command that only reads at once */

/* ---- manifests ---- */

static int is_manifest(const rd_kafka_message_t *m)
{
	return m->key_len == 8 && !memcmp(m->key, "manifest", 8);
}

/* The last one before the reader's end; its numbers are those of this version, or it is none. */
static int find_manifest(struct reader *in, struct found *ret)
{
	void *value;
	size_t len;
	int r = reader_last(in, is_manifest, &value, &len, &ret->offset);
	if (!value)
		ret->offset = -1;
	else if (manifest_decode(&ret->m, ret->offsets, CUT_PARTITIONS_MAX, value, len) < 0) {
		log_error("%s offset %lld is not a manifest that this version can read", in->topic, (long long)ret->offset);
		r = EX_DATAERR;
	}
	ret->m.config = NULL; /* it pointed into value */
	free(value);
	return r;
}

static int find_manifests(struct verify *v)
{
	struct reader in;
	int r = reader_open(&in, v->cfg, TOPIC_STATE, END_COMMITTED);
	v->newest.offset = v->before.offset = -1;
	if (r == 0)
		r = find_manifest(&in, &v->newest);
	in.end = v->newest.offset;
	if (r == 0 && v->newest.offset > in.low)
		r = find_manifest(&in, &v->before);
	reader_close(&in);
	return r;
}

/* ---- the beginning ---- */

static int nothing(const char *why)
{
	log_error("nothing to compare: %s", why);
	return EX_UNAVAILABLE;
}

/* The state as of this offset of its topic; 0 = the newest. */
static int begin_at_state(struct verify *v, int64_t before)
{
	const struct manifest *m;
	state_read_before(v->w->state, before);
	int r = state_restore(v->w->state, &m);
	if (r)
		return r;
	v->base = m->step;
	v->w->version = m->version;
	r = loop_filter(v->w);
	if (r)
		return r;
	return input_reaches(v->w->input, m->offsets) == 1 ? input_seek(v->w->input, m->offsets) : nothing("the input behind that state is gone");
}

/* A file has the learner of an import; what came after that stands in the cuts. */
static int begin_at_cut(struct verify *v, const char *file)
{
	int r = file ? learner_load(v->w->learner, file) : 0;
	v->from_cut = 1;
	v->base = v->w->learner->step;
	return r;
}

/* *ret 1: the fold of the model can be done again from where it began. */
static int has_beginning(struct verify *v, int *ret)
{
	struct cutlog *log = NULL;
	struct cut c;
	int64_t offset;
	int end = 1, r = cutlog_new(&log, v->cfg, END_COMMITTED);
	if (r == 0)
		r = cutlog_next(log, &c, &offset, &end);
	if (r == 0 && !end)
		r = check_cut(v->w, &c);
	*ret = r == 0 && !end && c.step == 0 && c.from_hash == 0 && input_reaches(v->w->input, c.offsets) == 1;
	cutlog_free(log);
	return r;
}

static int wait_for_next(struct verify *v)
{
	int r = begin_at_state(v, 0);
	for (int64_t s = 0; r == 0 && v->newest.m.step <= v->base; s++) {
		if (s >= v->cfg->wait)
			return nothing("there is only one state; --wait SECONDS waits for the next, --from may know an older one");
		sleep(1);
		r = find_manifests(v);
	}
	return r;
}

/* The older of two states; when newer flushes have taken the place of some of its rows, or there is only one, what else there is. */
static int begin_by_itself(struct verify *v)
{
	int whole = 0, r = EX_DATAERR;
	if (v->before.offset >= 0) {
		r = begin_at_state(v, v->before.offset + 1);
		if (r != EX_DATAERR)
			return r;
		loop_free(v->w);
		v->w = NULL;
		r = loop_new(&v->w, v->cfg);
		if (r)
			return r;
	}
	r = has_beginning(v, &whole);
	if (r)
		return r;
	return whole ? begin_at_cut(v, NULL) : wait_for_next(v);
}

static int begin(struct verify *v)
{
	int r = find_manifests(v);
	if (r)
		return r;
	if (v->newest.offset < 0)
		return nothing("there is no state yet: `s4rec train` flushes it every state.flush.ms and when it ends");
	if (v->replaced)
		return wait_for_next(v);
	if (!v->cfg->from[0])
		return begin_by_itself(v);
	return begin_at_cut(v, strcmp(v->cfg->from, "beginning") ? v->cfg->from : NULL);
}

/* ---- the fold ---- */

/* The first cut of a model trained nothing: it only says where the fold begins. */
static int first_cut(struct verify *v, const struct cut *c)
{
	if (c->from_hash && c->step == 0)
		return nothing("that model began with --from: its first state knows the beginning, the log does not");
	if (c->step != v->base || c->events || c->dead_letters || c->records_hash)
		return nothing("the log of cuts does not begin where that model begins: older cuts were removed");
	if (input_reaches(v->w->input, c->offsets) != 1)
		return nothing("the input behind the first cut is gone");
	return c->step ? input_seek(v->w->input, c->offsets) : replay_cut(v->w, c, &never);
}

static int check_machine(const struct verify *v, const struct cut *c)
{
	const char *here = model_numeric_id(v->w->learner->model);
	if (!strcmp(c->numeric_id, here) || v->cfg->accept_numerics)
		return 0;
	log_error("step %llu was computed by %s, this machine computes by %s: equal bits cannot be expected; verify on a machine of that kind (for blas-...: "
	          "--kernel portable), or see how far they differ with --accept.numerics", (unsigned long long)c->step, c->numeric_id, here);
	return EX_CONFIG;
}

/* A fold cannot pass where the weights came from elsewhere, but it can begin behind it. */
static int may_wait(const struct verify *v)
{
	return v->cfg->wait && !v->cfg->from[0];
}

static int fold_cut(struct verify *v, const struct cut *c, int first)
{
	if (first && v->from_cut)
		return first_cut(v, c);
	if (c->step > v->w->learner->step + 1) {
		v->removed = 1;
		return EX_UNAVAILABLE;
	}
	if (c->step <= v->base)
		return 0;
	v->replaced = c->gap || c->rollback;
	if (v->replaced && may_wait(v))
		return EX_UNAVAILABLE;
	if (v->replaced)
		return nothing(c->gap ? "in between the fold went on over input that was gone (--accept.gap)" : "in between the weights were replaced (s4rec rollback)");
	int r = check_machine(v, c);
	return r ? r : replay_cut(v->w, c, &never);
}

static int fold_to(struct verify *v, uint64_t step)
{
	struct cutlog *log = NULL;
	struct cut c = { 0 };
	int64_t offset;
	int first = 1, end = 0, r = cutlog_new(&log, v->cfg, END_COMMITTED);
	while (r == 0 && !end && (first || c.step < step)) {
		r = cutlog_next(log, &c, &offset, &end);
		if (r == 0 && !end)
			r = check_cut(v->w, &c);
		if (r == 0 && !end)
			r = fold_cut(v, &c, first);
		first = 0;
	}
	cutlog_free(log);
	if (r == 0 && c.step != step) {
		log_error("there is a state of step %llu, but the cuts end at step %llu", (unsigned long long)step, (unsigned long long)c.step);
		r = EX_DATAERR;
	}
	return r;
}

static int flushed_since(struct verify *v, int64_t offset)
{
	return find_manifests(v) == 0 && v->newest.offset != offset;
}

/* A flush meanwhile removes the cuts that are needed (and its own are there): then from the newer states. */
static int verify_fold(struct verify *v)
{
	for (int tries = 0; ; tries++) {
		int r = loop_new(&v->w, v->cfg);
		if (r == 0)
			r = begin(v);
		int64_t target = v->newest.offset;
		if (r == 0)
			r = fold_to(v, v->newest.m.step);
		int behind = r == EX_UNAVAILABLE && v->replaced && may_wait(v);
		int overtaken = (r == EX_DATAERR || v->removed) && flushed_since(v, target);
		if (!behind && !overtaken)
			return v->removed ? nothing("the cuts behind that state were removed") : r;
		if (tries == TRIES_MAX)
			return nothing("a worker flushes faster than this reads");
		loop_free(v->w);
		v->w = NULL;
		v->from_cut = v->removed = 0;
	}
}

/* ---- the comparison ---- */

/* Of what is told of the two, what need not agree: which flush it was, and the hash over that. */
static int same_numbers(const struct verify *v, const struct manifest *mine)
{
	const struct manifest *theirs = &v->newest.m;
	int differences = 0;
#define COMPARE(field, name) \
	if (mine->name != theirs->name && strcmp(#name, "flush") && strcmp(#name, "self_hash") && differences++ < DIFFERENCES_MAX) \
		log_error("different: " #name " is %" PRIu64 " as folded here, %" PRIu64 " in the state topic", mine->name, theirs->name);
	MANIFEST_NUMBERS(COMPARE)
#undef COMPARE
	for (size_t p = 0; p < mine->partitions; p++)
		if (mine->offsets[p] != theirs->offsets[p] && differences++ < DIFFERENCES_MAX)
			log_error("different: the offset of partition %zu is %lld as folded here, %lld in the state topic", p, (long long)mine->offsets[p],
			          (long long)theirs->offsets[p]);
	return differences == 0;
}

struct pair { struct learner *of[2]; char *key[2]; void *value[2]; size_t size; int differences; };

/* The record of a row in one of the two; its length, 0 when it is in nobody's use. */
static size_t row_record(struct pair *x, int i, enum state_kind kind, uint32_t row, size_t *ret_key_len)
{
	size_t len = 0;
	const struct idmap *ids = kind == STATE_ITEM ? x->of[i]->item_ids : x->of[i]->user_ids;
	*ret_key_len = 0;
	return row < idmap_rows(ids) && state_row_save(x->of[i], kind, row, x->key[i], ret_key_len, x->value[i], x->size, &len) == 0 ? len : 0;
}

static void compare_rows(struct pair *x, enum state_kind kind, size_t rows)
{
	size_t key_len[2], len[2];
	for (uint32_t row = 0; row < rows; row++) {
		for (int i = 0; i < 2; i++)
			len[i] = row_record(x, i, kind, row, &key_len[i]);
		if (len[0] == len[1] && key_len[0] == key_len[1] && !memcmp(x->key[0], x->key[1], key_len[0]) && !memcmp(x->value[0], x->value[1], len[0]))
			continue;
		int shown = len[0] ? 0 : 1;
		if (x->differences++ < DIFFERENCES_MAX)
			log_error("different: row %u, %.*s", row, (int)key_len[shown], x->key[shown]);
	}
}

static void compare_dense(struct pair *x)
{
	struct dense d[2];
	for (size_t i = 0; state_dense(x->of[0], i, &d[0]) == 0 && state_dense(x->of[1], i, &d[1]) == 0; i++)
		if (memcmp(d[0].data, d[1].data, d[0].bytes) && x->differences++ < DIFFERENCES_MAX)
			log_error("different: %s", d[0].name);
}

static int name_differences(struct learner *a, struct learner *b)
{
	struct pair x = { .of = { a, b }, .size = state_value_max(a) };
	int ok = 1;
	for (int i = 0; i < 2; i++) {
		x.key[i] = malloc(STATE_KEY_MAX);
		x.value[i] = malloc(x.size);
		ok = ok && x.key[i] && x.value[i];
	}
	if (ok) {
		size_t items[] = { idmap_rows(a->item_ids), idmap_rows(b->item_ids) }, users[] = { idmap_rows(a->user_ids), idmap_rows(b->user_ids) };
		compare_rows(&x, STATE_ITEM, items[items[1] > items[0]]);
		compare_rows(&x, STATE_USER, users[users[1] > users[0]]);
		compare_dense(&x);
	}
	for (int i = 0; i < 2; i++) {
		free(x.key[i]);
		free(x.value[i]);
	}
	if (!ok)
		return log_no_memory();
	return x.differences ? EX_DATAERR : 0;
}

/* The rows as they stand in the topic, to its end, where a foreign one would be, or, when a flush came meanwhile, to the newest manifest of ours: then
 * its rows may be gone (*ret_whole 0), and the sums must do. */
static int compare_with_rows(struct verify *v, int *ret_whole)
{
	struct loop *theirs = NULL;
	const struct manifest *m = NULL;
	int64_t newest = v->newest.offset;
	int overtaken, r;
	for (overtaken = 0; ; overtaken = 1) {
		r = loop_new(&theirs, v->cfg);
		if (r)
			return r;
		state_read_before(theirs->state, overtaken ? newest + 1 : 0);
		r = state_restore(theirs->state, &m);
		if (overtaken || !flushed_since(v, newest))
			break;
		loop_free(theirs);
		theirs = NULL;
	}
	*ret_whole = r == 0;
	if (r == 0)
		r = name_differences(v->w->learner, theirs->learner);
	else if (r == EX_DATAERR && overtaken)
		r = 0;
	loop_free(theirs);
	return r;
}

static int compare(struct verify *v)
{
	const struct manifest *mine, theirs = v->newest.m;
	int whole = 0, r = state_sums(v->w->state, v->w->version, v->w->position, v->w->embedding_partitions, &mine);
	if (r)
		return r;
	int same = same_numbers(v, mine);
	r = compare_with_rows(v, &whole);
	if (r && r != EX_DATAERR)
		return r;
	same = same && r == 0;
	printf("%s: %s, steps %" PRIu64 " to %" PRIu64 " folded again %s; the state of step %" PRIu64 " has %" PRIu64 " items, %" PRIu64 " users, %" PRIu64
	       " dense chunks, compared by their sums%s\n", same ? "equal" : "different", v->cfg->topic_prefix, v->base + 1, theirs.step,
	       v->from_cut ? "from the first cut" : "from the state before", theirs.step, theirs.items, theirs.users, theirs.dense, whole ? " and one by one" : "");
	return same ? 0 : EX_DATAERR;
}

int verify(const struct config *c)
{
	struct verify v = { .cfg = c };
	v.newest.offsets = calloc(2 * CUT_PARTITIONS_MAX, sizeof *v.newest.offsets);
	if (!v.newest.offsets)
		return log_no_memory();
	v.before.offsets = v.newest.offsets + CUT_PARTITIONS_MAX;
	int r = verify_fold(&v);
	if (r == 0)
		r = compare(&v);
	loop_free(v.w);
	free(v.newest.offsets);
	return r;
}
