/* kernels.h - part of step.c: what the kernels and the losses reach, each alone. The clock, the pools and the peaks are step.c's. */
#ifndef S4REC_BENCH_KERNELS_H
#define S4REC_BENCH_KERNELS_H

/* ---- kernels ---- */

/* Buffers of one thread; N tokens, D width, L length of its sequences. */
struct bench { float *x, *wide, *wide2, *w, *packed, *small, *p; uint64_t key[256]; uint32_t item[192], row[192], view[64]; size_t D, L; };
static struct bench bench[THREADS];
static float *table; /* (ROWS, 3 D) as item rows lie; the threads share it */
#define TOKENS 192
#define ROWS 100000

static void k_sgemm(void *ctx, size_t unit, int t)
{
	struct bench *b = &bench[t];
	int d = (int)b->D;

	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, TOKENS, 4 * d, d, 1, b->x, d, b->w, d, 0, b->wide, 4 * d);
}
static void k_mul(void *ctx, size_t unit, int t) { struct bench *b = &bench[t]; kernel_mul(b->wide, 4 * b->D, b->x, b->D, b->packed, NULL, 0, TOKENS, 4 * b->D, b->D); }
static void k_mul_t(void *ctx, size_t unit, int t) { struct bench *b = &bench[t]; kernel_mul_t(b->w, b->D, b->wide, 4 * b->D, b->packed, 4 * b->D, b->D, TOKENS); }
static void k_exp(void *ctx, size_t unit, int t) { struct bench *b = &bench[t]; kernel_mul_exp(b->wide, 4 * b->D, b->x, b->D, b->packed, NULL, b->small, TOKENS, 4 * b->D, b->D); }
static void k_gelu(void *ctx, size_t unit, int t) { struct bench *b = &bench[t]; vmath_gelu_slope(b->wide, b->wide2, b->x, TOKENS * b->D); }
static void k_exp_sum(void *ctx, size_t unit, int t) { struct bench *b = &bench[t]; b->small[0] = 1e-30f * vmath_exp_sum(b->wide, b->x, 1, 0, TOKENS * b->D); }
static void k_layernorm(void *ctx, size_t unit, int t) { struct bench *b = &bench[t]; layernorm_forward(b->wide, b->wide2, b->small, b->x, b->w, b->w, 1, 0, TOKENS, b->D); }
static void k_layernorm_back(void *ctx, size_t unit, int t)
{
	struct bench *b = &bench[t];

	layernorm_backward(b->wide, b->wide2, b->wide2 + b->D, b->wide + 2 * TOKENS * b->D, b->x, b->small, b->w, 1, TOKENS, b->D);
}
static void k_low_pass(void *ctx, size_t unit, int t)
{
	struct bench *b = &bench[t];
	size_t n = TOKENS * b->D;

	for (size_t at = 0; at + b->L <= TOKENS; at += b->L) {
		low_pass_forward(b->wide + at * b->D, b->p, b->x + at * b->D, b->w, b->L, b->D);
		low_pass_backward(b->wide + n + at * b->D, b->wide2, b->wide + 2 * n, b->p, b->wide + at * b->D, b->x + at * b->D, b->w, b->L, b->D);
	}
}
/* Item rows of a batch; each unit has others. */
static size_t row_of(const struct bench *b, size_t unit, size_t n) { return (b->row[n % TOKENS] + unit * 1237) % ROWS; }
static void k_gather(void *ctx, size_t unit, int t)
{
	struct bench *b = &bench[t];

	for (size_t n = 0; n < TOKENS; n++) {
		vmath_prefetch(table + 3 * b->D * row_of(b, unit, n + 8), b->D);
		memcpy(b->wide + n * b->D, table + 3 * b->D * row_of(b, unit, n), b->D * sizeof *table);
	}
}
static void k_scatter(void *ctx, size_t unit, int t)
{
	struct bench *b = &bench[t];

	for (size_t n = 0; n < TOKENS; n++) { /* each thread its half of the rows */
		vmath_prefetch(table + 3 * b->D * (row_of(b, unit, n + 8) / THREADS + (size_t)t * (ROWS / THREADS)), b->D);
		vmath_axpy(table + 3 * b->D * (row_of(b, unit, n) / THREADS + (size_t)t * (ROWS / THREADS)), 1e-6f, b->x + n * b->D, b->D);
	}
}
static void k_augment(void *ctx, size_t unit, int t)
{
	static const struct model_config c = { .L = 50, .mask_share = .3f, .crop_share = .8f, .reorder_share = .2f, .insert_share = .2f };
	struct bench *b = &bench[t];

	for (size_t n = 0; n + b->L <= TOKENS; n += b->L)
		augment_view(b->view, b->item + n, b->L, b->item, TOKENS, &c, unit, n, 0);
}
static void k_dropout(void *ctx, size_t unit, int t)
{
	struct bench *b = &bench[t];

	for (size_t n = 0; n < TOKENS; n++)
		dropout_apply(b->wide + n * b->D, b->x + n * b->D, n, dropout_from(.5f), b->D);
}
static void k_attention(void *ctx, size_t unit, int t)
{
	struct bench *b = &bench[t];
	float scratch[attention_scratch(b->L, b->D)];

	for (size_t n = 0; n + b->L <= TOKENS; n += b->L) {
		attention_forward(b->x + n * b->D, b->p, scratch, b->wide + n * 3 * b->D, b->key, dropout_from(.5f), b->L, b->D, 2);
		attention_backward(b->wide2 + n * 3 * b->D, scratch, b->x + n * b->D, b->p, b->wide + n * 3 * b->D, b->key, dropout_from(.5f), b->L, b->D, 2);
	}
}
static void k_adam(void *ctx, size_t unit, int t)
{
	struct bench *b = &bench[t];
	struct adam a = { .lr = 1e-3f, .beta_1 = .9f, .beta_2 = .999f, .eps = 1e-8f, .correct_1 = 1, .correct_2 = 1, .scale = 1 };
	size_t n = TOKENS * b->D;

	adam_step(b->wide2, b->wide2 + n, b->wide2 + 2 * n, b->x, &a, n);
}

static void bench_init(size_t D)
{
	table = numbers(ROWS * 3 * D);
	for (int t = 0; t < THREADS; t++) {
		bench[t] = (struct bench){ .x = numbers(TOKENS * D), .wide = numbers(TOKENS * 4 * D), .wide2 = numbers(TOKENS * 4 * D), .w = numbers(4 * D * D),
			.packed = numbers(kernel_packed(TOKENS, 4 * D)), .small = numbers(TOKENS), .p = numbers(2 * 64 * 64), .D = D };
		for (uint32_t i = 0; i < TOKENS; i++) {
			bench[t].item[i] = i;
			bench[t].row[i] = (uint32_t)rng_below(rng_bits(1, RNG_GENERATE, i, (uint64_t)t, 3), ROWS);
		}
	}
}

static void bench_release(void)
{
	free(table);
	for (int t = 0; t < THREADS; t++) {
		struct bench *b = &bench[t];

		free(b->x); free(b->wide); free(b->wide2); free(b->w); free(b->packed); free(b->small); free(b->p);
	}
}

/* work: floating-point operations (products) or elements a unit has; as a product it is compared with the peak. */
static void kernel_line(const char *name, size_t D, size_t L, void (*fn)(void *, size_t, int), double work, int product)
{
	double s[THREADS + 1];

	for (int t = 0; t < THREADS; t++) {
		memset(bench[t].wide2, 0, TOKENS * 4 * D * sizeof(float)); /* Adam's moments: not below 0 */
		bench[t].L = L;
	}
	for (int t = 1; t <= THREADS; t++)
		s[t] = unit_seconds(t, fn, NULL);
	printf("kernel        d=%-3zu %-34s %6.3f / %6.3f us/token", D, name, s[1] * 1e6 / TOKENS, s[2] * 1e6 / TOKENS);
	printf(product ? "  %6.1f / %6.1f GF/s" : "  %6.2f / %6.2f G/s ", work / s[1] * 1e-9, work / s[2] * 1e-9);
	if (product && peak[1] > 0)
		printf("  %3.0f / %3.0f %% of peak", 100 * work / s[1] * 1e-9 / peak[1], 100 * work / s[2] * 1e-9 / peak[2]);
	printf("  x%.2f\n", s[1] / s[2]);
}

/* ---- losses, each alone: one call for the batch, shared out as the step does ---- */

#define TARGETS 1536 /* 256 users of 6 */
#define LOSS_USERS 256
#define LOSS_K 128
#define SAMPLES 512

/* What all of them read and write; E lies as item rows do, 3 D apart. */
struct alone {
	struct nextitem *full, *sampled, *bce;
	float *h, *dh, *E, *dE, *dT, *dN, *logq, *z, *dz, *mu, *dmu, *scores, *q, *scratch;
	uint32_t target[TARGETS], negative[TARGETS], hk[LOSS_USERS];
	uint8_t head[LOSS_USERS];
	size_t D;
	struct pool *pool;
};
static volatile double loss_sink;

static void a_full(struct alone *a) { loss_sink = nextitem_full(a->full, a->dh, a->dE, a->h, a->target, NULL, a->E, 3 * a->D, NULL, TARGETS, BEAUTY_ITEMS); }
static void a_sampled(struct alone *a) { loss_sink = nextitem_sampled(a->sampled, a->dh, a->dT, a->dN, a->h, a->target, a->negative, NULL, a->logq, a->E, 3 * a->D, TARGETS); }
static void a_bce(struct alone *a) { loss_sink = nextitem_bce(a->bce, a->dh, a->dT, a->dN, a->h, a->target, a->negative, NULL, a->E, 3 * a->D, TARGETS); }
static void a_sinkhorn(struct alone *a) { sinkhorn(a->q, a->scores, 2 * LOSS_USERS, LOSS_K, .05f, 3, a->scratch); }
static void a_contrast(struct alone *a)
{
	size_t n = LOSS_USERS * a->D;

	loss_sink = contrast_loss(a->dz, a->dz + n, a->dmu, a->z, a->z + n, a->mu, a->hk, LOSS_USERS, LOSS_K, a->D, 1, 1, .1f, a->scratch, a->pool);
}
static void a_distill(struct alone *a) { loss_sink = distill_loss(a->dz, a->dmu, a->z, a->mu, a->hk, LOSS_USERS, a->D, 1, 0, .1f); }
static void a_adversary(struct alone *a) { loss_sink = adversary_loss(a->dz, a->dmu, a->dmu + 2 * a->D, a->z, a->mu, a->mu + 2 * a->D, a->head, LOSS_USERS, a->D, .1f); }
static void a_pool_of_rows(struct alone *a) { augment_pool(a->negative, a->negative + TARGETS / 2, a->target, TARGETS / 2); }

static struct nextitem *next_of(enum loss_form loss, size_t negatives, size_t D, struct pool *p)
{
	struct model_config c = { .D = D, .loss = loss, .negatives = negatives, .cosine = 1, .cosine_tau = .07f, .items_max = BEAUTY_ITEMS, .batch_tokens_max = TARGETS };
	struct nextitem *x;

	if (nextitem_new(&x, &c, p))
		exit(71);
	return x;
}

static void alone_init(struct alone *a, size_t D)
{
	*a = (struct alone){ .h = numbers(TARGETS * D), .dh = numbers(TARGETS * D), .E = numbers(BEAUTY_ITEMS * 3 * D), .dE = numbers(BEAUTY_ITEMS * D),
		.dT = numbers(TARGETS * D), .dN = numbers(TARGETS * D), .logq = numbers(SAMPLES), .z = numbers(2 * LOSS_USERS * D), .dz = numbers(2 * LOSS_USERS * D),
		.mu = numbers(LOSS_K * D), .dmu = numbers(LOSS_K * D), .scores = numbers(2 * LOSS_USERS * LOSS_K), .q = numbers(2 * LOSS_USERS * LOSS_K),
		.scratch = numbers(contrast_scratch(LOSS_USERS, LOSS_K, D)), .D = D };
	for (uint32_t i = 0; i < TARGETS; i++) {
		a->target[i] = (uint32_t)rng_below(rng_bits(1, RNG_GENERATE, i, 0, 4), BEAUTY_ITEMS);
		a->negative[i] = (uint32_t)rng_below(rng_bits(1, RNG_GENERATE, i, 1, 4), BEAUTY_ITEMS);
	}
	for (uint32_t u = 0; u < LOSS_USERS; u++) {
		a->hk[u] = u % LOSS_K;
		a->head[u] = u % 5 == 0;
	}
}

static void alone_release(struct alone *a)
{
	free(a->h); free(a->dh); free(a->E); free(a->dE); free(a->dT); free(a->dN); free(a->logq); free(a->z); free(a->dz);
	free(a->mu); free(a->dmu); free(a->scores); free(a->q); free(a->scratch);
}

/* rows: what us are per; work: floating-point operations of the call's products, 0 = it has none to speak of. */
static void alone_line(struct alone *a, const char *name, void (*fn)(struct alone *), size_t rows, const char *row, double work)
{
	double us[THREADS + 1];

	for (int t = 1; t <= THREADS; t++) {
		a->pool = pool[t];
		a->full = next_of(LOSS_FULL, 1, a->D, pool[t]);
		a->sampled = next_of(LOSS_SAMPLED, SAMPLES, a->D, pool[t]);
		a->bce = next_of(LOSS_BCE, 1, a->D, pool[t]);
		us[t] = 1e9;
		for (int turn = 0; turn < 6; turn++) {
			double start = now(), s;

			fn(a);
			s = (now() - start) * 1e6 / (double)rows;
			us[t] = s < us[t] ? s : us[t];
		}
		nextitem_free(a->full);
		nextitem_free(a->sampled);
		nextitem_free(a->bce);
	}
	printf("loss          d=%-3zu %-34s %6.3f / %6.3f us/%s", a->D, name, us[1], us[2], row);
	if (work > 0)
		printf("  %6.1f / %6.1f GF/s", work / us[1] / (double)rows * 1e-3, work / us[2] / (double)rows * 1e-3);
	if (work > 0 && peak[1] > 0)
		printf("  %3.0f / %3.0f %% of peak", 100 * work / us[1] / (double)rows * 1e-3 / peak[1], 100 * work / us[2] / (double)rows * 1e-3 / peak[2]);
	printf("  x%.2f\n", us[1] / us[2]);
}

static void measure_alone(size_t D)
{
	double d = (double)D, columns = 2 * LOSS_USERS + LOSS_K;
	static struct alone a;

	alone_init(&a, D);
	alone_line(&a, "next item, full, 12101 items", a_full, TARGETS, "target", 6 * d * BEAUTY_ITEMS * TARGETS);
	alone_line(&a, "next item, sampled 512", a_sampled, TARGETS, "target", 6 * d * SAMPLES * TARGETS);
	alone_line(&a, "next item, BCE, one negative", a_bce, TARGETS, "target", 0);
	alone_line(&a, "Sinkhorn, 512 z, K 128", a_sinkhorn, 2 * LOSS_USERS, "z", 0);
	alone_line(&a, "contrast, 256 users, K 128", a_contrast, LOSS_USERS, "user", 6 * d * 2 * LOSS_USERS * columns);
	alone_line(&a, "distillation, one view", a_distill, LOSS_USERS, "user", 0);
	alone_line(&a, "adversary", a_adversary, LOSS_USERS, "user", 0);
	alone_line(&a, "items that insert draws from", a_pool_of_rows, TARGETS / 2, "token", 0);
	alone_release(&a);
}

/* ---- all of them ---- */

static void measure_kernels(void)
{
	for (size_t D = 64; D <= 128; D *= 2) {
		double mul = 2.0 * TOKENS * 4 * (double)(D * D), n = (double)(TOKENS * D);

		bench_init(D);
		kernel_line("OpenBLAS x W^T, (192,d)(4d,d)^T", D, 6, k_sgemm, mul, 1);
		kernel_line("kernel_mul, the same", D, 6, k_mul, mul, 1);
		kernel_line("kernel_mul_t, (192,4d)^T (192,d)", D, 6, k_mul_t, mul, 1);
		kernel_line("kernel_mul_exp, as kernel_mul", D, 6, k_exp, mul, 1);
		kernel_line("attention both ways, length 6", D, 6, k_attention, n, 0);
		kernel_line("attention both ways, length 50", D, 50, k_attention, n, 0);
		kernel_line("exp and sum", D, 6, k_exp_sum, n, 0);
		kernel_line("gelu and slope", D, 6, k_gelu, n, 0);
		kernel_line("layernorm forward", D, 6, k_layernorm, n, 0);
		kernel_line("layernorm backward", D, 6, k_layernorm_back, n, 0);
		kernel_line("low-pass both ways, length 6", D, 6, k_low_pass, n, 0);
		kernel_line("low-pass both ways, length 50", D, 50, k_low_pass, n, 0);
		kernel_line("dropout", D, 6, k_dropout, n, 0);
		kernel_line("adam", D, 6, k_adam, n, 0);
		kernel_line("views, length 6", D, 6, k_augment, TOKENS, 0);
		kernel_line("rows copied, from 100 k", D, 6, k_gather, n, 0);
		kernel_line("rows added to, of 100 k", D, 6, k_scatter, n, 0);
		bench_release();
		measure_alone(D);
	}
}
#endif
