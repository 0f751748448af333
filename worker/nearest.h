/* nearest.h - "did you mean": the known name closest to a mistyped one, by edit distance. Any thread. */
#ifndef S4REC_NEAREST_H
#define S4REC_NEAREST_H
#include <stddef.h>
/* Insertions, deletions and substitutions that turn a into b, capitals ignored. Names over 63 bytes are compared by their
 * first 63. */
size_t edit_distance(const char *a, const char *b);
/* Whether so small a distance from what was typed can be a slip: at most half of its letters. */
int edit_near(const char *typed, size_t distance);
#endif
