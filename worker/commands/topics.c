/* topics.c - `s4rec topics create|check`: the topics of topics/topics.h on the broker. */
#include "topics/topics.h"
#include "worker/command.h"
#include "worker/kafka/check.h"
#include "worker/learn/cutlog.h"
#include "worker/log.h"

#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define WAIT_MS 10000 /* for a new topic to show up in the metadata */

static rd_kafka_NewTopic_t *describe(const struct topic *t, const char *name, int partitions, const struct config *c)
{
	const struct topic_setting *s;
	rd_kafka_NewTopic_t *n;
	char err[256];

	n = rd_kafka_NewTopic_new(name, partitions, (int)c->replication_factor, err, sizeof err);
	if (n == NULL) {
		log_error("topic %s: %s", name, err);
		return NULL;
	}
	for (s = t->settings; s < t->settings + TOPIC_SETTINGS_MAX && s->key; s++)
		rd_kafka_NewTopic_set_config(n, s->key, s->value);
	return n;
}

/* Asks for one topic. 0 made, 1 it is there already, else an exit code. */
static int create_one(rd_kafka_t *rk, rd_kafka_queue_t *queue, rd_kafka_AdminOptions_t *options, rd_kafka_NewTopic_t *n)
{
	const rd_kafka_topic_result_t **results;
	rd_kafka_event_t *event;
	size_t count;
	int r = 0;

	rd_kafka_CreateTopics(rk, &n, 1, options, queue);
	event = rd_kafka_queue_poll(queue, -1); /* the request has its own timeout */
	if (rd_kafka_event_error(event)) {
		log_error("cannot create topics: %s", rd_kafka_event_error_string(event));
		r = EX_UNAVAILABLE;
	} else {
		results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
		if (count && rd_kafka_topic_result_error(results[0]) == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
			r = 1;
		else if (count && rd_kafka_topic_result_error(results[0])) {
			log_error("cannot create topic %s: %s", rd_kafka_topic_result_name(results[0]),
			        rd_kafka_topic_result_error_string(results[0]) ? rd_kafka_topic_result_error_string(results[0])
			                                                       : rd_kafka_err2str(rd_kafka_topic_result_error(results[0])));
			r = EX_CONFIG;
		}
	}
	rd_kafka_event_destroy(event);
	return r;
}

static int partitions_of(const struct rd_kafka_metadata *md, const char *name)
{
	int i;

	for (i = 0; i < md->topic_cnt; i++)
		if (strcmp(md->topics[i].topic, name) == 0)
			return md->topics[i].partition_cnt;
	return 0;
}

static int create_all(rd_kafka_t *rk, const struct config *c, const struct rd_kafka_metadata *md)
{
	rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	char name[TOPIC_NAME_MAX], err[256];
	int id, r = 0, partitions, there;

	rd_kafka_AdminOptions_set_operation_timeout(options, WAIT_MS, err, sizeof err);
	for (id = 0; id < TOPIC_COUNT && r == 0; id++) {
		const struct topic *t = topic_get(id);
		rd_kafka_NewTopic_t *n;

		if (id == TOPIC_INTERACTIONS && *c->input_topic) {
			printf("not ours %s (input.topic: its owner makes it)\n", c->input_topic);
			continue;
		}
		if (topic_name(name, sizeof name, c->topic_prefix, id) < 0) {
			log_error("topic.prefix is too long: a topic's name has at most %d characters", TOPIC_NAME_MAX - 1);
			r = EX_CONFIG;
			break;
		}
		partitions = t->partitions ? t->partitions : (int)c->partitions;
		there = partitions_of(md, name);
		if (there) {
			printf("exists   %s  %d partition%s%s\n", name, there, there == 1 ? "" : "s",
			       there == partitions ? "" : " (asked for another number; it is kept)");
			continue;
		}
		n = describe(t, name, partitions, c);
		r = n ? create_one(rk, queue, options, n) : EX_CONFIG;
		rd_kafka_NewTopic_destroy(n);
		if (r == 0)
			printf("created  %s  %d partition%s\n", name, partitions, partitions == 1 ? "" : "s");
		else if (r == 1) { /* somebody else was faster */
			printf("exists   %s\n", name);
			r = 0;
		}
	}
	rd_kafka_queue_destroy(queue);
	rd_kafka_AdminOptions_destroy(options);
	return r;
}

/* Until every topic of ours is in the metadata: who comes next must not find them missing. */
static void wait_visible(rd_kafka_t *rk, const struct config *c)
{
	const struct rd_kafka_metadata *md;
	char name[TOPIC_NAME_MAX];
	int tries, id, missing;

	for (tries = 0; tries < WAIT_MS / 50; tries++) {
		if (rd_kafka_metadata(rk, 1, NULL, &md, WAIT_MS))
			return;
		for (id = 0, missing = 0; id < TOPIC_COUNT; id++)
			if (!(id == TOPIC_INTERACTIONS && *c->input_topic) && topic_name(name, sizeof name, c->topic_prefix, id) == 0)
				missing += partitions_of(md, name) == 0;
		rd_kafka_metadata_destroy(md);
		if (!missing)
			return;
		usleep(50000);
	}
}

/* A model that was folded from these topics stands on their partition counts: its last cut names them. */
static int check_model(const struct config *c, const int *partitions)
{
	struct cutlog *log = NULL;
	struct cut last;
	int none = 1, r = cutlog_new(&log, c, END_COMMITTED);

	if (r == 0)
		r = cutlog_last(log, &last, &none);
	if (r == 0 && !none && (last.partitions != (size_t)partitions[TOPIC_INTERACTIONS] || last.embedding_partitions != (uint32_t)partitions[TOPIC_EMBEDDINGS])) {
		log_error("the model of prefix %s was folded from %zu input partitions and spread its rows over %u, not %d and %d; begin a new model with a new topic.prefix",
		          c->topic_prefix, last.partitions, last.embedding_partitions, partitions[TOPIC_INTERACTIONS], partitions[TOPIC_EMBEDDINGS]);
		r = EX_CONFIG;
	}
	cutlog_free(log);
	return r;
}

/* The partitions that topics will have: those that are there keep theirs. */
static void plan(const struct config *c, const struct rd_kafka_metadata *md, int *ret_partitions)
{
	char name[TOPIC_NAME_MAX];
	int id;

	for (id = 0; id < TOPIC_COUNT; id++) {
		if (id == TOPIC_INTERACTIONS)
			client_input_topic(name, sizeof name, c);
		else if (topic_name(name, sizeof name, c->topic_prefix, id) < 0)
			return; /* create_all says so */
		ret_partitions[id] = partitions_of(md, name);
		if (ret_partitions[id] == 0)
			ret_partitions[id] = topic_get(id)->partitions ? topic_get(id)->partitions : (int)c->partitions;
	}
}

/* Nothing is made beside a model that it would not fit. */
static int check_plan(const struct config *c, const struct rd_kafka_metadata *md)
{
	char batches[TOPIC_NAME_MAX];
	int partitions[TOPIC_COUNT] = { 0 };

	if (topic_name(batches, sizeof batches, c->topic_prefix, TOPIC_BATCHES) < 0 || partitions_of(md, batches) == 0)
		return 0;
	plan(c, md, partitions);
	return check_model(c, partitions);
}

static int create(rd_kafka_t *rk, const struct config *c)
{
	const struct rd_kafka_metadata *md;
	rd_kafka_resp_err_t err;
	int r;

	err = rd_kafka_metadata(rk, 1, NULL, &md, (int)c->connect_timeout_ms);
	if (err) {
		log_error("cannot list the topics at %s: %s", c->bootstrap_servers, rd_kafka_err2str(err));
		return EX_UNAVAILABLE;
	}
	r = check_plan(c, md);
	if (r == 0)
		r = create_all(rk, c, md);
	rd_kafka_metadata_destroy(md);
	if (r == 0)
		wait_visible(rk, c);
	return r;
}

int command_topics(int argc, char **argv)
{
	struct config c;
	rd_kafka_t *rk = NULL;
	int partitions[TOPIC_COUNT], r, id, make;

	r = config_parse(&c, C_TOPICS, "s4rec topics create|check [OPTION ...]", "s4rec topics create -b 127.0.0.1:9092 --partitions 4", argc, argv);
	if (r)
		return r < 0 ? EX_OK : r;
	make = c.arg_count == 1 && strcmp(c.args[0], "create") == 0;
	if (!make && !(c.arg_count == 1 && strcmp(c.args[0], "check") == 0)) {
		log_error("s4rec topics: say `create` or `check`");
		r = EX_USAGE;
		goto out;
	}

	r = client_new(&rk, &c, CLIENT_PLAIN_PRODUCER);
	if (r == 0 && make)
		r = create(rk, &c);
	if (r)
		goto out;

	r = check_topics(rk, &c, !make, partitions);
	if (r == 0)
		r = check_model(&c, partitions);
	for (id = 0; r == 0 && !make && id < TOPIC_COUNT; id++) {
		char name[TOPIC_NAME_MAX];

		if (id == TOPIC_INTERACTIONS)
			client_input_topic(name, sizeof name, &c);
		else
			topic_name(name, sizeof name, c.topic_prefix, id);
		printf("good     %s  %d partition%s  key: %s\n", name, partitions[id], partitions[id] == 1 ? "" : "s", topic_get(id)->key);
	}
out:
	client_free(rk);
	config_release(&c);
	return r;
}
