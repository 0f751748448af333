/* train.c - `s4rec train`: the worker, live or as a bounded replay */
#include <signal.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "model/kernel.h"
#include "worker/command.h"
#include "worker/commands/restart.h"
#include "worker/config.h"
#include "worker/kafka/positions.h"
#include "worker/learn/backfill.h"
#include "worker/learn/side.h"
#include "worker/learn/loop.h"
#include "worker/log.h"
#include "worker/watch/watch.h"

static volatile sig_atomic_t stop, running;

/* The first signal asks the loop to finish; a second one leaves at once: what was not committed is folded again later. */
static void on_signal(int number)
{
	if (!running)
		_exit(0); /* connecting: nothing was read yet */
	if (stop)
		_exit(128 + number);
	stop = 1;
}

static void handle_signals(void)
{
	struct sigaction a = { .sa_handler = on_signal };
	sigemptyset(&a.sa_mask);
	sigaction(SIGINT, &a, NULL);
	sigaction(SIGTERM, &a, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int run(struct config *c)
{
	struct loop *w = NULL;
	struct watch *watch = NULL;
	kernel_portable(c->kernel == 1);
	int r = c->dry_run ? 0 : watch_new(&watch, c);
	if (r == 0)
		r = side_resolve(c);
	if (r == 0 && c->dry_run)
		return backfill_dry_run(c);
	if (r == 0)
		r = loop_new(&w, c);
	running = 1;
	if (r == 0)
		loop_watch(w, watch);
	if (r == 0)
		r = loop_stand_by(w, &stop);
	if (r == 0)
		r = loop_replay(w, &stop);
	if (r == 0)
		r = loop_run(w, &stop);
	loop_free(w);
	watch_free(watch);
	log_end(); /* a worker under --restart leaves by _exit */
	return r == LOOP_STOPPED ? 0 : r;
}

/* A worker that comes again does not take over: it might take the lead back from one that took over meanwhile. */
static int run_child(void *ctx, int first)
{
	struct config *c = ctx;
	c->take_over = c->take_over && first;
	handle_signals();
	restart_unblock();
	return run(c);
}

/* The id stands in every cut and version record, and a space id is made from it. */
static int usable_id(const char *id)
{
	size_t n = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
	return n >= 1 && n <= 48 && id[n] == '\0';
}

static int is_place(const char *text)
{
	struct position p;
	return !*text || position_parse(&p, text) == 0;
}

int train_start(struct config *c)
{
	log_as((enum log_format)c->log_format);
	if (!is_place(c->from) || !is_place(c->until)) {
		log_error("%s=%s is no place in the input: beginning, end, committed, an ISO-8601 time, a duration before the end (7d, 12h, 30m, 45s), or offsets (0:1200,1:77)",
		          is_place(c->from) ? "until" : "from", is_place(c->from) ? c->until : c->from);
		return EX_USAGE;
	}
	if (c->cut == 2 && !c->until[0]) {
		log_error("cut=log needs --until: without an end, a quiet partition would hold up the batch for ever");
		return EX_USAGE;
	}
	if (!usable_id(c->model_id)) {
		log_error("model.id=%s: 1 to 48 characters of A-Z a-z 0-9 . _ - are usable", c->model_id);
		return EX_CONFIG;
	}
	if (c->restart && !c->dry_run)
		return restart_run(run_child, c);
	handle_signals();
	return run(c);
}

int command_train(int argc, char **argv)
{
	struct config c;
	log_stamped();
	int r = config_parse(&c, C_TRAIN, "s4rec train [OPTION]...", "s4rec train -b 127.0.0.1:9092 --until end", argc, argv);
	if (r)
		return r < 0 ? 0 : r;

	if (c.arg_count) {
		log_error("unexpected argument '%s'; see s4rec train --help", c.args[0]);
		r = EX_USAGE;
	} else {
		r = train_start(&c);
	}
	config_release(&c);
	return r;
}
