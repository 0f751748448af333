/* Any bytes as JSON, with deep paths and little memory. */
#include "tests/fuzz/fuzz_event_common.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct decoder *d, *again;
	const char *why = "";
	struct event ev;
	int r;

	if (!d) {
		d = must_decoder(&(struct decoder_options){ .format = EVENT_JSON, .item_path = "item|p.item|p.q.item", .attribute_paths = "a,p.a", .item_attribute_paths = "b,p.a|p.b",
			.record_max_bytes = 4096 });
		again = must_decoder(&(struct decoder_options){ .format = EVENT_PROTOBUF });
	}

	r = decoder_decode(d, &ev, NULL, 0, data, size, -1, &why);
	check_decoded(r, why, d, &ev, 256, again);
	return 0;
}
