/* promote.c - `s4rec promote MODEL`: leads the readers of a prefix to another model of it, by one record; or back to its own.
 *
 * Nothing is moved and nobody is stopped: both models go on, each with its own trainer, until somebody ends one of them. A model whose rows are not all
 * there is refused, since its readers would see less than they have.
 */
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

/* A model that was held when it had caught up has a version, but no row. */
static int is_empty(const struct view *v)
{
	return view_newest(v)->held && view_rows(v, ROW_ITEM) + view_rows(v, ROW_USER) == 0;
}

static int check_complete(const struct config *c)
{
	struct view *v = NULL;
	char why[512];
	uint64_t version;
	int end = 0, r = view_new(&v, c, 0, NULL, NULL);
	while (r == 0 && !end && !interrupt_seen())
		r = view_poll(v, 200, &end);
	if (r == 0)
		r = view_settle(v, interrupt_seen);
	if (r == 0 && !view_complete(v, &version, why, sizeof why)) {
		log_error("model %s is not ready for readers: %s", c->model_id, why);
		r = EX_UNAVAILABLE;
	}
	if (r == 0 && is_empty(v)) {
		log_error("model %s is not ready for readers: publishing is held (%s), and it has no row yet", c->model_id, view_newest(v)->held_why);
		r = EX_UNAVAILABLE;
	}
	if (r == 0 && strcmp(view_newest(v)->model_id, c->model_id)) {
		log_error("%s.embeddings has vectors of model %s, not of %s", c->topic_prefix, view_newest(v)->model_id, c->model_id);
		r = EX_CONFIG;
	}
	if (r == 0)
		log_info("model %s is complete: version %llu, space %s", c->model_id, (unsigned long long)version, view_newest(v)->space_id);
	view_free(v);
	return r;
}

static int promote(struct config *c, const char *prefix)
{
	int r = side_resolve(c);
	if (r == 0)
		r = check_complete(c);
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
