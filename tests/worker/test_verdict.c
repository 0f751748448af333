/* test_verdict.c - each Kafka error that can meet a transactional producer leads to the outcome that its code asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sysexits.h>

#include "worker/kafka/verdict.h"

#define E(name) RD_KAFKA_RESP_ERR_##name
#define ABORTABLE ((rd_kafka_resp_err_t)120)

static const struct error_flags none = { 0 }, fatal = { .fatal = 1 }, wants_abort = { .wants_abort = 1 }, retriable = { .retriable = 1 };

/* Codes that need no word of the client: what they mean is the same in every call. */
static const struct { rd_kafka_resp_err_t code; enum verdict v; int exit; } known[] = {
	{ E(_FENCED), V_STOP, EX_TEMPFAIL }, { E(PRODUCER_FENCED), V_STOP, EX_TEMPFAIL }, { E(INVALID_PRODUCER_EPOCH), V_STOP, EX_TEMPFAIL },
	{ E(INVALID_TXN_STATE), V_STOP, EX_TEMPFAIL }, { E(TRANSACTION_COORDINATOR_FENCED), V_STOP, EX_TEMPFAIL }, { E(_FATAL), V_STOP, EX_TEMPFAIL },
	{ E(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), V_STOP, EX_NOPERM }, { E(CLUSTER_AUTHORIZATION_FAILED), V_STOP, EX_NOPERM },
	{ E(TOPIC_AUTHORIZATION_FAILED), V_STOP, EX_NOPERM }, { E(GROUP_AUTHORIZATION_FAILED), V_STOP, EX_NOPERM },
	{ E(SASL_AUTHENTICATION_FAILED), V_STOP, EX_NOPERM }, { E(_AUTHENTICATION), V_STOP, EX_NOPERM },
	{ E(MSG_SIZE_TOO_LARGE), V_STOP, EX_CONFIG }, { E(RECORD_LIST_TOO_LARGE), V_STOP, EX_CONFIG }, { E(INVALID_TRANSACTION_TIMEOUT), V_STOP, EX_CONFIG },
	{ E(INVALID_TIMESTAMP), V_STOP, EX_CONFIG }, { E(INVALID_RECORD), V_STOP, EX_CONFIG }, { E(UNSUPPORTED_VERSION), V_STOP, EX_CONFIG },
	{ E(POLICY_VIOLATION), V_STOP, EX_CONFIG },
	{ ABORTABLE, V_ABORT, EX_TEMPFAIL }, { E(UNKNOWN_PRODUCER_ID), V_ABORT, EX_TEMPFAIL }, { E(INVALID_PRODUCER_ID_MAPPING), V_ABORT, EX_TEMPFAIL },
	{ E(OUT_OF_ORDER_SEQUENCE_NUMBER), V_ABORT, EX_TEMPFAIL },
	{ E(CONCURRENT_TRANSACTIONS), V_AGAIN, EX_TEMPFAIL }, { E(COORDINATOR_LOAD_IN_PROGRESS), V_AGAIN, EX_TEMPFAIL },
	{ E(COORDINATOR_NOT_AVAILABLE), V_AGAIN, EX_TEMPFAIL }, { E(NOT_COORDINATOR), V_AGAIN, EX_TEMPFAIL },
	{ E(THROTTLING_QUOTA_EXCEEDED), V_AGAIN, EX_TEMPFAIL },
};
#define KNOWN (sizeof known / sizeof *known)

static void test_by_code(void **state)
{
	for (size_t i = 0; i < KNOWN; i++) {
		const char *hint;
		print_message("%s\n", rd_kafka_err2name(known[i].code));
		assert_int_equal(verdict_of(known[i].code, none), known[i].v);
		assert_int_equal(verdict_exit(known[i].code, &hint), known[i].exit);
		assert_int_equal(hint != NULL, known[i].exit != EX_TEMPFAIL); /* who must do something is told what */
	}
	assert_int_equal(verdict_of(E(NO_ERROR), none), V_OK);
}

static void test_flags(void **state)
{
	/* what the table does not name is the client's to judge; what nobody knows ends the process */
	assert_int_equal(verdict_of(E(_TIMED_OUT), retriable), V_AGAIN);
	assert_int_equal(verdict_of(E(_MSG_TIMED_OUT), wants_abort), V_ABORT);
	assert_int_equal(verdict_of(E(ILLEGAL_GENERATION), wants_abort), V_ABORT);
	assert_int_equal(verdict_of(E(_STATE), none), V_STOP);
	assert_int_equal(verdict_of((rd_kafka_resp_err_t)9999, none), V_STOP);

	/* the greater trouble wins: no abort saves a fenced producer, no patience an aborted transaction */
	for (size_t i = 0; i < KNOWN; i++) {
		assert_int_equal(verdict_of(known[i].code, fatal), V_STOP);
		assert_int_equal(verdict_of(known[i].code, wants_abort), known[i].v == V_STOP ? V_STOP : V_ABORT);
		assert_int_equal(verdict_of(known[i].code, retriable), known[i].v);
	}
}

static void test_commit(void **state)
{
	int unknown;

	assert_int_equal(verdict_of_commit(E(NO_ERROR), none, &unknown), V_OK);
	assert_int_equal(unknown, 0);
	/* an answer that asks for an abort is an answer */
	assert_int_equal(verdict_of_commit(ABORTABLE, wants_abort, &unknown), V_ABORT);
	assert_int_equal(unknown, 0);
	assert_int_equal(verdict_of_commit(E(PRODUCER_FENCED), wants_abort, &unknown), V_STOP);
	assert_int_equal(unknown, 0);
	/* everything else is none, however patient the client would be */
	static const rd_kafka_resp_err_t lost[] = { E(_TIMED_OUT), E(_TRANSPORT), E(REQUEST_TIMED_OUT), E(_ALL_BROKERS_DOWN), E(NETWORK_EXCEPTION) };
	for (size_t i = 0; i < sizeof lost / sizeof *lost; i++) {
		assert_int_equal(verdict_of_commit(lost[i], wants_abort, &unknown), V_STOP);
		assert_int_equal(unknown, 1);
	}
	assert_int_equal(verdict_of_commit(E(CONCURRENT_TRANSACTIONS), retriable, &unknown), V_STOP);
	assert_int_equal(unknown, 1);
	assert_int_equal(verdict_of_commit(ABORTABLE, none, &unknown), V_STOP);
	assert_int_equal(unknown, 1);
}

static void test_record(void **state)
{
	/* a record is refused for what it is, or its transaction is sent again; never is it left out, never waited for */
	for (size_t i = 0; i < KNOWN; i++)
		assert_int_equal(verdict_of_record(known[i].code), known[i].v == V_STOP ? V_STOP : V_ABORT);
	assert_int_equal(verdict_of_record(E(_MSG_TIMED_OUT)), V_ABORT);
	assert_int_equal(verdict_of_record(E(_PURGE_QUEUE)), V_ABORT);
	assert_int_equal(verdict_of_record(E(NOT_ENOUGH_REPLICAS)), V_ABORT);
	assert_int_equal(verdict_of_record(E(NO_ERROR)), V_ABORT); /* no report at all */
	assert_int_equal(verdict_of_record(E(_UNKNOWN_PARTITION)), V_STOP);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_by_code), cmocka_unit_test(test_flags), cmocka_unit_test(test_commit), cmocka_unit_test(test_record) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
