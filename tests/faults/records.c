/* records.c - what a prefix holds, one line a record, so that two prefixes can be compared with sort, awk and cmp (judge.sh does).
 *   records dump PREFIX           every committed record up to now
 *   records follow PREFIX         the same as they become visible, until SIGTERM; then what is still to come within two seconds
 *   records position INPUT GROUP  the group's offsets, "partition offset"
 *   records open TOPIC ID [N]     begins a transaction, writes one record (N) to TOPIC, says "open", leaves it so until SIGTERM, and aborts it
 *   records fill TOPIC ID N       reads "partition key value" lines and writes them in transactions of N; every third is aborted and sent again
 * Lines of dump and follow: MS TOPIC PARTITION OFFSET KEY RAW BARE NUMBER [HEX]
 *   MS      when it was seen, ms since the epoch
 *   TOPIC   embeddings, state, batches, dlq
 *   RAW     XXH3 of value and headers, "-" for a delete
 *   BARE    the same without what a wall clock, a process or the count of flushes wrote
 *   NUMBER  version of a version record, step of a cut; 0
 *   HEX     cuts only: the value
 * Reads by way of BROKER=host:port, read_committed.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define VALUE_MAX (2u << 20)

static const char *const topics[] = { "embeddings", "state", "batches", "dlq" };
enum { TOPICS = sizeof topics / sizeof *topics };
static volatile sig_atomic_t asked_to_stop;

static void die(const char *what, const char *why)
{
	fprintf(stderr, "records: %s: %s\n", what, why);
	exit(1);
}

static void on_signal(int number)
{
	asked_to_stop = 1;
}

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
	char why[512];
	if (rd_kafka_conf_set(conf, key, value, why, sizeof why) != RD_KAFKA_CONF_OK)
		die(key, why);
}

static rd_kafka_t *handle(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
	char why[512];
	const char *broker = getenv("BROKER");
	if (!broker)
		die("BROKER", "not set");
	set(conf, "bootstrap.servers", broker);
	set(conf, "reconnect.backoff.max.ms", "500");
	rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
	if (!rk)
		die("client", why);
	return rk;
}

static rd_kafka_t *consumer(const char *group)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	set(conf, "group.id", group);
	set(conf, "enable.partition.eof", "true");
	set(conf, "enable.auto.commit", "false");
	set(conf, "isolation.level", "read_committed");
	set(conf, "auto.offset.reset", "earliest"); /* cuts may be deleted while a foreign transaction hides them: the next ones follow */
	set(conf, "fetch.wait.max.ms", "20");
	set(conf, "log_level", "2");
	return handle(RD_KAFKA_CONSUMER, conf);
}

/* ---- one record as a line ---- */

static uint64_t varint(const uint8_t **p, const uint8_t *end)
{
	uint64_t x = 0;
	for (int shift = 0; *p < end && shift < 64; shift += 7) {
		uint8_t byte = *(*p)++;
		x |= (uint64_t)(byte & 127) << shift;
		if (byte < 128)
			break;
	}
	return x;
}

/* The message without the fields of these numbers (0 ends them); returns its new length. *ret_first: the varint of field 1. */
static size_t without(uint8_t *to, const uint8_t *p, size_t len, const uint32_t *fields, uint64_t *ret_first)
{
	const uint8_t *end = p + len;
	size_t n = 0;
	while (p < end) {
		const uint8_t *begin = p;
		uint64_t tag = varint(&p, end), x = 0;
		switch (tag & 7) {
		case 0: x = varint(&p, end); break;
		case 1: p += 8; break;
		case 2: x = varint(&p, end); p += x; break;
		case 5: p += 4; break;
		default: die("value", "not protobuf");
		}
		if (p > end)
			die("value", "not protobuf");
		if (tag >> 3 == 1 && (tag & 7) == 0)
			*ret_first = x;
		const uint32_t *f = fields;
		while (*f && *f != tag >> 3)
			f++;
		if (*f)
			continue;
		memcpy(to + n, begin, (size_t)(p - begin));
		n += (size_t)(p - begin);
	}
	return n;
}

static int is_key(const rd_kafka_message_t *m, const char *key)
{
	return m->key_len == strlen(key) && !memcmp(m->key, key, m->key_len);
}

/* What a clock, a process or the count of flushes wrote (topics/embedding.proto, cut.proto, state.proto). */
static const uint32_t *clock_fields(int topic, const rd_kafka_message_t *m)
{
	static const uint32_t none[] = { 0 }, version[] = { 6, 17, 18, 0 }, cut[] = { 3, 10, 0 }, manifest[] = { 2, 7, 37, 0 };
	if (topic == 0 && is_key(m, "model"))
		return version;
	if (topic == 1 && is_key(m, "manifest"))
		return manifest;
	return topic == 2 ? cut : none;
}

static uint64_t header_hash(const rd_kafka_message_t *m)
{
	rd_kafka_headers_t *headers;
	const char *name;
	const void *value;
	size_t len;
	uint64_t h = 0;
	if (rd_kafka_message_headers(m, &headers))
		return 0;
	for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &len) == 0; i++)
		h = XXH3_64bits_withSeed(value, len, XXH3_64bits_withSeed(name, strlen(name), h));
	return h;
}

static void print_record(int topic, const rd_kafka_message_t *m)
{
	static uint8_t bare[VALUE_MAX];
	const uint8_t *value = m->payload, *key = m->key;
	uint64_t number = 0, seed = header_hash(m);
	if (topic == 2 && is_key(m, "attempt"))
		return; /* a disturbed run has more of them */
	printf("%lld %s %d %lld ", (long long)now_ms(), topics[topic], m->partition, (long long)m->offset);
	for (size_t i = 0; i < m->key_len; i++)
		printf(key[i] > ' ' && key[i] < 127 && key[i] != '\\' ? "%c" : "\\x%02x", key[i]);
	if (!m->key_len)
		putchar('-');
	if (!value) {
		puts(" - - 0");
		return;
	}
	if (m->len > sizeof bare)
		die("value", "larger than any record of ours");
	const uint32_t *fields = clock_fields(topic, m);
	size_t n = m->len;
	if (*fields)
		n = without(bare, value, m->len, fields, &number);
	printf(" %016llx %016llx %llu", (unsigned long long)XXH3_64bits_withSeed(value, m->len, seed),
	       (unsigned long long)XXH3_64bits_withSeed(*fields ? bare : value, n, seed), topic == 1 ? 0 : (unsigned long long)number);
	if (topic == 2) {
		putchar(' ');
		for (size_t i = 0; i < m->len; i++)
			printf("%02x", value[i]);
	}
	putchar('\n');
}

/* ---- reading ---- */

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
	if (!n)
		die(topic, "no such topic");
	return n;
}

/* All partitions of all four topics from their beginnings; returns how many there are. */
static int assign_all(rd_kafka_t *rk, const char *prefix)
{
	char name[256];
	rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(16);
	for (int t = 0; t < TOPICS; t++) {
		snprintf(name, sizeof name, "%s.%s", prefix, topics[t]);
		for (int p = 0, n = partitions_of(rk, name); p < n; p++)
			rd_kafka_topic_partition_list_add(l, name, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
	}
	int n = l->cnt;
	rd_kafka_assign(rk, l);
	rd_kafka_topic_partition_list_destroy(l);
	return n;
}

static int topic_of(const rd_kafka_message_t *m)
{
	const char *suffix = strrchr(rd_kafka_topic_name(m->rkt), '.') + 1;
	int t = 0;
	while (strcmp(topics[t], suffix))
		t++;
	return t;
}

static int is_outage(rd_kafka_resp_err_t err)
{
	return err == RD_KAFKA_RESP_ERR__TRANSPORT || err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || err == RD_KAFKA_RESP_ERR__TIMED_OUT ||
	       err == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION || err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
	       err == RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE || err == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
}

/* follow 0: until every partition has shown its end. */
static void read_all(const char *prefix, int follow)
{
	rd_kafka_t *rk = consumer("records");
	int left = assign_all(rk, prefix), silent = 0;
	while (follow ? !asked_to_stop || silent < 10 : left > 0) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 200);
		silent = m ? 0 : silent + 1;
		if (!m && !follow && silent > 150)
			die(prefix, "no answer in 30 s");
		if (!m) {
			fflush(stdout);
			continue;
		}
		if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
			left--;
		else if (!m->err)
			print_record(topic_of(m), m);
		else if (!is_outage(m->err))
			die(m->rkt ? rd_kafka_topic_name(m->rkt) : prefix, rd_kafka_message_errstr(m));
		rd_kafka_message_destroy(m);
	}
	fflush(stdout);
	rd_kafka_consumer_close(rk);
	rd_kafka_destroy(rk);
}

static void position(const char *input, const char *group)
{
	rd_kafka_t *rk = consumer(group);
	rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(4);
	for (int p = 0, n = partitions_of(rk, input); p < n; p++)
		rd_kafka_topic_partition_list_add(l, input, p);
	rd_kafka_resp_err_t err = rd_kafka_committed(rk, l, 30000);
	if (err)
		die(group, rd_kafka_err2str(err));
	for (int i = 0; i < l->cnt; i++)
		printf("%d %lld\n", l->elems[i].partition, (long long)l->elems[i].offset);
	rd_kafka_topic_partition_list_destroy(l);
	rd_kafka_destroy(rk);
}

/* ---- foreign transactions ---- */

static void check(const char *what, rd_kafka_error_t *e)
{
	if (e)
		die(what, rd_kafka_error_string(e));
}

static rd_kafka_t *transactional(const char *id)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	set(conf, "transactional.id", id);
	set(conf, "transaction.timeout.ms", "60000");
	set(conf, "retry.backoff.ms", "5");
	set(conf, "partitioner", "murmur2_random");
	rd_kafka_t *rk = handle(RD_KAFKA_PRODUCER, conf);
	check("init", rd_kafka_init_transactions(rk, 30000));
	return rk;
}

static void produce(rd_kafka_t *rk, const char *topic, int partition, const char *key, const char *value)
{
	rd_kafka_resp_err_t err = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_KEY(key, strlen(key)),
	                                            RD_KAFKA_V_VALUE((void *)value, strlen(value)), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
	if (err)
		die(topic, rd_kafka_err2str(err));
}

static void hold_open(const char *topic, const char *id, int records)
{
	rd_kafka_t *rk = transactional(id);
	check("begin", rd_kafka_begin_transaction(rk));
	for (int i = 0; i < records; i++)
		produce(rk, topic, 0, "item/foreign", "never committed");
	if (rd_kafka_flush(rk, 10000))
		die("flush", "not delivered");
	puts("open");
	fflush(stdout);
	while (!asked_to_stop)
		pause();
	check("abort", rd_kafka_abort_transaction(rk, 30000));
	rd_kafka_destroy(rk);
}

/* Aborted records stay in the log, in front of the same ones that count. */
static void fill(const char *topic, const char *id, int per_transaction)
{
	static char lines[1024][512];
	rd_kafka_t *rk = transactional(id);
	for (int transaction = 0, n = -1; n; transaction++) {
		for (n = 0; n < per_transaction && n < 1024 && fgets(lines[n], sizeof lines[n], stdin); n++)
			lines[n][strcspn(lines[n], "\n")] = 0;
		for (int again = n && transaction % 3 == 0; n && again >= 0; again--) {
			check("begin", rd_kafka_begin_transaction(rk));
			for (int i = 0; i < n; i++) {
				char key[128];
				int partition, at;
				if (sscanf(lines[i], "%d %127s %n", &partition, key, &at) != 2)
					die("fill", lines[i]);
				produce(rk, topic, partition, key, lines[i] + at);
			}
			if (rd_kafka_flush(rk, 10000))
				die("fill", "not delivered");
			check("end", again ? rd_kafka_abort_transaction(rk, 30000) : rd_kafka_commit_transaction(rk, 30000));
		}
	}
	rd_kafka_destroy(rk);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	signal(SIGTERM, on_signal);
	if (argc == 3 && !strcmp(what, "dump"))
		read_all(argv[2], 0);
	else if (argc == 3 && !strcmp(what, "follow"))
		read_all(argv[2], 1);
	else if (argc == 4 && !strcmp(what, "position"))
		position(argv[2], argv[3]);
	else if ((argc == 4 || argc == 5) && !strcmp(what, "open"))
		hold_open(argv[2], argv[3], argc == 5 ? atoi(argv[4]) : 1);
	else if (argc == 5 && !strcmp(what, "fill"))
		fill(argv[2], argv[3], atoi(argv[4]));
	else
		die("usage", "see the head of records.c");
	return 0;
}
