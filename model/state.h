/* state.h - what recovery needs of a model beyond the configuration: dense tensors by name (model_tensor: "mu", moments "mu/m" and
 * "mu/v"), item rows with what their optimiser keeps, the queue of recent z, and the history of applications. Written and read in place between
 * steps; a fresh model with the same rows added (model_add_item in order) and this state copied in goes on with the same bits.
 * Rows are as they were when last written: readers of vectors want model_item_vector.
 */
#ifndef S4REC_STATE_H
#define S4REC_STATE_H
#include "model/model.h"

/* Dense tensors in table order, 0..; NULL after the last. */
const char *model_tensor_name(const struct model *m, size_t i);
/* Row as [weight | m | v], with ROWS_ADAGRAD [weight | a]: model_row_floats, 3D or D + 1; *ret_step: the application it belongs to, at most MODEL_HISTORY before the last (away.c). */
size_t model_row_floats(const struct model *m);
float *model_row_state(struct model *m, uint32_t row, uint32_t **ret_step);
/* Rows up to n, those that are new all zero and not drawn: the caller fills each by model_row_state. -ENOSPC above items_max. */
int model_make_rows(struct model *m, size_t n);
/* The ring (cfg.queue, D); rows filled, next row to write. */
float *model_queue_state(struct model *m, size_t **ret_count, size_t **ret_next);

/* Applications are numbered from 1; the last MODEL_HISTORY of them are known. */
#define MODEL_HISTORY 4096
struct applied { uint64_t step; float lr; };
uint64_t model_applied(const struct model *m);
void model_history(const struct model *m, uint64_t application, struct applied *ret);
/* last (n): the newest n = min(applied, MODEL_HISTORY) applications, oldest first. */
void model_history_restore(struct model *m, uint64_t applied, const struct applied *last, size_t n);

/* Makes `to` what `from` is: weights, moments, rows, queue, history. Both were made with one configuration, save threads and sizes of batches;
 * to has room for from's items. Whoever watches `to` is not told. */
void model_copy(struct model *to, const struct model *from);
/* The same with other rows: row i of `to`, which is new, is row from_row[i] of `from`; where that is NO_ROW, as model_add_item draws it; GONE_ROW: nobody's. */
#define GONE_ROW MASK_ROW
void model_arrange(struct model *to, const struct model *from, const uint32_t *from_row, size_t n);
#endif
