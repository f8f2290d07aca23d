# SPDX-License-Identifier: MIT
#
# libFuzzer: make fuzz [FUZZ_SECONDS=60]. What it finds interesting is kept in
# build/fuzz/corpus; what differs in build/fuzz/crash-*.

FUZZ_SECONDS ?= 60
FUZZ_CALLS := tests/fuzz/fuzz_calls.c $(addprefix tools/aspen/, \
    $(addprefix fuzz/,compare.c kernel.c known.c mix.c model.c op.c pair.c \
    text.c) \
    guest/drive.c host/linux_calls.c host/host.c host/refused.c \
    common/tally.c common/tool.c \
    $(addprefix snapshot/,areas.c smaps.c snapshot.c))

$(BUILD)/fuzz/fuzz_calls: $(call objects,fuzz,$(FUZZ_CALLS)) $(LIB_fuzz)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC_fuzz) $(CFLAGS_fuzz) $(LDFLAGS) $(LDFLAGS_fuzz) -o $@ $^ \
	    -ljansson $(LIBS_ALL)
$(call objects,fuzz,$(FUZZ_CALLS)) $(LIB_fuzz): | $(DEPS_fuzz)

.PHONY: fuzz
fuzz: $(BUILD)/fuzz/fuzz_calls
	@mkdir -p $(BUILD)/fuzz/corpus
	$< -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -len_control=10 \
	    -artifact_prefix=$(BUILD)/fuzz/ -print_final_stats=1 \
	    $(BUILD)/fuzz/corpus
