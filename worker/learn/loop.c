/* loop.c - see loop.h
 *
 * A batch is cut by what was read, folded, and its cut noted. A commit stages rows, version records, the cuts since the last
 * commit, dead letters and input offsets, and hands them to the committer, which sends them as one transaction while the loop
 * goes on. Crash anywhere: what was not committed is cut anew, and no reader saw it. Now and then a commit is also where a flush of state
 * begins (state/state.h): the next start restores that and replays only the cuts behind it.
 */
#include "worker/learn/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "worker/kafka/check.h"
#include "worker/kafka/committer.h"
#include "worker/learn/cutlog.h"
#include "worker/learn/input.h"
#include "worker/learn/learner.h"
#include "worker/learn/progress.h"
#include "worker/learn/userset.h"
#include "worker/log.h"
#include "worker/state/state.h"

#define POLL_MS 50
#define CUTS_MAX 1024               /* steps in one commit at most */
#define STAGED_RECORDS_MAX 1000000  /* records in one transaction at which a commit is made early ... */
#define STAGED_BYTES_MAX (64u * 1024 * 1024) /* ... or bytes */

struct loop {
	const struct config *cfg;
	int whole_log;              /* batches by the log alone */
	int partitions;             /* of the input */
	int embedding_partitions;
	char input_topic[TOPIC_NAME_MAX];
	char run_id[64];
	struct input *input;
	struct learner *learner;
	struct committer *committer;
	struct state *state;
	struct staged *staged;      /* what the next commit sends, as far as it is known */
	int64_t *until;             /* (partitions) or NULL */

	struct record_list *batch;  /* (partitions) the batch being filled */
	size_t batch_records;
	int64_t batch_since_ms;     /* monotonic time of its first record */
	struct userset *batch_users;

	struct cut cuts[CUTS_MAX];  /* since the last commit */
	int64_t *cut_offsets;       /* (CUTS_MAX, partitions) */
	size_t cut_n;
	int64_t *position;          /* (partitions) next offsets after the last commit; what was read may be ahead of it */
	uint64_t version;           /* of the last commit */
	int64_t commit_ms;          /* monotonic time of the last commit */
	uint64_t submitted;         /* commits handed to the committer */
	uint64_t flush_commit;      /* the one that the flush under way describes */
	int64_t flush_ms;           /* monotonic time of the last flush */
	struct progress *progress;
};

static int64_t wall_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t monotonic_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- life cycle ---- */

static int connect_all(struct loop *w, const struct config *c)
{
	int counts[TOPIC_COUNT] = { 0 };
	int r = check_model_topics(c, counts);
	if (r)
		return r;

	w->partitions = counts[TOPIC_INTERACTIONS];
	w->embedding_partitions = counts[TOPIC_EMBEDDINGS];
	r = learner_new(&w->learner, c, w->input_topic, counts[TOPIC_EMBEDDINGS]);
	if (r == 0)
		r = input_new(&w->input, c, w->partitions);
	if (r == 0)
		r = committer_new(&w->committer, c); /* from here on no other worker of this model can commit ... */
	if (r == 0)
		r = state_new(&w->state, c, w->learner, w->partitions);
	if (r == 0)
		r = state_write(w->state, w->run_id); /* ... nor flush */
	return r;
}

int loop_new(struct loop **ret, const struct config *c)
{
	struct loop *w = calloc(1, sizeof *w);
	if (!w)
		return log_no_memory();

	w->cfg = c;
	w->whole_log = c->cut == 2 || (c->cut == 0 && c->until[0]);
	client_input_topic(w->input_topic, sizeof w->input_topic, c);
	cutlog_run_id(w->run_id, sizeof w->run_id);
	int r = connect_all(w, c);
	if (r)
		goto fail;

	r = EX_OSERR;
	w->batch = calloc((size_t)w->partitions, sizeof *w->batch);
	w->cut_offsets = calloc(CUTS_MAX * (size_t)w->partitions, sizeof *w->cut_offsets);
	w->position = calloc((size_t)w->partitions, sizeof *w->position);
	if (!w->batch || !w->cut_offsets || !w->position || staged_new(&w->staged) < 0 || userset_new(&w->batch_users, (size_t)c->batch_users) < 0 ||
	    progress_new(&w->progress, c, w->learner, w->input, w->committer) < 0) {
		log_no_memory();
		goto fail;
	}
	*ret = w;
	return 0;
fail:
	loop_free(w);
	return r;
}

void loop_free(struct loop *w)
{
	if (!w)
		return;
	for (int p = 0; w->batch && p < w->partitions; p++)
		record_free_all(&w->batch[p]);
	progress_free(w->progress);
	state_free(w->state);
	committer_free(w->committer);
	input_free(w->input);
	learner_free(w->learner);
	staged_free(w->staged);
	userset_free(w->batch_users);
	free(w->batch);
	free(w->cut_offsets);
	free(w->position);
	free(w->until);
	free(w);
}

/* ---- one batch ---- */

static void batch_add(struct loop *w, struct record *r, int64_t now_ms)
{
	if (w->batch_records++ == 0)
		w->batch_since_ms = now_ms;
	if (!r->reason)
		userset_add(w->batch_users, r->ev.user, r->ev.user_len);
	record_push(&w->batch[r->partition], r);
}

static int batch_full(const struct loop *w)
{
	return userset_count(w->batch_users) >= (size_t)w->cfg->batch_users || w->batch_records >= (size_t)w->cfg->batch_events;
}

static int batch_fill(struct loop *w, int64_t now_ms, int whole_log, int timeout_ms)
{
	struct record *r;
	int code = input_fill(w->input, 0);
	for (int turn = 0; code == 0 && turn < 2; turn++) {
		while (!batch_full(w) && (r = input_next(w->input, whole_log)))
			batch_add(w, r, now_ms);
		if (batch_full(w) || turn == 1)
			break;
		code = input_fill(w->input, timeout_ms); /* waits only when all that is here was taken */
	}
	return code;
}

static int batch_due(const struct loop *w, int64_t now_ms, int draining)
{
	if (w->batch_records == 0)
		return 0;
	if (batch_full(w) || draining)
		return 1;
	if (w->whole_log)
		return w->until && input_at_end(w->input);
	return now_ms - w->batch_since_ms >= w->cfg->linger_ms;
}

/* Folds the batch as step `step`. out NULL = silent. */
static int fold(struct loop *w, uint64_t step, struct staged *out, struct train_result *ret)
{
	int r = learner_train(w->learner, w->batch, w->partitions, step, out, ret);
	w->batch_records = 0;
	userset_clear(w->batch_users);
	return r;
}

static void note_cut(struct loop *w, uint64_t step, const struct train_result *t)
{
	struct cut *c = &w->cuts[w->cut_n];
	*c = (struct cut){
		.step = step, .offsets = w->cut_offsets + w->cut_n * (size_t)w->partitions, .partitions = (size_t)w->partitions,
		.now_ms = wall_ms(), .events = t->events, .dead_letters = t->dead_letters, .discarded = t->stats.discarded,
		.records_hash = t->records_hash,
	};
	memcpy(c->offsets, input_offsets(w->input), (size_t)w->partitions * sizeof *c->offsets);
	cutlog_sign(c, w->learner, w->run_id, w->embedding_partitions);
	w->cut_n++;
}

static int check_refused_share(const struct loop *w)
{
	double share = learner_refused_share(w->learner);
	if (share <= w->cfg->dlq_max_share)
		return 0;
	log_error("%.0f %% of the last records were refused (limit dlq.max.share=%g), the last one as \"%s\": is `format` or a map.* option wrong? The dead "
	          "letters in %s.dlq say why",
	          share * 100, w->cfg->dlq_max_share, w->learner->last_refused ? w->learner->last_refused : "", w->cfg->topic_prefix);
	return EX_DATAERR;
}

static int step(struct loop *w)
{
	struct train_result t;
	uint64_t number = w->learner->step + 1;
	int r = fold(w, number, w->staged, &t);
	if (r)
		return r;

	if (t.stats.discarded)
		log_warn("step=%llu discarded: a loss or gradient is not finite", (unsigned long long)number);
	note_cut(w, number, &t);
	progress_step(w->progress, &t);
	return 0;
}

/* ---- one commit ---- */

static int commit_due(struct loop *w, int64_t now_ms, int draining)
{
	if (w->cut_n == 0)
		return 0;
	if (draining || w->cut_n == CUTS_MAX || staged_records(w->staged) >= STAGED_RECORDS_MAX || staged_bytes(w->staged) >= STAGED_BYTES_MAX)
		return 1;
	if (w->whole_log)
		return w->cut_n >= (size_t)w->cfg->commit_steps || (w->until && input_at_end(w->input));
	return now_ms - w->commit_ms >= w->cfg->commit_ms && !committer_busy(w->committer);
}

static int stage_position(struct loop *w)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < w->cut_n; i++)
		r = cutlog_stage(w->staged, &w->cuts[i]);
	const int64_t *offsets = w->cuts[w->cut_n - 1].offsets;
	for (int p = 0; r == 0 && p < w->partitions; p++)
		staged_offset(w->staged, p, offsets[p]);
	return r;
}

/* Just after a commit was handed over, before anything else is folded. */
static int begin_flush(struct loop *w)
{
	w->flush_ms = monotonic_ms();
	w->flush_commit = w->submitted;
	return state_begin(w->state, w->version, w->position, w->embedding_partitions);
}

static int flush_turn(struct loop *w)
{
	return state_turn(w->state, committer_done(w->committer) >= w->flush_commit);
}

/* At a clean stop all that was committed is flushed, so that the next start has nothing to replay. */
static int last_flush(struct loop *w)
{
	int r = state_finish(w->state);
	if (r == 0 && w->version && state_stats(w->state).step != w->learner->step)
		r = begin_flush(w);
	return r ? r : state_finish(w->state);
}

static int commit(struct loop *w)
{
	struct cut *last = &w->cuts[w->cut_n - 1];
	last->commit = 1;
	last->version = ++w->version;
	last->now_ms = wall_ms(); /* the one clock of this commit: freshness is told by it, and a replay tells the same */
	int r = learner_publish(w->learner, w->staged, w->version, last->now_ms, last->offsets, w->partitions);
	if (r)
		return r;
	if (stage_position(w) < 0)
		return log_no_memory();
	memcpy(w->position, last->offsets, (size_t)w->partitions * sizeof *w->position);
	w->cut_n = 0;
	w->commit_ms = monotonic_ms();
	r = w->learner->ranks ? ranks_flush(w->learner->ranks) : 0;
	if (r == 0)
		r = committer_submit(w->committer, &w->staged);
	w->submitted++;
	if (r == 0 && !state_busy(w->state) && w->commit_ms - w->flush_ms >= w->cfg->state_flush_ms)
		r = begin_flush(w);
	return r;
}

/* ---- replay of what was committed ---- */

/* The first run: the fold begins where the input begins today. Recorded as cut 0, in the first transaction. */
static int begin_fold(struct loop *w)
{
	struct train_result none = { 0 };
	int r = client_input_watermarks(w->cfg, w->partitions, w->cut_offsets, NULL);
	if (r == 0)
		r = input_seek(w->input, w->cut_offsets);
	if (r)
		return r;
	note_cut(w, 0, &none);
	log_info("new model %s: begins where %s begins today", w->cfg->model_id, w->input_topic);
	return 0;
}

static int check_cut(const struct loop *w, const struct cut *c)
{
	if (c->partitions == (size_t)w->partitions && c->embedding_partitions == (uint32_t)w->embedding_partitions)
		return 0;
	if (c->partitions == (size_t)w->partitions) {
		log_error("%s.embeddings has %d partitions, this model's rows were spread over %u: begin a new model with a new topic.prefix",
		          w->cfg->topic_prefix, w->embedding_partitions, c->embedding_partitions);
		return EX_CONFIG;
	}
	log_error("%s has %d partitions, this model was folded from %zu: begin a new model with a new topic.prefix", w->input_topic, w->partitions, c->partitions);
	return EX_CONFIG;
}

static int differs(const struct loop *w, const struct cut *c)
{
	log_error("replay of step %llu differs: the records of %s are not those that were trained; was the topic made anew? Begin a new model with a new topic.prefix",
	          (unsigned long long)c->step, w->input_topic);
	return EX_DATAERR;
}

/* Reads one recorded batch again. */
static int reread(struct loop *w, const struct cut *c, const volatile sig_atomic_t *stop)
{
	struct record *rec;
	input_limit(w->input, c->offsets);
	for (int waits = 0; ; waits++) {
		while (!batch_full(w) && (rec = input_next(w->input, 1))) {
			batch_add(w, rec, 0);
			waits = 0;
		}
		if (input_at_end(w->input))
			return 0;
		if (batch_full(w))
			return differs(w, c); /* the batch was cut where it was full */
		if (*stop)
			return LOOP_STOPPED;
		int r = input_fill(w->input, POLL_MS);
		if (r)
			return r;
		if (waits == 600) {
			log_error("replay of step %llu: no input for 30 s; is the broker still there?", (unsigned long long)c->step);
			return EX_UNAVAILABLE;
		}
	}
}

/* Folds one recorded batch again, with the limits that held then. */
static int refold(struct loop *w, const struct cut *c, const volatile sig_atomic_t *stop)
{
	struct train_result t;
	int r = reread(w, c, stop);
	if (r)
		return r;
	w->learner->max_users = c->max_users;
	w->learner->max_items = c->max_items;
	r = fold(w, c->step, NULL, &t);
	w->learner->max_users = (size_t)w->cfg->max_users;
	w->learner->max_items = (size_t)w->cfg->max_items;
	if (r)
		return r;
	if (t.records_hash != c->records_hash || t.events != c->events || t.dead_letters != c->dead_letters || t.stats.discarded != c->discarded)
		return differs(w, c);
	return 0;
}

/* Cut 0 says where the fold begins, every other one where a batch ended; a commit is an event of the fold, too. (The first cut of a model from a
 * file has the step of the file; state stands behind it always, so it is passed over.) */
static int replay_cut(struct loop *w, const struct cut *c, const volatile sig_atomic_t *stop)
{
	int r = c->step == 0 ? input_seek(w->input, c->offsets) : refold(w, c, stop);
	if (r || !c->commit)
		return r;
	w->version = c->version;
	memcpy(w->position, c->offsets, (size_t)w->partitions * sizeof *w->position);
	return learner_publish(w->learner, NULL, c->version, c->now_ms, c->offsets, w->partitions);
}

/* The last cut is the position; the group's offsets only mirror it (they expire, and tools reset them). */
static int compare_with_group(struct loop *w)
{
	const int64_t *cut = input_offsets(w->input);
	int64_t *group = w->cut_offsets; /* unused until the first cut of this run */
	int r = input_committed(w->input, group);
	for (int p = 0; r == 0 && p < w->partitions; p++)
		if (group[p] >= 0 && group[p] != cut[p])
			log_warn("group %s stands at offset %lld of %s [%d], the last committed cut at %lld: going on from the cut", w->cfg->group_id,
			         (long long)group[p], w->input_topic, p, (long long)cut[p]);
	return r;
}

/* Cuts up to step `from` are in the state already. They may be gone, or not yet. */
static int check_begin(const struct loop *w, const struct cut *c, uint64_t from)
{
	if (c->step <= from + (from > 0))
		return 0;
	log_error("the cuts of %s begin at step %llu, %s: begin a new model with a new topic.prefix", w->cfg->topic_prefix, (unsigned long long)c->step,
	          from ? "the state is older" : "and there is no state of what came before");
	return EX_DATAERR;
}

static int replay_cuts(struct loop *w, struct cutlog *log, uint64_t from, const volatile sig_atomic_t *stop)
{
	struct cut c;
	int64_t offset;
	int end, r = 0;
	uint64_t cuts = 0, replayed = 0;
	for (;;) {
		if (*stop)
			return LOOP_STOPPED;
		r = cutlog_next(log, &c, &offset, &end);
		if (r || end)
			break;
		r = check_cut(w, &c);
		if (r == 0 && cuts++ == 0)
			r = check_begin(w, &c, from);
		if (r)
			return r;
		if (from && c.step <= from)
			continue;
		if (replayed++ == 0)
			log_info("replaying the committed cuts of %s from step %llu on", w->cfg->topic_prefix, (unsigned long long)c.step);
		r = replay_cut(w, &c, stop);
		if (r)
			return r;
		progress_replay(w->progress, c.step);
	}
	if (r)
		return r;
	if (cuts == 0)
		return begin_fold(w);
	log_info("replay done: step=%llu version=%llu events=%llu", (unsigned long long)w->learner->step, (unsigned long long)w->version,
	         (unsigned long long)w->learner->events);
	input_limit(w->input, NULL);
	return compare_with_group(w);
}

static int set_until(struct loop *w)
{
	if (!w->cfg->until[0])
		return 0;
	w->until = calloc((size_t)w->partitions, sizeof *w->until);
	if (!w->until)
		return log_no_memory();
	return client_input_watermarks(w->cfg, w->partitions, NULL, w->until);
}

/* All steps of the last cut were computed by one machine, or accepted as if they were. */
static int check_numerics(const struct loop *w, const struct cut *last)
{
	const char *here = model_numeric_id(w->learner->model);
	if (!strcmp(last->numeric_id, here))
		return 0;
	if (w->cfg->accept_numerics) {
		log_warn("this model was computed by %s, from now on by %s: what is published next differs in the last bits from what it would have been",
		         last->numeric_id, here);
		return 0;
	}
	log_error("this model was computed by %s, this machine computes by %s: the replay would not end in the bits that readers have; run it on a "
	          "machine of that kind (for blas-...: --kernel portable), or go on from here with --accept.numerics",
	          last->numeric_id, here);
	return EX_CONFIG;
}

/* State never runs ahead of the cuts: a flush begins to be sent only after its commit has returned. */
static int check_state(const struct loop *w, const struct manifest *m, const struct cut *last)
{
	if (!last || m->step > last->step) {
		log_error("the state of %s is that of step %llu, its cuts end at %lld: one of the two topics was changed; begin a new model with a new topic.prefix",
		          w->cfg->topic_prefix, (unsigned long long)m->step, last ? (long long)last->step : -1);
		return EX_DATAERR;
	}
	return 0;
}

/* Is all there that the last cut speaks of? A replay that waits for input that cannot come would only find out by a timeout. */
static int check_last_cut(struct loop *w, const struct cut *last)
{
	int r = check_cut(w, last);
	if (r == 0)
		r = input_check(w->input, last->offsets);
	return r ? r : check_numerics(w, last);
}

/* The state, if there is any, and the input from where it stands. */
static int restore(struct loop *w, struct cutlog *log, uint64_t *ret_step)
{
	const struct manifest *m;
	struct cut last;
	int none, r = cutlog_last(log, &last, &none);
	*ret_step = 0;
	if (r == 0 && !none)
		r = check_last_cut(w, &last);
	if (r == 0)
		r = state_restore(w->state, &m);
	if (r || !m)
		return r;
	r = check_state(w, m, none ? NULL : &last);
	w->version = m->version;
	memcpy(w->position, m->offsets, (size_t)w->partitions * sizeof *w->position);
	*ret_step = m->step;
	return r ? r : input_seek(w->input, m->offsets);
}

int loop_replay(struct loop *w, const volatile sig_atomic_t *stop)
{
	struct cutlog *log = NULL;
	uint64_t from = 0;
	int r = set_until(w);
	if (r == 0)
		r = cutlog_new(&log, w->cfg);
	if (r == 0)
		r = restore(w, log, &from);
	if (r == 0 && w->learner->ranks)
		r = ranks_resume(w->learner->ranks, from);
	if (r == 0)
		r = replay_cuts(w, log, from, stop);
	cutlog_free(log);
	if (r == 0)
		input_limit(w->input, w->until);
	return r;
}

/* ---- the loop ---- */

static int at_end(const struct loop *w)
{
	return w->until && w->batch_records == 0 && w->cut_n == 0 && input_at_end(w->input);
}

/* With cut=log a signal must not decide where a batch or a commit ends: the loop goes on to the next commit, which is at most
 * commit.steps away; what is read behind it is read again by the next run. */
static int may_stop(const struct loop *w)
{
	return !w->whole_log || w->cut_n == 0;
}

int loop_run(struct loop *w, const volatile sig_atomic_t *stop)
{
	int r = 0, refused = 0;
	w->commit_ms = w->flush_ms = monotonic_ms();
	while (r == 0 && !(*stop && may_stop(w)) && !at_end(w)) {
		int64_t now_ms = monotonic_ms();
		refused = check_refused_share(w); /* first: a restart must not get a batch further each time */
		if (refused)
			break;
		r = committer_check(w->committer); /* fenced, or outcome unknown, as the last commit found */
		if (r == 0)
			r = batch_fill(w, now_ms, w->whole_log, POLL_MS);
		if (r == 0 && batch_due(w, now_ms, 0))
			r = step(w);
		if (r == 0 && commit_due(w, now_ms, 0))
			r = commit(w);
		if (r == 0)
			r = flush_turn(w);
		progress_tick(w->progress, now_ms);
	}
	/* Drain: what was read is trained and committed, then nothing is left to lose. With cut=log only whole batches count. */
	if (r == 0 && !w->whole_log && batch_due(w, 0, 1))
		r = step(w);
	if (r == 0 && (!w->whole_log || refused) && commit_due(w, 0, 1))
		r = commit(w);
	if (r == 0)
		r = committer_wait(w->committer);
	if (r == 0)
		r = last_flush(w);
	r = r ? r : refused;
	progress_end(w->progress, r);
	return r;
}
