/* SPDX-License-Identifier: MIT */
/*
 * An import beside what happens to the object meanwhile, and beside another
 * import, over all orders. Whatever the order: no entry leads to a page that
 * was dropped, nothing is there beyond the end, no write is lost, and who finds
 * that somebody else was quicker succeeds as well.
 */
#include "explore.h"
#include "object/page_cache.h"

#define PAGES  2u
#define FRAMES 128u
#define MOST   1000u

/* Two huge pages, and what else there is. */
#define HUGE_AT     0x40000000ull
#define HUGE        (2ull << 20)
#define HUGE_FRAMES 1600u
#define HUGE_MOST   300u

/* What one run works on; the machine is made anew for each. */
static struct {
    struct aspen *aspen;
    struct aspen_mm *mm[2];
    struct aspen_object *object;
    enum aspen_object_kind kind;
    uint8_t stored; /* the file's first byte */
    bool cut;       /* nothing may be there in the end */
} scene;

/* ---- A file ------------------------------------------------------------ */

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
    sim_point(pages[0], false);
    scene.stored = *(const uint8_t *)pages[0];
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

static const struct aspen_pager_ops ops = {
    .read = read_page, .write = write_pages, .punch = punch};

/* ---- Pages ------------------------------------------------------------- */

static void
setup(void *unused)
{
    struct aspen_object_args args = {
        .kind = scene.kind,
        .size_bytes = PAGES * PAGE,
        .pager = scene.kind == ASPEN_OBJECT_FILE ? &ops : NULL,
    };

    (void)unused;
    scene.stored = 42;
    scene.cut = false;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm[0]));
    must(aspen_object_create(scene.aspen, &args, &scene.object));
    explore_map(scene.mm[0], START, PAGES, RW | ASPEN_VM_SHARED, scene.object);
}

static void
import_task(void *unused)
{
    struct aspen_import_pages pages = {.address = START,
                                       .count = PAGES,
                                       .kind = ASPEN_IMPORT_OBJECT,
                                       .dirty = true};
    uint64_t done;

    (void)unused;
    int error = aspen_import_pages(scene.mm[0], &pages, &done);
    if (error != -ASPEN_EFBIG)
        must(error);
}

static void
resize_task(void *unused)
{
    (void)unused;
    must(aspen_object_resize(scene.object, 0));
    scene.cut = true;
}

static void
punch_task(void *unused)
{
    (void)unused;
    must(aspen_object_punch(scene.object, 0, PAGES * PAGE));
}

static void
sync_task(void *unused)
{
    (void)unused;
    must(aspen_object_sync(scene.object, 0, UINT64_MAX));
}

static void
drop_task(void *unused)
{
    uint64_t dropped;

    (void)unused;
    must(aspen_object_drop(scene.object, 0, UINT64_MAX, &dropped));
}

/* What can be written to without a fault is written back. */
static void
write_and_sync(void)
{
    uint32_t frame;

    if (aspen_translate(scene.mm[0], START, ASPEN_ACCESS_WRITE, &frame))
        return;
    explore_bytes(scene.aspen, frame)[0] = 77;
    must(aspen_object_sync(scene.object, 0, UINT64_MAX));
    if (scene.stored != 77)
        sim_fail("a write is lost");
}

static void
check(void *unused)
{
    uint32_t frame;

    (void)unused;
    explore_validate(scene.aspen);
    if (scene.cut &&
        !aspen_translate(scene.mm[0], START, ASPEN_ACCESS_READ, &frame))
        sim_fail("something is mapped beyond the end");
    if (scene.kind == ASPEN_OBJECT_FILE)
        write_and_sync();
    aspen_mm_put(scene.mm[0]);
    aspen_object_put(scene.object);
    explore_machine_end(scene.aspen);
}

static void
pages_of_an_object(void **state)
{
    static const struct {
        const char *name;
        enum aspen_object_kind kind;
        void (*task)(void *context);
    } rows[] = {
        {"import, truncation", ASPEN_OBJECT_FILE, resize_task},
        {"import, truncation of shared memory", ASPEN_OBJECT_SHMEM,
         resize_task},
        {"import, a hole", ASPEN_OBJECT_FILE, punch_task},
        {"import, write-back", ASPEN_OBJECT_FILE, sync_task},
        {"import, a smaller cache", ASPEN_OBJECT_FILE, drop_task},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sim_program program = {
            setup, {import_task, rows[i].task}, 2, check, NULL};
        scene.kind = rows[i].kind;
        explore_holds(rows[i].name, &program, MOST);
    }
}

/* ---- Private pages ----------------------------------------------------- */

static void
setup_private(void *unused)
{
    (void)unused;
    scene.aspen = explore_machine(NULL, FRAMES);
    must(aspen_mm_create(scene.aspen, &scene.mm[0]));
    explore_map(scene.mm[0], START, 1, RW, NULL);
}

/* The space's first page; a write makes one as well. */
static void
import_first_task(void *unused)
{
    struct aspen_import_pages pages = {
        .address = START, .count = 1, .kind = ASPEN_IMPORT_ANON};
    uint64_t done;

    (void)unused;
    int error = aspen_import_pages(scene.mm[0], &pages, &done);
    if (error != -ASPEN_EEXIST)
        must(error);
}

static void
write_task(void *unused)
{
    (void)unused;
    must(aspen_fault(scene.mm[0], START, ASPEN_ACCESS_WRITE));
}

static void
check_private(void *unused)
{
    (void)unused;
    explore_validate(scene.aspen);
    aspen_mm_put(scene.mm[0]);
    explore_machine_end(scene.aspen);
}

static void
the_first_page(void **state)
{
    struct sim_program program = {
        setup_private, {import_first_task, write_task}, 2, check_private, NULL};

    (void)state;
    explore_holds("import, the first write", &program, MOST);
}

/* ---- Huge pages, two spaces -------------------------------------------- */

static void
map_huge(struct aspen_mm *mm, struct aspen_object *object)
{
    const uint64_t shared = ASPEN_VM_SHARED | ASPEN_VM_MAYSHARE;
    struct aspen_import_vma vma = {
        .start = HUGE_AT,
        .end = HUGE_AT + HUGE,
        .vm_flags =
            RW | ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE | (object ? shared : 0),
        .object = object,
    };

    must(aspen_import_vma(mm, &vma));
}

/* Nobody looks at contents: all of these frames are not zeroed for each run. */
static void
setup_huge(void *unused)
{
    static uint8_t ram[HUGE_FRAMES * PAGE] __attribute__((aligned(PAGE)));
    struct aspen_object_args args = {.kind = ASPEN_OBJECT_SHMEM,
                                     .size_bytes = HUGE};
    struct aspen_config config;

    (void)unused;
    aspen_config_init(&config);
    config.flags = ASPEN_CONFIG_CONTENTS_IGNORED;
    config.frames = HUGE_FRAMES;
    config.direct_map = ram;
    scene.cut = false;
    scene.object = NULL;
    must(aspen_create(&config, &scene.aspen));
    if (scene.kind == ASPEN_OBJECT_SHMEM)
        must(aspen_object_create(scene.aspen, &args, &scene.object));
    for (unsigned i = 0; i < 2; i++) {
        must(aspen_mm_create(scene.aspen, &scene.mm[i]));
        map_huge(scene.mm[i], scene.object);
    }
}

static void
import_huge(struct aspen_mm *mm, unsigned level)
{
    struct aspen_import_pages pages = {
        .address = HUGE_AT,
        .count = 1,
        .level = level,
        .kind = scene.object ? ASPEN_IMPORT_OBJECT : ASPEN_IMPORT_ANON,
    };
    uint64_t done;

    int error = aspen_import_pages(mm, &pages, &done);
    if (error != -ASPEN_EFBIG)
        must(error);
}

static void
first_task(void *level)
{
    import_huge(scene.mm[0], *(const unsigned *)level);
}

static void
second_task(void *level)
{
    import_huge(scene.mm[1], *(const unsigned *)level);
}

/* A page inside the block, which leads to the block's first frame. */
static void
pin_task(void *level)
{
    uint32_t frame;

    second_task(level);
    must(aspen_pin_range(scene.mm[1], HUGE_AT + PAGE, PAGE, ASPEN_PIN_WRITE,
                         &frame));
    must(aspen_unpin(scene.mm[1], &frame, 1, 0));
}

/* The same: before the block comes, or not at all. */
static void
drop_part_task(void *unused)
{
    (void)unused;
    int error = aspen_madvise(scene.mm[0], HUGE_AT, PAGE, ASPEN_MADV_DONTNEED);
    if (error != -ASPEN_EOPNOTSUPP)
        must(error);
}

/* Blocks are not cut. */
static void
resize_huge_task(void *unused)
{
    (void)unused;
    int error = aspen_object_resize(scene.object, 0);
    scene.cut = !error;
    if (error != -ASPEN_EOPNOTSUPP)
        must(error);
}

static void
check_huge(void *unused)
{
    uint32_t frame;

    (void)unused;
    explore_validate(scene.aspen);
    if (scene.cut && !aspen_object_find_page(scene.object, 0, &frame))
        sim_fail("a page is cached beyond the end");
    for (unsigned i = 0; i < 2; i++)
        aspen_mm_put(scene.mm[i]);
    if (scene.object)
        aspen_object_put(scene.object);
    must(aspen_destroy(scene.aspen));
}

static void
two_spaces(void **state)
{
    static const struct {
        const char *name;
        enum aspen_object_kind kind;
        unsigned level;
        void (*task)(void *level);
    } rows[] = {
        {"a page that two import", ASPEN_OBJECT_SHMEM, 0, second_task},
        {"a block that two import", ASPEN_OBJECT_SHMEM, 1, second_task},
        {"a block, truncation", ASPEN_OBJECT_SHMEM, 1, resize_huge_task},
        {"a block, of which a part goes", ASPEN_OBJECT_FILE, 1, drop_part_task},
        {"the first two blocks, a pin", ASPEN_OBJECT_FILE, 1, pin_task},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned level = rows[i].level;
        struct sim_program program = {
            setup_huge, {first_task, rows[i].task}, 2, check_huge, &level};
        scene.kind = rows[i].kind;
        explore_holds(rows[i].name, &program, HUGE_MOST);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_of_an_object),
        cmocka_unit_test(the_first_page),
        cmocka_unit_test(two_spaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
