/* config.c - `s4rec config`: what the other commands would run with, as a .properties file. */
#include "worker/command.h"
#include "worker/config.h"
#include "worker/log.h"

#include <inttypes.h>
#include <sysexits.h>

int command_config(int argc, char **argv)
{
	struct config c;
	int r = config_parse(&c, C_CONFIG, "s4rec config [OPTION ...]",
	                     "s4rec config --config s4rec.properties > effective.properties", argc, argv);

	if (r != 0)
		return r < 0 ? EX_OK : r;

	if (c.arg_count > 0) {
		log_error("s4rec config: unexpected argument '%s'", c.args[0]);
		config_release(&c);
		return EX_USAGE;
	}
	config_print(&c, stdout);
	printf("# hash of the options that the model depends on: %016" PRIx64 "\n", config_fold_hash(&c));
	config_release(&c);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}
