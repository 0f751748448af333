/* vmath.h - vector exp, erf-GELU and friends over arrays: the one file compiled with relaxed floating point. Any thread. */
#ifndef S4REC_VMATH_H
#define S4REC_VMATH_H
#include <stddef.h>

/* y[i] = exp(a * (x[i] - max)); returns the sum. x and y may be the same. Arguments below -87 give 0. */
float vmath_exp_sum(float *y, const float *x, float a, float max, size_t n);
float vmath_max(const float *x, size_t n);
float vmath_sum(const float *x, size_t n);
float vmath_dot(const float *x, const float *y, size_t n);
/* y += a x */
void vmath_axpy(float *y, float a, const float *x, size_t n);
/* GELU by erf: y = x Phi(x), and its slope dy/dx = Phi(x) + x phi(x). */
void vmath_gelu(float *y, const float *x, size_t n);
void vmath_gelu_slope(float *y, float *slope, const float *x, size_t n);
/* y *= x */
void vmath_mul(float *y, const float *x, size_t n);

/* Asks for x (n) before it is used: a row that lies anywhere in a large table is some 100 ns away. */
static inline void vmath_prefetch(const float *x, size_t n)
{
	for (size_t i = 0; i < n; i += 16) /* floats of a cache line */
		__builtin_prefetch(x + i);
}

/* Function versions for x86-64-v3 beside the portable one, chosen when the program loads (gcc); none under sanitizers.
 * On other machines such a function stands alone, too: inlined, one of them makes gcc 14 see an array that nobody filled. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(S4_NO_CLONES)
#define S4_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define S4_CLONES __attribute__((noinline))
#endif
#endif
