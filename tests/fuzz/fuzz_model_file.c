/* The reader of model files. First byte 0: the rest is the file. Else: the rest is the head's text, a 0, the payload as it is before
 * compression; the file is made of them here, with right lengths and checksums, so that fuzzing gets past those. What loads must be
 * safe to use: one step, one ranking.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include "model/file.h"
#include "tests/fuzz/fuzz.h"

static const struct model_config config = {
	.L = 2, .D = 2, .heads = 1, .layers = 1, .K = 1, .loss = LOSS_BCE, .negatives = 1, .queue = 2, .eps = 1, .iters = 1, .tau1 = 1, .tau2 = 1, .tau3 = 1,
	.beta_1 = .9f, .beta_2 = .999f, .adam_eps = 1e-8f, .alpha = .1f, .seed = 1, .threads = 1, .items_max = 20, .batch_users_max = 2,
};

static void put(int fd, const void *p, size_t n) { MUST(write(fd, p, n) == (ssize_t)n); }

static void compose(int fd, const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, 0, size) : NULL;
	uint32_t version = MODEL_FILE_VERSION, bytes = (uint32_t)(end ? (size_t)(end - data) : size);
	size_t payload = end ? size - bytes - 1 : 0, room = ZSTD_compressBound(payload);
	char *head = malloc(16 + bytes), *frame = malloc(room);
	ZSTD_CCtx *z = ZSTD_createCCtx();
	uint64_t hash;

	memcpy(head, "S4RECMDL", 8);
	memcpy(head + 8, &version, 4);
	memcpy(head + 12, &bytes, 4);
	memcpy(head + 16, data, bytes);
	hash = XXH3_64bits(head, 16 + bytes);
	ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1);
	room = ZSTD_compress2(z, frame, room, data + size - payload, payload);
	put(fd, head, 16 + bytes);
	put(fd, &hash, sizeof hash);
	put(fd, frame, room);
	ZSTD_freeCCtx(z);
	free(frame);
	free(head);
}

static void use(struct model *m)
{
	uint64_t user[2] = { 1, 2 };
	uint32_t start[3] = { 0, 1, 2 }, item[2] = { 0, (uint32_t)model_items(m) - 1 }, target[2] = { item[1], NO_ROW }, rank[2];
	struct batch b = { .B = 2, .T = 2, .user = user, .start = start, .item = item, .target = target };
	struct step_stats st;
	struct grad *g;
	float h[4];

	if (!model_items(m))
		return;
	MUST(grad_new(&g, m) == 0);
	model_encode(m, h, &b);
	model_rank(m, rank, h, target, 2, NULL);
	model_grad(m, g, &b, 7, &st);
	if (!st.discarded)
		model_apply(m, g, 7, .1f);
	grad_free(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct model_config any;
	struct model *m = NULL;
	struct idmap *ids = NULL;
	char path[40], why[200] = "";
	size_t items;
	int fd = memfd_create("model", 0), r;

	if (!size || fd < 0)
		return 0;
	if (data[0])
		compose(fd, data + 1, size - 1);
	else
		put(fd, data + 1, size - 1);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);

	r = model_file_config(&any, &items, path, why, sizeof why);
	MUST(r == 0 || (r < 0 && *why && strlen(why) < sizeof why));
	r = model_load(&m, &ids, &config, path, why, sizeof why);
	MUST(r == 0 ? m != NULL : m == NULL && ids == NULL && *why != 0);
	if (r == 0) {
		MUST(!ids || idmap_rows(ids) == model_items(m));
		use(m);
	}
	model_free(m);
	idmap_free(ids);
	close(fd);
	return 0;
}
