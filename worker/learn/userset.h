/* userset.h - counts the different users of a batch, by the 64-bit hash of their ids. Not thread-safe. */
#ifndef S4REC_USERSET_H
#define S4REC_USERSET_H
#include <stddef.h>

struct userset;
int userset_new(struct userset **ret, size_t users_max); /* -ENOMEM */
void userset_free(struct userset *s);
void userset_add(struct userset *s, const char *id, size_t len); /* at most users_max different ones between clears */
size_t userset_count(const struct userset *s);
void userset_clear(struct userset *s);
#endif
