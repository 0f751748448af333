/* reader.c - `make bench-reader`: exact search in a view of the readers' library: a million items of 64 coordinates, as float and as int8 rows, the best 20 by dot
 * product, one thread. Beside it the time that the same bytes take to be read once, and what the view takes of memory.
 */
#include <stdio.h>
#include <stdlib.h>

#include "worker/clock.h"
#include "worker/reader/rows.h"

#define ROWS 1000000
#define WIDTH 64
#define BEST 20
#define TURNS 9

static double resident_mb(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	if (!f || fscanf(f, "%*d %ld", &pages) != 1)
		exit(71);
	fclose(f);
	return (double)pages * 4096 / 1e6;
}

static float coordinate(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return (float)(int8_t)(*seed >> 24) * .01f;
}

static struct rows *fill(int as_int8)
{
	struct rows *x;
	uint32_t seed = 1;
	if (rows_new(&x, 1, 1) < 0)
		exit(71);
	for (int i = 0; i < ROWS; i++) {
		float vector[WIDTH];
		int8_t q[WIDTH];
		char id[16];
		int new_width;
		for (int d = 0; d < WIDTH; d++) {
			vector[d] = coordinate(&seed);
			q[d] = (int8_t)(vector[d] * 100);
		}
		struct embedding e = { .vector = vector, .D = WIDTH, .int8 = as_int8 ? q : NULL, .scale = .01f };
		if (rows_set(x, ROW_ITEM, id, (size_t)snprintf(id, sizeof id, "i%d", i), 0, &e, &new_width) < 0)
			exit(71);
	}
	return x;
}

/* The best of some turns. */
static double search_ms(const struct rows *x)
{
	struct s4rec_hit hits[BEST];
	double best = 0;
	for (int t = 0; t < TURNS; t++) {
		float vector[WIDTH];
		uint32_t seed = 7 + (uint32_t)t;
		for (int d = 0; d < WIDTH; d++)
			vector[d] = coordinate(&seed);
		int64_t since_us = monotonic_us();
		if (rows_top(x, &(struct s4rec_query){ .vector = vector, .kind = S4REC_ITEM }, hits, BEST) != BEST)
			exit(70);
		double ms = (double)(monotonic_us() - since_us) / 1e3;
		best = t == 0 || ms < best ? ms : best;
	}
	return best;
}

static double read_ms(size_t bytes)
{
	uint64_t *p = malloc(bytes), sum = 0;
	double best = 0;
	if (!p)
		exit(71);
	for (size_t i = 0; i < bytes / sizeof *p; i++)
		p[i] = i;
	for (int t = 0; t < TURNS; t++) {
		int64_t since_us = monotonic_us();
		for (size_t i = 0; i < bytes / sizeof *p; i++)
			sum += p[i];
		__asm__ volatile("" : : "r"(sum)); /* else it is not summed */
		double ms = (double)(monotonic_us() - since_us) / 1e3;
		best = t == 0 || ms < best ? ms : best;
	}
	free(p);
	return best;
}

static void measure(const char *what, int as_int8)
{
	double before = resident_mb();
	struct rows *x = fill(as_int8);
	double mb = resident_mb() - before, search = search_ms(x), once = read_ms((size_t)ROWS * WIDTH * (as_int8 ? 1 : sizeof(float)));
	printf("%-6s %d rows of %d: %.1f ms a search, %.1f ms to read its bytes once (%.2f), %.0f MB\n", what, ROWS, WIDTH, search, once, search / once, mb);
	rows_free(x);
}

int main(void)
{
	measure("float", 0);
	measure("int8", 1);
	return 0;
}
