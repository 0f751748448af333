/* source.h - what `eval prequential` reads, as records in the order of the fold: a file of events in its own order, or the input topic from its beginning to the
 * end that it had at the start, partitions merged by event time as `train --until end` merges them. Not thread-safe.
 */
#ifndef S4REC_EVAL_SOURCE_H
#define S4REC_EVAL_SOURCE_H
#include "worker/config.h"
#include "worker/learn/record.h"

struct source;
/* path NULL: the input topic. Prints its error; exit code. */
int source_new(struct source **ret, const struct config *c, const char *path);
void source_free(struct source *s); /* after all its records */
/* Events and bad lines of the file, or offsets of the topic: as good as events, but for markers of transactions. */
uint64_t source_size(const struct source *s);
/* The next record, of partition 0, the caller's; *ret NULL: the end. Exit code. */
int source_next(struct source *s, struct record **ret);
uint64_t source_read(const struct source *s); /* of source_size, so far */
uint64_t source_bad_lines(const struct source *s);
#endif
