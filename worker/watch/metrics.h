/* metrics.h - the table of metrics (metrics.def), and a snapshot as text for Prometheus (exposition format 0.0.4). Any thread. */
#ifndef S4REC_METRICS_H
#define S4REC_METRICS_H
#include <stdio.h>
#include "worker/watch/snapshot.h"

struct metric { const char *name, *type, *unit, *labels, *meaning, *bad; };
enum { METRIC_COUNT = 0
#define M(...) + 1
#include "worker/watch/metrics.def"
#undef M
};
extern const struct metric metric_rows[METRIC_COUNT];

void metrics_write(FILE *f, const struct snapshot *s);
#endif
