/* reader.h - a topic of one partition, read from its beginning to its end as of now. The end is the last stable offset: what stands behind the
 * first record of an open transaction is not seen. So a worker opens it after init_transactions, which ends what an earlier run left open; who
 * only looks on sees whole transactions. What is handed out is committed. Prints its errors; functions return exit codes. Not thread-safe.
 */
#ifndef S4REC_KAFKA_READER_H
#define S4REC_KAFKA_READER_H
#include "topics/topics.h"
#include "worker/kafka/client.h"

struct reader {
	const struct config *cfg;
	char topic[TOPIC_NAME_MAX];
	rd_kafka_t *rk;
	int assigned;
	int64_t low, end, next; /* offsets; next: of the record to come */
};

int reader_open(struct reader *r, const struct config *c, enum topic_id topic);
void reader_close(struct reader *r); /* a zero struct is fine */
/* The next record, to be destroyed by the caller; *ret NULL at the end. */
int reader_next(struct reader *r, rd_kafka_message_t **ret);
int reader_seek(struct reader *r, int64_t offset);
/* The value of the last record that `want` accepts, a copy to be freed by the caller; *ret NULL when there is none. Reads from the tail
 * backwards, in growing pieces; goes back to the beginning. */
int reader_last(struct reader *r, int (*want)(const rd_kafka_message_t *m), void **ret, size_t *ret_len, int64_t *ret_offset);
#endif
