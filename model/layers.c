/* layers.c - the layers of encoder.h. Products by kernel.h, the rest plain loops that gcc vectorises.
 * Reading order: dot, linear, layernorm, dropout, attention, low-pass.
 */
#include <math.h>
#include <string.h>

#include "model/encoder.h"
#include "model/kernel.h"
#include "model/rng.h"
#include "model/vmath.h"

/* Eight lanes and a fixed order of summing: vector code without relaxed floating point. Elements may lie anywhere. */
typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));
#define INLINE static inline __attribute__((always_inline))

INLINE float dot(const float *x, const float *y, size_t n)
{
	v8 s = { 0 };
	size_t i = 0;
	float r;

	for (; i + 8 <= n; i += 8)
		s += *(const v8 *)(x + i) * *(const v8 *)(y + i);
	r = ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
	for (; i < n; i++)
		r += x[i] * y[i];
	return r;
}

INLINE float sum(const float *x, size_t n)
{
	v8 s = { 0 };
	size_t i = 0;
	float r;

	for (; i + 8 <= n; i += 8)
		s += *(const v8 *)(x + i);
	r = ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
	for (; i < n; i++)
		r += x[i];
	return r;
}

/* ---- linear ---- */

void linear_forward(float *y, const float *x, const float *wt, const float *b, size_t N, size_t D, size_t O)
{
	/* (N,O) = (N,D) (O,D)^T + (O) */
	kernel_mul(y, O, x, D, wt, b, 0, N, O, D);
}

S4_CLONES void column_sums(float *restrict db, const float *restrict dy, size_t N, size_t O);
S4_CLONES void column_sums(float *restrict db, const float *restrict dy, size_t N, size_t O)
{
	for (size_t n = 0; n < N; n++)
		for (size_t o = 0; o < O; o++)
			db[o] += dy[n * O + o];
}

/* forward: y = x W^T + b, so dx (+)= dy W, dw += dy^T x, db += column sums of dy. */
void linear_backward(float *dx, float *dw, float *db, int more, float *pack, const float *dy, const float *x, const float *w, size_t N, size_t D, size_t O)
{
	/* (N,D) (+)= (N,O) (O,D) */
	kernel_mul(dx, D, dy, O, w, NULL, more, N, D, O);
	/* (O,D) += (N,O)^T (N,D) */
	kernel_pack(pack, x, D, N, D);
	kernel_mul_t(dw, D, dy, O, pack, O, D, N);
	column_sums(db, dy, N, O);
}

/* ---- layernorm ---- */

#define LN_EPS 1e-12f

S4_CLONES void layernorm_forward(float *restrict y, float *restrict xhat, float *restrict rstd, const float *restrict x,
                                 const float *restrict w, const float *restrict b, float gain, int more, size_t N, size_t D)
{

	for (size_t n = 0; n < N; n++) {
		const float *x_n = x + n * D;
		float *h_n = xhat + n * D, *y_n = y + n * D;
		float mean = sum(x_n, D) / (float)D, r;

		for (size_t d = 0; d < D; d++)
			h_n[d] = x_n[d] - mean;
		r = 1.0f / sqrtf(dot(h_n, h_n, D) / (float)D + LN_EPS);
		rstd[n] = r;
		for (size_t d = 0; d < D; d++) {
			h_n[d] *= r;
			y_n[d] = (more ? y_n[d] : 0.0f) + gain * (w[d] * h_n[d] + b[d]);
		}
	}
}

/* forward: y += gain (w xhat + b), so db += g, dw += g xhat with g = gain dy; with dxhat = w g:
 * dx = rstd (dxhat - mean(dxhat) - xhat mean(dxhat xhat)). */
S4_CLONES void layernorm_backward(float *restrict dx, float *restrict dw, float *restrict db, const float *restrict dy,
                                  const float *restrict xhat, const float *restrict rstd, const float *restrict w, float gain, size_t N, size_t D)
{
	for (size_t n = 0; n < N; n++) {
		const float *dy_n = dy + n * D, *h_n = xhat + n * D;
		float *dx_n = dx + n * D;
		float a, c, r = rstd[n];

		for (size_t d = 0; d < D; d++) {
			float g = gain * dy_n[d];

			db[d] += g;
			dw[d] += g * h_n[d];
			dx_n[d] = g * w[d];
		}
		a = sum(dx_n, D) / (float)D;
		c = dot(dx_n, h_n, D) / (float)D;
		for (size_t d = 0; d < D; d++)
			dx_n[d] = r * (dx_n[d] - a - h_n[d] * c);
	}
}

/* ---- dropout ---- */

struct dropout dropout_from(float p)
{
	uint32_t t = (uint32_t)lrintf(p * 256.0f);

	t = t > 255 ? 255 : t;
	return (struct dropout){ t, 256.0f / (256.0f - (float)t) };
}

#define MASK_CHUNK 256

/* One 64-bit mix per eight elements: byte j of mix(key + g * odd) decides about element 8 g + j. */
INLINE void mask_chunk(float *restrict mask, uint64_t key, size_t first, struct dropout drop, size_t n)
{
	uint64_t bits[MASK_CHUNK / 8];
	uint8_t byte[MASK_CHUNK];
	uint8_t t = (uint8_t)drop.threshold;

	for (size_t g = 0; g < (n + 7) / 8; g++)
		bits[g] = rng_mix(key + (first / 8 + g) * 0xd1342543de82ef95u);
	memcpy(byte, bits, (n + 7) / 8 * 8);
	for (size_t i = 0; i < n; i++)
		mask[i] = byte[i] >= t ? drop.scale : 0.0f;
}

S4_CLONES void dropout_mask(float *restrict mask, uint64_t key, struct dropout drop, size_t n)
{
	for (size_t at = 0; at < n; at += MASK_CHUNK)
		mask_chunk(mask + at, key, at, drop, n - at < MASK_CHUNK ? n - at : MASK_CHUNK);
}

/* The loop of both: y = x mask, and on top of base. */
INLINE void masked(float *y, const float *base, const float *x, uint64_t key, struct dropout drop, size_t n)
{
	float mask[MASK_CHUNK];

	for (size_t at = 0; at < n; at += MASK_CHUNK) {
		size_t len = n - at < MASK_CHUNK ? n - at : MASK_CHUNK;

		mask_chunk(mask, key, at, drop, len);
		for (size_t i = 0; i < len; i++)
			y[at + i] = base ? base[at + i] + x[at + i] * mask[i] : x[at + i] * mask[i];
	}
}

S4_CLONES void dropout_apply(float *y, const float *x, uint64_t key, struct dropout drop, size_t n)
{
	if (drop.threshold)
		masked(y, NULL, x, key, drop, n);
	else if (y != x)
		memcpy(y, x, n * sizeof *y);
}

S4_CLONES void dropout_add(float *y, const float *base, const float *x, uint64_t key, struct dropout drop, size_t n)
{
	if (drop.threshold)
		masked(y, base, x, key, drop, n);
	else
		for (size_t i = 0; i < n; i++)
			y[i] = base[i] + x[i];
}

/* ---- attention ---- */

/* s_ij = q_i.k_j / sqrt(dh), j <= i;  p_i = softmax(s_i) less its own maximum;  ctx_i = sum_j mask_ij p_ij v_j.
 * Plain loops: at a mean length of 6 a BLAS call would cost more than its product. */
INLINE void forward_heads(float *restrict ctx, float *restrict p, float *restrict mask, const float *restrict qkv,
                          const uint64_t *restrict key, struct dropout drop, size_t n, size_t D, size_t heads, size_t dh)
{
	size_t ld = 3 * D;
	float scale = 1.0f / sqrtf((float)dh);

	for (size_t h = 0; h < heads; h++) {
		const float *q = qkv + h * dh, *k = q + D, *v = q + 2 * D;

		for (size_t i = 0; i < n; i++) {
			float *p_i = p + (h * n + i) * n, *c_i = ctx + i * D + h * dh;
			float max = -INFINITY, inv;

			for (size_t j = 0; j <= i; j++) {
				p_i[j] = dot(q + i * ld, k + j * ld, dh);
				max = p_i[j] > max ? p_i[j] : max;
			}
			inv = 1.0f / vmath_exp_sum(p_i, p_i, scale, max, i + 1);
			for (size_t j = 0; j <= i; j++)
				p_i[j] *= inv;

			if (drop.threshold)
				dropout_mask(mask, rng_mix(key[i] + h), drop, i + 1);
			for (size_t d = 0; d < dh; d++)
				c_i[d] = 0;
			for (size_t j = 0; j <= i; j++) {
				float a = drop.threshold ? p_i[j] * mask[j] : p_i[j];

				if (a != 0)
					for (size_t d = 0; d < dh; d++)
						c_i[d] += a * v[j * ld + d];
			}
		}
	}
}

S4_CLONES void attention_forward(float *restrict ctx, float *restrict p, float *restrict mask, const float *restrict qkv,
                                 const uint64_t *restrict key, struct dropout drop, size_t n, size_t D, size_t heads)
{
	switch (D / heads) {
	case 32: forward_heads(ctx, p, mask, qkv, key, drop, n, D, heads, 32); break;
	default: forward_heads(ctx, p, mask, qkv, key, drop, n, D, heads, D / heads);
	}
}

/* forward: ctx_i = sum_j a_ij v_j, a = mask p, so dv_j += a_ij dctx_i, dp_ij = mask_ij dctx_i.v_j;
 * p = softmax(s), so ds_ij = p_ij (dp_ij - sum_j p_ij dp_ij);  s = q.k scale, so dq_i += scale ds_ij k_j, dk_j += scale ds_ij q_i. */
INLINE void backward_heads(float *restrict dqkv, float *restrict dp, float *restrict mask, const float *restrict dctx,
                           const float *restrict p, const float *restrict qkv, const uint64_t *restrict key,
                           struct dropout drop, size_t n, size_t D, size_t heads, size_t dh)
{
	size_t ld = 3 * D;
	float scale = 1.0f / sqrtf((float)dh);

	memset(dqkv, 0, n * ld * sizeof(*dqkv));
	for (size_t h = 0; h < heads; h++) {
		const float *q = qkv + h * dh, *k = q + D, *v = q + 2 * D;
		float *dq = dqkv + h * dh, *dk = dq + D, *dv = dq + 2 * D;

		for (size_t i = 0; i < n; i++) {
			const float *p_i = p + (h * n + i) * n, *dc_i = dctx + i * D + h * dh;
			float along = 0;

			if (drop.threshold)
				dropout_mask(mask, rng_mix(key[i] + h), drop, i + 1);
			for (size_t j = 0; j <= i; j++) {
				float m = drop.threshold ? mask[j] : 1.0f, a = m * p_i[j];

				dp[j] = 0;
				if (m == 0)
					continue;

				dp[j] = m * dot(dc_i, v + j * ld, dh);
				along += p_i[j] * dp[j];
				for (size_t d = 0; d < dh; d++)
					dv[j * ld + d] += a * dc_i[d];
			}
			/* two loops: in each, what stays at i stays in registers */
			for (size_t j = 0; j <= i; j++) {
				dp[j] = scale * p_i[j] * (dp[j] - along);
				for (size_t d = 0; d < dh; d++)
					dk[j * ld + d] += dp[j] * q[i * ld + d];
			}
			for (size_t j = 0; j <= i; j++)
				for (size_t d = 0; d < dh; d++)
					dq[i * ld + d] += dp[j] * k[j * ld + d];
		}
	}
}

S4_CLONES void attention_backward(float *restrict dqkv, float *restrict dp, float *restrict mask, const float *restrict dctx,
                                  const float *restrict p, const float *restrict qkv, const uint64_t *restrict key,
                                  struct dropout drop, size_t n, size_t D, size_t heads)
{
	switch (D / heads) {
	case 32: backward_heads(dqkv, dp, mask, dctx, p, qkv, key, drop, n, D, heads, 32); break;
	default: backward_heads(dqkv, dp, mask, dctx, p, qkv, key, drop, n, D, heads, D / heads);
	}
}

/* ---- low-pass ---- */

S4_CLONES void low_pass_forward(float *restrict u, float *restrict run, const float *restrict x, const float *restrict b, size_t n, size_t D)
{
	memset(run, 0, D * sizeof(*run));
	for (size_t l = 0; l < n; l++) {
		float inv = 1.0f / (float)(l + 1);

		for (size_t d = 0; d < D; d++) {
			float lo;

			run[d] += x[l * D + d];
			lo = run[d] * inv;
			u[l * D + d] = lo + b[d] * b[d] * (x[l * D + d] - lo);
		}
	}
}

/* forward: u = lo + b^2 (x - lo), so dx += b^2 du, db += 2 b sum du (x - lo), dlo = (1 - b^2) du;
 * lo_l = (x_1 + .. + x_l) / l, so dx_i += sum over l >= i of dlo_l / l: a running sum from the end. */
S4_CLONES void low_pass_backward(float *restrict dx, float *restrict db, float *restrict lo, float *restrict run, const float *restrict du,
                                 const float *restrict x, const float *restrict b, size_t n, size_t D)
{
	memset(run, 0, D * sizeof(*run));
	for (size_t l = 0; l < n; l++)
		for (size_t d = 0; d < D; d++) {
			run[d] += x[l * D + d];
			lo[l * D + d] = run[d] / (float)(l + 1);
		}

	memset(run, 0, D * sizeof(*run));
	for (size_t l = n; l-- > 0;) {
		float inv = 1.0f / (float)(l + 1);

		for (size_t d = 0; d < D; d++) {
			float g = du[l * D + d], b2 = b[d] * b[d];

			run[d] += (1 - b2) * g * inv;
			dx[l * D + d] += b2 * g + run[d];
			db[d] += 2 * b[d] * g * (x[l * D + d] - lo[l * D + d]);
		}
	}
}
