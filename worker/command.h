/* command.h - the subcommands. Each parses its own command line (argv[0] is its name) and returns an exit code of sysexits. */
#ifndef S4REC_COMMAND_H
#define S4REC_COMMAND_H
#include "worker/config.h"
int command_topics(int argc, char **argv);
int command_load(int argc, char **argv);
int command_train(int argc, char **argv);
int train_start(struct config *c); /* train.c: what `train` does with its configuration; exit code */
int command_read(int argc, char **argv);
int command_query(int argc, char **argv);
int command_generate(int argc, char **argv);
int command_eval(int argc, char **argv);
int command_export(int argc, char **argv);
int command_import(int argc, char **argv);
int command_rollback(int argc, char **argv);
int command_forget(int argc, char **argv);
int command_redrive(int argc, char **argv);
int command_promote(int argc, char **argv);
int command_verify(int argc, char **argv);
int command_config(int argc, char **argv);
#endif
