/* loop.h - the worker: input, learner and committer joined. Reading order: train.c, which calls these in turn; then
 * loop_run (loop.c), loop_stand_by (standby.c), loop_replay (replay.c). */
#ifndef S4REC_LOOP_H
#define S4REC_LOOP_H
#include <signal.h>
#include "model/idmap.h"
#include "model/model.h"
#include "worker/config.h"

struct loop;
struct watch;
/* Connects, checks the topics. Prints its errors; exit code. */
int loop_new(struct loop **ret, const struct config *c);
void loop_free(struct loop *w); /* gives up the lead last */
/* Before anything else: shows there what it does (worker/watch/watch.h); borrowed until loop_free, NULL = nobody watches. */
void loop_watch(struct loop *w, struct watch *watch);
/* Reads the state and follows it until this worker leads (kafka/election.h), then fences any other worker of this model. Exit code, or
 * LOOP_STOPPED when *stop was set meanwhile: nothing was written. */
#define LOOP_STOPPED (-1)
int loop_stand_by(struct loop *w, const volatile sig_atomic_t *stop);
/* Folds again, silently, what earlier runs have committed, along the cuts that they recorded. Exit code, or LOOP_STOPPED: nothing is half
 * done, the next start replays what no flush on the way has saved. */
int loop_replay(struct loop *w, const volatile sig_atomic_t *stop);
/* After the replay: the weights of a model from a file in place of those of this one, as a new space (learner_adopt). One transaction, so that a
 * crash leaves the old model or the new one. Exit code. */
int loop_rollback(struct loop *w, const struct model *m, const struct idmap *ids);
/* Learns and publishes until *stop, or until the end with --until end. Exit code. */
int loop_run(struct loop *w, const volatile sig_atomic_t *stop);
#endif
