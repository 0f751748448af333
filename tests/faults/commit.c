/* commit.c - preloaded: the transaction of the n-th commit of the process (COMMIT_FAILS=n) is lost, as after an error that only an abort mends. */
#include <dlfcn.h>
#include <librdkafka/rdkafka.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LOST RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER

static void find(void *ret, const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);
	memcpy(ret, &f, sizeof f);
}

rd_kafka_error_t *rd_kafka_commit_transaction(rd_kafka_t *rk, int timeout_ms)
{
	static _Atomic int commits;
	rd_kafka_error_t *(*real)(rd_kafka_t *, int);
	const char *which = getenv("COMMIT_FAILS");
	find(&real, "rd_kafka_commit_transaction");
	return which && atomic_fetch_add(&commits, 1) + 1 == atoi(which) ? rd_kafka_error_new(LOST, "lost by commit.so") : real(rk, timeout_ms);
}

int rd_kafka_error_txn_requires_abort(const rd_kafka_error_t *error)
{
	int (*real)(const rd_kafka_error_t *);
	find(&real, "rd_kafka_error_txn_requires_abort");
	return rd_kafka_error_code(error) == LOST || real(error);
}
