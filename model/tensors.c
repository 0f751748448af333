/* tensors.c - everything that follows from the tables of tensors.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/rng.h"
#include "model/tensors.h"

size_t tensors_list(struct tensor_info ret[TENSOR_INFO_MAX], size_t *ret_floats, const struct model_config *c)
{
	size_t n = 0, at = 0;

#define ADD(r_, c_, init_, ...) do { \
		if ((r_) > 0) { \
			struct tensor_info *t = &ret[n++]; \
			snprintf(t->name, sizeof(t->name), __VA_ARGS__); \
			t->rows = (r_); t->cols = (c_); t->at = at; t->init = (init_); \
			at += t->rows * t->cols; \
		} \
	} while (0);
#define X(field, name, rows, cols, init, meaning) ADD(rows, cols, init, "%s", name)
	TENSORS(X)
#undef X
#define X(field, name, rows, cols, init, meaning) ADD(rows, cols, init, "blocks.%zu.%s", i, name)
	for (size_t i = 0; i < c->layers; i++) {
		BLOCK_TENSORS(X)
	}
#undef X
#undef ADD
	*ret_floats = at;
	return n;
}

void tensors_point(struct tensors *ret, float *block, const struct model_config *c)
{
	memset(ret, 0, sizeof(*ret));
#define X(field, name, rows, cols, init, meaning) ret->field = (rows) > 0 ? block : NULL; block += (rows) * (cols);
	TENSORS(X)
#undef X
#define X(field, name, rows, cols, init, meaning) ret->block[i].field = (rows) > 0 ? block : NULL; block += (rows) * (cols);
	for (size_t i = 0; i < c->layers; i++) {
		BLOCK_TENSORS(X)
	}
#undef X
}

void draw_normal(float *x, size_t n, uint64_t seed, int use, uint64_t a)
{
	for (size_t i = 0; i < n; i += 2) {
		double u = 1.0 - rng_unit(rng_bits(seed, (enum rng_use)use, a, i, 0)); /* (0, 1]: the log is finite */
		double v = rng_unit(rng_bits(seed, (enum rng_use)use, a, i, 1));
		double r = .02 * sqrt(-2 * log(u));

		x[i] = (float)(r * cos(2 * M_PI * v));
		if (i + 1 < n)
			x[i + 1] = (float)(r * sin(2 * M_PI * v));
	}
}

void tensors_init(float *block, const struct model_config *c)
{
	struct tensor_info info[TENSOR_INFO_MAX];
	size_t floats, n = tensors_list(info, &floats, c);

	for (size_t i = 0; i < n; i++) {
		float *x = block + info[i].at;
		size_t len = info[i].rows * info[i].cols;

		if (info[i].init == INIT_NORMAL)
			draw_normal(x, len, c->seed, RNG_TENSOR_INIT, i);
		else
			for (size_t j = 0; j < len; j++)
				x[j] = info[i].init == INIT_ONE ? 1.0f : info[i].init == INIT_LOW_PASS ? .7f : 0.0f;
	}
}
