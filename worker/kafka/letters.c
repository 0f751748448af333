/* letters.c - see letters.h. The topic is read twice: marks first, since they stand behind their letters. */
#include "worker/kafka/letters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "worker/log.h"

#define POLL_MS 1000
#define SILENCE_MAX 60 /* polls without any answer before we give up: longer than a transaction of a worker is open */

struct letters {
	const struct config *cfg;
	char topic[TOPIC_NAME_MAX];
	int partitions;
	int64_t *low, *end, *next; /* (partitions) */
	uint8_t **marked;          /* (partitions) a bit per offset from low on */
	uint64_t marked_count;
};

int letters_new(struct letters **ret, const struct config *c)
{
	struct letters *l = calloc(1, sizeof *l);
	int r = 0;

	if (!l)
		return log_no_memory();
	l->cfg = c;
	if (topic_name(l->topic, sizeof l->topic, c->topic_prefix, TOPIC_DLQ) < 0) {
		log_error("topic.prefix=%s is too long", c->topic_prefix);
		r = EX_CONFIG;
	}
	if (r == 0)
		r = client_partitions(c, l->topic, &l->partitions);
	if (r == 0) {
		l->low = calloc((size_t)l->partitions, sizeof *l->low);
		l->end = calloc((size_t)l->partitions, sizeof *l->end);
		l->next = calloc((size_t)l->partitions, sizeof *l->next);
		l->marked = calloc((size_t)l->partitions, sizeof *l->marked);
		r = l->low && l->end && l->next && l->marked ? client_topic_watermarks(c, l->topic, l->partitions, l->low, l->end) : log_no_memory();
	}
	for (int p = 0; r == 0 && p < l->partitions; p++) {
		l->marked[p] = calloc(1, (size_t)(l->end[p] - l->low[p]) / 8 + 1);
		r = l->marked[p] ? 0 : log_no_memory();
	}
	if (r)
		letters_free(l);
	else
		*ret = l;
	return r;
}

void letters_free(struct letters *l)
{
	if (!l)
		return;
	for (int p = 0; l->marked && p < l->partitions; p++)
		free(l->marked[p]);
	free(l->marked);
	free(l->low);
	free(l->end);
	free(l->next);
	free(l);
}

uint64_t letters_marked(const struct letters *l) { return l->marked_count; }

/* --- what a record says of itself --- */

/* The header as text, cut to size; 0: there is none. */
static int header_text(const rd_kafka_message_t *m, const char *name, char *ret, size_t size)
{
	rd_kafka_headers_t *list;
	const void *value;
	size_t len;

	if (rd_kafka_message_headers(m, &list) || rd_kafka_header_get_last(list, name, &value, &len) || !value)
		return 0;
	snprintf(ret, size, "%.*s", (int)len, (const char *)value);
	return 1;
}

/* "3:17" or "17" behind a partition. 0: none, or no such thing. */
static int header_number(const rd_kafka_message_t *m, const char *name, long long *ret)
{
	char text[32], *end;

	if (!header_text(m, name, text, sizeof text))
		return 0;
	*ret = strtoll(text, &end, 10);
	return end != text && !*end && *ret >= 0;
}

static uint8_t *bit_of(const struct letters *l, int p, int64_t offset, uint8_t *ret_bit)
{
	if (p < 0 || p >= l->partitions || offset < l->low[p] || offset >= l->end[p])
		return NULL; /* its letter is gone */
	*ret_bit = (uint8_t)(1u << ((offset - l->low[p]) & 7));
	return &l->marked[p][(offset - l->low[p]) / 8];
}

static void note_mark(struct letters *l, const char *place)
{
	long long p, offset;
	uint8_t bit, *byte = sscanf(place, "%lld:%lld", &p, &offset) == 2 && p < l->partitions ? bit_of(l, (int)p, offset, &bit) : NULL;

	if (!byte || *byte & bit)
		return;
	*byte |= bit;
	l->marked_count++;
}

/* 0: it is none of ours. */
static int read_letter(struct letter *x, const rd_kafka_message_t *m)
{
	rd_kafka_timestamp_type_t type;
	long long partition, offset, n;

	if (!header_text(m, "s4rec.reason", x->reason, sizeof x->reason) || !header_text(m, "s4rec.topic", x->topic, sizeof x->topic) ||
	    !header_number(m, "s4rec.partition", &partition) || partition > INT32_MAX || !header_number(m, "s4rec.offset", &offset))
		return 0;
	x->partition = m->partition;
	x->offset = m->offset;
	x->ms = rd_kafka_message_timestamp(m, &type);
	x->origin_partition = (int32_t)partition;
	x->origin_offset = offset;
	x->key_whole = !header_number(m, "s4rec.truncated.key", &n);
	x->whole = x->key_whole && !header_number(m, "s4rec.truncated", &n) && !header_number(m, "s4rec.headers", &n);
	x->key = m->key;
	x->key_len = m->key_len;
	x->value = m->payload;
	x->value_len = m->len;
	return 1;
}

/* --- reading --- */

struct pass {
	struct letters *l;
	int (*each)(void *ctx, const struct letter *x); /* NULL: marks are what is looked for */
	void *ctx;
};

static int take(struct pass *s, const rd_kafka_message_t *m)
{
	struct letters *l = s->l;
	struct letter x;
	char place[64];
	uint8_t bit, *byte;

	if (m->offset >= l->end[m->partition])
		return 0;
	if (!s->each) {
		if (header_text(m, REDRIVEN, place, sizeof place))
			note_mark(l, place);
		return 0;
	}
	byte = bit_of(l, m->partition, m->offset, &bit);
	return byte && !(*byte & bit) && read_letter(&x, m) ? s->each(s->ctx, &x) : 0;
}

static int is_done(const struct letters *l)
{
	for (int p = 0; p < l->partitions; p++)
		if (l->next[p] < l->end[p])
			return 0;
	return 1;
}

static int take_any(struct pass *s, const rd_kafka_message_t *m)
{
	struct letters *l = s->l;
	int r;

	if (m->err && m->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
		return client_read_error(m->err, l->topic, m->partition, m->offset, rd_kafka_message_errstr(m));
	r = m->err ? 0 : take(s, m);
	l->next[m->partition] = m->err ? m->offset : m->offset + 1;
	return r;
}

static int read_all(struct pass *s, rd_kafka_t *rk)
{
	struct letters *l = s->l;
	int r = 0, silence = 0;

	while (r == 0 && !is_done(l) && silence < SILENCE_MAX) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, POLL_MS);

		silence = m ? 0 : silence + 1;
		if (!m)
			continue;
		r = take_any(s, m);
		rd_kafka_message_destroy(m);
	}
	if (silence < SILENCE_MAX)
		return r;
	log_error("%s cannot be read to its end: no answer for %d s; is the broker still there, or a transaction open?", l->topic, SILENCE_MAX * POLL_MS / 1000);
	return EX_UNAVAILABLE;
}

/* A handle is assigned once (reader.c), so each pass has its own. */
static int read_pass(struct pass *s)
{
	struct letters *l = s->l;
	rd_kafka_t *rk = NULL;
	int r = client_new(&rk, l->cfg, CLIENT_CONSUMER);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(l->partitions);

	for (int p = 0; p < l->partitions; p++) {
		l->next[p] = l->low[p];
		rd_kafka_topic_partition_list_add(list, l->topic, p)->offset = l->low[p];
	}
	if (r == 0 && base_assign(rk, list)) {
		log_error("cannot read %s", l->topic);
		r = EX_UNAVAILABLE;
	}
	rd_kafka_topic_partition_list_destroy(list);
	if (r == 0)
		r = read_all(s, rk);
	client_free(rk);
	return r;
}

int letters_read(struct letters *l, int (*each)(void *ctx, const struct letter *x), void *ctx)
{
	int r = read_pass(&(struct pass){ .l = l });

	return r ? r : read_pass(&(struct pass){ .l = l, .each = each, .ctx = ctx });
}

/* --- where the letters came from --- */

#define NEAR 10000 /* records that are read over rather than begun anew behind them */

struct origin {
	rd_kafka_t *rk;
	rd_kafka_topic_t *topic;
	char name[TOPIC_NAME_MAX];
	int partitions;
	int64_t *low, *high; /* (partitions) */
	int32_t reading;     /* the partition that is read; -1 = none */
	int64_t next;        /* what comes of it */
};

int origin_new(struct origin **ret, const struct config *c)
{
	struct origin *o = calloc(1, sizeof *o);
	int r;

	if (!o)
		return log_no_memory();
	o->reading = -1;
	client_input_topic(o->name, sizeof o->name, c);
	r = client_input_partitions(c, &o->partitions);
	if (r == 0) {
		o->low = calloc((size_t)o->partitions, sizeof *o->low);
		o->high = calloc((size_t)o->partitions, sizeof *o->high);
		r = o->low && o->high ? client_input_watermarks(c, o->partitions, o->low, o->high) : log_no_memory();
	}
	if (r == 0)
		r = client_new_input(&o->rk, c, o->partitions);
	if (r == 0) {
		o->topic = rd_kafka_topic_new(o->rk, o->name, NULL);
		r = o->topic ? 0 : EX_SOFTWARE;
	}
	if (r)
		origin_free(o);
	else
		*ret = o;
	return r;
}

static void stop_reading(struct origin *o)
{
	if (o->reading >= 0)
		rd_kafka_consume_stop(o->topic, o->reading);
	o->reading = -1;
}

void origin_free(struct origin *o)
{
	if (!o)
		return;
	if (o->topic) {
		stop_reading(o);
		rd_kafka_topic_destroy(o->topic);
	}
	client_free(o->rk);
	free(o->low);
	free(o->high);
	free(o);
}

int origin_partitions(const struct origin *o) { return o->partitions; }
const char *origin_topic(const struct origin *o) { return o->name; }

static int begin_at(struct origin *o, int32_t partition, int64_t offset)
{
	if (o->reading == partition && offset >= o->next && offset - o->next < NEAR)
		return 0;
	stop_reading(o);
	if (rd_kafka_consume_start(o->topic, partition, offset)) {
		log_error("cannot read %s [%d]: %s", o->name, partition, rd_kafka_err2str(rd_kafka_last_error()));
		return EX_UNAVAILABLE;
	}
	o->reading = partition;
	o->next = offset;
	return 0;
}

/* *ret_any 0: nothing came. Behind the offset, or at the end, *ret stays NULL and o->next is beyond it. */
static int next_of(struct origin *o, int64_t offset, rd_kafka_message_t **ret, int *ret_any)
{
	rd_kafka_message_t *m = rd_kafka_consume(o->topic, o->reading, POLL_MS);
	int r = 0;

	*ret_any = m != NULL;
	if (!m)
		return 0;
	if (!m->err && m->offset == offset)
		*ret = m;
	if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF || m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
		o->next = offset + 1; /* a transaction that was taken back, or retention was faster */
	else if (m->err)
		r = client_read_error(m->err, o->name, o->reading, offset, rd_kafka_message_errstr(m));
	else
		o->next = m->offset + 1;
	if (!*ret)
		rd_kafka_message_destroy(m);
	return r;
}

int origin_fetch(struct origin *o, int32_t partition, int64_t offset, rd_kafka_message_t **ret)
{
	int r, any, silence = 0;

	*ret = NULL;
	if (partition >= o->partitions || offset < o->low[partition] || offset >= o->high[partition])
		return 0;
	r = begin_at(o, partition, offset);
	while (r == 0 && !*ret && o->next <= offset && silence < SILENCE_MAX) {
		r = next_of(o, offset, ret, &any);
		silence = any ? 0 : silence + 1;
	}
	if (silence < SILENCE_MAX)
		return r;
	log_error("%s [%d]: no answer for %d s at offset %lld", o->name, partition, SILENCE_MAX * POLL_MS / 1000, (long long)offset);
	return EX_UNAVAILABLE;
}
