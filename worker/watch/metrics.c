/* metrics.c - see metrics.h. The table is read twice: as rows, and as the function that writes them. */
#include "worker/watch/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <sys/resource.h>
#include <unistd.h>

#include "worker/version.h"

const char *const phase_words[PHASES] = { "starting", "reading", "standing_by", "restoring", "replaying", "catching_up", "live", "stopping" };
const char *const stage_words[STAGES] = { "poll", "rank", "step", "publish", "commit" };
const char *const loss_words[LOSS_TERMS] = { "sr", "clust", "scl", "ckd", "adv" };
static const char *const discard_words[] = { [DISCARD_NOT_FINITE] = "not_finite", [DISCARD_EXPLODING] = "exploding" };

const struct metric metric_rows[METRIC_COUNT] = {
#define M(name, type, unit, labels, emit, meaning, bad) { #name, #type, unit, labels, meaning, bad },
#include "worker/watch/metrics.def"
#undef M
};

/* ---- of the process ---- */

static double process_resident_bytes(void)
{
	unsigned long long size, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	if (!f)
		return 0;
	if (fscanf(f, "%llu %llu", &size, &resident) != 2)
		resident = 0;
	fclose(f);
	return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static double process_cpu_seconds(void)
{
	struct rusage u = { 0 };
	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* ---- one line ---- */

static void write_number(FILE *f, double x)
{
	if (isnan(x) || isinf(x))
		fputs(isnan(x) ? "NaN\n" : x > 0 ? "+Inf\n" : "-Inf\n", f);
	else
		fprintf(f, "%.15g\n", x);
}

static void write_label(FILE *f, const char *key, const char *value)
{
	fprintf(f, "%s=\"", key);
	for (const char *c = value; *c; c++)
		if (*c == '\n')
			fputs("\\n", f);
		else
			fprintf(f, "%s%c", *c == '"' || *c == '\\' ? "\\" : "", *c);
	fputc('"', f);
}

static void sample(FILE *f, const char *name, double x)
{
	fprintf(f, "%s ", name);
	write_number(f, x);
}

static void labelled(FILE *f, const char *name, const char *key, const char *value, double x)
{
	fprintf(f, "%s{", name);
	write_label(f, key, value);
	fputs("} ", f);
	write_number(f, x);
}

/* ---- kinds of metrics with labels ---- */

static void write_model_info(FILE *f, const char *name, const struct snapshot *s)
{
	char space[24], hash[24];
	snprintf(space, sizeof space, "%" PRIu64, s->space);
	snprintf(hash, sizeof hash, "%016" PRIx64, s->config_hash);
	const char *const label[][2] = { { "model", s->model_id }, { "prefix", s->prefix }, { "space", space }, { "run", s->run_id }, { "config_hash", hash },
		{ "numeric_id", s->numeric_id } };
	fprintf(f, "%s{", name);
	for (size_t i = 0; i < sizeof label / sizeof *label; i++) {
		fputs(i ? "," : "", f);
		write_label(f, label[i][0], label[i][1]);
	}
	fputs("} 1\n", f);
}

static void write_histogram(FILE *f, const char *name, const char *stage, const struct histogram *h)
{
	uint64_t n = 0;
	for (int i = 0; i <= HISTOGRAM_BOUNDS; i++) {
		char bound[24] = "+Inf";
		if (i < HISTOGRAM_BOUNDS)
			snprintf(bound, sizeof bound, "%g", (double)histogram_bound_us[i] / 1e6);
		n += h->n[i];
		fprintf(f, "%s_bucket{stage=\"%s\",le=\"%s\"} %" PRIu64 "\n", name, stage, bound, n);
	}
	fprintf(f, "%s_sum{stage=\"%s\"} %.15g\n%s_count{stage=\"%s\"} %" PRIu64 "\n", name, stage, (double)h->sum_us / 1e6, name, stage, n);
}

static void write_partition(FILE *f, const char *name, int partition, int64_t x)
{
	fprintf(f, "%s{partition=\"%d\"} %" PRId64 "\n", name, partition, x);
}

/* ---- the table as text ---- */

#define ONE(x) sample(f, name, (double)(x))
#define MS(x) if (x) sample(f, name, (double)(x) / 1000) /* 0 = there is none yet */
#define LABELLED(key, value, x) labelled(f, name, key, value, x)
#define MODEL_INFO() write_model_info(f, name, s)
#define BY(x) labelled(f, name, "by", "model", s->model.x), labelled(f, name, "by", "popularity", s->popularity.x)
#define ROWS_PUBLISHED() \
	labelled(f, name, "kind", "item", (double)s->count.items_published), labelled(f, name, "kind", "user", (double)s->count.users_published)
#define EACH_PHASE() for (int i = 0; i < PHASES; i++) labelled(f, name, "phase", phase_words[i], (int)s->phase == i)
#define EACH_STAGE() for (int i = 0; i < STAGES; i++) write_histogram(f, name, stage_words[i], &s->stage[i])
#define EACH_LOSS() for (int i = 0; i < LOSS_TERMS; i++) labelled(f, name, "term", loss_words[i], s->loss[i])
#define EACH_REASON() for (int i = 0; i < REASONS_MAX && s->dead.text[i]; i++) labelled(f, name, "reason", s->dead.text[i], (double)s->dead.n[i])
#define EACH_DISCARD() \
	for (int i = DISCARD_NOT_FINITE; i <= DISCARD_EXPLODING; i++) labelled(f, name, "why", discard_words[i], (double)s->discarded[i])
#define EACH_KNOWN_PARTITION(known, x) \
	for (int i = 0; i < s->partitions; i++) { \
		const struct snapshot_partition *p = &s->partition[i]; \
		if (known) \
			write_partition(f, name, i, x); \
	}
#define EACH_PARTITION(x) EACH_KNOWN_PARTITION(1, x)

void metrics_write(FILE *f, const struct snapshot *s)
{
#define M(name_, type, unit, labels, emit, meaning, bad) \
	{ \
		static const char name[] = #name_; \
		fprintf(f, "# HELP %s %s\n# TYPE %s " #type "\n", name, meaning, name); \
		emit; \
	}
#include "worker/watch/metrics.def"
#undef M
}
