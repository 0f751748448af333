/* sketch.c - see sketch.h */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "worker/learn/sketch.h"

#include <errno.h>
#include <stdlib.h>

struct sketch {
	uint8_t *cell; /* (SKETCH_ROWS, width) */
	size_t width;
	uint64_t added;
};

int sketch_new(struct sketch **ret, size_t cells)
{
	struct sketch *s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;

	s->width = cells;
	s->cell = calloc(SKETCH_ROWS, cells);
	if (!s->cell) {
		free(s);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

void sketch_free(struct sketch *s)
{
	if (!s)
		return;
	free(s->cell);
	free(s);
}

static void halve(struct sketch *s)
{
	for (size_t i = 0; i < SKETCH_ROWS * s->width; i++)
		s->cell[i] /= 2;
	s->added = 0;
}

unsigned sketch_add(struct sketch *s, const char *id, size_t len)
{
	uint64_t hash = XXH3_64bits(id, len), step = hash >> 32 | 1;
	uint8_t *at[SKETCH_ROWS];
	unsigned least = SKETCH_COUNT_MAX;
	if (s->added++ >= s->width)
		halve(s);
	for (size_t i = 0; i < SKETCH_ROWS; i++) {
		at[i] = &s->cell[i * s->width + (uint32_t)hash % s->width];
		least = *at[i] < least ? *at[i] : least;
		hash += step;
	}
	if (least == SKETCH_COUNT_MAX)
		return least;
	for (size_t i = 0; i < SKETCH_ROWS; i++) /* only the least cells tell something of this id: the others are not made worse */
		*at[i] = *at[i] == least ? (uint8_t)(least + 1) : *at[i];
	return least + 1;
}

uint8_t *sketch_cells(struct sketch *s, size_t *ret_bytes, uint64_t **ret_added)
{
	*ret_bytes = SKETCH_ROWS * s->width;
	*ret_added = &s->added;
	return s->cell;
}
