/* load.c - `s4rec load`: events from a file or a pipe to the interactions topic.
 *
 * Input: CSV or TSV with a header line, or JSON lines (told apart by the first byte), plain or zstd. In JSON lines two
 * words lead to records that JSON cannot express:
 *     !raw BYTES      a record with the key `raw` and these bytes as they are (tests and the demo make bad input with it)
 *     !forget USER    a null value: forget this user
 */
#include "codec/delimited.h"
#include "codec/event.h"
#include "worker/command.h"
#include "worker/commands/interrupt.h"
#include "worker/lines.h"
#include "worker/kafka/client.h"
#include "worker/kafka/delivery.h"
#include "worker/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define BAD_SHOWN 5
#define PROGRESS_S 5

struct load {
	const struct config *cfg;
	const char *path;
	struct lines *lines;
	struct decoder *decoder;     /* JSON lines, or ... */
	struct delimited *delimited; /* ... CSV and TSV */
	rd_kafka_t *rk;
	rd_kafka_topic_t *topic;
	struct delivery delivery;
	char *buf;
	size_t buf_size;
	uint64_t bad;
	double start, progress;
};

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

static const char *text_or_null(const char *s)
{
	return s && *s ? s : NULL;
}

static int blank(const char *s, size_t len)
{
	while (len && (s[len - 1] == ' ' || s[len - 1] == '\t' || s[len - 1] == '\r'))
		len--;
	return len == 0;
}

static void bad_line(struct load *l, const char *why)
{
	if (l->bad++ < BAD_SHOWN)
		log_error("%s line %llu: %s", l->path, (unsigned long long)lines_number(l->lines), why);
}

static int is_word(const char *line, size_t len, const char *word)
{
	return len >= strlen(word) && memcmp(line, word, strlen(word)) == 0;
}

/* --- start ---------------------------------------------------------------------------------------------------------- */

static int open_json(struct load *l)
{
	const struct config *c = l->cfg;
	struct decoder_options o = {
		.format = EVENT_JSON, .user_path = text_or_null(c->map_user), .item_path = text_or_null(c->map_item),
		.time_path = text_or_null(c->map_time), .type_path = text_or_null(c->map_type), .weight_path = text_or_null(c->map_weight),
		.event_id_path = text_or_null(c->map_event_id), .time_unit = (enum event_time_unit)c->time_unit,
		.id_max_bytes = (size_t)c->id_max_bytes, .record_max_bytes = (size_t)c->record_max_bytes, .weight_max = c->weight_max,
	};
	const char *why = "out of memory";

	if (decoder_new(&l->decoder, &o, &why) < 0) {
		log_error("%s (--map.*)", why);
		return EX_CONFIG;
	}
	return 0;
}

static int open_delimited(struct load *l, const char *header, size_t len)
{
	const struct config *c = l->cfg;
	struct delimited_options o = {
		.user = text_or_null(c->map_user), .item = text_or_null(c->map_item), .time = text_or_null(c->map_time),
		.type = text_or_null(c->map_type), .weight = text_or_null(c->map_weight), .event_id = text_or_null(c->map_event_id),
		.time_unit = (enum event_time_unit)c->time_unit, .id_max_bytes = (size_t)c->id_max_bytes, .weight_max = c->weight_max,
		.line_max_bytes = (size_t)c->record_max_bytes,
	};
	char why[1024] = "out of memory";

	if (delimited_new(&l->delimited, &o, header, len, why, sizeof why) < 0) {
		log_error("%s line 1: %s (--map.user, --map.item, --map.time name the columns)", l->path, why);
		return EX_DATAERR;
	}
	return 0;
}

/* --- one line ------------------------------------------------------------------------------------------------------- */

static int send_record(struct load *l, const void *key, size_t key_len, const void *value, size_t value_len)
{
	while (rd_kafka_produce(l->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, (void *)value, value_len, key, key_len, &l->delivery) != 0) {
		rd_kafka_resp_err_t err = rd_kafka_last_error();

		if (err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
			bad_line(l, "too large for a record (kafka.message.max.bytes)");
			return 0;
		}
		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
			log_error("%s line %llu: %s: %s", l->path, (unsigned long long)lines_number(l->lines),
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

static int one_line(struct load *l, const char *line, size_t len)
{
	const char *why = "undecodable";
	struct event ev;
	int r;

	if (l->decoder && is_word(line, len, "!raw ")) {
		static char none; /* an empty value, not a null one */

		return send_record(l, "raw", 3, len > 5 ? line + 5 : &none, len - 5);
	}
	if (l->decoder && is_word(line, len, "!forget ") && len > 8)
		return send_record(l, line + 8, len - 8, NULL, 0);
	if (l->decoder)
		r = decoder_decode(l->decoder, &ev, NULL, 0, line, len, -1, &why);
	else
		r = delimited_decode(l->delimited, &ev, line, len, &why);
	if (r < 0) {
		bad_line(l, why);
		return 0;
	}
	return send_event(l, &ev);
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
		log_info("load events=%llu bad=%llu rate=%.0f/s", (unsigned long long)l->delivery.sent, (unsigned long long)l->bad,
		         (double)l->delivery.sent / (now - l->start));
	}
}

static int all_lines(struct load *l)
{
	/* Between two looks at the clock: enough not to notice it, few enough that a slow pipe is smooth. */
	uint64_t every = l->cfg->rate > 0 && l->cfg->rate < 20000 ? 1 + (uint64_t)(l->cfg->rate / 200) : 1000, n = 0;
	const char *line;
	size_t len;
	int r, code = 0;

	while (code == 0 && !interrupt_seen()) {
		r = lines_next(l->lines, &line, &len);
		if (r == -EINTR)
			continue;
		if (r < 0) {
			log_error("%s after line %llu: %s", l->path, (unsigned long long)lines_number(l->lines),
			        r == -EBADMSG ? "damaged or truncated zstd data" : strerror(-r));
			return EX_DATAERR;
		}
		if (r == 0)
			break;
		if (blank(line, len))
			continue;
		if (!l->decoder && !l->delimited) {
			int json = l->cfg->format == EVENT_JSON || line[0] == '{' || is_word(line, len, "!raw ") || is_word(line, len, "!forget ");

			code = json ? open_json(l) : open_delimited(l, line, len);
			if (!json || code)
				continue;
		}
		code = one_line(l, line, len);
		if (++n % every == 0)
			housekeeping(l);
	}
	return code;
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
	fprintf(stderr, "loaded %llu events in %.1f s (%.0f events/s), %llu bad lines\n", (unsigned long long)d->ok, s,
	        s > 0 ? (double)d->ok / s : 0, (unsigned long long)l->bad);
	if (d->ok < d->sent) {
		log_error("%llu events were not delivered: %s", (unsigned long long)(d->sent - d->ok), rd_kafka_err2str(d->first_error));
		return EX_UNAVAILABLE;
	}
	if (interrupt_seen()) {
		log_error("interrupted after line %llu", (unsigned long long)lines_number(l->lines));
		return 130; /* what a shell says of Ctrl-C: `load && ...` must not go on with a part of the file */
	}
	return l->bad ? EX_DATAERR : 0;
}

static int load_file(struct load *l)
{
	int r, code;

	r = lines_new(&l->lines, l->path);
	if (r < 0) {
		log_error("%s: %s", l->path, r == -EISDIR ? "a folder; name a file, or - for stdin" : strerror(-r));
		return EX_NOINPUT;
	}
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
	} else if (c.format == EVENT_PROTOBUF) {
		log_error("s4rec load: --format protobuf cannot be read from lines; the file is CSV, TSV or JSON lines");
		r = EX_USAGE;
	} else {
		l.path = c.args[0];
		r = load_file(&l);
	}
	if (l.topic)
		rd_kafka_topic_destroy(l.topic);
	client_free(l.rk);
	lines_free(l.lines);
	decoder_free(l.decoder);
	delimited_free(l.delimited);
	free(l.buf);
	config_release(&c);
	return r;
}
