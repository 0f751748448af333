/* config.h - every option of s4rec, from one table (options.def): parsing, --help, `s4rec config` and the docs come from it.
 *
 * Sources, later ones win: defaults, what --preset stands for, the .properties file (--config FILE or S4REC_CONFIG), the environment (S4REC_ + name
 * in capitals, '.' as '_': S4REC_BATCH_USERS), the command line (--batch.users 256 or --batch-users=256, and the letters).
 * Keys kafka.* go verbatim to librdkafka (-X name=value on the command line). Unknown keys and values outside their range
 * are errors that name the key, the value, the range and the nearest name.
 */
#ifndef S4REC_CONFIG_H
#define S4REC_CONFIG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_type { OPT_INT, OPT_FLOAT, OPT_BOOL, OPT_STRING, OPT_ENUM };
/* Which commands take an option: bits. */
enum { C_TOPICS = 1, C_LOAD = 2, C_TRAIN = 4, C_READ = 8, C_QUERY = 16, C_GENERATE = 32, C_CONFIG = 64, C_EVAL = 256,
       C_EXPORT = 512, C_IMPORT = 1024, C_ROLLBACK = 2048, C_VERIFY = 4096, C_FORGET = 8192, C_PROMOTE = 16384, C_STREAM = 32768, /* eval prequential */ C_REDRIVE = 65536,
       C_FILES = C_EXPORT | C_IMPORT | C_ROLLBACK | C_VERIFY, C_KAFKA = C_TOPICS | C_LOAD | C_TRAIN | C_READ | C_QUERY | C_FORGET | C_PROMOTE | C_STREAM | C_REDRIVE | C_FILES };

/* Words of the option schedule. AUTO is never seen after config_parse, but by `s4rec config`. */
enum { SCHEDULE_CONSTANT, SCHEDULE_COSINE, SCHEDULE_AUTO };

/* One member per row of options.def; names with '.' become '_': "batch.users" is cfg->batch_users.
 * INT is int64_t, FLOAT double, BOOL int, STRING char * (owned, never NULL), ENUM int (index into its words). */
struct config {
#define OPT(name, member, letter, type, dflt, min, max, words, unit, fold, commands, help) OPT_MEMBER_##type(member)
#define OPT_MEMBER_INT(m) int64_t m;
#define OPT_MEMBER_FLOAT(m) double m;
#define OPT_MEMBER_BOOL(m) int m;
#define OPT_MEMBER_STRING(m) char *m;
#define OPT_MEMBER_ENUM(m) int m;
#include "worker/options.def"
#undef OPT
	char **kafka;        /* name, value, name, value ...; owned */
	size_t kafka_count;  /* pairs */
	char **args;         /* what is left of the command line */
	size_t arg_count;
};

/* Parses everything for one command (bit). Prints an error itself and returns the exit code of sysexits: 0, EX_USAGE (64),
 * EX_CONFIG (78), EX_NOINPUT (66). Returns -1 when --help was asked for and printed. */
int config_parse(struct config *c, unsigned command, const char *usage, const char *example, int argc, char **argv);
void config_release(struct config *c);
/* Puts a text option in place of what it was; value is owned from here on. NULL: out of memory, which is said; EX_OSERR then, else 0. */
int config_own(char **option, char *value);

/* Gives an option that shapes the model another value, from text, by the rules of a command line, and looks whether it fits the others; not one whose value is a
 * text. 0 or an exit code; errors are logged. */
int config_vary(struct config *c, unsigned command, const char *name, const char *value);
/* The value of an option that there is, as text in buf. */
const char *config_value(char *buf, size_t size, const struct config *c, const char *name);

/* The effective configuration as a .properties file; values of kafka.* keys that hold secrets are masked. */
void config_print(const struct config *c, FILE *f);
/* Only what one command takes. */
void config_print_of(const struct config *c, unsigned command, FILE *f);

/* FNV-1a hash over name=value of all options marked fold: two runs with equal hashes fold a log alike. */
uint64_t config_fold_hash(const struct config *c);
/* What is hashed: a line name=value for each of them. Returned owned; NULL: out of memory. */
char *config_fold_text(const struct config *c);
/* What is another value in c than in such a text, as "tau1=0.1 (now 0.2), ..."; cut short where it does not fit. */
void config_fold_changes(const struct config *c, const char *text, size_t text_len, char *ret, size_t size);

#endif
