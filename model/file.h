/* file.h - a whole model as one file: configuration, dense tensors, item rows, their moments, the history of applications, the queue of z,
 * and the items' ids. A model that was loaded trains on with the bits of the one that was saved. Little-endian machines only.
 *
 *     magic "S4RECMDL", u32 version, u32 bytes of the text
 *     text: lines "name value": configuration by name, then sizes
 *     u64 XXH3 of all before
 *     one zstd frame, with content size and checksum, to the end of the file:
 *         dense w, m, v  (floats of a block each; tensors in the order of tensors.h)
 *         queue (queue, D) floats
 *         history: u64 steps (n), then float rates (n), oldest first
 *         item rows (N, floats of a row), u32 application of each row (N)
 *         where items_attributed is 1: u16 attributes of each row (N, ATTRIBUTES_MAX)
 *         ids, when there are any: for each row u32 length and the bytes; length 0xffffffff = this row is no item (model_remove_item)
 *
 * Written to "<path>.tmp", fsync, rename, fsync of the folder: a crash leaves the old file or the new one. One writer a path.
 * Reading trusts nothing: every size is held against the configuration and its limits before memory is taken, and what was read is handed out
 * only when checksum, end of file and the values themselves (finite, in range) are right.
 *
 * All functions: 0 or negative errno, and then a text in reason: what, in which file, in words for a person.
 *   -EBADMSG  not a model file, cut short, or damaged      -EPROTO  a version that this program does not know
 *   -EINVAL   another configuration: the text names the first difference, "width is 64 in the file, 128 here"
 *   -ENOSPC   more items than items_max                    -ENOMEM, and what open, write, fsync, rename say
 */
#ifndef S4REC_FILE_H
#define S4REC_FILE_H
#include "model/idmap.h"
#include "model/model.h"

#define MODEL_FILE_VERSION 1
#define MODEL_FILE_ID_MAX 65535 /* bytes of an id */

/* ids: row i of the map is item i, and it has as many rows as the model has items; NULL = without. Between steps. */
int model_save(const char *path, const struct model *m, const struct idmap *ids, char *reason, size_t reason_len);

/* The configuration in a file. What a file does not tell is 0: threads, items_max, batch_users_max, batch_tokens_max. *ret_items: its items. */
int model_file_config(struct model_config *ret, size_t *ret_items, const char *path, char *reason, size_t reason_len);

/* A model made with c from a file. Must agree: what gives tensors their shape and meaning, and what moves rows that are away (loss form, Adam).
 * May differ: what only future steps depend on (dropout, views, temperatures, weights of losses, negatives, clip, seed).
 * ret_ids: the items' ids, at most items_max; NULL = not asked for; *ret_ids NULL = the file has none. Both returned owned. */
int model_load(struct model **ret, struct idmap **ret_ids, const struct model_config *c, const char *path, char *reason, size_t reason_len);
/* The folder of path outlives the machine as it is now, such as the name that a rename has given there. 0 or -errno. */
int sync_folder(const char *path);
#endif
