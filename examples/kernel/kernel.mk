# SPDX-License-Identifier: MIT
#
# kernel.mk - the kernel of examples/kernel, for the Makefile: builds it, boots
# it in QEMU.
#
#   build/kernel/NAME/kernel.elf, NAME one of
#     release   as anybody would build it
#     test      the core's test build: failpoints, assertions, lock order
#     stale     the same without TLB shoot-down: for a test of a test

KERNEL_DIR := examples/kernel
KERNEL_SOURCES := $(filter-out $(KERNEL_DIR)/tests/%, \
    $(wildcard $(KERNEL_DIR)/*/*.[cS])) \
    $(wildcard ports/x86_64/*.c ports/kernel/*.c) $(CORE)
KERNEL_CC ?= $(CC)
KERNEL_CFLAGS := -std=c11 -O2 -g -ffreestanding -fno-stack-protector -fno-pic \
    -fno-pie -fno-asynchronous-unwind-tables -fno-omit-frame-pointer \
    -mno-red-zone -mgeneral-regs-only -mcmodel=kernel $(WARNINGS) \
    -Wno-sign-conversion -Werror -Iinclude -Isrc -Iports/x86_64 -Iports/kernel -I$(KERNEL_DIR)
KERNEL_CFLAGS_release :=
KERNEL_CFLAGS_test := -DASPEN_TEST_BUILD
KERNEL_CFLAGS_stale := -DASPEN_TEST_BUILD -DASPEN_X86_64_NO_SHOOTDOWN
KERNEL_LINK := $(KERNEL_DIR)/boot/link.ld

define kernel_variant
KERNEL_OBJECTS_$1 := $(patsubst %,$(BUILD)/kernel/$1/%.o, \
    $(basename $(KERNEL_SOURCES)))

$(BUILD)/kernel/$1/%.o: %.c $(KERNEL_DIR)/kernel.mk | $(DEPS_build)
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(KERNEL_CC) $$(KERNEL_CFLAGS) $$(KERNEL_CFLAGS_$1) -MMD -MP -c \
	    -o $$@ $$<

$(BUILD)/kernel/$1/%.o: %.S $(KERNEL_DIR)/kernel.mk | $(DEPS_build)
	$$(call say,AS,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(KERNEL_CC) -MMD -MP -c -o $$@ $$<

$(BUILD)/kernel/$1/kernel.elf: $$(KERNEL_OBJECTS_$1) $(KERNEL_LINK)
	$$(call say,LD,$$@)
	$$(Q)$$(KERNEL_CC) -nostdlib -static -no-pie -Wl,-T,$(KERNEL_LINK) \
	    -Wl,--build-id=none -Wl,-z,max-page-size=4096 \
	    -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments -o $$@ \
	    $$(KERNEL_OBJECTS_$1)
endef
$(foreach v,release test stale,$(eval $(call kernel_variant,$v)))

KERNEL := $(BUILD)/kernel/release/kernel.elf
$(BUILD)/kernel/%.cpio: $(KERNEL_DIR)/tools/image.sh \
        $(KERNEL_DIR)/tools/cpio.pl | $(DEPS_boot)
	$(call say,IMAGE,$@)
	@mkdir -p $(@D)
	@$(KERNEL_DIR)/tools/image.sh $(BUILD) $*

# A shell on the serial console, or CMD, which is the shell's: make leaves its
# dollars alone. Variables: IMAGE (base, full), CPUS, MEMORY, SWAP.
IMAGE := base
export KERNEL_CMD := $(value CMD)
.PHONY: kernel run-kernel
kernel: $(KERNEL)

run-kernel: $(KERNEL) $(BUILD)/kernel/$(IMAGE).cpio | $(DEPS_boot)
	@CPUS='$(or $(CPUS),2)' MEMORY='$(or $(MEMORY),512)' \
	    SWAP='$(or $(SWAP),0)' \
	    $(KERNEL_DIR)/tools/run.sh $(KERNEL) $(BUILD)/kernel/$(IMAGE).cpio \
	    $(if $(KERNEL_CMD),"$$KERNEL_CMD")

# Programs run there as they do here; -full: perl, python3 and gcc, too.
KERNELS_CHECKED := $(foreach v,test stale,$(BUILD)/kernel/$v/kernel.elf)
.PHONY: check-kernel check-kernel-full
check-kernel check-kernel-full: $(KERNELS_CHECKED)
	@MAKE='$(MAKE_NAME)' $(KERNEL_DIR)/tests/check.sh $(BUILD) \
	    $(if $(filter %-full,$@),full,short)
ifeq ($(MACHINE),x86_64)
CHECKS_BESIDE += check-kernel
CHECKS_LONG += check-kernel-full
endif

-include $(shell find $(BUILD)/kernel -name '*.d' 2>/dev/null)
