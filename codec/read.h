/* read.h - typed protobuf fields for the row decoders: each checks the wire type and stores the value. Internal to codec/.
 * 0, -EBADMSG, or -E2BIG when the caller's room is too small.
 */
#ifndef S4REC_CODEC_READ_H
#define S4REC_CODEC_READ_H

#include "codec/utf8.h"
#include "codec/wire.h"

/* Each field of a message to `field`, which reads its value or skips it. 0, or the first error. */
typedef int read_field(void *message, struct wire *w, uint64_t tag);

static inline int read_message(const void *buf, size_t len, read_field *field, void *message)
{
	struct wire w = { buf, (const uint8_t *)buf + len };
	uint64_t tag;
	int r = 0;

	while (r == 0 && w.p < w.end) {
		r = wire_varint(&w, &tag);
		if (r == 0)
			r = field(message, &w, tag);
	}
	return r;
}

static inline int read_u64(struct wire *w, uint64_t tag, uint64_t *ret)
{
	return (tag & 7) == WIRE_VARINT ? wire_varint(w, ret) : -EBADMSG;
}

static inline int read_i64(struct wire *w, uint64_t tag, int64_t *ret)
{
	uint64_t u;
	int r = read_u64(w, tag, &u);

	if (r == 0)
		*ret = (int64_t)u;
	return r;
}

static inline int read_u32(struct wire *w, uint64_t tag, uint32_t *ret)
{
	uint64_t u;
	int r = read_u64(w, tag, &u);

	if (r == 0)
		*ret = (uint32_t)u;
	return r;
}

static inline int read_i32(struct wire *w, uint64_t tag, int32_t *ret)
{
	uint32_t u;
	int r = read_u32(w, tag, &u);

	if (r == 0)
		*ret = (int32_t)u;
	return r;
}

static inline int read_bool(struct wire *w, uint64_t tag, int *ret)
{
	uint64_t u;
	int r = read_u64(w, tag, &u);

	if (r == 0)
		*ret = u != 0;
	return r;
}

static inline int read_text(struct wire *w, uint64_t tag, char *ret, size_t size)
{
	const char *s;
	size_t n;

	if ((tag & 7) != WIRE_BYTES || wire_bytes(w, &s, &n) < 0)
		return -EBADMSG;
	if (n >= size)
		return -E2BIG;
	if (!utf8_valid(s, n))
		return -EBADMSG;

	memcpy(ret, s, n);
	ret[n] = 0;
	return 0;
}

/* repeated int64, packed or not; appends at *count. */
static inline int read_int64s(struct wire *w, uint64_t tag, int64_t *ret, size_t *count, size_t max)
{
	struct wire sub;
	uint64_t u;

	if ((tag & 7) == WIRE_VARINT) {
		if (wire_varint(w, &u) < 0)
			return -EBADMSG;
		if (*count == max)
			return -E2BIG;
		ret[(*count)++] = (int64_t)u;
		return 0;
	}

	if ((tag & 7) != WIRE_BYTES || wire_sub(w, &sub) < 0)
		return -EBADMSG;
	while (sub.p < sub.end) {
		if (wire_varint(&sub, &u) < 0)
			return -EBADMSG;
		if (*count == max)
			return -E2BIG;
		ret[(*count)++] = (int64_t)u;
	}
	return 0;
}

/* repeated float, packed or not; appends at *count. */
static inline int read_floats(struct wire *w, uint64_t tag, float *ret, size_t *count, size_t max)
{
	struct wire sub;

	if ((tag & 7) == WIRE_FIXED32) {
		if (*count == max)
			return -E2BIG;
		return wire_float(w, &ret[(*count)++]);
	}

	if ((tag & 7) != WIRE_BYTES || wire_sub(w, &sub) < 0 || wire_left(&sub) % 4)
		return -EBADMSG;
	if (wire_left(&sub) / 4 > max - *count)
		return -E2BIG;
	while (sub.p < sub.end) {
		if (wire_float(&sub, &ret[(*count)++]) < 0)
			return -EBADMSG;
	}
	return 0;
}

#endif
