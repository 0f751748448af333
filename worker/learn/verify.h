/* verify.h - an audit: folds a piece of the log again, from one state of a prefix to a later one, and compares what comes out with what the
 * worker wrote. Reads only: no right to write is needed, no worker is disturbed. */
#ifndef S4REC_VERIFY_H
#define S4REC_VERIFY_H
#include "worker/config.h"

/* Prints one line of what was compared to stdout. Exit code: 0 equal, EX_DATAERR (65) different, EX_UNAVAILABLE (69) there is nothing to compare
 * with (yet), EX_CONFIG (78) other options, or another kind of machine. */
int verify(const struct config *c);
#endif
