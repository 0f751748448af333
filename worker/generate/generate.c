/* generate.c - the laws of the stream, its arrival order, and the filter. Every draw is rng_bits(seed, RNG_GENERATE, n, what). */
#include "worker/generate/generate.h"
#include "model/rng.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HEAD_USERS 0.2     /* share of users ... */
#define HEAD_EVENTS 0.7    /* ... and of their events */
#define USER_SKEW 1.3      /* inside heads and inside tails: number = count * x^USER_SKEW */
#define SWITCH 0.02
#define DETOUR 0.14
#define NOISE 0.02
#define LAST 0.28
#define LAST2 0.40
#define INTEREST_SKEW 0.8  /* popularity of the j-th interest ~ (j + 1)^-skew */
#define ITEM_SKEW 0.9      /* of the p-th item inside an interest */
#define WINDOW 12
#define SUCCESSORS 3
#define LIFE_PER_ITEM 1000 /* a slot's item lives this many events, times the number of items */
#define LATE_MAX 50
#define DUPLICATE_MAX 20
#define PENDING_MAX 128    /* > LATE_MAX late ones + LATE_MAX + DUPLICATE_MAX duplicates waiting at once */
#define VARIANTS 7         /* kinds of malformed records */

static const double successor_p[SUCCESSORS] = { .6, .25, .15 };

/* What a draw is for. Renumbering makes another stream. */
enum draw { DRAW_USER, DRAW_IS_HEAD, DRAW_SWITCH, DRAW_INTEREST, DRAW_LAW, DRAW_ITEM, DRAW_DETOUR, DRAW_LATE, DRAW_DELAY, DRAW_TWICE,
            DRAW_TWICE_DELAY, DRAW_JITTER, DRAW_MALFORMED, DRAW_VARIANT, DRAW_PHASE, DRAW_FIRST, DRAW_SECOND };

struct user {
	uint32_t interest;        /* hidden; + 1, 0 = not seen yet */
	uint32_t seen;            /* entries of recent, at most WINDOW */
	uint32_t recent[WINDOW];  /* item numbers, newest first */
	float *belief;            /* (interests) posterior of the hidden interest after the last event */
};

struct pending {
	uint64_t release; /* comes out before this event is made */
	struct stream_event e;
};

struct stream {
	struct stream_options o;
	uint64_t event, line;     /* next numbers */
	double *prior, *prior_cdf; /* (interests) popularity */
	double *weight, *weight_cdf; /* (largest interest) popularity inside an interest, not normalised: interests differ in size by one */
	struct user *users;
	double *now;              /* (interests) scratch: belief one step ahead */
	struct pending pending[PENDING_MAX];
	size_t pending_count;
};

static uint64_t bits(const struct stream *s, uint64_t n, enum draw d) { return rng_bits(s->o.seed, RNG_GENERATE, n, d, 0); }
static double unit(const struct stream *s, uint64_t n, enum draw d) { return rng_unit(bits(s, n, d)); }

/* ---- items ---- */

static uint64_t interest_size(const struct stream *s, uint64_t j) { return (s->o.items - j + s->o.interests - 1) / s->o.interests; }

/* The item that lives in a slot when event n is made. Phases spread the births evenly. */
static uint32_t slot_item(const struct stream *s, uint64_t slot, uint64_t n)
{
	uint64_t life = LIFE_PER_ITEM * s->o.items;
	uint64_t generation = (n + rng_below(bits(s, slot, DRAW_PHASE), life)) / life;

	return (uint32_t)(generation * s->o.items + slot);
}

/* Position, inside its interest, of the i-th successor; kind is DRAW_FIRST (of the newest) or DRAW_SECOND. Never itself,
 * unless it is alone. A newborn item takes the incoming links of its slot and has outgoing links of its own. */
static uint64_t successor(const struct stream *s, uint32_t item, int i, enum draw kind)
{
	uint64_t slot = item % s->o.items, size = interest_size(s, slot % s->o.interests);

	if (size == 1)
		return 0;
	return (slot / s->o.interests + 1 + rng_below(rng_bits(s->o.seed, RNG_GENERATE, item, kind, 1 + (uint64_t)i), size - 1)) % size;
}

/* Newest and second newest item of interest j among the user's recent ones; returns how many there are (0..2). */
static int thread_of(const struct stream *s, const struct user *u, uint64_t j, uint32_t ret[2])
{
	int n = 0;

	for (uint32_t i = 0; i < u->seen && n < 2; i++)
		if (u->recent[i] % s->o.items % s->o.interests == j)
			ret[n++] = u->recent[i];
	return n;
}

static uint64_t draw_cdf(const double *cdf, uint64_t n, double x)
{
	uint64_t lo = 0, hi = n - 1;

	x *= cdf[n - 1];
	while (lo < hi) {
		uint64_t mid = (lo + hi) / 2;

		if (x < cdf[mid])
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* ---- the hidden side: what happens ---- */

static uint64_t draw_user(const struct stream *s, uint64_t n)
{
	uint64_t heads = (uint64_t)ceil((double)s->o.users * HEAD_USERS), tails = s->o.users - heads;
	double x = pow(unit(s, n, DRAW_USER), USER_SKEW);

	if (tails == 0 || unit(s, n, DRAW_IS_HEAD) < HEAD_EVENTS)
		return (uint64_t)(x * (double)heads);
	return heads + (uint64_t)(x * (double)tails);
}

static uint64_t draw_slot(const struct stream *s, const struct user *u, uint64_t n, uint64_t interest)
{
	double law = unit(s, n, DRAW_LAW), x = unit(s, n, DRAW_ITEM);
	uint32_t a[2];
	uint64_t p;
	int known, i;

	if (law < NOISE)
		return rng_below(bits(s, n, DRAW_ITEM), s->o.items);
	law -= NOISE;
	if (law < DETOUR) {
		interest = draw_cdf(s->prior_cdf, s->o.interests, unit(s, n, DRAW_DETOUR));
		p = draw_cdf(s->weight_cdf, interest_size(s, interest), x);
		return p * s->o.interests + interest;
	}
	law = (law - DETOUR) / (1 - NOISE - DETOUR);
	known = thread_of(s, u, interest, a);
	i = x < successor_p[0] ? 0 : x < successor_p[0] + successor_p[1] ? 1 : 2;
	if (law < LAST && known >= 1)
		p = successor(s, a[0], i, DRAW_FIRST);
	else if (law >= LAST && law < LAST + LAST2 && known >= 2)
		p = successor(s, a[1], i, DRAW_SECOND);
	else
		p = draw_cdf(s->weight_cdf, interest_size(s, interest), x);
	return p * s->o.interests + interest;
}

/* ---- the visible side: the best possible predictor ---- */

/* The predictor's mixture for one user and one moment, taken apart by interest:
 * p(slot) = flat + base[j] * weight[position] + boosts of that slot. */
struct boost { uint64_t position; double p; };

/* Belief one step ahead, into s->now: the interest may have switched before the next event. */
static void belief_ahead(const struct stream *s, const struct user *u)
{
	for (uint64_t j = 0; j < s->o.interests; j++)
		s->now[j] = u->belief ? (1 - SWITCH) * (double)u->belief[j] + SWITCH * s->prior[j] : s->prior[j];
}

/* P(an item of j | the interest is j, no detour, no noise) = *ret_popular * weight[position] + boosts; returns their number. */
static int interest_law(const struct stream *s, const struct user *u, uint64_t j, double *ret_popular, struct boost b[2 * SUCCESSORS])
{
	uint32_t a[2];
	int known = thread_of(s, u, j, a), count = 0;
	double popular = 1 - (known >= 1 ? LAST : 0) - (known >= 2 ? LAST2 : 0);

	for (int k = 0; k < known; k++)
		for (int i = 0; i < SUCCESSORS; i++) {
			uint64_t position = successor(s, a[k], i, k == 0 ? DRAW_FIRST : DRAW_SECOND);
			double p = (k == 0 ? LAST : LAST2) * successor_p[i];
			int at = 0;

			while (at < count && b[at].position != position)
				at++;
			if (at == count)
				b[count++] = (struct boost){ position, 0 };
			b[at].p += p;
		}
	*ret_popular = popular / s->weight_cdf[interest_size(s, j) - 1];
	return count;
}

/* Factor of weight[position] for the items of interest j, detours included. */
static double base_of(const struct stream *s, uint64_t j, double popular)
{
	return (1 - NOISE - DETOUR) * s->now[j] * popular + DETOUR * s->prior[j] / s->weight_cdf[interest_size(s, j) - 1];
}

/* How many positions of an interest have base * weight > t: the weights fall, so search. */
static uint64_t count_above(const struct stream *s, uint64_t size, double base, double t, int or_equal)
{
	uint64_t lo = 0, hi = size;

	while (lo < hi) {
		uint64_t mid = (lo + hi) / 2;
		double p = base * s->weight[mid];

		if (p > t || (or_equal && p >= t))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Ranks the slot, then learns from it. The uniform noise is the same for all and stays out of the comparison. */
static int observe(struct stream *s, struct user *u, uint64_t slot, struct stream_event *e)
{
	uint64_t I = s->o.interests, j = slot % I, position = slot / I, above = 0, equal = 0;
	struct boost boosts[2 * SUCCESSORS];
	double popular, target, share = 0, p, inside, outside;
	int count;

	if (!u->belief) {
		u->belief = malloc(I * sizeof(*u->belief));
		if (!u->belief)
			return -ENOMEM;
		for (uint64_t m = 0; m < I; m++)
			s->now[m] = s->prior[m];
	} else {
		belief_ahead(s, u);
	}

	count = interest_law(s, u, j, &popular, boosts);
	for (int i = 0; i < count; i++)
		if (boosts[i].position == position)
			share = boosts[i].p;
	target = base_of(s, j, popular) * s->weight[position] + (1 - NOISE - DETOUR) * s->now[j] * share;
	inside = (1 - NOISE - DETOUR) * (popular * s->weight[position] + share);

	for (uint64_t m = 0; m < I; m++) {
		double base;
		uint64_t size = interest_size(s, m), n_above, n_from;

		count = interest_law(s, u, m, &popular, boosts);
		base = base_of(s, m, popular);
		n_above = count_above(s, size, base, target, 0);
		n_from = count_above(s, size, base, target, 1);
		above += n_above;
		equal += n_from - n_above;
		for (int i = 0; i < count; i++) {
			double q = base * s->weight[boosts[i].position];
			double boosted = q + (1 - NOISE - DETOUR) * s->now[m] * boosts[i].p;

			above += (boosted > target) - (q > target);
			equal += (uint64_t)(boosted == target) - (uint64_t)(q == target);
		}
	}
	/* The item itself is among the equal ones; where a compiler fuses one of the two products, it may have slipped out. */
	e->rank = (double)above + (equal > 0 ? (double)(equal - 1) / 2 : 0);
	outside = NOISE / (double)s->o.items + DETOUR * s->prior[j] * s->weight[position] / s->weight_cdf[interest_size(s, j) - 1];
	p = outside + s->now[j] * inside;
	e->log_p = log(p);

	for (uint64_t m = 0; m < I; m++)
		u->belief[m] = (float)(s->now[m] * (outside + (m == j ? inside : 0)) / p);
	return 0;
}

void stream_predict(const struct stream *s, uint64_t user, double *p)
{
	const struct user *u = &s->users[user];
	uint64_t I = s->o.interests;

	belief_ahead(s, u);
	for (uint64_t j = 0; j < I; j++) {
		struct boost boosts[2 * SUCCESSORS];
		double popular;
		int count = interest_law(s, u, j, &popular, boosts);

		for (uint64_t i = 0; i < interest_size(s, j); i++)
			p[i * I + j] = NOISE / (double)s->o.items + base_of(s, j, popular) * s->weight[i];
		for (int i = 0; i < count; i++)
			p[boosts[i].position * I + j] += (1 - NOISE - DETOUR) * s->now[j] * boosts[i].p;
	}
}

uint64_t stream_item_alive(const struct stream *s, uint64_t slot) { return slot_item(s, slot, s->event); }

/* ---- the stream ---- */

int stream_new(struct stream **ret, const struct stream_options *o, const char **reterr_why)
{
	struct stream *s;
	uint64_t largest;
	double sum = 0;

	if (o->users < 1 || o->items < 1 || o->interests < 1 || o->interests > o->items) {
		*reterr_why = "needs at least one user, one interest, and an item for each interest";
		return -EINVAL;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->o = *o;
	largest = interest_size(s, 0);
	s->prior = malloc(o->interests * sizeof(double));
	s->prior_cdf = malloc(o->interests * sizeof(double));
	s->now = malloc(o->interests * sizeof(double));
	s->weight = malloc(largest * sizeof(double));
	s->weight_cdf = malloc(largest * sizeof(double));
	s->users = calloc(o->users, sizeof(*s->users));
	if (!s->prior || !s->prior_cdf || !s->now || !s->weight || !s->weight_cdf || !s->users) {
		stream_free(s);
		return -ENOMEM;
	}

	for (uint64_t j = 0; j < o->interests; j++) {
		s->prior[j] = pow((double)(j + 1), -INTEREST_SKEW);
		sum += s->prior[j];
	}
	for (uint64_t j = 0; j < o->interests; j++) {
		s->prior[j] /= sum;
		s->prior_cdf[j] = s->prior[j] + (j ? s->prior_cdf[j - 1] : 0);
	}
	for (uint64_t p = 0; p < largest; p++) {
		s->weight[p] = pow((double)(p + 1), -ITEM_SKEW);
		s->weight_cdf[p] = s->weight[p] + (p ? s->weight_cdf[p - 1] : 0);
	}
	*ret = s;
	return 0;
}

void stream_free(struct stream *s)
{
	if (!s)
		return;
	for (uint64_t u = 0; s->users && u < s->o.users; u++)
		free(s->users[u].belief);
	free(s->users);
	free(s->prior);
	free(s->prior_cdf);
	free(s->now);
	free(s->weight);
	free(s->weight_cdf);
	free(s);
}

/* Lets event n happen, whenever it arrives. */
static int make_event(struct stream *s, uint64_t n, struct stream_event *e)
{
	struct user *u;
	uint64_t slot;
	int r;

	memset(e, 0, sizeof(*e));
	e->id = n;
	e->user = draw_user(s, n);
	e->ts_ms = s->o.start_ms + (int64_t)(n * STREAM_SPACING_MS + rng_below(bits(s, n, DRAW_JITTER), STREAM_SPACING_MS));
	u = &s->users[e->user];
	if (u->interest == 0 || unit(s, n, DRAW_SWITCH) < SWITCH)
		u->interest = 1 + (uint32_t)draw_cdf(s->prior_cdf, s->o.interests, unit(s, n, DRAW_INTEREST));
	e->interest = u->interest - 1;
	slot = draw_slot(s, u, n, e->interest);
	e->item = slot_item(s, slot, n);
	e->category = s->o.categories ? 1 + (uint32_t)(slot % s->o.interests) : 0;
	r = observe(s, u, slot, e);
	if (r < 0)
		return r;

	memmove(u->recent + 1, u->recent, (WINDOW - 1) * sizeof(*u->recent));
	u->recent[0] = (uint32_t)e->item;
	if (u->seen < WINDOW)
		u->seen++;
	return 0;
}

static void hold(struct stream *s, const struct stream_event *e, uint64_t release)
{
	assert(s->pending_count < PENDING_MAX);
	s->pending[s->pending_count++] = (struct pending){ release, *e };
}

/* The longest overdue held event, if any is due. */
static int release(struct stream *s, struct stream_event *ret)
{
	size_t best = s->pending_count;

	for (size_t i = 0; i < s->pending_count; i++)
		if (s->pending[i].release <= s->event && (best == s->pending_count || s->pending[i].release < s->pending[best].release))
			best = i;
	if (best == s->pending_count)
		return 0;
	*ret = s->pending[best].e;
	/* Order of arrival in the array breaks ties: keep it. */
	memmove(&s->pending[best], &s->pending[best + 1], (s->pending_count - best - 1) * sizeof(s->pending[0]));
	s->pending_count--;
	return 1;
}

int stream_next(struct stream *s, struct stream_event *ret)
{
	int r;

	if (unit(s, s->line, DRAW_MALFORMED) < s->o.malformed) {
		memset(ret, 0, sizeof(*ret));
		ret->malformed = 1;
		ret->variant = (unsigned)rng_below(bits(s, s->line, DRAW_VARIANT), VARIANTS);
		ret->line = s->line++;
		return 0;
	}
	while (!release(s, ret)) {
		uint64_t n = s->event;

		r = make_event(s, n, ret);
		if (r < 0)
			return r;
		s->event++;
		if (unit(s, n, DRAW_LATE) < s->o.late)
			ret->late = 1 + (uint32_t)rng_below(bits(s, n, DRAW_DELAY), LATE_MAX);
		if (unit(s, n, DRAW_TWICE) < s->o.duplicates) {
			struct stream_event twice = *ret;

			twice.duplicate = 1;
			twice.late += 1 + (uint32_t)rng_below(bits(s, n, DRAW_TWICE_DELAY), DUPLICATE_MAX);
			hold(s, &twice, n + 1 + twice.late);
		}
		if (ret->late == 0)
			break;
		hold(s, ret, n + 1 + ret->late);
	}
	ret->line = s->line++;
	return 0;
}

void stream_items(const struct stream *s, void (*fn)(void *ctx, uint64_t item, uint32_t interest), void *ctx)
{
	for (uint64_t slot = 0; slot < s->o.items; slot++)
		for (uint64_t item = slot_item(s, slot, 0); item <= slot_item(s, slot, s->event ? s->event - 1 : 0); item += s->o.items)
			fn(ctx, item, (uint32_t)(slot % s->o.interests));
}

/* ---- text ---- */

size_t stream_format(char *ret, size_t size, const struct stream_event *e)
{
	/* Each is refused for another reason, also where the record's key names a user: no JSON, cut short, no item, a list,
	 * a negative weight, invalid UTF-8, the year 9000. */
	static const char *const malformed[VARIANTS] = {
		"this is not an event",
		"{\"user_id\":\"u1\",\"item_id\":\"i",
		"{\"user_id\":\"u1\",\"timestamp\":\"2026-01-01T00:00:00.000Z\"}",
		"{\"user_id\":\"u1\",\"item_id\":[\"i1\"],\"timestamp\":\"2026-01-01T00:00:00.000Z\"}",
		"{\"user_id\":\"u1\",\"item_id\":\"i1\",\"timestamp\":\"2026-01-01T00:00:00.000Z\",\"weight\":-1}",
		"{\"user_id\":\"u1\",\"item_id\":\"i\xff\xfe\",\"timestamp\":\"2026-01-01T00:00:00.000Z\"}",
		"{\"user_id\":\"u1\",\"item_id\":\"i1\",\"timestamp\":\"9000-01-01T00:00:00.000Z\"}",
	};
	time_t seconds = (time_t)(e->ts_ms / 1000);
	char when[32], category[32] = "";
	struct tm tm;
	int n;

	if (e->malformed) {
		n = snprintf(ret, size, "!raw %s\n", malformed[e->variant]);
	} else {
		gmtime_r(&seconds, &tm);
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
		if (e->category)
			snprintf(category, sizeof(category), ",\"category\":\"c%u\"", e->category - 1);
		n = snprintf(ret, size, "{\"user_id\":\"u%llu\",\"item_id\":\"i%llu\",\"timestamp\":\"%s.%03dZ\",\"event_id\":\"e%llu\",\"type\":\"click\"%s}\n",
		             (unsigned long long)e->user, (unsigned long long)e->item, when, (int)(e->ts_ms % 1000),
		             (unsigned long long)e->id, category);
	}
	assert(n > 0 && (size_t)n < size);
	return (size_t)n;
}
