/* config.c - reads options.def into a table and everything else (parsing, help, dump, hash) walks that table. */
#include "worker/config.h"
#include "worker/log.h"
#include "worker/nearest.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

extern char **environ;

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

#define ROW_INT(d, lo, hi) .idflt = d, .imin = lo, .imax = hi
#define ROW_BOOL(d, lo, hi) .idflt = d
#define ROW_ENUM(d, lo, hi) .idflt = d
#define ROW_FLOAT(d, lo, hi) .fdflt = d, .fmin = lo, .fmax = hi
#define ROW_STRING(d, lo, hi) .sdflt = d
#define OPT(name_, member_, letter_, type_, d, lo, hi, words_, unit_, fold_, commands_, help_)                          \
	{ .name = name_, .offset = offsetof(struct config, member_), .letter = letter_, .type = OPT_##type_,           \
	  ROW_##type_(d, lo, hi), .words = words_, .unit = unit_, .fold = fold_, .commands = commands_, .help = help_ },
static const struct row rows[] = {
#include "worker/options.def"
};
#undef OPT
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static const struct { unsigned bit; const char *name; } command_names[] = {
	{ C_TOPICS, "topics" }, { C_LOAD, "load" }, { C_TRAIN, "train" }, { C_READ, "read" }, { C_QUERY, "query" },
	{ C_GENERATE, "generate" }, { C_CONFIG, "config" }, { C_EVAL, "eval" },
	{ C_EXPORT, "export" }, { C_IMPORT, "import" }, { C_ROLLBACK, "rollback" }, { C_VERIFY, "verify" }, { C_FORGET, "forget" }, { C_PROMOTE, "promote" },
	{ C_STREAM, "eval prequential" },
};

/* `s4rec config` speaks for all commands; whoever reads or makes a model's state must know all that it depends on. */
static int row_allowed(const struct row *o, unsigned command)
{
	return (o->commands & command) || command == C_CONFIG || (o->fold && (command & (C_FILES | C_STREAM)));
}

static const char *command_name(unsigned bit)
{
	for (size_t i = 0; i < sizeof(command_names) / sizeof(command_names[0]); i++)
		if (command_names[i].bit & bit)
			return command_names[i].name;
	return "";
}

static const struct row *row_find(const char *name)
{
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

/* NULL when none is near. */
static const char *row_nearest(const char *name)
{
	size_t best = 0, best_distance = edit_distance(name, rows[0].name);

	for (size_t i = 1; i < ROW_COUNT; i++) {
		size_t distance = edit_distance(name, rows[i].name);

		if (distance < best_distance) {
			best = i;
			best_distance = distance;
		}
	}
	return edit_near(name, best_distance) ? rows[best].name : NULL;
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

static const char *value_text(char *buf, size_t size, const struct config *c, const struct row *o)
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

static void range_text(char *buf, size_t size, const struct row *o)
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

/* 1, 0, or -1 for neither. */
static int bool_word(const char *s)
{
	static const char *const words[] = { "false", "true", "0", "1", "no", "yes", "off", "on" };

	for (int i = 0; i < 8; i++)
		if (strcasecmp(s, words[i]) == 0)
			return i & 1;
	return -1;
}

static int set_value(struct config *c, const struct row *o, const char *value)
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

/* where: "--batch.users", "S4REC_BATCH_USERS", "file:12"; code: what a refusal exits with. */
static int set_option(struct config *c, const struct row *o, const char *value, const char *where, int code)
{
	char range[128];
	int r = set_value(c, o, value);

	if (r == 0)
		return 0;
	if (r == -ENOMEM) {
		log_error("out of memory");
		return EX_OSERR;
	}
	range_text(range, sizeof(range), o);
	log_error("%s: %s=%s is %s; allowed: %s%s%s", where, o->name, value,
	        r == -ERANGE ? "out of range" : o->type == OPT_INT ? "not a whole number" : o->type == OPT_FLOAT ? "not a number" :
	        "not a known word", range, *o->unit ? " " : "", o->unit);
	return code;
}

static int unknown_option(const char *name, const char *where, int code)
{
	const char *nearest = row_nearest(name);
	if (nearest)
		log_error("%s: no option '%s'; the nearest is '%s'", where, name, nearest);
	else
		log_error("%s: no option '%s'; `s4rec config` lists all", where, name);
	return code;
}

/* A kafka.* key, without that prefix. The last value of a key wins. */
static int set_kafka(struct config *c, const char *name, const char *value)
{
	char **grown, *n, *v;

	for (size_t i = 0; i < c->kafka_count; i++) {
		if (strcmp(c->kafka[2 * i], name) != 0)
			continue;
		v = strdup(value);
		if (!v)
			goto oom;
		free(c->kafka[2 * i + 1]);
		c->kafka[2 * i + 1] = v;
		return 0;
	}
	grown = reallocarray(c->kafka, c->kafka_count + 1, 2 * sizeof(*grown));
	if (!grown)
		goto oom;
	c->kafka = grown;
	n = strdup(name);
	v = strdup(value);
	if (!n || !v) {
		free(n);
		free(v);
		goto oom;
	}
	c->kafka[2 * c->kafka_count] = n;
	c->kafka[2 * c->kafka_count + 1] = v;
	c->kafka_count++;
	return 0;
oom:
	log_error("out of memory");
	return EX_OSERR;
}

/* ---- sources ---- */

static char *trim(char *s)
{
	size_t n;

	while (isspace((unsigned char)*s))
		s++;
	for (n = strlen(s); n > 0 && isspace((unsigned char)s[n - 1]); n--)
		s[n - 1] = '\0';
	return s;
}

static int parse_line(struct config *c, char *line, const char *where)
{
	const struct row *o;
	char *key, *value;

	key = trim(line);
	if (!*key || *key == '#' || *key == '!')
		return 0;
	value = key + strcspn(key, "=:");
	if (!*value || value == key) {
		log_error("%s: '%s' is not of the form key=value", where, key);
		return EX_CONFIG;
	}
	*value++ = '\0';
	key = trim(key);
	value = trim(value);
	if (strncmp(key, "kafka.", 6) == 0 && key[6])
		return set_kafka(c, key + 6, value);
	o = row_find(key);
	return o ? set_option(c, o, value, where, EX_CONFIG) : unknown_option(key, where, EX_CONFIG);
}

static int parse_file(struct config *c, const char *path)
{
	char *line = NULL, where[4096];
	size_t size = 0;
	int r = 0;
	FILE *f = fopen(path, "re");

	if (!f) {
		log_error("cannot read the configuration file %s: %s", path, strerror(errno));
		return EX_NOINPUT;
	}
	for (int n = 1; r == 0 && getline(&line, &size, f) >= 0; n++) {
		snprintf(where, sizeof(where), "%s:%d", path, n);
		r = parse_line(c, line, where);
	}
	if (r == 0 && ferror(f)) {
		log_error("reading %s: %s", path, strerror(errno));
		r = EX_NOINPUT;
	}
	free(line);
	fclose(f);
	return r;
}

/* "batch.users" answers to S4REC_BATCH_USERS. */
static int env_matches(const char *env, size_t env_len, const char *name)
{
	if (strlen(name) != env_len)
		return 0;
	for (size_t i = 0; i < env_len; i++)
		if (env[i] != (name[i] == '.' ? '_' : toupper((unsigned char)name[i])))
			return 0;
	return 1;
}

static int parse_env(struct config *c, const char *entry)
{
	char name[256];
	const char *key = entry + 6, *eq = strchr(entry, '=');
	size_t len = eq ? (size_t)(eq - key) : 0;

	if (!eq || (len == 6 && strncmp(key, "CONFIG", 6) == 0))
		return 0;
	if (strncmp(key, "SERVICE_", 8) == 0 || strncmp(key, "PORT", 4) == 0) /* what Kubernetes says about a service named s4rec */
		return 0;
	snprintf(name, sizeof(name), "%.*s", (int)(eq - entry), entry);
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (env_matches(key, len, rows[i].name))
			return set_option(c, &rows[i], eq + 1, name, EX_CONFIG);
	/* To the option's spelling, for librdkafka and for the error text. */
	snprintf(name, sizeof(name), "%.*s", (int)len, key);
	for (char *p = name; *p; p++)
		*p = *p == '_' ? '.' : (char)tolower((unsigned char)*p);
	if (strncmp(name, "kafka.", 6) == 0 && name[6])
		return set_kafka(c, name + 6, eq + 1);
	char where[300];
	snprintf(where, sizeof where, "environment variable %.*s", (int)(eq - entry < 256 ? eq - entry : 256), entry);
	return unknown_option(name, where, EX_CONFIG);
}

/* ---- command line ---- */

enum { SHORT_HELP = 'h', SHORT_KAFKA = 'X', LONG_CONFIG = 1000, LONG_ROW = 2000 };

/* What the command line asks for; applied after file and environment, which it overrides. */
struct asked {
	const char *config; /* --config */
	int help;
	size_t count;
	struct { const struct row *o; const char *value; } *set; /* o NULL = -X */
};

/* getopt_long also takes unique beginnings of names; those would change meaning as options are added. */
static int abbreviated(char **argv, const char *full)
{
	const char *arg = argv[optind - 1];

	if (optarg && optarg == arg)
		arg = argv[optind - 2];
	return strncmp(arg, "--", 2) == 0 && strcspn(arg + 2, "=") != strlen(full);
}

static int wrong_command(const struct row *o, unsigned command)
{
	char of[256] = "";
	size_t at = 0;

	for (size_t i = 0; i < sizeof(command_names) / sizeof(command_names[0]); i++)
		if (command_names[i].bit != C_CONFIG && row_allowed(o, command_names[i].bit))
			at += (size_t)snprintf(of + at, sizeof(of) - at, " %s", command_names[i].name);
	log_error("s4rec %s: --%s is not an option of this command but of:%s", command_name(command), o->name, of);
	return EX_USAGE;
}

/* --skip-batch is --skip.batch: what many programs have taught. NULL: the name has no dot. */
static const char *dashed(char *ret, size_t size, const char *name)
{
	snprintf(ret, size, "%s", name);
	for (char *dot = ret; (dot = strchr(dot, '.')); )
		*dot = '-';
	return strchr(name, '.') ? ret : NULL;
}

static int read_arguments(struct asked *a, unsigned command, int argc, char **argv)
{
	struct option longs[2 * ROW_COUNT + 3] = { 0 };
	char shorts[3 * ROW_COUNT + 8] = ":hX:", name[256], dashes[ROW_COUNT][32];
	int n = ROW_COUNT + 2;
	size_t s = strlen(shorts);
	int ch, index;

	for (size_t i = 0; i < ROW_COUNT; i++) {
		longs[i] = (struct option){ rows[i].name, rows[i].type == OPT_BOOL ? optional_argument : required_argument, NULL,
		                            LONG_ROW + (int)i };
		if (rows[i].letter) {
			shorts[s++] = rows[i].letter;
			if (rows[i].type != OPT_BOOL)
				shorts[s++] = ':';
		}
	}
	longs[ROW_COUNT] = (struct option){ "config", required_argument, NULL, LONG_CONFIG };
	longs[ROW_COUNT + 1] = (struct option){ "help", no_argument, NULL, SHORT_HELP };
	for (size_t i = 0; i < ROW_COUNT; i++) {
		longs[n] = longs[i];
		longs[n].name = dashed(dashes[i], sizeof(dashes[i]), rows[i].name);
		n += longs[n].name != NULL; /* a name of NULL ends the list */
	}

	optind = 0; /* glibc: start afresh */
	opterr = 0;
	for (;;) {
		const struct row *o = NULL;

		index = -1;
		ch = getopt_long(argc, argv, shorts, longs, &index);
		if (ch == -1)
			return 0;
		if (ch == '?' || (index >= 0 && abbreviated(argv, longs[index].name))) {
			if (ch == '?' && optopt > 0 && optopt < LONG_CONFIG && argv[optind - 1][1] != '-') {
				log_error("s4rec %s: no option -%c (--help lists all)", command_name(command), optopt);
				return EX_USAGE;
			}
			const char *arg = optarg && optarg == argv[optind - 1] ? argv[optind - 2] : argv[optind - 1];

			snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg + 2, "="), arg + 2);
			return unknown_option(name, "command line", EX_USAGE);
		}
		if (ch == ':') {
			log_error("s4rec %s: %s needs a value", command_name(command), argv[optind - 1]);
			return EX_USAGE;
		}
		if (ch == SHORT_HELP) {
			a->help = 1;
			return 0;
		}
		if (ch == LONG_CONFIG) {
			a->config = optarg;
			continue;
		}
		if (ch == SHORT_KAFKA) {
			const char *eq = strchr(optarg, '=');

			if (!(command & (C_KAFKA | C_CONFIG)) || !eq || eq == optarg) {
				log_error("s4rec %s: -X %s: %s", command_name(command), optarg,
				        command & (C_KAFKA | C_CONFIG) ? "not of the form name=value" : "this command uses no broker");
				return EX_USAGE;
			}
			a->set[a->count++].value = optarg;
			continue;
		}
		if (ch >= LONG_ROW)
			o = &rows[ch - LONG_ROW];
		for (size_t i = 0; !o && i < ROW_COUNT; i++)
			if (rows[i].letter == ch)
				o = &rows[i];
		if (!row_allowed(o, command))
			return wrong_command(o, command);
		/* --cosine, --cosine=false and --cosine false */
		if (o->type == OPT_BOOL && !optarg && ch >= LONG_ROW && optind < argc && bool_word(argv[optind]) >= 0)
			optarg = argv[optind++];
		a->set[a->count].o = o;
		a->set[a->count++].value = optarg ? optarg : "true";
	}
}

static int apply_arguments(struct config *c, const struct asked *a)
{
	char name[256], where[128];
	int r = 0;

	for (size_t i = 0; r == 0 && i < a->count; i++) {
		const char *value = a->set[i].value, *eq;

		if (a->set[i].o) {
			snprintf(where, sizeof(where), "--%s", a->set[i].o->name);
			r = set_option(c, a->set[i].o, value, where, EX_USAGE);
			continue;
		}
		if (strncmp(value, "kafka.", 6) == 0)
			value += 6;
		eq = strchr(value, '='); /* read_arguments made sure of one */
		snprintf(name, sizeof(name), "%.*s", (int)(eq - value), value);
		r = set_kafka(c, name, eq + 1);
	}
	return r;
}

static void print_help(const struct config *c, unsigned command, const char *usage, const char *example)
{
	char value[64], range[128], left[64];

	printf("usage: %s\nexample: %s\n\n", usage, example);
	printf("  %-32s %s\n", "    --config FILE", "read options from this .properties file (or S4REC_CONFIG)");
	if (command & (C_KAFKA | C_CONFIG))
		printf("  %-32s %s\n", "-X, kafka.* in the file", "-X name=value: goes verbatim to librdkafka");
	printf("  %-32s %s\n", "-h, --help", "this text");
	for (size_t i = 0; i < ROW_COUNT; i++) {
		const struct row *o = &rows[i];
		const char *dflt;

		if (!row_allowed(o, command))
			continue;
		dflt = value_text(value, sizeof(value), c, o);
		range_text(range, sizeof(range), o);
		snprintf(left, sizeof(left), "%c%c%c --%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ', o->letter ? ',' : ' ',
		         o->name);
		printf("  %-32s %s (%s%s%s%s%s%s)\n", left, o->help, range, *o->unit ? " " : "", o->unit, *dflt ? "; " : "", dflt, o->fold ? "; fold" : "");
	}
	if (command & (C_TRAIN | C_FILES | C_CONFIG))
		puts("\nfold: shapes the model, so it must stay what it was when the model began.");
}

static int config_init(struct config *c)
{
	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < ROW_COUNT; i++) {
		const struct row *o = &rows[i];

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
			if (set_value(c, o, o->sdflt) < 0)
				return EX_OSERR;
			break;
		}
	}
	return 0;
}

/* Options of a stream, which has no epochs. */
static int check_stream(const struct config *c)
{
	if (c->cluster) {
		log_error("cluster=kmeans is for `s4rec eval` only: it needs all users between epochs, and a stream has none; use cluster=sinkhorn");
		return EX_USAGE;
	}
	if (c->guard_factor > 0 && c->guard_factor < 2) {
		log_error("guard.factor=%g would discard steps that are as usual: 0 for none, else 2 or more", c->guard_factor);
		return EX_CONFIG;
	}
	if (c->schedule && c->schedule_steps == 0) {
		log_error("schedule=cosine needs schedule.steps: a stream has no end by which to fall");
		return EX_CONFIG;
	}
	return 0;
}

static int check_brokers(const struct config *c)
{
	if (!strcasestr(c->bootstrap_servers, "http://") && !strcasestr(c->bootstrap_servers, "https://"))
		return 0;
	log_error("bootstrap.servers=%s: a broker is host:port, such as kafka:9092, without http://", c->bootstrap_servers);
	return EX_CONFIG;
}

/* What no single row can say. */
static int check_together(const struct config *c, unsigned command)
{
	if ((command & (C_TRAIN | C_EVAL | C_STREAM | C_FILES | C_CONFIG)) && c->width % c->heads != 0) {
		log_error("heads=%lld does not divide width=%lld", (long long)c->heads, (long long)c->width);
		return EX_CONFIG;
	}
	if ((command & (C_TRAIN | C_EVAL | C_STREAM | C_FILES)) && c->schedule && c->schedule_steps && c->schedule_steps <= c->warmup_steps) {
		log_error("schedule.steps=%lld must be above warmup.steps=%lld", (long long)c->schedule_steps, (long long)c->warmup_steps);
		return EX_CONFIG;
	}
	int r = command & C_KAFKA ? check_brokers(c) : 0;
	return r == 0 && (command & (C_TRAIN | C_STREAM | C_FILES)) ? check_stream(c) : r;
}

/* A group of its own for each model, unless somebody names one. */
static int default_group(struct config *c)
{
	if (*c->group_id)
		return 0;
	char *copy = strdup(c->topic_prefix);
	if (!copy)
		return log_no_memory();
	free(c->group_id);
	c->group_id = copy;
	return 0;
}

int config_parse(struct config *c, unsigned command, const char *usage, const char *example, int argc, char **argv)
{
	struct asked a = { 0 };
	const char *path;
	size_t slots = 1;
	int r = config_init(c);

	/* No more options than characters: "-eee" is three. */
	for (int i = 0; i < argc; i++)
		slots += strlen(argv[i]);
	a.set = calloc(slots, sizeof(*a.set));
	if (r != 0 || !a.set) {
		log_error("out of memory");
		r = EX_OSERR;
		goto out;
	}
	r = read_arguments(&a, command, argc, argv);
	if (r == 0 && a.help) {
		print_help(c, command, usage, example);
		r = -1;
	}
	if (r != 0)
		goto out;

	path = a.config ? a.config : getenv("S4REC_CONFIG");
	if (path && *path)
		r = parse_file(c, path);
	for (char **e = environ; r == 0 && *e; e++)
		if (strncmp(*e, "S4REC_", 6) == 0)
			r = parse_env(c, *e);
	if (r == 0)
		r = apply_arguments(c, &a);
	if (r == 0)
		r = default_group(c);
	if (!c->dlq_payload)
		c->dlq_max_bytes = 0;
	if (r == 0)
		r = check_together(c, command);
	c->args = argv + optind;
	c->arg_count = (size_t)(argc - optind);
out:
	free(a.set);
	if (r != 0)
		config_release(c);
	return r;
}

void config_release(struct config *c)
{
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (rows[i].type == OPT_STRING)
			free(*(char **)member(c, &rows[i]));
	for (size_t i = 0; i < 2 * c->kafka_count; i++)
		free(c->kafka[i]);
	free(c->kafka);
	memset(c, 0, sizeof(*c));
}

/* ---- dump and hash ---- */

static int is_secret(const char *key)
{
	return strcasestr(key, "password") || strcasestr(key, "secret") || strcasestr(key, "jaas") ||
	       strcasestr(key, "ssl.key.pem") || strncasecmp(key, "sasl.oauthbearer.", 17) == 0;
}

void config_print(const struct config *c, FILE *f) { config_print_of(c, C_CONFIG, f); }

static void print_rows(const struct config *c, unsigned command, int fold, FILE *f)
{
	char value[64];

	if (command == C_CONFIG)
		fprintf(f, fold ? "# fold: these shape the model and must stay what they were when it began\n" : "# these may change at any start\n");
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (row_allowed(&rows[i], command) && rows[i].fold == fold)
			fprintf(f, "%s=%s\n", rows[i].name, value_text(value, sizeof(value), c, &rows[i]));
}

void config_print_of(const struct config *c, unsigned command, FILE *f)
{
	for (int fold = 1; fold >= 0; fold--)
		print_rows(c, command, fold, f);
	for (size_t i = 0; (command & (C_KAFKA | C_CONFIG)) && i < c->kafka_count; i++)
		fprintf(f, "kafka.%s=%s\n", c->kafka[2 * i], is_secret(c->kafka[2 * i]) ? "********" : c->kafka[2 * i + 1]);
}

char *config_fold_text(const struct config *c)
{
	char value[64], *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (rows[i].fold)
			fprintf(f, "%s=%s\n", rows[i].name, value_text(value, sizeof(value), c, &rows[i]));
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

uint64_t config_fold_hash(const struct config *c)
{
	uint64_t h = 0xcbf29ce484222325u;
	char *text = config_fold_text(c);

	for (const char *s = text; s && *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3u;
	free(text);
	return h;
}

/* The value of a name in a fold text; its length. NULL: it is not there. */
static const char *text_value(const char *text, size_t len, const char *name, size_t *ret_len)
{
	size_t n = strlen(name);

	for (const char *end = text + len, *line = text; line < end;) {
		const char *next = memchr(line, '\n', (size_t)(end - line));

		next = next ? next : end;
		if ((size_t)(next - line) > n && memcmp(line, name, n) == 0 && line[n] == '=') {
			*ret_len = (size_t)(next - line) - n - 1;
			return line + n + 1;
		}
		line = next + 1;
	}
	return NULL;
}

void config_fold_changes(const struct config *c, const char *text, size_t text_len, char *ret, size_t size)
{
	char buf[64];
	size_t at = 0, len = 0;

	ret[0] = '\0';
	for (size_t i = 0; i < ROW_COUNT && at < size; i++) {
		const char *now, *was;

		if (!rows[i].fold)
			continue;
		now = value_text(buf, sizeof(buf), c, &rows[i]);
		was = text_value(text, text_len, rows[i].name, &len);
		if (was && strlen(now) == len && memcmp(was, now, len) == 0)
			continue;
		at += (size_t)snprintf(ret + at, size - at, "%s%s=%.*s (now %s)", at ? ", " : "", rows[i].name, was ? (int)len : 7, was ? was : "unknown", now);
	}
}
