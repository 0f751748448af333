/* learner.c - see learner.h. Reading order: learner_train, then the phases that it names. */
#include "worker/learn/learner.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "model/rng.h"
#include "worker/log.h"
#include "worker/model_config.h"
#include "worker/model_file.h"

/* model_watch: told before the model writes a row. */
static void before_item(void *ctx, uint32_t row)
{
	struct learner *l = ctx;
	int r = row == NO_ROW ? changes_all(l->changes, STATE_ITEM, model_items(l->model)) : changes_row(l->changes, STATE_ITEM, row);
	if (r == 0)
		r = published_touch(l, row);
	if (r < 0)
		l->changes_failed = r;
}

int learner_new(struct learner **ret, const struct config *c, const char *input_topic, int partitions)
{
	const char *why = "";
	struct learner *l = calloc(1, sizeof *l);
	if (!l)
		return log_no_memory();

	if (c->drift_response == RESPONSE_REHEARSE && c->rehearse == 0) {
		log_error("drift.response=rehearse has nothing to multiply: rehearse=0");
		learner_free(l);
		return EX_CONFIG;
	}
	l->cfg = c;
	l->input_topic = input_topic;
	l->space = 1;
	l->max_users = (size_t)c->max_users;
	l->max_items = (size_t)c->max_items;
	int r = scratch_new(&l->scratch, c);
	if (r < 0)
		goto fail;

	struct model_config mc = model_config_from(c, scratch_room(l->scratch));
	if (model_config_check(&mc, &why) < 0) {
		log_error("the model's options do not fit: %s", why);
		learner_free(l);
		return EX_CONFIG;
	}
	r = model_new(&l->model, &mc);
	if (r == 0)
		r = grad_new(&l->grad, l->model);
	if (r == 0)
		r = idmap_new(&l->item_ids, (size_t)c->max_items);
	if (r == 0)
		r = idmap_new(&l->user_ids, UINT32_MAX); /* limits: find_rows */
	if (r == 0)
		r = users_new(&l->users, UINT32_MAX, (size_t)c->max_length + 1);
	if (r == 0 && mc.loss == LOSS_SAMPLED)
		r = recent_new(&l->recent, (size_t)c->negatives_recent, (size_t)c->max_items);
	if (r == 0 && c->admit_count > 1)
		r = sketch_new(&l->sketch, (size_t)c->admit_cells);
	if (r == 0)
		r = popularity_new(&l->popularity, c->eval_half_life_ms);
	if (r == 0 && c->eval_covisit)
		r = covisit_new(&l->covisit, 0);
	if (r == 0)
		r = prequential_new(&l->prequential, (size_t)c->eval_window);
	if (r == 0)
		r = changes_new(&l->changes);
	if (r == 0)
		model_watch(l->model, before_item, l);
	if (r == 0)
		r = published_new(&l->published, c, partitions);
	if (r < 0)
		goto fail;

	r = c->eval_out[0] ? step_file_new(&l->ranks, c->eval_out, &ranks_form) : 0;
	if (r == 0 && c->eval_windows[0])
		r = windows_new(&l->windows, c->eval_windows, c->eval_window_ms, (uint32_t)c->eval_cold_count);
	if (r) {
		learner_free(l);
		return r;
	}
	*ret = l;
	return 0;
fail:
	learner_free(l);
	return log_no_memory();
}

/* Adam counts the steps behind its moments (its bias correction), and schedules and draws go by the step: the model keeps its own. */
static uint64_t last_step(const struct model *m)
{
	struct applied last = { 0 };
	if (model_applied(m))
		model_history(m, model_applied(m), &last);
	return last.step;
}

/* Instead of the one that there was; its rows are those of item_ids. Exit code. */
static int take_model(struct learner *l, struct model *m)
{
	grad_free(l->grad); /* it belongs to the model */
	model_free(l->model);
	l->grad = NULL;
	l->model = m;
	int r = grad_new(&l->grad, m);
	if (r == 0)
		r = learner_reserve_items(l, model_items(m));
	if (r == 0)
		r = changes_all(l->changes, STATE_ITEM, model_items(m));
	if (r < 0)
		return log_no_memory();
	model_watch(m, before_item, l);
	return 0;
}

int learner_load(struct learner *l, const char *path)
{
	struct idmap *ids;
	struct model *m;
	int code = model_file_load(&m, &ids, model_config(l->model), path);
	if (code)
		return code;

	idmap_free(l->item_ids);
	l->item_ids = ids;
	l->step = last_step(m);
	code = take_model(l, m);
	if (code == 0 && published_touch(l, NO_ROW) < 0) /* readers have none of them: the first commit sends all, also where losses are sparse */
		code = log_no_memory();
	return code;
}

/* The file's row of each item; items that only the file knows come last. Returned owned. */
static int find_file_rows(struct learner *l, const struct idmap *ids, uint32_t **ret)
{
	size_t n = idmap_rows(ids), len;
	uint32_t row, *rows;
	int is_new;
	for (uint32_t i = 0; i < n; i++) {
		const char *id = idmap_id(ids, i, &len);
		int r = id ? idmap_intern(l->item_ids, &row, &is_new, id, len) : 0;
		if (r == -ENOSPC) {
			log_error("max.items=%lld is below the items of the model and of the file together: raise it", (long long)l->cfg->max_items);
			return EX_CONFIG;
		}
		if (r < 0)
			return log_no_memory();
	}
	rows = malloc((idmap_rows(l->item_ids) + 1) * sizeof *rows);
	if (!rows)
		return log_no_memory();
	for (uint32_t i = 0; i < idmap_rows(l->item_ids); i++) {
		const char *id = idmap_id(l->item_ids, i, &len);
		rows[i] = id ? idmap_find(ids, id, len) : GONE_ROW;
	}
	*ret = rows;
	return 0;
}

/* The log said them, whatever the model was then. */
static void keep_attributes(struct model *to, const struct model *from)
{
	for (uint32_t row = 0; row < model_items(from); row++)
		if (!model_item_is_gone(from, row))
			model_copy_item_attributes(to, row, from, row);
}

static void forget_scores(struct learner *l)
{
	size_t bytes;
	uint64_t *count;
	void *ring = prequential_ring(l->prequential, &bytes, &count);
	memset(ring, 0, bytes);
	*count = 0;
	prequential_sum(l->prequential);
	l->guard = (struct guard){ 0 };
	l->drifts = (struct drifts){ .found = l->drifts.found };
}

int learner_adopt(struct learner *l, const struct model *m, const struct idmap *ids)
{
	struct model *arranged;
	uint32_t *rows = NULL;
	if (last_step(m) > l->step) {
		log_error("the file is of step %llu, this model of step %llu: it cannot go back to what is ahead of it; `s4rec import` begins a new model",
		          (unsigned long long)last_step(m), (unsigned long long)l->step);
		return EX_CONFIG;
	}
	int r = find_file_rows(l, ids, &rows);
	if (r)
		return r;
	if (model_new(&arranged, model_config(l->model)) < 0) {
		free(rows);
		return log_no_memory();
	}
	model_arrange(arranged, m, rows, idmap_rows(l->item_ids));
	keep_attributes(arranged, l->model);
	free(rows);
	forget_scores(l);
	l->space++;
	l->republish = 1;
	return take_model(l, arranged);
}

void learner_free(struct learner *l)
{
	if (!l)
		return;
	published_free(l->published);
	changes_free(l->changes);
	prequential_free(l->prequential);
	covisit_free(l->covisit);
	popularity_free(l->popularity);
	sketch_free(l->sketch);
	recent_free(l->recent);
	users_free(l->users);
	idmap_free(l->user_ids);
	idmap_free(l->item_ids);
	grad_free(l->grad);
	model_free(l->model);
	scratch_free(l->scratch);
	step_file_free(l->ranks);
	windows_free(l->windows);
	free(l->item_ms);
	free(l->item_events);
	free(l);
}

double learner_refused_share(const struct learner *l)
{
	return l->recent_records < REFUSED_WINDOW ? 0 : (double)l->recent_refused / (double)l->recent_records;
}

void learner_held_why(const struct learner *l, char *ret, size_t size)
{
	snprintf(ret, size, "ndcg20=%.4f popularity_ndcg20=%.4f", prequential_scores(l->prequential, BY_MODEL).ndcg20,
	         prequential_scores(l->prequential, BY_POPULARITY).ndcg20);
}

static void count_record(struct learner *l, int refused)
{
	if (l->recent_records >= 2 * REFUSED_WINDOW) {
		l->recent_records /= 2;
		l->recent_refused /= 2;
	}
	l->recent_records++;
	l->recent_refused += (uint64_t)refused;
}

static int dead_letter(struct learner *l, const struct record *r, const char *reason, struct staged *out)
{
	l->dead_letters++;
	if (!out)
		return 0;
	reasons_add(&l->refused, reason);
	struct dead_letter d = { .topic = l->input_topic, .partition = r->partition, .offset = r->offset, .key = r->key, .value = r->value,
		.key_kept = r->key_kept, .key_len = r->key_len, .value_kept = r->value_kept, .value_len = r->value_len, .header_count = r->header_count,
		.reason = reason };
	if (staged_dead_letter(out, &d, (size_t)l->cfg->dlq_max_bytes) < 0)
		return log_no_memory();
	return 0;
}

int learner_reserve_items(struct learner *l, size_t rows)
{
	if (rows > l->item_cap) {
		size_t cap = l->item_cap ? l->item_cap : 1024;
		while (cap < rows)
			cap *= 2;
		int64_t *ms = realloc(l->item_ms, cap * sizeof *ms);
		if (!ms)
			return -ENOMEM;

		memset(ms + l->item_cap, 0, (cap - l->item_cap) * sizeof *ms);
		l->item_ms = ms;
		uint32_t *events = realloc(l->item_events, cap * sizeof *events);
		if (!events)
			return -ENOMEM;

		memset(events + l->item_cap, 0, (cap - l->item_cap) * sizeof *events);
		l->item_events = events;
		l->item_cap = cap;
	}
	return 0;
}

void learner_clear_item(struct learner *l, uint32_t row)
{
	l->item_ms[row] = 0;
	l->item_events[row] = 0;
	published_clear_item(l, row);
	if (popularity_count(l->popularity, row) > 0)
		popularity_restore(l->popularity, row, 0); /* it has room for the row */
}

_Static_assert(ATTRIBUTES_MAX == EVENT_ATTRIBUTES_MAX, "the model has a place for each");

/* Those that an event says; what it does not say stays as it was. */
static void note_attributes(const struct learner *l, uint16_t attribute[ATTRIBUTES_MAX], const uint64_t said[ATTRIBUTES_MAX])
{
	for (size_t i = 0; i < ATTRIBUTES_MAX; i++)
		if (said[i])
			attribute[i] = (uint16_t)(1 + said[i] % (uint64_t)l->cfg->attributes_buckets);
}

static void note_item_attributes(struct learner *l, uint32_t row, const uint64_t said[ATTRIBUTES_MAX])
{
	uint16_t attribute[ATTRIBUTES_MAX];
	memcpy(attribute, model_item_attributes(l->model, row), sizeof attribute);
	note_attributes(l, attribute, said);
	model_set_item_attributes(l->model, row, attribute);
}

static int know_item(struct learner *l, uint32_t row, const struct record *record)
{
	int64_t ts_ms = record->ev.ts_ms;
	int r = changes_row(l->changes, STATE_ITEM, row);
	if (r == 0)
		r = published_touch(l, row); /* it may be new, and no gradient may reach it */
	if (r == 0)
		r = learner_reserve_items(l, (size_t)row + 1);
	if (r < 0)
		return r;
	if (l->cfg->attributes_buckets && ts_ms >= l->item_ms[row])
		note_item_attributes(l, row, record->item_attribute);
	if (ts_ms > l->item_ms[row])
		l->item_ms[row] = ts_ms;
	l->item_events[row] += l->item_events[row] < UINT32_MAX;
	return 0;
}

static int fits(const struct idmap *x, size_t limit, uint32_t row)
{
	return row != UINT32_MAX || idmap_room(x, limit);
}

/* The row that the map has given to an item: one more, or one that was another item's. */
static int make_item(struct learner *l, uint32_t row)
{
	uint32_t made = row;
	int r = changes_born(l->changes, STATE_ITEM, row);
	if (r == 0 && row < model_items(l->model))
		model_renew_item(l->model, row);
	else if (r == 0)
		r = model_add_item(l->model, &made);
	assert(r < 0 || made == row); /* both count from 0 in the order of first sight */
	return r;
}

#define AROUND 8 /* of the user's newest items */

/* A new item begins a share of the way towards what its first user met before it. */
static void place_in_context(struct learner *l, uint32_t item, uint32_t user)
{
	uint32_t around[AROUND];
	size_t n = 0;
	const struct user *u = user < users_rows(l->users) ? users_get(l->users, user) : NULL;
	for (size_t i = u ? u->len : 0; l->cfg->item_context > 0 && i-- > 0 && n < AROUND;)
		if (u->visits[i].item != NO_ITEM)
			around[n++] = u->visits[i].item;
	if (n)
		model_blend_item(l->model, item, around, n, (float)l->cfg->item_context);
}

/* Is the item to have a row? One that has none is counted. */
static int is_admitted(struct learner *l, const struct event *ev)
{
	return !l->sketch || sketch_add(l->sketch, ev->item, ev->item_len) >= (unsigned)l->cfg->admit_count;
}

static int intern_item(struct learner *l, const struct record *record, uint32_t user, uint32_t *ret)
{
	int is_new, r = idmap_intern(l->item_ids, ret, &is_new, record->ev.item, record->ev.item_len);
	if (r == 0 && is_new) {
		l->born_items++;
		r = make_item(l, *ret);
		if (r == 0)
			place_in_context(l, *ret, user);
	}
	return r ? r : know_item(l, *ret, record);
}

static int intern_user(struct learner *l, const struct event *ev, uint32_t *ret)
{
	int is_new, r = idmap_intern(l->user_ids, ret, &is_new, ev->user, ev->user_len);
	if (r < 0 || !is_new)
		return r;
	l->born_users++;
	return changes_born(l->changes, STATE_USER, *ret);
}

/* The rows of an event, made at first sight; *ret_item NO_ITEM: it was not seen often enough. Sets *ret_reason when a limit forbids a new one: then
 * neither is made. */
static int find_rows(struct learner *l, const struct record *record, uint32_t *ret_user, uint32_t *ret_item, const char **ret_reason)
{
	const struct event *ev = &record->ev;
	int r = 0;
	*ret_user = idmap_find(l->user_ids, ev->user, ev->user_len);
	*ret_item = idmap_find(l->item_ids, ev->item, ev->item_len);
	if (!fits(l->user_ids, l->max_users, *ret_user)) {
		*ret_reason = "too many users";
		return 0;
	}
	int admitted = *ret_item != NO_ITEM || is_admitted(l, ev);
	if (admitted && !fits(l->item_ids, l->max_items, *ret_item)) {
		*ret_reason = "too many items";
		return 0;
	}
	if (admitted)
		r = intern_item(l, record, *ret_user, ret_item);
	if (r == -ENOSPC) { /* in a replay: the limit that held then was a higher one */
		log_error("max.items=%lld is below the items that this model has: raise it", (long long)l->cfg->max_items);
		return EX_CONFIG;
	}
	if (r == 0)
		r = intern_user(l, ev, ret_user);
	return r < 0 ? log_no_memory() : 0;
}

/* Baselines rank the event by what they knew a moment before it, then learn it. */
static int score_baselines(struct learner *l, struct scored *p, const struct user *before)
{
	size_t rows = model_items(l->model);
	uint32_t last = before ? users_last_item(before) : NO_ITEM;
	if (p->sampled)
		p->rank[BY_POPULARITY] = popularity_rank(l->popularity, p->item, rows, rows - model_live_items(l->model));
	p->rank[BY_COVISIT] = UNRANKED;
	if (l->covisit && last != NO_ITEM) {
		if (p->sampled)
			p->rank[BY_COVISIT] = covisit_rank(l->covisit, last, p->item, p->rank[BY_POPULARITY]);
		if (covisit_add(l->covisit, last, p->item, p->r->ev.ts_ms) < 0)
			return log_no_memory();
	}
	if (popularity_will_rescale(l->popularity, p->r->ev.ts_ms) && changes_all(l->changes, STATE_ITEM, rows) < 0)
		return log_no_memory();
	if (popularity_add(l->popularity, p->item, p->r->ev.ts_ms) < 0)
		return log_no_memory();
	return 0;
}

static int fold_forget(struct learner *l, const struct record *r)
{
	uint32_t row = idmap_find(l->user_ids, r->ev.user, r->ev.user_len);
	if (row == UINT32_MAX)
		return 0;
	return published_forget_user(l, row) < 0 ? log_no_memory() : 0;
}

static enum arrival arrival(const struct learner *l, const struct record *r)
{
	uint32_t user = idmap_find(l->user_ids, r->ev.user, r->ev.user_len);
	return user == UINT32_MAX ? ARRIVAL_NEW : users_arrival(l->users, user, r->id, r->ev.ts_ms, l->cfg->lateness_ms);
}

/* The newest event time, but no event moves it past the time at which Kafka received it. */
static void move_watermark(struct learner *l, const struct record *r)
{
	int64_t ms = r->kafka_ms >= 0 && r->ev.ts_ms > r->kafka_ms ? r->kafka_ms : r->ev.ts_ms;
	if (ms > l->watermark_ms)
		l->watermark_ms = ms;
}

static int add_visit(struct learner *l, const struct record *r, const struct scored *p, uint32_t fresh)
{
	struct visit visit = { .item = p->item, .weight = r->ev.weight, .id = r->id, .fresh = fresh };
	if (changes_row(l->changes, STATE_USER, p->user) < 0 || users_add(l->users, p->user, visit, r->ev.ts_ms) < 0)
		return log_no_memory();
	struct user *u = users_get(l->users, p->user);
	if (l->cfg->attributes_buckets && r->ev.ts_ms >= u->newest_ms)
		note_attributes(l, u->attribute, r->attribute);
	return 0;
}

/* Is the event of this number in the batch to be ranked? */
static int is_sampled(const struct learner *l, size_t number)
{
	return rng_unit(rng_bits((uint64_t)l->cfg->seed, RNG_SAMPLE, l->step, number, 0)) < l->cfg->eval_sample;
}

enum { LATE_DROP, LATE_DLQ }; /* late.events */

/* *ret_refused: why it is none that the model learns, for a dead letter; else left alone. */
static int fold_event(struct learner *l, const struct record *r, struct scored *pending, size_t *n, const char **ret_refused)
{
	const char *reason = NULL;
	struct scored *p = &pending[*n];
	switch (arrival(l, r)) { /* before anything is made or counted for it */
	case ARRIVAL_DUPLICATE:
		l->duplicates++;
		return 0;
	case ARRIVAL_LATE:
		l->late++;
		if (l->cfg->late_events == LATE_DLQ)
			*ret_refused = "late";
		return 0;
	case ARRIVAL_NEW:
		break;
	}
	*p = (struct scored){ .r = r, .at = UINT32_MAX };
	p->sampled = is_sampled(l, *n);
	int code = find_rows(l, r, &p->user, &p->item, &reason);
	if (code)
		return code;
	if (reason) {
		l->limited++;
		*ret_refused = reason;
		return 0;
	}

	if (p->item == NO_ITEM) {
		l->unadmitted++;
		move_watermark(l, r);
		return add_visit(l, r, p, 0);
	}
	code = score_baselines(l, p, p->user < users_rows(l->users) ? users_get(l->users, p->user) : NULL);
	if (code == 0)
		code = add_visit(l, r, p, (uint32_t)++*n);
	if (code)
		return code;
	p->nth = users_get(l->users, p->user)->events;
	p->sighting = l->item_events[p->item];
	if (l->recent && recent_add(l->recent, p->item) < 0)
		return log_no_memory();

	l->events++;
	l->clamped += (uint64_t)r->ev.clamped;
	move_watermark(l, r);
	published_event(l, r->ev.ts_ms);
	return 0;
}

/* All events of a record, and one dead letter at most, for the first that needs one: it holds the whole record. */
static int fold_events(struct learner *l, const struct record *r, struct scored *pending, size_t *n, struct staged *out)
{
	const char *refused = NULL;
	int code = 0;
	for (const struct record *part = r; code == 0 && part; part = part->more) {
		const char *reason = NULL;
		code = fold_event(l, part, pending, n, &reason);
		refused = refused ? refused : reason;
	}
	return code == 0 && refused ? dead_letter(l, r, refused, out) : code;
}

static int fold_record(struct learner *l, const struct record *r, struct scored *pending, size_t *n, struct staged *out)
{
	if (r->ignored) {
		l->ignored++;
		return 0;
	}
	count_record(l, r->reason != NULL); /* what a limit refuses says nothing about the input's format */
	if (r->reason) {
		l->last_refused = r->reason;
		return dead_letter(l, r, r->reason, out);
	}
	return r->ev.forget ? fold_forget(l, r) : fold_events(l, r, pending, n, out);
}

/* The users of the batch's events, in the order of their first event, each once. */
static void gather_fresh(struct learner *l, const struct scored *pending, size_t n)
{
	scratch_clear(l->scratch);
	for (size_t i = 0; i < n; i++) {
		struct user *u = users_get(l->users, pending[i].user);
		if (!u->live || u->known == 0 || u->batch_stamp == l->step)
			continue;
		u->batch_stamp = l->step;
		scratch_add(l->scratch, l, pending[i].user, l->cfg->targets);
	}
}

/* Which row of h predicts an event: the output at the event before it, if there is one in the kept window. */
static void find_predictions(struct learner *l, struct scored *pending)
{
	struct batch b = scratch_batch(l->scratch);
	const uint32_t *fresh = scratch_fresh(l->scratch);
	for (uint32_t t = 0; t < b.T; t++)
		if (fresh[t])
			pending[fresh[t] - 1].at = t;
}

static int score_model(struct learner *l, struct scored *pending, size_t n)
{
	struct batch b = scratch_batch(l->scratch);
	size_t D = model_config(l->model)->D, scored = 0;
	float *h = scratch_h(l->scratch);
	if (b.B == 0)
		return 0;

	float *q = malloc(n * D * sizeof *q + 1);
	uint32_t *target = malloc(n * sizeof *target + 1), *rank = malloc(n * sizeof *rank + 1);
	if (!q || !target || !rank) {
		free(q), free(target), free(rank);
		return log_no_memory();
	}
	find_predictions(l, pending);
	model_encode(l->model, h, &b);
	for (size_t i = 0; i < n; i++) {
		if (pending[i].at == UINT32_MAX || !pending[i].sampled)
			continue;
		memcpy(q + scored * D, h + pending[i].at * D, D * sizeof *q);
		target[scored++] = pending[i].item;
	}
	if (scored)
		model_rank(l->model, rank, q, target, scored, NULL);
	for (size_t i = 0, j = 0; i < n; i++)
		pending[i].rank[BY_MODEL] = pending[i].at == UINT32_MAX || !pending[i].sampled ? UNRANKED : rank[j++];
	free(q), free(target), free(rank);
	return 0;
}

/* Only events with a history that eval.sample has drawn are scored, by all methods alike. */
static int record_scores(struct learner *l, const struct scored *pending, size_t n, struct train_result *ret)
{
	for (size_t i = 0; i < n; i++) {
		const struct scored *p = &pending[i];
		if (p->at == UINT32_MAX || !p->sampled)
			continue;
		ret->ranked++;
		ret->ndcg20 += p->rank[BY_MODEL] < 20 ? 1 / log2(p->rank[BY_MODEL] + 2.0) : 0;
		prequential_add(l->prequential, (const uint32_t[METHODS]){ p->rank[BY_MODEL], p->rank[BY_POPULARITY], UNRANKED }); /* co-visitation is no part of the fold */
		guard_ranked(&l->guard, (uint64_t)l->cfg->guard_hold, prequential_ndcg(l->prequential, BY_MODEL), prequential_ndcg(l->prequential, BY_POPULARITY));
		struct ranks_about about = { p->nth, p->sighting, users_is_head(l->users, p->user) };
		if (l->ranks)
			ranks_add(l->ranks, l->step, p->r->ev.event_id, p->r->ev.event_id_len, p->r->ev.ts_ms, p->rank, &about);
		if (l->windows && windows_add(l->windows, l->step, p->r->ev.ts_ms, p->rank, &about) < 0)
			return log_no_memory();
	}
	ret->ndcg20 /= ret->ranked ? ret->ranked : 1;
	return 0;
}

/* Marks every user of the batch for publishing; what was fresh has been trained. */
static int finish_users(struct learner *l)
{
	struct batch b = scratch_batch(l->scratch);
	for (size_t i = 0; i < b.B; i++) {
		users_trained(l->users, (uint32_t)b.user[i]);
		if (published_mark_user(l, (uint32_t)b.user[i]) < 0)
			return log_no_memory();
	}
	return 0;
}

static float rate_of_step(const struct learner *l, const struct train_result *t)
{
	double by = t->pass ? 1 : response_factor(l, RESPONSE_RATE);
	return (float)(by * (double)learning_rate_at(l->cfg, l->step, (uint64_t)l->cfg->schedule_steps));
}

int learner_batch(struct learner *l, struct batch *ret)
{
	*ret = scratch_batch(l->scratch);
	if (ret->B == 0 || !l->recent)
		return 0;
	ret->recent = recent_items(l->recent, &ret->recent_n);
	ret->recent_count = recent_counts(l->recent, model_items(l->model));
	return ret->recent_count ? 0 : log_no_memory();
}

int learner_fit(struct learner *l, struct train_result *ret)
{
	struct batch b;
	int code = learner_batch(l, &b);
	ret->users = b.B;
	if (code || b.B == 0)
		return code;
	model_grad(l->model, l->grad, &b, l->step, &ret->stats);
	if (ret->stats.discarded)
		ret->discarded = DISCARD_NOT_FINITE;
	else if (guard_step(&l->guard, l->cfg->guard_factor, &ret->stats))
		ret->discarded = DISCARD_EXPLODING;
	else
		model_apply(l->model, l->grad, l->step, rate_of_step(l, ret));
	if (l->changes_failed || (ret->discarded == DISCARD_NONE && rehearsal_learned(l) < 0))
		return log_no_memory();
	return finish_users(l);
}

int learner_train(struct learner *l, struct record_list *batch, int partitions, uint64_t step, struct staged *out, struct train_result *ret)
{
	size_t n = 0, events = 0;
	struct record_list done = { 0 };
	int code = 0, p;
	*ret = (struct train_result){ 0 };
	for (int i = 0; i < partitions; i++)
		events += batch[i].events;
	struct scored *pending = malloc(events * sizeof *pending + 1);
	if (!pending)
		return log_no_memory();

	assert(step == l->step + 1);
	l->step = step;
	uint64_t dead = l->dead_letters;
	while (code == 0 && (p = record_merge(batch, NULL, NULL, partitions)) >= 0) {
		struct record *r = record_shift(&batch[p]);
		record_push(&done, r); /* pending[] points at it */
		ret->records_hash = record_hash(ret->records_hash, r);
		code = fold_record(l, r, pending, &n, out);
	}
	if (code)
		goto out;

	gather_fresh(l, pending, n);
	code = score_model(l, pending, n); /* test ... */
	if (code)
		goto out;
	code = record_scores(l, pending, n, ret);
	if (code)
		goto out;
	code = l->watch.scored ? l->watch.scored(l->watch.ctx, l, pending, n) : 0;
	if (code)
		goto out;

	rehearsal_gather(l);
	code = learner_fit(l, ret); /* ... then train */
	if (code == 0)
		response_learned(l, ret);
	ret->events = (uint32_t)n;
	ret->dead_letters = (uint32_t)(l->dead_letters - dead);
out:
	free(pending);
	record_free_all(&done);
	return code;
}

int learner_resume_scores(struct learner *l, uint64_t step)
{
	int code = l->ranks ? step_file_resume(l->ranks, step) : 0;
	return code || !l->windows ? code : step_file_resume(windows_file(l->windows), step);
}

int learner_flush_scores(struct learner *l)
{
	int code = l->ranks ? step_file_flush(l->ranks) : 0;
	return code || !l->windows ? code : step_file_flush(windows_file(l->windows));
}

int learner_skip(struct learner *l, struct record_list *batch, int partitions, uint64_t step, struct staged *out, struct train_result *ret)
{
	int code = 0, p;
	*ret = (struct train_result){ .skipped = 1 };
	assert(step == l->step + 1);
	l->step = step;
	while (code == 0 && (p = record_merge(batch, NULL, NULL, partitions)) >= 0) {
		struct record *r = record_shift(&batch[p]);
		ret->records_hash = record_hash(ret->records_hash, r);
		ret->dead_letters += !r->ignored;
		code = r->ignored ? 0 : dead_letter(l, r, r->reason ? r->reason : "skipped batch", out);
		record_free(r);
	}
	return code;
}
