/* SPDX-License-Identifier: MIT */
/* Names of anonymous memory: what may be named, what splits and joins, who
 * keeps a name, and every step failing. */
#define _GNU_SOURCE
#include "failing.h"
#include "helper.h"
#include "internal.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define AT(page)  ((uint64_t)(page)*PAGE)
#define SET_VMA   0x53564d41
#define ANON_NAME 0

struct names {
    struct helper helper;
    struct aspen_mm *mm;
    char text[4096]; /* of the mappings */
};

static void
create(struct names *s, enum aspen_semantics semantics)
{
    struct aspen_config config;

    aspen_config_init(&config);
    config.semantics = semantics;
    helper_create(&s->helper, &config);
    s->mm = helper_mm(&s->helper);
}

static int
setup(void **state)
{
    struct names *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    create(s, ASPEN_SEMANTICS_6_18);
    *state = s;
    return 0;
}

static void
destroy(struct names *s)
{
    helper_assert_valid(&s->helper);
    aspen_mm_put(s->mm);
    assert_true(aspen_list_is_empty(&s->helper.aspen->names));
    helper_destroy(&s->helper);
}

static int
teardown(void **state)
{
    struct names *s = *state;

    destroy(s);
    free(s);
    return 0;
}

/* ---- What there is ----------------------------------------------------- */

static void put(struct names *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
put(struct names *s, const char *format, ...)
{
    size_t used = strlen(s->text);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(s->text + used, sizeof(s->text) - used, format, arguments);
    va_end(arguments);
}

static void
append(void *context, const char *text, size_t length)
{
    put(context, "%.*s", (int)length, text);
}

static const char *
maps_of(struct names *s)
{
    s->text[0] = '\0';
    aspen_inspect_maps(s->mm, append, s);
    return s->text;
}

static int
name(struct names *s, uint64_t page, uint64_t pages, const char *text)
{
    return aspen_name_anon(s->mm, AT(page), AT(pages), text);
}

static void
map_shared(struct names *s, uint64_t page, uint64_t pages)
{
    helper_map(s->mm, AT(page), pages, RW | ASPEN_VM_SHARED);
}

/* ---- What a name is ---------------------------------------------------- */

static void
test_arguments(void **state)
{
    struct names *s = *state;
    char longest[82];

    memset(longest, 'x', sizeof(longest));
    helper_map(s->mm, AT(0x100), 4, RW);
    for (int c = 1; c < 256; c++) {
        const char text[3] = {'a', (char)c, 0};
        bool good = c >= ' ' && c < 127 && !strchr("\\`$[]", c);
        assert_int_equal(name(s, 0x100, 1, text), good ? 0 : -ASPEN_EINVAL);
    }
    longest[80] = '\0';
    assert_int_equal(name(s, 0x100, 1, longest), -ASPEN_EINVAL);
    longest[79] = '\0';
    assert_int_equal(name(s, 0x100, 1, longest), 0);
    assert_int_equal(name(s, 0x100, 1, ""), 0);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x101000 rw- private  anon  account  \"\"\n"
               "  vma  0x101000-0x104000 rw- private  anon  account\n");
    assert_non_null(strstr(maps_of(s), " [anon:]\n"));
    /* The name is looked at first. */
    assert_int_equal(aspen_name_anon(s->mm, 1, PAGE, "ok"), -ASPEN_EINVAL);
    assert_int_equal(aspen_name_anon(s->mm, AT(0x100), 0, "$"), -ASPEN_EINVAL);
    assert_int_equal(aspen_name_anon(s->mm, AT(0x100), 0, "ok"), 0);
    assert_int_equal(aspen_name_anon(s->mm, AT(0x100), UINT64_MAX, "ok"),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_name_anon(s->mm, AT(0x100), 0 - AT(0x101), "ok"),
                     -ASPEN_ENOMEM);
    assert_int_equal(aspen_name_anon(s->mm, 0 - PAGE, PAGE, "ok"),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_name_anon(s->mm, s->mm->address_limit, PAGE, "ok"),
                     -ASPEN_ENOMEM);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x104000 rw- private  anon  account  \"ok\"\n");
    assert_int_equal(aspen_name_anon(s->mm, AT(0x101), 1, "ko"), 0);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x101000 rw- private  anon  account  \"ok\"\n"
               "  vma  0x101000-0x102000 rw- private  anon  account  \"ko\"\n"
               "  vma  0x102000-0x104000 rw- private  anon  account  \"ok\"\n");
}

/* Holes are told of when the rest is done. */
static void
test_holes(void **state)
{
    struct names *s = *state;

    helper_map(s->mm, AT(0x100), 2, RW);
    helper_map(s->mm, AT(0x110), 2, RW);
    assert_int_equal(name(s, 0xf0, 0x30, "all"), -ASPEN_ENOMEM);
    helper_assert_space(
        s->mm,
        "  vma  0x100000-0x102000 rw- private  anon  account  \"all\"\n"
        "  vma  0x110000-0x112000 rw- private  anon  account  \"all\"\n");
    assert_int_equal(name(s, 0xf0, 0x30, NULL), -ASPEN_ENOMEM);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x102000 rw- private  anon  account\n"
               "  vma  0x110000-0x112000 rw- private  anon  account\n");
}

/* All or nothing, where Linux has named what is below the one that refuses. */
static void
test_refused(void **state)
{
    static const struct aspen_special special = {.name = "[special]"};
    struct names *s = *state;
    struct aspen_object *file =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 8, NULL, NULL);
    uint64_t address;

    helper_map(s->mm, AT(0x100), 2, RW);
    helper_map_object(s->mm, AT(0x102), 2, RW, file, 0);
    helper_map_object(s->mm, AT(0x104), 2, RW | ASPEN_VM_SHARED, file, 4);
    helper_map(s->mm, AT(0x106), 2, RW | ASPEN_VM_PFNMAP);
    assert_int_equal(aspen_map_special(s->mm, AT(0x120), AT(2),
                                       ASPEN_MAP_FIXED_NOREPLACE, R, &special,
                                       &address),
                     0);
    assert_int_equal(name(s, 0x100, 4, "n"), -ASPEN_EBADF);
    assert_int_equal(name(s, 0x102, 1, "n"), -ASPEN_EBADF);
    assert_int_equal(name(s, 0x102, 1, NULL), -ASPEN_EBADF);
    assert_int_equal(name(s, 0x104, 1, "n"), -ASPEN_EBADF);
    assert_int_equal(name(s, 0x106, 1, "n"), -ASPEN_EBADF);
    assert_int_equal(name(s, 0x120, 1, "n"), -ASPEN_EINVAL);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x102000 rw- private  anon  account\n"
               "  vma  0x102000-0x104000 rw- private  shmem 1+0x0  account\n"
               "  vma  0x104000-0x106000 rw- shared  shmem 1+0x4000\n"
               "  vma  0x106000-0x108000 rw- private  anon  pfnmap account\n"
               "  vma  0x120000-0x122000 r-- private  anon  special\n");
    /* A special mapping has one and shows its own. */
    assert_int_equal(name(s, 0x120, 2, "n"), 0);
    assert_null(strstr(maps_of(s), "[anon:n]"));
    assert_non_null(strstr(s->text, "[special]"));
    aspen_object_put(file);
}

static void
test_shared(void **state)
{
    struct names *s = *state;
    struct names old;

    map_shared(s, 0x100, 4);
    assert_int_equal(name(s, 0x101, 2, "ring"), 0);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x101000 rw- shared  shmem 1+0x0\n"
               "  vma  0x101000-0x103000 rw- shared  shmem 1+0x1000  \"ring\"\n"
               "  vma  0x103000-0x104000 rw- shared  shmem 1+0x3000\n");
    assert_non_null(strstr(maps_of(s), "  [anon_shmem:ring]\n"));
    assert_non_null(strstr(s->text, "  /dev/zero (deleted)\n"));
    assert_int_equal(name(s, 0x100, 4, NULL), 0);
    helper_assert_space(s->mm,
                        "  vma  0x100000-0x104000 rw- shared  shmem 1+0x0\n");

    create(&old, ASPEN_SEMANTICS_6_1);
    map_shared(&old, 0x100, 4);
    assert_int_equal(name(&old, 0x101, 2, "ring"), -ASPEN_EBADF);
    destroy(&old);
}

static void
test_absent(void **state)
{
    struct helper helper;
    struct aspen_config config;
    (void)state;

    aspen_config_init(&config);
    config.flags |= ASPEN_CONFIG_VMA_NAMES_ABSENT;
    helper_create(&helper, &config);
    struct aspen_mm *mm = helper_mm(&helper);
    assert_int_equal(aspen_name_anon(mm, 0, 0, NULL), -ASPEN_EINVAL);
    aspen_mm_put(mm);
    helper_destroy(&helper);
}

/* ---- Splits and joins -------------------------------------------------- */

static void
test_joins(void **state)
{
    struct names *s = *state;

    helper_map(s->mm, AT(0x100), 9, RW);
    assert_int_equal(name(s, 0x100, 3, "a"), 0);
    assert_int_equal(name(s, 0x106, 3, "a"), 0);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x103000 rw- private  anon  account  \"a\"\n"
               "  vma  0x103000-0x106000 rw- private  anon  account\n"
               "  vma  0x106000-0x109000 rw- private  anon  account  \"a\"\n");
    /* Two objects that say the same: it is what they say that counts. */
    assert_int_equal(name(s, 0x103, 3, "a"), 0);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x109000 rw- private  anon  account  \"a\"\n");
    /* What has the name already stays whole. */
    assert_int_equal(name(s, 0x104, 1, "a"), 0);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x109000 rw- private  anon  account  \"a\"\n");
    assert_int_equal(name(s, 0x104, 1, "b"), 0);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x104000 rw- private  anon  account  \"a\"\n"
               "  vma  0x104000-0x105000 rw- private  anon  account  \"b\"\n"
               "  vma  0x105000-0x109000 rw- private  anon  account  \"a\"\n");
    assert_int_equal(name(s, 0x102, 3, "b"), 0);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x102000 rw- private  anon  account  \"a\"\n"
               "  vma  0x102000-0x105000 rw- private  anon  account  \"b\"\n"
               "  vma  0x105000-0x109000 rw- private  anon  account  \"a\"\n");
    assert_int_equal(name(s, 0x104, 3, "a"), 0);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x102000 rw- private  anon  account  \"a\"\n"
               "  vma  0x102000-0x104000 rw- private  anon  account  \"b\"\n"
               "  vma  0x104000-0x109000 rw- private  anon  account  \"a\"\n");
    assert_int_equal(name(s, 0x100, 9, NULL), 0);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x109000 rw- private  anon  account\n");
}

/* Calls that look for neighbours to be one with. */
static void
test_neighbours(void **state)
{
    struct names *s = *state;

    helper_map(s->mm, AT(0x100), 4, RW);
    assert_int_equal(name(s, 0x100, 4, "a"), 0);
    helper_map(s->mm, AT(0x104), 4, RW);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x104000 rw- private  anon  account  \"a\"\n"
               "  vma  0x104000-0x108000 rw- private  anon  account\n");
    /* mprotect: the same access is not enough. */
    assert_int_equal(
        aspen_mprotect(s->mm, AT(0x103), AT(2), R, ASPEN_PKEY_SAME), 0);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x103000 rw- private  anon  account  \"a\"\n"
               "  vma  0x103000-0x104000 r-- private  anon  \"a\"\n"
               "  vma  0x104000-0x105000 r-- private  anon\n"
               "  vma  0x105000-0x108000 rw- private  anon  account\n");
    assert_int_equal(name(s, 0x104, 1, "a"), 0);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x103000 rw- private  anon  account  \"a\"\n"
               "  vma  0x103000-0x105000 r-- private  anon  \"a\"\n"
               "  vma  0x105000-0x108000 rw- private  anon  account\n");
    assert_int_equal(
        aspen_mprotect(s->mm, AT(0x100), AT(8), RW, ASPEN_PKEY_SAME), 0);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x105000 rw- private  anon  account  \"a\"\n"
               "  vma  0x105000-0x108000 rw- private  anon  account\n");
    helper_unmap(s->mm, AT(0x101), 2);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x101000 rw- private  anon  account  \"a\"\n"
               "  vma  0x103000-0x105000 rw- private  anon  account  \"a\"\n"
               "  vma  0x105000-0x108000 rw- private  anon  account\n");
    assert_int_equal(
        aspen_madvise(s->mm, AT(0x104), AT(1), ASPEN_MADV_DONTDUMP), 0);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x101000 rw- private  anon  account  \"a\"\n"
               "  vma  0x103000-0x104000 rw- private  anon  account  \"a\"\n"
               "  vma  0x104000-0x105000 rw- private  anon  account  \"a\"\n"
               "  vma  0x105000-0x108000 rw- private  anon  account\n");
}

/* ---- Who keeps it ------------------------------------------------------ */

static void
test_mremap(void **state)
{
    struct names *s = *state;
    const unsigned move = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED;

    helper_map(s->mm, AT(0x100), 4, RW);
    assert_int_equal(name(s, 0x100, 4, "a"), 0);
    assert_int_equal(helper_remap(s->mm, AT(0x100), AT(4), AT(6), 0, 0), 0);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x106000 rw- private  anon  account  \"a\"\n");
    assert_int_equal(
        helper_remap(s->mm, AT(0x102), AT(2), AT(2), move, AT(0x200)), 0);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x102000 rw- private  anon  account  \"a\"\n"
               "  vma  0x104000-0x106000 rw- private  anon  account  \"a\"\n"
               "  vma  0x200000-0x202000 rw- private  anon  account  \"a\"\n");
    assert_int_equal(helper_remap(s->mm, AT(0x200), AT(2), AT(2),
                                  move | ASPEN_MREMAP_DONTUNMAP, AT(0x300)),
                     0);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x102000 rw- private  anon  account  \"a\"\n"
               "  vma  0x104000-0x106000 rw- private  anon  account  \"a\"\n"
               "  vma  0x200000-0x202000 rw- private  anon  account  \"a\"\n"
               "  vma  0x300000-0x302000 rw- private  anon  account  \"a\"\n");
}

static void
test_fork(void **state)
{
    struct names *s = *state;
    struct aspen_mm *child;

    helper_map(s->mm, AT(0x100), 4, RW);
    map_shared(s, 0x200, 4);
    assert_int_equal(name(s, 0x101, 2, "a"), 0);
    assert_int_equal(name(s, 0x200, 1, "b"), 0);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    assert_int_equal(name(s, 0x101, 2, NULL), 0);
    helper_assert_space(
        child, "  vma  0x100000-0x101000 rw- private  anon  account\n"
               "  vma  0x101000-0x103000 rw- private  anon  account  \"a\"\n"
               "  vma  0x103000-0x104000 rw- private  anon  account\n"
               "  vma  0x200000-0x201000 rw- shared  shmem 1+0x0  \"b\"\n"
               "  vma  0x201000-0x204000 rw- shared  shmem 1+0x1000\n");
    helper_assert_space(
        s->mm, "  vma  0x100000-0x104000 rw- private  anon  account\n"
               "  vma  0x200000-0x201000 rw- shared  shmem 1+0x0  \"b\"\n"
               "  vma  0x201000-0x204000 rw- shared  shmem 1+0x1000\n");
    helper_assert_valid(&s->helper);
    aspen_mm_put(child);
}

/* brk and stacks grow as they do without a name; what brk adds has none. */
static void
test_growth(void **state)
{
    struct names *s = *state;
    struct aspen_layout layout;

    aspen_layout_read(s->mm, &layout);
    layout.brk_start = layout.brk = AT(0x100);
    assert_int_equal(aspen_layout_set(s->mm, &layout), 0);
    assert_int_equal(aspen_brk(s->mm, AT(0x102), NULL), 0);
    helper_map(s->mm, AT(0x1000), 2, RW | ASPEN_VM_GROWSDOWN);
    assert_int_equal(name(s, 0x100, 2, "h"), 0);
    assert_int_equal(name(s, 0x1000, 2, "s"), 0);
    assert_int_equal(aspen_brk(s->mm, AT(0x104), NULL), 0);
    helper_put(&s->helper, s->mm, AT(0xfff), 1);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x102000 rw- private  anon  account  \"h\"\n"
               "  vma  0x102000-0x104000 rw- private  anon  account\n"
               "  vma  0xfff000-0x1002000 rw- private  anon 1  growsdown "
               "account  \"s\"\n");
    /* The places of heap and stack are told first. */
    assert_null(strstr(maps_of(s), "[anon:"));
    assert_non_null(strstr(s->text, "[heap]"));
    assert_non_null(strstr(s->text, "[stack]"));
}

static void
test_import(void **state)
{
    struct names *s = *state;
    struct aspen_object *file =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 8, NULL, NULL);
    struct aspen_import_vma vma = {.start = AT(0x100),
                                   .end = AT(0x102),
                                   .vm_flags = RW | ASPEN_VM_MAYREAD |
                                               ASPEN_VM_MAYWRITE,
                                   .name = "taken"};

    assert_int_equal(aspen_import_vma(s->mm, &vma), 0);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x102000 rw- private  anon  \"taken\"\n");
    vma.start = AT(0x102);
    vma.end = AT(0x104);
    vma.name = "[bad]";
    assert_int_equal(aspen_import_vma(s->mm, &vma), -ASPEN_EINVAL);
    vma.name = "file";
    vma.object = file;
    assert_int_equal(aspen_import_vma(s->mm, &vma), -ASPEN_EINVAL);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x102000 rw- private  anon  \"taken\"\n");
    aspen_object_put(file);
}

/* A name is state: the hash tells, and tells when it is gone. */
static void
test_hash(void **state)
{
    struct names *s = *state;

    helper_map(s->mm, AT(0x100), 4, RW);
    uint64_t before = aspen_hash_mm(s->mm, ASPEN_HASH_SEMANTIC);
    assert_int_equal(name(s, 0x100, 4, "a"), 0);
    uint64_t named = aspen_hash_mm(s->mm, ASPEN_HASH_SEMANTIC);
    assert_int_not_equal(before, named);
    assert_int_equal(name(s, 0x100, 4, ""), 0);
    assert_int_not_equal(before, aspen_hash_mm(s->mm, ASPEN_HASH_SEMANTIC));
    assert_int_equal(name(s, 0x100, 4, "a"), 0);
    assert_int_equal(named, aspen_hash_mm(s->mm, ASPEN_HASH_SEMANTIC));
    assert_int_equal(name(s, 0x100, 4, NULL), 0);
    assert_int_equal(before, aspen_hash_mm(s->mm, ASPEN_HASH_SEMANTIC));
    char *text = helper_dump(s->mm, false);
    assert_null(strchr(text, '"'));
    free(text);
}

/* ---- Every step fails -------------------------------------------------- */

static void
setup_failing(void *context)
{
    struct names *s = context;

    create(s, ASPEN_SEMANTICS_6_18);
    helper_map(s->mm, AT(0x100), 8, RW);
    helper_map(s->mm, AT(0x110), 8, RW);
    map_shared(s, 0x118, 4);
    helper_put(&s->helper, s->mm, AT(0x101), 1);
    helper_put(&s->helper, s->mm, AT(0x111), 1);
    assert_int_equal(name(s, 0x104, 4, "old"), 0);
}

/* Splits the first, joins in the middle, splits the last; a hole besides. */
static int
run_failing(void *context)
{
    struct names *s = context;
    int error = name(s, 0x102, 0x18, "new");

    return error == -ASPEN_ENOMEM && s->mm->map_count == 5 ? 0 : error;
}

static void
done_failing(void *context)
{
    struct names *s = context;

    helper_assert_space(
        s->mm,
        "  vma  0x100000-0x102000 rw- private  anon 1  account\n"
        "  vma  0x102000-0x108000 rw- private  anon 1  account  \"new\"\n"
        "  vma  0x110000-0x118000 rw- private  anon 2  account  \"new\"\n"
        "  vma  0x118000-0x11a000 rw- shared  shmem 1+0x0  \"new\"\n"
        "  vma  0x11a000-0x11c000 rw- shared  shmem 1+0x2000\n");
}

static void
teardown_failing(void *context)
{
    destroy(context);
}

static void
test_every_step(void **state)
{
    struct names s = {.text = ""};
    const struct helper_failing each = {
        .name = "name",
        .helper = &s.helper,
        .mm = &s.mm,
        .setup = setup_failing,
        .run = run_failing,
        .done = done_failing,
        .teardown = teardown_failing,
        .context = &s,
    };
    (void)state;

    assert_true(helper_fail_every_step(&each) > 10);
    assert_true(helper_failed_steps(&each, ASPEN_STEP_NAME) > 0);
}

/* ---- Beside the host --------------------------------------------------- */

/* Whether maps says so of the page. */
static bool
host_maps_says(const char *page, const char *what)
{
    char line[512], start[32];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");

    assert_non_null(maps);
    snprintf(start, sizeof(start), "%lx-", (unsigned long)page);
    while (fgets(line, sizeof(line), maps))
        found |= strncmp(line, start, strlen(start)) == 0 &&
                 strstr(line, what) != NULL;
    fclose(maps);
    return found;
}

static int
host_name(char *page, uint64_t pages, const char *text)
{
    return prctl(SET_VMA, ANON_NAME, page, pages * PAGE, text) ? -errno : 0;
}

static void
test_host(void **state)
{
    static const char *const texts[] = {"a", "", "[", "tab\t", NULL};
    struct names *s = *state;
    char *base = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(base != MAP_FAILED);
    if (host_name(base, 1, "probe")) {
        munmap(base, 16 * PAGE);
        unit_skip("the kernel has no CONFIG_ANON_VMA_NAME");
    }
    assert_true(host_maps_says(base, "[anon:probe]"));
    uint64_t page = (uintptr_t)base / PAGE;
    helper_map(s->mm, AT(page), 16, RW);
    munmap(base + 8 * PAGE, PAGE);
    helper_unmap(s->mm, AT(page + 8), 1);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        for (uint64_t first = 0; first < 16; first++)
            for (uint64_t count = 0; first + count <= 16; count += 3) {
                assert_int_equal(
                    name(s, page + first, count, texts[i]),
                    host_name(base + first * PAGE, count, texts[i]));
            }
    munmap(base, 16 * PAGE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_arguments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_holes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
        cmocka_unit_test(test_absent),
        cmocka_unit_test_setup_teardown(test_joins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_neighbours, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mremap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fork, setup, teardown),
        cmocka_unit_test_setup_teardown(test_growth, setup, teardown),
        cmocka_unit_test_setup_teardown(test_import, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hash, setup, teardown),
        cmocka_unit_test(test_every_step),
        cmocka_unit_test_setup_teardown(test_host, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
