/* handle.c - see handle.h. */
#include "worker/reader/handle.h"
#include "worker/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 10000
#define TELL_EVERY_MS 10000

/* --- words ---------------------------------------------------------------------------------------------------------- */

static void log_to_stderr(void *ctx, enum s4rec_log level, const char *text)
{
	if (level <= S4REC_WARNING)
		fprintf(stderr, "s4rec-reader: %s%s\n", level == S4REC_ERROR ? "error: " : "", text);
}

void handles_say(const struct handles *h, enum s4rec_log level, const char *fmt, ...)
{
	char text[1536];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	h->log(h->ctx, level, text);
}

/* On a thread of librdkafka's. */
static void on_log(const rd_kafka_t *rk, int level, const char *fac, const char *buf)
{
	struct handles *h = rd_kafka_opaque(rk);
	const char *text = base_log_text(level, fac, buf);

	if (level == 7) { /* only with the key debug: the user wants all of it */
		handles_say(h, S4REC_DEBUG, "librdkafka %s: %s", fac, buf);
		return;
	}
	if (text == NULL)
		return;
	pthread_mutex_lock(&h->lock);
	snprintf(h->last, sizeof h->last, "%s", text);
	h->lines++;
	pthread_mutex_unlock(&h->lock);
}

void handles_tell(struct handles *h)
{
	int64_t now_ms = monotonic_ms();
	char text[512];
	unsigned lines = 0;

	pthread_mutex_lock(&h->lock);
	if (h->lines && now_ms - h->told_ms >= TELL_EVERY_MS) {
		lines = h->lines;
		memcpy(text, h->last, sizeof text);
		h->lines = 0;
		h->told_ms = now_ms;
	}
	pthread_mutex_unlock(&h->lock);
	if (lines > 1)
		handles_say(h, S4REC_WARNING, "kafka not_shown=%u %s", lines - 1, text);
	else if (lines)
		handles_say(h, S4REC_WARNING, "kafka %s", text);
}

/* --- life ----------------------------------------------------------------------------------------------------------- */

int handles_init(struct handles *h, const struct s4rec_reader_options *o)
{
	memset(h, 0, sizeof *h);
	pthread_mutex_init(&h->lock, NULL);
	h->told_ms = -TELL_EVERY_MS;
	h->log = o->log ? o->log : log_to_stderr;
	h->ctx = o->ctx;
	h->timeout_ms = o->timeout_ms > 0 ? o->timeout_ms : TIMEOUT_MS;
	if (o->bootstrap_servers == NULL || *o->bootstrap_servers == '\0') {
		handles_say(h, S4REC_ERROR, "bootstrap_servers is missing: host:port of a broker");
		return -EINVAL;
	}
	h->servers = strdup(o->bootstrap_servers);
	h->kafka = calloc(2 * o->kafka_count + 1, sizeof *h->kafka);
	if (h->servers == NULL || h->kafka == NULL)
		return -ENOMEM;
	h->kafka_count = o->kafka_count;
	for (size_t i = 0; i < 2 * o->kafka_count; i++) {
		h->kafka[i] = strdup(o->kafka[i]);
		if (h->kafka[i] == NULL)
			return -ENOMEM;
	}
	return 0;
}

void handles_release(struct handles *h)
{
	for (size_t i = 0; h->kafka && i < 2 * h->kafka_count; i++)
		free(h->kafka[i]);
	free(h->kafka);
	free(h->servers);
	pthread_mutex_destroy(&h->lock);
}

static int connect_broker(rd_kafka_t *rk, struct handles *h)
{
	char why[512];

	if (base_connect(rk, h->timeout_ms) == RD_KAFKA_RESP_ERR_NO_ERROR)
		return 0;
	pthread_mutex_lock(&h->lock);
	snprintf(why, sizeof why, "%s", h->lines ? h->last : "no answer");
	h->lines = 0;
	pthread_mutex_unlock(&h->lock);
	handles_say(h, S4REC_ERROR, "no broker answers at %s within %g s: %s; is it running? (bootstrap.servers)", h->servers, (double)h->timeout_ms / 1000, why);
	return -EHOSTUNREACH;
}

int handle_new(rd_kafka_t **ret, struct handles *h, int committed)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char err[1024];
	rd_kafka_t *rk = NULL;
	int r = base_set_common(conf, h->servers, err, sizeof err);

	if (r == 0)
		r = base_set_consumer(conf, committed, "s4rec-reader", err, sizeof err);
	if (r == 0)
		r = base_set_user(conf, h->kafka, h->kafka_count, err, sizeof err);
	if (r == 0) {
		rd_kafka_conf_set_log_cb(conf, on_log);
		rd_kafka_conf_set_opaque(conf, h);
		rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, err, sizeof err);
	}
	if (rk == NULL) {
		rd_kafka_conf_destroy(conf);
		handles_say(h, S4REC_ERROR, "%s", err);
		return -EINVAL;
	}
	rd_kafka_poll_set_consumer(rk);
	r = connect_broker(rk, h);
	if (r < 0) {
		handle_free(rk);
		return r;
	}
	*ret = rk;
	return 0;
}

void handle_free(rd_kafka_t *rk)
{
	if (rk) /* without the consumer's close: it is in no group, and might wait for a coordinator that is away */
		rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

int handle_assign(rd_kafka_t *rk, const struct handles *h, const char *topic, int partition, int partitions)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
	rd_kafka_resp_err_t err;

	for (int p = 0; p < partitions; p++)
		if (partition < 0 || p == partition)
			rd_kafka_topic_partition_list_add(list, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
	err = base_assign(rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return 0;
	handles_say(h, S4REC_ERROR, "%s: %s", topic, rd_kafka_err2str(err));
	return -EHOSTUNREACH;
}

int handle_partitions(rd_kafka_t *rk, const struct handles *h, const char *topic, int *ret)
{
	rd_kafka_resp_err_t err = base_partitions(rk, topic, h->timeout_ms, ret);

	if (err) {
		handles_say(h, S4REC_ERROR, "%s: %s", h->servers, rd_kafka_err2str(err));
		return -EHOSTUNREACH;
	}
	if (*ret)
		return 0;
	handles_say(h, S4REC_ERROR, "topic %s is missing at %s; `s4rec topics create` makes it, `s4rec train` fills it (--topic.prefix)", topic, h->servers);
	return -ENOENT;
}
