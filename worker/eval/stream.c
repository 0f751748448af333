/* stream.c - see stream.h. Reading order: stream_run, fold_batch, watched. */
#include "worker/eval/stream.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "model/state.h"
#include "worker/eval/retrain.h"
#include "worker/eval/source.h"
#include "worker/learn/learner.h"
#include "worker/learn/userset.h"
#include "worker/log.h"

#define PROGRESS_EVENTS 20000

const char *const contestant_name[CONTESTANTS] = {
	"online", "nightly", "snapshot", "frozen", "decayed popularity", "recent popularity", "co-visitation", "item kNN",
};

struct stream {
	const struct config *cfg;
	struct learner *l;
	struct model *aged[MODELS];    /* all but BY_ONLINE; NULL during the warm-up, and BY_NIGHTLY where nothing is retrained */
	struct baselines *baselines;
	struct board *board;
	struct boot *boot;
	struct source *source;
	struct record_list batch;
	struct userset *users;
	float *h, *q;                  /* (h_cap, D) outputs, those that are asked */
	uint32_t *target, *rank[CONTESTANTS]; /* (n_cap) */
	size_t h_cap, n_cap;
	int64_t *born_ms;              /* (item_cap) event time of the item's first event */
	uint8_t *gone;                 /* (item_cap) as of the last commit */
	size_t item_cap;
	uint64_t warmup, version;      /* of what the source has; commits */
	int warm;                      /* the warm-up is over */
	int64_t night;                 /* the last one of the event time: nightly and snapshot know up to there */
	uint64_t told;
};

/* ---- models of another age ---- */

/* In place of the model there: the learner's as of now. */
static int age_model(struct stream *s, size_t which)
{
	const struct model *now = s->l->model;
	size_t n = model_items(now);
	uint32_t *rows = malloc((n + 1) * sizeof *rows);
	struct model *m = NULL;

	if (!rows || model_new(&m, model_config(now)) < 0) {
		free(rows);
		return log_no_memory();
	}
	for (uint32_t i = 0; i < n; i++)
		rows[i] = model_item_is_gone(now, i) ? GONE_ROW : i;
	model_arrange(m, now, rows, n);
	model_free(s->aged[which]);
	s->aged[which] = m;
	free(rows);
	return 0;
}

static int night_falls(struct stream *s)
{
	struct model *m = NULL;
	int code = age_model(s, BY_SNAPSHOT);

	s->night = s->l->watermark_ms / s->cfg->eval_retrain_ms;
	if (code || !s->cfg->eval_retrain_epochs)
		return code;
	code = retrain(&m, s->l, (uint64_t)s->cfg->eval_retrain_epochs);
	if (code == 0) {
		model_free(s->aged[BY_NIGHTLY]);
		s->aged[BY_NIGHTLY] = m;
	}
	return code;
}

static int is_night(const struct stream *s)
{
	return s->warm && s->l->watermark_ms / s->cfg->eval_retrain_ms != s->night;
}

static int end_warmup(struct stream *s)
{
	int code = age_model(s, BY_FROZEN);

	s->warm = 1;
	baselines_choose(s->baselines);
	log_info("warm-up ends: events=%llu half_life_h=%g recent_h=%g covisit_h=%g", (unsigned long long)s->l->events,
	         (double)baselines_half_life_ms(s->baselines) / 3.6e6, (double)baselines_recent_ms(s->baselines) / 3.6e6,
	         (double)baselines_covisit_ms(s->baselines) / 3.6e6);
	return code ? code : night_falls(s);
}

/* ---- one batch, after it was ranked and before it trains ---- */

static int reserve_items(struct stream *s, size_t rows)
{
	size_t cap = s->item_cap ? s->item_cap : 1024;

	if (rows <= s->item_cap)
		return 0;
	while (cap < rows)
		cap *= 2;
	int64_t *born = reallocarray(s->born_ms, cap, sizeof *born);
	if (born)
		s->born_ms = born;
	uint8_t *gone = realloc(s->gone, cap);
	if (gone)
		s->gone = gone;
	if (!born || !gone)
		return log_no_memory();
	memset(gone + s->item_cap, 0, cap - s->item_cap);
	s->item_cap = cap;
	return 0;
}

static int reserve_batch(struct stream *s, size_t tokens, size_t n)
{
	size_t D = model_config(s->l->model)->D;

	if (tokens > s->h_cap) {
		free(s->h);
		s->h = malloc(tokens * D * sizeof *s->h);
		s->h_cap = s->h ? tokens : 0;
	}
	if (n > s->n_cap) {
		free(s->q);
		free(s->target);
		s->q = malloc(n * D * sizeof *s->q);
		s->target = malloc(n * sizeof *s->target);
		for (size_t c = 0; c < CONTESTANTS; c++) {
			free(s->rank[c]);
			s->rank[c] = malloc(n * sizeof *s->rank[c]);
			if (!s->rank[c])
				return log_no_memory();
		}
		s->n_cap = s->q && s->target ? n : 0;
	}
	return (tokens && !s->h_cap) || (n && !s->n_cap) ? log_no_memory() : 0;
}

static int is_ranked(const struct scored *e)
{
	return e->at != UINT32_MAX && e->sampled;
}

static int rank_by_aged(struct stream *s, size_t which, const struct batch *b, const struct scored *events, size_t n)
{
	struct model *m = s->aged[which];
	size_t D = model_config(m)->D, asked = 0;
	int code = follow_items(m, s->l->model);

	if (code)
		return code;
	model_encode(m, s->h, b);
	for (size_t i = 0; i < n; i++) {
		if (!is_ranked(&events[i]))
			continue;
		memcpy(s->q + asked * D, s->h + events[i].at * D, D * sizeof *s->q);
		s->target[asked++] = events[i].item;
	}
	if (asked)
		model_rank(m, s->rank[which], s->q, s->target, asked, NULL);
	for (size_t i = n; i-- > 0;) /* spread over the events, from the end on, in place */
		if (is_ranked(&events[i]))
			s->rank[which][i] = s->rank[which][--asked];
	return 0;
}

/* What the user did before the event, as the batch has it. */
static size_t history_of(const struct batch *b, const struct scored *e, const uint32_t **ret)
{
	size_t user = 0, high = b->B;

	if (e->at == UINT32_MAX)
		return 0;
	while (high - user > 1) { /* start[user] <= at < start[high] */
		size_t middle = user + (high - user) / 2;
		if (b->start[middle] <= e->at)
			user = middle;
		else
			high = middle;
	}
	*ret = b->item + b->start[user];
	return e->at - b->start[user] + 1;
}

static unsigned splits_of(const struct stream *s, const struct scored *e)
{
	int cold = e->r->ev.ts_ms - s->born_ms[e->item] < s->cfg->eval_cold_ms;

	return tally_splits(users_is_head(s->l->users, e->user), e->nth, e->sighting <= s->cfg->eval_cold_count) | (cold ? 1u << SPLIT_COLD : 0);
}

static int note_ranks(struct stream *s, const struct scored *e, size_t i, const uint32_t baseline[BASELINES])
{
	uint32_t rank[CONTESTANTS] = { [BY_ONLINE] = e->rank[BY_MODEL] };

	for (size_t m = BY_ONLINE + 1; m < MODELS; m++)
		rank[m] = s->aged[m] ? s->rank[m][i] : NOT_THERE;
	memcpy(rank + MODELS, baseline, BASELINES * sizeof *baseline);
	unsigned splits = splits_of(s, e);
	int r = board_add(s->board, e->r->ev.ts_ms, splits, rank);
	boot_add(s->boot, XXH3_64bits(e->r->ev.user, e->r->ev.user_len), splits, rank);
	if (r == -ENOSPC)
		log_error("more than %d windows of event time: raise eval.window.ms", BOARD_WINDOWS_MAX);
	return r == -ENOSPC ? EX_CONFIG : r < 0 ? log_no_memory() : 0;
}

static int each_event(struct stream *s, const struct batch *b, const struct scored *events, size_t n)
{
	size_t rows = model_items(s->l->model), gone = rows - model_live_items(s->l->model);
	int code = reserve_items(s, rows);

	for (size_t i = 0; code == 0 && i < n; i++) {
		const struct scored *e = &events[i];
		const uint32_t *history = NULL;
		size_t past = history_of(b, e, &history);
		uint32_t rank[BASELINES];

		if (e->sighting == 1)
			s->born_ms[e->item] = e->r->ev.ts_ms;
		if (is_ranked(e)) {
			baselines_rank(s->baselines, rank, e->item, history, past, rows, gone);
			code = s->warm ? note_ranks(s, e, i, rank) : 0;
		}
		if (code == 0 && baselines_learn(s->baselines, e->item, history, past, e->r->ev.ts_ms) < 0)
			code = log_no_memory();
	}
	return code;
}

static int watched(void *ctx, struct learner *l, const struct scored *events, size_t n)
{
	struct stream *s = ctx;
	struct batch b = scratch_batch(l->scratch);
	int code = reserve_batch(s, b.T, n);

	for (size_t m = 0; code == 0 && b.B && m < MODELS; m++)
		code = s->aged[m] ? rank_by_aged(s, m, &b, events, n) : 0;
	return code ? code : each_event(s, &b, events, n);
}

/* ---- batches and commits, as cut=log makes them ---- */

static int forget_gone(struct stream *s)
{
	size_t rows = model_items(s->l->model), any = 0;
	int code = reserve_items(s, rows);

	for (uint32_t i = 0; code == 0 && i < rows; i++) {
		s->gone[i] = (uint8_t)model_item_is_gone(s->l->model, i);
		any += s->gone[i];
	}
	for (size_t m = 0; code == 0 && any && m < MODELS; m++)
		code = s->aged[m] ? follow_items(s->aged[m], s->l->model) : 0;
	return code == 0 && any && baselines_drop(s->baselines, s->gone, rows) < 0 ? log_no_memory() : code;
}

static int commit(struct stream *s)
{
	int64_t offset = (int64_t)source_read(s->source);
	int code = learner_publish(s->l, NULL, ++s->version, s->l->watermark_ms, &offset, 1);

	return code ? code : forget_gone(s);
}

static void tell(struct stream *s)
{
	struct scores m = prequential_scores(s->l->prequential, BY_MODEL), p = prequential_scores(s->l->prequential, BY_POPULARITY);

	if (s->l->events / PROGRESS_EVENTS == s->told)
		return;
	s->told = s->l->events / PROGRESS_EVENTS;
	log_info("events=%llu step=%llu ndcg20=%.4f hr20=%.4f popularity_ndcg20=%.4f items=%zu users=%zu", (unsigned long long)s->l->events,
	         (unsigned long long)s->l->step, m.ndcg20, m.hr20, p.ndcg20, idmap_count(s->l->item_ids), idmap_count(s->l->user_ids));
}

static int fold_batch(struct stream *s)
{
	struct train_result t;
	int code;

	if (s->batch.n == 0)
		return 0;
	code = learner_train(s->l, &s->batch, 1, s->l->step + 1, NULL, &t);
	userset_clear(s->users);
	if (code == 0)
		drifts_tell(&s->l->drifts, t.drifted, s->l->watermark_ms);
	if (code == 0 && s->l->step % (uint64_t)s->cfg->commit_steps == 0)
		code = commit(s);
	if (code == 0 && is_night(s))
		code = night_falls(s);
	if (code == 0 && !s->warm && source_read(s->source) >= s->warmup)
		code = end_warmup(s);
	tell(s);
	return code;
}

static int all_events(struct stream *s)
{
	struct record *r;
	int code = 0;

	while (code == 0 && (s->cfg->eval_events == 0 || source_read(s->source) < (uint64_t)s->cfg->eval_events)) {
		code = source_next(s->source, &r);
		if (code || !r)
			break;
		if (r->ignored) {
			record_free(r);
			continue;
		}
		if (!r->reason)
			userset_add(s->users, r->ev.user, r->ev.user_len);
		record_push(&s->batch, r);
		if (userset_count(s->users) >= (size_t)s->cfg->batch_users || s->batch.events >= (size_t)s->cfg->batch_events)
			code = fold_batch(s);
	}
	return code ? code : fold_batch(s);
}

/* ---- start and end ---- */

static int count_members(struct stream *s, struct stream_result *ret)
{
	struct learner *l = s->l;
	size_t D = model_config(l->model)->D, users = users_rows(l->users), room;
	uint32_t row = 0;

	ret->K = model_config(l->model)->K;
	ret->members = calloc(ret->K, sizeof *ret->members);
	ret->heads = calloc(ret->K, sizeof *ret->heads);
	scratch_clear(l->scratch);
	room = scratch_room(l->scratch);
	float *z = malloc(room * D * sizeof *z);
	int32_t *k = malloc(room * sizeof *k);
	int code = ret->members && ret->heads && z && k ? 0 : log_no_memory();

	while (code == 0 && row < users) {
		scratch_clear(l->scratch);
		for (; row < users && scratch_room(l->scratch); row++)
			if (users_get(l->users, row)->live && users_get(l->users, row)->known)
				scratch_add_history(l->scratch, l, row);
		struct batch b = scratch_batch(l->scratch);
		if (b.B == 0)
			break;
		model_encode_pooled(l->model, z, &b);
		model_assign(l->model, k, z, b.B);
		for (size_t i = 0; i < b.B; i++) {
			ret->members[k[i]]++;
			ret->heads[k[i]] += b.head[i];
		}
	}
	free(z);
	free(k);
	return code;
}

static int start(struct stream *s, const char *path)
{
	const struct config *c = s->cfg;
	int code = source_new(&s->source, c, path);

	if (code)
		return code;
	s->warmup = source_size(s->source);
	if (c->eval_events && s->warmup > (uint64_t)c->eval_events)
		s->warmup = (uint64_t)c->eval_events;
	s->warmup = (uint64_t)((double)s->warmup * c->eval_warmup);
	code = learner_new(&s->l, c, path ? path : "", 1);
	if (code)
		return code;
	s->l->watch = (struct learner_watch){ watched, s };
	if (userset_new(&s->users, (size_t)c->batch_users) < 0 || baselines_new(&s->baselines) < 0 || board_new(&s->board, CONTESTANTS, c->eval_window_ms) < 0
	    || boot_new(&s->boot, CONTESTANTS, (uint64_t)c->seed) < 0)
		return log_no_memory();
	return 0;
}

static void stop(struct stream *s)
{
	record_free_all(&s->batch);
	learner_free(s->l);
	for (size_t m = 0; m < MODELS; m++)
		model_free(s->aged[m]);
	baselines_free(s->baselines);
	board_free(s->board);
	boot_free(s->boot);
	source_free(s->source);
	userset_free(s->users);
	for (size_t c = 0; c < CONTESTANTS; c++)
		free(s->rank[c]);
	free(s->h);
	free(s->q);
	free(s->target);
	free(s->born_ms);
	free(s->gone);
}

static int finish(struct stream *s, struct stream_result *ret)
{
	if (!s->warm || board_windows(s->board) == 0) {
		log_error("nothing was ranked: it takes users with several events after the warm-up (eval.warmup, eval.sample)");
		return EX_DATAERR;
	}
	ret->events = s->l->events;
	ret->bad_lines = source_bad_lines(s->source);
	ret->refused = s->l->late + s->l->duplicates + s->l->dead_letters + s->l->unadmitted;
	ret->users = idmap_count(s->l->user_ids);
	ret->items = idmap_count(s->l->item_ids);
	ret->half_life_ms = baselines_half_life_ms(s->baselines);
	ret->recent_ms = baselines_recent_ms(s->baselines);
	ret->covisit_ms = baselines_covisit_ms(s->baselines);
	ret->drifts = s->l->drifts.found;
	ret->board = s->board;
	s->board = NULL;
	ret->boot = s->boot;
	s->boot = NULL;
	return count_members(s, ret);
}

int stream_run(struct stream_result *ret, const struct config *c, const char *path)
{
	struct config own = *c; /* eval.out is ours here: the learner must not write ranks */
	struct stream s = { .cfg = &own };
	int code;

	own.eval_out = own.eval_windows = "";
	*ret = (struct stream_result){ 0 };
	code = start(&s, path);
	if (code == 0)
		code = all_events(&s);
	if (code == 0)
		code = finish(&s, ret);
	stop(&s);
	if (code)
		stream_result_release(ret);
	return code;
}

void stream_result_release(struct stream_result *r)
{
	board_free(r->board);
	boot_free(r->boot);
	free(r->members);
	free(r->heads);
	*r = (struct stream_result){ 0 };
}
