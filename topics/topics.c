#include "topics/topics.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Required settings are those without which a promise breaks: an embeddings topic that is cut by time forgets rows, an
 * interactions topic that is compacted forgets events, a batches topic that is cut by time forgets where the model is. */
static const struct topic topics[TOPIC_COUNT] = {
	[TOPIC_INTERACTIONS] = {
		.suffix = "interactions",
		.key = "user id (UTF-8)",
		.value = "Interaction (topics/interaction.proto) or JSON; null = forget this user",
		.settings = {
			{ "cleanup.policy", "delete", 1 },
			{ "retention.ms", "2592000000", 0 }, /* 30 days; a restart needs the log back to the newest manifest */
		},
	},
	[TOPIC_EMBEDDINGS] = {
		.suffix = "embeddings",
		.key = "item/<id>, user/<id>, prototype/<k>, model",
		.value = "Embedding, at key model: Version (topics/embedding.proto); null = deleted",
		.settings = {
			{ "cleanup.policy", "compact", 1 },
			{ "compression.type", "zstd", 0 },
			{ "delete.retention.ms", "86400000", 0 }, /* a reader that was away for longer rebuilds from offset 0 */
		},
	},
	[TOPIC_STATE] = {
		.suffix = "state",
		.key = "item/<id>, user/<id>, dense/<name>/<i>, manifest",
		.value = "ItemState, UserState, DenseState, Manifest (topics/state.proto); internal",
		.partitions = 1, /* its order is the order of the flushes */
		.settings = {
			{ "cleanup.policy", "compact", 1 },
			{ "compression.type", "zstd", 0 },
			{ "delete.retention.ms", "86400000", 0 },
		},
	},
	[TOPIC_BATCHES] = {
		.suffix = "batches",
		.key = "step (decimal)",
		.value = "Cut (topics/cut.proto); internal",
		.partitions = 1,
		.settings = {
			{ "cleanup.policy", "delete", 1 },
			{ "retention.ms", "-1", 1 },    /* the worker deletes records below the second-newest manifest itself */
			{ "retention.bytes", "-1", 1 },
		},
	},
	[TOPIC_DLQ] = {
		.suffix = "dlq",
		.key = "the original key",
		.value = "the original bytes up to dlq.max.bytes; headers say reason, topic, partition, offset",
		.settings = {
			{ "cleanup.policy", "delete", 1 },
			{ "retention.ms", "1209600000", 0 }, /* 14 days */
		},
	},
};

const struct topic *topic_get(enum topic_id id)
{
	assert((unsigned)id < TOPIC_COUNT);
	return &topics[id];
}

int topic_name(char *ret, size_t size, const char *prefix, enum topic_id id)
{
	const char *suffix = topic_get(id)->suffix;
	size_t n = strlen(prefix) + 1 + strlen(suffix);

	if (n >= size || n >= TOPIC_NAME_MAX)
		return -ENAMETOOLONG;

	snprintf(ret, size, "%s.%s", prefix, suffix);
	return 0;
}
