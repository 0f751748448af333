/* Rows as JSON, with the field names of topics/embedding.proto. One table per message serves both directions. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

#include "codec/arena.h"
#include "codec/embedding_private.h"
#include "codec/utf8.h"
#include "codec/wire.h"

enum type { U64, I64, U32, I32, BOOL, TEXT64, FLOATS, INT64S };

struct field {
	const char *name;
	enum type type;
	size_t offset; /* in the struct; unused for the arrays */
};

#define FIELD(s, type, name) { #name, type, offsetof(struct s, name) }

static const struct field embedding_fields[] = {
	{ "vector", FLOATS, 0 },
	FIELD(embedding, U64, version),
	FIELD(embedding, I64, event_time_ms),
	FIELD(embedding, U32, generation),
	FIELD(embedding, I32, prototype),
	{ 0 },
};

static const struct field version_fields[] = {
	FIELD(version, U64, version),
	FIELD(version, U64, step),
	FIELD(version, TEXT64, model_id),
	FIELD(version, TEXT64, space_id),
	FIELD(version, I64, watermark_ms),
	FIELD(version, I64, published_ms),
	{ "offsets", INT64S, 0 },
	FIELD(version, I32, partition),
	FIELD(version, U64, items),
	FIELD(version, U64, users),
	FIELD(version, U64, prototypes),
	FIELD(version, U64, total_items),
	FIELD(version, U64, total_users),
	FIELD(version, U64, total_prototypes),
	FIELD(version, U64, oldest_user_steps),
	FIELD(version, U32, dimension),
	FIELD(version, I64, freshness_p50_ms),
	FIELD(version, I64, freshness_p99_ms),
	FIELD(version, TEXT64, numeric_id),
	FIELD(version, BOOL, held),
	FIELD(version, TEXT64, held_why),
	FIELD(version, U64, gaps),
	FIELD(version, U64, gap_base),
	FIELD(version, U64, gap_step),
	{ 0 },
};

/* --- out --- */

static void put(struct wire_out *o, const char *s)
{
	wire_put(o, s, strlen(s));
}

static void put_i64(struct wire_out *o, int64_t v)
{
	char b[24];

	wire_put(o, b, (size_t)snprintf(b, sizeof(b), "%lld", (long long)v));
}

static void put_u64(struct wire_out *o, uint64_t v)
{
	char b[24];

	wire_put(o, b, (size_t)snprintf(b, sizeof(b), "%llu", (unsigned long long)v));
}

static void put_text(struct wire_out *o, const char *s)
{
	char b[8];

	put(o, "\"");
	for (; *s; s++) {
		if ((unsigned char)*s < 0x20)
			wire_put(o, b, (size_t)snprintf(b, sizeof(b), "\\u%04x", (unsigned)*s));
		else if (*s == '"' || *s == '\\')
			wire_put(o, b, (size_t)snprintf(b, sizeof(b), "\\%c", *s));
		else
			wire_put(o, s, 1);
	}
	put(o, "\"");
}

/* Nine digits name every float exactly. */
static void put_floats(struct wire_out *o, const float *x, size_t n)
{
	char b[24];

	put(o, "[");
	for (size_t i = 0; i < n; i++) {
		put(o, i ? "," : "");
		wire_put(o, b, (size_t)snprintf(b, sizeof(b), "%.9g", (double)x[i]));
	}
	put(o, "]");
}

static void put_int64s(struct wire_out *o, const int64_t *x, size_t n)
{
	put(o, "[");
	for (size_t i = 0; i < n; i++) {
		put(o, i ? "," : "");
		put_i64(o, x[i]);
	}
	put(o, "]");
}

static void put_field(struct wire_out *o, const struct field *f, const char *p, const struct embedding *e, const struct version *v)
{
	switch (f->type) {
	case U64: put_u64(o, *(const uint64_t *)p); break;
	case I64: put_i64(o, *(const int64_t *)p); break;
	case U32: put_u64(o, *(const uint32_t *)p); break;
	case I32: put_i64(o, *(const int32_t *)p); break;
	case BOOL: put(o, *(const int *)p ? "true" : "false"); break;
	case TEXT64: put_text(o, p); break;
	case FLOATS: put_floats(o, e->vector, e->D); break;
	case INT64S: put_int64s(o, v->offsets, v->offset_count); break;
	}
}

static int encode(void *ret, size_t size, size_t *ret_len, const struct field *f, const void *row, const struct embedding *e,
                  const struct version *v)
{
	struct wire_out o = { ret, size, 0 };

	put(&o, "{");
	for (int first = 1; f->name; f++, first = 0) {
		put(&o, first ? "\"" : ",\"");
		put(&o, f->name);
		put(&o, "\":");
		put_field(&o, f, (const char *)row + f->offset, e, v);
	}
	put(&o, "}");

	*ret_len = o.len;
	return o.len > size ? -ENOSPC : 0;
}

int embedding_json_encode(void *ret, size_t size, size_t *ret_len, const struct embedding *e)
{
	return encode(ret, size, ret_len, embedding_fields, e, e, NULL);
}

int version_json_encode(void *ret, size_t size, size_t *ret_len, const struct version *v)
{
	return encode(ret, size, ret_len, version_fields, v, NULL, v);
}

/* --- in --- */

struct in {
	const struct field *fields, *field; /* field: of the last key at the top; NULL = unknown, skipped */
	char *row;
	unsigned depth;
	int error;
	float *floats;
	int64_t *ints;
	size_t count, max; /* of the row's array */
};

#define DEPTH_MAX 16

static int stop(struct in *in, int r)
{
	in->error = r;
	return 0;
}

static int is_array(const struct field *f)
{
	return f->type == FLOATS || f->type == INT64S;
}

static int integer(struct in *in, const char *b, char *p)
{
	char *end;

	errno = 0;
	if (in->field->type == U64) {
		uint64_t u = strtoull(b, &end, 10);

		if (*end || errno || *b == '-')
			return stop(in, -EBADMSG);
		memcpy(p, &u, 8);
	} else {
		int64_t v = strtoll(b, &end, 10);
		int32_t narrow = (int32_t)(uint32_t)v; /* the same four bytes for U32 and I32 */

		if (*end || errno)
			return stop(in, -EBADMSG);
		if ((in->field->type == U32 && (v < 0 || v > UINT32_MAX)) || (in->field->type == I32 && (v < INT32_MIN || v > INT32_MAX)))
			return stop(in, -EBADMSG);
		if (in->field->type == I64)
			memcpy(p, &v, 8);
		else
			memcpy(p, &narrow, 4);
	}
	return 1;
}

static int element(struct in *in, const char *b)
{
	char *end;

	if (in->count == in->max)
		return stop(in, -E2BIG);

	errno = 0;
	if (in->field->type == FLOATS) {
		in->floats[in->count++] = strtof(b, &end);
		return *end ? stop(in, -EBADMSG) : 1;
	}
	in->ints[in->count++] = strtoll(b, &end, 10);
	return *end || errno ? stop(in, -EBADMSG) : 1;
}

static int on_number(void *ctx, const char *s, size_t len)
{
	struct in *in = ctx;
	char b[64];

	if (in->depth == 0)
		return stop(in, -EBADMSG);
	if (!in->field || (in->depth > 1 && !(is_array(in->field) && in->depth == 2)))
		return in->depth > 1 && in->field ? stop(in, -EBADMSG) : 1;
	if (len >= sizeof(b) || is_array(in->field) != (in->depth == 2) || in->field->type == TEXT64 || in->field->type == BOOL)
		return stop(in, -EBADMSG);

	memcpy(b, s, len);
	b[len] = 0;
	return in->depth == 2 ? element(in, b) : integer(in, b, in->row + in->field->offset);
}

static int on_string(void *ctx, const unsigned char *s, size_t len)
{
	struct in *in = ctx;
	char *p;

	if (in->depth && !in->field)
		return 1;
	if (in->depth != 1 || in->field->type != TEXT64 || !utf8_valid((const char *)s, len))
		return stop(in, -EBADMSG);
	if (len >= 64)
		return stop(in, -E2BIG);

	p = in->row + in->field->offset;
	memcpy(p, s, len);
	p[len] = 0;
	return 1;
}

static int on_boolean(void *ctx, int b)
{
	struct in *in = ctx;

	if (in->depth && !in->field)
		return 1;
	if (in->depth != 1 || in->field->type != BOOL)
		return stop(in, -EBADMSG);
	memcpy(in->row + in->field->offset, &b, sizeof(b));
	return 1;
}

static int on_null(void *ctx)
{
	struct in *in = ctx;

	return in->depth <= 1 ? 1 : in->field ? stop(in, -EBADMSG) : 1;
}

static int on_start_map(void *ctx)
{
	struct in *in = ctx;

	if ((in->depth > 0 && in->field) || in->depth == DEPTH_MAX)
		return stop(in, -EBADMSG);
	in->depth++;
	return 1;
}

static int on_start_array(void *ctx)
{
	struct in *in = ctx;

	if (in->depth == 0 || in->depth == DEPTH_MAX || (in->field && !(in->depth == 1 && is_array(in->field))))
		return stop(in, -EBADMSG);
	if (in->field)
		in->count = 0; /* a name that comes twice: the last one counts */
	in->depth++;
	return 1;
}

static int on_map_key(void *ctx, const unsigned char *s, size_t len)
{
	struct in *in = ctx;

	if (in->depth != 1)
		return 1;
	in->field = NULL;
	for (const struct field *f = in->fields; f->name; f++) {
		if (strlen(f->name) == len && memcmp(f->name, s, len) == 0)
			in->field = f;
	}
	return 1;
}

static int on_end(void *ctx)
{
	struct in *in = ctx;

	in->depth--;
	return 1;
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_start_map,
	.yajl_map_key = on_map_key,
	.yajl_end_map = on_end,
	.yajl_start_array = on_start_array,
	.yajl_end_array = on_end,
};

/* Rows have no text longer than 63 bytes, so yajl's memory fits the stack; a text with escapes that does not is no row of ours. */
static int decode(struct in *in, const void *buf, size_t len)
{
	_Alignas(16) char memory[16384];
	struct arena a = { .base = memory, .size = sizeof(memory) };
	yajl_alloc_funcs funcs = arena_yajl_funcs(&a);
	yajl_handle h;

	if (setjmp(a.full))
		return -E2BIG;

	h = yajl_alloc(&callbacks, &funcs, in);
	if (yajl_parse(h, buf, len) != yajl_status_ok || yajl_complete_parse(h) != yajl_status_ok)
		return in->error ? in->error : -EBADMSG;
	return 0;
}

int embedding_json_decode(struct embedding *ret, float *vec, size_t D_max, const void *buf, size_t len)
{
	struct in in = { .fields = embedding_fields, .row = (char *)ret, .floats = vec, .max = D_max };
	int r = decode(&in, buf, len);

	ret->D = in.count;
	return r;
}

int version_json_decode(struct version *ret, size_t offset_max, const void *buf, size_t len)
{
	struct in in = { .fields = version_fields, .row = (char *)ret, .ints = ret->offsets, .max = offset_max };
	int r = decode(&in, buf, len);

	ret->offset_count = in.count;
	return r;
}
