# SPDX-License-Identifier: MIT
#
# The core over a port of ordinary functions (ports/extern), which are the posix
# port's: tests of what a call could break, and what the calls cost.
#
#   extern           build/extern/libaspen-test.a: -DASPEN_TEST_BUILD
#   extern-release   build/extern/libaspen.a: for bench

# Before ports/posix on the include path, but for what has the posix port's own.
CPPFLAGS_EXTERN := -Iports/extern
EXTERN_OWN := ports/extern/over_posix.c
CC_extern = $(CC)
CFLAGS_extern := $(CFLAGS_test)
CC_extern-release = $(CC)
# As the posix port that it is measured beside: nobody writes into entries.
CFLAGS_extern-release := $(CFLAGS_release) -DASPEN_EXTERN_MMU_WRITES_NOTHING
LIB_extern := $(BUILD)/extern/libaspen-test.a
LIB_extern-release := $(BUILD)/extern/libaspen.a

define extern_variant
$(BUILD)/obj/$1/%.o: CPPFLAGS_ALL := $(CPPFLAGS_EXTERN) $(CPPFLAGS_ALL)
$(BUILD)/obj/$1/ports/%.o: CPPFLAGS_ALL := $(CPPFLAGS_ALL)
$(eval $(call variant,$1))
$(LIB_$1): $(call objects,$1,$(EXTERN_OWN))
endef
$(foreach v,extern extern-release,$(eval $(call extern_variant,$v)))

# The calls of bench/aspen_calls.c over it, for `aspen-bench calls`.
$(BUILD)/aspen-bench-extern: $(call objects,extern-release,bench/extern/extern_calls.c \
        bench/aspen_calls.c) $(LIB_extern-release)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS_release) $(LDFLAGS) -o $@ $^ $(LIBS_ALL)
bench: $(BUILD)/aspen-bench-extern

# What asks the port most: its contract, whole calls, threads.
EXTERN_TESTS := test_contract test_fork test_fork_failing test_mremap \
    test_any_threads test_fault_threads test_truncate_threads
$(foreach t,$(EXTERN_TESTS),$(eval $(call unit_test,extern,$(BUILD)/extern/tests/unit,$t,$(call unit_sources,$t))))
.PHONY: unit-extern
unit-extern: $(addprefix $(BUILD)/extern/tests/unit/,$(EXTERN_TESTS))
	@scripts/run-tests.sh $(BUILD)/extern/log $^
CHECKS += unit-extern
