/* recent.c - see recent.h */
#include "worker/learn/recent.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct recent {
	uint32_t *item;           /* (max) ring */
	size_t max, n, next;
	uint32_t *count;          /* (cap) by row */
	size_t cap, items_max;
};

int recent_new(struct recent **ret, size_t events, size_t items_max)
{
	struct recent *r = calloc(1, sizeof *r);
	if (!r)
		return -ENOMEM;

	r->max = events;
	r->items_max = items_max;
	r->item = calloc(events, sizeof *r->item); /* what is not filled yet goes to the state, too */
	if (!r->item) {
		free(r);
		return -ENOMEM;
	}
	*ret = r;
	return 0;
}

void recent_free(struct recent *r)
{
	if (!r)
		return;
	free(r->item);
	free(r->count);
	free(r);
}

static int grow(struct recent *r, size_t rows)
{
	size_t cap = r->cap ? r->cap : 1024;
	if (rows <= r->cap)
		return 0;
	while (cap < rows)
		cap *= 2;
	uint32_t *count = realloc(r->count, cap * sizeof *count);
	if (!count)
		return -ENOMEM;

	memset(count + r->cap, 0, (cap - r->cap) * sizeof *count);
	r->count = count;
	r->cap = cap;
	return 0;
}

int recent_add(struct recent *r, uint32_t item)
{
	assert(item < r->items_max);
	if (grow(r, (size_t)item + 1) < 0)
		return -ENOMEM;

	if (r->n == r->max)
		r->count[r->item[r->next]]--;
	else
		r->n++;
	r->item[r->next] = item;
	r->next = (r->next + 1) % r->max;
	r->count[item]++;
	return 0;
}

static void reverse(uint32_t *x, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		uint32_t t = x[i];
		x[i] = x[n - 1 - i];
		x[n - 1 - i] = t;
	}
}

/* The oldest event to the beginning of a full ring: three reversals turn it. */
static void straighten(struct recent *r)
{
	if (r->n < r->max)
		return;
	reverse(r->item, r->next);
	reverse(r->item + r->next, r->max - r->next);
	reverse(r->item, r->max);
	r->next = 0;
}

void recent_drop(struct recent *r, const uint8_t *gone)
{
	size_t n = 0;
	straighten(r);
	for (size_t i = 0; i < r->n; i++) {
		if (gone[r->item[i]])
			r->count[r->item[i]]--;
		else
			r->item[n++] = r->item[i];
	}
	memset(r->item + n, 0, (r->n - n) * sizeof *r->item);
	r->n = n;
	r->next = n % r->max;
}

const uint32_t *recent_items(const struct recent *r, size_t *ret_n)
{
	*ret_n = r->n;
	return r->item;
}

const uint32_t *recent_counts(struct recent *r, size_t items)
{
	return grow(r, items) < 0 ? NULL : r->count;
}

uint32_t *recent_ring(struct recent *r, size_t *ret_n, size_t *ret_next)
{
	*ret_n = r->n;
	*ret_next = r->next;
	return r->item;
}

int recent_restore(struct recent *r, size_t n, size_t next)
{
	if (n > r->max || next >= r->max || (n < r->max && next != n))
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (r->item[i] >= r->items_max)
			return -EINVAL;
		if (grow(r, (size_t)r->item[i] + 1) < 0)
			return -ENOMEM;
		r->count[r->item[i]]++;
	}
	r->n = n;
	r->next = next;
	return 0;
}
