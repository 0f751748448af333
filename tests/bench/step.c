/* step.c - `make bench-step`: the model's bench. In one run: what the machine can do, what the kernels reach, what whole steps cost.
 *
 *     build/tests/step [peak] [kernels] [step] [large] [rank] [shared]       without arguments all of them, within 4 minutes
 *
 * Each figure is the best of several turns, since other processes disturb only upwards; two threads need two idle cores. Input:
 * users with lengths like Amazon Beauty's (mean 6) or all 50; two layers, dropout 0.5. us/token counts tokens of the base sequences.
 * GF/s counts products only: 24 D^2 a layer forward (q, k, v, o, feed-forward) for each encoded token, twice that backward, and
 * 6 D a column for softmax; attention, losses on z, LayerNorm, Adam count as time, not as work. `allocations` are calls of malloc and its kin
 * in a step, by whom ever. `shared` asks what two threads are worth where another process keeps one of two cores busy.
 */
#include <cblas.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "model/augment.h"
#include "model/encoder.h"
#include "model/kernel.h"
#include "model/losses.h"
#include "model/model_private.h"
#include "model/rng.h"
#include "model/vmath.h"
#include "tests/model/allocations.h"

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

#include "tests/bench/kernels.h"

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

/* Best step of at least 4 and, up to 60, as many as fit into .3 s. Allocations are those of the steps after the second, a step. */
static double step_seconds(struct model *m, const struct batch *b, double *ret_allocations)
{
	struct grad *g;
	struct step_stats s;
	double best = 1e9, spent = 0;
	int before = 0;
	uint64_t step;

	if (grad_new(&g, m))
		exit(71);
	for (step = 1; step <= 4 || (step <= 60 && spent < .3); step++) {
		double start = now(), t;

		if (step == 3)
			before = heap_calls();
		model_grad(m, g, b, step, &s);
		model_apply(m, g, step, 1e-3f);
		t = now() - start;
		spent += t;
		best = t < best ? t : best;
	}
	*ret_allocations = (double)(heap_calls() - before) / (double)(step - 3);
	grad_free(g);
	return best;
}

static void step_line(const char *name, enum loss_form loss, size_t negatives, int views, size_t D, size_t length, size_t items)
{
	size_t users = length == 6 ? 256 : 64;
	double us[THREADS + 1], allocations[THREADS + 1], columns = loss == LOSS_FULL ? (double)items : loss == LOSS_SAMPLED ? (double)negatives : 0;
	double mflop = (views * 3 * 24.0 * (double)(D * D) * LAYERS + 6 * (double)D * columns) * 1e-6;
	struct input in;

	input_init(&in, users, length, items);
	for (int t = 1; t <= THREADS; t++) {
		struct model *m = model_of(loss, negatives, views, t, D, items, users);

		us[t] = step_seconds(m, &in.b, &allocations[t]) * 1e6 / (double)in.b.T;
		model_free(m);
	}
	printf("step          d=%-3zu items %7zu length %2zu passes %d %-12s %7.2f / %7.2f us/token  %6.1f / %6.1f GF/s", D, items, length, views, name, us[1], us[2],
	       mflop / us[1] * 1e3, mflop / us[2] * 1e3);
	if (peak[1] > 0)
		printf("  %3.0f / %3.0f %% of peak", 100 * mflop / us[1] * 1e3 / peak[1], 100 * mflop / us[2] * 1e3 / peak[2]);
	printf("  x%.2f  allocations %.3g / %.3g\n", us[1] / us[2], allocations[1], allocations[2]);
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
		if (items == 100000) /* of a million a step takes ten seconds */
			step_line("full", LOSS_FULL, 1, 3, 64, 6, items);
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

/* ---- another process beside it ---- */

/* A process that does nothing but keep one core busy; it ends with this one. */
static pid_t keep_busy(int cpu)
{
	pid_t pid = fork();
	cpu_set_t one;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof one, &one))
		_exit(71);
	for (;;)
		sink = fma_loop(1000);
}

/* Mean, since the best step is the one that the other process happened not to be beside. */
static double mean_seconds(struct model *m, struct grad *g, const struct batch *b, uint64_t *step)
{
	double start = now(), spent;
	struct step_stats s;
	int steps = 0;

	do {
		model_grad(m, g, b, ++*step, &s);
		model_apply(m, g, *step, 1e-3f);
		steps++;
		spent = now() - start;
	} while (spent < 1);
	return spent / steps;
}

/* Two threads on two cores, one of them shared with the busy process: 1.5 cores are theirs, three quarters of what they have alone. */
static void shared_line(const char *name, enum loss_form loss, size_t length, const int cpu[THREADS])
{
	enum { TURNS = 4 };
	size_t users = length == 6 ? 256 : 64;
	struct model *m = model_of(loss, 1, 3, THREADS, 64, BEAUTY_ITEMS, users);
	double alone = 0, beside = 0;
	uint64_t step = 0;
	struct grad *g;
	struct input in;

	input_init(&in, users, length, BEAUTY_ITEMS);
	if (grad_new(&g, m))
		exit(71);
	for (int turn = 0; turn < TURNS; turn++) { /* in turns: what else the machine does then disturbs both */
		pid_t busy;

		alone += mean_seconds(m, g, &in.b, &step);
		busy = keep_busy(cpu[0]);
		if (busy < 0)
			exit(71);
		beside += mean_seconds(m, g, &in.b, &step);
		kill(busy, SIGKILL);
		waitpid(busy, NULL, 0);
	}
	printf("shared        d=64  length %2zu passes 3 %-5s alone %6.2f us/token, beside a busy process %6.2f: %.2f of its fair share (goal .9)\n", length, name,
	       alone / TURNS * 1e6 / (double)in.b.T, beside / TURNS * 1e6 / (double)in.b.T, alone / beside / .75);
	fflush(stdout);
	grad_free(g);
	model_free(m);
	input_release(&in);
}

static void measure_shared(void)
{
	int cpu[THREADS] = { 0 }, found = 0;
	cpu_set_t all, two;

	CPU_ZERO(&two);
	sched_getaffinity(0, sizeof all, &all);
	for (int i = 0; i < CPU_SETSIZE && found < THREADS; i++)
		if (CPU_ISSET(i, &all)) {
			CPU_SET(i, &two);
			cpu[found++] = i;
		}
	if (found < THREADS) {
		printf("shared        needs two cores\n");
		return;
	}
	sched_setaffinity(0, sizeof two, &two); /* the models' threads inherit it */
	shared_line("BCE", LOSS_BCE, 6, cpu);
	shared_line("BCE", LOSS_BCE, 50, cpu);
	shared_line("full", LOSS_FULL, 6, cpu);
	sched_setaffinity(0, sizeof all, &all);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*run)(void); } part[] = {
		{ "peak", measure_peak }, { "kernels", measure_kernels }, { "step", measure_steps }, { "large", measure_large }, { "rank", measure_ranking },
		{ "shared", measure_shared },
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
		fprintf(stderr, "usage: step [peak] [kernels] [step] [large] [rank] [shared]\n");
	return known ? 0 : 64;
}
