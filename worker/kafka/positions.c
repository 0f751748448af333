/* positions.c - see positions.h */
#include "worker/kafka/positions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "codec/event.h"
#include "topics/topics.h"
#include "worker/log.h"

#define PEEK 64         /* records that a look takes: markers of transactions have offsets, too */
#define TIMEOUT_MS 10000

/* ---- words ---- */

static int parse_duration(int64_t *ret_ms, const char *s)
{
	static const struct { const char *name; int64_t ms; } units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 } };
	char *end;
	errno = 0;
	long long n = strtoll(s, &end, 10);
	if (errno || end == s || n < 0 || *s == '+')
		return -EINVAL;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (!strcmp(end, units[i].name))
			return __builtin_mul_overflow(n, units[i].ms, ret_ms) ? -EINVAL : 0;
	return -EINVAL;
}

/* One "partition:offset"; *ret_rest: behind it and its comma. 0 or -EINVAL. */
static int parse_offset(const char *s, long *ret_partition, long long *ret_offset, const char **ret_rest)
{
	char *end;
	errno = 0;
	*ret_partition = strtol(s, &end, 10);
	if (errno || end == s || *end != ':' || *s < '0' || *s > '9' || *ret_partition > INT32_MAX)
		return -EINVAL;
	s = end + 1;
	*ret_offset = strtoll(s, &end, 10);
	if (errno || end == s || *s < '0' || *s > '9' || (*end && (*end != ',' || !end[1])))
		return -EINVAL;
	*ret_rest = *end ? end + 1 : end;
	return 0;
}

static int check_offsets(const char *s)
{
	long partition;
	long long offset;
	int r = *s ? 0 : -EINVAL;
	while (r == 0 && *s)
		r = parse_offset(s, &partition, &offset, &s);
	return r;
}

int64_t position_offset(const char *offsets, int partition)
{
	long p;
	long long offset;
	while (*offsets && parse_offset(offsets, &p, &offset, &offsets) == 0)
		if (p == partition)
			return offset;
	return -1;
}

int position_parse(struct position *ret, const char *text)
{
	static const char *const words[] = { "beginning", "end", "committed" };
	*ret = (struct position){ .offsets = text };
	for (int i = 0; i < 3; i++)
		if (!strcmp(text, words[i])) {
			ret->kind = (enum position_kind)i;
			return 0;
		}
	ret->kind = POSITION_BEFORE_END;
	if (parse_duration(&ret->ms, text) == 0)
		return 0;
	ret->kind = POSITION_OFFSETS;
	if (check_offsets(text) == 0)
		return 0;
	ret->kind = POSITION_TIME;
	return time_parse_iso8601(&ret->ms, text, strlen(text)) == 0 ? 0 : -EINVAL;
}

/* ---- a look at some records ---- */

struct peek {
	rd_kafka_t *rk;
	char topic[TOPIC_NAME_MAX];
	int partitions, waiting;
	const int64_t *end;
	uint8_t *done;
	int64_t *first_ms, *last_ms;
};

static void finish_partition(struct peek *p, int partition)
{
	p->waiting -= !p->done[partition];
	p->done[partition] = 1;
}

static int take(struct peek *p, const rd_kafka_message_t *m)
{
	rd_kafka_timestamp_type_t type;
	if (m->err && m->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
		return client_read_error(m->err, p->topic, m->partition, m->offset, rd_kafka_message_errstr(m));
	if (m->partition < 0 || m->partition >= p->partitions || p->done[m->partition])
		return 0;
	if (m->err || m->offset >= p->end[m->partition]) {
		finish_partition(p, m->partition);
		return 0;
	}
	int64_t ms = rd_kafka_message_timestamp(m, &type);
	if (p->first_ms[m->partition] < 0)
		p->first_ms[m->partition] = ms;
	p->last_ms[m->partition] = ms;
	if (m->offset + 1 >= p->end[m->partition])
		finish_partition(p, m->partition);
	return 0;
}

static int poll_all(struct peek *p)
{
	int r = 0;
	for (int waited = 0; r == 0 && p->waiting > 0; ) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(p->rk, 100);
		if (!m && (waited += 100) >= TIMEOUT_MS) {
			log_error("%s: no answer for %d s; is the broker still there?", p->topic, TIMEOUT_MS / 1000);
			return EX_UNAVAILABLE;
		}
		if (!m)
			continue;
		r = take(p, m);
		rd_kafka_message_destroy(m);
	}
	return r;
}

/* The times of the first and the last record that lie in at .. end - 1, by partition; -1 where there is none. */
static int peek(const struct config *c, int partitions, const int64_t *at, const int64_t *end, int64_t *first_ms, int64_t *last_ms)
{
	struct peek p = { .partitions = partitions, .end = end, .first_ms = first_ms, .last_ms = last_ms, .done = calloc((size_t)partitions, 1) };
	rd_kafka_topic_partition_list_t *list = NULL;
	int r = p.done ? client_new(&p.rk, c, CLIENT_CONSUMER) : log_no_memory();
	client_input_topic(p.topic, sizeof p.topic, c);
	if (r == 0)
		list = rd_kafka_topic_partition_list_new(partitions);
	for (int i = 0; r == 0 && i < partitions; i++) {
		first_ms[i] = last_ms[i] = -1;
		p.done[i] = at[i] >= end[i];
		p.waiting += !p.done[i];
		if (!p.done[i])
			rd_kafka_topic_partition_list_add(list, p.topic, i)->offset = at[i];
	}
	if (r == 0 && p.waiting && base_assign(p.rk, list)) {
		log_error("cannot read %s", p.topic);
		r = EX_UNAVAILABLE;
	}
	if (list)
		rd_kafka_topic_partition_list_destroy(list);
	if (r == 0)
		r = poll_all(&p);
	client_free(p.rk);
	free(p.done);
	return r;
}

/* ---- places ---- */

static int by_time(const struct config *c, int partitions, int64_t ms, const int64_t *high, int64_t *ret)
{
	char topic[TOPIC_NAME_MAX];
	rd_kafka_t *rk = NULL;
	int r = client_new(&rk, c, CLIENT_CONSUMER);
	if (r)
		return r;
	client_input_topic(topic, sizeof topic, c);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
	for (int p = 0; p < partitions; p++)
		rd_kafka_topic_partition_list_add(list, topic, p)->offset = ms < 0 ? 0 : ms;
	rd_kafka_resp_err_t err = rd_kafka_offsets_for_times(rk, list, TIMEOUT_MS);
	for (int p = 0; !err && p < partitions; p++) {
		err = list->elems[p].err;
		ret[p] = list->elems[p].offset < 0 ? high[p] : list->elems[p].offset; /* no record is that young */
	}
	rd_kafka_topic_partition_list_destroy(list);
	client_free(rk);
	if (!err)
		return 0;
	log_error("cannot ask %s for offsets by time: %s", topic, rd_kafka_err2str(err));
	return EX_UNAVAILABLE;
}

/* The time of the newest record of each partition that has one. What stands at the end may be markers, and a whole transaction that was aborted. */
static int newest_of_each(const struct config *c, int partitions, const int64_t *low, const int64_t *high, int64_t *ret)
{
	int64_t at[partitions], first[partitions];
	int r = 0, hidden = 1;
	for (int64_t back = PEEK; r == 0 && hidden; back *= 16) {
		for (int p = 0; p < partitions; p++)
			at[p] = high[p] - low[p] > back ? high[p] - back : low[p];
		r = peek(c, partitions, at, high, first, ret);
		hidden = 0;
		for (int p = 0; r == 0 && p < partitions; p++)
			hidden |= ret[p] < 0 && at[p] > low[p];
	}
	return r;
}

static int before_end(const struct config *c, int partitions, int64_t ms, const int64_t *low, const int64_t *high, int64_t *ret)
{
	int64_t last[partitions], newest = -1;
	int r = newest_of_each(c, partitions, low, high, last);
	for (int p = 0; r == 0 && p < partitions; p++)
		newest = last[p] > newest ? last[p] : newest;
	return r ? r : by_time(c, partitions, newest - ms, high, ret);
}

/* A model beside another one has the group of that one, with its id behind it (side.h). */
static void base_group(const struct config *c, char *ret, size_t size)
{
	size_t len = strlen(c->group_id), id = strlen(c->model_id);
	snprintf(ret, size, "%s", c->group_id);
	if (len > id + 1 && len < size && ret[len - id - 1] == '.' && !strcmp(ret + len - id, c->model_id))
		ret[len - id - 1] = '\0';
}

static int committed(const struct config *c, int partitions, int64_t *ret)
{
	char topic[TOPIC_NAME_MAX], group[TOPIC_NAME_MAX];
	struct config other = *c;
	rd_kafka_t *rk = NULL;
	base_group(c, group, sizeof group);
	other.group_id = group;
	client_input_topic(topic, sizeof topic, c);
	int r = client_new(&rk, &other, CLIENT_CONSUMER), some = 0;
	if (r)
		return r;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
	for (int p = 0; p < partitions; p++)
		rd_kafka_topic_partition_list_add(list, topic, p);
	rd_kafka_resp_err_t err = rd_kafka_committed(rk, list, TIMEOUT_MS);
	for (int p = 0; !err && p < partitions; p++) {
		ret[p] = list->elems[p].offset;
		some |= ret[p] >= 0;
	}
	rd_kafka_topic_partition_list_destroy(list);
	client_free(rk);
	if (err) {
		log_error("cannot ask for the committed offsets of %s: %s", topic, rd_kafka_err2str(err));
		return EX_UNAVAILABLE;
	}
	if (!some) {
		log_error("group %s has committed nothing on %s", group, topic);
		return EX_DATAERR;
	}
	return 0;
}

int positions_resolve(const struct config *c, const char *option, const char *text, int partitions, int64_t *ret)
{
	struct position x;
	int64_t low[partitions], high[partitions];
	int until = !strcmp(option, "until"), r;
	if (position_parse(&x, text) < 0)
		return EX_USAGE;
	r = client_input_watermarks(c, partitions, low, high);
	for (int p = 0; r == 0 && p < partitions; p++)
		ret[p] = x.kind == POSITION_BEGINNING ? low[p] : x.kind == POSITION_OFFSETS ? position_offset(x.offsets, p) : high[p];
	if (r == 0 && x.kind == POSITION_COMMITTED)
		r = committed(c, partitions, ret);
	if (r == 0 && x.kind == POSITION_TIME)
		r = by_time(c, partitions, x.ms, high, ret);
	if (r == 0 && x.kind == POSITION_BEFORE_END)
		r = before_end(c, partitions, x.ms, low, high, ret);
	for (int p = 0; r == 0 && p < partitions; p++) {
		if (ret[p] < 0)
			ret[p] = until ? high[p] : low[p];
		ret[p] = ret[p] < low[p] ? low[p] : ret[p] > high[p] ? high[p] : ret[p];
	}
	return r;
}

int positions_times(const struct config *c, int partitions, const int64_t *from, const int64_t *until, int64_t *ret_first_ms, int64_t *ret_last_ms)
{
	int64_t at[partitions], end[partitions], unused[partitions];
	for (int p = 0; p < partitions; p++) {
		at[p] = until[p] - PEEK > from[p] ? until[p] - PEEK : from[p];
		end[p] = from[p] + PEEK < until[p] ? from[p] + PEEK : until[p];
	}
	int r = peek(c, partitions, from, end, ret_first_ms, unused);
	return r ? r : peek(c, partitions, at, until, unused, ret_last_ms);
}
