/* SPDX-License-Identifier: MIT */
/*
 * Beside the host where the map count ends: the same random calls in a process
 * that has as many mappings as it may, but for a few, and in a space of Aspen
 * that is as near to its own limit. Both have to refuse the same calls.
 *
 * The host's process does nothing else: in this one Aspen's memory and
 * liburcu's thread would be mappings that come and go meanwhile.
 */
#define _GNU_SOURCE
#include "host/host.h"
#include "helper.h"

#include "space/vma.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define BASE   ((uint64_t)0x551000000000)
#define PAGES  32u
#define FILLER (BASE + GIB)
#define LIMIT  64u /* Aspen's */
#define CALLS  3000

enum { MMAP, MUNMAP, MPROTECT, MADVISE, MREMAP, KINDS, FILL = KINDS };
static const char *const names[KINDS] = {"mmap", "munmap", "mprotect",
                                         "madvise", "mremap"};

struct pair {
    struct helper helper;
    struct aspen_mm *mm;
    uint64_t random;
    unsigned calls[KINDS];
    unsigned refused[KINDS];
    pid_t host; /* its process */
    int calls_to;
    int answers_from;
};

static uint64_t
below(struct pair *p, uint64_t limit)
{
    return unit_below(&p->random, limit);
}

static void *
host_address(uint64_t page)
{
    return (void *)(uintptr_t)(BASE + page * PAGE);
}

/* ---- Looking ------------------------------------------------------------ */

/* Mappings of the host's process (the host counts no vsyscall), all or those of
 * the corner; these as "start-end access" into `out`. */
static unsigned
host_count(const struct pair *p, bool corner, char *out, size_t room)
{
    char line[512];
    unsigned count = 0;

    snprintf(line, sizeof(line), "/proc/%d/maps", (int)p->host);
    FILE *maps = fopen(line, "re");
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps)) {
        unsigned long long start, end;
        char access[5];
        assert_int_equal(sscanf(line, "%llx-%llx %4s", &start, &end, access),
                         3);
        if (strstr(line, "[vsyscall]"))
            continue;
        if (corner && start >= BASE + PAGES * PAGE)
            break;
        if (corner && start < BASE)
            continue;
        count++;
        if (corner) {
            int n = snprintf(out, room, "%llx-%llx %s\n", start, end, access);
            out += n;
            room -= (size_t)n;
        }
    }
    fclose(maps);
    return count;
}

static void
compare(struct pair *p)
{
    static char host[PAGES * 48];
    static char aspen[PAGES * 48];
    size_t used = 0;

    host[0] = aspen[0] = 0;
    host_count(p, true, host, sizeof(host));
    for (struct aspen_vma *vma = aspen_vma_find(p->mm, 0);
         vma && vma->start < FILLER; vma = aspen_vma_find(p->mm, vma->end))
        used += (size_t)snprintf(
            aspen + used, sizeof(aspen) - used, "%llx-%llx %c%c%cp\n",
            (unsigned long long)vma->start, (unsigned long long)vma->end,
            vma->flags & ASPEN_VM_READ ? 'r' : '-',
            vma->flags & ASPEN_VM_WRITE ? 'w' : '-',
            vma->flags & ASPEN_VM_EXEC ? 'x' : '-');
    if (strcmp(host, aspen) != 0)
        fail_msg("found:\n%shost:\n%s", aspen, host);
}

/* ---- Calls -------------------------------------------------------------- */

struct call {
    unsigned kind;
    uint64_t first;
    uint64_t count;
    uint64_t to;
    unsigned choice;
    uint64_t old;
};

static const int host_access[] = {PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE};
static const uint64_t aspen_access[] = {RW, R, 0};

/* Pages that are mappings of their own, from FILLER on. */
static int
fill(uint64_t pages)
{
    char *at = (char *)(uintptr_t)FILLER;

    if (mmap(at, pages * PAGE, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
        return -1;
    for (uint64_t i = 1; i < pages; i += 2)
        if (mprotect(at + i * PAGE, PAGE, PROT_READ) != 0)
            return -1;
    return 0;
}

/* In the host's process. */
static int
make_call(const struct call *c)
{
    void *at = host_address(c->first);
    size_t bytes = c->count * PAGE;
    int error = 0;

    switch (c->kind) {
    case MMAP:
        error =
            mmap(at, bytes, host_access[c->choice],
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED;
        break;
    case MUNMAP:
        error = munmap(at, bytes);
        break;
    case MPROTECT:
        error = mprotect(at, bytes, host_access[c->choice]);
        break;
    case MADVISE:
        error = madvise(at, bytes, c->choice ? MADV_DONTFORK : MADV_DOFORK);
        break;
    case FILL:
        error = fill(c->count);
        break;
    default:
        error = mremap(at, c->old * PAGE, bytes,
                       c->choice ? MREMAP_MAYMOVE | MREMAP_FIXED : 0,
                       host_address(c->to)) == MAP_FAILED;
    }
    return error ? -errno : 0;
}

/* The host's process: it ends with the one that asks. */
static void
serve(int calls_from, int answers_to)
{
    struct call c;

    while (read(calls_from, &c, sizeof(c)) == (ssize_t)sizeof(c)) {
        int error = make_call(&c);
        if (write(answers_to, &error, sizeof(error)) != (ssize_t)sizeof(error))
            break;
    }
    _exit(0);
}

static void
host_begin(struct pair *p)
{
    int calls[2], answers[2];

    assert_int_equal(pipe2(calls, O_CLOEXEC), 0);
    assert_int_equal(pipe2(answers, O_CLOEXEC), 0);
    fflush(NULL);
    p->host = fork();
    assert_true(p->host >= 0);
    if (p->host == 0) {
        close(calls[1]);
        close(answers[0]);
        serve(calls[0], answers[1]);
    }
    close(calls[0]);
    close(answers[1]);
    p->calls_to = calls[1];
    p->answers_from = answers[0];
}

static void
host_end(struct pair *p)
{
    int status;

    close(p->calls_to);
    close(p->answers_from);
    assert_int_equal(waitpid(p->host, &status, 0), p->host);
    assert_int_equal(status, 0);
}

static int
host_call(const struct pair *p, const struct call *c)
{
    int error;

    assert_int_equal(write(p->calls_to, c, sizeof(*c)), sizeof(*c));
    assert_int_equal(read(p->answers_from, &error, sizeof(error)),
                     sizeof(error));
    return error;
}

static int
aspen_call(struct pair *p, const struct call *c)
{
    uint64_t at = BASE + c->first * PAGE;
    uint64_t bytes = c->count * PAGE;
    struct aspen_mmap_args args = {.address = at,
                                   .length_bytes = bytes,
                                   .vm_flags = aspen_access[c->choice],
                                   .flags = ASPEN_MAP_FIXED};
    uint64_t address;

    switch (c->kind) {
    case MMAP:
        return aspen_mmap(p->mm, &args, &address);
    case MUNMAP:
        return aspen_munmap(p->mm, at, bytes);
    case MPROTECT:
        return aspen_mprotect(p->mm, at, bytes, aspen_access[c->choice],
                              ASPEN_PKEY_SAME);
    case MADVISE:
        return aspen_madvise(p->mm, at, bytes,
                             c->choice ? ASPEN_MADV_DONTFORK
                                       : ASPEN_MADV_DOFORK);
    default:
        return helper_remap(
            p->mm, at, c->old * PAGE, bytes,
            c->choice ? ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED : 0,
            BASE + c->to * PAGE);
    }
}

static struct call
random_call(struct pair *p)
{
    static const unsigned char deck[] = {MMAP,     MMAP,     MUNMAP,
                                         MPROTECT, MPROTECT, MPROTECT,
                                         MPROTECT, MADVISE,  MREMAP};
    struct call c = {.kind = deck[below(p, sizeof(deck))],
                     .first = below(p, PAGES),
                     .to = below(p, PAGES)};

    c.choice =
        (unsigned)below(p, c.kind == MADVISE || c.kind == MREMAP ? 2 : 3);
    c.count = 1 + below(p, below(p, 4) ? 4 : PAGES);
    c.count = c.count > PAGES - c.first ? PAGES - c.first : c.count;
    c.old = c.count;
    if (c.kind == MREMAP && below(p, 2))
        c.count = 1 + below(p, PAGES - (c.choice ? c.to : c.first));
    if (c.kind == MREMAP && c.choice && c.count > PAGES - c.to)
        c.count = c.old = PAGES - c.to;
    return c;
}

/* After an error the host may have done a part: both start afresh. */
static void
start_afresh(struct pair *p)
{
    const struct call calls[] = {{.kind = MUNMAP, .count = PAGES},
                                 {.kind = MMAP, .count = PAGES}};

    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(host_call(p, &calls[i]), 0);
        assert_int_equal(aspen_call(p, &calls[i]), 0);
    }
}

/* Every page of the range is mapped. */
static bool
is_whole(struct pair *p, uint64_t first, uint64_t count)
{
    for (uint64_t i = first; i < first + count; i++)
        if (!aspen_vma_at(p->mm, BASE + i * PAGE))
            return false;
    return true;
}

static void
step(struct pair *p)
{
    struct call c = random_call(p);

    if (c.kind != MMAP && c.kind != MUNMAP && !is_whole(p, c.first, c.old))
        return;
    int host = host_call(p, &c);
    int error = aspen_call(p, &c);
    if (host != error)
        fail_msg("%s %u of %llu + %llu (%llu) to %llu: %d, host %d",
                 names[c.kind], c.choice, (unsigned long long)c.first,
                 (unsigned long long)c.count, (unsigned long long)c.old,
                 (unsigned long long)c.to, error, host);
    p->calls[c.kind]++;
    p->refused[c.kind] += host == -ENOMEM || host == -EAGAIN;
    if (host)
        start_afresh(p);
    compare(p);
}

/* ---- Up to the limit ----------------------------------------------------- */

static unsigned
host_limit(void)
{
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    unsigned limit = 0;

    if (file && fscanf(file, "%u", &limit) != 1)
        limit = 0;
    if (file)
        fclose(file);
    return limit;
}

/* `left` more, and there are as many as there may be. */
static void
run(uint64_t seed, unsigned left, struct pair *p)
{
    struct aspen_config config;

    memset(p, 0, sizeof(*p));
    p->random = seed + left;
    host_begin(p);
    aspen_config_init(&config);
    (void)host_semantics(&config.semantics);
    config.map_count_max = LIMIT;
    helper_create(&p->helper, &config);
    p->mm = helper_mm(&p->helper);
    for (uint64_t i = 0; i < LIMIT - left; i++)
        helper_map(p->mm, FILLER + i * PAGE, 1, i % 2 ? R : 0);
    const struct call filling = {.kind = FILL,
                                 .count = host_limit() - left -
                                          host_count(p, false, NULL, 0)};
    assert_int_equal(host_call(p, &filling), 0);
    start_afresh(p);
    for (unsigned i = 0; i < CALLS; i++)
        step(p);
    helper_assert_valid(&p->helper);
    aspen_mm_put(p->mm);
    helper_destroy(&p->helper);
    host_end(p);
    if (left == 3)
        for (unsigned i = 0; i < KINDS; i++)
            assert_true(p->refused[i] > 0);
    for (unsigned i = 0; i < KINDS; i++)
        printf("%s %u of %u, ", names[i], p->refused[i], p->calls[i]);
    printf("refused with %u left\n", left);
    fflush(stdout);
}

static void
test_limit(void **state)
{
    (void)state;
    enum aspen_semantics semantics;
    uint64_t seed = unit_seed("test_map_count_host", 1);
    unsigned limit = host_limit();

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    unit_skip("a sanitizer's own mappings would count");
#endif
    if (!host_semantics(&semantics) || limit < 1000 || limit > 100000)
        unit_skip("not Linux 6.1 or later, or its max_map_count of %u", limit);
    for (unsigned left = 3; left <= 18; left += 3) {
        struct pair pair;
        run(seed, left, &pair);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_limit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
