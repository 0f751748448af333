/* generate.h - a synthetic click stream whose laws are known, and the best possible predictor for it.
 *
 * A pure function of its options: the n-th line is the same in every run, whatever is skipped before it.
 *
 * The laws. `items` slots, slot s belongs to interest s % interests; the item in a slot dies and another one is born there
 * every 1000 * items events (each slot at a time of its own). An item is a number, generation * items + slot.
 *   user      20 % of the users (the low numbers) make 70 % of the events
 *   interest  hidden; before each event of the user it is drawn anew with probability SWITCH, by popularity (power law)
 *   item      with probability DETOUR any item by popularity; NOISE any item, uniform; else one of the interest:
 *             let a1, a2 be the newest and the second newest item of this interest in the user's last WINDOW events;
 *             LAST: a successor of a1; LAST2: a second-order successor of a2; else by popularity (power law).
 *             An item has 3 successors of each kind, with probabilities .6 .25 .15; without a1 (a2): by popularity.
 * So after a detour the thread is taken up again, and half of what can be known stands two events back: a model of the
 * last item alone cannot see it.
 *
 * The best possible predictor knows all laws and, of the user, only what the stream has shown: it keeps the posterior of the
 * hidden interest (forward filter over `interests` states, exact) and mixes. Nobody who sees the events alone can do better
 * on average. It sees events in the order of their event time, also the late ones.
 *
 *     stream_new(&s, &options, &why);
 *     while (stream_next(s, &e) == 0)
 *         fwrite(line, 1, stream_format(line, sizeof(line), &e), stdout);
 *
 * A struct stream belongs to one thread. Memory: about 64 bytes a user and 4 * interests for each user seen.
 */
#ifndef S4REC_GENERATE_H
#define S4REC_GENERATE_H

#include <stddef.h>
#include <stdint.h>

#define STREAM_SPACING_MS 400 /* event time between two events */
#define STREAM_LINE_MAX 256   /* longest line, with its line feed */

struct stream_options {
	uint64_t seed;
	uint64_t users, items, interests; /* interests <= items */
	double malformed;                 /* share of lines that are no event */
	double late;                      /* share of events that arrive up to 50 events late */
	double duplicates;                /* share of events that arrive once more, up to 20 events later */
	int64_t start_ms;                 /* event time of the first event */
	int categories;                   /* 1: events say the interest that their item belongs to */
};

struct stream_event {
	uint64_t line;      /* number of this line, from 0 */
	int malformed;      /* 1: only `line` and `variant` mean something */
	unsigned variant;   /* which kind of malformed record */
	int duplicate;      /* 1: this event came before */
	uint64_t id;        /* of the event, from 0 */
	uint64_t user, item;
	int64_t ts_ms;      /* event time */
	uint32_t late;      /* how many events late it arrives */
	uint32_t interest;  /* hidden interest of the user at this event */
	uint32_t category;  /* 1 + the interest that the item belongs to; 0 = not said */
	double rank;        /* of the item by the best possible predictor, from 0, over the items alive; ties count half */
	double log_p;       /* natural log of the probability that this predictor gave to the item */
};

struct stream;
/* -EINVAL with *reterr_why, -ENOMEM. */
int stream_new(struct stream **ret, const struct stream_options *o, const char **reterr_why);
void stream_free(struct stream *s);

/* The next line. 0, -ENOMEM. */
int stream_next(struct stream *s, struct stream_event *ret);

/* The line as text with its line feed, at most STREAM_LINE_MAX bytes: JSON, or `!raw ` and bytes that are no event. */
size_t stream_format(char *ret, size_t size, const struct stream_event *e);

/* Items born so far that were alive at some time: fn for each. */
void stream_items(const struct stream *s, void (*fn)(void *ctx, uint64_t item, uint32_t interest), void *ctx);

/* The best predictor's distribution of the user's next event: p (items) by slot, now. For tests: O(items). */
void stream_predict(const struct stream *s, uint64_t user, double *p);
/* The item that lives in a slot now. */
uint64_t stream_item_alive(const struct stream *s, uint64_t slot);

#endif
