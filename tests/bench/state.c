/* state.c - `make bench-state` (through state.sh, which brings a broker): what a flush of state costs the fold, and how fast it comes back.
 * Usage: state ROWS [s4rec options]. Baseline in the same run: a consumer that reads the same topic and does nothing with it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/rng.h"
#include "worker/kafka/reader.h"
#include "worker/state/state.h"

#define PARTITIONS 1

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const char *what, int r)
{
	fprintf(stderr, "state: %s: %d\n", what, r);
	exit(71);
}

/* Items as events make them, with rows that no compressor can shrink. */
static void make_items(struct learner *l, uint32_t rows)
{
	for (uint32_t i = 0; i < rows; i++) {
		char id[32];
		uint32_t row, *step;
		int is_new, len = snprintf(id, sizeof id, "item-%u", i);
		if (idmap_intern(l->item_ids, &row, &is_new, id, (size_t)len) || model_add_item(l->model, &row) || changes_row(l->changes, STATE_ITEM, row) ||
		    learner_reserve_items(l, (size_t)row + 1) || popularity_restore(l->popularity, row, i))
			die("items", -1);
		float *values = model_row_state(l->model, row, &step);
		for (size_t k = 0; k < model_row_floats(l->model); k++)
			values[k] = (float)rng_unit(rng_bits(1, RNG_GENERATE, i, k, 0));
	}
}

/* The flush, with the longest time that one turn of the loop would have waited for it. */
static void flush(const struct config *c, uint32_t rows)
{
	struct learner *l;
	struct state *s;
	int64_t offsets[PARTITIONS] = { 0 };
	int r = learner_new(&l, c, "input", 1);
	if (r == 0)
		r = state_new(&s, c, l, PARTITIONS);
	if (r == 0)
		r = state_write(s, "bench");
	if (r)
		die("state_new", r);
	make_items(l, rows);
	l->step = 1;

	double start = now(), longest = 0, in_turns = 0, before = start;
	size_t turns = 0;
	r = state_begin(s, 1, offsets, 1);
	for (;;) {
		double took = now() - before;
		longest = took > longest ? took : longest;
		in_turns += took;
		turns++;
		if (r || !state_busy(s))
			break;
		nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL); /* a step of 2 ms */
		before = now();
		r = state_turn(s, 0);
	}
	if (r || state_stats(s).flushes != 1)
		die("flush", r);
	double all = now() - start;
	printf("flush of %u rows: %.2f s in all, %zu turns, longest %.1f ms (goal 100), the fold spent %.2f s on it (%.2f us a row)\n", rows, all, turns,
	       longest * 1e3, in_turns, in_turns * 1e6 / rows);
	state_free(s);
	learner_free(l);
}

static double plain_read(const struct config *c, double *ret_mb)
{
	struct reader in;
	rd_kafka_message_t *m = NULL;
	double start, bytes = 0;
	int r = reader_open(&in, c, TOPIC_STATE, END_ALL);
	start = now();
	while (r == 0 && (r = reader_next(&in, &m)) == 0 && m) {
		bytes += (double)(m->len + m->key_len);
		rd_kafka_message_destroy(m);
	}
	if (r)
		die("read", r);
	double took = now() - start;
	reader_close(&in);
	*ret_mb = bytes / 1e6;
	return took;
}

static double restore(const struct config *c, uint32_t rows)
{
	struct learner *l;
	struct state *s;
	const struct manifest *m;
	int r = learner_new(&l, c, "input", 1);
	if (r == 0)
		r = state_new(&s, c, l, PARTITIONS);
	double start = now();
	if (r == 0)
		r = state_restore(s, &m);
	double took = now() - start;
	if (r || !m || m->items != rows)
		die("restore", r);
	state_free(s);
	learner_free(l);
	return took;
}

int main(int argc, char **argv)
{
	struct config c;
	if (argc < 2 || atoi(argv[1]) < 1)
		return 64;
	uint32_t rows = (uint32_t)atoi(argv[1]);
	int r = config_parse(&c, C_TRAIN, "state ROWS [OPTION]...", "state 1000000", argc - 1, argv + 1);
	if (r)
		return r;
	flush(&c, rows);
	for (int turn = 0; turn < 2; turn++) {
		double mb, plain = plain_read(&c, &mb), full = restore(&c, rows);
		printf("restore of %.0f MB: %.2f s, %.0f MB/s; a plain consumer %.2f s, %.0f MB/s: %.0f %% of it (goal 70)\n", mb, full, mb / full, plain, mb / plain,
		       100 * plain / full);
	}
	config_release(&c);
	return 0;
}
