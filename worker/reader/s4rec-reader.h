/* s4rec-reader.h - the vectors that s4rec publishes, in the memory of a service and up to date.
 *
 * A reader reads <prefix>.embeddings from its beginning (no group, read_committed), keeps the last row of each key, and then follows. It serves a view
 * when that is complete: every partition was read to the end that it had, and holds the rows that its version record counts. From then on a
 * transaction's rows are taken partition by partition, all of them at once. A new view is built beside the one that is served, and takes its place when it is
 * complete, where vectors stop being comparable (space_id), where readers are led to another model (`s4rec promote`), and where something is missing: a
 * reader that was away for longer than the topic keeps its deletes has rows too many, and its counts do not fit.
 *
 *     struct s4rec_reader_options o = { .bootstrap_servers = "kafka:9092" };
 *     struct s4rec_reader *r;
 *     if (s4rec_reader_open(&r, &o) == 0 && s4rec_reader_bootstrap(r, NULL, NULL) == 0) {
 *             float user[s4rec_reader_dimension(r)];
 *             size_t i = s4rec_reader_find(r, S4REC_USER, "anna", 4), n;
 *             if (i != SIZE_MAX) {
 *                     struct s4rec_hit hits[10];
 *                     s4rec_reader_get(r, S4REC_USER, i, NULL, user);
 *                     s4rec_reader_top(r, &(struct s4rec_query){ .vector = user, .kind = S4REC_ITEM }, hits, 10, &n);
 *             }
 *     }
 *     while (...) s4rec_reader_poll(r, 100);
 *     s4rec_reader_close(r);
 *
 * What a score means: a user wants items by the dot product; items are near each other by the cosine.
 * Memory: a row takes 4 bytes a coordinate, in a topic of int8 rows 1, and some 120 bytes with its id; a view that is built beside another one
 * takes the same again; a transaction that is not whole yet 256 MB at most (a larger one is read as a new view).
 * Threads: one at a time. A reader has no thread of its own that calls back, but for S4REC_DEBUG.
 * Errors: 0 or a negative errno; the text goes to `log`.
 *     -EINVAL a setting is refused   -EHOSTUNREACH no broker answers   -ENOENT there is no such topic   -EACCES a right is denied
 *     -EIO a record cannot be read   -ENOMEM                           -EAGAIN the view is not complete
 * After an error of s4rec_reader_poll the view that was served is served on; the next call tries again, from the beginning of the topic.
 */
#ifndef S4REC_READER_H
#define S4REC_READER_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define S4REC_API __attribute__((visibility("default")))

enum s4rec_kind { S4REC_ITEM, S4REC_USER, S4REC_PROTOTYPE };
enum s4rec_score { S4REC_DOT, S4REC_COSINE };
enum s4rec_log { S4REC_ERROR, S4REC_WARNING, S4REC_INFO, S4REC_DEBUG };

/* A row, as topics/embedding.proto has it. */
struct s4rec_row {
	enum s4rec_kind kind;
	const char *id;        /* (id_len) UTF-8, no NUL behind it */
	size_t id_len;
	const float *vector;   /* (dimension); NULL: the row was deleted, and what follows is 0 */
	size_t dimension;
	uint64_t version;      /* of the commit that published it */
	int64_t event_time_ms;
	uint32_t generation;
	int32_t prototype;     /* -1 = none */
};

/* A version record: what a transaction says about itself, per partition. */
struct s4rec_version {
	uint64_t version, step;
	char model_id[64], space_id[64], numeric_id[64];
	int64_t watermark_ms, published_ms, freshness_p50_ms, freshness_p99_ms;
	const int64_t *offsets; /* (offset_count) of the input; only in an event */
	size_t offset_count;
	int32_t partition;
	uint64_t items, users, prototypes; /* in this partition */
	uint64_t total_items, total_users, total_prototypes;
	uint64_t oldest_user_steps, gaps, gap_base, gap_step;
	uint32_t dimension;
	int held;               /* newer rows are kept back: the model has become worse than popularity; those that you have are the better ones */
	char held_why[64];
};

/* What a callback is told, in this order:
 *     S4REC_BUILD     a view is begun, of `topic`, since `why`: the rows from here on are its rows; begin an index for them
 *     S4REC_ROW       a row has come, changed or gone (vector NULL; also one that was never there); of one partition in the order of its log
 *     S4REC_VERSION   the rows that the version record counts were told
 *     S4REC_COMPLETE  the view is complete and served: the index that was begun takes the place of the one before; changes go on in it
 * What it points to lives during the call. A callback must not call a function of the reader. */
enum s4rec_event_type { S4REC_BUILD, S4REC_ROW, S4REC_VERSION, S4REC_COMPLETE };
struct s4rec_event {
	enum s4rec_event_type type;
	const char *topic, *why;              /* S4REC_BUILD */
	const struct s4rec_row *row;          /* S4REC_ROW */
	const struct s4rec_version *version;  /* S4REC_VERSION */
};

struct s4rec_reader_options {
	const char *bootstrap_servers;   /* host:port,... */
	const char *prefix;              /* NULL = "s4rec" */
	int stay;                        /* 1: this prefix's own model, wherever others are led */
	int count_only;                  /* 1: keeps no vectors; there is nothing to search in then */
	int timeout_ms;                  /* how long a broker is waited for before there is an error; 0 = 10000 */
	char *const *kafka;              /* librdkafka's own keys and their values, in turn: security.protocol, ... */
	size_t kafka_count;              /* pairs */
	void (*on_event)(void *ctx, const struct s4rec_event *e); /* NULL = none */
	void (*log)(void *ctx, enum s4rec_log level, const char *text); /* a line, without its end; S4REC_DEBUG (key debug) from any thread. NULL = errors and warnings to stderr */
	void *ctx;
};

struct s4rec_reader;

/* Copies the options; connects; where it is led to is read. Blocks for some seconds at most while there is a broker, some times timeout_ms while there is none. */
S4REC_API int s4rec_reader_open(struct s4rec_reader **ret, const struct s4rec_reader_options *o);
S4REC_API void s4rec_reader_close(struct s4rec_reader *r); /* NULL is fine */

/* Takes what has come; waits for the first record for timeout_ms at most. Beginning a new view blocks as s4rec_reader_open does. */
S4REC_API int s4rec_reader_poll(struct s4rec_reader *r, int timeout_ms);
/* Polls until a view is served. 0; -EAGAIN at the end of the topic when the view is still not complete a second later (s4rec_reader_missing
 * tells why), or when `stop` (NULL = never), which is asked ten times a second, has returned something else than 0. */
S4REC_API int s4rec_reader_bootstrap(struct s4rec_reader *r, int (*stop)(void *ctx), void *ctx);

/* 1: a complete view is served. */
S4REC_API int s4rec_reader_ready(const struct s4rec_reader *r);
/* What the view that is being built lacks, as a text; empty when none is. */
S4REC_API void s4rec_reader_missing(const struct s4rec_reader *r, char *ret, size_t size);
/* The version that all partitions have shown, of the view that is served (before there is one: of what was read); 0 = none. *ret (NULL = not
 * asked for) is the newest version record of it. */
S4REC_API uint64_t s4rec_reader_version(const struct s4rec_reader *r, const struct s4rec_version **ret);
/* 1: the end that the topic had when the view was begun is reached. *ret_records (NULL = not asked for): records that were read so far. */
S4REC_API int s4rec_reader_progress(const struct s4rec_reader *r, uint64_t *ret_records);

/* The rows of the view that is served; before there is one, of what was read. Indices hold until the next poll. */
S4REC_API size_t s4rec_reader_count(const struct s4rec_reader *r, enum s4rec_kind kind);
S4REC_API size_t s4rec_reader_dimension(const struct s4rec_reader *r);
S4REC_API size_t s4rec_reader_find(const struct s4rec_reader *r, enum s4rec_kind kind, const char *id, size_t id_len); /* SIZE_MAX = not there */
/* Row i of a kind. *ret (NULL = not asked for) but for its vector, which is copied to `vector` (dimension; NULL = not asked for), and which ret then points to. */
S4REC_API void s4rec_reader_get(const struct s4rec_reader *r, enum s4rec_kind kind, size_t i, struct s4rec_row *ret, float *vector);

struct s4rec_query {
	const float *vector;      /* (dimension) borrowed */
	enum s4rec_kind kind;     /* among the rows of this kind */
	enum s4rec_score score;   /* with a vector of zeros every cosine is 0 */
	int (*accept)(void *ctx, const char *id, size_t id_len, int32_t prototype); /* 0: not this one. Asked only for those that would be among the best; NULL = all */
	void *ctx;
};
struct s4rec_hit {
	float score;
	const char *id;           /* (id_len) until the next poll */
	size_t id_len, i;         /* i: the row */
};
/* The k best rows, exactly, best first, equal scores by the bytes of their ids, to hits (k); *ret_count how many there are. -EINVAL with count_only. */
S4REC_API int s4rec_reader_top(const struct s4rec_reader *r, const struct s4rec_query *q, struct s4rec_hit *hits, size_t k, size_t *ret_count);

#ifdef __cplusplus
}
#endif
#endif
