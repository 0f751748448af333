/* log.c - log lines and the repainted progress line share stderr; one lock keeps them apart. */
#include "worker/log.h"
#include "worker/clock.h"

#include <ctype.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KINDS 32          /* of warnings that are counted at once; of more, the one that is silent for longest is forgotten */
#define KIND_BYTES 64     /* two formats that begin alike are one kind */
#define SHOWN 3           /* of one kind, within ... */
#define WINDOW_MS 10000

struct kind {
	char name[KIND_BYTES]; /* empty: a free place */
	int64_t since_ms;      /* when its window began */
	unsigned shown, more;  /* in it */
	char last[256];        /* the last one that was not shown */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int stamped;
static enum log_format as = LOG_TEXT;
static int painted; /* a progress line stands on the terminal */
static struct kind kinds[KINDS];

/* ---- with the lock held ---- */

/* Text asks the heap for nothing: it is what is said when there is no memory. */
static void say(const char *level, const char *text)
{
	char stamp[40] = "", *line = NULL;
	struct timespec now;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	size_t n = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(stamp + n, sizeof stamp - n, ".%03ldZ", now.tv_nsec / 1000000);
	if (stamped && as != LOG_TEXT)
		line = log_line(as, stamp, level, text);
	if (painted)
		fputs("\r\033[K", stderr);
	painted = 0;
	if (line)
		fprintf(stderr, "%s\n", line);
	else if (stamped)
		fprintf(stderr, "%s %s %s\n", stamp, level, text);
	else
		fprintf(stderr, "%s: %s\n", level, text);
	fflush(stderr);
	free(line);
}

static void say_more(struct kind *k)
{
	char text[sizeof k->last + 64];
	if (k->more) {
		snprintf(text, sizeof text, "... and %u more like it: %s", k->more, k->last);
		say("warn", text);
	}
	k->more = 0;
}

static void say_all_more(int64_t since_ms)
{
	for (struct kind *k = kinds; k < kinds + KINDS; k++)
		if (k->since_ms <= since_ms)
			say_more(k);
}

static struct kind *find_kind(const char *name, int64_t now_ms)
{
	struct kind *oldest = kinds;
	for (struct kind *k = kinds; k < kinds + KINDS; k++) {
		if (strncmp(k->name, name, KIND_BYTES - 1) == 0)
			return k;
		if (k->since_ms < oldest->since_ms)
			oldest = k;
	}
	say_more(oldest);
	*oldest = (struct kind){ .since_ms = now_ms };
	snprintf(oldest->name, sizeof oldest->name, "%s", name);
	return oldest;
}

/* May it be shown? Else it is counted. */
static int admit(const char *name, const char *text, int64_t now_ms)
{
	struct kind *k = find_kind(name, now_ms);
	if (now_ms - k->since_ms >= WINDOW_MS) {
		k->since_ms = now_ms;
		k->shown = 0;
	}
	if (k->shown++ < SHOWN)
		return 1;
	k->more++;
	snprintf(k->last, sizeof k->last, "%.255s", text);
	return 0;
}

/* ---- any thread ---- */

/* kind NULL: always shown. */
static void log_text(const char *level, const char *kind, const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));
static void log_text(const char *level, const char *kind, const char *fmt, va_list ap)
{
	char text[4096];
	int64_t now_ms = monotonic_ms();
	vsnprintf(text, sizeof text, fmt, ap);
	for (char *p = text; *p; p++)
		if (iscntrl((unsigned char)*p)) /* texts of libraries hold line feeds, ids anything: one event stays one line */
			*p = ' ';
	pthread_mutex_lock(&lock);
	say_all_more(now_ms - WINDOW_MS);
	if (!kind || !stamped || admit(kind, text, now_ms))
		say(level, text);
	pthread_mutex_unlock(&lock);
}

void log_stamped(void)
{
	stamped = 1;
	atexit(log_end);
}

void log_as(enum log_format format)
{
	as = format != LOG_AUTO ? format : isatty(STDERR_FILENO) ? LOG_TEXT : LOG_LOGFMT;
}

void log_end(void)
{
	pthread_mutex_lock(&lock);
	say_all_more(INT64_MAX);
	pthread_mutex_unlock(&lock);
}

#define LOG_AT(level, kind)             \
	va_list ap;                     \
	va_start(ap, fmt);              \
	log_text(level, kind, fmt, ap); \
	va_end(ap)

void log_info(const char *fmt, ...) { LOG_AT("info", NULL); }
void log_warn(const char *fmt, ...) { LOG_AT("warn", fmt); }
void log_error(const char *fmt, ...) { LOG_AT("error", NULL); }
void log_warn_of(const char *kind, const char *fmt, ...) { LOG_AT("warn", kind); }

int log_repaints(void)
{
	return isatty(STDERR_FILENO) && as == LOG_TEXT;
}

void log_progress(const char *line)
{
	/* Where nobody repaints (a file, a pipe) progress would only be noise: callers log it at intervals there. */
	if (!log_repaints())
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
