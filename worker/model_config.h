/* model_config.h - what the options say about the model, for all who make one. Pure; any thread. */
#ifndef S4REC_MODEL_CONFIG_H
#define S4REC_MODEL_CONFIG_H
#include "model/model.h"
#include "worker/config.h"

/* batch_users_max: most users in a batch. The caller still asks model_config_check: options are checked one by one only. */
struct model_config model_config_from(const struct config *c, size_t batch_users_max);

/* The learning rate of a step (from 1): model/schedule.h by the options. total_steps: where a cosine ends, above 0. */
float learning_rate_at(const struct config *c, uint64_t step, uint64_t total_steps);
#endif
