/* prequential.c - see prequential.h */
#include "worker/commands/prequential.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "topics/topics.h"
#include "worker/eval/stream_report.h"
#include "worker/kafka/client.h"
#include "worker/log.h"
#include "worker/model_file.h"

#define AT20 (CUTS - 1)

static const enum split columns[] = { SPLIT_ALL, SPLIT_COLD, SPLIT_RARE, SPLIT_TAIL, SPLIT_NEW };
static const char *const column_name[] = { "all", "cold items", "rare items", "tail users", "new users" };
#define COLUMNS (sizeof columns / sizeof columns[0])

/* Intervals by users: of the row, and of how far online is above it. */
static void print_row(const struct stream_result *r, size_t contestant)
{
	printf("%-18s", contestant_name[contestant]);
	for (size_t i = 0; i < COLUMNS; i++) {
		struct tally t = board_total(r->board, contestant, columns[i]);
		printf("  %.4f %.4f %.4f", tally_hr(&t, AT20), tally_ndcg(&t, AT20), tally_mrr(&t));
	}
	struct interval hr = boot_interval(r->boot, contestant, SPLIT_ALL, BOOT_HR + AT20), ndcg = boot_interval(r->boot, contestant, SPLIT_ALL, BOOT_NDCG + AT20);
	printf("   %.4f-%.4f %.4f-%.4f", hr.low, hr.high, ndcg.low, ndcg.high);
	if (contestant) {
		hr = boot_lead(r->boot, contestant, SPLIT_ALL, BOOT_HR + AT20);
		ndcg = boot_lead(r->boot, contestant, SPLIT_ALL, BOOT_NDCG + AT20);
		printf("   %+.4f..%+.4f %+.4f..%+.4f", hr.low, hr.high, ndcg.low, ndcg.high);
	}
	putchar('\n');
}

static uint64_t ranked(const struct board *b, enum split s) { return board_total(b, 0, s).n; }

static void print_table(const struct stream_result *r)
{
	const struct board *b = r->board;

	printf("events=%llu users=%zu items=%zu bad_lines=%llu refused=%llu ranked=%llu cold_items=%llu rare_items=%llu tail=%llu new_users=%llu half_life_h=%g recent_h=%g covisit_h=%g drifts=%llu\n",
	       (unsigned long long)r->events, r->users, r->items, (unsigned long long)r->bad_lines, (unsigned long long)r->refused,
	       (unsigned long long)ranked(b, SPLIT_ALL), (unsigned long long)ranked(b, SPLIT_COLD), (unsigned long long)ranked(b, SPLIT_RARE),
	       (unsigned long long)ranked(b, SPLIT_TAIL), (unsigned long long)ranked(b, SPLIT_NEW), (double)r->half_life_ms / 3.6e6,
	       (double)r->recent_ms / 3.6e6, (double)r->covisit_ms / 3.6e6, (unsigned long long)r->drifts);
	printf("%-18s", "HR@20 NDCG@20 MRR");
	for (size_t i = 0; i < COLUMNS; i++)
		printf("  %-20s", column_name[i]);
	printf("   %-27s   %s\n", "95 % of all: HR@20, NDCG@20", "95 % of online less it: HR@20, NDCG@20");
	for (size_t c = 0; c < CONTESTANTS; c++)
		if (board_total(b, c, SPLIT_ALL).n)
			print_row(r, c);
}

static void put_interval(FILE *f, const char *name, const char *cut, double value, struct interval x)
{
	fprintf(f, ",\"%s%s\":[%.6f,%.6f,%.6f]", name, cut, value, x.low, x.high);
}

/* Over all windows, intervals by users; lead: of the online model, less this one. */
static void put_total(FILE *f, const struct stream_result *r, size_t contestant, enum split s)
{
	struct tally t = board_total(r->board, contestant, s), online = board_total(r->board, 0, s);

	if (t.n == 0)
		return;
	fprintf(f, "{\"total\":true,\"contestant\":\"%s\",\"split\":\"%s\",\"events\":%llu", contestant_name[contestant], split_name[s],
	        (unsigned long long)t.n);
	put_interval(f, "mrr", "", tally_mrr(&t), boot_interval(r->boot, contestant, s, BOOT_MRR));
	if (contestant)
		put_interval(f, "lead_mrr", "", tally_mrr(&online) - tally_mrr(&t), boot_lead(r->boot, contestant, s, BOOT_MRR));
	for (size_t c = 0; c < CUTS; c++) {
		char cut[24];

		snprintf(cut, sizeof cut, "@%zu", loo_cut[c]);
		put_interval(f, "hr", cut, tally_hr(&t, c), boot_interval(r->boot, contestant, s, BOOT_HR + c));
		put_interval(f, "ndcg", cut, tally_ndcg(&t, c), boot_interval(r->boot, contestant, s, BOOT_NDCG + c));
		if (contestant) {
			put_interval(f, "lead_hr", cut, tally_hr(&online, c) - tally_hr(&t, c), boot_lead(r->boot, contestant, s, BOOT_HR + c));
			put_interval(f, "lead_ndcg", cut, tally_ndcg(&online, c) - tally_ndcg(&t, c), boot_lead(r->boot, contestant, s, BOOT_NDCG + c));
		}
	}
	fputs("}\n", f);
}

/* Each figure is [value, low, high]. */
static int save_windows(const char *path, const struct stream_result *r)
{
	const struct board *b = r->board;
	FILE *f = fopen(path, "we");

	if (!f) {
		log_error("cannot write %s: %s (eval.out)", path, strerror(errno));
		return EX_CANTCREAT;
	}
	board_write(b, f, contestant_name, 0);
	for (size_t c = 0; c < CONTESTANTS; c++)
		for (int s = 0; s < SPLITS; s++)
			put_total(f, r, c, (enum split)s);
	int failed = ferror(f);
	if (fclose(f) != 0 || failed) {
		log_error("cannot write %s: %s (eval.out)", path, strerror(errno));
		return EX_IOERR;
	}
	return 0;
}

static int save_report(const struct config *c, const struct stream_result *r)
{
	char *options = NULL;
	size_t size;
	FILE *f = open_memstream(&options, &size);
	int code = f ? 0 : log_no_memory();
	char topic[TOPIC_NAME_MAX];
	const char *title = c->arg_count == 2 ? c->args[1] : topic;

	client_input_topic(topic, sizeof topic, c);

	if (f) {
		config_print_of(c, C_STREAM, f);
		if (fclose(f) != 0)
			code = log_no_memory();
	}
	if (code == 0)
		code = stream_report_save(c->report, &(struct stream_report){ .title = title, .options = options, .result = r });
	free(options);
	return code;
}

int eval_prequential(const struct config *c)
{
	struct stream_result r;
	int code;

	if (c->arg_count > 2 || (c->arg_count == 2 && strcmp(c->args[1], "-") == 0)) {
		log_error("s4rec eval prequential: name one FILE of events (it is read twice, so no pipe): CSV or TSV with a header, or JSON lines; or none, for the input topic");
		return EX_USAGE;
	}
	code = c->report[0] ? model_file_check(c->report) : 0;
	if (code == 0 && c->eval_out[0])
		code = model_file_check(c->eval_out);
	if (code)
		return code;
	code = stream_run(&r, c, c->arg_count == 2 ? c->args[1] : NULL);
	if (code)
		return code;
	print_table(&r);
	if (c->eval_out[0])
		code = save_windows(c->eval_out, &r);
	if (code == 0 && c->report[0])
		code = save_report(c, &r);
	stream_result_release(&r);
	return code;
}
