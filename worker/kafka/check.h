/* check.h - are the topics there, and as they must be? */
#ifndef S4REC_KAFKA_CHECK_H
#define S4REC_KAFKA_CHECK_H
#include "worker/kafka/client.h"

/* Checks all topics against topics/topics.h: 0, or prints each problem and returns EX_CONFIG / EX_UNAVAILABLE. Settings that the broker
 * does not tell are a warning, with strict a problem (EX_NOPERM). Fills the partition counts (COUNT entries; 0 where absent). */
int check_topics(rd_kafka_t *rk, const struct config *c, int strict, int *ret_partitions);
/* The same with a handle of its own, not strict; also refuses more input partitions than a cut can name. */
int check_model_topics(const struct config *c, int *ret_partitions);
#endif
