/* test_config.c - options: where they come from, who wins, what is refused and how it is said. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include <cmocka.h>

#include "worker/config_private.h"
#include "worker/model_config.h"
#include "worker/nearest.h"

static char said[4096];                             /* what the last parse wrote to stderr */
static char file_name[] = "/tmp/s4rec_config_XXXXXX"; /* a .properties file */

/* Parses "train" or another command with up to four arguments, stderr kept in `said`. */
static int parse_as(unsigned command, struct config *c, const char *a0, const char *a1, const char *a2, const char *a3)
{
	const char *all[] = { "x", a0, a1, a2, a3, NULL };
	static char copies[6][256];
	static char *argv[7]; /* c->args points into it */
	int argc = 0, r, saved = dup(STDERR_FILENO);
	FILE *f = tmpfile();
	size_t n;

	memset(argv, 0, sizeof(argv));
	for (size_t i = 0; i < 5 && all[i]; i++) {
		snprintf(copies[argc], sizeof(copies[0]), "%s", all[i]);
		argv[argc] = copies[argc];
		argc++;
	}
	fflush(stderr);
	dup2(fileno(f), STDERR_FILENO);
	r = config_parse(c, command, "usage", "example", argc, argv);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(f);
	n = fread(said, 1, sizeof(said) - 1, f);
	said[n] = '\0';
	fclose(f);
	return r;
}

static int parse(struct config *c, const char *a0, const char *a1) { return parse_as(C_TRAIN, c, a0, a1, NULL, NULL); }

static void write_file(const char *text)
{
	FILE *f = fopen(file_name, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

#define assert_said(part)                                                       \
	do {                                                                    \
		if (!strstr(said, part))                                        \
			fail_msg("'%s' is not in: %s", part, said);             \
	} while (0)

static void test_defaults(void **state)
{
	struct config c;

	assert_int_equal(parse(&c, NULL, NULL), 0);
	assert_string_equal(c.bootstrap_servers, "127.0.0.1:9092");
	assert_int_equal(c.batch_users, 256);
	assert_float_equal((float)c.dropout, .2f, 1e-6);
	assert_int_equal(c.cosine, 1);
	assert_int_equal(c.loss, 0);
	assert_string_equal(c.eval_out, "");
	assert_int_equal(c.arg_count, 0);
	assert_string_equal(said, "");
	config_release(&c);
}

static void test_group_is_the_prefix_unless_named(void **state)
{
	struct config c;

	assert_int_equal(parse(&c, "--topic.prefix=shop", NULL), 0);
	assert_string_equal(c.group_id, "shop");
	config_release(&c);
	assert_int_equal(parse(&c, "--topic.prefix=shop", "--group.id=mine"), 0);
	assert_string_equal(c.group_id, "mine");
	config_release(&c);
}

static void test_later_sources_win(void **state)
{
	struct config c;

	write_file("# comment\n! also one\n\n  width = 32 \nbatch.users:128\nkafka.client.id=a:b=c\nitems=77\nloss=sampled\n");
	assert_int_equal(parse(&c, "--config", file_name), 0);
	assert_int_equal(c.width, 32);
	assert_int_equal(c.batch_users, 128);
	assert_int_equal(c.loss, 1);
	assert_int_equal(c.items, 77); /* known, though not an option of train: one file serves all commands */
	assert_int_equal(c.kafka_count, 1);
	assert_string_equal(c.kafka[0], "client.id");
	assert_string_equal(c.kafka[1], "a:b=c");
	config_release(&c);

	setenv("S4REC_CONFIG", file_name, 1);
	setenv("S4REC_WIDTH", "16", 1);
	setenv("S4REC_BATCH_USERS", "64", 1);
	setenv("S4REC_KAFKA_CLIENT_ID", "env", 1);
	assert_int_equal(parse(&c, "--batch.users=8", "-Xclient.rack=r"), 0);
	assert_int_equal(c.loss, 1);
	assert_int_equal(c.width, 16);
	assert_int_equal(c.batch_users, 8);
	assert_int_equal(c.kafka_count, 2);
	assert_string_equal(c.kafka[1], "env");
	assert_string_equal(c.kafka[3], "r");
	config_release(&c);
	unsetenv("S4REC_CONFIG");
	unsetenv("S4REC_WIDTH");
	unsetenv("S4REC_BATCH_USERS");
	unsetenv("S4REC_KAFKA_CLIENT_ID");
}

/* A preset's values lie above the defaults and below whatever anybody sets, wherever the preset itself was named. */
static void test_presets(void **state)
{
	static const char *const words[] = { "plain", "segment", "personalize", "movielens", "gorse", "cloudevents" };
	struct config c;
	char flag[64];

	write_file("map.item = sku\npreset = segment\n");
	setenv("S4REC_MAP_TYPE", "kind", 1);
	assert_int_equal(parse_as(C_CONFIG, &c, "--config", file_name, "--map.user=who", NULL), 0);
	assert_string_equal(c.map_item, "sku");
	assert_string_equal(c.map_type, "kind");
	assert_string_equal(c.map_user, "who");
	assert_string_equal(c.map_time, "timestamp,originalTimestamp");
	config_release(&c);
	assert_int_equal(parse_as(C_CONFIG, &c, "--config", file_name, "--preset=gorse", "--map.type="), 0); /* an empty word is a word */
	assert_string_equal(c.map_type, "");
	assert_string_equal(c.map_user, "UserId,user_id");
	assert_string_equal(c.type_weights, "");
	config_release(&c);
	unsetenv("S4REC_MAP_TYPE");

	for (int i = 0; i < 6; i++) {
		snprintf(flag, sizeof flag, "--preset=%s", words[i]);
		assert_int_equal(parse_as(i ? C_TRAIN : C_LOAD, &c, flag, NULL, NULL, NULL), 0);
		assert_int_equal(c.preset, i);
		assert_int_equal(c.format, i == 5 ? 4 : 0);
		config_release(&c);
	}
	assert_int_equal(parse(&c, "--preset=excel", NULL), EX_USAGE);
	assert_said("plain|segment|personalize|movielens|gorse|cloudevents");

	/* the fold knows the values, not the preset */
	assert_int_equal(parse_as(C_TRAIN, &c, "--preset=movielens", NULL, NULL, NULL), 0);
	uint64_t by_preset = config_fold_hash(&c);
	config_release(&c);
	assert_int_equal(parse_as(C_TRAIN, &c, "--map.user=userId", "--map.item=movieId", "--map.time=timestamp", NULL), 0);
	assert_true(config_fold_hash(&c) == by_preset);
	config_release(&c);
	assert_int_equal(parse_as(C_TRAIN, &c, "--map.user=userId", "--map.item=movieId", "--map.time=timestamp", "--type.weights=a:2"), 0);
	assert_true(config_fold_hash(&c) != by_preset);
	config_release(&c);
}

static void test_booleans_letters_and_arguments(void **state)
{
	struct config c;

	assert_int_equal(parse_as(C_READ, &c, "-e", "--vectors", "false", "item"), 0);
	assert_int_equal(c.exit_at_end, 1);
	assert_int_equal(c.vectors, 0);
	assert_int_equal(c.arg_count, 1);
	assert_string_equal(c.args[0], "item");
	config_release(&c);
	assert_int_equal(parse_as(C_QUERY, &c, "item", "-k", "5", "i1"), 0);
	assert_int_equal(c.top, 5);
	assert_int_equal(c.arg_count, 2);
	assert_string_equal(c.args[1], "i1");
	config_release(&c);
	assert_int_equal(parse(&c, "--cosine=no", "--eval.covisit"), 0);
	assert_int_equal(c.cosine, 0);
	assert_int_equal(c.eval_covisit, 1);
	config_release(&c);
}

static void test_command_line_errors(void **state)
{
	struct config c;

	assert_int_equal(parse(&c, "--batch.users", "0"), EX_USAGE);
	assert_said("batch.users=0");
	assert_said("1..65536");
	assert_int_equal(parse(&c, "--batch.users", "12x"), EX_USAGE);
	assert_said("whole number");
	assert_int_equal(parse(&c, "--batch.users", "99999999999999999999"), EX_USAGE);
	assert_int_equal(parse(&c, "--dropout", "nan"), EX_USAGE);
	assert_said("0..0.95");
	assert_int_equal(parse(&c, "--loss", "ful"), EX_USAGE);
	assert_said("full|sampled|bce");
	assert_int_equal(parse(&c, "--cosine=maybe", NULL), EX_USAGE);
	assert_int_equal(parse(&c, "--batch.usrs", "1"), EX_USAGE);
	assert_said("batch.usrs");
	assert_said("'batch.users'");
	assert_int_equal(parse(&c, "--batch.us", "1"), EX_USAGE); /* no abbreviations */
	assert_int_equal(parse(&c, "--batch-users", "7"), 0); /* a dash for a dot */
	assert_int_equal(c.batch_users, 7);
	config_release(&c);
	assert_int_equal(parse(&c, "--batch-us", "1"), EX_USAGE);
	assert_int_equal(parse(&c, "--width", NULL), EX_USAGE);
	assert_said("--width needs a value");
	assert_int_equal(parse(&c, "-z", NULL), EX_USAGE);
	assert_int_equal(parse(&c, "-X", "novalue"), EX_USAGE);
	assert_int_equal(parse(&c, "--interests", "5"), EX_USAGE); /* known, but another command's */
	assert_said("generate");
	assert_int_equal(parse_as(C_GENERATE, &c, "-X", "a=b", NULL, NULL), EX_USAGE);
}

static void test_file_and_environment_errors(void **state)
{
	struct config c;

	assert_int_equal(parse(&c, "--config", "/nonexistent/file"), EX_NOINPUT);
	assert_said("/nonexistent/file");
	write_file("width=8\nwidht=8\n");
	assert_int_equal(parse(&c, "--config", file_name), EX_CONFIG);
	assert_said(":2:");
	assert_said("'width'");
	write_file("width=3\n");
	assert_int_equal(parse(&c, "--config", file_name), EX_CONFIG);
	assert_said("4..512");
	write_file("width\n");
	assert_int_equal(parse(&c, "--config", file_name), EX_CONFIG);
	write_file("guard.factor=1.5\n");
	assert_int_equal(parse(&c, "--config", file_name), EX_CONFIG);
	assert_said("0 for none, else 2 or more");
	write_file("width=10\nheads=4\n");
	assert_int_equal(parse(&c, "--config", file_name), EX_CONFIG);
	assert_said("does not divide");
	setenv("S4REC_BATCH_USRS", "8", 1);
	assert_int_equal(parse(&c, NULL, NULL), EX_CONFIG);
	assert_said("S4REC_BATCH_USRS");
	assert_said("'batch.users'");
	unsetenv("S4REC_BATCH_USRS");
	setenv("S4REC_WIDTH", "", 1);
	assert_int_equal(parse(&c, NULL, NULL), EX_CONFIG);
	unsetenv("S4REC_WIDTH");
}

/* A file of repeated short flags must not outgrow the list of what was asked for. */
static void test_many_flags_in_one_argument(void **state)
{
	struct config c;

	assert_int_equal(parse_as(C_READ, &c, "-eeeeeeeeeeeeeeeeeeeeeeeeeeeeee", NULL, NULL, NULL), 0);
	config_release(&c);
}

static void test_fold_hash(void **state)
{
	struct config a, b;
	static const char *const same[] = { "--linger.ms=7", "--threads=1", "--bootstrap.servers=x:1", "--eval.out=f", "--batch.users=256" };
	static const char *const different[] = { "--batch.users=255", "--seed=2", "--loss=bce", "--map.user=u", "--dropout=0.25", "--norm=0",
		"--rows=adagrad", "--adam.beta1=0.8", "--adam.beta2=0.99", "--adam.eps=1e-6", "--schedule.steps=1000", "--schedule.floor=0.1" };

	assert_int_equal(parse(&a, NULL, NULL), 0);
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		assert_int_equal(parse(&b, same[i], NULL), 0);
		if (config_fold_hash(&a) != config_fold_hash(&b))
			fail_msg("%s changed the hash", same[i]);
		config_release(&b);
	}
	for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++) {
		assert_int_equal(parse(&b, different[i], NULL), 0);
		if (config_fold_hash(&a) == config_fold_hash(&b))
			fail_msg("%s did not change the hash", different[i]);
		config_release(&b);
	}
	config_release(&a);
}

/* What only some commands can do, and what only several rows together can say. */
static void test_training_options(void **state)
{
	struct config c;
	char *text;

	assert_int_equal(parse(&c, "--cluster=kmeans", NULL), EX_USAGE);
	assert_said("eval");
	assert_int_equal(parse_as(C_IMPORT, &c, "--cluster=kmeans", NULL, NULL, NULL), EX_USAGE);
	assert_int_equal(parse_as(C_EVAL, &c, "--cluster=kmeans", NULL, NULL, NULL), 0);
	assert_int_equal(c.cluster, 1);
	config_release(&c);

	assert_int_equal(parse(&c, "--schedule=cosine", NULL), EX_CONFIG);
	assert_said("schedule.steps");
	assert_int_equal(parse_as(C_EVAL, &c, "--schedule=cosine", NULL, NULL, NULL), 0); /* it knows its end */
	config_release(&c);
	assert_int_equal(parse_as(C_EVAL, &c, NULL, NULL, NULL, NULL), 0); /* so it takes one by itself, */
	assert_int_equal(c.schedule, SCHEDULE_COSINE);
	config_release(&c);
	assert_int_equal(parse_as(C_EVAL, &c, "--schedule=constant", NULL, NULL, NULL), 0); /* unless it is told, */
	assert_int_equal(c.schedule, SCHEDULE_CONSTANT);
	config_release(&c);
	assert_int_equal(parse_as(C_STREAM, &c, NULL, NULL, NULL, NULL), 0); /* and a stream does not */
	assert_int_equal(c.schedule, SCHEDULE_CONSTANT);
	config_release(&c);
	assert_int_equal(parse(&c, NULL, NULL), 0);
	assert_int_equal(c.schedule, SCHEDULE_CONSTANT);
	text = config_fold_text(&c);
	assert_non_null(strstr(text, "\nschedule=constant\n")); /* models of before are not strangers */
	free(text);
	config_release(&c);
	assert_int_equal(parse_as(C_TRAIN, &c, "--schedule=cosine", "--schedule.steps=50", "--warmup.steps=50", NULL), EX_CONFIG);
	assert_said("schedule.steps=50 must be above warmup.steps=50");

	assert_int_equal(parse(&c, "--adam.beta1=1", NULL), EX_USAGE);
	assert_int_equal(parse(&c, "--adam.eps=0", NULL), EX_USAGE);
	assert_int_equal(parse(&c, "--rows=sgd", NULL), EX_USAGE);
	assert_said("adam|adagrad");
}

static void test_the_models_options_arrive(void **state)
{
	struct config c;
	struct model_config m;

	assert_int_equal(parse(&c, NULL, NULL), 0);
	m = model_config_from(&c, 1);
	assert_true(m.rows == ROWS_ADAM && m.cluster == CLUSTER_SINKHORN && m.beta_1 == .9f && m.beta_2 == .999f && m.adam_eps == 1e-8f);
	config_release(&c);
	assert_int_equal(parse_as(C_EVAL, &c, "--rows=adagrad", "--cluster=kmeans", "--adam.beta1=0.8", "--adam.beta2=0.99"), 0);
	m = model_config_from(&c, 1);
	assert_true(m.rows == ROWS_ADAGRAD && m.cluster == CLUSTER_KMEANS && m.beta_1 == .8f && m.beta_2 == .99f);
	config_release(&c);

	/* warm-up, then constant; or down to the floor, and there for ever */
	assert_int_equal(parse(&c, "--learning.rate=0.5", "--warmup.steps=10"), 0);
	assert_float_equal(learning_rate_at(&c, 5, 0), .25, 1e-6);
	assert_float_equal(learning_rate_at(&c, 1000000, 100), .5, 1e-6);
	config_release(&c);
	assert_int_equal(parse_as(C_TRAIN, &c, "--learning.rate=0.5", "--warmup.steps=10", "--schedule=cosine", "--schedule.steps=110"), 0);
	assert_float_equal(learning_rate_at(&c, 5, 110), .25, 1e-6);
	assert_float_equal(learning_rate_at(&c, 60, 110), .25, 1e-6);
	assert_float_equal(learning_rate_at(&c, 1000000, 110), .01, 1e-6);
	config_release(&c);
}

/* Numbers that no two options share: one that arrives in another's place is seen. */
static const char unusual[] =
	"max.length=31\nwidth=44\nheads=11\nlayers=5\nprototypes=37\ndropout=0.31\nnegatives=17\nnegatives.uniform=0.32\ncosine.tau=0.33\n"
	"sinkhorn.eps=0.34\nsinkhorn.iters=7\nsinkhorn.queue=41\ntau1=0.35\ntau2=0.36\ntau3=0.37\nalpha=0.38\nbeta1=0.39\nbeta2=0.4\nlambda=0.41\n"
	"mask.share=0.42\ncrop.share=0.43\nreorder.share=0.44\ninsert.share=0.45\nadam.beta1=0.46\nadam.beta2=0.47\nadam.eps=0.48\n"
	"weight.decay=0.49\nclip=0.5\nseed=53\nthreads=3\nmax.items=59\n";

static void test_every_number_of_the_model_arrives(void **state)
{
	struct config c;
	struct model_config m;

	write_file(unusual);
	assert_int_equal(parse_as(C_EVAL, &c, "--config", file_name, NULL, NULL), 0);
	m = model_config_from(&c, 61);
	assert_int_equal(model_config_check(&m, NULL), 0);
	assert_true(m.L == 31 && m.D == 44 && m.heads == 11 && m.layers == 5 && m.K == 37);
	assert_true(m.dropout == .31f && m.negatives == 17 && m.uniform == .32f && m.cosine_tau == .33f);
	assert_true(m.eps == .34f && m.iters == 7 && m.queue == 41);
	assert_true(m.tau1 == .35f && m.tau2 == .36f && m.tau3 == .37f);
	assert_true(m.alpha == .38f && m.beta1 == .39f && m.beta2 == .4f && m.lambda == .41f);
	assert_true(m.mask_share == .42f && m.crop_share == .43f && m.reorder_share == .44f && m.insert_share == .45f);
	assert_true(m.beta_1 == .46f && m.beta_2 == .47f && m.adam_eps == .48f && m.weight_decay == .49f && m.clip == .5f);
	assert_true(m.attributes == 0); /* an option of train alone */
	assert_true(m.seed == 53 && m.threads == 3 && m.items_max == 59 && m.batch_users_max == 61);
	config_release(&c);
	assert_int_equal(parse(&c, "--attributes.buckets=67", NULL), 0);
	m = model_config_from(&c, 61);
	assert_int_equal(m.attributes, 67);
	config_release(&c);
	assert_int_equal(parse(&c, "--map.user.attributes=device", NULL), 0); /* one without the other does nothing */
	assert_non_null(strstr(said, "map.user.attributes=device is not looked at, since attributes.buckets=0"));
	config_release(&c);
	assert_int_equal(parse(&c, "--map.item.attributes=brand", NULL), 0);
	assert_non_null(strstr(said, "map.item.attributes=brand is not looked at, since attributes.buckets=0"));
	config_release(&c);
}

/* Options with two or three values: each alone moves its own member, and no other. */
static const struct { const char *option; size_t at; int arrives; } choice[] = {
	{ "loss=bce", offsetof(struct model_config, loss), LOSS_BCE },
	{ "cosine=false", offsetof(struct model_config, cosine), 0 },
	{ "low.pass=false", offsetof(struct model_config, low_pass), 0 },
	{ "logq=false", offsetof(struct model_config, logq), 0 },
	{ "pool=last", offsetof(struct model_config, pool), POOL_LAST },
	{ "norm=false", offsetof(struct model_config, norm), 0 },
	{ "posden=false", offsetof(struct model_config, posden), 0 },
	{ "teacher.detach=true", offsetof(struct model_config, detach), 1 },
	{ "cluster=kmeans", offsetof(struct model_config, cluster), CLUSTER_KMEANS },
	{ "rows=adagrad", offsetof(struct model_config, rows), ROWS_ADAGRAD },
};
enum { CHOICES = sizeof choice / sizeof choice[0] };

static int choice_of(const struct model_config *m, size_t i)
{
	int x;

	memcpy(&x, (const char *)m + choice[i].at, sizeof x); /* an int or an enum */
	return x;
}

static void test_every_choice_of_the_model_arrives_alone(void **state)
{
	struct config c;
	struct model_config usual, m;
	char flag[64];

	assert_int_equal(parse_as(C_EVAL, &c, NULL, NULL, NULL, NULL), 0);
	usual = model_config_from(&c, 1);
	config_release(&c);
	for (size_t i = 0; i < CHOICES; i++) {
		snprintf(flag, sizeof flag, "--%s", choice[i].option);
		assert_int_equal(parse_as(C_EVAL, &c, flag, NULL, NULL, NULL), 0);
		m = model_config_from(&c, 1);
		config_release(&c);
		for (size_t k = 0; k < CHOICES; k++)
			if (choice_of(&m, k) != (k == i ? choice[i].arrives : choice_of(&usual, k)))
				fail_msg("%s: %.*s is %d", choice[i].option, (int)strcspn(choice[k].option, "="), choice[k].option, choice_of(&m, k));
		assert_true(choice[i].arrives != choice_of(&usual, i));
	}
}

/* What follows max.length in the table belongs to the model; those that are not in struct model_config have tests of their own. */
static void test_no_option_of_the_model_is_forgotten(void **state)
{
	static const char elsewhere[] = "\nnegatives.recent=\nlearning.rate=\nwarmup.steps=\nschedule=\nschedule.steps=\nschedule.floor=\n";
	char line[64];
	size_t seen = 0;

	for (const struct row *o = row_find("max.length"); seen == 0 || strcmp(o[-1].name, "threads") != 0; o++, seen++) {
		int found;

		snprintf(line, sizeof line, "\n%s=", o->name);
		found = strstr(unusual, line + (o->offset == row_find("max.length")->offset)) || strstr(elsewhere, line);
		for (size_t i = 0; i < CHOICES; i++)
			found |= strncmp(choice[i].option, line + 1, strlen(line + 1)) == 0;
		if (!found)
			fail_msg("no test sees %s arrive", o->name);
	}
	assert_true(seen > 40);
}

static void refused(const struct row *o, const char *value, const char *said_too)
{
	struct config c;
	char flag[512];

	snprintf(flag, sizeof flag, "--%s=%s", o->name, value);
	if (parse_as(C_CONFIG, &c, flag, NULL, NULL, NULL) != EX_USAGE)
		fail_msg("taken: %s", flag);
	assert_said(o->name);
	assert_said(said_too);
}

/* The bound is taken, what lies behind it is refused with the range. */
static void bounded(struct config *c, const struct row *o, const char *bound, const char *behind)
{
	char range[128];

	row_range(range, sizeof range, o);
	if (row_set(c, o, bound) != 0)
		fail_msg("%s refuses %s, its bound", o->name, bound);
	if (behind)
		refused(o, behind, range);
}

static void test_every_range_of_the_table_holds(void **state)
{
	char at[64], behind[64];
	struct config c;
	size_t numbers = 0, words = 0;

	assert_int_equal(row_defaults(&c), 0);
	for (const struct row *o = config_rows; o < config_rows + ROW_COUNT; o++) {
		if (o->type == OPT_INT) {
			snprintf(at, sizeof at, "%lld", (long long)o->imin);
			snprintf(behind, sizeof behind, "%lld", (long long)o->imin - 1);
			bounded(&c, o, at, behind);
			snprintf(at, sizeof at, "%lld", (long long)o->imax);
			snprintf(behind, sizeof behind, "%lld", (long long)o->imax + (o->imax < INT64_MAX));
			bounded(&c, o, at, o->imax < INT64_MAX ? behind : NULL);
			refused(o, "1.5", "not a whole number");
			numbers++;
		} else if (o->type == OPT_FLOAT) {
			snprintf(at, sizeof at, "%.17g", o->fmin);
			snprintf(behind, sizeof behind, "%.17g", o->fmin == 0 ? -1e-9 : nextafter(o->fmin, -INFINITY));
			bounded(&c, o, at, behind);
			snprintf(at, sizeof at, "%.17g", o->fmax);
			snprintf(behind, sizeof behind, "%.17g", nextafter(o->fmax, INFINITY));
			bounded(&c, o, at, behind);
			refused(o, "nan", "out of range");
			refused(o, "inf", "out of range");
			numbers++;
		} else if (o->type == OPT_ENUM) {
			refused(o, "other", o->words);
			refused(o, "", o->words);
			words++;
		} else if (o->type == OPT_BOOL) {
			refused(o, "maybe", "true|false");
		}
	}
	assert_true(numbers > 60 && words > 10);
	config_release(&c);
}

/* Commands that only meet a model take what it depends on, and nothing of how it is trained. */
static void test_export_and_import_take_fold_options(void **state)
{
	struct config c;

	assert_int_equal(parse_as(C_EXPORT, &c, "--tau1=0.2", "--map.user=u", "--max.items=5", "file"), 0);
	assert_int_equal(c.arg_count, 1);
	config_release(&c);
	assert_int_equal(parse_as(C_IMPORT, &c, "--publish.epsilon=0.2", "--state.timeout.ms=1000", NULL, NULL), 0);
	config_release(&c);
	assert_int_equal(parse_as(C_EXPORT, &c, "--linger.ms=5", NULL, NULL, NULL), EX_USAGE);
	assert_said("of: train");
	assert_int_equal(parse_as(C_READ, &c, "--tau1=0.2", NULL, NULL, NULL), EX_USAGE);
	assert_said("of: train eval export import rollback");
}

/* What is printed reads back as the same configuration; secrets do not leave. */
static void test_print_reads_back(void **state)
{
	struct config a, b;
	FILE *f;
	char text[16384];
	size_t n;

	assert_int_equal(parse_as(C_CONFIG, &a, "--dropout=0.1", "--cosine.tau=0.0700000001", "--topic.prefix=p q", "-b=h:1"), 0);
	f = fopen(file_name, "w");
	config_print(&a, f);
	fclose(f);
	assert_int_equal(parse_as(C_CONFIG, &b, "--config", file_name, NULL, NULL), 0);
	assert_true(config_fold_hash(&a) == config_fold_hash(&b));
	assert_true(a.cosine_tau == b.cosine_tau);
	assert_string_equal(b.topic_prefix, "p q");
	config_release(&a);
	config_release(&b);

	write_file("kafka.sasl.password=hush1\nkafka.ssl.key.password=hush2\nkafka.x.secret=hush3\n"
	           "kafka.sasl.oauthbearer.config=hush4\nkafka.sasl.jaas.config=hush5\nkafka.client.id=plain\n");
	assert_int_equal(parse(&a, "--config", file_name), 0);
	f = tmpfile();
	config_print(&a, f);
	rewind(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	assert_null(strstr(text, "hush"));
	assert_non_null(strstr(text, "kafka.sasl.password=****"));
	assert_non_null(strstr(text, "kafka.client.id=plain"));
	config_release(&a);
}

/* Which options are other ones than in a text of before, with both values. */
static void test_fold_changes(void **state)
{
	struct config a, b;
	char *text, changes[4096];

	assert_int_equal(parse(&a, "--tau1=0.5", "--input.topic=clicks"), 0);
	assert_int_equal(parse(&b, "--loss=bce", "--threads=7"), 0);
	text = config_fold_text(&a);
	config_fold_changes(&a, text, strlen(text), changes, sizeof(changes));
	assert_string_equal(changes, "");
	config_fold_changes(&b, text, strlen(text), changes, sizeof(changes));
	assert_string_equal(changes, "input.topic=clicks (now ), loss=full (now bce), tau1=0.5 (now 0.1)");
	config_fold_changes(&b, text, strlen(text), changes, 20);
	assert_string_equal(changes, "input.topic=clicks ");
	config_fold_changes(&a, "seed=1", 6, changes, sizeof(changes));
	assert_non_null(strstr(changes, "tau1=unknown (now 0.5)"));
	assert_null(strstr(changes, "seed"));
	free(text);
	config_release(&a);
	config_release(&b);
}

static void test_edit_distance(void **state)
{
	assert_int_equal(edit_distance("", ""), 0);
	assert_int_equal(edit_distance("", "abc"), 3);
	assert_int_equal(edit_distance("kitten", "sitting"), 3);
	assert_int_equal(edit_distance("Train", "train"), 0);
	assert_int_equal(edit_distance("trian", "train"), 2);
}

static int setup(void **state)
{
	int fd = mkstemp(file_name);

	return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state) { return unlink(file_name); }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_group_is_the_prefix_unless_named), cmocka_unit_test(test_later_sources_win),
		cmocka_unit_test(test_presets), cmocka_unit_test(test_booleans_letters_and_arguments), cmocka_unit_test(test_command_line_errors),
		cmocka_unit_test(test_file_and_environment_errors), cmocka_unit_test(test_many_flags_in_one_argument),
		cmocka_unit_test(test_fold_hash), cmocka_unit_test(test_training_options),
		cmocka_unit_test(test_the_models_options_arrive),
		cmocka_unit_test(test_every_number_of_the_model_arrives), cmocka_unit_test(test_every_choice_of_the_model_arrives_alone),
		cmocka_unit_test(test_no_option_of_the_model_is_forgotten), cmocka_unit_test(test_every_range_of_the_table_holds),
		cmocka_unit_test(test_export_and_import_take_fold_options),
		cmocka_unit_test(test_print_reads_back), cmocka_unit_test(test_fold_changes), cmocka_unit_test(test_edit_distance),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
