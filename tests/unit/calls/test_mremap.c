/* SPDX-License-Identifier: MIT */
/* mremap: what moves, what stays, what is refused. Beside the host:
 * test_mremap_host; every step failing: test_every_call. */
#include "aspen_posix.h"
#include "helper.h"
#include "internal.h"
#include "paging/table.h"
#include "space/vma.h"

#define AT(page) ((uint64_t)(page)*PAGE)
#define MOVE     (ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED)

static int
remap(struct helper_space *s, uint64_t old, uint64_t pages, uint64_t new_pages,
      unsigned flags, uint64_t to, uint64_t *page)
{
    uint64_t address = AT(*page);

    int error = aspen_mremap(s->mm,
                             &(struct aspen_mremap_args){
                                 .address = AT(old),
                                 .old_bytes = AT(pages),
                                 .new_bytes = AT(new_pages),
                                 .flags = flags,
                                 .new_address = AT(to),
                             },
                             &address);
    *page = address / PAGE;
    return error;
}

static void
move(struct helper_space *s, uint64_t old, uint64_t pages, uint64_t new_pages,
     unsigned flags, uint64_t to)
{
    uint64_t page = 0;

    assert_int_equal(remap(s, old, pages, new_pages, MOVE | flags, to, &page),
                     0);
    assert_int_equal(page, to);
    helper_assert_valid(&s->helper);
}

static void
test_refused(void **state)
{
    struct helper_space *s = *state;
    static const struct {
        uint64_t old, pages, new_pages;
        unsigned flags;
        uint64_t to;
        int error;
    } rows[] = {
        {16, 4, 4, 8, 100, -ASPEN_EINVAL},
        {16, 4, 0, 0, 0, -ASPEN_EINVAL},
        {16, 4, UINT64_MAX / PAGE, 0, 0, -ASPEN_EINVAL},
        {16, 4, 4, ASPEN_MREMAP_FIXED, 100, -ASPEN_EINVAL},
        {16, 4, 4, ASPEN_MREMAP_DONTUNMAP, 100, -ASPEN_EINVAL},
        {16, 4, 5, MOVE | ASPEN_MREMAP_DONTUNMAP, 100, -ASPEN_EINVAL},
        {16, 4, 4, MOVE, 18, -ASPEN_EINVAL},
        {16, 4, 4, MOVE, 14, -ASPEN_EINVAL},
        {16, UINT64_MAX / PAGE, 2, MOVE, 100, -ASPEN_EINVAL}, /* wraps */
        {16, 0, 4, ASPEN_MREMAP_MAYMOVE, 0, -ASPEN_EINVAL},
        {15, 1, 2, 0, 0, -ASPEN_EFAULT},
        {15, 3, 3, MOVE, 100, -ASPEN_EFAULT},
        {16, 5, 6, ASPEN_MREMAP_MAYMOVE, 0, -ASPEN_EFAULT},
        {16, 3, 5, 0, 0, -ASPEN_ENOMEM}, /* not up to its end */
        {16, 4, 7, 0, 0, -ASPEN_ENOMEM}, /* in the way */
        {40, 1, 1, MOVE, 100, -ASPEN_EPERM},
        {40, 1, 2, 0, 0, -ASPEN_EPERM},
        {16, 4, 4, MOVE, 39, -ASPEN_EPERM},
        /* onto itself */
        {39, 0, 1, MOVE, 39, -ASPEN_EFAULT},
        {39, 0, 2, MOVE, 39, -ASPEN_EPERM},
        /* what goes ends beyond the top */
        {50, ASPEN_ADDRESS_LIMIT / PAGE, 2, MOVE, 30, -ASPEN_EINVAL},
        {50, ASPEN_ADDRESS_LIMIT / PAGE, 2, MOVE, 39, -ASPEN_EPERM},
    };
    struct helper_state before;

    helper_map(s->mm, AT(16), 4, RW);
    helper_put(&s->helper, s->mm, AT(17), 5);
    helper_map(s->mm, AT(22), 1, R);
    helper_map(s->mm, AT(39), 1, R | ASPEN_VM_SHARED);
    helper_map(s->mm, AT(40), 1, RW);
    helper_map(s->mm, AT(50), 2, RW);
    assert_int_equal(aspen_mseal(s->mm, AT(40), AT(1)), 0);
    helper_state_take(&s->helper, s->mm, &before);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t page = 12345;
        int error = remap(s, rows[i].old, rows[i].pages, rows[i].new_pages,
                          rows[i].flags, rows[i].to, &page);
        if (error != rows[i].error)
            fail_msg("row %zu: %d", i, error);
        assert_int_equal(page, 12345);
        helper_assert_state(&s->helper, s->mm, &before);
    }
}

static void
test_several(void **state)
{
    struct helper_space *s = *state;
    struct helper_state before;
    uint64_t page = 0;

    helper_map(s->mm, AT(16), 2, RW);
    helper_map(s->mm, AT(18), 2, R);
    helper_map(s->mm, AT(24), 2, RW);
    helper_put(&s->helper, s->mm, AT(17), 17);
    helper_put(&s->helper, s->mm, AT(24), 24);
    helper_map(s->mm, AT(121), 1, RX); /* in a gap: stays */
    move(s, 17, 8, 8, 0, 117);
    helper_assert_space(
        s->mm,
        "  vma  0x10000-0x11000 rw- private  anon 1  account\n"
        "  vma  0x19000-0x1a000 rw- private  anon 2  account\n"
        "  vma  0x75000-0x76000 rw- private  anon 1 from 0x11000  account\n"
        "  vma  0x76000-0x78000 r-- private  anon\n"
        "  vma  0x79000-0x7a000 r-x private  anon\n"
        "  vma  0x7c000-0x7d000 rw- private  anon 2 from 0x18000  account\n");
    assert_int_equal(helper_get(&s->helper, s->mm, AT(117)), 17);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(124)), 24);

    /* One that refuses keeps all where they are. */
    assert_int_equal(aspen_mseal(s->mm, AT(124), AT(1)), 0);
    helper_state_take(&s->helper, s->mm, &before);
    assert_int_equal(remap(s, 117, 8, 8, MOVE, 300, &page), -ASPEN_EPERM);
    helper_assert_state(&s->helper, s->mm, &before);

    /* So does one whose target refuses, and one that is beyond a limit. */
    helper_map(s->mm, AT(200), 1, R);
    helper_map(s->mm, AT(201), 1, RW);
    helper_map(s->mm, AT(301), 1, R);
    assert_int_equal(aspen_mseal(s->mm, AT(301), AT(1) - AT(0)), 0);
    helper_state_take(&s->helper, s->mm, &before);
    assert_int_equal(remap(s, 200, 2, 2, MOVE, 300, &page), -ASPEN_EPERM);
    helper_assert_state(&s->helper, s->mm, &before);
    assert_int_equal(aspen_limit_set(s->mm, ASPEN_LIMIT_DATA, PAGE), 0);
    helper_state_take(&s->helper, s->mm, &before);
    assert_int_equal(
        remap(s, 200, 2, 2, MOVE | ASPEN_MREMAP_DONTUNMAP, 400, &page),
        -ASPEN_ENOMEM);
    helper_assert_state(&s->helper, s->mm, &before);
}

/* A mapping with a page, with the page offset of another place. */
static void
map_from(struct helper_space *s, uint64_t page, uint64_t offset)
{
    helper_map(s->mm, AT(offset), 1, RW);
    helper_put(&s->helper, s->mm, AT(offset), (uint8_t)page);
    move(s, offset, 1, 1, 0, page);
}

/* Mappings that become one where they go, with each other and with what is in a
 * gap there, as if one had gone after the other. */
static void
test_several_join(void **state)
{
    struct helper_space *s = *state;

    /* The first has no page, so it gets the offset that the second has. */
    helper_map(s->mm, AT(16), 1, RW);
    map_from(s, 17, 202);
    helper_assert_space(
        s->mm,
        "  vma  0x10000-0x11000 rw- private  anon  account\n"
        "  vma  0x11000-0x12000 rw- private  anon 1 from 0xca000  account\n");
    move(s, 16, 2, 2, 0, 201);
    helper_assert_space(
        s->mm, "  vma  0xc9000-0xcb000 rw- private  anon 1  account\n");
    assert_int_equal(helper_get(&s->helper, s->mm, AT(202)), 17);
    helper_unmap(s->mm, AT(201), 2);

    /* Offsets that fit, pages that are not of one family. */
    map_from(s, 16, 301);
    map_from(s, 17, 302);
    move(s, 16, 2, 2, 0, 401);
    helper_assert_space(
        s->mm,
        "  vma  0x191000-0x192000 rw- private  anon 2 from 0x12d000  account\n"
        "  vma  0x192000-0x193000 rw- private  anon 3 from 0x12e000  "
        "account\n");
    helper_unmap(s->mm, AT(401), 2);

    /* Around what is in a gap. */
    helper_map(s->mm, AT(16), 1, RW);
    helper_map(s->mm, AT(20), 2, RW);
    helper_map(s->mm, AT(111), 4, RW);
    move(s, 16, 6, 6, 0, 110);
    helper_assert_space(s->mm,
                        "  vma  0x6e000-0x74000 rw- private  anon  account\n");
    helper_unmap(s->mm, AT(110), 6);

    /* Nothing becomes one with what goes itself. */
    helper_map(s->mm, AT(16), 1, RW);
    helper_map(s->mm, AT(17), 1, R);
    helper_map(s->mm, AT(101), 1, RW);
    move(s, 16, 2, 2, 0, 100);
    helper_assert_space(s->mm,
                        "  vma  0x64000-0x65000 rw- private  anon  account\n"
                        "  vma  0x65000-0x66000 r-- private  anon\n");
    move(s, 100, 2, 2, 0, 102);
    helper_assert_space(s->mm,
                        "  vma  0x66000-0x67000 rw- private  anon  account\n"
                        "  vma  0x67000-0x68000 r-- private  anon\n");
    helper_map(s->mm, AT(104), 1, RW);
    move(s, 102, 3, 3, 0, 105);
    helper_assert_space(s->mm,
                        "  vma  0x69000-0x6a000 rw- private  anon  account\n"
                        "  vma  0x6a000-0x6b000 r-- private  anon\n"
                        "  vma  0x6b000-0x6c000 rw- private  anon  account\n");
    move(s, 105, 3, 3, 0, 102);
    helper_assert_space(s->mm,
                        "  vma  0x66000-0x67000 rw- private  anon  account\n"
                        "  vma  0x67000-0x68000 r-- private  anon\n"
                        "  vma  0x68000-0x69000 rw- private  anon  account\n");
}

/* What is left of a locked mapping is not locked any more, also where one that
 * goes after it is put into it; what is below its own target is. */
static void
test_several_left(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm_counters counters;

    helper_map(s->mm, AT(16), 8, RW | ASPEN_VM_LOCKED);
    helper_map(s->mm, AT(26), 1, R);
    move(s, 23, 4, 4, ASPEN_MREMAP_DONTUNMAP, 18);
    assert_true(aspen_vma_at(s->mm, AT(16))->flags & ASPEN_VM_LOCKED);
    assert_true(aspen_vma_at(s->mm, AT(18))->flags & ASPEN_VM_LOCKED);
    for (unsigned i = 19; i < 24; i++)
        assert_false(aspen_vma_at(s->mm, AT(i))->flags & ASPEN_VM_LOCKED);
    aspen_mm_counters_read(s->mm, &counters);
    assert_int_equal(counters.locked_pages, 3);
    assert_int_equal(aspen_vma_at(s->mm, AT(21))->flags & ASPEN_VM_ACCESS, R);

    /* Here the first would have become one with what it leaves. */
    helper_map(s->mm, AT(112), 4, ASPEN_VM_LOCKED);
    helper_map(s->mm, AT(116), 1, R);
    move(s, 113, 4, 4, ASPEN_MREMAP_DONTUNMAP, 109);
    for (unsigned i = 109; i < 116; i++)
        assert_false(aspen_vma_at(s->mm, AT(i))->flags & ASPEN_VM_LOCKED);
    assert_int_equal(aspen_vma_at(s->mm, AT(112))->flags & ASPEN_VM_ACCESS, R);
}

/* One mapping is in the way of many. */
static void
test_several_cut(void **state)
{
    struct helper_space *s = *state;
    struct helper_state before;
    uint64_t page = 0;

    for (unsigned i = 0; i < 300; i++) {
        helper_map(s->mm, AT(16 + 2 * i), 1, i % 2 ? R : RW);
        if (i % 6 == 0)
            helper_put(&s->helper, s->mm, AT(16 + 2 * i), (uint8_t)i);
    }
    helper_map(s->mm, AT(2000), 600, ASPEN_VM_READ | ASPEN_VM_EXEC);
    helper_get(&s->helper, s->mm, AT(2007));

    /* Not so many mappings: each but the last is cut out at both ends. */
    uint32_t most = s->helper.aspen->config.map_count_max;
    s->helper.aspen->config.map_count_max = (uint32_t)s->mm->map_count + 598;
    helper_state_take(&s->helper, s->mm, &before);
    assert_int_equal(remap(s, 16, 599, 599, MOVE, 2001, &page), -ASPEN_ENOMEM);
    helper_assert_state(&s->helper, s->mm, &before);
    helper_assert_valid(&s->helper);

    s->helper.aspen->config.map_count_max++;
    move(s, 16, 599, 599, 0, 2001);
    s->helper.aspen->config.map_count_max = most;
    assert_int_equal(s->mm->map_count, 600);
    for (unsigned i = 0; i < 300; i += 6)
        assert_int_equal(helper_get(&s->helper, s->mm, AT(2001 + 2 * i)),
                         (uint8_t)i);
    move(s, 2001, 599, 599, ASPEN_MREMAP_DONTUNMAP, 16);
    assert_int_equal(s->mm->map_count, 1199);
    helper_unmap(s->mm, AT(16), 3000);
}

/* What grows in a forked space becomes one with what is above and has no pages,
 * which mprotect would keep apart. */
static void
test_grows_after_fork(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *child;

    helper_map(s->mm, AT(16), 1, RW);
    helper_put(&s->helper, s->mm, AT(16), 1);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    helper_map(child, AT(19), 1, RW);
    assert_int_equal(helper_remap(child, AT(16), AT(1), AT(3), 0, 0), 0);
    helper_assert_space(
        child, "  vma  0x10000-0x14000 rw- private  anon 1  account\n");
    aspen_mm_put(child);
}

static void
test_locked(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(16), 4, RW | ASPEN_VM_LOCKED);
    move(s, 16, 4, 8, 0, 100);
    assert_int_equal(helper_counters(s->mm).locked_pages, 8);
    assert_int_equal(helper_counters(s->mm).anon_pages, 8); /* filled */
    move(s, 102, 2, 2, ASPEN_MREMAP_DONTUNMAP, 200);
    assert_int_equal(helper_counters(s->mm).locked_pages, 2);
    assert_int_equal(helper_counters(s->mm).anon_pages, 8);
}

/* More than one table, aligned and not: whole tables and single entries. */
static void
test_tables(void **state)
{
    struct helper_space *s = *state;
    static const uint64_t places[] = {8192, 12289, 20480, 8192 + 512 * 3};
    uint64_t at = 1024;

    helper_map(s->mm, AT(at), 1200, RW);
    for (uint64_t i = 0; i < 1200; i += 7)
        helper_put(&s->helper, s->mm, AT(at + i), (uint8_t)i);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        move(s, at, 1200, 1200, 0, places[i]);
        at = places[i];
        for (uint64_t j = 0; j < 1200; j += 7)
            assert_int_equal(helper_get(&s->helper, s->mm, AT(at + j)),
                             (uint8_t)j);
    }
    assert_int_equal(helper_counters(s->mm).anon_pages, (1200 + 6) / 7);
}

/* A hole in the tables ends where the next table begins, wherever in it the
 * mapping starts. */
static void
test_holes(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(1024 + 100), 1024, RW);
    helper_put(&s->helper, s->mm, AT(1024 + 512), 1);
    helper_put(&s->helper, s->mm, AT(1024 + 512 + 99), 2);
    move(s, 1024 + 100, 1024, 1024, 0, 8192 + 7);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(8192 + 7 + 412)), 1);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(8192 + 7 + 511)), 2);
    assert_int_equal(helper_counters(s->mm).anon_pages, 2);
}

struct flushed {
    uint64_t start; /* of all flushes together */
    uint64_t end;
};

static void
observe(void *context, const struct aspen_tlb_flush *flush)
{
    struct flushed *flushed = context;

    flushed->start = aspen_min_u64(flushed->start, flush->start);
    flushed->end = aspen_max_u64(flushed->end, flush->end);
}

/* What TLBs know of the old place goes, where it moves by entries and where by
 * whole tables. */
static void
test_flushed(void **state)
{
    struct helper_space *s = *state;
    static const uint64_t places[] = {8192, 16384 + 1};
    uint64_t at = 1024;

    helper_map(s->mm, AT(at), 1024, RW);
    helper_put(&s->helper, s->mm, AT(at), 1);
    helper_put(&s->helper, s->mm, AT(at + 1023), 2);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct flushed flushed = {UINT64_MAX, 0};
        aspen_posix_observe_tlb(observe, &flushed);
        move(s, at, 1024, 1024, 0, places[i]);
        aspen_posix_observe_tlb(NULL, NULL);
        assert_true(flushed.start <= AT(at));
        assert_true(flushed.end >= AT(at + 1024));
        at = places[i];
    }
}

static void
import_huge(struct helper_space *s, uint64_t at)
{
    struct aspen_import_vma vma = {
        .start = AT(at),
        .end = AT(at + 1024),
        .vm_flags = RW | ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE,
        .flags = ASPEN_IMPORT_HAS_ANON_VMA,
    };
    struct aspen_import_pages pages = {.address = AT(at + 512),
                                       .kind = ASPEN_IMPORT_ANON,
                                       .level = 1,
                                       .count = 1};
    uint64_t done;

    assert_int_equal(aspen_import_vma(s->mm, &vma), 0);
    assert_int_equal(aspen_import_pages(s->mm, &pages, &done), 0);
}

static void
test_huge(void **state)
{
    struct helper_space *s = *state;
    struct helper_state before;
    struct aspen_slot slot;
    uint64_t page = 0;

    import_huge(s, 1024);
    helper_state_take(&s->helper, s->mm, &before);
    assert_int_equal(remap(s, 1024, 1024, 1024, MOVE, 4097, &page),
                     -ASPEN_EOPNOTSUPP);
    assert_int_equal(remap(s, 1024, 600, 600, MOVE, 4096, &page),
                     -ASPEN_EOPNOTSUPP);
    assert_int_equal(remap(s, 1024, 1024, 600, 0, 0, &page), -ASPEN_EOPNOTSUPP);
    helper_assert_state(&s->helper, s->mm, &before);
    /* Where an empty table stands in its way. */
    helper_map(s->mm, AT(4096 + 512), 1, RW);
    helper_put(&s->helper, s->mm, AT(4096 + 512), 1);
    move(s, 1024, 1024, 1024, 0, 4096);
    assert_true(
        aspen_entry_is_leaf(aspen_table_walk(s->mm, AT(4096 + 512), &slot), 1));
    assert_int_equal(slot.level, 1);
    move(s, 4096 + 512, 512, 512, 0, 8192);
}

/* A second mapping of the same pages; and one that only shared memory has. */
static void
test_twice(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 8, NULL, NULL);

    helper_map_object(s->mm, AT(16), 4, RW | ASPEN_VM_SHARED, object, 0);
    move(s, 17, 0, 2, 0, 100);
    helper_assert_space(s->mm,
                        "  vma  0x10000-0x14000 rw- shared  shmem 1+0x0\n"
                        "  vma  0x64000-0x66000 rw- shared  shmem 1+0x1000\n");
    helper_put(&s->helper, s->mm, AT(100), 77);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(17)), 77);
    aspen_object_put(object);
}

static int
special_moves(void *context, struct aspen_mm *mm, uint64_t from, uint64_t to,
              uint64_t length_bytes)
{
    int *error = context;

    (void)mm;
    assert_int_equal(from, AT(16));
    assert_int_equal(to, AT(100));
    assert_int_equal(length_bytes, AT(2));
    return *error;
}

struct special_twice {
    uint64_t refuses_from; /* an address */
    uint64_t distance;     /* that all have gone together */
    unsigned calls;
};

static int
special_moves_twice(void *context, struct aspen_mm *mm, uint64_t from,
                    uint64_t to, uint64_t length_bytes)
{
    struct special_twice *twice = context;
    (void)mm;
    (void)length_bytes;

    twice->calls++;
    if (from == twice->refuses_from)
        return -ASPEN_EBUSY;
    twice->distance += to - from;
    return 0;
}

static void
test_special(void **state)
{
    struct helper_space *s = *state;
    int error = -ASPEN_EBUSY;
    struct aspen_special special = {
        .name = "[test]", .mremap = special_moves, .context = &error};
    struct helper_state before;
    uint64_t address;
    uint64_t page = 0;

    assert_int_equal(aspen_map_special(s->mm, AT(16), AT(2),
                                       ASPEN_MAP_FIXED_NOREPLACE, R, &special,
                                       &address),
                     0);
    helper_state_take(&s->helper, s->mm, &before);
    assert_int_equal(remap(s, 16, 2, 2, MOVE, 100, &page), -ASPEN_EBUSY);
    assert_int_equal(remap(s, 16, 1, 1, MOVE, 100, &page), -ASPEN_EINVAL);
    assert_int_equal(remap(s, 16, 2, 3, 0, 0, &page), -ASPEN_EFAULT);
    helper_assert_state(&s->helper, s->mm, &before);
    error = 0;
    /* Smaller means that it is split first, and none of it goes. */
    assert_int_equal(remap(s, 16, 2, 1, MOVE, 100, &page), -ASPEN_EINVAL);
    helper_assert_state(&s->helper, s->mm, &before);
    move(s, 16, 2, 2, 0, 100);
    helper_unmap(s->mm, AT(100), 2);

    /* One of several that refuses: those before it are told of the way back. */
    struct special_twice twice = {.refuses_from = AT(103)};
    struct aspen_special other = {
        .name = "[other]", .mremap = special_moves_twice, .context = &twice};
    for (unsigned i = 101; i < 104; i++)
        assert_int_equal(aspen_map_special(s->mm, AT(i), AT(1),
                                           ASPEN_MAP_FIXED_NOREPLACE, R, &other,
                                           &address),
                         0);
    helper_state_take(&s->helper, s->mm, &before);
    assert_int_equal(remap(s, 101, 3, 3, MOVE, 200, &page), -ASPEN_EBUSY);
    helper_assert_state(&s->helper, s->mm, &before);
    assert_int_equal(twice.distance, 0);
    assert_int_equal(twice.calls, 5);
    twice.refuses_from = 0;
    move(s, 101, 3, 3, 0, 200);
    assert_int_equal(twice.distance, 3 * AT(99));
    helper_unmap(s->mm, AT(200), 3);
}

static void
test_guards(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(16), 4, RW);
    assert_int_equal(
        aspen_madvise(s->mm, AT(17), AT(1), ASPEN_MADV_GUARD_INSTALL), 0);
    move(s, 16, 4, 4, 0, 100);
    assert_int_equal(aspen_fault(s->mm, AT(101), ASPEN_ACCESS_READ),
                     -ASPEN_EFAULT);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(102)), 0);
}

/* A System V segment: by itself, and not as one of several, wherever it stands.
 * Those that refuse below it are heard first. */
static void
test_moves_alone(void **state)
{
    struct helper_space *s = *state;
    const struct aspen_object_args args = {
        .kind = ASPEN_OBJECT_SHMEM,
        .size_bytes = AT(16),
        .flags = ASPEN_OBJECT_MOVES_ALONE,
    };
    struct aspen_mremap_args move = {
        .address = AT(18),
        .old_bytes = AT(4),
        .new_bytes = AT(4),
        .flags = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
        .new_address = AT(64),
    };
    struct aspen_object *segment;
    struct helper_state before;
    uint64_t to;

    assert_int_equal(aspen_object_create(s->helper.aspen, &args, &segment), 0);
    helper_map_object(s->mm, AT(18), 2, RW | ASPEN_VM_SHARED, segment, 0);
    helper_map(s->mm, AT(20), 2, RW);
    helper_state_take(&s->helper, s->mm, &before);
    assert_int_equal(aspen_mremap(s->mm, &move, &to), -ASPEN_EFAULT);
    move.address = AT(16); /* with the segment above */
    helper_assert_state(&s->helper, s->mm, &before);
    helper_map(s->mm, AT(16), 2, RW);
    helper_state_take(&s->helper, s->mm, &before);
    assert_int_equal(aspen_mremap(s->mm, &move, &to), -ASPEN_EFAULT);
    helper_assert_state(&s->helper, s->mm, &before);
    assert_int_equal(aspen_mseal(s->mm, AT(16), AT(2)), 0);
    assert_int_equal(aspen_mremap(s->mm, &move, &to), -ASPEN_EPERM);
    move.address = AT(18);
    move.old_bytes = move.new_bytes = AT(2);
    assert_int_equal(aspen_mremap(s->mm, &move, &to), 0);
    helper_assert_space(
        s->mm, "  vma  0x10000-0x12000 rw- private  anon  account sealed\n"
               "  vma  0x14000-0x16000 rw- private  anon  account\n"
               "  vma  0x40000-0x42000 rw- shared  shmem 0+0x0\n");
    helper_unmap(s->mm, AT(20), 2);
    helper_unmap(s->mm, AT(64), 2);
    aspen_object_put(segment);
}

/* Other pages behind a mapping: not over two of which one has had a guard. */
static void
test_file_pages(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *object =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 16, NULL, NULL);
    struct helper_state before;

    helper_map_object(s->mm, AT(16), 5, RW | ASPEN_VM_SHARED, object, 0);
    assert_int_equal(
        aspen_remap_file_pages(s->mm, AT(16), AT(1), AT(9), ASPEN_MAP_POPULATE),
        -ASPEN_EINVAL);
    assert_int_equal(
        aspen_remap_file_pages(s->mm, AT(16), AT(1), AT(9), ASPEN_MAP_NONBLOCK),
        0);
    helper_assert_space(s->mm,
                        "  vma  0x10000-0x11000 rw- shared  shmem 1+0x9000\n"
                        "  vma  0x11000-0x15000 rw- shared  shmem 1+0x1000\n");
    assert_int_equal(
        aspen_madvise(s->mm, AT(18), AT(1), ASPEN_MADV_GUARD_INSTALL), 0);
    helper_state_take(&s->helper, s->mm, &before);
    assert_int_equal(
        aspen_remap_file_pages(s->mm, AT(16), AT(3), AT(4), ASPEN_MAP_NONBLOCK),
        -ASPEN_EINVAL);
    helper_assert_state(&s->helper, s->mm, &before);
    assert_int_equal(
        aspen_remap_file_pages(s->mm, AT(17), AT(2), AT(4), ASPEN_MAP_NONBLOCK),
        0);
    helper_unmap(s->mm, AT(16), 5);
    aspen_object_put(object);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, helper_space_setup_6_18,             \
                                    helper_space_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_refused),      TEST(test_several),
        TEST(test_several_join), TEST(test_several_left),
        TEST(test_several_cut),  TEST(test_grows_after_fork),
        TEST(test_locked),       TEST(test_tables),
        TEST(test_holes),        TEST(test_flushed),
        TEST(test_huge),         TEST(test_twice),
        TEST(test_special),      TEST(test_guards),
        TEST(test_moves_alone),  TEST(test_file_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
