/* export.c - `s4rec export FILE`: the state of a prefix as a model file. Reads only: a worker goes on undisturbed. */
#include <sysexits.h>

#include "model/kernel.h"
#include "worker/command.h"
#include "worker/config.h"
#include "worker/kafka/check.h"
#include "worker/learn/side.h"
#include "worker/log.h"
#include "worker/model_file.h"
#include "worker/state/state.h"

static int save(const struct config *c, const struct learner *l, const struct manifest *m, const char *path)
{
	if (!m) {
		log_error("%s.state is empty: `s4rec train` flushes state every state.flush.ms and when it ends, `s4rec import` makes it", c->topic_prefix);
		return EX_DATAERR;
	}
	int r = model_file_save(path, l->model, l->item_ids);
	if (r == 0)
		log_info("exported %s: step=%llu items=%llu users=%llu (users are not part of a file)", path, (unsigned long long)m->step,
		         (unsigned long long)m->items, (unsigned long long)m->users);
	return r;
}

static int export(const struct config *c, const char *path)
{
	char input[TOPIC_NAME_MAX];
	struct learner *l = NULL;
	struct state *s = NULL;
	const struct manifest *m = NULL;
	int counts[TOPIC_COUNT], r = model_file_check(path);
	client_input_topic(input, sizeof input, c);
	kernel_portable(c->kernel == 1);
	if (r == 0)
		r = check_model_topics(c, counts);
	if (r == 0)
		r = learner_new(&l, c, input, counts[TOPIC_EMBEDDINGS]);
	if (r == 0)
		r = state_new(&s, c, l, counts[TOPIC_INTERACTIONS]);
	if (r == 0)
		r = state_restore(s, &m);
	if (r == 0)
		r = save(c, l, m, path);
	state_free(s);
	learner_free(l);
	return r;
}

int command_export(int argc, char **argv)
{
	struct config c;
	int r = config_parse(&c, C_EXPORT, "s4rec export FILE [OPTION]...", "s4rec export model.s4rec --config train.properties", argc, argv);
	if (r)
		return r < 0 ? 0 : r;

	if (c.arg_count != 1) {
		log_error("name one FILE to write; see s4rec export --help");
		r = EX_USAGE;
	} else {
		c.eval_out[0] = c.eval_windows[0] = '\0'; /* of the trainer whose file of options this may be */
		r = side_resolve(&c);
		if (r == 0)
			r = export(&c, c.args[0]);
	}
	config_release(&c);
	return r;
}
