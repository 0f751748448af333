/* staged.h - the bytes of one commit before they are sent: records for any of our topics, and input offsets. Filled by the fold, sent
 * by committer.h. All copied into one arena, which is kept when it is cleared. Knows no Kafka client. Not thread-safe.
 */
#ifndef S4REC_STAGED_H
#define S4REC_STAGED_H
#include <stddef.h>
#include <stdint.h>
#include "topics/topics.h"

struct staged;
int staged_new(struct staged **ret);
void staged_free(struct staged *s);
void staged_clear(struct staged *s);
/* All copy. value NULL = tombstone. partition >= 0, or -1 for the partitioner. -ENOMEM leaves s as it was. */
int staged_record(struct staged *s, enum topic_id topic, int32_t partition, const void *key, size_t key_len, const void *value, size_t value_len);
/* A dead letter: at most max_bytes of the value, and of the key as much, but no more than DEAD_KEY_MAX; headers s4rec.reason, s4rec.topic,
 * s4rec.partition, s4rec.offset, and s4rec.truncated (s4rec.truncated.key) = full length when it was cut. The caller may hold less than
 * the whole: value_kept bytes of value_len, key_kept of key_len. Headers of the record are not kept: s4rec.headers says how many it had, where they may matter. */
struct dead_letter {
	const char *topic;                 /* where the record stood */
	int32_t partition;
	int64_t offset;
	const void *key, *value;           /* NULL = none */
	size_t key_kept, key_len, value_kept, value_len;
	size_t header_count;               /* of the record */
	const char *reason;
};
int staged_dead_letter(struct staged *s, const struct dead_letter *d, size_t max_bytes);
void staged_offset(struct staged *s, int32_t partition, int64_t next_offset); /* of the input topic */
size_t staged_records(const struct staged *s);
size_t staged_bytes(const struct staged *s); /* of keys, values and headers */

#define DEAD_KEY_MAX 65536 /* with dlq.max.bytes at its highest, key, value and headers stay below Kafka's 1 MB */
#endif
