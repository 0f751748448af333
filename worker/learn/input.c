/* input.c - see input.h */
#include "worker/learn/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "topics/topics.h"
#include "worker/clock.h"
#include "worker/event_config.h"
#include "worker/log.h"

#define IDLE_SLICE_MS 10 /* no queue signals for all partitions at once: look again this often while idle */

#define COMMITTED_TIMEOUT_MS 10000
#define UNSEEN (-1)
#define FETCH_MS 1000 /* that a live merge waits for a partition that has records but does not deliver them */

struct source {
	rd_kafka_queue_t *queue; /* this partition's own queue */
	int64_t read;            /* next offset to take from the queue */
	int64_t eof;             /* offset at which librdkafka last said "end"; -1 = not since the last record */
	int64_t dry_ms;          /* monotonic time since when no record of it is here; UNSEEN: since before a live merge first looked */
};

struct input {
	rd_kafka_t *rk;
	struct decoder *decoder;
	struct record_pool *pool;
	char topic[TOPIC_NAME_MAX];
	int partitions;
	size_t ahead_bytes;        /* read ahead at most, per partition */
	size_t kept_max;           /* bytes of a key or value that a dead letter keeps */
	struct source *src;        /* (partitions) */
	int64_t *end;              /* (partitions) limit, or -1 */
	struct record_list *heads; /* (partitions) read, not handed out */
	int64_t *next;             /* (partitions) next offset to consume */
	uint8_t *awaited;          /* (partitions) of the merge: record_merge */
	int64_t idle_ms;
	int64_t waited_us;
	const struct forgets *filter; /* borrowed, or NULL */
};

static int decoder_from_config(struct decoder **ret, const struct config *c)
{
	const char *why = "";
	struct decoder_options o = event_config(c);
	int r = decoder_new(ret, &o, &why);
	if (r == 0)
		return 0;
	if (r == -ENOMEM)
		return log_no_memory();
	log_error("the input mapping is not usable: %s (see map.*, type.weights)", why);
	return EX_CONFIG;
}

int input_new(struct input **ret, const struct config *c, int partitions)
{
	struct input *in = calloc(1, sizeof *in);
	int r;
	if (!in)
		return log_no_memory();

	in->partitions = partitions;
	client_input_topic(in->topic, sizeof in->topic, c);
	in->src = calloc((size_t)partitions, sizeof *in->src);
	in->heads = calloc((size_t)partitions, sizeof *in->heads);
	in->next = calloc((size_t)partitions, sizeof *in->next);
	in->end = calloc((size_t)partitions, sizeof *in->end);
	in->awaited = calloc((size_t)partitions, 1);
	in->idle_ms = c->idle_ms;
	in->ahead_bytes = (size_t)c->input_buffer_bytes / (size_t)partitions;
	in->kept_max = (size_t)c->dlq_max_bytes;
	if (!in->src || !in->heads || !in->next || !in->end || !in->awaited || record_pool_new(&in->pool) < 0) {
		r = log_no_memory();
		goto fail;
	}

	r = decoder_from_config(&in->decoder, c);
	if (r)
		goto fail;

	r = client_new_input(&in->rk, c, partitions);
	if (r)
		goto fail;

	*ret = in;
	return 0;
fail:
	input_free(in);
	return r;
}

static void close_queues(struct input *in)
{
	for (int p = 0; in->src && p < in->partitions; p++) {
		if (in->src[p].queue)
			rd_kafka_queue_destroy(in->src[p].queue);
		in->src[p].queue = NULL;
		record_free_all(&in->heads[p]);
	}
}

void input_free(struct input *in)
{
	if (!in)
		return;
	if (in->heads)
		close_queues(in);
	record_pool_free(in->pool);
	client_free(in->rk);
	decoder_free(in->decoder);
	free(in->src);
	free(in->heads);
	free(in->next);
	free(in->end);
	free(in->awaited);
	free(in);
}

int input_check(struct input *in, const int64_t *offsets)
{
	for (int p = 0; p < in->partitions; p++) {
		int64_t low, high;
		if (client_watermarks(in->rk, in->topic, p, &low, &high) < 0) {
			log_error("cannot ask for the watermarks of %s [%d]", in->topic, p);
			return EX_UNAVAILABLE;
		}
		if (offsets[p] < low) {
			log_error("input is gone: %s [%d] begins at offset %lld, this model needs it from %lld. Raise retention.ms of the topic; then begin a new model "
			          "with a new topic.prefix, or go on from the newest state without what is gone: --accept.gap",
			          in->topic, p, (long long)low, (long long)offsets[p]);
			return EX_DATAERR;
		}
		if (offsets[p] > high) {
			log_error("%s [%d] ends at offset %lld, this model has consumed up to %lld: the topic was made anew; begin a new model "
			          "with a new topic.prefix",
			          in->topic, p, (long long)high, (long long)offsets[p]);
			return EX_DATAERR;
		}
	}
	return 0;
}

int input_reaches(struct input *in, const int64_t *offsets)
{
	int64_t low, high;
	for (int p = 0; p < in->partitions; p++) {
		if (client_watermarks(in->rk, in->topic, p, &low, &high) < 0)
			return -1;
		if (offsets[p] < low)
			return 0;
	}
	return 1;
}

int input_seek(struct input *in, const int64_t *offsets)
{
	int r = input_check(in, offsets);
	if (r)
		return r;

	close_queues(in);
	rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(in->partitions);
	for (int p = 0; p < in->partitions; p++) {
		rd_kafka_topic_partition_list_add(l, in->topic, p)->offset = offsets[p];
		in->src[p] = (struct source){ .read = offsets[p], .eof = -1, .dry_ms = UNSEEN };
		in->end[p] = -1;
		in->next[p] = offsets[p];
	}
	/* The queues are taken over before assign(), so that no record can arrive on the common one. */
	for (int p = 0; p < in->partitions; p++) {
		in->src[p].queue = rd_kafka_queue_get_partition(in->rk, in->topic, p);
		if (in->src[p].queue)
			rd_kafka_queue_forward(in->src[p].queue, NULL);
	}
	rd_kafka_resp_err_t err = base_assign(in->rk, l);
	rd_kafka_topic_partition_list_destroy(l);
	if (err) {
		log_error("cannot read %s: %s", in->topic, rd_kafka_err2str(err));
		return EX_UNAVAILABLE;
	}
	for (int p = 0; p < in->partitions; p++) {
		if (!in->src[p].queue)
			in->src[p].queue = rd_kafka_queue_get_partition(in->rk, in->topic, p);
		rd_kafka_queue_forward(in->src[p].queue, NULL);
	}
	return 0;
}

void input_limit(struct input *in, const int64_t *ends)
{
	for (int p = 0; p < in->partitions; p++)
		in->end[p] = ends ? ends[p] : -1;
}

void input_filter(struct input *in, const struct forgets *f)
{
	in->filter = f;
}

#define HEADERS_MAX 64 /* of a record that are looked at */

/* What a decoder is told of a message. The client makes a list of its headers when it is asked for them, so it is asked where they matter only. */
static struct event_source source_of(const struct input *in, const rd_kafka_message_t *m, struct event_header headers[HEADERS_MAX])
{
	rd_kafka_timestamp_type_t type;
	rd_kafka_headers_t *list;
	struct event_source ret = { .key = m->key, .key_len = m->key_len, .value = m->payload, .value_len = m->len,
		.record_ts_ms = rd_kafka_message_timestamp(m, &type), .headers = headers };
	struct event_header *h = headers;
	if (!decoder_wants_headers(in->decoder) || rd_kafka_message_headers(m, &list) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return ret;
	while (ret.header_count < HEADERS_MAX && rd_kafka_header_get_all(list, ret.header_count, &h->name, &h->value, &h->len) == RD_KAFKA_RESP_ERR_NO_ERROR) {
		ret.header_count++;
		h++;
	}
	return ret;
}

/* Takes one message of partition p. 0 or an exit code. */
static int take(struct input *in, int p, const rd_kafka_message_t *m)
{
	struct source *s = &in->src[p];
	if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		s->eof = m->offset;
		return 0;
	}
	if (m->err)
		return client_read_error(m->err, in->topic, p, s->read, rd_kafka_message_errstr(m));
	if (m->offset < s->read)
		return 0; /* from before a seek */

	struct event_header headers[HEADERS_MAX];
	struct event_source from = source_of(in, m, headers);
	struct record *r;
	if (record_decode(&r, in->pool, in->decoder, in->kept_max, p, m->offset, &from) < 0)
		return log_no_memory();
	if (in->filter && forgets_drop(in->filter, r))
		record_free(r);
	else
		record_push(&in->heads[p], r);
	s->read = m->offset + 1;
	s->eof = -1;
	return 0;
}

static int drain(struct input *in, int p, size_t *ret_taken)
{
	int r = 0;
	while (r == 0 && (in->heads[p].n == 0 || in->heads[p].bytes < in->ahead_bytes)) {
		rd_kafka_message_t *m = rd_kafka_consume_queue(in->src[p].queue, 0);
		if (!m)
			break;
		r = take(in, p, m);
		rd_kafka_message_destroy(m);
		++*ret_taken;
	}
	return r;
}

/* The common queue carries errors. A record there would be lost to its partition's order. */
static int common_queue(const struct input *in, const rd_kafka_message_t *m)
{
	if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
		return 0;
	if (m->err)
		return client_read_error(m->err, in->topic, m->partition, m->offset, rd_kafka_message_errstr(m));
	log_error("%s [%d] offset %lld came past its partition's queue: this is a defect", in->topic, m->partition, (long long)m->offset);
	return EX_SOFTWARE;
}

int input_fill(struct input *in, int timeout_ms)
{
	size_t taken = 0;
	for (int waited = 0; ; waited += IDLE_SLICE_MS) {
		for (int p = 0; p < in->partitions; p++) {
			int r = drain(in, p, &taken);
			if (r)
				return r;
		}
		if (taken || waited >= timeout_ms)
			return 0;
		/* Serves errors and callbacks, and is the wait. */
		int64_t since_us = monotonic_us();
		rd_kafka_message_t *m = rd_kafka_consumer_poll(in->rk, IDLE_SLICE_MS);
		in->waited_us += monotonic_us() - since_us;
		int r = m ? common_queue(in, m) : 0;
		if (m)
			rd_kafka_message_destroy(m);
		if (r)
			return r;
	}
}

/* Nothing of partition p will come (before its limit, or as far as is known now). */
static int exhausted(const struct input *in, int p)
{
	const struct source *s = &in->src[p];
	int64_t end = in->end[p];
	if (end >= 0)
		return in->next[p] >= end || s->eof >= end || (in->heads[p].first && in->heads[p].first->offset >= end);
	return !in->heads[p].first && s->eof >= 0;
}

/* Must the others wait for partition p, should it have no record here? */
static int is_awaited(const struct input *in, int p, int64_t now_ms)
{
	int done = exhausted(in, p);
	if (now_ms == INPUT_WAIT)
		return !done;
	if (done && in->end[p] >= 0)
		return 0; /* nothing will ever come */
	return now_ms - in->src[p].dry_ms < in->idle_ms + (done ? 0 : FETCH_MS);
}

struct record *input_next(struct input *in, int64_t now_ms)
{
	for (int p = 0; p < in->partitions; p++) {
		if (in->src[p].dry_ms == UNSEEN && now_ms != INPUT_WAIT)
			in->src[p].dry_ms = now_ms;
		in->awaited[p] = !in->heads[p].first && is_awaited(in, p, now_ms);
	}

	int p = record_merge(in->heads, in->end, in->awaited, in->partitions);
	if (p < 0)
		return NULL;
	struct record *r = record_shift(&in->heads[p]);
	in->next[p] = r->offset + 1;
	if (!in->heads[p].first)
		in->src[p].dry_ms = now_ms == INPUT_WAIT ? UNSEEN : now_ms;
	return r;
}

int input_at_end(const struct input *in)
{
	for (int p = 0; p < in->partitions; p++)
		if (record_head(&in->heads[p], in->end[p]) || !exhausted(in, p))
			return 0;
	return 1;
}

const int64_t *input_offsets(const struct input *in)
{
	return in->next;
}

int input_committed(struct input *in, int64_t *ret)
{
	rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(in->partitions);
	for (int p = 0; p < in->partitions; p++)
		rd_kafka_topic_partition_list_add(l, in->topic, p);
	rd_kafka_resp_err_t err = rd_kafka_committed(in->rk, l, COMMITTED_TIMEOUT_MS);
	for (int p = 0; !err && p < in->partitions; p++)
		ret[p] = l->elems[p].offset < 0 ? -1 : l->elems[p].offset;
	rd_kafka_topic_partition_list_destroy(l);
	if (!err)
		return 0;
	log_error("cannot ask for the committed offsets of %s: %s", in->topic, rd_kafka_err2str(err));
	return EX_UNAVAILABLE;
}

int64_t input_partition_lag(struct input *in, int p)
{
	int64_t low, high;
	if (rd_kafka_get_watermark_offsets(in->rk, in->topic, p, &low, &high) || high < 0)
		return -1;
	int consumed = !in->heads[p].first && in->src[p].eof >= high; /* what is left are markers and aborted records */
	return high > in->next[p] && !consumed ? high - in->next[p] : 0;
}

int64_t input_lag(struct input *in)
{
	int64_t lag = 0;
	for (int p = 0; p < in->partitions; p++) {
		int64_t n = input_partition_lag(in, p);
		if (n < 0)
			return -1;
		lag += n;
	}
	return lag;
}

int64_t input_waited_us(const struct input *in)
{
	return in->waited_us;
}
