/* leave_out.h - each user's newest events of a file, which `load --leave-out` withholds: what comes last is left for a test from the file itself.
 *
 * Newest is by event time, and in the order of lines where times are equal. The file is read once for it, whole; memory: per user its id and 16 bytes
 * for each event withheld. Not thread-safe.
 */
#ifndef S4REC_LEAVE_OUT_H
#define S4REC_LEAVE_OUT_H
#include "codec/event.h"
#include "worker/config.h"

#define LEAVE_OUT_MAX 16 /* events a user */

struct leave_out;
/* The newest n events, 1 .. LEAVE_OUT_MAX, of each user of the file, which events_file.h reads. Errors are printed; exit code. */
int leave_out_new(struct leave_out **ret, const struct config *c, const char *path, size_t n);
void leave_out_free(struct leave_out *x);
/* Is the event in this line of the file one of them? */
int leave_out_has(const struct leave_out *x, const struct event *ev, uint64_t line);
size_t leave_out_users(const struct leave_out *x);
#endif
