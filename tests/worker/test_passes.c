/* test_passes.c - the order of a pass is one of all users, another one each time; positions as words. */
#include "tests/codec/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "worker/kafka/positions.h"
#include "worker/learn/passes.h"

static void test_order(void **state)
{
	static uint8_t seen[5000];
	const uint64_t sizes[] = { 1, 2, 3, 4, 5, 17, 256, 257, 4999 };
	for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
		memset(seen, 0, sizeof seen);
		for (uint32_t i = 0; i < sizes[s]; i++) {
			uint32_t row = passes_order(1, 3, i, sizes[s]);
			assert_true(row < sizes[s]);
			assert_false(seen[row]++);
		}
	}
	int same = 0, in_place = 0;
	for (uint32_t i = 0; i < 1000; i++) {
		same += passes_order(1, 1, i, 1000) == passes_order(1, 2, i, 1000);
		in_place += passes_order(1, 1, i, 1000) == i;
	}
	assert_true(same < 10 && in_place < 10); /* 1 each is expected */
}

static void test_words(void **state)
{
	struct position p;
	const struct { const char *text; enum position_kind kind; int64_t ms; } good[] = {
		{ "beginning", POSITION_BEGINNING, 0 }, { "end", POSITION_END, 0 }, { "committed", POSITION_COMMITTED, 0 },
		{ "7d", POSITION_BEFORE_END, 7 * 86400000LL }, { "12h", POSITION_BEFORE_END, 12 * 3600000LL }, { "30m", POSITION_BEFORE_END, 1800000 },
		{ "45s", POSITION_BEFORE_END, 45000 }, { "500ms", POSITION_BEFORE_END, 500 }, { "2026-01-01T00:00:00Z", POSITION_TIME, 1767225600000 },
		{ "0:12", POSITION_OFFSETS, 0 }, { "3:1,0:99", POSITION_OFFSETS, 0 },
	};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_int_equal(position_parse(&p, good[i].text), 0);
		assert_int_equal(p.kind, good[i].kind);
		assert_int_equal(p.ms, good[i].ms);
	}
	const char *bad[] = { "", "yesterday", "7", "-7d", "+7d", "7days", "9999999999999999d", "0:", ":5", "0:1,", "0:1 ", "0:-1", "-1:0", "0:1,,1:2", "2026-13-01", "End" };
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (position_parse(&p, bad[i]) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
	assert_int_equal(position_offset("3:1,0:99", 0), 99);
	assert_int_equal(position_offset("3:1,0:99", 3), 1);
	assert_int_equal(position_offset("3:1,0:99", 1), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_order), cmocka_unit_test(test_words) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
