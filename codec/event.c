#include "codec/event.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/event_private.h"
#include "codec/utf8.h"
#include "codec/wire.h"

const char why_undecodable[] = "undecodable", why_oversized[] = "oversized", why_no_user[] = "no user",
           why_no_item[] = "no item", why_no_time[] = "no time", why_absurd_time[] = "absurd time", why_bad_weight[] = "bad weight";

/* Field numbers of topics/interaction.proto; a test compares them with the generated code. */
enum { F_ITEM_ID = 1, F_EVENT_TIME_MS = 2, F_TYPE = 3, F_WEIGHT = 4, F_EVENT_ID = 5, F_USER_ID = 6, F_USER_ATTRIBUTE = 7, F_ITEM_ATTRIBUTE = 8 };

#define SUFFIX_MAX 8 /* "#255" */

struct decoder {
	enum event_format format;
	enum event_time_unit time_unit;
	size_t record_max_bytes;
	struct event_limits limits;
	int user_mapped; /* a path was given for the user: it wins over the key */
	struct types *types;          /* NULL: all count alike */
	struct json *json;
	struct json *enveloped;       /* the same paths inside a CloudEvent, and its own; NULL where none is read */
	uint8_t *data;                /* (record_max_bytes) what base64 held; likewise */
	char *cloud_id;               /* (id_max_bytes + 1) an event id of source and id; likewise */
	struct event *events;         /* (EVENTS_PER_RECORD_MAX) of one record; NULL where no path leads into an array */
	char *ids;                    /* (EVENTS_PER_RECORD_MAX, id_max_bytes + SUFFIX_MAX) their event ids; likewise */
	size_t event_count, next;     /* of events; what decoder_more gives next */
	struct arena arena;
};

static int fail(const char **reterr_why, const char *why, int r)
{
	*reterr_why = why;
	return r;
}

/* --- make, free --- */

int attributes_split(char **ret_copy, const char *spec[EVENT_ATTRIBUTES_MAX], const char *list, const char **reterr_why)
{
	char *next = *ret_copy = strdup(list ? list : "");
	if (!next)
		return fail(reterr_why, "out of memory", -ENOMEM);

	if (!*next)
		next = NULL;
	for (int i = 0; i < EVENT_ATTRIBUTES_MAX; i++)
		spec[i] = strsep(&next, ","); /* NULL behind the last one */
	if (next)
		return fail(reterr_why, "more than four attributes", -EINVAL);
	for (int i = 0; i < EVENT_ATTRIBUTES_MAX; i++)
		if (spec[i] && !*spec[i])
			return fail(reterr_why, "an attribute without a name", -EINVAL);
	return 0;
}

/* The fields' paths, those of attributes from their lists: copies are the caller's. */
static int fill_spec(const char *spec[FIELD_ALL], char *copies[2], const struct decoder_options *o, const char **reterr_why)
{
	spec[FIELD_USER] = o->user_path ? o->user_path : "user_id|userId|user";
	spec[FIELD_ITEM] = o->item_path ? o->item_path : "item_id|itemId|item";
	spec[FIELD_TIME] = o->time_path ? o->time_path : "event_time_ms|timestamp|time";
	spec[FIELD_TYPE] = o->type_path ? o->type_path : "type|event";
	spec[FIELD_WEIGHT] = o->weight_path ? o->weight_path : "weight";
	spec[FIELD_EVENT_ID] = o->event_id_path ? o->event_id_path : "event_id|messageId";
	int r = attributes_split(&copies[0], spec + FIELD_ATTRIBUTE, o->attribute_paths, reterr_why);
	return r ? r : attributes_split(&copies[1], spec + FIELD_ITEM_ATTRIBUTE, o->item_attribute_paths, reterr_why);
}

static int make_arrays(struct decoder *d, const char **reterr_why)
{
	d->events = calloc(EVENTS_PER_RECORD_MAX, sizeof(*d->events));
	d->ids = calloc(EVENTS_PER_RECORD_MAX, d->limits.id_max_bytes + SUFFIX_MAX);
	return d->events && d->ids ? 0 : fail(reterr_why, "out of memory", -ENOMEM);
}

static int make_envelope(struct decoder *d, const char *spec[FIELD_ALL], const char **reterr_why)
{
	spec[ENVELOPE_SPECVERSION] = "specversion";
	spec[ENVELOPE_ID] = "id";
	spec[ENVELOPE_SOURCE] = "source";
	spec[ENVELOPE_TYPE] = "type";
	spec[ENVELOPE_TIME] = "time";
	spec[ENVELOPE_BASE64] = "data_base64";
	d->data = malloc(d->record_max_bytes);
	d->cloud_id = malloc(d->limits.id_max_bytes + 1);
	return d->data && d->cloud_id ? json_new(&d->enveloped, spec, "data", reterr_why) : fail(reterr_why, "out of memory", -ENOMEM);
}

/* What reads the values, by the format. */
static int make_readers(struct decoder *d, const struct decoder_options *o, const char **reterr_why)
{
	const char *spec[FIELD_ALL] = { NULL };
	char *copies[2] = { NULL, NULL };
	int r = fill_spec(spec, copies, o, reterr_why);

	if (r == 0)
		r = json_new(&d->json, spec, NULL, reterr_why);
	if (r == 0 && json_has_arrays(d->json))
		r = make_arrays(d, reterr_why);
	if (r == 0 && decoder_wants_headers(d))
		r = make_envelope(d, spec, reterr_why);
	if (r == 0)
		r = types_new(&d->types, o->type_weights, o->types_only_ignore, reterr_why);
	free(copies[0]);
	free(copies[1]);
	return r;
}

int decoder_new(struct decoder **ret, const struct decoder_options *o, const char **reterr_why)
{
	struct decoder *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return fail(reterr_why, "out of memory", -ENOMEM);

	d->format = o->format;
	d->time_unit = o->time_unit;
	d->record_max_bytes = o->record_max_bytes ? o->record_max_bytes : RECORD_MAX_DEFAULT;
	d->limits.id_max_bytes = o->id_max_bytes ? o->id_max_bytes : ID_MAX_DEFAULT;
	d->limits.past_max_ms = o->past_max_ms;
	d->limits.future_clamp = o->future_clamp;
	d->limits.weight_max = o->weight_max > 0 ? o->weight_max : (double)FLT_MAX;
	d->user_mapped = o->user_path != NULL;
	d->limits.future_max_ms = o->future_max_ms ? o->future_max_ms : FUTURE_MAX_DEFAULT;

	/* yajl's buffer for a string with escapes starts at 2 KB and doubles without returning the old block (4 x the value),
	 * copies of such strings add at most 1 x, with headers of 16 bytes each: 8 x the value is never reached in practice. */
	d->arena.size = 16384 + 8 * d->record_max_bytes;
	d->arena.base = aligned_alloc(ARENA_ALIGN, (d->arena.size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1));
	r = d->arena.base ? make_readers(d, o, reterr_why) : fail(reterr_why, "out of memory", -ENOMEM);
	if (r < 0) {
		decoder_free(d);
		return r;
	}

	*ret = d;
	return 0;
}

void decoder_free(struct decoder *d)
{
	if (!d)
		return;
	json_free(d->json);
	json_free(d->enveloped);
	types_free(d->types);
	free(d->data);
	free(d->cloud_id);
	free(d->events);
	free(d->ids);
	free(d->arena.base);
	free(d);
}

int decoder_wants_headers(const struct decoder *d)
{
	return d->format != EVENT_PROTOBUF && d->format != EVENT_JSON;
}

/* --- the judgement that all formats share --- */

static int check_id(const struct event_text *t, const struct event_limits *l, const char **reterr_why)
{
	if (t->len > l->id_max_bytes)
		return fail(reterr_why, why_oversized, -E2BIG);
	if (!utf8_valid(t->s, t->len))
		return fail(reterr_why, why_undecodable, -EBADMSG);
	return 0;
}

static int check_attributes(const struct event_text *t, const struct event_limits *l, const char **reterr_why)
{
	int r = 0;

	for (int i = 0; r == 0 && i < EVENT_ATTRIBUTES_MAX; i++)
		r = check_id(&t[i], l, reterr_why);
	return r;
}

int event_check_user(const struct event_text *user, const struct event_limits *l, const char **reterr_why)
{
	if (user->len == 0)
		return fail(reterr_why, why_no_user, -ENODATA);
	return check_id(user, l, reterr_why);
}

static int time_is_ahead(int64_t ts_ms, const struct event_limits *l, int64_t record_ts_ms)
{
	return record_ts_ms >= 0 && ts_ms > record_ts_ms && ts_ms <= TIME_MAX_MS && ts_ms - record_ts_ms > l->future_max_ms;
}

static int time_is_absurd(int64_t ts_ms, const struct event_limits *l, int64_t record_ts_ms)
{
	if (ts_ms < 0 || ts_ms > TIME_MAX_MS)
		return 1;
	if (record_ts_ms < 0)
		return 0;
	return time_is_ahead(ts_ms, l, record_ts_ms) || (l->past_max_ms > 0 && record_ts_ms - ts_ms > l->past_max_ms);
}

int event_finish(struct event *ret, const struct raw_event *raw, const struct event_limits *l, int64_t record_ts_ms,
                 const char **reterr_why)
{
	int64_t ts_ms = raw->has_time ? raw->ts_ms : record_ts_ms;
	double weight = raw->has_weight ? raw->weight : 1.0;
	int r, clamped = 0;

	r = event_check_user(&raw->user, l, reterr_why);
	if (r < 0)
		return r;

	if (raw->item.len == 0)
		return fail(reterr_why, why_no_item, -ENODATA);
	r = check_id(&raw->item, l, reterr_why);
	if (r < 0)
		return r;

	r = check_id(&raw->type, l, reterr_why);
	if (r < 0)
		return r;

	r = check_id(&raw->event_id, l, reterr_why);
	if (r < 0)
		return r;

	r = check_attributes(raw->attribute, l, reterr_why);
	if (r < 0)
		return r;

	r = check_attributes(raw->item_attribute, l, reterr_why);
	if (r < 0)
		return r;

	if (!raw->has_time && record_ts_ms < 0)
		return fail(reterr_why, why_no_time, -ERANGE);
	if (l->future_clamp && time_is_ahead(ts_ms, l, record_ts_ms)) {
		ts_ms = record_ts_ms; /* Kafka's word on when it was */
		clamped = 1;
	}
	if (time_is_absurd(ts_ms, l, record_ts_ms))
		return fail(reterr_why, why_absurd_time, -ERANGE);

	if (!(weight >= 0 && weight <= l->weight_max))
		return fail(reterr_why, why_bad_weight, -ERANGE);

	*ret = (struct event){
		.user = raw->user.s, .user_len = raw->user.len,
		.item = raw->item.s, .item_len = raw->item.len,
		.type = raw->type.len ? raw->type.s : "", .type_len = raw->type.len,
		.event_id = raw->event_id.len ? raw->event_id.s : "", .event_id_len = raw->event_id.len,
		.ts_ms = ts_ms,
		.weight = (float)weight,
		.clamped = clamped,
	};
	memcpy(ret->attribute, raw->attribute, sizeof ret->attribute);
	memcpy(ret->item_attribute, raw->item_attribute, sizeof ret->item_attribute);
	return 0;
}

/* --- protobuf --- */

/* The n-th of them to its place; one too many counts for nothing. */
static int read_attribute(struct wire *w, struct event_text *attribute, size_t *n)
{
	struct event_text extra = { NULL, 0 }, *to = *n < EVENT_ATTRIBUTES_MAX ? &attribute[(*n)++] : &extra;

	return wire_bytes(w, &to->s, &to->len);
}

/* A known field with another wire type is an error, not an unknown field: it is a producer with another schema. */
static int parse_protobuf(struct raw_event *raw, const uint8_t *p, size_t len)
{
	struct wire w = { p, p + len };
	uint64_t tag, u;
	size_t attributes = 0, item_attributes = 0;
	float f;
	int r = 0;

	while (r == 0 && w.p < w.end) {
		r = wire_varint(&w, &tag);
		if (r < 0)
			return r;

		switch (tag) {
		case WIRE_TAG(F_ITEM_ID, WIRE_BYTES):
			r = wire_bytes(&w, &raw->item.s, &raw->item.len);
			break;
		case WIRE_TAG(F_TYPE, WIRE_BYTES):
			r = wire_bytes(&w, &raw->type.s, &raw->type.len);
			break;
		case WIRE_TAG(F_EVENT_ID, WIRE_BYTES):
			r = wire_bytes(&w, &raw->event_id.s, &raw->event_id.len);
			break;
		case WIRE_TAG(F_USER_ID, WIRE_BYTES):
			r = wire_bytes(&w, &raw->user.s, &raw->user.len);
			break;
		case WIRE_TAG(F_USER_ATTRIBUTE, WIRE_BYTES):
			r = read_attribute(&w, raw->attribute, &attributes);
			break;
		case WIRE_TAG(F_ITEM_ATTRIBUTE, WIRE_BYTES):
			r = read_attribute(&w, raw->item_attribute, &item_attributes);
			break;
		case WIRE_TAG(F_EVENT_TIME_MS, WIRE_VARINT):
			r = wire_varint(&w, &u);
			if (r < 0)
				return r;
			raw->ts_ms = (int64_t)u;
			raw->has_time = u != 0; /* proto3 does not tell 0 from absent */
			break;
		case WIRE_TAG(F_WEIGHT, WIRE_FIXED32):
			r = wire_float(&w, &f);
			if (r < 0)
				return r;
			raw->weight = (double)f;
			raw->has_weight = 1;
			break;
		default:
			if (tag >> 3 >= F_ITEM_ID && tag >> 3 <= F_ITEM_ATTRIBUTE)
				return -EBADMSG;
			r = wire_skip(&w, tag);
		}
	}
	return r;
}

/* --- one record --- */

/* What is being read: the reasons for refusing it are why, which stands for one that has no better. */
struct reading {
	struct raw_event raw;
	struct json *json; /* what has read it, where that was JSON */
	struct envelope envelope; /* unset where the record is not wrapped */
	enum wrapping wrapping;
	const char *why;
};

static int walk(struct decoder *d, struct reading *in, struct json *json, const uint8_t *p, size_t len)
{
	int r = json_walk(json, &d->arena, (const char *)p, len);

	in->json = json;
	return r < 0 ? r : json_take(&in->raw, &in->envelope, json, 0, d->time_unit);
}

/* Protobuf or JSON, behind a frame where there is one. */
static int read_body(struct decoder *d, struct reading *in, const uint8_t *p, size_t len)
{
	int r;

	if (len && p[0] == 0) {
		r = frame_skip(&p, &len, &in->why);
		if (r < 0)
			return r;
	}

	if (d->format == EVENT_JSON || (d->format != EVENT_PROTOBUF && looks_like_json(p, len))) {
		r = walk(d, in, d->json, p, len);

		/* 0x0a is a newline and also the tag of item_id: "\n{" may begin a protobuf item id of 123 bytes */
		if (r == 0 || d->format == EVENT_JSON || p[0] != '\n')
			return r;
		in->raw = (struct raw_event){ 0 };
		in->json = NULL;
	}
	return parse_protobuf(&in->raw, p, len);
}

/* An envelope with data in it. */
static int read_structured(struct decoder *d, struct reading *in, const uint8_t *p, size_t len)
{
	size_t n;
	int r = looks_like_json(p, len) ? walk(d, in, d->enveloped, p, len) : -EBADMSG;

	if (r == -EBADMSG)
		in->why = why_no_cloudevent;
	if (r < 0 || !in->envelope.base64.len)
		return r;
	if (base64_decode(d->data, &n, in->envelope.base64.s, in->envelope.base64.len) < 0) {
		in->why = why_base64;
		return -EBADMSG;
	}
	in->raw = (struct raw_event){ 0 };
	in->json = NULL;
	return read_body(d, in, d->data, n);
}

/* A value whose headers may say what it is. */
static int read_wrapped(struct decoder *d, struct reading *in, const struct event_source *from)
{
	int schema = 0, r = 0;

	if (from->header_count || d->format == EVENT_CLOUDEVENTS)
		in->envelope = (struct envelope){ 0 };
	if (from->header_count)
		r = envelope_headers(&in->wrapping, &in->envelope, &schema, from, &in->why);
	if (r < 0)
		return r;
	if (d->format == EVENT_CONFLUENT) {
		in->wrapping = WRAPPED_NOT;
		if (!schema && !(from->value_len && *(const uint8_t *)from->value == 0)) {
			in->why = why_no_frame;
			return -EBADMSG;
		}
	}
	if (d->format == EVENT_CLOUDEVENTS && in->wrapping == WRAPPED_NOT)
		in->wrapping = WRAPPED_STRUCTURED; /* its content-type was lost on the way */

	r = in->wrapping == WRAPPED_STRUCTURED ? read_structured(d, in, from->value, from->value_len) : read_body(d, in, from->value, from->value_len);
	return r == 0 && in->wrapping != WRAPPED_NOT ? envelope_check(&in->envelope, &in->why) : r;
}

/* What is read so far, as an event. 1: its type is to be ignored. */
static int finish(struct decoder *d, struct event *ret, struct reading *in, const struct event_source *from, const char **reterr_why)
{
	struct raw_event *raw = &in->raw;
	struct event_text key = { from->key, from->key ? from->key_len : 0 };

	if (key.len && !(d->user_mapped && raw->user.len))
		raw->user = key;
	if (in->wrapping != WRAPPED_NOT) {
		int r = envelope_apply(raw, &in->envelope, d->cloud_id, d->limits.id_max_bytes + 1, reterr_why);
		if (r < 0)
			return r;
	}
	return types_apply(d->types, raw) ? 1 : event_finish(ret, raw, &d->limits, from->record_ts_ms, reterr_why);
}

static void ignore(struct decoder *d, struct event *ret, const struct event_text *user)
{
	const char *why;
	int good = event_check_user(user, &d->limits, &why) == 0;

	*ret = (struct event){ .user = good ? user->s : "", .user_len = good ? user->len : 0, .item = "", .type = "", .event_id = "", .ignored = 1 };
}

/* The event id of an element that has none of its own is the record's, with its number behind it, so that no two are the same. */
static void number_id(struct decoder *d, struct event *ev, size_t element)
{
	char *id = d->ids + element * (d->limits.id_max_bytes + SUFFIX_MAX);

	if (!ev->event_id_len || !element)
		return;
	memcpy(id, ev->event_id, ev->event_id_len);
	ev->event_id_len += (size_t)snprintf(id + ev->event_id_len, SUFFIX_MAX, "#%zu", element);
	ev->event_id = id;
}

/* An event of each element. A bad one makes the whole record bad. */
static int finish_elements(struct decoder *d, struct event *ret, struct reading *in, const struct event_source *from, const char **reterr_why)
{
	size_t n = json_count(in->json), count = 0;
	struct event_text user = { NULL, 0 };

	for (size_t i = 0; i < n; i++) {
		struct event *ev = &d->events[count];

		in->raw = (struct raw_event){ 0 };
		if (json_take(&in->raw, &in->envelope, in->json, i, d->time_unit) < 0)
			return fail(reterr_why, why_undecodable, -EBADMSG);
		int r = finish(d, ev, in, from, reterr_why);
		if (r < 0)
			return r;
		user = in->raw.user;
		if (r == 0) {
			if (!in->raw.own_id)
				number_id(d, ev, i);
			if (ev->event_id_len > d->limits.id_max_bytes)
				return fail(reterr_why, why_oversized, -E2BIG);
			count++;
		}
	}
	if (count == 0) {
		ignore(d, ret, &user);
		return 0;
	}
	d->event_count = count;
	d->next = 1;
	*ret = d->events[0];
	return 0;
}

static int forget(struct decoder *d, struct event *ret, const struct event_source *from, const char **reterr_why)
{
	struct event_text user = { from->key, from->key ? from->key_len : 0 };
	int r = event_check_user(&user, &d->limits, reterr_why);

	if (r == 0)
		*ret = (struct event){ .user = user.s, .user_len = user.len, .item = "", .type = "", .event_id = "",
		                       .ts_ms = from->record_ts_ms < 0 ? 0 : from->record_ts_ms, .forget = 1 };
	return r;
}

/* The envelope of what cannot be read otherwise says that nobody wants to. */
static int is_of_ignored_type(const struct decoder *d, const struct reading *in)
{
	struct raw_event raw = { 0 };

	if (in->wrapping == WRAPPED_NOT || !in->envelope.type.len)
		return 0;
	raw.type = in->envelope.type;
	return types_apply(d->types, &raw);
}

int decoder_decode_from(struct decoder *d, struct event *ret, const struct event_source *from, const char **reterr_why)
{
	struct reading in;
	int r;

	in.raw = (struct raw_event){ 0 };
	in.json = NULL;
	in.wrapping = WRAPPED_NOT; /* read_wrapped sets the envelope */
	in.why = why_undecodable;
	d->event_count = d->next = 0;
	d->arena.used = 0;
	struct event_source bare = *from;
	if (!from->value) {
		if ((d->format != EVENT_AUTO && d->format != EVENT_CLOUDEVENTS) || !envelope_is_binary(from))
			return forget(d, ret, from, reterr_why);
		bare.value = ""; /* all that such an event says may be in its headers */
		from = &bare;
	}
	if (from->value_len > d->record_max_bytes)
		return fail(reterr_why, why_oversized, -E2BIG);

	if (decoder_wants_headers(d) && (from->header_count || d->format != EVENT_AUTO))
		r = read_wrapped(d, &in, from);
	else
		r = read_body(d, &in, from->value, from->value_len);
	if (r < 0 && is_of_ignored_type(d, &in)) {
		ignore(d, ret, &(struct event_text){ from->key, from->key ? from->key_len : 0 });
		return 0;
	}
	if (r < 0)
		return fail(reterr_why, r == -E2BIG ? why_oversized : in.why, r);

	if (in.json && json_count(in.json) > 1)
		return finish_elements(d, ret, &in, from, reterr_why);
	r = finish(d, ret, &in, from, reterr_why);
	if (r == 1)
		ignore(d, ret, &in.raw.user);
	return r < 0 ? r : 0;
}

int decoder_decode(struct decoder *d, struct event *ret, const void *key, size_t key_len,
                   const void *value, size_t value_len, int64_t record_ts_ms, const char **reterr_why)
{
	return decoder_decode_from(d, ret, &(struct event_source){ .key = key, .key_len = key_len, .value = value, .value_len = value_len,
	                                                           .record_ts_ms = record_ts_ms }, reterr_why);
}

int decoder_more(struct decoder *d, struct event *ret)
{
	if (d->next >= d->event_count)
		return 0;
	*ret = d->events[d->next++];
	return 1;
}

/* --- encode --- */

/* Up to the last one that is said; those before it keep its place, also where they are empty. */
static void put_attributes(struct wire_out *o, unsigned field, const struct event_text *t)
{
	int n = EVENT_ATTRIBUTES_MAX;

	while (n > 0 && t[n - 1].len == 0)
		n--;
	for (int i = 0; i < n; i++) {
		wire_put_varint(o, WIRE_TAG(field, WIRE_BYTES));
		wire_put_varint(o, t[i].len);
		wire_put(o, t[i].s, t[i].len);
	}
}

int event_encode(void *ret, size_t size, size_t *ret_len, const struct event *ev)
{
	struct wire_out o = { ret, size, 0 };

	wire_put_string(&o, F_ITEM_ID, ev->item, ev->item_len);
	if (ev->ts_ms) {
		wire_put_varint(&o, WIRE_TAG(F_EVENT_TIME_MS, WIRE_VARINT));
		wire_put_varint(&o, (uint64_t)ev->ts_ms);
	}
	wire_put_string(&o, F_TYPE, ev->type, ev->type_len);
	if (ev->weight != 1.0f) {
		uint32_t u;
		uint8_t b[4];

		memcpy(&u, &ev->weight, 4);
		for (int i = 0; i < 4; i++)
			b[i] = (uint8_t)(u >> 8 * i);
		wire_put_varint(&o, WIRE_TAG(F_WEIGHT, WIRE_FIXED32));
		wire_put(&o, b, 4);
	}
	wire_put_string(&o, F_EVENT_ID, ev->event_id, ev->event_id_len);
	put_attributes(&o, F_USER_ATTRIBUTE, ev->attribute);
	put_attributes(&o, F_ITEM_ATTRIBUTE, ev->item_attribute);

	*ret_len = o.len;
	return o.len > size ? -ENOSPC : 0;
}
