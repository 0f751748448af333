/* passes.h - passes over the user store: each one trains every user's kept sequence once more, in an order drawn anew. They follow the backlog
 * (train --epochs) and take no events: their steps are cuts that move no offset. All of it is part of the fold; a replay does the same steps.
 *
 * With epochs.gain one user in PASSES_WITHHELD keeps its newest event from the passes (the log has taught it once, as every event): the
 * event is ranked when the pass comes to its user, before that batch trains. The mean NDCG@20 over these is the pass's score, and what the last pass has gained
 * over the one before says whether another one is worth its time.
 */
#ifndef S4REC_PASSES_H
#define S4REC_PASSES_H
#include <stddef.h>
#include <stdint.h>

#define PASSES_WITHHELD 16

/* Plain data, 8 bytes a member: the state keeps it as it lies in memory. */
struct passes {
	uint64_t done;   /* complete passes */
	uint64_t at;     /* of the one under way: places of its order that are behind; 0 = none is under way */
	uint64_t rows;   /* ... user rows when it began: its order is one of these */
	uint64_t ranked; /* ... withheld events that were ranked */
	double ndcg20;   /* ... and the sum of their NDCG@20 */
	double last, before; /* scores of the last complete pass, and of the one before it */
};

struct learner;
struct train_result;
/* Is there a batch to do: a pass is under way, or epochs and epochs.gain ask for another one? */
int passes_wanted(const struct learner *l);
/* One batch of a pass as step `step`. ret->pass is the pass's number, from 1; ret->records_hash is over its users' rows. skip: it is passed by, nothing is
 * ranked or trained. Exit code. */
int learner_pass(struct learner *l, uint64_t step, int skip, struct train_result *ret);
/* The i-th of a drawn order of 0 .. n - 1. */
uint32_t passes_order(uint64_t seed, uint64_t pass, uint32_t i, uint64_t n);
#endif
