/* writer.h - sends the records of a flush as one transaction, from a thread and a producer of its own (<prefix>.trainer-state), while
 * training goes on. One flush: put slices, open once the commit that it describes has returned, end; then poll for the outcome.
 */
#ifndef S4REC_STATE_WRITER_H
#define S4REC_STATE_WRITER_H
#include "worker/kafka/staged.h"
#include "worker/config.h"

#define WRITER_WAITING_MAX (64u * 1024 * 1024) /* bytes that may wait to be sent */

struct state_writer;
/* Runs init_transactions, which ends what a dead worker left open. Exit code. */
int state_writer_new(struct state_writer **ret, const struct config *c);
void state_writer_free(struct state_writer *w);
/* Takes s. Waits while more than WRITER_WAITING_MAX wait and the flush is open. -ENOMEM: s was not taken, and this flush must not be ended. */
int state_writer_put(struct state_writer *w, struct staged *s);
void state_writer_open(struct state_writer *w);
/* trim: once the flush is there, cuts below this offset of the batches topic are removed; 0 = none. */
void state_writer_end(struct state_writer *w, int64_t trim);
enum writer_outcome { WRITER_BUSY, WRITER_DONE, WRITER_FAILED /* aborted: nothing of it is there */ };
/* Exit code, and the outcome of the flush that was ended; it is then ready for the next one. wait 1: until it is known. */
int state_writer_poll(struct state_writer *w, enum writer_outcome *ret, int wait);
#endif
