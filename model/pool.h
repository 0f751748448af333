/* pool.h - compute threads for one model. Work is a numbered list of fixed units; which thread runs a unit does not
 * matter to the result. Threads sleep on a condition variable between calls (no spinning: another process may own the core).
 */
#ifndef S4REC_POOL_H
#define S4REC_POOL_H
#include <stddef.h>

struct pool;
int pool_new(struct pool **ret, int threads); /* threads >= 1, the caller counts as one; -EAGAIN, -ENOMEM */
void pool_free(struct pool *p);
int pool_threads(const struct pool *p);
/* Runs fn(ctx, unit, thread) for unit 0..units-1, thread 0..threads-1; returns when all are done. p NULL: the caller
 * runs them all. */
void pool_run(struct pool *p, void (*fn)(void *ctx, size_t unit, int thread), void *ctx, size_t units);
#endif
