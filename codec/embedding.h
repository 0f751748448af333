/* embedding.h - rows out: vectors and version records, as structs and as bytes of the embeddings topic.
 * Sources of the formats: topics/embedding.proto. No hidden state: any thread may call.
 */
#ifndef S4REC_CODEC_EMBEDDING_H
#define S4REC_CODEC_EMBEDDING_H

#include <stddef.h>
#include <stdint.h>

enum embedding_format { EMBEDDING_FLOAT32, EMBEDDING_INT8, EMBEDDING_JSON };
enum row_kind { ROW_ITEM, ROW_USER, ROW_PROTOTYPE, ROW_MODEL, ROW_KINDS };

struct embedding {
	const float *vector; /* (D); decode: points into the caller's buffer */
	size_t D;
	const int8_t *int8;  /* decode: where the bytes are of the int8 format, its coordinates in them, each to be multiplied by scale; else NULL */
	float scale;
	uint64_t version;
	int64_t event_time_ms;
	uint32_t generation;
	int32_t prototype;   /* -1 = none */
};

struct version {
	uint64_t version, step;
	char model_id[64], space_id[64], numeric_id[64];
	int64_t watermark_ms, published_ms;
	int64_t *offsets;    /* (offset_count) borrowed on encode; on decode points into caller's buffer, see below */
	size_t offset_count;
	int32_t partition;
	uint64_t items, users, prototypes;             /* in this partition */
	uint64_t total_items, total_users, total_prototypes;
	uint64_t oldest_user_steps;
	uint32_t dimension;
	int64_t freshness_p50_ms, freshness_p99_ms;
	int held;
	char held_why[64];
	uint64_t gaps, gap_base, gap_step; /* topics/embedding.proto */
};

/* Encodes; *ret_len = bytes needed, also with -ENOSPC. int8: scale = max|x| / 127, so the largest error is scale / 2.
 * -ERANGE when a coordinate is not finite. */
int embedding_encode(void *ret, size_t size, size_t *ret_len, enum embedding_format f, const struct embedding *e);

/* Decodes any of the three formats (they tell themselves apart by the first byte: '{' is JSON).
 * Writes the coordinates to vec (at most D_max). -EBADMSG, -E2BIG. */
int embedding_decode(struct embedding *ret, float *vec, size_t D_max, const void *buf, size_t len);

/* The vector that readers will see after quantisation: out = decode(encode(x)). float32 and JSON: a copy. */
void embedding_roundtrip(float *out, const float *x, size_t D, enum embedding_format f);

int version_encode(void *ret, size_t size, size_t *ret_len, enum embedding_format f, const struct version *v);
/* offsets (offset_max) receives the offsets. */
int version_decode(struct version *ret, int64_t *offsets, size_t offset_max, const void *buf, size_t len);

/* The key that leads readers to another model: topics/embedding.proto. No key of a row. */
#define POINTER_KEY "pointer"

/* Keys: "item/<id>", "user/<id>", "prototype/<k>", "model". ret is not NUL-terminated. -ENOSPC. */
int row_key(char *ret, size_t size, size_t *ret_len, enum row_kind kind, const char *id, size_t id_len);
/* *ret_id points into key. -EBADMSG for a key of no known kind. */
int row_key_parse(enum row_kind *ret_kind, const char **ret_id, size_t *ret_id_len, const void *key, size_t len);

/* The partition of a key, as Java's default partitioner and librdkafka's murmur2_random choose it
 * (positive murmur2 modulo count), so that every client agrees. */
int32_t partition_of(const void *key, size_t len, int32_t partition_count);

#endif
