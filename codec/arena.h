/* arena.h - memory that is handed out by moving a pointer and taken back all at once. Internal to codec/.
 *
 * yajl does not check for a failed allocation, so a full arena does not return NULL: it jumps to arena.full, which the
 * caller has set with setjmp before. All that yajl owns lives in the arena, so nothing is lost by the jump.
 */
#ifndef S4REC_CODEC_ARENA_H
#define S4REC_CODEC_ARENA_H

#include <setjmp.h>
#include <stddef.h>
#include <string.h>
#include <yajl/yajl_common.h>

struct arena {
	char *base; /* (size) borrowed, aligned to 16 */
	size_t size, used;
	jmp_buf full;
};

#define ARENA_ALIGN ((size_t)16)

/* Each block is preceded by its size, which realloc needs. */
static inline void *arena_alloc(void *ctx, size_t n)
{
	struct arena *a = ctx;
	size_t need;
	char *p;

	if (n > a->size)
		longjmp(a->full, 1);

	need = ARENA_ALIGN + ((n + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1));
	if (need > a->size - a->used)
		longjmp(a->full, 1);

	p = a->base + a->used + ARENA_ALIGN;
	memcpy(p - ARENA_ALIGN, &n, sizeof(n));
	a->used += need;
	return p;
}

static inline void *arena_realloc(void *ctx, void *old, size_t n)
{
	size_t old_n = 0;
	void *p = arena_alloc(ctx, n);

	if (old) {
		memcpy(&old_n, (char *)old - ARENA_ALIGN, sizeof(old_n));
		memcpy(p, old, old_n < n ? old_n : n);
	}
	return p;
}

static inline void arena_free(void *ctx, void *p)
{
	(void)ctx, (void)p;
}

static inline yajl_alloc_funcs arena_yajl_funcs(struct arena *a)
{
	return (yajl_alloc_funcs){ arena_alloc, arena_realloc, arena_free, a };
}

#endif
