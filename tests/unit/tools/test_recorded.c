/* SPDX-License-Identifier: MIT */
/*
 * test_recorded.c - traces from files: what they say is there afterwards, what
 * is wrong is told with its line, and mangled ones do no harm.
 */
#define _GNU_SOURCE
#include "trace/recorded.h"
#include "unit.h"

#include <unistd.h>

#define HEAD   "aspen.trace/1\n"
#define ROUNDS 3000u

static char path[] = "/tmp/aspen-recorded-XXXXXX";
/* Too large for a stack. */
static struct recorded recorded;

static int
read_bytes(const char *text, size_t length, struct tool_error *error)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    return recorded_read(&recorded, path, error);
}

static void
read_text(const char *text)
{
    struct tool_error error;

    if (read_bytes(text, strlen(text), &error) != 0)
        fail_msg("%s", error.text);
}

/* An access, as "space:page found>left cell", with "-" for none. */
static void
say_access(size_t at, size_t *counted, char *text, size_t size)
{
    const struct recorded_step *step = &recorded.steps[at];
    char cell[16] = "-";

    if (step->counted)
        snprintf(cell, sizeof(cell), "%u",
                 recorded.trace.accesses[(*counted)++]);
    snprintf(text, size, "%u:%x %x>%x %s%s", step->space, (unsigned)step->page,
             step->found, step->left, cell, step->fresh ? " new" : "");
}

/* All accesses of a trace, one after the other. */
static void
check_accesses(const char *text, const char *const *expected)
{
    size_t counted = 0;
    char said[80];

    read_text(text);
    for (size_t i = 0; i < recorded.step_count; i++) {
        if (recorded.steps[i].kind > RECORDED_WRITE)
            continue;
        say_access(i, &counted, said, sizeof(said));
        assert_non_null(*expected);
        assert_string_equal(said, *expected);
        expected++;
    }
    assert_null(*expected);
    assert_int_equal(counted, recorded.trace.length);
    recorded_free(&recorded);
}

static void
test_zeroes(void **state)
{
    static const char *const expected[] = {
        "1:10 0>0 -",     "1:11 0>1 0 new", "1:11 1>1 0", "1:11 1>2 0",
        "1:10 0>3 1 new", "1:11 0>0 -",     NULL};

    (void)state;
    check_accesses(HEAD "# zeroes take no memory\n\n"
                        "m 10 8 rw-\n"
                        "r 10\n w  11 \nr 11 1\nw 11\nw 10\n"
                        "u 11 7\nm 11 2 r--p\nr 11\n",
                   expected);
}

static void
test_forked(void **state)
{
    /* Each has a page of its own once it has written to it; who is alone keeps
     * it. */
    static const char *const expected[] = {
        "1:10 0>1 0 new", "2:10 1>2 1 new", "1:10 1>1 0", "1:10 1>3 0",
        "2:10 2>2 1",     "2:11 0>4 2 new", "1:11 0>0 -", NULL};

    (void)state;
    check_accesses(HEAD "m 10 8 rw-\nw 10\nf 2\ns 2\nw 10\ns 1\nr 10\nw 10\n"
                        "s 2\nr 10\nw 11\ne\ns 1\nr 11\n",
                   expected);
}

static void
test_moved(void **state)
{
    static const char *const expected[] = {"1:11 0>1 0 new", "1:15 0>2 1 new",
                                           "1:31 1>1 0",     "1:35 2>2 1",
                                           "1:10 0>0 -",     NULL};

    (void)state;
    /* Of two mappings, to behind another. */
    check_accesses(HEAD "m 10 4 rw-\nm 14 4 rw-\nm 20 1 r--\nw 11\nw 15\n"
                        "v 10 8 30\nr 31\nr 35\nm 10 1 r--\nr 10\n",
                   expected);
}

/* What is shared is the file's; what is written in private a copy, which does
 * not change with it. */
static void
test_files(void **state)
{
    uint32_t first = model_file_stamp(1, 5), second = model_file_stamp(1, 6);
    char said[2][40];

    (void)state;
    assert_true(first & second & 0x80000000u);
    assert_int_not_equal(first, second);
    assert_int_not_equal(first, model_file_stamp(2, 5));
    snprintf(said[0], sizeof(said[0]), "1:20 %x>1 0 new", first);
    snprintf(said[1], sizeof(said[1]), "1:21 %x>2 1 new", second);
    check_accesses(HEAD "m 10 2 rw-p 1 5\nm 20 2 rw-s 1 5\nm 30 1 --xp 1 6\n"
                        "w 20\nw 21\nw 10\nw 20\nr 10\nr 30\n"
                        "m 40 4 r-- 1 4\nu 41 1\nr 42\nv 42 2 50\nr 50\n",
                   (const char *const[]){said[0], said[1], "1:10 1>3 2 new",
                                         "1:20 1>4 0", "1:10 3>3 2",
                                         "1:30 2>2 1", "1:42 2>2 1",
                                         "1:50 2>2 1", NULL});
}

static void
test_dropped(void **state)
{
    static const char *const expected[] = {"1:10 0>1 0 new", "1:12 0>2 1 new",
                                           "1:10 0>0 -",     "1:12 2>2 1",
                                           "7:10 0>3 2 new", NULL};

    (void)state;
    check_accesses(HEAD "m 10 3 rw-\nw 10\nw 12\nd 10 2\nr 10\nr 12\n"
                        "p 10 1 ---\ne\nn 7\ns 7\nm 10 1 rw-\nw 10\n",
                   expected);
}

/* Many pages, so that maps grow; and a range that is larger than what is in
 * it. */
static void
test_large(void **state)
{
    (void)state;
    read_text(HEAD "m 1000 40000000 rw-\nw 2000 3000\nw 3fff000 100\n"
                   "v 1000 40000000 100000000\nr 100001000 3000\n"
                   "d 100000000 30000000\nr 100001000 3000\n");
    assert_int_equal(recorded.trace.length, 0x3000 + 0x100 + 0x3000);
    assert_int_equal(recorded.trace.pages, 0x3100);
    recorded_free(&recorded);
}

/* ---- What is wrong ------------------------------------------------------ */

static const struct wrong {
    const char *text;
    const char *said; /* behind the name of the file */
} wrongs[] = {
    {"", ":1: a trace begins with aspen.trace/1"},
    {"\n", ":1: a trace begins with aspen.trace/1"},
    {"aspen.trace", ":1: the file ends inside of a line"},
    {"aspen.trace/2\n", ":1: only version 1 is known, not '2'"},
    {"aspen.trace/1 \n", ":1: only version 1 is known, not '1 '"},
    {HEAD, " accesses nothing"},
    {HEAD "m 10 1 rw-\nr 10\n", " accesses nothing"},
    {HEAD "m 10 1 rw-\nw 1", ":3: the file ends inside of a line"},
    {HEAD "x 10\n", ":2: there is no record 'x'"},
    {HEAD "read 10\n", ":2: there is no record 'read'"},
    {HEAD "m\n", ":2: m lacks its page"},
    {HEAD "m 10\n", ":2: m lacks its count"},
    {HEAD "m 10 1\n", ":2: access is as rw-, not ''"},
    {HEAD "m 10 1 wr-\n", ":2: access is as rw-, not 'wr-'"},
    {HEAD "m 10 1 rw\n", ":2: access is as rw-, not 'rw'"},
    {HEAD "m 10 1 rw-q\n", ":2: access is as rw-p, not 'rw-q'"},
    {HEAD "m 10 1 rw-s\n", ":2: what is shared has a file"},
    {HEAD "m 10 1 rw-p 1\n", ":2: m lacks its offset"},
    {HEAD "m 10 1 rw-p 0 0\n", ":2: files are numbered from 1 to ffff"},
    {HEAD "m 10 1 rw-p 10000 0\n", ":2: files are numbered from 1 to ffff"},
    {HEAD "m 10 1 rw-p 1 10000000000\n", ":2: files end before 10000000000"},
    {HEAD "m 10 2 rw-p 1 ffffffffff\n", ":2: files end before 10000000000"},
    {HEAD "m 10 1 rw-p 1 1 1\n", ":2: there is more than 'm'"},
    {HEAD "m 0x10 1 rw-\n", ":2: '0x10' is no page"},
    {HEAD "m -10 1 rw-\n", ":2: '-10' is no page"},
    {HEAD "m 11112222333344445 1 rw-\n", ":2: '11112222333344445' is no page"},
    {HEAD "m 10 0 rw-\n", ":2: no pages"},
    {HEAD "m 800000000 1 rw-\n", ":2: pages end before 800000000"},
    {HEAD "m 7ffffffff 2 rw-\n", ":2: pages end before 800000000"},
    {HEAD "m 1 ffffffffffffffff rw-\n", ":2: pages end before 800000000"},
    {HEAD "m 10 4 rw-\nm 13 1 r--\n", ":3: 10-14 is mapped already"},
    {HEAD "m 10 4 rw-\nm 8 20 r--\n", ":3: 10-14 is mapped already"},
    {HEAD "m 10 4 rw-\nr 14\n", ":3: page 14 is not mapped"},
    {HEAD "m 10 4 rw-\nr f\n", ":3: page f is not mapped"},
    {HEAD "m 10 4 rw-\nw 12 3\n", ":3: page 14 is not mapped"},
    {HEAD "m 10 4 rw-\nw 12 0\n", ":3: no pages"},
    {HEAD "m 10 4 rw-\nw 12 1 1\n", ":3: there is more than w takes: '1'"},
    {HEAD "m 10 4 rw-\nr ffffffffffffffff 2\n",
     ":3: page ffffffffffffffff is not mapped"},
    {HEAD "m 10 4 r--\nw 12\n", ":3: page 12 may not be written"},
    {HEAD "m 10 4 rw-\np 10 4 ---\nr 12\n", ":4: page 12 may not be read"},
    {HEAD "m 10 4 rw-\np 10 4 r--p\n", ":3: access is as rw-, not 'r--p'"},
    {HEAD "m 10 4 rw-\nu 13 2\n", ":3: page 14 is not mapped"},
    {HEAD "m 10 4 rw-\nm 15 1 rw-\nd 10 6\n", ":4: page 14 is not mapped"},
    {HEAD "m 10 4 rw-\nv 10 4 12\n", ":3: 10-14 is mapped already"},
    {HEAD "m 10 4 rw-\nv 10 4\n", ":3: v lacks its new page"},
    {HEAD "m 10 4 rw-\nv 10 4 7ffffffff\n", ":3: pages end before 800000000"},
    {HEAD "s 2\n", ":2: there is no space 2"},
    {HEAD "s 10000\n", ":2: there is no space 10000"},
    {HEAD "f 1\n", ":2: there is a space 1 already"},
    {HEAD "n 10000\n", ":2: spaces are numbered up to ffff"},
    {HEAD "e\ns 1\n", ":3: there is no space 1"},
    {HEAD "e\nr 10\n", ":3: the space has ended: s names another"},
    {HEAD "e 1\n", ":2: there is more than e takes: '1'"},
};

static void
test_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        struct tool_error error;
        char said[200];
        snprintf(said, sizeof(said), "%s%s", path, wrongs[i].said);
        assert_int_equal(
            read_bytes(wrongs[i].text, strlen(wrongs[i].text), &error), -1);
        assert_string_equal(error.text, said);
        recorded_free(&recorded);
    }
}

/* A comment of so many bytes is passed over, or refused. */
static void
check_comment(size_t length, bool fits)
{
    static char text[40000];
    struct tool_error error;
    size_t head = strlen(HEAD);
    const char *rest = "\nm 10 1 rw-\nw 10\n";

    memcpy(text, HEAD, head);
    memset(text + head, '#', length);
    memcpy(text + head + length, rest, strlen(rest));
    int status = read_bytes(text, head + length + strlen(rest), &error);
    assert_int_equal(status, fits ? 0 : -1);
    if (!fits)
        assert_non_null(
            strstr(error.text, ":2: a line has more than 32767 bytes"));
    recorded_free(&recorded);
}

static void
test_strange(void **state)
{
    static const char zero[] = HEAD "m 10 1\0 rw-\n";
    struct tool_error error;

    (void)state;
    assert_int_equal(read_bytes(zero, sizeof(zero) - 1, &error), -1);
    assert_non_null(strstr(error.text, ":2: there is a byte of 0"));
    recorded_free(&recorded);
    /* Without an end, it is not read to the end. */
    assert_int_equal(recorded_read(&recorded, "/dev/zero", &error), -1);
    assert_string_equal(error.text, "/dev/zero:1: there is a byte of 0");
    recorded_free(&recorded);
    check_comment(32767, true);
    check_comment(32768, false);
    assert_int_equal(recorded_read(&recorded, "/nowhere/at/all", &error), -1);
    assert_non_null(strstr(error.text, "cannot read /nowhere/at/all: "));
    recorded_free(&recorded);
    assert_int_equal(recorded_read(&recorded, "/", &error), -1);
    assert_string_equal(error.text, "/:1: cannot read: Is a directory");
    recorded_free(&recorded);
}

/* ---- Mangled ------------------------------------------------------------ */

static const char good[] =
    HEAD "m 1000 100 rw-p\nw 1000 40\nr 1000 40\nm 2000 20 r-xp 1 3\n"
         "r 2000 10\nm 3000 8 rw-s 2 0\nw 3000 8\nf 2\nw 1000 20\ns 2\n"
         "r 1000 40\nw 1004 9\nd 1000 10\nv 1010 8 5000\nr 5000 8\n"
         "p 2000 8 rw-\nw 2000 8\nu 1020 20\ne\ns 1\nr 1000 20\nn 3\ns 3\n"
         "m 10 10 rw-\nw 10 8\n";

/* Of bytes that such files have, and any. */
static char
other_byte(uint64_t *seed)
{
    static const char likely[] = "0123456789abcdef rwxmupvdfnse-\n\t#";

    return unit_below(seed, 8) ? likely[unit_below(seed, sizeof(likely) - 1)]
                               : (char)unit_below(seed, 256);
}

/* One change of so many bytes; there is room for twice as many. */
static size_t
mangle(char *text, size_t length, uint64_t *seed)
{
    size_t at = unit_below(seed, length), more;

    switch (unit_below(seed, 5)) {
    case 0:
        text[at] = other_byte(seed);
        return length;
    case 1: /* truncated */
        return at ? at : 1;
    case 2: /* some are not there */
        more = unit_below(seed, length - at < 12 ? length - at : 12);
        memmove(text + at, text + at + more, length - at - more);
        return length - more;
    case 3: /* some are there twice */
        more = unit_below(seed, length - at < 40 ? length - at : 40);
        memmove(text + at + more, text + at, length - at);
        return length + more;
    default:
        memmove(text + at + 1, text + at, length - at);
        text[at] = other_byte(seed);
        return length + 1;
    }
}

static void
test_mangled(void **state)
{
    uint64_t seed = unit_seed("test_recorded", 1);
    unsigned rounds = unit_rounds(ROUNDS), taken = 0;

    (void)state;
    for (unsigned i = 0; i < rounds; i++) {
        char text[4 * sizeof(good)];
        size_t length = sizeof(good) - 1;
        struct tool_error error = {""};
        memcpy(text, good, length);
        for (uint64_t n = unit_below(&seed, 4) + 1; n > 0; n--)
            length = mangle(text, length, &seed);
        if (read_bytes(text, length, &error) == 0)
            taken++;
        else
            assert_true(strncmp(error.text, path, strlen(path)) == 0);
        recorded_free(&recorded);
    }
    print_message("%u of %u mangled traces are traces\n", taken, rounds);
    assert_in_range(taken, rounds / 100, rounds / 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zeroes),  cmocka_unit_test(test_forked),
        cmocka_unit_test(test_moved),   cmocka_unit_test(test_files),
        cmocka_unit_test(test_dropped), cmocka_unit_test(test_large),
        cmocka_unit_test(test_wrong),   cmocka_unit_test(test_strange),
        cmocka_unit_test(test_mangled),
    };
    int file = mkstemp(path), failed;

    if (file < 0)
        return 1;
    close(file);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
