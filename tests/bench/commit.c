/* commit.c - `make bench-commit` (through commit.sh, which brings a broker): one transaction per commit, as the worker sends it.
 * Usage: commit [s4rec options]. Baseline in the same run: commits of one row, i.e. the protocol alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/kafka/committer.h"

static int stage(struct staged *s, int rows, int n)
{
	char key[32], value[280];
	int r = 0;
	memset(value, n, sizeof value);
	for (int i = 0; r == 0 && i < rows; i++) {
		for (size_t j = 0; j < sizeof value; j += 4)
			value[j] = (char)rand();
		int len = snprintf(key, sizeof key, "item/%d", rand() % 100000);
		r = staged_record(s, TOPIC_EMBEDDINGS, -1, key, (size_t)len, value, sizeof value);
	}
	if (r == 0)
		r = staged_record(s, TOPIC_BATCHES, 0, "1", 1, "cut", 3);
	staged_offset(s, 0, n + 1);
	return r;
}

static int run(const struct config *c, int rows, int commits)
{
	struct committer *k;
	struct staged *s;
	struct committer_stats stats;
	int r = committer_new(&k, c);
	if (r)
		return r;
	if (staged_new(&s) < 0)
		return 71;
	for (int i = 0; r == 0 && i < commits; i++) {
		if (stage(s, rows, i) < 0)
			return 71;
		r = committer_submit(k, &s);
		if (r == 0)
			r = committer_wait(k);
	}
	committer_stats(k, &stats);
	printf("%6d rows a commit: p50 %.1f ms, p99 %.1f ms over %llu commits, %llu sent again\n", rows, stats.p50_ms, stats.p99_ms,
	       (unsigned long long)stats.commits, (unsigned long long)stats.retries);
	staged_free(s);
	committer_free(k);
	return r;
}

int main(int argc, char **argv)
{
	struct config c;
	int r = config_parse(&c, C_TRAIN, "commit [OPTION]...", "commit -b 127.0.0.1:9092", argc, argv);
	static const int rows[] = { 1, 1000, 10000 };
	puts("the broker as it was found (a new one is slow until its JVM is warm):");
	if (r == 0)
		r = run(&c, 1, 400);
	puts("then:");
	for (size_t i = 0; r == 0 && i < sizeof rows / sizeof *rows; i++)
		r = run(&c, rows[i], 100);
	config_release(&c);
	return r;
}
