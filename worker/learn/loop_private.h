/* loop_private.h - the inside of struct loop, for loop.c, standby.c, replay.c, gap.c and verify.c. */
#ifndef S4REC_LOOP_PRIVATE_H
#define S4REC_LOOP_PRIVATE_H
#include "worker/clock.h"
#include "worker/kafka/committer.h"
#include "worker/kafka/election.h"
#include "worker/learn/cutlog.h"
#include "worker/learn/input.h"
#include "worker/learn/learner.h"
#include "worker/learn/loop.h"
#include "worker/learn/progress.h"
#include "worker/learn/show.h"
#include "worker/learn/userset.h"
#include "worker/state/state.h"

#define POLL_MS 50
#define CUTS_MAX 1024 /* steps in one commit at most */
#define SILENCE_S 30  /* what must come, but does not for so long, is given up */

#define BATCH_IGNORED_MAX 65536 /* records that are ignored end a batch, too: they wait in memory for its cut, and a topic may hold little else */

struct loop {
	const struct config *cfg;
	int whole_log;              /* batches by the log alone */
	int partitions;             /* of the input */
	int embedding_partitions;
	char input_topic[TOPIC_NAME_MAX];
	char run_id[64];
	struct input *input;
	struct forgets *forgets;    /* what the input must not hand out; NULL = all of it counts */
	struct learner *learner;
	struct election *election;  /* NULL until the state was read */
	struct committer *committer; /* NULL until this worker leads */
	struct state *state;
	struct staged *staged;      /* what the next commit sends, as far as it is known */
	int64_t *until;             /* (partitions) where --until lies, or NULL */
	const int64_t *goal;        /* until, own_goal, or NULL = live (backfill.h) */
	int64_t *own_goal;          /* (partitions) the end that the input had */

	struct record_list *batch;  /* (partitions) the batch being filled */
	size_t batch_records, batch_ignored; /* the second are among the first, and take no room of batch.events */
	size_t batch_events;        /* of the others: those of a record, one of what is refused or forgets */
	int64_t batch_since_ms;     /* monotonic time of its first record */
	struct userset *batch_users;

	struct cut cuts[CUTS_MAX];  /* since the last commit */
	int64_t *cut_offsets;       /* (CUTS_MAX, partitions) */
	size_t cut_n;
	int64_t *position;          /* (partitions) next offsets after the last commit; what was read may be ahead of it */
	uint64_t version;           /* of the last commit */
	int64_t commit_ms;          /* monotonic time of the last commit */
	uint64_t submitted;         /* commits handed to the committer */
	int gap;                    /* input behind the state is gone, and that is accepted: cuts are passed over, up to loop_pass_gap */
	int attempted;              /* the batches topic says that this start trains */
	uint64_t flush_commit;      /* the one that the flush under way describes; 0 = one of an earlier run, which the replay has come to */
	int64_t replayed_offset;    /* where the last cut of that one stands in the batches topic */
	int64_t flush_ms;           /* monotonic time at which the last flush began, or this start */
	int foreign_state;          /* another kind of machine has computed the state, though maybe not the last cut (--accept.numerics) */
	int republish;              /* the next commit's cut says that all rows are due */
	uint64_t scored;            /* lines of scores up to this step are those of the state that was found */
	int said_held;              /* the log says that publishing is held */
	struct progress *progress;
	struct show show;           /* what of this is shown (show.h) */
};

/* loop.c: the batch being filled; as step `step`, with out NULL silently; its end as a cut of the next commit. */
void batch_add(struct loop *w, struct record *r, int64_t now_ms);
void batch_clear(struct loop *w); /* after its records were taken */
int fold(struct loop *w, uint64_t step, int skip, struct staged *out, struct train_result *ret);
void note_cut(struct loop *w, uint64_t step, const struct train_result *t);
/* loop.c: is it time for a flush, and is none under way; begins one of all that is folded: just after a commit, before anything else is folded. */
int flush_due(const struct loop *w);
int begin_flush(struct loop *w);
/* loop.c: where the commit that the flush under way describes has put its last cut; -1 while it has not returned. */
int64_t flush_cut_offset(struct loop *w);
/* replay.c: where --until ends; whether the newest committed cut, if there is one, is of a model that this worker can go on with. Exit codes. */
int loop_set_until(struct loop *w);
int loop_check_model(struct loop *w);
/* replay.c: keeps from the fold what its learner was made without (scanned); once the state was read. */
int loop_filter(struct loop *w);
/* standby.c: a new learner in place of one whose state does not add up; 75 when this worker does not lead any more. Exit codes. */
int loop_read_anew(struct loop *w);
int loop_check_lead(struct loop *w);
/* replay.c: is the cut one of these topics? And folds it again, silently. Exit codes. */
int check_cut(const struct loop *w, const struct cut *c);
int replay_cut(struct loop *w, const struct cut *c, const volatile sig_atomic_t *stop);
/* gap.c: all that was committed behind the state of step `base` stays lost; the fold goes on behind the last cut. Exit code. */
int loop_pass_gap(struct loop *w, uint64_t base, const struct cut *last);
#endif
