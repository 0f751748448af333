/* batch.c - user sequences as one packed mini-batch (model.h: struct batch), in arrays made once */
#include "worker/learn/learner.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct scratch {
	size_t users_max, L;
	size_t B, T;
	uint64_t *user;   /* (users_max) */
	uint32_t *start;  /* (users_max + 1) */
	uint8_t *head;    /* (users_max) */
	uint32_t *item;   /* (users_max * L) */
	uint32_t *target; /* (users_max * L) */
	float *h;         /* (users_max * L, D) */
};

int scratch_new(struct scratch **ret, const struct config *c)
{
	struct scratch *s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;

	s->L = (size_t)c->max_length;
	s->users_max = (size_t)c->batch_users + (size_t)((double)c->batch_users * c->rehearse + 1);
	size_t tokens = s->users_max * s->L;
	s->user = calloc(s->users_max, sizeof *s->user);
	s->start = calloc(s->users_max + 1, sizeof *s->start);
	s->head = calloc(s->users_max, 1);
	s->item = calloc(tokens, sizeof *s->item);
	s->target = calloc(tokens, sizeof *s->target);
	s->h = calloc(tokens * (size_t)c->width, sizeof *s->h);
	if (!s->user || !s->start || !s->head || !s->item || !s->target || !s->h) {
		scratch_free(s);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

void scratch_free(struct scratch *s)
{
	if (!s)
		return;
	free(s->user);
	free(s->start);
	free(s->head);
	free(s->item);
	free(s->target);
	free(s->h);
	free(s);
}

void scratch_clear(struct scratch *s)
{
	s->B = 0;
	s->T = 0;
}

size_t scratch_room(const struct scratch *s)
{
	return s->users_max - s->B;
}

float *scratch_h(struct scratch *s)
{
	return s->h;
}

static void close_user(struct scratch *s, const struct learner *l, uint32_t user)
{
	s->user[s->B] = user;
	s->head[s->B] = (uint8_t)users_is_head(l->users, user);
	s->B++;
	s->start[s->B] = (uint32_t)s->T;
}

void scratch_add(struct scratch *s, const struct learner *l, uint32_t user, size_t targets)
{
	const struct user *u = users_get(l->users, user);
	assert(scratch_room(s) > 0 && u->len > 0);
	size_t n = u->len; /* at most L + 1 */
	if (n == 1) {      /* a first event has nothing before it: it is encoded and clustered, no target */
		s->item[s->T] = u->items[0];
		s->target[s->T++] = NO_ROW;
	}
	for (size_t i = 0; i + 1 < n; i++) {
		s->item[s->T] = u->items[i];
		s->target[s->T++] = i + 1 + targets >= n ? u->items[i + 1] : NO_ROW;
	}
	close_user(s, l, user);
}

void scratch_add_history(struct scratch *s, const struct learner *l, uint32_t user)
{
	const struct user *u = users_get(l->users, user);
	assert(scratch_room(s) > 0 && u->len > 0);
	for (size_t i = u->len > s->L ? u->len - s->L : 0; i < u->len; i++) {
		s->item[s->T] = u->items[i];
		s->target[s->T++] = NO_ROW;
	}
	close_user(s, l, user);
}

struct batch scratch_batch(const struct scratch *s)
{
	return (struct batch){ .B = s->B, .T = s->T, .user = s->user, .start = s->start, .item = s->item,
	                       .target = s->target, .head = s->head };
}
