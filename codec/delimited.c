#include "codec/delimited.h"

#include <errno.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "codec/event_private.h"

#define LINE_MAX_DEFAULT 65536
#define COLUMNS_MAX 4096

struct delimited {
	char separator;
	size_t column_count;
	int column[FIELD_COUNT]; /* where each field is; -1 = not in this file */
	enum event_time_unit time_unit;
	size_t line_max_bytes;
	struct event_limits limits;
	struct types *types; /* NULL: all count alike */
	char *scratch; /* (line_max_bytes) quoted fields without their quotes */
};

/* --- one field after the other --- */

struct cursor {
	const char *p, *end;
	char separator;
	char *scratch;
	int done;
};

/* RFC 4180: "a ""b""" is a "b". Text after the closing quote is an error. */
static int quoted_field(struct cursor *c, struct event_text *ret)
{
	char *out = c->scratch;

	for (c->p++;; c->p++) {
		if (c->p == c->end)
			return -EBADMSG; /* not closed; a newline inside quotes is not supported */
		if (*c->p == '"') {
			if (c->end - c->p < 2 || c->p[1] != '"')
				break;
			c->p++;
		}
		*out++ = *c->p;
	}
	c->p++;
	if (c->p < c->end && *c->p != c->separator)
		return -EBADMSG;

	*ret = (struct event_text){ c->scratch, (size_t)(out - c->scratch) };
	c->scratch = out;
	return 0;
}

/* 1 = a field, 0 = the line is over, -EBADMSG. */
static int next_field(struct cursor *c, struct event_text *ret)
{
	const char *sep;

	if (c->done)
		return 0;

	if (c->separator != '\t' && c->p < c->end && *c->p == '"') {
		if (quoted_field(c, ret) < 0)
			return -EBADMSG;
	} else {
		sep = c->p < c->end ? memchr(c->p, c->separator, (size_t)(c->end - c->p)) : NULL;
		*ret = (struct event_text){ c->p, (size_t)((sep ? sep : c->end) - c->p) };
		c->p = sep ? sep : c->end;
	}

	if (c->p == c->end)
		c->done = 1;
	else
		c->p++;
	return 1;
}

static struct cursor cursor_at(const struct delimited *p, const char *line, size_t len)
{
	if (len && line[len - 1] == '\r')
		len--;
	return (struct cursor){ line, line + len, p->separator, p->scratch, 0 };
}

/* --- the header --- */

/* Which of "a|b,c" this column is (0, 1, ...), or -1. */
static int alternative_of(const char *spec, const struct event_text *name)
{
	for (int i = 0;; i++) {
		while (*spec == ' ')
			spec++;
		size_t n = strcspn(spec, "|,");

		if (n && n == name->len && strncasecmp(spec, name->s, n) == 0)
			return i;
		if (!spec[n])
			return -1;
		spec += n + 1;
	}
}

static int find_columns(struct delimited *p, const char *const spec[FIELD_COUNT], const char *header, size_t len)
{
	struct cursor c = cursor_at(p, header, len);
	int best[FIELD_COUNT];
	struct event_text name;
	int r;

	while ((r = next_field(&c, &name)) > 0) {
		if (p->column_count == COLUMNS_MAX)
			return -EBADMSG;
		while (name.len && name.s[0] == ' ')
			name.s++, name.len--;
		while (name.len && name.s[name.len - 1] == ' ')
			name.len--;

		for (int f = 0; f < FIELD_COUNT; f++) {
			int i = spec[f] ? alternative_of(spec[f], &name) : -1;

			if (i >= 0 && (p->column[f] < 0 || i < best[f])) {
				p->column[f] = (int)p->column_count;
				best[f] = i;
			}
		}
		p->column_count++;
	}
	return r;
}

static char find_separator(const char *header, size_t len)
{
	return memchr(header, '\t', len) ? '\t' : memchr(header, ',', len) ? ',' : memchr(header, ';', len) ? ';' : ',';
}

static int check_columns(const struct delimited *p, const char *const spec[FIELD_COUNT], const char *header, size_t len,
                         char *reterr_why, size_t why_size)
{
	for (int f = 0; f < FIELD_COUNT; f++) {
		int required = f == FIELD_USER || f == FIELD_ITEM || f == FIELD_TIME || (f >= FIELD_ATTRIBUTE && spec[f]);

		if (required && p->column[f] < 0) {
			snprintf(reterr_why, why_size, "no column %s in the header: %.*s", spec[f], (int)(len < 500 ? len : 500), header);
			return -EBADMSG;
		}
	}
	return 0;
}

int delimited_new(struct delimited **ret, const struct delimited_options *o, const char *header, size_t len,
                  char *reterr_why, size_t why_size)
{
	const char *spec[FIELD_COUNT] = {
		[FIELD_USER] = o->user ? o->user : "user_id|user|userId",
		[FIELD_ITEM] = o->item ? o->item : "item_id|item|itemId|click_article_id",
		[FIELD_TIME] = o->time ? o->time : "timestamp|time|event_time_ms|click_timestamp",
		[FIELD_TYPE] = o->type ? o->type : "type|event|event_type",
		[FIELD_WEIGHT] = o->weight ? o->weight : "weight",
		[FIELD_EVENT_ID] = o->event_id ? o->event_id : "event_id",
	};
	const char *why = "";
	char *attributes = NULL, *item_attributes = NULL;
	struct delimited *p;
	int r;

	if (len == 0)
		header = ""; /* it may be NULL */
	if (len >= 3 && memcmp(header, "\xef\xbb\xbf", 3) == 0)
		header += 3, len -= 3; /* byte order mark */
	while (len && (header[len - 1] == '\n' || header[len - 1] == '\r'))
		len--;

	p = calloc(1, sizeof(*p));
	if (!p)
		goto no_memory;

	p->time_unit = o->time_unit;
	p->line_max_bytes = o->line_max_bytes ? o->line_max_bytes : LINE_MAX_DEFAULT;
	p->limits = (struct event_limits){ .id_max_bytes = o->id_max_bytes ? o->id_max_bytes : ID_MAX_DEFAULT,
		.weight_max = o->weight_max > 0 ? o->weight_max : (double)FLT_MAX };
	p->separator = find_separator(header, len);
	for (int f = 0; f < FIELD_COUNT; f++)
		p->column[f] = -1;

	p->scratch = malloc(p->line_max_bytes);
	if (!p->scratch)
		goto no_memory;

	if (types_new(&p->types, o->type_weights, o->types_only_ignore, &why) < 0 ||
	    attributes_split(&attributes, spec + FIELD_ATTRIBUTE, o->attributes, &why) < 0 ||
	    attributes_split(&item_attributes, spec + FIELD_ITEM_ATTRIBUTE, o->item_attributes, &why) < 0) {
		snprintf(reterr_why, why_size, "%s", why);
		r = -EBADMSG;
		goto out;
	}
	r = len <= p->line_max_bytes ? find_columns(p, spec, header, len) : -EBADMSG;
	if (r < 0)
		snprintf(reterr_why, why_size, "the header line is broken or longer than %zu bytes", p->line_max_bytes);
	else
		r = check_columns(p, spec, header, len, reterr_why, why_size);
out:
	free(attributes);
	free(item_attributes);
	if (r < 0) {
		delimited_free(p);
		return r;
	}

	*ret = p;
	return 0;

no_memory:
	delimited_free(p);
	snprintf(reterr_why, why_size, "out of memory");
	return -ENOMEM;
}

void delimited_free(struct delimited *p)
{
	if (!p)
		return;
	types_free(p->types);
	free(p->scratch);
	free(p);
}

/* --- a line --- */

static int to_raw(struct raw_event *raw, const struct event_text field[FIELD_COUNT], enum event_time_unit unit)
{
	const struct event_text *time = &field[FIELD_TIME], *weight = &field[FIELD_WEIGHT];

	raw->user = field[FIELD_USER];
	raw->item = field[FIELD_ITEM];
	raw->type = field[FIELD_TYPE];
	raw->event_id = field[FIELD_EVENT_ID];
	memcpy(raw->attribute, field + FIELD_ATTRIBUTE, sizeof raw->attribute);
	memcpy(raw->item_attribute, field + FIELD_ITEM_ATTRIBUTE, sizeof raw->item_attribute);
	if (time->len) {
		raw->has_time = 1;
		if (time_parse(&raw->ts_ms, time->s, time->len, unit) < 0)
			return -EBADMSG;
	}
	if (weight->len) {
		raw->has_weight = 1;
		if (number_parse(&raw->weight, weight->s, weight->len) < 0)
			return -EBADMSG;
	}
	return 0;
}

int delimited_decode(struct delimited *p, struct event *ret, const char *line, size_t len, const char **reterr_why)
{
	struct event_text field[FIELD_COUNT] = { 0 }, t;
	struct raw_event raw = { 0 };
	struct cursor c;
	size_t n = 0;
	int r;

	if (len > p->line_max_bytes) {
		*reterr_why = why_oversized;
		return -E2BIG;
	}

	c = cursor_at(p, len ? line : "", len);
	while ((r = next_field(&c, &t)) > 0) {
		for (int f = 0; f < FIELD_COUNT; f++) {
			if (p->column[f] == (int)n)
				field[f] = t;
		}
		n++;
	}

	/* more or fewer fields than the header: a separator that should have been quoted; guessing would mix up columns */
	if (r < 0 || n != p->column_count || to_raw(&raw, field, p->time_unit) < 0) {
		*reterr_why = why_undecodable;
		return -EBADMSG;
	}
	if (types_apply(p->types, &raw)) {
		*ret = (struct event){ .user = "", .item = "", .type = "", .event_id = "", .ignored = 1 };
		return 0;
	}
	return event_finish(ret, &raw, &p->limits, -1, reterr_why);
}
