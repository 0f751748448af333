/* prequential.h - `s4rec eval prequential [FILE]`: runs worker/eval/stream.h, prints its table. Exit code; c is of C_STREAM. */
#ifndef S4REC_COMMAND_PREQUENTIAL_H
#define S4REC_COMMAND_PREQUENTIAL_H
#include "worker/config.h"

int eval_prequential(const struct config *c);
#endif
