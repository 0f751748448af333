/* batch.c - user sequences as one packed mini-batch (model.h: struct batch), in arrays made once */
#include "worker/learn/learner.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct scratch {
	size_t users_max, L;
	size_t B, T;
	uint64_t *user;   /* (users_max) */
	uint32_t *start;  /* (users_max + 1) */
	uint8_t *head;    /* (users_max) */
	uint16_t *attribute; /* (users_max, ATTRIBUTES_MAX) NULL: the model has none */
	uint32_t *item;   /* (users_max * L) */
	uint32_t *target; /* (users_max * L) */
	float *weight;    /* (users_max * L) */
	uint32_t *fresh;  /* (users_max * L) visit.fresh of the event that the token predicts */
	float *h;         /* (users_max * L, D) */
};

int scratch_new(struct scratch **ret, const struct config *c)
{
	struct scratch *s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;

	s->L = (size_t)c->max_length;
	double rehearse = c->rehearse * (c->drift_response == RESPONSE_REHEARSE ? c->drift_factor : 1);
	s->users_max = (size_t)c->batch_users + (size_t)((double)c->batch_users * rehearse + 1);
	size_t tokens = s->users_max * s->L;
	s->user = calloc(s->users_max, sizeof *s->user);
	s->start = calloc(s->users_max + 1, sizeof *s->start);
	s->head = calloc(s->users_max, 1);
	s->item = calloc(tokens, sizeof *s->item);
	s->target = calloc(tokens, sizeof *s->target);
	s->weight = calloc(tokens, sizeof *s->weight);
	s->fresh = calloc(tokens, sizeof *s->fresh);
	s->h = calloc(tokens * (size_t)c->width, sizeof *s->h);
	s->attribute = c->attributes_buckets ? calloc(s->users_max * ATTRIBUTES_MAX, sizeof *s->attribute) : NULL;
	if ((c->attributes_buckets && !s->attribute) || !s->user || !s->start || !s->head || !s->item || !s->target || !s->weight || !s->fresh || !s->h) {
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
	free(s->attribute);
	free(s->item);
	free(s->target);
	free(s->weight);
	free(s->fresh);
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
	if (s->attribute)
		memcpy(s->attribute + s->B * ATTRIBUTES_MAX, users_get(l->users, user)->attribute, ATTRIBUTES_MAX * sizeof *s->attribute);
	s->B++;
	s->start[s->B] = (uint32_t)s->T;
}

static void add_token(struct scratch *s, uint32_t item, const struct visit *target)
{
	s->item[s->T] = item;
	s->target[s->T] = target ? target->item : NO_ROW;
	s->fresh[s->T] = target ? target->fresh : 0;
	s->weight[s->T++] = target ? target->weight : 0;
}

void scratch_add(struct scratch *s, const struct learner *l, uint32_t user, int all)
{
	const struct user *u = users_get(l->users, user);
	const struct visit *last = NULL;
	assert(scratch_room(s) > 0 && u->known > 0);
	for (size_t i = 0; i < u->len; i++) { /* at most L + 1 */
		const struct visit *next = &u->visits[i];
		if (next->item == NO_ITEM)
			continue;
		if (last)
			add_token(s, last->item, all || next->fresh ? next : NULL);
		last = next;
	}
	if (u->known == 1) /* a first event has nothing before it: it is encoded and clustered, no target */
		add_token(s, users_last_item(u), NULL);
	close_user(s, l, user);
}

const uint32_t *scratch_fresh(const struct scratch *s)
{
	return s->fresh;
}

uint32_t scratch_withhold(struct scratch *s)
{
	uint32_t item = s->target[s->T - 1];
	s->target[s->T - 1] = NO_ROW;
	s->weight[s->T - 1] = 0;
	return item;
}

void scratch_add_history(struct scratch *s, const struct learner *l, uint32_t user)
{
	const struct user *u = users_get(l->users, user);
	size_t left = u->known;
	assert(scratch_room(s) > 0 && u->known > 0);
	for (size_t i = 0; i < u->len; i++)
		if (u->visits[i].item != NO_ITEM && left-- <= s->L)
			add_token(s, u->visits[i].item, NULL);
	close_user(s, l, user);
}

struct batch scratch_batch(const struct scratch *s)
{
	return (struct batch){ .B = s->B, .T = s->T, .user = s->user, .start = s->start, .item = s->item,
	                       .target = s->target, .weight = s->weight, .head = s->head, .attribute = s->attribute };
}
