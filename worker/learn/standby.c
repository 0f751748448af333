/* standby.c - a start up to the moment when this worker leads: read the state, join the election, follow the state until it is our turn, and only
 * then fence whoever trained before. Nothing is written, and no event is read. Reading order: loop_stand_by, lead.
 *
 * The state is read before the group is joined, so that the one who is given the lead is warm, and one who takes it over stops the other only then.
 */
#include <sysexits.h>

#include "worker/crash_point.h"
#include "worker/learn/loop_private.h"
#include "worker/log.h"

#define SILENCE_MS 30000
#define QUIET_MS 1000  /* a start that gets the lead within this says nothing of waiting */
#define ANEW_MAX 2 /* readings from the beginning without ever getting to the end */

struct standby {
	struct loop *w;
	struct state_followed state;
	int anew;
	int64_t told_ms;
};

int loop_read_anew(struct loop *w)
{
	log_warn("what was followed of %s.state does not add up: reading all of it anew", w->cfg->topic_prefix);
	learner_free(w->learner);
	w->learner = NULL;
	int r = learner_new(&w->learner, w->cfg, w->input_topic, w->embedding_partitions);
	if (r == 0)
		state_restart(w->state, w->learner);
	return r;
}

/* Compaction may be quicker than a reader, so what does not add up is read again; what never does is an error. */
static int follow(struct standby *b)
{
	int r = state_follow(b->w->state, POLL_MS, &b->state);
	if (r == EX_DATAERR && b->anew++ < ANEW_MAX)
		return loop_read_anew(b->w);
	if (r == 0 && b->state.caught_up)
		b->anew = 0;
	show_followed(b->w, &b->state);
	return r;
}

static void tell(struct standby *b, int waiting)
{
	int64_t now_ms = monotonic_ms();
	if (now_ms - b->told_ms < b->w->cfg->progress_ms)
		return;
	b->told_ms = now_ms;
	log_info("%s step=%llu records=%llu caught_up=%s", waiting ? "standing by: another worker leads; state" : "reading state",
	         (unsigned long long)b->state.step, (unsigned long long)b->state.records, b->state.caught_up ? "yes" : "no");
}

static int wait_for_lead(struct standby *b, const volatile sig_atomic_t *stop)
{
	enum election_role role = ELECTION_WAITING;
	for (;;) {
		if (*stop)
			return LOOP_STOPPED;
		int r = election_poll(b->w->election, 0, &role);
		if (r || role != ELECTION_WAITING)
			return r;
		r = follow(b);
		if (r)
			return r;
		tell(b, 1);
	}
}

/* From here on no other worker of this model can commit, nor flush. */
static int lead(struct loop *w)
{
	log_info("leading %s", w->cfg->topic_prefix);
	watch_phase(w->show.watch, PHASE_RESTORING);
	crash_point("start.before_fence");
	int r = committer_new(&w->committer, w->cfg);
	crash_point("start.between_fences");
	if (r == 0)
		r = state_write(w->state, w->run_id);
	crash_point("start.fenced");
	if (r == 0)
		show_lead(w);
	return r;
}

/* The state to its end, as of now. A standby may wait for a broker that is away; a start, which somebody waits for, gives up. */
static int read_state(struct standby *b, const volatile sig_atomic_t *stop)
{
	int64_t since_ms = monotonic_ms();
	while (!b->state.caught_up) {
		uint64_t records = b->state.records;
		int r = *stop ? LOOP_STOPPED : follow(b);
		if (r)
			return r;
		tell(b, 0);
		if (b->state.records != records)
			since_ms = monotonic_ms();
		if (monotonic_ms() - since_ms > SILENCE_MS) {
			log_error("%s.state: no answer for %d s at offset %lld; is the broker still there?", b->w->cfg->topic_prefix, SILENCE_MS / 1000, (long long)b->state.offset);
			return EX_UNAVAILABLE;
		}
	}
	return 0;
}

int loop_stand_by(struct loop *w, const volatile sig_atomic_t *stop)
{
	struct standby b = { .w = w, .told_ms = monotonic_ms() };
	watch_phase(w->show.watch, PHASE_READING);
	int r = loop_set_until(w); /* the end is that of our start, however long we wait */
	if (r == 0)
		r = loop_check_model(w); /* now, not only when it would have to take over */
	if (r == 0)
		r = read_state(&b, stop);
	if (r == 0)
		r = election_new(&w->election, w->cfg);
	b.told_ms = monotonic_ms() + QUIET_MS - w->cfg->progress_ms; /* a standby says soon that it is one */
	watch_phase(w->show.watch, PHASE_STANDING_BY);
	if (r == 0)
		r = wait_for_lead(&b, stop);
	return r ? r : lead(w);
}

int loop_check_lead(struct loop *w)
{
	enum election_role role = ELECTION_LEADING; /* verify has no election */
	int r = w->election ? election_poll(w->election, 0, &role) : 0;
	watch_beat(w->show.watch);
	return r ? r : role == ELECTION_LEADING ? 0 : EX_TEMPFAIL;
}
