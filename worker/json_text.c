/* json_text.c - see json_text.h */
#include "worker/json_text.h"

#include "codec/utf8.h"

#define CLEANED_MAX 4096

/* yajl takes no string in pieces: what is not text is cut off behind so many bytes. */
static void cleaned(yajl_gen g, const char *s, size_t len)
{
	char clean[CLEANED_MAX];
	size_t n = len < sizeof clean ? len : sizeof clean;
	for (size_t i = 0; i < n; i++)
		clean[i] = (unsigned char)s[i] < 0x80 ? s[i] : '?';
	yajl_gen_string(g, (const unsigned char *)clean, n);
}

void json_text(yajl_gen g, const char *s, size_t len)
{
	if (utf8_valid(s, len))
		yajl_gen_string(g, (const unsigned char *)s, len);
	else
		cleaned(g, s, len);
}
