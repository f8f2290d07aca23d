/* SPDX-License-Identifier: MIT */
/*
 * owned_calls.c - random calls of owners (owned.h), on what is theirs and on
 * what is not.
 */
#include "owned_calls.h"

#include "beside.h"
#include "space/mm.h"

#define RAW 0x100000ull

/* ---- Accesses ---------------------------------------------------------- */

static void
access_own(struct owner *t)
{
    struct range range = owned_any(t);

    for (unsigned i = 0; i < range.count; i++)
        owned_access(t, range.region, range.first + i, owned_below(t, 2));
}

/* The pages of these kinds that begin at this page of the file or behind. */
static void
check_pages_gone(struct owner *t, unsigned kinds, uint64_t from, uint64_t since,
                 enum mmu_gone what)
{
    for (unsigned i = 0; i < REGIONS; i++)
        for (unsigned n = 0; t->regions[i].mm && n < PAGES; n++) {
            const struct page *page = &t->regions[i].pages[n];
            struct range range = owned_range(&t->regions[i], n, 1);
            if (kinds & IS(page->kind) &&
                (page->kind == DEVICE || page->file_page >= from))
                owned_gone(t, &range, since, what);
        }
}

/* ---- Others' pages ----------------------------------------------------- */

/* A range in a space that all are in. */
static struct range
foreign_range(struct owner *t, unsigned *owner)
{
    struct owners *s = t->all;

    *owner = owned_below(t, s->count);
    return owned_range(&s->owners[*owner].regions[owned_below(t, SPACES)],
                       owned_below(t, PAGES - 4), 1 + owned_below(t, 4));
}

/* It is the owner's, each byte, or 0. */
static void
check_owner(struct owner *t, uint64_t address, uint64_t value, unsigned owner)
{
    for (unsigned i = 4; i < 8; i++) {
        uint8_t byte = (uint8_t)(value >> 8 * i);
        if (byte && byte != 0xa1 + owner)
            owned_wrong(t, "what is read of others", address, value, owner);
    }
}

static void
read_others(struct owner *t)
{
    unsigned owner;
    struct range range = foreign_range(t, &owner);

    for (unsigned i = 0; i < range.count; i++) {
        uint64_t value = 0, address = range.address + i * PAGE;
        if (!owned_run(t, range.region->mm, address, MMU_READ, &value))
            check_owner(t, address, value, owner);
    }
}

/* The same through the core. */
static void
copy_others(struct owner *t)
{
    unsigned owner;
    struct range range = foreign_range(t, &owner);
    uint64_t value = 0, copied;

    if (!aspen_read_memory(range.region->mm, range.address + WORD, &value,
                           sizeof(value), 0, &copied))
        check_owner(t, range.address, value, owner);
}

/* What changes no contents; it may fail, by guards or where nothing is. */
static void
advise_others(struct owner *t)
{
    static const enum aspen_advice advice[] = {
        ASPEN_MADV_COLD,          ASPEN_MADV_PAGEOUT, ASPEN_MADV_WILLNEED,
        ASPEN_MADV_POPULATE_READ, ASPEN_MADV_NORMAL,  ASPEN_MADV_PAGEOUT,
    };
    unsigned owner;
    struct range range = foreign_range(t, &owner);

    (void)!aspen_madvise(
        range.region->mm, range.address, range.bytes,
        advice[owned_below(t, (unsigned)(sizeof(advice) / sizeof(*advice)))]);
}

static void
sync_others(struct owner *t)
{
    const struct owner *other = &t->all->owners[owned_below(t, t->all->count)];

    owned_done(t, aspen_object_sync(other->file, 0, FILE_PAGES * PAGE));
}

static void
unmap_others(struct owner *t)
{
    const struct owner *other = &t->all->owners[owned_below(t, t->all->count)];

    owned_done(t, aspen_object_unmap(other->file,
                                     owned_below(t, FILE_PAGES) * PAGE,
                                     4 * PAGE, 0));
}

/* ---- Mappings ---------------------------------------------------------- */

static void
set_none(const struct range *range)
{
    EACH(range, page)
    *page = (struct page){.kind = NONE};
}

static void
call_mmap(struct owner *t)
{
    struct range range = owned_any(t);
    enum kind kind = ANON + owned_below(t, 4);
    unsigned file_page = owned_below(t, FILE_PAGES - PAGES / 2);
    bool write = owned_below(t, 4) > 0;
    struct aspen_mmap_args args = {
        .address = range.address,
        .vm_flags = R | (write ? ASPEN_VM_WRITE : 0),
        .flags = ASPEN_MAP_FIXED | (owned_below(t, 4) ? 0 : ASPEN_MAP_POPULATE),
        .offset_bytes = kind == ANON ? 0 : file_page * PAGE,
        .object = kind == ANON     ? NULL
                  : kind == DEVICE ? t->device
                                   : t->file,
    };
    uint64_t since = mmu_now(), result;

    if (kind == PRIVATE) /* populating would copy */
        args.flags = ASPEN_MAP_FIXED;
    if (kind == SHARED || kind == DEVICE)
        args.vm_flags |= ASPEN_VM_SHARED;
    if (kind == DEVICE)
        args.vm_flags |= ASPEN_VM_PFNMAP;
    if (range.count > FILE_PAGES - file_page)
        range = owned_range(range.region, range.first, FILE_PAGES - file_page);
    args.length_bytes = range.bytes;
    owned_done(t, aspen_mmap(range.region->mm, &args, &result));
    owned_gone(t, &range, since, MMU_GONE_ALL);
    EACH(&range, page)
    *page = (struct page){
        .kind = kind, .read = true, .write = write, .file_page = file_page++};
}

static void
call_munmap(struct owner *t)
{
    struct range range = owned_any(t);

    owned_done(t, aspen_munmap(range.region->mm, range.address, range.bytes));
    set_none(&range);
}

static void
call_mprotect(struct owner *t)
{
    struct range range;
    unsigned rights = owned_below(t, 4);
    uint64_t flags = rights == 0 ? 0 : rights == 1 ? R : RW;

    if (!owned_that(t, IS_MAPPED, &range))
        return;
    owned_done(t, aspen_mprotect(range.region->mm, range.address, range.bytes,
                                 flags, owned_below(t, 2) ? -1 : t->all->key));
    EACH(&range, page)
    {
        page->read = flags & ASPEN_VM_READ;
        page->write = flags & ASPEN_VM_WRITE;
    }
}

/* To pages of the region that do not overlap. */
static void
call_mremap(struct owner *t)
{
    struct range from;
    unsigned flags = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED;
    uint64_t since = mmu_now();

    if (!owned_that(t, IS_MEMORY, &from))
        return;
    unsigned to = owned_below(t, PAGES - from.count + 1);
    struct range into = owned_range(from.region, to, from.count);
    bool leave =
        from.region->pages[from.first].kind == ANON && !owned_below(t, 3);
    if (to < from.first + from.count && from.first < to + from.count)
        return;
    int error = helper_remap(
        from.region->mm, from.address, from.bytes, into.bytes,
        flags | (leave ? ASPEN_MREMAP_DONTUNMAP : 0), into.address);
    if (error == -ASPEN_EFAULT || error == -ASPEN_EINVAL)
        return; /* several mappings */
    owned_done(t, error);
    owned_gone(t, &from, since, MMU_GONE_ALL);
    memcpy(&from.region->pages[to], &from.region->pages[from.first],
           from.count * sizeof(struct page));
    EACH(&from, page)
    {
        if (!leave)
            page->kind = NONE;
        page->guard = page->locked = page->lazy = page->copied = false;
        page->value = 0;
    }
}

/* ---- Advice ------------------------------------------------------------ */

static void
call_dontneed(struct owner *t)
{
    struct range range;

    if (!owned_that(t, IS_MEMORY | NOT_LOCKED, &range))
        return;
    owned_done(t, aspen_madvise(range.region->mm, range.address, range.bytes,
                                ASPEN_MADV_DONTNEED));
    EACH(&range, page)
    {
        page->value = 0;
        page->copied = page->lazy = false;
    }
}

static void
call_free(struct owner *t)
{
    struct range range;

    if (!owned_that(t, IS(ANON) | NOT_LOCKED, &range))
        return;
    owned_done(t, aspen_madvise(range.region->mm, range.address, range.bytes,
                                ASPEN_MADV_FREE));
    EACH(&range, page)
    page->lazy = true;
}

static void
call_guard(struct owner *t)
{
    struct range range;

    if (!owned_that(t, IS(ANON) | NOT_LOCKED, &range))
        return;
    owned_done(t, aspen_madvise(range.region->mm, range.address, range.bytes,
                                ASPEN_MADV_GUARD_INSTALL));
    EACH(&range, page)
    {
        page->guard = true;
        page->lazy = false;
        page->value = 0;
    }
}

static void
call_unguard(struct owner *t)
{
    struct range range;

    if (!owned_that(t, IS(ANON), &range))
        return;
    owned_done(t, aspen_madvise(range.region->mm, range.address, range.bytes,
                                ASPEN_MADV_GUARD_REMOVE));
    EACH(&range, page)
    page->guard = false;
}

static void
call_populate(struct owner *t)
{
    struct range range;

    if (!owned_that(t, IS(ANON) | IS(SHARED) | IS_WRITABLE, &range))
        return;
    owned_done(t, aspen_madvise(range.region->mm, range.address, range.bytes,
                                ASPEN_MADV_POPULATE_WRITE));
}

static void
call_mlock(struct owner *t)
{
    struct range range;

    if (!owned_that(t, IS(ANON) | IS(SHARED) | IS_READABLE, &range))
        return;
    owned_done(t, aspen_mlock(range.region->mm, range.address, range.bytes, 0));
    EACH(&range, page)
    page->locked = true;
}

static void
call_munlock(struct owner *t)
{
    struct range range;

    if (!owned_that(t, IS_MAPPED, &range))
        return;
    owned_done(t, aspen_munlock(range.region->mm, range.address, range.bytes));
    EACH(&range, page)
    page->locked = false;
}

/* ---- Copies, devices --------------------------------------------------- */

static void
call_copy_in(struct owner *t)
{
    struct range range;
    uint64_t value = owned_new_value(t), copied;

    if (!owned_that(t, IS_MEMORY | IS_WRITABLE, &range))
        return;
    owned_done(t, aspen_write_memory(range.region->mm, range.address + WORD,
                                     &value, sizeof(value), 0, &copied));
    owned_written(t, &range.region->pages[range.first], value);
    owned_access(t, range.region, range.first, false);
}

static void
call_copy_out(struct owner *t)
{
    struct range range;
    uint64_t value = 0, copied;

    if (!owned_that(t, IS_MEMORY | IS_READABLE, &range))
        return;
    owned_done(t, aspen_read_memory(range.region->mm, range.address + WORD,
                                    &value, sizeof(value), 0, &copied));
    owned_check(t, &range.region->pages[range.first], range.address, value);
}

/* The program and a device write to the same page in turn. */
static void
call_pin(struct owner *t)
{
    struct range range;
    uint32_t frame;

    if (!owned_that(t, IS(ANON) | IS(PRIVATE) | IS_WRITABLE, &range))
        return;
    struct page *page = &range.region->pages[range.first];
    owned_done(t, aspen_pin_range(range.region->mm, range.address, PAGE,
                                  ASPEN_PIN_WRITE, &frame));
    uint8_t *at = (uint8_t *)t->all->helper.direct_map + frame * PAGE + WORD;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t value = owned_new_value(t);
        owned_copy(at, (uint8_t *)&value, sizeof(value));
        owned_written(t, page, value);
        owned_access(t, range.region, range.first, false);
        owned_access(t, range.region, range.first, true);
        owned_copy((uint8_t *)&value, at, sizeof(value));
        owned_check(t, page, range.address, value);
    }
    owned_done(t, aspen_unpin(range.region->mm, &frame, 1, ASPEN_UNPIN_DIRTY));
}

static void
call_insert_raw(struct owner *t)
{
    struct range range;

    if (!owned_that(t, IS(DEVICE), &range))
        return;
    struct page *page = &range.region->pages[range.first];
    int error = aspen_insert_raw(range.region->mm, range.address,
                                 RAW + page->file_page, ASPEN_RAW_WRITABLE);
    if (error != (page->raw ? -ASPEN_EBUSY : 0))
        owned_wrong(t, "a raw frame", range.address, (uint64_t)(int64_t)error,
                    page->raw);
    page->raw = true;
}

static void
call_take_back(struct owner *t)
{
    uint64_t since = mmu_now();

    owned_done(t, aspen_object_unmap(t->device, 0, FILE_PAGES * PAGE, 0));
    check_pages_gone(t, IS(DEVICE), 0, since, MMU_GONE_ALL);
    for (unsigned i = 0; i < REGIONS; i++)
        for (unsigned n = 0; n < PAGES; n++)
            t->regions[i].pages[n].raw = false;
}

/* ---- The file ---------------------------------------------------------- */

static void
drop_copies(struct owner *t, uint64_t from)
{
    for (unsigned i = 0; i < REGIONS; i++)
        for (unsigned n = 0; n < PAGES; n++)
            if (t->regions[i].pages[n].file_page >= from)
                t->regions[i].pages[n].copied = false;
}

static void
call_resize(struct owner *t)
{
    uint64_t pages = 4 + owned_below(t, FILE_PAGES - 3), since = mmu_now();

    owned_done(t, aspen_object_resize(t->file, pages * PAGE));
    check_pages_gone(t, IS(SHARED) | IS(PRIVATE), pages, since, MMU_GONE_ALL);
    t->file_pages = pages;
    drop_copies(t, pages);
    for (uint64_t i = pages; i < FILE_PAGES; i++)
        t->file_values[i] = 0;
}

static void
call_punch(struct owner *t)
{
    unsigned page = owned_below(t, FILE_PAGES);

    owned_done(t, aspen_object_punch(t->file, page * PAGE, PAGE));
    t->file_values[page] = 0;
}

static void
call_sync(struct owner *t)
{
    uint64_t since = mmu_now();

    owned_done(t, aspen_object_sync(t->file, 0, FILE_PAGES * PAGE));
    check_pages_gone(t, IS(SHARED), 0, since, MMU_GONE_WRITABLE);
    for (unsigned i = 0; i < t->file_pages; i++) {
        uint64_t has;
        memcpy(&has, t->disk + i * PAGE + WORD, sizeof(has));
        if (has != t->file_values[i])
            owned_wrong(t, "what is on the disk", i, has, t->file_values[i]);
    }
}

static void
call_unmap_copies(struct owner *t)
{
    owned_done(t, aspen_object_unmap(t->file, 0, FILE_PAGES * PAGE,
                                     ASPEN_OBJECT_UNMAP_COPIES));
    drop_copies(t, 0);
}

static void
call_file_write(struct owner *t)
{
    unsigned page = owned_below(t, (unsigned)t->file_pages);
    uint64_t value = owned_new_value(t), written;

    owned_done(t, aspen_object_write(t->file, page * PAGE + WORD, &value,
                                     sizeof(value), &written));
    t->file_values[page] = value;
}

/* ---- Spaces ------------------------------------------------------------ */

void
owned_exit(struct owner *t)
{
    struct region *child = &t->regions[SPACES];

    if (!child->mm)
        return;
    owned_done(t, aspen_mm_deactivate(child->mm, t->cpu));
    aspen_mm_put(child->mm);
    child->mm = NULL;
}

/* The child has what the parent has now; afterwards each has its own. */
static void
call_fork(struct owner *t)
{
    struct region *parent = &t->regions[owned_below(t, SPACES)];
    struct region *child = &t->regions[SPACES];
    struct aspen_mm *mm;

    owned_exit(t);
    uint64_t since = mmu_now();
    owned_done(t, aspen_fork(parent->mm, &mm));
    for (unsigned n = 0; n < PAGES; n++) {
        struct range range = owned_range(parent, n, 1);
        if (parent->pages[n].kind == ANON)
            owned_gone(t, &range, since, MMU_GONE_WRITABLE);
    }
    *child = *parent;
    child->mm = mm;
    for (unsigned n = 0; n < PAGES; n++)
        child->pages[n].locked = false;
    owned_done(t, aspen_mm_activate(mm, t->cpu));
}

/* The CPU runs something else for a moment. */
static void
call_switch(struct owner *t)
{
    struct aspen_mm *mm = t->all->mm[owned_below(t, SPACES)];

    owned_done(t, aspen_mm_deactivate(mm, t->cpu));
    owned_done(t, aspen_mm_activate(mm, t->cpu));
}

/* ---- Memory ------------------------------------------------------------ */

/* Whosever it is. */
static void
call_reclaim(struct owner *t)
{
    (void)aspen_reclaim(t->all->helper.aspen, 1 + owned_below(t, 48));
}

/* Its own device comes, or goes: unless others keep its slots in use. */
static void
call_swap(struct owner *t)
{
    struct aspen *aspen = t->all->helper.aspen;
    struct aspen_swap_args args = {
        .pages = SLOTS,
        .priority = (int32_t)owned_below(t, 3),
        .flags = owned_below(t, 2) ? ASPEN_SWAP_CHECKSUM : 0,
        .ops = &owned_swap,
        .context = t,
    };

    if (!t->swaps) {
        owned_done(t, aspen_swap_add(aspen, &args, &t->swap));
        t->swaps = true;
        return;
    }
    int error = aspen_swap_remove(aspen, t->swap);
    if (error == -ASPEN_EBUSY)
        return;
    owned_done(t, error);
    t->swaps = false;
    memset(t->slots, 0x5a, SLOTS * PAGE);
}

/* ---- Any of them ------------------------------------------------------- */

static const struct {
    const char *name;
    void (*call)(struct owner *t);
    unsigned weight;
} calls[] = {
    {"accesses", access_own, 40},
    {"reading others", read_others, 12},
    {"copying from others", copy_others, 3},
    {"advising others", advise_others, 4},
    {"syncing others", sync_others, 2},
    {"unmapping others' file", unmap_others, 1},
    {"mmap", call_mmap, 10},
    {"munmap", call_munmap, 3},
    {"mprotect", call_mprotect, 6},
    {"mremap", call_mremap, 6},
    {"DONTNEED", call_dontneed, 4},
    {"FREE", call_free, 4},
    {"GUARD_INSTALL", call_guard, 2},
    {"GUARD_REMOVE", call_unguard, 3},
    {"POPULATE_WRITE", call_populate, 2},
    {"mlock", call_mlock, 2},
    {"munlock", call_munlock, 2},
    {"copy in", call_copy_in, 4},
    {"copy out", call_copy_out, 3},
    {"pin", call_pin, 3},
    {"insert_raw", call_insert_raw, 4},
    {"object_unmap, raw", call_take_back, 1},
    {"resize", call_resize, 2},
    {"punch", call_punch, 2},
    {"sync", call_sync, 4},
    {"object_unmap, copies", call_unmap_copies, 1},
    {"object_write", call_file_write, 2},
    {"fork", call_fork, 3},
    {"exit", owned_exit, 1},
    {"switch", call_switch, 1},
    {"reclaim", call_reclaim, 6},
    {"swapon, swapoff", call_swap, 1},
};

void
owned_call(struct owner *t)
{
    unsigned all = 0, i = 0;

    for (size_t n = 0; n < sizeof(calls) / sizeof(*calls); n++)
        all += calls[n].weight;
    for (unsigned left = owned_below(t, all); left >= calls[i].weight; i++)
        left -= calls[i].weight;
    t->calls++;
    t->call = calls[i].name;
    calls[i].call(t);
}
