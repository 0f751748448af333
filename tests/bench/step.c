/* step.c - `make bench-step`: the model's bench. In one run: what the machine can do, what the kernels reach, what whole steps cost.
 *
 *     build/tests/step [peak] [kernels] [step] [large] [rank]       without arguments all of them, within 3 minutes
 *
 * Each figure is the best of several turns, since other processes disturb only upwards; two threads need two idle cores. Input:
 * users with lengths like Amazon Beauty's (mean 6) or all 50; two layers, dropout 0.5. us/token counts tokens of the base sequences.
 * GF/s counts products only: 24 D^2 a layer forward (q, k, v, o, feed-forward) for each encoded token, twice that backward, and
 * 6 D a column for softmax; attention, losses on z, LayerNorm, Adam count as time, not as work.
 */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/encoder.h"
#include "model/kernel.h"
#include "model/model_private.h"
#include "model/rng.h"
#include "model/vmath.h"

#define LAYERS 2
#define BEAUTY_ITEMS 12101
#define BEAUTY_USERS 22363
#define THREADS 2

static struct pool *pool[THREADS + 1];
static double peak[THREADS + 1]; /* GF/s, 0 = not measured */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Floats at a cache line, small values that differ. */
static float *numbers(size_t n)
{
	float *x = aligned_alloc(64, (n * sizeof *x / 64 + 1) * 64);

	if (!x)
		exit(71);
	for (size_t i = 0; i < n; i++)
		x[i] = (float)(i % 13) * .05f - .3f;
	return x;
}

/* Seconds that one unit takes on one core's share: best turn of units spread over the threads. */
static double unit_seconds(int threads, void (*fn)(void *, size_t, int), void *ctx)
{
	enum { UNITS = 64, TURNS = 12 };
	double best = 1e9;

	for (int turn = 0; turn < TURNS; turn++) {
		double start = now(), t;

		pool_run(pool[threads], fn, ctx, UNITS);
		t = (now() - start) / UNITS;
		best = t < best ? t : best;
	}
	return best;
}

/* ---- what the machine can do ---- */

typedef float vec __attribute__((vector_size(32)));
#define PEAK_TURNS 100000
#define TRIAD (2u << 20) /* floats of an array: 8 MB */

S4_CLONES float fma_loop(size_t n);
S4_CLONES float fma_loop(size_t n)
{
	vec a[12], x = { 0 }, y = { 0 };
	float r = 0;

	x += .999f;
	y += .001f;
	for (int i = 0; i < 12; i++)
		a[i] = y;
	for (size_t k = 0; k < n; k++)
#pragma GCC unroll 12
		for (int i = 0; i < 12; i++)
			a[i] = a[i] * x + y;
	for (int i = 0; i < 12; i++)
		r += a[i][0];
	return r;
}

static volatile float sink;
static void fma_unit(void *ctx, size_t unit, int thread) { sink = fma_loop(PEAK_TURNS / 10); }

S4_CLONES void triad(float *restrict a, const float *restrict b, const float *restrict c, size_t n);
S4_CLONES void triad(float *restrict a, const float *restrict b, const float *restrict c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		a[i] = b[i] + .5f * c[i];
}

static void triad_unit(void *ctx, size_t unit, int thread)
{
	float *a = ctx;
	size_t at = unit % 16 * TRIAD / 16 * 4; /* arrays of 4 x 8 MB: not in L3 */

	triad(a + at, a + 4 * TRIAD + at, a + 8 * TRIAD + at, TRIAD / 4);
}

static void measure_peak(void)
{
	float *a = numbers(12 * TRIAD);

	for (int t = 1; t <= THREADS; t++) {
		double bytes = 12.0 * TRIAD / 4;

		peak[t] = 2.0 * 12 * 8 * (PEAK_TURNS / 10) / unit_seconds(t, fma_unit, NULL) * 1e-9;
		printf("machine       %d thread%s FMA peak %6.1f GF/s   triad %5.1f GB/s\n", t, t > 1 ? "s" : " ", peak[t], bytes / unit_seconds(t, triad_unit, a) * 1e-9);
	}
	free(a);
}

/* ---- kernels ---- */

/* Buffers of one thread; N tokens, D width, L length of its sequences. */
struct bench { float *x, *wide, *wide2, *w, *packed, *small, *p; uint64_t key[256]; size_t D, L; };
static struct bench bench[THREADS];
#define TOKENS 192

static void k_sgemm(void *ctx, size_t unit, int t)
{
	struct bench *b = &bench[t];
	int d = (int)b->D;

	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, TOKENS, 4 * d, d, 1, b->x, d, b->w, d, 0, b->wide, 4 * d);
}
static void k_mul(void *ctx, size_t unit, int t) { struct bench *b = &bench[t]; kernel_mul(b->wide, 4 * b->D, b->x, b->D, b->packed, NULL, 0, TOKENS, 4 * b->D, b->D); }
static void k_mul_t(void *ctx, size_t unit, int t) { struct bench *b = &bench[t]; kernel_mul_t(b->w, b->D, b->wide, 4 * b->D, b->packed, 4 * b->D, b->D, TOKENS); }
static void k_exp(void *ctx, size_t unit, int t) { struct bench *b = &bench[t]; kernel_mul_exp(b->wide, 4 * b->D, b->x, b->D, b->packed, NULL, b->small, TOKENS, 4 * b->D, b->D); }
static void k_gelu(void *ctx, size_t unit, int t) { struct bench *b = &bench[t]; vmath_gelu_slope(b->wide, b->wide2, b->x, TOKENS * b->D); }
static void k_exp_sum(void *ctx, size_t unit, int t) { struct bench *b = &bench[t]; b->small[0] = 1e-30f * vmath_exp_sum(b->wide, b->x, 1, 0, TOKENS * b->D); }
static void k_layernorm(void *ctx, size_t unit, int t) { struct bench *b = &bench[t]; layernorm_forward(b->wide, b->wide2, b->small, b->x, b->w, b->w, 1, 0, TOKENS, b->D); }
static void k_dropout(void *ctx, size_t unit, int t)
{
	struct bench *b = &bench[t];

	for (size_t n = 0; n < TOKENS; n++)
		dropout_apply(b->wide + n * b->D, b->x + n * b->D, n, dropout_from(.5f), b->D);
}
static void k_attention(void *ctx, size_t unit, int t)
{
	struct bench *b = &bench[t];
	float scratch[attention_scratch(b->L, b->D)];

	for (size_t n = 0; n + b->L <= TOKENS; n += b->L) {
		attention_forward(b->x + n * b->D, b->p, scratch, b->wide + n * 3 * b->D, b->key, dropout_from(.5f), b->L, b->D, 2);
		attention_backward(b->wide2 + n * 3 * b->D, scratch, b->x + n * b->D, b->p, b->wide + n * 3 * b->D, b->key, dropout_from(.5f), b->L, b->D, 2);
	}
}
static void k_adam(void *ctx, size_t unit, int t)
{
	struct bench *b = &bench[t];
	struct adam a = { .lr = 1e-3f, .beta_1 = .9f, .beta_2 = .999f, .eps = 1e-8f, .correct_1 = 1, .correct_2 = 1, .scale = 1 };
	size_t n = TOKENS * b->D;

	adam_step(b->wide2, b->wide2 + n, b->wide2 + 2 * n, b->x, &a, n);
}

static void bench_init(size_t D)
{
	for (int t = 0; t < THREADS; t++)
		bench[t] = (struct bench){ .x = numbers(TOKENS * D), .wide = numbers(TOKENS * 4 * D), .wide2 = numbers(TOKENS * 4 * D), .w = numbers(4 * D * D),
			.packed = numbers(kernel_packed(TOKENS, 4 * D)), .small = numbers(TOKENS), .p = numbers(2 * 64 * 64), .D = D };
}

static void bench_release(void)
{
	for (int t = 0; t < THREADS; t++) {
		struct bench *b = &bench[t];

		free(b->x); free(b->wide); free(b->wide2); free(b->w); free(b->packed); free(b->small); free(b->p);
	}
}

/* work: floating-point operations (products) or elements a unit has; as a product it is compared with the peak. */
static void kernel_line(const char *name, size_t D, size_t L, void (*fn)(void *, size_t, int), double work, int product)
{
	double s[THREADS + 1];

	for (int t = 0; t < THREADS; t++) {
		memset(bench[t].wide2, 0, TOKENS * 4 * D * sizeof(float)); /* Adam's moments: not below 0 */
		bench[t].L = L;
	}
	for (int t = 1; t <= THREADS; t++)
		s[t] = unit_seconds(t, fn, NULL);
	printf("kernel        d=%-3zu %-34s %6.3f / %6.3f us/token", D, name, s[1] * 1e6 / TOKENS, s[2] * 1e6 / TOKENS);
	printf(product ? "  %6.1f / %6.1f GF/s" : "  %6.2f / %6.2f G/s ", work / s[1] * 1e-9, work / s[2] * 1e-9);
	if (product && peak[1] > 0)
		printf("  %3.0f / %3.0f %% of peak", 100 * work / s[1] * 1e-9 / peak[1], 100 * work / s[2] * 1e-9 / peak[2]);
	printf("  x%.2f\n", s[1] / s[2]);
}

static void measure_kernels(void)
{
	for (size_t D = 64; D <= 128; D *= 2) {
		double mul = 2.0 * TOKENS * 4 * (double)(D * D), n = (double)(TOKENS * D);

		bench_init(D);
		kernel_line("OpenBLAS x W^T, (192,d)(4d,d)^T", D, 6, k_sgemm, mul, 1);
		kernel_line("kernel_mul, the same", D, 6, k_mul, mul, 1);
		kernel_line("kernel_mul_t, (192,4d)^T (192,d)", D, 6, k_mul_t, mul, 1);
		kernel_line("kernel_mul_exp, as kernel_mul", D, 6, k_exp, mul, 1);
		kernel_line("attention both ways, length 6", D, 6, k_attention, n, 0);
		kernel_line("attention both ways, length 50", D, 50, k_attention, n, 0);
		kernel_line("exp and sum", D, 6, k_exp_sum, n, 0);
		kernel_line("gelu and slope", D, 6, k_gelu, n, 0);
		kernel_line("layernorm forward", D, 6, k_layernorm, n, 0);
		kernel_line("dropout", D, 6, k_dropout, n, 0);
		kernel_line("adam", D, 6, k_adam, n, 0);
		bench_release();
	}
}

/* ---- whole steps ---- */

struct input { struct batch b; uint64_t *user; uint32_t *start, *item, *target; uint8_t *head; };

static void input_init(struct input *in, size_t users, size_t length, size_t items)
{
	uint32_t T = 0;

	*in = (struct input){ .user = calloc(users, sizeof *in->user), .start = calloc(users + 1, sizeof *in->start), .item = calloc(users * 50, sizeof *in->item),
		.target = calloc(users * 50, sizeof *in->target), .head = calloc(users, 1) };
	if (!in->user || !in->start || !in->item || !in->target || !in->head)
		exit(71);
	for (uint32_t u = 0; u < users; u++) {
		uint32_t n = length == 6 ? 2 + (uint32_t)rng_below(rng_bits(1, RNG_GENERATE, u, 0, 0), 9) : (uint32_t)length;

		in->user[u] = u;
		in->start[u] = T;
		in->head[u] = u % 5 == 0;
		for (uint32_t i = 0; i < n; i++, T++) {
			in->item[T] = (uint32_t)rng_below(rng_bits(1, RNG_GENERATE, u, i, 1), items);
			in->target[T] = (uint32_t)rng_below(rng_bits(1, RNG_GENERATE, u, i, 2), items);
		}
	}
	in->start[users] = T;
	in->b = (struct batch){ .B = users, .T = T, .user = in->user, .start = in->start, .item = in->item, .target = in->target, .head = in->head };
}

static void input_release(struct input *in) { free(in->user); free(in->start); free(in->item); free(in->target); free(in->head); }

static struct model *model_of(enum loss_form loss, size_t negatives, int views, int threads, size_t D, size_t items, size_t users)
{
	float aux = views == 3 ? .1f : 0;
	struct model_config c = { .L = 50, .D = D, .heads = 2, .layers = LAYERS, .K = 128, .dropout = .5f, .loss = loss, .negatives = negatives, .uniform = 1, .logq = 1,
		.cosine = 1, .cosine_tau = .07f, .norm = 1, .posden = 1, .eps = .05f, .iters = 3, .tau1 = .1f, .tau2 = 1, .tau3 = 1, .alpha = aux,
		.beta1 = aux, .beta2 = aux, .lambda = aux, .mask_share = .3f, .crop_share = .8f, .reorder_share = .2f, .insert_share = .2f, .beta_1 = .9f,
		.beta_2 = .999f, .adam_eps = 1e-8f, .seed = 1, .threads = threads, .items_max = items, .batch_users_max = users };
	struct model *m;
	uint32_t row;

	if (model_new(&m, &c))
		exit(71);
	for (size_t i = 0; i < items; i++)
		model_add_item(m, &row);
	return m;
}

/* Best step of at least 4 and, up to 60, as many as fit into .3 s. */
static double step_seconds(struct model *m, const struct batch *b)
{
	struct grad *g;
	struct step_stats s;
	double best = 1e9, spent = 0;

	if (grad_new(&g, m))
		exit(71);
	for (uint64_t step = 1; step <= 4 || (step <= 60 && spent < .3); step++) {
		double start = now(), t;

		model_grad(m, g, b, step, &s);
		model_apply(m, g, step, 1e-3f);
		t = now() - start;
		spent += t;
		best = t < best ? t : best;
	}
	grad_free(g);
	return best;
}

static void step_line(const char *name, enum loss_form loss, size_t negatives, int views, size_t D, size_t length, size_t items)
{
	size_t users = length == 6 ? 256 : 64;
	double us[THREADS + 1], columns = loss == LOSS_FULL ? (double)items : loss == LOSS_SAMPLED ? (double)negatives : 0;
	double mflop = (views * 3 * 24.0 * (double)(D * D) * LAYERS + 6 * (double)D * columns) * 1e-6;
	struct input in;

	input_init(&in, users, length, items);
	for (int t = 1; t <= THREADS; t++) {
		struct model *m = model_of(loss, negatives, views, t, D, items, users);

		us[t] = step_seconds(m, &in.b) * 1e6 / (double)in.b.T;
		model_free(m);
	}
	printf("step          d=%-3zu items %7zu length %2zu passes %d %-12s %7.2f / %7.2f us/token  %6.1f / %6.1f GF/s", D, items, length, views, name, us[1], us[2],
	       mflop / us[1] * 1e3, mflop / us[2] * 1e3);
	if (peak[1] > 0)
		printf("  %3.0f / %3.0f %% of peak", 100 * mflop / us[1] * 1e3 / peak[1], 100 * mflop / us[2] * 1e3 / peak[2]);
	printf("  x%.2f\n", us[1] / us[2]);
	fflush(stdout);
	input_release(&in);
}

static void measure_steps(void)
{
	for (size_t D = 64; D <= 128; D *= 2)
		for (size_t length = 6; length <= 50; length += 44)
			for (int views = 1; views <= 3; views += 2) {
				step_line("BCE", LOSS_BCE, 1, views, D, length, BEAUTY_ITEMS);
				step_line("sampled 512", LOSS_SAMPLED, 512, views, D, length, BEAUTY_ITEMS);
				step_line("sampled 2048", LOSS_SAMPLED, 2048, views, D, length, BEAUTY_ITEMS);
				step_line("full", LOSS_FULL, 1, views, D, length, BEAUTY_ITEMS);
			}
}

static void measure_large(void)
{
	for (size_t items = 100000; items <= 1000000; items *= 10) {
		step_line("BCE", LOSS_BCE, 1, 3, 64, 6, items);
		step_line("sampled 512", LOSS_SAMPLED, 512, 3, 64, 6, items);
		step_line("sampled 2048", LOSS_SAMPLED, 2048, 3, 64, 6, items);
	}
}

/* ---- ranking: all users of Beauty, their own items left out ---- */

static void measure_ranking(void)
{
	enum { D = 64, K = 20, TURNS = 3 };
	size_t U = BEAUTY_USERS, N = BEAUTY_ITEMS;
	float *h = numbers(U * D), *score = numbers(U * K);
	uint32_t *rows = calloc(U * K, sizeof *rows), *rank = calloc(U, sizeof *rank);
	double work = 2.0 * D * (double)U * (double)N * 1e-9;
	struct input in;

	input_init(&in, U, 6, N);
	for (int t = 1; t <= THREADS; t++) {
		struct model *m = model_of(LOSS_BCE, 1, 1, t, D, N, 1024);
		double encode = 1e9, topk = 1e9, place = 1e9;

		for (int turn = 0; turn < TURNS; turn++) {
			double a = now(), b, c, d;

			model_encode_last(m, h, &in.b);
			b = now();
			model_topk(m, rows, score, h, U, K, in.start, in.item);
			c = now();
			model_rank(m, rank, h, in.target, U, NULL);
			d = now();
			encode = b - a < encode ? b - a : encode;
			topk = c - b < topk ? c - b : topk;
			place = d - c < place ? d - c : place;
		}
		printf("rank          %d thread%s %zu users x %zu items: encode %.3f s, top %d %.3f s (%.1f GF/s", t, t > 1 ? "s" : " ", U, N, encode, K, topk, work / topk);
		if (peak[t] > 0)
			printf(", %.0f %% of peak", 100 * work / topk / peak[t]);
		printf("), ranks %.3f s (%.1f GF/s)\n", place, work / place);
		model_free(m);
	}
	input_release(&in);
	free(h); free(score); free(rows); free(rank);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*run)(void); } part[] = {
		{ "peak", measure_peak }, { "kernels", measure_kernels }, { "step", measure_steps }, { "large", measure_large }, { "rank", measure_ranking },
	};
	size_t parts = sizeof part / sizeof *part, known = 0;

	for (int t = 1; t <= THREADS; t++)
		if (pool_new(&pool[t], t))
			return 71;
	openblas_set_num_threads(1);
	printf("one thread / two threads; products by %s\n", kernel_name());
	for (size_t p = 0; p < parts; p++) {
		int wanted = argc == 1;

		for (int a = 1; a < argc; a++)
			wanted |= !strcmp(argv[a], part[p].name);
		known += (size_t)wanted;
		if (wanted)
			part[p].run();
	}
	for (int t = 1; t <= THREADS; t++)
		pool_free(pool[t]);
	if (!known)
		fprintf(stderr, "usage: step [peak] [kernels] [step] [large] [rank]\n");
	return known ? 0 : 64;
}
