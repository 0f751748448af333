/* model_file.c - see model_file.h */
#include "worker/model_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "worker/log.h"

#define REASON_MAX 4600 /* a path and a sentence */

static int cannot_make(const char *path, int code)
{
	log_error("%s cannot be made: %s", path, strerror(code));
	return EX_CANTCREAT;
}

int model_file_check(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	struct stat st;
	int code;
	if (!folder)
		return log_no_memory();
	code = access(folder, W_OK | X_OK) < 0 ? errno : 0; /* the file is made beside its name, then renamed */
	if (!code && stat(folder, &st) == 0 && !S_ISDIR(st.st_mode))
		code = ENOTDIR;
	if (!code && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		code = EISDIR;
	free(folder);
	return code ? cannot_make(path, code) : 0;
}

int model_file_save(const char *path, const struct model *m, const struct idmap *ids)
{
	char reason[REASON_MAX];
	int r = model_save(path, m, ids, reason, sizeof reason);
	if (r == 0)
		return 0;
	log_error("%s", reason);
	switch (-r) {
	case ENOMEM:
		return EX_OSERR;
	case EINVAL:
		return EX_SOFTWARE;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
	case EIO:
		return EX_IOERR;
	default:
		return EX_CANTCREAT;
	}
}

static int load_failed(int r, const char *reason)
{
	switch (-r) {
	case EINVAL:
		log_error("%s: set the options as they were when it was made", reason);
		return EX_CONFIG;
	case ENOSPC:
		log_error("%s: raise max.items", reason);
		return EX_CONFIG;
	case EBADMSG:
	case EPROTO:
		log_error("%s", reason);
		return EX_DATAERR;
	case ENOMEM:
		log_error("%s", reason);
		return EX_OSERR;
	default:
		log_error("%s", reason);
		return EX_NOINPUT;
	}
}

int model_file_load(struct model **ret, struct idmap **ret_ids, const struct model_config *c, const char *path)
{
	char reason[REASON_MAX];
	struct idmap *ids;
	struct model *m;
	int r = model_load(&m, &ids, c, path, reason, sizeof reason);
	if (r < 0)
		return load_failed(r, reason);

	size_t named = ids ? idmap_count(ids) : 0;
	if (named != model_live_items(m)) {
		log_error("%s: %zu of its %zu items have no id", path, model_live_items(m) - named, model_live_items(m));
		idmap_free(ids);
		model_free(m);
		return EX_DATAERR;
	}
	*ret = m;
	*ret_ids = ids;
	return 0;
}
