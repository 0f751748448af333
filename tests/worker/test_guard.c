/* test_guard.c - the two rules of guard.h, and the sums they stand on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "worker/eval/prequential.h"
#include "worker/learn/guard.h"

static int one(struct guard *g, double loss, double norm)
{
	return guard_step(g, 10, &(struct step_stats){ .loss = loss, .grad_norm = norm, .targets = 5 });
}

static void settle(struct guard *g)
{
	for (int i = 0; i < GUARD_STEPS; i++)
		assert_false(one(g, 5 + i % 3, 1 + i % 2));
}

static void test_explosion(void **state)
{
	struct guard g = { 0 }, before;
	settle(&g);
	before = g;
	assert_false(one(&g, 50, 10)); /* ten times at most what was usual: neither mean is below */
	g = before;
	assert_true(one(&g, 90, 1));   /* by its loss alone ... */
	assert_true(one(&g, 5, 90));   /* ... or its gradient */
	assert_true(g.loss == before.loss && g.norm == before.norm && g.steps == before.steps); /* what was refused is not usual */
	assert_false(one(&g, 6, 2));
	assert_int_equal(g.refused, 0);
}

static void test_off_and_young(void **state)
{
	struct guard g = { 0 };
	for (int i = 0; i < GUARD_STEPS; i++) /* nothing is known yet */
		assert_false(one(&g, i == 3 ? 1e30 : 5, 1));
	struct guard off = g;
	assert_false(guard_step(&off, 0, &(struct step_stats){ .loss = 1e300, .grad_norm = 1e300, .targets = 1 }));
	assert_memory_equal(&off, &g, sizeof g);
}

/* A new level: refused some times, then it is what is usual. */
static void test_drift(void **state)
{
	struct guard g = { 0 };
	settle(&g);
	for (int i = 0; i < GUARD_REFUSALS; i++)
		assert_true(one(&g, 5000, 900));
	for (int i = 0; i < 3 * GUARD_STEPS; i++)
		assert_false(one(&g, 5000, 900));
	assert_true(fabs(g.loss - 5000) < 1e-6);
	assert_true(one(&g, 5e5, 900));
}

/* Steps without a target are judged, but what is usual is not made of them. */
static void test_no_targets(void **state)
{
	struct guard g = { 0 };
	settle(&g);
	struct guard before = g;
	for (int i = 0; i < 1000; i++)
		assert_false(guard_step(&g, 10, &(struct step_stats){ .loss = .001, .grad_norm = .001 }));
	assert_memory_equal(&before, &g, sizeof g);
	assert_true(guard_step(&g, 10, &(struct step_stats){ .loss = 1, .grad_norm = 1e6 }));
}

static void ranked(struct guard *g, int n, int64_t by_model, int64_t by_popularity)
{
	for (int i = 0; i < n; i++)
		guard_ranked(g, 100, by_model, by_popularity);
}

static void test_hold(void **state)
{
	struct guard g = { 0 };
	ranked(&g, 1000, 1, 2); /* a model that was never better is published: nothing better was */
	assert_false(g.held);
	ranked(&g, 99, 2, 1);
	ranked(&g, 1, 1, 2);
	assert_false(g.armed);
	ranked(&g, 100, 2, 1);
	assert_true(g.armed && !g.held);

	ranked(&g, 60, 1, 2);
	ranked(&g, 1000, 2, 2); /* neither */
	ranked(&g, 39, 1, 2);
	assert_false(g.held);
	ranked(&g, 1, 1, 2);
	assert_true(g.held);
	ranked(&g, 1000, 1, 2);
	ranked(&g, 1000, 2, 2);
	assert_true(g.held);
	ranked(&g, 1, 2, 1);
	assert_false(g.held);
	ranked(&g, 99, 1, 2); /* it counts anew */
	assert_false(g.held);
	ranked(&g, 1, 1, 2);
	assert_true(g.held);
}

static void test_hold_off(void **state)
{
	struct guard g = { 0 }, none = { 0 };
	for (int i = 0; i < 100; i++)
		guard_ranked(&g, 0, i & 1, 0);
	assert_memory_equal(&g, &none, sizeof g);
}

/* The sums over the window are those of its ranks, and after a restart the same to the bit. */
static void test_sums(void **state)
{
	struct prequential *p, *q;
	size_t bytes;
	uint64_t *count, *count2;
	assert_int_equal(prequential_new(&p, 7), 0);
	assert_int_equal(prequential_new(&q, 7), 0);
	for (uint32_t i = 0; i < 40; i++) {
		const uint32_t rank[METHODS] = { i * 7 % 25, i * 5 % 31, i % 3 ? UNRANKED : i };
		prequential_add(p, rank);
		for (enum method m = 0; m < METHODS; m++) {
			size_t n = i + 1 < 7 ? i + 1 : 7;
			double mean = ldexp((double)prequential_ndcg(p, m), -32) / (double)n;
			assert_true(fabs(mean - prequential_scores(p, m).ndcg20) < 1e-9);
		}
		const void *from = prequential_ring(p, &bytes, &count);
		void *to = prequential_ring(q, &bytes, &count2);
		memcpy(to, from, bytes);
		*count2 = *count;
		prequential_sum(q);
		for (enum method m = 0; m < METHODS; m++)
			assert_int_equal(prequential_ndcg(q, m), prequential_ndcg(p, m));
	}
	prequential_free(p);
	prequential_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_explosion), cmocka_unit_test(test_off_and_young), cmocka_unit_test(test_drift), cmocka_unit_test(test_no_targets),
		cmocka_unit_test(test_hold), cmocka_unit_test(test_hold_off), cmocka_unit_test(test_sums),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
