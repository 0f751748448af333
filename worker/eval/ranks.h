/* ranks.h - the lines behind eval.out: one (TSV) per scored event: step, event id, event time, rank by each method, and what tells new users, cold items, head and
 * tail apart. The file itself: step_file.h.
 */
#ifndef S4REC_EVAL_RANKS_H
#define S4REC_EVAL_RANKS_H
#include <stddef.h>
#include <stdint.h>
#include "worker/eval/prequential.h"
#include "worker/eval/step_file.h"

extern const struct step_form ranks_form;

struct ranks_about {
	uint32_t user_events, item_events; /* which event of the user, and on the item, it is, from 1 */
	int head;                          /* the user is among the longest 20 % */
};
void ranks_add(struct step_file *s, uint64_t step, const char *event_id, size_t event_id_len, int64_t ts_ms, const uint32_t rank[METHODS],
               const struct ranks_about *about);
#endif
