/* test_rows.c - item rows that go and come: nothing that is not live is ranked, listed, drawn or trained, in memory as from a file. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "model/file.h"
#include "model/state.h"
#include "tests/model/small.h"

enum { ROWS = 90, QUERIES = 20 };

static struct model_config config(enum loss_form loss, enum row_optimizer rows)
{
	struct model_config c = small();

	c.loss = loss;
	c.rows = rows;
	c.negatives = 8;
	c.alpha = .1f; c.beta1 = .5f; c.lambda = .3f; c.queue = 20; c.weight_decay = .05f;
	return c;
}

/* All but the rows that data_init names, 0 .. ITEMS - 1, and every third of the others. */
static int leaves(uint32_t row) { return row >= ITEMS && row % 3 != 0; }

static size_t thin(struct model *m)
{
	size_t n = 0;

	for (uint32_t r = 0; r < ROWS; r++)
		if (leaves(r)) {
			model_remove_item(m, r);
			n++;
		}
	return n;
}

static void ranks_and_lists_pass_over_them(void **state)
{
	struct model_config c = config(LOSS_FULL, ROWS_ADAM);
	struct grad *g;
	struct model *m = make(&c, ROWS, &g);
	float h[QUERIES * 12], score[QUERIES * ROWS];
	uint32_t target[QUERIES], skipped[QUERIES], rank[QUERIES], list[QUERIES * ROWS];
	uint8_t skip[ROWS];

	for (size_t i = 0; i < QUERIES * c.D; i++)
		h[i] = (float)rng_unit(rng_mix(i)) - .5f;
	for (size_t i = 0; i < QUERIES; i++)
		target[i] = (uint32_t)(i % ITEMS);
	for (uint32_t r = 0; r < ROWS; r++)
		skip[r] = (uint8_t)leaves(r);
	model_rank(m, skipped, h, target, QUERIES, skip);
	size_t left = ROWS - thin(m);
	assert_int_equal(model_live_items(m), left);
	model_rank(m, rank, h, target, QUERIES, NULL);
	assert_memory_equal(rank, skipped, sizeof rank);
	model_topk(m, list, score, h, QUERIES, ROWS, NULL, NULL);
	for (size_t i = 0; i < QUERIES; i++)
		for (size_t k = 0; k < ROWS; k++) {
			assert_true((list[i * ROWS + k] == NO_ROW) == (k >= left));
			assert_true(k >= left || !leaves(list[i * ROWS + k]));
		}
	grad_free(g);
	model_free(m);
}

/* No step touches them, also where they are nearly all. */
static void steps_pass_over_them(void **state)
{
	for (int rows = ROWS_ADAM; rows <= ROWS_ADAGRAD; rows++)
		for (int loss = LOSS_FULL; loss <= LOSS_BCE; loss++)
			for (int most = 0; most < 2; most++) {
				struct model_config c = config((enum loss_form)loss, (enum row_optimizer)rows);
				static struct data d;
				struct step_stats st;
				struct grad *g;
				struct model *m = make(&c, most ? 1000 : ROWS, &g);

				for (uint32_t r = ROWS; r < model_items(m); r++)
					model_remove_item(m, r);
				thin(m);
				for (uint64_t step = 1; step <= 20; step++) {
					data_init(&d, 6, c.L, ITEMS);
					model_grad(m, g, &d.b, step, &st);
					assert_false(st.discarded);
					for (size_t i = 0; i < g->rows; i++)
						assert_false(model_item_is_gone(m, g->row[i]));
					model_apply(m, g, step, 1e-2f);
				}
				for (uint32_t r = 0; r < model_items(m); r++)
					for (size_t i = 0; model_item_is_gone(m, r) && i < m->item_stride; i++)
						assert_true(model_item_row(m, r)[i] == 0);
				grad_free(g);
				model_free(m);
			}
}

/* log Q of the draws counts live rows only: with all of them drawn evenly the sampled loss estimates the softmax over them. */
static void the_correction_counts_live_rows(void **state)
{
	struct model_config c = config(LOSS_SAMPLED, ROWS_ADAM);
	static struct data d;
	struct step_stats st;
	struct grad *g;

	c.alpha = c.beta1 = c.lambda = 0;
	struct model *m = make(&c, ROWS, &g);
	size_t left = ROWS - thin(m);
	data_init(&d, 6, c.L, ITEMS);
	model_grad(m, g, &d.b, 1, &st);
	for (size_t k = 0; k < c.negatives; k++) {
		assert_false(model_item_is_gone(m, m->neg[k]));
		assert_true(fabsf(m->neg_logq[k] - logf((float)c.negatives / (float)left)) < 1e-5f);
	}
	grad_free(g);
	model_free(m);
}

/* Without the correction a thousand negatives weigh as a thousand items, with it as the catalogue. */
static void the_correction_can_be_left_out(void **state)
{
	static struct data d;
	double loss[2];

	for (int logq = 0; logq < 2; logq++) {
		struct model_config c = config(LOSS_SAMPLED, ROWS_ADAM);
		struct step_stats st;
		struct grad *g;

		c.alpha = c.beta1 = c.lambda = 0;
		c.logq = logq;
		c.negatives = 1000;
		struct model *m = make(&c, ITEMS, &g);
		data_init(&d, 6, c.L, ITEMS);
		d.b.weight = NULL;
		model_grad(m, g, &d.b, 1, &st);
		loss[logq] = st.loss_sr;
		grad_free(g);
		model_free(m);
	}
	/* of 1000 draws 12 of 13 are not the target: log (1 + 923 a) - log (1 + 12 a), a some mean of e^logit */
	if (!(loss[0] - loss[1] > 3.8 && loss[0] - loss[1] < 4.35))
		fail_msg("without %g, with %g", loss[0], loss[1]);
}

static void a_row_begins_anew(void **state)
{
	struct model_config c = config(LOSS_BCE, ROWS_ADAM);
	static struct data d;
	struct step_stats st;
	struct grad *g, *unused;
	struct model *m = make(&c, ROWS, &g), *fresh = make(&c, ROWS, &unused);
	float was[12];

	data_init(&d, 6, c.L, ITEMS);
	for (uint64_t step = 1; step <= 5; step++) {
		model_grad(m, g, &d.b, step, &st);
		model_apply(m, g, step, 1e-2f);
	}
	memcpy(was, model_item_row(m, 2), sizeof was);
	model_remove_item(m, 2);
	model_renew_item(m, 2);
	assert_false(model_item_is_gone(m, 2));
	assert_memory_not_equal(model_item_row(m, 2), was, sizeof was);
	assert_memory_not_equal(model_item_row(m, 2), model_item_row(fresh, 2), sizeof was); /* another item, another draw */
	for (size_t i = c.D; i < m->item_stride; i++)
		assert_true(model_item_row(m, 2)[i] == 0);
	assert_int_equal(m->item_step[2], model_applied(m));

	uint32_t around[] = { 3, 4 };
	float a[12], b[12], mean;
	memcpy(was, model_item_row(m, 2), sizeof was);
	model_blend_item(m, 2, around, 2, 0);
	assert_memory_equal(model_item_row(m, 2), was, sizeof was);
	const float *x = model_item_now(m, a, 3), *y = model_item_now(m, b, 4);
	model_blend_item(m, 2, around, 2, .25f);
	for (size_t i = 0; i < c.D; i++) {
		mean = (x[i] + y[i]) / 2;
		assert_true(fabsf(model_item_row(m, 2)[i] - (.75f * was[i] + .25f * mean)) < 1e-6f);
	}
	grad_free(g);
	grad_free(unused);
	model_free(m);
	model_free(fresh);
}

static uint64_t train(struct model *m, struct grad *g, uint64_t from, uint64_t to)
{
	static struct data d;
	struct step_stats st;
	uint64_t h = 1;

	for (uint64_t step = from; step <= to; step++) {
		data_init(&d, 6, m->cfg.L, ITEMS);
		model_grad(m, g, &d.b, step, &st);
		model_apply(m, g, step, 1e-2f);
	}
	h = hash(h, m->block_w, m->dense * sizeof(float));
	for (uint32_t r = 0; r < m->N; r++)
		h = hash(h, model_item_row(m, r), m->item_stride * sizeof(float));
	return h;
}

/* A file knows them by their missing ids; what was loaded trains on with the bits of what was saved, and so does a copy. */
static void files_keep_them(void **state)
{
	static char path[] = "/tmp/s4rec-rows-XXXXXX";
	char why[200], id[16];

	assert_true(close(mkstemp(path)) == 0);
	for (int loss = LOSS_FULL; loss <= LOSS_BCE; loss++) {
		struct model_config c = config((enum loss_form)loss, ROWS_ADAM);
		struct grad *g, *g2;
		struct model *m = make(&c, ROWS, &g), *loaded, *copy;
		struct idmap *ids, *back;
		uint32_t row;
		int is_new;

		assert_int_equal(idmap_new(&ids, ROWS), 0);
		for (uint32_t r = 0; r < ROWS; r++)
			assert_int_equal(idmap_intern(ids, &row, &is_new, id, (size_t)snprintf(id, sizeof id, "i%u", r)), 0);
		train(m, g, 1, 10);
		for (uint32_t r = 0; r < ROWS; r++)
			if (leaves(r))
				idmap_remove(ids, r);
		size_t left = ROWS - thin(m);
		assert_int_equal(model_save(path, m, ids, why, sizeof why), 0);
		if (model_load(&loaded, &back, &c, path, why, sizeof why))
			fail_msg("%s", why);
		assert_int_equal(model_live_items(loaded), left);
		assert_int_equal(idmap_count(back), left);
		assert_int_equal(model_new(&copy, &c), 0);
		model_copy(copy, m);

		uint64_t straight = train(m, g, 11, 30);
		assert_int_equal(grad_new(&g2, loaded), 0);
		assert_true(train(loaded, g2, 11, 30) == straight);
		grad_free(g2);
		assert_int_equal(grad_new(&g2, copy), 0);
		assert_true(train(copy, g2, 11, 30) == straight);
		grad_free(g2);
		grad_free(g);
		model_free(m);
		model_free(loaded);
		model_free(copy);
		idmap_free(ids);
		idmap_free(back);
	}
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranks_and_lists_pass_over_them), cmocka_unit_test(steps_pass_over_them), cmocka_unit_test(the_correction_counts_live_rows),
		cmocka_unit_test(the_correction_can_be_left_out),
		cmocka_unit_test(a_row_begins_anew), cmocka_unit_test(files_keep_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
