/* config_table.c - reads options.def into a table; the rows' values as text and from text. See config_private.h */
#include "worker/config_private.h"
#include "worker/nearest.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ROW_INT(d, lo, hi) .idflt = d, .imin = lo, .imax = hi
#define ROW_BOOL(d, lo, hi) .idflt = d
#define ROW_ENUM(d, lo, hi) .idflt = d
#define ROW_FLOAT(d, lo, hi) .fdflt = d, .fmin = lo, .fmax = hi
#define ROW_STRING(d, lo, hi) .sdflt = d
#define OPT(name_, member_, letter_, type_, d, lo, hi, words_, unit_, fold_, commands_, help_)                          \
	{ .name = name_, .offset = offsetof(struct config, member_), .letter = letter_, .type = OPT_##type_,           \
	  ROW_##type_(d, lo, hi), .words = words_, .unit = unit_, .fold = fold_, .commands = commands_, .help = help_ },
const struct row config_rows[ROW_COUNT] = {
#include "worker/options.def"
};
#undef OPT

int row_allowed(const struct row *o, unsigned command)
{
	return (o->commands & command) || command == C_CONFIG || (o->fold && (command & (C_FILES | C_STREAM)));
}

const struct row *row_find(const char *name)
{
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (strcmp(config_rows[i].name, name) == 0)
			return &config_rows[i];
	return NULL;
}

const char *row_nearest(const char *name)
{
	size_t best = 0, best_distance = edit_distance(name, config_rows[0].name);

	for (size_t i = 1; i < ROW_COUNT; i++) {
		size_t distance = edit_distance(name, config_rows[i].name);

		if (distance < best_distance) {
			best = i;
			best_distance = distance;
		}
	}
	return edit_near(name, best_distance) ? config_rows[best].name : NULL;
}

static void *member(const struct config *c, const struct row *o) { return (char *)c + o->offset; }

/* ---- values as text ---- */

/* The n-th word of "a|b|c"; its length, 0 when there are fewer. */
static size_t word_at(const char *words, int n, const char **ret)
{
	for (; n > 0; n--) {
		words = strchr(words, '|');
		if (!words)
			return 0;
		words++;
	}
	*ret = words;
	return strcspn(words, "|");
}

/* The shortest of %.15g and %.17g that reads back as the same number. */
static void float_text(char *buf, size_t size, double x)
{
	snprintf(buf, size, "%.15g", x);
	if (strtod(buf, NULL) != x)
		snprintf(buf, size, "%.17g", x);
}

const char *row_value(char *buf, size_t size, const struct config *c, const struct row *o)
{
	const char *word = "";
	size_t n;

	switch (o->type) {
	case OPT_INT:
		snprintf(buf, size, "%lld", (long long)*(int64_t *)member(c, o));
		return buf;
	case OPT_FLOAT:
		float_text(buf, size, *(double *)member(c, o));
		return buf;
	case OPT_BOOL:
		return *(int *)member(c, o) ? "true" : "false";
	case OPT_ENUM:
		n = word_at(o->words, *(int *)member(c, o), &word);
		snprintf(buf, size, "%.*s", (int)n, word);
		return buf;
	case OPT_STRING:
		break;
	}
	return *(char **)member(c, o);
}

void row_range(char *buf, size_t size, const struct row *o)
{
	char lo[32], hi[32];

	switch (o->type) {
	case OPT_INT:
		if (o->imax == INT64_MAX)
			snprintf(buf, size, "%lld or more", (long long)o->imin);
		else
			snprintf(buf, size, "%lld..%lld", (long long)o->imin, (long long)o->imax);
		break;
	case OPT_FLOAT:
		float_text(lo, sizeof(lo), o->fmin);
		float_text(hi, sizeof(hi), o->fmax);
		snprintf(buf, size, "%s..%s", lo, hi);
		break;
	case OPT_BOOL:
		snprintf(buf, size, "true|false");
		break;
	case OPT_ENUM:
		snprintf(buf, size, "%s", o->words);
		break;
	case OPT_STRING:
		snprintf(buf, size, "text");
		break;
	}
}

/* ---- setting one option ---- */

int bool_word(const char *s)
{
	static const char *const words[] = { "false", "true", "0", "1", "no", "yes", "off", "on" };

	for (int i = 0; i < 8; i++)
		if (strcasecmp(s, words[i]) == 0)
			return i & 1;
	return -1;
}

int row_set(struct config *c, const struct row *o, const char *value)
{
	const char *word;
	char *end, *copy;
	long long i;
	double x;
	size_t n;
	int b;

	switch (o->type) {
	case OPT_INT:
		errno = 0;
		i = strtoll(value, &end, 10);
		if (end == value || *end || isspace((unsigned char)*value))
			return -EINVAL;
		if (errno == ERANGE || i < o->imin || i > o->imax)
			return -ERANGE;
		*(int64_t *)member(c, o) = i;
		return 0;
	case OPT_FLOAT:
		x = strtod(value, &end);
		if (end == value || *end || isspace((unsigned char)*value))
			return -EINVAL;
		if (!isfinite(x) || x < o->fmin || x > o->fmax)
			return -ERANGE;
		*(double *)member(c, o) = x;
		return 0;
	case OPT_BOOL:
		b = bool_word(value);
		if (b < 0)
			return -EINVAL;
		*(int *)member(c, o) = b;
		return 0;
	case OPT_ENUM:
		for (int k = 0; (n = word_at(o->words, k, &word)) > 0; k++)
			if (strlen(value) == n && strncmp(value, word, n) == 0) {
				*(int *)member(c, o) = k;
				return 0;
			}
		return -EINVAL;
	case OPT_STRING:
		copy = strdup(value);
		if (!copy)
			return -ENOMEM;
		free(*(char **)member(c, o));
		*(char **)member(c, o) = copy;
		return 0;
	}
	return -EINVAL;
}

int row_defaults(struct config *c)
{
	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < ROW_COUNT; i++) {
		const struct row *o = &config_rows[i];

		switch (o->type) {
		case OPT_INT:
			*(int64_t *)member(c, o) = o->idflt;
			break;
		case OPT_FLOAT:
			*(double *)member(c, o) = o->fdflt;
			break;
		case OPT_BOOL:
		case OPT_ENUM:
			*(int *)member(c, o) = (int)o->idflt;
			break;
		case OPT_STRING:
			if (row_set(c, o, o->sdflt) < 0)
				return -ENOMEM;
			break;
		}
	}
	return 0;
}

void row_release(struct config *c)
{
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (config_rows[i].type == OPT_STRING)
			free(*(char **)member(c, &config_rows[i]));
}
