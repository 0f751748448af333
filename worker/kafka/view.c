/* view.c - see view.h. */
#include "worker/kafka/view.h"

#include <errno.h>
#include <sysexits.h>

#include "worker/log.h"

static void on_log(void *ctx, enum s4rec_log level, const char *text)
{
	if (level == S4REC_ERROR)
		log_error("%s", text);
	else if (level == S4REC_WARNING)
		log_warn("%s", text);
	else
		log_info("%s", text);
}

int view_code(int r)
{
	switch (r) {
	case 0: return 0;
	case -EAGAIN:
	case -EHOSTUNREACH: return EX_UNAVAILABLE;
	case -EINVAL:
	case -ENOENT: return EX_CONFIG;
	case -EACCES: return EX_NOPERM;
	case -ENOMEM: return EX_SOFTWARE;
	default: return EX_DATAERR;
	}
}

int view_open(struct s4rec_reader **ret, const struct config *c, const struct view_options *o)
{
	struct s4rec_reader_options to = { .bootstrap_servers = c->bootstrap_servers, .prefix = c->topic_prefix, .stay = o->stay, .count_only = o->count_only,
		.timeout_ms = (int)c->connect_timeout_ms, .kafka = c->kafka, .kafka_count = c->kafka_count, .on_event = o->on_event, .log = on_log, .ctx = o->ctx };
	int r = s4rec_reader_open(ret, &to);

	return r == -ENOMEM ? log_no_memory() : view_code(r);
}

static int stopped(void *ctx)
{
	int (**stop)(void) = ctx;

	return (*stop)();
}

int view_bootstrap(struct s4rec_reader *r, int (*stop)(void), const char *before, const char *after)
{
	char why[512];
	int x = s4rec_reader_bootstrap(r, stopped, &stop);

	if (x != -EAGAIN)
		return view_code(x);
	s4rec_reader_missing(r, why, sizeof why);
	log_error("%s: %s%s", before, why, after);
	return EX_UNAVAILABLE;
}
