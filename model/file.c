/* file.c - see file.h. Order: configuration by name, writing, reading. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "model/file.h"
#include "model/model_private.h"
#include "model/state.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "model files are little-endian"
#endif

#define MAGIC "S4RECMDL"
#define PREFIX 16            /* magic, version, bytes of the text */
#define TEXT_MAX 8192
#define LEVEL 1              /* weights hardly compress */
#define WINDOW_LOG 23        /* most that a reader gives a frame: 8 MB */
#define NO_ID UINT32_MAX

/* ---- the text: configuration by name, then sizes ---- */

enum kind { SIZE, INT, REAL, NUMBER64 };
/* must: file and options must agree; LATER, too, and 0 is not written: files of before do not know it. */
enum { FREE, MUST, LATER };
struct field { const char *name; enum kind kind; int must; size_t at; const char *const *words; };

static const char *const loss_words[] = { "full", "sampled", "bce", NULL }, *const pool_words[] = { "mean", "last", NULL },
	*const rows_words[] = { "adam", "adagrad", NULL }, *const cluster_words[] = { "sinkhorn", "kmeans", NULL };

#define AT(x) offsetof(struct model_config, x)
static const struct field fields[] = {
	{ "width", SIZE, 1, AT(D), NULL }, { "max_length", SIZE, 1, AT(L), NULL }, { "layers", SIZE, 1, AT(layers), NULL },
	{ "heads", SIZE, 1, AT(heads), NULL }, { "prototypes", SIZE, 1, AT(K), NULL }, { "low_pass", INT, 1, AT(low_pass), NULL },
	{ "loss", INT, 1, AT(loss), loss_words }, { "rows", INT, 1, AT(rows), rows_words }, { "cosine", INT, 1, AT(cosine), NULL }, { "pool", INT, 1, AT(pool), pool_words },
	{ "norm", INT, 1, AT(norm), NULL }, { "queue", SIZE, 1, AT(queue), NULL }, { "beta_1", REAL, 1, AT(beta_1), NULL },
	{ "beta_2", REAL, 1, AT(beta_2), NULL }, { "adam_eps", REAL, 1, AT(adam_eps), NULL }, { "weight_decay", REAL, 1, AT(weight_decay), NULL },
	{ "dropout", REAL, 0, AT(dropout), NULL }, { "negatives", SIZE, 0, AT(negatives), NULL }, { "uniform", REAL, 0, AT(uniform), NULL },
	{ "cosine_tau", REAL, 0, AT(cosine_tau), NULL }, { "posden", INT, 0, AT(posden), NULL }, { "detach", INT, 0, AT(detach), NULL },
	{ "cluster", INT, 0, AT(cluster), cluster_words }, { "eps", REAL, 0, AT(eps), NULL }, { "iters", INT, 0, AT(iters), NULL }, { "tau1", REAL, 0, AT(tau1), NULL },
	{ "tau2", REAL, 0, AT(tau2), NULL }, { "tau3", REAL, 0, AT(tau3), NULL }, { "alpha", REAL, 0, AT(alpha), NULL },
	{ "beta1", REAL, 0, AT(beta1), NULL }, { "beta2", REAL, 0, AT(beta2), NULL }, { "lambda", REAL, 0, AT(lambda), NULL },
	{ "mask_share", REAL, 0, AT(mask_share), NULL }, { "crop_share", REAL, 0, AT(crop_share), NULL },
	{ "reorder_share", REAL, 0, AT(reorder_share), NULL }, { "insert_share", REAL, 0, AT(insert_share), NULL }, { "clip", REAL, 0, AT(clip), NULL },
	{ "seed", NUMBER64, 0, AT(seed), NULL }, { "attributes", SIZE, LATER, AT(attributes), NULL },
};
#undef AT

struct sizes { uint64_t items, applied, queue_count, queue_next, ids, payload, attributed; };
#define AT(x) offsetof(struct sizes, x)
static const struct field size_fields[] = {
	{ "items", NUMBER64, 0, AT(items), NULL }, { "applied", NUMBER64, 0, AT(applied), NULL }, { "queue_count", NUMBER64, 0, AT(queue_count), NULL },
	{ "queue_next", NUMBER64, 0, AT(queue_next), NULL }, { "ids", NUMBER64, 0, AT(ids), NULL }, { "payload_bytes", NUMBER64, 0, AT(payload), NULL },
	{ "items_attributed", NUMBER64, LATER, AT(attributed), NULL },
};
#undef AT
#define COUNT(a) (sizeof(a) / sizeof *(a))

/* The value of a field as text. Nine digits give a float back exactly. */
static void value_text(char *ret, size_t len, const struct field *f, const void *of)
{
	const char *p = (const char *)of + f->at;
	size_t size;
	uint64_t number;
	int small;
	float real;

	switch (f->kind) {
	case SIZE: memcpy(&size, p, sizeof size); snprintf(ret, len, "%zu", size); break;
	case NUMBER64: memcpy(&number, p, sizeof number); snprintf(ret, len, "%llu", (unsigned long long)number); break;
	case REAL: memcpy(&real, p, sizeof real); snprintf(ret, len, "%.9g", real); break;
	case INT:
		memcpy(&small, p, sizeof small);
		if (f->words)
			snprintf(ret, len, "%s", f->words[small]);
		else
			snprintf(ret, len, "%d", small);
	}
}

static int parse_int(int *ret, const struct field *f, const char *text)
{
	char *end;
	long v = strtol(text, &end, 10);

	for (int i = 0; f->words && f->words[i]; i++)
		if (!strcmp(text, f->words[i])) {
			*ret = i;
			return 0;
		}
	if (f->words || *end || end == text || v < INT32_MIN || v > INT32_MAX)
		return -1;
	*ret = (int)v;
	return 0;
}

/* 0, or -1 when text is no value of the field. */
static int parse_value(void *of, const struct field *f, const char *text)
{
	char *p = (char *)of + f->at, *end;
	uint64_t number;
	size_t size;
	float real;
	int small;

	if (f->kind == INT) {
		if (parse_int(&small, f, text) < 0)
			return -1;
		memcpy(p, &small, sizeof small);
	} else if (f->kind == REAL) {
		real = strtof(text, &end);
		if (*end || end == text || !isfinite(real))
			return -1;
		memcpy(p, &real, sizeof real);
	} else {
		errno = 0;
		number = strtoull(text, &end, 10);
		size = (size_t)number;
		if (*text < '0' || *text > '9' || *end || errno)
			return -1;
		memcpy(p, f->kind == SIZE ? (void *)&size : (void *)&number, sizeof number);
	}
	return 0;
}

_Static_assert(sizeof(size_t) == sizeof(uint64_t), "parse_value copies either");

static size_t text_of(char *ret, size_t len, const struct field *f, size_t n, const void *of)
{
	size_t at = 0;
	char value[40];

	for (size_t i = 0; i < n; i++) {
		value_text(value, sizeof value, &f[i], of);
		if (f[i].must == LATER && !strcmp(value, "0"))
			continue;
		at += (size_t)snprintf(ret + at, len - at, "%s %s\n", f[i].name, value);
	}
	return at;
}

/* ---- what the payload holds ---- */

static size_t history_count(uint64_t applied) { return applied < MODEL_HISTORY ? (size_t)applied : MODEL_HISTORY; }

static uint64_t payload_without_ids(const struct model *m, uint64_t items, uint64_t applied, uint64_t attributed)
{
	return (3 * m->dense + m->cfg.queue * m->cfg.D + items * m->item_stride) * sizeof(float)
	     + history_count(applied) * (sizeof(uint64_t) + sizeof(float)) + items * sizeof(uint32_t)
	     + (attributed ? items * ATTRIBUTES_MAX * sizeof(uint16_t) : 0);
}

/* ---- writing ---- */

struct writer { int fd; ZSTD_CCtx *z; char *out; size_t room; int code; };

static int write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return w < 0 ? -errno : -EIO;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

/* Compresses n bytes; how ZSTD_e_end closes the frame. The first error stays. */
static void put_how(struct writer *w, const void *p, size_t n, ZSTD_EndDirective how)
{
	ZSTD_inBuffer in = { p, n, 0 };
	size_t left = 1;

	while (!w->code && (in.pos < in.size || (how == ZSTD_e_end && left))) {
		ZSTD_outBuffer out = { w->out, w->room, 0 };

		left = ZSTD_compressStream2(w->z, &out, &in, how);
		w->code = ZSTD_isError(left) ? -ENOMEM : write_all(w->fd, w->out, out.pos);
	}
}

static void put(struct writer *w, const void *p, size_t n) { put_how(w, p, n, ZSTD_e_continue); }

static void put_ids(struct writer *w, const struct idmap *ids, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = 0;
		const char *id = idmap_id(ids, (uint32_t)i, &len);
		uint32_t l = id ? (uint32_t)len : NO_ID;

		put(w, &l, sizeof l);
		put(w, id, len);
	}
}

static void put_payload(struct writer *w, const struct model *m, const struct idmap *ids)
{
	size_t history = history_count(m->applied);
	struct applied a;

	put(w, m->block_w, m->dense * sizeof(float));
	put(w, m->block_m, m->dense * sizeof(float));
	put(w, m->block_v, m->dense * sizeof(float));
	put(w, m->queue, m->cfg.queue * m->cfg.D * sizeof(float));
	for (int rates = 0; rates < 2; rates++)
		for (size_t i = 0; i < history; i++) {
			model_history(m, m->applied - history + 1 + i, &a);
			put(w, rates ? (void *)&a.lr : (void *)&a.step, rates ? sizeof a.lr : sizeof a.step);
		}
	put(w, m->item, m->N * m->item_stride * sizeof(float));
	put(w, m->item_step, m->N * sizeof *m->item_step);
	if (m->attributed)
		put(w, m->item_attribute, m->N * ATTRIBUTES_MAX * sizeof *m->item_attribute);
	if (ids)
		put_ids(w, ids, m->N);
	put_how(w, NULL, 0, ZSTD_e_end);
}

/* Magic to hash; returns the bytes. */
static size_t make_head(char ret[PREFIX + TEXT_MAX + 8], const struct model *m, const struct sizes *s)
{
	uint32_t version = MODEL_FILE_VERSION, bytes;
	char *text = ret + PREFIX;
	uint64_t hash;

	bytes = (uint32_t)text_of(text, TEXT_MAX, fields, COUNT(fields), &m->cfg);
	bytes += (uint32_t)text_of(text + bytes, TEXT_MAX - bytes, size_fields, COUNT(size_fields), s);
	assert(bytes <= TEXT_MAX); /* some 50 lines */
	memcpy(ret, MAGIC, 8);
	memcpy(ret + 8, &version, 4);
	memcpy(ret + 12, &bytes, 4);
	hash = XXH3_64bits(ret, PREFIX + bytes);
	memcpy(text + bytes, &hash, sizeof hash);
	return PREFIX + bytes + sizeof hash;
}

static int sizes_of(struct sizes *ret, const struct model *m, const struct idmap *ids, char *reason, size_t reason_len)
{
	*ret = (struct sizes){ .items = m->N, .applied = m->applied, .queue_count = m->queue_count, .queue_next = m->queue_next,
	                       .ids = ids != NULL, .attributed = (uint64_t)m->attributed, .payload = payload_without_ids(m, m->N, m->applied, (uint64_t)m->attributed) };
	if (ids && idmap_rows(ids) != m->N) {
		snprintf(reason, reason_len, "ids of %zu rows for %zu items", idmap_rows(ids), m->N);
		return -EINVAL;
	}
	for (size_t i = 0; ids && i < m->N; i++) {
		size_t len = 0;

		idmap_id(ids, (uint32_t)i, &len);
		ret->payload += sizeof(uint32_t) + len;
		if (len > MODEL_FILE_ID_MAX) {
			snprintf(reason, reason_len, "the id of item %zu has %zu bytes, at most %d are kept", i, len, MODEL_FILE_ID_MAX);
			return -EINVAL;
		}
	}
	return 0;
}

static int write_file(int fd, const struct model *m, const struct idmap *ids, const struct sizes *s)
{
	struct writer w = { .fd = fd, .z = ZSTD_createCCtx(), .room = ZSTD_CStreamOutSize() };
	char head[PREFIX + TEXT_MAX + 8] = { 0 };
	size_t head_len = make_head(head, m, s);

	w.out = malloc(w.room);
	w.code = !w.z || !w.out ? -ENOMEM : write_all(fd, head, head_len);
	if (!w.code) {
		ZSTD_CCtx_setParameter(w.z, ZSTD_c_compressionLevel, LEVEL);
		ZSTD_CCtx_setParameter(w.z, ZSTD_c_checksumFlag, 1);
		ZSTD_CCtx_setPledgedSrcSize(w.z, s->payload); /* a payload of another length is an error */
		put_payload(&w, m, ids);
	}
	ZSTD_freeCCtx(w.z);
	free(w.out);
	return w.code;
}

/* The rename is durable when the folder is. */
int sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1, r = 0;

	if (!folder)
		return -ENOMEM;
	if (fd < 0 || fsync(fd) < 0)
		r = -errno;
	if (fd >= 0)
		close(fd);
	free(folder);
	return r;
}

int model_save(const char *path, const struct model *m, const struct idmap *ids, char *reason, size_t reason_len)
{
	struct sizes s;
	char *tmp = NULL;
	int fd = -1, r = sizes_of(&s, m, ids, reason, reason_len);

	if (r < 0)
		return r;

	if (asprintf(&tmp, "%s.tmp", path) < 0) {
		snprintf(reason, reason_len, "%s: out of memory", path);
		return -ENOMEM;
	}
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	r = fd < 0 ? -errno : write_file(fd, m, ids, &s);
	if (!r && fsync(fd) < 0)
		r = -errno;
	if (fd >= 0 && close(fd) < 0 && !r)
		r = -errno;
	if (!r && rename(tmp, path) < 0) /* after fsync: the name must never stand before the bytes */
		r = -errno;
	if (r && fd >= 0)
		unlink(tmp);
	if (!r)
		r = sync_folder(path);
	if (r)
		snprintf(reason, reason_len, "%s: cannot be written: %s", path, strerror(-r));
	free(tmp);
	return r;
}

/* ---- reading ---- */

struct reader {
	const char *path;
	int fd, code;
	ZSTD_DCtx *z;
	char *buf;
	size_t room;
	ZSTD_inBuffer in;
	size_t frame;       /* what zstd said last: 0 = the frame is complete */
	char *reason;
	size_t reason_len;
};

/* Sets the first error and its text. */
__attribute__((format(printf, 3, 4))) static int bad(struct reader *r, int code, const char *format, ...)
{
	char what[160];
	va_list args;

	if (r->code)
		return r->code;
	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	snprintf(r->reason, r->reason_len, "%s: %s", r->path, what);
	return r->code = code;
}

/* Up to n bytes; fewer at the end of the file. */
static size_t read_some(struct reader *r, void *p, size_t n)
{
	size_t at = 0;

	while (at < n) {
		ssize_t got = read(r->fd, (char *)p + at, n - at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			bad(r, -errno, "cannot be read: %s", strerror(errno));
		if (got <= 0)
			break;
		at += (size_t)got;
	}
	return at;
}

static int reader_open(struct reader *r, const char *path, char *reason, size_t reason_len)
{
	struct stat st;

	*r = (struct reader){ .path = path, .fd = open(path, O_RDONLY | O_CLOEXEC), .reason = reason, .reason_len = reason_len, .frame = 1 };
	if (r->fd < 0 || fstat(r->fd, &st) < 0)
		return bad(r, -errno, "cannot be opened: %s", strerror(errno));
	if (S_ISDIR(st.st_mode))
		return bad(r, -EISDIR, "a folder");
	if (!S_ISREG(st.st_mode))
		return bad(r, -EBADMSG, "not a file");
	return 0;
}

static void reader_close(struct reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	ZSTD_freeDCtx(r->z);
	free(r->buf);
}

/* One line "name value" of the text; the fields of a table in its order. */
static int parse_fields(struct reader *r, char **text, const struct field *f, size_t n, void *ret)
{
	for (size_t i = 0; i < n; i++) {
		char *line = *text, *end = strchr(line, '\n'), *value = strchr(line, ' ');

		if (f[i].must == LATER && strncmp(line, f[i].name, strlen(f[i].name)))
			continue;
		if (!end || !value || value > end)
			return bad(r, -EBADMSG, "%s is missing in the file", f[i].name);
		*end = *value++ = 0;
		*text = end + 1;
		if (strcmp(line, f[i].name))
			return bad(r, -EBADMSG, "%.40s stands where %s should", line, f[i].name);
		if (parse_value(ret, &f[i], value) < 0)
			return bad(r, -EBADMSG, "%s cannot be %.40s", line, value);
	}
	return 0;
}

static int read_head(struct reader *r, struct model_config *c, struct sizes *s)
{
	char head[PREFIX + TEXT_MAX + 8 + 1], *text = head + PREFIX;
	uint32_t version, bytes;
	uint64_t hash;
	const char *why = "";

	if (read_some(r, head, PREFIX) < PREFIX || memcmp(head, MAGIC, 8))
		return bad(r, -EBADMSG, "not a model file");
	memcpy(&version, head + 8, 4);
	memcpy(&bytes, head + 12, 4);
	if (version != MODEL_FILE_VERSION)
		return bad(r, -EPROTO, "version %u, this program knows %d", version, MODEL_FILE_VERSION);
	if (bytes > TEXT_MAX)
		return bad(r, -EBADMSG, "a head of %u bytes, at most %d are possible", bytes, TEXT_MAX);
	if (read_some(r, text, bytes + sizeof hash) < bytes + sizeof hash)
		return bad(r, -EBADMSG, "cut short");
	memcpy(&hash, text + bytes, sizeof hash);
	if (hash != XXH3_64bits(head, PREFIX + bytes))
		return bad(r, -EBADMSG, "damaged: the checksum of its head differs");

	*c = (struct model_config){ 0 };
	*s = (struct sizes){ 0 };
	text[bytes] = 0;
	if (parse_fields(r, &text, fields, COUNT(fields), c) || parse_fields(r, &text, size_fields, COUNT(size_fields), s))
		return r->code;
	if (*text)
		return bad(r, -EBADMSG, "%.40s is not known here", text);

	/* what the file does not hold, for the check alone */
	c->threads = 1;
	c->items_max = c->batch_users_max = 1;
	if (model_config_check(c, &why) < 0)
		return bad(r, -EBADMSG, "its configuration is impossible: %s", why);
	c->threads = 0;
	c->items_max = c->batch_users_max = 0;
	return 0;
}

static int compare(struct reader *r, const struct model_config *file, const struct model_config *here)
{
	char a[40], b[40];

	for (size_t i = 0; i < COUNT(fields); i++) {
		value_text(a, sizeof a, &fields[i], file);
		value_text(b, sizeof b, &fields[i], here);
		if (fields[i].must && strcmp(a, b))
			return bad(r, -EINVAL, "%s is %s in the file, %s here", fields[i].name, a, b);
	}
	return 0;
}

static int check_sizes(struct reader *r, const struct model *m, const struct sizes *s)
{
	uint64_t least;

	if (s->items > m->cfg.items_max)
		return bad(r, -ENOSPC, "%llu items in the file, at most %zu here", (unsigned long long)s->items, m->cfg.items_max);
	least = payload_without_ids(m, s->items, s->applied, s->attributed) + (s->ids ? s->items * sizeof(uint32_t) : 0);
	if (s->applied > UINT32_MAX || s->ids > 1 || s->attributed > 1 || (s->attributed && !m->cfg.attributes) || s->queue_count > m->cfg.queue || s->queue_next > m->cfg.queue
	    || (s->queue_next == m->cfg.queue && m->cfg.queue) || s->payload < least || (!s->ids && s->payload != least)
	    || s->payload - least > s->items * MODEL_FILE_ID_MAX)
		return bad(r, -EBADMSG, "its sizes do not fit each other");
	return 0;
}

/* Makes the decompressor; the frame must be as long as the head says. */
static int open_payload(struct reader *r, uint64_t payload)
{
	r->z = ZSTD_createDCtx();
	r->room = ZSTD_DStreamInSize();
	r->buf = malloc(r->room);
	if (!r->z || !r->buf)
		return bad(r, -ENOMEM, "out of memory");
	ZSTD_DCtx_setParameter(r->z, ZSTD_d_windowLogMax, WINDOW_LOG);
	r->in = (ZSTD_inBuffer){ r->buf, read_some(r, r->buf, r->room), 0 };
	if (!r->code && ZSTD_getFrameContentSize(r->buf, r->in.size) != payload)
		return bad(r, -EBADMSG, "cut short or damaged: no frame of %llu bytes after its head", (unsigned long long)payload);
	return r->code;
}

/* One turn of the decompressor. */
static void decompress(struct reader *r, ZSTD_outBuffer *out)
{
	if (r->in.pos == r->in.size) {
		r->in = (ZSTD_inBuffer){ r->buf, read_some(r, r->buf, r->room), 0 };
		if (!r->in.size)
			bad(r, -EBADMSG, "cut short");
	}
	if (r->code)
		return;
	r->frame = ZSTD_decompressStream(r->z, out, &r->in);
	if (ZSTD_isError(r->frame))
		bad(r, -EBADMSG, "damaged: %s", ZSTD_getErrorName(r->frame));
}

static void get(struct reader *r, void *p, size_t n)
{
	ZSTD_outBuffer out = { p, n, 0 };

	while (!r->code && out.pos < out.size) {
		if (!r->frame)
			bad(r, -EBADMSG, "its contents end too early");
		decompress(r, &out);
	}
}

/* Nothing more in the frame (zstd holds its checksum against what came out), nothing behind it. */
static void get_end(struct reader *r)
{
	char more;
	ZSTD_outBuffer out = { &more, 1, 0 };

	while (!r->code && r->frame) {
		decompress(r, &out);
		if (out.pos)
			bad(r, -EBADMSG, "its contents do not end where they should");
	}
	if (!r->code && (r->in.pos < r->in.size || read_some(r, &more, 1)))
		bad(r, -EBADMSG, "something follows its end");
}

/* Finite; second moments not below 0. Sums of what must be 0: x - x is, unless x is no number or infinite. */
static int numbers(const float *x, size_t n, int at_least_0)
{
	int wrong = 0;

	for (size_t i = 0; i < n; i++)
		wrong |= x[i] - x[i] != 0 || (at_least_0 && x[i] < 0);
	return !wrong;
}

static void get_floats(struct reader *r, float *x, size_t n, int at_least_0, const char *what)
{
	get(r, x, n * sizeof *x);
	if (!r->code && !numbers(x, n, at_least_0))
		bad(r, -EBADMSG, "a value of the %s is impossible", what);
}

static void get_history(struct reader *r, struct model *m, uint64_t applied)
{
	size_t n = history_count(applied);
	struct applied *a = calloc(n + 1, sizeof *a);

	if (!a)
		bad(r, -ENOMEM, "out of memory");
	for (size_t i = 0; !r->code && i < n; i++) {
		get(r, &a[i].step, sizeof a[i].step);
		if (!r->code && a[i].step <= (i ? a[i - 1].step : 0))
			bad(r, -EBADMSG, "its steps do not ascend");
	}
	for (size_t i = 0; !r->code && i < n; i++)
		get_floats(r, &a[i].lr, 1, 1, "learning rates");
	if (!r->code)
		model_history_restore(m, applied, a, n);
	free(a);
}

static void get_items(struct reader *r, struct model *m, size_t items)
{
	get(r, m->item, items * m->item_stride * sizeof(float));
	get(r, m->item_step, items * sizeof *m->item_step);
	for (size_t i = 0; !r->code && i < items; i++) {
		const float *row = m->item + i * m->item_stride;
		size_t v = m->cfg.rows == ROWS_ADAGRAD ? 1 : m->cfg.D, moments = m->item_stride - v;

		if (!numbers(row, moments, 0) || !numbers(row + moments, v, 1))
			bad(r, -EBADMSG, "a value of item %zu is impossible", i);
		else if (m->item_step[i] > m->applied || m->applied - m->item_step[i] > MODEL_HISTORY)
			bad(r, -EBADMSG, "item %zu is of a step that is not known", i);
	}
	m->N = items;
}

static void get_attributes(struct reader *r, struct model *m)
{
	get(r, m->item_attribute, m->N * ATTRIBUTES_MAX * sizeof *m->item_attribute);
	for (size_t i = 0; !r->code && i < m->N * ATTRIBUTES_MAX; i++)
		if (m->item_attribute[i] > m->cfg.attributes)
			bad(r, -EBADMSG, "item %zu has an attribute that is not there", i / ATTRIBUTES_MAX);
	m->attributed = 1;
}

static void get_ids(struct reader *r, struct idmap **ret, size_t items, size_t items_max)
{
	char *id = malloc(MODEL_FILE_ID_MAX);
	int code = idmap_new(ret, items_max);

	if (!id || code)
		bad(r, -ENOMEM, "out of memory");
	for (size_t i = 0; !r->code && i < items; i++) {
		uint32_t len;

		get(r, &len, sizeof len);
		if (!r->code && len != NO_ID && len > MODEL_FILE_ID_MAX)
			bad(r, -EBADMSG, "an id of %u bytes", len);
		if (!r->code && len != NO_ID)
			get(r, id, len);
		if (r->code)
			break;
		code = len == NO_ID ? 0 : idmap_place(*ret, (uint32_t)i, id, len);
		if (code == -EEXIST)
			bad(r, -EBADMSG, "items %u and %zu have one id", idmap_find(*ret, id, len), i);
		else if (code)
			bad(r, code, "item %zu: %s", i, strerror(-code));
	}
	if (!r->code && (code = idmap_seal(*ret, items)) < 0)
		bad(r, code, "%s", strerror(-code));
	free(id);
}

static void get_payload(struct reader *r, struct model *m, struct idmap **ret_ids, const struct sizes *s)
{
	size_t len;

	get_floats(r, m->block_w, m->dense, 0, "weights");
	get_floats(r, m->block_m, m->dense, 0, "first moments");
	get_floats(r, m->block_v, m->dense, 1, "second moments");
	get_floats(r, m->queue, m->cfg.queue * m->cfg.D, 0, "queue");
	m->queue_count = (size_t)s->queue_count;
	m->queue_next = (size_t)s->queue_next;
	get_history(r, m, s->applied);
	get_items(r, m, (size_t)s->items);
	if (s->attributed)
		get_attributes(r, m);
	if (s->ids)
		get_ids(r, ret_ids, (size_t)s->items, m->cfg.items_max);
	for (uint32_t i = 0; s->ids && !r->code && i < s->items; i++)
		if (!idmap_id(*ret_ids, i, &len))
			model_remove_item(m, i);
	get_end(r);
}

int model_file_config(struct model_config *ret, size_t *ret_items, const char *path, char *reason, size_t reason_len)
{
	struct model_config c;
	struct sizes s;
	struct reader r;

	if (!reader_open(&r, path, reason, reason_len) && !read_head(&r, &c, &s)) {
		*ret = c;
		*ret_items = (size_t)s.items;
	}
	reader_close(&r);
	return r.code;
}

int model_load(struct model **ret, struct idmap **ret_ids, const struct model_config *c, const char *path, char *reason, size_t reason_len)
{
	struct model_config file;
	struct model *m = NULL;
	struct idmap *ids = NULL;
	struct sizes s;
	struct reader r;
	int code;

	if (!reader_open(&r, path, reason, reason_len) && !read_head(&r, &file, &s) && !compare(&r, &file, c)) {
		code = model_new(&m, c);
		if (code)
			bad(&r, code, "the model cannot be made: %s", strerror(-code));
		else if (!check_sizes(&r, m, &s) && !open_payload(&r, s.payload))
			get_payload(&r, m, &ids, &s);
	}
	reader_close(&r);
	if (r.code) {
		model_free(m);
		idmap_free(ids);
		return r.code;
	}

	*ret = m;
	if (ret_ids)
		*ret_ids = ids;
	else
		idmap_free(ids);
	return 0;
}
