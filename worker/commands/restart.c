/* restart.c - see restart.h */
#include "worker/commands/restart.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "worker/clock.h"
#include "worker/log.h"

#define BACKOFF_MIN_MS 1000
#define BACKOFF_MAX_MS 30000
#define GOOD_RUN_MS 60000

static sigset_t watched(void)
{
	sigset_t s;
	sigemptyset(&s);
	sigaddset(&s, SIGTERM);
	sigaddset(&s, SIGINT);
	sigaddset(&s, SIGCHLD);
	return s;
}

void restart_unblock(void)
{
	sigset_t s = watched();
	sigprocmask(SIG_UNBLOCK, &s, NULL);
}

int restart_helps(int status)
{
	if (WIFSIGNALED(status))
		return 1;
	switch (WEXITSTATUS(status)) {
	case EX_UNAVAILABLE:
	case EX_SOFTWARE:
	case EX_OSERR:
	case EX_TEMPFAIL:
		return 1;
	default:
		return 0;
	}
}

int restart_backoff_ms(int last_ms, long run_ms)
{
	if (last_ms == 0 || run_ms >= GOOD_RUN_MS)
		return BACKOFF_MIN_MS;
	return last_ms < BACKOFF_MAX_MS / 2 ? 2 * last_ms : BACKOFF_MAX_MS;
}

/* Does not return in the child. */
static pid_t start(restart_worker *worker, void *ctx, int first)
{
	pid_t parent = getpid(), pid = fork();
	if (pid)
		return pid;
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EX_TEMPFAIL); /* it has died before that */
	_exit(worker(ctx, first));
}

/* Until the child has ended; signals go to it. *asked 1: somebody wants the end. */
static int await(pid_t pid, int *asked)
{
	sigset_t signals = watched();
	int status;
	for (;;) {
		int sig = sigwaitinfo(&signals, NULL);
		if (sig == SIGTERM || sig == SIGINT) {
			*asked = 1;
			kill(pid, sig);
		}
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
	}
}

/* 1 when a signal asked for the end meanwhile. */
static int pause_for(int ms)
{
	sigset_t signals = watched();
	int64_t end_ms = monotonic_ms() + ms;
	for (;;) {
		int64_t left = end_ms - monotonic_ms();
		if (left <= 0)
			return 0;
		struct timespec t = { .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };
		int sig = sigtimedwait(&signals, NULL, &t);
		if (sig == SIGTERM || sig == SIGINT)
			return 1;
	}
}

static int code_of(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int restart_run(restart_worker *worker, void *ctx)
{
	sigset_t signals = watched();
	int asked = 0, backoff_ms = 0;
	sigprocmask(SIG_BLOCK, &signals, NULL);
	for (int first = 1; ; first = 0) {
		int64_t begun_ms = monotonic_ms();
		pid_t pid = start(worker, ctx, first);
		if (pid < 0) {
			log_error("cannot start the worker: %s", strerror(errno));
			return EX_OSERR;
		}
		log_info("worker started: pid=%d", (int)pid);
		int status = await(pid, &asked);
		if (asked || !restart_helps(status))
			return code_of(status);
		backoff_ms = restart_backoff_ms(backoff_ms, monotonic_ms() - begun_ms);
		log_warn("worker ended: code=%d; started again in %d ms", code_of(status), backoff_ms);
		if (pause_for(backoff_ms))
			return 0;
	}
}
