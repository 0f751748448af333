/* neighbours.c - do neighbours in the published space belong together?
 *
 *   neighbours EVENTS.tsv [s4rec options]     EVENTS.tsv: a header with `user` and `item`, tab separated
 *
 * For every item with vectors in the topic: its 10 nearest items by cosine, and for each of these a control item of the
 * nearest popularity (the next one in the order of popularity, ties at random, that is neither the item nor the neighbour). Prints how many
 * users have both items of a pair, on average, for neighbours and for controls, and the ratio.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/idmap.h"
#include "model/rng.h"
#include "worker/kafka/view.h"

#define NEIGHBOURS 10

struct pairs { uint32_t *users; uint32_t n, cap; }; /* users of an item, ascending, each once */

static struct idmap *users, *items;
static struct pairs *of_item;
static uint32_t *by_popularity, *place;

static int column(const char *header, const char *name)
{
	int i = 0;
	size_t len = strlen(name);
	for (const char *p = header; ; i++) {
		if (!strncmp(p, name, len) && strchr("\t\n\r", p[len]))
			return i;
		p = strchr(p, '\t');
		if (!p++)
			return -1;
	}
}

static const char *field(const char *line, int n, size_t *ret_len)
{
	while (n-- && (line = strchr(line, '\t')))
		line++;
	*ret_len = line ? strcspn(line, "\t\r\n") : 0;
	return line;
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static int more_popular(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	if (of_item[x].n != of_item[y].n)
		return of_item[x].n < of_item[y].n ? 1 : -1;
	/* rows are in the order of first sight, and items of one time share users: ties must not follow it */
	uint64_t hx = rng_mix(x), hy = rng_mix(y);
	return (hx > hy) - (hx < hy);
}

static void read_events(const char *file)
{
	char line[65536];
	FILE *f = fopen(file, "r");
	size_t cap = 0;
	if (!f || !fgets(line, sizeof line, f)) {
		fprintf(stderr, "neighbours: cannot read %s\n", file);
		exit(66);
	}
	int u = column(line, "user"), it = column(line, "item");
	if (u < 0 || it < 0) {
		fprintf(stderr, "neighbours: %s has no columns `user` and `item`\n", file);
		exit(65);
	}
	while (fgets(line, sizeof line, f)) {
		size_t ulen, ilen;
		uint32_t user, item;
		int is_new;
		const char *uid = field(line, u, &ulen), *iid = field(line, it, &ilen);
		idmap_intern(users, &user, &is_new, uid, ulen);
		idmap_intern(items, &item, &is_new, iid, ilen);
		if (item >= cap) {
			size_t old = cap;
			cap = cap ? cap * 2 : 4096;
			of_item = realloc(of_item, cap * sizeof *of_item);
			memset(of_item + old, 0, (cap - old) * sizeof *of_item);
		}
		struct pairs *p = &of_item[item];
		if (p->n == p->cap)
			p->users = realloc(p->users, (p->cap = p->cap ? p->cap * 2 : 8) * sizeof *p->users);
		p->users[p->n++] = user;
	}
	fclose(f);
	for (size_t i = 0; i < idmap_rows(items); i++) {
		struct pairs *p = &of_item[i];
		uint32_t n = 0;
		qsort(p->users, p->n, sizeof *p->users, ascending);
		for (uint32_t j = 0; j < p->n; j++)
			if (n == 0 || p->users[n - 1] != p->users[j])
				p->users[n++] = p->users[j];
		p->n = n;
	}
}

static void order_by_popularity(void)
{
	size_t n = idmap_rows(items);
	by_popularity = malloc(n * sizeof *by_popularity);
	place = malloc(n * sizeof *place);
	for (uint32_t i = 0; i < n; i++)
		by_popularity[i] = i;
	qsort(by_popularity, n, sizeof *by_popularity, more_popular);
	for (uint32_t i = 0; i < n; i++)
		place[by_popularity[i]] = i;
}

static uint32_t shared_users(uint32_t a, uint32_t b)
{
	const struct pairs *x = &of_item[a], *y = &of_item[b];
	uint32_t n = 0;
	for (uint32_t i = 0, j = 0; i < x->n && j < y->n;) {
		if (x->users[i] == y->users[j])
			n++, i++, j++;
		else if (x->users[i] < y->users[j])
			i++;
		else
			j++;
	}
	return n;
}

static uint32_t control(uint32_t item, uint32_t neighbour)
{
	size_t n = idmap_rows(items);
	uint32_t at = place[neighbour], c;
	do {
		at = at + 1 < n ? at + 1 : 0;
		c = by_popularity[at];
	} while (c == item || c == neighbour);
	return c;
}

int main(int argc, char **argv)
{
	struct config c;
	struct s4rec_reader *v;
	if (argc < 2) {
		fprintf(stderr, "usage: neighbours EVENTS.tsv [s4rec options]\n");
		return 64;
	}
	if (idmap_new(&users, 100000000) || idmap_new(&items, 10000000))
		return 71;
	read_events(argv[1]);
	order_by_popularity();
	argv[1] = argv[0];
	int r = config_parse(&c, C_QUERY, "neighbours EVENTS.tsv [OPTION]...", "neighbours events.tsv -b 127.0.0.1:9092", argc - 1, argv + 1);
	if (r == 0)
		r = view_open(&v, &c, &(struct view_options){ .stay = 1 });
	if (r == 0)
		r = view_code(s4rec_reader_bootstrap(v, NULL, NULL));
	if (r)
		return r < 0 ? 0 : r;

	size_t n = s4rec_reader_count(v, S4REC_ITEM), D = s4rec_reader_dimension(v), scored = 0;
	float *vec = malloc(D * sizeof *vec);
	float *x = malloc(n * D * sizeof *x);
	uint32_t *row = malloc(n * sizeof *row);
	for (size_t i = 0; i < n; i++) {
		struct s4rec_row of;
		s4rec_reader_get(v, S4REC_ITEM, i, &of, vec);
		double norm = 0;
		for (size_t d = 0; d < D; d++)
			norm += (double)vec[d] * (double)vec[d];
		for (size_t d = 0; d < D; d++)
			x[i * D + d] = (float)(vec[d] / (__builtin_sqrt(norm) + 1e-12));
		row[i] = idmap_find(items, of.id, of.id_len);
	}
	double near = 0, far = 0;
	for (size_t i = 0; i < n; i++) {
		float best[NEIGHBOURS];
		size_t who[NEIGHBOURS], have = 0;
		for (size_t j = 0; j < n; j++) {
			float s = 0;
			if (j == i || row[j] == UINT32_MAX)
				continue;
			for (size_t d = 0; d < D; d++)
				s += x[i * D + d] * x[j * D + d];
			if (have == NEIGHBOURS && s <= best[have - 1])
				continue;
			size_t at = have < NEIGHBOURS ? have++ : have - 1;
			for (; at > 0 && best[at - 1] < s; at--) {
				best[at] = best[at - 1];
				who[at] = who[at - 1];
			}
			best[at] = s;
			who[at] = j;
		}
		for (size_t j = 0; row[i] != UINT32_MAX && j < have; j++) {
			near += shared_users(row[i], row[who[j]]);
			far += shared_users(row[i], control(row[i], row[who[j]]));
			scored++;
		}
	}
	printf("items=%zu pairs=%zu users_in_common: neighbours@%d %.4f, matched by popularity %.4f, ratio %.1f\n", n, scored, NEIGHBOURS,
	       near / (double)scored, far / (double)scored, near / far);
	s4rec_reader_close(v);
	config_release(&c);
	return 0;
}
