/* log_line.h - one line of the log as logfmt or JSON. Pure functions, any thread.
 *
 *     text     2026-01-02T03:04:05.678Z info train events=5 lag=0
 *     logfmt   ts=2026-01-02T03:04:05.678Z level=info msg=train events=5 lag=0
 *     json     {"ts":"2026-01-02T03:04:05.678Z","level":"info","msg":"train","events":5,"lag":0}
 *
 * A line whose words end in key=value, each key once, has these as fields; any other is all msg.
 */
#ifndef S4REC_LOG_LINE_H
#define S4REC_LOG_LINE_H

/* The words of the option log.format; AUTO is text on a terminal, else logfmt. */
enum log_format { LOG_AUTO, LOG_TEXT, LOG_LOGFMT, LOG_JSON };

#define LOG_FIELDS_MAX 64 /* a line with more has none */

/* LOG_LOGFMT or LOG_JSON, without its end. text: without control characters (in JSON they would be escaped). Returned owned; NULL: out of memory. */
char *log_line(enum log_format format, const char *stamp, const char *level, const char *text);
#endif
