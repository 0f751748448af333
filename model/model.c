/* model.c - life of the model, and one training step as a gradient.
 *
 * model_grad in order: views -> plan -> encoder forward -> next item -> z and the four losses -> encoder backward ->
 * item rows -> norm. Sequences are one list: B users, then B first views, then B second views; the base tokens are
 * therefore rows 0..T-1 of h. Everything that runs in parallel does so over fixed units (pool.h).
 */
#include <assert.h>
#include <cblas.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "model/augment.h"
#include "model/kernel.h"
#include "model/losses.h"
#include "model/model_private.h"
#include "model/rng.h"
#include "model/state.h"
#include "model/vmath.h"

/* ---- configuration ---- */

int model_config_check(const struct model_config *c, const char **reterr_why)
{
	const char *why = NULL;

#define MUST(what, ok) if (!why && !(ok)) why = what
	MUST("L: 1..4096", c->L >= 1 && c->L <= 4096);
	MUST("D: 1..512", c->D >= 1 && c->D <= 512);
	MUST("heads: must divide D", c->heads >= 1 && c->D % c->heads == 0);
	MUST("layers: 1..8", c->layers >= 1 && c->layers <= LAYERS_MAX);
	MUST("K: 1..65536", c->K >= 1 && c->K <= 65536);
	MUST("dropout: 0 .. below 1", c->dropout >= 0 && c->dropout < 1);
	MUST("loss: full, sampled or bce", c->loss == LOSS_FULL || c->loss == LOSS_SAMPLED || c->loss == LOSS_BCE);
	MUST("negatives: at least 1 for sampled and bce", c->loss == LOSS_FULL || c->negatives >= 1);
	MUST("pool: mean or last", c->pool == POOL_MEAN || c->pool == POOL_LAST);
	MUST("rows: adam or adagrad", c->rows == ROWS_ADAM || c->rows == ROWS_ADAGRAD);
	MUST("cluster: sinkhorn or kmeans", c->cluster == CLUSTER_SINKHORN || c->cluster == CLUSTER_KMEANS);
	MUST("norm: 1 for kmeans", c->cluster == CLUSTER_SINKHORN || c->norm);
	MUST("uniform: above 0, at most 1 for sampled", c->loss != LOSS_SAMPLED || (c->uniform > 0 && c->uniform <= 1));
	MUST("cosine_tau: above 0", !c->cosine || c->cosine_tau > 0);
	MUST("eps: above 0", c->eps > 0);
	MUST("iters: 0..1000", c->iters >= 0 && c->iters <= 1000);
	MUST("queue: 0 .. 2^24", c->queue <= (size_t)1 << 24);
	MUST("tau1: above 0", c->tau1 > 0);
	MUST("tau2: above 0", c->tau2 > 0);
	MUST("tau3: above 0", c->tau3 > 0);
	MUST("alpha: 0 or above", c->alpha >= 0 && isfinite(c->alpha));
	MUST("beta1: 0 or above", c->beta1 >= 0 && isfinite(c->beta1));
	MUST("beta2: 0 or above", c->beta2 >= 0 && isfinite(c->beta2));
	MUST("lambda: 0 or above", c->lambda >= 0 && isfinite(c->lambda));
	MUST("mask_share: 0..1", c->mask_share >= 0 && c->mask_share <= 1);
	MUST("crop_share: 0..1", c->crop_share >= 0 && c->crop_share <= 1);
	MUST("reorder_share: 0..1", c->reorder_share >= 0 && c->reorder_share <= 1);
	MUST("insert_share: 0..1", c->insert_share >= 0 && c->insert_share <= 1);
	MUST("clip: 0 or above", c->clip >= 0);
	MUST("beta_1: 0 .. below 1", c->beta_1 >= 0 && c->beta_1 < 1);
	MUST("beta_2: 0 .. below 1", c->beta_2 >= 0 && c->beta_2 < 1);
	MUST("adam_eps: above 0", c->adam_eps > 0);
	MUST("weight_decay: 0 or above", c->weight_decay >= 0);
	MUST("attributes: 0..65535", c->attributes <= UINT16_MAX);
	MUST("threads: 1..256", c->threads >= 1 && c->threads <= 256);
	MUST("items_max: 1 .. 2^32 - 3", c->items_max >= 1 && c->items_max < MASK_ROW);
	MUST("batch_users_max: at least 1", c->batch_users_max >= 1);
	MUST("batch_users_max * L: too large", c->batch_users_max <= (size_t)INT32_MAX / VIEWS / c->L);
#undef MUST
	if (why && reterr_why)
		*reterr_why = why;
	return why ? -EINVAL : 0;
}

/* ---- life ---- */

/* Address space without memory: pages come, zeroed, when first touched. */
static void *reserve(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void unreserve(void *p, size_t bytes)
{
	if (p)
		munmap(p, bytes);
}

static int floats(float **ret, size_t n) { *ret = calloc(n ? n : 1, sizeof(float)); return *ret ? 0 : -ENOMEM; }
static int rows(uint32_t **ret, size_t n) { *ret = calloc(n ? n : 1, sizeof(uint32_t)); return *ret ? 0 : -ENOMEM; }

static int needs_views(const struct model_config *c) { return c->beta1 != 0 || c->beta2 != 0; }
static int needs_z(const struct model_config *c) { return c->alpha != 0 || c->lambda != 0 || needs_views(c); }

/* Rows a sparse gradient can touch. */
static size_t touched_max(const struct model *m)
{
	size_t L = m->cfg.L, T = m->tokens_max;
	size_t n = T + 2 * m->users_max * L + T + (m->cfg.loss == LOSS_BCE ? T * m->cfg.negatives : m->cfg.negatives);

	return m->cfg.loss == LOSS_FULL ? 0 : n < m->cfg.items_max ? n : m->cfg.items_max;
}

/* A change of this folder that changes bits raises it. */
#define REVISION "r3"

/* <kernel>-<instructions of the loops>-<revision>[-<OpenBLAS version>-<its core>]-libm-<version> */
static void name_numerics(char *ret, size_t len)
{
	char version[24] = "0", core[24] = "";
	const char *loops = "v1";

#if defined(__x86_64__) && !defined(S4_NO_CLONES)
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
		loops = "v3";
#endif
	if (strcmp(kernel_name(), "blas")) {
		snprintf(ret, len, "%s-%s-" REVISION "-libm-%s", kernel_name(), loops, gnu_get_libc_version());
		return;
	}
	sscanf(openblas_get_config(), "OpenBLAS %23s", version);
	snprintf(core, sizeof(core), "%s", openblas_get_corename());
	for (char *p = core; *p; p++)
		*p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
	snprintf(ret, len, "blas-%s-" REVISION "-%s-%s-libm-%s", loops, version, core, gnu_get_libc_version());
}

int model_new(struct model **ret, const struct model_config *cfg)
{
	struct model *m;
	size_t D = cfg->D, K = cfg->K, U, T, neg, scratch;
	int r = model_config_check(cfg, NULL);

	if (r < 0)
		return r;

	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;

	openblas_set_num_threads(1); /* we thread; BLAS inside a thread must not */
	m->cfg = *cfg;
	if (!m->cfg.batch_tokens_max)
		m->cfg.batch_tokens_max = cfg->batch_users_max * cfg->L;
	U = m->users_max = cfg->batch_users_max;
	T = m->tokens_max = m->cfg.batch_tokens_max;
	m->item_stride = cfg->rows == ROWS_ADAGRAD ? D + 1 : 3 * D;
	m->infos = tensors_list(m->info, &m->dense, cfg);
	neg = cfg->loss == LOSS_BCE ? T * cfg->negatives : cfg->loss == LOSS_SAMPLED ? cfg->negatives : 0;
	scratch = contrast_scratch(U, K, D);
	if (scratch < sinkhorn_scratch(U + cfg->queue, K))
		scratch = sinkhorn_scratch(U + cfg->queue, K);
	if (scratch < U * K)
		scratch = U * K; /* cluster_loss */

	r = pool_new(&m->pool, cfg->threads);
	if (r < 0)
		goto out;

	r = -ENOMEM;
	m->item = reserve(cfg->items_max * m->item_stride * sizeof(float));
	m->gone = reserve(cfg->items_max);
	m->item_step = reserve(cfg->items_max * sizeof(*m->item_step));
	m->slot = reserve(cfg->items_max * sizeof(*m->slot));
	m->item_attribute = cfg->attributes ? reserve(cfg->items_max * ATTRIBUTES_MAX * sizeof(*m->item_attribute)) : NULL;
	m->whole = cfg->attributes ? reserve(cfg->items_max * D * sizeof(*m->whole)) : NULL;
	m->target_slot = calloc(T, sizeof(*m->target_slot));
	m->part = calloc(grad_norm_parts(m, (cfg->loss == LOSS_FULL ? cfg->items_max : touched_max(m)) * D) + 1, sizeof(*m->part));
	if (!m->item || !m->gone || !m->item_step || !m->slot || !m->target_slot || !m->part || (cfg->attributes && (!m->item_attribute || !m->whole)))
		goto out;
	if (floats(&m->block_w, m->dense) | floats(&m->block_m, m->dense) | floats(&m->block_v, m->dense) | floats(&m->queue, cfg->queue * D)
	    | rows(&m->view_item, 2 * U * cfg->L) | rows(&m->insert_pool, 2 * T) | floats(&m->hT, T * D) | floats(&m->dhT, T * D) | rows(&m->tgt, T) | rows(&m->neg, neg)
	    | floats(&m->tgt_w, T) | floats(&m->neg_logq, cfg->loss == LOSS_SAMPLED ? neg : 0) | floats(&m->dT, cfg->loss == LOSS_FULL ? 0 : T * D) | floats(&m->dN, neg * D)
	    | floats(&m->mun, K * D) | floats(&m->mu_norm, K + VIEWS * U) | floats(&m->dmun, K * D)
	    | floats(&m->scores, (U + cfg->queue) * K) | floats(&m->dscores, U * K) | floats(&m->q, (U + cfg->queue) * K)
	    | floats(&m->zq, (VIEWS * U + cfg->queue) * D) | floats(&m->dz, 2 * VIEWS * U * D) | rows(&m->hk, U) | floats(&m->scratch, scratch))
		goto out;

	if (away_new(&m->away, touched_max(m)) < 0)
		goto out;

	r = encoder_new(&m->enc, &m->cfg, m->pool, VIEWS * U, T + 2 * U * cfg->L);
	if (r < 0)
		goto out;

	r = nextitem_new(&m->nextitem, &m->cfg, m->pool);
	if (r < 0)
		goto out;

	tensors_point(&m->w, m->block_w, &m->cfg);
	tensors_init(m->block_w, &m->cfg);
	name_numerics(m->numeric_id, sizeof(m->numeric_id));
	*ret = m;
	return 0;
out:
	model_free(m);
	return r;
}

void model_free(struct model *m)
{
	if (!m)
		return;

	away_free(m->away);
	nextitem_free(m->nextitem);
	encoder_free(m->enc);
	pool_free(m->pool);
	unreserve(m->item, m->cfg.items_max * m->item_stride * sizeof(float));
	unreserve(m->gone, m->cfg.items_max);
	unreserve(m->item_step, m->cfg.items_max * sizeof(*m->item_step));
	unreserve(m->slot, m->cfg.items_max * sizeof(*m->slot));
	unreserve(m->item_attribute, m->cfg.items_max * ATTRIBUTES_MAX * sizeof(*m->item_attribute));
	unreserve(m->whole, m->cfg.items_max * m->cfg.D * sizeof(*m->whole));
	free(m->target_slot); free(m->part);
	free(m->block_w); free(m->block_m); free(m->block_v); free(m->queue); free(m->view_item); free(m->insert_pool);
	free(m->hT); free(m->dhT); free(m->tgt); free(m->neg); free(m->tgt_w); free(m->neg_logq); free(m->dT); free(m->dN);
	free(m->mun); free(m->mu_norm); free(m->dmun); free(m->scores); free(m->dscores); free(m->q);
	free(m->zq); free(m->dz); free(m->hk); free(m->scratch);
	free(m);
}

void model_watch(struct model *m, void (*before)(void *ctx, uint32_t row), void *ctx)
{
	m->before = before;
	m->before_ctx = ctx;
}

const struct model_config *model_config(const struct model *m) { return &m->cfg; }
size_t model_items(const struct model *m) { return m->N; }
const char *model_numeric_id(const struct model *m) { return m->numeric_id; }

int model_add_item(struct model *m, uint32_t *ret_row)
{
	if (m->N == m->cfg.items_max)
		return -ENOSPC;

	*ret_row = (uint32_t)m->N++;
	draw_normal(model_item_row(m, *ret_row), m->cfg.D, m->cfg.seed, RNG_ITEM_INIT, *ret_row); /* moments are zero pages */
	m->item_step[*ret_row] = (uint32_t)m->applied;
	return 0;
}

void model_remove_item(struct model *m, uint32_t row)
{
	assert(row < m->N && !m->gone[row]);
	m->gone[row] = 1;
	m->gones++;
	memset(model_item_row(m, row), 0, m->item_stride * sizeof(float));
	if (m->item_attribute)
		memset(m->item_attribute + (size_t)row * ATTRIBUTES_MAX, 0, ATTRIBUTES_MAX * sizeof(*m->item_attribute));
	m->item_step[row] = (uint32_t)m->applied;
}

/* Rows are fewer than 2^32, so no other row has the number. */
void model_renew_item(struct model *m, uint32_t row)
{
	assert(row < m->N && m->gone[row]);
	m->gone[row] = 0;
	m->gones--;
	draw_normal(model_item_row(m, row), m->cfg.D, m->cfg.seed, RNG_ITEM_INIT, row | (m->applied + 1) << 32);
	m->item_step[row] = (uint32_t)m->applied;
}

int model_item_is_gone(const struct model *m, uint32_t row) { return m->gone[row]; }
size_t model_live_items(const struct model *m) { return m->N - m->gones; }

void model_blend_item(struct model *m, uint32_t row, const uint32_t *around, size_t n, float share)
{
	size_t D = m->cfg.D;
	float mean[D], tmp[D], *w = model_item_row(m, row);

	memset(mean, 0, sizeof mean);
	for (size_t i = 0; i < n; i++)
		vmath_axpy(mean, 1 / (float)n, model_row_now(m, tmp, around[i]), D);
	for (size_t d = 0; d < D; d++)
		w[d] = (1 - share) * w[d] + share * mean[d];
}

int grad_new(struct grad **ret, const struct model *m)
{
	struct grad *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;

	g->m = m;
	g->rows_max = touched_max(m);
	g->item = reserve(m->cfg.items_max * m->cfg.D * sizeof(float));
	if (!g->item || floats(&g->block, m->dense) | floats(&g->z, m->users_max * m->cfg.D) | rows(&g->row, g->rows_max) | floats(&g->drow, g->rows_max * m->cfg.D)) {
		grad_free(g);
		return -ENOMEM;
	}

	tensors_point(&g->d, g->block, &m->cfg);
	*ret = g;
	return 0;
}

void grad_free(struct grad *g)
{
	if (!g)
		return;

	unreserve(g->item, g->m->cfg.items_max * g->m->cfg.D * sizeof(float));
	free(g->block); free(g->z); free(g->row); free(g->drow);
	free(g);
}

/* ---- the step: sequences and views ---- */

struct views { struct model *m; const struct batch *b; uint64_t step; };

#define VIEW_USERS 32 /* users per unit */

static const uint16_t *attributes_of(const struct batch *b, size_t u) { return b->attribute ? b->attribute + u * ATTRIBUTES_MAX : NULL; }

static void views_unit(void *ctx, size_t unit, int thread)
{
	const struct views *v = ctx;
	const struct batch *b = v->b;
	struct sequence *s = encoder_sequences(v->m->enc);
	size_t U = v->m->users_max, L = v->m->cfg.L;

	for (size_t u = unit * VIEW_USERS; u < b->B && u < (unit + 1) * VIEW_USERS; u++)
		for (size_t i = 0; i < 2; i++) {
			struct sequence *q = &s[(i + 1) * b->B + u];
			uint32_t *item = v->m->view_item + (i * U + u) * L;

			*q = (struct sequence){ .user = b->user[u], .view = (uint32_t)i + 1, .attribute = attributes_of(b, u) };
			if (b->view_item[i]) {
				q->item = b->view_item[i] + b->view_start[i][u];
				q->n = b->view_start[i][u + 1] - b->view_start[i][u];
			} else {
				q->item = item;
				q->n = (uint32_t)augment_view(item, b->item + b->start[u], b->start[u + 1] - b->start[u], v->m->insert_pool, b->T,
				                              &v->m->cfg, v->step, b->user[u], (int)i);
			}
		}
}

size_t list_batch(struct model *m, const struct batch *b, size_t from, size_t to)
{
	struct sequence *s = encoder_sequences(m->enc);

	for (size_t u = from; u < to; u++)
		s[u - from] = (struct sequence){ .item = b->item + b->start[u], .n = b->start[u + 1] - b->start[u], .user = b->user ? b->user[u] : 0,
			.attribute = attributes_of(b, u) };
	return to - from;
}

/* ---- the step: sparse rows ---- */

/* Adds dx to the gradient of an item row; its place in the list is made at first touch. */
static void touch(struct model *m, struct grad *g, uint32_t row, const float *dx)
{
	size_t D = m->cfg.D;
	float *d;

	assert(row < m->N);
	if (!m->slot[row]) {
		assert(g->rows < g->rows_max);
		g->row[g->rows] = row;
		memset(g->drow + g->rows * D, 0, D * sizeof(float));
		m->slot[row] = (uint32_t)++g->rows;
	}
	d = g->drow + (size_t)(m->slot[row] - 1) * D;
	for (size_t i = 0; i < D; i++)
		d[i] += dx[i];
}

/* The rows that the sequences read stand as of the last step. */
static void rows_of_sequences(struct model *m, const struct sequence *s, size_t seqs)
{
	for (size_t i = 0; m->cfg.loss != LOSS_FULL && i < seqs; i++)
		for (size_t j = 0; j < s[i].n; j++)
			if (s[i].item[j] != MASK_ROW)
				away_want(m, s[i].item[j]);
	away_return_wanted(m);
	if (m->cfg.loss == LOSS_FULL)
		whole_all(m);
	for (size_t i = 0; m->cfg.loss != LOSS_FULL && i < seqs; i++)
		whole_rows(m, s[i].item, s[i].n);
}

/* The same for n targets and their negatives. */
static void rows_of_targets(struct model *m, size_t n, size_t negatives)
{
	for (size_t i = 0; i < n; i++)
		away_want(m, m->tgt[i]);
	for (size_t i = 0; i < negatives; i++)
		away_want(m, m->neg[i]);
	away_return_wanted(m);
	whole_rows(m, m->tgt, n);
	whole_rows(m, m->neg, negatives);
}

/* ---- the step: next item ---- */

/* log(negatives Q) of a row: see struct batch, recent. */
static float log_draws(const struct model *m, const struct batch *b, uint32_t row)
{
	double even = b->recent_n ? m->cfg.uniform : 1, q = even / (double)model_live_items(m);

	if (b->recent_n)
		q += (1 - even) * b->recent_count[row] / (double)b->recent_n;
	return (float)log((double)m->cfg.negatives * q);
}

#define DRAWS 64

/* A live row, all alike. Where hardly any row is live, the next one behind the last draw. */
static uint32_t draw_row(const struct model *m, uint64_t bits)
{
	uint32_t row = (uint32_t)rng_below(bits, m->N);

	for (int i = 0; m->gones && m->gone[row] && i < DRAWS; i++) {
		bits = rng_mix(bits);
		row = (uint32_t)rng_below(bits, m->N);
	}
	if (m->gone[row]) {
		const uint8_t *live = memchr(m->gone + row, 0, m->N - row);

		row = (uint32_t)((live ? live : (const uint8_t *)memchr(m->gone, 0, m->N)) - m->gone); /* the targets are live, so there is one */
	}
	return row;
}

/* The step's shared negatives. */
static void draw_negatives(struct model *m, const struct batch *b, uint64_t step)
{
	const struct model_config *c = &m->cfg;

	for (size_t k = 0; k < c->negatives; k++) {
		uint64_t which = rng_bits(c->seed, RNG_NEGATIVE, step, 0, k);
		int even = !b->recent_n || rng_unit(rng_bits(c->seed, RNG_NEGATIVE, step, 1, k)) < c->uniform;

		m->neg[k] = even ? draw_row(m, which) : b->recent[rng_below(which, b->recent_n)];
		m->neg_logq[k] = c->logq ? log_draws(m, b, m->neg[k]) : 0;
	}
}

/* Gathers the target positions (n), runs the loss; leaves d loss / d h in dhT and its place in target_slot. */
static double next_item(struct model *m, struct grad *g, const struct batch *b, uint64_t step, size_t *ret_n)
{
	const struct model_config *c = &m->cfg;
	const float *h = encoder_h(m->enc);
	size_t D = c->D, n = 0, k = c->negatives, ld;
	const float *E = whole_items(m, &ld);
	double loss = 0;

	for (size_t u = 0; u < b->B; u++)
		for (size_t t = b->start[u]; t < b->start[u + 1]; t++) {
			m->target_slot[t] = -1;
			if (!b->target || b->target[t] == NO_ROW)
				continue;

			assert(b->target[t] < m->N);
			m->target_slot[t] = (int32_t)n;
			m->tgt[n] = b->target[t];
			m->tgt_w[n] = b->weight ? b->weight[t] : 1;
			memcpy(m->hT + n * D, h + t * D, D * sizeof(float));
			for (size_t j = 0; c->loss == LOSS_BCE && j < k; j++) {
				uint64_t pos = b->start[u + 1] - 1 - t; /* from the end */
				uint32_t r;

				if (b->negative) {
					r = b->negative[t * k + j];
				} else {
					r = draw_row(m, rng_bits(c->seed, RNG_NEGATIVE, step, b->user[u], pos << 32 | j));
					if (r == b->target[t]) /* the next one instead: a position never opposes its own target */
						do
							r = (uint32_t)((r + 1) % m->N);
						while (m->gone[r]);
				}
				m->neg[n * k + j] = r;
			}
			n++;
		}
	*ret_n = n;

	if (c->loss == LOSS_FULL) {
		g->N = m->N;
		if (n)
			return nextitem_full(m->nextitem, m->dhT, g->item, m->hT, m->tgt, m->tgt_w, E, ld, m->gones ? m->gone : NULL, n, m->N);
		memset(g->item, 0, m->N * D * sizeof(float));
		return 0;
	}
	if (!n)
		return 0;

	if (c->loss == LOSS_SAMPLED)
		draw_negatives(m, b, step);
	rows_of_targets(m, n, c->loss == LOSS_BCE ? n * k : k);
	if (c->loss == LOSS_SAMPLED)
		loss = nextitem_sampled(m->nextitem, m->dhT, m->dT, m->dN, m->hT, m->tgt, m->neg, m->tgt_w, m->neg_logq, E, ld, n);
	else
		loss = nextitem_bce(m->nextitem, m->dhT, m->dT, m->dN, m->hT, m->tgt, m->neg, m->tgt_w, E, ld, n);
	for (size_t i = 0; i < n; i++)
		touch(m, g, m->tgt[i], m->dT + i * D);
	for (size_t i = 0; i < (c->loss == LOSS_BCE ? n * k : k); i++)
		touch(m, g, m->neg[i], m->dN + i * D);
	return loss;
}

/* ---- the step ---- */

void model_grad(struct model *m, struct grad *g, const struct batch *b, uint64_t step, struct step_stats *ret)
{
	const struct model_config *c = &m->cfg;
	struct views v = { m, b, step };
	struct sequence *s = encoder_sequences(m->enc);
	const float *dpooled = NULL, *de, *items;
	size_t B = b->B, D = c->D, V, seqs, T, ld;

	assert(B >= 1 && B <= m->users_max && b->T <= m->tokens_max && b->start[B] == b->T);
	*ret = (struct step_stats){ .tokens = b->T };
	m->B = B;
	m->T = b->T;
	m->views = 0;
	g->rows = g->B = g->N = 0;

	/* Sequences: users, then views where a loss wants them. */
	V = needs_views(c) || b->view_item[0] ? VIEWS : 1;
	seqs = list_batch(m, b, 0, B);
	if (V == VIEWS) {
		augment_pool(m->insert_pool, m->insert_pool + b->T, b->item, b->T);
		pool_run(m->pool, views_unit, &v, (B + VIEW_USERS - 1) / VIEW_USERS);
		seqs = VIEWS * B;
	}
	T = encoder_plan(m->enc, seqs);
	rows_of_sequences(m, s, seqs);

	/* Forward; the losses with their gradients on h, z, mu and classifier; backward adds the encoder's. */
	items = whole_items(m, &ld);
	encoder_forward(m->enc, &m->w, items, ld, step);
	ret->loss_sr = next_item(m, g, b, step, &ret->targets);
	memset(g->block, 0, m->dense * sizeof(float));
	if (needs_z(c) || V == VIEWS) {
		z_losses(m, g, b, V, ret);
		m->views = V;
		dpooled = m->dz + VIEWS * m->users_max * D;
	}
	encoder_backward(m->enc, g->block, &m->w, m->dhT, m->target_slot, b->T, dpooled, step);

	/* Item rows as inputs, in token order. */
	de = encoder_dinput(m->enc);
	for (size_t i = 0; i < seqs; i++)
		for (size_t j = 0; j < s[i].n; j++, de += D) {
			uint32_t row = s[i].item[j];

			if (row == MASK_ROW)
				continue;
			if (c->loss == LOSS_FULL) {
				float *d = g->item + (size_t)row * D;

				for (size_t x = 0; x < D; x++)
					d[x] += de[x];
			} else {
				touch(m, g, row, de);
			}
		}
	assert(de == encoder_dinput(m->enc) + T * D);
	whole_backward(m, g);
	for (size_t i = 0; i < g->rows; i++)
		m->slot[g->row[i]] = 0;

	/* A loss or norm that is not finite: nothing of this step may reach the weights. */
	ret->loss = ret->loss_sr + c->alpha * ret->loss_clust + c->beta1 * ret->loss_scl + c->beta2 * ret->loss_ckd + c->lambda * ret->loss_adv;
	ret->grad_norm = g->norm = grad_norm(m, g);
	ret->discarded = !isfinite(ret->loss) || !isfinite(ret->grad_norm);
}

int model_user_loss(const struct model *m, const struct batch *b, size_t u, double *ret)
{
	const double *loss = nextitem_losses(m->nextitem);
	double sum = 0;
	int n = 0;

	assert(b->B == m->B && b->T == m->T && u < b->B);
	for (size_t t = b->start[u]; t < b->start[u + 1]; t++)
		if (m->target_slot[t] >= 0) {
			sum += loss[m->target_slot[t]];
			n++;
		}
	*ret = n ? sum / n : 0;
	return n > 0;
}

void model_trace(const struct model *m, struct step_trace *ret)
{
	size_t BD = m->B * m->cfg.D;

	*ret = (struct step_trace){ .h = encoder_h(m->enc) }; /* NULL stays what no loss asked for */
	if (m->views) {
		ret->z = m->zq;
		ret->scores = m->scores;
		ret->q = m->q;
	}
	if (m->views == VIEWS) {
		ret->z1 = m->zq + BD;
		ret->z2 = m->zq + 2 * BD;
	}
}
