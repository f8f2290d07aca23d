/* SPDX-License-Identifier: MIT */
/*
 * model.c - what a program has to find in its spaces. Each call is made on
 * both, the spaces of Aspen and what is remembered of them.
 */
#include "bare.h"

#include <string.h>

#define FILE_PAGES 16u
#define SWAP_PAGES 512u
#define CODE       ASPEN_VM_READ | ASPEN_VM_EXEC

struct model_space model[MODEL_SPACES];
struct aspen_object *model_file;

static struct aspen_object *code, *shmem;
static uint64_t file_values[FILE_PAGES], shmem_values[FILE_PAGES];
static uint64_t next_value = 1;

/* ---- Where ----------------------------------------------------------------
 */

/* Kinds stand side by side, but for the last of the anonymous pages, which have
 * tables of their own on every level. */
static const struct {
    enum model_kind kind;
    unsigned pages;
    uint64_t address;
} parts[] = {
    {MODEL_ANON, 20, 0x10000000},
    {MODEL_PRIVATE, FILE_PAGES, 0x10000000 + 20 * PAGE},
    {MODEL_FILE, FILE_PAGES, 0x10000000 + 36 * PAGE},
    {MODEL_SHMEM, 12, 0x10000000 + 52 * PAGE},
    {MODEL_ANON, 8, 0x40200000 - 4 * PAGE}, /* in two tables */
    {MODEL_ANON, 8, 0},                     /* where machine.far says */
};

static unsigned
part_of(unsigned page, unsigned *index)
{
    unsigned part = 0;

    while (page >= parts[part].pages)
        page -= parts[part++].pages;
    *index = page;
    return part;
}

uint64_t
model_address(unsigned page)
{
    unsigned index, part = part_of(page, &index);

    return (parts[part].address ? parts[part].address : machine.far) +
           (uint64_t)index * PAGE;
}

unsigned
model_kind_end(unsigned page)
{
    unsigned index, part = part_of(page, &index);

    return page - index + parts[part].pages;
}

/* ---- Objects --------------------------------------------------------------
 */

static uint64_t disk[FILE_PAGES];

static int
read_file(void *context, uint64_t offset_bytes, void *page)
{
    (void)context;
    *(uint64_t *)page = disk[offset_bytes / PAGE];
    memcpy((char *)page + CODE_IN_PAGE, user_call,
           (size_t)(user_end - user_call));
    return 0;
}

static int
write_file(void *context, uint64_t offset_bytes, const void *const pages[],
           uint64_t length_bytes)
{
    (void)context;
    for (uint64_t at = 0; at < length_bytes; at += PAGE)
        disk[(offset_bytes + at) / PAGE] = *(const uint64_t *)pages[at / PAGE];
    return 0;
}

static int
read_code(void *context, uint64_t offset_bytes, void *page)
{
    (void)context, (void)offset_bytes;
    memcpy(page, user_begin, (size_t)(user_end - user_begin));
    return 0;
}

static const struct aspen_pager_ops file_pager = {.read = read_file,
                                                  .write = write_file};
static const struct aspen_pager_ops code_pager = {.read = read_code};

static char slots[SWAP_PAGES][PAGE];

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    for (unsigned i = 0; i < io->pages; i++)
        if (io->write)
            memcpy(slots[io->slot + i], io->memory[i], PAGE);
        else
            memcpy(io->memory[i], slots[io->slot + i], PAGE);
    return 0;
}

static const struct aspen_swap_ops swap_ops = {.transfer = transfer};

void
model_begin(void)
{
    unsigned type;

    for (unsigned i = 0; i < FILE_PAGES; i++)
        disk[i] = file_values[i] = next_value++;
    MUST(aspen_object_create(
        aspen,
        &(struct aspen_object_args){.kind = ASPEN_OBJECT_FILE,
                                    .size_bytes = FILE_PAGES * PAGE,
                                    .pager = &file_pager},
        &model_file));
    MUST(aspen_object_create(
        aspen,
        &(struct aspen_object_args){.kind = ASPEN_OBJECT_FILE,
                                    .size_bytes = PAGE,
                                    .pager = &code_pager},
        &code));
    MUST(aspen_object_create(
        aspen,
        &(struct aspen_object_args){.kind = ASPEN_OBJECT_SHMEM,
                                    .size_bytes = FILE_PAGES * PAGE},
        &shmem));
    MUST(aspen_swap_add(
        aspen, &(struct aspen_swap_args){.pages = SWAP_PAGES, .ops = &swap_ops},
        &type));
}

/* ---- Calls ----------------------------------------------------------------
 */

void
model_create(unsigned space)
{
    struct model_space *s = &model[space];
    uint64_t address;

    memset(s, 0, sizeof(*s));
    MUST(aspen_mm_create(aspen, &s->mm));
    MUST(aspen_mmap(s->mm,
                    &(struct aspen_mmap_args){.address = CODE_AT,
                                              .length_bytes = PAGE,
                                              .vm_flags = CODE,
                                              .flags = ASPEN_MAP_FIXED,
                                              .object = code},
                    &address));
    for (unsigned i = 0; i < MODEL_PAGES; i++) {
        unsigned part = part_of(i, &s->pages[i].index);
        s->pages[i].kind = parts[part].kind;
    }
}

void
model_end(unsigned space)
{
    if (bare_cpus[0].loaded == model[space].mm)
        kernel_switch(NULL);
    aspen_mm_put(model[space].mm);
    model[space].mm = NULL;
}

void
model_map(unsigned space, unsigned first, unsigned count, uint64_t rights)
{
    struct model_page *pages = &model[space].pages[first];
    enum model_kind kind = pages->kind;
    struct aspen_object *object = kind == MODEL_ANON    ? NULL
                                  : kind == MODEL_SHMEM ? shmem
                                                        : model_file;
    bool shared = kind == MODEL_FILE || kind == MODEL_SHMEM;
    uint64_t address;

    MUST(aspen_mmap(
        model[space].mm,
        &(struct aspen_mmap_args){
            .address = model_address(first),
            .length_bytes = (uint64_t)count * PAGE,
            .vm_flags = rights | (shared ? ASPEN_VM_SHARED : 0),
            .flags = ASPEN_MAP_FIXED,
            .object = object,
            .offset_bytes = object ? (uint64_t)pages->index * PAGE : 0,
        },
        &address));
    for (unsigned i = 0; i < count; i++) {
        pages[i].mapped = true;
        pages[i].own = pages[i].guard = false;
        pages[i].rights = rights;
    }
}

void
model_unmap(unsigned space, unsigned first, unsigned count)
{
    MUST(aspen_munmap(model[space].mm, model_address(first),
                      (uint64_t)count * PAGE));
    for (unsigned i = first; i < first + count; i++)
        model[space].pages[i].mapped = false;
}

/* A hole ends it with an error, and what is below is as it was. */
void
model_protect(unsigned space, unsigned first, unsigned count, uint64_t rights)
{
    struct model_page *pages = &model[space].pages[first];

    for (unsigned i = 0; i < count; i++)
        if (!pages[i].mapped)
            count = i;
    if (!count)
        return;
    MUST(aspen_mprotect(model[space].mm, model_address(first),
                        (uint64_t)count * PAGE, rights, ASPEN_PKEY_SAME));
    for (unsigned i = 0; i < count; i++)
        pages[i].rights = rights;
}

void
model_advise(unsigned space, unsigned first, unsigned count,
             enum aspen_advice advice)
{
    struct model_page *pages = &model[space].pages[first];

    for (unsigned i = 0; i < count; i++)
        if (!pages[i].mapped)
            count = i;
    if (!count)
        return;
    MUST(aspen_madvise(model[space].mm, model_address(first),
                       (uint64_t)count * PAGE, advice));
    for (unsigned i = 0; i < count; i++) {
        if (advice == ASPEN_MADV_GUARD_INSTALL)
            pages[i].guard = true;
        if (advice == ASPEN_MADV_GUARD_REMOVE)
            pages[i].guard = false;
        if (advice == ASPEN_MADV_DONTNEED || advice == ASPEN_MADV_GUARD_INSTALL)
            pages[i].own = false;
    }
}

void
model_fork(unsigned from, unsigned to)
{
    memcpy(model[to].pages, model[from].pages, sizeof(model[to].pages));
    MUST(aspen_fork(model[from].mm, &model[to].mm));
}

void
model_write_file(unsigned index, uint64_t value)
{
    uint64_t done;

    MUST(aspen_object_write(model_file, (uint64_t)index * PAGE, &value,
                            sizeof(value), &done));
    file_values[index] = value;
}

/* ---- Looking --------------------------------------------------------------
 */

static int
wanted_error(const struct model_page *page, enum mmu_access access)
{
    uint64_t right = access == MMU_WRITE  ? ASPEN_VM_WRITE
                     : access == MMU_EXEC ? ASPEN_VM_EXEC
                                          : ASPEN_VM_READ;

    /* Who may write may read; and so may who executes, where entries cannot say
     * otherwise. */
    if (right == ASPEN_VM_READ)
        right |= ASPEN_VM_WRITE | (machine.execute_only ? 0 : ASPEN_VM_EXEC);
    if (!page->mapped)
        return -ASPEN_EFAULT;
    if (!(page->rights & right))
        return -ASPEN_EACCES;
    return page->guard ? -ASPEN_EFAULT : 0;
}

static uint64_t *
wanted_value(struct model_page *page)
{
    static uint64_t zero;

    if (page->own)
        return &page->value;
    if (page->kind == MODEL_SHMEM)
        return &shmem_values[page->index];
    if (page->kind != MODEL_ANON)
        return &file_values[page->index];
    zero = 0;
    return &zero;
}

void
model_touch(unsigned space, unsigned number, enum mmu_access access)
{
    struct model_page *page = &model[space].pages[number];
    uint64_t address = model_address(number);
    int wanted = wanted_error(page, access);
    uint64_t value = access == MMU_WRITE ? next_value++ : 0;

    if (bare_cpus[0].loaded != model[space].mm)
        kernel_switch(model[space].mm);
    int error = probe_touch(model[space].mm, address, access, &value, true);
    if (error != wanted)
        found("space %u, %#lx, access %d: %d, not %d", space, address,
              (int)access, error, wanted);
    if (error || wanted)
        return;
    if (access == MMU_READ && value != *wanted_value(page))
        found("space %u, %#lx: %#lx, not %#lx", space, address, value,
              *wanted_value(page));
    if (access == MMU_WRITE) {
        if (page->kind == MODEL_ANON || page->kind == MODEL_PRIVATE)
            page->own = true;
        *wanted_value(page) = value;
    }
}

void
model_sweep(unsigned space, bool write)
{
    for (unsigned i = 0; i < MODEL_PAGES; i++) {
        model_touch(space, i, MMU_READ);
        model_touch(space, i, MMU_EXEC);
        if (write)
            model_touch(space, i, MMU_WRITE);
        model_touch(space, i, MMU_READ);
    }
}

void
model_sweep_all(bool write)
{
    for (unsigned i = 0; i < MODEL_SPACES; i++)
        if (model[i].mm)
            model_sweep(i, write);
}
