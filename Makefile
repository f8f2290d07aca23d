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
#
# tools/tools.mk and bench/bench.mk add programs; they may use every variable
# and the function `objects` below, and append to PROGRAMS.

ifeq ($(origin CC),default)
CC = gcc
endif
CXX ?= g++
CLANG ?= clang
AR ?= ar

PREFIX ?= /usr/local
DESTDIR ?=
BUILD := build
VERSION := $(shell sed -n 's/^.define ASPEN_VERSION_STRING "\(.*\)"/\1/p' \
                   include/aspen/version.h)

WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes \
            -Wmissing-prototypes -Werror=implicit-function-declaration
CPPFLAGS_ALL := -Iinclude -Isrc -Iports/posix -Itests/unit
CFLAGS_ALL := -std=c11 -g $(WARNINGS)
LIBS_ALL := -lurcu-bp -lpthread

CFLAGS_release := -O2
CFLAGS_test := -O1 -DASPEN_TEST_BUILD
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS_asan := -O1 -DASPEN_TEST_BUILD -fno-omit-frame-pointer $(SANITIZE)
LDFLAGS_asan := $(SANITIZE)

CORE := $(shell sed -e 's/\#.*//' sources.txt)
PORT := $(wildcard ports/posix/*.c)
HEADERS := $(wildcard include/aspen/*.h)

LIB_release := $(BUILD)/libaspen.a
LIB_test := $(BUILD)/libaspen-test.a
LIB_asan := $(BUILD)/asan/libaspen-test.a
PROGRAMS :=

# V=1 shows commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $1 $2)

# $(call objects,VARIANT,SOURCES): where their objects are.
objects = $(patsubst %.c,$(BUILD)/obj/$1/%.o,$2)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:

# ---- Libraries ----------------------------------------------------------

define variant
$(BUILD)/obj/$1/%.o: %.c Makefile
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(CPPFLAGS_ALL) $$(CPPFLAGS) $$(CFLAGS_ALL) $$(CFLAGS_$1) \
	    $$(CFLAGS_EXTRA) $$(CFLAGS) -MMD -MP -c -o $$@ $$<

$(LIB_$1): $(call objects,$1,$(CORE) $(PORT)) sources.txt
	$$(call say,AR,$$@)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$(filter %.o,$$^)
endef
$(foreach v,release test asan,$(eval $(call variant,$v)))

# ---- Unit tests ---------------------------------------------------------

# Each tests/unit/test_NAME.c is a program. It is linked with unit.c, and with
# helper.c when it includes "helper.h" of the same folder.
UNIT := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
unit_sources = $(wildcard $(sort tests/unit/$1.c tests/unit/unit.c \
    $(shell sed -n 's,^\#include "\([a-z0-9_]*\)\.h".*,tests/unit/\1.c,p' \
        tests/unit/$1.c)))

# $(call unit_test,VARIANT,DIRECTORY,NAME,SOURCES)
define unit_test
$2/$3: $(call objects,$1,$4) $(LIB_$1)
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(CFLAGS_$1) $$(LDFLAGS) $$(LDFLAGS_$1) -o $$@ $$^ \
	    -lcmocka $$(LIBS_ALL)
endef
define unit_tests
$(call unit_test,test,$(BUILD)/tests/unit,$1,$2)
$(call unit_test,asan,$(BUILD)/asan/tests/unit,$1,$2)
endef
$(foreach t,$(UNIT),$(eval $(call unit_tests,$t,$(call unit_sources,$t))))
UNIT_test := $(addprefix $(BUILD)/tests/unit/,$(UNIT))
UNIT_asan := $(addprefix $(BUILD)/asan/tests/unit/,$(UNIT))

.PHONY: all unit unit-asan clean help
unit: $(UNIT_test)
	@scripts/run-tests.sh $(BUILD)/log $(UNIT_test)

unit-asan: $(UNIT_asan)
	@scripts/run-tests.sh $(BUILD)/asan/log $(UNIT_asan)

# One test: make test_cache, make asan/test_cache.
.PHONY: $(UNIT) $(addprefix asan/,$(UNIT))
$(UNIT): %: $(BUILD)/tests/unit/%
	$<
$(addprefix asan/,$(UNIT)): asan/%: $(BUILD)/asan/tests/unit/%
	$<

# ---- The rest -----------------------------------------------------------

-include tools/tools.mk
-include bench/bench.mk

all: $(LIB_release) $(LIB_test) $(PROGRAMS)

help:
	@echo 'make              build/libaspen.a, build/libaspen-test.a, programs'
	@echo 'make unit         unit tests; make test_NAME for one'
	@echo 'make unit-asan    the same under ASan and UBSan; make asan/test_NAME'
	@echo 'make clean        remove build/'
	@echo 'Variables: CC=$(CC) BUILD=$(BUILD) PREFIX=$(PREFIX) DESTDIR CFLAGS'

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
