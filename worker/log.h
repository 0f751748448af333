/* log.h - one line per event to stderr: `2026-01-02T03:04:05.678Z level what key=value ...`. Any thread. */
#ifndef S4REC_LOG_H
#define S4REC_LOG_H
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "out of memory", and the exit code for it. */
int log_no_memory(void);
/* 1 while a repainted progress line stands on the terminal: the next log line clears it first. */
void log_progress(const char *line); /* NULL ends it */
#endif
