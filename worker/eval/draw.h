/* draw.h - figures of a page: inline SVG, its style, and the file that it becomes. Nothing is loaded from outside, nothing is scripted. All text from input
 * is escaped; a figure that is not finite is left out. Each figure is opened by draw_caption; draw_no_data, or "</svg></figure>", closes it.
 */
#ifndef S4REC_DRAW_H
#define S4REC_DRAW_H
#include <stdio.h>

#include "worker/eval/detail.h"

extern const char draw_style[];
void draw_text(FILE *f, const char *s);

/* What stands where: x from 0 to n (points at 0 .. n - 1, bars between i and i + 1), y from low to high. */
struct frame {
	double x_max, low, high;
};
/* Range of the finite ones; from_zero: of bars, which are lengths. 0 when there is none. */
int draw_frame(struct frame *ret, const double *y, size_t n, double x_max, int from_zero);
double draw_x(const struct frame *a, double x);
double draw_y(const struct frame *a, double y);

void draw_caption(FILE *f, const char *name, const char *note);
void draw_no_data(FILE *f);
void draw_open(FILE *f, const char *name);
void draw_axis(FILE *f, const struct frame *a);
void draw_x_label(FILE *f, const struct frame *a, double x, const char *anchor, const char *label);
/* classes: "", or " c0" to " c7" for one of several curves. */
void draw_polyline(FILE *f, const struct frame *a, const double *x, const double *y, size_t n, const char *classes);
void draw_bars(FILE *f, const struct frame *a, const double *y, size_t n, char (*name)[48]);
void draw_mark(FILE *f, const struct frame *a, double y, const char *label);

/* A section: users per prototype and the share of head users there (K, members, heads, users, head_users of d). -ENOMEM */
int draw_prototypes(FILE *f, const struct loo_detail *d);
/* The latter as a figure alone, from 0 to 1, to stand beside others. -ENOMEM */
int draw_head_shares(FILE *f, const char *name, const struct loo_detail *d);

/* A page as a whole file: made beside its name, then renamed. page: 0 or -ENOMEM. 0 or an exit code; errors are logged. */
typedef int (*draw_page)(FILE *f, const void *ctx);
int draw_save(const char *path, draw_page page, const void *ctx);
#endif
