/* drift.h - has a number that a stream keeps giving, smaller being better, got worse and stayed so? Page-Hinkley's test (Page 1954, "Continuous
 * inspection schemes"), in units of the number's own spread, so that one bound serves losses and NDCG alike. Plain data, any thread, one at a time;
 * no clock, no draw.
 *
 *     struct drift d = { 0 };
 *     if (drift_add(&d, x)) ...   d.worse, d.usual and d.lasted say how much and for how long
 *
 * Usual is a mean over some DRIFT_STEPS numbers, newer ones weighing more: a model that still learns makes it fall, and a slow change becomes usual
 * without an alarm. What counts is by how much numbers are above usual, less DRIFT_SLACK, summed since the sum was least; DRIFT_BOUND ends it. A
 * level that is one spread higher is told after some thirty numbers. A mean over all that ever was, of a model that learned, stays so far from where
 * things are that it missed a stream whose items were all renamed. After an alarm all begins anew at the level where things are now.
 */
#ifndef S4REC_DRIFT_H
#define S4REC_DRIFT_H
#include <stdint.h>

#define DRIFT_STEPS 512  /* numbers that "usual" is a mean of */
#define DRIFT_YOUNG 128  /* nothing is told of so few */
#define DRIFT_SLACK 0.25 /* the rest in spreads, i.e. standard deviations: what is not worth a word */
#define DRIFT_MOST 5.0   /* what one number counts at most: no outlier is a drift */
#define DRIFT_BOUND 20.0 /* independent normal numbers reach it once in 300,000 (Siegmund 1985) */

struct drift {
	double mean, variance;
	uint64_t n;                 /* numbers since the start or the last alarm, at most DRIFT_STEPS */
	double excess;              /* since it was least, in spreads */
	double sum; uint64_t run;   /* of the numbers since then */
	double usual, worse;        /* the last alarm: the level before it, and since it began */
	uint64_t lasted;            /* ... how many numbers ago that was */
	uint64_t alarms;            /* so far */
};

/* x must be finite; for a fall give -x. 1: an alarm. */
int drift_add(struct drift *d, double x);
/* The two that are watched, by step. 8 bytes a member: the state topic keeps it as it lies in memory. */
struct drifts {
	struct drift loss, ndcg;
	uint64_t found;             /* alarms of both */
	uint64_t left;              /* steps that are still to be trained otherwise (learn/response.c) */
};
enum { DRIFT_LOSS = 1, DRIFT_NDCG = 2 };
/* A step that trained with this loss, and whose ranked events had this NDCG@20 in the mean; NULL: it had no targets, no ranked events. Returned: bits of
 * what has drifted. */
unsigned drifts_add(struct drifts *d, const double *loss, const double *ndcg20);
/* Logs what drifts_add has just returned, at which event time. */
void drifts_tell(const struct drifts *d, unsigned drifted, int64_t event_ms);
#endif
