/* response.c - what a drift changes in training: for drift.steps steps after an alarm the learning rate, or the share of rehearsed users, is drift.factor times
 * its own. Part of the fold, as the alarms are (eval/drift.h). Passes over the stored users, which train what is old, are neither watched nor changed. */
#include "worker/learn/learner.h"

double response_factor(const struct learner *l, enum response to)
{
	return l->drifts.left && l->cfg->drift_response == (int)to ? l->cfg->drift_factor : 1;
}

void response_learned(struct learner *l, struct train_result *ret)
{
	if (ret->users == 0 || ret->discarded)
		return;
	l->drifts.left -= l->drifts.left > 0;
	ret->drifted = drifts_add(&l->drifts, ret->stats.targets ? &ret->stats.loss_sr : NULL, ret->ranked ? &ret->ndcg20 : NULL);
	if (ret->drifted && l->cfg->drift_response != RESPONSE_NONE)
		l->drifts.left = (uint64_t)l->cfg->drift_steps;
}
