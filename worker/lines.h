/* lines.h - lines of a plain or zstd-compressed file or of stdin, as they arrive. One thread per reader. */
#ifndef S4REC_LINES_H
#define S4REC_LINES_H
#include <stddef.h>
#include <stdint.h>

struct lines;
/* path "-" = stdin. -errno of open; -EISDIR; -ENOMEM. zstd is recognised by its first bytes. */
int lines_new(struct lines **ret, const char *path);
/* The next line without its newline (a carriage return before it stays: what it means is up to the format), valid until the
 * next call. 1 a line, 0 the end, -EINTR a signal came (call again or stop), -EBADMSG damaged zstd data, -EIO. Of a line over
 * 1 MB only the first 1 MB is handed out. */
int lines_next(struct lines *l, const char **ret, size_t *ret_len);
uint64_t lines_number(const struct lines *l); /* of the last line, from 1 */
void lines_free(struct lines *l);
#endif
