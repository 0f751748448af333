/* staged_private.h - the inside of staged bytes, for staged.c, committer.c and their test. */
#ifndef S4REC_STAGED_PRIVATE_H
#define S4REC_STAGED_PRIVATE_H
#include "worker/kafka/staged.h"

#define STAGED_NONE SIZE_MAX

/* One record to produce. A header in the arena is: name, NUL, length (4 bytes, host order), value. */
struct staged_row {
	size_t key, value, headers; /* offsets into the arena, STAGED_NONE = absent */
	uint32_t key_len, value_len, headers_len;
	int32_t partition;          /* -1 = by the partitioner */
	uint32_t topic;             /* enum topic_id */
};

struct staged {
	char *bytes;                /* the arena; offsets, not pointers, because it moves as it grows */
	size_t used, size;
	struct staged_row *records;
	size_t count, records_size;
	int64_t *offsets;           /* (partitions) next offset of the input, -1 = none */
	size_t partitions;
	int broken;                 /* an offset could not be kept: out of memory */
};
#endif
