/* loo.c - see loo.h. Reading order: loo_run, then the phases that it names. */
#include "worker/eval/loo.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "model/rng.h"
#include "model/state.h"
#include "worker/log.h"
#include "worker/model_config.h"
#include "worker/model_file.h"

#define TOP LOO_TOP
#define KMEANS_ROUNDS 20

const size_t loo_cut[CUTS] = { 5, 10, TOP };
const char *const loo_group[GROUPS] = { "all", "head", "tail", "few" };

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static size_t min(size_t a, size_t b) { return a < b ? a : b; }

/* ---- questions ---- */

struct length { uint32_t n, user; };

static int by_length(const void *a, const void *b)
{
	const struct length *x = a, *y = b;

	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return (x->user > y->user) - (x->user < y->user);
}

/* All give up the same number of items, so whole lengths order as training lengths do. */
int head_users(uint8_t **ret, const struct sequences *s)
{
	struct length *l = calloc(s->users, sizeof *l);
	uint8_t *head = calloc(s->users, 1);

	if (!l || !head) {
		free(l);
		free(head);
		return -ENOMEM;
	}
	for (size_t u = 0; u < s->users; u++)
		l[u] = (struct length){ (uint32_t)sequences_length(s, u), (uint32_t)u };
	qsort(l, s->users, sizeof *l, by_length);
	for (size_t i = 0; i < s->users / 5; i++)
		head[l[i].user] = 1;
	free(l);
	*ret = head;
	return 0;
}

static void add_question(struct questions *q, const uint32_t *item, size_t inputs, size_t L)
{
	size_t n = min(inputs, L);

	memcpy(q->exclude + q->exclude_start[q->n], item, inputs * sizeof *item);
	memcpy(q->item + q->tokens, item + inputs - n, n * sizeof *item);
	q->answer[q->n] = item[inputs];
	q->tokens += n;
	q->n++;
	q->start[q->n] = (uint32_t)q->tokens;
	q->exclude_start[q->n] = q->exclude_start[q->n - 1] + (uint32_t)inputs;
}

int questions_new(struct questions *ret, const struct sequences *s, size_t L, size_t last)
{
	struct questions q = {
		.start = calloc(s->users + 1, sizeof *q.start), .item = calloc(s->events, sizeof *q.item),
		.exclude_start = calloc(s->users + 1, sizeof *q.exclude_start), .exclude = calloc(s->events, sizeof *q.exclude),
		.answer = calloc(s->users, sizeof *q.answer), .few = calloc(s->users, 1),
	};

	assert(last + 2 <= SEQUENCE_MIN);
	if (!q.start || !q.item || !q.exclude_start || !q.exclude || !q.answer || !q.few || head_users(&q.head, s) < 0) {
		questions_release(&q);
		return -ENOMEM;
	}
	for (size_t u = 0; u < s->users; u++) {
		q.few[u] = sequences_length(s, u) <= FEW_EVENTS;
		add_question(&q, s->item + s->start[u], sequences_length(s, u) - 1 - last, L);
	}
	*ret = q;
	return 0;
}

void questions_release(struct questions *q)
{
	free(q->start);
	free(q->item);
	free(q->exclude_start);
	free(q->exclude);
	free(q->answer);
	free(q->head);
	free(q->few);
	*q = (struct questions){ 0 };
}

/* ---- samples ---- */

static int add_sample(struct samples *s, struct sample x)
{
	if (s->count == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 1024;
		struct sample *grown = reallocarray(s->list, cap, sizeof *grown);

		if (!grown)
			return -ENOMEM;
		s->list = grown;
		s->cap = cap;
	}
	s->list[s->count++] = x;
	return 0;
}

/* Both draws decide which stored sequence is trained when, which is what this stream is for. */
static uint64_t draw(uint64_t seed, uint64_t epoch, int what, uint64_t i, uint64_t below)
{
	return rng_below(rng_bits(seed, RNG_REHEARSE, epoch, (uint64_t)what, i), below);
}

enum { DRAW_ORDER, DRAW_SHIFT };

static int add_user(struct samples *s, uint32_t user, size_t inputs, size_t L, size_t stride, size_t shift)
{
	size_t end = inputs, targets = min(stride ? shift : L, end);
	uint32_t window = 0;

	while (end > 0) {
		struct sample x = { user, window++, (uint32_t)end, (uint32_t)min(end, L), (uint32_t)targets };

		if (add_sample(s, x) < 0)
			return -ENOMEM;
		if (!stride)
			break;
		end -= targets;
		targets = min(stride, end);
	}
	return 0;
}

int samples_draw(struct samples *ret, const struct sequences *s, size_t L, size_t stride, uint64_t seed, uint64_t epoch)
{
	if (stride > L)
		stride = L; /* further apart, some events would be in no window */
	ret->count = 0;
	for (size_t u = 0; u < s->users; u++) {
		size_t shift = stride ? 1 + draw(seed, epoch, DRAW_SHIFT, u, stride) : 0;

		if (add_user(ret, (uint32_t)u, sequences_length(s, u) - SEQUENCE_MIN, L, stride, shift) < 0)
			return -ENOMEM;
	}
	for (size_t i = ret->count; i > 1; i--) {
		size_t j = draw(seed, epoch, DRAW_ORDER, i, i);
		struct sample x = ret->list[i - 1];

		ret->list[i - 1] = ret->list[j];
		ret->list[j] = x;
	}
	return 0;
}

void samples_release(struct samples *s)
{
	free(s->list);
	*s = (struct samples){ 0 };
}

/* ---- scores ---- */

static void add_rank(struct loo_scores *s, size_t rank)
{
	s->n++;
	for (size_t c = 0; c < CUTS; c++)
		if (rank < loo_cut[c]) {
			s->hr[c]++;
			s->ndcg[c] += 1 / log2((double)rank + 2);
		}
	if (rank < TOP)
		s->mrr20 += 1 / ((double)rank + 1);
}

static void take_means(struct loo_scores *s)
{
	double n = s->n ? (double)s->n : 1;

	for (size_t c = 0; c < CUTS; c++) {
		s->hr[c] /= n;
		s->ndcg[c] /= n;
	}
	s->mrr20 /= n;
}

void loo_score(struct loo_scores ret[GROUPS], const struct questions *q, const uint32_t *rows)
{
	memset(ret, 0, GROUPS * sizeof *ret);
	for (size_t u = 0; u < q->n; u++) {
		const uint32_t *row = rows + u * TOP;
		size_t rank = 0;

		while (rank < TOP && row[rank] != q->answer[u])
			rank++;
		add_rank(&ret[ALL_USERS], rank);
		add_rank(&ret[q->head[u] ? HEAD_USERS : TAIL_USERS], rank);
		if (q->few[u])
			add_rank(&ret[FEW_USERS], rank);
	}
	for (size_t g = 0; g < GROUPS; g++)
		take_means(&ret[g]);
}

/* ---- a run ---- */

struct run {
	const struct config *c;
	const struct sequences *s;
	uint64_t seed, step;
	uint64_t total;       /* steps after which a cosine schedule is at its floor; 0 = not yet known */
	struct model *m;
	struct grad *g;
	struct questions valid, test;
	float *h;             /* (users, D) encoded questions */
	uint32_t *rows;       /* (users, TOP) */
	float *scores;        /* (users, TOP) */
	struct model *best;   /* the chosen one */

	struct samples samples;
	uint64_t *user;       /* the batch: (batch.users) */
	uint32_t *start;      /* (batch.users + 1) */
	uint8_t *batch_head;  /* (batch.users) */
	uint32_t *item, *target; /* (batch.users * L) */
	uint32_t *recent, *recent_count; /* sampled: every training target; how often each item is one (struct batch) */
	size_t recent_n;
};

static void run_release(struct run *r)
{
	grad_free(r->g);
	model_free(r->m);
	model_free(r->best);
	questions_release(&r->valid);
	questions_release(&r->test);
	samples_release(&r->samples);
	free(r->h); free(r->rows); free(r->scores);
	free(r->user); free(r->start); free(r->batch_head); free(r->item); free(r->target);
	free(r->recent); free(r->recent_count);
}

static int no_memory(void)
{
	log_error("out of memory: lower batch.users, width or prototypes, or use loss=sampled");
	return EX_OSERR;
}

/* Negatives come as often as items are targets in training. */
static int count_targets(struct run *r)
{
	const struct sequences *s = r->s;

	r->recent = calloc(s->events, sizeof *r->recent);
	r->recent_count = calloc(s->items, sizeof *r->recent_count);
	if (!r->recent || !r->recent_count)
		return -ENOMEM;
	for (size_t u = 0; u < s->users; u++)
		for (size_t i = s->start[u] + 1; i + SEQUENCE_MIN <= s->start[u + 1]; i++) {
			r->recent[r->recent_n++] = s->item[i];
			r->recent_count[s->item[i]]++;
		}
	return 0;
}

/* The model of c->model_in as r->m, rows as the sequences have them. */
static int take_file(struct run *r)
{
	struct model_config mc = model_config_from(r->c, 1);
	uint32_t *rows = malloc(r->s->items * sizeof *rows);
	struct model *m = NULL;
	struct idmap *ids = NULL;
	size_t unknown = 0, len;
	int code = rows ? model_file_load(&m, &ids, &mc, r->c->model_in) : no_memory();

	for (uint32_t i = 0; code == 0 && i < r->s->items; i++) {
		const char *id = idmap_id(r->s->ids, i, &len);

		rows[i] = idmap_find(ids, id, len);
		unknown += rows[i] == NO_ROW;
	}
	if (code == 0) {
		log_info("model=%s items=%zu unknown=%zu of the %zu items of the sequences", r->c->model_in, model_live_items(m), unknown, r->s->items);
		model_arrange(r->m, m, rows, r->s->items);
	}
	idmap_free(ids);
	model_free(m);
	free(rows);
	return code;
}

static int make_model(struct run *r)
{
	struct model_config mc = model_config_from(r->c, (size_t)r->c->batch_users);
	const char *why = "";
	uint32_t row;
	int e;

	mc.seed = r->seed;
	mc.items_max = r->s->items;
	if (model_config_check(&mc, &why) < 0) {
		log_error("the model's options do not fit: %s", why);
		return EX_CONFIG;
	}
	e = model_new(&r->m, &mc);
	if (e == 0)
		e = grad_new(&r->g, r->m);
	mc.threads = 1; /* only keeps */
	mc.batch_users_max = 1;
	if (e == 0)
		e = model_new(&r->best, &mc);
	if (e == 0 && r->c->model_in[0])
		return take_file(r);
	for (size_t i = 0; e == 0 && i < r->s->items; i++)
		e = model_add_item(r->m, &row);
	return e ? no_memory() : 0;
}

static int run_init(struct run *r)
{
	size_t B = (size_t)r->c->batch_users, L = (size_t)r->c->max_length, users = r->s->users;
	int e = make_model(r);

	if (e)
		return e;
	r->h = calloc(users * (size_t)r->c->width, sizeof *r->h);
	r->rows = calloc(users * TOP, sizeof *r->rows);
	r->scores = calloc(users * TOP, sizeof *r->scores);
	r->user = calloc(B, sizeof *r->user);
	r->start = calloc(B + 1, sizeof *r->start);
	r->batch_head = calloc(B, 1);
	r->item = calloc(B * L, sizeof *r->item);
	r->target = calloc(B * L, sizeof *r->target);
	if (!r->h || !r->rows || !r->scores || !r->user || !r->start || !r->batch_head || !r->item || !r->target)
		return no_memory();
	if (questions_new(&r->valid, r->s, L, 1) < 0 || questions_new(&r->test, r->s, L, 0) < 0)
		return no_memory();
	return model_config(r->m)->loss == LOSS_SAMPLED && count_targets(r) < 0 ? no_memory() : 0;
}

static struct batch pack(struct run *r, const struct sample *list, size_t B)
{
	size_t T = 0;

	for (size_t b = 0; b < B; b++) {
		const struct sample *x = &list[b];
		const uint32_t *item = r->s->item + r->s->start[x->user];

		/* windows of one user draw apart */
		r->user[b] = (uint64_t)x->window << 32 | x->user;
		r->batch_head[b] = r->valid.head[x->user];
		for (size_t i = x->end - x->inputs; i < x->end; i++, T++) {
			r->item[T] = item[i];
			r->target[T] = i + x->targets >= x->end ? item[i + 1] : NO_ROW;
		}
		r->start[b + 1] = (uint32_t)T;
	}
	return (struct batch){ .B = B, .T = T, .user = r->user, .start = r->start, .item = r->item, .target = r->target,
	                       .head = r->batch_head, .recent = r->recent, .recent_n = r->recent_n, .recent_count = r->recent_count };
}

static void add_stats(struct step_stats *sum, const struct step_stats *x)
{
	sum->loss += x->loss;
	sum->loss_sr += x->loss_sr;
	sum->loss_clust += x->loss_clust;
	sum->loss_scl += x->loss_scl;
	sum->loss_ckd += x->loss_ckd;
	sum->loss_adv += x->loss_adv;
	sum->grad_norm += x->grad_norm;
	sum->tokens += x->tokens;
	sum->targets += x->targets;
}

static void divide_stats(struct step_stats *s, size_t steps)
{
	double n = steps ? (double)steps : 1;

	s->loss /= n;
	s->loss_sr /= n;
	s->loss_clust /= n;
	s->loss_scl /= n;
	s->loss_ckd /= n;
	s->loss_adv /= n;
	s->grad_norm /= n;
}

/* The prototypes of the epoch to come. */
static int set_prototypes(struct run *r)
{
	size_t B = (size_t)r->c->batch_users, D = (size_t)r->c->width;

	if (samples_draw(&r->samples, r->s, (size_t)r->c->max_length, 0, r->seed, 0) < 0)
		return no_memory();
	for (size_t at = 0; at < r->samples.count; at += B) {
		struct batch b = pack(r, r->samples.list + at, min(B, r->samples.count - at));

		model_encode_pooled(r->m, r->h + at * D, &b);
	}
	return model_kmeans(r->m, r->h, r->samples.count, KMEANS_ROUNDS) < 0 ? no_memory() : 0;
}

/* One pass over the samples; the last batch is what is left. */
static int train_epoch(struct run *r, struct loo_epoch *e)
{
	size_t B = (size_t)r->c->batch_users, steps = 0;
	double begin = seconds();
	struct step_stats st;

	if (r->c->cluster == CLUSTER_KMEANS && set_prototypes(r))
		return EX_OSERR;
	if (samples_draw(&r->samples, r->s, (size_t)r->c->max_length, (size_t)r->c->windows, r->seed, (uint64_t)e->epoch) < 0)
		return no_memory();
	if (!r->total) /* with windows an epoch has now a few samples more, now fewer: the first one speaks for all */
		r->total = (r->samples.count + B - 1) / B * (uint64_t)r->c->epochs;
	for (size_t at = 0; at < r->samples.count; at += B) {
		struct batch b = pack(r, r->samples.list + at, min(B, r->samples.count - at));

		model_grad(r->m, r->g, &b, ++r->step, &st);
		if (st.discarded) {
			e->discarded++;
			continue;
		}
		model_apply(r->m, r->g, r->step, learning_rate_at(r->c, r->step, r->total));
		add_stats(&e->mean, &st);
		steps++;
	}
	divide_stats(&e->mean, steps);
	e->train_s = seconds() - begin;
	e->us_per_token = e->mean.tokens ? 1e6 * e->train_s / (double)e->mean.tokens : 0;
	return 0;
}

static void ask(struct run *r, struct loo_scores ret[GROUPS], const struct questions *q)
{
	struct batch b = { .B = q->n, .T = q->tokens, .start = q->start, .item = q->item };

	model_encode_last(r->m, r->h, &b);
	model_topk(r->m, r->rows, r->scores, r->h, q->n, TOP, q->exclude_start, q->exclude);
	loo_score(ret, q, r->rows);
}

/* After an epoch: is it the best, has it reached what was asked for? */
static void validate(struct run *r, struct loo_epoch *e, struct loo_result *ret)
{
	struct loo_chosen now = { .epoch = e->epoch, .train_s = ret->train_s };
	double begin = seconds();

	ask(r, now.valid, &r->valid);
	e->validated = 1;
	e->valid = now.valid[ALL_USERS];
	e->best = !ret->best.epoch || e->valid.ndcg[CUTS - 1] > ret->best.valid[ALL_USERS].ndcg[CUTS - 1];
	e->eval_s = seconds() - begin;
	ret->eval_s += e->eval_s;
	if (e->best) {
		model_copy(r->best, r->m);
		ret->best = now;
	}
	if (r->c->time_to > 0 && !ret->reached.epoch && e->valid.ndcg[CUTS - 1] >= r->c->time_to) {
		ask(r, now.test, &r->test);
		ret->reached = now;
	}
}

/* The one that was given stands for all epochs. */
static void validate_given(struct run *r, struct loo_result *ret)
{
	ask(r, ret->best.valid, &r->valid);
	model_copy(r->best, r->m);
}

int loo_run(struct loo_result *ret, const struct config *c, const struct sequences *s, uint64_t seed, const char *file,
            struct loo_detail *detail, void (*report)(void *ctx, const struct loo_epoch *e), void *ctx)
{
	struct run r = { .c = c, .s = s, .seed = seed, .total = (uint64_t)c->schedule_steps };
	int code = run_init(&r);

	*ret = (struct loo_result){ 0 };
	if (code == 0 && c->model_in[0])
		validate_given(&r, ret);
	for (int epoch = 1; code == 0 && !c->model_in[0] && epoch <= c->epochs; epoch++) {
		struct loo_epoch e = { .epoch = epoch };

		code = train_epoch(&r, &e);
		if (code)
			break;
		ret->train_s += e.train_s;
		if (epoch % c->eval_every == 0 || epoch == c->epochs)
			validate(&r, &e, ret);
		report(ctx, &e);
		if (c->patience && epoch - ret->best.epoch >= c->patience && ret->best.epoch)
			break;
	}
	if (code == 0) {
		model_copy(r.m, r.best);
		ask(&r, ret->best.test, &r.test);
		if (detail && loo_detail_new(detail, r.m, &r.test, r.rows) < 0)
			code = no_memory();
		if (code == 0 && file)
			code = model_file_save(file, r.best, s->ids);
	}
	run_release(&r);
	return code;
}

/* ---- several runs ---- */

/* A loo_scores is a row of doubles as far as mean and spread are concerned. */
#define FIGURES (2 * CUTS + 1)

static void figures(double *x, const struct loo_scores *s)
{
	memcpy(x, s->hr, sizeof s->hr);
	memcpy(x + CUTS, s->ndcg, sizeof s->ndcg);
	x[2 * CUTS] = s->mrr20;
}

static struct loo_scores scores_of(const double *x, size_t n)
{
	struct loo_scores s = { .mrr20 = x[2 * CUTS], .n = n };

	memcpy(s.hr, x, sizeof s.hr);
	memcpy(s.ndcg, x + CUTS, sizeof s.ndcg);
	return s;
}

void loo_spread(struct loo_scores *mean, struct loo_scores *spread, const struct loo_result *r, size_t n, enum group g)
{
	double sum[FIGURES] = { 0 }, squares[FIGURES] = { 0 }, x[FIGURES];

	for (size_t i = 0; i < n; i++) {
		figures(x, &r[i].best.test[g]);
		for (size_t k = 0; k < FIGURES; k++)
			sum[k] += x[k] / (double)n;
	}
	for (size_t i = 0; n > 1 && i < n; i++) {
		figures(x, &r[i].best.test[g]);
		for (size_t k = 0; k < FIGURES; k++)
			squares[k] += (x[k] - sum[k]) * (x[k] - sum[k]) / (double)(n - 1);
	}
	for (size_t k = 0; k < FIGURES; k++)
		squares[k] = sqrt(squares[k]);
	*mean = scores_of(sum, r[0].best.test[g].n);
	*spread = scores_of(squares, r[0].best.test[g].n);
}
