/* backfill.c - see backfill.h */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "worker/learn/backfill.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "worker/kafka/check.h"
#include "worker/kafka/positions.h"
#include "worker/log.h"

uint64_t backfill_from_hash(const struct config *c)
{
	return c->from[0] ? XXH3_64bits_withSeed(c->from, strlen(c->from), (XXH64_hash_t)c->rebuild) | 1 : 0;
}

int backfill_check(const struct config *c, const struct cut *last)
{
	if (!c->from[0] || last->from_hash == backfill_from_hash(c))
		return 0; /* the same words again: a start that comes again, and goes on */
	log_error("prefix %s has model %s already, and --from begins a new one: name it with --model.id (it is made beside the other one, `s4rec promote` leads "
	          "readers to it), or leave --from out to go on", c->topic_prefix, last->model_id);
	return EX_CONFIG;
}

int backfill_begin(struct loop *w)
{
	const struct learner *l = w->learner;
	if (w->until)
		w->goal = w->until;
	else if (l->catching_up || passes_wanted(l) || w->cfg->epochs > (int64_t)l->passes.done) {
		w->own_goal = calloc((size_t)w->partitions, sizeof *w->own_goal);
		int r = w->own_goal ? client_input_watermarks(w->cfg, w->partitions, NULL, w->own_goal) : log_no_memory();
		if (r)
			return r;
		w->goal = w->own_goal;
	}
	w->whole_log = w->cfg->cut == 2 || (w->cfg->cut == 0 && w->goal);
	input_limit(w->input, w->goal);
	progress_goal(w->progress, w->goal, w->partitions);
	return 0;
}

int backfill_over(const struct loop *w)
{
	return w->goal && w->batch_records == 0 && input_at_end(w->input);
}

int backfill_finished(const struct loop *w)
{
	return w->until && backfill_over(w) && w->cut_n == 0 && !passes_wanted(w->learner) && !w->learner->catching_up;
}

/* ---- dry run ---- */

static void print_time(int64_t ms)
{
	time_t s = (time_t)(ms / 1000);
	char text[32] = "-";
	struct tm tm;
	if (ms >= 0) {
		gmtime_r(&s, &tm);
		strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	}
	printf("  %-20s", text);
}

/* Where a start would begin: --from, behind the last cut, or at the beginning. */
static int find_begin(const struct config *c, int partitions, int64_t *ret, const char **ret_how)
{
	struct cutlog *log = NULL;
	struct cut last;
	int none = 1, r = cutlog_new(&log, c, END_COMMITTED);
	if (r == 0)
		r = cutlog_last(log, &last, &none);
	if (r == 0 && !none)
		r = backfill_check(c, &last);
	if (r == 0 && !none && last.partitions != (size_t)partitions) {
		log_error("this model was folded from %zu input partitions, now there are %d", last.partitions, partitions);
		r = EX_CONFIG;
	}
	if (r == 0 && !none)
		memcpy(ret, last.offsets, (size_t)partitions * sizeof *ret);
	cutlog_free(log);
	*ret_how = none ? c->from[0] ? c->from : "beginning" : "the last committed cut";
	return r || !none ? r : positions_resolve(c, "from", c->from[0] ? c->from : "beginning", partitions, ret);
}

int backfill_dry_run(const struct config *c)
{
	int counts[TOPIC_COUNT] = { 0 }, r = check_model_topics(c, counts), n = counts[TOPIC_INTERACTIONS];
	int64_t from[n + 1], until[n + 1], first[n + 1], last[n + 1], total = 0;
	const char *how = "", *to = c->until[0] ? c->until : "end";
	if (r == 0)
		r = find_begin(c, n, from, &how);
	if (r == 0)
		r = positions_resolve(c, "until", to, n, until);
	if (r == 0)
		r = positions_times(c, n, from, until, first, last);
	if (r)
		return r;
	printf("model %s of prefix %s, from %s until %s%s:\n", c->model_id, c->topic_prefix, how, to, c->until[0] ? "" : ", then live");
	printf("%-9s  %12s  %12s  %12s  %-20s  %-20s\n", "partition", "from", "until", "records", "first record", "last record");
	for (int p = 0; p < n; p++) {
		int64_t records = until[p] > from[p] ? until[p] - from[p] : 0;
		printf("%-9d  %12" PRId64 "  %12" PRId64 "  %12" PRId64, p, from[p], until[p], records);
		print_time(first[p]);
		print_time(last[p]);
		putchar('\n');
		total += records;
	}
	printf("%-9s  %12s  %12s  %12" PRId64 "  (markers of transactions count, too)\n", "all", "", "", total);
	if (c->epochs)
		printf("then up to %" PRId64 " passes over the user store\n", c->epochs);
	return 0;
}
