/* source.c - see source.h. First files, then topics. */
#include "worker/eval/source.h"

#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>

#include "codec/cut.h"
#include "worker/events_file.h"
#include "worker/learn/input.h"
#include "worker/log.h"

#define WAIT_MS 100
#define WAITS_MAX 300 /* half a minute without a record */

struct source {
	struct events_file *file;     /* NULL: a topic */
	struct record_pool *pool;
	struct decoder *decoder;
	void *bytes;                  /* of one event */
	size_t bytes_size;

	struct input *in;

	uint64_t size, read;
};

/* ---- a file ---- */

/* Events and bad lines, in a reading of its own. */
static int count_events(uint64_t *ret, const struct config *c, const char *path)
{
	struct events_file *f = NULL;
	struct events_read read;
	enum events_line what = LINE_SIGNAL;
	int code = events_file_new(&f, c, path);

	if (code == 0)
		events_file_quiet(f); /* the second reading says what is bad */
	while (code == 0 && what != LINE_END) {
		what = events_file_next(f, &read);
		*ret += what == LINE_EVENT || what == LINE_BAD;
		if (what == LINE_FAILED)
			code = read.code;
	}
	events_file_free(f);
	return code;
}

static int open_file(struct source *s, const struct config *c, const char *path)
{
	struct decoder_options o = { .format = EVENT_PROTOBUF, .id_max_bytes = (size_t)c->id_max_bytes, .record_max_bytes = (size_t)c->record_max_bytes,
		.weight_max = c->weight_max, .type_weights = c->type_weights };
	const char *why = "";
	int code = count_events(&s->size, c, path);

	if (code == 0)
		code = events_file_new(&s->file, c, path);
	if (code == 0 && (decoder_new(&s->decoder, &o, &why) < 0 || record_pool_new(&s->pool) < 0))
		code = log_no_memory();
	return code;
}

/* As load sends it and train reads it. */
static int make_record(struct source *s, const struct event *ev, struct record **ret)
{
	size_t len;

	while (event_encode(s->bytes, s->bytes_size, &len, ev) == -ENOSPC) {
		free(s->bytes);
		s->bytes = malloc(2 * len);
		s->bytes_size = s->bytes ? 2 * len : 0;
		if (!s->bytes)
			return log_no_memory();
	}
	if (record_new(ret, s->pool, s->decoder, 0, 0, (int64_t)s->read, -1, ev->user, ev->user_len, s->bytes, len) < 0)
		return log_no_memory();
	return 0;
}

static int next_of_file(struct source *s, struct record **ret)
{
	struct events_read read;
	enum events_line what;

	do {
		what = events_file_next(s->file, &read);
		s->read += what == LINE_EVENT || what == LINE_BAD;
	} while (what != LINE_EVENT && what != LINE_END && what != LINE_FAILED);
	if (what == LINE_FAILED)
		return read.code;
	return what == LINE_EVENT ? make_record(s, &read.event, ret) : 0;
}

/* ---- a topic ---- */

static int open_topic(struct source *s, const struct config *c)
{
	int64_t low[CUT_PARTITIONS_MAX], end[CUT_PARTITIONS_MAX];
	int n, code = client_input_partitions(c, &n);

	if (code == 0 && n > CUT_PARTITIONS_MAX) {
		log_error("the input has %d partitions, at most %d can be read", n, CUT_PARTITIONS_MAX);
		code = EX_CONFIG;
	}
	if (code == 0)
		code = client_input_watermarks(c, n, low, end);
	if (code == 0)
		code = input_new(&s->in, c, n);
	if (code == 0)
		code = input_seek(s->in, low);
	if (code)
		return code;
	input_limit(s->in, end);
	for (int p = 0; p < n; p++)
		s->size += (uint64_t)(end[p] - low[p]);
	return 0;
}

static int next_of_topic(struct source *s, struct record **ret)
{
	int code = 0;

	for (int waits = 0; code == 0 && !(*ret = input_next(s->in, INPUT_WAIT)) && !input_at_end(s->in); waits++) {
		if (waits == WAITS_MAX) {
			log_error("no input for %d s; is the broker still there, or a transaction open?", WAITS_MAX * WAIT_MS / 1000);
			return EX_UNAVAILABLE;
		}
		code = input_fill(s->in, WAIT_MS);
	}
	if (code == 0 && *ret) {
		(*ret)->partition = 0; /* merged: one list from here on */
		s->read++;
	}
	return code;
}

/* ---- both ---- */

int source_new(struct source **ret, const struct config *c, const char *path)
{
	struct source *s = calloc(1, sizeof *s);
	int code = !s ? log_no_memory() : path ? open_file(s, c, path) : open_topic(s, c);

	if (code)
		source_free(s);
	else
		*ret = s;
	return code;
}

void source_free(struct source *s)
{
	if (!s)
		return;
	input_free(s->in);
	events_file_free(s->file);
	decoder_free(s->decoder);
	record_pool_free(s->pool);
	free(s->bytes);
	free(s);
}

int source_next(struct source *s, struct record **ret)
{
	*ret = NULL;
	return s->file ? next_of_file(s, ret) : next_of_topic(s, ret);
}

uint64_t source_size(const struct source *s) { return s->size; }
uint64_t source_read(const struct source *s) { return s->read; }
uint64_t source_bad_lines(const struct source *s) { return s->file ? events_file_bad_count(s->file) : 0; }
