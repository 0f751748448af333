/* replay.c - where a start begins: the state, then what was committed behind it, folded again silently along the recorded cuts; with neither,
 * a new model. Input that is gone is an error, or a gap that is accepted (gap.c). Reading order: loop_replay, restore, replay_cuts. And loop_rollback, which changes what was found.
 */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "topics/topics.h"
#include "worker/kafka/client.h"
#include "worker/kafka/positions.h"
#include "worker/learn/backfill.h"
#include "worker/crash_point.h"
#include "worker/log.h"

/* Positions without a model: maybe its topics were emptied. It may as well be another model that reads the same input. */
static void warn_used_group(struct loop *w)
{
	int64_t group[w->partitions];
	if (input_committed(w->input, group))
		return;
	for (int p = 0; p < w->partitions; p++)
		if (group[p] >= 0) {
			log_warn("group %s has committed offsets on %s, but under %s there is no model: a new one begins; if there should be one, its batches and state "
			         "topics were emptied", w->cfg->group_id, w->input_topic, w->cfg->topic_prefix);
			return;
		}
}

static int still_leads(void *loop)
{
	return loop_check_lead(loop);
}

int loop_filter(struct loop *w)
{
	int any = 0;
	for (int p = 0; p < w->partitions; p++)
		any |= w->learner->scanned[p] > 0;
	if (!any || w->forgets)
		return 0;
	int r = forgets_scan(&w->forgets, w->cfg, w->partitions, w->learner->scanned, still_leads, w);
	if (r == 0)
		input_filter(w->input, w->forgets);
	return r;
}

/* The first run with --from. Where that was stands in a state of its own from the first, since it is no place that a later start could find. */
static int begin_fold_from(struct loop *w)
{
	struct learner *l = w->learner;
	int64_t begin[w->partitions];
	struct cut first = { .offsets = begin, .partitions = (size_t)w->partitions, .now_ms = (int64_t)time(NULL) * 1000 };
	int r = positions_resolve(w->cfg, "from", w->cfg->from, w->partitions, begin);
	if (r)
		return r;
	if (w->cfg->rebuild)
		r = client_input_watermarks(w->cfg, w->partitions, NULL, l->scanned);
	if (r == 0)
		r = loop_filter(w);
	if (r)
		return r;
	l->from_hash = backfill_from_hash(w->cfg);
	l->catching_up = 1;
	cutlog_sign(&first, l, w->run_id, w->embedding_partitions);
	crash_point("backfill.chosen");
	r = state_found(w->state, &first, NULL);
	crash_point("backfill.founded");
	if (r == 0)
		r = input_seek(w->input, begin);
	memcpy(w->position, begin, sizeof begin);
	if (r == 0)
		log_info("new model %s: begins in %s at --from %s, and publishes nothing before it has caught up", w->cfg->model_id, w->input_topic, w->cfg->from);
	return r;
}

/* The first run: the fold begins where the input begins today. Recorded as cut 0, in the first transaction. */
static int begin_fold(struct loop *w)
{
	struct train_result none = { 0 };
	if (w->cfg->from[0])
		return begin_fold_from(w);
	int r = client_input_watermarks(w->cfg, w->partitions, w->cut_offsets, NULL);
	if (r == 0)
		r = input_seek(w->input, w->cut_offsets);
	if (r)
		return r;
	note_cut(w, 0, &none);
	crash_point("start.new_model");
	warn_used_group(w);
	log_info("new model %s: begins where %s begins today", w->cfg->model_id, w->input_topic);
	return 0;
}

int check_cut(const struct loop *w, const struct cut *c)
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

/* More than one batch can hold: the topic has other records than it had. */
static int batch_too_large(const struct loop *w)
{
	return userset_count(w->batch_users) > (size_t)w->cfg->batch_users || w->batch_events >= (size_t)w->cfg->batch_events + EVENTS_PER_RECORD_MAX ||
	       w->batch_ignored > BATCH_IGNORED_MAX;
}

/* Reads one recorded batch again, from where `in` stands, into w->batch. Its offsets alone say where it ends: a live worker has met the partitions'
 * records in another order, and the user with whom the batch was full need not be the last new one here. */
static int reread(struct loop *w, struct input *in, const struct cut *c, const volatile sig_atomic_t *stop)
{
	struct record *rec;
	int64_t since_ms = monotonic_ms();
	input_limit(in, c->offsets);
	for (;;) {
		while ((rec = input_next(in, INPUT_WAIT))) {
			batch_add(w, rec, 0);
			since_ms = monotonic_ms();
			if (batch_too_large(w))
				return differs(w, c);
		}
		if (input_at_end(in))
			return 0;
		if (*stop)
			return LOOP_STOPPED;
		int r = input_fill(in, POLL_MS);
		if (r)
			return r;
		if (monotonic_ms() - since_ms >= SILENCE_S * 1000) {
			log_error("replay of step %llu: no input for %d s; is the broker still there?", (unsigned long long)c->step, SILENCE_S);
			return EX_UNAVAILABLE;
		}
	}
}

/* The batch of the newest step in the state, read again and held against its cut: an input topic that was made anew is not the one that the
 * state was folded from, however long it is. begin: where that batch began. Says nothing when retention has removed it. */
static int check_input(struct loop *w, const int64_t *begin, const struct cut *c, const volatile sig_atomic_t *stop)
{
	struct input *in = NULL;
	uint64_t hash = 0;
	int p, r = input_new(&in, w->cfg, w->partitions);
	if (r == 0 && input_reaches(in, begin) == 1)
		r = input_seek(in, begin);
	else
		goto out;
	input_filter(in, w->forgets);
	if (r == 0)
		r = reread(w, in, c, stop);
	while ((p = record_merge(w->batch, NULL, NULL, w->partitions)) >= 0) {
		struct record *rec = record_shift(&w->batch[p]);
		hash = record_hash(hash, rec);
		record_free(rec);
	}
	batch_clear(w);
	if (r == 0 && hash != c->records_hash)
		r = differs(w, c);
out:
	input_free(in);
	return r;
}

/* Folds one recorded batch again. */
static int refold(struct loop *w, const struct cut *c, const volatile sig_atomic_t *stop)
{
	struct train_result t;
	int r = c->pass ? 0 : reread(w, w->input, c, stop);
	if (r)
		return r;
	r = c->pass ? learner_pass(w->learner, c->step, c->skipped, &t) : fold(w, c->step, c->skipped, NULL, &t);
	if (r)
		return r;
	if (t.records_hash != c->records_hash || t.events != c->events || t.dead_letters != c->dead_letters || t.discarded != c->discarded || t.pass != c->pass)
		return differs(w, c);
	return 0;
}

/* The input from these offsets on, or the decision to do without it. */
static int begin_at(struct loop *w, const int64_t *offsets)
{
	w->gap = w->cfg->accept_gap && input_reaches(w->input, offsets) == 0;
	return w->gap ? 0 : input_seek(w->input, offsets);
}

/* The cut of a gap and the state that goes on there are one transaction. */
static int no_state_of_gap(const struct loop *w, const struct cut *c)
{
	log_error("step %llu of %s went on over input that was gone, from a state that is there no more: begin a new model with a new topic.prefix",
	          (unsigned long long)c->step, w->cfg->topic_prefix);
	return EX_DATAERR;
}

/* Cut 0 says where the fold begins, every other one where a batch ended; a commit is an event of the fold, too. (The first cut of a model from a
 * file has the step of the file; state stands behind it always, so it is passed over.) */
static int replay(struct loop *w, const struct cut *c, const volatile sig_atomic_t *stop)
{
	if (c->rollback) {
		log_error("step %llu is a rollback to a file, and the state of %s that knew it is gone: begin a new model with a new topic.prefix", (unsigned long long)c->step,
		          w->cfg->topic_prefix);
		return EX_DATAERR;
	}
	if (w->learner->catching_up && !c->catching_up)
		w->learner->republish = 1;
	w->learner->catching_up = (uint64_t)c->catching_up;
	int r = c->gap ? no_state_of_gap(w, c) : c->step == 0 ? begin_at(w, c->offsets) : refold(w, c, stop);
	if (r || w->gap || !c->commit)
		return r;
	w->learner->republish |= (uint64_t)c->republish;
	w->version = c->version;
	memcpy(w->position, c->offsets, (size_t)w->partitions * sizeof *w->position);
	return learner_publish(w->learner, NULL, c->version, c->now_ms, c->offsets, w->partitions);
}

/* With the limits that held then. */
int replay_cut(struct loop *w, const struct cut *c, const volatile sig_atomic_t *stop)
{
	w->learner->max_users = c->max_users;
	w->learner->max_items = c->max_items;
	int r = replay(w, c, stop);
	w->learner->max_users = (size_t)w->cfg->max_users;
	w->learner->max_items = (size_t)w->cfg->max_items;
	return r;
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

/* A commit leaves a version record in every partition that readers have, and compaction keeps the newest. An empty one was made anew, or its
 * records were removed: what readers lack must be sent again, moved or not. */
static int check_readers(struct loop *w)
{
	int n = w->embedding_partitions, empty = 0;
	int64_t low[n], high[n];
	char topic[TOPIC_NAME_MAX];
	if (w->version == 0 || w->learner->catching_up)
		return 0;
	topic_name(topic, sizeof topic, w->cfg->topic_prefix, TOPIC_EMBEDDINGS);
	int r = client_topic_watermarks(w->cfg, topic, n, low, high);
	for (int p = 0; r == 0 && p < n; p++)
		empty += low[p] == high[p];
	if (empty == 0)
		return r;
	log_warn("%s: %d of %d partitions are empty, but version %llu was published there; was the topic made anew? All rows are published again", topic, empty, n,
	         (unsigned long long)w->version);
	w->learner->republish = 1;
	w->republish = 1;
	return 0;
}

/* What was replayed is flushed on the way, every state.flush.ms, and at the end: else starts that end before a flush is due would replay more each
 * time, and at last do nothing else. These cuts are committed, so the flush may be sent at once. A foreign state stays until all rows are due: the next
 * start must still see that it is one. */
static int flush_replayed(struct loop *w, const struct cut *c, int due)
{
	int r = 0;
	if (due && c->commit && !w->foreign_state && !state_busy(w->state))
		r = begin_flush(w);
	return r ? r : state_turn(w->state, flush_cut_offset(w));
}

/* With --accept.numerics: what was computed elsewhere is written and published in the bits that are known here. A flush that is under way was
 * begun by the replay, and is over soon. */
static int check_bits(struct loop *w, const struct cut *last)
{
	if (!w->foreign_state && !strcmp(last->numeric_id, model_numeric_id(w->learner->model)))
		return 0;
	int r = state_finish(w->state, flush_cut_offset(w));
	if (r == 0)
		r = state_mark_all(w->state);
	w->learner->republish |= (uint64_t)w->foreign_state; /* no cut tells the next start of it, so the manifest does */
	if (r == 0)
		r = begin_flush(w); /* else before all rows are due: that is the next cut's to say */
	w->learner->republish = 1;
	w->republish = 1;
	return r;
}

static int replay_cuts(struct loop *w, struct cutlog *log, uint64_t from, const volatile sig_atomic_t *stop)
{
	struct cut c;
	int64_t offset;
	int end, r = 0;
	uint64_t cuts = 0, replayed = 0, before = 0;
	int64_t begin[w->partitions]; /* where the cut before this one ended */
	for (;;) {
		if (*stop)
			return LOOP_STOPPED;
		r = loop_check_lead(w);
		if (r == 0)
			r = cutlog_next(log, &c, &offset, &end);
		if (r || end)
			break;
		r = check_cut(w, &c);
		if (r == 0 && (cuts++ == 0 || c.step != before + 1))
			r = check_begin(w, &c, from);
		before = c.step;
		if (r)
			return r;
		if (from && c.step == from && cuts > 1 && !c.gap && !c.pass)
			r = check_input(w, begin, &c, stop);
		if (r)
			return r;
		memcpy(begin, c.offsets, sizeof begin);
		if (c.commit)
			w->replayed_offset = offset;
		if (from && c.step == from)
			state_restored_at(w->state, offset);
		if (w->gap || (from && c.step <= from))
			continue;
		if (replayed++ == 0)
			log_info("replaying the committed cuts of %s from step %llu on", w->cfg->topic_prefix, (unsigned long long)c.step);
		crash_point("replay.before_cut");
		r = replay_cut(w, &c, stop);
		if (r)
			return r;
		crash_point("replay.after_cut");
		progress_replay(w->progress, c.step);
		show_turn(w, monotonic_ms(), 0);
		r = flush_replayed(w, &c, flush_due(w));
		if (r)
			return r;
	}
	if (r)
		return r;
	if (cuts == 0)
		return begin_fold(w);
	if (w->gap)
		return loop_pass_gap(w, from, &c);
	log_info("replay done: step=%llu version=%llu events=%llu", (unsigned long long)w->learner->step, (unsigned long long)w->version,
	         (unsigned long long)w->learner->events);
	input_limit(w->input, NULL);
	crash_point("replay.done");
	r = check_bits(w, &c);
	if (r == 0 && replayed)
		r = flush_replayed(w, &c, 1);
	return r ? r : compare_with_group(w);
}

int loop_set_until(struct loop *w)
{
	if (!w->cfg->until[0])
		return 0;
	w->until = calloc((size_t)w->partitions, sizeof *w->until);
	if (!w->until)
		return log_no_memory();
	return positions_resolve(w->cfg, "until", w->cfg->until, w->partitions, w->until);
}

/* All steps of the last cut were computed by one machine, or accepted as if they were. */
static int check_numerics(const struct loop *w, const char *there)
{
	const char *here = model_numeric_id(w->learner->model);
	if (!strcmp(there, here))
		return 0;
	if (w->cfg->accept_numerics) {
		log_warn("this model was computed by %s, from now on by %s: what is published next differs in the last bits from what it would have been; all rows are written and published again",
		         there, here);
		return 0;
	}
	log_error("this model was computed by %s, this machine computes by %s: the replay would not end in the bits that readers have; run it on a "
	          "machine of that kind (for blas-...: --kernel portable), or go on from here with --accept.numerics",
	          there, here);
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
		r = backfill_check(w->cfg, last);
	if (r == 0 && !(w->cfg->accept_gap && input_reaches(w->input, last->offsets) == 0))
		r = input_check(w->input, last->offsets);
	return r ? r : check_numerics(w, last->numeric_id);
}

int loop_check_model(struct loop *w)
{
	struct cutlog *log = NULL;
	struct cut last;
	int none = 1, r = cutlog_new(&log, w->cfg, END_COMMITTED);
	if (r == 0)
		r = cutlog_last(log, &last, &none);
	if (r == 0 && !none)
		r = check_last_cut(w, &last);
	cutlog_free(log);
	return r;
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
	crash_point("replay.begins");
	if (r)
		return r;
	r = state_restore(w->state, &m);
	if (r == EX_DATAERR) { /* compaction may have overtaken what was followed; from here on nothing is written but by us */
		r = loop_read_anew(w);
		if (r == 0)
			r = state_restore(w->state, &m);
	}
	if (r || !m)
		return r;
	r = check_state(w, m, none ? NULL : &last);
	if (r == 0 && !none && strcmp(m->numeric_id, last.numeric_id)) /* a replay that was accepted has flushed, and committed nothing */
		r = check_numerics(w, m->numeric_id);
	w->foreign_state = strcmp(m->numeric_id, model_numeric_id(w->learner->model)) != 0;
	w->version = m->version;
	memcpy(w->position, m->offsets, (size_t)w->partitions * sizeof *w->position);
	*ret_step = m->step;
	/* A rollback has no lines. Those of its step are of a batch whose commit was lost, and which is another step now. */
	w->scored = m->step - (!none && last.rollback && last.step == m->step);
	if (w->learner->covisit) {
		log_warn("co-visitation is not part of the state: from here on it is not ranked (eval.covisit)");
		covisit_free(w->learner->covisit);
		w->learner->covisit = NULL;
	}
	if (r == 0)
		r = loop_filter(w);
	return r || m->step == 0 ? r : begin_at(w, m->offsets); /* 0: cut 0 says so (begin_fold_from) */
}

/* A batch that has ended process after process will end this one, too. */
static int check_attempts(const struct loop *w, const struct cutlog *log)
{
	struct attempt first = { 0 };
	uint64_t n = w->gap ? 0 : cutlog_attempts(log, &first), next = w->learner->step + 1; /* a gap is a commit */
	uint64_t skip = (uint64_t)w->cfg->skip_batch;
	time_t since_s = (time_t)(first.now_ms / 1000);
	char since[32];
	struct tm tm;
	if (skip > next) {
		log_error("skip.batch=%llu: the next batch is that of step %llu; only that one can be skipped", (unsigned long long)skip, (unsigned long long)next);
		return EX_USAGE;
	}
	if (skip && skip < next) /* a start that comes again, or a standby behind whose leader it was passed */
		log_warn("skip.batch=%llu: step %llu is behind already, the next one is %llu: nothing is skipped by this start", (unsigned long long)skip,
		         (unsigned long long)skip, (unsigned long long)next);
	if (n == 0 || skip == next || w->cfg->attempts_max == 0 || n < (uint64_t)w->cfg->attempts_max)
		return 0;
	gmtime_r(&since_s, &tm);
	strftime(since, sizeof since, "%Y-%m-%dT%H:%M:%SZ", &tm);
	log_error("step %llu: %llu starts since %s have ended without a commit, so this one will not try (attempts.max=%lld). Look into their logs; then try "
	          "once more with --attempts.max 0, or pass the batch with --skip.batch %llu",
	          (unsigned long long)next, (unsigned long long)n, since, (long long)w->cfg->attempts_max, (unsigned long long)next);
	return EX_DATAERR;
}

/* Since a start that leads fences all others before it reads, only one that fenced this one in turn can have added to the topics; what it
 * added does not fit what was read before. */
static int blame(struct cutlog *log, int code)
{
	if (code != EX_DATAERR || !log || !cutlog_grew(log))
		return code;
	log_error("lead lost: another worker has committed since this one began to restore, so what was read does not add up; start again, as a standby");
	return EX_TEMPFAIL;
}

int loop_replay(struct loop *w, const volatile sig_atomic_t *stop)
{
	struct cutlog *log = NULL;
	uint64_t from = 0;
	int r = cutlog_new(&log, w->cfg, END_ALL);
	if (r == 0)
		r = restore(w, log, &from);
	watch_phase(w->show.watch, PHASE_REPLAYING);
	if (r == 0 && progress_new(&w->progress, w->cfg, w->learner, w->input, w->committer) < 0)
		r = log_no_memory();
	if (r == 0)
		r = loop_check_lead(w); /* a successor has begun these files anew by now */
	if (r == 0)
		r = learner_resume_scores(w->learner, w->scored);
	if (r == 0)
		r = replay_cuts(w, log, from, stop);
	r = blame(log, r);
	if (r == 0)
		r = check_attempts(w, log);
	cutlog_free(log);
	if (r == 0)
		r = check_readers(w);
	return r ? r : backfill_begin(w);
}

int loop_rollback(struct loop *w, const struct model *m, const struct idmap *ids)
{
	struct learner *l = w->learner;
	struct train_result none = { 0 };
	if (w->cut_n) { /* the replay has found nothing and begun a new model */
		log_error("prefix %s has no model yet: `s4rec import` begins one from a file", w->cfg->topic_prefix);
		return EX_DATAERR;
	}
	int r = state_finish(w->state, flush_cut_offset(w)); /* of the replay */
	if (r == 0)
		r = learner_adopt(l, m, ids);
	if (r)
		return r;
	l->step++; /* a step without a batch: cuts have no gaps */
	note_cut(w, l->step, &none);
	struct cut *c = &w->cuts[0];
	c->commit = c->rollback = 1;
	c->version = w->version;
	r = learner_flush_scores(l); /* the next start folds nothing of this replay again */
	if (r == 0)
		r = state_found(w->state, c, NULL);
	if (r == 0)
		log_info("rolled back %s: step=%llu space=%llu items=%zu, %zu of them from the file; the next `s4rec train` publishes all rows at once", w->cfg->topic_prefix,
		         (unsigned long long)l->step, (unsigned long long)l->space, model_items(l->model), idmap_rows(ids));
	return r;
}
