/* SPDX-License-Identifier: MIT */
/*
 * An object that is cut off, punched or written back beside faults and forks,
 * over all orders, the fault failing at each of its steps. Whatever the order:
 * no entry leads to a page that was dropped, beyond the end nothing is found,
 * and no write is lost.
 */
#include "explore.h"
#include "object/page_cache.h"

#define SHARED  (16 * PAGE)
#define PRIVATE (32 * PAGE)
#define MOVED   (48 * PAGE)
#define FRAMES  64u
#define MOST    500u

/* What one run works on; the machine is made anew for each. */
struct scene {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_mm *child; /* NULL: none */
    struct aspen_object *file;
    unsigned pages; /* of the file, of which the first stays if it has more */
    bool warm;      /* pages are mapped and dirty at the beginning */
    bool punch;
    bool cut; /* nothing may be there in the end */
    uint64_t address;
    unsigned access;
    uint64_t fail_at;
    struct aspen_failpoint_counts counts;
    uint8_t stored;
    uint8_t written; /* through the mapping, last */
};

static struct scene scene = {.pages = 1};

/* ---- The pager: one byte ----------------------------------------------- */

static int
read_page(void *context, uint64_t offset_bytes, void *page)
{
    (void)context;
    (void)offset_bytes;
    *(uint8_t *)page = scene.stored;
    return 0;
}

static int
write_pages(void *context, uint64_t offset_bytes, const void *const pages[],
            uint64_t bytes)
{
    (void)context;
    (void)offset_bytes;
    (void)bytes;
    scene.stored = *(const uint8_t *)pages[0];
    return 0;
}

static int
mkwrite(void *context, uint64_t offset_bytes)
{
    (void)context;
    (void)offset_bytes;
    return 0;
}

static int
punch(void *context, uint64_t offset_bytes, uint64_t length_bytes)
{
    (void)context;
    (void)offset_bytes;
    (void)length_bytes;
    scene.stored = 0;
    return 0;
}

static const struct aspen_pager_ops ops = {.read = read_page,
                                           .write = write_pages,
                                           .mkwrite = mkwrite,
                                           .punch = punch};

/* ---- Set-up and check -------------------------------------------------- */

static void
map(uint64_t at, uint64_t flags, unsigned access)
{
    explore_map(scene.mm, at, scene.pages, RW | flags, scene.file);
    for (unsigned i = 0; scene.warm && i < scene.pages; i++)
        must(aspen_fault(scene.mm, at + i * PAGE, access));
}

static void
setup(void *unused)
{
    struct aspen_object_args args = {.size_bytes = scene.pages * PAGE,
                                     .pager = &ops};

    (void)unused;
    scene.child = NULL;
    scene.stored = 42;
    scene.written = 0;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
    must(aspen_object_create(scene.aspen, &args, &scene.file));
    map(SHARED, ASPEN_VM_SHARED, ASPEN_ACCESS_WRITE);
    map(PRIVATE, 0, ASPEN_ACCESS_READ);
    explore_plan(scene.aspen, scene.fail_at);
}

static void
check_gone(struct aspen_mm *mm, uint64_t address)
{
    uint32_t frame;

    if (!aspen_translate(mm, address, ASPEN_ACCESS_READ, &frame))
        sim_fail("something is mapped beyond the end");
    int error = aspen_fault(mm, address, ASPEN_ACCESS_READ);
    if (error != -ASPEN_EFBIG && error != -ASPEN_EFAULT)
        sim_fail("something is found beyond the end");
}

/* Where the file was mapped, and a call may have moved it to. */
static void
check_all_gone(void)
{
    for (unsigned i = scene.pages > 1; i < scene.pages; i++) {
        check_gone(scene.mm, SHARED + i * PAGE);
        check_gone(scene.mm, PRIVATE + i * PAGE);
        check_gone(scene.mm, MOVED + i * PAGE);
    }
    if (scene.child)
        check_gone(scene.child, PRIVATE);
}

/* A page that nobody maps would be there again if the object grew. */
static void
check_cache(void)
{
    uint32_t frame;

    for (unsigned i = scene.pages > 1; i < scene.pages; i++) {
        if (aspen_object_find_page(scene.file, i, &frame))
            continue;
        aspen_frame_put(scene.aspen, frame);
        sim_fail("a page is cached beyond the end");
    }
}

static void
check(void *unused)
{
    (void)unused;
    explore_plan_end(scene.aspen, &scene.counts);
    explore_validate(scene.aspen);
    if (scene.cut && !scene.punch) {
        check_cache();
        check_all_gone();
    }
    if (!scene.cut) {
        must(aspen_object_sync(scene.file, 0, UINT64_MAX));
        if (scene.written && scene.stored != scene.written)
            sim_fail("a write is lost");
    }
    if (scene.child)
        aspen_mm_put(scene.child);
    aspen_mm_put(scene.mm);
    aspen_object_put(scene.file);
    explore_machine_end(scene.aspen);
}

/* ---- Tasks ------------------------------------------------------------- */

static void
cut_task(void *unused)
{
    (void)unused;
    int error = scene.punch ? aspen_object_punch(scene.file, 0, PAGE)
                            : aspen_object_resize(scene.file,
                                                  scene.pages > 1 ? PAGE : 0);
    if (error && scene.fail_at)
        scene.cut = false;
    else
        must(error);
}

static void
fault_task(void *unused)
{
    (void)unused;
    int error = aspen_fault(scene.mm, scene.address, scene.access);
    if (error != -ASPEN_EFBIG)
        must_or_planned(error);
}

static void
fork_task(void *unused)
{
    (void)unused;
    must(aspen_fork(scene.mm, &scene.child));
}

/* Of the last page but one, which goes: an edge is on either side. */
static uint64_t
middle(void)
{
    return scene.address + scene.pages / 2 * PAGE;
}

static void
protect_task(void *unused)
{
    (void)unused;
    must(aspen_mprotect(scene.mm, middle(), PAGE, ASPEN_VM_READ,
                        ASPEN_PKEY_SAME));
}

static void
unmap_task(void *unused)
{
    (void)unused;
    must(aspen_munmap(scene.mm, middle(), PAGE));
}

static void
discard_task(void *unused)
{
    (void)unused;
    must(aspen_madvise(scene.mm, middle(), PAGE, ASPEN_MADV_DONTNEED));
}

static void
move_task(void *unused)
{
    const struct aspen_mremap_args args = {
        .address = middle(),
        .old_bytes = PAGE,
        .new_bytes = PAGE,
        .flags = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
        .new_address = MOVED + scene.pages / 2 * PAGE,
    };
    uint64_t address;

    (void)unused;
    must(aspen_mremap(scene.mm, &args, &address));
}

static void
read_task(void *unused)
{
    uint8_t byte;
    uint64_t done;

    (void)unused;
    int error = aspen_read_memory(scene.mm, middle(), &byte, 1, 0, &done);
    if (error != -ASPEN_EFAULT)
        must(error);
    if (!error && byte != 42)
        sim_fail("a page is read that was never the file's");
}

static void
sync_task(void *unused)
{
    (void)unused;
    must_or_planned(aspen_object_sync(scene.file, 0, UINT64_MAX));
}

/* As the processor: look at the entry and write, in one step. */
static bool
store_byte(uint8_t byte)
{
    struct aspen_slot slot;

    aspen_table_walk(scene.mm, SHARED, &slot);
    uint64_t entry = *(volatile uint64_t *)slot.entry;
    if (!aspen_entry_is_leaf(entry, slot.level) ||
        !(aspen_entry_bits(entry) & ASPEN_ENTRY_WRITE))
        return false;
    explore_bytes(scene.aspen, (uint32_t)aspen_entry_frame(entry))[0] = byte;
    scene.written = byte;
    return true;
}

static void
store_task(void *unused)
{
    (void)unused;
    for (uint8_t byte = 70; byte < 72; byte++)
        while (!store_byte(byte)) {
            int error = aspen_fault(scene.mm, SHARED, ASPEN_ACCESS_WRITE);
            if (error && scene.fail_at)
                return;
            must(error);
        }
}

/* ---- Tests ------------------------------------------------------------- */

/* One after the other: how many steps there are to fail. */
static uint64_t
count_steps(const struct sim_program *program)
{
    bool cut = scene.cut;

    scene.fail_at = 0;
    setup(NULL);
    program->task[0](NULL);
    program->task[1](NULL);
    check(NULL);
    scene.cut = cut;
    return scene.counts.crossings;
}

static void
all_orders(const char *name, void (*one)(void *), void (*other)(void *),
           bool failing)
{
    struct sim_program program = {setup, {one, other}, 2, check, NULL};
    bool cut = scene.cut;
    uint64_t steps = failing ? count_steps(&program) : 0;
    char title[100];

    for (scene.fail_at = 0; scene.fail_at <= steps; scene.fail_at++) {
        scene.cut = cut;
        snprintf(title, sizeof(title), "%s, %s, %s %llu", name,
                 scene.warm ? "mapped before" : "cold",
                 scene.fail_at ? "failing at" : "succeeding,",
                 (unsigned long long)scene.fail_at);
        explore_holds(title, &program, MOST);
    }
    scene.fail_at = 0;
}

static void
cut_beside_faults(bool punched)
{
    static const struct {
        const char *name;
        uint64_t address;
        unsigned access;
    } faults[] = {
        {"shared read", SHARED, ASPEN_ACCESS_READ},
        {"shared write", SHARED, ASPEN_ACCESS_WRITE},
        {"private read", PRIVATE, ASPEN_ACCESS_READ},
        {"private write", PRIVATE, ASPEN_ACCESS_WRITE},
    };
    char name[80];

    for (unsigned warm = 0; warm < 2; warm++)
        for (size_t i = punched; i < sizeof(faults) / sizeof(faults[0]);
             i += 1 + punched) {
            scene.warm = warm;
            scene.punch = punched;
            scene.cut = true;
            scene.address = faults[i].address;
            scene.access = faults[i].access;
            snprintf(name, sizeof(name), "%s beside a %s",
                     punched ? "a hole" : "truncation", faults[i].name);
            all_orders(name, cut_task, fault_task, false);
        }
}

static void
test_truncate(void **state)
{
    (void)state;
    cut_beside_faults(false);
}

static void
test_punch(void **state)
{
    (void)state;
    cut_beside_faults(true);
}

static void
test_fork(void **state)
{
    (void)state;
    scene.warm = true;
    scene.punch = false;
    scene.cut = true;
    all_orders("truncation beside a fork", cut_task, fork_task, false);
}

/* What is taken away meanwhile does not come back: with other bits, at another
 * place, through a part of the mapping that was not there when the walk began.
 */
static void
test_calls(void **state)
{
    static const struct {
        const char *name;
        void (*task)(void *unused);
    } calls[] = {
        {"mprotect", protect_task}, {"munmap", unmap_task},
        {"DONTNEED", discard_task}, {"mremap", move_task},
        {"a read", read_task},
    };
    char name[80];

    (void)state;
    scene.warm = true;
    scene.punch = false;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        for (unsigned which = 0; which < 2; which++) {
            scene.address = which ? PRIVATE : SHARED;
            scene.pages = 3;
            scene.cut = true;
            snprintf(name, sizeof(name), "truncation beside %s, %s",
                     calls[i].name, which ? "private" : "shared");
            all_orders(name, cut_task, calls[i].task, false);
        }
    scene.pages = 1;
}

static void
test_sync(void **state)
{
    (void)state;
    scene.cut = false;
    for (unsigned warm = 0; warm < 2; warm++) {
        scene.warm = warm;
        all_orders("write-back beside writes", sync_task, store_task, true);
    }
}

static void
test_sync_and_truncate(void **state)
{
    (void)state;
    scene.warm = true;
    scene.punch = false;
    scene.cut = true;
    all_orders("write-back beside truncation", sync_task, cut_task, false);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncate),
        cmocka_unit_test(test_punch),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_sync),
        cmocka_unit_test(test_sync_and_truncate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
