/* loop.c - see loop.h
 *
 * A batch is cut by what was read, folded, and its cut noted. A commit stages rows, version records, the cuts since the last
 * commit, dead letters and input offsets, and hands them to the committer, which sends them as one transaction while the loop
 * goes on. Crash anywhere: what was not committed is cut anew, and no reader saw it. Now and then a commit is also where a flush of state
 * begins (state/state.h): the next start restores that and replays only the cuts behind it.
 */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "worker/kafka/check.h"
#include "worker/crash_point.h"
#include "worker/learn/backfill.h"
#include "worker/learn/expiry.h"
#include "worker/learn/loop_private.h"
#include "worker/log.h"

#define STAGED_RECORDS_MAX 1000000  /* records in one transaction at which a commit is made early ... */
#define STAGED_BYTES_MAX (64u * 1024 * 1024) /* ... or bytes */

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
	return r ? r : state_new(&w->state, c, w->learner, w->partitions);
}

int loop_new(struct loop **ret, const struct config *c)
{
	struct loop *w = calloc(1, sizeof *w);
	if (!w)
		return log_no_memory();

	w->cfg = c;
	w->flush_ms = monotonic_ms();
	client_input_topic(w->input_topic, sizeof w->input_topic, c);
	cutlog_run_id(w->run_id, sizeof w->run_id);
	int r = connect_all(w, c);
	if (r)
		goto fail;

	r = EX_OSERR;
	w->batch = calloc((size_t)w->partitions, sizeof *w->batch);
	w->cut_offsets = calloc(CUTS_MAX * (size_t)w->partitions, sizeof *w->cut_offsets);
	w->position = calloc((size_t)w->partitions, sizeof *w->position);
	size_t users = (size_t)c->batch_users + 1; /* a replay may meet one too many */
	if (!w->batch || !w->cut_offsets || !w->position || staged_new(&w->staged) < 0 || userset_new(&w->batch_users, users) < 0) {
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
	forgets_free(w->forgets);
	learner_free(w->learner);
	staged_free(w->staged);
	userset_free(w->batch_users);
	election_free(w->election); /* after all that was sent: who leads next fences us */
	free(w->batch);
	free(w->cut_offsets);
	free(w->position);
	free(w->until);
	free(w->own_goal);
	free(w);
}

/* ---- one batch ---- */

void batch_add(struct loop *w, struct record *r, int64_t now_ms)
{
	if (w->batch_records++ == 0)
		w->batch_since_ms = now_ms;
	w->batch_ignored += (size_t)r->ignored;
	w->batch_events += r->ignored ? 0 : record_events(r);
	if (!r->reason && !r->ignored)
		userset_add(w->batch_users, r->ev.user, r->ev.user_len);
	record_push(&w->batch[r->partition], r);
}

static int batch_full(const struct loop *w)
{
	return userset_count(w->batch_users) >= (size_t)w->cfg->batch_users || w->batch_events >= (size_t)w->cfg->batch_events ||
	       w->batch_ignored >= BATCH_IGNORED_MAX;
}

static int batch_fill(struct loop *w, int64_t now_ms, int whole_log, int timeout_ms)
{
	struct record *r;
	size_t before = w->batch_records;
	int64_t since_us = show_clock_us(w), waited_us = input_waited_us(w->input);
	int code = input_fill(w->input, 0);
	for (int turn = 0; code == 0 && turn < 2; turn++) {
		while (!batch_full(w) && (r = input_next(w->input, whole_log ? INPUT_WAIT : now_ms)))
			batch_add(w, r, now_ms);
		if (batch_full(w) || turn == 1)
			break;
		code = input_fill(w->input, timeout_ms); /* waits only when all that is here was taken */
	}
	if (w->batch_records != before)
		show_stage(w, STAGE_POLL, since_us + input_waited_us(w->input) - waited_us);
	return code;
}

static int batch_due(const struct loop *w, int64_t now_ms, int draining)
{
	if (w->batch_records == 0)
		return 0;
	if (batch_full(w) || draining)
		return 1;
	if (w->whole_log)
		return w->goal && input_at_end(w->input);
	return now_ms - w->batch_since_ms >= w->cfg->linger_ms;
}

void batch_clear(struct loop *w)
{
	w->batch_records = w->batch_ignored = w->batch_events = 0;
	userset_clear(w->batch_users);
}

/* Folds the batch as step `step`, or passes it by. out NULL = silent. */
int fold(struct loop *w, uint64_t step, int skip, struct staged *out, struct train_result *ret)
{
	int r = skip ? learner_skip(w->learner, w->batch, w->partitions, step, out, ret) : learner_train(w->learner, w->batch, w->partitions, step, out, ret);
	batch_clear(w);
	return r;
}

void note_cut(struct loop *w, uint64_t step, const struct train_result *t)
{
	struct cut *c = &w->cuts[w->cut_n];
	*c = (struct cut){
		.step = step, .offsets = w->cut_offsets + w->cut_n * (size_t)w->partitions, .partitions = (size_t)w->partitions,
		.now_ms = wall_ms(), .events = t->events, .dead_letters = t->dead_letters, .discarded = t->discarded,
		.records_hash = t->records_hash, .skipped = t->skipped, .pass = t->pass,
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
	log_error("%.0f %% of the last records were refused (limit dlq.max.share=%g)%s%s: is `format` or a map.* option wrong? The dead "
	          "letters in %s.dlq say why",
	          share * 100, w->cfg->dlq_max_share, w->learner->last_refused ? ", the last one as " : "", w->learner->last_refused ? w->learner->last_refused : "", w->cfg->topic_prefix);
	return EX_DATAERR;
}

static void say_discarded(const struct loop *w, uint64_t number, const struct train_result *t)
{
	const struct guard *g = &w->learner->guard;
	if (t->discarded == DISCARD_NOT_FINITE)
		log_warn("step=%llu discarded: a loss or gradient is not finite", (unsigned long long)number);
	if (t->discarded == DISCARD_EXPLODING)
		log_warn("step=%llu discarded: loss=%.3g gradient=%.3g, usual are %.3g and %.3g (guard.factor=%g; after %d such steps in a row they are usual)",
		         (unsigned long long)number, t->stats.loss, t->stats.grad_norm, g->loss, g->norm, w->cfg->guard_factor, GUARD_REFUSALS);
}

/* Before the first batch of this start is trained, and committed by itself: should the batch end the process, the next start knows. A start that
 * has nothing to train leaves none. */
static int note_attempt(struct loop *w, uint64_t step)
{
	struct attempt a = { .step = step, .now_ms = wall_ms() };
	struct staged *s = NULL;
	snprintf(a.run_id, sizeof a.run_id, "%s", w->run_id);
	int r = staged_new(&s) < 0 || cutlog_stage_attempt(s, &a) < 0 ? log_no_memory() : committer_submit(w->committer, &s);
	w->submitted++;
	staged_free(s);
	w->attempted = 1;
	return r ? r : committer_wait(w->committer);
}

/* What was trained as step `number`, from since_us on. */
static void note_step(struct loop *w, uint64_t number, const struct train_result *t, int64_t since_us)
{
	show_step(w, t, since_us);
	say_discarded(w, number, t);
	note_cut(w, number, t);
	progress_step(w->progress, t);
}

/* loop_replay saw to it that none behind the first is asked for. */
static int is_skipped(const struct loop *w, uint64_t number)
{
	return (uint64_t)w->cfg->skip_batch == number;
}

static int step(struct loop *w)
{
	struct train_result t;
	uint64_t number = w->learner->step + 1;
	int skip = is_skipped(w, number);
	int r = w->attempted ? 0 : note_attempt(w, number);
	int64_t since_us = show_clock_us(w);
	if (r == 0)
		r = fold(w, number, skip, w->staged, &t);
	if (r)
		return r;

	if (skip)
		log_warn("step=%llu skipped: its %u records are in %s.dlq, none was trained, none forgot a user", (unsigned long long)number, t.dead_letters,
		         w->cfg->topic_prefix);
	note_step(w, number, &t, since_us);
	return 0;
}

static void say_pass(const struct loop *w)
{
	const struct passes *p = &w->learner->passes;
	char score[80] = "";
	if (w->cfg->epochs_gain > 0)
		snprintf(score, sizeof score, ", withheld events have ndcg20=%.4f (%.4f before)", p->last, p->before);
	log_info("pass %llu over %llu users is done%s", (unsigned long long)p->done, (unsigned long long)p->rows, score);
}

/* One batch of a pass over the user store. */
static int pass_step(struct loop *w)
{
	struct train_result t;
	const struct passes *p = &w->learner->passes;
	uint64_t number = w->learner->step + 1, done = p->done;
	int skip = is_skipped(w, number);
	int r = w->attempted ? 0 : note_attempt(w, number);
	int64_t since_us = show_clock_us(w);
	if (r == 0)
		r = learner_pass(w->learner, number, skip, &t);
	if (r)
		return r;
	if (skip)
		log_warn("step=%llu skipped: pass %llu leaves its users out", (unsigned long long)number, (unsigned long long)t.pass);
	note_step(w, number, &t, since_us);
	crash_point("backfill.in_pass");
	if (p->done != done) {
		crash_point("backfill.pass_done");
		say_pass(w);
	}
	return 0;
}

/* ---- one commit ---- */

static int commit_due(struct loop *w, int64_t now_ms, int draining)
{
	if (w->cut_n == 0)
		return 0;
	if (draining || w->cut_n == CUTS_MAX || staged_records(w->staged) >= STAGED_RECORDS_MAX || staged_bytes(w->staged) >= STAGED_BYTES_MAX ||
	    learner_wants_room(w->learner))
		return 1;
	if (w->whole_log)
		return w->cut_n >= (size_t)w->cfg->commit_steps || (w->goal && input_at_end(w->input) && !passes_wanted(w->learner));
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

int flush_due(const struct loop *w)
{
	return !state_busy(w->state) && monotonic_ms() - w->flush_ms >= w->cfg->state_flush_ms;
}

int begin_flush(struct loop *w)
{
	w->flush_ms = monotonic_ms();
	w->flush_commit = w->submitted;
	crash_point("flush.before_copy");
	int r = learner_flush_scores(w->learner); /* the next start keeps the lines up to this step, and folds none of them again */
	return r ? r : state_begin(w->state, w->version, w->position, w->embedding_partitions);
}

int64_t flush_cut_offset(struct loop *w)
{
	if (w->flush_commit == 0)
		return w->replayed_offset;
	return committer_done(w->committer) < w->flush_commit ? -1 : committer_cut_offset(w->committer, w->flush_commit);
}

/* At a clean stop all that was committed is flushed, so that the next start has nothing to replay. */
static int last_flush(struct loop *w)
{
	int r = state_finish(w->state, flush_cut_offset(w));
	for (int try = 0; r == 0 && try < 2 && w->version && state_stats(w->state).step != w->learner->step; try++) {
		r = begin_flush(w);
		if (r == 0)
			r = state_finish(w->state, flush_cut_offset(w));
	}
	if (r == 0 && w->version && state_stats(w->state).step != w->learner->step)
		log_warn("stopped without a flush: the next start replays the cuts behind step %llu", (unsigned long long)state_stats(w->state).step);
	return r;
}

/* Once when it begins, and once when it ends. */
static void say_held(struct loop *w)
{
	char why[64];
	int held = w->learner->guard.held != 0;
	if (held == w->said_held)
		return;
	w->said_held = held;
	learner_held_why(w->learner, why, sizeof why);
	if (held)
		log_warn("publishing is held: %s, the model was below popularity for %lld ranked events (guard.hold); training goes on, readers keep the rows they have",
		         why, (long long)w->cfg->guard_hold);
	else
		log_info("publishing goes on: %s; rows that waited are published", why);
}

static int commit(struct loop *w)
{
	struct cut *last = &w->cuts[w->cut_n - 1];
	last->commit = 1;
	last->version = ++w->version;
	last->republish = w->republish;
	w->republish = 0;
	last->now_ms = wall_ms(); /* the one clock of this commit: freshness is told by it, and a replay tells the same */
	int64_t since_us = show_clock_us(w);
	int r = learner_publish(w->learner, w->staged, w->version, last->now_ms, last->offsets, w->partitions);
	if (r)
		return r;
	show_stage(w, STAGE_PUBLISH, since_us);
	say_held(w);
	crash_point("commit.published");
	if (stage_position(w) < 0)
		return log_no_memory();
	memcpy(w->position, last->offsets, (size_t)w->partitions * sizeof *w->position);
	w->cut_n = 0;
	w->commit_ms = monotonic_ms();
	r = learner_flush_scores(w->learner);
	crash_point("commit.staged");
	if (r == 0)
		r = committer_submit(w->committer, &w->staged);
	crash_point("commit.submitted");
	w->submitted++;
	if (r == 0 && flush_due(w))
		r = begin_flush(w);
	return r;
}

/* A rollback, or a readers' topic made anew: all rows are due, and nobody knows when the next event comes. A batch of nothing, and its commit. */
static int publish_due(struct loop *w)
{
	int r = w->learner->republish && w->cut_n == 0 ? step(w) : 0;
	return r == 0 && w->learner->republish ? commit(w) : r;
}

/* Readers get the model that was hidden from them until now: all rows are due. */
static int release(struct loop *w)
{
	int r = w->cut_n ? commit(w) : 0;
	crash_point("backfill.caught_up");
	w->learner->catching_up = 0;
	w->learner->republish = 1;
	if (r == 0)
		r = publish_due(w);
	crash_point("backfill.released");
	if (r == 0)
		log_info("caught up: step=%llu, all rows of model %s %s", (unsigned long long)w->learner->step, w->cfg->model_id,
		         w->learner->republish ? "are due when publishing goes on" : "are published");
	return r;
}

/* Behind the goal: the next record is the next that was read, or comes. */
static void go_live(struct loop *w)
{
	w->goal = NULL;
	w->whole_log = w->cfg->cut == 2;
	input_limit(w->input, NULL);
	progress_goal(w->progress, NULL, 0);
	watch_phase(w->show.watch, PHASE_LIVE);
	log_info("live from here: step=%llu events=%llu", (unsigned long long)w->learner->step, (unsigned long long)w->learner->events);
}

static int after_backlog(struct loop *w)
{
	if (passes_wanted(w->learner))
		return pass_step(w);
	if (w->learner->catching_up)
		return release(w);
	if (!w->until && w->cut_n == 0)
		go_live(w);
	return 0;
}

/* ---- the loop ---- */

/* What a start owes to readers who wait. What the guard holds back goes out when it lets go: a version for that would hold nothing, and each start add one.
 * A batch that is to be skipped must have its number: what is owed goes out with it. */
static int publish_owed(struct loop *w)
{
	const struct learner *l = w->learner;
	return l->catching_up || l->guard.held || is_skipped(w, l->step + 1) ? 0 : publish_due(w);
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
	w->commit_ms = monotonic_ms() - w->cfg->commit_ms; /* readers have waited for this start: its first batch is committed at once */
	show_training(w);
	watch_phase(w->show.watch, w->goal ? PHASE_CATCHING_UP : PHASE_LIVE);
	if (!*stop)
		r = publish_owed(w);
	while (r == 0 && !(*stop && may_stop(w)) && !backfill_finished(w)) {
		int64_t now_ms = monotonic_ms();
		uint64_t step_before = w->learner->step, version_before = w->version;
		refused = check_refused_share(w); /* first: a restart must not get a batch further each time */
		if (refused)
			break;
		r = committer_check(w->committer); /* fenced, or outcome unknown, as the last commit found */
		if (r == 0)
			r = loop_check_lead(w);
		if (r == 0 && !backfill_over(w))
			r = batch_fill(w, now_ms, w->whole_log, state_copying(w->state) ? 0 : POLL_MS); /* a flush uses what is idle */
		if (r == 0 && batch_due(w, now_ms, 0))
			r = step(w);
		else if (r == 0 && backfill_over(w))
			r = after_backlog(w);
		if (r == 0 && commit_due(w, now_ms, 0))
			r = commit(w);
		if (r == 0)
			r = state_turn(w->state, flush_cut_offset(w));
		progress_tick(w->progress, now_ms);
		show_turn(w, now_ms, w->learner->step != step_before || w->version != version_before);
	}
	watch_phase(w->show.watch, PHASE_STOPPING);
	/* Drain: what was read is trained and committed, then nothing is left to lose. With cut=log only whole batches count. */
	if (r == 0 && !w->whole_log && batch_due(w, 0, 1))
		r = step(w);
	if (r == 0 && (!w->whole_log || refused) && commit_due(w, 0, 1))
		r = commit(w);
	crash_point("stop.drained");
	if (r == 0)
		r = committer_wait(w->committer);
	crash_point("stop.committed");
	if (r == 0)
		r = last_flush(w);
	crash_point("stop.flushed");
	r = r ? r : refused;
	progress_end(w->progress, monotonic_ms(), r);
	return r;
}
