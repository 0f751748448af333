/* outsider.c - a service of somebody else's: knows the installed s4rec-reader.h and the library, by pkg-config, and nothing else of this repository.
 *
 *     outsider BROKER PREFIX UNTIL KIND ID K    reads until a complete view of at least version UNTIL is served, then prints it:
 *
 *         item/i1 7 3 3f800000 bf000000 ...     a row: key, version, prototype, coordinates as the bits of a float32
 *         best i4 0.812345                      the K best items for the row KIND/ID: by cosine, of a user by dot product
 *
 * What it is told of views goes to stderr, and with a new one what it serves meanwhile. STAY=1: follows no pointer. TIMEOUT_MS=n: for a broker. ROWS=json: rows as `s4rec read` has them.
 * The readers in topics/readers print the same.
 */
#include <inttypes.h>
#include <s4rec-reader.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = { "item", "user", "prototype" };
static int built, changed; /* views, and whether one has been begun since it was looked at */
static long told[2];       /* rows and deletes, of which the index of a service would hear */

static void on_event(void *ctx, const struct s4rec_event *e)
{
	if (e->type == S4REC_BUILD) {
		fprintf(stderr, "build %d of %s: %s\n", ++built, e->topic, e->why);
		changed = built > 1;
	}
	if (e->type == S4REC_ROW)
		told[e->row->vector == NULL]++;
	if (e->type == S4REC_COMPLETE)
		fprintf(stderr, "complete %d\n", built);
}

static void print_row(FILE *out, const struct s4rec_row *row)
{
	const char *json = getenv("ROWS");

	if (json)
		fprintf(out, "{\"key\":\"%s/%.*s\",\"version\":%" PRIu64 ",\"event_time_ms\":%" PRId64 ",\"generation\":%u", kinds[row->kind], (int)row->id_len, row->id,
		        row->version, row->event_time_ms, row->generation);
	else
		fprintf(out, "%s/%.*s %" PRIu64 " %d", kinds[row->kind], (int)row->id_len, row->id, row->version, row->prototype);
	if (json && row->prototype >= 0)
		fprintf(out, ",\"prototype\":%d", row->prototype);
	for (size_t d = 0; d < row->dimension; d++) {
		uint32_t bits;

		memcpy(&bits, &row->vector[d], sizeof bits);
		if (json)
			fprintf(out, "%s%.9g", d ? "," : ",\"vector\":[", row->vector[d]);
		else
			fprintf(out, " %08x", bits);
	}
	fprintf(out, json ? "]}\n" : "\n");
}

static int not_self(void *ctx, const char *id, size_t id_len, int32_t prototype)
{
	const char *self = ctx;

	return strlen(self) != id_len || memcmp(self, id, id_len) != 0;
}

static void print_best(FILE *out, const struct s4rec_reader *r, enum s4rec_kind kind, const char *id, size_t k)
{
	size_t i = s4rec_reader_find(r, kind, id, strlen(id)), n = 0;
	float *vector = malloc(s4rec_reader_dimension(r) * sizeof *vector);
	struct s4rec_hit *hits = malloc(k * sizeof *hits);
	struct s4rec_query q = { .vector = vector, .kind = S4REC_ITEM, .score = kind == S4REC_USER ? S4REC_DOT : S4REC_COSINE };

	if (kind == S4REC_ITEM) {
		q.accept = not_self;
		q.ctx = (void *)id;
	}
	if (i != SIZE_MAX && vector && hits) {
		s4rec_reader_get(r, kind, i, NULL, vector);
		s4rec_reader_top(r, &q, hits, k, &n);
	}
	for (i = 0; i < n; i++)
		fprintf(out, "best %.*s %.6f\n", (int)hits[i].id_len, hits[i].id, hits[i].score);
	free(vector);
	free(hits);
}

static void print_view(FILE *out, const struct s4rec_reader *r)
{
	float *vector = malloc(s4rec_reader_dimension(r) * sizeof *vector);
	struct s4rec_row row;

	for (int k = S4REC_ITEM; vector && k <= S4REC_PROTOTYPE; k++)
		for (size_t i = 0; i < s4rec_reader_count(r, (enum s4rec_kind)k); i++) {
			s4rec_reader_get(r, (enum s4rec_kind)k, i, &row, vector);
			print_row(out, &row);
		}
	free(vector);
}

int main(int argc, char **argv)
{
	struct s4rec_reader_options o = { .stay = getenv("STAY") != NULL, .on_event = on_event };
	struct s4rec_reader *r;
	enum s4rec_kind kind = S4REC_ITEM;
	int x;

	if (argc != 7)
		return 64;
	o.timeout_ms = getenv("TIMEOUT_MS") ? atoi(getenv("TIMEOUT_MS")) : 0;
	o.bootstrap_servers = argv[1];
	o.prefix = argv[2];
	while (kind < S4REC_PROTOTYPE && strcmp(kinds[kind], argv[4]) != 0)
		kind++;
	x = s4rec_reader_open(&r, &o);
	if (x < 0)
		return -x;
	while (x == 0 && !(s4rec_reader_ready(r) && s4rec_reader_version(r, NULL) >= strtoull(argv[3], NULL, 10))) {
		x = s4rec_reader_poll(r, 100);
		if (changed) {
			fprintf(stderr, "served meanwhile: version %" PRIu64 "\n", s4rec_reader_version(r, NULL));
			print_view(stderr, r);
			changed = 0;
		}
	}
	if (x == 0) {
		print_view(stdout, r);
		print_best(stdout, r, kind, argv[5], strtoul(argv[6], NULL, 10));
		fprintf(stderr, "told of %ld rows and %ld deletes\n", told[0], told[1]);
	}
	s4rec_reader_close(r);
	return -x;
}
