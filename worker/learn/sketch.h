/* sketch.h - how often was an id seen lately? A count-min sketch (Cormode, Muthukrishnan 2005) with conservative update (Estan, Varghese 2002), for
 * ids that have no row to count in: memory is fixed, an estimate is never below the truth, and above it only where four other ids share the id's cells.
 * After as many sightings as a row has cells all counts are halved, so that old ones fade and the table never fills. Part of the fold. Not
 * thread-safe.
 */
#ifndef S4REC_SKETCH_H
#define S4REC_SKETCH_H
#include <stddef.h>
#include <stdint.h>

#define SKETCH_ROWS 4
#define SKETCH_COUNT_MAX 255

struct sketch;
int sketch_new(struct sketch **ret, size_t cells); /* cells: of each row; -ENOMEM */
void sketch_free(struct sketch *s);
/* Counts one sighting; returns the estimate with it, at most SKETCH_COUNT_MAX. */
unsigned sketch_add(struct sketch *s, const char *id, size_t len);

/* Recovery: the cells as they lie in memory, and the sightings since the last halving. To be read or written. */
uint8_t *sketch_cells(struct sketch *s, size_t *ret_bytes, uint64_t **ret_added);
#endif
