/* What an event of a type counts: type.weights. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "codec/event_private.h"

#define TYPES_MAX 64

struct type {
	struct event_text name; /* points into types.names */
	int ignore;
	double weight;
};

struct types {
	char *names; /* owned */
	struct type type[TYPES_MAX], rest; /* rest: all that are not named */
	size_t count;
	int only_ignore;
};

static char *trim(char *s)
{
	size_t n;

	while (*s == ' ')
		s++;
	for (n = strlen(s); n && s[n - 1] == ' '; n--)
		s[n - 1] = 0;
	return s;
}

/* "view:1"; a name may have colons itself. */
static int add_type(struct types *t, char *s, const char **reterr_why)
{
	char *colon = strrchr(s, ':');
	struct type one = { .weight = 1 };

	*reterr_why = "type.weights is not of the form type:weight,type:ignore";
	if (!colon)
		return -EINVAL;
	*colon = 0;
	char *name = trim(s), *word = trim(colon + 1);

	one.name = (struct event_text){ name, strlen(name) };
	one.ignore = strcmp(word, "ignore") == 0;
	if (!one.name.len || (!one.ignore && (number_parse(&one.weight, word, strlen(word)) < 0 || !isfinite(one.weight) || one.weight < 0)))
		return -EINVAL;
	if (strcmp(name, "*") == 0) {
		t->rest = one;
		return 0;
	}
	if (t->count == TYPES_MAX) {
		*reterr_why = "more than 64 types in type.weights";
		return -EINVAL;
	}
	t->type[t->count++] = one;
	return 0;
}

int types_new(struct types **ret, const char *spec, int only_ignore, const char **reterr_why)
{
	struct types *t;
	int r = 0;

	*ret = NULL;
	if (!spec || !*spec)
		return 0;
	t = calloc(1, sizeof(*t));
	if (t)
		t->names = strdup(spec);
	if (!t || !t->names) {
		types_free(t);
		*reterr_why = "out of memory";
		return -ENOMEM;
	}
	t->only_ignore = only_ignore;
	t->rest.weight = 1;
	for (char *next = t->names, *s; r == 0 && (s = strsep(&next, ",")); )
		r = add_type(t, s, reterr_why);
	if (r < 0) {
		types_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void types_free(struct types *t)
{
	if (!t)
		return;
	free(t->names);
	free(t);
}

static const struct type *find(const struct types *t, const struct event_text *name)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->type[i].name.len == name->len && memcmp(t->type[i].name.s, name->s, name->len) == 0)
			return &t->type[i];
	return &t->rest;
}

int types_apply(const struct types *t, struct raw_event *raw)
{
	const struct type *one = t ? find(t, &raw->type) : NULL;

	if (!one || one->ignore || t->only_ignore)
		return one && one->ignore;
	raw->weight = one->weight * (raw->has_weight ? raw->weight : 1);
	raw->has_weight = 1;
	return 0;
}
