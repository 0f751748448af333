/* test_kernel.c - products and packing against plain loops in double, odd shapes, both implementations. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/kernel.h"
#include "model/rng.h"

#define GAP 3 /* floats between the end of a row and the next: nothing may be written there */
#define MARK 12345.0f

static float *draw(size_t n, uint64_t what)
{
	float *x = malloc((n ? n : 1) * sizeof *x);

	for (size_t i = 0; i < n; i++)
		x[i] = (float)rng_unit(rng_bits(5, RNG_GENERATE, what, i, 0)) - .5f;
	return x;
}

enum form { PLAIN, BIAS, ADD, TRANSPOSED, EXP, FORMS };

/* One product in one form; a, b, bias, ref are drawn from the shape. */
static void one(enum form form, size_t M, size_t N, size_t K)
{
	size_t lda = form == TRANSPOSED ? M + GAP : K + GAP, ldb = form == TRANSPOSED || form == ADD ? N + GAP : K + GAP, ldc = N + GAP;
	float *a = draw(lda * (M + K), 1), *b = draw(ldb * (N + K), 2), *bias = draw(N, 3), *ref = draw(M, 4), *c = draw(M * ldc, 5), *old = draw(M * ldc, 5);
	float *p = aligned_alloc(64, kernel_packed(K, N) * sizeof *p / 64 * 64 + 64);

	for (size_t i = 0; i < M * ldc; i++)
		c[i] = i % ldc < N ? c[i] : MARK;
	if (form == TRANSPOSED || form == ADD)
		kernel_pack(p, b, ldb, K, N);
	else
		kernel_pack_t(p, b, ldb, K, N);
	if (form == TRANSPOSED)
		kernel_mul_t(c, ldc, a, lda, p, M, N, K);
	else if (form == EXP)
		kernel_mul_exp(c, ldc, a, lda, p, bias, ref, M, N, K);
	else
		kernel_mul(c, ldc, a, lda, p, form == BIAS ? bias : NULL, form == ADD, M, N, K);

	for (size_t i = 0; i < M; i++)
		for (size_t j = 0; j < ldc; j++) {
			double want = form == BIAS || form == EXP ? bias[j < N ? j : 0] : form == PLAIN ? 0 : old[i * ldc + j];

			for (size_t k = 0; k < K && j < N; k++)
				want += (double)(form == TRANSPOSED ? a[k * lda + i] : a[i * lda + k]) * (form == TRANSPOSED || form == ADD ? b[k * ldb + j] : b[j * ldb + k]);
			if (form == EXP)
				want = exp(want - ref[i]);
			if (j >= N)
				assert_true(c[i * ldc + j] == MARK);
			else if (!(fabs(c[i * ldc + j] - want) <= 1e-5 * (fabs(want) + 1)))
				fail_msg("form %d (%zu,%zu) over %zu: c[%zu,%zu] = %.9g, not %.9g", form, M, N, K, i, j, (double)c[i * ldc + j], want);
		}
	free(a); free(b); free(bias); free(ref); free(c); free(old); free(p);
}

static void all_shapes(void)
{
	static const size_t m[] = { 1, 2, 3, 4, 5, 6, 7, 64 }, n[] = { 1, 7, 16, 17, 40, 64 }, k[] = { 1, 3, 8, 17, 64, 300 };

	for (enum form f = 0; f < FORMS; f++)
		for (size_t x = 0; x < sizeof m / sizeof *m; x++)
			for (size_t y = 0; y < sizeof n / sizeof *n; y++)
				for (size_t z = 0; z < sizeof k / sizeof *k; z++)
					one(f, m[x], n[y], k[z]);
}

static void equals_plain_loops(void **state) { all_shapes(); }

static void portable_equals_plain_loops(void **state)
{
	kernel_portable(1);
	assert_string_equal(kernel_name(), "blas");
	all_shapes();
	kernel_portable(0);
}

/* The promise that ties and encode_last stand on: where a row stands changes no bit. */
static void equal_rows_give_equal_bits(void **state)
{
	enum { M = 11, N = 37, K = 300 };
	float *a = draw(M * K, 1), *b = draw(N * K, 2), *c = malloc(M * N * sizeof *c), *p = aligned_alloc(64, kernel_packed(K, N) * sizeof *p);

	if (strcmp(kernel_name(), "blas") == 0)
		skip();
	for (size_t i = 1; i < M; i++)
		memcpy(a + i * K, a, K * sizeof *a);
	for (size_t j = 1; j < N; j++)
		memcpy(b + j * K, b, K * sizeof *b);
	kernel_pack_t(p, b, K, K, N);
	kernel_mul(c, N, a, K, p, NULL, 0, M, N, K);
	for (size_t i = 1; i < M * N; i++)
		assert_true(c[i] == c[0]);
	free(a); free(b); free(c); free(p);
}

static void exp_of_far_below_is_zero(void **state)
{
	float a = 1, b[2] = { -200, 3 }, ref = 3, c[2], p[16 * 2];

	kernel_pack_t(p, b, 1, 1, 2);
	kernel_mul_exp(c, 2, &a, 1, p, NULL, &ref, 1, 2, 1);
	assert_true(c[0] >= 0 && c[0] < 1e-37f);
	assert_true(c[1] == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equals_plain_loops), cmocka_unit_test(portable_equals_plain_loops),
		cmocka_unit_test(equal_rows_give_equal_bits), cmocka_unit_test(exp_of_far_below_is_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
