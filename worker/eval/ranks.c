/* ranks.c - see ranks.h */
#include "worker/eval/ranks.h"

#include <stdio.h>

const struct step_form ranks_form = {
	.option = "eval.out",
	.header = "step\tevent_id\tts_ms\trank_model\trank_popularity\trank_covisit\tuser_events\titem_events\thead\n",
	.before = "",
};

/* Tabs and line ends would break the table. */
static void put_id(FILE *f, const char *id, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (id[i] == '\t' || id[i] == '\n' || id[i] == '\r' || id[i] == '\\')
			fprintf(f, "\\%c", id[i] == '\t' ? 't' : id[i] == '\n' ? 'n' : id[i] == '\r' ? 'r' : '\\');
		else
			fputc(id[i], f);
}

void ranks_add(struct step_file *s, uint64_t step, const char *event_id, size_t event_id_len, int64_t ts_ms, const uint32_t rank[METHODS],
               const struct ranks_about *about)
{
	FILE *f = step_file(s);

	fprintf(f, "%llu\t", (unsigned long long)step);
	put_id(f, event_id, event_id_len);
	fprintf(f, "\t%lld", (long long)ts_ms);
	for (int m = 0; m < METHODS; m++)
		if (rank[m] == UNRANKED)
			fputs("\tNA", f);
		else
			fprintf(f, "\t%u", rank[m]);
	fprintf(f, "\t%u\t%u\t%d\n", about->user_events, about->item_events, about->head);
}
