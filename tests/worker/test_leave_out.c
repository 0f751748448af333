/* leave_out.h: which events are a user's newest */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "worker/events_file.h"
#include "worker/leave_out.h"

static char path[] = "/tmp/s4rec_leave_out_XXXXXX";

/* The items that stay when n are withheld, one letter each, in the order of the file. */
static void expect_left(size_t n, const char *want)
{
	char left[64] = "";
	char *argv[] = { "load", NULL };
	struct config c;
	struct leave_out *x;
	struct events_file *f;
	struct events_read read;
	enum events_line what;

	assert_int_equal(config_parse(&c, C_LOAD, "", "", 1, argv), 0);
	assert_int_equal(leave_out_new(&x, &c, path, n), 0);
	assert_int_equal(leave_out_users(x), 3);
	assert_int_equal(events_file_new(&f, &c, path), 0);
	while ((what = events_file_next(f, &read)) != LINE_END)
		if (what == LINE_EVENT && !leave_out_has(x, &read.event, events_file_line(f)))
			strncat(left, read.event.item, 1);
	assert_int_equal(events_file_bad_count(f), 1);
	assert_string_equal(left, want);
	events_file_free(f);
	leave_out_free(x);
	config_release(&c);
}

static void newest_of_each_user(void **state)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	/* u: a c e f, of which e came late and c, f are of one time; v: b d; w: g */
	fputs("user,item,timestamp\nu,a,1700000001\nv,b,1700000002\nu,c,1700000003\nv,,1700000009\nv,d,1700000004\nu,e,1700000002\nu,f,1700000003\nw,g,1700000000\n", f);
	fclose(f);
	expect_left(1, "abce");
	expect_left(2, "ae");
	expect_left(3, "a");
	expect_left(4, "");
	expect_left(LEAVE_OUT_MAX, "");
}

static void no_such_file(void **state)
{
	char *argv[] = { "load", NULL };
	struct config c;
	struct leave_out *x;

	assert_int_equal(config_parse(&c, C_LOAD, "", "", 1, argv), 0);
	assert_int_equal(leave_out_new(&x, &c, "/nowhere/at/all", 1), EX_NOINPUT);
	config_release(&c);
}

static int make_path(void **state)
{
	int fd = mkstemp(path);

	return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state) { return unlink(path); }

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(newest_of_each_user), cmocka_unit_test(no_such_file) };
	return cmocka_run_group_tests(tests, make_path, remove_path);
}
