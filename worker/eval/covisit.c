/* covisit.c - see covisit.h */
#include "worker/eval/covisit.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RESCALE_AT 60.0 /* half-lives after which counts are scaled back, far below the range of float */
#define NOTHING 1e-30f  /* what a count that has been scaled back so far is */

struct successors { struct successor *s; uint32_t n, cap; };
struct covisit {
	struct successors *items;
	size_t cap;
	double half_life_ms; /* 0: none */
	int64_t origin_ms;   /* what follows at this time weighs 1 */
	int started;
};

int covisit_new(struct covisit **ret, int64_t half_life_ms)
{
	*ret = calloc(1, sizeof **ret);
	if (!*ret)
		return -ENOMEM;

	(*ret)->half_life_ms = (double)half_life_ms;
	return 0;
}

void covisit_free(struct covisit *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->cap; i++)
		free(c->items[i].s);
	free(c->items);
	free(c);
}

static int grow_items(struct covisit *c, size_t rows)
{
	size_t cap = c->cap ? c->cap : 1024;
	while (cap < rows)
		cap *= 2;
	if (cap == c->cap)
		return 0;
	struct successors *items = realloc(c->items, cap * sizeof *items);
	if (!items)
		return -ENOMEM;

	memset(items + c->cap, 0, (cap - c->cap) * sizeof *items);
	c->items = items;
	c->cap = cap;
	return 0;
}

static int grow_successors(struct successors *l)
{
	if (l->n < l->cap)
		return 0;
	uint32_t cap = l->cap ? l->cap * 2 : 8;
	struct successor *s = realloc(l->s, cap * sizeof *s);
	if (!s)
		return -ENOMEM;

	l->s = s;
	l->cap = cap;
	return 0;
}

/* All counts by so much, those that are nothing then go. */
static void scale(struct covisit *c, float by)
{
	for (size_t i = 0; i < c->cap; i++) {
		struct successors *l = &c->items[i];
		uint32_t n = 0;
		for (uint32_t k = 0; k < l->n; k++) {
			l->s[k].count *= by;
			if (l->s[k].count > NOTHING)
				l->s[n++] = l->s[k];
		}
		l->n = n;
	}
}

/* What an event at ts_ms adds to a count. */
static float weigh(struct covisit *c, int64_t ts_ms)
{
	if (c->half_life_ms == 0)
		return 1;
	if (!c->started)
		c->origin_ms = ts_ms;
	c->started = 1;
	double age = (double)(ts_ms - c->origin_ms) / c->half_life_ms;
	if (age > RESCALE_AT) {
		scale(c, (float)exp2(-age));
		c->origin_ms = ts_ms;
		age = 0;
	}
	return age < -RESCALE_AT ? NOTHING : (float)exp2(age);
}

int covisit_add(struct covisit *c, uint32_t item, uint32_t next, int64_t ts_ms)
{
	int r = grow_items(c, (size_t)item + 1);
	if (r < 0)
		return r;

	float weight = weigh(c, ts_ms);
	struct successors *l = &c->items[item];
	uint32_t rarest = 0;
	for (uint32_t i = 0; i < l->n; i++) {
		if (l->s[i].item == next) {
			l->s[i].count += weight;
			return 0;
		}
		if (l->s[i].count < l->s[rarest].count)
			rarest = i;
	}
	if (l->n == COVISIT_SUCCESSORS) {
		l->s[rarest] = (struct successor){ next, weight };
		return 0;
	}
	r = grow_successors(l);
	if (r < 0)
		return r;

	l->s[l->n++] = (struct successor){ next, weight };
	return 0;
}

void covisit_drop(struct covisit *c, const uint8_t *gone, size_t rows)
{
	for (size_t i = 0; i < c->cap && i < rows; i++) {
		struct successors *l = &c->items[i];
		uint32_t n = 0;
		for (uint32_t k = 0; !gone[i] && k < l->n; k++)
			if (!gone[l->s[k].item])
				l->s[n++] = l->s[k];
		l->n = n;
	}
}

uint32_t covisit_rank(const struct covisit *c, uint32_t item, uint32_t next, uint32_t popularity_rank)
{
	static const struct successors none;
	const struct successors *l = item < c->cap ? &c->items[item] : &none;
	float mine = 0;
	uint32_t better = 0, tied = 0;
	for (uint32_t i = 0; i < l->n; i++)
		if (l->s[i].item == next)
			mine = l->s[i].count;
	if (mine == 0)
		return l->n + popularity_rank;
	for (uint32_t i = 0; i < l->n; i++) {
		better += l->s[i].count > mine;
		tied += l->s[i].count == mine;
	}
	return better + tied / 2; /* `tied` holds the item itself */
}

size_t covisit_successors(const struct covisit *c, uint32_t item, const struct successor **ret)
{
	*ret = item < c->cap ? c->items[item].s : NULL;
	return item < c->cap ? c->items[item].n : 0;
}
