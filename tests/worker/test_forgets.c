/* test_forgets.c - what a null record takes with it: in the fold, the events of the batch that it comes in, too; in a log that is read anew, all before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/worker/small_learner.h"
#include "worker/learn/forgets.h"
#include "worker/learn/learner.h"

#define T0 1700000000000LL


static int begin(void **state)
{
	return begin_small((char *[]){ "--refresh.users", "0", "--rehearse", "0", "--batch.users", "8", "--epochs", "3", "--epochs.gain", "0.5", NULL });
}

/* item < 0: a null record */
static struct record *make(int partition, int64_t offset, int64_t kafka_ms, const char *user, int item)
{
	char value[128];
	struct record *r;
	int len = snprintf(value, sizeof value, "{\"item_id\":\"i%d\",\"timestamp\":%lld}", item, T0 + (long long)offset);
	assert_int_equal(record_new(&r, pool, decoder, 1000, partition, offset, kafka_ms, user, strlen(user), item < 0 ? NULL : value, item < 0 ? 0 : (size_t)len), 0);
	assert_null(r->reason);
	return r;
}

static int drops(const struct forgets *f, struct record *r)
{
	int dropped = forgets_drop(f, r);
	record_free(r);
	return dropped;
}

static void test_filter(void **state)
{
	const int64_t ends[] = { 100, 50 };
	struct forgets *f;
	struct record *r;
	assert_int_equal(forgets_new(&f, 2, 2, ends), 0);
	const struct { int64_t offset; const char *user; } nulls[] = { { 10, "anna" }, { 30, "anna" }, { 20, "bo" } };
	for (size_t i = 0; i < 3; i++) {
		r = make(0, nulls[i].offset, T0 + nulls[i].offset, nulls[i].user, -1);
		assert_int_equal(forgets_add(f, r), 0);
		record_free(r);
	}
	r = make(0, 40, T0 + 40, "carl", -1);
	assert_int_equal(forgets_add(f, r), -ENOSPC); /* a log cannot make it grow without end */
	record_free(r);
	assert_int_equal(forgets_users(f), 2);

	assert_true(drops(f, make(0, 5, T0 + 99, "anna", 1)));   /* its own partition goes by offset, whatever the clocks said */
	assert_true(drops(f, make(0, 15, T0 + 15, "anna", 1)));  /* before the second null record */
	assert_false(drops(f, make(0, 31, T0 + 5, "anna", 1)));  /* came back */
	assert_true(drops(f, make(0, 19, T0 + 19, "bo", 1)));
	assert_false(drops(f, make(0, 21, T0 + 21, "bo", 1)));
	assert_false(drops(f, make(0, 5, T0 + 5, "dora", 1)));
	assert_true(drops(f, make(1, 3, T0 + 30, "anna", 1)));   /* another partition: by time */
	assert_false(drops(f, make(1, 3, T0 + 31, "anna", 1)));
	assert_false(drops(f, make(1, 50, T0 + 1, "anna", 1)));  /* behind what was scanned nothing is known, so nothing is dropped ... */
	assert_true(drops(f, make(0, 30, T0 + 30, "anna", -1)));
	assert_false(drops(f, make(0, 100, T0 + 100, "anna", -1))); /* ... and a null record acts in the fold */
	forgets_free(f);
}

static struct learner *learner(void)
{
	struct learner *l;
	assert_int_equal(learner_new(&l, &cfg, "input", 1), 0);
	return l;
}

static uint32_t user_row(const struct learner *l, const char *id)
{
	return idmap_find(l->user_ids, id, strlen(id));
}

/* Events of a user, its null record and more events, all in one batch: what waited goes, and what comes after begins a new user. */
static void test_batch(void **state)
{
	struct learner *l = learner();
	struct record_list batch = { 0 };
	struct train_result t;
	int64_t offset = 0;
	for (int i = 0; i < 3; i++)
		record_push(&batch, make(0, offset++, T0, "anna", i));
	record_push(&batch, make(0, offset++, T0, "bo", 1));
	assert_int_equal(learner_train(l, &batch, 1, 1, NULL, &t), 0);
	assert_int_equal(t.users, 2);

	record_push(&batch, make(0, offset++, T0, "anna", 4));
	record_push(&batch, make(0, offset++, T0, "carl", 4));
	record_push(&batch, make(0, offset++, T0, "anna", -1));
	record_push(&batch, make(0, offset++, T0, "carl", -1));
	record_push(&batch, make(0, offset++, T0, "anna", 5));
	assert_int_equal(learner_train(l, &batch, 1, 2, NULL, &t), 0);
	assert_int_equal(t.users, 1); /* the new anna alone */
	assert_int_equal(user_row(l, "carl"), UINT32_MAX);
	const struct user *u = users_get(l->users, user_row(l, "anna"));
	assert_int_equal(u->len, 1);
	assert_int_equal(u->events, 1);
	assert_false(u->published);

	record_push(&batch, make(0, offset++, T0, "anna", -1));
	assert_int_equal(learner_train(l, &batch, 1, 3, NULL, &t), 0);
	assert_int_equal(t.users, 0);
	assert_int_equal(user_row(l, "anna"), UINT32_MAX);
	record_push(&batch, make(0, offset++, T0, "nobody", -1)); /* whom nobody knows */
	assert_int_equal(learner_train(l, &batch, 1, 4, NULL, &t), 0);
	learner_free(l);
}

/* Passes meet every user with two events once, also where rows are nobody's; withheld events are ranked; two folds of the same are the same. */
static void fold_passes(struct learner *l, uint64_t *ret_hash, size_t *ret_users)
{
	struct record_list batch = { 0 };
	struct train_result t;
	char user[16];
	int64_t offset = 0;
	for (int i = 0; i < 300; i++) {
		snprintf(user, sizeof user, "u%d", i % 60);
		record_push(&batch, make(0, offset++, T0, user, i % 7));
	}
	for (int i = 0; i < 60; i += 4) {
		snprintf(user, sizeof user, "u%d", i);
		record_push(&batch, make(0, offset++, T0, user, -1));
	}
	record_push(&batch, make(0, offset++, T0, "once", 1));
	cfg.batch_users = 100; /* the batch of events is one */
	assert_int_equal(learner_train(l, &batch, 1, 1, NULL, &t), 0);
	cfg.batch_users = 8;
	*ret_hash = *ret_users = 0;
	for (uint64_t step = 2; passes_wanted(l) && l->passes.done < 1; step++) {
		assert_int_equal(learner_pass(l, step, 0, &t), 0);
		assert_int_equal(t.pass, 1);
		assert_true(t.users <= 8);
		*ret_users += t.users;
		*ret_hash = *ret_hash * 31 + t.records_hash;
	}
}

static void test_passes(void **state)
{
	uint64_t hash[2];
	size_t users[2];
	struct learner *l[2] = { NULL, NULL };
	cfg.batch_users = 100;
	l[0] = learner();
	l[1] = learner();
	fold_passes(l[0], &hash[0], &users[0]);
	fold_passes(l[1], &hash[1], &users[1]);
	assert_int_equal(users[0], 45);
	assert_int_equal(l[0]->passes.done, 1);
	assert_true(l[0]->passes.last > 0); /* of seven items one in twenty is always hit */
	assert_true(hash[0] == hash[1] && !memcmp(&l[0]->passes, &l[1]->passes, sizeof l[0]->passes));

	/* one pass tells no gain; after two without one there is no third */
	assert_true(passes_wanted(l[0]));
	l[0]->passes.done = 2;
	l[0]->passes.before = l[0]->passes.last;
	assert_false(passes_wanted(l[0]));
	cfg.epochs = 9; /* what has ceased to gain is over for good */
	assert_false(passes_wanted(l[0]));
	cfg.epochs = 3;
	cfg.epochs_gain = 0;
	assert_true(passes_wanted(l[0]));
	l[0]->passes.done = 3;
	l[0]->events += 1000000;
	assert_false(passes_wanted(l[0])); /* a backlog later on is learned as it would have been live */
	cfg.epochs = 4;
	assert_true(passes_wanted(l[0]));
	cfg.epochs = 3;
	learner_free(l[0]);
	learner_free(l[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_filter), cmocka_unit_test(test_batch), cmocka_unit_test(test_passes) };
	return cmocka_run_group_tests(tests, begin, end);
}
