/* users.c - see users.h */
#include "worker/learn/users.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NOBODY UINT32_MAX
#define LENGTH_MAX 4096 /* lengths above this count as this in the histogram */

struct users {
	struct user *u;
	size_t rows, cap, rows_max, keep;
	uint64_t hist[LENGTH_MAX + 1]; /* live users by number of events */
	uint64_t live;
	uint32_t head_above;           /* head users have more events than this */
	uint64_t longer;               /* how many they are */
	uint32_t oldest, newest;       /* ends of the list of published users */
};

int users_new(struct users **ret, size_t rows_max, size_t keep)
{
	assert(keep >= 1 && keep < UINT16_MAX);
	struct users *s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;

	s->oldest = s->newest = NOBODY;
	s->rows_max = rows_max;
	s->keep = keep;
	*ret = s;
	return 0;
}

void users_free(struct users *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->rows; i++)
		free(s->u[i].visits);
	free(s->u);
	free(s);
}

size_t users_rows(const struct users *s)
{
	return s->rows;
}

struct user *users_get(struct users *s, uint32_t row)
{
	assert(row < s->rows);
	return &s->u[row];
}

static int grow_rows(struct users *s, uint32_t row)
{
	if (row < s->cap)
		return 0;
	size_t cap = s->cap ? s->cap * 2 : 1024;
	while (cap <= row)
		cap *= 2;
	if (cap > s->rows_max && row < s->rows_max)
		cap = s->rows_max;
	struct user *u = realloc(s->u, cap * sizeof *u);
	if (!u)
		return -ENOMEM;

	memset(u + s->cap, 0, (cap - s->cap) * sizeof *u);
	s->u = u;
	s->cap = cap;
	return 0;
}

/* Head users have more events than head_above: the smallest length such that at most 20 % of the live users are longer.
 * One event moves it by a length or two, so it is walked from where it stands; `longer` counts the users above it. */
static void walk_head(struct users *s)
{
	while (s->head_above < LENGTH_MAX && s->longer * 5 > s->live)
		s->longer -= s->hist[++s->head_above];
	while (s->head_above > 0 && (s->longer + s->hist[s->head_above]) * 5 <= s->live)
		s->longer += s->hist[s->head_above--];
}

static void count_user(struct users *s, uint32_t events, int sign)
{
	uint32_t n = events < LENGTH_MAX ? events : LENGTH_MAX;
	s->hist[n] += (uint64_t)(int64_t)sign;
	if (n > s->head_above)
		s->longer += (uint64_t)(int64_t)sign;
}

int users_append(struct users *s, uint32_t row, struct visit visit, int64_t ts_ms)
{
	int r = grow_rows(s, row);
	if (r < 0)
		return r;

	struct user *u = &s->u[row];
	if (u->len == u->cap && u->cap < s->keep) {
		size_t cap = u->cap ? u->cap * 2u : 4;
		if (cap > s->keep)
			cap = s->keep;
		struct visit *visits = realloc(u->visits, cap * sizeof *visits);
		if (!visits)
			return -ENOMEM;

		u->visits = visits;
		u->cap = (uint16_t)cap;
	}
	if (row >= s->rows)
		s->rows = row + 1;
	if (!u->live) {
		u->live = 1;
		s->live++;
	} else {
		count_user(s, u->events, -1);
	}
	if (u->len == s->keep) {
		memmove(u->visits, u->visits + 1, (s->keep - 1) * sizeof *u->visits);
		u->len--;
	}
	u->visits[u->len++] = visit;
	if (u->fresh < u->len)
		u->fresh++;
	if (u->events < UINT32_MAX)
		u->events++;
	count_user(s, u->events, 1);
	if (ts_ms > u->newest_ms)
		u->newest_ms = ts_ms;
	walk_head(s);
	return 0;
}

static void unlink_user(struct users *s, uint32_t row)
{
	const struct user *u = &s->u[row];
	if (!u->published)
		return;
	*(u->older == NOBODY ? &s->oldest : &s->u[u->older].newer) = u->newer;
	*(u->newer == NOBODY ? &s->newest : &s->u[u->newer].older) = u->older;
}

static void link_newest(struct users *s, uint32_t row)
{
	struct user *u = &s->u[row];
	u->older = s->newest;
	u->newer = NOBODY;
	*(s->newest == NOBODY ? &s->oldest : &s->u[s->newest].newer) = row;
	s->newest = row;
}

void users_encoded(struct users *s, uint32_t row, uint64_t step)
{
	struct user *u = users_get(s, row);
	unlink_user(s, row);
	u->published = 1;
	u->encoded_step = step;
	link_newest(s, row);
}

uint32_t users_oldest(const struct users *s)
{
	return s->oldest;
}

struct by_step { uint64_t step; uint32_t row; };

static int older_first(const void *a, const void *b)
{
	const struct by_step *x = a, *y = b;
	return x->step != y->step ? (x->step > y->step) - (x->step < y->step) : (x->row > y->row) - (x->row < y->row);
}

int users_order(struct users *s)
{
	size_t n = 0;
	struct by_step *of = malloc(s->rows * sizeof *of + 1);
	if (!of)
		return -ENOMEM;

	for (uint32_t row = 0; row < s->rows; row++)
		if (s->u[row].live && s->u[row].published)
			of[n++] = (struct by_step){ s->u[row].encoded_step, row };
	qsort(of, n, sizeof *of, older_first);
	s->oldest = s->newest = NOBODY;
	for (size_t i = 0; i < n; i++)
		link_newest(s, of[i].row);
	free(of);
	return 0;
}

void users_remove(struct users *s, uint32_t row)
{
	struct user *u = users_get(s, row);
	if (!u->live)
		return;
	count_user(s, u->events, -1);
	s->live--;
	unlink_user(s, row);
	free(u->visits);
	memset(u, 0, sizeof *u);
	walk_head(s);
}

int users_is_head(const struct users *s, uint32_t row)
{
	return s->u[row].events > s->head_above;
}

int users_restore(struct users *s, uint32_t row, const struct user *u)
{
	if (u->len > s->keep)
		return -EINVAL;
	int r = users_set_rows(s, row >= s->rows ? (size_t)row + 1 : s->rows);
	if (r < 0)
		return r;

	struct visit *visits = malloc(u->len * sizeof *visits + 1);
	if (!visits)
		return -ENOMEM;
	memcpy(visits, u->visits, u->len * sizeof *visits);
	users_remove(s, row);
	s->u[row] = *u;
	if (u->published)
		link_newest(s, row); /* for now: users_order follows */
	s->u[row].visits = visits;
	s->u[row].cap = u->len;
	s->u[row].live = 1;
	s->live++;
	count_user(s, u->events, 1);
	walk_head(s);
	return 0;
}

int users_set_rows(struct users *s, size_t rows)
{
	if (rows < s->rows || rows > s->rows_max)
		return -EINVAL;
	if (rows && grow_rows(s, (uint32_t)(rows - 1)) < 0)
		return -ENOMEM;
	s->rows = rows;
	return 0;
}
