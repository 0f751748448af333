/* log.h - what the program has to say, one line per event to stderr, for all commands alike. Any thread.
 *
 * A command that ends soon says `error: topic x is missing`; one that runs for long, with the time in front:
 * `2026-01-02T03:04:05.678Z error topic x is missing`, or as logfmt or JSON (log_line.h). Results that were asked for are not events: they go to stdout or are
 * printed at the end.
 *
 * A command that runs for long counts warnings that repeat themselves: of those of one kind, three within ten seconds are shown, then how many more there were. Of one kind are
 * those of one format, or of one name (log_warn_of).
 */
#ifndef S4REC_LOG_H
#define S4REC_LOG_H
#include "worker/log_line.h"

void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn_of(const char *kind, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* From now on with the time. Called once, before any line. */
void log_stamped(void);
/* From now on so; before there are threads. */
void log_as(enum log_format format);
/* Says what was counted and not told yet. The end of a process does that, too, but for one by _exit. */
void log_end(void);
/* "out of memory", and the exit code for it. */
int log_no_memory(void);
/* Is there somebody who sees a line repainted? */
int log_repaints(void);
/* 1 while a repainted progress line stands on the terminal: the next log line clears it first. */
void log_progress(const char *line); /* NULL ends it */
#endif
