/* Rows of a reader's view: against a plain list of them, with rows that come, change, move and go; int8 and float beside each other; the best of them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/reader/rows.h"

#define N 700
#define WIDTH 13
#define PARTITIONS 3

struct plain {
	int there, partition, prototype;
	float x[WIDTH];
};

static uint64_t seed = 1;

static unsigned draw(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

/* A row as it comes off the topic. int8: the coordinates are whole multiples of the scale. */
static void random_row(struct embedding *e, float *x, int8_t *q, int int8)
{
	*e = (struct embedding){ .vector = x, .D = WIDTH, .version = draw(1000), .prototype = (int32_t)draw(4) - 1 };
	for (int d = 0; d < WIDTH; d++) {
		q[d] = (int8_t)((int)draw(255) - 127);
		x[d] = int8 ? (float)q[d] * 0.01f : (float)((int)draw(2000) - 1000) / 1000.0f;
	}
	if (int8) {
		e->int8 = q;
		e->scale = 0.01f;
	}
}

static void check_all(const struct rows *r, const struct plain *all)
{
	uint64_t live[PARTITIONS] = { 0 };
	size_t count = 0;
	float x[WIDTH];

	for (int i = 0; i < N; i++) {
		char id[16];
		size_t at = rows_find(r, ROW_ITEM, id, (size_t)snprintf(id, sizeof id, "i%d", i));
		struct s4rec_row row;

		assert_int_equal(at != SIZE_MAX, all[i].there);
		if (!all[i].there)
			continue;
		rows_get(r, ROW_ITEM, at, &row, x);
		assert_int_equal(row.id_len, strlen(id));
		assert_memory_equal(row.id, id, row.id_len);
		assert_int_equal(row.prototype, all[i].prototype);
		assert_memory_equal(x, all[i].x, sizeof x);
		live[all[i].partition]++;
		count++;
	}
	assert_int_equal(rows_count(r, ROW_ITEM), count);
	for (int p = 0; p < PARTITIONS; p++)
		assert_int_equal(rows_live(r, p)[ROW_ITEM], live[p]);
	assert_int_equal(rows_odd(r), 0);
}

static int only_prototype_1(void *ctx, const char *id, size_t id_len, int32_t prototype)
{
	++*(int *)ctx;
	return prototype == 1;
}

/* Better by score, then by id; a double for each. */
static void check_top(const struct rows *r, const struct plain *all, enum s4rec_score score, int filter, size_t k)
{
	float q[WIDTH];
	struct s4rec_hit hits[N];
	int asked = 0;
	size_t n, wanted = 0;

	for (int d = 0; d < WIDTH; d++)
		q[d] = (float)((int)draw(2000) - 1000) / 700.0f;
	n = rows_top(r, &(struct s4rec_query){ .vector = q, .kind = S4REC_ITEM, .score = score, .accept = filter ? only_prototype_1 : NULL, .ctx = &asked }, hits, k);
	for (int i = 0; i < N; i++) {
		double s = 0, xx = 0, qq = 0;
		char id[16];

		if (!all[i].there || (filter && all[i].prototype != 1))
			continue;
		wanted++;
		for (int d = 0; d < WIDTH; d++) {
			s += (double)all[i].x[d] * q[d];
			xx += (double)all[i].x[d] * all[i].x[d];
			qq += (double)q[d] * q[d];
		}
		if (score == S4REC_COSINE)
			s = xx > 0 ? s / sqrt(xx * qq) : 0;
		snprintf(id, sizeof id, "i%d", i);
		for (size_t h = 0; h < n; h++)
			if (hits[h].id_len == strlen(id) && memcmp(hits[h].id, id, hits[h].id_len) == 0) {
				assert_true(fabs(hits[h].score - s) < 1e-4);
				s = -INFINITY; /* is among them */
			}
		assert_true(n == k || s == -INFINITY);
		assert_true(n == 0 || s <= (double)hits[n - 1].score + 1e-4);
	}
	assert_int_equal(n, wanted < k ? wanted : k);
	for (size_t h = 1; h < n; h++)
		assert_true(hits[h - 1].score > hits[h].score || (hits[h - 1].score == hits[h].score && strncmp(hits[h - 1].id, hits[h].id, 15) < 0));
	assert_true(!filter || asked <= N);
}

/* A hundred changes at a time: int8 rows alone, then float rows among them. */
static void test_changes(void **state)
{
	static struct plain all[N];
	struct rows *r;

	memset(all, 0, sizeof all);
	assert_int_equal(rows_new(&r, PARTITIONS, 1), 0);
	for (int turn = 0; turn < 120; turn++) {
		for (int change = 0; change < 100; change++) {
			int i = (int)draw(N), new_width;
			struct plain *p = &all[i];
			char id[16];
			size_t len = (size_t)snprintf(id, sizeof id, "i%d", i);
			struct embedding e;
			int8_t q[WIDTH];

			if (draw(4) == 0) {
				rows_delete(r, ROW_ITEM, id, len);
				p->there = 0;
				continue;
			}
			random_row(&e, p->x, q, turn < 40 || draw(2));
			p->there = 1;
			p->partition = (int)draw(PARTITIONS);
			p->prototype = e.prototype;
			assert_int_equal(rows_set(r, ROW_ITEM, id, len, p->partition, &e, &new_width), 0);
			assert_int_equal(new_width, 0);
		}
		check_all(r, all);
		check_top(r, all, turn & 1 ? S4REC_DOT : S4REC_COSINE, turn % 3 == 0, (size_t[]){ 1, 10, N }[turn % 3]);
	}
	rows_free(r);
}

/* Equal scores in the order of their ids; nothing asked for, nobody there. */
static void test_ties(void **state)
{
	struct rows *r;
	struct s4rec_hit hits[3];
	struct embedding e = { .vector = (const float[]){ 1, 0 }, .D = 2 };
	struct s4rec_query q = { .vector = (const float[]){ 0, 1 }, .kind = S4REC_ITEM, .score = S4REC_COSINE };
	int new_width;

	assert_int_equal(rows_new(&r, 1, 1), 0);
	assert_int_equal(rows_top(r, &q, hits, 3), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(rows_set(r, ROW_ITEM, (const char *[]){ "c", "aa", "d", "a", "b" }[i], 1 + (i == 1), 0, &e, &new_width), 0);
	assert_int_equal(rows_top(r, &q, hits, 3), 3);
	assert_true(hits[0].id_len == 1 && hits[0].id[0] == 'a' && hits[1].id_len == 2 && hits[2].id[0] == 'b' && hits[0].score == 0);
	assert_int_equal(rows_top(r, &q, hits, 0), 0);
	rows_free(r);
}

/* Rows of two widths, what cannot be read is odd, and both have no score until they come again. */
static void test_odd(void **state)
{
	struct rows *r;
	struct s4rec_hit hits[3];
	struct embedding two = { .vector = (const float[]){ 1, 2 }, .D = 2 }, three = { .vector = (const float[]){ 1, 2, 3 }, .D = 3 };
	struct s4rec_query q = { .vector = three.vector, .kind = S4REC_ITEM };
	int new_width;

	assert_int_equal(rows_new(&r, 1, 1), 0);
	assert_int_equal(rows_set(r, ROW_ITEM, "a", 1, 0, &two, &new_width), 0);
	assert_int_equal(rows_set(r, ROW_ITEM, "b", 1, 0, &two, &new_width), 0);
	assert_int_equal(rows_odd(r), 0);
	assert_int_equal(rows_set(r, ROW_ITEM, "b", 1, 0, &three, &new_width), 0);
	assert_int_equal(new_width, 1);
	assert_int_equal(rows_odd(r), 1);
	assert_int_equal(rows_dimension(r), 3);
	assert_int_equal(rows_top(r, &q, hits, 3), 1);
	assert_true(hits[0].score == 14);
	/* partitions are read side by side: one that is behind, then both */
	assert_int_equal(rows_set(r, ROW_ITEM, "a", 1, 0, &two, &new_width), 0);
	assert_int_equal(rows_odd(r), 1);
	assert_int_equal(rows_set(r, ROW_ITEM, "a", 1, 0, &three, &new_width), 0);
	assert_int_equal(rows_odd(r), 0);
	assert_int_equal(rows_top(r, &q, hits, 3), 2);
	assert_true(hits[0].score == 14 && hits[1].score == 14);
	assert_int_equal(rows_set(r, ROW_ITEM, "a", 1, 0, &two, &new_width), 0);
	assert_int_equal(rows_set(r, ROW_ITEM, "b", 1, 0, NULL, &new_width), 0);
	assert_int_equal(rows_odd(r), 1);
	assert_int_equal(rows_set(r, ROW_ITEM, "a", 1, 0, &three, &new_width), 0);
	assert_int_equal(rows_odd(r), 1);
	assert_int_equal(rows_live(r, 0)[ROW_ITEM], 2);
	rows_delete(r, ROW_ITEM, "a", 1);
	rows_delete(r, ROW_ITEM, "never there", 11);
	assert_int_equal(rows_odd(r), 1);
	assert_int_equal(rows_set(r, ROW_ITEM, "b", 1, 0, &three, &new_width), 0);
	assert_int_equal(rows_odd(r), 0);
	rows_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_changes), cmocka_unit_test(test_ties), cmocka_unit_test(test_odd) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
