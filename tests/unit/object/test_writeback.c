/* SPDX-License-Identifier: MIT */
/*
 * Pagers: which pages they are asked for and when, what they are given to
 * write, and that nothing is lost when one of their hooks fails, at any call,
 * once or from there on.
 */
#include "helper.h"

#include "object/page_cache.h"

#define AT(page) ((uint64_t)(page)*PAGE)
#define SHARED   ASPEN_VM_SHARED
#define PAGES    64u

enum hook { READ, READAHEAD, WRITE, MKWRITE, RESIZE, PUNCH, OPEN, HOOKS };

/* A store with hooks that count, and fail when they are told to. */
struct store {
    unsigned char bytes[PAGES * 4096];
    uint64_t calls[HOOKS];
    uint64_t fail_at; /* the n-th call of `hook`, or 0 */
    bool onward;
    enum hook hook;
    uint64_t last_pgoff;
    uint64_t last_count; /* pages, or bytes */
};

static int
called(struct store *store, enum hook hook)
{
    uint64_t call = ++store->calls[hook];
    bool fails =
        store->fail_at && store->hook == hook &&
        (store->onward ? call >= store->fail_at : call == store->fail_at);
    return fails ? -ASPEN_ENOSPC : 0;
}

static int
store_read(void *context, uint64_t offset_bytes, void *page)
{
    struct store *store = context;
    int error = called(store, READ);

    memcpy(page, store->bytes + offset_bytes, PAGE);
    return error;
}

static int
store_readahead(void *context, uint64_t offset_bytes, void *const pages[],
                unsigned count)
{
    struct store *store = context;
    int error = called(store, READAHEAD);

    store->last_pgoff = offset_bytes / PAGE;
    store->last_count = count;
    for (unsigned i = 0; i < count; i++)
        memcpy(pages[i], store->bytes + offset_bytes + i * PAGE, PAGE);
    return error;
}

static int
store_write(void *context, uint64_t offset_bytes, const void *const pages[],
            uint64_t bytes)
{
    struct store *store = context;
    int error = called(store, WRITE);

    store->last_pgoff = offset_bytes / PAGE;
    store->last_count = bytes;
    if (error)
        return error;
    for (unsigned i = 0; bytes; i++) {
        uint64_t part = bytes < PAGE ? bytes : PAGE;
        memcpy(store->bytes + offset_bytes + i * PAGE, pages[i], part);
        bytes -= part;
    }
    return 0;
}

static int
store_mkwrite(void *context, uint64_t offset_bytes)
{
    struct store *store = context;

    store->last_pgoff = offset_bytes / PAGE;
    return called(store, MKWRITE);
}

static int
store_resize(void *context, uint64_t size_bytes)
{
    (void)size_bytes;
    return called(context, RESIZE);
}

static int
store_punch(void *context, uint64_t offset_bytes, uint64_t length_bytes)
{
    struct store *store = context;
    int error = called(store, PUNCH);

    if (!error)
        memset(store->bytes + offset_bytes, 0, length_bytes);
    return error;
}

static int
store_open(void *context, struct aspen_vma *vma)
{
    (void)vma;
    return called(context, OPEN);
}

static const struct aspen_pager_ops store_ops = {
    .read = store_read,
    .readahead = store_readahead,
    .write = store_write,
    .mkwrite = store_mkwrite,
    .resize = store_resize,
    .punch = store_punch,
    .open = store_open,
};

struct scene {
    struct helper helper;
    struct aspen_mm *mm;
    struct store store;
    struct aspen_object *file;
};

static int
setup(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));

    helper_create(&s->helper, NULL);
    s->mm = helper_mm(&s->helper);
    for (size_t i = 0; i < sizeof(s->store.bytes); i++)
        s->store.bytes[i] = (unsigned char)(1 + i / PAGE);
    s->file = helper_object(&s->helper, ASPEN_OBJECT_FILE, PAGES, &store_ops,
                            &s->store);
    helper_map_object(s->mm, AT(100), PAGES, RW | SHARED, s->file, 0);
    *state = s;
    return 0;
}

static int
teardown(void **state)
{
    struct scene *s = *state;

    helper_assert_valid(&s->helper);
    aspen_mm_put(s->mm);
    aspen_object_put(s->file);
    helper_destroy(&s->helper);
    free(s);
    return 0;
}

static int
get(struct scene *s, uint64_t page, uint8_t *byte)
{
    return helper_read(&s->helper, s->mm, AT(100 + page), byte, 1);
}

static int
put(struct scene *s, uint64_t page, uint8_t byte)
{
    return helper_write(&s->helper, s->mm, AT(100 + page), &byte, 1);
}

/* ---- Dirt -------------------------------------------------------------- */

static void
test_written_once(void **state)
{
    struct scene *s = *state;

    assert_int_equal(put(s, 3, 77), 0);
    assert_int_equal(s->store.calls[MKWRITE], 1);
    assert_int_equal(put(s, 3, 78), 0);
    assert_int_equal(s->store.calls[MKWRITE], 1);
    assert_int_equal(s->store.bytes[AT(3)], 4);
    assert_int_equal(aspen_object_sync(s->file, 0, UINT64_MAX), 0);
    assert_int_equal(s->store.calls[WRITE], 1);
    assert_int_equal(s->store.last_count, PAGE);
    assert_int_equal(s->store.bytes[AT(3)], 78);
    assert_int_equal(aspen_object_sync(s->file, 0, UINT64_MAX), 0);
    assert_int_equal(s->store.calls[WRITE], 1);
}

/* Every mapping loses its write access, and the next write is noticed. */
static void
test_clean_is_read_only(void **state)
{
    struct scene *s = *state;
    struct aspen_mm *child;

    assert_int_equal(put(s, 3, 77), 0);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    helper_put(&s->helper, child, AT(103), 78);
    assert_true(helper_can_write(s->mm, AT(103)));
    assert_true(helper_can_write(child, AT(103)));
    assert_int_equal(aspen_object_sync(s->file, AT(3), 1), 0);
    assert_false(helper_can_write(s->mm, AT(103)));
    assert_false(helper_can_write(child, AT(103)));
    helper_put(&s->helper, child, AT(103), 79);
    assert_int_equal(put(s, 3, 80), 0);
    assert_int_equal(s->store.calls[MKWRITE], 2);
    assert_int_equal(aspen_object_sync(s->file, AT(3), 1), 0);
    assert_int_equal(s->store.bytes[AT(3)], 80);
    aspen_mm_put(child);
}

/* The validator sees a clean page that could be written unnoticed. */
static void
test_validator_knows(void **state)
{
    struct scene *s = *state;
    struct aspen_finding finding = {0};
    struct aspen_slot slot;

    assert_int_equal(put(s, 3, 77), 0);
    assert_int_equal(aspen_object_sync(s->file, AT(3), 1), 0);
    uint64_t entry = aspen_table_walk(s->mm, AT(103), &slot);
    *slot.entry = aspen_entry_set_bits(entry, ASPEN_ENTRY_WRITE);
    assert_int_not_equal(aspen_validate(s->helper.aspen, &finding), 0);
    assert_non_null(strstr(finding.text, "miss a write"));
    *slot.entry = entry;
}

/* A read does not make a page dirty, also not one that could write. */
static void
test_reads_are_not_written(void **state)
{
    struct scene *s = *state;
    uint8_t byte;

    assert_int_equal(get(s, 3, &byte), 0);
    assert_int_equal(byte, 4);
    assert_false(helper_can_write(s->mm, AT(103)));
    assert_int_equal(aspen_object_sync(s->file, 0, UINT64_MAX), 0);
    assert_int_equal(s->store.calls[WRITE], 0);
}

/* What is unmapped dirty is written by a later round. */
static void
test_unmapped_dirty(void **state)
{
    struct scene *s = *state;

    assert_int_equal(put(s, 3, 77), 0);
    helper_unmap(s->mm, AT(100), PAGES);
    assert_int_equal(aspen_object_sync(s->file, 0, UINT64_MAX), 0);
    assert_int_equal(s->store.bytes[AT(3)], 77);
}

/* The last reference writes. */
static void
test_last_reference_writes(void **state)
{
    struct scene *s = *state;
    struct aspen_object *file = helper_object(&s->helper, ASPEN_OBJECT_FILE,
                                              PAGES, &store_ops, &s->store);

    helper_map_object(s->mm, AT(300), PAGES, RW | SHARED, file, 0);
    aspen_object_put(file);
    helper_put(&s->helper, s->mm, AT(305), 66);
    helper_unmap(s->mm, AT(300), PAGES);
    assert_int_equal(s->store.bytes[AT(5)], 66);
}

static void
test_clusters(void **state)
{
    struct scene *s = *state;

    for (unsigned page = 10; page < 50; page++)
        assert_int_equal(put(s, page, (uint8_t)(page + 100)), 0);
    assert_int_equal(put(s, 60, 9), 0);
    assert_int_equal(put(s, 63, 9), 0);
    assert_int_equal(aspen_object_resize(s->file, AT(63) + 10), 0);
    assert_int_equal(aspen_object_sync(s->file, 0, UINT64_MAX), 0);
    /* 32 and 8, one, and a part of one. */
    assert_int_equal(s->store.calls[WRITE], 4);
    assert_int_equal(s->store.last_pgoff, 63);
    assert_int_equal(s->store.last_count, 10);
    for (unsigned page = 10; page < 50; page++)
        assert_int_equal(s->store.bytes[AT(page)], page + 100);
    assert_int_equal(s->store.bytes[AT(63) + 10], 64);
}

/* ---- Reading ahead ----------------------------------------------------- */

static void
test_readahead_grows(void **state)
{
    static const unsigned misses[] = {0, 4, 12, 28, 60};
    static const unsigned counts[] = {4, 8, 16, 32, 4};
    struct scene *s = *state;
    uint8_t byte;

    for (unsigned page = 0; page < PAGES; page++) {
        assert_int_equal(get(s, page, &byte), 0);
        assert_int_equal(byte, page + 1);
        for (unsigned i = 0; i < 5; i++)
            if (misses[i] == page) {
                assert_int_equal(s->store.calls[READAHEAD], i + 1);
                assert_int_equal(s->store.last_pgoff, page);
                assert_int_equal(s->store.last_count, counts[i]);
            }
    }
    assert_int_equal(s->store.calls[READAHEAD], 5);
    assert_int_equal(s->store.calls[READ], 0);
}

static void
test_readahead_as_advised(void **state)
{
    struct scene *s = *state;

    helper_map_object(s->mm, AT(200), PAGES, R | ASPEN_VM_RAND_READ, s->file,
                      0);
    helper_map_object(s->mm, AT(300), PAGES, R | ASPEN_VM_SEQ_READ, s->file, 0);
    helper_get(&s->helper, s->mm, AT(207));
    assert_int_equal(s->store.calls[READ], 1);
    assert_int_equal(s->store.calls[READAHEAD], 0);
    helper_get(&s->helper, s->mm, AT(320));
    assert_int_equal(s->store.calls[READAHEAD], 1);
    assert_int_equal(s->store.last_count, 32);
    /* Up to a page that is there. */
    helper_get(&s->helper, s->mm, AT(305));
    assert_int_equal(s->store.calls[READ], 1);
    assert_int_equal(s->store.last_count, 2);
}

static int
read_nothing(void *context, uint64_t offset_bytes, void *page)
{
    (void)offset_bytes;
    (void)page;
    ++*(unsigned *)context;
    return 0;
}

/* Not all of a large file. */
static void
test_willneed_bounded(void **state)
{
    static const struct aspen_pager_ops ops = {.read = read_nothing};
    struct scene *s = *state;
    unsigned reads = 0;

    struct aspen_object *large =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 600, &ops, &reads);
    uint64_t at = helper_map_object(s->mm, AT(1000), 600, R, large, 0);
    assert_int_equal(aspen_madvise(s->mm, at, 100 * PAGE, ASPEN_MADV_WILLNEED),
                     0);
    assert_int_equal(reads, 100);
    assert_int_equal(aspen_madvise(s->mm, at, 600 * PAGE, ASPEN_MADV_WILLNEED),
                     0);
    assert_int_equal(reads, 320);
    helper_unmap(s->mm, at, 600);
    aspen_object_put(large);
}

/* ---- Neighbours -------------------------------------------------------- */

static void
test_cached_neighbours_are_mapped(void **state)
{
    struct scene *s = *state;
    struct aspen_mm_counters before, after;
    uint8_t byte;

    for (unsigned page = 0; page < 28; page++)
        assert_int_equal(get(s, page, &byte), 0);
    assert_int_equal(aspen_object_punch(s->file, AT(20), PAGE), 0);
    helper_map_object(s->mm, AT(403), 40, RW, s->file, 3);
    aspen_mm_counters_read(s->mm, &before);
    helper_get(&s->helper, s->mm, AT(405));
    /* The window is [400, 416), the mapping starts at 403. */
    for (unsigned page = 403; page < 416; page++) {
        assert_true(helper_can_read(s->mm, AT(page)));
        assert_false(helper_can_write(s->mm, AT(page)));
    }
    assert_false(helper_can_read(s->mm, AT(416)));
    aspen_mm_counters_read(s->mm, &after);
    assert_int_equal(after.file_pages - before.file_pages, 13);
    /* What is not cached stays away; a write maps its page alone. */
    helper_get(&s->helper, s->mm, AT(418));
    assert_true(helper_can_read(s->mm, AT(427)));
    assert_false(helper_can_read(s->mm, AT(420)));
    assert_false(helper_can_read(s->mm, AT(428)));
    helper_map_object(s->mm, AT(500), 16, RW | SHARED, s->file, 0);
    helper_put(&s->helper, s->mm, AT(501), 1);
    assert_false(helper_can_read(s->mm, AT(500)));
    assert_int_equal(helper_get(&s->helper, s->mm, AT(413)), 14);
}

/* ---- msync ------------------------------------------------------------- */

static void
test_msync(void **state)
{
    struct scene *s = *state;
    const unsigned sync = ASPEN_MS_SYNC;

    helper_unmap(s->mm, AT(105), 1);
    assert_int_equal(put(s, 3, 77), 0);
    assert_int_equal(put(s, 8, 78), 0);
    assert_int_equal(aspen_msync(s->mm, AT(100) + 1, PAGE, sync),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_msync(s->mm, AT(100), PAGE, 8), -ASPEN_EINVAL);
    assert_int_equal(aspen_msync(s->mm, AT(100), PAGE, sync | ASPEN_MS_ASYNC),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_msync(s->mm, AT(100), 0, sync), 0);
    assert_int_equal(aspen_msync(s->mm, AT(100), AT(5), ASPEN_MS_ASYNC), 0);
    assert_int_equal(s->store.calls[WRITE], 0);
    assert_int_equal(aspen_msync(s->mm, AT(100), AT(5), sync), 0);
    assert_int_equal(s->store.bytes[AT(3)], 77);
    assert_int_equal(s->store.bytes[AT(8)], 9);
    assert_int_equal(aspen_msync(s->mm, AT(100), AT(20), ASPEN_MS_ASYNC),
                     -ASPEN_ENOMEM);
    /* A hole is told after the rest is done. */
    assert_int_equal(aspen_msync(s->mm, AT(100), AT(20), sync), -ASPEN_ENOMEM);
    assert_int_equal(s->store.bytes[AT(8)], 78);
    assert_int_equal(aspen_msync(s->mm, AT(5000), PAGE, sync), -ASPEN_ENOMEM);
    assert_int_equal(aspen_mlock(s->mm, AT(110), PAGE, ASPEN_MLOCK_ONFAULT), 0);
    assert_int_equal(aspen_msync(s->mm, AT(106), AT(6), ASPEN_MS_INVALIDATE),
                     -ASPEN_EBUSY);
    assert_int_equal(aspen_msync(s->mm, AT(106), AT(4), ASPEN_MS_INVALIDATE),
                     0);
}

/* A driver has nothing that it could write back, and says so to who could have
 * written something. */
static void
test_msync_device(void **state)
{
    struct scene *s = *state;
    const uint64_t shared = R | ASPEN_VM_SHARED;
    struct aspen_object *device =
        helper_new_object(s->helper.aspen, ASPEN_OBJECT_DEVICE, AT(4));

    helper_map_object(s->mm, AT(600), 1, shared, device, 0);
    helper_map_object(s->mm, AT(601), 1, shared | ASPEN_VM_MAYREAD, device, 1);
    helper_map_object(s->mm, AT(602), 1, RW, device, 2);
    assert_int_equal(aspen_msync(s->mm, AT(600), AT(3), ASPEN_MS_SYNC),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_msync(s->mm, AT(600), AT(3), ASPEN_MS_ASYNC), 0);
    assert_int_equal(aspen_msync(s->mm, AT(601), AT(2), ASPEN_MS_SYNC), 0);
    helper_unmap(s->mm, AT(600), 3);
    aspen_object_put(device);
}

/* ---- Bytes ------------------------------------------------------------- */

static void
test_bytes(void **state)
{
    struct scene *s = *state;
    unsigned char bytes[3 * 4096];
    uint64_t done;

    memset(bytes, 0xee, sizeof(bytes));
    assert_int_equal(
        aspen_object_write(s->file, AT(3) - 5, bytes, PAGE + 10, &done), 0);
    assert_int_equal(done, PAGE + 10);
    uint8_t byte;
    assert_int_equal(get(s, 3, &byte), 0);
    assert_int_equal(byte, 0xee);
    assert_int_equal(
        aspen_object_read(s->file, AT(PAGES) - 10, bytes, PAGE, &done), 0);
    assert_int_equal(done, 10);
    assert_int_equal(aspen_object_write(s->file, AT(PAGES), bytes, PAGE, &done),
                     0);
    assert_int_equal(done, 0);
    assert_int_equal(aspen_object_sync(s->file, 0, UINT64_MAX), 0);
    assert_int_equal(s->store.bytes[AT(3) - 6], 3);
    assert_int_equal(s->store.bytes[AT(3) - 5], 0xee);
    assert_int_equal(s->store.bytes[AT(4) + 4], 0xee);
    assert_int_equal(s->store.bytes[AT(4) + 5], 5);
}

/* ---- Every hook fails -------------------------------------------------- */

/* What the file should hold after the script, as far as it got. */
struct script {
    struct scene *s;
    unsigned char expected[PAGES * 4096];
    uint64_t size;
    unsigned errors;
};

static bool
good(struct script *script, int error)
{
    assert_true(error == 0 || error == -ASPEN_ENOSPC);
    script->errors += error != 0;
    return error == 0;
}

static void
run_script(struct script *script)
{
    struct scene *s = script->s;
    struct aspen_mm *child;
    uint8_t byte;

    for (unsigned page = 2; page < 40; page += 3)
        if (good(script, put(s, page, (uint8_t)(200 - page))))
            script->expected[AT(page)] = (unsigned char)(200 - page);
    good(script, aspen_object_sync(s->file, 0, AT(20)));
    for (unsigned page = 0; page < 40; page++)
        if (good(script, get(s, page, &byte)))
            assert_int_equal(byte, script->expected[AT(page)]);
    if (good(script, aspen_object_punch(s->file, AT(5), AT(2))))
        memset(script->expected + AT(5), 0, AT(2));
    if (good(script, aspen_object_resize(s->file, AT(30))))
        script->size = AT(30);
    for (unsigned page = 1; page < 30; page += 5)
        if (good(script, put(s, page, (uint8_t)(100 + page))))
            script->expected[AT(page)] = (unsigned char)(100 + page);
    if (good(script, aspen_fork(s->mm, &child)))
        aspen_mm_put(child);
    good(script, aspen_msync(s->mm, AT(100), AT(20), ASPEN_MS_SYNC));
    helper_assert_valid(&s->helper);
}

/* Afterwards nothing is lost: all that went well is there. */
static void
check_script(struct script *script)
{
    struct scene *s = script->s;
    uint8_t byte;

    s->store.fail_at = 0;
    assert_int_equal(aspen_object_size(s->file), script->size);
    for (unsigned page = 0; page < script->size / PAGE; page++) {
        assert_int_equal(get(s, page, &byte), 0);
        assert_int_equal(byte, script->expected[AT(page)]);
    }
    assert_int_equal(aspen_object_sync(s->file, 0, UINT64_MAX), 0);
    assert_memory_equal(s->store.bytes, script->expected, script->size);
}

/* Has the hook fewer calls than that? Then it did not fail. */
static bool
fail_once(enum hook hook, uint64_t number, bool onward)
{
    static struct script script;
    void *state;

    setup(&state);
    struct scene *s = state;
    script = (struct script){.s = s, .size = AT(PAGES)};
    memcpy(script.expected, s->store.bytes, sizeof(script.expected));
    s->store.calls[hook] = 0;
    s->store.hook = hook;
    s->store.fail_at = number;
    s->store.onward = onward;
    run_script(&script);
    bool failed = s->store.calls[hook] >= number;
    check_script(&script);
    /* Who fails to read ahead is asked for the page itself. */
    assert_true(hook == READAHEAD || !failed || script.errors > 0);
    assert_true(hook != READAHEAD || script.errors == 0);
    teardown(&state);
    return !failed;
}

static void
test_every_hook_fails(void **state)
{
    unsigned failures = 0;
    (void)state;

    for (unsigned hook = 0; hook < HOOKS; hook++)
        for (unsigned onward = 0; onward < 2; onward++) {
            uint64_t number = 1;
            while (!fail_once((enum hook)hook, number, onward))
                number++;
            failures += (unsigned)number - 1;
            /* Pages are read one by one only if reading ahead fails. */
            assert_true(hook == READ || number > 1);
        }
    print_message("%u failures of hooks\n", failures);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_written_once),
        TEST(test_clean_is_read_only),
        TEST(test_validator_knows),
        TEST(test_reads_are_not_written),
        TEST(test_unmapped_dirty),
        TEST(test_last_reference_writes),
        TEST(test_clusters),
        TEST(test_readahead_grows),
        TEST(test_readahead_as_advised),
        TEST(test_willneed_bounded),
        TEST(test_cached_neighbours_are_mapped),
        TEST(test_msync),
        TEST(test_msync_device),
        TEST(test_bytes),
        cmocka_unit_test(test_every_hook_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
