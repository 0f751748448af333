/* small_learner.h - what tests of a learner begin with: the configuration of a small model, a decoder of JSON events, records. After cmocka.h. */
#ifndef S4REC_SMALL_LEARNER_H
#define S4REC_SMALL_LEARNER_H
#include "worker/learn/learner.h"

static struct config cfg;
static struct decoder *decoder;
static struct record_pool *pool;

/* With these options beside its own: "--max.items", "100", ..., NULL. 0 = as cmocka's set-up wants it. */
static int begin_small(char **options)
{
	const char *why;
	char *argv[64] = { "test", "--width", "8", "--heads", "2", "--layers", "1", "--prototypes", "4", "--max.length", "6", "--warmup.steps", "0", "--sinkhorn.queue", "16",
		"--max.items", "100", "--threads", "1" };
	struct decoder_options o = { .format = EVENT_JSON, .record_max_bytes = 1 << 20, .weight_max = 1e6, .attribute_paths = "device,country", .item_attribute_paths = "category,brand" };
	int n = 0;
	while (argv[n])
		n++;
	while (*options)
		argv[n++] = *options++;
	return config_parse(&cfg, C_TRAIN, "", "", n, argv) || decoder_new(&decoder, &o, &why) || record_pool_new(&pool);
}

static int end(void **state)
{
	decoder_free(decoder);
	record_pool_free(pool);
	config_release(&cfg);
	return 0;
}
#endif
