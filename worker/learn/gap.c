/* gap.c - a start over input that retention has removed, accepted by an operator (--accept.gap).
 *
 * The learner is as the newest state has it, or new where there is none; what was committed behind that cannot be folded again, though readers
 * have it. So readers get all rows once more, as the model has them now, and lose those that it does not know. The steps and versions that are
 * lost keep their numbers: the gap is the next cut, the next version, and a state of its own, all in one transaction. A crash leaves all of
 * that or nothing, and no later replay has to find its way over the gap: the state stands behind it.
 *
 * One thing of what is lost is known from the readers' topic: a user that the state has, and readers had, but have no more, was forgotten
 * meanwhile, and is forgotten here, too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "codec/embedding.h"
#include "worker/kafka/view.h"
#include "worker/learn/loop_private.h"
#include "worker/log.h"

#define KEY_MAX_BYTES (16 + 4096)
#define POLL_VIEW_MS 1000

/* As long as something comes: somebody else's open transaction may hide what is left. */
static int read_to_end(struct loop *w, struct s4rec_reader *v)
{
	uint64_t records = 0;
	int64_t since_ms = monotonic_ms(); /* a poll ends early with whatever the client has to say */
	int end = 0, r = 0;
	while (r == 0 && !end && monotonic_ms() - since_ms < SILENCE_S * 1000) {
		r = loop_check_lead(w);
		if (r == 0)
			r = view_code(s4rec_reader_poll(v, POLL_VIEW_MS));
		uint64_t before = records;
		end = s4rec_reader_progress(v, &records);
		if (records != before)
			since_ms = monotonic_ms();
	}
	if (r || end)
		return r;
	log_error("%s.embeddings: nothing came for %d s, before its end; is the broker still there, or a transaction open?", w->cfg->topic_prefix, SILENCE_S);
	return EX_UNAVAILABLE;
}

static int read_view(struct loop *w, struct s4rec_reader **ret)
{
	const struct config *c = w->cfg;
	char why[256];
	uint64_t version, expected = w->version;
	int r = view_open(ret, c, &(struct view_options){ .stay = 1, .count_only = 1 });
	if (r == 0)
		r = read_to_end(w, *ret);
	if (r)
		return r;
	s4rec_reader_missing(*ret, why, sizeof why);
	if (s4rec_reader_ready(*ret)) {
		version = s4rec_reader_version(*ret, NULL);
		if (version == expected)
			return 0;
		snprintf(why, sizeof why, "it is at version %llu, the cuts at %llu", (unsigned long long)version, (unsigned long long)expected);
	}
	log_error("%s.embeddings does not hold what its versions say (%s), so that nobody knows who was forgotten since the state was written: begin a new model "
	          "with a new topic.prefix", c->topic_prefix, why);
	return EX_DATAERR;
}

/* Does the state say that readers have it? Then they keep it until the row of today comes. */
static int counts(struct learner *l, enum row_kind kind, const char *id, size_t len)
{
	uint64_t *sent;
	uint32_t row;
	if (kind == ROW_PROTOTYPE) {
		char number[24];
		snprintf(number, sizeof number, "%.*s", (int)len, id);
		size_t k = strtoul(number, NULL, 10);
		return k < model_config(l->model)->K && published_prototypes(l, &sent) && sent[k];
	}
	row = idmap_find(kind == ROW_ITEM ? l->item_ids : l->user_ids, id, len);
	if (row == UINT32_MAX)
		return 0;
	if (kind == ROW_USER)
		return users_get(l->users, row)->published != 0;
	return published_item(l, row, &sent) && *sent;
}

/* What readers have from what is lost: unknown here, or known and not published yet, such as an item that is too rare again. What is published
 * now comes behind its delete. */
static int delete_lost(const struct loop *w, struct staged *out, const struct s4rec_reader *v, enum row_kind kind)
{
	char key[KEY_MAX_BYTES];
	size_t key_len;
	int r = 0;
	for (size_t i = 0; r == 0 && i < s4rec_reader_count(v, (enum s4rec_kind)kind); i++) {
		struct s4rec_row row;
		s4rec_reader_get(v, (enum s4rec_kind)kind, i, &row, NULL);
		if (counts(w->learner, kind, row.id, row.id_len))
			continue;
		r = row_key(key, sizeof key, &key_len, kind, row.id, row.id_len);
		if (r == 0)
			r = staged_record(out, TOPIC_EMBEDDINGS, partition_of(key, key_len, w->embedding_partitions), key, key_len, NULL, 0);
	}
	return r;
}

/* Items that readers had, but have no more. */
static int unpublish_deleted(struct learner *l, const struct s4rec_reader *v)
{
	size_t len;
	uint64_t *sent;
	int r = 0;
	for (uint32_t row = 0; r == 0 && row < model_items(l->model); row++) {
		const char *id = idmap_id(l->item_ids, row, &len);
		if (!id || !published_item(l, row, &sent) || !*sent || s4rec_reader_find(v, S4REC_ITEM, id, len) != SIZE_MAX)
			continue;
		r = changes_row(l->changes, STATE_ITEM, row);
		*sent = 0;
	}
	return r < 0 ? r : published_recount(l);
}

/* Who was published, or, of a state from before the model had caught up, must have been when it had. */
static int forget_deleted(struct learner *l, const struct s4rec_reader *v)
{
	const struct s4rec_version *newest;
	s4rec_reader_version(v, &newest);
	size_t len;
	int r = 0, released = l->catching_up && !newest->held;
	for (uint32_t row = 0; r == 0 && row < users_rows(l->users); row++) {
		const char *id = idmap_id(l->user_ids, row, &len);
		const struct user *u = users_get(l->users, row);
		if (id && (u->published || (released && u->known)) && s4rec_reader_find(v, S4REC_USER, id, len) == SIZE_MAX)
			r = published_forget_user(l, row);
	}
	return r;
}

static int match(const struct loop *w, struct staged *out, const struct s4rec_reader *v)
{
	int r = 0;
	for (enum row_kind k = 0; r == 0 && k < ROW_MODEL; k++)
		r = delete_lost(w, out, v, k);
	if (r == 0)
		r = unpublish_deleted(w->learner, v);
	return r < 0 ? r : forget_deleted(w->learner, v);
}

/* Nothing was published before version 1, nor before a model has caught up: then only a state that is as new as the cuts knows who was forgotten. */
static int reconcile(struct loop *w, struct staged *out, const struct cut *last, uint64_t base)
{
	struct s4rec_reader *v = NULL;
	if (w->version == 0 || (last->catching_up && last->step == base))
		return 0;
	if (last->catching_up) {
		log_error("model %s of %s has published nothing yet, so that nobody knows who was forgotten since the state was written (step %llu, the cuts end at %llu): "
		          "begin a new model with another --model.id or topic.prefix", w->cfg->model_id, w->cfg->topic_prefix, (unsigned long long)base,
		          (unsigned long long)last->step);
		return EX_DATAERR;
	}
	int r = read_view(w, &v);
	if (r == 0 && match(w, out, v) < 0)
		r = log_no_memory();
	s4rec_reader_close(v);
	return r;
}

/* Behind what was committed, and not before what is there. */
static int find_position(struct loop *w, const struct cut *last)
{
	int64_t low[w->partitions];
	int r = client_input_watermarks(w->cfg, w->partitions, low, NULL);
	for (int p = 0; r == 0 && p < w->partitions; p++)
		w->position[p] = last->offsets[p] > low[p] ? last->offsets[p] : low[p];
	return r;
}

int loop_pass_gap(struct loop *w, uint64_t base, const struct cut *last)
{
	struct learner *l = w->learner;
	struct staged *rows = NULL;
	int64_t now_ms = wall_ms();
	if (last->commit)
		w->version = last->version;
	int r = find_position(w, last);
	if (r == 0 && staged_new(&rows) < 0)
		r = log_no_memory();
	if (r == 0)
		r = reconcile(w, rows, last, base);
	struct cut gap = { .step = last->step + 1, .offsets = w->position, .partitions = (size_t)w->partitions, .commit = 1, .version = w->version + 1,
		.now_ms = now_ms, .gap = 1, .gap_base = base };
	l->catching_up = (uint64_t)last->catching_up; /* what lies between may have released the model */
	cutlog_sign(&gap, l, w->run_id, w->embedding_partitions);
	l->step = gap.step;
	l->gaps++;
	l->gap_base = base;
	l->gap_step = gap.step;
	l->republish = 1;
	if (r == 0)
		r = learner_publish(l, rows, gap.version, gap.now_ms, gap.offsets, w->partitions);
	if (r) {
		staged_free(rows);
		return r;
	}
	r = state_found(w->state, &gap, rows);
	if (r)
		return r;
	w->version = gap.version;
	log_warn("gap accepted: the model goes on from the state of step %llu as step %llu, version %llu; %llu steps behind it are lost, all rows are published again",
	         (unsigned long long)base, (unsigned long long)gap.step, (unsigned long long)gap.version, (unsigned long long)(last->step - base));
	return input_seek(w->input, w->position);
}
