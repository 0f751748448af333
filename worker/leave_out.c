/* leave_out.c - see leave_out.h */
#include "worker/leave_out.h"

#include <stdlib.h>
#include <string.h>

#include "model/idmap.h"
#include "worker/events_file.h"
#include "worker/log.h"

struct place { int64_t ts_ms; uint64_t line; };

struct leave_out {
	size_t n, cap;
	struct idmap *users;
	struct place *newest; /* (cap, n) oldest first; line 0 = none */
};

/* None is before all. */
static int is_before(const struct place *a, const struct place *b)
{
	if (!a->line || !b->line)
		return !a->line && b->line;
	return a->ts_ms != b->ts_ms ? a->ts_ms < b->ts_ms : a->line < b->line;
}

static int reserve(struct leave_out *x, size_t users)
{
	size_t cap = x->cap ? x->cap : 1024;

	if (users <= x->cap)
		return 0;
	while (cap < users)
		cap *= 2;
	struct place *grown = reallocarray(x->newest, cap, x->n * sizeof *grown);
	if (!grown)
		return log_no_memory();

	memset(grown + x->cap * x->n, 0, (cap - x->cap) * x->n * sizeof *grown);
	x->newest = grown;
	x->cap = cap;
	return 0;
}

static int note(struct leave_out *x, const struct event *ev, uint64_t line)
{
	struct place p = { ev->ts_ms, line }, *newest;
	uint32_t user;
	int is_new, code;

	if (idmap_intern(x->users, &user, &is_new, ev->user, ev->user_len) < 0)
		return log_no_memory();
	code = reserve(x, (size_t)user + 1);
	if (code)
		return code;
	newest = x->newest + user * x->n;
	if (is_before(&p, newest))
		return 0;
	size_t i = 0; /* the oldest gives way */
	for (; i + 1 < x->n && is_before(&newest[i + 1], &p); i++)
		newest[i] = newest[i + 1];
	newest[i] = p;
	return 0;
}

static int read_all(struct leave_out *x, struct events_file *f)
{
	struct events_read read;
	enum events_line what = LINE_SIGNAL;
	int code = 0;

	events_file_quiet(f); /* whoever reads it next says what is bad */
	while (code == 0 && what != LINE_END) {
		what = events_file_next(f, &read);
		if (what == LINE_FAILED)
			code = read.code;
		if (what == LINE_EVENT)
			code = note(x, &read.event, events_file_line(f));
	}
	return code;
}

int leave_out_new(struct leave_out **ret, const struct config *c, const char *path, size_t n)
{
	struct leave_out *x = calloc(1, sizeof *x);
	struct events_file *f = NULL;
	int code = x && idmap_new(&x->users, UINT32_MAX) == 0 ? 0 : log_no_memory();

	if (code == 0) {
		x->n = n;
		code = events_file_new(&f, c, path);
	}
	if (code == 0)
		code = read_all(x, f);
	events_file_free(f);
	if (code)
		leave_out_free(x);
	else
		*ret = x;
	return code;
}

void leave_out_free(struct leave_out *x)
{
	if (!x)
		return;
	idmap_free(x->users);
	free(x->newest);
	free(x);
}

int leave_out_has(const struct leave_out *x, const struct event *ev, uint64_t line)
{
	uint32_t user = idmap_find(x->users, ev->user, ev->user_len);

	return user != UINT32_MAX && !is_before(&(struct place){ ev->ts_ms, line }, x->newest + user * x->n);
}

size_t leave_out_users(const struct leave_out *x) { return idmap_count(x->users); }
