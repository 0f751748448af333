/* watch.c - see watch.h */
#include "worker/watch/watch.h"

#include <stdlib.h>

#include "worker/clock.h"
#include "worker/kafka/client.h"
#include "worker/log.h"
#include "worker/watch/exchange.h"
#include "worker/watch/server.h"

/* Nothing that works takes so long: a turn of the loop ends within the time at which the election puts a silent member out of its group, and a stop within
 * what the broker grants a flush. A rebalance, a retry or an outage is waited for in many turns. */
#define ALIVE_MS 600000

struct watch {
	struct snapshot now;
	struct exchange *exchange;
	struct server *server;
	int64_t phase_ms, restoring_ms; /* monotonic: when the phase began; spent so far on the way to training */
};

int watch_new(struct watch **ret, const struct config *c)
{
	*ret = NULL;
	if (!c->http_listen[0])
		return 0;
	struct watch *w = calloc(1, sizeof *w);
	if (!w)
		return log_no_memory();

	w->now.started_ms = w->now.phase_ms = wall_ms();
	w->phase_ms = monotonic_ms();
	w->now.config_hash = config_fold_hash(c);
	snprintf(w->now.prefix, sizeof w->now.prefix, "%s", c->topic_prefix);
	snprintf(w->now.model_id, sizeof w->now.model_id, "%s", c->model_id);
	client_input_topic(w->now.input_topic, sizeof w->now.input_topic, c);
	int r = exchange_new(&w->exchange, &w->now) < 0 ? log_no_memory() : 0;
	if (r == 0)
		r = server_new(&w->server, c->http_listen, w->exchange, ALIVE_MS + c->election_timeout_ms + c->state_timeout_ms);
	if (r) {
		watch_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	server_free(w->server);
	exchange_free(w->exchange);
	free(w);
}

struct snapshot *watch_now(struct watch *w)
{
	return w ? &w->now : NULL;
}

void watch_publish(struct watch *w)
{
	if (w)
		exchange_publish(w->exchange, &w->now);
}

/* The wait for the lead is no part of it. */
static void measure_restore(struct watch *w, enum phase next)
{
	int64_t now_ms = monotonic_ms();
	if (w->now.phase < PHASE_CATCHING_UP && w->now.phase != PHASE_STANDING_BY)
		w->restoring_ms += now_ms - w->phase_ms;
	w->phase_ms = now_ms;
	if (next == PHASE_CATCHING_UP || next == PHASE_LIVE)
		w->now.restore_ms = w->restoring_ms;
}

void watch_phase(struct watch *w, enum phase phase)
{
	if (!w || w->now.phase == phase)
		return;
	measure_restore(w, phase);
	w->now.phase = phase;
	w->now.phase_ms = wall_ms();
	watch_publish(w);
}

void watch_beat(struct watch *w)
{
	if (w)
		exchange_beat(w->exchange);
}

void watch_stage(struct watch *w, enum stage stage, int64_t us)
{
	if (w)
		histogram_add(&w->now.stage[stage], us);
}
