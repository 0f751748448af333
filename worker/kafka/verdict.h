/* verdict.h - what an error while writing to Kafka leads to, by its code alone; every error of the transactional producers comes here.
 *
 * The four outcomes of the program: a record is skipped (a dead letter: learn/record.h, no Kafka error is one), the call is made again, the
 * transaction is aborted and the same staged bytes are sent again, or the process ends. Memory never goes back.
 * What the table does not name is judged by the client's own flags. Sources: KIP-98, KIP-360 (lost producer state is abortable), KIP-447
 * (offsets), KIP-588 (the coordinator's time-outs fence), KIP-890 (TRANSACTION_ABORTABLE). Pure functions: any thread.
 */
#ifndef S4REC_KAFKA_VERDICT_H
#define S4REC_KAFKA_VERDICT_H
#include <librdkafka/rdkafka.h>

enum verdict { V_OK, V_AGAIN /* the same call; only inside txn.c */, V_ABORT /* then send the same again */, V_STOP /* the process ends */ };

/* What the client says of an error beside its code. */
struct error_flags { int fatal, wants_abort, retriable; };

/* Of any call but commit. V_OK for RD_KAFKA_RESP_ERR_NO_ERROR. */
enum verdict verdict_of(rd_kafka_resp_err_t code, struct error_flags f);
/* Of commit: once it was called, the broker may have acted whatever the client says. V_ABORT only where the error asks for it and is no
 * time-out; else V_STOP. *ret_unknown 1: whether the transaction is there nobody knows. */
enum verdict verdict_of_commit(rd_kafka_resp_err_t code, struct error_flags f, int *ret_unknown);
/* Of a record that was not delivered, or could not be handed to the client; there are no flags. V_ABORT or V_STOP. */
enum verdict verdict_of_record(rd_kafka_resp_err_t code);

/* What a process that ends over this error ends with: EX_TEMPFAIL (75) starting again helps; EX_CONFIG (78), EX_NOPERM (77) somebody has to
 * do something first, and *ret_hint (static text, else NULL) says what. */
int verdict_exit(rd_kafka_resp_err_t code, const char **ret_hint);
#endif
