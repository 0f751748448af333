/* reader.c - see reader.h */
#include "worker/kafka/reader.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "worker/log.h"

#define POLL_MS 1000
#define SILENCE_MAX 30 /* polls without any answer before we give up */
#define TAIL 64        /* records */

static int assign(struct reader *r)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, r->topic, 0)->offset = r->next;
	rd_kafka_resp_err_t err = base_assign(r->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	r->assigned = !err;
	if (!err)
		return 0;
	log_error("cannot read %s: %s", r->topic, rd_kafka_err2str(err));
	return EX_UNAVAILABLE;
}

/* A handle is assigned once: librdkafka 2.0.2 aborts when an assignment is replaced before it has begun to fetch. */
int reader_seek(struct reader *r, int64_t offset)
{
	r->next = offset;
	r->at_end = 0;
	if (!r->assigned)
		return 0;
	reader_close(r);
	return client_new(&r->rk, r->cfg, CLIENT_CONSUMER);
}

int reader_extend(struct reader *r, enum reader_end end)
{
	rd_kafka_t *eye = NULL;
	int code = client_new(&eye, r->cfg, end == END_ALL ? CLIENT_CONSUMER_UNCOMMITTED : CLIENT_CONSUMER);
	if (code == 0 && client_watermarks(eye, r->topic, 0, &r->low, &r->end) < 0)
		code = EX_UNAVAILABLE; /* said by it */
	client_free(eye);
	return code;
}

int reader_open(struct reader *r, const struct config *c, enum topic_id topic, enum reader_end end)
{
	memset(r, 0, sizeof *r);
	r->cfg = c;
	topic_name(r->topic, sizeof r->topic, c->topic_prefix, topic);
	int code = reader_extend(r, end);
	if (code == 0)
		code = client_new(&r->rk, c, CLIENT_CONSUMER);
	if (code)
		return code;
	r->next = r->low;
	return 0;
}

void reader_close(struct reader *r)
{
	client_free(r->rk);
	r->rk = NULL;
	r->assigned = 0;
}

/* The broker knows no record where this reader stands. Either a delete of the oldest records has overtaken it, as it does with cuts that nobody needs
 * any more (a killed worker's last one may arrive late): on with what is left. Or such a delete went beyond the first record of a transaction that
 * is still open: then Kafka refuses every read_committed fetch in these words until that ends. 0: neither, the topic is another one. */
static int may_go_on(struct reader *r)
{
	int64_t low, high;
	if (client_topic_watermarks(r->cfg, r->topic, 1, &low, &high) || r->next > high)
		return 0;
	r->low = low;
	return 1;
}

static int go_on(struct reader *r)
{
	usleep(POLL_MS * 1000);
	int code = reader_seek(r, r->next > r->low ? r->next : r->low);
	return code ? code : assign(r);
}

/* One thing that the client has, within timeout_ms: a record (*ret), an end or an error (*ret NULL). *ret_any 0: nothing. */
static int poll_one(struct reader *r, int timeout_ms, rd_kafka_message_t **ret, int *ret_any)
{
	int code = 0, again = 0;
	rd_kafka_message_t *m = rd_kafka_consumer_poll(r->rk, timeout_ms);
	*ret = NULL;
	*ret_any = m != NULL;
	if (!m)
		return 0;
	if (!m->err) {
		r->at_end = 0;
		*ret = m;
		return 0;
	}
	if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		r->next = m->offset > r->next ? m->offset : r->next;
		r->at_end = 1;
	} else if (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET && may_go_on(r)) {
		again = 1;
	} else {
		code = client_read_error(m->err, r->topic, 0, r->next, rd_kafka_message_errstr(m));
	}
	rd_kafka_message_destroy(m); /* before its handle is closed */
	if (!again)
		return code;
	*ret_any = 0;
	return go_on(r);
}

/* The broker is away, or somebody's open transaction hides what is there. */
static int say_silent(const struct reader *r)
{
	int64_t low, stable;
	if (client_watermarks(r->rk, r->topic, 0, &low, &stable) == 0 && stable <= r->next)
		log_error("%s: a transaction that is open hides what lies behind offset %lld, for %d s now; it ends when its producer does or its time is over, "
		          "and where Kafka has lost it, by `kafka-transactions.sh find-hanging` and `abort`", r->topic, (long long)r->next, SILENCE_MAX * POLL_MS / 1000);
	else
		log_error("%s: no answer for %d s at offset %lld of %lld", r->topic, SILENCE_MAX * POLL_MS / 1000, (long long)r->next, (long long)r->end);
	return EX_UNAVAILABLE;
}

int reader_next(struct reader *r, rd_kafka_message_t **ret)
{
	int any, silence = 0, code = r->assigned || r->next >= r->end ? 0 : assign(r);
	*ret = NULL;
	while (code == 0 && r->next < r->end) {
		code = poll_one(r, POLL_MS, ret, &any);
		silence = any ? 0 : silence + 1;
		if (silence == SILENCE_MAX) {
			return say_silent(r);
		}
		if (*ret && (*ret)->offset < r->end) {
			r->next = (*ret)->offset + 1;
			return 0;
		}
		if (*ret) {
			r->next = r->end; /* written since; the last offsets before the end are a transaction's marker, which is not handed out */
			rd_kafka_message_destroy(*ret);
			*ret = NULL;
		}
	}
	return code;
}

int reader_follow(struct reader *r, int timeout_ms, rd_kafka_message_t **ret)
{
	int any, code = r->assigned ? 0 : assign(r);
	*ret = NULL;
	if (code == 0)
		code = poll_one(r, timeout_ms, ret, &any);
	if (*ret)
		r->next = (*ret)->offset + 1;
	return code;
}

/* The last wanted record from here to the end. A copy: a handle cannot be closed while one of its messages lives. */
static int last_from_here(struct reader *r, int (*want)(const rd_kafka_message_t *m), void **ret, size_t *ret_len, int64_t *ret_offset)
{
	rd_kafka_message_t *m;
	int code;
	while ((code = reader_next(r, &m)) == 0 && m) {
		if (want(m)) {
			void *copy = realloc(*ret, m->len + 1);
			if (!copy)
				code = log_no_memory();
			else
				*ret = copy;
			*ret_len = m->len;
			*ret_offset = m->offset;
			if (copy && m->len)
				memcpy(copy, m->payload, m->len);
		}
		rd_kafka_message_destroy(m);
		if (code)
			break;
	}
	return code;
}

int reader_last(struct reader *r, int (*want)(const rd_kafka_message_t *m), void **ret, size_t *ret_len, int64_t *ret_offset)
{
	int code = 0;
	*ret = NULL;
	/* Behind the last record stand transaction markers, and maybe records that were aborted. */
	for (int64_t back = TAIL; code == 0 && !*ret; back *= 16) {
		int64_t from = r->end - back > r->low ? r->end - back : r->low;
		code = reader_seek(r, from);
		if (code == 0)
			code = last_from_here(r, want, ret, ret_len, ret_offset);
		if (from == r->low)
			break;
	}
	if (code == 0)
		code = reader_seek(r, r->low);
	if (code) {
		free(*ret);
		*ret = NULL;
	}
	return code;
}
