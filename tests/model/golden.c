/* golden.c - runs every case DIR/<case>.txt (format: the model's golden numbers, see tests/model/golden/README.md) and compares all
 * that a step must produce. Error of a tensor = max|got - expected| / max(max|expected|, 1e-3); above 1e-4 fails, as
 * does a key that is not understood or a tensor that could not be compared.
 *
 * Item ids of a file run from 1, n_items+1 is the mask token; rows here run from 0.
 */
#include <assert.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model_private.h"

#define LIMIT 1e-4
#define LINES_MAX 4096
#define USERS_MAX 64
#define TOKENS_MAX 4096

struct list { uint32_t v[TOKENS_MAX], n; };

struct golden {
	struct model_config c;
	size_t B, n_items;
	struct list seq[USERS_MAX], target[USERS_MAX], negative[USERS_MAX], view[2][USERS_MAX];
	uint8_t head[USERS_MAX];
	char *line[LINES_MAX];  /* weight, expect and grad statements, kept until the model exists */
	size_t lines;
	int bad;
};

static void complain(struct golden *g, const char *what, const char *name)
{
	printf("  FAIL %s: %s\n", what, name);
	g->bad++;
}

static void read_config(struct golden *g, const char *key, const char *val)
{
	struct model_config *c = &g->c;
	size_t n = (size_t)atol(val);
	float f = (float)atof(val);

#define KEY(name, set) if (!strcmp(key, name)) { set; return; }
	KEY("d", c->D = n) KEY("L", c->L = n) KEY("heads", c->heads = n) KEY("layers", c->layers = n) KEY("K", c->K = n)
	KEY("B", g->B = n) KEY("n_items", g->n_items = n)
	KEY("norm", c->norm = (int)n) KEY("posden", c->posden = (int)n) KEY("eps", c->eps = f) KEY("iters", c->iters = (int)n)
	KEY("t1", c->tau1 = f) KEY("t2", c->tau2 = f) KEY("t3", c->tau3 = f)
	KEY("alpha", c->alpha = f) KEY("b1", c->beta1 = f) KEY("b2", c->beta2 = f) KEY("lam", c->lambda = f)
	if (!strcmp(key, "loss") && !strcmp(val, "full")) { c->loss = LOSS_FULL; return; }
	if (!strcmp(key, "loss") && !strcmp(val, "bce")) { c->loss = LOSS_BCE; return; }
	if (!strcmp(key, "pool") && !strcmp(val, "mean")) { c->pool = POOL_MEAN; return; }
	if (!strcmp(key, "pool") && !strcmp(val, "last")) { c->pool = POOL_LAST; return; }
#undef KEY
	complain(g, "config not understood", key);
}

static void read_list(struct golden *g, struct list *of)
{
	char *w = strtok(NULL, " \n");
	long u = w ? atol(w) : -1;

	if (u < 0 || u >= USERS_MAX) {
		complain(g, "user number", w ? w : "missing");
		return;
	}
	while ((w = strtok(NULL, " \n")) && of[u].n < TOKENS_MAX) {
		uint32_t id = (uint32_t)atol(w);

		of[u].v[of[u].n++] = id == g->n_items + 1 ? MASK_ROW : id - 1;
	}
}

static void read_file(struct golden *g, FILE *f)
{
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, f) > 0) {
		char *copy = strdup(line), *w = strtok(line, " \n"), *k;

		if (!w || *w == '#') { free(copy); continue; }
		if (!strcmp(w, "weight") || !strcmp(w, "expect") || !strcmp(w, "grad")) {
			if (g->lines == LINES_MAX)
				complain(g, "too many lines", "");
			else
				g->line[g->lines++] = copy;
			continue;
		}
		free(copy);
		if (!strcmp(w, "config")) { k = strtok(NULL, " \n"); read_config(g, k, strtok(NULL, " \n")); }
		else if (!strcmp(w, "seq")) read_list(g, g->seq);
		else if (!strcmp(w, "target")) read_list(g, g->target);
		else if (!strcmp(w, "negative")) read_list(g, g->negative);
		else if (!strcmp(w, "view1")) read_list(g, g->view[0]);
		else if (!strcmp(w, "view2")) read_list(g, g->view[1]);
		else if (!strcmp(w, "head")) {
			for (size_t u = 0; (w = strtok(NULL, " \n")) && u < USERS_MAX; u++)
				g->head[u] = (uint8_t)atoi(w);
		} else complain(g, "statement not understood", w);
	}
	free(line);
}

/* One statement: kind, name, shape, values. */
struct statement { char kind[16], name[64]; size_t rows, cols; double *v; };

static int parse(struct statement *s, const char *line)
{
	char shape[64], *end;
	int used, k;

	if (sscanf(line, "%15s %63s %63s%n", s->kind, s->name, shape, &used) != 3)
		return -1;
	s->rows = 1;
	k = sscanf(shape, "%zux%zu", &s->rows, &s->cols);
	if (k == 1) { s->cols = s->rows; s->rows = 1; }
	s->v = calloc(s->rows * s->cols, sizeof(double));
	line += used;
	for (size_t i = 0; i < s->rows * s->cols; i++, line = end) {
		s->v[i] = strtod(line, &end);
		if (end == line)
			return -1;
	}
	while (*line == ' ' || *line == '\n')
		line++;
	return *line ? -1 : 0;
}

struct worst { double err; char name[96]; size_t compared; };

/* item.weight: row 0 padding, then items, then the mask token. x has stride ld. */
static float get(const struct statement *s, const float *x, size_t ld, const float *mask, size_t r, size_t c)
{
	if (strcmp(s->name, "item.weight"))
		return x[r * s->cols + c];
	return r == 0 ? 0 : r == s->rows - 1 ? mask[c] : x[(r - 1) * ld + c];
}

static void compare(struct golden *g, struct worst *w, const struct statement *s, const float *x, size_t ld, const float *mask)
{
	double max = 1e-3, diff = 0;

	for (size_t r = 0; r < s->rows; r++)
		for (size_t c = 0; c < s->cols; c++) {
			double want = s->v[r * s->cols + c], d = fabs((double)get(s, x, ld, mask, r, c) - want);

			max = fmax(max, fabs(want));
			diff = d > diff || isnan(d) ? d : diff;
		}
	w->compared++;
	if (!(diff / max <= LIMIT)) {
		printf("  FAIL %s %s: error %.3g\n", s->kind, s->name, diff / max);
		g->bad++;
	}
	if (!(diff / max <= w->err)) {
		w->err = diff / max;
		snprintf(w->name, sizeof(w->name), "%s %s", s->kind, s->name);
	}
}

static void pack(const struct list *of, size_t B, uint32_t *start, uint32_t *item)
{
	start[0] = 0;
	for (size_t u = 0; u < B; u++) {
		memcpy(item + start[u], of[u].v, of[u].n * sizeof(*item));
		start[u + 1] = start[u] + of[u].n;
	}
}

/* 0 = this case is right. */
static int run(const char *path, const char *file)
{
	static uint32_t start[5][USERS_MAX + 1], item[5][TOKENS_MAX * 4];
	struct golden *g = calloc(1, sizeof(*g));
	struct model *m = NULL;
	struct grad *gr = NULL;
	struct worst w = { 0 };
	struct step_stats st;
	struct step_trace tr;
	struct batch b = { 0 };
	uint64_t user[USERS_MAX];
	const char *why = "";
	FILE *f = fopen(path, "r");
	int bad;

	if (!f) { perror(path); free(g); return 1; }
	g->c = (struct model_config){ .negatives = 1, .seed = 1, .threads = 2, .beta_1 = .9f, .beta_2 = .999f, .adam_eps = 1e-8f, .cosine_tau = .07f };
	read_file(g, f);
	fclose(f);

	/* Model and weights. */
	g->c.items_max = g->n_items;
	g->c.batch_users_max = g->B;
	if (model_config_check(&g->c, &why) < 0 || model_new(&m, &g->c) < 0 || grad_new(&gr, m) < 0) {
		complain(g, "configuration", why);
		goto out;
	}
	for (size_t i = 0; i < g->n_items; i++) {
		uint32_t row;

		if (model_add_item(m, &row) < 0 || row != i) complain(g, "model_add_item", "");
	}
	for (size_t i = 0; i < g->lines; i++) {
		struct statement s = { 0 };
		size_t rows, cols;
		float *x;

		if (parse(&s, g->line[i]) < 0) { complain(g, "bad statement", s.name); free(s.v); continue; }
		if (strcmp(s.kind, "weight")) { free(s.v); continue; }
		x = model_tensor(m, s.name, &rows, &cols);
		if (x && !strcmp(s.name, "item.weight") && s.rows == rows + 2 && s.cols == cols) {
			for (size_t r = 0; r < s.rows * cols; r++)
				if (r / cols == s.rows - 1) m->w.mask[r % cols] = (float)s.v[r];
				else if (r / cols) model_item_row(m, (uint32_t)(r / cols) - 1)[r % cols] = (float)s.v[r];
		} else if (x && s.rows == rows && s.cols == cols) {
			for (size_t r = 0; r < rows * cols; r++) x[r] = (float)s.v[r];
		} else {
			complain(g, "weight has no place", s.name);
		}
		free(s.v);
	}

	/* The step. */
	pack(g->seq, g->B, start[0], item[0]);
	pack(g->target, g->B, start[1], item[1]);
	pack(g->negative, g->B, start[2], item[2]);
	pack(g->view[0], g->B, start[3], item[3]);
	pack(g->view[1], g->B, start[4], item[4]);
	for (size_t u = 0; u < g->B; u++) user[u] = u;
	b = (struct batch){ .B = g->B, .T = start[0][g->B], .user = user, .start = start[0], .item = item[0], .target = item[1], .head = g->head,
	                    .negative = g->c.loss == LOSS_BCE ? item[2] : NULL, .view_start = { start[3], start[4] }, .view_item = { item[3], item[4] } };
	if (start[1][g->B] != b.T || (b.negative && start[2][g->B] != b.T)) { complain(g, "lengths differ", "seq, target, negative"); goto out; }
	model_grad(m, gr, &b, 1, &st);
	model_trace(m, &tr);
	if (st.discarded) complain(g, "step", "discarded");

	/* All that was expected. */
	for (size_t i = 0; i < g->lines; i++) {
		struct statement s = { 0 };
		size_t rows = 0, cols = 0, r2, c2;
		const float *x = NULL;
		float val;

		if (parse(&s, g->line[i]) < 0 || !strcmp(s.kind, "weight")) { free(s.v); continue; }
		if (!strcmp(s.kind, "grad")) {
			x = grad_tensor(m, gr, s.name, &rows, &cols);
			if (!strcmp(s.name, "item.weight")) rows += 2;
		} else {
#define TRACE(n, field, r_, c_) if (!strcmp(s.name, n)) { x = tr.field; rows = (r_); cols = (c_); }
#define VALUE(n) if (!strcmp(s.name, #n)) { val = (float)st.n; x = &val; rows = cols = 1; }
			TRACE("h", h, b.T, g->c.D) TRACE("z", z, g->B, g->c.D) TRACE("z1", z1, g->B, g->c.D) TRACE("z2", z2, g->B, g->c.D)
			TRACE("scores", scores, g->B, g->c.K) TRACE("q", q, g->B, g->c.K)
			VALUE(loss_sr) VALUE(loss_clust) VALUE(loss_scl) VALUE(loss_ckd) VALUE(loss_adv) VALUE(loss)
		}
		if (!x || rows != s.rows || cols != s.cols) complain(g, "not compared", s.name);
		else compare(g, &w, &s, x, cols, grad_tensor(m, gr, "mask", &r2, &c2));
		free(s.v);
	}
	if (!w.compared) complain(g, "nothing compared", file);
out:
	printf("%s %-36s %3zu tensors, largest error %.2e (%s)\n", g->bad ? "FAIL" : "ok  ", file, w.compared, w.err, w.name);
	bad = g->bad;
	for (size_t i = 0; i < g->lines; i++) free(g->line[i]);
	grad_free(gr);
	model_free(m);
	free(g);
	return bad;
}

int main(int argc, char **argv)
{
	struct dirent **e;
	int n, bad = 0, files = 0;

	if (argc != 2) { fprintf(stderr, "usage: golden DIR\n"); return 2; }
	n = scandir(argv[1], &e, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		size_t len = strlen(e[i]->d_name);
		char path[4096];

		if (len > 4 && !strcmp(e[i]->d_name + len - 4, ".txt")) {
			snprintf(path, sizeof(path), "%s/%s", argv[1], e[i]->d_name);
			bad += run(path, e[i]->d_name) != 0;
			files++;
		}
		free(e[i]);
	}
	if (n >= 0) free(e);
	printf("%d files, %d failed\n", files, bad);
	return bad || !files;
}
