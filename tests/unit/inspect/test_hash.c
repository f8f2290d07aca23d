/* SPDX-License-Identifier: MIT */
/*
 * What the two hashes of an address space see, and what they must not see:
 * each field is changed alone.
 */
#include "fork_parent.h"
#include "helper.h"

#include "paging/table.h"
#include "space/vma.h"

static uint64_t
semantic(struct fork_parent *parent)
{
    return aspen_hash_mm(parent->mm, ASPEN_HASH_SEMANTIC);
}

static uint64_t
counts(struct fork_parent *parent)
{
    return aspen_hash_mm(parent->mm, ASPEN_HASH_COUNTS);
}

/* `bytes` at `field` are flipped, one after the other, and put back. */
static void
assert_seen(struct fork_parent *parent, void *field, size_t bytes, bool by_both)
{
    unsigned char *byte = field;
    uint64_t before[2] = {semantic(parent), counts(parent)};

    for (size_t i = 0; i < bytes; i++) {
        byte[i] ^= 1;
        assert_true(counts(parent) != before[1]);
        assert_int_equal(semantic(parent) != before[0], by_both);
        byte[i] ^= 1;
    }
    assert_true(semantic(parent) == before[0]);
    assert_true(counts(parent) == before[1]);
}

static uint64_t *
entry_at(struct fork_parent *parent, uint64_t address)
{
    struct aspen_slot slot;
    assert_true(aspen_table_walk(parent->mm, address, &slot) != 0);
    return slot.entry;
}

static void
test_what_is_seen(void **state)
{
    (void)state;
    struct fork_parent *parent = fork_parent_rich();
    struct aspen_mm *mm = parent->mm;
    struct aspen_vma *vma = aspen_vma_at(mm, 10 * MIB);
    struct aspen_frame *frame =
        aspen_frame_at(parent->helper.aspen,
                       (uint32_t)aspen_entry_frame(*entry_at(parent, 3 * MIB)));

    assert_seen(parent, &vma->flags, 4, true);
    assert_seen(parent, &vma->pgoff, 8, true);
    assert_seen(parent, &mm->map_count, 2, true);
    assert_seen(parent, &mm->locked_pages, 2, true);
    assert_seen(parent, &mm->layout.brk, 8, true);
    assert_seen(parent, &mm->pkeys, 2, true);
    assert_seen(parent, &mm->execute_only_pkey, 4, true);
    assert_seen(parent, &mm->parts[0].rss[ASPEN_RSS_SWAP], 2, true);
    assert_seen(parent, &parent->file->inode, 8, true);
    assert_seen(parent, &mm->parts[0].rss[ASPEN_RSS_ANON], 2, false);
    assert_seen(parent, &frame->counts, 8, false);
    assert_seen(parent, &vma->anon_vma->active_vmas, 4, false);
    assert_seen(parent, &vma->anon_vma->links.count, 2, false);
    assert_seen(parent, &parent->file->i_mmap.count, 2, false);
    assert_seen(parent, &parent->file->references, 2, false);
    fork_parent_free(parent);
}

static void
assert_entry(struct fork_parent *parent, uint64_t address, uint64_t changed,
             bool seen)
{
    uint64_t *entry = entry_at(parent, address);
    uint64_t saved = *entry;
    uint64_t before = semantic(parent);

    *entry = changed;
    assert_int_equal(semantic(parent) != before, seen);
    *entry = saved;
    assert_true(semantic(parent) == before);
}

static void
test_entries(void **state)
{
    (void)state;
    struct fork_parent *parent = fork_parent_rich();
    uint64_t anon = *entry_at(parent, 3 * MIB);
    uint64_t other = *entry_at(parent, 3 * MIB + 4096);
    uint64_t file = *entry_at(parent, 11 * MIB);
    uint64_t guard = *entry_at(parent, 14 * MIB + 4 * 4096);
    uint64_t swap = *entry_at(parent, 3072 * MIB);

    assert_entry(parent, 3 * MIB, aspen_entry_write_protect(anon), false);
    assert_entry(parent, 3 * MIB,
                 aspen_entry_clear_bits(anon, ASPEN_ENTRY_DIRTY), false);
    assert_entry(parent, 3 * MIB, aspen_entry_set_bits(anon, ASPEN_ENTRY_YOUNG),
                 false);
    assert_entry(parent, 11 * MIB, 0, false); /* a fault finds it again */
    assert_entry(parent, 14 * MIB + 2 * 4096, 0, false); /* the zero page */
    assert_entry(parent, 3 * MIB, other, true);
    assert_entry(parent, 3 * MIB, 0, true);
    assert_entry(parent, 3 * MIB, file, true);
    assert_entry(parent, 3 * MIB, guard, true);
    assert_entry(parent, 14 * MIB + 4 * 4096, 0, true);
    assert_entry(parent, 3072 * MIB,
                 aspen_entry_make_swap(aspen_entry_swap_type(swap),
                                       aspen_entry_swap_slot(swap) + 1),
                 true);
    fork_parent_free(parent);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_seen),
        cmocka_unit_test(test_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
