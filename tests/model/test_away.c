/* test_away.c - item rows that no gradient touches for 1 to thousands of steps are where dense Adam would have them, whoever reads
 * and whenever. The definition is ref_step: every element in every application, in double precision. Row-wise Adagrad: ref_adagrad.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/model_private.h"
#include "model/rng.h"
#include "model/state.h"

#define LIMIT 1e-5
#define GRADIENT_LIMIT 1e-3

static struct model_config config(enum loss_form loss, float weight_decay)
{
	return (struct model_config){
		.L = 6, .D = 5, .heads = 1, .layers = 1, .K = 2, .loss = loss, .negatives = 2, .uniform = 1, .logq = 1, .pool = POOL_MEAN, .eps = .5f, .iters = 3,
		.tau1 = 1, .tau2 = 1, .tau3 = 1, .beta_1 = .9f, .beta_2 = .999f, .adam_eps = 1e-8f, .weight_decay = weight_decay,
		.seed = 7, .threads = 2, .items_max = 9000, .batch_users_max = 8,
	};
}

/* Where there are attributes, items have up to two. */
static struct model *make(const struct model_config *c, size_t N, struct grad **g)
{
	struct model *m;
	uint32_t row;

	assert_int_equal(model_config_check(c, NULL), 0);
	assert_int_equal(model_new(&m, c), 0);
	assert_int_equal(grad_new(g, m), 0);
	for (size_t i = 0; i < N; i++) {
		uint16_t attribute[ATTRIBUTES_MAX] = { 0 };

		assert_int_equal(model_add_item(m, &row), 0);
		for (size_t k = 0; k < 2; k++)
			attribute[k] = (uint16_t)rng_below(rng_bits(5, RNG_GENERATE, i, k, 0), c->attributes + 1);
		if (c->attributes)
			model_set_item_attributes(m, row, attribute);
	}
	return m;
}

/* ---- the definition ---- */

struct ref { size_t n; double *w, *m, *v; };

static struct ref ref_new(const struct model *m)
{
	size_t D = m->cfg.D;
	struct ref r = { .n = m->N * D, .w = calloc(m->N * D, sizeof(double)), .m = calloc(m->N * D, sizeof(double)), .v = calloc(m->N * D, sizeof(double)) };

	for (size_t i = 0; i < r.n; i++)
		r.w[i] = model_item_row(m, (uint32_t)(i / D))[i % D];
	return r;
}

static void ref_free(struct ref *r) { free(r->w); free(r->m); free(r->v); }

static void ref_step(struct ref *r, const struct model_config *c, const float *g, uint64_t step, double lr)
{
	double c1 = 1 / (1 - pow(c->beta_1, (double)step)), c2 = 1 / (1 - pow(c->beta_2, (double)step));

	for (size_t i = 0; i < r->n; i++) {
		r->m[i] = c->beta_1 * r->m[i] + (1 - (double)c->beta_1) * g[i];
		r->v[i] = c->beta_2 * r->v[i] + (1 - (double)c->beta_2) * g[i] * g[i];
		r->w[i] -= lr * (c1 * r->m[i] / (sqrt(c2 * r->v[i]) + c->adam_eps) + c->weight_decay * r->w[i]);
	}
}

/* Row-wise Adagrad; v[row * D] is the row's number. */
static void ref_adagrad(struct ref *r, const struct model_config *c, const float *g, double lr)
{
	for (size_t row = 0; row < r->n / c->D; row++) {
		const float *d = g + row * c->D;
		double *w = r->w + row * c->D, *a = r->v + row * c->D;

		for (size_t i = 0; i < c->D; i++)
			*a += (double)d[i] * d[i] / (double)c->D;
		for (size_t i = 0; i < c->D; i++)
			w[i] -= lr * (d[i] / (sqrt(*a) + c->adam_eps) + c->weight_decay * w[i]);
	}
}

/* What an item's attributes add to its row. */
static void add_attributes(const struct model *m, double *w, uint32_t row)
{
	const uint16_t *a = model_item_attributes(m, row);

	for (size_t i = 0; a && i < ATTRIBUTES_MAX; i++)
		for (size_t d = 0; a[i] && d < m->cfg.D; d++)
			w[d] += m->w.attr[(a[i] - 1u) * m->cfg.D + d];
}

static double farthest(const struct model *m, const struct ref *r)
{
	size_t D = m->cfg.D;
	float w[D];
	double far = 0;

	for (uint32_t row = 0; row < m->N; row++) {
		double whole[D];

		memcpy(whole, r->w + row * D, sizeof whole);
		add_attributes(m, whole, row);
		model_item_vector(m, w, row);
		for (size_t d = 0; d < D; d++)
			far = fmax(far, fabs(w[d] - whole[d]));
	}
	return far;
}

/* ---- gradients by hand ---- */

enum { ROWS = 40 };

/* Row 0 in each step, row 1 in about every second, the last ones once in thousands; sizes from 1e-9 (below adam_eps) to 1. The last
 * row never. */
static void fill(struct grad *g, float *dense, uint64_t step)
{
	size_t D = g->m->cfg.D;

	memset(dense, 0, ROWS * D * sizeof(float));
	g->rows = g->B = 0;
	g->norm = 1;
	for (uint32_t row = 0; row + 1 < ROWS; row++) {
		if (row && rng_unit(rng_bits(1, RNG_GENERATE, step, row, 0)) > pow(2, -(double)row / 3.2))
			continue;
		for (size_t d = 0; d < D; d++)
			dense[row * D + d] = (float)((rng_unit(rng_bits(1, RNG_GENERATE, step, row, 1 + d)) - .5) * pow(10, -9.0 * (double)(row * D + d) / (ROWS * (double)D)));
		g->row[g->rows] = row;
		memcpy(g->drow + g->rows++ * D, dense + row * D, D * sizeof(float));
	}
}

static double rate(uint64_t step) { return 1e-2 * fmin(1, (double)step / 300) * fmax(.02, (1 + cos(M_PI * (double)step / 6000)) / 2); }

/* Doubled for a while again and again, as after an alarm of drift. */
static double jumping(uint64_t step) { return step / 64 % 3 == 1 ? 2e-2 : 1e-2; }

enum course { CONSTANT, CHANGING, JUMPING };
static const char *const course_name[] = { "constant", "changing", "jumping" };

static void by_hand(struct model_config c, uint64_t steps, enum course course)
{
	struct grad *g;
	struct model *m = make(&c, ROWS, &g);
	struct ref r = ref_new(m);
	float dense[ROWS * 5];
	double far = 0;

	assert_int_equal(model_row_floats(m), c.rows == ROWS_ADAGRAD ? 6 : 15);
	memset(g->block, 0, m->dense * sizeof(float));
	for (uint64_t step = 1; step <= steps; step++) {
		float lr = course == CHANGING ? (float)rate(step) : course == JUMPING ? (float)jumping(step) : 1e-2f;

		if (step % 97 == 50)
			continue; /* a discarded step: its number is used, nothing moves */
		fill(g, dense, step);
		model_apply(m, g, step, lr);
		for (size_t i = 0; c.clip > 0 && i < ROWS * c.D; i++)
			dense[i] *= c.clip; /* the norm is said to be 1 */
		if (c.rows == ROWS_ADAGRAD)
			ref_adagrad(&r, &c, dense, lr);
		else
			ref_step(&r, &c, dense, step, lr);
		if (step < 50 || step % 10 == 0)
			far = fmax(far, farthest(m, &r));
	}
	print_message("    %s, decay %g beta_2 %g, %s rate, %d steps: at most %.1e apart\n", c.rows == ROWS_ADAGRAD ? "Adagrad" : "Adam", c.weight_decay, c.beta_2,
	              course_name[course], (int)steps, far);
	assert_true(far < LIMIT);
	ref_free(&r);
	grad_free(g);
	model_free(m);
}

static void rows_are_where_dense_adam_has_them(void **state)
{
	struct model_config c = config(LOSS_BCE, 0);

	by_hand(c, MODEL_HISTORY + 1500, CHANGING);
	c.weight_decay = .05f;
	by_hand(c, MODEL_HISTORY + 1500, CHANGING);
	by_hand(c, 700, CONSTANT);
	by_hand(c, MODEL_HISTORY + 300, JUMPING);
	c.beta_2 = .9f; /* the series does not converge: term by term */
	by_hand(c, 700, CHANGING);
	c.beta_1 = 0;
	by_hand(c, 300, CHANGING);
}

static void adagrad_is_its_formula(void **state)
{
	for (int decay = 0; decay < 2; decay++) {
		struct model_config c = config(LOSS_BCE, decay ? .05f : 0);

		c.rows = ROWS_ADAGRAD;
		c.clip = .25f;
		by_hand(c, decay ? MODEL_HISTORY + 300 : 500, decay ? CHANGING : JUMPING);
	}
}

/* ---- gradients of batches ---- */

enum { ITEMS = 60, ATTRIBUTES = 7 };
struct data { uint64_t user[8]; uint32_t start[9], item[48], target[48]; uint16_t attribute[8 * ATTRIBUTES_MAX]; struct batch b; };

static void data_init(struct data *d, uint64_t step, size_t attributes)
{
	memset(d, 0, sizeof(*d));
	for (size_t u = 0; u < 3; u++) {
		size_t n = 1 + rng_below(rng_bits(3, RNG_GENERATE, step, u, 0), 4);

		d->user[u] = u;
		d->attribute[u * ATTRIBUTES_MAX] = (uint16_t)rng_below(rng_bits(3, RNG_GENERATE, step, u, 3), attributes + 1);
		d->start[u + 1] = d->start[u] + (uint32_t)n;
		for (size_t t = d->start[u]; t < d->start[u + 1]; t++) {
			/* rows differ widely in how often they come */
			d->item[t] = (uint32_t)(ITEMS * pow(rng_unit(rng_bits(3, RNG_GENERATE, step, t, 1)), 3));
			d->target[t] = (uint32_t)(ITEMS * pow(rng_unit(rng_bits(3, RNG_GENERATE, step, t, 2)), 3));
		}
	}
	d->b = (struct batch){ .B = 3, .T = d->start[3], .user = d->user, .start = d->start, .item = d->item, .target = d->target,
	                       .attribute = attributes ? d->attribute : NULL };
}

/* reads: everything a reader can ask, between steps, at odd times. */
static void read_all(struct model *m, const struct data *d)
{
	float h[48 * 5], w[5], score[4];
	uint32_t rank[48], rows[4];

	model_encode(m, h, &d->b);
	model_rank(m, rank, h, d->target, d->b.T, NULL);
	model_topk(m, rows, score, h, 1, 4, NULL, NULL);
	for (uint32_t row = 0; row < m->N; row += 3)
		model_item_vector(m, w, row);
}

/* How far the gradient is from that of a model (x) in which no row is away and no item has attributes: its rows are those of dense Adam with the
 * items' attributes added, all else is m's. */
static double gradient_apart(struct model *m, struct grad *g, struct model *x, struct grad *gx, const struct ref *r, const struct batch *b, uint64_t step)
{
	struct step_stats st;
	const float *a, *e;
	size_t D = m->cfg.D, R, C;
	double far = 0;

	memcpy(x->block_w, m->block_w, m->dense * sizeof(float));
	for (uint32_t row = 0; row < x->N; row++) {
		double whole[D];

		memcpy(whole, r->w + row * D, sizeof whole);
		add_attributes(m, whole, row);
		for (size_t d = 0; d < D; d++)
			model_item_row(x, row)[d] = (float)whole[d];
	}
	model_grad(x, gx, b, step, &st);
	a = grad_tensor(m, g, "item.weight", &R, &C);
	e = grad_tensor(x, gx, "item.weight", &R, &C);
	for (size_t i = 0; i < r->n; i++) {
		const uint16_t *attribute = model_item_attributes(m, (uint32_t)(i / D));

		far = fmax(far, fabsf(a[i] - e[i]));
		for (size_t k = 0; attribute && k < ATTRIBUTES_MAX; k++)
			if (attribute[k])
				gx->d.attr[(attribute[k] - 1u) * D + i % D] += e[i];
	}
	for (size_t i = 0; i < m->dense; i++)
		far = fmax(far, fabsf(g->block[i] - gx->block[i]));
	return far;
}

static uint64_t train(struct model_config c, int reading, double *ret_far, double *ret_apart)
{
	struct grad *g, *gx;
	struct model *m = make(&c, ITEMS, &g), *x = make(&c, ITEMS, &gx);
	struct ref r = ref_new(m);
	struct step_stats st;
	struct data d;
	uint64_t h = 1;

	*ret_far = *ret_apart = 0;
	x->attributed = 0; /* it goes by the rows alone */
	for (uint64_t step = 1; step <= 600; step++) {
		float lr = (float)rate(step);
		size_t R, C;

		data_init(&d, step, c.attributes);
		if (reading && step % (uint64_t)reading == 0)
			read_all(m, &d);
		model_grad(m, g, &d.b, step, &st);
		assert_false(st.discarded); /* all of it is finite */
		*ret_apart = fmax(*ret_apart, gradient_apart(m, g, x, gx, &r, &d.b, step));
		model_apply(m, g, step, lr);
		ref_step(&r, &c, grad_tensor(m, g, "item.weight", &R, &C), step, lr);
		*ret_far = fmax(*ret_far, farthest(m, &r));
	}
	for (size_t i = 0; i < m->N * m->item_stride; i++) {
		uint32_t bits;

		memcpy(&bits, m->item + i, sizeof bits);
		h = rng_mix(h ^ bits);
	}
	ref_free(&r);
	grad_free(g);
	grad_free(gx);
	model_free(m);
	model_free(x);
	return h;
}

static void train_as_dense_adam(enum loss_form loss, float decay, size_t attributes)
{
	struct model_config c = config(loss, decay);
	double far, far_read, apart;
	uint64_t once, reading;

	c.attributes = attributes;
	once = train(c, 0, &far, &apart);
	reading = train(c, 7, &far_read, &apart);
	print_message("    %s, decay %g, %zu attributes: at most %.1e from dense Adam, gradients %.1e\n", loss == LOSS_BCE ? "bce" : "sampled", c.weight_decay,
	              attributes, far, apart);
	assert_true(far < LIMIT);
	assert_true(apart < GRADIENT_LIMIT);
	assert_true(once == reading); /* readers write nothing */
	c.threads = 4;
	assert_true(train(c, 1, &far_read, &apart) == once);
}

static void batches_train_as_dense_adam(void **state)
{
	for (int loss = LOSS_SAMPLED; loss <= LOSS_BCE; loss++)
		for (int decay = 0; decay < 2; decay++)
			train_as_dense_adam((enum loss_form)loss, decay ? .05f : 0, 0);
}

/* A step and its readers meet an item as its row stands now and its attributes on top, not as it was last made. */
static void batches_with_attributes_train_as_dense_adam(void **state)
{
	for (int loss = LOSS_SAMPLED; loss <= LOSS_BCE; loss++)
		for (int decay = 0; decay < 2; decay++)
			train_as_dense_adam((enum loss_form)loss, decay ? .05f : 0, ATTRIBUTES);
}

/* What ranks and encodes is the row as it stands now, not as it was last written. ret_row: that of item 1. */
static void see_rows_that_moved(size_t attributes, float ret_row[5])
{
	struct model_config c = config(LOSS_BCE, 0);
	struct grad *g;
	struct model *m;
	float now[5], h[5] = { 1, -1, 1, -1, 1 }, score[3], want = 0, before[5], after[5];
	double added[5] = { 0 };
	uint32_t item = 1, start[2] = { 0, 1 }, rows[3];
	uint16_t of_item[ATTRIBUTES_MAX] = { 2, 3 }, of_user[ATTRIBUTES_MAX] = { 1 };
	struct batch b = { .B = 1, .T = 1, .start = start, .item = &item, .attribute = attributes ? of_user : NULL };

	c.attributes = attributes;
	m = make(&c, 3, &g);
	if (attributes)
		model_set_item_attributes(m, 1, of_item);
	for (size_t i = 0; i < attributes * c.D; i++) /* no gradient: they stay */
		m->w.attr[i] = .03f * (float)(1 + i % 7);
	memset(g->block, 0, m->dense * sizeof(float));
	g->rows = 1; g->B = 0; g->norm = 1; g->row[0] = 1;
	for (size_t d = 0; d < 5; d++)
		g->drow[d] = d % 2 ? 1 : -1;
	model_apply(m, g, 1, .1f);
	model_encode_last(m, before, &b);
	g->rows = 0;
	for (uint64_t step = 2; step < 9; step++)
		model_apply(m, g, step, .1f);
	add_attributes(m, added, 1);
	model_item_vector(m, now, 1);
	for (size_t d = 0; d < 5; d++)
		ret_row[d] = now[d] - (float)added[d];
	assert_true(fabsf(ret_row[0] - model_item_row(m, 1)[0]) > .1f);
	model_topk(m, rows, score, h, 1, 3, NULL, NULL);
	for (size_t d = 0; d < 5; d++)
		want += h[d] * now[d];
	assert_int_equal(rows[0], 1);
	assert_true(fabsf(score[0] - want) < 1e-5f);
	model_encode_last(m, after, &b);
	assert_true(memcmp(before, after, sizeof after) != 0);
	away_return(m, 1); /* written back, the same encoding */
	model_encode_last(m, before, &b);
	assert_memory_equal(before, after, sizeof after);
	grad_free(g);
	model_free(m);
}

static void readers_see_rows_that_moved(void **state)
{
	float plain[5], under[5];

	see_rows_that_moved(0, plain);
	see_rows_that_moved(ATTRIBUTES, under);
	for (size_t d = 0; d < 5; d++)
		assert_true(fabsf(plain[d] - under[d]) < 1e-6f); /* attributes come on top and move no row */
}

/* Rows beyond one round of the sweep: none is further behind than the history reaches. */
static void no_row_falls_out_of_the_history(void **state)
{
	struct model_config c = config(LOSS_BCE, .05f);
	struct grad *g;
	struct model *m = make(&c, MODEL_HISTORY + 900, &g);
	uint64_t most = 0;

	memset(g->block, 0, m->dense * sizeof(float));
	g->rows = g->B = 0; g->norm = 1;
	for (uint64_t step = 1; step <= 2 * MODEL_HISTORY; step++) {
		model_apply(m, g, step, 1e-3f);
		assert_true(step > 200 || m->applied - m->item_step[5] <= 16); /* early terms are few */
	}
	for (uint32_t row = 0; row < m->N; row++)
		most = m->applied - m->item_step[row] > most ? m->applied - m->item_step[row] : most;
	assert_in_range(most, MODEL_HISTORY - 1, MODEL_HISTORY);
	grad_free(g);
	model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_where_dense_adam_has_them), cmocka_unit_test(adagrad_is_its_formula), cmocka_unit_test(batches_train_as_dense_adam),
		cmocka_unit_test(batches_with_attributes_train_as_dense_adam),
		cmocka_unit_test(readers_see_rows_that_moved), cmocka_unit_test(no_row_falls_out_of_the_history),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
