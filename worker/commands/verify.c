/* verify.c - `s4rec verify`: does the state of a prefix follow from its log? Reads only: a worker goes on undisturbed. */
#include <sysexits.h>

#include "model/kernel.h"
#include "worker/command.h"
#include "worker/config.h"
#include "worker/learn/side.h"
#include "worker/learn/verify.h"
#include "worker/log.h"

int command_verify(int argc, char **argv)
{
	struct config c;
	int r = config_parse(&c, C_VERIFY, "s4rec verify [OPTION]...", "s4rec verify --config train.properties --wait 120", argc, argv);
	if (r)
		return r < 0 ? 0 : r;

	if (c.arg_count) {
		log_error("unexpected argument '%s'; see s4rec verify --help", c.args[0]);
		r = EX_USAGE;
	} else {
		c.eval_out[0] = c.eval_windows[0] = '\0'; /* of the trainer whose file of options this may be ... */
		c.eval_covisit = 0;
		c.accept_gap = 0;
		kernel_portable(c.kernel == 1);
		r = side_resolve(&c);
		if (r == 0)
			r = verify(&c);
	}
	config_release(&c);
	return r;
}
