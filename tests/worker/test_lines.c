/* lines.h: the lines of a file, whatever it is packed in and wherever its buffers end */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "worker/lines.h"

#define MB (1024 * 1024)

struct bytes { char *p; size_t n, room; };

static char path[64];

static int make_path(void **state)
{
	snprintf(path, sizeof path, "/tmp/test_lines.XXXXXX");
	int fd = mkstemp(path);
	return fd < 0 || close(fd) < 0 ? -1 : 0;
}

static int remove_path(void **state)
{
	return unlink(path);
}

static struct lines *open_bytes(const void *p, size_t n)
{
	struct lines *l;
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(lines_new(&l, path), 0);
	return l;
}

static void append(struct bytes *b, const void *p, size_t n)
{
	if (b->n + n + 1 > b->room) {
		b->room = 2 * (b->n + n + 1);
		b->p = realloc(b->p, b->room);
		assert_non_null(b->p);
	}
	memcpy(b->p + b->n, p, n);
	b->n += n;
}

/* One zstd frame more, with a checksum, as the zstd program makes it. */
static void append_frame(struct bytes *b, const void *p, size_t n)
{
	size_t room = ZSTD_compressBound(n);
	char *packed = malloc(room);
	ZSTD_CCtx *z = ZSTD_createCCtx();
	assert_true(packed && z);
	ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1);
	size_t len = ZSTD_compress2(z, packed, room, p, n);
	assert_false(ZSTD_isError(len));
	ZSTD_freeCCtx(z);
	append(b, packed, len);
	free(packed);
}

static void expect_line(struct lines *l, const char *want, size_t n)
{
	const char *line;
	size_t len;
	assert_int_equal(lines_next(l, &line, &len), 1);
	assert_int_equal(len, n);
	assert_memory_equal(line, want, n);
}

static void expect_text(struct lines *l, const char *want)
{
	expect_line(l, want, strlen(want));
}

/* The end, as often as one asks. */
static void expect_end(struct lines *l, int want)
{
	const char *line;
	size_t len;
	assert_int_equal(lines_next(l, &line, &len), want);
	if (want == 0)
		assert_int_equal(lines_next(l, &line, &len), 0);
}

/* Numbered lines of many lengths, several times what the buffers hold: buffers end at every place of a line. */
static struct bytes many_lines(size_t lines)
{
	struct bytes b = { 0 };
	char line[512];
	for (size_t i = 0; i < lines; i++) {
		int n = snprintf(line, sizeof line, "%zu,%0*d\n", i, (int)(i * 7919 % 300) + 1, (int)i);
		append(&b, line, (size_t)n);
	}
	return b;
}

/* Reads on as long as lines come, and compares them; the return value is what came instead. */
static int compare(struct lines *l, struct bytes want, size_t *ret_lines)
{
	const char *line;
	size_t len, at = 0;
	int r;
	*ret_lines = 0;
	while ((r = lines_next(l, &line, &len)) == 1) {
		assert_true(at + len < want.n);
		assert_memory_equal(line, want.p + at, len);
		assert_int_equal(want.p[at + len], '\n');
		at += len + 1;
		assert_int_equal(lines_number(l), ++*ret_lines);
	}
	if (r == 0)
		assert_int_equal(at, want.n);
	return r;
}

static void plain(void **state)
{
	static const char text[] = "one\n\nthree\n";
	struct lines *l = open_bytes(text, strlen(text));
	assert_int_equal(lines_number(l), 0);
	expect_text(l, "one");
	assert_int_equal(lines_number(l), 1);
	expect_text(l, "");
	expect_text(l, "three");
	assert_int_equal(lines_number(l), 3);
	expect_end(l, 0);
	assert_int_equal(lines_number(l), 3);
	lines_free(l);
}

static void the_last_line_needs_no_newline(void **state)
{
	struct lines *l = open_bytes("a\nb", 3);
	expect_text(l, "a");
	expect_text(l, "b");
	expect_end(l, 0);
	lines_free(l);
	l = open_bytes("(\xb5/", 3); /* shorter than zstd's first bytes, and like them */
	expect_text(l, "(\xb5/");
	expect_end(l, 0);
	lines_free(l);
}

static void carriage_returns_stay(void **state)
{
	static const char text[] = "a,b\r\n\r\nc\rd\r";
	struct lines *l = open_bytes(text, strlen(text));
	expect_text(l, "a,b\r");
	expect_text(l, "\r");
	expect_text(l, "c\rd\r");
	expect_end(l, 0);
	lines_free(l);
}

static void zeros_are_bytes(void **state)
{
	struct lines *l = open_bytes("a\0b\n\0\n", 6);
	expect_line(l, "a\0b", 3);
	expect_line(l, "\0", 1);
	expect_end(l, 0);
	lines_free(l);
}

static void an_empty_file_has_no_line(void **state)
{
	struct lines *l = open_bytes("", 0);
	expect_end(l, 0);
	assert_int_equal(lines_number(l), 0);
	lines_free(l);

	struct bytes packed = { 0 };
	append_frame(&packed, "", 0);
	l = open_bytes(packed.p, packed.n);
	expect_end(l, 0);
	lines_free(l);
	free(packed.p);
}

static void a_missing_file_has_an_errno(void **state)
{
	struct lines *l;
	assert_int_equal(lines_new(&l, "/nowhere/at/all"), -ENOENT);
}

static void a_folder_is_no_file(void **state)
{
	struct lines *l;
	assert_int_equal(lines_new(&l, "/"), -EISDIR);
}

static void buffers_end_anywhere(void **state)
{
	struct bytes want = many_lines(40000), packed = { 0 };
	size_t n;
	assert_true(want.n > 5 * MB);
	struct lines *l = open_bytes(want.p, want.n);
	assert_int_equal(compare(l, want, &n), 0);
	assert_int_equal(n, 40000);
	lines_free(l);

	append_frame(&packed, want.p, want.n);
	assert_true(packed.n < want.n / 2);
	l = open_bytes(packed.p, packed.n);
	assert_int_equal(compare(l, want, &n), 0);
	assert_int_equal(n, 40000);
	lines_free(l);
	free(want.p);
	free(packed.p);
}

/* `cat a.zst b.zst` is a valid file: frames end in the middle of lines, and some are empty. */
static void several_frames(void **state)
{
	struct bytes want = many_lines(20000), packed = { 0 };
	size_t n, at = 0, step = 1;
	while (at < want.n) {
		size_t len = step < want.n - at ? step : want.n - at;
		append_frame(&packed, want.p + at, len);
		at += len;
		step = step * 3 + 1;
		append_frame(&packed, "", 0);
	}
	struct lines *l = open_bytes(packed.p, packed.n);
	assert_int_equal(compare(l, want, &n), 0);
	assert_int_equal(n, 20000);
	lines_free(l);
	free(want.p);
	free(packed.p);
}

/* Lines before the damage may come, wrong ones may not, and the end is no end. */
static void damage_is_seen(void **state)
{
	struct bytes want = many_lines(20000), packed = { 0 };
	size_t n;
	append_frame(&packed, want.p, want.n);

	for (size_t cut = 5; cut < packed.n; cut += packed.n / 7) {
		struct lines *l = open_bytes(packed.p, cut);
		assert_int_equal(compare(l, want, &n), -EBADMSG);
		lines_free(l);
	}
	struct lines *l = open_bytes(packed.p, packed.n - 1);
	assert_int_equal(compare(l, want, &n), -EBADMSG);
	lines_free(l);

	/* what follows a frame must be one */
	size_t whole = packed.n;
	append(&packed, "0,0\nplain text\n", 15);
	l = open_bytes(packed.p, packed.n);
	assert_int_equal(compare(l, want, &n), -EBADMSG);
	assert_int_equal(n, 20000);
	lines_free(l);

	/* one bit of the data; the checksum knows */
	packed.n = whole;
	for (size_t at = packed.n / 5; at < packed.n; at += packed.n / 5) {
		const char *line;
		size_t len;
		int r;
		packed.p[at] ^= 1;
		l = open_bytes(packed.p, packed.n);
		while ((r = lines_next(l, &line, &len)) == 1)
			;
		assert_int_equal(r, -EBADMSG);
		lines_free(l);
		packed.p[at] ^= 1;
	}
	free(want.p);
	free(packed.p);
}

/* Cut at 1 MB, so that no file can ask for any amount of memory; what is left is no line of its own; the line after it is whole again. */
static void check_long_line(const struct bytes *text, const char *as, size_t n)
{
	struct lines *l = open_bytes(as, n);
	expect_text(l, "before");
	expect_line(l, text->p + 7, MB);
	expect_text(l, "after");
	expect_end(l, 0);
	lines_free(l);
}

static void a_long_line_is_cut(void **state)
{
	struct bytes text = { 0 }, packed = { 0 };
	append(&text, "before\n", 7);
	for (size_t i = 0; i < 5 * MB / 2; i += 8) {
		char eight[16];
		snprintf(eight, sizeof eight, "%08zu", i % 100000000);
		append(&text, eight, 8);
	}
	append(&text, "\nafter", 6);
	check_long_line(&text, text.p, text.n);
	append_frame(&packed, text.p, text.n);
	check_long_line(&text, packed.p, packed.n);
	free(text.p);
	free(packed.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),                       cmocka_unit_test(the_last_line_needs_no_newline),
		cmocka_unit_test(carriage_returns_stay),       cmocka_unit_test(zeros_are_bytes),
		cmocka_unit_test(an_empty_file_has_no_line),   cmocka_unit_test(a_missing_file_has_an_errno),
		cmocka_unit_test(a_folder_is_no_file),     cmocka_unit_test(buffers_end_anywhere),
		cmocka_unit_test(several_frames),              cmocka_unit_test(damage_is_seen),
		cmocka_unit_test(a_long_line_is_cut),
	};
	return cmocka_run_group_tests(tests, make_path, remove_path);
}
