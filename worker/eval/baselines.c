/* baselines.c - see baselines.h */
#include "worker/eval/baselines.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "worker/eval/covisit.h"
#include "worker/eval/popularity.h"
#include "worker/eval/tally.h"

#define HOUR_MS INT64_C(3600000)
static const int64_t lives_ms[] = { HOUR_MS / 12, HOUR_MS / 6, HOUR_MS / 4, HOUR_MS / 2, HOUR_MS, 3 * HOUR_MS, 6 * HOUR_MS, 12 * HOUR_MS, 24 * HOUR_MS, 72 * HOUR_MS, 168 * HOUR_MS };
static const int64_t hours_ms[] = { HOUR_MS / 6, HOUR_MS / 3, HOUR_MS / 2, HOUR_MS, 2 * HOUR_MS, 4 * HOUR_MS, 8 * HOUR_MS, 24 * HOUR_MS };
static const int64_t links_ms[] = { HOUR_MS, 6 * HOUR_MS, 24 * HOUR_MS, 72 * HOUR_MS, 0 };
#define LINKS (sizeof links_ms / sizeof links_ms[0])
#define LIVES (sizeof lives_ms / sizeof lives_ms[0])
#define HOURS (sizeof hours_ms / sizeof hours_ms[0])

/* One of several parameters: all are tried until one is chosen. */
struct trial { struct tally tally[LIVES > HOURS ? LIVES : HOURS]; size_t first, end; };

struct baselines {
	struct popularity *decayed[LIVES];
	struct trial lives, hours, links;
	struct { uint32_t item; int64_t ts_ms; } *event; /* (RECENT_MAX) ring */
	uint64_t events, tail[HOURS];                     /* events ever; the oldest within the hours */
	int64_t newest_ms;
	uint32_t *recent[HOURS];                          /* (cap) events of the item within the hours */
	struct covisit *followed[LINKS], *met;
	uint32_t *count;                                  /* (cap) events of the item */
	float *score;                                     /* (cap) of kNN, zeros between calls */
	uint32_t *touched;                                /* items with a score */
	size_t cap;
};

int baselines_new(struct baselines **ret)
{
	struct baselines *b = calloc(1, sizeof *b);
	int r = 0;
	if (!b)
		return -ENOMEM;

	for (size_t i = 0; r == 0 && i < LIVES; i++)
		r = popularity_new(&b->decayed[i], lives_ms[i]);
	for (size_t i = 0; r == 0 && i < LINKS; i++)
		r = covisit_new(&b->followed[i], links_ms[i]);
	if (r == 0)
		r = covisit_new(&b->met, 0);
	b->event = calloc(RECENT_MAX, sizeof *b->event);
	b->touched = calloc(KNN_HISTORY * COVISIT_SUCCESSORS, sizeof *b->touched);
	if (r < 0 || !b->event || !b->touched) {
		baselines_free(b);
		return -ENOMEM;
	}
	b->lives.end = LIVES;
	b->hours.end = HOURS;
	b->links.end = LINKS;
	b->newest_ms = INT64_MIN;
	*ret = b;
	return 0;
}

void baselines_free(struct baselines *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < LIVES; i++)
		popularity_free(b->decayed[i]);
	for (size_t i = 0; i < HOURS; i++)
		free(b->recent[i]);
	for (size_t i = 0; i < LINKS; i++)
		covisit_free(b->followed[i]);
	covisit_free(b->met);
	free(b->event);
	free(b->count);
	free(b->score);
	free(b->touched);
	free(b);
}

static int grow_u32(uint32_t **a, size_t from, size_t to)
{
	uint32_t *grown = reallocarray(*a, to, sizeof *grown);
	if (!grown)
		return -ENOMEM;

	memset(grown + from, 0, (to - from) * sizeof *grown);
	*a = grown;
	return 0;
}

static int grow(struct baselines *b, size_t rows)
{
	size_t cap = b->cap ? b->cap : 1024;
	int r;

	while (cap < rows)
		cap *= 2;
	if (cap == b->cap)
		return 0;
	r = grow_u32(&b->count, b->cap, cap);
	for (size_t i = 0; r == 0 && i < HOURS; i++)
		r = grow_u32(&b->recent[i], b->cap, cap);
	float *score = r == 0 ? reallocarray(b->score, cap, sizeof *score) : NULL;
	if (!score)
		return -ENOMEM;

	b->score = score;
	memset(score + b->cap, 0, (cap - b->cap) * sizeof *score);
	b->cap = cap;
	return 0;
}

/* ---- the order of a table of counts ---- */

static uint32_t rank_recent(const struct baselines *b, size_t hours, uint32_t item, size_t rows, uint32_t by_popularity)
{
	uint32_t mine = item < b->cap ? b->recent[hours][item] : 0, better = 0, tied = 0;

	for (size_t i = 0; i < rows && i < b->cap; i++) {
		better += b->recent[hours][i] > mine;
		tied += b->recent[hours][i] == mine;
	}
	if (mine)
		return better + tied / 2;
	return by_popularity > better ? by_popularity : better; /* those that are recent come first */
}

static float times(const struct baselines *b, uint32_t item)
{
	return b->count[item] ? (float)b->count[item] : 1; /* 0: it came late, and is learned after what it stands before */
}

/* Scores the neighbours of the newest items; how many have a score. */
static size_t score_knn(struct baselines *b, const uint32_t *history, size_t n)
{
	size_t touched = 0;

	for (size_t back = 1; back <= n && back <= KNN_HISTORY; back++) {
		uint32_t item = history[n - back];
		const struct successor *s;
		size_t count = covisit_successors(b->met, item, &s);

		for (size_t i = 0; i < count; i++) {
			float *score = &b->score[s[i].item];

			if (*score == 0)
				b->touched[touched++] = s[i].item;
			*score += s[i].count / (sqrtf(times(b, item) * times(b, s[i].item)) * (float)back);
		}
	}
	return touched;
}

static uint32_t rank_knn(struct baselines *b, uint32_t item, const uint32_t *history, size_t n, uint32_t by_popularity)
{
	size_t touched = score_knn(b, history, n);
	float mine = item < b->cap ? b->score[item] : 0;
	uint32_t better = 0, tied = 0;

	for (size_t i = 0; i < touched; i++) {
		better += b->score[b->touched[i]] > mine;
		tied += b->score[b->touched[i]] == mine;
	}
	for (size_t i = 0; i < touched; i++)
		b->score[b->touched[i]] = 0;
	return mine > 0 ? better + tied / 2 : (uint32_t)touched + by_popularity;
}

/* Ranks by each parameter that is still tried; the rank of the first of them, which is the chosen one once there is one. */
void baselines_rank(struct baselines *b, uint32_t ret[BASELINES], uint32_t item, const uint32_t *history, size_t n, size_t rows, size_t gone)
{
	uint32_t rank;

	for (size_t i = b->lives.end; i-- > b->lives.first;) {
		rank = popularity_rank(b->decayed[i], item, rows, gone);
		tally_add(&b->lives.tally[i], rank);
		ret[BY_DECAYED] = rank;
	}
	for (size_t i = b->hours.end; i-- > b->hours.first;) {
		rank = rank_recent(b, i, item, rows, ret[BY_DECAYED]);
		tally_add(&b->hours.tally[i], rank);
		ret[BY_RECENT] = rank;
	}
	for (size_t i = b->links.end; i-- > b->links.first;) {
		rank = covisit_rank(b->followed[i], history[n - 1], item, ret[BY_DECAYED]);
		tally_add(&b->links.tally[i], rank);
		ret[BY_FOLLOWED] = rank;
	}
	ret[BY_KNN] = rank_knn(b, item, history, n, ret[BY_DECAYED]);
}

/* ---- learning ---- */

static void forget_oldest(struct baselines *b, size_t hours)
{
	uint32_t item = b->event[b->tail[hours]++ % RECENT_MAX].item;

	if (item != NO_ROW)
		b->recent[hours][item]--;
}

static void learn_recent(struct baselines *b, uint32_t item, int64_t ts_ms)
{
	if (ts_ms > b->newest_ms)
		b->newest_ms = ts_ms;
	for (size_t i = 0; i < HOURS; i++) {
		while (b->tail[i] < b->events && (b->events - b->tail[i] == RECENT_MAX || b->event[b->tail[i] % RECENT_MAX].ts_ms < b->newest_ms - hours_ms[i]))
			forget_oldest(b, i);
		b->recent[i][item]++;
	}
	b->event[b->events % RECENT_MAX].item = item;
	b->event[b->events++ % RECENT_MAX].ts_ms = ts_ms;
}

int baselines_learn(struct baselines *b, uint32_t item, const uint32_t *history, size_t n, int64_t ts_ms)
{
	uint32_t highest = item;
	for (size_t i = 0; i < n; i++) /* of what came late, history may hold what is learned only after it */
		highest = history[i] > highest ? history[i] : highest;
	int r = grow(b, (size_t)highest + 1);

	for (size_t i = b->lives.first; r == 0 && i < b->lives.end; i++)
		r = popularity_add(b->decayed[i], item, ts_ms);
	for (size_t i = b->links.first; r == 0 && n && i < b->links.end; i++)
		r = covisit_add(b->followed[i], history[n - 1], item, ts_ms);
	for (size_t back = 1; r == 0 && back <= n && back <= KNN_HISTORY; back++) {
		if (history[n - back] == item)
			continue;
		r = covisit_add(b->met, history[n - back], item, ts_ms);
		if (r == 0)
			r = covisit_add(b->met, item, history[n - back], ts_ms);
	}
	if (r < 0)
		return r;
	b->count[item]++;
	learn_recent(b, item, ts_ms);
	return 0;
}

int baselines_drop(struct baselines *b, const uint8_t *gone, size_t rows)
{
	uint64_t from = b->events;

	for (size_t i = b->links.first; i < b->links.end; i++)
		covisit_drop(b->followed[i], gone, rows);
	covisit_drop(b->met, gone, rows);
	for (size_t row = 0; row < rows && row < b->cap; row++) {
		if (!gone[row])
			continue;
		for (size_t i = b->lives.first; i < b->lives.end; i++)
			if (popularity_count(b->decayed[i], (uint32_t)row) > 0 && popularity_restore(b->decayed[i], (uint32_t)row, 0) < 0)
				return -ENOMEM;
		for (size_t i = 0; i < HOURS; i++)
			b->recent[i][row] = 0;
		b->count[row] = 0;
	}
	for (size_t i = 0; i < HOURS; i++)
		from = b->tail[i] < from ? b->tail[i] : from;
	for (; from < b->events; from++) {
		uint32_t *item = &b->event[from % RECENT_MAX].item;
		if (*item != NO_ROW && *item < rows && gone[*item])
			*item = NO_ROW;
	}
	return 0;
}

static void choose(struct trial *t)
{
	size_t best = t->first;

	for (size_t i = t->first + 1; i < t->end; i++)
		if (t->tally[i].ndcg[CUTS - 1] > t->tally[best].ndcg[CUTS - 1])
			best = i;
	t->first = best;
	t->end = best + 1;
}

void baselines_choose(struct baselines *b)
{
	choose(&b->lives);
	choose(&b->hours);
	choose(&b->links);
	for (size_t i = 0; i < LINKS; i++)
		if (i != b->links.first) {
			covisit_free(b->followed[i]);
			b->followed[i] = NULL;
		}
}

int64_t baselines_half_life_ms(const struct baselines *b) { return lives_ms[b->lives.first]; }
int64_t baselines_recent_ms(const struct baselines *b) { return hours_ms[b->hours.first]; }
int64_t baselines_covisit_ms(const struct baselines *b) { return links_ms[b->links.first]; }
