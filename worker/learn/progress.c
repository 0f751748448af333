/* progress.c - see progress.h */
#include "worker/learn/progress.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "worker/log.h"

#define REPAINT_MS 250
#define SMOOTH 0.05 /* weight of the newest step in the losses that are shown */

struct progress {
	const struct config *cfg;
	const struct learner *l;
	struct input *in;
	struct committer *k;
	const int64_t *goal; /* (partitions) */
	int partitions;
	int64_t last_left;   /* records before the goal at the last line; -1 = there was none */
	double drained;      /* ... and how many of them go in a second */
	int terminal;
	int64_t first_ms, last_ms;
	uint64_t first_events, last_events;
	double rate;        /* events per second since the last line; in the last line, of the whole run */
	struct step_stats mean; /* running means */
	int any;
};

int progress_new(struct progress **ret, const struct config *c, const struct learner *l, struct input *in, struct committer *k)
{
	struct progress *p = calloc(1, sizeof *p);
	if (!p)
		return -ENOMEM;

	*p = (struct progress){ .cfg = c, .l = l, .in = in, .k = k, .terminal = log_repaints() };
	*ret = p;
	return 0;
}

void progress_free(struct progress *p)
{
	free(p);
}

static void smooth(double *mean, double x, int first)
{
	*mean = first ? x : *mean + SMOOTH * (x - *mean);
}

void progress_step(struct progress *p, const struct train_result *t)
{
	if (t->users == 0 || t->discarded)
		return;
	int first = !p->any;
	smooth(&p->mean.loss_sr, t->stats.loss_sr, first);
	smooth(&p->mean.loss_clust, t->stats.loss_clust, first);
	smooth(&p->mean.loss_scl, t->stats.loss_scl, first);
	smooth(&p->mean.loss_ckd, t->stats.loss_ckd, first);
	smooth(&p->mean.loss_adv, t->stats.loss_adv, first);
	p->any = 1;
	drifts_tell(&p->l->drifts, t->drifted, p->l->watermark_ms);
}

static void event_time(char *ret, size_t size, int64_t ms)
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	gmtime_r(&s, &tm);
	strftime(ret, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void progress_goal(struct progress *p, const int64_t *goal, int partitions)
{
	p->goal = goal;
	p->partitions = partitions;
	p->last_left = -1;
	p->drained = 0;
}

static int64_t records_left(const struct progress *p)
{
	const int64_t *at = input_offsets(p->in);
	int64_t left = 0;
	for (int i = 0; p->goal && i < p->partitions; i++)
		left += p->goal[i] > at[i] ? p->goal[i] - at[i] : 0;
	return left;
}

/* " backlog=12000 eta_s=34", " pass=2 of 5 users=300 of 4000", or nothing. */
static void tell_backlog(const struct progress *p, char *ret, size_t size)
{
	const struct passes *passes = &p->l->passes;
	int64_t left = records_left(p);
	ret[0] = '\0';
	if (passes->at)
		snprintf(ret, size, " pass=%llu of %lld users=%llu of %llu", (unsigned long long)passes->done + 1, (long long)p->cfg->epochs,
		         (unsigned long long)passes->at, (unsigned long long)passes->rows);
	else if (left && p->drained > 0)
		snprintf(ret, size, " backlog=%lld eta_s=%.0f", (long long)left, (double)left / p->drained);
	else if (left)
		snprintf(ret, size, " backlog=%lld", (long long)left);
}

static void measure_backlog(struct progress *p, int64_t ms)
{
	int64_t left = records_left(p);
	if (p->last_left >= 0 && ms > 0)
		p->drained = (double)(p->last_left - left) * 1000 / (double)ms;
	p->last_left = left;
}

static void report(struct progress *p, int repaint)
{
	char line[1300], time[32] = "-", backlog[96], ignored[32] = "";
	struct scores m = prequential_scores(p->l->prequential, BY_MODEL), pop = prequential_scores(p->l->prequential, BY_POPULARITY);
	tell_backlog(p, backlog, sizeof backlog);
	if (p->l->ignored)
		snprintf(ignored, sizeof ignored, " ignored=%llu", (unsigned long long)p->l->ignored);
	if (p->l->watermark_ms)
		event_time(time, sizeof time, p->l->watermark_ms);
	snprintf(line, sizeof line,
	         "events=%llu rate=%.0f/s event_time=%s lag=%lld step=%llu loss_sr=%.3f loss_clust=%.3f loss_scl=%.3f loss_ckd=%.4f loss_adv=%.3f "
	         "hr5=%.4f ndcg5=%.4f hr10=%.4f ndcg10=%.4f hr20=%.4f ndcg20=%.4f mrr=%.4f popularity_hr20=%.4f popularity_ndcg20=%.4f popularity_mrr=%.4f items_published=%llu users_published=%llu dead_letters=%llu late=%llu duplicates=%llu clamped=%llu unadmitted=%llu items=%zu users=%zu expired_items=%llu expired_users=%llu drifts=%llu%s%s%s",
	         (unsigned long long)p->l->events, p->rate, time, (long long)input_lag(p->in), (unsigned long long)p->l->step, p->mean.loss_sr,
	         p->mean.loss_clust, p->mean.loss_scl, p->mean.loss_ckd, p->mean.loss_adv, m.hr5, m.ndcg5, m.hr10, m.ndcg10, m.hr20, m.ndcg20, m.mrr, pop.hr20, pop.ndcg20, pop.mrr,
	         (unsigned long long)p->l->items_published, (unsigned long long)p->l->users_published, (unsigned long long)p->l->dead_letters, (unsigned long long)p->l->late,
	         (unsigned long long)p->l->duplicates, (unsigned long long)p->l->clamped, (unsigned long long)p->l->unadmitted, idmap_count(p->l->item_ids),
	         idmap_count(p->l->user_ids), (unsigned long long)p->l->expired_items, (unsigned long long)p->l->expired_users,
	         (unsigned long long)p->l->drifts.found, ignored, p->l->guard.held ? " held=true" : "", backlog);
	if (!repaint) {
		log_info("train %s", line);
		return;
	}
	snprintf(line, sizeof line, "%s  %.0f ev/s  lag %lld  SR %.2f Clust %.2f SCL %.2f CKD %.3f Adv %.2f | NDCG@20 %.3f (popularity %.3f) HR@20 %.3f | rows %llu%s%s", time,
	         p->rate, (long long)input_lag(p->in), p->mean.loss_sr, p->mean.loss_clust, p->mean.loss_scl, p->mean.loss_ckd, p->mean.loss_adv,
	         m.ndcg20, pop.ndcg20, m.hr20, (unsigned long long)(p->l->items_published + p->l->users_published),
	         p->l->guard.held ? " HELD" : "", backlog);
	log_progress(line);
}

void progress_tick(struct progress *p, int64_t now_ms)
{
	int64_t every = p->terminal ? REPAINT_MS : p->cfg->progress_ms;
	if (p->last_ms == 0) {
		p->first_ms = p->last_ms = now_ms;
		p->first_events = p->last_events = p->l->events;
	}
	if (now_ms - p->last_ms < every)
		return;
	p->rate = (double)(p->l->events - p->last_events) * 1000 / (double)(now_ms - p->last_ms);
	measure_backlog(p, now_ms - p->last_ms);
	p->last_ms = now_ms;
	p->last_events = p->l->events;
	report(p, p->terminal);
}

void progress_replay(struct progress *p, uint64_t step)
{
	if (step && step % 1000 == 0)
		log_info("replay step=%llu events=%llu", (unsigned long long)step, (unsigned long long)p->l->events);
}

void progress_look(const struct progress *p, struct progress_view *ret)
{
	*ret = (struct progress_view){ .mean = p->mean, .rate = p->rate, .left = records_left(p) };
}

void progress_end(struct progress *p, int64_t now_ms, int code)
{
	struct committer_stats s;
	struct rusage usage = { 0 };
	getrusage(RUSAGE_SELF, &usage);
	if (p->terminal)
		log_progress(NULL);
	committer_stats(p->k, &s);
	if (now_ms > p->first_ms)
		p->rate = (double)(p->l->events - p->first_events) * 1000 / (double)(now_ms - p->first_ms);
	report(p, 0);
	log_info("stopped code=%d step=%llu commits=%llu commit_p50_ms=%.1f commit_p99_ms=%.1f retries=%llu peak_rss_mb=%ld", code, (unsigned long long)p->l->step,
	         (unsigned long long)s.commits, s.p50_ms, s.p99_ms, (unsigned long long)s.retries, usage.ru_maxrss / 1024);
}
