/* lines.c - see lines.h. Bytes go file -> raw -> (zstd) -> text; lines are cut from text. */
#include "worker/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define RAW_SIZE (256 * 1024)
#define LINE_MAX_BYTES (1024 * 1024)
#define TEXT_SIZE (2 * LINE_MAX_BYTES)

struct lines {
	int fd;
	char *raw, *text;
	size_t raw_at, raw_len;
	size_t text_at, text_len, scanned; /* text[text_at .. scanned) has no newline */
	ZSTD_DStream *zstd;                /* NULL = plain */
	size_t zstd_hint;                  /* 0 = a frame is complete */
	int started, eof;
	int swallow;                       /* the rest of a line that was handed out cut */
	uint64_t number;
};

int lines_new(struct lines **ret, const char *path)
{
	struct lines *l = calloc(1, sizeof *l);
	struct stat st;

	if (l == NULL)
		return -ENOMEM;
	l->fd = -1;
	l->raw = malloc(RAW_SIZE);
	l->text = malloc(TEXT_SIZE);
	if (l->raw == NULL || l->text == NULL) {
		lines_free(l);
		return -ENOMEM;
	}
	l->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (l->fd < 0 || fstat(l->fd, &st) < 0 || S_ISDIR(st.st_mode)) { /* a folder can be opened, and not be read */
		int r = l->fd < 0 ? -errno : -EISDIR;

		lines_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

void lines_free(struct lines *l)
{
	if (l == NULL)
		return;
	if (l->fd > STDERR_FILENO)
		close(l->fd);
	ZSTD_freeDStream(l->zstd);
	free(l->raw);
	free(l->text);
	free(l);
}

/* More bytes behind what is in raw. 1, 0 at the end, -EINTR, -EIO. */
static int raw_fill(struct lines *l)
{
	ssize_t n;

	if (l->raw_at == l->raw_len)
		l->raw_at = l->raw_len = 0;
	n = read(l->fd, l->raw + l->raw_len, RAW_SIZE - l->raw_len);
	if (n < 0)
		return errno == EINTR ? -EINTR : -EIO;
	l->raw_len += (size_t)n;
	return n > 0;
}

/* The first four bytes tell plain text from zstd. */
static int start(struct lines *l)
{
	static const unsigned char magic[4] = { 0x28, 0xb5, 0x2f, 0xfd };
	int r = 1;

	while (l->raw_len < 4 && r > 0 && (l->raw_len == 0 || memcmp(l->raw, magic, l->raw_len) == 0))
		r = raw_fill(l);
	if (r < 0)
		return r;
	l->started = 1;
	if (l->raw_len >= 4 && memcmp(l->raw, magic, 4) == 0) {
		l->zstd = ZSTD_createDStream();
		if (l->zstd == NULL)
			return -ENOMEM;
	}
	return 0;
}

/* More text. 1 some came, 0 the end. */
static int text_fill(struct lines *l)
{
	int r;

	if (l->text_at > 0 && TEXT_SIZE - l->text_len < RAW_SIZE) {
		memmove(l->text, l->text + l->text_at, l->text_len - l->text_at);
		l->scanned -= l->text_at;
		l->text_len -= l->text_at;
		l->text_at = 0;
	}
	for (;;) {
		ZSTD_outBuffer out = { l->text + l->text_len, TEXT_SIZE - l->text_len, 0 };
		ZSTD_inBuffer in = { l->raw + l->raw_at, l->raw_len - l->raw_at, 0 };

		if (l->zstd == NULL) {
			if (in.size == 0) {
				r = raw_fill(l);
				if (r <= 0)
					return r;
				in = (ZSTD_inBuffer){ l->raw + l->raw_at, l->raw_len - l->raw_at, 0 };
			}
			in.pos = out.pos = in.size < out.size ? in.size : out.size;
			memcpy(out.dst, in.src, in.pos);
		} else if (in.size || l->zstd_hint) { /* a complete frame and no input: asking would begin another frame */
			l->zstd_hint = ZSTD_decompressStream(l->zstd, &out, &in);
			if (ZSTD_isError(l->zstd_hint))
				return -EBADMSG;
		}
		l->raw_at += in.pos;
		l->text_len += out.pos;
		if (out.pos)
			return 1;
		if (l->raw_at == l->raw_len) {
			size_t hint = l->zstd_hint;

			r = raw_fill(l);
			if (r == 0 && hint)
				return -EBADMSG; /* the file ends inside a frame */
			if (r <= 0)
				return r;
		}
	}
}

int lines_next(struct lines *l, const char **ret, size_t *ret_len)
{
	char *nl;
	int r;

	if (!l->started) {
		r = start(l);
		if (r < 0)
			return r;
	}
	for (;;) {
		nl = memchr(l->text + l->scanned, '\n', l->text_len - l->scanned);
		l->scanned = nl ? (size_t)(nl - l->text) : l->text_len;
		if (nl || l->scanned - l->text_at >= LINE_MAX_BYTES || (l->eof && l->scanned > l->text_at)) {
			int rest = l->swallow;

			*ret = l->text + l->text_at;
			*ret_len = l->scanned - l->text_at < LINE_MAX_BYTES ? l->scanned - l->text_at : LINE_MAX_BYTES;
			l->swallow = nl == NULL && !l->eof;
			l->text_at = l->scanned = l->scanned + (nl != NULL);
			if (rest)
				continue;
			l->number++;
			return 1;
		}
		if (l->eof)
			return 0;
		r = text_fill(l);
		if (r < 0)
			return r;
		l->eof = r == 0;
	}
}

uint64_t lines_number(const struct lines *l)
{
	return l->number;
}
