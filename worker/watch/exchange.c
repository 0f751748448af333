/* exchange.c - see exchange.h */
#include "worker/watch/exchange.h"
#include "worker/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define FRESH 4 /* beside the number of the place between: the reader has not seen it */

struct exchange {
	struct snapshot place[3];
	int writers, readers;  /* each side's own place */
	atomic_int between;
	atomic_llong beat_ms;
};

int exchange_new(struct exchange **ret, const struct snapshot *first)
{
	struct exchange *b = calloc(1, sizeof *b);
	if (!b)
		return -ENOMEM;

	b->writers = 0;
	b->readers = 1;
	memcpy(&b->place[b->readers], first, snapshot_size(first));
	atomic_init(&b->between, 2);
	atomic_init(&b->beat_ms, monotonic_ms());
	*ret = b;
	return 0;
}

void exchange_free(struct exchange *b)
{
	free(b);
}

void exchange_publish(struct exchange *b, const struct snapshot *s)
{
	memcpy(&b->place[b->writers], s, snapshot_size(s));
	b->writers = atomic_exchange(&b->between, b->writers | FRESH) & ~FRESH;
}

const struct snapshot *exchange_look(struct exchange *b)
{
	if (atomic_load(&b->between) & FRESH)
		b->readers = atomic_exchange(&b->between, b->readers) & ~FRESH;
	return &b->place[b->readers];
}

void exchange_beat(struct exchange *b)
{
	atomic_store(&b->beat_ms, monotonic_ms());
}

int64_t exchange_silence_ms(struct exchange *b)
{
	return monotonic_ms() - atomic_load(&b->beat_ms);
}
