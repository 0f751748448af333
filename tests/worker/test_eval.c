/* prequential.h, popularity.h, covisit.h: small cases with answers known by hand */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "worker/eval/covisit.h"
#include "worker/eval/popularity.h"
#include "worker/eval/prequential.h"

static void window_means(void **state)
{
	struct prequential *p;
	(void)state;
	assert_int_equal(prequential_new(&p, 2), 0);
	prequential_add(p, (uint32_t[METHODS]){ 5, 5, 5 }); /* leaves the window */
	prequential_add(p, (uint32_t[METHODS]){ 0, 19, UNRANKED });
	prequential_add(p, (uint32_t[METHODS]){ 1, 20, 0 });
	struct scores m = prequential_scores(p, BY_MODEL), pop = prequential_scores(p, BY_POPULARITY), co = prequential_scores(p, BY_COVISIT);
	assert_true(fabs(m.hr20 - 1) < 1e-12 && fabs(m.mrr - .75) < 1e-12 && fabs(m.ndcg20 - (1 + 1 / log2(3)) / 2) < 1e-12);
	assert_true(m.hr5 == 1 && m.hr10 == 1 && m.ndcg5 == m.ndcg20 && m.ndcg10 == m.ndcg20);
	assert_true(pop.hr5 == 0 && pop.hr10 == 0 && pop.ndcg10 == 0);
	assert_true(fabs(pop.hr20 - .5) < 1e-12 && fabs(pop.ndcg20 - .5 / log2(21)) < 1e-12);
	assert_true(fabs(co.hr20 - .5) < 1e-12 && fabs(co.mrr - .5) < 1e-12);
	assert_int_equal(prequential_count(p), 3);
	prequential_free(p);
}

static void popularity_decays(void **state)
{
	struct popularity *p;
	(void)state;
	assert_int_equal(popularity_new(&p, 1000), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(popularity_add(p, 0, 0), 0);
	assert_int_equal(popularity_add(p, 1, 1000), 0); /* weighs 2 against 3 */
	assert_int_equal(popularity_rank(p, 0, 4, 0), 0);
	assert_int_equal(popularity_rank(p, 1, 4, 0), 1);
	assert_int_equal(popularity_rank(p, 3, 4, 0), 2 + 1); /* tied with row 2 */
	assert_int_equal(popularity_add(p, 1, 1000), 0); /* 4 against 3 */
	assert_int_equal(popularity_rank(p, 1, 4, 0), 0);
	assert_int_equal(popularity_add(p, 2, 2000000), 0); /* 2000 half-lives later: counts are rescaled, order stays */
	assert_int_equal(popularity_rank(p, 2, 4, 0), 0);
	popularity_free(p);
}

static void covisit_counts(void **state)
{
	struct covisit *c;
	(void)state;
	assert_int_equal(covisit_new(&c, 0), 0);
	assert_int_equal(covisit_add(c, 7, 1, 0), 0);
	assert_int_equal(covisit_add(c, 7, 1, 1), 0);
	assert_int_equal(covisit_add(c, 7, 2, 1000000), 0);
	assert_int_equal(covisit_rank(c, 7, 1, 9), 0);
	assert_int_equal(covisit_rank(c, 7, 2, 9), 1);
	assert_int_equal(covisit_rank(c, 7, 3, 9), 2 + 9);
	assert_int_equal(covisit_rank(c, 123456, 3, 9), 9);
	for (uint32_t i = 0; i < 2 * COVISIT_SUCCESSORS; i++)
		assert_int_equal(covisit_add(c, 8, i, i), 0); /* bounded */
	assert_int_equal(covisit_rank(c, 8, UINT32_MAX, 0), COVISIT_SUCCESSORS);
	covisit_free(c);
}

static void covisits_decay(void **state)
{
	struct covisit *c;
	const struct successor *s;
	(void)state;
	assert_int_equal(covisit_new(&c, 1000), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(covisit_add(c, 7, 1, 0), 0);
	assert_int_equal(covisit_add(c, 7, 2, 1000), 0); /* weighs 2 against 3 */
	assert_int_equal(covisit_rank(c, 7, 1, 9), 0);
	assert_int_equal(covisit_add(c, 7, 2, 1000), 0); /* 4 against 3 */
	assert_int_equal(covisit_rank(c, 7, 2, 9), 0);
	assert_int_equal(covisit_add(c, 7, 3, 71000), 0); /* 70 half-lives later: counts are rescaled, order stays */
	assert_int_equal(covisit_rank(c, 7, 3, 9), 0);
	assert_int_equal(covisit_rank(c, 7, 2, 9), 1);
	assert_int_equal(covisit_rank(c, 7, 1, 9), 2);
	assert_int_equal(covisit_add(c, 8, 3, 500000), 0); /* a second time: what is nothing by now gives its room back */
	assert_int_equal(covisit_successors(c, 7, &s), 0);
	assert_int_equal(covisit_rank(c, 8, 3, 9), 0);
	covisit_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(window_means), cmocka_unit_test(popularity_decays), cmocka_unit_test(covisit_counts),
		cmocka_unit_test(covisits_decay) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
