/* drift.h - has the mean of a stream of numbers risen? Page-Hinkley's test (Page 1954, Hinkley 1971) on numbers in units of their own deviation, so that losses and
 * NDCG of batches of any size need no bounds of their own: the sum of (x - mean) / deviation - DRIFT_SLACK, over its own least value. Mean and
 * deviation are those since the start; a drift starts all anew. Where nothing drifts, one in some million numbers is taken for it (a random walk with that slack passes the
 * bound with probability exp(-2 slack bound)); a rise by k deviations is found after some DRIFT_BOUND / (k - slack) of them. Plain data, zero is ready.
 */
#ifndef S4REC_DRIFT_H
#define S4REC_DRIFT_H
#include <stdint.h>

#define DRIFT_SLACK .1
#define DRIFT_BOUND 50.0
#define DRIFT_MIN 100 /* numbers that only make mean and deviation */

struct drift { double mean, squares, sum, least; uint64_t n; };

/* One number more; 1: the mean has risen. For a fall give -x. */
int drift_add(struct drift *d, double x);

/* The two that are watched, by step. */
struct drifts { struct drift loss, ndcg; uint64_t found; };
/* Of a step that ranked `ranked` events, whose NDCG@20 was ndcg20 in the mean, and trained with this loss. Logs what has drifted, at which event time. */
void drifts_step(struct drifts *d, double loss, uint64_t ranked, double ndcg20, int64_t event_ms);
#endif
