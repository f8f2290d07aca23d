/* SPDX-License-Identifier: MIT */
/* mmap_pair.c - mmap, munmap, mprotect and mlock beside Aspen's. */
#define _GNU_SOURCE
#include "mmap_pair.h"
#include "host/host.h"

#include "space/vma.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS  1500
#define FAMILY 3 /* generations */

uint64_t
mmap_pair_below(struct mmap_pair *p, uint64_t limit)
{
    return unit_below(&p->random, limit);
}

void *
mmap_pair_address(unsigned page)
{
    return (void *)(uintptr_t)(MMAP_BASE + page * PAGE);
}

/* ---- Looking ----------------------------------------------------------- */

/* The host's mappings from MMAP_BASE on: what maps shows of each, in pages. Of
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
        if (start < MMAP_BASE || start >= MMAP_BASE + MMAP_PAGES * PAGE)
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

bool
mmap_pair_is_alike(struct mmap_pair *p)
{
    char *host = host_vmas();
    char *aspen = aspen_vmas(p->mm);
    bool alike = strcmp(host, aspen) == 0;

    free(aspen);
    free(host);
    return alike;
}

static void
compare(struct mmap_pair *p)
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
map_both(struct mmap_pair *p, unsigned first, unsigned count)
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
    unsigned kind = (unsigned)mmap_pair_below(p, 5);
    unsigned object = (unsigned)mmap_pair_below(p, MMAP_OBJECTS + 2);
    bool shared = object < MMAP_ZEROES && mmap_pair_below(p, 2);
    bool noreserve = mmap_pair_below(p, 8) == 0 && !p->never;
    uint64_t offset =
        object < MMAP_OBJECTS ? (mmap_pair_below(p, 4) ? first : 0) : 0;
    int flags = (shared ? MAP_SHARED : MAP_PRIVATE) |
                (noreserve ? MAP_NORESERVE : 0) | MAP_FIXED |
                (object < MMAP_OBJECTS ? 0 : MAP_ANONYMOUS);
    struct aspen_mmap_args args = {
        .address = MMAP_BASE + first * PAGE,
        .length_bytes = count * PAGE,
        .vm_flags = access[kind].aspen | (shared ? ASPEN_VM_SHARED : 0) |
                    (noreserve ? ASPEN_VM_NORESERVE : 0),
        .flags = ASPEN_MAP_FIXED,
        .object = object < MMAP_OBJECTS ? p->objects[object] : NULL,
        .offset_bytes = offset * PAGE,
    };
    uint64_t address;

    assert_ptr_equal(mmap(mmap_pair_address(first), count * PAGE,
                          access[kind].host, flags,
                          object < MMAP_OBJECTS ? p->files[object] : -1,
                          (off_t)(offset * PAGE)),
                     mmap_pair_address(first));
    assert_int_equal(aspen_mmap(p->mm, &args, &address), 0);
}

/* Every page of the range is mapped. */
static bool
is_whole(struct mmap_pair *p, unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++)
        if (!aspen_vma_at(p->mm, MMAP_BASE + i * PAGE))
            return false;
    return true;
}

/* With a hole the host changes what is below it, Aspen nothing. */
static void
protect_both(struct mmap_pair *p, unsigned first, unsigned count)
{
    static const int prot[] = {PROT_READ | PROT_WRITE, PROT_READ,
                               PROT_READ | PROT_EXEC, PROT_NONE};
    static const uint64_t access[] = {RW, R, RX, 0};
    unsigned kind = (unsigned)mmap_pair_below(p, 4);
    bool whole = is_whole(p, first, count);

    if (whole)
        assert_int_equal(
            mprotect(mmap_pair_address(first), count * PAGE, prot[kind]), 0);
    assert_int_equal(aspen_mprotect(p->mm, MMAP_BASE + first * PAGE,
                                    count * PAGE, access[kind],
                                    ASPEN_PKEY_SAME),
                     whole ? 0 : -ASPEN_ENOMEM);
}

/* Without pages: when these come decides which mappings share an anon_vma. */
static void
lock_both(struct mmap_pair *p, unsigned first, unsigned count)
{
    if (!is_whole(p, first, count))
        return;
    if (mmap_pair_below(p, 2)) {
        int host = mlock2(mmap_pair_address(first), count * PAGE, MLOCK_ONFAULT)
                       ? -errno
                       : 0;
        assert_int_equal(aspen_mlock(p->mm, MMAP_BASE + first * PAGE,
                                     count * PAGE, ASPEN_MLOCK_ONFAULT),
                         host);
    } else {
        /* Sanitizers make the library's a call that does nothing. */
        assert_int_equal(
            syscall(SYS_munlock, mmap_pair_address(first), count * PAGE), 0);
        assert_int_equal(
            aspen_munlock(p->mm, MMAP_BASE + first * PAGE, count * PAGE), 0);
    }
}

static void
touch_both(struct mmap_pair *p, unsigned page)
{
    struct aspen_vma *vma = aspen_vma_at(p->mm, MMAP_BASE + page * PAGE);

    if (!vma || !(vma->flags & ASPEN_VM_WRITE))
        return;
    uint8_t byte = (uint8_t)mmap_pair_below(p, 256);
    *(volatile uint8_t *)mmap_pair_address(page) = byte;
    helper_put(&p->helper, p->mm, MMAP_BASE + page * PAGE, byte);
}

/* Every page that both can read has the same byte. */
static void
compare_contents(struct mmap_pair *p)
{
    for (unsigned i = 0; i < MMAP_PAGES; i++) {
        struct aspen_vma *vma = aspen_vma_at(p->mm, MMAP_BASE + i * PAGE);
        if (!vma || !(vma->flags & ASPEN_VM_READ) || (vma->object && p->forked))
            continue;
        assert_int_equal(*(volatile uint8_t *)mmap_pair_address(i),
                         helper_get(&p->helper, p->mm, MMAP_BASE + i * PAGE));
    }
}

static void
call_both(struct mmap_pair *p)
{
    unsigned first = (unsigned)mmap_pair_below(p, MMAP_PAGES);
    unsigned count = 1 + (unsigned)mmap_pair_below(
                             p, mmap_pair_below(p, 4) ? 6 : MMAP_PAGES);

    if (count > MMAP_PAGES - first)
        count = MMAP_PAGES - first;
    switch (mmap_pair_below(p, 12)) {
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
        assert_int_equal(munmap(mmap_pair_address(first), count * PAGE), 0);
        helper_unmap(p->mm, MMAP_BASE + first * PAGE, count);
        break;
    case 7:
    case 8:
        if (p->more)
            p->more(p, first, count);
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
take_limits(struct mmap_pair *p)
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
static void run(struct mmap_pair *p, unsigned generations);

static void
run_child(struct mmap_pair *p, unsigned generations)
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
run(struct mmap_pair *p, unsigned generations)
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
make_objects(struct mmap_pair *p, const char *name)
{
    const struct aspen_object_args zeroes = {.kind = ASPEN_OBJECT_FILE,
                                             .flags = ASPEN_OBJECT_ZEROES};

    for (unsigned i = 0; i < MMAP_ZEROES; i++) {
        p->files[i] = memfd_create(name, MFD_CLOEXEC);
        assert_true(p->files[i] >= 0);
        assert_int_equal(ftruncate(p->files[i], (off_t)(2 * MMAP_PAGES * PAGE)),
                         0);
        p->objects[i] = helper_object(&p->helper, ASPEN_OBJECT_SHMEM,
                                      2 * MMAP_PAGES, NULL, NULL);
    }
    p->files[MMAP_ZEROES] = open("/dev/zero", O_RDWR | O_CLOEXEC);
    assert_true(p->files[MMAP_ZEROES] >= 0);
    assert_int_equal(
        aspen_object_create(p->helper.aspen, &zeroes, &p->objects[MMAP_ZEROES]),
        0);
}

void
mmap_pair_run(const char *name,
              void (*more)(struct mmap_pair *p, unsigned first, unsigned count))
{
    struct aspen_config config;
    struct mmap_pair pair;

    aspen_config_init(&config);
    if (!host_semantics(&config.semantics))
        unit_skip("not Linux 6.1 or later with pages of 4 KiB");
    if (host_dontunmap_apart())
        config.flags |= ASPEN_CONFIG_DONTUNMAP_APART;
    pair.more = more;
    pair.more_done = 0;
    pair.forked = false;
    pair.random = unit_seed(name, 1);
    pair.never = host_never_overcommits();
    pair.semantics = config.semantics;
    helper_create(&pair.helper, &config);
    pair.mm = helper_mm(&pair.helper);
    take_limits(&pair);
    make_objects(&pair, name);
    run(&pair, FAMILY);
    print_message("%u calls alike, %u of them by the test itself\n",
                  unit_rounds(CALLS) * FAMILY, pair.more_done);
    assert_int_equal(munmap(mmap_pair_address(0), MMAP_PAGES * PAGE), 0);
    aspen_mm_put(pair.mm);
    for (unsigned i = 0; i < MMAP_OBJECTS; i++) {
        aspen_object_put(pair.objects[i]);
        close(pair.files[i]);
    }
    helper_destroy(&pair.helper);
}
