/* changes.h - which rows of the fold changed since the last flush of state, and copy on write for the flush that is under way.
 *
 * Whoever is about to change a row says so first. If a flush still has to write the row as it was when the flush began, it is written
 * now, before the change; either way the next flush will write it again. So a flush sees the fold as of one commit while training
 * goes on. Not thread-safe.
 */
#ifndef S4REC_STATE_CHANGES_H
#define S4REC_STATE_CHANGES_H
#include <stddef.h>
#include <stdint.h>

enum state_kind { STATE_ITEM, STATE_USER, STATE_KINDS };

struct changes;
/* Writes one row as it is now. 0 or a negative errno. */
typedef int changes_save(void *ctx, enum state_kind kind, uint32_t row);

int changes_new(struct changes **ret); /* -ENOMEM */
void changes_free(struct changes *c);

/* Before the row changes (or comes into being). -ENOMEM, or what save returned; then the row must not be changed. */
int changes_row(struct changes *c, enum state_kind kind, uint32_t row);
/* The same for rows 0 .. rows - 1. */
int changes_all(struct changes *c, enum state_kind kind, size_t rows);
/* Before a row that was nobody's is filled: a flush under way has nothing of it to write, whatever was said of the row before. -ENOMEM. */
int changes_born(struct changes *c, enum state_kind kind, uint32_t row);
/* Before a row is given up: its key is to be deleted. */
int changes_forget(struct changes *c, enum state_kind kind, uint32_t row, const char *id, size_t len);

/* Begins a flush: what changed so far is pending. The flush before must have ended. */
void changes_begin(struct changes *c, changes_save *save, void *ctx);
/* Writes at most `rows` pending rows; *ret_left tells whether there are more. */
int changes_save_some(struct changes *c, size_t rows, int *ret_left);
/* The rows given up and not yet dropped here, oldest first: the id, NULL at the end. *at: 0 at the start. The hash is handed out once, 0 after. */
const char *changes_forgotten(struct changes *c, size_t *at, enum state_kind *ret_kind, size_t *ret_len, uint64_t *ret_hash);
/* A flush has written the deletes of those before `at`. */
void changes_drop_forgotten(struct changes *c, size_t at);

/* Hash of a row as the state topic holds it, 0 = it does not. Kept here because it goes where the row goes. */
uint64_t changes_hash(const struct changes *c, enum state_kind kind, uint32_t row);
int changes_set_hash(struct changes *c, enum state_kind kind, uint32_t row, uint64_t hash); /* -ENOMEM */
#endif
