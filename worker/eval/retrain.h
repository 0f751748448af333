/* retrain.h - a model from nothing: what a job that runs at night would train on all that is kept by then.
 *
 * All rows are drawn anew and all users' kept sequences (the newest max.length + 1 events of each, every position a target) are trained `epochs` times, in the
 * order of passes.h, with the options of the stream, but a learning rate that rises and falls along a cosine: this training has an end. The learner is only read,
 * but for its scratch. Repeats itself: order and draws are functions of the seed.
 */
#ifndef S4REC_RETRAIN_H
#define S4REC_RETRAIN_H
#include "worker/learn/learner.h"

/* *ret: a model with the rows of the learner's, the caller's. 0 or an exit code; errors are logged. */
int retrain(struct model **ret, struct learner *l, uint64_t epochs);
/* The same rows live in m as in like, with what is known of them, so that catalogues are equal; a new one is drawn. 0 or an exit code. */
int follow_items(struct model *m, const struct model *like);
#endif
