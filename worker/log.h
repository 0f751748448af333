/* log.h - what the program has to say, one line per event to stderr, for all commands alike. Any thread.
 *
 * A command that ends soon says `error: topic x is missing`; one that runs for long, with the time in front:
 * `2026-01-02T03:04:05.678Z error topic x is missing`. Results that were asked for are not events: they go to stdout or are printed at the end.
 */
#ifndef S4REC_LOG_H
#define S4REC_LOG_H
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* From now on with the time. Called once, before any line. */
void log_stamped(void);
/* "out of memory", and the exit code for it. */
int log_no_memory(void);
/* 1 while a repainted progress line stands on the terminal: the next log line clears it first. */
void log_progress(const char *line); /* NULL ends it */
#endif
