/* windows.c - see windows.h */
#include "worker/eval/windows.h"

#include <stdlib.h>

#include "worker/eval/tally.h"
#include "worker/log.h"

static const struct step_form form = { .option = "eval.windows", .header = "", .before = "{\"step\":" };
static const char *const names[] = { "online", "decayed popularity" }; /* as eval prequential calls them */

struct windows {
	struct step_file *file;
	struct board *board; /* (names) since the last commit */
	uint32_t rare_count;
};

int windows_new(struct windows **ret, const char *path, int64_t window_ms, uint32_t rare_count)
{
	struct windows *w = calloc(1, sizeof *w);
	if (!w || board_new(&w->board, sizeof names / sizeof names[0], window_ms) < 0) {
		windows_free(w);
		return log_no_memory();
	}
	w->rare_count = rare_count;
	int code = step_file_new(&w->file, path, &form);
	if (code) {
		windows_free(w);
		return code;
	}
	*ret = w;
	return 0;
}

void windows_free(struct windows *w)
{
	if (!w)
		return;
	step_file_free(w->file);
	board_free(w->board);
	free(w);
}

struct step_file *windows_file(struct windows *w)
{
	return w->file;
}

int windows_add(struct windows *w, uint64_t step, int64_t ts_ms, const uint32_t rank[METHODS], const struct ranks_about *about)
{
	if (board_windows(w->board) >= WINDOWS_WAITING) /* of the fold alone, so a replay does it in the same place */
		windows_commit(w, step);
	return board_add(w->board, ts_ms, tally_splits(about->head, about->user_events, about->item_events <= w->rare_count), rank);
}

void windows_commit(struct windows *w, uint64_t step)
{
	board_write(w->board, step_file(w->file), names, step);
	board_clear(w->board);
}
