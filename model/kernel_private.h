/* kernel_private.h - the AVX2 half of kernel.c. Call only where the CPU has AVX2 and FMA. */
#ifndef S4REC_KERNEL_PRIVATE_H
#define S4REC_KERNEL_PRIVATE_H
#include <stddef.h>

#define PANEL 16 /* columns of a packed panel: two vectors. A panel is its K rows of 16 one after another, missing columns 0 */

/* One product with a packed right operand. Element (r,k) of the left one lies at a + r * ar + k * ak. */
struct product {
	float *c;
	const float *a, *p, *bias, *ref; /* bias NULL = 0; ref not NULL: exp(sum - ref[r]) is stored */
	size_t ldc, ar, ak, M, N, K;
	int add; /* c += */
};
void kernel_avx2(const struct product *x);
void kernel_avx2_pack_t(float *p, const float *b, size_t ldb, size_t K, size_t N);
#endif
