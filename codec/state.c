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

static void put_float(struct wire_out *o, unsigned field, float x)
{
	if (x == 0)
		return;
	wire_put_varint(o, WIRE_TAG(field, WIRE_FIXED32));
	wire_put(o, &x, sizeof x);
}

static int finish(const struct wire_out *o, size_t *ret_len)
{
	*ret_len = o->len;
	return o->len > o->size ? -ENOSPC : 0;
}

static size_t varint_len(uint64_t v)
{
	size_t n = 1;

	for (; v >= 0x80; v >>= 7)
		n++;
	return n;
}

static void put_rows(struct wire_out *o, unsigned field, const uint32_t *x, size_t n)
{
	size_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += varint_len(x[i]);
	if (n) {
		wire_put_varint(o, WIRE_TAG(field, WIRE_BYTES));
		wire_put_varint(o, bytes);
	}
	for (size_t i = 0; i < n; i++)
		wire_put_varint(o, x[i]);
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
	put_number(&o, 8, s->events);
	put_rows(&o, 9, s->attributes, s->attributes_n);
	return finish(&o, ret_len);
}

int user_state_encode(void *ret, size_t size, size_t *ret_len, const struct user_state *s)
{
	struct wire_out o = { ret, size, 0 };
	int plain = 1, at_once = 1, anonymous = 1;

	for (size_t i = 0; i < s->n; i++) {
		plain &= s->weights[i] == 1;
		at_once &= s->before_ms[i] == 0;
		anonymous &= s->ids[i] == 0;
	}
	put_number(&o, 1, s->row);
	put_rows(&o, 2, s->items, s->n);
	put_floats(&o, 3, s->weights, plain ? 0 : s->n);
	put_number(&o, 4, s->events);
	put_number(&o, 5, (uint64_t)s->newest_ms);
	put_number(&o, 6, s->published != 0);
	put_number(&o, 7, s->encoded_step);
	put_number(&o, 8, s->waiting != 0);
	put_rows(&o, 9, s->before_ms, at_once ? 0 : s->n);
	wire_put_string(&o, 10, (const char *)s->ids, anonymous ? 0 : s->n * sizeof *s->ids);
	put_float(&o, 11, s->loss);
	put_rows(&o, 12, s->attributes, s->attributes_n);
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
	wire_put_string(&o, 40, m->config, m->config_len);
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

/* Room that packed floats go to, one field behind the other. */
struct room { float *p; size_t n, used; };

/* A field may come only once. */
static int read_packed(struct wire *w, uint64_t tag, const float **ret, size_t *ret_n, struct room *room)
{
	const char *p;
	size_t len;

	if ((tag & 7) != WIRE_BYTES || wire_bytes(w, &p, &len) < 0 || len % sizeof(float) || *ret_n)
		return -EBADMSG;
	if (len / sizeof(float) > room->n - room->used)
		return -E2BIG;
	memcpy(room->p + room->used, p, len);
	*ret = room->p + room->used;
	*ret_n = len / sizeof(float);
	room->used += *ret_n;
	return 0;
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

struct item_in { struct item_state item; struct room room; };

static int item_field(void *message, struct wire *w, uint64_t tag)
{
	struct item_in *in = message;
	struct item_state *s = &in->item;

	switch (tag >> 3) {
	case 1: return read_u32(w, tag, &s->row);
	case 2: return read_packed(w, tag, &s->values, &s->values_n, &in->room);
	case 3: return read_u64(w, tag, &s->row_step);
	case 4: return read_packed(w, tag, &s->published, &s->published_n, &in->room);
	case 5: return read_u64(w, tag, &s->published_step);
	case 6: return read_i64(w, tag, &s->event_time_ms);
	case 7: return read_double(w, tag, &s->popularity);
	case 8: return read_u32(w, tag, &s->events);
	case 9: return read_rows(w, tag, s->attributes, &s->attributes_n, sizeof s->attributes / sizeof *s->attributes);
	default: return wire_skip(w, tag);
	}
}

int item_state_decode(struct item_state *ret, float *room, size_t room_n, const void *buf, size_t len)
{
	struct item_in in = { .room = { .p = room, .n = room_n } };
	int r = read_message(buf, len, item_field, &in);

	if (r == 0)
		*ret = in.item;
	return r;
}

struct user_in { struct user_state user; const struct user_room *to; struct room weights; const float *given; size_t given_n, before_n, ids_n; };

static int read_ids(struct wire *w, uint64_t tag, struct user_in *in)
{
	const char *p;
	size_t len;

	if ((tag & 7) != WIRE_BYTES || wire_bytes(w, &p, &len) < 0 || len % sizeof(uint64_t) || in->ids_n)
		return -EBADMSG;
	if (len / sizeof(uint64_t) > in->to->n_max)
		return -E2BIG;
	memcpy(in->to->ids, p, len);
	in->ids_n = len / sizeof(uint64_t);
	return 0;
}

static int user_field(void *message, struct wire *w, uint64_t tag)
{
	struct user_in *in = message;
	struct user_state *s = &in->user;

	switch (tag >> 3) {
	case 1: return read_u32(w, tag, &s->row);
	case 2: return read_rows(w, tag, in->to->items, &s->n, in->to->n_max);
	case 3: return read_packed(w, tag, &in->given, &in->given_n, &in->weights);
	case 4: return read_u32(w, tag, &s->events);
	case 5: return read_i64(w, tag, &s->newest_ms);
	case 6: return read_bool(w, tag, &s->published);
	case 7: return read_u64(w, tag, &s->encoded_step);
	case 8: return read_bool(w, tag, &s->waiting);
	case 9: return read_rows(w, tag, in->to->before_ms, &in->before_n, in->to->n_max);
	case 10: return read_ids(w, tag, in);
	case 11: return (tag & 7) == WIRE_FIXED32 ? wire_float(w, &s->loss) : -EBADMSG;
	case 12: return read_rows(w, tag, s->attributes, &s->attributes_n, sizeof s->attributes / sizeof *s->attributes);
	default: return wire_skip(w, tag);
	}
}

/* As many as there are items, or none. */
static int fits(size_t n, const struct user_in *in) { return n == 0 || n == in->user.n; }

int user_state_decode(struct user_state *ret, const struct user_room *room, const void *buf, size_t len)
{
	struct user_in in = { .to = room, .weights = { .p = room->weights, .n = room->n_max },
	                      .user = { .items = room->items, .weights = room->weights, .before_ms = room->before_ms, .ids = room->ids } };
	int r = read_message(buf, len, user_field, &in);

	if (r < 0)
		return r;
	if (!fits(in.given_n, &in) || !fits(in.before_n, &in) || !fits(in.ids_n, &in))
		return -EBADMSG;

	for (size_t i = in.given_n; i < in.user.n; i++)
		room->weights[i] = 1;
	memset(room->before_ms + in.before_n, 0, (in.user.n - in.before_n) * sizeof *room->before_ms);
	memset(room->ids + in.ids_n, 0, (in.user.n - in.ids_n) * sizeof *room->ids);
	*ret = in.user;
	return 0;
}

struct dense_in { const char *data; size_t len; };

static int dense_field(void *message, struct wire *w, uint64_t tag)
{
	struct dense_in *in = message;

	if (tag == WIRE_TAG(1, WIRE_BYTES))
		return wire_bytes(w, &in->data, &in->len);
	return tag >> 3 == 1 ? -EBADMSG : wire_skip(w, tag);
}

int dense_state_decode(const void **ret_data, size_t *ret_data_len, const void *buf, size_t len)
{
	struct dense_in in = { 0 };
	int r = read_message(buf, len, dense_field, &in);

	if (r < 0)
		return r;
	*ret_data = in.data;
	*ret_data_len = in.len;
	return 0;
}

struct manifest_in { struct manifest manifest; size_t partitions_max; };

static int manifest_field(void *message, struct wire *w, uint64_t tag)
{
	struct manifest_in *in = message;
	struct manifest *m = &in->manifest;

	switch (tag >> 3) {
	case 1: return read_text(w, tag, m->model_id, sizeof m->model_id);
	case 2: return read_text(w, tag, m->run_id, sizeof m->run_id);
	case 3: return read_text(w, tag, m->numeric_id, sizeof m->numeric_id);
	case 4: return read_int64s(w, tag, m->offsets, &m->partitions, in->partitions_max);
#define READ(field, name) \
	case field: return read_u64(w, tag, &m->name);
	MANIFEST_NUMBERS(READ)
#undef READ
	case 40: return (tag & 7) == WIRE_BYTES ? wire_bytes(w, &m->config, &m->config_len) : -EBADMSG;
	default: return wire_skip(w, tag);
	}
}

int manifest_decode(struct manifest *ret, int64_t *offsets, size_t partitions_max, const void *buf, size_t len)
{
	struct manifest_in in = { .manifest = { .offsets = offsets }, .partitions_max = partitions_max };
	int r = len ? read_message(buf, len, manifest_field, &in) : -EBADMSG;

	if (r == 0)
		*ret = in.manifest;
	return r;
}
