/* test_nextitem.c - the three forms of the next-item loss against plain loops in double precision: value and every gradient,
 * with and without cosine scores, weights and log Q; and the same bits for any number of threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/nextitem.h"
#include "model/rng.h"

/* One random problem. ldE = 3 D as in the model. */
struct problem {
	struct model_config c;
	size_t n, N, D, S, ldE;
	float *h, *E, *w, *logq;
	uint32_t *target, *negative;
	uint64_t step;
};

static double gauss(uint64_t i)
{
	double s = 0.0;

	for (uint64_t k = 0; k < 6; k++)
		s += rng_unit(rng_bits(7, RNG_GENERATE, i, k, 0)) - 0.5;
	return s * 1.414;
}

static struct problem problem_new(enum loss_form loss, size_t n, size_t N, size_t D, size_t S, int cosine, double h_scale)
{
	struct problem p = {.n = n, .N = N, .D = D, .S = S, .ldE = 3 * D, .step = 5};

	p.c = (struct model_config){.L = 10, .D = D, .loss = loss, .negatives = S, .cosine = cosine, .cosine_tau = .07f, .seed = 3,
	                            .items_max = N + 7, .batch_users_max = n, .batch_tokens_max = n};
	p.h = calloc(n * D, sizeof(float));
	p.E = calloc(N * p.ldE, sizeof(float));
	p.w = calloc(n, sizeof(float));
	p.logq = calloc(N, sizeof(float));
	p.target = calloc(n, sizeof(uint32_t));
	p.negative = calloc(n * S + 1, sizeof(uint32_t));
	for (size_t i = 0; i < n * D; i++)
		p.h[i] = (float)(gauss(i) * h_scale);
	for (size_t i = 0; i < N * p.ldE; i++)
		p.E[i] = (float)gauss(1000000 + i);
	for (size_t i = 0; i < n; i++) {
		p.w[i] = (float)(0.25 + rng_unit(rng_mix(i)));
		p.target[i] = (uint32_t)rng_below(rng_mix(i + 99), N);
	}
	for (size_t i = 0; i < N; i++)
		p.logq[i] = (float)log((1.0 + (double)(i % 5)) / (3.0 * (double)N));
	for (size_t i = 0; i < n * S; i++)
		p.negative[i] = (uint32_t)rng_below(rng_mix(i + 999), N);
	return p;
}

static void problem_free(struct problem *p)
{
	free(p->h);
	free(p->E);
	free(p->w);
	free(p->logq);
	free(p->target);
	free(p->negative);
}

/* Reference: logit s = x.y (times 1/tau, of unit vectors with cosine); adds g ds to dx and dy. */
static double ref_logit(const struct problem *p, size_t i, uint32_t r, double *dx, double *dy, double g)
{
	const float *x = p->h + i * p->D, *y = p->E + r * p->ldE;
	double xx = 0, yy = 0, xy = 0, nx, ny, tau = p->c.cosine ? (double)p->c.cosine_tau : 1.0;

	for (size_t d = 0; d < p->D; d++) {
		xx += (double)x[d] * x[d];
		yy += (double)y[d] * y[d];
		xy += (double)x[d] * y[d];
	}
	nx = p->c.cosine ? sqrt(xx) : 1.0;
	ny = p->c.cosine ? sqrt(yy) : 1.0;
	for (size_t d = 0; dx && d < p->D; d++) {
		dx[d] += g / tau * (y[d] / (nx * ny) - (p->c.cosine ? xy * x[d] / (nx * nx * nx * ny) : 0.0));
		dy[d] += g / tau * (x[d] / (nx * ny) - (p->c.cosine ? xy * y[d] / (nx * ny * ny * ny) : 0.0));
	}
	return xy / (nx * ny * tau);
}

static void expect_near(const char *what, const float *got, const double *want, size_t n)
{
	double worst = 0, top = 1e-2; /* a gradient that is zero by nature still has rounding */

	for (size_t i = 0; i < n; i++) {
		double e = fabs(got[i] - want[i]);

		assert_true(isfinite(got[i]));
		worst = e > worst ? e : worst;
		top = fabs(want[i]) > top ? fabs(want[i]) : top;
	}
	if (worst > 2e-5 * top)
		fail_msg("%s: off by %g of %g", what, worst, top);
}

static struct nextitem *handle(const struct problem *p, struct pool **ret_pool, int threads)
{
	struct nextitem *x;

	assert_int_equal(pool_new(ret_pool, threads), 0);
	assert_int_equal(nextitem_new(&x, &p->c, *ret_pool), 0);
	return x;
}

/* holes 1: every fifth column is no item, unless a target is. */
static void full_case_of(size_t n, size_t N, size_t D, int cosine, int weighted, double h_scale, int holes)
{
	struct problem p = problem_new(LOSS_FULL, n, N, D, 0, cosine, h_scale);
	double *dh = calloc(n * D, sizeof *dh), *dE = calloc(N * D, sizeof *dE), *s = calloc(N, sizeof *s), want = 0, got;
	float *gh = malloc(n * D * sizeof *gh), *gE = malloc(N * D * sizeof *gE);
	uint8_t *gone = calloc(N, 1);
	struct pool *pool;
	struct nextitem *x = handle(&p, &pool, 2);

	for (size_t r = 3; holes && r < N; r += 5)
		gone[r] = 1;
	for (size_t i = 0; i < n; i++)
		gone[p.target[i]] = 0;
	for (size_t i = 0; i < n; i++) {
		double max = -1e300, sum = 0, c = (weighted ? p.w[i] : 1.0) / (double)n;

		for (uint32_t r = 0; r < N; r++) {
			s[r] = ref_logit(&p, i, r, NULL, NULL, 0);
			max = s[r] > max && !gone[r] ? s[r] : max;
		}
		for (size_t r = 0; r < N; r++)
			sum += gone[r] ? 0 : exp(s[r] - max);
		want += c * (log(sum) + max - s[p.target[i]]);
		for (uint32_t r = 0; r < N; r++)
			ref_logit(&p, i, r, dh + i * D, dE + r * D, c * ((gone[r] ? 0 : exp(s[r] - max) / sum) - (r == p.target[i])));
	}

	/* twice: the second call must not see what the first left */
	for (int turn = 0; turn < 2; turn++) {
		memset(gh, 0xff, n * D * sizeof *gh);
		memset(gE, 0xff, N * D * sizeof *gE);
		got = nextitem_full(x, gh, gE, p.h, p.target, weighted ? p.w : NULL, p.E, p.ldE, holes ? gone : NULL, n, N);
		if (fabs(got - want) > 1e-5 * fabs(want) + 1e-6)
			fail_msg("loss %.9g, expected %.9g", got, want);
		expect_near("dh", gh, dh, n * D);
		expect_near("dE", gE, dE, N * D);
	}
	nextitem_free(x);
	pool_free(pool);
	problem_free(&p);
	free(dh);
	free(dE);
	free(s);
	free(gh);
	free(gE);
	free(gone);
}

static void full_case(size_t n, size_t N, size_t D, int cosine, int weighted, double h_scale) { full_case_of(n, N, D, cosine, weighted, h_scale, 0); }
static void full_dot(void **state) { full_case(37, 113, 8, 0, 0, 1.0); }
static void full_dot_weighted(void **state) { full_case(37, 113, 7, 0, 1, 1.0); }
static void full_cosine(void **state) { full_case(37, 113, 8, 1, 0, 1.0); }
static void full_one_row_one_item(void **state) { full_case(1, 1, 3, 0, 1, 1.0); }
static void full_many_blocks(void **state) { full_case(300, 1100, 16, 1, 1, 1.0); }
static void full_many_groups(void **state) { full_case(2200, 530, 4, 0, 1, 1.0); }
/* logits beyond the bound: the true maximum is used, also when rows of one block disagree */
static void full_large_logits(void **state) { full_case(150, 600, 8, 0, 0, 40.0); }

static void full_with_holes(void **state) { full_case_of(37, 1100, 8, 1, 1, 1.0, 1); }
static void full_with_holes_large_logits(void **state) { full_case_of(37, 600, 8, 0, 0, 40.0, 1); }

static void full_no_targets(void **state)
{
	struct problem p = problem_new(LOSS_FULL, 1, 20, 4, 0, 0, 1.0);
	struct pool *pool;
	struct nextitem *x = handle(&p, &pool, 1);
	float gE[80];

	memset(gE, 0xff, sizeof gE);
	assert_true(nextitem_full(x, NULL, gE, NULL, NULL, NULL, p.E, p.ldE, NULL, 0, 20) == 0.0);
	for (size_t i = 0; i < 80; i++)
		assert_true(gE[i] == 0.0f);
	nextitem_free(x);
	pool_free(pool);
	problem_free(&p);
}

static void sampled_case(size_t n, size_t N, size_t D, size_t S, int cosine, int weighted, int logq)
{
	struct problem p = problem_new(LOSS_SAMPLED, n, N, D, S, cosine, 1.0);
	double *dh = calloc(n * D, sizeof *dh), *dN = calloc(S * D, sizeof *dN), *dT = calloc(n * D, sizeof *dT), *s = calloc(S, sizeof *s);
	float *gh = malloc(n * D * sizeof *gh), *gN = malloc(S * D * sizeof *gN), *gT = malloc(n * D * sizeof *gT);
	uint32_t *row = calloc(S, sizeof *row);
	float *qn = calloc(S, sizeof *qn);
	struct pool *pool;
	struct nextitem *x = handle(&p, &pool, 2);
	double want = 0, got;
	size_t left_out = 0;

	for (size_t k = 0; k < S; k++) {
		row[k] = (uint32_t)rng_below(rng_bits(3, RNG_NEGATIVE, p.step, 0, k), N);
		qn[k] = p.logq[row[k]];
	}
	got = nextitem_sampled(x, gh, gT, gN, p.h, p.target, row, weighted ? p.w : NULL, logq ? qn : NULL, p.E, p.ldE, n);
	for (size_t i = 0; i < n; i++) {
		uint32_t t = p.target[i];
		double c = (weighted ? p.w[i] : 1.0) / (double)n, st = ref_logit(&p, i, t, NULL, NULL, 0);
		double max = st, sum = 0;

		for (size_t k = 0; k < S; k++) {
			s[k] = row[k] == t ? -1e300 : ref_logit(&p, i, row[k], NULL, NULL, 0) - (logq ? p.logq[row[k]] : 0);
			left_out += row[k] == t;
			max = s[k] > max ? s[k] : max;
		}
		for (size_t k = 0; k < S; k++)
			sum += exp(s[k] - max);
		sum += exp(st - max);
		want += c * (log(sum) + max - st);
		ref_logit(&p, i, t, dh + i * D, dT + i * D, c * (exp(st - max) / sum - 1));
		for (size_t k = 0; k < S; k++)
			ref_logit(&p, i, row[k], dh + i * D, dN + k * D, c * exp(s[k] - max) / sum);
	}
	assert_true(n * S < 2 * N || left_out > 0); /* the case is exercised */
	if (fabs(got - want) > 1e-5 * fabs(want) + 1e-6)
		fail_msg("loss %.9g, expected %.9g", got, want);
	expect_near("dh", gh, dh, n * D);
	expect_near("dT", gT, dT, n * D);
	expect_near("dN", gN, dN, S * D);
	nextitem_free(x);
	pool_free(pool);
	problem_free(&p);
	free(dh);
	free(dN);
	free(dT);
	free(s);
	free(gh);
	free(gN);
	free(gT);
	free(row);
	free(qn);
}

static void sampled_dot(void **state) { sampled_case(37, 50, 8, 20, 0, 0, 0); }
static void sampled_logq(void **state) { sampled_case(37, 50, 7, 20, 0, 1, 1); }
static void sampled_cosine(void **state) { sampled_case(300, 900, 8, 530, 1, 1, 1); }
static void sampled_one_item(void **state) { sampled_case(3, 1, 4, 2, 0, 0, 0); }

static void bce_case(size_t n, size_t N, size_t D, size_t S, int cosine, int weighted)
{
	struct problem p = problem_new(LOSS_BCE, n, N, D, S, cosine, 1.0);
	double *dh = calloc(n * D, sizeof *dh), *dN = calloc(n * S * D, sizeof *dN), *dT = calloc(n * D, sizeof *dT), want = 0, got;
	float *gh = malloc(n * D * sizeof *gh), *gN = malloc(n * S * D * sizeof *gN), *gT = malloc(n * D * sizeof *gT);
	struct pool *pool;
	struct nextitem *x = handle(&p, &pool, 2);

	got = nextitem_bce(x, gh, gT, gN, p.h, p.target, p.negative, weighted ? p.w : NULL, p.E, p.ldE, n);
	for (size_t i = 0; i < n; i++) {
		double c = (weighted ? p.w[i] : 1.0) / (double)n, s = ref_logit(&p, i, p.target[i], NULL, NULL, 0);

		want += c * log1p(exp(-s));
		ref_logit(&p, i, p.target[i], dh + i * D, dT + i * D, -c / (1 + exp(s)));
		for (size_t k = 0; k < S; k++) {
			s = ref_logit(&p, i, p.negative[i * S + k], NULL, NULL, 0);
			want += c * log1p(exp(s)) / (double)S;
			ref_logit(&p, i, p.negative[i * S + k], dh + i * D, dN + (i * S + k) * D, c / (double)S / (1 + exp(-s)));
		}
	}
	if (fabs(got - want) > 1e-5 * fabs(want) + 1e-6)
		fail_msg("loss %.9g, expected %.9g", got, want);
	expect_near("dh", gh, dh, n * D);
	expect_near("dT", gT, dT, n * D);
	expect_near("dN", gN, dN, n * S * D);
	nextitem_free(x);
	pool_free(pool);
	problem_free(&p);
	free(dh);
	free(dN);
	free(dT);
	free(gh);
	free(gN);
	free(gT);
}

static void bce_one_negative(void **state) { bce_case(37, 50, 7, 1, 0, 0); }
static void bce_cosine_three(void **state) { bce_case(150, 50, 8, 3, 1, 1); }

static void same_bits_for_any_threads(void **state)
{
	struct problem p = problem_new(LOSS_FULL, 1500, 2000, 16, 0, 1, 1.0);
	size_t hn = p.n * p.D, En = p.N * p.D;
	float *first_h = malloc(hn * sizeof(float)), *first_E = malloc(En * sizeof(float));
	float *gh = malloc(hn * sizeof(float)), *gE = malloc(En * sizeof(float));
	double first = 0;

	for (int threads = 1; threads <= 4; threads++) {
		struct pool *pool;
		struct nextitem *x = handle(&p, &pool, threads);
		double loss = nextitem_full(x, gh, gE, p.h, p.target, p.w, p.E, p.ldE, NULL, p.n, p.N);

		if (threads == 1) {
			first = loss;
			memcpy(first_h, gh, hn * sizeof(float));
			memcpy(first_E, gE, En * sizeof(float));
		}
		assert_true(loss == first);
		assert_memory_equal(gh, first_h, hn * sizeof(float));
		assert_memory_equal(gE, first_E, En * sizeof(float));
		nextitem_free(x);
		pool_free(pool);
	}
	problem_free(&p);
	free(first_h);
	free(first_E);
	free(gh);
	free(gE);
}

/* Not a check: microseconds a token. test_nextitem bench [threads] [n] [N] */
static int bench(int threads, size_t n, size_t N)
{
	struct problem p = problem_new(LOSS_FULL, n, N, 64, 0, 1, 1.0);
	float *gh = malloc(n * 64 * sizeof *gh), *gE = malloc(N * 64 * sizeof *gE);
	struct pool *pool;
	struct nextitem *x = handle(&p, &pool, threads);

	for (int turn = 0; turn < 5; turn++) {
		struct timespec a, b;

		clock_gettime(CLOCK_MONOTONIC, &a);
		nextitem_full(x, gh, gE, p.h, p.target, NULL, p.E, p.ldE, NULL, n, N);
		clock_gettime(CLOCK_MONOTONIC, &b);
		printf("full softmax n=%zu N=%zu D=64 threads=%d: %.1f us/token\n", n, N, threads,
		       ((double)(b.tv_sec - a.tv_sec) * 1e6 + (double)(b.tv_nsec - a.tv_nsec) / 1e3) / (double)n);
	}
	nextitem_free(x);
	pool_free(pool);
	problem_free(&p);
	free(gh);
	free(gE);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_dot),          cmocka_unit_test(full_dot_weighted), cmocka_unit_test(full_cosine),
		cmocka_unit_test(full_one_row_one_item), cmocka_unit_test(full_many_blocks), cmocka_unit_test(full_many_groups),
		cmocka_unit_test(full_large_logits), cmocka_unit_test(full_no_targets), cmocka_unit_test(full_with_holes), cmocka_unit_test(full_with_holes_large_logits),
		cmocka_unit_test(sampled_dot),       cmocka_unit_test(sampled_logq),      cmocka_unit_test(sampled_cosine),
		cmocka_unit_test(sampled_one_item),  cmocka_unit_test(bce_one_negative),  cmocka_unit_test(bce_cosine_three),
		cmocka_unit_test(same_bits_for_any_threads),
	};

	openblas_set_num_threads(1);
	if (argc > 1 && strcmp(argv[1], "bench") == 0)
		return bench(argc > 2 ? atoi(argv[2]) : 2, argc > 3 ? (size_t)atol(argv[3]) : 3000, argc > 4 ? (size_t)atol(argv[4]) : 12101);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
