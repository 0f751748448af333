/* nearest.c - Levenshtein's distance with one row of the table. */
#include "worker/nearest.h"

#include <ctype.h>
#include <string.h>

size_t edit_distance(const char *a, const char *b)
{
	size_t A = strnlen(a, 63), B = strnlen(b, 63), row[64];

	for (size_t j = 0; j <= B; j++)
		row[j] = j;
	for (size_t i = 1; i <= A; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= B; j++) {
			size_t best = diagonal + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[B];
}

int edit_near(const char *typed, size_t distance)
{
	return 2 * distance <= strlen(typed);
}
