/* letters.h - the dead letters of a prefix, read from their oldest to the end that the topic has now, whatever transaction is open at that moment; and the marks
 * among them that say which were sent back (`s4rec redrive`). Functions print their errors and return exit codes. Not thread-safe.
 *
 * A mark is a record without key and value, in the partition of its letter, with the header s4rec.redriven = PARTITION:OFFSET of the letter.
 */
#ifndef S4REC_KAFKA_LETTERS_H
#define S4REC_KAFKA_LETTERS_H
#include "topics/topics.h"
#include "worker/kafka/client.h"

#define REDRIVEN "s4rec.redriven"

struct letter {
	int32_t partition;  /* its place among the letters, */
	int64_t offset;
	int64_t ms;         /* and when it was written there */
	char reason[160];   /* longer ones are cut */
	char topic[TOPIC_NAME_MAX];
	int32_t origin_partition; /* where the record stood */
	int64_t origin_offset;
	int whole;          /* key and value are there as they were, and there were no headers */
	int key_whole;
	const void *key, *value; /* borrowed during the call; NULL = none */
	size_t key_len, value_len;
};

struct letters;
int letters_new(struct letters **ret, const struct config *c);
void letters_free(struct letters *l);
/* Every letter that is not marked, in the order of its partition; `each` ends the reading by a code other than 0. Once. */
int letters_read(struct letters *l, int (*each)(void *ctx, const struct letter *x), void *ctx);
uint64_t letters_marked(const struct letters *l); /* that are there, and were sent back before */

/* A record of the input topic, or *ret NULL where it is there no more; destroyed by the caller. Letters in their order cost little. */
struct origin;
int origin_new(struct origin **ret, const struct config *c);
void origin_free(struct origin *o);
int origin_fetch(struct origin *o, int32_t partition, int64_t offset, rd_kafka_message_t **ret);
int origin_partitions(const struct origin *o);
const char *origin_topic(const struct origin *o);
#endif
