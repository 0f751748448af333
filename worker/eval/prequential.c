/* prequential.c - see prequential.h */
#include "worker/eval/prequential.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct prequential {
	uint32_t (*rank)[METHODS]; /* (window) ring */
	size_t window;
	uint64_t count;
	int64_t ndcg[METHODS];      /* prequential_ndcg */
};

int prequential_new(struct prequential **ret, size_t window)
{
	struct prequential *p = calloc(1, sizeof *p);
	if (!p)
		return -ENOMEM;

	p->rank = calloc(window, sizeof *p->rank);
	if (!p->rank) {
		free(p);
		return -ENOMEM;
	}
	p->window = window;
	*ret = p;
	return 0;
}

void prequential_free(struct prequential *p)
{
	if (!p)
		return;
	free(p->rank);
	free(p);
}

static int64_t gain(uint32_t rank)
{
	return rank < 20 ? (int64_t)ldexp(1 / log2(rank + 2.0), 32) : 0;
}

void prequential_add(struct prequential *p, const uint32_t rank[METHODS])
{
	uint32_t *place = p->rank[p->count % p->window];
	for (int m = 0; m < METHODS; m++) {
		if (p->count >= p->window)
			p->ndcg[m] -= gain(place[m]);
		p->ndcg[m] += gain(rank[m]);
		place[m] = rank[m];
	}
	p->count++;
}

int64_t prequential_ndcg(const struct prequential *p, enum method m)
{
	return p->ndcg[m];
}

void prequential_sum(struct prequential *p)
{
	size_t n = p->count < p->window ? (size_t)p->count : p->window;
	memset(p->ndcg, 0, sizeof p->ndcg);
	for (size_t i = 0; i < n; i++)
		for (int m = 0; m < METHODS; m++)
			p->ndcg[m] += gain(p->rank[i][m]);
}

static void count_hit(uint32_t rank, uint32_t cut, double *hr, double *ndcg)
{
	if (rank < cut) {
		*hr += 1;
		*ndcg += 1 / log2(rank + 2.0);
	}
}

struct scores prequential_scores(const struct prequential *p, enum method m)
{
	struct scores s = { 0 };
	size_t n = p->count < p->window ? (size_t)p->count : p->window;
	for (size_t i = 0; i < n; i++) {
		uint32_t rank = p->rank[i][m];
		if (rank == UNRANKED)
			continue;
		s.mrr += 1.0 / (rank + 1.0);
		count_hit(rank, 5, &s.hr5, &s.ndcg5);
		count_hit(rank, 10, &s.hr10, &s.ndcg10);
		count_hit(rank, 20, &s.hr20, &s.ndcg20);
	}
	double N = n ? (double)n : 1;
	return (struct scores){ s.hr5 / N, s.hr10 / N, s.hr20 / N, s.ndcg5 / N, s.ndcg10 / N, s.ndcg20 / N, s.mrr / N };
}

uint64_t prequential_count(const struct prequential *p)
{
	return p->count;
}

void *prequential_ring(struct prequential *p, size_t *ret_bytes, uint64_t **ret_count)
{
	*ret_bytes = p->window * sizeof *p->rank;
	*ret_count = &p->count;
	return p->rank;
}
