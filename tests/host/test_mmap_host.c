/* SPDX-License-Identifier: MIT */
/*
 * The host's mmap, munmap, mprotect, mremap and mlock beside Aspen's: the same
 * random calls, touches and forks in a corner of this process and in Aspen have
 * to leave the same mappings, merges included. Skipped where the host is no
 * Linux 6.12 or later.
 */
#define _GNU_SOURCE
#include "host/host.h"
#include "helper.h"

#include "space/vma.h"
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

/* Nothing else is there, and sanitizers allow memory there. */
#define BASE    ((uint64_t)0x551000000000)
#define PAGES   64u
#define CALLS   1500
#define FAMILY  3 /* generations */
#define OBJECTS 2u

struct pair {
    enum aspen_semantics semantics;
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_object *objects[OBJECTS];
    int files[OBJECTS];
    uint64_t random;
    unsigned remaps; /* that changed something */
    bool forked; /* the host's children write to its files, not to Aspen's */
    bool never;  /* overcommits: then NORESERVE means nothing to it */
};

static uint64_t
below(struct pair *p, uint64_t limit)
{
    return unit_random(&p->random) % limit;
}

static void *
host_address(unsigned page)
{
    return (void *)(uintptr_t)(BASE + page * PAGE);
}

/* ---- Looking ----------------------------------------------------------- */

/* The host's mappings from BASE on: what maps shows of each, in pages. Of
 * anonymous memory it shows no offset. */
static char *
host_vmas(void)
{
    char *text = NULL;
    char *line = NULL;
    size_t size;
    size_t room = 0;
    FILE *out = open_memstream(&text, &size);
    FILE *maps = fopen("/proc/self/maps", "re");

    assert_non_null(out);
    assert_non_null(maps);
    while (getline(&line, &room, maps) > 0) {
        unsigned long long start, end, offset, inode;
        char access[5];
        assert_int_equal(sscanf(line, "%llx-%llx %4s %llx %*s %llu", &start,
                                &end, access, &offset, &inode),
                         5);
        if (start < BASE || start >= BASE + PAGES * PAGE)
            continue;
        fprintf(out, "%llx-%llx %s %llx\n", start / PAGE, end / PAGE, access,
                inode ? offset / PAGE : start / PAGE);
    }
    free(line);
    fclose(maps);
    fclose(out);
    return text;
}

/* The same of Aspen. Where pages have moved to, anonymous offsets differ. */
static char *
aspen_vmas(struct aspen_mm *mm)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    for (struct aspen_vma *vma = aspen_vma_find(mm, 0); vma;
         vma = aspen_vma_find(mm, vma->end))
        fprintf(
            out, "%llx-%llx %c%c%c%c %llx\n",
            (unsigned long long)(vma->start / PAGE),
            (unsigned long long)(vma->end / PAGE),
            vma->flags & ASPEN_VM_READ ? 'r' : '-',
            vma->flags & ASPEN_VM_WRITE ? 'w' : '-',
            vma->flags & ASPEN_VM_EXEC ? 'x' : '-',
            vma->flags & ASPEN_VM_SHARED ? 's' : 'p',
            (unsigned long long)(vma->object ? vma->pgoff : vma->start / PAGE));
    fclose(out);
    return text;
}

static bool
are_alike(struct pair *p)
{
    char *host = host_vmas();
    char *aspen = aspen_vmas(p->mm);
    bool alike = strcmp(host, aspen) == 0;

    free(aspen);
    free(host);
    return alike;
}

static void
compare(struct pair *p)
{
    char *host = host_vmas();
    char *aspen = aspen_vmas(p->mm);

    if (strcmp(host, aspen) != 0) {
        print_error("found:\n");
        print_error("%s", aspen);
        print_error("host:\n");
        print_error("%s", host);
        fail();
    }
    free(aspen);
    free(host);
}

/* ---- Calls ------------------------------------------------------------- */

static void
map_both(struct pair *p, unsigned first, unsigned count)
{
    static const struct {
        int host;
        uint64_t aspen;
    } access[] = {
        {PROT_READ | PROT_WRITE, RW},
        {PROT_READ | PROT_WRITE, RW},
        {PROT_READ, R},
        {PROT_READ | PROT_EXEC, RX},
        {PROT_NONE, 0},
    };
    unsigned kind = (unsigned)below(p, 5);
    unsigned object = (unsigned)below(p, OBJECTS + 2);
    bool shared = object < OBJECTS && below(p, 2);
    bool noreserve = below(p, 8) == 0 && !p->never;
    uint64_t offset = object < OBJECTS ? (below(p, 4) ? first : 0) : 0;
    int flags = (shared ? MAP_SHARED : MAP_PRIVATE) |
                (noreserve ? MAP_NORESERVE : 0) | MAP_FIXED |
                (object < OBJECTS ? 0 : MAP_ANONYMOUS);
    struct aspen_mmap_args args = {
        .address = BASE + first * PAGE,
        .length_bytes = count * PAGE,
        .vm_flags = access[kind].aspen | (shared ? ASPEN_VM_SHARED : 0) |
                    (noreserve ? ASPEN_VM_NORESERVE : 0),
        .flags = ASPEN_MAP_FIXED,
        .object = object < OBJECTS ? p->objects[object] : NULL,
        .offset_bytes = offset * PAGE,
    };
    uint64_t address;

    assert_ptr_equal(mmap(host_address(first), count * PAGE, access[kind].host,
                          flags, object < OBJECTS ? p->files[object] : -1,
                          (off_t)(offset * PAGE)),
                     host_address(first));
    assert_int_equal(aspen_mmap(p->mm, &args, &address), 0);
}

/* Every page of the range is mapped. */
static bool
is_whole(struct pair *p, unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++)
        if (!aspen_vma_at(p->mm, BASE + i * PAGE))
            return false;
    return true;
}

/* With a hole the host changes what is below it, Aspen nothing. */
static void
protect_both(struct pair *p, unsigned first, unsigned count)
{
    static const int prot[] = {PROT_READ | PROT_WRITE, PROT_READ,
                               PROT_READ | PROT_EXEC, PROT_NONE};
    static const uint64_t access[] = {RW, R, RX, 0};
    unsigned kind = (unsigned)below(p, 4);
    bool whole = is_whole(p, first, count);

    if (whole)
        assert_int_equal(
            mprotect(host_address(first), count * PAGE, prot[kind]), 0);
    assert_int_equal(aspen_mprotect(p->mm, BASE + first * PAGE, count * PAGE,
                                    access[kind], ASPEN_PKEY_SAME),
                     whole ? 0 : -ASPEN_ENOMEM);
}

/* Without pages: when these come decides which mappings share an anon_vma. */
static void
lock_both(struct pair *p, unsigned first, unsigned count)
{
    if (!is_whole(p, first, count))
        return;
    if (below(p, 2)) {
        int host = mlock2(host_address(first), count * PAGE, MLOCK_ONFAULT)
                       ? -errno
                       : 0;
        assert_int_equal(aspen_mlock(p->mm, BASE + first * PAGE, count * PAGE,
                                     ASPEN_MLOCK_ONFAULT),
                         host);
    } else {
        /* Sanitizers make the library's a call that does nothing. */
        assert_int_equal(
            syscall(SYS_munlock, host_address(first), count * PAGE), 0);
        assert_int_equal(
            aspen_munlock(p->mm, BASE + first * PAGE, count * PAGE), 0);
    }
}

static void
touch_both(struct pair *p, unsigned page)
{
    struct aspen_vma *vma = aspen_vma_at(p->mm, BASE + page * PAGE);

    if (!vma || !(vma->flags & ASPEN_VM_WRITE))
        return;
    uint8_t byte = (uint8_t)below(p, 256);
    *(volatile uint8_t *)host_address(page) = byte;
    helper_put(&p->helper, p->mm, BASE + page * PAGE, byte);
}

/* A byte more here and there, so that both find what to complain of. */
static uint64_t
perhaps_more(struct pair *p)
{
    return below(p, 40) ? 0 : 1 + below(p, PAGE - 1);
}

/* After DONTUNMAP of what is locked the host counts more than is locked: a
 * deviation, seen where a limit binds. */
static bool
counts_as_locked(struct pair *p, uint64_t address)
{
    struct aspen_vma *vma = aspen_vma_at(p->mm, address);

    return vma && vma->flags & ASPEN_VM_LOCKED &&
           aspen_limit(p->mm, ASPEN_LIMIT_MEMLOCK) < PAGES * PAGE * 2 &&
           !(aspen_privileges(p->mm) & ASPEN_PRIVILEGE_IPC_LOCK);
}

/* Before 6.15 the host looks at the mapping when what was at the target, and
 * what is too much of the old range, is gone: so it is here then. */
static void
follow_refusal(struct pair *p, uint64_t excess, uint64_t excess_bytes,
               uint64_t target, uint64_t target_bytes)
{
    if (p->semantics >= ASPEN_SEMANTICS_6_18 || are_alike(p))
        return;
    target_bytes = (target_bytes + PAGE - 1) & ~(PAGE - 1);
    assert_int_equal(aspen_munmap(p->mm, target, target_bytes), 0);
    if (!are_alike(p))
        assert_int_equal(aspen_munmap(p->mm, excess, excess_bytes), 0);
}

static void
remap_both(struct pair *p, unsigned first, unsigned count)
{
    static const struct {
        int host;
        unsigned aspen;
    } how[] = {
        {MREMAP_MAYMOVE | MREMAP_FIXED,
         ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED},
        {MREMAP_MAYMOVE | MREMAP_FIXED,
         ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED},
        {MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
         ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED | ASPEN_MREMAP_DONTUNMAP},
        {0, 0},
        {MREMAP_FIXED, ASPEN_MREMAP_FIXED},
    };
    unsigned kind = (unsigned)below(p, below(p, 20) ? 4 : 5);
    uint64_t old = first * PAGE + perhaps_more(p);
    uint64_t old_bytes = below(p, 20) ? count * PAGE : 0;
    old_bytes += perhaps_more(p);
    uint64_t new_bytes = below(p, 2) ? old_bytes : below(p, 12) * PAGE;
    unsigned to = (unsigned)below(p, PAGES);
    uint64_t address = BASE + old;

    /* What has no place in the corner would land outside of it. */
    new_bytes =
        new_bytes > (PAGES - to) * PAGE ? (PAGES - to) * PAGE : new_bytes;
    if (kind == 3 && new_bytes > (PAGES - first) * PAGE)
        new_bytes = (PAGES - first) * PAGE;
    uint64_t new = to *PAGE + perhaps_more(p);
    /* The host then takes away what it finds missing after that. */
    if (old_bytes == 0 && new_bytes && BASE + old - (BASE + new) < new_bytes)
        return;
    if (how[kind].host & MREMAP_DONTUNMAP && counts_as_locked(p, address))
        return;
    void *answer = mremap((char *)host_address(0) + old, old_bytes, new_bytes,
                          how[kind].host, (char *)host_address(0) + new);
    int host = answer == MAP_FAILED ? -errno : 0;
    int error = aspen_mremap(p->mm,
                             &(struct aspen_mremap_args){
                                 .address = BASE + old,
                                 .old_bytes = old_bytes,
                                 .new_bytes = new_bytes,
                                 .flags = how[kind].aspen,
                                 .new_address = BASE + new,
                             },
                             &address);
    if (error != host)
        fail_msg("mremap(%#lx, %#lx, %#lx, %d, %#lx): %d, host %d",
                 (unsigned long)old, (unsigned long)old_bytes,
                 (unsigned long)new_bytes, how[kind].host, (unsigned long)new,
                 error, host);
    if (!error)
        assert_int_equal(address, (uintptr_t)answer);
    else if (how[kind].host & MREMAP_FIXED)
        follow_refusal(p, BASE + old + new_bytes, old_bytes - new_bytes,
                       BASE + new, new_bytes);
    p->remaps += !error;
}

/* Every page that both can read has the same byte. */
static void
compare_contents(struct pair *p)
{
    for (unsigned i = 0; i < PAGES; i++) {
        struct aspen_vma *vma = aspen_vma_at(p->mm, BASE + i * PAGE);
        if (!vma || !(vma->flags & ASPEN_VM_READ) || (vma->object && p->forked))
            continue;
        assert_int_equal(*(volatile uint8_t *)host_address(i),
                         helper_get(&p->helper, p->mm, BASE + i * PAGE));
    }
}

static void
call_both(struct pair *p)
{
    unsigned first = (unsigned)below(p, PAGES);
    unsigned count = 1 + (unsigned)below(p, below(p, 4) ? 6 : PAGES);

    if (count > PAGES - first)
        count = PAGES - first;
    switch (below(p, 12)) {
    case 0:
    case 1:
        map_both(p, first, count);
        break;
    case 2:
    case 3:
    case 4:
        protect_both(p, first, count);
        break;
    case 5:
        lock_both(p, first, count);
        break;
    case 6:
        assert_int_equal(munmap(host_address(first), count * PAGE), 0);
        helper_unmap(p->mm, BASE + first * PAGE, count);
        break;
    case 7:
    case 8:
        remap_both(p, first, count);
        break;
    default:
        touch_both(p, first);
    }
}

static bool
host_never_overcommits(void)
{
    FILE *file = fopen("/proc/sys/vm/overcommit_memory", "re");
    int mode = file ? fgetc(file) : EOF;

    if (file)
        fclose(file);
    return mode == '2';
}

/* What this process may lock is what the space may. */
static void
take_limits(struct pair *p)
{
    struct host_process process;

    assert_int_equal(host_process_read(getpid(), &process), 0);
    assert_int_equal(aspen_limit_set(p->mm, ASPEN_LIMIT_MEMLOCK,
                                     process.limits[ASPEN_LIMIT_MEMLOCK]),
                     0);
    assert_int_equal(aspen_privileges_set(p->mm, process.privileges), 0);
}

/* ---- Generations ------------------------------------------------------- */

/* The host's fork, and in the child the calls of the next generation. */
static void run(struct pair *p, unsigned generations);

static void
run_child(struct pair *p, unsigned generations)
{
    struct aspen_mm *child;
    int status;

    assert_int_equal(aspen_fork(p->mm, &child), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        p->mm = child;
        run(p, generations - 1);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    aspen_mm_put(child);
    p->forked = true;
}

static void
run(struct pair *p, unsigned generations)
{
    const unsigned calls = unit_rounds(CALLS);

    for (unsigned i = 0; i < calls; i++) {
        call_both(p);
        compare(p);
        if (i % 16 == 0)
            compare_contents(p);
        if (i == calls / 2 && generations > 1)
            run_child(p, generations);
    }
    helper_assert_valid(&p->helper);
}

static void
test_host(void **state)
{
    (void)state;
    struct aspen_config config;
    struct pair pair;

    aspen_config_init(&config);
    if (!host_semantics(&config.semantics))
        unit_skip("not Linux 6.1 or later with pages of 4 KiB");
    pair.remaps = 0;
    pair.forked = false;
    pair.random = unit_seed("test_mmap_host", 1);
    pair.never = host_never_overcommits();
    pair.semantics = config.semantics;
    helper_create(&pair.helper, &config);
    pair.mm = helper_mm(&pair.helper);
    take_limits(&pair);
    for (unsigned i = 0; i < OBJECTS; i++) {
        pair.files[i] = memfd_create("test_mmap_host", MFD_CLOEXEC);
        assert_true(pair.files[i] >= 0);
        assert_int_equal(ftruncate(pair.files[i], (off_t)(2 * PAGES * PAGE)),
                         0);
        pair.objects[i] = helper_object(&pair.helper, ASPEN_OBJECT_SHMEM,
                                        2 * PAGES, NULL, NULL);
    }
    run(&pair, FAMILY);
    print_message("%u calls alike, %u of them mremap\n",
                  unit_rounds(CALLS) * FAMILY, pair.remaps);
    assert_int_equal(munmap(host_address(0), PAGES * PAGE), 0);
    aspen_mm_put(pair.mm);
    for (unsigned i = 0; i < OBJECTS; i++) {
        aspen_object_put(pair.objects[i]);
        close(pair.files[i]);
    }
    helper_destroy(&pair.helper);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_host)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
