/* recent.h: the window's counts against a plain recount, after every event */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "model/rng.h"
#include "worker/learn/recent.h"

static void counts_are_those_of_the_window(void **state)
{
	enum { WINDOW = 37, EVENTS = 500, ITEMS = 3000 };
	uint32_t event[EVENTS], want[ITEMS];
	struct recent *r;
	assert_int_equal(recent_new(&r, WINDOW, ITEMS), 0);
	for (uint32_t e = 0; e < EVENTS; e++) {
		uint64_t bits = rng_bits(1, RNG_GENERATE, e, 0, 0);
		size_t n, in_window = 0;
		event[e] = (uint32_t)rng_below(bits, e % 3 ? 5 : ITEMS); /* some often, some once */
		assert_int_equal(recent_add(r, event[e]), 0);

		memset(want, 0, sizeof want);
		for (uint32_t k = e + 1 > WINDOW ? e + 1 - WINDOW : 0; k <= e; k++)
			want[event[k]]++;
		const uint32_t *item = recent_items(r, &n), *count = recent_counts(r, ITEMS);
		assert_int_equal(n, e + 1 < WINDOW ? e + 1 : WINDOW);
		for (size_t i = 0; i < n; i++)
			in_window += count[item[i]] == want[item[i]] && want[item[i]] > 0;
		assert_int_equal(in_window, n);
		assert_memory_equal(count, want, sizeof want); /* also of rows that no event named yet */
	}
	recent_free(r);
}

static void dropped_items_leave_the_window(void **state)
{
	enum { WINDOW = 5 };
	uint8_t gone[10] = { [3] = 1 };
	for (uint32_t events = 0; events < 14; events++) {
		struct recent *r;
		uint32_t want[WINDOW] = { 0 };
		size_t n, m = 0;
		assert_int_equal(recent_new(&r, WINDOW, 10), 0);
		for (uint32_t e = 0; e < events; e++)
			assert_int_equal(recent_add(r, e % 4), 0);
		recent_drop(r, gone);
		for (uint32_t e = events > WINDOW ? events - WINDOW : 0; e < events; e++)
			if (e % 4 != 3)
				want[m++] = e % 4;
		const uint32_t *item = recent_items(r, &n), *count = recent_counts(r, 10);
		assert_int_equal(n, m);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(item[i], want[i]);
		assert_int_equal(count[3], 0);
		for (uint32_t e = 0; e < WINDOW + 1; e++) /* it fills up again, the oldest leaving first */
			assert_int_equal(recent_add(r, 7), 0);
		recent_items(r, &n);
		assert_int_equal(n, WINDOW);
		assert_int_equal(recent_counts(r, 10)[7], WINDOW);
		recent_free(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(counts_are_those_of_the_window), cmocka_unit_test(dropped_items_leave_the_window) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
