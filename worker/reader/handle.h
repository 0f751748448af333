/* handle.h - the reader's librdkafka handles, and its words to the log. */
#ifndef S4REC_READER_HANDLE_H
#define S4REC_READER_HANDLE_H
#include <pthread.h>

#include "worker/kafka/base.h"
#include "worker/reader/s4rec-reader.h"

/* Where a reader connects to, and how. */
struct handles {
	char *servers;
	char **kafka;         /* (2 * kafka_count) owned */
	size_t kafka_count;
	int timeout_ms;
	void (*log)(void *ctx, enum s4rec_log level, const char *text);
	void *ctx;
	pthread_mutex_t lock; /* of what librdkafka's threads say: told once in some seconds, on the caller's thread */
	char last[512];
	unsigned lines;       /* since they were told */
	int64_t told_ms;
};

int handles_init(struct handles *h, const struct s4rec_reader_options *o); /* -EINVAL, -ENOMEM: handles_release all the same */
void handles_release(struct handles *h);
void handles_say(const struct handles *h, enum s4rec_log level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void handles_tell(struct handles *h); /* what librdkafka has said, if it is time */

/* A connected consumer; committed 0: sees also what is not. Errors as in s4rec-reader.h, said. */
int handle_new(rd_kafka_t **ret, struct handles *h, int committed);
void handle_free(rd_kafka_t *rk); /* NULL is fine; no message of it may live */
/* From its beginning. partition -1 = all of them. */
int handle_assign(rd_kafka_t *rk, const struct handles *h, const char *topic, int partition, int partitions);
/* The partitions of a topic that must be there. */
int handle_partitions(rd_kafka_t *rk, const struct handles *h, const char *topic, int *ret);
#endif
