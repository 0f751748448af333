/* rows.c - see rows.h.
 *
 * Ids live in an idmap per kind (it gives stable row numbers); rows live densely, so that a kind is one matrix: a deleted row's place is taken by the
 * last one.
 */
#include "worker/reader/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/idmap.h"
#include "worker/reader/rows_private.h"

int rows_new(struct rows **ret, int partitions, int keep)
{
	struct rows *x = calloc(1, sizeof *x);
	int r = x ? 0 : -ENOMEM;

	if (r == 0) {
		x->keep = keep;
		x->live = calloc((size_t)partitions, sizeof *x->live);
		r = x->live ? 0 : -ENOMEM;
	}
	for (int k = 0; r == 0 && k < ROW_VECTORS; k++)
		r = idmap_new(&x->kinds[k].ids, UINT32_MAX);
	if (r < 0) {
		rows_free(x);
		return r;
	}
	*ret = x;
	return 0;
}

void rows_free(struct rows *x)
{
	if (x == NULL)
		return;
	for (int k = 0; k < ROW_VECTORS; k++) {
		idmap_free(x->kinds[k].ids);
		free(x->kinds[k].place);
		free(x->kinds[k].rows);
		free(x->kinds[k].matrix);
	}
	free(x->live);
	free(x);
}

/* --- room ----------------------------------------------------------------------------------------------------------- */

static size_t row_bytes(const struct rows *x)
{
	return x->stride * (x->form == FORM_INT8 ? sizeof(int8_t) : sizeof(float));
}

static int reserve_place(struct kind *x, uint32_t number)
{
	size_t n = x->place_size ? x->place_size : 1024;
	uint32_t *p;

	if (number < x->place_size)
		return 0;
	while (n <= number)
		n *= 2;
	p = realloc(x->place, n * sizeof *p);
	if (p == NULL)
		return -ENOMEM;
	x->place = p;
	x->place_size = n;
	return 0;
}

static int reserve_row(const struct rows *v, struct kind *x)
{
	size_t n = x->size ? 2 * x->size : 1024;
	struct row *rows;
	void *matrix;

	if (x->count < x->size)
		return 0;
	rows = realloc(x->rows, n * sizeof *rows);
	if (rows == NULL)
		return -ENOMEM;
	x->rows = rows;
	if (v->keep && v->stride) {
		matrix = realloc(x->matrix, n * row_bytes(v));
		if (matrix == NULL)
			return -ENOMEM;
		x->matrix = matrix;
	}
	x->size = n;
	return 0;
}

static void expand(float *to, const int8_t *from, float scale, size_t D)
{
	for (size_t d = 0; d < D; d++)
		to[d] = (float)from[d] * scale;
}

static void move(const struct rows *to, char *wide, const struct rows *from, struct kind *x)
{
	for (size_t i = 0; x->matrix && i < x->count; i++) {
		struct row *row = &x->rows[i];
		const char *at = (char *)x->matrix + i * row_bytes(from);

		if (from->form == to->form) {
			memcpy(wide + i * row_bytes(to), at, row->D * (row_bytes(from) / from->stride));
		} else {
			expand((float *)(void *)(wide + i * row_bytes(to)), (const int8_t *)at, row->scale, row->D);
			row->scale = 1;
		}
	}
}

/* Room for wider rows, or for float rows among int8 rows: each moves to its new place. Without memory all stays as it is. */
static int lay_out(struct rows *v, size_t stride, enum form form)
{
	const struct rows to = { .stride = stride, .form = form };
	char *wide[ROW_VECTORS] = { NULL };
	int r = 0;

	for (int k = 0; v->keep && k < ROW_VECTORS; k++) {
		wide[k] = v->kinds[k].size ? malloc(v->kinds[k].size * row_bytes(&to)) : NULL;
		if (v->kinds[k].size && wide[k] == NULL)
			r = -ENOMEM;
	}
	for (int k = 0; k < ROW_VECTORS; k++) {
		if (r < 0) {
			free(wide[k]);
			continue;
		}
		if (v->keep)
			move(&to, wide[k], v, &v->kinds[k]);
		free(v->kinds[k].matrix);
		v->kinds[k].matrix = wide[k];
	}
	if (r < 0)
		return r;
	v->stride = stride;
	v->form = form;
	return 0;
}

/* Rows of the width before are odd until they come again, or the width comes back: partitions are read side by side, and one may be ahead. */
static int set_width(struct rows *v, const struct embedding *e)
{
	int r = 0;

	if (e->D > v->stride)
		r = lay_out(v, e->D, v->D ? v->form : e->int8 ? FORM_INT8 : FORM_FLOAT);
	if (r < 0)
		return r;
	v->D = e->D;
	v->odd = 0;
	for (int k = 0; k < ROW_VECTORS; k++)
		for (size_t i = 0; i < v->kinds[k].count; i++)
			v->odd += v->kinds[k].rows[i].D != v->D;
	return 0;
}

/* --- change --------------------------------------------------------------------------------------------------------- */

static void set_row_width(struct rows *v, struct row *row, size_t D)
{
	v->odd -= row->D != v->D;
	row->D = (uint32_t)D;
	v->odd += row->D != v->D;
}

static void set_vector(struct rows *v, struct kind *x, size_t i, const struct embedding *e)
{
	struct row *row = &x->rows[i];
	void *at = (char *)x->matrix + i * row_bytes(v);

	if (v->form == FORM_INT8)
		memcpy(at, e->int8, v->D);
	else
		memcpy(at, e->vector, v->D * sizeof(float));
	row->scale = v->form == FORM_INT8 ? e->scale : 1;
	row->norm = rows_norm(e->vector, v->D);
}

static int new_row(struct rows *v, struct kind *x, uint32_t number, int32_t partition, enum row_kind kind)
{
	int r = reserve_place(x, number);

	if (r == 0)
		r = reserve_row(v, x);
	if (r < 0) {
		idmap_remove(x->ids, number);
		idmap_reuse(x->ids, number);
		return r;
	}
	x->place[number] = (uint32_t)x->count;
	x->rows[x->count++] = (struct row){ .number = number, .partition = partition };
	v->odd += v->D != 0; /* until its vector is here */
	v->live[partition][kind]++;
	return 0;
}

int rows_set(struct rows *v, enum row_kind kind, const char *id, size_t id_len, int32_t partition, const struct embedding *e, int *ret_new_width)
{
	struct kind *x = &v->kinds[kind];
	struct row *row;
	uint32_t number;
	int is_new, r = 0;

	*ret_new_width = e && v->D && e->D != v->D;
	if (e && e->D != v->D)
		r = set_width(v, e);
	if (r == 0 && e && v->form == FORM_INT8 && !e->int8)
		r = lay_out(v, v->stride, FORM_FLOAT);
	if (r == 0)
		r = idmap_intern(x->ids, &number, &is_new, id, id_len);
	if (r == 0 && is_new)
		r = new_row(v, x, number, partition, kind);
	if (r < 0)
		return r == -ENOSPC ? -ENOMEM : r;

	row = &x->rows[x->place[number]];
	if (row->partition != partition) { /* a writer with another partitioner, or partitions were added */
		v->live[row->partition][kind]--;
		v->live[partition][kind]++;
		row->partition = partition;
	}
	set_row_width(v, row, e ? e->D : 0);
	row->prototype = e ? e->prototype : -1;
	if (e == NULL)
		return 0;
	row->version = e->version;
	row->event_time_ms = e->event_time_ms;
	row->generation = e->generation;
	if (v->keep)
		set_vector(v, x, x->place[number], e);
	return 0;
}

void rows_delete(struct rows *v, enum row_kind kind, const char *id, size_t id_len)
{
	struct kind *x = &v->kinds[kind];
	uint32_t number = idmap_find(x->ids, id, id_len);
	size_t i, last = x->count - 1, bytes = row_bytes(v);

	if (number == UINT32_MAX)
		return;
	i = x->place[number];
	v->live[x->rows[i].partition][kind]--;
	v->odd -= x->rows[i].D != v->D;
	if (i != last) {
		x->rows[i] = x->rows[last];
		x->place[x->rows[i].number] = (uint32_t)i;
		if (v->keep && v->stride)
			memcpy((char *)x->matrix + i * bytes, (char *)x->matrix + last * bytes, bytes);
	}
	x->count--;
	idmap_remove(x->ids, number);
	idmap_reuse(x->ids, number);
}

/* --- look ----------------------------------------------------------------------------------------------------------- */

const uint64_t *rows_live(const struct rows *x, int32_t partition)
{
	return x->live[partition];
}

size_t rows_odd(const struct rows *x)
{
	return x->odd;
}

size_t rows_dimension(const struct rows *x)
{
	return x->D;
}

size_t rows_count(const struct rows *x, enum row_kind kind)
{
	return x->kinds[kind].count;
}

size_t rows_find(const struct rows *x, enum row_kind kind, const char *id, size_t id_len)
{
	uint32_t number = idmap_find(x->kinds[kind].ids, id, id_len);

	return number == UINT32_MAX ? SIZE_MAX : x->kinds[kind].place[number];
}

void rows_get(const struct rows *x, enum row_kind kind, size_t i, struct s4rec_row *ret, float *vector)
{
	const struct kind *k = &x->kinds[kind];
	const struct row *row = &k->rows[i];

	if (ret) {
		*ret = (struct s4rec_row){ .kind = (enum s4rec_kind)kind, .vector = vector, .dimension = x->D, .version = row->version,
			.event_time_ms = row->event_time_ms, .generation = row->generation, .prototype = row->prototype };
		ret->id = idmap_id(k->ids, row->number, &ret->id_len);
	}
	if (vector == NULL)
		return;
	if (row->D != x->D || !x->keep)
		memset(vector, 0, x->D * sizeof *vector);
	else if (x->form == FORM_INT8)
		expand(vector, (const int8_t *)k->matrix + i * x->stride, row->scale, x->D);
	else
		memcpy(vector, (const float *)k->matrix + i * x->stride, x->D * sizeof *vector);
}
