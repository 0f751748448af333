#include "codec/state.h"

#include <errno.h>
#include <string.h>

#include "codec/read.h"
#include "codec/wire.h"

/* ---- writing ---- */

static void put_number(struct wire_out *o, unsigned field, uint64_t v)
{
	if (v == 0)
		return; /* proto3: a default is not written */
	wire_put_varint(o, WIRE_TAG(field, WIRE_VARINT));
	wire_put_varint(o, v);
}

static void put_floats(struct wire_out *o, unsigned field, const float *x, size_t n)
{
	wire_put_string(o, field, (const char *)x, n * sizeof *x);
}

static void put_double(struct wire_out *o, unsigned field, double x)
{
	if (x == 0)
		return;
	wire_put_varint(o, WIRE_TAG(field, WIRE_FIXED64));
	wire_put(o, &x, sizeof x);
}

static int finish(const struct wire_out *o, size_t *ret_len)
{
	*ret_len = o->len;
	return o->len > o->size ? -ENOSPC : 0;
}

int item_state_encode(void *ret, size_t size, size_t *ret_len, const struct item_state *s)
{
	struct wire_out o = { ret, size, 0 };

	put_number(&o, 1, s->row);
	put_floats(&o, 2, s->values, s->values_n);
	put_number(&o, 3, s->row_step);
	put_floats(&o, 4, s->published, s->published_n);
	put_number(&o, 5, s->published_step);
	put_number(&o, 6, (uint64_t)s->event_time_ms);
	put_double(&o, 7, s->popularity);
	return finish(&o, ret_len);
}

static size_t varint_len(uint64_t v)
{
	size_t n = 1;

	for (; v >= 0x80; v >>= 7)
		n++;
	return n;
}

int user_state_encode(void *ret, size_t size, size_t *ret_len, const struct user_state *s)
{
	struct wire_out o = { ret, size, 0 };
	size_t bytes = 0;
	int plain = 1;

	for (size_t i = 0; i < s->n; i++) {
		bytes += varint_len(s->items[i]);
		plain &= s->weights[i] == 1;
	}
	put_number(&o, 1, s->row);
	if (s->n) {
		wire_put_varint(&o, WIRE_TAG(2, WIRE_BYTES));
		wire_put_varint(&o, bytes);
	}
	for (size_t i = 0; i < s->n; i++)
		wire_put_varint(&o, s->items[i]);
	put_floats(&o, 3, s->weights, plain ? 0 : s->n);
	put_number(&o, 4, s->events);
	put_number(&o, 5, (uint64_t)s->newest_ms);
	put_number(&o, 6, s->published != 0);
	put_number(&o, 7, s->encoded_step);
	return finish(&o, ret_len);
}

int dense_state_encode(void *ret, size_t size, size_t *ret_len, const void *data, size_t data_len)
{
	struct wire_out o = { ret, size, 0 };

	wire_put_string(&o, 1, data, data_len);
	return finish(&o, ret_len);
}

int manifest_encode(void *ret, size_t size, size_t *ret_len, const struct manifest *m)
{
	struct wire_out o = { ret, size, 0 };
	size_t bytes = 0;

	wire_put_string(&o, 1, m->model_id, strlen(m->model_id));
	wire_put_string(&o, 2, m->run_id, strlen(m->run_id));
	wire_put_string(&o, 3, m->numeric_id, strlen(m->numeric_id));
	for (size_t i = 0; i < m->partitions; i++)
		bytes += varint_len((uint64_t)m->offsets[i]);
	if (bytes) {
		wire_put_varint(&o, WIRE_TAG(4, WIRE_BYTES));
		wire_put_varint(&o, bytes);
	}
	for (size_t i = 0; i < m->partitions; i++)
		wire_put_varint(&o, (uint64_t)m->offsets[i]);
#define PUT(field, name) put_number(&o, field, m->name);
	MANIFEST_NUMBERS(PUT)
#undef PUT
	return finish(&o, ret_len);
}

/* ---- reading ---- */

static int read_double(struct wire *w, uint64_t tag, double *ret)
{
	if ((tag & 7) != WIRE_FIXED64 || wire_left(w) < sizeof *ret)
		return -EBADMSG;
	memcpy(ret, w->p, sizeof *ret);
	w->p += sizeof *ret;
	return 0;
}

/* Packed floats into room behind *used; a field may come only once. */
static int read_packed(struct wire *w, uint64_t tag, const float **ret, size_t *ret_n, float *room, size_t room_n, size_t *used)
{
	const char *p;
	size_t len;

	if ((tag & 7) != WIRE_BYTES || wire_bytes(w, &p, &len) < 0 || len % sizeof(float) || *ret_n)
		return -EBADMSG;
	if (len / sizeof(float) > room_n - *used)
		return -E2BIG;
	memcpy(room + *used, p, len);
	*ret = room + *used;
	*ret_n = len / sizeof(float);
	*used += *ret_n;
	return 0;
}

static struct wire over(const void *buf, size_t len)
{
	return (struct wire){ buf, (const uint8_t *)buf + len };
}

int item_state_decode(struct item_state *ret, float *room, size_t room_n, const void *buf, size_t len)
{
	struct item_state s = { 0 };
	struct wire w = over(buf, len);
	uint64_t tag;
	size_t used = 0;
	int r = 0;

	while (r == 0 && w.p < w.end) {
		if (wire_varint(&w, &tag) < 0)
			return -EBADMSG;
		switch (tag >> 3) {
		case 1: r = read_u32(&w, tag, &s.row); break;
		case 2: r = read_packed(&w, tag, &s.values, &s.values_n, room, room_n, &used); break;
		case 3: r = read_u64(&w, tag, &s.row_step); break;
		case 4: r = read_packed(&w, tag, &s.published, &s.published_n, room, room_n, &used); break;
		case 5: r = read_u64(&w, tag, &s.published_step); break;
		case 6: r = read_i64(&w, tag, &s.event_time_ms); break;
		case 7: r = read_double(&w, tag, &s.popularity); break;
		default: r = wire_skip(&w, tag);
		}
	}
	if (r == 0)
		*ret = s;
	return r;
}

static int read_rows(struct wire *w, uint64_t tag, uint32_t *ret, size_t *n, size_t max)
{
	struct wire sub;
	uint64_t v;

	if ((tag & 7) != WIRE_BYTES || wire_sub(w, &sub) < 0)
		return -EBADMSG;
	while (sub.p < sub.end) {
		if (wire_varint(&sub, &v) < 0 || v > UINT32_MAX)
			return -EBADMSG;
		if (*n == max)
			return -E2BIG;
		ret[(*n)++] = (uint32_t)v;
	}
	return 0;
}

int user_state_decode(struct user_state *ret, uint32_t *items, float *weights, size_t n_max, const void *buf, size_t len)
{
	struct user_state s = { .items = items, .weights = weights };
	struct wire w = over(buf, len);
	const float *got = NULL;
	size_t got_n = 0, used = 0;
	uint64_t tag;
	int r = 0;

	while (r == 0 && w.p < w.end) {
		if (wire_varint(&w, &tag) < 0)
			return -EBADMSG;
		switch (tag >> 3) {
		case 1: r = read_u32(&w, tag, &s.row); break;
		case 2: r = read_rows(&w, tag, items, &s.n, n_max); break;
		case 3: r = read_packed(&w, tag, &got, &got_n, weights, n_max, &used); break;
		case 4: r = read_u32(&w, tag, &s.events); break;
		case 5: r = read_i64(&w, tag, &s.newest_ms); break;
		case 6: r = read_bool(&w, tag, &s.published); break;
		case 7: r = read_u64(&w, tag, &s.encoded_step); break;
		default: r = wire_skip(&w, tag);
		}
	}
	if (r < 0)
		return r;
	if (got_n && got_n != s.n)
		return -EBADMSG;

	for (size_t i = got_n; i < s.n; i++)
		weights[i] = 1;
	*ret = s;
	return 0;
}

int dense_state_decode(const void **ret_data, size_t *ret_data_len, const void *buf, size_t len)
{
	struct wire w = over(buf, len);
	const char *data = NULL;
	size_t n = 0;
	uint64_t tag;
	int r = 0;

	while (r == 0 && w.p < w.end) {
		if (wire_varint(&w, &tag) < 0)
			return -EBADMSG;
		if (tag == WIRE_TAG(1, WIRE_BYTES))
			r = wire_bytes(&w, &data, &n);
		else
			r = tag >> 3 == 1 ? -EBADMSG : wire_skip(&w, tag);
	}
	if (r < 0)
		return r;
	*ret_data = data;
	*ret_data_len = n;
	return 0;
}

static int read_manifest_field(struct wire *w, uint64_t tag, struct manifest *m, int64_t *offsets, size_t partitions_max)
{
	switch (tag >> 3) {
	case 1:
		return read_text(w, tag, m->model_id, sizeof m->model_id);
	case 2:
		return read_text(w, tag, m->run_id, sizeof m->run_id);
	case 3:
		return read_text(w, tag, m->numeric_id, sizeof m->numeric_id);
	case 4:
		return read_int64s(w, tag, offsets, &m->partitions, partitions_max);
#define READ(field, name) \
	case field: \
		return read_u64(w, tag, &m->name);
	MANIFEST_NUMBERS(READ)
#undef READ
	default:
		return wire_skip(w, tag);
	}
}

int manifest_decode(struct manifest *ret, int64_t *offsets, size_t partitions_max, const void *buf, size_t len)
{
	struct manifest m = { .offsets = offsets };
	struct wire w = over(buf, len);
	uint64_t tag;
	int r = len ? 0 : -EBADMSG;

	while (r == 0 && w.p < w.end) {
		r = wire_varint(&w, &tag);
		if (r == 0)
			r = read_manifest_field(&w, tag, &m, offsets, partitions_max);
	}
	if (r == 0)
		*ret = m;
	return r;
}
