/* show.h - what the loop tells those who watch it (worker/watch/watch.h): brings the snapshot up to date where something happened. Without http.listen
 * these functions do nothing. Nothing of it is part of the fold.
 */
#ifndef S4REC_SHOW_H
#define S4REC_SHOW_H
#include "worker/watch/watch.h"

struct loop;
struct state_followed;
struct train_result;

/* Of a loop, between its calls; zeros at first. */
struct show {
	struct watch *watch;      /* NULL = nobody watches; borrowed */
	struct counts base;       /* of the learner, when this process began to train ... */
	int trains;               /* ... which it did */
	uint64_t steps;           /* since then */
	int64_t ranked_us;        /* when the events of the batch under way had been ranked */
	int64_t told_ms;          /* when the snapshot was last published ... */
	int64_t quality_ms;       /* ... and when the means over eval.window were last taken, which costs more than all the rest */
	uint64_t commits;         /* that were seen */
};

/* The state was read up to here. */
void show_followed(struct loop *w, const struct state_followed *f);
/* The lead is ours, and all others are fenced. */
void show_lead(struct loop *w);
/* The replay is over: from here on events count. */
void show_training(struct loop *w);
/* A stage that began at since_us (show_clock_us) is over. */
int64_t show_clock_us(const struct loop *w);
void show_stage(struct loop *w, enum stage stage, int64_t since_us);
/* A batch was folded, which began at since_us. */
void show_step(struct loop *w, const struct train_result *t, int64_t since_us);
/* A turn of a loop is over; changed: a batch or a commit fell into it. */
void show_turn(struct loop *w, int64_t now_ms, int changed);
#endif
