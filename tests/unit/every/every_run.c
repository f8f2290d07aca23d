/* SPDX-License-Identifier: MIT */
#include "every_run.h"

int
run_mm_create(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_mm_create(e->helper.aspen, &e->made_mm);
}

/* All of an exec that can fail. */
int
run_exec_prepare(struct every *e, const struct call *call)
{
    struct aspen_mm *next = e->child;
    (void)call;

    int error = aspen_exec_prepare(e->mm, &next);
    if (error)
        assert_ptr_equal(next, e->child);
    else
        aspen_exec_abort(next);
    return error;
}

int
run_object_create(struct every *e, const struct call *call)
{
    struct aspen_object_args args = {.size_bytes = MIB};
    (void)call;
    return aspen_object_create(e->helper.aspen, &args, &e->made_object);
}

int
run_frames_add(struct every *e, const struct call *call)
{
    return aspen_frames_add(e->helper.aspen, (uint32_t)call->first,
                            (uint32_t)call->pages);
}

int
run_frames_alloc(struct every *e, const struct call *call)
{
    struct aspen_frames_args args = {.order = (unsigned)call->pages};
    uint32_t first;

    int error = aspen_frames_alloc(e->helper.aspen, &args, &first);
    if (!error)
        aspen_frames_free(e->helper.aspen, first);
    return error;
}

int
run_import_vma(struct every *e, const struct call *call)
{
    struct aspen_import_vma vma = {
        .start = AT(call->first),
        .end = AT(call->first + call->pages),
        .vm_flags = call->flags | ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE,
        .object = call->file ? e->file : NULL,
        .flags = ASPEN_IMPORT_HAS_ANON_VMA,
    };
    return aspen_import_vma(e->mm, &vma);
}

/* What an import that fails says it has done, it has done. */
int
run_import_pages(struct every *e, const struct call *call)
{
    struct aspen_import_pages pages = {
        .address = AT(call->first + e->done),
        .count = call->first == HUGE ? 1 : call->pages - e->done,
        .level = call->first == HUGE,
        .kind = (enum aspen_import_kind)call->kind,
        .first_raw = 0x1000 + e->done,
        .swap_slot = call->pages > 1 ? (uint32_t)e->done : 0,
    };
    struct aspen_mm_counters before, after;
    uint64_t count = UINT64_MAX;

    aspen_mm_counters_read(e->mm, &before);
    int error = aspen_import_pages(e->mm, &pages, &count);
    aspen_mm_counters_read(e->mm, &after);
    if (error)
        assert_true(count < pages.count);
    else
        assert_int_equal(count, pages.count);
    if (call->kind == ASPEN_IMPORT_ANON && call->first != HUGE)
        assert_int_equal(after.anon_pages - before.anon_pages, count);
    if (call->kind == ASPEN_IMPORT_SWAP)
        assert_int_equal(after.swap_pages - before.swap_pages, count);
    e->done += count;
    return error;
}

int
run_mmap(struct every *e, const struct call *call)
{
    struct aspen_mmap_args args = {
        .address = AT(call->first),
        .length_bytes = AT(call->pages),
        .vm_flags = call->flags,
        .flags = call->elsewhere ? 0 : ASPEN_MAP_FIXED,
        .object = call->file ? e->file : NULL,
    };
    uint64_t address = 12345;

    int error = aspen_mmap(e->mm, &args, &address);
    if (error)
        assert_int_equal(address, 12345);
    return error;
}

static int
special_fault(void *context, struct aspen_mm *mm, uint64_t offset_bytes,
              uint64_t *raw)
{
    (void)context;
    (void)mm;
    *raw = 5000 + offset_bytes / PAGE;
    return 0;
}

static const struct aspen_special special = {.name = "[special]",
                                             .fault = special_fault};

int
run_map_special(struct every *e, const struct call *call)
{
    uint64_t address = 12345;

    int error = aspen_map_special(e->mm, 0, AT(call->pages), 0, call->flags,
                                  &special, &address);
    if (error)
        assert_int_equal(address, 12345);
    return error;
}

int
run_munmap(struct every *e, const struct call *call)
{
    return aspen_munmap(e->mm, AT(call->first), AT(call->pages));
}

int
run_mremap(struct every *e, const struct call *call)
{
    uint64_t address = 12345;

    int error = aspen_mremap(e->mm,
                             &(struct aspen_mremap_args){
                                 .address = AT(call->first),
                                 .old_bytes = AT(call->pages),
                                 .new_bytes = AT(call->flags),
                                 .flags = call->kind,
                                 .new_address = AT(call->to),
                             },
                             &address);
    if (error)
        assert_int_equal(address, 12345);
    else if (call->kind & ASPEN_MREMAP_FIXED)
        assert_int_equal(address, AT(call->to));
    return error;
}

int
run_msync(struct every *e, const struct call *call)
{
    return aspen_msync(e->mm, AT(call->first), AT(call->pages), ASPEN_MS_SYNC);
}

int
run_insert_raw(struct every *e, const struct call *call)
{
    return aspen_insert_raw(e->mm, AT(call->first), 77, ASPEN_RAW_WRITABLE);
}

int
run_remap_raw(struct every *e, const struct call *call)
{
    return aspen_remap_raw(e->mm, AT(call->first), AT(call->pages), 77);
}

int
run_insert_page(struct every *e, const struct call *call)
{
    return aspen_insert_page(e->mm, AT(call->first));
}

int
run_object_resize(struct every *e, const struct call *call)
{
    return aspen_object_resize(call->file ? e->file : e->charged,
                               AT(call->pages) - 7);
}

int
run_object_punch(struct every *e, const struct call *call)
{
    return aspen_object_punch(call->file ? e->file : e->shmem, AT(call->first),
                              AT(call->pages));
}

int
run_object_read(struct every *e, const struct call *call)
{
    unsigned char bytes[64];
    uint64_t done;
    (void)call;
    return aspen_object_read(e->file, AT(40) - 32, bytes, 64, &done);
}

int
run_object_write(struct every *e, const struct call *call)
{
    const unsigned char bytes[64] = {1};
    uint64_t done;
    (void)call;
    return aspen_object_write(e->file, AT(40) - 32, bytes, 64, &done);
}

int
run_mm_activate(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_mm_activate(e->mm, 1);
}

int
run_mm_deactivate(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_mm_deactivate(e->mm, 1);
}

int
run_mm_switch(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_mm_switch(1, NULL, e->mm);
}

int
run_object_unmap(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_object_unmap(e->shmem, 0, UINT64_MAX, 0);
}

int
run_deny_writable(struct every *e, const struct call *call)
{
    (void)call;
    int error = aspen_object_deny_writable(e->charged);
    return error ? error : aspen_object_allow_writable(e->charged);
}

int
run_object_drop(struct every *e, const struct call *call)
{
    uint64_t dropped;

    (void)call;
    return aspen_object_drop(e->file, 0, UINT64_MAX, &dropped);
}

int
run_object_sync(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_object_sync(e->file, 0, UINT64_MAX);
}

int
run_mprotect(struct every *e, const struct call *call)
{
    return aspen_mprotect(e->mm, AT(call->first), AT(call->pages), call->flags,
                          ASPEN_PKEY_SAME);
}

int
run_mlock(struct every *e, const struct call *call)
{
    return aspen_mlock(e->mm, AT(call->first), AT(call->pages),
                       (unsigned)call->flags);
}

int
run_munlock(struct every *e, const struct call *call)
{
    return aspen_munlock(e->mm, AT(call->first), AT(call->pages));
}

int
run_pkey_alloc(struct every *e, const struct call *call)
{
    int pkey;

    return aspen_pkey_alloc(e->mm, (unsigned)call->flags, &pkey);
}

int
run_pkey_free(struct every *e, const struct call *call)
{
    int pkey;
    (void)call;
    int error = aspen_pkey_alloc(e->mm, 0, &pkey);
    return error ? error : aspen_pkey_free(e->mm, pkey);
}

int
run_import_pkeys(struct every *e, const struct call *call)
{
    const struct aspen_pkeys pkeys = {(uint32_t)call->flags, -1};

    return aspen_import_pkeys(e->mm, &pkeys);
}

int
run_mlockall(struct every *e, const struct call *call)
{
    return aspen_mlockall(e->mm, (unsigned)call->flags);
}

int
run_munlockall(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_munlockall(e->mm);
}

int
run_madvise(struct every *e, const struct call *call)
{
    return aspen_madvise(e->mm, AT(call->first), AT(call->pages),
                         (enum aspen_advice)call->flags);
}

int
run_minherit(struct every *e, const struct call *call)
{
    return aspen_minherit(e->mm, AT(call->first), AT(call->pages),
                          (enum aspen_inherit)call->flags);
}

int
run_process_madvise(struct every *e, const struct call *call)
{
    const struct aspen_advise_range range = {AT(call->first), AT(call->pages)};
    uint64_t done;

    return aspen_process_madvise(e->mm, &range, 1,
                                 (enum aspen_advice)call->flags,
                                 ASPEN_ADVISE_REMOTE, &done);
}

int
run_brk(struct every *e, const struct call *call)
{
    uint64_t now = 0;

    int error = aspen_brk(e->mm, AT(call->first), &now);
    if (error && error != -ASPEN_EINTR)
        assert_int_equal(now, AT(HEAP + 4));
    return error;
}

int
run_mseal(struct every *e, const struct call *call)
{
    return aspen_mseal(e->mm, AT(call->first), AT(call->pages));
}

int
run_remap_file_pages(struct every *e, const struct call *call)
{
    return aspen_remap_file_pages(e->mm, AT(call->first), AT(call->pages),
                                  AT(call->to), (unsigned)call->flags);
}

int
run_name_anon(struct every *e, const struct call *call)
{
    return aspen_name_anon(e->mm, AT(call->first), AT(call->pages),
                           call->flags ? NULL : "every call");
}

int
run_fault(struct every *e, const struct call *call)
{
    return aspen_fault(e->mm, AT(call->first), (unsigned)call->flags);
}

int
run_fault_with_rights(struct every *e, const struct call *call)
{
    return aspen_fault_with_rights(e->mm, AT(call->first),
                                   (unsigned)call->flags, ASPEN_RIGHTS_START);
}

/* After an error nothing is answered. */
int
run_futex_load(struct every *e, const struct call *call)
{
    uint32_t value = 0xee;

    int error = aspen_futex_load(e->mm, AT(call->first), &value);
    assert_true(!error || value == 0xee);
    return error;
}

int
run_futex_add(struct every *e, const struct call *call)
{
    uint32_t before = 0xee;

    int error = aspen_futex_add(e->mm, AT(call->first), 1, &before);
    assert_true(!error || before == 0xee);
    return error;
}

int
run_futex_compare_exchange(struct every *e, const struct call *call)
{
    uint32_t before = 0xee;

    int error =
        aspen_futex_compare_exchange(e->mm, AT(call->first), 1, 2, &before);
    assert_true(!error || before == 0xee);
    return error;
}

int
run_futex_key_get(struct every *e, const struct call *call)
{
    struct aspen_futex_key key = {.offset_bytes = 0xee};

    int error = aspen_futex_key_get(e->mm, AT(call->first),
                                    (unsigned)call->flags, &key);
    assert_true(!error || key.offset_bytes == 0xee);
    if (!error)
        aspen_futex_key_put(&key);
    return error;
}

/* What a copy says it has done, it has done. */
int
run_read_memory(struct every *e, const struct call *call)
{
    static uint8_t bytes[8 * 4096];
    uint64_t count = UINT64_MAX;

    memset(bytes, 0xee, sizeof(bytes));
    int error = aspen_read_memory(e->mm, AT(call->first) + 1, bytes,
                                  AT(call->pages), 0, &count);
    assert_int_equal(error == 0, count == AT(call->pages));
    for (uint64_t i = 0; i < AT(call->pages); i++)
        assert_int_equal(bytes[i] == 0xee, i >= count);
    return error;
}

int
run_write_memory(struct every *e, const struct call *call)
{
    static const uint8_t bytes[8 * 4096];
    uint64_t count = UINT64_MAX;

    int error =
        aspen_write_memory(e->mm, AT(call->first) + 1, bytes, AT(call->pages),
                           (unsigned)call->flags, &count);
    assert_int_equal(error == 0, count == AT(call->pages));
    return error;
}

int
run_populate(struct every *e, const struct call *call)
{
    uint64_t count = UINT64_MAX;

    int error = aspen_populate(e->mm, AT(call->first), AT(call->pages),
                               (unsigned)call->flags, &count);
    assert_int_equal(error == 0, count == AT(call->pages));
    return error;
}

int
run_mincore(struct every *e, const struct call *call)
{
    uint8_t vector[16];
    return aspen_mincore(e->mm, AT(call->first), AT(call->pages), vector);
}

int
run_pin_range(struct every *e, const struct call *call)
{
    struct aspen_mm_counters counters;

    int error = aspen_pin_range(e->mm, AT(call->first), AT(call->pages),
                                (unsigned)call->flags, e->pinned);
    e->pins = error ? 0 : call->pages;
    aspen_mm_counters_read(e->mm, &counters);
    assert_int_equal(counters.pinned_pages, e->pins);
    return error;
}

/* It passes no gate, but to get pins does. */
int
run_unpin(struct every *e, const struct call *call)
{
    (void)call;
    if (aspen_unpin(e->mm, e->pinned, 1, 0) != -ASPEN_EINVAL)
        return -ASPEN_EIO;
    return aspen_unpin(e->mm, e->pinned, 0, 0);
}

int
run_fork(struct every *e, const struct call *call)
{
    (void)call;
    int error = aspen_fork(e->mm, &e->made_mm);
    if (error)
        assert_null(e->made_mm);
    return error;
}

/* ---- Those that pass no gate ------------------------------------------- */

/* A machine that does not exist yet has no plan: tests/unit/port/test_memory.c
 * lets the port fail instead. */
int
run_create(struct every *e, const struct call *call)
{
    struct aspen_config config;
    struct aspen *aspen;
    (void)call;

    aspen_config_init(&config);
    config.frames = 64;
    config.direct_map = e->helper.direct_map;
    config.flags |= ASPEN_CONFIG_TABLES_ONLY;
    int error = aspen_create(&config, &aspen);
    return error ? error : aspen_destroy(aspen);
}

int
run_destroy(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_destroy(e->helper.aspen) == -ASPEN_EBUSY ? 0 : -ASPEN_EINVAL;
}

int
run_translate_with_rights(struct every *e, const struct call *call)
{
    uint32_t frame;
    return aspen_translate_with_rights(e->mm, AT(call->first),
                                       (unsigned)call->flags,
                                       ASPEN_RIGHTS_START, &frame);
}

int
run_translate(struct every *e, const struct call *call)
{
    uint32_t frame;
    return aspen_translate(e->mm, AT(call->first), (unsigned)call->flags,
                           &frame);
}

int
run_mmu_translate(struct every *e, const struct call *call)
{
    struct aspen_translation to;
    return aspen_mmu_translate(e->mm, AT(call->first), &to);
}

int
run_young(struct every *e, const struct call *call)
{
    uint64_t pages;
    return aspen_young(e->mm, AT(call->first), AT(call->pages),
                       ASPEN_YOUNG_CLEAR, &pages);
}

int
run_oom_adjust_set(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_oom_adjust_set(e->mm, 7);
}

int
run_oom_select(struct every *e, const struct call *call)
{
    const struct aspen_oom_choice choice = {.patience = 1};
    struct aspen_mm *victim;
    (void)call;

    int error = aspen_oom_select(e->helper.aspen, &choice, &victim);
    if (!error)
        aspen_mm_put(victim);
    return error;
}

int
run_oom_kill(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_oom_kill(e->mm);
}

int
run_oom_reap(struct every *e, const struct call *call)
{
    int error = run_oom_kill(e, call);
    return error ? error : aspen_oom_reap(e->mm);
}

/* The validator takes memory from the port only: test_validate_memory.c. */
int
run_validate(struct every *e, const struct call *call)
{
    struct aspen_finding finding;
    (void)call;
    return aspen_validate(e->helper.aspen, &finding);
}

int
run_validate_mm(struct every *e, const struct call *call)
{
    struct aspen_finding finding;
    (void)call;
    return aspen_validate_mm(e->mm, &finding);
}

int
run_limit_set(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_limit_set(e->mm, ASPEN_LIMIT_AS, MIB);
}

int
run_privileges_set(struct every *e, const struct call *call)
{
    (void)call;
    return aspen_privileges_set(e->mm, ASPEN_PRIVILEGES);
}

int
run_layout_set(struct every *e, const struct call *call)
{
    struct aspen_layout layout;
    (void)call;
    aspen_layout_read(e->mm, &layout);
    layout.stack_start = AT(STACK);
    return aspen_layout_set(e->mm, &layout);
}

int
run_layout_choose(struct every *e, const struct call *call)
{
    const struct aspen_layout_choice choice = {
        .flags = ASPEN_LAYOUT_CHOICE_RANDOM_STACK};
    struct aspen_layout layout = {.brk = 0};
    (void)call;

    return aspen_layout_choose(e->mm, &choice, &layout);
}

int
run_layout_move(struct every *e, const struct call *call)
{
    (void)call;
    assert_int_equal(aspen_privileges_set(e->mm, ASPEN_PRIVILEGES), 0);
    return aspen_layout_move(e->mm, ASPEN_LAYOUT_STACK_START, AT(STACK));
}

/* Refused: the plan that counts us stands. */
int
run_failpoints_set(struct every *e, const struct call *call)
{
    struct aspen_failpoint_plan plan = {.mode = ASPEN_FAIL_ONCE};
    (void)call;
    int error = aspen_failpoints_set(e->helper.aspen, &plan);
    return error == -ASPEN_EINVAL ? 0 : -ASPEN_EINVAL;
}
