/* losses.h - S4Rec's four self-supervised losses on pooled vectors (equations: Wei et al., WWW 2024, arXiv 2404.07219).
 *
 * All functions are pure: outputs first, then inputs, then sizes; gradients are ADDED to d*, NULL where nobody asks;
 * values return double. Scratch is passed in (see *_scratch for its size in floats). Any thread.
 * B users, K prototypes, D width, Q queued rows.
 */
#ifndef S4REC_LOSSES_H
#define S4REC_LOSSES_H
#include <stddef.h>
#include <stdint.h>
#include "model/pool.h"

/* rows: y = x / max(|x|, 1e-12), norm[n] = |x|; backward: dx += (dy - y (y.dy)) / |x|.   x, y (n,D) */
void normalise_forward(float *y, float *norm, const float *x, size_t n, size_t D);
void normalise_backward(float *dx, const float *dy, const float *y, const float *norm, size_t n, size_t D);

/* Sinkhorn-Knopp (eq. 4-6) in the log domain: Q (n,K) from scores (n,K): start exp((S - max)/eps), `iters` alternations
 * of column scaling to n/K and row scaling to 1, rows finally sum to 1. No NaN for n < K, underflow, all-equal scores. */
void sinkhorn(float *q, const float *scores, size_t n, size_t K, float eps, int iters, float *scratch);
size_t sinkhorn_scratch(size_t n, size_t K);

/* L_Clust (eq. 3, 7) = -(1/B) sum_u sum_k q_uk log softmax(scores_u / tau1)_k.  dscores (B,K) += weight * gradient */
double cluster_loss(float *dscores, const float *scores, const float *q, size_t B, size_t K, float tau1, float weight, float *scratch);

/* L_SCL (eq. 8-10), both directions, mean over users: see S4Rec section "sequence contrast": for z1 as anchor
 *   L(z1,z2)_u = -log[ exp(z1_u.z2_u/tau2) / ( sum_{n != u} (exp(z1_u.z1_n/tau2) + exp(z1_u.z2_n/tau2)) + sum_{k != h(u)} exp(z1_u.mu_k/tau2) [+ positive if posden] ) ]
 * z1, z2 (B,D), mu (K,D), h (B); scratch at a multiple of 8 bytes; pool shares the work out, NULL = the caller does it.  dz1, dz2, dmu += weight * gradient. A user whose denominator is empty counts 0. */
double contrast_loss(float *dz1, float *dz2, float *dmu, const float *z1, const float *z2, const float *mu, const uint32_t *h,
                     size_t B, size_t K, size_t D, float tau2, int posden, float weight, float *scratch, struct pool *pool);
size_t contrast_scratch(size_t B, size_t K, size_t D);

/* L_CKD (eq. 11-12): KL(softmax(mu_h(u)/tau3) || softmax(z/tau3)) over the D coordinates, mean over users, ONE view
 * (call it for z1 and z2). detach 1: no gradient into mu. */
double distill_loss(float *dz, float *dmu, const float *z, const float *mu, const uint32_t *h,
                    size_t B, size_t D, float tau3, int detach, float weight);

/* L_Adv (eq. 13): logits = cls_w (2,D) z + cls_b (2); mean cross entropy against head (B). The classifier descends:
 * dw, db += weight * gradient; the encoder receives the reversed one: dz -= weight * gradient. */
double adversary_loss(float *dz, float *dw, float *db, const float *z, const float *w, const float *b, const uint8_t *head,
                      size_t B, size_t D, float weight);

#endif
