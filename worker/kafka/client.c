/* client.c - see client.h. */
#include "worker/kafka/client.h"
#include "worker/kafka/delivery.h"
#include "topics/topics.h"
#include "worker/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* --- librdkafka's own log ------------------------------------------------------------------------------------------- */

#define LEADERS_MS 5000
#define WATERMARKS_MS 30000
#define QUEUE_KBYTES_MAX 2097151 /* what librdkafka allows */
#define MEMBER_POLL_MS 600000 /* a member that does not call for so long is put out of its group; a trainer that publishes a large model anew is busy for long */

static int64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static struct {
	pthread_mutex_t lock;
	int connecting;       /* > 0: keep lines for the error message instead of printing them */
	char last[512];
} klog = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* A kind of line is what librdkafka calls a facility: log.h shows some of each and counts the others. */
static void on_log(const rd_kafka_t *rk, int level, const char *fac, const char *buf)
{
	const char *text = strstr(buf, ": ");
	int print;

	if (level == 7) { /* only with kafka.debug: the user wants all of it */
		log_info("librdkafka %s: %s", fac, buf);
		return;
	}
	if (level > 4 || strcmp(fac, "CONFWARN") == 0 || strcmp(fac, "TERMINATE") == 0) /* a producer's key on a consumer is no news; nor is an end */
		return;

	pthread_mutex_lock(&klog.lock);
	/* "[thrd:127.0.0.1:9/bootstrap]: text": people want the text */
	snprintf(klog.last, sizeof klog.last, "%s", buf[0] == '[' && text ? text + 2 : buf);
	print = !klog.connecting;
	pthread_mutex_unlock(&klog.lock);

	if (print)
		log_warn_of(fac, "kafka what=%s %s", fac, buf);
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct delivery *d = m->_private;

	if (d == NULL)
		return;
	if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
		d->ok++;
		d->last_offset = m->offset;
		return;
	}
	if (d->failed++ == 0)
		d->first_error = m->err;
}

void delivery_wait(rd_kafka_t *rk, const struct delivery *d)
{
	while (d->ok + d->failed < d->sent && !rd_kafka_fatal_error(rk, NULL, 0))
		rd_kafka_flush(rk, 1000);
}

/* --- settings ------------------------------------------------------------------------------------------------------- */

/* Keys that a promise of ours hangs on. */
static const char *const owned_keys[][2] = {
	{ "transactional.id", "--topic.prefix" }, { "group.id", "--group.id" }, { "transaction.timeout.ms", "--transaction.timeout.ms" },
	{ "isolation.level", NULL }, { "enable.auto.commit", NULL }, { "enable.auto.offset.store", NULL }, { "enable.idempotence", NULL },
	{ "enable.partition.eof", NULL }, { "auto.offset.reset", NULL }, { "delivery.report.only.error", NULL },
	{ "session.timeout.ms", "--election.timeout.ms" }, { "group.instance.id", NULL }, { "group.protocol", NULL },
	{ "partition.assignment.strategy", NULL },
};

struct pair { const char *key, *value; };

/* Our own settings: a refusal is a programming mistake, except for keys that this librdkafka does not know. */
static int set_all(rd_kafka_conf_t *conf, const struct pair *p, size_t n)
{
	char err[512];
	size_t i;

	for (i = 0; i < n; i++) {
		rd_kafka_conf_res_t r = rd_kafka_conf_set(conf, p[i].key, p[i].value, err, sizeof err);

		if (r == RD_KAFKA_CONF_INVALID) {
			log_error("%s=%s: %s", p[i].key, p[i].value, err);
			return EX_CONFIG;
		}
	}
	return 0;
}

static int set_user(rd_kafka_conf_t *conf, const struct config *c)
{
	char err[512];
	size_t i, k;

	for (i = 0; i < c->kafka_count; i++) {
		const char *key = c->kafka[2 * i], *value = c->kafka[2 * i + 1];

		for (k = 0; k < sizeof owned_keys / sizeof *owned_keys; k++) {
			if (strcmp(key, owned_keys[k][0]) != 0)
				continue;
			if (owned_keys[k][1])
				log_error("kafka.%s cannot be set here; use %s", key, owned_keys[k][1]);
			else
				log_error("kafka.%s cannot be set: exactly-once depends on the value that s4rec gives it", key);
			return EX_CONFIG;
		}
		if (rd_kafka_conf_set(conf, key, value, err, sizeof err) != RD_KAFKA_CONF_OK) {
			log_error("kafka.%s: %s (the keys are those of librdkafka %s, CONFIGURATION.md)", key, err, rd_kafka_version_str());
			return EX_CONFIG;
		}
	}
	return 0;
}

static int is_consumer(enum client_kind kind)
{
	return kind == CLIENT_CONSUMER || kind == CLIENT_CONSUMER_UNCOMMITTED || kind == CLIENT_MEMBER;
}

/* After the user's settings: the order of the members hangs on them. */
static int set_member(rd_kafka_conf_t *conf, const struct config *c, const struct client_member *m)
{
	char group[512], session[32], heartbeat[32], poll[32];
	const struct pair own[] = {
		{ "group.id", group }, { "client.id", m->client_id }, { "session.timeout.ms", session }, { "heartbeat.interval.ms", heartbeat },
		{ "max.poll.interval.ms", poll }, { "partition.assignment.strategy", "range" },
	};
	snprintf(group, sizeof group, "%s-trainer", c->group_id);
	snprintf(session, sizeof session, "%lld", (long long)c->election_timeout_ms);
	snprintf(heartbeat, sizeof heartbeat, "%lld", (long long)c->election_timeout_ms / 5);
	snprintf(poll, sizeof poll, "%lld", (long long)(c->election_timeout_ms > MEMBER_POLL_MS ? c->election_timeout_ms : MEMBER_POLL_MS));
	rd_kafka_conf_set_opaque(conf, m->opaque);
	rd_kafka_conf_set_rebalance_cb(conf, m->on_rebalance);
	return set_all(conf, own, sizeof own / sizeof *own);
}

/* queue_kbytes: what waits per partition; 0 = librdkafka's own limit. m: of a CLIENT_MEMBER, else NULL. */
static int make_conf(rd_kafka_conf_t **ret, const struct config *c, enum client_kind kind, size_t queue_kbytes, const struct client_member *m)
{
	const struct pair common[] = {
		{ "bootstrap.servers", c->bootstrap_servers }, { "client.id", "s4rec" },
		{ "retry.backoff.ms", "5" },         /* else each commit waits 100 ms for the previous one's markers */
		{ "retry.backoff.max.ms", "50" },    /* newer librdkafka doubles it up to here */
		{ "reconnect.backoff.max.ms", "1000" },
		{ "socket.nagle.disable", "true" }, { "log.connection.close", "false" },
		{ "enable.metrics.push", "false" },  /* KIP-714: newer librdkafka may wait a second at each handle's end to push its last ones */
	};
	const struct pair producer[] = {
		{ "partitioner", "murmur2_random" }, /* Java's; everybody must agree where a key lives */
		{ "enable.idempotence", "true" }, { "compression.codec", "zstd" }, { "linger.ms", "2" },
		{ "queue.buffering.max.messages", "200000" },
	};
	const struct pair consumer[] = {
		{ "check.crcs", "true" }, { "auto.offset.reset", "error" }, { "enable.auto.commit", "false" },
		{ "enable.auto.offset.store", "false" }, { "enable.partition.eof", "true" }, { "fetch.wait.max.ms", "50" },
		/* A full queue makes librdkafka 2.0 pause a partition for a second; memory is bounded by queued.max.messages.kbytes. */
		{ "queued.min.messages", "1000000" }, { "fetch.queue.backoff.ms", "10" },
		{ "isolation.level", kind == CLIENT_CONSUMER ? "read_committed" : "read_uncommitted" },
		{ "group.id", c->group_id }, /* assign() asks for one; nobody joins it */
	};
	char id[512], timeout[32], kbytes[32];
	const struct pair bounded = { "queued.max.messages.kbytes", kbytes };
	const struct pair txn[] = { { "transactional.id", id }, { "transaction.timeout.ms", timeout } };
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	int r;

	int state = kind == CLIENT_STATE_PRODUCER;
	snprintf(timeout, sizeof timeout, "%lld", (long long)(state ? c->state_timeout_ms : c->transaction_timeout_ms));
	/* One trainer per prefix: nothing else may go into the id, or two workers with that different would not fence each other. */
	snprintf(id, sizeof id, "%s.%s", c->topic_prefix, state ? "trainer-state" : "trainer");

	snprintf(kbytes, sizeof kbytes, "%zu", queue_kbytes);
	rd_kafka_conf_set_log_cb(conf, on_log);
	r = set_all(conf, common, sizeof common / sizeof *common);
	if (r == 0 && is_consumer(kind))
		r = set_all(conf, consumer, sizeof consumer / sizeof *consumer);
	else if (r == 0) {
		rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
		r = set_all(conf, producer, sizeof producer / sizeof *producer);
	}
	if (r == 0 && queue_kbytes)
		r = set_all(conf, &bounded, 1);
	if (r == 0 && (kind == CLIENT_TXN_PRODUCER || state))
		r = set_all(conf, txn, sizeof txn / sizeof *txn);
	if (r == 0)
		r = set_user(conf, c);
	if (r == 0 && m)
		r = set_member(conf, c, m);
	if (r) {
		rd_kafka_conf_destroy(conf);
		return r;
	}
	*ret = conf;
	return 0;
}

/* --- life ----------------------------------------------------------------------------------------------------------- */

/* Asks for the metadata of all topics: proof of a connection, and without it the first produce or assign costs a second. */
static int connect_broker(rd_kafka_t *rk, const struct config *c)
{
	int64_t end_ms = clock_ms() + c->connect_timeout_ms, left_ms;
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__TIMED_OUT;
	const struct rd_kafka_metadata *md;
	char why[512];

	while ((left_ms = end_ms - clock_ms()) > 0) {
		err = rd_kafka_metadata(rk, 1, NULL, &md, (int)left_ms);
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
			rd_kafka_metadata_destroy(md);
			break;
		}
		usleep(50000);
	}

	pthread_mutex_lock(&klog.lock);
	snprintf(why, sizeof why, "%s", klog.last[0] ? klog.last : rd_kafka_err2str(err));
	pthread_mutex_unlock(&klog.lock);

	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return 0;
	log_error("no broker answers at %s within %g s: %s; is it running? (--bootstrap.servers)",
	        c->bootstrap_servers, (double)c->connect_timeout_ms / 1000, why);
	return EX_UNAVAILABLE;
}

/* From before the handle's threads start until it is connected or gone, its log is kept for the one error line. */
static void connecting(int by)
{
	pthread_mutex_lock(&klog.lock);
	klog.connecting += by;
	if (by > 0)
		klog.last[0] = '\0';
	pthread_mutex_unlock(&klog.lock);
}

static int new_client(rd_kafka_t **ret, const struct config *c, enum client_kind kind, size_t queue_kbytes, const struct client_member *m)
{
	rd_kafka_conf_t *conf = NULL;
	rd_kafka_t *rk;
	char err[512];
	int r;

	r = make_conf(&conf, c, kind, queue_kbytes, m);
	if (r)
		return r;

	connecting(1);
	rk = rd_kafka_new(is_consumer(kind) ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, conf, err, sizeof err);
	if (rk == NULL) {
		connecting(-1);
		rd_kafka_conf_destroy(conf);
		log_error("librdkafka refuses the settings: %s (see the kafka.* keys)", err);
		return EX_CONFIG;
	}
	if (is_consumer(kind))
		rd_kafka_poll_set_consumer(rk);

	r = connect_broker(rk, c);
	if (r)
		client_free(rk);
	connecting(-1);
	if (r)
		return r;
	*ret = rk;
	return 0;
}

int client_new(rd_kafka_t **ret, const struct config *c, enum client_kind kind)
{
	return new_client(ret, c, kind, 0, NULL);
}

int client_new_member(rd_kafka_t **ret, const struct config *c, const struct client_member *m)
{
	return new_client(ret, c, CLIENT_MEMBER, 0, m);
}

static size_t queue_kbytes(const struct config *c, int partitions)
{
	size_t n = (size_t)c->input_buffer_bytes / (size_t)partitions / 1024 + 1;

	return n < QUEUE_KBYTES_MAX ? n : QUEUE_KBYTES_MAX;
}

int client_new_input(rd_kafka_t **ret, const struct config *c, int partitions)
{
	return new_client(ret, c, CLIENT_CONSUMER, queue_kbytes(c, partitions), NULL);
}

void client_free(rd_kafka_t *rk)
{
	/* Without the consumer's close: nobody is in a group (a member has left it before, see election.c), and it may wait for a coordinator that is away. */
	if (rk)
		rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

/* --- topics --------------------------------------------------------------------------------------------------------- */

void client_input_topic(char *ret, size_t size, const struct config *c)
{
	if (c->input_topic && *c->input_topic)
		snprintf(ret, size, "%s", c->input_topic);
	else if (topic_name(ret, size, c->topic_prefix, TOPIC_INTERACTIONS) < 0 && size)
		ret[0] = '\0';
}

int client_read_error(rd_kafka_resp_err_t err, const char *topic, int partition, int64_t offset, const char *text)
{
	switch (err) {
	case RD_KAFKA_RESP_ERR__TRANSPORT:
	case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
	case RD_KAFKA_RESP_ERR__RESOLVE:
	case RD_KAFKA_RESP_ERR__TIMED_OUT:
	case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
	case RD_KAFKA_RESP_ERR__WAIT_COORD:
	case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
	case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
	case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
	case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
	case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
	case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
	case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
	case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
	case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
	case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
	case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
	case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH:
	case RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE:
		log_warn("%s [%d] at offset %lld: %s; trying on", topic, partition, (long long)offset, text);
		return 0;
	case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
	case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
		log_error("%s [%d] no longer has offset %lld: %s; was it removed by retention, or the topic made anew?", topic, partition, (long long)offset, text);
		return EX_DATAERR;
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
	case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
		log_error("%s [%d] is gone: %s; was the topic deleted?", topic, partition, text);
		return EX_CONFIG;
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR__AUTHENTICATION:
	case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
		log_error("%s [%d]: %s; does this user have the right to read it?", topic, partition, text);
		return EX_NOPERM;
	default:
		log_error("%s [%d] at offset %lld cannot be read: %s (%s)", topic, partition, (long long)offset, text, rd_kafka_err2name(err));
		return EX_DATAERR;
	}
}

/* NULL: no memory, or no such name. */
static rd_kafka_topic_t *topic_with_leaders(rd_kafka_t *rk, const char *topic)
{
	const struct rd_kafka_metadata *md;
	rd_kafka_topic_t *t = rd_kafka_topic_new(rk, topic, NULL);

	if (t && rd_kafka_metadata(rk, 0, t, &md, LEADERS_MS) == RD_KAFKA_RESP_ERR_NO_ERROR)
		rd_kafka_metadata_destroy(md);
	return t;
}

void client_ask_leaders(rd_kafka_t *rk, const char *topic)
{
	rd_kafka_topic_t *t = topic_with_leaders(rk, topic);
	if (t)
		rd_kafka_topic_destroy(t);
}

rd_kafka_resp_err_t client_assign(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_topic_t *t = topic_with_leaders(rk, list->elems[0].topic);
	rd_kafka_resp_err_t err = rd_kafka_assign(rk, list);
	if (t) /* not before: 2.8 would have forgotten them */
		rd_kafka_topic_destroy(t);
	return err;
}

/* where: RD_KAFKA_OFFSET_BEGINNING or _END, which the protocol asks for as times. rd_kafka_query_watermark_offsets is no way to ask: 2.0.2 waits for
 * ever in it for a broker that has stopped, whatever its timeout. */
static rd_kafka_resp_err_t ask_offset(rd_kafka_t *rk, const char *topic, int partition, int64_t where, int64_t *ret)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_resp_err_t err;

	rd_kafka_topic_partition_list_add(list, topic, partition)->offset = where;
	err = rd_kafka_offsets_for_times(rk, list, 5000);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		err = list->elems[0].err;
	*ret = list->elems[0].offset;
	rd_kafka_topic_partition_list_destroy(list);
	return err;
}

int client_watermarks(rd_kafka_t *rk, const char *topic, int partition, int64_t *ret_low, int64_t *ret_high)
{
	rd_kafka_resp_err_t err;
	int64_t end_ms = clock_ms() + WATERMARKS_MS;

	do { /* a leader that moves is no reason to give up */
		err = ask_offset(rk, topic, partition, RD_KAFKA_OFFSET_BEGINNING, ret_low);
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
			err = ask_offset(rk, topic, partition, RD_KAFKA_OFFSET_END, ret_high);
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
			return 0;
		usleep(100000);
	} while (clock_ms() < end_ms);
	log_error("kafka no_watermarks topic=%s partition=%d: %s", topic, partition, rd_kafka_err2str(err));
	return -EIO;
}

int client_topic_watermarks(const struct config *c, const char *topic, int partitions, int64_t *ret_low, int64_t *ret_high)
{
	int64_t low, high;
	rd_kafka_t *rk = NULL;
	int p, r = client_new(&rk, c, CLIENT_CONSUMER_UNCOMMITTED);

	for (p = 0; r == 0 && p < partitions; p++) {
		if (client_watermarks(rk, topic, p, &low, &high) < 0)
			r = EX_UNAVAILABLE;
		else if (ret_low)
			ret_low[p] = low;
		if (r == 0 && ret_high)
			ret_high[p] = high;
	}
	client_free(rk);
	return r;
}

int client_input_watermarks(const struct config *c, int partitions, int64_t *ret_low, int64_t *ret_high)
{
	char topic[TOPIC_NAME_MAX];

	client_input_topic(topic, sizeof topic, c);
	return client_topic_watermarks(c, topic, partitions, ret_low, ret_high);
}

/* *ret: its partitions, 0 = there is no such topic. */
static int find_topic(rd_kafka_t *rk, const char *name, const struct config *c, int *ret)
{
	const struct rd_kafka_metadata *md;
	*ret = 0;
	rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 1, NULL, &md, (int)c->connect_timeout_ms);
	if (err) {
		log_error("cannot list the topics at %s: %s", c->bootstrap_servers, rd_kafka_err2str(err));
		return EX_UNAVAILABLE;
	}
	for (int i = 0; i < md->topic_cnt; i++)
		if (strcmp(md->topics[i].topic, name) == 0)
			*ret = md->topics[i].partition_cnt;
	rd_kafka_metadata_destroy(md);
	return 0;
}

int client_has_topic(const struct config *c, const char *name, int *ret)
{
	rd_kafka_t *rk = NULL;
	int r = client_new(&rk, c, CLIENT_CONSUMER);
	if (r == 0)
		r = find_topic(rk, name, c, ret);
	*ret = r == 0 && *ret > 0;
	client_free(rk);
	return r;
}

static int need_topic(rd_kafka_t *rk, const char *name, const struct config *c, int *ret_partitions)
{
	int r = find_topic(rk, name, c, ret_partitions);
	if (r || *ret_partitions)
		return r;
	log_error("topic %s is missing at %s; %s", name, c->bootstrap_servers,
	          *c->input_topic ? "it is input.topic, so its owner makes it" : "`s4rec topics create` makes it (--topic.prefix, --input.topic)");
	return EX_CONFIG;
}

int client_input_partitions(const struct config *c, int *ret)
{
	char name[TOPIC_NAME_MAX];
	rd_kafka_t *rk = NULL;
	client_input_topic(name, sizeof name, c);
	int r = client_new(&rk, c, CLIENT_CONSUMER);
	if (r == 0)
		r = need_topic(rk, name, c, ret);
	client_free(rk);
	return r;
}

int client_input_producer(rd_kafka_t **ret, rd_kafka_topic_t **ret_topic, const struct config *c)
{
	char name[TOPIC_NAME_MAX];
	client_input_topic(name, sizeof name, c);
	int partitions, r = client_new(ret, c, CLIENT_PLAIN_PRODUCER);
	if (r == 0)
		r = need_topic(*ret, name, c, &partitions);
	if (r)
		return r;
	*ret_topic = rd_kafka_topic_new(*ret, name, NULL);
	return *ret_topic ? 0 : EX_SOFTWARE;
}
