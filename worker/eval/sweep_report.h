/* sweep_report.h - sweeps as a section of the page that shows a run (report.h): for each option a table of its values, NDCG@20 by value and
 * group of users, and the share of head users per prototype, one figure a value, side by side and on one scale.
 */
#ifndef S4REC_SWEEP_REPORT_H
#define S4REC_SWEEP_REPORT_H
#include <stdio.h>

#include "worker/eval/sweep.h"

/* All runs are done. 0 or -ENOMEM; the caller looks at ferror(f). */
int sweep_report_write(FILE *f, const struct sweep *s);
#endif
