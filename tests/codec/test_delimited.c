/* test_delimited.c - CSV and TSV lines to events. */
#include "tests/codec/check.h"

#include "codec/delimited.h"

static struct delimited *make(const char *header, const struct delimited_options *o)
{
	struct delimited *p = NULL;
	char why[256] = "";

	if (delimited_new(&p, o, header, strlen(header), why, sizeof(why)) < 0)
		fail_msg("%s", why);
	return p;
}

static const struct delimited_options defaults;

static void refuse(struct delimited *p, const char *line, int error, const char *reason)
{
	const char *why = "";
	struct event ev;

	if (delimited_decode(p, &ev, line, strlen(line), &why) != error || strcmp(why, reason))
		fail_msg("%s: %s, expected %s", line, why, reason);
}

static void test_csv(void **state)
{
	struct delimited *p = make("\xef\xbb\xbfUSER_ID,extra,\"ITEM_ID\",TIMESTAMP,event_type,weight,event_id\r\n", &defaults);
	const char *line = "u1,\"a, \"\"b\"\"\",\"i \"\"1\"\", x\",1700000000,click,0.5,e1\r", *why = "";
	struct event ev;

	assert_int_equal(delimited_decode(p, &ev, line, strlen(line), &why), 0);
	assert_text(ev.user, ev.user_len, "u1");
	assert_text(ev.item, ev.item_len, "i \"1\", x");
	assert_text(ev.type, ev.type_len, "click");
	assert_text(ev.event_id, ev.event_id_len, "e1");
	assert_int_equal(ev.ts_ms, 1700000000000);
	assert_true(ev.weight == 0.5f);

	line = "u1,,i,2024-05-06T07:08:09Z,,,";
	assert_int_equal(delimited_decode(p, &ev, line, strlen(line), &why), 0);
	assert_int_equal(ev.ts_ms, 1714979289000);
	assert_true(ev.weight == 1.0f && ev.type_len == 0 && ev.event_id_len == 0);

	refuse(p, "", -EBADMSG, "undecodable");
	refuse(p, "u1,,i", -EBADMSG, "undecodable");
	refuse(p, "u1,,i,1,,,,", -EBADMSG, "undecodable");
	refuse(p, "u1,,\"i,1,,,", -EBADMSG, "undecodable");
	refuse(p, "u1,,\"i\"x,1,,,", -EBADMSG, "undecodable");
	refuse(p, "u1,,\xff,1,,,", -EBADMSG, "undecodable");
	refuse(p, "u1,,i,noon,,,", -EBADMSG, "undecodable");
	refuse(p, "u1,,i,1,,nan,", -EBADMSG, "undecodable");
	refuse(p, "u1,,i,1,,0x10,", -EBADMSG, "undecodable");
	refuse(p, "u1,,i,1,,-1,", -ERANGE, "bad weight");
	refuse(p, "u1,,i,,,,", -ERANGE, "no time");
	refuse(p, "u1,,i,-1,,,", -ERANGE, "absurd time");
	refuse(p, ",,i,1,,,", -ENODATA, "no user");
	refuse(p, "u1,,,1,,,", -ENODATA, "no item");
	delimited_free(p);
}

static void test_separators_and_columns(void **state)
{
	struct delimited *p = make("user\tuser_id\titem\ttime", &defaults);
	const char *line = "second\tfirst\t\"i\"\t5", *why = "";
	struct event ev;

	assert_int_equal(delimited_decode(p, &ev, line, strlen(line), &why), 0);
	assert_text(ev.user, ev.user_len, "first"); /* user_id stands before user in the list */
	assert_text(ev.item, ev.item_len, "\"i\""); /* TSV: as it is */
	assert_int_equal(ev.ts_ms, 5000);
	delimited_free(p);

	p = make("visitor;sku;when", &(struct delimited_options){ .user = "x|visitor", .item = "SKU", .time = "when", .time_unit = TIME_MS });
	line = "v;s;1700000000123";
	assert_int_equal(delimited_decode(p, &ev, line, strlen(line), &why), 0);
	assert_int_equal(ev.ts_ms, 1700000000123);
	delimited_free(p);
}

static void test_attributes(void **state)
{
	const struct delimited_options o = { .attributes = "country,agent|device", .item_attributes = "brand,country" }, lacking = { .item_attributes = "brand" };
	struct delimited *p = make("user,item,time,device,country,brand", &o), *none = NULL;
	const char *line = "u,i,5,tv,,b", *why = "";
	char reason[256];
	struct event ev;

	assert_int_equal(delimited_decode(p, &ev, line, strlen(line), &why), 0);
	assert_int_equal(ev.attribute[0].len, 0);
	assert_text(ev.attribute[1].s, ev.attribute[1].len, "tv");
	assert_int_equal(ev.attribute[2].len, 0);
	assert_text(ev.item_attribute[0].s, ev.item_attribute[0].len, "b");
	assert_int_equal(ev.item_attribute[1].len, 0);
	delimited_free(p);
	assert_int_equal(delimited_new(&none, &o, "user,item,time,device", 21, reason, sizeof reason), -EBADMSG);
	assert_non_null(strstr(reason, "no column country"));
	assert_int_equal(delimited_new(&none, &lacking, "user,item,time", 14, reason, sizeof reason), -EBADMSG);
	assert_non_null(strstr(reason, "no column brand"));
}

static void test_header_refusals(void **state)
{
	struct delimited *p = NULL;
	char why[256];

	assert_int_equal(delimited_new(&p, &defaults, "user_id,film,time", 17, why, sizeof(why)), -EBADMSG);
	assert_non_null(strstr(why, "item_id|item")); /* names what is missing and what is there */
	assert_non_null(strstr(why, "film"));
	assert_int_equal(delimited_new(&p, &defaults, "", 0, why, sizeof(why)), -EBADMSG);
	assert_int_equal(delimited_new(&p, &defaults, "\"user_id", 8, why, sizeof(why)), -EBADMSG);
	delimited_free(NULL);
}

static void test_limits(void **state)
{
	struct delimited *p = make("user,item,time", &(struct delimited_options){ .id_max_bytes = 3, .line_max_bytes = 20 });

	refuse(p, "u,long,1", -E2BIG, "oversized");
	refuse(p, "u,i,000000000000000000000000000000000001", -E2BIG, "oversized");
	delimited_free(p);
}

/* Any text, quoted as RFC 4180 says, comes back. */
static void test_quoting_roundtrip(void **state)
{
	struct delimited *p = make("user,item,time", &defaults);

	for (int i = 0; i < 20000; i++) {
		char text[2][100], line[600], *out = line;
		size_t len[2];
		const char *why = "";
		struct event ev;

		for (int k = 0; k < 2; k++) {
			len[k] = check_text(text[k], 100);
			*out++ = '"';
			for (size_t j = 0; j < len[k]; j++) {
				if (text[k][j] == '"')
					*out++ = '"';
				*out++ = text[k][j];
			}
			*out++ = '"';
			*out++ = ',';
		}
		*out++ = '1';
		assert_int_equal(delimited_decode(p, &ev, line, (size_t)(out - line), &why), 0);
		assert_int_equal(ev.user_len, len[0]);
		assert_memory_equal(ev.user, text[0], len[0]);
		assert_int_equal(ev.item_len, len[1]);
		assert_memory_equal(ev.item, text[1], len[1]);
	}
	delimited_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_csv), cmocka_unit_test(test_separators_and_columns),
		cmocka_unit_test(test_attributes), cmocka_unit_test(test_header_refusals), cmocka_unit_test(test_limits), cmocka_unit_test(test_quoting_roundtrip) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
