# s4rec - build, test, demo. `make help` lists the targets.
#
# On a machine that lacks something: `make setup` (Debian; asks sudo). `make test` and `make demo` do that themselves.
# Variables: BUILD (output folder), CFLAGS, LDFLAGS, WERROR= (warnings stay warnings), T (seconds per fuzz target),
# V=1 (show whole commands), RUN (a program that runs those that were built, where they are for another machine: tests/aarch64.sh).
BUILD   ?= build
CFLAGS  ?= -O3 -g
WERROR  ?= -Werror
T       ?= 5
JOBS    := $(shell nproc 2>/dev/null || echo 2)

# Debian's OpenBLAS comes serial, pthread and openmp, and a system-wide link says which one -lopenblas means. The serial one computes
# wrong numbers when two threads call it, so the pthread build is named here, for the linker and (rpath) for the loader.
BLAS_DIR := $(wildcard /usr/lib/$(shell $(CC) -print-multiarch 2>/dev/null)/openblas-pthread)
ifneq ($(BLAS_DIR),)
BLAS_LIBS := -L$(BLAS_DIR) -Wl,-rpath,$(BLAS_DIR) -lopenblas
PKG_CONFIG := PKG_CONFIG_PATH=$(BLAS_DIR)/pkgconfig:$$PKG_CONFIG_PATH pkg-config
else
BLAS_LIBS = $(shell $(PKG_CONFIG) --libs openblas 2>/dev/null || echo -lopenblas)
PKG_CONFIG := pkg-config
endif

WARN    := -std=gnu11 -Wall -Wextra $(WERROR) -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter
PKGS    := rdkafka libzstd libprotobuf-c yajl libmicrohttpd
CPPFLAGS += -I. -I$(BUILD)/gen -D_GNU_SOURCE $(shell $(PKG_CONFIG) --cflags $(PKGS) openblas 2>/dev/null)
LDLIBS  := $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null) $(BLAS_LIBS) -lm -lpthread
ALLFLAGS = $(CFLAGS) $(HARDEN) $(WARN) $(CPPFLAGS) -MMD -MP

# hardening, where it does not stand in the way of a sanitizer or of -O0
ifeq ($(findstring -fsanitize,$(CFLAGS)),)
HARDEN  := -fPIE -fstack-protector-strong $(if $(filter -O1 -O2 -O3 -Os,$(CFLAGS)),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
LDHARD  := -pie -Wl,-z,relro,-z,now
else
WARN    += -Wno-maybe-uninitialized # instrumented code makes gcc see ghosts
endif
show     = $(if $(V),,@echo "$(1)" && )
LINK     = $(CC) $(CFLAGS) $(HARDEN) $(LDHARD) $(LDFLAGS)

PROTOS  := $(wildcard topics/*.proto)
GEN     := $(PROTOS:%.proto=$(BUILD)/gen/%.pb-c.c)
TOPICS  := $(wildcard topics/*.c)
CODEC   := $(wildcard codec/*.c)
MODEL   := $(wildcard model/*.c)
WORKER  := $(wildcard worker/*.c worker/*/*.c)
obj      = $(patsubst %.c,$(BUILD)/%.o,$(1))

LIB_CODEC := $(BUILD)/libcodec.a
LIB_MODEL := $(BUILD)/libmodel.a
OBJ_WORKER := $(call obj,$(filter-out worker/main.c,$(WORKER)))

# the readers' library: what reads the embeddings topic, with the decoders and the id map that it stands on; neither protobuf-c, zstd nor OpenBLAS
READER    := $(wildcard worker/reader/*.c) worker/kafka/base.c topics/topics.c model/idmap.c $(addprefix codec/,embedding.c embedding_json.c partition.c utf8.c)
READER_VERSION := 0.1.0
READER_ABI     := 0
READER_SO := libs4rec-reader.so.$(READER_VERSION)
READER_PKGS := rdkafka yajl
PREFIX    ?= /usr/local
LIBDIR    ?= $(PREFIX)/lib

all: $(BUILD)/s4rec ## the binary build/s4rec

lib: $(BUILD)/$(READER_SO) $(BUILD)/libs4rec-reader.a ## libs4rec-reader, shared and static: the vectors in a service's memory (worker/reader)

help: ## this list
	@sed -n 's/^\([a-z0-9%-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | while IFS='	' read -r t h; do printf '%-12s %s\n' "$$t" "$$h"; done

setup: ## install what building and testing need (Debian 12, 13), fetch a Kafka broker; nothing where all is there
	tests/setup.sh

# ---- build ----------------------------------------------------------------------------------------------------------

$(BUILD)/s4rec: $(call obj,$(WORKER)) $(LIB_MODEL) $(LIB_CODEC)
	$(call show,link $@)$(LINK) -o $@ $^ $(LDLIBS)

# ar beside, then rename: a second make at the same time sees the old or the new archive, never half of one
archive = $(call show,ar $@)rm -f $@.$$$$; $(AR) rcs $@.$$$$ $^ && mv $@.$$$$ $@
$(LIB_CODEC): $(call obj,$(TOPICS) $(CODEC)) $(GEN:.c=.o)
	$(archive)
$(LIB_MODEL): $(call obj,$(MODEL))
	$(archive)

# Only what s4rec-reader.h declares is to be seen: in the shared library by visibility, in the static one since all of it is one object whose other
# names are made local.
$(BUILD)/reader/%.o: %.c | $(BUILD)/.checked
	@mkdir -p $(@D)
	$(call show,cc $@)$(CC) $(CFLAGS) $(filter-out -fPIE,$(HARDEN)) $(WARN) $(CPPFLAGS) -MMD -MP $(EXTRA) -fPIC -fvisibility=hidden -c -o $@ $<
$(BUILD)/$(READER_SO): $(patsubst %.c,$(BUILD)/reader/%.o,$(READER))
	$(call show,link $@)$(CC) $(CFLAGS) -shared -Wl,-soname,libs4rec-reader.so.$(READER_ABI) -Wl,-z,relro,-z,now -Wl,--no-undefined $(LDFLAGS) -o $@ $^ $$($(PKG_CONFIG) --libs $(READER_PKGS)) -lm -lpthread
$(BUILD)/libs4rec-reader.a: $(patsubst %.c,$(BUILD)/reader/%.o,$(READER))
	$(call show,ar $@)$(LD) -r -o $@.o $^ && objcopy --localize-hidden $@.o && rm -f $@ && $(AR) rcs $@ $@.o && rm -f $@.o
install: all lib ## the binary, and libs4rec-reader with its header and pkg-config file; PREFIX (/usr/local), LIBDIR, DESTDIR
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 755 $(BUILD)/s4rec $(DESTDIR)$(PREFIX)/bin/
	install -m 644 worker/reader/s4rec-reader.h $(DESTDIR)$(PREFIX)/include/
	install -m 755 $(BUILD)/$(READER_SO) $(DESTDIR)$(LIBDIR)/
	install -m 644 $(BUILD)/libs4rec-reader.a $(DESTDIR)$(LIBDIR)/
	ln -sf $(READER_SO) $(DESTDIR)$(LIBDIR)/libs4rec-reader.so.$(READER_ABI)
	ln -sf libs4rec-reader.so.$(READER_ABI) $(DESTDIR)$(LIBDIR)/libs4rec-reader.so
	sed 's,@PREFIX@,$(PREFIX),; s,@LIBDIR@,$(LIBDIR),; s,@VERSION@,$(READER_VERSION),; s,@PKGS@,$(READER_PKGS),' worker/reader/s4rec-reader.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/s4rec-reader.pc
	[ -n "$(DESTDIR)" ] || ldconfig 2>/dev/null || :

# Looks once at what the build stands on, so that what is missing has a name.
$(BUILD)/.checked:
	@mkdir -p $(@D)
	@for p in $(PKGS) openblas; do $(PKG_CONFIG) --exists $$p || { echo "make: $$p is missing; run tests/setup.sh (or: make setup)" >&2; exit 1; }; done
	@command -v protoc >/dev/null && command -v protoc-gen-c >/dev/null || { echo "make: protoc or protoc-gen-c (protobuf-c) is missing; run tests/setup.sh (or: make setup)" >&2; exit 1; }
	@printf '%s\n' '#include <cblas.h>' '#include <stdio.h>' 'int main(void) { printf("%d", openblas_get_parallel()); return 0; }' >$@.c
	@$(CC) $(CPPFLAGS) -o $@.bin $@.c $(BLAS_LIBS) && kind=$$($(RUN) $@.bin) && rm -f $@.c $@.bin && [ "$$kind" = 1 ] || { echo "make: this OpenBLAS is not the pthread build (kind $$kind; 0 serial, 2 OpenMP), which gives wrong numbers under threads; install libopenblas-pthread-dev" >&2; exit 1; }
	@touch $@

$(BUILD)/gen/%.pb-c.c: %.proto | $(BUILD)/.checked
	@mkdir -p $(@D)
	$(call show,protoc $<)protoc --c_out=$(BUILD)/gen $<
$(BUILD)/gen/%.o: $(BUILD)/gen/%.c
	$(call show,cc $<)$(CC) $(CFLAGS) $(HARDEN) $(CPPFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/%.o: %.c | $(GEN) $(BUILD)/.checked
	@mkdir -p $(@D)
	$(call show,cc $<)$(CC) $(ALLFLAGS) $(EXTRA) -c -o $@ $<
# nobody reads errno or floating-point flags: without this sqrtf keeps Adam's loop from becoming vectors
$(BUILD)/model/%.o: EXTRA = -fno-math-errno -fno-trapping-math
# sums in any order, but divisions stay divisions: -ffast-math would estimate them by an instruction whose bits differ between CPUs
$(BUILD)/model/vmath.o: EXTRA = -fno-math-errno -fno-trapping-math -fno-signed-zeros -fassociative-math -ffinite-math-only
# sums in any order
$(BUILD)/worker/reader/top.o $(BUILD)/reader/worker/reader/top.o: EXTRA = -fno-math-errno -fno-trapping-math -fno-signed-zeros -fassociative-math
# sqrt of these loops is one instruction on many numbers only when it need not set errno; the numbers are the same
$(BUILD)/model/adam.o $(BUILD)/model/away.o: EXTRA = -fno-math-errno

# ---- test programs ----------------------------------------------------------------------------------------------------
# tests/<folder>/x.c -> build/tests/x, linked with what the folder may use: a test_x.c is a unit test, others are tools

UNIT      := $(wildcard $(addprefix tests/,$(addsuffix /test_*.c,topics codec model worker)))
TOOLS     := $(filter-out $(UNIT),$(wildcard tests/topics/*.c tests/codec/*.c tests/model/*.c tests/worker/*.c tests/e2e/*.c))
BENCHES   := $(wildcard tests/bench/*.c)
program    = $(patsubst %.c,$(BUILD)/tests/%,$(notdir $(1)))
units      = $(call program,$(filter tests/$(1)/%,$(UNIT)))
ifneq ($(words $(notdir $(UNIT) $(TOOLS) $(BENCHES))),$(words $(sort $(notdir $(UNIT) $(TOOLS) $(BENCHES)))))
$(error two test programs have one name: $(sort $(UNIT) $(TOOLS) $(BENCHES)))
endif
comma     := ,
build_test = @mkdir -p $(@D)
link_test  = $(call show,cc $@)$(CC) $(ALLFLAGS) $(LDHARD) $(LDFLAGS) -MF $@.d -MT $@ -o $@ $<

$(BUILD)/tests/%: tests/topics/%.c $(LIB_CODEC)
	$(build_test)
	$(link_test) $(LIB_CODEC) -lcmocka $(LDLIBS)
$(BUILD)/tests/%: tests/codec/%.c $(LIB_CODEC)
	$(build_test)
	$(link_test) $(LIB_CODEC) -lcmocka $(LDLIBS)
$(BUILD)/tests/%: tests/model/%.c $(LIB_MODEL)
	$(build_test)
	$(link_test) $(LIB_MODEL) -lcmocka $(LDLIBS)
$(BUILD)/tests/%: tests/worker/%.c $(OBJ_WORKER) $(LIB_MODEL) $(LIB_CODEC)
	$(build_test)
	$(link_test) $(OBJ_WORKER) $(LIB_MODEL) $(LIB_CODEC) -lcmocka $(LDLIBS)
$(BUILD)/tests/%: tests/e2e/%.c $(LIB_CODEC)
	$(build_test)
	$(link_test) $(LIB_CODEC) $(LDLIBS)
$(BUILD)/tests/%: tests/bench/%.c $(OBJ_WORKER) $(LIB_MODEL) $(LIB_CODEC)
	$(build_test)
	$(link_test) $(OBJ_WORKER) $(LIB_MODEL) $(LIB_CODEC) $(LDLIBS)

$(BUILD)/tests/%: tests/eval/%.c $(OBJ_WORKER) $(LIB_MODEL) $(LIB_CODEC)
	$(build_test)
	$(link_test) $(OBJ_WORKER) $(LIB_MODEL) $(LIB_CODEC) $(LDLIBS)

# ---- faults: the program with crash points, tools and preloaded libraries of tests/faults -------------------------------

FAULTS    := $(BUILD)/faults
FAULT_SO  := clock alloc commit
FAULT_BIN := records proxy refold
$(FAULTS)/%.o: %.c | $(GEN) $(BUILD)/.checked
	@mkdir -p $(@D)
	$(call show,cc $@)$(CC) $(ALLFLAGS) -DS4REC_CRASH_POINTS -c -o $@ $<
$(FAULTS)/s4rec: $(patsubst %.c,$(FAULTS)/%.o,$(WORKER) tests/faults/crash_point.c) $(LIB_MODEL) $(LIB_CODEC)
	$(call show,link $@)$(LINK) -o $@ $^ $(LDLIBS)
$(patsubst %,$(FAULTS)/%.so,$(FAULT_SO)): $(FAULTS)/%.so: tests/faults/%.c tests/faults/caller.h
	@mkdir -p $(@D)
	$(call show,cc $@)$(CC) -O1 -g $(WARN) -Wno-missing-prototypes -I. -D_GNU_SOURCE -fPIC -shared -o $@ $< -ldl
$(patsubst %,$(FAULTS)/%,$(FAULT_BIN)): $(FAULTS)/%: tests/faults/%.c $(OBJ_WORKER) $(LIB_MODEL) $(LIB_CODEC)
	@mkdir -p $(@D)
	$(link_test) $(OBJ_WORKER) $(LIB_MODEL) $(LIB_CODEC) $(LDLIBS)
fault-tools: all $(BUILD)/tests/kafkatool $(FAULTS)/s4rec $(patsubst %,$(FAULTS)/%.so,$(FAULT_SO)) $(patsubst %,$(FAULTS)/%,$(FAULT_BIN)) ; @:

# the program with a plain producer in place of the transactional one, for tests/bench/exactly_once.sh
WRAPPED   := conf_set init_transactions begin_transaction commit_transaction abort_transaction send_offsets_to_transaction consumer_group_metadata_new
$(BUILD)/tests/s4rec_at_least_once: tests/bench/exactly_once/at_least_once.c $(call obj,$(WORKER)) $(LIB_MODEL) $(LIB_CODEC)
	$(build_test)
	$(link_test) $(patsubst %,-Wl$(comma)--wrap=rd_kafka_%,$(WRAPPED)) $(filter-out $<,$^) $(LDLIBS)

tests: all $(if $(findstring -fsanitize,$(CFLAGS)),,lib) $(call program,$(UNIT) $(TOOLS)) ## build the test programs, run nothing

# ---- run --------------------------------------------------------------------------------------------------------------

check: ## the unit tests, in seconds, no broker; check-model etc. for one folder
	@$(MAKE) --no-print-directory -j$(JOBS) units-topics units-codec units-model units-worker
	@BUILD=$(BUILD) tests/run.sh unit
check-topics check-codec check-model check-worker: check-%:
	@$(MAKE) --no-print-directory -j$(JOBS) units-$*
	@BUILD=$(BUILD) tests/run.sh unit-$*
units-topics: $(call units,topics) ; @:
units-codec: $(call units,codec) ; @:
units-model: $(call units,model) $(call program,$(wildcard tests/model/golden.c)) ; @:
units-worker: $(call units,worker) ; @:

check-aarch64: ## unit tests of topics, codec and model built for aarch64, under qemu-user (minutes; ALL=1 all of them, an hour); installs cross compiler and libraries (Debian)
	@tests/aarch64.sh

# packages may appear only in setup, and pkg-config is asked while make reads this file: hence a make of its own after it
test: ## everything a submission must pass, with a real broker of its own (minutes); installs what is missing
	tests/setup.sh
	@$(MAKE) --no-print-directory -j$(JOBS) tests fault-tools
	@BUILD=$(BUILD) FUZZ_SECONDS=$(T) tests/run.sh

demo: ## see it work: a real broker, a click stream, a model that learns; installs what is missing
	tests/setup.sh
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@BUILD=$(BUILD) tests/broker/broker.sh run $(BUILD)/demo -- tests/e2e/demo.sh

e2e: ## the end-to-end tests alone; BROKER=host:port uses a broker that runs; e2e-train for test_train.sh alone
	@$(MAKE) --no-print-directory -j$(JOBS) tests
	@BUILD=$(BUILD) tests/run.sh e2e
e2e-%:
	@$(MAKE) --no-print-directory -j$(JOBS) tests
	@BUILD=$(BUILD) tests/run.sh e2e-$*

test-readers: ## readers and sinks of topics/ in every language, on a real broker, Redis and PostgreSQL; installs JDK, Go, Node and these, fetches Kafka clients
	tests/setup.sh readers
	@$(MAKE) --no-print-directory -j$(JOBS) tests $(BUILD)/readers/go/reader $(BUILD)/readers/node/.installed
	@BUILD=$(BUILD) tests/broker/broker.sh run $(BUILD)/readers/broker -- sh -ec 'sh tests/readers/all.sh; sh tests/readers/sinks.sh'
$(BUILD)/readers/go/reader: topics/readers/go/reader.go topics/readers/go/go.mod topics/readers/go/go.sum
	@mkdir -p $(@D)
	$(call show,go build $<)cd topics/readers/go && go build -o $(abspath $@) .
$(BUILD)/readers/node/.installed: topics/readers/node/package.json topics/readers/node/package-lock.json
	@mkdir -p $(@D)
	$(call show,npm ci $<)cp $^ $(@D)/ && cd $(@D) && npm ci --silent --no-audit --no-fund && touch .installed

faults: ## the short form of each fault: kills, zombies, outages, lost answers ...; faults-x for tests/faults/test_x.sh
	@$(MAKE) --no-print-directory -j$(JOBS) fault-tools
	@BUILD=$(BUILD) tests/run.sh faults
faults-%:
	@$(MAKE) --no-print-directory -j$(JOBS) fault-tools
	@BUILD=$(BUILD) tests/run.sh faults-$*

mutations: ## breaks each rule of exactly once on purpose, in a scratch worktree of HEAD, and expects a named test to fail
	@tests/faults/mutations.sh

soak: ## faults of all kinds at random over a live stream; KILLS=200 MINUTES=30 for a long one, SEED=n repeats one
	@$(MAKE) --no-print-directory -j$(JOBS) fault-tools
	@rm -rf $(BUILD)/soak; tests/broker/broker.sh start $(BUILD)/soak >/dev/null
	@code=0; BUILD=$(BUILD) FAULTS=$(CURDIR)/$(BUILD)/soak KILLS="$(KILLS)" MINUTES="$(MINUTES)" bash tests/faults/soak.sh || code=$$?; \
		tests/broker/broker.sh stop $(BUILD)/soak; rm -rf $(BUILD)/soak/data; exit $$code

# tests/bench/x.c (or bench_x.c) is `make bench-x`; with an x.sh beside it, or alone, that is run, under a broker
bench: ## all benchmarks but million, one after another; bench-x for one
	@for b in $(filter-out million,$(sort $(patsubst bench_%,%,$(basename $(notdir $(BENCHES) $(wildcard tests/bench/*.sh)))))); do echo "== $$b"; $(MAKE) --no-print-directory bench-$$b || exit; done
bench-%:
	@$(MAKE) --no-print-directory -j$(JOBS) all $(call program,$(wildcard tests/bench/$*.c tests/bench/bench_$*.c))
	@$(if $(wildcard tests/bench/$*.sh),BUILD=$(BUILD) tests/broker/broker.sh run $(BUILD)/bench -- tests/bench/$*.sh,$(call program,$(wildcard tests/bench/$*.c tests/bench/bench_$*.c)))

# DATA=folder with beauty_sequences.txt (not part of this repository), else a synthetic file of that size; ARGS="--threads 1 --loss bce" and others.
# The environment is pip's own business: PIP_INDEX_URL, PIP_FIND_LINKS and the like reach it.
bench-torch: ## seconds an epoch beside PyTorch doing the same; fetches PyTorch into build/torch (gigabytes); DATA=folder, ARGS=options of tests/bench/torch/bench.py
	@$(MAKE) --no-print-directory -j$(JOBS) all $(BUILD)/torch/.installed
	@PYTHONDONTWRITEBYTECODE=1 $(BUILD)/torch/venv/bin/python -W ignore tests/bench/torch/check.py tests/model/golden/*.txt
	@PYTHONDONTWRITEBYTECODE=1 $(BUILD)/torch/venv/bin/python -W ignore tests/bench/torch/bench.py $(BUILD)/s4rec $(BUILD)/torch $(DATA) $(ARGS)
$(BUILD)/torch/.installed: tests/bench/torch/requirements.txt
	@mkdir -p $(@D)
	@python3 -m venv $(@D)/venv || { echo "make: python3 cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(call show,pip install -r $<)$(@D)/venv/bin/pip install -q -r $<
	@touch $@

# PAPER, PARTS, EVENTS, SEEDS, EPOCHS and others come by the environment
eval: ## the tables below but for eval-beauty, of the files that are there (says which are expected where); hours; DATA=folder, PAPER=1: the paper's tables, too, PARTS="loo replay": these only
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@BUILD=$(BUILD) tests/eval/all.sh "$(DATA)"

eval-beauty: ## Amazon Beauty through Kafka; DATA=folder that holds beauty_events.tsv.zst (not part of this repository)
	@$(MAKE) --no-print-directory -j$(JOBS) all $(BUILD)/tests/neighbours
	@BUILD=$(BUILD) tests/broker/broker.sh run $(BUILD)/eval -- tests/eval/beauty.sh "$(DATA)"

eval-loo: ## leave-one-out on Beauty and ML-1M, no broker; DATA=folder that holds beauty_sequences.txt, ml-1m_sequences.txt (not part of this repository)
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@BUILD=$(BUILD) tests/eval/loo.sh "$(DATA)"

eval-prequential: ## test-then-train on a news site's clicks beside baselines, no broker; DATA=folder that holds globo_clicks_by_time.csv.zst (not part of this repository)
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@BUILD=$(BUILD) tests/eval/prequential.sh "$(DATA)"

eval-globo-kafka: ## those clicks, three million, through Kafka: minutes, events/s, memory; DATA=folder as for eval-prequential
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@BUILD=$(BUILD) tests/broker/broker.sh run $(BUILD)/eval -- tests/eval/globo_kafka.sh "$(DATA)" $(ARGS)

eval-browser: ## opens two reports in headless Chromium and looks at them; skipped where there is none
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@BUILD=$(BUILD) tests/eval/browser.sh

eval-replay: ## Beauty replayed through Kafka against training from the file; DATA=folder with beauty_events.tsv.zst, beauty_sequences.txt (not part of this repository), EPOCHS
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@BUILD=$(BUILD) tests/broker/broker.sh run $(BUILD)/eval -- tests/eval/replay.sh "$(DATA)" $(ARGS)

eval-ablation: ## what each loss, rehearsal, warm rows and logQ are worth on those clicks; hours, goes on where it stopped; DATA=folder as for eval-prequential, EVENTS, SEEDS
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@BUILD=$(BUILD) tests/eval/ablation.sh "$(DATA)" $(ARGS)

eval-drift: ## does an answer to drift pay: synthetic streams whose laws change, no broker, no data; ARGS=options
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@BUILD=$(BUILD) tests/eval/drift.sh $(ARGS)

eval-paper: ## the paper's tables (ablations, K, lambda, time to quality) on Beauty and ML-1M; hours, goes on where it stopped; DATA=folder as for eval-loo
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@BUILD=$(BUILD) tests/eval/paper.sh "$(DATA)" $(ARGS)

SANITIZE = $(MAKE) --no-print-directory -j$(JOBS) BUILD=$(BUILD)/$(1) CFLAGS="-O1 -g -fno-omit-frame-pointer -DS4_NO_CLONES $(2)"
ASAN    := -fsanitize=address,undefined -fno-sanitize-recover=all
asan: ## unit tests with address and undefined-behaviour sanitizers (build/asan)
	@$(call SANITIZE,asan,$(ASAN)) tests
	@BUILD=$(BUILD)/asan tests/run.sh unit
ubsan: asan
asan-e2e: ## the end-to-end tests with the same sanitizers
	@$(call SANITIZE,asan,$(ASAN)) tests
	@BUILD=$(BUILD)/asan tests/run.sh e2e
tsan: ## unit tests of model and worker with the thread sanitizer (build/tsan)
	@$(call SANITIZE,tsan,-fsanitize=thread) units-model units-worker
	@BUILD=$(BUILD)/tsan tests/run.sh unit-model unit-worker

fuzz: ## fuzz the decoders, T seconds a target
	BUILD=$(BUILD) tests/fuzz/run.sh $(T)

lint: ## static analysis with cppcheck
	cppcheck -q -j$(JOBS) --error-exitcode=1 --std=c11 --platform=unix64 --enable=warning,performance,portability --inline-suppr \
		--suppressions-list=tests/lint.suppress -I. -D__x86_64__=1 -D_GNU_SOURCE topics codec model worker
analyze: ## gcc's own analyser: slow, and not free of false alarms
	@$(MAKE) --no-print-directory -j$(JOBS) BUILD=$(BUILD)/analyze CFLAGS="-O1 -fanalyzer" WERROR= all

metrics-page: $(BUILD)/tests/test_metrics ## write worker/watch/METRICS.md from the table of metrics
	$(BUILD)/tests/test_metrics --page >worker/watch/METRICS.md

format: ## lay out the sources by .clang-format
	clang-format -i $(shell git ls-files '*.[ch]')

clean: ## remove what was built (keeps the downloaded broker)
	find $(BUILD) -mindepth 1 -maxdepth 1 ! -name kafka -exec rm -rf {} +

.PHONY: all lib install metrics-page test-readers bench-torch eval eval-ablation eval-beauty eval-browser eval-drift eval-globo-kafka eval-loo eval-prequential eval-paper eval-replay help setup tests check check-topics check-codec check-model check-worker units-topics units-codec units-model units-worker test demo e2e faults fault-tools soak mutations bench asan ubsan asan-e2e tsan fuzz lint analyze format clean
.SECONDARY:
.DELETE_ON_ERROR:
-include $(shell find $(BUILD) -path $(BUILD)/kafka -prune -o -name '*.d' -print 2>/dev/null)
