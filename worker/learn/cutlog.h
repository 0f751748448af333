/* cutlog.h - the batches topic, read back: where each batch ended, in order, to its end as of now. Call it after
 * init_transactions, so that no transaction of an earlier run can still add to it. Not thread-safe.
 */
#ifndef S4REC_CUTLOG_H
#define S4REC_CUTLOG_H
#include "codec/cut.h"
#include "worker/kafka/client.h"

struct cutlog;
/* Prints its errors; exit code. */
int cutlog_new(struct cutlog **ret, const struct config *c);
/* The last cut of the log; *ret_none 1 = it is empty. Reads only the tail, and goes back to the beginning. Offsets as in cutlog_next. */
int cutlog_last(struct cutlog *l, struct cut *ret, int *ret_none);
/* The next cut, and where it stands in the topic; its offsets point into the log until the next call. *ret_end 1 = there are no more. Exit
 * code. A gap in the numbering, an undecodable record or a cut of another model is EX_DATAERR / EX_CONFIG. */
int cutlog_next(struct cutlog *l, struct cut *ret, int64_t *ret_offset, int *ret_end);
void cutlog_free(struct cutlog *l);
#endif
