/* test_encoder.c - the gradient of the whole joint loss against central differences, per tensor, for small odd shapes; and the
 * same bits for any number of threads. Dropout is on: masks are counter-based, so the loss is a function of the weights.
 *
 * fp32: a difference over 2 EPS carries noise of about ulp(loss) / EPS, so a tensor is judged as a whole: along random
 * directions, |numeric - analytic| against the gradient's norm. Sinkhorn's q, a constant of the gradient, is held.
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

#include "model/state.h"
#include "tests/model/small.h"

#define DIRECTIONS 4

/* L_Clust with the targets q held still, as its gradient sees it. */
static double cluster_value(const struct model *m, const float *q)
{
	struct step_trace t;
	size_t K = m->cfg.K;
	double loss = 0;

	model_trace(m, &t);
	for (size_t u = 0; u < m->B; u++) {
		double sum = 0;

		for (size_t k = 0; k < K; k++)
			sum += exp((double)t.scores[u * K + k] / m->cfg.tau1);
		for (size_t k = 0; k < K; k++)
			loss -= q[u * K + k] * ((double)t.scores[u * K + k] / m->cfg.tau1 - log(sum));
	}
	return loss / (double)m->B;
}

/* The value whose derivative the gradient is. The reversal: the encoder descends L - 2 lambda L_adv, the classifier L. q: the targets
 * of the gradient's step, NULL when alpha is 0. */
static double loss_of(struct model *m, struct grad *scratch, const struct batch *b, int classifier, const float *q)
{
	struct step_stats st;
	double loss;

	model_grad(m, scratch, b, 3, &st);
	assert_false(st.discarded);
	loss = classifier ? st.loss : st.loss - 2 * m->cfg.lambda * st.loss_adv;
	return q ? loss + m->cfg.alpha * (cluster_value(m, q) - st.loss_clust) : loss;
}

static void check_tensor(struct model *m, struct grad *g, struct grad *scratch, const struct batch *b, const float *q, const char *name, double *ret_worst)
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
			loss[s] = loss_of(m, scratch, b, cls, q);
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

	float *q = NULL;

	assert_int_equal(grad_new(&scratch, m), 0);
	data_init(d, B, c.L, N);
	d->b.attribute = c.attributes ? d->attribute : NULL;
	for (size_t i = 0; i < c.queue * c.D; i++) /* as if steps had gone before: Sinkhorn sees these rows too */
		m->queue[i] = (float)rng_unit(rng_bits(4, RNG_GENERATE, i, 0, 0)) - .5f;
	m->queue_count = c.queue;
	model_grad(m, g, &d->b, 3, &st);
	assert_false(st.discarded);
	if (c.alpha > 0) {
		struct step_trace t;

		model_trace(m, &t);
		q = malloc(B * c.K * sizeof(float));
		memcpy(q, t.q, B * c.K * sizeof(float));
		assert_true(fabs(cluster_value(m, q) - st.loss_clust) < 1e-5 * (1 + st.loss_clust));
	}
	for (size_t i = 0; i < m->infos; i++)
		/* a detached teacher, prototypes that are constants: mu's gradient is no derivative */
		if (strcmp(m->info[i].name, "mu") || (!c.detach && c.cluster == CLUSTER_SINKHORN))
			check_tensor(m, g, scratch, &d->b, q, m->info[i].name, &worst);
	check_tensor(m, g, scratch, &d->b, q, "item.weight", &worst);
	free(q);
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

/* Contrast, distillation, adversary (h(u) stands), in each loss form, pooling, norm. */
static void test_joint(void **state)
{
	static const char *const form[] = { "full", "sampled", "bce" };
	struct model_config c = small();

	c.beta1 = .5f; c.beta2 = .7f; c.lambda = .3f;
	for (int loss = LOSS_FULL; loss <= LOSS_BCE; loss++)
		for (int i = 0; i < 4; i++) {
			char what[64];

			c.loss = (enum loss_form)loss;
			c.pool = i & 1 ? POOL_LAST : POOL_MEAN;
			c.norm = c.cosine = i < 2;
			c.posden = c.low_pass = i != 1;
			c.detach = i == 1;
			c.tau2 = c.tau3 = i < 2 ? .8f : 2; /* raw products are large: less curvature under the differences */
			snprintf(what, sizeof what, "joint %s, %s, %s%s", form[loss], i & 1 ? "last" : "mean", i < 2 ? "norm" : "raw", c.detach ? ", detached" : "");
			check_all(c, USERS, ITEMS, what);
		}
}

/* Sums of rows: users and items that share some, and have none; views get them, too. */
static void test_attributes(void **state)
{
	struct model_config c = small();
	c.attributes = SMALL_ATTRIBUTES;
	check_all(c, USERS, ITEMS, "full, attributes");
	c.beta1 = .5f; c.beta2 = .7f; c.lambda = .3f;
	c.loss = LOSS_SAMPLED;
	check_all(c, USERS, ITEMS, "joint sampled, attributes");
	c.loss = LOSS_BCE;
	c.cosine = 0;
	check_all(c, USERS, ITEMS, "joint bce, attributes");
}

static void all_that_is_read(struct model *m, struct grad *g, const struct batch *b, float *h, uint32_t *rank, uint32_t *best, float *score, struct step_stats *st)
{
	float *item = h + b->T * m->cfg.D;
	model_encode(m, h, b);
	model_rank(m, rank, h, b->target, b->T, NULL);
	model_topk(m, best, score, h, b->T, 3, NULL, NULL);
	for (uint32_t r = 0; r < ITEMS; r++)
		model_item_vector(m, item + r * m->cfg.D, r);
	model_grad(m, g, b, 1, st);
}

/* The plain form: an item with attributes is in everything one whose row is the sum. */
static void an_item_is_its_row_and_its_attributes(void **state)
{
	struct model_config c = small();
	struct data *d = malloc(sizeof *d);
	c.attributes = SMALL_ATTRIBUTES;
	c.beta1 = .5f;
	for (c.loss = LOSS_FULL; c.loss <= LOSS_BCE; c.loss++) {
		static float h[2][(USERS * 7 + ITEMS) * 12], score[2][USERS * 7 * 3];
		static uint32_t rank[2][USERS * 7], best[2][USERS * 7 * 3];
		struct step_stats st[2];
		struct grad *g[2];
		struct model *m[2] = { make(&c, ITEMS, &g[0]), make(&c, ITEMS, &g[1]) };
		const uint16_t none[ATTRIBUTES_MAX] = { 0 };
		size_t rows, cols;
		for (uint32_t r = 0; r < ITEMS; r++) {
			attributes_forward(model_item_row(m[1], r), m[1]->w.attr, model_item_attributes(m[1], r), &c);
			model_set_item_attributes(m[1], r, none);
		}
		m[1]->attributed = 0; /* rows are read in place */
		data_init(d, USERS, c.L, ITEMS);
		for (int i = 0; i < 2; i++)
			all_that_is_read(m[i], g[i], &d->b, h[i], rank[i], best[i], score[i], &st[i]);
		assert_memory_equal(h[0], h[1], sizeof h[0]);
		assert_memory_equal(rank[0], rank[1], d->b.T * sizeof **rank);
		assert_memory_equal(best[0], best[1], d->b.T * 3 * sizeof **best);
		assert_memory_equal(score[0], score[1], d->b.T * 3 * sizeof **score);
		assert_true(st[0].loss == st[1].loss);
		assert_memory_equal(grad_tensor(m[0], g[0], "item.weight", &rows, &cols), grad_tensor(m[1], g[1], "item.weight", &rows, &cols), ITEMS * c.D * sizeof(float));
		for (int i = 0; i < 2; i++) {
			grad_free(g[i]);
			model_free(m[i]);
		}
	}
	free(d);
}

/* Without attributes a batch gives the bits of one that says nobody has any; one user's attributes are nobody else's business, and reach each of its views,
 * also one that is all masked. */
static void attributes_are_of_their_user(void **state)
{
	struct model_config c = small();
	struct data *d = malloc(sizeof *d);
	struct grad *g;
	float h[3][USERS * 12], z[3][3][USERS * 12];
	struct step_stats st;
	c.attributes = SMALL_ATTRIBUTES;
	c.beta1 = .5f;
	c.mask_share = 1;
	c.dropout = 0;
	struct model *m = make(&c, ITEMS, &g);
	data_init(d, USERS, c.L, ITEMS);
	memset(d->attribute, 0, sizeof d->attribute);
	for (int i = 0; i < 3; i++) {
		struct step_trace t;
		d->b.attribute = i ? d->attribute : NULL;
		d->attribute[3 * ATTRIBUTES_MAX + 1] = i == 2 ? 4 : 0; /* of user 3 */
		model_encode_last(m, h[i], &d->b);
		model_grad(m, g, &d->b, 1, &st);
		model_trace(m, &t);
		for (int v = 0; v < 3; v++)
			memcpy(z[i][v], v == 0 ? t.z : v == 1 ? t.z1 : t.z2, sizeof z[i][v]);
	}
	assert_memory_equal(h[0], h[1], sizeof h[0]);
	assert_memory_equal(z[0], z[1], sizeof z[0]);
	for (size_t u = 0; u < USERS; u++) {
		assert_int_equal(memcmp(h[1] + u * c.D, h[2] + u * c.D, c.D * sizeof(float)) != 0, u == 3);
		for (int v = 0; v < 3; v++)
			assert_int_equal(memcmp(z[1][v] + u * c.D, z[2][v] + u * c.D, c.D * sizeof(float)) != 0, u == 3);
	}
	grad_free(g);
	model_free(m);
	free(d);
}

/* With distillation alone and its teacher detached, prototypes have no gradient. */
static void detached_teacher_is_still(struct model_config c)
{
	struct data *d = malloc(sizeof(*d));
	struct grad *g;
	struct model *m = make(&c, ITEMS, &g);
	struct step_stats st;

	data_init(d, USERS, c.L, ITEMS);
	model_grad(m, g, &d->b, 3, &st);
	for (size_t i = 0; i < c.K * c.D; i++)
		assert_true(g->d.mu[i] == 0);
	grad_free(g);
	model_free(m);
	free(d);
}

/* Each alone, so that none hides behind another. */
static void test_one_loss(void **state)
{
	struct model_config c = small();

	c.beta1 = 1;
	check_all(c, USERS, ITEMS, "contrast");
	c.beta1 = 0; c.beta2 = 1;
	check_all(c, USERS, ITEMS, "distillation");
	c.detach = 1;
	check_all(c, USERS, ITEMS, "distillation, detached");
	detached_teacher_is_still(c);
	c.beta2 = 0; c.lambda = 1;
	check_all(c, USERS, ITEMS, "adversary");
}

/* The gradient of the cluster loss takes q for a constant: differences are taken of the loss with the step's own q. */
static void test_cluster(void **state)
{
	struct model_config c = small();

	c.alpha = .8f; c.eps = .05f;
	for (int i = 0; i < 4; i++) {
		c.pool = i & 1 ? POOL_LAST : POOL_MEAN;
		c.norm = i < 2;
		c.queue = i == 2 ? 20 : 0;
		check_all(c, USERS, ITEMS, i < 2 ? "cluster, norm" : i == 2 ? "cluster, raw, queue" : "cluster, raw");
	}
	c.norm = 1;
	c.cluster = CLUSTER_KMEANS;
	check_all(c, USERS, ITEMS, "cluster, k-means");
}

/* The same steps with 1..4 threads: the same bits in weights, moments, items, encodings, ranks, lists. */
static uint64_t fold(struct model_config c, int threads)
{
	struct data *d = malloc(sizeof(*d));
	struct grad *g;
	struct model *m;
	struct step_stats st;
	static float h[600 * 64], score[200];
	static uint32_t rank[600];
	uint64_t r = 14695981039346656037u;

	c.threads = threads;
	m = make(&c, 300, &g);
	for (uint64_t step = 1; step <= 3; step++) {
		data_init(d, 70 + step, c.L, 300);
		d->b.attribute = c.attributes ? d->attribute : NULL;
		model_grad(m, g, &d->b, step, &st);
		assert_false(st.discarded);
		r = hash(r, &st, offsetof(struct step_stats, discarded));
		model_apply(m, g, step, 1e-2f);
	}
	model_encode(m, h, &d->b);
	r = hash(r, h, d->b.T * c.D * sizeof(float));
	model_rank(m, rank, h, d->target, d->b.T, NULL); /* NO_ROW among them */
	r = hash(r, rank, d->b.T * sizeof *rank);
	model_topk(m, rank, score, h, 20, 10, NULL, NULL);
	r = hash(r, rank, 200 * sizeof *rank);
	r = hash(r, score, sizeof score);
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

	c.alpha = .1f; c.beta1 = .5f; c.beta2 = .7f; c.lambda = .3f; c.clip = 1; c.K = 40; c.queue = 100; c.eps = .05f; c.weight_decay = .1f;
	for (int i = 0; i < 6; i++) {
		uint64_t one;

		c.loss = (enum loss_form)(i % 3);
		c.pool = i < 3 ? POOL_MEAN : POOL_LAST;
		c.norm = c.cosine = c.low_pass = i < 3;
		c.detach = i >= 3;
		c.rows = i < 4 ? ROWS_ADAM : ROWS_ADAGRAD;
		c.attributes = i % 2 ? SMALL_ATTRIBUTES : 0;
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

/* Sixty steps on one batch learn it, however rows move; a weight that is not a number discards the step. */
static void learns(struct model_config c)
{
	struct data *d = malloc(sizeof(*d));
	struct grad *g;
	struct model *m = make(&c, ITEMS, &g);
	struct step_stats st = { 0 };
	double first = 0;

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

static void test_discard_and_learn(void **state)
{
	struct model_config c = small();

	c.dropout = 0;
	learns(c);
	c.rows = ROWS_ADAGRAD;
	learns(c);
	c.loss = LOSS_SAMPLED;
	learns(c);
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
				memcpy(model_row_state(n, i, &sb), model_row_state(m, i, &sa), model_row_floats(m) * sizeof(float));
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
		cmocka_unit_test(test_next_item), cmocka_unit_test(test_attributes), cmocka_unit_test(attributes_are_of_their_user),
		cmocka_unit_test(an_item_is_its_row_and_its_attributes),
		cmocka_unit_test(test_sampled_estimates_full), cmocka_unit_test(test_joint), cmocka_unit_test(test_one_loss), cmocka_unit_test(test_cluster),
		cmocka_unit_test(test_threads), cmocka_unit_test(test_encode), cmocka_unit_test(test_discard_and_learn),
		cmocka_unit_test(test_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
