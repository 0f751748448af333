/* rollback.c - `s4rec rollback FILE`: the weights of an exported model in place of those that a prefix has. `s4rec train` goes on from there.
 *
 * What a trainer does at its start, then one transaction: it takes the lead from a trainer that runs (who leaves with 75), restores and replays to the last
 * committed cut, and writes the state with the file's weights together with a cut that says so. Killed before that: nothing has changed.
 * The file is read first: one that does not fit must end nobody.
 */
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sysexits.h>

#include "model/kernel.h"
#include "worker/command.h"
#include "worker/config.h"
#include "worker/learn/loop.h"
#include "worker/learn/side.h"
#include "worker/log.h"
#include "worker/model_config.h"
#include "worker/model_file.h"

static int apply(const struct config *c, const struct model *m, const struct idmap *ids)
{
	static const volatile sig_atomic_t never;
	struct loop *w = NULL;
	int r = loop_new(&w, c);
	if (r == 0)
		r = loop_stand_by(w, &never);
	if (r == 0)
		r = loop_replay(w, &never);
	if (r == 0)
		r = loop_rollback(w, m, ids);
	loop_free(w);
	return r;
}

/* The replay writes the lines of scores that a killed trainer's has left out, since no later start folds those steps again. It makes no such file: it may
 * be another machine's, as the file of options may be. */
static void keep_if_there(char *path)
{
	struct stat st;
	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || access(path, W_OK) < 0)
		path[0] = '\0';
}

static int rollback(const struct config *c, const char *path)
{
	struct model_config mc = model_config_from(c, 1);
	struct model *m = NULL;
	struct idmap *ids = NULL;
	kernel_portable(c->kernel == 1);
	int r = model_file_load(&m, &ids, &mc, path);
	if (r == 0)
		r = apply(c, m, ids);
	idmap_free(ids);
	model_free(m);
	return r;
}

int command_rollback(int argc, char **argv)
{
	struct config c;
	int r = config_parse(&c, C_ROLLBACK, "s4rec rollback FILE [OPTION]...", "s4rec rollback good.s4rec --config train.properties", argc, argv);
	if (r)
		return r < 0 ? 0 : r;

	if (c.arg_count != 1) {
		log_error("name one FILE to read; see s4rec rollback --help");
		r = EX_USAGE;
	} else {
		c.from[0] = '\0';
		c.attempts_max = c.skip_batch = c.accept_gap = 0; /* a trainer's */
		c.take_over = 1; /* standbys wait until it is done */
		r = side_resolve(&c);
		keep_if_there(c.eval_out);
		keep_if_there(c.eval_windows);
		if (r == 0)
			r = rollback(&c, c.args[0]);
	}
	config_release(&c);
	return r;
}
