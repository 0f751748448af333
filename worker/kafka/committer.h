/* committer.h - one Kafka transaction per commit, sent by a thread of its own from staged bytes.
 *
 * The fold thread fills a `struct staged` (staged.h: rows, version records, cuts, dead letters, input offsets), hands it over, and goes
 * on; at most one is in flight. An abortable error sends the same staged bytes again; an unknown outcome, a fenced producer
 * or a fatal error ends in an exit code: memory never goes back, the next process refolds (DESIGN, promises 1 and 3).
 * Source of the protocol: KIP-98, KIP-447 (offsets by group metadata), FACTS.
 */
#ifndef S4REC_COMMITTER_H
#define S4REC_COMMITTER_H
#include "worker/kafka/client.h"
#include "worker/kafka/staged.h"
#include "worker/watch/histogram.h"

struct committer;
/* Makes the transactional producer and runs init_transactions (which fences any other worker of this id), retrying while it
 * is retriable. On failure prints one line; returns an exit code. */
int committer_new(struct committer **ret, const struct config *c);
/* Takes over s (swapped for an empty one: *s stays usable) and returns at once, or waits while the previous one is in flight.
 * 0, or the exit code with which the process must end: EX_TEMPFAIL (75) fenced or outcome unknown, EX_OSERR (71) out of memory. */
int committer_submit(struct committer *c, struct staged **s);
/* Waits until nothing is in flight. Same return. */
int committer_wait(struct committer *c);
/* Does not wait: 0, or the exit code with which the process must end. Also notices a commit that never returns. */
int committer_check(struct committer *c);
/* Commits that have returned success. */
uint64_t committer_done(struct committer *c);
/* Where the last cut of the n-th commit stands in the batches topic; n of the last 1024 that are done. */
int64_t committer_cut_offset(struct committer *c, uint64_t n);
/* 1 while one is in flight. */
int committer_busy(struct committer *c);
struct committer_stats { uint64_t commits, records, retries; double last_ms, p50_ms, p99_ms; struct histogram took; };
void committer_stats(struct committer *c, struct committer_stats *ret);
void committer_totals(struct committer *c, struct committer_stats *ret); /* without p50 and p99, for which it need not sort */
void committer_free(struct committer *c);
#endif
