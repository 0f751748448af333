/* sweep.h - leave-one-out again and again with one option changed: `--sweep "lambda=0,0.01,0.1;prototypes=32,64,128"`.
 *
 * Each part between ';' is an axis: an option that shapes the model, and its values. Run 0 is that of the options as they are; every other run
 * differs from it in one option. A value that run 0 has already is run 0, and no run is made twice. Plain data, made before the first run, so
 * that what cannot run is known at once.
 */
#ifndef S4REC_SWEEP_H
#define S4REC_SWEEP_H
#include "worker/config.h"
#include "worker/eval/loo.h"

enum { SWEEP_AXES = 8, SWEEP_POINTS = 16 };

struct sweep_run {
	char name[64];             /* "lambda=0.01"; of run 0 "" */
	struct config c;           /* its options; texts are borrowed from those that the sweep was made of */
	struct loo_result *result; /* (seeds) filled by who runs it */
	struct loo_detail detail;  /* of the first seed */
};

struct sweep_axis {
	char option[32];
	size_t points;
	char value[SWEEP_POINTS][24]; /* in the order given */
	size_t run[SWEEP_POINTS];     /* which run a point is */
};

struct sweep {
	size_t seeds, runs, axes;
	struct sweep_run *run; /* (runs) */
	struct sweep_axis axis[SWEEP_AXES];
};

/* From c->sweep, c->seeds and what else c says; c must outlive it. Without a sweep: run 0 alone. 0 or an exit code; errors are logged. */
int sweep_new(struct sweep *ret, const struct config *c);
void sweep_release(struct sweep *s);
#endif
