/* userset.c - see userset.h. Open addressing; a slot counts only when it bears the current stamp, so clearing is one addition. */
#include "worker/learn/userset.h"

#define XXH_INLINE_ALL
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <xxhash.h>

struct slot { uint64_t hash, stamp; };

struct userset {
	struct slot *slot;
	size_t mask, count;
	uint64_t stamp;
};

int userset_new(struct userset **ret, size_t users_max)
{
	struct userset *s = calloc(1, sizeof *s);
	size_t size = 16;
	if (!s)
		return -ENOMEM;

	while (size < users_max * 2)
		size *= 2;
	s->slot = calloc(size, sizeof *s->slot);
	if (!s->slot) {
		free(s);
		return -ENOMEM;
	}
	s->mask = size - 1;
	s->stamp = 1;
	*ret = s;
	return 0;
}

void userset_free(struct userset *s)
{
	if (!s)
		return;
	free(s->slot);
	free(s);
}

void userset_add(struct userset *s, const char *id, size_t len)
{
	uint64_t hash = XXH3_64bits(id, len);
	size_t i = (size_t)hash & s->mask;
	while (s->slot[i].stamp == s->stamp && s->slot[i].hash != hash)
		i = (i + 1) & s->mask;
	if (s->slot[i].stamp == s->stamp)
		return;
	assert(s->count <= s->mask / 2);
	s->slot[i] = (struct slot){ hash, s->stamp };
	s->count++;
}

size_t userset_count(const struct userset *s)
{
	return s->count;
}

void userset_clear(struct userset *s)
{
	s->stamp++;
	s->count = 0;
}
