/* SPDX-License-Identifier: MIT */
#include "page_model.h"

#include "space/vma.h"

uint64_t
page_address(unsigned page)
{
    return BASE + page * PAGE;
}

uint64_t
pages_flags(uint64_t asked)
{
    const uint64_t uncharged = ASPEN_VM_SHARED | ASPEN_VM_NORESERVE;
    uint64_t flags = asked | MAY;

    if (asked & ASPEN_VM_SHARED)
        flags |= ASPEN_VM_MAYSHARE;
    if ((asked & (ASPEN_VM_WRITE | uncharged)) == ASPEN_VM_WRITE)
        flags |= ASPEN_VM_ACCOUNT;
    return flags;
}

void
pages_map(struct page *pages, unsigned start, unsigned end, uint64_t asked,
          struct aspen_object *object, uint64_t pgoff)
{
    for (unsigned i = start; i < end; i++)
        pages[i] = (struct page){
            .mapped = true,
            .first = i == start,
            .flags = pages_flags(asked),
            .object = object,
            .pgoff = object ? pgoff + (i - start) : page_address(i) / PAGE,
        };
}

void
pages_clear(struct page *pages, unsigned start, unsigned end)
{
    memset(&pages[start], 0, (end - start) * sizeof(pages[0]));
}

bool
pages_are_whole(const struct page *pages, unsigned start, unsigned end)
{
    for (unsigned i = start; i < end; i++)
        if (!pages[i].mapped)
            return false;
    return true;
}

struct aspen_vma *
page_check(struct aspen_mm *mm, const struct page *pages, unsigned page)
{
    const struct page *wanted = &pages[page];
    struct aspen_vma *vma = aspen_vma_at(mm, page_address(page));

    if (!wanted->mapped) {
        assert_null(vma);
        return NULL;
    }
    assert_non_null(vma);
    uint64_t flags = vma->flags & ~ASPEN_VM_SOFTDIRTY;
    uint64_t pgoff = aspen_vma_offset(vma, page_address(page));
    if (flags != wanted->flags || vma->object != wanted->object ||
        pgoff != wanted->pgoff)
        fail_msg("page %u: flags %#llx, not %#llx; offset %#llx, not %#llx; "
                 "%s object",
                 page, (unsigned long long)flags,
                 (unsigned long long)wanted->flags, (unsigned long long)pgoff,
                 (unsigned long long)wanted->pgoff,
                 vma->object == wanted->object ? "its" : "another");
    return vma;
}

void
pages_check_sizes(struct aspen_mm *mm, const struct page *pages, unsigned count)
{
    const uint64_t data = ASPEN_VM_WRITE | ASPEN_VM_SHARED;
    const uint64_t exec = ASPEN_VM_EXEC | ASPEN_VM_WRITE;
    struct aspen_mm_counters sums = {0}, counters = helper_counters(mm);

    for (unsigned i = 0; i < count; i++) {
        uint64_t flags = pages[i].flags;
        sums.total_pages += pages[i].mapped;
        sums.data_pages += (flags & data) == ASPEN_VM_WRITE;
        sums.exec_pages += (flags & exec) == ASPEN_VM_EXEC;
        sums.locked_pages += (flags & ASPEN_VM_LOCKED) != 0;
    }
    assert_int_equal(counters.total_pages, sums.total_pages);
    assert_int_equal(counters.data_pages, sums.data_pages);
    assert_int_equal(counters.exec_pages, sums.exec_pages);
    assert_int_equal(counters.stack_pages, 0);
    assert_int_equal(counters.locked_pages, sums.locked_pages);
}

uint64_t
pages_charged(const struct page *pages, unsigned count)
{
    uint64_t charged = 0;

    for (unsigned i = 0; i < count; i++)
        charged += (pages[i].flags & ASPEN_VM_ACCOUNT) != 0;
    return charged;
}
