/* encode.c - the model as readers see it: sequences encoded without dropout, item and prototype vectors. */
#include <assert.h>
#include <string.h>

#include "model/losses.h"
#include "model/model_private.h"

static void encode(struct model *m, float *out, const struct batch *b, int last)
{
	size_t D = m->cfg.D, n;

	/* Any number of users: in groups of what the list holds. */
	for (size_t u = 0; u < b->B;) {
		size_t to = u, tokens = 0;

		while (to < b->B && to - u < m->users_max && tokens + (b->start[to + 1] - b->start[to]) <= m->tokens_max) {
			tokens += b->start[to + 1] - b->start[to];
			to++;
		}
		assert(to > u);
		encoder_plan(m->enc, list_batch(m, b, u, to));
		encoder_infer(m->enc, out + (last ? u : b->start[u]) * D, last, &m->w, m->item, m->item_stride);
		u = to;
	}

	n = last ? b->B : b->T;
	for (size_t i = 0; m->cfg.cosine && i < n; i++) {
		float norm;

		normalise_forward(out + i * D, &norm, out + i * D, 1, D);
	}
}

void model_encode(struct model *m, float *h, const struct batch *b) { encode(m, h, b, 0); }
void model_encode_last(struct model *m, float *out, const struct batch *b) { encode(m, out, b, 1); }

void model_item_vector(const struct model *m, float *out, uint32_t row)
{
	float norm;

	assert(row < m->N);
	if (m->cfg.cosine)
		normalise_forward(out, &norm, model_item_row(m, row), 1, m->cfg.D);
	else
		memcpy(out, model_item_row(m, row), m->cfg.D * sizeof(float));
}

void model_prototype_vector(const struct model *m, float *out, uint32_t k)
{
	float norm;

	assert(k < m->cfg.K);
	if (m->cfg.norm)
		normalise_forward(out, &norm, m->w.mu + (size_t)k * m->cfg.D, 1, m->cfg.D);
	else
		memcpy(out, m->w.mu + (size_t)k * m->cfg.D, m->cfg.D * sizeof(float));
}
