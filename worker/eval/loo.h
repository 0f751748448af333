/* loo.h - leave-one-out, the protocol of the papers: of each user the last item is the test, the second last the validation.
 *
 *     of items 0 .. n-1     inputs                     predict
 *     training              0 .. n-4                   1 .. n-3, each from those before it
 *     validation            0 .. n-3                   n-2
 *     test                  0 .. n-2                   n-1
 *
 * Inputs keep their newest L. All items are ranked, the user's own earlier ones left out; what a user takes a second time
 * can thus not be hit and counts as a miss. The epoch is chosen by the validation's NDCG@20; the test is asked once, of that
 * epoch's weights. Head users are the longest 20 %, tail users the others, few-event users those with at most FEW_EVENTS in all. Training is that of the worker: model_grad, model_apply, the same losses.
 * Repeats itself: order and all draws are functions of the seed. With cluster=kmeans each epoch begins with k-means over the z of all
 * training users, which gives the prototypes.
 */
#ifndef S4REC_LOO_H
#define S4REC_LOO_H
#include "model/model.h"
#include "worker/config.h"
#include "worker/eval/detail.h"
#include "worker/eval/sequences.h"

/* ---- what is asked ---- */

enum { FEW_EVENTS = 5 };

/* One question a user: inputs packed as a struct batch wants them, what may not be answered, the right answer. */
struct questions {
	size_t n, tokens;
	uint32_t *start, *item;            /* (n + 1), (tokens) the newest L inputs */
	uint32_t *exclude_start, *exclude; /* (n + 1), all inputs */
	uint32_t *answer;                  /* (n) */
	uint8_t *head;                     /* (n) 1 = head user */
	uint8_t *few;                      /* (n) 1 = the user has at most FEW_EVENTS, what is held back included */
};

/* last: items held back behind the answer: 1 asks the validation, 0 the test. 0 or -ENOMEM. */
int questions_new(struct questions *ret, const struct sequences *s, size_t L, size_t last);
void questions_release(struct questions *q);
/* 1 for each of the longest 20 % of the users (of equal ones those that come first). 0 or -ENOMEM. */
int head_users(uint8_t **ret, const struct sequences *s);

/* ---- what is trained ---- */

/* A stretch of a user's history: inputs end - inputs .. end - 1, of which the newest `targets` are taught what came next. */
struct sample {
	uint32_t user, window, end, inputs, targets;
};

/* The samples of an epoch (from 1), shuffled. stride 0: one a user, its newest L inputs. Else windows of L inputs that end
 * `stride` events apart, each with the targets that no newer one has, so that every event is a target once; where the newest
 * window's targets end is drawn for each epoch, so that an event is not seen in the same window always. */
struct samples {
	struct sample *list;
	size_t count, cap;
};
int samples_draw(struct samples *ret, const struct sequences *s, size_t L, size_t stride, uint64_t seed, uint64_t epoch); /* -ENOMEM */
void samples_release(struct samples *s);

/* ---- how good ---- */

enum { CUTS = 3 }; /* of HR and NDCG: 5, 10, 20 */
enum { LOO_TOP = 20 }; /* the largest of them: answers that are asked for */
extern const size_t loo_cut[CUTS];
enum group { ALL_USERS, HEAD_USERS, TAIL_USERS, FEW_USERS, GROUPS }; /* all are head or tail; few-event users are of either */
extern const char *const loo_group[GROUPS];
struct loo_scores { /* means over n users; mrr20: 1 / rank, 0 beyond 20 */
	double hr[CUTS], ndcg[CUTS], mrr20;
	size_t n;
};

/* From the 20 best rows (q->n, 20) of each question. */
void loo_score(struct loo_scores ret[GROUPS], const struct questions *q, const uint32_t *rows);

/* ---- a run ---- */

struct loo_epoch {
	int epoch, best;             /* best: 1 = no earlier epoch was better */
	double train_s, eval_s;      /* of this epoch */
	double us_per_token;
	struct step_stats mean;      /* losses, means over the steps */
	size_t discarded;            /* steps whose gradient was not finite */
	int validated;
	struct loo_scores valid;     /* when validated */
};
/* The weights of one epoch, and how they do. */
struct loo_chosen {
	int epoch;                   /* 0 = none */
	double train_s;              /* training up to its end, from the start of the run */
	struct loo_scores valid[GROUPS], test[GROUPS];
};
struct loo_result {
	struct loo_chosen best;
	struct loo_chosen reached;   /* the first epoch that reached c->time_to */
	double train_s, eval_s;
};

/* Trains and tests once, from nothing; with c->model_in nothing is trained: the model in that file is tested, its rows found by the items' ids (an item that
 * it does not have is a row as drawn, items that only it has are nobody's answer). report is told of every epoch. file: where the chosen epoch's model goes, with the items' ids; NULL =
 * nowhere. detail: made of the chosen epoch, the caller releases it; NULL = not asked for. 0 or an exit code; errors are logged. */
int loo_run(struct loo_result *ret, const struct config *c, const struct sequences *s, uint64_t seed, const char *file,
            struct loo_detail *detail, void (*report)(void *ctx, const struct loo_epoch *e), void *ctx);

/* Mean and standard deviation (of the sample; 0 for n = 1) of a group's test over n runs, n >= 1. */
void loo_spread(struct loo_scores *mean, struct loo_scores *spread, const struct loo_result *r, size_t n, enum group g);
#endif
