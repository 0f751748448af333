/* record.h: the order of the fold, and how much of a record is kept */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/learn/record.h"

enum { PARTITIONS_MAX = 4, NO_EVENT = -1, FORGET = -2 };
static struct record_pool *pool;

#define KAFKA_MS 1700000000000 /* when Kafka received everything: no event is ordered by it */

static struct decoder *decoder(void)
{
	struct decoder *d;
	const char *why = "";
	struct decoder_options o = { .format = EVENT_JSON, .record_max_bytes = 1 << 20 };
	assert_int_equal(decoder_new(&d, &o, &why), 0);
	return d;
}

/* Appends a record of partition p: an event at that many seconds, NO_EVENT something refused, FORGET a null value. */
static void put(struct decoder *d, struct record_list *heads, int p, int64_t offset, int seconds)
{
	char value[128] = "no event";
	struct record *r;
	if (seconds >= 0)
		snprintf(value, sizeof value, "{\"item_id\":\"i\",\"timestamp\":%lld}", 1600000000000LL + seconds * 1000LL);
	size_t len = strlen(value);
	assert_int_equal(record_new(&r, pool, d, 1000, p, offset, KAFKA_MS, "u", 1, seconds == FORGET ? NULL : value, seconds == FORGET ? 0 : len), 0);
	if (seconds == NO_EVENT)
		assert_non_null(r->reason);
	else
		assert_null(r->reason);
	assert_int_equal(r->ev.forget, seconds == FORGET);
	record_push(&heads[p], r);
}

/* Takes all that may be taken; "p:offset " for each, in the order of the merge. */
static const char *merged(struct record_list *heads, const int64_t *ends, int partitions)
{
	static char text[512];
	size_t at = 0;
	int p;
	text[0] = 0;
	while ((p = record_merge(heads, ends, NULL, partitions)) >= 0) {
		assert_true(at < sizeof text - 32);
		struct record *r = record_shift(&heads[p]);
		assert_non_null(r);
		at += (size_t)sprintf(text + at, "%d:%lld ", p, (long long)r->offset);
		record_free(r);
	}
	return text;
}

static void event_time_orders_the_partitions(void **state)
{
	struct decoder *d = decoder();
	struct record_list heads[PARTITIONS_MAX] = { 0 };
	put(d, heads, 0, 10, 5);
	put(d, heads, 0, 11, 9);
	put(d, heads, 1, 70, 1);
	put(d, heads, 1, 71, 6);
	put(d, heads, 3, 0, 7); /* 2 is empty, and holds nobody up */
	assert_string_equal(merged(heads, NULL, 4), "1:70 0:10 1:71 3:0 0:11 ");
	decoder_free(d);
}

/* An event that came late waits for those before it in its partition, and then goes at once. */
static void offsets_order_a_partition(void **state)
{
	struct decoder *d = decoder();
	struct record_list heads[PARTITIONS_MAX] = { 0 };
	put(d, heads, 0, 0, 8);
	put(d, heads, 0, 1, 2);
	put(d, heads, 0, 2, 9);
	put(d, heads, 1, 0, 5);
	put(d, heads, 1, 1, 8);
	assert_string_equal(merged(heads, NULL, 2), "1:0 0:0 0:1 1:1 0:2 ");
	decoder_free(d);
}

static void ties_go_by_partition(void **state)
{
	struct decoder *d = decoder();
	struct record_list heads[PARTITIONS_MAX] = { 0 };
	for (int p = 3; p >= 0; p--)
		for (int i = 0; i < 2; i++)
			put(d, heads, p, 10 * (3 - p) + i, 4);
	assert_string_equal(merged(heads, NULL, 4), "0:30 0:31 1:20 1:21 2:10 2:11 3:0 3:1 ");
	decoder_free(d);
}

/* In a backfill Kafka's time of a refused record may be years after the events around it: by that time it would hold up its partition
 * until all others are read. It and a forget go as soon as they are heads. */
static void what_has_no_time_waits_for_nobody(void **state)
{
	struct decoder *d = decoder();
	struct record_list heads[PARTITIONS_MAX] = { 0 };
	put(d, heads, 0, 0, 3);
	put(d, heads, 0, 1, 4);
	put(d, heads, 1, 0, NO_EVENT);
	put(d, heads, 1, 1, 1);
	put(d, heads, 1, 2, FORGET);
	put(d, heads, 1, 3, NO_EVENT);
	put(d, heads, 1, 4, 2);
	assert_int_equal(heads[1].first->order_ms, INT64_MIN);
	assert_string_equal(merged(heads, NULL, 2), "1:0 1:1 1:2 1:3 1:4 0:0 0:1 ");

	/* and what stands before it is not overtaken by it */
	put(d, heads, 0, 2, 6);
	put(d, heads, 0, 3, FORGET);
	put(d, heads, 1, 5, 5);
	assert_string_equal(merged(heads, NULL, 2), "1:5 0:2 0:3 ");
	decoder_free(d);
}

static void heads_at_their_end_do_not_count(void **state)
{
	struct decoder *d = decoder();
	struct record_list heads[PARTITIONS_MAX] = { 0 };
	int64_t ends[3] = { 2, 5, -1 };
	for (int i = 0; i < 3; i++)
		put(d, heads, 0, i, i);
	put(d, heads, 1, 5, 0); /* the first that is here stands at the end */
	put(d, heads, 2, 1000, 1);
	assert_ptr_equal(record_head(&heads[0], 1), heads[0].first);
	assert_null(record_head(&heads[0], 0));
	assert_ptr_equal(record_head(&heads[0], -1), heads[0].first);
	assert_null(record_head(&heads[1], 5));
	assert_ptr_equal(record_head(&heads[1], 6), heads[1].first);
	assert_string_equal(merged(heads, ends, 3), "0:0 0:1 2:1000 ");
	assert_string_equal(merged(heads, NULL, 3), "1:5 0:2 ");
	assert_null(record_head(&heads[0], -1));
	assert_int_equal(record_merge(heads, NULL, NULL, 3), -1);
	decoder_free(d);
}

static void all_wait_for_one_that_is_awaited(void **state)
{
	struct decoder *d = decoder();
	struct record_list heads[PARTITIONS_MAX] = { 0 };
	uint8_t awaited[3] = { 0, 1, 0 };
	int64_t ends[3] = { -1, 5, -1 };
	put(d, heads, 0, 0, 5);
	assert_int_equal(record_merge(heads, NULL, awaited, 3), -1);
	put(d, heads, 1, 5, 9); /* it has a record now, if a later one */
	assert_int_equal(record_merge(heads, NULL, awaited, 3), 0);
	assert_int_equal(record_merge(heads, ends, awaited, 3), -1); /* at its end that is none */
	awaited[1] = 0;
	assert_int_equal(record_merge(heads, ends, awaited, 3), 0);
	record_free_all(&heads[0]);
	record_free_all(&heads[1]);
	decoder_free(d);
}

/* A topic may carry megabytes; what a dead letter does not keep must not wait in memory for its turn. */
static void a_record_keeps_what_a_dead_letter_keeps(void **state)
{
	enum { KEPT = 10 };
	char key[200], value[5000];
	struct decoder *d = decoder();
	struct record *r;
	memset(key, 'k', sizeof key);
	for (size_t i = 0; i < sizeof value; i++)
		value[i] = (char)('a' + i % 26);
	assert_int_equal(record_new(&r, pool, d, KEPT, 2, 77, KAFKA_MS, key, sizeof key, value, sizeof value), 0);
	assert_string_equal(r->reason, "undecodable");
	assert_int_equal(r->partition, 2);
	assert_int_equal(r->offset, 77);
	assert_int_equal(r->kafka_ms, KAFKA_MS);
	assert_int_equal(r->key_len, sizeof key);
	assert_int_equal(r->value_len, sizeof value);
	assert_int_equal(r->key_kept, KEPT);
	assert_int_equal(r->value_kept, KEPT);
	assert_memory_equal(r->key, key, KEPT);
	assert_memory_equal(r->value, value, KEPT);
	assert_int_equal(r->size, sizeof *r + 2 * KEPT);
	record_free(r);

	/* what is shorter is kept whole, and none is not empty */
	assert_int_equal(record_new(&r, pool, d, KEPT, 0, 0, KAFKA_MS, "k", 1, "", 0), 0);
	assert_int_equal(r->key_kept, 1);
	assert_non_null(r->value);
	assert_int_equal(r->size, sizeof *r + 1);
	record_free(r);
	assert_int_equal(record_new(&r, pool, d, KEPT, 0, 0, KAFKA_MS, NULL, 0, "x", 1), 0);
	assert_null(r->key);
	record_free(r);
	assert_int_equal(record_new(&r, pool, d, 0, 0, 0, KAFKA_MS, "k", 1, "xy", 2), 0);
	assert_int_equal(r->key_kept + r->value_kept, 0);
	assert_int_equal(r->value_len, 2);
	assert_int_equal(r->size, sizeof *r);
	record_free(r);
	decoder_free(d);
}

/* The event's texts are the record's own: the decoder is used again for the next one, and Kafka takes its message back. */
static void an_event_is_a_copy(void **state)
{
	struct decoder *d = decoder();
	struct record *r, *other;
	char key[] = "u1", value[] = "{\"item_id\":\"item-1\",\"event_id\":\"e1\",\"type\":\"buy\",\"weight\":2,\"timestamp\":1600000000000}";
	size_t key_len = strlen(key), value_len = strlen(value);
	assert_int_equal(record_new(&r, pool, d, 3, 0, 0, KAFKA_MS, key, key_len, value, value_len), 0);
	memset(key, '?', key_len);
	memset(value, '?', value_len);
	assert_int_equal(record_new(&other, pool, d, 3, 0, 1, KAFKA_MS, key, key_len, value, value_len), 0);
	assert_null(r->reason);
	assert_int_equal(r->order_ms, 1600000000000);
	assert_int_equal(r->ev.ts_ms, 1600000000000);
	assert_int_equal(r->ev.user_len, 2);
	assert_memory_equal(r->ev.user, "u1", 2);
	assert_int_equal(r->ev.item_len, 6);
	assert_memory_equal(r->ev.item, "item-1", 6);
	assert_memory_equal(r->ev.event_id, "e1", 2);
	assert_memory_equal(r->ev.type, "buy", 3);
	assert_memory_equal(r->value, "{\"i", 3);
	assert_int_equal(r->size, sizeof *r + 2 + 3 + 2 + 6 + 2 + 3);
	record_free(r);
	record_free(other);
	decoder_free(d);
}

static uint64_t hash_of(struct decoder *d, const char *value)
{
	struct record *r;
	assert_int_equal(record_new(&r, pool, d, 0, 0, 0, KAFKA_MS, "u", 1, value, strlen(value)), 0);
	assert_null(r->reason);
	uint64_t hash = record_hash(1, r);
	record_free(r);
	return hash;
}

/* Those of the user and those of the item; what is not mapped is not hashed. */
static void attributes_are_part_of_the_hash(void **state)
{
	static const char *const said[] = { "{\"item_id\":\"i\",\"timestamp\":1600000000000}",
		"{\"item_id\":\"i\",\"timestamp\":1600000000000,\"a\":\"x\"}", "{\"item_id\":\"i\",\"timestamp\":1600000000000,\"b\":\"x\"}",
		"{\"item_id\":\"i\",\"timestamp\":1600000000000,\"b\":\"y\"}", "{\"item_id\":\"i\",\"timestamp\":1600000000000,\"a\":\"x\",\"b\":\"x\"}" };
	struct decoder *plain = decoder(), *d;
	const struct decoder_options o = { .format = EVENT_JSON, .attribute_paths = "a", .item_attribute_paths = "b" };
	const char *why = "";
	assert_int_equal(decoder_new(&d, &o, &why), 0);
	for (int i = 0; i < 5; i++) {
		assert_true(hash_of(plain, said[i]) == hash_of(plain, said[0]));
		for (int k = 0; k < 5; k++)
			assert_int_equal(hash_of(d, said[i]) == hash_of(d, said[k]), i == k);
	}
	assert_true(hash_of(d, said[0]) == hash_of(plain, said[0]));
	decoder_free(plain);
	decoder_free(d);
}

/* An order of three products is one record with three events, in lists, too; its bytes are there once. One event of its own has the hash that it ever had. */
static void several_events_are_one_record(void **state)
{
	static const char order[] = "{\"order\":[{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"c\"}],\"event_id\":\"e\",\"time\":1600000000}", one[] = "{\"item\":\"a\",\"event_id\":\"e\",\"time\":1600000000}";
	const struct decoder_options o = { .format = EVENT_JSON, .item_path = "order[].id,item" };
	struct event_source from = { .key = "u", .key_len = 1, .value = order, .value_len = sizeof order - 1, .record_ts_ms = KAFKA_MS };
	struct record_list l = { 0 };
	struct decoder *d, *plain = decoder();
	struct record *r;
	const char *why = "";
	assert_int_equal(decoder_new(&d, &o, &why), 0);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(record_decode(&r, pool, d, 1000, 0, 0, &from), 0);
		record_push(&l, r);
		assert_int_equal(l.n, 1);
		assert_int_equal(l.events, 3);
		assert_int_equal(record_events(r), 3);
		assert_int_equal(l.bytes, r->size + r->more->size + r->more->more->size);
		assert_null(r->more->more->more);
		assert_int_equal(r->value_kept, sizeof order - 1);
		assert_null(r->more->value);
		assert_int_equal(r->more->kafka_ms, KAFKA_MS);
		assert_memory_equal(r->more->more->ev.item, "c", 1);
		assert_true(r->id != r->more->id && r->more->id != r->more->more->id);
		r = record_shift(&l);
		assert_int_equal(l.n + l.events + l.bytes, 0);
		uint64_t hash = record_hash(1, r);
		struct record *rest = r->more;
		r->more = NULL;
		assert_true(record_hash(1, r) == hash_of(plain, one));
		assert_true(record_hash(record_hash(1, r), rest) == hash);
		r->more = rest;
		record_free(r);
	}
	decoder_free(d);
	decoder_free(plain);
}

/* Neither an event nor a dead letter: it keeps no byte but its user's, and waits for nobody. */
static void an_ignored_record_keeps_nothing(void **state)
{
	static const char value[] = "{\"type\":\"refund\",\"time\":1600000000}";
	const struct decoder_options o = { .format = EVENT_JSON, .type_weights = "refund:ignore" };
	struct decoder *d;
	struct record *r;
	const char *why = "";
	assert_int_equal(decoder_new(&d, &o, &why), 0);
	assert_int_equal(record_new(&r, pool, d, 1000, 0, 0, KAFKA_MS, "u", 1, value, sizeof value - 1), 0);
	assert_null(r->reason);
	assert_int_equal(r->ignored, 1);
	assert_int_equal(r->value_kept + r->key_kept, 0);
	assert_true(r->order_ms == INT64_MIN);
	assert_int_equal(r->ev.user_len, 1);
	record_free(r);
	decoder_free(d);
}

static void lists_count_records_and_bytes(void **state)
{
	struct decoder *d = decoder();
	struct record_list l[1] = { 0 };
	assert_null(record_shift(l));
	put(d, l, 0, 0, 1);
	size_t first = l->bytes;
	assert_int_equal(first, l->first->size);
	put(d, l, 0, 1, NO_EVENT);
	put(d, l, 0, 2, FORGET);
	assert_int_equal(l->n, 3);
	assert_int_equal(l->bytes, l->first->size + l->first->next->size + l->last->size);

	size_t all = l->bytes;
	record_free(record_shift(l));
	assert_int_equal(l->n, 2);
	assert_int_equal(l->bytes, all - first);
	record_free_all(l);
	assert_int_equal(l->n, 0);
	assert_int_equal(l->bytes, 0);
	assert_null(l->first);
	assert_null(l->last);

	put(d, l, 0, 3, 1); /* an emptied list is as good as a new one */
	assert_int_equal(l->bytes, first);
	assert_ptr_equal(l->first, l->last);
	record_free_all(l);
	decoder_free(d);
}

static int make_pool(void **state) { return record_pool_new(&pool); }
static int free_pool(void **state) { record_pool_free(pool); return 0; }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(event_time_orders_the_partitions),  cmocka_unit_test(offsets_order_a_partition),
		cmocka_unit_test(ties_go_by_partition),              cmocka_unit_test(what_has_no_time_waits_for_nobody),
		cmocka_unit_test(heads_at_their_end_do_not_count),     cmocka_unit_test(all_wait_for_one_that_is_awaited),
		cmocka_unit_test(a_record_keeps_what_a_dead_letter_keeps),
		cmocka_unit_test(an_event_is_a_copy),                cmocka_unit_test(lists_count_records_and_bytes),
		cmocka_unit_test(attributes_are_part_of_the_hash), cmocka_unit_test(several_events_are_one_record), cmocka_unit_test(an_ignored_record_keeps_nothing),
	};
	return cmocka_run_group_tests(tests, make_pool, free_pool);
}
