/* JSON events: yajl's callbacks walk the object once; a set of bits says which paths the current place is on. */
#include <errno.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

#include "codec/event_private.h"

/* --- paths --- */

static int add_path(struct path_table *t, enum field f, char *s, const char **reterr_why)
{
	struct path *p = &t->path[t->count];

	if (t->count == PATHS_MAX) {
		*reterr_why = "too many paths (64 in all)";
		return -EINVAL;
	}

	p->field = f;
	for (char *next = s; next; s = next) {
		next = strchr(s, '.');
		if (next)
			*next++ = 0;
		if (!*s) {
			*reterr_why = "empty name in a path";
			return -EINVAL;
		}
		if (p->segment_count == SEGMENTS_MAX) {
			*reterr_why = "a path is deeper than 8 names";
			return -EINVAL;
		}
		p->segment[p->segment_count++] = (struct event_text){ s, strlen(s) };
	}

	t->all |= UINT64_C(1) << t->count;
	t->ends_at[p->segment_count] |= UINT64_C(1) << t->count;
	t->count++;
	return 0;
}

int path_table_init(struct path_table *t, const char *const spec[FIELD_COUNT], const char **reterr_why)
{
	size_t n = 0;
	char *s, *next;
	int r;

	*t = (struct path_table){ 0 };
	for (int f = 0; f < FIELD_COUNT; f++)
		n += spec[f] ? strlen(spec[f]) + 1 : 0;

	s = t->names = malloc(n);
	if (!s) {
		*reterr_why = "out of memory";
		return -ENOMEM;
	}

	for (int f = 0; f < FIELD_COUNT; f++) {
		if (!spec[f])
			continue;
		char *after = s + strlen(spec[f]) + 1;

		memcpy(s, spec[f], (size_t)(after - s));
		for (; s; s = next) {
			next = strchr(s, '|');
			if (next)
				*next++ = 0;
			r = add_path(t, (enum field)f, s, reterr_why);
			if (r < 0)
				return r; /* names: path_table_release */
		}
		s = after;
	}
	return 0;
}

void path_table_release(struct path_table *t)
{
	free(t->names);
	*t = (struct path_table){ 0 };
}

/* --- walk --- */

enum kind { ABSENT, STRING, NUMBER, OTHER };

/* At depth n the containers entered are n; on[n] = the paths whose first n-1 names led into container n. */
struct walk {
	const struct path_table *t;
	struct arena *arena;
	const char *begin, *end; /* the record */
	unsigned depth;
	uint64_t on[JSON_DEPTH_MAX + 1];
	uint64_t here; /* the paths whose names up to the current key match */
	struct {
		enum kind kind;
		struct event_text text;
	} found[PATHS_MAX];
};

/* The paths that end at the current value. */
static uint64_t ending(const struct walk *w)
{
	return w->here && w->depth <= SEGMENTS_MAX ? w->here & w->t->ends_at[w->depth] : 0;
}

/* A scalar. Text with escapes was unfolded by yajl into a buffer that it reuses, so that is copied; else it stays where it is. */
static int value(struct walk *w, enum kind kind, const char *s, size_t len)
{
	uint64_t set = ending(w);

	if (w->depth == 0)
		return 0; /* not an object */
	if (set && len && (s < w->begin || s >= w->end))
		s = memcpy(arena_alloc(w->arena, len), s, len);

	for (; set; set &= set - 1) {
		int p = __builtin_ctzll(set);

		w->found[p].kind = kind;
		w->found[p].text = (struct event_text){ s, len };
	}
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

static int enter(struct walk *w, uint64_t on)
{
	if (w->depth == JSON_DEPTH_MAX)
		return 0;
	w->on[++w->depth] = on;
	w->here = 0;
	return 1;
}

static int on_start_map(void *ctx)
{
	struct walk *w = ctx;

	if (w->depth == 0)
		return enter(w, w->t->all);
	return value(w, OTHER, NULL, 0) && enter(w, w->here);
}

static int on_start_array(void *ctx)
{
	struct walk *w = ctx;

	return value(w, OTHER, NULL, 0) && enter(w, 0); /* value refuses an array at the top; no path leads into an array */
}

static int on_map_key(void *ctx, const unsigned char *s, size_t len)
{
	struct walk *w = ctx;
	uint64_t set = w->on[w->depth];

	w->here = 0;
	for (; set; set &= set - 1) {
		int p = __builtin_ctzll(set);
		const struct path *path = &w->t->path[p];

		if (path->segment_count >= w->depth && path->segment[w->depth - 1].len == len &&
		    memcmp(path->segment[w->depth - 1].s, s, len) == 0)
			w->here |= UINT64_C(1) << p;
	}
	return 1;
}

static int on_end(void *ctx)
{
	struct walk *w = ctx;

	w->depth--;
	w->here = 0;
	return 1;
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
	.yajl_end_array = on_end,
};

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

static int take(struct raw_event *raw, enum field f, enum kind kind, const struct event_text *t, enum event_time_unit unit)
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
		return take_text(f < FIELD_ITEM_ATTRIBUTE ? &raw->attribute[f - FIELD_ATTRIBUTE] : &raw->item_attribute[f - FIELD_ITEM_ATTRIBUTE], kind, t);
	}
}

/* A function of its own, so that no local variable has to survive the jump out of a full arena. */
static int walk_object(struct walk *w, struct arena *a, const char *s, size_t len)
{
	yajl_alloc_funcs funcs = arena_yajl_funcs(a);
	yajl_handle h;

	a->used = 0;
	if (setjmp(a->full))
		return -E2BIG;

	h = yajl_alloc(&callbacks, &funcs, w);
	if (yajl_parse(h, (const unsigned char *)s, len) != yajl_status_ok || yajl_complete_parse(h) != yajl_status_ok)
		return -EBADMSG;
	return 0; /* no yajl_free: all of it lives in the arena */
}

int event_json_parse(struct raw_event *raw, const struct path_table *t, struct arena *a, enum event_time_unit unit,
                     const char *s, size_t len)
{
	unsigned done = 0; /* bit f: an earlier alternative was there */
	struct walk w;
	int r;

	w.t = t;
	w.arena = a;
	w.begin = s;
	w.end = s + len;
	w.depth = 0;
	w.here = 0;
	memset(w.found, 0, t->count * sizeof(w.found[0]));

	r = walk_object(&w, a, s, len);
	if (r < 0)
		return r;

	for (unsigned p = 0; p < t->count && r == 0; p++) {
		enum field f = t->path[p].field;

		if (w.found[p].kind == ABSENT || done & 1u << f)
			continue;
		done |= 1u << f;
		r = take(raw, f, w.found[p].kind, &w.found[p].text, unit);
	}
	return r;
}
