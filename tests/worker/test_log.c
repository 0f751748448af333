/* test_log.c - log lines: their formats, whatever stands in them, and repeated trouble, which is counted. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <yajl/yajl_tree.h>

#include "worker/log.h"

#define STAMP "2026-01-02T03:04:05.678Z"

static void becomes(enum log_format format, const char *text, const char *expected)
{
	char *line = log_line(format, STAMP, "info", text);
	assert_non_null(line);
	assert_string_equal(line, expected);
	free(line);
}

static void test_formats(void **state)
{
	becomes(LOG_LOGFMT, "train events=5 lag=0", "ts=" STAMP " level=info msg=train events=5 lag=0");
	becomes(LOG_JSON, "train events=5 lag=0 rate=12/s share=0.25 id=007 x=-1 y=1. n=-",
	        "{\"ts\":\"" STAMP "\",\"level\":\"info\",\"msg\":\"train\",\"events\":5,\"lag\":0,\"rate\":\"12/s\",\"share\":0.25,\"id\":\"007\",\"x\":-1,\"y\":\"1.\",\"n\":\"-\"}");
	becomes(LOG_LOGFMT, "replay done: step=7 version=3", "ts=" STAMP " level=info msg=\"replay done\" step=7 version=3");
	becomes(LOG_JSON, "", "{\"ts\":\"" STAMP "\",\"level\":\"info\",\"msg\":\"\"}");
}

static void test_what_is_no_list_of_fields_is_all_message(void **state)
{
	static const char *const lines[] = { "step=5 discarded: a loss is not finite", "x a=1 a=2", "x level=error", "x msg=1", "x ts=1", "x A=1", "x =1", "s4rec topics a=1 b" };
	char expected[256];
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		snprintf(expected, sizeof expected, "{\"ts\":\"" STAMP "\",\"level\":\"info\",\"msg\":\"%s\"}", lines[i]);
		becomes(LOG_JSON, lines[i], expected);
	}
}

static void test_any_bytes_are_valid_json(void **state)
{
	becomes(LOG_JSON, "it's \"x\\y\"  z", "{\"ts\":\"" STAMP "\",\"level\":\"info\",\"msg\":\"it's \\\"x\\\\y\\\"  z\"}");
	becomes(LOG_LOGFMT, "a b=\"x\\y\" c=", "ts=" STAMP " level=info msg=a b=\"\\\"x\\\\y\\\"\" c=\"\"");
	becomes(LOG_JSON, "user=\xff\xfe", "{\"ts\":\"" STAMP "\",\"level\":\"info\",\"msg\":\"\",\"user\":\"??\"}");
	uint64_t seed = 88172645463325252u;
	for (int i = 0; i < 20000; i++) {
		char text[64], why[256];
		size_t n = (size_t)i % (sizeof text - 1);
		for (size_t k = 0; k < n; k++) {
			seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
			text[k] = seed % 3 ? "ab =\"\\1.-{}"[seed / 3 % 11] : (char)(seed >> 32 | 1);
		}
		text[n] = '\0';
		char *line = log_line(LOG_JSON, STAMP, "warn", text);
		yajl_val v = yajl_tree_parse(line, why, sizeof why);
		if (!v || strchr(line, '\n'))
			fail_msg("no line of JSON: %s", line);
		yajl_tree_free(v);
		free(line);
	}
}

static void test_many_fields(void **state)
{
	char text[1024] = "x";
	for (int i = 0; i <= LOG_FIELDS_MAX; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), " k%d=1", i);
	char *line = log_line(LOG_JSON, STAMP, "info", text);
	assert_non_null(strstr(line, "\"msg\":\"x k0=1 k1=1"));
	free(line);
}

/* What was said since, to stderr. */
static FILE *said;
static int saved;

static void listen(void)
{
	fflush(stderr);
	said = tmpfile();
	saved = dup(STDERR_FILENO);
	dup2(fileno(said), STDERR_FILENO);
}

static const char *heard(void)
{
	static char text[1 << 18];
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(said);
	text[fread(text, 1, sizeof text - 1, said)] = '\0';
	fclose(said);
	return text;
}

static size_t times(const char *text, const char *part)
{
	size_t n = 0;
	for (const char *p = text; (p = strstr(p, part)); p++)
		n++;
	return n;
}

/* The first, since it is before log_stamped. */
static void test_a_command_that_ends_soon(void **state)
{
	listen();
	log_as(LOG_JSON);
	for (int i = 0; i < 5; i++)
		log_warn("a=%d b\nc\x1b[1m", i);
	log_as(LOG_TEXT);
	const char *text = heard();
	assert_int_equal(times(text, "warn: a="), 5);
	assert_int_equal(times(text, "warn: a=4 b c [1m\n"), 1);
}

static void test_repeated_trouble_is_counted(void **state)
{
	log_stamped();
	log_as(LOG_TEXT);
	listen();
	for (int i = 0; i < 44; i++)
		log_warn("partition %d is away", i);
	for (int i = 0; i < 10; i++) {
		log_info("this is news %d", i);
		log_error("this is an error %d", i);
		log_warn_of(i % 2 ? "FAIL" : "OTHER", "kafka what=%s", i % 2 ? "FAIL" : "OTHER");
	}
	log_warn("another kind");
	log_end();
	log_end(); /* nothing twice */
	const char *text = heard();
	assert_int_equal(times(text, " warn partition "), 3);
	assert_int_equal(times(text, " warn ... and 41 more like it: partition 43 is away\n"), 1);
	assert_int_equal(times(text, "this is news"), 10);
	assert_int_equal(times(text, "this is an error"), 10);
	assert_int_equal(times(text, " warn kafka what=FAIL\n"), 3);
	assert_int_equal(times(text, " warn ... and 2 more like it: kafka what=FAIL\n"), 1);
	assert_int_equal(times(text, " warn ... and 2 more like it: kafka what=OTHER\n"), 1);
	assert_int_equal(times(text, " warn another kind\n"), 1);
}

/* More kinds than there are places: none is lost, what was counted is said. */
static void test_many_kinds(void **state)
{
	char kind[32];
	listen();
	for (int i = 0; i < 200; i++) {
		snprintf(kind, sizeof kind, "kind %d", i);
		for (int k = 0; k < 5; k++)
			log_warn_of(kind, "%s once more", kind);
	}
	log_end();
	const char *text = heard();
	assert_int_equal(times(text, " once more\n"), 200 * 3 + 200);
	assert_int_equal(times(text, "... and 2 more like it: kind "), 200);
}

static void test_json_of_the_sink(void **state)
{
	log_as(LOG_JSON);
	listen();
	log_info("train events=%d", 5);
	const char *text = heard();
	log_as(LOG_TEXT);
	assert_non_null(strstr(text, "\"level\":\"info\",\"msg\":\"train\",\"events\":5}\n"));
}

static void *chatter(void *arg)
{
	for (int i = 0; i < 200; i++) {
		log_info("from thread=%d line=%d", *(int *)arg, i);
		log_warn("trouble of thread %d", *(int *)arg);
	}
	return NULL;
}

static void test_threads_do_not_mix_their_lines(void **state)
{
	pthread_t t[4];
	int number[4] = { 1, 2, 3, 4 };
	log_as(LOG_LOGFMT);
	listen();
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, chatter, &number[i]), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	log_end();
	const char *text = heard();
	log_as(LOG_TEXT);
	assert_int_equal(times(text, "\n"), 4 * 200 + 3 + 1);
	assert_int_equal(times(text, " level=info msg=from thread="), 4 * 200);
	assert_int_equal(times(text, " level=warn msg=\"trouble of thread "), 3);
	assert_int_equal(times(text, " level=warn msg=\"... and 797 more like it: trouble of thread "), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats), cmocka_unit_test(test_what_is_no_list_of_fields_is_all_message), cmocka_unit_test(test_any_bytes_are_valid_json),
		cmocka_unit_test(test_many_fields), cmocka_unit_test(test_a_command_that_ends_soon), cmocka_unit_test(test_repeated_trouble_is_counted), cmocka_unit_test(test_many_kinds), cmocka_unit_test(test_json_of_the_sink), cmocka_unit_test(test_threads_do_not_mix_their_lines),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
