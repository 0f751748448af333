/* vmath.c - loops the compiler turns into vectors. Compiled with relaxed floating point (see Makefile): no NaN test may live here,
 * and nothing may depend on the order of operations (the classic two-part ln 2 would be folded back into one).
 */
#include <stdint.h>
#include <string.h>

#include "model/vmath.h"

/* exp(x) = 2^k exp(r), k = round(x / ln 2), |r| <= ln 2 / 2. With a fused multiply-add r is exact to
 * 2e-9 k (ln 2 happens to be near a float); without, the error is half an ulp of x: 1e-6 at |x| = 20, 4e-6 at 87.
 * Arguments are held in [-88, 88], so x / ln 2 + 128.5 is positive and truncation rounds it; near the lower end k = -127
 * makes 2^k the bit pattern 0, so what would leave the normal numbers is 0 without a branch. */
static inline __attribute__((always_inline)) float exp1(float x)
{
	float xc = __builtin_fminf(__builtin_fmaxf(x, -88.0f), 88.0f);
	int32_t k = (int32_t)(xc * 1.44269504088896341f + 128.5f) - 128;
	float kf = (float)k;
	float r = xc - kf * 0.69314718056f;
	float p = 1.9875691500e-4f;
	uint32_t bits = (uint32_t)(k + 127) << 23;
	float two_k;

	memcpy(&two_k, &bits, sizeof two_k);
	p = p * r + 1.3981999507e-3f;
	p = p * r + 8.3334519073e-3f;
	p = p * r + 4.1665795894e-2f;
	p = p * r + 1.6666665459e-1f;
	p = p * r + 5.0000001201e-1f;
	return (p * r * r + r + 1.0f) * two_k;
}

/* erf as x P(x^2) / Q(x^2) on [-4, 4], beyond which it is 1 in fp32 (minimax coefficients as used by Eigen and XLA). */
static inline __attribute__((always_inline)) float erf1(float x)
{
	float xc = __builtin_fminf(__builtin_fmaxf(x, -4.0f), 4.0f);
	float s = xc * xc;
	float p = -2.72614225801306e-10f;
	float q = -1.45660718464996e-05f;

	p = p * s + 2.77068142495902e-08f;
	p = p * s + -2.10102402082508e-06f;
	p = p * s + -5.69250639462346e-05f;
	p = p * s + -7.34990630326855e-04f;
	p = p * s + -2.95459980854025e-03f;
	p = p * s + -1.60960333262415e-02f;
	q = q * s + -2.13374055278905e-04f;
	q = q * s + -1.68282697438203e-03f;
	q = q * s + -7.37332916720468e-03f;
	q = q * s + -1.42647390514189e-02f;
	return xc * p / q;
}

S4_CLONES float vmath_exp_sum(float *y, const float *x, float a, float max, size_t n)
{
	float sum = 0.0f;

	for (size_t i = 0; i < n; i++) {
		float e = exp1(a * (x[i] - max));

		y[i] = e;
		sum += e;
	}
	return sum;
}

S4_CLONES float vmath_max(const float *x, size_t n)
{
	float m = x[0];

	for (size_t i = 1; i < n; i++)
		m = x[i] > m ? x[i] : m;
	return m;
}

S4_CLONES float vmath_sum(const float *x, size_t n)
{
	float sum = 0.0f;

	for (size_t i = 0; i < n; i++)
		sum += x[i];
	return sum;
}

S4_CLONES float vmath_dot(const float *x, const float *y, size_t n)
{
	float sum = 0.0f;

	for (size_t i = 0; i < n; i++)
		sum += x[i] * y[i];
	return sum;
}

S4_CLONES void vmath_axpy(float *y, float a, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] += a * x[i];
}

S4_CLONES void vmath_gelu(float *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = 0.5f * x[i] * (1.0f + erf1(x[i] * 0.70710678118654752f));
}

S4_CLONES void vmath_gelu_slope(float *restrict y, float *restrict slope, const float *restrict x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float v = x[i];
		float Phi = 0.5f * (1.0f + erf1(v * 0.70710678118654752f));
		float phi = 0.39894228040143268f * exp1(-0.5f * v * v);

		y[i] = v * Phi;
		slope[i] = Phi + v * phi;
	}
}

S4_CLONES void vmath_mul(float *restrict y, const float *restrict x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] *= x[i];
}
