/* crash_point.c - see worker/crash_point.h; linked into build/faults/s4rec only. */
#include "worker/crash_point.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void crash_point(const char *name)
{
	static _Atomic int hits;
	const char *want = getenv("CRASH_POINT");
	size_t n = strlen(name);
	if (!want || strncmp(want, name, n) || (want[n] && want[n] != ':'))
		return;
	int nth = want[n] == ':' ? atoi(want + n + 1) : 1;
	if (atomic_fetch_add(&hits, 1) + 1 != nth)
		return;
	fprintf(stderr, "crash point %s\n", want);
	kill(getpid(), SIGKILL);
	for (;;)
		pause(); /* the signal may reach another thread first: nothing more is done here */
}
