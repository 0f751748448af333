/* allocations.h - counts what a program takes from the heap and maps, by functions of libc's names in it, which every library then calls, OpenBLAS
 * too. For one file of a program. Sanitizers have functions of their own: COUNTING is 0 there, and the counts stay 0.
 */
#ifndef S4REC_TESTS_MODEL_ALLOCATIONS_H
#define S4REC_TESTS_MODEL_ALLOCATIONS_H
#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__GLIBC__)
#define COUNTING 1
#else
#define COUNTING 0
#endif

static int heap;
static _Thread_local int maps;

/* Calls so far: to the heap by any thread; to maps by this one, since OpenBLAS starts a thread for each further CPU as it is loaded, and each maps a buffer
 * when it first runs: on a busy machine that is amid whatever is being counted. */
static inline int heap_calls(void) { return __atomic_load_n(&heap, __ATOMIC_RELAXED); }
static inline int map_calls(void) { return maps; }

#if COUNTING
static void count(int *what) { __atomic_add_fetch(what, 1, __ATOMIC_RELAXED); }

extern void *__libc_malloc(size_t n), *__libc_calloc(size_t n, size_t size), *__libc_realloc(void *p, size_t n), *__libc_memalign(size_t to, size_t n);

void *malloc(size_t n) { count(&heap); return __libc_malloc(n); }
void *calloc(size_t n, size_t size) { count(&heap); return __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { count(&heap); return __libc_realloc(p, n); }
void *memalign(size_t to, size_t n) { count(&heap); return __libc_memalign(to, n); }
void *aligned_alloc(size_t to, size_t n) { count(&heap); return __libc_memalign(to, n); }

int posix_memalign(void **ret, size_t to, size_t n)
{
	count(&heap);
	*ret = __libc_memalign(to, n);
	return *ret ? 0 : 12;
}

void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
	maps++;
	return (void *)syscall(SYS_mmap, at, n, prot, flags, fd, offset);
}
#endif
#endif
