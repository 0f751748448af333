/* server.c - see server.h. Reading order: server_new, answer. */
#include "worker/watch/server.h"

#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "worker/log.h"
#include "worker/watch/metrics.h"
#include "worker/watch/status.h"

#define BACKLOG 64
#define TEXT "text/plain; charset=utf-8"
#define JSON "application/json"

struct server {
	struct MHD_Daemon *daemon;
	struct exchange *exchange;
	int64_t alive_ms;
	int port;
};

/* ---- pages: each writes its body and returns the HTTP status, 0 = out of memory ---- */

static unsigned metrics_page(const struct server *s, FILE *f)
{
	metrics_write(f, exchange_look(s->exchange));
	return MHD_HTTP_OK;
}

static unsigned live_page(const struct server *s, FILE *f)
{
	int64_t silence_ms = exchange_silence_ms(s->exchange);
	if (silence_ms < s->alive_ms) {
		fputs("alive\n", f);
		return MHD_HTTP_OK;
	}
	fprintf(f, "no turn of the loop for %" PRId64 " s\n", silence_ms / 1000);
	return MHD_HTTP_SERVICE_UNAVAILABLE;
}

static unsigned ready_page(const struct server *s, FILE *f)
{
	const struct snapshot *now = exchange_look(s->exchange);
	char why[160];
	status_readiness(why, sizeof why, now);
	fprintf(f, "%s\n", why);
	return now->phase == PHASE_LIVE ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static unsigned status_page(const struct server *s, FILE *f)
{
	return status_write(f, exchange_look(s->exchange)) < 0 ? 0 : MHD_HTTP_OK;
}

static unsigned version_page(const struct server *s, FILE *f)
{
	return version_write(f) < 0 ? 0 : MHD_HTTP_OK;
}

static const struct page {
	const char *path, *type;
	unsigned (*write)(const struct server *s, FILE *f);
} pages[] = {
	{ "/metrics", "text/plain; version=0.0.4; charset=utf-8", metrics_page },
	{ "/livez", TEXT, live_page },
	{ "/readyz", TEXT, ready_page },
	{ "/status", JSON, status_page },
	{ "/version", JSON, version_page },
};

static unsigned no_page(const struct server *s, FILE *f)
{
	fputs("there are:", f);
	for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
		fprintf(f, " %s", pages[i].path);
	fputc('\n', f);
	return MHD_HTTP_NOT_FOUND;
}

static unsigned no_method(const struct server *s, FILE *f)
{
	fputs("only GET and HEAD, without a body\n", f);
	return MHD_HTTP_METHOD_NOT_ALLOWED;
}

static const struct page not_found = { .type = TEXT, .write = no_page }, not_allowed = { .type = TEXT, .write = no_method };

static const struct page *find_page(const char *path)
{
	for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
		if (strcmp(pages[i].path, path) == 0)
			return &pages[i];
	return &not_found;
}

/* ---- one request ---- */

/* MHD_NO closes the connection, which is all that is left without memory. */
static enum MHD_Result send_page(const struct server *s, struct MHD_Connection *c, const struct page *page)
{
	char *body = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&body, &len);
	unsigned status = f ? page->write(s, f) : 0;
	int failed = !f || fclose(f) != 0 || status == 0;
	struct MHD_Response *r = failed ? NULL : MHD_create_response_from_buffer(len, body, MHD_RESPMEM_MUST_FREE);
	if (!r) {
		free(body);
		return MHD_NO;
	}

	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, page->type);
	MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (page == &not_allowed)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	enum MHD_Result sent = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return sent;
}

static int has_body(struct MHD_Connection *c)
{
	const char *length = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
	return (length && strcmp(length, "0") != 0) || MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

/* Called with the headers, and again when the request is complete. One that brings a body is refused before that is read. */
static enum MHD_Result answer(void *ctx, struct MHD_Connection *c, const char *path, const char *method, const char *protocol, const char *data,
                              size_t *data_len, void **state)
{
	static int seen;
	const struct server *s = ctx;
	if ((strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) || has_body(c))
		return send_page(s, c, &not_allowed);
	if (!*state) {
		*state = &seen;
		return MHD_YES;
	}
	return send_page(s, c, find_page(path));
}

/* ---- where it listens ---- */

/* host:port in two; the host of [::1]:port without its brackets. 0 or -EINVAL. */
static int split(const char *address, char *host, size_t size, const char **ret_port)
{
	const char *colon = strrchr(address, ':');
	size_t n = colon ? (size_t)(colon - address) : 0;
	if (n == 0 || n >= size || colon[1] == '\0' || strspn(colon + 1, "0123456789") != strlen(colon + 1) || atol(colon + 1) > 65535)
		return -EINVAL;
	if (address[0] == '[' && address[n - 1] == ']') {
		address++;
		n -= 2;
	} else if (memchr(address, ':', n)) {
		return -EINVAL;
	}
	memcpy(host, address, n);
	host[n] = '\0';
	*ret_port = colon + 1;
	return 0;
}

static int listen_at(const struct addrinfo *a)
{
	int on = 1, fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	int error = errno;
	close(fd);
	return -error;
}

static int port_of(int fd)
{
	struct sockaddr_storage at;
	socklen_t len = sizeof at;
	char port[16] = "0";
	if (getsockname(fd, (struct sockaddr *)&at, &len) == 0)
		getnameinfo((struct sockaddr *)&at, len, NULL, 0, port, sizeof port, NI_NUMERICSERV);
	return atoi(port);
}

/* The socket, or -1: the error is told. */
static int open_port(const char *address)
{
	struct addrinfo *list = NULL, hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	char host[256];
	const char *port;
	if (split(address, host, sizeof host, &port) < 0) {
		log_error("http.listen=%s is no host:port, such as 127.0.0.1:9464 or [::1]:9464; port 0 is any that is free", address);
		return -1;
	}
	int r = getaddrinfo(host, port, &hints, &list);
	if (r) {
		log_error("http.listen=%s: host %s is not known: %s", address, host, gai_strerror(r));
		return -1;
	}
	int fd = -EADDRNOTAVAIL;
	for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
		fd = listen_at(a);
	freeaddrinfo(list);
	if (fd >= 0)
		return fd;
	log_error("http.listen=%s: %s%s", address, strerror(-fd), fd == -EADDRINUSE ? ": another process has this port; name another one, or 0 for any that is free" : "");
	return -1;
}

/* ---- life ---- */

int server_new(struct server **ret, const char *address, struct exchange *b, int64_t alive_ms)
{
	int fd = open_port(address);
	if (fd < 0)
		return EX_CONFIG;
	struct server *s = calloc(1, sizeof *s);
	if (!s) {
		close(fd);
		return log_no_memory();
	}

	s->exchange = b;
	s->alive_ms = alive_ms;
	s->port = port_of(fd);
	s->daemon = MHD_start_daemon(MHD_USE_AUTO_INTERNAL_THREAD, 0, NULL, NULL, answer, s, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
	                             (unsigned)SERVER_CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)SERVER_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
	                             (unsigned)SERVER_IDLE_S, MHD_OPTION_END);
	if (!s->daemon) {
		log_error("http.listen=%s: no thread for the server", address);
		close(fd);
		free(s);
		return EX_OSERR;
	}
	log_info("http listens at %.*s:%d: /metrics /livez /readyz /status /version", (int)(strrchr(address, ':') - address), address, s->port);
	*ret = s;
	return 0;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	MHD_stop_daemon(s->daemon); /* closes the socket, too */
	free(s);
}

int server_port(const struct server *s)
{
	return s->port;
}
