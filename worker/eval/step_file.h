/* step_file.h - a text file whose lines belong to steps of the fold, in their order: what eval.out and eval.windows name. Like the model it is a function
 * of the log: a run that goes on from step n first drops the lines of later steps, which it will write again. Not thread-safe.
 * Known: nothing fences a file. A worker that was stopped amid a turn and woken after another one on its machine took over writes the lines of that turn, before
 * it finds out, into what the other has written meanwhile, where both name one file. (A copy under a new name at each start would keep it out, and
 * read and write all of the file each time.)
 */
#ifndef S4REC_EVAL_STEP_FILE_H
#define S4REC_EVAL_STEP_FILE_H
#include <stdint.h>
#include <stdio.h>

/* What lines look like, and what messages call the file; literals. */
struct step_form {
	const char *option;
	const char *header; /* the first line, with its end; "" = none */
	const char *before; /* what stands before the step, a decimal number, in all other lines */
};

struct step_file;
/* Opens or makes the file, changes nothing in it; borrows form. Prints its error; EX_CANTCREAT, EX_OSERR. */
int step_file_new(struct step_file **ret, const char *path, const struct step_form *form);
void step_file_free(struct step_file *s);
/* Keeps the lines up to step (0: none), and goes on behind them. EX_IOERR; EX_DATAERR when the file is something else. */
int step_file_resume(struct step_file *s, uint64_t step);
/* Where lines go. */
FILE *step_file(struct step_file *s);
/* What was written reaches the file. EX_IOERR. */
int step_file_flush(struct step_file *s);
#endif
