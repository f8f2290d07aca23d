# SPDX-License-Identifier: MIT
#
# Tests on the sim port: the core, built for it, and the orders of concurrent
# calls explored. tests/explore/test_NAME.c is a program each.

CFLAGS_sim := -O1 -DASPEN_TEST_BUILD
SIM_PORT := $(wildcard ports/sim/*.c)
SIM_FLAGS := -Iinclude -Isrc -Iports/sim -Itests/explore -Itests/unit
EXPLORE := $(patsubst tests/explore/%.c,%,$(wildcard tests/explore/test_*.c))
EXPLORE_PROGRAMS := $(addprefix $(BUILD)/tests/explore/,$(EXPLORE))

$(BUILD)/obj/sim/%.o: %.c Makefile | $(DEPS_check)
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SIM_FLAGS) $(CPPFLAGS) $(CFLAGS_ALL) $(CFLAGS_sim) \
	    $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/sim/libaspen-test.a: $(call objects,sim,$(CORE) $(SIM_PORT)) \
    sources.txt
	$(call say,AR,$@)
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)$(AR) rcs $@ $(filter %.o,$^)

$(EXPLORE_PROGRAMS): $(BUILD)/tests/explore/%: \
    $(BUILD)/obj/sim/tests/explore/%.o \
    $(BUILD)/obj/sim/tests/explore/explore.o $(BUILD)/sim/libaspen-test.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_sim) $(LDFLAGS) -o $@ $^ -lcmocka

.PHONY: explore
explore: $(EXPLORE_PROGRAMS)
	@scripts/run-tests.sh $(BUILD)/explore-log $(EXPLORE_PROGRAMS)

CHECKS += explore
