/* publish.c - what readers have, and what the next commit sends them.
 *
 * An item or prototype row is sent when it is new, when it moved more than publish.epsilon (relative to its length) from the
 * vector that readers last saw (after quantisation), or when it moved at all and publish.max.steps have passed. User rows are
 * sent when they were encoded anew: on their event, on rehearsal, by the background sweep. While the guard holds publishing only deletes
 * are sent; the rows wait. All of it is part of the fold: a replay decides the same, with out = NULL.
 */
#include "worker/learn/learner.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "codec/embedding.h"
#include "worker/learn/expiry.h"
#include "worker/log.h"

#define GROUP 256           /* rows whose prototypes are found together */
#define FRESHNESS_MAX 65536 /* events per commit whose freshness is kept */
#define KEY_MAX_BYTES (16 + 4096)
#define OFFSETS_BYTES_MAX (1024 * 24) /* a version record names the position of every input partition */

struct seen {
	float *vector;     /* (cap, D) as readers see it */
	uint64_t *at_step; /* (cap) step at which it was sent; 0 = never */
	size_t cap;
};

struct rows_u32 { uint32_t *row; size_t n, cap; };

struct published {
	size_t D;
	int partitions;
	struct seen items, prototypes;
	uint64_t *count[ROW_KINDS];  /* (partitions) live rows that readers have, by kind */
	uint64_t total[ROW_KINDS];
	struct rows_u32 dirty;       /* users to encode and send */
	struct rows_u32 forgotten;   /* user rows to delete; then free */
	char *forgotten_ids;         /* their ids one after another, each with its length in front (2 bytes) */
	size_t forgotten_bytes, forgotten_cap;
	uint32_t sweep;              /* where the background refresh goes on */
	uint64_t *touched;           /* bits of item rows that may have moved since the last commit ... */
	size_t touched_words;
	int all_touched;             /* ... or all of them */
	uint32_t slice;              /* item rows from here on are looked at next without that */
	int64_t *event_ms;           /* (FRESHNESS_MAX) event times since the last commit */
	size_t event_n;
	uint8_t *value;              /* scratch for one encoded row */
	size_t value_max;
	int32_t assigned[GROUP];     /* prototypes of a group of rows */
	uint32_t group[GROUP];       /* item rows to send ... */
	size_t group_n;
	float *group_vec;            /* (GROUP, D) ... as they are now */
	float *vec;                  /* (D) a row as it is now ... */
	float *sent;                 /* (D) ... and as readers would get it */
};

static int push(struct rows_u32 *l, uint32_t row)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 1024;
		uint32_t *rows = realloc(l->row, cap * sizeof *rows);
		if (!rows)
			return -ENOMEM;

		l->row = rows;
		l->cap = cap;
	}
	l->row[l->n++] = row;
	return 0;
}

int published_new(struct published **ret, const struct config *c, int partitions)
{
	struct published *p = calloc(1, sizeof *p);
	if (!p)
		return -ENOMEM;

	p->D = (size_t)c->width;
	p->partitions = partitions;
	p->value_max = 1024 + p->D * 24 + OFFSETS_BYTES_MAX;
	p->value = malloc(p->value_max);
	p->vec = malloc(p->D * sizeof *p->vec);
	p->group_vec = malloc(GROUP * p->D * sizeof *p->group_vec);
	p->sent = malloc(p->D * sizeof *p->sent);
	p->event_ms = malloc(FRESHNESS_MAX * sizeof *p->event_ms);
	int ok = p->value && p->vec && p->group_vec && p->sent && p->event_ms;
	for (int k = 0; k < ROW_KINDS; k++) {
		p->count[k] = calloc((size_t)partitions, sizeof *p->count[k]);
		ok = ok && p->count[k];
	}
	if (!ok) {
		published_free(p);
		return -ENOMEM;
	}
	*ret = p;
	return 0;
}

void published_free(struct published *p)
{
	if (!p)
		return;
	for (int k = 0; k < ROW_KINDS; k++)
		free(p->count[k]);
	free(p->items.vector);
	free(p->items.at_step);
	free(p->prototypes.vector);
	free(p->prototypes.at_step);
	free(p->touched);
	free(p->dirty.row);
	free(p->forgotten.row);
	free(p->forgotten_ids);
	free(p->event_ms);
	free(p->value);
	free(p->vec);
	free(p->group_vec);
	free(p->sent);
	free(p);
}

void published_event(struct learner *l, int64_t event_ms)
{
	struct published *p = l->published;
	if (p->event_n < FRESHNESS_MAX)
		p->event_ms[p->event_n++] = event_ms;
}

int published_mark_user(struct learner *l, uint32_t row)
{
	struct user *u = users_get(l->users, row);
	if (u->dirty)
		return 0;
	if (changes_row(l->changes, STATE_USER, row) < 0)
		return -ENOMEM;
	u->dirty = 1;
	return push(&l->published->dirty, row);
}

/* Notes the id of a row to be deleted; length 0: readers never had the row, no delete is needed. */
static int push_id(struct published *p, const char *id, uint16_t len)
{
	size_t need = p->forgotten_bytes + sizeof len + len;
	if (need > p->forgotten_cap) {
		size_t cap = p->forgotten_cap ? p->forgotten_cap : 4096;
		while (cap < need)
			cap *= 2;
		char *ids = realloc(p->forgotten_ids, cap);
		if (!ids)
			return -ENOMEM;

		p->forgotten_ids = ids;
		p->forgotten_cap = cap;
	}
	memcpy(p->forgotten_ids + p->forgotten_bytes, &len, sizeof len);
	memcpy(p->forgotten_ids + p->forgotten_bytes + sizeof len, id, len);
	p->forgotten_bytes = need;
	return 0;
}

int published_forget_user(struct learner *l, uint32_t row)
{
	struct published *p = l->published;
	size_t len;
	const char *id = idmap_id(l->user_ids, row, &len);
	int r = push(&p->forgotten, row);
	if (r == 0)
		r = push_id(p, id, users_get(l->users, row)->published ? (uint16_t)len : 0);
	if (r == 0)
		r = changes_forget(l->changes, STATE_USER, row, id, len);
	if (r < 0)
		return r;

	users_remove(l->users, row);
	idmap_remove(l->user_ids, row);
	return 0;
}

static int grow_seen(struct seen *s, size_t rows, size_t D)
{
	if (rows <= s->cap)
		return 0;
	size_t cap = s->cap ? s->cap : 256;
	while (cap < rows)
		cap *= 2;
	float *vector = realloc(s->vector, cap * D * sizeof *vector);
	if (!vector)
		return -ENOMEM;
	s->vector = vector;

	uint64_t *at_step = realloc(s->at_step, cap * sizeof *at_step);
	if (!at_step)
		return -ENOMEM;
	memset(at_step + s->cap, 0, (cap - s->cap) * sizeof *at_step);
	s->at_step = at_step;
	s->cap = cap;
	return 0;
}

/* One row to its partition. fresh: readers did not have it. */
static int send_row(struct learner *l, struct staged *out, enum row_kind kind, const char *id, size_t id_len,
                    const struct embedding *e, int fresh)
{
	struct published *p = l->published;
	char key[KEY_MAX_BYTES];
	size_t key_len, len = 0;
	if (row_key(key, sizeof key, &key_len, kind, id, id_len) < 0)
		return -ENAMETOOLONG;

	int32_t partition = partition_of(key, key_len, p->partitions);
	if (fresh) {
		p->count[kind][partition]++;
		p->total[kind]++;
	}
	if (!out)
		return 0;
	int r = embedding_encode(p->value, p->value_max, &len, (enum embedding_format)l->cfg->embedding_format, e);
	return r < 0 ? r : staged_record(out, TOPIC_EMBEDDINGS, partition, key, key_len, p->value, len);
}

static int send_delete(struct learner *l, struct staged *out, enum row_kind kind, const char *id, size_t id_len)
{
	struct published *p = l->published;
	char key[KEY_MAX_BYTES];
	size_t key_len;
	if (row_key(key, sizeof key, &key_len, kind, id, id_len) < 0)
		return -ENAMETOOLONG;

	int32_t partition = partition_of(key, key_len, p->partitions);
	p->count[kind][partition]--;
	p->total[kind]--;
	return out ? staged_record(out, TOPIC_EMBEDDINGS, partition, key, key_len, NULL, 0) : 0;
}

void published_clear_item(struct learner *l, uint32_t row)
{
	struct seen *s = &l->published->items;
	if (row < s->cap)
		s->at_step[row] = 0;
}

int published_drop_item(struct learner *l, struct staged *out, uint32_t row)
{
	struct seen *s = &l->published->items;
	size_t len;
	const char *id = idmap_id(l->item_ids, row, &len);
	int r = changes_forget(l->changes, STATE_ITEM, row, id, len);
	if (r == 0 && row < s->cap && s->at_step[row])
		r = send_delete(l, out, ROW_ITEM, id, len);
	if (r < 0)
		return r;

	learner_clear_item(l, row);
	model_remove_item(l->model, row);
	idmap_remove(l->item_ids, row);
	idmap_reuse(l->item_ids, row);
	return 0;
}

/* Has the row moved far enough from what readers have? Small moves count only when they change what readers would see. */
static int worth_sending(struct learner *l, const struct seen *s, size_t i, const float *vec)
{
	struct published *p = l->published;
	const float *was = s->vector + i * p->D;
	double moved = 0, length = 0;
	if (s->at_step[i] == 0 || l->republish)
		return 1;
	for (size_t d = 0; d < p->D; d++) {
		double delta = (double)vec[d] - (double)was[d];
		moved += delta * delta;
		length += (double)was[d] * (double)was[d];
	}
	double epsilon = l->cfg->publish_epsilon;
	if (moved > epsilon * epsilon * length)
		return 1;
	if (l->step - s->at_step[i] < (uint64_t)l->cfg->publish_max_steps)
		return 0;
	embedding_roundtrip(p->sent, vec, p->D, (enum embedding_format)l->cfg->embedding_format);
	return memcmp(p->sent, was, p->D * sizeof *was) != 0;
}

static void remember(struct learner *l, struct seen *s, size_t i, const float *vec)
{
	embedding_roundtrip(s->vector + i * l->published->D, vec, l->published->D, (enum embedding_format)l->cfg->embedding_format);
	s->at_step[i] = l->step ? l->step : 1;
}

static int send_item_group(struct learner *l, struct staged *out, uint64_t version)
{
	struct published *p = l->published;
	int r = 0;
	if (out)
		model_assign(l->model, p->assigned, p->group_vec, p->group_n);
	for (size_t i = 0; r == 0 && i < p->group_n; i++) {
		uint32_t row = p->group[i];
		struct embedding e = { .vector = p->group_vec + i * p->D, .D = p->D, .version = version, .event_time_ms = l->item_ms[row],
			.prototype = p->assigned[i] };
		size_t len;
		const char *id = idmap_id(l->item_ids, row, &len);
		r = send_row(l, out, ROW_ITEM, id, len, &e, p->items.at_step[row] == 0);
		if (r == 0)
			r = changes_row(l->changes, STATE_ITEM, row);
		remember(l, &p->items, row, e.vector);
		l->items_published++;
	}
	p->group_n = 0;
	return r;
}

int published_touch(struct learner *l, uint32_t row)
{
	struct published *p = l->published;
	if (row == NO_ROW) {
		p->all_touched = 1;
		return 0;
	}
	if (row / 64 >= p->touched_words) {
		size_t words = p->touched_words ? p->touched_words : 64;
		while (words <= row / 64)
			words *= 2;
		uint64_t *touched = realloc(p->touched, words * sizeof *touched);
		if (!touched)
			return -ENOMEM;
		memset(touched + p->touched_words, 0, (words - p->touched_words) * sizeof *touched);
		p->touched = touched;
		p->touched_words = words;
	}
	p->touched[row / 64] |= 1ull << row % 64;
	return 0;
}

/* A row that moved too little to be sent at once is met again within publish.max.steps: the rows in turn, some each step. */
static int touch_slice(struct learner *l, size_t n)
{
	struct published *p = l->published;
	uint64_t steps = l->step - l->published_step, every = (uint64_t)l->cfg->publish_max_steps;
	uint64_t count = (n * steps + every - 1) / every;
	int r = 0;
	for (uint64_t i = 0; r == 0 && i < count && i < n; i++) {
		p->slice = p->slice + 1 < n ? p->slice + 1 : 0;
		r = published_touch(l, p->slice);
	}
	return r;
}

/* Readers get an item from its min.count-th event on. (One without events came from a file.) */
static int is_too_rare(const struct learner *l, uint32_t row)
{
	return l->published->items.at_step[row] == 0 && l->item_events[row] && l->item_events[row] < (uint64_t)l->cfg->min_count;
}

static int consider_item(struct learner *l, struct staged *out, uint64_t version, uint32_t row)
{
	struct published *p = l->published;
	float *vec = p->group_vec + p->group_n * p->D;
	if (model_item_is_gone(l->model, row) || is_too_rare(l, row))
		return 0;
	model_item_vector(l->model, vec, row);
	if (!worth_sending(l, &p->items, row, vec))
		return 0;
	p->group[p->group_n++] = row;
	return p->group_n == GROUP ? send_item_group(l, out, version) : 0;
}

static int send_items(struct learner *l, struct staged *out, uint64_t version)
{
	struct published *p = l->published;
	size_t n = model_items(l->model);
	int r = grow_seen(&p->items, n, p->D);
	if (r == 0)
		r = touch_slice(l, n);
	for (uint32_t row = 0; r == 0 && p->all_touched && row < n; row++)
		r = consider_item(l, out, version, row);
	for (size_t w = 0; r == 0 && !p->all_touched && w < p->touched_words; w++)
		for (uint64_t bits = p->touched[w]; r == 0 && bits; bits &= bits - 1)
			r = consider_item(l, out, version, (uint32_t)(w * 64 + (size_t)__builtin_ctzll(bits)));
	if (p->touched_words)
		memset(p->touched, 0, p->touched_words * sizeof *p->touched);
	p->all_touched = 0;
	return r ? r : send_item_group(l, out, version);
}

static int send_prototypes(struct learner *l, struct staged *out, uint64_t version)
{
	struct published *p = l->published;
	size_t K = model_config(l->model)->K;
	int r = grow_seen(&p->prototypes, K, p->D);
	for (size_t k = 0; r == 0 && k < K; k++) {
		struct embedding e = { .vector = p->vec, .D = p->D, .version = version, .event_time_ms = l->watermark_ms, .prototype = (int32_t)k };
		char id[24];
		model_prototype_vector(l->model, p->vec, (uint32_t)k);
		if (!worth_sending(l, &p->prototypes, k, p->vec))
			continue;
		int len = snprintf(id, sizeof id, "%zu", k);
		r = send_row(l, out, ROW_PROTOTYPE, id, (size_t)len, &e, p->prototypes.at_step[k] == 0);
		remember(l, &p->prototypes, k, p->vec);
	}
	return r;
}

static int send_encoded(struct learner *l, struct staged *out, uint64_t version)
{
	struct published *p = l->published;
	struct batch b = scratch_batch(l->scratch);
	float *h = scratch_h(l->scratch);
	int r = 0;
	if (b.B == 0)
		return 0;
	if (out) /* a replay needs no user's vector: it only has to know which rows were sent */
		model_encode_last(l->model, h, &b);
	for (size_t i = 0; r == 0 && i < b.B; i++) {
		if (out && i % GROUP == 0)
			model_assign(l->model, p->assigned, h + i * p->D, b.B - i < GROUP ? b.B - i : GROUP);
		uint32_t row = (uint32_t)b.user[i];
		struct user *u = users_get(l->users, row);
		struct embedding e = { .vector = h + i * p->D, .D = p->D, .version = version, .event_time_ms = u->newest_ms, .prototype = p->assigned[i % GROUP] };
		size_t len;
		const char *id = idmap_id(l->user_ids, row, &len);
		r = send_row(l, out, ROW_USER, id, len, &e, !u->published);
		users_encoded(l->users, row, l->step);
		l->users_published++;
	}
	scratch_clear(l->scratch);
	return r;
}

static int send_users(struct learner *l, struct staged *out, uint64_t version)
{
	struct published *p = l->published;
	int r = 0;
	scratch_clear(l->scratch);
	for (size_t i = 0; r == 0 && i < p->dirty.n; i++) {
		struct user *u = users_get(l->users, p->dirty.row[i]);
		if (!u->live || !u->dirty)
			continue; /* forgotten since, or here twice */
		r = changes_row(l->changes, STATE_USER, p->dirty.row[i]);
		if (r < 0)
			break;
		u->dirty = 0;
		if (u->known == 0)
			continue; /* events without a row have pushed all others out: readers keep what they have */
		scratch_add_history(l->scratch, l, p->dirty.row[i]);
		if (scratch_room(l->scratch) == 0)
			r = send_encoded(l, out, version);
	}
	if (r == 0)
		r = send_encoded(l, out, version);
	p->dirty.n = 0;
	return r;
}

/* The background sweep: the next refresh.users rows per step since the last commit, round and round. */
static int sweep_users(struct learner *l, uint64_t steps)
{
	struct published *p = l->published;
	size_t rows = users_rows(l->users);
	uint64_t want = steps * (uint64_t)l->cfg->refresh_users;
	for (uint64_t i = 0; i < want && i < rows; i++) {
		p->sweep = p->sweep + 1 < rows ? p->sweep + 1 : 0;
		if (users_get(l->users, p->sweep)->known && published_mark_user(l, p->sweep) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* ---- rows that wait ---- */

/* Publishing is held. Users that wait are marked, which the state keeps; the list would not survive a restart. */
static void keep_back(struct learner *l)
{
	struct published *p = l->published;
	p->dirty.n = 0;
	if (p->touched_words)
		memset(p->touched, 0, p->touched_words * sizeof *p->touched);
	p->all_touched = 0;
	l->guard.waiting = 1;
}

/* Puts all that was kept back before this commit: the marked users, in the order of their rows whatever happened in between, and any item. */
static int bring_back(struct learner *l)
{
	struct published *p = l->published;
	int r = 0;
	p->dirty.n = 0;
	for (uint32_t row = 0; r == 0 && row < users_rows(l->users); row++)
		if (users_get(l->users, row)->live && users_get(l->users, row)->dirty)
			r = push(&p->dirty, row);
	p->all_touched = 1;
	l->guard.waiting = 0;
	return r;
}

static int withdraw_user(struct learner *l, struct staged *out, uint32_t row)
{
	size_t len;
	const char *id = idmap_id(l->user_ids, row, &len);
	int r = changes_row(l->changes, STATE_USER, row);
	if (r == 0)
		r = send_delete(l, out, ROW_USER, id, len);
	users_withdrawn(l->users, row);
	return r;
}

/* Who cannot be encoded, since no item is known any more, loses the row: it may be of another space, or lost with the topic. */
static int mark_all_users(struct learner *l, struct staged *out)
{
	int r = 0;
	for (uint32_t row = 0; r == 0 && row < users_rows(l->users); row++) {
		const struct user *u = users_get(l->users, row);
		if (u->known)
			r = published_mark_user(l, row);
		else if (u->published)
			r = withdraw_user(l, out, row);
	}
	return r;
}

static int send_rows(struct learner *l, struct staged *out, uint64_t version)
{
	int r = l->republish ? mark_all_users(l, out) : 0;
	if (r == 0 && (l->guard.waiting || l->republish))
		r = bring_back(l);
	if (r == 0)
		r = sweep_users(l, l->step - l->published_step);
	if (r == 0)
		r = send_users(l, out, version);
	if (r == 0)
		r = send_items(l, out, version);
	if (r == 0)
		r = send_prototypes(l, out, version);
	l->republish = 0;
	return r;
}

static int send_forgotten(struct learner *l, struct staged *out)
{
	struct published *p = l->published;
	const char *id = p->forgotten_ids;
	int r = 0;
	for (size_t i = 0; r == 0 && i < p->forgotten.n; i++) {
		uint16_t len;
		memcpy(&len, id, sizeof len);
		id += sizeof len;
		/* A user who came back in the same commit has a new row, which is sent after this delete. */
		if (len)
			r = send_delete(l, out, ROW_USER, id, len);
		idmap_reuse(l->user_ids, p->forgotten.row[i]);
		id += len;
	}
	p->forgotten.n = 0;
	p->forgotten_bytes = 0;
	return r;
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static void freshness(struct published *p, int64_t now_ms, int64_t *ret_p50, int64_t *ret_p99)
{
	*ret_p50 = *ret_p99 = 0;
	if (p->event_n == 0)
		return;
	qsort(p->event_ms, p->event_n, sizeof *p->event_ms, by_value); /* oldest first = largest age first */
	*ret_p50 = now_ms - p->event_ms[p->event_n / 2];
	*ret_p99 = now_ms - p->event_ms[p->event_n / 100];
	p->event_n = 0;
}

static uint64_t oldest_user_steps(const struct learner *l)
{
	uint32_t row = users_oldest(l->users);
	return row == UINT32_MAX ? 0 : l->step - users_get(l->users, row)->encoded_step;
}

/* To every partition, behind its rows: a transaction becomes visible partition by partition. */
static int send_version(struct learner *l, struct staged *out, uint64_t number, int64_t now_ms, const int64_t *offsets, int input_partitions)
{
	struct published *p = l->published;
	struct version v = {
		.version = number, .step = l->step, .watermark_ms = l->watermark_ms, .published_ms = now_ms,
		.offsets = (int64_t *)offsets, .offset_count = (size_t)input_partitions,
		.total_items = p->total[ROW_ITEM], .total_users = p->total[ROW_USER], .total_prototypes = p->total[ROW_PROTOTYPE],
		.oldest_user_steps = oldest_user_steps(l), .dimension = (uint32_t)p->D, .held = l->guard.held != 0,
		.gaps = l->gaps, .gap_base = l->gap_base, .gap_step = l->gap_step,
	};
	int r = 0;
	freshness(p, now_ms, &v.freshness_p50_ms, &v.freshness_p99_ms);
	l->freshness_p50_ms = v.freshness_p50_ms;
	l->freshness_p99_ms = v.freshness_p99_ms;
	if (!out)
		return 0;
	snprintf(v.model_id, sizeof v.model_id, "%s", l->cfg->model_id);
	snprintf(v.space_id, sizeof v.space_id, "%.48s-%u", l->cfg->model_id, (unsigned)l->space);
	if (v.held)
		learner_held_why(l, v.held_why, sizeof v.held_why);
	snprintf(v.numeric_id, sizeof v.numeric_id, "%s", model_numeric_id(l->model));
	for (int i = 0; r == 0 && i < p->partitions; i++) {
		size_t len;
		v.partition = i;
		v.items = p->count[ROW_ITEM][i];
		v.users = p->count[ROW_USER][i];
		v.prototypes = p->count[ROW_PROTOTYPE][i];
		r = version_encode(p->value, p->value_max, &len, (enum embedding_format)l->cfg->embedding_format, &v);
		if (r == 0)
			r = staged_record(out, TOPIC_EMBEDDINGS, i, "model", 5, p->value, len);
	}
	return r;
}

int learner_publish(struct learner *l, struct staged *out, uint64_t version, int64_t now_ms, const int64_t *offsets, int input_partitions)
{
	int r = learner_expire(l, out);
	if (l->windows)
		windows_commit(l->windows, l->step);
	if (r == 0)
		r = send_forgotten(l, out);
	if (l->catching_up) { /* readers have nothing of this model yet */
		keep_back(l);
		l->published->event_n = 0;
		l->published_step = l->step;
		return r < 0 ? log_no_memory() : 0;
	}
	if (l->guard.held)
		keep_back(l);
	else if (r == 0)
		r = send_rows(l, out, version);
	if (r == 0)
		r = send_version(l, out, version, now_ms, offsets, input_partitions);
	l->published_step = l->step;
	if (r == 0)
		return 0;
	log_error("cannot stage commit %llu: %s", (unsigned long long)version, strerror(-r));
	return r == -ENOMEM ? EX_OSERR : EX_SOFTWARE;
}

/* ---- for worker/state/ ---- */

float *published_item(struct learner *l, uint32_t row, uint64_t **ret_step)
{
	struct published *p = l->published;
	if (grow_seen(&p->items, (size_t)row + 1, p->D) < 0)
		return NULL;
	*ret_step = &p->items.at_step[row];
	return p->items.vector + row * p->D;
}

float *published_prototypes(struct learner *l, uint64_t **ret_steps)
{
	struct published *p = l->published;
	if (grow_seen(&p->prototypes, model_config(l->model)->K, p->D) < 0)
		return NULL;
	*ret_steps = p->prototypes.at_step;
	return p->prototypes.vector;
}

void published_turns(struct learner *l, uint32_t **ret_sweep, uint32_t **ret_slice)
{
	*ret_sweep = &l->published->sweep;
	*ret_slice = &l->published->slice;
}

static int count_row(struct published *p, enum row_kind kind, const char *id, size_t len)
{
	char key[KEY_MAX_BYTES];
	size_t key_len;
	int r = row_key(key, sizeof key, &key_len, kind, id, len);
	if (r < 0)
		return r;
	p->count[kind][partition_of(key, key_len, p->partitions)]++;
	p->total[kind]++;
	return 0;
}

int published_recount(struct learner *l)
{
	struct published *p = l->published;
	int r = 0;
	size_t len;
	for (int k = 0; k < ROW_KINDS; k++) {
		memset(p->count[k], 0, (size_t)p->partitions * sizeof *p->count[k]);
		p->total[k] = 0;
	}
	for (uint32_t i = 0; r == 0 && i < model_items(l->model); i++) {
		const char *id = idmap_id(l->item_ids, i, &len);
		if (id && i < p->items.cap && p->items.at_step[i])
			r = count_row(p, ROW_ITEM, id, len);
		else if (id)
			r = published_touch(l, i); /* of an import: the next commit looks at it */
	}
	for (uint32_t i = 0; r == 0 && i < users_rows(l->users); i++) {
		const char *id = idmap_id(l->user_ids, i, &len);
		if (id && users_get(l->users, i)->published)
			r = count_row(p, ROW_USER, id, len);
	}
	for (size_t k = 0; r == 0 && k < p->prototypes.cap && k < model_config(l->model)->K; k++) {
		char id[24];
		int len_k = snprintf(id, sizeof id, "%zu", k);
		if (p->prototypes.at_step[k])
			r = count_row(p, ROW_PROTOTYPE, id, (size_t)len_k);
	}
	return r;
}
