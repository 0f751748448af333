/* apply.c - what is done with a gradient: its norm, clipping, Adam on the dense block, the rows' optimiser on item rows. */
#include <math.h>

#include "model/model_private.h"
#include "model/state.h"
#include "model/vmath.h"

#define NORM_BLOCK 65536
size_t grad_norm_parts(const struct model *m, size_t item_floats) { return (m->dense + NORM_BLOCK - 1) / NORM_BLOCK + (item_floats + NORM_BLOCK - 1) / NORM_BLOCK; }

struct norm { const struct grad *g; size_t dense, dense_parts, items; double *part; const float *item; };

S4_CLONES double sum_squares(const float *x, size_t n);
S4_CLONES double sum_squares(const float *x, size_t n)
{
	double s[8] = { 0 }, r = 0;
	size_t i = 0;

	for (; i + 8 <= n; i += 8)
		for (size_t j = 0; j < 8; j++)
			s[j] += (double)x[i + j] * (double)x[i + j];
	for (; i < n; i++)
		r += (double)x[i] * (double)x[i];
	for (size_t j = 0; j < 8; j++)
		r += s[j];
	return r;
}

static void norm_unit(void *ctx, size_t unit, int thread)
{
	const struct norm *n = ctx;
	int dense = unit < n->dense_parts;
	size_t from = (dense ? unit : unit - n->dense_parts) * NORM_BLOCK, all = dense ? n->dense : n->items;

	n->part[unit] = sum_squares((dense ? n->g->block : n->item) + from, all - from < NORM_BLOCK ? all - from : NORM_BLOCK);
}

double grad_norm(struct model *m, const struct grad *g)
{
	int full = m->cfg.loss == LOSS_FULL;
	struct norm n = { .g = g, .dense = m->dense, .dense_parts = (m->dense + NORM_BLOCK - 1) / NORM_BLOCK, .part = m->part,
	                  .items = (full ? g->N : g->rows) * m->cfg.D, .item = full ? g->item : g->drow };
	size_t parts = grad_norm_parts(m, n.items);
	double s = 0;

	pool_run(m->pool, norm_unit, &n, parts);
	for (size_t i = 0; i < parts; i++)
		s += m->part[i];
	return sqrt(s);
}

#define APPLY_FLOATS 8192
#define APPLY_ROWS 256
#define AHEAD 4 /* rows that are asked for before they are used */

struct apply { struct model *m; const struct grad *g; struct adam a; size_t dense_units, count; };

static void apply_row(struct model *m, uint32_t row, const float *d, const struct apply *p)
{
	size_t D = m->cfg.D;
	float *w = model_item_row(m, row);

	away_return(m, row); /* model_grad did so, unless the gradient comes from elsewhere */
	m->item_step[row] = (uint32_t)m->applied + 1;
	if (m->cfg.rows == ROWS_ADAGRAD)
		adagrad_step(w, w + D, d, &p->a, D);
	else
		adam_step(w, w + D, w + 2 * D, d, &p->a, D);
}

static void apply_unit(void *ctx, size_t unit, int thread)
{
	const struct apply *p = ctx;
	struct model *m = p->m;
	const struct grad *g = p->g;
	size_t D = m->cfg.D;

	if (unit < p->dense_units) {
		size_t from = unit * APPLY_FLOATS, n = m->dense - from < APPLY_FLOATS ? m->dense - from : APPLY_FLOATS;

		adam_step(m->block_w + from, m->block_m + from, m->block_v + from, g->block + from, &p->a, n);
		return;
	}
	unit -= p->dense_units;
	for (size_t i = unit * APPLY_ROWS; i < p->count && i < (unit + 1) * APPLY_ROWS; i++) {
		if (m->cfg.loss != LOSS_FULL && i + AHEAD < p->count)
			vmath_prefetch(model_item_row(m, g->row[i + AHEAD]), m->item_stride);
		if (m->cfg.loss == LOSS_FULL)
			apply_row(m, (uint32_t)i, g->item + i * D, p);
		else
			apply_row(m, g->row[i], g->drow + i * D, p);
	}
}

void model_apply(struct model *m, const struct grad *g, uint64_t step, float lr)
{
	float clip = m->cfg.clip, scale = clip > 0 && g->norm > clip ? (float)(clip / g->norm) : 1;
	struct apply p = { .m = m, .g = g, .a = adam_at(&m->cfg, step, lr, scale),
	                   .dense_units = (m->dense + APPLY_FLOATS - 1) / APPLY_FLOATS, .count = m->cfg.loss == LOSS_FULL ? g->N : g->rows };

	if (m->cfg.loss != LOSS_FULL)
		away_sweep(m);
	if (m->cfg.loss == LOSS_FULL)
		watch(m, NO_ROW);
	for (size_t i = 0; i < g->rows; i++)
		watch(m, g->row[i]);
	pool_run(m->pool, apply_unit, &p, p.dense_units + (p.count + APPLY_ROWS - 1) / APPLY_ROWS);
	away_applied(m, step, lr);
	queue_push(m, g);
}
