/* test_turnover.c - items and users that come and go: admission, expiry by age and at a limit, rows that are reused; and that a learner copied by way of
 * its state records goes on as the one that it is a copy of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/rng.h"
#include "tests/worker/small_learner.h"
#include "worker/learn/expiry.h"
#include "worker/state/rows.h"

static int64_t offset;

static int begin(void **state)
{
	return begin_small((char *[]){ "--max.users", "100", "--admit.cells", "1024", NULL });
}

static struct learner *learner(void)
{
	struct learner *l;
	assert_int_equal(learner_new(&l, &cfg, "input", 1), 0);
	return l;
}

static void event(struct record_list *batch, int user, int item, int64_t ms, const char *id)
{
	char key[16], value[160];
	struct record *r;
	int key_len = snprintf(key, sizeof key, "u%d", user);
	int len = snprintf(value, sizeof value, "{\"item_id\":\"i%d\",\"timestamp\":%lld,\"event_id\":\"%s\",\"country\":\"%d\",\"brand\":\"%d\"}", item, 1700000000000LL + (long long)ms, id, item % 3, item % 5);
	assert_int_equal(record_new(&r, pool, decoder, 1000, 0, offset++, 1800000000000LL, key, (size_t)key_len, value, (size_t)len), 0);
	assert_null(r->reason);
	record_push(batch, r);
}

static struct train_result train(struct learner *l, struct record_list *batch)
{
	struct train_result t;
	assert_int_equal(learner_train(l, batch, 1, l->step + 1, NULL, &t), 0);
	return t;
}

/* One event is one batch. */
static void one(struct learner *l, int user, int item, int64_t ms)
{
	struct record_list batch = { 0 };
	event(&batch, user, item, ms, "");
	train(l, &batch);
}

static void publish(struct learner *l)
{
	const int64_t offsets[] = { offset };
	assert_int_equal(learner_publish(l, NULL, l->step, 1700000000000LL, offsets, 1), 0);
}

static uint32_t item_row(struct learner *l, int item)
{
	char id[16];
	return idmap_find(l->item_ids, id, (size_t)snprintf(id, sizeof id, "i%d", item));
}

static const struct user *user(struct learner *l, int number)
{
	char id[16];
	uint32_t row = idmap_find(l->user_ids, id, (size_t)snprintf(id, sizeof id, "u%d", number));
	return row == UINT32_MAX ? NULL : users_get(l->users, row);
}

static void items_go_by_age(void **state)
{
	cfg.item_ttl_ms = 1600;
	struct learner *l = learner();
	one(l, 1, 1, 0);
	one(l, 1, 2, 700);
	one(l, 2, 1, 50);
	one(l, 3, 3, 1650);
	publish(l);
	assert_int_equal(l->expired_items, 0); /* i1 is just as old as it may be */
	one(l, 3, 3, 1700);
	publish(l);
	assert_int_equal(l->expired_items, 0); /* too soon to look again */
	one(l, 3, 3, 1751);
	uint32_t row = item_row(l, 1);
	publish(l);
	assert_int_equal(l->expired_items, 1);
	assert_int_equal(item_row(l, 1), UINT32_MAX);
	assert_true(model_item_is_gone(l->model, row));
	assert_int_equal(model_live_items(l->model), 2);
	assert_true(user(l, 1)->len == 2 && user(l, 1)->known == 1 && user(l, 1)->visits[0].item == NO_ITEM);
	assert_null(user(l, 2)); /* nothing is left of it */
	assert_int_equal(l->expired_users, 1);

	one(l, 1, 9, 1800);
	assert_int_equal(item_row(l, 9), row); /* its row is another's */
	assert_int_equal(model_live_items(l->model), 3);
	assert_int_equal(l->item_events[row], 1);
	assert_int_equal(user(l, 1)->known, 2);
	one(l, 4, 1, 1810); /* it comes back, as new */
	assert_int_not_equal(item_row(l, 1), row);
	publish(l);
	learner_free(l);
	cfg.item_ttl_ms = 0;
}

static void users_go_by_age(void **state)
{
	cfg.user_ttl_ms = 1600;
	struct learner *l = learner();
	one(l, 1, 1, 0);
	one(l, 2, 1, 1000);
	one(l, 3, 1, 1700);
	publish(l);
	assert_null(user(l, 1));
	assert_true(user(l, 2) && user(l, 3) && l->expired_users == 1 && l->expired_items == 0);
	learner_free(l);
	cfg.user_ttl_ms = 0;
}

static void room_is_made_for_what_comes(void **state)
{
	for (size_t max = 1; max < 200; max++) {
		size_t live = 0;
		for (int i = 0; i < 500; i++) { /* one new row a commit: it always finds room, but where there is but one at all */
			assert_true(live < max || max == 1);
			live += live < max;
			live -= expiry_excess(live, 1, max);
			assert_true(live >= 1);
		}
		assert_true(live * 8 + 8 + 16 >= max * 7);
	}
	assert_int_equal(expiry_excess(1000000 - 62500, 1000, 1000000), 0);
	assert_int_equal(expiry_excess(1000000 - 62499, 1000, 1000000), 62501);
	assert_int_equal(expiry_excess(1000000 - 100000, 100000, 1000000), 0); /* there is room for as many as came */
	assert_int_equal(expiry_excess(1000000 - 99999, 100000, 1000000), 100001);
	assert_int_equal(expiry_excess(1000000, 900000, 1000000), 500000); /* half of them stay, whatever came */
	assert_int_equal(expiry_excess(1, 1, 1), 0);
}

/* At its limit it stays there, new items come in, and those that many want stay. */
static void the_limit_holds(void **state)
{
	cfg.max_items = 24;
	cfg.max_users = 32;
	struct learner *l = learner();
	for (int i = 0; i < 300; i++) {
		struct record_list batch = { 0 };
		event(&batch, i, 1000 + i, i * 1000, ""); /* a new user on a new item */
		event(&batch, 7, 0, i * 1000, "");        /* one that is always there on one that is always wanted */
		train(l, &batch);
		if (learner_wants_room(l)) /* and not before */
			publish(l);
		assert_false(learner_wants_room(l));
		assert_true(idmap_count(l->item_ids) <= 24 && idmap_count(l->user_ids) <= 32);
		assert_true(idmap_rows(l->item_ids) <= 24 && idmap_rows(l->user_ids) <= 32);
		assert_int_not_equal(item_row(l, 0), UINT32_MAX);
		assert_int_not_equal(item_row(l, 1000 + i), UINT32_MAX);
		assert_non_null(user(l, 7));
	}
	assert_int_equal(l->limited, 0);
	assert_true(l->expired_items >= 300 - 24 && l->expired_users >= 300 - 32);
	assert_int_equal(item_row(l, 1100), UINT32_MAX);
	assert_null(user(l, 100));
	learner_free(l);
	cfg.max_items = cfg.max_users = 100;
}

static void items_are_admitted_by_their_count(void **state)
{
	cfg.admit_count = 3;
	struct learner *l = learner();
	struct record_list batch = { 0 };
	event(&batch, 1, 1, 100, "a");
	event(&batch, 1, 1, 100, "a"); /* a copy counts for nothing */
	event(&batch, 2, 1, 200, "b");
	struct train_result t = train(l, &batch);
	assert_int_equal(t.events, 0);
	assert_true(l->unadmitted == 2 && l->duplicates == 1 && l->events == 0);
	assert_int_equal(item_row(l, 1), UINT32_MAX);
	assert_true(user(l, 1)->len == 1 && user(l, 1)->known == 0);
	publish(l); /* users without an item have no row */
	assert_int_equal(l->users_published, 0);

	cfg.lateness_ms = 50;
	event(&batch, 1, 1, 40, "c"); /* nor does one that is too late */
	train(l, &batch);
	assert_true(l->late == 1 && item_row(l, 1) == UINT32_MAX);
	cfg.lateness_ms = 86400000;

	event(&batch, 1, 1, 300, "d");
	t = train(l, &batch);
	assert_int_equal(t.events, 1);
	assert_int_not_equal(item_row(l, 1), UINT32_MAX);
	assert_true(user(l, 1)->len == 2 && user(l, 1)->known == 1);
	learner_free(l);
	cfg.admit_count = 1;
}

static void readers_get_an_item_from_its_min_count(void **state)
{
	cfg.min_count = 3;
	struct learner *l = learner();
	uint64_t *at_step;
	for (int i = 1; i <= 4; i++) {
		one(l, i, 1, i);
		publish(l);
		assert_non_null(published_item(l, item_row(l, 1), &at_step));
		assert_int_equal(*at_step > 0, i >= 3);
	}
	learner_free(l);
	cfg.min_count = 1;
}

static double distance(struct learner *l, uint32_t a, uint32_t b)
{
	float x[8], y[8];
	double s = 0;
	model_item_vector(l->model, x, a);
	model_item_vector(l->model, y, b);
	for (int d = 0; d < 8; d++)
		s += (x[d] - y[d]) * (x[d] - y[d]);
	return sqrt(s);
}

/* A batch that trains nothing shows where the new item begins: with share 1 at the mean of what its user met before. */
static void a_new_item_begins_in_its_context(void **state)
{
	cfg.item_context = 1;
	cfg.learning_rate = 0;
	struct learner *l = learner();
	one(l, 1, 1, 0);
	one(l, 1, 2, 1);
	assert_true(distance(l, item_row(l, 1), item_row(l, 2)) < 1e-5);
	one(l, 2, 3, 2); /* nothing was before it */
	assert_true(distance(l, item_row(l, 1), item_row(l, 3)) > 1e-2);
	learner_free(l);
	cfg.item_context = 0;
	cfg.learning_rate = .001;
}

static void attributes_go_with_their_item(void **state)
{
	static const uint16_t nothing[ATTRIBUTES_MAX];
	cfg.item_ttl_ms = 1600;
	cfg.attributes_buckets = 1000;
	struct learner *l = learner();
	one(l, 1, 1, 0);
	uint32_t row = item_row(l, 1);
	uint16_t was = model_item_attributes(l->model, row)[1];
	assert_true(was > 0);
	one(l, 2, 2, 2000);
	publish(l);
	assert_int_equal(item_row(l, 1), UINT32_MAX);
	assert_memory_equal(model_item_attributes(l->model, row), nothing, sizeof nothing);
	one(l, 2, 3, 2001);
	assert_int_equal(item_row(l, 3), row); /* its row is another's */
	assert_true(model_item_attributes(l->model, row)[1] > 0 && model_item_attributes(l->model, row)[1] != was);
	learner_free(l);
	cfg.item_ttl_ms = 0;
	cfg.attributes_buckets = 0;
}

/* ---- by way of the state ---- */

static int copy_row(struct learner *to, struct learner *from, enum state_kind kind, uint32_t row)
{
	char key[STATE_KEY_MAX];
	size_t key_len, len;
	void *value = malloc(state_value_max(from));
	uint32_t got;
	int there = state_row_save(from, kind, row, key, &key_len, value, state_value_max(from), &len) == 0;
	if (there) {
		assert_int_equal(state_row_load(to, kind, key + 5, key_len - 5, value, len, &got), 0);
		assert_int_equal(got, row);
	}
	free(value);
	return there;
}

static void copy_into(struct learner *to, struct learner *from)
{
	struct manifest m = { 0 };
	struct dense a, b;
	for (uint32_t row = (uint32_t)idmap_rows(from->item_ids); row-- > 0;)
		copy_row(to, from, STATE_ITEM, row);
	for (uint32_t row = (uint32_t)idmap_rows(from->user_ids); row-- > 0;)
		copy_row(to, from, STATE_USER, row);
	state_numbers_save(from, &m);
	for (size_t i = 0; state_dense(from, i, &a) == 0; i++) {
		assert_int_equal(state_dense(to, i, &b), 0);
		memcpy(b.data, a.data, a.bytes);
	}
	assert_int_equal(state_numbers_load(to, &m), 0);
}

static struct learner *copy(struct learner *from)
{
	struct learner *to = learner();
	copy_into(to, from);
	return to;
}

static void same_row(struct learner *a, struct learner *b, enum state_kind kind, uint32_t row)
{
	char key[2][STATE_KEY_MAX];
	size_t key_len[2] = { 0 }, len[2] = { 0 }, size = state_value_max(a);
	void *value[2] = { malloc(size), malloc(size) };
	int r[2] = { state_row_save(a, kind, row, key[0], &key_len[0], value[0], size, &len[0]), state_row_save(b, kind, row, key[1], &key_len[1], value[1], size, &len[1]) };
	assert_int_equal(r[0], r[1]);
	assert_true(key_len[0] == key_len[1] && memcmp(key[0], key[1], key_len[0]) == 0);
	assert_true(len[0] == len[1] && memcmp(value[0], value[1], len[0]) == 0);
	free(value[0]);
	free(value[1]);
}

static void same(struct learner *a, struct learner *b)
{
	struct manifest m = { 0 }, n = { 0 };
	struct dense x, y;
	state_numbers_save(a, &m);
	state_numbers_save(b, &n);
	assert_memory_equal(&m, &n, sizeof m);
	for (size_t i = 0; state_dense(a, i, &x) == 0; i++) {
		assert_int_equal(state_dense(b, i, &y), 0);
		assert_memory_equal(x.data, y.data, x.bytes);
	}
	for (uint32_t row = 0; row < idmap_rows(a->item_ids); row++)
		same_row(a, b, STATE_ITEM, row);
	for (uint32_t row = 0; row < idmap_rows(a->user_ids); row++)
		same_row(a, b, STATE_USER, row);
}

static void busy_step(struct learner *l)
{
	struct record_list batch = { 0 };
	for (int e = 0; e < 12; e++) {
		uint64_t bits = rng_bits(11, RNG_GENERATE, l->step, (uint64_t)e, 0);
		int newest = (int)l->step * 2, item = newest - (int)(bits % 40), who = (int)(bits >> 20 & 63) + (int)l->step / 8;
		char id[24];
		snprintf(id, sizeof id, "%llu", (unsigned long long)(bits >> 40 & 1023));
		event(&batch, who, item < 0 ? 0 : item, (int64_t)l->step * 1000 - (int64_t)(bits >> 50 & 4095), id);
	}
	train(l, &batch);
	if (l->step % 3 == 0)
		publish(l);
}

/* An alarm whose response lasts beyond the next copy. */
static void alarm_soon(struct learner *l)
{
	if (l && l->step % 60 == 50)
		l->drifts.loss = (struct drift){ .mean = -1, .variance = 1e-6, .n = DRIFT_STEPS, .excess = DRIFT_BOUND };
}

static void a_copy_goes_on_alike(void **state)
{
	cfg.admit_count = 2;
	cfg.item_ttl_ms = 16000;
	cfg.user_ttl_ms = 30000;
	cfg.max_items = 40;
	cfg.max_users = 60;
	cfg.lateness_ms = 500;
	cfg.item_context = .5;
	cfg.rehearse_half_life_ms = 20000;
	cfg.rehearse_draw = 1;
	cfg.drift_response = RESPONSE_RATE;
	cfg.drift_steps = 30;
	cfg.attributes_buckets = 8;
	for (cfg.loss = LOSS_FULL; cfg.loss <= LOSS_BCE; cfg.loss++) {
		struct learner *l = learner(), *c = NULL;
		for (int i = 0; i < 180; i++) {
			alarm_soon(l);
			alarm_soon(c);
			busy_step(l);
			if (c)
				busy_step(c);
			if (i % 60 == 59) {
				if (c)
					same(l, c);
				learner_free(c);
				c = copy(l);
				same(l, c);
				assert_true(l->drifts.left > 0 && l->drifts.left < 30);
			}
		}
		assert_true(l->expired_items > 50 && l->expired_users > 50 && l->unadmitted > 50 && l->late > 20 && l->duplicates > 5);
		assert_true(idmap_count(l->item_ids) < idmap_rows(l->item_ids));
		learner_free(l);
		learner_free(c);
	}
	cfg.loss = LOSS_FULL;
	cfg.rehearse_half_life_ms = 0;
	cfg.rehearse_draw = 0;
	cfg.drift_response = RESPONSE_NONE;
	cfg.attributes_buckets = 0;
}

/* The topic still has what a row was when readers did not have it: that must not count. The row moves on without a gradient, by its momentum. */
static void an_older_record_leaves_no_trace(void **state)
{
	cfg.admit_count = 1;
	cfg.item_ttl_ms = cfg.user_ttl_ms = 0;
	cfg.item_context = 0;
	cfg.loss = LOSS_BCE; /* one negative: most rows are left alone */
	cfg.min_count = 3;
	cfg.learning_rate = .02;
	cfg.refresh_users = cfg.rehearse = 0;
	struct learner *l = learner(), *c = learner();
	for (int i = 0; i < 30; i++)
		one(l, 3, 10 + i, -30 + i);
	one(l, 1, 1, 0), one(l, 1, 2, 1), one(l, 1, 1, 2);
	publish(l);
	assert_int_equal(copy_row(c, l, STATE_ITEM, item_row(l, 1)), 1);
	one(l, 1, 2, 3), one(l, 1, 1, 4), one(l, 1, 2, 5);
	publish(l);
	assert_true(l->items_published > 0);
	copy_into(c, l);
	for (int i = 0; i < 20; i++) {
		one(l, 2, 3 + i % 2, 10 + i), one(c, 2, 3 + i % 2, 10 + i);
		publish(l), publish(c);
		same(l, c);
	}
	learner_free(l);
	learner_free(c);
	cfg.loss = LOSS_FULL;
	cfg.min_count = 1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_go_by_age), cmocka_unit_test(users_go_by_age), cmocka_unit_test(room_is_made_for_what_comes), cmocka_unit_test(the_limit_holds),
		cmocka_unit_test(items_are_admitted_by_their_count), cmocka_unit_test(readers_get_an_item_from_its_min_count),
		cmocka_unit_test(a_new_item_begins_in_its_context),
		cmocka_unit_test(attributes_go_with_their_item), cmocka_unit_test(a_copy_goes_on_alike), cmocka_unit_test(an_older_record_leaves_no_trace),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
