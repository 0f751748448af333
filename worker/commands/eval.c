/* eval.c - `s4rec eval`: how good the model is, offline, by a named protocol.
 *
 *     loo FILE            leave-one-out over a file of user sequences (worker/eval/loo.h)
 *     prequential [FILE]  test-then-train over a file of events, or the input topic, beside baselines (worker/eval/stream.h)
 */
#include "worker/command.h"
#include "worker/commands/prequential.h"
#include "worker/eval/loo.h"
#include "worker/eval/report.h"
#include "worker/eval/sweep.h"
#include "worker/log.h"
#include "worker/model_file.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* ` HR@5=.. HR@10=.. HR@20=.. NDCG@5=..`, in front of what follows. */
static void print_scores(const char *what, const struct loo_scores *s)
{
	printf("%s", what);
	for (size_t c = 0; c < CUTS; c++)
		printf(" HR@%zu=%.4f", loo_cut[c], s->hr[c]);
	for (size_t c = 0; c < CUTS; c++)
		printf(" NDCG@%zu=%.4f", loo_cut[c], s->ndcg[c]);
}

/* ctx of report_epoch: where epochs are kept for the report, NULL = nowhere. */
struct kept {
	struct loo_epoch *epoch; /* (c->epochs) */
	size_t count;
};

static void report_epoch(void *ctx, const struct loo_epoch *e)
{
	struct kept *kept = ctx;
	char valid[96] = "";

	if (kept)
		kept->epoch[kept->count++] = *e;

	if (e->validated)
		snprintf(valid, sizeof valid, " valid NDCG@20=%.4f HR@20=%.4f%s eval_s=%.2f", e->valid.ndcg[CUTS - 1], e->valid.hr[CUTS - 1],
		         e->best ? " best" : "", e->eval_s);
	log_info("epoch=%d loss=%.4f sr=%.4f clust=%.4f scl=%.4f ckd=%.4f adv=%.4f norm=%.3f train_s=%.2f us_per_token=%.2f%s", e->epoch,
	         e->mean.loss, e->mean.loss_sr, e->mean.loss_clust, e->mean.loss_scl, e->mean.loss_ckd, e->mean.loss_adv, e->mean.grad_norm,
	         e->train_s, e->us_per_token, valid);
	if (e->discarded)
		log_warn("epoch=%d discarded=%zu steps whose gradient was not finite: lower learning.rate", e->epoch, e->discarded);
}

static void print_chosen(const struct loo_chosen *x)
{
	printf("epoch=%d train_s=%.1f valid NDCG@20=%.4f HR@20=%.4f\n", x->epoch, x->train_s, x->valid[ALL_USERS].ndcg[CUTS - 1],
	       x->valid[ALL_USERS].hr[CUTS - 1]);
}

static void print_result(const struct config *c, uint64_t seed, const struct loo_result *r)
{
	if (c->time_to > 0 && !r->reached.epoch)
		printf("time.to=%g not reached in %.1f s of training\n", c->time_to, r->train_s);
	if (r->reached.epoch) {
		printf("time.to=%g reached: ", c->time_to);
		print_chosen(&r->reached);
		print_scores("time.to test", &r->reached.test[ALL_USERS]);
		putchar('\n');
	}
	printf("seed=%llu train_s=%.1f eval_s=%.1f chosen ", (unsigned long long)seed, r->train_s, r->eval_s);
	print_chosen(&r->best);
	for (size_t g = HEAD_USERS; g < GROUPS; g++) {
		print_scores(loo_group[g], &r->best.test[g]);
		printf(" MRR@20=%.4f users=%zu\n", r->best.test[g].mrr20, r->best.test[g].n);
	}
	print_scores("test", &r->best.test[ALL_USERS]);
	printf(" MRR@20=%.4f\n", r->best.test[ALL_USERS].mrr20);
	fflush(stdout); /* runs are long, and often watched through a pipe */
}

/* `mean head HR@5=..`, `spread head HR@5=..` */
static void print_line(const char *what, const char *group, const struct loo_scores *s)
{
	char name[128];

	snprintf(name, sizeof name, *what && *group ? "%s %s" : "%s%s", what, group);
	print_scores(name, s);
	printf(" MRR@20=%.4f\n", s->mrr20);
}

/* Mean and standard deviation over the seeds, group by group; the mean over all users comes last. */
static void print_spread(const struct loo_result *r, size_t n)
{
	struct loo_scores mean, spread;
	double valid = 0;

	for (size_t i = 0; i < n; i++)
		valid += r[i].best.valid[ALL_USERS].ndcg[CUTS - 1] / (double)n;
	printf("seeds=%zu mean valid NDCG@20=%.4f\n", n, valid);
	for (enum group g = HEAD_USERS; g < GROUPS; g++) {
		loo_spread(&mean, &spread, r, n, g);
		print_line("mean", loo_group[g], &mean);
		print_line("spread", loo_group[g], &spread);
	}
	loo_spread(&mean, &spread, r, n, ALL_USERS);
	print_line("spread", "", &spread);
	print_line("test", "", &mean);
}

/* All seeds of one run. kept and file: of the first seed, NULL = nowhere. print: what is told of each. */
static int run_seeds(struct sweep_run *x, const struct sequences *s, size_t seeds, struct kept *kept, const char *file,
                     void (*print)(const struct config *c, uint64_t seed, const struct loo_result *r))
{
	int code = 0;

	for (size_t i = 0; code == 0 && i < seeds; i++) {
		uint64_t seed = (uint64_t)x->c.seed + i;

		code = loo_run(&x->result[i], &x->c, s, seed, i ? NULL : file, i ? NULL : &x->detail, report_epoch, i ? NULL : kept);
		if (code == 0 && print)
			print(&x->c, seed, &x->result[i]);
	}
	return code;
}

/* The runs beside run 0: a line for each group of users. */
static int run_sweep(struct sweep *w, const struct sequences *s)
{
	struct loo_scores mean, spread;
	char name[96];

	for (size_t i = 1; i < w->runs; i++) {
		struct sweep_run *x = &w->run[i];
		int code;

		log_info("sweep %s: run %zu of %zu", x->name, i, w->runs);
		code = run_seeds(x, s, w->seeds, NULL, NULL, NULL);
		if (code)
			return code;
		for (enum group g = ALL_USERS; g < GROUPS; g++) {
			loo_spread(&mean, &spread, x->result, w->seeds, g);
			snprintf(name, sizeof name, "sweep %s", x->name);
			print_line(name, loo_group[g], &mean);
		}
		fflush(stdout);
	}
	return 0;
}

static int save_report(const struct config *c, const struct sweep *w, const struct kept *kept)
{
	const struct sweep_run *x = &w->run[0];
	char *options = NULL;
	size_t size;
	FILE *f = open_memstream(&options, &size);
	int code;

	if (!f)
		return log_no_memory();
	config_print_of(c, C_EVAL, f);
	code = fclose(f) == 0 ? report_save(c->report, &(struct report){ .title = c->args[1], .options = options, .seed = (uint64_t)c->seed, .epoch = kept->epoch,
		.epochs = kept->count, .result = &x->result[0], .detail = &x->detail, .sweep = w }) : log_no_memory();
	free(options);
	return code;
}

/* Run 0 is the last: its test is the last line. */
static int run_all(const struct config *c, struct sweep *w, const struct sequences *s)
{
	struct kept kept = { .epoch = calloc((size_t)c->epochs, sizeof *kept.epoch) };
	int code = kept.epoch ? run_sweep(w, s) : log_no_memory();

	if (code == 0)
		code = run_seeds(&w->run[0], s, w->seeds, &kept, c->model_out[0] ? c->model_out : NULL, print_result);
	if (code == 0 && w->seeds > 1)
		print_spread(w->run[0].result, w->seeds);
	if (code == 0 && c->report[0])
		code = save_report(c, w, &kept);
	free(kept.epoch);
	return code;
}

static int eval_loo(const struct config *c)
{
	struct sequences s = { 0 };
	struct sweep w = { 0 };
	char why[512];
	int r;

	if (c->arg_count != 2) {
		log_error("s4rec eval loo: name one FILE of user sequences: a line per user, the user and its items in time order");
		return EX_USAGE;
	}
	if (c->model_in[0] && (c->seeds > 1 || c->sweep[0])) {
		log_error("s4rec eval loo: nothing is drawn or trained where --model.in is tested, so --seeds and --sweep have no use");
		return EX_USAGE;
	}
	if (c->model_in[0] && c->attributes_buckets) {
		log_error("s4rec eval loo: attributes.buckets=%lld: a file of sequences says no attributes of users, and without them a model that has learned them ranks "
		          "worse than it can; `s4rec eval prequential` knows them", (long long)c->attributes_buckets);
		return EX_CONFIG;
	}
	r = c->model_out[0] ? model_file_check(c->model_out) : 0;
	if (r == 0 && c->report[0])
		r = model_file_check(c->report);
	if (r == 0)
		r = sweep_new(&w, c);
	if (r)
		return r;
	r = sequences_read(&s, c->args[1], (size_t)c->max_users, (size_t)c->max_items, why, sizeof why);
	if (r) {
		log_error("%s", why);
	} else {
		log_info("file=%s users=%zu items=%zu events=%zu", c->args[1], s.users, s.items, s.events);
		r = run_all(c, &w, &s);
		sequences_release(&s);
	}
	sweep_release(&w);
	return r;
}

static const struct {
	const char *name;
	int (*run)(const struct config *c);
} protocols[] = {
	{ "loo", eval_loo },
	{ "prequential", eval_prequential },
};

static int parse(struct config *c, int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "prequential") == 0)
		return config_parse(c, C_STREAM, "s4rec eval prequential [FILE] [OPTION ...]   (CSV or TSV with a header, or JSON lines; plain or zstd; without FILE: the input topic)",
		                    "s4rec eval prequential clicks.csv.zst --eval.events 200000 --report clicks.html", argc, argv);
	return config_parse(c, C_EVAL, "s4rec eval loo FILE [OPTION ...]\n       s4rec eval prequential [FILE] [OPTION ...]   (--help after `prequential` lists its own)",
	                    "s4rec eval loo beauty.txt --dropout 0.5 --learning.rate 0.002", argc, argv);
}

int command_eval(int argc, char **argv)
{
	struct config c;
	log_stamped();
	int r = parse(&c, argc, argv);

	if (r)
		return r < 0 ? EX_OK : r;
	if (c.epochs == 0)
		c.epochs = 30;
	r = -1;
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (c.arg_count && strcmp(c.args[0], protocols[i].name) == 0)
			r = protocols[i].run(&c);
	if (r < 0) {
		log_error("s4rec eval: say `loo FILE`, `prequential FILE`, or `prequential` alone for the input topic");
		r = EX_USAGE;
	}
	config_release(&c);
	return fflush(stdout) == 0 ? r : EX_IOERR;
}
