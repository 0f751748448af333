/* crash_point.c - see worker/crash_point.h; linked into build/faults/s4rec only. */
#include "worker/crash_point.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Is this the place and the time that the variable names? */
static int is_here(const char *variable, _Atomic int *hits, const char *name)
{
	const char *want = getenv(variable);
	size_t n = strlen(name);
	if (!want || strncmp(want, name, n) || (want[n] && want[n] != ':'))
		return 0;
	return atomic_fetch_add(hits, 1) + 1 == (want[n] ? atoi(want + n + 1) : 1);
}

void crash_point(const char *name)
{
	static _Atomic int crash_hits, stop_hits, delay_hits, alloc_hits;
	if (is_here("ALLOC_POINT", &alloc_hits, name)) { /* alloc.c is preloaded */
		void *count = dlsym(RTLD_DEFAULT, "alloc_count");
		*(_Atomic int *)count = 1;
	}
	if (is_here("DELAY_POINT", &delay_hits, name)) {
		fprintf(stderr, "delay point %s\n", name);
		sleep(getenv("DELAY_S") ? (unsigned)atoi(getenv("DELAY_S")) : 2);
	}
	if (is_here("STOP_POINT", &stop_hits, name)) {
		fprintf(stderr, "stop point %s\n", name);
		raise(SIGSTOP);
	}
	if (is_here("CRASH_POINT", &crash_hits, name)) {
		fprintf(stderr, "crash point %s\n", name);
		kill(getpid(), SIGKILL);
		for (;;)
			pause(); /* the signal may reach another thread first: nothing more is done here */
	}
}
