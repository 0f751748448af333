/* test_event_envelope.c - what stands around events: Confluent's frames and headers, CloudEvents in both modes; each wrong one says what was expected. */
#include "tests/codec/check.h"

#include "codec/event.h"
#include "codec/event_private.h"

#define NOW 1700000000000
#define BYTES(s) (s), sizeof(s) - 1

static struct decoder *make(enum event_format format)
{
	struct decoder *d = NULL;
	const char *why = "";

	assert_int_equal(decoder_new(&d, &(struct decoder_options){ .format = format }, &why), 0);
	return d;
}

static struct event ev;
static const char *why;

/* Headers as name, value, name, value; NULL ends them. */
static int decode(struct decoder *d, const char *value, size_t len, const char *const *headers)
{
	struct event_header all[8];
	struct event_source in = { .key = "u", .key_len = 1, .value = value, .value_len = len, .record_ts_ms = NOW, .headers = all };

	for (; headers && *headers; headers += 2)
		all[in.header_count++] = (struct event_header){ headers[0], headers[1], headers[1] ? strlen(headers[1]) : 0 };
	why = "";
	return decoder_decode_from(d, &ev, &in, &why);
}

static void takes(struct decoder *d, const char *value, size_t len, const char *const *headers)
{
	if (decode(d, value, len, headers) < 0)
		fail_msg("%s: %.*s", why, (int)len, value);
	assert_text(ev.item, ev.item_len, "i");
}

static void refuses(struct decoder *d, const char *value, size_t len, const char *const *headers, const char *reason)
{
	if (decode(d, value, len, headers) == 0 || strcmp(why, reason))
		fail_msg("expected %s, got %s for %.*s", reason, why, (int)len, value);
}

static void test_confluent(void **state)
{
	struct decoder *d = make(EVENT_CONFLUENT);

	takes(d, BYTES("\0\0\0\0\1\0\x0a\1i"), NULL);
	takes(d, BYTES("\0\0\0\0\1\2\0\x0a\1i"), NULL);
	takes(d, BYTES("\0\0\0\0\1\1\0\x0a\1i"), NULL);
	takes(d, BYTES("\0\xff\xff\xff\xff \n{\"item\":\"i\"}"), NULL);
	refuses(d, BYTES("\x0a\1i"), NULL, why_no_frame);
	refuses(d, BYTES("{\"item\":\"i\"}"), NULL, why_no_frame);
	refuses(d, BYTES(""), NULL, why_no_frame);
	refuses(d, BYTES("\0\0\0\0"), NULL, why_no_frame);
	refuses(d, BYTES("\0\0\0\0\1\x80\x80"), NULL, why_no_frame);
	refuses(d, BYTES("\0\0\0\0\1\2\4\x0a\1i"), NULL, why_other_message);
	decoder_free(d);
}

/* The schema's id in a header: then nothing stands before the body. */
static void test_confluent_headers(void **state)
{
	struct decoder *d = make(EVENT_CONFLUENT), *any = make(EVENT_AUTO);
	struct event_header h = { "__value_schema_id", NULL, 0 };
	struct event_source in = { .key = "u", .key_len = 1, .value = "\x0a\1i", .value_len = 3, .record_ts_ms = NOW, .headers = &h, .header_count = 1 };
	static const struct { const char *s; size_t len; const char *why; } ids[] = {
		{ BYTES("\1" "0123456789abcdef"), NULL }, { BYTES("\0" "\0\0\0\7"), NULL }, { BYTES("\1" "0123456789abcdef" "\0"), NULL },
		{ BYTES("\1" "0123456789abcdef" "\2\0"), NULL }, { BYTES("\1" "0123456789abcdef" "\2\2"), why_schema_header },
		{ BYTES("\1" "0123456789abcdef" "\0\0"), why_schema_header }, { BYTES("\1" "0123456789abcde"), why_schema_header }, { BYTES("\2" "0123"), why_schema_header },
		{ BYTES("\0" "\0\0\0"), why_schema_header },
	};

	for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
		h.value = ids[i].s, h.len = ids[i].len;
		for (int k = 0; k < 2; k++) {
			why = "";
			assert_int_equal(decoder_decode_from(k ? d : any, &ev, &in, &why), ids[i].why ? -EBADMSG : 0);
			assert_string_equal(why, ids[i].why ? ids[i].why : "");
		}
	}
	h.value = NULL, h.len = 0;
	assert_int_equal(decoder_decode_from(d, &ev, &in, &why), -EBADMSG);
	assert_string_equal(why, why_no_frame);
	decoder_free(d);
	decoder_free(any);
}

static const char *const binary[] = { "ce_specversion", "1.0", "ce_id", "7", "ce_source", "/shop", "ce_type", "viewed", "ce_time", "2023-11-14T22:13:20.5Z",
	"content-type", "application/json", "ce_subject", "x", NULL };

static void test_binary_mode(void **state)
{
	struct decoder *d = make(EVENT_CLOUDEVENTS), *any = make(EVENT_AUTO), *json = make(EVENT_JSON);

	for (int k = 0; k < 2; k++) {
		takes(k ? d : any, BYTES("{\"item\":\"i\"}"), binary);
		assert_text(ev.event_id, ev.event_id_len, "/shop 7");
		assert_text(ev.type, ev.type_len, "viewed");
		assert_int_equal(ev.ts_ms, NOW + 500);

		/* what the data say goes first; they may be protobuf, in a frame, too */
		takes(k ? d : any, BYTES("{\"item\":\"i\",\"event_id\":\"own\",\"type\":\"bought\",\"time\":1600000000}"), binary);
		assert_text(ev.event_id, ev.event_id_len, "own");
		assert_text(ev.type, ev.type_len, "bought");
		assert_int_equal(ev.ts_ms, 1600000000000);
		takes(k ? d : any, BYTES("\0\0\0\0\1\0\x0a\1i"), binary);
		assert_text(ev.type, ev.type_len, "viewed");
	}
	takes(json, BYTES("{\"item\":\"i\"}"), binary); /* no headers are looked at */
	assert_int_equal(ev.event_id_len, 0);
	decoder_free(d);
	decoder_free(any);
	decoder_free(json);
}

/* A binary event with one header changed, or left out where value is NULL. */
static void changed(struct decoder *d, const char *name, const char *value, const char *reason)
{
	const char *headers[16];
	size_t n = 0;

	for (const char *const *h = binary; *h; h += 2) {
		headers[n] = h[0], headers[n + 1] = strcmp(h[0], name) ? h[1] : value;
		n += headers[n + 1] ? 2 : 0;
	}
	headers[n] = NULL;
	refuses(d, BYTES("{\"item\":\"i\"}"), headers, reason);
}

static void test_binary_refusals(void **state)
{
	struct decoder *d = make(EVENT_CLOUDEVENTS);
	static char source[260];

	changed(d, "ce_specversion", "0.3", why_cloudevents_version);
	changed(d, "ce_id", NULL, why_no_cloudevent);
	changed(d, "ce_id", "", why_no_cloudevent);
	changed(d, "ce_source", NULL, why_no_cloudevent);
	changed(d, "ce_type", NULL, why_no_cloudevent);
	changed(d, "ce_time", "noon", why_cloudevents_time);
	changed(d, "ce_time", "2099-01-01T00:00:00Z", "absurd time");
	changed(d, "ce_type", "\xff", "undecodable");
	changed(d, "ce_specversion", NULL, why_no_cloudevent); /* taken for an envelope that lost its content-type */
	changed(d, "content-type", "application/cloudevents+avro", why_cloudevents_kind);
	changed(d, "content-type", "application/cloudevents-batch+json", why_cloudevents_kind);
	for (size_t n = 254; n < 258; n++) { /* source, a blank, id: 256 bytes at most */
		memset(source, 's', n);
		source[n] = 0;
		const char *const long_one[] = { "ce_specversion", "1.0", "ce_id", "7", "ce_source", source, "ce_type", "t", NULL };
		if (n == 254)
			takes(d, BYTES("{\"item\":\"i\"}"), long_one);
		else
			refuses(d, BYTES("{\"item\":\"i\"}"), long_one, "oversized");
	}
	refuses(d, BYTES("{\"item\":"), binary, "undecodable");
	decoder_free(d);
}

#define ENVELOPE "{\"specversion\":\"1.0\",\"id\":\"7\",\"source\":\"\\/shop\",\"type\":\"viewed\",\"time\":\"2023-11-14T22:13:20.5+00:00\","

static void test_structured_mode(void **state)
{
	static const char *const headers[] = { "Content-Type", "application/cloudevents+json; charset=UTF-8", NULL };
	struct decoder *d = make(EVENT_CLOUDEVENTS), *any = make(EVENT_AUTO);

	for (int k = 0; k < 3; k++) {
		struct decoder *x = k ? d : any;
		const char *const *h = k == 2 ? NULL : headers;

		takes(x, BYTES(ENVELOPE "\"item\":\"no\",\"data\":{\"item\":\"i\",\"id\":1,\"n\":{\"item\":2}}}"), h);
		assert_text(ev.event_id, ev.event_id_len, "/shop 7");
		assert_text(ev.type, ev.type_len, "viewed");
		assert_int_equal(ev.ts_ms, NOW + 500);
		takes(x, BYTES("{\"data\":{\"time\":1600000000,\"event\":\"bought\",\"item\":\"i\"}," "\"specversion\":\"1.0\",\"id\":\"7\",\"source\":\"s\",\"type\":\"t\"}"), h);
		assert_text(ev.type, ev.type_len, "bought");
		assert_int_equal(ev.ts_ms, 1600000000000);
		takes(x, BYTES(ENVELOPE "\"data_base64\":\"CgFp\"}"), h);                         /* protobuf */
		takes(x, BYTES(ENVELOPE "\"data_base64\":\"eyJpdGVtIjoiaSJ9\"}"), h);             /* {"item":"i"} */
		takes(x, BYTES(ENVELOPE "\"data_base64\":\"IHsiaXRlbSI6ImkifQ==\"}"), h);
		assert_text(ev.event_id, ev.event_id_len, "/shop 7");
		refuses(x, BYTES(ENVELOPE "\"data_base64\":\"CgFp=\"}"), h, why_base64);
		refuses(x, BYTES(ENVELOPE "\"data_base64\":\"C-Fp\"}"), h, why_base64);
		refuses(x, BYTES(ENVELOPE "\"data_base64\":\"C=Fp\"}"), h, why_base64);
		refuses(x, BYTES(ENVELOPE "\"data_base64\":7}"), h, why_no_cloudevent);
		refuses(x, BYTES(ENVELOPE "\"data\":[1]}"), h, "no item");
		refuses(x, BYTES(ENVELOPE "\"data\":\"i\"}"), h, "no item");
		refuses(x, BYTES(ENVELOPE "\"x\":1}"), h, "no item");
		refuses(x, BYTES(ENVELOPE), h, why_no_cloudevent);
		refuses(x, BYTES("{\"item\":\"i\"}"), h, why_no_cloudevent);
		refuses(x, BYTES("\x0a\1i"), h, why_no_cloudevent);
	}
	takes(any, BYTES("{\"specversion\":\"1.0\",\"item\":\"i\"}"), NULL); /* without the header it is JSON like other JSON */
	decoder_free(d);
	decoder_free(any);
}

/* A null value forgets, whatever its headers say. */
/* A null value forgets a user; but a CloudEvent without data has one, too. */
static void test_no_data_is_no_forget(void **state)
{
	const enum event_format formats[] = { EVENT_AUTO, EVENT_CLOUDEVENTS };

	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
		struct decoder *d = make(formats[i]);

		assert_true(decode(d, NULL, 0, binary) < 0);
		assert_string_equal(why, "no item");
		assert_int_equal(decode(d, NULL, 0, NULL), 0);
		assert_int_equal(ev.forget, 1);
		decoder_free(d);
	}
}

/* A topic may hold types in formats that are none of ours. */
static void test_an_ignored_type_needs_no_readable_data(void **state)
{
	const char *header[] = { "ce_specversion", "1.0", "ce_id", "7", "ce_source", "/shop", "ce_type", "refund", NULL };
	struct decoder *d = NULL;

	assert_int_equal(decoder_new(&d, &(struct decoder_options){ .format = EVENT_AUTO, .type_weights = "refund:ignore" }, &why), 0);
	assert_int_equal(decode(d, BYTES("<xml/>"), header), 0);
	assert_int_equal(ev.ignored, 1);
	assert_int_equal(decode(d, NULL, 0, header), 0);
	assert_int_equal(ev.ignored, 1);
	header[7] = "viewed";
	assert_true(decode(d, BYTES("<xml/>"), header) < 0);
	decoder_free(d);
}

static void test_base64(void **state)
{
	static const char *const good[] = { "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" }; /* RFC 4648, section 10 */
	static const char *const bad[] = { "Z", "Zg=", "Zg", "====", "Z===", "Zm9v\n", "Zm 8", "Zm9\xff" };
	uint8_t buf[16];
	size_t n;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_int_equal(base64_decode(buf, &n, good[i], strlen(good[i])), 0);
		assert_text((char *)buf, n, ((const char *[]){ "", "f", "fo", "foo", "foob", "fooba", "foobar" })[i]);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(base64_decode(buf, &n, bad[i], strlen(bad[i])), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_confluent), cmocka_unit_test(test_confluent_headers), cmocka_unit_test(test_binary_mode),
		cmocka_unit_test(test_binary_refusals), cmocka_unit_test(test_structured_mode), cmocka_unit_test(test_no_data_is_no_forget),
		cmocka_unit_test(test_an_ignored_type_needs_no_readable_data),
		cmocka_unit_test(test_base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
