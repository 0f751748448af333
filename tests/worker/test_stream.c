/* test_stream.c - tally.h, baselines.h, stream.h: numbers known by hand, and a stream whose next item is known */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "worker/eval/baselines.h"
#include "worker/eval/prequential.h"
#include "worker/eval/stream_report.h"
#include "worker/eval/tally.h"

#define HOUR INT64_C(3600000)

static int near(double a, double b) { return fabs(a - b) < 1e-4; }

static void intervals(void **state)
{
	struct interval w = wilson(20, 100); /* .1334 to .2888: Brown, Cai, DasGupta 2001, by their formula */
	struct tally t = { 0 };

	assert_true(near(w.low, .1334) && near(w.high, .2888));
	w = wilson(0, 10);
	assert_true(w.low == 0 && near(w.high, .2775));
	w = wilson(10, 10);
	assert_true(near(w.low, .7225) && w.high == 1);

	tally_add(&t, 0);        /* gain 1 */
	tally_add(&t, 2);        /* gain 1/2 */
	tally_add(&t, 7);        /* a hit of 10, not of 5 */
	tally_add(&t, UNRANKED);
	assert_true(near(tally_hr(&t, 0), .5) && near(tally_hr(&t, 1), .75) && near(tally_ndcg(&t, 0), 1.5 / 4));
	assert_true(near(tally_mrr(&t), (1 + 1 / 3. + 1 / 8.) / 4));
	w = tally_ndcg_interval(&t, 0); /* gains 1, .5, 0, 0: standard error .23936 */
	assert_true(near(w.high - w.low, 2 * 1.95996 * .23936));
}

static void windows_in_time_order(void **state)
{
	struct board *b;

	assert_int_equal(board_new(&b, 2, 1000), 0);
	assert_int_equal(board_add(b, 5500, 1u << SPLIT_ALL, (uint32_t[]){ 0, 30 }), 0);
	assert_int_equal(board_add(b, 7500, 1u << SPLIT_ALL | 1u << SPLIT_COLD, (uint32_t[]){ 0, 0 }), 0);
	assert_int_equal(board_add(b, 1999, 1u << SPLIT_ALL, (uint32_t[]){ 30, 0 }), 0); /* late */
	assert_int_equal(board_add(b, 5999, 1u << SPLIT_ALL, (uint32_t[]){ 30, 30 }), 0);
	assert_int_equal(board_windows(b), 3);
	assert_int_equal(board_window_ms(b, 0), 1000);
	assert_int_equal(board_window_ms(b, 1), 5000);
	assert_int_equal(board_tally(b, 1, 0, SPLIT_ALL)->n, 2);
	assert_int_equal(board_tally(b, 1, 0, SPLIT_ALL)->hits[2], 1);
	assert_int_equal(board_tally(b, 1, 1, SPLIT_ALL)->hits[2], 0);
	assert_int_equal(board_total(b, 1, SPLIT_ALL).hits[2], 2);
	assert_int_equal(board_total(b, 1, SPLIT_COLD).n, 1);
	board_free(b);
}

static void recent_events_only(void **state)
{
	struct baselines *b;
	uint32_t rank[BASELINES], history[] = { 3 };

	assert_int_equal(baselines_new(&b), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(baselines_learn(b, 0, NULL, 0, i), 0);
	assert_int_equal(baselines_learn(b, 1, NULL, 0, 30 * HOUR), 0); /* the five are a day old for all of them */
	baselines_rank(b, rank, 1, history, 1, 4, 0);
	assert_int_equal(rank[BY_RECENT], 0);
	baselines_rank(b, rank, 0, history, 1, 4, 0);
	assert_int_equal(rank[BY_RECENT], 1); /* behind what is recent, by the decayed count before the others */
	baselines_free(b);
}

static void half_life_that_did_best(void **state)
{
	struct baselines *b;
	uint32_t rank[BASELINES], history[] = { 200 };

	assert_int_equal(baselines_new(&b), 0);
	/* thirty items were popular two days ago; now it is one other, seen once: only a short memory has it first */
	for (uint32_t i = 0; i < 30; i++)
		for (int k = 0; k < 4; k++)
			assert_int_equal(baselines_learn(b, i, NULL, 0, 0), 0);
	assert_int_equal(baselines_learn(b, 100, NULL, 0, 48 * HOUR), 0);
	baselines_rank(b, rank, 100, history, 1, 201, 0);
	baselines_choose(b);
	assert_true(baselines_half_life_ms(b) <= 12 * HOUR);
	baselines_rank(b, rank, 100, history, 1, 201, 0);
	assert_int_equal(rank[BY_DECAYED], 0);
	baselines_free(b);
}

static void successors_of_late(void **state)
{
	struct baselines *b;
	uint32_t rank[BASELINES], history[] = { 5 };

	assert_int_equal(baselines_new(&b), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(baselines_learn(b, 1, history, 1, 0), 0);
	assert_int_equal(baselines_learn(b, 2, history, 1, 24 * HOUR), 0); /* one against three, but a day newer */
	baselines_rank(b, rank, 2, history, 1, 10, 0);
	baselines_choose(b);
	assert_int_equal(baselines_covisit_ms(b), HOUR); /* the shortest of those that have it first */
	baselines_rank(b, rank, 2, history, 1, 10, 0);
	assert_int_equal(rank[BY_FOLLOWED], 0);
	baselines_rank(b, rank, 1, history, 1, 10, 0);
	assert_int_equal(rank[BY_FOLLOWED], 1);
	baselines_free(b);
}

static void neighbours(void **state)
{
	struct baselines *b;
	uint32_t rank[BASELINES], one[] = { 1 }, two[] = { 1, 2 };

	assert_int_equal(baselines_new(&b), 0);
	for (int i = 0; i < 50; i++)
		assert_int_equal(baselines_learn(b, 9, NULL, 0, i), 0); /* popular */
	assert_int_equal(baselines_learn(b, 1, NULL, 0, 100), 0);
	assert_int_equal(baselines_learn(b, 9, one, 1, 101), 0); /* 1 and 9 once: 1 / sqrt(1 * 51), once more would not help it */
	assert_int_equal(baselines_learn(b, 2, one, 1, 102), 0); /* 1 and 2 once: 1 / sqrt(1 * 1) */
	baselines_rank(b, rank, 2, one, 1, 10, 0);
	assert_int_equal(rank[BY_KNN], 0);
	baselines_rank(b, rank, 9, one, 1, 10, 0);
	assert_int_equal(rank[BY_KNN], 1);
	assert_int_equal(baselines_learn(b, 4, two, 2, 103), 0);
	baselines_rank(b, rank, 4, (uint32_t[]){ 2 }, 1, 10, 0);
	assert_true(rank[BY_KNN] <= 1 && rank[BY_FOLLOWED] == 0);
	baselines_rank(b, rank, 9, (uint32_t[]){ 7 }, 1, 10, 0); /* nothing is known of 7: the order of popularity */
	assert_int_equal(rank[BY_KNN], 0);

	uint8_t gone[10] = { [2] = 1 };
	assert_int_equal(baselines_drop(b, gone, 10), 0);
	baselines_rank(b, rank, 4, one, 1, 10, 1);
	assert_true(rank[BY_KNN] <= 1); /* 2 is not a neighbour any more */
	baselines_free(b);
}

/* 100 events, user u's all alike; each hits when u is below `hits`. Contestant 1 misses where 0 does, and once more. */
static struct boot *boot_of(uint64_t users, uint64_t hits)
{
	struct boot *b;

	assert_int_equal(boot_new(&b, 2, 1), 0);
	for (uint64_t i = 0; i < 100; i++) {
		uint64_t u = i % users;
		boot_add(b, u, 1u << SPLIT_ALL, (uint32_t[]){ u < hits ? 0 : 30, u < hits && u ? 0 : 30 });
	}
	return b;
}

static void users_not_events(void **state)
{
	struct boot *b = boot_of(1, 1); /* a hundred hits, but of one user: nothing is known */
	struct interval x = boot_interval(b, 0, SPLIT_ALL, BOOT_HR + 2), w;

	assert_true(x.low == 0 && x.high == 1);
	boot_free(b);

	b = boot_of(100, 20); /* each its own: as by Wilson */
	x = boot_interval(b, 0, SPLIT_ALL, BOOT_HR + 2);
	w = wilson(20, 100);
	assert_true(fabs(x.low - w.low) < .03 && fabs(x.high - w.high) < .03);
	x = boot_interval(b, 0, SPLIT_ALL, BOOT_NDCG + 2); /* at rank 0 it is the same */
	assert_true(fabs(x.low - w.low) < .03 && fabs(x.high - w.high) < .03);
	x = boot_lead(b, 1, SPLIT_ALL, BOOT_HR + 2); /* paired: 1 event in 100 tells them apart, whoever is drawn */
	assert_true(x.low >= 0 && x.high > 0 && x.high < .05);
	x = boot_lead(b, 0, SPLIT_ALL, BOOT_MRR);
	assert_true(x.low == 0 && x.high == 0);
	x = boot_interval(b, 0, SPLIT_COLD, BOOT_MRR); /* nobody */
	assert_true(x.low == 0 && x.high == 1);
	boot_free(b);

	b = boot_of(10, 5); /* ten users of ten events: far less sure than a hundred, though as many events */
	x = boot_interval(b, 0, SPLIT_ALL, BOOT_HR + 2);
	w = wilson(50, 100);
	assert_true(x.high - x.low > 2 * (w.high - w.low));
	boot_free(b);
}

/* ---- a whole stream ---- */

static char path[] = "/tmp/s4rec_test_stream_XXXXXX";

/* A walk in a ring of items, which the second half walks the other way round: user u's n-th event is item (u + n) or (u - n) mod items. */
static void make_file(int users, int rounds, int items)
{
	int fd = mkstemp(strcpy(path, "/tmp/s4rec_test_stream_XXXXXX"));
	FILE *f = fdopen(fd, "w");

	assert_non_null(f);
	fputs("user,item,timestamp\n", f);
	for (int n = 0; n < rounds; n++)
		for (int u = 0; u < users; u++)
			fprintf(f, "u%d,i%d,%lld\n", u, n < rounds / 2 ? (u + n) % items : ((u - n) % items + items) % items, 1700000000000LL + 60000LL * (n * users + u));
	fputs("u1,,1700000000000\n", f); /* no item */
	fclose(f);
}

static void run(struct stream_result *r, const char *sample, const char *epochs)
{
	struct config c;
	char *argv[] = { "eval", "prequential", path, "--width", "16", "--heads", "2", "--layers", "1", "--prototypes", "4", "--max.length", "5", "--batch.users", "10",
		"--warmup.steps", "0", "--learning.rate", "0.02", "--sinkhorn.queue", "16", "--max.items", "100", "--threads", "1", "--dropout", "0", "--eval.sample",
		(char *)sample, "--eval.retrain.ms", "7200000", "--eval.retrain.epochs", (char *)epochs, NULL };

	assert_int_equal(config_parse(&c, C_STREAM, "", "", (int)(sizeof argv / sizeof *argv) - 1, argv), 0);
	assert_int_equal(stream_run(r, &c, path), 0);
	config_release(&c);
}

static double ndcg(const struct stream_result *r, size_t contestant)
{
	struct tally t = board_total(r->board, contestant, SPLIT_ALL);
	return tally_ndcg(&t, CUTS - 1);
}

static void newer_weights_are_better(void **state)
{
	struct stream_result r, again;
	uint64_t n, all;

	make_file(20, 60, 30);
	run(&r, "1", "30");
	assert_int_equal(r.events, 1200);
	assert_int_equal(r.bad_lines, 1);
	assert_int_equal(r.items, 30);
	n = board_total(r.board, 0, SPLIT_ALL).n;
	assert_int_equal(n, board_total(r.board, BY_FROZEN, SPLIT_ALL).n);
	assert_int_equal(n, board_total(r.board, 0, SPLIT_HEAD).n + board_total(r.board, 0, SPLIT_TAIL).n);
	assert_in_range(n, 1200 - 260, 1200 - 230); /* all behind the warm-up, which ends with a batch */
	/* what was learned the one way round is worth nothing the other way, so age tells */
	if (!(ndcg(&r, BY_ONLINE) > ndcg(&r, BY_SNAPSHOT) && ndcg(&r, BY_SNAPSHOT) > ndcg(&r, BY_FROZEN) && ndcg(&r, BY_NIGHTLY) > ndcg(&r, BY_FROZEN)))
		fail_msg("online %g nightly %g snapshot %g frozen %g", ndcg(&r, BY_ONLINE), ndcg(&r, BY_NIGHTLY), ndcg(&r, BY_SNAPSHOT), ndcg(&r, BY_FROZEN));
	assert_true(ndcg(&r, BY_NIGHTLY) != ndcg(&r, BY_SNAPSHOT));
	for (int s = 0; s < SPLITS; s++) { /* means lie within what the draws of users say of them */
		struct tally t = board_total(r.board, BY_ONLINE, (enum split)s);
		struct interval x = boot_interval(r.boot, BY_ONLINE, (enum split)s, BOOT_NDCG + 2);
		assert_true(x.low <= tally_ndcg(&t, 2) && tally_ndcg(&t, 2) <= x.high);
	}
	assert_true(boot_lead(r.boot, BY_FROZEN, SPLIT_ALL, BOOT_NDCG + 2).low > 0);
	assert_int_equal(board_total(r.board, 0, SPLIT_RARE).n, 80); /* what the warm-up has left of the first ten events of each item */
	uint32_t members = 0;
	for (size_t k = 0; k < r.K; k++)
		members += r.members[k];
	assert_int_equal(members, 20);

	char *page = NULL; /* its curves: one for each contestant in each figure, none of numbers that are none */
	size_t size, lines = 0;
	FILE *f = open_memstream(&page, &size);
	assert_int_equal(stream_report_write(f, &(struct stream_report){ .title = "<ring>", .options = "a=b&c", .result = &r }), 0);
	fclose(f);
	assert_non_null(strstr(page, "&lt;ring&gt;"));
	assert_non_null(strstr(page, "a=b&amp;c"));
	assert_null(strstr(page, "nan"));
	assert_null(strstr(page, "inf"));
	assert_null(strstr(page, "http"));
	for (const char *at = page; (at = strstr(at, "<polyline class=\"curve c")); at++)
		lines++;
	assert_true(lines >= 2 * CONTESTANTS);
	assert_non_null(strstr(page, "Share of head users per prototype"));
	free(page);

	run(&again, "1", "30"); /* the same again, to the bit */
	for (size_t c = 0; c < CONTESTANTS; c++)
		assert_true(ndcg(&r, c) == ndcg(&again, c));
	stream_result_release(&again);

	run(&again, "1", "0"); /* nothing is retrained, which no other contestant notices */
	assert_int_equal(board_total(again.board, BY_NIGHTLY, SPLIT_ALL).n, 0);
	for (size_t c = 0; c < CONTESTANTS; c++)
		assert_true(c == BY_NIGHTLY || ndcg(&r, c) == ndcg(&again, c));
	stream_result_release(&again);

	all = n;
	run(&again, "0.25", "0"); /* fewer are ranked, all are trained */
	n = board_total(again.board, 0, SPLIT_ALL).n;
	assert_in_range(n, all / 4 - 60, all / 4 + 60);
	assert_int_equal(again.events, 1200);
	stream_result_release(&again);
	stream_result_release(&r);
	unlink(path);
}

static void nothing_to_rank(void **state)
{
	struct stream_result r;
	struct config c;
	char *argv[] = { "eval", "prequential", path, "--max.items", "100", "--threads", "1", NULL };

	make_file(20, 1, 30); /* nobody comes twice */
	assert_int_equal(config_parse(&c, C_STREAM, "", "", (int)(sizeof argv / sizeof *argv) - 1, argv), 0);
	assert_int_equal(stream_run(&r, &c, path), EX_DATAERR);
	unlink(path);
	assert_int_equal(stream_run(&r, &c, path), EX_NOINPUT);
	config_release(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(intervals), cmocka_unit_test(windows_in_time_order), cmocka_unit_test(recent_events_only), cmocka_unit_test(half_life_that_did_best),
		cmocka_unit_test(users_not_events), cmocka_unit_test(successors_of_late), cmocka_unit_test(neighbours), cmocka_unit_test(newer_weights_are_better), cmocka_unit_test(nothing_to_rank),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
