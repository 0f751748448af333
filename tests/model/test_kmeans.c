/* test_kmeans.c - prototypes from outside: k-means finds what is there, leaves alone what it has no points for, and training leaves
 * prototypes where they are.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/model/small.h"

enum { D = 12, GROUPS = 5, EACH = 30, N = GROUPS * EACH };

static struct model_config config(size_t K)
{
	struct model_config c = small();

	c.cluster = CLUSTER_KMEANS;
	c.K = K;
	c.alpha = .5f; c.beta1 = .5f; c.beta2 = .5f; c.lambda = .3f;
	return c;
}

/* Five directions, thirty points of different lengths about each; point i belongs to i % GROUPS. */
static void points(float *z)
{
	for (size_t i = 0; i < N; i++)
		for (size_t d = 0; d < D; d++)
			z[i * D + d] = ((d == i % GROUPS) + .2f * ((float)rng_unit(rng_bits(1, RNG_GENERATE, i, d, 0)) - .5f)) * (1 + (float)(i % 7));
}

/* Sum of cosines between points and their prototypes: what k-means makes large. */
static double closeness(struct model *m, const float *z, int32_t *k)
{
	double sum = 0;

	model_assign(m, k, z, N);
	for (size_t i = 0; i < N; i++) {
		double dot = 0, len = 0;
		float mu[D];

		model_prototype_vector(m, mu, (uint32_t)k[i]);
		for (size_t d = 0; d < D; d++) {
			dot += (double)mu[d] * z[i * D + d];
			len += (double)z[i * D + d] * z[i * D + d];
		}
		sum += dot / sqrt(len);
	}
	return sum;
}

static void finds_the_groups(void **state)
{
	float z[N * D];
	int32_t k[N];

	points(z);
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct model_config c = config(GROUPS);
		struct grad *g;
		struct model *m;
		double seeded, after;

		c.seed = seed;
		m = make(&c, ITEMS, &g);
		assert_int_equal(model_kmeans(m, z, N, 0), 0);
		seeded = closeness(m, z, k);
		assert_int_equal(model_kmeans(m, z, N, 20), 0);
		after = closeness(m, z, k);
		assert_true(after > seeded); /* the same seeding, then rounds that improve */
		for (size_t i = 0; i < N; i++) { /* one prototype a group: ++ seeding missed none */
			assert_int_equal(k[i], k[i % GROUPS]);
			for (size_t j = 0; j < i && i < GROUPS; j++)
				assert_true(k[i] != k[j]);
		}
		grad_free(g);
		model_free(m);
	}
}

static void threads_change_nothing(void **state)
{
	float z[N * D], first[7 * D];

	points(z);
	for (int t = 1; t <= 4; t++) {
		struct model_config c = config(7);
		struct grad *g;
		struct model *m;

		c.threads = t;
		m = make(&c, ITEMS, &g);
		assert_int_equal(model_kmeans(m, z, N, 9), 0);
		if (t == 1)
			memcpy(first, m->w.mu, sizeof first);
		assert_memory_equal(first, m->w.mu, sizeof first);
		grad_free(g);
		model_free(m);
	}
}

/* Two directions for seven prototypes: two move, five stay. */
static void two_directions(float phase)
{
	struct model_config c = config(7);
	struct grad *g;
	struct model *m = make(&c, ITEMS, &g);
	float z[40 * D], was[7 * D];

	memcpy(was, m->w.mu, sizeof was);
	for (size_t i = 0; i < 40 * D; i++) /* of different lengths: equal directions only up to rounding */
		z[i] = sinf((float)(i % (2 * D)) + phase) * (1 + (float)(i / D % 7));
	m->block_m[m->w.mu - m->block_w] = 1;
	assert_int_equal(model_kmeans(m, z, 40, 5), 0);
	for (size_t i = 0; i < 7 * D; i++)
		assert_true((m->w.mu[i] == was[i]) == (i >= 2 * D));
	for (size_t i = 0; i < 2; i++) { /* one is each direction */
		double dot[2] = { 0 }, len = 0;

		for (size_t d = 0; d < D; d++) {
			dot[0] += (double)m->w.mu[d] * z[i * D + d];
			dot[1] += (double)m->w.mu[D + d] * z[i * D + d];
			len += (double)z[i * D + d] * z[i * D + d];
		}
		assert_true(fabs(fmax(dot[0], dot[1]) / sqrt(len) - 1) < 1e-5);
	}
	assert_true(m->block_m[m->w.mu - m->block_w] == 0);
	grad_free(g);
	model_free(m);
}

static void prototypes_without_points_stay(void **state)
{
	struct model_config c = config(7);
	struct grad *g;
	struct model *m = make(&c, ITEMS, &g);
	float was[7 * D];

	for (int i = 0; i < 10; i++)
		two_directions(.37f * (float)i);
	memcpy(was, m->w.mu, sizeof was);
	assert_int_equal(model_kmeans(m, was, 0, 5), 0); /* no points at all */
	assert_memory_equal(was, m->w.mu, sizeof was);
	grad_free(g);
	model_free(m);
}

static void prototypes_are_constants_of_training(void **state)
{
	static struct data d;
	struct model_config c = config(GROUPS);
	struct grad *g;
	struct model *m = make(&c, ITEMS, &g);
	struct step_stats st;
	struct step_trace t;
	float z[N * D], was[GROUPS * D];

	points(z);
	assert_int_equal(model_kmeans(m, z, N, 10), 0);
	memcpy(was, m->w.mu, sizeof was);
	data_init(&d, 20, c.L, ITEMS);
	for (uint64_t step = 1; step <= 5; step++) {
		model_grad(m, g, &d.b, step, &st);
		assert_true(!st.discarded && st.loss_clust > 0 && st.loss_scl > 0);
		model_trace(m, &t);
		for (size_t u = 0; u < 20; u++) /* 1 at the largest score, 0 elsewhere */
			for (size_t k = 0; k < c.K; k++) {
				size_t best = 0;

				for (size_t j = 1; j < c.K; j++)
					best = t.scores[u * c.K + j] > t.scores[u * c.K + best] ? j : best;
				assert_true(t.q[u * c.K + k] == (k == best));
			}
		model_apply(m, g, step, 1e-2f);
	}
	assert_memory_equal(was, m->w.mu, sizeof was);
	c.norm = 0;
	assert_true(model_config_check(&c, NULL) < 0);
	grad_free(g);
	model_free(m);
}

/* What k-means is given is what the step clusters, where dropout does not stand between them. */
static void pooled_outputs_are_the_steps_z(void **state)
{
	struct model_config c = config(3);
	struct step_trace t;
	struct step_stats st;
	struct data d;

	c.dropout = 0;
	c.batch_users_max = 20;
	data_init(&d, 20, c.L, ITEMS);
	for (int pool = POOL_MEAN; pool <= POOL_LAST; pool++) {
		struct grad *g;
		struct model *m;
		float z[20 * D];

		c.pool = (enum pool_form)pool;
		m = make(&c, ITEMS, &g);
		model_grad(m, g, &d.b, 1, &st);
		model_trace(m, &t);
		model_encode_pooled(m, z, &d.b);
		for (size_t u = 0; u < 20; u++) {
			double len = 0;

			for (size_t i = 0; i < D; i++)
				len += (double)z[u * D + i] * z[u * D + i];
			for (size_t i = 0; i < D; i++)
				assert_float_equal(z[u * D + i] / (float)sqrt(len), t.z[u * D + i], 1e-5);
		}
		grad_free(g);
		model_free(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_groups), cmocka_unit_test(threads_change_nothing), cmocka_unit_test(prototypes_without_points_stay),
		cmocka_unit_test(prototypes_are_constants_of_training), cmocka_unit_test(pooled_outputs_are_the_steps_z),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
