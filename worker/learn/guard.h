/* guard.h - two rules that protect what is served: a step that explodes is not applied, and a model that has become worse than popularity is
 * not published. Numbers in, a decision out; no clock, no draw. The state is plain data, 8 bytes a member: the state topic keeps it as it
 * lies in memory, so a restart decides what an undisturbed run decides. Any thread, one at a time.
 *
 *     if (guard_step(&g, factor, &stats)) ...               do not apply
 *     guard_ranked(&g, hold, by_model, by_popularity);      each ranked event
 *     if (g.held) ...                                       do not publish
 */
#ifndef S4REC_GUARD_H
#define S4REC_GUARD_H
#include <stdint.h>
#include "model/model.h"

#define GUARD_STEPS 64   /* steps that "usual" is a mean of; before so many nothing explodes */
#define GUARD_REFUSALS 8 /* exploding steps in a row that are refused; the next one is the new usual: a drift is not an explosion */

struct guard {
	double loss, norm;       /* the usual: means over the last steps that were applied, newer ones weighing more */
	uint64_t steps;          /* that the means stand on, at most GUARD_STEPS */
	uint64_t refused;        /* exploding steps in a row */
	int64_t run;             /* ranked events in a row that found the model above popularity, or below as a negative number */
	uint64_t armed;          /* the model has passed popularity */
	uint64_t held;           /* ... and fell below it: nothing is published */
	uint64_t waiting;        /* rows were kept back since the last publication */
};

/* Does the step explode? Its loss or gradient norm, which are finite, is above factor times the usual; 0 = never. Only steps with targets make
 * the usual: those of users with a single event have other losses. */
int guard_step(struct guard *g, double factor, const struct step_stats *s);

/* One ranked event moved the two means of NDCG (on any one scale) to these. hold: events in a row that it takes to arm the rule, or to hold;
 * 0 = never. One event that finds the model above popularity ends it. */
void guard_ranked(struct guard *g, uint64_t hold, int64_t by_model, int64_t by_popularity);
#endif
