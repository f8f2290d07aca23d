/* SPDX-License-Identifier: MIT */
/*
 * The swap devices of ports/posix/swap, each as a device alone: what was
 * written comes back, and what fails is told.
 */
#define _GNU_SOURCE
#include "unit.h"

#include <aspen/aspen.h>
#include <aspen_posix_swap.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE  4096u
#define SLOTS 200u

static char folder[200];
static char why[300];

/* ---- A device --------------------------------------------------------- */

static struct aspen_posix_swap *
open_device(const char *name, uint32_t pages, struct aspen_swap_args *args)
{
    struct aspen_posix_swap *device;
    int error = aspen_posix_swap_open(name, pages, &device, why, sizeof(why));

    if (error == -ASPEN_EOPNOTSUPP)
        unit_skip("%s", why);
    if (error)
        fail_msg("%s: %s", name, why);
    memset(args, 0, sizeof(*args));
    aspen_posix_swap_area(device, args);
    assert_int_equal(args->pages, pages);
    assert_ptr_equal(args->context, device);
    return device;
}

static int
transfer(const struct aspen_swap_args *args, uint32_t slot, unsigned pages,
         bool write, char (*memory)[PAGE])
{
    void *pointers[ASPEN_SWAP_IO_PAGES];
    struct aspen_swap_io io = {slot, pages, write, pointers};

    /* Pages of a transfer stand anywhere. */
    for (unsigned i = 0; i < pages; i++)
        pointers[i] = memory[pages - 1 - i];
    return args->ops->transfer(args->context, &io);
}

static struct aspen_posix_swap_counters
counters_of(const struct aspen_posix_swap *device)
{
    struct aspen_posix_swap_counters counters;

    aspen_posix_swap_counters_read(device, &counters);
    return counters;
}

/* By turns one word, words that are alike, noise, and noise but for a half. */
static void
fill(char *page, uint32_t slot, unsigned version)
{
    uint64_t seed = (uint64_t)version << 32 | slot, words[PAGE / 8];

    for (unsigned i = 0; i < PAGE / 8; i++)
        switch (slot % 4) {
        case 0:
            words[i] = seed;
            break;
        case 1:
            words[i] = seed + i / 8;
            break;
        case 2:
            words[i] = unit_random(&seed);
            break;
        default:
            words[i] = i < PAGE / 16 ? unit_random(&seed) : i % 16;
        }
    memcpy(page, words, PAGE);
}

static char pages[ASPEN_SWAP_IO_PAGES][PAGE];

static void
write_slots(const struct aspen_swap_args *args, uint32_t slot, unsigned count,
            unsigned version)
{
    for (unsigned i = 0; i < count; i++)
        fill(pages[count - 1 - i], slot + i, version);
    assert_int_equal(transfer(args, slot, count, true, pages), 0);
}

static void
compare_slots(const struct aspen_swap_args *args, uint32_t slot, unsigned count,
              unsigned version)
{
    char expected[PAGE];

    memset(pages, 0x5a, sizeof(pages));
    assert_int_equal(transfer(args, slot, count, false, pages), 0);
    for (unsigned i = 0; i < count; i++) {
        fill(expected, slot + i, version);
        assert_memory_equal(pages[count - 1 - i], expected, PAGE);
    }
}

/* Written as a whole, in parts, and over what was there. */
static void
all_comes_back(const char *name)
{
    struct aspen_swap_args args;
    struct aspen_posix_swap *device = open_device(name, SLOTS, &args);
    uint64_t written = 0, read = 0;

    for (unsigned version = 1; version < 4; version++) {
        unsigned together = version == 1 ? 32 : version == 2 ? 1 : 7;
        for (uint32_t slot = 0; slot < SLOTS; slot += together) {
            unsigned count = slot + together <= SLOTS ? together : SLOTS - slot;
            write_slots(&args, slot, count, version);
            written += count;
        }
        for (uint32_t slot = 0; slot < SLOTS; slot += 5) {
            compare_slots(&args, slot, 5, version);
            read += 5;
        }
    }
    struct aspen_posix_swap_counters counters = counters_of(device);
    assert_int_equal(counters.pages_written, written);
    assert_int_equal(counters.pages_read, read);
    assert_int_equal(counters.failed, 0);
    args.ops->close(args.context);
}

static const char *
path_of(const char *name)
{
    static char path[300];

    snprintf(path, sizeof(path), "file:%s/%s", folder, name);
    return path;
}

static void
test_file(void **state)
{
    (void)state;
    all_comes_back(path_of("made"));
}

static void
test_memory(void **state)
{
    (void)state;
    all_comes_back("memory");
}

static void
test_lz4(void **state)
{
    (void)state;
    all_comes_back("lz4");
}

static void
test_zstd(void **state)
{
    (void)state;
    all_comes_back("zstd");
}

/* ---- Files ------------------------------------------------------------- */

static void
make(const char *name, size_t bytes)
{
    char path[300];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int descriptor = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_true(descriptor >= 0);
    assert_int_equal(ftruncate(descriptor, (off_t)bytes), 0);
    close(descriptor);
}

static off_t
size_of(const char *name)
{
    char path[300];
    struct stat found;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return stat(path, &found) == 0 ? found.st_size : -1;
}

/* Nothing has a name that would stay; what had one is empty afterwards. */
static void
test_file_stays_or_goes(void **state)
{
    struct aspen_swap_args args;
    (void)state;

    struct aspen_posix_swap *device =
        open_device(path_of("none"), SLOTS, &args);
    write_slots(&args, 0, 5, 1);
    assert_int_equal(size_of("none"), -1);
    aspen_posix_swap_close(device);

    make("there", 0);
    device = open_device(path_of("there"), SLOTS, &args);
    write_slots(&args, 0, 5, 1);
    assert_int_equal(size_of("there"), SLOTS * PAGE);
    aspen_posix_swap_close(device);
    assert_int_equal(size_of("there"), 0);
}

/* A read beyond the end is no zeroes. */
static void
test_file_that_is_cut(void **state)
{
    struct aspen_swap_args args;
    (void)state;

    make("cut", 0);
    struct aspen_posix_swap *device = open_device(path_of("cut"), SLOTS, &args);
    write_slots(&args, 0, 10, 1);
    make("cut", 5 * PAGE + PAGE / 2);
    assert_int_equal(transfer(&args, 5, 1, false, pages), -ASPEN_EIO);
    assert_int_equal(transfer(&args, 4, 3, false, pages), -ASPEN_EIO);
    assert_int_equal(counters_of(device).failed, 2);
    write_slots(&args, 5, 2, 2);
    compare_slots(&args, 5, 2, 2);
    aspen_posix_swap_close(device);
}

/* What does not fit fails, and harms nothing else. */
static void
test_file_that_is_full(void **state)
{
    struct aspen_swap_args args;
    struct rlimit before, less;
    (void)state;

    struct aspen_posix_swap *device =
        open_device(path_of("full"), SLOTS, &args);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    less = (struct rlimit){8 * PAGE + 100, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
    write_slots(&args, 0, 8, 1);
    int alone = transfer(&args, 8, 1, true, pages);
    int together = transfer(&args, 6, 4, true, pages);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(alone < 0);
    assert_true(together < 0);
    compare_slots(&args, 0, 6, 1);
    write_slots(&args, 6, 4, 2);
    compare_slots(&args, 6, 4, 2);
    aspen_posix_swap_close(device);
}

/* ---- Memory ------------------------------------------------------------ */

static void
test_memory_is_counted(void **state)
{
    struct aspen_swap_args args;
    struct aspen_posix_swap *device = open_device("memory", SLOTS, &args);
    struct aspen_posix_swap_counters empty = counters_of(device), full;
    (void)state;

    assert_true(empty.memory_bytes > 0);
    assert_int_equal(empty.kept_pages, 0);
    write_slots(&args, 0, 32, 1);
    full = counters_of(device);
    assert_int_equal(full.kept_pages, 32);
    assert_int_equal(full.same_pages, 8);
    assert_int_equal(full.whole_pages, 24);
    assert_in_range(full.memory_bytes, empty.memory_bytes + 24 * PAGE,
                    empty.memory_bytes + 24 * (PAGE + 64));
    memset(pages, 0, sizeof(pages));
    assert_int_equal(transfer(&args, 0, 32, true, pages), 0);
    full = counters_of(device);
    assert_int_equal(full.same_pages, 32);
    assert_int_equal(full.memory_bytes, empty.memory_bytes);
    aspen_posix_swap_close(device);
}

/* What is smaller, what is kept as it is, and what gets free again. */
static void
compressed_is_counted(const char *name)
{
    struct aspen_swap_args args;
    struct aspen_posix_swap *device = open_device(name, SLOTS, &args);
    struct aspen_posix_swap_counters empty = counters_of(device), full;

    write_slots(&args, 0, 32, 1);
    full = counters_of(device);
    assert_int_equal(full.same_pages, 8);
    assert_int_equal(full.whole_pages, 8);
    print_message("%s: %u bytes for 32 pages\n", name,
                  (unsigned)(full.memory_bytes - empty.memory_bytes));
    assert_in_range(full.memory_bytes, empty.memory_bytes + 8 * PAGE,
                    empty.memory_bytes + 18 * PAGE);
    compare_slots(&args, 0, 32, 1);
    memset(pages, 0, sizeof(pages));
    assert_int_equal(transfer(&args, 0, 32, true, pages), 0);
    full = counters_of(device);
    assert_int_equal(full.whole_pages, 0);
    assert_int_equal(full.memory_bytes, empty.memory_bytes);
    write_slots(&args, 0, 32, 1);
    for (uint32_t i = 0; i < 32; i++)
        args.ops->discard(args.context, i);
    full = counters_of(device);
    assert_int_equal(full.kept_pages, 0);
    assert_int_equal(full.memory_bytes, empty.memory_bytes);
    assert_true(transfer(&args, 5, 1, false, pages) < 0);
    aspen_posix_swap_close(device);
}

static void
test_compressed_is_counted(void **state)
{
    (void)state;
    compressed_is_counted("lz4");
    compressed_is_counted("zstd");
}

/* Each thread has slots of its own. */
struct writer {
    const struct aspen_swap_args *args;
    uint32_t next; /* atomic */
};

static void *
write_and_compare(void *argument)
{
    struct writer *writer = argument;
    uint32_t first =
        __atomic_fetch_add(&writer->next, SLOTS / 4, __ATOMIC_RELAXED);
    char page[PAGE], expected[PAGE];
    void *pointers[1] = {page};

    for (unsigned i = 0; i < unit_rounds(2000); i++) {
        struct aspen_swap_io io = {first + i % (SLOTS / 4), 1, true, pointers};
        fill(expected, io.slot, i);
        memcpy(page, expected, PAGE);
        assert_int_equal(
            writer->args->ops->transfer(writer->args->context, &io), 0);
        memset(page, 0, PAGE);
        io.write = false;
        assert_int_equal(
            writer->args->ops->transfer(writer->args->context, &io), 0);
        assert_memory_equal(page, expected, PAGE);
    }
    return NULL;
}

static void
test_compressed_threads(void **state)
{
    static const char *const names[] = {"lz4", "zstd"};
    struct aspen_swap_args args;
    (void)state;

    for (unsigned i = 0; i < 2; i++) {
        struct aspen_posix_swap *device = open_device(names[i], SLOTS, &args);
        struct writer writer = {.args = &args};
        unit_run_threads(4, write_and_compare, &writer);
        struct aspen_posix_swap_counters counters = counters_of(device);
        assert_int_equal(counters.kept_pages, SLOTS);
        assert_int_equal(counters.same_pages, SLOTS / 4);
        assert_int_equal(counters.whole_pages, SLOTS / 4);
        aspen_posix_swap_close(device);
    }
}

/* Words that are the same but for the last, or the first. */
static void
test_nearly_same(void **state)
{
    static const unsigned places[] = {0, 7, 8, PAGE / 2, PAGE - 8, PAGE - 1};
    struct aspen_swap_args args;
    struct aspen_posix_swap *device = open_device("memory", SLOTS, &args);
    (void)state;

    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        char expected[PAGE];
        memset(pages[0], 7, PAGE);
        pages[0][places[i]] = 8;
        memcpy(expected, pages[0], PAGE);
        assert_int_equal(transfer(&args, 3, 1, true, pages), 0);
        memset(pages[0], 0, PAGE);
        assert_int_equal(transfer(&args, 3, 1, false, pages), 0);
        assert_memory_equal(pages[0], expected, PAGE);
        assert_int_equal(counters_of(device).same_pages, 0);
    }
    aspen_posix_swap_close(device);
}

static void
test_never_written(void **state)
{
    struct aspen_swap_args args;
    struct aspen_posix_swap *device = open_device("memory", SLOTS, &args);
    (void)state;

    assert_int_equal(transfer(&args, 3, 1, false, pages), -ASPEN_EIO);
    aspen_posix_swap_close(device);
}

/* ---- Refusals --------------------------------------------------------- */

static void
refused(const char *name, uint32_t count, int error, const char *word)
{
    struct aspen_posix_swap *device = NULL;

    why[0] = '\0';
    assert_int_equal(
        aspen_posix_swap_open(name, count, &device, why, sizeof(why)), error);
    if (!strstr(why, word))
        fail_msg("%s: '%s' does not say '%s'", name, why, word);
}

static void
test_refusals(void **state)
{
    (void)state;

    refused("nothing", 1, -ASPEN_EINVAL, "'nothing'");
    refused("", 1, -ASPEN_EINVAL, "''");
    refused("file", 1, -ASPEN_EINVAL, "file lacks its :PATH");
    refused("file:", 1, -ASPEN_EINVAL, "file lacks its :PATH");
    refused("files:x", 1, -ASPEN_EINVAL, "'files:x'");
    refused("memory:x", 1, -ASPEN_EINVAL, "'memory:x'");
    refused("memory", 0, -ASPEN_EINVAL, "without a page");
    make("something", 1);
    refused(path_of("something"), 1, -ASPEN_EINVAL, "something is not empty");
    assert_int_equal(size_of("something"), 1);
    refused(path_of("no/where"), 1, -ASPEN_ENOENT, "No such file");
    assert_int_equal(mkdir(path_of("folder") + 5, 0700), 0);
    refused(path_of("folder"), 1, -ASPEN_EINVAL, "no file or block device");
    assert_int_equal(rmdir(path_of("folder") + 5), 0);
}

/* As an area of a machine, it goes with that. */
static void
test_area(void **state)
{
    static char memory[64 * PAGE];
    struct aspen_config config;
    struct aspen_swap_args args;
    struct aspen *aspen;
    unsigned type;
    (void)state;

    aspen_config_init(&config);
    config.frames = 64;
    config.direct_map = memory;
    assert_int_equal(aspen_create(&config, &aspen), 0);
    (void)open_device("memory", SLOTS, &args);
    assert_int_equal(aspen_swap_add(aspen, &args, &type), 0);
    (void)open_device(path_of("area"), SLOTS, &args);
    assert_int_equal(aspen_swap_add(aspen, &args, &type), 0);
    assert_int_equal(aspen_swap_remove(aspen, type), 0);
    assert_int_equal(aspen_destroy(aspen), 0);
}

static int
begin(void **state)
{
    const char *temporary = getenv("TMPDIR");
    (void)state;

    snprintf(folder, sizeof(folder), "%s/aspen-swap-XXXXXX",
             temporary ? temporary : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int
end(void **state)
{
    static const char *const names[] = {"there", "cut", "something"};
    (void)state;

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(path_of(names[i]) + 5);
    return rmdir(folder);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_memory_is_counted),
        cmocka_unit_test(test_nearly_same),
        cmocka_unit_test(test_never_written),
        cmocka_unit_test(test_lz4),
        cmocka_unit_test(test_zstd),
        cmocka_unit_test(test_compressed_is_counted),
        cmocka_unit_test(test_compressed_threads),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_file_stays_or_goes),
        cmocka_unit_test(test_file_that_is_cut),
        cmocka_unit_test(test_file_that_is_full),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_area),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
