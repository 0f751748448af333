/* encoder.c - the walk over chunks of packed sequences. chunk_forward is a list of layer calls and chunk_backward the same
 * list from the bottom up: read them side by side.
 *
 *   e = item + pos (+ attributes, at a sequence's first token);  x_0 = drop(LN(e))
 *   block: r1 = x + drop(Attn(x));                       y = LN1(r1)
 *          low-pass: r3 = x + drop(lo + b^2 (x - lo));   y = .3 LN1(r1) + .7 LN3(r3)
 *          r2 = y + drop(W2 gelu(W1 y + b1) + b2);       x' = LN2(r2)
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/encoder.h"
#include "model/kernel.h"
#include "model/rng.h"
#include "model/vmath.h"

#define GAIN_ATTENTION .3f /* the mixture of the low-pass option */
#define GAIN_LOW_PASS .7f

/* Dropout sites; part of the key, so part of the format of a fold. */
enum site { SITE_INPUT = 1, SITE_WEIGHTS, SITE_ATTENTION, SITE_LOW_PASS, SITE_FEED };

/* What forward keeps for backward, (rows, width). r1, r2, r3 are not kept: xhat and rstd are all that LayerNorm's backward
 * asks for; nor gelu(f), which is cheaper to make again than to read. */
struct block_acts {
	float *qkv;           /* 3D */
	float *p;             /* heads n ATTENTION_ROW(n) per sequence: attention weights before dropout */
	float *ctx;           /* D */
	float *xhat1, *rstd1; /* D, 1 */
	float *xhat3, *rstd3; /* D, 1: low-pass */
	float *y;             /* D */
	float *f;             /* 4D before gelu */
	float *xhat2, *rstd2; /* D, 1 */
};
struct acts {
	float *xhat0, *rstd0;
	float *x[LAYERS_MAX + 1]; /* x[i] is the input of block i; x[layers] is h */
	struct block_acts block[LAYERS_MAX];
};

/* One per thread. */
struct scratch {
	uint64_t *base, *key;      /* (CT) dropout keys of the chunk's tokens: whole, and at one site */
	float *a, *b, *dx, *dr, *dy; /* (CT,D) */
	float *wide, *dwide, *slope; /* (CT,4D) */
	float *pack;               /* (CT,4D) packed: the inputs of a linear layer */
	float *run, *heads;        /* (D), attention_scratch of the longest sequence */
	struct acts infer;         /* (CT) rows: activations nobody keeps */
};

/* The weights of a block as the products want them: packed once a call, read by every chunk. */
struct packed {
	float *qkv_t, *o_t, *f1_t, *f2_t; /* transposed: forward */
	float *qkv, *o, *f1, *f2;         /* backward */
};

struct chunk { uint32_t first, seqs, at, tokens; size_t p_at; };

struct encoder {
	struct model_config cfg;
	struct pool *pool;
	struct dropout drop;
	size_t seqs_max, tokens_max, CT, dense;
	struct sequence *seq;
	size_t *p_at;              /* (seqs) start of a sequence's attention weights */
	struct chunk *chunk;
	size_t seqs, tokens, chunks;
	struct acts acts;
	float *pooled, *dinput, *lane; /* (seqs,D) (T,D) (LANES, dense) */
	struct scratch *scratch;
	int threads;
	float *pack;               /* what the next points into */
	struct packed packed[LAYERS_MAX];

	/* Arguments of the call that runs. */
	const struct tensors *w;
	const float *item, *dh, *dpooled;
	const int32_t *dh_row;
	size_t ld, dh_tokens, lanes;
	uint64_t step;
	float *out;
	enum infer what;
};

/* ---- life ---- */

/* At the start of a cache line: a tile's vectors never lie across two. */
static int floats(float **ret, size_t n) { *ret = aligned_alloc(64, (n * sizeof(float) / 64 + 1) * 64); return *ret ? 0 : -ENOMEM; }

static int acts_alloc(struct acts *a, const struct model_config *c, size_t rows, size_t p)
{
	size_t D = c->D;
	int r = floats(&a->xhat0, rows * D) | floats(&a->rstd0, rows);

	for (size_t l = 0; l <= c->layers; l++)
		r |= floats(&a->x[l], rows * D);
	for (size_t l = 0; l < c->layers; l++) {
		struct block_acts *k = &a->block[l];

		r |= floats(&k->qkv, rows * 3 * D) | floats(&k->p, p) | floats(&k->ctx, rows * D) | floats(&k->xhat1, rows * D)
		   | floats(&k->rstd1, rows) | floats(&k->y, rows * D) | floats(&k->f, rows * 4 * D) | floats(&k->xhat2, rows * D)
		   | floats(&k->rstd2, rows) | floats(&k->xhat3, c->low_pass ? rows * D : 0) | floats(&k->rstd3, rows);
	}
	return r ? -ENOMEM : 0;
}

static void acts_free(struct acts *a)
{
	free(a->xhat0); free(a->rstd0);
	for (size_t l = 0; l <= LAYERS_MAX; l++)
		free(a->x[l]);
	for (size_t l = 0; l < LAYERS_MAX; l++) {
		struct block_acts *k = &a->block[l];

		free(k->qkv); free(k->p); free(k->ctx); free(k->xhat1); free(k->rstd1); free(k->y); free(k->f);
		free(k->xhat2); free(k->rstd2); free(k->xhat3); free(k->rstd3);
	}
}

static size_t packed_point(struct encoder *e)
{
	size_t D = e->cfg.D, at = 0;

	for (size_t l = 0; l < e->cfg.layers; l++) {
		struct packed *p = &e->packed[l];

#define PLACE(field, K, N) p->field = e->pack ? e->pack + at : NULL; at += (kernel_packed(K, N) + 15) / 16 * 16
		PLACE(qkv_t, D, 3 * D); PLACE(o_t, D, D); PLACE(f1_t, D, 4 * D); PLACE(f2_t, 4 * D, D);
		PLACE(qkv, 3 * D, D); PLACE(o, D, D); PLACE(f1, 4 * D, D); PLACE(f2, D, 4 * D);
#undef PLACE
	}
	return at;
}

int encoder_new(struct encoder **ret, const struct model_config *c, struct pool *pool, size_t seqs_max, size_t tokens_max)
{
	struct encoder *e = calloc(1, sizeof(*e));
	struct tensor_info info[TENSOR_INFO_MAX];
	size_t D = c->D, CT = c->L > CHUNK_TOKENS ? c->L : CHUNK_TOKENS;
	int r;

	if (!e)
		return -ENOMEM;

	e->cfg = *c;
	e->pool = pool;
	e->drop = dropout_from(c->dropout);
	e->seqs_max = seqs_max;
	e->tokens_max = tokens_max;
	e->CT = CT;
	tensors_list(info, &e->dense, c);
	e->threads = pool_threads(pool);
	e->seq = calloc(seqs_max, sizeof(*e->seq));
	e->p_at = calloc(seqs_max, sizeof(*e->p_at));
	e->chunk = calloc(seqs_max, sizeof(*e->chunk));
	e->scratch = calloc((size_t)e->threads, sizeof(*e->scratch));
	r = e->seq && e->p_at && e->chunk && e->scratch ? 0 : -ENOMEM;
	/* A sequence of n <= L tokens has n rows of weights a head: at most one of L a token. Untouched memory costs nothing. */
	r |= acts_alloc(&e->acts, c, tokens_max, tokens_max * ATTENTION_ROW(c->L) * c->heads);
	r |= floats(&e->pooled, seqs_max * D) | floats(&e->dinput, tokens_max * D) | floats(&e->lane, LANES * e->dense)
	   | floats(&e->pack, packed_point(e));
	packed_point(e);
	for (int t = 0; !r && t < e->threads; t++) {
		struct scratch *s = &e->scratch[t];

		s->base = malloc(CT * sizeof(*s->base));
		s->key = malloc(CT * sizeof(*s->key));
		r = s->base && s->key ? 0 : -ENOMEM;
		r |= floats(&s->a, CT * D) | floats(&s->b, CT * D) | floats(&s->dx, CT * D) | floats(&s->dr, CT * D) | floats(&s->dy, CT * D)
		   | floats(&s->wide, CT * 4 * D) | floats(&s->dwide, CT * 4 * D) | floats(&s->slope, CT * 4 * D)
		   | floats(&s->pack, kernel_packed(CT, 4 * D)) | floats(&s->run, D) | floats(&s->heads, attention_scratch(c->L, D));
		r |= acts_alloc(&s->infer, c, CT, CT * ATTENTION_ROW(c->L) * c->heads);
	}
	if (r) {
		encoder_free(e);
		return -ENOMEM;
	}

	*ret = e;
	return 0;
}

void encoder_free(struct encoder *e)
{
	if (!e)
		return;

	for (int t = 0; e->scratch && t < e->threads; t++) {
		struct scratch *s = &e->scratch[t];

		free(s->base); free(s->key); free(s->a); free(s->b); free(s->dx); free(s->dr); free(s->dy);
		free(s->wide); free(s->dwide); free(s->slope); free(s->pack); free(s->run); free(s->heads);
		acts_free(&s->infer);
	}
	acts_free(&e->acts);
	free(e->scratch); free(e->seq); free(e->p_at); free(e->chunk); free(e->pooled); free(e->dinput); free(e->lane); free(e->pack);
	free(e);
}

/* ---- the list ---- */

struct sequence *encoder_sequences(struct encoder *e) { return e->seq; }
const float *encoder_h(const struct encoder *e) { return e->acts.x[e->cfg.layers]; }
const float *encoder_pooled(const struct encoder *e) { return e->pooled; }
const float *encoder_dinput(const struct encoder *e) { return e->dinput; }

size_t encoder_plan(struct encoder *e, size_t seqs)
{
	size_t at = 0, p_at = 0;
	struct chunk *c = NULL;

	assert(seqs <= e->seqs_max);
	e->chunks = 0;
	for (size_t s = 0; s < seqs; s++) {
		struct sequence *q = &e->seq[s];

		assert(q->n >= 1 && q->n <= e->cfg.L);
		if (!c || c->seqs == CHUNK_SEQS || c->tokens + q->n > e->CT) {
			c = &e->chunk[e->chunks++];
			*c = (struct chunk){ .first = (uint32_t)s, .at = (uint32_t)at, .p_at = p_at };
		}
		q->at = (uint32_t)at;
		e->p_at[s] = p_at;
		c->seqs++;
		c->tokens += q->n;
		at += q->n;
		p_at += e->cfg.heads * q->n * ATTENTION_ROW(q->n);
	}
	assert(at <= e->tokens_max);
	e->seqs = seqs;
	e->tokens = at;
	return at;
}

/* ---- dropout keys ---- */

/* A token's key: (seed, step, user, view and position from the end). */
static void chunk_keys(const struct encoder *e, struct scratch *s, const struct chunk *c)
{
	uint64_t *base = s->base;

	for (size_t i = 0; i < c->seqs; i++) {
		const struct sequence *q = &e->seq[c->first + i];

		for (size_t t = 0; t < q->n; t++)
			*base++ = rng_bits(e->cfg.seed, RNG_DROPOUT, e->step, q->user, (uint64_t)q->view << 32 | (q->n - 1 - t));
	}
}

static inline uint64_t site_key(uint64_t base, enum site site, size_t layer) { return rng_mix(base ^ ((uint64_t)layer << 8 | site)); }

/* y (n,D) = x times the masks of a site. */
static void drop_rows(const struct encoder *e, const struct scratch *s, float *y, const float *x, enum site site, size_t layer, size_t n, struct dropout drop)
{
	size_t D = e->cfg.D;

	for (size_t t = 0; t < n; t++)
		dropout_apply(y + t * D, x + t * D, drop.threshold ? site_key(s->base[t], site, layer) : 0, drop, D);
}

/* y (n,D) = base + x times the masks of a site. */
static void drop_add_rows(const struct encoder *e, const struct scratch *s, float *y, const float *base, const float *x, enum site site, size_t layer,
                          size_t n, struct dropout drop)
{
	size_t D = e->cfg.D;

	for (size_t t = 0; t < n; t++)
		dropout_add(y + t * D, base + t * D, x + t * D, drop.threshold ? site_key(s->base[t], site, layer) : 0, drop, D);
}

static void attention_keys(struct scratch *s, size_t layer, size_t n, struct dropout drop)
{
	for (size_t t = 0; drop.threshold && t < n; t++)
		s->key[t] = site_key(s->base[t], SITE_WEIGHTS, layer);
}

static inline void add(float *restrict y, const float *restrict x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] += x[i];
}

/* ---- one chunk ---- */

static void prefetch_items(const struct encoder *e, const struct sequence *q)
{
	for (size_t j = 0; j < q->n; j++)
		if (q->item[j] != MASK_ROW)
			vmath_prefetch(e->item + (size_t)q->item[j] * e->ld, e->cfg.D);
}

void attributes_forward(float *x, const float *attr, const uint16_t *attribute, const struct model_config *c)
{
	for (size_t i = 0; attribute && i < ATTRIBUTES_MAX; i++) {
		assert(attribute[i] <= c->attributes);
		if (attribute[i])
			add(x, attr + (size_t)(attribute[i] - 1) * c->D, c->D);
	}
}

/* forward: e_0 += row, so drow += de_0. dattr: that of a block of gradients. */
static void attributes_backward(const struct encoder *e, float *dattr, const float *de, const struct sequence *q)
{
	for (size_t i = 0; q->attribute && i < ATTRIBUTES_MAX; i++)
		if (q->attribute[i])
			add(dattr + (size_t)(q->attribute[i] - 1) * e->cfg.D, de, e->cfg.D);
}

/* Activations of the chunk go to rows row.. of a (p: from p_at - p0). */
static void chunk_forward(const struct encoder *e, struct acts *a, struct scratch *s, const struct chunk *c, size_t row, size_t p0, struct dropout drop)
{
	const struct model_config *cfg = &e->cfg;
	const struct tensors *w = e->w;
	size_t D = cfg->D, n = c->tokens, t = 0;

	if (drop.threshold)
		chunk_keys(e, s, c);

	/* e = item + pos (+ attributes);  x_0 = drop(LN(e)) */
	for (size_t i = 0; i < c->seqs; i++) {
		const struct sequence *q = &e->seq[c->first + i];

		if (i + 1 < c->seqs)
			prefetch_items(e, q + 1);
		float *first = s->a + t * D;
		for (size_t j = 0; j < q->n; j++, t++) {
			const float *item = q->item[j] == MASK_ROW ? w->mask : e->item + (size_t)q->item[j] * e->ld;
			const float *pos = w->pos + (cfg->L - q->n + j) * D;

			for (size_t d = 0; d < D; d++)
				s->a[t * D + d] = item[d] + pos[d];
		}
		attributes_forward(first, w->attr, q->attribute, cfg);
	}
	layernorm_forward(a->x[0] + row * D, a->xhat0 + row * D, a->rstd0 + row, s->a, w->ln_w, w->ln_b, 1, 0, n, D);
	drop_rows(e, s, a->x[0] + row * D, a->x[0] + row * D, SITE_INPUT, 0, n, drop);

	for (size_t l = 0; l < cfg->layers; l++) {
		const struct block_tensors *b = &w->block[l];
		const struct packed *p = &e->packed[l];
		struct block_acts *k = &a->block[l];
		const float *x = a->x[l] + row * D;
		float *y = k->y + row * D, *f = k->f + row * 4 * D, *next = a->x[l + 1] + row * D;

		/* r1 = x + drop(Attn(x)) */
		linear_forward(k->qkv + row * 3 * D, x, p->qkv_t, b->qb, n, D, 3 * D);
		attention_keys(s, l, n, drop);
		for (size_t i = 0; i < c->seqs; i++) {
			const struct sequence *q = &e->seq[c->first + i];
			size_t at = q->at - c->at;

			attention_forward(k->ctx + (row + at) * D, k->p + e->p_at[c->first + i] - p0, s->heads, k->qkv + (row + at) * 3 * D,
			                  s->key + at, drop, q->n, D, cfg->heads);
		}
		linear_forward(s->a, k->ctx + row * D, p->o_t, b->ob, n, D, D);
		drop_add_rows(e, s, s->a, x, s->a, SITE_ATTENTION, l, n, drop);

		/* y = LN1(r1), or the mixture */
		layernorm_forward(y, k->xhat1 + row * D, k->rstd1 + row, s->a, b->ln1w, b->ln1b, cfg->low_pass ? GAIN_ATTENTION : 1, 0, n, D);
		if (cfg->low_pass) {
			for (size_t i = 0; i < c->seqs; i++) {
				const struct sequence *q = &e->seq[c->first + i];
				size_t at = q->at - c->at;

				low_pass_forward(s->a + at * D, s->run, x + at * D, b->lp, q->n, D);
			}
			drop_add_rows(e, s, s->a, x, s->a, SITE_LOW_PASS, l, n, drop);
			layernorm_forward(y, k->xhat3 + row * D, k->rstd3 + row, s->a, b->ln3w, b->ln3b, GAIN_LOW_PASS, 1, n, D);
		}

		/* r2 = y + drop(W2 gelu(W1 y + b1) + b2);  x' = LN2(r2) */
		linear_forward(f, y, p->f1_t, b->f1b, n, D, 4 * D);
		vmath_gelu(s->wide, f, n * 4 * D);
		linear_forward(s->a, s->wide, p->f2_t, b->f2b, n, 4 * D, D);
		drop_add_rows(e, s, s->a, y, s->a, SITE_FEED, l, n, drop);
		layernorm_forward(next, k->xhat2 + row * D, k->rstd2 + row, s->a, b->ln2w, b->ln2b, 1, 0, n, D);
	}
}

/* s->dx (n,D) holds d loss / d h; d is the lane's gradient. Each part answers the part of chunk_forward in reverse order. */
static void chunk_backward(struct encoder *e, struct tensors *d, struct scratch *s, const struct chunk *c)
{
	const struct model_config *cfg = &e->cfg;
	const struct tensors *w = e->w;
	const struct acts *a = &e->acts;
	size_t D = cfg->D, n = c->tokens, row = c->at, t = 0;
	struct dropout drop = e->drop;

	if (drop.threshold)
		chunk_keys(e, s, c);

	for (size_t l = cfg->layers; l-- > 0;) {
		const struct block_tensors *b = &w->block[l];
		const struct packed *p = &e->packed[l];
		struct block_tensors *g = &d->block[l];
		const struct block_acts *k = &a->block[l];
		const float *x = a->x[l] + row * D, *y = k->y + row * D, *f = k->f + row * 4 * D;

		/* x' = LN2(r2);  r2 = y + drop(W2 gelu(W1 y + b1) + b2): dy = dr2 + what comes through the feed-forward, added to dr */
		layernorm_backward(s->dr, g->ln2w, g->ln2b, s->dx, k->xhat2 + row * D, k->rstd2 + row, b->ln2w, 1, n, D);
		drop_rows(e, s, s->a, s->dr, SITE_FEED, l, n, drop);
		vmath_gelu_slope(s->wide, s->slope, f, n * 4 * D);
		linear_backward(s->dwide, g->f2w, g->f2b, 0, s->pack, s->a, s->wide, p->f2, n, 4 * D, D);
		vmath_mul(s->dwide, s->slope, n * 4 * D);
		linear_backward(s->dr, g->f1w, g->f1b, 1, s->pack, s->dwide, y, p->f1, n, D, 4 * D);

		/* From here dr is dy. low-pass: y += .7 LN3(r3);  r3 = x + drop(u): dx = dr3 + what comes through u, in s->b till the end */
		if (cfg->low_pass) {
			layernorm_backward(s->b, g->ln3w, g->ln3b, s->dr, k->xhat3 + row * D, k->rstd3 + row, b->ln3w, GAIN_LOW_PASS, n, D);
			drop_rows(e, s, s->a, s->b, SITE_LOW_PASS, l, n, drop);
			for (size_t i = 0; i < c->seqs; i++) {
				const struct sequence *q = &e->seq[c->first + i];
				size_t at = q->at - c->at;

				low_pass_backward(s->b + at * D, g->lp, s->dy, s->run, s->a + at * D, x + at * D, b->lp, q->n, D);
			}
		}

		/* y += LN1(r1);  r1 = x + drop(Attn(x)): dx = dr1 + what comes through attention */
		layernorm_backward(s->dx, g->ln1w, g->ln1b, s->dr, k->xhat1 + row * D, k->rstd1 + row, b->ln1w, cfg->low_pass ? GAIN_ATTENTION : 1, n, D);
		drop_rows(e, s, s->a, s->dx, SITE_ATTENTION, l, n, drop);
		linear_backward(s->dy, g->ow, g->ob, 0, s->pack, s->a, k->ctx + row * D, p->o, n, D, D);
		attention_keys(s, l, n, drop);
		for (size_t i = 0; i < c->seqs; i++) {
			const struct sequence *q = &e->seq[c->first + i];
			size_t at = q->at - c->at;

			attention_backward(s->wide + at * 3 * D, s->heads, s->dy + at * D, k->p + e->p_at[c->first + i], k->qkv + (row + at) * 3 * D,
			                   s->key + at, drop, q->n, D, cfg->heads);
		}
		linear_backward(s->dx, g->qw, g->qb, 1, s->pack, s->wide, x, p->qkv, n, D, 3 * D);
		memset(g->kb, 0, D * sizeof(float)); /* exactly zero by nature; Adam would blow the rounding up to steps of lr */
		if (cfg->low_pass)
			add(s->dx, s->b, n * D);
	}

	/* x_0 = drop(LN(e));  e = item + pos (+ attributes) */
	drop_rows(e, s, s->dx, s->dx, SITE_INPUT, 0, n, drop);
	layernorm_backward(e->dinput + row * D, d->ln_w, d->ln_b, s->dx, a->xhat0 + row * D, a->rstd0 + row, w->ln_w, 1, n, D);
	for (size_t i = 0; i < c->seqs; i++) {
		const struct sequence *q = &e->seq[c->first + i];

		attributes_backward(e, d->attr, e->dinput + (row + t) * D, q);
		for (size_t j = 0; j < q->n; j++, t++) {
			const float *de = e->dinput + (row + t) * D;

			add(d->pos + (cfg->L - q->n + j) * D, de, D);
			if (q->item[j] == MASK_ROW)
				add(d->mask, de, D);
		}
	}
}

/* ---- weights ---- */

#define PACKS 8 /* products of a layer, forward ones first */

static void pack_unit(void *ctx, size_t unit, int thread)
{
	struct encoder *e = ctx;
	const struct packed *p = &e->packed[unit % e->cfg.layers];
	const struct block_tensors *b = &e->w->block[unit % e->cfg.layers];
	size_t D = e->cfg.D;

	switch (unit / e->cfg.layers) {
	case 0: kernel_pack_t(p->qkv_t, b->qw, D, D, 3 * D); break;
	case 1: kernel_pack_t(p->o_t, b->ow, D, D, D); break;
	case 2: kernel_pack_t(p->f1_t, b->f1w, D, D, 4 * D); break;
	case 3: kernel_pack_t(p->f2_t, b->f2w, 4 * D, 4 * D, D); break;
	case 4: kernel_pack(p->qkv, b->qw, D, 3 * D, D); break;
	case 5: kernel_pack(p->o, b->ow, D, D, D); break;
	case 6: kernel_pack(p->f1, b->f1w, D, 4 * D, D); break;
	case 7: kernel_pack(p->f2, b->f2w, 4 * D, D, 4 * D); break;
	}
}

/* ---- training ---- */

/* z (D) of a sequence's outputs h (n,D). */
static void pool_outputs(const struct encoder *e, float *z, const float *h, size_t n)
{
	size_t D = e->cfg.D;
	float inv = 1.0f / (float)n;

	if (e->cfg.pool == POOL_LAST) {
		memcpy(z, h + (n - 1) * D, D * sizeof(*z));
		return;
	}
	memset(z, 0, D * sizeof(*z));
	for (size_t j = 0; j < n; j++)
		add(z, h + j * D, D);
	for (size_t d = 0; d < D; d++)
		z[d] *= inv;
}

static void forward_unit(void *ctx, size_t unit, int thread)
{
	struct encoder *e = ctx;
	const struct chunk *c = &e->chunk[unit];
	size_t D = e->cfg.D;

	chunk_forward(e, &e->acts, &e->scratch[thread], c, c->at, 0, e->drop);

	for (size_t i = 0; i < c->seqs; i++) {
		const struct sequence *q = &e->seq[c->first + i];

		pool_outputs(e, e->pooled + (c->first + i) * D, encoder_h(e) + (size_t)q->at * D, q->n);
	}
}

void encoder_forward(struct encoder *e, const struct tensors *w, const float *item, size_t ld, uint64_t step)
{
	e->w = w;
	e->item = item;
	e->ld = ld;
	e->step = step;
	pool_run(e->pool, pack_unit, e, PACKS * e->cfg.layers);
	pool_run(e->pool, forward_unit, e, e->chunks);
}

static void backward_unit(void *ctx, size_t unit, int thread)
{
	struct encoder *e = ctx;
	struct scratch *s = &e->scratch[thread];
	struct tensors d;
	size_t D = e->cfg.D;

	tensors_point(&d, e->lane + unit * e->dense, &e->cfg);
	memset(e->lane + unit * e->dense, 0, e->dense * sizeof(float));
	for (size_t k = unit; k < e->chunks; k += LANES) {
		const struct chunk *c = &e->chunk[k];

		/* dh: from the next item; from the pooled vector, mean: dh_t += dz / n, last: dh_last += dz */
		for (size_t t = 0; t < c->tokens; t++) {
			int32_t row = c->at + t < e->dh_tokens ? e->dh_row[c->at + t] : -1;

			if (row >= 0)
				memcpy(s->dx + t * D, e->dh + (size_t)row * D, D * sizeof(float));
			else
				memset(s->dx + t * D, 0, D * sizeof(float));
		}
		for (size_t i = 0; e->dpooled && i < c->seqs; i++) {
			const struct sequence *q = &e->seq[c->first + i];
			const float *dz = e->dpooled + (c->first + i) * D;
			float *dx = s->dx + (q->at - c->at) * D, inv = 1.0f / (float)q->n;

			if (e->cfg.pool == POOL_LAST)
				add(dx + (q->n - 1) * D, dz, D);
			else
				for (size_t j = 0; j < q->n; j++)
					for (size_t x = 0; x < D; x++)
						dx[j * D + x] += inv * dz[x];
		}
		chunk_backward(e, &d, s, c);
	}
}

#define REDUCE_BLOCK 8192

static void reduce_unit(void *ctx, size_t unit, int thread)
{
	struct encoder *e = ctx;
	size_t from = unit * REDUCE_BLOCK, n = e->dense - from < REDUCE_BLOCK ? e->dense - from : REDUCE_BLOCK;

	for (size_t l = 0; l < e->lanes; l++)
		add(e->out + from, e->lane + l * e->dense + from, n);
}

/* The packed weights are those of encoder_forward. */
void encoder_backward(struct encoder *e, float *dense, const struct tensors *w, const float *dh, const int32_t *dh_row, size_t dh_tokens,
                      const float *dpooled, uint64_t step)
{
	e->w = w;
	e->dh = dh;
	e->dh_row = dh_row;
	e->dh_tokens = dh_tokens;
	e->dpooled = dpooled;
	e->step = step;
	e->out = dense;
	e->lanes = e->chunks < LANES ? e->chunks : LANES;
	pool_run(e->pool, backward_unit, e, e->lanes);
	pool_run(e->pool, reduce_unit, e, (e->dense + REDUCE_BLOCK - 1) / REDUCE_BLOCK);
}

/* ---- inference ---- */

static void infer_unit(void *ctx, size_t unit, int thread)
{
	struct encoder *e = ctx;
	struct scratch *s = &e->scratch[thread];
	const struct chunk *c = &e->chunk[unit];
	const float *h = s->infer.x[e->cfg.layers];
	size_t D = e->cfg.D;

	chunk_forward(e, &s->infer, s, c, 0, c->p_at, (struct dropout){ 0, 1 });
	if (e->what == INFER_ALL) {
		memcpy(e->out + (size_t)c->at * D, h, c->tokens * D * sizeof(float));
		return;
	}
	for (size_t i = 0; i < c->seqs; i++) {
		const struct sequence *q = &e->seq[c->first + i];
		const float *h_s = h + (q->at - c->at) * D;
		float *out = e->out + (c->first + i) * D;

		if (e->what == INFER_POOLED)
			pool_outputs(e, out, h_s, q->n);
		else
			memcpy(out, h_s + (q->n - 1) * D, D * sizeof(float));
	}
}

void encoder_infer(struct encoder *e, float *h, enum infer what, const struct tensors *w, const float *item, size_t ld)
{
	e->w = w;
	e->item = item;
	e->ld = ld;
	e->out = h;
	e->what = what;
	pool_run(e->pool, pack_unit, e, PACKS / 2 * e->cfg.layers);
	pool_run(e->pool, infer_unit, e, e->chunks);
}
