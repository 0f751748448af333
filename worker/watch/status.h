/* status.h - a snapshot for people and for what supervises: one JSON object, and why the worker is not ready. Any thread. */
#ifndef S4REC_STATUS_H
#define S4REC_STATUS_H
#include <stdio.h>
#include "worker/watch/snapshot.h"

/* "ready", or what it does instead, as one line without its end. */
void status_readiness(char *ret, size_t size, const struct snapshot *s);
/* -ENOMEM */
int status_write(FILE *f, const struct snapshot *s);
int version_write(FILE *f);
#endif
