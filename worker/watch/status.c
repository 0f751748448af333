/* status.c - see status.h */
#include "worker/watch/status.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <librdkafka/rdkafka.h>

#include "worker/json_text.h"
#include "worker/version.h"

void status_readiness(char *ret, size_t size, const struct snapshot *s)
{
	switch (s->phase) {
	case PHASE_STARTING:
		snprintf(ret, size, "starting: connects to Kafka and checks the topics");
		break;
	case PHASE_READING:
		snprintf(ret, size, "reads the state: %" PRIu64 " records so far", s->restore_records);
		break;
	case PHASE_STANDING_BY:
		snprintf(ret, size, "stands by: another worker leads; the state is that of step %" PRIu64, s->state_step);
		break;
	case PHASE_RESTORING:
		snprintf(ret, size, "leads, and restores the state: step %" PRIu64, s->state_step);
		break;
	case PHASE_REPLAYING:
		snprintf(ret, size, "replays what was committed behind the state: step %" PRIu64, s->step);
		break;
	case PHASE_CATCHING_UP:
		if (s->pass)
			snprintf(ret, size, "catches up: pass %" PRIu64 ", %" PRIu64 " of %" PRIu64 " users", s->pass, s->pass_users, s->pass_rows);
		else
			snprintf(ret, size, "catches up: %" PRId64 " records before the goal", s->backlog);
		break;
	case PHASE_STOPPING:
		snprintf(ret, size, "stops: commits and flushes what is there");
		break;
	case PHASE_LIVE:
	case PHASES:
		snprintf(ret, size, "ready");
		break;
	}
}

/* ---- JSON ---- */

static void key(yajl_gen g, const char *name)
{
	yajl_gen_string(g, (const unsigned char *)name, strlen(name));
}

static void text(yajl_gen g, const char *name, const char *value)
{
	key(g, name);
	json_text(g, value, strlen(value));
}

static void integer(yajl_gen g, const char *name, int64_t x)
{
	key(g, name);
	yajl_gen_integer(g, x);
}

/* JSON has no other numbers. */
static void real(yajl_gen g, const char *name, double x)
{
	char digits[32];
	int n = snprintf(digits, sizeof digits, "%.6g", isfinite(x) ? x : 0);
	key(g, name);
	yajl_gen_number(g, digits, (size_t)n);
}

static void yes_or_no(yajl_gen g, const char *name, int x)
{
	key(g, name);
	yajl_gen_bool(g, x);
}

/* null: there is none yet. */
static void moment(yajl_gen g, const char *name, int64_t ms)
{
	time_t s = (time_t)(ms / 1000);
	char stamp[40];
	struct tm tm;
	if (ms == 0) {
		key(g, name);
		yajl_gen_null(g);
		return;
	}
	gmtime_r(&s, &tm);
	size_t n = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(stamp + n, sizeof stamp - n, ".%03dZ", (int)(ms % 1000));
	text(g, name, stamp);
}

static void open_map(yajl_gen g, const char *name)
{
	key(g, name);
	yajl_gen_map_open(g);
}

static void write_identity(yajl_gen g, const struct snapshot *s)
{
	char id[80], hash[24];
	snprintf(hash, sizeof hash, "%016" PRIx64, s->config_hash);
	text(g, "prefix", s->prefix);
	text(g, "input_topic", s->input_topic);
	text(g, "model_id", s->model_id);
	if (s->space) {
		snprintf(id, sizeof id, "%.48s-%" PRIu64, s->model_id, s->space); /* as version records have it */
		text(g, "space_id", id);
	}
	text(g, "run_id", s->run_id);
	text(g, "config_hash", hash);
	text(g, "numeric_id", s->numeric_id);
}

static void write_quality(yajl_gen g, const struct snapshot *s)
{
	open_map(g, "prequential");
	integer(g, "ranked_events", (int64_t)s->count.ranked);
	real(g, "hr20", s->model.hr20);
	real(g, "ndcg20", s->model.ndcg20);
	real(g, "popularity_hr20", s->popularity.hr20);
	real(g, "popularity_ndcg20", s->popularity.ndcg20);
	yajl_gen_map_close(g);
	open_map(g, "loss");
	for (int i = 0; i < LOSS_TERMS; i++)
		real(g, loss_words[i], s->loss[i]);
	yajl_gen_map_close(g);
}

static void write_input(yajl_gen g, const struct snapshot *s)
{
	key(g, "input");
	yajl_gen_array_open(g);
	for (int i = 0; i < s->partitions; i++) {
		const struct snapshot_partition *p = &s->partition[i];
		yajl_gen_map_open(g);
		integer(g, "partition", i);
		integer(g, "offset", p->next);
		if (p->lag >= 0)
			integer(g, "lag", p->lag);
		yajl_gen_map_close(g);
	}
	yajl_gen_array_close(g);
}

static void write_dead_letters(yajl_gen g, const struct snapshot *s)
{
	open_map(g, "dead_letters_by_reason");
	for (int i = 0; i < REASONS_MAX && s->dead.text[i]; i++)
		integer(g, s->dead.text[i], (int64_t)s->dead.n[i]);
	yajl_gen_map_close(g);
}

static void write_state(yajl_gen g, const struct snapshot *s)
{
	open_map(g, "state");
	integer(g, "step", (int64_t)s->state_step);
	integer(g, "flushes", (int64_t)s->flushes);
	real(g, "last_flush_ms", s->flush_last_ms);
	integer(g, "restored_records", (int64_t)s->restore_records);
	integer(g, "restore_ms", s->restore_ms);
	yajl_gen_map_close(g);
}

static void write_phase(yajl_gen g, const struct snapshot *s)
{
	char why[160];
	status_readiness(why, sizeof why, s);
	text(g, "phase", phase_words[s->phase]);
	moment(g, "phase_since", s->phase_ms);
	yes_or_no(g, "ready", s->phase == PHASE_LIVE);
	text(g, "readiness", why);
	yes_or_no(g, "leads", s->leads);
}

static void write_all(yajl_gen g, const struct snapshot *s)
{
	yajl_gen_map_open(g);
	write_phase(g, s);
	write_identity(g, s);
	text(g, "s4rec", S4REC_VERSION);
	moment(g, "started", s->started_ms);
	integer(g, "version", (int64_t)s->version);
	integer(g, "step", (int64_t)s->step);
	moment(g, "watermark", s->watermark_ms);
	moment(g, "last_commit", s->published_ms);
	integer(g, "freshness_p50_ms", s->freshness_p50_ms);
	integer(g, "freshness_p99_ms", s->freshness_p99_ms);
	integer(g, "events", (int64_t)s->total_events);
	real(g, "events_per_second", s->events_per_s);
	integer(g, "items", (int64_t)s->items);
	integer(g, "users", (int64_t)s->users);
	integer(g, "dead_letters", (int64_t)s->total_dead_letters);
	yes_or_no(g, "held", s->held);
	if (s->held)
		text(g, "held_why", s->held_why);
	integer(g, "accepted_gaps", (int64_t)s->gaps);
	write_quality(g, s);
	write_state(g, s);
	write_dead_letters(g, s);
	write_input(g, s);
	yajl_gen_map_close(g);
}

static int print(FILE *f, yajl_gen g)
{
	const unsigned char *json;
	size_t len;
	if (yajl_gen_get_buf(g, &json, &len) != yajl_gen_status_ok)
		return -EIO;
	return fwrite(json, 1, len, f) == len && fputc('\n', f) != EOF ? 0 : -ENOMEM;
}

int status_write(FILE *f, const struct snapshot *s)
{
	yajl_gen g = yajl_gen_alloc(NULL);
	if (!g)
		return -ENOMEM;

	yajl_gen_config(g, yajl_gen_beautify, 1);
	write_all(g, s);
	int r = print(f, g);
	yajl_gen_free(g);
	return r;
}

int version_write(FILE *f)
{
	yajl_gen g = yajl_gen_alloc(NULL);
	if (!g)
		return -ENOMEM;

	yajl_gen_map_open(g);
	text(g, "s4rec", S4REC_VERSION);
	text(g, "librdkafka", rd_kafka_version_str());
	yajl_gen_map_close(g);
	int r = print(f, g);
	yajl_gen_free(g);
	return r;
}
