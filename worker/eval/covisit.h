/* covisit.h - the baseline of first-order co-visitation: which items followed the user's last one, by count, plain or decayed with event time.
 * Keeps at most COVISIT_SUCCESSORS successors an item (the rarest gives way). A decayed count is kept as popularity.h keeps it: as it would be at a
 * moving reference time. Counts are floats: a plain one stops at 2^24. Not thread-safe.
 */
#ifndef S4REC_COVISIT_H
#define S4REC_COVISIT_H
#include <stddef.h>
#include <stdint.h>

#define COVISIT_SUCCESSORS 256

struct successor { uint32_t item; float count; };

struct covisit;
int covisit_new(struct covisit **ret, int64_t half_life_ms); /* 0: counts do not decay. -ENOMEM */
void covisit_free(struct covisit *c);
int covisit_add(struct covisit *c, uint32_t item, uint32_t next, int64_t ts_ms); /* -ENOMEM */
/* Items whose gone[row] is set (rows of them) are no more: neither they nor that they followed another. */
void covisit_drop(struct covisit *c, const uint8_t *gone, size_t rows);
/* The successors of an item, in no order, valid until the next change; how many. */
size_t covisit_successors(const struct covisit *c, uint32_t item, const struct successor **ret);
/* Rank from 0 of next after item; items that never followed come behind all that did, in the order of popularity
 * (popularity_rank is given). */
uint32_t covisit_rank(const struct covisit *c, uint32_t item, uint32_t next, uint32_t popularity_rank);
#endif
