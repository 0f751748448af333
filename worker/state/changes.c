/* changes.c - see changes.h */
#include "worker/state/changes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct rows {
	uint64_t *dirty;   /* (words) changed since the last flush began */
	uint64_t *pending; /* (words) still to be written by the flush under way */
	uint64_t *hash;    /* (64 words) */
	size_t words;
	size_t at;         /* the walk over pending: word */
};

struct changes {
	struct rows of[STATE_KINDS];
	changes_save *save;
	void *ctx;
	char *forgotten;   /* one after another: struct forgotten, id */
	size_t forgotten_bytes, forgotten_cap;
};

struct forgotten { uint64_t hash; uint32_t len, kind; };

int changes_new(struct changes **ret)
{
	*ret = calloc(1, sizeof **ret);
	return *ret ? 0 : -ENOMEM;
}

void changes_free(struct changes *c)
{
	if (!c)
		return;
	for (int k = 0; k < STATE_KINDS; k++) {
		free(c->of[k].dirty);
		free(c->of[k].pending);
		free(c->of[k].hash);
	}
	free(c->forgotten);
	free(c);
}

static int grow_words(uint64_t **x, size_t from, size_t to)
{
	uint64_t *grown = realloc(*x, to * sizeof *grown);
	if (!grown)
		return -ENOMEM;
	memset(grown + from, 0, (to - from) * sizeof *grown);
	*x = grown;
	return 0;
}

static int reserve(struct rows *r, size_t rows)
{
	size_t words = r->words ? r->words : 64;
	if (rows <= r->words * 64)
		return 0;
	while (words * 64 < rows)
		words *= 2;
	if (grow_words(&r->dirty, r->words, words) < 0 || grow_words(&r->pending, r->words, words) < 0 ||
	    grow_words(&r->hash, r->words * 64, words * 64) < 0)
		return -ENOMEM;
	r->words = words;
	return 0;
}

/* The bit leaves first: save must not find it again. */
static int save_row(struct changes *c, enum state_kind kind, uint32_t row)
{
	c->of[kind].pending[row / 64] &= ~(1ull << row % 64);
	return c->save(c->ctx, kind, row);
}

int changes_row(struct changes *c, enum state_kind kind, uint32_t row)
{
	struct rows *r = &c->of[kind];
	uint64_t bit = 1ull << row % 64;
	if (row / 64 >= r->words && reserve(r, (size_t)row + 1) < 0)
		return -ENOMEM;

	r->dirty[row / 64] |= bit;
	return r->pending[row / 64] & bit ? save_row(c, kind, row) : 0;
}

/* Writes the pending rows of one word, at most `max`; returns how many, or a negative errno. */
static int save_word(struct changes *c, enum state_kind kind, size_t word, size_t max)
{
	uint64_t *w = &c->of[kind].pending[word];
	int n = 0;
	for (; *w && (size_t)n < max; n++) {
		int r = save_row(c, kind, (uint32_t)(word * 64 + (size_t)__builtin_ctzll(*w)));
		if (r < 0)
			return r;
	}
	return n;
}

int changes_all(struct changes *c, enum state_kind kind, size_t rows)
{
	struct rows *r = &c->of[kind];
	if (reserve(r, rows) < 0)
		return -ENOMEM;
	for (size_t w = 0; w * 64 < rows; w++) {
		int n = save_word(c, kind, w, 64);
		if (n < 0)
			return n;
		r->dirty[w] |= rows - w * 64 >= 64 ? ~0ull : (1ull << (rows - w * 64)) - 1;
	}
	return 0;
}

int changes_born(struct changes *c, enum state_kind kind, uint32_t row)
{
	struct rows *r = &c->of[kind];
	if (row / 64 >= r->words && reserve(r, (size_t)row + 1) < 0)
		return -ENOMEM;
	r->pending[row / 64] &= ~(1ull << row % 64);
	r->dirty[row / 64] |= 1ull << row % 64;
	return 0;
}

int changes_forget(struct changes *c, enum state_kind kind, uint32_t row, const char *id, size_t len)
{
	int r = changes_row(c, kind, row);
	if (r < 0)
		return r;

	struct forgotten f = { c->of[kind].hash[row], (uint32_t)len, kind };
	size_t need = c->forgotten_bytes + sizeof f + len;
	if (need > c->forgotten_cap) {
		size_t cap = c->forgotten_cap ? c->forgotten_cap : 4096;
		while (cap < need)
			cap *= 2;
		char *grown = realloc(c->forgotten, cap);
		if (!grown)
			return -ENOMEM;
		c->forgotten = grown;
		c->forgotten_cap = cap;
	}
	memcpy(c->forgotten + c->forgotten_bytes, &f, sizeof f);
	memcpy(c->forgotten + c->forgotten_bytes + sizeof f, id, len);
	c->forgotten_bytes = need;
	/* The row is nobody's now, and who gets it next is another one (changes_born). */
	c->of[kind].hash[row] = 0;
	c->of[kind].dirty[row / 64] &= ~(1ull << row % 64);
	return 0;
}

void changes_begin(struct changes *c, changes_save *save, void *ctx)
{
	c->save = save;
	c->ctx = ctx;
	for (int k = 0; k < STATE_KINDS; k++) {
		struct rows *r = &c->of[k];
		uint64_t *was = r->pending; /* all zero: the flush before has ended */
		r->pending = r->dirty;
		r->dirty = was;
		r->at = 0;
	}
}

int changes_save_some(struct changes *c, size_t rows, int *ret_left)
{
	size_t done = 0;
	*ret_left = 0;
	for (enum state_kind k = 0; k < STATE_KINDS; k++) {
		struct rows *r = &c->of[k];
		while (r->at < r->words && done < rows) {
			int n = save_word(c, k, r->at, rows - done);
			if (n < 0)
				return n;
			done += (size_t)n;
			r->at += r->pending[r->at] == 0;
		}
		*ret_left |= r->at < r->words;
	}
	return 0;
}

const char *changes_forgotten(struct changes *c, size_t *at, enum state_kind *ret_kind, size_t *ret_len, uint64_t *ret_hash)
{
	struct forgotten f;
	if (*at >= c->forgotten_bytes)
		return NULL;
	char *p = c->forgotten + *at;
	memcpy(&f, p, sizeof f);
	*ret_kind = (enum state_kind)f.kind;
	*ret_len = f.len;
	*ret_hash = f.hash;
	f.hash = 0;
	memcpy(p, &f, sizeof f);
	*at += sizeof f + f.len;
	return p + sizeof f;
}

void changes_drop_forgotten(struct changes *c, size_t at)
{
	if (at == 0)
		return;
	memmove(c->forgotten, c->forgotten + at, c->forgotten_bytes - at);
	c->forgotten_bytes -= at;
}

uint64_t changes_hash(const struct changes *c, enum state_kind kind, uint32_t row)
{
	return row / 64 < c->of[kind].words ? c->of[kind].hash[row] : 0;
}

int changes_set_hash(struct changes *c, enum state_kind kind, uint32_t row, uint64_t hash)
{
	if (row / 64 >= c->of[kind].words && reserve(&c->of[kind], (size_t)row + 1) < 0)
		return -ENOMEM;
	c->of[kind].hash[row] = hash;
	return 0;
}
