#include "codec/utf8.h"

#include <stdint.h>
#include <string.h>

/* Length of the sequence at p, 0 when it is malformed. Table 3-7 of the Unicode standard. */
static size_t sequence(const uint8_t *p, size_t left)
{
	uint8_t lo = 0x80, hi = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return p[0] != 0;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;

	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (left < n)
		return 0;

	if (p[0] == 0xe0)
		lo = 0xa0; /* overlong */
	else if (p[0] == 0xed)
		hi = 0x9f; /* surrogates */
	else if (p[0] == 0xf0)
		lo = 0x90; /* overlong */
	else if (p[0] == 0xf4)
		hi = 0x8f; /* above U+10FFFF */
	if (p[1] < lo || p[1] > hi)
		return 0;

	for (size_t i = 2; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

int utf8_valid(const char *s, size_t len)
{
	const uint8_t *p = (const uint8_t *)s, *end;

	if (len == 0)
		return 1; /* s may be NULL */

	end = p + len;
	while (p < end) {
		uint64_t v;
		size_t n;

		/* eight ASCII bytes at once, none of them zero */
		if (end - p >= 8) {
			memcpy(&v, p, 8);
			if (!(v & 0x8080808080808080u) && !((v - 0x0101010101010101u) & 0x8080808080808080u)) {
				p += 8;
				continue;
			}
		}

		n = sequence(p, (size_t)(end - p));
		if (n == 0)
			return 0;
		p += n;
	}
	return 1;
}
