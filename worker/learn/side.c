/* side.c - see side.h */
#include "worker/learn/side.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "topics/topics.h"
#include "worker/kafka/client.h"
#include "worker/learn/cutlog.h"
#include "worker/log.h"

char *side_prefix(const char *prefix, const char *model_id)
{
	char *name = NULL;
	return asprintf(&name, "%s.%s", prefix, model_id) < 0 ? NULL : name;
}

/* A file that the model beside it writes, too, where both have one file of options. A pipe or a device has nothing that could be overwritten. */
static int file_aside(char **option, const char *model_id)
{
	struct stat st;
	if (!**option || (stat(*option, &st) == 0 && !S_ISREG(st.st_mode)))
		return 0;
	return config_own(option, side_prefix(*option, model_id));
}

static int move_aside(struct config *c)
{
	char input[TOPIC_NAME_MAX];
	client_input_topic(input, sizeof input, c);
	int r = config_own(&c->group_id, side_prefix(c->group_id, c->model_id));
	if (r == 0)
		r = config_own(&c->topic_prefix, side_prefix(c->topic_prefix, c->model_id));
	if (r == 0)
		r = file_aside(&c->eval_out, c->model_id);
	if (r == 0)
		r = file_aside(&c->eval_windows, c->model_id);
	return r ? r : config_own(&c->input_topic, strdup(input));
}

/* *ret_none 1: there is no such topic, or nothing in it. */
static int last_cut(const struct config *c, struct cut *ret, int *ret_none)
{
	char topic[TOPIC_NAME_MAX];
	struct cutlog *log = NULL;
	int there = 0, r;
	*ret_none = 1;
	if (topic_name(topic, sizeof topic, c->topic_prefix, TOPIC_BATCHES) < 0)
		return 0; /* whoever checks the topics says so */
	r = client_has_topic(c, topic, &there);
	if (r || !there)
		return r;
	r = cutlog_new(&log, c, END_COMMITTED);
	if (r == 0)
		r = cutlog_last(log, ret, ret_none);
	cutlog_free(log);
	return r;
}

int side_resolve(struct config *c)
{
	struct cut last;
	int none, r = last_cut(c, &last, &none);
	if (r || none || !strcmp(last.model_id, c->model_id))
		return r;
	log_info("%s is the prefix of model %s, so model %s has the prefix %s.%s", c->topic_prefix, last.model_id, c->model_id, c->topic_prefix, c->model_id);
	return move_aside(c);
}
