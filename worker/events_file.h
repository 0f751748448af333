/* events_file.h - events from a file or a pipe: CSV or TSV with a header line, or JSON lines (told apart by the first byte), plain or zstd. The
 * options map.*, type.weights (but for the weights: what is to be ignored only), time.unit, format, id.max.bytes, record.max.bytes and weight.max say how. A line
 * of JSON may give several events. Not thread-safe.
 */
#ifndef S4REC_EVENTS_FILE_H
#define S4REC_EVENTS_FILE_H
#include "codec/event.h"
#include "worker/config.h"

/* In JSON lines two words lead to records that JSON cannot express:
 *     !raw BYTES      a record with these bytes as they are (tests and the demo make bad input with it)
 *     !forget USER    a null value: forget this user */
enum events_line {
	LINE_END,
	LINE_EVENT,  /* ret->event */
	LINE_RAW,    /* ret->bytes */
	LINE_FORGET, /* ret->bytes: the user */
	LINE_IGNORED, /* no event: its type is to be ignored */
	LINE_BAD,    /* ret->why; it is printed for the first few lines */
	LINE_SIGNAL, /* a signal came: call again, or stop */
	LINE_FAILED, /* printed; ret->code is the exit code */
};
struct events_read {
	struct event event; /* all pointers are valid until the next call */
	const char *bytes;
	size_t len;
	const char *why;
	int code;
};

struct events_file;
/* path "-" = stdin; c is borrowed. Prints its error: EX_NOINPUT, EX_OSERR. */
int events_file_new(struct events_file **ret, const struct config *c, const char *path);
void events_file_free(struct events_file *f);
/* Bad lines are counted from here on, not printed. */
void events_file_quiet(struct events_file *f);
enum events_line events_file_next(struct events_file *f, struct events_read *ret);
/* Counts a line that turned out bad later on; prints it while there were few. */
void events_file_bad(struct events_file *f, const char *why);
uint64_t events_file_bad_count(const struct events_file *f);
uint64_t events_file_line(const struct events_file *f); /* number of the last line, from 1 */
#endif
