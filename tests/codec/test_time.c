/* test_time.c - ISO-8601 against the C library's calendar, and what is refused. */
#include "tests/codec/check.h"

#include <time.h>

#include "codec/event.h"

static int parse(const char *s, int64_t *ms)
{
	return time_parse_iso8601(ms, s, strlen(s));
}

static void test_examples(void **state)
{
	static const struct { const char *s; int64_t ms; } cases[] = {
		{ "1970-01-01T00:00:00Z", 0 }, { "1970-01-01", 0 }, { "2024-05-06T07:08:09.123Z", 1714979289123 },
		{ "2024-05-06T07:08:09.1239999Z", 1714979289123 }, { "2024-05-06T07:08:09.1Z", 1714979289100 },
		{ "2024-05-06 07:08:09,12", 1714979289120 }, { "2024-05-06T09:08:09.123+02:00", 1714979289123 },
		{ "2024-05-06T09:08:09+0200", 1714979289000 }, { "2024-05-06T02:08:09-05", 1714979289000 },
		{ "2024-05-06t07:08z", 1714979280000 }, { "2000-02-29", 951782400000 }, { "1969-12-31T23:59:59.999Z", -1 },
		{ "2016-12-31T23:59:60Z", 1483228800000 }, { "9999-12-31T23:59:59.999Z", 253402300799999 }, { "0000-01-01", -62167219200000 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int64_t ms = 4711;

		if (parse(cases[i].s, &ms) != 0 || ms != cases[i].ms)
			fail_msg("%s: %lld, expected %lld", cases[i].s, (long long)ms, (long long)cases[i].ms);
	}
}

static void test_refusals(void **state)
{
	static const char *const bad[] = {
		"", "2024", "2024-5-6", "2024-13-01", "2024-00-01", "2024-01-00", "2023-02-29", "1900-02-29", "2024-04-31", "2024-05-06T",
		"2024-05-06T24:00:00Z", "2024-05-06T07:60:00Z", "2024-05-06T07:08:61Z", "2024-05-06T07:08:09.Z", "2024-05-06T07:08:09ZZ",
		"2024-05-06T07:08:09+2", "2024-05-06T07:08:09+24:00", "2024-05-06T07:08:09+02:60", "2024-05-06Z", "x024-05-06", "2024-05-06T07",
		"2024-05-06T07:08:09 ", "2024-05-06T07:08:09+02:00x",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int64_t ms = 4711;

		if (parse(bad[i], &ms) != -EINVAL || ms != 4711)
			fail_msg("%s was taken as %lld", bad[i], (long long)ms);
	}
}

static void test_as_the_c_library(void **state)
{
	for (int i = 0; i < 100000; i++) {
		time_t t = (time_t)check_below(253402300800u);
		struct tm tm;
		char s[64];
		int64_t ms;

		gmtime_r(&t, &tm);
		strftime(s, sizeof(s), "%Y-%m-%dT%H:%M:%SZ", &tm);
		assert_int_equal(parse(s, &ms), 0);
		assert_int_equal(ms, (int64_t)t * 1000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_examples), cmocka_unit_test(test_refusals), cmocka_unit_test(test_as_the_c_library) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
