/* utf8.h - is this text? */
#ifndef S4REC_CODEC_UTF8_H
#define S4REC_CODEC_UTF8_H

#include <stddef.h>

/* 1 when s is well-formed UTF-8 (no overlong forms, no surrogates, at most U+10FFFF) without a NUL. Any thread. */
int utf8_valid(const char *s, size_t len);

#endif
