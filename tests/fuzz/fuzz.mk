# SPDX-License-Identifier: MIT
#
# libFuzzer: make fuzz [FUZZ_SECONDS=60]. What it finds interesting is kept in
# build/fuzz/corpus; what differs in build/fuzz/crash-*.

FUZZ_SECONDS ?= 60
FUZZ_CALLS := tests/fuzz/fuzz_calls.c tools/common/linux_calls.c \
    $(addprefix tools/aspen/,areas.c fuzz_compare.c fuzz_kernel.c \
        fuzz_known.c fuzz_mix.c fuzz_model.c fuzz_pair.c fuzz_text.c host.c \
        smaps.c snapshot.c tally.c tool.c)

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
