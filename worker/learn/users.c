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

/* Both at most INT64_MAX and not negative, so the difference is one. */
static uint32_t behind(const struct user *u, int64_t ts_ms)
{
	int64_t ms = u->newest_ms - ts_ms;
	return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

enum arrival users_arrival(const struct users *s, uint32_t row, uint64_t id, int64_t ts_ms, int64_t lateness_ms)
{
	const struct user *u = row < s->rows ? &s->u[row] : NULL;
	if (!u || u->len == 0)
		return ARRIVAL_NEW;
	for (size_t i = 0; id && i < u->len; i++)
		if (u->visits[i].id == id)
			return ARRIVAL_DUPLICATE;
	if (ts_ms >= u->newest_ms)
		return ARRIVAL_NEW;
	uint32_t before_ms = behind(u, ts_ms);
	return before_ms > lateness_ms || (u->len == s->keep && before_ms >= u->visits[0].before_ms) ? ARRIVAL_LATE : ARRIVAL_NEW;
}

static int grow_visits(struct users *s, struct user *u)
{
	if (u->len < u->cap || u->cap == s->keep)
		return 0;
	size_t cap = u->cap ? u->cap * 2u : 4;
	if (cap > s->keep)
		cap = s->keep;
	struct visit *visits = realloc(u->visits, cap * sizeof *visits);
	if (!visits)
		return -ENOMEM;

	u->visits = visits;
	u->cap = (uint16_t)cap;
	return 0;
}

/* The newest event moves on: all others are so much further behind it. */
static void move_newest(struct user *u, int64_t ts_ms)
{
	int64_t by_ms = ts_ms - u->newest_ms;
	for (size_t i = 0; i < u->len; i++) {
		uint32_t left = UINT32_MAX - u->visits[i].before_ms;
		u->visits[i].before_ms += by_ms > left ? left : (uint32_t)by_ms;
	}
	u->newest_ms = ts_ms;
}

static void insert(struct users *s, struct user *u, struct visit visit)
{
	size_t at = u->len;
	while (at > 0 && u->visits[at - 1].before_ms < visit.before_ms)
		at--;
	if (u->len < s->keep) {
		memmove(u->visits + at + 1, u->visits + at, (u->len++ - at) * sizeof visit);
	} else { /* the oldest leaves */
		assert(at > 0);
		u->known -= u->visits[0].item != NO_ITEM;
		memmove(u->visits, u->visits + 1, --at * sizeof visit);
	}
	u->visits[at] = visit;
	u->known += visit.item != NO_ITEM;
}

int users_add(struct users *s, uint32_t row, struct visit visit, int64_t ts_ms)
{
	int r = grow_rows(s, row);
	if (r == 0)
		r = grow_visits(s, &s->u[row]);
	if (r < 0)
		return r;

	struct user *u = &s->u[row];
	if (row >= s->rows)
		s->rows = row + 1;
	if (!u->live) {
		u->live = 1;
		u->newest_ms = ts_ms;
		s->live++;
	} else {
		count_user(s, u->events, -1);
	}
	if (ts_ms > u->newest_ms)
		move_newest(u, ts_ms);
	visit.before_ms = behind(u, ts_ms);
	insert(s, u, visit);
	if (u->events < UINT32_MAX)
		u->events++;
	count_user(s, u->events, 1);
	walk_head(s);
	return 0;
}

uint32_t users_last_item(const struct user *u)
{
	for (size_t i = u->len; i-- > 0;)
		if (u->visits[i].item != NO_ITEM)
			return u->visits[i].item;
	return NO_ITEM;
}

int users_has_any(const struct users *s, uint32_t row, const uint8_t *gone)
{
	const struct user *u = &s->u[row];
	for (size_t i = 0; i < u->len; i++)
		if (u->visits[i].item != NO_ITEM && gone[u->visits[i].item])
			return 1;
	return 0;
}

void users_drop_items(struct users *s, uint32_t row, const uint8_t *gone)
{
	struct user *u = users_get(s, row);
	for (size_t i = 0; i < u->len; i++)
		if (u->visits[i].item != NO_ITEM && gone[u->visits[i].item]) {
			u->visits[i].item = NO_ITEM;
			u->known--;
		}
}

void users_trained(struct users *s, uint32_t row)
{
	struct user *u = users_get(s, row);
	for (size_t i = 0; i < u->len; i++)
		u->visits[i].fresh = 0;
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

void users_withdrawn(struct users *s, uint32_t row)
{
	unlink_user(s, row);
	users_get(s, row)->published = 0;
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

int user_has_target(const struct user *u)
{
	return u->live && u->known >= 2;
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
	s->u[row].known = 0;
	for (size_t i = 0; i < u->len; i++)
		s->u[row].known += visits[i].item != NO_ITEM;
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
