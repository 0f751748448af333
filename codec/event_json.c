/* JSON events: yajl's callbacks walk the object once; a set of bits says which paths the current place is on. */
#include <errno.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

#include "codec/event_private.h"

#define PATHS_MAX 64    /* all alternatives of all fields: one bit each */
#define NAMES_MAX 8     /* in a path */
#define SEGMENTS_MAX (NAMES_MAX + 2) /* with a [] and the prefix of an envelope */
#define JSON_DEPTH_MAX 32
#define NO_LIST UINT32_MAX

struct path { /* what each key is held against stands first */
	unsigned segment_count;
	unsigned list; /* where what it finds in an array is kept; NO_LIST: it leads into none */
	enum field field;
	struct event_text segment[SEGMENTS_MAX]; /* point into json.names; s NULL: any element of an array */
};

enum kind { ABSENT, STRING, NUMBER, OTHER };
struct found {
	enum kind kind;
	struct event_text text;
};

/* The paths are in the order in which alternatives win. Walking, at depth n the containers entered are n. */
struct json {
	struct path path[PATHS_MAX];
	unsigned count, lists;
	char *names; /* owned */
	uint64_t all;
	uint64_t ends_at[SEGMENTS_MAX + 1];  /* bit p: path p has so many segments */
	uint64_t array_at[SEGMENTS_MAX + 1]; /* bit p: segment n of path p is an array's */

	struct arena *arena;
	const char *begin, *end; /* the record */
	unsigned depth;
	unsigned array_depth;    /* depth of the array that is walked and that paths lead into; 0 = none */
	size_t element;          /* elements of it that have begun */
	int too_long;
	uint64_t on[JSON_DEPTH_MAX + 1]; /* on[n] = the paths whose first n-1 segments led into container n */
	uint64_t here;                   /* the paths whose segments up to the current key match */
	struct found found[PATHS_MAX];
	struct found *place[PATHS_MAX];  /* where a path's next value goes: its found, or an element of its list */
	struct found (*list)[EVENTS_PER_RECORD_MAX]; /* (lists) owned */
	size_t length[PATHS_MAX];                    /* (lists) elements of the array; 0 = it is not there */
	int of_array;                                /* the item stands in an array */
	size_t events;
};

/* --- paths --- */

static int bad_path(const char **reterr_why, const char *why)
{
	*reterr_why = why;
	return -EINVAL;
}

static void add_segment(struct json *j, struct path *p, struct event_text t)
{
	if (!t.s)
		j->array_at[p->segment_count] |= UINT64_C(1) << j->count;
	p->segment[p->segment_count++] = t;
}

/* "products[]" -> products and an array. */
static int add_name(struct json *j, struct path *p, char *s, const char **reterr_why)
{
	size_t len = strlen(s);
	int array = len >= 2 && strcmp(s + len - 2, "[]") == 0;

	if (len == (array ? 2 : 0))
		return bad_path(reterr_why, "empty name in a path");
	add_segment(j, p, (struct event_text){ s, array ? len - 2 : len });
	if (!array)
		return 0;
	if (p->list != NO_LIST)
		return bad_path(reterr_why, "a path leads into two arrays");
	if (p->field == FIELD_USER || (p->field >= FIELD_ATTRIBUTE && p->field < FIELD_ITEM_ATTRIBUTE))
		return bad_path(reterr_why, "a record has one user, whose path cannot lead into an array");
	p->list = j->lists++;
	add_segment(j, p, (struct event_text){ NULL, SIZE_MAX });
	return 0;
}

static int add_path(struct json *j, enum field f, char *s, const char *prefix, const char **reterr_why)
{
	struct path *p = &j->path[j->count];
	int r = 0;

	if (j->count == PATHS_MAX)
		return bad_path(reterr_why, "too many paths (64 in all)");

	p->field = f;
	p->list = NO_LIST;
	if (prefix && f < FIELD_COUNT)
		add_segment(j, p, (struct event_text){ prefix, strlen(prefix) });
	unsigned n = 0;
	for (char *next = s; r == 0 && next; s = next) {
		next = strchr(s, '.');
		if (next)
			*next++ = 0;
		r = n++ == NAMES_MAX ? bad_path(reterr_why, "a path is deeper than 8 names") : add_name(j, p, s, reterr_why);
	}
	if (r < 0)
		return r;

	j->place[j->count] = &j->found[j->count];
	j->all |= UINT64_C(1) << j->count;
	j->ends_at[p->segment_count] |= UINT64_C(1) << j->count;
	j->count++;
	return 0;
}

/* All alternatives of all fields; their names go to j->names. */
static int add_paths(struct json *j, const char *const spec[FIELD_ALL], const char *prefix, const char **reterr_why)
{
	char *s = j->names, *next;
	int r;

	for (int f = 0; f < FIELD_ALL; f++) {
		if (!spec[f])
			continue;
		char *after = s + strlen(spec[f]) + 1;

		memcpy(s, spec[f], (size_t)(after - s));
		for (; s; s = next) {
			next = strpbrk(s, "|,");
			if (next)
				*next++ = 0;
			while (*s == ' ')
				s++;
			r = add_path(j, (enum field)f, s, prefix, reterr_why);
			if (r < 0)
				return r;
		}
		s = after;
	}
	return 0;
}

int json_new(struct json **ret, const char *const spec[FIELD_ALL], const char *prefix, const char **reterr_why)
{
	struct json *j = calloc(1, sizeof(*j));
	size_t n = 1;
	int r = -ENOMEM;

	*reterr_why = "out of memory";
	for (int f = 0; f < FIELD_ALL; f++)
		n += spec[f] ? strlen(spec[f]) + 1 : 0;
	if (j)
		j->names = malloc(n);
	if (j && j->names)
		r = add_paths(j, spec, prefix, reterr_why);
	if (r == 0 && j->lists) {
		j->list = calloc(j->lists, sizeof(*j->list));
		r = j->list ? 0 : -ENOMEM;
	}
	if (r < 0) {
		json_free(j);
		return r;
	}
	*ret = j;
	return 0;
}

void json_free(struct json *j)
{
	if (!j)
		return;
	free(j->names);
	free(j->list);
	free(j);
}

int json_has_arrays(const struct json *j)
{
	return j->lists > 0;
}

/* --- walk --- */

/* The paths that end at the current value. */
static uint64_t ending(const struct json *j)
{
	return j->here && j->depth <= SEGMENTS_MAX ? j->here & j->ends_at[j->depth] : 0;
}

/* A value stands in the array. */
static int begin_element(struct json *j)
{
	if (j->element == EVENTS_PER_RECORD_MAX) {
		j->too_long = 1;
		return 0;
	}
	for (uint64_t set = j->on[j->depth]; set; set &= set - 1) {
		int p = __builtin_ctzll(set);

		j->place[p] = &j->list[j->path[p].list][j->element];
		j->place[p]->kind = ABSENT;
	}
	j->element++;
	return 1;
}

/* A scalar. Text with escapes was unfolded by yajl into a buffer that it reuses, so that is copied; else it stays where it is. */
static int value(struct json *j, enum kind kind, const char *s, size_t len)
{
	uint64_t set = ending(j);

	if (j->depth == 0)
		return 0; /* not an object */
	if (j->depth == j->array_depth && !begin_element(j))
		return 0;
	if (set && len && (s < j->begin || s >= j->end))
		s = memcpy(arena_alloc(j->arena, len), s, len);

	for (; set; set &= set - 1)
		*j->place[__builtin_ctzll(set)] = (struct found){ kind, { s, len } };
	return 1;
}

static int on_null(void *ctx)
{
	return value(ctx, ABSENT, NULL, 0);
}

static int on_boolean(void *ctx, int b)
{
	return value(ctx, OTHER, NULL, 0);
}

static int on_number(void *ctx, const char *s, size_t len)
{
	return value(ctx, NUMBER, s, len);
}

static int on_string(void *ctx, const unsigned char *s, size_t len)
{
	return value(ctx, STRING, (const char *)s, len);
}

static int enter(struct json *j, uint64_t on)
{
	if (j->depth == JSON_DEPTH_MAX)
		return 0;
	j->on[++j->depth] = on;
	j->here = 0;
	return 1;
}

static int on_start_map(void *ctx)
{
	struct json *j = ctx;

	if (j->depth == 0)
		return enter(j, j->all);
	return value(j, OTHER, NULL, 0) && enter(j, j->here);
}

/* Into an array lead only the paths that say so. No path has two, so that none of them leads on into an array inside it. */
static int on_start_array(void *ctx)
{
	struct json *j = ctx;
	uint64_t into = j->here && j->depth <= SEGMENTS_MAX ? j->here & j->array_at[j->depth] : 0;

	if (!value(j, OTHER, NULL, 0) || !enter(j, into)) /* value refuses an array at the top */
		return 0;
	if (into) {
		j->array_depth = j->depth;
		j->element = 0;
		j->here = into;
	}
	return 1;
}

static int on_map_key(void *ctx, const unsigned char *s, size_t len)
{
	struct json *j = ctx;
	uint64_t set = j->on[j->depth];

	j->here = 0;
	for (; set; set &= set - 1) {
		int p = __builtin_ctzll(set);
		const struct path *path = &j->path[p];

		if (path->segment_count >= j->depth && path->segment[j->depth - 1].len == len &&
		    memcmp(path->segment[j->depth - 1].s, s, len) == 0)
			j->here |= UINT64_C(1) << p;
	}
	return 1;
}

static int on_end(void *ctx)
{
	struct json *j = ctx;

	j->depth--;
	j->here = j->depth == j->array_depth ? j->on[j->depth] : 0;
	return 1;
}

static int on_end_array(void *ctx)
{
	struct json *j = ctx;

	if (j->depth == j->array_depth) {
		for (uint64_t set = j->on[j->depth]; set; set &= set - 1)
			j->length[j->path[__builtin_ctzll(set)].list] = j->element;
		j->array_depth = 0;
	}
	return on_end(j);
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_start_map,
	.yajl_map_key = on_map_key,
	.yajl_end_map = on_end,
	.yajl_start_array = on_start_array,
	.yajl_end_array = on_end_array,
};

/* A function of its own, so that no local variable has to survive the jump out of a full arena. */
static int walk_object(struct json *j, struct arena *a, const char *s, size_t len)
{
	yajl_alloc_funcs funcs = arena_yajl_funcs(a);
	yajl_handle h;

	if (setjmp(a->full))
		return -E2BIG;

	h = yajl_alloc(&callbacks, &funcs, j);
	if (yajl_parse(h, (const unsigned char *)s, len) != yajl_status_ok || yajl_complete_parse(h) != yajl_status_ok)
		return j->too_long ? -E2BIG : -EBADMSG;
	return 0; /* no yajl_free: all of it lives in the arena */
}

/* The first alternative of the item that is there says how many events the object gives. */
static void count_events(struct json *j)
{
	j->of_array = 0;
	j->events = 1;
	for (unsigned p = 0; j->lists && p < j->count; p++) {
		const struct path *path = &j->path[p];

		if (path->field != FIELD_ITEM)
			continue;
		if (path->list != NO_LIST ? j->length[path->list] > 0 : j->found[p].kind != ABSENT) {
			j->of_array = path->list != NO_LIST;
			j->events = j->of_array ? j->length[path->list] : 1;
			return;
		}
	}
}

int json_walk(struct json *j, struct arena *a, const char *s, size_t len)
{
	int r;

	j->arena = a;
	j->begin = s;
	j->end = s + len;
	j->depth = j->array_depth = 0;
	j->too_long = 0;
	j->here = 0;
	memset(j->found, 0, j->count * sizeof(j->found[0]));
	memset(j->length, 0, j->lists * sizeof(j->length[0]));

	r = walk_object(j, a, s, len);
	if (r == 0)
		count_events(j);
	return r;
}

size_t json_count(const struct json *j)
{
	return j->events;
}

/* --- what was found, as fields --- */

static int take_text(struct event_text *ret, enum kind kind, const struct event_text *t)
{
	if (kind == OTHER)
		return -EBADMSG;
	if (kind == NUMBER) { /* integers are ids, kept as they were written */
		for (size_t i = 0; i < t->len; i++) {
			if (t->s[i] == '.' || t->s[i] == 'e' || t->s[i] == 'E')
				return -EBADMSG;
		}
	}
	*ret = *t;
	return 0;
}

static struct event_text *envelope_field(struct envelope *e, enum field f)
{
	switch ((int)f) {
	case ENVELOPE_SPECVERSION: return &e->specversion;
	case ENVELOPE_ID: return &e->id;
	case ENVELOPE_SOURCE: return &e->source;
	case ENVELOPE_TYPE: return &e->type;
	case ENVELOPE_TIME: return &e->time;
	default: return &e->base64;
	}
}

static int take(struct raw_event *raw, struct envelope *e, enum field f, enum kind kind, const struct event_text *t, enum event_time_unit unit)
{
	switch (f) {
	case FIELD_USER:
		return take_text(&raw->user, kind, t);
	case FIELD_ITEM:
		return take_text(&raw->item, kind, t);
	case FIELD_TYPE:
		return take_text(&raw->type, kind, t);
	case FIELD_EVENT_ID:
		return take_text(&raw->event_id, kind, t);
	case FIELD_TIME:
		raw->has_time = 1;
		return kind == OTHER || time_parse(&raw->ts_ms, t->s, t->len, unit) < 0 ? -EBADMSG : 0;
	case FIELD_WEIGHT:
		raw->has_weight = 1;
		return kind != NUMBER || number_parse(&raw->weight, t->s, t->len) < 0 ? -EBADMSG : 0;
	default:
		break;
	}
	if (f >= FIELD_COUNT)
		return kind == STRING ? take_text(envelope_field(e, f), kind, t) : -EBADMSG;
	return take_text(f < FIELD_ITEM_ATTRIBUTE ? &raw->attribute[f - FIELD_ATTRIBUTE] : &raw->item_attribute[f - FIELD_ITEM_ATTRIBUTE], kind, t);
}

static const struct found *found_at(const struct json *j, unsigned p, size_t element)
{
	static const struct found absent = { ABSENT, { NULL, 0 } };
	unsigned list = j->path[p].list;

	if (list == NO_LIST)
		return &j->found[p];
	return j->of_array && element < j->length[list] ? &j->list[list][element] : &absent;
}

int json_take(struct raw_event *raw, struct envelope *e, const struct json *j, size_t element, enum event_time_unit unit)
{
	unsigned done = 0; /* bit f: an earlier alternative was there */
	int r = 0;

	for (unsigned p = 0; p < j->count && r == 0; p++) {
		enum field f = j->path[p].field;
		const struct found *found = j->lists ? found_at(j, p, element) : &j->found[p];

		if (found->kind == ABSENT || done & 1u << f)
			continue;
		done |= 1u << f;
		if (j->lists)
			raw->own_id |= f == FIELD_EVENT_ID && j->path[p].list != NO_LIST;
		r = take(raw, e, f, found->kind, &found->text, unit);
	}
	return r;
}
