/* test_embedding.c - vectors, version records and row keys in every format. */
#include "tests/codec/check.h"

#include <float.h>

#include "codec/embedding.h"
#include "topics/embedding.pb-c.h"

#define D_MAX 200

static size_t random_vector(float *x)
{
	size_t D = 1 + check_below(D_MAX);
	float size = ldexpf(1.0f, (int)check_below(60) - 30);

	for (size_t i = 0; i < D; i++)
		x[i] = check_below(20) ? size * ((float)check_below(2000001) / 1e6f - 1.0f) : 0.0f;
	return D;
}

static void test_roundtrip(void **state)
{
	static uint8_t buf[8192];

	for (int i = 0; i < 6000; i++) {
		float x[D_MAX], seen[D_MAX], vec[D_MAX];
		struct embedding e = { .vector = x, .version = check_bits() >> check_below(64), .event_time_ms = (int64_t)check_bits(),
			.generation = (uint32_t)check_bits(), .prototype = (int32_t)check_below(100) - 1 }, got;
		enum embedding_format f = (enum embedding_format)(i % 3);
		size_t len, need;

		e.D = random_vector(x);
		assert_int_equal(embedding_encode(buf, sizeof(buf), &len, f, &e), 0);
		assert_int_equal(embedding_encode(buf, len - 1, &need, f, &e), -ENOSPC);
		assert_int_equal(need, len);
		assert_int_equal(embedding_decode(&got, vec, D_MAX, buf, len), 0);
		assert_true(got.vector == vec && got.D == e.D && got.version == e.version && got.event_time_ms == e.event_time_ms &&
		            got.generation == e.generation && got.prototype == e.prototype);

		embedding_roundtrip(seen, x, e.D, f);
		for (size_t j = 0; j < e.D; j++)
			assert_true(seen[j] == vec[j]); /* -0 and 0 count as the same */
		if (f != EMBEDDING_INT8)
			assert_memory_equal(vec, x, e.D * sizeof(float));
		if (e.D > 1)
			assert_int_equal(embedding_decode(&got, vec, e.D - 1, buf, len), -E2BIG);
	}
}

static void test_int8_error(void **state)
{
	for (int i = 0; i < 5000; i++) {
		float x[D_MAX], seen[D_MAX], max = 0;
		size_t D = random_vector(x);

		for (size_t j = 0; j < D; j++)
			max = fmaxf(max, fabsf(x[j]));
		embedding_roundtrip(seen, x, D, EMBEDDING_INT8);
		for (size_t j = 0; j < D; j++)
			assert_true(fabs((double)seen[j] - (double)x[j]) <= (double)max / 254.0 * (1 + 1e-5)); /* scale / 2, and a rounding */

		/* the same, and the bytes themselves, for those who keep them as they are */
		uint8_t buf[8192];
		size_t len;
		struct embedding e;

		assert_int_equal(embedding_encode(buf, sizeof(buf), &len, EMBEDDING_INT8, &(struct embedding){ .vector = x, .D = D }), 0);
		assert_int_equal(embedding_decode(&e, x, D_MAX, buf, len), 0);
		assert_true(e.int8 > (int8_t *)buf && e.int8 + D <= (int8_t *)buf + len && e.D == D);
		for (size_t j = 0; j < D; j++)
			assert_true(x[j] == seen[j] && x[j] == (float)e.int8[j] * e.scale);
	}
}

static void test_extremes(void **state)
{
	float vec[4];
	struct embedding e = { .D = 3, .prototype = -1 }, got;
	uint8_t buf[512];
	size_t len;

	e.vector = (float[]){ 0, 0, 0 };
	assert_int_equal(embedding_encode(buf, sizeof(buf), &len, EMBEDDING_INT8, &e), 0);
	assert_int_equal(embedding_decode(&got, vec, 4, buf, len), 0);
	assert_true(got.D == 3 && vec[0] == 0 && vec[2] == 0);

	e.vector = (float[]){ FLT_MAX, -FLT_TRUE_MIN, FLT_MIN };
	assert_int_equal(embedding_encode(buf, sizeof(buf), &len, EMBEDDING_INT8, &e), -ERANGE);
	for (int f = 0; f <= EMBEDDING_JSON; f += 2) {
		assert_int_equal(embedding_encode(buf, sizeof(buf), &len, (enum embedding_format)f, &e), 0);
		assert_int_equal(embedding_decode(&got, vec, 4, buf, len), 0);
		assert_memory_equal(vec, e.vector, 12);
	}
	for (int f = 0; f <= EMBEDDING_JSON; f++) {
		e.vector = (float[]){ 1, NAN, 1 };
		assert_int_equal(embedding_encode(buf, sizeof(buf), &len, (enum embedding_format)f, &e), -ERANGE);
		e.vector = (float[]){ 1, 1, -INFINITY };
		assert_int_equal(embedding_encode(buf, sizeof(buf), &len, (enum embedding_format)f, &e), -ERANGE);
	}
}

static void test_refusals(void **state)
{
	static const char *const bad[] = {
		"{", "{}", "[]", "{\"vector\":1}", "{\"vector\":[1,\"x\"]}", "{\"vector\":[[1]]}", "{\"vector\":[1e99]}", "{\"vector\":[1],\"version\":-1}",
		"{\"vector\":[1],\"version\":1.5}", "{\"vector\":[1],\"prototype\":3000000000}", "{\"vector\":[1],\"generation\":-1}", "{\"vector\":[1]}x",
		"{\"vector\":[1],\"version\":{}}", "{\"vector\":[1],\"version\":\"1\"}", "{\"vector\":[null]}", "{\"vector\":{\"a\":1}}",
		"\x0a\x03" "abc", "\x0a\x08" "abc", "\x12\x01" "a", "\x12\x01" "a\x1d\x00\x00\x80\xbf", "\x20\x01", "\x0d\x00\x00\x80\x7f",
	};
	static const char nested[] = "{\"x\":[{\"vector\":[9]}],\"vector\":[1,2],\"version\":null}";
	struct embedding e = { .D = 4711 };
	float vec[4];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		if (embedding_decode(&e, vec, 4, bad[i], strlen(bad[i])) != -EBADMSG)
			fail_msg("%s was taken", bad[i]);
	}
	assert_int_equal(embedding_decode(&e, vec, 4, "", 0), -EBADMSG);
	assert_int_equal(e.D, 4711);
	assert_int_equal(embedding_decode(&e, vec, 4, nested, strlen(nested)), 0);
	assert_true(e.D == 2 && vec[1] == 2 && e.version == 0);
}

static void test_version_roundtrip(void **state)
{
	static uint8_t buf[16384];
	int64_t offsets[64], got_offsets[64];

	for (int i = 0; i < 4000; i++) {
		struct version v = {
			.version = check_bits() >> check_below(64) | 1, .step = check_bits(), .watermark_ms = (int64_t)check_bits(), .published_ms = 7,
			.offsets = offsets, .offset_count = check_below(65), .partition = (int32_t)check_below(9), .items = check_bits(),
			.users = check_below(9), .prototypes = 3, .total_items = check_bits(), .total_users = 5, .total_prototypes = 6,
			.oldest_user_steps = check_bits(), .dimension = (uint32_t)check_bits(), .freshness_p50_ms = -1, .freshness_p99_ms = 88,
			.gaps = check_below(9), .gap_base = check_below(1000), .gap_step = check_below(1000), .held = 1, .held_why = "below \"it\"",
		}, got;
		enum embedding_format f = i % 2 ? EMBEDDING_JSON : EMBEDDING_FLOAT32;
		size_t len, need;

		for (size_t k = 0; k < v.offset_count; k++)
			offsets[k] = (int64_t)check_bits();
		v.model_id[check_text(v.model_id, 63)] = 0;
		v.space_id[check_text(v.space_id, 63)] = 0;
		v.numeric_id[check_below(2) ? check_text(v.numeric_id, 63) : 0] = 0;

		assert_int_equal(version_encode(buf, sizeof(buf), &len, f, &v), 0);
		assert_int_equal(version_encode(buf, len - 1, &need, f, &v), -ENOSPC);
		assert_int_equal(need, len);
		assert_int_equal(version_decode(&got, got_offsets, 64, buf, len), 0);
		assert_int_equal(got.offset_count, v.offset_count);
		if (v.offset_count) {
			assert_memory_equal(got_offsets, offsets, v.offset_count * sizeof(*offsets));
			assert_int_equal(version_decode(&got, got_offsets, v.offset_count - 1, buf, len), -E2BIG);
			assert_int_equal(version_decode(&got, got_offsets, 64, buf, len), 0);
		}
		assert_string_equal(got.model_id, v.model_id);
		assert_string_equal(got.space_id, v.space_id);
		assert_string_equal(got.numeric_id, v.numeric_id);
		assert_true(got.version == v.version && got.step == v.step && got.watermark_ms == v.watermark_ms && got.published_ms == 7 &&
		            got.partition == v.partition && got.items == v.items && got.users == v.users && got.prototypes == 3 &&
		            got.total_items == v.total_items && got.total_users == 5 && got.total_prototypes == 6 &&
		            got.oldest_user_steps == v.oldest_user_steps && got.dimension == v.dimension && got.freshness_p50_ms == -1 &&
		            got.freshness_p99_ms == 88 && got.gaps == v.gaps && got.gap_base == v.gap_base && got.gap_step == v.gap_step && got.held == 1 && !strcmp(got.held_why, v.held_why));
	}
}

static void test_wire_is_the_schema(void **state)
{
	struct embedding e = { .vector = (float[]){ 1, -2 }, .D = 2, .version = 9, .event_time_ms = 8, .generation = 7, .prototype = 6 };
	S4rec__Embedding *m;
	uint8_t buf[128];
	size_t len;

	assert_int_equal(embedding_encode(buf, sizeof(buf), &len, EMBEDDING_INT8, &e), 0);
	m = s4rec__embedding__unpack(NULL, len, buf);
	assert_true(m && m->int8.len == 2 && (int8_t)m->int8.data[0] == 64 && (int8_t)m->int8.data[1] == -127 && m->n_vector == 0);
	assert_true(m->version == 9 && m->event_time_ms == 8 && m->generation == 7 && m->prototype == 6 && m->scale == 2.0f / 127);
	s4rec__embedding__free_unpacked(m, NULL);
}

static void test_keys(void **state)
{
	static const char *const bad[] = { "", "item", "item/", "user/", "prototype/", "prototype/x", "prototype/-1", "models", "model/", "Item/a", "item/\xff" };
	enum row_kind kind;
	const char *id;
	size_t id_len, len;
	char key[300], text[256];

	for (int i = 0; i < 3000; i++) {
		enum row_kind k = (enum row_kind)check_below(2);
		size_t n = check_text(text, 256);

		assert_int_equal(row_key(key, sizeof(key), &len, k, text, n), 0);
		assert_int_equal(row_key(key, len - 1, &len, k, text, n), -ENOSPC);
		assert_int_equal(row_key_parse(&kind, &id, &id_len, key, len), 0);
		assert_true(kind == k && id_len == n && memcmp(id, text, n) == 0);
	}
	assert_int_equal(row_key(key, sizeof(key), &len, ROW_MODEL, NULL, 0), 0);
	assert_text(key, len, "model");
	assert_int_equal(row_key_parse(&kind, &id, &id_len, key, len), 0);
	assert_true(kind == ROW_MODEL && id_len == 0);
	assert_int_equal(row_key(key, sizeof(key), &len, ROW_PROTOTYPE, "12", 2), 0);
	assert_text(key, len, "prototype/12");
	assert_int_equal(row_key_parse(&kind, &id, &id_len, key, len), 0);
	assert_true(kind == ROW_PROTOTYPE && id_len == 2);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(row_key_parse(&kind, &id, &id_len, bad[i], strlen(bad[i])), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roundtrip), cmocka_unit_test(test_int8_error), cmocka_unit_test(test_extremes), cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_version_roundtrip), cmocka_unit_test(test_wire_is_the_schema), cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
