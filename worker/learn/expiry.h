/* expiry.h - which items and users go, at a commit. Part of the fold: nothing is asked but event times, counts and limits.
 *
 * Two rules for either: by age, item.ttl.ms and user.ttl.ms behind the watermark; and by number: where not much is left of max.items or max.users, room
 * is made for an eighth of it, or for twice as many as came since the last commit, should that be more, but for no more than half. Items go by the least decayed count (old and rare in one number), users by the oldest newest event. At most
 * EXPIRE_MAX of a kind go with one commit, so that a commit stays bounded; the rest go with the next ones.
 *
 * An item that goes leaves the sequences, too: its events stay there without an item, for order and duplicates. A user of whom no item is left
 * goes with it.
 */
#ifndef S4REC_EXPIRY_H
#define S4REC_EXPIRY_H
#include "worker/learn/learner.h"

#define EXPIRE_MAX 65536

/* How many of `live` rows, `born` of them since the last commit, must go at a limit of `max`; 0 while there is room. */
size_t expiry_excess(size_t live, size_t born, size_t max);
/* 1: a commit would make room for items or users, and there may be too little for the next batch: it is due, whatever clock or count says. A
 * function of the fold, so commits stay one, too. */
int learner_wants_room(const struct learner *l);
/* Before the rows of a commit: stages the deletes of items; those of users are left to the forgotten ones. 0 or a negative errno. */
int learner_expire(struct learner *l, struct staged *out);
#endif
