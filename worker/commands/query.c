/* query.c - `s4rec query`: exact search over the published vectors, read from the topic each time.
 *
 *     item ID       nearest items, by cosine
 *     user ID       items that the user may want next: dot(user, item)
 *     prototype K   the items that belong to prototype K, the most similar first, by cosine
 */
#include "worker/command.h"
#include "worker/commands/interrupt.h"
#include "worker/kafka/view.h"
#include "worker/log.h"
#include "worker/nearest.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static int unknown(const struct s4rec_reader *v, enum s4rec_kind kind, const char *what, const char *id)
{
	size_t i, n = s4rec_reader_count(v, kind), len, best = SIZE_MAX, d;
	char name[512], nearest[512] = "";

	for (i = 0; i < n; i++) {
		struct s4rec_row row;

		s4rec_reader_get(v, kind, i, &row, NULL);
		len = row.id_len;
		/* The distance is at least the difference in length: most ids need no comparison. */
		if (best != SIZE_MAX && (len > strlen(id) ? len - strlen(id) : strlen(id) - len) >= best)
			continue;
		snprintf(name, sizeof name, "%.*s", (int)(len < 511 ? len : 511), row.id);
		d = edit_distance(id, name);
		if (d < best) {
			best = d;
			memcpy(nearest, name, sizeof nearest);
		}
	}
	if (n && kind == S4REC_PROTOTYPE)
		log_error("no prototype '%s': there are %zu, from 0 to %zu", id, n, n - 1);
	else if (n && edit_near(id, best))
		log_error("no %s '%s' among %zu; the nearest is '%s'", what, id, n, nearest);
	else if (n)
		log_error("no %s '%s' among %zu", what, id, n);
	else
		log_error("no %s '%s': none has been published yet", what, id);
	return EX_DATAERR;
}

/* Which items are wanted: not the one that is asked about, and of a prototype its own. */
struct wanted {
	const char *self; /* NULL = none */
	int32_t prototype; /* -1 = all */
};

static int accept(void *ctx, const char *id, size_t id_len, int32_t prototype)
{
	const struct wanted *w = ctx;

	return !(w->self && strlen(w->self) == id_len && memcmp(w->self, id, id_len) == 0) && (w->prototype < 0 || prototype == w->prototype);
}

static int search(const struct s4rec_reader *v, enum s4rec_kind kind, const char *id, size_t i, size_t top)
{
	float *vector = malloc(s4rec_reader_dimension(v) * sizeof *vector);
	struct s4rec_hit *hits = malloc(top * sizeof *hits);
	struct wanted w = { kind == S4REC_ITEM ? id : NULL, kind == S4REC_PROTOTYPE ? (int32_t)strtol(id, NULL, 10) : -1 };
	struct s4rec_query q = { .vector = vector, .kind = S4REC_ITEM, .score = kind == S4REC_USER ? S4REC_DOT : S4REC_COSINE, .accept = accept, .ctx = &w };
	size_t n = 0;
	int r = vector && hits ? 0 : log_no_memory();

	if (r == 0) {
		s4rec_reader_get(v, kind, i, NULL, vector);
		s4rec_reader_top(v, &q, hits, top, &n);
	}
	for (size_t k = 0; k < n; k++)
		printf("%.*s\t%.6f\n", (int)hits[k].id_len, hits[k].id, hits[k].score);
	free(vector);
	free(hits);
	return r;
}

static int query(const struct config *c, enum s4rec_kind kind, const char *what, const char *id)
{
	struct s4rec_reader *v = NULL;
	const struct s4rec_version *newest;
	size_t i;
	int r = view_open(&v, c, &(struct view_options){ .stay = !c->pointer });

	if (r == 0)
		r = view_bootstrap(v, interrupt_seen, "the vectors are incomplete", "; `s4rec train` publishes them");
	if (r)
		goto out;
	s4rec_reader_version(v, &newest);
	if (newest->held)
		log_warn("publishing is held: the model is worse than popularity (%s); these are the rows from before", newest->held_why);
	i = s4rec_reader_find(v, kind, id, strlen(id));
	r = i == SIZE_MAX ? unknown(v, kind, what, id) : search(v, kind, id, i, (size_t)c->top);
out:
	s4rec_reader_close(v);
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
		r = query(&c, (enum s4rec_kind)kind, words[kind], c.args[1]);
	}
	config_release(&c);
	return fflush(stdout) == 0 ? r : EX_IOERR;
}
