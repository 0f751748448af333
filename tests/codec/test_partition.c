/* test_partition.c - partitions as Java's default partitioner chooses them (values of Kafka's own UtilsTest). */
#include "tests/codec/check.h"

#include "codec/embedding.h"

static void test_java_values(void **state)
{
	static const struct { const char *key; int32_t murmur2; } cases[] = {
		{ "21", -973932308 }, { "foobar", -790332482 }, { "a-little-bit-long-string", -985981536 },
		{ "a-little-bit-longer-string", -1486304829 }, { "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971 },
		{ "abc", 479470107 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int32_t positive = cases[i].murmur2 & 0x7fffffff;

		for (int32_t n = 1; n < 100; n++)
			assert_int_equal(partition_of(cases[i].key, strlen(cases[i].key), n), positive % n);
		assert_int_equal(partition_of(cases[i].key, strlen(cases[i].key), INT32_MAX), positive % INT32_MAX);
	}
}

static void test_spread(void **state)
{
	int count[16] = { 0 };
	char key[32];

	for (int i = 0; i < 16000; i++)
		count[partition_of(key, (size_t)snprintf(key, sizeof(key), "item/%d", i), 16)]++;
	for (int i = 0; i < 16; i++)
		assert_in_range(count[i], 800, 1200);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_java_values), cmocka_unit_test(test_spread) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
