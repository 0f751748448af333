/* forgets.h - who was forgotten, and where, as the log itself says: for a fold that shall not know what came before (`s4rec forget --rebuild`).
 *
 * A null record forgets all events of its user before it: in its own partition by offset, in another one (a topic that does not keep a user in one
 * partition) by the records' times. Which null records count is fixed by offsets that the state keeps (learner.h: scanned), so that every start reads the
 * same log. They are dropped, too: what is left is the log of a world in which these events never were. Not thread-safe while it is made, then any.
 */
#ifndef S4REC_FORGETS_H
#define S4REC_FORGETS_H
#include "worker/config.h"
#include "worker/learn/record.h"

struct forgets;
/* Reads the input from its beginning to `ends` (partitions), and calls `pulse` now and then, which ends it by a code other than 0. More than
 * max.users forgotten users are an error. Exit code. */
int forgets_scan(struct forgets **ret, const struct config *c, int partitions, const int64_t *ends, int (*pulse)(void *ctx), void *ctx);
void forgets_free(struct forgets *f);
size_t forgets_users(const struct forgets *f);
/* 1: the fold must not see this record. */
int forgets_drop(const struct forgets *f, const struct record *r);

/* What the scan stands on: one null record after the other. 0, -ENOMEM, -ENOSPC. */
int forgets_new(struct forgets **ret, size_t users_max, int partitions, const int64_t *ends); /* -ENOMEM */
int forgets_add(struct forgets *f, const struct record *r);
#endif
