/* SPDX-License-Identifier: MIT */
/*
 * test_sizes.c - what things take of the port's memory, and in which sizes it
 * is asked for: docs/use/porting.md has the same numbers. The port's memory is
 * led through here (the linker's --wrap).
 */
#include "helper.h"
#include "internal.h"

#include "ranges/move.h"

#define MANY 1000u
#define AT   ((uint64_t)0x10000000)

void *__real_aspen_port_memory_alloc(size_t bytes);
void *__wrap_aspen_port_memory_alloc(size_t bytes);

static uint64_t asked[64]; /* different sizes, in the order of their coming */
static unsigned asked_count;
static uint64_t asked_bytes;

void *
__wrap_aspen_port_memory_alloc(size_t bytes)
{
    unsigned i = 0;

    while (i < asked_count && asked[i] != bytes)
        i++;
    if (i == asked_count && i < ASPEN_ARRAY_SIZE(asked))
        asked[asked_count++] = bytes;
    asked_bytes += bytes;
    return __real_aspen_port_memory_alloc(bytes);
}

/* ---- What the document says ---------------------------------------------- */

/* The number in the second column of a row; 0: no such row. */
static uint64_t
documented(const char *name)
{
    static const char path[] = "docs/use/porting.md";
    char line[512];
    unsigned long number = 0;
    FILE *file = fopen(path, "r");
    size_t length = strlen(name);

    if (!file)
        fail_msg("%s: run this from the top of the project", path);
    while (!number && fgets(line, sizeof(line), file))
        if (!strncmp(line, "| ", 2) && !strncmp(line + 2, name, length) &&
            !strncmp(line + 2 + length, " | ", 3))
            (void)sscanf(line + length + 5, "%lu", &number);
    fclose(file);
    return number;
}

static bool wrong;

/* Locks and pointers of this port on this processor: others have others. */
static void
expect(const char *name, uint64_t bytes)
{
    uint64_t number = documented(name);

    print_message("| %s | %lu |\n", name, (unsigned long)bytes);
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) &&                   \
    !defined(ASPEN_PORT_ICACHE_SYNC) && !defined(ASPEN_TREE_TEST_FANOUT)
    wrong |= number != bytes;
#endif
    assert_int_not_equal(number, 0);
}

/* ---- Things -------------------------------------------------------------- */

static uint64_t
used_of(const struct aspen_cache *cache)
{
    return aspen_cache_allocated(cache) * cache->object_bytes;
}

static uint64_t
used(struct aspen *aspen)
{
    aspen_port_rcu_barrier();
    return used_of(&aspen->mm_cache) + used_of(&aspen->vma_cache) +
           used_of(&aspen->anon_vma_cache) +
           used_of(&aspen->anon_vma_link_cache) +
           used_of(&aspen->object_cache) + used_of(&aspen->name_cache) +
           /* Without what waits for readers: how many is chance. */
           aspen_tree_pool_nodes(&aspen->tree_pool) *
               aspen->tree_pool.nodes.object_bytes;
}

/* Of each of many things, rounded up. */
static uint64_t
since(struct aspen *aspen, uint64_t before)
{
    return (used(aspen) - before + MANY - 1) / MANY;
}

static void
spaces(struct helper_space *s)
{
    struct aspen_mm *mms[MANY];
    uint64_t before = used(s->helper.aspen);

    for (unsigned i = 0; i < MANY; i++)
        mms[i] = helper_mm(&s->helper);
    expect("address space", since(s->helper.aspen, before));
    for (unsigned i = 0; i < MANY; i++)
        aspen_mm_put(mms[i]);
}

static void
mappings(struct helper_space *s)
{
    struct aspen *aspen = s->helper.aspen;
    uint64_t before = used(aspen);
    struct aspen_mm *child;

    for (unsigned i = 0; i < MANY; i++)
        helper_map(s->mm, AT + 2 * i * PAGE, 1, RW);
    expect("mapping", since(aspen, before));
    before = used(aspen);
    for (unsigned i = 0; i < MANY; i++)
        helper_put(&s->helper, s->mm, AT + 2 * i * PAGE, 1);
    expect("private mapping, once it is written to", since(aspen, before));
    before = used(aspen);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    expect("the same in a child", since(aspen, before));
    aspen_mm_put(child);
    helper_unmap(s->mm, AT, 2 * MANY);
}

static void
objects(struct helper_space *s)
{
    struct aspen_object *made[MANY];
    uint64_t before = used(s->helper.aspen);

    for (unsigned i = 0; i < MANY; i++)
        made[i] = helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 1, NULL, NULL);
    expect("object", since(s->helper.aspen, before));
    for (unsigned i = 0; i < MANY; i++)
        aspen_object_put(made[i]);
}

static void
cached_pages(struct helper_space *s)
{
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, MANY, NULL, NULL);
    uint64_t before = used(s->helper.aspen), done;

    for (uint64_t i = 0; i < MANY; i++)
        assert_int_equal(aspen_object_write(object, i * PAGE, "x", 1, &done),
                         0);
    expect("page of an object", since(s->helper.aspen, before));
    aspen_object_put(object);
}

static void
test_things(void **state)
{
    struct helper_space s;
    (void)state;

    helper_space_create(&s, NULL);
    spaces(&s);
    mappings(&s);
    objects(&s);
    cached_pages(&s);
    helper_space_destroy(&s);
    assert_false(wrong);
}

static uint64_t
machine_bytes(uint32_t frames)
{
    uint64_t before = asked_bytes;
    struct aspen *aspen = helper_machine(frames);

    before = asked_bytes - before;
    helper_machine_destroy(aspen);
    return before;
}

static void
test_frames(void **state)
{
    uint64_t small = machine_bytes(8192), large = machine_bytes(8192 + 100000);
    (void)state;

    expect("frame of RAM", (large - small + 99999) / 100000);
    assert_false(wrong);
}

/* ---- Sizes ------------------------------------------------------------- */

#define FRAMES  4992u
#define SEVERAL 3u

static void
use(struct helper_space *s)
{
    struct aspen_mm *child;
    uint32_t frames[1];

    for (unsigned i = 0; i < SEVERAL; i++)
        helper_map(s->mm, AT + i * PAGE, 1, i % 2 ? RW : R);
    helper_put(&s->helper, s->mm, AT + PAGE, 1);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    aspen_mm_put(child);
    assert_int_equal(helper_remap(s->mm, AT, SEVERAL * PAGE, SEVERAL * PAGE,
                                  ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
                                  2 * AT),
                     0);
    assert_int_equal(
        aspen_pin_range(s->mm, 2 * AT + PAGE, PAGE, ASPEN_PIN_WRITE, frames),
        0);
    helper_unpin(s->mm, frames, 1, 0);
    helper_import(s->mm, 4 * MIB, 512, MAY_RW, NULL, 0);
    assert_int_equal(
        helper_import_pages(s->mm, 4 * MIB, 1, ASPEN_IMPORT_ANON, 1), 0);
}

static void
test_asked(void **state)
{
    static const struct {
        const char *name;
        uint64_t unit, bytes;
    } sizes[] = {
        {"chunk of objects", 1, 16384},
        {"orders of huge leaves, for each frame", FRAMES, 1},
        {"pins, for each frame", FRAMES, 4},
        {"mremap, for each of several mappings", SEVERAL,
         sizeof(struct aspen_move)},
    };
    struct aspen_config config = helper_config(FRAMES);
    struct helper_space s;
    (void)state;

    config.semantics = ASPEN_SEMANTICS_6_18;
    config.direct_map = NULL;
    helper_space_create(&s, &config);
    asked_count = 0;
    use(&s);
    for (unsigned i = 0; i < asked_count; i++) {
        unsigned row = 0;
        while (row < ASPEN_ARRAY_SIZE(sizes) &&
               sizes[row].unit * sizes[row].bytes != asked[i])
            row++;
        print_message("asked: %lu\n", (unsigned long)asked[i]);
        if (row < ASPEN_ARRAY_SIZE(sizes))
            expect(sizes[row].name, sizes[row].bytes);
        else
            wrong = true;
    }
    helper_space_destroy(&s);
    assert_false(wrong);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_things),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
