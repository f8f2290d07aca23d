/* SPDX-License-Identifier: MIT */
/*
 * Splits and merges against a model that has neither: an array of pages, each
 * with what mmap, mprotect, madvise, mlock and mremap have made of it. After
 * each random call
 *
 *   P1  every page has what the model says, whatever VMA it is in;
 *   P2  where the call changed something, at both edges of it, there are no two
 *       VMAs that may be one, by the rule as the manual has it, written down
 *       here a second time (may_be_one);
 *   P3  elsewhere no edge came or went;
 *   P4  what was apart and is one now may be one, by the anon_vmas that each
 *       page had before;
 *   P5  the counters are the sums over the pages, and the map count is the
 *       number of edges.
 *
 * All eight ways to merge have to have happened.
 */
#include "helper.h"
#include "page_model.h"

#include "rmap/anon_vma.h"
#include "space/vma.h"

#define PAGES   72u
#define OBJECTS 2u
#define CALLS   30000

/* As comments in Linux number them: a new area between two, 1 to 3; an existing
 * one that becomes like its neighbours, 4 to 8. */
enum {
    GAP_FILLED = 1,
    NEW_TO_BELOW,
    NEW_TO_ABOVE,
    TAIL_TO_ABOVE,
    HEAD_TO_BELOW,
    WHOLE_TO_BOTH,
    WHOLE_TO_BELOW,
    WHOLE_TO_ABOVE,
    CASES
};

struct model {
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_object *objects[OBJECTS];
    struct page pages[PAGES];
    bool edge[PAGES + 1];   /* between VMAs, or VMA and hole, at this page */
    bool looked[PAGES + 1]; /* this call may join or cut here */
    uint64_t random;
    uint64_t cases[CASES];
    uint64_t refused;
};

static unsigned
below(struct model *m, unsigned limit)
{
    return (unsigned)unit_below(&m->random, limit);
}

static struct aspen_vma *
vma_at(struct model *m, unsigned page)
{
    return page < PAGES ? aspen_vma_at(m->mm, page_address(page)) : NULL;
}

/* ---- The rule ----------------------------------------------------------- */

/* What decides about merges, of the VMA that a page is in. */
static struct page
relatives_of(const struct aspen_vma *vma)
{
    return (struct page){
        .anon = vma->anon_vma,
        .forked = !aspen_list_is_empty(&vma->anon_chain) &&
                  vma->anon_chain.next->next != &vma->anon_chain,
    };
}

static bool
anon_vmas_allow(const struct page *low, const struct page *high)
{
    if (low->anon == high->anon)
        return true;
    if (low->anon && high->anon)
        return false;
    return low->anon ? !low->forked : !high->forked;
}

static bool
may_be_one(const struct aspen_vma *low, const struct aspen_vma *high)
{
    struct page of_low = relatives_of(low);
    struct page of_high = relatives_of(high);

    return low->end == high->start && low->flags == high->flags &&
           low->object == high->object &&
           low->pgoff + (low->end - low->start) / PAGE == high->pgoff &&
           anon_vmas_allow(&of_low, &of_high);
}

/* ---- What has to hold --------------------------------------------------- */

static bool
is_edge(struct model *m, unsigned page)
{
    return (page ? vma_at(m, page - 1) : NULL) != vma_at(m, page);
}

static void
check_edge(struct model *m, unsigned page)
{
    const struct aspen_vma *low = page ? vma_at(m, page - 1) : NULL;
    const struct aspen_vma *high = vma_at(m, page);
    bool edge = is_edge(m, page);

    if (!m->looked[page] && edge != m->edge[page])
        fail_msg("page %u: an edge %s where nothing changed", page,
                 edge ? "came" : "went");
    if (m->looked[page] && edge && low && high && may_be_one(low, high))
        fail_msg("page %u: two mappings that may be one", page);
    if (m->edge[page] && !edge && low &&
        !anon_vmas_allow(&m->pages[page - 1], &m->pages[page]))
        fail_msg("page %u: two mappings are one that may not", page);
    m->edge[page] = edge;
}

static void
remember_relatives(struct model *m)
{
    for (unsigned i = 0; i < PAGES; i++) {
        if (!m->pages[i].mapped)
            continue;
        struct page now = relatives_of(vma_at(m, i));
        m->pages[i].anon = now.anon;
        m->pages[i].forked = now.forked;
    }
}

static void
check_counters(struct model *m)
{
    uint64_t vmas = 0;

    for (unsigned i = 0; i < PAGES; i++)
        vmas += m->pages[i].mapped && m->edge[i];
    assert_int_equal(helper_counters(m->mm).vmas, vmas);
    pages_check_sizes(m->mm, m->pages, PAGES);
}

static void
check(struct model *m)
{
    for (unsigned i = 0; i < PAGES; i++)
        page_check(m->mm, m->pages, i);
    for (unsigned i = 0; i <= PAGES; i++)
        check_edge(m, i);
    check_counters(m);
    remember_relatives(m);
}

static void
look_at(struct model *m, unsigned first, unsigned end)
{
    memset(m->looked, 0, sizeof(m->looked));
    for (unsigned i = first; i <= end && i <= PAGES; i++)
        m->looked[i] = true;
}

/* ---- New mappings, and none --------------------------------------------- */

static void
count_new(struct model *m, unsigned first, unsigned end)
{
    const struct aspen_vma *vma = vma_at(m, first);
    bool to_below = first && vma_at(m, first - 1) == vma;
    bool to_above = vma_at(m, end) == vma;

    if (to_below && to_above)
        m->cases[GAP_FILLED]++;
    else if (to_below)
        m->cases[NEW_TO_BELOW]++;
    else if (to_above)
        m->cases[NEW_TO_ABOVE]++;
}

static void
call_mmap(struct model *m, unsigned first, unsigned end)
{
    static const uint64_t access[] = {RW, RW, RW, R, RX, 0};
    struct aspen_object *object =
        below(m, 3) ? NULL : m->objects[below(m, OBJECTS)];
    uint64_t flags = access[below(m, 6)];
    /* Often so that it goes on where its neighbours are. */
    unsigned offset = object ? (below(m, 4) ? first : below(m, PAGES)) : 0;
    uint64_t address;

    if (object && below(m, 2))
        flags |= ASPEN_VM_SHARED;
    struct aspen_mmap_args args = {
        .address = page_address(first),
        .length_bytes = (end - first) * PAGE,
        .vm_flags = flags,
        .flags = ASPEN_MAP_FIXED,
        .object = object,
        .offset_bytes = offset * PAGE,
    };
    assert_int_equal(aspen_mmap(m->mm, &args, &address), 0);
    pages_map(m->pages, first, end, flags, object, offset);
    look_at(m, first, end);
    check(m);
    count_new(m, first, end);
}

static void
call_munmap(struct model *m, unsigned first, unsigned end)
{
    assert_int_equal(
        aspen_munmap(m->mm, page_address(first), (end - first) * PAGE), 0);
    pages_clear(m->pages, first, end);
    look_at(m, first, end);
    check(m);
}

/* ---- Flags of what is there --------------------------------------------- */

/* Which of the cases 4 to 8 it was, if all of it was one part of a VMA. */
static void
count_changed(struct model *m, unsigned first, unsigned end,
              const bool edge[PAGES + 1])
{
    const struct aspen_vma *vma = vma_at(m, first);
    bool to_below = first && vma_at(m, first - 1) == vma;
    bool to_above = vma_at(m, end) == vma;

    for (unsigned i = first + 1; i < end; i++)
        if (edge[i])
            return;
    if (edge[first] && edge[end]) {
        if (to_below && to_above)
            m->cases[WHOLE_TO_BOTH]++;
        else if (to_below)
            m->cases[WHOLE_TO_BELOW]++;
        else if (to_above)
            m->cases[WHOLE_TO_ABOVE]++;
    } else if (edge[end] && to_above)
        m->cases[TAIL_TO_ABOVE]++;
    else if (edge[first] && to_below)
        m->cases[HEAD_TO_BELOW]++;
}

/* Edges where a page beside them changed; others keep what they are. */
static void
look_at_changes(struct model *m, const struct page *before)
{
    bool changed[PAGES];

    for (unsigned i = 0; i < PAGES; i++)
        changed[i] = before[i].flags != m->pages[i].flags;
    for (unsigned i = 0; i <= PAGES; i++)
        m->looked[i] = (i && changed[i - 1]) || (i < PAGES && changed[i]);
}

static void
apply(struct model *m, unsigned first, unsigned end, const uint64_t *flags)
{
    struct page before[PAGES];
    bool edge[PAGES + 1], changed = false;

    memcpy(before, m->pages, sizeof(before));
    memcpy(edge, m->edge, sizeof(edge));
    for (unsigned i = first; i < end; i++)
        m->pages[i].flags = flags[i];
    look_at_changes(m, before);
    check(m);
    for (unsigned i = first; i < end; i++)
        if (before[i].flags != flags[i])
            changed = true;
    if (changed)
        count_changed(m, first, end, edge);
}

/* A private page becomes charged when it becomes writable, and stops to be when
 * it does not any more, if its mapping never had a page of its own. */
static uint64_t protected(struct model *m, unsigned page, uint64_t access)
{
    uint64_t flags = (m->pages[page].flags & ~ASPEN_VM_ACCESS) | access;
    const struct aspen_vma *vma = vma_at(m, page);

    if (flags == m->pages[page].flags || flags & ASPEN_VM_SHARED)
        return flags;
    if (access & ASPEN_VM_WRITE)
        return flags | ASPEN_VM_ACCOUNT;
    return vma->object || vma->anon_vma ? flags : flags & ~ASPEN_VM_ACCOUNT;
}

static uint64_t
flagged(struct model *m, unsigned page, uint64_t how)
{
    uint64_t flags = m->pages[page].flags;

    return how & 1 ? flags | (how & ~1ull) : flags & ~how;
}

static void
call_mprotect(struct model *m, unsigned first, unsigned end)
{
    static const uint64_t access[] = {RW, RW, R, RX, 0};
    uint64_t how = access[below(m, 5)], flags[PAGES];
    bool whole = pages_are_whole(m->pages, first, end);

    for (unsigned i = first; i < end && whole; i++)
        flags[i] = protected(m, i, how);
    assert_int_equal(aspen_mprotect(m->mm, page_address(first),
                                    (end - first) * PAGE, how, ASPEN_PKEY_SAME),
                     whole ? 0 : -ASPEN_ENOMEM);
    m->refused += !whole;
    if (whole)
        apply(m, first, end, flags);
}

/* madvise goes over holes, mlock does not. */
static void
call_flag(struct model *m, unsigned first, unsigned end)
{
    static const struct {
        enum aspen_advice advice;
        uint64_t how; /* bit 0: set */
    } kinds[] = {
        {ASPEN_MADV_DONTFORK, ASPEN_VM_DONTCOPY | 1},
        {ASPEN_MADV_DOFORK, ASPEN_VM_DONTCOPY},
        {ASPEN_MADV_DONTDUMP, ASPEN_VM_DONTDUMP | 1},
        {ASPEN_MADV_DODUMP, ASPEN_VM_DONTDUMP},
    };
    unsigned kind = below(m, 4);
    bool whole = pages_are_whole(m->pages, first, end);
    uint64_t flags[PAGES];

    for (unsigned i = first; i < end; i++)
        flags[i] = m->pages[i].mapped ? flagged(m, i, kinds[kind].how) : 0;
    assert_int_equal(aspen_madvise(m->mm, page_address(first),
                                   (end - first) * PAGE, kinds[kind].advice),
                     whole ? 0 : -ASPEN_ENOMEM);
    apply(m, first, end, flags);
}

static void
call_mlock(struct model *m, unsigned first, unsigned end)
{
    const uint64_t lock = ASPEN_VM_LOCKED | ASPEN_VM_LOCKONFAULT;
    bool whole = pages_are_whole(m->pages, first, end), set = below(m, 2);
    uint64_t bytes = (end - first) * PAGE, flags[PAGES];

    for (unsigned i = first; i < end && whole; i++)
        flags[i] = set ? m->pages[i].flags | lock : m->pages[i].flags & ~lock;
    assert_int_equal(set ? aspen_mlock(m->mm, page_address(first), bytes,
                                       ASPEN_MLOCK_ONFAULT)
                         : aspen_munlock(m->mm, page_address(first), bytes),
                     whole ? 0 : -ASPEN_ENOMEM);
    m->refused += !whole;
    if (whole)
        apply(m, first, end, flags);
}

/* ---- Moves -------------------------------------------------------------- */

/* Of one mapping, or of parts of it, to where there is room or something. */
static void
call_mremap(struct model *m, unsigned first, unsigned end)
{
    const struct aspen_vma *vma = vma_at(m, first);
    unsigned to = below(m, PAGES), count;
    bool based;

    if (!vma)
        return;
    if (page_address(end) > vma->end)
        end = (unsigned)((vma->end - BASE) / PAGE);
    count = end - first;
    if (to + count > PAGES || (to < end && first < to + count))
        return;
    /* What never had a page begins anew. */
    based = vma->object || vma->anon_vma;
    assert_int_equal(helper_remap(m->mm, page_address(first), count * PAGE,
                                  count * PAGE,
                                  ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
                                  page_address(to)),
                     0);
    for (unsigned i = 0; i < count; i++) {
        m->pages[to + i] = m->pages[first + i];
        if (!based)
            m->pages[to + i].pgoff = page_address(to + i) / PAGE;
        m->pages[first + i] = (struct page){0};
    }
    look_at(m, to, to + count);
    for (unsigned i = first; i <= end; i++)
        m->looked[i] = true;
    check(m);
}

/* ---- Pages, and relatives ----------------------------------------------- */

/* An anon_vma comes, which decides about later merges. */
static void
touch(struct model *m, unsigned page)
{
    if (m->pages[page].flags & ASPEN_VM_WRITE)
        helper_put(&m->helper, m->mm, page_address(page), 1);
    remember_relatives(m);
}

/* The child goes on: its mappings have more than one link. */
static void
become_child(struct model *m)
{
    struct aspen_mm *child;

    assert_int_equal(aspen_fork(m->mm, &child), 0);
    aspen_mm_put(m->mm);
    m->mm = child;
    for (unsigned i = 0; i < PAGES; i++) {
        m->pages[i].flags &= ~(ASPEN_VM_LOCKED | ASPEN_VM_LOCKONFAULT);
        if (m->pages[i].flags & ASPEN_VM_DONTCOPY)
            m->pages[i] = (struct page){0};
    }
    /* Edges to what was left out. */
    for (unsigned i = 0; i <= PAGES; i++) {
        bool low = i && m->pages[i - 1].mapped;
        bool high = i < PAGES && m->pages[i].mapped;
        m->looked[i] = false;
        m->edge[i] = (m->edge[i] && (low || high)) || low != high;
    }
    check(m);
}

/* ---- All of it ---------------------------------------------------------- */

static void
call(struct model *m)
{
    unsigned first = below(m, PAGES);
    unsigned end = first + 1 + below(m, below(m, 4) ? 6 : PAGES);

    if (end > PAGES)
        end = PAGES;
    /* Often exactly what one mapping is. */
    if (below(m, 3) == 0 && vma_at(m, first)) {
        end = (unsigned)((vma_at(m, first)->end - BASE) / PAGE);
        first = (unsigned)((vma_at(m, first)->start - BASE) / PAGE);
    }
    switch (below(m, 16)) {
    case 0:
    case 1:
    case 2:
        call_mmap(m, first, end);
        break;
    case 3:
        call_munmap(m, first, end);
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        call_mprotect(m, first, end);
        break;
    case 8:
    case 9:
        call_flag(m, first, end);
        break;
    case 10:
    case 11:
        call_mlock(m, first, end);
        break;
    case 12:
    case 13:
        call_mremap(m, first, end);
        break;
    default:
        touch(m, first);
    }
}

static void
test_properties(void **state)
{
    struct aspen_config config;
    struct model m = {.random = unit_seed("test_split_merge", 1)};

    (void)state;
    aspen_config_init(&config);
    config.semantics = ASPEN_SEMANTICS_6_18;
    helper_create(&m.helper, &config);
    m.mm = helper_mm(&m.helper);
    for (unsigned i = 0; i < OBJECTS; i++)
        m.objects[i] =
            helper_object(&m.helper, ASPEN_OBJECT_SHMEM, 2 * PAGES, NULL, NULL);
    for (unsigned i = 0; i < CALLS; i++) {
        call(&m);
        if (i % 200 == 199)
            become_child(&m);
        if (i % 1000 == 0)
            helper_assert_valid(&m.helper);
    }
    for (unsigned i = 1; i < CASES; i++) {
        printf("  case %u: %llu\n", i, (unsigned long long)m.cases[i]);
        assert_true(m.cases[i] > 0);
    }
    assert_true(m.refused > 0);
    for (unsigned i = 0; i < OBJECTS; i++)
        aspen_object_put(m.objects[i]);
    aspen_mm_put(m.mm);
    helper_destroy(&m.helper);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_properties),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
