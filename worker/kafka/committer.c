/* committer.c - see committer.h; what the calls mean: txn.h */
#include "worker/kafka/committer.h"
#include "worker/clock.h"
#include "worker/crash_point.h"
#include "worker/kafka/staged_private.h"
#include "worker/kafka/txn.h"
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
	struct txn *txn;          /* the thread's */

	pthread_t thread;
	int started;
	pthread_mutex_t lock;     /* guards what follows */
	pthread_cond_t changed;
	struct staged *staged;    /* in flight, or an empty one to give away */
	int busy, stop;
	int code;                 /* exit code that the process must end with */
	int stuck;                /* the thread is in a call that does not return */
	struct committer_stats stats;
	double ring[RING];        /* how long the last commits took ... */
	int64_t cut_offset[RING]; /* ... and where their last cuts stand */
};

/* One attempt. */
static enum verdict transaction(struct txn *t, const struct staged *s)
{
	enum verdict v;

	crash_point("commit.before_begin");
	v = txn_begin(t);
	crash_point("commit.before_rows");
	if (v == V_OK)
		v = txn_produce(t, s);
	crash_point("commit.before_offsets");
	if (v == V_OK)
		v = txn_offsets(t, s);
	crash_point("commit.before_end");
	if (v == V_OK)
		v = txn_commit(t);
	crash_point("commit.after_end");
	return v;
}

/* Returns the exit code. */
static int send_staged(struct committer *c, const struct staged *s, unsigned *ret_retries)
{
	enum verdict v;
	int attempt;

	if (s->broken)
		return log_no_memory();
	for (attempt = 0; attempt < ATTEMPTS; attempt++) {
		if (attempt) {
			(*ret_retries)++;
			usleep(20000u << (2 * (attempt - 1))); /* 20, 80, 320, 1280 ms */
		}
		v = transaction(c->txn, s);
		if (v == V_OK)
			return 0;
		if (v == V_STOP)
			break;
		if (txn_abort(c->txn) != V_OK)
			break;
	}
	log_error("commit gave_up attempts=%d records=%zu bytes=%zu: this process ends, the next one goes on from the last committed cut",
	          attempt < ATTEMPTS ? attempt + 1 : attempt, s->count, staged_bytes(s));
	return txn_exit_code(c->txn);
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
				txn_poll(c->txn);
				pthread_mutex_lock(&c->lock);
			}
		}
		if (!c->busy)
			break;
		pthread_mutex_unlock(&c->lock);

		start_us = monotonic_us();
		retries = 0;
		code = send_staged(c, c->staged, &retries);
		ms = (double)(monotonic_us() - start_us) / 1000;

		pthread_mutex_lock(&c->lock);
		if (code == 0) {
			c->ring[c->stats.commits % RING] = ms;
			c->cut_offset[c->stats.commits++ % RING] = txn_last_cut(c->txn);
			c->stats.records += c->staged->count;
			c->stats.last_ms = ms;
			histogram_add(&c->stats.took, (int64_t)(ms * 1000));
		}
		c->stats.retries += retries;
		if (c->code == 0)
			c->code = code;
		staged_clear(c->staged);
		c->busy = 0;
		txn_rest(c->txn);
		pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* With the lock held. The watchdog: a call into librdkafka that outstays its time ends the process, not the wait. */
static void notice_stuck(struct committer *c)
{
	if (c->code || !c->busy || !txn_overdue(c->txn))
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

uint64_t committer_done(struct committer *c)
{
	uint64_t n;

	pthread_mutex_lock(&c->lock);
	n = c->stats.commits;
	pthread_mutex_unlock(&c->lock);
	return n;
}

int64_t committer_cut_offset(struct committer *c, uint64_t n)
{
	int64_t offset;

	pthread_mutex_lock(&c->lock);
	offset = c->cut_offset[(n - 1) % RING];
	pthread_mutex_unlock(&c->lock);
	return offset;
}

int committer_busy(struct committer *c)
{
	int r;

	pthread_mutex_lock(&c->lock);
	r = c->busy;
	pthread_mutex_unlock(&c->lock);
	return r;
}

void committer_totals(struct committer *c, struct committer_stats *ret)
{
	pthread_mutex_lock(&c->lock);
	*ret = c->stats;
	pthread_mutex_unlock(&c->lock);
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

/* Waits until the group has a coordinator. On a new cluster it has none for some hundred ms, and librdkafka 2.0.2, with our
 * short retry.backoff.ms, gives up the search inside send_offsets_to_transaction after 10 ms - without ever returning. The
 * search of a consumer is patient. */
static int wait_coordinator(const struct config *cfg)
{
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
	int64_t end_us = monotonic_us() + (int64_t)INIT_MS * 1000;
	char input[TOPIC_NAME_MAX];
	rd_kafka_t *rk = NULL;
	int r;

	client_input_topic(input, sizeof input, cfg);
	/* Not read_committed: then the answer waits for the end of a transaction that a killed worker has left open over these offsets, which
	 * only our init_transactions is about to bring; without it, transaction.timeout.ms later. */
	r = client_new(&rk, cfg, CLIENT_CONSUMER_UNCOMMITTED);
	if (r)
		return r;
	list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, input, 0);
	do {
		err = rd_kafka_committed(rk, list, 5000);
		if (err)
			usleep(50000);
	} while (err && err != RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED && monotonic_us() < end_us);
	rd_kafka_topic_partition_list_destroy(list);
	client_free(rk);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return 0;
	log_error("the coordinator of group %s does not answer: %s (--group.id)", cfg->group_id, rd_kafka_err2str(err));
	return EX_UNAVAILABLE;
}

int committer_new(struct committer **ret, const struct config *cfg)
{
	struct committer *c = calloc(1, sizeof *c);
	pthread_condattr_t attr;
	int r;

	if (c == NULL)
		return log_no_memory();
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &attr);
	pthread_condattr_destroy(&attr);
	r = staged_new(&c->staged) < 0 ? log_no_memory() : wait_coordinator(cfg);
	if (r == 0)
		r = txn_new(&c->txn, cfg, CLIENT_TXN_PRODUCER);
	if (r)
		goto out;

	if (pthread_create(&c->thread, NULL, commit_thread, c) != 0) {
		r = log_no_memory(); /* or no more threads */
		goto out;
	}
	c->started = 1;
	*ret = c;
	return 0;
out:
	committer_free(c);
	return r;
}

void committer_free(struct committer *c)
{
	int stuck;

	if (c == NULL)
		return;
	if (c->started) {
		pthread_mutex_lock(&c->lock);
		wait_idle(c);
		c->stop = 1;
		pthread_cond_broadcast(&c->changed);
		stuck = c->stuck;
		pthread_mutex_unlock(&c->lock);
		if (stuck)
			return; /* its thread is inside librdkafka: the end of the process frees both */
		pthread_join(c->thread, NULL);
	}
	txn_free(c->txn);
	staged_free(c->staged);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
