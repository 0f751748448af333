/* test_generate.c - the synthetic stream: repeatable, of the asked shape, and its "best possible" is neither too good nor too bad. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "worker/generate/generate.h"

static const struct stream_options small = { .seed = 7, .users = 200, .items = 103, .interests = 10, .malformed = .01,
                                             .late = .05, .duplicates = .02, .start_ms = 1767225600000 };

static struct stream *make(const struct stream_options *o)
{
	struct stream *s = NULL;
	const char *why = NULL;

	assert_int_equal(stream_new(&s, o, &why), 0);
	return s;
}

static void next(struct stream *s, struct stream_event *e) { assert_int_equal(stream_next(s, e), 0); }

static void test_same_seed_same_bytes(void **state)
{
	struct stream_options other = small;
	struct stream *a = make(&small), *b = make(&small), *c;
	char la[STREAM_LINE_MAX], lb[STREAM_LINE_MAX], lc[STREAM_LINE_MAX];
	struct stream_event ea, eb, ec;
	int differ = 0;

	other.seed = 8;
	c = make(&other);
	for (uint64_t i = 0; i < 5000; i++) {
		size_t na, nb, nc;

		next(a, &ea);
		next(b, &eb);
		next(c, &ec);
		na = stream_format(la, sizeof(la), &ea);
		nb = stream_format(lb, sizeof(lb), &eb);
		nc = stream_format(lc, sizeof(lc), &ec);
		assert_int_equal(na, nb);
		assert_memory_equal(la, lb, na);
		assert_int_equal(ea.line, i);
		assert_int_equal(la[na - 1], '\n');
		assert_null(memchr(la, '\n', na - 1));
		differ += nc != na || memcmp(la, lc, na) != 0;
	}
	assert_true(differ > 4900);
	stream_free(a);
	stream_free(b);
	stream_free(c);
}

static void test_line_format(void **state)
{
	struct stream_event e = { .id = 567, .user = 12, .item = 34, .ts_ms = 1767225600123 }, bad = { .malformed = 1 };
	const char *want = "{\"user_id\":\"u12\",\"item_id\":\"i34\",\"timestamp\":\"2026-01-01T00:00:00.123Z\",\"event_id\":\"e567\","
	                   "\"type\":\"click\"}\n";
	char line[STREAM_LINE_MAX];

	assert_int_equal(stream_format(line, sizeof(line), &e), strlen(want));
	assert_string_equal(line, want);
	e.category = 4;
	stream_format(line, sizeof(line), &e);
	assert_non_null(strstr(line, "\"type\":\"click\",\"category\":\"c3\"}\n"));
	stream_format(line, sizeof(line), &bad);
	assert_memory_equal(line, "!raw ", 5);
}

static void test_shares(void **state)
{
	struct stream_options o = small;
	struct stream *s;
	struct stream_event e;
	double malformed = 0, late = 0, duplicates = 0, heads = 0, events = 0, lines = 100000;
	int64_t newest = 0, out_of_order = 0;

	o.users = 4000;
	s = make(&o);
	for (int i = 0; i < lines; i++) {
		next(s, &e);
		malformed += e.malformed;
		duplicates += e.duplicate;
		if (e.malformed || e.duplicate)
			continue;
		events++;
		late += e.late > 0;
		heads += e.user < 800;
		assert_true(e.user < o.users);
		out_of_order += e.ts_ms < newest;
		assert_true((e.ts_ms < newest) <= (e.late > 0));
		newest = e.ts_ms > newest ? e.ts_ms : newest;
	}
	assert_float_equal((float)(malformed / lines), .01, .002);
	assert_float_equal((float)(late / events), .05, .003);
	assert_float_equal((float)(duplicates / events), .02, .002);
	assert_float_equal((float)(heads / events), .7, .01); /* 20 % of the users, most of the events */
	assert_float_equal((float)((double)out_of_order / events), .05, .005);
	stream_free(s);
}

/* Every event arrives, once, however late; the second arrivals are marked. */
static void test_arrivals(void **state)
{
	struct stream *s = make(&small);
	struct stream_event e;
	unsigned char seen[20000] = { 0 };

	for (int i = 0; i < 20000; i++) {
		next(s, &e);
		if (e.malformed)
			continue;
		assert_int_equal(seen[e.id], e.duplicate);
		seen[e.id] = 1;
	}
	for (int i = 0; i < 18000; i++)
		assert_int_equal(seen[i], 1);
	stream_free(s);
}

static void test_power_law(void **state)
{
	struct stream_options o = { .seed = 3, .users = 4000, .items = 1000, .interests = 20 };
	struct stream *s = make(&o);
	struct stream_event e;
	double by_interest[20] = { 0 }, by_position[50] = { 0 }, events = 200000;

	for (int i = 0; i < events; i++) {
		uint64_t slot;

		next(s, &e);
		slot = e.item % o.items;
		by_interest[slot % 20]++;
		by_position[slot / 20]++;
	}
	/* Interests: (j + 1)^-.8, between the first and the tenth a factor of 6.3. */
	assert_true(by_interest[0] / by_interest[9] > 5 && by_interest[0] / by_interest[9] < 8);
	/* Items: popularity of the first against the last ten, softened by the successors. */
	assert_true(by_position[0] > 3 * by_position[40]);
	for (int p = 0; p < 50; p++)
		assert_true(by_position[p] > events / 1000);
	stream_free(s);
}

static void count_item(void *ctx, uint64_t item, uint32_t interest)
{
	assert_int_equal(item % 103 % 10, interest);
	++*(uint64_t *)ctx;
}

static void test_items_are_born_and_die(void **state)
{
	struct stream_options o = { .seed = 3, .users = 50, .items = 103, .interests = 10 };
	struct stream *s = make(&o);
	struct stream_event e;
	uint64_t items = 0, last_generation[103] = { 0 };

	for (int i = 0; i < 103000; i++) {
		next(s, &e);
		assert_true(e.item / 103 >= last_generation[e.item % 103]); /* the dead do not come back */
		last_generation[e.item % 103] = e.item / 103;
	}
	stream_items(s, count_item, &items);
	assert_int_equal(items, 2 * 103); /* one life long: each slot changed once */
	stream_free(s);
}

/* The rank is what a sort of all probabilities says, the probabilities sum to 1, and they are right: the surprise is, on
 * average, the entropy that the predictor itself expected, and its first guess is right as often as it believes. */
static void test_best_predictor(void **state)
{
	struct stream_options o = small;
	struct stream *ahead, *s;
	struct stream_event e, same;
	double *p = calloc(103, sizeof(*p)), surprise = 0, expected = 0, believed = 0, right = 0, events = 30000;

	o.malformed = o.late = o.duplicates = 0; /* so that lines are events and the next user is known from the twin */
	ahead = make(&o);
	s = make(&o);
	for (int i = 0; i < events; i++) {
		double sum = 0, above = 0, equal = -1, top = 0;
		uint64_t slot;

		next(ahead, &e);
		slot = e.item % o.items;
		assert_int_equal(stream_item_alive(s, slot), e.item);
		stream_predict(s, e.user, p);
		for (uint64_t k = 0; k < o.items; k++) {
			sum += p[k];
			expected -= p[k] * log(p[k]);
			above += p[k] > p[slot] * (1 + 1e-12);
			equal += fabs(p[k] - p[slot]) <= p[slot] * 1e-12;
			top = p[k] > top ? p[k] : top;
		}
		surprise -= e.log_p;
		believed += top;
		right += p[slot] == top;
		assert_float_equal((float)sum, 1, 1e-5);
		assert_float_equal((float)e.log_p, (float)log(p[slot]), 1e-4);
		assert_float_equal((float)e.rank, (float)(above + equal / 2), 1e-3);
		next(s, &same);
	}
	assert_float_equal((float)(surprise / events), (float)(expected / events), .03);
	assert_float_equal((float)(right / events), (float)(believed / events), .01);
	/* And it is worth something: far below the entropy of knowing nothing, log(103) = 4.63. */
	assert_true(surprise / events < 3.4);
	free(p);
	stream_free(ahead);
	stream_free(s);
}

static void test_odd_sizes(void **state)
{
	static const uint64_t sizes[][3] = { { 1, 1, 1 }, { 1, 10, 10 }, { 3, 10, 1 }, { 7, 11, 4 } };
	struct stream_options o = small;
	const char *why = NULL;
	struct stream *s;
	struct stream_event e;

	o.late = o.duplicates = 1; /* everything late and everything twice: the holding pen at its fullest */
	for (size_t i = 0; i < 4; i++) {
		o.users = sizes[i][0];
		o.items = sizes[i][1];
		o.interests = sizes[i][2];
		s = make(&o);
		for (int n = 0; n < 20000; n++)
			next(s, &e);
		assert_true(e.malformed || (e.item % o.items < o.items && isfinite(e.log_p)));
		stream_free(s);
	}
	o.interests = o.items + 1;
	assert_int_equal(stream_new(&s, &o, &why), -22);
	assert_non_null(why);
	stream_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_seed_same_bytes), cmocka_unit_test(test_line_format), cmocka_unit_test(test_shares),
		cmocka_unit_test(test_arrivals), cmocka_unit_test(test_power_law), cmocka_unit_test(test_items_are_born_and_die),
		cmocka_unit_test(test_best_predictor), cmocka_unit_test(test_odd_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
