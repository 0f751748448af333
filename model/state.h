/* state.h - what recovery needs of a model beyond the configuration: dense tensors by name (model_tensor: "mu", moments "mu/m" and
 * "mu/v"), item rows with their moments, and the queue of recent z. Written and read in place between steps; a fresh
 * model with the same rows added (model_add_item in order) and this state copied in goes on with the same bits.
 */
#ifndef S4REC_STATE_H
#define S4REC_STATE_H
#include "model/model.h"

/* Dense tensors in table order, 0..; NULL after the last. */
const char *model_tensor_name(const struct model *m, size_t i);
/* Row as [weight | m | v], 3D floats; *ret_step: the step its moments belong to (sampled, bce; 0 = never touched). */
float *model_row_state(struct model *m, uint32_t row, uint32_t **ret_step);
/* The ring (cfg.queue, D); rows filled, next row to write. */
float *model_queue_state(struct model *m, size_t **ret_count, size_t **ret_next);
#endif
