/* sweep_report.c - see sweep_report.h. The parts in the order of the page: sweep_report_write. */
#include "worker/eval/sweep_report.h"

#include <errno.h>
#include <math.h>

#include "worker/eval/draw.h"

#define AT20 (CUTS - 1)

static const char *const group_class[GROUPS] = { " c0", " c3", " c5", " c6" };

static const struct sweep_run *run_at(const struct sweep *s, const struct sweep_axis *a, size_t point) { return &s->run[a->run[point]]; }

/* ---- table ---- */

static void cell(FILE *f, double mean, double spread, size_t seeds)
{
	fprintf(f, "<td>%.4f", mean);
	if (seeds > 1)
		fprintf(f, " \xc2\xb1%.4f", spread);
	fputs("</td>", f);
}

static size_t used_prototypes(const struct loo_detail *d)
{
	size_t used = 0;

	for (size_t k = 0; k < d->K; k++)
		used += d->members[k] > 0;
	return used;
}

static void table_row(FILE *f, const struct sweep *s, const struct sweep_axis *a, size_t point)
{
	const struct sweep_run *x = run_at(s, a, point);
	struct loo_scores mean, spread;
	double valid = 0, train_s = 0;

	for (size_t i = 0; i < s->seeds; i++) {
		valid += x->result[i].best.valid[ALL_USERS].ndcg[AT20] / (double)s->seeds;
		train_s += x->result[i].train_s / (double)s->seeds;
	}
	fputs("<tr><th scope=\"row\">", f);
	draw_text(f, a->value[point]);
	fprintf(f, "</th><td>%.4f</td>", valid);
	loo_spread(&mean, &spread, x->result, s->seeds, ALL_USERS);
	for (size_t c = 0; c < CUTS; c++)
		cell(f, mean.hr[c], spread.hr[c], s->seeds);
	for (size_t c = 0; c < AT20; c++)
		cell(f, mean.ndcg[c], spread.ndcg[c], s->seeds);
	for (enum group g = ALL_USERS; g < GROUPS; g++) {
		loo_spread(&mean, &spread, x->result, s->seeds, g);
		if (mean.n)
			cell(f, mean.ndcg[AT20], spread.ndcg[AT20], s->seeds);
		else
			fputs("<td></td>", f);
	}
	fprintf(f, "<td>%zu of %zu</td><td>%.3f</td><td>%.1f</td></tr>\n", used_prototypes(&x->detail), x->detail.K, loo_head_spread(&x->detail), train_s);
}

static void table(FILE *f, const struct sweep *s, const struct sweep_axis *a)
{
	fputs("<div class=\"scroll\"><table><thead><tr><th scope=\"col\">", f);
	draw_text(f, a->option);
	fputs("</th><th scope=\"col\">valid NDCG@20</th>", f);
	for (size_t c = 0; c < CUTS; c++)
		fprintf(f, "<th scope=\"col\">HR@%zu</th>", loo_cut[c]);
	for (size_t c = 0; c < CUTS; c++)
		fprintf(f, "<th scope=\"col\">NDCG@%zu</th>", loo_cut[c]);
	for (enum group g = HEAD_USERS; g < GROUPS; g++)
		fprintf(f, "<th scope=\"col\">%s NDCG@%zu</th>", loo_group[g], loo_cut[AT20]);
	fputs("<th scope=\"col\">prototypes with users</th><th scope=\"col\">head share +-</th><th scope=\"col\">train s</th></tr></thead><tbody>\n", f);
	for (size_t p = 0; p < a->points; p++)
		table_row(f, s, a, p);
	fputs("</tbody></table></div>\n", f);
}

/* ---- figures ---- */

static void key(FILE *f)
{
	fputs("<p class=\"key\">", f);
	for (enum group g = ALL_USERS; g < GROUPS; g++)
		fprintf(f, "<span><svg viewBox=\"0 0 24 10\"><line class=\"curve%s\" x1=\"0\" x2=\"24\" y1=\"5\" y2=\"5\"/></svg> %s users</span> ", group_class[g], loo_group[g]);
	fputs("</p>\n", f);
}

/* Values stand at equal distances: they are often decades apart. */
static void curves(FILE *f, const struct sweep *s, const struct sweep_axis *a)
{
	double x[SWEEP_POINTS] = { 0 }, y[GROUPS][SWEEP_POINTS] = { { 0 } }, seen[GROUPS * SWEEP_POINTS] = { 0 };
	char name[64];
	struct loo_scores mean, spread;
	struct frame frame;
	size_t n = 0;

	for (size_t p = 0; p < a->points; p++) {
		x[p] = (double)p;
		for (enum group g = ALL_USERS; g < GROUPS; g++) {
			loo_spread(&mean, &spread, run_at(s, a, p)->result, s->seeds, g);
			y[g][p] = mean.n ? mean.ndcg[AT20] : NAN;
			seen[n++] = y[g][p];
		}
	}
	snprintf(name, sizeof name, "Test NDCG@20 by %s", a->option);
	draw_caption(f, name, "");
	if (!draw_frame(&frame, seen, n, (double)a->points - 1, 0)) {
		draw_no_data(f);
		return;
	}
	draw_open(f, name);
	draw_axis(f, &frame);
	for (size_t p = 0; p < a->points; p++)
		draw_x_label(f, &frame, x[p], p == 0 ? "start" : p + 1 == a->points ? "end" : "middle", a->value[p]);
	for (enum group g = GROUPS; g-- > ALL_USERS;) /* all users on top */
		draw_polyline(f, &frame, x, y[g], a->points, group_class[g]);
	fputs("</svg></figure>\n", f);
}

static int figures(FILE *f, const struct sweep *s, const struct sweep_axis *a)
{
	char name[96];
	int e = 0;

	fputs("<div class=\"figures\">\n", f);
	curves(f, s, a);
	for (size_t p = 0; e == 0 && p < a->points; p++) {
		snprintf(name, sizeof name, "Share of head users per prototype, %s=%s", a->option, a->value[p]);
		e = draw_head_shares(f, name, &run_at(s, a, p)->detail);
	}
	fputs("</div>\n", f);
	return e;
}

/* ---- the section ---- */

int sweep_report_write(FILE *f, const struct sweep *s)
{
	int e = 0;

	if (!s->axes)
		return 0;
	fprintf(f, "<h2>Sweeps</h2>\n<p>Each run differs from the one above in one option. Test of the epoch that validation chose, %zu seed%s%s. head share +-: how far the share of "
	        "head users in a prototype is from that in all users, root of the mean square over users, first seed.</p>\n", s->seeds, s->seeds > 1 ? "s" : "",
	        s->seeds > 1 ? ": mean and standard deviation" : "");
	key(f);
	for (size_t i = 0; e == 0 && i < s->axes; i++) {
		fputs("<h3>", f);
		draw_text(f, s->axis[i].option);
		fputs("</h3>\n", f);
		table(f, s, &s->axis[i]);
		e = figures(f, s, &s->axis[i]);
	}
	return e;
}
