/* generate.c - `s4rec generate`: writes the synthetic stream to stdout, its truth to files, and how well one could predict it. */
#include "worker/command.h"
#include "worker/config.h"
#include "worker/generate/generate.h"
#include "worker/log.h"
#include "codec/event.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

static volatile sig_atomic_t stop;
static void on_signal(int sig) { stop = sig; }

struct tally { double count, hr20, ndcg20, mrr; };

static void tally_add(struct tally *t, double rank)
{
	t->count++;
	t->mrr += 1 / (rank + 1);
	if (rank < 20) {
		t->hr20++;
		t->ndcg20 += 1 / log2(rank + 2);
	}
}

static void tally_print(const char *what, const struct tally *t)
{
	if (t->count > 0)
		fprintf(stderr, "%s: HR@20 %.4f NDCG@20 %.4f MRR %.4f", what, t->hr20 / t->count, t->ndcg20 / t->count, t->mrr / t->count);
}

static int64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Sleeps until line `written` is due; a signal ends the sleep. */
static void pace(int64_t begin_ns, uint64_t written, double rate)
{
	int64_t due = begin_ns + (int64_t)((double)written * 1e9 / rate);
	struct timespec t = { .tv_sec = due / 1000000000, .tv_nsec = due % 1000000000 };

	while (!stop && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

static FILE *open_truth(const char *path)
{
	FILE *f = fopen(path, "we");

	if (!f)
		log_error("s4rec generate: cannot write %s: %s", path, strerror(errno));
	return f;
}

static void print_item(void *ctx, uint64_t item, uint32_t interest)
{
	fprintf(ctx, "i%llu\t%u\n", (unsigned long long)item, interest);
}

/* Closes, so that a full disk is noticed. */
static int close_written(FILE *f, const char *what)
{
	int bad = ferror(f);

	if ((f == stdout ? fflush(f) : fclose(f)) != 0 || bad) {
		log_error("s4rec generate: writing %s: %s", what, strerror(errno));
		return EX_IOERR;
	}
	return EX_OK;
}

static int write_stream(const struct config *c, struct stream *s, FILE *truth, int live)
{
	struct tally all = { 0 }, newest = { 0 };
	uint64_t skip = (uint64_t)c->skip, end = skip + (uint64_t)c->events;
	int64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
	char line[STREAM_LINE_MAX];
	struct stream_event e;

	for (uint64_t written = 0; !stop;) {
		if (stream_next(s, &e) < 0) {
			log_error("s4rec generate: out of memory");
			return EX_OSERR;
		}
		if (e.line >= end)
			break;
		if (e.line < skip)
			continue;
		if (e.line == skip)
			begin_ns = clock_ns(CLOCK_MONOTONIC);
		if (c->rate > 0)
			pace(begin_ns, written, c->rate);
		if (live)
			e.ts_ms = clock_ns(CLOCK_REALTIME) / 1000000 - (int64_t)(e.late * 1000.0 / c->rate);
		if (fwrite(line, 1, stream_format(line, sizeof(line), &e), stdout) == 0)
			break;
		if (c->rate > 0)
			fflush(stdout);
		written++;
		if (e.malformed || e.duplicate)
			continue;
		tally_add(&all, e.rank);
		if (e.line >= end - (uint64_t)c->events / 5)
			tally_add(&newest, e.rank);
		if (truth)
			fprintf(truth, "e%llu\t%lld\t%g\t%u\n", (unsigned long long)e.id, (long long)e.ts_ms, e.rank, e.interest);
	}
	tally_print("best possible", &all);
	tally_print("; over the last 20 %", &newest);
	fputc('\n', stderr);
	return EX_OK;
}

int command_generate(int argc, char **argv)
{
	struct stream_options o;
	struct stream *s = NULL;
	struct config c;
	const char *why = "";
	FILE *truth = NULL, *items = NULL;
	int live, r = config_parse(&c, C_GENERATE, "s4rec generate [OPTION ...] > events.jsonl   (--start now: event time is the clock's, with --rate)",
	                           "s4rec generate --events 150000 --truth truth.tsv | s4rec load -", argc, argv);

	if (r != 0)
		return r < 0 ? EX_OK : r;

	r = EX_USAGE;
	live = strcmp(c.start, "now") == 0;
	o = (struct stream_options){ .seed = (uint64_t)c.seed, .users = (uint64_t)c.users, .items = (uint64_t)c.items,
		.interests = (uint64_t)c.interests, .categories = c.categories, .malformed = c.malformed, .late = c.late, .duplicates = c.duplicates,
		.start_ms = 1767225600000 /* 2026-01-01 */ };
	if (c.arg_count > 0) {
		log_error("s4rec generate: unexpected argument '%s'", c.args[0]);
		goto out;
	}
	if (live && c.rate <= 0) {
		log_error("s4rec generate: start=now takes event times from the clock and needs a --rate above 0");
		goto out;
	}
	if (*c.start && !live && time_parse_iso8601(&o.start_ms, c.start, strlen(c.start)) < 0) {
		log_error("s4rec generate: --start: start=%s is neither now nor a time like 2026-01-01T00:00:00Z", c.start);
		goto out;
	}
	r = stream_new(&s, &o, &why);
	if (r < 0) {
		log_error("s4rec generate: %s", r == -ENOMEM ? "out of memory" : why);
		r = r == -ENOMEM ? EX_OSERR : EX_USAGE;
		goto out;
	}
	if ((*c.truth && !(truth = open_truth(c.truth))) || (*c.truth_items && !(items = open_truth(c.truth_items)))) {
		r = EX_CANTCREAT;
		goto out;
	}
	sigaction(SIGINT, &(struct sigaction){ .sa_handler = on_signal }, NULL);
	sigaction(SIGTERM, &(struct sigaction){ .sa_handler = on_signal }, NULL);

	if (truth)
		fputs("# rank: by the Bayes predictor that knows the laws of the stream and sees what the user did (not the hidden interest)\n"
		      "event_id\tts_ms\trank\tinterest\n", truth);
	r = write_stream(&c, s, truth, live);
	if (items) {
		fputs("item\tinterest\n", items);
		stream_items(s, print_item, items);
	}
	if (r == EX_OK)
		r = close_written(stdout, "the stream");
out:
	if (truth && close_written(truth, c.truth) != EX_OK && r == EX_OK)
		r = EX_IOERR;
	if (items && close_written(items, c.truth_items) != EX_OK && r == EX_OK)
		r = EX_IOERR;
	stream_free(s);
	config_release(&c);
	return r;
}
