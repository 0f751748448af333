/* baselines.h - what a recommender that learns from a stream must beat, all learning event by event, so they know of an event a moment before it
 * all that came before, also of the batch that the model is still to train:
 *
 *     decayed popularity    half-life chosen on the warm-up
 *     recent popularity     events of the last hours, as many as did best on the warm-up; at most RECENT_MAX events
 *     co-visitation         what followed the user's last item, by decayed count (covisit.h), half-life or none chosen on the warm-up
 *     item kNN              items that users met within KNN_HISTORY events of each other, as a cosine of counts, summed over the user's newest
 *                           KNN_HISTORY items, the n-th newest weighing 1/n; at most COVISIT_SUCCESSORS neighbours an item
 *
 * Items of which a method knows nothing come behind the others, in the order of the decayed popularity. Not thread-safe.
 */
#ifndef S4REC_BASELINES_H
#define S4REC_BASELINES_H
#include <stddef.h>
#include <stdint.h>

#define RECENT_MAX 1048576
#define KNN_HISTORY 5

enum baseline { BY_DECAYED, BY_RECENT, BY_FOLLOWED, BY_KNN, BASELINES };

struct baselines;
int baselines_new(struct baselines **ret); /* -ENOMEM */
void baselines_free(struct baselines *b);
/* Ranks from 0 of item at ts_ms for a user with this history (n rows, oldest first; n >= 1). rows and gone: as popularity_rank. */
void baselines_rank(struct baselines *b, uint32_t ret[BASELINES], uint32_t item, const uint32_t *history, size_t n, size_t rows, size_t gone);
/* The same event, learned. n may be 0. -ENOMEM */
int baselines_learn(struct baselines *b, uint32_t item, const uint32_t *history, size_t n, int64_t ts_ms);
/* Items whose gone[row] is set are no more. */
int baselines_drop(struct baselines *b, const uint8_t *gone, size_t rows); /* -ENOMEM */
/* The warm-up is over: half-lives and hours are those that had the highest NDCG@20 of what was ranked so far, the shortest among equals. */
void baselines_choose(struct baselines *b);
int64_t baselines_half_life_ms(const struct baselines *b);
int64_t baselines_recent_ms(const struct baselines *b);
int64_t baselines_covisit_ms(const struct baselines *b); /* half-life; 0: none */
#endif
