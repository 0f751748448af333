/* changes.h: a flush sees every row as it was when the flush began, whatever changes meanwhile; the next one sees what changed since. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "model/rng.h"
#include "worker/state/changes.h"

#define ROWS 700

/* The world: a value per row, what a reader of the flushes has, and what the flush under way must write. */
static struct world {
	struct changes *c;
	unsigned value[STATE_KINDS][ROWS], written[STATE_KINDS][ROWS], frozen[STATE_KINDS][ROWS];
	unsigned writes;
} w;

static int save(void *ctx, enum state_kind kind, uint32_t row)
{
	w.written[kind][row] = w.value[kind][row];
	w.writes++;
	return 0;
}

static void change(enum state_kind kind, uint32_t row)
{
	assert_int_equal(changes_row(w.c, kind, row), 0);
	w.value[kind][row]++;
}

static void finish_flush(void)
{
	int left = 1;
	while (left)
		assert_int_equal(changes_save_some(w.c, 10, &left), 0);
	assert_memory_equal(w.written, w.frozen, sizeof w.written);
}

static void flushes_are_snapshots(void **state)
{
	memset(&w, 0, sizeof w);
	assert_int_equal(changes_new(&w.c), 0);
	for (uint64_t flush = 0; flush < 40; flush++) {
		changes_begin(w.c, save, NULL);
		memcpy(w.frozen, w.value, sizeof w.value);
		for (uint64_t turn = 0; turn < 30; turn++) {
			uint64_t bits = rng_bits(1, RNG_GENERATE, flush, turn, 0);
			int left;
			if (bits % 7 == 0) {
				assert_int_equal(changes_all(w.c, STATE_ITEM, ROWS - bits % 130), 0);
				for (uint32_t row = 0; row < ROWS - bits % 130; row++)
					w.value[STATE_ITEM][row]++;
			}
			for (uint64_t i = 0; i < 20; i++)
				change(rng_bits(1, RNG_GENERATE, flush, turn, 2 * i + 1) % 2, (uint32_t)rng_below(rng_bits(1, RNG_GENERATE, flush, turn, 2 * i + 2), ROWS));
			if (turn % 3 == 0)
				assert_int_equal(changes_save_some(w.c, 5, &left), 0);
		}
		finish_flush();
	}

	/* nothing changed: nothing is written */
	changes_begin(w.c, save, NULL);
	memcpy(w.frozen, w.value, sizeof w.value);
	finish_flush();
	w.writes = 0;
	changes_begin(w.c, save, NULL);
	finish_flush();
	assert_int_equal(w.writes, 0);
	changes_free(w.c);
}

static int refuse(void *ctx, enum state_kind kind, uint32_t row)
{
	return -5;
}

static void a_failed_write_forbids_the_change(void **state)
{
	assert_int_equal(changes_new(&w.c), 0);
	assert_int_equal(changes_row(w.c, STATE_USER, 3), 0);
	changes_begin(w.c, refuse, NULL);
	assert_int_equal(changes_row(w.c, STATE_USER, 4), 0); /* not part of the flush */
	assert_int_equal(changes_row(w.c, STATE_USER, 3), -5);
	changes_free(w.c);
}

static void forgotten_rows_stand_in_a_list(void **state)
{
	size_t at = 0, len;
	enum state_kind kind;
	uint64_t hash;
	assert_int_equal(changes_new(&w.c), 0);
	assert_int_equal(changes_set_hash(w.c, STATE_USER, 900, 77), 0);
	assert_int_equal(changes_forget(w.c, STATE_USER, 900, "anna", 4), 0);
	assert_int_equal(changes_hash(w.c, STATE_USER, 900), 0); /* the row is the next user's */
	assert_int_equal(changes_forget(w.c, STATE_ITEM, 5, "bo", 2), 0);
	const char *id = changes_forgotten(w.c, &at, &kind, &len, &hash);
	assert_true(len == 4 && memcmp(id, "anna", 4) == 0 && hash == 77 && kind == STATE_USER);
	size_t behind_anna = at;
	id = changes_forgotten(w.c, &at, &kind, &len, &hash);
	assert_true(len == 2 && memcmp(id, "bo", 2) == 0 && hash == 0 && kind == STATE_ITEM);
	assert_null(changes_forgotten(w.c, &at, &kind, &len, &hash));

	/* a flush that wrote anna's delete only; then again from the start: a hash is handed out once */
	changes_drop_forgotten(w.c, behind_anna);
	at = 0;
	id = changes_forgotten(w.c, &at, &kind, &len, &hash);
	assert_true(len == 2 && memcmp(id, "bo", 2) == 0 && hash == 0);
	assert_null(changes_forgotten(w.c, &at, &kind, &len, &hash));
	changes_free(w.c);
}

static int refuse_row_9(void *ctx, enum state_kind kind, uint32_t row)
{
	assert_true(row != 9);
	return 0;
}

/* A row that is nobody's when a flush begins is not part of it, also when it is given to another user meanwhile. */
static void a_freed_row_is_not_in_the_next_flush(void **state)
{
	int left;
	assert_int_equal(changes_new(&w.c), 0);
	assert_int_equal(changes_row(w.c, STATE_USER, 9), 0);
	assert_int_equal(changes_forget(w.c, STATE_USER, 9, "anna", 4), 0);
	changes_begin(w.c, refuse_row_9, NULL);
	assert_int_equal(changes_row(w.c, STATE_USER, 9), 0); /* the new user of row 9 */
	assert_int_equal(changes_save_some(w.c, 100, &left), 0);
	memset(w.written, 0, sizeof w.written);
	changes_begin(w.c, save, NULL);
	w.writes = 0;
	assert_int_equal(changes_save_some(w.c, 100, &left), 0);
	assert_int_equal(w.writes, 1); /* it is in the one after that */
	changes_free(w.c);
}

/* Item rows are marked all at once, also those that are nobody's: such a row, given to a new item while a flush is under way, is not in it. */
static void a_born_row_is_not_in_the_flush_under_way(void **state)
{
	int left;
	assert_int_equal(changes_new(&w.c), 0);
	assert_int_equal(changes_all(w.c, STATE_ITEM, 20), 0);
	changes_begin(w.c, refuse_row_9, NULL);
	assert_int_equal(changes_born(w.c, STATE_ITEM, 9), 0);
	assert_int_equal(changes_row(w.c, STATE_ITEM, 9), 0);
	assert_int_equal(changes_save_some(w.c, 100, &left), 0);
	assert_int_equal(left, 0);
	memset(w.written, 0, sizeof w.written);
	changes_begin(w.c, save, NULL);
	w.writes = 0;
	assert_int_equal(changes_save_some(w.c, 100, &left), 0);
	assert_int_equal(w.writes, 1);
	changes_free(w.c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flushes_are_snapshots), cmocka_unit_test(a_failed_write_forbids_the_change), cmocka_unit_test(forgotten_rows_stand_in_a_list),
		cmocka_unit_test(a_freed_row_is_not_in_the_next_flush), cmocka_unit_test(a_born_row_is_not_in_the_flush_under_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
