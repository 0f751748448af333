/* First line = header, the others = rows. */
#include "codec/delimited.h"
#include "tests/fuzz/fuzz_event_common.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct delimited_options options = { .line_max_bytes = 500 };
	static struct decoder *again;
	const char *p = (const char *)data, *end = p + size, *nl = size ? memchr(p, '\n', size) : NULL;
	struct delimited *d = NULL;
	char reason[100];

	if (!again)
		again = must_decoder(&(struct decoder_options){ .format = EVENT_PROTOBUF });
	if (!nl)
		nl = end;
	if (delimited_new(&d, &options, p, (size_t)(nl - p), reason, sizeof(reason)) < 0) {
		MUST(strlen(reason) > 0 && strlen(reason) < sizeof(reason));
		return 0;
	}

	for (p = nl; p < end; p = nl) {
		const char *why = "";
		struct event ev;
		int r;

		p++;
		nl = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
		if (!nl)
			nl = end;
		r = delimited_decode(d, &ev, p, (size_t)(nl - p), &why);
		if (r < 0) {
			check_reason(r, why);
			continue;
		}
		check_event(&ev, 256);
		check_roundtrip(&ev, again);
	}
	delimited_free(d);
	return 0;
}
