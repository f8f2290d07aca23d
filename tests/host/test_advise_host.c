/* SPDX-License-Identifier: MIT */
/*
 * madvise on the host and in Aspen: each advice for each kind of mapping, in a
 * process of its own each. Answers, mappings and their flags, residency,
 * and contents have to be the same. Then random advice among random mappings.
 * What the host does not know is counted by name; skipped where the host is no
 * Linux 6.12 or later.
 */
#define _GNU_SOURCE
#include "host/host.h"
#include "host/refused.h"
#include "helper.h"
#include "host_memory.h"

#include "space/vma.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define BASE      ((uint64_t)0x551000000000)
#define PAGES     8u  /* of a mapping of the table */
#define SPACE     48u /* of the random test */
#define CALLS     3000
#define TEXT_MAX  16384
#define SYS_MSEAL 462

/* ---- Advices ----------------------------------------------------------- */

static const struct advice {
    const char *name;
    enum aspen_advice number;
} advices[] = {
    {"NORMAL", ASPEN_MADV_NORMAL},
    {"RANDOM", ASPEN_MADV_RANDOM},
    {"SEQUENTIAL", ASPEN_MADV_SEQUENTIAL},
    {"WILLNEED", ASPEN_MADV_WILLNEED},
    {"DONTNEED", ASPEN_MADV_DONTNEED},
    {"FREE", ASPEN_MADV_FREE},
    {"DONTFORK", ASPEN_MADV_DONTFORK},
    {"DOFORK", ASPEN_MADV_DOFORK},
    {"MERGEABLE", ASPEN_MADV_MERGEABLE},
    {"UNMERGEABLE", ASPEN_MADV_UNMERGEABLE},
    {"HUGEPAGE", ASPEN_MADV_HUGEPAGE},
    {"NOHUGEPAGE", ASPEN_MADV_NOHUGEPAGE},
    {"DONTDUMP", ASPEN_MADV_DONTDUMP},
    {"DODUMP", ASPEN_MADV_DODUMP},
    {"WIPEONFORK", ASPEN_MADV_WIPEONFORK},
    {"KEEPONFORK", ASPEN_MADV_KEEPONFORK},
    {"COLD", ASPEN_MADV_COLD},
    {"PAGEOUT", ASPEN_MADV_PAGEOUT},
    {"POPULATE_READ", ASPEN_MADV_POPULATE_READ},
    {"POPULATE_WRITE", ASPEN_MADV_POPULATE_WRITE},
    {"DONTNEED_LOCKED", ASPEN_MADV_DONTNEED_LOCKED},
    {"COLLAPSE", ASPEN_MADV_COLLAPSE},
    {"GUARD_INSTALL", ASPEN_MADV_GUARD_INSTALL},
    {"GUARD_REMOVE", ASPEN_MADV_GUARD_REMOVE},
    {"REMOVE", ASPEN_MADV_REMOVE},
    {"5", (enum aspen_advice)5},
    {"99", (enum aspen_advice)99},
};

#define ADVICES (sizeof(advices) / sizeof(advices[0]))

/* ---- Both sides -------------------------------------------------------- */

struct sides {
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_object *object;
    int file;
    uint64_t random;
    unsigned known;     /* advices that the host knows, as bits */
    bool frames_go_bad; /* it has CONFIG_MEMORY_FAILURE */
    struct aspen_config config;
    char last[80]; /* call */
};

static void *
host(uint64_t page)
{
    return (void *)(uintptr_t)(BASE + page * PAGE);
}

static void
sides_create(struct sides *s)
{
    helper_create(&s->helper, &s->config);
    s->mm = helper_mm(&s->helper);
    s->object =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, SPACE, NULL, NULL);
    s->file = memfd_create("test_advise_host", MFD_CLOEXEC);
    assert_true(s->file >= 0);
    assert_int_equal(ftruncate(s->file, (off_t)(SPACE * PAGE)), 0);
}

static void
sides_destroy(struct sides *s)
{
    aspen_mm_put(s->mm);
    aspen_object_put(s->object);
    helper_destroy(&s->helper);
    close(s->file);
}

/* ---- What is there now ------------------------------------------------- */

/* "gu" among VmFlags is from 6.18.x on. */
static bool shows_guards;

/*
 * From the text of smaps, of either: pages, access, VmFlags without those that
 * only one side keeps. (The host counts lazily freed pages late.)
 */
static void
normalize(FILE *smaps, char *out, size_t room)
{
    char line[512];
    bool ours = false;
    unsigned long long start, end;
    char access[8];
    size_t at = 0;

    while (fgets(line, sizeof(line), smaps)) {
        if (sscanf(line, "%llx-%llx %7s", &start, &end, access) == 3) {
            ours = start >= BASE && start < BASE + SPACE * PAGE;
            if (ours)
                at += (size_t)snprintf(out + at, room - at, "%llx-%llx %s",
                                       (start - BASE) / PAGE,
                                       (end - BASE) / PAGE, access);
        }
        if (!ours || strncmp(line, "VmFlags:", 8))
            continue;
        for (char *flag = strtok(line + 8, " \n"); flag;
             flag = strtok(NULL, " \n"))
            if (strcmp(flag, "sd") && (shows_guards || strcmp(flag, "gu")))
                at += (size_t)snprintf(out + at, room - at, " %s", flag);
        at += (size_t)snprintf(out + at, room - at, "\n");
    }
    assert_true(at < room);
}

static void
host_vmas(char *out, size_t room)
{
    FILE *smaps = fopen("/proc/self/smaps", "re");

    assert_non_null(smaps);
    out[0] = '\0';
    normalize(smaps, out, room);
    fclose(smaps);
}

static void
aspen_vmas(struct aspen_mm *mm, char *out, size_t room)
{
    char *text = helper_smaps(mm);

    out[0] = '\0';
    if (text[0]) {
        FILE *smaps = fmemopen(text, strlen(text), "r");
        normalize(smaps, out, room);
        fclose(smaps);
    }
    free(text);
}

/* Of each page whether it is resident, or "-" for a hole. */
static void
residency(const struct sides *s, bool on_host, unsigned pages, char *out)
{
    for (unsigned i = 0; i < pages; i++) {
        unsigned char there = 0;
        bool hole =
            on_host ? mincore(host(i), PAGE, &there) != 0
                    : aspen_mincore(s->mm, BASE + i * PAGE, PAGE, &there) != 0;
        out[i] = hole ? '-' : (char)('0' + (there & 1));
    }
    out[pages] = '\0';
}

/* The first byte of each page, or "!" where nobody can read. It faults pages
 * in, so this comes last. */
static void
contents(const struct sides *s, bool on_host, unsigned pages, char *out)
{
    uint64_t done;

    for (unsigned i = 0; i < pages; i++) {
        char byte = 0;
        bool read = on_host ? helper_host_read(&byte, host(i), 1) == 1
                            : !aspen_read_memory(s->mm, BASE + i * PAGE, &byte,
                                                 1, 0, &done);
        out[i] = !read ? '!' : byte ? byte : '.';
    }
    out[pages] = '\0';
}

static void
describe(const struct sides *s, bool on_host, unsigned pages, int answer,
         char *out)
{
    size_t at = (size_t)sprintf(out, "answer %d\n", answer);

    if (on_host)
        host_vmas(out + at, TEXT_MAX - at);
    else
        aspen_vmas(s->mm, out + at, TEXT_MAX - at);
    at += strlen(out + at);
    residency(s, on_host, pages, out + at);
    strcat(out + at, "\n");
    at += strlen(out + at);
    contents(s, on_host, pages, out + at);
}

/* ---- Kinds of mappings ------------------------------------------------- */

static const struct kind {
    const char *name;
    uint64_t access;
    bool shared;
    bool file;
    bool locked;
    bool sealed;
    bool then_read_only;
} kinds[] = {
    {.name = "private", .access = RW},
    {.name = "private, read-only", .access = R},
    {.name = "private, no access", .access = 0},
    {.name = "private, locked", .access = RW, .locked = true},
    {.name = "private, sealed", .access = RW, .sealed = true},
    {.name = "private, sealed, read-only",
     .access = RW,
     .sealed = true,
     .then_read_only = true},
    {.name = "private file", .access = RW, .file = true},
    {.name = "private file, read-only", .access = R, .file = true},
    {.name = "private file, sealed", .access = R, .file = true, .sealed = true},
    {.name = "shared", .access = RW, .file = true, .shared = true},
    {.name = "shared, read-only", .access = R, .file = true, .shared = true},
    {.name = "shared, locked",
     .access = RW,
     .file = true,
     .shared = true,
     .locked = true},
    {.name = "shared, sealed, read-only",
     .access = R,
     .file = true,
     .shared = true,
     .sealed = true},
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static int
host_access(uint64_t access)
{
    return (access & ASPEN_VM_READ ? PROT_READ : 0) |
           (access & ASPEN_VM_WRITE ? PROT_WRITE : 0);
}

static void
map_both(struct sides *s, const struct kind *kind, unsigned first,
         unsigned pages)
{
    int flags = (kind->shared ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED |
                (kind->file ? 0 : MAP_ANONYMOUS);
    struct aspen_mmap_args args = {
        .address = BASE + first * PAGE,
        .length_bytes = pages * PAGE,
        .vm_flags = kind->access | (kind->shared ? ASPEN_VM_SHARED : 0),
        .flags = ASPEN_MAP_FIXED,
        .object = kind->file ? s->object : NULL,
        .offset_bytes = kind->file ? first * PAGE : 0,
    };
    uint64_t address;

    assert_ptr_equal(mmap(host(first), pages * PAGE, host_access(kind->access),
                          flags, kind->file ? s->file : -1,
                          kind->file ? (off_t)(first * PAGE) : 0),
                     host(first));
    assert_int_equal(aspen_mmap(s->mm, &args, &address), 0);
}

static void
write_both(struct sides *s, unsigned page, char byte)
{
    *(volatile char *)host(page) = byte;
    helper_put(&s->helper, s->mm, BASE + page * PAGE, (uint8_t)byte);
}

/* Pages of the kind, of which 1, 3 and 5 are written where that may be. */
static void
prepare(struct sides *s, const struct kind *kind)
{
    map_both(s, kind, 0, PAGES);
    for (unsigned i = 1; i < 6 && kind->access & ASPEN_VM_WRITE; i += 2)
        write_both(s, i, (char)('a' + i));
    if (kind->then_read_only) {
        assert_int_equal(mprotect(host(0), PAGES * PAGE, PROT_READ), 0);
        assert_int_equal(
            aspen_mprotect(s->mm, BASE, PAGES * PAGE, R, ASPEN_PKEY_SAME), 0);
    }
    if (kind->locked) {
        /* Sanitizers make the library's mlock do nothing. */
        assert_int_equal(syscall(SYS_mlock, host(0), PAGES * PAGE), 0);
        assert_int_equal(aspen_mlock(s->mm, BASE, PAGES * PAGE, 0), 0);
    }
    if (kind->sealed) {
        assert_int_equal(syscall(SYS_MSEAL, host(0), PAGES * PAGE, 0), 0);
        assert_int_equal(aspen_mseal(s->mm, BASE, PAGES * PAGE), 0);
    }
}

/* RLIMIT_MEMLOCK may be less. */
static bool
host_locks(void)
{
    void *at =
        mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(at != MAP_FAILED);
    bool locks = !syscall(SYS_mlock2, at, PAGES * PAGE, MLOCK_ONFAULT);
    munmap(at, PAGES * PAGE);
    return locks;
}

/* ---- The table --------------------------------------------------------- */

/* In a child: exit code 0 if both are alike, and the difference is printed. */
static int
try_advice(struct sides *s, const struct kind *kind,
           const struct advice *advice)
{
    static char expected[TEXT_MAX], found[TEXT_MAX];

    sides_create(s);
    prepare(s, kind);
    int answer = madvise(host(2), 4 * PAGE, (int)advice->number) ? -errno : 0;
    describe(s, true, PAGES, answer, expected);
    answer = aspen_madvise(s->mm, BASE + 2 * PAGE, 4 * PAGE, advice->number);
    describe(s, false, PAGES, answer, found);
    helper_assert_valid(&s->helper);
    if (!strcmp(expected, found))
        return 0;
    fprintf(stderr, "%s: %s\n the host:\n%s\n Aspen:\n%s\n", kind->name,
            advice->name, expected, found);
    return 1;
}

static void
test_table(void **state)
{
    struct sides *s = *state;
    unsigned failed = 0;
    unsigned tried = 0;
    int status;

    if (!s->known)
        unit_skip("not Linux 6.1 or later with pages of 4 KiB");
    for (size_t k = 0; k < KINDS; k++) {
        if (kinds[k].sealed && host_refuses(HOST_MSEAL)) {
            unit_skip_part("%s: %s", kinds[k].name, host_refuses(HOST_MSEAL));
            continue;
        }
        if (kinds[k].locked && !host_locks()) {
            unit_skip_part("%s: RLIMIT_MEMLOCK is below %u pages",
                           kinds[k].name, PAGES);
            continue;
        }
        for (size_t a = 0; a < ADVICES; a++) {
            if (!(s->known & 1u << a))
                continue;
            fflush(NULL);
            pid_t pid = fork();
            assert_true(pid >= 0);
            if (pid == 0)
                _exit(try_advice(s, &kinds[k], &advices[a]));
            assert_int_equal(waitpid(pid, &status, 0), pid);
            failed += status != 0;
            tried++;
        }
    }
    print_message("%u advices of mappings, %u differ\n", tried, failed);
    assert_int_equal(failed, 0);
}

/* ---- Random ------------------------------------------------------------ */

static uint64_t
below(struct sides *s, uint64_t limit)
{
    return unit_random(&s->random) % limit;
}

/*
 * Where the host advises a part of what it refuses, Aspen may advise nothing:
 * all of the range has to be alike. And the host drops pages that were freed
 * lazily when it likes, or when they are paged out.
 */
static bool
is_comparable(struct sides *s, enum aspen_advice advice, unsigned first,
              unsigned count)
{
    bool anonymous = false, object = false;

    if (advice == ASPEN_MADV_FREE || advice == ASPEN_MADV_PAGEOUT)
        return false;
    for (unsigned i = first; i < first + count; i++) {
        struct aspen_vma *vma = aspen_vma_at(s->mm, BASE + i * PAGE);
        if (vma && vma->object)
            object = true;
        else if (vma)
            anonymous = true;
    }
    return !anonymous || !object;
}

static void
advise_both(struct sides *s, unsigned first, unsigned count)
{
    size_t a = below(s, ADVICES);

    if (!(s->known & 1u << a) ||
        !is_comparable(s, advices[a].number, first, count))
        return;
    snprintf(s->last, sizeof(s->last), "%s of %u pages at %u", advices[a].name,
             count, first);
    int expected =
        madvise(host(first), count * PAGE, (int)advices[a].number) ? -errno : 0;
    int found = aspen_madvise(s->mm, BASE + first * PAGE, count * PAGE,
                              advices[a].number);
    if (expected != found)
        fail_msg("%s of %u pages at %u: %d, Aspen: %d", advices[a].name, count,
                 first, expected, found);
}

static void
touch_both(struct sides *s, unsigned page)
{
    uint32_t frame;
    struct aspen_vma *vma = aspen_vma_at(s->mm, BASE + page * PAGE);

    if (vma && vma->flags & ASPEN_VM_WRITE &&
        !helper_access(s->mm, BASE + page * PAGE, ASPEN_ACCESS_WRITE, &frame))
        write_both(s, page, (char)('a' + below(s, 26)));
}

static void
protect_both(struct sides *s, unsigned first, unsigned count)
{
    uint64_t access = below(s, 3) ? RW : R;

    for (unsigned i = first; i < first + count; i++)
        if (!aspen_vma_at(s->mm, BASE + i * PAGE))
            return;
    assert_int_equal(mprotect(host(first), count * PAGE, host_access(access)),
                     0);
    assert_int_equal(aspen_mprotect(s->mm, BASE + first * PAGE, count * PAGE,
                                    access, ASPEN_PKEY_SAME),
                     0);
}

static void
call_both(struct sides *s)
{
    static const struct kind some[] = {
        {.access = RW},
        {.access = RW},
        {.access = R},
        {.access = RW, .file = true},
        {.access = RW, .file = true, .shared = true}};
    unsigned first = (unsigned)below(s, SPACE);
    unsigned count = 1 + (unsigned)below(s, below(s, 4) ? 6 : SPACE);

    if (count > SPACE - first)
        count = SPACE - first;
    unsigned call = (unsigned)below(s, 10);
    snprintf(s->last, sizeof(s->last), "%u: %u at %u", call, count, first);
    switch (call) {
    case 0:
        map_both(s, &some[below(s, 5)], first, count);
        break;
    case 1:
        assert_int_equal(munmap(host(first), count * PAGE), 0);
        helper_unmap(s->mm, BASE + first * PAGE, count);
        break;
    case 2:
        protect_both(s, first, count);
        break;
    case 3:
    case 4:
    case 5:
        touch_both(s, first);
        break;
    default:
        advise_both(s, first, count);
    }
}

static void
compare(struct sides *s, int call)
{
    static char expected[TEXT_MAX], found[TEXT_MAX];
    char there[2][SPACE + 1];

    host_vmas(expected, sizeof(expected));
    aspen_vmas(s->mm, found, sizeof(found));
    if (strcmp(expected, found))
        fail_msg("call %d, %s: the host:\n%s\n Aspen:\n%s", call, s->last,
                 expected, found);
    residency(s, true, SPACE, there[0]);
    residency(s, false, SPACE, there[1]);
    /* Under pressure the host drops clean pages of files, shared memory too. */
    for (unsigned i = 0; i < SPACE; i++) {
        struct aspen_vma *vma = aspen_vma_at(s->mm, BASE + i * PAGE);
        if (vma && vma->object)
            there[0][i] = there[1][i] = 'f';
    }
    if (strcmp(there[0], there[1]))
        fail_msg("call %d, %s: pages\n%s\n Aspen:\n%s\n%s", call, s->last,
                 there[0], there[1], found);
}

static void
test_random(void **state)
{
    struct sides *s = *state;
    char bytes[2][SPACE + 1];

    if (!s->known)
        unit_skip("not Linux 6.1 or later with pages of 4 KiB");
    s->random = unit_seed("test_advise_host", 1);
    sides_create(s);
    for (int i = 0; i < (int)unit_rounds(CALLS); i++) {
        call_both(s);
        compare(s, i);
    }
    contents(s, true, SPACE, bytes[0]);
    contents(s, false, SPACE, bytes[1]);
    assert_string_equal(bytes[0], bytes[1]);
    helper_assert_valid(&s->helper);
    assert_int_equal(munmap(host(0), SPACE * PAGE), 0);
    sides_destroy(s);
}

/* ---- Arguments --------------------------------------------------------- */

static void
test_arguments(void **state)
{
    static const struct {
        uint64_t address;
        uint64_t length;
        int advice;
    } rows[] = {
        {BASE, 0, 0},
        {BASE, 0, 99},
        {BASE, 0, 100},
        {BASE + 1, 0, 0},
        {BASE + 1, PAGE, 4},
        {BASE, UINT64_MAX, 4},
        {BASE, 0 - PAGE, 4},
        {BASE, 0 - BASE - PAGE, 0},
        {BASE, 1, 4},
        {BASE, 9 * PAGE, 4},
        {BASE, 9 * PAGE, 10},
        {BASE, 9 * PAGE, 23},
        {BASE - PAGE, 2 * PAGE, 4},
        {BASE - PAGE, 2 * PAGE, 12},
        {BASE - PAGE, PAGE, 12},
        {BASE + 8 * PAGE, PAGE, 8},
        {0xffffffff80000000, PAGE, 4},
    };
    struct sides *s = *state;

    if (!s->known)
        unit_skip("not Linux 6.1 or later with pages of 4 KiB");
    sides_create(s);
    prepare(s, &kinds[0]);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].advice == ASPEN_MADV_HWPOISON && s->frames_go_bad)
            continue; /* a deviation */
        int expected = madvise((void *)(uintptr_t)rows[i].address,
                               rows[i].length, rows[i].advice)
                           ? -errno
                           : 0;
        int found = aspen_madvise(s->mm, rows[i].address, rows[i].length,
                                  (enum aspen_advice)rows[i].advice);
        if (expected != found)
            fail_msg("row %zu: the host %d, Aspen %d", i, expected, found);
    }
    assert_int_equal(munmap(host(0), PAGES * PAGE), 0);
    sides_destroy(s);
}

/* ---- The host ---------------------------------------------------------- */

/* What it knows: an empty range is advised only by what is known. */
static void
probe(struct sides *s)
{
    for (size_t a = 0; a < ADVICES; a++)
        if (!madvise(NULL, 0, (int)advices[a].number) ||
            advices[a].number == 99 || advices[a].number == 5)
            s->known |= 1u << a;
        else
            print_message("the host does not know %s\n", advices[a].name);
    s->frames_go_bad = !madvise(NULL, 0, (int)ASPEN_MADV_HWPOISON);
    char text[TEXT_MAX];

    assert_true(mmap(host(0), PAGE, PROT_READ,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                     0) == host(0));
    shows_guards = true;
    madvise(host(0), PAGE, (int)ASPEN_MADV_GUARD_INSTALL);
    host_vmas(text, sizeof(text));
    shows_guards = strstr(text, " gu") != NULL;
    assert_int_equal(munmap(host(0), PAGE), 0);
    if (madvise(NULL, 0, MADV_MERGEABLE))
        s->config.flags |= ASPEN_CONFIG_KSM_ABSENT;
    if (madvise(NULL, 0, MADV_HUGEPAGE))
        s->config.huge_placement = ASPEN_HUGE_PLACEMENT_NEVER;
}

static int
setup(void **state)
{
    static struct sides sides;

    *state = &sides;
    /* Which pages a touch brings is compared; a host may bring 16 at a time. */
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    aspen_config_init(&sides.config);
    if (host_semantics(&sides.config.semantics))
        probe(&sides);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
