/* SPDX-License-Identifier: MIT */
/*
 * object/page_cache.c - the page cache of an object.
 *
 * I1  A frame has type OBJECT and its owner set exactly while it is in the
 *     cache, but for the moments in which the size lock is held for writing.
 *     Whoever wants to map it looks at the owner under the page's lock.
 * I2  A page is filled before it is entered: so every page that is found is
 *     whole. The pager is asked without any lock; when something was cut off
 *     or punched meanwhile what it read is thrown away.
 * I3  What a pager has to read is read by one task at a time: who needs it
 *     waits until that one has ended, and looks again.
 * I4  A page that is dropped leaves a tombstone until some hundred are gone,
 *     since erasing each page on its own could need memory, and all at once
 *     holds the spin lock for long. Only whoever drops pages sees tombstones:
 *     to everybody else nothing is there.
 * I5  A page that reclaim takes leaves a shadow (object/shadow.h). Nothing is
 *     there either, but for who enters the page again, and who drops what there
 *     is.
 * I6  While a page is in the cache it is on an LRU list, if it could be read
 *     again (I1 of struct aspen_lru), or go to swap and there was a device when
 *     it came.
 * I7  Where a page is in swap its slot stands (swapped.c): no other is made.
 *
 * Called by faults, calls/ and all of this layer. The first test to
 * break is tests/unit/object/test_object.c.
 */
#include "object/page_cache.h"

#include "frames/policy.h"
#include "machine/payer.h"
#include "machine/pressure.h"
#include "object/cached.h"

#define AHEAD_FIRST 4u   /* pages, for accesses in no order */
#define PASS_MAX    256u /* shadows, under one hold of the cache's lock */

/* Another task was quicker, or what was read is stale: look for the page once
 * more. A positive number, which no pager's error can be. */
#define LOOK_AGAIN 1

/* ---- Find -------------------------------------------------------------- */

int
aspen_object_find_page(struct aspen_object *object, uint64_t offset,
                       uint32_t *frame)
{
    aspen_pages_lock(object);
    struct aspen_frame *page =
        aspen_page_of_entry(object, aspen_tree_load(&object->pages, offset));
    if (page)
        aspen_frame_get(page);
    aspen_pages_unlock(object);
    if (!page)
        return -ASPEN_ENOENT;
    *frame = aspen_frame_number(object->aspen, page);
    return 0;
}

/* The cache's lock is held, and given back now and then. */
static struct aspen_frame *
first_page(struct aspen_object *object, uint64_t offset, uint64_t last,
           uint64_t range[2])
{
    struct aspen_frame *page = NULL;
    unsigned passed = 0;
    void *entry;

    while (!page &&
           (entry = aspen_tree_find(&object->pages, offset, last, range))) {
        page = aspen_page_of_entry(object, entry);
        if (!page && range[1] >= last)
            break;
        offset = range[1] + 1;
        if (++passed % PASS_MAX == 0 && !page) {
            aspen_pages_unlock(object);
            aspen_pages_lock(object);
        }
    }
    return page;
}

int
aspen_object_next_page(struct aspen_object *object, uint64_t *offset,
                       uint64_t last, uint64_t *pages, uint32_t *frame)
{
    uint64_t range[2] = {0, 0};

    aspen_pages_lock(object);
    struct aspen_frame *page = first_page(object, *offset, last, range);
    if (page)
        aspen_frame_get(page);
    aspen_pages_unlock(object);
    if (!page)
        return -ASPEN_ENOENT;
    *offset = range[0];
    *pages = range[1] - range[0] + 1;
    *frame = aspen_frame_number(object->aspen, page);
    return 0;
}

/* ---- Enter ------------------------------------------------------------- */

/* A page comes back, or is new to its lists. */
static enum aspen_lru_state
state_of_new(struct aspen *aspen, uint32_t number, const void *shadow)
{
    if (!shadow || aspen_shadow_tag(shadow) != aspen_lru_of(aspen, number)->tag)
        return aspen_policy_enter(aspen, number, ASPEN_NEVER_LEFT, false);
    return aspen_policy_enter(aspen, number, aspen_shadow_age(aspen, shadow),
                              aspen_shadow_referenced(shadow));
}

/* The cache's lock is held. */
static int
enter_single(struct aspen_object *object, uint64_t offset, uint32_t number)
{
    struct aspen *aspen = object->aspen;
    struct aspen_frame *page = aspen_frame_at(aspen, number);
    void *shadow = aspen_tree_load(&object->pages, offset);
    enum aspen_lru_state state = state_of_new(aspen, number, shadow);

    if (shadow) {
        aspen_pages_replace(object, offset, page);
    } else {
        int error = aspen_tree_store(&object->pages, offset, offset, page);
        if (error)
            return error;
    }
    aspen_frame_set(page, ASPEN_FRAME_OBJECT, object, offset, 0);
    aspen_frame_get(page);
    if (aspen_object_has_list(object))
        aspen_lru_add(aspen, number, state);
    return 0;
}

/* Blocks are imported, and stay. */
static int
enter_block(struct aspen_object *object, uint64_t offset, uint64_t last,
            struct aspen_frame *page)
{
    uint64_t shadows = 0;
    uint64_t range[2];

    for (uint64_t at = offset;
         at <= last && aspen_tree_find(&object->pages, at, last, range);
         at = range[1] + 1)
        shadows++;
    int error = aspen_tree_store(&object->pages, offset, last, page);
    if (error)
        return error;
    while (shadows--)
        aspen_shadow_uncount(object);
    aspen_frame_set(page, ASPEN_FRAME_OBJECT, object, offset, 0);
    aspen_frame_get(page);
    return 0;
}

/* Is there nothing but shadows? The cache's lock is held. */
static bool
is_room(const struct aspen_object *object, uint64_t offset, uint64_t last)
{
    uint64_t range[2];
    void *entry;

    for (uint64_t at = offset; at <= last; at = range[1] + 1) {
        entry = aspen_tree_find(&object->pages, at, last, range);
        if (!entry)
            break;
        if (!aspen_is_shadow(entry))
            return false;
    }
    return true;
}

int
aspen_object_add_page(struct aspen_object *object, uint64_t offset,
                      unsigned order, uint32_t frame)
{
    ASPEN_ASSERT(aspen_object_has_pages(object));
    ASPEN_ASSERT(aspen_is_aligned(offset, (uint64_t)1 << order));
    uint64_t last = offset + ((uint64_t)1 << order) - 1;
    int error = -ASPEN_EEXIST;

    aspen_pages_lock(object);
    if (is_room(object, offset, last))
        error = order ? enter_block(object, offset, last,
                                    aspen_frame_at(object->aspen, frame))
                      : enter_single(object, offset, frame);
    if (!error)
        aspen_count(object->aspen, aspen_object_count(object),
                    last - offset + 1);
    aspen_pages_unlock(object);
    return error;
}

/* ---- Make: one page ---------------------------------------------------- */

/* Contents of a new page. */
static int
fill_page(struct aspen_object *object, uint64_t offset, uint32_t frame)
{
    struct aspen *aspen = object->aspen;

    int error = aspen_frame_zero(aspen, frame);
    if (error || !aspen_object_has_to_wait(object))
        return error;
    if (aspen_failpoint(&aspen->failpoints, ASPEN_STEP_HOOK))
        return -ASPEN_EIO;
    return aspen_answer_of(
        object->pager->read(object->context, offset << ASPEN_PAGE_SHIFT,
                            aspen_frame_pointer(aspen, frame)));
}

/* The size lock is held for reading: has nothing been cut off or punched since
 * `changes` was read? What the pager read before may be stale. */
static bool
is_current(const struct aspen_object *object, uint32_t changes)
{
    return aspen_load(&object->change_count) == changes;
}

static int
enter_filled(struct aspen_object *object, uint64_t offset, uint32_t frame,
             uint32_t changes)
{
    aspen_read_lock(&object->size_lock, ASPEN_LOCK_OBJECT_SIZE);
    int error = is_current(object, changes)
                    ? aspen_object_add_page(object, offset, 0, frame)
                    : -ASPEN_EEXIST;
    aspen_read_unlock(&object->size_lock);
    return error == -ASPEN_EEXIST ? LOOK_AGAIN : error;
}

/* A page that is not there yet: 0, an error, or LOOK_AGAIN. */
static int
make_page(struct aspen_object *object, uint64_t offset, uint32_t changes,
          struct aspen_payer *payer, uint32_t *frame)
{
    int error = aspen_frame_alloc_paid(object->aspen, payer, frame);
    if (error)
        return error;
    error = fill_page(object, offset, *frame);
    if (!error)
        error = enter_filled(object, offset, *frame, changes);
    if (error)
        aspen_frame_put(object->aspen, *frame);
    return error;
}

/* ---- Who reads what (I3) ----------------------------------------------- */

/* Pages that a task reads; on its stack. */
struct reading {
    struct aspen_list link; /* object->reads */
    uint64_t first;
    uint64_t end;
    bool refaults; /* the first one had left too soon */
};

static bool
reads_ahead(const struct aspen_object *object, enum aspen_ahead ahead)
{
    return ahead != ASPEN_AHEAD_RANDOM && object->pager->readahead;
}

/* The cache's lock is held. How many pages from `offset` on, which is missing,
 * are worth reading? */
static unsigned
plan_ahead(struct aspen_object *object, uint64_t offset, enum aspen_ahead ahead)
{
    uint64_t behind = aspen_object_pages(object) - offset;
    unsigned pages = AHEAD_FIRST;

    if (!reads_ahead(object, ahead))
        return 1;
    if (ahead == ASPEN_AHEAD_MOST)
        pages = ASPEN_AHEAD_MAX;
    else if (offset == object->ahead_next && object->ahead_pages)
        pages = object->ahead_pages * 2;
    pages =
        (unsigned)aspen_min_u64(aspen_min_u64(pages, ASPEN_AHEAD_MAX), behind);
    for (unsigned i = 1; i < pages; i++)
        if (aspen_page_of_entry(object,
                                aspen_tree_load(&object->pages, offset + i)))
            pages = i;
    return pages;
}

/* The cache's lock is held. False: somebody reads the first page; else
 * `reading` ends where others' begin. */
static bool
keep_apart(struct aspen_object *object, struct reading *reading)
{
    for (struct aspen_list *at = object->reads.next; at != &object->reads;
         at = at->next) {
        const struct reading *other =
            aspen_container_of(at, struct reading, link);
        if (other->first <= reading->first && reading->first < other->end)
            return false;
        if (other->first > reading->first)
            reading->end = aspen_min_u64(reading->end, other->first);
    }
    return true;
}

/* The cache's lock is held. The page at `offset` is not there; false: somebody
 * reads it. */
static bool
claim_pages(struct aspen_object *object, uint64_t offset,
            enum aspen_ahead ahead, struct reading *reading)
{
    reading->first = offset;
    reading->end = offset + plan_ahead(object, offset, ahead);
    if (!keep_apart(object, reading))
        return false;
    aspen_list_push_back(&object->reads, &reading->link);
    if (reads_ahead(object, ahead)) {
        object->ahead_next = reading->end;
        object->ahead_pages = (uint32_t)(reading->end - offset);
    }
    return true;
}

/* 0: what is in `reading` is the caller's to read, until end_reading().
 * LOOK_AGAIN: the page is there by now. -ASPEN_EAGAIN: somebody reads it;
 * look again when object->reads_ended is another than *ended. */
static int
begin_reading(struct aspen_object *object, uint64_t offset,
              enum aspen_ahead ahead, const struct aspen_payer *payer,
              struct reading *reading, uint32_t *ended)
{
    int error = 0;

    aspen_pages_lock(object);
    *ended = aspen_load_relaxed(&object->reads_ended);
    void *entry = aspen_tree_load(&object->pages, offset);
    reading->refaults =
        aspen_is_shadow(entry) &&
        aspen_payer_misses(object->aspen, payer, aspen_shadow_tag(entry),
                           aspen_shadow_age(object->aspen, entry));
    if (aspen_page_of_entry(object, entry))
        error = LOOK_AGAIN;
    else if (!claim_pages(object, offset, ahead, reading))
        error = -ASPEN_EAGAIN;
    aspen_pages_unlock(object);
    return error;
}

static void
end_reading(struct aspen_object *object, struct reading *reading)
{
    aspen_pages_lock(object);
    aspen_list_remove(&reading->link);
    aspen_fetch_add(&object->reads_ended, 1u);
    aspen_pages_unlock(object);
    aspen_port_wake_all(&object->reads_ended);
}

struct awaited {
    struct aspen_object *object;
    uint32_t ended;
};

static bool
still_reads(const void *argument)
{
    const struct awaited *awaited = argument;

    return aspen_load(&awaited->object->reads_ended) == awaited->ended;
}

/* ---- Make: several pages ----------------------------------------------- */

static unsigned
alloc_ahead(struct aspen_object *object, unsigned count,
            struct aspen_payer *payer, uint32_t *frames, void **pages)
{
    struct aspen *aspen = object->aspen;

    for (unsigned i = 0; i < count; i++) {
        if (aspen_frame_alloc_paid(aspen, payer, &frames[i]))
            return i;
        if (aspen_frame_zero(aspen, frames[i])) {
            aspen_frame_put(aspen, frames[i]);
            return i;
        }
        pages[i] = aspen_frame_pointer(aspen, frames[i]);
    }
    return count;
}

static int
read_ahead(struct aspen_object *object, uint64_t offset, unsigned count,
           void *const *pages)
{
    if (count < 2)
        return -ASPEN_EAGAIN;
    if (aspen_failpoint(&object->aspen->failpoints, ASPEN_STEP_HOOK))
        return -ASPEN_EIO;
    return aspen_answer_of(object->pager->readahead(
        object->context, offset << ASPEN_PAGE_SHIFT, pages, count));
}

/* Enter what was read, as far as that goes. */
static void
enter_ahead(struct aspen_object *object, uint64_t offset, unsigned count,
            const uint32_t *frames, uint32_t changes)
{
    aspen_read_lock(&object->size_lock, ASPEN_LOCK_OBJECT_SIZE);
    bool good = is_current(object, changes);
    for (unsigned i = 0; i < count && good; i++)
        good = !aspen_object_add_page(object, offset + i, 0, frames[i]);
    aspen_read_unlock(&object->size_lock);
}

/* Read [offset, offset + count) at one go, if that works; whoever needs one of
 * the pages looks for it afterwards. */
static void
make_pages(struct aspen_object *object, uint64_t offset, unsigned count,
           struct aspen_payer *payer, uint32_t changes)
{
    struct aspen *aspen = object->aspen;
    uint32_t frames[ASPEN_AHEAD_MAX];
    void *pages[ASPEN_AHEAD_MAX];

    count = alloc_ahead(object, count, payer, frames, pages);
    if (!read_ahead(object, offset, count, pages))
        enter_ahead(object, offset, count, frames, changes);
    for (unsigned i = 0; i < count; i++)
        aspen_frame_put(aspen, frames[i]);
}

/* ---- Get --------------------------------------------------------------- */

/* What is the caller's to read. As make_page(). */
static int
read_pages(struct aspen_object *object, const struct reading *reading,
           uint32_t changes, struct aspen_payer *payer, uint32_t *frame)
{
    unsigned pages = (unsigned)(reading->end - reading->first);

    if (pages > 1) {
        make_pages(object, reading->first, pages, payer, changes);
        if (!aspen_object_find_page(object, reading->first, frame))
            return 0;
    }
    return make_page(object, reading->first, changes, payer, frame);
}

/* Not in the cache. As make_page(). */
static int
bring_page(struct aspen_object *object, uint64_t offset, enum aspen_ahead ahead,
           struct aspen_payer *payer, uint32_t *frame)
{
    uint32_t changes = aspen_load(&object->change_count);
    struct awaited awaited = {.object = object};
    struct aspen_group *stalled = NULL;
    struct reading reading;
    unsigned type;
    uint32_t slot;

    if (offset >= aspen_object_pages(object))
        return -ASPEN_EFBIG;
    if (object->kind == ASPEN_OBJECT_HUGETLB)
        return -ASPEN_EOPNOTSUPP;
    if (aspen_object_find_swapped(object, offset, &type, &slot)) /* I7 */
        return ASPEN_OBJECT_IN_SWAP;
    if (!aspen_object_has_to_wait(object))
        return make_page(object, offset, changes, payer, frame);
    int error =
        begin_reading(object, offset, ahead, payer, &reading, &awaited.ended);
    if (reading.refaults)
        stalled = aspen_stall_begin(object->aspen, payer);
    if (!error) {
        error = read_pages(object, &reading, changes, payer, frame);
        end_reading(object, &reading);
    } else if (error == -ASPEN_EAGAIN) {
        aspen_port_wait_while(&object->reads_ended, still_reads, &awaited);
        error = LOOK_AGAIN;
    }
    if (reading.refaults)
        aspen_stall_end(object->aspen, stalled);
    return error;
}

int
aspen_object_get_page_ahead(struct aspen_object *object, uint64_t offset,
                            enum aspen_ahead ahead, struct aspen_payer *payer,
                            uint32_t *frame)
{
    struct aspen *aspen = object->aspen;
    int error;

    if (!aspen_object_has_pages(object))
        return -ASPEN_EINVAL;
    if (offset >= aspen_object_pages(object))
        return -ASPEN_EFBIG;
    do {
        error = aspen_object_find_page(object, offset, frame);
        if (error)
            error = bring_page(object, offset, ahead, payer, frame);
    } while (error == LOOK_AGAIN && !(error = aspen_poll_fatal(aspen)));
    if (!error && aspen_frame_order(aspen, *frame) > 0) {
        aspen_frame_put(aspen, *frame);
        error = -ASPEN_EOPNOTSUPP;
    }
    return error;
}

int
aspen_object_get_page(struct aspen_object *object, uint64_t offset,
                      struct aspen_payer *payer, uint32_t *frame)
{
    return aspen_object_get_page_ahead(object, offset, ASPEN_AHEAD_NORMAL,
                                       payer, frame);
}
