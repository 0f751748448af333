/* check.c - see check.h */
#include "worker/kafka/check.h"

#include <string.h>
#include <sysexits.h>

#include "codec/cut.h"
#include "topics/topics.h"
#include "worker/log.h"

static int own_input(const struct config *c)
{
	return !c->input_topic || !*c->input_topic;
}

/* The settings of one topic against the table: the number of wrong ones, each printed; -1: the broker does not tell. */
static int check_settings(const rd_kafka_ConfigResource_t *res, const struct topic *t)
{
	const char *name = rd_kafka_ConfigResource_name(res);
	const rd_kafka_ConfigEntry_t **entries;
	const struct topic_setting *s;
	size_t count, i;
	int wrong = 0;

	if (rd_kafka_ConfigResource_error(res)) {
		log_warn("settings of topic %s are not known: %s (the right to DescribeConfigs)", name, rd_kafka_ConfigResource_error_string(res));
		return -1;
	}
	entries = rd_kafka_ConfigResource_configs(res, &count);
	for (s = t->settings; s < t->settings + TOPIC_SETTINGS_MAX && s->key; s++) {
		for (i = 0; i < count && strcmp(rd_kafka_ConfigEntry_name(entries[i]), s->key) != 0; i++)
			;
		if (!s->required || i == count)
			continue;
		if (rd_kafka_ConfigEntry_value(entries[i]) && strcmp(rd_kafka_ConfigEntry_value(entries[i]), s->value) == 0)
			continue;
		log_error("topic %s has %s=%s, it must be %s (kafka-configs.sh --alter, or delete the topic and `s4rec topics create`)",
		        name, s->key, rd_kafka_ConfigEntry_value(entries[i]) ? rd_kafka_ConfigEntry_value(entries[i]) : "(hidden)", s->value);
		wrong++;
	}
	return wrong;
}

static int check_all_settings(rd_kafka_t *rk, const struct config *c, const char (*names)[TOPIC_NAME_MAX], const int *partitions, int strict)
{
	rd_kafka_ConfigResource_t *ask[TOPIC_COUNT];
	rd_kafka_AdminOptions_t *options;
	rd_kafka_queue_t *queue;
	rd_kafka_event_t *event;
	char err[512];
	size_t n = 0, i;
	int id, r = 0;

	for (id = 0; id < TOPIC_COUNT; id++)
		if (partitions[id] && (id != TOPIC_INTERACTIONS || own_input(c)))
			ask[n++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, names[id]);
	if (n == 0)
		return 0;

	options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	rd_kafka_AdminOptions_set_request_timeout(options, (int)(c->connect_timeout_ms < 1000 ? 1000 : c->connect_timeout_ms), err, sizeof err);
	queue = rd_kafka_queue_new(rk);
	rd_kafka_DescribeConfigs(rk, ask, n, options, queue);
	event = rd_kafka_queue_poll(queue, -1); /* the request's own timeout bounds it */
	if (rd_kafka_event_error(event)) {
		log_error("cannot read the settings of the topics: %s", rd_kafka_event_error_string(event));
		r = EX_UNAVAILABLE;
	} else {
		const rd_kafka_ConfigResource_t **got =
			rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &n);

		for (i = 0; i < n; i++)
			for (id = 0; id < TOPIC_COUNT; id++)
				if (strcmp(rd_kafka_ConfigResource_name(got[i]), names[id]) == 0) {
					int wrong = check_settings(got[i], topic_get(id));

					if (wrong > 0)
						r = EX_CONFIG;
					else if (wrong < 0 && strict && r == 0)
						r = EX_NOPERM;
				}
	}
	rd_kafka_event_destroy(event);
	rd_kafka_queue_destroy(queue);
	rd_kafka_AdminOptions_destroy(options);
	n = 0;
	for (id = 0; id < TOPIC_COUNT; id++)
		if (partitions[id] && (id != TOPIC_INTERACTIONS || own_input(c)))
			rd_kafka_ConfigResource_destroy(ask[n++]);
	return r;
}

int check_topics(rd_kafka_t *rk, const struct config *c, int strict, int *ret_partitions)
{
	char names[TOPIC_COUNT][TOPIC_NAME_MAX];
	const struct rd_kafka_metadata *md;
	rd_kafka_resp_err_t err;
	int id, i, k, r = 0, missing = 0;

	for (id = 0; id < TOPIC_COUNT; id++) {
		ret_partitions[id] = 0;
		if (topic_name(names[id], sizeof names[id], c->topic_prefix, id) < 0) {
			log_error("topic.prefix is too long: a topic's name has at most %d characters", TOPIC_NAME_MAX - 1);
			return EX_CONFIG;
		}
	}
	client_input_topic(names[TOPIC_INTERACTIONS], sizeof names[0], c);

	err = rd_kafka_metadata(rk, 1, NULL, &md, (int)c->connect_timeout_ms);
	if (err) {
		log_error("cannot list the topics at %s: %s", c->bootstrap_servers, rd_kafka_err2str(err));
		return EX_UNAVAILABLE;
	}
	for (i = 0; i < md->topic_cnt; i++)
		for (id = 0; id < TOPIC_COUNT; id++)
			if (strcmp(md->topics[i].topic, names[id]) == 0 && md->topics[i].err == RD_KAFKA_RESP_ERR_NO_ERROR)
				ret_partitions[id] = md->topics[i].partition_cnt;
	rd_kafka_metadata_destroy(md);

	for (id = 0; id < TOPIC_COUNT; id++) {
		k = topic_get(id)->partitions;
		if (ret_partitions[id] == 0) {
			log_error("topic %s is missing%s", names[id], id == TOPIC_INTERACTIONS && !own_input(c) ? ": it is input.topic, so its owner makes it" : "");
			missing += id != TOPIC_INTERACTIONS || own_input(c);
			r = EX_CONFIG;
		} else if (k && ret_partitions[id] != k && (id != TOPIC_INTERACTIONS || own_input(c))) {
			log_error("topic %s has %d partitions, it must have %d; delete it, then `s4rec topics create`",
			        names[id], ret_partitions[id], k);
			r = EX_CONFIG;
		}
	}
	if (missing)
		log_info("`s4rec topics create -b %s -t %s%s%s` makes the missing topics", c->bootstrap_servers, c->topic_prefix, own_input(c) ? "" : " --input.topic ",
		         own_input(c) ? "" : c->input_topic);
	i = check_all_settings(rk, c, names, ret_partitions, strict);
	return r ? r : i;
}

int check_model_topics(const struct config *c, int *ret_partitions)
{
	char input[TOPIC_NAME_MAX];
	rd_kafka_t *rk = NULL;
	int r = client_new(&rk, c, CLIENT_CONSUMER);

	if (r)
		return r;
	r = check_topics(rk, c, 0, ret_partitions);
	client_free(rk);
	if (r || ret_partitions[TOPIC_INTERACTIONS] <= CUT_PARTITIONS_MAX)
		return r;
	client_input_topic(input, sizeof input, c);
	log_error("%s has %d partitions, at most %d are supported", input, ret_partitions[TOPIC_INTERACTIONS], CUT_PARTITIONS_MAX);
	return EX_CONFIG;
}
