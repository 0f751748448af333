/* election.h - which worker of a model trains: the member of group <group.id>-trainer to whom the one partition of <prefix>.batches is assigned.
 * Nothing is read from it and nothing committed; only the membership counts.
 *
 *     WAITING --the partition is ours, or nobody before us lives--> LEADING --given to another, or not heard of in time--> LOST (the process ends)
 *
 * The range assignor gives a single partition to the member whose id sorts first, and a member id begins with the client.id, which begins with a
 * number here. A joining worker takes one above the highest number that it finds in the group, so the oldest member leads and one that joins
 * never takes the lead; with take.over it takes one below the lowest. (With the sticky assignor a joiner would not disturb either, but nobody
 * could take over: the partition that the old leader gives up might go to any standby.)
 *
 * A member that was killed stays in the group until election.timeout.ms have passed. Who can see that all members before it are dead (their
 * processes were on this machine, and are gone) leads at once, and goes on leading should the group give the partition to one
 * of the dead first: a worker without a standby is back without that wait. With take.over a leader that
 * does not let go is waited for as long, then no longer.
 *
 * This is about who tries; what makes two trainers harmless is the transactional id, by which the one that starts later fences the other (txn.h).
 * Known: who was stopped (SIGSTOP) for longer than the timeout while the group had not given it the partition (a standby, or a leader whose join was not
 * through, since dead members are waited for) joins again by itself, under its old number, and may take the lead over once, though only to end (a
 * leader) or to work (a standby): the one who led ends with 75, and is started again.
 * Source: KIP-62 (timeouts), KIP-394 (member ids). Not thread-safe.
 */
#ifndef S4REC_ELECTION_H
#define S4REC_ELECTION_H
#include "worker/config.h"

enum election_role { ELECTION_WAITING, ELECTION_LEADING, ELECTION_LOST };

struct election;
/* Begins to join; does not wait for it. Prints its errors; exit code, as all functions here that return int. */
int election_new(struct election **ret, const struct config *c);
/* Leaves the group, so that a standby need not wait for a timeout: to be called when nothing is left to commit. Takes some
 * 10 ms; while no broker answers, as long as election.timeout.ms. */
void election_free(struct election *e);
/* Serves the group, waits at most timeout_ms for news. To be called every ten minutes at least, or every election.timeout.ms where that is longer (the
 * client's max.poll.interval.ms): who does not is taken for stuck and leaves the group, heartbeats or not. So a turn of the loop that lasts longer,
 * such as the commit that publishes all rows of a very large model, costs the lead, with a standby or without: the worker ends with 75 when
 * that turn is over, and the next start begins the turn anew. election.timeout.ms must be above what such a turn takes. */
int election_poll(struct election *e, int timeout_ms, enum election_role *ret);
#endif
