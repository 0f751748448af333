/* import.c - `s4rec import FILE`: a new model from a file. `s4rec train` goes on from there.
 *
 * What a start would find of an import that was killed: state and first cut are one transaction of the state producer, so nothing or both,
 * and `import` may simply be run again. Cuts without state are those of a young model that `train` began; state without cuts nobody writes.
 * Either is somebody's model, and refused.
 */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "model/kernel.h"
#include "worker/command.h"
#include "worker/config.h"
#include "worker/kafka/check.h"
#include "worker/kafka/reader.h"
#include "worker/kafka/txn.h"
#include "worker/learn/cutlog.h"
#include "worker/log.h"
#include "worker/state/state.h"

struct import {
	const struct config *cfg;
	int counts[TOPIC_COUNT]; /* partitions */
	char run_id[64];
	char input[TOPIC_NAME_MAX];
	struct learner *learner;
	struct state *state;
};

static int any(const rd_kafka_message_t *m)
{
	return 1;
}

static int refuse_records(const struct config *c, enum topic_id topic)
{
	struct reader in;
	void *value = NULL;
	size_t len;
	int64_t offset;
	int r = reader_open(&in, c, topic, END_COMMITTED);
	if (r == 0)
		r = reader_last(&in, any, &value, &len, &offset);
	if (value) {
		log_error("%s is not empty (a record at offset %lld): prefix %s has a model already; import with a new topic.prefix (and `s4rec topics create`)",
		          in.topic, (long long)offset, c->topic_prefix);
		r = EX_CONFIG;
	}
	free(value);
	reader_close(&in);
	return r;
}

static int refuse_model(const struct config *c)
{
	int r = refuse_records(c, TOPIC_BATCHES);
	return r ? r : refuse_records(c, TOPIC_STATE);
}

/* Asked twice: at first without a hand on anything, since fencing would end the worker of a model that is alive; then again, when nobody of
 * before can flush or commit any more. The order is a worker's (loop.c) turned round: one that starts just now and is not fenced as the
 * committer becomes the committer after us, so it fences us as the writer of state after that, and only then reads: it finds what we sent, or
 * we are refused. The other order would let it come to both in between. */
static int own_prefix(struct import *x)
{
	struct txn *trainer = NULL;
	int r = refuse_model(x->cfg);
	if (r == 0)
		r = state_write(x->state, x->run_id);
	if (r == 0)
		r = txn_new(&trainer, x->cfg, CLIENT_TXN_PRODUCER);
	txn_free(trainer);
	return r ? r : refuse_model(x->cfg);
}

/* The fold begins where the input begins today. */
static int found(struct import *x)
{
	struct learner *l = x->learner;
	size_t partitions = (size_t)x->counts[TOPIC_INTERACTIONS];
	int64_t offsets[partitions];
	struct cut first = { .step = l->step, .offsets = offsets, .partitions = partitions, .now_ms = (int64_t)time(NULL) * 1000 };
	int r = client_input_watermarks(x->cfg, (int)partitions, offsets, NULL);
	if (r)
		return r;
	cutlog_sign(&first, l, x->run_id, x->counts[TOPIC_EMBEDDINGS]);
	r = state_found(x->state, &first, NULL);
	if (r == 0)
		log_info("imported to %s: step=%llu items=%zu; `s4rec train` goes on from the beginning of %s and publishes all item rows first", x->cfg->topic_prefix,
		         (unsigned long long)l->step, model_items(l->model), x->input);
	return r;
}

static int import(const struct config *c, const char *path)
{
	struct import x = { .cfg = c };
	cutlog_run_id(x.run_id, sizeof x.run_id);
	client_input_topic(x.input, sizeof x.input, c);
	kernel_portable(c->kernel == 1);
	int r = check_model_topics(c, x.counts);
	if (r == 0)
		r = learner_new(&x.learner, c, x.input, x.counts[TOPIC_EMBEDDINGS]);
	if (r == 0)
		r = learner_load(x.learner, path);
	if (r == 0)
		r = state_new(&x.state, c, x.learner, x.counts[TOPIC_INTERACTIONS]);
	if (r == 0)
		r = own_prefix(&x);
	if (r == 0)
		r = found(&x);
	state_free(x.state);
	learner_free(x.learner);
	return r;
}

int command_import(int argc, char **argv)
{
	struct config c;
	int r = config_parse(&c, C_IMPORT, "s4rec import FILE [OPTION]...", "s4rec import model.s4rec --config train.properties", argc, argv);
	if (r)
		return r < 0 ? 0 : r;

	if (c.arg_count != 1) {
		log_error("name one FILE to read; see s4rec import --help");
		r = EX_USAGE;
	} else {
		c.eval_out[0] = c.eval_windows[0] = '\0'; /* of the trainer whose file of options this may be */
		r = import(&c, c.args[0]);
	}
	config_release(&c);
	return r;
}
