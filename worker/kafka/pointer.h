/* pointer.h - the one record that leads readers of a prefix to another model: key `pointer` in <prefix>.embeddings, value the prefix whose embeddings
 * are to be read instead (text); none, or null = those of this topic. Compaction keeps the newest. Readers follow it by
 * themselves (worker/reader); here it is written. Prints its errors; exit codes.
 */
#ifndef S4REC_KAFKA_POINTER_H
#define S4REC_KAFKA_POINTER_H
#include "worker/config.h"

/* Leads readers of `prefix` to the prefix `to`; NULL = back. */
int pointer_set(const struct config *c, const char *prefix, const char *to);
#endif
