/* SPDX-License-Identifier: MIT */
/*
 * What mappings mean for whoever has the object, beside the host's kernel: a
 * memfd can be sealed against writing when nobody could write to it through a
 * mapping, and other people's files do not tell mincore what is in their cache.
 */
#define _GNU_SOURCE
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define BASE      ((uint64_t)0x551000000000)
#define PAGES     16u
#define SEQUENCES 4000u

struct pair {
    struct helper_space space;
    struct aspen_object *object;
    int memfd;
    uint64_t random;
};

static uint64_t
below(struct pair *p, uint64_t limit)
{
    return unit_random(&p->random) % limit;
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
    unsigned sealed = 0;
    (void)state;

    helper_space_create(&p.space, NULL);
    for (unsigned i = 0; i < SEQUENCES; i++)
        sealed += one_sequence(&p);
    printf("%u of %u could be sealed at once\n", sealed, SEQUENCES);
    assert_in_range(sealed, SEQUENCES / 5, SEQUENCES - SEQUENCES / 5);
    helper_space_destroy(&p.space);
}

/* ---- mincore ----------------------------------------------------------- */

#define SECRET "/etc/passwd" /* root's, and everybody may read it */

static int
no_page(void *context, uint64_t offset_bytes, void *page)
{
    (void)context;
    (void)offset_bytes;
    (void)page;
    return 0;
}

static bool
told(void *context, const struct aspen_mm *mm)
{
    (void)mm;
    return *(bool *)context;
}

static const struct aspen_pager_ops pager = {.read = no_page,
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seals),
        cmocka_unit_test(mincore_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
