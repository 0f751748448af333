/* check.h - what the tests of codec/ share: cmocka's headers in their order, and a repeatable generator. */
#ifndef S4REC_TESTS_CODEC_CHECK_H
#define S4REC_TESTS_CODEC_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <stdio.h>
#include <math.h>
#include <cmocka.h>

static uint64_t check_state = 0x9e3779b97f4a7c15u;

static inline uint64_t check_bits(void) /* splitmix64 */
{
	uint64_t z = (check_state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static inline size_t check_below(size_t n)
{
	return (size_t)(check_bits() % n);
}

/* Random valid UTF-8 of 1..max bytes without NUL; returns its length. */
static inline size_t check_text(char *ret, size_t max)
{
	static const char *const pieces[] = { "a", "Z", "7", "/", "\"", "\\", "\n", "\x01", "{", "é", "ß", "中", "\xf0\x9f\x98\x80", " ", "," };
	size_t want = 1 + check_below(max), n = 0;

	while (n < want) {
		const char *p = pieces[check_below(sizeof(pieces) / sizeof(*pieces))];

		if (n + strlen(p) > max)
			p = "x";
		memcpy(ret + n, p, strlen(p));
		n += strlen(p);
	}
	return n;
}

#define assert_text(s, len, expected)                                                 \
	do {                                                                              \
		assert_int_equal((len), strlen(expected));                                    \
		assert_memory_equal((s), (expected), strlen(expected));                       \
	} while (0)

#endif
