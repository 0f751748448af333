/* test_encoder.c - the gradient of the whole joint loss against central differences, per tensor, for small odd shapes; and the
 * same bits for any number of threads. Dropout is on: masks are counter-based, so the loss is a function of the weights.
 *
 * fp32: a difference over 2 EPS carries noise of about ulp(loss) / EPS, so a tensor is judged as a whole: along random
 * directions, |numeric - analytic| against the gradient's norm. What differences cannot see (Sinkhorn's q is a constant of the
 * gradient but moves with the weights) is compared in golden.c.
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

#include "model/model_private.h"
#include "model/rng.h"
#include "model/state.h"

#define USERS 5
#define ITEMS 13
#define DIRECTIONS 4

static struct model_config small(void)
{
	return (struct model_config){
		.L = 7, .D = 12, .heads = 3, .layers = 2, .K = 3, .dropout = .25f, .loss = LOSS_FULL, .negatives = 3, .uniform = .5f, .cosine = 1, .cosine_tau = .5f,
		.low_pass = 1, .pool = POOL_MEAN, .norm = 1, .posden = 1, .eps = .5f, .iters = 3, .tau1 = .7f, .tau2 = .8f, .tau3 = .5f,
		.alpha = 0, .beta1 = 0, .beta2 = 0, .lambda = 0, .mask_share = .4f, .crop_share = .6f, .reorder_share = .5f, .insert_share = .4f,
		.beta_1 = .9f, .beta_2 = .999f, .adam_eps = 1e-8f, .seed = 7, .threads = 2, .items_max = 1000, .batch_users_max = 80,
	};
}

struct data { uint64_t user[80]; uint32_t start[81], item[600], target[600]; float weight[600]; uint8_t head[80]; struct batch b; };

/* Lengths include 1 and L; some positions have no target, weights differ. */
static void data_init(struct data *d, size_t B, size_t L, size_t N)
{
	memset(d, 0, sizeof(*d));
	for (size_t u = 0; u < B; u++) {
		size_t n = u == 0 ? 1 : u == 1 ? L : 1 + rng_below(rng_bits(3, RNG_GENERATE, u, 0, 0), L);

		d->user[u] = 1000 + u;
		d->head[u] = u % 3 == 0;
		d->start[u + 1] = d->start[u] + (uint32_t)n;
		for (size_t t = d->start[u]; t < d->start[u + 1]; t++) {
			d->item[t] = (uint32_t)rng_below(rng_bits(3, RNG_GENERATE, u, t, 1), N);
			d->target[t] = t % 5 == 4 ? NO_ROW : (uint32_t)rng_below(rng_bits(3, RNG_GENERATE, u, t, 2), N);
			d->weight[t] = .5f + (float)rng_unit(rng_bits(3, RNG_GENERATE, u, t, 3));
		}
	}
	d->b = (struct batch){ .B = B, .T = d->start[B], .user = d->user, .start = d->start, .item = d->item, .target = d->target, .weight = d->weight, .head = d->head };
}

static struct model *make(const struct model_config *c, size_t N, struct grad **g)
{
	struct model *m;
	uint32_t row;
	const char *why = NULL;

	if (model_config_check(c, &why) < 0)
		fail_msg("%s", why);
	assert_int_equal(model_new(&m, c), 0);
	assert_int_equal(grad_new(g, m), 0);
	for (size_t i = 0; i < N; i++)
		assert_int_equal(model_add_item(m, &row), 0);
	/* Far from the start: weights of N(0, .02) leave most gradients too small to see in fp32. */
	for (size_t i = 0; i < m->dense; i++)
		m->block_w[i] += .3f * ((float)rng_unit(rng_bits(5, RNG_GENERATE, i, 9, 9)) - .5f);
	for (size_t r = 0; r < N; r++)
		for (size_t i = 0; i < c->D; i++)
			model_item_row(m, (uint32_t)r)[i] += (float)rng_unit(rng_bits(5, RNG_GENERATE, r, i, 8)) - .5f;
	return m;
}

/* The value whose derivative the gradient is. The reversal: the encoder descends L - 2 lambda L_adv, the classifier L. */
static double loss_of(struct model *m, struct grad *scratch, const struct batch *b, int classifier)
{
	struct step_stats st;

	model_grad(m, scratch, b, 3, &st);
	assert_false(st.discarded);
	return classifier ? st.loss : st.loss - 2 * m->cfg.lambda * st.loss_adv;
}

static void check_tensor(struct model *m, struct grad *g, struct grad *scratch, const struct batch *b, const char *name, double *ret_worst)
{
	size_t R, C, r2, c2, ld;
	float *x = model_tensor(m, name, &R, &C);
	const float *d = grad_tensor(m, g, name, &r2, &c2);
	double norm = 0;
	int cls = !strncmp(name, "cls", 3);

	assert_non_null(x);
	assert_true(R == r2 && C == c2);
	ld = strcmp(name, "item.weight") ? C : m->item_stride;
	for (size_t i = 0; i < R * C; i++)
		norm += (double)d[i] * d[i];
	norm = sqrt(norm);

	for (int k = 0; k < DIRECTIONS; k++) {
		double eps = 4e-3, analytic = 0, numeric, len = 0, err, loss[2];
		float *keep = malloc(R * C * sizeof(float)), *v = malloc(R * C * sizeof(float));

		/* Direction 0 is the gradient itself, the others random plus a part of it (else mostly orthogonal). */
		for (size_t i = 0; i < R * C; i++) {
			double u = 2 * rng_unit(rng_bits(11, RNG_GENERATE, i, (uint64_t)k, 4)) - 1;

			v[i] = (float)(k ? u / sqrt((double)(R * C)) + (norm > 0 ? .7 * (k % 2 ? 1 : -1) * d[i] / norm : 0) : norm > 0 ? d[i] / norm : u);
			len += (double)v[i] * v[i];
			keep[i] = x[i / C * ld + i % C];
		}
		len = sqrt(len);
		for (size_t i = 0; i < R * C; i++)
			v[i] = (float)(v[i] / len);
		for (int s = 0; s < 2; s++) {
			for (size_t i = 0; i < R * C; i++)
				x[i / C * ld + i % C] = keep[i] + (float)((s ? -eps : eps) * v[i]);
			loss[s] = loss_of(m, scratch, b, cls);
		}
		/* what really was added, after rounding */
		for (size_t i = 0; i < R * C; i++) {
			float up = keep[i] + (float)(eps * v[i]), down = keep[i] - (float)(eps * v[i]);

			analytic += (double)d[i] * ((double)up - (double)down) / (2 * eps);
			x[i / C * ld + i % C] = keep[i];
		}
		numeric = (loss[0] - loss[1]) / (2 * eps);
		err = fabs(numeric - analytic) / (norm + 2e-2);
		*ret_worst = err > *ret_worst ? err : *ret_worst;
		if (!(err < 1e-2))
			fail_msg("%s direction %d: numeric %.6g analytic %.6g norm %.6g", name, k, numeric, analytic, norm);
		free(keep);
		free(v);
	}
}

static void check_all(struct model_config c, size_t B, size_t N, const char *what)
{
	struct data *d = malloc(sizeof(*d));
	struct grad *g, *scratch;
	struct model *m = make(&c, N, &g);
	struct step_stats st;
	double worst = 0;

	assert_int_equal(grad_new(&scratch, m), 0);
	data_init(d, B, c.L, N);
	model_grad(m, g, &d->b, 3, &st);
	assert_false(st.discarded);
	for (size_t i = 0; i < m->infos; i++)
		check_tensor(m, g, scratch, &d->b, m->info[i].name, &worst);
	check_tensor(m, g, scratch, &d->b, "item.weight", &worst);
	print_message("    %-32s loss %.4f  worst %.1e\n", what, st.loss, worst);
	grad_free(scratch);
	grad_free(g);
	model_free(m);
	free(d);
}

static void test_next_item(void **state)
{
	struct model_config c = small();

	check_all(c, USERS, ITEMS, "full cosine low-pass dropout");
	c.low_pass = c.cosine = 0;
	check_all(c, USERS, ITEMS, "full dot");
	c.dropout = 0;
	c.heads = 1; c.layers = 1; c.D = 7; c.L = 3;
	check_all(c, 3, 5, "full, D 7, no dropout");
	check_all(c, 1, 5, "one user of one item");
	c = small();
	c.loss = LOSS_SAMPLED;
	check_all(c, USERS, ITEMS, "sampled");
	c.loss = LOSS_BCE;
	check_all(c, USERS, ITEMS, "bce");
	c.cosine = 0; c.negatives = 1;
	check_all(c, USERS, ITEMS, "bce dot, one negative");
}

static double distance(const float *a, const float *b, size_t n)
{
	double d = 0, norm = 0;

	for (size_t i = 0; i < n; i++) {
		d += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
		norm += (double)b[i] * b[i];
	}
	return sqrt(d / norm);
}

/* With many negatives, half of them from a skewed stream, the sampled gradient is the full one up to the draw. */
static void test_sampled_estimates_full(void **state)
{
	enum { RECENT = 60 };
	struct model_config c = small();
	struct data *d = malloc(sizeof(*d));
	uint32_t recent[RECENT], count[ITEMS] = { 0 };
	const char *const names[] = { "item.weight", "pos.weight", "blocks.1.f2.weight" };
	struct grad *gf, *gs;
	struct step_stats st[2];

	data_init(d, USERS, c.L, ITEMS);
	c.dropout = 0;
	struct model *full = make(&c, ITEMS, &gf);
	c.loss = LOSS_SAMPLED; c.negatives = 40000;
	struct model *sampled = make(&c, ITEMS, &gs);
	for (uint32_t i = 0; i < RECENT; i++)
		count[recent[i] = i % 7 * (i % 3) % ITEMS]++;
	d->b.recent = recent; d->b.recent_n = RECENT; d->b.recent_count = count;
	model_grad(full, gf, &d->b, 3, &st[0]);
	model_grad(sampled, gs, &d->b, 3, &st[1]);
	if (fabs(st[0].loss - st[1].loss) > .01)
		fail_msg("loss full %.5f sampled %.5f", st[0].loss, st[1].loss);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		size_t R, C;
		const float *want = grad_tensor(full, gf, names[i], &R, &C), *got = grad_tensor(sampled, gs, names[i], &R, &C);
		double far = distance(got, want, R * C);

		if (!(far < .03))
			fail_msg("%s: the sampled gradient is %.3f away from the full one", names[i], far);
	}
	grad_free(gf); grad_free(gs);
	model_free(full); model_free(sampled);
	free(d);
}

/* All losses whose gradient is the derivative of a value while h(u) stands: contrast, distillation, adversary. */
static void test_joint(void **state)
{
	struct model_config c = small();

	c.beta1 = .5f; c.beta2 = .7f; c.lambda = .3f;
	check_all(c, USERS, ITEMS, "joint, mean, norm");
	c.pool = POOL_LAST; c.norm = 0; c.low_pass = 0;
	check_all(c, USERS, ITEMS, "joint, last, raw");
	c.loss = LOSS_BCE; c.posden = 0;
	check_all(c, USERS, ITEMS, "joint bce");
}

/* With a large eps and no iterations to move it, q is nearly uniform and nearly constant: then alpha's part can be seen too. */
static void test_cluster(void **state)
{
	struct model_config c = small();

	c.alpha = .8f; c.eps = 1e4f;
	check_all(c, USERS, ITEMS, "cluster, q uniform");
}

/* The same steps with 1..4 threads: the same bits in weights, moments, items, encodings. */
static uint64_t hash(uint64_t h, const void *p, size_t n)
{
	const unsigned char *x = p;

	for (size_t i = 0; i < n; i++)
		h = (h ^ x[i]) * 0x100000001b3u;
	return h;
}

static uint64_t fold(struct model_config c, int threads)
{
	struct data *d = malloc(sizeof(*d));
	struct grad *g;
	struct model *m;
	struct step_stats st;
	static float h[600 * 64];
	uint64_t r = 14695981039346656037u;

	c.threads = threads;
	m = make(&c, 300, &g);
	for (uint64_t step = 1; step <= 3; step++) {
		data_init(d, 70 + step, c.L, 300);
		model_grad(m, g, &d->b, step, &st);
		assert_false(st.discarded);
		r = hash(r, &st, offsetof(struct step_stats, discarded));
		model_apply(m, g, step, 1e-2f);
	}
	model_encode(m, h, &d->b);
	r = hash(r, h, d->b.T * c.D * sizeof(float));
	model_encode_last(m, h, &d->b);
	r = hash(r, h, d->b.B * c.D * sizeof(float));
	r = hash(r, m->block_w, m->dense * sizeof(float));
	r = hash(r, m->block_m, m->dense * sizeof(float));
	r = hash(r, m->item, m->N * m->item_stride * sizeof(float));
	r = hash(r, m->queue, c.queue * c.D * sizeof(float));
	grad_free(g);
	model_free(m);
	free(d);
	return r;
}

static void test_threads(void **state)
{
	struct model_config c = small();

	c.alpha = .1f; c.beta1 = .5f; c.beta2 = .7f; c.lambda = .3f; c.clip = 1; c.K = 40; c.queue = 100; c.eps = .05f;
	for (int loss = LOSS_FULL; loss <= LOSS_BCE; loss++) {
		uint64_t one;

		c.loss = (enum loss_form)loss;
		one = fold(c, 1);
		for (int t = 2; t <= 4; t++)
			assert_true(fold(c, t) == one);
		assert_true(fold(c, 1) == one);
	}
}

/* model_encode's newest position is model_encode_last, and a sequence does not depend on its neighbours. */
static void test_encode(void **state)
{
	struct model_config c = small();
	struct data *d = malloc(sizeof(*d));
	struct grad *g;
	struct model *m = make(&c, ITEMS, &g);
	float h[600 * 12], last[80 * 12], one[12];

	data_init(d, 77, c.L, ITEMS);
	model_encode(m, h, &d->b);
	model_encode_last(m, last, &d->b);
	for (size_t u = 0; u < 77; u++) {
		struct batch b = d->b;
		uint32_t start[2] = { 0, d->start[u + 1] - d->start[u] };
		double len = 0;

		b.B = 1; b.T = start[1]; b.start = start; b.item = d->item + d->start[u]; b.target = NULL;
		model_encode_last(m, one, &b);
		for (size_t i = 0; i < c.D; i++) {
			assert_true(last[u * c.D + i] == h[(d->start[u + 1] - 1) * c.D + i]);
			assert_true(fabsf(one[i] - last[u * c.D + i]) < 1e-5f);
			len += (double)one[i] * one[i];
		}
		assert_true(fabs(len - 1) < 1e-5); /* cosine: on the ranking scale */
	}
	grad_free(g);
	model_free(m);
	free(d);
}

/* Sixty steps on one batch learn it; a weight that is not a number discards the step. */
static void test_discard_and_learn(void **state)
{
	struct model_config c = small();
	struct data *d = malloc(sizeof(*d));
	struct grad *g;
	struct model *m;
	struct step_stats st = { 0 };
	double first = 0;

	c.dropout = 0;
	m = make(&c, ITEMS, &g);
	data_init(d, USERS, c.L, ITEMS);
	for (uint64_t step = 1; step <= 60; step++) {
		model_grad(m, g, &d->b, step, &st);
		assert_false(st.discarded);
		if (step == 1)
			first = st.loss;
		model_apply(m, g, step, 1e-2f);
	}
	if (!(st.loss < .7 * first))
		fail_msg("loss %.4f -> %.4f", first, st.loss);

	m->w.pos[(c.L - 1) * c.D] = NAN; /* the newest position */
	model_grad(m, g, &d->b, 61, &st);
	assert_true(st.discarded);
	grad_free(g);
	model_free(m);
	free(d);
}

/* Train 3, carry the state into a fresh model, train 3 more = train 6: the same bits. */
static uint64_t carry(struct model_config c, uint64_t at)
{
	struct data *d = malloc(sizeof(*d));
	struct grad *g, *g2;
	struct model *m = make(&c, 40, &g);
	struct step_stats st;
	uint64_t r = 1;

	for (uint64_t step = 1; step <= 6; step++) {
		data_init(d, 20 + step, c.L, 40);
		model_grad(m, g, &d->b, step, &st);
		model_apply(m, g, step, 1e-2f);
		if (step == at) {
			struct model *n = make(&c, 40, &g2);
			uint32_t *sa, *sb;
			size_t *ca, *na, *cb, *nb, R, C;
			const char *name;

			for (size_t i = 0; (name = model_tensor_name(m, i)); i++) {
				const char *suffix[] = { "", "/m", "/v" };
				char full[64];

				for (int k = 0; k < 3; k++) {
					snprintf(full, sizeof(full), "%s%s", name, suffix[k]);
					float *to = model_tensor(n, full, &R, &C), *from = model_tensor(m, full, &R, &C);

					assert_non_null(to);
					memcpy(to, from, R * C * sizeof(float));
				}
			}
			for (uint32_t i = 0; i < 40; i++) {
				memcpy(model_row_state(n, i, &sb), model_row_state(m, i, &sa), 3 * c.D * sizeof(float));
				*sb = *sa;
			}
			memcpy(model_queue_state(n, &cb, &nb), model_queue_state(m, &ca, &na), c.queue * c.D * sizeof(float));
			*cb = *ca;
			*nb = *na;
			struct applied past[6];
			for (uint64_t a = 1; a <= model_applied(m); a++)
				model_history(m, a, &past[a - 1]);
			model_history_restore(n, model_applied(m), past, model_applied(m));
			grad_free(g);
			model_free(m);
			m = n;
			g = g2;
		}
	}
	r = hash(r, m->block_w, m->dense * sizeof(float));
	r = hash(r, m->item, m->N * m->item_stride * sizeof(float));
	r = hash(r, m->queue, c.queue * c.D * sizeof(float));
	grad_free(g);
	model_free(m);
	free(d);
	return r;
}

static void test_state(void **state)
{
	struct model_config c = small();

	c.alpha = .1f; c.beta1 = .5f; c.lambda = .3f; c.queue = 50; c.K = 30;
	for (int loss = LOSS_FULL; loss <= LOSS_BCE; loss++) {
		c.loss = (enum loss_form)loss;
		assert_true(carry(c, 3) == carry(c, 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next_item),
		cmocka_unit_test(test_sampled_estimates_full), cmocka_unit_test(test_joint), cmocka_unit_test(test_cluster),
		cmocka_unit_test(test_threads), cmocka_unit_test(test_encode), cmocka_unit_test(test_discard_and_learn),
		cmocka_unit_test(test_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
