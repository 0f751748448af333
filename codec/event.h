/* event.h - user-item events: from the bytes of a record to plain structs. A record gives one event, or, where its item is in an array (an order's
 * products), one per element; or none, where its type is to be ignored.
 *
 * A decoder is made once with a format and a mapping, then fed records. It validates everything: UTF-8, sizes, finite
 * numbers, times. It calls malloc for no event: what a record needs lives in the decoder's own arena, which is reset by
 * the next call. One decoder per thread.
 *
 *     struct decoder *d;
 *     decoder_new(&d, &opts, &why);
 *     r = decoder_decode(d, &ev, key, key_len, value, value_len, record_ts_ms, &why);
 *     if (r < 0) dead_letter(why);
 *     else if (!ev.ignored) do { use(&ev); } while (decoder_more(d, &ev));
 */
#ifndef S4REC_CODEC_EVENT_H
#define S4REC_CODEC_EVENT_H

#include <stddef.h>
#include <stdint.h>

#define EVENT_ATTRIBUTES_MAX 4
struct event_text { const char *s; size_t len; };

struct event {
	const char *user;     /* UTF-8, user_len bytes, not NUL-terminated; valid until the decoder's next call */
	size_t user_len;      /* 1..id_max_bytes */
	const char *item;     /* as user; unset when forget is 1 */
	size_t item_len;
	const char *type;     /* may be empty */
	size_t type_len;
	const char *event_id; /* may be empty */
	size_t event_id_len;
	struct event_text attribute[EVENT_ATTRIBUTES_MAX]; /* of the user, by the place of its field; len 0: not said */
	struct event_text item_attribute[EVENT_ATTRIBUTES_MAX]; /* of the item, likewise */
	int64_t ts_ms;        /* event time, milliseconds since the Unix epoch */
	float weight;         /* finite, >= 0 */
	int forget;           /* 1: a null value, "forget this user" */
	int clamped;          /* 1: its time lay too far in the future; ts_ms is the record's timestamp */
	int ignored;          /* 1: no event, its type is to be ignored; nothing but user is set, user_len 0 where it has no good one */
};

/* A body is JSON when '{' is its first byte after blanks, else protobuf. A Confluent frame before it (0x00, schema id, indexes) is passed in any format. */
enum event_format {
	EVENT_AUTO,        /* by record: a CloudEvent where its headers say so; else a body */
	EVENT_PROTOBUF,    /* topics/interaction.proto */
	EVENT_JSON,        /* fields by dotted path */
	EVENT_CONFLUENT,   /* a body that must have a frame, or the header __value_schema_id in its place */
	EVENT_CLOUDEVENTS, /* 1.0: header ce_specversion (then the value is a body), else an envelope as JSON with a body in data or data_base64 */
};

enum event_time_unit { TIME_AUTO, TIME_S, TIME_MS, TIME_US, TIME_NS };

#define EVENTS_PER_RECORD_MAX 256 /* elements of an array; a record with more is "oversized" */

/* Dotted paths into a JSON object ("properties.product_id"); alternatives separated by '|' or ',', the first that is there wins.
 * NULL = the default in brackets. Ids may be JSON strings or integers. A name that ends in [] is an array ("properties.products[].product_id"):
 * where the item's path leads into one, each element gives an event, whose other fields are those at the same place of an array, or of the whole record.
 * One [] in a path; not in that of the user. */
struct decoder_options {
	enum event_format format;
	const char *user_path;     /* given: used before the record's key. [user_id|userId|user, used when the record has no key] */
	const char *item_path;     /* [item_id|itemId|item] */
	const char *time_path;     /* [event_time_ms|timestamp|time]   ISO-8601 text, or a number in time_unit */
	const char *type_path;     /* [type|event] */
	const char *weight_path;   /* [weight] */
	const char *event_id_path; /* [event_id|messageId] */
	const char *attribute_paths; /* of the user's attributes: up to four fields, a,b.c|d,e; values are text or integers. In protobuf they have places, no names. [none] */
	const char *item_attribute_paths; /* likewise of the item's */
	const char *type_weights;  /* view:1,purchase:5,refund:ignore,*:1 - a factor of the weight by type, * = any other type, also none. [all 1] */
	int types_only_ignore;     /* 1: weights stay as they are, only what is to be ignored is */
	enum event_time_unit time_unit; /* TIME_AUTO: by magnitude, < 1e11 s, < 1e14 ms, < 1e17 us, else ns */
	size_t id_max_bytes;       /* longest user, item, event id and type; 0 = 256 */
	size_t record_max_bytes;   /* longest value; 0 = 65536 */
	int64_t past_max_ms;       /* event time may lie this far before the record's timestamp; 0 = no limit */
	int64_t future_max_ms;     /* and this far after it; 0 = 3600000 */
	int future_clamp;          /* 1: an event later than that gets the record's timestamp; 0: it is refused */
	double weight_max;         /* greatest weight; 0 = any finite one */
};

struct decoder;

/* A record's header, as Kafka has it; value NULL = none. */
struct event_header {
	const char *name;
	const void *value;
	size_t len;
};

/* What decoder_decode is told of a record, and its headers, borrowed alike. */
struct event_source {
	const void *key, *value;
	size_t key_len, value_len;
	int64_t record_ts_ms;
	const struct event_header *headers;
	size_t header_count;
};

/* Makes a decoder; copies the options. -EINVAL with *reterr_why for a bad path or type_weights, -ENOMEM. */
int decoder_new(struct decoder **ret, const struct decoder_options *o, const char **reterr_why);
void decoder_free(struct decoder *d);

/* Decodes one record; borrows key and value until the next call (fields may point into them).
 * key NULL = none, value NULL = forget. record_ts_ms: the record's Kafka timestamp, < 0 = unknown (times are then only
 * checked against 0..year 9999; an event without a time is refused).
 * 0 with the record's first event, or with *reterr_why (a short static text for the dead letter's reason):
 *   -EBADMSG  "undecodable" (not protobuf / JSON, wrong type of a field, invalid UTF-8), or that with what was expected: "undecodable: expected ..."
 *   -E2BIG    "oversized": the value or an id is too long, or an array has too many elements
 *   -ENODATA  "no user" / "no item"
 *   -ERANGE   "no time" (nor has the record one) / "absurd time" / "bad weight" (NaN, infinite, negative, above weight_max) */
int decoder_decode(struct decoder *d, struct event *ret, const void *key, size_t key_len,
                   const void *value, size_t value_len, int64_t record_ts_ms, const char **reterr_why);
int decoder_decode_from(struct decoder *d, struct event *ret, const struct event_source *in, const char **reterr_why);

/* 1 with the next event of the record that was decoded last, 0: it has no more. All of them are of one user. Their ids, where the record has one, differ:
 * the second element of "a" is "a#1"; an element's own id, by a path through the array, is taken as it is. */
int decoder_more(struct decoder *d, struct event *ret);

/* 1: decoder_decode_from looks at headers. */
int decoder_wants_headers(const struct decoder *d);

/* Serialises ev as topics/interaction.proto; the key is ev->user. *ret_len = bytes needed, also when size is too small
 * (-ENOSPC). weight 1 is left out. */
int event_encode(void *ret, size_t size, size_t *ret_len, const struct event *ev);

/* Parses "2024-05-06T07:08:09.123Z", offsets "+02:00", a date alone, or a blank instead of T. -EINVAL. */
int time_parse_iso8601(int64_t *ret_ms, const char *s, size_t len);

#endif
