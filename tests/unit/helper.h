/* SPDX-License-Identifier: MIT */
/*
 * helper.h - the fixture of the tests from space up.
 *
 *   a machine alone    struct aspen, with a direct map of its own
 *   a machine          struct helper: the same, and what reaches its memory
 *   with one space     struct helper_space: what most tests start with
 *   a processor        reads and writes bytes, faults where it has to
 *   mappings           by mmap, or by import (whose flags have MAY in them)
 *   looking            counters, entries, the notation, the validator
 *   state              what a call that fails has to leave as it was
 *
 * failing.h lets every step of a call fail; bare_machine.h is a machine for the
 * layers below.
 */
#ifndef ASPEN_TESTS_HELPER_H
#define ASPEN_TESTS_HELPER_H

#include "unit.h"
#include <aspen/aspen.h>
#include <aspen_port.h>

#define PAGE ((uint64_t)4096)
#define MIB  ((uint64_t)1 << 20)
#define GIB  ((uint64_t)1 << 30)
/* In another part of the top table than low addresses, with room above. */
#define FAR_AWAY ((ASPEN_ADDRESS_LIMIT >> 40 ? 600 : 200) * GIB)
/* Page tables on the way to a page, the top one aside. */
#define PATH_TABLES (ASPEN_TABLE_LEVELS - 1u)
#define R           ASPEN_VM_READ
#define RW          (ASPEN_VM_READ | ASPEN_VM_WRITE)
#define RX          (ASPEN_VM_READ | ASPEN_VM_EXEC)

/* For config.kernel_start: all that user space leaves of a top table, if that
 * is anything (AArch64 finds its kernel by another table). For who includes
 * paging/entry.h. */
#define HELPER_KERNEL_START                                                    \
    (ASPEN_ADDRESS_BITS == 48 ? 0 : 0 - ((uint64_t)1 << ASPEN_ADDRESS_BITS))

/* What mmap adds for private memory, and import is told. */
#define MAY    (ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE | ASPEN_VM_MAYEXEC)
#define MAY_RW (RW | MAY)

/* ---- A machine alone --------------------------------------------------- */

/* Its direct map is made with it, or with its configuration. */
struct aspen_config helper_config(uint32_t frames);
struct aspen *helper_machine(uint32_t frames);
struct aspen *helper_machine_from(const struct aspen_config *config);

/* No space and no object may be left; what was charged, or claimed of swap, by
 * hand may. */
void helper_machine_destroy(struct aspen *aspen);

struct aspen_mm *helper_new_mm(struct aspen *aspen);
struct aspen_object *helper_new_object(struct aspen *aspen,
                                       enum aspen_object_kind kind,
                                       uint64_t size_bytes);

/* All that a machine counts, deferred work done; that it counts the same. */
struct aspen_counters helper_counts(struct aspen *aspen);
#define helper_assert_counts(aspen, before)                                    \
    helper_assert_counts_at(aspen, before, __FILE__, __LINE__)
void helper_assert_counts_at(struct aspen *aspen,
                             const struct aspen_counters *before,
                             const char *file, int line);

/* ---- A machine --------------------------------------------------------- */

struct helper {
    struct aspen *aspen;
    void *direct_map;
    size_t direct_map_bytes;
};

/* `config` may be NULL; its frames (0: 4,096) and direct_map (NULL: a new one)
 * are filled in. The direct map ends with the machine. */
void helper_create(struct helper *helper, const struct aspen_config *config);

/* Nothing may be left: no space, object, charge or frame. */
void helper_destroy(struct helper *helper);

struct aspen_mm *helper_mm(struct helper *helper);

/* ---- A machine with one space ------------------------------------------ */

/* What most tests start with. */
struct helper_space {
    struct helper helper;
    struct aspen_mm *mm;
};

/* `config` as for helper_create(). */
void helper_space_create(struct helper_space *s,
                         const struct aspen_config *config);

/* The machine is valid, and nothing of it may be left. */
void helper_space_destroy(struct helper_space *s);

/* The same for cmocka: *state gets a new one. */
int helper_space_setup_with(void **state, const struct aspen_config *config);
int helper_space_setup(void **state);
int helper_space_setup_6_18(void **state); /* as this Linux */
int helper_space_teardown(void **state);

/* A test that gets a struct helper_space in *state. */
#define helper_space_test(name)                                                \
    cmocka_unit_test_setup_teardown(name, helper_space_setup,                  \
                                    helper_space_teardown)

/* ---- A processor: one task at a time ----------------------------------- */

/* Translate, fault, again, until the access goes through. 0 and *frame, or
 * the fault's error. */
int helper_access(struct aspen_mm *mm, uint64_t address, unsigned access,
                  uint32_t *frame);

/* Bytes, over page edges. 0, or the first fault's error. */
int helper_read(struct helper *helper, struct aspen_mm *mm, uint64_t address,
                void *bytes, size_t length);
int helper_write(struct helper *helper, struct aspen_mm *mm, uint64_t address,
                 const void *bytes, size_t length);

/* One byte, which is there. */
uint8_t helper_get(struct helper *helper, struct aspen_mm *mm,
                   uint64_t address);
void helper_put(struct helper *helper, struct aspen_mm *mm, uint64_t address,
                uint8_t byte);

/* ---- Mappings ---------------------------------------------------------- */

/* Map private zeroes; at `address` exactly, or anywhere when it is 0. */
uint64_t helper_map(struct aspen_mm *mm, uint64_t address, uint64_t pages,
                    uint64_t vm_flags);
/* An object's pages, from page `pgoff` on. */
uint64_t helper_map_object(struct aspen_mm *mm, uint64_t address,
                           uint64_t pages, uint64_t vm_flags,
                           struct aspen_object *object, uint64_t pgoff);
/* Private zeroes with aspen_mmap()'s own flags; what it answers. */
int helper_try_map(struct aspen_mm *mm, uint64_t address, uint64_t bytes,
                   uint64_t vm_flags, unsigned flags, uint64_t *result);
void helper_unmap(struct aspen_mm *mm, uint64_t address, uint64_t pages);

/* Give back pins that were taken. */
void helper_unpin(struct aspen_mm *mm, const uint32_t *frames, uint64_t pages,
                  unsigned flags);

/* What aspen_mremap() answers, for who knows where the memory then is. */
int helper_remap(struct aspen_mm *mm, uint64_t address, uint64_t old_bytes,
                 uint64_t new_bytes, unsigned flags, uint64_t new_address);

/* By import, its flags as they are; the VMA. */
struct aspen_vma *helper_import(struct aspen_mm *mm, uint64_t start,
                                uint64_t pages, uint64_t flags,
                                struct aspen_object *object, uint64_t pgoff);

/* All of them, or the error; what it says it has done, it has done. */
int helper_import_pages(struct aspen_mm *mm, uint64_t address, uint64_t count,
                        enum aspen_import_kind kind, unsigned level);

/* For pagers: each byte of page n is n + 1; what is written is dropped. */
int helper_pager_read(void *context, uint64_t pgoff, void *page);
int helper_pager_write(void *context, uint64_t pgoff, const void *const pages[],
                       uint64_t bytes);

/* For pagers: page n begins with n, a word. */
int helper_pager_number(void *context, uint64_t offset_bytes, void *page);

/* For devices: page n is the frame n of `context`'s, a first raw number. */
int helper_device_frame(void *context, uint64_t offset_bytes, unsigned access,
                        struct aspen_device_frame *frame);

/* An object without a pager, or with one. */
struct aspen_object *helper_object(struct helper *helper,
                                   enum aspen_object_kind kind, uint64_t pages,
                                   const struct aspen_pager_ops *pager,
                                   void *context);

/* ---- Looking ----------------------------------------------------------- */

struct aspen_mm_counters helper_counters(struct aspen_mm *mm);
uint64_t helper_committed(struct helper *helper); /* pages */

/* Whether the access goes through without a fault. */
bool helper_can_read(struct aspen_mm *mm, uint64_t address);
bool helper_can_write(struct aspen_mm *mm, uint64_t address);
/* With the fault that cleans caches, where there is one. */
bool helper_can_execute(struct aspen_mm *mm, uint64_t address);

/* The frame of a page that is there. */
uint32_t helper_frame(struct aspen_mm *mm, uint64_t address);

/* The project's notation, without the pages or with them, and Linux's two
 * files; free() the text. */
char *helper_dump(struct aspen_mm *mm, bool pages);
char *helper_maps(struct aspen_mm *mm);
char *helper_smaps(struct aspen_mm *mm);

/* The VMAs are these, as the notation has them, a line each. */
#define helper_assert_space(mm, expected)                                      \
    helper_assert_space_at(mm, expected, __FILE__, __LINE__)
void helper_assert_space_at(struct aspen_mm *mm, const char *expected,
                            const char *file, int line);

/* The whole machine is consistent. */
#define helper_assert_valid(helper)                                            \
    helper_assert_valid_at(helper, __FILE__, __LINE__)
void helper_assert_valid_at(struct helper *helper, const char *file, int line);

/*
 * What a call that fails has to leave as it was. Empty page tables do not
 * count: they are no state.
 */
struct helper_state {
    struct aspen_counters counters;
    uint64_t frames; /* that hold contents */
    uint64_t semantic_hash;
    uint64_t counts_hash;
};

/* `mm` may be NULL. */
void helper_state_take(struct helper *helper, struct aspen_mm *mm,
                       struct helper_state *state);
#define helper_assert_state(helper, mm, state)                                 \
    helper_assert_state_at(helper, mm, state, false, __FILE__, __LINE__)
void helper_assert_state_at(struct helper *helper, struct aspen_mm *mm,
                            const struct helper_state *before, bool cached,
                            const char *file, int line);

#endif
