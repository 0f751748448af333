/* test_state.c - rows of the state topic survive the way through bytes, and protobuf-c agrees about every one, both ways. */
#include "tests/codec/check.h"

#include "codec/state.h"
#include "topics/state.pb-c.h"

#define N_MAX 60

static void random_floats(float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t bits = (uint32_t)check_bits(); /* any bits: NaN, infinite, subnormal come through as they are */
		memcpy(&x[i], &bits, sizeof bits);
	}
}

static void test_item(void **state)
{
	float values[N_MAX], published[N_MAX], room[2 * N_MAX];
	uint8_t buf[4096];

	for (int i = 0; i < 3000; i++) {
		size_t n = check_below(N_MAX), p = check_below(N_MAX), len, need;
		struct item_state s = { .row = (uint32_t)check_bits(), .values = values, .values_n = n, .row_step = check_bits() >> check_below(64),
			.published = published, .published_n = p, .published_step = check_bits() >> check_below(64),
			.event_time_ms = (int64_t)check_bits(), .popularity = (double)check_bits(), .events = (uint32_t)check_bits(),
			.attributes = { 0, (uint32_t)check_bits(), 7, (uint32_t)check_below(9) }, .attributes_n = check_below(2) ? 4 : 0 }, got;
		S4rec__ItemState *m;

		random_floats(values, n);
		random_floats(published, p);
		assert_int_equal(item_state_encode(buf, sizeof buf, &len, &s), 0);
		assert_true(len <= ITEM_STATE_BYTES(n, p));
		assert_int_equal(item_state_encode(buf, len - 1, &need, &s), -ENOSPC);
		assert_int_equal(need, len);
		assert_int_equal(item_state_encode(buf, sizeof buf, &len, &s), 0);
		assert_int_equal(item_state_decode(&got, room, 2 * N_MAX, buf, len), 0);
		assert_true(got.row == s.row && got.row_step == s.row_step && got.published_step == s.published_step &&
		            got.event_time_ms == s.event_time_ms && got.popularity == s.popularity && got.events == s.events && got.values_n == n && got.published_n == p);
		assert_true((n == 0 || memcmp(got.values, values, n * 4) == 0) && (p == 0 || memcmp(got.published, published, p * 4) == 0));
		assert_int_equal(got.attributes_n, s.attributes_n);
		assert_memory_equal(got.attributes, s.attributes, s.attributes_n * sizeof *s.attributes);
		if (n + p)
			assert_int_equal(item_state_decode(&got, room, n + p - 1, buf, len), -E2BIG);

		m = s4rec__item_state__unpack(NULL, len, buf);
		assert_non_null(m);
		assert_true(m->row == s.row && m->n_values == n && m->n_published == p && m->row_step == s.row_step && m->published_step == s.published_step &&
		            m->event_time_ms == s.event_time_ms && m->popularity == s.popularity && m->events == s.events && m->n_attributes == s.attributes_n);
		assert_memory_equal(m->attributes, s.attributes, s.attributes_n * sizeof *s.attributes);
		assert_true(n == 0 || memcmp(m->values, values, n * 4) == 0);
		assert_int_equal(s4rec__item_state__get_packed_size(m), len);
		s4rec__item_state__free_unpacked(m, NULL);
	}
}

static void test_user(void **state)
{
	uint32_t items[N_MAX], got_items[N_MAX], before_ms[N_MAX], got_before_ms[N_MAX];
	uint64_t ids[N_MAX], got_ids[N_MAX];
	float weights[N_MAX], got_weights[N_MAX];
	struct user_room room = { got_items, got_weights, got_before_ms, got_ids, N_MAX }, small = room;
	uint8_t buf[4096];

	for (int i = 0; i < 3000; i++) {
		size_t n = check_below(N_MAX), len;
		struct user_state s = { .row = (uint32_t)check_bits(), .items = items, .weights = weights, .before_ms = before_ms, .ids = ids, .n = n, .events = (uint32_t)check_bits(),
			.newest_ms = (int64_t)check_bits(), .published = (int)check_below(2), .encoded_step = check_bits() >> check_below(64), .waiting = (int)check_below(2),
			.loss = (float)check_below(9) / 4, .attributes = { 0, (uint32_t)check_bits(), 7, (uint32_t)check_below(9) }, .attributes_n = check_below(2) ? 4 : 0 }, got;
		S4rec__UserState *m;
		int plain = check_below(2) == 0, at_once = check_below(2) == 0, anonymous = check_below(2) == 0;

		for (size_t k = 0; k < n; k++) {
			items[k] = (uint32_t)(check_bits() >> (32 + check_below(32)));
			weights[k] = plain ? 1 : (float)check_below(5);
			before_ms[k] = at_once ? 0 : (uint32_t)(check_bits() >> (32 + check_below(32)));
			ids[k] = anonymous ? 0 : check_bits();
		}
		assert_int_equal(user_state_encode(buf, sizeof buf, &len, &s), 0);
		assert_true(len <= USER_STATE_BYTES(n));
		assert_int_equal(user_state_decode(&got, &room, buf, len), 0);
		assert_true(got.row == s.row && got.n == n && got.events == s.events && got.newest_ms == s.newest_ms && got.published == s.published &&
		            got.encoded_step == s.encoded_step && got.waiting == s.waiting && got.loss == s.loss && got.attributes_n == s.attributes_n);
		assert_memory_equal(got.attributes, s.attributes, s.attributes_n * sizeof *s.attributes);
		assert_true(n == 0 || (memcmp(got_items, items, n * 4) == 0 && memcmp(got_weights, weights, n * 4) == 0 &&
		                      memcmp(got_before_ms, before_ms, n * 4) == 0 && memcmp(got_ids, ids, n * 8) == 0));
		small.n_max = n - 1;
		if (n)
			assert_int_equal(user_state_decode(&got, &small, buf, len), -E2BIG);

		m = s4rec__user_state__unpack(NULL, len, buf);
		assert_non_null(m);
		assert_true(m->row == s.row && m->n_items == n && m->events == s.events && m->newest_ms == s.newest_ms && m->encoded_step == s.encoded_step && m->waiting == s.waiting && m->loss == s.loss && m->n_attributes == s.attributes_n);
		assert_memory_equal(m->attributes, s.attributes, s.attributes_n * sizeof *s.attributes);
		assert_true(n == 0 || memcmp(m->items, items, n * 4) == 0);
		assert_true(m->n_before_ms == 0 || (m->n_before_ms == n && memcmp(m->before_ms, before_ms, n * 4) == 0));
		assert_int_equal(s4rec__user_state__get_packed_size(m), len);
		s4rec__user_state__free_unpacked(m, NULL);
	}
}

static void test_manifest(void **state)
{
	int64_t offsets[N_MAX], got_offsets[N_MAX];
	uint8_t buf[4096];

	for (int i = 0; i < 2000; i++) {
		struct manifest s = { .offsets = offsets, .partitions = check_below(N_MAX), .config = "width=8\ntau1=0.5\n", .config_len = check_below(18) }, got;
		size_t len;
		S4rec__Manifest *m;

		for (size_t p = 0; p < s.partitions; p++)
			offsets[p] = (int64_t)(check_bits() >> check_below(64));
#define FILL(field, name) s.name = check_bits() >> check_below(64);
		MANIFEST_NUMBERS(FILL)
		s.model_id[check_text(s.model_id, 63)] = 0;
		s.run_id[check_text(s.run_id, 63)] = 0;
		s.numeric_id[check_text(s.numeric_id, 63)] = 0;
		assert_int_equal(manifest_encode(buf, sizeof buf, &len, &s), 0);
		assert_true(len <= MANIFEST_BYTES(s.partitions, s.config_len));
		assert_int_equal(manifest_decode(&got, got_offsets, N_MAX, buf, len), 0);
		assert_true(got.partitions == s.partitions && memcmp(got_offsets, offsets, s.partitions * sizeof *offsets) == 0);
		assert_string_equal(got.model_id, s.model_id);
		assert_string_equal(got.run_id, s.run_id);
		assert_string_equal(got.numeric_id, s.numeric_id);
		assert_true(got.config_len == s.config_len && memcmp(got.config ? got.config : "", s.config, s.config_len) == 0);
#define SAME(field, name) assert_int_equal(got.name, s.name);
		MANIFEST_NUMBERS(SAME)

		m = s4rec__manifest__unpack(NULL, len, buf);
		assert_non_null(m);
#define AGREES(field, name) assert_true((uint64_t)m->name == s.name);
		MANIFEST_NUMBERS(AGREES)
		assert_int_equal(s4rec__manifest__get_packed_size(m), len);
		s4rec__manifest__free_unpacked(m, NULL);
		if (s.partitions)
			assert_int_equal(manifest_decode(&got, got_offsets, s.partitions - 1, buf, len), -E2BIG);
	}
}

static void test_dense(void **state)
{
	uint8_t data[300], buf[400];
	const void *got;
	size_t len, n;

	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)check_bits();
	for (size_t size = 0; size <= sizeof data; size += 50) {
		assert_int_equal(dense_state_encode(buf, sizeof buf, &len, data, size), 0);
		assert_int_equal(dense_state_decode(&got, &n, buf, len), 0);
		assert_int_equal(n, size);
		assert_true(size == 0 || memcmp(got, data, size) == 0);
		for (size_t cut = 1; size && cut < len; cut++)
			assert_int_equal(dense_state_decode(&got, &n, buf, cut), -EBADMSG);
	}
}

static void test_refusals(void **state)
{
	float room[4], weights[4];
	uint32_t items[4], before_ms[4];
	uint64_t ids[4];
	struct user_room to = { items, weights, before_ms, ids, 4 };
	int64_t offsets[4];
	struct item_state item = { .row = 4711 };
	struct user_state user = { .row = 4711 };
	struct manifest m = { .step = 4711 };

	assert_int_equal(item_state_decode(&item, room, 4, "\x12\x03\x00\x00\x00", 5), -EBADMSG);                 /* three bytes are no float */
	assert_int_equal(item_state_decode(&item, room, 4, "\x12\x04\x00\x00\x80\x3f\x12\x04\x00\x00\x80\x3f", 12), -EBADMSG); /* values twice */
	assert_int_equal(item_state_decode(&item, room, 4, "\x08", 1), -EBADMSG);
	assert_int_equal(user_state_decode(&user, &to, "\x12\x01\x05\x1a\x08\0\0\0\0\0\0\0\0", 13), -EBADMSG); /* one item, two weights */
	assert_int_equal(user_state_decode(&user, &to, "\x12\x06\xff\xff\xff\xff\x7f\x01", 8), -EBADMSG);      /* a row beyond 32 bits */
	assert_int_equal(user_state_decode(&user, &to, "\x12\x01\x05\x4a\x02\x01\x02", 7), -EBADMSG);               /* one item, two times */
	assert_int_equal(user_state_decode(&user, &to, "\x12\x01\x05\x52\x04\x01\x02\x03\x04", 9), -EBADMSG);         /* half an id */
	assert_int_equal(manifest_decode(&m, offsets, 4, "", 0), -EBADMSG);
	assert_int_equal(manifest_decode(&m, offsets, 4, "\x0a\x01\xff", 3), -EBADMSG); /* not UTF-8 */
	assert_true(item.row == 4711 && user.row == 4711 && m.step == 4711); /* untouched on failure */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_item), cmocka_unit_test(test_user), cmocka_unit_test(test_manifest), cmocka_unit_test(test_dense),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
