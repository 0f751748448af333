/* users.h: windows, late and repeated events, the head/tail threshold against a plain recount, removal */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/rng.h"
#include "worker/learn/users.h"

static void window_keeps_newest(void **state)
{
	struct users *s;
	(void)state;
	assert_int_equal(users_new(&s, 10, 3), 0);
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(users_add(s, 2, (struct visit){ .item = 100 + i, .weight = 1 }, i), 0);
	const struct user *u = users_get(s, 2);
	assert_int_equal(u->len, 3);
	assert_int_equal(u->visits[0].item, 102);
	assert_int_equal(u->visits[2].item, 104);
	assert_int_equal(u->events, 5);
	assert_int_equal(u->newest_ms, 4);
	users_free(s);
}

static struct visit event(uint32_t item, uint64_t id)
{
	return (struct visit){ .item = item, .weight = 1, .id = id };
}

/* "item@time item@time ...", oldest first */
static const char *sequence(struct users *s, uint32_t row)
{
	static char text[256];
	const struct user *u = users_get(s, row);
	size_t at = 0;
	text[0] = 0;
	for (size_t i = 0; i < u->len; i++)
		at += (size_t)sprintf(text + at, "%u@%lld ", u->visits[i].item, (long long)(u->newest_ms - u->visits[i].before_ms));
	return text;
}

static void late_events_find_their_place(void **state)
{
	struct users *s;
	(void)state;
	assert_int_equal(users_new(&s, 10, 4), 0);
	assert_int_equal(users_arrival(s, 0, 7, 0, 0), ARRIVAL_NEW); /* a user that nobody knows */
	assert_int_equal(users_add(s, 0, event(1, 0), 100), 0);
	assert_int_equal(users_add(s, 0, event(2, 0), 200), 0);
	assert_int_equal(users_arrival(s, 0, 0, 150, 49), ARRIVAL_LATE);
	assert_int_equal(users_arrival(s, 0, 0, 150, 50), ARRIVAL_NEW);
	assert_int_equal(users_add(s, 0, event(3, 0), 150), 0);
	assert_string_equal(sequence(s, 0), "1@100 3@150 2@200 ");
	assert_int_equal(users_add(s, 0, event(4, 0), 150), 0); /* behind those of its time */
	assert_string_equal(sequence(s, 0), "1@100 3@150 4@150 2@200 ");

	assert_int_equal(users_arrival(s, 0, 0, 100, 1000), ARRIVAL_LATE); /* the sequence is full: before all of it nothing has a place */
	assert_int_equal(users_arrival(s, 0, 0, 101, 1000), ARRIVAL_NEW);
	assert_int_equal(users_add(s, 0, event(5, 0), 101), 0);
	assert_string_equal(sequence(s, 0), "5@101 3@150 4@150 2@200 ");
	assert_int_equal(users_add(s, 0, event(6, 0), 210), 0);
	assert_string_equal(sequence(s, 0), "3@150 4@150 2@200 6@210 ");
	assert_int_equal(users_get(s, 0)->events, 6);
	users_free(s);
}

/* What is further back than 49 days is of one age: the order of those stays, and nothing is put between them. */
static void far_times_saturate(void **state)
{
	const int64_t year = 31536000000;
	struct users *s;
	(void)state;
	assert_int_equal(users_new(&s, 10, 8), 0);
	for (uint32_t i = 1; i <= 3; i++)
		assert_int_equal(users_add(s, 0, event(i, 0), i * year), 0);
	const struct user *u = users_get(s, 0);
	assert_int_equal(u->visits[0].before_ms, UINT32_MAX);
	assert_int_equal(u->visits[1].before_ms, UINT32_MAX);
	assert_int_equal(users_arrival(s, 0, 0, 3 * year - 1 - LATENESS_MAX, LATENESS_MAX), ARRIVAL_LATE);
	assert_int_equal(users_arrival(s, 0, 0, 3 * year - LATENESS_MAX, LATENESS_MAX), ARRIVAL_NEW);
	assert_int_equal(users_add(s, 0, event(4, 0), 3 * year - LATENESS_MAX), 0);
	assert_int_equal(u->visits[2].item, 4);
	assert_int_equal(u->visits[3].item, 3);
	users_free(s);
}

static void an_id_counts_once(void **state)
{
	struct users *s;
	(void)state;
	assert_int_equal(users_new(&s, 10, 3), 0);
	for (uint32_t i = 1; i <= 3; i++)
		assert_int_equal(users_add(s, 0, event(i, i), 100 * i), 0);
	assert_int_equal(users_arrival(s, 0, 1, 100, 1000), ARRIVAL_DUPLICATE);
	assert_int_equal(users_arrival(s, 0, 1, 400, 1000), ARRIVAL_DUPLICATE); /* whatever time it names */
	assert_int_equal(users_arrival(s, 1, 1, 100, 1000), ARRIVAL_NEW);       /* of another user */
	assert_int_equal(users_arrival(s, 0, 0, 400, 1000), ARRIVAL_NEW);       /* without an id nothing is known */
	assert_int_equal(users_add(s, 0, event(4, 4), 400), 0);
	assert_int_equal(users_arrival(s, 0, 1, 100, 1000), ARRIVAL_LATE);      /* it has left the sequence, and so its copy is too late */
	users_free(s);
}

static int by_size(const void *a, const void *b)
{
	return (int)*(const uint32_t *)b - (int)*(const uint32_t *)a;
}

/* The threshold that the store walks to equals the one that sorting all lengths gives, after every event. */
static void head_is_longest_fifth(void **state)
{
	enum { USERS = 60, EVENTS = 4000 };
	struct users *s;
	uint32_t length[USERS] = { 0 }, sorted[USERS];
	(void)state;
	assert_int_equal(users_new(&s, USERS, 8), 0);
	for (uint64_t e = 0; e < EVENTS; e++) {
		double x = rng_unit(rng_bits(7, RNG_GENERATE, e, 0, 0));
		uint32_t u = (uint32_t)(x * x * x * USERS);
		if (e % 97 == 96 && length[u]) {
			users_remove(s, u);
			length[u] = 0;
		} else {
			assert_int_equal(users_add(s, u, (struct visit){ .item = (uint32_t)e, .weight = 1 }, (int64_t)e), 0);
			length[u]++;
		}
		size_t live = 0, head = 0, above = 0;
		for (uint32_t i = 0; i < USERS; i++)
			if (length[i])
				sorted[live++] = length[i];
		qsort(sorted, live, sizeof *sorted, by_size);
		for (uint32_t i = 0; i < users_rows(s); i++)
			head += length[i] && users_is_head(s, i);
		/* the largest set {length > n} that holds at most a fifth of the users */
		for (size_t i = 0; i < live; i++)
			if ((i + 1 == live || sorted[i + 1] < sorted[i]) && (i + 1) * 5 <= live)
				above = i + 1;
		assert_int_equal(head, above);
	}
	users_free(s);
}

/* The list of published users against a plain search, through encodings, removals and a restored copy. */
static void oldest_is_the_oldest(void **state)
{
	enum { USERS = 40 };
	struct users *s, *copy;
	(void)state;
	assert_int_equal(users_new(&s, USERS, 8), 0);
	for (uint64_t step = 1; step < 2000; step++) {
		uint64_t bits = rng_bits(9, RNG_GENERATE, step, 0, 0);
		uint32_t row = (uint32_t)(bits % USERS), oldest = UINT32_MAX;
		assert_int_equal(users_add(s, row, (struct visit){ .item = 1, .weight = 1 }, 0), 0);
		if (bits >> 32 & 7)
			users_encoded(s, row, step / 3); /* several users in one step */
		else
			users_remove(s, row);
		for (uint32_t i = 0; i < users_rows(s); i++) {
			const struct user *u = users_get(s, i);
			if (u->live && u->published && (oldest == UINT32_MAX || u->encoded_step < users_get(s, oldest)->encoded_step))
				oldest = i;
		}
		uint32_t got = users_oldest(s);
		assert_true((got == UINT32_MAX) == (oldest == UINT32_MAX));
		if (got != UINT32_MAX)
			assert_int_equal(users_get(s, got)->encoded_step, users_get(s, oldest)->encoded_step);
	}
	assert_int_equal(users_new(&copy, USERS, 8), 0);
	for (uint32_t i = 0; i < users_rows(s); i++)
		if (users_get(s, i)->live)
			assert_int_equal(users_restore(copy, i, users_get(s, i)), 0);
	assert_int_equal(users_order(copy), 0);
	assert_int_equal(users_get(copy, users_oldest(copy))->encoded_step, users_get(s, users_oldest(s))->encoded_step);
	users_free(copy);
	users_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(window_keeps_newest), cmocka_unit_test(late_events_find_their_place),
		cmocka_unit_test(far_times_saturate), cmocka_unit_test(an_id_counts_once), cmocka_unit_test(oldest_is_the_oldest), cmocka_unit_test(head_is_longest_fifth) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
