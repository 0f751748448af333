/* idmap.h - string ids outside, dense row numbers inside. Rows are given in the order of first sight, from 0; a removed
 * row is given again (lowest first) only after idmap_reuse. Not thread-safe.
 */
#ifndef S4REC_IDMAP_H
#define S4REC_IDMAP_H
#include <stddef.h>
#include <stdint.h>

struct idmap;
int idmap_new(struct idmap **ret, size_t rows_max); /* -ENOMEM */
void idmap_free(struct idmap *x);
size_t idmap_count(const struct idmap *x);          /* live ids */
size_t idmap_rows(const struct idmap *x);           /* highest row ever given + 1 */
int idmap_room(const struct idmap *x, size_t limit); /* 1 = with a further id no more than limit rows would be taken; the map's own limit is idmap_intern's to say */
/* Row of an id or UINT32_MAX. */
uint32_t idmap_find(const struct idmap *x, const char *id, size_t len);
/* Finds or adds; *ret_new tells. -ENOSPC at rows_max, -ENOMEM. */
int idmap_intern(struct idmap *x, uint32_t *ret_row, int *ret_new, const char *id, size_t len);
/* The id of a live row; NULL for a removed one. *ret_len. Valid until the next change. */
const char *idmap_id(const struct idmap *x, uint32_t row, size_t *ret_len);
/* Forgets the id; the row stays out of use until idmap_reuse(row). */
void idmap_remove(struct idmap *x, uint32_t row);
void idmap_reuse(struct idmap *x, uint32_t row);

/* A map as it was (recovery): ids are put into their rows in any order, then sealed. -EEXIST when the id has another row or the row
 * another id, -ENOSPC at rows_max, -ENOMEM. */
int idmap_place(struct idmap *x, uint32_t row, const char *id, size_t len);
/* rows: as idmap_rows said then; every row without an id is free from now on. -EINVAL when an id stands beyond. */
int idmap_seal(struct idmap *x, size_t rows);
#endif
