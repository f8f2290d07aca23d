/* SPDX-License-Identifier: MIT */
/*
 * What becomes of mappings, foretold: an array of pages, each with all its
 * attributes and whether a mapping starts there, and what may be one written
 * down once more, page by page. test_split_merge asks whether what happened
 * may happen; here each call has one outcome: every edge, the anon_vma that a
 * mapping has afterwards (after forks, too), names, keys, embedders' pointers,
 * mappings that refuse to be split, open and close in balance. The classical
 * eight ways to merge are counted; all of them have to happen.
 *
 *      a new range      1  both    2  below   3  above
 *      a changed part   4  the end of one goes to the mapping above
 *                       5  the start of one goes to the mapping below
 *      a changed whole  6  both    7  below   8  above
 */
#include "helper.h"

#include "space/anon_vma.h"
#include "space/name.h"

#define BASE  ((uint64_t)0x7f0000000000)
#define PAGES 40u
#define RUNS  200u
#define CALLS 400u
#define LOCK  (ASPEN_VM_LOCKED | ASPEN_VM_LOCKONFAULT)
#define NEVER (ASPEN_VM_DONTEXPAND | ASPEN_VM_IO | ASPEN_VM_PFNMAP)

enum { NONE, PLAIN, HOOKED, SHMEM, OBJECTS };

struct page {
    bool mapped;
    bool first; /* its mapping starts here */
    uint64_t flags;
    unsigned object;
    uint64_t pgoff;
    const char *name;
    void *embedder;
    void *anon;  /* the mapping's anon_vma */
    bool forked; /* of a family: it has links to more than its own */
};

struct model {
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_object *objects[OBJECTS];
    uint64_t random;
    struct page pages[PAGES];
    int64_t open; /* mappings of HOOKED that were opened, not closed */
    bool refuse;  /* HOOKED may not be split now */
};

static uint64_t cases[9];
static uint64_t refused;

static uint64_t
below(struct model *m, uint64_t limit)
{
    return unit_random(&m->random) % limit;
}

static uint64_t
address_of(unsigned page)
{
    return BASE + page * PAGE;
}

/* ---- Mappings of the model ----------------------------------------------- */

static unsigned
start_of(const struct model *m, unsigned i)
{
    while (!m->pages[i].first)
        i--;
    return i;
}

static unsigned
end_of(const struct model *m, unsigned i)
{
    do
        i++;
    while (i < PAGES && m->pages[i].mapped && !m->pages[i].first);
    return i;
}

static bool
is_mapped(const struct model *m, unsigned i)
{
    return i < PAGES && m->pages[i].mapped;
}

static bool
is_whole(const struct model *m, unsigned start, unsigned end)
{
    for (unsigned i = start; i < end; i++)
        if (!m->pages[i].mapped)
            return false;
    return true;
}

/* A cut at `i` would split a mapping that refuses it. */
static bool
cuts_hooked(const struct model *m, unsigned i)
{
    return is_mapped(m, i) && !m->pages[i].first &&
           m->pages[i].object == HOOKED;
}

static void
cut(struct model *m, unsigned i)
{
    if (is_mapped(m, i))
        m->pages[i].first = true;
}

/* ---- What may be one ------------------------------------------------------
 */

static bool
same_name(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* The last page of one and the first of the next. */
static bool
goes_on(const struct page *low, const struct page *high)
{
    return low->mapped && high->mapped && low->flags == high->flags &&
           !(low->flags & NEVER) && low->object == high->object &&
           low->pgoff + 1 == high->pgoff && same_name(low->name, high->name) &&
           !low->embedder && !high->embedder;
}

/* Nobody's pages may come to where a family would look for them. */
static bool
anon_fits(const struct page *a, const struct page *b)
{
    if (a->anon == b->anon)
        return true;
    return (!a->anon && !b->forked) || (!b->anon && !a->forked);
}

static bool
anon_agrees(const struct page *a, const struct page *b)
{
    return !a->anon || !b->anon || a->anon == b->anon;
}

static void
take_anon(struct model *m, unsigned start, unsigned end, struct page from)
{
    for (unsigned i = start; i < end; i++) {
        m->pages[i].anon = from.anon;
        m->pages[i].forked = from.forked;
    }
}

struct joins {
    bool below;
    bool above;
};

/* [start, end) has its new attributes already. */
static struct joins
joins_of(const struct model *m, unsigned start, unsigned end)
{
    const struct page *pages = m->pages;
    struct joins j = {
        .below = start > 0 && goes_on(&pages[start - 1], &pages[start]) &&
                 anon_fits(&pages[start], &pages[start - 1]),
        .above = end < PAGES && goes_on(&pages[end - 1], &pages[end]) &&
                 anon_fits(&pages[start], &pages[end]),
    };
    return j;
}

/* The mapping above would have to go, which one with a close hook never does.
 */
static void
settle_both(const struct model *m, unsigned start, unsigned end,
            struct joins *j)
{
    if (j->below && j->above &&
        (!anon_agrees(&m->pages[start - 1], &m->pages[end]) ||
         m->pages[end].object == HOOKED))
        j->above = false;
}

static void
join(struct model *m, unsigned start, unsigned end, struct joins j)
{
    struct page source = m->pages[start];

    m->pages[start].first = !j.below;
    if (j.above)
        m->pages[end].first = false;
    if (j.above && m->pages[end].anon)
        source = m->pages[end];
    if (j.below && m->pages[start - 1].anon)
        source = m->pages[start - 1];
    if (j.below || j.above)
        take_anon(m, start_of(m, start), end_of(m, start), source);
}

/* ---- What calls do to the model --------------------------------------------
 */

static void
model_clear(struct model *m, unsigned start, unsigned end)
{
    cut(m, start);
    cut(m, end);
    memset(&m->pages[start], 0, (end - start) * sizeof(struct page));
}

/* A new mapping; nothing is there. */
static void
model_map(struct model *m, unsigned start, unsigned end, struct page like)
{
    for (unsigned i = start; i < end; i++) {
        m->pages[i] = like;
        m->pages[i].pgoff = like.pgoff + (i - start);
        m->pages[i].first = i == start;
        m->pages[i].mapped = true;
    }
    struct joins j = joins_of(m, start, end);
    settle_both(m, start, end, &j);
    join(m, start, end, j);
    cases[j.below && j.above ? 1 : j.below ? 2 : j.above ? 3 : 0]++;
}

struct change {
    uint64_t set;
    uint64_t clear;
    bool access; /* of mprotect: charge follows */
    bool renames;
    const char *name;
};

/* What becomes writable is charged for; what never was written need not be. */
static struct page
changed(const struct page *page, const struct change *change)
{
    const uint64_t never = ASPEN_VM_ACCOUNT | ASPEN_VM_WRITE | ASPEN_VM_SHARED |
                           ASPEN_VM_NORESERVE;
    struct page new = *page;

    new.flags = (page->flags & ~change->clear) | change->set;
    if (change->renames)
        new.name = change->name;
    if (!change->access || new.flags == page->flags)
        return new;
    if (new.flags & ASPEN_VM_WRITE && !(page->flags & never))
        new.flags |= ASPEN_VM_ACCOUNT;
    if (!(new.flags &ASPEN_VM_WRITE) && page->object == NONE && !page->anon)
        new.flags &= ~ASPEN_VM_ACCOUNT;
    return new;
}

static bool
changes(const struct page *page, const struct change *change)
{
    struct page new = changed(page, change);

    return new.flags != page->flags || !same_name(new.name, page->name);
}

static void
count_case(bool left, bool right, struct joins j)
{
    if (left && right)
        cases[j.below && j.above ? 6 : j.below ? 7 : j.above ? 8 : 0]++;
    else
        cases[j.below ? 5 : j.above ? 4 : 0]++;
}

/* The part of one mapping that lies in the range. Where it ends then. */
static unsigned
model_change_one(struct model *m, unsigned start, unsigned end,
                 const struct change *change)
{
    bool left = m->pages[start].first;
    bool right = !is_mapped(m, end) || m->pages[end].first;
    struct joins j = {false, false};

    for (unsigned i = start; i < end; i++)
        m->pages[i] = changed(&m->pages[i], change);
    if (!left || !right || m->pages[start].object != HOOKED) {
        j = joins_of(m, start, end);
        j.below &= left;
        j.above &= right;
        settle_both(m, start, end, &j);
    }
    if (!right)
        cut(m, end);
    cut(m, start);
    join(m, start, end, j);
    count_case(left, right, j);
    return end_of(m, start);
}

static void
model_change(struct model *m, unsigned start, unsigned end,
             const struct change *change)
{
    for (unsigned i = start; i < end;) {
        if (!m->pages[i].mapped) {
            i++;
            continue;
        }
        unsigned stop = end_of(m, i);
        if (changes(&m->pages[i], change))
            stop = model_change_one(m, i, stop < end ? stop : end, change);
        i = stop;
    }
}

/* The ends of the range lie in mappings that change and may not be cut. */
static bool
change_cuts_hooked(const struct model *m, unsigned start, unsigned end,
                   const struct change *change)
{
    return (cuts_hooked(m, start) && changes(&m->pages[start], change)) ||
           (cuts_hooked(m, end) && changes(&m->pages[end], change));
}

/* ---- Both ------------------------------------------------------------------
 */

struct range {
    unsigned start;
    unsigned end;
};

/* Often along the edges of mappings: there is what to merge. */
static struct range
random_range(struct model *m)
{
    unsigned start = (unsigned)below(m, PAGES);
    unsigned end = start + 1 + (unsigned)below(m, below(m, 4) ? 5 : PAGES);

    if (m->pages[start].mapped && below(m, 2))
        start = start_of(m, start);
    if (m->pages[start].mapped && below(m, 2))
        end = end_of(m, start);
    return (struct range){start, end > PAGES ? PAGES : end};
}

static bool
is_sealed(const struct model *m, struct range r)
{
    for (unsigned i = r.start; i < r.end; i++)
        if (m->pages[i].flags & ASPEN_VM_SEALED)
            return true;
    return false;
}

/* 0, or what taking the range away has to be refused with. */
static int
clear_refused(const struct model *m, struct range r)
{
    if (is_sealed(m, r))
        return -ASPEN_EPERM;
    return m->refuse && (cuts_hooked(m, r.start) || cuts_hooked(m, r.end))
               ? -ASPEN_EBUSY
               : 0;
}

static bool
answered(int error, int expected)
{
    assert_int_equal(error, expected);
    refused += error != 0;
    return error == 0;
}

static void
do_mmap(struct model *m)
{
    static const uint64_t access[] = {RW, RW, R, R, RX};
    struct range r = random_range(m);
    uint64_t flags = access[below(m, 5)];
    unsigned object = below(m, 2) ? NONE : (unsigned)below(m, OBJECTS);
    uint64_t address;

    if (object != NONE && below(m, 3) == 0)
        flags |= ASPEN_VM_SHARED;
    if (below(m, 20) == 0)
        flags |= ASPEN_VM_DONTEXPAND;
    if (below(m, 20) == 0)
        flags |= ASPEN_VM_NORESERVE;
    struct page like = {
        .object = object,
        .pgoff = object ? r.start + (below(m, 8) ? 0 : PAGES)
                        : address_of(r.start) / PAGE,
        .flags =
            flags | ASPEN_VM_MAYREAD | ASPEN_VM_MAYWRITE | ASPEN_VM_MAYEXEC,
    };
    struct aspen_mmap_args args = {
        .address = address_of(r.start),
        .length_bytes = (r.end - r.start) * PAGE,
        .vm_flags = flags,
        .flags = ASPEN_MAP_FIXED,
        .object = m->objects[object],
        .offset_bytes = object ? like.pgoff * PAGE : 0,
    };
    if (flags & ASPEN_VM_SHARED)
        like.flags |= ASPEN_VM_MAYSHARE;
    if ((flags & (ASPEN_VM_WRITE | ASPEN_VM_SHARED | ASPEN_VM_NORESERVE)) ==
        ASPEN_VM_WRITE)
        like.flags |= ASPEN_VM_ACCOUNT;
    if (!answered(aspen_mmap(m->mm, &args, &address), clear_refused(m, r)))
        return;
    model_clear(m, r.start, r.end);
    model_map(m, r.start, r.end, like);
}

static void
do_munmap(struct model *m)
{
    struct range r = random_range(m);

    if (answered(
            aspen_munmap(m->mm, address_of(r.start), (r.end - r.start) * PAGE),
            clear_refused(m, r)))
        model_clear(m, r.start, r.end);
}

static void
change_both(struct model *m, struct range r, const struct change *change,
            int error)
{
    bool cuts = m->refuse && change_cuts_hooked(m, r.start, r.end, change);

    if (answered(error, cuts ? -ASPEN_EBUSY : 0))
        model_change(m, r.start, r.end, change);
}

static void
do_mprotect(struct model *m)
{
    static const uint64_t access[] = {RW, RW, R, RX};
    struct change change = {
        .set = access[below(m, 4)], .clear = ASPEN_VM_ACCESS, .access = true};
    struct range r = random_range(m);
    int pkey = below(m, 6) ? ASPEN_PKEY_SAME : (int)below(m, 2);

    if (!is_whole(m, r.start, r.end) || is_sealed(m, r))
        return;
    if (pkey != ASPEN_PKEY_SAME) {
        change.clear |= ASPEN_VM_PKEY;
        change.set |= (uint64_t)pkey << ASPEN_VM_PKEY_SHIFT;
    }
    change_both(m, r, &change,
                aspen_mprotect(m->mm, address_of(r.start),
                               (r.end - r.start) * PAGE,
                               change.set & ASPEN_VM_ACCESS, pkey));
}

static void
do_madvise(struct model *m)
{
    static const struct {
        enum aspen_advice advice;
        uint64_t set, clear;
    } rows[] = {
        {ASPEN_MADV_DONTFORK, ASPEN_VM_DONTCOPY, 0},
        {ASPEN_MADV_DOFORK, 0, ASPEN_VM_DONTCOPY},
        {ASPEN_MADV_DONTDUMP, ASPEN_VM_DONTDUMP, 0},
        {ASPEN_MADV_NORMAL, 0, ASPEN_VM_SEQ_READ | ASPEN_VM_RAND_READ},
        {ASPEN_MADV_RANDOM, ASPEN_VM_RAND_READ, ASPEN_VM_SEQ_READ},
    };
    unsigned row = (unsigned)below(m, 5);
    struct change change = {.set = rows[row].set, .clear = rows[row].clear};
    struct range r = random_range(m);

    /* Sealed: DONTFORK counts as giving memory away. */
    if (is_whole(m, r.start, r.end) && !(row == 0 && is_sealed(m, r)))
        change_both(m, r, &change,
                    aspen_madvise(m->mm, address_of(r.start),
                                  (r.end - r.start) * PAGE, rows[row].advice));
}

static void
do_mlock(struct model *m)
{
    struct range r = random_range(m);
    bool lock = below(m, 3) == 0;
    struct change change = {.set = lock ? LOCK : 0, .clear = LOCK};

    for (unsigned i = r.start; i < r.end; i++)
        if (!m->pages[i].mapped || m->pages[i].flags & NEVER)
            return;
    uint64_t bytes = (r.end - r.start) * PAGE;
    change_both(m, r, &change,
                lock ? aspen_mlock(m->mm, address_of(r.start), bytes, true)
                     : aspen_munlock(m->mm, address_of(r.start), bytes));
}

static void
do_name(struct model *m)
{
    static const char *const names[] = {NULL, "one", "two"};
    struct range r = random_range(m);
    struct change change = {.renames = true, .name = names[below(m, 3)]};

    for (unsigned i = r.start; i < r.end; i++)
        if (!m->pages[i].mapped || m->pages[i].object != NONE)
            return;
    change_both(m, r, &change,
                aspen_name_anon(m->mm, address_of(r.start),
                                (r.end - r.start) * PAGE, change.name));
}

static void
do_mseal(struct model *m)
{
    struct range r = random_range(m);
    struct change change = {.set = ASPEN_VM_SEALED};

    if (below(m, 60) == 0 && is_whole(m, r.start, r.end))
        change_both(
            m, r, &change,
            aspen_mseal(m->mm, address_of(r.start), (r.end - r.start) * PAGE));
}

static void
do_embedder(struct model *m)
{
    static int theirs;
    unsigned at = (unsigned)below(m, PAGES);

    if (below(m, 30) || !m->pages[at].mapped)
        return;
    aspen_vma_at(m->mm, address_of(at))->embedder = &theirs;
    for (unsigned i = start_of(m, at), end = end_of(m, at); i < end; i++)
        m->pages[i].embedder = &theirs;
}

/* ---- Pages ------------------------------------------------------------------
 */

/* An anon_vma is shared with a neighbour that could be one but for access. */
static bool
lends(const struct page *lender, const struct page *low,
      const struct page *high)
{
    return low->mapped && high->mapped && lender->anon && !lender->forked &&
           !((low->flags ^ high->flags) & ~ASPEN_VM_ACCESS) &&
           low->object == high->object && low->pgoff + 1 == high->pgoff;
}

static void
check_fresh(const struct model *m, const void *anon)
{
    assert_non_null(anon);
    for (unsigned i = 0; i < PAGES; i++)
        assert_ptr_not_equal(m->pages[i].anon, anon);
}

static void
do_touch(struct model *m)
{
    unsigned at = (unsigned)below(m, PAGES);
    const struct page *page = &m->pages[at];

    if (!page->mapped || !(page->flags & ASPEN_VM_WRITE))
        return;
    helper_put(&m->helper, m->mm, address_of(at), 1);
    if (page->anon || page->flags & ASPEN_VM_SHARED)
        return;
    unsigned start = start_of(m, at);
    unsigned end = end_of(m, at);
    struct page source = {.anon =
                              aspen_vma_at(m->mm, address_of(at))->anon_vma};
    if (end < PAGES &&
        lends(&m->pages[end], &m->pages[end - 1], &m->pages[end]))
        source = m->pages[end];
    else if (start > 0 && lends(&m->pages[start - 1], &m->pages[start - 1],
                                &m->pages[start]))
        source = m->pages[start - 1];
    else
        check_fresh(m, source.anon);
    take_anon(m, start, end, source);
}

/* ---- mremap -----------------------------------------------------------------
 */

/* One mapping's part goes elsewhere; without pages it is as if mapped anew. */
static void
model_move(struct model *m, unsigned from, unsigned to, unsigned count)
{
    struct page like = m->pages[from];

    if (like.object == NONE && !like.anon)
        like.pgoff = address_of(to) / PAGE;
    model_clear(m, to, to + count);
    model_clear(m, from, from + count);
    model_map(m, to, to + count, like);
}

/* As many mappings as there are; gaps stay gaps. */
static void
do_move(struct model *m)
{
    struct range r = random_range(m);
    unsigned count = r.end - r.start;
    unsigned to = (unsigned)below(m, PAGES);
    uint64_t address;

    m->refuse = false;
    if (to + count > PAGES || (to < r.end && r.start < to + count) ||
        !m->pages[r.start].mapped || is_sealed(m, r) ||
        is_sealed(m, (struct range){to, to + count}))
        return;
    assert_int_equal(
        aspen_mremap(m->mm,
                     &(struct aspen_mremap_args){
                         .address = address_of(r.start),
                         .old_bytes = count * PAGE,
                         .new_bytes = count * PAGE,
                         .flags = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
                         .new_address = address_of(to),
                     },
                     &address),
        0);
    for (unsigned i = r.start; i < r.end;) {
        if (!m->pages[i].mapped) {
            i++;
            continue;
        }
        unsigned end = end_of(m, i) < r.end ? end_of(m, i) : r.end;
        model_move(m, i, to + (i - r.start), end - i);
        i = end;
    }
}

static void
do_resize(struct model *m)
{
    struct range r = random_range(m);
    uint64_t address;

    m->refuse = false;
    if (!m->pages[r.start].mapped || is_sealed(m, r))
        return;
    unsigned end = end_of(m, r.start);
    unsigned more = (unsigned)below(m, 4);
    if (below(m, 3) == 0) {
        assert_int_equal(aspen_mremap(m->mm,
                                      &(struct aspen_mremap_args){
                                          .address = address_of(r.start),
                                          .old_bytes = (r.end - r.start) * PAGE,
                                          .new_bytes = PAGE,
                                      },
                                      &address),
                         0);
        if (r.end - r.start > 1)
            model_clear(m, r.start + 1, r.end);
        return;
    }
    for (unsigned i = end; i < end + more; i++)
        if (i >= PAGES || m->pages[i].mapped)
            return;
    if (!more || m->pages[r.start].flags & NEVER)
        return;
    assert_int_equal(
        aspen_mremap(m->mm,
                     &(struct aspen_mremap_args){
                         .address = address_of(r.start),
                         .old_bytes = (end - r.start) * PAGE,
                         .new_bytes = (end - r.start + more) * PAGE,
                     },
                     &address),
        0);
    struct page like = m->pages[end - 1];
    like.pgoff++;
    model_map(m, end, end + more, like);
    if (like.embedder)
        m->pages[end].first = false;
}

/* ---- fork -------------------------------------------------------------------
 */

/* What each page's mapping becomes in a child; anon_vmas are new ones, which
 * belong to a family. */
static void
model_fork(struct model *m, struct aspen_mm *child)
{
    for (unsigned i = 0; i < PAGES; i++) {
        struct page *page = &m->pages[i];
        if (page->flags & ASPEN_VM_DONTCOPY) {
            memset(page, 0, sizeof(*page));
            continue;
        }
        page->flags &= ~LOCK;
        if (!page->anon)
            continue;
        page->forked = true;
        page->anon = aspen_vma_at(child, address_of(i))->anon_vma;
        assert_non_null(page->anon);
    }
}

static void
do_fork(struct model *m)
{
    struct aspen_mm *child;

    if (below(m, 12))
        return;
    assert_int_equal(aspen_fork(m->mm, &child), 0);
    if (below(m, 2)) {
        aspen_mm_put(child);
        return;
    }
    model_fork(m, child);
    aspen_mm_put(m->mm);
    m->mm = child;
}

/* ---- Comparing --------------------------------------------------------------
 */

static void
check_page(const struct model *m, unsigned i)
{
    const struct page *page = &m->pages[i];
    struct aspen_vma *vma = aspen_vma_at(m->mm, address_of(i));

    assert_int_equal(vma != NULL, page->mapped);
    if (!vma)
        return;
    assert_int_equal(vma->start == address_of(i), page->first);
    assert_int_equal(vma->flags & ~ASPEN_VM_SOFTDIRTY, page->flags);
    assert_ptr_equal(vma->object, m->objects[page->object]);
    assert_int_equal(aspen_vma_offset(vma, address_of(i)), page->pgoff);
    assert_true(same_name(vma->name ? vma->name->text : NULL, page->name));
    assert_ptr_equal(vma->embedder, page->embedder);
    assert_ptr_equal(vma->anon_vma, page->anon);
    if (vma->anon_vma)
        assert_int_equal(!aspen_anon_vma_is_single(vma), page->forked);
}

struct sums {
    uint64_t maps, total, data, exec, stack, locked, charge;
    int64_t open;
};

static struct sums
sums_of(const struct model *m)
{
    struct sums sums = {0};

    for (unsigned i = 0; i < PAGES; i++) {
        const struct page *page = &m->pages[i];
        uint64_t f = page->flags;
        sums.maps += page->first;
        sums.open += page->first && page->object == HOOKED;
        sums.total += page->mapped;
        sums.data += (f & (ASPEN_VM_WRITE | ASPEN_VM_SHARED)) == ASPEN_VM_WRITE;
        sums.exec += (f & (ASPEN_VM_EXEC | ASPEN_VM_WRITE)) == ASPEN_VM_EXEC;
        sums.locked += (f & ASPEN_VM_LOCKED) != 0;
        sums.charge += (f & ASPEN_VM_ACCOUNT) != 0;
    }
    return sums;
}

static void
check(const struct model *m)
{
    const struct sums sums = sums_of(m);
    struct aspen_counters counters;
    struct aspen_finding finding;

    for (unsigned i = 0; i < PAGES; i++)
        check_page(m, i);
    aspen_counters_read(m->helper.aspen, &counters);
    assert_int_equal(m->mm->map_count, sums.maps);
    assert_int_equal(m->mm->total_pages, sums.total);
    assert_int_equal(m->mm->data_pages, sums.data);
    assert_int_equal(m->mm->exec_pages, sums.exec);
    assert_int_equal(m->mm->stack_pages, sums.stack);
    assert_int_equal(m->mm->locked_pages, sums.locked);
    assert_int_equal(counters.committed_pages, sums.charge);
    assert_int_equal(m->open, sums.open);
    if (aspen_validate_mm(m->mm, &finding))
        fail_msg("%s: %s", finding.check, finding.text);
}

/* ---- Runs -------------------------------------------------------------------
 */

static int
hook_open(void *context, struct aspen_vma *vma)
{
    struct model *m = context;

    (void)vma;
    m->open++;
    return 0;
}

static void
hook_close(void *context, struct aspen_vma *vma)
{
    struct model *m = context;

    (void)vma;
    m->open--;
}

static int
hook_may_split(void *context, const struct aspen_vma *vma, uint64_t address)
{
    const struct model *m = context;

    assert_true(vma->start < address && address < vma->end);
    return m->refuse ? -ASPEN_EBUSY : 0;
}

static void
begin(struct model *m)
{
    static const struct aspen_pager_ops hooks = {
        .open = hook_open, .close = hook_close, .may_split = hook_may_split};
    struct aspen_config config;

    aspen_config_init(&config);
    config.semantics = ASPEN_SEMANTICS_6_18;
    config.pkeys = ASPEN_PKEYS_MAX;
    helper_create(&m->helper, &config);
    m->mm = helper_mm(&m->helper);
    int pkey; /* 1, which do_mprotect() names */
    assert_int_equal(aspen_pkey_alloc(m->mm, 0, &pkey), 0);
    m->objects[PLAIN] =
        helper_object(&m->helper, ASPEN_OBJECT_FILE, 2 * PAGES, NULL, NULL);
    m->objects[HOOKED] =
        helper_object(&m->helper, ASPEN_OBJECT_FILE, 2 * PAGES, &hooks, m);
    m->objects[SHMEM] =
        helper_object(&m->helper, ASPEN_OBJECT_SHMEM, 2 * PAGES, NULL, NULL);
}

static void
end(struct model *m)
{
    helper_assert_valid(&m->helper);
    aspen_mm_put(m->mm);
    assert_int_equal(m->open, 0);
    for (unsigned i = PLAIN; i < OBJECTS; i++)
        aspen_object_put(m->objects[i]);
    helper_destroy(&m->helper);
}

static void
test_random(void **state)
{
    (void)state;
    static void (*const calls[])(struct model *) = {
        do_mmap,    do_mmap,  do_mmap,   do_munmap, do_mprotect, do_mprotect,
        do_madvise, do_mlock, do_name,   do_mseal,  do_embedder, do_touch,
        do_touch,   do_move,  do_resize, do_fork,
    };
    const unsigned kinds = sizeof(calls) / sizeof(calls[0]);
    uint64_t seed = unit_seed("test_merge_exact", 1);

    for (unsigned run = 0; run < RUNS; run++) {
        static struct model m;
        memset(&m, 0, sizeof(m));
        m.random = seed + run;
        begin(&m);
        for (unsigned i = 0; i < CALLS; i++) {
            m.refuse = below(&m, 8) == 0;
            calls[below(&m, kinds)](&m);
            check(&m);
        }
        end(&m);
    }
    printf("%u calls, %llu refused; merges by case:", RUNS * CALLS,
           (unsigned long long)refused);
    for (unsigned i = 1; i <= 8; i++) {
        printf(" %u: %llu", i, (unsigned long long)cases[i]);
        assert_true(cases[i] > 0);
    }
    printf("; %llu without a merge\n", (unsigned long long)cases[0]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
