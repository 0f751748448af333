/* embedding_encode.c - rows and version records to bytes: see embedding.h. */
#include "codec/embedding.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "codec/embedding_private.h"
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
	if (embedding_check_finite(e->vector, e->D) < 0)
		return -ERANGE;

	return f == EMBEDDING_JSON ? embedding_json_encode(ret, size, ret_len, e) : encode_protobuf(ret, size, ret_len, f, e);
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
