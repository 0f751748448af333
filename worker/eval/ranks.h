/* ranks.h - the file behind eval.out: one line (TSV) per scored event: step, event id, event time, rank by each method,
 * and what tells new users, cold items, head and tail apart.
 *
 * The file is a function of the log, like the model: a run that goes on from step n first drops the lines of later steps, which it will
 * write again. Not thread-safe.
 */
#ifndef S4REC_EVAL_RANKS_H
#define S4REC_EVAL_RANKS_H
#include <stddef.h>
#include <stdint.h>
#include "worker/eval/prequential.h"

struct ranks;
/* Opens or makes the file, changes nothing in it. Prints its error; EX_CANTCREAT, EX_OSERR. */
int ranks_new(struct ranks **ret, const char *path);
void ranks_free(struct ranks *r);
/* Keeps the lines up to step (0: none), and goes on behind them. EX_IOERR; EX_DATAERR when the file is something else. */
int ranks_resume(struct ranks *r, uint64_t step);
struct ranks_about {
	uint32_t user_events, item_events; /* which event of the user, and on the item, it is, from 1 */
	int head;                          /* the user is among the longest 20 % */
};
void ranks_add(struct ranks *r, uint64_t step, const char *event_id, size_t event_id_len, int64_t ts_ms, const uint32_t rank[METHODS],
               const struct ranks_about *about);
/* What was added reaches the file. EX_IOERR. */
int ranks_flush(struct ranks *r);
#endif
