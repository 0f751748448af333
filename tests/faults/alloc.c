/* alloc.c - LD_PRELOAD: the N-th allocation that the program itself makes fails (ALLOC_FAIL=N), or the N-th of so many
 * bytes (ALLOC_FAIL=N:BYTES), counted over all threads, from the place ALLOC_POINT on where there is one (crash_point.c); says so. */
#include "tests/faults/caller.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);

extern _Atomic int alloc_count;
_Atomic int alloc_count; /* they are counted */

static int fails(const void *caller, size_t bytes)
{
	static _Atomic long count;
	static long nth = -1, of;
	static const char said[] = "allocation refused\n";
	if (nth < 0) {
		const char *s = getenv("ALLOC_FAIL");
		of = s && strchr(s, ':') ? atol(strchr(s, ':') + 1) : 0;
		nth = s ? atol(s) : 0;
		alloc_count = !getenv("ALLOC_POINT");
	}
	if (!nth || !alloc_count || (of && bytes != (size_t)of) || !from_program(caller) || atomic_fetch_add(&count, 1) + 1 != nth)
		return 0;
	errno = ENOMEM;
	return write(2, said, sizeof said - 1) > 0;
}

void *malloc(size_t n)
{
	return fails(__builtin_return_address(0), n) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails(__builtin_return_address(0), n * size) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails(__builtin_return_address(0), n) ? NULL : __libc_realloc(p, n);
}

void *aligned_alloc(size_t alignment, size_t n)
{
	return fails(__builtin_return_address(0), n) ? NULL : __libc_memalign(alignment, n);
}

int posix_memalign(void **ret, size_t alignment, size_t n)
{
	void *p = fails(__builtin_return_address(0), n) ? NULL : __libc_memalign(alignment, n);
	if (p)
		*ret = p;
	return p ? 0 : ENOMEM;
}
