/* wire.h - reads (and, for strings without a NUL, writes) the protobuf wire format in place. Internal to codec/.
 *
 * Why not protobuf-c for reading: it cuts strings at NUL (so "a\0b" would silently become "a"), copies every string, and
 * allocates. Here strings point into the record. What is written by hand is compared with protobuf-c's generated code in
 * tests/codec, both ways, so the schemas in topics/ stay the definition.
 * All readers return 0 or -EBADMSG and never read past end. Groups (deprecated) are refused.
 */
#ifndef S4REC_CODEC_WIRE_H
#define S4REC_CODEC_WIRE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

#define WIRE_TAG(field, type) ((uint64_t)(field) << 3 | (type))

struct wire {
	const uint8_t *p, *end;
};

static inline size_t wire_left(const struct wire *w)
{
	return (size_t)(w->end - w->p);
}

static inline int wire_varint(struct wire *w, uint64_t *ret)
{
	uint64_t v = 0;

	for (int shift = 0; shift < 70 && w->p < w->end; shift += 7) {
		uint8_t b = *w->p++;

		v |= shift < 64 ? (uint64_t)(b & 0x7f) << shift : 0;
		if (!(b & 0x80)) {
			*ret = v;
			return 0;
		}
	}
	return -EBADMSG;
}

static inline int wire_bytes(struct wire *w, const char **ret, size_t *ret_len)
{
	uint64_t n;

	if (wire_varint(w, &n) < 0 || n > wire_left(w))
		return -EBADMSG;

	*ret = (const char *)w->p;
	*ret_len = (size_t)n;
	w->p += n;
	return 0;
}

static inline int wire_sub(struct wire *w, struct wire *ret)
{
	const char *p;
	size_t n;

	if (wire_bytes(w, &p, &n) < 0)
		return -EBADMSG;

	ret->p = (const uint8_t *)p;
	ret->end = ret->p + n;
	return 0;
}

static inline int wire_float(struct wire *w, float *ret)
{
	uint32_t u;

	if (wire_left(w) < 4)
		return -EBADMSG;

	u = (uint32_t)w->p[0] | (uint32_t)w->p[1] << 8 | (uint32_t)w->p[2] << 16 | (uint32_t)w->p[3] << 24;
	memcpy(ret, &u, 4);
	w->p += 4;
	return 0;
}

/* Skips the value of an unknown field. Field number 0 is never valid. */
static inline int wire_skip(struct wire *w, uint64_t tag)
{
	uint64_t n;
	size_t skip;

	if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
		return -EBADMSG;

	switch (tag & 7) {
	case WIRE_VARINT:
		return wire_varint(w, &n);
	case WIRE_BYTES:
		if (wire_varint(w, &n) < 0 || n > wire_left(w))
			return -EBADMSG;
		w->p += n;
		return 0;
	case WIRE_FIXED64:
	case WIRE_FIXED32:
		skip = (tag & 7) == WIRE_FIXED64 ? 8 : 4;
		if (wire_left(w) < skip)
			return -EBADMSG;
		w->p += skip;
		return 0;
	default:
		return -EBADMSG;
	}
}

/* Writing: w counts what is needed and stores what fits. */
struct wire_out {
	uint8_t *buf;
	size_t size, len;
};

static inline void wire_put(struct wire_out *o, const void *p, size_t n)
{
	if (n && o->len <= o->size && n <= o->size - o->len)
		memcpy(o->buf + o->len, p, n);
	o->len += n;
}

static inline void wire_put_varint(struct wire_out *o, uint64_t v)
{
	uint8_t b[10];
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		b[n++] = (uint8_t)(v | 0x80);
	b[n++] = (uint8_t)v;
	wire_put(o, b, n);
}

static inline void wire_put_string(struct wire_out *o, unsigned field, const char *s, size_t len)
{
	if (len == 0)
		return; /* proto3: a default is not written */
	wire_put_varint(o, WIRE_TAG(field, WIRE_BYTES));
	wire_put_varint(o, len);
	wire_put(o, s, len);
}

#endif
