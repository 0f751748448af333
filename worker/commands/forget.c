/* forget.c - `s4rec forget USER...`: the null records that make every worker of the input forget these users, in the order of the log. What came
 * before such a record in its partition is forgotten; what comes after begins a new user.
 *
 * The key is the user id and Java's partitioner picks the partition, as `load` and most producers do: a topic whose events lie elsewhere needs its
 * null records from its own producer.
 *
 * `s4rec forget --rebuild`: what the weights still know goes, too. A new model beside the old one (learn/side.h), from the log without all that its null
 * records forget (learn/forgets.h).
 */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "worker/command.h"
#include "worker/config.h"
#include "worker/kafka/client.h"
#include "worker/kafka/delivery.h"
#include "worker/log.h"

static int check_ids(const struct config *c)
{
	for (size_t i = 0; i < c->arg_count; i++) {
		size_t len = strlen(c->args[i]);
		if (len == 0 || len > (size_t)c->id_max_bytes) {
			log_error("user '%s': an id has 1 to id.max.bytes=%lld bytes", c->args[i], (long long)c->id_max_bytes);
			return EX_USAGE;
		}
	}
	return 0;
}

static int send_null(rd_kafka_t *rk, rd_kafka_topic_t *topic, const char *user, struct delivery *d)
{
	while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, NULL, 0, user, strlen(user), d)) {
		if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
			log_error("%s: %s", rd_kafka_topic_name(topic), rd_kafka_err2str(rd_kafka_last_error()));
			return EX_UNAVAILABLE;
		}
		rd_kafka_poll(rk, 10);
	}
	d->sent++;
	return 0;
}

static int forget(const struct config *c)
{
	struct delivery d = { 0 };
	rd_kafka_t *rk = NULL;
	rd_kafka_topic_t *topic = NULL;
	int r = client_input_producer(&rk, &topic, c);
	for (size_t i = 0; r == 0 && i < c->arg_count; i++)
		r = send_null(rk, topic, c->args[i], &d);
	if (rk)
		delivery_wait(rk, &d);
	if (r == 0 && d.ok < d.sent) {
		log_error("%llu of %llu records were not delivered: %s", (unsigned long long)(d.sent - d.ok), (unsigned long long)d.sent, rd_kafka_err2str(d.first_error));
		r = EX_UNAVAILABLE;
	}
	if (r == 0)
		log_info("%llu null records are in %s: its workers forget these users when they come to them", (unsigned long long)d.ok, rd_kafka_topic_name(topic));
	if (topic)
		rd_kafka_topic_destroy(topic);
	client_free(rk);
	return r;
}

static int set_default(char **option, const char *value)
{
	return **option ? 0 : config_own(option, strdup(value));
}

/* A bounded `train --from beginning` that knows the log's null records before it begins. */
static int rebuild(int argc, char **argv)
{
	struct config c;
	log_stamped();
	int r = config_parse(&c, C_FORGET | C_TRAIN, "s4rec forget --rebuild --model.id ID [OPTION of train]...", "s4rec forget --rebuild --model.id 2 --config train.properties", argc, argv);
	if (r)
		return r < 0 ? 0 : r;

	if (c.arg_count || !c.rebuild) {
		log_error(c.arg_count ? "--rebuild takes no users: it forgets whom the log forgets" : "s4rec forget: --rebuild=false is no rebuild");
		r = EX_USAGE;
	}
	if (r == 0)
		r = set_default(&c.from, "beginning");
	if (r == 0)
		r = set_default(&c.until, "end");
	if (r == 0)
		r = train_start(&c);
	config_release(&c);
	return r;
}

static int asks_rebuild(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strncmp(argv[i], "--rebuild", 9) && (argv[i][9] == '\0' || argv[i][9] == '='))
			return 1;
	return 0;
}

int command_forget(int argc, char **argv)
{
	struct config c;
	if (asks_rebuild(argc, argv))
		return rebuild(argc, argv);
	int r = config_parse(&c, C_FORGET, "s4rec forget USER... [OPTION]...", "s4rec forget anna -b 127.0.0.1:9092", argc, argv);
	if (r)
		return r < 0 ? 0 : r;

	if (c.arg_count == 0) {
		log_error("name the users to forget; see s4rec forget --help");
		r = EX_USAGE;
	} else {
		r = check_ids(&c);
	}
	if (r == 0)
		r = forget(&c);
	config_release(&c);
	return r;
}
