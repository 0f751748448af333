/* clock.h - the clocks of the worker: monotonic time for all that is waited for or measured, wall time (since 1970, UTC) for what is written down. */
#ifndef S4REC_CLOCK_H
#define S4REC_CLOCK_H
#include <stdint.h>
#include <time.h>

static inline int64_t clock_us(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static inline int64_t monotonic_us(void) { return clock_us(CLOCK_MONOTONIC); }
static inline int64_t monotonic_ms(void) { return clock_us(CLOCK_MONOTONIC) / 1000; }
static inline int64_t wall_ms(void) { return clock_us(CLOCK_REALTIME) / 1000; }
#endif
