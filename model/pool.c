/* pool.c - compute threads. One mutex, two condition variables: `go` announces a call, `done` its end. Units are handed
 * out one by one under the mutex: units are fat (a lane, a block of rows), so the lock costs nothing that shows. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "model/pool.h"

struct worker { struct pool *p; pthread_t id; int number; };

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t go, done;
	void (*fn)(void *ctx, size_t unit, int thread);
	void *ctx;
	size_t next, units, running; /* next unit to hand out; units in flight */
	int stop, threads, started;
	struct worker *worker;
};

/* Takes units until none is left. Called and left with the lock held. */
static void pool_work(struct pool *p, int thread)
{
	while (p->next < p->units) {
		size_t unit = p->next++;

		p->running++;
		pthread_mutex_unlock(&p->lock);
		p->fn(p->ctx, unit, thread);
		pthread_mutex_lock(&p->lock);
		p->running--;
	}
	if (!p->running)
		pthread_cond_signal(&p->done);
}

static void *pool_thread(void *arg)
{
	struct worker *w = arg;
	struct pool *p = w->p;

	pthread_mutex_lock(&p->lock);
	while (!p->stop) {
		if (p->next < p->units)
			pool_work(p, w->number);
		else
			pthread_cond_wait(&p->go, &p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

int pool_new(struct pool **ret, int threads)
{
	struct pool *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;

	p->threads = threads;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->go, NULL);
	pthread_cond_init(&p->done, NULL);
	p->worker = calloc((size_t)threads, sizeof(*p->worker));
	if (!p->worker) {
		pool_free(p);
		return -ENOMEM;
	}

	for (int t = 1; t < threads; t++) {
		struct worker *w = &p->worker[p->started];

		*w = (struct worker){ .p = p, .number = t };
		if (pthread_create(&w->id, NULL, pool_thread, w)) {
			pool_free(p);
			return -EAGAIN;
		}
		p->started++;
	}
	*ret = p;
	return 0;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;

	pthread_mutex_lock(&p->lock);
	p->stop = 1;
	pthread_cond_broadcast(&p->go);
	pthread_mutex_unlock(&p->lock);
	for (int t = 0; t < p->started; t++)
		pthread_join(p->worker[t].id, NULL);
	pthread_cond_destroy(&p->done);
	pthread_cond_destroy(&p->go);
	pthread_mutex_destroy(&p->lock);
	free(p->worker);
	free(p);
}

int pool_threads(const struct pool *p) { return p->threads; }

void pool_run(struct pool *p, void (*fn)(void *ctx, size_t unit, int thread), void *ctx, size_t units)
{
	if (!p || p->threads == 1 || units <= 1) { /* nothing to share */
		for (size_t u = 0; u < units; u++)
			fn(ctx, u, 0);
		return;
	}

	pthread_mutex_lock(&p->lock);
	p->fn = fn;
	p->ctx = ctx;
	p->next = 0;
	p->units = units;
	pthread_cond_broadcast(&p->go);
	pool_work(p, 0);
	while (p->running)
		pthread_cond_wait(&p->done, &p->lock);
	p->units = p->next = 0;
	pthread_mutex_unlock(&p->lock);
}
