/* base.h - what every librdkafka handle of ours shares, without our configuration and our log: the settings that a promise hangs on, the ways to ask
 * that work in librdkafka 2.0.2, what a read error means. For client.c, and for the readers' library (worker/reader), which has neither.
 */
#ifndef S4REC_KAFKA_BASE_H
#define S4REC_KAFKA_BASE_H
#include <librdkafka/rdkafka.h>
#include <stddef.h>
#include <stdint.h>

struct base_pair { const char *key, *value; };

/* 0, or -EINVAL: which one is refused, and why, in reterr. */
int base_set(rd_kafka_conf_t *conf, const struct base_pair *p, size_t n, char *reterr, size_t size);
/* Of all handles, and of those that read (committed: 1 = read_committed). */
int base_set_common(rd_kafka_conf_t *conf, const char *bootstrap_servers, char *reterr, size_t size);
int base_set_consumer(rd_kafka_conf_t *conf, int committed, const char *group, char *reterr, size_t size);
/* kafka.* keys of a user, as keys and values in turn; those that are ours to choose are refused. */
int base_set_user(rd_kafka_conf_t *conf, char *const *kafka, size_t count, char *reterr, size_t size);

/* Asks for the metadata of all topics until some broker answers: proof of a connection, and without it the first produce or assign costs a second. */
rd_kafka_resp_err_t base_connect(rd_kafka_t *rk, int64_t timeout_ms);
/* Of a line of librdkafka's log what people want to read, without its thread; points into buf. NULL: it is no news. */
const char *base_log_text(int level, const char *fac, const char *buf);

/* The handle knows the leaders of a topic from here on. librdkafka 2.8 else looks for those of a topic that it has not heard of once a second only, and a start
 * has several handles. While no broker answers it takes up to 5 s, and says nothing: the handle goes on asking. */
void base_ask_leaders(rd_kafka_t *rk, const char *topic);
/* rd_kafka_assign behind that, for partitions of one topic. */
rd_kafka_resp_err_t base_assign(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list);
/* Low and high watermark, as the handle sees them: with read_committed the high one stands before the first open transaction. Tries for 30 s. */
rd_kafka_resp_err_t base_watermarks(rd_kafka_t *rk, const char *topic, int partition, int64_t *ret_low, int64_t *ret_high);
/* How many partitions a topic has; 0 = there is no such topic. */
rd_kafka_resp_err_t base_partitions(rd_kafka_t *rk, const char *topic, int timeout_ms, int *ret);

/* What an error that a consumer was handed means. Only what is known to pass goes on: behind any other error the client might go on with the next
 * records, and these would be lost. */
enum base_error { BASE_PASSES, BASE_OFFSET_GONE, BASE_TOPIC_GONE, BASE_DENIED, BASE_UNREADABLE };
enum base_error base_read_error(rd_kafka_resp_err_t err);
#endif
