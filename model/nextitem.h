/* nextitem.h - L_SR (eq. 1): the loss of the next item, in three forms, with its gradient.
 *
 * h (n,D): outputs at positions that have a target; target (n) item rows; w (n) weights or NULL.
 * E (N,D) item rows, contiguous with stride ldE floats (rows lie between their moments).
 * Logits are dot(h, e) or, with cosine, dot of normalised h and e divided by cosine_tau.
 * The value is sum_i w_i l_i / n. dh (n,D) is overwritten; item gradients: dE (N,D) overwritten for LOSS_FULL (dense), else a list
 * of touched rows (see struct sparse_rows). Work is cut into fixed blocks and reduced in a fixed order: the bits do not
 * depend on the number of threads.
 */
#ifndef S4REC_NEXTITEM_H
#define S4REC_NEXTITEM_H
#include "model/model.h"
#include "model/pool.h"

struct nextitem;
int nextitem_new(struct nextitem **ret, const struct model_config *c, struct pool *p);
void nextitem_free(struct nextitem *x);

/* Full softmax over the catalogue. Never forms (n,N): row blocks of h against column blocks of E, two passes
 * (maximum and sum; then probabilities and gradients). gone (N): 1 = the row is no item, and its gradient is 0; NULL = all are. */
double nextitem_full(struct nextitem *x, float *dh, float *dE, const float *h, const uint32_t *target, const float *w,
                     const float *E, size_t ldE, const uint8_t *gone, size_t n, size_t N);

/* Sampled softmax against the rows of negative (S = c->negatives), shared by all positions; a negative equal to the target is left
 * out of its row. logq (S): log of the expected number of a negative's draws, S Q, taken off its logit (NULL = 0). The target is not
 * drawn and keeps its logit: e^s_t + sum over the others of e^s_k / (S Q_k) is an unbiased estimate of the full softmax's sum.
 * dN (S,D) and dT (n,D): the gradient of the negatives' and the targets' rows. */
double nextitem_sampled(struct nextitem *x, float *dh, float *dT, float *dN, const float *h, const uint32_t *target, const uint32_t *negative,
                        const float *w, const float *logq, const float *E, size_t ldE, size_t n);

/* Binary cross entropy, c->negatives (>= 1) uniform negatives a position: -log s(h.e_t) - (1/negatives) sum log(1 - s(h.e_neg)).
 * negative (n,negatives) given, or drawn into it by the caller. dT (n,D), dN (n,negatives,D). */
double nextitem_bce(struct nextitem *x, float *dh, float *dT, float *dN, const float *h, const uint32_t *target, const uint32_t *negative,
                    const float *w, const float *E, size_t ldE, size_t n);
/* (n) w_i l_i of the last call, until the next one. */
const double *nextitem_losses(const struct nextitem *x);
#endif
