/* proxy.c - stands between clients and a broker and spoils chosen requests or their answers.
 *   proxy LISTEN_PORT BROKER_PORT      both on 127.0.0.1; the broker must advertise LISTEN_PORT to whoever comes by way of BROKER_PORT
 * Commands, one a line on stdin: what, API key (26 EndTxn, 28 TxnOffsetCommit, 25 AddOffsetsToTxn, 0 Produce), how many times
 *   request KEY N      the request never arrives: the connection is reset instead
 *   response KEY N     the broker acts on it, its answer is lost: the connection is reset when it comes
 *   silence KEY N      its answer is lost, the connection stays
 * Each time it does so it says "did WHAT KEY" on stdout. Ends with stdin.
 * Kafka's framing (protocol guide): int32 size; a request goes on with int16 key, int16 version, int32 correlation, an answer with int32
 * correlation. Two threads a connection, each moves whole frames one way.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_MAX (64u << 20)
#define KEYS 128
#define HELD 8 /* answers of one connection that are to be spoilt */

enum spoil { NOTHING, REQUEST, RESPONSE, SILENCE, SPOILS };
static const char *const words[SPOILS] = { "", "request", "response", "silence" };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int wanted[SPOILS][KEYS]; /* how many more times */

struct connection {
	int client, broker;
	struct { int32_t correlation; int key; enum spoil how; } held[HELD];
	int held_n;
	int ends; /* threads that are through */
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int socket_to(int port, int listening)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (listening ? bind(s, (struct sockaddr *)&a, sizeof a) || listen(s, 64) : connect(s, (struct sockaddr *)&a, sizeof a)) {
		close(s);
		return -1;
	}
	return s;
}

static int read_all(int s, uint8_t *to, size_t n)
{
	for (ssize_t got; n; to += got, n -= (size_t)got)
		if ((got = read(s, to, n)) <= 0)
			return -1;
	return 0;
}

static int write_all(int s, const uint8_t *from, size_t n)
{
	for (ssize_t done; n; from += done, n -= (size_t)done)
		if ((done = write(s, from, n)) <= 0)
			return -1;
	return 0;
}

static int32_t int32_at(const uint8_t *p)
{
	return (int32_t)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
}

/* With its size in front; NULL at the end of the stream. */
static uint8_t *read_frame(int s, size_t *ret_len)
{
	uint8_t head[4], *frame;
	if (read_all(s, head, 4))
		return NULL;
	size_t len = (uint32_t)int32_at(head);
	if (len > FRAME_MAX || !(frame = malloc(len + 4)))
		return NULL;
	memcpy(frame, head, 4);
	*ret_len = len + 4;
	if (read_all(s, frame + 4, len) == 0)
		return frame;
	free(frame);
	return NULL;
}

static void did(enum spoil how, int key)
{
	printf("did %s %d\n", words[how], key);
	fflush(stdout);
}

/* What shall become of this request or of its answer. */
static enum spoil choose(struct connection *c, const uint8_t *frame, size_t len)
{
	enum spoil how = NOTHING;
	int key = len >= 12 ? frame[4] << 8 | frame[5] : KEYS;
	pthread_mutex_lock(&lock);
	for (enum spoil s = REQUEST; key < KEYS && s < SPOILS && how == NOTHING; s++)
		if (wanted[s][key] > 0 && c->held_n < HELD) {
			wanted[s][key]--;
			how = s;
		}
	if (how == RESPONSE || how == SILENCE) {
		c->held[c->held_n].correlation = int32_at(frame + 8);
		c->held[c->held_n].key = key;
		c->held[c->held_n++].how = how;
	}
	pthread_mutex_unlock(&lock);
	if (how == REQUEST)
		did(how, key);
	return how;
}

static enum spoil is_held(struct connection *c, const uint8_t *frame, size_t len)
{
	enum spoil how = NOTHING;
	int key = 0;
	pthread_mutex_lock(&lock);
	for (int i = 0; len >= 8 && i < c->held_n; i++)
		if (c->held[i].correlation == int32_at(frame + 4)) {
			how = c->held[i].how;
			key = c->held[i].key;
			c->held[i] = c->held[--c->held_n];
		}
	pthread_mutex_unlock(&lock);
	if (how != NOTHING)
		did(how, key);
	return how;
}

static void reset(struct connection *c)
{
	struct linger none = { .l_onoff = 1 };
	setsockopt(c->client, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	setsockopt(c->broker, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

/* The other thread wakes up, too; the last of the two closes. */
static void leave(struct connection *c)
{
	shutdown(c->client, SHUT_RDWR);
	shutdown(c->broker, SHUT_RDWR);
	pthread_mutex_lock(&lock);
	int last = ++c->ends == 2;
	pthread_mutex_unlock(&lock);
	if (!last)
		return;
	close(c->client);
	close(c->broker);
	free(c);
}

static void *requests(void *arg)
{
	struct connection *c = arg;
	uint8_t *frame;
	size_t len;
	while ((frame = read_frame(c->client, &len))) {
		int over = choose(c, frame, len) == REQUEST;
		if (over)
			reset(c);
		over = over || write_all(c->broker, frame, len);
		free(frame);
		if (over)
			break;
	}
	leave(c);
	return NULL;
}

static void *responses(void *arg)
{
	struct connection *c = arg;
	uint8_t *frame;
	size_t len;
	while ((frame = read_frame(c->broker, &len))) {
		enum spoil how = is_held(c, frame, len);
		if (how == RESPONSE)
			reset(c);
		int over = how == RESPONSE || (how == NOTHING && write_all(c->client, frame, len));
		free(frame);
		if (over)
			break;
	}
	leave(c);
	return NULL;
}

static void serve(int client, int broker_port)
{
	struct connection *c = calloc(1, sizeof *c);
	pthread_t t;
	int one = 1;
	c->client = client;
	c->broker = socket_to(broker_port, 0);
	if (c->broker < 0) { /* the broker is away: so is this connection */
		close(client);
		free(c);
		return;
	}
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (pthread_create(&t, NULL, requests, c))
		die("thread");
	pthread_detach(t);
	if (pthread_create(&t, NULL, responses, c))
		die("thread");
	pthread_detach(t);
}

static void *commands(void *arg)
{
	char word[16];
	int key, n;
	while (scanf("%15s %d %d", word, &key, &n) == 3)
		for (enum spoil s = REQUEST; s < SPOILS; s++)
			if (!strcmp(word, words[s]) && key >= 0 && key < KEYS) {
				pthread_mutex_lock(&lock);
				wanted[s][key] = n;
				pthread_mutex_unlock(&lock);
			}
	exit(0);
}

int main(int argc, char **argv)
{
	pthread_t t;
	if (argc != 3) {
		fprintf(stderr, "usage: proxy LISTEN_PORT BROKER_PORT\n");
		return 64;
	}
	signal(SIGPIPE, SIG_IGN);
	int s = socket_to(atoi(argv[1]), 1);
	if (s < 0)
		die("listen");
	if (pthread_create(&t, NULL, commands, NULL))
		die("thread");
	for (;;) {
		int client = accept(s, NULL, NULL);
		if (client >= 0)
			serve(client, atoi(argv[2]));
	}
}
