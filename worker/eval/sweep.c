/* sweep.c - see sweep.h */
#include "worker/eval/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "worker/log.h"
#include "worker/model_config.h"

/* A run whose options make no model would end hours of others. */
static int check_run(const struct sweep_run *x)
{
	struct model_config mc = model_config_from(&x->c, (size_t)x->c.batch_users);
	const char *why = "";

	if (model_config_check(&mc, &why) == 0)
		return 0;
	log_error("sweep: with %s the model's options do not fit: %s", x->name, why);
	return EX_CONFIG;
}

/* Which run a value of an option is: one that is there, or a new one. */
static int add_run(struct sweep *s, struct sweep_axis *a, const char *value)
{
	struct sweep_run x = { .c = s->run[0].c };
	char usual[64], now[64];
	size_t i = 0;
	int code = config_vary(&x.c, C_EVAL, a->option, value);

	if (code)
		return code;
	config_value(usual, sizeof usual, &s->run[0].c, a->option);
	config_value(now, sizeof now, &x.c, a->option);
	snprintf(a->value[a->points], sizeof a->value[0], "%.23s", now);
	snprintf(x.name, sizeof x.name, "%.31s=%.31s", a->option, now);
	if (strcmp(usual, now) != 0)
		for (i = 1; i < s->runs && strcmp(s->run[i].name, x.name) != 0; i++)
			;
	if (i == s->runs) {
		code = check_run(&x);
		if (code)
			return code;
		x.result = calloc(s->seeds, sizeof *x.result);
		if (!x.result)
			return log_no_memory();
		s->run[s->runs++] = x;
	}
	a->run[a->points++] = i;
	return 0;
}

/* "lambda=0,0.01,0.1" */
static int add_axis(struct sweep *s, char *text)
{
	struct sweep_axis *a = &s->axis[s->axes];
	char *values = strchr(text, '='), *value;
	int code = 0;

	if (!values || values == text || !values[1] || (size_t)(values - text) >= sizeof a->option) {
		log_error("sweep: '%s' is not of the form OPTION=VALUE,VALUE,...", text);
		return EX_USAGE;
	}
	if (s->axes == SWEEP_AXES) {
		log_error("sweep: more than %d options", SWEEP_AXES);
		return EX_USAGE;
	}
	*values++ = '\0';
	snprintf(a->option, sizeof a->option, "%s", text);
	while (code == 0 && (value = strsep(&values, ","))) { /* an empty one is no number and no word */
		if (a->points == SWEEP_POINTS) {
			log_error("sweep: more than %d values of %s", SWEEP_POINTS, a->option);
			return EX_USAGE;
		}
		code = add_run(s, a, value);
	}
	s->axes++;
	return code;
}

int sweep_new(struct sweep *ret, const struct config *c)
{
	struct sweep s = { .seeds = (size_t)c->seeds, .runs = 1, .run = calloc(SWEEP_AXES * SWEEP_POINTS + 1, sizeof *s.run) };
	char *text = strdup(c->sweep), *at = NULL;
	int code = 0;

	if (s.run) {
		s.run[0].c = *c;
		s.run[0].result = calloc(s.seeds, sizeof *s.run[0].result);
	}
	if (!s.run || !s.run[0].result || !text)
		code = log_no_memory();
	for (char *part = code ? NULL : strtok_r(text, ";", &at); code == 0 && part; part = strtok_r(NULL, ";", &at))
		code = add_axis(&s, part);
	free(text);
	if (code)
		sweep_release(&s);
	else
		*ret = s;
	return code;
}

void sweep_release(struct sweep *s)
{
	for (size_t i = 0; s->run && i < s->runs; i++) {
		free(s->run[i].result);
		loo_detail_release(&s->run[i].detail);
	}
	free(s->run);
	*s = (struct sweep){ 0 };
}
