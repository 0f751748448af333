/* rank.c - ranking against all items: rank of a target, the k best, and the nearest prototype.
 *
 * A unit of work is a block of queries; it meets the items block by block and keeps (QB,CB) scores on its stack, so the
 * (n,N) matrix never exists and nothing is allocated.
 *
 * The products are our own loop, not sgemm: OpenBLAS gives equal columns slightly different sums depending on where they
 * stand, and then ties (equal items, constant scores) are decided by chance. Here each score is one chain of
 * multiply-adds in the order of d, the same wherever the item stands: equal items get equal bits.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "model/model_private.h"
#include "model/vmath.h"

#define QB 192 /* queries of a unit */
#define CB 256 /* items of a block */
#define PANEL 16 /* items side by side in the packed block: two vectors */
#define EXCLUDED -3e38f /* below every score */

/* What the units of one call share. */
struct job {
	struct model *m;
	const float *h;
	const uint32_t *target, *exclude_start, *exclude;
	const uint8_t *skip;
	uint32_t *rank, *rows;
	float *scores;
	int32_t *assign;
	const float *mu_inv;
	size_t n, k;
};

typedef float vec __attribute__((vector_size(32), aligned(4), may_alias));

#define MIX(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)

/* Elements d .. d + 7 of eight rows become eight rows of a panel: neighbours in pairs, in fours, in eights. */
static inline __attribute__((always_inline)) void transpose8(float *e, const float *const w[8], size_t d)
{
	vec r[8], s[8];

#pragma GCC unroll 8
	for (size_t i = 0; i < 8; i++)
		r[i] = *(const vec *)(w[i] + d);
#pragma GCC unroll 4
	for (size_t i = 0; i < 8; i += 2) {
		s[i] = MIX(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
		s[i + 1] = MIX(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
	}
#pragma GCC unroll 2
	for (size_t i = 0; i < 8; i += 4) {
		r[i] = MIX(s[i], s[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
		r[i + 1] = MIX(s[i], s[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
		r[i + 2] = MIX(s[i + 1], s[i + 3], 0, 1, 8, 9, 4, 5, 12, 13);
		r[i + 3] = MIX(s[i + 1], s[i + 3], 2, 3, 10, 11, 6, 7, 14, 15);
	}
#pragma GCC unroll 4
	for (size_t i = 0; i < 4; i++) {
		*(vec *)(e + i * PANEL) = MIX(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
		*(vec *)(e + (i + 4) * PANEL) = MIX(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
	}
}

/* The items of a panel (D,PANEL) to length 1: sixteen norms side by side. */
S4_CLONES static void normalise_panel(float *e, size_t D)
{
	vec a = {0}, b = {0};
	float norm[PANEL];

	for (size_t d = 0; d < D; d++) {
		vec x = *(const vec *)(e + d * PANEL), y = *(const vec *)(e + d * PANEL + 8);

		a += x * x;
		b += y * y;
	}
	*(vec *)norm = a;
	*(vec *)(norm + 8) = b;
	for (size_t i = 0; i < PANEL; i++) {
		norm[i] = sqrtf(norm[i]);
		norm[i] = 1.0f / (norm[i] > 1e-12f ? norm[i] : 1e-12f);
	}
	a = *(const vec *)norm;
	b = *(const vec *)(norm + 8);
	for (size_t d = 0; d < D; d++) {
		*(vec *)(e + d * PANEL) *= a;
		*(vec *)(e + d * PANEL + 8) *= b;
	}
}

/* Packs item vectors row[0..count), or first, first + 1, ... when row is NULL; normalised with cosine scores.
 * e (CB/PANEL, D, PANEL): coordinate d of item i lies at e[(i / PANEL * D + d) * PANEL + i % PANEL]. The last panel is filled up
 * with its first item. Sixteen rows are read side by side: they lie far apart, and their cache misses overlap. */
S4_CLONES static void item_block(const struct model *m, float *e, const uint32_t *row, size_t first, size_t count)
{
	size_t D = m->cfg.D;

	for (size_t p = 0; p < count; p += PANEL, e += D * PANEL) {
		const float *w[PANEL];
		float now[PANEL * D];
		size_t d = 0;

		for (size_t i = 0; i < PANEL; i++) {
			size_t at = p + i < count ? p + i : p;

			w[i] = model_item_now(m, now + i * D, row ? row[at] : (uint32_t)(first + at));
		}
		for (; d + 8 <= D; d += 8) {
			transpose8(e + d * PANEL, w, d);
			transpose8(e + d * PANEL + 8, w + 8, d);
		}
		for (; d < D; d++)
			for (size_t i = 0; i < PANEL; i++)
				e[d * PANEL + i] = w[i][d];
		if (m->cfg.cosine)
			normalise_panel(e, D);
	}
}

/* s (q,CB) = h (q,D) times the packed block of count items (whole panels are computed). Four queries at a time share the loads of a panel; both loops below add in
 * the same order. */
S4_CLONES static void products(float *s, const float *h, const float *e, size_t q, size_t count, size_t D)
{
	size_t i = 0;

	for (; i + 4 <= q; i += 4)
		for (size_t c = 0; c < count; c += PANEL) {
			const float *e_c = e + c * D, *h0 = h + i * D, *h1 = h0 + D, *h2 = h1 + D, *h3 = h2 + D;
			vec a0 = {0}, a1 = {0}, b0 = {0}, b1 = {0}, c0 = {0}, c1 = {0}, d0 = {0}, d1 = {0};

			for (size_t d = 0; d < D; d++) {
				vec x = *(const vec *)(e_c + d * PANEL), y = *(const vec *)(e_c + d * PANEL + 8);

				a0 += x * h0[d];
				a1 += y * h0[d];
				b0 += x * h1[d];
				b1 += y * h1[d];
				c0 += x * h2[d];
				c1 += y * h2[d];
				d0 += x * h3[d];
				d1 += y * h3[d];
			}
			*(vec *)(s + i * CB + c) = a0;
			*(vec *)(s + i * CB + c + 8) = a1;
			*(vec *)(s + (i + 1) * CB + c) = b0;
			*(vec *)(s + (i + 1) * CB + c + 8) = b1;
			*(vec *)(s + (i + 2) * CB + c) = c0;
			*(vec *)(s + (i + 2) * CB + c + 8) = c1;
			*(vec *)(s + (i + 3) * CB + c) = d0;
			*(vec *)(s + (i + 3) * CB + c + 8) = d1;
		}
	for (; i < q; i++)
		for (size_t c = 0; c < count; c += PANEL) {
			const float *e_c = e + c * D, *h0 = h + i * D;
			vec a0 = {0}, a1 = {0};

			for (size_t d = 0; d < D; d++) {
				a0 += *(const vec *)(e_c + d * PANEL) * h0[d];
				a1 += *(const vec *)(e_c + d * PANEL + 8) * h0[d];
			}
			*(vec *)(s + i * CB + c) = a0;
			*(vec *)(s + i * CB + c + 8) = a1;
		}
}

static void block_scores(const struct job *j, float *s, const float *e, size_t from, size_t q, size_t count)
{
	products(s, j->h + from * j->m->cfg.D, e, q, count, j->m->cfg.D);
}

static void rank_unit(void *ctx, size_t unit, int thread)
{
	const struct job *j = ctx;
	size_t N = j->m->N, from = unit * QB, q = j->n - from < QB ? j->n - from : QB;
	float e[CB * j->m->cfg.D], s[QB * CB], mine[QB];
	uint32_t row[QB] = {0}, above[QB] = {0}, level[QB] = {0}; /* level: not below the target, itself included */

	/* the targets' own scores: the diagonal of queries x target rows */
	for (size_t i = 0; i < q; i++) {
		assert(j->target[from + i] == NO_ROW || j->target[from + i] < N);
		row[i] = j->target[from + i] == NO_ROW ? 0 : j->target[from + i];
	}
	item_block(j->m, e, row, 0, q);
	block_scores(j, s, e, from, q, q);
	for (size_t i = 0; i < q; i++)
		mine[i] = s[i * CB + i];

	for (size_t col = 0; col < N; col += CB) {
		size_t count = N - col < CB ? N - col : CB;

		item_block(j->m, e, NULL, col, count);
		block_scores(j, s, e, from, q, count);
		for (size_t c = 0; c < count; c++)
			for (size_t i = 0; (j->m->gone[col + c] || (j->skip && j->skip[col + c])) && i < q; i++)
				s[i * CB + c] = EXCLUDED;
		for (size_t i = 0; i < q; i++) {
			const float *s_i = s + i * CB;
			uint32_t a = 0, l = 0;

			for (size_t c = 0; c < count; c++) {
				a += s_i[c] > mine[i];
				l += !(s_i[c] < mine[i]); /* so that NaN counts as a tie, not as a success */
			}
			above[i] += a;
			level[i] += l;
		}
	}

	for (size_t i = 0; i < q; i++) {
		uint32_t t = j->target[from + i], ties = level[i] - above[i];

		if (t != NO_ROW && !(j->skip && j->skip[t]) && ties > 0)
			ties--; /* the target itself */
		j->rank[from + i] = t == NO_ROW ? (uint32_t)N : above[i] + (ties + 1) / 2;
	}
}

void model_rank(struct model *m, uint32_t *rank, const float *h, const uint32_t *target, size_t n, const uint8_t *skip)
{
	struct job j = {.m = m, .h = h, .target = target, .skip = skip, .rank = rank, .n = n};

	if (m->N == 0) {
		for (size_t i = 0; i < n; i++)
			rank[i] = 0; /* = N: every target is NO_ROW */
		return;
	}
	pool_run(m->pool, rank_unit, &j, (n + QB - 1) / QB);
}

/* Order of the lists: a before b? */
static int better(float sa, uint32_t ra, float sb, uint32_t rb) { return sa > sb || (sa == sb && ra < rb); }

/* A heap in the output arrays, the worst of the n kept on top: lets (score, r) sink from place i. */
static void sink(float *score, uint32_t *row, size_t n, size_t i, float s, uint32_t r)
{
	for (size_t c = 2 * i + 1; c < n; c = 2 * i + 1) {
		if (c + 1 < n && better(score[c], row[c], score[c + 1], row[c + 1]))
			c++;
		if (!better(s, r, score[c], row[c]))
			break;
		score[i] = score[c];
		row[i] = row[c];
		i = c;
	}
	score[i] = s;
	row[i] = r;
}

/* Takes one candidate; rows come in ascending order, so at equal score what is kept already is better. */
static size_t keep(float *score, uint32_t *row, size_t n, size_t k, float s, uint32_t r)
{
	if (n == k) {
		if (s > score[0])
			sink(score, row, n, 0, s, r);
		return n;
	}

	/* not full: rise from the end, worst to the top */
	for (size_t i = n; ; ) {
		size_t up = (i - 1) / 2;

		if (i == 0 || better(s, r, score[up], row[up])) {
			score[i] = s;
			row[i] = r;
			return n + 1;
		}
		score[i] = score[up];
		row[i] = row[up];
		i = up;
	}
}

/* Which of the block's items stand above bound: ret (CB) and how many. Most groups of sixteen have none. */
S4_CLONES static size_t find_above(uint16_t *ret, const float *s, float bound, size_t count)
{
	size_t n = 0;

	for (size_t c = 0; c < count; c += PANEL) {
		uint32_t any = 0;

		for (size_t i = 0; i < PANEL; i++)
			any |= s[c + i] > bound;
		for (size_t i = c; any && i < c + PANEL && i < count; i++)
			if (s[i] > bound)
				ret[n++] = (uint16_t)i;
	}
	return n;
}

static void topk_unit(void *ctx, size_t unit, int thread)
{
	const struct job *j = ctx;
	size_t N = j->m->N, k = j->k, from = unit * QB, q = j->n - from < QB ? j->n - from : QB, kept[QB] = {0};
	float e[CB * j->m->cfg.D], s[QB * CB];
	uint16_t candidate[CB];

	for (size_t col = 0; col < N; col += CB) {
		size_t count = N - col < CB ? N - col : CB;

		item_block(j->m, e, NULL, col, count);
		block_scores(j, s, e, from, q, count);
		for (size_t c = 0; j->m->gones && c < count; c++)
			for (size_t i = 0; j->m->gone[col + c] && i < q; i++)
				s[i * CB + c] = EXCLUDED;
		for (size_t i = 0; i < q; i++) {
			float *s_i = s + i * CB, *score = j->scores + (from + i) * k;
			uint32_t *row = j->rows + (from + i) * k;
			size_t found;

			for (uint32_t x = j->exclude ? j->exclude_start[from + i] : 0; j->exclude && x < j->exclude_start[from + i + 1]; x++)
				if (j->exclude[x] >= col && j->exclude[x] < col + count)
					s_i[j->exclude[x] - col] = EXCLUDED;
			if (kept[i] == k && !(vmath_max(s_i, count) > score[0]))
				continue; /* most blocks, once the list is good */
			found = find_above(candidate, s_i, kept[i] == k ? score[0] : EXCLUDED, count);
			for (size_t f = 0; f < found; f++) {
				float s_c = s_i[candidate[f]];

				if (kept[i] < k || s_c > score[0])
					kept[i] = keep(score, row, kept[i], k, s_c, (uint32_t)(col + candidate[f]));
			}
		}
	}

	/* heap sort: the worst goes to the end each time */
	for (size_t i = 0; i < q; i++) {
		float *score = j->scores + (from + i) * k;
		uint32_t *row = j->rows + (from + i) * k;

		for (size_t n = kept[i]; n > 1; n--) {
			float s_last = score[n - 1];
			uint32_t r_last = row[n - 1];

			score[n - 1] = score[0];
			row[n - 1] = row[0];
			sink(score, row, n - 1, 0, s_last, r_last);
		}
		for (size_t p = kept[i]; p < k; p++) {
			score[p] = 0.0f;
			row[p] = NO_ROW;
		}
	}
}

void model_topk(struct model *m, uint32_t *rows, float *scores, const float *h, size_t n, size_t k,
                const uint32_t *exclude_start, const uint32_t *exclude)
{
	struct job j = {.m = m, .h = h, .exclude_start = exclude_start, .exclude = exclude, .rows = rows, .scores = scores, .n = n, .k = k};

	if (k > 0)
		pool_run(m->pool, topk_unit, &j, (n + QB - 1) / QB);
}

static void assign_unit(void *ctx, size_t unit, int thread)
{
	const struct job *j = ctx;
	size_t D = j->m->cfg.D, K = j->m->cfg.K, to = (unit + 1) * QB < j->n ? (unit + 1) * QB : j->n;

	for (size_t i = unit * QB; i < to; i++) {
		float best = 0.0f;

		j->assign[i] = 0;
		for (size_t k = 0; k < K; k++) {
			float s = vmath_dot(j->m->w.mu + k * D, j->h + i * D, D) * j->mu_inv[k];

			if (k == 0 || s > best) {
				best = s;
				j->assign[i] = (int32_t)k;
			}
		}
	}
}

/* The length of x changes no argmax, so only the prototypes are normalised. */
void model_assign(struct model *m, int32_t *k, const float *x, size_t n)
{
	size_t D = m->cfg.D, K = m->cfg.K;
	float inv[K + 1];
	struct job j = {.m = m, .h = x, .assign = k, .mu_inv = inv, .n = n};

	for (size_t p = 0; p < K; p++) {
		float norm = sqrtf(vmath_dot(m->w.mu + p * D, m->w.mu + p * D, D));

		inv[p] = m->cfg.norm ? 1.0f / (norm > 1e-12f ? norm : 1e-12f) : 1.0f;
	}
	pool_run(m->pool, assign_unit, &j, (n + QB - 1) / QB);
}
