/* view.h - the readers' library (worker/reader) with our configuration, log and exit codes. */
#ifndef S4REC_KAFKA_VIEW_H
#define S4REC_KAFKA_VIEW_H
#include "worker/config.h"
#include "worker/reader/s4rec-reader.h"

/* Which model, what is told, what is kept: see s4rec_reader_options. */
struct view_options {
	int stay, count_only;
	void (*on_event)(void *ctx, const struct s4rec_event *e);
	void *ctx; /* of on_event */
};

/* Exit code. */
int view_open(struct s4rec_reader **ret, const struct config *c, const struct view_options *o);
/* The exit code for what a function of the library returned; its text is in the log. */
int view_code(int r);
/* s4rec_reader_bootstrap, until `stop` is not 0. Exit code; 69 when the view is not complete, with a line: `before`: what is missing, then `after`. */
int view_bootstrap(struct s4rec_reader *r, int (*stop)(void), const char *before, const char *after);
#endif
