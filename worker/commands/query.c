/* query.c - `s4rec query`: exact search over the published vectors, read from the topic each time.
 *
 *     item ID       nearest items, by cosine
 *     user ID       items that the user may want next: dot(user, item)
 *     prototype K   the items that belong to prototype K, the most similar first, by cosine
 */
#include "worker/command.h"
#include "worker/commands/interrupt.h"
#include "worker/kafka/pointer.h"
#include "worker/kafka/view.h"
#include "worker/log.h"
#include "worker/nearest.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct hit {
	float score;
	size_t i;
};

/* Best first; equal scores by row, so that a query repeats itself. */
static int by_score(const void *a, const void *b)
{
	const struct hit *x = a, *y = b;

	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	return (x->i > y->i) - (x->i < y->i);
}

static float norm(const float *x, size_t D)
{
	return cblas_snrm2((int)D, x, 1);
}

/* Reads to the end the topic had; refuses a view with holes. */
static int read_all(struct view **ret, const struct config *c)
{
	struct view *v = NULL;
	uint64_t version;
	char why[512];
	int end = 0, r = view_new(&v, c, 1, NULL, NULL);

	while (r == 0 && !end && !interrupt_seen())
		r = view_poll(v, 100, &end);
	if (r == 0)
		r = view_settle(v, interrupt_seen);
	if (r == 0 && !view_complete(v, &version, why, sizeof why)) {
		log_error("the vectors are incomplete: %s; `s4rec train` publishes them", why);
		r = EX_UNAVAILABLE;
	}
	if (r) {
		view_free(v);
		return r;
	}
	*ret = v;
	return 0;
}

static int unknown(const struct view *v, enum row_kind kind, const char *what, const char *id)
{
	size_t i, n = view_rows(v, kind), len, best = SIZE_MAX, d;
	char name[512], nearest[512] = "";

	for (i = 0; i < n; i++) {
		const char *s = view_id(v, kind, i, &len);

		/* The distance is at least the difference in length: most ids need no comparison. */
		if (best != SIZE_MAX && (len > strlen(id) ? len - strlen(id) : strlen(id) - len) >= best)
			continue;
		snprintf(name, sizeof name, "%.*s", (int)(len < 511 ? len : 511), s);
		d = edit_distance(id, name);
		if (d < best) {
			best = d;
			memcpy(nearest, name, sizeof nearest);
		}
	}
	if (n && kind == ROW_PROTOTYPE)
		log_error("no prototype '%s': there are %zu, from 0 to %zu", id, n, n - 1);
	else if (n && edit_near(id, best))
		log_error("no %s '%s' among %zu; the nearest is '%s'", what, id, n, nearest);
	else if (n)
		log_error("no %s '%s' among %zu", what, id, n);
	else
		log_error("no %s '%s': none has been published yet", what, id);
	return EX_DATAERR;
}

/* Scores of the query against all items; members: only those of prototype k (-1 = all). self is left out. */
static int search(const struct view *v, const float *q, int cosine, size_t self, int32_t k, size_t top)
{
	size_t N = view_rows(v, ROW_ITEM), D = view_dimension(v), n = 0, i, len;
	float *scores = malloc((N + 1) * sizeof *scores), qn = cosine ? norm(q, D) : 1;
	struct hit *hits = malloc((N + 1) * sizeof *hits);
	int r = EX_SOFTWARE;

	if (scores == NULL || hits == NULL) {
		log_error("out of memory at %zu items", N);
		goto out;
	}
	if (N) /* (N) = (N,D) (D) */
		cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)N, (int)D, 1, view_vector(v, ROW_ITEM, 0, NULL), (int)D, q, 1, 0, scores, 1);
	for (i = 0; i < N; i++) {
		int32_t prototype;
		const float *x = view_vector(v, ROW_ITEM, i, &prototype);
		float xn;

		if (i == self || (k >= 0 && prototype != k))
			continue;
		if (cosine) {
			xn = norm(x, D);
			scores[i] = xn > 0 && qn > 0 ? scores[i] / (xn * qn) : 0; /* a zero vector points nowhere */
		}
		hits[n++] = (struct hit){ scores[i], i };
	}
	qsort(hits, n, sizeof *hits, by_score);
	for (i = 0; i < n && i < top; i++) {
		const char *id = view_id(v, ROW_ITEM, hits[i].i, &len);

		printf("%.*s\t%.6f\n", (int)len, id, hits[i].score);
	}
	r = 0;
out:
	free(scores);
	free(hits);
	return r;
}

static int query(const struct config *c, enum row_kind kind, const char *what, const char *id)
{
	struct view *v = NULL;
	size_t i;
	int r;

	r = read_all(&v, c);
	if (r)
		return r;
	if (view_newest(v)->held)
		log_warn("publishing is held: the model is worse than popularity (%s); these are the rows from before", view_newest(v)->held_why);
	i = view_find(v, kind, id, strlen(id));
	if (i == SIZE_MAX)
		r = unknown(v, kind, what, id);
	else
		r = search(v, view_vector(v, kind, i, NULL), kind != ROW_USER, kind == ROW_ITEM ? i : SIZE_MAX,
		           kind == ROW_PROTOTYPE ? (int32_t)strtol(id, NULL, 10) : -1, (size_t)c->top);
	view_free(v);
	return r;
}

int command_query(int argc, char **argv)
{
	static const char *const words[] = { "item", "user", "prototype" };
	struct config c;
	int r, kind = 3;

	r = config_parse(&c, C_QUERY, "s4rec query item ID | user ID | prototype K [OPTION ...]", "s4rec query user u42 --top 10", argc, argv);
	if (r)
		return r < 0 ? EX_OK : r;
	if (c.arg_count == 2)
		for (kind = 0; kind < 3 && strcmp(c.args[0], words[kind]) != 0; kind++)
			;
	if (kind == 3) {
		log_error("s4rec query: say `item ID`, `user ID` or `prototype K`");
		r = EX_USAGE;
	} else {
		interrupt_install();
		openblas_set_num_threads(1);
		r = c.pointer ? pointer_follow(&c) : 0;
		if (r == 0)
			r = query(&c, (enum row_kind)kind, words[kind], c.args[1]);
	}
	config_release(&c);
	return fflush(stdout) == 0 ? r : EX_IOERR;
}
