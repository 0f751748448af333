/* view.h - a reader's view of the embeddings topic: rows by key, versions by partition; what `read` and `query` stand on.
 * It follows the contract: it is complete at version v when every partition has shown a version >= v and the live rows of each
 * partition equal that partition's counts.
 */
#ifndef S4REC_VIEW_H
#define S4REC_VIEW_H
#include "worker/kafka/client.h"
#include "codec/embedding.h"

struct view;
typedef void view_cb(void *ctx, enum row_kind kind, const char *id, size_t id_len, const struct embedding *e_or_null_when_deleted,
                     const struct version *v_or_null, int32_t partition);
/* Prints its errors; exit code. cb may be NULL. keep: 1 = keep the rows (query). */
int view_new(struct view **ret, const struct config *c, int keep, view_cb *cb, void *ctx);
/* Reads on: at most timeout_ms. *ret_end 1 when the end that the topic had at view_new was reached. Exit code. */
int view_poll(struct view *v, int timeout_ms, int *ret_end);
/* At that end: reads on for a second at most until the view is complete, since a transaction becomes visible partition by partition. stop ends it
 * early. Exit code; whether it is complete, view_complete tells. */
int view_settle(struct view *v, int (*stop)(void));
/* Complete? Fills why (what is missing) when not; *ret_version the smallest version over the partitions. */
int view_complete(const struct view *v, uint64_t *ret_version, char *why, size_t why_size);
/* The newest version record that was read, without its offsets; version 0: none. */
const struct version *view_newest(const struct view *v);
/* Rows of a kind as one matrix: ids by index. */
size_t view_rows(const struct view *v, enum row_kind kind);
const char *view_id(const struct view *v, enum row_kind kind, size_t i, size_t *ret_len);
const float *view_vector(const struct view *v, enum row_kind kind, size_t i, int32_t *ret_prototype);
size_t view_dimension(const struct view *v);
/* Index of an id, or SIZE_MAX. */
size_t view_find(const struct view *v, enum row_kind kind, const char *id, size_t id_len);
/* Records that were read, of whatever kind. */
uint64_t view_records(const struct view *v);
void view_free(struct view *v);
#endif
