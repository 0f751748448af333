/* log.c - log lines and the repainted progress line share stderr; one lock keeps them apart. */
#include "worker/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <sysexits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int stamped;
static int painted; /* a progress line stands on the terminal */

static void log_line(const char *level, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void log_line(const char *level, const char *fmt, va_list ap)
{
	char text[4096];
	struct timespec now;
	struct tm tm;
	int n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = stamped ? (int)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) : 0;
	if (stamped)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ".%03ldZ %s ", now.tv_nsec / 1000000, level);
	else
		n += snprintf(text + n, sizeof(text), "%s: ", level);
	vsnprintf(text + n, sizeof(text) - (size_t)n - 1, fmt, ap);
	/* Error texts of libraries may hold line feeds; one event stays one line. */
	for (char *p = text; *p; p++)
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	pthread_mutex_lock(&lock);
	if (painted)
		fputs("\r\033[K", stderr);
	painted = 0;
	fprintf(stderr, "%s\n", text);
	fflush(stderr);
	pthread_mutex_unlock(&lock);
}

void log_stamped(void) { stamped = 1; }

#define LOG_AT(level)                 \
	va_list ap;                   \
	va_start(ap, fmt);            \
	log_line(level, fmt, ap);     \
	va_end(ap)

void log_info(const char *fmt, ...) { LOG_AT("info"); }
void log_warn(const char *fmt, ...) { LOG_AT("warn"); }
void log_error(const char *fmt, ...) { LOG_AT("error"); }

void log_progress(const char *line)
{
	/* Where nobody repaints (a file, a pipe) progress would only be noise: callers log it at intervals there. */
	if (!isatty(STDERR_FILENO))
		return;
	pthread_mutex_lock(&lock);
	if (line)
		fprintf(stderr, "\r%s\033[K", line);
	else if (painted)
		fputc('\n', stderr);
	painted = line != NULL;
	fflush(stderr);
	pthread_mutex_unlock(&lock);
}

int log_no_memory(void)
{
	log_error("out of memory: lower max.users, max.items, batch.users or input.buffer.bytes, or give it more");
	return EX_OSERR;
}
