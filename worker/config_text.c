/* config_text.c - the options as text: --help, the dump, what a model depends on. See config.h */
#include "worker/config_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void config_print_help(const struct config *c, unsigned command, const char *usage, const char *example)
{
	char value[64], range[128], left[64];

	printf("usage: %s\nexample: %s\n\n", usage, example);
	printf("  %-32s %s\n", "    --config FILE", "read options from this .properties file (or S4REC_CONFIG)");
	if (command & (C_KAFKA | C_CONFIG))
		printf("  %-32s %s\n", "-X, kafka.* in the file", "-X name=value: goes verbatim to librdkafka");
	printf("  %-32s %s\n", "-h, --help", "this text");
	for (size_t i = 0; i < ROW_COUNT; i++) {
		const struct row *o = &config_rows[i];
		const char *dflt;

		if (!row_allowed(o, command))
			continue;
		dflt = row_value(value, sizeof(value), c, o);
		row_range(range, sizeof(range), o);
		snprintf(left, sizeof(left), "%c%c%c --%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ', o->letter ? ',' : ' ',
		         o->name);
		printf("  %-32s %s (%s%s%s%s%s%s)\n", left, o->help, range, *o->unit ? " " : "", o->unit, *dflt ? "; " : "", dflt, o->fold ? "; fold" : "");
	}
	if (command & (C_TRAIN | C_FILES | C_CONFIG))
		puts("\nfold: shapes the model, so it must stay what it was when the model began.");
}

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
		if (row_allowed(&config_rows[i], command) && config_rows[i].fold == fold)
			fprintf(f, "%s=%s\n", config_rows[i].name, row_value(value, sizeof(value), c, &config_rows[i]));
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
		if (config_rows[i].fold)
			fprintf(f, "%s=%s\n", config_rows[i].name, row_value(value, sizeof(value), c, &config_rows[i]));
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

		if (!config_rows[i].fold)
			continue;
		now = row_value(buf, sizeof(buf), c, &config_rows[i]);
		was = text_value(text, text_len, config_rows[i].name, &len);
		if (was && strlen(now) == len && memcmp(was, now, len) == 0)
			continue;
		at += (size_t)snprintf(ret + at, size - at, "%s%s=%.*s (now %s)", at ? ", " : "", config_rows[i].name, was ? (int)len : 7, was ? was : "unknown", now);
	}
}
