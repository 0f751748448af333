/* verdict.c - see verdict.h */
#include "worker/kafka/verdict.h"

#include <stddef.h>
#include <sysexits.h>

#define TRANSACTION_ABORTABLE ((rd_kafka_resp_err_t)120) /* KIP-890; older clients have no name for it */

#define ALLOW "this user must be allowed to write all topics of the prefix, its transactional ids and the group"
#define SMALLER "raise max.message.bytes of the topic and kafka.message.max.bytes, or lower dlq.max.bytes"
#define BROKER "the broker does not take what this version writes: its version, or a setting of the topic, does not fit"

struct rule { rd_kafka_resp_err_t code; enum verdict verdict; int exit; const char *hint; };

static const struct rule rules[] = {
	/* This producer is no longer the one, or never was: the next process is. */
	{ RD_KAFKA_RESP_ERR__FENCED, V_STOP, EX_TEMPFAIL, NULL },
	{ RD_KAFKA_RESP_ERR__FATAL, V_STOP, EX_TEMPFAIL, NULL },
	{ RD_KAFKA_RESP_ERR_PRODUCER_FENCED, V_STOP, EX_TEMPFAIL, NULL },
	{ RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, V_STOP, EX_TEMPFAIL, NULL },
	{ RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, V_STOP, EX_TEMPFAIL, NULL },
	{ RD_KAFKA_RESP_ERR_TRANSACTION_COORDINATOR_FENCED, V_STOP, EX_TEMPFAIL, NULL },

	/* Somebody has to do something first. */
	{ RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, V_STOP, EX_NOPERM, ALLOW },
	{ RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, V_STOP, EX_NOPERM, ALLOW },
	{ RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, V_STOP, EX_NOPERM, ALLOW },
	{ RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, V_STOP, EX_NOPERM, ALLOW },
	{ RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, V_STOP, EX_NOPERM, "the broker refuses the credentials (kafka.sasl.*)" },
	{ RD_KAFKA_RESP_ERR__AUTHENTICATION, V_STOP, EX_NOPERM, "the broker refuses the credentials (kafka.sasl.*, kafka.ssl.*)" },
	{ RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, V_STOP, EX_CONFIG, "a record is too large: " SMALLER },
	{ RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, V_STOP, EX_CONFIG, "a batch of records is larger than a segment: raise segment.bytes of the topic" },
	{ RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT, V_STOP, EX_CONFIG,
	  "lower transaction.timeout.ms and state.timeout.ms, or raise the broker's transaction.max.timeout.ms" },
	{ RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, V_STOP, EX_CONFIG, "the clocks of this machine and of the broker differ too much, or message.timestamp.* of the topic forbids now" },
	{ RD_KAFKA_RESP_ERR_INVALID_RECORD, V_STOP, EX_CONFIG, BROKER },
	{ RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, V_STOP, EX_CONFIG, BROKER },
	{ RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT, V_STOP, EX_CONFIG, BROKER },
	{ RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE, V_STOP, EX_CONFIG, BROKER },
	{ RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, V_STOP, EX_CONFIG, BROKER },
	{ RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, V_STOP, EX_CONFIG, BROKER },
	{ RD_KAFKA_RESP_ERR_POLICY_VIOLATION, V_STOP, EX_CONFIG, BROKER },
	{ RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, V_STOP, EX_TEMPFAIL, NULL }, /* a topic made anew with fewer: the next start says it better */

	/* The transaction is lost, its bytes are not. Should the producer itself be lost, the abort finds out. */
	{ TRANSACTION_ABORTABLE, V_ABORT, EX_TEMPFAIL, NULL },
	{ RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, V_ABORT, EX_TEMPFAIL, NULL },
	{ RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING, V_ABORT, EX_TEMPFAIL, NULL },
	{ RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, V_ABORT, EX_TEMPFAIL, NULL },
	{ RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER, V_ABORT, EX_TEMPFAIL, NULL },

	/* Not yet. */
	{ RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, V_AGAIN, EX_TEMPFAIL, NULL },
	{ RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, V_AGAIN, EX_TEMPFAIL, NULL },
	{ RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, V_AGAIN, EX_TEMPFAIL, NULL },
	{ RD_KAFKA_RESP_ERR_NOT_COORDINATOR, V_AGAIN, EX_TEMPFAIL, NULL },
	{ RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED, V_AGAIN, EX_TEMPFAIL, NULL },
};

static const struct rule *rule_of(rd_kafka_resp_err_t code)
{
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (rules[i].code == code)
			return &rules[i];
	return NULL;
}

/* A fatal error is the end of the producer, whatever its code; a transaction that must be aborted will not take the call again. */
enum verdict verdict_of(rd_kafka_resp_err_t code, struct error_flags f)
{
	const struct rule *rule = rule_of(code);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		return V_OK;
	if (f.fatal || (rule && rule->verdict == V_STOP))
		return V_STOP;
	if (f.wants_abort || (rule && rule->verdict == V_ABORT))
		return V_ABORT;
	return f.retriable || rule ? V_AGAIN : V_STOP;
}

static int lost_answer(rd_kafka_resp_err_t code)
{
	switch (code) {
	case RD_KAFKA_RESP_ERR__TIMED_OUT:
	case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
	case RD_KAFKA_RESP_ERR__TRANSPORT:
	case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
	case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
	case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
		return 1;
	default:
		return 0;
	}
}

enum verdict verdict_of_commit(rd_kafka_resp_err_t code, struct error_flags f, int *ret_unknown)
{
	*ret_unknown = code != RD_KAFKA_RESP_ERR_NO_ERROR && (!f.wants_abort || lost_answer(code));
	return *ret_unknown ? V_STOP : verdict_of(code, f);
}

enum verdict verdict_of_record(rd_kafka_resp_err_t code)
{
	const struct rule *rule = rule_of(code);
	return rule && rule->verdict == V_STOP ? V_STOP : V_ABORT;
}

int verdict_exit(rd_kafka_resp_err_t code, const char **ret_hint)
{
	const struct rule *rule = rule_of(code);
	*ret_hint = rule ? rule->hint : NULL;
	return rule ? rule->exit : EX_TEMPFAIL;
}
