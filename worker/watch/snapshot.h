/* snapshot.h - what a worker shows of itself at one moment: plain data, no pointer but to static texts. The loop's thread fills one and
 * publishes copies (exchange.h); whoever answers a request only reads one.
 */
#ifndef S4REC_SNAPSHOT_H
#define S4REC_SNAPSHOT_H
#include <stddef.h>
#include <stdint.h>
#include "codec/cut.h"
#include "topics/topics.h"
#include "worker/watch/histogram.h"
#include "worker/watch/reasons.h"

/* In the order in which a start goes through them; a standby waits in PHASE_STANDING_BY, and only PHASE_LIVE is ready. */
enum phase {
	PHASE_STARTING,    /* Kafka is connected, topics are checked */
	PHASE_READING,     /* the state topic, before the election is joined */
	PHASE_STANDING_BY, /* another worker leads */
	PHASE_RESTORING,   /* leads: fences others, reads the rest of the state */
	PHASE_REPLAYING,   /* the committed cuts behind the state, silently */
	PHASE_CATCHING_UP, /* a backlog with an end, passes over the stored users */
	PHASE_LIVE,
	PHASE_STOPPING,    /* drains, commits, flushes */
	PHASES
};
extern const char *const phase_words[PHASES];

/* What a batch goes through. */
enum stage { STAGE_POLL, STAGE_RANK, STAGE_STEP, STAGE_PUBLISH, STAGE_COMMIT, STAGES };
extern const char *const stage_words[STAGES];

/* Counted since this process began to train, so that a restart begins at 0 and a replay counts nothing twice. */
#define SNAPSHOT_COUNTS(X) \
	X(events) X(ranked) X(steps) X(duplicates) X(late) X(clamped) X(unadmitted) X(expired_items) X(expired_users) X(items_published) \
	X(users_published) X(drifts)
struct counts {
#define X(name) uint64_t name;
	SNAPSHOT_COUNTS(X)
#undef X
};

/* The five terms of the loss, before their weights. */
#define LOSS_TERMS 5
extern const char *const loss_words[LOSS_TERMS];

struct snapshot_quality { double hr20, ndcg20; };

struct snapshot_partition {
	int64_t next; /* offset of the next record to train */
	int64_t lag;  /* records behind it that are there; -1 = not known yet */
};

struct snapshot {
	enum phase phase;
	int64_t phase_ms;             /* wall clock at its begin */
	int64_t started_ms;           /* wall clock at the start of the process */
	char prefix[TOPIC_NAME_MAX], input_topic[TOPIC_NAME_MAX], model_id[64], run_id[64], numeric_id[64];
	uint64_t space;               /* from 1; 0 = not known yet */
	uint64_t config_hash;         /* of the options that shape the model */
	int leads;

	uint64_t version, step;       /* of the last commit that was staged; of the last batch */
	int64_t watermark_ms;         /* newest event time; 0 = none */
	int64_t published_ms;         /* wall clock of the last commit of this process; 0 = none yet */
	int64_t freshness_p50_ms, freshness_p99_ms; /* event time to commit, of the last commit that had events */
	uint64_t items, users;        /* known now */
	uint64_t total_events, total_dead_letters; /* over the life of the model */
	struct counts count;
	uint64_t discarded[DISCARD_EXPLODING + 1]; /* steps that were not applied, by enum discard */
	struct reasons dead;
	double loss[LOSS_TERMS];      /* running means */
	double events_per_s;          /* over the last progress.ms */
	struct snapshot_quality model, popularity;

	int held;                     /* publishing is held ... */
	char held_why[64];            /* ... because of these two numbers */
	uint64_t gaps;                /* accepted, over the life of the model */
	int64_t backlog;              /* records before the goal while catching up */
	uint64_t pass, pass_users, pass_rows; /* 0 = none is under way; users behind and of how many */

	uint64_t restore_records;     /* read from the state topic by this start */
	int64_t restore_ms;           /* from the start to the end of the replay; 0 = not yet; the wait for the lead does not count */
	uint64_t commits, commit_retries;
	uint64_t flushes, flush_rows, state_step;
	double flush_last_ms;
	struct histogram stage[STAGES];

	int partitions;               /* last: only so many of what follows are copied */
	struct snapshot_partition partition[CUT_PARTITIONS_MAX];
};

/* Bytes of it that mean something. */
static inline size_t snapshot_size(const struct snapshot *s)
{
	return offsetof(struct snapshot, partition) + (size_t)s->partitions * sizeof s->partition[0];
}
#endif
