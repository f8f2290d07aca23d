/* SPDX-License-Identifier: MIT */
/*
 * test_every_call.c - each function of the public headers that can fail, at
 * each of its failpoints, once and onward: the semantic state is unchanged,
 * counts are balanced, the next call works.
 *
 * The table names every such function; scripts/check/sources.sh
 * compares it with the headers. Other tests look at single calls more closely;
 * this one says that none was forgotten, and which kinds of step each has.
 */
#include "every_call.h"
#include "every_group.h"
#include "every_track.h"
#include "every_run.h"
#include "failing.h"
#include "helper.h"

#include "beside.h"

#define MOVE (ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED)

/* ---- All of them ------------------------------------------------------- */

#define K(step) 1u << ASPEN_STEP_##step
/* Of a context: each makes one, and registers all of a mapping. */
#define WATCHED(more)                                                          \
    .first = EMPTY, .pages = 10, .kinds = K(USERFAULT) | K(INTERRUPT) | (more)
#define CALL(call, title, ...)                                                 \
    {                                                                          \
        .function = #call, .what = title, __VA_ARGS__                          \
    }

static const struct call calls[] = {
    CALL(aspen_create, "no gate", .run = run_create),
    CALL(aspen_destroy, "no gate", .run = run_destroy),
    CALL(aspen_failpoints_set, "no gate", .run = run_failpoints_set),
    CALL(aspen_limit_set, "no gate", .run = run_limit_set),
    CALL(aspen_privileges_set, "no gate", .run = run_privileges_set),
    CALL(aspen_layout_set, "no gate", .run = run_layout_set),
    CALL(aspen_layout_choose, "no gate", .run = run_layout_choose),
    CALL(aspen_layout_move, "no gate", .run = run_layout_move),
    CALL(aspen_mm_activate, "no gate", .run = run_mm_activate),
    CALL(aspen_mm_deactivate, "no gate", .run = run_mm_deactivate),
    CALL(aspen_mm_switch, "no gate", .run = run_mm_switch),
    CALL(aspen_object_unmap, "no gate", .run = run_object_unmap),
    CALL(aspen_object_deny_writable, "no gate", .run = run_deny_writable),
    CALL(aspen_object_allow_writable, "no gate", .run = run_deny_writable),
    CALL(aspen_object_drop, "a file", .run = run_object_drop, .cached = true,
         .progressive = true, .kinds = K(TREE_NODE)),
    CALL(aspen_translate, "no gate", .run = run_translate, .first = COW,
         .flags = ASPEN_ACCESS_READ),
    CALL(aspen_translate_with_rights, "no gate",
         .run = run_translate_with_rights, .first = COW,
         .flags = ASPEN_ACCESS_READ),
    CALL(aspen_mmu_translate, "no gate", .run = run_mmu_translate,
         .first = COW),
    CALL(aspen_young, "no gate", .run = run_young, .first = COW, .pages = 4),
    CALL(aspen_userfault_create, "and what is registered", WATCHED(0),
         .run = run_userfault_create),
    CALL(aspen_userfault_register, "a mapping", WATCHED(0),
         .run = run_userfault_create),
    CALL(aspen_userfault_unregister, "a part of that",
         WATCHED(K(VMA) | K(TREE_NODE)), .run = run_userfault_unregister),
    CALL(aspen_userfault_write_protect, "a mapping", WATCHED(K(PAGE_TABLE)),
         .run = run_userfault_protect),
    CALL(aspen_pagemap_scan, "no way to fail but a signal",
         .run = run_pagemap_scan, .first = COW, .pages = 2,
         .kinds = K(INTERRUPT)),
    CALL(aspen_oom_adjust_set, "no gate", .run = run_oom_adjust_set),
    CALL(aspen_oom_select, "no gate", .run = run_oom_select),
    CALL(aspen_oom_kill, "no gate", .run = run_oom_kill),
    CALL(aspen_oom_reap, "no gate", .run = run_oom_reap),
    CALL(aspen_validate, "no gate", .run = run_validate),
    CALL(aspen_validate_mm, "no gate", .run = run_validate_mm),
    CALL(aspen_frames_add, "what was reserved", .run = run_frames_add,
         .first = RESERVED, .pages = 96, .kinds = K(FRAME)),
    CALL(aspen_frames_alloc, "a block", .run = run_frames_alloc, .pages = 3,
         .kinds = K(FRAME)),
    CALL(aspen_swap_area_add, "an area", .run = run_swap_area_add,
         .kinds = K(SWAP)),
    CALL(aspen_swap_add, "a device", .run = run_swap_add, .kinds = K(SWAP)),
    CALL(aspen_swap_remove, "a device with pages", .run = run_swap_remove,
         .first = OUT, .progressive = true, .cached = true,
         .kinds = K(FRAME) | K(HOOK) | K(INTERRUPT)),
    CALL(aspen_mm_create, "a space", .run = run_mm_create,
         .kinds = K(MM) | K(PAGE_TABLE) | K(HOOK)),
    CALL(aspen_group_create, "a group", .run = run_group_create,
         .kinds = K(GROUP)),
    CALL(aspen_group_limit_set, "no gate of its own",
         .run = run_group_limit_set, .kinds = K(GROUP)),
    CALL(aspen_group_enter, "a new space", .run = run_group_enter,
         .kinds = K(GROUP) | K(MM) | K(PAGE_TABLE) | K(CHARGE) | K(HOOK) |
                  K(INTERRUPT)),
    CALL(aspen_exec_prepare, "and abort", .run = run_exec_prepare,
         .kinds = K(MM) | K(PAGE_TABLE) | K(HOOK)),
    CALL(aspen_object_create, "an object", .run = run_object_create,
         .kinds = K(OBJECT)),
    CALL(aspen_import_vma, "anonymous", .run = run_import_vma, .first = 5000,
         .pages = 9, .flags = RW | ASPEN_VM_ACCOUNT,
         .kinds = K(VMA) | K(CHARGE) | K(ANON_VMA) | K(TREE_NODE)),
    CALL(aspen_import_vma, "a file", .run = run_import_vma, .first = 5000,
         .pages = 9, .flags = RW, .file = true,
         .kinds = K(VMA) | K(ANON_VMA) | K(TREE_NODE) | K(HOOK)),
    CALL(aspen_import_pages, "one page", .run = run_import_pages,
         .first = EMPTY, .pages = 1, .kind = ASPEN_IMPORT_ANON,
         .kinds = K(ANON_VMA) | K(PAGE_TABLE) | K(FRAME)),
    CALL(aspen_import_pages, "pages", .run = run_import_pages, .first = EMPTY,
         .pages = 5, .kind = ASPEN_IMPORT_ANON, .progressive = true,
         .kinds = K(ANON_VMA) | K(PAGE_TABLE) | K(FRAME)),
    CALL(aspen_import_pages, "a huge page", .run = run_import_pages,
         .first = HUGE, .pages = 1, .kind = ASPEN_IMPORT_ANON,
         .kinds = K(ANON_VMA) | K(PAGE_TABLE) | K(FRAME)),
    CALL(aspen_import_pages, "a file's page", .run = run_import_pages,
         .first = FILE_, .pages = 1, .kind = ASPEN_IMPORT_OBJECT,
         .cached = true, .kinds = K(HOOK) | K(FRAME)),
    CALL(aspen_import_pages, "a file's pages", .run = run_import_pages,
         .first = FILE_, .pages = 3, .kind = ASPEN_IMPORT_OBJECT,
         .cached = true, .progressive = true, .kinds = K(HOOK) | K(FRAME)),
    CALL(aspen_import_pages, "the zero page", .run = run_import_pages,
         .first = EMPTY, .pages = 3, .kind = ASPEN_IMPORT_ZERO,
         .kinds = K(PAGE_TABLE)),
    CALL(aspen_import_pages, "a full slot", .run = run_import_pages,
         .first = SLOTS, .pages = 1, .kind = ASPEN_IMPORT_SWAP,
         .kinds = K(SWAP)),
    CALL(aspen_import_pages, "a guard", .run = run_import_pages, .first = EMPTY,
         .pages = 3, .kind = ASPEN_IMPORT_GUARD,
         .kinds = K(PAGE_TABLE) | K(ANON_VMA)),
    CALL(aspen_import_pages, "raw frames", .run = run_import_pages,
         .first = RAW, .pages = 4, .kind = ASPEN_IMPORT_RAW,
         .kinds = K(PAGE_TABLE)),
    CALL(aspen_mmap, "somewhere", .run = run_mmap, .elsewhere = true,
         .pages = 3000, .flags = RW,
         .kinds = K(INTERRUPT) | K(CHARGE) | K(TREE_NODE) | K(VMA)),
    CALL(aspen_mmap, "a file", .run = run_mmap, .elsewhere = true, .pages = 30,
         .flags = R, .file = true,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(HOOK)),
    CALL(aspen_mmap, "merged with the one below", .run = run_mmap,
         .first = ANON + 10, .pages = 2, .flags = RW,
         .kinds = K(INTERRUPT) | K(CHARGE) | K(TREE_NODE)),
    CALL(aspen_mmap, "merged with both", .run = run_mmap, .first = LEFT + 2,
         .pages = 2, .flags = RW,
         .kinds = K(INTERRUPT) | K(CHARGE) | K(TREE_NODE)),
    CALL(aspen_mmap, "in the middle, to be executed alone", .run = run_mmap,
         .first = ANON + 1, .pages = 2, .flags = ASPEN_VM_EXEC,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA)),
    CALL(aspen_mmap, "fixed, in the middle", .run = run_mmap, .first = ANON + 1,
         .pages = 2, .flags = R,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA)),
    CALL(aspen_mmap, "fixed, a file in a file", .run = run_mmap,
         .first = FILE_ + 5, .pages = 2, .flags = R, .file = true,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA) | K(HOOK)),
    CALL(aspen_mmap, "fixed, over several", .run = run_mmap, .first = ANON + 8,
         .pages = 20, .flags = RW,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA) | K(HOOK) |
                  K(CHARGE)),
    CALL(aspen_map_special, "code", .run = run_map_special, .pages = 2,
         .flags = RX, .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA)),
    CALL(aspen_map_special, "writable", .run = run_map_special, .pages = 2,
         .flags = RW,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(CHARGE)),
    CALL(aspen_mmap, "shared, of no object", .run = run_mmap, .elsewhere = true,
         .pages = 30, .flags = RW | ASPEN_VM_SHARED,
         .kinds = K(INTERRUPT) | K(CHARGE) | K(TREE_NODE) | K(VMA) | K(OBJECT)),
    CALL(aspen_insert_raw, "a raw frame", .run = run_insert_raw,
         .first = DRIVEN + 1, .kinds = K(PAGE_TABLE)),
    CALL(aspen_remap_raw, "raw frames", .run = run_remap_raw, .first = RAW,
         .pages = 4, .kinds = K(PAGE_TABLE) | K(INTERRUPT)),
    CALL(aspen_insert_page, "a page of the cache", .run = run_insert_page,
         .first = DRIVEN + 1, .cached = true,
         .kinds = K(PAGE_TABLE) | K(FRAME) | K(TREE_NODE) | K(INTERRUPT)),
    CALL(aspen_object_resize, "a file gets shorter", .run = run_object_resize,
         .file = true, .pages = 21, .kinds = K(HOOK) | K(TREE_NODE)),
    CALL(aspen_object_resize, "charged memory gets longer",
         .run = run_object_resize, .pages = 900,
         .kinds = K(CHARGE) | K(TREE_NODE)),
    CALL(aspen_object_punch, "a file", .run = run_object_punch, .file = true,
         .first = 20, .pages = 3, .kinds = K(HOOK) | K(TREE_NODE)),
    CALL(aspen_object_punch, "shared memory", .run = run_object_punch,
         .first = 20, .pages = 3, .kinds = K(TREE_NODE)),
    CALL(aspen_object_read, "a file", .run = run_object_read, .cached = true,
         .progressive = true, .kinds = K(HOOK) | K(FRAME) | K(INTERRUPT)),
    CALL(aspen_object_write, "a file", .run = run_object_write, .cached = true,
         .progressive = true, .kinds = K(HOOK) | K(FRAME) | K(INTERRUPT)),
    CALL(aspen_object_sync, "a file", .run = run_object_sync,
         .progressive = true, .kinds = K(HOOK)),
    CALL(aspen_object_error, "a file", .run = run_object_error),
    CALL(aspen_migrate, "a page of two spaces", .run = run_migrate,
         .first = COW, .kinds = K(FRAME)),
    CALL(aspen_compact, "where there is a block", .run = run_compact),
    CALL(aspen_compact_tick, "where there is a block", .run = run_compact_tick),
    CALL(aspen_memory_failure, "a page of two spaces",
         .run = run_memory_failure, .first = COW),
    CALL(aspen_memory_offline, "a page of two spaces",
         .run = run_memory_offline, .first = COW, .kinds = K(FRAME)),
    CALL(aspen_reclaim_tick, "without watermarks", .run = run_reclaim_tick),
    CALL(aspen_msync, "a shared file", .run = run_msync, .first = SHF,
         .pages = 4, .progressive = true, .kinds = K(HOOK) | K(INTERRUPT)),
    CALL(aspen_fault, "write, clean page of a shared file", .run = run_fault,
         .first = SHF + 2, .flags = ASPEN_ACCESS_WRITE, .cached = true,
         .kinds = K(FRAME) | K(HOOK) | K(INTERRUPT)),
    CALL(aspen_fault_with_rights, "write, what is not there",
         .run = run_fault_with_rights, .first = EMPTY,
         .flags = ASPEN_ACCESS_WRITE,
         .kinds = K(PAGE_TABLE) | K(FRAME) | K(ANON_VMA)),
    CALL(aspen_munmap, "all of one", .run = run_munmap, .first = SHM,
         .pages = 4, .kinds = K(INTERRUPT) | K(TREE_NODE)),
    CALL(aspen_munmap, "a head", .run = run_munmap, .first = ANON, .pages = 5,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA)),
    CALL(aspen_munmap, "a middle", .run = run_munmap, .first = ANON + 5,
         .pages = 2,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA)),
    CALL(aspen_munmap, "the middle of a file", .run = run_munmap,
         .first = FILE_ + 4, .pages = 2,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA) | K(HOOK)),
    CALL(aspen_munmap, "several", .run = run_munmap, .first = ANON + 8,
         .pages = 20,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA) | K(HOOK)),
    CALL(aspen_mprotect, "a middle, to be executed alone", .run = run_mprotect,
         .first = ANON + 5, .pages = 2, .flags = ASPEN_VM_EXEC,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA)),
    CALL(aspen_mprotect, "a middle", .run = run_mprotect, .first = ANON + 5,
         .pages = 2, .flags = R,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA)),
    CALL(aspen_mprotect, "the middle of a file", .run = run_mprotect,
         .first = FILE_ + 4, .pages = 2, .flags = R,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA) | K(HOOK)),
    CALL(aspen_mprotect, "a tail becomes charged", .run = run_mprotect,
         .first = READ_ONLY + 2, .pages = 2, .flags = RW,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(CHARGE)),
    CALL(aspen_mprotect, "three become one", .run = run_mprotect,
         .first = MIXED + 1, .pages = 1, .flags = R,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(ANON_VMA)),
    CALL(aspen_mlock, "a middle", .run = run_mlock, .first = ANON + 7,
         .pages = 2, .progressive = true,
         .kinds =
             K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA) | K(FRAME)),
    CALL(aspen_mlock, "on fault", .run = run_mlock, .first = ANON + 7,
         .pages = 2, .flags = true,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA)),
    CALL(aspen_munlock, "what is not locked", .run = run_munlock, .first = ANON,
         .pages = 2, .kinds = K(INTERRUPT)),
    CALL(aspen_pkey_alloc, "the first", .run = run_pkey_alloc),
    CALL(aspen_pkey_free, "the first", .run = run_pkey_free),
    CALL(aspen_import_pkeys, "two", .run = run_import_pkeys, .flags = 7),
    CALL(aspen_mlockall, "in future", .run = run_mlockall,
         .flags = ASPEN_MCL_FUTURE, .kinds = K(INTERRUPT)),
    CALL(aspen_mlockall, "all there is, on fault", .run = run_mlockall,
         .flags = ASPEN_MCL_CURRENT | ASPEN_MCL_ONFAULT, .kinds = K(INTERRUPT)),
    CALL(aspen_munlockall, "nothing", .run = run_munlockall,
         .kinds = K(INTERRUPT)),
    CALL(aspen_madvise, "flags of a middle", .run = run_madvise,
         .first = ANON + 5, .pages = 2, .flags = ASPEN_MADV_DONTFORK,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA)),
    CALL(aspen_minherit, "a middle, copied at once", .run = run_minherit,
         .first = ANON + 5, .pages = 2, .flags = ASPEN_INHERIT_COPY_NOW,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA)),
    CALL(aspen_madvise, "pages that go", .run = run_madvise, .first = ANON,
         .pages = 5, .flags = ASPEN_MADV_DONTNEED),
    CALL(aspen_madvise, "pages that are on a swap device", .run = run_madvise,
         .first = OUT, .pages = 4, .flags = ASPEN_MADV_DONTNEED),
    CALL(aspen_madvise, "guards of one mapping", .run = run_madvise,
         .first = EMPTY, .pages = 5, .flags = ASPEN_MADV_GUARD_INSTALL,
         .kinds = K(PAGE_TABLE) | K(ANON_VMA)),
    CALL(aspen_madvise, "guards of several", .run = run_madvise, .first = EMPTY,
         .pages = 510, .flags = ASPEN_MADV_GUARD_INSTALL,
         .kinds = K(INTERRUPT) | K(PAGE_TABLE) | K(ANON_VMA)),
    CALL(aspen_madvise, "guards gone", .run = run_madvise, .first = ANON,
         .pages = 10, .flags = ASPEN_MADV_GUARD_REMOVE),
    CALL(aspen_madvise, "a hole in shared memory", .run = run_madvise,
         .first = SHM, .pages = 2, .flags = ASPEN_MADV_REMOVE, .cached = true,
         .kinds = K(TREE_NODE)),
    CALL(aspen_madvise, "populated", .run = run_madvise, .first = EMPTY,
         .pages = 3, .flags = ASPEN_MADV_POPULATE_WRITE, .progressive = true,
         .kinds = K(INTERRUPT) | K(PAGE_TABLE) | K(FRAME) | K(ANON_VMA)),
    CALL(aspen_process_madvise, "cold", .run = run_process_madvise,
         .first = ANON, .pages = 5, .flags = ASPEN_MADV_COLD),
    CALL(aspen_brk, "up", .run = run_brk, .first = HEAP + 9,
         .kinds = K(INTERRUPT) | K(CHARGE) | K(TREE_NODE)),
    CALL(aspen_brk, "down", .run = run_brk, .first = HEAP + 1,
         .kinds = K(INTERRUPT) | K(VMA) | K(TREE_NODE)),
    CALL(aspen_mremap, "moved", .run = run_mremap, .first = ANON, .pages = 10,
         .flags = 10, .kind = MOVE, .to = FREE,
         .kinds = K(INTERRUPT) | K(VMA) | K(ANON_VMA) | K(PAGE_TABLE) |
                  K(TREE_NODE)),
    /* `cached`: a cut that is undone may leave a tree node more. */
    CALL(aspen_mremap, "a middle, over others", .run = run_mremap,
         .cached = true, .first = ANON + 3, .pages = 4, .flags = 4,
         .kind = MOVE, .to = FILE_ + 3,
         .kinds = K(INTERRUPT) | K(VMA) | K(ANON_VMA) | K(PAGE_TABLE) |
                  K(TREE_NODE) | K(HOOK)),
    CALL(aspen_mremap, "a file's middle, larger", .run = run_mremap,
         .first = FILE_ + 2, .pages = 4, .flags = 8,
         .kind = ASPEN_MREMAP_MAYMOVE,
         .kinds = K(INTERRUPT) | K(VMA) | K(ANON_VMA) | K(PAGE_TABLE) |
                  K(CHARGE) | K(TREE_NODE) | K(HOOK)),
    CALL(aspen_mremap, "several smaller", .run = run_mremap, .cached = true,
         .first = ANON + 5, .pages = 20, .flags = 2, .kind = MOVE, .to = FREE,
         .kinds = K(INTERRUPT) | K(VMA) | K(ANON_VMA) | K(PAGE_TABLE) |
                  K(TREE_NODE) | K(HOOK)),
    CALL(aspen_mremap, "three, over others", .run = run_mremap, .cached = true,
         .first = FILE_ + 3, .pages = 29, .flags = 29, .kind = MOVE,
         .to = FILE_ + 38,
         .kinds = K(INTERRUPT) | K(VMA) | K(ANON_VMA) | K(PAGE_TABLE) |
                  K(TREE_NODE) | K(HOOK)),
    CALL(aspen_mremap, "two, what was there stays", .run = run_mremap,
         .first = ANON + 4, .pages = 22 + (FILE_ - ANON - 10),
         .flags = 22 + (FILE_ - ANON - 10),
         .kind = MOVE | ASPEN_MREMAP_DONTUNMAP, .to = FREE,
         .kinds = K(INTERRUPT) | K(VMA) | K(ANON_VMA) | K(PAGE_TABLE) |
                  K(CHARGE) | K(TREE_NODE) | K(HOOK)),
    CALL(aspen_mremap, "what was there stays", .run = run_mremap, .first = ANON,
         .pages = 10, .flags = 10, .kind = MOVE | ASPEN_MREMAP_DONTUNMAP,
         .to = FREE,
         .kinds = K(INTERRUPT) | K(VMA) | K(ANON_VMA) | K(PAGE_TABLE) |
                  K(CHARGE) | K(TREE_NODE)),
    CALL(aspen_mremap, "a second mapping", .run = run_mremap, .first = SHM,
         .pages = 0, .flags = 6, .kind = ASPEN_MREMAP_MAYMOVE,
         .kinds = K(INTERRUPT) | K(VMA) | K(TREE_NODE)),
    CALL(aspen_mremap, "larger, up to the next", .run = run_mremap,
         .first = LEFT, .pages = 2, .flags = 4,
         .kinds = K(INTERRUPT) | K(CHARGE) | K(TREE_NODE)),
    CALL(aspen_mremap, "smaller", .run = run_mremap, .first = ANON, .pages = 10,
         .flags = 4,
         .kinds = K(INTERRUPT) | K(VMA) | K(ANON_VMA) | K(TREE_NODE)),
    CALL(aspen_mseal, "a middle", .run = run_mseal, .first = ANON + 5,
         .pages = 2,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA)),
    CALL(aspen_remap_file_pages, "a file's middle", .run = run_remap_file_pages,
         .first = SHF + 1, .pages = 2, .to = 9, .flags = ASPEN_MAP_NONBLOCK,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(HOOK)),
    CALL(aspen_remap_file_pages, "shared memory's end",
         .run = run_remap_file_pages, .first = SHM + 2, .pages = 2, .to = 9,
         .flags = ASPEN_MAP_NONBLOCK,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA)),
    CALL(aspen_name_anon, "a middle", .run = run_name_anon, .first = ANON + 5,
         .pages = 2,
         .kinds = K(INTERRUPT) | K(TREE_NODE) | K(VMA) | K(ANON_VMA) | K(NAME)),
    CALL(aspen_name_anon, "several", .run = run_name_anon, .first = LEFT,
         .pages = 2, .kinds = K(INTERRUPT) | K(NAME)),
    CALL(aspen_name_anon, "no name", .run = run_name_anon, .first = ANON,
         .pages = 10, .flags = true, .kinds = K(INTERRUPT)),
    CALL(aspen_fault, "read, nothing there", .run = run_fault, .first = EMPTY,
         .flags = ASPEN_ACCESS_READ, .kinds = K(PAGE_TABLE)),
    CALL(aspen_fault, "write, nothing there", .run = run_fault, .first = EMPTY,
         .flags = ASPEN_ACCESS_WRITE,
         .kinds = K(PAGE_TABLE) | K(FRAME) | K(ANON_VMA)),
    CALL(aspen_fault, "write, zero page", .run = run_fault, .first = ZERO,
         .flags = ASPEN_ACCESS_WRITE, .kinds = K(FRAME)),
    CALL(aspen_fault, "write, copied", .run = run_fault, .first = COW,
         .flags = ASPEN_ACCESS_WRITE, .kinds = K(FRAME)),
    CALL(aspen_fault, "read, swapped out", .run = run_fault, .first = OUT,
         .flags = ASPEN_ACCESS_READ, .cached = true,
         .kinds = K(FRAME) | K(HOOK) | K(INTERRUPT)),
    CALL(aspen_fault, "write, swapped out", .run = run_fault, .first = OUT,
         .flags = ASPEN_ACCESS_WRITE, .cached = true,
         .kinds = K(FRAME) | K(HOOK) | K(INTERRUPT)),
    CALL(aspen_fault, "read, file", .run = run_fault, .first = FILE_ + 7,
         .flags = ASPEN_ACCESS_READ, .cached = true,
         .kinds = K(FRAME) | K(HOOK) | K(INTERRUPT)),
    CALL(aspen_fault, "write, file", .run = run_fault, .first = FILE_ + 7,
         .flags = ASPEN_ACCESS_WRITE, .cached = true,
         .kinds = K(FRAME) | K(HOOK) | K(INTERRUPT)),
    CALL(aspen_fault, "write, shared", .run = run_fault, .first = SHM,
         .flags = ASPEN_ACCESS_WRITE, .cached = true,
         .kinds = K(FRAME) | K(TREE_NODE) | K(INTERRUPT)),
    CALL(aspen_fault, "write, stack", .run = run_fault, .first = STACK - 3,
         .flags = ASPEN_ACCESS_WRITE, .progressive = true,
         .kinds = K(CHARGE) | K(TREE_NODE) | K(INTERRUPT) | K(FRAME) |
                  K(PAGE_TABLE) | K(ANON_VMA)),
    CALL(aspen_futex_load, "of a file", .run = run_futex_load,
         .first = FILE_ + 4, .cached = true,
         .kinds = K(FRAME) | K(HOOK) | K(INTERRUPT)),
    CALL(aspen_futex_add, "to a copy", .run = run_futex_add, .first = ANON + 3,
         .kinds = K(FRAME) | K(INTERRUPT)),
    CALL(aspen_futex_compare_exchange, "in zeroes",
         .run = run_futex_compare_exchange, .first = EMPTY,
         .kinds = K(FRAME) | K(INTERRUPT) | K(PAGE_TABLE) | K(ANON_VMA)),
    CALL(aspen_futex_key_get, "in zeroes", .run = run_futex_key_get,
         .first = EMPTY, .flags = ASPEN_FUTEX_SHARED,
         .kinds = K(FRAME) | K(INTERRUPT) | K(PAGE_TABLE) | K(ANON_VMA)),
    CALL(aspen_read_memory, "from a file", .run = run_read_memory,
         .first = FILE_ + 4, .pages = 3, .cached = true, .progressive = true,
         .kinds = K(FRAME) | K(HOOK) | K(INTERRUPT)),
    CALL(aspen_read_memory, "from zeroes", .run = run_read_memory,
         .first = EMPTY, .pages = 3, .progressive = true,
         .kinds = K(PAGE_TABLE) | K(INTERRUPT)),
    CALL(aspen_write_memory, "to copies and zeroes", .run = run_write_memory,
         .first = ANON + 3, .pages = 4, .progressive = true,
         .kinds = K(FRAME) | K(INTERRUPT)),
    CALL(aspen_write_memory, "forced", .run = run_write_memory, .first = EMPTY,
         .pages = 2, .flags = ASPEN_MEMORY_FORCE, .progressive = true,
         .kinds = K(FRAME) | K(INTERRUPT) | K(PAGE_TABLE) | K(ANON_VMA)),
    CALL(aspen_populate, "to write", .run = run_populate, .first = FILE_,
         .pages = 8, .flags = ASPEN_ACCESS_WRITE, .cached = true,
         .progressive = true, .kinds = K(FRAME) | K(INTERRUPT) | K(HOOK)),
    CALL(aspen_populate, "to read", .run = run_populate, .first = EMPTY,
         .pages = 8, .flags = ASPEN_ACCESS_READ, .progressive = true,
         .kinds = K(PAGE_TABLE) | K(INTERRUPT)),
    CALL(aspen_mincore, "no gate", .run = run_mincore, .first = ANON,
         .pages = 10),
    CALL(aspen_pin_range, "to write", .run = run_pin_range, .first = ANON + 1,
         .pages = 8, .flags = ASPEN_PIN_WRITE, .progressive = true,
         .kinds = K(FRAME) | K(INTERRUPT)),
    CALL(aspen_pin_range, "to read, a file", .run = run_pin_range,
         .first = FILE_, .pages = 8, .cached = true, .progressive = true,
         .kinds = K(FRAME) | K(INTERRUPT) | K(HOOK)),
    CALL(aspen_unpin, "of none", .run = run_unpin),
    CALL(aspen_fork, "some of everything", .run = run_fork, .first = SLOTS,
         .kinds = K(MM) | K(VMA) | K(TREE_NODE) | K(ANON_VMA) | K(PAGE_TABLE) |
                  K(CHARGE) | K(HOOK) | K(INTERRUPT) | K(SWAP)),
};

/* The kinds that a call crosses when nothing fails. */
static unsigned
kinds_of(struct every *e)
{
    struct aspen_failpoint_plan plan = {.mode = ASPEN_FAIL_NEVER};
    struct aspen_failpoint_counts counts;
    unsigned kinds = 0;

    every_setup(e);
    assert_int_equal(aspen_failpoints_set(e->helper.aspen, &plan), 0);
    assert_int_equal(every_run(e), 0);
    aspen_failpoints_read(e->helper.aspen, &counts);
    assert_int_equal(aspen_failpoints_set(e->helper.aspen, NULL), 0);
    every_teardown(e);
    for (unsigned step = 0; step < ASPEN_STEP_KINDS; step++)
        kinds |= (unsigned)(counts.by_step[step] > 0) << step;
    return kinds;
}

static void
test_call(void **state)
{
    struct every e = {.call = *state};
    char name[100];

    snprintf(name, sizeof(name), "%s, %s", e.call->function, e.call->what);
    unsigned kinds = kinds_of(&e);
    for (unsigned step = 0; step < ASPEN_STEP_KINDS; step++)
        if ((kinds ^ e.call->kinds) & 1u << step)
            fail_msg("%s: %s a step of kind %s", name,
                     kinds & 1u << step ? "has" : "has not",
                     aspen_step_name((enum aspen_step)step));
    if (kinds == 0)
        return;
    struct helper_failing each = {
        .name = name,
        .helper = &e.helper,
        .mm = &e.mm,
        .setup = every_setup,
        .run = every_run,
        .done = every_done,
        .teardown = every_teardown,
        .context = &e,
        .cached = e.call->cached,
        .progressive = e.call->progressive,
    };
    helper_fail_every_step(&each);
}

#define CALLS (sizeof(calls) / sizeof(calls[0]))

int
main(void)
{
    struct CMUnitTest tests[CALLS];

    beside_public();
    for (size_t i = 0; i < CALLS; i++)
        tests[i] = (struct CMUnitTest){.name = calls[i].function,
                                       .test_func = test_call,
                                       .initial_state = (void *)&calls[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
