/* ranks.c - see ranks.h */
#include "worker/eval/ranks.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "worker/log.h"

#define HEADER "step\tevent_id\tts_ms\trank_model\trank_popularity\trank_covisit\tuser_events\titem_events\thead\n"

struct ranks {
	FILE *f;
	char *path;
};

static int failed(const struct ranks *r)
{
	log_error("cannot write %s: %s (eval.out)", r->path, strerror(errno));
	return EX_IOERR;
}

int ranks_new(struct ranks **ret, const char *path)
{
	struct ranks *r = calloc(1, sizeof *r);
	if (!r || !(r->path = strdup(path))) {
		ranks_free(r);
		return EX_OSERR;
	}
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	r->f = fd < 0 ? NULL : fdopen(fd, "r+");
	if (!r->f) {
		log_error("cannot write %s: %s (eval.out)", path, strerror(errno));
		ranks_free(r);
		return EX_CANTCREAT;
	}
	*ret = r;
	return 0;
}

void ranks_free(struct ranks *r)
{
	if (!r)
		return;
	if (r->f)
		fclose(r->f); /* flushed by the last commit: what comes after it counts for nothing */
	free(r->path);
	free(r);
}

/* The place behind the last whole line of a step up to `step`, or behind the header. */
static int find_end(struct ranks *r, uint64_t step, off_t *ret)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n = getline(&line, &size, r->f);
	*ret = 0;
	if (n > 0 && strcmp(line, HEADER)) {
		log_error("%s is there and is something else: name another file, or remove it (eval.out)", r->path);
		free(line);
		return EX_DATAERR;
	}
	while (n > 0 && line[n - 1] == '\n' && (*ret == 0 || strtoumax(line, NULL, 10) <= step)) {
		*ret += n;
		n = getline(&line, &size, r->f);
	}
	free(line);
	return 0;
}

int ranks_resume(struct ranks *r, uint64_t step)
{
	struct stat st;
	off_t end;
	if (fstat(fileno(r->f), &st) < 0)
		return failed(r);
	if (!S_ISREG(st.st_mode)) { /* a pipe, a device: nothing to go back to */
		fputs(HEADER, r->f);
		return ranks_flush(r);
	}
	rewind(r->f);
	int code = find_end(r, step, &end);
	if (code)
		return code;
	if (step && end == 0)
		log_warn("%s begins at step %llu: it was not there before (eval.out)", r->path, (unsigned long long)step + 1);
	if (fseeko(r->f, end, SEEK_SET) < 0 || ftruncate(fileno(r->f), end) < 0)
		return failed(r);
	if (end == 0)
		fputs(HEADER, r->f);
	return ranks_flush(r);
}

/* Tabs and line ends would break the table. */
static void put_id(FILE *f, const char *id, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (id[i] == '\t' || id[i] == '\n' || id[i] == '\r' || id[i] == '\\')
			fprintf(f, "\\%c", id[i] == '\t' ? 't' : id[i] == '\n' ? 'n' : id[i] == '\r' ? 'r' : '\\');
		else
			fputc(id[i], f);
}

void ranks_add(struct ranks *r, uint64_t step, const char *event_id, size_t event_id_len, int64_t ts_ms, const uint32_t rank[METHODS],
               const struct ranks_about *about)
{
	fprintf(r->f, "%llu\t", (unsigned long long)step);
	put_id(r->f, event_id, event_id_len);
	fprintf(r->f, "\t%lld", (long long)ts_ms);
	for (int m = 0; m < METHODS; m++)
		if (rank[m] == UNRANKED)
			fputs("\tNA", r->f);
		else
			fprintf(r->f, "\t%u", rank[m]);
	fprintf(r->f, "\t%u\t%u\t%d\n", about->user_events, about->item_events, about->head);
}

int ranks_flush(struct ranks *r)
{
	return fflush(r->f) == 0 && !ferror(r->f) ? 0 : failed(r);
}
