/* popularity.c - see popularity.h */
#include "worker/eval/popularity.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RESCALE_AT 500.0 /* half-lives after which counts are scaled back, far below the range of double */

struct popularity {
	double *count;
	size_t cap;
	double half_life_ms;
	int64_t origin_ms; /* an event at this time weighs 1 */
	int started;
};

int popularity_new(struct popularity **ret, int64_t half_life_ms)
{
	struct popularity *p = calloc(1, sizeof *p);
	if (!p)
		return -ENOMEM;

	p->half_life_ms = (double)half_life_ms;
	*ret = p;
	return 0;
}

void popularity_free(struct popularity *p)
{
	if (!p)
		return;
	free(p->count);
	free(p);
}

static int grow(struct popularity *p, size_t rows)
{
	if (rows <= p->cap)
		return 0;
	size_t cap = p->cap ? p->cap : 1024;
	while (cap < rows)
		cap *= 2;
	double *count = realloc(p->count, cap * sizeof *count);
	if (!count)
		return -ENOMEM;

	memset(count + p->cap, 0, (cap - p->cap) * sizeof *count);
	p->count = count;
	p->cap = cap;
	return 0;
}

static double age_of(const struct popularity *p, int64_t ts_ms)
{
	return (double)(ts_ms - p->origin_ms) / p->half_life_ms;
}

int popularity_will_rescale(const struct popularity *p, int64_t ts_ms)
{
	return p->started && age_of(p, ts_ms) > RESCALE_AT;
}

int popularity_add(struct popularity *p, uint32_t item, int64_t ts_ms)
{
	int r = grow(p, (size_t)item + 1);
	if (r < 0)
		return r;

	if (!p->started) {
		p->origin_ms = ts_ms;
		p->started = 1;
	}
	double age = age_of(p, ts_ms);
	if (age > RESCALE_AT) {
		double scale = exp2(-age);
		for (size_t i = 0; i < p->cap; i++)
			p->count[i] *= scale;
		p->origin_ms = ts_ms;
		age = 0;
	}
	p->count[item] += exp2(age);
	return 0;
}

uint32_t popularity_rank(const struct popularity *p, uint32_t item, size_t items, size_t gone)
{
	size_t known = items < p->cap ? items : p->cap;
	double mine = item < p->cap ? p->count[item] : 0;
	size_t better = 0, tied = 0;
	for (size_t i = 0; i < known; i++) {
		better += p->count[i] > mine;
		tied += p->count[i] == mine;
	}
	if (mine == 0)
		tied += items - known - gone;
	return (uint32_t)(better + (tied ? tied / 2 : 0));
}

double popularity_count(const struct popularity *p, uint32_t item)
{
	return item < p->cap ? p->count[item] : 0;
}

int popularity_restore(struct popularity *p, uint32_t item, double count)
{
	int r = grow(p, (size_t)item + 1);
	if (r < 0)
		return r;
	p->count[item] = count;
	return 0;
}

void popularity_origin(struct popularity *p, int **ret_started, int64_t **ret_origin_ms)
{
	*ret_started = &p->started;
	*ret_origin_ms = &p->origin_ms;
}
