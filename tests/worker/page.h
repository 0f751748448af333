/* page.h - what tests of pages share. */
#ifndef S4REC_TESTS_WORKER_PAGE_H
#define S4REC_TESTS_WORKER_PAGE_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* Walks over all tags: each that is opened is closed in order, quotes inside tags are in pairs, & begins a known reference. */
static inline void assert_well_formed(const char *page)
{
	char open[32][16];
	int depth = 0;

	for (const char *p = page; *p; p++) {
		const char *end;
		size_t n;
		int quotes = 0;

		if (*p == '&' && strncmp(p, "&amp;", 5) && strncmp(p, "&lt;", 4) && strncmp(p, "&gt;", 4) && strncmp(p, "&quot;", 6) && strncmp(p, "&#39;", 5))
			fail_msg("bare &: %.40s", p);
		if (*p != '<' || p[1] == '!')
			continue;
		for (end = p; *end && (*end != '>' || quotes % 2); end++)
			quotes += *end == '"';
		if (!*end || quotes % 2)
			fail_msg("tag without end: %.60s", p);
		n = strcspn(p + 1 + (p[1] == '/'), " />");
		assert_in_range(n, 1, 15);
		if (p[1] == '/') {
			if (!depth || strncmp(open[depth - 1], p + 2, n) || open[depth - 1][n])
				fail_msg("closes what is not open (%s): %.60s", depth ? open[depth - 1] : "nothing", p);
			depth--;
		} else if (end[-1] != '/') {
			assert_true(depth < 32);
			snprintf(open[depth++], sizeof open[0], "%.*s", (int)n, p + 1);
		}
		p = end;
	}
	assert_int_equal(depth, 0);
}

#define assert_has(page, part)                                 \
	do {                                                   \
		if (!strstr(page, part))                       \
			fail_msg("'%s' is not there", part);   \
	} while (0)

#define assert_has_not(page, part)                             \
	do {                                                   \
		if (strstr(page, part))                        \
			fail_msg("'%s' is there", part);       \
	} while (0)

static inline size_t count(const char *page, const char *part)
{
	size_t n = 0;

	for (; (page = strstr(page, part)); page++)
		n++;
	return n;
}
#endif
