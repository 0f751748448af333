/* show.c - see show.h */
#include "worker/learn/show.h"

#include <stdio.h>
#include <string.h>

#include "worker/clock.h"
#include "worker/learn/loop_private.h"

#define QUIET_MS 1000   /* a turn in which nothing happened is shown this often: lag and rate change all the same */
#define QUALITY_MS 1000

/* ---- what is shown ---- */

static struct counts count(const struct loop *w)
{
	const struct learner *l = w->learner;
	return (struct counts){
		.events = l->events, .ranked = prequential_count(l->prequential), .steps = w->show.steps, .duplicates = l->duplicates, .late = l->late,
		.clamped = l->clamped, .unadmitted = l->unadmitted, .expired_items = l->expired_items, .expired_users = l->expired_users,
		.items_published = l->items_published, .users_published = l->users_published, .drifts = l->drifts.found,
	};
}

static void show_counts(const struct loop *w, struct snapshot *s)
{
	struct counts c = count(w);
	const struct counts *base = &w->show.base;
#define X(name) s->count.name = c.name - base->name;
	SNAPSHOT_COUNTS(X)
#undef X
	s->dead = w->learner->refused;
}

static struct snapshot_quality quality(const struct learner *l, enum method m)
{
	struct scores x = prequential_scores(l->prequential, m);
	return (struct snapshot_quality){ x.hr20, x.ndcg20 };
}

static void show_learner(const struct loop *w, struct snapshot *s)
{
	const struct learner *l = w->learner;
	s->step = l->step;
	s->version = w->version;
	s->space = l->space;
	s->watermark_ms = l->watermark_ms;
	s->items = idmap_count(l->item_ids);
	s->users = idmap_count(l->user_ids);
	s->total_events = l->events;
	s->total_dead_letters = l->dead_letters;
	s->gaps = l->gaps;
	s->held = l->guard.held != 0;
	if (s->held)
		learner_held_why(l, s->held_why, sizeof s->held_why);
	s->pass = l->passes.at ? l->passes.done + 1 : 0;
	s->pass_users = l->passes.at;
	s->pass_rows = l->passes.rows;
}

static void show_quality(struct loop *w, struct snapshot *s, int64_t now_ms)
{
	if (now_ms - w->show.quality_ms < QUALITY_MS)
		return;
	w->show.quality_ms = now_ms;
	s->model = quality(w->learner, BY_MODEL);
	s->popularity = quality(w->learner, BY_POPULARITY);
}

static void show_commits(struct loop *w, struct snapshot *s)
{
	struct committer_stats c;
	committer_totals(w->committer, &c);
	s->commits = c.commits;
	s->commit_retries = c.retries;
	s->stage[STAGE_COMMIT] = c.took;
	if (c.commits != w->show.commits)
		s->published_ms = wall_ms();
	w->show.commits = c.commits;
	if (w->learner->freshness_p99_ms) {
		s->freshness_p50_ms = w->learner->freshness_p50_ms;
		s->freshness_p99_ms = w->learner->freshness_p99_ms;
	}
}

static void show_state(const struct loop *w, struct snapshot *s)
{
	struct state_stats x = state_stats(w->state);
	s->flushes = x.flushes;
	s->flush_rows = x.rows;
	s->flush_last_ms = x.last_ms;
	s->state_step = x.step;
}

static void show_progress(const struct loop *w, struct snapshot *s)
{
	struct progress_view v;
	progress_look(w->progress, &v);
	const double loss[LOSS_TERMS] = { v.mean.loss_sr, v.mean.loss_clust, v.mean.loss_scl, v.mean.loss_ckd, v.mean.loss_adv };
	memcpy(s->loss, loss, sizeof loss);
	s->events_per_s = v.rate;
	s->backlog = v.left;
}

static void show_input(struct loop *w, struct snapshot *s)
{
	const int64_t *next = input_offsets(w->input);
	s->partitions = w->partitions;
	for (int p = 0; p < w->partitions; p++)
		s->partition[p] = (struct snapshot_partition){ next[p], input_partition_lag(w->input, p) };
}

static void publish(struct loop *w, int64_t now_ms)
{
	struct snapshot *s = watch_now(w->show.watch);
	w->show.told_ms = now_ms;
	show_learner(w, s);
	show_quality(w, s, now_ms);
	if (w->show.trains) {
		show_counts(w, s);
		show_commits(w, s);
		show_state(w, s);
		show_progress(w, s);
		show_input(w, s);
	}
	watch_publish(w->show.watch);
}

/* ---- when ---- */

void loop_watch(struct loop *w, struct watch *watch)
{
	struct snapshot *s = watch_now(watch);
	w->show.watch = watch;
	if (!s)
		return;
	snprintf(s->prefix, sizeof s->prefix, "%s", w->cfg->topic_prefix); /* of a model beside another it is known only now */
	snprintf(s->input_topic, sizeof s->input_topic, "%s", w->input_topic);
	snprintf(s->run_id, sizeof s->run_id, "%s", w->run_id);
	snprintf(s->numeric_id, sizeof s->numeric_id, "%s", model_numeric_id(w->learner->model));
	s->config_hash = config_fold_hash(w->cfg);
	watch_publish(watch);
}

void show_followed(struct loop *w, const struct state_followed *f)
{
	struct snapshot *s = watch_now(w->show.watch);
	if (!s)
		return;
	watch_beat(w->show.watch);
	s->restore_records = f->records;
	s->step = s->state_step = f->step;
	watch_publish(w->show.watch);
}

void show_lead(struct loop *w)
{
	struct snapshot *s = watch_now(w->show.watch);
	if (!s)
		return;
	s->leads = 1;
	watch_publish(w->show.watch);
}

/* learner_watch: between ranking a batch and training it. */
static int after_ranking(void *loop, struct learner *l, const struct scored *events, size_t n)
{
	struct loop *w = loop;
	w->show.ranked_us = show_clock_us(w);
	return 0;
}

void show_training(struct loop *w)
{
	if (!w->show.watch)
		return;
	w->show.base = count(w);
	w->show.trains = 1;
	w->learner->watch = (struct learner_watch){ .scored = after_ranking, .ctx = w };
	publish(w, monotonic_ms());
}

int64_t show_clock_us(const struct loop *w)
{
	return w->show.watch ? monotonic_us() : 0;
}

void show_stage(struct loop *w, enum stage stage, int64_t since_us)
{
	watch_stage(w->show.watch, stage, show_clock_us(w) - since_us);
}

void show_step(struct loop *w, const struct train_result *t, int64_t since_us)
{
	struct snapshot *s = watch_now(w->show.watch);
	if (!s)
		return;
	w->show.steps++;
	s->discarded[t->discarded]++;
	if (w->show.ranked_us) { /* a pass, or a batch that is skipped, ranks none */
		watch_stage(w->show.watch, STAGE_RANK, w->show.ranked_us - since_us);
		since_us = w->show.ranked_us;
	}
	w->show.ranked_us = 0;
	show_stage(w, STAGE_STEP, since_us);
}

void show_turn(struct loop *w, int64_t now_ms, int changed)
{
	watch_beat(w->show.watch);
	if (w->show.watch && (changed || now_ms - w->show.told_ms >= QUIET_MS))
		publish(w, now_ms);
}
