/* Times and numbers from text. ISO-8601: the part of it that real producers write. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec/event_private.h"

struct scan {
	const char *p, *end;
};

/* Exactly n digits. */
static int digits(struct scan *s, int n, int *ret)
{
	int v = 0;

	if (s->end - s->p < n)
		return -EINVAL;
	for (int i = 0; i < n; i++, s->p++) {
		if (*s->p < '0' || *s->p > '9')
			return -EINVAL;
		v = v * 10 + (*s->p - '0');
	}
	*ret = v;
	return 0;
}

static int accept(struct scan *s, const char *any)
{
	if (s->p < s->end && *s->p && strchr(any, *s->p))
		return *s->p++;
	return 0;
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar; March first, so that the leap day ends the year. */
static int64_t days_from_civil(int y, int m, int d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int parse_date(struct scan *s, int64_t *ret_days)
{
	static const int month_days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int y, m, d, leap;

	if (digits(s, 4, &y) < 0 || !accept(s, "-") || digits(s, 2, &m) < 0 || !accept(s, "-") || digits(s, 2, &d) < 0)
		return -EINVAL;

	leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
	if (m < 1 || m > 12 || d < 1 || d > month_days[m - 1] + (m == 2 && leap))
		return -EINVAL;

	*ret_days = days_from_civil(y, m, d);
	return 0;
}

/* hh:mm[:ss[.fff...]]; digits behind the millisecond are dropped; a leap second counts as the second after it. */
static int parse_clock(struct scan *s, int64_t *ret_ms)
{
	int h, m, sec = 0, ms = 0, n = 0;

	if (digits(s, 2, &h) < 0 || !accept(s, ":") || digits(s, 2, &m) < 0)
		return -EINVAL;
	if (accept(s, ":")) {
		if (digits(s, 2, &sec) < 0)
			return -EINVAL;
		if (accept(s, ".,")) {
			for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++, n++)
				ms += n < 3 ? (*s->p - '0') * (n == 0 ? 100 : n == 1 ? 10 : 1) : 0;
			if (n == 0)
				return -EINVAL;
		}
	}
	if (h > 23 || m > 59 || sec > 60)
		return -EINVAL;

	*ret_ms = ((h * 60 + m) * 60 + sec) * (int64_t)1000 + ms;
	return 0;
}

/* Z, +hh, +hhmm, +hh:mm, or nothing (UTC); " +0000 UTC", as Go prints it. */
static int parse_zone(struct scan *s, int64_t *ret_ms)
{
	int h, m = 0, sign;

	*ret_ms = 0;
	if (s->p == s->end || accept(s, "Zz"))
		return 0;

	if (s->end - s->p == 10 && memcmp(s->p, " +0000 UTC", 10) == 0) {
		s->p = s->end;
		return 0;
	}
	sign = accept(s, "+-");
	if (!sign || digits(s, 2, &h) < 0)
		return -EINVAL;
	if (s->p < s->end) {
		accept(s, ":");
		if (digits(s, 2, &m) < 0)
			return -EINVAL;
	}
	if (h > 23 || m > 59)
		return -EINVAL;

	*ret_ms = (h * 60 + m) * (int64_t)60000 * (sign == '-' ? -1 : 1);
	return 0;
}

int time_parse_iso8601(int64_t *ret_ms, const char *s, size_t len)
{
	struct scan c = { s, s + len };
	int64_t days, clock_ms = 0, zone_ms = 0;

	if (parse_date(&c, &days) < 0)
		return -EINVAL;

	if (c.p < c.end) {
		if (!accept(&c, "Tt ") || parse_clock(&c, &clock_ms) < 0 || parse_zone(&c, &zone_ms) < 0 || c.p != c.end)
			return -EINVAL;
	}

	*ret_ms = days * 86400000 + clock_ms - zone_ms;
	return 0;
}

/* Up to 19 digits, as nanoseconds have: fits uint64. */
static int parse_integer(int64_t *ret, const char *s, size_t len)
{
	size_t i = len && s[0] == '-';
	uint64_t v = 0;

	if (len == i || len - i > 19)
		return -EINVAL;
	for (; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -EINVAL;
		v = v * 10 + (uint64_t)(s[i] - '0');
	}
	if (v > INT64_MAX)
		return -EINVAL;
	*ret = s[0] == '-' ? -(int64_t)v : (int64_t)v;
	return 0;
}

int number_parse(double *ret, const char *s, size_t len)
{
	char buf[128], *end;
	int64_t v;

	if (parse_integer(&v, s, len) == 0) {
		*ret = (double)v;
		return 0;
	}

	/* strtod also takes "inf", "nan", hex and blanks; we do not */
	if (len == 0 || len >= sizeof(buf))
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (!s[i] || !strchr("0123456789+-.eE", s[i]))
			return -EINVAL;
	}
	memcpy(buf, s, len);
	buf[len] = 0;

	*ret = strtod(buf, &end);
	return *end ? -EINVAL : 0;
}

static enum event_time_unit unit_by_magnitude(double v)
{
	return fabs(v) < 1e11 ? TIME_S : fabs(v) < 1e14 ? TIME_MS : fabs(v) < 1e17 ? TIME_US : TIME_NS;
}

static int64_t floor_div(int64_t i, int64_t by)
{
	return i / by - (i % by < 0);
}

int time_parse(int64_t *ret_ms, const char *s, size_t len, enum event_time_unit unit)
{
	int64_t i;
	double v;

	/* whole milliseconds without a way through double: exact and fast */
	if (parse_integer(&i, s, len) == 0) {
		if (unit == TIME_AUTO)
			unit = unit_by_magnitude((double)i);
		if (unit == TIME_MS)
			*ret_ms = i;
		else if (unit == TIME_US)
			*ret_ms = floor_div(i, 1000);
		else if (unit == TIME_NS)
			*ret_ms = floor_div(i, 1000000);
		else if (__builtin_mul_overflow(i, (int64_t)1000, ret_ms))
			*ret_ms = i < 0 ? INT64_MIN : INT64_MAX;
		return 0;
	}

	if (number_parse(&v, s, len) < 0)
		return time_parse_iso8601(ret_ms, s, len);

	if (unit == TIME_AUTO)
		unit = unit_by_magnitude(v);
	v = floor(unit == TIME_S ? v * 1e3 : unit == TIME_US ? v / 1e3 : unit == TIME_NS ? v / 1e6 : v);
	*ret_ms = v < -9e18 ? INT64_MIN : v > 9e18 ? INT64_MAX : (int64_t)v;
	return 0;
}
