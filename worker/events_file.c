/* events_file.c - see events_file.h */
#include "worker/events_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "codec/delimited.h"
#include "worker/event_config.h"
#include "worker/lines.h"
#include "worker/log.h"

#define BAD_SHOWN 5

struct events_file {
	const struct config *cfg;
	const char *path;
	struct lines *lines;
	struct decoder *decoder;     /* JSON lines, or ... */
	struct delimited *delimited; /* ... CSV and TSV */
	uint64_t bad;
	int quiet;
};

int events_file_new(struct events_file **ret, const struct config *c, const char *path)
{
	struct events_file *f = calloc(1, sizeof *f);
	if (!f)
		return log_no_memory();

	f->cfg = c;
	f->path = path;
	int r = lines_new(&f->lines, path);
	if (r < 0) {
		log_error("%s: %s", path, r == -EISDIR ? "a folder; name a file, or - for stdin" : strerror(-r));
		events_file_free(f);
		return EX_NOINPUT;
	}
	*ret = f;
	return 0;
}

void events_file_free(struct events_file *f)
{
	if (!f)
		return;
	lines_free(f->lines);
	decoder_free(f->decoder);
	delimited_free(f->delimited);
	free(f);
}

void events_file_bad(struct events_file *f, const char *why)
{
	if (f->bad++ < BAD_SHOWN && !f->quiet)
		log_error("%s line %llu: %s", f->path, (unsigned long long)lines_number(f->lines), why);
}

void events_file_quiet(struct events_file *f) { f->quiet = 1; }
uint64_t events_file_bad_count(const struct events_file *f) { return f->bad; }
uint64_t events_file_line(const struct events_file *f) { return lines_number(f->lines); }

static int blank(const char *s, size_t len)
{
	while (len && (s[len - 1] == ' ' || s[len - 1] == '\t' || s[len - 1] == '\r'))
		len--;
	return len == 0;
}

static int is_word(const char *line, size_t len, const char *word)
{
	return len >= strlen(word) && memcmp(line, word, strlen(word)) == 0;
}

static int open_json(struct events_file *f)
{
	struct decoder_options o = event_config(f->cfg);
	const char *why = "out of memory";

	if (o.format != EVENT_CLOUDEVENTS)
		o.format = EVENT_JSON;
	o.types_only_ignore = 1; /* who reads what is made of the line weighs it */
	if (decoder_new(&f->decoder, &o, &why) < 0) {
		log_error("%s (--map.*, --type.weights)", why);
		return EX_CONFIG;
	}
	return 0;
}

static int open_delimited(struct events_file *f, const char *header, size_t len)
{
	const struct config *c = f->cfg;
	struct delimited_options o = {
		.user = event_path(c->map_user), .item = event_path(c->map_item), .time = event_path(c->map_time),
		.type = event_path(c->map_type), .weight = event_path(c->map_weight), .event_id = event_path(c->map_event_id), .attributes = c->map_user_attributes,
		.item_attributes = c->map_item_attributes, .type_weights = c->type_weights, .types_only_ignore = 1,
		.time_unit = (enum event_time_unit)c->time_unit, .id_max_bytes = (size_t)c->id_max_bytes, .weight_max = c->weight_max,
		.line_max_bytes = (size_t)c->record_max_bytes,
	};
	char why[1024] = "out of memory";

	if (delimited_new(&f->delimited, &o, header, len, why, sizeof why) < 0) {
		log_error("%s line 1: %s (--map.user, --map.item, --map.time name the columns, --preset those of a known kind of file)", f->path, why);
		return EX_DATAERR;
	}
	return 0;
}

static enum events_line failed(struct events_read *ret, int code)
{
	ret->code = code;
	return LINE_FAILED;
}

/* The next line that is not blank. LINE_EVENT: there is one. */
static enum events_line next_line(struct events_file *f, const char **line, size_t *len, struct events_read *ret)
{
	int r;

	do {
		r = lines_next(f->lines, line, len);
	} while (r > 0 && blank(*line, *len));
	if (r == -EINTR)
		return LINE_SIGNAL;
	if (r < 0) {
		log_error("%s after line %llu: %s", f->path, (unsigned long long)lines_number(f->lines),
		        r == -EBADMSG ? "damaged or truncated zstd data" : strerror(-r));
		return failed(ret, EX_DATAERR);
	}
	return r == 0 ? LINE_END : LINE_EVENT;
}

static enum events_line decode(struct events_file *f, const char *line, size_t len, struct events_read *ret)
{
	int r;

	ret->why = "undecodable";
	if (f->decoder && is_word(line, len, "!raw ")) {
		ret->bytes = line + 5;
		ret->len = len - 5;
		return LINE_RAW;
	}
	if (f->decoder && is_word(line, len, "!forget ") && len > 8) {
		ret->bytes = line + 8;
		ret->len = len - 8;
		return LINE_FORGET;
	}
	if (f->decoder)
		r = decoder_decode(f->decoder, &ret->event, NULL, 0, line, len, -1, &ret->why);
	else
		r = delimited_decode(f->delimited, &ret->event, line, len, &ret->why);
	if (r < 0) {
		events_file_bad(f, ret->why);
		return LINE_BAD;
	}
	return ret->event.ignored ? LINE_IGNORED : LINE_EVENT;
}

enum events_line events_file_next(struct events_file *f, struct events_read *ret)
{
	const char *line;
	size_t len;

	if (f->decoder && decoder_more(f->decoder, &ret->event))
		return LINE_EVENT;
	enum events_line what = next_line(f, &line, &len, ret);

	if (what == LINE_EVENT && !f->decoder && !f->delimited) {
		int json = f->cfg->format == EVENT_JSON || f->cfg->format == EVENT_CLOUDEVENTS || line[0] == '{' || is_word(line, len, "!raw ") || is_word(line, len, "!forget ");
		int code = json ? open_json(f) : open_delimited(f, line, len);

		if (code)
			return failed(ret, code);
		if (!json)
			what = next_line(f, &line, &len, ret);
	}
	return what == LINE_EVENT ? decode(f, line, len, ret) : what;
}
