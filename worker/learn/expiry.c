/* expiry.c - see expiry.h. Reading order: learner_expire, expire, choose. */
#include "worker/learn/expiry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What may go: the less it is worth the sooner, then the older, then the lower row. */
struct victim { double worth; int64_t ms; uint32_t row; };

/* The `room` least of all that were offered: a heap with the one on top that would stay. */
struct victims { struct victim *v; size_t n, room; };

struct rules {
	int64_t ttl_ms;       /* 0 = never by age */
	int64_t *checked_ms;  /* the watermark when ages were last looked at */
	size_t live, born, max, rows;
	int (*read)(const struct learner *l, uint32_t row, struct victim *ret); /* 1 = the row is in use */
	int (*drop)(struct learner *l, struct staged *out, const struct victims *v);
};

static int before(const struct victim *a, const struct victim *b)
{
	if (a->worth != b->worth)
		return a->worth < b->worth;
	return a->ms != b->ms ? a->ms < b->ms : a->row < b->row;
}

static void offer(struct victims *h, struct victim x)
{
	size_t i = 0;
	if (h->n < h->room) {
		for (i = h->n++; i > 0 && before(&h->v[(i - 1) / 2], &x); i = (i - 1) / 2)
			h->v[i] = h->v[(i - 1) / 2];
		h->v[i] = x;
		return;
	}
	if (h->room == 0 || !before(&x, &h->v[0]))
		return;
	for (size_t c = 1; c < h->n; c = 2 * i + 1) {
		if (c + 1 < h->n && before(&h->v[c], &h->v[c + 1]))
			c++;
		if (!before(&x, &h->v[c]))
			break;
		h->v[i] = h->v[c];
		i = c;
	}
	h->v[i] = x;
}

size_t expiry_excess(size_t live, size_t born, size_t max)
{
	size_t room = (max + 7) / 8, most = max / 2;
	if (room < 2 * born)
		room = 2 * born;
	if (room > most)
		room = most;
	return live > max - (room + 1) / 2 ? live - (max - room) : 0;
}

static int is_old(const struct learner *l, const struct rules *k, const struct victim *x)
{
	return l->watermark_ms - x->ms > k->ttl_ms;
}

static void choose_old(const struct learner *l, const struct rules *k, struct victims *ret)
{
	size_t old = 0;
	ret->room = EXPIRE_MAX;
	for (uint32_t row = 0; row < k->rows; row++) {
		struct victim x;
		if (!k->read(l, row, &x) || !is_old(l, k, &x))
			continue;
		offer(ret, x);
		old++;
	}
	if (old <= EXPIRE_MAX)
		*k->checked_ms = l->watermark_ms;
}

static void choose_excess(const struct learner *l, const struct rules *k, struct victims *ret)
{
	size_t excess = expiry_excess(k->live, k->born, k->max);
	ret->room = excess < EXPIRE_MAX ? excess : EXPIRE_MAX;
	for (uint32_t row = 0; ret->room && row < k->rows; row++) {
		struct victim x;
		if (k->read(l, row, &x))
			offer(ret, x);
	}
}

/* Ages are looked at sixteen times a lifetime. */
static int is_due(const struct learner *l, const struct rules *k)
{
	return k->ttl_ms && l->watermark_ms - *k->checked_ms >= k->ttl_ms / 16;
}

static int expire(struct learner *l, struct staged *out, const struct rules *k)
{
	struct victims v = { 0 };
	int r = 0;
	if (!is_due(l, k) && expiry_excess(k->live, k->born, k->max) == 0)
		return 0;
	v.v = malloc(EXPIRE_MAX * sizeof *v.v);
	if (!v.v)
		return -ENOMEM;

	if (is_due(l, k))
		choose_old(l, k, &v);
	if (v.n == 0)
		choose_excess(l, k, &v);
	if (v.n)
		r = k->drop(l, out, &v);
	free(v.v);
	return r;
}

/* ---- items ---- */

static int read_item(const struct learner *l, uint32_t row, struct victim *ret)
{
	if (model_item_is_gone(l->model, row))
		return 0;
	*ret = (struct victim){ popularity_count(l->popularity, row), l->item_ms[row], row };
	return 1;
}

/* An item that came from a file and had no event yet: its age begins with the first look at it. */
static int date_items(struct learner *l)
{
	int r = 0;
	for (uint32_t row = 0; r == 0 && row < model_items(l->model); row++) {
		if (l->item_ms[row] || model_item_is_gone(l->model, row))
			continue;
		r = changes_row(l->changes, STATE_ITEM, row);
		l->item_ms[row] = l->watermark_ms;
	}
	return r;
}

static int drop_visits(struct learner *l, const uint8_t *gone)
{
	int r = 0;
	for (uint32_t row = 0; r == 0 && row < users_rows(l->users); row++) {
		if (!users_has_any(l->users, row, gone))
			continue;
		r = changes_row(l->changes, STATE_USER, row);
		users_drop_items(l->users, row, gone);
		if (r == 0 && users_get(l->users, row)->known == 0) {
			r = published_forget_user(l, row);
			l->expired_users++;
		}
	}
	return r;
}

static int drop_items(struct learner *l, struct staged *out, const struct victims *v)
{
	uint8_t *gone = calloc(model_items(l->model), 1);
	int r = gone ? 0 : -ENOMEM;
	for (size_t i = 0; r == 0 && i < v->n; i++) {
		gone[v->v[i].row] = 1;
		r = published_drop_item(l, out, v->v[i].row);
	}
	if (r == 0 && l->recent)
		recent_drop(l->recent, gone);
	if (r == 0 && l->covisit)
		covisit_drop(l->covisit, gone, model_items(l->model));
	if (r == 0)
		r = drop_visits(l, gone);
	l->expired_items += v->n;
	free(gone);
	return r;
}

/* ---- users ---- */

/* The oldest first. */
static int read_user(const struct learner *l, uint32_t row, struct victim *ret)
{
	const struct user *u = users_get(l->users, row);
	*ret = (struct victim){ (double)u->newest_ms, u->newest_ms, row };
	return u->live;
}

static int drop_users(struct learner *l, struct staged *out, const struct victims *v)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < v->n; i++)
		r = published_forget_user(l, v->v[i].row);
	l->expired_users += v->n;
	return r;
}

int learner_wants_room(const struct learner *l)
{
	return expiry_excess(idmap_count(l->item_ids), l->born_items, l->max_items) || expiry_excess(idmap_count(l->user_ids), l->born_users, l->max_users);
}

int learner_expire(struct learner *l, struct staged *out)
{
	struct rules items = { .ttl_ms = l->cfg->item_ttl_ms, .checked_ms = &l->item_checked_ms, .live = idmap_count(l->item_ids), .born = l->born_items, .max = l->max_items,
		.rows = model_items(l->model), .read = read_item, .drop = drop_items };
	int r = is_due(l, &items) ? date_items(l) : 0;
	if (r == 0)
		r = expire(l, out, &items);
	struct rules users = { .ttl_ms = l->cfg->user_ttl_ms, .checked_ms = &l->user_checked_ms, .live = idmap_count(l->user_ids), .born = l->born_users, .max = l->max_users,
		.rows = users_rows(l->users), .read = read_user, .drop = drop_users };
	if (r == 0)
		r = expire(l, out, &users);
	l->born_items = l->born_users = 0;
	return r;
}
