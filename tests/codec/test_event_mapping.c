/* test_event_mapping.c - paths and their alternatives, arrays that give several events, what a type counts. */
#include "tests/codec/check.h"

#include "codec/delimited.h"
#include "codec/event.h"

#define NOW 1700000000000

static struct decoder *make(const struct decoder_options *o)
{
	struct decoder *d = NULL;
	const char *why = "";

	if (decoder_new(&d, o, &why) < 0)
		fail_msg("%s", why);
	return d;
}

static void refuse_options(const struct decoder_options *o, const char *part)
{
	struct decoder *d = NULL;
	const char *why = "";

	assert_int_equal(decoder_new(&d, o, &why), -EINVAL);
	if (!strstr(why, part))
		fail_msg("'%s' is not in: %s", part, why);
}

/* The events of a record as "item*weight id;...", ignored ones as "-", a refusal as its reason. */
static const char *read_all(struct decoder *d, const char *json)
{
	static char all[65536];
	struct event ev;
	const char *why = "";
	size_t n = 0;

	if (decoder_decode(d, &ev, "u", 1, json, strlen(json), NOW, &why) < 0)
		return why;
	if (ev.ignored)
		return decoder_more(d, &ev) ? "more than nothing" : "-";
	do
		n += (size_t)snprintf(all + n, sizeof all - n, "%s%.*s*%g%s%.*s", n ? ";" : "", (int)ev.item_len, ev.item, (double)ev.weight,
		                      ev.event_id_len ? " " : "", (int)ev.event_id_len, ev.event_id);
	while (decoder_more(d, &ev));
	return all;
}

static void test_alternatives(void **state)
{
	struct decoder *d = make(&(struct decoder_options){ .user_path = "user_id,userId, context.user.id", .item_path = "a.b|c" });
	struct event ev;
	const char *why;

	static const struct { const char *json, *user, *item; } cases[] = {
		{ "{\"c\":\"1\",\"context\":{\"user\":{\"id\":\"x\"}},\"userId\":\"y\"}", "y", "1" },
		{ "{\"c\":\"1\",\"a\":{\"b\":\"2\"},\"context\":{\"user\":{\"id\":\"x\"}},\"userId\":null}", "x", "2" },
		{ "{\"c\":\"1\",\"user_id\":\"z\",\"userId\":\"y\"}", "z", "1" }, { "{\"c\":1}", "u", "1" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(decoder_decode(d, &ev, "u", 1, cases[i].json, strlen(cases[i].json), NOW, &why), 0);
		assert_text(ev.user, ev.user_len, cases[i].user);
		assert_text(ev.item, ev.item_len, cases[i].item);
	}
	decoder_free(d);
}

static const struct decoder_options order = {
	.item_path = "properties.products[].product_id,properties.product_id", .weight_path = "properties.products[].quantity,properties.quantity",
};

static void test_arrays(void **state)
{
	struct decoder *d = make(&order);

	/* each element an event, of the record's user, time and id; what an element lacks is the record's or nobody's */
	assert_string_equal(read_all(d, "{\"messageId\":\"m\",\"properties\":{\"products\":[{\"product_id\":\"a\",\"quantity\":2},{\"product_id\":7,\"x\":[{\"product_id\":1}]},"
	                                "{\"y\":{\"product_id\":1},\"product_id\":\"a\",\"quantity\":0.5}]}}"), "a*2 m;7*1 m#1;a*0.5 m#2");
	assert_string_equal(read_all(d, "{\"properties\":{\"products\":[{\"product_id\":\"a\"},{\"product_id\":\"b\"}],\"quantity\":3}}"), "a*3;b*3");
	assert_string_equal(read_all(d, "{\"messageId\":\"m\",\"properties\":{\"products\":[{\"product_id\":\"a\"}]}}"), "a*1 m");

	/* no array, or nothing in it: the other alternative; two arrays of a name: the last one */
	assert_string_equal(read_all(d, "{\"properties\":{\"product_id\":\"p\"}}"), "p*1");
	assert_string_equal(read_all(d, "{\"properties\":{\"products\":[],\"product_id\":\"p\"}}"), "p*1");
	assert_string_equal(read_all(d, "{\"properties\":{\"products\":{\"product_id\":\"x\"},\"product_id\":\"p\"}}"), "p*1");
	assert_string_equal(read_all(d, "{\"properties\":{\"products\":[{\"product_id\":\"a\",\"quantity\":9},{\"product_id\":\"b\"}],\"products\":[{\"product_id\":\"c\"}]}}"), "c*1");
	assert_string_equal(read_all(d, "{\"properties\":{\"products\":[null,{\"product_id\":\"b\"}],\"product_id\":\"p\"}}"), "p*1;b*1");

	/* one bad element makes the record bad */
	assert_string_equal(read_all(d, "{\"properties\":{\"products\":[{\"product_id\":\"a\"},{}]}}"), "no item");
	assert_string_equal(read_all(d, "{\"properties\":{\"products\":[{\"product_id\":\"a\"},3]}}"), "no item");
	assert_string_equal(read_all(d, "{\"properties\":{\"products\":[{\"product_id\":\"a\"},{\"product_id\":true}]}}"), "undecodable");
	assert_string_equal(read_all(d, "{\"properties\":{\"products\":[{\"product_id\":\"a\"},{\"product_id\":\"b\",\"quantity\":-1}]}}"), "bad weight");
	assert_string_equal(read_all(d, "{\"properties\":{\"products\":[]}}"), "no item");
	decoder_free(d);
}

static void test_plain_arrays_side_by_side(void **state)
{
	struct decoder *d = make(&(struct decoder_options){ .item_path = "id|items[]", .weight_path = "weights[]", .time_path = "at[]" });
	struct event ev;
	const char *why = "", *json = "{\"items\":[\"a\",\"b\"],\"at\":[1600000000,1600000001]}";

	assert_string_equal(read_all(d, "{\"weights\":[1,2],\"items\":[\"a\",\"b\",3]}"), "a*1;b*2;3*1");
	assert_string_equal(read_all(d, "{\"weights\":[1,2],\"items\":[\"a\"]}"), "a*1");
	assert_string_equal(read_all(d, "{\"weights\":[5],\"items\":[\"a\",\"b\"],\"id\":\"one\"}"), "one*1"); /* the item is none of them, so nothing is */
	assert_string_equal(read_all(d, "{\"items\":[[\"a\"]]}"), "undecodable");
	assert_string_equal(read_all(d, "{\"items\":[{}]}"), "undecodable");
	assert_int_equal(decoder_decode(d, &ev, "u", 1, json, strlen(json), NOW, &why), 0);
	assert_int_equal(ev.ts_ms, 1600000000000);
	assert_int_equal(decoder_more(d, &ev), 1);
	assert_int_equal(ev.ts_ms, 1600000001000);
	assert_int_equal(decoder_more(d, &ev), 0);
	decoder_free(d);

	/* ids of the elements' own */
	d = make(&(struct decoder_options){ .item_path = "l[].i", .event_id_path = "l[].id,id" });
	assert_string_equal(read_all(d, "{\"id\":\"r\",\"l\":[{\"i\":1},{\"i\":2,\"id\":\"own\"},{\"i\":3}]}"), "1*1 r;2*1 own;3*1 r#2");
	decoder_free(d);
}

static void test_array_limits(void **state)
{
	struct decoder *d = make(&(struct decoder_options){ .item_path = "i[]", .id_max_bytes = 4 });
	static char json[4096];

	for (size_t n = EVENTS_PER_RECORD_MAX; n <= EVENTS_PER_RECORD_MAX + 1; n++) {
		size_t at = (size_t)sprintf(json, "{\"i\":[1");
		for (size_t i = 1; i < n; i++)
			at += (size_t)sprintf(json + at, ",%zu", i);
		sprintf(json + at, "],\"x\":[%0*d]}", 1, 1);
		const char *all = read_all(d, json);
		if (n > EVENTS_PER_RECORD_MAX)
			assert_string_equal(all, "oversized");
		else
			assert_string_equal(all + strlen(all) - 6, ";255*1");
	}
	assert_string_equal(read_all(d, "{\"i\":[1,2],\"event_id\":\"ab\"}"), "1*1 ab;2*1 ab#1");
	assert_string_equal(read_all(d, "{\"i\":[1,2],\"event_id\":\"abc\"}"), "oversized");
	refuse_options(&(struct decoder_options){ .item_path = "a[].b[].c" }, "two arrays");
	refuse_options(&(struct decoder_options){ .user_path = "a[].b" }, "one user");
	refuse_options(&(struct decoder_options){ .attribute_paths = "a[].b" }, "one user");
	refuse_options(&(struct decoder_options){ .item_path = "a.[].b" }, "empty name");
	decoder_free(make(&(struct decoder_options){ .item_path = "a.b.c.d.e.f.g.h[]" }));
	decoder_free(d);
}

static void test_types(void **state)
{
	struct decoder *d = make(&(struct decoder_options){ .type_weights = "view:1, Order Completed:5,a:b:2,refund:ignore", .weight_max = 20 });
	struct event ev;
	const char *why = "";

	assert_string_equal(read_all(d, "{\"type\":\"view\",\"item\":1}"), "1*1");
	assert_string_equal(read_all(d, "{\"type\":\"Order Completed\",\"item\":1}"), "1*5");
	assert_string_equal(read_all(d, "{\"type\":\"Order Completed\",\"item\":1,\"weight\":3}"), "1*15");
	assert_string_equal(read_all(d, "{\"type\":\"Order Completed\",\"item\":1,\"weight\":5}"), "bad weight");
	assert_string_equal(read_all(d, "{\"type\":\"Order Completed\",\"item\":1,\"weight\":-0.1}"), "bad weight");
	assert_string_equal(read_all(d, "{\"type\":\"a:b\",\"item\":1}"), "1*2");
	assert_string_equal(read_all(d, "{\"type\":\"other\",\"item\":1,\"weight\":3}"), "1*3");
	assert_string_equal(read_all(d, "{\"item\":1}"), "1*1");

	/* what is ignored need not be an event otherwise, but it must be readable */
	assert_string_equal(read_all(d, "{\"type\":\"refund\"}"), "-");
	assert_string_equal(read_all(d, "{\"type\":\"refund\",\"time\":\"2099-01-01\"}"), "-");
	assert_string_equal(read_all(d, "{\"type\":\"refund\""), "undecodable");
	assert_int_equal(decoder_decode(d, &ev, "u", 1, "\x1a\x06refund", 8, NOW, &why), 0);
	assert_int_equal(ev.ignored, 1);
	assert_text(ev.user, ev.user_len, "u");
	assert_int_equal(decoder_decode(d, &ev, NULL, 0, "\x1a\x06refund", 8, NOW, &why), 0);
	assert_int_equal(ev.ignored + (ev.user_len == 0), 2);
	decoder_free(d);

	/* the rest; elements that are ignored; who leaves weights to others */
	d = make(&(struct decoder_options){ .type_weights = "view:2,*:ignore", .item_path = "i[]|i", .type_path = "t[]|t" });
	assert_string_equal(read_all(d, "{\"i\":1,\"t\":\"view\"}"), "1*2");
	assert_string_equal(read_all(d, "{\"i\":1}"), "-");
	assert_string_equal(read_all(d, "{\"i\":[1,2,3],\"t\":[\"view\",\"x\",\"view\"],\"event_id\":\"e\"}"), "1*2 e;3*2 e#2");
	assert_string_equal(read_all(d, "{\"i\":[1,2],\"t\":\"x\"}"), "-");
	decoder_free(d);
	d = make(&(struct decoder_options){ .type_weights = "view:2,x:ignore", .types_only_ignore = 1 });
	assert_string_equal(read_all(d, "{\"item\":1,\"type\":\"view\"}"), "1*1");
	assert_string_equal(read_all(d, "{\"item\":1,\"type\":\"x\"}"), "-");
	decoder_free(d);

	static const char *const bad[] = { "view", "view:", ":1", "view:x", "view:-1", "view:1,", "view:1e999", "*", "view:nan" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		refuse_options(&(struct decoder_options){ .type_weights = bad[i] }, "type.weights");
}

static void test_types_of_lines(void **state)
{
	static const char header[] = "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE";
	struct delimited *p = NULL;
	struct event ev;
	const char *why = "";
	char text[256];

	assert_int_equal(delimited_new(&p, &(struct delimited_options){ .type_weights = "buy:3,refund:ignore", .user = "nobody,user_id" }, header, strlen(header), text, sizeof text), 0);
	assert_int_equal(delimited_decode(p, &ev, "u,i,1,buy", 9, &why), 0);
	assert_true(ev.weight == 3.0f && !ev.ignored);
	assert_int_equal(delimited_decode(p, &ev, "u,i,1,refund", 12, &why), 0);
	assert_int_equal(ev.ignored, 1);
	delimited_free(p);
	assert_int_equal(delimited_new(&p, &(struct delimited_options){ .type_weights = "buy" }, header, strlen(header), text, sizeof text), -EBADMSG);
}

static void test_units_of_time(void **state)
{
	static const struct { enum event_time_unit unit; const char *time; int64_t ms; } cases[] = {
		{ TIME_AUTO, "1600000000", 1600000000000 }, { TIME_AUTO, "1600000000.5", 1600000000500 }, { TIME_AUTO, "1600000000001", 1600000000001 },
		{ TIME_AUTO, "1600000000001999", 1600000000001 }, { TIME_AUTO, "1600000000001999999", 1600000000001 }, { TIME_AUTO, "\"1600000000001000000\"", 1600000000001 },
		{ TIME_NS, "1999999", 1 }, { TIME_NS, "1999999.5", 1 }, { TIME_NS, "1600000000013000000", 1600000000013 }, { TIME_US, "1600000000013000", 1600000000013 },
		{ TIME_AUTO, "\"2020-02-02 20:20:02 +0000 UTC\"", 1580674802000 }, { TIME_AUTO, "\"2020-02-02T20:20:02Z\"", 1580674802000 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct decoder *d = make(&(struct decoder_options){ .time_unit = cases[i].unit });
		struct event ev;
		const char *why = "";
		char json[128];
		int len = snprintf(json, sizeof json, "{\"item\":1,\"time\":%s}", cases[i].time);

		if (decoder_decode(d, &ev, "u", 1, json, (size_t)len, -1, &why) < 0 || ev.ts_ms != cases[i].ms)
			fail_msg("%s: %lld %s", cases[i].time, (long long)ev.ts_ms, why);
		decoder_free(d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alternatives), cmocka_unit_test(test_arrays), cmocka_unit_test(test_plain_arrays_side_by_side), cmocka_unit_test(test_array_limits),
		cmocka_unit_test(test_types), cmocka_unit_test(test_types_of_lines), cmocka_unit_test(test_units_of_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
