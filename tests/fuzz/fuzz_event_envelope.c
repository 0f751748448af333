/* Any bytes as a record with headers: [how many headers] ([length][name][length][value])... value. By itself, as Confluent's, as a CloudEvent. */
#include "tests/fuzz/fuzz_event_common.h"

#define HEADERS_MAX 8

struct cursor { const uint8_t *p, *end; };

/* A length and so many bytes, cut off where there are fewer. */
static size_t take(struct cursor *c, const uint8_t **ret)
{
	size_t n = c->p < c->end ? *c->p++ : 0, left = (size_t)(c->end - c->p);

	n = n < left ? n : left;
	*ret = c->p;
	c->p += n;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum event_format formats[] = { EVENT_AUTO, EVENT_CONFLUENT, EVENT_CLOUDEVENTS };
	static struct decoder *d[3], *again;
	static char names[HEADERS_MAX][256];
	struct event_header headers[HEADERS_MAX];
	struct cursor c = { data, data + size };
	const uint8_t *bytes;

	for (size_t i = 0; !again && i < 3; i++)
		d[i] = must_decoder(&(struct decoder_options){ .format = formats[i], .id_max_bytes = 300, .record_max_bytes = 2000 });
	if (!again)
		again = must_decoder(&(struct decoder_options){ .format = EVENT_PROTOBUF, .id_max_bytes = 300 });

	size_t n = c.p < c.end ? *c.p++ % (HEADERS_MAX + 1) : 0;
	for (size_t i = 0; i < n; i++) {
		size_t len = take(&c, &bytes);

		memcpy(names[i], bytes, len);
		names[i][len] = 0;
		headers[i].name = names[i];
		headers[i].len = take(&c, &bytes);
		headers[i].value = headers[i].len ? bytes : NULL;
	}

	struct event_source in = { .key = "u", .key_len = 1, .value = c.p ? c.p : (const uint8_t *)"", .value_len = (size_t)(c.end - c.p),
		.record_ts_ms = size & 1 ? 1700000000000 : -1, .headers = headers, .header_count = n };
	for (size_t i = 0; i < 3; i++) {
		const char *why = "";
		struct event ev;
		int r = decoder_decode_from(d[i], &ev, &in, &why);

		check_decoded(r, why, d[i], &ev, 300, again);
	}
	return 0;
}
