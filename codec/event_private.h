/* event_private.h - what the event decoders share: an event before it has been judged, and the judgement. */
#ifndef S4REC_CODEC_EVENT_PRIVATE_H
#define S4REC_CODEC_EVENT_PRIVATE_H

#include "codec/arena.h"
#include "codec/event.h"

#define ID_MAX_DEFAULT 256
#define RECORD_MAX_DEFAULT 65536
#define FUTURE_MAX_DEFAULT 3600000
#define TIME_MAX_MS 253402300799999 /* 9999-12-31T23:59:59.999Z */

/* Reasons: dead letters carry them, so they are part of the contract. */
extern const char why_undecodable[], why_oversized[], why_no_user[], why_no_item[], why_no_time[], why_absurd_time[], why_bad_weight[];

/* An event as some format said it; nothing is checked yet. */
struct raw_event {
	struct event_text user, item, type, event_id, attribute[EVENT_ATTRIBUTES_MAX], item_attribute[EVENT_ATTRIBUTES_MAX];
	int has_time, has_weight;
	int64_t ts_ms; /* INT64_MIN or INT64_MAX for a number that is no time at all */
	double weight;
};

struct event_limits {
	size_t id_max_bytes;
	int64_t past_max_ms, future_max_ms;
	int future_clamp;
	double weight_max;
};

/* Checks everything and fills ret; errors as decoder_decode. */
int event_finish(struct event *ret, const struct raw_event *raw, const struct event_limits *l, int64_t record_ts_ms,
                 const char **reterr_why);

/* A user id alone (the key of a "forget"). */
int event_check_user(const struct event_text *user, const struct event_limits *l, const char **reterr_why);

/* A decimal number ("-1.5e3"): 0 or -EINVAL. Infinite when too large. */
int number_parse(double *ret, const char *s, size_t len);

/* A number in unit, or ISO-8601. 0 or -EINVAL; saturates to INT64_MIN/MAX, which event_finish refuses. */
int time_parse(int64_t *ret_ms, const char *s, size_t len, enum event_time_unit unit);

/* --- JSON --- */

enum field {
	FIELD_USER, FIELD_ITEM, FIELD_TIME, FIELD_TYPE, FIELD_WEIGHT, FIELD_EVENT_ID,
	FIELD_ATTRIBUTE, /* the user's, by their places; then the item's */
	FIELD_ITEM_ATTRIBUTE = FIELD_ATTRIBUTE + EVENT_ATTRIBUTES_MAX,
	FIELD_COUNT = FIELD_ITEM_ATTRIBUTE + EVENT_ATTRIBUTES_MAX
};

/* The fields of "a,b|c,d" into spec, NULL behind the last; they point into *ret_copy, owned by the caller. NULL or "": none. -EINVAL with
 * *reterr_why, -ENOMEM. */
int attributes_split(char **ret_copy, const char *spec[EVENT_ATTRIBUTES_MAX], const char *list, const char **reterr_why);

#define PATHS_MAX 64   /* all alternatives of all fields: one bit each */
#define SEGMENTS_MAX 8
#define JSON_DEPTH_MAX 32

struct path {
	struct event_text segment[SEGMENTS_MAX]; /* point into path_table.names */
	unsigned segment_count;
	enum field field;
};

/* All paths, in the order in which alternatives win, and for each depth the set of paths with more than that many segments. */
struct path_table {
	struct path path[PATHS_MAX];
	unsigned count;
	char *names; /* owned */
	uint64_t all;
	uint64_t ends_at[SEGMENTS_MAX + 1]; /* bit p: path p has so many segments */
};

/* spec NULL: no such field. */
int path_table_init(struct path_table *t, const char *const spec[FIELD_COUNT], const char **reterr_why);
void path_table_release(struct path_table *t);

/* Reads one JSON object into raw; memory from a (reset by the caller). -EBADMSG or -E2BIG (the arena is full). */
int event_json_parse(struct raw_event *raw, const struct path_table *t, struct arena *a, enum event_time_unit unit,
                     const char *s, size_t len);

#endif
