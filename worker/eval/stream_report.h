/* stream_report.h - a run of eval prequential as one HTML file: table, curves over event time, share of cold items, prototypes, options. As report.h:
 * self-contained, no script, all text escaped.
 */
#ifndef S4REC_STREAM_REPORT_H
#define S4REC_STREAM_REPORT_H
#include "worker/eval/stream.h"

struct stream_report {
	const char *title;   /* the file */
	const char *options; /* the effective configuration, name=value lines */
	const struct stream_result *result;
};

/* All are borrowed. The caller looks at ferror(f). 0 or -ENOMEM. */
int stream_report_write(FILE *f, const struct stream_report *r);
/* The same as a whole file. 0 or an exit code; errors are logged. */
int stream_report_save(const char *path, const struct stream_report *r);
#endif
