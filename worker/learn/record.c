/* record.c - see record.h */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "worker/learn/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOT_BYTES 512       /* most records with their strings */
#define SLOTS_KEPT_MAX 65536 /* 32 MB of free ones */

struct record_pool { struct record *free; size_t n; };

int record_pool_new(struct record_pool **ret)
{
	*ret = calloc(1, sizeof **ret);
	return *ret ? 0 : -ENOMEM;
}

void record_pool_free(struct record_pool *p)
{
	while (p && p->free) {
		struct record *r = p->free;
		p->free = r->next;
		free(r);
	}
	free(p);
}

static struct record *take(struct record_pool *p, size_t size)
{
	struct record *r = p->free;
	if (size > SLOT_BYTES || !r)
		return malloc(size > SLOT_BYTES ? size : SLOT_BYTES);
	p->free = r->next;
	p->n--;
	return r;
}

void record_free(struct record *r)
{
	if (!r)
		return;
	struct record_pool *p = r->pool;
	if (r->size > SLOT_BYTES || p->n >= SLOTS_KEPT_MAX) {
		free(r);
		return;
	}
	r->next = p->free;
	p->free = r;
	p->n++;
}

void record_push(struct record_list *l, struct record *r)
{
	r->next = NULL;
	if (l->last)
		l->last->next = r;
	else
		l->first = r;
	l->last = r;
	l->n++;
	l->bytes += r->size;
}

struct record *record_shift(struct record_list *l)
{
	struct record *r = l->first;
	if (!r)
		return NULL;
	l->first = r->next;
	if (!l->first)
		l->last = NULL;
	l->n--;
	l->bytes -= r->size;
	return r;
}

void record_free_all(struct record_list *l)
{
	struct record *r;
	while ((r = record_shift(l)))
		record_free(r);
}

static const char *copy(unsigned char **at, const void *from, size_t len)
{
	char *to = (char *)*at;
	if (len)
		memcpy(to, from, len);
	*at += len;
	return to;
}

static uint64_t hash_id(const struct event *ev)
{
	uint64_t hash = ev->event_id_len ? XXH3_64bits(ev->event_id, ev->event_id_len) : 0;
	return ev->event_id_len && hash == 0 ? 1 : hash;
}

enum { USER_PLACES = 1, ITEM_PLACES = USER_PLACES + EVENT_ATTRIBUTES_MAX }; /* a field's place is its seed: one word in two fields is two values */

/* Empties the texts. */
static void hash_attributes(uint64_t *ret, struct event_text *t, uint64_t places)
{
	for (uint64_t i = 0; i < EVENT_ATTRIBUTES_MAX; i++) {
		uint64_t hash = t[i].len ? XXH3_64bits_withSeed(t[i].s, t[i].len, places + i) : 0;
		ret[i] = t[i].len && hash == 0 ? 1 : hash;
		t[i] = (struct event_text){ "", 0 };
	}
}

/* A record without any is hashed as if there were none. */
static uint64_t hash_hashes(uint64_t hash, const uint64_t attribute[EVENT_ATTRIBUTES_MAX])
{
	static const uint64_t none[EVENT_ATTRIBUTES_MAX];
	return memcmp(attribute, none, sizeof none) ? XXH3_64bits_withSeed(attribute, sizeof none, hash) : hash;
}

int record_new(struct record **ret, struct record_pool *pool, struct decoder *d, size_t kept_max, int32_t partition, int64_t offset, int64_t ts_ms,
               const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct event ev = { .forget = 0 };
	const char *reason = NULL;
	if (decoder_decode(d, &ev, key, key_len, value, value_len, ts_ms, &reason) < 0) {
		reason = reason ? reason : "undecodable";
		memset(&ev, 0, sizeof ev);
	}
	size_t text = ev.user_len + ev.item_len + ev.event_id_len + ev.type_len;
	size_t key_kept = key_len < kept_max ? key_len : kept_max, value_kept = value_len < kept_max ? value_len : kept_max;
	size_t size = sizeof(struct record) + key_kept + value_kept + text;
	struct record *r = take(pool, size);
	if (!r)
		return -ENOMEM;

	unsigned char *at = r->bytes;
	r->next = NULL;
	r->pool = pool;
	r->partition = partition;
	r->offset = offset;
	r->id = hash_id(&ev);
	r->reason = reason;
	r->kafka_ms = ts_ms;
	r->order_ms = reason || ev.forget ? INT64_MIN : ev.ts_ms;
	r->size = size;
	r->key = key ? copy(&at, key, key_kept) : NULL;
	r->value = value ? copy(&at, value, value_kept) : NULL;
	r->key_len = key_len;
	r->value_len = value_len;
	r->key_kept = key_kept;
	r->value_kept = value_kept;
	r->ev = ev;
	hash_attributes(r->attribute, r->ev.attribute, USER_PLACES);
	hash_attributes(r->item_attribute, r->ev.item_attribute, ITEM_PLACES);
	r->ev.user = copy(&at, ev.user, ev.user_len);
	r->ev.item = copy(&at, ev.item, ev.item_len);
	r->ev.event_id = copy(&at, ev.event_id, ev.event_id_len);
	r->ev.type = copy(&at, ev.type, ev.type_len);
	*ret = r;
	return 0;
}

const struct record *record_head(const struct record_list *l, int64_t end)
{
	return l->first && (end < 0 || l->first->offset < end) ? l->first : NULL;
}

int record_merge(const struct record_list *heads, const int64_t *ends, const uint8_t *awaited, int partitions)
{
	const struct record *best = NULL;
	for (int p = 0; p < partitions; p++) {
		const struct record *head = record_head(&heads[p], ends ? ends[p] : -1);
		if (!head && awaited && awaited[p])
			return -1;
		if (head && (!best || head->order_ms < best->order_ms))
			best = head;
	}
	return best ? best->partition : -1;
}

uint64_t record_hash(uint64_t hash, const struct record *r)
{
	struct { int64_t offset, ts_ms, kafka_ms; uint64_t id; float weight; int32_t partition; uint32_t user_len, item_len, forget, refused; } fixed;
	memset(&fixed, 0, sizeof fixed);
	fixed.offset = r->offset;
	fixed.ts_ms = r->ev.ts_ms;
	fixed.kafka_ms = r->kafka_ms;
	fixed.id = r->id;
	fixed.weight = r->ev.weight;
	fixed.partition = r->partition;
	fixed.user_len = (uint32_t)r->ev.user_len;
	fixed.item_len = (uint32_t)r->ev.item_len;
	fixed.forget = (uint32_t)r->ev.forget;
	fixed.refused = r->reason != NULL;
	hash = XXH3_64bits_withSeed(&fixed, sizeof fixed, hash);
	hash = hash_hashes(hash, r->attribute);
	hash = hash_hashes(hash, r->item_attribute);
	hash = XXH3_64bits_withSeed(r->ev.user, r->ev.user_len, hash);
	return XXH3_64bits_withSeed(r->ev.item, r->ev.item_len, hash);
}
