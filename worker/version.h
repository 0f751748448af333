/* version.h - of the program. */
#ifndef S4REC_VERSION_H
#define S4REC_VERSION_H
#ifndef S4REC_VERSION
#define S4REC_VERSION "0.1.0"
#endif
#endif
