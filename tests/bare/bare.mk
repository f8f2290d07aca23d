# SPDX-License-Identifier: MIT
#
# bare.mk - tests/bare, for the Makefile: the core on bare machines in QEMU,
# beside processors that are not ours.
#
#   build/bare/NAME/bare.elf and stale.elf, NAME one of aarch64, sv39, sv48,
#   x86_64;
#   stale has no flush instructions, for a test of a test

BARE_DIR := tests/bare
BARE_COMMON := $(wildcard ports/kernel/*.c $(BARE_DIR)/*.c) \
    $(addprefix tests/mmu/,mmu.c cache.c walk.c)
BARE_CFLAGS := -std=c11 -O1 -g -ffreestanding -fno-stack-protector -fno-pic \
    -fno-pie -fno-asynchronous-unwind-tables -fno-omit-frame-pointer \
    $(WARNINGS) -Wno-sign-conversion -Werror -DASPEN_TEST_BUILD -I$(BARE_DIR) \
    -I$(BARE_DIR)/libc -Iinclude -Isrc -Iports/kernel -Itests/mmu

BARE_CC_aarch64 := $(if $(filter aarch64,$(MACHINE)),,aarch64-linux-gnu-)gcc
BARE_PORT_aarch64 := aarch64
BARE_CFLAGS_aarch64 := -mgeneral-regs-only -mno-outline-atomics
BARE_LDFLAGS_aarch64 :=
BARE_STALE_aarch64 := -DASPEN_AARCH64_NO_FLUSH

BARE_CC_sv39 := riscv64-linux-gnu-gcc
BARE_PORT_sv39 := riscv64
BARE_CFLAGS_sv39 := -march=rv64imac_zicsr_zifencei -mabi=lp64 -mcmodel=medany \
    -msmall-data-limit=0 -mno-relax
BARE_LDFLAGS_sv39 := -march=rv64imac -mabi=lp64 \
    -Wl,--no-relax,--defsym=HALF=0xffffffc000000000
BARE_STALE_sv39 := -DASPEN_RISCV64_NO_FLUSH

BARE_CC_sv48 := $(BARE_CC_sv39)
BARE_PORT_sv48 := riscv64
BARE_CFLAGS_sv48 := $(BARE_CFLAGS_sv39) -DASPEN_PORT_PAGING_RISCV_SV48
BARE_LDFLAGS_sv48 := $(subst 0xffffffc000000000,0xffff800000000000,$(BARE_LDFLAGS_sv39))
BARE_STALE_sv48 := $(BARE_STALE_sv39)

# The start-up code is that of examples/kernel.
BARE_CC_x86_64 := $(if $(filter x86_64,$(MACHINE)),,x86_64-linux-gnu-)gcc
BARE_PORT_x86_64 := x86_64
BARE_CFLAGS_x86_64 := -mno-red-zone -mgeneral-regs-only -mcmodel=kernel \
    -Iexamples/kernel
BARE_LDFLAGS_x86_64 :=
BARE_STALE_x86_64 := -DASPEN_X86_64_NO_FLUSH
BARE_START_x86_64 := $(addprefix examples/kernel/,boot/entry.S cpu/cpu.c \
    dev/apic.c dev/clock.c)

BARE_LINK_x86_64 := examples/kernel/boot/link.ld

# $(call bare_variant,NAME): the port's tlb.c twice, all else once.
define bare_variant
BARE_SOURCES_$1 := $(BARE_COMMON) \
    $$(filter-out %/tlb.c,$$(wildcard ports/$(BARE_PORT_$1)/*.c)) \
    $$(wildcard ports/$(BARE_PORT_$1)/start/*.[cS] \
        $(BARE_DIR)/machine/$(BARE_PORT_$1).c) $(BARE_START_$1)
BARE_OBJECTS_$1 := $$(patsubst %,$(BUILD)/bare/$1/%.o, \
    $$(basename $$(BARE_SOURCES_$1))) $(BUILD)/bare/$1/user.o \
    $(BUILD)/bare/$1/aspen.o
BARE_LINK_$1 ?= ports/$(BARE_PORT_$1)/start/link.ld
BARE_CC_ALL_$1 = $$(BARE_CC_$1) $$(BARE_CFLAGS) -Iports/$(BARE_PORT_$1) \
    $$(BARE_CFLAGS_$1) -MMD -MP -c -o $$@ $$<

$(BUILD)/bare/$1/%.o: %.c $(BARE_DIR)/bare.mk
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(BARE_CC_ALL_$1)

$(BUILD)/bare/$1/%.o: %.S $(BARE_DIR)/bare.mk
	$$(call say,AS,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(BARE_CC_ALL_$1)

$(BUILD)/bare/$1/user.o: $(BARE_DIR)/machine/$(BARE_PORT_$1).S $(BARE_DIR)/bare.mk
	$$(call say,AS,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(BARE_CC_ALL_$1)

# The core is one file, which takes a third of the time.
$(BUILD)/bare/$1/aspen.o: $(BUILD)/aspen.c $(BARE_DIR)/bare.mk
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(BARE_CC_ALL_$1)

$(BUILD)/bare/$1/flush.o: ports/$(BARE_PORT_$1)/tlb.c $(BARE_DIR)/bare.mk
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(BARE_CC_ALL_$1)

$(BUILD)/bare/$1/stale.o: ports/$(BARE_PORT_$1)/tlb.c $(BARE_DIR)/bare.mk
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(BARE_CC_ALL_$1) $(BARE_STALE_$1)

$(BUILD)/bare/$1/bare.elf: $(BUILD)/bare/$1/flush.o
$(BUILD)/bare/$1/stale.elf: $(BUILD)/bare/$1/stale.o
$(BUILD)/bare/$1/bare.elf $(BUILD)/bare/$1/stale.elf: $$(BARE_OBJECTS_$1) \
        $$(BARE_LINK_$1)
	$$(call say,LD,$$@)
	$$(Q)$$(BARE_CC_$1) $(BARE_LDFLAGS_$1) -nostdlib -static -no-pie \
	    -Wl,-T,$$(BARE_LINK_$1) -Wl,--build-id=none \
	    -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack \
	    -Wl,--no-warn-rwx-segments -o $$@ $$(filter %.o,$$^)
endef
BARE_NAMES := aarch64 sv39 sv48 x86_64
$(foreach n,$(BARE_NAMES),$(eval $(call bare_variant,$n)))

# What is missing of compilers and emulators is skipped by name; the short form
# is in make check.
.PHONY: check-bare check-bare-long
check-bare check-bare-long: $(BUILD)/aspen.c
	@MAKE='$(MAKE_NAME)' $(BARE_DIR)/check.sh $(BUILD) \
	    $(if $(filter %-long,$@),long,short)
CHECKS_BESIDE += check-bare
CHECKS_LONG += check-bare-long

-include $(shell find $(BUILD)/bare -name '*.d' 2>/dev/null)
