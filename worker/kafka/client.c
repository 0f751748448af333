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

/* --- librdkafka's own log ------------------------------------------------------------------------------------------- */

#define QUEUE_KBYTES_MAX 2097151 /* what librdkafka allows */
#define MEMBER_POLL_MS 600000 /* a member that does not call for so long is put out of its group; a trainer that publishes a large model anew is busy for long */

static struct {
	pthread_mutex_t lock;
	int connecting;       /* > 0: keep lines for the error message instead of printing them */
	char last[512];
} klog = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* A kind of line is what librdkafka calls a facility: log.h shows some of each and counts the others. */
static void on_log(const rd_kafka_t *rk, int level, const char *fac, const char *buf)
{
	const char *text = base_log_text(level, fac, buf);
	int print;

	if (level == 7) { /* only with kafka.debug: the user wants all of it */
		log_info("librdkafka %s: %s", fac, buf);
		return;
	}
	if (text == NULL)
		return;

	pthread_mutex_lock(&klog.lock);
	snprintf(klog.last, sizeof klog.last, "%s", text);
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

static int is_consumer(enum client_kind kind)
{
	return kind == CLIENT_CONSUMER || kind == CLIENT_CONSUMER_UNCOMMITTED || kind == CLIENT_MEMBER;
}

/* After the user's settings: the order of the members hangs on them. */
static int set_member(rd_kafka_conf_t *conf, const struct config *c, const struct client_member *m, char *reterr, size_t size)
{
	char group[512], session[32], heartbeat[32], poll[32];
	const struct base_pair own[] = {
		{ "group.id", group }, { "client.id", m->client_id }, { "session.timeout.ms", session }, { "heartbeat.interval.ms", heartbeat },
		{ "max.poll.interval.ms", poll }, { "partition.assignment.strategy", "range" },
	};
	snprintf(group, sizeof group, "%s-trainer", c->group_id);
	snprintf(session, sizeof session, "%lld", (long long)c->election_timeout_ms);
	snprintf(heartbeat, sizeof heartbeat, "%lld", (long long)c->election_timeout_ms / 5);
	snprintf(poll, sizeof poll, "%lld", (long long)(c->election_timeout_ms > MEMBER_POLL_MS ? c->election_timeout_ms : MEMBER_POLL_MS));
	rd_kafka_conf_set_opaque(conf, m->opaque);
	rd_kafka_conf_set_rebalance_cb(conf, m->on_rebalance);
	return base_set(conf, own, sizeof own / sizeof *own, reterr, size);
}

/* queue_kbytes: what waits per partition; 0 = librdkafka's own limit. m: of a CLIENT_MEMBER, else NULL. */
static int make_conf(rd_kafka_conf_t **ret, const struct config *c, enum client_kind kind, size_t queue_kbytes, const struct client_member *m)
{
	const struct base_pair producer[] = {
		{ "partitioner", "murmur2_random" }, /* Java's; everybody must agree where a key lives */
		{ "enable.idempotence", "true" }, { "compression.codec", "zstd" }, { "linger.ms", "2" },
		{ "queue.buffering.max.messages", "200000" },
	};
	char id[512], timeout[32], kbytes[32], err[1024];
	const struct base_pair bounded = { "queued.max.messages.kbytes", kbytes };
	const struct base_pair txn[] = { { "transactional.id", id }, { "transaction.timeout.ms", timeout } };
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	int r;

	int state = kind == CLIENT_STATE_PRODUCER;
	snprintf(timeout, sizeof timeout, "%lld", (long long)(state ? c->state_timeout_ms : c->transaction_timeout_ms));
	/* One trainer per prefix: nothing else may go into the id, or two workers with that different would not fence each other. */
	snprintf(id, sizeof id, "%s.%s", c->topic_prefix, state ? "trainer-state" : "trainer");
	if (kind == CLIENT_REDRIVE_PRODUCER) /* beside the trainer's, which it must not fence */
		snprintf(id, sizeof id, "%s.redrive", c->topic_prefix);

	snprintf(kbytes, sizeof kbytes, "%zu", queue_kbytes);
	rd_kafka_conf_set_log_cb(conf, on_log);
	r = base_set_common(conf, c->bootstrap_servers, err, sizeof err);
	if (r == 0 && is_consumer(kind))
		r = base_set_consumer(conf, kind == CLIENT_CONSUMER, c->group_id, err, sizeof err);
	else if (r == 0) {
		rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
		r = base_set(conf, producer, sizeof producer / sizeof *producer, err, sizeof err);
	}
	if (r == 0 && queue_kbytes)
		r = base_set(conf, &bounded, 1, err, sizeof err);
	if (r == 0 && (kind == CLIENT_TXN_PRODUCER || kind == CLIENT_REDRIVE_PRODUCER || state))
		r = base_set(conf, txn, sizeof txn / sizeof *txn, err, sizeof err);
	if (r == 0)
		r = base_set_user(conf, c->kafka, c->kafka_count, err, sizeof err);
	if (r == 0 && m)
		r = set_member(conf, c, m, err, sizeof err);
	if (r < 0) {
		log_error("%s", err);
		rd_kafka_conf_destroy(conf);
		return EX_CONFIG;
	}
	*ret = conf;
	return 0;
}

/* --- life ----------------------------------------------------------------------------------------------------------- */

static int connect_broker(rd_kafka_t *rk, const struct config *c)
{
	rd_kafka_resp_err_t err = base_connect(rk, c->connect_timeout_ms);
	char why[512];

	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return 0;
	pthread_mutex_lock(&klog.lock);
	snprintf(why, sizeof why, "%s", klog.last[0] ? klog.last : rd_kafka_err2str(err));
	pthread_mutex_unlock(&klog.lock);
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
	switch (base_read_error(err)) {
	case BASE_PASSES:
		log_warn("%s [%d] at offset %lld: %s; trying on", topic, partition, (long long)offset, text);
		return 0;
	case BASE_OFFSET_GONE:
		log_error("%s [%d] no longer has offset %lld: %s; was it removed by retention, or the topic made anew?", topic, partition, (long long)offset, text);
		return EX_DATAERR;
	case BASE_TOPIC_GONE:
		log_error("%s [%d] is gone: %s; was the topic deleted?", topic, partition, text);
		return EX_CONFIG;
	case BASE_DENIED:
		log_error("%s [%d]: %s; does this user have the right to read it?", topic, partition, text);
		return EX_NOPERM;
	default:
		log_error("%s [%d] at offset %lld cannot be read: %s (%s)", topic, partition, (long long)offset, text, rd_kafka_err2name(err));
		return EX_DATAERR;
	}
}

int client_watermarks(rd_kafka_t *rk, const char *topic, int partition, int64_t *ret_low, int64_t *ret_high)
{
	rd_kafka_resp_err_t err = base_watermarks(rk, topic, partition, ret_low, ret_high);

	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return 0;
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

int client_find_topic(rd_kafka_t *rk, const char *name, const struct config *c, int *ret)
{
	rd_kafka_resp_err_t err = base_partitions(rk, name, (int)c->connect_timeout_ms, ret);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return 0;
	log_error("cannot list the topics at %s: %s", c->bootstrap_servers, rd_kafka_err2str(err));
	return EX_UNAVAILABLE;
}

int client_has_topic(const struct config *c, const char *name, int *ret)
{
	rd_kafka_t *rk = NULL;
	int r = client_new(&rk, c, CLIENT_CONSUMER);
	if (r == 0)
		r = client_find_topic(rk, name, c, ret);
	*ret = r == 0 && *ret > 0;
	client_free(rk);
	return r;
}

static int need_topic(rd_kafka_t *rk, const char *name, const struct config *c, int *ret_partitions)
{
	int r = client_find_topic(rk, name, c, ret_partitions);
	if (r || *ret_partitions)
		return r;
	log_error("topic %s is missing at %s; %s", name, c->bootstrap_servers,
	          strcmp(name, c->input_topic) == 0 ? "it is input.topic, so its owner makes it" : "`s4rec topics create` makes it (--topic.prefix, --input.topic)");
	return EX_CONFIG;
}

int client_partitions(const struct config *c, const char *topic, int *ret)
{
	rd_kafka_t *rk = NULL;
	int r = client_new(&rk, c, CLIENT_CONSUMER);
	if (r == 0)
		r = need_topic(rk, topic, c, ret);
	client_free(rk);
	return r;
}

int client_input_partitions(const struct config *c, int *ret)
{
	char name[TOPIC_NAME_MAX];
	client_input_topic(name, sizeof name, c);
	return client_partitions(c, name, ret);
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
