/* interrupt.c - see interrupt.h. */
#include "worker/commands/interrupt.h"

#include <signal.h>

static volatile sig_atomic_t seen;

static void on_signal(int sig)
{
	seen = 1;
}

void interrupt_install(void)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND }; /* no SA_RESTART: a read() must return */

	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

int interrupt_seen(void)
{
	return seen;
}
