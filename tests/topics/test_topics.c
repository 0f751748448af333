/* test_topics.c - the table keeps what DESIGN.md promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "topics/topics.h"

static const struct topic_setting *setting(enum topic_id id, const char *key)
{
	const struct topic_setting *s = topic_get(id)->settings;

	while (s->key && strcmp(s->key, key))
		s++;
	assert_true(s < topic_get(id)->settings + TOPIC_SETTINGS_MAX);
	return s->key ? s : NULL;
}

static void assert_required(enum topic_id id, const char *key, const char *value)
{
	const struct topic_setting *s = setting(id, key);

	assert_non_null(s);
	assert_string_equal(s->value, value);
	assert_int_equal(s->required, 1);
}

static void test_settings(void **state)
{
	assert_required(TOPIC_INTERACTIONS, "cleanup.policy", "delete");
	assert_required(TOPIC_EMBEDDINGS, "cleanup.policy", "compact");
	assert_required(TOPIC_STATE, "cleanup.policy", "compact");
	assert_required(TOPIC_BATCHES, "cleanup.policy", "delete");
	assert_required(TOPIC_BATCHES, "retention.ms", "-1");
	assert_required(TOPIC_DLQ, "cleanup.policy", "delete");
	assert_int_equal(setting(TOPIC_EMBEDDINGS, "compression.type")->required, 0);
	assert_int_equal(topic_get(TOPIC_BATCHES)->partitions, 1);
	assert_int_equal(topic_get(TOPIC_INTERACTIONS)->partitions, 0);
	for (int id = 0; id < TOPIC_COUNT; id++) {
		assert_non_null(topic_get((enum topic_id)id)->key);
		assert_non_null(topic_get((enum topic_id)id)->value);
		assert_null(topic_get((enum topic_id)id)->settings[TOPIC_SETTINGS_MAX - 1].key);
	}
}

static void test_names(void **state)
{
	char name[TOPIC_NAME_MAX], prefix[300];

	assert_int_equal(topic_name(name, sizeof(name), "s4rec", TOPIC_EMBEDDINGS), 0);
	assert_string_equal(name, "s4rec.embeddings");
	assert_int_equal(topic_name(name, sizeof(name), "shop.eu", TOPIC_DLQ), 0);
	assert_string_equal(name, "shop.eu.dlq");
	assert_int_equal(topic_name(name, 9, "s4rec", TOPIC_DLQ), -ENAMETOOLONG);
	assert_int_equal(topic_name(name, 10, "s4rec", TOPIC_DLQ), 0);

	memset(prefix, 'x', sizeof(prefix));
	prefix[245] = 0;
	assert_int_equal(topic_name(name, sizeof(name), prefix, TOPIC_DLQ), 0); /* 249 */
	assert_int_equal(strlen(name), 249);
	prefix[245] = 'x', prefix[246] = 0;
	assert_int_equal(topic_name(name, sizeof(name), prefix, TOPIC_DLQ), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_settings), cmocka_unit_test(test_names) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
