/* SPDX-License-Identifier: MIT */
/*
 * What is made when it is first needed, by two that need it at once, over all
 * orders: there is one of it afterwards, both have used that one, and whoever
 * has the answer finds it. And what readers without a lock find is whole: under
 * ThreadSanitizer this file is instrumented, too (explore.mk), so that plain
 * memory behind an entry shows the orders of the tree's loads and stores.
 */
#include "explore.h"
#include "frames/frames.h"
#include "frames/pins.h"
#include "machine/swap_map.h"
#include "space/mm.h"
#include "tree/tree.h"
#include <stdio.h>

#define FRAMES 192u
#define MOST   3000u

static struct {
    struct aspen *aspen;
    struct aspen_mm *mm;
    uint32_t frames[2]; /* by task */
    unsigned areas[2];
} scene;

static void
setup(void *unused)
{
    (void)unused;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
}

static void
end(void)
{
    explore_validate(scene.aspen);
    aspen_mm_put(scene.mm);
    explore_machine_end(scene.aspen);
}

/* ---- Orders of blocks -------------------------------------------------- */

/* Whoever has a block can go from any frame of it to its first. */
static void
block_task(void *unused)
{
    uint32_t *frame = &scene.frames[sim_task()];

    (void)unused;
    must(aspen_frame_alloc(scene.aspen, 2, ASPEN_STEP_FRAME, frame));
    for (uint32_t i = 0; i < 4; i++)
        if (aspen_frame_head(scene.aspen, *frame + i) != *frame)
            sim_fail("a block of frames has lost its first");
}

static void
check_blocks(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 2; i++) {
        if (aspen_frame_order(scene.aspen, scene.frames[i]) != 2)
            sim_fail("the order of a block is lost");
        aspen_frame_put(scene.aspen, scene.frames[i]);
    }
    end();
}

static void
orders(void **state)
{
    struct sim_program program = {
        setup, {block_task, block_task}, 2, check_blocks, NULL};

    (void)state;
    explore_holds("a block beside a block", &program, MOST);
}

/* ---- Pins -------------------------------------------------------------- */

static void
setup_pages(void *unused)
{
    setup(unused);
    explore_map(scene.mm, START, 2, RW, NULL);
    for (unsigned i = 0; i < 2; i++)
        must(aspen_fault(scene.mm, START + i * PAGE, ASPEN_ACCESS_WRITE));
}

static void
pin_task(void *unused)
{
    uint32_t *frame = &scene.frames[sim_task()];

    (void)unused;
    must(aspen_pin_range(scene.mm, START + sim_task() * PAGE, PAGE, 0, frame));
    if (aspen_frame_pins(scene.aspen, *frame) != 1)
        sim_fail("a pin is not counted where it is looked for");
}

static void
check_pins(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 2; i++)
        if (aspen_frame_pins(scene.aspen, scene.frames[i]) != 1)
            sim_fail("a pin is lost");
    must(aspen_unpin(scene.mm, scene.frames, 2, 0));
    end();
}

static void
pins(void **state)
{
    struct sim_program program = {
        setup_pages, {pin_task, pin_task}, 2, check_pins, NULL};

    (void)state;
    explore_holds("a first pin beside a first pin", &program, MOST);
}

/* ---- Swap areas, and their continuations ------------------------------- */

static void
area_task(void *unused)
{
    unsigned *area = &scene.areas[sim_task()];

    (void)unused;
    must(aspen_swap_area_add(scene.aspen, 10 + sim_task(), area));
    must(aspen_swap_claim(scene.aspen, *area, 9 + sim_task()));
}

static void
check_areas(void *unused)
{
    (void)unused;
    if (scene.areas[0] == scene.areas[1])
        sim_fail("two areas in one place");
    for (unsigned i = 0; i < 2; i++) {
        if (aspen_swap_references(scene.aspen, scene.areas[i], 9 + i) != 1 ||
            aspen_swap_references(scene.aspen, scene.areas[i], 10 + i) != -1)
            sim_fail("an area has other slots than it was made with");
        aspen_swap_free(scene.aspen, scene.areas[i], 9 + i);
    }
    end();
}

static void
areas(void **state)
{
    struct sim_program program = {
        setup, {area_task, area_task}, 2, check_areas, NULL};

    (void)state;
    explore_holds("an area beside an area", &program, MOST);
}

/* Two slots of one block, each with as many references as its byte holds. */
static void
setup_full_slots(void *unused)
{
    setup(unused);
    must(aspen_swap_area_add(scene.aspen, 10, &scene.areas[0]));
    for (unsigned i = 0; i < 2 * ASPEN_SWAP_COUNT_MAX; i++)
        must(aspen_swap_claim(scene.aspen, scene.areas[0], i % 2));
}

static void
one_more_task(void *unused)
{
    (void)unused;
    must(aspen_swap_claim(scene.aspen, scene.areas[0], sim_task()));
}

static void
one_more_and_back_task(void *unused)
{
    one_more_task(unused);
    aspen_swap_free(scene.aspen, scene.areas[0], sim_task());
}

static void
check_slots(void *unused)
{
    const struct aspen_swap_area *area = &scene.aspen->swap[scene.areas[0]];
    uint64_t sum = 0;
    unsigned type;
    uint32_t slot;

    (void)unused;
    if (aspen_swap_check(scene.aspen, &type, &slot))
        sim_fail(aspen_swap_check(scene.aspen, &type, &slot));
    for (slot = 0; slot < 2; slot++) {
        uint64_t references =
            (uint64_t)aspen_swap_references(scene.aspen, scene.areas[0], slot);
        sum += references;
        while (references--)
            aspen_swap_free(scene.aspen, scene.areas[0], slot);
    }
    if (sum <= 2 * ASPEN_SWAP_COUNT_MAX)
        sim_fail("a reference is lost");
    if (area->continuation_count)
        sim_fail("a continuation is left that nobody needs");
    end();
}

static void
continuations(void **state)
{
    struct sim_program both = {
        setup_full_slots, {one_more_task, one_more_task}, 2, check_slots, NULL};
    struct sim_program back = {setup_full_slots,
                               {one_more_task, one_more_and_back_task},
                               2,
                               check_slots,
                               NULL};

    (void)state;
    explore_holds("one reference too many beside another", &both, MOST);
    explore_holds("one reference too many beside one given back", &back, MOST);
}

/* ---- anon_vmas, and their numbers -------------------------------------- */

static void
first_page_task(void *unused)
{
    (void)unused;
    must(aspen_fault(scene.mm, START + sim_task() * PAGE, ASPEN_ACCESS_WRITE));
}

static void
setup_untouched(void *unused)
{
    setup(unused);
    explore_map(scene.mm, START, 2, RW, NULL);
}

static void
check_one_anon_vma(void *unused)
{
    (void)unused;
    if (aspen_cache_allocated(&scene.aspen->anon_vma_cache) != 1)
        sim_fail("a mapping has more than one anon_vma");
    end();
}

static void
anon_vmas(void **state)
{
    struct sim_program program = {setup_untouched,
                                  {first_page_task, first_page_task},
                                  2,
                                  check_one_anon_vma,
                                  NULL};

    (void)state;
    explore_holds("a first page beside a first page", &program, MOST);
}

static char texts[2][1000];

static void
to_text(void *context, const char *text, size_t length)
{
    char *to = context;
    size_t used = strlen(to);

    snprintf(to + used, sizeof(texts[0]) - used, "%.*s", (int)length, text);
}

static void
dump_task(void *unused)
{
    char *text = texts[sim_task()];

    (void)unused;
    text[0] = 0;
    aspen_inspect_mm(scene.mm, 0, to_text, text);
}

static void
check_texts(void *unused)
{
    (void)unused;
    if (!strstr(texts[0], "anon ") || strcmp(texts[0], texts[1]))
        sim_fail("an anon_vma has two numbers");
    end();
}

static void
numbers(void **state)
{
    struct sim_program program = {
        setup_pages, {dump_task, dump_task}, 2, check_texts, NULL};

    (void)state;
    explore_holds("a dump beside a dump", &program, MOST);
}

/* ---- Entries of a range tree ------------------------------------------- */

/* Whoever finds one without a lock sees what was written before it was put
 * there. */
struct item {
    uint64_t value; /* plain */
};

static struct {
    struct aspen_tree_pool pool;
    struct aspen_tree tree;
    struct item items[2];
    struct item old;
    uint64_t entries; /* besides: 1 for a leaf, more for nodes above it */
} shelf;

static void
put(uint64_t key, struct item *item)
{
    must(aspen_tree_store(&shelf.tree, key, key + 9, item));
}

static void
setup_shelf(void *unused)
{
    (void)unused;
    must(aspen_tree_pool_init(&shelf.pool, NULL, 1024));
    aspen_tree_init(&shelf.tree, &shelf.pool);
    shelf.old.value = 7;
    for (uint64_t i = 0; i < shelf.entries; i++)
        put(1000 + 20 * i, &shelf.old);
    aspen_tree_rcu_enter(&shelf.tree);
}

static void
put_task(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 2; i++)
        shelf.items[i].value = 7;
    put(1000, &shelf.items[0]); /* in place of another */
    put(500, &shelf.items[1]);  /* where nothing was */
}

static void
load_task(void *unused)
{
    (void)unused;
    aspen_port_rcu_read_lock();
    for (uint64_t key = 1005; key >= 505; key -= 500) {
        const struct item *item = aspen_tree_load(&shelf.tree, key);
        if (item && item->value != 7)
            sim_fail("an entry was found before it was written");
    }
    aspen_port_rcu_read_unlock();
}

static void
walk_task(void *unused)
{
    struct aspen_tree_cursor cursor;
    const struct item *item;

    (void)unused;
    aspen_port_rcu_read_lock();
    aspen_tree_cursor_init(&cursor, &shelf.tree, 0);
    while ((item = aspen_tree_next(&cursor, 1100)) != NULL)
        if (item->value != 7)
            sim_fail("an entry was found before it was written");
    aspen_port_rcu_read_unlock();
}

static void
check_shelf(void *unused)
{
    (void)unused;
    aspen_tree_destroy(&shelf.tree);
    aspen_port_rcu_barrier();
    aspen_tree_pool_destroy(&shelf.pool);
}

static void
entries_are_whole(void **state)
{
    static const uint64_t counts[] = {1, 5, 60};
    struct sim_program load = {
        setup_shelf, {put_task, load_task}, 2, check_shelf, NULL};
    struct sim_program next = {
        setup_shelf, {put_task, walk_task}, 2, check_shelf, NULL};
    char name[60];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        shelf.entries = counts[i];
        snprintf(name, sizeof(name), "a load among %u", (unsigned)counts[i]);
        explore_holds(name, &load, MOST);
        snprintf(name, sizeof(name), "a walk among %u", (unsigned)counts[i]);
        explore_holds(name, &next, MOST);
    }
}

/* ---- Pages that a pager reads ------------------------------------------ */

#define FILE_PAGES 4u

static struct {
    struct aspen_object *file;
    uint8_t begun[FILE_PAGES]; /* how often it was asked for each */
    uint8_t reading[FILE_PAGES];
    unsigned failing; /* so many reads to come */
    const struct aspen_pager_ops *ops;
} disk;

static int
read_one(uint64_t page, uint8_t *to)
{
    if (disk.reading[page]++)
        sim_fail("two read one page at once");
    disk.begun[page]++;
    sim_point(&disk.reading[page], true);
    *to = (uint8_t)(page + 1);
    disk.reading[page]--;
    if (!disk.failing)
        return 0;
    disk.failing--;
    return -ASPEN_EIO;
}

static int
read_page(void *unused, uint64_t offset_bytes, void *page)
{
    (void)unused;
    return read_one(offset_bytes / PAGE, page);
}

static int
read_ahead(void *unused, uint64_t offset_bytes, void *const pages[],
           unsigned count)
{
    int error = 0;

    (void)unused;
    for (unsigned i = 0; i < count; i++)
        error =
            read_one(offset_bytes / PAGE + i, pages[i]) ? -ASPEN_EIO : error;
    return error;
}

static const struct aspen_pager_ops one_by_one = {.read = read_page};
static const struct aspen_pager_ops with_ahead = {.read = read_page,
                                                  .readahead = read_ahead};

static void
setup_file(void *failing)
{
    struct aspen_object_args args = {.size_bytes = FILE_PAGES * PAGE,
                                     .pager = disk.ops};

    setup(NULL);
    memset(disk.begun, 0, sizeof(disk.begun));
    memset(disk.reading, 0, sizeof(disk.reading));
    disk.failing = failing ? 1 : 0;
    must(aspen_object_create(scene.aspen, &args, &disk.file));
    explore_map(scene.mm, START, FILE_PAGES, RW, disk.file);
}

static void
get(uint64_t page)
{
    int error = aspen_fault(scene.mm, START + page * PAGE, ASPEN_ACCESS_READ);
    uint64_t done;
    uint8_t byte;

    if (error == -ASPEN_EIO)
        error = aspen_fault(scene.mm, START + page * PAGE, ASPEN_ACCESS_READ);
    must(error);
    must(aspen_object_read(disk.file, page * PAGE, &byte, 1, &done));
    if (byte != page + 1)
        sim_fail("a page is found before it is whole");
}

static void
first_of_file_task(void *unused)
{
    (void)unused;
    get(0);
}

static void
second_of_file_task(void *unused)
{
    (void)unused;
    get(1);
}

static void
check_file(void *failing)
{
    for (unsigned i = 0; i < FILE_PAGES; i++)
        if (disk.begun[i] > (failing && i < 2 ? 2 : 1))
            sim_fail("a page is read more often than once");
    if (!aspen_list_is_empty(&disk.file->reads))
        sim_fail("somebody reads for ever");
    explore_validate(scene.aspen);
    aspen_mm_put(scene.mm);
    aspen_object_put(disk.file);
    explore_machine_end(scene.aspen);
}

static void
pages(void **state)
{
    static bool fails;
    struct sim_program same = {setup_file,
                               {first_of_file_task, first_of_file_task},
                               2,
                               check_file,
                               NULL};
    struct sim_program beside = {setup_file,
                                 {first_of_file_task, second_of_file_task},
                                 2,
                                 check_file,
                                 NULL};

    (void)state;
    disk.ops = &one_by_one;
    explore_holds("a page read for two", &same, MOST);
    same.context = &fails;
    explore_holds("a page read for two, and the first read fails", &same, MOST);
    same.context = NULL;
    disk.ops = &with_ahead;
    explore_holds("pages read ahead for two", &same, MOST);
    explore_holds("a page beside one before it, read ahead", &beside, MOST);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders),
        cmocka_unit_test(pins),
        cmocka_unit_test(areas),
        cmocka_unit_test(continuations),
        cmocka_unit_test(anon_vmas),
        cmocka_unit_test(numbers),
        cmocka_unit_test(entries_are_whole),
        cmocka_unit_test(pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
