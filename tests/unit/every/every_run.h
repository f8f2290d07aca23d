/* SPDX-License-Identifier: MIT */
/*
 * every_run.h - how test_every_call.c makes each call: run_X() makes aspen_X()
 * as a row says, and looks at what it gave.
 */
#ifndef ASPEN_TESTS_EVERY_RUN_H
#define ASPEN_TESTS_EVERY_RUN_H

#include "every_call.h"

typedef int every_run_call(struct every *e, const struct call *call);

every_run_call run_mm_create, run_exec_prepare, run_object_create,
    run_swap_area_add, run_swap_add, run_swap_remove, run_frames_add,
    run_frames_alloc, run_import_vma, run_import_pages, run_mmap,
    run_map_special, run_munmap, run_mremap, run_msync, run_insert_raw,
    run_remap_raw, run_insert_page, run_object_resize, run_object_punch,
    run_object_read, run_object_write, run_object_sync, run_object_unmap,
    run_mm_activate, run_mm_deactivate, run_mm_switch, run_mprotect, run_mlock,
    run_munlock, run_pkey_alloc, run_pkey_free, run_import_pkeys, run_mlockall,
    run_munlockall, run_madvise, run_minherit, run_process_madvise, run_brk,
    run_mseal, run_remap_file_pages, run_name_anon, run_fault,
    run_fault_with_rights, run_futex_load, run_futex_add,
    run_futex_compare_exchange, run_futex_key_get, run_read_memory,
    run_write_memory, run_populate, run_mincore, run_pin_range, run_fork,
    run_create, run_destroy, run_translate_with_rights, run_translate,
    run_mmu_translate, run_young, run_oom_adjust_set, run_oom_select,
    run_oom_kill, run_oom_reap, run_validate, run_validate_mm, run_limit_set,
    run_privileges_set, run_layout_set, run_layout_choose, run_layout_move,
    run_failpoints_set;

every_run_call run_unpin, run_deny_writable, run_object_drop, run_object_error,
    run_reclaim_tick, run_migrate, run_compact, run_compact_tick,
    run_memory_failure, run_memory_offline;

#endif
