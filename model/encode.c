/* encode.c - the model as readers see it: sequences encoded without dropout, item and prototype vectors. */
#include <assert.h>
#include <string.h>

#include "model/losses.h"
#include "model/model_private.h"

/* The group's tokens as rows 0.. of m->hT, each item's row as of the last step: readers do not write rows (away.c). */
static void gather(struct model *m, const struct batch *b, size_t from, size_t seqs)
{
	struct sequence *s = encoder_sequences(m->enc);
	size_t D = m->cfg.D, base = b->start[from];

	for (size_t i = 0; i < seqs; i++) {
		uint32_t *place = m->tgt + (s[i].item - b->item - base);

		for (size_t j = 0; j < s[i].n; j++) {
			uint32_t row = s[i].item[j];
			size_t at = (size_t)(place + j - m->tgt);
			const float *w;

			place[j] = row == MASK_ROW ? MASK_ROW : (uint32_t)at;
			if (row == MASK_ROW)
				continue;
			w = model_item_now(m, m->hT + at * D, row);
			if (w != m->hT + at * D)
				memcpy(m->hT + at * D, w, D * sizeof(float));
		}
		s[i].item = place;
	}
}

static void encode(struct model *m, float *out, const struct batch *b, enum infer what)
{
	size_t D = m->cfg.D, seqs, n;

	/* Any number of users: in groups of what the list holds. */
	for (size_t u = 0; u < b->B;) {
		size_t to = u, tokens = 0;

		while (to < b->B && to - u < m->users_max && tokens + (b->start[to + 1] - b->start[to]) <= m->tokens_max) {
			tokens += b->start[to + 1] - b->start[to];
			to++;
		}
		assert(to > u);
		seqs = list_batch(m, b, u, to);
		gather(m, b, u, seqs);
		encoder_plan(m->enc, seqs);
		encoder_infer(m->enc, out + (what == INFER_ALL ? b->start[u] : u) * D, what, &m->w, m->hT, D);
		u = to;
	}

	n = what == INFER_ALL ? b->T : b->B;
	for (size_t i = 0; m->cfg.cosine && what != INFER_POOLED && i < n; i++) {
		float norm;

		normalise_forward(out + i * D, &norm, out + i * D, 1, D);
	}
}

void model_encode(struct model *m, float *h, const struct batch *b) { encode(m, h, b, INFER_ALL); }
void model_encode_last(struct model *m, float *out, const struct batch *b) { encode(m, out, b, INFER_LAST); }
void model_encode_pooled(struct model *m, float *z, const struct batch *b) { encode(m, z, b, INFER_POOLED); }

void model_item_vector(const struct model *m, float *out, uint32_t row)
{
	float norm, tmp[m->cfg.D];
	const float *w;

	assert(row < m->N);
	w = model_item_now(m, tmp, row);
	if (m->cfg.cosine)
		normalise_forward(out, &norm, w, 1, m->cfg.D);
	else
		memcpy(out, w, m->cfg.D * sizeof(float));
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
