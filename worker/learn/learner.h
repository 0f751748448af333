/* learner.h - the fold: everything that a log of events becomes. Knows no consumer and no producer; records come in as
 * lists, what readers shall see goes out as staged bytes.
 *
 * State after n batches is a function of (records, configuration, cuts): nothing here reads a clock or draws from a
 * sequence. learner_train folds one batch, learner_publish one commit; a replay calls the same two functions with out = NULL
 * and ends with the same bits. Not thread-safe.
 */
#ifndef S4REC_LEARNER_H
#define S4REC_LEARNER_H
#include "codec/cut.h"
#include "model/idmap.h"
#include "model/model.h"
#include "model/state.h"
#include "worker/config.h"
#include "worker/eval/covisit.h"
#include "worker/eval/drift.h"
#include "worker/eval/popularity.h"
#include "worker/eval/prequential.h"
#include "worker/eval/ranks.h"
#include "worker/eval/windows.h"
#include "worker/kafka/staged.h"
#include "worker/learn/guard.h"
#include "worker/learn/passes.h"
#include "worker/learn/recent.h"
#include "worker/learn/record.h"
#include "worker/learn/sketch.h"
#include "worker/learn/users.h"
#include "worker/watch/reasons.h"
#include "worker/state/changes.h"

struct published; /* what readers have: publish.c */
struct scratch;   /* the arrays of one batch: batch.c */

/* One application of a gradient, as the state topic keeps it. */
struct learner_history { uint64_t step; float lr; uint32_t zero; };

/* An event of the batch that was folded, in the order of the fold; rows are those of users and items. */
struct scored {
	const struct record *r;
	uint32_t user, item;
	uint32_t nth, sighting;   /* which event of the user, and on the item, it is, from 1 (saturate) */
	uint32_t rank[METHODS];   /* where ranked */
	uint32_t at;              /* row of the batch's tokens that predicts it; UINT32_MAX = nothing was known */
	int sampled;              /* by eval.sample */
};

struct learner;
/* Told of each batch after the model has ranked it and before it trains; scratch_batch has the users of the events, and what they did before. An exit
 * code ends the fold. Reads only. */
struct learner_watch {
	int (*scored)(void *ctx, struct learner *l, const struct scored *events, size_t n);
	void *ctx;
};

struct learner {
	const struct config *cfg;
	struct learner_watch watch; /* scored NULL: nobody's; no part of the fold */
	const char *input_topic;
	struct model *model;
	struct grad *grad;
	struct idmap *item_ids, *user_ids;
	struct users *users;
	int64_t *item_ms;           /* (item rows) event time of the newest event on the item; 0 = none yet */
	uint32_t *item_events;      /* (item rows) events on the item (saturates) */
	size_t item_cap;
	struct recent *recent;      /* NULL unless loss=sampled */
	struct sketch *sketch;      /* sightings of items that have no row; NULL unless admit.count is above 1 */
	struct popularity *popularity;
	struct covisit *covisit;    /* NULL unless eval.covisit */
	struct prequential *prequential;
	struct step_file *ranks;    /* NULL unless eval.out; a replay writes its lines again, and those of ... */
	struct windows *windows;    /* ... eval.windows; NULL without it */

	uint64_t step;              /* last step folded; of a model from a file at first the step that it had reached */
	int64_t watermark_ms;       /* newest event time that was folded */
	uint64_t published_step;    /* step of the last learner_publish */
	uint64_t space;             /* from 1; the vectors of two numbers are not comparable */
	uint64_t republish;         /* all rows are sent again by the next publication */
	uint64_t gaps, gap_base, gap_step; /* accepted gaps, and between which steps the newest one lies (gap.c) */
	uint64_t events, dead_letters;
	uint64_t limited;           /* events that became dead letters by max.users or max.items */
	uint64_t ignored;           /* records since this start whose type is to be ignored (type.weights) */
	uint64_t duplicates, late;  /* events that were not trained: the user has them, or they came too late (late.events) */
	uint64_t unadmitted;        /* events on items that were not seen often enough for a row: not trained */
	uint64_t expired_items, expired_users; /* gone by age or at a limit */
	size_t born_items, born_users; /* new since the last commit */
	int64_t item_checked_ms, user_checked_ms; /* the watermark when ages were last looked at (expiry.c) */
	uint64_t clamped;           /* events whose time lay too far in the future and was replaced (time.future) */
	size_t max_users, max_items; /* the limits that hold now: the configuration's, in a replay those of the cut */
	const char *last_refused;   /* reason of the last dead letter that was not for a limit */
	uint64_t recent_records, recent_refused; /* of the last REFUSED_WINDOW records: the older half is forgotten at a time */
	uint64_t items_published, users_published; /* rows sent, for the progress line */
	int64_t freshness_p50_ms, freshness_p99_ms; /* of the last commit; zeros: it had no event */
	struct reasons refused;     /* dead letters that were staged; no part of the fold */
	struct guard guard;
	struct drifts drifts;
	struct passes passes;
	uint64_t catching_up;       /* a model that began with --from: nothing is published before it has caught up */
	uint64_t from_hash;         /* of the words after --from; 0 = it began without */
	int64_t scanned[CUT_PARTITIONS_MAX]; /* forgets before these offsets were known when it began (forgets.h); zeros = none */
	struct published *published;
	struct scratch *scratch;
	struct changes *changes;    /* told before a row changes; see state/changes.h */
	struct learner_history history[MODEL_HISTORY]; /* for worker/state/: a copy of the model's, made at a flush */
	int changes_failed;         /* a row could not be noted or written: the process must end */
};

#define REFUSED_WINDOW 10000

struct train_result {
	uint32_t events, dead_letters;
	uint64_t records_hash; /* over the records in the order of the fold */
	size_t users;
	uint32_t ranked;         /* events that were scored, and ... */
	double ndcg20;           /* ... their mean by the model */
	uint64_t pass;           /* by learner_pass: its number */
	unsigned drifted;        /* bits of eval/drift.h: alarms that this step gave */
	int skipped;             /* by learner_skip, or learner_pass told so */
	struct step_stats stats; /* zeros when the batch held no user */
	enum discard discarded;
};

/* Exit codes as in sysexits.h; errors are printed. partitions: of the embeddings topic. */
int learner_new(struct learner **ret, const struct config *c, const char *input_topic, int partitions);
void learner_free(struct learner *l);
/* The learner, which must be new, takes over the model in a file: weights, moments, items and their ids, and the step that it has reached.
 * Users and what was published are not part of a file. Exit code. */
int learner_load(struct learner *l, const char *path);
/* The weights of a model that was loaded from a file in place of the learner's, with their moments, as a new space: items that the file knows get
 * its rows; others begin anew, since a vector of another space means nothing in this one; items that only the file knows are added. Users, counts,
 * positions and what readers have stay, and all rows are due. The step stays, too: schedule and draws go by the log, so a file of a later step
 * is refused. Exit code; after an error the learner is of no use. */
int learner_adopt(struct learner *l, const struct model *m, const struct idmap *ids);

/* Folds one batch: lists by partition of the input (emptied and freed). out = NULL: silent. */
int learner_train(struct learner *l, struct record_list *batch, int partitions, uint64_t step, struct staged *out, struct train_result *ret);
/* The same place in the fold, but nothing is learned: every record, unless its type is to be ignored, is a dead letter. */
int learner_skip(struct learner *l, struct record_list *batch, int partitions, uint64_t step, struct staged *out, struct train_result *ret);

/* One commit of the fold: decides which rows readers get, stages them and a version record per partition.
 * now_ms: the clock value of the commit's last cut; offsets (partitions of the input): its positions. */
int learner_publish(struct learner *l, struct staged *out, uint64_t version, int64_t now_ms, const int64_t *offsets, int input_partitions);

/* The files of eval.out and eval.windows, where there are any: drops what is behind the step that the fold goes on from; sees to it that what is written reaches
 * them. Exit codes of step_file.h. */
int learner_resume_scores(struct learner *l, uint64_t step);
int learner_flush_scores(struct learner *l);

/* Why publishing is held, for people: the two numbers that the guard compares. */
void learner_held_why(const struct learner *l, char *ret, size_t size);

/* Share of the last records that were refused, once REFUSED_WINDOW of them were seen; else 0. */
double learner_refused_share(const struct learner *l);

/* For worker/state/: what publish.c keeps. */
float *published_item(struct learner *l, uint32_t row, uint64_t **ret_step); /* (D) what readers saw, and when; NULL: out of memory */
float *published_prototypes(struct learner *l, uint64_t **ret_steps);       /* (K,D), (K); NULL: out of memory */
void published_turns(struct learner *l, uint32_t **ret_sweep, uint32_t **ret_slice); /* where the rounds over users and items go on */
int published_recount(struct learner *l);                        /* after a restore: how many rows readers have, by partition */
int learner_reserve_items(struct learner *l, size_t rows);       /* item_ms, item_events; -ENOMEM */
void learner_clear_item(struct learner *l, uint32_t row);        /* what the learner knows of an item, but for its id, its visits and its row in the model */

/* The batch that is in the scratch, with the recent events that a sampled loss draws from; valid until either changes. Exit code. */
int learner_batch(struct learner *l, struct batch *ret);

/* For learner.c, rehearsal.c, response.c, passes.c, batch.c, publish.c, expiry.c and gap.c only. */
int learner_fit(struct learner *l, struct train_result *ret);    /* a step on what is in the scratch; exit code */
void rehearsal_gather(struct learner *l);                         /* adds `rehearse` stored users per user in the scratch, as many as are found */
int rehearsal_learned(struct learner *l);                        /* a step on the scratch was applied: keeps its users' losses, where draws go by them; -1: out of memory */
enum response { RESPONSE_NONE, RESPONSE_RATE, RESPONSE_REHEARSE }; /* drift.response */
double response_factor(const struct learner *l, enum response to); /* of the learning rate, of the share of rehearsed users, in this step */
void response_learned(struct learner *l, struct train_result *ret); /* a batch was fitted: watches it, sets ret->drifted */
int published_new(struct published **ret, const struct config *c, int partitions);
void published_free(struct published *p);
int published_mark_user(struct learner *l, uint32_t row);        /* to be encoded and sent by the next commit */
int published_touch(struct learner *l, uint32_t row);            /* an item row may have moved; NO_ROW: all; -ENOMEM */
int published_forget_user(struct learner *l, uint32_t row);      /* sends a delete; the row is reused after it */
/* Sends a delete now, if readers have the item, and frees the row in model and map: whoever gets it is sent by a later commit. Visits are the
 * caller's business. */
void published_clear_item(struct learner *l, uint32_t row);      /* readers have no such row */
int published_drop_item(struct learner *l, struct staged *out, uint32_t row);
void published_event(struct learner *l, int64_t event_ms);       /* an event whose freshness counts */
int scratch_new(struct scratch **ret, const struct config *c);
void scratch_free(struct scratch *s);
void scratch_clear(struct scratch *s);
/* Adds the newest items of a user: inputs and the items that followed; targets are all of them, or the fresh ones. */
void scratch_add(struct scratch *s, const struct learner *l, uint32_t user, int all);
const uint32_t *scratch_fresh(const struct scratch *s);          /* (T) the fresh event that is a token's target: visit.fresh */
void scratch_add_history(struct scratch *s, const struct learner *l, uint32_t user); /* newest L items, to be encoded */
struct batch scratch_batch(const struct scratch *s);
uint32_t scratch_withhold(struct scratch *s);                    /* the newest event of the user added last is no target; returns its item */
size_t scratch_room(const struct scratch *s);                    /* users that still fit */
float *scratch_h(struct scratch *s);                             /* (tokens max, D) */
#endif
