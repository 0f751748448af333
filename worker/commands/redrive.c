/* redrive.c - `s4rec redrive [FILE]`: sends dead letters once more to the input topic, each to the partition that its record had.
 *
 * A letter is sent once, whatever crashed in between: the record and a mark among the letters (kafka/letters.h) are one transaction, and a letter that has a mark
 * is passed over. Two that run at the same time cannot both send one: the second fences the first (transactional id <prefix>.redrive) before it looks for marks.
 *
 *     init_transactions -> marks, then letters, of the topic's end as of now -> begin -> (record, mark) ... -> commit -> begin ...
 *
 * What a letter does not hold (dlq.payload=off, dlq.max.bytes, headers) is fetched from where the record stood, if it is still there.
 */
#include "worker/commands/redrive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "worker/clock.h"
#include "worker/command.h"
#include "worker/commands/interrupt.h"
#include "worker/kafka/base.h"
#include "worker/kafka/delivery.h"
#include "worker/kafka/letters.h"
#include "worker/kafka/positions.h"
#include "worker/kafka/verdict.h"
#include "worker/log.h"

#define TXN_LETTERS 1000
#define TXN_BYTES (16u * 1024 * 1024)
#define INIT_MS 60000

struct redrive {
	const struct config *cfg;
	int64_t since_ms, before_ms;
	struct repairs *repairs; /* NULL: letters go as they are */
	struct letters *letters;
	struct origin *origin;
	rd_kafka_t *rk;          /* NULL: a dry run */
	char dlq[TOPIC_NAME_MAX];
	struct delivery delivery;
	int64_t open_ms;         /* since then a transaction is open; 0 = none is */
	size_t txn_letters, txn_bytes;
	uint64_t sent, fetched, gone, elsewhere;
};

/* A record to be sent; borrowed. */
struct outgoing {
	const void *key, *value; /* NULL = none */
	size_t key_len, value_len;
	int64_t ms;
	const rd_kafka_headers_t *headers; /* those of the origin, or NULL */
};

/* --- transactions --- */

/* Of what may have been written nothing is lost and nothing doubled by another run: what was committed is marked. */
static int failed(const char *what, rd_kafka_resp_err_t code, const char *why)
{
	const char *hint;
	int r = verdict_exit(code, &hint);

	log_error("redrive: %s: %s; %s", what, why, hint ? hint : "run it again: what was sent is marked, and is not sent twice");
	return r;
}

static int check(const char *what, rd_kafka_error_t *e)
{
	if (!e)
		return 0;
	int r = failed(what, rd_kafka_error_code(e), rd_kafka_error_string(e));
	rd_kafka_error_destroy(e);
	return r;
}

static int begin(struct redrive *x)
{
	if (x->open_ms)
		return 0;
	int r = check("begin", rd_kafka_begin_transaction(x->rk));

	if (r == 0)
		x->open_ms = monotonic_ms();
	return r;
}

static int commit(struct redrive *x)
{
	int r;

	if (!x->open_ms)
		return 0;
	rd_kafka_flush(x->rk, (int)x->cfg->transaction_timeout_ms);
	if (x->delivery.ok < x->delivery.sent)
		return failed("deliver", x->delivery.failed ? x->delivery.first_error : RD_KAFKA_RESP_ERR__TIMED_OUT, "not all records could be written");
	r = check("commit", rd_kafka_commit_transaction(x->rk, (int)x->cfg->transaction_timeout_ms + 5000));
	x->open_ms = 0;
	x->txn_letters = x->txn_bytes = 0;
	return r;
}

/* Before something that may take long: the broker ends a transaction after its time, and until its end readers of the input, a trainer among them, wait. */
static int commit_old(struct redrive *x)
{
	return x->open_ms && monotonic_ms() - x->open_ms >= x->cfg->transaction_timeout_ms / 8 ? commit(x) : 0;
}

/* headers: the client's from here on, whatever becomes of it. */
static int produce(struct redrive *x, const char *topic, int32_t partition, const struct outgoing *o, rd_kafka_headers_t *headers)
{
	rd_kafka_resp_err_t err;

	do {
		err = rd_kafka_producev(x->rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_KEY(o->key, o->key ? o->key_len : 0),
		                        RD_KAFKA_V_VALUE((void *)o->value, o->value ? o->value_len : 0), RD_KAFKA_V_TIMESTAMP(o->ms), RD_KAFKA_V_HEADERS(headers),
		                        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(&x->delivery), RD_KAFKA_V_END);
		if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
			rd_kafka_poll(x->rk, 10);
	} while (err == RD_KAFKA_RESP_ERR__QUEUE_FULL && !interrupt_seen());
	if (err) {
		rd_kafka_headers_destroy(headers);
		return failed(topic, err, rd_kafka_err2str(err));
	}
	x->delivery.sent++;
	return 0;
}

/* What the record had, but for our own words of an earlier time, and where the letter stands. */
static rd_kafka_headers_t *headers_of(const struct letter *x, const rd_kafka_headers_t *had)
{
	rd_kafka_headers_t *ret = rd_kafka_headers_new(8);
	const char *name;
	const void *value;
	size_t len;
	char place[48];
	int n = snprintf(place, sizeof place, "%d:%lld", x->partition, (long long)x->offset);

	for (size_t i = 0; had && rd_kafka_header_get_all(had, i, &name, &value, &len) == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
		if (strncmp(name, "s4rec.", 6))
			rd_kafka_header_add(ret, name, -1, value, value ? (ssize_t)len : -1);
	rd_kafka_header_add(ret, REDRIVEN, -1, place, n);
	return ret;
}

/* The record, and the mark of its letter. */
static int send_again(struct redrive *x, const struct letter *letter, const struct outgoing *o)
{
	static const struct outgoing mark = { NULL, NULL, 0, 0, 0, NULL };
	int r = begin(x);

	if (r == 0)
		r = produce(x, origin_topic(x->origin), letter->origin_partition, o, headers_of(letter, o->headers));
	if (r == 0)
		r = produce(x, x->dlq, letter->partition, &mark, headers_of(letter, NULL));
	if (r)
		return r;
	rd_kafka_poll(x->rk, 0);
	x->txn_bytes += o->key_len + o->value_len;
	return ++x->txn_letters >= TXN_LETTERS || x->txn_bytes >= TXN_BYTES ? commit(x) : 0;
}

/* --- one letter --- */

static int is_asked_for(const struct redrive *x, const struct letter *letter)
{
	const struct config *c = x->cfg;

	return strncmp(letter->reason, c->reason, strlen(c->reason)) == 0 && letter->ms >= x->since_ms && letter->ms < x->before_ms &&
	       places_hold(c->origin, letter->origin_partition, letter->origin_offset);
}

static void tell(const struct redrive *x, const struct letter *letter, const char *what)
{
	if (x->cfg->dry_run || strcmp(what, "gone") == 0)
		printf("%d:%lld\t%s\t%s\n", letter->origin_partition, (long long)letter->origin_offset, what, letter->reason);
}

/* Its time is that of the record, or, where that is not known, when it was refused; but what lay too far in the future is judged by today's clock. */
static int64_t time_of(const struct letter *letter, const rd_kafka_message_t *found)
{
	rd_kafka_timestamp_type_t type;

	if (strcmp(letter->reason, "absurd time") == 0)
		return 0; /* now */
	return found ? rd_kafka_message_timestamp(found, &type) : letter->ms;
}

static int send_letter(struct redrive *x, const struct letter *letter, const struct repair *repair, const rd_kafka_message_t *found)
{
	struct outgoing o = { .key = letter->key, .key_len = letter->key_len, .value = letter->value, .value_len = letter->value_len, .ms = time_of(letter, found) };
	rd_kafka_headers_t *had = NULL;

	if (found) {
		o.key = found->key, o.key_len = found->key_len;
		o.value = found->payload, o.value_len = found->len;
		o.headers = rd_kafka_message_headers(found, &had) == RD_KAFKA_RESP_ERR_NO_ERROR ? had : NULL;
		x->fetched++;
	}
	if (repair)
		o.value = repair->value, o.value_len = repair->len;
	x->sent++;
	tell(x, letter, repair ? "repaired" : found ? "from its origin" : "whole");
	return x->rk ? send_again(x, letter, &o) : 0;
}

static int on_letter(void *ctx, const struct letter *letter)
{
	struct redrive *x = ctx;
	struct repair *repair = x->repairs ? repairs_find(x->repairs, letter->origin_partition, letter->origin_offset) : NULL;
	rd_kafka_message_t *found = NULL;
	int r;

	if (interrupt_seen())
		return 130;
	if (!is_asked_for(x, letter) || (x->repairs && !repair))
		return 0;
	if (strcmp(letter->topic, origin_topic(x->origin)) || letter->origin_partition >= origin_partitions(x->origin)) {
		x->elsewhere++;
		return 0;
	}
	r = commit_old(x);
	if (r == 0 && !letter->whole)
		r = origin_fetch(x->origin, letter->origin_partition, letter->origin_offset, &found);
	if (r)
		return r;
	if (repair)
		repair->used = 1;
	if (letter->whole || found || (repair && letter->key_whole)) {
		r = send_letter(x, letter, repair, found);
	} else {
		x->gone++;
		tell(x, letter, "gone");
	}
	if (found)
		rd_kafka_message_destroy(found);
	return r;
}

/* --- the whole --- */

static int parse_time(int64_t *ret, const char *option, const char *text, int64_t otherwise)
{
	struct position p;

	*ret = otherwise;
	if (!*text)
		return 0;
	if (position_parse(&p, text) < 0 || (p.kind != POSITION_TIME && p.kind != POSITION_BEFORE_END)) {
		log_error("--%s %s is neither an ISO-8601 time nor a duration such as 7d, 12h, 30m", option, text);
		return EX_USAGE;
	}
	*ret = p.kind == POSITION_TIME ? p.ms : (int64_t)time(NULL) * 1000 - p.ms;
	return 0;
}

static int read_filters(struct redrive *x)
{
	int r = parse_time(&x->since_ms, "since", x->cfg->since, INT64_MIN);

	if (r == 0)
		r = parse_time(&x->before_ms, "before", x->cfg->before, INT64_MAX);
	if (r == 0 && places_check(x->cfg->origin) < 0) {
		log_error("--origin %s is not of the form partition:offset or partition:first-last, comma separated", x->cfg->origin);
		r = EX_USAGE;
	}
	if (r == 0 && x->cfg->arg_count)
		r = repairs_new(&x->repairs, x->cfg->args[0]);
	return r;
}

/* Before any letter is looked at: whoever else was at it is fenced, and what it left open is taken back. */
static int open_producer(struct redrive *x)
{
	int r = client_new(&x->rk, x->cfg, CLIENT_REDRIVE_PRODUCER);

	return r ? r : check("start", rd_kafka_init_transactions(x->rk, INIT_MS));
}

static void summary(const struct redrive *x)
{
	log_info("redrive%s %s sent=%llu from_origin=%llu gone=%llu sent_before=%llu", x->cfg->dry_run ? " (dry run)" : "", x->dlq, (unsigned long long)x->sent,
	         (unsigned long long)x->fetched, (unsigned long long)x->gone, (unsigned long long)letters_marked(x->letters));
	if (x->gone)
		log_error("%llu dead letters hold less than their records did, and these are no longer in %s", (unsigned long long)x->gone, origin_topic(x->origin));
	if (x->elsewhere)
		log_warn("%llu dead letters are of another input topic than %s", (unsigned long long)x->elsewhere, origin_topic(x->origin));
	if (x->repairs && repairs_unused(x->repairs))
		log_warn("%zu values of the file have no dead letter that is yet to be sent", repairs_unused(x->repairs));
}

static int redrive(struct redrive *x)
{
	int r = read_filters(x);

	topic_name(x->dlq, sizeof x->dlq, x->cfg->topic_prefix, TOPIC_DLQ);
	if (r == 0)
		r = origin_new(&x->origin, x->cfg);
	if (r == 0 && !x->cfg->dry_run)
		r = open_producer(x);
	if (r == 0)
		r = letters_new(&x->letters, x->cfg);
	if (r)
		return r;
	interrupt_install();
	r = letters_read(x->letters, on_letter, x);
	if (r == 0 || r == 130) {
		int last = commit(x);

		r = last ? last : r;
	}
	if (r == 0)
		summary(x);
	else if (x->open_ms) /* else those who read the input wait until its time is over */
		rd_kafka_error_destroy(rd_kafka_abort_transaction(x->rk, INIT_MS / 10));
	return r ? r : x->gone ? EX_DATAERR : 0;
}

int command_redrive(int argc, char **argv)
{
	struct config c;
	struct redrive x = { .cfg = &c };
	int r = config_parse(&c, C_REDRIVE, "s4rec redrive [FILE]   (FILE: values in place of those of the letters, lines of PARTITION:OFFSET VALUE; then only these are sent)",
	                     "s4rec redrive --reason \"no item\" --since 2d --dry-run", argc, argv);

	if (r)
		return r < 0 ? 0 : r;
	if (c.arg_count > 1) {
		log_error("s4rec redrive: name one file at most");
		r = EX_USAGE;
	} else {
		r = redrive(&x);
	}
	origin_free(x.origin);
	letters_free(x.letters);
	repairs_free(x.repairs);
	client_free(x.rk);
	config_release(&c);
	return r;
}
