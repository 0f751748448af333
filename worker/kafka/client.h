/* client.h - librdkafka handles from our configuration: base settings, kafka.* passed on, errors to the log.
 * FACTS: retry.backoff.ms=5, socket.nagle.disable, partitioner=murmur2_random, isolation.level=read_committed, check.crcs,
 * auto.offset.reset=error, enable.partition.eof are set here; metadata of all topics is asked once per handle.
 */
#ifndef S4REC_KAFKA_CLIENT_H
#define S4REC_KAFKA_CLIENT_H
#include <librdkafka/rdkafka.h>
#include "worker/config.h"
#include "worker/kafka/base.h"

enum client_kind { CLIENT_PLAIN_PRODUCER, CLIENT_TXN_PRODUCER, CLIENT_STATE_PRODUCER, CLIENT_REDRIVE_PRODUCER, CLIENT_CONSUMER, CLIENT_CONSUMER_UNCOMMITTED, CLIENT_MEMBER };

/* A connected handle: the first metadata request has been answered. On failure prints one clear line (broker, reason, hint)
 * and returns the exit code: EX_UNAVAILABLE (69) no broker answers, EX_CONFIG (78) a kafka.* key is refused. */
int client_new(rd_kafka_t **ret, const struct config *c, enum client_kind kind);
/* A CLIENT_CONSUMER whose own queues, over all partitions, hold input.buffer.bytes at most (not less than a record each). */
int client_new_input(rd_kafka_t **ret, const struct config *c, int partitions);
/* A consumer that may join the group <group.id>-trainer; it must be polled every ten minutes at least (election_poll, its only user). */
struct client_member {
	const char *client_id; /* borrowed during the call */
	void (*on_rebalance)(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *list, void *opaque);
	void *opaque;
};
int client_new_member(rd_kafka_t **ret, const struct config *c, const struct client_member *m);
/* Closes and destroys, at most some seconds. NULL is fine. */
void client_free(rd_kafka_t *rk);

/* What an error that a consumer was handed means: 0 = it passes (said in the log), else the exit code to stop with (said, too). Only what
 * is known to pass goes on: behind any other error the client might go on with the next records, and these would be lost. */
int client_read_error(rd_kafka_resp_err_t err, const char *topic, int partition, int64_t offset, const char *text);

/* The name of the input topic (input.topic or <prefix>.interactions). */
void client_input_topic(char *ret, size_t size, const struct config *c);
/* *ret: how many partitions a topic has, 0 = there is no such topic. Exit code. */
int client_find_topic(rd_kafka_t *rk, const char *name, const struct config *c, int *ret);
/* *ret 1: there is such a topic. Exit code. */
int client_has_topic(const struct config *c, const char *name, int *ret);
/* How many partitions a topic, which must be there, has. Exit code. */
int client_partitions(const struct config *c, const char *topic, int *ret);
/* How many partitions the input topic, which must be there, has. Exit code. */
int client_input_partitions(const struct config *c, int *ret);
/* A plain producer and the input topic, which must be there; the topic is to be destroyed before the producer. Exit code. */
int client_input_producer(rd_kafka_t **ret, rd_kafka_topic_t **ret_topic, const struct config *c);
/* Low and high watermark, as the handle sees them: with CLIENT_CONSUMER the high one stands before the first open transaction. 0 or -EIO. */
int client_watermarks(rd_kafka_t *rk, const char *topic, int partition, int64_t *ret_low, int64_t *ret_high);
/* The same of all partitions of a topic, open transactions or not: low, high (partitions), NULL = not asked for. Exit code. */
int client_topic_watermarks(const struct config *c, const char *topic, int partitions, int64_t *ret_low, int64_t *ret_high);
/* Of the input. */
int client_input_watermarks(const struct config *c, int partitions, int64_t *ret_low, int64_t *ret_high);
#endif
