/* rng.h - counter-based random numbers: a pure function of (seed, step, user, position, what for, i). Nothing is drawn
 * in sequence, so a replay repeats every draw whatever thread runs it and in whatever order.
 * Mixer: the finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014), chained.
 */
#ifndef S4REC_RNG_H
#define S4REC_RNG_H
#include <stdint.h>

/* What a draw is for: keeps the streams apart. Values are part of the format of a fold: never renumber. */
enum rng_use {
	RNG_ITEM_INIT = 1, RNG_TENSOR_INIT = 2, RNG_DROPOUT = 3, RNG_AUGMENT = 4, RNG_NEGATIVE = 5,
	RNG_REHEARSE = 6, RNG_GENERATE = 7, RNG_KMEANS = 8, RNG_SAMPLE = 9, RNG_PASS = 16, RNG_BOOT = 32,
};

static inline uint64_t rng_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

/* 64 random bits for the key (seed, use, a, b, c). */
static inline uint64_t rng_bits(uint64_t seed, enum rng_use use, uint64_t a, uint64_t b, uint64_t c)
{
	return rng_mix(rng_mix(rng_mix(rng_mix(seed ^ ((uint64_t)use << 56)) ^ a) ^ b) ^ c);
}

/* Uniform in [0, 1), 53 bits. */
static inline double rng_unit(uint64_t bits) { return (double)(bits >> 11) * 0x1p-53; }

/* Uniform in 0..n-1 (n >= 1), by multiplication; bias below n / 2^64. */
static inline uint64_t rng_below(uint64_t bits, uint64_t n) { return (uint64_t)(((unsigned __int128)bits * n) >> 64); }

#endif
