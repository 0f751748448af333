/* reader.h - a topic of one partition, read from its beginning to its end as of now, or followed. What is handed out is committed. Prints its errors;
 * functions return exit codes. Not thread-safe.
 *
 * Where is the end? END_ALL: behind the last record of all, so that nobody's open transaction can hide what was committed behind it; for a
 * worker, after init_transactions has ended what earlier runs left open. END_COMMITTED: before the first open transaction; for those who only
 * look on while a worker writes. Where does it begin? At the oldest record that is there: one that a delete of old records overtakes goes on with
 * what is left.
 */
#ifndef S4REC_KAFKA_READER_H
#define S4REC_KAFKA_READER_H
#include "topics/topics.h"
#include "worker/kafka/client.h"

enum reader_end { END_ALL, END_COMMITTED };

struct reader {
	const struct config *cfg;
	char topic[TOPIC_NAME_MAX];
	rd_kafka_t *rk;
	int assigned;
	int at_end;             /* the broker has no committed record behind `next`, as far as it told */
	int64_t low, end, next; /* offsets; next: of the record to come */
};

int reader_open(struct reader *r, const struct config *c, enum topic_id topic, enum reader_end end);
void reader_close(struct reader *r); /* a zero struct is fine */
/* The next record, to be destroyed by the caller; *ret NULL at the end. */
int reader_next(struct reader *r, rd_kafka_message_t **ret);
int reader_seek(struct reader *r, int64_t offset);
/* The end as of now, where it was that of an earlier call. */
int reader_extend(struct reader *r, enum reader_end end);
/* The next record, wherever the end was, to be destroyed by the caller; *ret NULL when none came within timeout_ms, or the end did (at_end). */
int reader_follow(struct reader *r, int timeout_ms, rd_kafka_message_t **ret);
/* The value of the last record that `want` accepts, a copy to be freed by the caller; *ret NULL when there is none. Reads from the tail
 * backwards, in growing pieces; goes back to the beginning. */
int reader_last(struct reader *r, int (*want)(const rd_kafka_message_t *m), void **ret, size_t *ret_len, int64_t *ret_offset);
#endif
