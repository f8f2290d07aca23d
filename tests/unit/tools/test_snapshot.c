/* SPDX-License-Identifier: MIT */
/*
 * test_snapshot.c - the model of a snapshot and its file format: what goes in
 * comes out, and nothing but a whole, unchanged file is taken.
 */
#define _GNU_SOURCE
#include "snapshot/snapshot.h"

#include <aspen/flags.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAP "rd wr mr mw me ac"

/* --- making some --------------------------------------------------------- */

static uint32_t
text(struct snapshot *snapshot, const char *string)
{
    return snapshot_string(snapshot, string, strlen(string));
}

static void
add_area(struct snapshot *snapshot, uint64_t start, uint64_t pages,
         const char *flags, const char *path, uint32_t object)
{
    struct snapshot_vma vma = {
        .start = start,
        .end = start + pages * 4096,
        .permissions = SNAPSHOT_PERM_READ | SNAPSHOT_PERM_WRITE,
        .page_shift = 12,
        .object = object,
        .rss_pages = 7,
        .swap_pages = 1,
    };

    vma.vm_flags = text(snapshot, flags);
    vma.path = text(snapshot, path);
    vma.flags = snapshot_vma_flags(snapshot, &vma);
    assert_non_null(snapshot_add_vma(snapshot, &vma));
}

static void
add_run(struct snapshot *snapshot, uint64_t address, uint64_t count,
        unsigned level, enum snapshot_kind kind, uint64_t value)
{
    assert_int_equal(
        snapshot_add_run(snapshot, address, count, level, kind, value), 0);
}

/* Small, with a bit of everything. */
static void
make_sample(struct snapshot *snapshot)
{
    uint32_t file;

    assert_int_equal(snapshot_init(snapshot), 0);
    snapshot->name = text(snapshot, "sample");
    snapshot->release = text(snapshot, "6.18.0");
    snapshot->ambiguous = 3;
    snapshot->assumed = 4;
    snapshot->unread = 5;
    snapshot->torn = true;
    snapshot->counters[SNAPSHOT_VM_PTE] = 44;
    file = snapshot_object(snapshot, 0xfe00000001, 42, SNAPSHOT_OBJECT_FILE);
    add_area(snapshot, 0x10000, 16, "rd mr mw me", "/secret/file", file);
    add_run(snapshot, 0x11000, 3, 0, SNAPSHOT_OBJECT, 0);
    add_area(snapshot, 0x40000000, 2048, HEAP " hg", "", SNAPSHOT_NO_OBJECT);
    add_run(snapshot, 0x40000000, 2, 1, SNAPSHOT_ANON, 0);
    add_run(snapshot, 0x40400000, 5, 0, SNAPSHOT_SWAP,
            snapshot_swap_value(2, 9));
    add_run(snapshot, 0x40405000, 1, 0, SNAPSHOT_SWAP, SNAPSHOT_NO_SLOT);
    add_run(snapshot, 0x40406000, 1, 0, SNAPSHOT_GUARD, 0);
}

static void
encode(const struct snapshot *snapshot, struct tool_buffer *buffer)
{
    memset(buffer, 0, sizeof(*buffer));
    assert_int_equal(snapshot_encode(snapshot, buffer), 0);
}

/* Parse from memory of exactly that length, so that ASan sees a byte more. */
static int
parse(struct snapshot *snapshot, const uint8_t *bytes, size_t length,
      struct tool_error *error)
{
    uint8_t *exact = malloc(length > 0 ? length : 1);
    int result;

    assert_non_null(exact);
    memcpy(exact, bytes, length);
    result = snapshot_parse(snapshot, exact, length, "file", error);
    free(exact);
    return result;
}

/* Give a changed payload its right length and checksum again. */
static void
seal(uint8_t *bytes, size_t length)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (unsigned i = 0; i < 8; i++)
        bytes[16 + i] = (uint8_t)((length - 32) >> (8 * i));
    for (size_t i = 0; i < length; i++)
        if (i < 24 || i >= 32)
            hash = (hash ^ bytes[i]) * 0x100000001b3u;
    for (unsigned i = 0; i < 8; i++)
        bytes[24 + i] = (uint8_t)(hash >> (8 * i));
}

/* --- the model ----------------------------------------------------------- */

static void
test_runs_join(void **state)
{
    struct snapshot snapshot;

    (void)state;
    assert_int_equal(snapshot_init(&snapshot), 0);
    add_area(&snapshot, 0x10000, 64, HEAP, "", SNAPSHOT_NO_OBJECT);
    add_run(&snapshot, 0x10000, 2, 0, SNAPSHOT_ANON, 0);
    add_run(&snapshot, 0x12000, 1, 0, SNAPSHOT_ANON, 0);
    assert_int_equal(snapshot.run_count, 1);
    add_run(&snapshot, 0x13000, 1, 0, SNAPSHOT_ZERO, 0);
    add_run(&snapshot, 0x15000, 1, 0, SNAPSHOT_ZERO, 0);
    assert_int_equal(snapshot.run_count, 3);
    add_run(&snapshot, 0x16000, 4, 0, SNAPSHOT_SWAP, snapshot_swap_value(1, 5));
    add_run(&snapshot, 0x1a000, 1, 0, SNAPSHOT_SWAP, snapshot_swap_value(1, 9));
    assert_int_equal(snapshot.run_count, 4);
    assert_int_equal(snapshot.runs[3].count, 5);
    add_run(&snapshot, 0x1b000, 1, 0, SNAPSHOT_SWAP, snapshot_swap_value(1, 9));
    assert_int_equal(snapshot.run_count, 5);
    add_run(&snapshot, 0x1c000, 2, 0, SNAPSHOT_RAW, 100);
    add_run(&snapshot, 0x1e000, 1, 0, SNAPSHOT_RAW, 102);
    add_run(&snapshot, 0x1f000, 1, 0, SNAPSHOT_RAW, 100);
    assert_int_equal(snapshot.run_count, 7);
    snapshot_free(&snapshot);
}

static void
test_flags(void **state)
{
    uint64_t flags;

    (void)state;
    flags = snapshot_flags(SNAPSHOT_PERM_READ,
                           "rd mr mw me gd dc wf lo ac nr mg hg zz um");
    assert_int_equal(
        flags, ASPEN_VM_READ | ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE |
                   ASPEN_VM_MAYEXEC | ASPEN_VM_GROWSDOWN | ASPEN_VM_DONTCOPY |
                   ASPEN_VM_WIPEONFORK | ASPEN_VM_LOCKED | ASPEN_VM_ACCOUNT |
                   ASPEN_VM_NORESERVE | ASPEN_VM_MERGEABLE | ASPEN_VM_HUGEPAGE |
                   ASPEN_VM_UFFD_MISSING);
    /* The first column rules; without VmFlags it is all there is. */
    assert_int_equal(snapshot_flags(SNAPSHOT_PERM_WRITE, ""),
                     ASPEN_VM_WRITE | ASPEN_VM_MAYWRITE);
    assert_true(snapshot_has_flag("rd mr", "mr"));
    assert_false(snapshot_has_flag("rdmr", "mr"));
    assert_false(snapshot_has_flag("", "mr"));
}

static void
test_sums(void **state)
{
    struct snapshot_totals totals;
    struct snapshot snapshot;

    (void)state;
    make_sample(&snapshot);
    snapshot_sum(&snapshot, &totals);
    assert_int_equal(totals.pages[SNAPSHOT_ANON], 1024);
    assert_int_equal(totals.pages[SNAPSHOT_OBJECT], 3);
    assert_int_equal(totals.pages[SNAPSHOT_SWAP], 6);
    assert_int_equal(totals.pages[SNAPSHOT_GUARD], 1);
    assert_int_equal(totals.resident_pages, 1027);
    assert_int_equal(totals.deposits, 2);
    /* Two PTE tables; PMD tables of the first and second GiB; one PUD, one
     * top table. */
    assert_int_equal(totals.tables[0], 2);
    assert_int_equal(totals.tables[1], 2);
    assert_int_equal(totals.tables[2], 1);
    assert_int_equal(totals.tables[3], 1);
    snapshot_free(&snapshot);
}

/* What smaps counted, and reading did not find. */
static void
test_missing(void **state)
{
    struct snapshot_totals totals;
    struct snapshot snapshot;
    uint64_t before;

    (void)state;
    make_sample(&snapshot);
    for (uint64_t i = 0; i < snapshot.vma_count; i++)
        snapshot.vmas[i].rss_pages = snapshot.vmas[i].swap_pages = 0;
    snapshot_sum(&snapshot, &totals);
    assert_int_equal(totals.missing_pages, 0);
    before = totals.resident_pages;
    snapshot.vmas[0].rss_pages = 2000;
    snapshot.vmas[0].swap_pages = 7;
    snapshot_sum(&snapshot, &totals);
    assert_int_equal(totals.resident_pages, before);
    assert_true(totals.missing_pages >= 2007 - before - 6);
    assert_true(totals.missing_pages < 2007);
    snapshot_free(&snapshot);
}

static void
test_many_strings_and_objects(void **state)
{
    struct snapshot snapshot;
    char name[32];

    (void)state;
    assert_int_equal(snapshot_init(&snapshot), 0);
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned i = 1; i < 5000; i++) {
            snprintf(name, sizeof(name), "/lib/%u", i);
            assert_int_equal(text(&snapshot, name), i);
            assert_int_equal(
                snapshot_object(&snapshot, i % 7, i, SNAPSHOT_OBJECT_FILE),
                i - 1);
        }
    assert_string_equal(snapshot_text(&snapshot, 77), "/lib/77");
    snapshot_free(&snapshot);
}

static void
check_refused(const struct snapshot *snapshot)
{
    struct tool_error error;

    assert_int_equal(snapshot_check(snapshot, &error), -1);
}

static void
test_check(void **state)
{
    struct tool_error error;
    struct snapshot snapshot;
    struct snapshot_vma *vma;
    struct snapshot_run saved;

    (void)state;
    make_sample(&snapshot);
    vma = &snapshot.vmas[1];
    assert_int_equal(snapshot_check(&snapshot, &error), 0);
    vma->start += 1;
    check_refused(&snapshot);
    vma->start = 0x1f000;
    check_refused(&snapshot);
    vma->start = 0x40000000;
    vma->end = vma->start;
    check_refused(&snapshot);
    vma->end = SNAPSHOT_ADDRESS_LIMIT + 4096;
    check_refused(&snapshot);
    vma->end = 0x40800000;
    vma->path = 99;
    check_refused(&snapshot);
    vma->path = 0;
    vma->object = 1;
    check_refused(&snapshot);
    vma->object = SNAPSHOT_NO_OBJECT;
    saved = snapshot.runs[1];
    snapshot.runs[1].place += 4096; /* a leaf that is not aligned */
    check_refused(&snapshot);
    snapshot.runs[1] = saved;
    snapshot.runs[1].count = UINT64_MAX >> 2;
    check_refused(&snapshot);
    snapshot.runs[1].count = 3; /* into the next run */
    check_refused(&snapshot);
    snapshot.runs[1] = saved;
    assert_int_equal(snapshot_check(&snapshot, &error), 0);
    snapshot_free(&snapshot);
}

/* --- the format ---------------------------------------------------------- */

static void
test_round_trip(void **state)
{
    struct tool_error error;
    struct snapshot first;
    struct snapshot second;
    struct tool_buffer bytes;
    struct tool_buffer again;

    (void)state;
    make_sample(&first);
    encode(&first, &bytes);
    assert_int_equal(parse(&second, bytes.bytes, bytes.length, &error), 0);
    encode(&second, &again);
    assert_int_equal(bytes.length, again.length);
    assert_memory_equal(bytes.bytes, again.bytes, bytes.length);
    assert_int_equal(second.vma_count, 2);
    assert_int_equal(second.vmas[0].flags, first.vmas[0].flags);
    assert_int_equal(second.vmas[1].rss_pages, 7);
    assert_int_equal(second.run_count, first.run_count);
    assert_memory_equal(second.runs, first.runs,
                        first.run_count * sizeof(*first.runs));
    assert_int_equal(second.ambiguous, 3);
    assert_int_equal(second.assumed, 4);
    assert_int_equal(second.unread, 5);
    assert_true(second.torn);
    assert_int_equal(second.counters[SNAPSHOT_VM_PTE], 44);
    assert_true(second.counters[SNAPSHOT_VM_RSS] == SNAPSHOT_UNKNOWN);
    assert_string_equal(snapshot_text(&second, second.vmas[0].path),
                        "/secret/file");
    tool_buffer_free(&bytes);
    tool_buffer_free(&again);
    snapshot_free(&first);
    snapshot_free(&second);
}

static void
test_redaction(void **state)
{
    struct snapshot snapshot;
    struct tool_buffer bytes;

    (void)state;
    make_sample(&snapshot);
    snapshot_redact(&snapshot);
    encode(&snapshot, &bytes);
    assert_null(memmem(bytes.bytes, bytes.length, "secret", 6));
    assert_null(memmem(bytes.bytes, bytes.length, "sample", 6));
    assert_non_null(memmem(bytes.bytes, bytes.length, "6.18.0", 6));
    assert_int_equal(snapshot.objects[0].device, 0);
    assert_int_equal(snapshot.objects[0].inode, 1);
    tool_buffer_free(&bytes);
    snapshot_free(&snapshot);
}

static void
test_every_truncation(void **state)
{
    struct tool_error error;
    struct snapshot snapshot;
    struct tool_buffer bytes;

    (void)state;
    make_sample(&snapshot);
    encode(&snapshot, &bytes);
    snapshot_free(&snapshot);
    for (size_t length = 0; length < bytes.length; length++) {
        assert_int_equal(parse(&snapshot, bytes.bytes, length, &error), -1);
        assert_non_null(strstr(error.text, "file is truncated"));
    }
    print_message("%zu truncations refused\n", bytes.length);
    tool_buffer_free(&bytes);
}

static void
test_every_changed_byte(void **state)
{
    struct tool_error error;
    struct snapshot snapshot;
    struct tool_buffer bytes;
    unsigned long changes = 0;

    (void)state;
    make_sample(&snapshot);
    encode(&snapshot, &bytes);
    snapshot_free(&snapshot);
    for (size_t at = 0; at < bytes.length; at++)
        for (unsigned change = 1; change < 256; change++) {
            bytes.bytes[at] ^= (uint8_t)change;
            assert_int_equal(
                parse(&snapshot, bytes.bytes, bytes.length, &error), -1);
            assert_null(strchr(error.text, '\n'));
            assert_non_null(strstr(error.text, "file"));
            bytes.bytes[at] ^= (uint8_t)change;
            changes++;
        }
    print_message("%lu changed bytes refused\n", changes);
    tool_buffer_free(&bytes);
}

/*
 * Behind a checksum that fits anything may stand: it is refused, or makes a
 * snapshot that can be used.
 */
static void
test_forged_payloads(void **state)
{
    struct tool_error error;
    struct snapshot snapshot;
    struct tool_buffer bytes;
    uint32_t random = 20260101;
    unsigned taken = 0;
    unsigned tries = 0;

    (void)state;
    print_message("seed %u\n", random);
    make_sample(&snapshot);
    encode(&snapshot, &bytes);
    snapshot_free(&snapshot);
    for (size_t at = 32; at < bytes.length; at++)
        for (unsigned i = 0; i < 64; i++, tries++) {
            uint8_t before = bytes.bytes[at];
            size_t length = bytes.length;

            random = random * 1664525u + 1013904223u;
            bytes.bytes[at] = (uint8_t)(random >> 24);
            if (i % 8 == 7) /* and cut it short */
                length = at + 1;
            seal(bytes.bytes, length);
            if (parse(&snapshot, bytes.bytes, length, &error) == 0) {
                struct snapshot_totals totals;

                assert_int_equal(snapshot_check(&snapshot, &error), 0);
                snapshot_sum(&snapshot, &totals);
                snapshot_free(&snapshot);
                taken++;
            }
            bytes.bytes[at] = before;
        }
    print_message("%u forged, %u of them make sense\n", tries, taken);
    assert_true(taken > 0 && taken < tries);
    tool_buffer_free(&bytes);
}

static void
expect_refusal(uint8_t *bytes, size_t length, const char *reason)
{
    struct tool_error error;
    struct snapshot snapshot;

    assert_int_equal(parse(&snapshot, bytes, length, &error), -1);
    if (strstr(error.text, reason) == NULL)
        fail_msg("'%s' does not say '%s'", error.text, reason);
}

static void
test_foreign_and_newer(void **state)
{
    struct snapshot snapshot;
    struct tool_buffer bytes;
    uint8_t elf[64] = {0x7f, 'E', 'L', 'F'};

    (void)state;
    make_sample(&snapshot);
    encode(&snapshot, &bytes);
    snapshot_free(&snapshot);
    expect_refusal(elf, sizeof(elf), "not an Aspen snapshot");
    expect_refusal(elf, 1, "not an Aspen snapshot");
    bytes.bytes[8] = SNAPSHOT_VERSION + 1;
    expect_refusal(bytes.bytes, bytes.length, "newer snapshot");
    bytes.bytes[8] = SNAPSHOT_VERSION;
    bytes.bytes[12] = 1;
    expect_refusal(bytes.bytes, bytes.length, "corrupt");
    bytes.bytes[12] = 0;
    (void)tool_buffer_add(&bytes, 1);
    expect_refusal(bytes.bytes, bytes.length, "1 bytes too many");
    tool_buffer_free(&bytes);
}

/* --- files --------------------------------------------------------------- */

static char directory[64];

static int
make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/aspen-test-XXXXXX");
    return mkdtemp(directory) != NULL ? 0 : -1;
}

static int
remove_directory(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    return system(command);
}

static const char *
path_of(const char *name)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

static unsigned
files_in_directory(void)
{
    DIR *listing = opendir(directory);
    struct dirent *entry;
    unsigned count = 0;

    assert_non_null(listing);
    while ((entry = readdir(listing)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(listing);
    return count;
}

static void
test_save_and_load(void **state)
{
    struct tool_error error;
    struct snapshot snapshot;
    struct snapshot loaded;
    struct stat status;

    (void)state;
    make_sample(&snapshot);
    assert_int_equal(snapshot_save(&snapshot, path_of("a"), &error), 0);
    assert_int_equal(snapshot_load(&loaded, path_of("a"), &error), 0);
    assert_int_equal(loaded.run_count, snapshot.run_count);
    snapshot_free(&loaded);
    assert_int_equal(stat(path_of("a"), &status), 0);
    assert_int_equal(status.st_mode & 077, 0); /* the owner's business */
    /* A link stays one, and leads to the new file. */
    assert_int_equal(symlink("a", path_of("link")), 0);
    assert_int_equal(snapshot_save(&snapshot, path_of("link"), &error), 0);
    assert_int_equal(lstat(path_of("link"), &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(files_in_directory(), 2);
    snapshot_free(&snapshot);
}

static void
test_full_disk(void **state)
{
    struct rlimit limit = {100, RLIM_INFINITY};
    struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    struct tool_error error;
    struct snapshot snapshot;
    struct snapshot loaded;
    struct stat status;

    (void)state;
    make_sample(&snapshot);
    assert_int_equal(snapshot_save(&snapshot, path_of("a"), &error), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(snapshot_save(&snapshot, path_of("a"), &error), -1);
    assert_int_equal(snapshot_save(&snapshot, path_of("b"), &error), -1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    assert_non_null(strstr(error.text, "cannot write"));
    /* The old one is whole, the new one is not there, nor anything else. */
    assert_int_equal(snapshot_load(&loaded, path_of("a"), &error), 0);
    snapshot_free(&loaded);
    assert_int_equal(files_in_directory(), 1);
    assert_int_equal(snapshot_save(&snapshot, "/dev/full", &error), -1);
    assert_non_null(strstr(error.text, "No space left"));
    assert_int_equal(stat("/dev/full", &status), 0);
    assert_true(S_ISCHR(status.st_mode));
    assert_int_equal(snapshot_save(&snapshot, path_of("no/such/place"), &error),
                     -1);
    assert_int_equal(snapshot_save(&snapshot, directory, &error), -1);
    assert_non_null(strstr(error.text, "directory"));
    snapshot_free(&snapshot);
}

static void
test_unreadable(void **state)
{
    struct tool_error error;
    struct snapshot snapshot;

    (void)state;
    assert_int_equal(snapshot_load(&snapshot, path_of("none"), &error), -1);
    assert_non_null(strstr(error.text, "No such file"));
    assert_int_equal(snapshot_load(&snapshot, directory, &error), -1);
    assert_int_equal(snapshot_load(&snapshot, "/dev/null", &error), -1);
    assert_non_null(strstr(error.text, "empty"));
    /* Not read to its end. */
    assert_int_equal(snapshot_load(&snapshot, "/dev/zero", &error), -1);
    assert_non_null(strstr(error.text, "not an Aspen snapshot"));
}

static void
test_tool_numbers(void **state)
{
    uint64_t number;

    (void)state;
    assert_true(tool_parse_number("0", 10, &number) && number == 0);
    assert_true(tool_parse_number("10", 10, &number) && number == 10);
    assert_false(tool_parse_number("11", 10, &number));
    assert_false(tool_parse_number("", 10, &number));
    assert_false(tool_parse_number("-1", 10, &number));
    assert_false(tool_parse_number("1x", 10, &number));
    assert_true(tool_parse_number("18446744073709551615", UINT64_MAX, &number));
    assert_true(number == UINT64_MAX);
    assert_false(
        tool_parse_number("18446744073709551616", UINT64_MAX, &number));
    assert_true(tool_parse_seconds("1", &number) && number == 1000000000);
    assert_true(tool_parse_seconds("0.25", &number) && number == 250000000);
    assert_true(tool_parse_seconds(".5", &number) && number == 500000000);
    assert_false(tool_parse_seconds("", &number));
    assert_false(tool_parse_seconds(".", &number));
    assert_false(tool_parse_seconds("1s", &number));
    assert_false(tool_parse_seconds("-1", &number));
}

static void
test_anon_names(void **state)
{
    char name[ASPEN_NAME_BYTES], path[7 + ASPEN_NAME_BYTES + 2] = "[anon:";

    (void)state;
    assert_true(snapshot_anon_name("[anon:glibc: malloc]", name));
    assert_string_equal(name, "glibc: malloc");
    assert_true(snapshot_anon_name("[anon:]", name));
    assert_string_equal(name, "");
    assert_false(snapshot_anon_name("", name));
    assert_false(snapshot_anon_name("[anon:", name));
    assert_false(snapshot_anon_name("[anon_shmem:x]", name));
    assert_false(snapshot_anon_name("/[anon:x]", name));
    memset(path + 6, 'x', ASPEN_NAME_BYTES);
    path[6 + ASPEN_NAME_BYTES - 1] = ']';
    path[6 + ASPEN_NAME_BYTES] = '\0';
    assert_true(snapshot_anon_name(path, name));
    assert_int_equal(strlen(name), ASPEN_NAME_BYTES - 1);
    memcpy(path + 6 + ASPEN_NAME_BYTES - 1, "x]", 3);
    assert_false(snapshot_anon_name(path, name));
}

/* Keys of mappings; the space's own is that of memory executed alone. */
static void
test_keys(void **state)
{
    const uint32_t permissions = SNAPSHOT_PERM_READ | SNAPSHOT_PERM_EXEC |
                                 3u << SNAPSHOT_PERM_PKEY_SHIFT;
    struct aspen_pkeys pkeys = {1, -1};
    (void)state;

    uint64_t flags = snapshot_flags(permissions, "rd ex mr mw me ");
    assert_int_equal(flags >> ASPEN_VM_PKEY_SHIFT, 3);
    snapshot_note_pkey(&pkeys, flags);
    snapshot_note_pkey(&pkeys, ASPEN_VM_EXEC); /* without a key */
    assert_int_equal(pkeys.given_out, 1 | 8);
    assert_int_equal(pkeys.execute_only_key, -1);
    snapshot_note_pkey(&pkeys, snapshot_flags(permissions, "ex me ") &
                                   ~(uint64_t)ASPEN_VM_READ);
    assert_int_equal(pkeys.execute_only_key, 3);
    snapshot_note_pkey(&pkeys,
                       ASPEN_VM_EXEC | (uint64_t)5 << ASPEN_VM_PKEY_SHIFT);
    assert_int_equal(pkeys.execute_only_key, 3); /* the first */
    assert_int_equal(pkeys.given_out, 1 | 8 | 32);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_join),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_many_strings_and_objects),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_redaction),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_every_changed_byte),
        cmocka_unit_test(test_forged_payloads),
        cmocka_unit_test(test_foreign_and_newer),
        cmocka_unit_test_setup_teardown(test_save_and_load, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(test_full_disk, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(test_unreadable, make_directory,
                                        remove_directory),
        cmocka_unit_test(test_tool_numbers),
        cmocka_unit_test(test_anon_names),
        cmocka_unit_test(test_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
