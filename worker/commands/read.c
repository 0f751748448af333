/* read.c - `s4rec read`: follow or dump the embeddings topic as JSON lines; the summary goes to stderr. */
#include "worker/command.h"
#include "worker/commands/interrupt.h"
#include "worker/kafka/pointer.h"
#include "worker/kafka/view.h"
#include "worker/log.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

struct reader {
	const struct config *cfg;
	uint64_t rows, deletes;
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

static void put_version(const struct version *v, int32_t partition)
{
	size_t i;

	printf("{\"key\":\"model\",\"partition\":%d,\"version\":%" PRIu64 ",\"step\":%" PRIu64 ",\"model_id\":\"", partition, v->version, v->step);
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

static void put_vector(const struct embedding *e)
{
	size_t i;

	printf(",\"vector\":[");
	for (i = 0; i < e->D; i++)
		printf("%s%.9g", i ? "," : "", e->vector[i]);
	putchar(']');
}

static void on_row(void *ctx, enum row_kind kind, const char *id, size_t id_len, const struct embedding *e, const struct version *v,
                   int32_t partition)
{
	static const char *const prefix[] = { "item/", "user/", "prototype/" };
	struct reader *rd = ctx;

	if (kind == ROW_MODEL) {
		put_version(v, partition);
		return;
	}
	printf("{\"key\":\"%s", prefix[kind]);
	put_text(id, id_len);
	putchar('"');
	if (e == NULL) {
		rd->deletes++;
		printf(",\"deleted\":true}\n");
		return;
	}
	rd->rows++;
	printf(",\"version\":%" PRIu64 ",\"event_time_ms\":%" PRId64 ",\"generation\":%u", e->version, e->event_time_ms, e->generation);
	if (e->prototype >= 0)
		printf(",\"prototype\":%d", e->prototype);
	if (rd->cfg->vectors)
		put_vector(e);
	printf("}\n");
}

/* 1: the view is complete. */
static int summary(const struct reader *rd, const struct view *v)
{
	const struct version *newest = view_newest(v);
	struct timespec ts;
	uint64_t version;
	char why[512];
	int complete = view_complete(v, &version, why, sizeof why);

	clock_gettime(CLOCK_REALTIME, &ts);
	fprintf(stderr, "read %" PRIu64 " rows and %" PRIu64 " deletes; now %zu items, %zu users, %zu prototypes\n", rd->rows, rd->deletes,
	        view_rows(v, ROW_ITEM), view_rows(v, ROW_USER), view_rows(v, ROW_PROTOTYPE));
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

int command_read(int argc, char **argv)
{
	struct config c;
	struct reader *rd = calloc(1, sizeof *rd);
	struct view *v = NULL;
	int r, end = 0;

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
	r = c.pointer ? pointer_follow(&c) : 0;
	if (r == 0)
		r = view_new(&v, &c, 0, on_row, rd);
	while (r == 0 && !interrupt_seen() && !(end && c.exit_at_end)) {
		r = view_poll(v, 100, &end);
		if (fflush(stdout) != 0) { /* a follower's reader wants it now */
			log_error("cannot write to stdout");
			r = EX_IOERR;
		}
	}
	if (r == 0 && c.exit_at_end)
		r = view_settle(v, interrupt_seen);
	if (v && !summary(rd, v) && r == 0 && c.exit_at_end && !interrupt_seen())
		r = EX_UNAVAILABLE;
out:
	view_free(v);
	fflush(stdout);
	setvbuf(stdout, NULL, _IONBF, 0); /* its buffer goes away here */
	free(rd);
	config_release(&c);
	return r;
}
