/* state.c - tensors by name, and what recovery copies: see state.h */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "model/model_private.h"
#include "model/state.h"

size_t model_row_floats(const struct model *m) { return m->item_stride; }

int model_make_rows(struct model *m, size_t n)
{
	if (n > m->cfg.items_max)
		return -ENOSPC;

	m->N = n > m->N ? n : m->N; /* zero pages */
	return 0;
}

float *model_row_state(struct model *m, uint32_t row, uint32_t **ret_step)
{
	assert(row < m->N);
	*ret_step = &m->item_step[row];
	return model_item_row(m, row);
}

float *model_queue_state(struct model *m, size_t **ret_count, size_t **ret_next)
{
	*ret_count = &m->queue_count;
	*ret_next = &m->queue_next;
	return m->queue;
}

const char *model_tensor_name(const struct model *m, size_t i) { return i < m->infos ? m->info[i].name : NULL; }

static float *tensor_in(const struct model *m, float *block, const char *name, size_t *ret_rows, size_t *ret_cols)
{
	for (size_t i = 0; i < m->infos; i++)
		if (!strcmp(m->info[i].name, name)) {
			*ret_rows = m->info[i].rows;
			*ret_cols = m->info[i].cols;
			return block + m->info[i].at;
		}
	return NULL;
}

/* item.weight: rows lie model_row_floats apart, weight first; cols says D. Moments: the name with "/m" or "/v" behind it. */
float *model_tensor(struct model *m, const char *name, size_t *ret_rows, size_t *ret_cols)
{
	size_t len = strlen(name);
	char base[64];

	if (!strcmp(name, "item.weight")) {
		*ret_rows = m->N;
		*ret_cols = m->cfg.D;
		return m->item;
	}
	if (!strcmp(name, "queue") && m->cfg.queue) {
		*ret_rows = m->cfg.queue;
		*ret_cols = m->cfg.D;
		return m->queue;
	}
	if (len > 2 && len < sizeof(base) && (!strcmp(name + len - 2, "/m") || !strcmp(name + len - 2, "/v"))) {
		memcpy(base, name, len - 2);
		base[len - 2] = 0;
		return tensor_in(m, name[len - 1] == 'm' ? m->block_m : m->block_v, base, ret_rows, ret_cols);
	}
	return tensor_in(m, m->block_w, name, ret_rows, ret_cols);
}

/* item.weight is (N,D), dense also for the sparse forms (then made here: for tests). */
const float *grad_tensor(struct model *m, struct grad *g, const char *name, size_t *ret_rows, size_t *ret_cols)
{
	size_t D = m->cfg.D;

	if (strcmp(name, "item.weight"))
		return tensor_in(m, g->block, name, ret_rows, ret_cols);

	*ret_rows = m->N;
	*ret_cols = D;
	if (m->cfg.loss != LOSS_FULL) {
		memset(g->item, 0, m->N * D * sizeof(float));
		for (size_t i = 0; i < g->rows; i++)
			memcpy(g->item + (size_t)g->row[i] * D, g->drow + i * D, D * sizeof(float));
	}
	return g->item;
}

static void copy_floats(float *to, const float *from, size_t n) { memcpy(to, from, n * sizeof(float)); }

/* All but the rows. */
static void copy_tensors(struct model *to, const struct model *from)
{
	assert(to->dense == from->dense && to->item_stride == from->item_stride && to->cfg.queue == from->cfg.queue);
	copy_floats(to->block_w, from->block_w, from->dense);
	copy_floats(to->block_m, from->block_m, from->dense);
	copy_floats(to->block_v, from->block_v, from->dense);
	copy_floats(to->queue, from->queue, from->cfg.queue * from->cfg.D);
	to->queue_count = from->queue_count;
	to->queue_next = from->queue_next;
	away_copy(to, from);
}

void model_copy(struct model *to, const struct model *from)
{
	assert(from->N <= to->cfg.items_max);
	copy_tensors(to, from);
	copy_floats(to->item, from->item, from->N * from->item_stride);
	memcpy(to->item_step, from->item_step, from->N * sizeof *from->item_step);
	memcpy(to->gone, from->gone, from->N);
	to->gones = from->gones;
	to->N = from->N;
	if (to->item_attribute)
		memcpy(to->item_attribute, from->item_attribute, from->N * ATTRIBUTES_MAX * sizeof *from->item_attribute);
	to->attributed = from->attributed;
}

void model_arrange(struct model *to, const struct model *from, const uint32_t *from_row, size_t n)
{
	uint32_t row;

	assert(to->N == 0 && n <= to->cfg.items_max);
	copy_tensors(to, from);
	for (size_t i = 0; i < n; i++) {
		model_add_item(to, &row);
		if (from_row[i] == GONE_ROW)
			model_remove_item(to, row);
		if (from_row[i] == NO_ROW || from_row[i] == GONE_ROW)
			continue;
		assert(from_row[i] < from->N);
		copy_floats(model_item_row(to, row), model_item_row(from, from_row[i]), from->item_stride);
		to->item_step[row] = from->item_step[from_row[i]];
		model_copy_item_attributes(to, row, from, from_row[i]);
	}
}
