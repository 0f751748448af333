# s4rec - build, test, demo. `make help` lists the targets.
CC      ?= cc
BUILD   ?= build
CFLAGS  ?= -O3 -g
WARN    := -std=gnu11 -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter
PKGS    := rdkafka libzstd libprotobuf-c yajl openblas
CPPFLAGS += -I. -I$(BUILD)/gen -D_GNU_SOURCE $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LDLIBS  := $(shell pkg-config --libs rdkafka libzstd libprotobuf-c yajl 2>/dev/null) -lopenblas -lm -lpthread
ALLFLAGS = $(CFLAGS) $(WARN) $(CPPFLAGS) -MMD -MP

PROTOS  := $(wildcard topics/*.proto)
GEN     := $(PROTOS:%.proto=$(BUILD)/gen/%.pb-c.c)
TOPICS  := $(wildcard topics/*.c)
CODEC   := $(wildcard codec/*.c)
MODEL   := $(wildcard model/*.c)
WORKER  := $(wildcard worker/*.c worker/*/*.c)
obj      = $(patsubst %.c,$(BUILD)/%.o,$(1))

LIB_CODEC := $(BUILD)/libcodec.a
LIB_MODEL := $(BUILD)/libmodel.a

all: $(BUILD)/s4rec ## the binary build/s4rec

$(BUILD)/s4rec: $(call obj,$(WORKER)) $(LIB_MODEL) $(LIB_CODEC)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(LIB_CODEC): $(call obj,$(TOPICS) $(CODEC)) $(GEN:.c=.o)
	rm -f $@; ar rcs $@ $^
$(LIB_MODEL): $(call obj,$(MODEL))
	rm -f $@; ar rcs $@ $^

$(BUILD)/gen/%.pb-c.c: %.proto
	@mkdir -p $(@D)
	protoc-c --c_out=$(BUILD)/gen $<
$(BUILD)/gen/%.o: $(BUILD)/gen/%.c
	$(CC) $(CFLAGS) $(CPPFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/%.o: %.c | $(GEN)
	@mkdir -p $(@D)
	$(CC) $(ALLFLAGS) $(EXTRA) -c -o $@ $<
$(BUILD)/model/vmath.o: EXTRA = -ffast-math

# tests/<folder>/test_x.c -> build/tests/test_x, linked with what the folder may use
$(BUILD)/tests/%: tests/model/%.c $(LIB_MODEL)
	@mkdir -p $(@D)
	$(CC) $(ALLFLAGS) -o $@ $< $(LIB_MODEL) -lcmocka $(LDLIBS)
$(BUILD)/tests/%: tests/codec/%.c $(LIB_CODEC)
	@mkdir -p $(@D)
	$(CC) $(ALLFLAGS) -o $@ $< $(LIB_CODEC) -lcmocka $(LDLIBS)
$(BUILD)/tests/%: tests/worker/%.c $(call obj,$(filter-out worker/main.c,$(WORKER))) $(LIB_MODEL) $(LIB_CODEC)
	@mkdir -p $(@D)
	$(CC) $(ALLFLAGS) -o $@ $< $(call obj,$(filter-out worker/main.c,$(WORKER))) $(LIB_MODEL) $(LIB_CODEC) -lcmocka $(LDLIBS)

clean: ## remove what was built (keeps downloaded jars)
	rm -rf $(BUILD)/s4rec $(BUILD)/*.a $(BUILD)/gen $(BUILD)/topics $(BUILD)/codec $(BUILD)/model $(BUILD)/worker $(BUILD)/tests
.PHONY: all clean
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
