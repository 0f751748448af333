/* detail.c - see detail.h */
#include "worker/eval/detail.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "worker/eval/loo.h"

const size_t length_bin_from[LENGTH_BINS] = { 1, 5, 7, 10, 15, 20, 30, 50, 100, 200 };

static size_t bin_of(size_t length)
{
	size_t bin = LENGTH_BINS - 1;

	while (bin > 0 && length < length_bin_from[bin])
		bin--;
	return bin;
}

static double ndcg20(const uint32_t *rows, uint32_t answer)
{
	for (size_t rank = 0; rank < LOO_TOP; rank++)
		if (rows[rank] == answer)
			return 1 / log2((double)rank + 2);
	return 0;
}

static void add_lengths(struct loo_detail *d, const struct questions *q, const uint32_t *rows)
{
	for (size_t u = 0; u < q->n; u++) {
		size_t bin = bin_of(q->exclude_start[u + 1] - q->exclude_start[u]);

		d->bin_users[bin]++;
		d->bin_ndcg20[bin] += ndcg20(rows + u * LOO_TOP, q->answer[u]);
	}
	for (size_t b = 0; b < LENGTH_BINS; b++)
		if (d->bin_users[b])
			d->bin_ndcg20[b] /= (double)d->bin_users[b];
}

static void add_prototypes(struct loo_detail *d, struct model *m, const struct questions *q, float *z, int32_t *k)
{
	struct batch b = { .B = q->n, .T = q->tokens, .start = q->start, .item = q->item };

	model_encode_pooled(m, z, &b);
	model_assign(m, k, z, q->n);
	for (size_t u = 0; u < q->n; u++) {
		d->members[k[u]]++;
		d->heads[k[u]] += q->head[u];
		d->head_users += q->head[u];
	}
}

int loo_detail_new(struct loo_detail *ret, struct model *m, const struct questions *q, const uint32_t *rows)
{
	const struct model_config *c = model_config(m);
	struct loo_detail d = { .users = q->n, .K = c->K, .members = calloc(c->K, sizeof *d.members), .heads = calloc(c->K, sizeof *d.heads) };
	float *z = calloc(q->n * c->D, sizeof *z);
	int32_t *k = calloc(q->n, sizeof *k);
	int r = d.members && d.heads && z && k ? 0 : -ENOMEM;

	if (r == 0) {
		add_prototypes(&d, m, q, z, k);
		add_lengths(&d, q, rows);
		*ret = d;
	} else {
		loo_detail_release(&d);
	}
	free(z);
	free(k);
	return r;
}

void loo_detail_release(struct loo_detail *d)
{
	free(d->members);
	free(d->heads);
	*d = (struct loo_detail){ 0 };
}

double loo_head_spread(const struct loo_detail *d)
{
	double overall = d->users ? (double)d->head_users / (double)d->users : 0, sum = 0;

	for (size_t k = 0; k < d->K; k++)
		if (d->members[k]) {
			double apart = (double)d->heads[k] / d->members[k] - overall;

			sum += d->members[k] * apart * apart;
		}
	return d->users ? sqrt(sum / (double)d->users) : 0;
}
