/* forgets.c - see forgets.h */
#include "worker/learn/forgets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "model/idmap.h"
#include "worker/learn/input.h"
#include "worker/log.h"

#define WAIT_MS 50
#define WAITS_MAX 600 /* without a record: 30 s */

/* The newest null record of a user. */
struct forgotten { int32_t partition; int64_t offset, ms; };

struct forgets {
	struct idmap *ids;
	struct forgotten *last; /* (cap) by row of ids */
	size_t cap;
	int64_t *ends;          /* (partitions) */
};

int forgets_new(struct forgets **ret, size_t users_max, int partitions, const int64_t *ends)
{
	struct forgets *f = calloc(1, sizeof *f);
	if (f)
		f->ends = malloc((size_t)partitions * sizeof *ends);
	if (!f || !f->ends || idmap_new(&f->ids, users_max) < 0) {
		forgets_free(f);
		return -ENOMEM;
	}
	memcpy(f->ends, ends, (size_t)partitions * sizeof *ends);
	*ret = f;
	return 0;
}

void forgets_free(struct forgets *f)
{
	if (!f)
		return;
	idmap_free(f->ids);
	free(f->last);
	free(f->ends);
	free(f);
}

size_t forgets_users(const struct forgets *f)
{
	return idmap_count(f->ids);
}

static int reserve(struct forgets *f, size_t rows)
{
	size_t cap = f->cap ? f->cap : 64;
	if (rows <= f->cap)
		return 0;
	while (cap < rows)
		cap *= 2;
	struct forgotten *last = realloc(f->last, cap * sizeof *last);
	if (!last)
		return -ENOMEM;
	f->last = last;
	f->cap = cap;
	return 0;
}

int forgets_add(struct forgets *f, const struct record *r)
{
	uint32_t row;
	int is_new, e = idmap_intern(f->ids, &row, &is_new, r->ev.user, r->ev.user_len);
	if (e == 0)
		e = reserve(f, (size_t)row + 1);
	if (e < 0)
		return e;
	struct forgotten *x = &f->last[row];
	if (is_new || r->kafka_ms > x->ms || (r->kafka_ms == x->ms && r->offset > x->offset) || (r->partition == x->partition && r->offset > x->offset))
		*x = (struct forgotten){ r->partition, r->offset, r->kafka_ms };
	return 0;
}

int forgets_drop(const struct forgets *f, const struct record *r)
{
	if (r->reason || r->offset >= f->ends[r->partition])
		return 0;
	if (r->ev.forget)
		return 1;
	uint32_t row = idmap_find(f->ids, r->ev.user, r->ev.user_len);
	if (row == UINT32_MAX)
		return 0;
	const struct forgotten *x = &f->last[row];
	return r->partition == x->partition ? r->offset < x->offset : r->kafka_ms <= x->ms;
}

static int add_all(struct forgets *f, struct input *in, uint64_t *ret_records)
{
	struct record *r;
	int e = 0;
	while (e == 0 && (r = input_next(in, INPUT_WAIT))) {
		e = r->reason == NULL && r->ev.forget ? forgets_add(f, r) : 0;
		record_free(r);
		++*ret_records;
	}
	if (e == -ENOSPC)
		log_error("more users were forgotten than max.users allows to know: raise it");
	else if (e < 0)
		log_no_memory();
	return e == -ENOSPC ? EX_CONFIG : e < 0 ? EX_OSERR : 0;
}

static int read_all(struct forgets *f, struct input *in, int (*pulse)(void *ctx), void *ctx)
{
	uint64_t records = 0, before = 0;
	int r = 0, waits = 0;
	while (r == 0 && !input_at_end(in)) {
		r = pulse(ctx);
		if (r == 0)
			r = input_fill(in, WAIT_MS);
		if (r == 0)
			r = add_all(f, in, &records);
		waits = records != before ? 0 : waits + 1;
		before = records;
		if (r == 0 && waits == WAITS_MAX) {
			log_error("looking for forgotten users: no input for %d s; is the broker still there, or a transaction open?", WAITS_MAX * WAIT_MS / 1000);
			r = EX_UNAVAILABLE;
		}
	}
	if (r == 0)
		log_info("%zu users were forgotten in %llu records", forgets_users(f), (unsigned long long)records);
	return r;
}

int forgets_scan(struct forgets **ret, const struct config *c, int partitions, const int64_t *ends, int (*pulse)(void *ctx), void *ctx)
{
	int64_t low[partitions];
	struct input *in = NULL;
	struct forgets *f = NULL;
	int r = client_input_watermarks(c, partitions, low, NULL);
	if (r == 0 && forgets_new(&f, (size_t)c->max_users, partitions, ends) < 0)
		r = log_no_memory();
	if (r == 0)
		r = input_new(&in, c, partitions);
	if (r == 0)
		r = input_seek(in, low);
	if (r == 0) {
		input_limit(in, ends);
		r = read_all(f, in, pulse, ctx);
	}
	input_free(in);
	if (r)
		forgets_free(f);
	else
		*ret = f;
	return r;
}
