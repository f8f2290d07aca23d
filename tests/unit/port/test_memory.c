/* SPDX-License-Identifier: MIT */
/*
 * The port itself has no memory: at its 1st, 2nd, ... request, once and
 * onward, through the whole life of a machine. Failpoints say "no" before the
 * port is asked; here the port says it, also where nobody put a failpoint.
 *
 * The linker hands us the core's calls of the port's two memory functions.
 */
#define _GNU_SOURCE
#include "helper.h"

#include <sys/mman.h>

#include "object/object.h"
#include "object/page_cache.h"
#include "machine/swap_map.h"

void *__real_aspen_port_memory_alloc(size_t bytes);
void __real_aspen_port_memory_free(void *memory, size_t bytes);
void *__wrap_aspen_port_memory_alloc(size_t bytes);
void __wrap_aspen_port_memory_free(void *memory, size_t bytes);

static struct {
    uint64_t requests;
    uint64_t fails_at; /* 0: never */
    bool onward;
    uint64_t failed;
    uint64_t held_bytes; /* atomic: RCU's helper gives memory back as well */
} port;

void *
__wrap_aspen_port_memory_alloc(size_t bytes)
{
    uint64_t number = aspen_fetch_add(&port.requests, 1) + 1;
    void *memory = NULL;

    if (number == port.fails_at ||
        (port.onward && port.fails_at && number > port.fails_at))
        port.failed++;
    else
        memory = __real_aspen_port_memory_alloc(bytes);
    if (memory)
        aspen_fetch_add(&port.held_bytes, bytes);
    return memory;
}

void
__wrap_aspen_port_memory_free(void *memory, size_t bytes)
{
    if (memory)
        aspen_fetch_sub(&port.held_bytes, bytes);
    __real_aspen_port_memory_free(memory, bytes);
}

/* ---- A machine's whole life -------------------------------------------- */

#define FRAMES 2048u
#define VMAS   150u

struct life {
    struct aspen_config config;
    struct aspen *aspen;
    struct aspen_object *file;
    struct aspen_mm *mm;
};

static int
add_area(struct life *life)
{
    unsigned type;
    int error = aspen_swap_area_add(life->aspen, 2000, &type);
    for (unsigned i = 0; !error && i < 2 * ASPEN_SWAP_CONTINUED; i++)
        error = aspen_swap_claim(life->aspen, 0, 1999);
    return error;
}

static int
add_object(struct life *life)
{
    struct aspen_object_args args = {.size_bytes = MIB};
    int error = aspen_object_create(life->aspen, &args, &life->file);
    for (uint64_t i = 0; !error && i < 100; i++) {
        uint32_t frame;
        error = aspen_object_get_page(life->file, i, NULL, &frame);
        if (!error)
            aspen_frame_put(life->aspen, frame);
    }
    return error;
}

static int
add_vmas(struct life *life)
{
    int error = aspen_mm_create(life->aspen, &life->mm);
    for (unsigned i = 0; !error && i < VMAS; i++) {
        struct aspen_import_vma vma = {
            .start = MIB + i * 4 * PAGE,
            .end = MIB + i * 4 * PAGE + 2 * PAGE,
            .vm_flags = MAY_RW | ASPEN_VM_ACCOUNT,
            .object = i % 3 ? NULL : life->file,
            .flags = ASPEN_IMPORT_HAS_ANON_VMA,
        };
        struct aspen_import_pages pages = {.address = vma.start, .count = 1};
        uint64_t done;
        error = aspen_import_vma(life->mm, &vma);
        if (!error)
            error = aspen_import_pages(life->mm, &pages, &done);
    }
    return error;
}

static int
add_huge_page(struct life *life)
{
    struct aspen_import_vma vma = {
        .start = GIB, .end = GIB + 2 * MIB, .vm_flags = MAY_RW};
    struct aspen_import_pages pages = {.address = GIB, .count = 1, .level = 1};
    uint64_t done;
    int error = aspen_import_vma(life->mm, &vma);
    return error ? error : aspen_import_pages(life->mm, &pages, &done);
}

static int
fork_it(struct life *life)
{
    struct aspen_mm *child = NULL;
    struct aspen_counters before = helper_counts(life->aspen);
    int error = aspen_fork(life->mm, &child);
    if (error) {
        assert_null(child);
        helper_assert_counts(life->aspen, &before);
    } else {
        aspen_mm_put(child);
    }
    return error;
}

static void
end_life(struct life *life, int error)
{
    uint64_t refused = helper_counts(life->aspen).refused_metadata;

    assert_in_range(refused, error ? 1 : 0, port.failed);
    if (life->mm)
        aspen_mm_put(life->mm);
    if (life->file)
        aspen_object_put(life->file);
    assert_int_equal(aspen_destroy(life->aspen), 0);
}

static int
live(const struct aspen_config *config)
{
    struct life life = {.config = *config};
    int error = aspen_create(config, &life.aspen);
    if (error) {
        assert_null(life.aspen);
        return error;
    }
    error = add_area(&life);
    if (!error)
        error = add_object(&life);
    if (!error)
        error = add_vmas(&life);
    if (!error)
        error = add_huge_page(&life);
    if (!error)
        error = fork_it(&life);
    end_life(&life, error);
    return error;
}

/* Returns the number of requests. */
static uint64_t
fail_at_each_request(const struct aspen_config *config, bool onward)
{
    for (uint64_t n = 1;; n++) {
        memset(&port, 0, sizeof(port));
        port.fails_at = n;
        port.onward = onward;
        int error = live(config);
        assert_int_equal(port.held_bytes, 0);
        if (!port.failed) {
            assert_int_equal(error, 0);
            return n - 1;
        }
        /* Where other memory will do, no error: but then never another. */
        assert_true(error == 0 || error == -ASPEN_ENOMEM);
    }
}

static void
nothing_is_left_of_any_failure(void **state)
{
    struct aspen_config config = helper_config(FRAMES);
    (void)state;

    uint64_t once = fail_at_each_request(&config, false);
    uint64_t onward = fail_at_each_request(&config, true);
    printf("failed at each of %llu (%llu) requests\n", (unsigned long long)once,
           (unsigned long long)onward);
    assert_true(once > 20 && onward > 20);
    munmap(config.direct_map, FRAMES * PAGE);
}

/* ---- Object caches ----------------------------------------------------- */

/* How many objects there are when the port gives no more, and this CPU has put
 * aside what one chunk has. */
static unsigned
objects_of(unsigned cpu)
{
    struct aspen_cache cache;
    unsigned mine = aspen_posix_slot, count = 0;
    static void *objects[1000];

    port.fails_at = 0;
    port.onward = false;
    assert_int_equal(
        aspen_cache_init(&cache, "test", 192, ASPEN_STEP_VMA, false, NULL), 0);
    aspen_posix_slot = cpu + 1;
    aspen_cache_free(&cache, aspen_cache_alloc(&cache));
    aspen_posix_slot = mine;
    port.requests = 0;
    port.fails_at = 1;
    port.onward = true;
    while ((objects[count] = aspen_cache_alloc(&cache)) != NULL)
        count++;
    port.fails_at = 0;
    for (unsigned i = 0; i < count; i++)
        aspen_cache_free(&cache, objects[i]);
    aspen_cache_destroy(&cache);
    return count;
}

/* Without memory what any other CPU has put aside is found, be it the first or
 * the last. */
static void
test_other_cpus_objects(void **state)
{
    unsigned all = objects_of(aspen_port_cpu());
    (void)state;

    assert_true(all > 1);
    for (unsigned cpu = 0; cpu < ASPEN_PORT_CPUS; cpu++)
        assert_int_equal(objects_of(cpu), all);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_left_of_any_failure),
        cmocka_unit_test(test_other_cpus_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
