/* record.h - one input record after decoding: its events, or the reason why it has none; with its place in the log. Most records have one event. Where one has
 * more, they hang on the first as records without bytes of their own: the record stays one thing in lists, batches and cuts, and is never split. */
#ifndef S4REC_RECORD_H
#define S4REC_RECORD_H
#include <stddef.h>
#include <stdint.h>
#include "codec/event.h"

/* Where records come from and go back to: one that fits a slot is used again, so that in the long run no event asks the heap. */
struct record_pool;
int record_pool_new(struct record_pool **ret); /* -ENOMEM */
void record_pool_free(struct record_pool *p);  /* after all its records */

struct record {
	struct record *next;
	struct record_pool *pool;
	int32_t partition;
	int64_t offset;
	int64_t order_ms;   /* what the merge orders by: event time. A refused or ignored record or a forget has none, and waits for nobody:
	                     * INT64_MIN, so that it cannot hold up the events behind it in a backfill */
	int64_t kafka_ms;   /* the record's own timestamp; -1 = it has none */
	uint64_t id;        /* hash of the event id; 0 = it has none */
	uint64_t attribute[EVENT_ATTRIBUTES_MAX]; /* hashes of the user's attributes, each with its place; 0 = not said. Their texts are not kept */
	uint64_t item_attribute[EVENT_ATTRIBUTES_MAX]; /* likewise of the item's, whose places are others */
	const char *reason; /* static text: why it is a dead letter; NULL = ev is valid */
	int ignored;        /* 1: no event, and no dead letter either: its type is to be ignored. Of ev it has the user at most */
	struct record *more; /* the record's next event; owned; NULL = this is the last */
	struct event ev;    /* strings point into bytes[] */
	const void *key, *value; /* as they came, for a dead letter, as much of them as one keeps; point into bytes[]; NULL = none */
	size_t key_len, value_len, key_kept, value_kept;
	size_t header_count;     /* headers that the record has, where the format looks at them; not those of our own */
	size_t size;             /* bytes that this record takes */
	unsigned char bytes[];
};

/* First in, first out; a zero struct is an empty list. */
struct record_list { struct record *first, *last; size_t n, events, bytes; }; /* events: of its records, at least one each */

size_t record_events(const struct record *r); /* at least 1 */
void record_push(struct record_list *l, struct record *r);
struct record *record_shift(struct record_list *l); /* NULL when empty */
void record_free(struct record *r);                 /* NULL is fine */
void record_free_all(struct record_list *l);

/* Decodes a Kafka record into a copy, of key and value at most kept_max bytes each. -ENOMEM only: what cannot be decoded becomes a
 * record with a reason. */
int record_new(struct record **ret, struct record_pool *pool, struct decoder *d, size_t kept_max, int32_t partition, int64_t offset, int64_t ts_ms,
               const void *key, size_t key_len, const void *value, size_t value_len);
int record_decode(struct record **ret, struct record_pool *pool, struct decoder *d, size_t kept_max, int32_t partition, int64_t offset, const struct event_source *from);

/* The one order of the fold: by (event time, partition) over the heads of the partitions, offset order inside a partition
 * kept. heads: lists by partition; ends (partitions): a head at or behind its end does not count, -1 or NULL = no end; awaited
 * (partitions): a partition without a head that all others must wait for, NULL = none. Returns the partition whose head comes next, -1 when there
 * is none or one is awaited. */
int record_merge(const struct record_list *heads, const int64_t *ends, const uint8_t *awaited, int partitions);
/* Goes on from hash over what of a record the fold depends on. */
uint64_t record_hash(uint64_t hash, const struct record *r);
/* The head of a list unless it is at or behind its end; else NULL. */
const struct record *record_head(const struct record_list *l, int64_t end);
#endif
