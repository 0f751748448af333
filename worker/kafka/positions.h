/* positions.h - places in the input topic, as --from and --until name them, and what lies between two of them. Times are those of Kafka's records
 * (what an index knows), not of the events in them. Functions that return int return exit codes and print their errors, unless said otherwise.
 *
 *     beginning | end | committed        committed: of group.id (of a model beside another one: of that one's group)
 *     2026-01-01T00:00:00Z               the first record that is not older, by partition
 *     7d, 12h, 30m, 45s, 500ms           so long before the newest record of all
 *     0:1200,2:77                        offsets by partition; partitions that are not named: their beginning (--from) or end (--until)
 */
#ifndef S4REC_KAFKA_POSITIONS_H
#define S4REC_KAFKA_POSITIONS_H
#include "worker/kafka/client.h"

enum position_kind { POSITION_BEGINNING, POSITION_END, POSITION_COMMITTED, POSITION_TIME, POSITION_BEFORE_END, POSITION_OFFSETS };

struct position {
	enum position_kind kind;
	int64_t ms;           /* TIME: since the epoch; BEFORE_END: how long */
	const char *offsets;  /* OFFSETS: borrowed, well formed */
};

int position_parse(struct position *ret, const char *text); /* 0 or -EINVAL; says nothing */
/* What an OFFSETS text says of a partition; -1 = nothing. */
int64_t position_offset(const char *offsets, int partition);

/* Offsets (partitions) of a place, which position_parse knows; none lies outside of the topic. option: the one that named it, "from" or "until". */
int positions_resolve(const struct config *c, const char *option, const char *text, int partitions, int64_t *ret);
/* Record times (partitions) of the first record at or behind `from` and of the last one before `until`; -1 = none was found. */
int positions_times(const struct config *c, int partitions, const int64_t *from, const int64_t *until, int64_t *ret_first_ms, int64_t *ret_last_ms);
#endif
