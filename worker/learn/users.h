/* users.h - the user store: each user's newest events in the order of their times, as item rows. It is also the replay memory that rehearsal
 * draws from.
 *
 * Users are dense rows (model/idmap.h gives them). A user keeps at most `keep` (L+1) newest events; memory follows the length. An event that
 * came late is put where it belongs. Each event keeps the hash of its id, so the window that tells duplicates is the user's own sequence: what has
 * left a full sequence is older than all of it, and a copy that comes then is refused as late.
 * The store knows which users are head users: those longer than the 80th percentile of all lengths, kept exactly by a
 * histogram of lengths, so a user may move from tail to head as it grows. Not thread-safe.
 */
#ifndef S4REC_USERS_H
#define S4REC_USERS_H
#include <stddef.h>
#include <stdint.h>
#include "model/model.h"

struct visit {
	uint32_t item;            /* NO_ITEM: its item has no row (yet, or any more); the event only stands for its time and its id */
	float weight;             /* of the event: multiplies its term in loss_sr */
	uint32_t before_ms;       /* how long before the user's newest event; saturates */
	uint32_t fresh;           /* its number, from 1, among the events that the step under way is to train; else 0 */
	uint64_t id;              /* hash of its event id; 0 = it has none */
};

#define NO_ITEM UINT32_MAX
#define LATENESS_MAX (UINT32_MAX - 1) /* ms; what lies further back cannot be told apart */

struct user {
	struct visit *visits;     /* (len) oldest first; owned by the store */
	uint16_t len, cap;
	uint16_t known;           /* visits with an item */
	uint8_t published : 1;    /* readers have a row of this user */
	uint8_t dirty : 1;        /* waits to be encoded and published by the next commit */
	uint8_t live;
	uint32_t events;          /* all events ever seen (saturates) */
	float loss;               /* mean over the targets of its last step, by rehearse.draw=loss; 0 = none yet */
	int64_t newest_ms;        /* event time of the newest event */
	uint64_t encoded_step;    /* step at which the published row was encoded */
	uint32_t older, newer;    /* published users in the order of encoded_step; the store's */
	uint64_t batch_stamp;     /* last step whose batch holds the user */
	uint16_t attribute[ATTRIBUTES_MAX]; /* rows of the model's attr, from 1; 0 = not known */
};

struct users;
int users_new(struct users **ret, size_t rows_max, size_t keep); /* -ENOMEM */
void users_free(struct users *s);
size_t users_rows(const struct users *s); /* highest row ever used + 1 */
struct user *users_get(struct users *s, uint32_t row);
/* What an event of this time and id (0 = none) is to the user: one to add, one that the user has, or one that is too late: more than lateness_ms
 * (at most LATENESS_MAX) behind the newest, or before all of a full sequence. */
enum arrival { ARRIVAL_NEW, ARRIVAL_DUPLICATE, ARRIVAL_LATE };
enum arrival users_arrival(const struct users *s, uint32_t row, uint64_t id, int64_t ts_ms, int64_t lateness_ms);
/* Puts an event in its place, behind those of the same time; the row is made when it is new. Its arrival was ARRIVAL_NEW. before_ms is set here.
 * -ENOMEM. */
int users_add(struct users *s, uint32_t row, struct visit visit, int64_t ts_ms);
/* The item of the newest visit that has one; NO_ITEM: none has. */
uint32_t users_last_item(const struct user *u);
/* Are there visits to items whose gone[row] is set? And: they stay without an item. */
int users_has_any(const struct users *s, uint32_t row, const uint8_t *gone);
void users_drop_items(struct users *s, uint32_t row, const uint8_t *gone);
/* The step is over: no event of the user is fresh. */
void users_trained(struct users *s, uint32_t row);
void users_remove(struct users *s, uint32_t row);
/* A user as it was (recovery): copies u and its visits into the row, in place of what stood there. -ENOMEM, -EINVAL too many visits. */
int users_restore(struct users *s, uint32_t row, const struct user *u);
int users_set_rows(struct users *s, size_t rows); /* recovery: as users_rows said then; -ENOMEM, -EINVAL */
/* Readers get the user's row, encoded at this step, which is not before any other's. */
void users_encoded(struct users *s, uint32_t row, uint64_t step);
/* Readers lose it, the user stays. */
void users_withdrawn(struct users *s, uint32_t row);
/* The published user whose row is oldest; UINT32_MAX: none. */
uint32_t users_oldest(const struct users *s);
int users_order(struct users *s); /* recovery: the order of encoded_step again, after all users_restore; -ENOMEM */
/* 1 when the user is among the longest 20 % as of now. */
int users_is_head(const struct users *s, uint32_t row);
/* 1 when its kept sequence has something to train: an event behind another one. */
int user_has_target(const struct user *u);
#endif
