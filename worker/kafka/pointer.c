/* pointer.c - see pointer.h */
#include "worker/kafka/pointer.h"

#include <string.h>
#include <sysexits.h>

#include "codec/embedding.h"
#include "topics/topics.h"
#include "worker/kafka/client.h"
#include "worker/kafka/delivery.h"
#include "worker/log.h"

struct place {
	rd_kafka_t *rk;
	char topic[TOPIC_NAME_MAX];
	int32_t partition;
};

static int open_place(struct place *p, const struct config *c, const char *prefix)
{
	int n = 0, r = client_new(&p->rk, c, CLIENT_PLAIN_PRODUCER);
	if (r)
		return r;
	if (topic_name(p->topic, sizeof p->topic, prefix, TOPIC_EMBEDDINGS) < 0) {
		log_error("topic.prefix=%s is too long", prefix);
		return EX_CONFIG;
	}
	r = client_find_topic(p->rk, p->topic, c, &n);
	if (r)
		return r;
	p->partition = n ? partition_of(POINTER_KEY, strlen(POINTER_KEY), n) : -1; /* -1: there is no such topic */
	return 0;
}

int pointer_set(const struct config *c, const char *prefix, const char *to)
{
	struct place p = { 0 };
	struct delivery d = { .sent = 1 };
	int r = open_place(&p, c, prefix);
	if (r == 0 && p.partition < 0) {
		log_error("topic %s is missing at %s", p.topic, c->bootstrap_servers);
		r = EX_CONFIG;
	}
	if (r == 0 && rd_kafka_producev(p.rk, RD_KAFKA_V_TOPIC(p.topic), RD_KAFKA_V_PARTITION(p.partition), RD_KAFKA_V_KEY(POINTER_KEY, strlen(POINTER_KEY)),
	                                RD_KAFKA_V_VALUE((void *)to, to ? strlen(to) : 0), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(&d),
	                                RD_KAFKA_V_END))
		r = EX_UNAVAILABLE;
	if (r == 0)
		delivery_wait(p.rk, &d);
	if (r == 0 && !d.ok)
		r = EX_UNAVAILABLE;
	if (r == EX_UNAVAILABLE)
		log_error("%s: the pointer was not written: %s", p.topic, rd_kafka_err2str(d.first_error));
	client_free(p.rk);
	return r;
}
