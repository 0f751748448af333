/* memory.c - `make bench-memory`: what a learner of so many items and users takes, as a restore makes it, beside the formula of model/README.md; and how long the
 * pass over all users takes that an expiry of items makes.
 * Usage: memory [ITEMS USERS EVENTS [s4rec options]]. Default: 200000 1000000 6 --loss sampled
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "model/state.h"
#include "worker/state/rows.h"

static double resident_mb(void)
{
	long pages = 0, ignored;
	FILE *f = fopen("/proc/self/statm", "r");
	if (!f || fscanf(f, "%ld %ld", &ignored, &pages) != 2)
		pages = 0;
	if (f)
		fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static void die(int r)
{
	fprintf(stderr, "memory: %d\n", r);
	exit(71);
}

static void make_items(struct learner *l, uint32_t items)
{
	size_t D = (size_t)l->cfg->width, floats = model_row_floats(l->model), len;
	float values[floats], seen[D];
	uint8_t record[ITEM_STATE_BYTES(floats, D)];
	char id[32];
	for (size_t i = 0; i < floats; i++)
		values[i] = 1;
	for (size_t i = 0; i < D; i++)
		seen[i] = 1;
	for (uint32_t i = 0; i < items; i++) {
		struct item_state s = { .row = i, .values = values, .values_n = floats, .published = seen, .published_n = D, .published_step = 1, .event_time_ms = 1, .popularity = 1,
			.events = 1 };
		int id_len = snprintf(id, sizeof id, "item-%010u", i), r = item_state_encode(record, sizeof record, &len, &s);
		uint32_t row;
		if (r == 0)
			r = state_row_load(l, STATE_ITEM, id, (size_t)id_len, record, len, &row);
		if (r == 0)
			r = changes_set_hash(l->changes, STATE_ITEM, row, 1);
		if (r < 0)
			die(r);
	}
}

static void make_users(struct learner *l, uint32_t users, uint32_t events, uint32_t items)
{
	char id[32];
	for (uint32_t i = 0; i < users; i++) {
		uint32_t row;
		int is_new, id_len = snprintf(id, sizeof id, "user-%010u", i), r = idmap_intern(l->user_ids, &row, &is_new, id, (size_t)id_len);
		for (uint32_t e = 0; r == 0 && e < events; e++)
			r = users_add(l->users, row, (struct visit){ .item = (i + e) % items, .weight = 1, .id = 1 }, e);
		if (r == 0)
			r = changes_set_hash(l->changes, STATE_USER, row, 1);
		if (r < 0)
			die(r);
	}
}

static double pass_ms(struct learner *l, size_t items)
{
	struct timespec from, to;
	uint8_t *gone = calloc(items, 1);
	size_t found = 0;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (uint32_t row = 0; gone && row < users_rows(l->users); row++)
		found += (size_t)users_has_any(l->users, row, gone);
	clock_gettime(CLOCK_MONOTONIC, &to);
	free(gone);
	return (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) * 1e-6 + (double)found;
}

static size_t power(size_t n)
{
	size_t p = 1024;
	while (p < n)
		p *= 2;
	return p;
}

static size_t slots(size_t n) { size_t p = 64; while (n * 4 > p * 3) p *= 2; return p; }

int main(int argc, char **argv)
{
	struct config c;
	struct learner *l;
	char *options[64] = { "memory", "--loss", "sampled" };
	int named = argc > 3, n = named ? 1 : 3;
	size_t items = named ? strtoul(argv[1], NULL, 10) : 200000, users = named ? strtoul(argv[2], NULL, 10) : 1000000, events = named ? strtoul(argv[3], NULL, 10) : 6;
	for (int i = 4; i < argc && n < 63; i++)
		options[n++] = argv[i];
	if (config_parse(&c, C_TRAIN, "memory", "", n, options) || learner_new(&l, &c, "input", 1))
		return 64;

	double before = resident_mb();
	make_items(l, (uint32_t)items);
	double with_items = resident_mb();
	make_users(l, (uint32_t)users, (uint32_t)events, (uint32_t)items);
	double with_users = resident_mb();

	size_t D = (size_t)c.width, cap = 4, keep = (size_t)c.max_length + 1, kept = events < keep ? events : keep;
	while (cap < kept)
		cap *= 2;
	cap = cap < keep ? cap : keep;
	double item = (double)((4 * model_row_floats(l->model) + 4 * D + 64) * items + 41 * power(items) + 8 * slots(items)) / 1e6;
	double user = (double)((24 * cap + 64) * users + (sizeof(struct user) + 9) * power(users) + 8 * slots(users)) / 1e6;
	printf("items %zu: %.0f MB, by the formula %.0f MB\nusers %zu of %zu events: %.0f MB, by the formula %.0f MB\n", items, with_items - before, item, users, events,
	       with_users - with_items, user);
	printf("a pass over all users: %.0f ms\n", pass_ms(l, items));
	learner_free(l);
	config_release(&c);
	return 0;
}
