/* test_sweep.c - sweeps: which runs an option's values make, what is refused, and what the page shows of them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/worker/page.h"
#include "worker/eval/sweep_report.h"

static struct config c;

/* The options of eval with this sweep. */
static int given(const char *sweep, struct sweep *s)
{
	char width[] = "--width=16", lambda[] = "--lambda=0.1", K[] = "--prototypes=4", seeds[] = "--seeds=2", eval[] = "eval", arg[512];
	char *argv[] = { eval, width, lambda, K, seeds, arg, NULL };

	snprintf(arg, sizeof arg, "--sweep=%s", sweep);
	assert_int_equal(config_parse(&c, C_EVAL, "usage", "example", 6, argv), 0);
	return sweep_new(s, &c);
}

static void done(struct sweep *s)
{
	sweep_release(s);
	config_release(&c);
}

static void test_without_a_sweep_there_is_one_run(void **state)
{
	struct sweep s;

	assert_int_equal(given("", &s), 0);
	assert_int_equal(s.runs, 1);
	assert_int_equal(s.axes, 0);
	assert_string_equal(s.run[0].name, "");
	done(&s);
}

static void test_each_run_differs_in_one_option(void **state)
{
	struct sweep s;

	assert_int_equal(given("lambda=0,0.1,1;prototypes=8,4;loss=bce", &s), 0);
	assert_int_equal(s.axes, 3);
	assert_int_equal(s.runs, 5); /* as it is, lambda 0 and 1, eight prototypes, bce */
	assert_string_equal(s.axis[0].option, "lambda");
	assert_int_equal(s.axis[0].points, 3);
	assert_string_equal(s.axis[0].value[2], "1");
	assert_memory_equal(s.axis[0].run, ((size_t[]){ 1, 0, 2 }), 3 * sizeof(size_t)); /* .1 is what the options say */
	assert_memory_equal(s.axis[1].run, ((size_t[]){ 3, 0 }), 2 * sizeof(size_t));
	assert_string_equal(s.run[1].name, "lambda=0");
	assert_true(s.run[1].c.lambda == 0 && s.run[1].c.prototypes == 4 && s.run[1].c.loss == 0);
	assert_true(s.run[3].c.lambda == .1 && s.run[3].c.prototypes == 8 && s.run[3].c.loss == 0);
	assert_true(s.run[4].c.lambda == .1 && s.run[4].c.prototypes == 4 && s.run[4].c.loss == 2);
	assert_true(s.run[0].c.lambda == .1 && s.run[0].c.prototypes == 4);
	done(&s);
}

static void test_no_run_is_made_twice(void **state)
{
	struct sweep s;

	assert_int_equal(given("lambda=0,0.0,1e-1;lambda=0", &s), 0);
	assert_int_equal(s.runs, 2);
	assert_memory_equal(s.axis[0].run, ((size_t[]){ 1, 1, 0 }), 3 * sizeof(size_t));
	assert_int_equal(s.axis[1].run[0], 1);
	done(&s);
}

static void test_what_cannot_run_is_refused_before_the_first(void **state)
{
	static const struct { const char *sweep; int code; } wrong[] = {
		{ "lambda", EX_USAGE }, { "lambda=", EX_USAGE }, { "=1", EX_USAGE }, { "lambda=-1", EX_USAGE }, { "lambda=x", EX_USAGE }, { "lambda=,", EX_USAGE }, { "lambda=0,,1", EX_USAGE }, { "lambada=1", EX_USAGE },
		{ "report=a", EX_USAGE }, { "seeds=3", EX_USAGE }, { "threads=1", EX_USAGE }, { "rate=1", EX_USAGE }, { "lambda=0,1;heads=3", EX_CONFIG }, { "schedule.steps=100", EX_CONFIG },
		{ "lambda=0,.01,.02,.03,.04,.05,.06,.07,.08,.09,.11,.12,.13,.14,.15,.16,.17", EX_USAGE },
		{ "tau1=1;tau2=.1;tau3=.1;alpha=1;beta1=1;beta2=1;lambda=1;clip=1;dropout=0", EX_USAGE },
	};
	struct sweep s;
	int saved = dup(STDERR_FILENO);

	assert_non_null(freopen("/dev/null", "w", stderr)); /* errors are logged, which is not asked here */
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		int code = given(wrong[i].sweep, &s);

		config_release(&c);
		if (code != wrong[i].code)
			fail_msg("%s: %d", wrong[i].sweep, code);
	}
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
}

/* Results as if the runs had been: all, head and tail users differ by run; nobody has few events. */
static void fill(struct sweep *s)
{
	for (size_t i = 0; i < s->runs; i++) {
		struct sweep_run *x = &s->run[i];

		for (size_t seed = 0; seed < s->seeds; seed++) {
			struct loo_chosen *best = &x->result[seed].best;
			double more = (double)seed * .002;

			best->test[ALL_USERS] = (struct loo_scores){ .hr = { .1, .2, .3 }, .ndcg = { .04, .05, .06 + .01 * (double)i + more }, .n = 10 };
			best->test[HEAD_USERS] = (struct loo_scores){ .ndcg = { 0, 0, .07 + .01 * (double)i }, .n = 2 };
			best->test[TAIL_USERS] = (struct loo_scores){ .ndcg = { 0, 0, .05 + .01 * (double)i }, .n = 8 };
			best->valid[ALL_USERS].ndcg[CUTS - 1] = .09 + .01 * (double)i;
		}
		x->detail = (struct loo_detail){ .users = 10, .head_users = 2, .K = (size_t)x->c.prototypes,
			.members = calloc((size_t)x->c.prototypes, sizeof(uint32_t)), .heads = calloc((size_t)x->c.prototypes, sizeof(uint32_t)) };
		assert_true(x->detail.members && x->detail.heads);
		x->detail.members[0] = 4;
		x->detail.members[1] = 6;
		x->detail.heads[0] = i ? 2 : 1; /* run 0: a quarter of 4 and a sixth of 6 */
		x->detail.heads[1] = i ? 0 : 1;
	}
}

static void test_the_page_shows_each_option(void **state)
{
	struct sweep s;
	char *page = NULL, *lambda, *prototypes;
	size_t size;
	FILE *f = open_memstream(&page, &size);

	assert_non_null(f);
	assert_int_equal(given("lambda=0,0.1,1;prototypes=4,8", &s), 0);
	fill(&s);
	assert_int_equal(sweep_report_write(f, &s), 0);
	assert_int_equal(fclose(f), 0);
	assert_well_formed(page);
	lambda = strstr(page, "<h3>lambda</h3>");
	prototypes = strstr(page, "<h3>prototypes</h3>");
	assert_true(lambda && prototypes && lambda < prototypes);

	/* tables: mean and deviation of two seeds, of each run where it belongs */
	assert_int_equal(count(lambda, "<th scope=\"row\">"), 5);
	assert_has(page, "<th scope=\"row\">0.1</th><td>0.0900</td>");
	assert_has(page, "<td>0.0610 \xc2\xb1" "0.0014</td><td>0.0700 \xc2\xb1" "0.0000</td><td>0.0500 \xc2\xb1" "0.0000</td><td></td><td>2 of 4</td>");
	assert_has(prototypes, "<th scope=\"row\">8</th><td>0.1200</td>");
	assert_has(prototypes, "<td>2 of 8</td>");
	assert_has_not(page, "nan");

	/* with and without the adversary, side by side */
	assert_int_equal(count(page, "<b>Share of head users per prototype, lambda="), 3);
	assert_has(lambda, "<b>Share of head users per prototype, lambda=0</b>");
	assert_has(lambda, "prototype 0: 25.0 % of 4");
	assert_has(lambda, "prototype 0: 50.0 % of 4");
	assert_int_equal(count(page, "<b>Share of head users per prototype, prototypes="), 2);

	/* curves of all, head and tail users; nobody has few events */
	assert_has(page, "<b>Test NDCG@20 by lambda</b>");
	assert_int_equal(count(page, "<polyline"), 2 * 3);
	free(page);
	done(&s);
}

static void test_nothing_of_an_option_can_be_markup(void **state)
{
	struct sweep s;
	char *page = NULL;
	size_t size;
	FILE *f = open_memstream(&page, &size);

	assert_non_null(f);
	assert_int_equal(given("lambda=0", &s), 0); /* one value: a dot each */
	fill(&s);
	snprintf(s.axis[0].value[0], sizeof s.axis[0].value[0], "<b>&");
	assert_int_equal(sweep_report_write(f, &s), 0);
	assert_int_equal(fclose(f), 0);
	assert_well_formed(page);
	assert_has(page, "&lt;b&gt;&amp;");
	assert_int_equal(count(page, "<circle"), 3);
	free(page);
	done(&s);
}

static void test_head_spread_is_a_plain_recount(void **state)
{
	uint32_t members[3] = { 4, 6, 0 }, heads[3] = { 2, 0, 0 };
	struct loo_detail d = { .users = 10, .head_users = 2, .K = 3, .members = members, .heads = heads };

	assert_float_equal(loo_head_spread(&d), sqrt((4 * .3 * .3 + 6 * .2 * .2) / 10), 1e-12);
	members[0] = members[1] = 5;
	heads[0] = heads[1] = 1;
	assert_float_equal(loo_head_spread(&d), 0, 1e-12);
	assert_float_equal(loo_head_spread(&(struct loo_detail){ 0 }), 0, 1e-12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_sweep_there_is_one_run),
		cmocka_unit_test(test_each_run_differs_in_one_option),
		cmocka_unit_test(test_no_run_is_made_twice),
		cmocka_unit_test(test_what_cannot_run_is_refused_before_the_first),
		cmocka_unit_test(test_the_page_shows_each_option),
		cmocka_unit_test(test_nothing_of_an_option_can_be_markup),
		cmocka_unit_test(test_head_spread_is_a_plain_recount),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
