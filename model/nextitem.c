/* nextitem.c - the next-item loss. See also losses.h for the losses of whole sequences.
 *
 * The two softmax forms share one engine. It sees queries x (n,D), columns e (M,D) - the whole catalogue, or the shared
 * negatives - and works through the queries in groups of row blocks:
 *
 *     phase A, unit = row block     tile = exp(x e^T - ref), sums, dx += tile e  tiles stay in memory (L2/L3)
 *     phase B, unit = column block  de += tile^T (x c/sum)                       over the group's row blocks in order
 *
 * Every exp is computed once, inside the product that makes its argument; every product once; and each output has one owner, so
 * nothing depends on the number of threads. A group holds at most some tens of megabytes of tiles; the (n,N) matrix never exists.
 *
 * ref, the number subtracted before exp: by Cauchy-Schwarz no logit is above |x| max|e| + max bias. When that bound is small
 * (always so for cosine: 1 / tau = 14) it serves as ref: the difference between the bound and any logit is limited, so nothing
 * underflows. Else ref is the row's true maximum, found first.
 */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "model/kernel.h"
#include "model/nextitem.h"
#include "model/vmath.h"

#define RB 96           /* rows of a row block: whole tiles of the kernel */
#define CB 256          /* columns of a column block */
#define TILE_LD (CB + 16) /* rows of a tile do not start in the same cache set: phase B reads columns */
#define TILE (RB * TILE_LD)
#define GROUP_FLOATS (6u << 20) /* tiles of a group, floats: within the L3 of a server core's share */
#define GROUP_MIN 2     /* row blocks in a group */
#define GROUP_MAX 16
#define BOUND_MAX 80.0f /* the largest difference of two logits: exp of it is a normal number */

struct nextitem {
	const struct model_config *c;
	struct model_config cfg;
	struct pool *pool;
	size_t n_max, M_max, D;
	void *base;      /* one mapping, reserved but untouched; everything below lies in it */
	size_t base_bytes;
	float *x;        /* (n,D) queries: h, with cosine h / |h| / tau */
	float *y;        /* (n,D) cosine: h / |h| */
	float *norm;     /* (n)   cosine: |h| */
	float *xs;       /* (group row blocks) packed (RB,D): x scaled by c / sum, what phase B multiplies */
	double *loss;    /* (n)   w_i l_i */
	float *e;        /* (M,D) columns, with cosine normalised */
	float *et, *ep;  /* the same packed by column blocks: e^T for logits, e for dx */
	float *enorm;    /* (M)   |row| before */
	float *bias;     /* (M)   sampled: -log Q */
	float bias_max, bias_range;
	float *pack_max; /* largest enorm of each column block */
	float *tile;     /* group of row blocks x column blocks x (RB,TILE_LD) */
};

static size_t blocks(size_t n, size_t size) { return (n + size - 1) / size; }

/* Row blocks in a group: depends on M only, even, so that threads divide them well. */
static size_t group_blocks(size_t M)
{
	size_t g = GROUP_FLOATS / (TILE * blocks(M, CB)) & ~(size_t)1;

	return g < GROUP_MIN ? GROUP_MIN : g > GROUP_MAX ? GROUP_MAX : g;
}

static float *carve(struct nextitem *x, size_t *at, size_t floats)
{
	float *p = x->base ? (float *)((char *)x->base + *at) : NULL;

	*at += (floats * sizeof(float) + 63) / 64 * 64;
	return p;
}

/* Lays the buffers out; with base NULL only counts the bytes. */
static size_t layout(struct nextitem *x)
{
	size_t D = x->D, at = 0, tiles = GROUP_FLOATS, wide = GROUP_MIN * TILE * blocks(x->M_max, CB);

	x->x = carve(x, &at, x->n_max * D);
	x->y = carve(x, &at, x->n_max * D);
	x->norm = carve(x, &at, x->n_max);
	x->xs = carve(x, &at, GROUP_MAX * kernel_packed(RB, D));
	x->loss = (double *)carve(x, &at, x->n_max * 2);
	x->e = carve(x, &at, x->M_max * D);
	x->et = carve(x, &at, blocks(x->M_max, CB) * kernel_packed(D, CB));
	x->ep = carve(x, &at, blocks(x->M_max, CB) * kernel_packed(CB, D));
	x->enorm = carve(x, &at, x->M_max);
	x->bias = carve(x, &at, x->M_max);
	x->pack_max = carve(x, &at, blocks(x->M_max, CB));
	x->tile = carve(x, &at, tiles > wide ? tiles : wide);
	return at;
}

int nextitem_new(struct nextitem **ret, const struct model_config *c, struct pool *p)
{
	struct nextitem *x = calloc(1, sizeof *x);

	if (!x)
		return -ENOMEM;

	x->cfg = *c;
	x->c = &x->cfg;
	x->pool = p;
	x->D = c->D;
	x->n_max = c->batch_tokens_max ? c->batch_tokens_max : c->batch_users_max * c->L;
	x->M_max = c->loss == LOSS_FULL ? c->items_max : c->loss == LOSS_SAMPLED ? c->negatives : 1;
	x->base_bytes = layout(x);
	x->base = mmap(NULL, x->base_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (x->base == MAP_FAILED) {
		free(x);
		return -ENOMEM;
	}

	layout(x);
	*ret = x;
	return 0;
}

void nextitem_free(struct nextitem *x)
{
	if (!x)
		return;
	munmap(x->base, x->base_bytes);
	free(x);
}

/* What the units of one call share. */
struct job {
	struct nextitem *x;
	const float *h, *w, *E, *logq;
	const uint32_t *target, *row; /* row (M): item row of each column; NULL = the columns are the catalogue */
	const uint32_t *negative;     /* bce */
	const uint8_t *gone;          /* (M) full: columns that are no items; NULL = none */
	float *dh, *dT, *de;          /* de (M,D): dE or dN */
	size_t ldE, n, M;
	size_t first, rows;           /* the group: queries first .. first + rows - 1 */
	float inv_n, emax;
};

static float scale_of(const struct nextitem *x) { return x->c->cosine ? 1.0f / x->c->cosine_tau : 1.0f; }
static float weight_of(const struct job *j, size_t i) { return (j->w ? j->w[i] : 1.0f) * j->inv_n; }

/* y = v / |v| (cosine) or v; returns |v|. */
static float unit_copy(float *y, const float *v, size_t D, int cosine)
{
	float norm = sqrtf(vmath_dot(v, v, D)), inv = 1.0f;

	if (cosine)
		inv = 1.0f / (norm > 1e-12f ? norm : 1e-12f);
	for (size_t d = 0; d < D; d++)
		y[d] = v[d] * inv;
	return norm;
}

/* dv, the gradient at y = v / |v|, becomes the gradient at v: (dv - y (y.dv)) / |v|. */
static void unit_backward(float *dv, const float *y, float norm, size_t D)
{
	float along = vmath_dot(y, dv, D), inv = norm > 1e-12f ? 1.0f / norm : 0.0f;

	for (size_t d = 0; d < D; d++)
		dv[d] = (dv[d] - y[d] * along) * inv;
}

static void pack_unit(void *ctx, size_t unit, int thread)
{
	struct job *j = ctx;
	struct nextitem *x = j->x;
	size_t D = x->D, from = unit * CB, m = j->M - from < CB ? j->M - from : CB;
	float max = 0.0f;

	for (size_t i = from; i < from + m; i++) {
		size_t r = j->row ? j->row[i] : i;

		x->enorm[i] = unit_copy(x->e + i * x->D, j->E + r * j->ldE, x->D, x->c->cosine);
		x->bias[i] = j->logq ? -j->logq[i] : 0.0f;
		max = x->enorm[i] > max ? x->enorm[i] : max;
	}
	x->pack_max[unit] = max;
	kernel_pack_t(x->et + unit * kernel_packed(D, CB), x->e + from * D, D, D, m);
	kernel_pack(x->ep + unit * kernel_packed(CB, D), x->e + from * D, D, m, D);
}

/* Queries of one row block: x = h, or h / |h| / tau. */
static void query_block(struct job *j, size_t from, size_t to)
{
	struct nextitem *x = j->x;
	float scale = scale_of(x);

	for (size_t i = from; i < to; i++) {
		float *y = x->y + i * x->D, *x_i = x->x + i * x->D;

		x->norm[i] = unit_copy(y, j->h + i * x->D, x->D, x->c->cosine);
		for (size_t d = 0; d < x->D; d++)
			x_i[d] = y[d] * scale;
	}
}

/* Undoes query_block for the gradient: dh = scale * (gradient at x), through the normalisation. */
static void query_backward(struct job *j, size_t i)
{
	struct nextitem *x = j->x;
	float *dh = j->dh + i * x->D, scale = scale_of(x);

	if (!x->c->cosine)
		return;
	for (size_t d = 0; d < x->D; d++)
		dh[d] *= scale;
	unit_backward(dh, x->y + i * x->D, x->norm[i], x->D);
}

/* A negative that is the target itself is left out of its row. */
S4_CLONES void leave_out(float *restrict tile, const uint32_t *restrict row, uint32_t target, float what, size_t m);
S4_CLONES void leave_out(float *restrict tile, const uint32_t *restrict row, uint32_t target, float what, size_t m)
{
	for (size_t k = 0; k < m; k++)
		tile[k] = row[k] == target ? what : tile[k];
}

/* So is a column that is no item. */
S4_CLONES static void leave_gone(float *restrict tile, const uint8_t *restrict gone, float what, size_t m)
{
	for (size_t k = 0; k < m; k++)
		tile[k] = gone[k] ? what : tile[k];
}

/* Columns of block b. */
static size_t width_of(const struct job *j, size_t b) { return j->M - b * CB < CB ? j->M - b * CB : CB; }

/* Logits of a row block into its tiles, and each row's maximum into ref, which holds the target's logit before. */
static void logits_and_max(struct job *j, float *tiles, float *ref, size_t from, size_t rows)
{
	struct nextitem *x = j->x;
	size_t D = x->D;

	for (size_t b = 0; b < blocks(j->M, CB); b++) {
		size_t m = width_of(j, b);
		float *tile = tiles + b * TILE;

		/* (rows,m) = (rows,D) (m,D)^T + bias */
		kernel_mul(tile, TILE_LD, x->x + from * D, D, x->et + b * kernel_packed(D, CB), j->row ? x->bias + b * CB : NULL, 0, rows, m, D);
		for (size_t r = 0; r < rows; r++) {
			float *t = tile + r * TILE_LD, max;

			if (j->row)
				leave_out(t, j->row + b * CB, j->target[from + r], -1e30f, m);
			if (j->gone)
				leave_gone(t, j->gone + b * CB, -1e30f, m);
			max = vmath_max(t, m);
			ref[r] = max > ref[r] ? max : ref[r];
		}
	}
}

/* exp of one tile (of its logits where they are known already), and its row sums. */
static void tile_exp(struct job *j, float *tile, float *sum, const float *ref, int known, size_t from, size_t rows, size_t b)
{
	struct nextitem *x = j->x;
	size_t D = x->D, m = width_of(j, b);

	if (!known) /* (rows,m) = exp((rows,D) (m,D)^T + bias - ref) */
		kernel_mul_exp(tile, TILE_LD, x->x + from * D, D, x->et + b * kernel_packed(D, CB), j->row ? x->bias + b * CB : NULL, ref, rows, m, D);
	for (size_t r = 0; r < rows; r++) {
		float *t = tile + r * TILE_LD;

		if (known) {
			sum[r] += vmath_exp_sum(t, t, 1.0f, ref[r], m);
			continue;
		}
		if (j->row)
			leave_out(t, j->row + b * CB, j->target[from + r], 0.0f, m);
		if (j->gone)
			leave_gone(t, j->gone + b * CB, 0.0f, m);
		sum[r] += vmath_sum(t, m);
	}
}

/* Phase A. forward: l = log sum_c exp(s_c) - s_t, so ds_c = c_i (p_c - [c = t]), dx = c_i (sum_c p_c e_c - e_t). */
static void rows_unit(void *ctx, size_t unit, int thread)
{
	struct job *j = ctx;
	struct nextitem *x = j->x;
	size_t D = x->D, from = j->first + unit * RB, end = j->first + j->rows;
	size_t rows = end - from < RB ? end - from : RB, Cn = blocks(j->M, CB);
	float *tiles = x->tile + unit * Cn * TILE, *dx = j->dh + from * D;
	float ref[RB], sum[RB], st[RB], te[D], xs[RB * D], tnorm;
	int exact = 0;

	query_block(j, from, from + rows);
	for (size_t r = 0; r < rows; r++) {
		float *x_r = x->x + (from + r) * D, bound = sqrtf(vmath_dot(x_r, x_r, D)) * (x->c->cosine ? 1.0f : j->emax);
		uint32_t t = j->target[from + r];

		/* the target's logit, and where the rest is measured from */
		if (j->row)
			unit_copy(te, j->E + t * j->ldE, D, x->c->cosine);
		st[r] = vmath_dot(x_r, j->row ? te : x->e + t * D, D);
		ref[r] = bound + x->bias_max;
		sum[r] = 0.0f;
		exact |= !(2 * bound + x->bias_range <= BOUND_MAX);
	}
	if (exact) {
		memcpy(ref, st, rows * sizeof *ref);
		logits_and_max(j, tiles, ref, from, rows);
	}
	for (size_t b = 0; b < Cn; b++) {
		/* cppcheck-suppress uninitvar */
		tile_exp(j, tiles + b * TILE, sum, ref, exact, from, rows, b);
		/* (rows,D) += (rows,m) (m,D) */
		kernel_mul(dx, D, tiles + b * TILE, TILE_LD, x->ep + b * kernel_packed(CB, D), NULL, b > 0, rows, D, width_of(j, b));
	}

	for (size_t r = 0; r < rows; r++) {
		size_t i = from + r;
		float c = weight_of(j, i), *dx_r = dx + r * D;
		float pt = j->row ? expf(st[r] - ref[r]) : 0.0f; /* sampled: the target is no column */
		float total = sum[r] + pt, k = c / total;

		x->loss[i] = (double)(j->w ? j->w[i] : 1.0f) * (log((double)total) + (double)ref[r] - st[r]);
		for (size_t d = 0; d < D; d++) {
			dx_r[d] *= k;
			xs[r * D + d] = x->x[i * D + d] * k;
		}
		if (j->row) {
			float g = c * (pt / total - 1.0f), *dT = j->dT + i * D;

			tnorm = unit_copy(te, j->E + j->target[i] * j->ldE, D, x->c->cosine);
			vmath_axpy(dx_r, g, te, D);
			for (size_t d = 0; d < D; d++)
				dT[d] = g * x->x[i * D + d];
			if (x->c->cosine)
				unit_backward(dT, te, tnorm, D);
		} else {
			vmath_axpy(dx_r, -c, x->e + j->target[i] * D, D);
		}
		query_backward(j, i);
	}
	/* cppcheck-suppress uninitvar */
	kernel_pack(x->xs + unit * kernel_packed(RB, D), xs, D, rows, D);
}

/* Phase B. de += tile^T xs over the group's row blocks in order, and -c_i x_i at each target (full). */
static void cols_unit(void *ctx, size_t unit, int thread)
{
	struct job *j = ctx;
	struct nextitem *x = j->x;
	size_t D = x->D, Cn = blocks(j->M, CB), col = unit * CB, m = width_of(j, unit);
	float *de = j->de + col * D;

	if (!j->first)
		memset(de, 0, m * D * sizeof *de);
	for (size_t b = 0; b < blocks(j->rows, RB); b++) /* (m,D) += (rows,m)^T (rows,D) */
		kernel_mul_t(de, D, x->tile + (b * Cn + unit) * TILE, TILE_LD, x->xs + b * kernel_packed(RB, D), m, D, j->rows - b * RB < RB ? j->rows - b * RB : RB);
	for (size_t i = j->first; !j->row && i < j->first + j->rows; i++)
		if (j->target[i] >= col && j->target[i] < col + m)
			vmath_axpy(de + (j->target[i] - col) * D, -weight_of(j, i), x->x + i * D, D);

	/* after the last group: through the normalisation of the rows */
	if (x->c->cosine && j->first + j->rows == j->n)
		for (size_t k = 0; k < m; k++)
			unit_backward(de + k * D, x->e + (col + k) * D, x->enorm[col + k], D);
}

static double softmax_loss(struct job *j)
{
	struct nextitem *x = j->x;
	size_t group = group_blocks(j->M) * RB;
	double loss = 0.0;

	assert(j->n <= x->n_max && j->M <= x->M_max && j->M > 0);
	if (j->n == 0) {
		memset(j->de, 0, j->M * x->D * sizeof(float));
		return 0.0;
	}

	j->inv_n = 1.0f / (float)j->n;
	pool_run(x->pool, pack_unit, j, blocks(j->M, CB));
	j->emax = vmath_max(x->pack_max, blocks(j->M, CB));
	x->bias_max = vmath_max(x->bias, j->M);
	x->bias_range = 0;
	for (size_t k = 0; k < j->M; k++)
		x->bias_range = x->bias_max - x->bias[k] > x->bias_range ? x->bias_max - x->bias[k] : x->bias_range;
	for (j->first = 0; j->first < j->n; j->first += group) {
		j->rows = j->n - j->first < group ? j->n - j->first : group;
		pool_run(x->pool, rows_unit, j, blocks(j->rows, RB));
		pool_run(x->pool, cols_unit, j, blocks(j->M, CB));
	}
	for (size_t i = 0; i < j->n; i++)
		loss += x->loss[i];
	return loss / (double)j->n;
}

double nextitem_full(struct nextitem *x, float *dh, float *dE, const float *h, const uint32_t *target, const float *w,
                     const float *E, size_t ldE, const uint8_t *gone, size_t n, size_t N)
{
	struct job j = {.x = x, .h = h, .w = w, .E = E, .target = target, .gone = gone, .dh = dh, .de = dE, .ldE = ldE, .n = n, .M = N};

	return softmax_loss(&j);
}

double nextitem_sampled(struct nextitem *x, float *dh, float *dT, float *dN, const float *h, const uint32_t *target, const uint32_t *negative,
                        const float *w, const float *logq, const float *E, size_t ldE, size_t n)
{
	struct job j = {.x = x, .h = h, .w = w, .E = E, .logq = logq, .target = target,
	                .row = negative, .dh = dh, .dT = dT, .de = dN, .ldE = ldE, .n = n, .M = x->c->negatives};

	return softmax_loss(&j);
}

/* log(1 + exp(v)) */
static double softplus(double v) { return v > 0 ? v + log1p(exp(-v)) : log1p(exp(v)); }

/* One pair: logit s = x.e, loss softplus(sign s) times c. dx += g e, de = g x with g = c sign sigmoid(sign s). */
static double bce_pair(struct job *j, float *dx, float *de, size_t i, uint32_t r, float sign, float c)
{
	struct nextitem *x = j->x;
	size_t D = x->D;
	float e[D], norm = unit_copy(e, j->E + r * j->ldE, D, x->c->cosine);
	double v = (double)sign * vmath_dot(x->x + i * D, e, D);
	float g = c * sign * (float)(1.0 / (1.0 + exp(-v)));

	vmath_axpy(dx, g, e, D);
	for (size_t d = 0; d < D; d++)
		de[d] = g * x->x[i * D + d];
	if (x->c->cosine)
		unit_backward(de, e, norm, D);
	return softplus(v);
}

#define AHEAD 4 /* positions that item rows are asked for before they are used */

static void bce_unit(void *ctx, size_t unit, int thread)
{
	struct job *j = ctx;
	struct nextitem *x = j->x;
	size_t D = x->D, S = j->M, from = unit * RB, to = j->n - from < RB ? j->n : from + RB;
	const float *E = j->E;

	query_block(j, from, to);
	for (size_t i = from; i < to; i++) {
		float *dx = j->dh + i * D, c = weight_of(j, i);
		double l;

		if (i + AHEAD < to) {
			vmath_prefetch(E + j->target[i + AHEAD] * j->ldE, D);
			for (size_t k = 0; k < S; k++)
				vmath_prefetch(E + j->negative[(i + AHEAD) * S + k] * j->ldE, D);
		}

		memset(dx, 0, D * sizeof *dx);
		l = bce_pair(j, dx, j->dT + i * D, i, j->target[i], -1.0f, c);
		for (size_t k = 0; k < S; k++)
			l += bce_pair(j, dx, j->de + (i * S + k) * D, i, j->negative[i * S + k], 1.0f, c / (float)S) / (double)S;
		x->loss[i] = (j->w ? j->w[i] : 1.0f) * l;
		query_backward(j, i);
	}
}

double nextitem_bce(struct nextitem *x, float *dh, float *dT, float *dN, const float *h, const uint32_t *target, const uint32_t *negative,
                    const float *w, const float *E, size_t ldE, size_t n)
{
	struct job j = {.x = x, .h = h, .w = w, .E = E, .target = target, .negative = negative, .dh = dh, .dT = dT, .de = dN,
	                .ldE = ldE, .n = n, .M = x->c->negatives ? x->c->negatives : 1};
	double loss = 0.0;

	assert(n <= x->n_max);
	if (n == 0)
		return 0.0;

	j.inv_n = 1.0f / (float)n;
	pool_run(x->pool, bce_unit, &j, blocks(n, RB));
	for (size_t i = 0; i < n; i++)
		loss += x->loss[i];
	return loss / (double)n;
}

const double *nextitem_losses(const struct nextitem *x)
{
	return x->loss;
}
