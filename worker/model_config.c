/* model_config.c - see model_config.h */
#include "worker/model_config.h"

#include "model/schedule.h"

struct model_config model_config_from(const struct config *c, size_t batch_users_max)
{
	return (struct model_config){
		.L = (size_t)c->max_length, .D = (size_t)c->width, .heads = (size_t)c->heads, .layers = (size_t)c->layers,
		.K = (size_t)c->prototypes, .dropout = (float)c->dropout, .loss = (enum loss_form)c->loss,
		.negatives = (size_t)c->negatives, .uniform = (float)c->negatives_uniform, .logq = c->logq, .cosine = c->cosine, .cosine_tau = (float)c->cosine_tau, .low_pass = c->low_pass,
		.pool = (enum pool_form)c->pool, .norm = c->norm, .posden = c->posden, .detach = c->teacher_detach,
		.cluster = (enum cluster_form)c->cluster, .eps = (float)c->sinkhorn_eps, .iters = (int)c->sinkhorn_iters, .queue = (size_t)c->sinkhorn_queue,
		.tau1 = (float)c->tau1, .tau2 = (float)c->tau2, .tau3 = (float)c->tau3, .alpha = (float)c->alpha,
		.beta1 = (float)c->beta1, .beta2 = (float)c->beta2, .lambda = (float)c->lambda, .mask_share = (float)c->mask_share,
		.crop_share = (float)c->crop_share, .reorder_share = (float)c->reorder_share, .insert_share = (float)c->insert_share,
		.clip = (float)c->clip, .beta_1 = (float)c->adam_beta1, .beta_2 = (float)c->adam_beta2, .adam_eps = (float)c->adam_eps,
		.weight_decay = (float)c->weight_decay, .rows = (enum row_optimizer)c->rows,
		.attributes = (size_t)c->attributes_buckets, .seed = (uint64_t)c->seed, .threads = (int)c->threads, .items_max = (size_t)c->max_items,
		.batch_users_max = batch_users_max, .batch_tokens_max = 0,
	};
}

float learning_rate_at(const struct config *c, uint64_t step, uint64_t total_steps)
{
	return schedule_rate((float)c->learning_rate, step, (uint64_t)c->warmup_steps, c->schedule == SCHEDULE_COSINE ? total_steps : 0, (float)c->schedule_floor);
}
