/* kmeans.c - prototypes by spherical k-means: on the unit sphere the nearest mean is the largest product, which is model_assign. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/losses.h"
#include "model/model_private.h"
#include "model/rng.h"
#include "model/vmath.h"

struct kmeans { float *x, *norm, *far, *sum; int32_t *k, *was; }; /* x (n,D) directions, far (n) 1 - cosine to the nearest, sum (K,D) */

/* far[i] shrinks to the distance to centre; returns the sum of all. */
static double nearer(float *far, const float *x, const float *centre, size_t n, size_t D)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++) {
		float d = 1 - vmath_dot(x + i * D, centre, D);

		d = d > 1e-6f ? d : 0; /* rounding: the same direction */
		far[i] = d < far[i] ? d : far[i];
		sum += far[i];
	}
	return sum;
}

/* k-means++: each next centre is a point drawn in proportion to its squared distance, 2 - 2 cosine, from those there are. */
static void seed_centres(struct model *m, struct kmeans *s, size_t n)
{
	size_t D = m->cfg.D;
	double sum = 2 * (double)n;

	for (size_t i = 0; i < n; i++)
		s->far[i] = 2; /* as far as can be: the first draw is even */
	for (size_t k = 0; k < m->cfg.K && sum > 0; k++) {
		double at = sum * rng_unit(rng_bits(m->cfg.seed, RNG_KMEANS, m->applied, k, 0));
		size_t pick = n;

		for (size_t i = 0; i < n && (pick == n || at >= 0); i++)
			if (s->far[i] > 0) {
				pick = i; /* the last that is away, should rounding leave at above 0 */
				at -= s->far[i];
			}
		memcpy(m->w.mu + k * D, s->x + pick * D, D * sizeof(float));
		sum = nearer(s->far, s->x, m->w.mu + k * D, n, D);
	}
}

/* Means of the directions assigned to each prototype, in the order of the points. */
static void move_centres(struct model *m, struct kmeans *s, size_t n)
{
	size_t D = m->cfg.D;
	float norm;

	memset(s->sum, 0, m->cfg.K * D * sizeof(float));
	for (size_t i = 0; i < n; i++)
		vmath_axpy(s->sum + (size_t)s->k[i] * D, 1, s->x + i * D, D);
	for (size_t k = 0; k < m->cfg.K; k++)
		if (vmath_dot(s->sum + k * D, s->sum + k * D, D) > 1e-12f)
			normalise_forward(m->w.mu + k * D, &norm, s->sum + k * D, 1, D);
}

int model_kmeans(struct model *m, const float *z, size_t n, int iters)
{
	size_t D = m->cfg.D, K = m->cfg.K, mu = (size_t)(m->w.mu - m->block_w);
	struct kmeans s = { calloc(n * D + 1, sizeof(float)), calloc(n + 1, sizeof(float)), calloc(n + 1, sizeof(float)), calloc(K * D, sizeof(float)),
	                    calloc(n + 1, sizeof(int32_t)), calloc(n + 1, sizeof(int32_t)) };
	int r = s.x && s.norm && s.far && s.sum && s.k && s.was ? 0 : -ENOMEM;

	if (!r) {
		normalise_forward(s.x, s.norm, z, n, D);
		seed_centres(m, &s, n);
		for (int i = 0; i < iters; i++) {
			model_assign(m, s.k, s.x, n);
			if (i && !memcmp(s.k, s.was, n * sizeof *s.k))
				break;
			memcpy(s.was, s.k, n * sizeof *s.k);
			move_centres(m, &s, n);
		}
		memset(m->block_m + mu, 0, K * D * sizeof(float));
		memset(m->block_v + mu, 0, K * D * sizeof(float));
	}
	free(s.x); free(s.norm); free(s.far); free(s.sum); free(s.k); free(s.was);
	return r;
}
