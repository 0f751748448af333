/* refold.c - folds a log again along given cuts and publishes all of it under a prefix of its own: what a worker should have written.
 *   refold [OPTIONS OF TRAIN] -t PREFIX --input.topic TOPIC RECORDS
 * RECORDS is what `records follow` printed of a run on TOPIC, from its first cut on. The clock values are those of the cuts, so every record
 * comes out as that run should have sent it, byte for byte; the state is flushed once, at the end. The topics of PREFIX must be empty.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "model/kernel.h"
#include "worker/learn/loop_private.h"
#include "worker/log.h"

#define LINE_MAX_BYTES (64 * 1024)

static int fail(const char *what, const struct cut *c)
{
	log_error("refold: %s at step %llu", what, (unsigned long long)c->step);
	return EX_DATAERR;
}

/* The next cut of the file: 1, or 0 at its end. */
static int next_cut(FILE *f, struct cut *ret, int64_t *offsets)
{
	static char line[LINE_MAX_BYTES];
	static uint8_t value[LINE_MAX_BYTES / 2];
	while (fgets(line, sizeof line, f)) {
		char topic[32];
		int at = 0;
		if (sscanf(line, "%*s %31s %*s %*s %*s %*s %*s %*s %n", topic, &at) != 1 || strcmp(topic, "batches") || !at)
			continue;
		size_t n = 0;
		while (sscanf(line + at + 2 * n, "%2hhx", &value[n]) == 1)
			n++;
		if (cut_decode(ret, offsets, CUT_PARTITIONS_MAX, value, n) < 0) {
			log_error("refold: not a cut: %s", line);
			exit(EX_DATAERR);
		}
		return 1;
	}
	return 0;
}

static int read_batch(struct loop *w, const struct cut *c)
{
	struct record *r;
	int code = 0;
	input_limit(w->input, c->offsets);
	while (code == 0 && !input_at_end(w->input)) {
		while ((r = input_next(w->input, INPUT_WAIT)))
			batch_add(w, r, 0);
		if (!input_at_end(w->input)) /* waits, and where all has been read, in vain */
			code = input_fill(w->input, POLL_MS);
	}
	return code;
}

static int fold_batch(struct loop *w, const struct cut *c)
{
	struct train_result t;
	int r = read_batch(w, c);
	if (r)
		return r;
	w->learner->max_users = c->max_users;
	w->learner->max_items = c->max_items;
	r = fold(w, c->step, c->skipped, w->staged, &t);
	if (r)
		return r;
	if (t.events != c->events || t.dead_letters != c->dead_letters || t.records_hash != c->records_hash || t.discarded != c->discarded)
		return fail("another batch than was trained", c);
	return 0;
}

static int send_commit(struct loop *w, const struct cut *c)
{
	int r = learner_publish(w->learner, w->staged, c->version, c->now_ms, c->offsets, w->partitions);
	for (size_t i = 0; r == 0 && i < w->cut_n; i++)
		r = cutlog_stage(w->staged, &w->cuts[i]);
	for (int p = 0; r == 0 && p < w->partitions; p++)
		staged_offset(w->staged, p, c->offsets[p]);
	w->cut_n = 0;
	w->version = c->version;
	memcpy(w->position, c->offsets, (size_t)w->partitions * sizeof *w->position);
	if (r == 0)
		r = committer_submit(w->committer, &w->staged);
	w->submitted++;
	return r;
}

static int refold_cut(struct loop *w, const struct cut *c)
{
	struct cut *mine = &w->cuts[w->cut_n];
	*mine = *c;
	mine->offsets = w->cut_offsets + w->cut_n * (size_t)w->partitions;
	memcpy(mine->offsets, c->offsets, (size_t)w->partitions * sizeof *c->offsets);
	w->cut_n++;
	int r = c->step ? fold_batch(w, c) : input_seek(w->input, c->offsets);
	return r == 0 && c->commit ? send_commit(w, mine) : r;
}

static int refold(struct loop *w, FILE *f)
{
	static int64_t offsets[CUT_PARTITIONS_MAX];
	struct cut c;
	uint64_t expect = 0;
	int r = 0;
	for (; r == 0 && next_cut(f, &c, offsets); expect++) {
		if (c.step != expect || c.partitions != (size_t)w->partitions)
			return fail("a gap in the cuts, or a step twice,", &c);
		r = refold_cut(w, &c);
	}
	if (r == 0 && (!expect || w->cut_n))
		r = fail("the cuts do not end with a commit", &c);
	if (r == 0)
		r = committer_wait(w->committer);
	if (r == 0)
		r = state_begin(w->state, w->version, w->position, w->embedding_partitions);
	return r ? r : state_finish(w->state, committer_cut_offset(w->committer, w->submitted));
}

int main(int argc, char **argv)
{
	struct config c;
	struct loop *w = NULL;
	int r = config_parse(&c, C_TRAIN, "refold [OPTION]... RECORDS", "refold -t again --input.topic s4rec.interactions records.txt", argc, argv);
	if (r)
		return r < 0 ? 0 : r;
	FILE *f = c.arg_count == 1 ? fopen(c.args[0], "r") : NULL;
	if (!f) {
		log_error("refold: one file of records is needed");
		return EX_NOINPUT;
	}
	kernel_portable(c.kernel == 1);
	static const volatile sig_atomic_t never;
	r = loop_new(&w, &c);
	if (r == 0)
		r = loop_stand_by(w, &never);
	if (r == 0)
		r = refold(w, f);
	loop_free(w);
	fclose(f);
	config_release(&c);
	return r;
}
