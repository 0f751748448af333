/* state.h - the fold in the state topic: flushed while training goes on, restored at a start.
 *
 * A flush describes the fold as of one commit. It begins in the turn in which that commit was staged, when rows are as the commit has
 * them; from there on rows are copied before they change (changes.h), some more are written each turn, and a thread sends them. Its
 * transaction begins only after the commit has returned success, so no manifest can name a step that was not committed.
 *
 *     commit staged -> state_begin -> [turns: state_turn ...] -> manifest -> transaction committed
 *     commit returned ------------------^ the writer may begin to send
 *
 * Not thread-safe.
 */
#ifndef S4REC_STATE_H_
#define S4REC_STATE_H_
#include "codec/cut.h"
#include "codec/state.h"
#include "worker/learn/learner.h"

struct state;
/* To restore from; nobody is fenced. partitions: of the input. Exit code, as all functions here that return int. */
int state_new(struct state **ret, const struct config *c, struct learner *l, int partitions);
void state_free(struct state *s);
/* From here on this process may flush: fences any other worker's state producer. run_id is borrowed. */
int state_write(struct state *s, const char *run_id);

/* Reads the state topic to its end into the learner, which must be new, and checks it against its manifest. *ret: the manifest, valid
 * until the next flush; NULL when there is no state. Refuses a foreign configuration, another partition count of the input, what
 * does not add up. Without state_write before it, another worker may be flushing: what is read ends before that flush, and should
 * compaction overtake the reading, it does not add up. */
int state_restore(struct state *s, const struct manifest **ret);

/* The same in pieces, for a standby: applies what has been committed since the last call, for some 50 ms at most, and waits up to timeout_ms when
 * there is nothing. A later state_restore reads only what is left. Each flush that was read to its end is held against its manifest. EX_DATAERR:
 * it does not add up (compaction was quicker, or the reasons that state_restore has), and state_restart is the way on. */
struct state_followed {
	int caught_up;    /* everything that is committed was read */
	uint64_t step;    /* of the newest manifest; 0 = none yet */
	uint64_t records; /* read so far */
	int64_t offset;   /* of the record to come */
};
int state_follow(struct state *s, int timeout_ms, struct state_followed *ret);
/* Forgets what was read, to begin again with a learner that is new. The old one is not touched any more. */
void state_restart(struct state *s, struct learner *l);
/* state_restore reads only what lies before this offset of the state topic: an older manifest and its rows, as long as compaction has left them
 * (else EX_DATAERR). */
void state_read_before(struct state *s, int64_t offset);
/* The manifest that a flush of the fold would write now; nothing is sent. Instead of state_write, not after it. *ret: until the next call. */
int state_sums(struct state *s, uint64_t version, const int64_t *offsets, int embedding_partitions, const struct manifest **ret);

/* Where the cut at which the restored state was written stands in the batches topic: what lies before it goes with the next flush. */
void state_restored_at(struct state *s, int64_t cut_offset);
/* A flush of the fold as it is now, just after the commit `version` was staged. offsets (partitions of the input). */
int state_begin(struct state *s, uint64_t version, const int64_t *offsets, int embedding_partitions);
int state_busy(const struct state *s);
/* Rows wait to be copied and may be sent: the loop's idle time is of use now. */
int state_copying(const struct state *s);
/* The next flush writes all rows, changed or not. Exit code. */
int state_mark_all(struct state *s);
/* Goes on with the flush under way, for some milliseconds at most. cut_offset: where the last cut of the commit that it describes stands in
 * the batches topic, -1 while that commit has not returned. Cuts below the second-newest manifest are removed. */
int state_turn(struct state *s, int64_t cut_offset);
/* Ends the flush under way, however long it takes; the commit that it describes has returned. */
int state_finish(struct state *s, int64_t cut_offset);

/* A flush at a place that no replay leads to (a model from a file, new or in place of the one before; a gap): all that changed of the learner, the
 * cut at which its fold begins or goes on, and what readers get (rows, which is taken; NULL = nothing), in one transaction. A crash leaves all of
 * it or nothing, so that no start can find cuts without their state (and would begin an empty model there, or go on with the one before) or the
 * reverse. */
int state_found(struct state *s, const struct cut *first, struct staged *rows);

struct state_stats { uint64_t flushes, rows; double last_ms; uint64_t step; /* of the newest manifest */ };
struct state_stats state_stats(const struct state *s);
#endif
