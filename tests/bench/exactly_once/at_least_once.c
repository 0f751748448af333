/* at_least_once.c - librdkafka's transaction calls without transactions, for a twin of s4rec that publishes as most programs do: plain
 * producer, acks=all, all reports awaited, then the offsets of the input. Linked with --wrap over the same objects, so that nothing but the
 * transactions differs. For tests/bench/exactly_once.sh only: after a crash such a worker publishes twice.
 */
#include <librdkafka/rdkafka.h>
#include <string.h>

#define OFFSETS_MS 10000

rd_kafka_conf_res_t __real_rd_kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value, char *errstr, size_t errstr_size);
rd_kafka_conf_res_t __wrap_rd_kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value, char *errstr, size_t errstr_size);
rd_kafka_error_t *__wrap_rd_kafka_init_transactions(rd_kafka_t *rk, int timeout_ms);
rd_kafka_error_t *__wrap_rd_kafka_begin_transaction(rd_kafka_t *rk);
rd_kafka_error_t *__wrap_rd_kafka_commit_transaction(rd_kafka_t *rk, int timeout_ms);
rd_kafka_error_t *__wrap_rd_kafka_abort_transaction(rd_kafka_t *rk, int timeout_ms);
rd_kafka_error_t *__wrap_rd_kafka_send_offsets_to_transaction(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *offsets,
                                                              const rd_kafka_consumer_group_metadata_t *group, int timeout_ms);
rd_kafka_consumer_group_metadata_t *__real_rd_kafka_consumer_group_metadata_new(const char *group_id);
rd_kafka_consumer_group_metadata_t *__wrap_rd_kafka_consumer_group_metadata_new(const char *group_id);

static char group_name[256]; /* one in the program */

rd_kafka_conf_res_t __wrap_rd_kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value, char *errstr, size_t errstr_size)
{
	if (strcmp(name, "transactional.id") == 0 || strcmp(name, "transaction.timeout.ms") == 0)
		return RD_KAFKA_CONF_OK;
	return __real_rd_kafka_conf_set(conf, name, value, errstr, errstr_size);
}

rd_kafka_consumer_group_metadata_t *__wrap_rd_kafka_consumer_group_metadata_new(const char *group_id)
{
	strncpy(group_name, group_id, sizeof group_name - 1);
	return __real_rd_kafka_consumer_group_metadata_new(group_id);
}

rd_kafka_error_t *__wrap_rd_kafka_init_transactions(rd_kafka_t *rk, int timeout_ms)
{
	(void)rk, (void)timeout_ms;
	return NULL;
}

rd_kafka_error_t *__wrap_rd_kafka_begin_transaction(rd_kafka_t *rk)
{
	(void)rk;
	return NULL;
}

rd_kafka_error_t *__wrap_rd_kafka_commit_transaction(rd_kafka_t *rk, int timeout_ms) /* txn.c has awaited the reports */
{
	(void)rk, (void)timeout_ms;
	return NULL;
}

rd_kafka_error_t *__wrap_rd_kafka_abort_transaction(rd_kafka_t *rk, int timeout_ms)
{
	(void)rk, (void)timeout_ms;
	return rd_kafka_error_new(RD_KAFKA_RESP_ERR__STATE, "a plain producer cannot abort");
}

/* Behind the records, as a consumer would commit; a producer's handle does it by the admin's request, which is the same OffsetCommit. */
rd_kafka_error_t *__wrap_rd_kafka_send_offsets_to_transaction(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *offsets,
                                                              const rd_kafka_consumer_group_metadata_t *group, int timeout_ms)
{
	rd_kafka_AlterConsumerGroupOffsets_t *request = rd_kafka_AlterConsumerGroupOffsets_new(group_name, offsets);
	rd_kafka_queue_t *q = rd_kafka_queue_new(rk);
	rd_kafka_resp_err_t err = rd_kafka_flush(rk, timeout_ms);
	rd_kafka_event_t *ev;
	(void)group;
	rd_kafka_AlterConsumerGroupOffsets(rk, &request, 1, NULL, q);
	ev = rd_kafka_queue_poll(q, OFFSETS_MS);
	if (!err)
		err = ev ? rd_kafka_event_error(ev) : RD_KAFKA_RESP_ERR__TIMED_OUT;
	if (ev)
		rd_kafka_event_destroy(ev);
	rd_kafka_queue_destroy(q);
	rd_kafka_AlterConsumerGroupOffsets_destroy(request);
	return err ? rd_kafka_error_new(err, "offsets") : NULL;
}
