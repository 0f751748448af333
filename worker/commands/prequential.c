/* prequential.c - see prequential.h */
#include "worker/commands/prequential.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "worker/eval/stream_report.h"
#include "worker/log.h"
#include "worker/model_file.h"

#define AT20 (CUTS - 1)

static void print_row(const struct board *b, size_t contestant)
{
	static const enum split columns[] = { SPLIT_ALL, SPLIT_COLD, SPLIT_TAIL, SPLIT_NEW };
	struct tally all = board_total(b, contestant, SPLIT_ALL);
	struct interval hr = wilson(all.hits[AT20], all.n), ndcg = tally_ndcg_interval(&all, AT20);

	printf("%-18s", contestant_name[contestant]);
	for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
		struct tally t = board_total(b, contestant, columns[i]);
		printf("  %.4f %.4f %.4f", tally_hr(&t, AT20), tally_ndcg(&t, AT20), tally_mrr(&t));
	}
	printf("   %.4f-%.4f %.4f-%.4f\n", hr.low, hr.high, ndcg.low, ndcg.high);
}

static void print_table(const struct stream_result *r)
{
	const struct board *b = r->board;

	printf("events=%llu users=%zu items=%zu bad_lines=%llu refused=%llu ranked=%llu cold_items=%llu tail=%llu new_users=%llu half_life_h=%g recent_h=%g covisit_h=%g drifts=%llu\n",
	       (unsigned long long)r->events, r->users, r->items, (unsigned long long)r->bad_lines, (unsigned long long)r->refused,
	       (unsigned long long)board_total(b, 0, SPLIT_ALL).n, (unsigned long long)board_total(b, 0, SPLIT_COLD).n,
	       (unsigned long long)board_total(b, 0, SPLIT_TAIL).n, (unsigned long long)board_total(b, 0, SPLIT_NEW).n, (double)r->half_life_ms / 3.6e6,
	       (double)r->recent_ms / 3.6e6, (double)r->covisit_ms / 3.6e6, (unsigned long long)r->drifts);
	printf("%-18s  %-20s  %-20s  %-20s  %-20s   %s\n", "HR@20 NDCG@20 MRR", "all", "cold items", "tail users", "new users", "95 % of all: HR@20, NDCG@20");
	for (size_t c = 0; c < CONTESTANTS; c++)
		if (board_total(b, c, SPLIT_ALL).n)
			print_row(b, c);
}

static void put_line(FILE *f, const struct board *b, size_t window, size_t contestant, enum split s)
{
	const struct tally *t = board_tally(b, window, contestant, s);

	if (t->n == 0)
		return;
	fprintf(f, "{\"window_ms\":%lld,\"contestant\":\"%s\",\"split\":\"%s\",\"events\":%llu,\"mrr\":%.6f", (long long)board_window_ms(b, window),
	        contestant_name[contestant], split_name[s], (unsigned long long)t->n, tally_mrr(t));
	for (size_t c = 0; c < CUTS; c++) {
		struct interval hr = wilson(t->hits[c], t->n), ndcg = tally_ndcg_interval(t, c);

		fprintf(f, ",\"hr@%zu\":[%.6f,%.6f,%.6f],\"ndcg@%zu\":[%.6f,%.6f,%.6f]", loo_cut[c], tally_hr(t, c), hr.low, hr.high, loo_cut[c],
		        tally_ndcg(t, c), ndcg.low, ndcg.high);
	}
	fputs("}\n", f);
}

/* Each figure is [value, low, high]. */
static int save_windows(const char *path, const struct board *b)
{
	FILE *f = fopen(path, "we");

	if (!f) {
		log_error("cannot write %s: %s (eval.out)", path, strerror(errno));
		return EX_CANTCREAT;
	}
	for (size_t w = 0; w < board_windows(b); w++)
		for (size_t c = 0; c < CONTESTANTS; c++)
			for (int s = 0; s < SPLITS; s++)
				put_line(f, b, w, c, (enum split)s);
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

	if (f) {
		config_print_of(c, C_STREAM, f);
		if (fclose(f) != 0)
			code = log_no_memory();
	}
	if (code == 0)
		code = stream_report_save(c->report, &(struct stream_report){ .title = c->args[1], .options = options, .result = r });
	free(options);
	return code;
}

int eval_prequential(const struct config *c)
{
	struct stream_result r;
	int code;

	if (c->arg_count != 2 || strcmp(c->args[1], "-") == 0) {
		log_error("s4rec eval prequential: name one FILE of events (it is read twice, so no pipe): CSV or TSV with a header, or JSON lines");
		return EX_USAGE;
	}
	code = c->report[0] ? model_file_check(c->report) : 0;
	if (code == 0 && c->eval_out[0])
		code = model_file_check(c->eval_out);
	if (code)
		return code;
	code = stream_run(&r, c, c->args[1]);
	if (code)
		return code;
	print_table(&r);
	if (c->eval_out[0])
		code = save_windows(c->eval_out, r.board);
	if (code == 0 && c->report[0])
		code = save_report(c, &r);
	stream_result_release(&r);
	return code;
}
