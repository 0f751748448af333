/* test_learner.c - the guard in the fold: an exploding step leaves nothing in the model, and what is held back goes out later, whole; late events; whom rehearsal
 * draws; what an alarm of drift changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "model/rng.h"
#include "model/state.h"
#include "worker/learn/learner.h"
#include "tests/worker/small_learner.h"
#include "worker/state/rows.h"

enum { USERS = 20, ITEMS = 12, K = 4 };
static int64_t offset;

static int begin(void **state)
{
	return begin_small((char *[]){ "--weight.max", "1000000", "--refresh.users", "0", "--rehearse", "0", NULL });
}

static struct learner *learner(void)
{
	struct learner *l;
	offset = 0;
	assert_int_equal(learner_new(&l, &cfg, "input", 1), 0);
	return l;
}

/* user and item, or item < 0: forget the user */
static void event(struct record_list *batch, int user, int item, double weight)
{
	char key[16], value[128];
	struct record *r;
	int key_len = snprintf(key, sizeof key, "u%d", user);
	int len = snprintf(value, sizeof value, "{\"item_id\":\"i%d\",\"timestamp\":%lld,\"weight\":%g}", item, 1700000000000LL + (long long)offset, weight);
	assert_int_equal(record_new(&r, pool, decoder, 1000, 0, offset, 1700000000000LL + offset, key, (size_t)key_len, item < 0 ? NULL : value, item < 0 ? 0 : (size_t)len), 0);
	assert_null(r->reason);
	offset++;
	record_push(batch, r);
}

/* One step: each user meets one item; the first event weighs as much. */
static struct train_result step(struct learner *l, double weight)
{
	struct record_list batch = { 0 };
	struct train_result t;
	for (int u = 0; u < USERS; u++)
		event(&batch, u, (int)(rng_bits(3, RNG_GENERATE, l->step, (uint64_t)u, 0) % ITEMS), u ? 1 : weight);
	assert_int_equal(learner_train(l, &batch, 1, l->step + 1, NULL, &t), 0);
	return t;
}

/* Hash of all that a step may change of the model: tensors, moments, queue, history, rows. */
static uint64_t model_bits(struct learner *l)
{
	struct dense d;
	uint64_t h = 14695981039346656037u;
	for (size_t i = 0; state_dense(l, i, &d) == 0; i++)
		for (size_t b = 0; strcmp(d.name, "prequential") && strcmp(d.name, "guard") && strcmp(d.name, "drifts") && strncmp(d.name, "published", 9) && b < d.bytes; b++)
			h = (h ^ ((unsigned char *)d.data)[b]) * 0x100000001b3u;
	for (uint32_t row = 0; row < model_items(l->model); row++) {
		uint32_t *at;
		const unsigned char *values = (const unsigned char *)model_row_state(l->model, row, &at);
		for (size_t b = 0; b < model_row_floats(l->model) * sizeof(float); b++)
			h = (h ^ values[b]) * 0x100000001b3u;
		h = (h ^ *at) * 0x100000001b3u;
	}
	return (h ^ model_applied(l->model)) * 0x100000001b3u;
}

static void test_explosion(void **state)
{
	struct learner *l = learner();
	for (int i = 0; i < GUARD_STEPS + 10; i++)
		assert_int_equal(step(l, 1).discarded, DISCARD_NONE);

	uint64_t before = model_bits(l), events = l->events;
	struct guard usual = l->guard;
	struct train_result t = step(l, 1e6);
	assert_int_equal(t.discarded, DISCARD_EXPLODING);
	assert_int_equal(t.events, USERS); /* they are part of the log and of the users' sequences all the same */
	assert_int_equal(l->events, events + USERS);
	assert_true(model_bits(l) == before);
	assert_true(l->guard.norm == usual.norm && l->guard.loss == usual.loss);

	assert_int_equal(step(l, 1).discarded, DISCARD_EXPLODING); /* the event is still in its user's sequence ... */
	for (int i = 0; i < 6; i++)
		t = step(l, 1);
	assert_int_equal(t.discarded, DISCARD_NONE); /* ... until it has left it */
	assert_true(model_bits(l) != before);
	learner_free(l);
}

static size_t publish(struct learner *l, uint64_t version)
{
	struct staged *s;
	const int64_t offsets[] = { offset };
	assert_int_equal(staged_new(&s), 0);
	assert_int_equal(learner_publish(l, s, version, 1700000000000LL, offsets, 1), 0);
	size_t n = staged_records(s);
	staged_free(s);
	return n;
}

static void test_held(void **state)
{
	struct learner *l = learner();
	struct record_list forget = { 0 };
	struct train_result t;
	for (int i = 0; i < 5; i++)
		step(l, 1);
	assert_int_equal(publish(l, 1), USERS + ITEMS + K + 1); /* 1: the version record */

	l->guard.held = 1;
	for (int i = 0; i < 5; i++)
		step(l, 1);
	assert_int_equal(publish(l, 2), 1);
	event(&forget, 7, -1, 1);
	assert_int_equal(learner_train(l, &forget, 1, l->step + 1, NULL, &t), 0);
	assert_int_equal(publish(l, 3), 2); /* a delete is never held back */
	assert_int_equal(publish(l, 4), 1);

	l->guard.held = 0;
	cfg.publish_epsilon = 0;
	assert_int_equal(publish(l, 5), USERS - 1 + ITEMS + K + 1);
	assert_int_equal(publish(l, 6), 1);

	l->republish = 1; /* all of it, moved or not */
	assert_int_equal(publish(l, 7), USERS - 1 + ITEMS + K + 1);
	assert_int_equal(publish(l, 8), 1);
	learner_free(l);
}

static const float *vector(struct learner *l, const char *id, uint32_t *ret_row)
{
	static float v[2][8];
	static int turn;
	turn = !turn;
	*ret_row = idmap_find(l->item_ids, id, strlen(id));
	assert_int_not_equal(*ret_row, NO_ROW);
	model_item_vector(l->model, v[turn], *ret_row);
	return v[turn];
}

/* Items are found by their ids, wherever their rows are; those that the file lacks begin anew, those that only it knows come along. */
static void test_adopt(void **state)
{
	static const int items[] = { 5, 77, 3, 78, 8 };
	struct learner *l = learner(), *f = learner(), *fresh = learner();
	uint32_t row, other;
	for (int i = 0; i < 30; i++)
		step(l, 1);
	for (int i = 0; i < 10; i++) {
		struct record_list batch = { 0 };
		struct train_result t;
		for (int u = 0; u < USERS; u++)
			event(&batch, u, items[(i + u) % 5], 1);
		assert_int_equal(learner_train(f, &batch, 1, f->step + 1, NULL, &t), 0);
	}

	uint64_t events = l->events, steps = l->step;
	assert_int_equal(learner_adopt(f, l->model, l->item_ids), EX_CONFIG); /* of a later step */
	assert_int_equal(learner_adopt(l, f->model, f->item_ids), 0);
	assert_true(l->events == events && l->step == steps && l->space == 2 && l->republish == 1);
	assert_int_equal(model_items(l->model), ITEMS + 2);
	for (int i = 0; i < 5; i++) {
		char id[8];
		snprintf(id, sizeof id, "i%d", items[i]);
		const float *is = vector(l, id, &row), *was = vector(f, id, &other);
		assert_memory_equal(is, was, 8 * sizeof *is);
	}
	const float *is = vector(l, "i11", &row);
	for (uint32_t i = 0; i <= row; i++)
		assert_int_equal(model_add_item(fresh->model, &other), 0);
	float begins[8];
	model_item_vector(fresh->model, begins, row);
	assert_memory_equal(is, begins, sizeof begins);
	assert_int_equal(publish(l, 1), USERS + ITEMS + 2 + K + 1);
	assert_int_equal(step(l, 1).discarded, DISCARD_NONE);
	learner_free(l);
	learner_free(f);
	learner_free(fresh);
}

/* One event at a time of its own, with an id; id NULL: none. */
static void event_at(struct record_list *batch, int user, int item, int64_t ms, const char *id)
{
	char key[16], value[128];
	struct record *r;
	int key_len = snprintf(key, sizeof key, "u%d", user);
	int len = snprintf(value, sizeof value, "{\"item_id\":\"i%d\",\"timestamp\":%lld,\"event_id\":\"%s\"}", item, 1700000000000LL + (long long)ms, id ? id : "");
	assert_int_equal(record_new(&r, pool, decoder, 1000, 0, offset++, 1800000000000LL, key, (size_t)key_len, value, (size_t)len), 0);
	assert_null(r->reason);
	record_push(batch, r);
}

static struct train_result train(struct learner *l, struct record_list *batch, struct staged *out)
{
	struct train_result t;
	assert_int_equal(learner_train(l, batch, 1, l->step + 1, out, &t), 0);
	return t;
}

static const struct user *user(struct learner *l, const char *id)
{
	uint32_t row = idmap_find(l->user_ids, id, strlen(id));
	assert_int_not_equal(row, UINT32_MAX);
	return users_get(l->users, row);
}

/* A late event in its place: the model is that of the same events in order, bit for bit; it is scored and trained once. */
static void test_late_in_place(void **state)
{
	for (int all = 0; all < 2; all++) {
		struct learner *l = learner(), *ordered = learner();
		struct record_list batch = { 0 };
		cfg.targets = all;
		for (int i = 0; i < 2; i++) { /* all items and users are known */
			struct learner *x = i ? ordered : l;
			step(x, 1);
			event_at(&batch, 50, 0, 100, "a");
			event_at(&batch, 50, i ? 2 : 1, i ? 200 : 300, "b");
			event_at(&batch, 50, i ? 1 : 2, i ? 300 : 200, "c");
			uint64_t scored = prequential_count(x->prequential);
			struct train_result t = train(x, &batch, NULL);
			assert_int_equal(t.events, 3);
			assert_int_equal(t.stats.targets, 2);
			assert_int_equal(prequential_count(x->prequential) - scored, 2); /* the first has nothing before it */
		}
		const struct user *u = user(l, "u50");
		assert_true(u->visits[1].item == idmap_find(l->item_ids, "i2", 2) && u->visits[2].item == idmap_find(l->item_ids, "i1", 2));
		assert_true(model_bits(l) == model_bits(ordered));

		event_at(&batch, 50, 3, 150, "d"); /* in a step of its own */
		struct train_result t = train(l, &batch, NULL);
		assert_int_equal(t.stats.targets, all ? 3 : 1);
		assert_int_equal(u->visits[1].item, idmap_find(l->item_ids, "i3", 2));
		for (size_t i = 0; i < u->len; i++)
			assert_int_equal(u->visits[i].fresh, 0);
		learner_free(l);
		learner_free(ordered);
	}
	cfg.targets = 1;
}

/* What is refused leaves nothing behind but its counter, and its dead letter where that is asked for. */
static void test_refused_arrivals(void **state)
{
	for (int dlq = 0; dlq < 2; dlq++) {
		struct learner *l = learner();
		struct record_list batch = { 0 };
		struct staged *out;
		assert_int_equal(staged_new(&out), 0);
		cfg.late_events = dlq;
		cfg.lateness_ms = 1000;
		event_at(&batch, 1, 1, 5000, "a");
		event_at(&batch, 1, 2, 6000, "b");
		train(l, &batch, out);
		event_at(&batch, 1, 8, 4999, "c"); /* too late */
		event_at(&batch, 1, 9, 7000, "a"); /* known */
		event_at(&batch, 1, 3, 5000, NULL); /* just in time */
		event_at(&batch, 1, 3, 5000, NULL); /* without an id it is another event */
		event_at(&batch, 2, 3, 100, "a"); /* another user */
		struct train_result t = train(l, &batch, out);
		assert_int_equal(t.events, 3);
		assert_int_equal(t.dead_letters, dlq);
		assert_int_equal(staged_records(out), dlq);
		assert_true(l->late == 1 && l->duplicates == 1 && l->events == 5 && l->dead_letters == (uint64_t)dlq);
		assert_int_equal(user(l, "u1")->len, 4);
		assert_int_equal(idmap_count(l->item_ids), 3); /* i8 and i9 were never seen */
		staged_free(out);
		learner_free(l);
	}
	cfg.lateness_ms = 86400000;
}

enum { OLD = 60, RECENT = 60, REHEARSED = 4, ROUNDS = 60, HALF_LIFE = 1000 };

/* Half of the store met its items ten half-lives before the other half: users 0 .. OLD - 1, and the next RECENT ones. */
static struct learner *two_ages(void)
{
	struct learner *l;
	struct record_list batch = { 0 };
	cfg.rehearse = REHEARSED;
	cfg.batch_users = OLD + RECENT;
	l = learner();
	for (int u = 0; u < OLD + RECENT; u++)
		for (int i = 0; i < 3; i++)
			event_at(&batch, u, (u + i) % ITEMS, (u < OLD ? 0 : 10 * HALF_LIFE) + i, NULL);
	train(l, &batch, NULL);
	return l;
}

/* Steps of one fresh user; losses are set to what before() says before each one. Returned: how often the users below OLD were rehearsed. */
static int rehearse(struct learner *l, float (*before)(uint32_t row))
{
	int old = 0;
	for (int i = 0; i < ROUNDS; i++) {
		struct record_list batch = { 0 };
		event_at(&batch, OLD, i % ITEMS, 10 * HALF_LIFE + 3, NULL);
		for (uint32_t row = 0; before && row < users_rows(l->users); row++)
			users_get(l->users, row)->loss = before(row);
		struct train_result t = train(l, &batch, NULL);
		assert_int_equal(t.users, 1 + REHEARSED);
		for (uint32_t row = 0; row < OLD; row++)
			old += users_get(l->users, row)->batch_stamp == l->step;
	}
	return old;
}

static void test_rehearsal_prefers_recent_users(void **state)
{
	cfg.rehearse_half_life_ms = HALF_LIFE;
	struct learner *l = two_ages();
	assert_true(rehearse(l, NULL) <= 2); /* of 240; 2^-10 of them are expected */
	learner_free(l);

	cfg.rehearse_half_life_ms = 10 * HALF_LIFE;
	l = two_ages();
	int old = rehearse(l, NULL); /* one in three: 80, and a standard deviation of 7 */
	assert_true(old > 50 && old < 110);
	learner_free(l);

	cfg.rehearse_half_life_ms = 1; /* none is recent enough: the most recent of those that were drawn */
	l = two_ages();
	struct record_list batch = { 0 };
	event_at(&batch, OLD + 1, 0, 100 * HALF_LIFE, NULL);
	train(l, &batch, NULL);
	assert_true(rehearse(l, NULL) <= 2);
	learner_free(l);
	cfg.rehearse_half_life_ms = 0;
	cfg.rehearse = 0;
	cfg.batch_users = 256;
}

static float old_lose_more(uint32_t row) { return row < OLD ? 2 : 1; }

static void test_rehearsal_prefers_great_losses(void **state)
{
	cfg.rehearse_draw = 1;
	struct learner *l = two_ages();
	int old = rehearse(l, old_lose_more); /* three in four: 180, and a standard deviation of 7 */
	assert_true(old > 150 && old < 210);
	learner_free(l);
	cfg.rehearse_draw = 0;
	cfg.rehearse = 0;
	cfg.batch_users = 256;
}

/* What is kept of each user are the parts of the step's loss. */
static void test_losses_of_users(void **state)
{
	cfg.rehearse_draw = 1;
	for (cfg.loss = LOSS_FULL; cfg.loss <= LOSS_BCE; cfg.loss++) {
		struct learner *l = learner();
		struct train_result t;
		double sum = 0, targets = 0;
		t = step(l, 1);
		assert_true(users_get(l->users, 0)->loss == 0); /* a first event is nobody's target */
		for (int i = 0; i < 3; i++)
			t = step(l, 1);
		for (uint32_t row = 0; row < USERS; row++) {
			const struct user *u = users_get(l->users, row);
			sum += u->loss * (u->known - 1);
			targets += u->known - 1;
		}
		assert_int_equal(targets, t.stats.targets);
		assert_float_equal(sum / targets, t.stats.loss_sr, 1e-5);
		assert_true(users_get(l->users, 0)->loss != users_get(l->users, 1)->loss);

		float before = users_get(l->users, 0)->loss;
		cfg.guard_factor = 2;
		l->guard.steps = GUARD_STEPS;
		assert_int_equal(step(l, 1e6).discarded, DISCARD_EXPLODING);
		assert_true(users_get(l->users, 0)->loss == before);
		cfg.guard_factor = 100;
		learner_free(l);
	}
	cfg.loss = LOSS_FULL;
	cfg.rehearse_draw = 0;
}

/* Whatever the next loss is, it is an alarm. */
static void make_restless(struct learner *l)
{
	l->drifts.loss = (struct drift){ .mean = -1, .variance = 1e-6, .n = DRIFT_STEPS, .excess = DRIFT_BOUND };
}

static double last_rate(struct learner *l)
{
	struct applied a;
	model_history(l->model, model_applied(l->model), &a);
	return a.lr;
}

static void test_drift_raises_the_rate_for_a_while(void **state)
{
	for (cfg.drift_response = RESPONSE_NONE; cfg.drift_response <= RESPONSE_RATE; cfg.drift_response++) {
		cfg.drift_factor = 3;
		cfg.drift_steps = 4;
		double raised = cfg.drift_response == RESPONSE_RATE ? 3 : 1;
		struct learner *l = learner();
		for (int i = 0; i < 3; i++)
			assert_int_equal(step(l, 1).drifted, 0);
		make_restless(l);
		assert_int_equal(step(l, 1).drifted, DRIFT_LOSS);
		assert_float_equal(last_rate(l), .001, 1e-9); /* it was trained before it was known */
		for (int i = 0; i < 4; i++) {
			assert_int_equal(step(l, 1).drifted, 0);
			assert_float_equal(last_rate(l), .001 * raised, 1e-9);
			if (i == 2) {
				struct drifts before = l->drifts;
				struct train_result t;
				assert_int_equal(learner_pass(l, l->step + 1, 0, &t), 0);
				assert_float_equal(last_rate(l), .001, 1e-9); /* a pass is as ever, and no step of the while */
				assert_memory_equal(&before, &l->drifts, sizeof before);
			}
		}
		step(l, 1);
		assert_float_equal(last_rate(l), .001, 1e-9);
		assert_int_equal(l->drifts.found, 1);
		learner_free(l);
	}
	cfg.drift_response = RESPONSE_NONE;
}

static void test_drift_rehearses_more_for_a_while(void **state)
{
	cfg.drift_response = RESPONSE_REHEARSE;
	cfg.drift_factor = 2;
	cfg.drift_steps = 3;
	cfg.rehearse_half_life_ms = INT64_MAX; /* every draw hits */
	struct learner *l = two_ages();
	make_restless(l);
	for (int i = 0; i < 6; i++) {
		struct record_list batch = { 0 };
		event_at(&batch, OLD, i % ITEMS, 10 * HALF_LIFE + 3, NULL);
		assert_int_equal(train(l, &batch, NULL).users, 1 + REHEARSED * (i >= 1 && i <= 3 ? 2 : 1));
	}
	learner_free(l);
	cfg.rehearse = 0;
	assert_int_equal(learner_new(&l, &cfg, "input", 1), EX_CONFIG);
	cfg.drift_response = RESPONSE_NONE;
	cfg.rehearse_half_life_ms = 0;
	cfg.batch_users = 256;
}

/* said: members of the event's object behind its time. */
static void event_saying(struct record_list *batch, int user, int item, int64_t ms, const char *said)
{
	char key[16], value[160];
	struct record *r;
	int key_len = snprintf(key, sizeof key, "u%d", user);
	int len = snprintf(value, sizeof value, "{\"item_id\":\"i%d\",\"timestamp\":%lld%s}", item, 1700000000000LL + (long long)ms, said);
	assert_int_equal(record_new(&r, pool, decoder, 1000, 0, offset++, 1800000000000LL, key, (size_t)key_len, value, (size_t)len), 0);
	assert_null(r->reason);
	record_push(batch, r);
}

static void event_from(struct record_list *batch, int user, int item, int64_t ms, const char *device)
{
	char said[64] = "";
	if (*device)
		snprintf(said, sizeof said, ",\"device\":%s", device);
	event_saying(batch, user, item, ms, said);
}

/* All meet item 0, then one of two that only their device tells. Returned: the loss at last; ln 2 is what remains to who does not look. */
static double loss_by_device(int64_t buckets)
{
	struct train_result t = { 0 };
	cfg.attributes_buckets = buckets;
	cfg.learning_rate = .02;
	struct learner *l = learner();
	for (int i = 0; i < 60; i++) {
		struct record_list batch = { 0 };
		for (int u = 0; u < 16; u++)
			for (int e = 0; e < 2; e++)
				event_from(&batch, 100 * i + u, e ? 1 + u % 2 : 0, 10 * i + e, u % 2 ? "\"tv\"" : "7");
		t = train(l, &batch, NULL);
	}
	learner_free(l);
	cfg.learning_rate = .001;
	cfg.attributes_buckets = 0;
	return t.stats.loss_sr;
}

static void test_attributes_tell_users_apart(void **state)
{
	assert_true(loss_by_device(0) > .65);
	assert_true(loss_by_device(1000) < .3);
}

/* The newest event that says something counts, field by field. */
static void test_attributes_of_a_user(void **state)
{
	cfg.attributes_buckets = 1000;
	struct learner *l = learner();
	struct record_list batch = { 0 };
	event_from(&batch, 1, 1, 1000, "\"tv\"");
	event_from(&batch, 2, 1, 1000, "\"tv\"");
	event_from(&batch, 3, 1, 1000, "\"phone\"");
	event_from(&batch, 3, 2, 2000, "");
	train(l, &batch, NULL);
	uint16_t tv = user(l, "u1")->attribute[0], phone = user(l, "u3")->attribute[0];
	assert_true(tv > 0 && tv <= 1000 && phone > 0 && phone != tv);
	assert_int_equal(user(l, "u2")->attribute[0], tv);
	assert_int_equal(user(l, "u1")->attribute[1], 0);
	event_from(&batch, 1, 2, 500, "\"phone\""); /* it came late */
	event_from(&batch, 2, 2, 1000, "\"phone\"");
	train(l, &batch, NULL);
	assert_int_equal(user(l, "u1")->attribute[0], tv);
	assert_int_equal(user(l, "u2")->attribute[0], phone);
	learner_free(l);
	cfg.attributes_buckets = 0;
}

/* All meet an item that nobody met before, then one of two that only its category tells. */
static double loss_by_category(int64_t buckets)
{
	struct train_result t = { 0 };
	cfg.attributes_buckets = buckets;
	cfg.learning_rate = .02;
	cfg.max_items = 2000;
	struct learner *l = learner();
	for (int i = 0; i < 60; i++) {
		struct record_list batch = { 0 };
		for (int u = 0; u < 16; u++) {
			event_saying(&batch, 100 * i + u, 100 + 16 * i + u, 10 * i, u % 2 ? ",\"category\":\"shoes\"" : ",\"category\":7");
			event_saying(&batch, 100 * i + u, 1 + u % 2, 10 * i + 1, "");
		}
		t = train(l, &batch, NULL);
	}
	learner_free(l);
	cfg.max_items = 100;
	cfg.learning_rate = .001;
	cfg.attributes_buckets = 0;
	return t.stats.loss_sr;
}

static void test_attributes_tell_items_apart(void **state)
{
	assert_true(loss_by_category(0) > .65);
	assert_true(loss_by_category(1000) < .3);
}

static const uint16_t *of_item(struct learner *l, const char *id)
{
	return model_item_attributes(l->model, idmap_find(l->item_ids, id, strlen(id)));
}

static void test_attributes_of_an_item(void **state)
{
	cfg.attributes_buckets = 1000;
	struct learner *l = learner();
	struct record_list batch = { 0 };
	event_saying(&batch, 1, 1, 1000, ",\"category\":\"shoes\"");
	event_saying(&batch, 2, 2, 1000, ",\"category\":\"shoes\",\"device\":\"shoes\"");
	event_saying(&batch, 3, 3, 1000, ",\"category\":\"hats\"");
	event_saying(&batch, 3, 3, 2000, ",\"brand\":\"shoes\"");
	train(l, &batch, NULL);
	uint16_t shoes = of_item(l, "i1")[0], hats = of_item(l, "i3")[0];
	assert_true(shoes > 0 && shoes <= 1000 && hats > 0 && hats != shoes);
	assert_int_equal(of_item(l, "i2")[0], shoes);
	assert_int_equal(of_item(l, "i1")[1], 0);
	assert_true(of_item(l, "i3")[1] > 0 && of_item(l, "i3")[1] != shoes); /* a word of another field is another value ... */
	assert_true(user(l, "u2")->attribute[0] > 0 && user(l, "u2")->attribute[0] != shoes); /* ... as is one of the user's */
	event_saying(&batch, 4, 1, 500, ",\"category\":\"hats\""); /* older than what is known */
	event_saying(&batch, 4, 2, 1000, ",\"category\":\"hats\"");
	train(l, &batch, NULL);
	assert_int_equal(of_item(l, "i1")[0], shoes);
	assert_int_equal(of_item(l, "i2")[0], hats);
	learner_free(l);
	cfg.attributes_buckets = 0;
}

/* A model that is put back keeps what the log said; what only the file knows comes from there. */
static void test_adopt_keeps_attributes(void **state)
{
	cfg.attributes_buckets = 1000;
	struct learner *l = learner(), *f = learner();
	struct record_list batch = { 0 };
	event_saying(&batch, 1, 1, 1000, ",\"category\":\"hats\"");
	event_saying(&batch, 1, 3, 1000, ",\"category\":\"hats\"");
	train(f, &batch, NULL);
	event_saying(&batch, 1, 2, 1000, ",\"category\":\"shoes\"");
	event_saying(&batch, 1, 1, 1000, ",\"category\":\"shoes\"");
	train(l, &batch, NULL);
	uint16_t shoes = of_item(l, "i1")[0], hats = of_item(f, "i1")[0];
	assert_int_equal(learner_adopt(l, f->model, f->item_ids), 0);
	assert_int_equal(of_item(l, "i1")[0], shoes);
	assert_int_equal(of_item(l, "i2")[0], shoes); /* the file has no such item */
	assert_int_equal(of_item(l, "i3")[0], hats);
	learner_free(l);
	learner_free(f);
	cfg.attributes_buckets = 0;
}

/* An item moves with its attributes, also where no gradient reaches its row: when it is beyond publish.epsilon, readers get it within publish.max.steps. */
static void test_moved_attributes_are_published(void **state)
{
	double epsilon = cfg.publish_epsilon;
	int64_t max_steps = cfg.publish_max_steps, negatives = cfg.negatives;
	cfg.attributes_buckets = 1000;
	cfg.learning_rate = .02;
	cfg.max_items = 1000;
	cfg.loss = LOSS_BCE; /* one negative: most rows are left alone ... */
	cfg.negatives = 1;
	cfg.rows = ROWS_ADAGRAD; /* ... and rest */
	cfg.publish_epsilon = .05;
	cfg.publish_max_steps = 10;
	struct learner *l = learner();
	struct record_list batch = { 0 };
	for (int i = 0; i < 400; i++)
		event_saying(&batch, 100 + i / 2, 100 + i, 1000 + i % 2, "");
	event_saying(&batch, 1, 1, 1000, ",\"category\":\"shoes\"");
	event_saying(&batch, 1, 2, 1000, ",\"category\":\"shoes\"");
	train(l, &batch, NULL);
	publish(l, 1);

	uint32_t *at, first, row;
	uint64_t *sent;
	float own[9], seen[8], now[8];
	memcpy(now, vector(l, "i1", &row), sizeof now);
	assert_int_equal(model_row_floats(l->model), 9);
	memcpy(own, model_row_state(l->model, row, &at), sizeof own);
	first = *at;
	memcpy(seen, published_item(l, row, &sent), sizeof seen);
	assert_int_equal(*sent, l->step);
	for (uint64_t i = 0; i < 10; i++) {
		event_saying(&batch, 600 + (int)i, 100 + (int)i, 2000, "");
		event_saying(&batch, 600 + (int)i, 2, 2001, "");
		train(l, &batch, NULL);
		publish(l, 2 + i);
	}
	assert_memory_equal(own, model_row_state(l->model, row, &at), sizeof own);
	assert_int_equal(first, *at);
	assert_true(memcmp(now, vector(l, "i1", &row), sizeof now) != 0);
	assert_true(memcmp(seen, published_item(l, row, &sent), sizeof seen) != 0);
	assert_in_range(*sent, l->step - 9, l->step);
	learner_free(l);
	cfg.publish_max_steps = max_steps;
	cfg.publish_epsilon = epsilon;
	cfg.negatives = negatives;
	cfg.rows = ROWS_ADAM;
	cfg.loss = LOSS_FULL;
	cfg.max_items = 100;
	cfg.learning_rate = .001;
	cfg.attributes_buckets = 0;
}

static struct decoder *orders;

/* A record by the decoder of orders. */
static void record_of(struct record_list *batch, const char *user, const char *value)
{
	struct record *r;
	assert_int_equal(record_new(&r, pool, orders, 1000, 0, offset++, 1800000000000LL, user, strlen(user), value, strlen(value)), 0);
	assert_null(r->reason);
	record_push(batch, r);
}

static void begin_orders(void)
{
	const struct decoder_options o = { .format = EVENT_JSON, .item_path = "order[].id,item", .weight_path = "order[].n,n", .type_weights = "refund:ignore" };
	const char *why;
	assert_int_equal(decoder_new(&orders, &o, &why), 0);
}

/* Orders and refunds train as the orders' events one by one, bit for bit. */
static void test_orders_are_their_events(void **state)
{
	uint64_t bits[2];
	begin_orders();
	for (int whole = 0; whole < 2; whole++) {
		struct learner *l = learner();
		for (int i = 0; i < 3; i++) {
			struct record_list batch = { 0 };
			for (int u = 0; u < 8; u++) {
				char name[16], value[160], one[80];
				int a = (u + i) % 5, b = (u + 2 * i) % 7;
				snprintf(name, sizeof name, "u%d", u);
				snprintf(value, sizeof value, "{\"time\":%d,\"order\":[{\"id\":\"i%d\"},{\"id\":\"i%d\",\"n\":2}]}", 1700000000 + i, a, b);
				if (whole) {
					record_of(&batch, name, value);
					record_of(&batch, name, "{\"type\":\"refund\"}");
					continue;
				}
				snprintf(one, sizeof one, "{\"time\":%d,\"item\":\"i%d\"}", 1700000000 + i, a);
				record_of(&batch, name, one);
				snprintf(one, sizeof one, "{\"time\":%d,\"item\":\"i%d\",\"n\":2}", 1700000000 + i, b);
				record_of(&batch, name, one);
			}
			struct train_result t = train(l, &batch, NULL);
			assert_int_equal(t.events, 16);
			assert_int_equal(t.dead_letters, 0);
		}
		assert_int_equal(l->ignored, whole ? 24 : 0);
		bits[whole] = model_bits(l);
		learner_free(l);
	}
	assert_true(bits[0] == bits[1]);
	decoder_free(orders);
}

/* A record is one dead letter at most, however many of its events are refused; twice it teaches nothing. */
static void test_refused_parts_of_an_order(void **state)
{
	struct learner *l = learner();
	struct record_list batch = { 0 };
	struct staged *out;
	begin_orders();
	assert_int_equal(staged_new(&out), 0);
	l->max_items = 1;
	record_of(&batch, "u1", "{\"time\":1700000000,\"event_id\":\"e\",\"order\":[{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"c\"}]}");
	struct train_result t = train(l, &batch, out);
	assert_int_equal(t.events, 1);
	assert_int_equal(t.dead_letters, 1);
	assert_int_equal(l->limited, 2);
	assert_int_equal(staged_records(out), 1);

	l->max_items = 100;
	record_of(&batch, "u1", "{\"time\":1700000000,\"event_id\":\"e\",\"order\":[{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"c\"}]}"); /* once more: what was refused is taken */
	record_of(&batch, "u1", "{\"time\":1700000000,\"event_id\":\"e\",\"order\":[{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"c\"}]}");
	record_of(&batch, "u1", "{\"time\":1600000000,\"order\":[{\"id\":\"a\"},{\"id\":\"b\"}]}");
	t = train(l, &batch, out);
	assert_int_equal(t.events, 2);
	assert_int_equal(t.dead_letters, 1);
	assert_int_equal(l->duplicates, 1 + 3);
	assert_int_equal(l->late, 2);

	record_of(&batch, "u1", "{\"time\":1700000000,\"order\":[{\"id\":\"a\"},{\"id\":\"b\"}]}");
	record_of(&batch, "u1", "{\"type\":\"refund\"}");
	assert_int_equal(learner_skip(l, &batch, 1, l->step + 1, out, &t), 0);
	assert_int_equal(t.dead_letters, 1);
	assert_int_equal(staged_records(out), 3);
	staged_free(out);
	decoder_free(orders);
	learner_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_explosion), cmocka_unit_test(test_held), cmocka_unit_test(test_adopt),
		cmocka_unit_test(test_orders_are_their_events), cmocka_unit_test(test_refused_parts_of_an_order), cmocka_unit_test(test_late_in_place), cmocka_unit_test(test_refused_arrivals),
		cmocka_unit_test(test_rehearsal_prefers_recent_users), cmocka_unit_test(test_rehearsal_prefers_great_losses), cmocka_unit_test(test_losses_of_users),
		cmocka_unit_test(test_drift_raises_the_rate_for_a_while), cmocka_unit_test(test_drift_rehearses_more_for_a_while),
		cmocka_unit_test(test_attributes_tell_users_apart), cmocka_unit_test(test_attributes_of_a_user),
		cmocka_unit_test(test_attributes_tell_items_apart), cmocka_unit_test(test_attributes_of_an_item),
		cmocka_unit_test(test_adopt_keeps_attributes), cmocka_unit_test(test_moved_attributes_are_published) };
	return cmocka_run_group_tests(tests, begin, end);
}
