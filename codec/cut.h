/* cut.h - batch cuts and attempts as structs and as bytes of the batches topic (topics/cut.proto). Any thread. */
#ifndef S4REC_CODEC_CUT_H
#define S4REC_CODEC_CUT_H

#include <stddef.h>
#include <stdint.h>

#define CUT_PARTITIONS_MAX 1024

/* Nothing of a step was applied, because its loss or gradient ... */
enum discard { DISCARD_NONE, DISCARD_NOT_FINITE, DISCARD_EXPLODING };

struct cut {
	uint64_t step;
	int64_t *offsets; /* (partitions) next offset to consume, after this batch */
	size_t partitions;
	int64_t now_ms;
	int commit;
	uint64_t version;
	uint32_t events, dead_letters;
	enum discard discarded;
	char model_id[64], run_id[64], numeric_id[64];
	uint64_t config_hash;
	uint32_t embedding_partitions; /* of the embeddings topic */
	uint64_t records_hash; /* over the batch's records in the order of the fold */
	uint64_t max_users, max_items; /* the limits that held */
	int republish, rollback, catching_up;
	uint64_t pass, from_hash;
	int skipped; /* an operator passed the batch by */
	int gap; /* no batch: here the fold went on from the state of step gap_base, since input behind that was gone */
	uint64_t gap_base;
};

/* A start that is about to train its first batch. */
struct attempt {
	uint64_t step; /* of that batch */
	char run_id[64];
	int64_t now_ms;
};

int cut_encode(void *ret, size_t size, size_t *ret_len, const struct cut *c);
/* offsets (partitions_max) receives the offsets. -EBADMSG, -E2BIG. */
int cut_decode(struct cut *ret, int64_t *offsets, size_t partitions_max, const void *buf, size_t len);

int attempt_encode(void *ret, size_t size, size_t *ret_len, const struct attempt *a); /* -ENOSPC */
int attempt_decode(struct attempt *ret, const void *buf, size_t len); /* -EBADMSG, -E2BIG */

#endif
