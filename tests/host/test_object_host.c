/* SPDX-License-Identifier: MIT */
/*
 * What mappings mean for whoever has the object, beside the host's kernel: a
 * memfd can be sealed against writing when nobody could write to it through a
 * mapping, what is not needed leaves the cache of a file, and other people's
 * files do not tell mincore what is in theirs.
 */
#define _GNU_SOURCE
#include "host/host.h"
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define BASE      ((uint64_t)0x551000000000)
#define PAGES     16u
#define SEQUENCES 4000u

struct pair {
    struct helper_space space;
    struct aspen_object *object;
    int memfd;
    enum aspen_semantics semantics;
    uint64_t random;
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

/* ---- Seals ------------------------------------------------------------- */

static uint64_t
flags_of(int protection, int flags)
{
    return ((protection & PROT_READ) ? R : 0) |
           ((protection & PROT_WRITE) ? ASPEN_VM_WRITE : 0) |
           (flags & MAP_SHARED ? ASPEN_VM_SHARED : 0);
}

static void
map_both(struct pair *p, uint64_t page, uint64_t pages)
{
    static const int protections[] = {PROT_NONE, PROT_READ,
                                      PROT_READ | PROT_WRITE};
    int protection = protections[below(p, 3)];
    int flags = below(p, 3) ? MAP_PRIVATE : MAP_SHARED;
    struct aspen_mmap_args args = {
        .address = BASE + page * PAGE,
        .length_bytes = pages * PAGE,
        .vm_flags = flags_of(protection, flags),
        .flags = ASPEN_MAP_FIXED,
        .object = p->object,
    };
    uint64_t address;

    assert_ptr_equal(mmap(host_address(page), pages * PAGE, protection,
                          flags | MAP_FIXED, p->memfd, 0),
                     host_address(page));
    assert_int_equal(aspen_mmap(p->space.mm, &args, &address), 0);
}

static void
unmap_both(struct pair *p, uint64_t page, uint64_t pages)
{
    assert_int_equal(munmap(host_address(page), pages * PAGE), 0);
    helper_unmap(p->space.mm, BASE + page * PAGE, pages);
}

/* The host's answer where nothing more may be mapped: in a process of its own,
 * since other threads of this one go on needing memory. */
static int
host_maps_without_room(struct pair *p)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        struct rlimit limit;
        getrlimit(RLIMIT_AS, &limit);
        limit.rlim_cur = 0;
        if (setrlimit(RLIMIT_AS, &limit) != 0)
            _exit(255);
        void *at = mmap(host_address(0), PAGES * PAGE, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_FIXED, p->memfd, 0);
        _exit(at == MAP_FAILED ? errno : 0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 255);
    return -WEXITSTATUS(status);
}

/* What both say to one that is shared, writable and beyond a limit, from that
 * release on that is known here. */
static void
share_too_much(struct pair *p)
{
    struct aspen_mmap_args args = {
        .address = BASE,
        .length_bytes = PAGES * PAGE,
        .vm_flags = RW | ASPEN_VM_SHARED,
        .flags = ASPEN_MAP_FIXED,
        .object = p->object,
    };

    if (p->semantics < ASPEN_SEMANTICS_6_18)
        return;
    int host = host_maps_without_room(p);
    assert_int_equal(aspen_limit_set(p->space.mm, ASPEN_LIMIT_AS, 0), 0);
    assert_int_equal(aspen_mmap(p->space.mm, &args, &(uint64_t){0}), host);
    assert_int_equal(
        aspen_limit_set(p->space.mm, ASPEN_LIMIT_AS, ASPEN_UNLIMITED), 0);
}

/* The host's answer to a mapping that is shared, with this access. */
static int
host_shares(struct pair *p, int protection)
{
    void *at = mmap(host_address(0), PAGE, protection, MAP_SHARED | MAP_FIXED,
                    p->memfd, 0);

    return at == MAP_FAILED ? -errno : 0;
}

static int
aspen_shares(struct pair *p, uint64_t vm_flags)
{
    struct aspen_mmap_args args = {
        .address = BASE,
        .length_bytes = PAGE,
        .vm_flags = vm_flags | ASPEN_VM_SHARED,
        .flags = ASPEN_MAP_FIXED,
        .object = p->object,
    };
    uint64_t address;

    return aspen_mmap(p->space.mm, &args, &address);
}

/* Whether it could be sealed. */
static bool
seal_both(struct pair *p)
{
    int host = fcntl(p->memfd, F_ADD_SEALS, F_SEAL_WRITE) == 0 ? 0 : -errno;

    assert_int_equal(aspen_object_deny_writable(p->object), host);
    if (host)
        return false;
    assert_int_equal(aspen_shares(p, RW),
                     host_shares(p, PROT_READ | PROT_WRITE));
    assert_int_equal(aspen_shares(p, RW), -ASPEN_EPERM);
    share_too_much(p);
    assert_int_equal(aspen_shares(p, R | ASPEN_VM_MAYREAD), 0);
    return true;
}

/* A memfd with a few mappings, some of which go again. */
static bool
one_sequence(struct pair *p)
{
    p->memfd = memfd_create("aspen", MFD_ALLOW_SEALING);
    assert_true(p->memfd >= 0);
    assert_int_equal(ftruncate(p->memfd, PAGES * PAGE), 0);
    p->object =
        helper_object(&p->space.helper, ASPEN_OBJECT_SHMEM, PAGES, NULL, NULL);
    for (uint64_t i = below(p, 6); i > 0; i--)
        if (below(p, 3))
            map_both(p, below(p, PAGES - 4), 1 + below(p, 4));
        else
            unmap_both(p, below(p, PAGES - 4), 1 + below(p, 8));
    bool sealed = seal_both(p);
    unmap_both(p, 0, PAGES);
    if (!sealed)
        assert_true(seal_both(p));
    unmap_both(p, 0, PAGES);
    helper_assert_valid(&p->space.helper);
    aspen_object_put(p->object);
    close(p->memfd);
    return sealed;
}

static void
seals(void **state)
{
    struct pair p = {.random = unit_seed("test_object_host", 1)};
    struct aspen_config config;
    unsigned sealed = 0;
    (void)state;

    aspen_config_init(&config);
    (void)host_semantics(&config.semantics);
    p.semantics = config.semantics;
    helper_space_create(&p.space, &config);
    for (unsigned i = 0; i < SEQUENCES; i++)
        sealed += one_sequence(&p);
    printf("%u of %u could be sealed at once\n", sealed, SEQUENCES);
    assert_in_range(sealed, SEQUENCES / 5, SEQUENCES - SEQUENCES / 5);
    helper_space_destroy(&p.space);
}

/* ---- Dropping ---------------------------------------------------------- */

#define FILE_PAGES 64u

struct cache {
    struct pair pair;
    int file;
    void *all;      /* of the file, never touched: for mincore alone */
    uint64_t dirty; /* bit n: page n was written in this round */
};

static const struct aspen_pager_ops disk = {.read = helper_pager_read,
                                            .write = helper_pager_write};

static void
read_both(struct cache *c, uint64_t page)
{
    char byte;
    uint64_t done;

    assert_int_equal(pread(c->file, &byte, 1, (off_t)(page * PAGE)), 1);
    assert_int_equal(
        aspen_object_read(c->pair.object, page * PAGE, &byte, 1, &done), 0);
}

static void
write_both(struct cache *c, uint64_t page)
{
    uint64_t done;

    c->dirty |= (uint64_t)1 << page;
    assert_int_equal(pwrite(c->file, "!", 1, (off_t)(page * PAGE)), 1);
    assert_int_equal(
        aspen_object_write(c->pair.object, page * PAGE, "!", 1, &done), 0);
}

static void
drop_both(struct cache *c, uint64_t offset, uint64_t length)
{
    uint64_t dropped;

    assert_int_equal(posix_fadvise(c->file, (off_t)offset, (off_t)length,
                                   POSIX_FADV_DONTNEED),
                     0);
    assert_int_equal(
        aspen_object_drop(c->pair.object, offset, length, &dropped), 0);
}

/* Which pages are there: as many as differ. The host begins to write what is
 * dirty, and drops it if that ends soon. */
static unsigned
differing(struct cache *c, const char *what)
{
    uint8_t host[FILE_PAGES], ours[FILE_PAGES];
    unsigned differ = 0;

    assert_int_equal(mincore(c->all, FILE_PAGES * PAGE, host), 0);
    assert_int_equal(
        aspen_mincore(c->pair.space.mm, BASE + GIB, FILE_PAGES * PAGE, ours),
        0);
    for (unsigned i = 0; i < FILE_PAGES; i++)
        if (c->dirty >> i & 1 ? !ours[i] : (host[i] & 1) != ours[i]) {
            differ++;
            printf("%s: page %u: host %u, aspen %u\n", what, i, host[i] & 1u,
                   ours[i]);
        }
    return differ;
}

/* Both start clean and empty; pages come one by one, since the host keeps or
 * drops as one what it has read as one. */
static unsigned
one_round(struct cache *c)
{
    struct pair *p = &c->pair;
    uint64_t mapped = below(p, FILE_PAGES);
    struct aspen_object *object = p->object;

    assert_int_equal(fsync(c->file), 0);
    assert_int_equal(aspen_object_sync(object, 0, UINT64_MAX), 0);
    drop_both(c, 0, FILE_PAGES * PAGE);
    c->dirty = 0;
    for (unsigned i = 0; i < 40; i++)
        read_both(c, below(p, FILE_PAGES));
    for (unsigned i = 0; i < 6; i++)
        write_both(c, below(p, FILE_PAGES));
    read_both(c, mapped);
    volatile char *at =
        mmap(host_address(0), PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, c->file,
             (off_t)(mapped * PAGE));
    assert_ptr_equal(at, host_address(0));
    (void)*at;
    helper_map_object(p->space.mm, BASE, 1, R | ASPEN_VM_SHARED, object,
                      mapped);
    helper_get(&p->space.helper, p->space.mm, BASE);
    unsigned differ = differing(c, "before");
    uint64_t start = below(p, FILE_PAGES * PAGE);
    uint64_t length = 1 + below(p, FILE_PAGES * PAGE);
    drop_both(c, below(p, 2) ? start : start & ~(PAGE - 1), length);
    differ += differing(c, "after");
    unmap_both(p, 0, 1);
    return differ;
}

/* That of memory does not. */
static bool
host_drops(struct cache *c)
{
    uint8_t there[FILE_PAGES];

    assert_int_equal(fsync(c->file), 0);
    assert_int_equal(posix_fadvise(c->file, 0, 0, POSIX_FADV_DONTNEED), 0);
    assert_int_equal(mincore(c->all, FILE_PAGES * PAGE, there), 0);
    return !(there[0] & 1) && !(there[FILE_PAGES - 1] & 1);
}

static void
dropping(void **state)
{
    char name[] = "object-XXXXXX";
    struct cache c = {.pair.random = unit_seed("test_object_host", 2)};
    struct helper_space *s = &c.pair.space;
    unsigned differ = 0;
    (void)state;

    c.file = mkstemp(name);
    if (c.file < 0)
        unit_skip("no file can be made here");
    unlink(name);
    helper_space_create(s, NULL);
    c.pair.object =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, FILE_PAGES, &disk, NULL);
    assert_int_equal(ftruncate(c.file, FILE_PAGES * PAGE), 0);
    for (unsigned i = 0; i < FILE_PAGES; i++)
        write_both(&c, i);
    assert_int_equal(posix_fadvise(c.file, 0, 0, POSIX_FADV_RANDOM), 0);
    c.all = mmap(NULL, FILE_PAGES * PAGE, PROT_READ, MAP_SHARED, c.file, 0);
    assert_ptr_not_equal(c.all, MAP_FAILED);
    helper_map_object(s->mm, BASE + GIB, FILE_PAGES, R | ASPEN_VM_SHARED,
                      c.pair.object, 0);
    if (!host_drops(&c))
        unit_skip("the file system here drops nothing");
    for (unsigned i = 0; i < 300; i++)
        differ += one_round(&c);
    printf("%u of 38400 pages differ\n", differ);
    assert_int_equal(differ, 0);
    munmap(c.all, FILE_PAGES * PAGE);
    close(c.file);
    aspen_object_put(c.pair.object);
    helper_space_destroy(s);
}

/* ---- mincore ----------------------------------------------------------- */

#define SECRET "/etc/passwd" /* root's, and everybody may read it */

static bool
told(void *context, const struct aspen_mm *mm)
{
    (void)mm;
    return *(bool *)context;
}

static const struct aspen_pager_ops pager = {.read = helper_pager_read,
                                             .may_see_cache = told};

/* Bits: what mincore says of a private and a shared page that were never
 * touched, and of an untouched page without a file. In a child: 255 is "no". */
static int
host_sees(bool as_nobody)
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        uint8_t there[3] = {0};
        int file = open(SECRET, O_RDONLY);
        if (as_nobody && geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
            _exit(255);
        /* Beyond its end nothing is ever in the cache. */
        void *private = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, file, GIB);
        void *shared = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, GIB);
        void *none =
            mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (file < 0 || mincore(private, PAGE, &there[0]) != 0 ||
            mincore(shared, PAGE, &there[1]) != 0 ||
            mincore(none, PAGE, &there[2]) != 0)
            _exit(255);
        _exit(there[0] | there[1] << 1 | there[2] << 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WEXITSTATUS(status);
}

static int
aspen_sees(bool may)
{
    struct helper_space s;
    uint8_t there[3];

    helper_space_create(&s, NULL);
    struct aspen_object *o =
        helper_object(&s.helper, ASPEN_OBJECT_FILE, 8, &pager, &may);
    helper_map_object(s.mm, BASE, 1, R | ASPEN_VM_MAYREAD, o, 8);
    helper_map_object(s.mm, BASE + PAGE, 1,
                      R | ASPEN_VM_MAYREAD | ASPEN_VM_SHARED, o, 8);
    helper_map(s.mm, BASE + 2 * PAGE, 1, R);
    /* In one call: the answer is the mapping's, not the call's. */
    assert_int_equal(aspen_mincore(s.mm, BASE, 3 * PAGE, there), 0);
    aspen_object_put(o);
    helper_space_destroy(&s);
    return there[0] | there[1] << 1 | there[2] << 2;
}

static void
mincore_of_others(void **state)
{
    (void)state;
    int host = host_sees(true);

    if (host == 255)
        unit_skip("no other user, or no " SECRET);
    assert_int_equal(aspen_sees(false), host);
    assert_int_equal(host, 3);
    if (geteuid() == 0)
        assert_int_equal(aspen_sees(true), host_sees(false));
}

/* ---- Holes near the last offset ------------------------------------------ */

#define LAST_PAGE ((uint64_t)INT64_MAX - (PAGE - 1))

/* Each page of eight, and all of them: three of them have an offset. */
static void
holes_at_the_end(void **state)
{
    struct aspen_object *object;
    struct helper_space s;
    (void)state;

    int memfd = memfd_create("far", 0);
    if (memfd < 0 || ftruncate(memfd, INT64_MAX))
        unit_skip("no memfd of that size");
    char *host = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd,
                      (off_t)(LAST_PAGE - 2 * PAGE));
    assert_true(host != MAP_FAILED);
    host = mremap(host, 2 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
    assert_true(host != MAP_FAILED);

    helper_space_create(&s, NULL);
    object = helper_object(&s.helper, ASPEN_OBJECT_SHMEM, 0, NULL, NULL);
    assert_int_equal(aspen_object_resize(object, INT64_MAX), 0);
    struct aspen_mremap_args args = {
        .address = helper_map_object(s.mm, 0, 2, RW | ASPEN_VM_SHARED, object,
                                     LAST_PAGE / PAGE - 2),
        .old_bytes = 2 * PAGE,
        .new_bytes = 8 * PAGE,
        .flags = ASPEN_MREMAP_MAYMOVE,
    };
    uint64_t ours;
    assert_int_equal(aspen_mremap(s.mm, &args, &ours), 0);
    for (uint64_t from = 0; from < 8; from++)
        for (uint64_t pages = 1; pages <= 8 - from; pages++)
            assert_int_equal(
                aspen_madvise(s.mm, ours + from * PAGE, pages * PAGE,
                              ASPEN_MADV_REMOVE),
                madvise(host + from * PAGE, pages * PAGE, MADV_REMOVE) ? -errno
                                                                       : 0);
    munmap(host, 8 * PAGE);
    close(memfd);
    aspen_object_put(object);
    helper_space_destroy(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seals),
        cmocka_unit_test(dropping),
        cmocka_unit_test(mincore_of_others),
        cmocka_unit_test(holes_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
