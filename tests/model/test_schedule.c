/* test_schedule.c - the learning rate: its corners, and the recipe of S4Rec's best run, lr max(.02, (1 + cos(pi t / T)) / 2). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/schedule.h"

static void near(double got, double want)
{
	if (!(fabs(got - want) <= 1e-6 * fabs(want)))
		fail_msg("%.9g, expected %.9g", got, want);
}

static void constant(void **state)
{
	near(schedule_rate(.5f, 1, 0, 0, .02f), .5);
	near(schedule_rate(.5f, UINT64_MAX, 0, 0, .02f), .5);
}

static void warm_up(void **state)
{
	near(schedule_rate(.5f, 1, 10, 0, 0), .05);
	near(schedule_rate(.5f, 9, 10, 0, 0), .45);
	near(schedule_rate(.5f, 10, 10, 0, 0), .5);
	near(schedule_rate(.5f, 11, 10, 0, 0), .5);
	near(schedule_rate(.5f, 5, 10, 100, .9f), .25); /* the floor is the cosine's */
	near(schedule_rate(.5f, 10, 10, 100, 0), .5);
	near(schedule_rate(.5f, 55, 10, 100, 0), .25);  /* half way between warm-up and end */
}

static void cosine(void **state)
{
	for (uint64_t step = 1; step <= 1200; step++)
		near(schedule_rate(2e-3f, step, 0, 1000, .02f), 2e-3f * (step < 1000 ? fmax(.02f, (1 + cos(M_PI * (double)step / 1000)) / 2) : .02f));
	near(schedule_rate(2e-3f, 1000, 0, 1000, 0), 0);
	near(schedule_rate(2e-3f, UINT64_MAX, 0, 1000, .1f), 2e-4);
	for (uint64_t step = 2; step <= 1000; step++) /* never up */
		assert_true(schedule_rate(1, step, 0, 1000, .02f) <= schedule_rate(1, step - 1, 0, 1000, .02f));
}

/* An end before the warm-up's: straight to the floor, no division by zero. */
static void ends_within_warm_up(void **state)
{
	near(schedule_rate(1, 5, 10, 10, .1f), .5);
	near(schedule_rate(1, 10, 10, 10, .1f), .1);
	near(schedule_rate(1, 10, 10, 3, .1f), .1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(constant), cmocka_unit_test(warm_up), cmocka_unit_test(cosine), cmocka_unit_test(ends_within_warm_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
