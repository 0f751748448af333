/* kernel.c - chooses the implementation, packs, and multiplies by OpenBLAS where there is no AVX2. */
#include <cblas.h>
#include <string.h>

#include "model/kernel.h"
#include "model/kernel_private.h"
#include "model/vmath.h"

static int portable;

void kernel_portable(int yes) { portable = yes; }

#ifdef __x86_64__
static int own(void) { return !portable && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#else
static int own(void) { return 0; }
void kernel_avx2(const struct product *x) { (void)x; }
void kernel_avx2_pack_t(float *p, const float *b, size_t ldb, size_t K, size_t N) { (void)p; (void)b; (void)ldb; (void)K; (void)N; }
#endif

const char *kernel_name(void) { return own() ? "fma6x16" : "blas"; }

/* Fits both forms: OpenBLAS gets its operand as (K,N) without gaps. */
size_t kernel_packed(size_t K, size_t N) { return (N + PANEL - 1) / PANEL * PANEL * K; }

#define ABREAST 4 /* panels */

void kernel_pack(float *p, const float *b, size_t ldb, size_t K, size_t N)
{
	size_t width = own() ? PANEL : N, n = 0;

	/* Panels side by side: rows of the width of the model are read from end to end, as memory likes it. */
	for (; width == PANEL && n + ABREAST * PANEL <= N; n += ABREAST * PANEL, p += ABREAST * K * PANEL)
		for (size_t k = 0; k < K; k++)
			for (size_t i = 0; i < ABREAST; i++) /* known size: two moves of a vector */
				memcpy(p + (i * K + k) * PANEL, b + k * ldb + n + i * PANEL, PANEL * sizeof *p);
	for (; n < N; n += width, p += K * width) {
		size_t m = N - n < width ? N - n : width;

		for (size_t k = 0; k < K; k++) {
			memcpy(p + k * width, b + k * ldb + n, m * sizeof *p);
			memset(p + k * width + m, 0, (width - m) * sizeof *p);
		}
	}
}

void kernel_pack_t(float *p, const float *b, size_t ldb, size_t K, size_t N)
{
	if (own()) {
		kernel_avx2_pack_t(p, b, ldb, K, N);
		return;
	}
	for (size_t n = 0; n < N; n++)
		for (size_t k = 0; k < K; k++)
			p[k * N + n] = b[n * ldb + k];
}

/* c (M,N) = a (M,K) p (K,N) + bias, or c += a p */
static void blas_mul(float *c, size_t ldc, const float *a, size_t lda, const float *p, const float *bias, int add, size_t M, size_t N, size_t K)
{
	for (size_t r = 0; bias && r < M; r++)
		memcpy(c + r * ldc, bias, N * sizeof *c);
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)M, (int)N, (int)K, 1, a, (int)lda, p, (int)N, add || bias ? 1 : 0, c, (int)ldc);
}

void kernel_mul(float *c, size_t ldc, const float *a, size_t lda, const float *p, const float *bias, int add, size_t M, size_t N, size_t K)
{
	struct product x = { .c = c, .a = a, .p = p, .bias = bias, .ldc = ldc, .ar = lda, .ak = 1, .M = M, .N = N, .K = K, .add = add };

	if (own())
		kernel_avx2(&x);
	else
		blas_mul(c, ldc, a, lda, p, bias, add, M, N, K);
}

void kernel_mul_t(float *c, size_t ldc, const float *a, size_t lda, const float *p, size_t M, size_t N, size_t K)
{
	struct product x = { .c = c, .a = a, .p = p, .ldc = ldc, .ar = 1, .ak = lda, .M = M, .N = N, .K = K, .add = 1 };

	if (own())
		kernel_avx2(&x);
	else /* (M,N) += (K,M)^T (K,N) */
		cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)M, (int)N, (int)K, 1, a, (int)lda, p, (int)N, 1, c, (int)ldc);
}

void kernel_mul_exp(float *c, size_t ldc, const float *a, size_t lda, const float *p, const float *bias, const float *ref, size_t M, size_t N, size_t K)
{
	struct product x = { .c = c, .a = a, .p = p, .bias = bias, .ref = ref, .ldc = ldc, .ar = lda, .ak = 1, .M = M, .N = N, .K = K };

	if (own()) {
		kernel_avx2(&x);
		return;
	}
	blas_mul(c, ldc, a, lda, p, bias, 0, M, N, K);
	for (size_t r = 0; r < M; r++)
		vmath_exp_sum(c + r * ldc, c + r * ldc, 1, ref[r], N);
}
