/* cutlog.h - the batches topic: where each batch ended, and which starts tried to go on. Cuts made and staged; and read back, in order, to the topic's end as of now: call that
 * after init_transactions, so that no transaction of an earlier run can still add to it. Not thread-safe.
 */
#ifndef S4REC_CUTLOG_H
#define S4REC_CUTLOG_H
#include "codec/cut.h"
#include "worker/kafka/reader.h"
#include "worker/kafka/staged.h"
#include "worker/learn/learner.h"

/* Names this process in cuts and manifests: start time and process id. */
void cutlog_run_id(char *ret, size_t size);
/* Puts in who cuts: configuration, model, run, numerics, limits. */
void cutlog_sign(struct cut *c, const struct learner *l, const char *run_id, int embedding_partitions);
/* 0 or a negative errno. */
int cutlog_stage(struct staged *s, const struct cut *c);
int cutlog_stage_attempt(struct staged *s, const struct attempt *a);

struct cutlog;
/* Prints its errors; exit code. */
int cutlog_new(struct cutlog **ret, const struct config *c, enum reader_end end);
/* The last cut of the log; *ret_none 1 = it is empty. Reads only the tail, and goes back to the beginning. Offsets as in cutlog_next. */
int cutlog_last(struct cutlog *l, struct cut *ret, int *ret_none);
/* The next cut, and where it stands in the topic; its offsets point into the log until the next call. *ret_end 1 = there are no more. Exit
 * code. A gap in the numbering (but where a delete of old cuts overtook the reading: the caller looks at the steps), an undecodable record or a cut of another model is EX_DATAERR / EX_CONFIG. */
int cutlog_next(struct cutlog *l, struct cut *ret, int64_t *ret_offset, int *ret_end);
/* How many starts have begun to train since the last commit among the cuts that were read, and the first of them; they are passed over otherwise. */
uint64_t cutlog_attempts(const struct cutlog *l, struct attempt *ret_first);
/* Is the topic longer than when it was opened? To be called when nothing is left to be read. 0 also when no broker answers. */
int cutlog_grew(struct cutlog *l);
void cutlog_free(struct cutlog *l);
#endif
