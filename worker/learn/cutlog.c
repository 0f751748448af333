/* cutlog.c - see cutlog.h */
#include "worker/learn/cutlog.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "topics/topics.h"
#include "worker/log.h"

#define POLL_MS 1000
#define TAIL 64        /* records */
#define SILENCE_MAX 30 /* polls without any answer before we give up */

struct cutlog {
	const struct config *cfg;
	rd_kafka_t *rk;
	char topic[TOPIC_NAME_MAX];
	int64_t low, end, next; /* offsets of the batches topic */
	int assigned;           /* the client reads from next on */
	uint64_t expect;     /* next step number */
	int64_t offsets[CUT_PARTITIONS_MAX];
};

static void seek(struct cutlog *l, int64_t offset)
{
	l->next = offset;
	l->assigned = 0;
}

/* Only when there is something to read: librdkafka (2.0.2 at least) dies of an assertion when an assignment is replaced before it
 * has begun, and on an empty log one seek follows the other. */
static int assign(struct cutlog *l)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, l->topic, 0)->offset = l->next;
	rd_kafka_resp_err_t err = rd_kafka_assign(l->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	l->assigned = 1;
	if (!err)
		return 0;
	log_error("cannot read %s: %s", l->topic, rd_kafka_err2str(err));
	return EX_UNAVAILABLE;
}

int cutlog_new(struct cutlog **ret, const struct config *c)
{
	struct cutlog *l = calloc(1, sizeof *l);
	if (!l)
		return EX_OSERR;

	l->cfg = c;
	topic_name(l->topic, sizeof l->topic, c->topic_prefix, TOPIC_BATCHES);
	int r = client_new(&l->rk, c, CLIENT_CONSUMER);
	if (r)
		goto fail;

	/* The end by a read_uncommitted view: a foreign open transaction must not hide cuts from us. */
	r = EX_UNAVAILABLE;
	if (client_watermarks(l->rk, l->topic, 0, &l->low, &l->end) < 0) {
		log_error("cannot ask for the watermarks of %s", l->topic);
		goto fail;
	}
	seek(l, l->low);
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

/* The next record, whatever its number; *ret_end 1 = there are no more. */
static int next_cut(struct cutlog *l, struct cut *ret, int64_t *ret_offset, int *ret_end)
{
	int silence = 0;
	*ret_end = 0;
	while (l->next < l->end) {
		int found = 0, r = l->assigned ? 0 : assign(l);
		if (r)
			return r;
		rd_kafka_message_t *m = rd_kafka_consumer_poll(l->rk, POLL_MS);
		if (!m) {
			if (++silence < SILENCE_MAX)
				continue;
			log_error("%s: no answer for %d s at offset %lld of %lld", l->topic, SILENCE_MAX * POLL_MS / 1000, (long long)l->next, (long long)l->end);
			return EX_UNAVAILABLE;
		}
		if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
			l->next = m->offset;
		} else if (m->err) {
			r = client_read_error(m->err, l->topic, 0, l->next, rd_kafka_message_errstr(m));
		} else if (m->offset >= l->next) { /* else from before a seek */
			*ret_offset = m->offset;
			l->next = m->offset + 1;
			found = 1;
			if (!m->payload || cut_decode(ret, l->offsets, CUT_PARTITIONS_MAX, m->payload, m->len) < 0) {
				log_error("%s offset %lld is not a cut record: has something else written to this topic?", l->topic, (long long)m->offset);
				r = EX_DATAERR;
			}
		}
		rd_kafka_message_destroy(m);
		if (found || r)
			return r;
	}
	*ret_end = 1;
	return 0;
}

int cutlog_next(struct cutlog *l, struct cut *ret, int *ret_end)
{
	int64_t offset;
	int r = next_cut(l, ret, &offset, ret_end);
	if (r || *ret_end)
		return r;
	r = check(l, ret, offset);
	l->expect++;
	return r;
}

int cutlog_last(struct cutlog *l, struct cut *ret, int *ret_none)
{
	int64_t offset;
	int r = 0, end;
	*ret_none = 1;
	/* Behind the last cut stand transaction markers, and maybe records that were aborted: further back until there is one. */
	for (int64_t back = TAIL; r == 0 && *ret_none; back *= 16) {
		int64_t from = l->end - back > l->low ? l->end - back : l->low;
		seek(l, from);
		while (r == 0) {
			r = next_cut(l, ret, &offset, &end);
			if (r || end)
				break;
			*ret_none = 0;
		}
		if (from == l->low)
			break;
	}
	seek(l, l->low);
	return r;
}
