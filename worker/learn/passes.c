/* passes.c - see passes.h. Reading order: learner_pass, gather, score. */
#include "worker/learn/passes.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/rng.h"
#include "worker/learn/learner.h"
#include "worker/log.h"

#define ROUNDS 4

/* A Feistel network is a permutation of 0 .. 4^h - 1; what falls outside of 0 .. n - 1 is sent through again until it falls inside. */
uint32_t passes_order(uint64_t seed, uint64_t pass, uint32_t i, uint64_t n)
{
	unsigned half = 1;
	while ((1ull << 2 * half) < n)
		half++;
	uint64_t mask = (1ull << half) - 1, x = i;
	assert(i < n);
	do {
		uint64_t left = x >> half, right = x & mask;
		for (uint64_t round = 0; round < ROUNDS; round++) {
			uint64_t next = left ^ (rng_bits(seed, RNG_PASS, pass, round, right) & mask);
			left = right;
			right = next;
		}
		x = left << half | right;
	} while (x >= n);
	return (uint32_t)x;
}

int passes_wanted(const struct learner *l)
{
	const struct passes *p = &l->passes;
	double gain = l->cfg->epochs_gain;
	if (p->at)
		return 1;
	if (p->done >= (uint64_t)l->cfg->epochs || users_rows(l->users) == 0)
		return 0;
	return gain == 0 || p->done < 2 || p->last - p->before >= gain;
}

static int is_withheld(const struct learner *l, uint32_t row)
{
	return l->cfg->epochs_gain > 0 && rng_below(rng_bits((uint64_t)l->cfg->seed, RNG_PASS, UINT64_MAX, row, 0), PASSES_WITHHELD) == 0;
}

/* An event that is not trained: the token that predicts it, and its item. */
struct withheld { uint32_t token, item; };

/* The next users of the pass's order. Returned: how many events of theirs are withheld. */
static size_t gather(struct learner *l, struct withheld *withheld)
{
	struct passes *p = &l->passes;
	size_t n = 0;
	scratch_clear(l->scratch);
	while (p->at < p->rows && scratch_batch(l->scratch).B < (size_t)l->cfg->batch_users && scratch_room(l->scratch) > 0) {
		uint32_t row = passes_order((uint64_t)l->cfg->seed, p->done, (uint32_t)p->at++, p->rows);
		struct user *u = users_get(l->users, row);
		if (!user_has_target(u))
			continue;
		u->batch_stamp = l->step;
		scratch_add(l->scratch, l, row, 1);
		if (is_withheld(l, row)) {
			withheld[n].item = scratch_withhold(l->scratch);
			withheld[n++].token = (uint32_t)scratch_batch(l->scratch).T - 1;
		}
	}
	return n;
}

static int score(struct learner *l, const struct withheld *withheld, size_t n)
{
	struct batch b = scratch_batch(l->scratch);
	size_t D = model_config(l->model)->D;
	float *h = scratch_h(l->scratch), *q = malloc(n * D * sizeof *q + 1);
	uint32_t *target = malloc(n * sizeof *target + 1), *rank = malloc(n * sizeof *rank + 1);
	int ok = q && target && rank;
	if (ok && n) {
		model_encode(l->model, h, &b);
		for (size_t i = 0; i < n; i++) {
			memcpy(q + i * D, h + withheld[i].token * D, D * sizeof *q);
			target[i] = withheld[i].item;
		}
		model_rank(l->model, rank, q, target, n, NULL);
	}
	for (size_t i = 0; ok && i < n; i++)
		l->passes.ndcg20 += rank[i] < 20 ? 1 / log2(rank[i] + 2.0) : 0;
	l->passes.ranked += n;
	free(q), free(target), free(rank);
	return ok ? 0 : log_no_memory();
}

static void end_pass(struct passes *p)
{
	p->before = p->last;
	p->last = p->ranked ? p->ndcg20 / (double)p->ranked : 0;
	p->done++;
	p->at = p->ranked = 0;
	p->ndcg20 = 0;
}

static uint64_t hash_users(const struct batch *b)
{
	uint64_t hash = b->B;
	for (size_t i = 0; i < b->B; i++)
		hash = rng_mix(hash ^ b->user[i]);
	return hash;
}

int learner_pass(struct learner *l, uint64_t step, int skip, struct train_result *ret)
{
	struct passes *p = &l->passes;
	struct withheld *withheld = malloc((size_t)l->cfg->batch_users * sizeof *withheld);
	if (!withheld)
		return log_no_memory();

	assert(step == l->step + 1);
	l->step = step;
	*ret = (struct train_result){ .pass = p->done + 1, .skipped = skip };
	if (p->at == 0)
		p->rows = users_rows(l->users);
	size_t n = gather(l, withheld);
	struct batch b = scratch_batch(l->scratch);
	ret->records_hash = hash_users(&b);
	ret->users = b.B;
	int r = skip ? 0 : score(l, withheld, n);
	if (r == 0 && !skip)
		r = learner_fit(l, ret);
	if (p->at >= p->rows)
		end_pass(p);
	free(withheld);
	return r;
}
