/* prequential.h - test-then-train: every event is ranked by the model as it was before the event trained it, and by two
 * baselines. Numbers are means over the last `window` scored events. Ranks count from 0; UNRANKED = the method had nothing
 * to say and scores 0. Not thread-safe.
 */
#ifndef S4REC_PREQUENTIAL_H
#define S4REC_PREQUENTIAL_H
#include <stddef.h>
#include <stdint.h>

#define UNRANKED UINT32_MAX

enum method { BY_MODEL, BY_POPULARITY, BY_COVISIT, METHODS };

struct scores { double hr5, hr10, hr20, ndcg5, ndcg10, ndcg20, mrr; };

struct prequential;
int prequential_new(struct prequential **ret, size_t window); /* -ENOMEM */
void prequential_free(struct prequential *p);
void prequential_add(struct prequential *p, const uint32_t rank[METHODS]);
/* Means over the window; zeros while nothing was scored. */
struct scores prequential_scores(const struct prequential *p, enum method m);
uint64_t prequential_count(const struct prequential *p); /* all events scored so far */
/* Sum of NDCG@20 over the window, in units of 2^-32: exact, so that comparing two methods at every event costs nothing and depends on no order. */
int64_t prequential_ndcg(const struct prequential *p, enum method m);

/* Recovery: the ring as it lies in memory (*ret_bytes), and how many events were ever added; both to be read, or written and then summed. */
void *prequential_ring(struct prequential *p, size_t *ret_bytes, uint64_t **ret_count);
void prequential_sum(struct prequential *p);
#endif
