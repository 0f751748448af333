/* Any bytes as an embedding, a version record and a row key; what was read is written in every format and read again. */
#include <math.h>

#include "codec/embedding.h"
#include "tests/fuzz/fuzz.h"

#define D_MAX 64

static void embedding(const uint8_t *data, size_t size)
{
	static uint8_t buf[8192];
	float vec[D_MAX], vec2[D_MAX], seen[D_MAX];
	struct embedding e, got;
	size_t len;

	if (embedding_decode(&e, vec, D_MAX, data, size) < 0)
		return;
	MUST(e.D >= 1 && e.D <= D_MAX && e.vector == vec);
	for (size_t i = 0; i < e.D; i++)
		MUST(isfinite(vec[i]));

	for (int f = 0; f <= EMBEDDING_JSON; f++) {
		int r = embedding_encode(buf, sizeof(buf), &len, (enum embedding_format)f, &e);

		if (f == EMBEDDING_INT8 && r == -34) /* -ERANGE: too large for int8 */
			continue;
		MUST(r == 0);
		MUST(embedding_decode(&got, vec2, D_MAX, buf, len) == 0);
		embedding_roundtrip(seen, vec, e.D, (enum embedding_format)f);
		MUST(got.D == e.D && got.version == e.version && got.event_time_ms == e.event_time_ms && got.generation == e.generation && got.prototype == e.prototype);
		for (size_t i = 0; i < e.D; i++)
			MUST(seen[i] == vec2[i]);
	}
}

static void version(const uint8_t *data, size_t size)
{
	static uint8_t buf[16384];
	int64_t offsets[32], offsets2[32];
	struct version v, got;
	size_t len;

	if (version_decode(&v, offsets, 32, data, size) < 0)
		return;
	for (int f = 0; f <= EMBEDDING_JSON; f += 2) {
		MUST(version_encode(buf, sizeof(buf), &len, (enum embedding_format)f, &v) == 0);
		if (len == 0)
			continue; /* all fields 0: no bytes */
		MUST(version_decode(&got, offsets2, 32, buf, len) == 0);
		MUST(got.version == v.version && got.step == v.step && got.offset_count == v.offset_count && got.partition == v.partition);
		MUST(memcmp(offsets, offsets2, v.offset_count * sizeof(*offsets)) == 0);
		/* JSON turns a NUL-free text into itself, also with quotes and control characters */
		MUST(!strcmp(got.model_id, v.model_id) && !strcmp(got.space_id, v.space_id) && !strcmp(got.numeric_id, v.numeric_id));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum row_kind kind;
	const char *id;
	size_t id_len, len;
	static char key[1 << 16];

	embedding(data, size);
	version(data, size);
	if (size < sizeof(key) && row_key_parse(&kind, &id, &id_len, data, size) == 0) {
		MUST(row_key(key, sizeof(key), &len, kind, id, id_len) == 0);
		MUST(len == size && memcmp(key, data, size) == 0);
	}
	MUST(partition_of(data, size, 7) >= 0 && partition_of(data, size, 7) < 7);
	return 0;
}
