/* augment.h - the two random views of a sequence (S4Rec section 4): mask, crop, reorder, insert.
 * Draws come from (seed, step, user, view): the operator, then its places. Small sequences draw per position where an
 * integer share would be a no-op. How a batch is packed plays no part. Any thread.
 */
#ifndef S4REC_AUGMENT_H
#define S4REC_AUGMENT_H
#include <stddef.h>
#include <stdint.h>
#include "model/model.h"

/* The rows that `insert` draws from: those of a batch, item (n), each as often as it stands there, in ascending order, so that a draw means the
 * same row wherever its user was packed. ret (n); tmp (n) is scratch. */
void augment_pool(uint32_t *ret, uint32_t *tmp, const uint32_t *item, size_t n);

/* Writes one view of item (n rows, 1 <= n <= L) to ret (room for L) and returns its length 1..L. pool (pool_n): see augment_pool. */
size_t augment_view(uint32_t *ret, const uint32_t *item, size_t n, const uint32_t *pool, size_t pool_n,
                    const struct model_config *c, uint64_t step, uint64_t user, int view);
#endif
