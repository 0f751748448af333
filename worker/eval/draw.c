/* draw.c - see draw.h. Helpers first (text, axis, polyline, bars), then what several pages show. */
#include "worker/eval/draw.h"

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
#define TOP 14.0
#define BOTTOM 26.0

/* ---- text ---- */

void draw_text(FILE *f, const char *s)
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

const char draw_style[] =
	":root{color-scheme:light dark;--back:#fff;--text:#1b1f24;--soft:#5b6470;--grid:#e3e7eb;--one:#1f6fb2;--two:#c2571a}\n"
	"@media(prefers-color-scheme:dark){:root{--back:#14171b;--text:#e6e9ec;--soft:#9aa4af;--grid:#2c333b;--one:#62a8e5;--two:#f0945a}}\n"
	"*{box-sizing:border-box}body{margin:0 auto;padding:1rem;max-width:72rem;background:var(--back);color:var(--text);font:16px/1.5 system-ui,sans-serif}\n"
	"h1{font-size:1.4rem;margin:.2em 0;overflow-wrap:anywhere}h2{font-size:1.2rem;margin:2rem 0 .5rem}h3{font-size:1rem;margin:1.2rem 0 .3rem}p{margin:.3em 0;color:var(--soft)}\n"
	".figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,21rem),1fr));gap:1rem 1.5rem}\n"
	"figure{margin:0}figcaption{font-size:.9rem}figcaption b{font-weight:600}svg{display:block;width:100%;height:auto}\n"
	"svg text{font-size:11px;fill:var(--soft)}.grid{stroke:var(--grid)}.curve{fill:none;stroke:var(--line,var(--one));stroke-width:1.8;stroke-linejoin:round}\n"
	".dot{fill:var(--line,var(--one))}.bar{fill:var(--one)}.mark{stroke:var(--two);stroke-width:1.5;stroke-dasharray:5 3}svg text.marked{fill:var(--two);stroke:var(--back);stroke-width:4px;paint-order:stroke}\n"
	".c0{--line:var(--one)}.curve.c0{stroke-width:2.8}.c1{--line:#9b59d0}.c2{--line:#8c8c8c}.c3{--line:#c2571a}.c4{--line:#d4a017}.c5{--line:#2a8f5b}.c6{--line:#c0397b}.c7{--line:var(--text)}.key svg{display:inline-block;width:1.6rem;height:.7rem}.key span{margin-right:1.2rem;white-space:nowrap}\n"
	".scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{padding:.3rem .7rem;text-align:right;border-bottom:1px solid var(--grid)}\n"
	"th:first-child{text-align:left}small{display:block;font-size:.75rem;color:var(--soft);white-space:nowrap}th{font-weight:600;white-space:nowrap}th small{font-weight:400}pre{overflow-x:auto;font-size:.8rem;line-height:1.4;columns:20rem;margin:0}\n";

/* ---- drawing ---- */

double draw_x(const struct frame *a, double x) { return LEFT + (W - LEFT - RIGHT) * x / a->x_max; }
double draw_y(const struct frame *a, double y) { return TOP + (H - TOP - BOTTOM) * (a->high - y) / (a->high - a->low); }

/* A step of 1, 2 or 5 times a power of ten, so that span has three to seven of them. */
static double tick_step(double span)
{
	double rough = span / 4, power = pow(10, floor(log10(rough))), x = rough / power;

	return power * (x < 1.5 ? 1 : x < 3.5 ? 2 : x < 7.5 ? 5 : 10);
}

/* Range of the finite ones; from_zero: of bars, which are lengths. 0 when there is none. */
int draw_frame(struct frame *ret, const double *y, size_t n, double x_max, int from_zero)
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

void draw_open(FILE *f, const char *name)
{
	fprintf(f, "<svg viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"", W, H);
	draw_text(f, name);
	fputs("\">\n", f);
}

/* Horizontal lines with their values, and what is below: the caller's labels. */
void draw_axis(FILE *f, const struct frame *a)
{
	double step = tick_step(a->high - a->low);

	for (double y = a->low; y <= a->high + step / 1e6; y += step) /* the frame may end between two of them */
		fprintf(f, "<line class=\"grid\" x1=\"%g\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%g\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n", LEFT,
		        W - RIGHT, draw_y(a, y), draw_y(a, y), LEFT - 5, draw_y(a, y) + 4, fabs(y) < step / 1e6 ? 0 : y);
}

void draw_x_label(FILE *f, const struct frame *a, double x, const char *anchor, const char *label)
{
	fprintf(f, "<text x=\"%.1f\" y=\"%g\" text-anchor=\"%s\">", draw_x(a, x), H - 8, anchor);
	draw_text(f, label);
	fputs("</text>\n", f);
}

/* x and y (n). Where y is not finite the line is broken; a point alone becomes a dot. */
void draw_polyline(FILE *f, const struct frame *a, const double *x, const double *y, size_t n, const char *classes)
{
	for (size_t i = 0; i < n;) {
		size_t from = i;

		while (i < n && isfinite(y[i]))
			i++;
		if (i - from == 1)
			fprintf(f, "<circle class=\"dot%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\"/>\n", classes, draw_x(a, x[from]), draw_y(a, y[from]));
		if (i - from > 1) {
			fprintf(f, "<polyline class=\"curve%s\" points=\"", classes);
			for (size_t k = from; k < i; k++)
				fprintf(f, "%.1f,%.1f ", draw_x(a, x[k]), draw_y(a, y[k]));
			fputs("\"/>\n", f);
		}
		i += i == from;
	}
}

/* One bar for each y (n); name and unit are what a pointer over it tells. Not finite: no bar. */
void draw_bars(FILE *f, const struct frame *a, const double *y, size_t n, char (*name)[48])
{
	double gap = n > 60 ? .08 : .15;

	for (size_t i = 0; i < n; i++) {
		if (!isfinite(y[i]))
			continue;
		fprintf(f, "<rect class=\"bar\" x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\"><title>", draw_x(a, (double)i + gap), draw_y(a, y[i]),
		        draw_x(a, 1 - 2 * gap) - draw_x(a, 0), draw_y(a, a->low) - draw_y(a, y[i]));
		draw_text(f, name[i]);
		fputs("</title></rect>\n", f);
	}
}

void draw_mark(FILE *f, const struct frame *a, double y, const char *label)
{
	double above = draw_y(a, y) - 4, label_y = above < TOP + 8 ? draw_y(a, y) + 13 : above; /* at the top: below the line */

	fprintf(f, "<line class=\"mark\" x1=\"%g\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"marked\" x=\"%g\" y=\"%.1f\" text-anchor=\"end\">", LEFT, W - RIGHT,
	        draw_y(a, y), draw_y(a, y), W - RIGHT, label_y);
	draw_text(f, label);
	fputs("</text>\n", f);
}

void draw_caption(FILE *f, const char *name, const char *note)
{
	fputs("<figure><figcaption><b>", f);
	draw_text(f, name);
	fputs("</b> ", f);
	draw_text(f, note);
	fputs("</figcaption>\n", f);
}

void draw_no_data(FILE *f) { fputs("<p>no data</p></figure>\n", f); }

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

/* Room to draw prototypes in, largest first. */
struct drawn {
	struct prototype *p; /* (K) */
	double *y;
	char (*names)[48];
};

static void drawn_release(struct drawn *w)
{
	free(w->p);
	free(w->y);
	free(w->names);
}

static int drawn_new(struct drawn *ret, const struct loo_detail *d)
{
	struct drawn w = { calloc(d->K + 1, sizeof *w.p), calloc(d->K + 1, sizeof *w.y), calloc(d->K + 1, sizeof *w.names) };

	if (!w.p || !w.y || !w.names) {
		drawn_release(&w);
		return -ENOMEM;
	}
	for (size_t k = 0; k < d->K; k++)
		w.p[k] = (struct prototype){ (uint32_t)k, d->members[k], d->heads[k] };
	qsort(w.p, d->K, sizeof *w.p, larger_first);
	*ret = w;
	return 0;
}

/* a: what stands where; NULL = no data. */
static void bar_figure(FILE *f, const struct frame *a, const char *name, const char *note, const struct drawn *w, size_t n, double line, const char *line_label)
{
	draw_caption(f, name, note);
	if (!a) {
		draw_no_data(f);
		return;
	}
	draw_open(f, name);
	draw_axis(f, a);
	draw_bars(f, a, w->y, n, w->names);
	draw_x_label(f, a, 0, "start", "largest");
	draw_x_label(f, a, (double)n, "end", "smallest");
	if (isfinite(line))
		draw_mark(f, a, line, line_label);
	fputs("</svg></figure>\n", f);
}

static void sizes_figure(FILE *f, const struct loo_detail *d, struct drawn *w)
{
	double even = (double)d->users / (double)d->K;
	char note[64], label[48];
	struct frame a;
	size_t used = 0;

	for (size_t i = 0; i < d->K; i++) {
		used += w->p[i].members > 0;
		w->y[i] = w->p[i].members;
		snprintf(w->names[i], sizeof *w->names, "prototype %u: %u users", w->p[i].k, w->p[i].members);
	}
	snprintf(note, sizeof note, "%zu of %zu have users", used, d->K);
	snprintf(label, sizeof label, "even: %.0f", even);
	bar_figure(f, draw_frame(&a, w->y, d->K, (double)d->K, 1) ? &a : NULL, "Users per prototype", note, w, d->K, even, label);
}

/* whole: the scale is 0 to 1, whatever the shares are. */
static void shares_figure(FILE *f, const char *name, const char *note, const struct loo_detail *d, struct drawn *w, int whole)
{
	double overall = d->users ? (double)d->head_users / (double)d->users : NAN;
	char label[48];
	struct frame a = { 0 };
	int any;

	for (size_t i = 0; i < d->K; i++) {
		w->y[i] = w->p[i].members ? (double)w->p[i].heads / w->p[i].members : NAN;
		snprintf(w->names[i], sizeof *w->names, "prototype %u: %.1f %% of %u", w->p[i].k, 100 * w->y[i], w->p[i].members);
	}
	snprintf(label, sizeof label, "all users: %.2f", overall);
	any = draw_frame(&a, w->y, d->K, (double)d->K, 1);
	if (whole) {
		a.low = 0;
		a.high = 1;
	}
	bar_figure(f, any ? &a : NULL, name, note, w, d->K, overall, label);
}

int draw_prototypes(FILE *f, const struct loo_detail *d)
{
	struct drawn w;

	if (drawn_new(&w, d) < 0)
		return -ENOMEM;
	fputs("<h2>Prototypes</h2>\n<div class=\"figures\">\n", f);
	sizes_figure(f, d, &w);
	shares_figure(f, "Share of head users per prototype", "in the same order", d, &w, 0);
	fputs("</div>\n", f);
	drawn_release(&w);
	return 0;
}

int draw_head_shares(FILE *f, const char *name, const struct loo_detail *d)
{
	struct drawn w;

	if (drawn_new(&w, d) < 0)
		return -ENOMEM;
	shares_figure(f, name, "", d, &w, 1);
	drawn_release(&w);
	return 0;
}

/* ---- the file ---- */

static int write_beside(const char *beside, const char *path, draw_page page, const void *ctx)
{
	FILE *f = fopen(beside, "w");
	int e;

	if (!f)
		return -errno;
	e = page(f, ctx);
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

int draw_save(const char *path, draw_page page, const void *ctx)
{
	char *beside;
	int e;

	if (asprintf(&beside, "%s.%ld", path, (long)getpid()) < 0)
		return log_no_memory();
	e = write_beside(beside, path, page, ctx);
	free(beside);
	if (e == -ENOMEM)
		return log_no_memory();
	if (e < 0)
		log_error("%s cannot be written: %s", path, strerror(-e));
	return e < 0 ? EX_CANTCREAT : 0;
}
