/* SPDX-License-Identifier: MIT */
/*
 * test_bounds.c - what a large call may take: counts and bounds, never times.
 *
 * The linker hands us the core's calls of the port's memory functions and of
 * those that wait for grace periods, and the stores into range trees.
 */
#include "helper.h"
#include "internal.h"

#include "object/page_cache.h"

#include <pthread.h>
#include <sched.h>

#define AT(page) ((uint64_t)(page)*PAGE)

/* ---- The port's memory ------------------------------------------------- */

void *__real_aspen_port_memory_alloc(size_t bytes);
void __real_aspen_port_memory_free(void *memory, size_t bytes);
void *__wrap_aspen_port_memory_alloc(size_t bytes);
void __wrap_aspen_port_memory_free(void *memory, size_t bytes);

static uint64_t held_bytes; /* atomic: RCU's helper gives memory back as well */
static uint64_t peak_bytes; /* atomic: of these */

void *
__wrap_aspen_port_memory_alloc(size_t bytes)
{
    void *memory = __real_aspen_port_memory_alloc(bytes);

    if (memory) {
        uint64_t held = aspen_fetch_add(&held_bytes, bytes) + bytes;
        if (held > aspen_load(&peak_bytes))
            aspen_store(&peak_bytes, held);
    }
    return memory;
}

void
__wrap_aspen_port_memory_free(void *memory, size_t bytes)
{
    if (memory)
        aspen_fetch_sub(&held_bytes, bytes);
    __real_aspen_port_memory_free(memory, bytes);
}

/* ---- TLB flushes ------------------------------------------------------- */

#define GIGABYTE_PAGES 262144u

struct pages {
    struct helper helper;
    struct aspen_mm *mm;
    uint64_t count; /* from AT(count) on */
};

/* A machine without contents, and a space where so many pages are mapped. */
static void
pages_create(struct pages *pages, uint64_t count)
{
    struct aspen_config config =
        helper_config((uint32_t)(count + count / 8 + 4096));
    struct aspen_import_vma vma = {
        .start = AT(count),
        .end = AT(2 * count),
        .vm_flags = RW | ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE,
        .flags = ASPEN_IMPORT_HAS_ANON_VMA,
    };
    struct aspen_import_pages import = {
        .address = vma.start,
        .count = count,
        .kind = ASPEN_IMPORT_ANON,
    };
    uint64_t done;

    config.flags |= ASPEN_CONFIG_CONTENTS_IGNORED;
    helper_create(&pages->helper, &config);
    pages->count = count;
    pages->mm = helper_mm(&pages->helper);
    assert_int_equal(aspen_import_vma(pages->mm, &vma), 0);
    assert_int_equal(aspen_import_pages(pages->mm, &import, &done), 0);
}

static void
pages_destroy(struct pages *pages)
{
    aspen_mm_put(pages->mm);
    helper_destroy(&pages->helper);
}

static int
drop(struct pages *pages)
{
    return aspen_madvise(pages->mm, AT(pages->count), AT(pages->count),
                         ASPEN_MADV_DONTNEED);
}

static int
unmap(struct pages *pages)
{
    return aspen_munmap(pages->mm, AT(pages->count), AT(pages->count));
}

/* The flushes of a call after which no page is left. */
static uint64_t
flushes_of(struct pages *pages, int (*call)(struct pages *pages))
{
    struct aspen *aspen = pages->helper.aspen;
    struct aspen_counters before = helper_counts(aspen);

    assert_int_equal(call(pages), 0);
    struct aspen_counters after = helper_counts(aspen);
    assert_in_range(after.frames_free, before.frames_free + pages->count,
                    before.frames_free + pages->count + pages->count / 128);
    return after.tlb_flushes - before.tlb_flushes;
}

static void
test_flushes(void **state)
{
    int (*const calls[])(struct pages * pages) = {drop, unmap};
    (void)state;

    for (unsigned i = 0; i < 2; i++) {
        struct pages pages;
        pages_create(&pages, GIGABYTE_PAGES);
        uint64_t flushes = flushes_of(&pages, calls[i]);
        print_message("1 GiB: %u flushes\n", (unsigned)flushes);
        assert_in_range(flushes, 1, 5);
        pages_destroy(&pages);
    }
}

/* Without memory for the frames that wait there are more, and no error. */
static void
test_flushes_without_memory(void **state)
{
    const uint64_t count = 32768;
    const uint64_t all = count / 128;
    (void)state;

    for (uint64_t number = 1; number < 12; number++)
        for (int mode = ASPEN_FAIL_ONCE; mode <= ASPEN_FAIL_ONWARD; mode++) {
            struct pages pages;
            struct aspen_failpoint_counts counts;
            struct aspen_failpoint_plan plan = {
                .mode = (enum aspen_fail_mode)mode, .number = number};
            pages_create(&pages, count);
            struct aspen *aspen = pages.helper.aspen;
            assert_int_equal(aspen_failpoints_set(aspen, &plan), 0);
            uint64_t flushes = flushes_of(&pages, drop);
            aspen_failpoints_read(aspen, &counts);
            assert_int_equal(aspen_failpoints_set(aspen, NULL), 0);
            assert_int_equal(counts.by_step[ASPEN_STEP_GATHER],
                             counts.crossings);
            assert_true(counts.failed > 0);
            if (mode == ASPEN_FAIL_ONCE)
                assert_in_range(flushes, 1, 6);
            else if (number == 1)
                assert_int_equal(flushes, all);
            else
                assert_in_range(flushes, 6, all - 1);
            helper_assert_valid(&pages.helper);
            pages_destroy(&pages);
        }
}

/* ---- Memory for each mapping ------------------------------------------- */

#define MAPPINGS 4000u

static void
create(struct helper_space *s)
{
    struct aspen_config config = helper_config(32768);

    config.semantics = ASPEN_SEMANTICS_6_18;
    helper_space_create(s, &config);
}

/* The call takes at most so many bytes for each mapping, at any moment, beyond
 * what was held before. (None, if as many nodes were free as it takes.) */
static void
assert_bytes(const char *name, uint64_t before, uint64_t most)
{
    uint64_t bytes = (aspen_load(&peak_bytes) - before) / MAPPINGS;

    print_message("%s: %u bytes a mapping\n", name, (unsigned)bytes);
    assert_in_range(bytes, 0, most);
}

static uint64_t
begin_counting(void)
{
    uint64_t held = aspen_load(&held_bytes);

    assert_true(held > 0);
    aspen_store(&peak_bytes, held);
    return held;
}

/* Mappings of a page, a page apart, go elsewhere. */
static void
move_all(const char *name, unsigned flags, uint64_t most)
{
    struct helper_space s;
    struct aspen_mremap_args args = {
        .address = AT(0x100000),
        .old_bytes = AT(2 * MAPPINGS),
        .new_bytes = AT(2 * MAPPINGS),
        .flags = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED | flags,
        .new_address = AT(0x1000000),
    };
    uint64_t address;

    create(&s);
    for (uint64_t i = 0; i < MAPPINGS; i++)
        helper_map(s.mm, args.address + AT(2 * i), 1, RW);
    uint64_t before = begin_counting();
    assert_int_equal(aspen_mremap(s.mm, &args, &address), 0);
    assert_bytes(name, before, most);
    for (uint64_t i = 0; i < MAPPINGS; i++)
        helper_unmap(s.mm, args.new_address + AT(2 * i), 1);
    helper_space_destroy(&s);
}

static void
test_memory_of_moves(void **state)
{
    (void)state;
    move_all("mappings that move", 0, 2600);
    move_all("mappings that move and stay", ASPEN_MREMAP_DONTUNMAP, 2600);
}

/* Advice for all makes one of each pair; and back, two of each one. */
static void
test_memory_of_edits(void **state)
{
    struct helper_space s;
    uint64_t at = AT(0x100000);
    (void)state;

    create(&s);
    for (uint64_t i = 0; i < MAPPINGS; i++) {
        helper_map(s.mm, at + AT(3 * i), 2, RW);
        assert_int_equal(
            aspen_madvise(s.mm, at + AT(3 * i), PAGE, ASPEN_MADV_DONTDUMP), 0);
    }
    uint64_t before = begin_counting();
    assert_int_equal(
        aspen_madvise(s.mm, at, AT(3 * MAPPINGS), ASPEN_MADV_DONTDUMP),
        -ASPEN_ENOMEM); /* there are holes; it is done */
    assert_int_equal(helper_counters(s.mm).vmas, MAPPINGS);
    assert_bytes("mappings that merge", before, 800);
    helper_space_destroy(&s);
}

/* ---- Pages that go below one lock -------------------------------------- */

void __real_aspen_tree_store_reserved(struct aspen_tree *tree,
                                      struct aspen_tree_reserve *reserve,
                                      uint64_t first, uint64_t last,
                                      void *entry);
void __wrap_aspen_tree_store_reserved(struct aspen_tree *tree,
                                      struct aspen_tree_reserve *reserve,
                                      uint64_t first, uint64_t last,
                                      void *entry);

static struct {
    struct aspen_tree *tree; /* NULL: nobody asks */
    uint64_t stores;
    uint64_t most; /* ranges that one of them erased */
} erased;

void
__wrap_aspen_tree_store_reserved(struct aspen_tree *tree,
                                 struct aspen_tree_reserve *reserve,
                                 uint64_t first, uint64_t last, void *entry)
{
    uint64_t before = tree->count;

    __real_aspen_tree_store_reserved(tree, reserve, first, last, entry);
    if (tree != erased.tree)
        return;
    erased.stores++;
    erased.most = aspen_max_u64(erased.most, before - tree->count);
}

/* How the pages of a mapping lie in its object. */
static const struct {
    const char *name;
    uint64_t step;  /* pages from one to the next */
    uint64_t count; /* of them */
} layouts[] = {
    {"all", 1, 20000},
    {"every other", 2, 10000},
    {"some, far apart", 1000003, 5000},
    {"few", 3, 100},
    {"none", 1, 0},
};

static void
shrink(uint64_t step, uint64_t count, bool punches)
{
    struct helper_space s;

    create(&s);
    struct aspen_object *object = helper_object(&s.helper, ASPEN_OBJECT_SHMEM,
                                                step * count + 10, NULL, NULL);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t frame;
        assert_int_equal(
            aspen_object_get_page(object, 3 + i * step, NULL, &frame), 0);
        aspen_frame_put(s.helper.aspen, frame);
    }
    erased.tree = &object->pages;
    erased.stores = 0;
    erased.most = 0;
    if (punches)
        assert_int_equal(aspen_object_punch(object, 0, AT(step * count + 10)),
                         0);
    else
        assert_int_equal(aspen_object_resize(object, PAGE), 0);
    erased.tree = NULL;
    assert_int_equal(object->pages.count, 0);
    assert_in_range(erased.most, count ? 1 : 0, ASPEN_OBJECT_DROP_MAX);
    assert_in_range(erased.stores, 0, count / ASPEN_OBJECT_DROP_MAX + 1);
    aspen_object_put(object);
    helper_space_destroy(&s);
}

static void
test_pages_below_one_lock(void **state)
{
    (void)state;
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(layouts); i++) {
        print_message("%s\n", layouts[i].name);
        shrink(layouts[i].step, layouts[i].count, false);
        shrink(layouts[i].step, layouts[i].count, true);
    }
}

/* ---- Grace periods ----------------------------------------------------- */

void __real_aspen_port_rcu_synchronise(void);
void __real_aspen_port_rcu_barrier(void);
void __wrap_aspen_port_rcu_synchronise(void);
void __wrap_aspen_port_rcu_barrier(void);

static struct {
    struct aspen_mm *mm;
    uint32_t reading;    /* atomic: somebody reads under RCU */
    uint32_t enough;     /* atomic: and ends then */
    uint64_t waits;      /* of the caller, for grace periods */
    uint64_t most_nodes; /* dead ones that waited at such a moment */
    uint64_t most_tables;
} grace;

/* Somebody waits: the mmap lock is free, and the reader goes on. */
static void
waiting(void)
{
    struct aspen *aspen;

    if (!grace.mm)
        return;
    aspen = grace.mm->aspen;
    grace.waits++;
    grace.most_nodes = aspen_max_u64(
        grace.most_nodes, aspen_tree_pool_waiting(&aspen->tree_pool));
    grace.most_tables =
        aspen_max_u64(grace.most_tables, aspen_tables_waiting(aspen));
    assert_true(aspen_port_write_trylock(&grace.mm->mmap_lock));
    aspen_port_write_unlock(&grace.mm->mmap_lock);
    aspen_store(&grace.enough, 1u);
}

void
__wrap_aspen_port_rcu_synchronise(void)
{
    waiting();
    __real_aspen_port_rcu_synchronise();
}

void
__wrap_aspen_port_rcu_barrier(void)
{
    waiting();
    __real_aspen_port_rcu_barrier();
}

static void *
read_until_enough(void *unused)
{
    (void)unused;
    aspen_port_rcu_read_lock();
    aspen_store(&grace.reading, 1u);
    while (!aspen_load(&grace.enough))
        sched_yield();
    aspen_port_rcu_read_unlock();
    return NULL;
}

/* `calls` map and unmap beside a reader that stays, until somebody waits for
 * the end of it or nobody has. */
static void
beside_reader(uint32_t frames, void (*calls)(void))
{
    struct aspen_config config = helper_config(frames);
    struct helper helper;
    pthread_t reader;

    memset(&grace, 0, sizeof(grace));
    helper_create(&helper, &config);
    struct aspen_mm *mm = helper_mm(&helper);
    assert_int_equal(pthread_create(&reader, NULL, read_until_enough, NULL), 0);
    while (!aspen_load(&grace.reading))
        sched_yield();
    grace.mm = mm;
    calls();
    grace.mm = NULL;
    aspen_store(&grace.enough, 1u);
    pthread_join(reader, NULL);
    print_message("%u waits; %u nodes, %u tables\n", (unsigned)grace.waits,
                  (unsigned)grace.most_nodes, (unsigned)grace.most_tables);
    aspen_mm_put(mm);
    helper_destroy(&helper);
}

static void
some_pairs(void)
{
    for (unsigned i = 0; i < 2000 && !grace.waits; i++) {
        uint64_t address = helper_map(grace.mm, 0, 1 + i % 5, RW);
        helper_unmap(grace.mm, address, 1 + i % 5);
    }
}

static void
some_tables(void)
{
    const uint64_t count = 600;

    helper_map(grace.mm, AT(512), count * 512, RW | ASPEN_VM_NORESERVE);
    for (uint64_t i = 1; i <= count; i++)
        assert_int_equal(aspen_fault(grace.mm, AT(512 * i), ASPEN_ACCESS_WRITE),
                         0);
    helper_unmap(grace.mm, AT(512), count * 512);
}

/* While a grace period lasts nobody waits for it, but for memory. */
static void
test_nobody_waits(void **state)
{
    (void)state;
    beside_reader(8192, some_pairs);
    assert_int_equal(grace.waits, 0);
    beside_reader(8192, some_tables);
    assert_int_equal(grace.waits, 0);
}

/* What waits is bounded by the size of the machine; then a caller waits, who
 * holds no mmap lock. */
static void
test_what_waits_is_bounded(void **state)
{
    (void)state;
    beside_reader(256, some_pairs);
    assert_int_equal(grace.waits, 1);
    assert_in_range(grace.most_nodes, 512, 540);
    beside_reader(2048, some_tables);
    assert_int_equal(grace.waits, 1);
    assert_in_range(grace.most_tables, 2048 / 8, 610);
}

/* ---- Mappings far apart ------------------------------------------------ */

/* How many nodes of the tree a mapping takes, and its end, beside those. */
static uint64_t
nodes_beside(const uint64_t *pages, unsigned count)
{
    struct aspen_failpoint_plan plan = {.mode = ASPEN_FAIL_NEVER};
    const struct aspen_layout layout = {.mmap_base = AT(0x7ffff7fff),
                                        .mmap_bottom = AT(0x2aaaaaaab)};
    struct aspen_failpoint_counts counts;
    struct helper_space s;

    create(&s);
    assert_int_equal(aspen_layout_set(s.mm, &layout), 0);
    for (unsigned i = 0; i < count; i++)
        helper_map(s.mm, AT(pages[i]), 1, RW);
    assert_int_equal(aspen_failpoints_set(s.helper.aspen, &plan), 0);
    uint64_t address = helper_map(s.mm, 0, 16, ASPEN_VM_READ);
    helper_unmap(s.mm, address, 16);
    aspen_failpoints_read(s.helper.aspen, &counts);
    assert_int_equal(aspen_failpoints_set(s.helper.aspen, NULL), 0);
    helper_space_destroy(&s);
    return counts.by_step[ASPEN_STEP_TREE_NODE];
}

/* As a program has them: one node for each store, as beside near ones. */
static void
test_far_apart(void **state)
{
    static const uint64_t near[] = {0x7ffff0000, 0x7ffff0002, 0x7ffff0004,
                                    0x7ffff0006, 0x7ffff0008};
    static const uint64_t fixed[] = {0x400, 0x402, 0x600, 0x7ffff7f00,
                                     0x7ffffffde};
    static const uint64_t anywhere[] = {0x555555554, 0x555555556, 0x555555558,
                                        0x55555555a, 0x55555557b, 0x7ffff7fd0,
                                        0x7ffff7fd4, 0x7ffff7fd8, 0x7ffffffde};
    (void)state;

    assert_int_equal(nodes_beside(near, ASPEN_ARRAY_SIZE(near)), 2);
    assert_int_equal(nodes_beside(fixed, ASPEN_ARRAY_SIZE(fixed)), 2);
    assert_int_equal(nodes_beside(anywhere, ASPEN_ARRAY_SIZE(anywhere) - 1), 2);
    /* Nearly full, it reserves for a second one; the store takes one. */
    assert_in_range(nodes_beside(anywhere, ASPEN_ARRAY_SIZE(anywhere)), 2, 6);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flushes),
        cmocka_unit_test(test_flushes_without_memory),
        cmocka_unit_test(test_memory_of_moves),
        cmocka_unit_test(test_memory_of_edits),
        cmocka_unit_test(test_pages_below_one_lock),
        cmocka_unit_test(test_nobody_waits),
        cmocka_unit_test(test_what_waits_is_bounded),
        cmocka_unit_test(test_far_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
