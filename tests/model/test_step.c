/* test_step.c - properties of a whole step: the order of users does not matter, degenerate batches give numbers, nothing is allocated.
 *
 * Allocations are counted (allocations.h); under sanitizers that test is left out.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/model/allocations.h"
#include "tests/model/small.h"

/* Everything on. */
static struct model_config whole(enum loss_form loss)
{
	struct model_config c = small();

	c.loss = loss;
	c.alpha = .1f; c.beta1 = .5f; c.beta2 = .7f; c.lambda = .3f; c.clip = 1; c.K = 40; c.queue = 100; c.eps = .05f; c.weight_decay = .01f;
	return c;
}

#if COUNTING
static void use_everything(struct model *m, struct grad *g, uint64_t step)
{
	static float h[600 * 12], score[50], item[12];
	static uint32_t rank[600], rows[50], recent[40], recent_count[300] = { 40 };
	static struct data d;
	struct step_stats st;

	data_init(&d, 60 + step, m->cfg.L, 300);
	d.b.attribute = d.attribute;
	d.b.recent = recent; d.b.recent_n = 40; d.b.recent_count = recent_count;
	model_grad(m, g, &d.b, step, &st);
	model_apply(m, g, step, 1e-2f);
	model_encode(m, h, &d.b);
	model_rank(m, rank, h, d.target, d.b.T, NULL);
	model_topk(m, rows, score, h, 5, 10, NULL, NULL);
	model_encode_last(m, h, &d.b);
	model_assign(m, (int32_t *)rank, h, d.b.B);
	model_item_vector(m, item, 3);
}
#endif

/* With several threads only the heap is judged: OpenBLAS maps a buffer, once, when one more thread than ever multiplies at a time. With one, all of a step
 * is on this thread. */
static void a_step_allocates_nothing(void **state)
{
#if COUNTING
	for (int i = 0; i < 6; i++) {
		struct model_config c = whole((enum loss_form)(i % 3));
		struct grad *g;
		struct model *m;
		int was_heap = 0, was_maps = 0;

		c.threads = i < 3 ? 1 : 3;
		c.attributes = SMALL_ATTRIBUTES;
		m = make(&c, 300, &g);
		for (uint64_t step = 1; step <= 6; step++) {
			if (step == 3) { /* warm */
				was_heap = heap_calls();
				was_maps = map_calls();
			}
			use_everything(m, g, step);
		}
		assert_int_equal(heap_calls() - was_heap, 0);
		if (c.threads == 1)
			assert_int_equal(map_calls() - was_maps, 0);
		grad_free(g);
		model_free(m);
	}
	assert_true(heap_calls() > 20 && map_calls() > 5); /* the counts count */
#else
	skip();
#endif
}

/* ---- configuration ---- */

/* Each field beyond its bound, alone, is refused with its name: options are not the only way to a model. */
static void a_configuration_beyond_its_bounds_is_named(void **state)
{
#define REFUSED(field, value)                                                                            \
	do {                                                                                             \
		struct model_config c = whole(LOSS_SAMPLED);                                             \
		const char *why = "";                                                                    \
		assert_int_equal(model_config_check(&c, &why), 0);                                       \
		c.field = (value);                                                                       \
		if (model_config_check(&c, &why) == 0 || strncmp(why, #field ":", sizeof #field) != 0) \
			fail_msg(#field "=" #value ": %s", why);                                         \
	} while (0)

	REFUSED(L, 0); REFUSED(D, 0); REFUSED(heads, 5); REFUSED(layers, 0); REFUSED(layers, 9); REFUSED(K, 0);
	REFUSED(dropout, 1); REFUSED(negatives, 0); REFUSED(uniform, 0); REFUSED(cosine_tau, 0);
	REFUSED(eps, 0); REFUSED(iters, -1); REFUSED(queue, ((size_t)1 << 24) + 1);
	REFUSED(tau1, 0); REFUSED(tau2, 0); REFUSED(tau3, 0);
	REFUSED(alpha, -.1f); REFUSED(beta1, -.1f); REFUSED(beta2, -.1f); REFUSED(lambda, -.1f);
	REFUSED(alpha, NAN); REFUSED(beta1, INFINITY); REFUSED(beta2, NAN); REFUSED(lambda, INFINITY);
	REFUSED(mask_share, -.1f); REFUSED(crop_share, -.1f); REFUSED(reorder_share, -.1f); REFUSED(insert_share, -.1f);
	REFUSED(mask_share, 1.1f); REFUSED(crop_share, 1.1f); REFUSED(reorder_share, 1.1f); REFUSED(insert_share, NAN);
	REFUSED(clip, -1); REFUSED(beta_1, 1); REFUSED(beta_2, 1); REFUSED(adam_eps, 0); REFUSED(weight_decay, -1);
	REFUSED(attributes, 65536); REFUSED(threads, 0); REFUSED(items_max, 0); REFUSED(batch_users_max, 0);
#undef REFUSED
}

/* ---- order ---- */

/* The same batch with the user of place order[i] at place i. */
static void pack_as(struct data *to, const struct data *from, const size_t *order)
{
	size_t B = from->b.B;

	memset(to, 0, sizeof *to);
	for (size_t u = 0; u < B; u++) {
		size_t v = order[u], at = from->start[v], n = from->start[v + 1] - at;

		to->user[u] = from->user[v];
		to->head[u] = from->head[v];
		memcpy(to->attribute + u * ATTRIBUTES_MAX, from->attribute + v * ATTRIBUTES_MAX, ATTRIBUTES_MAX * sizeof *to->attribute);
		to->start[u + 1] = to->start[u] + (uint32_t)n;
		memcpy(to->item + to->start[u], from->item + at, n * sizeof *to->item);
		memcpy(to->target + to->start[u], from->target + at, n * sizeof *to->target);
		memcpy(to->weight + to->start[u], from->weight + at, n * sizeof *to->weight);
	}
	to->b = (struct batch){ .B = B, .T = from->b.T, .user = to->user, .start = to->start, .item = to->item, .target = to->target, .weight = to->weight, .head = to->head,
	                       .attribute = from->b.attribute ? to->attribute : NULL };
}

static void reversed(size_t *order, size_t n)
{
	for (size_t i = 0; i < n; i++)
		order[i] = n - 1 - i;
}

static void shuffled(size_t *order, size_t n)
{
	for (size_t i = 0; i < n; i++)
		order[i] = i;
	for (size_t i = n; i > 1; i--) {
		size_t j = rng_below(rng_bits(8, RNG_GENERATE, i, 0, 0), i), t = order[i - 1];

		order[i - 1] = order[j];
		order[j] = t;
	}
}

/* |a - b| against |b|, over a tensor. */
static double apart(const float *a, const float *b, size_t n)
{
	double d = 0, norm = 1e-8;

	for (size_t i = 0; i < n; i++) {
		d += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
		norm += (double)b[i] * b[i];
	}
	return sqrt(d / norm);
}

#define ORDER_USERS 75

/* One step from the same weights, the batch packed twice: statistics, gradients, and the weights afterwards. */
static void same_step(const struct model_config *c, const struct data *d, const struct data *r)
{
	struct grad *g, *g2;
	struct step_stats one, two;
	struct model *m = make(c, 300, &g), *m2 = make(c, 300, &g2);
	size_t R, C;

	model_grad(m, g, &d->b, 4, &one);
	model_grad(m2, g2, &r->b, 4, &two);
	assert_true(fabs(one.loss - two.loss) < 1e-5 * one.loss);
	assert_true(fabs(one.loss_scl - two.loss_scl) < 1e-5 * one.loss_scl);
	assert_true(fabs(one.grad_norm - two.grad_norm) < 1e-4 * one.grad_norm);
	for (size_t i = 0; i <= m->infos; i++) {
		const char *name = i < m->infos ? m->info[i].name : "item.weight";
		const float *a = grad_tensor(m, g, name, &R, &C), *b = grad_tensor(m2, g2, name, &R, &C);

		if (strstr(name, "k.bias")) /* zero by nature: rounding alone */
			continue;
		if (!(apart(a, b, R * C) < 2e-4))
			fail_msg("%s: gradients %.1e apart", name, apart(a, b, R * C));
	}

	/* Adam's first step is of the same size for any gradient: an element whose gradient is but rounding may go the other way. */
	model_apply(m, g, 4, 1e-2f);
	model_apply(m2, g2, 4, 1e-2f);
	for (size_t i = 0; i < m->infos; i++) {
		const float *a = model_tensor(m, m->info[i].name, &R, &C), *b = model_tensor(m2, m->info[i].name, &R, &C);

		if (!(apart(a, b, R * C) < 1e-3))
			fail_msg("%s: weights %.1e apart", m->info[i].name, apart(a, b, R * C));
	}
	for (uint32_t row = 0; row < m->N; row++)
		if (!(apart(model_item_row(m, row), model_item_row(m2, row), c->D) < 1e-3))
			fail_msg("row %u: %.1e apart", row, apart(model_item_row(m, row), model_item_row(m2, row), c->D));
	grad_free(g);
	grad_free(g2);
	model_free(m);
	model_free(m2);
}

/* Draws and attributes belong to users, not to places: all augmentations are on. */
static void order_of_users_does_not_matter(void **state)
{
	static void (*const order_by[])(size_t *, size_t) = { reversed, shuffled };
	static struct data d, r;
	size_t order[ORDER_USERS];

	for (int i = 0; i < 3 * 2 * 2; i++) {
		struct model_config c = whole((enum loss_form)(i % 3));

		c.pool = i / 3 % 2 ? POOL_LAST : POOL_MEAN;
		c.attributes = i % 2 ? SMALL_ATTRIBUTES : 0;
		order_by[i / 6](order, ORDER_USERS);
		data_init(&d, ORDER_USERS, c.L, 300);
		d.b.attribute = c.attributes ? d.attribute : NULL;
		pack_as(&r, &d, order);
		same_step(&c, &d, &r);
	}
}

/* ---- degenerate batches ---- */

enum kind { ONE_USER, ONE_ITEM_EACH, ALL_THE_SAME, NO_TARGET, SAME_ITEM, KINDS };

static void shape(struct data *d, enum kind kind, size_t L)
{
	data_init(d, kind == ONE_USER ? 1 : 20, L, 30);
	if (kind == ONE_ITEM_EACH) {
		for (uint32_t u = 0; u <= 20; u++)
			d->start[u] = u;
		d->b.T = 20;
	}
	for (size_t u = 0; kind == ALL_THE_SAME && u < 20; u++) { /* also in their draws */
		d->user[u] = 5;
		d->start[u + 1] = (uint32_t)(u + 1) * 3;
		memcpy(d->item + 3 * u, d->item, 3 * sizeof *d->item);
		memcpy(d->target + 3 * u, d->target, 3 * sizeof *d->target);
		d->b.T = 60;
	}
	for (size_t t = 0; t < d->b.T; t++) {
		if (kind == NO_TARGET)
			d->target[t] = NO_ROW;
		if (kind == SAME_ITEM)
			d->item[t] = d->target[t] = 7;
	}
}

/* Fewer users than prototypes, sharp Sinkhorn, users of one item, users that are all one, nothing to predict: finite losses and weights. */
static void degenerate_batches_give_numbers(void **state)
{
	static struct data d;
	float eps[] = { 1e-3f, .05f, 10 };

	for (int i = 0; i < KINDS * 3 * 3 * 2; i++) {
		struct model_config c = whole((enum loss_form)(i / KINDS % 3));
		struct grad *g;
		struct model *m;
		struct step_stats st;

		c.eps = eps[i / KINDS / 3 % 3];
		c.norm = i / KINDS / 9;
		c.posden = !c.norm;
		m = make(&c, 30, &g);
		shape(&d, (enum kind)(i % KINDS), c.L);
		for (uint64_t step = 1; step <= 4; step++) {
			struct step_trace t;

			model_grad(m, g, &d.b, step, &st);
			if (st.discarded || !isfinite(st.loss) || !isfinite(st.loss_clust) || !isfinite(st.loss_scl) || !isfinite(st.loss_ckd))
				fail_msg("case %d step %d: loss %g grad %g", i, (int)step, st.loss, st.grad_norm);
			model_trace(m, &t);
			for (size_t u = 0; u < d.b.B; u++) {
				double row = 0;

				for (size_t k = 0; k < c.K; k++)
					row += t.q[u * c.K + k];
				assert_true(fabs(row - 1) < 1e-5);
			}
			model_apply(m, g, step, 1e-2f);
		}
		for (size_t j = 0; j < m->dense; j++)
			assert_true(isfinite(m->block_w[j]));
		for (size_t j = 0; j < m->N * m->item_stride; j++)
			assert_true(isfinite(m->item[j]));
		grad_free(g);
		model_free(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_configuration_beyond_its_bounds_is_named), cmocka_unit_test(a_step_allocates_nothing), cmocka_unit_test(order_of_users_does_not_matter), cmocka_unit_test(degenerate_batches_give_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
