/* test_staged.c - staged.h: what goes in is what would be sent; the commits themselves are tested in tests/e2e. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "worker/kafka/staged_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *header(const struct staged *s, size_t i, const char *name, uint32_t *ret_len)
{
	const struct staged_row *row = &s->records[i];
	const char *p = s->bytes + row->headers, *end = p + row->headers_len;

	while (row->headers != STAGED_NONE && p < end) {
		const char *at = p;
		uint32_t n;

		p += strlen(p) + 1;
		memcpy(&n, p, sizeof n);
		p += sizeof n;
		if (strcmp(at, name) == 0) {
			*ret_len = n;
			return p;
		}
		p += n;
	}
	return NULL;
}

static void assert_header(const struct staged *s, size_t i, const char *name, const char *expected)
{
	uint32_t n;
	const char *p = header(s, i, name, &n);

	if (expected == NULL) {
		assert_null(p);
		return;
	}
	assert_non_null(p);
	assert_int_equal(n, strlen(expected));
	assert_memory_equal(p, expected, n);
}

static void assert_bytes(const struct staged *s, size_t at, uint32_t len, const char *expected)
{
	assert_int_equal(len, strlen(expected));
	assert_memory_equal(s->bytes + at, expected, len);
}

static void test_records_survive_growth(void **state)
{
	struct staged *s;
	char key[32], value[300];
	size_t i;

	assert_int_equal(staged_new(&s), 0);
	for (i = 0; i < 20000; i++) { /* several times the first arena and table */
		snprintf(key, sizeof key, "item/%zu", i);
		memset(value, (int)('a' + i % 26), sizeof value);
		assert_int_equal(staged_record(s, TOPIC_EMBEDDINGS, (int32_t)(i % 3) - 1, key, strlen(key), value, i % 300), 0);
	}
	assert_int_equal(staged_records(s), 20000);
	for (i = 0; i < 20000; i++) {
		const struct staged_row *row = &s->records[i];

		snprintf(key, sizeof key, "item/%zu", i);
		memset(value, (int)('a' + i % 26), sizeof value);
		assert_bytes(s, row->key, row->key_len, key);
		assert_int_equal(row->value_len, i % 300);
		assert_memory_equal(s->bytes + row->value, value, i % 300);
		assert_int_equal(row->partition, i % 3 == 0 ? -1 : (int32_t)(i % 3) - 1);
		assert_int_equal(row->topic, TOPIC_EMBEDDINGS);
	}
	staged_free(s);
}

static void test_null_is_not_empty(void **state)
{
	struct staged *s;

	assert_int_equal(staged_new(&s), 0);
	assert_int_equal(staged_record(s, TOPIC_EMBEDDINGS, -1, "item/1", 6, NULL, 0), 0);
	assert_int_equal(staged_record(s, TOPIC_DLQ, -1, NULL, 0, "", 0), 0);
	assert_int_equal(s->records[0].value, STAGED_NONE);
	assert_int_equal(s->records[1].key, STAGED_NONE);
	assert_int_not_equal(s->records[1].value, STAGED_NONE);
	staged_free(s);
}

static void test_clear_is_empty_and_reusable(void **state)
{
	struct staged *s;
	char *bytes;

	assert_int_equal(staged_new(&s), 0);
	assert_int_equal(staged_record(s, TOPIC_BATCHES, 0, "1", 1, "cut", 3), 0);
	staged_offset(s, 2, 17);
	bytes = s->bytes;
	staged_clear(s);
	assert_int_equal(staged_records(s), 0);
	assert_int_equal(s->partitions, 3);
	assert_int_equal(s->offsets[2], -1);
	assert_int_equal(staged_record(s, TOPIC_BATCHES, 0, "2", 1, "cut", 3), 0);
	assert_ptr_equal(s->bytes, bytes); /* the memory is used again */
	assert_bytes(s, s->records[0].key, s->records[0].key_len, "2");
	staged_free(s);
}

static void test_offsets_keep_the_last(void **state)
{
	struct staged *s;

	assert_int_equal(staged_new(&s), 0);
	staged_offset(s, 3, 10);
	staged_offset(s, 0, 5);
	staged_offset(s, 3, 11);
	staged_offset(s, -1, 99);
	assert_int_equal(s->partitions, 4);
	assert_int_equal(s->offsets[0], 5);
	assert_int_equal(s->offsets[1], -1);
	assert_int_equal(s->offsets[3], 11);
	staged_free(s);
}

/* A letter of which all is held. */
static int letter(struct staged *s, int64_t offset, const char *key, const char *value, size_t max_bytes, const char *reason)
{
	size_t k = key ? strlen(key) : 0, v = value ? strlen(value) : 0;
	struct dead_letter d = { .topic = "s4rec.interactions", .partition = 3, .offset = offset, .key = key, .value = value,
		.key_kept = k, .key_len = k, .value_kept = v, .value_len = v, .reason = reason };

	return staged_dead_letter(s, &d, max_bytes);
}

static void test_dead_letter_tells_where_and_why(void **state)
{
	struct staged *s;

	assert_int_equal(staged_new(&s), 0);
	assert_int_equal(letter(s, 42, "u1", "garbage", 100, "undecodable"), 0);
	assert_int_equal(staged_records(s), 1);
	assert_int_equal(s->records[0].topic, TOPIC_DLQ);
	assert_bytes(s, s->records[0].key, s->records[0].key_len, "u1");
	assert_bytes(s, s->records[0].value, s->records[0].value_len, "garbage");
	assert_header(s, 0, "s4rec.reason", "undecodable");
	assert_header(s, 0, "s4rec.topic", "s4rec.interactions");
	assert_header(s, 0, "s4rec.partition", "3");
	assert_header(s, 0, "s4rec.offset", "42");
	assert_header(s, 0, "s4rec.truncated", NULL);
	staged_free(s);
}

static void test_dead_letter_is_cut(void **state)
{
	struct staged *s;

	assert_int_equal(staged_new(&s), 0);
	assert_int_equal(letter(s, 1, "k", "0123456789", 4, "oversized"), 0);
	assert_bytes(s, s->records[0].value, s->records[0].value_len, "0123");
	assert_header(s, 0, "s4rec.truncated", "10");
	assert_int_equal(letter(s, 2, NULL, "0123", 4, "no user"), 0);
	assert_header(s, 1, "s4rec.truncated", NULL);
	assert_int_equal(s->records[1].key, STAGED_NONE);
	assert_int_equal(letter(s, 3, "kkkkkk", NULL, 4, "no user"), 0);
	assert_int_equal(s->records[2].value, STAGED_NONE);
	assert_bytes(s, s->records[2].key, s->records[2].key_len, "kkkk");
	assert_header(s, 2, "s4rec.truncated.key", "6");

	/* less than the whole is held: the full length is told all the same */
	struct dead_letter d = { .topic = "in", .value = "01234", .value_kept = 5, .value_len = 1000000, .reason = "oversized" };
	assert_int_equal(staged_dead_letter(s, &d, 100), 0);
	assert_bytes(s, s->records[3].value, s->records[3].value_len, "01234");
	assert_header(s, 3, "s4rec.truncated", "1000000");
	staged_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records_survive_growth),     cmocka_unit_test(test_null_is_not_empty),
		cmocka_unit_test(test_clear_is_empty_and_reusable), cmocka_unit_test(test_offsets_keep_the_last),
		cmocka_unit_test(test_dead_letter_tells_where_and_why), cmocka_unit_test(test_dead_letter_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
