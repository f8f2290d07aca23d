# SPDX-License-Identifier: MIT
#
# build/aspen-bench: the release build, measured beside its peers.

BENCH_SOURCES := $(wildcard bench/*.c)
PROGRAMS += $(BUILD)/aspen-bench

$(BUILD)/aspen-bench: $(call objects,release,$(BENCH_SOURCES)) $(LIB_release)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_release) $(LDFLAGS) -o $@ $^ -ljansson $(LIBS_ALL)

.PHONY: bench
bench: $(BUILD)/aspen-bench
	@$(BUILD)/aspen-bench fork
