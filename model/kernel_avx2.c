/* kernel_avx2.c - products in tiles of 6 x 16 that stay in registers: 12 accumulators, 2 vectors of the panel, 1 element of
 * the left operand, one register to spare. Per k a tile takes 12 multiply-adds and 8 loads: the multiply-adds are the limit.
 *
 * Order: panel by panel, in it down the rows. A panel of K <= KB rows (16 KB) stays in L1, the left operand passes by. More
 * than KB rows are taken in parts; accumulators start from C then, so the chain of additions is the same as in one part.
 */
#include "model/kernel_private.h"

#ifdef __x86_64__
#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx2,fma")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#define ROWS 6
#define KB 256
#define AHEAD 16 /* columns; see panel_columns */
#define FAR 128

/* exp(x) = 2^k exp(r) as in vmath.c, eight at a time, for x <= 88. Adding 1.5 * 2^23 rounds x / ln 2 to k and leaves k in the low
 * bits; k then goes straight into the exponent. From -87.3 down the result stays at some 1e-38. */
INLINE __m256 exp8(__m256 x)
{
	const __m256 shift = _mm256_set1_ps(12582912.0f), one = _mm256_set1_ps(1.0f);
	__m256 xc = _mm256_max_ps(x, _mm256_set1_ps(-87.3f));
	__m256 k = _mm256_fmadd_ps(xc, _mm256_set1_ps(1.44269504088896341f), shift);
	__m256 r = _mm256_fnmadd_ps(_mm256_sub_ps(k, shift), _mm256_set1_ps(0.69314718056f), xc);
	__m256 p = _mm256_set1_ps(1.9875691500e-4f);

	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.3981999507e-3f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.3334519073e-3f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.1665795894e-2f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.6666665459e-1f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.0000001201e-1f));
	p = _mm256_fmadd_ps(_mm256_fmadd_ps(p, r, one), r, one);
	return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(k), 23)));
}

/* Rows 0..R-1 of one tile; R is a constant where this is expanded, so acc are registers. */
INLINE void tile(size_t R, float *c, size_t ldc, const float *a, size_t ar, size_t ak, size_t ahead, const float *p, size_t K, int from_c,
                 const float *bias, const float *ref)
{
	__m256 acc[ROWS][2];

#pragma GCC unroll 6
	for (size_t r = 0; r < R; r++) {
		const float *start = from_c ? c + r * ldc : bias;

		acc[r][0] = start ? _mm256_loadu_ps(start) : _mm256_setzero_ps();
		acc[r][1] = start ? _mm256_loadu_ps(start + 8) : _mm256_setzero_ps();
	}
	for (size_t k = 0; k < K; k++, a += ak, p += PANEL) {
		__m256 b0 = _mm256_loadu_ps(p), b1 = _mm256_loadu_ps(p + 8);

		if (ahead)
			_mm_prefetch((const char *)(a + ahead), _MM_HINT_T0);
#pragma GCC unroll 6
		for (size_t r = 0; r < R; r++) {
			__m256 x = _mm256_broadcast_ss(a + r * ar);

			acc[r][0] = _mm256_fmadd_ps(x, b0, acc[r][0]);
			acc[r][1] = _mm256_fmadd_ps(x, b1, acc[r][1]);
		}
	}
#pragma GCC unroll 6
	for (size_t r = 0; r < R; r++) {
		if (ref) {
			__m256 m = _mm256_broadcast_ss(ref + r);

			acc[r][0] = exp8(_mm256_sub_ps(acc[r][0], m));
			acc[r][1] = exp8(_mm256_sub_ps(acc[r][1], m));
		}
		_mm256_storeu_ps(c + r * ldc, acc[r][0]);
		_mm256_storeu_ps(c + r * ldc + 8, acc[r][1]);
	}
}

/* All rows against one panel of 16 whole columns. ak and the epilogue are constants where this is expanded. */
INLINE void panel(const struct product *x, float *c, size_t ldc, const float *a, size_t ak, size_t ahead, const float *p, size_t K, int from_c, const float *bias, const float *ref)
{
	size_t ar = x->ar, r = 0;

	for (; r + ROWS <= x->M; r += ROWS)
		tile(ROWS, c + r * ldc, ldc, a + r * ar, ar, ak, ahead, p, K, from_c, bias, ref ? ref + r : NULL);
	c += r * ldc;
	a += r * ar;
	ref = ref ? ref + r : NULL;
	switch (x->M - r) {
	case 1: tile(1, c, ldc, a, ar, ak, ahead, p, K, from_c, bias, ref); break;
	case 2: tile(2, c, ldc, a, ar, ak, ahead, p, K, from_c, bias, ref); break;
	case 3: tile(3, c, ldc, a, ar, ak, ahead, p, K, from_c, bias, ref); break;
	case 4: tile(4, c, ldc, a, ar, ak, ahead, p, K, from_c, bias, ref); break;
	case 5: tile(5, c, ldc, a, ar, ak, ahead, p, K, from_c, bias, ref); break;
	}
}

/* Three expansions: left operand by rows, by columns, and by rows with exp at the end. */
TARGET static void panel_rows(const struct product *x, float *c, size_t ldc, const float *a, const float *p, size_t K, int from_c, const float *bias)
{
	panel(x, c, ldc, a, 1, 0, p, K, from_c, bias, NULL);
}

TARGET static void panel_columns(const struct product *x, float *c, size_t ldc, const float *a, const float *p, size_t K)
{
	size_t ak = x->ak;
	const struct product y = { .M = x->M, .ar = 1 };

	/* Long rows come from L3 or beyond, a cache line of 16 columns from each: ask for the next lines in time. Short rows are in L2. */
	if (ak > FAR)
		panel(&y, c, ldc, a, ak, AHEAD, p, K, 1, NULL, NULL);
	else
		panel(&y, c, ldc, a, ak, 0, p, K, 1, NULL, NULL);
}

TARGET static void panel_exp(const struct product *x, float *c, size_t ldc, const float *a, const float *p, size_t K, int from_c, const float *bias)
{
	panel(x, c, ldc, a, 1, 0, p, K, from_c, bias, x->ref);
}

static void panel_part(const struct product *x, float *c, size_t ldc, const float *bias, const float *p, size_t k)
{
	size_t K = x->K - k < KB ? x->K - k : KB;
	const float *a = x->a + k * x->ak;
	int from_c = x->add || k > 0;

	if (x->ak != 1)
		panel_columns(x, c, ldc, a, p + k * PANEL, K);
	else if (x->ref && k + K == x->K)
		panel_exp(x, c, ldc, a, p + k * PANEL, K, from_c, bias);
	else
		panel_rows(x, c, ldc, a, p + k * PANEL, K, from_c, bias);
}

/* The last, partial panel: one strip of rows after another by way of a whole tile. */
static void panel_narrow(const struct product *x, size_t n)
{
	size_t width = x->N - n;
	float edge[ROWS * PANEL] = { 0 }, bias[PANEL] = { 0 };

	if (x->bias)
		memcpy(bias, x->bias + n, width * sizeof *bias);
	for (size_t r = 0; r < x->M; r += ROWS) {
		struct product y = *x;

		y.M = x->M - r < ROWS ? x->M - r : ROWS;
		y.a = x->a + r * x->ar;
		y.ref = x->ref ? x->ref + r : NULL;
		for (size_t i = 0; x->add && i < y.M; i++)
			memcpy(edge + i * PANEL, x->c + (r + i) * x->ldc + n, width * sizeof *edge);
		for (size_t k = 0; k < x->K; k += KB)
			panel_part(&y, edge, PANEL, bias, x->p + n * x->K, k);
		for (size_t i = 0; i < y.M; i++)
			memcpy(x->c + (r + i) * x->ldc + n, edge + i * PANEL, width * sizeof *edge);
	}
}

void kernel_avx2(const struct product *x)
{
	size_t n = 0;

	for (; n + PANEL <= x->N; n += PANEL)
		for (size_t k = 0; k < x->K; k += KB)
			panel_part(x, x->c + n, x->ldc, x->bias ? x->bias + n : NULL, x->p + n * x->K, k);
	if (n < x->N)
		panel_narrow(x, n);
}

/* Columns k..k+7 of rows n..n+7 of b become rows: an 8 x 8 transpose in registers. */
INLINE void transpose8(float *p, const float *b, size_t ldb)
{
	__m256 r[8], s[8];

#pragma GCC unroll 8
	for (size_t i = 0; i < 8; i++)
		r[i] = _mm256_loadu_ps(b + i * ldb);
#pragma GCC unroll 4
	for (size_t i = 0; i < 4; i++) {
		s[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
		s[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
	}
#pragma GCC unroll 2
	for (size_t i = 0; i < 8; i += 4) {
		r[i] = _mm256_shuffle_ps(s[i], s[i + 2], 0x44);
		r[i + 1] = _mm256_shuffle_ps(s[i], s[i + 2], 0xee);
		r[i + 2] = _mm256_shuffle_ps(s[i + 1], s[i + 3], 0x44);
		r[i + 3] = _mm256_shuffle_ps(s[i + 1], s[i + 3], 0xee);
	}
#pragma GCC unroll 4
	for (size_t i = 0; i < 4; i++) {
		_mm256_storeu_ps(p + i * PANEL, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
		_mm256_storeu_ps(p + (i + 4) * PANEL, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
	}
}

TARGET void kernel_avx2_pack_t(float *p, const float *b, size_t ldb, size_t K, size_t N)
{
	for (size_t n = 0; n < N; n += PANEL, p += K * PANEL) {
		size_t m = N - n < PANEL ? N - n : PANEL, k = 0;

		for (; m == PANEL && k + 8 <= K; k += 8) {
			transpose8(p + k * PANEL, b + n * ldb + k, ldb);
			transpose8(p + k * PANEL + 8, b + (n + 8) * ldb + k, ldb);
		}
		for (; k < K; k++)
			for (size_t j = 0; j < PANEL; j++)
				p[k * PANEL + j] = j < m ? b[(n + j) * ldb + k] : 0.0f;
	}
}
#endif
