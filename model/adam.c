/* adam.c - Adam (Kingma, Ba 2015), decoupled weight decay. Elementwise, so any cut into blocks gives the same bits. Row-wise Adagrad. */
#include <math.h>

#include "model/model_private.h"
#include "model/vmath.h"

struct adam adam_at(const struct model_config *c, uint64_t step, float lr, float scale)
{
	return (struct adam){
		.lr = lr, .beta_1 = c->beta_1, .beta_2 = c->beta_2, .eps = c->adam_eps, .decay = lr * c->weight_decay, .scale = scale,
		/* Bias corrections in double: 1 - .999^step cancels for small steps. */
		.correct_1 = (float)(1.0 / (1.0 - pow(c->beta_1, (double)step))),
		.correct_2 = (float)(1.0 / (1.0 - pow(c->beta_2, (double)step))),
	};
}

/* m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  w -= lr (m c1 / (sqrt(v c2) + eps) + decay w).  eps stands outside the root. */
S4_CLONES void adam_step(float *restrict w, float *restrict m, float *restrict v, const float *restrict grad, const struct adam *a, size_t n)
{
	float lr = a->lr, b1 = a->beta_1, b2 = a->beta_2, eps = a->eps, decay = a->decay, c1 = a->correct_1, c2 = a->correct_2, scale = a->scale;

	for (size_t i = 0; i < n; i++) {
		float g = scale * grad[i];

		m[i] = b1 * m[i] + (1 - b1) * g;
		v[i] = b2 * v[i] + (1 - b2) * g * g;
		w[i] -= lr * (m[i] * c1) / (__builtin_sqrtf(v[i] * c2) + eps) + decay * w[i];
	}
}

/* a += mean g^2;  w -= lr g / (sqrt(a) + eps) + decay w.  a starts at 0: the first step is lr long in the root mean square. */
void adagrad_step(float *w, float *a, const float *g, const struct adam *p, size_t D)
{
	float rate;

	*a += p->scale * p->scale * vmath_dot(g, g, D) / (float)D;
	rate = p->lr * p->scale / (__builtin_sqrtf(*a) + p->eps);
	for (size_t d = 0; d < D; d++)
		w[d] -= rate * g[d] + p->decay * w[d];
}
