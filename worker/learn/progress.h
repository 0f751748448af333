/* progress.h - how the worker tells what it does: one repainted line on a terminal, a log line every progress.ms elsewhere. */
#ifndef S4REC_PROGRESS_H
#define S4REC_PROGRESS_H
#include "worker/kafka/committer.h"
#include "worker/learn/input.h"
#include "worker/learn/learner.h"

struct progress;
int progress_new(struct progress **ret, const struct config *c, const struct learner *l, struct input *in, struct committer *k); /* -ENOMEM */
void progress_free(struct progress *p);
/* Until the next call: what lies before these offsets (partitions, borrowed) is the backlog, and how long it will take is told. NULL = none. */
void progress_goal(struct progress *p, const int64_t *goal, int partitions);
void progress_step(struct progress *p, const struct train_result *t);
void progress_replay(struct progress *p, uint64_t step);
void progress_tick(struct progress *p, int64_t now_ms); /* monotonic */
/* What the lines say that nobody else knows. */
struct progress_view { struct step_stats mean; double rate; int64_t left; }; /* running means of the losses; events/s; records before the goal */
void progress_look(const struct progress *p, struct progress_view *ret);
void progress_end(struct progress *p, int64_t now_ms, int code); /* the last line, in full */
#endif
