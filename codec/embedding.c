#include "codec/embedding.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "codec/embedding_private.h"
#include "codec/read.h"
#include "topics/embedding.pb-c.h"

/* --- int8 --- */

/* Outside these, scale = max / 127 would lose its bits (denormal) or its products their finiteness. */
#define INT8_MAX_TINY 1e-30f
#define INT8_MAX_HUGE 1e37f

static float int8_scale(const float *x, size_t D)
{
	float max = 0.0f;

	for (size_t i = 0; i < D; i++)
		max = fmaxf(max, fabsf(x[i]));
	return max < INT8_MAX_TINY ? 0.0f : max / 127.0f;
}

/* scale 0 = all zero; on the wire it is then 1, because readers may rely on scale > 0. */
static int8_t int8_of(float x, float scale)
{
	float q = scale > 0.0f ? rintf(x / scale) : 0.0f;

	return (int8_t)(q > 127.0f ? 127.0f : q < -127.0f ? -127.0f : q);
}

void embedding_roundtrip(float *out, const float *x, size_t D, enum embedding_format f)
{
	float scale;

	if (f != EMBEDDING_INT8) {
		memmove(out, x, D * sizeof(*x));
		return;
	}

	scale = int8_scale(x, D);
	for (size_t i = 0; i < D; i++)
		out[i] = (float)int8_of(x[i], scale) * scale;
}

/* --- embedding --- */

static int check_finite(const float *x, size_t D)
{
	for (size_t i = 0; i < D; i++) {
		if (!isfinite(x[i]))
			return -ERANGE;
	}
	return 0;
}

/* protobuf-c packs without allocating. */
static int encode_protobuf(void *ret, size_t size, size_t *ret_len, enum embedding_format f, const struct embedding *e)
{
	S4rec__Embedding m = S4REC__EMBEDDING__INIT;
	int8_t q[EMBEDDING_INT8_D_MAX];
	float scale;

	m.version = e->version;
	m.event_time_ms = e->event_time_ms;
	m.generation = e->generation;
	m.prototype = e->prototype;
	if (f == EMBEDDING_FLOAT32) {
		m.n_vector = e->D;
		m.vector = (float *)e->vector;
	} else {
		scale = int8_scale(e->vector, e->D);
		if (e->D > EMBEDDING_INT8_D_MAX)
			return -E2BIG;
		if (scale > INT8_MAX_HUGE / 127.0f)
			return -ERANGE;
		for (size_t i = 0; i < e->D; i++)
			q[i] = int8_of(e->vector[i], scale);
		m.int8.len = e->D;
		m.int8.data = (uint8_t *)q;
		m.scale = scale > 0.0f ? scale : 1.0f;
	}

	*ret_len = s4rec__embedding__get_packed_size(&m);
	if (*ret_len > size)
		return -ENOSPC;

	s4rec__embedding__pack(&m, ret);
	return 0;
}

int embedding_encode(void *ret, size_t size, size_t *ret_len, enum embedding_format f, const struct embedding *e)
{
	if (e->D == 0)
		return -EINVAL;
	if (check_finite(e->vector, e->D) < 0)
		return -ERANGE;

	return f == EMBEDDING_JSON ? embedding_json_encode(ret, size, ret_len, e) : encode_protobuf(ret, size, ret_len, f, e);
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
	if (e.D == 0 || check_finite(vec, e.D) < 0)
		return -EBADMSG;

	*ret = e;
	return 0;
}

/* --- version --- */

int version_encode(void *ret, size_t size, size_t *ret_len, enum embedding_format f, const struct version *v)
{
	S4rec__Version m = S4REC__VERSION__INIT;

	if (f == EMBEDDING_JSON)
		return version_json_encode(ret, size, ret_len, v);

	m.version = v->version;
	m.step = v->step;
	m.model_id = (char *)v->model_id;
	m.space_id = (char *)v->space_id;
	m.watermark_ms = v->watermark_ms;
	m.published_ms = v->published_ms;
	m.n_offsets = v->offset_count;
	m.offsets = v->offsets;
	m.partition = v->partition;
	m.items = v->items;
	m.users = v->users;
	m.prototypes = v->prototypes;
	m.total_items = v->total_items;
	m.total_users = v->total_users;
	m.total_prototypes = v->total_prototypes;
	m.oldest_user_steps = v->oldest_user_steps;
	m.dimension = v->dimension;
	m.freshness_p50_ms = v->freshness_p50_ms;
	m.freshness_p99_ms = v->freshness_p99_ms;
	m.numeric_id = (char *)v->numeric_id;
	m.held = v->held != 0;
	m.held_why = (char *)v->held_why;
	m.gaps = v->gaps;
	m.gap_base = v->gap_base;
	m.gap_step = v->gap_step;

	*ret_len = s4rec__version__get_packed_size(&m);
	if (*ret_len > size)
		return -ENOSPC;

	s4rec__version__pack(&m, ret);
	return 0;
}

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
