/* reasons.h - dead letters counted by their reasons, which are static texts. Plain data; a zero struct is empty. */
#ifndef S4REC_REASONS_H
#define S4REC_REASONS_H
#include <stdint.h>
#include <string.h>

#define REASONS_MAX 40 /* a full table counts what else there is in its last place */

struct reasons {
	const char *text[REASONS_MAX]; /* NULL = from here on none */
	uint64_t n[REASONS_MAX];
};

static inline void reasons_add(struct reasons *r, const char *text)
{
	int i = 0;
	while (i < REASONS_MAX - 1 && r->text[i] && strcmp(r->text[i], text) != 0)
		i++;
	if (!r->text[i])
		r->text[i] = i == REASONS_MAX - 1 ? "other" : text;
	r->n[i]++;
}
#endif
