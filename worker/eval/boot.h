/* boot.h - how sure totals are when the events of one user are alike: a bootstrap by user (Efron 1979; with Poisson weights: Hanley, MacGibbon 2006), so
 * that nothing but sums is kept, however long the stream.
 *
 * In each of BOOT_REPLICATES replicates a user counts as often as a draw from Poisson(1) says, with all of its events; each contestant has
 * the same draws, so differences between two of them are paired. Draws are a function of (seed, user, replicate). The interval is from the 2.5th to the 97.5th
 * of a hundred replicates; one that nobody is in knows nothing, and stands at either end. Not thread-safe.
 */
#ifndef S4REC_BOOT_H
#define S4REC_BOOT_H
#include "worker/eval/tally.h"

#define BOOT_REPLICATES 200

/* Figures of a contestant: HR at each cut, NDCG at each cut, MRR. */
enum { BOOT_HR, BOOT_NDCG = BOOT_HR + CUTS, BOOT_MRR = BOOT_NDCG + CUTS, BOOT_FIGURES };

struct boot;
int boot_new(struct boot **ret, size_t contestants, uint64_t seed); /* -ENOMEM */
void boot_free(struct boot *b);
/* An event of a user, who is known by a hash of its id; rank and splits as for board_add. */
void boot_add(struct boot *b, uint64_t user, unsigned splits, const uint32_t *rank);
/* 95 % interval of a figure's mean: BOOT_HR + cut, BOOT_NDCG + cut, BOOT_MRR. */
struct interval boot_interval(const struct boot *b, size_t contestant, enum split s, size_t figure);
/* The same of how far contestant 0 is above this one. */
struct interval boot_lead(const struct boot *b, size_t contestant, enum split s, size_t figure);
#endif
