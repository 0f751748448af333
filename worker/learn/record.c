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

static void give_back(struct record *r)
{
	struct record_pool *p = r->pool;
	if (r->size > SLOT_BYTES || p->n >= SLOTS_KEPT_MAX) {
		free(r);
		return;
	}
	r->next = p->free;
	p->free = r;
	p->n++;
}

void record_free(struct record *r)
{
	while (r) {
		struct record *more = r->more;
		give_back(r);
		r = more;
	}
}

size_t record_events(const struct record *r)
{
	size_t n = 0;
	for (; r; r = r->more)
		n++;
	return n;
}

/* by: 1 or -1 */
static void count(struct record_list *l, const struct record *r, size_t by)
{
	l->n += by;
	for (; r; r = r->more) {
		l->events += by;
		l->bytes += by * r->size;
	}
}

void record_push(struct record_list *l, struct record *r)
{
	r->next = NULL;
	if (l->last)
		l->last->next = r;
	else
		l->first = r;
	l->last = r;
	count(l, r, 1);
}

struct record *record_shift(struct record_list *l)
{
	struct record *r = l->first;
	if (!r)
		return NULL;
	l->first = r->next;
	if (!l->first)
		l->last = NULL;
	count(l, r, (size_t)-1);
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

/* A copy of an event, and of what a dead letter keeps of its record. NULL: out of memory. */
static struct record *make(struct record_pool *pool, const struct event *ev, const void *key, size_t key_kept, const void *value, size_t value_kept)
{
	size_t size = sizeof(struct record) + key_kept + value_kept + ev->user_len + ev->item_len + ev->event_id_len + ev->type_len;
	struct record *r = take(pool, size);
	if (!r)
		return NULL;

	unsigned char *at = r->bytes;
	r->next = r->more = NULL;
	r->pool = pool;
	r->size = size;
	r->id = hash_id(ev);
	r->ignored = ev->ignored;
	r->key = key ? copy(&at, key, key_kept) : NULL;
	r->value = value ? copy(&at, value, value_kept) : NULL;
	r->key_kept = key_kept;
	r->value_kept = value_kept;
	r->ev = *ev;
	hash_attributes(r->attribute, r->ev.attribute, USER_PLACES);
	hash_attributes(r->item_attribute, r->ev.item_attribute, ITEM_PLACES);
	r->ev.user = copy(&at, ev->user, ev->user_len);
	r->ev.item = copy(&at, ev->item, ev->item_len);
	r->ev.event_id = copy(&at, ev->event_id, ev->event_id_len);
	r->ev.type = copy(&at, ev->type, ev->type_len);
	return r;
}

static void set_place(struct record *r, int32_t partition, int64_t offset, const struct event_source *from, const char *reason)
{
	r->partition = partition;
	r->offset = offset;
	r->reason = reason;
	r->kafka_ms = from->record_ts_ms;
	r->order_ms = reason || r->ignored || r->ev.forget ? INT64_MIN : r->ev.ts_ms;
	r->key_len = from->key_len;
	r->value_len = from->value_len;
	r->header_count = 0;
	for (size_t i = 0; i < from->header_count; i++)
		r->header_count += strncmp(from->headers[i].name, "s4rec.", 6) != 0;
}

/* The record's other events, behind r. */
static int add_more(struct record *r, struct decoder *d, const struct event_source *from)
{
	struct event ev;
	for (; decoder_more(d, &ev); r = r->more) {
		r->more = make(r->pool, &ev, NULL, 0, NULL, 0);
		if (!r->more)
			return -ENOMEM;
		set_place(r->more, r->partition, r->offset, from, NULL);
	}
	return 0;
}

int record_decode(struct record **ret, struct record_pool *pool, struct decoder *d, size_t kept_max, int32_t partition, int64_t offset, const struct event_source *from)
{
	struct event ev = { .forget = 0 };
	const char *reason = NULL;
	if (decoder_decode_from(d, &ev, from, &reason) < 0) {
		reason = reason ? reason : "undecodable";
		memset(&ev, 0, sizeof ev);
	}
	if (ev.ignored)
		kept_max = 0; /* it becomes no dead letter */
	size_t key_kept = from->key_len < kept_max ? from->key_len : kept_max, value_kept = from->value_len < kept_max ? from->value_len : kept_max;
	struct record *r = make(pool, &ev, from->key, key_kept, from->value, value_kept);
	if (!r)
		return -ENOMEM;
	set_place(r, partition, offset, from, reason);
	if (!reason && add_more(r, d, from) < 0) {
		record_free(r);
		return -ENOMEM;
	}
	*ret = r;
	return 0;
}

int record_new(struct record **ret, struct record_pool *pool, struct decoder *d, size_t kept_max, int32_t partition, int64_t offset, int64_t ts_ms,
               const void *key, size_t key_len, const void *value, size_t value_len)
{
	return record_decode(ret, pool, d, kept_max, partition, offset, &(struct event_source){ .key = key, .key_len = key_len, .value = value, .value_len = value_len,
	                                                                                        .record_ts_ms = ts_ms });
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

static uint64_t hash_event(uint64_t hash, const struct record *r)
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
	fixed.refused = r->reason ? 1 : r->ignored ? 2 : 0;
	hash = XXH3_64bits_withSeed(&fixed, sizeof fixed, hash);
	hash = hash_hashes(hash, r->attribute);
	hash = hash_hashes(hash, r->item_attribute);
	hash = XXH3_64bits_withSeed(r->ev.user, r->ev.user_len, hash);
	return XXH3_64bits_withSeed(r->ev.item, r->ev.item_len, hash);
}

uint64_t record_hash(uint64_t hash, const struct record *r)
{
	for (; r; r = r->more)
		hash = hash_event(hash, r);
	return hash;
}
