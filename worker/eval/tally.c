/* tally.c - see tally.h */
#include "worker/eval/tally.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define Z95 1.959963984540054

const char *const split_name[SPLITS] = { "all", "head", "tail", "new_users", "cold_items", "rare_items" };

void tally_add(struct tally *t, uint32_t rank)
{
	double gain = 1 / log2(rank + 2.0);

	t->n++;
	t->mrr += rank == UINT32_MAX ? 0 : 1 / (rank + 1.0);
	for (size_t c = 0; c < CUTS; c++)
		if (rank < loo_cut[c]) {
			t->hits[c]++;
			t->ndcg[c] += gain;
			t->ndcg_squares[c] += gain * gain;
		}
}

void tally_sum(struct tally *t, const struct tally *other)
{
	t->n += other->n;
	t->mrr += other->mrr;
	for (size_t c = 0; c < CUTS; c++) {
		t->hits[c] += other->hits[c];
		t->ndcg[c] += other->ndcg[c];
		t->ndcg_squares[c] += other->ndcg_squares[c];
	}
}

static double mean(double sum, uint64_t n) { return n ? sum / (double)n : 0; }
double tally_hr(const struct tally *t, size_t cut) { return mean((double)t->hits[cut], t->n); }
double tally_ndcg(const struct tally *t, size_t cut) { return mean(t->ndcg[cut], t->n); }
double tally_mrr(const struct tally *t) { return mean(t->mrr, t->n); }

struct interval wilson(uint64_t hits, uint64_t n)
{
	if (n == 0)
		return (struct interval){ 0, 1 };
	double N = (double)n, p = (double)hits / N, zz = Z95 * Z95;
	double centre = (p + zz / (2 * N)) / (1 + zz / N);
	double half = Z95 * sqrt(p * (1 - p) / N + zz / (4 * N * N)) / (1 + zz / N);

	return (struct interval){ hits ? centre - half : 0, hits < n ? centre + half : 1 };
}

struct interval tally_ndcg_interval(const struct tally *t, size_t cut)
{
	double m = tally_ndcg(t, cut), variance;

	if (t->n < 2)
		return (struct interval){ 0, 1 };
	variance = (t->ndcg_squares[cut] - (double)t->n * m * m) / (double)(t->n - 1);
	double half = Z95 * sqrt((variance > 0 ? variance : 0) / (double)t->n);
	return (struct interval){ m - half, m + half };
}

unsigned tally_splits(int head, uint32_t user_events, int rare)
{
	return 1u << SPLIT_ALL | (head ? 1u << SPLIT_HEAD : 1u << SPLIT_TAIL) | (user_events <= 3 ? 1u << SPLIT_NEW : 0) | (rare ? 1u << SPLIT_RARE : 0);
}

struct window {
	int64_t index;       /* event time / window_ms */
	struct tally *tally; /* (contestants, SPLITS) */
};

struct board {
	size_t contestants, n, cap;
	int64_t window_ms;
	struct window *windows;
};

int board_new(struct board **ret, size_t contestants, int64_t window_ms)
{
	struct board *b = calloc(1, sizeof *b);
	if (!b)
		return -ENOMEM;

	b->contestants = contestants;
	b->window_ms = window_ms;
	*ret = b;
	return 0;
}

void board_free(struct board *b)
{
	if (!b)
		return;
	board_clear(b);
	free(b->windows);
	free(b);
}

void board_clear(struct board *b)
{
	for (size_t i = 0; i < b->n; i++)
		free(b->windows[i].tally);
	b->n = 0;
}

/* A new window at place `at`. */
static int insert(struct board *b, size_t at, int64_t index)
{
	if (b->n == BOARD_WINDOWS_MAX)
		return -ENOSPC;
	if (b->n == b->cap) {
		size_t cap = b->cap ? 2 * b->cap : 64;
		struct window *grown = reallocarray(b->windows, cap, sizeof *grown);
		if (!grown)
			return -ENOMEM;

		b->windows = grown;
		b->cap = cap;
	}
	struct tally *tally = calloc(b->contestants * SPLITS, sizeof *tally);
	if (!tally)
		return -ENOMEM;

	memmove(b->windows + at + 1, b->windows + at, (b->n - at) * sizeof *b->windows);
	b->windows[at].index = index;
	b->windows[at].tally = tally;
	b->n++;
	return 0;
}

int board_add(struct board *b, int64_t ts_ms, unsigned splits, const uint32_t *rank)
{
	int64_t index = ts_ms / b->window_ms;
	size_t at = b->n;

	while (at > 0 && b->windows[at - 1].index >= index) /* the newest, but for late events */
		at--;
	if (at == b->n || b->windows[at].index != index) {
		int r = insert(b, at, index);
		if (r < 0)
			return r;
	}
	for (size_t c = 0; c < b->contestants; c++)
		for (int s = 0; s < SPLITS; s++)
			if (rank[c] != NOT_THERE && splits & 1u << s)
				tally_add(&b->windows[at].tally[c * SPLITS + (size_t)s], rank[c]);
	return 0;
}

size_t board_windows(const struct board *b) { return b->n; }
int64_t board_window_ms(const struct board *b, size_t window) { return b->windows[window].index * b->window_ms; }

const struct tally *board_tally(const struct board *b, size_t window, size_t contestant, enum split s)
{
	return &b->windows[window].tally[contestant * SPLITS + s];
}

struct tally board_total(const struct board *b, size_t contestant, enum split s)
{
	struct tally t = { 0 };

	for (size_t w = 0; w < b->n; w++)
		tally_sum(&t, board_tally(b, w, contestant, s));
	return t;
}

static void put_line(FILE *f, const struct tally *t, int64_t window_ms, const char *name, enum split s, uint64_t step)
{
	fputc('{', f);
	if (step)
		fprintf(f, "\"step\":%llu,", (unsigned long long)step);
	fprintf(f, "\"window_ms\":%lld,\"contestant\":\"%s\",\"split\":\"%s\",\"events\":%llu,\"mrr\":%.6f", (long long)window_ms, name, split_name[s],
	        (unsigned long long)t->n, tally_mrr(t));
	for (size_t c = 0; c < CUTS; c++) {
		struct interval hr = wilson(t->hits[c], t->n), ndcg = tally_ndcg_interval(t, c);

		fprintf(f, ",\"hr@%zu\":[%.6f,%.6f,%.6f],\"ndcg@%zu\":[%.6f,%.6f,%.6f]", loo_cut[c], tally_hr(t, c), hr.low, hr.high, loo_cut[c],
		        tally_ndcg(t, c), ndcg.low, ndcg.high);
	}
	fputs("}\n", f);
}

void board_write(const struct board *b, FILE *f, const char *const *names, uint64_t step)
{
	for (size_t w = 0; w < b->n; w++)
		for (size_t c = 0; c < b->contestants; c++)
			for (int s = 0; s < SPLITS; s++) {
				const struct tally *t = board_tally(b, w, c, (enum split)s);
				if (t->n)
					put_line(f, t, board_window_ms(b, w), names[c], (enum split)s, step);
			}
}
