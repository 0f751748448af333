/* encoder.h - the causal transformer: layers as forward/backward pairs, and the walk over packed sequences.
 *
 * Layers: outputs first, then inputs, then sizes. forward overwrites; backward ADDS to gradients of weights; what it
 * does to dx stands at each. N tokens (of one chunk), D width, O outputs.
 *
 * The encoder cuts its list of sequences into chunks (at most 32 sequences, about 256 tokens: the working set stays in L2).
 * Chunk c belongs to lane c % LANES and each lane adds its chunks in order into a gradient block of its own; the lanes
 * are summed in order. Neither depends on the number of threads, so neither do the bits.
 */
#ifndef S4REC_ENCODER_H
#define S4REC_ENCODER_H
#include "model/pool.h"
#include "model/tensors.h"

/* ---- layers ---- */

/* linear: y = x W^T + b.  x (N,D)  wt: W (O,D) by kernel_pack_t  b (O)  ->  y (N,O) */
void linear_forward(float *y, const float *x, const float *wt, const float *b, size_t N, size_t D, size_t O);
/* dx (N,D) overwritten, or with more added to; dw (O,D), db (O) added to. w: W by kernel_pack. pack (kernel_packed(N, D)) is scratch. */
void linear_backward(float *dx, float *dw, float *db, int more, float *pack, const float *dy, const float *x, const float *w, size_t N, size_t D, size_t O);

/* layernorm: xhat = (x - mean) rstd, y = gain (w xhat + b), with more y += (the second of two branches that are mixed). */
void layernorm_forward(float *y, float *xhat, float *rstd, const float *x, const float *w, const float *b, float gain, int more, size_t N, size_t D);
/* dx (N,D) overwritten. gain as in forward. */
void layernorm_backward(float *dx, float *dw, float *db, const float *dy, const float *xhat, const float *rstd, const float *w,
                        float gain, size_t N, size_t D);

/* Causal attention of ONE sequence of n tokens: qkv (n,3D) -> ctx (n,D); p (heads,n,ATTENTION_ROW(n)) keeps the weights before
 * dropout for backward. key (n): dropout keys of the tokens; drop.threshold 0 = none. scratch: attention_scratch(n, D) floats. */
#define ATTENTION_ROW(n) (((n) + 7) / 8 * 8) /* whole vectors: no loop has a rest */
struct dropout { uint32_t threshold; float scale; }; /* an element lives when its random byte >= threshold */
static inline size_t attention_scratch(size_t n, size_t D) { return 2 * ATTENTION_ROW(n) * (ATTENTION_ROW(n) + 2 * D); }
void attention_forward(float *ctx, float *p, float *scratch, const float *qkv, const uint64_t *key, struct dropout drop, size_t n, size_t D, size_t heads);
/* dqkv (n,3D) overwritten. */
void attention_backward(float *dqkv, float *scratch, const float *dctx, const float *p, const float *qkv, const uint64_t *key,
                        struct dropout drop, size_t n, size_t D, size_t heads);

/* Low-pass of ONE sequence: u = lo + b^2 (x - lo), lo_l = mean(x_1..x_l).  u, x (n,D)  b, run (D: scratch) */
void low_pass_forward(float *u, float *run, const float *x, const float *b, size_t n, size_t D);
/* dx (n,D) and db (D) added to. lo (n,D), run (D) scratch. */
void low_pass_backward(float *dx, float *db, float *lo, float *run, const float *du, const float *x, const float *b, size_t n, size_t D);

/* y (n) = x times its mask; the same call serves forward and backward. y may be x. */
void dropout_apply(float *y, const float *x, uint64_t key, struct dropout drop, size_t n);
/* y = base + x times its mask. */
void dropout_add(float *y, const float *base, const float *x, uint64_t key, struct dropout drop, size_t n);
void dropout_mask(float *mask, uint64_t key, struct dropout drop, size_t n);
struct dropout dropout_from(float p); /* p is rounded to 1/256 and the scale matches the rounded value */

/* ---- the walk ---- */

#define LANES 8
#define CHUNK_SEQS 32
#define CHUNK_TOKENS 256

struct sequence {
	const uint32_t *item;  /* (n) item rows, MASK_ROW = mask token; borrowed until backward is done */
	uint32_t n, at;        /* tokens (1..L); first row in h: encoder_plan sets it */
	uint64_t user;
	uint32_t view;         /* 0 the sequence, 1 and 2 its views */
	const uint16_t *attribute; /* (ATTRIBUTES_MAX) as in struct batch, or NULL; borrowed */
};

/* x (D) += the rows of attr (*,D) that attribute (ATTRIBUTES_MAX) names; NULL: none. */
void attributes_forward(float *x, const float *attr, const uint16_t *attribute, const struct model_config *c);

struct encoder;
/* Room for seqs_max sequences of tokens_max tokens together. pool is borrowed. */
int encoder_new(struct encoder **ret, const struct model_config *c, struct pool *pool, size_t seqs_max, size_t tokens_max);
void encoder_free(struct encoder *e);

/* The list that the next calls work on: fill (seqs_max), then plan. Returns the tokens. */
struct sequence *encoder_sequences(struct encoder *e);
size_t encoder_plan(struct encoder *e, size_t seqs);

/* Training: with dropout, keeps activations. */
void encoder_forward(struct encoder *e, const struct tensors *w, const float *item, size_t ld, uint64_t step);
const float *encoder_h(const struct encoder *e);       /* (T,D) outputs */
const float *encoder_pooled(const struct encoder *e);  /* (seqs,D) mean or last output of each sequence */

/* Without dropout, overwriting h: (T,D) of all tokens, (seqs,D) of each sequence's newest one, or (seqs,D) pooled. Activations are not kept. */
enum infer { INFER_ALL, INFER_LAST, INFER_POOLED };
void encoder_infer(struct encoder *e, float *h, enum infer what, const struct tensors *w, const float *item, size_t ld);

/* The gradient is added to dense (floats of a block). Incoming: dpooled (seqs,D) or NULL, and dh (*,D): token t of the list
 * has row dh_row[t], -1 = none; tokens from dh_tokens on have none. The inputs' gradient is encoder_dinput. */
void encoder_backward(struct encoder *e, float *dense, const struct tensors *w, const float *dh, const int32_t *dh_row, size_t dh_tokens,
                      const float *dpooled, uint64_t step);
const float *encoder_dinput(const struct encoder *e);  /* (T,D) gradient of the item rows (mask tokens are in dense) */
#endif
