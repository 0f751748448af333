/* model.h - S4Rec as a value: configuration, weights, one training step, encoding and ranking. Knows no Kafka.
 *
 * Shapes: B users in a batch, T tokens (packed, no padding), L longest sequence, D width, K prototypes, N item rows.
 * Items are dense rows 0..N-1 here; the string ids live in idmap.h. Prototypes, mask token and classifier are dense tensors.
 * One struct model may be used by one thread at a time; it runs its own pool of compute threads inside. Results do not
 * depend on the number of threads: the same input gives the same bits.
 *
 *     model_new(&m, &cfg);
 *     model_add_item(m, &row);                        once per item, in a deterministic order; see there for rows that go
 *     model_grad(m, g, &batch, step, &stats);         the gradient is a value ...
 *     if (!stats.discarded) model_apply(m, g, step, lr);   ... and applying it a second function
 *     model_encode(m, h, &batch);                     no dropout; h (T,D) on the ranking scale, see below
 */
#ifndef S4REC_MODEL_H
#define S4REC_MODEL_H

#include <stddef.h>
#include <stdint.h>

enum loss_form { LOSS_FULL, LOSS_SAMPLED, LOSS_BCE };
enum pool_form { POOL_MEAN, POOL_LAST };
/* Targets q of the cluster loss. CLUSTER_KMEANS is for comparison (the paper's ablation): prototypes are constants, set by model_kmeans between
 * epochs, and q is 1 at the nearest. It wants norm. */
enum cluster_form { CLUSTER_SINKHORN, CLUSTER_KMEANS };
/* How item rows move; dense tensors always by Adam.
 *   ROWS_ADAM     two moments an element: 3 D floats a row
 *   ROWS_ADAGRAD  one number a row, a += mean over the row of g^2, w -= lr (g / (sqrt(a) + adam_eps) + weight_decay w): D + 1 floats a row, and
 *                 a row without gradient does not move but for decay (row-wise Adagrad as in DLRM, Naumov et al. 2019, arXiv 1906.00091).
 *                 For tables of millions of rows. No momentum, and steps that shrink with the row's own history. */
enum row_optimizer { ROWS_ADAM, ROWS_ADAGRAD };

struct model_config {
	size_t L, D, heads, layers, K;   /* 50, 64, 2, 2, 128 */
	float dropout;                   /* .5; all sites */
	enum loss_form loss;
	size_t negatives;                /* sampled: shared negatives per step; bce: per position */
	float uniform;                   /* sampled: share of the negatives drawn evenly from the catalogue, above 0; see struct batch, recent */
	int logq;                        /* sampled: 1 = the correction by log(negatives Q), see struct batch; 0: none, which shows what it is worth */
	int cosine;                      /* 1: logits = cos(h, item) / cosine_tau, also when ranking */
	float cosine_tau;                /* .07 */
	int low_pass;                    /* 1: low-pass branch in each block (y = .3 LN1(x + drop(attn)) + .7 LN3(x + drop(lo + b^2 (x - lo)))) */
	enum pool_form pool;             /* z_u from the positions' mean or the last one */
	int norm;                        /* 1: z and mu L2-normalised where clustered, contrasted, distilled */
	int posden;                      /* 1: positive pair in the InfoNCE denominator */
	int detach;                      /* 1: no gradient into the distillation teacher */
	float eps; int iters;            /* Sinkhorn: .05, 3 */
	size_t queue;                    /* recent z kept for Sinkhorn when B is small; 0 = none */
	float tau1, tau2, tau3;
	float alpha, beta1, beta2, lambda; /* weights of Clust, SCL, CKD, Adv */
	float mask_share, crop_share, reorder_share, insert_share; /* augmentation: share masked, share KEPT by crop, ... */
	float clip;                      /* global gradient norm clip; 0 = none */
	float beta_1, beta_2, adam_eps, weight_decay; /* Adam .9 .999 1e-8 0 */
	enum row_optimizer rows;
	enum cluster_form cluster;
	size_t attributes;               /* rows of attr, the embeddings of users' and items' attributes; 0 = none */
	uint64_t seed;
	int threads;                     /* compute threads, >= 1; does not change the bits */
	size_t items_max;                /* most item rows; memory is reserved, not touched */
	size_t batch_users_max;          /* most users in one batch */
	size_t batch_tokens_max;         /* most tokens in one batch; 0 = batch_users_max * L */
};

#define NO_ROW UINT32_MAX
#define ATTRIBUTES_MAX 4

/* A packed mini-batch. Arrays are borrowed during the call. */
struct batch {
	size_t B, T;
	const uint64_t *user;   /* (B) stable user numbers: they key the random draws */
	const uint32_t *start;  /* (B+1) user b has tokens start[b] .. start[b+1]-1, oldest first, 1..L of them */
	const uint32_t *item;   /* (T) input item rows */
	const uint32_t *target; /* (T) the item that came next, NO_ROW = no loss at this position; NULL in encode */
	const float *weight;    /* (T) factor of the target's term in loss_sr; NULL = 1. The mean divides by the number of targets */
	const uint8_t *head;    /* (B) 1 = head user (longest 20 %) */
	const uint16_t *attribute; /* (B, ATTRIBUTES_MAX) rows of attr, counted from 1, that are added up and to the user's first token, in its views, too; 0: no
	                         * row; NULL = nobody has any */
	/* sampled: the other negatives are drawn from these recent events, so popular items come as often as they are wanted. A row
	 * is drawn with Q(row) = uniform / live items + (1 - uniform) recent_count[row] / recent_n, and log(negatives Q) is taken off its logit, so
	 * that the loss estimates the full softmax (Bengio, Senecal 2008). recent_n 0: all evenly. */
	const uint32_t *recent;               /* (recent_n) item rows */
	size_t recent_n;
	const uint32_t *recent_count;         /* (N) how often each row stands in recent */
	/* Given instead of drawn (tests, golden numbers); NULL = draw. */
	const uint32_t *negative;             /* (T, negatives) bce */
	const uint32_t *view_start[2], *view_item[2]; /* packed like start/item; MASK_ROW = the mask token */
};

#define MASK_ROW (UINT32_MAX - 1)

struct step_stats {
	double loss, loss_sr, loss_clust, loss_scl, loss_ckd, loss_adv;
	double grad_norm;      /* before clipping */
	size_t targets, tokens;
	int discarded;         /* 1: a loss or gradient is not finite; do not apply */
};

/* Intermediate results of the last model_grad, for tests and reports. Pointers into the model, valid until the next call. */
struct step_trace {
	const float *h;        /* (T,D) encoder output */
	const float *z, *z1, *z2; /* (B,D) as pooled (normalised when cfg.norm) */
	const float *scores;   /* (B,K) */
	const float *q;        /* (B,K) Sinkhorn targets, rows sum to 1 */
};

struct model;
struct grad;

/* Checks the configuration. 0 or -EINVAL with *reterr_why naming the field. */
int model_config_check(const struct model_config *c, const char **reterr_why);

int model_new(struct model **ret, const struct model_config *c); /* -EINVAL, -ENOMEM */
void model_free(struct model *m);
const struct model_config *model_config(const struct model *m);

/* A new item row, drawn N(0, .02) from (seed, row). -ENOSPC at items_max. */
int model_add_item(struct model *m, uint32_t *ret_row);
size_t model_items(const struct model *m);
/* The item of the row is gone: until the row is another one's, no rank, list, softmax or negative knows of it, and no batch may name it. Its values
 * are zeros from here on. */
void model_remove_item(struct model *m, uint32_t row);
/* Such a row for a new item, drawn from (seed, row, applications so far). */
void model_renew_item(struct model *m, uint32_t row);
/* Up to ATTRIBUTES_MAX rows of attr, counted from 1; 0: no row. An item is its row and the sum of these, wherever it is read: as input, in the loss, ranked,
 * published. A new item has none, and they go with it. */
void model_set_item_attributes(struct model *m, uint32_t row, const uint16_t attribute[ATTRIBUTES_MAX]); /* with attributes above 0 alone */
void model_copy_item_attributes(struct model *to, uint32_t row, const struct model *from, uint32_t from_row); /* of one configuration; attributes 0: nothing */
const uint16_t *model_item_attributes(const struct model *m, uint32_t row);                              /* NULL: attributes is 0 */
int model_item_is_gone(const struct model *m, uint32_t row);
size_t model_live_items(const struct model *m);
/* Moves the weight of a new row towards the mean of n other rows as they stand: share 0 leaves it, 1 makes it that mean. n >= 1. */
void model_blend_item(struct model *m, uint32_t row, const uint32_t *around, size_t n, float share);

int grad_new(struct grad **ret, const struct model *m);
void grad_free(struct grad *g);

/* d loss / d weights over the batch into g (overwritten), with dropout, views and negatives drawn from
 * (seed, step, user, position). step runs from 1. Item rows that the batch reads are brought up to date in place (away.c): their
 * value as readers see it stays. */
void model_grad(struct model *m, struct grad *g, const struct batch *b, uint64_t step, struct step_stats *ret);
/* Clips, then Adam at learning rate lr: on all item rows, also where only touched ones have a gradient. step is the same as in model_grad. */
void model_apply(struct model *m, const struct grad *g, uint64_t step, float lr);
/* before is called, on the caller's thread, before the stored values of an item row change (NO_ROW: of all rows): by model_grad, which brings
 * rows up to date, and by model_apply. NULL ends it. */
void model_watch(struct model *m, void (*before)(void *ctx, uint32_t row), void *ctx);
void model_trace(const struct model *m, struct step_trace *ret);
/* Of the last model_grad, whose batch b was: the mean of w_i l_i, the terms of loss_sr, over the targets of its u-th user. 0: it had none. */
int model_user_loss(const struct model *m, const struct batch *b, size_t u, double *ret);

/* Encoder without dropout: h (T,D), the vector that ranking uses: score(h, item) = dot(h, model_item_vector).
 * With cosine scores h is L2-normalised. */
void model_encode(struct model *m, float *h, const struct batch *b);
/* The same for the newest position of each user only: out (B,D). */
void model_encode_last(struct model *m, float *out, const struct batch *b);
/* z (B,D) of each user as it is clustered, but for norm: pooled, without dropout. For model_kmeans. */
void model_encode_pooled(struct model *m, float *z, const struct batch *b);

/* The published vector of an item: its embedding row with its attributes, L2-normalised with cosine scores. out (D). */
void model_item_vector(const struct model *m, float *out, uint32_t row);
void model_prototype_vector(const struct model *m, float *out, uint32_t k);
/* argmax_k of mu_k . x (both normalised when cfg.norm), for x (n,D) -> k (n). */
void model_assign(struct model *m, int32_t *k, const float *x, size_t n);

/* Sets the prototypes by spherical k-means (Dhillon, Modha 2001) over the directions of z (n,D), pooled outputs, at most iters rounds. Seeding is
 * k-means++ (Arthur, Vassilvitskii 2007), drawn from (seed, applications so far). Prototypes for which no direction is left, and those
 * that lose all theirs, stay as they are. Their moments are forgotten. 0 or -ENOMEM. */
int model_kmeans(struct model *m, const float *z, size_t n, int iters);

/* Rank (0 = best) of target[i] among all live item rows (skip[row] != 0 excluded, too; NULL = none) for h (n,D). A tie counts half
 * of the tied rows, rounded up, against the target: constant scores must not look good. NO_ROW gives N. */
void model_rank(struct model *m, uint32_t *rank, const float *h, const uint32_t *target, size_t n, const uint8_t *skip);

/* The k best live rows for each h (n,D): rows (n,k), scores (n,k), best first, ties by lower row; short lists end with NO_ROW.
 * exclude: for query i the rows exclude[exclude_start[i] .. exclude_start[i+1]) are left out; NULL = none. */
void model_topk(struct model *m, uint32_t *rows, float *scores, const float *h, size_t n, size_t k,
                const uint32_t *exclude_start, const uint32_t *exclude);

/* Tensor by its name in the golden files and in the state topic ("pos.weight", "blocks.0.q.weight", "mu", "cls.weight",
 * "mask", "item.weight" is (N,D) rows, model_row_floats apart). NULL when there is none. rows x cols = its shape. */
float *model_tensor(struct model *m, const char *name, size_t *ret_rows, size_t *ret_cols);
const float *grad_tensor(struct model *m, struct grad *g, const char *name, size_t *ret_rows, size_t *ret_cols);

/* Name of what computes: "fma6x16-v3-r3-libm-2.36", or "blas-v3-r3-0.3.21-haswell-libm-2.36". */
const char *model_numeric_id(const struct model *m);

#endif
