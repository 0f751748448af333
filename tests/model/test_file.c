/* test_file.c - a model file: train 2N = train N, save, load, train N, bit for bit; and every file that is not right is refused in words. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "model/file.h"
#include "model/state.h"
#include "tests/model/small.h"

#define ROWS 200

static char path[64], why[200];

static int folder(void **state)
{
	strcpy(path, "/tmp/s4rec-test-XXXXXX");
	assert_non_null(mkdtemp(path));
	strcat(path, "/model");
	return 0;
}

static int folder_gone(void **state)
{
	unlink(path);
	*strrchr(path, '/') = 0;
	return rmdir(path); /* fails when a temporary file was left */
}

static struct model_config whole(enum loss_form loss)
{
	struct model_config c = small();

	c.loss = loss;
	c.alpha = .1f; c.beta1 = .5f; c.beta2 = .7f; c.lambda = .3f; c.clip = 1; c.queue = 50; c.weight_decay = .05f;
	return c;
}

static void train(struct model *m, struct grad *g, uint64_t from, uint64_t to)
{
	static struct data d;
	struct step_stats st;

	for (uint64_t step = from; step <= to; step++) {
		if (step % 11 == 5)
			continue; /* a discarded step */
		data_init(&d, 3 + step % 4, m->cfg.L, ROWS);
		for (size_t t = 0; t < d.b.T; t++) { /* rows differ in how long they are away */
			d.item[t] = (d.item[t] + (uint32_t)step * 7) % ROWS;
			d.target[t] = d.target[t] == NO_ROW ? NO_ROW : d.target[t] % 20;
		}
		d.b.attribute = m->cfg.attributes ? d.attribute : NULL;
		model_grad(m, g, &d.b, step, &st);
		assert_false(st.discarded);
		model_apply(m, g, step, 1e-2f / (float)(1 + step % 3));
	}
}

static uint64_t bits(const struct model *m)
{
	uint64_t h = 1;

	h = hash(h, m->block_w, m->dense * sizeof(float));
	h = hash(h, m->block_m, m->dense * sizeof(float));
	h = hash(h, m->block_v, m->dense * sizeof(float));
	h = hash(h, m->item, m->N * m->item_stride * sizeof(float));
	h = hash(h, m->item_step, m->N * sizeof *m->item_step);
	h = hash(h, m->queue, m->cfg.queue * m->cfg.D * sizeof(float));
	h = hash(h, &m->queue_next, sizeof m->queue_next);
	return h;
}

static uint64_t round_trip(struct model_config c, int saving, int optional)
{
	struct grad *g;
	struct model *m = make(&c, ROWS, &g);
	uint64_t h;

	train(m, g, 1, 60);
	if (saving) {
		assert_int_equal(model_save(path, m, NULL, why, sizeof why), 0);
		grad_free(g);
		model_free(m);
		if (optional)
			c.threads = 1;
		if (model_load(&m, NULL, &c, path, why, sizeof why))
			fail_msg("%s", why);
		assert_int_equal(grad_new(&g, m), 0);
	}
	train(m, g, 61, 120);
	h = bits(m);
	grad_free(g);
	model_free(m);
	return h;
}

static void trains_on_with_the_same_bits(void **state)
{
	for (int loss = LOSS_FULL; loss <= LOSS_BCE; loss++) {
		struct model_config c = whole((enum loss_form)loss);
		uint64_t straight = round_trip(c, 0, 0);

		assert_true(round_trip(c, 1, 0) == straight);
		assert_true(round_trip(c, 1, 1) == straight); /* threads are no part of a file */
		c.rows = ROWS_ADAGRAD;
		c.attributes = SMALL_ATTRIBUTES;
		assert_true(round_trip(c, 1, 0) == round_trip(c, 0, 0));
	}
}

/* Rows in another order are the same rows, and one that has no origin is a new one. */
static void rows_may_be_arranged(void **state)
{
	for (int loss = LOSS_FULL; loss <= LOSS_BCE; loss++) {
		struct model_config c = whole((enum loss_form)loss);
		struct model *m, *other;
		struct grad *g;
		uint32_t from[ROWS + 1], row;
		float a[64], b[64];

		c.attributes = SMALL_ATTRIBUTES; /* they go with the rows */
		m = make(&c, ROWS, &g);
		train(m, g, 1, 60);
		for (uint32_t i = 0; i <= ROWS; i++)
			from[i] = i ? ROWS - i : NO_ROW;
		assert_int_equal(model_new(&other, &c), 0);
		model_arrange(other, m, from, ROWS + 1);
		assert_int_equal(model_items(other), ROWS + 1);
		assert_int_equal(model_applied(other), model_applied(m));
		for (uint32_t i = 1; i <= ROWS; i++) {
			model_item_vector(other, a, i);
			model_item_vector(m, b, ROWS - i);
			assert_memory_equal(a, b, c.D * sizeof *a);
			assert_memory_equal(model_item_row(other, i), model_item_row(m, ROWS - i), m->item_stride * sizeof(float));
		}
		grad_free(g);
		model_free(m);
		assert_int_equal(model_new(&m, &c), 0);
		assert_int_equal(model_add_item(m, &row), 0);
		assert_memory_equal(model_item_row(other, 0), model_item_row(m, 0), m->item_stride * sizeof(float));
		assert_int_equal(other->item_step[0], model_applied(other));
		model_free(m);
		model_free(other);
	}
}

/* What a copy keeps is what a file keeps: an older model, put back, trains as it would have. */
static void a_copy_trains_on_with_the_same_bits(void **state)
{
	for (int rows = ROWS_ADAM; rows <= ROWS_ADAGRAD; rows++)
		for (int loss = LOSS_FULL; loss <= LOSS_BCE; loss++) {
			struct model_config c = whole((enum loss_form)loss), keeps;
			struct grad *g;
			struct model *m, *kept;

			c.rows = (enum row_optimizer)rows;
			c.attributes = rows == ROWS_ADAM ? SMALL_ATTRIBUTES : 0;
			m = make(&c, ROWS, &g);
			keeps = c;
			keeps.threads = 1;
			keeps.batch_users_max = 1;
			assert_int_equal(model_new(&kept, &keeps), 0);
			train(m, g, 1, 60);
			model_copy(kept, m);
			assert_true(bits(kept) == bits(m));
			train(m, g, 61, 150);
			model_copy(m, kept);
			train(m, g, 61, 120);
			assert_true(bits(m) == round_trip(c, 0, 0));
			grad_free(g);
			model_free(m);
			model_free(kept);
		}
}

static void ids_come_back(void **state)
{
	struct model_config c = whole(LOSS_BCE), file;
	struct grad *g;
	struct model *m = make(&c, 5, &g), *n;
	struct idmap *ids, *back;
	const char *id[] = { "apple", "", "pear\0core", NULL, "\xff" };
	size_t len[] = { 5, 0, 9, 0, 1 }, items;
	uint32_t row;
	int is_new;

	assert_int_equal(idmap_new(&ids, 10), 0);
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(idmap_intern(ids, &row, &is_new, id[i] ? id[i] : "gone", id[i] ? len[i] : 4), 0);
	idmap_remove(ids, 3);
	assert_int_equal(model_save(path, m, ids, why, sizeof why), 0);
	assert_int_equal(model_load(&n, &back, &c, path, why, sizeof why), 0);
	assert_int_equal(idmap_rows(back), 5);
	assert_int_equal(idmap_count(back), 4);
	for (uint32_t i = 0; i < 5; i++) {
		size_t l = 77;
		const char *s = idmap_id(back, i, &l);

		assert_true(!s == !id[i]);
		if (s) {
			assert_int_equal(l, len[i]);
			assert_memory_equal(s, id[i], l);
			assert_int_equal(idmap_find(back, s, l), i);
		}
	}
	assert_int_equal(idmap_intern(back, &row, &is_new, "new", 3), 0);
	assert_int_equal(row, 3); /* nobody waits for the delete of a removed row any more */
	model_free(n);

	/* the configuration without the rest; ids not asked for */
	assert_int_equal(model_file_config(&file, &items, path, why, sizeof why), 0);
	assert_int_equal(items, 5);
	assert_true(file.D == c.D && file.loss == LOSS_BCE && file.tau1 == c.tau1 && file.seed == c.seed && file.threads == 0);
	assert_int_equal(model_load(&n, NULL, &c, path, why, sizeof why), 0);
	model_free(n);

	/* another number of rows */
	assert_int_equal(idmap_intern(ids, &row, &is_new, "more", 4), 0);
	assert_int_equal(model_save(path, m, ids, why, sizeof why), -EINVAL);
	assert_string_equal(why, "ids of 6 rows for 5 items");

	/* a file without ids gives none */
	assert_int_equal(model_save(path, m, NULL, why, sizeof why), 0);
	idmap_free(back);
	assert_int_equal(model_load(&n, &back, &c, path, why, sizeof why), 0);
	assert_null(back);
	model_free(n);
	idmap_free(ids);
	grad_free(g);
	model_free(m);
}

static void refuses(const struct model_config *c, int code, const char *text)
{
	struct model *m = NULL;
	struct idmap *ids = NULL;
	int r = model_load(&m, &ids, c, path, why, sizeof why);

	if (r != code || !strstr(why, text))
		fail_msg("%d \"%s\", expected %d \"%s\"", r, why, code, text);
	assert_null(m);
	assert_null(ids);
}

static void names_what_differs(void **state)
{
	struct model_config c = whole(LOSS_BCE);
	struct grad *g;
	struct model *m = make(&c, 30, &g);

	assert_int_equal(model_save(path, m, NULL, why, sizeof why), 0);
#define DIFFERS(change, text) do { struct model_config o = c; o.change; refuses(&o, -EINVAL, text); } while (0)
	DIFFERS(D = 24, "model: width is 12 in the file, 24 here");
	DIFFERS(L = 8, "max_length is 7 in the file, 8 here");
	DIFFERS(layers = 1, "layers is 2 in the file, 1 here");
	DIFFERS(heads = 2, "heads is 3 in the file, 2 here");
	DIFFERS(K = 4, "prototypes is 3 in the file, 4 here");
	DIFFERS(low_pass = 0, "low_pass is 1 in the file, 0 here");
	DIFFERS(loss = LOSS_FULL, "loss is bce in the file, full here");
	DIFFERS(rows = ROWS_ADAGRAD, "rows is adam in the file, adagrad here");
	DIFFERS(cosine = 0, "cosine is 1 in the file, 0 here");
	DIFFERS(pool = POOL_LAST, "pool is mean in the file, last here");
	DIFFERS(norm = 0, "norm is 1 in the file, 0 here");
	DIFFERS(queue = 0, "queue is 50 in the file, 0 here");
	DIFFERS(beta_2 = .99f, "beta_2 is 0.999");
	DIFFERS(attributes = 5, "attributes is 0 in the file, 5 here");
	DIFFERS(weight_decay = 0, "weight_decay is 0.05");
#undef DIFFERS
	c.items_max = 29;
	refuses(&c, -ENOSPC, "30 items in the file, at most 29 here");
	c.items_max = 30; c.tau1 = 2; c.dropout = 0; c.seed = 99; c.threads = 1; /* these may differ */
	grad_free(g);
	model_free(m);
	assert_int_equal(model_load(&m, NULL, &c, path, why, sizeof why), 0);
	model_free(m);
}

/* ---- damage ---- */

static size_t slurp(unsigned char **ret)
{
	struct stat st;
	int fd = open(path, O_RDONLY);

	assert_int_equal(fstat(fd, &st), 0);
	*ret = malloc((size_t)st.st_size + 1);
	assert_int_equal(read(fd, *ret, (size_t)st.st_size), st.st_size);
	close(fd);
	return (size_t)st.st_size;
}

static void spill(const unsigned char *p, size_t n)
{
	int fd;

	unlink(path); /* a file that is cut and written again is flushed by some file systems: slow */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);

	assert_int_equal(write(fd, p, n), (ssize_t)n);
	close(fd);
}

static void every_damage_is_seen(void **state)
{
	struct model_config c = whole(LOSS_SAMPLED);
	struct grad *g;
	struct model *m;
	unsigned char *file;
	size_t n;

	c.D = 6; c.layers = 1; c.K = 2; c.queue = 3; c.threads = 1; c.items_max = 20; c.batch_users_max = 4;
	m = make(&c, 9, &g);
	g->rows = g->B = 0; g->norm = 1;
	memset(g->block, 0, m->dense * sizeof(float));
	model_apply(m, g, 1, .1f);
	assert_int_equal(model_save(path, m, NULL, why, sizeof why), 0);
	n = slurp(&file);

	for (size_t cut = 0; cut < n; cut += cut < 2000 ? 1 : 37) {
		spill(file, cut);
		refuses(&c, -EBADMSG, cut < 16 ? "not a model file" : "cut short");
	}
	for (size_t at = 0; at < n; at += at < 2000 ? 1 : 37) {
		struct model *x = NULL;
		int r;

		file[at] ^= 1u << at % 8;
		spill(file, n);
		r = model_load(&x, NULL, &c, path, why, sizeof why);
		if (!r) /* some bits of a frame's head tell only how to read it */
			assert_true(bits(x) == bits(m));
		else if (r != -EBADMSG && r != -EPROTO)
			fail_msg("byte %zu of %zu: %d \"%s\"", at, n, r, why);
		model_free(x);
		file[at] ^= 1u << at % 8;
	}
	file[n] = 0;
	spill(file, n + 1);
	refuses(&c, -EBADMSG, "something follows its end");
	file[8] = 2;
	spill(file, n);
	refuses(&c, -EPROTO, "version 2, this program knows 1");
	free(file);
	unlink(path);
	refuses(&c, -ENOENT, "cannot be opened: No such file");
	grad_free(g);
	model_free(m);
}

static void impossible_values_are_refused(void **state)
{
	struct model_config c = whole(LOSS_BCE);
	struct grad *g;
	struct model *m = make(&c, 9, &g);

	model_item_row(m, 4)[2] = NAN;
	assert_int_equal(model_save(path, m, NULL, why, sizeof why), 0);
	refuses(&c, -EBADMSG, "a value of item 4 is impossible");
	model_item_row(m, 4)[2] = 0;
	model_item_row(m, 8)[2 * c.D] = -1;
	assert_int_equal(model_save(path, m, NULL, why, sizeof why), 0);
	refuses(&c, -EBADMSG, "a value of item 8 is impossible");
	model_item_row(m, 8)[2 * c.D] = 0;
	m->block_w[3] = INFINITY;
	assert_int_equal(model_save(path, m, NULL, why, sizeof why), 0);
	refuses(&c, -EBADMSG, "a value of the weights is impossible");
	m->block_w[3] = 0;
	m->item_step[7] = 5; /* of a step that never was */
	assert_int_equal(model_save(path, m, NULL, why, sizeof why), 0);
	refuses(&c, -EBADMSG, "item 7 is of a step that is not known");
	m->item_step[7] = 0;
	m->queue_count = c.queue + 1;
	assert_int_equal(model_save(path, m, NULL, why, sizeof why), 0);
	refuses(&c, -EBADMSG, "its sizes do not fit each other");
	grad_free(g);
	model_free(m);

	c.attributes = SMALL_ATTRIBUTES;
	m = make(&c, 9, &g);
	m->item_attribute[5 * ATTRIBUTES_MAX + 3] = SMALL_ATTRIBUTES + 1;
	assert_int_equal(model_save(path, m, NULL, why, sizeof why), 0);
	refuses(&c, -EBADMSG, "item 5 has an attribute that is not there");
	grad_free(g);
	model_free(m);
}

/* The old file stays until the new one is whole; nothing is left behind. */
static void a_failed_save_leaves_the_old_file(void **state)
{
	struct model_config c = whole(LOSS_BCE);
	struct grad *g;
	struct model *m = make(&c, 9, &g), *n;
	char tmp[80];

	assert_int_equal(model_save(path, m, NULL, why, sizeof why), 0);
	snprintf(tmp, sizeof tmp, "%s.tmp", path);
	assert_int_equal(mkdir(tmp, 0777), 0); /* the temporary name cannot be opened */
	assert_int_equal(model_save(path, m, NULL, why, sizeof why), -EISDIR);
	assert_non_null(strstr(why, "cannot be written"));
	rmdir(tmp);
	assert_int_equal(symlink("/dev/full", tmp), 0); /* every write fails: no space */
	assert_int_equal(model_save(path, m, NULL, why, sizeof why), -ENOSPC);
	assert_int_equal(access(tmp, F_OK), -1);
	assert_int_equal(rename(path, tmp), 0); /* a longer one that a crash left there */
	assert_int_equal(truncate(tmp, 1 << 20), 0);
	assert_int_equal(model_save(path, m, NULL, why, sizeof why), 0);
	assert_int_equal(model_load(&n, NULL, &c, path, why, sizeof why), 0);
	model_free(n);
	grad_free(g);
	model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trains_on_with_the_same_bits), cmocka_unit_test(a_copy_trains_on_with_the_same_bits), cmocka_unit_test(rows_may_be_arranged), cmocka_unit_test(ids_come_back), cmocka_unit_test(names_what_differs),
		cmocka_unit_test(every_damage_is_seen), cmocka_unit_test(impossible_values_are_refused),
		cmocka_unit_test(a_failed_save_leaves_the_old_file),
	};
	return cmocka_run_group_tests(tests, folder, folder_gone);
}
