/* tally.h - ranks summed into HR, NDCG and MRR with 95 % intervals, by window of event time, contestant and split. Plain data; not thread-safe. */
#ifndef S4REC_TALLY_H
#define S4REC_TALLY_H
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "worker/eval/loo.h" /* CUTS, loo_cut */

struct tally {
	uint64_t n;
	uint64_t hits[CUTS];
	double ndcg[CUTS], ndcg_squares[CUTS], mrr; /* sums */
};
struct interval { double low, high; };

/* rank from 0; UNRANKED (prequential.h) is a miss that counts. */
void tally_add(struct tally *t, uint32_t rank);
void tally_sum(struct tally *t, const struct tally *other);
double tally_hr(const struct tally *t, size_t cut); /* 0 when nothing was added, as all means */
double tally_ndcg(const struct tally *t, size_t cut);
double tally_mrr(const struct tally *t);
/* Wilson's score interval of a share (Wilson 1927); 0 to 1 when n is 0. */
struct interval wilson(uint64_t hits, uint64_t n);
/* Mean -+ 1.96 standard errors. Events of one user are not independent: take it as a lower bound of what is unsure; boot.h is for totals. */
struct interval tally_ndcg_interval(const struct tally *t, size_t cut);

enum split { SPLIT_ALL, SPLIT_HEAD, SPLIT_TAIL, SPLIT_NEW, SPLIT_COLD, SPLIT_RARE, SPLITS };
extern const char *const split_name[SPLITS];
/* Bits 1 << enum split of an event: by a head user, the user's event of this number (from 1), on an item that is rare. */
unsigned tally_splits(int head, uint32_t user_events, int rare);

struct board;
/* Windows of so many ms of event time. -ENOMEM */
int board_new(struct board **ret, size_t contestants, int64_t window_ms);
void board_free(struct board *b);
/* rank (contestants), NOT_THERE: that contestant has no part in it; splits: bits 1 << enum split. -ENOMEM; -ENOSPC: more than BOARD_WINDOWS_MAX windows. */
#define BOARD_WINDOWS_MAX 100000
#define NOT_THERE (UINT32_MAX - 1)
int board_add(struct board *b, int64_t ts_ms, unsigned splits, const uint32_t *rank);
size_t board_windows(const struct board *b); /* those that hold anything, in the order of time */
int64_t board_window_ms(const struct board *b, size_t window); /* where it begins */
const struct tally *board_tally(const struct board *b, size_t window, size_t contestant, enum split s);
void board_clear(struct board *b);
/* A JSON line for each window, contestant and split with events; figures are [mean, low, high]. names (contestants). step: its first member; 0 = none. */
void board_write(const struct board *b, FILE *f, const char *const *names, uint64_t step);
struct tally board_total(const struct board *b, size_t contestant, enum split s);
#endif
