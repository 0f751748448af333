/* layers.c - the layers of encoder.h. Products by kernel.h, the rest plain loops that gcc vectorises.
 * Reading order: dot, linear, layernorm, dropout, attention, low-pass.
 */
#include <math.h>
#include <string.h>

#include "model/encoder.h"
#include "model/kernel.h"
#include "model/rng.h"
#include "model/vmath.h"

/* Eight lanes and a fixed order of summing: vector code without relaxed floating point. Elements may lie anywhere.
 * Functions take vectors by address: which registers pass them depends on the target. */
typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t ints8 __attribute__((vector_size(32), may_alias));
typedef uint32_t bits8 __attribute__((vector_size(32), may_alias));
#define INLINE static inline __attribute__((always_inline))
#define ALL(x) ((x) - (v8){ 0 })
#define CHOOSE(mask, x, y) ((v8)(((ints8)(x) & (mask)) | ((ints8)(y) & ~(mask)))) /* x where the mask is set, else y */

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

/* Rows are taken by the eight and stage by stage: in one row each stage waits for the last, those of eight rows overlap. */
#define LN_ROWS 8

INLINE void layernorm_rows(float *restrict y, float *restrict xhat, float *restrict rstd, const float *restrict x,
                           const float *restrict w, const float *restrict b, float gain, int more, size_t N, size_t D)
{
	for (size_t n = 0; n < N; n++) {
		float mean = sum(x + n * D, D) / (float)D;

		for (size_t d = 0; d < D; d++)
			xhat[n * D + d] = x[n * D + d] - mean;
	}
	for (size_t n = 0; n < N; n++)
		rstd[n] = 1.0f / sqrtf(dot(xhat + n * D, xhat + n * D, D) / (float)D + LN_EPS);
	for (size_t n = 0; n < N; n++)
		for (size_t d = 0; d < D; d++) {
			float h = xhat[n * D + d] * rstd[n];

			xhat[n * D + d] = h;
			y[n * D + d] = (more ? y[n * D + d] : 0.0f) + gain * (w[d] * h + b[d]);
		}
}

S4_CLONES void layernorm_forward(float *restrict y, float *restrict xhat, float *restrict rstd, const float *restrict x,
                                 const float *restrict w, const float *restrict b, float gain, int more, size_t N, size_t D)
{
	for (size_t n = 0; n < N; n += LN_ROWS) {
		size_t rows = N - n < LN_ROWS ? N - n : LN_ROWS, at = n * D;

		switch (D) { /* known: loops without rests */
		case 64: layernorm_rows(y + at, xhat + at, rstd + n, x + at, w, b, gain, more, rows, 64); break;
		default: layernorm_rows(y + at, xhat + at, rstd + n, x + at, w, b, gain, more, rows, D);
		}
	}
}

INLINE void layernorm_row_backward(float *restrict dx, float *restrict dw, float *restrict db, const float *restrict dy,
                                   const float *restrict xhat, float rstd, const float *restrict w, float gain, size_t D)
{
	float a, c;

	for (size_t d = 0; d < D; d++) {
		float g = gain * dy[d];

		db[d] += g;
		dw[d] += g * xhat[d];
		dx[d] = g * w[d];
	}
	a = sum(dx, D) / (float)D;
	c = dot(dx, xhat, D) / (float)D;
	for (size_t d = 0; d < D; d++)
		dx[d] = rstd * (dx[d] - a - xhat[d] * c);
}

/* forward: y += gain (w xhat + b), so db += g, dw += g xhat with g = gain dy; with dxhat = w g:
 * dx = rstd (dxhat - mean(dxhat) - xhat mean(dxhat xhat)). */
S4_CLONES void layernorm_backward(float *restrict dx, float *restrict dw, float *restrict db, const float *restrict dy,
                                  const float *restrict xhat, const float *restrict rstd, const float *restrict w, float gain, size_t N, size_t D)
{
	for (size_t n = 0; n < N; n++)
		switch (D) {
		case 64: layernorm_row_backward(dx + n * D, dw, db, dy + n * D, xhat + n * D, rstd[n], w, gain, 64); break;
		default: layernorm_row_backward(dx + n * D, dw, db, dy + n * D, xhat + n * D, rstd[n], w, gain, D);
		}
}

/* ---- dropout ---- */

struct dropout dropout_from(float p)
{
	uint32_t t = (uint32_t)lrintf(p * 256.0f);

	t = t > 255 ? 255 : t;
	return (struct dropout){ t, 256.0f / (256.0f - (float)t) };
}

/* Masks of elements 32 b .. 32 b + 31: byte k of bits l decides about element 8 k + l. bits is a 32-bit mix (the finaliser of MurmurHash3)
 * of the low half of key and the place, with the high half put in between: vectors know no 64-bit product. */
INLINE void mask32(v8 m[4], uint64_t key, size_t b, struct dropout drop)
{
	bits8 x = { 0, 1, 2, 3, 4, 5, 6, 7 };
	v8 scale = ALL(drop.scale);

	x = (x + (uint32_t)(8 * b)) * 0x9e3779b9u + (uint32_t)key;
	x = (x ^ x >> 16) * 0x85ebca6bu ^ (uint32_t)(key >> 32);
	x = (x ^ x >> 13) * 0xc2b2ae35u;
	x ^= x >> 16;
#pragma GCC unroll 4
	for (int k = 0; k < 4; k++)
		m[k] = (v8)((ints8)scale & ((ints8)(x >> 8 * k & 255) >= (int32_t)drop.threshold));
}

S4_CLONES void dropout_mask(float *restrict mask, uint64_t key, struct dropout drop, size_t n)
{
	for (size_t i = 0; i < n; i += 32) {
		v8 m[4];

		mask32(m, key, i / 32, drop);
		memcpy(mask + i, m, (n - i < 32 ? n - i : 32) * sizeof *mask);
	}
}

/* The loop of both: y = x mask, and on top of base. */
INLINE void masked(float *y, const float *base, const float *x, uint64_t key, struct dropout drop, size_t n)
{
	size_t i = 0;
	v8 m[4];

	for (; i + 32 <= n; i += 32) {
		mask32(m, key, i / 32, drop);
#pragma GCC unroll 4
		for (size_t k = 0; k < 4; k++) {
			v8 r = *(const v8 *)(x + i + 8 * k) * m[k];

			if (base)
				r += *(const v8 *)(base + i + 8 * k);
			*(v8 *)(y + i + 8 * k) = r;
		}
	}
	if (i == n)
		return;
	mask32(m, key, i / 32, drop);
	for (size_t k = 0; i + k < n; k++)
		y[i + k] = (base ? base[i + k] : 0.0f) + x[i + k] * m[k / 8][k % 8];
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

#define NEVER -1e30f /* as a score: a weight of exactly 0 */

/* x = exp(x) for x <= 0, as in vmath.c. */
INLINE void exp8(v8 *x)
{
	v8 xc = CHOOSE(*x > -88.0f, *x, ALL(-88.0f)), r, e;
	ints8 k = __builtin_convertvector(xc * 1.44269504088896341f + 128.5f, ints8) - 128;

	r = xc - __builtin_convertvector(k, v8) * 0.69314718056f;
	e = r * 1.9875691500e-4f + 1.3981999507e-3f;
	e = e * r + 8.3334519073e-3f;
	e = e * r + 4.1665795894e-2f;
	e = e * r + 1.6666665459e-1f;
	e = e * r + 5.0000001201e-1f;
	*x = (e * r * r + r + 1.0f) * (v8)((k + 127) << 23);
}

#define MIX(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#define PAIRS(a, b) (MIX(a, b, 0, 2, 8, 10, 4, 6, 12, 14) + MIX(a, b, 1, 3, 9, 11, 5, 7, 13, 15))

/* ret[k] = x.y_k, y (8,n). Eight sums end in one vector by seven additions of neighbours. */
INLINE void dots8(v8 *ret, const float *x, const float *y, size_t n)
{
	v8 s[8], t[4];
	size_t d = 0;

#pragma GCC unroll 8
	for (size_t k = 0; k < 8; k++)
		s[k] = (v8){ 0 };
	for (; d + 8 <= n; d += 8)
#pragma GCC unroll 8
		for (size_t k = 0; k < 8; k++)
			s[k] += *(const v8 *)(x + d) * *(const v8 *)(y + k * n + d);
#pragma GCC unroll 4
	for (size_t k = 0; k < 4; k++)
		t[k] = MIX(s[k], s[k + 4], 0, 1, 2, 3, 8, 9, 10, 11) + MIX(s[k], s[k + 4], 4, 5, 6, 7, 12, 13, 14, 15);
	t[0] = PAIRS(t[0], t[1]);
	t[2] = PAIRS(t[2], t[3]);
	*ret = PAIRS(t[0], t[2]);
	for (; d < n; d++)
		for (size_t k = 0; k < 8; k++)
			(*ret)[k] += x[d] * y[k * n + d];
}

/* y_i (n) = sum over rows 8 from .. 8 to - 1 of a_i[row * step] x_row for two i, x (..,n). 32 elements of both at a time stay in
 * registers, and their eight chains of additions keep the unit busy. */
INLINE void combine(float *y0, float *y1, const float *a0, const float *a1, size_t step, const float *x, size_t from, size_t to, size_t n)
{
	size_t d = 0;

	for (; d + 32 <= n; d += 32) {
		v8 s0[4] = { { 0 } }, s1[4] = { { 0 } };

		for (size_t j = 8 * from; j < 8 * to; j++)
#pragma GCC unroll 4
			for (size_t k = 0; k < 4; k++) {
				v8 x_j = *(const v8 *)(x + j * n + d + 8 * k);

				s0[k] += a0[j * step] * x_j;
				s1[k] += a1[j * step] * x_j;
			}
#pragma GCC unroll 4
		for (size_t k = 0; k < 4; k++) {
			*(v8 *)(y0 + d + 8 * k) = s0[k];
			*(v8 *)(y1 + d + 8 * k) = s1[k];
		}
	}
	for (; d < n; d++) {
		float s0 = 0, s1 = 0;

		for (size_t j = 8 * from; j < 8 * to; j++) {
			s0 += a0[j * step] * x[j * n + d];
			s1 += a1[j * step] * x[j * n + d];
		}
		y0[d] = s0;
		y1[d] = s1;
	}
}

INLINE float max8(const v8 *x)
{
	v8 y = MIX(*x, *x, 4, 5, 6, 7, 0, 1, 2, 3), z;

	y = CHOOSE(*x > y, *x, y);
	z = MIX(y, y, 2, 3, 0, 1, 6, 7, 4, 5);
	z = CHOOSE(y > z, y, z);
	return z[0] > z[1] ? z[0] : z[1];
}

/* p (8 G) = softmax(scale p), less its own maximum. */
INLINE void softmax(v8 *p, float scale, size_t G)
{
	v8 top = p[0], total = { 0 };
	float max, inv;

	for (size_t g = 1; g < G; g++)
		top = CHOOSE(p[g] > top, p[g], top);
	max = max8(&top);
	for (size_t g = 0; g < G; g++) {
		p[g] = scale * (p[g] - max);
		exp8(&p[g]);
		total += p[g];
	}
	inv = 1.0f / sum((const float *)&total, 8);
	for (size_t g = 0; g < G; g++)
		p[g] *= inv;
}

/* One head's part of n rows that lie ld apart, side by side and with rows of 0 up to a whole eight. */
INLINE float *gather(float **at, const float *restrict x, size_t ld, size_t n, size_t dh)
{
	float *y = *at;

	for (size_t i = 0; i < n; i++)
		for (size_t d = 0; d < dh; d++)
			y[i * dh + d] = x[i * ld + d];
	for (size_t k = n * dh; k < ATTENTION_ROW(n) * dh; k++)
		y[k] = 0;
	*at += ATTENTION_ROW(n) * dh;
	return y;
}

/* a (8 G) = p times the mask of token key's row in head h. */
INLINE void drop_weights(v8 *a, const v8 *p, uint64_t key, size_t h, struct dropout drop, size_t G)
{
	v8 m[4];

	for (size_t g = 0; g < G; g++) {
		if (drop.threshold && g % 4 == 0)
			mask32(m, rng_mix(key + h), g / 4, drop);
		a[g] = p[g];
		if (drop.threshold)
			a[g] *= m[g % 4];
	}
}

/* s_ij = q_i.k_j / sqrt(dh), j <= i;  p_i = softmax(s_i);  ctx_i = sum_j mask_ij p_ij v_j.
 * Eight j at a time, those beyond i and n too: at a mean length of 6 a guessed end of a loop costs more than its products. And one
 * loop over i for each stage: within one i all depends on all. */
INLINE void forward_heads(float *restrict ctx, float *restrict p, float *restrict scratch, const float *restrict qkv,
                          const uint64_t *restrict key, struct dropout drop, size_t n, size_t D, size_t heads, size_t dh)
{
	const ints8 lane = { 0, 1, 2, 3, 4, 5, 6, 7 };
	size_t ld = 3 * D, row = ATTENTION_ROW(n);
	float scale = 1.0f / sqrtf((float)dh);

	for (size_t h = 0; h < heads; h++, p += n * row) {
		const float *q = qkv + h * dh;
		float *at = scratch, *k = gather(&at, q + D, ld, n, dh), *v = gather(&at, q + 2 * D, ld, n, dh);

		for (size_t i = 0; i < n; i++)
			for (size_t g = 0; g <= i / 8; g++) {
				v8 *s = (v8 *)(p + i * row) + g;

				dots8(s, q + i * ld, k + 8 * g * dh, dh);
				*s = CHOOSE(lane + (int32_t)(8 * g) <= (int32_t)i, *s, ALL(NEVER));
			}
		for (size_t i = 0; i < n; i++)
			softmax((v8 *)(p + i * row), scale, i / 8 + 1);
		for (size_t i = 0; i < n; i += 2) {
			size_t next = i + (i + 1 < n); /* the last of an odd number is done twice */
			float *c = ctx + h * dh;

			drop_weights((v8 *)at, (const v8 *)(p + i * row), key[i], h, drop, i / 8 + 1);
			drop_weights((v8 *)(at + row), (const v8 *)(p + next * row), key[next], h, drop, i / 8 + 1);
			combine(c + i * D, c + next * D, at, at + row, 1, v, 0, i / 8 + 1, dh);
		}
	}
}

S4_CLONES void attention_forward(float *restrict ctx, float *restrict p, float *restrict scratch, const float *restrict qkv,
                                 const uint64_t *restrict key, struct dropout drop, size_t n, size_t D, size_t heads)
{
	switch (D / heads) {
	case 32: forward_heads(ctx, p, scratch, qkv, key, drop, n, D, heads, 32); break;
	default: forward_heads(ctx, p, scratch, qkv, key, drop, n, D, heads, D / heads);
	}
}

/* forward: ctx_i = sum_j a_ij v_j, a = mask p, so dv_j = sum_i a_ij dctx_i, da_ij = dctx_i.v_j;
 * p = softmax(s), so ds_ij = p_ij (mask_ij da_ij - sum_j a_ij da_ij);  s = q.k scale, so dq_i = scale sum_j ds_ij k_j, dk_j = scale sum_i ds_ij q_i. */
INLINE void backward_heads(float *restrict dqkv, float *restrict scratch, const float *restrict dctx,
                           const float *restrict p, const float *restrict qkv, const uint64_t *restrict key,
                           struct dropout drop, size_t n, size_t D, size_t heads, size_t dh)
{
	size_t ld = 3 * D, row = ATTENTION_ROW(n), G = row / 8;
	float scale = 1.0f / sqrtf((float)dh);

	for (size_t h = 0; h < heads; h++, p += n * row) {
		const float *qkv_h = qkv + h * dh;
		float *at = scratch, *q = gather(&at, qkv_h, ld, n, dh), *k = gather(&at, qkv_h + D, ld, n, dh), *v = gather(&at, qkv_h + 2 * D, ld, n, dh);
		float *dc = gather(&at, dctx + h * dh, D, n, dh), *a = at, *ds = a + row * row; /* (row,row) */
		float *dq = dqkv + h * dh, *dk = dq + D, *dv = dq + 2 * D;

		for (size_t i = 0; i < n; i++) {
			const v8 *p_i = (const v8 *)(p + i * row);
			v8 *a_i = (v8 *)(a + i * row), *ds_i = (v8 *)(ds + i * row), total = { 0 };
			float along;

			drop_weights(a_i, p_i, key[i], h, drop, i / 8 + 1);
			for (size_t g = 0; g <= i / 8; g++) {
				dots8(&ds_i[g], dc + i * dh, v + 8 * g * dh, dh);
				ds_i[g] *= a_i[g];
				total += ds_i[g];
			}
			along = sum((const float *)&total, 8);
			for (size_t g = 0; g <= i / 8; g++)
				ds_i[g] = scale * (ds_i[g] - p_i[g] * along);
		}
		memset(a + n * row, 0, (row - n) * row * sizeof *a);
		memset(ds + n * row, 0, (row - n) * row * sizeof *ds);

		for (size_t i = 0; i < n; i += 2) {
			size_t next = i + (i + 1 < n);

			combine(dq + i * ld, dq + next * ld, ds + i * row, ds + next * row, 1, k, 0, i / 8 + 1, dh);
			combine(dk + i * ld, dk + next * ld, ds + i, ds + next, row, q, i / 8, G, dh);
			combine(dv + i * ld, dv + next * ld, a + i, a + next, row, dc, i / 8, G, dh);
		}
	}
}

S4_CLONES void attention_backward(float *restrict dqkv, float *restrict scratch, const float *restrict dctx,
                                  const float *restrict p, const float *restrict qkv, const uint64_t *restrict key,
                                  struct dropout drop, size_t n, size_t D, size_t heads)
{
	switch (D / heads) {
	case 32: backward_heads(dqkv, scratch, dctx, p, qkv, key, drop, n, D, heads, 32); break;
	default: backward_heads(dqkv, scratch, dctx, p, qkv, key, drop, n, D, heads, D / heads);
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
