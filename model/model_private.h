/* model_private.h - the inside of struct model and struct grad; for the files of model/ and its tests only. */
#ifndef S4REC_MODEL_PRIVATE_H
#define S4REC_MODEL_PRIVATE_H
#include "model/model.h"
#include "model/encoder.h"
#include "model/nextitem.h"
#include "model/pool.h"
#include "model/tensors.h"

struct model {
	struct model_config cfg;
	struct pool *pool;

	/* Process: weights and optimiser state. */
	float *item;            /* (N, item_stride): row r = [weight | m | v], or [weight | a] with ROWS_ADAGRAD; reserved for items_max rows */
	size_t item_stride;     /* 3D floats, or D + 1 */
	size_t N;               /* item rows in use */
	uint8_t *gone;          /* (N) 1 = the row is nobody's; reserved for items_max */
	size_t gones;           /* how many */
	uint32_t *item_step;    /* (N) the application after which a row stands as it is; full: always the last */
	uint16_t *item_attribute; /* (N, ATTRIBUTES_MAX) reserved for items_max; NULL: cfg.attributes is 0 */
	int attributed;         /* 1: an item has, or had, some */
	float *whole;           /* (N,D) attributes.c: items as a step reads them, where attributed; reserved for items_max */
	uint64_t applied;       /* model_apply so far */
	void (*before)(void *ctx, uint32_t row); /* model_watch */
	void *before_ctx;
	struct away *away;      /* away.c: what moves rows that were away */
	struct tensors w;       /* w.mu (K,D) raw, w.pos, ... pointers into block_w */
	float *block_w, *block_m, *block_v; /* (dense) weights and moments */
	size_t dense;           /* floats in a block */
	struct tensor_info info[TENSOR_INFO_MAX];
	size_t infos;
	float *queue;           /* (cfg.queue, D) ring of recent z */
	size_t queue_count, queue_next; /* rows filled, next row to write */

	/* Batch: see model.c for who fills what. */
	struct encoder *enc;
	struct nextitem *nextitem;
	size_t users_max, tokens_max;
	uint32_t *view_item;    /* (2, users_max, L) drawn views */
	uint32_t *insert_pool;  /* (2, tokens_max) what `insert` draws from; scratch */
	uint32_t *slot;         /* (items_max) sparse gradients: 1 + place of a row in the grad's list, 0 = not there */
	int32_t *target_slot;   /* (tokens_max) token -> row of hT, -1 = no target */
	float *hT, *dhT;        /* (tokens_max, D) outputs at target positions */
	uint32_t *tgt, *neg;    /* (tokens_max) targets; (tokens_max, negatives) */
	float *tgt_w;           /* (tokens_max) */
	float *neg_logq;        /* (negatives) sampled: log of the expected number of draws; zeros without logq */
	float *dT, *dN;         /* gradients of target and negative rows, sparse forms */
	float *mun, *mu_norm, *dmun; /* (K,D) (K) (K,D) normalised prototypes */
	float *scores, *dscores, *q; /* (users_max + cfg.queue, K), (users_max, K), as scores */
	float *zq;              /* (users_max + cfg.queue, D) z and queue rows for Sinkhorn */
	float *dz;              /* (3, users_max, D) gradient of what the losses saw */
	uint32_t *hk;           /* (users_max) h(u) */
	float *scratch;
	double *part;           /* partial sums of the gradient norm */
	size_t B, T, views;     /* of the last model_grad; views: 0 = no z, 1 = z, 3 = z, z1, z2 */
	char numeric_id[96];
};

struct grad {
	const struct model *m;
	float *block;           /* (dense) */
	struct tensors d;
	float *item;            /* (N,D) dense item gradient (full); else only filled when a test asks */
	size_t N;               /* rows of item (full) */
	uint32_t *row;          /* sparse: the rows touched, in order of first touch */
	float *drow;            /* (rows, D) */
	size_t rows, rows_max;
	float *z;               /* (B,D) for the queue */
	size_t B;
	double norm;            /* global gradient norm before clipping */
};

/* Row r: weight and what its optimiser keeps. */
static inline float *model_item_row(const struct model *m, uint32_t r) { return m->item + (size_t)r * m->item_stride; }

static inline void watch(const struct model *m, uint32_t row)
{
	if (m->before)
		m->before(m->before_ctx, row);
}

#define VIEWS 3 /* the sequence and two views */

/* model.c: users from..to-1 of the batch become the encoder's sequences 0..; returns how many. */
size_t list_batch(struct model *m, const struct batch *b, size_t from, size_t to);

/* zlosses.c: z (V,B,D) in m->zq, as clustered, contrasted, distilled; the gradient with respect to the pooled outputs ends in
 * m->dz (V,B,D) behind that of z. dmu and the classifier's gradient are added to g->d. */
void z_losses(struct model *m, struct grad *g, const struct batch *b, size_t V, struct step_stats *st);
/* z of the step enters the queue when it is applied; the oldest leave. */
void queue_push(struct model *m, const struct grad *g);

/* away.c: item rows without a gradient. Rows in place: one; those listed since the last time (a row may be listed often; the list
 * holds stale_max rows); every MODEL_HISTORY-th. away_applied ends an application. */
int away_new(struct away **ret, size_t stale_max); /* -1: no memory */
void away_free(struct away *x);
void away_return(struct model *m, uint32_t row);
void away_want(struct model *m, uint32_t row);
void away_return_wanted(struct model *m);
void away_sweep(struct model *m);
void away_applied(struct model *m, uint64_t step, float lr);
void away_copy(struct model *to, const struct model *from); /* applications so far, and what follows from them */
/* The weight (D) of a row as of the last application: the row itself, or made in tmp (D). Writes nothing else; any thread, between steps. */
const float *model_row_now(const struct model *m, float *tmp, uint32_t row);
/* The item: that with its attributes. */
const float *model_item_now(const struct model *m, float *tmp, uint32_t row);

/* attributes.c: items as a step reads them, *ret_ld floats apart: rows, or what whole_rows and whole_all made of them, whose rows are up to date. */
const float *whole_items(const struct model *m, size_t *ret_ld);
void whole_rows(struct model *m, const uint32_t *row, size_t n); /* MASK_ROW is passed over */
void whole_all(struct model *m);
void whole_backward(struct model *m, struct grad *g);            /* the gradient of item rows is complete */

/* apply.c: global norm of the gradient; partial sums it needs room for (m->part). */
double grad_norm(struct model *m, const struct grad *g);
size_t grad_norm_parts(const struct model *m, size_t item_floats);

/* adam.c: one bias-corrected step on n floats; scale multiplies the gradient (clipping). Any thread. */
struct adam { float lr, beta_1, beta_2, eps, decay, correct_1, correct_2, scale; };
struct adam adam_at(const struct model_config *c, uint64_t step, float lr, float scale);
void adam_step(float *w, float *m, float *v, const float *g, const struct adam *a, size_t n);
/* One row (D) by ROWS_ADAGRAD, a its number; p's betas and corrections play no part. */
void adagrad_step(float *w, float *a, const float *g, const struct adam *p, size_t D);
#endif
