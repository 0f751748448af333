/* away.c - item rows that no gradient touched (sampled, bce): dense Adam would have moved them in every step; here a row is moved
 * when it is read.
 *
 * Adam with gradient 0, application j after a row's last one at a0 (k = j - a0):
 *     m_j = b1^k m,  v_j = b2^k v,  w_j = (1 - d_j) w_(j-1) - lr_j c1_j m_j / (sqrt(c2_j v_j) + eps),   d_j = lr_j weight_decay
 * so after the last application a1, with s = sqrt(v) and P_j = (1 - d_(j+1)) .. (1 - d_a1):
 *     w(a1) = P_a0 w - m sum_j A_j / (B_j s + eps),    A_j = lr_j c1_j b1^k P_j,   B_j = sqrt(c2_j b2^k)
 * A_j and B_j are the same for all rows and elements. B_j hardly varies where A_j has its weight (some 20 steps for b1 = .9), so the
 * sum is expanded around the mean B of the B_j with weights A_j; the linear term is zero by choice of B:
 *     sum = A / x (1 + V (s / x)^2) + third order,   x = B s + eps,   A = sum A_j,   V = variance of the B_j
 * A, B, V follow from T_p = sum_j A_j B_j^p, and T_p(a0) = b1 b2^(p/2) (A_j B_j^p at a0 + 1, k = 0  +  T_p(a0 + 1)): one pass backward
 * over the last MODEL_HISTORY applications gives the answer for every a0, made once an application. Where the third order may pass
 * SERIES_LIMIT (the first few hundred steps, in which bias correction moves B_j fast) the sum is taken term by term.
 *
 * ROWS_ADAGRAD: the move is P_a0 w alone.
 *
 * Where a row is written is part of the fold: model_grad brings the rows up to date that its batch reads (the very rows whose gradient it
 * then makes), model_apply every MODEL_HISTORY-th row in turn, so that no row is further behind than the history reaches. All other
 * readers go through model_item_now, which writes nothing: when and how often they read changes no bit.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/model_private.h"
#include "model/state.h"
#include "model/vmath.h"

#define SERIES_LIMIT 1e-5  /* third order against the whole move */
#define NOTHING 1e-12      /* terms below this share of the first are left out */
#define ROWS 64            /* rows of a unit */
#define AHEAD 4            /* rows that are asked for before they are used */
#define LONG 256           /* applications after which Adam's first moment is gone */
#define OFTEN 16

/* One application, and what follows from its step and rate. */
struct past { struct applied at; double move, root, keep; }; /* lr c1, sqrt(c2), 1 - d */

/* What a row needs that is k applications behind. */
struct behind { float keep, m, v, sum, root, spread; int series; }; /* P, b1^k, b2^k, A, B, V */

struct away {
	struct past past[MODEL_HISTORY];         /* application a at a % MODEL_HISTORY */
	struct behind behind[MODEL_HISTORY + 1];
	struct { uint32_t row, k; } *stale;      /* rows to bring up to date */
	size_t stales;
};

int away_new(struct away **ret, size_t stale_max)
{
	struct away *x = calloc(1, sizeof *x);

	if (!x)
		return -1;

	x->stale = calloc(stale_max + 1, sizeof *x->stale);
	x->behind[0] = (struct behind){ .keep = 1, .m = 1, .v = 1, .series = 1, .root = 1 };
	*ret = x;
	return x->stale ? 0 : -1;
}

void away_free(struct away *x)
{
	if (x)
		free(x->stale);
	free(x);
}

/* full moves all rows in each application. */
static int is_away(const struct model *m, uint32_t row) { return m->cfg.loss != LOSS_FULL && m->item_step[row] != m->applied; }
/* Without momentum and decay nothing moves a row but its gradients. */
static int rests(const struct model *m) { return m->cfg.rows == ROWS_ADAGRAD && m->cfg.weight_decay == 0; }
static const struct past *past_at(const struct model *m, uint64_t a) { return &m->away->past[a % MODEL_HISTORY]; }

static void tabulate(struct model *m)
{
	const struct model_config *c = &m->cfg;
	size_t n = m->applied < MODEL_HISTORY ? (size_t)m->applied : MODEL_HISTORY;
	double b1 = c->beta_1, r2 = sqrt((double)c->beta_2), keep = 1, f1 = 1, f2 = 1, T[4] = { 0 };

	for (size_t k = 1; k <= n; k++) {
		const struct past *p = past_at(m, m->applied - k + 1); /* the first application that the row missed */
		double term = p->move * keep, factor = b1, B, V, third;

		for (int i = 0; i < 4; i++, term *= p->root, factor *= r2)
			T[i] = factor * (T[i] + term);
		keep *= p->keep;
		f1 *= b1;
		f2 *= c->beta_2;
		B = T[0] > 0 ? T[1] / T[0] : 1;
		V = T[0] > 0 ? T[2] / T[0] - B * B : 0;
		third = T[0] > 0 ? T[3] / T[0] - B * (3 * T[2] / T[0] - 2 * B * B) : 0;
		/* m below 1e-20 of itself moves nothing any more; as a subnormal number it would only be slow */
		m->away->behind[k] = (struct behind){ .keep = (float)keep, .m = f1 > 1e-20 ? (float)f1 : 0, .v = f2 > 1e-30 ? (float)f2 : 0,
			.sum = (float)T[0], .root = (float)B, .spread = V > 0 ? (float)V : 0, .series = fabs(third) <= SERIES_LIMIT * B * B * B };
	}
}

static void remember(struct model *m, struct applied at)
{
	const struct model_config *c = &m->cfg;

	m->away->past[++m->applied % MODEL_HISTORY] = (struct past){
		.at = at, .move = at.lr / (1 - pow(c->beta_1, (double)at.step)), .root = sqrt(1 / (1 - pow(c->beta_2, (double)at.step))),
		.keep = 1 - (double)(at.lr * c->weight_decay),
	};
}

void away_applied(struct model *m, uint64_t step, float lr)
{
	remember(m, (struct applied){ step, lr });
	if (m->cfg.loss != LOSS_FULL)
		tabulate(m);
}

void away_copy(struct model *to, const struct model *from)
{
	to->applied = from->applied;
	memcpy(to->away->past, from->away->past, sizeof to->away->past);
	memcpy(to->away->behind, from->away->behind, sizeof to->away->behind);
}

uint64_t model_applied(const struct model *m) { return m->applied; }

void model_history(const struct model *m, uint64_t a, struct applied *ret)
{
	assert(a >= 1 && a <= m->applied && m->applied - a < MODEL_HISTORY);
	*ret = past_at(m, a)->at;
}

void model_history_restore(struct model *m, uint64_t applied, const struct applied *last, size_t n)
{
	assert(n == (applied < MODEL_HISTORY ? applied : MODEL_HISTORY));
	m->applied = applied - n;
	for (size_t i = 0; i < n; i++)
		remember(m, last[i]);
	tabulate(m);
}

S4_CLONES static void move_series(float *restrict w, const float *restrict m, const float *restrict v, const struct behind *b, float eps, size_t D)
{
	float keep = b->keep, sum = b->sum, root = b->root, spread = b->spread;

	for (size_t d = 0; d < D; d++) {
		float s = __builtin_sqrtf(v[d]), inv = 1 / (root * s + eps), y = s * inv;

		w[d] = keep * w[d] - m[d] * sum * inv * (1 + spread * y * y);
	}
}

S4_CLONES static void move_term(float *restrict w, const float *restrict m, const float *restrict s, float sum, float root, float eps, size_t D)
{
	for (size_t d = 0; d < D; d++)
		w[d] -= m[d] * sum / (root * s[d] + eps);
}

static void move_terms(const struct model *x, float *w, const float *m, const float *v, uint64_t k, size_t D)
{
	double f1 = 1, r2 = 1;
	float s[D];

	for (size_t d = 0; d < D; d++) {
		s[d] = __builtin_sqrtf(v[d]);
		w[d] *= x->away->behind[k].keep;
	}
	for (uint64_t j = 1; j <= k && f1 > NOTHING; j++) {
		const struct past *p = past_at(x, x->applied - k + j);

		f1 *= x->cfg.beta_1;
		r2 *= sqrt((double)x->cfg.beta_2);
		/* cppcheck-suppress uninitvar */
		move_term(w, m, s, (float)(p->move * f1 * x->away->behind[k - j].keep), (float)(p->root * r2), x->cfg.adam_eps, D);
	}
}

static void shrink(float *x, float factor, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] *= factor;
}

/* w (D), of a row as it was k applications ago, as it stands now; the row's moments stay. */
static void move(const struct model *m, float *w, const float *row, uint64_t k)
{
	const float *mm = row + m->cfg.D, *vv = mm + m->cfg.D;
	const struct behind *b = &m->away->behind[k];

	assert(k <= MODEL_HISTORY);
	if (m->cfg.rows == ROWS_ADAGRAD)
		shrink(w, b->keep, m->cfg.D);
	else if (b->series)
		move_series(w, mm, vv, b, m->cfg.adam_eps, m->cfg.D);
	else
		move_terms(m, w, mm, vv, k, m->cfg.D);
}

const float *model_row_now(const struct model *m, float *tmp, uint32_t row)
{
	const float *w = model_item_row(m, row);
	size_t D = m->cfg.D;

	if (!is_away(m, row) || rests(m))
		return w;

	memcpy(tmp, w, D * sizeof(float));
	move(m, tmp, w, m->applied - m->item_step[row]);
	return tmp;
}

const float *model_item_now(const struct model *m, float *tmp, uint32_t row)
{
	const float *w = model_row_now(m, tmp, row);

	if (!m->attributed)
		return w;

	if (w != tmp)
		memcpy(tmp, w, m->cfg.D * sizeof(*tmp));
	attributes_forward(tmp, m->w.attr, model_item_attributes(m, row), &m->cfg);
	return tmp;
}

/* In place. Order: the weight moves by the moments as they were. */
static void catch_up(struct model *m, uint32_t row, uint64_t k)
{
	const struct behind *b = &m->away->behind[k];
	size_t D = m->cfg.D;
	float *w = model_item_row(m, row);

	if (rests(m))
		return;
	move(m, w, w, k);
	if (m->cfg.rows == ROWS_ADAM) {
		shrink(w + D, b->m, D);
		shrink(w + 2 * D, b->v, D);
	}
}

void away_return(struct model *m, uint32_t row)
{
	if (!is_away(m, row))
		return;
	catch_up(m, row, m->applied - m->item_step[row]);
	m->item_step[row] = (uint32_t)m->applied;
}

/* Lists a row once: as up to date it is not listed again. */
void away_want(struct model *m, uint32_t row)
{
	if (!is_away(m, row))
		return;
	watch(m, row);
	m->away->stale[m->away->stales].row = row;
	m->away->stale[m->away->stales++].k = (uint32_t)m->applied - m->item_step[row];
	m->item_step[row] = (uint32_t)m->applied;
}

static void wanted_unit(void *ctx, size_t unit, int thread)
{
	struct model *m = ctx;
	const struct away *x = m->away;

	for (size_t i = unit * ROWS; i < x->stales && i < (unit + 1) * ROWS; i++) {
		if (i + AHEAD < x->stales)
			vmath_prefetch(model_item_row(m, x->stale[i + AHEAD].row), m->item_stride);
		catch_up(m, x->stale[i].row, x->stale[i].k);
	}
}

void away_return_wanted(struct model *m)
{
	if (m->away->stales)
		pool_run(m->pool, wanted_unit, m, (m->away->stales + ROWS - 1) / ROWS);
	m->away->stales = 0;
}

struct sweep { struct model *m; size_t first, every; };

static void sweep_unit(void *ctx, size_t unit, int thread)
{
	const struct sweep *s = ctx;

	for (size_t i = unit * ROWS; i < (unit + 1) * ROWS; i++)
		if (s->first + i * s->every < s->m->N)
			away_return(s->m, (uint32_t)(s->first + i * s->every));
}

/* Each row once in so many applications. */
static void sweep(struct model *m, size_t every)
{
	struct sweep s = { .m = m, .first = m->applied % every, .every = every };
	size_t rows = s.first < m->N ? (m->N - s.first + every - 1) / every : 0;

	for (size_t i = 0; i < rows; i++)
		if (!m->gone[s.first + i * every])
			watch(m, (uint32_t)(s.first + i * every));
	pool_run(m->pool, sweep_unit, &s, (rows + ROWS - 1) / ROWS);
}

void away_sweep(struct model *m)
{
	size_t long_ago = m->applied < LONG ? (size_t)m->applied : LONG;

	sweep(m, MODEL_HISTORY);
	if (m->cfg.rows == ROWS_ADAM && !m->away->behind[long_ago].series)
		sweep(m, OFTEN);
}
