#include "codec/cut.h"

#include <errno.h>

#include "codec/read.h"
#include "topics/cut.pb-c.h"

int cut_encode(void *ret, size_t size, size_t *ret_len, const struct cut *c)
{
	S4rec__Cut m = S4REC__CUT__INIT;

	if (c->partitions > CUT_PARTITIONS_MAX)
		return -E2BIG;

	m.step = c->step;
	m.n_offsets = c->partitions;
	m.offsets = c->offsets;
	m.now_ms = c->now_ms;
	m.commit = c->commit != 0;
	m.version = c->version;
	m.events = c->events;
	m.dead_letters = c->dead_letters;
	m.discarded = (S4rec__Discard)c->discarded;
	m.model_id = (char *)c->model_id;
	m.run_id = (char *)c->run_id;
	m.config_hash = c->config_hash;
	m.embedding_partitions = c->embedding_partitions;
	m.records_hash = c->records_hash;
	m.max_users = c->max_users;
	m.max_items = c->max_items;
	m.republish = c->republish != 0;
	m.rollback = c->rollback != 0;
	m.pass = c->pass;
	m.from_hash = c->from_hash;
	m.catching_up = c->catching_up != 0;
	m.numeric_id = (char *)c->numeric_id;
	m.skipped = c->skipped != 0;
	m.gap = c->gap != 0;
	m.gap_base = c->gap_base;

	*ret_len = s4rec__cut__get_packed_size(&m);
	if (*ret_len > size)
		return -ENOSPC;

	s4rec__cut__pack(&m, ret);
	return 0;
}

/* Field numbers: topics/cut.proto. */
struct cut_in { struct cut cut; size_t partitions_max; };

static int cut_field(void *message, struct wire *w, uint64_t tag)
{
	struct cut_in *in = message;
	struct cut *c = &in->cut;
	uint32_t discarded = 0;
	int r;

	switch (tag >> 3) {
	case 1:
		return read_u64(w, tag, &c->step);
	case 2:
		return read_int64s(w, tag, c->offsets, &c->partitions, in->partitions_max);
	case 3:
		return read_i64(w, tag, &c->now_ms);
	case 4:
		return read_bool(w, tag, &c->commit);
	case 5:
		return read_u64(w, tag, &c->version);
	case 6:
		return read_u32(w, tag, &c->events);
	case 7:
		return read_u32(w, tag, &c->dead_letters);
	case 8:
		r = read_u32(w, tag, &discarded);
		c->discarded = (enum discard)discarded;
		return discarded > DISCARD_EXPLODING ? -EBADMSG : r;
	case 9:
		return read_text(w, tag, c->model_id, sizeof(c->model_id));
	case 10:
		return read_text(w, tag, c->run_id, sizeof(c->run_id));
	case 11:
		return read_u64(w, tag, &c->config_hash);
	case 12:
		return read_text(w, tag, c->numeric_id, sizeof(c->numeric_id));
	case 13:
		return read_u32(w, tag, &c->embedding_partitions);
	case 14:
		return read_u64(w, tag, &c->records_hash);
	case 15:
		return read_u64(w, tag, &c->max_users);
	case 16:
		return read_u64(w, tag, &c->max_items);
	case 17:
		return read_bool(w, tag, &c->skipped);
	case 18:
		return read_bool(w, tag, &c->gap);
	case 19:
		return read_u64(w, tag, &c->gap_base);
	case 20:
		return read_bool(w, tag, &c->republish);
	case 21:
		return read_bool(w, tag, &c->rollback);
	case 30:
		return read_u64(w, tag, &c->pass);
	case 31:
		return read_u64(w, tag, &c->from_hash);
	case 32:
		return read_bool(w, tag, &c->catching_up);
	default:
		return wire_skip(w, tag);
	}
}

int cut_decode(struct cut *ret, int64_t *offsets, size_t partitions_max, const void *buf, size_t len)
{
	struct cut_in in = { .cut = { .offsets = offsets }, .partitions_max = partitions_max };
	int r = len ? read_message(buf, len, cut_field, &in) : -EBADMSG;

	if (r == 0)
		*ret = in.cut;
	return r;
}

int attempt_encode(void *ret, size_t size, size_t *ret_len, const struct attempt *a)
{
	S4rec__Attempt m = S4REC__ATTEMPT__INIT;

	m.step = a->step;
	m.run_id = (char *)a->run_id;
	m.now_ms = a->now_ms;

	*ret_len = s4rec__attempt__get_packed_size(&m);
	if (*ret_len > size)
		return -ENOSPC;

	s4rec__attempt__pack(&m, ret);
	return 0;
}

static int attempt_field(void *message, struct wire *w, uint64_t tag)
{
	struct attempt *a = message;

	switch (tag >> 3) {
	case 1:
		return read_u64(w, tag, &a->step);
	case 2:
		return read_text(w, tag, a->run_id, sizeof(a->run_id));
	case 3:
		return read_i64(w, tag, &a->now_ms);
	default:
		return wire_skip(w, tag);
	}
}

int attempt_decode(struct attempt *ret, const void *buf, size_t len)
{
	struct attempt a = { 0 };
	int r = len ? read_message(buf, len, attempt_field, &a) : -EBADMSG;

	if (r == 0)
		*ret = a;
	return r;
}
