/* codec.c - events/s of the decoders on one core, beside a memcpy of the same bytes (the price of touching them).
 * The median of several repetitions; a form that can be compared between commits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codec/embedding.h"
#include "codec/event.h"

#define RECORDS 20000
#define ROUNDS 10
#define REPETITIONS 9

static struct record {
	char key[24];
	size_t key_len;
	uint8_t value[256];
	size_t len;
} records[RECORDS];

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static volatile uint64_t sink;
static const struct event_header *headers; /* of every record */
static size_t header_count;

static int run_copy(struct decoder *d)
{
	static uint8_t buf[256];
	uint64_t sum = 0;

	for (int i = 0; i < RECORDS; i++) {
		memcpy(buf, records[i].value, records[i].len);
		__asm__ volatile("" : : "r"(buf) : "memory");
		sum += buf[0];
	}
	sink = sum;
	return 0;
}

static int run_decode(struct decoder *d)
{
	const char *why = "";
	struct event ev;
	uint64_t sum = 0;

	for (int i = 0; i < RECORDS; i++) {
		const struct record *r = &records[i];
		struct event_source from = { .key = r->key, .key_len = r->key_len, .value = r->value, .value_len = r->len, .record_ts_ms = 1700000000000,
			.headers = headers, .header_count = header_count };

		if (decoder_decode_from(d, &ev, &from, &why) < 0)
			return -1;
		do
			sum += ev.item_len + (uint64_t)ev.ts_ms;
		while (decoder_more(d, &ev));
	}
	sink = sum;
	return 0;
}

static double median_ns(int (*run)(struct decoder *), struct decoder *d)
{
	double ns[REPETITIONS];

	for (int k = -1; k < REPETITIONS; k++) { /* the first one warms up */
		double t = now_s();

		for (int i = 0; i < ROUNDS; i++) {
			if (run(d) < 0) {
				fprintf(stderr, "a record did not decode\n");
				exit(1);
			}
		}
		if (k >= 0)
			ns[k] = (now_s() - t) * 1e9 / (RECORDS * ROUNDS);
	}
	qsort(ns, REPETITIONS, sizeof(*ns), by_value);
	return ns[REPETITIONS / 2];
}

static void report(const char *name, struct decoder *d)
{
	double ns, copy, bytes = 0;

	for (int i = 0; i < RECORDS; i++)
		bytes += (double)records[i].len / RECORDS;
	copy = median_ns(run_copy, d);
	ns = median_ns(run_decode, d);
	printf("%-24s bytes=%.0f ns_per_event=%.1f events_per_s=%.0f memcpy_ns=%.1f\n", name, bytes, ns, 1e9 / ns, copy);
}

static void make_protobuf(int i, struct record *r)
{
	char item[24], id[24];
	struct event ev = { .item = item, .type = "click", .type_len = 5, .event_id = id, .ts_ms = 1699999000000 + i, .weight = 0.5f };

	ev.item_len = (size_t)snprintf(item, sizeof(item), "item-%d", i * 7919 % 100000);
	ev.event_id_len = (size_t)snprintf(id, sizeof(id), "e-%d", i);
	if (event_encode(r->value, sizeof(r->value), &r->len, &ev) < 0)
		exit(1);
}

static void make_json(int i, struct record *r)
{
	r->len = (size_t)snprintf((char *)r->value, sizeof(r->value), "{\"item_id\":\"item-%d\",\"event_time_ms\":%lld,\"type\":\"click\",\"weight\":0.5}",
	                          i * 7919 % 100000, 1699999000000ll + i);
}

static void make_segment(int i, struct record *r)
{
	r->len = (size_t)snprintf((char *)r->value, sizeof(r->value),
	    "{\"messageId\":\"m-%d\",\"type\":\"track\",\"timestamp\":\"2023-11-14T22:13:%02d.%03dZ\",\"context\":{\"ip\":\"10.0.0.1\",\"page\":[1,2]},"
	    "\"properties\":{\"product_id\":\"item-%d\",\"price\":12.5}}", i, i % 60, i % 1000, i * 7919 % 100000);
}

static void make_framed(int i, struct record *r)
{
	make_protobuf(i, r);
	memmove(r->value + 6, r->value, r->len);
	memcpy(r->value, "\0\0\0\0\1\0", 6);
	r->len += 6;
}

static void make_structured(int i, struct record *r)
{
	r->len = (size_t)snprintf((char *)r->value, sizeof(r->value),
	    "{\"specversion\":\"1.0\",\"id\":\"%d\",\"source\":\"/shop\",\"type\":\"click\",\"time\":\"2023-11-14T22:13:%02d.%03dZ\",\"data\":{\"item_id\":\"item-%d\"}}",
	    i, i % 60, i % 1000, i * 7919 % 100000);
}

static void make_order(int i, struct record *r)
{
	r->len = (size_t)snprintf((char *)r->value, sizeof(r->value),
	    "{\"messageId\":\"m-%d\",\"event\":\"Order Completed\",\"timestamp\":\"2023-11-14T22:13:%02d.%03dZ\",\"products\":[{\"product_id\":\"item-%d\"},{\"product_id\":\"item-%d\"},"
	    "{\"product_id\":\"item-%d\",\"price\":12.5}]}", i, i % 60, i % 1000, i * 7919 % 100000, i % 1000, i % 777);
}

static void bench_events(const char *name, void (*make)(int, struct record *), const struct decoder_options *o)
{
	const char *why = "";
	struct decoder *d;

	for (int i = 0; i < RECORDS; i++) {
		records[i].key_len = (size_t)snprintf(records[i].key, sizeof(records[i].key), "user-%d", i * 31 % 50000);
		make(i, &records[i]);
	}
	if (decoder_new(&d, o, &why) < 0)
		exit(1);
	report(name, d);
	decoder_free(d);
}

static void bench_rows(const char *name, enum embedding_format f)
{
	float x[64], vec[64];
	struct embedding e = { .vector = x, .D = 64, .version = 1000, .event_time_ms = 1700000000000, .prototype = 3 }, got;
	double in[REPETITIONS], out[REPETITIONS], t;
	uint8_t buf[4096];
	size_t len = 0;

	for (int i = 0; i < 64; i++)
		x[i] = (float)(i * 37 % 64 - 31) / 77.0f;
	for (int k = 0; k < REPETITIONS; k++) {
		t = now_s();
		for (int i = 0; i < 2000; i++)
			sink += (uint64_t)embedding_encode(buf, sizeof(buf), &len, f, &e);
		out[k] = (now_s() - t) * 1e9 / 2000;
		t = now_s();
		for (int i = 0; i < 2000; i++)
			sink += (uint64_t)embedding_decode(&got, vec, 64, buf, len);
		in[k] = (now_s() - t) * 1e9 / 2000;
	}
	qsort(out, REPETITIONS, sizeof(*out), by_value);
	qsort(in, REPETITIONS, sizeof(*in), by_value);
	printf("%-24s bytes=%zu encode_ns=%.0f decode_ns=%.0f\n", name, len, out[REPETITIONS / 2], in[REPETITIONS / 2]);
}

int main(void)
{
	static const struct event_header cloud[] = { { "ce_specversion", "1.0", 3 }, { "ce_id", "A234-1234", 9 }, { "ce_source", "/shop", 5 }, { "ce_type", "click", 5 },
		{ "ce_time", "2023-11-14T22:13:20.123Z", 24 }, { "content-type", "application/json", 16 } };

	bench_events("event protobuf", make_protobuf, &(struct decoder_options){ 0 });
	bench_events("event json", make_json, &(struct decoder_options){ 0 });
	bench_events("event json (segment)", make_segment, &(struct decoder_options){ .item_path = "properties.product_id" });
	bench_events("event confluent", make_framed, &(struct decoder_options){ .format = EVENT_CONFLUENT });
	bench_events("event cloud structured", make_structured, &(struct decoder_options){ .format = EVENT_CLOUDEVENTS });
	headers = cloud, header_count = sizeof cloud / sizeof *cloud;
	bench_events("event cloud binary", make_json, &(struct decoder_options){ 0 });
	headers = NULL, header_count = 0;
	bench_events("record of 3 events, json", make_order, &(struct decoder_options){ .item_path = "products[].product_id|product_id", .type_weights = "Order Completed:5,*:ignore" });
	bench_rows("row float32 D=64", EMBEDDING_FLOAT32);
	bench_rows("row int8 D=64", EMBEDDING_INT8);
	bench_rows("row json D=64", EMBEDDING_JSON);
	return 0;
}
