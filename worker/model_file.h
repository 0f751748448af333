/* model_file.h - files of model/file.h as commands meet them: what goes wrong is logged, once, and becomes an exit code. Any thread. */
#ifndef S4REC_MODEL_FILE_H
#define S4REC_MODEL_FILE_H
#include "model/file.h"

/* Could a file be made there? Asked before hours of work; leaves no trace. EX_CANTCREAT (73). */
int model_file_check(const char *path);
/* EX_CANTCREAT (73) cannot be made, EX_IOERR (74) cannot be written whole. */
int model_file_save(const char *path, const struct model *m, const struct idmap *ids);
/* EX_NOINPUT (66) cannot be read, EX_DATAERR (65) not a model file or damaged, EX_CONFIG (78) of another configuration. Both returned owned; a
 * file without the items' ids is refused (65): nobody could tell which item a row is. */
int model_file_load(struct model **ret, struct idmap **ret_ids, const struct model_config *c, const char *path);
#endif
