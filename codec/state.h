/* state.h - rows of the state topic as structs and as bytes (topics/state.proto). Written and read by hand (wire.h): a restore reads
 * a million of them. Floats are copied as they are. Any thread.
 */
#ifndef S4REC_CODEC_STATE_H
#define S4REC_CODEC_STATE_H

#include <stddef.h>
#include <stdint.h>

struct item_state {
	uint32_t row;
	const float *values;    /* (values_n); decoded: points into the caller's room */
	size_t values_n;
	uint64_t row_step;
	const float *published; /* (published_n) or none */
	size_t published_n;
	uint64_t published_step;
	int64_t event_time_ms;
	double popularity;
	uint32_t events;
	uint32_t attributes[4];
	size_t attributes_n;    /* none, or 4 */
};

struct user_state {
	uint32_t row;
	const uint32_t *items;  /* (n) oldest first */
	const float *weights;   /* (n) */
	const uint32_t *before_ms; /* (n) */
	const uint64_t *ids;    /* (n) */
	size_t n;
	uint32_t events;
	int64_t newest_ms;
	int published;
	uint64_t encoded_step;
	int waiting;
	float loss;
	uint32_t attributes[4];
	size_t attributes_n;    /* none, or 4 */
};

/* The numbers of a manifest: field number, name. All are varints; times are signed. */
#define MANIFEST_NUMBERS(X) \
	X(5, step) X(6, version) X(7, flush) X(8, config_hash) X(9, items) X(10, users) X(11, dense) X(12, item_hash) X(13, user_hash) \
	X(14, dense_hash) X(15, item_rows) X(16, user_rows) X(17, events) X(18, dead_letters) X(19, recent_records) X(20, recent_refused) \
	X(21, items_published) X(22, users_published) X(23, watermark_ms) X(24, published_step) X(25, sweep) X(26, queue_count) \
	X(27, queue_next) X(28, recent_n) X(29, recent_next) X(30, prequential_count) X(31, popularity_started) X(32, popularity_origin_ms) \
	X(33, embedding_partitions) X(34, applied) X(35, limited) X(36, item_slice) X(37, self_hash) X(38, space) X(39, republish) \
	X(41, gaps) X(42, gap_base) X(43, gap_step) X(44, duplicates) X(45, late) X(46, clamped) X(47, unadmitted) X(48, sketch_added) X(49, expired_items) \
	X(50, expired_users) X(51, item_checked_ms) X(52, user_checked_ms) \
	X(70, from_hash) X(71, catching_up) X(80, format)

/* Of all records of a state topic. Raised when an older program would take them for something else. */
#define STATE_FORMAT 1

struct manifest {
	char model_id[64], run_id[64], numeric_id[64];
	int64_t *offsets; /* (partitions) */
	size_t partitions;
	const char *config; /* (config_len) borrowed; decoded: points into the bytes */
	size_t config_len;
#define MANIFEST_MEMBER(field, name) uint64_t name;
	MANIFEST_NUMBERS(MANIFEST_MEMBER)
#undef MANIFEST_MEMBER
};

/* Bytes that an encoding takes at most. */
#define ITEM_STATE_BYTES(values_n, published_n) (128 + 4 * ((values_n) + (published_n)))
#define USER_STATE_BYTES(n) (96 + 22 * (n))
#define MANIFEST_BYTES(partitions, config_len) (1024 + 10 * (partitions) + (config_len))

/* 0, or -ENOSPC. */
int item_state_encode(void *ret, size_t size, size_t *ret_len, const struct item_state *s);
int user_state_encode(void *ret, size_t size, size_t *ret_len, const struct user_state *s);
int dense_state_encode(void *ret, size_t size, size_t *ret_len, const void *data, size_t data_len);
int manifest_encode(void *ret, size_t size, size_t *ret_len, const struct manifest *m);

/* 0, -EBADMSG not a valid row, -E2BIG the caller's room is too small. room: floats for values and published together, and for
 * users (n_max) of each. */
int item_state_decode(struct item_state *ret, float *room, size_t room_n, const void *buf, size_t len);
struct user_room { uint32_t *items; float *weights; uint32_t *before_ms; uint64_t *ids; size_t n_max; };
int user_state_decode(struct user_state *ret, const struct user_room *room, const void *buf, size_t len);
/* *ret_data points into buf. */
int dense_state_decode(const void **ret_data, size_t *ret_data_len, const void *buf, size_t len);
int manifest_decode(struct manifest *ret, int64_t *offsets, size_t partitions_max, const void *buf, size_t len);

#endif
