/* losses.c - the four self-supervised losses. Reading order: normalise, sinkhorn, cluster, contrast, distill, adversary.
 * What keeps numbers safe: every softmax subtracts its row's own maximum; Sinkhorn never leaves the log domain.
 */
#include <assert.h>
#include <cblas.h>
#include <math.h>

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

/* Scratch: the logits of one direction, (B, B + B + K), later their gradients. */
size_t contrast_scratch(size_t B, size_t K) { return B * (2 * B + K); }

/* One direction: a (B,D) anchors, o (B,D) the other views. Columns of S (B, 2B+K): a's views | o's views | prototypes.
 * forward: S = a [a; o; mu]^T, l_u = log sum_{c allowed} exp(S_uc/tau) - S_up/tau,
 * so G_uc = (p_uc - [c is the positive]) weight / (B tau), da += G [a; o; mu], d[a; o; mu] += G^T a. */
static double contrast_one(float *da, float *d_o, float *dmu, const float *a, const float *o, const float *mu, const uint32_t *h,
                           size_t B, size_t K, size_t D, float tau, int posden, float weight, float *S)
{
	size_t C = 2 * B + K;
	int b = (int)B, k = (int)K, d = (int)D, c = (int)C;
	float g = weight / ((float)B * tau);
	double loss = 0.0;

	/* (B,B) = (B,D) (B,D)^T, twice; (B,K) = (B,D) (K,D)^T */
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, b, b, d, 1.0f, a, d, a, d, 0.0f, S, c);
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, b, b, d, 1.0f, a, d, o, d, 0.0f, S + B, c);
	if (K)
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, b, k, d, 1.0f, a, d, mu, d, 0.0f, S + 2 * B, c);

	for (size_t u = 0; u < B; u++) {
		float *S_u = S + u * C;
		float pos = S_u[B + u], max, sum, scale;

		S_u[u] = EXCLUDED;
		if (!posden)
			S_u[B + u] = EXCLUDED;
		if (K)
			S_u[2 * B + h[u]] = EXCLUDED;
		max = vmath_max(S_u, C);
		if (max <= EXCLUDED / 2) { /* nothing to contrast with */
			for (size_t j = 0; j < C; j++)
				S_u[j] = 0.0f;
			continue;
		}

		sum = vmath_exp_sum(S_u, S_u, 1.0f / tau, max, C);
		loss += log((double)sum) + ((double)max - pos) / tau;
		scale = g / sum;
		for (size_t j = 0; j < C; j++)
			S_u[j] *= scale;
		S_u[B + u] -= g;
	}

	if (da) {
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, b, d, b, 1.0f, S, c, a, d, 1.0f, da, d);
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, b, d, b, 1.0f, S + B, c, o, d, 1.0f, da, d);
		if (K)
			cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, b, d, k, 1.0f, S + 2 * B, c, mu, d, 1.0f, da, d);
		cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, b, d, b, 1.0f, S, c, a, d, 1.0f, da, d);
	}
	if (d_o)
		cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, b, d, b, 1.0f, S + B, c, a, d, 1.0f, d_o, d);
	if (dmu && K)
		cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, k, d, b, 1.0f, S + 2 * B, c, a, d, 1.0f, dmu, d);
	return loss / (double)B;
}

double contrast_loss(float *dz1, float *dz2, float *dmu, const float *z1, const float *z2, const float *mu, const uint32_t *h,
                     size_t B, size_t K, size_t D, float tau2, int posden, float weight, float *scratch)
{
	if (B == 0)
		return 0.0;
	return contrast_one(dz1, dz2, dmu, z1, z2, mu, h, B, K, D, tau2, posden, weight, scratch) +
	       contrast_one(dz2, dz1, dmu, z2, z1, mu, h, B, K, D, tau2, posden, weight, scratch);
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
