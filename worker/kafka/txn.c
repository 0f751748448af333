/* txn.c - see txn.h */
#include "worker/kafka/txn.h"
#include "worker/clock.h"
#include "worker/crash_point.h"
#include "worker/kafka/delivery.h"
#include "worker/kafka/staged_private.h"
#include "worker/log.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define INIT_MS 60000
#define TRIM_MS 30000
#define OVERDUE_MS 5000 /* a call may outstay its time by this much */

struct txn {
	const char *what;         /* for the log: "commit", "state" */
	rd_kafka_t *rk;
	rd_kafka_topic_t *topics[TOPIC_COUNT];
	rd_kafka_consumer_group_metadata_t *group;
	char input[TOPIC_NAME_MAX];
	int timeout_ms;           /* of a transaction */
	struct delivery delivery; /* of the records in the open transaction, but for ... */
	struct delivery cuts;     /* ... those of the batches topic */
	int code;                 /* exit code of a V_STOP */
	int64_t begun_us;         /* when the open transaction was begun; 0 = none yet */
	_Atomic int64_t deadline_ms; /* the call that the owner's thread is in returns before this; 0 = no call */
};

static void expect_within(struct txn *t, int ms)
{
	atomic_store(&t->deadline_ms, monotonic_ms() + ms);
}

int txn_overdue(const struct txn *t)
{
	int64_t deadline_ms = atomic_load(&t->deadline_ms);

	return deadline_ms && monotonic_ms() > deadline_ms + OVERDUE_MS;
}

/* The process ends over this error; begun_us tells whether the broker may have ended the transaction for its age. */
static enum verdict stop(struct txn *t, rd_kafka_resp_err_t code)
{
	const char *hint;

	t->code = verdict_exit(code, &hint);
	if (hint)
		log_error("%s: %s: %s", t->what, rd_kafka_err2str(code), hint);
	else if (t->begun_us && monotonic_us() - t->begun_us > (int64_t)t->timeout_ms * 1000)
		log_error("%s: its transaction took %.1f s, and the broker ends one after %d ms: raise %s.timeout.ms", t->what,
		          (double)(monotonic_us() - t->begun_us) / 1e6, t->timeout_ms, strcmp(t->what, "state") ? "transaction" : "state");
	return V_STOP;
}

static struct error_flags flags_of(const rd_kafka_error_t *e)
{
	return (struct error_flags){ .fatal = rd_kafka_error_is_fatal(e), .wants_abort = rd_kafka_error_txn_requires_abort(e),
	                             .retriable = rd_kafka_error_is_retriable(e) };
}

/* Destroys e. */
static enum verdict judge(struct txn *t, const char *what, rd_kafka_error_t *e)
{
	rd_kafka_resp_err_t code;
	enum verdict v;

	if (e == NULL)
		return V_OK;
	code = rd_kafka_error_code(e);
	v = verdict_of(code, flags_of(e));
	if (v != V_AGAIN)
		log_warn("%s %s code=%s: %s", t->what, what, rd_kafka_error_name(e), rd_kafka_error_string(e));
	rd_kafka_error_destroy(e);
	return v == V_STOP ? stop(t, code) : v;
}

enum verdict txn_begin(struct txn *t)
{
	expect_within(t, 2 * t->timeout_ms);
	memset(&t->delivery, 0, sizeof t->delivery);
	memset(&t->cuts, 0, sizeof t->cuts);
	t->begun_us = monotonic_us();
	return judge(t, "begin", rd_kafka_begin_transaction(t->rk)) == V_OK ? V_OK : V_STOP;
}

static rd_kafka_headers_t *headers_of(const struct staged *s, const struct staged_row *rec)
{
	rd_kafka_headers_t *h;
	const char *p = s->bytes + rec->headers, *end = p + rec->headers_len;

	if (rec->headers == STAGED_NONE)
		return NULL;
	h = rd_kafka_headers_new(8);
	while (p < end) {
		const char *name = p;
		uint32_t n;

		p += strlen(p) + 1;
		memcpy(&n, p, sizeof n);
		rd_kafka_header_add(h, name, -1, p + sizeof n, n);
		p += sizeof n + n;
	}
	return h;
}

static enum verdict produce_one(struct txn *t, const struct staged *s, const struct staged_row *rec)
{
	void *key = rec->key == STAGED_NONE ? NULL : s->bytes + rec->key;
	void *value = rec->value == STAGED_NONE ? NULL : s->bytes + rec->value;
	struct delivery *d = rec->topic == TOPIC_BATCHES ? &t->cuts : &t->delivery;
	int64_t end_us = monotonic_us() + (int64_t)t->timeout_ms * 1000;
	rd_kafka_resp_err_t err;

	for (;;) {
		rd_kafka_headers_t *h = headers_of(s, rec);

		/* Copied by librdkafka: after an unclean end its threads may outlive the arena. */
		if (h)
			err = rd_kafka_producev(t->rk, RD_KAFKA_V_RKT(t->topics[rec->topic]), RD_KAFKA_V_PARTITION(rec->partition),
			                        RD_KAFKA_V_KEY(key, key ? rec->key_len : 0), RD_KAFKA_V_VALUE(value, value ? rec->value_len : 0),
			                        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(d), RD_KAFKA_V_HEADERS(h), RD_KAFKA_V_END);
		else
			err = rd_kafka_produce(t->topics[rec->topic], rec->partition, RD_KAFKA_MSG_F_COPY, value, value ? rec->value_len : 0,
			                       key, key ? rec->key_len : 0, d) == 0 ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_last_error();
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
			d->sent++;
			return V_OK;
		}
		if (h)
			rd_kafka_headers_destroy(h);
		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL || monotonic_us() > end_us)
			break;
		rd_kafka_poll(t->rk, 10); /* full is normal: serve reports, try again */
	}
	log_warn("%s produce topic=%s partition=%d key_bytes=%u value_bytes=%u: %s", t->what, rd_kafka_topic_name(t->topics[rec->topic]),
	         rec->partition, rec->key_len, rec->value_len, rd_kafka_err2str(err));
	/* Refused for what it is: it will be refused again, and leaving it out would break the promise. */
	return verdict_of_record(err) == V_STOP ? stop(t, err) : V_ABORT;
}

enum verdict txn_produce(struct txn *t, const struct staged *s)
{
	enum verdict v;
	size_t i;

	for (i = 0; i < s->count; i++) {
		v = produce_one(t, s, &s->records[i]);
		if (v != V_OK)
			return v;
		crash_point("txn.among_rows");
		if (i % 1024 == 1023) {
			rd_kafka_poll(t->rk, 0);
			expect_within(t, 2 * t->timeout_ms);
		}
	}
	return V_OK;
}

/* Waits until every record has its report; a record without one, or with an error, means abort. */
static enum verdict flush_all(struct txn *t)
{
	const struct delivery *d = &t->delivery, *c = &t->cuts;
	rd_kafka_resp_err_t err;
	char why[512];

	rd_kafka_flush(t->rk, t->timeout_ms);
	if (d->ok + c->ok == d->sent + c->sent)
		return V_OK;
	err = rd_kafka_fatal_error(t->rk, why, sizeof why);
	if (err) {
		log_warn("%s deliver fatal=%s: %s", t->what, rd_kafka_err2name(err), why);
		return stop(t, err);
	}
	err = d->failed ? d->first_error : c->first_error;
	log_warn("%s deliver records=%llu failed=%llu unknown=%llu first=%s", t->what, (unsigned long long)(d->sent + c->sent),
	         (unsigned long long)(d->failed + c->failed), (unsigned long long)(d->sent + c->sent - d->ok - c->ok - d->failed - c->failed), rd_kafka_err2name(err));
	return verdict_of_record(err) == V_STOP ? stop(t, err) : V_ABORT;
}

int64_t txn_last_cut(const struct txn *t)
{
	return t->cuts.last_offset;
}

/* Whoever asks first hears of a failure; it is tried again with the next flush. */
void txn_trim_cuts(struct txn *t, int64_t offset)
{
	rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(1);
	rd_kafka_queue_t *q = rd_kafka_queue_new(t->rk);
	rd_kafka_DeleteRecords_t *request;
	rd_kafka_event_t *ev;
	const rd_kafka_topic_partition_list_t *got;

	expect_within(t, TRIM_MS);
	rd_kafka_topic_partition_list_add(l, rd_kafka_topic_name(t->topics[TOPIC_BATCHES]), 0)->offset = offset;
	request = rd_kafka_DeleteRecords_new(l);
	rd_kafka_DeleteRecords(t->rk, &request, 1, NULL, q);
	ev = rd_kafka_queue_poll(q, TRIM_MS);
	got = ev && !rd_kafka_event_error(ev) ? rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(ev)) : NULL;
	if (!got || got->elems[0].err)
		log_warn("%s cannot delete old cuts below offset %lld: %s", t->what, (long long)offset,
		         got ? rd_kafka_err2str(got->elems[0].err) : ev ? rd_kafka_event_error_string(ev) : "no answer");
	if (ev)
		rd_kafka_event_destroy(ev);
	rd_kafka_DeleteRecords_destroy(request);
	rd_kafka_queue_destroy(q);
	rd_kafka_topic_partition_list_destroy(l);
}

enum verdict txn_commit(struct txn *t)
{
	rd_kafka_error_t *e;
	enum verdict v = flush_all(t);
	int unknown;

	if (v != V_OK)
		return v;
	expect_within(t, t->timeout_ms + 15000);
	crash_point("txn.delivered");
	e = rd_kafka_commit_transaction(t->rk, t->timeout_ms + 5000);
	crash_point("txn.ended");

	if (e == NULL)
		return V_OK;
	/* Whatever the client thinks of it: after a timeout nobody knows, and a second EndTxn may hit a later transaction. */
	verdict_of_commit(rd_kafka_error_code(e), flags_of(e), &unknown);
	if (unknown) {
		log_warn("%s outcome=unknown code=%s: %s", t->what, rd_kafka_error_name(e), rd_kafka_error_string(e));
		rd_kafka_error_destroy(e);
		return stop(t, RD_KAFKA_RESP_ERR__TIMED_OUT);
	}
	return judge(t, "commit", e);
}

enum verdict txn_abort(struct txn *t)
{
	int64_t end_us = monotonic_us() + (int64_t)t->timeout_ms * 2000;
	enum verdict v;

	/* The broker has ended it itself by then, and a successor may be at work. The client's abort would ask for a new epoch, and the broker takes
	 * the epoch before the present one for a retry (KIP-360): it would end the successor's transaction and fence it. */
	if (monotonic_us() - t->begun_us > (int64_t)t->timeout_ms * 1000)
		return stop(t, RD_KAFKA_RESP_ERR__TIMED_OUT);

	expect_within(t, 4 * t->timeout_ms);
	do {
		v = judge(t, "abort", rd_kafka_abort_transaction(t->rk, t->timeout_ms));
		if (v == V_AGAIN)
			usleep(20000);
	} while (v == V_AGAIN && monotonic_us() < end_us);
	return v == V_OK ? V_OK : V_STOP;
}

/* Fences whoever held this id and ends what it left open; the broker may ask for patience while it does. */
static int init_transactions(struct txn *t)
{
	int64_t end_us = monotonic_us() + (int64_t)INIT_MS * 1000;
	rd_kafka_resp_err_t code;
	rd_kafka_error_t *e;

	crash_point("txn.before_init");
	for (;;) {
		e = rd_kafka_init_transactions(t->rk, 10000);
		if (e == NULL)
			return 0;
		code = rd_kafka_error_code(e);
		if (verdict_of(code, flags_of(e)) != V_AGAIN || monotonic_us() > end_us)
			break;
		rd_kafka_error_destroy(e);
		usleep(50000);
	}
	log_error("cannot start transactions: %s (%s)", rd_kafka_error_string(e), rd_kafka_error_name(e));
	rd_kafka_error_destroy(e);
	stop(t, code);
	return t->code;
}

enum verdict txn_offsets(struct txn *t, const struct staged *s)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)s->partitions + 1);
	int64_t end_us = monotonic_us() + (int64_t)t->timeout_ms * 1000;
	enum verdict v = V_OK;
	size_t p;

	for (p = 0; p < s->partitions; p++)
		if (s->offsets[p] >= 0)
			rd_kafka_topic_partition_list_add(list, t->input, (int32_t)p)->offset = s->offsets[p];
	while (list->cnt) {
		expect_within(t, t->timeout_ms);
		rd_kafka_poll(t->rk, 0);
		v = judge(t, "offsets", rd_kafka_send_offsets_to_transaction(t->rk, list, t->group, t->timeout_ms));
		if (v != V_AGAIN || monotonic_us() > end_us)
			break;
		usleep(20000);
	}
	expect_within(t, 2 * t->timeout_ms);
	rd_kafka_topic_partition_list_destroy(list);
	/* With a record lost the transaction is in its abortable state, and the call is refused for that, in words that vary. */
	if (v == V_STOP && t->delivery.failed + t->cuts.failed && rd_kafka_fatal_error(t->rk, NULL, 0) == RD_KAFKA_RESP_ERR_NO_ERROR)
		v = V_ABORT;
	return v == V_AGAIN ? V_ABORT : v;
}

int txn_exit_code(const struct txn *t)
{
	return t->code ? t->code : EX_TEMPFAIL;
}

void txn_rest(struct txn *t)
{
	atomic_store(&t->deadline_ms, 0);
}

void txn_poll(struct txn *t)
{
	rd_kafka_poll(t->rk, 0);
}

int txn_new(struct txn **ret, const struct config *cfg, enum client_kind kind)
{
	struct txn *t = calloc(1, sizeof *t);
	char name[TOPIC_NAME_MAX];
	int id, r;

	if (t == NULL)
		return log_no_memory();
	t->what = kind == CLIENT_STATE_PRODUCER ? "state" : "commit";
	t->timeout_ms = (int)(kind == CLIENT_STATE_PRODUCER ? cfg->state_timeout_ms : cfg->transaction_timeout_ms);
	client_input_topic(t->input, sizeof t->input, cfg);
	r = client_new(&t->rk, cfg, kind);
	if (r == 0)
		r = init_transactions(t);
	if (r)
		goto out;

	r = EX_SOFTWARE; /* of calls that do not fail on these arguments */
	t->group = rd_kafka_consumer_group_metadata_new(cfg->group_id);
	for (id = 0; id < TOPIC_COUNT; id++) {
		if (topic_name(name, sizeof name, cfg->topic_prefix, id) < 0)
			goto out;
		t->topics[id] = rd_kafka_topic_new(t->rk, name, NULL);
		if (t->topics[id] == NULL)
			goto out;
	}
	*ret = t;
	return 0;
out:
	txn_free(t);
	return r;
}

void txn_free(struct txn *t)
{
	int id;

	if (t == NULL)
		return;
	for (id = 0; id < TOPIC_COUNT; id++)
		if (t->topics[id])
			rd_kafka_topic_destroy(t->topics[id]);
	if (t->group)
		rd_kafka_consumer_group_metadata_destroy(t->group);
	client_free(t->rk);
	free(t);
}
