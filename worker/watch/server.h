/* server.h - answers GET and HEAD for what an exchange has, on a thread of its own (libmicrohttpd).
 *
 *     /metrics   for Prometheus            /livez   200 while the loop makes turns, 503 when it made none for alive_ms
 *     /status    JSON for people           /readyz  200 when the worker leads and learns what comes, else 503 and why
 *     /version   JSON
 *
 * No TLS, no password, nothing that can be changed: for loopback, or a network that is one's own.
 */
#ifndef S4REC_SERVER_H
#define S4REC_SERVER_H
#include "worker/watch/exchange.h"

#define SERVER_CONNECTIONS 64   /* at most, at once; who comes then waits */
#define SERVER_MEMORY 8192      /* bytes of a connection: a request line and its headers must fit */
#define SERVER_IDLE_S 10        /* a connection on which nothing comes for so long is closed */

struct server;
/* Listens at host:port ([::1]:port for IPv6, port 0: any that is free) and serves from here on. b is borrowed, and looked at by this server alone. Prints its errors, and where
 * it listens; exit code. */
int server_new(struct server **ret, const char *address, struct exchange *b, int64_t alive_ms);
void server_free(struct server *s);
/* The port that it got. */
int server_port(const struct server *s);
#endif
