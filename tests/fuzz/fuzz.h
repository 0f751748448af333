/* fuzz.h - what the fuzz targets share. */
#ifndef S4REC_TESTS_FUZZ_H
#define S4REC_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A check that survives release builds. */
#define MUST(x)                                                       \
	do {                                                              \
		if (!(x)) {                                                   \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);   \
			abort();                                                  \
		}                                                             \
	} while (0)

#endif
