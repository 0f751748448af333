/* state_private.h - the inside of struct state, for state.c (flush) and restore.c. */
#ifndef S4REC_STATE_PRIVATE_H
#define S4REC_STATE_PRIVATE_H
#include "worker/state/rows.h"
#include "worker/state/state.h"
#include "worker/state/writer.h"

enum flush_phase {
	/* IDLE -> begin -> SAVING rows as they were -> all saved: WAITING for the commit to return -> ENDING: sent, outcome awaited -> IDLE */
	FLUSH_IDLE, FLUSH_SAVING, FLUSH_WAITING, FLUSH_ENDING
};

enum sum { SUM_ITEM, SUM_USER, SUM_DENSE, SUMS };

struct state {
	const struct config *cfg;
	struct learner *l;
	const char *run_id;
	char *config;              /* config_fold_text */
	struct state_writer *writer; /* NULL: only restores */
	struct restore *reading;   /* NULL: the topic is not being read (restore.c) */
	enum flush_phase phase;
	int opened;                /* the writer may send */
	int resend;                /* the flush before was aborted: dense chunks that did not change are sent all the same */
	struct staged *slice;      /* being filled */
	uint8_t *value;            /* (value_max) */
	size_t value_max;
	char key[STATE_KEY_MAX];
	uint64_t sum[SUMS];        /* of the hashes of all records, as of what was written last */
	uint64_t *dense_hash;      /* (dense_n) of each chunk, in the order of state_dense */
	size_t dense_n;
	size_t forgotten;          /* deletes in the flush under way: changes_drop_forgotten */
	struct manifest m;         /* of the flush under way, or the last one */
	int64_t *offsets;          /* m.offsets */
	int64_t cut_offset;        /* in the batches topic, of the flush under way ... */
	int64_t last_cut_offset;   /* ... and of the one before; 0 = not known */
	int64_t read_before;       /* where restoring ends; 0 = at the topic's end */
	double begun_ms;
	uint64_t rows;             /* of the flush under way */
	struct state_stats stats;
};

void state_close_topic(struct state *s); /* restore.c: what was read stays */
/* Of a manifest's bytes without the hash itself; room (size): scratch. */
uint64_t state_manifest_hash(const struct manifest *m, void *room, size_t size);
/* XXH3 over key and value: what the sums add. */
uint64_t state_hash(const void *key, size_t key_len, const void *value, size_t len);
#endif
