/* Any bytes as a cut; what was read is written and read again. */
#include "codec/cut.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t buf[8192];
	int64_t offsets[64], offsets2[64];
	struct cut c, got;
	size_t len;

	if (cut_decode(&c, offsets, 64, data, size) < 0)
		return 0;
	MUST(c.partitions <= 64);
	MUST(cut_encode(buf, sizeof(buf), &len, &c) == 0);
	if (len == 0)
		return 0; /* all fields 0: no bytes */
	MUST(cut_decode(&got, offsets2, 64, buf, len) == 0);
	MUST(got.step == c.step && got.partitions == c.partitions && got.now_ms == c.now_ms && got.commit == c.commit && got.version == c.version);
	MUST(got.events == c.events && got.dead_letters == c.dead_letters && got.discarded == c.discarded && got.config_hash == c.config_hash);
	MUST(memcmp(offsets, offsets2, c.partitions * sizeof(*offsets)) == 0);
	MUST(!strcmp(got.model_id, c.model_id) && !strcmp(got.run_id, c.run_id) && !strcmp(got.numeric_id, c.numeric_id));
	return 0;
}
