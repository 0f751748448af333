/* rows_private.h - what rows are made of, for rows.c and top.c. */
#ifndef S4REC_READER_ROWS_PRIVATE_H
#define S4REC_READER_ROWS_PRIVATE_H
#include "worker/reader/rows.h"

enum form { FORM_FLOAT, FORM_INT8 };

struct row {
	uint64_t version;
	int64_t event_time_ms;
	uint32_t number;     /* in the idmap */
	int32_t prototype;
	int32_t partition;
	uint32_t generation;
	uint32_t D;          /* 0 = its bytes could not be decoded */
	float scale;         /* of an int8 row, else 1 */
	float norm;          /* of the vector */
};

struct kind {
	struct idmap *ids;
	uint32_t *place;     /* (place_size) dense index of a row number */
	size_t place_size;
	struct row *rows;    /* (size), count of them in use */
	void *matrix;        /* (size, stride) float or int8_t when kept */
	size_t count, size;
};

struct rows {
	int keep;
	size_t D;            /* of the newest row; 0 = no row yet */
	size_t stride;       /* from row to row of a matrix: the widest that came */
	enum form form;
	size_t odd;          /* rows whose width is not D */
	uint64_t (*live)[ROW_VECTORS]; /* (partitions) */
	struct kind kinds[ROW_VECTORS];
};

float rows_norm(const float *x, size_t D);
#endif
