/* embedding_private.h - the JSON form of the rows, for embedding.c and embedding_encode.c. */
#ifndef S4REC_CODEC_EMBEDDING_PRIVATE_H
#define S4REC_CODEC_EMBEDDING_PRIVATE_H

#include "codec/embedding.h"

#define EMBEDDING_INT8_D_MAX 4096 /* the quantised row is made on the stack */

int embedding_check_finite(const float *x, size_t D); /* -ERANGE when a coordinate is not finite */

/* As their namesakes in embedding.h. decode: fills what the text names and leaves the rest. */
int embedding_json_encode(void *ret, size_t size, size_t *ret_len, const struct embedding *e);
int embedding_json_decode(struct embedding *ret, float *vec, size_t D_max, const void *buf, size_t len);
int version_json_encode(void *ret, size_t size, size_t *ret_len, const struct version *v);
int version_json_decode(struct version *ret, size_t offset_max, const void *buf, size_t len);

#endif
