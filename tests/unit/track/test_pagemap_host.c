/* SPDX-License-Identifier: MIT */
/*
 * Asynchronous write protection and ioctl(PAGEMAP_SCAN) on the host and in
 * Aspen: the same random accesses, protections and scans of private zeroes, of
 * shared memory and of private copies of it. What scans tell has to be the
 * same, region by region, and where they end; and so do the errors of
 * registering. Skipped where the host has no userfaultfd with WP_ASYNC (Linux
 * 6.7), or refuses it.
 */
#define _GNU_SOURCE
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BASE   ((uint64_t)0x551000000000)
#define AT     ((uint64_t)0x1000000)
#define PART   24u /* pages of a mapping; one stays free behind each */
#define PAGES  (3 * (PART + 1))
#define STEPS  20000u
#define VECTOR 80u

/* <linux/fs.h> of before 6.7 does not have it. */
struct host_region {
    uint64_t start, end, categories;
};
struct host_scan {
    uint64_t size, flags, start, end, walk_end, vector, length, max_pages;
    uint64_t inverted, mask, any_of, returned;
};
#define HOST_SCAN           _IOWR('f', 16, struct host_scan)
#define HOST_WP_UNPOPULATED ((uint64_t)1 << 13)
#define HOST_WP_ASYNC       ((uint64_t)1 << 15)
#define HOST_USER_MODE      1
/* What both sides keep. */
#define COMPARED                                                               \
    (ASPEN_PAGE_WP_ALLOWED | ASPEN_PAGE_WRITTEN | ASPEN_PAGE_FILE |            \
     ASPEN_PAGE_PRESENT | ASPEN_PAGE_SWAPPED | ASPEN_PAGE_ZERO)

struct sides {
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_object *object;
    struct aspen_userfault *userfault;
    int file;
    int host_userfault;
    int pagemap;
    uint64_t random;
};

static char *
host(uint64_t page)
{
    return (char *)(uintptr_t)(BASE + page * PAGE);
}

static int
host_userfault(uint64_t features)
{
    struct uffdio_api api = {.api = UFFD_API, .features = features};
    int file = (int)syscall(SYS_userfaultfd, O_CLOEXEC | HOST_USER_MODE);

    if (file < 0)
        unit_skip("userfaultfd: %s", strerror(errno));
    if (ioctl(file, UFFDIO_API, &api)) {
        close(file);
        unit_skip("userfaultfd has no asynchronous write protection");
    }
    return file;
}

static void
map_both(struct sides *s, unsigned part)
{
    uint64_t page = part * (PART + 1);
    uint64_t flags = RW | (part == 1 ? ASPEN_VM_SHARED : 0);
    int how = MAP_FIXED_NOREPLACE | (part == 1 ? MAP_SHARED : MAP_PRIVATE) |
              (part ? 0 : MAP_ANONYMOUS);

    void *there = mmap(host(page), PART * PAGE, PROT_READ | PROT_WRITE, how,
                       part ? s->file : -1, 0);
    assert_ptr_equal(there, host(page));
    assert_int_equal(
        madvise(there, PART * PAGE, MADV_NOHUGEPAGE) && errno != EINVAL, 0);
    if (part)
        helper_map_object(s->mm, AT + page * PAGE, PART, flags, s->object, 0);
    else
        helper_map(s->mm, AT + page * PAGE, PART, flags);
}

static int
register_both(struct sides *s, uint64_t page, uint64_t pages)
{
    struct uffdio_register args = {
        .range = {.start = BASE + page * PAGE, .len = pages * PAGE},
        .mode = UFFDIO_REGISTER_MODE_WP,
    };
    int theirs = ioctl(s->host_userfault, UFFDIO_REGISTER, &args) ? -errno : 0;
    int ours = aspen_userfault_register(s->userfault, AT + page * PAGE,
                                        pages * PAGE, ASPEN_USERFAULT_MODE_WP);

    assert_int_equal(ours, theirs);
    return ours;
}

static int
unregister_both(struct sides *s, uint64_t page, uint64_t pages)
{
    struct uffdio_range args = {.start = BASE + page * PAGE,
                                .len = pages * PAGE};
    int theirs =
        ioctl(s->host_userfault, UFFDIO_UNREGISTER, &args) ? -errno : 0;
    int ours = aspen_userfault_unregister(s->userfault, AT + page * PAGE,
                                          pages * PAGE);

    assert_int_equal(ours, theirs);
    return ours;
}

static void
protect_both(struct sides *s, uint64_t page, uint64_t pages, bool on)
{
    struct uffdio_writeprotect args = {
        .range = {.start = BASE + page * PAGE, .len = pages * PAGE},
        .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
    };
    int theirs =
        ioctl(s->host_userfault, UFFDIO_WRITEPROTECT, &args) ? -errno : 0;
    int ours = aspen_userfault_write_protect(s->userfault, AT + page * PAGE,
                                             pages * PAGE,
                                             on ? ASPEN_USERFAULT_PROTECT : 0);

    assert_int_equal(ours, theirs);
}

static int
setup(void **state)
{
    struct sides *s = calloc(1, sizeof(*s));
    struct aspen_config config;

    aspen_config_init(&config);
    config.semantics = ASPEN_SEMANTICS_6_18;
    helper_create(&s->helper, &config);
    s->mm = helper_mm(&s->helper);
    s->object = helper_object(&s->helper, ASPEN_OBJECT_SHMEM, PART, NULL, NULL);
    s->file = memfd_create("test_pagemap_host", MFD_CLOEXEC);
    assert_int_equal(ftruncate(s->file, (off_t)(PART * PAGE)), 0);
    s->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    s->host_userfault = -1;
    assert_int_equal(
        aspen_userfault_create(s->mm, ASPEN_USERFAULT_WP_ASYNC, &s->userfault),
        0);
    *state = s;
    return 0;
}

static int
teardown(void **state)
{
    struct sides *s = *state;

    helper_assert_valid(&s->helper);
    if (s->host_userfault >= 0)
        close(s->host_userfault);
    munmap(host(0), PAGES * PAGE);
    close(s->pagemap);
    close(s->file);
    aspen_userfault_close(s->userfault);
    aspen_mm_put(s->mm);
    aspen_object_put(s->object);
    helper_destroy(&s->helper);
    free(s);
    return 0;
}

/* ---- Scans ------------------------------------------------------------- */

static void
compare_regions(const struct host_region *theirs, int theirs_count,
                const struct aspen_pagemap_scan *ours)
{
    assert_int_equal(ours->count, theirs_count);
    for (int i = 0; i < theirs_count; i++) {
        assert_int_equal(ours->regions[i].start - AT, theirs[i].start - BASE);
        assert_int_equal(ours->regions[i].end - AT, theirs[i].end - BASE);
        assert_int_equal(ours->regions[i].categories, theirs[i].categories);
    }
}

static void
scan_both(struct sides *s, struct aspen_pagemap_scan *ours)
{
    struct host_region vector[VECTOR];
    struct aspen_pagemap_region regions[VECTOR];
    struct host_scan theirs = {
        .size = sizeof(theirs),
        .flags = ours->flags,
        .start = ours->start - AT + BASE,
        .end = ours->end - AT + BASE,
        .vector = (uint64_t)(uintptr_t)vector,
        .length = ours->regions_max,
        .max_pages = ours->max_pages,
        .inverted = ours->inverted,
        .mask = ours->mask,
        .any_of = ours->any_of,
        .returned = ours->returned,
    };

    int count = ioctl(s->pagemap, HOST_SCAN, &theirs);
    if (count < 0 && errno == ENOTTY)
        unit_skip("no PAGEMAP_SCAN");
    ours->regions = regions;
    int error = aspen_pagemap_scan(s->mm, ours);
    assert_int_equal(error, count < 0 ? -errno : 0);
    if (error)
        return;
    compare_regions(vector, count, ours);
    assert_int_equal(ours->walk_end - AT, theirs.walk_end - BASE);
}

/* All of it, page by page: the state of both. */
static void
compare_all(struct sides *s)
{
    struct aspen_pagemap_scan scan = {
        .start = AT,
        .end = AT + PAGES * PAGE,
        .returned = COMPARED,
        .regions_max = VECTOR,
    };
    scan_both(s, &scan);
}

static unsigned
some(struct sides *s)
{
    return (unsigned)unit_random(&s->random) & COMPARED &
           (unsigned)unit_random(&s->random);
}

static void
random_scan(struct sides *s)
{
    uint64_t start = unit_below(&s->random, PAGES);
    uint64_t end = start + 1 + unit_below(&s->random, PAGES - start);
    struct aspen_pagemap_scan scan = {
        .start = AT + start * PAGE,
        .end = AT + end * PAGE,
        .inverted = some(s),
        .mask = some(s),
        .any_of = some(s),
        .returned = some(s) | some(s),
        .regions_max = 1 + unit_below(&s->random, 8),
        .max_pages = unit_below(&s->random, 12),
    };

    if (unit_below(&s->random, 2)) {
        /* What is not written is marked here as there. */
        scan.flags = ASPEN_PAGEMAP_PROTECT;
        scan.mask |= ASPEN_PAGE_WRITTEN;
        scan.inverted &= ~ASPEN_PAGE_WRITTEN;
    }
    if (unit_below(&s->random, 4) == 0)
        scan.flags |= ASPEN_PAGEMAP_CHECK;
    scan_both(s, &scan);
}

/* ---- Accesses ---------------------------------------------------------- */

static void
touch_both(struct sides *s, uint64_t page, bool write)
{
    if (page % (PART + 1) == PART)
        return;
    if (write) {
        *(volatile char *)host(page) = 'x';
        helper_put(&s->helper, s->mm, AT + page * PAGE, 'x');
    } else {
        char theirs = *(volatile char *)host(page);
        char ours = (char)helper_get(&s->helper, s->mm, AT + page * PAGE);
        assert_int_equal(ours, theirs);
    }
}

/* Inside of one mapping. */
static void
advise_both(struct sides *s, uint64_t page, uint64_t pages)
{
    assert_int_equal(madvise(host(page), pages * PAGE, MADV_DONTNEED), 0);
    assert_int_equal(aspen_madvise(s->mm, AT + page * PAGE, pages * PAGE,
                                   ASPEN_MADV_DONTNEED),
                     0);
}

/* And back. */
static void
mprotect_both(struct sides *s, uint64_t page, uint64_t pages)
{
    assert_int_equal(mprotect(host(page), pages * PAGE, PROT_NONE), 0);
    assert_int_equal(mprotect(host(page), pages * PAGE, PROT_READ | PROT_WRITE),
                     0);
    assert_int_equal(aspen_mprotect(s->mm, AT + page * PAGE, pages * PAGE, 0,
                                    ASPEN_PKEY_SAME),
                     0);
    assert_int_equal(aspen_mprotect(s->mm, AT + page * PAGE, pages * PAGE, RW,
                                    ASPEN_PKEY_SAME),
                     0);
}

static void
random_step(struct sides *s)
{
    uint64_t page = unit_below(&s->random, 3) * (PART + 1) +
                    unit_below(&s->random, PART - 4);
    uint64_t pages = 1 + unit_below(&s->random, 4);

    switch (unit_below(&s->random, 8)) {
    case 0:
        advise_both(s, page, pages);
        break;
    case 1:
        mprotect_both(s, page, pages);
        break;
    case 2:
        protect_both(s, page, pages, unit_below(&s->random, 3));
        break;
    case 3:
    case 4:
        random_scan(s);
        break;
    default:
        touch_both(s, unit_below(&s->random, PAGES), unit_below(&s->random, 2));
    }
}

static void
same_scans(void **state)
{
    struct sides *s = *state;

    s->host_userfault = host_userfault(HOST_WP_ASYNC | HOST_WP_UNPOPULATED);
    s->random = unit_seed("test_pagemap_host", 0x77a9);
    for (unsigned part = 0; part < 3; part++)
        map_both(s, part);
    assert_int_equal(register_both(s, 0, PAGES), 0);
    for (unsigned i = 0; i < unit_rounds(STEPS); i++) {
        random_step(s);
        compare_all(s);
    }
}

/* ---- Registering ------------------------------------------------------- */

static void
same_errors(void **state)
{
    struct sides *s = *state;

    s->host_userfault = host_userfault(HOST_WP_ASYNC | HOST_WP_UNPOPULATED);
    for (unsigned part = 0; part < 3; part++)
        map_both(s, part);
    assert_int_equal(register_both(s, 0, 0), -EINVAL);
    assert_int_equal(register_both(s, PART, 1), -EINVAL); /* a hole */
    assert_int_equal(register_both(s, PAGES + 8, 4), -EINVAL);
    assert_int_equal(register_both(s, 0 - BASE / PAGE, 1), -EINVAL);
    assert_int_equal(unregister_both(s, PART, 1), -EINVAL);
    assert_int_equal(unregister_both(s, 0, PAGES), 0);
    protect_both(s, 0, 1, true); /* ENOENT */
    protect_both(s, PART, 1, true);
    protect_both(s, 0, 0, true);
    assert_int_equal(register_both(s, PART - 2, 4), 0);
    protect_both(s, PART - 2, 4, true);
    protect_both(s, PART - 3, 1, true);
    compare_all(s);
    assert_int_equal(unregister_both(s, PART - 1, 3), 0);
    compare_all(s);
    /* Memory that can never be written. */
    void *there = mmap(host(PART), PAGE, PROT_READ, MAP_SHARED | MAP_FIXED,
                       open("/proc/self/exe", O_RDONLY | O_CLOEXEC), 0);
    assert_ptr_equal(there, host(PART));
    struct aspen_object *file =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 1, NULL, NULL);
    helper_map_object(s->mm, AT + PART * PAGE, 1,
                      R | ASPEN_VM_SHARED | ASPEN_VM_MAYREAD, file, 0);
    assert_int_equal(register_both(s, PART, 1), -EPERM);
    assert_int_equal(register_both(s, 0, PAGES), -EPERM);
    assert_int_equal(unregister_both(s, PART, 1), -EINVAL);
    helper_unmap(s->mm, AT + PART * PAGE, 1);
    aspen_object_put(file);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(same_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(same_scans, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
