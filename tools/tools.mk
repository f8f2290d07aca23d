# SPDX-License-Identifier: MIT
#
# The `aspen` command and what tests it. Included by the Makefile.
#
# aspen links the test build of the library: rehearsing needs failpoints.

# `aspen pressure` is a program of its own; of traces the recorder needs a part.
TOOL := $(filter-out tools/aspen/pressure/% tools/aspen/trace/%,$(wildcard \
    tools/aspen/*.c tools/aspen/*/*.c)) tools/aspen/trace/model.c
# What tests and make_snapshots link of it: all that needs no library.
TOOL_SNAPSHOT := $(addprefix tools/aspen/,common/tool.c common/whole_file.c \
    snapshot/snapshot.c snapshot/file.c)
TOOL_CAPTURE := $(TOOL_SNAPSHOT) tools/aspen/host/refused.c \
    $(addprefix tools/aspen/guest/,process.c stop.c) \
    $(addprefix tools/aspen/snapshot/,smaps.c pages.c pages_pagemap.c \
    pages_scan.c pages_settle.c capture.c)

# What pages need, as texts in C: page.css is page_css.
PAGE_ASSETS := $(wildcard tools/aspen/page/page.css tools/aspen/page/page.js)
$(BUILD)/gen/page_assets.c: $(PAGE_ASSETS) tools/tools.mk
	$(call say,GEN,$@)
	@mkdir -p $(@D)
	@{ echo '#include "page/assets.h"'; for f in $(PAGE_ASSETS); do \
	    echo "const char $$(basename $$f | tr . _)[] ="; \
	    sed -e 's/\\/\\\\/g; s/"/\\"/g; s/.*/    "&\\n"/' $$f; echo '    ;'; \
	done; } >$@
TOOL_PAGE := tools/aspen/page/page.c $(BUILD)/gen/page_assets.c
TOOL += $(BUILD)/gen/page_assets.c

PROGRAMS += $(BUILD)/aspen

$(BUILD)/aspen: $(call objects,test,$(TOOL)) $(LIB_test)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_test) $(LDFLAGS) $(LDFLAGS_aspen) -o $@ $^ \
	    -ljansson $(LIBS_ALL)

$(BUILD)/asan/aspen: $(call objects,asan,$(TOOL)) $(LIB_asan)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_asan) $(LDFLAGS) $(LDFLAGS_asan) -o $@ $^ -ljansson \
	    $(LIBS_ALL)

# `aspen pressure` runs this one from beside itself: it measures, so it is of the
# release build, and brings what swap devices need.
SWAP_DEVICES := $(wildcard ports/posix/swap/*.c)
TOOL_TRACE := $(wildcard tools/aspen/trace/*.c)
TOOL_PRESSURE := $(wildcard tools/aspen/pressure/*.c) $(TOOL_TRACE) \
    $(SWAP_DEVICES) \
    $(addprefix tools/aspen/common/,tool.c options.c json.c page_map.c) \
    tools/aspen/host/cgroup.c $(TOOL_PAGE)
# What each of them needs, where its header is: asked of the compiler, which may
# be one for another machine. It is asked when it is first needed.
has_header = $(shell printf '\043include <%s>\n' $1 | $(CC) $(CFLAGS) -E -x c - \
    >/dev/null 2>&1 && echo $2)
LIBS_SWAP = $(eval LIBS_SWAP := $(call has_header,lz4.h,-llz4) \
    $(call has_header,zstd.h,-lzstd) \
    $(call has_header,libnbd.h,-lnbd))$(LIBS_SWAP)
PROGRAMS += $(BUILD)/aspen-pressure
CPPFLAGS_ALL += -Iports/posix/swap

# What was not there may be by now: then these are compiled again.
$(BUILD)/.swap-libs: .FORCE
	@mkdir -p $(@D)
	@[ "$(strip $(LIBS_SWAP))" = "$$(cat $@ 2>/dev/null)" ] || \
	    echo '$(strip $(LIBS_SWAP))' >$@
.PHONY: .FORCE
$(foreach v,release test asan tsan clang fuzz $(FOREIGN) $(FORMATS), \
    $(call objects,$v,$(SWAP_DEVICES))): $(BUILD)/.swap-libs

$(BUILD)/aspen-pressure: $(call objects,release,$(TOOL_PRESSURE)) $(LIB_release)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_release) $(LDFLAGS) -o $@ $^ -ljansson $(LIBS_SWAP) \
	    $(LIBS_ALL)

$(BUILD)/asan/aspen-pressure: $(call objects,asan,$(TOOL_PRESSURE)) $(LIB_asan)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_asan) $(LDFLAGS) $(LDFLAGS_asan) -o $@ $^ -ljansson \
	    $(LIBS_SWAP) $(LIBS_ALL)

$(BUILD)/make_snapshots: $(call objects,test,tests/snapshots/make_snapshots.c \
        $(TOOL_SNAPSHOT))
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_test) $(LDFLAGS) -o $@ $^

# What tests/tools/pkey.sh, shadow.sh and trace.sh follow.
TOOL_GUESTS := $(addprefix $(BUILD)/,pkey_guest shadow_guest trace_guest \
    unseen_guest)
$(TOOL_GUESTS): $(BUILD)/%: tests/tools/guests/%.c tests/tools/guests/guest.h | $(DEPS_build)
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -O1 $(WARNINGS) $(LDFLAGS) -o $@ $<

# Unit tests of the command's parts.
UNIT_EXTRA_test_snapshot := $(TOOL_SNAPSHOT)
UNIT_EXTRA_test_smaps := $(TOOL_SNAPSHOT) tools/aspen/snapshot/smaps.c
LDFLAGS_test_capture := -Wl,--wrap=ioctl
UNIT_EXTRA_test_capture := $(TOOL_CAPTURE)
UNIT_EXTRA_test_capture_stop := $(TOOL_CAPTURE)
HOST := $(addprefix tools/aspen/host/,host.c config.c settings.c)
REFUSED := tools/aspen/host/refused.c
LINUX_CALLS := tools/aspen/host/linux_calls.c
UNIT_EXTRA_test_host := $(HOST)
UNIT_EXTRA_test_areas := $(TOOL_SNAPSHOT) \
    $(addprefix tools/aspen/snapshot/,smaps.c areas.c)
UNIT_EXTRA_test_changed := $(UNIT_EXTRA_test_areas) tools/aspen/shadow/changed.c \
    tools/aspen/shadow/timeline.c
LIBS_test_changed := -ljansson
UNIT_EXTRA_test_devices := $(SWAP_DEVICES)
UNIT_EXTRA_test_nbd := $(SWAP_DEVICES)
UNIT_EXTRA_test_soak := $(filter-out %/command.c %/report.c %/json.c \
    %/options.c %/picture.c $(TOOL_PAGE),$(TOOL_PRESSURE))
LIBS_test_soak = $(LIBS_SWAP)
LIBS_test_devices = $(LIBS_SWAP)
LIBS_test_nbd = $(LIBS_SWAP)
LDFLAGS_test_nbd := -Wl,--wrap=aspen_swap_done
UNIT_EXTRA_test_policy := $(addprefix tools/aspen/trace/,trace.c ideal.c)
UNIT_EXTRA_test_recorded := $(addprefix tools/aspen/common/,tool.c page_map.c) \
    $(addprefix tools/aspen/trace/,recorded.c model.c trace.c)
UNIT_EXTRA_test_plan := tools/aspen/rehearse/plan.c
UNIT_EXTRA_test_advise_host := $(HOST) $(REFUSED)
UNIT_EXTRA_test_copy_host := $(HOST) $(REFUSED)
UNIT_EXTRA_test_map_count_host := $(HOST)
UNIT_EXTRA_test_posix_file := $(HOST)
UNIT_EXTRA_test_place_host := $(HOST) $(REFUSED)
UNIT_EXTRA_test_stack_host := $(HOST) $(REFUSED)
UNIT_EXTRA_test_vmflags_host := $(HOST) $(REFUSED)
UNIT_EXTRA_test_mmap_host := $(HOST)
UNIT_EXTRA_test_mremap_host := $(HOST)
UNIT_EXTRA_test_object_host := $(HOST)
UNIT_EXTRA_test_process_madvise_host := $(HOST) $(REFUSED)
UNIT_EXTRA_test_layout_host := $(HOST) $(LINUX_CALLS)
UNIT_EXTRA_test_linux_calls := $(HOST) $(LINUX_CALLS)
UNIT_EXTRA_test_pkey_host := $(HOST) $(LINUX_CALLS) $(REFUSED)

# An aspen whose calls break promises (tests/tools/broken.c): what they wrap.
BROKEN := $(wildcard tests/tools/broken*.c)
BROKEN_CALLS := $(shell awk -F'[(,)] *' '/^BREAKABLE/ { print $$3 }' $(BROKEN))
$(BUILD)/aspen-broken: $(call objects,test,$(TOOL) $(BROKEN)) $(LIB_test)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_test) $(LDFLAGS) $(BROKEN_CALLS:%=-Wl,--wrap=%) \
	    -o $@ $^ -ljansson $(LIBS_ALL)

# `aspen bench` runs it from beside itself; it is measured without sanitizers.
$(BUILD)/asan/aspen-bench: $(BUILD)/aspen-bench
	$(call say,LN,$@)
	@mkdir -p $(@D)
	$(Q)ln -sf ../aspen-bench $@

# Tests of the command as a whole: tests/tools/NAME.sh, each with the command
# in $ASPEN; and what they take besides it.
TOOL_TESTS := $(wildcard tests/tools/*.sh)
TOOL_BESIDE := $(addprefix $(BUILD)/,aspen-bench aspen-pressure aspen-broken \
    make_snapshots) \
    $(TOOL_GUESTS)
# For tests/tools/explore.sh; where there are no more, it takes these alone.
TOOL_SCENARIOS := $(addprefix $(BUILD)/tests/,planted/test_planted \
    planted/memory/test_planted \
    explore/test_fork)
TOOL_ASAN := $(addprefix $(BUILD)/asan/,aspen aspen-bench aspen-pressure)

# Random calls beside the host's kernel: a minute of them, or ten million.
FUZZ_SEED ?= 1
.PHONY: check-fuzz check-fuzz-long
check-fuzz: $(BUILD)/aspen
	@scripts/check/fuzz.sh $< $(FUZZ_SEED) --seconds 60

check-fuzz-long: $(BUILD)/aspen
	@scripts/check/fuzz.sh $< $(FUZZ_SEED) --calls 10000000

# Ten million accesses to memory under pressure, while the swap device fails.
.PHONY: check-soak
check-soak: $(BUILD)/tests/unit/test_soak
	@ASPEN_SOAK=$${ASPEN_SOAK:-10000000} ASPEN_TEST_TIMEOUT=14400 \
	    scripts/run-tests.sh $(BUILD)/soak-log $<

# What --html writes, in a browser.
.PHONY: check-pages
check-pages: $(BUILD)/aspen $(BUILD)/aspen-pressure $(BUILD)/aspen-broken \
    $(BUILD)/tests/planted/test_planted
	@CC='$(CC)' tests/pages/check.sh $(BUILD)
CHECKS_LONG += check-pages

# Large programs under aspen shadow.
.PHONY: check-shadow
check-shadow: $(BUILD)/aspen
	@scripts/check/shadow.sh $<

CHECKS += tools-check tools-check-asan
CHECKS_BESIDE += check-fuzz
CHECKS_LONG += check-shadow check-fuzz-long check-soak
.PHONY: tools-check tools-check-asan snapshots
# Where it is; a shell's word, since the path may have a blank.
BUILT = built=$$(cd '$(BUILD)' && pwd)
TOOL_ENVIRONMENT = ASPEN_BROKEN_BUILD=$$built/aspen-broken \
    MAKE_SNAPSHOTS=$$built/make_snapshots
tools-check: $(BUILD)/aspen $(TOOL_BESIDE) $(TOOL_SCENARIOS)
	@$(BUILT) && for t in $(TOOL_TESTS); do \
	    ASPEN=$$built/aspen $(TOOL_ENVIRONMENT) bash $$t || exit 1; done

tools-check-asan: $(TOOL_ASAN) $(TOOL_BESIDE) $(TOOL_SCENARIOS)
	@$(BUILT) && ASPEN=$$built/asan/aspen $(TOOL_ENVIRONMENT) \
	    scripts/check/leaks.sh $(BUILD)/asan/aspen \
	    bash -c 'for t; do bash $$t || exit 1; done' tools $(TOOL_TESTS)

# Make the committed snapshots again, after the format has changed.
snapshots: $(BUILD)/make_snapshots
	$< tests/snapshots
	chmod 644 tests/snapshots/*.snap
