/* test_loo.c - leave-one-out: what is read, what is asked and trained of it, how it is scored, and that a run repeats itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <math.h>
#include <unistd.h>
#include <cmocka.h>

#include "worker/eval/loo.h"
#include "worker/model_config.h"
#include "worker/model_file.h"

static char file_name[] = "/tmp/s4rec_loo_XXXXXX";
static char why[256];

static int read_text(struct sequences *s, const char *text, size_t users_max, size_t items_max)
{
	FILE *f = fopen(file_name, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	why[0] = '\0';
	return sequences_read(s, file_name, users_max, items_max, why, sizeof why);
}

#define assert_why(part)                                          \
	do {                                                      \
		if (!strstr(why, part))                           \
			fail_msg("'%s' is not in: %s", part, why); \
	} while (0)

#define assert_rows(got, n, ...)                                                       \
	do {                                                                           \
		const uint32_t expected_[] = { __VA_ARGS__ };                          \
		assert_int_equal(n, sizeof expected_ / sizeof *expected_);             \
		assert_memory_equal(got, expected_, sizeof expected_);                 \
	} while (0)

/* Rows by first sight: a 0, b 1, c 2, d 3, e 4, f 5. */
static const char three_users[] = "u1 a b c d e f\nu2\tf e  d\r\nu3 b a b c\n";

static void test_reads_users_and_items(void **state)
{
	struct sequences s;

	assert_int_equal(read_text(&s, three_users, 3, 6), 0);
	assert_int_equal(s.users, 3);
	assert_int_equal(s.items, 6);
	assert_rows(s.start, s.users + 1, 0, 6, 9, 13);
	assert_rows(s.item, s.events, 0, 1, 2, 3, 4, 5, 5, 4, 3, 1, 0, 1, 2);
	sequences_release(&s);
}

static void test_a_last_line_without_newline_counts(void **state)
{
	struct sequences s;

	assert_int_equal(read_text(&s, "u1 a b c\nu2 c b a", 9, 9), 0);
	assert_int_equal(s.users, 2);
	assert_rows(s.item, s.events, 0, 1, 2, 2, 1, 0);
	sequences_release(&s);
}

static void test_bad_files_are_named_with_their_line(void **state)
{
	struct sequences s;

	assert_int_equal(read_text(&s, "u1 a b c\n\nu2 a b c\n", 9, 9), EX_DATAERR);
	assert_why(" line 2: empty");
	assert_int_equal(read_text(&s, "u1 a b c\nu2 a b c\nu3 a\n", 9, 9), EX_DATAERR);
	assert_why(" line 3: user u3 has 1 item,");
	assert_int_equal(read_text(&s, "u1 a b c\nu2 a b c\nu1 d e f\n", 9, 9), EX_DATAERR);
	assert_why(" line 3: user u1 stands in line 1 already");
	assert_int_equal(sequences_read(&s, "/", 9, 9, why, sizeof why), EX_NOINPUT);
	assert_why("cannot read /: it is a folder");
	assert_int_equal(read_text(&s, "u1\n", 9, 9), EX_DATAERR);
	assert_why("user u1 has 0 items");
	assert_int_equal(read_text(&s, "", 9, 9), EX_DATAERR);
	assert_why("is empty");
	assert_int_equal(read_text(&s, three_users, 2, 9), EX_DATAERR);
	assert_why(" line 3: more than 2 users: raise max.users");
	assert_int_equal(read_text(&s, three_users, 9, 5), EX_DATAERR);
	assert_why(" line 1: more than 5 different items: raise max.items");
	assert_int_equal(sequences_read(&s, "/nowhere/at/all", 9, 9, why, sizeof why), EX_NOINPUT);
	assert_why("cannot read /nowhere/at/all: No such file");
}

static void test_questions_follow_the_protocol(void **state)
{
	struct sequences s;
	struct questions q;

	assert_int_equal(read_text(&s, three_users, 9, 9), 0);

	/* validation, L = 3: of `a b c d e f` the input is `b c d`, the answer `e`, and `a` may not be answered either */
	assert_int_equal(questions_new(&q, &s, 3, 1), 0);
	assert_rows(q.start, q.n + 1, 0, 3, 4, 6);
	assert_rows(q.item, q.tokens, 1, 2, 3, 5, 1, 0);
	assert_rows(q.exclude_start, q.n + 1, 0, 4, 5, 7);
	assert_rows(q.exclude, q.exclude_start[q.n], 0, 1, 2, 3, 5, 1, 0);
	assert_rows(q.answer, q.n, 4, 4, 1);
	questions_release(&q);

	assert_int_equal(questions_new(&q, &s, 3, 0), 0);
	assert_rows(q.start, q.n + 1, 0, 3, 5, 8);
	assert_rows(q.item, q.tokens, 2, 3, 4, 5, 4, 1, 0, 1);
	assert_rows(q.exclude, q.exclude_start[q.n], 0, 1, 2, 3, 4, 5, 4, 1, 0, 1);
	assert_rows(q.answer, q.n, 5, 3, 2);
	questions_release(&q);
	sequences_release(&s);
}

static void test_head_users_are_the_longest_fifth(void **state)
{
	struct sequences s;
	uint8_t *head;

	assert_int_equal(read_text(&s, "1 a b c\n2 a b c d\n3 a b c\n4 a b c d\n5 a b c\n6 a b c\n", 9, 9), 0);
	assert_int_equal(head_users(&head, &s), 0);
	assert_memory_equal(head, "\0\1\0\0\0\0", 6); /* one of six; user 2 comes before its equal */
	free(head);
	sequences_release(&s);
}

static int by_user_and_window(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;

	return x->user != y->user ? (x->user > y->user) - (x->user < y->user) : (x->window > y->window) - (x->window < y->window);
}

static void test_a_sample_is_the_newest_inputs(void **state)
{
	struct sequences s;
	struct samples x = { 0 };

	assert_int_equal(read_text(&s, three_users, 9, 9), 0);
	assert_int_equal(samples_draw(&x, &s, 2, 0, 1, 1), 0);
	qsort(x.list, x.count, sizeof *x.list, by_user_and_window);

	/* items[:-3] of u1 is `a b c`, of which two stay; u2 has nothing to train with; u3 `b` predicts `a` */
	assert_int_equal(x.count, 2);
	assert_memory_equal(&x.list[0], (&(struct sample){ .user = 0, .end = 3, .inputs = 2, .targets = 2 }), sizeof *x.list);
	assert_memory_equal(&x.list[1], (&(struct sample){ .user = 2, .end = 1, .inputs = 1, .targets = 1 }), sizeof *x.list);
	samples_release(&x);
	sequences_release(&s);
}

static void test_windows_teach_every_event_once(void **state)
{
	static const size_t strides[] = { 1, 3, 5, 9 }, L = 5;
	struct sequences s;
	struct samples x = { 0 };

	assert_int_equal(read_text(&s, "u a b c d e f g h i j k l m n o p q r s t\nv a b c d e\n", 9, 99), 0);
	for (uint64_t epoch = 1; epoch <= 20; epoch++)
		for (size_t k = 0; k < 4; k++) {
			int seen[2][20] = { { 0 } };

			assert_int_equal(samples_draw(&x, &s, L, strides[k], 1, epoch), 0);
			for (size_t i = 0; i < x.count; i++) {
				const struct sample *w = &x.list[i];

				assert_in_range(w->inputs, 1, L);
				assert_in_range(w->targets, 1, w->inputs);
				assert_in_range(w->end, w->inputs, sequences_length(&s, w->user) - 3);
				for (uint32_t t = 0; t < w->targets; t++)
					seen[w->user][w->end - t]++;
			}
			for (size_t u = 0; u < 2; u++)
				for (size_t i = 0; i < sequences_length(&s, u); i++)
					assert_int_equal(seen[u][i], i >= 1 && i + 3 <= sequences_length(&s, u));
		}
	samples_release(&x);
	sequences_release(&s);
}

static void test_order_differs_by_epoch_and_repeats(void **state)
{
	struct sequences s;
	struct samples x = { 0 }, y = { 0 }, z = { 0 };
	char text[4096] = "";

	for (int u = 0; u < 50; u++)
		sprintf(text + strlen(text), "u%d a b c d e\n", u);
	assert_int_equal(read_text(&s, text, 99, 9), 0);
	assert_int_equal(samples_draw(&x, &s, 5, 0, 1, 1), 0);
	assert_int_equal(samples_draw(&y, &s, 5, 0, 1, 1), 0);
	assert_int_equal(samples_draw(&z, &s, 5, 0, 1, 2), 0);
	assert_int_equal(x.count, 50);
	assert_memory_equal(x.list, y.list, x.count * sizeof *x.list);
	assert_memory_not_equal(x.list, z.list, x.count * sizeof *x.list);
	qsort(x.list, x.count, sizeof *x.list, by_user_and_window);
	for (uint32_t u = 0; u < 50; u++)
		assert_int_equal(x.list[u].user, u);
	samples_release(&x);
	samples_release(&y);
	samples_release(&z);
	sequences_release(&s);
}

static void test_scores_are_a_plain_recount(void **state)
{
	enum { N = 6 };
	static const int rank[N] = { 0, 4, 5, 9, 19, -1 }; /* -1: not among the 20 */
	uint32_t answer[N], rows[N * 20];
	uint8_t head[N] = { 1, 0, 0, 0, 0, 0 }, few[N] = { 0, 1, 0, 0, 0, 1 };
	struct questions q = { .n = N, .answer = answer, .head = head, .few = few };
	struct loo_scores s[GROUPS];

	for (int i = 0; i < N; i++) {
		answer[i] = 1000;
		for (int k = 0; k < 20; k++)
			rows[i * 20 + k] = k == rank[i] ? 1000 : (uint32_t)k;
	}
	loo_score(s, &q, rows);
	assert_int_equal(s[ALL_USERS].n, N);
	assert_float_equal(s[ALL_USERS].hr[0], 2.0 / 6, 1e-12);
	assert_float_equal(s[ALL_USERS].hr[1], 4.0 / 6, 1e-12);
	assert_float_equal(s[ALL_USERS].hr[2], 5.0 / 6, 1e-12);
	assert_float_equal(s[ALL_USERS].ndcg[0], (1 + 1 / log2(6)) / 6, 1e-12);
	assert_float_equal(s[ALL_USERS].ndcg[1], (1 + 1 / log2(6) + 1 / log2(7) + 1 / log2(11)) / 6, 1e-12);
	assert_float_equal(s[ALL_USERS].ndcg[2], (1 + 1 / log2(6) + 1 / log2(7) + 1 / log2(11) + 1 / log2(21)) / 6, 1e-12);
	assert_float_equal(s[ALL_USERS].mrr20, (1 + 1 / 5. + 1 / 6. + 1 / 10. + 1 / 20.) / 6, 1e-12);
	assert_int_equal(s[HEAD_USERS].n, 1);
	assert_float_equal(s[HEAD_USERS].ndcg[2], 1, 1e-12);
	assert_int_equal(s[TAIL_USERS].n, 5);
	assert_float_equal(s[TAIL_USERS].hr[2], 4.0 / 5, 1e-12);
	assert_int_equal(s[FEW_USERS].n, 2);
	assert_float_equal(s[FEW_USERS].hr[0], 1.0 / 2, 1e-12);
	assert_float_equal(s[FEW_USERS].mrr20, 1.0 / 10, 1e-12);
}

static void test_few_event_users_are_counted_with_what_is_held_back(void **state)
{
	struct questions q;
	struct sequences s;

	assert_int_equal(read_text(&s, "u1 a b c d e\nu2 a b c d e f\nu3 a b c\n", 9, 9), 0);
	for (size_t last = 0; last < 2; last++) { /* test and validation ask the same users */
		assert_int_equal(questions_new(&q, &s, 3, last), 0);
		assert_memory_equal(q.few, ((uint8_t[]){ 1, 0, 1 }), 3);
		questions_release(&q);
	}
	sequences_release(&s);
}

static void test_mean_and_spread_over_seeds(void **state)
{
	struct loo_result r[3] = { 0 };
	struct loo_scores mean, spread;

	for (int i = 0; i < 3; i++) {
		r[i].best.test[ALL_USERS] = (struct loo_scores){ .hr = { .1, .2, .3 }, .ndcg = { .01 * i, .02, .03 }, .mrr20 = .5 - .1 * i, .n = 9 };
		r[i].best.test[FEW_USERS] = (struct loo_scores){ .hr = { .4 + .2 * (i == 2) }, .n = 4 };
	}
	loo_spread(&mean, &spread, r, 3, ALL_USERS);
	assert_float_equal(mean.hr[1], .2, 1e-12);
	assert_float_equal(spread.hr[1], 0, 1e-12);
	assert_float_equal(mean.ndcg[0], .01, 1e-12);
	assert_float_equal(spread.ndcg[0], .01, 1e-12);
	assert_float_equal(mean.mrr20, .4, 1e-12);
	assert_float_equal(spread.mrr20, .1, 1e-12);
	assert_int_equal(mean.n, 9);
	loo_spread(&mean, &spread, r, 3, FEW_USERS);
	assert_float_equal(mean.hr[0], 1.4 / 3, 1e-12);
	assert_float_equal(spread.hr[0], sqrt(.04 / 3), 1e-12);
	assert_int_equal(mean.n, 4);
	loo_spread(&mean, &spread, r + 2, 1, ALL_USERS);
	assert_float_equal(mean.mrr20, .3, 1e-12);
	assert_float_equal(spread.mrr20, 0, 1e-12);
}

/* ---- a whole run ---- */

static int parse(struct config *c, char **argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	return config_parse(c, C_EVAL, "usage", "example", argc, argv);
}

static void keep_epoch(void *ctx, const struct loo_epoch *e) { ((struct loo_epoch *)ctx)[e->epoch] = *e; }

/* Everybody walks round a ring of 40 items: what comes next is certain, and never seen before by that user. */
static void ring(struct sequences *s)
{
	char *text = malloc(100000), *p = text;

	for (int u = 0; u < 200; u++) {
		p += sprintf(p, "u%d", u);
		for (int i = 0; i < 6 + u % 9; i++)
			p += sprintf(p, " %d", (u * 7 + i) % 40);
		*p++ = '\n';
	}
	*p = '\0';
	assert_int_equal(read_text(s, text, 999, 999), 0);
	free(text);
}

static char *small[] = { "eval", "--width=16", "--layers=1", "--prototypes=8", "--batch.users=32", "--max.length=8", "--dropout=0.1",
	"--learning.rate=0.01", "--warmup.steps=5", "--schedule=cosine", "--epochs=12", "--eval.every=3", "--time.to=0.5", "--windows=4", NULL };

static void test_a_run_learns_and_repeats(void **state)
{
	static struct loo_epoch first[16], second[16];
	struct loo_result a, b;
	struct sequences s;
	struct config c;

	ring(&s);
	assert_int_equal(parse(&c, small), 0);
	assert_int_equal(loo_run(&a, &c, &s, 7, NULL, NULL, keep_epoch, first), 0);
	assert_true(a.best.test[ALL_USERS].ndcg[2] > .7);
	assert_true(a.reached.epoch >= 3 && a.reached.epoch <= a.best.epoch && a.reached.epoch % 3 == 0);
	assert_true(a.reached.valid[ALL_USERS].ndcg[2] >= .5);
	assert_true(a.reached.test[ALL_USERS].n == 200 && a.reached.train_s <= a.train_s);
	assert_true(first[12].mean.loss_sr < first[1].mean.loss_sr);
	for (int e = 1; e <= 12; e++) {
		assert_int_equal(first[e].validated, e % 3 == 0);
		assert_true(!first[e].validated || first[e].valid.ndcg[2] <= a.best.valid[ALL_USERS].ndcg[2]);
	}

	c.threads = 1;
	assert_int_equal(loo_run(&b, &c, &s, 7, NULL, NULL, keep_epoch, second), 0);
	assert_memory_equal(a.best.test, b.best.test, sizeof a.best.test);
	for (int e = 1; e <= 12; e++)
		assert_memory_equal(&first[e].mean, &second[e].mean, sizeof first[e].mean);
	config_release(&c);
	sequences_release(&s);
}

static int same_files(const char *a, const char *b)
{
	FILE *f = fopen(a, "r"), *g = fopen(b, "r");
	int x, y;

	assert_non_null(f);
	assert_non_null(g);
	do {
		x = getc(f);
		y = getc(g);
	} while (x == y && x != EOF);
	fclose(f);
	fclose(g);
	return x == y;
}

/* The test, and the file, must be of the chosen epoch: stopping just there gives the same figures and the same bytes. */
static void best_epoch(int loss)
{
	static struct loo_epoch epochs[64];
	char first[64], second[64];
	struct loo_result a, b;
	struct sequences s;
	struct config c;

	ring(&s);
	memset(epochs, 0, sizeof epochs);
	snprintf(first, sizeof first, "%s.a", file_name);
	snprintf(second, sizeof second, "%s.b", file_name);
	assert_int_equal(parse(&c, small), 0);
	c.loss = loss;
	c.negatives = 16;
	c.schedule = SCHEDULE_CONSTANT; /* a cosine over fewer epochs would be another training */
	c.eval_every = 1;
	c.epochs = 60;
	c.patience = 2;
	c.learning_rate = .03; /* so large that it passes a best epoch */
	assert_int_equal(loo_run(&a, &c, &s, 3, first, NULL, keep_epoch, epochs), 0);
	assert_true(a.best.epoch < 58);
	assert_int_equal(epochs[a.best.epoch + 2].epoch, a.best.epoch + 2); /* patience: two more, then the end */
	assert_int_equal(epochs[a.best.epoch + 3].epoch, 0);
	c.epochs = a.best.epoch;
	assert_int_equal(loo_run(&b, &c, &s, 3, second, NULL, keep_epoch, epochs), 0);
	assert_int_equal(b.best.epoch, a.best.epoch);
	assert_memory_equal(a.best.test, b.best.test, sizeof a.best.test);
	assert_true(same_files(first, second));
	unlink(first);
	unlink(second);
	config_release(&c);
	sequences_release(&s);
}

static void test_the_best_epochs_weights_are_tested(void **state)
{
	best_epoch(LOSS_FULL);
	best_epoch(LOSS_SAMPLED); /* rows that no gradient touched stand where the epoch left them */
}

/* What `s4rec import` is given: the rows by the file's own ids. */
static void test_the_model_file_knows_the_items(void **state)
{
	static struct loo_epoch epochs[16];
	struct loo_result r;
	struct sequences s;
	struct config c;
	struct model *m;
	struct idmap *ids;
	struct model_config mc;

	ring(&s);
	assert_int_equal(parse(&c, small), 0);
	assert_int_equal(loo_run(&r, &c, &s, 1, file_name, NULL, keep_epoch, epochs), 0);
	mc = model_config_from(&c, 10);
	assert_int_equal(model_file_load(&m, &ids, &mc, file_name), 0);
	assert_int_equal(model_items(m), 40);
	for (uint32_t row = 0; row < 40; row++) {
		char id[12];
		size_t len;

		snprintf(id, sizeof id, "%u", row); /* the first user begins at 0, and all walk upwards */
		assert_int_equal(idmap_find(ids, id, strlen(id)), idmap_find(s.ids, id, strlen(id)));
		assert_non_null(idmap_id(ids, row, &len));
	}
	idmap_free(ids);
	model_free(m);

	mc.D = 32;
	assert_int_equal(model_file_load(&m, &ids, &mc, file_name), EX_CONFIG);
	mc.D = 16;
	mc.items_max = 39;
	assert_int_equal(model_file_load(&m, &ids, &mc, file_name), EX_CONFIG);
	assert_int_equal(model_file_load(&m, &ids, &mc, "/nonexistent/file"), EX_NOINPUT);
	assert_int_equal(model_file_load(&m, &ids, &mc, "/dev/null"), EX_DATAERR);
	assert_int_equal(model_file_check("/nonexistent/file"), EX_CANTCREAT);
	assert_int_equal(model_file_check("/tmp"), EX_CANTCREAT);
	assert_int_equal(model_file_check(file_name), 0);
	config_release(&c);
	sequences_release(&s);
}

/* --model.in: the same figures from the file, also where the sequences have their users, and so their items, in another order. */
static void test_a_given_model_is_tested(void **state)
{
	static struct loo_epoch epochs[16];
	struct loo_result trained, given;
	struct sequences s, turned;
	struct config c;
	char *text = malloc(100000), *p = text;

	ring(&s);
	assert_int_equal(parse(&c, small), 0);
	assert_int_equal(loo_run(&trained, &c, &s, 1, file_name, NULL, keep_epoch, epochs), 0);
	char *in = c.model_in;
	c.model_in = file_name;
	assert_int_equal(loo_run(&given, &c, &s, 1, NULL, NULL, keep_epoch, epochs), 0);
	assert_memory_equal(given.best.test, trained.best.test, sizeof given.best.test);
	assert_memory_equal(given.best.valid, trained.best.valid, sizeof given.best.valid);
	assert_int_equal(given.best.epoch, 0);

	for (int u = 199; u >= 0; u--) {
		p += sprintf(p, "u%d", u);
		for (int i = 0; i < 6 + u % 9; i++)
			p += sprintf(p, " %d", (u * 7 + i) % 40);
		*p++ = '\n';
	}
	p += sprintf(p, "u200 1 2 never-seen\n");
	*p = '\0';
	c.model_in = in; /* read_text writes to the file's name */
	char kept[80];
	snprintf(kept, sizeof kept, "%s.kept", file_name);
	assert_int_equal(rename(file_name, kept), 0);
	assert_int_equal(read_text(&turned, text, 999, 999), 0);
	assert_int_not_equal(idmap_find(turned.ids, "0", 1), idmap_find(s.ids, "0", 1));
	c.model_in = kept;
	assert_int_equal(loo_run(&given, &c, &turned, 1, NULL, NULL, keep_epoch, epochs), 0);
	/* one user more, whose item nobody knows: a miss, unless chance has it */
	assert_float_equal(given.best.test[ALL_USERS].ndcg[2] * 201, trained.best.test[ALL_USERS].ndcg[2] * 200, 1.01);
	c.width = 32;
	assert_int_equal(loo_run(&given, &c, &turned, 1, NULL, NULL, keep_epoch, epochs), EX_CONFIG);
	unlink(kept);
	c.model_in = in;
	config_release(&c);
	sequences_release(&turned);
	sequences_release(&s);
	free(text);
}

static void test_every_loss_form_runs(void **state)
{
	static struct loo_epoch epochs[16];
	struct loo_result r;
	struct sequences s;
	struct config c;

	ring(&s);
	for (int loss = LOSS_FULL; loss <= LOSS_BCE; loss++) {
		assert_int_equal(parse(&c, small), 0);
		c.loss = loss;
		c.negatives = 16;
		assert_int_equal(loo_run(&r, &c, &s, 1, NULL, NULL, keep_epoch, epochs), 0);
		if (r.best.test[ALL_USERS].ndcg[2] < .5)
			fail_msg("loss form %d: NDCG@20 %.4f", loss, r.best.test[ALL_USERS].ndcg[2]);
		config_release(&c);
	}
	/* for comparison: prototypes by k-means */
	assert_int_equal(parse(&c, small), 0);
	c.cluster = CLUSTER_KMEANS;
	assert_int_equal(loo_run(&r, &c, &s, 1, NULL, NULL, keep_epoch, epochs), 0);
	assert_true(epochs[12].mean.loss_clust > 0 && epochs[12].mean.loss_clust < epochs[1].mean.loss_clust);
	if (r.best.test[ALL_USERS].ndcg[2] < .5)
		fail_msg("kmeans: NDCG@20 %.4f", r.best.test[ALL_USERS].ndcg[2]);
	config_release(&c);
	sequences_release(&s);
}

static int make_file(void **state)
{
	int fd = mkstemp(file_name);

	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state) { return unlink(file_name); }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_users_and_items),
		cmocka_unit_test(test_a_last_line_without_newline_counts),
		cmocka_unit_test(test_bad_files_are_named_with_their_line),
		cmocka_unit_test(test_questions_follow_the_protocol),
		cmocka_unit_test(test_head_users_are_the_longest_fifth),
		cmocka_unit_test(test_a_sample_is_the_newest_inputs),
		cmocka_unit_test(test_windows_teach_every_event_once),
		cmocka_unit_test(test_order_differs_by_epoch_and_repeats),
		cmocka_unit_test(test_scores_are_a_plain_recount),
		cmocka_unit_test(test_few_event_users_are_counted_with_what_is_held_back),
		cmocka_unit_test(test_mean_and_spread_over_seeds),
		cmocka_unit_test(test_a_run_learns_and_repeats),
		cmocka_unit_test(test_the_best_epochs_weights_are_tested),
		cmocka_unit_test(test_the_model_file_knows_the_items),
		cmocka_unit_test(test_a_given_model_is_tested),
		cmocka_unit_test(test_every_loss_form_runs),
	};
	return cmocka_run_group_tests(tests, make_file, remove_file);
}
