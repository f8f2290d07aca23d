/* SPDX-License-Identifier: MIT */
/*
 * What becomes of mappings, foretold: an array of pages, each with all its
 * attributes and whether a mapping starts there, and what may be one written
 * down once more, page by page. test_split_merge asks whether what happened
 * may happen; here each call has one outcome: every edge, the anon_vma that a
 * mapping has afterwards (after forks, too), names, keys, embedders' pointers,
 * mappings that refuse to be split, open and close in balance. All eight ways
 * to merge (foretold.h) have to happen.
 */
#include "foretold.h"
#include "helper.h"
#include "page_model.h"

#include "rmap/anon_vma.h"
#include "space/name.h"

/* Fewer where entries have room for none but key 0. */
#define KEYS  (ASPEN_ENTRY_PKEYS < 2 ? 1 : 2)
#define RUNS  200u
#define CALLS 400u
#define LOCK  (ASPEN_VM_LOCKED | ASPEN_VM_LOCKONFAULT)

enum { NONE, PLAIN, HOOKED, SHMEM, OBJECTS };

struct model {
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_object *objects[OBJECTS];
    uint64_t random;
    struct foretold f;
    int64_t open; /* mappings of HOOKED that were opened, not closed */
    bool refuse;  /* HOOKED may not be split now */
};

static uint64_t refused;

static uint64_t
below(struct model *m, uint64_t limit)
{
    return unit_below(&m->random, limit);
}

/* ---- Both -------------------------------------------------------------- */

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

    if (m->f.pages[start].mapped && below(m, 2))
        start = start_of(&m->f, start);
    if (m->f.pages[start].mapped && below(m, 2))
        end = end_of(&m->f, start);
    return (struct range){start, end > PAGES ? PAGES : end};
}

static bool
is_sealed(const struct model *m, struct range r)
{
    for (unsigned i = r.start; i < r.end; i++)
        if (m->f.pages[i].flags & ASPEN_VM_SEALED)
            return true;
    return false;
}

/* 0, or what taking the range away has to be refused with: the lowest that
 * refuses is heard. */
static int
clear_refused(const struct model *m, struct range r)
{
    const struct range first = {r.start, r.start + (r.start < r.end)};

    if (is_sealed(m, first))
        return -ASPEN_EPERM;
    if (m->refuse && cuts_hooked(&m->f, r.start))
        return -ASPEN_EBUSY;
    if (is_sealed(m, r))
        return -ASPEN_EPERM;
    return m->refuse && cuts_hooked(&m->f, r.end) ? -ASPEN_EBUSY : 0;
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
        .object = m->objects[object],
        .pgoff = object ? r.start + (below(m, 8) ? 0 : PAGES)
                        : page_address(r.start) / PAGE,
        .flags = pages_flags(flags),
    };
    struct aspen_mmap_args args = {
        .address = page_address(r.start),
        .length_bytes = (r.end - r.start) * PAGE,
        .vm_flags = flags,
        .flags = ASPEN_MAP_FIXED,
        .object = m->objects[object],
        .offset_bytes = object ? like.pgoff * PAGE : 0,
    };
    if (!answered(aspen_mmap(m->mm, &args, &address), clear_refused(m, r)))
        return;
    model_clear(&m->f, r.start, r.end);
    model_map(&m->f, r.start, r.end, like);
}

static void
do_munmap(struct model *m)
{
    struct range r = random_range(m);

    if (answered(aspen_munmap(m->mm, page_address(r.start),
                              (r.end - r.start) * PAGE),
                 clear_refused(m, r)))
        model_clear(&m->f, r.start, r.end);
}

static void
change_both(struct model *m, struct range r, const struct change *change,
            int error)
{
    bool cuts = m->refuse && change_cuts_hooked(&m->f, r.start, r.end, change);

    if (answered(error, cuts ? -ASPEN_EBUSY : 0))
        model_change(&m->f, r.start, r.end, change);
}

static void
do_mprotect(struct model *m)
{
    static const uint64_t access[] = {RW, RW, R, RX};
    struct change change = {
        .set = access[below(m, 4)], .clear = ASPEN_VM_ACCESS, .access = true};
    struct range r = random_range(m);
    int pkey = below(m, 6) ? ASPEN_PKEY_SAME : (int)below(m, KEYS);

    if (!pages_are_whole(m->f.pages, r.start, r.end) || is_sealed(m, r))
        return;
    if (pkey != ASPEN_PKEY_SAME) {
        change.clear |= ASPEN_VM_PKEY;
        change.set |= (uint64_t)pkey << ASPEN_VM_PKEY_SHIFT;
    }
    change_both(m, r, &change,
                aspen_mprotect(m->mm, page_address(r.start),
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
    if (pages_are_whole(m->f.pages, r.start, r.end) &&
        !(row == 0 && is_sealed(m, r)))
        change_both(m, r, &change,
                    aspen_madvise(m->mm, page_address(r.start),
                                  (r.end - r.start) * PAGE, rows[row].advice));
}

static void
do_mlock(struct model *m)
{
    struct range r = random_range(m);
    bool lock = below(m, 3) == 0;
    struct change change = {.set = lock ? LOCK : 0, .clear = LOCK};

    for (unsigned i = r.start; i < r.end; i++)
        if (!m->f.pages[i].mapped || m->f.pages[i].flags & NEVER)
            return;
    uint64_t bytes = (r.end - r.start) * PAGE;
    change_both(m, r, &change,
                lock ? aspen_mlock(m->mm, page_address(r.start), bytes,
                                   ASPEN_MLOCK_ONFAULT)
                     : aspen_munlock(m->mm, page_address(r.start), bytes));
}

static void
do_name(struct model *m)
{
    static const char *const names[] = {NULL, "one", "two"};
    struct range r = random_range(m);
    struct change change = {.renames = true, .name = names[below(m, 3)]};

    for (unsigned i = r.start; i < r.end; i++)
        if (!m->f.pages[i].mapped || m->f.pages[i].object)
            return;
    change_both(m, r, &change,
                aspen_name_anon(m->mm, page_address(r.start),
                                (r.end - r.start) * PAGE, change.name));
}

static void
do_mseal(struct model *m)
{
    struct range r = random_range(m);
    struct change change = {.set = ASPEN_VM_SEALED};

    if (below(m, 60) == 0 && pages_are_whole(m->f.pages, r.start, r.end))
        change_both(m, r, &change,
                    aspen_mseal(m->mm, page_address(r.start),
                                (r.end - r.start) * PAGE));
}

static void
do_embedder(struct model *m)
{
    static int theirs;
    unsigned at = (unsigned)below(m, PAGES);

    if (below(m, 30) || !m->f.pages[at].mapped)
        return;
    aspen_vma_at(m->mm, page_address(at))->embedder = &theirs;
    for (unsigned i = start_of(&m->f, at), end = end_of(&m->f, at); i < end;
         i++)
        m->f.pages[i].embedder = &theirs;
}

/* ---- Pages ------------------------------------------------------------- */

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
        assert_ptr_not_equal(m->f.pages[i].anon, anon);
}

static void
do_touch(struct model *m)
{
    unsigned at = (unsigned)below(m, PAGES);
    const struct page *page = &m->f.pages[at];

    if (!page->mapped || !(page->flags & ASPEN_VM_WRITE))
        return;
    helper_put(&m->helper, m->mm, page_address(at), 1);
    if (page->anon || page->flags & ASPEN_VM_SHARED)
        return;
    unsigned start = start_of(&m->f, at);
    unsigned end = end_of(&m->f, at);
    struct page source = {.anon =
                              aspen_vma_at(m->mm, page_address(at))->anon_vma};
    if (end < PAGES &&
        lends(&m->f.pages[end], &m->f.pages[end - 1], &m->f.pages[end]))
        source = m->f.pages[end];
    else if (start > 0 && lends(&m->f.pages[start - 1], &m->f.pages[start - 1],
                                &m->f.pages[start]))
        source = m->f.pages[start - 1];
    else
        check_fresh(m, source.anon);
    take_anon(&m->f, start, end, source);
}

/* ---- mremap ------------------------------------------------------------ */

/* As many mappings as there are; gaps stay gaps. */
static void
do_move(struct model *m)
{
    struct range r = random_range(m);
    unsigned count = r.end - r.start;
    unsigned to = (unsigned)below(m, PAGES);

    m->refuse = false;
    if (to + count > PAGES || (to < r.end && r.start < to + count) ||
        !m->f.pages[r.start].mapped || is_sealed(m, r) ||
        is_sealed(m, (struct range){to, to + count}))
        return;
    assert_int_equal(helper_remap(m->mm, page_address(r.start), count * PAGE,
                                  count * PAGE,
                                  ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
                                  page_address(to)),
                     0);
    for (unsigned i = r.start; i < r.end;) {
        if (!m->f.pages[i].mapped) {
            i++;
            continue;
        }
        unsigned end = end_of(&m->f, i) < r.end ? end_of(&m->f, i) : r.end;
        model_move(&m->f, i, to + (i - r.start), end - i);
        i = end;
    }
}

static void
do_resize(struct model *m)
{
    struct range r = random_range(m);

    m->refuse = false;
    if (!m->f.pages[r.start].mapped || is_sealed(m, r))
        return;
    unsigned end = end_of(&m->f, r.start);
    unsigned more = (unsigned)below(m, 4);
    if (below(m, 3) == 0) {
        assert_int_equal(helper_remap(m->mm, page_address(r.start),
                                      (r.end - r.start) * PAGE, PAGE, 0, 0),
                         0);
        if (r.end - r.start > 1)
            model_clear(&m->f, r.start + 1, r.end);
        return;
    }
    for (unsigned i = end; i < end + more; i++)
        if (i >= PAGES || m->f.pages[i].mapped)
            return;
    if (!more || m->f.pages[r.start].flags & NEVER)
        return;
    assert_int_equal(helper_remap(m->mm, page_address(r.start),
                                  (end - r.start) * PAGE,
                                  (end - r.start + more) * PAGE, 0, 0),
                     0);
    struct page like = m->f.pages[end - 1];
    like.pgoff++;
    model_map(&m->f, end, end + more, like);
    if (like.embedder)
        m->f.pages[end].first = false;
}

/* ---- fork -------------------------------------------------------------- */

/* What each page's mapping becomes in a child; anon_vmas are new ones, which
 * belong to a family. */
static void
model_fork(struct model *m, struct aspen_mm *child)
{
    for (unsigned i = 0; i < PAGES; i++) {
        struct page *page = &m->f.pages[i];
        if (page->flags & ASPEN_VM_DONTCOPY) {
            memset(page, 0, sizeof(*page));
            continue;
        }
        page->flags &= ~LOCK;
        if (!page->anon)
            continue;
        page->forked = true;
        page->anon = aspen_vma_at(child, page_address(i))->anon_vma;
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

/* ---- Comparing --------------------------------------------------------- */

static void
check_page(const struct model *m, unsigned i)
{
    const struct page *page = &m->f.pages[i];
    const struct aspen_vma *vma = page_check(m->mm, m->f.pages, i);

    if (!vma)
        return;
    assert_int_equal(vma->start == page_address(i), page->first);
    assert_true(same_name(vma->name ? vma->name->text : NULL, page->name));
    assert_ptr_equal(vma->embedder, page->embedder);
    assert_ptr_equal(vma->anon_vma, page->anon);
    if (vma->anon_vma)
        assert_int_equal(!aspen_anon_vma_is_single(vma), page->forked);
}

static void
check(struct model *m)
{
    struct aspen_finding finding;
    uint64_t maps = 0;
    int64_t open = 0;

    for (unsigned i = 0; i < PAGES; i++) {
        check_page(m, i);
        maps += m->f.pages[i].first;
        open += m->f.pages[i].first && m->f.pages[i].object == m->f.hooked;
    }
    pages_check_sizes(m->mm, m->f.pages, PAGES);
    assert_int_equal(helper_counters(m->mm).vmas, maps);
    assert_int_equal(helper_committed(&m->helper),
                     pages_charged(m->f.pages, PAGES));
    assert_int_equal(m->open, open);
    if (aspen_validate_mm(m->mm, &finding))
        fail_msg("%s: %s", finding.check, finding.text);
}

/* ---- Runs -------------------------------------------------------------- */

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
    config.pkeys = ASPEN_ENTRY_PKEYS;
    helper_create(&m->helper, &config);
    m->mm = helper_mm(&m->helper);
    int pkey; /* 1, which do_mprotect() names */
    if (KEYS > 1)
        assert_int_equal(aspen_pkey_alloc(m->mm, 0, &pkey), 0);
    m->objects[PLAIN] =
        helper_object(&m->helper, ASPEN_OBJECT_FILE, 2 * PAGES, NULL, NULL);
    m->objects[HOOKED] =
        helper_object(&m->helper, ASPEN_OBJECT_FILE, 2 * PAGES, &hooks, m);
    m->f.hooked = m->objects[HOOKED];
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
    uint64_t cases[9] = {0};

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
        for (unsigned i = 0; i < 9; i++)
            cases[i] += m.f.cases[i];
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
