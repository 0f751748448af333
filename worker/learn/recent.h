/* recent.h - the items of the newest events: the streaming estimate of item frequencies that sampled negatives are drawn from
 * (model.h: struct batch, recent). Exact for its window, in constant time and memory. Part of the fold. Not thread-safe.
 */
#ifndef S4REC_RECENT_H
#define S4REC_RECENT_H
#include <stddef.h>
#include <stdint.h>

struct recent;
int recent_new(struct recent **ret, size_t events, size_t items_max); /* -ENOMEM */
void recent_free(struct recent *r);
/* The item's newest event; the oldest event leaves once the window is full. -ENOMEM. */
int recent_add(struct recent *r, uint32_t item);
/* Events on items whose gone[row] is set leave the window; the others keep their order. */
void recent_drop(struct recent *r, const uint8_t *gone);
/* The item rows in the window (*ret_n), in no order that matters; borrowed until the next call of recent_add. */
const uint32_t *recent_items(const struct recent *r, size_t *ret_n);
/* How often each of rows 0 .. items - 1 stands in the window, also of those that it never saw (a model from a file has such, and one whose items
 * left the window before a restart); items: at most items_max. NULL: out of memory. */
const uint32_t *recent_counts(struct recent *r, size_t items);

/* Recovery: the ring as it lies in memory (room for all events of the window), what fills it and where it goes on. */
uint32_t *recent_ring(struct recent *r, size_t *ret_n, size_t *ret_next);
int recent_restore(struct recent *r, size_t n, size_t next); /* after the ring was filled; -EINVAL, -ENOMEM */
#endif
