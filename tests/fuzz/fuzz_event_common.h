/* What must hold of the events that any decoder let through, whatever the bytes were. */
#ifndef S4REC_TESTS_FUZZ_EVENT_COMMON_H
#define S4REC_TESTS_FUZZ_EVENT_COMMON_H

#include <math.h>

#include "codec/event.h"
#include "tests/fuzz/fuzz.h"

static inline void check_reason(int r, const char *why)
{
	static const char *const words[] = { "undecodable", "oversized", "no user", "no item", "no time", "absurd time", "bad weight" };
	int known = 0;

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		known |= strcmp(why, words[i]) == 0;
	known |= strncmp(why, "undecodable: expected ", 22) == 0;
	MUST(r < 0 && known);
}

static inline void check_event(const struct event *ev, size_t id_max)
{
	MUST((ev->ignored || ev->user_len >= 1) && ev->user_len <= id_max && !(ev->user_len && memchr(ev->user, 0, ev->user_len)));
	if (ev->forget || ev->ignored)
		return;
	MUST(ev->item_len >= 1 && ev->item_len <= id_max && !memchr(ev->item, 0, ev->item_len));
	MUST(ev->type_len <= id_max && !(ev->type_len && memchr(ev->type, 0, ev->type_len)));
	MUST(ev->event_id_len <= id_max && !(ev->event_id_len && memchr(ev->event_id, 0, ev->event_id_len)));
	for (int i = 0; i < EVENT_ATTRIBUTES_MAX; i++)
		MUST(ev->attribute[i].len <= id_max && ev->item_attribute[i].len <= id_max);
	MUST(isfinite(ev->weight) && ev->weight >= 0 && ev->ts_ms >= 0 && ev->ts_ms <= 253402300799999);
}

static inline int same_text(const struct event_text *a, const struct event_text *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->s, b->s, a->len) == 0);
}

/* decode(encode(ev)) = ev, with another decoder so that ev stays valid. Time 0 is not told from "absent". */
static inline void check_roundtrip(const struct event *ev, struct decoder *d)
{
	static uint8_t buf[8192];
	const char *why = "";
	struct event got;
	size_t len;

	if (ev->forget || ev->ignored || ev->ts_ms == 0)
		return;
	MUST(event_encode(buf, sizeof(buf), &len, ev) == 0);
	MUST(decoder_decode(d, &got, ev->user, ev->user_len, buf, len, -1, &why) == 0);
	MUST(got.item_len == ev->item_len && memcmp(got.item, ev->item, ev->item_len) == 0);
	MUST(got.type_len == ev->type_len && memcmp(got.type, ev->type, ev->type_len) == 0);
	MUST(got.event_id_len == ev->event_id_len && memcmp(got.event_id, ev->event_id, ev->event_id_len) == 0);
	for (int i = 0; i < EVENT_ATTRIBUTES_MAX; i++)
		MUST(same_text(&got.attribute[i], &ev->attribute[i]) && same_text(&got.item_attribute[i], &ev->item_attribute[i]));
	MUST(got.ts_ms == ev->ts_ms && memcmp(&got.weight, &ev->weight, 4) == 0);
}

/* The first event of a record and those behind it: all of one user. */
static inline void check_all(struct decoder *d, const struct event *first, size_t id_max, struct decoder *again)
{
	struct event ev = *first;
	size_t n = 1;

	check_event(&ev, id_max);
	check_roundtrip(&ev, again);
	for (; decoder_more(d, &ev); n++) {
		check_event(&ev, id_max);
		check_roundtrip(&ev, again);
		MUST(!ev.forget && !ev.ignored && ev.user_len == first->user_len && memcmp(ev.user, first->user, ev.user_len) == 0);
	}
	MUST(n <= EVENTS_PER_RECORD_MAX && (n == 1 || !(first->forget || first->ignored)));
}

/* What a decoder said of a record: r, and the reason or the first event. */
static inline void check_decoded(int r, const char *why, struct decoder *d, const struct event *ev, size_t id_max, struct decoder *again)
{
	if (r < 0)
		check_reason(r, why);
	else
		check_all(d, ev, id_max, again);
}

static inline struct decoder *must_decoder(const struct decoder_options *o)
{
	const char *why = "";
	struct decoder *d = NULL;

	MUST(decoder_new(&d, o, &why) == 0);
	return d;
}

#endif
