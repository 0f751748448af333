/* pointer.c - see pointer.h */
#include "worker/kafka/pointer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "codec/embedding.h"
#include "topics/topics.h"
#include "worker/kafka/client.h"
#include "worker/kafka/delivery.h"
#include "worker/log.h"

#define TIMEOUT_MS 10000

struct place {
	rd_kafka_t *rk;
	char topic[TOPIC_NAME_MAX];
	int32_t partition;
};

static int open_place(struct place *p, const struct config *c, const char *prefix, enum client_kind kind)
{
	const struct rd_kafka_metadata *md;
	int n = 0, r = client_new(&p->rk, c, kind);
	if (r)
		return r;
	if (topic_name(p->topic, sizeof p->topic, prefix, TOPIC_EMBEDDINGS) < 0) {
		log_error("topic.prefix=%s is too long", prefix);
		return EX_CONFIG;
	}
	rd_kafka_resp_err_t err = rd_kafka_metadata(p->rk, 1, NULL, &md, (int)c->connect_timeout_ms);
	if (err) {
		log_error("cannot list the topics at %s: %s", c->bootstrap_servers, rd_kafka_err2str(err));
		return EX_UNAVAILABLE;
	}
	for (int i = 0; i < md->topic_cnt; i++)
		if (!strcmp(md->topics[i].topic, p->topic))
			n = md->topics[i].partition_cnt;
	rd_kafka_metadata_destroy(md);
	p->partition = n ? partition_of(POINTER_KEY, strlen(POINTER_KEY), n) : -1; /* -1: there is no such topic */
	return 0;
}

/* The newest pointer; *ret NULL = none. Owned by the caller. */
static int read_pointer(struct place *p, char **ret)
{
	int r = 0, end = 0;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, p->topic, p->partition)->offset = RD_KAFKA_OFFSET_BEGINNING;
	rd_kafka_resp_err_t err = client_assign(p->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	for (int waited = 0; r == 0 && !err && !end && waited < TIMEOUT_MS; ) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(p->rk, 100);
		if (!m) {
			waited += 100;
			continue;
		}
		end = m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
		if (m->err && !end)
			r = client_read_error(m->err, p->topic, p->partition, m->offset, rd_kafka_message_errstr(m));
		if (!m->err && m->key_len == strlen(POINTER_KEY) && !memcmp(m->key, POINTER_KEY, m->key_len)) {
			free(*ret);
			*ret = m->payload && m->len && m->len < TOPIC_NAME_MAX ? strndup(m->payload, m->len) : NULL;
		}
		rd_kafka_message_destroy(m);
	}
	if (r || (!err && end))
		return r;
	log_error("%s [%d] cannot be read to its end", p->topic, p->partition);
	return EX_UNAVAILABLE;
}

int pointer_follow(struct config *c)
{
	struct place p = { 0 };
	char *to = NULL;
	int r = open_place(&p, c, c->topic_prefix, CLIENT_CONSUMER);
	if (r == 0 && p.partition >= 0)
		r = read_pointer(&p, &to);
	client_free(p.rk);
	if (r || !to) {
		free(to);
		return r;
	}
	log_info("readers of %s are led to %s (s4rec promote; --pointer false stays)", c->topic_prefix, to);
	free(c->topic_prefix);
	c->topic_prefix = to;
	return 0;
}

int pointer_set(const struct config *c, const char *prefix, const char *to)
{
	struct place p = { 0 };
	struct delivery d = { .sent = 1 };
	int r = open_place(&p, c, prefix, CLIENT_PLAIN_PRODUCER);
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
