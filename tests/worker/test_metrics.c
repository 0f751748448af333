/* test_metrics.c - the table of metrics, and what is written from it, held against the exposition format by a parser that forgives nothing.
 *   test_metrics --page    prints worker/watch/METRICS.md instead (make metrics-page)
 */
#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "worker/watch/metrics.h"

#define PAGE "worker/watch/METRICS.md"

/* ---- the page ---- */

static void write_page(FILE *f)
{
	fputs("# Metrics\n\nWhat `/metrics` of `s4rec train --http.listen` says. Made from [metrics.def](metrics.def) by `make metrics-page`; a test holds it to that.\n"
	      "Counters begin at 0 when a process begins to train: `rate()` and `increase()` take a restart for what it is, and a replay counts nothing twice.\n\n"
	      "| name | type | unit | labels | meaning | what a bad value tells |\n|---|---|---|---|---|---|\n", f);
	for (const struct metric *m = metric_rows; m < metric_rows + METRIC_COUNT; m++)
		fprintf(f, "| `%s` | %s | %s | %s | %s | %s |\n", m->name, m->type, *m->unit ? m->unit : "-", *m->labels ? m->labels : "-", m->meaning, *m->bad ? m->bad : "-");
}

static char *slurp(FILE *f)
{
	static char text[65536];
	size_t n = fread(text, 1, sizeof text - 1, f);
	text[n] = '\0';
	return strdup(text);
}

static void test_the_page_is_fresh(void **state)
{
	FILE *f = fopen(PAGE, "r"), *g = tmpfile();
	assert_non_null(f);
	write_page(g);
	rewind(g);
	char *there = slurp(f), *made = slurp(g);
	if (strcmp(there, made) != 0)
		fail_msg("%s is not what the table says: make metrics-page", PAGE);
	free(there);
	free(made);
	fclose(f);
	fclose(g);
}

/* ---- the table ---- */

static int ends(const char *s, const char *with)
{
	size_t n = strlen(s), k = strlen(with);
	return n >= k && strcmp(s + n - k, with) == 0;
}

/* A unit is a base unit, and the last word of the name, but for _total, or for what counts things that the name names already. */
static void test_names(void **state)
{
	for (const struct metric *m = metric_rows; m < metric_rows + METRIC_COUNT; m++) {
		assert_true(strncmp(m->name, "s4rec_", 6) == 0 || strncmp(m->name, "process_", 8) == 0);
		assert_int_equal(strcmp(m->type, "counter") == 0, ends(m->name, "_total"));
		assert_true(*m->meaning && ends(m->meaning, "."));
		if ((strcmp(m->unit, "seconds") == 0 || strcmp(m->unit, "bytes") == 0) && !strstr(m->name, m->unit))
			fail_msg("%s does not say its unit, %s", m->name, m->unit);
		for (const struct metric *k = metric_rows; k < m; k++)
			assert_string_not_equal(k->name, m->name);
	}
}

/* ---- the parser ---- */

struct seen {
	const struct metric *family; /* whose samples stand here */
	int helped, typed;
	char series[8192][160];      /* all that were met, labels included */
	size_t n;
	double buckets, last_le;     /* of the histogram under way */
};

static const struct metric *find(const char *name)
{
	for (const struct metric *m = metric_rows; m < metric_rows + METRIC_COUNT; m++)
		if (strcmp(m->name, name) == 0)
			return m;
	fail_msg("no metric %s", name);
	return NULL;
}

static int name_char(int c, int first)
{
	return isalpha(c) || c == '_' || (!first && isdigit(c));
}

/* A name at *p, which moves behind it. */
static void take_name(const char **p, char *ret, size_t size)
{
	size_t n = 0;
	while (name_char((unsigned char)(*p)[0], n == 0) && n + 1 < size)
		ret[n++] = *(*p)++;
	assert_true(n > 0);
	ret[n] = '\0';
}

/* {a="b",c="d"}; keys come in the table's order, le last where the metric is a histogram. */
static void take_labels(const char **p, const struct metric *m, double *ret_le)
{
	char keys[256] = "", key[64], value[512];
	*ret_le = NAN;
	if (**p != '{') {
		assert_string_equal(m->labels, "");
		return;
	}
	do {
		size_t n = 0;
		++*p;
		take_name(p, key, sizeof key);
		assert_int_equal(*(*p)++, '=');
		assert_int_equal(*(*p)++, '"');
		while (**p != '"') {
			assert_true(**p != '\0' && **p != '\n');
			if (**p == '\\') {
				++*p;
				assert_non_null(strchr("n\"\\", **p));
			}
			if (n + 1 < sizeof value)
				value[n++] = **p;
			++*p;
		}
		value[n] = '\0';
		++*p;
		if (strcmp(key, "le") == 0)
			*ret_le = strcmp(value, "+Inf") ? atof(value) : INFINITY;
		else
			snprintf(keys + strlen(keys), sizeof keys - strlen(keys), "%s%s", *keys ? "," : "", key);
	} while (**p == ',');
	assert_int_equal(*(*p)++, '}');
	assert_string_equal(keys, m->labels);
}

static void note_series(struct seen *x, const char *line, size_t len)
{
	char series[160];
	snprintf(series, sizeof series, "%.*s", (int)len, line);
	for (size_t i = 0; i < x->n; i++)
		assert_string_not_equal(x->series[i], series);
	assert_true(x->n < sizeof x->series / sizeof *x->series);
	strcpy(x->series[x->n++], series);
}

/* The parts of a histogram: buckets that only grow, the last one is all, then sum and count. */
static void check_histogram(struct seen *x, const char *part, double le, double value)
{
	if (strcmp(part, "_bucket") == 0) {
		if (!(le > x->last_le))
			x->buckets = 0, x->last_le = -1;
		assert_true(le > x->last_le && value >= x->buckets);
		x->last_le = le;
		x->buckets = value;
	} else if (strcmp(part, "_count") == 0) {
		assert_true(isinf(x->last_le) && value == x->buckets);
	} else {
		assert_string_equal(part, "_sum");
	}
}

static void check_sample(struct seen *x, const char *line)
{
	const char *p = line, *part;
	char name[128], *end;
	double le;
	take_name(&p, name, sizeof name);
	assert_non_null(x->family);
	size_t n = strlen(x->family->name);
	assert_true(x->helped && x->typed && strncmp(name, x->family->name, n) == 0);
	part = name + n;
	take_labels(&p, x->family, &le);
	note_series(x, line, (size_t)(p - line));
	assert_int_equal(*p++, ' ');
	double value = strtod(p, &end);
	assert_true(end > p && *end == '\0');
	assert_true(strcmp(x->family->type, "counter") != 0 || value >= 0);
	if (strcmp(x->family->type, "histogram") == 0)
		check_histogram(x, part, le, value);
	else
		assert_true(*part == '\0' && isnan(le));
}

static void check_line(struct seen *x, const char *line)
{
	char name[128];
	const char *p = line + 7;
	if (line[0] != '#') {
		check_sample(x, line);
		return;
	}
	take_name(&p, name, sizeof name);
	assert_int_equal(*p++, ' ');
	if (strncmp(line, "# HELP ", 7) == 0) {
		const struct metric *m = find(name);
		assert_true(x->family ? m == x->family + 1 : m == metric_rows); /* all of the table, in its order */
		x->family = m;
		x->helped = 1;
		x->typed = 0;
		assert_string_equal(p, m->meaning);
	} else {
		assert_true(strncmp(line, "# TYPE ", 7) == 0 && x->family == find(name) && !x->typed);
		x->typed = 1;
		assert_string_equal(p, x->family->type);
	}
}

/* Returns the text, owned. */
static char *checked(const struct snapshot *s)
{
	static struct seen x;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	metrics_write(f, s);
	fclose(f);
	assert_true(len > 0 && text[len - 1] == '\n');
	char *copy = strdup(text), *rest = copy;
	memset(&x, 0, sizeof x);
	x.last_le = INFINITY;
	for (char *line = strsep(&rest, "\n"); rest; line = strsep(&rest, "\n"))
		check_line(&x, line);
	assert_ptr_equal(x.family, &metric_rows[METRIC_COUNT - 1]);
	free(copy);
	return text;
}

static void says(const char *text, const char *line)
{
	char whole[512];
	snprintf(whole, sizeof whole, "\n%s\n", line);
	if (!strstr(text, whole))
		fail_msg("no line: %s", line);
}

/* ---- what is asked of Prometheus ---- */

/* Is it a name of the table, with the end that a part of a histogram has? */
static int is_series(const char *name)
{
	static const char *const parts[] = { "", "_bucket", "_sum", "_count" };
	char whole[160];
	for (const struct metric *m = metric_rows; m < metric_rows + METRIC_COUNT; m++)
		for (size_t i = 0; i < 4; i++) {
			int histogram = strcmp(m->type, "histogram") == 0;
			snprintf(whole, sizeof whole, "%s%s", m->name, parts[i]);
			if (histogram == (i > 0) && strcmp(whole, name) == 0)
				return 1;
		}
	return 0;
}

/* Each word of the file that looks like one of our names is one; returns how many there are. */
static size_t check_names(const char *path)
{
	FILE *f = fopen(path, "r");
	char name[128];
	size_t n = 0;
	assert_non_null(f);
	char *text = slurp(f);
	for (const char *p = text; *p; p++) {
		int begins = p == text || !name_char((unsigned char)p[-1], 0);
		if (!begins || (strncmp(p, "s4rec_", 6) != 0 && strncmp(p, "process_", 8) != 0))
			continue;
		take_name(&p, name, sizeof name);
		if (!is_series(name))
			fail_msg("%s asks for %s, which there is not", path, name);
		n++;
		p--;
	}
	free(text);
	fclose(f);
	return n;
}

static void test_alerts_and_dashboard_ask_for_what_there_is(void **state)
{
	assert_true(check_names("worker/watch/alerts.yml") > 15);
	assert_true(check_names("worker/watch/dashboard.json") > 30);
}

static struct snapshot now; /* too large for a stack */

static void test_of_nothing(void **state)
{
	memset(&now, 0, sizeof now);
	char *text = checked(&now);
	says(text, "s4rec_events_total 0");
	says(text, "s4rec_phase{phase=\"starting\"} 1");
	assert_null(strstr(text, "\ns4rec_watermark_timestamp_seconds ")); /* there is none yet */
	free(text);
}

static void test_of_much(void **state)
{
	memset(&now, 0, sizeof now);
	now.phase = PHASE_LIVE;
	now.watermark_ms = 1767225600123;
	now.count.events = 123456789012;
	now.loss[2] = NAN;
	now.freshness_p99_ms = -1500;
	now.model.ndcg20 = .25;
	snprintf(now.prefix, sizeof now.prefix, "a\"b\\c\nd");
	for (int i = 0; i < REASONS_MAX + 5; i++) {
		static char text[REASONS_MAX + 5][32];
		snprintf(text[i], sizeof text[i], "reason %d", i);
		reasons_add(&now.dead, text[i]);
	}
	reasons_add(&now.dead, "reason 3");
	for (int64_t us = 1; us < 100000000; us *= 3)
		histogram_add(&now.stage[STAGE_STEP], us);
	now.partitions = CUT_PARTITIONS_MAX;
	now.partition[7] = (struct snapshot_partition){ 55, 11 };
	now.partition[9] = (struct snapshot_partition){ 56, -1 };
	char *text = checked(&now);
	says(text, "s4rec_ready 1");
	says(text, "s4rec_watermark_timestamp_seconds 1767225600.123");
	says(text, "s4rec_events_total 123456789012");
	says(text, "s4rec_loss{term=\"scl\"} NaN");
	says(text, "s4rec_freshness_p99_seconds -1.5");
	says(text, "s4rec_prequential_ndcg20{by=\"model\"} 0.25");
	says(text, "s4rec_input_lag_records{partition=\"7\"} 11");
	says(text, "s4rec_input_offset{partition=\"9\"} 56");
	assert_null(strstr(text, "s4rec_input_lag_records{partition=\"9\"}"));
	says(text, "s4rec_dead_letters_total{reason=\"reason 3\"} 2");
	says(text, "s4rec_dead_letters_total{reason=\"other\"} 6");
	says(text, "s4rec_stage_duration_seconds_bucket{stage=\"step\",le=\"0.0005\"} 6");
	says(text, "s4rec_stage_duration_seconds_bucket{stage=\"step\",le=\"+Inf\"} 17");
	says(text, "s4rec_stage_duration_seconds_count{stage=\"step\"} 17");
	assert_non_null(strstr(text, "prefix=\"a\\\"b\\\\c\\nd\""));
	free(text);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_page_is_fresh), cmocka_unit_test(test_names), cmocka_unit_test(test_of_nothing), cmocka_unit_test(test_of_much),
		cmocka_unit_test(test_alerts_and_dashboard_ask_for_what_there_is),
	};
	if (argc == 2 && strcmp(argv[1], "--page") == 0) {
		write_page(stdout);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
