/* idmap.c - open addressing with linear probing; a slot holds (hash, row), the id itself belongs to the row.
 * Deletion moves later entries back (no tombstones), so a long-lived map with many removals stays fast.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/idmap.h"

#define NONE UINT32_MAX

struct slot {
	uint32_t hash, row; /* row NONE = empty */
};

struct entry {
	char *id; /* owned; NULL = no id (removed, or free again) */
	uint32_t len;
};

struct idmap {
	struct slot *slot;
	size_t slots;   /* a power of two, at least 4/3 of the live ids */
	struct entry *entry;
	uint32_t *heap; /* reusable rows, a min-heap; as long as entry, so idmap_reuse cannot fail */
	size_t entries; /* room */
	size_t heap_n, rows, live, rows_max;
};

static uint32_t hash_of(const char *id, size_t len) { return (uint32_t)XXH3_64bits(id, len); }

int idmap_new(struct idmap **ret, size_t rows_max)
{
	struct idmap *x = calloc(1, sizeof *x);

	if (!x)
		return -ENOMEM;

	x->rows_max = rows_max < NONE - 2 ? rows_max : NONE - 2; /* NO_ROW and MASK_ROW are no rows */
	x->slots = 64;
	x->slot = malloc(x->slots * sizeof *x->slot);
	if (!x->slot) {
		free(x);
		return -ENOMEM;
	}

	memset(x->slot, 0xff, x->slots * sizeof *x->slot);
	*ret = x;
	return 0;
}

void idmap_free(struct idmap *x)
{
	if (!x)
		return;
	for (size_t i = 0; i < x->rows; i++)
		free(x->entry[i].id);
	free(x->entry);
	free(x->heap);
	free(x->slot);
	free(x);
}

size_t idmap_count(const struct idmap *x) { return x->live; }
size_t idmap_rows(const struct idmap *x) { return x->rows; }

/* The slot of the id, or the empty slot where it would go. */
static size_t slot_find(const struct idmap *x, uint32_t hash, const char *id, size_t len)
{
	size_t mask = x->slots - 1, i = hash & mask;

	for (; x->slot[i].row != NONE; i = (i + 1) & mask) {
		const struct entry *e;

		if (x->slot[i].hash != hash)
			continue;
		e = &x->entry[x->slot[i].row];
		if (e->len == len && memcmp(e->id, id, len) == 0)
			break;
	}
	return i;
}

uint32_t idmap_find(const struct idmap *x, const char *id, size_t len)
{
	return x->slot[slot_find(x, hash_of(id, len), id, len)].row;
}

static int grow_slots(struct idmap *x)
{
	size_t slots = x->slots * 2, mask = slots - 1;
	struct slot *slot = malloc(slots * sizeof *slot);

	if (!slot)
		return -ENOMEM;

	memset(slot, 0xff, slots * sizeof *slot);
	for (size_t i = 0; i < x->slots; i++) {
		size_t j = x->slot[i].hash & mask;

		if (x->slot[i].row == NONE)
			continue;
		while (slot[j].row != NONE)
			j = (j + 1) & mask;
		slot[j] = x->slot[i];
	}
	free(x->slot);
	x->slot = slot;
	x->slots = slots;
	return 0;
}

static int grow_entries(struct idmap *x, size_t rows)
{
	size_t n = x->entries ? x->entries * 2 : 64;
	struct entry *entry;
	uint32_t *heap;

	while (n < rows)
		n *= 2;
	entry = realloc(x->entry, n * sizeof *entry);
	if (!entry)
		return -ENOMEM;

	x->entry = entry;
	heap = realloc(x->heap, n * sizeof *heap);
	if (!heap)
		return -ENOMEM;

	x->heap = heap;
	x->entries = n;
	return 0;
}

static uint32_t heap_pop(struct idmap *x)
{
	uint32_t top = x->heap[0], last = x->heap[--x->heap_n];
	size_t i = 0;

	for (size_t c = 1; c < x->heap_n; c = 2 * i + 1) {
		if (c + 1 < x->heap_n && x->heap[c + 1] < x->heap[c])
			c++;
		if (last <= x->heap[c])
			break;
		x->heap[i] = x->heap[c];
		i = c;
	}
	x->heap[i] = last;
	return top;
}

int idmap_room(const struct idmap *x, size_t limit)
{
	return x->rows - x->heap_n < limit;
}

/* The slot where a new id goes, after making room for one more; SIZE_MAX: out of memory. */
static size_t slot_free(struct idmap *x, uint32_t hash, const char *id, size_t len)
{
	if ((x->live + 1) * 4 > x->slots * 3 && grow_slots(x) < 0)
		return SIZE_MAX;
	return slot_find(x, hash, id, len);
}

static int copy_id(char **ret, const char *id, size_t len)
{
	*ret = len < UINT32_MAX ? malloc(len + 1) : NULL;
	if (!*ret)
		return -ENOMEM;

	memcpy(*ret, id, len);
	(*ret)[len] = '\0';
	return 0;
}

/* Takes id. */
static void put(struct idmap *x, size_t slot, uint32_t hash, uint32_t row, char *id, size_t len)
{
	x->entry[row] = (struct entry){id, (uint32_t)len};
	x->slot[slot] = (struct slot){hash, row};
	x->live++;
}

int idmap_intern(struct idmap *x, uint32_t *ret_row, int *ret_new, const char *id, size_t len)
{
	uint32_t hash = hash_of(id, len), row;
	size_t i = slot_find(x, hash, id, len);
	char *copy;

	if (x->slot[i].row != NONE) {
		*ret_row = x->slot[i].row;
		*ret_new = 0;
		return 0;
	}

	/* make room first: whatever fails leaves the map as it was */
	if (x->heap_n == 0 && x->rows == x->rows_max)
		return -ENOSPC;
	if (x->heap_n == 0 && x->rows == x->entries && grow_entries(x, x->rows + 1) < 0)
		return -ENOMEM;
	i = slot_free(x, hash, id, len);
	if (i == SIZE_MAX || copy_id(&copy, id, len) < 0)
		return -ENOMEM;

	row = x->heap_n ? heap_pop(x) : (uint32_t)x->rows++;
	put(x, i, hash, row, copy, len);
	*ret_row = row;
	*ret_new = 1;
	return 0;
}

int idmap_place(struct idmap *x, uint32_t row, const char *id, size_t len)
{
	uint32_t hash = hash_of(id, len);
	size_t i = slot_find(x, hash, id, len);
	char *copy;

	if (x->slot[i].row == row)
		return 0;
	if (x->slot[i].row != NONE || (row < x->rows && x->entry[row].id))
		return -EEXIST;
	if (row >= x->rows_max)
		return -ENOSPC;
	if (row >= x->entries && grow_entries(x, (size_t)row + 1) < 0)
		return -ENOMEM;
	i = slot_free(x, hash, id, len);
	if (i == SIZE_MAX || copy_id(&copy, id, len) < 0)
		return -ENOMEM;

	while (x->rows <= row)
		x->entry[x->rows++] = (struct entry){NULL, 0};
	put(x, i, hash, row, copy, len);
	return 0;
}

int idmap_seal(struct idmap *x, size_t rows)
{
	if (rows < x->rows || rows > x->rows_max)
		return -EINVAL;
	if (rows > x->entries && grow_entries(x, rows) < 0)
		return -ENOMEM;

	while (x->rows < rows)
		x->entry[x->rows++] = (struct entry){NULL, 0};
	x->heap_n = 0;
	for (uint32_t row = 0; row < x->rows; row++)
		if (!x->entry[row].id)
			x->heap[x->heap_n++] = row; /* ascending: a heap */
	return 0;
}

const char *idmap_id(const struct idmap *x, uint32_t row, size_t *ret_len)
{
	if (row >= x->rows || !x->entry[row].id)
		return NULL;
	*ret_len = x->entry[row].len;
	return x->entry[row].id;
}

void idmap_remove(struct idmap *x, uint32_t row)
{
	size_t mask = x->slots - 1, hole, i;
	struct entry *e;

	assert(row < x->rows && x->entry[row].id);
	e = &x->entry[row];
	hole = slot_find(x, hash_of(e->id, e->len), e->id, e->len);
	assert(x->slot[hole].row == row);

	/* an entry may move back into the hole unless its home lies cyclically in (hole, i] */
	for (i = (hole + 1) & mask; x->slot[i].row != NONE; i = (i + 1) & mask) {
		size_t home = x->slot[i].hash & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			x->slot[hole] = x->slot[i];
			hole = i;
		}
	}
	x->slot[hole].row = NONE;
	free(e->id);
	*e = (struct entry){NULL, 0};
	x->live--;
}

void idmap_reuse(struct idmap *x, uint32_t row)
{
	size_t i = x->heap_n;

	assert(row < x->rows && !x->entry[row].id && x->heap_n < x->rows);
	x->heap_n++;
	for (; i > 0 && x->heap[(i - 1) / 2] > row; i = (i - 1) / 2)
		x->heap[i] = x->heap[(i - 1) / 2];
	x->heap[i] = row;
}
