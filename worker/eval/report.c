/* report.c - see report.h. Helpers first (text, axis, polyline, bars), then the sections in the order of the page: report_write. */
#include "worker/eval/report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "worker/log.h"

/* A figure is W x H units, about a phone's pixels: letters keep their size there, and grow with the figure on a wider screen. */
#define W 360.0
#define H 200.0
#define LEFT 50.0
#define RIGHT 10.0
#define TOP 10.0
#define BOTTOM 26.0

/* ---- text ---- */

static void text(FILE *f, const char *s)
{
	for (; *s; s++)
		switch (*s) {
		case '&': fputs("&amp;", f); break;
		case '<': fputs("&lt;", f); break;
		case '>': fputs("&gt;", f); break;
		case '"': fputs("&quot;", f); break;
		case '\'': fputs("&#39;", f); break;
		default:
			/* control characters are no HTML */
			fputc((unsigned char)*s < 0x20 && *s != '\n' && *s != '\t' ? '?' : *s, f);
		}
}

static const char style[] =
	":root{color-scheme:light dark;--back:#fff;--text:#1b1f24;--soft:#5b6470;--grid:#e3e7eb;--one:#1f6fb2;--two:#c2571a}\n"
	"@media(prefers-color-scheme:dark){:root{--back:#14171b;--text:#e6e9ec;--soft:#9aa4af;--grid:#2c333b;--one:#62a8e5;--two:#f0945a}}\n"
	"*{box-sizing:border-box}body{margin:0 auto;padding:1rem;max-width:72rem;background:var(--back);color:var(--text);font:16px/1.5 system-ui,sans-serif}\n"
	"h1{font-size:1.4rem;margin:.2em 0;overflow-wrap:anywhere}h2{font-size:1.1rem;margin:2rem 0 .5rem}p{margin:.3em 0;color:var(--soft)}\n"
	".figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,21rem),1fr));gap:1rem 1.5rem}\n"
	"figure{margin:0}figcaption{font-size:.9rem}figcaption b{font-weight:600}svg{display:block;width:100%;height:auto}\n"
	"svg text{font-size:11px;fill:var(--soft)}.grid{stroke:var(--grid)}.curve{fill:none;stroke:var(--one);stroke-width:1.8;stroke-linejoin:round}\n"
	".dot,.bar{fill:var(--one)}.mark{stroke:var(--two);stroke-width:1.5;stroke-dasharray:5 3}svg text.marked{fill:var(--two);stroke:var(--back);stroke-width:4px;paint-order:stroke}\n"
	".scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{padding:.3rem .7rem;text-align:right;border-bottom:1px solid var(--grid)}\n"
	"th:first-child{text-align:left}th{font-weight:600;white-space:nowrap}pre{overflow-x:auto;font-size:.8rem;line-height:1.4;columns:20rem;margin:0}\n";

/* ---- drawing ---- */

/* What stands where: x from 0 to n (points at 0 .. n - 1, bars between i and i + 1), y from low to high. */
struct frame {
	double x_max, low, high;
};

static double at_x(const struct frame *a, double x) { return LEFT + (W - LEFT - RIGHT) * x / a->x_max; }
static double at_y(const struct frame *a, double y) { return TOP + (H - TOP - BOTTOM) * (a->high - y) / (a->high - a->low); }

/* A step of 1, 2 or 5 times a power of ten, so that span has three to seven of them. */
static double tick_step(double span)
{
	double rough = span / 4, power = pow(10, floor(log10(rough))), x = rough / power;

	return power * (x < 1.5 ? 1 : x < 3.5 ? 2 : x < 7.5 ? 5 : 10);
}

/* Range of the finite ones; from_zero: of bars, which are lengths. 0 when there is none. */
static int frame_of(struct frame *ret, const double *y, size_t n, double x_max, int from_zero)
{
	double low = INFINITY, high = -INFINITY, step;

	for (size_t i = 0; i < n; i++)
		if (isfinite(y[i])) {
			low = fmin(low, y[i]);
			high = fmax(high, y[i]);
		}
	if (low > high)
		return 0;
	low = from_zero ? fmin(low, 0) : low;
	if (high - low <= 1e-9 * fabs(high)) { /* a flat curve: a little room around it */
		high += high != 0 ? .1 * fabs(high) : 1;
		low -= from_zero ? 0 : .1 * fabs(low);
	}
	step = tick_step(high - low);
	*ret = (struct frame){ x_max > 0 ? x_max : 1, floor(low / step + 1e-9) * step, ceil(high / step - 1e-9) * step };
	return 1;
}

static void svg_open(FILE *f, const char *name)
{
	fprintf(f, "<svg viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"", W, H);
	text(f, name);
	fputs("\">\n", f);
}

/* Horizontal lines with their values, and what is below: the caller's labels. */
static void axis(FILE *f, const struct frame *a)
{
	double step = tick_step(a->high - a->low);

	for (double y = a->low; y <= a->high + step / 2; y += step)
		fprintf(f, "<line class=\"grid\" x1=\"%g\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%g\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n", LEFT,
		        W - RIGHT, at_y(a, y), at_y(a, y), LEFT - 5, at_y(a, y) + 4, fabs(y) < step / 1e6 ? 0 : y);
}

static void x_label(FILE *f, const struct frame *a, double x, const char *anchor, const char *label)
{
	fprintf(f, "<text x=\"%.1f\" y=\"%g\" text-anchor=\"%s\">", at_x(a, x), H - 8, anchor);
	text(f, label);
	fputs("</text>\n", f);
}

/* x and y (n). Where y is not finite the line is broken; a point alone becomes a dot. */
static void polyline(FILE *f, const struct frame *a, const double *x, const double *y, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t from = i;

		while (i < n && isfinite(y[i]))
			i++;
		if (i - from == 1)
			fprintf(f, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\"/>\n", at_x(a, x[from]), at_y(a, y[from]));
		if (i - from > 1) {
			fputs("<polyline class=\"curve\" points=\"", f);
			for (size_t k = from; k < i; k++)
				fprintf(f, "%.1f,%.1f ", at_x(a, x[k]), at_y(a, y[k]));
			fputs("\"/>\n", f);
		}
		i += i == from;
	}
}

/* One bar for each y (n); name and unit are what a pointer over it tells. Not finite: no bar. */
static void bars(FILE *f, const struct frame *a, const double *y, size_t n, char (*name)[48])
{
	double gap = n > 60 ? .08 : .15;

	for (size_t i = 0; i < n; i++) {
		if (!isfinite(y[i]))
			continue;
		fprintf(f, "<rect class=\"bar\" x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\"><title>", at_x(a, (double)i + gap), at_y(a, y[i]),
		        at_x(a, 1 - 2 * gap) - at_x(a, 0), at_y(a, a->low) - at_y(a, y[i]));
		text(f, name[i]);
		fputs("</title></rect>\n", f);
	}
}

static void mark(FILE *f, const struct frame *a, double y, const char *label)
{
	fprintf(f, "<line class=\"mark\" x1=\"%g\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"marked\" x=\"%g\" y=\"%.1f\" text-anchor=\"end\">", LEFT, W - RIGHT,
	        at_y(a, y), at_y(a, y), W - RIGHT, at_y(a, y) - 4);
	text(f, label);
	fputs("</text>\n", f);
}

static void caption(FILE *f, const char *name, const char *note)
{
	fputs("<figure><figcaption><b>", f);
	text(f, name);
	fputs("</b> ", f);
	text(f, note);
	fputs("</figcaption>\n", f);
}

static void no_data(FILE *f) { fputs("<p>no data</p></figure>\n", f); }

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
	x_label(f, a, 0, "start", label);
	snprintf(label, sizeof label, "%d", r->epoch[r->epochs - 1].epoch);
	if (r->epochs > 1)
		x_label(f, a, (double)r->epochs - 1, "end", label);
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
	caption(f, name, note);
	if (!frame_of(&a, y, n, (double)r->epochs - 1, 0)) {
		no_data(f);
		return;
	}
	svg_open(f, name);
	axis(f, &a);
	epoch_labels(f, &a, r);
	polyline(f, &a, x, y, n);
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
	score_row(f, "all", &x->test[ALL_USERS]);
	score_row(f, "head", &x->test[HEAD_USERS]);
	score_row(f, "tail", &x->test[TAIL_USERS]);
	fputs("</tbody></table></div>\n<p>Head users are the fifth with the longest histories. Leave-one-out: of each user the last item is asked for, all items are ranked.</p>\n", f);
}

/* ---- prototypes ---- */

struct prototype {
	uint32_t k, members, heads;
};

static int larger_first(const void *a, const void *b)
{
	const struct prototype *x = a, *y = b;

	if (x->members != y->members)
		return x->members > y->members ? -1 : 1;
	return (x->k > y->k) - (x->k < y->k);
}

static void bar_figure(FILE *f, const char *name, const char *note, const double *y, size_t n, char (*names)[48], double line, const char *line_label)
{
	struct frame a;

	caption(f, name, note);
	if (!n || !frame_of(&a, y, n, (double)n, 1)) {
		no_data(f);
		return;
	}
	svg_open(f, name);
	axis(f, &a);
	bars(f, &a, y, n, names);
	x_label(f, &a, 0, "start", "largest");
	x_label(f, &a, (double)n, "end", "smallest");
	if (isfinite(line))
		mark(f, &a, line, line_label);
	fputs("</svg></figure>\n", f);
}

static void prototype_figures(FILE *f, const struct loo_detail *d, const struct prototype *p, double *y, char (*names)[48])
{
	double overall = d->users ? (double)d->head_users / (double)d->users : NAN;
	size_t used = 0;
	char note[64], label[48];

	for (size_t i = 0; i < d->K; i++) {
		used += p[i].members > 0;
		y[i] = p[i].members;
		snprintf(names[i], sizeof *names, "prototype %u: %u users", p[i].k, p[i].members);
	}
	snprintf(note, sizeof note, "%zu of %zu have users", used, d->K);
	snprintf(label, sizeof label, "even: %.0f", (double)d->users / (double)d->K);
	bar_figure(f, "Users per prototype", note, y, d->K, names, (double)d->users / (double)d->K, label);
	for (size_t i = 0; i < d->K; i++) {
		y[i] = p[i].members ? (double)p[i].heads / p[i].members : NAN;
		snprintf(names[i], sizeof *names, "prototype %u: %.1f %% of %u", p[i].k, 100 * y[i], p[i].members);
	}
	snprintf(label, sizeof label, "all users: %.2f", overall);
	bar_figure(f, "Share of head users per prototype", "in the same order", y, d->K, names, overall, label);
}

static int prototypes(FILE *f, const struct loo_detail *d)
{
	struct prototype *p = calloc(d->K + 1, sizeof *p);
	double *y = calloc(d->K + 1, sizeof *y);
	char (*names)[48] = calloc(d->K + 1, sizeof *names);
	int r = p && y && names ? 0 : -ENOMEM;

	if (r == 0) {
		for (size_t k = 0; k < d->K; k++)
			p[k] = (struct prototype){ (uint32_t)k, d->members[k], d->heads[k] };
		qsort(p, d->K, sizeof *p, larger_first);
		fputs("<h2>Prototypes</h2>\n<div class=\"figures\">\n", f);
		prototype_figures(f, d, p, y, names);
		fputs("</div>\n", f);
	}
	free(p);
	free(y);
	free(names);
	return r;
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
	caption(f, "Test NDCG@20 by length", "items of a user before the one asked for; a bar reaches to where the next begins");
	if (!frame_of(&a, y, n, (double)n, 1)) {
		no_data(f);
	} else {
		svg_open(f, "Test NDCG@20 by length");
		axis(f, &a);
		bars(f, &a, y, n, names);
		for (size_t i = 0; i < n; i++)
			x_label(f, &a, (double)i + .5, "middle", labels[i]);
		snprintf(label, sizeof label, "all users: %.4f", overall);
		if (isfinite(overall) && overall <= a.high && overall >= a.low)
			mark(f, &a, overall, label);
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
	text(f, r->title);
	fprintf(f, "</title>\n<style>\n%s</style></head><body>\n<h1>", style);
	text(f, r->title);
	fprintf(f, "</h1>\n<p>s4rec, leave-one-out, seed %llu: epoch %d of %zu chosen, %.1f s of training.</p>\n", (unsigned long long)r->seed, best->epoch, r->epochs,
	        r->result->train_s);
	scores_table(f, best);
	e = curves(f, r);
	if (e == 0)
		e = prototypes(f, r->detail);
	lengths(f, r->detail, best->test[ALL_USERS].ndcg[CUTS - 1]);
	fputs("<h2>Options</h2>\n<pre>", f);
	text(f, r->options);
	fputs("</pre>\n</body></html>\n", f);
	return e;
}

static int write_beside(const char *beside, const char *path, const struct report *r)
{
	FILE *f = fopen(beside, "w");
	int e;

	if (!f)
		return -errno;
	e = report_write(f, r);
	if (e == 0 && ferror(f))
		e = -EIO;
	if (fclose(f) != 0 && e == 0)
		e = -errno;
	if (e == 0 && rename(beside, path) < 0)
		e = -errno;
	if (e < 0)
		unlink(beside);
	return e;
}

int report_save(const char *path, const struct report *r)
{
	char *beside;
	int e;

	if (asprintf(&beside, "%s.%ld", path, (long)getpid()) < 0)
		return log_no_memory();
	e = write_beside(beside, path, r);
	free(beside);
	if (e == -ENOMEM)
		return log_no_memory();
	if (e < 0)
		log_error("%s cannot be written: %s", path, strerror(-e));
	return e < 0 ? EX_CANTCREAT : 0;
}
