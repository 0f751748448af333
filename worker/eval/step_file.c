/* step_file.c - see step_file.h */
#include "worker/eval/step_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "model/file.h"
#include "worker/log.h"

struct step_file {
	FILE *f;
	char *path;
	const struct step_form *form;
};

static int failed(const struct step_file *s)
{
	log_error("cannot write %s: %s (%s)", s->path, strerror(errno), s->form->option);
	return EX_IOERR;
}

static FILE *open_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	return fd < 0 ? NULL : fdopen(fd, "r+");
}

int step_file_new(struct step_file **ret, const char *path, const struct step_form *form)
{
	struct step_file *s = calloc(1, sizeof *s);
	if (!s || !(s->path = strdup(path))) {
		step_file_free(s);
		return log_no_memory();
	}
	s->form = form;
	s->f = open_file(path);
	if (!s->f) {
		failed(s);
		step_file_free(s);
		return EX_CANTCREAT;
	}
	*ret = s;
	return 0;
}

void step_file_free(struct step_file *s)
{
	if (!s)
		return;
	if (s->f)
		fclose(s->f); /* flushed by the last commit: what comes after it counts for nothing */
	free(s->path);
	free(s);
}

static int is_foreign(const struct step_file *s, const char *first_line)
{
	const char *header = s->form->header, *before = s->form->before;
	return *header ? strcmp(first_line, header) != 0 : strncmp(first_line, before, strlen(before)) != 0;
}

/* A whole line of a step up to `step`. */
static int stays(const struct step_file *s, const char *line, ssize_t n, uint64_t step)
{
	size_t before = strlen(s->form->before);
	return line[n - 1] == '\n' && strncmp(line, s->form->before, before) == 0 && strtoumax(line + before, NULL, 10) <= step;
}

static int cannot_read(const struct step_file *s)
{
	log_error("cannot read %s: %s (%s)", s->path, strerror(errno), s->form->option);
	return EX_IOERR;
}

/* The place behind the last line that stays, or behind the header. What cannot be read may well be lines that stay. */
static int find_end(struct step_file *s, uint64_t step, off_t *ret)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n = getline(&line, &size, s->f);
	*ret = 0;
	if (n > 0 && is_foreign(s, line)) {
		log_error("%s is there and is something else: name another file, or remove it (%s)", s->path, s->form->option);
		free(line);
		return EX_DATAERR;
	}
	if (n > 0 && *s->form->header) {
		*ret = n;
		n = getline(&line, &size, s->f);
	}
	while (n > 0 && stays(s, line, n, step)) {
		*ret += n;
		n = getline(&line, &size, s->f);
	}
	int code = n < 0 && !feof(s->f) ? cannot_read(s) : 0;
	free(line);
	return code;
}

/* Under this name there may be another file since (renew), of a worker that led while this one stood by. */
static int reopen(struct step_file *s, struct stat *ret)
{
	FILE *f = open_file(s->path);
	if (!f)
		return failed(s);
	fclose(s->f);
	s->f = f;
	return fstat(fileno(f), ret) < 0 ? failed(s) : 0;
}

static int copy(int to, int from, off_t end)
{
	off_t at = 0;
	while (at < end)
		if (sendfile(to, from, &at, (size_t)(end - at)) <= 0)
			return -1;
	return 0;
}

/* A copy of the first end bytes, of the same owner, group and mode, under name (of mkstemp). NULL: errno. */
static FILE *copy_of(FILE *from, off_t end, const struct stat *st, char *name)
{
	int fd = mkostemp(name, O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r+");
	if (f && copy(fd, fileno(from), end) == 0 && fchown(fd, st->st_uid, st->st_gid) == 0 && fchmod(fd, st->st_mode & 07777) == 0 && fsync(fd) == 0)
		return f;
	int error = errno;
	if (fd >= 0)
		unlink(name);
	if (f)
		fclose(f);
	else if (fd >= 0)
		close(fd);
	errno = error;
	return NULL;
}

/* The lines that stay, as another file under the same name: whoever led before may only be stopped, with lines that it has not written yet, and would write
 * them where it stood. Where the folder takes no other file, or another owner's, the old one goes on. */
static void renew(struct step_file *s, off_t end, const struct stat *st)
{
	char *real = realpath(s->path, NULL), *name = NULL;
	if (real && asprintf(&name, "%s.~XXXXXX", real) < 0)
		name = NULL;
	FILE *f = name ? copy_of(s->f, end, st, name) : NULL;
	if (f && rename(name, real) == 0) {
		fclose(s->f);
		s->f = f;
		sync_folder(real);
	} else {
		log_warn("%s: goes on as it is, without a new file (%s): a trainer that led before and is only stopped might still write into it", s->path, strerror(errno));
		if (f) {
			unlink(name);
			fclose(f);
		}
	}
	free(real);
	free(name);
}

int step_file_resume(struct step_file *s, uint64_t step)
{
	struct stat st;
	off_t end;
	if (fstat(fileno(s->f), &st) < 0)
		return failed(s);
	if (!S_ISREG(st.st_mode)) { /* a pipe, a device: nothing to go back to */
		fputs(s->form->header, s->f);
		return step_file_flush(s);
	}
	int code = reopen(s, &st);
	if (code == 0)
		code = find_end(s, step, &end);
	if (code)
		return code;
	if (step && st.st_size == 0)
		log_warn("%s begins at step %llu: it was not there before (%s)", s->path, (unsigned long long)step + 1, s->form->option);
	if (st.st_size > 0)
		renew(s, end, &st);
	if (fseeko(s->f, end, SEEK_SET) < 0 || ftruncate(fileno(s->f), end) < 0)
		return failed(s);
	if (end == 0)
		fputs(s->form->header, s->f);
	return step_file_flush(s);
}

FILE *step_file(struct step_file *s)
{
	return s->f;
}

int step_file_flush(struct step_file *s)
{
	return fflush(s->f) == 0 && !ferror(s->f) ? 0 : failed(s);
}
