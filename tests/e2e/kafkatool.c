/* kafkatool.c - what end-to-end tests need of Kafka beside s4rec itself (BROKER=host:port in the environment):
 *   kafkatool produce TOPIC PARTITION KEY VALUE      "-" = none (a null key or value); \xHH in VALUE is a byte
 *   kafkatool fill TOPIC PARTITION KEY BYTES         a value of so many bytes
 *   kafkatool feed TOPIC                             records from stdin, one a line: PARTITION KAFKA-MS KEY VALUE, as above; 0 = now. Lines
 *                                                    "+NAME VALUE" before it are its headers; lines that begin with # say nothing
 *   kafkatool create-topic TOPIC PARTITIONS [SETTING=VALUE ...]
 *   kafkatool delete-topic TOPIC                     both return when everybody sees it
 *   kafkatool delete-records TOPIC PARTITION OFFSET  everything before OFFSET is gone
 *   kafkatool tamper TOPIC KEY [sums]                writes the last record of KEY in a state topic again, with one bit of a weight changed;
 *                                                    sums: and the manifest again, as if it were right
 *   kafkatool newer TOPIC                            writes the last manifest of a state topic again, as a program of the next format would
 *   kafkatool commit GROUP TOPIC PARTITION OFFSET    sets the group's offset, as people do
 *   kafkatool dump TOPIC                             one line a record: partition offset key value-bytes header=value ...
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec/state.h"

static void die(const char *what, const char *why)
{
	fprintf(stderr, "kafkatool: %s: %s\n", what, why);
	exit(1);
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	if (m->err)
		die("produce", rd_kafka_err2str(m->err)); /* such as a timestamp that the broker does not take */
}

static rd_kafka_t *handle(rd_kafka_type_t type)
{
	char why[512];
	const char *broker = getenv("BROKER");
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	if (!broker)
		die("BROKER", "not set");
	rd_kafka_conf_set(conf, "bootstrap.servers", broker, NULL, 0);
	if (type == RD_KAFKA_CONSUMER) {
		rd_kafka_conf_set(conf, "group.id", "kafkatool", NULL, 0);
		rd_kafka_conf_set(conf, "enable.partition.eof", "true", NULL, 0);
		rd_kafka_conf_set(conf, "enable.auto.commit", "false", NULL, 0);
		rd_kafka_conf_set(conf, "isolation.level", "read_committed", NULL, 0);
	}
	if (type == RD_KAFKA_PRODUCER)
		rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
	if (!rk)
		die("client", why);
	return rk;
}

static size_t unescape(char *to, const char *s)
{
	size_t n = 0;
	while (*s) {
		unsigned byte;
		if (s[0] == '\\' && s[1] == 'x' && sscanf(s + 2, "%2x", &byte) == 1) {
			to[n++] = (char)byte;
			s += 4;
		} else {
			to[n++] = *s++;
		}
	}
	return n;
}

/* headers: none, or the client's from here on. */
static void send_one(rd_kafka_t *rk, const char *topic, int partition, int64_t ms, const char *key, const void *value, size_t len, rd_kafka_headers_t *headers)
{
	if (!headers)
		headers = rd_kafka_headers_new(0);
	size_t key_len = strcmp(key, "-") != 0 ? strlen(key) : 0;
	rd_kafka_resp_err_t err = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
	                                            RD_KAFKA_V_KEY(key_len ? key : NULL, key_len), RD_KAFKA_V_TIMESTAMP(ms),
	                                            RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_VALUE((void *)value, len), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
	if (err)
		die("produce", rd_kafka_err2str(err));
}

static void produce(const char *topic, int partition, const char *key, const void *value, size_t len)
{
	rd_kafka_t *rk = handle(RD_KAFKA_PRODUCER);
	send_one(rk, topic, partition, 0, key, value, len, NULL);
	if (rd_kafka_flush(rk, 10000))
		die("produce", "not delivered in 10 s");
	rd_kafka_destroy(rk);
}

static void feed(const char *topic)
{
	rd_kafka_t *rk = handle(RD_KAFKA_PRODUCER);
	char line[4096], key[256];
	long long ms;
	int partition, at;
	rd_kafka_headers_t *headers = NULL;
	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (*line == '#')
			continue;
		if (*line == '+') {
			char *value = strchr(line, ' ');
			if (!value)
				die("feed", line);
			*value++ = 0;
			headers = headers ? headers : rd_kafka_headers_new(8);
			rd_kafka_header_add(headers, line + 1, -1, value, (ssize_t)unescape(value, value));
			continue;
		}
		if (sscanf(line, "%d %lld %255s %n", &partition, &ms, key, &at) != 3)
			die("feed", line);
		int null = !strcmp(line + at, "-");
		size_t len = unescape(line + at, line + at);
		send_one(rk, topic, partition, ms, key, null ? NULL : line + at, null ? 0 : len, headers);
		headers = NULL;
		rd_kafka_poll(rk, 0);
	}
	if (rd_kafka_flush(rk, 10000))
		die("feed", "not delivered in 10 s");
	rd_kafka_destroy(rk);
}

static int partitions_of(rd_kafka_t *rk, const char *topic)
{
	const struct rd_kafka_metadata *md;
	int n = 0;
	rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 1, NULL, &md, 10000);
	if (err)
		die(topic, rd_kafka_err2str(err));
	for (int i = 0; i < md->topic_cnt; i++)
		if (!strcmp(md->topics[i].topic, topic))
			n = md->topics[i].partition_cnt;
	rd_kafka_metadata_destroy(md);
	return n;
}

static void wait_for_partitions(rd_kafka_t *rk, const char *topic, int n)
{
	for (int i = 0; partitions_of(rk, topic) != n; i++) {
		if (i == 200)
			die(topic, "not seen by everybody in 10 s");
		usleep(50000);
	}
}

/* The answer's error for the one topic that was asked about. */
static void check_topic_result(rd_kafka_event_t *ev, const char *topic, const rd_kafka_topic_result_t **(*results)(rd_kafka_event_t *, size_t *))
{
	size_t n;
	if (!ev || rd_kafka_event_error(ev))
		die(topic, ev ? rd_kafka_event_error_string(ev) : "no answer");
	const rd_kafka_topic_result_t **r = results(ev, &n);
	if (n != 1 || rd_kafka_topic_result_error(r[0]))
		die(topic, n == 1 ? rd_kafka_err2name(rd_kafka_topic_result_error(r[0])) : "no result");
	rd_kafka_event_destroy(ev);
}

static const rd_kafka_topic_result_t **created(rd_kafka_event_t *ev, size_t *n)
{
	return rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(ev), n);
}

static const rd_kafka_topic_result_t **deleted(rd_kafka_event_t *ev, size_t *n)
{
	return rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(ev), n);
}

static void create_topic(const char *topic, int partitions, char **settings, int count)
{
	char why[256];
	rd_kafka_t *rk = handle(RD_KAFKA_PRODUCER);
	rd_kafka_queue_t *q = rd_kafka_queue_new(rk);
	rd_kafka_NewTopic_t *t = rd_kafka_NewTopic_new(topic, partitions, 1, why, sizeof why);
	if (!t)
		die(topic, why);
	for (int i = 0; i < count; i++) {
		char *value = strchr(settings[i], '=');
		if (!value)
			die(settings[i], "SETTING=VALUE expected");
		*value++ = 0;
		rd_kafka_NewTopic_set_config(t, settings[i], value);
	}
	rd_kafka_CreateTopics(rk, &t, 1, NULL, q);
	check_topic_result(rd_kafka_queue_poll(q, 20000), topic, created);
	wait_for_partitions(rk, topic, partitions);
	rd_kafka_NewTopic_destroy(t);
	rd_kafka_queue_destroy(q);
	rd_kafka_destroy(rk);
}

static void delete_topic(const char *topic)
{
	rd_kafka_t *rk = handle(RD_KAFKA_PRODUCER);
	rd_kafka_queue_t *q = rd_kafka_queue_new(rk);
	rd_kafka_DeleteTopic_t *t = rd_kafka_DeleteTopic_new(topic);
	rd_kafka_DeleteTopics(rk, &t, 1, NULL, q);
	check_topic_result(rd_kafka_queue_poll(q, 20000), topic, deleted);
	wait_for_partitions(rk, topic, 0);
	rd_kafka_DeleteTopic_destroy(t);
	rd_kafka_queue_destroy(q);
	rd_kafka_destroy(rk);
}

static void delete_records(const char *topic, int partition, long long offset)
{
	rd_kafka_t *rk = handle(RD_KAFKA_PRODUCER);
	rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(l, topic, partition)->offset = offset;
	rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(l);
	rd_kafka_queue_t *q = rd_kafka_queue_new(rk);
	rd_kafka_DeleteRecords(rk, &request, 1, NULL, q);
	rd_kafka_event_t *ev = rd_kafka_queue_poll(q, 20000);
	if (!ev || rd_kafka_event_error(ev))
		die("delete-records", ev ? rd_kafka_event_error_string(ev) : "no answer");
	rd_kafka_event_destroy(ev);
	rd_kafka_queue_destroy(q);
	rd_kafka_DeleteRecords_destroy(request);
	rd_kafka_topic_partition_list_destroy(l);
	rd_kafka_destroy(rk);
}

static void print_record(const rd_kafka_message_t *m)
{
	rd_kafka_headers_t *headers;
	const char *name;
	const void *value;
	size_t len;
	printf("%d %lld %.*s %zd", m->partition, (long long)m->offset, m->key ? (int)m->key_len : 1, m->key ? (const char *)m->key : "-",
	       m->payload ? (ssize_t)m->len : -1);
	if (rd_kafka_message_headers(m, &headers) == 0)
		for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &len) == 0; i++)
			printf(" %s=%.*s", name, (int)len, (const char *)value);
	putchar('\n');
}

static void dump(const char *topic)
{
	const struct rd_kafka_metadata *md;
	rd_kafka_t *rk = handle(RD_KAFKA_CONSUMER);
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
	rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 0, rkt, &md, 10000);
	if (err)
		die(topic, rd_kafka_err2str(err));
	int left = md->topics[0].partition_cnt;
	rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(left);
	for (int p = 0; p < left; p++)
		rd_kafka_topic_partition_list_add(l, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
	rd_kafka_assign(rk, l);
	while (left > 0) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 10000);
		if (!m)
			die(topic, "no answer in 10 s");
		if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
			left--;
		else if (m->err)
			die(topic, rd_kafka_message_errstr(m));
		else
			print_record(m);
		rd_kafka_message_destroy(m);
	}
	rd_kafka_topic_partition_list_destroy(l);
	rd_kafka_metadata_destroy(md);
	rd_kafka_topic_destroy(rkt);
	rd_kafka_consumer_close(rk);
	rd_kafka_destroy(rk);
}

/* The last value of a key, owned by the caller. */
static void *last_value(const char *topic, const char *key, size_t *ret_len)
{
	void *value = NULL;
	rd_kafka_t *rk = handle(RD_KAFKA_CONSUMER);
	rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(l, topic, 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
	rd_kafka_assign(rk, l);
	rd_kafka_topic_partition_list_destroy(l);
	for (int end = 0; !end; ) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 10000);
		end = !m || m->err;
		if (!end && m->key_len == strlen(key) && !memcmp(m->key, key, m->key_len)) {
			value = realloc(value, m->len);
			memcpy(value, m->payload, m->len);
			*ret_len = m->len;
		}
		if (m)
			rd_kafka_message_destroy(m);
	}
	rd_kafka_consumer_close(rk);
	rd_kafka_destroy(rk);
	if (!value)
		die(topic, "no such key");
	return value;
}

/* As worker/state/ does it. */
static uint64_t row_hash(const char *key, const void *value, size_t len)
{
	return XXH3_64bits_withSeed(value, len, XXH3_64bits(key, strlen(key)));
}

static void tamper(const char *topic, const char *key, int sums)
{
	static int64_t offsets[1024];
	static uint8_t bytes[MANIFEST_BYTES(1024, 65536)];
	size_t len, n;
	uint8_t *row = last_value(topic, key, &len);
	uint64_t before = row_hash(key, row, len);
	row[len / 2] ^= 1;
	produce(topic, 0, key, row, len);
	if (sums) {
		struct manifest m;
		void *was = last_value(topic, "manifest", &n);
		if (manifest_decode(&m, offsets, 1024, was, n) < 0)
			die(topic, "no manifest");
		m.item_hash += row_hash(key, row, len) - before;
		m.self_hash = 0;
		manifest_encode(bytes, sizeof bytes, &n, &m);
		m.self_hash = XXH3_64bits(bytes, n);
		manifest_encode(bytes, sizeof bytes, &n, &m);
		produce(topic, 0, "manifest", bytes, n);
		free(was);
	}
	free(row);
}

static void newer(const char *topic)
{
	static int64_t offsets[1024];
	static uint8_t bytes[MANIFEST_BYTES(1024, 65536)];
	struct manifest m;
	size_t n;
	void *was = last_value(topic, "manifest", &n);
	if (manifest_decode(&m, offsets, 1024, was, n) < 0)
		die(topic, "no manifest");
	m.format++;
	manifest_encode(bytes, sizeof bytes, &n, &m);
	produce(topic, 0, "manifest", bytes, n);
	free(was);
}

static void commit(const char *group, const char *topic, int partition, int64_t offset)
{
	char why[512];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(1);
	rd_kafka_conf_set(conf, "bootstrap.servers", getenv("BROKER"), why, sizeof why);
	rd_kafka_conf_set(conf, "group.id", group, why, sizeof why);
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
	if (!rk)
		die("commit", why);
	rd_kafka_topic_partition_list_add(l, topic, partition)->offset = offset;
	rd_kafka_resp_err_t err = rd_kafka_commit(rk, l, 0);
	if (err)
		die("commit", rd_kafka_err2str(err));
	rd_kafka_topic_partition_list_destroy(l);
	rd_kafka_destroy(rk);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	if (argc == 6 && !strcmp(what, "produce")) {
		char *value = malloc(strlen(argv[5]) + 1);
		size_t len = unescape(value, argv[5]);
		int null = !strcmp(argv[5], "-");
		produce(argv[2], atoi(argv[3]), argv[4], null ? NULL : value, null ? 0 : len);
		free(value);
	} else if (argc == 6 && !strcmp(what, "fill")) {
		char *value = malloc((size_t)atol(argv[5]));
		memset(value, 'x', (size_t)atol(argv[5]));
		produce(argv[2], atoi(argv[3]), argv[4], value, (size_t)atol(argv[5]));
		free(value);
	} else if (argc == 3 && !strcmp(what, "feed")) {
		feed(argv[2]);
	} else if (argc >= 4 && !strcmp(what, "create-topic")) {
		create_topic(argv[2], atoi(argv[3]), argv + 4, argc - 4);
	} else if (argc == 3 && !strcmp(what, "delete-topic")) {
		delete_topic(argv[2]);
	} else if (argc == 5 && !strcmp(what, "delete-records")) {
		delete_records(argv[2], atoi(argv[3]), atoll(argv[4]));
	} else if ((argc == 4 || argc == 5) && !strcmp(what, "tamper")) {
		tamper(argv[2], argv[3], argc == 5);
	} else if (argc == 3 && !strcmp(what, "newer")) {
		newer(argv[2]);
	} else if (argc == 6 && !strcmp(what, "commit")) {
		commit(argv[2], argv[3], atoi(argv[4]), atoll(argv[5]));
	} else if (argc == 3 && !strcmp(what, "dump")) {
		dump(argv[2]);
	} else {
		die("usage", "see the head of kafkatool.c");
	}
	return 0;
}
