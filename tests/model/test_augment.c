/* test_augment.c - each operator alone: what it may and may not do to a sequence, its mean share, and that it repeats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "model/augment.h"

#define LEN 50
static const uint32_t pool[3] = {1000, 1001, 1002};

static struct model_config off(void) { return (struct model_config){.L = LEN, .crop_share = 1.0f, .seed = 9}; }

static size_t view(uint32_t *ret, size_t n, const struct model_config *c, uint64_t user)
{
	uint32_t item[LEN];
	size_t got;

	for (size_t i = 0; i < n; i++)
		item[i] = (uint32_t)(10 + i);
	memset(ret, 0xee, (LEN + 1) * sizeof *ret);
	got = augment_view(ret, item, n, pool, 3, c, 1, user, 0);
	assert_true(got >= 1 && got <= LEN);
	for (size_t i = got; i <= LEN; i++)
		assert_int_equal(ret[i], 0xeeeeeeeeu); /* nothing written behind the end */
	return got;
}

static void without_operators_a_copy(void **state)
{
	struct model_config c = off();
	uint32_t v[LEN + 1];

	assert_int_equal(view(v, 7, &c, 1), 7);
	for (uint32_t i = 0; i < 7; i++)
		assert_int_equal(v[i], 10 + i);
}

static void mask_keeps_places_and_share(void **state)
{
	struct model_config c = off();
	uint32_t v[LEN + 1];

	c.mask_share = .3f;
	for (size_t n = 1; n <= LEN; n += n < 10 ? 1 : 20) {
		size_t masked = 0;

		for (uint64_t u = 0; u < 2000; u++) {
			size_t here = 0;

			assert_int_equal(view(v, n, &c, u), n);
			for (size_t i = 0; i < n; i++) {
				assert_true(v[i] == 10 + i || v[i] == MASK_ROW);
				here += v[i] == MASK_ROW;
			}
			if (n >= 10)
				assert_int_equal(here, (size_t)(.3 * (double)n + 1e-6));
			masked += here;
		}
		assert_true(masked > 0); /* no length is a no-op */
		if (n < 4)
			assert_true(masked > 2000 * n / 4 && masked < 2000 * n * 7 / 20);
	}
}

static void crop_is_a_stretch(void **state)
{
	struct model_config c = off();
	uint32_t v[LEN + 1];
	int first = 0, last = 0;

	c.crop_share = .8f;
	for (uint64_t u = 0; u < 500; u++) {
		assert_int_equal(view(v, 10, &c, u), 8);
		for (size_t i = 1; i < 8; i++)
			assert_int_equal(v[i], v[0] + i);
		first |= v[0] == 10;
		last |= v[7] == 19;
	}
	assert_true(first && last);
	assert_int_equal(view(v, 1, &c, 1), 1);
}

static void reorder_is_a_permutation_of_a_stretch(void **state)
{
	struct model_config c = off();
	uint32_t v[LEN + 1];

	c.reorder_share = .2f;
	for (size_t n = 1; n <= LEN; n++) {
		size_t changed = 0;

		for (uint64_t u = 0; u < 300; u++) {
			uint64_t seen = 0;
			size_t lo = n, hi = 0;

			assert_int_equal(view(v, n, &c, u), n);
			for (size_t i = 0; i < n; i++) {
				seen |= 1ull << (v[i] - 10);
				if (v[i] != 10 + i) {
					lo = i < lo ? i : lo;
					hi = i;
				}
			}
			assert_true(seen == (1ull << n) - 1);
			if (n >= 10 && hi > lo)
				assert_true(hi - lo + 1 <= (size_t)(.2 * (double)n + 1e-6));
			changed += hi > lo;
		}
		assert_true(n < 2 || changed > 0);
	}
}

static void insert_keeps_the_order_and_the_newest(void **state)
{
	struct model_config c = off();
	uint32_t v[LEN + 1];

	c.insert_share = .3f;
	for (size_t n = 1; n <= LEN; n++) {
		size_t inserted = 0;

		for (uint64_t u = 0; u < 300; u++) {
			size_t m = view(v, n, &c, u);
			uint32_t next = 0;

			for (size_t i = 0; i < m; i++) {
				if (v[i] >= 1000) {
					assert_true(v[i] <= 1002);
					inserted++;
					continue;
				}
				assert_true(next == 0 || v[i] == next);
				next = v[i] + 1;
			}
			assert_int_equal(v[m - 1], 10 + n - 1);
			if (n >= 10 && n <= 35)
				assert_int_equal(m, n + (size_t)(.3 * (double)n + 1e-6));
		}
		assert_true(inserted > 0);
	}
}

/* However a batch is packed, the pool is the same rows, each as often, in one order. */
static void pool_does_not_know_of_packing(void **state)
{
	static const uint32_t rows[9] = { 70000, 3, 258, 3, 0, 16777217, 257, 3, 4294967293u }, sorted[9] = { 0, 3, 3, 3, 257, 258, 70000, 16777217, 4294967293u };
	uint32_t item[9], ret[9], tmp[9];

	for (size_t by = 0; by < 9; by++) {
		for (size_t i = 0; i < 9; i++)
			item[i] = rows[(i * 2 + by) % 9];
		augment_pool(ret, tmp, item, 9);
		assert_memory_equal(ret, sorted, sizeof sorted);
	}
	memset(item, 0, sizeof item);
	augment_pool(ret, tmp, item, 9);
	assert_memory_equal(ret, item, sizeof item);
}

static void draws_repeat_and_differ(void **state)
{
	struct model_config c = off();
	uint32_t item[20], a[LEN], b[LEN];
	size_t differ = 0;

	c.mask_share = .3f;
	c.crop_share = .8f;
	c.reorder_share = c.insert_share = .2f;
	for (uint32_t i = 0; i < 20; i++)
		item[i] = i;
	for (uint64_t u = 0; u < 100; u++) {
		size_t n = augment_view(a, item, 20, pool, 3, &c, 4, u, 0);

		assert_int_equal(augment_view(b, item, 20, pool, 3, &c, 4, u, 0), n);
		assert_memory_equal(a, b, n * sizeof *a);
		differ += augment_view(b, item, 20, pool, 3, &c, 4, u, 1) != n || memcmp(a, b, n * sizeof *a);
	}
	assert_true(differ > 80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_operators_a_copy), cmocka_unit_test(mask_keeps_places_and_share), cmocka_unit_test(crop_is_a_stretch),
		cmocka_unit_test(reorder_is_a_permutation_of_a_stretch), cmocka_unit_test(insert_keeps_the_order_and_the_newest),
		cmocka_unit_test(pool_does_not_know_of_packing), cmocka_unit_test(draws_repeat_and_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
