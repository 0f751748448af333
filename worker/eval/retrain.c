/* retrain.c - see retrain.h. Reading order: retrain, train, gather. */
#include "worker/eval/retrain.h"

#include "model/schedule.h"
#include "worker/log.h"

int follow_items(struct model *m, const struct model *like)
{
	uint32_t row;

	while (model_items(m) < model_items(like))
		if (model_add_item(m, &row) < 0)
			return log_no_memory();
	for (row = 0; row < model_items(like); row++) {
		int gone = model_item_is_gone(like, row);

		if (gone && !model_item_is_gone(m, row))
			model_remove_item(m, row);
		else if (!gone && model_item_is_gone(m, row))
			model_renew_item(m, row);
		if (!gone)
			model_copy_item_attributes(m, row, like, row);
	}
	return 0;
}

/* The next users of the epoch's order from *at on; 0: there are none left. */
static size_t gather(struct learner *l, uint64_t epoch, size_t *at)
{
	size_t rows = users_rows(l->users), users = 0;

	scratch_clear(l->scratch);
	while (*at < rows && users < (size_t)l->cfg->batch_users) {
		uint32_t row = passes_order((uint64_t)l->cfg->seed, epoch, (uint32_t)(*at)++, rows);

		if (!user_has_target(users_get(l->users, row)))
			continue;
		scratch_add(l->scratch, l, row, 1);
		users++;
	}
	return users;
}

static int train(struct learner *l, struct model *m, struct grad *g, uint64_t epochs)
{
	const struct config *c = l->cfg;
	size_t batch = (size_t)c->batch_users;
	uint64_t step = 0, steps = epochs * ((users_rows(l->users) + batch - 1) / batch);
	struct step_stats stats;

	for (uint64_t epoch = 0; epoch < epochs; epoch++)
		for (size_t at = 0; gather(l, epoch, &at) > 0;) {
			struct batch b;
			int code = learner_batch(l, &b);

			if (code)
				return code;
			model_grad(m, g, &b, ++step, &stats);
			if (!stats.discarded)
				model_apply(m, g, step, schedule_rate((float)c->learning_rate, step, (uint64_t)c->warmup_steps, steps, (float)c->schedule_floor));
		}
	return 0;
}

int retrain(struct model **ret, struct learner *l, uint64_t epochs)
{
	struct model *m = NULL;
	struct grad *g = NULL;
	int code = model_new(&m, model_config(l->model)) < 0 || grad_new(&g, m) < 0 ? log_no_memory() : follow_items(m, l->model);

	if (code == 0)
		code = train(l, m, g, epochs);
	grad_free(g);
	if (code)
		model_free(m);
	else
		*ret = m;
	return code;
}
