/* tensors.h - the dense tensors of the model, listed once. Struct, sizes, initial values, names in golden files and in the
 * state topic all come from the two tables below. A set of tensors is one block of floats (weights, a moment, or a gradient)
 * and a struct of pointers into it. A tensor with 0 rows is absent (NULL). Values: any thread.
 *
 * Columns: field, name, rows, cols, initial value, meaning. c is the configuration.
 */
#ifndef S4REC_TENSORS_H
#define S4REC_TENSORS_H
#include "model/model.h"

#define LAYERS_MAX 8
enum tensor_init { INIT_ZERO, INIT_ONE, INIT_NORMAL, INIT_LOW_PASS };

#define TENSORS(X) \
	X(pos,   "pos.weight", c->L, c->D, INIT_NORMAL, "position embedding; row L-1 is the newest position") \
	X(mask,  "mask",       1,    c->D, INIT_NORMAL, "embedding of the mask token") \
	X(ln_w,  "ln.weight",  1,    c->D, INIT_ONE,    "LayerNorm after item + position") \
	X(ln_b,  "ln.bias",    1,    c->D, INIT_ZERO,   "") \
	X(mu,    "mu",         c->K, c->D, INIT_NORMAL, "prototypes") \
	X(cls_w, "cls.weight", 2,    c->D, INIT_NORMAL, "head/tail classifier of the adversary") \
	X(cls_b, "cls.bias",   1,    2,    INIT_ZERO,   "") \
	X(attr,  "attr",       c->attributes, c->D, INIT_ZERO, "attributes of users and items; zeros: what was never seen says nothing")

/* q, k, v are adjacent: one (3D,D) product makes all three. */
#define BLOCK_TENSORS(X) \
	X(qw,   "q.weight",   c->D,     c->D,     INIT_NORMAL, "attention: query") \
	X(kw,   "k.weight",   c->D,     c->D,     INIT_NORMAL, "key") \
	X(vw,   "v.weight",   c->D,     c->D,     INIT_NORMAL, "value") \
	X(qb,   "q.bias",     1,        c->D,     INIT_ZERO,   "") \
	X(kb,   "k.bias",     1,        c->D,     INIT_ZERO,   "its gradient is zero by nature: softmax ignores a constant") \
	X(vb,   "v.bias",     1,        c->D,     INIT_ZERO,   "") \
	X(ow,   "o.weight",   c->D,     c->D,     INIT_NORMAL, "output of the heads") \
	X(ob,   "o.bias",     1,        c->D,     INIT_ZERO,   "") \
	X(ln1w, "ln1.weight", 1,        c->D,     INIT_ONE,    "LayerNorm after attention") \
	X(ln1b, "ln1.bias",   1,        c->D,     INIT_ZERO,   "") \
	X(lp,   "lowpass.b",  LP_ROWS,  c->D,     INIT_LOW_PASS, "low-pass branch: how much of the high frequencies stays, squared") \
	X(ln3w, "ln3.weight", LP_ROWS,  c->D,     INIT_ONE,    "LayerNorm of the low-pass branch") \
	X(ln3b, "ln3.bias",   LP_ROWS,  c->D,     INIT_ZERO,   "") \
	X(f1w,  "f1.weight",  4 * c->D, c->D,     INIT_NORMAL, "feed-forward, wide") \
	X(f1b,  "f1.bias",    1,        4 * c->D, INIT_ZERO,   "") \
	X(f2w,  "f2.weight",  c->D,     4 * c->D, INIT_NORMAL, "feed-forward, back") \
	X(f2b,  "f2.bias",    1,        c->D,     INIT_ZERO,   "") \
	X(ln2w, "ln2.weight", 1,        c->D,     INIT_ONE,    "LayerNorm after feed-forward") \
	X(ln2b, "ln2.bias",   1,        c->D,     INIT_ZERO,   "")
#define LP_ROWS ((size_t)(c->low_pass != 0))

#define FIELD(field, ...) float *field;
struct block_tensors { BLOCK_TENSORS(FIELD) };
struct tensors {
	TENSORS(FIELD)
	struct block_tensors block[LAYERS_MAX];
};
#undef FIELD

struct tensor_info { char name[64]; size_t rows, cols, at; enum tensor_init init; };
#define TENSOR_INFO_MAX (16 + 24 * LAYERS_MAX)

/* Lists the tensors in block order; returns how many. *ret_floats = floats in a block. */
size_t tensors_list(struct tensor_info ret[TENSOR_INFO_MAX], size_t *ret_floats, const struct model_config *c);
/* Points ret into a block. */
void tensors_point(struct tensors *ret, float *block, const struct model_config *c);
/* Initial values, a function of (seed, name order): N(0, .02), zeros, ones. */
void tensors_init(float *block, const struct model_config *c);
/* x (n) ~ N(0, .02) from (seed, use, a): Box-Muller, one pair per 64-bit key. */
void draw_normal(float *x, size_t n, uint64_t seed, int use, uint64_t a);
#endif
