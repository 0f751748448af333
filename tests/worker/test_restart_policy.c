/* test_restart_policy.c - worker/commands/restart.h: which ends are followed by another start, and after how long */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "worker/commands/restart.h"

#define EXITED(code) ((code) << 8)

static void only_where_it_helps(void **state)
{
	const int again[] = { EX_UNAVAILABLE, EX_SOFTWARE, EX_OSERR, EX_TEMPFAIL };
	const int not[] = { 0, 1, EX_USAGE, EX_DATAERR, EX_NOINPUT, EX_CANTCREAT, EX_IOERR, EX_NOPERM, EX_CONFIG, 130, 143 };
	for (size_t i = 0; i < sizeof again / sizeof *again; i++)
		assert_true(restart_helps(EXITED(again[i])));
	for (size_t i = 0; i < sizeof not / sizeof *not; i++)
		assert_false(restart_helps(EXITED(not[i])));
	assert_true(restart_helps(SIGKILL));
	assert_true(restart_helps(SIGABRT));
}

static void waits_longer_each_time(void **state)
{
	const int want[] = { 1000, 2000, 4000, 8000, 16000, 30000, 30000 };
	int ms = 0;
	for (size_t i = 0; i < sizeof want / sizeof *want; i++)
		assert_int_equal(ms = restart_backoff_ms(ms, 100), want[i]);
	assert_int_equal(restart_backoff_ms(ms, 60000), 1000);
}

/* Counts its starts in a pipe; killed at first, then no broker, then done. */
static int worker(void *ctx, int first)
{
	int *fd = ctx;
	char c = first ? 'f' : 'n', seen[8];
	ssize_t n = read(fd[0], seen, sizeof seen - 1);
	for (ssize_t i = 0; i < n; i++)
		if (write(fd[1], &seen[i], 1) != 1)
			return 99;
	if (write(fd[1], &c, 1) != 1)
		return 99;
	if (n == 1)
		raise(SIGKILL);
	return n == 2 ? EX_UNAVAILABLE : EX_CONFIG;
}

static void runs_until_it_does_not_help(void **state)
{
	int fd[2];
	char seen[8];
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(write(fd[1], "-", 1), 1);
	assert_int_equal(restart_run(worker, fd), EX_CONFIG);
	assert_int_equal(read(fd[0], seen, sizeof seen), 4);
	assert_memory_equal(seen, "-fnn", 4);
}

static int waits_for_the_end(void *ctx, int first)
{
	sigset_t set;
	int sig;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	kill(getppid(), SIGTERM);
	return sigwait(&set, &sig) == 0 ? EX_TEMPFAIL : 99; /* a code that is followed by another start otherwise */
}

static void passes_the_signal_on_and_ends(void **state)
{
	assert_int_equal(restart_run(waits_for_the_end, NULL), EX_TEMPFAIL);
}

static int asks_and_dies(void *ctx, int first)
{
	kill(getppid(), SIGCHLD); /* somebody else's child */
	return first ? EX_UNAVAILABLE : 0;
}

static void ends_with_the_worker(void **state)
{
	assert_int_equal(restart_run(asks_and_dies, NULL), 0);
}

int main(void)
{
	alarm(30);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_where_it_helps), cmocka_unit_test(waits_longer_each_time), cmocka_unit_test(runs_until_it_does_not_help),
		cmocka_unit_test(passes_the_signal_on_and_ends), cmocka_unit_test(ends_with_the_worker),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
