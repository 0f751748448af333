/* step.c - `make bench-step`: one S4Rec training step against the matrix products that it is made of, in one run.
 *
 * Baseline: sgemm of the encoder's own shape, (T,64) (64,64)^T, and what the encoder's matrix work alone would take at that rate.
 * Input: 256 users with lengths like Amazon Beauty's (mean 6) or all 50, 12,101 items, two layers, width 64, dropout 0.5.
 * us/token counts the tokens of the base sequences; the encoder runs over the base pass alone when beta1 = beta2 = 0, else three.
 */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/model.h"
#include "model/rng.h"

#define USERS 256
#define ITEMS 12101
#define WIDTH 64
#define LAYERS 2
#define TURNS 7

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *t, int n)
{
	qsort(t, (size_t)n, sizeof *t, by_value);
	return t[n / 2];
}

/* GF/s of one thread */
static double sgemm_rate(void)
{
	enum { T = 4096, REPEAT = 50 };
	float *x = calloc(T * WIDTH, sizeof *x), *w = calloc(WIDTH * WIDTH, sizeof *w), *y = calloc(T * WIDTH, sizeof *y);
	double t[TURNS];
	for (int i = 0; i < T * WIDTH; i++)
		x[i] = (float)(i % 7);
	for (int turn = 0; turn < TURNS; turn++) {
		double start = now();
		for (int r = 0; r < REPEAT; r++)
			cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, T, WIDTH, WIDTH, 1, x, WIDTH, w, WIDTH, 0, y, WIDTH);
		t[turn] = now() - start;
	}
	free(x), free(w), free(y);
	return 2.0 * T * WIDTH * WIDTH * REPEAT / median(t, TURNS) * 1e-9;
}

static struct batch make_batch(int full_length)
{
	static uint64_t user[USERS];
	static uint32_t start[USERS + 1], item[USERS * 50], target[USERS * 50];
	static uint8_t head[USERS];
	uint32_t T = 0;
	for (uint32_t u = 0; u < USERS; u++) {
		uint64_t bits = rng_bits(1, RNG_GENERATE, u, 0, 0);
		uint32_t n = full_length ? 50 : 2 + (uint32_t)rng_below(bits, 9); /* mean 6 */
		user[u] = u;
		start[u] = T;
		head[u] = (uint8_t)(u % 5 == 0);
		for (uint32_t i = 0; i < n; i++, T++) {
			item[T] = (uint32_t)rng_below(rng_bits(1, RNG_GENERATE, u, i, 1), ITEMS);
			target[T] = (uint32_t)rng_below(rng_bits(1, RNG_GENERATE, u, i, 2), ITEMS);
		}
	}
	start[USERS] = T;
	return (struct batch){ .B = USERS, .T = T, .user = user, .start = start, .item = item, .target = target, .head = head };
}

static double step_seconds(enum loss_form loss, int views, int threads, const struct batch *b)
{
	float aux = views == 3 ? .1f : 0;
	struct model_config c = { .L = 50, .D = WIDTH, .heads = 2, .layers = LAYERS, .K = 128, .dropout = .5f, .loss = loss,
		.negatives = loss == LOSS_BCE ? 1 : 512, .uniform = 1, .cosine = 1, .cosine_tau = .07f, .norm = 1, .posden = 1, .eps = .05f, .iters = 3,
		.tau1 = .1f, .tau2 = 1, .tau3 = 1, .alpha = aux, .beta1 = aux, .beta2 = aux, .lambda = aux, .mask_share = .3f, .crop_share = .8f,
		.reorder_share = .2f, .insert_share = .2f, .beta_1 = .9f, .beta_2 = .999f, .adam_eps = 1e-8f, .seed = 1, .threads = threads,
		.items_max = ITEMS, .batch_users_max = USERS };
	struct model *m;
	struct grad *g;
	struct step_stats s;
	double t[TURNS];
	uint32_t row;
	if (model_new(&m, &c) || grad_new(&g, m))
		exit(71);
	for (int i = 0; i < ITEMS; i++)
		model_add_item(m, &row);
	for (int turn = 0; turn < TURNS; turn++) {
		double start = now();
		model_grad(m, g, b, (uint64_t)turn + 1, &s);
		model_apply(m, g, (uint64_t)turn + 1, 1e-3f);
		t[turn] = now() - start;
	}
	grad_free(g);
	model_free(m);
	return median(t, TURNS);
}

int main(void)
{
	static const char *const name[] = { "full softmax", "sampled 512", "BCE" };
	double rate = sgemm_rate();
	/* forward and backward are three products; 4 D^2 for q,k,v,o and 8 D^2 for the feed-forward part, per layer */
	double encoder_us = 3 * 2.0 * 12 * WIDTH * WIDTH * LAYERS / (rate * 1e3);
	printf("baseline: sgemm (4096,64)(64,64)^T %.1f GF/s on one thread; the encoder's matrix work alone at this rate: %.2f us/token on one thread\n", rate, encoder_us);
	for (int full_length = 0; full_length < 2; full_length++) {
		struct batch b = make_batch(full_length);
		for (int loss = LOSS_FULL; loss <= LOSS_BCE; loss++)
			for (int views = 1; views <= 3; views += 2) {
				double one = step_seconds((enum loss_form)loss, views, 1, &b) * 1e6 / (double)b.T;
				double two = step_seconds((enum loss_form)loss, views, 2, &b) * 1e6 / (double)b.T;
				printf("%-12s mean length %4.1f, %d encoder pass%s: %6.1f us/token on 1 thread, %6.1f on 2 (x%.2f); %.1f x the encoder's matrix work\n",
				       name[loss], (double)b.T / USERS, views, views == 1 ? "  " : "es", one, two, one / two, one / (encoder_us * views));
			}
	}
	return 0;
}
