/* log_line.c - see log_line.h */
#include "worker/log_line.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/json_text.h"

struct piece { const char *at; size_t len; };
struct field { struct piece key, value; };
struct fields { struct piece msg; struct field field[LOG_FIELDS_MAX]; size_t n; };

/* ---- fields ---- */

static int same(struct piece a, struct piece b)
{
	return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

static int is_word(struct piece p, const char *word)
{
	return p.len == strlen(word) && memcmp(p.at, word, p.len) == 0;
}

/* key=value: a key of letters, digits, '_' and '.', and none that the line itself has. */
static int split_field(struct piece word, struct field *ret)
{
	const char *equals = memchr(word.at, '=', word.len);
	if (!equals || !islower((unsigned char)word.at[0]))
		return 0;
	ret->key = (struct piece){ word.at, (size_t)(equals - word.at) };
	ret->value = (struct piece){ equals + 1, word.len - ret->key.len - 1 };
	for (size_t i = 0; i < ret->key.len; i++)
		if (!islower((unsigned char)word.at[i]) && !isdigit((unsigned char)word.at[i]) && word.at[i] != '_' && word.at[i] != '.')
			return 0;
	return !is_word(ret->key, "ts") && !is_word(ret->key, "level") && !is_word(ret->key, "msg");
}

static int is_new(const struct fields *f, struct piece key)
{
	for (size_t i = 0; i < f->n; i++)
		if (same(f->field[i].key, key))
			return 0;
	return 1;
}

static int add_field(struct fields *f, struct piece word)
{
	struct field x;
	if (f->n == LOG_FIELDS_MAX || !split_field(word, &x) || !is_new(f, x.key))
		return 0;
	f->field[f->n++] = x;
	return 1;
}

/* Words, then nothing but fields; else all of it is msg. The colon between the two goes. */
static void split(struct fields *f, const char *text)
{
	const char *p = text;
	f->n = 0;
	f->msg = (struct piece){ text, 0 };
	for (;;) {
		p += strspn(p, " ");
		struct piece word = { p, strcspn(p, " ") };
		if (word.len == 0)
			break;
		if (!add_field(f, word)) {
			if (f->n || memchr(word.at, '=', word.len)) { /* words behind a field, or a field that is none */
				f->n = 0;
				f->msg.len = strlen(text);
				return;
			}
			f->msg.len = (size_t)(p + word.len - text);
		}
		p += word.len;
	}
	if (f->n && f->msg.len && text[f->msg.len - 1] == ':')
		f->msg.len--;
}

/* ---- formats ---- */

static void put_logfmt(FILE *out, struct piece p)
{
	int bare = p.len > 0;
	for (size_t i = 0; i < p.len; i++)
		bare = bare && p.at[i] != ' ' && p.at[i] != '"' && p.at[i] != '=' && p.at[i] != '\\';
	if (bare) {
		fwrite(p.at, 1, p.len, out);
		return;
	}
	fputc('"', out);
	for (size_t i = 0; i < p.len; i++)
		fprintf(out, "%s%c", p.at[i] == '"' || p.at[i] == '\\' ? "\\" : "", p.at[i]);
	fputc('"', out);
}

static void write_logfmt(FILE *out, const char *stamp, const char *level, const struct fields *f)
{
	fprintf(out, "ts=%s level=%s msg=", stamp, level);
	put_logfmt(out, f->msg);
	for (size_t i = 0; i < f->n; i++) {
		fprintf(out, " %.*s=", (int)f->field[i].key.len, f->field[i].key.at);
		put_logfmt(out, f->field[i].value);
	}
}

/* Is it a number as JSON has them? */
static int is_number(struct piece p)
{
	size_t i = p.len && p.at[0] == '-', digits = i;
	while (i < p.len && isdigit((unsigned char)p.at[i]))
		i++;
	if (i == digits || i - digits > 18 || (i - digits > 1 && p.at[digits] == '0'))
		return 0;
	if (i < p.len && p.at[i] == '.') {
		size_t point = ++i;
		while (i < p.len && isdigit((unsigned char)p.at[i]))
			i++;
		if (i == point)
			return 0;
	}
	return i == p.len;
}

static void put_text(yajl_gen g, const char *key, const char *value)
{
	yajl_gen_string(g, (const unsigned char *)key, strlen(key));
	json_text(g, value, strlen(value));
}

static void write_json(FILE *out, const char *stamp, const char *level, const struct fields *f)
{
	const unsigned char *json;
	size_t len;
	yajl_gen g = yajl_gen_alloc(NULL);
	if (!g)
		return;
	yajl_gen_map_open(g);
	put_text(g, "ts", stamp);
	put_text(g, "level", level);
	yajl_gen_string(g, (const unsigned char *)"msg", 3);
	json_text(g, f->msg.at, f->msg.len);
	for (size_t i = 0; i < f->n; i++) {
		yajl_gen_string(g, (const unsigned char *)f->field[i].key.at, f->field[i].key.len);
		if (is_number(f->field[i].value))
			yajl_gen_number(g, f->field[i].value.at, f->field[i].value.len);
		else
			json_text(g, f->field[i].value.at, f->field[i].value.len);
	}
	yajl_gen_map_close(g);
	if (yajl_gen_get_buf(g, &json, &len) == yajl_gen_status_ok)
		fwrite(json, 1, len, out);
	yajl_gen_free(g);
}

char *log_line(enum log_format format, const char *stamp, const char *level, const char *text)
{
	struct fields f;
	char *line = NULL;
	size_t len;
	FILE *out = open_memstream(&line, &len);
	if (!out)
		return NULL;

	split(&f, text);
	if (format == LOG_JSON)
		write_json(out, stamp, level, &f);
	else
		write_logfmt(out, stamp, level, &f);
	if (fclose(out) == 0 && len > 0)
		return line;
	free(line);
	return NULL;
}
