/* stream.h - `eval prequential`: a file of events, or the input topic as of now (source.h), through the learner of `train`, batches cut as cut=log
 * does, each ranked before it trains.
 *
 * The first eval.warmup of the events train, and choose the baselines' parameters; only what comes after them counts. Ranked are events of users
 * who have done something before, by all contestants alike, over all live items (eval.sample: a share of those events):
 *
 *     online    the learner as it stands
 *     nightly   trained from nothing at the last multiple of eval.retrain.ms of event time, eval.retrain.epochs passes over what was kept by
 *               then (retrain.h); 0 passes: not there
 *     snapshot  the online weights as of the same time: one pass over all events up to there, what an exporter that runs at night would serve
 *     frozen    the online weights as of the end of the warm-up
 *     and the baselines of baselines.h
 *
 * All models read the user's newest events; only their weights are of different ages. To an old model an item that has come since is a random
 * row (as admitted, without item.context). Splits: head and tail users (head: longer than the 80th percentile as of now), new users (their second
 * and third event; nothing ranks a first), cold items (younger than eval.cold.ms since their first event, which is itself one of these), rare items (the item's
 * first eval.cold.count events).
 */
#ifndef S4REC_STREAM_H
#define S4REC_STREAM_H
#include "worker/config.h"
#include "worker/eval/baselines.h"
#include "worker/eval/boot.h"
#include "worker/eval/tally.h"

enum { BY_ONLINE, BY_NIGHTLY, BY_SNAPSHOT, BY_FROZEN, MODELS, CONTESTANTS = MODELS + BASELINES };
extern const char *const contestant_name[CONTESTANTS];

struct stream_result {
	struct board *board;         /* (CONTESTANTS) */
	struct boot *boot;           /* ... the same events */
	uint64_t events;             /* folded */
	uint64_t bad_lines, refused;    /* no event; events that were late, double, or refused by a limit */
	uint64_t drifts;                /* that drift.h found, in loss and NDCG@20; the log says when */
	size_t users, items;
	int64_t half_life_ms, recent_ms, covisit_ms; /* chosen; covisit_ms 0: no decay */
	size_t K;
	uint32_t *members, *heads;   /* (K) users whose z is nearest to the prototype at the end, and head users among them */
};

/* path NULL: the input topic. 0 or an exit code; errors are logged. */
int stream_run(struct stream_result *ret, const struct config *c, const char *path);
void stream_result_release(struct stream_result *r);
#endif
