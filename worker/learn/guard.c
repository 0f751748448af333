/* guard.c - see guard.h */
#include "worker/learn/guard.h"

static void usual(double *mean, double x, uint64_t steps)
{
	*mean += (x - *mean) / (double)steps;
}

int guard_step(struct guard *g, double factor, const struct step_stats *s)
{
	if (factor == 0)
		return 0;

	int judged = g->steps >= GUARD_STEPS, explodes = s->loss > factor * g->loss || s->grad_norm > factor * g->norm;
	if (judged && explodes && g->refused < GUARD_REFUSALS) {
		g->refused++;
		return 1;
	}
	if (judged && explodes)
		g->steps = 0; /* where things are now is where they begin */
	g->refused = 0;
	if (s->targets == 0)
		return 0;
	g->steps += g->steps < GUARD_STEPS;
	usual(&g->loss, s->loss, g->steps);
	usual(&g->norm, s->grad_norm, g->steps);
	return 0;
}

void guard_ranked(struct guard *g, uint64_t hold, int64_t by_model, int64_t by_popularity)
{
	if (hold == 0 || by_model == by_popularity)
		return;

	int64_t way = by_model > by_popularity ? 1 : -1;
	g->run = g->run * way > 0 ? g->run + way : way;
	if (g->run >= (int64_t)hold)
		g->armed = 1;
	if (g->run > 0)
		g->held = 0;
	else if (g->armed && -g->run >= (int64_t)hold)
		g->held = 1;
}
