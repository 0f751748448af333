/* read.c - `s4rec read`: follow or dump the embeddings topic as JSON lines; the summary goes to stderr. */
#include "worker/command.h"
#include "worker/commands/interrupt.h"
#include "worker/kafka/view.h"
#include "worker/log.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

struct reader {
	const struct config *cfg;
	uint64_t rows, deletes, builds;
	char out[1 << 16];     /* stdout's buffer */
};

static void put_text(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char ch = (unsigned char)s[i];

		if (ch == '"' || ch == '\\')
			printf("\\%c", ch);
		else if (ch < 0x20)
			printf("\\u%04x", ch);
		else
			putchar(ch);
	}
}

static void put_version(const struct s4rec_version *v)
{
	size_t i;

	printf("{\"key\":\"model\",\"partition\":%d,\"version\":%" PRIu64 ",\"step\":%" PRIu64 ",\"model_id\":\"", v->partition, v->version, v->step);
	put_text(v->model_id, strlen(v->model_id));
	printf("\",\"space_id\":\"");
	put_text(v->space_id, strlen(v->space_id));
	printf("\",\"numeric_id\":\"");
	put_text(v->numeric_id, strlen(v->numeric_id));
	printf("\",\"watermark_ms\":%" PRId64 ",\"published_ms\":%" PRId64 ",\"freshness_p50_ms\":%" PRId64 ",\"freshness_p99_ms\":%" PRId64
	       ",\"items\":%" PRIu64 ",\"users\":%" PRIu64 ",\"prototypes\":%" PRIu64 ",\"total_items\":%" PRIu64 ",\"total_users\":%" PRIu64
	       ",\"total_prototypes\":%" PRIu64 ",\"oldest_user_steps\":%" PRIu64 ",\"dimension\":%u,\"gaps\":%" PRIu64 ",\"gap_base\":%" PRIu64 ",\"gap_step\":%" PRIu64 ",\"held\":%s,\"held_why\":\"",
	       v->watermark_ms, v->published_ms, v->freshness_p50_ms, v->freshness_p99_ms, v->items, v->users, v->prototypes, v->total_items,
	       v->total_users, v->total_prototypes, v->oldest_user_steps, v->dimension, v->gaps, v->gap_base, v->gap_step,
	       v->held ? "true" : "false");
	put_text(v->held_why, strlen(v->held_why));
	printf("\",\"offsets\":[");
	for (i = 0; i < v->offset_count; i++)
		printf("%s%" PRId64, i ? "," : "", v->offsets[i]);
	printf("]}\n");
}

static void put_vector(const struct s4rec_row *row)
{
	size_t i;

	printf(",\"vector\":[");
	for (i = 0; i < row->dimension; i++)
		printf("%s%.9g", i ? "," : "", row->vector[i]);
	putchar(']');
}

static void put_row(struct reader *rd, const struct s4rec_row *row)
{
	static const char *const prefix[] = { "item/", "user/", "prototype/" };

	printf("{\"key\":\"%s", prefix[row->kind]);
	put_text(row->id, row->id_len);
	putchar('"');
	if (row->vector == NULL) {
		rd->deletes++;
		printf(",\"deleted\":true}\n");
		return;
	}
	rd->rows++;
	printf(",\"version\":%" PRIu64 ",\"event_time_ms\":%" PRId64 ",\"generation\":%u", row->version, row->event_time_ms, row->generation);
	if (row->prototype >= 0)
		printf(",\"prototype\":%d", row->prototype);
	if (rd->cfg->vectors)
		put_vector(row);
	printf("}\n");
}

/* A view that follows another one: what was printed before goes when the new one is complete. */
static void put_build(struct reader *rd, const struct s4rec_event *e)
{
	if (rd->builds++ == 0)
		return;
	printf("{\"key\":\"rebuild\",\"topic\":\"%s\",\"why\":\"", e->topic);
	put_text(e->why, strlen(e->why));
	printf("\"}\n");
}

static void on_event(void *ctx, const struct s4rec_event *e)
{
	struct reader *rd = ctx;

	switch (e->type) {
	case S4REC_BUILD: put_build(rd, e); break;
	case S4REC_ROW: put_row(rd, e->row); break;
	case S4REC_VERSION: put_version(e->version); break;
	case S4REC_COMPLETE: if (rd->builds > 1) printf("{\"key\":\"complete\"}\n"); break;
	}
}

/* 1: the view is complete. */
static int summary(const struct reader *rd, const struct s4rec_reader *v)
{
	const struct s4rec_version *newest;
	struct timespec ts;
	uint64_t version = s4rec_reader_version(v, &newest);
	char why[512];
	int complete = s4rec_reader_ready(v);

	s4rec_reader_missing(v, why, sizeof why);
	clock_gettime(CLOCK_REALTIME, &ts);
	fprintf(stderr, "read %" PRIu64 " rows and %" PRIu64 " deletes; now %zu items, %zu users, %zu prototypes\n", rd->rows, rd->deletes,
	        s4rec_reader_count(v, S4REC_ITEM), s4rec_reader_count(v, S4REC_USER), s4rec_reader_count(v, S4REC_PROTOTYPE));
	if (newest->version)
		fprintf(stderr, "version %" PRIu64 " of model %s, space %s, published %.1f s ago; event to publish p50 %" PRId64 " ms, p99 %" PRId64 " ms\n",
		        version, newest->model_id, newest->space_id,
		        (double)ts.tv_sec + (double)ts.tv_nsec / 1e9 - (double)newest->published_ms / 1000, newest->freshness_p50_ms,
		        newest->freshness_p99_ms);
	if (newest->held)
		fprintf(stderr, "held: the model is worse than popularity (%s); newer rows are kept back\n", newest->held_why);
	fprintf(stderr, complete ? "complete: every partition has the rows that its version record counts\n" : "incomplete: %s\n", why);
	return complete;
}

static int stopped(void *ctx)
{
	return interrupt_seen();
}

/* A transaction becomes visible partition by partition. What is missing after that is in the summary. */
static int settle(struct s4rec_reader *v)
{
	int r = s4rec_reader_bootstrap(v, stopped, NULL);

	return r == -EAGAIN ? 0 : view_code(r);
}

int command_read(int argc, char **argv)
{
	struct config c;
	struct reader *rd = calloc(1, sizeof *rd);
	struct s4rec_reader *v = NULL;
	int r;

	r = config_parse(&c, C_READ, "s4rec read [OPTION ...]", "s4rec read -b 127.0.0.1:9092 -e > rows.jsonl", argc, argv);
	if (r) {
		free(rd);
		return r < 0 ? EX_OK : r;
	}
	r = EX_SOFTWARE;
	if (rd == NULL)
		goto out;
	rd->cfg = &c;
	r = EX_USAGE;
	if (c.arg_count) {
		log_error("s4rec read: unexpected argument '%s'", c.args[0]);
		goto out;
	}

	setvbuf(stdout, rd->out, _IOFBF, sizeof rd->out);
	interrupt_install();
	r = view_open(&v, &c, &(struct view_options){ .stay = !c.pointer, .count_only = 1, .on_event = on_event, .ctx = rd });
	while (r == 0 && !interrupt_seen() && !(c.exit_at_end && s4rec_reader_progress(v, NULL))) {
		r = view_code(s4rec_reader_poll(v, 100));
		if (fflush(stdout) != 0) { /* a follower's reader wants it now */
			log_error("cannot write to stdout");
			r = EX_IOERR;
		}
	}
	if (r == 0 && c.exit_at_end)
		r = settle(v);
	if (v && !summary(rd, v) && r == 0 && c.exit_at_end && !interrupt_seen())
		r = EX_UNAVAILABLE;
out:
	s4rec_reader_close(v);
	fflush(stdout);
	setvbuf(stdout, NULL, _IONBF, 0); /* its buffer goes away here */
	free(rd);
	config_release(&c);
	return r;
}
