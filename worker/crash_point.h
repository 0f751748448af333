/* crash_point.h - named places at which a test may end the process, as kill -9 would: build/faults/s4rec is the program with them,
 * in build/s4rec there are none. CRASH_POINT=NAME or NAME:N ends it when it comes to that place for the first or N-th time;
 * STOP_POINT stops it there, as kill -STOP would; DELAY_POINT lets that thread sleep two seconds, or DELAY_S of them, and the others go on.
 * `make faults` finds the names in the sources and tries each. Any thread.
 */
#ifndef S4REC_CRASH_POINT_H
#define S4REC_CRASH_POINT_H
#ifdef S4REC_CRASH_POINTS
void crash_point(const char *name);
#else
#define crash_point(name) ((void)0)
#endif
#endif
