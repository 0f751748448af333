/* redrive.h - what `s4rec redrive` is told: which dead letters, and values in place of theirs. No Kafka in here. */
#ifndef S4REC_COMMANDS_REDRIVE_H
#define S4REC_COMMANDS_REDRIVE_H
#include <stddef.h>
#include <stdint.h>

/* "0:17,1:200-299" holds that place? text as places_check has passed it; "" holds all. */
int places_hold(const char *text, int64_t partition, int64_t offset);
/* 0 or -EINVAL */
int places_check(const char *text);

/* Values from a file: lines of PARTITION:OFFSET, a blank, the value. */
struct repairs;
struct repair { int64_t partition, offset; const char *value; size_t len; int used; };
/* Prints its errors; exit code. */
int repairs_new(struct repairs **ret, const char *path);
void repairs_free(struct repairs *r);
/* NULL: none for that place. */
struct repair *repairs_find(const struct repairs *r, int64_t partition, int64_t offset);
size_t repairs_unused(const struct repairs *r);
#endif
