/* test_rank.c - rank, k best and nearest prototype against plain loops over model_item_vector, for every number of threads;
 * and ties: constant scores must not look good.
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

#include "model/model_private.h"
#include "model/rng.h"

enum { N = 600, D = 8, K = 5, n = 150 };

static struct model *model_with(size_t items, int cosine, int threads)
{
	struct model_config c = {.L = 6, .D = D, .heads = 2, .layers = 1, .K = K, .dropout = .1f, .loss = LOSS_FULL, .negatives = 1,
	                         .cosine = cosine, .cosine_tau = .07f, .norm = cosine, .eps = .05f, .iters = 3, .tau1 = 1, .tau2 = 1,
	                         .tau3 = 1, .crop_share = .8f, .beta_1 = .9f, .beta_2 = .999f, .adam_eps = 1e-8f, .seed = 11,
	                         .threads = threads, .items_max = N + 10, .batch_users_max = 8};
	struct model *m;
	const char *why = "";
	uint32_t row;

	if (model_config_check(&c, &why) < 0)
		fail_msg("config: %s", why);
	assert_int_equal(model_new(&m, &c), 0);
	for (size_t i = 0; i < items; i++)
		assert_int_equal(model_add_item(m, &row), 0);
	return m;
}

static void queries(float *h)
{
	for (size_t i = 0; i < n * D; i++)
		h[i] = (float)(rng_unit(rng_mix(i + 77)) - .5);
}

static double score(const struct model *m, const float *h, uint32_t row)
{
	float v[D];
	double s = 0;

	model_item_vector(m, v, row);
	for (size_t d = 0; d < D; d++)
		s += (double)v[d] * h[d];
	return s;
}

static void rank_case(int cosine, int skipping)
{
	static float h[n * D];
	uint32_t target[n], rank[n], first[n];
	uint8_t skip[N];

	queries(h);
	for (size_t i = 0; i < n; i++)
		target[i] = (uint32_t)rng_below(rng_mix(i), N);
	target[3] = NO_ROW;
	for (size_t r = 0; r < N; r++)
		skip[r] = r % 3 == 1;
	for (int threads = 1; threads <= 3; threads++) {
		struct model *m = model_with(N, cosine, threads);

		model_rank(m, rank, h, target, n, skipping ? skip : NULL);
		for (size_t i = 0; i < n; i++) {
			uint32_t want_lo = 0, want_hi = 0;

			if (target[i] == NO_ROW) {
				assert_int_equal(rank[i], N);
				continue;
			}
			for (uint32_t r = 0; r < N; r++) {
				double gap = score(m, h + i * D, r) - score(m, h + i * D, target[i]);

				if (r == target[i] || (skipping && skip[r]))
					continue;
				want_lo += gap > 1e-7; /* fp32 may order neighbours closer than this either way */
				want_hi += gap > -1e-7;
			}
			assert_in_range(rank[i], want_lo, want_hi);
		}
		if (threads == 1)
			memcpy(first, rank, sizeof rank);
		assert_memory_equal(first, rank, sizeof rank);
		model_free(m);
	}
}

static void rank_dot(void **state) { rank_case(0, 0); }
static void rank_cosine(void **state) { rank_case(1, 0); }
static void rank_skips(void **state) { rank_case(1, 1); }

/* all items equal: N - 1 others tie, half of them, rounded up, stand before the target - wherever it lies */
static void constant_scores_rank_in_the_middle(void **state)
{
	struct model *m = model_with(N, 1, 2);
	static float h[n * D];
	uint32_t target[n], rank[n];

	queries(h);
	for (uint32_t r = 1; r < N; r++)
		memcpy(model_item_row(m, r), model_item_row(m, 0), D * sizeof(float));
	for (size_t i = 0; i < n; i++)
		target[i] = (uint32_t)(i * 599 / (n - 1));
	for (size_t count = 1; count <= n; count += 37) {
		model_rank(m, rank, h, target, count, NULL);
		for (size_t i = 0; i < count; i++)
			assert_int_equal(rank[i], N / 2); /* (599 + 1) / 2 */
	}

	/* a vector of NaN is no success either */
	for (size_t d = 0; d < D; d++)
		h[d] = NAN;
	model_rank(m, rank, h, target, 1, NULL);
	assert_true(rank[0] >= N / 2 - 1);
	model_free(m);
}

static void topk_case(int cosine, size_t k, int excluding)
{
	static float h[n * D];
	static uint32_t start[n + 1], exclude[n * 7];
	uint32_t *rows = calloc(n * k, sizeof *rows);
	float *scores = calloc(n * k, sizeof *scores);
	struct model *m = model_with(N, cosine, 2);

	queries(h);
	for (size_t i = 0; i < n * 7; i++)
		exclude[i] = (uint32_t)rng_below(rng_mix(i + 5), N);
	for (size_t i = 0; i <= n; i++)
		start[i] = (uint32_t)(i * 7);
	model_topk(m, rows, scores, h, n, k, excluding ? start : NULL, excluding ? exclude : NULL);
	for (size_t i = 0; i < n; i++) {
		uint8_t taken[N] = {0};
		size_t out = 0, full;

		for (size_t x = 0; excluding && x < 7; x++) {
			out += !taken[exclude[i * 7 + x]];
			taken[exclude[i * 7 + x]] = 1;
		}
		full = k < N - out ? k : N - out;
		for (size_t p = 0; p < k; p++) {
			uint32_t r = rows[i * k + p];
			double best = -1e9;

			if (p >= full) {
				assert_int_equal(r, NO_ROW);
				continue;
			}
			assert_true(r < N && !taken[r]);
			for (uint32_t o = 0; o < N; o++)
				best = taken[o] ? best : fmax(best, score(m, h + i * D, o));
			assert_true(fabs(scores[i * k + p] - score(m, h + i * D, r)) < 1e-6);
			assert_true(best - scores[i * k + p] < 1e-6);
			assert_true(p == 0 || scores[i * k + p] <= scores[i * k + p - 1]);
			taken[r] = 1;
		}
	}
	model_free(m);
	free(rows);
	free(scores);
}

static void topk_dot(void **state) { topk_case(0, 10, 0); }
static void topk_excludes(void **state) { topk_case(1, 21, 1); }
static void topk_one(void **state) { topk_case(1, 1, 1); }
static void topk_longer_than_the_catalogue(void **state) { topk_case(0, N + 3, 1); }

static void topk_ties_by_lower_row(void **state)
{
	struct model *m = model_with(N, 0, 1);
	float h[D] = {0}, scores[9];
	uint32_t rows[9];

	model_topk(m, rows, scores, h, 1, 9, NULL, NULL);
	for (uint32_t p = 0; p < 9; p++)
		assert_int_equal(rows[p], p);
	model_free(m);
}

static void empty_catalogue(void **state)
{
	struct model *m = model_with(0, 0, 1);
	float h[D] = {1}, scores[2];
	uint32_t rows[2], rank = 9, target = NO_ROW;

	model_topk(m, rows, scores, h, 1, 2, NULL, NULL);
	assert_true(rows[0] == NO_ROW && rows[1] == NO_ROW);
	model_rank(m, &rank, h, &target, 1, NULL);
	assert_int_equal(rank, 0);
	model_free(m);
}

static void assign_is_the_nearest_prototype(void **state)
{
	for (int cosine = 0; cosine < 2; cosine++) {
		struct model *m = model_with(3, cosine, 2);
		static float h[n * D];
		int32_t k[n];

		queries(h);
		model_assign(m, k, h, n);
		for (size_t i = 0; i < n; i++) {
			double best = -1e9, mine = -1e9;

			for (uint32_t p = 0; p < K; p++) {
				const float *mu = m->w.mu + p * D;
				double s = 0, len = 0;

				for (size_t d = 0; d < D; d++) {
					s += (double)mu[d] * h[i * D + d];
					len += (double)mu[d] * mu[d];
				}
				s /= cosine ? sqrt(len) : 1;
				best = fmax(best, s);
				mine = (int32_t)p == k[i] ? s : mine;
			}
			assert_true(best - mine < 1e-6);
		}
		model_free(m);
	}
}

/* Not a check: microseconds a query. test_rank bench */
static int bench(void)
{
	enum { Q = 4096, ITEMS = 12101, W = 64 };
	struct model_config c = {.L = 6, .D = W, .heads = 2, .layers = 1, .K = K, .loss = LOSS_FULL, .negatives = 1, .cosine = 1,
	                         .cosine_tau = .07f, .eps = .05f, .iters = 3, .tau1 = 1, .tau2 = 1, .tau3 = 1, .crop_share = .8f,
	                         .beta_1 = .9f, .beta_2 = .999f, .adam_eps = 1e-8f, .seed = 11, .threads = 2, .items_max = ITEMS,
	                         .batch_users_max = 8};
	static float h[Q * W], scores[Q * 20];
	static uint32_t target[Q], rank[Q], rows[Q * 20];
	struct model *m;
	uint32_t row;

	assert_int_equal(model_new(&m, &c), 0);
	for (size_t i = 0; i < ITEMS; i++)
		model_add_item(m, &row);
	for (size_t i = 0; i < Q * W; i++)
		h[i] = (float)(rng_unit(rng_mix(i)) - .5);
	for (int turn = 0; turn < 3; turn++) {
		struct timespec t0, t1, t2;

		clock_gettime(CLOCK_MONOTONIC, &t0);
		model_rank(m, rank, h, target, Q, NULL);
		clock_gettime(CLOCK_MONOTONIC, &t1);
		model_topk(m, rows, scores, h, Q, 20, NULL, NULL);
		clock_gettime(CLOCK_MONOTONIC, &t2);
		printf("N=%d D=%d threads=2: rank %.1f us/query, top 20 %.1f us/query\n", ITEMS, W,
		       ((double)(t1.tv_sec - t0.tv_sec) * 1e6 + (double)(t1.tv_nsec - t0.tv_nsec) / 1e3) / Q,
		       ((double)(t2.tv_sec - t1.tv_sec) * 1e6 + (double)(t2.tv_nsec - t1.tv_nsec) / 1e3) / Q);
	}
	model_free(m);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rank_dot), cmocka_unit_test(rank_cosine), cmocka_unit_test(rank_skips),
		cmocka_unit_test(constant_scores_rank_in_the_middle), cmocka_unit_test(topk_dot), cmocka_unit_test(topk_excludes),
		cmocka_unit_test(topk_one), cmocka_unit_test(topk_longer_than_the_catalogue), cmocka_unit_test(topk_ties_by_lower_row),
		cmocka_unit_test(empty_catalogue), cmocka_unit_test(assign_is_the_nearest_prototype),
	};

	openblas_set_num_threads(1);
	if (argc > 1 && strcmp(argv[1], "bench") == 0)
		return bench();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
