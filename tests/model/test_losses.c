/* test_losses.c - every loss against a plain double-precision loop: the value, and the gradient against central differences
 * of that loop. Sinkhorn: its properties, and the plain version in the log domain.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/losses.h"
#include "model/rng.h"

#define W 0.7f /* the loss's weight in gradients */

/* One problem: v[] are the tensors a loss may read; its double copy is what central differences move. */
enum { Z1, Z2, MU, S, CW, CB, TENSORS };
struct problem {
	size_t B, K, D, len[TENSORS];
	float *v[TENSORS], *g[TENSORS], tau;
	double *d[TENSORS];
	float *q, *scratch;
	uint32_t *h;
	uint8_t *head;
	int option;
};

static struct problem problem_new(size_t B, size_t K, size_t D, float tau, int option)
{
	struct problem p = {.B = B, .K = K, .D = D, .tau = tau, .option = option, .len = {B * D, B * D, K * D, B * K, 2 * D, 2}};

	for (int t = 0; t < TENSORS; t++) {
		p.v[t] = calloc(p.len[t], sizeof(float));
		p.g[t] = calloc(p.len[t], sizeof(float));
		p.d[t] = calloc(p.len[t], sizeof(double));
		for (size_t i = 0; i < p.len[t]; i++)
			p.d[t][i] = p.v[t][i] = (float)(2 * rng_unit(rng_bits(1, RNG_GENERATE, (uint64_t)t, i, B)) - 1);
	}
	p.q = calloc(B * K, sizeof(float));
	p.scratch = calloc(contrast_scratch(B, K, D) + sinkhorn_scratch(B, K), sizeof(float));
	p.h = calloc(B, sizeof *p.h);
	p.head = calloc(B, 1);
	sinkhorn(p.q, p.v[S], B, K, .5f, 3, p.scratch);
	for (size_t u = 0; u < B; u++) {
		p.h[u] = (uint32_t)rng_below(rng_mix(u + 5), K);
		p.head[u] = rng_mix(u) & 1;
	}
	return p;
}

static void problem_free(struct problem *p)
{
	for (int t = 0; t < TENSORS; t++) {
		free(p->v[t]);
		free(p->g[t]);
		free(p->d[t]);
	}
	free(p->q);
	free(p->scratch);
	free(p->h);
	free(p->head);
}

static double dot(const double *x, const double *y, size_t n)
{
	double s = 0;

	for (size_t i = 0; i < n; i++)
		s += x[i] * y[i];
	return s;
}

/* ---- the definitions ---- */

static double ref_cluster(const struct problem *p)
{
	double loss = 0;

	for (size_t u = 0; u < p->B; u++) {
		const double *s = p->d[S] + u * p->K;
		double sum = 0;

		for (size_t k = 0; k < p->K; k++)
			sum += exp(s[k] / p->tau);
		for (size_t k = 0; k < p->K; k++)
			loss -= p->q[u * p->K + k] * (s[k] / p->tau - log(sum));
	}
	return loss / (double)p->B;
}

static double ref_contrast_one(const struct problem *p, const double *a, const double *o)
{
	size_t D = p->D;
	double loss = 0;

	for (size_t u = 0; u < p->B; u++) {
		double pos = dot(a + u * D, o + u * D, D) / p->tau, sum = p->option ? exp(pos) : 0;

		for (size_t n = 0; n < p->B; n++)
			if (n != u)
				sum += exp(dot(a + u * D, a + n * D, D) / p->tau) + exp(dot(a + u * D, o + n * D, D) / p->tau);
		for (size_t k = 0; k < p->K; k++)
			if (k != p->h[u])
				sum += exp(dot(a + u * D, p->d[MU] + k * D, D) / p->tau);
		if (sum > 0)
			loss += log(sum) - pos;
	}
	return loss / (double)p->B;
}

static double ref_contrast(const struct problem *p)
{
	return ref_contrast_one(p, p->d[Z1], p->d[Z2]) + ref_contrast_one(p, p->d[Z2], p->d[Z1]);
}

static double ref_distill(const struct problem *p)
{
	double loss = 0;

	for (size_t u = 0; u < p->B; u++) {
		const double *t = p->d[MU] + p->h[u] * p->D, *s = p->d[Z1] + u * p->D;
		double st = 0, ss = 0;

		for (size_t d = 0; d < p->D; d++) {
			st += exp(t[d] / p->tau);
			ss += exp(s[d] / p->tau);
		}
		for (size_t d = 0; d < p->D; d++)
			loss += exp(t[d] / p->tau) / st * ((t[d] - s[d]) / p->tau - log(st) + log(ss));
	}
	return loss / (double)p->B;
}

static double ref_adversary(const struct problem *p)
{
	double loss = 0;

	for (size_t u = 0; u < p->B; u++) {
		double c0 = dot(p->d[CW], p->d[Z1] + u * p->D, p->D) + p->d[CB][0];
		double c1 = dot(p->d[CW] + p->D, p->d[Z1] + u * p->D, p->D) + p->d[CB][1];

		loss += log(exp(c0) + exp(c1)) - (p->head[u] ? c1 : c0);
	}
	return loss / (double)p->B;
}

/* ---- comparison ---- */

/* gradient of tensor t against sign * W * central difference of ref */
static void expect_gradient(struct problem *p, double (*ref)(const struct problem *), int t, double sign)
{
	double worst = 0, top = 1e-3;

	for (size_t i = 0; i < p->len[t]; i++) {
		double keep = p->d[t][i], step = 1e-5, up, want;

		p->d[t][i] = keep + step;
		up = ref(p);
		p->d[t][i] = keep - step;
		want = sign * W * (up - ref(p)) / (2 * step);
		p->d[t][i] = keep;
		worst = fmax(worst, isfinite(p->g[t][i]) ? fabs(p->g[t][i] - want) : INFINITY);
		top = fmax(top, fabs(want));
	}
	if (!(worst < 3e-5 * top))
		fail_msg("tensor %d: gradient off by %g of %g", t, worst, top);
}

static void expect_loss(double got, double want)
{
	if (!(fabs(got - want) < 1e-5 * fmax(1e-1, fabs(want))))
		fail_msg("loss %.9g, expected %.9g", got, want);
}

static void cluster_is_its_definition(void **state)
{
	const size_t shape[][2] = {{1, 1}, {1, 3}, {7, 3}, {3, 7}, {4, 700}};

	for (size_t i = 0; i < 5; i++) {
		struct problem p = problem_new(shape[i][0], shape[i][1], 3, .2f, 0);

		expect_loss(cluster_loss(p.g[S], p.v[S], p.q, p.B, p.K, p.tau, W, p.scratch), ref_cluster(&p));
		expect_gradient(&p, ref_cluster, S, 1);
		problem_free(&p);
	}
}

static void contrast_is_its_definition(void **state)
{
	const size_t shape[][3] = {{1, 1, 3}, {1, 4, 3}, {2, 1, 7}, {5, 3, 8}, {7, 9, 4}};

	for (size_t i = 0; i < 10; i++) {
		struct problem p = problem_new(shape[i / 2][0], shape[i / 2][1], shape[i / 2][2], .5f, i % 2);

		expect_loss(contrast_loss(p.g[Z1], p.g[Z2], p.g[MU], p.v[Z1], p.v[Z2], p.v[MU], p.h, p.B, p.K, p.D, p.tau, p.option, W, p.scratch, NULL),
		             ref_contrast(&p));
		expect_gradient(&p, ref_contrast, Z1, 1);
		expect_gradient(&p, ref_contrast, Z2, 1);
		expect_gradient(&p, ref_contrast, MU, 1);
		problem_free(&p);
	}
}

/* One user whose only prototype is its own: an empty denominator counts 0 and moves nothing. */
static void contrast_with_nothing(void **state)
{
	struct problem p = problem_new(1, 1, 4, .1f, 0);

	assert_true(contrast_loss(p.g[Z1], p.g[Z2], p.g[MU], p.v[Z1], p.v[Z2], p.v[MU], p.h, 1, 1, 4, p.tau, 0, W, p.scratch, NULL) == 0.0);
	for (size_t d = 0; d < 4; d++)
		assert_true(p.g[Z1][d] == 0 && p.g[Z2][d] == 0 && p.g[MU][d] == 0);
	problem_free(&p);
}

static void contrast_of_identical_users(void **state)
{
	struct problem p = problem_new(6, 3, 4, .5f, 0);

	for (size_t i = 0; i < p.len[Z1]; i++) {
		p.d[Z1][i] = p.d[Z2][i] = p.v[Z1][i] = p.v[Z2][i] = p.v[Z1][i % 4];
	}
	expect_loss(contrast_loss(p.g[Z1], p.g[Z2], p.g[MU], p.v[Z1], p.v[Z2], p.v[MU], p.h, p.B, p.K, p.D, p.tau, 0, W, p.scratch, NULL),
	             ref_contrast(&p));
	expect_gradient(&p, ref_contrast, Z1, 1);
	problem_free(&p);
}

/* exp would overflow without the row maximum taken off */
static void sharp_temperatures_stay_finite(void **state)
{
	struct problem p = problem_new(5, 4, 8, 1e-3f, 0);

	for (size_t i = 0; i < p.len[Z1]; i++)
		p.v[Z1][i] *= 10;
	assert_true(isfinite(contrast_loss(p.g[Z1], p.g[Z2], p.g[MU], p.v[Z1], p.v[Z2], p.v[MU], p.h, 5, 4, 8, 1e-3f, 0, W, p.scratch, NULL)));
	assert_true(isfinite(distill_loss(p.g[Z1], p.g[MU], p.v[Z1], p.v[MU], p.h, 5, 8, 1e-3f, 0, W)));
	assert_true(isfinite(cluster_loss(p.g[S], p.v[S], p.q, 5, 4, 1e-4f, W, p.scratch)));
	for (int t = 0; t < TENSORS; t++)
		for (size_t i = 0; i < p.len[t]; i++)
			assert_true(isfinite(p.g[t][i]));
	problem_free(&p);
}

static void distill_is_its_definition(void **state)
{
	for (size_t i = 0; i < 3; i++) {
		struct problem p = problem_new(1 + 3 * i, 3, 1 + 6 * i, .3f, 0);

		expect_loss(distill_loss(p.g[Z1], p.g[MU], p.v[Z1], p.v[MU], p.h, p.B, p.D, p.tau, 0, W), ref_distill(&p));
		expect_gradient(&p, ref_distill, Z1, 1);
		expect_gradient(&p, ref_distill, MU, 1);
		memset(p.g[MU], 0, p.len[MU] * sizeof(float));
		distill_loss(NULL, p.g[MU], p.v[Z1], p.v[MU], p.h, p.B, p.D, p.tau, 1, W);
		for (size_t k = 0; k < p.len[MU]; k++)
			assert_true(p.g[MU][k] == 0); /* detached */
		problem_free(&p);
	}
}

static void adversary_descends_and_encoder_climbs(void **state)
{
	for (size_t i = 0; i < 3; i++) {
		struct problem p = problem_new(1 + 3 * i, 1, 1 + 6 * i, 1, 0);

		expect_loss(adversary_loss(p.g[Z1], p.g[CW], p.g[CB], p.v[Z1], p.v[CW], p.v[CB], p.head, p.B, p.D, W), ref_adversary(&p));
		expect_gradient(&p, ref_adversary, CW, 1);
		expect_gradient(&p, ref_adversary, CB, 1);
		expect_gradient(&p, ref_adversary, Z1, -1);
		problem_free(&p);
	}
}

/* sum of c . normalise(z): gradient against differences */
static double ref_normalise(const struct problem *p)
{
	double s = 0;

	for (size_t u = 0; u < p->B; u++)
		s += dot(p->d[Z2] + u * p->D, p->d[Z1] + u * p->D, p->D) / sqrt(dot(p->d[Z1] + u * p->D, p->d[Z1] + u * p->D, p->D));
	return s / W;
}

static void normalise_backward_is_its_gradient(void **state)
{
	struct problem p = problem_new(5, 1, 7, 1, 0);
	float y[35], norm[5], zero[7] = {0}, dzero[7] = {0};

	normalise_forward(y, norm, p.v[Z1], 5, 7);
	normalise_backward(p.g[Z1], p.v[Z2], y, norm, 5, 7);
	expect_gradient(&p, ref_normalise, Z1, 1);

	normalise_forward(y, norm, zero, 1, 7);
	normalise_backward(dzero, p.v[Z2], y, norm, 1, 7);
	for (size_t d = 0; d < 7; d++)
		assert_true(y[d] == 0 && dzero[d] == 0);
	problem_free(&p);
}

/* ---- Sinkhorn ---- */

static void ref_sinkhorn(double *L, const float *s, size_t n, size_t K, double eps, int iters)
{
	for (size_t i = 0; i < n * K; i++)
		L[i] = s[i] / eps;
	for (int it = 0; it < iters; it++) {
		for (int side = 0; side < 2; side++) /* columns to n / K, then rows to 1 */
			for (size_t a = 0; a < (side ? n : K); a++) {
				size_t count = side ? K : n, stride = side ? 1 : K, at = side ? a * K : a;
				double max = -1e300, sum = 0;

				for (size_t b = 0; b < count; b++)
					max = fmax(max, L[at + b * stride]);
				for (size_t b = 0; b < count; b++)
					sum += exp(L[at + b * stride] - max);
				for (size_t b = 0; b < count; b++)
					L[at + b * stride] -= max + log(sum) - (side ? 0 : log((double)n / (double)K));
			}
	}
	for (size_t i = 0; i < n * K; i++)
		L[i] = exp(L[i]);
}

/* kind 0 random, 1 all equal, 2 one column far below the others, 3 identical users */
static void sinkhorn_case(size_t n, size_t K, float eps, int iters, int kind, double column_tolerance)
{
	float *s = calloc(n * K, sizeof *s), *q = calloc(n * K, sizeof *q), *scratch = calloc(sinkhorn_scratch(n, K), sizeof *scratch);
	double *want = calloc(n * K, sizeof *want);

	for (size_t i = 0; i < n * K; i++) {
		s[i] = kind == 1 ? .3f : (float)(2 * rng_unit(rng_mix(kind == 3 ? i % K : i)) - 1);
		if (kind == 2 && i % K == 0)
			s[i] = -1000;
	}
	sinkhorn(q, s, n, K, eps, iters, scratch);
	ref_sinkhorn(want, s, n, K, eps, iters);
	for (size_t i = 0; i < n; i++) {
		double row = 0;

		for (size_t k = 0; k < K; k++) {
			assert_true(isfinite(q[i * K + k]) && q[i * K + k] >= 0);
			/* fp32 scores / eps carry 6e-8 / eps of rounding; exp turns it into a relative error */
			if (fabs(q[i * K + k] - want[i * K + k]) > (kind == 2 ? 1e9 : 1e-5 + 1e-6 / eps))
				fail_msg("n=%zu K=%zu eps=%g: q[%zu,%zu] = %g, expected %g", n, K, eps, i, k, q[i * K + k], want[i * K + k]);
			row += q[i * K + k];
		}
		assert_true(fabs(row - 1) < 1e-5);
	}
	for (size_t k = 0; k < K; k++) {
		double column = 0, share = (double)n / (double)K;

		for (size_t i = 0; i < n; i++)
			column += q[i * K + k];
		if (fabs(column - share) > column_tolerance * share)
			fail_msg("n=%zu K=%zu eps=%g: column %zu holds %g of %g", n, K, eps, k, column, share);
	}
	free(s);
	free(q);
	free(scratch);
	free(want);
}

static void sinkhorn_random(void **state) { sinkhorn_case(64, 8, .05f, 3, 0, .5); }
static void sinkhorn_converges(void **state) { sinkhorn_case(64, 8, .5f, 50, 0, 1e-3); }
static void sinkhorn_fewer_users(void **state) { sinkhorn_case(3, 9, .05f, 3, 0, 9); }
static void sinkhorn_one_user(void **state) { sinkhorn_case(1, 9, .05f, 3, 0, 1e-4); }
static void sinkhorn_one_prototype(void **state) { sinkhorn_case(5, 1, .05f, 3, 0, 1e-4); }
static void sinkhorn_all_equal(void **state) { sinkhorn_case(12, 5, .05f, 3, 1, 1e-4); }
static void sinkhorn_very_sharp(void **state) { sinkhorn_case(64, 8, 1e-3f, 3, 0, 9); }
static void sinkhorn_column_underflows(void **state) { sinkhorn_case(32, 8, .05f, 3, 2, 9); }
static void sinkhorn_identical_users(void **state) { sinkhorn_case(16, 8, .05f, 3, 3, 1e-4); }
static void sinkhorn_no_iterations(void **state) { sinkhorn_case(0, 8, .05f, 0, 0, 9); }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cluster_is_its_definition), cmocka_unit_test(contrast_is_its_definition),
		cmocka_unit_test(contrast_with_nothing), cmocka_unit_test(contrast_of_identical_users),
		cmocka_unit_test(sharp_temperatures_stay_finite), cmocka_unit_test(distill_is_its_definition),
		cmocka_unit_test(adversary_descends_and_encoder_climbs), cmocka_unit_test(normalise_backward_is_its_gradient),
		cmocka_unit_test(sinkhorn_random), cmocka_unit_test(sinkhorn_converges), cmocka_unit_test(sinkhorn_fewer_users),
		cmocka_unit_test(sinkhorn_one_user), cmocka_unit_test(sinkhorn_one_prototype), cmocka_unit_test(sinkhorn_all_equal),
		cmocka_unit_test(sinkhorn_very_sharp), cmocka_unit_test(sinkhorn_column_underflows),
		cmocka_unit_test(sinkhorn_identical_users), cmocka_unit_test(sinkhorn_no_iterations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
