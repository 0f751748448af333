/* away.c - `make bench-away`: what exact Adam costs item rows that few gradients touch, against moving all rows in each step (dense).
 *
 * 200,000 rows, width 64, one thread. Series: the usual case; terms: in the first few hundred steps, at most 16.
 * Apply: a step that touches 2,000 rows, all of them away.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/model_private.h"
#include "model/state.h"

#define ITEMS 200000
#define WIDTH 64
#define TOUCHED 2000
#define QUERIES 256
#define TURNS 5

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void report(const char *what, double seconds, double rows)
{
	printf("%-52s %8.1f us, %6.1f ns a row\n", what, seconds * 1e6, seconds * 1e9 / rows);
}

/* All rows touched with some gradient at an application, then `after` applications without. */
static struct model *make(struct grad **g, uint64_t at, uint64_t after)
{
	struct model_config c = { .L = 50, .D = WIDTH, .heads = 2, .layers = 1, .K = 128, .loss = LOSS_BCE, .negatives = 20, .eps = .05f,
		.iters = 3, .tau1 = 1, .tau2 = 1, .tau3 = 1, .beta_1 = .9f, .beta_2 = .999f, .adam_eps = 1e-8f, .seed = 1, .threads = 1,
		.items_max = ITEMS, .batch_users_max = 256 };
	struct model *m;
	uint32_t row;
	if (model_new(&m, &c) || grad_new(g, m))
		exit(71);
	for (int i = 0; i < ITEMS; i++)
		model_add_item(m, &row);
	memset((*g)->block, 0, m->dense * sizeof(float));
	(*g)->rows = (*g)->B = 0;
	for (uint64_t step = 1; step <= at; step++)
		model_apply(m, *g, step, 1e-3f);
	for (uint32_t r = 0; r < ITEMS; r++) {
		for (size_t d = 0; d < 2 * WIDTH; d++)
			model_item_row(m, r)[WIDTH + d] = 1e-3f * (float)(1 + (r + d) % 7);
		m->item_step[r] = (uint32_t)m->applied;
	}
	for (uint64_t step = at + 1; step <= at + after; step++)
		model_apply(m, *g, step, 1e-3f);
	return m;
}

static double dense(struct model *m)
{
	static float zero[WIDTH];
	struct adam a = adam_at(&m->cfg, m->applied + 1, 1e-3f, 1);
	for (uint32_t r = 0; r < ITEMS; r++) {
		float *w = model_item_row(m, r);
		adam_step(w, w + WIDTH, w + 2 * WIDTH, zero, &a, WIDTH);
	}
	return 0;
}

static double read_all(struct model *m)
{
	float tmp[WIDTH];
	double sum = 0;
	for (uint32_t r = 0; r < ITEMS; r++)
		sum += model_item_now(m, tmp, r)[0];
	return sum;
}

static double rank_all(struct model *m)
{
	static float h[QUERIES * WIDTH];
	static uint32_t rank[QUERIES], target[QUERIES];
	for (int i = 0; i < QUERIES * WIDTH; i++)
		h[i] = (float)(i % 11) - 5;
	model_rank(m, rank, h, target, QUERIES, NULL);
	return rank[0];
}

/* The shortest of some turns: the machine may be shared. */
static double shortest(double (*f)(struct model *m), struct model *m)
{
	static volatile double keep; /* so that no loop is left out */
	double best = 1e9;
	for (int turn = 0; turn < TURNS; turn++) {
		double start = now();
		keep = f(m);
		best = now() - start < best ? now() - start : best;
	}
	(void)keep;
	return best;
}

static double apply(struct model *m, struct grad *g, size_t rows)
{
	double start, best = 1e9;
	for (uint32_t turn = 0; turn < TURNS; turn++) {
		g->rows = rows;
		for (uint32_t i = 0; i < rows; i++)
			g->row[i] = turn * TOUCHED + i; /* away since the beginning */
		start = now();
		model_apply(m, g, m->applied + 1, 1e-3f);
		best = now() - start < best ? now() - start : best;
	}
	return best;
}

int main(void)
{
	struct grad *g, *early;
	struct model *m = make(&g, 5000, 100), *e = make(&early, 20, 15);
	printf("%d rows, width %d, one thread\n", ITEMS, WIDTH);
	report("read all rows, 100 steps away, series", shortest(read_all, m), ITEMS);
	report("read all rows, 0 to 15 steps away, terms", shortest(read_all, e), ITEMS);
	report("rank 256 queries, rows 100 steps away", shortest(rank_all, m), ITEMS);
	for (uint32_t r = 0; r < ITEMS; r++)
		away_return(e, r);
	report("rank 256 queries, rows up to date", shortest(rank_all, e), ITEMS);
	report("dense Adam over all rows, one step", shortest(dense, e), ITEMS);
	double none = apply(m, g, 0), some = apply(m, g, TOUCHED);
	report("model_apply touching none (dense tensors, table)", none, 1);
	report("  and what 2,000 rows that were away add", some - none, TOUCHED);
	grad_free(early);
	grad_free(g);
	model_free(e);
	model_free(m);
	return 0;
}
