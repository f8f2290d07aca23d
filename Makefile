# SPDX-License-Identifier: MIT
#
# make            build/aspen (the command) and build/libaspen.a
# make help       all targets
#
# The core's sources are listed in sources.txt, for this Makefile and for any
# other build system. They are built several times:
#
#   variant   library                        what for
#   release   build/libaspen.a               install, bench
#   test      build/libaspen-test.a          tests, rehearse: failpoints, full
#                                            assertions, lock order
#   asan      build/asan/libaspen-test.a     the same under ASan and UBSan
#   tsan      build/tsan/libaspen-test.a     the same under ThreadSanitizer
#   clang     build/clang/libaspen-test.a    the same by the other compiler
#   fuzz      build/fuzz/libaspen-test.a     the same for libFuzzer
#   arm64     build/arm64/libaspen-test.a    the same with AArch64's page tables
#   x86-64    build/x86-64/libaspen-test.a   on AArch64, instead of that: the
#                                            same with x86-64's page tables
#   sv39, sv48, la57                         the same with those of RISC-V, and
#                                            of x86-64 with five levels
#
# tools/tools.mk, bench/bench.mk, tests/explore/explore.mk and others add programs, checks:
# they may use every variable and the function `objects` below, and append to
#
#   PROGRAMS            programs that `make` builds
#   CHECKS              targets that `make check` runs
#   CHECKS_BESIDE       the same, beside the others: they wait, or use one
#                       processor
#   CHECKS_LONG         targets that `make check-long` runs
#   UNIT_EXTRA_test_NAME  more sources for test_NAME

ifeq ($(origin CC),default)
CC = gcc
endif
ifeq ($(origin CXX),default)
CXX = g++
endif
CLANG ?= clang
CLANGXX ?= clang++
PKG_CONFIG ?= pkg-config

# The processor that is compiled for; pages of the kernel below us.
MACHINE := $(shell { $(CC) -dumpmachine 2>/dev/null || uname -m; } | sed 's/-.*//')
PAGE_BYTES := $(or $(shell getconf PAGE_SIZE 2>/dev/null),4096)
ifneq ($(filter-out help clean deps,$(or $(MAKECMDGOALS),all)),)
ifeq ($(filter x86_64 aarch64,$(MACHINE)),)
$(error Aspen's port and tools know x86-64 and AArch64 (64-bit), not $(MACHINE))
endif
ifneq ($(PAGE_BYTES),4096)
$(error this kernel has pages of $(PAGE_BYTES) bytes, Aspen knows 4096 alone)
endif
endif

# For scripts that run make: a recipe that says $(MAKE) itself is run by
# `make -n` as well.
MAKE_NAME := $(MAKE)

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
DESTDIR ?=
BUILD := build
ifneq ($(words $(BUILD)),1)
$(error BUILD is a folder without blanks in its path, not '$(BUILD)')
endif
VERSION := $(shell sed -n 's/^.define ASPEN_VERSION_STRING "\(.*\)"/\1/p' \
                   include/aspen/version.h)

WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wvla -Wstrict-prototypes \
            -Wmissing-prototypes -Werror=implicit-function-declaration
# liburcu's headers need more than -std=c11 shows (see aspen_port.h).
CPPFLAGS_ALL := -D_DEFAULT_SOURCE -Iinclude -Isrc -Iports/posix -Iports/kernel \
                -Itests/unit -Itools/aspen
CFLAGS_ALL := -std=c11 -g $(WARNINGS)
LIBS_ALL := -lurcu-bp -lpthread

# The tests run with page tables of all formats, and for processors that write
# accessed and dirty into entries (tests/mmu has one of either kind) or do not:
#
#                          without    with
#   the processor's own    test tsan  asan
#   the other format       arm64      clang
#   RISC-V                 sv48       sv39
#   x86-64, five levels               la57
CC_release = $(CC)
CFLAGS_release := -O2
CC_test = $(CC)
CFLAGS_test := -O1 -DASPEN_TEST_BUILD
CC_asan = $(CC)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS_asan := -O1 -DASPEN_TEST_BUILD -fno-omit-frame-pointer $(SANITIZE) \
               -Werror -DASPEN_PORT_MMU_WRITES_ENTRIES
LDFLAGS_asan := $(SANITIZE)
CC_tsan = $(CC)
CFLAGS_tsan := -O1 -DASPEN_TEST_BUILD -fsanitize=thread -Wno-tsan
LDFLAGS_tsan := -fsanitize=thread
CC_clang = $(CLANG)
CC_fuzz = $(CLANG)
CFLAGS_fuzz := -O1 -DASPEN_TEST_BUILD -fsanitize=fuzzer-no-link,address
LDFLAGS_fuzz := -fsanitize=fuzzer,address
# The other page tables than the processor's own.
FOREIGN := $(if $(filter aarch64,$(MACHINE)),x86-64,arm64)
CC_$(FOREIGN) = $(CC)
CFLAGS_arm64 := -O1 -DASPEN_TEST_BUILD -DASPEN_PORT_PAGING_AARCH64 \
                -DASPEN_PORT_ICACHE_SYNC
CFLAGS_x86-64 := -O1 -DASPEN_TEST_BUILD -DASPEN_PORT_PAGING_X86_64
FOREIGN_FORMAT := $(filter -DASPEN_PORT_PAGING_%,$(CFLAGS_$(FOREIGN)))
# What no host has: the tests of layers that walk page tables.
FORMATS := sv39 sv48 la57
CFLAGS_sv39 := $(CFLAGS_test) -DASPEN_PORT_PAGING_RISCV_SV39 \
               -DASPEN_PORT_MMU_WRITES_ENTRIES
CFLAGS_sv48 := $(CFLAGS_test) -DASPEN_PORT_PAGING_RISCV_SV48 \
               -DASPEN_PORT_ICACHE_SYNC
CFLAGS_la57 := $(CFLAGS_test) -DASPEN_PORT_PAGING_X86_64_LA57 \
               -DASPEN_PORT_MMU_WRITES_ENTRIES -DASPEN_PORT_ICACHE_SYNC
CFLAGS_clang := -O2 -DASPEN_TEST_BUILD -Werror $(FOREIGN_FORMAT) \
                -DASPEN_PORT_MMU_WRITES_ENTRIES

CORE := $(shell sed -e 's/\#.*//' sources.txt)
PORT := $(wildcard ports/posix/*.c)
HEADERS := $(wildcard include/aspen/*.h include/aspen/*/*.h)

LIB_release := $(BUILD)/libaspen.a
LIB_test := $(BUILD)/libaspen-test.a
LIB_asan := $(BUILD)/asan/libaspen-test.a
LIB_tsan := $(BUILD)/tsan/libaspen-test.a
LIB_clang := $(BUILD)/clang/libaspen-test.a
LIB_fuzz := $(BUILD)/fuzz/libaspen-test.a
$(foreach v,$(FOREIGN) $(FORMATS),$(eval LIB_$v := $(BUILD)/$v/libaspen-test.a))
$(foreach v,$(FORMATS),$(eval CC_$v = $$(CC)))
PROGRAMS :=
CHECKS :=
CHECKS_BESIDE :=
CHECKS_LONG :=

# V=1 shows commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $1 $2)

# $(call objects,VARIANT,SOURCES): where their objects are.
objects = $(patsubst %.c,$(BUILD)/obj/$1/%.o,$2)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:

# ---- What has to be installed -------------------------------------------

# Asked for before anything is compiled; again when the list changes. Nothing is
# installed by who only builds: root is told what is missing.
INSTALLING := deps run run-kernel check check-% bench plots abi
ifneq ($(filter $(INSTALLING),$(MAKECMDGOALS)),)
export ASPEN_INSTALL := yes
endif
DEPS_build := $(BUILD)/.deps-build
DEPS_check := $(BUILD)/.deps-check
DEPS_bench := $(BUILD)/.deps-bench
DEPS_plots := $(BUILD)/.deps-plots
DEPS_fuzz := $(BUILD)/.deps-fuzz
DEPS_arm64 := $(BUILD)/.deps-arm64
DEPS_boot := $(BUILD)/.deps-boot
$(BUILD)/.deps-%: scripts/deps.sh
	@mkdir -p $(@D)
	@scripts/deps.sh $*
	@touch $@

# As root: GROUP=check for what the tests need, others in scripts/deps.sh.
GROUP := build
.PHONY: deps
deps:
	@scripts/deps.sh $(GROUP)

# ---- Libraries ----------------------------------------------------------

define variant
$(BUILD)/obj/$1/%.o: %.c Makefile | $(DEPS_build)
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC_$1) $$(CPPFLAGS_ALL) $$(CPPFLAGS) $$(CFLAGS_ALL) \
	    $$(CFLAGS_$1) $$(CFLAGS_EXTRA) $$(CFLAGS) -MMD -MP -c -o $$@ $$<

$(LIB_$1): $(call objects,$1,$(CORE) $(PORT)) sources.txt
	$$(call say,AR,$$@)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$(filter %.o,$$^)
endef
$(foreach v,release test asan tsan clang fuzz $(FOREIGN) $(FORMATS),$(eval $(call variant,$v)))

# ---- Parts with makefiles of their own ----------------------------------

-include tools/tools.mk
-include bench/bench.mk
-include tests/explore/explore.mk
-include tests/mmu/mmu.mk
-include tests/fuzz/fuzz.mk
-include examples/kernel/kernel.mk
-include tests/bare/bare.mk

# ---- Unit tests ---------------------------------------------------------

# Each test_NAME.c of tests/unit/LAYER, tests/host (beside the kernel) and
# tests/threads is a program, $(BUILD)/tests/unit/test_NAME. It is linked with
# unit.c, and with X.c when it includes "X.h": of tests/unit, or of its folder.
UNIT_SOURCES := $(wildcard tests/unit/*/test_*.c tests/host/test_*.c \
    tests/threads/test_*.c tests/mmu/test_*.c)
UNIT := $(basename $(notdir $(UNIT_SOURCES)))
unit_source = $(filter %/$1.c,$(UNIT_SOURCES))
unit_includes = $(shell sed -n 's,^\#include "\([a-z0-9_]*\)\.h".*,\1.c,p' \
    $(unit_source))
unit_sources = $(wildcard $(sort $(unit_source) tests/unit/unit.c \
    $(addprefix tests/unit/,$(unit_includes)) \
    $(addprefix $(dir $(unit_source)),$(unit_includes)))) $(UNIT_EXTRA_$1)
UNIT_EXTRA_test_icache += tests/unit/swap/device.c
UNIT_EXTRA_test_migrate += tests/unit/swap/device.c
UNIT_EXTRA_test_migrate_soak += tests/unit/swap/device.c
UNIT_EXTRA_test_poison += tests/unit/swap/device.c
UNIT_EXTRA_test_validate := $(wildcard tests/unit/inspect/plants_*.c)

# These are the port's memory, and its RCU, themselves.
LDFLAGS_test_memory := -Wl,--wrap=aspen_port_memory_alloc \
    -Wl,--wrap=aspen_port_memory_free
LDFLAGS_test_sizes := -Wl,--wrap=aspen_port_memory_alloc
LDFLAGS_test_embedder := $(LDFLAGS_test_memory)
LDFLAGS_test_attempt_metadata += $(LDFLAGS_test_memory)
LDFLAGS_test_attempt_others += $(LDFLAGS_test_memory)
LDFLAGS_test_at_once := -Wl,--wrap=aspen_port_rcu_defer
LDFLAGS_test_bounds := -Wl,--wrap=aspen_port_memory_alloc \
    -Wl,--wrap=aspen_port_memory_free -Wl,--wrap=aspen_tree_store_reserved \
    -Wl,--wrap=aspen_port_rcu_synchronise -Wl,--wrap=aspen_port_rcu_barrier
LDFLAGS_test_posix_port := -Wl,--wrap=urcu_bp_synchronize_rcu

# $(call unit_test,VARIANT,DIRECTORY,NAME,SOURCES)
define unit_test
$2/$3: $(call objects,$1,$4) $(LIB_$1) | $(DEPS_check)
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC_$1) $$(CFLAGS_$1) $$(LDFLAGS) $$(LDFLAGS_$1) $$(LDFLAGS_$3) \
	    -o $$@ $$^ -lcmocka $$(LIBS_$3) $$(LIBS_ALL)
$(call objects,$1,$(filter tests/%,$4)): | $(DEPS_check)
endef
define unit_tests
$(call unit_test,test,$(BUILD)/tests/unit,$1,$2)
$(call unit_test,asan,$(BUILD)/asan/tests/unit,$1,$2)
$(call unit_test,tsan,$(BUILD)/tsan/tests/unit,$1,$2)
$(call unit_test,clang,$(BUILD)/clang/tests/unit,$1,$2)
$(call unit_test,$(FOREIGN),$(BUILD)/$(FOREIGN)/tests/unit,$1,$2)
endef
$(foreach t,$(UNIT),$(eval $(call unit_tests,$t,$(call unit_sources,$t))))
UNIT_test := $(addprefix $(BUILD)/tests/unit/,$(UNIT))
UNIT_asan := $(addprefix $(BUILD)/asan/tests/unit/,$(UNIT))
# ThreadSanitizer cannot stop other processes, which these are about.
UNIT_tsan := $(addprefix $(BUILD)/tsan/tests/unit/, \
    $(filter-out test_capture test_capture_stop,$(UNIT)))
UNIT_clang := $(addprefix $(BUILD)/clang/tests/unit/,$(UNIT))
UNIT_$(FOREIGN) := $(addprefix $(BUILD)/$(FOREIGN)/tests/unit/,$(UNIT))

# With other page tables: what walks them, and the processor beside it.
WALKERS := $(basename $(notdir $(filter $(addsuffix /%,tests/mmu \
    $(addprefix tests/unit/,paging space rmap swap migrate reclaim ranges object fault \
        calls life inspect track)),$(UNIT_SOURCES))))
# RISC-V has no protection keys; and texts of Linux name addresses of 47 bits.
NOT_sv48 := test_pkey test_execute_only
NOT_sv39 := $(NOT_sv48) test_inspect test_inspect_smaps
walkers = $(filter-out %_aarch64 %_riscv $(NOT_$1),$(WALKERS))
define format_tests
UNIT_$1 := $(addprefix $(BUILD)/$1/tests/unit/,$(walkers))
.PHONY: unit-$1
unit-$1: $$(UNIT_$1)
	@scripts/run-tests.sh $(BUILD)/$1/log $$(UNIT_$1)
endef
.PHONY: unit-icache
UNIT_icache := $(foreach f,la57 sv48,$(BUILD)/$f/tests/unit/test_icache)
unit-icache: $(UNIT_icache)
	@scripts/run-tests.sh $(BUILD)/icache-log $(UNIT_icache)
$(foreach f,$(FORMATS),$(eval $(call format_tests,$f)) \
    $(foreach t,$(call walkers,$f),$(eval $(call unit_test,$f,$(BUILD)/$f/tests/unit,$t,$(call unit_sources,$t)))))

.PHONY: all unit unit-asan unit-tsan unit-clang unit-$(FOREIGN) clean help
unit: $(UNIT_test)
	@scripts/run-tests.sh $(BUILD)/log $(UNIT_test)

unit-asan: $(UNIT_asan)
	@scripts/check/leaks.sh $(BUILD)/asan/tests/unit/test_host \
	    scripts/run-tests.sh $(BUILD)/asan/log $(UNIT_asan)

unit-tsan: $(UNIT_tsan)
	@TSAN_OPTIONS='die_after_fork=0 halt_on_error=0' \
	    scripts/run-tests.sh $(BUILD)/tsan/log $(UNIT_tsan)

unit-clang: $(UNIT_clang)
	@scripts/run-tests.sh $(BUILD)/clang/log $(UNIT_clang)

unit-$(FOREIGN): $(UNIT_$(FOREIGN))
	@scripts/run-tests.sh $(BUILD)/$(FOREIGN)/log $(UNIT_$(FOREIGN))

# One test: make test_cache, make asan/test_cache, make tsan/test_cache.
.PHONY: $(UNIT) $(addprefix asan/,$(UNIT)) $(addprefix tsan/,$(UNIT))
$(UNIT): %: $(BUILD)/tests/unit/%
	$<
$(addprefix asan/,$(UNIT)): asan/%: $(BUILD)/asan/tests/unit/%
	$<
$(addprefix tsan/,$(UNIT)): tsan/%: $(BUILD)/tsan/tests/unit/%
	$<

# ---- Ports and languages ------------------------------------------------

-include ports/extern/extern.mk
-include bindings/rust/rust.mk

# ---- As others see the host ---------------------------------------------

# As an ordinary user, and by a container's rules.
$(BUILD)/contained: tests/container/contained.c Makefile | $(DEPS_check)
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -O1 -Werror -o $@ $< -lseccomp

HOST_PROGRAMS := $(UNIT_test) $(BUILD)/aspen $(TOOL_BESIDE)
.PHONY: check-user check-container
check-user: $(HOST_PROGRAMS)
	@scripts/check/user.sh $(BUILD)

check-container: $(HOST_PROGRAMS) $(TOOL_ASAN) $(BUILD)/contained
	@MAKE='$(MAKE_NAME)' scripts/check/container.sh $(BUILD)

CHECKS += check-user check-container

# The scripts that count tests and run them elsewhere, over programs that are
# none.
.PHONY: check-harness
check-harness:
	@failed=0; for t in tests/harness/*.sh; do \
	    bash $$t || failed=1; done; exit $$failed
CHECKS_BESIDE += check-harness

# ---- Models --------------------------------------------------------------

# tests/model, and each with the mistakes that it names.
.PHONY: check-model
check-model:
	@tests/model/check.sh $(BUILD)/model '$(CC)'
CHECKS_BESIDE += check-model

# ---- Other kernels ------------------------------------------------------

# The unit tests and tools under Debian's kernels, in QEMU. Variables: KERNELS,
# CPUS, and RUN='COMMAND' to run something else there.
.PHONY: check-kernels check-kernels-short kernels-table
check-kernels: $(HOST_PROGRAMS)
	@KERNELS='$(KERNELS)' CPUS='$(CPUS)' scripts/check/kernels.sh $(BUILD)

# One of them, in two minutes.
check-kernels-short: $(BUILD)/aspen $(UNIT_test)
	@KERNELS=6.1 CPUS=max RUN= scripts/check/kernels.sh $(BUILD) short
CHECKS_BESIDE += check-kernels-short
CHECKS_LONG += check-kernels

# The table of the last run, into docs/evidence/hosts.md.
kernels-table:
	@scripts/kernels/table.sh $(BUILD)/kernels/table docs/evidence/hosts.md

# ---- Other settings -----------------------------------------------------

# What compares with the host, under limits and settings that people change.
# HOSTS=--yes-change-this-machine for the machine's own, as root; see the script.
.PHONY: check-hosts
check-hosts: $(BUILD)/aspen $(UNIT_test)
	@scripts/check/hosts.sh $(BUILD) $(HOSTS)

# ---- arm64 --------------------------------------------------------------

# All that is built, without running it.
.PHONY: programs
programs: all $(HOST_PROGRAMS) \
    $(patsubst examples/%.c,$(BUILD)/examples/%,$(wildcard examples/*.c))

# Built for arm64 and run in a Debian system for it, through qemu-user. The long
# form builds there, too, and boots Debian's kernels for arm64.
.PHONY: check-arm64 check-arm64-long
check-arm64 check-arm64-long: | $(DEPS_check) $(DEPS_arm64)
	@MAKE='$(MAKE_NAME)' KERNELS='$(KERNELS)' CPUS='$(CPUS)' RUN="$$RUN" \
	    scripts/check/arm64.sh $(BUILD) $(if $(filter %-long,$@),long,short)
CHECKS += check-arm64
CHECKS_LONG += check-arm64-long

# ---- Examples -----------------------------------------------------------

# Written as an embedder would: public headers and the library only.
EXAMPLES := $(patsubst examples/%.c,$(BUILD)/examples/%,$(wildcard examples/*.c))
$(BUILD)/examples/%: examples/%.c $(LIB_release) $(HEADERS)
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c11 -O2 $(WARNINGS) -Werror -Iinclude -Iports/posix \
	    -o $@ $< $(LIB_release) $(LIBS_ALL)

# From C++; what it links with is C.
EXAMPLES += $(patsubst examples/%.cpp,$(BUILD)/examples/%,$(wildcard examples/*.cpp))
$(BUILD)/examples/%: examples/%.cpp $(LIB_release) $(HEADERS) | $(DEPS_check)
	$(call say,CXX,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) -std=c++17 -O2 -Wall -Wextra -Wpedantic -Wconversion -Werror \
	    -Iinclude -Iports/posix -o $@ $< $(LIB_release) $(LIBS_ALL)

# A port of its own, and the core over it.
$(BUILD)/examples/port: examples/port.c $(BUILD)/aspen.c ports/template/aspen_port.h
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c11 -O2 $(WARNINGS) -Werror -Iinclude -Iports/template \
	    -o $@ $< $(BUILD)/aspen.c

.PHONY: check-examples
check-examples: $(EXAMPLES)
	@scripts/check/examples.sh $(BUILD)/examples

# ---- Rules about sources, symbols, headers ------------------------------

# Programs compile without warnings by the other compiler, too.
.PHONY: check-clang
check-clang: $(call objects,clang,$(wildcard tools/*/*.c tools/*/*/*.c bench/*.c bench/tree/*.c bench/extern/*.c bench/fork/*.c bench/pressure/*.c))

.PHONY: check-sources check-circles check-headers check-freestanding check-format format
check-sources:
	@scripts/check/sources.sh

# Who calls whom among the files of src.
check-circles: $(call objects,release,$(CORE)) | $(DEPS_check)
	@scripts/check/circles.pl $(BUILD)/obj/release/src

check-headers: | $(DEPS_check)
	@scripts/check/headers.sh '$(CC)' '$(CXX)' '$(CLANGXX)'

check-freestanding: | $(DEPS_check)
	@tests/freestanding/check.sh $(BUILD)/freestanding

FORMATTED := $(sort $(shell find include src ports tests tools bench examples \
    \( -name '*.[ch]' -o -name '*.cpp' \) -not -path 'bench/maple/*'))
check-format:
	@scripts/check/format.sh $(FORMATTED)

format:
	clang-format -i $(FORMATTED)

# ---- One source file ----------------------------------------------------

.PHONY: aspen.c check-aspen.c
aspen.c: $(BUILD)/aspen.c

$(BUILD)/aspen.c: scripts/amalgamate.pl sources.txt $(CORE) \
        $(shell find src -name '*.h') include/aspen/version.h
	$(call say,GEN,$@)
	@mkdir -p $(@D)
	$(Q)scripts/amalgamate.pl >$@

# The file compiles without warnings, and a test runs on it.
AMALGAM_TEST := tests/unit/base/test_interval_tree.c
check-aspen.c: $(BUILD)/aspen.c | $(DEPS_check)
	@scripts/check/amalgam.sh $(BUILD)/aspen.c $(BUILD)/amalgam '$(CC)' \
	    '$(CLANG)'

# ---- Install ------------------------------------------------------------

$(BUILD)/aspen.pc: Makefile include/aspen/version.h
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR:$(PREFIX)/%=$${prefix}/%)' \
	    'includedir=$${prefix}/include' '' 'Name: aspen' \
	    'Description: embeddable virtual-memory manager (posix port)' \
	    'Version: $(VERSION)' 'Requires: liburcu-bp' \
	    'Cflags: -I$${includedir}' \
	    'Libs: -L$${libdir} -laspen -lpthread' >$@

.PHONY: install uninstall check-install
INSTALL_PROGRAMS = $(filter $(BUILD)/aspen,$(PROGRAMS))
INSTALL_LIBEXEC = $(filter $(BUILD)/aspen-%,$(PROGRAMS))
# include/aspen/ and what is in it.
HEADER_FOLDERS := $(sort $(dir $(HEADERS)))
install: all
	@$(MAKE) --no-print-directory -B $(BUILD)/aspen.pc
	install -d '$(DESTDIR)$(LIBDIR)/pkgconfig' \
	    $(HEADER_FOLDERS:%='$(DESTDIR)$(PREFIX)/%')
	install -m 644 $(LIB_release) '$(DESTDIR)$(LIBDIR)/libaspen.a'
	install -m 644 $(BUILD)/aspen.pc '$(DESTDIR)$(LIBDIR)/pkgconfig/'
	$(foreach d,$(HEADER_FOLDERS),install -m 644 $(wildcard $d*.h) \
	    '$(DESTDIR)$(PREFIX)/$d' && ) :
	install -m 644 ports/posix/aspen_posix.h ports/posix/aspen_posix_file.h \
	    '$(DESTDIR)$(PREFIX)/include/'
	$(if $(INSTALL_PROGRAMS),install -d '$(DESTDIR)$(PREFIX)/bin' && \
	    install $(INSTALL_PROGRAMS) '$(DESTDIR)$(PREFIX)/bin/')
	$(if $(INSTALL_LIBEXEC),install -d '$(DESTDIR)$(PREFIX)/libexec/aspen' && \
	    install $(INSTALL_LIBEXEC) '$(DESTDIR)$(PREFIX)/libexec/aspen/')
	$(if $(wildcard docs/use/aspen.1),install -d \
	    '$(DESTDIR)$(PREFIX)/share/man/man1' && install -m 644 \
	    docs/use/aspen.1 '$(DESTDIR)$(PREFIX)/share/man/man1/')

uninstall:
	rm -rf '$(DESTDIR)$(PREFIX)/include/aspen' \
	    '$(DESTDIR)$(PREFIX)/libexec/aspen'
	rm -f '$(DESTDIR)$(LIBDIR)/libaspen.a' \
	    '$(DESTDIR)$(LIBDIR)/pkgconfig/aspen.pc' \
	    '$(DESTDIR)$(PREFIX)/include/aspen_posix.h' \
	    '$(DESTDIR)$(PREFIX)/include/aspen_posix_file.h' \
	    '$(DESTDIR)$(PREFIX)/bin/aspen' \
	    '$(DESTDIR)$(PREFIX)/share/man/man1/aspen.1'

check-install: all
	@CC='$(CC)' PKG_CONFIG='$(PKG_CONFIG)' MAKE='$(MAKE_NAME)' \
	    scripts/check/install.sh $(BUILD)

# ---- What others link ----------------------------------------------------

# Functions, parameters and structures, beside what was recorded; abi records.
.PHONY: check-abi abi
check-abi: $(LIB_release)
	@CC='$(CC)' tests/abi/check.sh $(BUILD) $(LIB_release)
abi: $(LIB_release)
	@CC='$(CC)' tests/abi/check.sh $(BUILD) $(LIB_release) record
CHECKS += check-abi

# ---- A release -----------------------------------------------------------

# What is committed, as one file: the same bytes whoever makes it.
.PHONY: dist check-dist check-debian
dist:
	@scripts/dist/dist.sh $(BUILD)
check-dist:
	@scripts/dist/check.sh $(BUILD)
CHECKS += check-dist

# Debian's packages out of it, in a bare system, and used there.
check-debian:
	@scripts/dist/debian.sh $(BUILD)
CHECKS_LONG += check-debian

# ---- As a subproject -----------------------------------------------------

# Of Meson and of CMake, by meson.build and CMakeLists.txt.
.PHONY: check-packages
check-packages: $(LIB_release)
	@CC='$(CC)' scripts/check/packages.sh $(LIB_release)
CHECKS += check-packages

# ---- Figures ------------------------------------------------------------

.PHONY: sizes
sizes: $(LIB_release)
	@scripts/sizes.sh $(BUILD)

# ---- The rest -----------------------------------------------------------

all: $(LIB_release) $(LIB_test) $(PROGRAMS)

# Everything; the script runs each target and adds up what they say.
.PHONY: check
check: $(DEPS_check)
	@MAKE='$(MAKE_NAME)' BUILD='$(BUILD)' scripts/check.sh $(BUILD)/check \
	    programs unit unit-asan unit-tsan unit-clang unit-$(FOREIGN) \
	    $(addprefix unit-,$(FORMATS)) check-clang check-freestanding \
	    check-sources check-circles check-headers check-aspen.c \
	    check-examples check-install check-format $(CHECKS) \
	    --beside $(CHECKS_BESIDE)

# What takes too long for that: half an hour and more.
.PHONY: check-long
check-long: $(DEPS_check)
	@MAKE='$(MAKE_NAME)' BUILD='$(BUILD)' scripts/check.sh $(BUILD)/check $(CHECKS_LONG)

ifneq ($(filter $(BUILD)/aspen,$(PROGRAMS)),)
.PHONY: run
run: all
	@scripts/run.sh $(BUILD)/aspen
endif

ifneq ($(wildcard tests/mutants/*.patch),)
.PHONY: check-mutants
check-mutants: | $(DEPS_check)
	@scripts/mutants.sh
endif

# Small mistakes, made by a machine: scripts/mutate/mutate.pl builds what they
# are planted in, and once more for gcov. MUTANT= for one of them; or a sample:
# SEED, COUNT, LAYER, KIND, WITHIN. The other page tables, ThreadSanitizer and the
# explorer with plain memory see what depends on them.
in_folders = $(addprefix $(BUILD)/$1/tests/unit/,$(basename $(notdir \
    $(wildcard $(addsuffix /test_*.c,$2)))))
.PHONY: mutate mutate-base mutate-cover
mutate-base: $(HOST_PROGRAMS) $(EXPLORE_PROGRAMS) $(EXPLORE_MEMORY) \
    $(call in_folders,$(FOREIGN),$(addprefix tests/unit/,paging fault calls)) \
    $(call in_folders,tsan,tests/threads tests/unit/port)
# What is built in another way as well reaches the same lines.
mutate-cover: $(HOST_PROGRAMS) $(call in_folders,$(FOREIGN),tests/unit/paging) \
    $(filter-out %-flags %-arm64,$(EXPLORE_PROGRAMS))
mutate: | $(DEPS_check)
	@MAKE='$(MAKE_NAME)' BUILD=$(BUILD) scripts/mutate/mutate.pl \
	    $(if $(SEED),--seed $(SEED)) $(if $(COUNT),--count $(COUNT)) \
	    $(if $(LAYER),--layer $(LAYER)) $(if $(KIND),--kind $(KIND)) \
	    $(foreach m,$(MUTANT),--mutant $m) $(if $(WITHIN),--within $(WITHIN))
CHECKS_LONG += mutate

help:
	@scripts/help.sh $(MAKEFILE_LIST)

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
