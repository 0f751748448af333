/* topics.h - every topic that s4rec knows: name, key, settings. One table; `s4rec topics create|check`, the worker's
 * start and the documentation follow it. No Kafka types here, no hidden state: any thread may call.
 */
#ifndef S4REC_TOPICS_H
#define S4REC_TOPICS_H

#include <stddef.h>

enum topic_id { TOPIC_INTERACTIONS, TOPIC_EMBEDDINGS, TOPIC_STATE, TOPIC_BATCHES, TOPIC_DLQ, TOPIC_COUNT };

struct topic_setting {
	const char *key;   /* Kafka's name of the setting */
	const char *value; /* what `create` asks for */
	int required;      /* 1: `check` refuses any other value; 0: advice, operators may differ */
};

#define TOPIC_SETTINGS_MAX 6

struct topic {
	const char *suffix;   /* the name is <prefix>.<suffix> */
	const char *key;      /* what the record key is, for people */
	const char *value;    /* what the value is, for people */
	int partitions;       /* 0 = the configured number */
	struct topic_setting settings[TOPIC_SETTINGS_MAX]; /* ends with a NULL key */
};

/* The row of the table for one topic. Never NULL for id < TOPIC_COUNT. */
const struct topic *topic_get(enum topic_id id);

/* Writes "<prefix>.<suffix>" to ret (size bytes). 0, or -ENAMETOOLONG (Kafka's limit is 249). */
int topic_name(char *ret, size_t size, const char *prefix, enum topic_id id);

#define TOPIC_NAME_MAX 250

#endif
