/* main.c - s4rec: one binary, one subcommand per thing it does. */
#include "worker/command.h"
#include "worker/log.h"
#include "worker/nearest.h"
#include "worker/version.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{ "topics", command_topics, "create or check the topics" },
	{ "load", command_load, "write events from a file or stdin to the interactions topic" },
	{ "train", command_train, "the worker: learn from the interactions, publish the vectors" },
	{ "read", command_read, "follow or dump the embeddings topic" },
	{ "query", command_query, "nearest items, recommendations for a user" },
	{ "generate", command_generate, "a synthetic click stream with a known truth" },
	{ "eval", command_eval, "measure the model offline, by a protocol that others use too" },
	{ "export", command_export, "the model of a prefix as a file" },
	{ "import", command_import, "a new model from a file" },
	{ "forget", command_forget, "make the worker forget users" },
	{ "redrive", command_redrive, "dead letters once more to the input topic" },
	{ "promote", command_promote, "lead readers to another model of a prefix" },
	{ "rollback", command_rollback, "an exported model again, in place of the one that a prefix has" },
	{ "verify", command_verify, "an audit: folds the log again from one state of a prefix to the next, and compares" },
	{ "config", command_config, "print the effective configuration, secrets masked" },
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *f)
{
	fputs("usage: s4rec COMMAND [OPTION ...] [ARGUMENT ...]\n\n", f);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(f, "  %-10s %s\n", commands[i].name, commands[i].help);
	fputs("\n`s4rec COMMAND --help` lists the options of a command. Options may also stand in a .properties file\n"
	      "(--config FILE or S4REC_CONFIG) and in the environment (S4REC_BATCH_USERS for --batch.users).\n", f);
}

int main(int argc, char **argv)
{
	static char help[] = "--help";
	const char *nearest = NULL;
	size_t nearest_distance = 0;

	if (argc < 2) {
		usage(stderr);
		return EX_USAGE;
	}
	if (strcmp(argv[1], "help") == 0 && argc == 3) { /* `s4rec help train` is `s4rec train --help` */
		argv[1] = argv[2];
		argv[2] = help;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		usage(stdout);
		return EX_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("s4rec " S4REC_VERSION);
		return EX_OK;
	}

	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		size_t distance = edit_distance(argv[1], commands[i].name);

		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
		if (!nearest || distance < nearest_distance) {
			nearest = commands[i].name;
			nearest_distance = distance;
		}
	}
	if (edit_near(argv[1], nearest_distance))
		log_error("no command '%s'; the nearest is '%s' (s4rec --help lists all)", argv[1], nearest);
	else
		log_error("no command '%s'; s4rec --help lists all", argv[1]);
	return EX_USAGE;
}
