/* report.c - see report.h. The sections in the order of the page: report_write. */
#include "worker/eval/report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/eval/draw.h"
#include "worker/eval/sweep_report.h"

/* ---- curves ---- */

static double at_sr(const struct loo_epoch *e) { return e->mean.loss_sr; }
static double at_clust(const struct loo_epoch *e) { return e->mean.loss_clust; }
static double at_scl(const struct loo_epoch *e) { return e->mean.loss_scl; }
static double at_ckd(const struct loo_epoch *e) { return e->mean.loss_ckd; }
static double at_adv(const struct loo_epoch *e) { return e->mean.loss_adv; }
static double at_ndcg(const struct loo_epoch *e) { return e->valid.ndcg[CUTS - 1]; }

static void epoch_labels(FILE *f, const struct frame *a, const struct report *r)
{
	char label[32];

	snprintf(label, sizeof label, "epoch %d", r->epoch[0].epoch);
	draw_x_label(f, a, 0, "start", label);
	snprintf(label, sizeof label, "%d", r->epoch[r->epochs - 1].epoch);
	if (r->epochs > 1)
		draw_x_label(f, a, (double)r->epochs - 1, "end", label);
}

/* x, y: room for r->epochs. validated: only epochs that were. best: the chosen epoch has a line of its own. */
static void curve(FILE *f, const struct report *r, const char *name, double (*of)(const struct loo_epoch *), int validated, double *x, double *y)
{
	struct frame a;
	char note[96] = "";
	size_t n = 0;

	for (size_t i = 0; i < r->epochs; i++)
		if (!validated || r->epoch[i].validated) {
			x[n] = (double)i;
			y[n++] = of(&r->epoch[i]);
		}
	if (n)
		snprintf(note, sizeof note, "%.4g to %.4g", y[0], y[n - 1]);
	if (validated && r->result->best.epoch)
		snprintf(note, sizeof note, "best %.4f at epoch %d", r->result->best.valid[ALL_USERS].ndcg[CUTS - 1], r->result->best.epoch);
	draw_caption(f, name, note);
	if (!draw_frame(&a, y, n, (double)r->epochs - 1, 0)) {
		draw_no_data(f);
		return;
	}
	draw_open(f, name);
	draw_axis(f, &a);
	epoch_labels(f, &a, r);
	draw_polyline(f, &a, x, y, n, "");
	fputs("</svg></figure>\n", f);
}

static int curves(FILE *f, const struct report *r)
{
	double *x = calloc(2 * r->epochs + 1, sizeof *x), *y;

	if (!x)
		return -ENOMEM;
	y = x + r->epochs;
	fputs("<h2>Epochs</h2>\n<div class=\"figures\">\n", f);
	curve(f, r, "Validation NDCG@20", at_ndcg, 1, x, y);
	curve(f, r, "Loss: next item (sr)", at_sr, 0, x, y);
	curve(f, r, "Loss: clustering (clust)", at_clust, 0, x, y);
	curve(f, r, "Loss: contrast (scl)", at_scl, 0, x, y);
	curve(f, r, "Loss: distillation (ckd)", at_ckd, 0, x, y);
	curve(f, r, "Loss: adversary (adv)", at_adv, 0, x, y);
	fputs("</div>\n", f);
	free(x);
	return 0;
}

/* ---- the test's figures ---- */

static void score_row(FILE *f, const char *name, const struct loo_scores *s)
{
	fprintf(f, "<tr><th scope=\"row\">%s</th><td>%zu</td>", name, s->n);
	for (size_t c = 0; c < CUTS; c++)
		fprintf(f, "<td>%.4f</td>", s->hr[c]);
	for (size_t c = 0; c < CUTS; c++)
		fprintf(f, "<td>%.4f</td>", s->ndcg[c]);
	fprintf(f, "<td>%.4f</td></tr>\n", s->mrr20);
}

static void scores_table(FILE *f, const struct loo_chosen *x)
{
	fputs("<h2>Test</h2>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">users</th><th scope=\"col\">number</th>", f);
	for (size_t c = 0; c < CUTS; c++)
		fprintf(f, "<th scope=\"col\">HR@%zu</th>", loo_cut[c]);
	for (size_t c = 0; c < CUTS; c++)
		fprintf(f, "<th scope=\"col\">NDCG@%zu</th>", loo_cut[c]);
	fputs("<th scope=\"col\">MRR@20</th></tr></thead><tbody>\n", f);
	for (enum group g = ALL_USERS; g < GROUPS; g++)
		score_row(f, loo_group[g], &x->test[g]);
	fprintf(f, "</tbody></table></div>\n<p>Head users are the fifth with the longest histories, tail users the others; few: users with at most %d events. Leave-one-out: of each user the last item is asked for, all items are ranked.</p>\n", FEW_EVENTS);
}

/* ---- lengths ---- */

static void bin_label(char *ret, size_t size, size_t bin)
{
	if (bin + 1 == LENGTH_BINS)
		snprintf(ret, size, "%zu+", length_bin_from[bin]);
	else
		snprintf(ret, size, "%zu\xe2\x80\x93%zu", length_bin_from[bin], length_bin_from[bin + 1] - 1);
}

static void lengths(FILE *f, const struct loo_detail *d, double overall)
{
	char names[LENGTH_BINS][48], labels[LENGTH_BINS][24], range[24], label[32];
	double y[LENGTH_BINS] = { 0 };
	struct frame a;
	size_t n = 0;

	for (size_t b = 0; b < LENGTH_BINS; b++)
		if (d->bin_users[b]) {
			bin_label(range, sizeof range, b);
			snprintf(names[n], sizeof names[n], "%s items: %.4f, %zu users", range, d->bin_ndcg20[b], d->bin_users[b]);
			/* whole ranges would run into each other at a phone's width */
			snprintf(labels[n], sizeof labels[n], "%zu", length_bin_from[b]);
			y[n++] = d->bin_ndcg20[b];
		}
	fputs("<h2>Length of the history</h2>\n<div class=\"figures\">\n", f);
	draw_caption(f, "Test NDCG@20 by length", "items of a user before the one asked for; a bar reaches to where the next begins");
	if (!draw_frame(&a, y, n, (double)n, 1)) {
		draw_no_data(f);
	} else {
		draw_open(f, "Test NDCG@20 by length");
		draw_axis(f, &a);
		draw_bars(f, &a, y, n, names);
		for (size_t i = 0; i < n; i++)
			draw_x_label(f, &a, (double)i + .5, "middle", labels[i]);
		snprintf(label, sizeof label, "all users: %.4f", overall);
		if (isfinite(overall) && overall <= a.high && overall >= a.low)
			draw_mark(f, &a, overall, label);
		fputs("</svg></figure>\n", f);
	}
	fputs("</div>\n", f);
}

/* ---- the page ---- */

int report_write(FILE *f, const struct report *r)
{
	const struct loo_chosen *best = &r->result->best;
	int e;

	fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"/>\n<title>s4rec: ", f);
	draw_text(f, r->title);
	fprintf(f, "</title>\n<style>\n%s</style></head><body>\n<h1>", draw_style);
	draw_text(f, r->title);
	fprintf(f, "</h1>\n<p>s4rec, leave-one-out, seed %llu: epoch %d of %zu chosen, %.1f s of training.</p>\n", (unsigned long long)r->seed, best->epoch, r->epochs,
	        r->result->train_s);
	scores_table(f, best);
	e = curves(f, r);
	if (e == 0)
		e = draw_prototypes(f, r->detail);
	lengths(f, r->detail, best->test[ALL_USERS].ndcg[CUTS - 1]);
	if (e == 0 && r->sweep)
		e = sweep_report_write(f, r->sweep);
	fputs("<h2>Options</h2>\n<pre>", f);
	draw_text(f, r->options);
	fputs("</pre>\n</body></html>\n", f);
	return e;
}

static int page(FILE *f, const void *ctx)
{
	return report_write(f, ctx);
}

int report_save(const char *path, const struct report *r)
{
	return draw_save(path, page, r);
}
