/* boot.c - see boot.h */
#include "worker/eval/boot.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "model/rng.h"

#define R BOOT_REPLICATES

struct boot {
	size_t contestants;
	uint64_t seed;
	double *n;    /* (SPLITS, R) weights */
	double *sum;  /* (SPLITS, R, contestants, BOOT_FIGURES) weighted figures */
	double *x;    /* (contestants, BOOT_FIGURES) of one event */
};

int boot_new(struct boot **ret, size_t contestants, uint64_t seed)
{
	struct boot *b = calloc(1, sizeof *b);
	if (!b)
		return -ENOMEM;

	b->contestants = contestants;
	b->seed = seed;
	b->n = calloc(SPLITS * R, sizeof *b->n);
	b->sum = calloc(SPLITS * R * contestants * BOOT_FIGURES, sizeof *b->sum);
	b->x = calloc(contestants * BOOT_FIGURES, sizeof *b->x);
	if (!b->n || !b->sum || !b->x) {
		boot_free(b);
		return -ENOMEM;
	}
	*ret = b;
	return 0;
}

void boot_free(struct boot *b)
{
	if (!b)
		return;
	free(b->n);
	free(b->sum);
	free(b->x);
	free(b);
}

/* Poisson(1) of a uniform number, by inversion. */
static double draw(double u)
{
	double p = exp(-1), below = p, k = 0;

	while (u >= below && k < 16) {
		p /= ++k;
		below += p;
	}
	return k;
}

static void figures(double *x, uint32_t rank)
{
	struct tally t = { 0 };

	if (rank != NOT_THERE)
		tally_add(&t, rank);
	for (size_t c = 0; c < CUTS; c++) {
		x[BOOT_HR + c] = (double)t.hits[c];
		x[BOOT_NDCG + c] = t.ndcg[c];
	}
	x[BOOT_MRR] = t.mrr;
}

void boot_add(struct boot *b, uint64_t user, unsigned splits, const uint32_t *rank)
{
	size_t width = b->contestants * BOOT_FIGURES;

	for (size_t c = 0; c < b->contestants; c++)
		figures(b->x + c * BOOT_FIGURES, rank[c]);
	for (size_t r = 0; r < R; r++) {
		double weight = draw(rng_unit(rng_bits(b->seed, RNG_BOOT, user, r, 0)));

		for (size_t s = 0; weight > 0 && s < SPLITS; s++) {
			double *sum = b->sum + (s * R + r) * width;

			if (!(splits & 1u << s))
				continue;
			b->n[s * R + r] += weight;
			for (size_t i = 0; i < width; i++)
				sum[i] += weight * b->x[i];
		}
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* x (R), sorted */
static double quantile(const double *x, double share)
{
	double at = share * (R - 1);
	size_t i = (size_t)at;

	return x[i] + (at - (double)i) * (x[i + 1] - x[i]);
}

/* Of the mean of c, or (lead) of that of contestant 0 less it. */
static struct interval interval(const struct boot *b, size_t c, enum split s, size_t figure, int lead)
{
	double low[R], high[R];

	for (size_t r = 0; r < R; r++) {
		double n = b->n[s * R + r];
		const double *sum = b->sum + (s * R + r) * b->contestants * BOOT_FIGURES, own = sum[c * BOOT_FIGURES + figure];

		low[r] = n == 0 ? -lead : (lead ? sum[figure] - own : own) / n;
		high[r] = n == 0 ? 1 : low[r];
	}
	qsort(low, R, sizeof *low, by_value);
	qsort(high, R, sizeof *high, by_value);
	return (struct interval){ quantile(low, .025), quantile(high, .975) };
}

struct interval boot_interval(const struct boot *b, size_t contestant, enum split s, size_t figure)
{
	return interval(b, contestant, s, figure, 0);
}

struct interval boot_lead(const struct boot *b, size_t contestant, enum split s, size_t figure)
{
	return interval(b, contestant, s, figure, 1);
}
