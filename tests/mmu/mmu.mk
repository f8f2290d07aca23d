# SPDX-License-Identifier: MIT
#
# A processor beside the tests (docs/evidence/processor.md). Those of the layers that have
# calls are linked with it as they are: ld puts tests/mmu/beside.c and calls.c
# between them and the library.

MMU_SOURCES := $(filter-out tests/mmu/test_%,$(wildcard tests/mmu/*.c))
MMU_WRAPS := $(shell tests/mmu/wraps.sh $(MMU_SOURCES))
CPPFLAGS_ALL += -Itests/mmu

# test_machine looks at which CPUs a space is active on. With test_every_call each
# call there is stands beside it, at each of its steps that fails, too.
MMU_BESIDE := $(filter-out test_machine,$(basename $(notdir $(wildcard $(addsuffix /test_*.c, \
    $(addprefix tests/unit/,space object swap reclaim ranges fault calls life track) \
    tests/threads tests/mmu)) \
    tests/unit/every/test_every_call.c)))
$(foreach t,$(MMU_BESIDE),$(eval UNIT_EXTRA_$t += $(MMU_SOURCES)) \
    $(eval LDFLAGS_$t += $(MMU_WRAPS)))

# Random calls of several threads for MMU_SECONDS, in each build of the tests.
MMU_SECONDS := 60
MMU_LONG := $(addsuffix /tests/unit/test_processor_threads, \
    $(BUILD) $(addprefix $(BUILD)/,asan clang tsan $(FOREIGN)))
.PHONY: check-processor
check-processor: $(MMU_LONG)
	@export ASPEN_SEED=$${ASPEN_SEED:-$$(date +%s)} ASPEN_TEST_TIMEOUT=3600 \
	    TSAN_OPTIONS='die_after_fork=0 halt_on_error=0' \
	    ASPEN_MMU_SECONDS=$(MMU_SECONDS); status=0; for program in $^; do \
	    echo "$$program"; scripts/run-tests.sh $(BUILD)/processor-log \
	        "$$program" || status=1; done; exit $$status
CHECKS_LONG += check-processor
