/* SPDX-License-Identifier: MIT */
/*
 * Two that work on different things at once, over all orders, and count them in
 * one place: the lock there is what keeps the count. Most of it is plain
 * memory, so that under ThreadSanitizer a lock that is not taken is a race in
 * whatever order comes by; what the two have afterwards shows it in some orders
 * without.
 */
#include "explore.h"
#include "frames/frames.h"
#include "reclaim/trim.h"
#include "space/mm.h"
#include <aspen/calls/mmu.h>

#define FRAMES 192u
#define MOST   3000u
#define FAR    (1ull << 30) /* another table at each level but the top */

static struct {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_mm *child;
    uint32_t taken[FRAMES]; /* all that there were */
    unsigned count;
    uint32_t frame[2]; /* by task */
} scene;

static void
setup_with(const struct aspen_config *config)
{
    scene.child = NULL;
    scene.count = 0;
    scene.aspen = explore_machine(config, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm));
}

static void
setup(void *unused)
{
    (void)unused;
    setup_with(NULL);
}

static void
check(void *unused)
{
    (void)unused;
    explore_validate(scene.aspen);
    if (scene.child)
        aspen_mm_put(scene.child);
    aspen_mm_put(scene.mm);
    explore_machine_end(scene.aspen);
}

static void
holds(const char *name, void (*before)(void *context),
      void (*one)(void *context), void (*other)(void *context),
      void (*after)(void *context))
{
    struct sim_program program = {before, {one, other}, 2, after, NULL};

    explore_holds(name, &program, MOST);
}

/* Pages at START and at `second`. */
static void
map_two(uint64_t second)
{
    explore_map(scene.mm, START, 1, RW, NULL);
    explore_map(scene.mm, second, 1, RW, NULL);
    must(aspen_fault(scene.mm, START, ASPEN_ACCESS_WRITE));
    must(aspen_fault(scene.mm, second, ASPEN_ACCESS_WRITE));
}

/* ---- Two pages under one table ----------------------------------------- */

static void
setup_shared(void *unused)
{
    setup(unused);
    map_two(START + PAGE);
    must(aspen_fork(scene.mm, &scene.child));
}

static void
write_task(void *unused)
{
    (void)unused;
    must(aspen_fault(scene.mm, START + sim_task() * PAGE, ASPEN_ACCESS_WRITE));
}

static void
copies(void **state)
{
    (void)state;
    holds("a page copied beside a page copied", setup_shared, write_task,
          write_task, check);
}

/* ---- Tables that go ---------------------------------------------------- */

static void
setup_far(void *unused)
{
    setup(unused);
    map_two(START + FAR);
}

static void
unmap_task(void *unused)
{
    (void)unused;
    must(aspen_munmap(scene.mm, START + sim_task() * FAR, PAGE));
}

static void
tables(void **state)
{
    (void)state;
    holds("tables freed beside tables freed", setup_far, unmap_task, unmap_task,
          check);
}

/* ---- Looking at a space ------------------------------------------------ */

static void
validate_task(void *unused)
{
    struct aspen_finding finding = {0};

    (void)unused;
    if (aspen_validate_mm(scene.mm, &finding))
        sim_fail(finding.text);
}

static void
look(void **state)
{
    (void)state;
    holds("the validator beside munmap", setup_far, unmap_task, validate_task,
          check);
}

/* ---- Frames that are left ---------------------------------------------- */

/* Three, with the CPU that has set this up. */
static void
setup_few(void *unused)
{
    setup(unused);
    while (aspen_frame_alloc(scene.aspen, 0, ASPEN_STEP_FRAME,
                             &scene.taken[scene.count]) == 0)
        scene.count++;
    for (unsigned i = 0; i < 3; i++)
        aspen_frame_put(scene.aspen, scene.taken[--scene.count]);
}

static void
take_task(void *unused)
{
    (void)unused;
    must(aspen_frame_alloc(scene.aspen, 0, ASPEN_STEP_FRAME,
                           &scene.frame[sim_task()]));
}

static void
check_few(void *unused)
{
    if (scene.frame[0] == scene.frame[1])
        sim_fail("two have one frame");
    for (unsigned i = 0; i < 2; i++)
        aspen_frame_put(scene.aspen, scene.frame[i]);
    while (scene.count)
        aspen_frame_put(scene.aspen, scene.taken[--scene.count]);
    check(unused);
}

static void
few(void **state)
{
    (void)state;
    holds("the last frames taken from another CPU", setup_few, take_task,
          take_task, check_few);
}

/* Of a block none is left in the caches of CPUs; the first takes them back. */
static void
setup_cached(void *unused)
{
    uint32_t frame;

    setup(unused);
    must(aspen_frame_alloc(scene.aspen, 0, ASPEN_STEP_FRAME, &frame));
    aspen_frame_put(scene.aspen, frame);
}

static void
drain_task(void *unused)
{
    (void)unused;
    aspen_frames_drain(scene.aspen);
}

static void
block_task(void *unused)
{
    uint32_t frame;

    (void)unused;
    must(aspen_frame_alloc(scene.aspen, 2, ASPEN_STEP_FRAME, &frame));
    aspen_frame_put(scene.aspen, frame);
}

static void
drained(void **state)
{
    (void)state;
    holds("caches emptied beside a block", setup_cached, drain_task, block_task,
          check);
}

/* ---- Brackets of a second MMU ------------------------------------------ */

static void
bracket(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    (void)context;
    (void)mm;
    (void)start;
    (void)end;
}

static void
setup_brackets(void *unused)
{
    static const struct aspen_notifier_ops ops = {
        .invalidate_start = bracket,
        .invalidate_end = bracket,
    };
    struct aspen_config config;

    (void)unused;
    aspen_config_init(&config);
    config.hooks.notifier = &ops;
    setup_with(&config);
    map_two(START + PAGE);
}

static void
discard_task(void *unused)
{
    (void)unused;
    must(aspen_madvise(scene.mm, START + sim_task() * PAGE, PAGE,
                       ASPEN_MADV_DONTNEED));
}

/* Whoever begins, looks, and has to look again while somebody changes it. */
static void
fill_task(void *unused)
{
    uint64_t begun;

    (void)unused;
    do {
        aspen_mmu_wait(scene.mm, START, START + PAGE);
        begun = aspen_mmu_begin(scene.mm);
    } while (aspen_mmu_retry(scene.mm, begun, START, START + PAGE));
}

static void
brackets(void **state)
{
    (void)state;
    holds("a bracket beside a bracket", setup_brackets, discard_task,
          discard_task, check);
    holds("a bracket beside who fills", setup_brackets, discard_task, fill_task,
          check);
}

/* ---- Old shadows -------------------------------------------------------- */

#define PAGES 4u

static struct {
    struct aspen_object *file[2];
    uint64_t ram_frames; /* what there is */
} shadowed;

static int
read_page(void *context, uint64_t offset_bytes, void *page)
{
    (void)context;
    (void)offset_bytes;
    (void)page;
    return 0;
}

static int
punch(void *context, uint64_t offset_bytes, uint64_t length_bytes)
{
    (void)context;
    (void)offset_bytes;
    (void)length_bytes;
    return 0;
}

static const struct aspen_pager_ops pager = {.read = read_page, .punch = punch};

static void
read_all(struct aspen_object *file)
{
    static uint8_t bytes[PAGES * PAGE];
    uint64_t done;

    must(aspen_object_read(file, 0, bytes, sizeof(bytes), &done));
}

/* Each page was in memory, and has left it; all shadows but the last are old,
 * and more than there is memory for. */
static void
setup_shadows(void *unused)
{
    struct aspen_object_args args = {.size_bytes = PAGES * PAGE,
                                     .pager = &pager};

    (void)unused;
    setup(unused);
    for (unsigned i = 0; i < 2; i++) {
        must(aspen_object_create(scene.aspen, &args, &shadowed.file[i]));
        read_all(shadowed.file[i]);
        while (aspen_reclaim(scene.aspen, PAGES) > 0)
            ;
    }
    shadowed.ram_frames = scene.aspen->banks.ram_frames;
    scene.aspen->banks.ram_frames = 1;
}

static void
check_shadows(void *unused)
{
    struct aspen_counters counters;

    (void)unused;
    scene.aspen->banks.ram_frames = shadowed.ram_frames;
    explore_validate(scene.aspen);
    for (unsigned i = 0; i < 2; i++)
        if (shadowed.file[i])
            aspen_object_put(shadowed.file[i]);
    aspen_counters_read(scene.aspen, &counters);
    if (counters.shadows)
        sim_fail("shadows are counted that are nowhere");
    aspen_mm_put(scene.mm);
    explore_machine_end(scene.aspen);
}

static void
trim_task(void *unused)
{
    (void)unused;
    aspen_shadows_trim(scene.aspen);
}

static void
put_task(void *unused)
{
    struct aspen_object *file = shadowed.file[1];

    (void)unused;
    shadowed.file[1] = NULL;
    aspen_object_put(file);
}

static void
cut_task(void *unused)
{
    (void)unused;
    must(aspen_object_resize(shadowed.file[0], PAGE));
}

static void
punch_task(void *unused)
{
    (void)unused;
    must(aspen_object_punch(shadowed.file[0], PAGE, PAGE));
}

static void
read_task(void *unused)
{
    (void)unused;
    read_all(shadowed.file[0]);
}

static void
trims(void **state)
{
    static const struct {
        const char *name;
        void (*task)(void *context);
    } others[] = {
        {"a trim beside the last put of a file", put_task},
        {"a trim beside a file that is cut", cut_task},
        {"a trim beside a hole in a file", punch_task},
        {"a trim beside pages that come back", read_task},
        {"a trim beside a trim", trim_task},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        holds(others[i].name, setup_shadows, trim_task, others[i].task,
              check_shadows);
}

/* ---- A page that leaves its list ---------------------------------------- */

static int
refuse(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    (void)io;
    return -ASPEN_EIO;
}

/* An anonymous page that is on a list, and memory whose tables are to come. */
static void
setup_list(void *unused)
{
    static const struct aspen_swap_ops none = {.transfer = refuse};
    struct aspen_swap_args args = {.pages = 1, .ops = &none};
    unsigned type;

    setup(unused);
    must(aspen_swap_add(scene.aspen, &args, &type));
    explore_map(scene.mm, START, 1, RW, NULL);
    explore_map(scene.mm, FAR, 1, RW, NULL);
    must(aspen_fault(scene.mm, START, ASPEN_ACCESS_WRITE));
}

/* The frame is free, and becomes a table, which waits with others for a grace
 * period: on a list through the words by which it was on the other one. */
static void
reuse_task(void *unused)
{
    (void)unused;
    must(aspen_madvise(scene.mm, START, PAGE, ASPEN_MADV_DONTNEED));
    must(aspen_fault(scene.mm, FAR, ASPEN_ACCESS_READ));
    must(aspen_munmap(scene.mm, FAR, PAGE));
}

static void
reclaim_task(void *unused)
{
    (void)unused;
    aspen_reclaim(scene.aspen, 1);
}

static void
lists(void **state)
{
    (void)state;
    holds("who looks at a page beside who frees it", setup_list, reclaim_task,
          reuse_task, check);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies),  cmocka_unit_test(tables),
        cmocka_unit_test(look),    cmocka_unit_test(few),
        cmocka_unit_test(drained), cmocka_unit_test(brackets),
        cmocka_unit_test(trims),   cmocka_unit_test(lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
