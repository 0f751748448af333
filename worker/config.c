/* config.c - where the values of options come from: file, environment, command line. See config.h */
#include "worker/config_private.h"
#include "worker/log.h"
#include "worker/preset.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

extern char **environ;

static const struct { unsigned bit; const char *name; } command_names[] = {
	{ C_TOPICS, "topics" }, { C_LOAD, "load" }, { C_TRAIN, "train" }, { C_READ, "read" }, { C_QUERY, "query" },
	{ C_GENERATE, "generate" }, { C_CONFIG, "config" }, { C_EVAL, "eval" },
	{ C_EXPORT, "export" }, { C_IMPORT, "import" }, { C_ROLLBACK, "rollback" }, { C_VERIFY, "verify" }, { C_FORGET, "forget" }, { C_PROMOTE, "promote" },
	{ C_STREAM, "eval prequential" }, { C_REDRIVE, "redrive" },
};

static const char *command_name(unsigned bit)
{
	for (size_t i = 0; i < sizeof(command_names) / sizeof(command_names[0]); i++)
		if (command_names[i].bit & bit)
			return command_names[i].name;
	return "";
}

/* ---- setting one option ---- */

/* where: "--batch.users", "S4REC_BATCH_USERS", "file:12"; code: what a refusal exits with. */
static int set_option(struct config *c, const struct row *o, const char *value, const char *where, int code)
{
	char range[128];
	int r = row_set(c, o, value);

	if (r == 0)
		return 0;
	if (r == -ENOMEM) {
		log_error("out of memory");
		return EX_OSERR;
	}
	row_range(range, sizeof(range), o);
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
		if (env_matches(key, len, config_rows[i].name))
			return set_option(c, &config_rows[i], eq + 1, name, EX_CONFIG);
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
		longs[i] = (struct option){ config_rows[i].name, config_rows[i].type == OPT_BOOL ? optional_argument : required_argument, NULL,
		                            LONG_ROW + (int)i };
		if (config_rows[i].letter) {
			shorts[s++] = config_rows[i].letter;
			if (config_rows[i].type != OPT_BOOL)
				shorts[s++] = ':';
		}
	}
	longs[ROW_COUNT] = (struct option){ "config", required_argument, NULL, LONG_CONFIG };
	longs[ROW_COUNT + 1] = (struct option){ "help", no_argument, NULL, SHORT_HELP };
	for (size_t i = 0; i < ROW_COUNT; i++) {
		longs[n] = longs[i];
		longs[n].name = dashed(dashes[i], sizeof(dashes[i]), config_rows[i].name);
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
			o = &config_rows[ch - LONG_ROW];
		for (size_t i = 0; !o && i < ROW_COUNT; i++)
			if (config_rows[i].letter == ch)
				o = &config_rows[i];
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

static int apply_sources(struct config *c, const struct asked *a)
{
	const char *path = a->config ? a->config : getenv("S4REC_CONFIG");
	int r = path && *path ? parse_file(c, path) : 0;

	for (char **e = environ; r == 0 && *e; e++)
		if (strncmp(*e, "S4REC_", 6) == 0)
			r = parse_env(c, *e);
	return r ? r : apply_arguments(c, a);
}

/* Puts a preset's values below what anybody has set, which is known only when all has been read: so it is read once more, over them. */
static int apply_preset(struct config *c, const struct asked *a)
{
	const struct preset_value *v = preset_values(c->preset);
	int r = 0;

	if (!v->option)
		return 0;
	for (; r == 0 && v->option; v++)
		r = set_option(c, row_find(v->option), v->value, "preset", EX_SOFTWARE);
	return r ? r : apply_sources(c, a);
}

/* Not refused: a model that began so could not go on, since both options shape it. */
static void warn_unused_attributes(const struct config *c)
{
	const char *name = *c->map_user_attributes ? "user" : "item", *paths = *c->map_user_attributes ? c->map_user_attributes : c->map_item_attributes;
	if (*paths && c->attributes_buckets == 0)
		log_warn("map.%s.attributes=%s is not looked at, since attributes.buckets=0: a new model with attributes needs some ten times as many buckets as there are values", name, paths);
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
	if (c->schedule == SCHEDULE_COSINE && c->schedule_steps == 0) {
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
	if ((command & (C_TRAIN | C_EVAL | C_STREAM | C_FILES)) && c->schedule == SCHEDULE_COSINE && c->schedule_steps && c->schedule_steps <= c->warmup_steps) {
		log_error("schedule.steps=%lld must be above warmup.steps=%lld", (long long)c->schedule_steps, (long long)c->warmup_steps);
		return EX_CONFIG;
	}
	if (command & (C_TRAIN | C_STREAM))
		warn_unused_attributes(c);
	int r = command & C_KAFKA ? check_brokers(c) : 0;
	return r == 0 && (command & (C_TRAIN | C_STREAM | C_FILES)) ? check_stream(c) : r;
}

/* A group of its own for each model, unless somebody names one. */
static int default_group(struct config *c)
{
	if (*c->group_id)
		return 0;
	return config_own(&c->group_id, strdup(c->topic_prefix));
}

/* Before the fold's hash, which must name what is done. */
static void settle_schedule(struct config *c, unsigned command)
{
	if (c->schedule == SCHEDULE_AUTO && command != C_CONFIG)
		c->schedule = command == C_EVAL ? SCHEDULE_COSINE : SCHEDULE_CONSTANT;
}

int config_parse(struct config *c, unsigned command, const char *usage, const char *example, int argc, char **argv)
{
	struct asked a = { 0 };
	size_t slots = 1;
	int r = row_defaults(c);

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
		config_print_help(c, command, usage, example);
		r = -1;
	}
	if (r != 0)
		goto out;

	r = apply_sources(c, &a);
	if (r == 0)
		r = apply_preset(c, &a);
	if (r == 0)
		r = default_group(c);
	if (!c->dlq_payload)
		c->dlq_max_bytes = 0;
	settle_schedule(c, command);
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

int config_vary(struct config *c, unsigned command, const char *name, const char *value)
{
	const struct row *o = row_find(name);
	int r;

	if (!o)
		return unknown_option(name, "command line", EX_USAGE);
	if (!row_allowed(o, command))
		return wrong_command(o, command);
	if (!o->fold || o->type == OPT_STRING) {
		log_error("%s is no number or word that shapes the model", name);
		return EX_USAGE;
	}
	r = set_option(c, o, value, "command line", EX_USAGE);
	settle_schedule(c, command);
	return r ? r : check_together(c, command);
}

const char *config_value(char *buf, size_t size, const struct config *c, const char *name)
{
	const char *text = row_value(buf, size, c, row_find(name));

	if (text != buf)
		snprintf(buf, size, "%s", text);
	return buf;
}

int config_own(char **option, char *value)
{
	if (!value)
		return log_no_memory();
	free(*option);
	*option = value;
	return 0;
}

void config_release(struct config *c)
{
	row_release(c);
	for (size_t i = 0; i < 2 * c->kafka_count; i++)
		free(c->kafka[i]);
	free(c->kafka);
	memset(c, 0, sizeof(*c));
}
