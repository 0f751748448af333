/* drift.c - see drift.h */
#include "worker/eval/drift.h"

#include <math.h>
#include <time.h>

#include "worker/log.h"

int drift_add(struct drift *d, double x)
{
	double before = x - d->mean;

	d->n++;
	d->mean += before / (double)d->n;
	d->squares += before * (x - d->mean);
	if (d->n < DRIFT_MIN || d->squares <= 0)
		return 0;
	d->sum += (x - d->mean) / sqrt(d->squares / (double)d->n) - DRIFT_SLACK;
	d->least = d->sum < d->least ? d->sum : d->least;
	if (d->sum - d->least <= DRIFT_BOUND)
		return 0;
	*d = (struct drift){ 0 };
	return 1;
}

static void say(struct drifts *d, const char *what, double was, int64_t event_ms)
{
	time_t s = (time_t)(event_ms / 1000);
	struct tm tm;
	char time[32];

	d->found++;
	gmtime_r(&s, &tm);
	strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", &tm);
	log_info("drift of=%s event_time=%s mean_before=%.4f", what, time, was);
}

void drifts_step(struct drifts *d, double loss, uint64_t ranked, double ndcg20, int64_t event_ms)
{
	double was_loss = d->loss.mean, was_ndcg = -d->ndcg.mean;

	if (drift_add(&d->loss, loss))
		say(d, "loss", was_loss, event_ms);
	if (ranked && drift_add(&d->ndcg, -ndcg20))
		say(d, "ndcg20", was_ndcg, event_ms);
}
