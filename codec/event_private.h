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
extern const char why_undecodable[], why_no_frame[], why_other_message[], why_schema_header[], why_no_cloudevent[], why_cloudevents_version[],
	why_cloudevents_kind[], why_cloudevents_time[], why_base64[], why_oversized[], why_no_user[], why_no_item[], why_no_time[], why_absurd_time[], why_bad_weight[];

/* An event as some format said it; nothing is checked yet. */
struct raw_event {
	struct event_text user, item, type, event_id, attribute[EVENT_ATTRIBUTES_MAX], item_attribute[EVENT_ATTRIBUTES_MAX];
	int has_time, has_weight;
	int own_id; /* event_id is that of this element of the record, not of the record */
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

/* --- types --- */

struct types; /* type.weights, read */

/* "view:1,refund:ignore,*:2"; NULL or "": *ret NULL. -EINVAL with *reterr_why, -ENOMEM. */
int types_new(struct types **ret, const char *spec, int only_ignore, const char **reterr_why);
void types_free(struct types *t);
/* Multiplies the weight. 1: the type is to be ignored. t may be NULL. */
int types_apply(const struct types *t, struct raw_event *raw);

/* --- envelopes --- */

/* What a CloudEvent says of its data. */
struct envelope {
	struct event_text specversion, id, source, type, time, base64;
};

/* How a record is wrapped, by its headers. */
enum wrapping { WRAPPED_NOT, WRAPPED_BINARY, WRAPPED_STRUCTURED };

/* 1: a CloudEvent in binary mode. */
int envelope_is_binary(const struct event_source *in);
/* Looks at a record's headers: what they say goes to e. *ret_schema 1: the schema's id is among them. -EBADMSG with *reterr_why. */
int envelope_headers(enum wrapping *ret, struct envelope *e, int *ret_schema, const struct event_source *in, const char **reterr_why);
/* Is it one that we read? -EBADMSG with *reterr_why. */
int envelope_check(const struct envelope *e, const char **reterr_why);
/* Gives an event what it does not say itself. id (id_size) takes its event id, where it needs room. -EBADMSG, -E2BIG with *reterr_why. */
int envelope_apply(struct raw_event *raw, const struct envelope *e, char *id, size_t id_size, const char **reterr_why);
/* Into ret, which has room for len. -EBADMSG */
int base64_decode(uint8_t *ret, size_t *ret_len, const char *s, size_t len);

static inline int looks_like_json(const uint8_t *p, size_t len)
{
	size_t i = 0;

	while (i < len && (p[i] == ' ' || p[i] == '\t' || p[i] == '\n' || p[i] == '\r'))
		i++;
	return i < len && p[i] == '{';
}

/* Passes the frame that begins with 0x00. -EBADMSG with *reterr_why. */
int frame_skip(const uint8_t **p, size_t *len, const char **reterr_why);

/* --- JSON --- */

enum field {
	FIELD_USER, FIELD_ITEM, FIELD_TIME, FIELD_TYPE, FIELD_WEIGHT, FIELD_EVENT_ID,
	FIELD_ATTRIBUTE, /* the user's, by their places; then the item's */
	FIELD_ITEM_ATTRIBUTE = FIELD_ATTRIBUTE + EVENT_ATTRIBUTES_MAX,
	FIELD_COUNT = FIELD_ITEM_ATTRIBUTE + EVENT_ATTRIBUTES_MAX,
	ENVELOPE_SPECVERSION = FIELD_COUNT, ENVELOPE_ID, ENVELOPE_SOURCE, ENVELOPE_TYPE, ENVELOPE_TIME, ENVELOPE_BASE64,
	FIELD_ALL
};

/* The fields of "a,b|c,d" into spec, NULL behind the last; they point into *ret_copy, owned by the caller. NULL or "": none. -EINVAL with
 * *reterr_why, -ENOMEM. */
int attributes_split(char **ret_copy, const char *spec[EVENT_ATTRIBUTES_MAX], const char *list, const char **reterr_why);

/* Reads JSON objects by paths, one after the other. */
struct json;

/* spec NULL: no such field. prefix: a name that leads to the object that the paths of the event's fields (not the envelope's) begin in, or NULL.
 * -EINVAL with *reterr_why, -ENOMEM. */
int json_new(struct json **ret, const char *const spec[FIELD_ALL], const char *prefix, const char **reterr_why);
void json_free(struct json *j);
int json_has_arrays(const struct json *j);

/* Walks one object. Memory from a, which the caller has reset. -EBADMSG or -E2BIG (the arena is full, an array too long). */
int json_walk(struct json *j, struct arena *a, const char *s, size_t len);
/* Of the object that was walked last: how many events it gives (1 or more), and the fields of one of them; e may be NULL. -EBADMSG */
size_t json_count(const struct json *j);
int json_take(struct raw_event *raw, struct envelope *e, const struct json *j, size_t element, enum event_time_unit unit);

#endif
