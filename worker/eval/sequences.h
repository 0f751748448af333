/* sequences.h - a file of whole user histories, as papers exchange them: one user a line, the user's id and then the ids of
 * its items in time order, between blanks or tabs; plain or zstd. Ids are any text.
 *
 * Items become dense rows 0.. in the order of first sight, users 0.. in the order of lines. Read only once made: any thread.
 */
#ifndef S4REC_SEQUENCES_H
#define S4REC_SEQUENCES_H
#include <stddef.h>
#include <stdint.h>

#include "model/idmap.h"

#define SEQUENCE_MIN 3 /* items a user must have: one to begin with, one to validate with, one to test with */

struct sequences {
	size_t users, items, events;
	uint32_t *start; /* (users + 1) user u has item[start[u]] .. item[start[u + 1] - 1], oldest first */
	uint32_t *item;  /* (events) item rows */
	struct idmap *ids; /* of the items */
	size_t users_cap, events_cap;
};

/* 0, or an exit code of sysexits with what is wrong, where, in why: EX_NOINPUT (cannot be read), EX_DATAERR (not such a file,
 * or more users or items than allowed), EX_OSERR (memory). */
int sequences_read(struct sequences *ret, const char *path, size_t users_max, size_t items_max, char *why, size_t why_size);
void sequences_release(struct sequences *s);
static inline size_t sequences_length(const struct sequences *s, size_t user) { return s->start[user + 1] - s->start[user]; }
#endif
