/* side.h - a model beside the one that a prefix has: another fold of the same input, under a model id of its own.
 *
 * <prefix>.batches says whose the prefix is. Who asks for another model.id gets <prefix>.<model.id> as its prefix, the prefix's input as its input, and
 * <group.id>.<model.id> as its group: topics, transactional ids, lead and position of its own, so that both models work at the same time; eval.out and
 * eval.windows likewise, since one file of options may serve both models and a new one begins these files anew. Readers of the
 * prefix are led there by one record, once somebody has said so (`s4rec promote`, kafka/pointer.h).
 */
#ifndef S4REC_SIDE_H
#define S4REC_SIDE_H
#include "worker/config.h"

/* Makes *c the configuration of the model that it names. Prints its errors; exit code. */
int side_resolve(struct config *c);
/* The prefix of a model beside the one of `prefix`. Returned owned; NULL: out of memory. */
char *side_prefix(const char *prefix, const char *model_id);
#endif
