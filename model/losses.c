/* losses.c - the four self-supervised losses. Reading order: normalise, sinkhorn, cluster, contrast, distill, adversary.
 * What keeps numbers safe: every softmax subtracts its row's own maximum; Sinkhorn never leaves the log domain.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "model/kernel.h"
#include "model/losses.h"
#include "model/vmath.h"

#define CHUNK 512       /* floats of stack scratch */
#define EXCLUDED -1e30f /* a logit that must not count: finite, so that no inf - inf can arise */

void normalise_forward(float *y, float *norm, const float *x, size_t n, size_t D)
{
	for (size_t i = 0; i < n; i++) {
		const float *x_i = x + i * D;
		float s = sqrtf(vmath_dot(x_i, x_i, D));
		float inv = 1.0f / (s > 1e-12f ? s : 1e-12f);

		norm[i] = s;
		for (size_t d = 0; d < D; d++)
			y[i * D + d] = x_i[d] * inv;
	}
}

void normalise_backward(float *dx, const float *dy, const float *y, const float *norm, size_t n, size_t D)
{
	for (size_t i = 0; i < n; i++) {
		const float *dy_i = dy + i * D, *y_i = y + i * D;
		float inv, along;

		if (!(norm[i] > 1e-12f))
			continue; /* a zero vector has no direction: no gradient */

		inv = 1.0f / norm[i];
		along = vmath_dot(y_i, dy_i, D);
		for (size_t d = 0; d < D; d++)
			dx[i * D + d] += (dy_i[d] - y_i[d] * along) * inv;
	}
}

/* Scratch: column maxima, column sums, one row. */
size_t sinkhorn_scratch(size_t n, size_t K)
{
	(void)n;
	return 3 * K;
}

/* log Q[., k] -= log sum_i Q[i, k] - log(n / K).  Sums are at least 1, since each column subtracts its own maximum. */
static void scale_columns(float *q, size_t n, size_t K, float *max, float *sum, float *row)
{
	float log_share = logf((float)n / (float)K);

	for (size_t k = 0; k < K; k++) {
		max[k] = q[k];
		sum[k] = 0.0f;
	}
	for (size_t i = 1; i < n; i++)
		for (size_t k = 0; k < K; k++)
			max[k] = q[i * K + k] > max[k] ? q[i * K + k] : max[k];
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < K; k++)
			row[k] = q[i * K + k] - max[k];
		vmath_exp_sum(row, row, 1.0f, 0.0f, K);
		for (size_t k = 0; k < K; k++)
			sum[k] += row[k];
	}
	for (size_t k = 0; k < K; k++)
		max[k] += logf(sum[k]) - log_share;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < K; k++)
			q[i * K + k] -= max[k];
}

static void scale_rows(float *q, size_t n, size_t K, float *row)
{
	for (size_t i = 0; i < n; i++) {
		float *q_i = q + i * K;
		float max = vmath_max(q_i, K);
		float lse = max + logf(vmath_exp_sum(row, q_i, 1.0f, max, K));

		for (size_t k = 0; k < K; k++)
			q_i[k] -= lse;
	}
}

void sinkhorn(float *q, const float *scores, size_t n, size_t K, float eps, int iters, float *scratch)
{
	float *max = scratch, *sum = scratch + K, *row = scratch + 2 * K;
	float top;

	if (n == 0 || K == 0)
		return;

	/* q holds log Q until the end */
	top = vmath_max(scores, n * K);
	for (size_t i = 0; i < n * K; i++)
		q[i] = (scores[i] - top) / eps;
	for (int it = 0; it < iters; it++) {
		scale_columns(q, n, K, max, sum, row);
		if (it + 1 < iters)
			scale_rows(q, n, K, row);
	}

	/* the last row scaling leaves the log domain: rows sum to 1 to rounding */
	for (size_t i = 0; i < n; i++) {
		float *q_i = q + i * K;
		float inv = 1.0f / vmath_exp_sum(q_i, q_i, 1.0f, vmath_max(q_i, K), K);

		for (size_t k = 0; k < K; k++)
			q_i[k] *= inv;
	}
}

/* forward: l_u = sum_k q_uk (lse - s_uk / tau1), so ds_uk = (p_uk sum_k q_uk - q_uk) / tau1. */
double cluster_loss(float *dscores, const float *scores, const float *q, size_t B, size_t K, float tau1, float weight, float *scratch)
{
	double loss = 0.0;
	float g = B ? weight / ((float)B * tau1) : 0.0f;

	(void)scratch;
	for (size_t u = 0; u < B; u++) {
		const float *s = scores + u * K, *q_u = q + u * K;
		float max = vmath_max(s, K), p[CHUNK];
		double sum = 0.0, mass = 0.0, dot = 0.0;

		for (size_t k = 0; k < K; k += CHUNK)
			sum += vmath_exp_sum(p, s + k, 1.0f / tau1, max, K - k < CHUNK ? K - k : CHUNK);
		for (size_t k = 0; k < K; k++) {
			mass += q_u[k];
			dot += (double)q_u[k] * ((double)s[k] - max);
		}
		loss += mass * log(sum) - dot / tau1;
		if (!dscores)
			continue;

		for (size_t k = 0; k < K; k += CHUNK) {
			size_t m = K - k < CHUNK ? K - k : CHUNK;
			float share = (float)(mass / sum);

			vmath_exp_sum(p, s + k, 1.0f / tau1, max, m);
			for (size_t j = 0; j < m; j++)
				dscores[u * K + k + j] += g * (share * p[j] - q_u[k + j]);
		}
	}
	return B ? loss / (double)B : 0.0;
}

/* Both directions are one problem: anchors are the 2B rows z1, z2, columns X = [z1; z2; mu], C = 2B + K of them.
 * Scratch: S (2B,C) logits, later their gradients; X^T and X packed; dX (C,D) and dA (2B,D); losses (2B) in double. */
static size_t line(size_t floats) { return (floats + 15) / 16 * 16; }

/* Holds X^T (D,C) and later the anchors (2B,D), both packed. */
static size_t packed_floats(size_t B, size_t K, size_t D)
{
	size_t x = kernel_packed(D, 2 * B + K), a = kernel_packed(2 * B, D);

	return line(x > a ? x : a);
}

size_t contrast_scratch(size_t B, size_t K, size_t D)
{
	size_t C = 2 * B + K;

	return line(2 * B * C) + packed_floats(B, K, D) + line(kernel_packed(C, D)) + 2 * line(C * D) + line(2 * B * D) + line(4 * B);
}

#define ANCHORS 48 /* rows of a unit */
#define COLUMNS 64

struct contrast {
	float *S, *Xt, *Xp, *X, *dX, *dA;
	double *loss;
	const uint32_t *h;
	size_t B, K, D, C;
	float tau, g;
	int posden;
};

/* One row of logits becomes their gradient; returns the loss. forward: l = log sum_{c allowed} exp(S_c / tau) - S_pos / tau,
 * so G_c = (p_c - [c is the positive]) weight / (B tau). */
static double contrast_row(const struct contrast *j, size_t i)
{
	size_t other = i < j->B ? i + j->B : i - j->B, C = j->C;
	float *S = j->S + i * C, pos = S[other], max, sum, scale;

	S[i] = EXCLUDED;
	if (!j->posden)
		S[other] = EXCLUDED;
	if (j->K)
		S[2 * j->B + j->h[i % j->B]] = EXCLUDED;
	max = vmath_max(S, C);
	if (max <= EXCLUDED / 2) { /* nothing to contrast with */
		memset(S, 0, C * sizeof *S);
		return 0.0;
	}

	sum = vmath_exp_sum(S, S, 1.0f / j->tau, max, C);
	scale = j->g / sum;
	for (size_t c = 0; c < C; c++)
		S[c] *= scale;
	S[other] -= j->g;
	return log((double)sum) + ((double)max - pos) / j->tau;
}

/* forward: S = A X^T, so dA = G X ... */
static void anchors_unit(void *ctx, size_t unit, int thread)
{
	const struct contrast *j = ctx;
	size_t from = unit * ANCHORS, n = 2 * j->B - from < ANCHORS ? 2 * j->B - from : ANCHORS, C = j->C, D = j->D;

	/* (n,C) = (n,D) (C,D)^T */
	kernel_mul(j->S + from * C, C, j->X + from * D, D, j->Xt, NULL, 0, n, C, D);
	for (size_t i = from; i < from + n; i++)
		j->loss[i] = contrast_row(j, i);
	/* (n,D) = (n,C) (C,D) */
	kernel_mul(j->dA + from * D, D, j->S + from * C, C, j->Xp, NULL, 0, n, D, C);
}

/* ... and dX = G^T A. The anchors are the first rows of X, packed again in what held X^T. */
static void columns_unit(void *ctx, size_t unit, int thread)
{
	const struct contrast *j = ctx;
	size_t from = unit * COLUMNS, m = j->C - from < COLUMNS ? j->C - from : COLUMNS, C = j->C, D = j->D;

	/* (m,D) += (2B,m)^T (2B,D) */
	memset(j->dX + from * D, 0, m * D * sizeof *j->dX);
	kernel_mul_t(j->dX + from * D, D, j->S + from, C, j->Xt, m, D, 2 * j->B);
}

static void add_rows(float *y, const float *x, size_t n)
{
	for (size_t i = 0; y && i < n; i++)
		y[i] += x[i];
}

double contrast_loss(float *dz1, float *dz2, float *dmu, const float *z1, const float *z2, const float *mu, const uint32_t *h,
                     size_t B, size_t K, size_t D, float tau2, int posden, float weight, float *scratch, struct pool *pool)
{
	size_t C = 2 * B + K;
	struct contrast j = { .h = h, .B = B, .K = K, .D = D, .C = C, .tau = tau2, .g = B ? weight / ((float)B * tau2) : 0, .posden = posden };
	double loss = 0.0;

	if (B == 0)
		return 0.0;

	j.S = scratch;
	j.Xt = j.S + line(2 * B * C);
	j.Xp = j.Xt + packed_floats(B, K, D);
	j.X = j.Xp + line(kernel_packed(C, D));
	j.dX = j.X + line(C * D);
	j.dA = j.dX + line(C * D);
	j.loss = (double *)(j.dA + line(2 * B * D));
	memcpy(j.X, z1, B * D * sizeof(float));
	memcpy(j.X + B * D, z2, B * D * sizeof(float));
	if (K)
		memcpy(j.X + 2 * B * D, mu, K * D * sizeof(float));
	kernel_pack_t(j.Xt, j.X, D, D, C);
	kernel_pack(j.Xp, j.X, D, C, D);
	pool_run(pool, anchors_unit, &j, (2 * B + ANCHORS - 1) / ANCHORS);
	kernel_pack(j.Xt, j.X, D, 2 * B, D);
	pool_run(pool, columns_unit, &j, (C + COLUMNS - 1) / COLUMNS);

	for (size_t i = 0; i < 2 * B; i++)
		loss += j.loss[i];
	add_rows(dz1, j.dA, B * D);
	add_rows(dz2, j.dA + B * D, B * D);
	add_rows(dz1, j.dX, B * D);
	add_rows(dz2, j.dX + B * D, B * D);
	add_rows(dmu, j.dX + 2 * B * D, K * D);
	return loss / (double)B;
}

/* forward: a = mu_h/tau3 - lse, b = z/tau3 - lse (logs of e_t, e_s), l = sum e_t (a - b),
 * so dz = (e_s - e_t) / tau3 and dmu = e_t (a - b - l) / tau3. */
double distill_loss(float *dz, float *dmu, const float *z, const float *mu, const uint32_t *h,
                    size_t B, size_t D, float tau3, int detach, float weight)
{
	double loss = 0.0;
	float g = B ? weight / ((float)B * tau3) : 0.0f;
	float et[CHUNK], es[CHUNK];

	assert(D <= CHUNK);
	for (size_t u = 0; u < B; u++) {
		const float *t = mu + h[u] * D, *s = z + u * D;
		float tmax = vmath_max(t, D), smax = vmath_max(s, D);
		float tsum = vmath_exp_sum(et, t, 1.0f / tau3, tmax, D), ssum = vmath_exp_sum(es, s, 1.0f / tau3, smax, D);
		double lift = log((double)ssum) - log((double)tsum), l = 0.0;

		for (size_t d = 0; d < D; d++) {
			et[d] /= tsum;
			es[d] /= ssum;
			l += et[d] * ((((double)t[d] - tmax) - ((double)s[d] - smax)) / tau3 + lift);
		}
		loss += l;
		if (dz)
			for (size_t d = 0; d < D; d++)
				dz[u * D + d] += g * (es[d] - et[d]);
		if (dmu && !detach)
			for (size_t d = 0; d < D; d++)
				dmu[h[u] * D + d] += g * et[d] * (float)((((double)t[d] - tmax) - ((double)s[d] - smax)) / tau3 + lift - l);
	}
	return B ? loss / (double)B : 0.0;
}

/* forward: c = w z + b, l = log(exp c_0 + exp c_1) - c_y. With two classes p_1 = sigmoid(c_1 - c_0), and
 * dc_1 = p_1 - y = -dc_0. */
double adversary_loss(float *dz, float *dw, float *db, const float *z, const float *w, const float *b, const uint8_t *head,
                      size_t B, size_t D, float weight)
{
	double loss = 0.0;

	for (size_t u = 0; u < B; u++) {
		const float *z_u = z + u * D;
		double x = ((double)vmath_dot(w + D, z_u, D) + b[1]) - ((double)vmath_dot(w, z_u, D) + b[0]);
		double wrong = head[u] ? -x : x; /* l = log(1 + exp(wrong)) */
		double p1 = 1.0 / (1.0 + exp(-x));
		float g = weight / (float)B * (float)(p1 - (head[u] ? 1.0 : 0.0));

		loss += wrong > 0 ? wrong + log1p(exp(-wrong)) : log1p(exp(wrong));
		if (dw) {
			vmath_axpy(dw + D, g, z_u, D);
			vmath_axpy(dw, -g, z_u, D);
		}
		if (db) {
			db[1] += g;
			db[0] -= g;
		}
		if (dz) { /* reversed: the encoder climbs */
			vmath_axpy(dz + u * D, -g, w + D, D);
			vmath_axpy(dz + u * D, g, w, D);
		}
	}
	return B ? loss / (double)B : 0.0;
}
