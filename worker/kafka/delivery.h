/* delivery.h - what became of produced records: a counter that delivery reports add to.
 *
 * Give `&counter` as the message's opaque (RD_KAFKA_V_OPAQUE); client.c's report callback counts into it, on the thread that
 * polls or flushes the producer. The owner counts `sent`, and is done when ok + failed == sent. One thread.
 */
#ifndef S4REC_KAFKA_DELIVERY_H
#define S4REC_KAFKA_DELIVERY_H
#include <librdkafka/rdkafka.h>
#include <stdint.h>

struct delivery {
	uint64_t sent, ok, failed;
	rd_kafka_resp_err_t first_error; /* of the first failed one */
	int64_t last_offset;             /* of the newest that was written */
};

/* Flushes until all that was sent has its report, or the client can do no more; librdkafka's message.timeout.ms ends it. In client.c. */
void delivery_wait(rd_kafka_t *rk, const struct delivery *d);
#endif
