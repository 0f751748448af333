/* base.c - see base.h. */
#include "worker/kafka/base.h"
#include "worker/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LEADERS_MS 5000
#define WATERMARKS_MS 30000

/* --- settings ------------------------------------------------------------------------------------------------------- */

/* Keys that a promise of ours hangs on. */
static const char *const owned_keys[][2] = {
	{ "transactional.id", "--topic.prefix" }, { "group.id", "--group.id" }, { "transaction.timeout.ms", "--transaction.timeout.ms" },
	{ "isolation.level", NULL }, { "enable.auto.commit", NULL }, { "enable.auto.offset.store", NULL }, { "enable.idempotence", NULL },
	{ "enable.partition.eof", NULL }, { "auto.offset.reset", NULL }, { "delivery.report.only.error", NULL },
	{ "session.timeout.ms", "--election.timeout.ms" }, { "group.instance.id", NULL }, { "group.protocol", NULL },
	{ "partition.assignment.strategy", NULL },
};

/* Our own settings: a refusal is a programming mistake, except for keys that this librdkafka does not know. */
int base_set(rd_kafka_conf_t *conf, const struct base_pair *p, size_t n, char *reterr, size_t size)
{
	char err[512];

	for (size_t i = 0; i < n; i++)
		if (rd_kafka_conf_set(conf, p[i].key, p[i].value, err, sizeof err) == RD_KAFKA_CONF_INVALID) {
			snprintf(reterr, size, "%s=%s: %s", p[i].key, p[i].value, err);
			return -EINVAL;
		}
	return 0;
}

int base_set_common(rd_kafka_conf_t *conf, const char *bootstrap_servers, char *reterr, size_t size)
{
	const struct base_pair common[] = {
		{ "bootstrap.servers", bootstrap_servers }, { "client.id", "s4rec" },
		{ "retry.backoff.ms", "5" },         /* else each commit waits 100 ms for the previous one's markers */
		{ "retry.backoff.max.ms", "50" },    /* newer librdkafka doubles it up to here */
		{ "reconnect.backoff.max.ms", "1000" },
		{ "socket.nagle.disable", "true" }, { "log.connection.close", "false" },
		{ "enable.metrics.push", "false" },  /* KIP-714: newer librdkafka may wait a second at each handle's end to push its last ones */
	};

	return base_set(conf, common, sizeof common / sizeof *common, reterr, size);
}

int base_set_consumer(rd_kafka_conf_t *conf, int committed, const char *group, char *reterr, size_t size)
{
	const struct base_pair consumer[] = {
		{ "check.crcs", "true" }, { "auto.offset.reset", "error" }, { "enable.auto.commit", "false" },
		{ "enable.auto.offset.store", "false" }, { "enable.partition.eof", "true" }, { "fetch.wait.max.ms", "50" },
		/* A full queue makes librdkafka 2.0 pause a partition for a second; memory is bounded by queued.max.messages.kbytes. */
		{ "queued.min.messages", "1000000" }, { "fetch.queue.backoff.ms", "10" },
		{ "isolation.level", committed ? "read_committed" : "read_uncommitted" },
		{ "group.id", group }, /* assign() asks for one; nobody joins it */
	};

	return base_set(conf, consumer, sizeof consumer / sizeof *consumer, reterr, size);
}

int base_set_user(rd_kafka_conf_t *conf, char *const *kafka, size_t count, char *reterr, size_t size)
{
	char err[512];

	for (size_t i = 0; i < count; i++) {
		const char *key = kafka[2 * i], *value = kafka[2 * i + 1];

		for (size_t k = 0; k < sizeof owned_keys / sizeof *owned_keys; k++) {
			if (strcmp(key, owned_keys[k][0]) != 0)
				continue;
			if (owned_keys[k][1])
				snprintf(reterr, size, "kafka.%s cannot be set here; use %s", key, owned_keys[k][1]);
			else
				snprintf(reterr, size, "kafka.%s cannot be set: exactly-once depends on the value that s4rec gives it", key);
			return -EINVAL;
		}
		if (rd_kafka_conf_set(conf, key, value, err, sizeof err) != RD_KAFKA_CONF_OK) {
			snprintf(reterr, size, "kafka.%s: %s (the keys are those of librdkafka %s, CONFIGURATION.md)", key, err, rd_kafka_version_str());
			return -EINVAL;
		}
	}
	return 0;
}

/* --- life ----------------------------------------------------------------------------------------------------------- */

rd_kafka_resp_err_t base_connect(rd_kafka_t *rk, int64_t timeout_ms)
{
	int64_t end_ms = monotonic_ms() + timeout_ms, left_ms;
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__TIMED_OUT;
	const struct rd_kafka_metadata *md;

	while ((left_ms = end_ms - monotonic_ms()) > 0) {
		err = rd_kafka_metadata(rk, 1, NULL, &md, (int)left_ms);
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
			rd_kafka_metadata_destroy(md);
			return err;
		}
		usleep(50000);
	}
	return err;
}

/* "[thrd:127.0.0.1:9/bootstrap]: text" */
const char *base_log_text(int level, const char *fac, const char *buf)
{
	const char *text = strstr(buf, ": ");

	if (level > 4 || strcmp(fac, "CONFWARN") == 0 || strcmp(fac, "TERMINATE") == 0) /* a producer's key on a consumer is no news; nor is an end */
		return NULL;
	return buf[0] == '[' && text ? text + 2 : buf;
}

/* --- questions ------------------------------------------------------------------------------------------------------ */

/* NULL: no memory, or no such name. */
static rd_kafka_topic_t *topic_with_leaders(rd_kafka_t *rk, const char *topic)
{
	const struct rd_kafka_metadata *md;
	rd_kafka_topic_t *t = rd_kafka_topic_new(rk, topic, NULL);

	if (t && rd_kafka_metadata(rk, 0, t, &md, LEADERS_MS) == RD_KAFKA_RESP_ERR_NO_ERROR)
		rd_kafka_metadata_destroy(md);
	return t;
}

void base_ask_leaders(rd_kafka_t *rk, const char *topic)
{
	rd_kafka_topic_t *t = topic_with_leaders(rk, topic);
	if (t)
		rd_kafka_topic_destroy(t);
}

rd_kafka_resp_err_t base_assign(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list)
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

rd_kafka_resp_err_t base_watermarks(rd_kafka_t *rk, const char *topic, int partition, int64_t *ret_low, int64_t *ret_high)
{
	rd_kafka_resp_err_t err;
	int64_t end_ms = monotonic_ms() + WATERMARKS_MS;

	do { /* a leader that moves is no reason to give up */
		err = ask_offset(rk, topic, partition, RD_KAFKA_OFFSET_BEGINNING, ret_low);
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
			err = ask_offset(rk, topic, partition, RD_KAFKA_OFFSET_END, ret_high);
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
			return err;
		usleep(100000);
	} while (monotonic_ms() < end_ms);
	return err;
}

/* All topics: asking for one that is missing makes the client wait for it. */
rd_kafka_resp_err_t base_partitions(rd_kafka_t *rk, const char *topic, int timeout_ms, int *ret)
{
	const struct rd_kafka_metadata *md;
	rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 1, NULL, &md, timeout_ms);

	*ret = 0;
	if (err)
		return err;
	for (int i = 0; i < md->topic_cnt; i++)
		if (strcmp(md->topics[i].topic, topic) == 0)
			*ret = md->topics[i].partition_cnt;
	rd_kafka_metadata_destroy(md);
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

enum base_error base_read_error(rd_kafka_resp_err_t err)
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
		return BASE_PASSES;
	case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
	case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
		return BASE_OFFSET_GONE;
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
	case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
		return BASE_TOPIC_GONE;
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR__AUTHENTICATION:
	case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
		return BASE_DENIED;
	default:
		return BASE_UNREADABLE;
	}
}
