/* watch.h - a worker as others see it: the snapshot that its loop keeps up to date, the exchange that it goes through, and the server that answers from there.
 *
 * One per process, made before Kafka is connected, so that a start that waits for a broker can be looked at, too. All functions but watch_new take NULL (http.listen is
 * not set) and do nothing then. All on the loop's thread, which never waits for a request.
 */
#ifndef S4REC_WATCH_H
#define S4REC_WATCH_H
#include "worker/config.h"
#include "worker/watch/snapshot.h"

struct watch;
/* Serves from here on when http.listen is set; else *ret is NULL. Exit code. */
int watch_new(struct watch **ret, const struct config *c);
void watch_free(struct watch *w);
/* What the next publication shows, to be brought up to date; NULL without a watch. */
struct snapshot *watch_now(struct watch *w);
void watch_publish(struct watch *w);
/* A phase begins, and is published at once. */
void watch_phase(struct watch *w, enum phase phase);
/* The loop makes turns: /livez asks for nothing else. */
void watch_beat(struct watch *w);
/* A stage took so long. */
void watch_stage(struct watch *w, enum stage stage, int64_t us);
#endif
