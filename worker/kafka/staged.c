/* staged.c - see staged.h. One arena for all bytes, a list of records that point into it. */
#include "worker/kafka/staged_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_KEPT_MAX (16u * 1024 * 1024)

int staged_new(struct staged **ret)
{
	*ret = calloc(1, sizeof **ret);
	return *ret ? 0 : -ENOMEM;
}

void staged_free(struct staged *s)
{
	if (s == NULL)
		return;
	free(s->bytes);
	free(s->records);
	free(s->offsets);
	free(s);
}

void staged_clear(struct staged *s)
{
	size_t p;

	s->used = s->count = 0;
	if (s->size > ARENA_KEPT_MAX) { /* once large is not for ever large */
		free(s->bytes);
		s->bytes = NULL;
		s->size = 0;
	}
	for (p = 0; p < s->partitions; p++)
		s->offsets[p] = -1;
	s->broken = 0;
}

size_t staged_bytes(const struct staged *s)
{
	return s->used;
}

size_t staged_records(const struct staged *s)
{
	return s->count;
}

/* Makes room for n more bytes. */
static int arena_reserve(struct staged *s, size_t n)
{
	size_t size = s->size ? s->size : 65536;
	char *bytes;

	if (s->bytes && n <= s->size - s->used) /* an empty value has a place too: it is not a null one */
		return 0;
	while (size - s->used < n) {
		if (size > SIZE_MAX / 4)
			return -ENOMEM;
		size *= 2;
	}
	bytes = realloc(s->bytes, size);
	if (bytes == NULL)
		return -ENOMEM;
	s->bytes = bytes;
	s->size = size;
	return 0;
}

/* Copies into reserved room. */
static size_t arena_put(struct staged *s, const void *p, size_t n)
{
	size_t at = s->used;

	if (n)
		memcpy(s->bytes + at, p, n);
	s->used += n;
	return at;
}

/* A record whose bytes are in the arena behind the mark `used`; on -ENOMEM the caller goes back to its mark. */
static int record_add(struct staged *s, const struct staged_row *rec)
{
	if (s->count == s->records_size) {
		size_t n = s->records_size ? 2 * s->records_size : 1024;
		struct staged_row *p = realloc(s->records, n * sizeof *p);

		if (p == NULL)
			return -ENOMEM;
		s->records = p;
		s->records_size = n;
	}
	s->records[s->count++] = *rec;
	return 0;
}

static int stage(struct staged *s, struct staged_row *rec, const void *key, size_t key_len, const void *value, size_t value_len)
{
	int r;

	if (key_len > UINT32_MAX || value_len > UINT32_MAX)
		return -ENOMEM;
	r = arena_reserve(s, (key ? key_len : 0) + (value ? value_len : 0));
	if (r < 0)
		return r;
	rec->key = key ? arena_put(s, key, key_len) : STAGED_NONE;
	rec->key_len = (uint32_t)key_len;
	rec->value = value ? arena_put(s, value, value_len) : STAGED_NONE;
	rec->value_len = (uint32_t)value_len;
	return record_add(s, rec);
}

int staged_record(struct staged *s, enum topic_id topic, int32_t partition, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct staged_row rec = { .headers = STAGED_NONE, .partition = partition < 0 ? -1 : partition, .topic = topic };
	size_t mark = s->used;
	int r = stage(s, &rec, key, key_len, value, value_len);

	if (r < 0)
		s->used = mark;
	return r;
}

/* A header in the arena: name, NUL, length (4 bytes), value. */
static int header_put(struct staged *s, const char *name, const void *value, size_t len)
{
	uint32_t n = (uint32_t)len;
	int r = arena_reserve(s, strlen(name) + 1 + sizeof n + len);

	if (r < 0)
		return r;
	arena_put(s, name, strlen(name) + 1);
	arena_put(s, &n, sizeof n);
	arena_put(s, value, len);
	return 0;
}

static int header_text(struct staged *s, const char *name, const char *value)
{
	return header_put(s, name, value, strlen(value));
}

static int header_number(struct staged *s, const char *name, int64_t value)
{
	char text[24];

	snprintf(text, sizeof text, "%lld", (long long)value);
	return header_text(s, name, text);
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

int staged_dead_letter(struct staged *s, const struct dead_letter *d, size_t max_bytes)
{
	struct staged_row rec = { .partition = -1, .topic = TOPIC_DLQ };
	size_t mark = s->used, kept = smaller(d->value_kept, max_bytes);
	size_t key_kept = smaller(d->key_kept, smaller(max_bytes, DEAD_KEY_MAX)); /* an absurd key must not make the letter too large to send */
	int r = 0;

	rec.headers = mark;
	r = header_text(s, "s4rec.reason", d->reason);
	if (r == 0)
		r = header_text(s, "s4rec.topic", d->topic);
	if (r == 0)
		r = header_number(s, "s4rec.partition", d->partition);
	if (r == 0)
		r = header_number(s, "s4rec.offset", d->offset);
	if (r == 0 && d->value && kept < d->value_len)
		r = header_number(s, "s4rec.truncated", (int64_t)d->value_len);
	if (r == 0 && d->key && key_kept < d->key_len)
		r = header_number(s, "s4rec.truncated.key", (int64_t)d->key_len);
	if (r == 0 && d->header_count)
		r = header_number(s, "s4rec.headers", (int64_t)d->header_count);
	rec.headers_len = (uint32_t)(s->used - mark);
	if (r == 0)
		r = stage(s, &rec, d->key, key_kept, d->value, kept);
	if (r < 0)
		s->used = mark;
	return r;
}

void staged_offset(struct staged *s, int32_t partition, int64_t next_offset)
{
	if (partition < 0)
		return;
	if ((size_t)partition >= s->partitions) {
		size_t n = (size_t)partition + 1, p;
		int64_t *offsets = realloc(s->offsets, n * sizeof *offsets);

		if (offsets == NULL) {
			s->broken = 1; /* the commit will refuse: it must not go out without this offset */
			return;
		}
		for (p = s->partitions; p < n; p++)
			offsets[p] = -1;
		s->offsets = offsets;
		s->partitions = n;
	}
	s->offsets[partition] = next_offset;
}
