/* test_event.c - every format of an event, every reason for refusing one, and no malloc for any. */
#include "tests/codec/check.h"

#include "codec/event.h"
#include "topics/interaction.pb-c.h"

/* --- counting allocations: these names win over libc's --- */

#if !defined(__SANITIZE_ADDRESS__)
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
void *malloc(size_t n);
void *calloc(size_t n, size_t m);
void *realloc(void *p, size_t n);
static volatile size_t allocations;

void *malloc(size_t n)
{
	allocations++;
	return __libc_malloc(n);
}

void *calloc(size_t n, size_t m)
{
	allocations++;
	return __libc_calloc(n, m);
}

void *realloc(void *p, size_t n)
{
	allocations++;
	return __libc_realloc(p, n);
}
#else
static size_t allocations;
#endif

#define NOW 1700000000000

static struct decoder *make(const struct decoder_options *o)
{
	struct decoder *d = NULL;
	const char *why = NULL;

	assert_int_equal(decoder_new(&d, o, &why), 0);
	return d;
}

static struct decoder *make_default(void)
{
	return make(&(struct decoder_options){ 0 });
}

static int decode(struct decoder *d, struct event *ev, const char *key, const char *value, const char **why)
{
	*why = "";
	return decoder_decode(d, ev, key, key ? strlen(key) : 0, value, value ? strlen(value) : 0, NOW, why);
}

static void refuse(struct decoder *d, const char *key, const void *value, size_t len, int64_t ts, int error, const char *reason)
{
	struct event ev = { .ts_ms = 4711 };
	const char *why = "";

	if (decoder_decode(d, &ev, key, key ? strlen(key) : 0, value, len, ts, &why) != error || strcmp(why, reason))
		fail_msg("expected %d %s, got %s for %.*s", error, reason, why, (int)len, (const char *)value);
	assert_int_equal(ev.ts_ms, 4711); /* left alone */
}

static void refuse_json(const char *key, const char *json, int error, const char *reason)
{
	struct decoder *d = make_default();

	refuse(d, key, json, strlen(json), NOW, error, reason);
	decoder_free(d);
}

/* --- protobuf --- */

static void test_protobuf_roundtrip(void **state)
{
	struct decoder *d = make_default();
	char user[256], item[256], type[256], id[256];
	uint8_t buf[2048];

	for (int i = 0; i < 20000; i++) {
		struct event ev = { .user = user, .item = item, .type = type, .event_id = id }, got;
		const char *why = "";
		size_t len, need;
		int r;

		ev.user_len = check_text(user, 1 + check_below(256));
		ev.item_len = check_text(item, 1 + check_below(256));
		ev.type_len = check_below(2) ? check_text(type, 30) : 0;
		ev.event_id_len = check_below(2) ? check_text(id, 40) : 0;
		ev.ts_ms = 1 + (int64_t)check_below(NOW);
		ev.weight = check_below(3) ? (float)check_below(1000) / 7.0f : 1.0f;

		assert_int_equal(event_encode(buf, sizeof(buf), &len, &ev), 0);
		assert_int_equal(event_encode(buf, len - 1, &need, &ev), -ENOSPC);
		assert_int_equal(need, len);
		assert_int_equal(event_encode(buf, len, &need, &ev), 0);

		r = decoder_decode(d, &got, user, ev.user_len, buf, len, NOW, &why);
		if (r < 0)
			fail_msg("round %d: %s", i, why);
		assert_int_equal(got.user_len, ev.user_len);
		assert_memory_equal(got.user, user, ev.user_len);
		assert_int_equal(got.item_len, ev.item_len);
		assert_memory_equal(got.item, item, ev.item_len);
		assert_int_equal(got.type_len, ev.type_len);
		assert_memory_equal(got.type, type, ev.type_len);
		assert_int_equal(got.event_id_len, ev.event_id_len);
		assert_memory_equal(got.event_id, id, ev.event_id_len);
		assert_int_equal(got.ts_ms, ev.ts_ms);
		assert_memory_equal(&got.weight, &ev.weight, 4);
		assert_int_equal(got.forget, 0);
	}
	decoder_free(d);
}

/* The schema is topics/interaction.proto: what its generated code writes we read, and the other way round. */
static void test_protobuf_is_the_schema(void **state)
{
	S4rec__Interaction m = S4REC__INTERACTION__INIT, *back;
	struct decoder *d = make_default();
	const char *why = "";
	struct event ev;
	uint8_t buf[256];
	size_t len;

	m.item_id = "item-1";
	m.event_time_ms = NOW - 5;
	m.type = "click";
	m.weighted_case = S4REC__INTERACTION__WEIGHTED_WEIGHT;
	m.weight = 0.25f;
	m.event_id = "e-77";
	m.user_id = "user-9";
	len = s4rec__interaction__pack(&m, buf);

	assert_int_equal(decoder_decode(d, &ev, NULL, 0, buf, len, NOW, &why), 0);
	assert_text(ev.user, ev.user_len, "user-9");
	assert_text(ev.item, ev.item_len, "item-1");
	assert_text(ev.type, ev.type_len, "click");
	assert_text(ev.event_id, ev.event_id_len, "e-77");
	assert_int_equal(ev.ts_ms, NOW - 5);
	assert_true(ev.weight == 0.25f);

	assert_int_equal(event_encode(buf, sizeof(buf), &len, &ev), 0);
	back = s4rec__interaction__unpack(NULL, len, buf);
	assert_non_null(back);
	assert_string_equal(back->item_id, "item-1");
	assert_string_equal(back->type, "click");
	assert_string_equal(back->event_id, "e-77");
	assert_int_equal(back->event_time_ms, NOW - 5);
	assert_true(back->weighted_case == S4REC__INTERACTION__WEIGHTED_WEIGHT && back->weight == 0.25f);
	s4rec__interaction__free_unpacked(back, NULL);

	/* weight 0 is not weight absent */
	ev.weight = 0.0f;
	assert_int_equal(event_encode(buf, sizeof(buf), &len, &ev), 0);
	assert_int_equal(decoder_decode(d, &ev, "u", 1, buf, len, NOW, &why), 0);
	assert_true(ev.weight == 0.0f);
	assert_text(ev.user, ev.user_len, "u");
	decoder_free(d);
}

#define BYTES(s) (s), sizeof(s) - 1

static void test_protobuf_refusals(void **state)
{
	struct decoder *d = make_default();
	char big[300];

	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = 0;
	big[0] = 0x0a, big[1] = (char)(257 & 0x7f) | (char)0x80, big[2] = 2; /* item_id of 257 bytes */

	refuse(d, "u", BYTES(""), NOW, -ENODATA, "no item");
	refuse(d, "u", BYTES("\x1a\x01" "c"), NOW, -ENODATA, "no item");
	refuse(d, NULL, BYTES("\x0a\x01" "i"), NOW, -ENODATA, "no user");
	refuse(d, "", BYTES("\x0a\x01" "i"), NOW, -ENODATA, "no user");
	refuse(d, "u", BYTES("\x0a\x05" "i"), NOW, -EBADMSG, "undecodable");            /* cut off */
	refuse(d, "u", BYTES("\x0a\x03" "a\0b"), NOW, -EBADMSG, "undecodable");         /* a NUL in an id */
	refuse(d, "u", BYTES("\x0a\x02" "\xc3\x28"), NOW, -EBADMSG, "undecodable");     /* not UTF-8 */
	refuse(d, "u", BYTES("\x0a\x02" "\xc0\x80"), NOW, -EBADMSG, "undecodable");     /* overlong NUL */
	refuse(d, "u", BYTES("\x0a\x03" "\xed\xa0\x80"), NOW, -EBADMSG, "undecodable"); /* a surrogate */
	refuse(d, "\xff", BYTES("\x0a\x01" "i"), NOW, -EBADMSG, "undecodable");         /* the key too */
	refuse(d, "u", BYTES("\x08\x01"), NOW, -EBADMSG, "undecodable");                /* item_id as a number */
	refuse(d, "u", BYTES("\x0a\x01" "i\x0b"), NOW, -EBADMSG, "undecodable");        /* a group */
	refuse(d, "u", BYTES("\x0a\x01" "i\x02"), NOW, -EBADMSG, "undecodable");        /* field 0 */
	refuse(d, "u", BYTES("\x0a\x01" "i\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), NOW, -EBADMSG, "undecodable");
	refuse(d, "u", BYTES("not protobuf at all"), NOW, -EBADMSG, "undecodable");
	refuse(d, "u", big, 260, NOW, -E2BIG, "oversized");
	refuse(d, big + 3, BYTES("\x0a\x01" "i"), NOW, -E2BIG, "oversized");
	refuse(d, "u", BYTES("\x0a\x01" "i\x25\x00\x00\xc0\x7f"), NOW, -ERANGE, "bad weight"); /* NaN */
	refuse(d, "u", BYTES("\x0a\x01" "i\x25\x00\x00\x80\x7f"), NOW, -ERANGE, "bad weight"); /* infinite */
	refuse(d, "u", BYTES("\x0a\x01" "i\x25\x00\x00\x80\xbf"), NOW, -ERANGE, "bad weight"); /* -1 */
	refuse(d, "u", BYTES("\x0a\x01" "i\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), NOW, -ERANGE, "absurd time"); /* -1 */
	refuse(d, "u", BYTES("\x0a\x01" "i"), -1, -ERANGE, "no time"); /* nor has the record one */
	decoder_free(d);

	d = make(&(struct decoder_options){ .record_max_bytes = 4 });
	refuse(d, "u", BYTES("\x0a\x03" "iii"), NOW, -E2BIG, "oversized");
	decoder_free(d);
}

static void test_keys_with_nul(void **state)
{
	struct decoder *d = make_default();
	struct event ev;
	const char *why = "";

	assert_int_equal(decoder_decode(d, &ev, "a\0b", 3, "\x0a\x01i", 3, NOW, &why), -EBADMSG);
	assert_int_equal(decoder_decode(d, &ev, "a\0b", 3, NULL, 0, NOW, &why), -EBADMSG);
	assert_string_equal(why, "undecodable");
	decoder_free(d);
}

static void test_unknown_fields_and_repeats(void **state)
{
	struct decoder *d = make_default();
	struct event ev;
	const char *why = "";

	/* fields 9 (varint), 10 (bytes), 11 (fixed64), 12 (fixed32); item twice: the last one counts */
	assert_int_equal(decoder_decode(d, &ev, "u", 1, BYTES("\x0a\x01" "a\x48\x05\x52\x02xx\x59" "12345678\x65" "1234\x0a\x01" "b"), NOW, &why), 0);
	assert_text(ev.item, ev.item_len, "b");
	assert_int_equal(ev.ts_ms, NOW); /* the record's own */
	assert_true(ev.weight == 1.0f);
	decoder_free(d);
}

static void test_time_window(void **state)
{
	struct decoder *d = make(&(struct decoder_options){ .past_max_ms = 1000, .future_max_ms = 10 });
	const struct { int64_t ts; int r; } cases[] = { { NOW, 0 }, { NOW + 10, 0 }, { NOW + 11, -ERANGE }, { NOW - 1000, 0 }, { NOW - 1001, -ERANGE } };

	for (size_t i = 0; i < 5; i++) {
		struct event ev = { .item = "i", .item_len = 1, .ts_ms = cases[i].ts, .weight = 1 };
		const char *why = "";
		uint8_t buf[64];
		size_t len;

		assert_int_equal(event_encode(buf, sizeof(buf), &len, &ev), 0);
		assert_int_equal(decoder_decode(d, &ev, "u", 1, buf, len, NOW, &why), cases[i].r);
		assert_int_equal(decoder_decode(d, &ev, "u", 1, buf, len, -1, &why), 0); /* unknown: 0..9999 only */
		assert_int_equal(decoder_decode(d, &ev, "u", 1, buf, len, INT64_MAX, &why), -ERANGE);
	}
	decoder_free(d);
}

/* time.future=clamp: only what lies too far ahead of its record gets that record's time. */
static void test_future_is_clamped(void **state)
{
	struct decoder *d = make(&(struct decoder_options){ .future_max_ms = 10, .future_clamp = 1, .time_unit = TIME_MS });
	static const struct { const char *time; int64_t record_ms, ms; int clamped; } cases[] = {
		{ "1010", 1000, 1010, 0 }, { "1011", 1000, 1000, 1 }, { "253402300799999", 1000, 1000, 1 }, { "990", 1000, 990, 0 }, { "5000", -1, 5000, 0 },
	};
	char value[64];
	struct event ev;
	const char *why;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int len = snprintf(value, sizeof value, "{\"item\":1,\"time\":%s}", cases[i].time);

		assert_int_equal(decoder_decode(d, &ev, "u", 1, value, (size_t)len, cases[i].record_ms, &why), 0);
		assert_int_equal(ev.ts_ms, cases[i].ms);
		assert_int_equal(ev.clamped, cases[i].clamped);
	}
	refuse(d, "u", BYTES("{\"item\":1,\"time\":1e300}"), 1000, -ERANGE, "absurd time"); /* no time at all */
	refuse(d, "u", BYTES("{\"item\":1,\"time\":-5}"), 1000, -ERANGE, "absurd time");
	decoder_free(d);
}

static void test_forget(void **state)
{
	struct decoder *d = make_default();
	struct event ev;
	const char *why = "";

	assert_int_equal(decode(d, &ev, "u1", NULL, &why), 0);
	assert_int_equal(ev.forget, 1);
	assert_int_equal(ev.ts_ms, NOW);
	assert_text(ev.user, ev.user_len, "u1");
	assert_int_equal(decode(d, &ev, NULL, NULL, &why), -ENODATA);
	assert_string_equal(why, "no user");
	decoder_free(d);
}

/* --- Confluent's framing --- */

#define NO_FRAME "undecodable: expected a Confluent frame (0x00, schema id, message indexes) with protobuf or JSON behind it"
#define OTHER_MESSAGE "undecodable: expected the first message of its Confluent schema"

static void test_framed(void **state)
{
	static const struct { const char *p; size_t len; } good[] = {
		{ BYTES("\0\0\0\0\1\0\x0a\1i") }, { BYTES("\0\0\0\0\1\2\0\x0a\1i") }, { BYTES("\0\0\0\0\1\1\0\x0a\1i") },
		{ BYTES("\0\0\0\0\1{\"item\":\"i\"}") },
	};
	struct decoder *d = make_default();
	struct event ev;
	const char *why = "";

	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(decoder_decode(d, &ev, "u", 1, good[i].p, good[i].len, NOW, &why), 0);
		assert_text(ev.item, ev.item_len, "i");
	}
	refuse(d, "u", BYTES("\0"), NOW, -EBADMSG, NO_FRAME);
	refuse(d, "u", BYTES("\0\0\0\0\1"), NOW, -EBADMSG, NO_FRAME);
	refuse(d, "u", BYTES("\0\0\0\0\1\4\2\0\x0a\1i"), NOW, -EBADMSG, OTHER_MESSAGE);
	refuse(d, "u", BYTES("\0\0\0\0\1\4\0\0\x0a\1i"), NOW, -EBADMSG, OTHER_MESSAGE); /* a message inside the first one */
	refuse(d, "u", BYTES("\0\0\0\0\1\2\2\x0a\1i"), NOW, -EBADMSG, OTHER_MESSAGE);
	refuse(d, "u", BYTES("\0\0\0\0\1\x51\x11\x0a"), NOW, -EBADMSG, NO_FRAME);            /* Avro, say */
	refuse(d, "u", BYTES("\0\0\0\0\1\x80"), NOW, -EBADMSG, NO_FRAME);
	decoder_free(d);
}

/* --- JSON --- */

static void test_json(void **state)
{
	struct decoder *d = make_default();
	struct event ev;
	const char *why = "";

	assert_int_equal(decode(d, &ev, NULL,
	    " \n{\"x\":[{\"item_id\":\"no\"},[1]],\"user_id\":\"ü\\n\",\"item\":\"second\",\"itemId\":18446744073709551617,"
	    "\"time\":\"2023-11-14T22:13:20.5+00:00\",\"event\":\"view\",\"weight\":2.5e-1,\"messageId\":\"m\\u00e9\",\"n\":{\"item_id\":\"no\"}}", &why), 0);
	assert_text(ev.user, ev.user_len, "ü\n");
	assert_text(ev.item, ev.item_len, "18446744073709551617"); /* verbatim, and before item in the list */
	assert_text(ev.type, ev.type_len, "view");
	assert_text(ev.event_id, ev.event_id_len, "mé");
	assert_int_equal(ev.ts_ms, NOW + 500);
	assert_true(ev.weight == 0.25f);

	/* null counts as absent; empty strings too for type; the key goes before the field */
	assert_int_equal(decode(d, &ev, "key", "{\"item_id\":null,\"item\":\"i\",\"type\":\"\",\"user_id\":\"field\"}", &why), 0);
	assert_text(ev.user, ev.user_len, "key");
	assert_text(ev.item, ev.item_len, "i");
	assert_int_equal(ev.type_len, 0);
	assert_int_equal(ev.ts_ms, NOW);

	/* the last of two equal names */
	assert_int_equal(decode(d, &ev, "k", "{\"item\":\"a\",\"item\":\"b\"}", &why), 0);
	assert_text(ev.item, ev.item_len, "b");
	decoder_free(d);
}

static void test_json_times(void **state)
{
	static const struct { const char *text; int64_t ts; } cases[] = {
		{ "1700000000", NOW }, { "1700000000000", NOW }, { "1700000000000000", NOW }, { "1700000000.25", NOW + 250 },
		{ "1.7e9", NOW }, { "\"1700000000\"", NOW }, { "\"2023-11-14 22:13:20Z\"", NOW }, { "\"2023-11-14\"", NOW - 80000000 },
	};
	struct decoder *d = make_default();
	char json[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct event ev;
		const char *why = "";

		snprintf(json, sizeof(json), "{\"item\":1,\"time\":%s}", cases[i].text);
		assert_int_equal(decode(d, &ev, "u", json, &why), 0);
		assert_int_equal(ev.ts_ms, cases[i].ts);
	}
	decoder_free(d);
}

static void test_json_refusals(void **state)
{
	char deep[300];
	size_t n;

	refuse_json("u", "{\"item\":\"i\"", -EBADMSG, "undecodable");
	refuse_json("u", "{\"item\":\"i\"} x", -EBADMSG, "undecodable");
	refuse_json("u", "{\"item\":\"i\"}{}", -EBADMSG, "undecodable");
	refuse_json("u", "[1]", -EBADMSG, "undecodable");
	refuse_json("u", "{\"item\":\"\xc3\x28\"}", -EBADMSG, "undecodable");
	refuse_json("u", "{\"item\":\"a\\u0000b\"}", -EBADMSG, "undecodable");
	refuse_json("u", "{\"item\":1.5}", -EBADMSG, "undecodable");
	refuse_json("u", "{\"item\":true}", -EBADMSG, "undecodable");
	refuse_json("u", "{\"item\":[\"i\"]}", -EBADMSG, "undecodable");
	refuse_json("u", "{\"item\":{}}", -EBADMSG, "undecodable");
	refuse_json("u", "{\"item\":1,\"weight\":\"2\"}", -EBADMSG, "undecodable");
	refuse_json("u", "{\"item\":1,\"time\":\"yesterday\"}", -EBADMSG, "undecodable");
	refuse_json("u", "{\"item\":1,\"time\":true}", -EBADMSG, "undecodable");
	refuse_json("u", "{\"item\":\"\"}", -ENODATA, "no item");
	refuse_json("u", "{}", -ENODATA, "no item");
	refuse_json(NULL, "{\"item\":1}", -ENODATA, "no user");
	refuse_json("u", "{\"item\":1,\"weight\":-1}", -ERANGE, "bad weight");
	refuse_json("u", "{\"item\":1,\"weight\":1e999}", -ERANGE, "bad weight");
	refuse_json("u", "{\"item\":1,\"time\":1e300}", -ERANGE, "absurd time");
	refuse_json("u", "{\"item\":1,\"time\":-5}", -ERANGE, "absurd time");
	refuse_json("u", "{\"item\":1,\"time\":\"2099-01-01\"}", -ERANGE, "absurd time");

	n = (size_t)snprintf(deep, sizeof(deep), "{\"item\":1,\"x\":");
	memset(deep + n, '[', 40);
	memset(deep + n + 40, ']', 40);
	strcpy(deep + n + 80, "}");
	refuse_json("u", deep, -EBADMSG, "undecodable");
}

/* 0x0a is a newline and the tag of item_id; 0x7b is '{' and a length of 123. */
static void test_auto_tells_newline_from_item_tag(void **state)
{
	struct decoder *d = make_default();
	struct event ev;
	const char *why = "";
	char value[125];

	memset(value, 'x', sizeof(value));
	value[0] = '\n', value[1] = '{';
	assert_int_equal(decoder_decode(d, &ev, "u", 1, value, sizeof(value), NOW, &why), 0);
	assert_int_equal(ev.item_len, 123);

	memset(value, ' ', sizeof(value));
	memcpy(value, "\n{\"item\":\"i\"", 12);
	value[124] = '}';
	assert_int_equal(decoder_decode(d, &ev, "u", 1, value, sizeof(value), NOW, &why), 0);
	assert_text(ev.item, ev.item_len, "i");
	decoder_free(d);
}

static void assert_texts(const struct event_text got[EVENT_ATTRIBUTES_MAX], const char *a, const char *b, const char *c, const char *d)
{
	const char *want[] = { a, b, c, d };
	for (int i = 0; i < EVENT_ATTRIBUTES_MAX; i++)
		assert_text(got[i].len ? got[i].s : "", got[i].len, want[i]);
}

static void assert_attributes(const struct event *ev, const char *a, const char *b, const char *c, const char *d)
{
	assert_texts(ev->attribute, a, b, c, d);
	assert_texts(ev->item_attribute, "", "", "", "");
}

/* By path from JSON, by place from protobuf; what is not said keeps its place. */
static void test_attributes(void **state)
{
	struct decoder *d = make(&(struct decoder_options){ .attribute_paths = "device|agent.device,country,age", .id_max_bytes = 5 }), *bad;
	struct event ev, got;
	const char *why = "", *json = "{\"item\":\"i\",\"time\":1,\"agent\":{\"device\":\"tv\"},\"country\":null,\"age\":31}";
	S4rec__Interaction *m;
	uint8_t buf[64];
	size_t len;

	assert_int_equal(decode(d, &ev, "u", json, &why), 0);
	assert_attributes(&ev, "tv", "", "31", "");
	assert_int_equal(event_encode(buf, sizeof buf, &len, &ev), 0);
	m = s4rec__interaction__unpack(NULL, len, buf);
	assert_non_null(m);
	assert_int_equal(m->n_user_attribute, 3);
	assert_string_equal(m->user_attribute[0], "tv");
	assert_string_equal(m->user_attribute[1], "");
	assert_string_equal(m->user_attribute[2], "31");
	assert_int_equal(s4rec__interaction__get_packed_size(m), len);
	s4rec__interaction__free_unpacked(m, NULL);
	assert_int_equal(decoder_decode(d, &got, "u", 1, buf, len, NOW, &why), 0);
	assert_attributes(&got, "tv", "", "31", "");

	assert_int_equal(decoder_decode(d, &ev, "u", 1, BYTES("\x0a\x01" "i\x3a\x01" "a\x3a\x00\x3a\x01" "c\x3a\x01" "d\x3a\x01" "e"), NOW, &why), 0);
	assert_attributes(&ev, "a", "", "c", "d"); /* a fifth counts for nothing */
	assert_int_equal(decode(d, &ev, "u", "{\"item\":\"i\",\"time\":1}", &why), 0);
	assert_attributes(&ev, "", "", "", "");
	refuse(d, "u", BYTES("{\"item\":\"i\",\"time\":1,\"device\":\"toaster\"}"), NOW, -E2BIG, "oversized");
	refuse(d, "u", BYTES("{\"item\":\"i\",\"time\":1,\"device\":true}"), NOW, -EBADMSG, "undecodable");
	refuse(d, "u", BYTES("\x0a\x01" "i\x3a\x01\xff"), NOW, -EBADMSG, "undecodable");
	refuse(d, "u", BYTES("\x0a\x01" "i\x38\x01"), NOW, -EBADMSG, "undecodable"); /* another wire type */
	decoder_free(d);

	assert_int_equal(decoder_new(&bad, &(struct decoder_options){ .attribute_paths = "a,b,c,d,e" }, &why), -EINVAL);
	assert_string_equal(why, "more than four attributes");
	assert_int_equal(decoder_new(&bad, &(struct decoder_options){ .attribute_paths = "a,,b" }, &why), -EINVAL);
	assert_int_equal(decoder_new(&bad, &(struct decoder_options){ .attribute_paths = "a," }, &why), -EINVAL);
}

/* Beside those of the user, and one field may be both. */
static void test_item_attributes(void **state)
{
	const struct decoder_options o = { .attribute_paths = "device,shop", .item_attribute_paths = "item.category|category,brand,shop", .id_max_bytes = 6 };
	struct decoder *d = make(&o), *bad;
	struct event ev, got;
	const char *why = "", *json = "{\"id\":1,\"item_id\":\"i\",\"time\":1,\"device\":\"tv\",\"shop\":7,\"category\":\"shoes\"}";
	S4rec__Interaction *m;
	uint8_t buf[64];
	size_t len;

	assert_int_equal(decode(d, &ev, "u", json, &why), 0);
	assert_texts(ev.attribute, "tv", "7", "", "");
	assert_texts(ev.item_attribute, "shoes", "", "7", "");
	assert_int_equal(event_encode(buf, sizeof buf, &len, &ev), 0);
	m = s4rec__interaction__unpack(NULL, len, buf);
	assert_non_null(m);
	assert_int_equal(m->n_user_attribute, 2);
	assert_int_equal(m->n_item_attribute, 3);
	assert_string_equal(m->item_attribute[0], "shoes");
	assert_string_equal(m->item_attribute[1], "");
	assert_string_equal(m->item_attribute[2], "7");
	assert_int_equal(s4rec__interaction__get_packed_size(m), len);
	s4rec__interaction__free_unpacked(m, NULL);
	assert_int_equal(decoder_decode(d, &got, "u", 1, buf, len, NOW, &why), 0);
	assert_texts(got.attribute, "tv", "7", "", "");
	assert_texts(got.item_attribute, "shoes", "", "7", "");

	assert_int_equal(decoder_decode(d, &ev, "u", 1, BYTES("\x0a\x01" "i\x42\x01" "a\x42\x00\x42\x01" "c\x42\x01" "d\x42\x01" "e"), NOW, &why), 0);
	assert_texts(ev.item_attribute, "a", "", "c", "d"); /* a fifth counts for nothing */
	refuse(d, "u", BYTES("{\"item_id\":\"i\",\"time\":1,\"brand\":\"longest\"}"), NOW, -E2BIG, "oversized");
	refuse(d, "u", BYTES("{\"item_id\":\"i\",\"time\":1,\"brand\":[\"a\"]}"), NOW, -EBADMSG, "undecodable");
	refuse(d, "u", BYTES("{\"item_id\":\"i\",\"time\":1,\"brand\":1.5}"), NOW, -EBADMSG, "undecodable");
	refuse(d, "u", BYTES("\x0a\x01" "i\x42\x01\xff"), NOW, -EBADMSG, "undecodable");
	refuse(d, "u", BYTES("\x0a\x01" "i\x40\x01"), NOW, -EBADMSG, "undecodable"); /* another wire type */
	decoder_free(d);

	assert_int_equal(decoder_new(&bad, &(struct decoder_options){ .item_attribute_paths = "a,b,c,d,e" }, &why), -EINVAL);
	assert_string_equal(why, "more than four attributes");
}

static void test_mapping(void **state)
{
	struct decoder *d = make(&(struct decoder_options){ .format = EVENT_JSON, .user_path = "userId|anonymousId",
	    .item_path = "properties.product.id|properties.product_id", .time_path = "originalTimestamp|timestamp", .time_unit = TIME_S });
	struct decoder *bad;
	struct event ev;
	const char *why = "";

	assert_int_equal(decode(d, &ev, NULL, "{\"anonymousId\":\"a-1\",\"properties\":{\"product_id\":\"p\",\"product\":{\"x\":1}},\"timestamp\":12}", &why), 0);
	assert_text(ev.user, ev.user_len, "a-1");
	assert_text(ev.item, ev.item_len, "p");
	assert_int_equal(ev.ts_ms, 12000);
	assert_int_equal(decode(d, &ev, NULL, "{\"userId\":1,\"anonymousId\":\"a-1\",\"properties\":{\"product_id\":\"p\",\"product\":{\"id\":-3}}}", &why), 0);
	assert_text(ev.user, ev.user_len, "1");
	assert_text(ev.item, ev.item_len, "-3");
	decoder_free(d);

	assert_int_equal(decoder_new(&bad, &(struct decoder_options){ .item_path = "a..b" }, &why), -EINVAL);
	assert_int_equal(decoder_new(&bad, &(struct decoder_options){ .item_path = "" }, &why), -EINVAL);
	assert_int_equal(decoder_new(&bad, &(struct decoder_options){ .item_path = "a|" }, &why), -EINVAL);
	assert_int_equal(decoder_new(&bad, &(struct decoder_options){ .item_path = "a.b.c.d.e.f.g.h.i" }, &why), -EINVAL);
	decoder_free(NULL);
}

/* Values as large as allowed, all escapes: the arena holds them or says "oversized", and the next record is fine. */
static void test_large_json(void **state)
{
	struct decoder *d = make(&(struct decoder_options){ .id_max_bytes = 60000 });
	static char json[65536];
	struct event ev;
	const char *why = "";
	size_t n = (size_t)sprintf(json, "{\"item\":\"");

	while (n < 65500)
		memcpy(json + n, "\\n", 2), n += 2;
	strcpy(json + n, "\"}");
	assert_int_equal(decode(d, &ev, "u", json, &why), 0);
	assert_true(ev.item_len > 32000 && ev.item[0] == '\n' && ev.item[ev.item_len - 1] == '\n');

	n = (size_t)sprintf(json, "{\"item\":1");
	while (n < 65500)
		n += (size_t)sprintf(json + n, ",\"item\":\"\\n\"");
	strcpy(json + n, "}");
	assert_int_equal(decode(d, &ev, "u", json, &why), 0);
	assert_text(ev.item, ev.item_len, "\n");
	decoder_free(d);
}

static void test_no_malloc_per_event(void **state)
{
	size_t at_start = allocations;
	struct decoder *d = make(&(struct decoder_options){ .item_path = "item_id|item|many[]", .type_weights = "t:2" });
	static const struct event_header cloud[] = { { "ce_specversion", "1.0", 3 }, { "ce_id", "1", 1 }, { "ce_source", "s", 1 }, { "ce_type", "t", 1 } };
	static const struct event_header wrapped = { "content-type", "application/cloudevents+json", 28 };
	const char *envelope = "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"\\/\",\"type\":\"t\",\"data_base64\":\"eyJtYW55IjpbMSwyXX0=\"}"; /* {"many":[1,2]} */
	struct event_source binary = { .key = "u", .key_len = 1, .value = "\0\0\0\0\1\0\x0a\x01i", .value_len = 9, .record_ts_ms = NOW, .headers = cloud, .header_count = 4 };
	struct event_source structured = { .key = "u", .key_len = 1, .value = envelope, .value_len = strlen(envelope), .record_ts_ms = NOW, .headers = &wrapped, .header_count = 1 };
	const char *json = "{\"user_id\":\"u\\n\",\"item_id\":\"i\\u00e9\",\"weight\":1.25e-3,\"time\":\"2023-11-14T22:13:20Z\",\"p\":{\"q\":[1,{\"r\":null}]}}";
	struct event ev;
	const char *why = "";
	size_t before = allocations, failures = 0;

	for (int i = 0; i < 1000; i++) {
		failures += decode(d, &ev, NULL, json, &why) != 0;
		failures += decode(d, &ev, "u", "{\"item\":", &why) != -EBADMSG;
		failures += decode(d, &ev, "u", "\x0a\x01i\x10\x05", &why) != 0;
		failures += decode(d, &ev, "u", "\x0a\x7fi", &why) != -EBADMSG;
		failures += decoder_decode_from(d, &ev, &binary, &why) != 0;
		failures += decoder_decode_from(d, &ev, &structured, &why) != 0 || decoder_more(d, &ev) != 1 || decoder_more(d, &ev) != 0;
	}
#if !defined(__SANITIZE_ADDRESS__)
	assert_true(before > at_start); /* the counter counts */
#else
	assert_true(before == at_start);
#endif
	assert_int_equal(allocations, before);
	assert_int_equal(failures, 0);
	decoder_free(d);
}

/* Every single-byte damage of good records decodes or fails with one of the reasons. */
static void test_damage(void **state)
{
	static const char *const reasons[] = { "undecodable", "oversized", "no user", "no item", "no time", "absurd time", "bad weight" };
	static const char good[2][64] = { "{\"item\":\"\\u00e9\",\"weight\":1.5,\"time\":1700000000}", "\x0a\x04item\x10\x80\xd0\x95\xff\xbc\x31\x1a\x01t\x25zzzz\x32\x01u" };
	struct decoder *d = make_default();

	for (int k = 0; k < 2; k++) {
		for (size_t i = 0; i < strlen(good[k]); i++) {
			for (int b = 0; b < 256; b++) {
				struct event ev;
				const char *why = "";
				char value[64];
				int known = 0;

				memcpy(value, good[k], 64);
				value[i] = (char)b;
				if (decoder_decode(d, &ev, "u", 1, value, strlen(good[k]), NOW, &why) == 0)
					continue;
				for (int j = 0; j < 7; j++)
					known |= strncmp(why, reasons[j], strlen(reasons[j])) == 0;
				assert_true(known);
			}
		}
	}
	decoder_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_protobuf_roundtrip), cmocka_unit_test(test_protobuf_is_the_schema),
		cmocka_unit_test(test_protobuf_refusals), cmocka_unit_test(test_keys_with_nul),
		cmocka_unit_test(test_attributes), cmocka_unit_test(test_item_attributes), cmocka_unit_test(test_unknown_fields_and_repeats), cmocka_unit_test(test_time_window),
		cmocka_unit_test(test_future_is_clamped), cmocka_unit_test(test_forget),
		cmocka_unit_test(test_framed), cmocka_unit_test(test_json), cmocka_unit_test(test_json_times),
		cmocka_unit_test(test_json_refusals), cmocka_unit_test(test_auto_tells_newline_from_item_tag),
		cmocka_unit_test(test_mapping), cmocka_unit_test(test_large_json), cmocka_unit_test(test_no_malloc_per_event),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
