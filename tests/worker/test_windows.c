/* test_windows.c - windows.h, and step_file.h beneath it: what a line says, that lines add up, and that a run which goes on from a step leaves the file of one that was
 * never disturbed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "model/rng.h"
#include "worker/eval/windows.h"

static char path[] = "/tmp/test_windows.XXXXXX";

static int begin(void **state)
{
	int fd = mkstemp(path);
	return fd < 0 || close(fd);
}

static int end(void **state) { return unlink(path); }

static char *contents(void)
{
	static char text[1 << 22];
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	size_t n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = '\0';
	return text;
}

static void fill(const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static struct windows *open_at(uint64_t step, int expected)
{
	struct windows *w;
	assert_int_equal(windows_new(&w, path, 1000, 2), 0);
	assert_int_equal(step_file_resume(windows_file(w), step), expected);
	return w;
}

static void add(struct windows *w, uint64_t step, int64_t ms, uint32_t by_model, uint32_t by_popularity, struct ranks_about about)
{
	assert_int_equal(windows_add(w, step, ms, (uint32_t[METHODS]){ by_model, by_popularity, UNRANKED }, &about), 0);
}

static void a_line_is_known(void **state)
{
	fill("");
	struct windows *w = open_at(0, 0);
	add(w, 3, 2100, 0, 9, (struct ranks_about){ 3, 3, 1 });         /* head, new user */
	add(w, 4, 2900, 7, UNRANKED, (struct ranks_about){ 4, 2, 0 });  /* tail, rare item */
	add(w, 4, 3000, 30, 30, (struct ranks_about){ 9, 9, 0 });       /* another window */
	windows_commit(w, 4);
	windows_commit(w, 6); /* of nothing */
	assert_int_equal(step_file_flush(windows_file(w)), 0);
	char *text = contents(), *line = strtok(text, "\n"), start[256];
	snprintf(start, sizeof start, "{\"step\":4,\"window_ms\":2000,\"contestant\":\"online\",\"split\":\"all\",\"events\":2,\"mrr\":%.6f,\"hr@5\":[0.500000,", (1 + 1 / 8.) / 2);
	assert_memory_equal(line, start, strlen(start));
	snprintf(start, sizeof start, "\"ndcg@20\":[%.6f,", (1 + 1 / log2(9)) / 2);
	assert_non_null(strstr(line, start));
	assert_non_null(strstr(line, "\"hr@10\":[1.000000,"));
	static const char *const rest[] = {
		"2000,\"contestant\":\"online\",\"split\":\"head\",\"events\":1,\"mrr\":1.0", "2000,\"contestant\":\"online\",\"split\":\"tail\",\"events\":1,\"mrr\":0.125",
		"2000,\"contestant\":\"online\",\"split\":\"new_users\",\"events\":1,\"mrr\":1.0", "2000,\"contestant\":\"online\",\"split\":\"rare_items\",\"events\":1,\"mrr\":0.125",
		"2000,\"contestant\":\"decayed popularity\",\"split\":\"all\",\"events\":2,\"mrr\":0.05", "2000,\"contestant\":\"decayed popularity\",\"split\":\"head\",\"events\":1,\"mrr\":0.1",
		"2000,\"contestant\":\"decayed popularity\",\"split\":\"tail\",\"events\":1,\"mrr\":0.0",
		"2000,\"contestant\":\"decayed popularity\",\"split\":\"new_users\",\"events\":1,\"mrr\":0.1",
		"2000,\"contestant\":\"decayed popularity\",\"split\":\"rare_items\",\"events\":1,\"mrr\":0.0",
		"3000,\"contestant\":\"online\",\"split\":\"all\",\"events\":1,", "3000,\"contestant\":\"online\",\"split\":\"tail\",\"events\":1,",
		"3000,\"contestant\":\"decayed popularity\",\"split\":\"all\",\"events\":1,", "3000,\"contestant\":\"decayed popularity\",\"split\":\"tail\",\"events\":1,",
	};
	for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) {
		line = strtok(NULL, "\n");
		assert_non_null(line);
		assert_non_null(strstr(line, rest[i]));
	}
	assert_null(strtok(NULL, "\n"));
	windows_free(w);
}

enum { LAST = 12 };

/* Steps from..to, a commit every third; late events go to windows far and wide. */
static void run(struct windows *w, uint64_t from, uint64_t to)
{
	for (uint64_t step = from; step <= to; step++) {
		for (uint64_t i = 0; i < 40; i++) {
			uint64_t bits = rng_bits(5, RNG_GENERATE, step, i, 0);
			add(w, step, (int64_t)(bits % 200000), (uint32_t)(bits >> 20 & 31), (uint32_t)(bits >> 30 & 31), (struct ranks_about){ 1 + (bits >> 40 & 7), 1 + (bits >> 43 & 7), bits >> 46 & 1 });
		}
		if (step % 3 == 0)
			windows_commit(w, step);
	}
	assert_int_equal(step_file_flush(windows_file(w)), 0);
}

static void a_run_that_goes_on_leaves_the_same_file(void **state)
{
	fill("");
	struct windows *w = open_at(0, 0);
	run(w, 1, LAST);
	windows_free(w);
	char *whole = strdup(contents());
	assert_non_null(whole);
	uint64_t events = 0;
	for (const char *at = whole; (at = strstr(at, "\"online\",\"split\":\"all\",\"events\":")); at++)
		events += strtoull(at + strlen("\"online\",\"split\":\"all\",\"events\":"), NULL, 10);
	assert_int_equal(events, LAST * 40);

	static const uint64_t from[] = { 0, 3, 9, LAST };
	for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
		w = open_at(from[i], 0);
		run(w, from[i] + 1, LAST - 1); /* not to its end: what is written early is behind no commit */
		windows_free(w);
		w = open_at(from[i], 0);
		run(w, from[i] + 1, LAST);
		windows_free(w);
		assert_string_equal(contents(), whole);
	}
	FILE *f = fopen(path, "a"); /* killed amid a line */
	fputs("{\"step\":13,\"window", f);
	fclose(f);
	windows_free(open_at(LAST + 1, 0));
	assert_string_equal(contents(), whole);
	free(whole);
}

/* Two workers of one file: the one that leads is stopped with lines that it has not written; the other has stood by since before it began. */
static void who_is_replaced_writes_no_more(void **state)
{
	fill("");
	struct windows *whole = open_at(0, 0), *second;
	run(whole, 1, 6);
	windows_free(whole);
	char *text = strdup(contents());
	assert_non_null(text);

	fill("");
	assert_int_equal(windows_new(&second, path, 1000, 2), 0);
	struct windows *first = open_at(0, 0);
	run(first, 1, 3);
	add(first, 4, 4000, 1, 1, (struct ranks_about){ 1, 1, 1 });
	windows_commit(first, 4);
	assert_int_equal(step_file_resume(windows_file(second), 3), 0);
	run(second, 4, 6);
	windows_free(first);
	assert_string_equal(contents(), text);
	windows_free(second);
	assert_string_equal(contents(), text);
	free(text);
}

static void what_is_something_else_stays(void **state)
{
	fill("my notes\n");
	windows_free(open_at(0, EX_DATAERR));
	assert_string_equal(contents(), "my notes\n");
	struct windows *w;
	assert_int_equal(windows_new(&w, "/nowhere/at/all", 1000, 2), EX_CANTCREAT);
	assert_int_equal(windows_new(&w, "/dev/full", 1000, 2), 0);
	assert_int_equal(step_file_resume(windows_file(w), 0), 0);
	add(w, 1, 1, 1, 1, (struct ranks_about){ 1, 1, 1 });
	windows_commit(w, 1);
	assert_int_equal(step_file_flush(windows_file(w)), EX_IOERR);
	windows_free(w);
}

/* Page 0 of a process is not there, so its memory is a file whose first read fails. */
static void what_cannot_be_read_is_not_cut(void **state)
{
	char said[256] = "";
	struct windows *w;
	int saved = dup(STDERR_FILENO);
	FILE *log = tmpfile();

	assert_non_null(log);
	fflush(stderr);
	dup2(fileno(log), STDERR_FILENO);
	assert_int_equal(windows_new(&w, "/proc/self/mem", 1000, 2), 0);
	int code = step_file_resume(windows_file(w), 7);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	windows_free(w);
	rewind(log);
	assert_non_null(fgets(said, sizeof said, log));
	fclose(log);
	assert_int_equal(code, EX_IOERR);
	assert_non_null(strstr(said, "cannot read /proc/self/mem: Input/output error (eval.windows)"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_line_is_known), cmocka_unit_test(a_run_that_goes_on_leaves_the_same_file),
		cmocka_unit_test(what_is_something_else_stays), cmocka_unit_test(what_cannot_be_read_is_not_cut),
		cmocka_unit_test(who_is_replaced_writes_no_more) };
	return cmocka_run_group_tests(tests, begin, end);
}
