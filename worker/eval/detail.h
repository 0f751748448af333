/* detail.h - what a trained model looks like beyond its means: prototypes and who belongs to them, how good it is by length.
 *
 * Plain data, made once from the chosen epoch's weights; see loo_run.
 */
#ifndef S4REC_DETAIL_H
#define S4REC_DETAIL_H
#include <stddef.h>
#include <stdint.h>

#include "model/model.h"

struct questions;

enum { LENGTH_BINS = 10 };
extern const size_t length_bin_from[LENGTH_BINS]; /* the shortest length of each bin */

struct loo_detail {
	size_t users, head_users;
	size_t K;
	uint32_t *members, *heads;     /* (K) users, and head users, whose z (of the newest L inputs) is nearest to the prototype */
	size_t bin_users[LENGTH_BINS]; /* by all inputs, not only the newest L */
	double bin_ndcg20[LENGTH_BINS];
};

/* rows (q->n, 20): the answers that were given to q. 0 or -ENOMEM. */
int loo_detail_new(struct loo_detail *ret, struct model *m, const struct questions *q, const uint32_t *rows);
void loo_detail_release(struct loo_detail *d);
/* How far head users are from being spread evenly: root of the mean over users of (share of head users in the user's prototype - their share of all)^2. */
double loo_head_spread(const struct loo_detail *d);
#endif
