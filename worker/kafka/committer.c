/* committer.c - see committer.h.
 *
 * One commit:
 *     begin -> produce every staged record -> offsets -> wait for all delivery reports -> commit
 *     |_________________ an error here: abort, send the same again ________________|  \_ an error here: outcome unknown, stop
 * The reports are awaited before commit is called, so that a record that could not be written shows up while the
 * transaction is certainly still open. Once commit has been called, the broker may have acted on it whatever the client
 * says; only an error that asks for an abort and is not a timeout still goes back to the left side (the abort that follows
 * fails with INVALID_TXN_STATE should the commit have gone through after all, and that ends the process).
 */
#include "worker/kafka/committer.h"
#include "worker/kafka/delivery.h"
#include "worker/kafka/staged_private.h"
#include "worker/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define RING 1024
#define ATTEMPTS 5
#define INIT_MS 60000

struct committer {
	rd_kafka_t *rk;
	rd_kafka_topic_t *topics[TOPIC_COUNT];
	rd_kafka_consumer_group_metadata_t *group;
	char input[TOPIC_NAME_MAX];
	int timeout_ms;           /* of a transaction */
	struct delivery delivery; /* of the records in the open transaction; committer's thread */

	pthread_t thread;
	int started;
	pthread_mutex_t lock;     /* guards what follows */
	pthread_cond_t changed;
	struct staged *staged;    /* in flight, or an empty one to give away */
	int busy, stop;
	int code;                 /* exit code that the process must end with */
	int64_t deadline_ms;      /* the call that the thread is in returns before this; 0 = no call */
	int stuck;                /* it did not */
	struct committer_stats stats;
	double ring[RING];
};

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void expect_within(struct committer *c, int ms)
{
	pthread_mutex_lock(&c->lock);
	c->deadline_ms = now_us() / 1000 + ms;
	pthread_mutex_unlock(&c->lock);
}

/* What to do about the outcome of one call. */
enum verdict { V_OK, V_AGAIN /* same call */, V_ABORT, V_STOP };

/* Codes after which this producer is no longer the one. */
static int is_final(rd_kafka_resp_err_t code)
{
	switch (code) {
	case RD_KAFKA_RESP_ERR__FENCED:
	case RD_KAFKA_RESP_ERR__FATAL:
	case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
	case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
	case RD_KAFKA_RESP_ERR_INVALID_TXN_STATE:
	case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
		return 1;
	default:
		return 0;
	}
}

/* Destroys e. */
static enum verdict judge(struct committer *c, const char *what, rd_kafka_error_t *e)
{
	rd_kafka_resp_err_t code;
	enum verdict v;

	if (e == NULL)
		return V_OK;
	code = rd_kafka_error_code(e);
	if (rd_kafka_error_is_fatal(e) || is_final(code))
		v = V_STOP;
	else if (rd_kafka_error_txn_requires_abort(e))
		v = V_ABORT;
	else if (rd_kafka_error_is_retriable(e))
		v = V_AGAIN;
	else
		v = V_STOP;
	if (v != V_AGAIN)
		log_warn("commit %s code=%s: %s", what, rd_kafka_error_name(e), rd_kafka_error_string(e));
	rd_kafka_error_destroy(e);
	return v;
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

static enum verdict produce_one(struct committer *c, const struct staged *s, const struct staged_row *rec)
{
	void *key = rec->key == STAGED_NONE ? NULL : s->bytes + rec->key;
	void *value = rec->value == STAGED_NONE ? NULL : s->bytes + rec->value;
	int64_t end_us = now_us() + (int64_t)c->timeout_ms * 1000;
	rd_kafka_resp_err_t err;

	for (;;) {
		rd_kafka_headers_t *h = headers_of(s, rec);

		/* Copied by librdkafka: after an unclean end its threads may outlive the arena. */
		if (h)
			err = rd_kafka_producev(c->rk, RD_KAFKA_V_RKT(c->topics[rec->topic]), RD_KAFKA_V_PARTITION(rec->partition),
			                        RD_KAFKA_V_KEY(key, key ? rec->key_len : 0), RD_KAFKA_V_VALUE(value, value ? rec->value_len : 0),
			                        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(&c->delivery), RD_KAFKA_V_HEADERS(h), RD_KAFKA_V_END);
		else
			err = rd_kafka_produce(c->topics[rec->topic], rec->partition, RD_KAFKA_MSG_F_COPY, value, value ? rec->value_len : 0,
			                       key, key ? rec->key_len : 0, &c->delivery) == 0 ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_last_error();
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
			c->delivery.sent++;
			return V_OK;
		}
		if (h)
			rd_kafka_headers_destroy(h);
		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL || now_us() > end_us)
			break;
		rd_kafka_poll(c->rk, 10); /* full is normal: serve reports, try again */
	}
	log_warn("commit produce topic=%s partition=%d key_bytes=%u value_bytes=%u: %s", rd_kafka_topic_name(c->topics[rec->topic]),
	         rec->partition, rec->key_len, rec->value_len, rd_kafka_err2str(err));
	/* Refused for what it is: it will be refused again, and leaving it out would break the promise. */
	if (is_final(err) || err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
		return V_STOP;
	return V_ABORT;
}

static enum verdict produce_all(struct committer *c, const struct staged *s)
{
	enum verdict v;
	size_t i;

	memset(&c->delivery, 0, sizeof c->delivery);
	for (i = 0; i < s->count; i++) {
		v = produce_one(c, s, &s->records[i]);
		if (v != V_OK)
			return v;
		if (i % 1024 == 1023) {
			rd_kafka_poll(c->rk, 0);
			expect_within(c, 2 * c->timeout_ms);
		}
	}
	return V_OK;
}

static enum verdict send_offsets(struct committer *c, const struct staged *s)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)s->partitions + 1);
	int64_t end_us = now_us() + (int64_t)c->timeout_ms * 1000;
	enum verdict v = V_OK;
	size_t p;

	for (p = 0; p < s->partitions; p++)
		if (s->offsets[p] >= 0)
			rd_kafka_topic_partition_list_add(list, c->input, (int32_t)p)->offset = s->offsets[p];
	while (list->cnt) {
		expect_within(c, c->timeout_ms);
		rd_kafka_poll(c->rk, 0);
		v = judge(c, "offsets", rd_kafka_send_offsets_to_transaction(c->rk, list, c->group, c->timeout_ms));
		if (v != V_AGAIN || now_us() > end_us)
			break;
		usleep(20000);
	}
	expect_within(c, 2 * c->timeout_ms);
	rd_kafka_topic_partition_list_destroy(list);
	/* With a record lost the transaction is in its abortable state, and the call is refused for that, in words that vary. */
	if (v == V_STOP && c->delivery.failed && rd_kafka_fatal_error(c->rk, NULL, 0) == RD_KAFKA_RESP_ERR_NO_ERROR)
		v = V_ABORT;
	return v == V_AGAIN ? V_ABORT : v;
}

/* Waits until every record has its report; a record without one, or with an error, means abort. */
static enum verdict flush_all(struct committer *c)
{
	char why[512];
	rd_kafka_resp_err_t err;

	rd_kafka_flush(c->rk, c->timeout_ms);
	if (c->delivery.ok == c->delivery.sent)
		return V_OK;
	err = rd_kafka_fatal_error(c->rk, why, sizeof why);
	if (err) {
		log_warn("commit deliver fatal=%s: %s", rd_kafka_err2name(err), why);
		return V_STOP;
	}
	log_warn("commit deliver records=%llu failed=%llu unknown=%llu first=%s", (unsigned long long)c->delivery.sent,
	         (unsigned long long)c->delivery.failed, (unsigned long long)(c->delivery.sent - c->delivery.ok - c->delivery.failed),
	         rd_kafka_err2name(c->delivery.first_error));
	if (is_final(c->delivery.first_error) || c->delivery.first_error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
		return V_STOP;
	return V_ABORT;
}

static enum verdict commit_txn(struct committer *c)
{
	rd_kafka_error_t *e = rd_kafka_commit_transaction(c->rk, c->timeout_ms + 5000);

	if (e == NULL)
		return V_OK;
	/* Whatever the client thinks of it: after a timeout nobody knows, and a second EndTxn may hit a later transaction. */
	if (!rd_kafka_error_txn_requires_abort(e) || rd_kafka_error_code(e) == RD_KAFKA_RESP_ERR__TIMED_OUT ||
	    rd_kafka_error_code(e) == RD_KAFKA_RESP_ERR__TRANSPORT) {
		log_warn("commit outcome=unknown code=%s: %s", rd_kafka_error_name(e), rd_kafka_error_string(e));
		rd_kafka_error_destroy(e);
		return V_STOP;
	}
	return judge(c, "commit", e);
}

static enum verdict abort_txn(struct committer *c)
{
	int64_t end_us = now_us() + (int64_t)c->timeout_ms * 2000;
	enum verdict v;

	do {
		v = judge(c, "abort", rd_kafka_abort_transaction(c->rk, c->timeout_ms));
		if (v == V_AGAIN)
			usleep(20000);
	} while (v == V_AGAIN && now_us() < end_us);
	return v == V_OK ? V_OK : V_STOP;
}

/* One attempt. */
static enum verdict transaction(struct committer *c, const struct staged *s)
{
	enum verdict v;

	expect_within(c, 2 * c->timeout_ms);
	v = judge(c, "begin", rd_kafka_begin_transaction(c->rk));
	if (v != V_OK)
		return V_STOP;

	v = produce_all(c, s);
	if (v == V_OK && c->delivery.failed)
		v = flush_all(c); /* lost already: says so */
	if (v == V_OK)
		v = send_offsets(c, s);
	if (v == V_OK)
		v = flush_all(c);
	if (v == V_OK) {
		expect_within(c, c->timeout_ms + 15000);
		v = commit_txn(c);
	}
	return v;
}

/* Returns the exit code. */
static int send_staged(struct committer *c, const struct staged *s, unsigned *ret_retries)
{
	enum verdict v;
	int attempt;

	if (s->broken) {
		log_error("commit out_of_memory");
		return EX_SOFTWARE;
	}
	for (attempt = 0; attempt < ATTEMPTS; attempt++) {
		if (attempt) {
			(*ret_retries)++;
			usleep(20000u << (2 * (attempt - 1))); /* 20, 80, 320, 1280 ms */
		}
		v = transaction(c, s);
		if (v == V_OK)
			return 0;
		if (v == V_STOP)
			break;
		expect_within(c, 4 * c->timeout_ms);
		if (abort_txn(c) != V_OK)
			break;
	}
	log_error("commit gave_up attempts=%d records=%zu: this process ends, the next one goes on from the last committed cut",
	          attempt < ATTEMPTS ? attempt + 1 : attempt, s->count);
	return EX_TEMPFAIL;
}

static void *commit_thread(void *arg)
{
	struct committer *c = arg;
	int64_t start_us;
	unsigned retries;
	double ms;
	int code;

	pthread_mutex_lock(&c->lock);
	for (;;) {
		while (!c->busy && !c->stop) {
			/* The handle wants to be polled now and then (callbacks, fatal errors). */
			struct timespec ts;

			clock_gettime(CLOCK_MONOTONIC, &ts);
			ts.tv_sec += 1;
			if (pthread_cond_timedwait(&c->changed, &c->lock, &ts) == ETIMEDOUT) {
				pthread_mutex_unlock(&c->lock);
				rd_kafka_poll(c->rk, 0);
				pthread_mutex_lock(&c->lock);
			}
		}
		if (!c->busy)
			break;
		pthread_mutex_unlock(&c->lock);

		start_us = now_us();
		retries = 0;
		code = send_staged(c, c->staged, &retries);
		ms = (double)(now_us() - start_us) / 1000;

		pthread_mutex_lock(&c->lock);
		if (code == 0) {
			c->ring[c->stats.commits++ % RING] = ms;
			c->stats.records += c->staged->count;
			c->stats.last_ms = ms;
		}
		c->stats.retries += retries;
		if (c->code == 0)
			c->code = code;
		staged_clear(c->staged);
		c->busy = 0;
		c->deadline_ms = 0;
		pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* With the lock held. The watchdog: a call into librdkafka that outstays its time ends the process, not the wait. */
static void notice_stuck(struct committer *c)
{
	if (c->code || !c->busy || !c->deadline_ms || now_us() / 1000 <= c->deadline_ms + 5000)
		return;
	log_error("commit outcome=unknown: the client does not return");
	c->stuck = 1;
	c->code = EX_TEMPFAIL;
}

static int wait_idle(struct committer *c)
{
	struct timespec ts;

	while (c->busy && c->code == 0) {
		clock_gettime(CLOCK_MONOTONIC, &ts);
		ts.tv_sec += 1;
		pthread_cond_timedwait(&c->changed, &c->lock, &ts);
		notice_stuck(c);
	}
	return c->code;
}

int committer_check(struct committer *c)
{
	int r;

	pthread_mutex_lock(&c->lock);
	notice_stuck(c);
	r = c->code;
	pthread_mutex_unlock(&c->lock);
	return r;
}

int committer_submit(struct committer *c, struct staged **s)
{
	struct staged *full = *s;
	int r;

	pthread_mutex_lock(&c->lock);
	r = wait_idle(c);
	if (r == 0) {
		*s = c->staged;
		c->staged = full;
		c->busy = 1;
		pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
	return r;
}

int committer_wait(struct committer *c)
{
	int r;

	pthread_mutex_lock(&c->lock);
	r = wait_idle(c);
	pthread_mutex_unlock(&c->lock);
	return r;
}

int committer_busy(struct committer *c)
{
	int r;

	pthread_mutex_lock(&c->lock);
	r = c->busy;
	pthread_mutex_unlock(&c->lock);
	return r;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void committer_stats(struct committer *c, struct committer_stats *ret)
{
	double sorted[RING];
	size_t n;

	pthread_mutex_lock(&c->lock);
	*ret = c->stats;
	n = c->stats.commits < RING ? (size_t)c->stats.commits : RING;
	memcpy(sorted, c->ring, n * sizeof *sorted);
	pthread_mutex_unlock(&c->lock);

	if (n == 0)
		return;
	qsort(sorted, n, sizeof *sorted, by_value);
	ret->p50_ms = sorted[n / 2];
	ret->p99_ms = sorted[n * 99 / 100];
}

/* Fences whoever held this id and ends what it left open; the broker may ask for patience while it does. */
static int init_transactions(struct committer *c)
{
	int64_t end_us = now_us() + (int64_t)INIT_MS * 1000;
	rd_kafka_error_t *e;
	int again;

	for (;;) {
		e = rd_kafka_init_transactions(c->rk, 10000);
		if (e == NULL)
			return 0;
		again = rd_kafka_error_is_retriable(e) && !rd_kafka_error_is_fatal(e) && now_us() < end_us;
		if (!again)
			break;
		rd_kafka_error_destroy(e);
		usleep(50000);
	}
	fprintf(stderr, "error: cannot start transactions: %s (%s)\n", rd_kafka_error_string(e), rd_kafka_error_name(e));
	again = rd_kafka_error_is_retriable(e) || is_final(rd_kafka_error_code(e));
	rd_kafka_error_destroy(e);
	return again ? EX_TEMPFAIL : EX_UNAVAILABLE;
}

/* Waits until the group has a coordinator. On a new cluster it has none for some hundred ms, and librdkafka 2.0.2, with our
 * short retry.backoff.ms, gives up the search inside send_offsets_to_transaction after 10 ms - without ever returning. The
 * search of a consumer is patient. */
static int wait_coordinator(struct committer *c, const struct config *cfg)
{
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
	int64_t end_us = now_us() + (int64_t)INIT_MS * 1000;
	rd_kafka_t *rk = NULL;
	int r;

	r = client_new(&rk, cfg, CLIENT_CONSUMER);
	if (r)
		return r;
	list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, c->input, 0);
	do {
		err = rd_kafka_committed(rk, list, 5000);
		if (err)
			usleep(50000);
	} while (err && err != RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED && now_us() < end_us);
	rd_kafka_topic_partition_list_destroy(list);
	client_free(rk);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return 0;
	fprintf(stderr, "error: the coordinator of group %s does not answer: %s (--group.id)\n", cfg->group_id, rd_kafka_err2str(err));
	return EX_UNAVAILABLE;
}

int committer_new(struct committer **ret, const struct config *cfg)
{
	struct committer *c = calloc(1, sizeof *c);
	char name[TOPIC_NAME_MAX];
	pthread_condattr_t attr;
	int id, r = EX_SOFTWARE;

	if (c == NULL)
		return EX_SOFTWARE;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &attr);
	pthread_condattr_destroy(&attr);
	c->timeout_ms = (int)cfg->transaction_timeout_ms;
	client_input_topic(c->input, sizeof c->input, cfg);
	if (staged_new(&c->staged) < 0)
		goto out;

	r = client_new(&c->rk, cfg, CLIENT_TXN_PRODUCER);
	if (r)
		goto out;

	r = wait_coordinator(c, cfg);
	if (r == 0)
		r = init_transactions(c);
	if (r)
		goto out;

	r = EX_SOFTWARE;
	c->group = rd_kafka_consumer_group_metadata_new(cfg->group_id);
	for (id = 0; id < TOPIC_COUNT; id++) {
		if (topic_name(name, sizeof name, cfg->topic_prefix, id) < 0)
			goto out;
		c->topics[id] = rd_kafka_topic_new(c->rk, name, NULL);
		if (c->topics[id] == NULL)
			goto out;
	}
	if (pthread_create(&c->thread, NULL, commit_thread, c) != 0)
		goto out;
	c->started = 1;
	*ret = c;
	return 0;
out:
	committer_free(c);
	return r;
}

void committer_free(struct committer *c)
{
	int id;

	if (c == NULL)
		return;
	if (c->started) {
		pthread_mutex_lock(&c->lock);
		wait_idle(c);
		c->stop = 1;
		pthread_cond_broadcast(&c->changed);
		id = c->stuck;
		pthread_mutex_unlock(&c->lock);
		if (id)
			return; /* its thread is inside librdkafka: the end of the process frees both */
		pthread_join(c->thread, NULL);
	}
	for (id = 0; id < TOPIC_COUNT; id++)
		if (c->topics[id])
			rd_kafka_topic_destroy(c->topics[id]);
	if (c->group)
		rd_kafka_consumer_group_metadata_destroy(c->group);
	client_free(c->rk);
	staged_free(c->staged);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
