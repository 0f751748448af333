#include "codec/embedding.h"

/* MurmurHash2 with Kafka's seed, byte for byte what Java's Utils.murmur2 computes. */
static uint32_t murmur2(const uint8_t *p, size_t len)
{
	const uint32_t m = 0x5bd1e995;
	uint32_t h = UINT32_C(0x9747b28c) ^ (uint32_t)len;

	for (; len >= 4; p += 4, len -= 4) {
		uint32_t k = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;

		k *= m;
		k ^= k >> 24;
		k *= m;
		h *= m;
		h ^= k;
	}

	if (len >= 3)
		h ^= (uint32_t)p[2] << 16;
	if (len >= 2)
		h ^= (uint32_t)p[1] << 8;
	if (len >= 1) {
		h ^= p[0];
		h *= m;
	}

	h ^= h >> 13;
	h *= m;
	h ^= h >> 15;
	return h;
}

int32_t partition_of(const void *key, size_t len, int32_t partition_count)
{
	if (partition_count <= 1)
		return 0;
	return (int32_t)(murmur2(key, len) & 0x7fffffff) % partition_count;
}
