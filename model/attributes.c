/* attributes.c - an item is its row and the rows of attr that its attributes name:
 *     whole_r = item_r + sum_i attr_(a_ri),   so   ditem_r = dwhole_r,   dattr_a = sum of dwhole_r over the items r that have a
 * The sums stand apart from the rows, which keep their moments beside them. Readers between steps make them in passing: model_item_now.
 */
#include <assert.h>
#include <string.h>

#include "model/model_private.h"

#define ROWS 256   /* items of a unit */
#define COLUMNS 16 /* of a unit of backward: a cache line */

void model_set_item_attributes(struct model *m, uint32_t row, const uint16_t attribute[ATTRIBUTES_MAX])
{
	assert(m->item_attribute && row < m->N && !m->gone[row]);
	for (size_t i = 0; i < ATTRIBUTES_MAX; i++) {
		assert(attribute[i] <= m->cfg.attributes);
		m->item_attribute[(size_t)row * ATTRIBUTES_MAX + i] = attribute[i];
		m->attributed |= attribute[i] != 0;
	}
}

void model_copy_item_attributes(struct model *to, uint32_t row, const struct model *from, uint32_t from_row)
{
	if (to->item_attribute)
		model_set_item_attributes(to, row, model_item_attributes(from, from_row));
}

const uint16_t *model_item_attributes(const struct model *m, uint32_t row)
{
	return m->item_attribute ? m->item_attribute + (size_t)row * ATTRIBUTES_MAX : NULL;
}

const float *whole_items(const struct model *m, size_t *ret_ld)
{
	*ret_ld = m->attributed ? m->cfg.D : m->item_stride;
	return m->attributed ? m->whole : m->item;
}

static void make_whole(struct model *m, uint32_t row)
{
	float *x = m->whole + (size_t)row * m->cfg.D;

	memcpy(x, model_item_row(m, row), m->cfg.D * sizeof(*x));
	attributes_forward(x, m->w.attr, model_item_attributes(m, row), &m->cfg);
}

void whole_rows(struct model *m, const uint32_t *row, size_t n)
{
	for (size_t i = 0; m->attributed && i < n; i++)
		if (row[i] != MASK_ROW)
			make_whole(m, row[i]);
}

static void whole_unit(void *ctx, size_t unit, int thread)
{
	struct model *m = ctx;

	for (size_t r = unit * ROWS; r < m->N && r < (unit + 1) * ROWS; r++)
		make_whole(m, (uint32_t)r);
}

void whole_all(struct model *m)
{
	if (m->attributed)
		pool_run(m->pool, whole_unit, m, (m->N + ROWS - 1) / ROWS);
}

struct back { struct model *m; struct grad *g; };

/* Some columns of all rows, in their order. */
static void backward_unit(void *ctx, size_t unit, int thread)
{
	const struct back *b = ctx;
	const struct model *m = b->m;
	int full = m->cfg.loss == LOSS_FULL;
	size_t D = m->cfg.D, from = unit * COLUMNS, to = from + COLUMNS < D ? from + COLUMNS : D, n = full ? b->g->N : b->g->rows;

	for (size_t r = 0; r < n; r++) {
		const uint16_t *attribute = model_item_attributes(m, full ? (uint32_t)r : b->g->row[r]);
		const float *d = (full ? b->g->item : b->g->drow) + r * D;

		for (size_t i = 0; i < ATTRIBUTES_MAX; i++)
			for (size_t k = from; attribute[i] && k < to; k++)
				b->g->d.attr[(size_t)(attribute[i] - 1) * D + k] += d[k];
	}
}

void whole_backward(struct model *m, struct grad *g)
{
	struct back b = { m, g };

	if (m->attributed)
		pool_run(m->pool, backward_unit, &b, (m->cfg.D + COLUMNS - 1) / COLUMNS);
}
