/* writer.c - see writer.h */
#include "worker/state/writer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#include "worker/kafka/txn.h"
#include "worker/crash_point.h"
#include "worker/log.h"

#define END_S 5 /* that the thread gets to end: more than an abort takes when the broker answers */

struct slice { struct slice *next; struct staged *s; };

struct state_writer {
	struct txn *txn;          /* the thread's */
	pthread_t thread;
	int started;
	pthread_mutex_t lock;     /* guards what follows */
	pthread_cond_t changed;
	struct slice *first, *last;
	size_t waiting_bytes;
	int open, ended, stop;
	int gone;                 /* the thread has left */
	int64_t trim;
	enum writer_outcome outcome; /* of the ended flush */
	int code;                 /* exit code that the process must end with */
};

static void wait_second(struct state_writer *w)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += 1;
	pthread_cond_timedwait(&w->changed, &w->lock, &ts);
}

/* With the lock held. */
static struct slice *take_slice(struct state_writer *w)
{
	struct slice *x = w->first;
	if (!x)
		return NULL;
	w->first = x->next;
	if (!w->first)
		w->last = NULL;
	w->waiting_bytes -= staged_bytes(x->s);
	pthread_cond_broadcast(&w->changed);
	return x;
}

static void free_slice(struct slice *x)
{
	if (x)
		staged_free(x->s);
	free(x);
}

/* With the lock held: the slices of one flush, as they come; returns once it was ended and all were sent. A verdict other than V_OK
 * only empties the queue from there on. */
static enum verdict send_slices(struct state_writer *w)
{
	enum verdict v = V_OK;
	for (;;) {
		struct slice *x = take_slice(w);
		if (!x && (w->ended || w->stop))
			return v;
		if (!x) {
			wait_second(w);
			continue;
		}
		pthread_mutex_unlock(&w->lock);
		if (v == V_OK)
			v = txn_produce(w->txn, x->s);
		crash_point("flush.among_rows");
		free_slice(x);
		pthread_mutex_lock(&w->lock);
	}
}

/* With the lock held, which is let go during calls. */
static enum verdict send_flush(struct state_writer *w)
{
	pthread_mutex_unlock(&w->lock);
	crash_point("flush.before_begin");
	enum verdict v = txn_begin(w->txn);
	crash_point("flush.before_rows");
	pthread_mutex_lock(&w->lock);
	if (v == V_OK)
		v = send_slices(w);
	else
		send_slices(w);
	int whole = w->ended; /* else stopped before the end */
	int64_t trim = w->trim;
	pthread_mutex_unlock(&w->lock);
	crash_point("flush.before_end");
	if (v == V_OK)
		v = whole ? txn_commit(w->txn) : V_ABORT;
	crash_point("flush.after_end");
	if (v == V_ABORT)
		v = txn_abort(w->txn) == V_OK ? V_ABORT : V_STOP;
	if (v == V_OK && trim > 0)
		txn_trim_cuts(w->txn, trim);
	crash_point("flush.trimmed");
	txn_rest(w->txn);
	pthread_mutex_lock(&w->lock);
	return v;
}

static void *writer_thread(void *arg)
{
	struct state_writer *w = arg;
	pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		if (!w->open) {
			wait_second(w);
			pthread_mutex_unlock(&w->lock);
			txn_poll(w->txn);
			pthread_mutex_lock(&w->lock);
			continue;
		}
		enum verdict v = send_flush(w);
		w->open = 0;
		w->outcome = v == V_OK ? WRITER_DONE : WRITER_FAILED;
		if (v == V_STOP && !w->stop)
			w->code = txn_exit_code(w->txn);
		pthread_cond_broadcast(&w->changed);
	}
	w->gone = 1;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

int state_writer_new(struct state_writer **ret, const struct config *c)
{
	struct state_writer *w = calloc(1, sizeof *w);
	pthread_condattr_t attr;
	if (!w)
		return log_no_memory();

	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->changed, &attr);
	pthread_condattr_destroy(&attr);
	int r = txn_new(&w->txn, c, CLIENT_STATE_PRODUCER);
	if (r == 0 && pthread_create(&w->thread, NULL, writer_thread, w) != 0)
		r = log_no_memory(); /* or no more threads */
	if (r) {
		state_writer_free(w);
		return r;
	}
	w->started = 1;
	*ret = w;
	return 0;
}

/* With the lock held. */
static int leaves_in_time(struct state_writer *w)
{
	struct timespec end;
	int late = 0;
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += END_S;
	while (!w->gone && !late)
		late = pthread_cond_timedwait(&w->changed, &w->lock, &end) == ETIMEDOUT;
	return w->gone;
}

void state_writer_free(struct state_writer *w)
{
	if (!w)
		return;
	if (w->started) {
		pthread_mutex_lock(&w->lock);
		w->stop = 1;
		pthread_cond_broadcast(&w->changed);
		int stuck = !leaves_in_time(w);
		pthread_mutex_unlock(&w->lock);
		if (stuck)
			return; /* its thread is inside librdkafka, for as long as a flush may last: the end of the process frees both */
		pthread_join(w->thread, NULL);
	}
	for (struct slice *x; (x = take_slice(w));)
		free_slice(x);
	txn_free(w->txn);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

/* With the lock held: the watchdog. */
static int check(struct state_writer *w)
{
	if (!w->code && w->open && txn_overdue(w->txn)) {
		log_error("state outcome=unknown: the client does not return");
		w->code = EX_TEMPFAIL;
	}
	return w->code;
}

int state_writer_put(struct state_writer *w, struct staged *s)
{
	struct slice *x = malloc(sizeof *x);
	if (!x)
		return -ENOMEM;
	*x = (struct slice){ .s = s };
	pthread_mutex_lock(&w->lock);
	while (w->open && w->waiting_bytes > WRITER_WAITING_MAX && !check(w))
		wait_second(w);
	if (w->last)
		w->last->next = x;
	else
		w->first = x;
	w->last = x;
	w->waiting_bytes += staged_bytes(s);
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	return 0; /* what else may be wrong is asked for each turn: state_writer_poll */
}

void state_writer_open(struct state_writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->outcome = WRITER_BUSY;
	w->ended = 0;
	w->open = 1;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

void state_writer_end(struct state_writer *w, int64_t trim)
{
	pthread_mutex_lock(&w->lock);
	w->ended = 1;
	w->trim = trim;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

int state_writer_poll(struct state_writer *w, enum writer_outcome *ret, int wait)
{
	pthread_mutex_lock(&w->lock);
	while (wait && w->outcome == WRITER_BUSY && !check(w))
		wait_second(w);
	*ret = w->outcome;
	int code = check(w);
	pthread_mutex_unlock(&w->lock);
	return code;
}
