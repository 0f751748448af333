/* restart.h - a parent that starts the worker again where that helps (`train --restart`).
 *
 * To be called while the process has one thread: the worker is forked. It gets its own process group, so that a Ctrl-C reaches the parent
 * alone, which passes SIGTERM and SIGINT on; should the parent die, the worker is asked to stop.
 */
#ifndef S4REC_COMMANDS_RESTART_H
#define S4REC_COMMANDS_RESTART_H
/* Runs `worker` in a child until it ends in a way that starting again does not mend, or until a signal asked for the end. first: 1 in the first
 * child, 0 in later ones. Signals are blocked when it is called: it has to install its handlers, then restart_unblock. Returns the last exit code
 * (128 + n after signal n). */
typedef int restart_worker(void *ctx, int first);
int restart_run(restart_worker *worker, void *ctx);
void restart_unblock(void);
/* 1 when a worker that ended so may be started again: killed by a signal, or no broker (69), our own error or the system's (70, 71), fenced or
 * an unknown outcome (75). wait_status: as of waitpid. */
int restart_helps(int wait_status);
/* How long to wait after a run of run_ms, when the wait before was last_ms (0 = none yet): 1 s, doubled up to 30 s, 1 s again after a minute. */
int restart_backoff_ms(int last_ms, long run_ms);
#endif
