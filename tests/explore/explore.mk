# SPDX-License-Identifier: MIT
#
# Tests on the sim port: the core, built for it, and the orders of concurrent
# calls explored. tests/explore/test_NAME.c is a program each; those in
# tests/explore/explorer are about the explorer itself, those in
# tests/explore/mmu have a processor (tests/mmu). test_mmu is one for each kind
# of processor: sim (x86-64 without hardware flags), sim-flags (with them),
# sim-arm64, sim-arm64-flags.

CFLAGS_sim := -O1 -DASPEN_TEST_BUILD -DASPEN_OBJECT_DROP_MAX=1
CFLAGS_sim-flags := $(CFLAGS_sim) -DASPEN_PORT_MMU_WRITES_ENTRIES
CFLAGS_sim-arm64 := $(CFLAGS_sim) -DASPEN_PORT_PAGING_AARCH64
CFLAGS_sim-arm64-flags := $(CFLAGS_sim-arm64) -DASPEN_PORT_MMU_WRITES_ENTRIES
SIM_PORT := $(wildcard ports/sim/*.c)
# What most of a search is spent in.
CFLAGS_fast := -O2
SIM_FLAGS := -Iinclude -Isrc -Iports/sim -Itests/explore/scene -Itests/unit \
    -Itests/mmu -Itests/explore/mmu -Itests/explore/pairs
SIM_MMU := $(filter-out tests/mmu/test_% %/beside.c \
    %/calls.c,$(wildcard tests/mmu/*.c))
# What scenes have in common.
EXPLORE_SHARED := $(wildcard tests/explore/scene/*.c)
EXPLORE_ALL_SHARE := $(filter-out %/file_scene.c,$(EXPLORE_SHARED))
EXPLORE_MMU_SHARED := $(filter-out tests/explore/mmu/test_%, \
    $(wildcard tests/explore/mmu/*.c)) $(wildcard tests/explore/pairs/*.c)
SIM_WRAPS := $(shell tests/mmu/wraps.sh $(SIM_MMU))
# Those in tests/explore/space are about spaces and their locks.
EXPLORE_SPACE := $(basename $(notdir $(wildcard tests/explore/space/test_*.c)))
EXPLORE := $(basename $(notdir $(wildcard tests/explore/test_*.c))) \
    $(EXPLORE_SPACE)
EXPLORE_SOURCES := $(wildcard tests/explore/*.c tests/explore/space/*.c)
# $(call explore_folder,NAME): in which of the two it is.
explore_folder = $(if $(filter $1,$(EXPLORE_SPACE)),space/)
EXPLORERS := $(basename $(notdir $(wildcard tests/explore/explorer/test_*.c)))
EXPLORE_MMU := $(basename $(notdir $(wildcard tests/explore/mmu/test_*.c)))
EXPLORE_PROGRAMS := $(addprefix $(BUILD)/tests/explore/,$(EXPLORERS) $(EXPLORE) \
    $(EXPLORE_MMU) test_mmu-flags test_mmu-arm64 test_mmu-arm64-flags \
    test_second-flags test_mmu_swap-flags test_mmu_migrate-flags)

# $(call sim_variant,VARIANT)
define sim_variant
$(BUILD)/obj/$1/%.o: %.c Makefile | $(DEPS_check)
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(SIM_FLAGS) $$(CPPFLAGS) $$(CFLAGS_ALL) $$(CFLAGS_$1) \
	    $$(CFLAGS) -MMD -MP -c -o $$@ $$<

$(BUILD)/$1/libaspen-test.a: $(call objects,$1,$(CORE) $(SIM_PORT)) \
    sources.txt
	$$(call say,AR,$$@)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$(filter %.o,$$^)

$(patsubst %,$(BUILD)/tests/explore/%$(patsubst sim%,%,$1),$(EXPLORE_MMU)): \
    $(BUILD)/tests/explore/%$(patsubst sim%,%,$1): \
    $(BUILD)/obj/$1/tests/explore/mmu/%.o \
    $(call objects,$1,$(EXPLORE_ALL_SHARE) $(EXPLORE_MMU_SHARED) \
        $(SIM_MMU)) \
    $(BUILD)/$1/libaspen-test.a
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(CFLAGS_$1) $$(LDFLAGS) $$(SIM_WRAPS) -o $$@ $$^ -lcmocka
endef
SIM_VARIANTS := sim sim-flags sim-arm64 sim-arm64-flags
$(foreach v,$(SIM_VARIANTS),$(eval $(call sim_variant,$v)) \
    $(eval $(call objects,$v,$(SIM_PORT)): CFLAGS_$v += $(CFLAGS_fast)))

define explore_program
$(BUILD)/tests/explore/$1: \
    $(BUILD)/obj/sim/tests/explore/$(call explore_folder,$1)$1.o \
    $(call objects,sim,$(EXPLORE_SHARED)) $(BUILD)/sim/libaspen-test.a
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(CFLAGS_sim) $$(LDFLAGS) -o $$@ $$^ -lcmocka
endef
$(foreach t,$(EXPLORE),$(eval $(call explore_program,$t)))

$(addprefix $(BUILD)/tests/explore/,$(EXPLORERS)): $(BUILD)/tests/explore/%: \
    $(BUILD)/obj/sim/tests/explore/explorer/%.o \
    $(call objects,sim,$(EXPLORE_ALL_SHARE)) $(BUILD)/sim/libaspen-test.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_sim) $(LDFLAGS) -o $@ $^ -lcmocka

# What tests/tools/explore.sh runs besides.
PLANTED := $(BUILD)/tests/planted/test_planted \
    $(BUILD)/tests/planted/memory/test_planted
$(BUILD)/tests/planted/test_planted: $(call objects,sim,tests/explore/explorer/planted.c \
        $(EXPLORE_ALL_SHARE)) $(BUILD)/sim/libaspen-test.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_sim) $(LDFLAGS) -o $@ $^ -lcmocka

# The same with a run-time of the explorer's own behind each access of the core
# (ports/sim/memory): fewer of the orders, with all that C11 lets loads find. Only
# the core is compiled for it, and the tests that are about this.
CFLAGS_sim-memory := $(CFLAGS_sim) -DSIM_MEMORY -fsanitize=thread -Wno-tsan \
    -Wno-unknown-warning-option
SIM_MEMORY := $(wildcard ports/sim/memory/*.c)
EXPLORE_LITMUS := $(basename $(notdir $(wildcard tests/explore/memory/test_*.c)))
EXPLORE_MEMORY := $(addprefix $(BUILD)/memory/tests/explore/, \
    $(EXPLORE_LITMUS) $(EXPLORE))
EXPLORE_MEMORY_MMU := $(addprefix $(BUILD)/memory/tests/explore/,$(EXPLORE_MMU))
CFLAGS_sim-memory-tests := $(CFLAGS_sim) -DSIM_MEMORY -Iports/sim
$(call objects,sim-memory, \
    $(filter-out %/test_made_once.c,$(EXPLORE_SOURCES)) \
    $(wildcard tests/explore/mmu/*.c) $(SIM_MMU) $(EXPLORE_SHARED) \
    $(EXPLORE_MMU_SHARED)): \
    CFLAGS_sim-memory := $(CFLAGS_sim-memory-tests)
$(call objects,sim-memory,$(SIM_PORT) $(SIM_MEMORY)): \
    CFLAGS_sim-memory := $(CFLAGS_sim-memory-tests) $(CFLAGS_fast)
$(eval $(call sim_variant,sim-memory))

# $(call memory_program,NAME,FOLDER,SHARED,WRAPS)
define memory_program
$(BUILD)/memory/tests/explore/$1: $(BUILD)/obj/sim-memory/tests/explore/$2$1.o \
    $(call objects,sim-memory,$3 $(SIM_MEMORY)) \
    $(BUILD)/sim-memory/libaspen-test.a
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(LDFLAGS) $4 -o $$@ $$^ -lcmocka
endef
$(foreach t,$(EXPLORE_LITMUS), \
    $(eval $(call memory_program,$t,memory/,$(EXPLORE_SHARED),)))
$(foreach t,$(EXPLORE),$(eval $(call memory_program,$t,$(call \
    explore_folder,$t),$(EXPLORE_SHARED),)))
$(foreach t,$(EXPLORE_MMU),$(eval $(call memory_program,$t,mmu/, \
    $(EXPLORE_ALL_SHARE) $(EXPLORE_MMU_SHARED) $(SIM_MMU),$(SIM_WRAPS))))
# `aspen explore` looks there for those that see plain memory.
EXPLORE_LINK := $(BUILD)/tests/explore/memory
$(EXPLORE_LINK):
	@mkdir -p $(@D)
	@ln -sfn ../../memory/tests/explore $@

PLANTED_SOURCES := tests/explore/explorer/planted.c $(EXPLORE_ALL_SHARE)
$(BUILD)/tests/planted/memory/test_planted: \
    $(call objects,sim-memory,$(PLANTED_SOURCES) $(SIM_MEMORY)) \
    $(BUILD)/sim-memory/libaspen-test.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcmocka

# Which cache lines two calls share (tests/explore/conflicts).
CONFLICTS := $(BUILD)/aspen-conflicts
$(BUILD)/obj/conflicts/fields.h: tests/explore/conflicts/fields.pl \
    $(wildcard src/*.h src/*/*.h)
	@mkdir -p $(@D)
	$(Q)$(CC) -E $(SIM_FLAGS) $(CFLAGS_sim) src/internal.h | $< >$@
$(call objects,sim-memory,$(wildcard tests/explore/conflicts/*.c)): \
    CFLAGS_sim-memory := $(CFLAGS_sim) -DSIM_MEMORY -Iports/sim \
    -I$(BUILD)/obj/conflicts
$(call objects,sim-memory,tests/explore/conflicts/names.c): \
    $(BUILD)/obj/conflicts/fields.h
$(CONFLICTS): $(call objects,sim-memory,$(wildcard tests/explore/conflicts/*.c) \
    $(EXPLORE_SHARED) $(SIM_MEMORY)) $(BUILD)/sim-memory/libaspen-test.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcmocka

# So many pairs that commute share none (docs/evidence/scaling.md).
CONFLICTS_BAR := 81
.PHONY: conflicts check-conflicts
conflicts: $(CONFLICTS)
	@$(CONFLICTS)
check-conflicts: $(CONFLICTS)
	@tests/explore/conflicts/check.sh $(CONFLICTS) $(CONFLICTS_BAR)

# Some take minutes of a processor, which others may want meanwhile.
EXPLORE_LIMIT := ASPEN_TEST_TIMEOUT=$${ASPEN_TEST_TIMEOUT:-900}
.PHONY: explore explore-memory explore-programs
# What `aspen explore` runs.
explore-programs: $(EXPLORE_PROGRAMS) $(EXPLORE_MEMORY) \
    $(EXPLORE_MEMORY_MMU) $(EXPLORE_LINK)

explore-memory: $(EXPLORE_MEMORY)
	@$(EXPLORE_LIMIT) scripts/run-tests.sh $(BUILD)/memory/explore-log \
	    $(EXPLORE_MEMORY)

# test_pairs would run all that explore-bound does.
explore: $(filter-out %/test_pairs,$(EXPLORE_PROGRAMS))
	@$(EXPLORE_LIMIT) scripts/run-tests.sh $(BUILD)/explore-log $^

# Scenarios to their end, with so many preemptions a run at most: all of them with
# one, and those that tests/explore/lists names with more, or with memory that C11
# allows and no processor has.
.PHONY: explore-bound explore-two explore-relaxed explore-two-all explore-three
BOUND := scripts/check/bound.sh $(BUILD)/aspen
LISTS := tests/explore/lists
explore-bound explore-two explore-relaxed explore-two-all explore-three: \
    explore-programs $(BUILD)/aspen
explore-bound:
	@$(BOUND) all --preemptions 1
explore-two:
	@$(BOUND) $(LISTS)/two --preemptions 2
explore-relaxed:
	@$(BOUND) $(LISTS)/relaxed --preemptions 1 --memory relaxed
explore-three:
	@$(BOUND) $(LISTS)/three --preemptions 3
explore-two-all:
	@$(BOUND) all --preemptions 2 --no-races

CHECKS += explore explore-memory explore-bound explore-two explore-relaxed \
    check-conflicts
CHECKS_LONG += explore-three explore-two-all
