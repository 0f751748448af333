/* clock.c - LD_PRELOAD: the program's wall clock jumps, a fifth of a second each time: minutes ahead, hours back, and home. */
#include "tests/faults/caller.h"

#include <dlfcn.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec *ret)
{
	static const long jumps_s[] = { 0, 2400, -10800, 7, -7, -86400, 3000 };
	static int (*real)(clockid_t, struct timespec *);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
	int r = real(id, ret);
	if (id == CLOCK_REALTIME && from_program(__builtin_return_address(0)))
		ret->tv_sec += jumps_s[(ret->tv_sec * 5 + ret->tv_nsec / 200000000) % 7];
	return r;
}
