/* drift.c - see drift.h */
#include "worker/eval/drift.h"

#include <math.h>
#include <time.h>

#include "worker/log.h"

/* By how many spreads x is above the usual. Numbers that were all the same have no spread: then any other is far from usual. */
static double above(const struct drift *d, double x)
{
	double spread = sqrt(d->variance), by = x - d->mean;

	if (spread > 0)
		by /= spread;
	else if (by != 0)
		by = by > 0 ? DRIFT_MOST : -DRIFT_MOST;
	return fmin(fmax(by, -DRIFT_MOST), DRIFT_MOST);
}

static void learn(struct drift *d, double x)
{
	double before = x - d->mean;

	d->n += d->n < DRIFT_STEPS;
	d->mean += before / (double)d->n;
	d->variance += (before * (x - d->mean) - d->variance) / (double)d->n;
}

static int tell(struct drift *d)
{
	*d = (struct drift){ .usual = d->mean, .worse = d->sum / (double)d->run, .lasted = d->run, .alarms = d->alarms + 1 };
	return 1;
}

int drift_add(struct drift *d, double x)
{
	if (d->n >= DRIFT_YOUNG) {
		d->excess += above(d, x) - DRIFT_SLACK;
		d->sum += x;
		d->run++;
		if (d->excess > DRIFT_BOUND)
			return tell(d);
		if (d->excess <= 0) {
			d->excess = d->sum = 0;
			d->run = 0;
		}
	}
	learn(d, x);
	return 0;
}

static void say(const char *what, const struct drift *of, double sign, int64_t event_ms)
{
	time_t s = (time_t)(event_ms / 1000);
	struct tm tm;
	char time[32];

	gmtime_r(&s, &tm);
	strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", &tm);
	log_info("drift of=%s event_time=%s mean_before=%.4f mean_since=%.4f steps_since=%llu", what, time, sign * of->usual, sign * of->worse,
	         (unsigned long long)of->lasted);
}

unsigned drifts_add(struct drifts *d, const double *loss, const double *ndcg20)
{
	unsigned drifted = 0;

	if (loss && drift_add(&d->loss, *loss))
		drifted |= DRIFT_LOSS;
	if (ndcg20 && drift_add(&d->ndcg, -*ndcg20))
		drifted |= DRIFT_NDCG;
	d->found += (drifted & DRIFT_LOSS ? 1 : 0) + (drifted & DRIFT_NDCG ? 1 : 0);
	return drifted;
}

void drifts_tell(const struct drifts *d, unsigned drifted, int64_t event_ms)
{
	if (drifted & DRIFT_LOSS)
		say("loss", &d->loss, 1, event_ms);
	if (drifted & DRIFT_NDCG)
		say("ndcg20", &d->ndcg, -1, event_ms);
}
