/* test_drift.c - drift.h on numbers whose level is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "model/rng.h"
#include "worker/eval/drift.h"

/* Level + noise of spread 1 (uniform over sqrt(12)), by place. */
static double noisy(double level, uint64_t i)
{
	double u = (double)rng_below(rng_bits(7, RNG_REHEARSE, i, 0, 0), 1000000) / 1e6;

	return level + (u - .5) * sqrt(12);
}

/* How many numbers at this level until an alarm; 0: none among n. */
static uint64_t until_alarm(struct drift *d, double level, double scale, uint64_t from, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (drift_add(d, scale * noisy(level, from + i)))
			return i + 1;
	return 0;
}

static void test_steady(void **state)
{
	struct drift d = { 0 };

	assert_int_equal(until_alarm(&d, 6, 1, 0, 100000), 0);
	assert_true(fabs(d.mean - 6) < .3 && fabs(d.variance - 1) < .3);
}

/* One spread up: some 20 / (1 - .25) numbers, whatever the unit; then the new level is usual. */
static void test_step_up(void **state)
{
	for (double scale = .001; scale < 2000; scale *= 1000) {
		struct drift d = { 0 };

		assert_int_equal(until_alarm(&d, 6, scale, 0, 2000), 0);
		uint64_t waited = until_alarm(&d, 7, scale, 2000, 2000);
		assert_in_range(waited, 15, 60);
		assert_true(fabs(d.usual / scale - 6) < .3 && fabs(d.worse / scale - 7) < .3);
		assert_in_range(d.lasted, waited > 10 ? waited - 10 : 0, waited + 60);
		assert_int_equal(until_alarm(&d, 7, scale, 9000, 20000), 0);
		assert_int_equal(d.alarms, 1);
	}
}

static void test_improvement(void **state)
{
	struct drift d = { 0 };

	assert_int_equal(until_alarm(&d, 6, 1, 0, 2000), 0);
	assert_int_equal(until_alarm(&d, 3, 1, 2000, 20000), 0);
	assert_true(fabs(d.mean - 3) < .3);
	assert_true(until_alarm(&d, 6, 1, 40000, 200) > 0); /* where it was before is worse now */
}

/* A model that learned for long: it is worse than it was, though far better than its mean over all time. */
static void test_worse_after_learning(void **state)
{
	struct drift d = { 0 };

	for (uint64_t i = 0; i < 3000; i++)
		assert_false(drift_add(&d, noisy(20 - (double)i / 200, i)));
	assert_int_equal(until_alarm(&d, 5, 1, 3000, 2000), 0);
	assert_in_range(until_alarm(&d, 7, 1, 5000, 200), 1, 60);
}

static void test_outliers_and_youth(void **state)
{
	struct drift d = { 0 };

	for (int i = 0; i < DRIFT_YOUNG; i++) /* nothing is known yet */
		assert_false(drift_add(&d, i));
	d = (struct drift){ 0 };
	for (int i = 0; i < 1000; i++)
		assert_false(drift_add(&d, i == 500 ? 1e9 : 2.5));
	d = (struct drift){ 0 };
	for (int i = 0; i < 200; i++)
		assert_false(drift_add(&d, 2.5)); /* no spread */
	assert_true(d.variance == 0);
}

/* Each number by itself; one that a step has not is passed over. */
static void test_both(void **state)
{
	struct drifts d = { 0 };
	unsigned found = 0;
	for (uint64_t i = 0; i < 2000; i++) {
		double loss = noisy(6, i), ndcg20 = noisy(i < 1000 ? 8 : 6, 5000 + i);
		found |= drifts_add(&d, i % 3 ? &loss : NULL, i % 2 ? &ndcg20 : NULL);
	}
	assert_int_equal(found, DRIFT_NDCG);
	assert_true(d.found == 1 && d.ndcg.alarms == 1 && d.loss.alarms == 0);
	assert_true(fabs(d.loss.mean - 6) < .3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steady),
		cmocka_unit_test(test_step_up),
		cmocka_unit_test(test_improvement),
		cmocka_unit_test(test_worse_after_learning),
		cmocka_unit_test(test_outliers_and_youth),
		cmocka_unit_test(test_both),
	};
	return cmocka_run_group_tests_name("drift", tests, NULL, NULL);
}
