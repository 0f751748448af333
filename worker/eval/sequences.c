/* sequences.c - see sequences.h */
#include "worker/eval/sequences.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "worker/lines.h"

#define LINE_MAX_BYTES (1024 * 1024) /* lines.h cuts longer ones */

/* The reading of one file. */
struct reading {
	struct sequences *s;
	struct lines *lines;
	const char *path;
	struct idmap *user_ids; /* row = line - 1 */
	size_t users_max, items_max;
	char *why;
	size_t why_size;
};

#define FAIL(r, code, ...) (snprintf((r)->why, (r)->why_size, __VA_ARGS__), code)
#define BAD_LINE(r, fmt, ...) \
	FAIL(r, EX_DATAERR, "%s line %llu: " fmt, (r)->path, (unsigned long long)lines_number((r)->lines), ##__VA_ARGS__)

static int no_memory(struct reading *r)
{
	return FAIL(r, EX_OSERR, "out of memory after %zu users and %zu events of %s", r->s->users, r->s->events, r->path);
}

/* Room for one more of *array. */
static int grow(uint32_t **array, size_t *cap, size_t used)
{
	size_t more = *cap ? 2 * *cap : 1024;
	uint32_t *grown;

	if (used < *cap)
		return 0;
	grown = reallocarray(*array, more, sizeof *grown);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*cap = more;
	return 0;
}

/* The next word of line[*at .. len); its length, 0 = none left. */
static size_t next_word(const char **ret, const char *line, size_t len, size_t *at)
{
	size_t from;

	while (*at < len && strchr(" \t\r", line[*at]))
		++*at;
	from = *at;
	while (*at < len && !strchr(" \t\r", line[*at]))
		++*at;
	*ret = line + from;
	return *at - from;
}

static int add_event(struct reading *r, const char *id, size_t len)
{
	struct sequences *s = r->s;
	uint32_t row;
	int fresh, e = idmap_intern(s->ids, &row, &fresh, id, len);

	if (e == -ENOSPC)
		return BAD_LINE(r, "more than %zu different items: raise max.items", r->items_max);
	if (s->events == UINT32_MAX - 1)
		return BAD_LINE(r, "more than %zu events", s->events);
	if (e < 0 || grow(&s->item, &s->events_cap, s->events) < 0)
		return no_memory(r);
	s->item[s->events++] = row;
	return 0;
}

static int add_user(struct reading *r, const char *line, size_t len)
{
	struct sequences *s = r->s;
	size_t at = 0, first = s->events, n;
	const char *user, *id;
	size_t user_len = next_word(&user, line, len, &at);
	uint32_t row;
	int fresh, e;

	if (len == LINE_MAX_BYTES)
		return BAD_LINE(r, "longer than 1 MB: one user a line is expected");
	if (user_len == 0)
		return BAD_LINE(r, "empty: each line is a user and its items in time order");
	if (s->users == r->users_max)
		return BAD_LINE(r, "more than %zu users: raise max.users", r->users_max);
	e = idmap_intern(r->user_ids, &row, &fresh, user, user_len);
	if (e < 0)
		return no_memory(r);
	if (!fresh)
		return BAD_LINE(r, "user %.*s stands in line %u already: one line a user, all its items in it", user_len < 64 ? (int)user_len : 64, user, row + 1);
	while (e == 0 && (n = next_word(&id, line, len, &at)) > 0)
		e = add_event(r, id, n);
	if (e)
		return e;
	if (s->events - first < SEQUENCE_MIN)
		return BAD_LINE(r, "user %.*s has %zu item%s, and leave-one-out needs at least %d: drop such users",
		                user_len < 64 ? (int)user_len : 64, user, s->events - first, s->events - first == 1 ? "" : "s", SEQUENCE_MIN);

	s->users++;
	if (grow(&s->start, &s->users_cap, s->users) < 0)
		return no_memory(r);
	s->start[s->users] = (uint32_t)s->events;
	return 0;
}

static int read_lines(struct reading *r)
{
	const char *line;
	size_t len;
	int e;

	if (grow(&r->s->start, &r->s->users_cap, 0) < 0)
		return no_memory(r);
	r->s->start[0] = 0;
	while ((e = lines_next(r->lines, &line, &len)) != 0) {
		if (e == -EINTR)
			continue;
		if (e == -EBADMSG)
			return BAD_LINE(r, "damaged zstd data after it");
		if (e < 0)
			return FAIL(r, EX_NOINPUT, "cannot read %s: %s", r->path, strerror(-e));
		e = add_user(r, line, len);
		if (e)
			return e;
	}
	if (r->s->users == 0)
		return FAIL(r, EX_DATAERR, "%s is empty: one line a user is expected, the user and its items in time order", r->path);
	r->s->items = idmap_rows(r->s->ids);
	return 0;
}

int sequences_read(struct sequences *ret, const char *path, size_t users_max, size_t items_max, char *why, size_t why_size)
{
	struct sequences s = { 0 };
	struct reading r = { .s = &s, .path = path, .users_max = users_max, .items_max = items_max, .why = why, .why_size = why_size };
	int e = lines_new(&r.lines, path);

	if (e == -ENOMEM)
		return no_memory(&r);
	if (e < 0)
		return FAIL(&r, EX_NOINPUT, "cannot read %s: %s", path, e == -EISDIR ? "it is a folder" : strerror(-e));
	e = idmap_new(&s.ids, items_max) < 0 || idmap_new(&r.user_ids, users_max) < 0 ? no_memory(&r) : read_lines(&r);
	idmap_free(r.user_ids);
	lines_free(r.lines);
	if (e)
		sequences_release(&s);
	else
		*ret = s;
	return e;
}

void sequences_release(struct sequences *s)
{
	free(s->start);
	free(s->item);
	idmap_free(s->ids);
	*s = (struct sequences){ 0 };
}
