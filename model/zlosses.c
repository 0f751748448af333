/* zlosses.c - the part of the step that sees whole sequences: z, Sinkhorn over batch and queue, the four losses on z. */
#include <string.h>

#include "model/kernel.h"
#include "model/losses.h"
#include "model/model_private.h"

#define QUEUE_FILL 4 /* Sinkhorn sees at least QUEUE_FILL * K rows while the queue has them */

/* k-means: q is 1 at the largest score, ties to the lower prototype. */
static void nearest(float *q, const float *scores, size_t B, size_t K)
{
	memset(q, 0, B * K * sizeof(float));
	for (size_t u = 0; u < B; u++) {
		size_t best = 0;

		for (size_t k = 1; k < K; k++)
			best = scores[u * K + k] > scores[u * K + best] ? k : best;
		q[u * K + best] = 1;
	}
}

/* z (V,B,D) in m->zq: as clustered, contrasted, distilled; the gradient with respect to the pooled outputs ends in
 * m->dz (V,B,D). dmu and the classifier's gradient are added to g->d. */
void z_losses(struct model *m, struct grad *g, const struct batch *b, size_t V, struct step_stats *st)
{
	const struct model_config *c = &m->cfg;
	const float *pooled = encoder_pooled(m->enc), *mu = m->w.mu;
	size_t B = b->B, D = c->D, K = c->K, Q = 0, VBD = V * B * D;
	float *z = m->zq, *z1 = z + B * D, *z2 = z1 + B * D;
	float *dz = m->dz, *dz1 = dz + B * D, *dz2 = dz1 + B * D;       /* of what the losses saw */
	float *dpooled = m->dz + VIEWS * m->users_max * D;              /* of the pooled outputs */
	float *norm = m->mu_norm + K, *dmu = g->d.mu;
	float *queue_z = z + VBD;

	memset(dz, 0, VBD * sizeof(float));
	memset(dpooled, 0, VBD * sizeof(float));
	if (c->norm) {
		normalise_forward(z, norm, pooled, V * B, D);
		normalise_forward(m->mun, m->mu_norm, m->w.mu, K, D);
		memset(m->dmun, 0, K * D * sizeof(float));
		mu = m->mun;
		dmu = m->dmun;
	} else {
		memcpy(z, pooled, VBD * sizeof(float));
	}

	/* Sinkhorn over the batch and, while it is small, the newest of the queue; no gradient flows through q. */
	if (B < QUEUE_FILL * K) {
		Q = QUEUE_FILL * K - B;
		Q = Q < m->queue_count ? Q : m->queue_count;
	}
	for (size_t i = 0; i < Q; i++)
		memcpy(queue_z + i * D, m->queue + (m->queue_next + c->queue - 1 - i) % c->queue * D, D * sizeof(float));
	/* (B+Q,K) = (B+Q,D) (K,D)^T: z, then the queue's rows */
	kernel_pack_t(m->scratch, mu, D, D, K);
	kernel_mul(m->scores, K, z, D, m->scratch, NULL, 0, B, K, D);
	kernel_mul(m->scores + B * K, K, queue_z, D, m->scratch, NULL, 0, Q, K, D);
	if (c->cluster == CLUSTER_KMEANS)
		nearest(m->q, m->scores, B, K);
	else
		sinkhorn(m->q, m->scores, B + Q, K, c->eps, c->iters, m->scratch);
	for (size_t u = 0; u < B; u++) {
		const float *q = m->q + u * K;

		m->hk[u] = 0;
		for (size_t k = 1; k < K; k++)
			if (q[k] > q[m->hk[u]])
				m->hk[u] = (uint32_t)k;
	}

	/* The losses. scores = z mu^T, so dz += dscores mu, dmu += dscores^T z. */
	memset(m->dscores, 0, B * K * sizeof(float));
	st->loss_clust = cluster_loss(m->dscores, m->scores, m->q, B, K, c->tau1, c->alpha, m->scratch);
	kernel_pack(m->scratch, mu, D, K, D);
	kernel_mul(dz, D, m->dscores, K, m->scratch, NULL, 1, B, D, K); /* (B,D) += (B,K) (K,D) */
	kernel_pack(m->scratch, z, D, B, D);
	kernel_mul_t(dmu, D, m->dscores, K, m->scratch, K, D, B); /* (K,D) += (B,K)^T (B,D) */
	if (V == VIEWS) {
		st->loss_scl = contrast_loss(dz1, dz2, dmu, z1, z2, mu, m->hk, B, K, D, c->tau2, c->posden, c->beta1, m->scratch, m->pool);
		st->loss_ckd = distill_loss(dz1, dmu, z1, mu, m->hk, B, D, c->tau3, c->detach, c->beta2)
		             + distill_loss(dz2, dmu, z2, mu, m->hk, B, D, c->tau3, c->detach, c->beta2);
	}
	if (b->head)
		st->loss_adv = adversary_loss(dz, g->d.cls_w, g->d.cls_b, z, m->w.cls_w, m->w.cls_b, b->head, B, D, c->lambda);

	/* Back through the normalisation. */
	if (c->norm) {
		normalise_backward(dpooled, dz, z, norm, V * B, D);
		if (c->cluster == CLUSTER_SINKHORN) /* k-means: prototypes are constants */
			normalise_backward(g->d.mu, m->dmun, m->mun, m->mu_norm, K, D);
	} else {
		for (size_t i = 0; i < VBD; i++)
			dpooled[i] += dz[i];
	}

	g->B = B;
	memcpy(g->z, z, B * D * sizeof(float));
}

void queue_push(struct model *m, const struct grad *g)
{
	size_t D = m->cfg.D;

	for (size_t u = 0; m->cfg.queue && u < g->B; u++) {
		memcpy(m->queue + m->queue_next * D, g->z + u * D, D * sizeof(float));
		m->queue_next = (m->queue_next + 1) % m->cfg.queue;
		m->queue_count += m->queue_count < m->cfg.queue;
	}
}
