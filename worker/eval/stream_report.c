/* stream_report.c - see stream_report.h. The sections in the order of the page: stream_report_write. */
#include "worker/eval/stream_report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "worker/eval/draw.h"

#define AT20 (CUTS - 1)
#define CURVE_EVENTS_MIN 30 /* a window of fewer is left out of a curve: chance would draw it */

static const enum split shown[] = { SPLIT_ALL, SPLIT_COLD, SPLIT_RARE, SPLIT_HEAD, SPLIT_TAIL, SPLIT_NEW };
#define SHOWN (sizeof shown / sizeof shown[0])
static const char *const shown_name[SPLITS] = { "all", "head users", "tail users", "new users", "cold items", "rare items" };

/* ---- table ---- */

static int is_there(const struct board *b, size_t contestant) { return board_total(b, contestant, SPLIT_ALL).n > 0; }

/* A figure, and below it in small where it may lie. */
static void put_sure(FILE *f, const char *number, double value, struct interval x)
{
	fputs("<td>", f);
	fprintf(f, number, value);
	fputs("<small>", f);
	fprintf(f, number, x.low);
	fputs(" \xe2\x80\xa6 ", f);
	fprintf(f, number, x.high);
	fputs("</small></td>", f);
}

static void table_row(FILE *f, const struct stream_result *r, size_t contestant, enum split s)
{
	struct tally t = board_total(r->board, contestant, s), online = board_total(r->board, BY_ONLINE, s);

	fputs("<tr><th scope=\"row\">", f);
	draw_text(f, contestant_name[contestant]);
	fputs("</th>", f);
	for (size_t c = 0; c < AT20; c++)
		fprintf(f, "<td>%.4f</td>", tally_hr(&t, c));
	put_sure(f, "%.4f", tally_hr(&t, AT20), boot_interval(r->boot, contestant, s, BOOT_HR + AT20));
	for (size_t c = 0; c < AT20; c++)
		fprintf(f, "<td>%.4f</td>", tally_ndcg(&t, c));
	put_sure(f, "%.4f", tally_ndcg(&t, AT20), boot_interval(r->boot, contestant, s, BOOT_NDCG + AT20));
	fprintf(f, "<td>%.4f</td>", tally_mrr(&t));
	if (contestant != BY_ONLINE)
		put_sure(f, "%+.4f", tally_ndcg(&online, AT20) - tally_ndcg(&t, AT20), boot_lead(r->boot, contestant, s, BOOT_NDCG + AT20));
	else
		fputs("<td></td>", f);
	fputs("</tr>\n", f);
}

static void table(FILE *f, const struct stream_result *r, enum split s)
{
	fprintf(f, "<h3>%s, %llu events</h3>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">contestant</th>", shown_name[s],
	        (unsigned long long)board_total(r->board, 0, s).n);
	for (size_t c = 0; c < CUTS; c++)
		fprintf(f, "<th scope=\"col\">HR@%zu</th>", loo_cut[c]);
	for (size_t c = 0; c < CUTS; c++)
		fprintf(f, "<th scope=\"col\">NDCG@%zu</th>", loo_cut[c]);
	fprintf(f, "<th scope=\"col\">MRR</th><th scope=\"col\">online\xe2\x80\x99s lead<small>NDCG@%zu</small></th></tr></thead><tbody>\n", loo_cut[AT20]);
	for (size_t c = 0; c < CONTESTANTS; c++)
		if (is_there(r->board, c))
			table_row(f, r, c, s);
	fputs("</tbody></table></div>\n", f);
}

/* ---- curves ---- */

static void key(FILE *f, const struct board *b)
{
	fputs("<p class=\"key\">", f);
	for (size_t c = 0; c < CONTESTANTS; c++) {
		if (!is_there(b, c))
			continue;
		fprintf(f, "<span><svg viewBox=\"0 0 24 10\"><line class=\"curve c%zu\" x1=\"0\" x2=\"24\" y1=\"5\" y2=\"5\"/></svg> ", c);
		draw_text(f, contestant_name[c]);
		fputs("</span> ", f);
	}
	fputs("</p>\n", f);
}

static void time_label(FILE *f, const struct frame *a, double x, const char *anchor, int64_t ms)
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	char label[32];

	gmtime_r(&s, &tm);
	strftime(label, sizeof label, "%Y-%m-%d %H:%M", &tm);
	draw_x_label(f, a, x, anchor, label);
}

/* Windows by hours since the first, as x. */
static void hours(double *x, const struct board *b)
{
	for (size_t w = 0; w < board_windows(b); w++)
		x[w] = (double)(board_window_ms(b, w) - board_window_ms(b, 0)) / 3.6e6;
}

static void open_curves(FILE *f, const struct frame *a, const char *name, const struct board *b)
{
	size_t last = board_windows(b) - 1;

	draw_open(f, name);
	draw_axis(f, a);
	time_label(f, a, 0, "start", board_window_ms(b, 0));
	if (last)
		time_label(f, a, a->x_max, "end", board_window_ms(b, last));
}

static double hr20(const struct tally *t) { return tally_hr(t, AT20); }
static double ndcg20(const struct tally *t) { return tally_ndcg(t, AT20); }

/* x (windows), y (CONTESTANTS, windows) */
static void curves_of(FILE *f, const struct board *b, const char *name, enum split s, double (*of)(const struct tally *), const double *x, double *y)
{
	size_t n = board_windows(b);
	struct frame a;

	for (size_t c = 0; c < CONTESTANTS; c++)
		for (size_t w = 0; w < n; w++) {
			const struct tally *t = board_tally(b, w, c, s);
			y[c * n + w] = t->n >= CURVE_EVENTS_MIN ? of(t) : NAN;
		}
	draw_caption(f, name, shown_name[s]);
	if (!draw_frame(&a, y, CONTESTANTS * n, x[n - 1], 1)) {
		draw_no_data(f);
		return;
	}
	open_curves(f, &a, name, b);
	for (size_t c = CONTESTANTS; c-- > 0;) { /* the model on top */
		char classes[24];
		snprintf(classes, sizeof classes, " c%zu", c);
		draw_polyline(f, &a, x, y + c * n, n, classes);
	}
	fputs("</svg></figure>\n", f);
}

static void cold_share(FILE *f, const struct board *b, const double *x, double *y)
{
	size_t n = board_windows(b);
	struct frame a;

	for (size_t w = 0; w < n; w++) {
		uint64_t all = board_tally(b, w, 0, SPLIT_ALL)->n;
		y[w] = all ? (double)board_tally(b, w, 0, SPLIT_COLD)->n / (double)all : NAN;
	}
	draw_caption(f, "Share of events on cold items", "by window");
	if (draw_frame(&a, y, n, x[n - 1], 1)) {
		open_curves(f, &a, "Share of events on cold items", b);
		draw_polyline(f, &a, x, y, n, "");
		fputs("</svg></figure>\n", f);
	} else {
		draw_no_data(f);
	}
}

static int curves(FILE *f, const struct board *b)
{
	size_t n = board_windows(b);
	double *x = calloc(n * (CONTESTANTS + 1), sizeof *x);

	if (!x)
		return -ENOMEM;
	hours(x, b);
	fputs("<h2>Over event time</h2>\n", f);
	key(f, b);
	fputs("<div class=\"figures\">\n", f);
	for (size_t i = 0; i < SHOWN; i++) {
		curves_of(f, b, "NDCG@20", shown[i], ndcg20, x, x + n);
		curves_of(f, b, "HR@20", shown[i], hr20, x, x + n);
	}
	cold_share(f, b, x, x + n);
	fputs("</div>\n", f);
	free(x);
	return 0;
}

/* ---- the page ---- */

static int prototypes(FILE *f, const struct stream_result *r)
{
	struct loo_detail d = { .K = r->K, .members = r->members, .heads = r->heads };

	for (size_t k = 0; k < r->K; k++) {
		d.users += r->members[k];
		d.head_users += r->heads[k];
	}
	return draw_prototypes(f, &d);
}

int stream_report_write(FILE *f, const struct stream_report *r)
{
	const struct stream_result *x = r->result;
	int e;

	fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"/>\n<title>s4rec: ", f);
	draw_text(f, r->title);
	fprintf(f, "</title>\n<style>\n%s</style></head><body>\n<h1>", draw_style);
	draw_text(f, r->title);
	fprintf(f, "</h1>\n<p>s4rec, prequential: each event is ranked among all live items before it trains. %llu events, %zu users and %zu items at the end; half-life of "
	        "popularity %.3g h, recent means %.3g h, half-life of co-visitation %.3g h (0: none), all chosen on the warm-up, which does not count here.</p>\n<p>online: "
	        "the model as it stands; nightly: trained from nothing each night, in several passes over the sequences kept by then; snapshot: online's weights of that night; "
	        "frozen: online's weights as of the end of the warm-up. In small: where 95 %% of 200 draws of users lie, since two events of one user are not two findings.</p>\n<h2>Means</h2>\n",
	        (unsigned long long)x->events, x->users, x->items, (double)x->half_life_ms / 3.6e6, (double)x->recent_ms / 3.6e6,
	        (double)x->covisit_ms / 3.6e6);
	for (size_t i = 0; i < SHOWN; i++)
		table(f, x, shown[i]);
	e = curves(f, x->board);
	if (e == 0)
		e = prototypes(f, x);
	fputs("<h2>Options</h2>\n<pre>", f);
	draw_text(f, r->options);
	fputs("</pre>\n</body></html>\n", f);
	return e;
}

static int page(FILE *f, const void *ctx)
{
	return stream_report_write(f, ctx);
}

int stream_report_save(const char *path, const struct stream_report *r)
{
	return draw_save(path, page, r);
}
