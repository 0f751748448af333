/* test_report.c - the report of leave-one-out: well-formed, with the figures given, whatever names and figures there are. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/worker/page.h"
#include "worker/eval/report.h"

enum { EPOCHS = 3, K = 4 };

static struct loo_epoch epochs[EPOCHS];
static struct loo_result result;
static uint32_t members[K], heads[K];
static struct loo_detail detail;
static struct report report;

static int given(void **state)
{
	for (int i = 0; i < EPOCHS; i++)
		epochs[i] = (struct loo_epoch){ .epoch = i + 1, .validated = 1, .mean = { .loss_sr = 8 - i, .loss_clust = 4, .loss_scl = 2, .loss_ckd = .1, .loss_adv = .6 },
			.valid = { .ndcg = { .01, .02, .031 + .01 * i } } };
	result = (struct loo_result){ .train_s = 12.5, .best = { .epoch = 3, .test = { { .hr = { .1111, .2222, .3333 }, .ndcg = { .0444, .0555, .0666 }, .mrr20 = .0777, .n = 10 },
		{ .hr = { .0123 }, .n = 2 }, { .hr = { .0321 }, .n = 8 }, { .hr = { .0231 }, .n = 3 } } } };
	result.best.valid[ALL_USERS].ndcg[CUTS - 1] = .051;
	memcpy(members, (uint32_t[K]){ 2, 5, 0, 3 }, sizeof members);
	memcpy(heads, (uint32_t[K]){ 1, 1, 0, 0 }, sizeof heads);
	detail = (struct loo_detail){ .users = 10, .head_users = 2, .K = K, .members = members, .heads = heads, .bin_users = { 6, 3, [9] = 1 }, .bin_ndcg20 = { .0812, .0411 } };
	report = (struct report){ .title = "beauty.txt", .options = "width=64\nloss=full\n", .seed = 77, .epoch = epochs, .epochs = EPOCHS, .result = &result, .detail = &detail };
	return 0;
}

static char *written(void)
{
	char *page = NULL;
	size_t size;
	FILE *f = open_memstream(&page, &size);

	assert_non_null(f);
	assert_int_equal(report_write(f, &report), 0);
	assert_int_equal(fclose(f), 0);
	return page;
}

static void test_figures_and_curves_are_there(void **state)
{
	char *page = written();

	assert_well_formed(page);
	for (size_t i = 0; i < 6; i++)
		assert_has(page, ((const char *[]){ "0.1111", "0.2222", "0.3333", "0.0444", "0.0555", "0.0666" })[i]);
	assert_has(page, "0.0777");
	assert_has(page, "<td>0.0123</td>");
	assert_has(page, "<td>0.0321</td>");
	assert_has(page, "few</th><td>3</td><td>0.0231</td>");
	assert_has(page, "best 0.0510 at epoch 3");
	assert_has(page, "seed 77");
	assert_has(page, "12.5 s");
	assert_has(page, "loss=full\n");
	assert_int_equal(count(page, "<polyline"), 6);
	free(page);
}

static void test_nothing_comes_from_outside(void **state)
{
	char *page = written();

	assert_has_not(page, "http");
	assert_has_not(page, "src=");
	assert_has_not(page, "url(");
	assert_has_not(page, "@import");
	assert_has_not(page, "<script");
	free(page);
}

static void test_prototypes_are_sorted_and_empty_ones_have_no_share(void **state)
{
	char *page = written(), *p = page;

	assert_has(page, "3 of 4 have users");
	for (size_t i = 0; i < K; i++) {
		p = strstr(p, ((const char *[]){ "prototype 1: 5 users", "prototype 3: 3 users", "prototype 0: 2 users", "prototype 2: 0 users" })[i]);
		assert_non_null(p);
	}
	assert_has(page, "prototype 0: 50.0 % of 2");
	assert_has(page, "all users: 0.20");
	assert_has_not(page, "prototype 2: nan");
	free(page);
}

static void test_lengths_without_users_are_left_out(void **state)
{
	char *page = written();

	assert_has(page, "1\xe2\x80\x93" "4 items: 0.0812, 6 users");
	assert_has(page, "5\xe2\x80\x93" "6 items: 0.0411, 3 users");
	assert_has(page, "200+ items: 0.0000, 1 users");
	assert_has_not(page, "7\xe2\x80\x93" "9 items");
	free(page);
}

static void test_markup_in_names_is_escaped(void **state)
{
	char *page;

	report.title = "<script>alert(\"1\" & '2')</script>\x01";
	report.options = "model.out=</pre><img src=x>\n";
	page = written();
	assert_well_formed(page);
	assert_has_not(page, "<script");
	assert_has_not(page, "<img");
	assert_has_not(page, "\x01");
	assert_has(page, "&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;?");
	assert_has(page, "model.out=&lt;/pre&gt;&lt;img src=x&gt;");
	free(page);
}

static void test_a_curve_is_broken_where_it_is_not_finite(void **state)
{
	char *page;

	epochs[1].mean.loss_sr = NAN;
	epochs[1].mean.loss_scl = INFINITY;
	for (int i = 0; i < EPOCHS; i++)
		epochs[i].mean.loss_ckd = NAN;
	page = written();
	assert_well_formed(page);
	assert_int_equal(count(page, "<polyline"), 3);
	assert_int_equal(count(page, "<circle"), 4);
	assert_int_equal(count(page, "no data"), 1);
	for (const char *p = page; (p = strstr(p, "<svg")); p++) { /* no coordinate that is not a number */
		char *svg = strndup(p, (size_t)(strstr(p, "</svg>") - p));

		assert_has_not(svg, "nan");
		assert_has_not(svg, "inf");
		free(svg);
	}
	free(page);
}

static void test_an_epoch_alone_or_none(void **state)
{
	char *page;

	report.epochs = 1;
	page = written();
	assert_well_formed(page);
	assert_int_equal(count(page, "<circle"), 6);
	free(page);

	report.epochs = 0;
	detail = (struct loo_detail){ 0 };
	result = (struct loo_result){ 0 };
	page = written();
	assert_well_formed(page);
	assert_int_equal(count(page, "no data"), 9);
	free(page);
}

static void test_epochs_that_were_not_validated_are_no_zeros(void **state)
{
	char *page;

	epochs[0].validated = epochs[1].validated = 0;
	page = written();
	assert_well_formed(page);
	assert_int_equal(count(page, "<polyline"), 5);
	assert_int_equal(count(page, "<circle"), 1);
	free(page);
}

static void test_all_of_the_same_height(void **state)
{
	char *page;

	for (size_t k = 0; k < K; k++)
		members[k] = heads[k] = 0;
	memset(detail.bin_ndcg20, 0, sizeof detail.bin_ndcg20);
	page = written();
	assert_well_formed(page);
	assert_has(page, "0 of 4 have users");
	free(page);
}

static void test_a_file_is_replaced_as_a_whole(void **state)
{
	char name[] = "/tmp/s4rec_report_XXXXXX", first[16] = "";
	int fd = mkstemp(name);
	FILE *f;

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(report_save(name, &report), 0);
	f = fopen(name, "r");
	assert_non_null(f);
	assert_non_null(fgets(first, sizeof first, f));
	assert_memory_equal(first, "<!DOCTYPE html>", 15);
	fclose(f);
	unlink(name);
	assert_int_not_equal(report_save("/nowhere/at/all.html", &report), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_figures_and_curves_are_there, given),
		cmocka_unit_test_setup(test_nothing_comes_from_outside, given),
		cmocka_unit_test_setup(test_prototypes_are_sorted_and_empty_ones_have_no_share, given),
		cmocka_unit_test_setup(test_lengths_without_users_are_left_out, given),
		cmocka_unit_test_setup(test_markup_in_names_is_escaped, given),
		cmocka_unit_test_setup(test_a_curve_is_broken_where_it_is_not_finite, given),
		cmocka_unit_test_setup(test_an_epoch_alone_or_none, given),
		cmocka_unit_test_setup(test_epochs_that_were_not_validated_are_no_zeros, given),
		cmocka_unit_test_setup(test_all_of_the_same_height, given),
		cmocka_unit_test_setup(test_a_file_is_replaced_as_a_whole, given),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
