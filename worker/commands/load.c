/* load.c - `s4rec load`: events from a file or a pipe to the interactions topic.
 */
#include "codec/event.h"
#include "worker/command.h"
#include "worker/commands/interrupt.h"
#include "worker/events_file.h"
#include "worker/kafka/client.h"
#include "worker/kafka/delivery.h"
#include "worker/leave_out.h"
#include "worker/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define PROGRESS_S 5

struct load {
	const struct config *cfg;
	const char *path;
	struct events_file *file;
	struct leave_out *left; /* NULL unless leave.out */
	uint64_t withheld, ignored;
	rd_kafka_t *rk;
	rd_kafka_topic_t *topic;
	struct delivery delivery;
	char *buf;
	size_t buf_size;
	double start, progress;
};

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

/* --- one line ------------------------------------------------------------------------------------------------------- */

static int send_record(struct load *l, const void *key, size_t key_len, const void *value, size_t value_len)
{
	while (rd_kafka_produce(l->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, (void *)value, value_len, key, key_len, &l->delivery) != 0) {
		rd_kafka_resp_err_t err = rd_kafka_last_error();

		if (err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
			events_file_bad(l->file, "too large for a record (kafka.message.max.bytes)");
			return 0;
		}
		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
			log_error("%s line %llu: %s: %s", l->path, (unsigned long long)events_file_line(l->file),
			        rd_kafka_topic_name(l->topic), rd_kafka_err2str(err));
			return EX_UNAVAILABLE;
		}
		rd_kafka_poll(l->rk, 10); /* full is normal: the broker is slower than the file */
		if (interrupt_seen())
			return 0;
	}
	l->delivery.sent++;
	return 0;
}

static int send_event(struct load *l, const struct event *ev)
{
	size_t len;

	while (event_encode(l->buf, l->buf_size, &len, ev) == -ENOSPC) {
		free(l->buf);
		l->buf_size = 2 * len;
		l->buf = malloc(l->buf_size);
		if (l->buf == NULL) {
			l->buf_size = 0;
			log_error("out of memory");
			return EX_SOFTWARE;
		}
	}
	return send_record(l, ev->user, ev->user_len, l->buf, len);
}

static int send_line(struct load *l, enum events_line what, const struct events_read *read)
{
	static char none; /* an empty value, not a null one */

	switch (what) {
	case LINE_EVENT:
		if (l->left && leave_out_has(l->left, &read->event, events_file_line(l->file))) {
			l->withheld++;
			return 0;
		}
		return send_event(l, &read->event);
	case LINE_IGNORED:
		l->ignored++;
		return 0;
	case LINE_RAW:
		return send_record(l, "raw", 3, read->len ? read->bytes : &none, read->len);
	case LINE_FORGET:
		return send_record(l, read->bytes, read->len, NULL, 0);
	default:
		return what == LINE_FAILED ? read->code : 0;
	}
}

/* Serves reports, keeps to the rate, tells how it goes. */
static void housekeeping(struct load *l)
{
	double now = seconds(), ahead;

	if (l->cfg->rate > 0) {
		while ((ahead = (double)l->delivery.sent / l->cfg->rate - (now - l->start)) > 0 && !interrupt_seen()) {
			rd_kafka_poll(l->rk, ahead > 0.1 ? 100 : (int)(ahead * 1000) + 1);
			now = seconds();
		}
	}
	rd_kafka_poll(l->rk, 0);
	if (now - l->progress >= PROGRESS_S) {
		l->progress = now;
		log_info("load events=%llu bad=%llu rate=%.0f/s", (unsigned long long)l->delivery.sent, (unsigned long long)events_file_bad_count(l->file),
		         (double)l->delivery.sent / (now - l->start));
	}
}

static int all_lines(struct load *l)
{
	/* Between two looks at the clock: enough not to notice it, few enough that a slow pipe is smooth. */
	uint64_t every = l->cfg->rate > 0 && l->cfg->rate < 20000 ? 1 + (uint64_t)(l->cfg->rate / 200) : 1000, n = 0;
	struct events_read read;
	enum events_line what = LINE_SIGNAL;
	int code = 0;

	while (code == 0 && what != LINE_END && !interrupt_seen()) {
		what = events_file_next(l->file, &read);
		code = send_line(l, what, &read);
		if (++n % every == 0)
			housekeeping(l);
	}
	return code;
}

/* Not a pipe, by whatever name. What is not there is told when it is opened. */
static int can_read_twice(const char *path)
{
	struct stat st;
	return strcmp(path, "-") != 0 && (stat(path, &st) < 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
}

/* --- end ------------------------------------------------------------------------------------------------------------ */

static int finish(struct load *l)
{
	struct delivery *d = &l->delivery;
	double s;

	while (d->ok + d->failed < d->sent) { /* librdkafka's message.timeout.ms ends it */
		rd_kafka_flush(l->rk, 1000);
		if (seconds() - l->progress >= PROGRESS_S) {
			l->progress = seconds();
			log_info("load waiting_for_broker=%llu", (unsigned long long)(d->sent - d->ok - d->failed));
		}
		if (rd_kafka_fatal_error(l->rk, NULL, 0))
			break;
	}
	s = seconds() - l->start;
	if (l->ignored)
		log_info("load ignored=%llu (type.weights)", (unsigned long long)l->ignored);
	if (l->left)
		log_info("load withheld=%llu of %zu users (leave.out)", (unsigned long long)l->withheld, leave_out_users(l->left));
	fprintf(stderr, "loaded %llu events in %.1f s (%.0f events/s), %llu bad lines\n", (unsigned long long)d->ok, s,
	        s > 0 ? (double)d->ok / s : 0, (unsigned long long)events_file_bad_count(l->file));
	if (d->ok < d->sent) {
		log_error("%llu events were not delivered: %s", (unsigned long long)(d->sent - d->ok), rd_kafka_err2str(d->first_error));
		return EX_UNAVAILABLE;
	}
	if (interrupt_seen()) {
		log_error("interrupted after line %llu", (unsigned long long)events_file_line(l->file));
		return 130; /* what a shell says of Ctrl-C: `load && ...` must not go on with a part of the file */
	}
	return events_file_bad_count(l->file) ? EX_DATAERR : 0;
}

static int load_file(struct load *l)
{
	int r, code;

	r = l->cfg->leave_out ? leave_out_new(&l->left, l->cfg, l->path, (size_t)l->cfg->leave_out) : 0;
	if (r)
		return r;
	r = events_file_new(&l->file, l->cfg, l->path);
	if (r)
		return r;
	r = client_input_producer(&l->rk, &l->topic, l->cfg);
	if (r)
		return r;
	interrupt_install();
	l->start = l->progress = seconds();
	code = all_lines(l);
	r = finish(l);
	return code ? code : r;
}

int command_load(int argc, char **argv)
{
	struct config c;
	struct load l = { .cfg = &c };
	int r;

	r = config_parse(&c, C_LOAD, "s4rec load [OPTION ...] FILE|-   (CSV or TSV with a header, or JSON lines; plain or zstd)",
	                 "s4rec load -b 127.0.0.1:9092 clicks.csv.zst", argc, argv);
	if (r)
		return r < 0 ? EX_OK : r;
	if (c.arg_count != 1) {
		log_error("s4rec load: name one file, or - for stdin");
		r = EX_USAGE;
	} else if (c.format == EVENT_PROTOBUF || c.format == EVENT_CONFLUENT) {
		log_error("s4rec load: --format protobuf and confluent cannot be read from lines; the file is CSV, TSV or JSON lines");
		r = EX_USAGE;
	} else if (c.format == EVENT_CLOUDEVENTS) {
		log_error("s4rec load: what it writes is protobuf, which a worker with format=cloudevents refuses; leave CloudEvents to their own producers");
		r = EX_USAGE;
	} else if (c.leave_out && !can_read_twice(c.args[0])) {
		log_error("s4rec load: leave.out reads the file twice, so %s cannot be a pipe: name a file", c.args[0]);
		r = EX_USAGE;
	} else {
		l.path = c.args[0];
		r = load_file(&l);
	}
	if (l.topic)
		rd_kafka_topic_destroy(l.topic);
	client_free(l.rk);
	events_file_free(l.file);
	leave_out_free(l.left);
	free(l.buf);
	config_release(&c);
	return r;
}
