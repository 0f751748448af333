/* cutlog.c - see cutlog.h */
#include "worker/learn/cutlog.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "topics/topics.h"
#include "worker/log.h"

#define POLL_MS 1000
#define SILENCE_MAX 30 /* polls without any answer before we give up */

struct cutlog {
	const struct config *cfg;
	rd_kafka_t *rk;
	char topic[TOPIC_NAME_MAX];
	int64_t end, next;   /* offsets of the batches topic */
	uint64_t expect;     /* next step number */
	int64_t offsets[CUT_PARTITIONS_MAX];
};

int cutlog_new(struct cutlog **ret, const struct config *c)
{
	struct cutlog *l = calloc(1, sizeof *l);
	int64_t low;
	if (!l)
		return EX_OSERR;

	l->cfg = c;
	topic_name(l->topic, sizeof l->topic, c->topic_prefix, TOPIC_BATCHES);
	int r = client_new(&l->rk, c, CLIENT_CONSUMER);
	if (r)
		goto fail;

	/* The end by a read_uncommitted view: a foreign open transaction must not hide cuts from us. */
	r = EX_UNAVAILABLE;
	if (client_watermarks(l->rk, l->topic, 0, &low, &l->end) < 0) {
		log_error("cannot ask for the watermarks of %s", l->topic);
		goto fail;
	}
	l->next = low;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, l->topic, 0)->offset = low;
	rd_kafka_resp_err_t err = rd_kafka_assign(l->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (err) {
		log_error("cannot read %s: %s", l->topic, rd_kafka_err2str(err));
		goto fail;
	}
	*ret = l;
	return 0;
fail:
	cutlog_free(l);
	return r;
}

void cutlog_free(struct cutlog *l)
{
	if (!l)
		return;
	client_free(l->rk);
	free(l);
}

static int check(const struct cutlog *l, const struct cut *c, int64_t offset)
{
	if (c->step != l->expect) {
		log_error("%s offset %lld: expected the cut of step %llu, found %llu: the log of cuts has a gap; begin a new model with a new topic.prefix",
		          l->topic, (long long)offset, (unsigned long long)l->expect, (unsigned long long)c->step);
		return EX_DATAERR;
	}
	if (c->config_hash != config_fold_hash(l->cfg)) {
		log_error("%s: this model (%s) was folded with other options (hash %016llx, now %016llx): set the fold options back, or begin a new model "
		          "with a new topic.prefix",
		          l->topic, c->model_id, (unsigned long long)c->config_hash, (unsigned long long)config_fold_hash(l->cfg));
		return EX_CONFIG;
	}
	return 0;
}

static int decode(struct cutlog *l, const rd_kafka_message_t *m, struct cut *ret)
{
	if (!m->payload || cut_decode(ret, l->offsets, CUT_PARTITIONS_MAX, m->payload, m->len) < 0) {
		log_error("%s offset %lld is not a cut record: has something else written to this topic?", l->topic, (long long)m->offset);
		return EX_DATAERR;
	}
	int r = check(l, ret, m->offset);
	if (r == 0)
		l->expect++;
	return r;
}

int cutlog_next(struct cutlog *l, struct cut *ret, int *ret_end)
{
	int silence = 0;
	*ret_end = 0;
	while (l->next < l->end) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(l->rk, POLL_MS);
		if (!m) {
			if (++silence < SILENCE_MAX)
				continue;
			log_error("%s: no answer for %d s at offset %lld of %lld", l->topic, SILENCE_MAX * POLL_MS / 1000, (long long)l->next, (long long)l->end);
			return EX_UNAVAILABLE;
		}
		int r = -1;
		if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
			l->next = m->offset;
		} else if (m->err) {
			log_warn("%s: %s; trying on", l->topic, rd_kafka_message_errstr(m));
		} else {
			l->next = m->offset + 1;
			r = decode(l, m, ret);
		}
		rd_kafka_message_destroy(m);
		if (r >= 0)
			return r;
	}
	*ret_end = 1;
	return 0;
}
