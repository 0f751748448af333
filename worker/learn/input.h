/* input.h - the input topic as one queue of decoded records per partition, with their positions.
 *
 * All partitions are assign()ed, no group is joined: who may train is decided by the transactional id. What is read ahead takes
 * input.buffer.bytes at most (over all partitions; one record of each always fits), and as much again in librdkafka's own queues.
 *
 *     input_seek(in, offsets);                 where to begin
 *     input_limit(in, ends);                   optional: treat records from there on as not yet there
 *     input_fill(in, 100);                     reads what is there
 *     while ((r = input_next(in, INPUT_WAIT))) the next record in the order of the fold
 */
#ifndef S4REC_INPUT_H
#define S4REC_INPUT_H
#include "worker/kafka/client.h"
#include "worker/learn/forgets.h"
#include "worker/learn/record.h"

struct input;
/* Prints its own errors and returns an exit code, as all functions of this file that return int. */
int input_new(struct input **ret, const struct config *c, int partitions);
void input_free(struct input *in); /* after all records that it handed out */

/* Do these offsets (partitions of them) lie in the topic? EX_DATAERR and why, when one of them is not there any more, or not yet. */
int input_check(struct input *in, const int64_t *offsets);
/* 1 when nothing behind these offsets was removed yet; -1 unknown. Says nothing. */
int input_reaches(struct input *in, const int64_t *offsets);
/* Begins at these offsets, after that check; once per input. */
int input_seek(struct input *in, const int64_t *offsets);
/* Reads no record at or behind these offsets; NULL = no limit. */
void input_limit(struct input *in, const int64_t *ends);
/* From here on records that f drops are passed over, as if the topic did not have them; f is borrowed, NULL = none. */
void input_filter(struct input *in, const struct forgets *f);
/* Moves what has arrived into the queues; waits at most timeout_ms when there was nothing. */
int input_fill(struct input *in, int timeout_ms);

/* The next record in merge order (record_merge), owned by the caller, or NULL. NULL is also returned while a partition without a record here is
 * waited for. INPUT_WAIT: any that has not reached its limit or its end, so that the order does not depend on arrival. Else, live: one that has run
 * dry less than idle.ms before now_ms (monotonic), or idle.ms and a second when the broker has more of it; then it is idle, and the others go on. What
 * was taken so stands in the cuts, and a replay that takes the records up to a cut merges them by the same function. */
#define INPUT_WAIT INT64_MIN
struct record *input_next(struct input *in, int64_t now_ms);
/* 1 when every partition was handed out up to its limit (without one: up to the end that was last seen). */
int input_at_end(const struct input *in);
/* Next offset to consume by partition, as of what input_next has handed out. (partitions) */
const int64_t *input_offsets(const struct input *in);
/* The offsets committed under group.id, a mirror of the position for lag tools; -1 where there is none. (partitions) */
int input_committed(struct input *in, int64_t *ret);
/* Records behind the newest known high watermark, transaction markers included while they are not the last; -1 unknown. Of one partition, of all. */
int64_t input_partition_lag(struct input *in, int partition);
int64_t input_lag(struct input *in);
/* Microseconds that were spent waiting for records, of all the time in input_fill. */
int64_t input_waited_us(const struct input *in);
#endif
