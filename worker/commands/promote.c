/* promote.c - `s4rec promote MODEL`: leads the readers of a prefix to another model of it, by one record; or back to its own.
 *
 * Nothing is moved and nobody is stopped: both models go on, each with its own trainer, until somebody ends one of them. A model whose rows are not all
 * there is refused, since its readers would see less than they have.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "worker/command.h"
#include "worker/commands/interrupt.h"
#include "worker/config.h"
#include "worker/kafka/pointer.h"
#include "worker/kafka/view.h"
#include "worker/learn/side.h"
#include "worker/log.h"

static int is_ready(const struct config *c, const struct s4rec_reader *v)
{
	const struct s4rec_version *newest;
	uint64_t version = s4rec_reader_version(v, &newest);

	if (newest->held && s4rec_reader_count(v, S4REC_ITEM) + s4rec_reader_count(v, S4REC_USER) == 0) { /* it was held when it had caught up */
		log_error("model %s is not ready for readers: publishing is held (%s), and it has no row yet", c->model_id, newest->held_why);
		return EX_UNAVAILABLE;
	}
	if (strcmp(newest->model_id, c->model_id)) {
		log_error("%s.embeddings has vectors of model %s, not of %s", c->topic_prefix, newest->model_id, c->model_id);
		return EX_CONFIG;
	}
	log_info("model %s is complete: version %llu, space %s", c->model_id, (unsigned long long)version, newest->space_id);
	return 0;
}

static int check_ready(const struct config *c)
{
	struct s4rec_reader *v = NULL;
	char before[256];
	int r = view_open(&v, c, &(struct view_options){ .stay = 1, .count_only = 1 });
	snprintf(before, sizeof before, "model %s is not ready for readers", c->model_id);
	if (r == 0)
		r = view_bootstrap(v, interrupt_seen, before, "");
	if (r == 0)
		r = is_ready(c, v);
	s4rec_reader_close(v);
	return r;
}

static int promote(struct config *c, const char *prefix)
{
	int r = side_resolve(c);
	if (r == 0)
		r = check_ready(c);
	if (r)
		return r;
	int own = !strcmp(prefix, c->topic_prefix);
	r = pointer_set(c, prefix, own ? NULL : c->topic_prefix);
	if (r == 0)
		log_info("readers of %s.embeddings are led to %s", prefix, own ? "its own model again" : c->topic_prefix);
	return r;
}

int command_promote(int argc, char **argv)
{
	struct config c;
	int r = config_parse(&c, C_PROMOTE, "s4rec promote MODEL [OPTION]...", "s4rec promote v2 --config train.properties", argc, argv);
	if (r)
		return r < 0 ? 0 : r;

	char *prefix = NULL;
	if (c.arg_count != 1) {
		log_error("name one model (model.id); see s4rec promote --help");
		r = EX_USAGE;
	}
	if (r == 0)
		r = config_own(&prefix, strdup(c.topic_prefix));
	if (r == 0)
		r = config_own(&c.model_id, strdup(c.args[0]));
	if (r == 0) {
		interrupt_install();
		r = promote(&c, prefix);
	}
	free(prefix);
	config_release(&c);
	return r;
}
