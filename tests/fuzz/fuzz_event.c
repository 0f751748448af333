/* Any bytes as a record: [length of the key][key][value], format by itself or protobuf. */
#include "tests/fuzz/fuzz_event_common.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct decoder *d[2], *again;
	size_t key_len;

	if (!d[0]) {
		d[0] = must_decoder(&(struct decoder_options){ .id_max_bytes = 300, .record_max_bytes = 2000 });
		d[1] = must_decoder(&(struct decoder_options){ .format = EVENT_PROTOBUF, .id_max_bytes = 300, .record_max_bytes = 2000 });
		again = must_decoder(&(struct decoder_options){ .format = EVENT_PROTOBUF, .id_max_bytes = 300 });
	}
	if (size == 0)
		return 0;
	key_len = data[0] < size ? data[0] : size - 1;

	for (int i = 0; i < 2; i++) {
		const char *why = "";
		struct event ev;
		int r = decoder_decode(d[i], &ev, data + 1, key_len, data + 1 + key_len, size - 1 - key_len, size & 1 ? 1700000000000 : -1, &why);

		check_decoded(r, why, d[i], &ev, 300, again);
	}
	return 0;
}
