/* Any bytes as each kind of row of the state topic; what was read is written and read again. */
#include "codec/state.h"
#include "tests/fuzz/fuzz.h"

#define N_MAX 64

static uint8_t buf[1 << 16];

static void item(const uint8_t *data, size_t size)
{
	static float room[N_MAX], room2[N_MAX];
	struct item_state s, got;
	size_t len;

	if (item_state_decode(&s, room, N_MAX, data, size) < 0)
		return;
	MUST(s.values_n + s.published_n <= N_MAX);
	MUST(item_state_encode(buf, sizeof buf, &len, &s) == 0 && len <= ITEM_STATE_BYTES(s.values_n, s.published_n));
	MUST(item_state_decode(&got, room2, N_MAX, buf, len) == 0);
	MUST(got.row == s.row && got.values_n == s.values_n && got.published_n == s.published_n && got.row_step == s.row_step);
	MUST(s.values_n == 0 || memcmp(got.values, s.values, 4 * s.values_n) == 0);
}

static void user(const uint8_t *data, size_t size)
{
	static uint32_t items[N_MAX], items2[N_MAX], before_ms[N_MAX], before_ms2[N_MAX];
	static uint64_t ids[N_MAX], ids2[N_MAX];
	static float weights[N_MAX], weights2[N_MAX];
	const struct user_room room = { items, weights, before_ms, ids, N_MAX }, room2 = { items2, weights2, before_ms2, ids2, N_MAX };
	struct user_state s, got;
	size_t len;

	if (user_state_decode(&s, &room, data, size) < 0)
		return;
	MUST(s.n <= N_MAX);
	MUST(user_state_encode(buf, sizeof buf, &len, &s) == 0 && len <= USER_STATE_BYTES(s.n));
	MUST(user_state_decode(&got, &room2, buf, len) == 0);
	MUST(got.n == s.n && got.row == s.row && got.events == s.events && got.newest_ms == s.newest_ms);
	MUST(s.n == 0 || (memcmp(items, items2, 4 * s.n) == 0 && memcmp(weights, weights2, 4 * s.n) == 0 && memcmp(before_ms, before_ms2, 4 * s.n) == 0 &&
	                memcmp(ids, ids2, 8 * s.n) == 0));
}

static void manifest(const uint8_t *data, size_t size)
{
	static int64_t offsets[N_MAX], offsets2[N_MAX];
	struct manifest s, got;
	size_t len;

	if (manifest_decode(&s, offsets, N_MAX, data, size) < 0)
		return;
	MUST(manifest_encode(buf, sizeof buf, &len, &s) == 0);
	if (len == 0)
		return; /* all fields 0: no bytes */
	MUST(manifest_decode(&got, offsets2, N_MAX, buf, len) == 0);
	MUST(got.step == s.step && got.partitions == s.partitions && memcmp(offsets, offsets2, s.partitions * sizeof *offsets) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const void *p;
	size_t n;

	item(data, size);
	user(data, size);
	manifest(data, size);
	if (dense_state_decode(&p, &n, data, size) == 0)
		MUST(n <= size);
	return 0;
}
