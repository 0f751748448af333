/* report.h - a run of leave-one-out as one HTML file: curves, the test's figures, prototypes, lengths, sweeps, options.
 *
 * Nothing is loaded from outside, nothing is scripted: the file can be mailed. Drawn for a phone's width; light or dark as the reader's
 * system is. All text from input is escaped. A figure that is not finite is left out of its curve.
 */
#ifndef S4REC_REPORT_H
#define S4REC_REPORT_H
#include <stdio.h>

#include "worker/eval/detail.h"
#include "worker/eval/loo.h"
#include "worker/eval/sweep.h"

struct report {
	const char *title;             /* the file that was trained on */
	const char *options;           /* the effective configuration, name=value lines */
	uint64_t seed;
	const struct loo_epoch *epoch; /* (epochs) */
	size_t epochs;
	const struct loo_result *result;
	const struct loo_detail *detail;
	const struct sweep *sweep;     /* the run is its run 0; NULL = there is none */
};

/* All are borrowed. The caller looks at ferror(f). 0 or -ENOMEM. */
int report_write(FILE *f, const struct report *r);
/* The same as a whole file: made beside its name, then renamed. 0 or an exit code; errors are logged. */
int report_save(const char *path, const struct report *r);
#endif
