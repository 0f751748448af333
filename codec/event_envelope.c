/* What is around an event: Confluent's frame, and CloudEvents 1.0 in the two modes of its Kafka binding. */
#include <errno.h>
#include <strings.h>

#include "codec/event_private.h"
#include "codec/wire.h"

const char why_no_frame[] = "undecodable: expected a Confluent frame (0x00, schema id, message indexes) with protobuf or JSON behind it",
           why_other_message[] = "undecodable: expected the first message of its Confluent schema",
           why_schema_header[] = "undecodable: expected a version, an id and indexes of the first message in the header __value_schema_id",
           why_no_cloudevent[] = "undecodable: expected a CloudEvent with specversion, id, source and type",
           why_cloudevents_version[] = "undecodable: expected CloudEvents specversion 1.0",
           why_cloudevents_kind[] = "undecodable: expected CloudEvents one by one, as application/cloudevents+json",
           why_cloudevents_time[] = "undecodable: expected the CloudEvent's time as RFC 3339",
           why_base64[] = "undecodable: expected base64 in the CloudEvent's data_base64";

static int fail(const char **reterr_why, const char *why)
{
	*reterr_why = why;
	return -EBADMSG;
}

/* --- Confluent --- */

/* The indexes that lead to a message in its schema: how many, then each, as zigzag varints. [0] has three spellings: 0, 2 0, and 1 0 of writers
 * that do not zigzag. */
static int skip_indexes(struct wire *w, const char **reterr_why)
{
	uint64_t n, index = 0;

	if (wire_varint(w, &n) < 0 || (n != 0 && wire_varint(w, &index) < 0))
		return fail(reterr_why, why_no_frame);
	if (n > 2 || index != 0)
		return fail(reterr_why, n > 2 && n & 1 ? why_no_frame : why_other_message);
	return 0;
}

/* No protobuf message and no JSON text begins with 0x00. */
int frame_skip(const uint8_t **p, size_t *len, const char **reterr_why)
{
	struct wire w = { *p + 5, *p + *len };

	if (*len < 6)
		return fail(reterr_why, why_no_frame);
	if (!looks_like_json(w.p, wire_left(&w)) && skip_indexes(&w, reterr_why) < 0)
		return -EBADMSG;
	*p = w.p;
	*len = wire_left(&w);
	return 0;
}

/* 0x00 and an id of 4 bytes, or 0x01 and one of 16; indexes where it is protobuf's. */
static int check_schema_header(const struct event_text *t, const char **reterr_why)
{
	size_t id = t->len && t->s[0] == 0 ? 5 : t->len && t->s[0] == 1 ? 17 : 0;
	struct wire w = { NULL, NULL };

	if (!id || t->len < id)
		return fail(reterr_why, why_schema_header);
	if (t->len == id)
		return 0;
	w.p = (const uint8_t *)t->s + id;
	w.end = (const uint8_t *)t->s + t->len;
	return skip_indexes(&w, reterr_why) < 0 || wire_left(&w) ? fail(reterr_why, why_schema_header) : 0;
}

/* --- CloudEvents --- */

static int begins(const struct event_text *t, const char *with)
{
	size_t n = strlen(with);

	return t->len >= n && strncasecmp(t->s, with, n) == 0;
}

/* Where the value of a header goes; NULL: nobody asks for it. */
static struct event_text *header_place(struct envelope *e, struct event_text *content, struct event_text *schema, const char *name)
{
	static const char *const names[] = { "specversion", "id", "source", "type", "time" };
	struct event_text *const places[] = { &e->specversion, &e->id, &e->source, &e->type, &e->time };

	if (strncmp(name, "ce_", 3) == 0) {
		for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
			if (strcmp(name + 3, names[i]) == 0)
				return places[i];
		return NULL;
	}
	if (strcmp(name, "__value_schema_id") == 0)
		return schema;
	return strcasecmp(name, "content-type") == 0 ? content : NULL;
}

int envelope_is_binary(const struct event_source *in)
{
	struct envelope e;
	struct event_text ignored;

	for (size_t i = 0; i < in->header_count; i++)
		if (header_place(&e, &ignored, &ignored, in->headers[i].name) == &e.specversion)
			return 1;
	return 0;
}

int envelope_headers(enum wrapping *ret, struct envelope *e, int *ret_schema, const struct event_source *in, const char **reterr_why)
{
	struct event_text content = { NULL, 0 }, schema = { NULL, 0 }, *to;

	*ret = WRAPPED_NOT;
	for (size_t i = 0; i < in->header_count; i++)
		if ((to = header_place(e, &content, &schema, in->headers[i].name)))
			*to = (struct event_text){ in->headers[i].value, in->headers[i].value ? in->headers[i].len : 0 };

	*ret_schema = schema.len > 0;
	if (*ret_schema && check_schema_header(&schema, reterr_why) < 0)
		return -EBADMSG;
	if (begins(&content, "application/cloudevents")) {
		*ret = WRAPPED_STRUCTURED;
		return begins(&content, "application/cloudevents+json") ? 0 : fail(reterr_why, why_cloudevents_kind);
	}
	if (e->specversion.len)
		*ret = WRAPPED_BINARY;
	return 0;
}

int envelope_check(const struct envelope *e, const char **reterr_why)
{
	if (!e->specversion.len || !e->id.len || !e->source.len || !e->type.len)
		return fail(reterr_why, why_no_cloudevent);
	return e->specversion.len == 3 && memcmp(e->specversion.s, "1.0", 3) == 0 ? 0 : fail(reterr_why, why_cloudevents_version);
}

/* id is one among those of source: "source id", since no source has a blank. */
int envelope_apply(struct raw_event *raw, const struct envelope *e, char *id, size_t id_size, const char **reterr_why)
{
	if (!raw->type.len)
		raw->type = e->type;
	if (!raw->has_time && e->time.len) {
		raw->has_time = 1;
		if (time_parse_iso8601(&raw->ts_ms, e->time.s, e->time.len) < 0)
			return fail(reterr_why, why_cloudevents_time);
	}
	if (raw->event_id.len)
		return 0;
	if (e->source.len >= id_size || e->id.len >= id_size - e->source.len) {
		*reterr_why = why_oversized;
		return -E2BIG;
	}
	memcpy(id, e->source.s, e->source.len);
	id[e->source.len] = ' ';
	memcpy(id + e->source.len + 1, e->id.s, e->id.len);
	raw->event_id = (struct event_text){ id, e->source.len + 1 + e->id.len };
	return 0;
}

/* --- base64 --- */

static int sextet(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 4648, with its padding. */
int base64_decode(uint8_t *ret, size_t *ret_len, const char *s, size_t len)
{
	size_t n = 0, padding = len && s[len - 1] == '=' ? 1 + (len > 1 && s[len - 2] == '=') : 0;
	uint32_t bits = 0;

	if (len % 4)
		return -EBADMSG;
	for (size_t i = 0; i < len - padding; i++) {
		int x = sextet(s[i]);

		if (x < 0)
			return -EBADMSG;
		bits = bits << 6 | (uint32_t)x;
		if (i % 4)
			ret[n++] = (uint8_t)(bits >> (6 - i % 4 * 2));
	}
	*ret_len = n;
	return 0;
}
