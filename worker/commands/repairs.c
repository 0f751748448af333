/* repairs.c - see redrive.h */
#include "worker/commands/redrive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "worker/lines.h"
#include "worker/log.h"

/* --- places --- */

static int number(const char **s, int64_t *ret)
{
	char *end;

	errno = 0;
	*ret = **s >= '0' && **s <= '9' ? strtoll(*s, &end, 10) : -1;
	if (errno || *ret < 0)
		return -EINVAL;
	*s = end;
	return 0;
}

struct range { int64_t partition, first, last; };

/* The next of "0:17,1:200-299"; *s: behind it and its comma. */
static int next_range(const char **s, struct range *ret)
{
	if (number(s, &ret->partition) < 0 || *(*s)++ != ':' || number(s, &ret->first) < 0)
		return -EINVAL;
	ret->last = ret->first;
	if (**s == '-') {
		++*s;
		if (number(s, &ret->last) < 0 || ret->last < ret->first)
			return -EINVAL;
	}
	if (**s == ',')
		return *++*s ? 0 : -EINVAL;
	return **s ? -EINVAL : 0;
}

int places_check(const char *text)
{
	struct range x;
	int r = 0;

	while (r == 0 && *text)
		r = next_range(&text, &x);
	return r;
}

int places_hold(const char *text, int64_t partition, int64_t offset)
{
	struct range x;

	if (!*text)
		return 1;
	while (*text && next_range(&text, &x) == 0)
		if (x.partition == partition && offset >= x.first && offset <= x.last)
			return 1;
	return 0;
}

/* --- values --- */

struct repairs {
	struct repair *at;
	size_t count, cap;
};

static int by_place(const void *a, const void *b)
{
	const struct repair *x = a, *y = b;

	if (x->partition != y->partition)
		return x->partition < y->partition ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int grow(struct repairs *r)
{
	size_t cap = r->cap ? 2 * r->cap : 64;
	struct repair *at = r->count < r->cap ? r->at : realloc(r->at, cap * sizeof *at);

	if (!at)
		return log_no_memory();
	r->cap = r->count < r->cap ? r->cap : cap;
	r->at = at;
	return 0;
}

static int add_line(struct repairs *r, const char *path, uint64_t n, const char *line, size_t len)
{
	const char *blank = memchr(line, ' ', len), *s = line;
	struct repair x = { 0 };
	int code;

	if (!blank || number(&s, &x.partition) < 0 || *s++ != ':' || number(&s, &x.offset) < 0 || s != blank) {
		log_error("%s line %llu is not of the form PARTITION:OFFSET VALUE", path, (unsigned long long)n);
		return EX_DATAERR;
	}
	code = grow(r);
	if (code)
		return code;
	x.len = len - (size_t)(blank + 1 - line);
	char *value = malloc(x.len + 1);
	if (!value)
		return log_no_memory();
	memcpy(value, blank + 1, x.len);
	x.value = value;
	r->at[r->count++] = x;
	return 0;
}

static int check_twice(const struct repairs *r, const char *path)
{
	for (size_t i = 1; i < r->count; i++)
		if (by_place(&r->at[i - 1], &r->at[i]) == 0) {
			log_error("%s has two values for %lld:%lld", path, (long long)r->at[i].partition, (long long)r->at[i].offset);
			return EX_DATAERR;
		}
	return 0;
}

static int read_lines(struct repairs *r, struct lines *l, const char *path)
{
	const char *line;
	size_t len;
	int n, code = 0;

	while (code == 0 && (n = lines_next(l, &line, &len)) > 0)
		if (len)
			code = add_line(r, path, lines_number(l), line, len);
	if (code == 0 && n < 0) {
		log_error("%s after line %llu: %s", path, (unsigned long long)lines_number(l), strerror(-n));
		code = EX_NOINPUT;
	}
	return code;
}

int repairs_new(struct repairs **ret, const char *path)
{
	struct repairs *r = calloc(1, sizeof *r);
	struct lines *l = NULL;
	int n, code = 0;

	if (!r)
		return log_no_memory();
	n = lines_new(&l, path);
	if (n < 0) {
		log_error("%s: %s", path, strerror(-n));
		code = EX_NOINPUT;
	}
	if (code == 0)
		code = read_lines(r, l, path);
	lines_free(l);
	if (code == 0 && r->count)
		qsort(r->at, r->count, sizeof *r->at, by_place);
	if (code == 0)
		code = check_twice(r, path);
	if (code)
		repairs_free(r);
	else
		*ret = r;
	return code;
}

void repairs_free(struct repairs *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->count; i++)
		free((char *)r->at[i].value);
	free(r->at);
	free(r);
}

struct repair *repairs_find(const struct repairs *r, int64_t partition, int64_t offset)
{
	const struct repair key = { .partition = partition, .offset = offset };

	return r->count ? bsearch(&key, r->at, r->count, sizeof *r->at, by_place) : NULL;
}

size_t repairs_unused(const struct repairs *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->count; i++)
		n += !r->at[i].used;
	return n;
}
