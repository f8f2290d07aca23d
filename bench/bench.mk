# SPDX-License-Identifier: MIT
#
# build/aspen-bench: the release build, measured beside its peers. The range
# tree is measured by programs of their own, since the peer is GPL-2.0.

BENCH_SOURCES := $(wildcard bench/*.c bench/fork/*.c bench/pressure/*.c \
    bench/threads/*.c) \
    $(SWAP_DEVICES)
BENCH_MAPLE := $(BUILD)/maple/maple_bench
PROGRAMS += $(BUILD)/aspen-bench $(BUILD)/aspen-bench-tree

$(BUILD)/aspen-bench: $(call objects,release,$(BENCH_SOURCES)) $(LIB_release)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_release) $(LDFLAGS) -o $@ $^ -ljansson $(LIBS_SWAP) \
	    $(LIBS_ALL)

$(BUILD)/aspen-bench-tree: $(call objects,release,bench/tree/tree_aspen.c) \
    $(LIB_release)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_release) $(LDFLAGS) -o $@ $^ $(LIBS_ALL)

# The peer, from the Debian package; apart from Aspen, never linked with it.
$(BENCH_MAPLE): $(wildcard bench/maple/*) bench/tree/tree_measure.h \
    bench/tree/tree_workload.h bench/clock.h | $(DEPS_bench)
	$(call say,GEN,$@)
	$(Q)bench/maple/build.sh $(BUILD)/maple

.PHONY: bench
bench: $(BUILD)/aspen-bench $(BUILD)/aspen-bench-tree $(BENCH_MAPLE)
	@$(BUILD)/aspen-bench tree
	@$(BUILD)/aspen-bench fork
	@$(BUILD)/aspen-bench calls
	@$(BUILD)/aspen-bench threads
	@$(BUILD)/aspen-bench pressure

# Pictures of what docs/evidence/performance.md says was measured.
.PHONY: plots
plots: | $(DEPS_plots)
	@scripts/plots.sh
