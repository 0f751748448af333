/* histogram.h - how long something takes: durations counted by bounds that all stages share. Plain data; a zero struct is empty. */
#ifndef S4REC_HISTOGRAM_H
#define S4REC_HISTOGRAM_H
#include <stdint.h>

#define HISTOGRAM_BOUNDS 14
/* Upper bounds in microseconds; what is longer counts in the last place, of which there is one more. */
static const int64_t histogram_bound_us[HISTOGRAM_BOUNDS] = {
	500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000,
};

struct histogram {
	uint64_t n[HISTOGRAM_BOUNDS + 1]; /* each duration in one place */
	uint64_t sum_us;
};

static inline void histogram_add(struct histogram *h, int64_t us)
{
	int i = 0;
	while (i < HISTOGRAM_BOUNDS && us > histogram_bound_us[i])
		i++;
	h->n[i]++;
	h->sum_us += us > 0 ? (uint64_t)us : 0;
}
#endif
