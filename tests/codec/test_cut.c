/* test_cut.c - cuts survive the way through bytes, also through protobuf-c's reader. */
#include "tests/codec/check.h"

#include "codec/cut.h"
#include "topics/cut.pb-c.h"

static void random_cut(struct cut *c, int64_t *offsets, size_t partitions)
{
	for (size_t i = 0; i < partitions; i++)
		offsets[i] = (int64_t)(check_bits() >> check_below(64));
	*c = (struct cut){
		.step = check_bits() >> check_below(64), .offsets = offsets, .partitions = partitions, .now_ms = (int64_t)check_bits(),
		.commit = (int)check_below(2), .version = check_bits(), .events = (uint32_t)check_bits(), .dead_letters = (uint32_t)check_below(9), .embedding_partitions = (uint32_t)check_bits(),
		.records_hash = check_bits(), .max_users = check_bits(), .max_items = check_bits(), .republish = (int)check_below(2), .rollback = (int)check_below(2),
		.discarded = (enum discard)check_below(3), .config_hash = check_bits(), .skipped = (int)check_below(2), .gap = (int)check_below(2), .gap_base = check_bits(),
		.pass = check_bits(), .from_hash = check_bits(), .catching_up = (int)check_below(2),
	};
	c->model_id[check_text(c->model_id, 63)] = 0;
	c->run_id[check_text(c->run_id, 63)] = 0;
	if (check_below(2))
		c->numeric_id[check_text(c->numeric_id, 63)] = 0;
}

static void assert_same(const struct cut *a, const struct cut *b)
{
	assert_int_equal(a->partitions, b->partitions);
	if (a->partitions)
		assert_memory_equal(a->offsets, b->offsets, a->partitions * sizeof(*a->offsets));
	assert_int_equal(a->step, b->step);
	assert_int_equal(a->now_ms, b->now_ms);
	assert_int_equal(a->commit, b->commit);
	assert_int_equal(a->version, b->version);
	assert_int_equal(a->events, b->events);
	assert_int_equal(a->embedding_partitions, b->embedding_partitions);
	assert_int_equal(a->records_hash, b->records_hash);
	assert_int_equal(a->max_users, b->max_users);
	assert_int_equal(a->max_items, b->max_items);
	assert_int_equal(a->republish, b->republish);
	assert_int_equal(a->rollback, b->rollback);
	assert_int_equal(a->dead_letters, b->dead_letters);
	assert_int_equal(a->discarded, b->discarded);
	assert_int_equal(a->config_hash, b->config_hash);
	assert_int_equal(a->skipped, b->skipped);
	assert_int_equal(a->gap, b->gap);
	assert_int_equal(a->gap_base, b->gap_base);
	assert_int_equal(a->pass, b->pass);
	assert_int_equal(a->from_hash, b->from_hash);
	assert_int_equal(a->catching_up, b->catching_up);
	assert_string_equal(a->model_id, b->model_id);
	assert_string_equal(a->run_id, b->run_id);
	assert_string_equal(a->numeric_id, b->numeric_id);
}

static void test_roundtrip(void **state)
{
	static int64_t offsets[CUT_PARTITIONS_MAX], got_offsets[CUT_PARTITIONS_MAX];
	static uint8_t buf[16384];

	for (int i = 0; i < 5000; i++) {
		struct cut c, got;
		size_t len, need;

		random_cut(&c, offsets, i % 100 ? check_below(40) : CUT_PARTITIONS_MAX);
		c.step |= 1;
		assert_int_equal(cut_encode(buf, sizeof(buf), &len, &c), 0);
		assert_int_equal(cut_encode(buf, len - 1, &need, &c), -ENOSPC);
		assert_int_equal(need, len);
		assert_int_equal(cut_decode(&got, got_offsets, CUT_PARTITIONS_MAX, buf, len), 0);
		assert_same(&got, &c);
		if (c.partitions)
			assert_int_equal(cut_decode(&got, got_offsets, c.partitions - 1, buf, len), -E2BIG);
	}
}

static void test_refusals(void **state)
{
	S4rec__Cut m = S4REC__CUT__INIT;
	char text[80];
	int64_t offsets[4];
	uint8_t buf[256];
	struct cut c = { .step = 4711 };
	size_t len;

	memset(text, 'x', 64);
	text[64] = 0;
	m.model_id = text;
	len = s4rec__cut__pack(&m, buf);
	assert_int_equal(cut_decode(&c, offsets, 4, buf, len), -E2BIG);
	assert_int_equal(cut_decode(&c, offsets, 4, buf, 0), -EBADMSG);
	assert_int_equal(cut_decode(&c, offsets, 4, "\x4a\x02\xc3\x28", 4), -EBADMSG); /* not UTF-8 */
	assert_int_equal(cut_decode(&c, offsets, 4, "\x0a\x01x", 3), -EBADMSG);        /* step as text */
	for (size_t n = 1; n < len; n++)
		assert_true(cut_decode(&c, offsets, 4, buf, n) < 0);
	assert_int_equal(c.step, 4711);

	/* a writer that does not pack its offsets */
	assert_int_equal(cut_decode(&c, offsets, 4, "\x10\x05\x10\x06\x08\x09", 6), 0);
	assert_true(c.partitions == 2 && offsets[0] == 5 && offsets[1] == 6 && c.step == 9);
}

static void test_attempt(void **state)
{
	struct attempt a = { .step = 4711, .run_id = "1767225600000-42", .now_ms = 1767225600000 }, got = { 0 };
	uint8_t buf[128];
	size_t len, need;

	assert_int_equal(attempt_encode(buf, sizeof(buf), &len, &a), 0);
	assert_int_equal(attempt_encode(buf, len - 1, &need, &a), -ENOSPC);
	assert_int_equal(attempt_decode(&got, buf, len), 0);
	assert_true(got.step == a.step && got.now_ms == a.now_ms && !strcmp(got.run_id, a.run_id));
	for (size_t n = 0; n < len; n++)
		if (attempt_decode(&got, buf, n) == 0) /* cut between two fields: they have no end of their own */
			assert_true(got.step == a.step);
	assert_int_equal(attempt_decode(&got, buf, 0), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_roundtrip), cmocka_unit_test(test_refusals), cmocka_unit_test(test_attempt) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
