/* test_repairs.c - what `s4rec redrive` is told: places, and a file of values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include <cmocka.h>

#include "worker/commands/redrive.h"

static void test_places(void **state)
{
	static const char *const bad[] = { "0", "0:", ":1", "0:1,", ",0:1", "0:1-", "0:2-1", "0:-1", "-1:0", "0:1 ", "0:1x", "a:1", "0:99999999999999999999", "0:1-2-3" };

	assert_int_equal(places_check(""), 0);
	assert_int_equal(places_check("0:17,1:200-299"), 0);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (places_check(bad[i]) == 0)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(places_hold("", 3, 4), 1);
	assert_int_equal(places_hold("0:17,1:200-299", 0, 17), 1);
	assert_int_equal(places_hold("0:17,1:200-299", 0, 18), 0);
	assert_int_equal(places_hold("0:17,1:200-299", 1, 200), 1);
	assert_int_equal(places_hold("0:17,1:200-299", 1, 299), 1);
	assert_int_equal(places_hold("0:17,1:200-299", 1, 300), 0);
	assert_int_equal(places_hold("0:17,1:200-299", 2, 17), 0);
}

/* A file of that text, read; *ret NULL and the code when it is refused. */
static int read_text(struct repairs **ret, const char *text)
{
	char name[] = "/tmp/s4rec_repairs_XXXXXX";
	FILE *f = fdopen(mkstemp(name), "w");

	fputs(text, f);
	fclose(f);
	*ret = NULL;
	int r = repairs_new(ret, name);
	unlink(name);
	return r;
}

static void test_values(void **state)
{
	struct repairs *r;
	struct repair *x;

	assert_int_equal(read_text(&r, "1:5 {\"a\": 1}\n\n0:7 \n0:2 x\n"), 0);
	x = repairs_find(r, 1, 5);
	assert_int_equal(x->len, 8);
	assert_memory_equal(x->value, "{\"a\": 1}", 8);
	assert_int_equal(repairs_find(r, 0, 7)->len, 0);
	assert_null(repairs_find(r, 0, 5));
	assert_int_equal(repairs_unused(r), 3);
	x->used = 1;
	assert_int_equal(repairs_unused(r), 2);
	repairs_free(r);
	assert_int_equal(read_text(&r, ""), 0);
	assert_null(repairs_find(r, 0, 0));
	repairs_free(r);

	assert_int_equal(read_text(&r, "1:5 a\n1:5 b\n"), EX_DATAERR);
	assert_int_equal(read_text(&r, "1:5\n"), EX_DATAERR);
	assert_int_equal(read_text(&r, "1 5 a\n"), EX_DATAERR);
	assert_int_equal(read_text(&r, "1:5x a\n"), EX_DATAERR);
	assert_int_equal(repairs_new(&r, "/nowhere/at/all"), EX_NOINPUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_places), cmocka_unit_test(test_values) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
