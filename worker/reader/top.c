/* top.c - the best rows for a vector: every row is scored, the best stand in a heap whose root is the worst of them. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "model/idmap.h"
#include "model/vmath.h"
#include "worker/reader/rows_private.h"

#define BLOCK 256 /* rows scored before they are looked at */

/* y (n) = X (n,D) q (D); a row every `stride` */
S4_CLONES static void dots_float(float *y, const float *X, size_t stride, const float *q, size_t n, size_t D)
{
	for (size_t i = 0; i < n; i++, X += stride) {
		float s = 0;

		for (size_t d = 0; d < D; d++)
			s += X[d] * q[d];
		y[i] = s;
	}
}

/* Without the rows' scales. */
S4_CLONES static void dots_int8(float *y, const int8_t *X, size_t stride, const float *q, size_t n, size_t D)
{
	for (size_t i = 0; i < n; i++, X += stride) {
		float s = 0;

		for (size_t d = 0; d < D; d++)
			s += (float)X[d] * q[d];
		y[i] = s;
	}
}

float rows_norm(const float *x, size_t D)
{
	float s = 0;

	for (size_t d = 0; d < D; d++)
		s += x[d] * x[d];
	return sqrtf(s);
}

/* --- heap: hits (n), each parent worse than its children -------------------------------------------------------------- */

static int worse(const struct s4rec_hit *a, const struct s4rec_hit *b)
{
	size_t n = a->id_len < b->id_len ? a->id_len : b->id_len;
	int r;

	if (a->score != b->score)
		return a->score < b->score;
	r = memcmp(a->id, b->id, n);
	return r ? r > 0 : a->id_len > b->id_len;
}

static void swap(struct s4rec_hit *a, struct s4rec_hit *b)
{
	struct s4rec_hit t = *a;

	*a = *b;
	*b = t;
}

static void sift_up(struct s4rec_hit *h, size_t i)
{
	for (; i && worse(&h[i], &h[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&h[i], &h[(i - 1) / 2]);
}

static void sift_down(struct s4rec_hit *h, size_t n)
{
	for (size_t i = 0, c; (c = 2 * i + 1) < n; i = c) {
		if (c + 1 < n && worse(&h[c + 1], &h[c]))
			c++;
		if (!worse(&h[c], &h[i]))
			return;
		swap(&h[c], &h[i]);
	}
}

/* --- search ----------------------------------------------------------------------------------------------------------- */

static void score(float *y, const struct rows *x, const struct kind *k, size_t from, size_t n, const struct s4rec_query *q, float q_norm)
{
	if (x->form == FORM_INT8)
		dots_int8(y, (const int8_t *)k->matrix + from * x->stride, x->stride, q->vector, n, x->D);
	else
		dots_float(y, (const float *)k->matrix + from * x->stride, x->stride, q->vector, n, x->D);
	for (size_t i = 0; i < n; i++) {
		const struct row *row = &k->rows[from + i];

		y[i] *= row->scale;
		if (q->score == S4REC_COSINE)
			y[i] = row->norm > 0 && q_norm > 0 ? y[i] / (row->norm * q_norm) : 0; /* a zero vector points nowhere */
	}
}

static void offer(const struct kind *k, const struct s4rec_query *q, struct s4rec_hit *hits, size_t max, size_t *n, float y, size_t i)
{
	const struct row *row = &k->rows[i];
	struct s4rec_hit hit = { .score = y, .i = i };

	if (*n == max && y < hits[0].score)
		return;
	hit.id = idmap_id(k->ids, row->number, &hit.id_len);
	if ((*n == max && worse(&hit, &hits[0])) || (q->accept && !q->accept(q->ctx, hit.id, hit.id_len, row->prototype)))
		return;
	if (*n < max) {
		hits[*n] = hit;
		sift_up(hits, (*n)++);
	} else {
		hits[0] = hit;
		sift_down(hits, max);
	}
}

size_t rows_top(const struct rows *x, const struct s4rec_query *q, struct s4rec_hit *hits, size_t k)
{
	const struct kind *kind = &x->kinds[q->kind];
	float y[BLOCK], q_norm = q->score == S4REC_COSINE ? rows_norm(q->vector, x->D) : 1;
	size_t found = 0;

	for (size_t from = 0; k && from < kind->count; from += BLOCK) {
		size_t n = kind->count - from < BLOCK ? kind->count - from : BLOCK;

		score(y, x, kind, from, n, q, q_norm);
		for (size_t i = 0; i < n; i++)
			if (kind->rows[from + i].D == x->D)
				offer(kind, q, hits, k, &found, y[i], from + i);
	}
	for (size_t n = found; n > 1; n--) { /* the worst goes to the end */
		swap(&hits[0], &hits[n - 1]);
		sift_down(hits, n - 1);
	}
	return found;
}
