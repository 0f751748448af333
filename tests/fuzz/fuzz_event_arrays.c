/* Any bytes as JSON with arrays, some as long as a record may have, alternatives and types that count or are ignored. */
#include "tests/fuzz/fuzz_event_common.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct decoder *d, *again;
	const char *why = "";
	struct event ev;
	int r;

	if (!d) {
		d = must_decoder(&(struct decoder_options){ .format = EVENT_JSON, .user_path = "u,c.u", .item_path = "p.l[].i,l[],i", .weight_path = "p.l[].w,w", .time_path = "p.l[].t,t",
			.type_path = "p.l[].y,y", .event_id_path = "p.l[].e,e", .item_attribute_paths = "p.l[].a|b[],c", .type_weights = "x:ignore,y:2", .id_max_bytes = 40, .record_max_bytes = 4096 });
		again = must_decoder(&(struct decoder_options){ .format = EVENT_PROTOBUF });
	}

	r = decoder_decode(d, &ev, NULL, 0, data, size, -1, &why);
	check_decoded(r, why, d, &ev, 40, again);
	return 0;
}
