/* model_config.c - see model_config.h */
#include "worker/model_config.h"

struct model_config model_config_from(const struct config *c, size_t batch_users_max)
{
	return (struct model_config){
		.L = (size_t)c->max_length, .D = (size_t)c->width, .heads = (size_t)c->heads, .layers = (size_t)c->layers,
		.K = (size_t)c->prototypes, .dropout = (float)c->dropout, .loss = (enum loss_form)c->loss,
		.negatives = (size_t)c->negatives, .uniform = (float)c->negatives_uniform, .cosine = c->cosine, .cosine_tau = (float)c->cosine_tau, .low_pass = c->low_pass,
		.pool = (enum pool_form)c->pool, .norm = c->norm, .posden = c->posden, .detach = c->teacher_detach,
		.eps = (float)c->sinkhorn_eps, .iters = (int)c->sinkhorn_iters, .queue = (size_t)c->sinkhorn_queue,
		.tau1 = (float)c->tau1, .tau2 = (float)c->tau2, .tau3 = (float)c->tau3, .alpha = (float)c->alpha,
		.beta1 = (float)c->beta1, .beta2 = (float)c->beta2, .lambda = (float)c->lambda, .mask_share = (float)c->mask_share,
		.crop_share = (float)c->crop_share, .reorder_share = (float)c->reorder_share, .insert_share = (float)c->insert_share,
		.clip = (float)c->clip, .beta_1 = .9f, .beta_2 = .999f, .adam_eps = 1e-8f, .weight_decay = (float)c->weight_decay,
		.seed = (uint64_t)c->seed, .threads = (int)c->threads, .items_max = (size_t)c->max_items,
		.batch_users_max = batch_users_max, .batch_tokens_max = 0,
	};
}
