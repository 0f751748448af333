/* augment.c - mask, crop, reorder, insert. One operator a view; a draw is numbered, never taken in sequence. */
#include <string.h>

#include "model/augment.h"
#include "model/rng.h"

/* Draw i of one view. Draw 0 chooses the operator, the others its places. */
struct draw {
	uint64_t seed, step, user, view;
};

static uint64_t draw_bits(const struct draw *d, uint64_t i)
{
	return rng_bits(d->seed, RNG_AUGMENT, d->step, d->user, d->view << 32 | i);
}
static double draw_unit(const struct draw *d, uint64_t i) { return rng_unit(draw_bits(d, i)); }

/* Positions to take: exactly floor(share n) of them, or, where that is none, each with probability share.
 * Selection sampling: position i is taken with probability (still wanted) / (still to come). */
struct chooser {
	size_t want, left;
	double share;
	int by_count;
};

static struct chooser chooser_of(size_t n, float share)
{
	size_t want = (size_t)((double)share * (double)n + 1e-6);

	return (struct chooser){.want = want < n ? want : n, .left = n, .share = share, .by_count = want > 0};
}

static int chooser_take(struct chooser *c, double u)
{
	int take = c->by_count ? u * (double)c->left < (double)c->want : u < c->share;

	c->left--;
	if (c->by_count && take)
		c->want--;
	return take;
}

static size_t view_mask(uint32_t *ret, const uint32_t *item, size_t n, float share, const struct draw *d)
{
	struct chooser c = chooser_of(n, share);

	for (size_t i = 0; i < n; i++)
		ret[i] = chooser_take(&c, draw_unit(d, 1 + i)) ? MASK_ROW : item[i];
	return n;
}

static size_t view_crop(uint32_t *ret, const uint32_t *item, size_t n, float share, const struct draw *d)
{
	size_t keep = (size_t)((double)share * (double)n + 1e-6);
	size_t from;

	keep = keep < 1 ? 1 : keep > n ? n : keep;
	from = rng_below(draw_bits(d, 1), n - keep + 1);
	memcpy(ret, item + from, keep * sizeof *ret);
	return keep;
}

static void swap(uint32_t *a, uint32_t *b)
{
	uint32_t t = *a;

	*a = *b;
	*b = t;
}

/* A stretch shorter than two cannot be shuffled: neighbours change places with probability share instead. */
static size_t view_reorder(uint32_t *ret, const uint32_t *item, size_t n, float share, const struct draw *d)
{
	size_t len = (size_t)((double)share * (double)n + 1e-6);

	memcpy(ret, item, n * sizeof *ret);
	len = len < n ? len : n;
	if (len >= 2) {
		uint32_t *part = ret + rng_below(draw_bits(d, 1), n - len + 1);

		for (size_t i = len - 1; i > 0; i--)
			swap(&part[i], &part[rng_below(draw_bits(d, 1 + i), i + 1)]);
		return n;
	}
	for (size_t i = 0; i + 1 < n; i++)
		if (draw_unit(d, 2 + i) < share) {
			swap(&ret[i], &ret[i + 1]);
			i++;
		}
	return n;
}

/* Sorts by the bytes of the rows, the least one first; a library's sort may allocate. */
void augment_pool(uint32_t *ret, uint32_t *tmp, const uint32_t *item, size_t n)
{
	uint32_t any = 0;

	memcpy(ret, item, n * sizeof *ret);
	for (size_t i = 0; i < n; i++)
		any |= item[i];
	for (int shift = 0; shift < 32 && any >> shift; shift += 8) {
		size_t place[256] = { 0 }, at = 0;

		for (size_t i = 0; i < n; i++)
			place[ret[i] >> shift & 255]++;
		for (size_t byte = 0; byte < 256; byte++) {
			size_t here = place[byte];

			place[byte] = at;
			at += here;
		}
		for (size_t i = 0; i < n; i++)
			tmp[place[ret[i] >> shift & 255]++] = ret[i];
		memcpy(ret, tmp, n * sizeof *ret);
	}
}

/* New items go before old ones, so the newest event stays the newest. What is more than L loses its oldest. */
static size_t view_insert(uint32_t *ret, const uint32_t *item, size_t n, const uint32_t *pool, size_t pool_n, size_t L,
                          float share, const struct draw *d)
{
	struct chooser c = chooser_of(n, share), counted = c;
	size_t total = n, drop, at = 0;

	for (size_t i = 0; i < n; i++)
		total += (size_t)chooser_take(&counted, draw_unit(d, 1 + 2 * i));
	drop = total > L ? total - L : 0;
	for (size_t i = 0; i < n; i++) {
		if (chooser_take(&c, draw_unit(d, 1 + 2 * i))) {
			if (at >= drop)
				ret[at - drop] = pool[rng_below(draw_bits(d, 2 + 2 * i), pool_n)];
			at++;
		}
		if (at >= drop)
			ret[at - drop] = item[i];
		at++;
	}
	return total - drop;
}

size_t augment_view(uint32_t *ret, const uint32_t *item, size_t n, const uint32_t *pool, size_t pool_n,
                    const struct model_config *c, uint64_t step, uint64_t user, int view)
{
	enum op { MASK, CROP, REORDER, INSERT } ops[4];
	size_t ops_n = 0;
	struct draw d = {.seed = c->seed, .step = step, .user = user, .view = (uint64_t)view};

	if (c->mask_share > 0.0f)
		ops[ops_n++] = MASK;
	if (c->crop_share > 0.0f && c->crop_share < 1.0f)
		ops[ops_n++] = CROP;
	if (c->reorder_share > 0.0f)
		ops[ops_n++] = REORDER;
	if (c->insert_share > 0.0f && pool_n > 0)
		ops[ops_n++] = INSERT;
	if (ops_n == 0) {
		memcpy(ret, item, n * sizeof *ret);
		return n;
	}

	switch (ops[rng_below(draw_bits(&d, 0), ops_n)]) {
	case MASK:
		return view_mask(ret, item, n, c->mask_share, &d);
	case CROP:
		return view_crop(ret, item, n, c->crop_share, &d);
	case REORDER:
		return view_reorder(ret, item, n, c->reorder_share, &d);
	default:
		return view_insert(ret, item, n, pool, pool_n, c->L, c->insert_share, &d);
	}
}
