/* embedding.c - rows and version records from bytes, and the keys of both. Writing them is embedding_encode.c: readers need no protobuf library. */
#include "codec/embedding.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "codec/embedding_private.h"
#include "codec/read.h"

int embedding_check_finite(const float *x, size_t D)
{
	for (size_t i = 0; i < D; i++) {
		if (!isfinite(x[i]))
			return -ERANGE;
	}
	return 0;
}

struct embedding_in {
	struct embedding *e;
	float *vec;
	size_t D_max;
	const char *int8; /* coordinates before they are scaled */
	size_t int8_len;
	float scale;
};

/* Field numbers: topics/embedding.proto. */
static int embedding_field(void *message, struct wire *w, uint64_t tag)
{
	struct embedding_in *in = message;
	struct embedding *e = in->e;

	switch (tag >> 3) {
	case 1: return read_floats(w, tag, in->vec, &e->D, in->D_max);
	case 2: return (tag & 7) == WIRE_BYTES ? wire_bytes(w, &in->int8, &in->int8_len) : -EBADMSG;
	case 3: return (tag & 7) == WIRE_FIXED32 ? wire_float(w, &in->scale) : -EBADMSG;
	case 4: return read_u64(w, tag, &e->version);
	case 5: return read_i64(w, tag, &e->event_time_ms);
	case 6: return read_u32(w, tag, &e->generation);
	case 7: return read_i32(w, tag, &e->prototype);
	default: return wire_skip(w, tag);
	}
}

static int expand_int8(struct embedding_in *in)
{
	if (in->e->D > 0 || !(in->scale > 0.0f))
		return -EBADMSG;
	if (in->int8_len > in->D_max)
		return -E2BIG;

	for (size_t i = 0; i < in->int8_len; i++)
		in->vec[i] = (float)(int8_t)in->int8[i] * in->scale;
	in->e->D = in->int8_len;
	in->e->int8 = (const int8_t *)in->int8;
	in->e->scale = in->scale;
	return 0;
}

static int decode_protobuf(struct embedding *e, float *vec, size_t D_max, const void *buf, size_t len)
{
	struct embedding_in in = { .e = e, .vec = vec, .D_max = D_max };
	int r = read_message(buf, len, embedding_field, &in);

	return r == 0 && in.int8_len ? expand_int8(&in) : r;
}

int embedding_decode(struct embedding *ret, float *vec, size_t D_max, const void *buf, size_t len)
{
	struct embedding e = { .vector = vec };
	int r;

	if (len == 0)
		return -EBADMSG;

	r = *(const char *)buf == '{' ? embedding_json_decode(&e, vec, D_max, buf, len) : decode_protobuf(&e, vec, D_max, buf, len);
	if (r < 0)
		return r;
	if (e.D == 0 || embedding_check_finite(vec, e.D) < 0)
		return -EBADMSG;

	*ret = e;
	return 0;
}

/* --- version --- */

struct version_in { struct version version; size_t offset_max; };

static int version_field(void *message, struct wire *w, uint64_t tag)
{
	struct version_in *in = message;
	struct version *v = &in->version;

	switch (tag >> 3) {
	case 1: return read_u64(w, tag, &v->version);
	case 2: return read_u64(w, tag, &v->step);
	case 3: return read_text(w, tag, v->model_id, sizeof(v->model_id));
	case 4: return read_text(w, tag, v->space_id, sizeof(v->space_id));
	case 5: return read_i64(w, tag, &v->watermark_ms);
	case 6: return read_i64(w, tag, &v->published_ms);
	case 7: return read_int64s(w, tag, v->offsets, &v->offset_count, in->offset_max);
	case 8: return read_i32(w, tag, &v->partition);
	case 9: return read_u64(w, tag, &v->items);
	case 10: return read_u64(w, tag, &v->users);
	case 11: return read_u64(w, tag, &v->prototypes);
	case 12: return read_u64(w, tag, &v->total_items);
	case 13: return read_u64(w, tag, &v->total_users);
	case 14: return read_u64(w, tag, &v->total_prototypes);
	case 15: return read_u64(w, tag, &v->oldest_user_steps);
	case 16: return read_u32(w, tag, &v->dimension);
	case 17: return read_i64(w, tag, &v->freshness_p50_ms);
	case 18: return read_i64(w, tag, &v->freshness_p99_ms);
	case 19: return read_text(w, tag, v->numeric_id, sizeof(v->numeric_id));
	case 21: return read_bool(w, tag, &v->held);
	case 22: return read_text(w, tag, v->held_why, sizeof(v->held_why));
	case 20: return read_u64(w, tag, &v->gaps);
	case 23: return read_u64(w, tag, &v->gap_base);
	case 24: return read_u64(w, tag, &v->gap_step);
	default: return wire_skip(w, tag);
	}
}

int version_decode(struct version *ret, int64_t *offsets, size_t offset_max, const void *buf, size_t len)
{
	struct version_in in = { .version = { .offsets = offsets }, .offset_max = offset_max };
	int r = -EBADMSG;

	if (len && *(const char *)buf == '{')
		r = version_json_decode(&in.version, offset_max, buf, len);
	else if (len)
		r = read_message(buf, len, version_field, &in);
	if (r == 0)
		*ret = in.version;
	return r;
}

/* --- keys --- */

static const char *const row_prefix[ROW_KINDS] = {
	[ROW_ITEM] = "item/", [ROW_USER] = "user/", [ROW_PROTOTYPE] = "prototype/", [ROW_MODEL] = "model",
};

int row_key(char *ret, size_t size, size_t *ret_len, enum row_kind kind, const char *id, size_t id_len)
{
	size_t n = strlen(row_prefix[kind]);

	if (kind == ROW_MODEL)
		id_len = 0;

	*ret_len = n + id_len;
	if (id_len > size || n > size - id_len)
		return -ENOSPC;

	memcpy(ret, row_prefix[kind], n);
	if (id_len)
		memcpy(ret + n, id, id_len);
	return 0;
}

static int is_number(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return 0;
	}
	return len > 0 && len < 10;
}

int row_key_parse(enum row_kind *ret_kind, const char **ret_id, size_t *ret_id_len, const void *key, size_t len)
{
	for (int kind = 0; kind < ROW_KINDS; kind++) {
		size_t n = strlen(row_prefix[kind]);
		const char *id;

		if (len < n || memcmp(key, row_prefix[kind], n) != 0)
			continue;

		id = (const char *)key + n;
		if (kind == ROW_MODEL ? len > n : len == n)
			return -EBADMSG; /* model has no id, all others have one */
		if (kind == ROW_PROTOTYPE ? !is_number(id, len - n) : !utf8_valid(id, len - n))
			return -EBADMSG;

		*ret_kind = (enum row_kind)kind;
		*ret_id = id;
		*ret_id_len = len - n;
		return 0;
	}
	return -EBADMSG;
}
