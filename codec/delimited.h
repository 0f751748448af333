/* delimited.h - CSV and TSV with a header line, for `s4rec load`. RFC 4180 quoting in CSV; a TSV field is taken as it is.
 * The separator is found in the header (tab, else comma, semicolon). Columns are found by name, case-insensitive; each
 * field of an event has alternatives separated by '|' or ',', e.g. "user_id|user|USER_ID". One reader per thread.
 */
#ifndef S4REC_CODEC_DELIMITED_H
#define S4REC_CODEC_DELIMITED_H

#include "codec/event.h"

struct delimited_options {
	/* NULL = default: user_id|user|userId ; item_id|item|itemId|click_article_id ; timestamp|time|event_time_ms|click_timestamp ;
	 * type|event|event_type ; weight ; event_id */
	const char *user, *item, *time, *type, *weight, *event_id;
	const char *attributes; /* columns of the user's attributes, up to four: a,b|c,d; NULL = none. A named one must be there */
	const char *item_attributes; /* likewise of the item's */
	const char *type_weights;    /* as those of event.h: an event that is to be ignored has ignored set, and nothing else */
	int types_only_ignore;
	enum event_time_unit time_unit;
	size_t id_max_bytes;   /* 0 = 256 */
	size_t line_max_bytes; /* 0 = 65536 */
	double weight_max;     /* greatest weight; 0 = any finite one */
};

struct delimited;

/* Reads the header line. -EBADMSG with *reterr_why (names the missing column and the columns that are there). */
int delimited_new(struct delimited **ret, const struct delimited_options *o, const char *header, size_t len, char *reterr_why, size_t why_size);
void delimited_free(struct delimited *p);

/* One line without its newline (a trailing CR is dropped) to an event; strings are valid until the next call.
 * Errors as decoder_decode. */
int delimited_decode(struct delimited *p, struct event *ret, const char *line, size_t len, const char **reterr_why);

#endif
