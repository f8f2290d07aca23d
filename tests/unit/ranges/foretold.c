/* SPDX-License-Identifier: MIT */
#include "foretold.h"

/* ---- Mappings of the model ----------------------------------------------- */

unsigned
start_of(const struct foretold *m, unsigned i)
{
    while (!m->pages[i].first)
        i--;
    return i;
}

unsigned
end_of(const struct foretold *m, unsigned i)
{
    do
        i++;
    while (i < PAGES && m->pages[i].mapped && !m->pages[i].first);
    return i;
}

static bool
is_mapped(const struct foretold *m, unsigned i)
{
    return i < PAGES && m->pages[i].mapped;
}

bool
cuts_hooked(const struct foretold *m, unsigned i)
{
    return is_mapped(m, i) && !m->pages[i].first &&
           m->pages[i].object == m->hooked;
}

static void
cut(struct foretold *m, unsigned i)
{
    if (is_mapped(m, i))
        m->pages[i].first = true;
}

/* ---- What may be one --------------------------------------------------- */

bool
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

void
take_anon(struct foretold *m, unsigned start, unsigned end, struct page from)
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
joins_of(const struct foretold *m, unsigned start, unsigned end)
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
settle_both(const struct foretold *m, unsigned start, unsigned end,
            struct joins *j)
{
    if (j->below && j->above &&
        (!anon_agrees(&m->pages[start - 1], &m->pages[end]) ||
         m->pages[end].object == m->hooked))
        j->above = false;
}

static void
join(struct foretold *m, unsigned start, unsigned end, struct joins j)
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

/* ---- What calls do to the model ---------------------------------------- */

void
model_clear(struct foretold *m, unsigned start, unsigned end)
{
    cut(m, start);
    cut(m, end);
    pages_clear(m->pages, start, end);
}

void
model_map(struct foretold *m, unsigned start, unsigned end, struct page like)
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
    m->cases[j.below && j.above ? 1 : j.below ? 2 : j.above ? 3 : 0]++;
}

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
    if (!(new.flags &ASPEN_VM_WRITE) && !page->object && !page->anon)
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
count_case(struct foretold *m, bool left, bool right, struct joins j)
{
    if (left && right)
        m->cases[j.below && j.above ? 6 : j.below ? 7 : j.above ? 8 : 0]++;
    else
        m->cases[j.below ? 5 : j.above ? 4 : 0]++;
}

/* The part of one mapping that lies in the range. Where it ends then. */
static unsigned
model_change_one(struct foretold *m, unsigned start, unsigned end,
                 const struct change *change)
{
    bool left = m->pages[start].first;
    bool right = !is_mapped(m, end) || m->pages[end].first;
    struct joins j = {false, false};

    for (unsigned i = start; i < end; i++)
        m->pages[i] = changed(&m->pages[i], change);
    if (!left || !right || m->pages[start].object != m->hooked) {
        j = joins_of(m, start, end);
        j.below &= left;
        j.above &= right;
        settle_both(m, start, end, &j);
    }
    if (!right)
        cut(m, end);
    cut(m, start);
    join(m, start, end, j);
    count_case(m, left, right, j);
    return end_of(m, start);
}

void
model_change(struct foretold *m, unsigned start, unsigned end,
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

bool
change_cuts_hooked(const struct foretold *m, unsigned start, unsigned end,
                   const struct change *change)
{
    return (cuts_hooked(m, start) && changes(&m->pages[start], change)) ||
           (cuts_hooked(m, end) && changes(&m->pages[end], change));
}

void
model_move(struct foretold *m, unsigned from, unsigned to, unsigned count)
{
    struct page like = m->pages[from];

    if (!like.object && !like.anon)
        like.pgoff = page_address(to) / PAGE;
    model_clear(m, to, to + count);
    model_clear(m, from, from + count);
    model_map(m, to, to + count, like);
}
