/* rows.c - see rows.h */
#include "worker/state/rows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/embedding.h"
#include "model/state.h"

size_t state_value_max(const struct learner *l)
{
	size_t D = (size_t)l->cfg->width, L = (size_t)l->cfg->max_length;
	size_t item = ITEM_STATE_BYTES(model_row_floats(l->model), D), user = USER_STATE_BYTES(L + 1), dense = STATE_CHUNK + 16;
	size_t most = item > user ? item : user;
	return most > dense ? most : dense;
}

/* ---- attributes ---- */

/* How many are written: those of a row that has none are not. */
static size_t save_attributes(uint32_t *ret, const uint16_t *attribute)
{
	size_t n = 0;
	for (size_t i = 0; i < ATTRIBUTES_MAX; i++) {
		ret[i] = attribute[i];
		n = attribute[i] ? ATTRIBUTES_MAX : n;
	}
	return n;
}

static int load_attributes(const struct learner *l, uint16_t *ret, const uint32_t *attribute, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (attribute[i] > (uint64_t)l->cfg->attributes_buckets)
			return -EBADMSG;
		ret[i] = (uint16_t)attribute[i];
	}
	return 0;
}

/* ---- items ---- */

static int save_item(struct learner *l, uint32_t row, void *value, size_t size, size_t *ret_len)
{
	size_t D = (size_t)l->cfg->width;
	uint32_t *row_step;
	uint64_t *at_step;
	const float *values = model_row_state(l->model, row, &row_step), *seen = published_item(l, row, &at_step);
	if (!seen)
		return -ENOMEM;
	struct item_state s = { .row = row, .values = values, .values_n = model_row_floats(l->model), .row_step = *row_step, .published = seen,
		.published_n = *at_step ? D : 0, .published_step = *at_step, .event_time_ms = l->item_ms[row], .popularity = popularity_count(l->popularity, row),
		.events = l->item_events[row] };
	if (l->cfg->attributes_buckets)
		s.attributes_n = save_attributes(s.attributes, model_item_attributes(l->model, row));
	return item_state_encode(value, size, ret_len, &s);
}

static int load_item(struct learner *l, const char *id, size_t id_len, const void *value, size_t len, uint32_t *ret_row)
{
	size_t D = (size_t)l->cfg->width, floats = model_row_floats(l->model);
	float room[floats + D];
	struct item_state s;
	uint16_t attribute[ATTRIBUTES_MAX] = { 0 };
	uint32_t *row_step;
	uint64_t *at_step;
	int r = item_state_decode(&s, room, floats + D, value, len);
	if (r == 0)
		r = load_attributes(l, attribute, s.attributes, s.attributes_n);
	if (r < 0)
		return r;
	if (s.values_n != floats || (s.published_n != 0 && s.published_n != D) || (s.published_n == 0) != (s.published_step == 0))
		return -EBADMSG;
	r = idmap_place(l->item_ids, s.row, id, id_len);
	if (r == 0 && s.row >= model_items(l->model)) /* rows come in any order: those below are made, too */
		r = model_make_rows(l->model, (size_t)s.row + 1);
	if (r == 0)
		r = learner_reserve_items(l, model_items(l->model));
	if (r == 0)
		r = popularity_restore(l->popularity, s.row, s.popularity);
	float *seen = r ? NULL : published_item(l, s.row, &at_step);
	if (!seen)
		return r ? r : -ENOMEM;

	memcpy(model_row_state(l->model, s.row, &row_step), s.values, s.values_n * sizeof *s.values);
	*row_step = (uint32_t)s.row_step;
	if (s.published_n)
		memcpy(seen, s.published, D * sizeof *seen);
	*at_step = s.published_step;
	l->item_ms[s.row] = s.event_time_ms;
	l->item_events[s.row] = s.events;
	if (l->cfg->attributes_buckets)
		model_set_item_attributes(l->model, s.row, attribute);
	*ret_row = s.row;
	return 0;
}

/* ---- users ---- */

static int save_user(struct learner *l, uint32_t row, void *value, size_t size, size_t *ret_len)
{
	const struct user *u = users_get(l->users, row);
	uint32_t items[u->len + 1], before_ms[u->len + 1];
	uint64_t ids[u->len + 1];
	float weights[u->len + 1];
	for (size_t i = 0; i < u->len; i++) {
		items[i] = u->visits[i].item;
		weights[i] = u->visits[i].weight;
		before_ms[i] = u->visits[i].before_ms;
		ids[i] = u->visits[i].id;
	}
	struct user_state s = { .row = row, .items = items, .weights = weights, .before_ms = before_ms, .ids = ids, .n = u->len, .events = u->events,
		.newest_ms = u->newest_ms, .published = u->published, .encoded_step = u->encoded_step, .waiting = u->dirty,
		.loss = u->loss };
	s.attributes_n = save_attributes(s.attributes, u->attribute);
	return user_state_encode(value, size, ret_len, &s);
}

static int load_user(struct learner *l, const char *id, size_t id_len, const void *value, size_t len, uint32_t *ret_row)
{
	size_t keep = (size_t)l->cfg->max_length + 1;
	uint32_t items[keep], before_ms[keep];
	uint64_t ids[keep];
	float weights[keep];
	struct visit visits[keep];
	struct user_room room = { items, weights, before_ms, ids, keep };
	struct user_state s;
	int r = user_state_decode(&s, &room, value, len);
	if (r < 0)
		return r == -E2BIG ? -EBADMSG : r;
	for (size_t i = 0; i < s.n; i++) {
		if ((items[i] >= (uint64_t)l->cfg->max_items && items[i] != NO_ITEM) || (i && before_ms[i] > before_ms[i - 1]))
			return -EBADMSG;
		visits[i] = (struct visit){ .item = items[i], .weight = weights[i], .before_ms = before_ms[i], .id = ids[i] };
	}
	struct user u = { .visits = visits, .len = (uint16_t)s.n, .published = s.published != 0, .events = s.events, .newest_ms = s.newest_ms,
		.encoded_step = s.encoded_step, .dirty = s.waiting != 0, .loss = s.loss };
	r = load_attributes(l, u.attribute, s.attributes, s.attributes_n);
	if (r < 0)
		return r;

	r = idmap_place(l->user_ids, s.row, id, id_len);
	if (r == 0)
		r = users_restore(l->users, s.row, &u);
	*ret_row = s.row;
	return r;
}

/* ---- both ---- */

int state_row_save(struct learner *l, enum state_kind kind, uint32_t row, char *key, size_t *ret_key_len, void *value, size_t size, size_t *ret_len)
{
	size_t id_len;
	const char *id = idmap_id(kind == STATE_ITEM ? l->item_ids : l->user_ids, row, &id_len);
	if (!id)
		return -ENOENT;
	int r = row_key(key, STATE_KEY_MAX, ret_key_len, kind == STATE_ITEM ? ROW_ITEM : ROW_USER, id, id_len);
	if (r < 0)
		return r;
	return kind == STATE_ITEM ? save_item(l, row, value, size, ret_len) : save_user(l, row, value, size, ret_len);
}

int state_row_load(struct learner *l, enum state_kind kind, const char *id, size_t id_len, const void *value, size_t len, uint32_t *ret_row)
{
	return kind == STATE_ITEM ? load_item(l, id, id_len, value, len, ret_row) : load_user(l, id, id_len, value, len, ret_row);
}

/* An item's row stays as it is until another item's record fills it, or all is read (state_numbers_load). */
void state_row_remove(struct learner *l, enum state_kind kind, uint32_t row)
{
	if (kind == STATE_USER)
		users_remove(l->users, row);
	else
		learner_clear_item(l, row);
	idmap_remove(kind == STATE_ITEM ? l->item_ids : l->user_ids, row);
}

/* ---- dense ---- */

static void name_dense(struct dense *d, const char *name, const char *suffix, void *data, size_t bytes)
{
	snprintf(d->name, sizeof d->name, "%s%s", name, suffix);
	d->data = data;
	d->bytes = bytes;
}

/* The t-th of weight, first and second moment of a tensor. */
static void tensor(struct learner *l, const char *name, size_t t, struct dense *ret)
{
	static const char *const suffix[] = { "", "/m", "/v" };
	char full[80];
	size_t rows = 0, cols = 0;
	snprintf(full, sizeof full, "%s%s", name, suffix[t]);
	void *data = model_tensor(l->model, full, &rows, &cols);
	name_dense(ret, name, suffix[t], data, rows * cols * sizeof(float));
}

static int ring(struct learner *l, size_t i, struct dense *ret)
{
	size_t D = (size_t)l->cfg->width, K = (size_t)l->cfg->prototypes, bytes, n, *count, *next;
	uint64_t *steps, *events;
	float *vectors;
	void *data;
	switch (i >= 9 && !l->recent ? i + 1 : i) {
	case 0:
	case 1:
		vectors = published_prototypes(l, &steps);
		if (!vectors)
			return -ENOMEM;
		if (i == 0)
			name_dense(ret, "published.prototypes", "", vectors, K * D * sizeof *vectors);
		else
			name_dense(ret, "published.prototypes", "/step", steps, K * sizeof *steps);
		return 0;
	case 2:
		data = prequential_ring(l->prequential, &bytes, &events);
		name_dense(ret, "prequential", "", data, bytes);
		return 0;
	case 3:
		data = model_queue_state(l->model, &count, &next);
		name_dense(ret, "queue", "", data, (size_t)l->cfg->sinkhorn_queue * D * sizeof(float));
		return 0;
	case 6:
		name_dense(ret, "passes", "", &l->passes, sizeof l->passes);
		return 0;
	case 7:
		name_dense(ret, "scanned", "", l->scanned, sizeof l->scanned);
		return 0;
	case 8:
		name_dense(ret, "drifts", "", &l->drifts, sizeof l->drifts);
		return 0;
	case 9: /* of some models only, as is the next */
		data = recent_ring(l->recent, &n, &bytes);
		name_dense(ret, "recent", "", data, (size_t)l->cfg->negatives_recent * sizeof(uint32_t));
		return 0;
	case 5:
		name_dense(ret, "guard", "", &l->guard, sizeof l->guard);
		return 0;
	case 10:
		if (!l->sketch)
			return -ENOENT;
		data = sketch_cells(l->sketch, &bytes, &events);
		name_dense(ret, "sketch", "", data, bytes);
		return 0;
	case 4:
		name_dense(ret, "history", "", l->history, sizeof l->history);
		return 0;
	default:
		return -ENOENT;
	}
}

int state_dense(struct learner *l, size_t i, struct dense *ret)
{
	const char *name = model_tensor_name(l->model, i / 3);
	size_t tensors = 0;
	if (name) {
		tensor(l, name, i % 3, ret);
		return 0;
	}
	while (model_tensor_name(l->model, tensors))
		tensors++;
	return ring(l, i - 3 * tensors, ret);
}

/* ---- numbers ---- */

/* Those that the learner and the manifest call by one name. */
#define LEARNER_NUMBERS(X) \
	X(uint64_t, step) X(uint64_t, events) X(uint64_t, dead_letters) X(uint64_t, limited) X(uint64_t, recent_records) \
	X(uint64_t, recent_refused) X(uint64_t, items_published) X(uint64_t, users_published) X(int64_t, watermark_ms) X(uint64_t, published_step) \
	X(uint64_t, space) X(uint64_t, republish) X(uint64_t, gaps) X(uint64_t, gap_base) X(uint64_t, gap_step) \
	X(uint64_t, duplicates) X(uint64_t, late) X(uint64_t, clamped) X(uint64_t, unadmitted) X(uint64_t, expired_items) \
	X(uint64_t, expired_users) X(int64_t, item_checked_ms) X(int64_t, user_checked_ms) \
	X(uint64_t, from_hash) X(uint64_t, catching_up)

/* Steps and rates of the last applications, oldest first; unused ones are zeros. */
static void save_history(struct learner *l, struct manifest *m)
{
	uint64_t applied = model_applied(l->model), n = applied < MODEL_HISTORY ? applied : MODEL_HISTORY;
	memset(l->history, 0, sizeof l->history);
	for (uint64_t i = 0; i < n; i++) {
		struct applied a;
		model_history(l->model, applied - n + 1 + i, &a);
		l->history[i] = (struct learner_history){ a.step, a.lr, 0 };
	}
	m->applied = applied;
}

static void load_history(struct learner *l, const struct manifest *m)
{
	static struct applied last[MODEL_HISTORY];
	size_t n = m->applied < MODEL_HISTORY ? (size_t)m->applied : MODEL_HISTORY;
	for (size_t i = 0; i < n; i++)
		last[i] = (struct applied){ l->history[i].step, l->history[i].lr };
	model_history_restore(l->model, m->applied, last, n);
}

/* A row that lags further than the history reaches, or runs ahead of it, would be moved by what nobody knows. */
static int check_row_steps(struct learner *l, const struct manifest *m)
{
	size_t len;
	for (uint32_t row = 0; row < model_items(l->model) && l->cfg->loss != LOSS_FULL; row++) {
		uint32_t *step;
		if (!idmap_id(l->item_ids, row, &len))
			continue; /* nobody's: cleared by free_rows */
		model_row_state(l->model, row, &step);
		if (*step > m->applied || m->applied - *step > MODEL_HISTORY)
			return -EINVAL;
	}
	return 0;
}

void state_numbers_save(struct learner *l, struct manifest *m)
{
	size_t *queue_count, *queue_next, bytes, recent_n = 0, recent_next = 0;
	uint64_t *prequential_count, *sketch_added;
	uint32_t *sweep, *slice;
	int *started;
	int64_t *origin_ms;
	published_turns(l, &sweep, &slice);
	model_queue_state(l->model, &queue_count, &queue_next);
	prequential_ring(l->prequential, &bytes, &prequential_count);
	popularity_origin(l->popularity, &started, &origin_ms);
	if (l->recent)
		recent_ring(l->recent, &recent_n, &recent_next);
	save_history(l, m);
	m->items = idmap_count(l->item_ids);
	m->users = idmap_count(l->user_ids);
	m->item_rows = idmap_rows(l->item_ids);
	m->user_rows = idmap_rows(l->user_ids);
#define SAVE(type, name) m->name = (uint64_t)l->name;
	LEARNER_NUMBERS(SAVE)
#undef SAVE
	if (l->sketch) {
		sketch_cells(l->sketch, &bytes, &sketch_added);
		m->sketch_added = *sketch_added;
	}
	m->sweep = *sweep;
	m->item_slice = *slice;
	m->queue_count = *queue_count;
	m->queue_next = *queue_next;
	m->recent_n = recent_n;
	m->recent_next = recent_next;
	m->prequential_count = *prequential_count;
	m->popularity_started = (uint64_t)*started;
	m->popularity_origin_ms = (uint64_t)*origin_ms;
}

/* A user's row may have come before the rows of its items. */
static int check_visits(struct learner *l)
{
	size_t items = model_items(l->model), len;
	for (uint32_t row = 0; row < users_rows(l->users); row++) {
		const struct user *u = users_get(l->users, row);
		for (size_t i = 0; i < u->len; i++)
			if (u->visits[i].item != NO_ITEM && (u->visits[i].item >= items || !idmap_id(l->item_ids, u->visits[i].item, &len)))
				return -EINVAL;
	}
	return 0;
}

/* Rows without an id are nobody's. */
static void free_rows(struct learner *l)
{
	size_t len;
	for (uint32_t row = 0; row < model_items(l->model); row++)
		if (!idmap_id(l->item_ids, row, &len) && !model_item_is_gone(l->model, row))
			model_remove_item(l->model, row);
}

int state_numbers_load(struct learner *l, const struct manifest *m)
{
	size_t *queue_count, *queue_next, bytes, queue = (size_t)l->cfg->sinkhorn_queue;
	uint64_t *prequential_count, *sketch_added;
	uint32_t *sweep, *slice;
	int *started;
	int64_t *origin_ms;
	published_turns(l, &sweep, &slice);
	if (m->queue_count > queue || (queue && m->queue_next >= queue) || m->user_rows >= UINT32_MAX ||
	    m->item_rows < model_items(l->model) || m->sweep > m->user_rows || m->item_slice > m->item_rows)
		return -EINVAL;
	int r = model_make_rows(l->model, (size_t)m->item_rows); /* the last may be nobody's */
	if (r == 0)
		r = learner_reserve_items(l, (size_t)m->item_rows);
	if (r == 0)
		r = idmap_seal(l->item_ids, (size_t)m->item_rows);
	if (r == 0)
		r = idmap_seal(l->user_ids, (size_t)m->user_rows);
	if (r == 0)
		r = users_set_rows(l->users, (size_t)m->user_rows);
	if (r == 0 && l->recent)
		r = recent_restore(l->recent, (size_t)m->recent_n, (size_t)m->recent_next);
	if (r == 0)
		r = check_visits(l);
	if (r == 0)
		r = check_row_steps(l, m);
	if (r == 0)
		r = users_order(l->users);
	if (r == 0)
		r = published_recount(l);
	if (r < 0)
		return r;

	load_history(l, m);
	free_rows(l);
	model_queue_state(l->model, &queue_count, &queue_next);
	prequential_ring(l->prequential, &bytes, &prequential_count);
	popularity_origin(l->popularity, &started, &origin_ms);
#define LOAD(type, name) l->name = (type)m->name;
	LEARNER_NUMBERS(LOAD)
#undef LOAD
	if (l->sketch) {
		sketch_cells(l->sketch, &bytes, &sketch_added);
		*sketch_added = m->sketch_added;
	}
	*sweep = (uint32_t)m->sweep;
	*slice = (uint32_t)m->item_slice;
	*queue_count = (size_t)m->queue_count;
	*queue_next = (size_t)m->queue_next;
	*prequential_count = m->prequential_count;
	prequential_sum(l->prequential);
	*started = m->popularity_started != 0;
	*origin_ms = (int64_t)m->popularity_origin_ms;
	return 0;
}
