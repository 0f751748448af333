/* interrupt.h - Ctrl-C and SIGTERM ask a command to end cleanly; the second one ends it at once. */
#ifndef S4REC_COMMANDS_INTERRUPT_H
#define S4REC_COMMANDS_INTERRUPT_H
/* From now on signals set a flag; blocking calls return EINTR. */
void interrupt_install(void);
int interrupt_seen(void);
#endif
