/* rows.h - the rows of one view: by kind a dense matrix, ids by index, live rows counted by partition. No Kafka in here. Not thread-safe.
 *
 * Vectors are kept as they come: int8 rows as bytes and a scale as long as all rows are int8 rows, else all as float.
 */
#ifndef S4REC_READER_ROWS_H
#define S4REC_READER_ROWS_H
#include "codec/embedding.h"
#include "worker/reader/s4rec-reader.h"

#define ROW_VECTORS ROW_MODEL /* the kinds that have rows: item, user, prototype; as in enum s4rec_kind */

struct rows;
int rows_new(struct rows **ret, int partitions, int keep); /* keep 0: no vectors. -ENOMEM */
void rows_free(struct rows *x);
/* e NULL: a row is there, but nobody can read it. The width of the view is that of the row that came last (*ret_new_width 1: another one than
 * before). -ENOMEM. */
int rows_set(struct rows *x, enum row_kind kind, const char *id, size_t id_len, int32_t partition, const struct embedding *e, int *ret_new_width);
void rows_delete(struct rows *x, enum row_kind kind, const char *id, size_t id_len);

const uint64_t *rows_live(const struct rows *x, int32_t partition); /* (ROW_VECTORS) */
size_t rows_odd(const struct rows *x); /* rows without a vector of the width that all should have */
size_t rows_dimension(const struct rows *x);
size_t rows_count(const struct rows *x, enum row_kind kind);
size_t rows_find(const struct rows *x, enum row_kind kind, const char *id, size_t id_len); /* SIZE_MAX: not there */
void rows_get(const struct rows *x, enum row_kind kind, size_t i, struct s4rec_row *ret, float *vector);
/* As s4rec_reader_top. Rows that are odd have no score. */
size_t rows_top(const struct rows *x, const struct s4rec_query *q, struct s4rec_hit *hits, size_t k);
#endif
