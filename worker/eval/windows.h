/* windows.h - the lines behind train's eval.windows: what the events of one commit scored, by window of event time, contestant and split (tally.h), as JSON. The
 * file is a step_file: its lines name the step of their commit.
 *
 *     {"step":128,"window_ms":1767225600000,"contestant":"online","split":"all","events":412,"mrr":0.19,"hr@5":[0.31,0.27,0.36], ...}
 *
 * Figures are [mean, low, high] over the events of the line. Lines add up: the mean of a window over several of them is theirs, weighed by `events`.
 * Contestants are the model and decayed popularity: what a restore brings back. Splits are those of eval prequential, but for cold
 * items, since nothing here keeps when an item was first seen.
 */
#ifndef S4REC_EVAL_WINDOWS_H
#define S4REC_EVAL_WINDOWS_H
#include <stdint.h>
#include "worker/eval/ranks.h"

#define WINDOWS_WAITING 64 /* windows that one line's commit may touch before what there is of it is written: late events may be of any time */

struct windows;
/* An item is rare during its first rare_count events. Prints its error; exit codes of step_file_new. */
int windows_new(struct windows **ret, const char *path, int64_t window_ms, uint32_t rare_count);
void windows_free(struct windows *w);
struct step_file *windows_file(struct windows *w); /* to resume and to flush */
/* A ranked event of this step. -ENOMEM */
int windows_add(struct windows *w, uint64_t step, int64_t ts_ms, const uint32_t rank[METHODS], const struct ranks_about *about);
/* The commit that ends with this step: writes what was added since the last one. */
void windows_commit(struct windows *w, uint64_t step);
#endif
