/* kernel.h - matrix products on one thread: what encoder, next item, losses and ranking multiply with.
 *
 * Two implementations, chosen when first used: on x86-64 with AVX2 and FMA a kernel of our own that holds tiles of 6 x 16 in
 * registers (kernel_avx2.c), else OpenBLAS. The right operand is packed first: weights once a step, used by every chunk.
 *
 * With the kernel of our own each element of C is one chain of multiply-adds, in the order of k, that starts from bias, C or 0.
 * Where the element stands in C and how many rows a call has does not matter: equal rows give equal bits.
 * Matrices are row-major with ld floats between rows; M rows, N columns, K the summed dimension. Any thread.
 *
 *     kernel_pack_t(p, w, D, D, O);                           w (O,D), as x W^T wants it
 *     kernel_mul(y, O, x, D, p, bias, 0, N, O, D);            (N,O) = (N,D) (O,D)^T + bias
 */
#ifndef S4REC_KERNEL_H
#define S4REC_KERNEL_H
#include <stddef.h>

/* Floats of a packed (K,N). Packed matrices lie best at 64 bytes. */
size_t kernel_packed(size_t K, size_t N);
/* Packs b (K,N); pack_t: b is (N,K) and its transpose is packed. */
void kernel_pack(float *p, const float *b, size_t ldb, size_t K, size_t N);
void kernel_pack_t(float *p, const float *b, size_t ldb, size_t K, size_t N);

/* c (M,N) = a (M,K) b + bias (N; NULL = 0), or with add c += a b (bias NULL then). */
void kernel_mul(float *c, size_t ldc, const float *a, size_t lda, const float *p, const float *bias, int add, size_t M, size_t N, size_t K);
/* c (M,N) += a^T b for a (K,M). */
void kernel_mul_t(float *c, size_t ldc, const float *a, size_t lda, const float *p, size_t M, size_t N, size_t K);
/* c (M,N) = exp(a b + bias - ref), ref (M) one number a row. Arguments are at most 88; below -87 the result is some 1e-38. */
void kernel_mul_exp(float *c, size_t ldc, const float *a, size_t lda, const float *p, const float *bias, const float *ref, size_t M, size_t N, size_t K);

/* "fma6x16" or "blas": part of the name of what computes. */
const char *kernel_name(void);
/* 1 = OpenBLAS in any case, 0 = what the machine has. To be called while there is no model: what was packed before is void. */
void kernel_portable(int yes);
#endif
