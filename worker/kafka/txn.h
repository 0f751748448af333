/* txn.h - a transactional producer: the calls of one transaction, each with a verdict about its outcome (verdict.h).
 *
 *     begin -> produce every staged record -> offsets -> commit (which first awaits all delivery reports)
 *     |____________ an error here: abort, and send the same again ___________|  \_ an error here: outcome unknown, stop
 * The reports are awaited before the commit is called, so that a record that could not be written shows up while the
 * transaction is certainly still open. Once commit has been called, the broker may have acted on it whatever the client
 * says; only an error that asks for an abort and is not a timeout still goes back to the left side (the abort that follows
 * fails with INVALID_TXN_STATE should the commit have gone through after all, and that ends the process).
 * Source: KIP-98, KIP-447 (offsets by group metadata). One thread, save txn_overdue.
 */
#ifndef S4REC_TXN_H
#define S4REC_TXN_H
#include "worker/kafka/client.h"
#include "worker/kafka/staged.h"
#include "worker/kafka/verdict.h"

struct txn;
/* CLIENT_TXN_PRODUCER or CLIENT_STATE_PRODUCER. Runs init_transactions, which fences whoever held this id and ends what it left
 * open. On failure prints one line; exit code. */
int txn_new(struct txn **ret, const struct config *cfg, enum client_kind kind);
void txn_free(struct txn *t);

enum verdict txn_begin(struct txn *t);
enum verdict txn_produce(struct txn *t, const struct staged *s); /* may be called several times */
enum verdict txn_offsets(struct txn *t, const struct staged *s); /* of the input, in the name of group.id */
enum verdict txn_commit(struct txn *t);
enum verdict txn_abort(struct txn *t);
int txn_exit_code(const struct txn *t); /* after V_STOP: EX_TEMPFAIL, or EX_CONFIG or EX_NOPERM where starting again would not help */
int64_t txn_last_cut(const struct txn *t); /* offset of the last cut record that the last transaction wrote */
/* Removes what lies below an offset of the batches topic; a failure is only said. Between transactions. */
void txn_trim_cuts(struct txn *t, int64_t offset);
void txn_rest(struct txn *t); /* the owner waits for work: nothing is overdue */
void txn_poll(struct txn *t); /* serves callbacks while idle */
/* 1 when a call into the client has outstayed its time: it may never return (watchdog). Any thread. */
int txn_overdue(const struct txn *t);
#endif
