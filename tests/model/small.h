/* small.h - what the tests of whole steps share: a small odd configuration, a batch, a model far from its initial values. */
#ifndef S4REC_TESTS_MODEL_SMALL_H
#define S4REC_TESTS_MODEL_SMALL_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "model/model_private.h"
#include "model/rng.h"

#define USERS 5
#define ITEMS 13

static inline struct model_config small(void)
{
	return (struct model_config){
		.L = 7, .D = 12, .heads = 3, .layers = 2, .K = 3, .dropout = .25f, .loss = LOSS_FULL, .negatives = 3, .uniform = .5f, .logq = 1, .cosine = 1, .cosine_tau = .5f,
		.low_pass = 1, .pool = POOL_MEAN, .norm = 1, .posden = 1, .eps = .5f, .iters = 3, .tau1 = .7f, .tau2 = .8f, .tau3 = .5f,
		.alpha = 0, .beta1 = 0, .beta2 = 0, .lambda = 0, .mask_share = .4f, .crop_share = .6f, .reorder_share = .5f, .insert_share = .4f,
		.beta_1 = .9f, .beta_2 = .999f, .adam_eps = 1e-8f, .seed = 7, .threads = 2, .items_max = 1000, .batch_users_max = 80,
	};
}

#define SMALL_ATTRIBUTES 6

/* Attributes are there for who points b.attribute at them. Arrays of a batch and the batch that points at them. */
struct data { uint64_t user[80]; uint32_t start[81], item[600], target[600]; float weight[600]; uint8_t head[80]; uint16_t attribute[80 * ATTRIBUTES_MAX]; struct batch b; };

/* Lengths include 1 and L; some positions have no target, weights differ. */
static inline void data_init(struct data *d, size_t B, size_t L, size_t N)
{
	memset(d, 0, sizeof(*d));
	for (size_t u = 0; u < B; u++) {
		size_t n = u == 0 ? 1 : u == 1 ? L : 1 + rng_below(rng_bits(3, RNG_GENERATE, u, 0, 0), L);

		d->user[u] = 1000 + u;
		for (size_t i = 0; i < ATTRIBUTES_MAX; i++)
			d->attribute[u * ATTRIBUTES_MAX + i] = (uint16_t)rng_below(rng_bits(3, RNG_GENERATE, u, i, 9), SMALL_ATTRIBUTES + 1);
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

/* Where there are attributes, items have some. */
static inline struct model *make(const struct model_config *c, size_t N, struct grad **g)
{
	struct model *m;
	uint32_t row;
	const char *why = NULL;

	if (model_config_check(c, &why) < 0)
		fail_msg("%s", why);
	assert_int_equal(model_new(&m, c), 0);
	assert_int_equal(grad_new(g, m), 0);
	for (size_t i = 0; i < N; i++) {
		uint16_t attribute[ATTRIBUTES_MAX];

		assert_int_equal(model_add_item(m, &row), 0);
		for (size_t k = 0; k < ATTRIBUTES_MAX; k++)
			attribute[k] = (uint16_t)rng_below(rng_bits(3, RNG_GENERATE, i, k, 10), c->attributes + 1);
		if (c->attributes)
			model_set_item_attributes(m, row, attribute);
	}
	/* Far from the start: weights of N(0, .02) leave most gradients too small to see in fp32. */
	for (size_t i = 0; i < m->dense; i++)
		m->block_w[i] += .3f * ((float)rng_unit(rng_bits(5, RNG_GENERATE, i, 9, 9)) - .5f);
	for (size_t r = 0; r < N; r++)
		for (size_t i = 0; i < c->D; i++)
			model_item_row(m, (uint32_t)r)[i] += (float)rng_unit(rng_bits(5, RNG_GENERATE, r, i, 8)) - .5f;
	return m;
}

static inline uint64_t hash(uint64_t h, const void *p, size_t n)
{
	const unsigned char *x = p;

	for (size_t i = 0; i < n; i++)
		h = (h ^ x[i]) * 0x100000001b3u;
	return h;
}
#endif
