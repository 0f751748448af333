/* rows.h - the fold of a learner as keyed records of the state topic (topics/state.proto), and back. Not thread-safe.
 *
 * Three kinds of records: item and user rows, and dense chunks (tensors, moments, rings). All else that the fold stands on is a number
 * in the manifest. Written at a commit, when no forgotten row waits for its delete, and users wait for publishing only while it is held.
 */
#ifndef S4REC_STATE_ROWS_H
#define S4REC_STATE_ROWS_H
#include "codec/state.h"
#include "worker/learn/learner.h"

#define STATE_KEY_MAX (16 + 4096)
#define STATE_CHUNK (512u * 1024)

/* Room that any record's value needs. */
size_t state_value_max(const struct learner *l);

/* The record of a row as it is now: key (STATE_KEY_MAX) and value. -ENOENT: the row is in nobody's use. */
int state_row_save(struct learner *l, enum state_kind kind, uint32_t row, char *key, size_t *ret_key_len, void *value, size_t size, size_t *ret_len);
/* Puts a record into its row. -EBADMSG, -EEXIST (row or id taken otherwise), -ENOSPC, -ENOMEM. */
int state_row_load(struct learner *l, enum state_kind kind, const char *id, size_t id_len, const void *value, size_t len, uint32_t *ret_row);

/* The row of a record that was deleted. */
void state_row_remove(struct learner *l, enum state_kind kind, uint32_t row);

/* The i-th dense thing: name, memory, size; -ENOENT after the last, -ENOMEM. */
struct dense { char name[80]; void *data; size_t bytes; };
int state_dense(struct learner *l, size_t i, struct dense *ret);

/* The numbers of the fold into a manifest, and back (after all rows: it also seals the row numbers). -EINVAL, -ENOMEM. */
void state_numbers_save(struct learner *l, struct manifest *m);
int state_numbers_load(struct learner *l, const struct manifest *m);
#endif
