/* test_layers.c - every layer of the encoder against a plain double-precision loop: its output, and its backward against central
 * differences of that loop (sum of y times fixed random dy). Then the whole encoder: model_encode against the plain loops in a row.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/encoder.h"
#include "model/kernel.h"
#include "model/rng.h"
#include "model/state.h"
#include "model/vmath.h"

#define MOST 4096 /* elements of a tensor here */
enum { INPUTS = 3 };

/* One case: inputs in float and double, dy, what the layer and the plain loop make of them. */
struct layer {
	size_t N, D, O, heads, len[INPUTS], out;
	float in[INPUTS][MOST], d[INPUTS][MOST], y[MOST], dy[MOST], gain;
	double x[INPUTS][MOST], want[MOST];
	struct dropout drop;
	uint64_t key[64];
	void (*plain)(struct layer *l); /* want from x */
};

static float draw(uint64_t what, uint64_t i) { return (float)(2 * rng_unit(rng_bits(1, RNG_GENERATE, what, i, 0)) - 1); }

static struct layer *layer_new(void (*plain)(struct layer *l), size_t N, size_t D, size_t O, size_t out, size_t a, size_t b, size_t c)
{
	struct layer *l = calloc(1, sizeof *l);

	*l = (struct layer){ .N = N, .D = D, .O = O, .heads = 1, .len = { a, b, c }, .out = out, .plain = plain, .gain = 1 };
	for (size_t t = 0; t < INPUTS; t++)
		for (size_t i = 0; i < l->len[t]; i++)
			l->x[t][i] = l->in[t][i] = draw(t, i);
	for (size_t i = 0; i < out; i++)
		l->dy[i] = draw(9, i);
	return l;
}

static void expect_output(struct layer *l, const char *what)
{
	l->plain(l);
	for (size_t i = 0; i < l->out; i++)
		if (!(fabs(l->y[i] - l->want[i]) < 1e-5 * (1 + fabs(l->want[i]))))
			fail_msg("%s %zux%zux%zu: y[%zu] = %.8g, expected %.8g", what, l->N, l->D, l->O, i, l->y[i], l->want[i]);
}

static double objective(struct layer *l)
{
	double s = 0;

	l->plain(l);
	for (size_t i = 0; i < l->out; i++)
		s += l->want[i] * l->dy[i];
	return s;
}

/* before: what stood in d[t] before the layer added to it (0 where it overwrites). */
static void expect_gradient(struct layer *l, const char *what, int t, float before)
{
	for (size_t i = 0; i < l->len[t]; i++) {
		double keep = l->x[t][i], up, down, want;

		l->x[t][i] = keep + 1e-5;
		up = objective(l);
		l->x[t][i] = keep - 1e-5;
		down = objective(l);
		l->x[t][i] = keep;
		want = (up - down) / 2e-5 + before;
		if (!(fabs(l->d[t][i] - want) < 2e-5 * (1 + fabs(want))))
			fail_msg("%s %zux%zux%zu: gradient %d[%zu] = %.8g, expected %.8g", what, l->N, l->D, l->O, t, i, l->d[t][i], want);
	}
}

static void fill(float *x, float v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] = v;
}

/* ---- the definitions ---- */

/* y = x W^T + b */
static void linear(double *y, const double *x, const double *w, const double *b, size_t N, size_t D, size_t O)
{
	for (size_t n = 0; n < N; n++)
		for (size_t o = 0; o < O; o++) {
			y[n * O + o] = b[o];
			for (size_t d = 0; d < D; d++)
				y[n * O + o] += x[n * D + d] * w[o * D + d];
		}
}

/* y += gain (w (x - mean) / sqrt(variance + 1e-12) + b) */
static void layernorm(double *y, const double *x, const double *w, const double *b, double gain, size_t N, size_t D)
{
	for (size_t n = 0; n < N; n++) {
		double mean = 0, var = 0;

		for (size_t d = 0; d < D; d++)
			mean += x[n * D + d] / (double)D;
		for (size_t d = 0; d < D; d++)
			var += (x[n * D + d] - mean) * (x[n * D + d] - mean) / (double)D;
		for (size_t d = 0; d < D; d++)
			y[n * D + d] += gain * (w[d] * (x[n * D + d] - mean) / sqrt(var + 1e-12) + b[d]);
	}
}

/* One causal sequence. alive(h, i, j): the weight's factor under dropout, NULL = 1. */
static void attention(double *ctx, const double *qkv, const float *alive, size_t n, size_t D, size_t heads)
{
	size_t w = D / heads;

	for (size_t h = 0; h < heads; h++)
		for (size_t i = 0; i < n; i++) {
			double p[64], sum = 0;

			for (size_t j = 0; j <= i; j++) {
				p[j] = 0;
				for (size_t d = h * w; d < (h + 1) * w; d++)
					p[j] += qkv[i * 3 * D + d] * qkv[j * 3 * D + D + d];
				sum += p[j] = exp(p[j] / sqrt((double)w));
			}
			for (size_t d = h * w; d < (h + 1) * w; d++) {
				ctx[i * D + d] = 0;
				for (size_t j = 0; j <= i; j++)
					ctx[i * D + d] += p[j] / sum * (alive ? alive[(h * n + i) * n + j] : 1) * qkv[j * 3 * D + 2 * D + d];
			}
		}
}

/* One sequence: u = lo + b^2 (x - lo), lo the mean so far */
static void low_pass(double *u, const double *x, const double *b, size_t n, size_t D)
{
	for (size_t d = 0; d < D; d++)
		for (size_t l = 0; l < n; l++) {
			double lo = 0;

			for (size_t i = 0; i <= l; i++)
				lo += x[i * D + d] / (double)(l + 1);
			u[l * D + d] = lo + b[d] * b[d] * (x[l * D + d] - lo);
		}
}

static double gelu(double x) { return x * .5 * erfc(-x * M_SQRT1_2); }

/* ---- layers ---- */

static void plain_linear(struct layer *l) { linear(l->want, l->x[0], l->x[1], l->x[2], l->N, l->D, l->O); }

static void test_linear(void **state)
{
	static const size_t shape[][3] = { { 1, 1, 1 }, { 3, 7, 5 }, { 9, 4, 12 }, { 17, 16, 3 } };

	for (size_t i = 0; i < 4; i++) {
		size_t N = shape[i][0], D = shape[i][1], O = shape[i][2];
		struct layer *l = layer_new(plain_linear, N, D, O, N * O, N * D, O * D, O);
		float *wt = calloc(kernel_packed(D, O), sizeof *wt), *w = calloc(kernel_packed(O, D), sizeof *w), *pack = calloc(kernel_packed(N, D), sizeof *pack);

		kernel_pack_t(wt, l->in[1], D, D, O);
		kernel_pack(w, l->in[1], D, O, D);
		linear_forward(l->y, l->in[0], wt, l->in[2], N, D, O);
		expect_output(l, "linear");
		fill(l->d[0], 77, N * D);
		fill(l->d[1], .5f, O * D);
		fill(l->d[2], .5f, O);
		linear_backward(l->d[0], l->d[1], l->d[2], 0, pack, l->dy, l->in[0], w, N, D, O);
		expect_gradient(l, "linear", 0, 0);
		expect_gradient(l, "linear", 1, .5f);
		expect_gradient(l, "linear", 2, .5f);
		fill(l->d[0], .5f, N * D); /* more: added to */
		linear_backward(l->d[0], l->d[1], l->d[2], 1, pack, l->dy, l->in[0], w, N, D, O);
		expect_gradient(l, "linear", 0, .5f);
		free(wt);
		free(w);
		free(pack);
		free(l);
	}
}

static void plain_layernorm(struct layer *l)
{
	for (size_t i = 0; i < l->out; i++)
		l->want[i] = .25;
	layernorm(l->want, l->x[0], l->x[1], l->x[2], l->gain, l->N, l->D);
}

static void test_layernorm(void **state)
{
	static const size_t shape[][2] = { { 1, 2 }, { 3, 7 }, { 9, 16 }, { 5, 33 }, { 11, 64 } };

	for (size_t i = 0; i < 5; i++) {
		size_t N = shape[i][0], D = shape[i][1];
		struct layer *l = layer_new(plain_layernorm, N, D, 0, N * D, N * D, D, D);
		float *xhat = calloc(N * D, sizeof *xhat), rstd[16];

		l->gain = .3f;
		fill(l->y, .25f, N * D); /* added to */
		layernorm_forward(l->y, xhat, rstd, l->in[0], l->in[1], l->in[2], l->gain, 1, N, D);
		expect_output(l, "layernorm");
		fill(l->d[0], 77, N * D);
		fill(l->d[1], .5f, D);
		fill(l->d[2], .5f, D);
		layernorm_backward(l->d[0], l->d[1], l->d[2], l->dy, xhat, rstd, l->in[1], l->gain, N, D);
		if (D > 2) /* two elements become -1 and 1 whatever they were: differences see rounding alone */
			expect_gradient(l, "layernorm", 0, 0);
		expect_gradient(l, "layernorm", 1, .5f);
		expect_gradient(l, "layernorm", 2, .5f);
		free(xhat);
		free(l);
	}
}

static void plain_attention(struct layer *l)
{
	float alive[4 * 18 * 18];

	for (size_t h = 0; h < l->heads; h++)
		for (size_t i = 0; i < l->N; i++)
			dropout_mask(alive + (h * l->N + i) * l->N, rng_mix(l->key[i] + h), l->drop, l->N);
	attention(l->want, l->x[0], l->drop.threshold ? alive : NULL, l->N, l->D, l->heads);
}

static void test_attention(void **state)
{
	static const size_t shape[][3] = { { 1, 4, 1 }, { 2, 6, 3 }, { 7, 8, 2 }, { 12, 12, 4 }, { 11, 64, 2 }, { 18, 42, 1 } }; /* heads of 1 .. 42, 32 among them */

	for (size_t i = 0; i < 12; i++) {
		size_t n = shape[i / 2][0], D = shape[i / 2][1];
		struct layer *l = layer_new(plain_attention, n, D, 0, n * D, n * 3 * D, 0, 0);
		float p[4 * 18 * ATTENTION_ROW(18)], scratch[attention_scratch(18, 64)];

		l->heads = shape[i / 2][2];
		l->drop = dropout_from(i % 2 ? .4f : 0);
		for (size_t t = 0; t < n; t++)
			l->key[t] = rng_mix(t);
		fill(scratch, NAN, sizeof scratch / sizeof *scratch);
		attention_forward(l->y, p, scratch, l->in[0], l->key, l->drop, n, D, l->heads);
		expect_output(l, "attention");
		fill(l->d[0], 77, n * 3 * D);
		fill(scratch, NAN, sizeof scratch / sizeof *scratch);
		attention_backward(l->d[0], scratch, l->dy, p, l->in[0], l->key, l->drop, n, D, l->heads);
		expect_gradient(l, "attention", 0, 0);
		free(l);
	}
}

static void plain_low_pass(struct layer *l) { low_pass(l->want, l->x[0], l->x[1], l->N, l->D); }

static void test_low_pass(void **state)
{
	static const size_t shape[][2] = { { 1, 3 }, { 2, 1 }, { 9, 7 }, { 17, 16 } };

	for (size_t i = 0; i < 4; i++) {
		size_t n = shape[i][0], D = shape[i][1];
		struct layer *l = layer_new(plain_low_pass, n, D, 0, n * D, n * D, D, 0);
		float run[32], lo[MOST];

		low_pass_forward(l->y, run, l->in[0], l->in[1], n, D);
		expect_output(l, "low-pass");
		fill(l->d[0], .5f, n * D);
		fill(l->d[1], .5f, D);
		low_pass_backward(l->d[0], l->d[1], lo, run, l->dy, l->in[0], l->in[1], n, D);
		expect_gradient(l, "low-pass", 0, .5f);
		expect_gradient(l, "low-pass", 1, .5f);
		free(l);
	}
}

static void plain_gelu(struct layer *l)
{
	for (size_t i = 0; i < l->out; i++)
		l->want[i] = gelu(l->x[0][i]);
}

static void test_gelu(void **state)
{
	struct layer *l = layer_new(plain_gelu, 1, 611, 0, 611, 611, 0, 0);

	for (size_t i = 0; i < 611; i++)
		l->x[0][i] = l->in[0][i] = .05f * ((float)i - 305); /* -15 .. 15 */
	vmath_gelu(l->y, l->in[0], 611);
	expect_output(l, "gelu");
	vmath_gelu_slope(l->y, l->d[0], l->in[0], 611);
	expect_output(l, "gelu");
	for (size_t i = 0; i < 611; i++)
		l->d[0][i] *= l->dy[i];
	expect_gradient(l, "gelu", 0, 0);
	free(l);
}

/* Half of the elements or so live and are scaled to keep the mean; the same key gives the same mask. */
static void test_dropout(void **state)
{
	struct dropout drop = dropout_from(.3f);
	float mask[1000], x[1000];
	double sum = 0;

	fill(x, 2, 1000);
	dropout_mask(mask, 5, drop, 1000);
	dropout_apply(x, x, 5, drop, 1000);
	for (size_t i = 0; i < 1000; i++) {
		assert_true(x[i] == 2 * mask[i] && (mask[i] == 0 || mask[i] == drop.scale));
		sum += mask[i];
	}
	assert_true(fabs(sum / 1000 - 1) < .07);
	assert_true(drop.threshold == 77 && fabsf(drop.scale - 256.0f / 179) < 1e-6f); /* the scale matches the rounded share */
}

/* ---- the encoder ---- */

enum { L = 9, D = 12, N = 20 };

static const double *tensor(struct model *m, const char *format, size_t block)
{
	static double copy[24][4 * D * D];
	static int next;
	char name[64];
	size_t R, C;
	const float *x;
	double *ret = copy[next++ % 24];

	snprintf(name, sizeof name, format, block);
	x = model_tensor(m, name, &R, &C);
	assert_non_null(x);
	for (size_t i = 0; i < R * C; i++)
		ret[i] = x[i];
	return ret;
}

static void plain_block(struct model *m, double *x, size_t n, size_t b)
{
	const struct model_config *c = model_config(m);
	double qkv[L * 3 * D], part[L * D], ctx[L * D], r[L * D], y[L * D] = { 0 }, wide[L * 4 * D];
	const char *const names[][2] = { { "blocks.%zu.q.weight", "blocks.%zu.q.bias" }, { "blocks.%zu.k.weight", "blocks.%zu.k.bias" }, { "blocks.%zu.v.weight", "blocks.%zu.v.bias" } };

	for (size_t i = 0; i < 3; i++) {
		linear(part, x, tensor(m, names[i][0], b), tensor(m, names[i][1], b), n, D, D);
		for (size_t t = 0; t < n; t++)
			memcpy(qkv + t * 3 * D + i * D, part + t * D, D * sizeof(double));
	}
	attention(ctx, qkv, NULL, n, D, c->heads);
	linear(r, ctx, tensor(m, "blocks.%zu.o.weight", b), tensor(m, "blocks.%zu.o.bias", b), n, D, D);
	for (size_t i = 0; i < n * D; i++)
		r[i] += x[i];
	layernorm(y, r, tensor(m, "blocks.%zu.ln1.weight", b), tensor(m, "blocks.%zu.ln1.bias", b), c->low_pass ? .3 : 1, n, D);
	if (c->low_pass) {
		low_pass(r, x, tensor(m, "blocks.%zu.lowpass.b", b), n, D);
		for (size_t i = 0; i < n * D; i++)
			r[i] += x[i];
		layernorm(y, r, tensor(m, "blocks.%zu.ln3.weight", b), tensor(m, "blocks.%zu.ln3.bias", b), .7, n, D);
	}
	linear(wide, y, tensor(m, "blocks.%zu.f1.weight", b), tensor(m, "blocks.%zu.f1.bias", b), n, D, 4 * D);
	for (size_t i = 0; i < n * 4 * D; i++)
		wide[i] = gelu(wide[i]);
	linear(r, wide, tensor(m, "blocks.%zu.f2.weight", b), tensor(m, "blocks.%zu.f2.bias", b), n, 4 * D, D);
	for (size_t i = 0; i < n * D; i++) {
		r[i] += y[i];
		x[i] = 0;
	}
	layernorm(x, r, tensor(m, "blocks.%zu.ln2.weight", b), tensor(m, "blocks.%zu.ln2.bias", b), 1, n, D);
}

static void plain_encoder(struct model *m, double *x, const uint32_t *item, size_t n)
{
	const struct model_config *c = model_config(m);
	const double *pos = tensor(m, "pos.weight", 0);
	double e[L * D];

	for (size_t t = 0; t < n; t++) {
		float row[D];

		model_item_vector(m, row, item[t]); /* dot scores: the row itself */
		for (size_t d = 0; d < D; d++)
			e[t * D + d] = row[d] + pos[(L - n + t) * D + d];
	}
	memset(x, 0, n * D * sizeof(double));
	layernorm(x, e, tensor(m, "ln.weight", 0), tensor(m, "ln.bias", 0), 1, n, D);
	for (size_t b = 0; b < c->layers; b++)
		plain_block(m, x, n, b);
}

static void encoder_case(size_t heads, size_t layers, int with_low_pass)
{
	struct model_config c = { .L = L, .D = D, .heads = heads, .layers = layers, .K = 2, .dropout = .5f, .low_pass = with_low_pass, .eps = 1, .tau1 = 1, .tau2 = 1,
		.tau3 = 1, .adam_eps = 1e-8f, .seed = 3, .threads = 2, .items_max = N, .batch_users_max = 70 };
	struct model *m;
	uint32_t start[71] = { 0 }, item[70 * L], row;
	float h[70 * L * D], last[70 * D];
	struct batch b = { .B = 70, .start = start, .item = item };

	assert_int_equal(model_new(&m, &c), 0);
	for (int i = 0; i < N; i++)
		assert_int_equal(model_add_item(m, &row), 0);
	for (size_t i = 0; model_tensor_name(m, i); i++) { /* away from zeros and ones, so that every tensor counts */
		size_t R, C;
		float *x = model_tensor(m, model_tensor_name(m, i), &R, &C);

		for (size_t j = 0; j < R * C; j++)
			x[j] += .3f * draw(20 + i, j);
	}
	for (uint32_t u = 0; u < 70; u++) {
		start[u + 1] = start[u] + 1 + u % L;
		for (uint32_t t = start[u]; t < start[u + 1]; t++)
			item[t] = (uint32_t)rng_below(rng_mix(t), N);
	}
	b.T = start[70];
	model_encode(m, h, &b);
	model_encode_last(m, last, &b);
	for (uint32_t u = 0; u < 70; u++) {
		double x[L * D];
		size_t n = start[u + 1] - start[u];

		plain_encoder(m, x, item + start[u], n);
		for (size_t i = 0; i < n * D; i++)
			if (!(fabs(h[start[u] * D + i] - x[i]) < 2e-5))
				fail_msg("user %u of %zu tokens: h[%zu] = %.8g, expected %.8g", u, n, i, h[start[u] * D + i], x[i]);
		for (size_t d = 0; d < D; d++)
			assert_true(fabs(last[u * D + d] - x[(n - 1) * D + d]) < 2e-5);
	}
	model_free(m);
}

static void test_whole_encoder(void **state)
{
	encoder_case(1, 1, 0);
	encoder_case(3, 2, 0);
	encoder_case(2, 1, 1);
	encoder_case(4, 3, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_linear), cmocka_unit_test(test_layernorm), cmocka_unit_test(test_attention), cmocka_unit_test(test_low_pass),
		cmocka_unit_test(test_gelu), cmocka_unit_test(test_dropout), cmocka_unit_test(test_whole_encoder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
