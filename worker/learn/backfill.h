/* backfill.h - the part of a run that has an end: the backlog, passes over the user store, and what comes then. For loop.c, replay.c and train.c.
 *
 *     a start ─► BACKLOG: the input up to the goal, batches by the log ─► PASSES: --epochs over the user store ─┬─ --until: the end
 *                (none asked for: LIVE at once)                                                               └─ LIVE: the limit goes, the next
 *                                                                                                                record is the one behind the goal
 *
 * The goal is where --until lies, or the end that the input had when this start began to train. A model that began with --from is hidden until the passes
 * are over; then a step of nothing publishes all its rows. One input, read on: nothing is missing and nothing comes twice.
 */
#ifndef S4REC_BACKFILL_H
#define S4REC_BACKFILL_H
#include "worker/learn/loop_private.h"

/* Hash of the words after --from, as cuts have it; 0 = none. */
uint64_t backfill_from_hash(const struct config *c);
/* The model that --from speaks of is there already, and began otherwise: refused. last: the prefix's last cut. Exit code. */
int backfill_check(const struct config *c, const struct cut *last);
/* After the replay: sets the goal of this start. Exit code. */
int backfill_begin(struct loop *w);
/* The backlog was read and trained; what is left are passes, or the release. */
int backfill_over(const struct loop *w);
/* The end of a run with --until. */
int backfill_finished(const struct loop *w);
/* `s4rec train --dry-run`: prints what a start would read. Exit code. */
int backfill_dry_run(const struct config *c);
#endif
