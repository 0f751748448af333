/* popularity.h - the baseline every recommender must beat: items ranked by an exponentially decayed count of their events.
 * A count is kept as it would be at a moving reference time: adding 2^(age) instead of decaying all. Not thread-safe.
 */
#ifndef S4REC_POPULARITY_H
#define S4REC_POPULARITY_H
#include <stddef.h>
#include <stdint.h>

struct popularity;
int popularity_new(struct popularity **ret, int64_t half_life_ms); /* -ENOMEM */
void popularity_free(struct popularity *p);
/* One event on the item at event time ts_ms. -ENOMEM. */
int popularity_add(struct popularity *p, uint32_t item, int64_t ts_ms);
/* Rank from 0 among `items` rows, of which `gone` have no count and are no items; half of the tied rows count before it, rounded up. */
uint32_t popularity_rank(const struct popularity *p, uint32_t item, size_t items, size_t gone);

/* Recovery. An event at ts_ms would scale all counts back: every item changes then. */
int popularity_will_rescale(const struct popularity *p, int64_t ts_ms);
double popularity_count(const struct popularity *p, uint32_t item);
int popularity_restore(struct popularity *p, uint32_t item, double count); /* -ENOMEM */
void popularity_origin(struct popularity *p, int **ret_started, int64_t **ret_origin_ms); /* to be read or written */
#endif
