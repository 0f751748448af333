/* test_idmap.c - rows in order of first sight, removal, reuse, limits; and a long random run against a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model/idmap.h"
#include "model/rng.h"

static uint32_t intern(struct idmap *x, const char *id, int expect_new)
{
	uint32_t row = 12345;
	int is_new = -1;

	assert_int_equal(idmap_intern(x, &row, &is_new, id, strlen(id)), 0);
	assert_int_equal(is_new, expect_new);
	return row;
}

static void rows_in_order_of_first_sight(void **state)
{
	struct idmap *x;
	size_t len;

	assert_int_equal(idmap_new(&x, 10), 0);
	assert_int_equal(idmap_find(x, "a", 1), UINT32_MAX);
	assert_int_equal(intern(x, "a", 1), 0);
	assert_int_equal(intern(x, "b", 1), 1);
	assert_int_equal(intern(x, "a", 0), 0);
	assert_int_equal(intern(x, "", 1), 2); /* the empty id is an id */
	assert_int_equal(idmap_find(x, "b", 1), 1);
	assert_int_equal(idmap_count(x), 3);
	assert_int_equal(idmap_rows(x), 3);
	assert_memory_equal(idmap_id(x, 1, &len), "b", 2);
	assert_int_equal(len, 1);
	assert_null(idmap_id(x, 3, &len));
	idmap_free(x);
	idmap_free(NULL);
}

static void bytes_of_any_value(void **state)
{
	struct idmap *x;
	uint32_t r1, r2;
	int is_new;

	assert_int_equal(idmap_new(&x, 10), 0);
	assert_int_equal(idmap_intern(x, &r1, &is_new, "a\0b", 3), 0);
	assert_int_equal(idmap_intern(x, &r2, &is_new, "a\0c", 3), 0);
	assert_int_not_equal(r1, r2);
	assert_int_equal(idmap_find(x, "a", 1), UINT32_MAX);
	idmap_free(x);
}

static void full_map_takes_no_more_but_finds(void **state)
{
	struct idmap *x;
	uint32_t row;
	int is_new;

	assert_int_equal(idmap_new(&x, 2), 0);
	intern(x, "a", 1);
	intern(x, "b", 1);
	assert_int_equal(idmap_intern(x, &row, &is_new, "c", 1), -ENOSPC);
	assert_int_equal(intern(x, "b", 0), 1);
	assert_int_equal(idmap_count(x), 2);
	idmap_free(x);
}

static void removed_rows_wait_for_reuse_then_lowest_first(void **state)
{
	struct idmap *x;
	size_t len;

	assert_int_equal(idmap_new(&x, 6), 0);
	for (int i = 0; i < 5; i++)
		intern(x, (char[]){(char)('a' + i), 0}, 1);
	idmap_remove(x, 3);
	idmap_remove(x, 1);
	idmap_remove(x, 4);
	assert_null(idmap_id(x, 1, &len));
	assert_int_equal(idmap_find(x, "b", 1), UINT32_MAX);
	assert_int_equal(intern(x, "f", 1), 5); /* not 1: nobody said reuse */
	idmap_reuse(x, 4);
	idmap_reuse(x, 1);
	idmap_reuse(x, 3);
	assert_int_equal(intern(x, "g", 1), 1);
	assert_int_equal(intern(x, "d", 1), 3);
	assert_int_equal(intern(x, "e", 1), 4);
	assert_int_equal(idmap_rows(x), 6);
	assert_int_equal(idmap_count(x), 6);
	idmap_free(x);
}

static void random_run_agrees_with_an_array(void **state)
{
	enum { IDS = 3000, STEPS = 200000 };
	static uint32_t row_of[IDS];
	struct idmap *x;
	size_t live = 0;

	memset(row_of, 0xff, sizeof row_of);
	assert_int_equal(idmap_new(&x, IDS), 0);
	for (uint64_t s = 0; s < STEPS; s++) {
		uint64_t bits = rng_mix(s);
		size_t i = rng_below(bits, IDS), len;
		char id[32];

		snprintf(id, sizeof id, "item-%zu", i);
		assert_int_equal(idmap_find(x, id, strlen(id)), row_of[i]);
		if (bits & 1) {
			int was = row_of[i] != UINT32_MAX;

			row_of[i] = intern(x, id, !was);
			live += (size_t)!was;
			assert_string_equal(idmap_id(x, row_of[i], &len), id);
		} else if (row_of[i] != UINT32_MAX) {
			idmap_remove(x, row_of[i]);
			idmap_reuse(x, row_of[i]);
			row_of[i] = UINT32_MAX;
			live--;
		}
		assert_int_equal(idmap_count(x), live);
	}
	idmap_free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_in_order_of_first_sight), cmocka_unit_test(bytes_of_any_value),
		cmocka_unit_test(full_map_takes_no_more_but_finds), cmocka_unit_test(removed_rows_wait_for_reuse_then_lowest_first),
		cmocka_unit_test(random_run_agrees_with_an_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
