/* SPDX-License-Identifier: MIT */
/*
 * Dirty pages are written before they leave, with their neighbours; what the
 * pager answers is kept, and told once; nothing is lost when it fails.
 */
#include "failing.h"
#include "helper.h"

#define PAGES 64u
#define ALL   UINT64_MAX

/* What a file is, outside. */
struct store {
    unsigned char bytes[PAGES][4096];
    unsigned calls;
    unsigned most; /* pages, at a time */
    int error;
};

static int
store_read(void *context, uint64_t offset_bytes, void *page)
{
    struct store *store = context;

    memcpy(page, store->bytes[offset_bytes / PAGE], PAGE);
    return 0;
}

static int
store_write(void *context, uint64_t offset_bytes, const void *const pages[],
            uint64_t bytes)
{
    struct store *store = context;
    unsigned count = (unsigned)(bytes / PAGE);

    store->calls++;
    if (count > store->most)
        store->most = count;
    for (unsigned i = 0; !store->error && i < count; i++)
        memcpy(store->bytes[offset_bytes / PAGE + i], pages[i], PAGE);
    return store->error;
}

static const struct aspen_pager_ops pager = {.read = store_read,
                                             .write = store_write};

struct scene {
    struct helper_space *s;
    struct aspen *aspen;
    struct aspen_object *file;
    struct store *store;
    uint64_t at; /* a shared mapping of all of it */
};

static struct scene
begin(struct helper_space *s)
{
    struct scene scene = {.s = s, .aspen = s->helper.aspen};

    scene.store = calloc(1, sizeof(*scene.store));
    assert_non_null(scene.store);
    scene.file = helper_object(&s->helper, ASPEN_OBJECT_FILE, PAGES, &pager,
                               scene.store);
    scene.at =
        helper_map_object(s->mm, 0, PAGES, RW | ASPEN_VM_SHARED, scene.file, 0);
    return scene;
}

static void
end(struct scene *scene)
{
    helper_assert_valid(&scene->s->helper);
    helper_unmap(scene->s->mm, scene->at, PAGES);
    aspen_object_put(scene->file);
    free(scene->store);
}

/* Each even page through the mapping, each odd one by a call. */
static void
write_all(struct scene *scene, unsigned char first)
{
    uint64_t done;

    for (unsigned i = 0; i < PAGES; i++) {
        char byte = (char)(first + i);
        if (i % 2 == 0)
            helper_put(&scene->s->helper, scene->s->mm, scene->at + i * PAGE,
                       (uint8_t)byte);
        else
            assert_int_equal(
                aspen_object_write(scene->file, i * PAGE, &byte, 1, &done), 0);
    }
}

static void
assert_all(struct scene *scene, unsigned char first)
{
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(
            helper_get(&scene->s->helper, scene->s->mm, scene->at + i * PAGE),
            (uint8_t)(first + i));
}

static void
test_written_and_gone(void **state)
{
    struct scene scene = begin(*state);

    write_all(&scene, 1);
    assert_int_equal(aspen_reclaim(scene.aspen, ALL), PAGES);
    assert_int_equal(helper_counts(scene.aspen).reclaim_written, PAGES);
    assert_int_equal(scene.store->most, 32);
    assert_int_equal(scene.store->calls, PAGES / 32);
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(scene.store->bytes[i][0], 1 + i);
    assert_all(&scene, 1);
    end(&scene);
}

/* What was not written stays; sync, msync and each reader hear of it once. */
static void
test_error_is_told_once(void **state)
{
    struct scene scene = begin(*state);
    uint32_t seen = 0, other = 0;

    assert_int_equal(aspen_object_error(scene.file, &seen), 0);
    write_all(&scene, 1);
    scene.store->error = -ASPEN_ENOSPC;
    assert_int_equal(aspen_reclaim(scene.aspen, ALL), 0);
    assert_true(scene.store->calls > 0);
    assert_int_equal(helper_counts(scene.aspen).reclaim_written, 0);
    scene.store->error = 0;
    assert_all(&scene, 1);
    assert_int_equal(aspen_object_sync(scene.file, 0, PAGE), -ASPEN_ENOSPC);
    assert_int_equal(aspen_object_sync(scene.file, 0, ALL), 0);
    assert_int_equal(aspen_object_error(scene.file, &seen), -ASPEN_ENOSPC);
    assert_int_equal(aspen_object_error(scene.file, &seen), 0);
    assert_int_equal(aspen_object_error(scene.file, &other), -ASPEN_ENOSPC);
    assert_int_equal(aspen_object_error(scene.file, &other), 0);

    write_all(&scene, 2);
    scene.store->error = -ASPEN_EIO;
    assert_int_equal(aspen_reclaim(scene.aspen, ALL), 0);
    scene.store->error = 0;
    assert_int_equal(
        aspen_msync(scene.s->mm, scene.at, PAGES * PAGE, ASPEN_MS_SYNC),
        -ASPEN_EIO);
    assert_int_equal(
        aspen_msync(scene.s->mm, scene.at, PAGES * PAGE, ASPEN_MS_SYNC), 0);
    /* An error of sync's own was told by it. */
    write_all(&scene, 3);
    scene.store->error = -ASPEN_EIO;
    assert_int_equal(aspen_object_sync(scene.file, 0, ALL), -ASPEN_EIO);
    scene.store->error = 0;
    assert_int_equal(aspen_object_sync(scene.file, 0, ALL), 0);
    assert_int_equal(aspen_object_error(scene.file, &seen), -ASPEN_EIO);
    assert_all(&scene, 3);
    end(&scene);
}

/* Each step once, and from there on: a page that was not written stays. */
static void
test_every_step_fails(void **state)
{
    static const enum aspen_fail_mode modes[] = {ASPEN_FAIL_ONCE,
                                                 ASPEN_FAIL_ONWARD};
    struct scene scene = begin(*state);
    struct aspen_failpoint_counts counts;
    unsigned failed = 0;

    for (unsigned mode = 0; mode < 2; mode++) {
        uint64_t number = 1;
        do {
            struct aspen_failpoint_plan plan = {.number = number++,
                                                .mode = modes[mode]};
            write_all(&scene, (unsigned char)(number + mode));
            assert_int_equal(aspen_failpoints_set(scene.aspen, &plan), 0);
            aspen_reclaim(scene.aspen, ALL);
            aspen_failpoints_read(scene.aspen, &counts);
            assert_int_equal(aspen_failpoints_set(scene.aspen, NULL), 0);
            failed += counts.failed > 0;
            helper_assert_valid(&scene.s->helper);
            assert_all(&scene, (unsigned char)(number + mode));
        } while (counts.failed);
    }
    assert_true(failed >= 2);
    end(&scene);
}

/* A file larger than memory, all of it written through a mapping. */
static void
test_larger_than_memory(void **state)
{
    struct aspen_config config = helper_config(64);
    struct helper_space s;

    (void)state;
    config.overcommit = ASPEN_OVERCOMMIT_ALWAYS;
    helper_space_create(&s, &config);
    struct scene scene = begin(&s);
    write_all(&scene, 7);
    assert_all(&scene, 7);
    assert_true(helper_counts(scene.aspen).reclaim_written > 0);
    end(&scene);
    helper_space_destroy(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        helper_space_test(test_written_and_gone),
        helper_space_test(test_error_is_told_once),
        helper_space_test(test_every_step_fails),
        cmocka_unit_test(test_larger_than_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
