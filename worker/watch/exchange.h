/* exchange.h - hands snapshots from one thread to one other; neither ever waits.
 *
 * Three places: the writer fills one, the reader looks at another, the third lies between them and has the newest that is complete. To publish, and to look, is
 * to exchange one's own place for that one, atomically. One writer thread, one reader thread.
 *
 *     exchange_publish(b, &now);                  the loop, at a turn that changed something
 *     const struct snapshot *s = exchange_look(b);   the server, at each request
 */
#ifndef S4REC_EXCHANGE_H
#define S4REC_EXCHANGE_H
#include "worker/watch/snapshot.h"

struct exchange;
int exchange_new(struct exchange **ret, const struct snapshot *first); /* -ENOMEM */
void exchange_free(struct exchange *b);
void exchange_publish(struct exchange *b, const struct snapshot *s);
/* The newest; stays as it is until the reader looks again. */
const struct snapshot *exchange_look(struct exchange *b);
/* A sign of life of the writer, and how long the last one is ago. Any thread. */
void exchange_beat(struct exchange *b);
int64_t exchange_silence_ms(struct exchange *b);
#endif
