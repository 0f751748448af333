/* test_server.c - what is shown of a worker: snapshots between two threads, JSON, pages over HTTP, and requests that are none. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>
#include <cmocka.h>
#include <yajl/yajl_tree.h>

#include "worker/watch/server.h"
#include "worker/watch/status.h"

static struct snapshot now; /* too large for a stack */
static struct exchange *exchange;
static struct server *server;

static int setup(void **state)
{
	memset(&now, 0, sizeof now);
	now.partitions = 2;
	return exchange_new(&exchange, &now) < 0 || server_new(&server, "127.0.0.1:0", exchange, 60000);
}

static int teardown(void **state)
{
	server_free(server);
	exchange_free(exchange);
	return 0;
}

/* ---- a client ---- */

static int dial(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)server_port(server)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval limit = { .tv_sec = 20 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	return fd;
}

/* What comes back for these bytes, up to the end of the connection, which the request must ask for. Owned. */
static char *ask_bytes(const char *request, size_t len)
{
	size_t n = 0, size = 1 << 20;
	char *answer = malloc(size);
	int fd = dial();
	assert_non_null(answer);
	ssize_t r = send(fd, request, len, MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	while (r >= 0 && n + 1 < size && (r = recv(fd, answer + n, size - n - 1, 0)) > 0)
		n += (size_t)r;
	answer[n] = '\0';
	close(fd);
	return answer;
}

static char *ask(const char *method, const char *path)
{
	char request[512];
	int n = snprintf(request, sizeof request, "%s %s HTTP/1.0\r\nHost: x\r\n\r\n", method, path);
	return ask_bytes(request, (size_t)n);
}

static const char *body(const char *answer)
{
	const char *b = strstr(answer, "\r\n\r\n");
	assert_non_null(b);
	return b + 4;
}

static void answers(const char *method, const char *path, int status, const char *part)
{
	char *a = ask(method, path);
	if (strncmp(a, "HTTP/1.", 7) != 0 || atoi(a + 9) != status || !strstr(a, part))
		fail_msg("%s %s: not %d with '%s' but: %.300s", method, path, status, part, a);
	free(a);
}

/* ---- pages ---- */

static void test_pages(void **state)
{
	answers("GET", "/version", 200, "librdkafka");
	answers("GET", "/livez", 200, "alive");
	answers("GET", "/readyz", 503, "starting");
	answers("GET", "/metrics", 200, "text/plain; version=0.0.4");
	answers("GET", "/metrics", 200, "\ns4rec_ready 0\n");
	answers("GET", "/status?x=1", 200, "application/json");
	answers("GET", "/", 404, "/metrics /livez /readyz /status /version");
	answers("GET", "/../etc/passwd", 404, "/metrics");
	now.phase = PHASE_LIVE;
	exchange_publish(exchange, &now);
	answers("GET", "/readyz", 200, "ready");
	answers("GET", "/metrics", 200, "\ns4rec_ready 1\n");
	char *a = ask("HEAD", "/readyz");
	assert_true(strstr(a, " 200 ") && strstr(a, "Content-Length: 6") && *body(a) == '\0');
	free(a);
}

static void test_nothing_but_get_and_head(void **state)
{
	answers("POST", "/metrics", 405, "Allow: GET, HEAD");
	answers("DELETE", "/status", 405, "");
	static const char with_body[] = "GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nabc";
	char *a = ask_bytes(with_body, sizeof with_body - 1);
	assert_true(strstr(a, " 405 ") != NULL);
	free(a);
}

static void test_a_loop_that_stands_is_not_alive(void **state)
{
	struct exchange *x;
	struct server *other, *mine = server;
	assert_int_equal(exchange_new(&x, &now), 0);
	assert_int_equal(server_new(&other, "127.0.0.1:0", x, 300), 0);
	server = other;
	answers("GET", "/livez", 200, "alive");
	usleep(400000);
	answers("GET", "/livez", 503, "no turn of the loop");
	exchange_beat(x);
	answers("GET", "/livez", 200, "alive");
	server = mine;
	server_free(other);
	exchange_free(x);
}

static void test_addresses(void **state)
{
	static const char *const wrong[] = { "", "9464", ":9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1", "::1:80", "no.such.host.invalid:0" };
	struct server *s = NULL;
	char taken[32];
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_int_equal(server_new(&s, wrong[i], exchange, 1), EX_CONFIG);
	snprintf(taken, sizeof taken, "127.0.0.1:%d", server_port(server));
	assert_int_equal(server_new(&s, taken, exchange, 1), EX_CONFIG);
	assert_null(s);
}

/* ---- requests that are none ---- */

static uint64_t draw(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Sends these, and goes away without waiting for long. */
static void throw_bytes(const char *request, size_t len)
{
	struct timeval limit = { .tv_usec = 500 };
	char answer[1024];
	int fd = dial();
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (send(fd, request, len, MSG_NOSIGNAL) > 0)
		(void)!recv(fd, answer, sizeof answer, 0);
	close(fd);
}

static void test_bytes_of_any_kind(void **state)
{
	static const char good[] = "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
	uint64_t seed = 88172645463325252u;
	char request[256];
	for (int i = 0; i < 1500; i++) {
		size_t n = sizeof good - 1;
		memcpy(request, good, n);
		for (uint64_t k = draw(&seed) % 8; k > 0; k--)
			request[draw(&seed) % n] = (char)draw(&seed);
		throw_bytes(request, draw(&seed) % 4 ? n : draw(&seed) % n);
	}
	answers("GET", "/livez", 200, "alive");
}

static void test_a_request_has_a_limit(void **state)
{
	size_t n = 1 << 20;
	char *big = malloc(n);
	assert_non_null(big);
	memset(big, 'a', n);
	memcpy(big, "GET /", 5);
	char *a = ask_bytes(big, n); /* refused, or cut off: never read to its end */
	assert_null(strstr(a, " 200 "));
	free(a);
	free(big);
	answers("GET", "/livez", 200, "alive");
}

static void test_idle_connections_do_not_hold_up_others(void **state)
{
	int fd[SERVER_CONNECTIONS - 4];
	for (int i = 0; i < SERVER_CONNECTIONS - 4; i++)
		fd[i] = dial();
	for (int i = 0; i < 10; i++)
		answers("GET", "/livez", 200, "alive");
	for (int i = 0; i < SERVER_CONNECTIONS - 4; i++)
		close(fd[i]);
}

/* ---- one snapshot is one moment ---- */

static atomic_int writing;

static void *keep_writing(void *arg)
{
	static struct snapshot s;
	s.partitions = 100;
	for (uint64_t i = 1; atomic_load(&writing); i++) {
		s.step = s.version = s.users = s.count.events = i;
		s.partition[99].next = (int64_t)i;
		exchange_publish(exchange, &s);
		exchange_beat(exchange);
	}
	return NULL;
}

static long long number(const char *text, const char *name)
{
	const char *at = strstr(text, name);
	assert_non_null(at);
	return atoll(at + strlen(name));
}

static void test_what_is_read_is_of_one_moment(void **state)
{
	pthread_t writer;
	long long last = -1;
	atomic_store(&writing, 1);
	assert_int_equal(pthread_create(&writer, NULL, keep_writing, NULL), 0);
	for (int i = 0; i < 200; i++) {
		char *a = ask("GET", "/metrics");
		long long step = number(a, "\ns4rec_step ");
		assert_true(step >= last); /* and none comes again once a later one was seen */
		last = step;
		assert_int_equal(number(a, "\ns4rec_version "), step);
		assert_int_equal(number(a, "\ns4rec_users "), step);
		assert_int_equal(number(a, "\ns4rec_events_total "), step);
		if (step)
			assert_int_equal(number(a, "\ns4rec_input_offset{partition=\"99\"} "), step);
		free(a);
	}
	atomic_store(&writing, 0);
	pthread_join(writer, NULL);
	assert_true(last > 0);
}

/* ---- JSON ---- */

static yajl_val status_of(const struct snapshot *s)
{
	char *text = NULL, why[256];
	size_t len;
	FILE *f = open_memstream(&text, &len);
	assert_int_equal(status_write(f, s), 0);
	fclose(f);
	yajl_val v = yajl_tree_parse(text, why, sizeof why);
	if (!v)
		fail_msg("no JSON: %s: %s", why, text);
	free(text);
	return v;
}

static const char *text_at(yajl_val v, const char *name)
{
	yajl_val x = yajl_tree_get(v, (const char *[]){ name, NULL }, yajl_t_string);
	assert_non_null(x);
	return YAJL_GET_STRING(x);
}

static void test_status_is_json_whatever_is_in_it(void **state)
{
	static struct snapshot s;
	snprintf(s.prefix, sizeof s.prefix, "a\"b\\c\n\x01 \xc3\xa9"); /* text */
	snprintf(s.model_id, sizeof s.model_id, "x\xff\xc3y");         /* not text */
	s.space = 3;
	s.loss[0] = 0.0 / 0.0;
	s.freshness_p99_ms = -7;
	s.step = UINT64_C(9000000000000000000);
	s.held = 1;
	snprintf(s.held_why, sizeof s.held_why, "ndcg20=0.1 popularity=0.2");
	reasons_add(&s.dead, "no item");
	s.partitions = 1;
	s.partition[0] = (struct snapshot_partition){ 5, -1 };
	yajl_val v = status_of(&s);
	assert_string_equal(text_at(v, "prefix"), "a\"b\\c\n\x01 \xc3\xa9");
	assert_string_equal(text_at(v, "model_id"), "x??y");
	assert_string_equal(text_at(v, "held_why"), "ndcg20=0.1 popularity=0.2");
	assert_int_equal(YAJL_GET_INTEGER(yajl_tree_get(v, (const char *[]){ "freshness_p99_ms", NULL }, yajl_t_number)), -7);
	assert_int_equal(YAJL_GET_INTEGER(yajl_tree_get(v, (const char *[]){ "step", NULL }, yajl_t_number)), INT64_C(9000000000000000000));
	assert_int_equal(YAJL_GET_INTEGER(yajl_tree_get(v, (const char *[]){ "dead_letters_by_reason", "no item", NULL }, yajl_t_number)), 1);
	yajl_tree_free(v);
}

static void test_each_phase_says_what_it_does(void **state)
{
	static struct snapshot s;
	char why[PHASES][160];
	for (int i = 0; i < PHASES; i++) {
		s.phase = (enum phase)i;
		status_readiness(why[i], sizeof why[i], &s);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(why[i], why[k]);
		assert_int_equal(strcmp(why[i], "ready") == 0, i == PHASE_LIVE);
	}
	s.phase = PHASE_CATCHING_UP;
	s.backlog = 77;
	status_readiness(why[0], sizeof why[0], &s);
	assert_string_equal(why[0], "catches up: 77 records before the goal");
	s.pass = 2, s.pass_users = 30, s.pass_rows = 400;
	status_readiness(why[0], sizeof why[0], &s);
	assert_string_equal(why[0], "catches up: pass 2, 30 of 400 users");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages), cmocka_unit_test(test_nothing_but_get_and_head), cmocka_unit_test(test_a_loop_that_stands_is_not_alive),
		cmocka_unit_test(test_addresses), cmocka_unit_test(test_bytes_of_any_kind), cmocka_unit_test(test_a_request_has_a_limit),
		cmocka_unit_test(test_idle_connections_do_not_hold_up_others), cmocka_unit_test(test_what_is_read_is_of_one_moment),
		cmocka_unit_test(test_status_is_json_whatever_is_in_it), cmocka_unit_test(test_each_phase_says_what_it_does),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
