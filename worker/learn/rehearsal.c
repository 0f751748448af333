/* rehearsal.c - which stored users train again beside the fresh ones, and what is kept of each user for that choice. Part of the fold: every draw is
 * a function of (seed, step, which one, attempt). Reading order: rehearsal_gather, draw_rehearsed, draw_user. */
#include "worker/learn/learner.h"

#include <math.h>

#include "model/rng.h"

#define NOBODY UINT32_MAX
#define ATTEMPTS 16 /* draws for one user, where draws are weighed: half-lives far below the store's age end here */

enum draw { DRAW_UNIFORM, DRAW_LOSS };

static int weighs_age(const struct learner *l) { return l->cfg->rehearse_half_life_ms > 0; }
static int weighs_loss(const struct learner *l) { return l->cfg->rehearse_draw == DRAW_LOSS; }

/* It has something to learn, and is not in the batch. */
static int may_rehearse(const struct learner *l, const struct user *u)
{
	return user_has_target(u) && u->batch_stamp != l->step;
}

/* True with probability 1/2 for each half-life that the user's newest event lies behind the newest of all. */
static int is_recent(const struct learner *l, const struct user *u, uint64_t bits)
{
	if (!weighs_age(l) || u->newest_ms >= l->watermark_ms)
		return 1;
	double half_lives = (double)(l->watermark_ms - u->newest_ms) / (double)l->cfg->rehearse_half_life_ms;
	return rng_unit(bits) < exp2(-half_lives);
}

/* A user of the store, recent ones rather; where none was recent enough, the most recent of those that were drawn. NOBODY: none may be rehearsed. */
static uint32_t draw_user(const struct learner *l, uint64_t place, uint64_t candidate)
{
	uint64_t seed = (uint64_t)l->cfg->seed, attempts = weighs_age(l) || weighs_loss(l) ? ATTEMPTS : 1;
	uint32_t newest = NOBODY;
	for (uint64_t a = 0; a < attempts; a++) {
		uint64_t draw = 2 * (candidate * ATTEMPTS + a);
		uint32_t row = (uint32_t)rng_below(rng_bits(seed, RNG_REHEARSE, l->step, place, draw), users_rows(l->users));
		const struct user *u = users_get(l->users, row);
		if (!may_rehearse(l, u))
			continue;
		if (is_recent(l, u, rng_bits(seed, RNG_REHEARSE, l->step, place, draw + 1)))
			return row;
		if (newest == NOBODY || u->newest_ms > users_get(l->users, newest)->newest_ms)
			newest = row;
	}
	return newest;
}

/* Of two draws, that of the greater loss: a user at the share q of all losses, from the least, comes with density 2 q. */
static uint32_t draw_rehearsed(const struct learner *l, uint64_t place)
{
	uint32_t first = draw_user(l, place, 0);
	if (first == NOBODY || !weighs_loss(l))
		return first;
	uint32_t second = draw_user(l, place, 1);
	return second != NOBODY && users_get(l->users, second)->loss > users_get(l->users, first)->loss ? second : first;
}

void rehearsal_gather(struct learner *l)
{
	size_t fresh = scratch_batch(l->scratch).B;
	size_t want = (size_t)((double)fresh * l->cfg->rehearse * response_factor(l, RESPONSE_REHEARSE) + .5);
	for (size_t i = 0; i < want && scratch_room(l->scratch) > 0; i++) {
		uint32_t row = draw_rehearsed(l, i);
		if (row == NOBODY)
			continue;
		users_get(l->users, row)->batch_stamp = l->step;
		scratch_add(l->scratch, l, row, 1);
	}
}

int rehearsal_learned(struct learner *l)
{
	struct batch b = scratch_batch(l->scratch);
	for (size_t i = 0; weighs_loss(l) && i < b.B; i++) {
		double loss;
		if (!model_user_loss(l->model, &b, i, &loss))
			continue;
		if (changes_row(l->changes, STATE_USER, (uint32_t)b.user[i]) < 0)
			return -1;
		users_get(l->users, (uint32_t)b.user[i])->loss = (float)loss;
	}
	return 0;
}
