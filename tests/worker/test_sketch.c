/* sketch.h: never below the truth, hardly above it, and old counts fade */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "model/rng.h"
#include "worker/learn/sketch.h"

static unsigned add(struct sketch *s, uint64_t id)
{
	char text[24];
	return sketch_add(s, text, (size_t)snprintf(text, sizeof text, "i%llu", (unsigned long long)id));
}

static void estimates_are_close_from_above(void **state)
{
	enum { CELLS = 4096, IDS = 1000, EVENTS = 4000 };
	unsigned truth[IDS] = { 0 }, above = 0;
	struct sketch *s;
	assert_int_equal(sketch_new(&s, CELLS), 0);
	for (uint64_t e = 0; e < EVENTS; e++) {
		double x = rng_unit(rng_bits(5, RNG_GENERATE, e, 0, 0));
		uint64_t id = (uint64_t)(x * x * x * IDS);
		unsigned got = add(s, id);
		truth[id]++;
		assert_true(got >= truth[id] || got == SKETCH_COUNT_MAX);
		above += got > truth[id] && got < SKETCH_COUNT_MAX;
	}
	assert_true(truth[0] > SKETCH_COUNT_MAX); /* some did saturate */
	assert_true(above * 100 < EVENTS);
	sketch_free(s);
}

static void old_counts_fade(void **state)
{
	enum { CELLS = 1024 };
	struct sketch *s;
	assert_int_equal(sketch_new(&s, CELLS), 0);
	for (int i = 0; i < 8; i++)
		add(s, 1);
	for (uint64_t i = 8; i < CELLS; i++)
		add(s, 2); /* the last sighting before all is halved */
	assert_int_equal(add(s, 1), 5);
	sketch_free(s);
}

/* What recovery copies is all there is. */
static void a_copy_goes_on_alike(void **state)
{
	enum { CELLS = 1024 };
	struct sketch *a, *b;
	uint64_t *added_a, *added_b;
	size_t bytes;
	assert_int_equal(sketch_new(&a, CELLS), 0);
	assert_int_equal(sketch_new(&b, CELLS), 0);
	for (uint64_t i = 0; i < 900; i++)
		add(a, i % 100);
	uint8_t *from = sketch_cells(a, &bytes, &added_a), *to = sketch_cells(b, &bytes, &added_b);
	assert_int_equal(bytes, SKETCH_ROWS * CELLS);
	for (size_t i = 0; i < bytes; i++)
		to[i] = from[i];
	*added_b = *added_a;
	for (uint64_t i = 0; i < 900; i++)
		assert_int_equal(add(a, i % 90), add(b, i % 90));
	sketch_free(a);
	sketch_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(estimates_are_close_from_above), cmocka_unit_test(old_counts_fade), cmocka_unit_test(a_copy_goes_on_alike) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
