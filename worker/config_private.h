/* config_private.h - the table of options, for the three files of config.h: config_table.c (what a row is, its values), config.c (where values come
 * from), config_text.c (how they are told).
 */
#ifndef S4REC_CONFIG_PRIVATE_H
#define S4REC_CONFIG_PRIVATE_H

#include "worker/config.h"

struct row {
	const char *name;
	size_t offset; /* of the member in struct config */
	char letter;
	enum option_type type;
	int64_t idflt, imin, imax; /* INT, BOOL, ENUM */
	double fdflt, fmin, fmax;  /* FLOAT */
	const char *sdflt;         /* STRING */
	const char *words, *unit;
	int fold;
	unsigned commands;
	const char *help;
};

enum { ROW_COUNT = 0
#define OPT(...) + 1
#include "worker/options.def"
#undef OPT
};
extern const struct row config_rows[ROW_COUNT];

/* May this command be given the option? `s4rec config` speaks for all commands; whoever reads or makes a model's state must know all that it
 * depends on. */
int row_allowed(const struct row *o, unsigned command);
/* NULL: there is none of this name. */
const struct row *row_find(const char *name);
/* The name that a wrong one may have meant; NULL when none is near. */
const char *row_nearest(const char *name);

/* Sets every option to its default. -ENOMEM */
int row_defaults(struct config *c);
/* Frees what they own. */
void row_release(struct config *c);
/* 0, -EINVAL: not of the type, -ERANGE, -ENOMEM */
int row_set(struct config *c, const struct row *o, const char *value);
/* In buf, or for a string where it stands. */
const char *row_value(char *buf, size_t size, const struct config *c, const struct row *o);
/* What may be set, as text. */
void row_range(char *buf, size_t size, const struct row *o);

/* 1 or 0, -1: neither a yes nor a no. */
int bool_word(const char *s);

void config_print_help(const struct config *c, unsigned command, const char *usage, const char *example);

#endif
