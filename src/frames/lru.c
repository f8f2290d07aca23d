/* SPDX-License-Identifier: MIT */
/*
 * frames/lru.c - lists of pages by how long ago they were last accessed.
 *
 * I1  next and previous are 0 on no list, and the number of a frame or
 *     ASPEN_NO_FRAME on one. The state in the frame's index says which list.
 * I2  A page whose last reference has gone is about to be taken off, by who put
 *     it (frames.c), or is off already.
 * I3  Which lists a page belongs on does not change while somebody takes it on
 *     or off: that is its group's, as long as it is charged.
 *
 * Called by the page cache, which enters pages and takes them off, by reclaim,
 * and by frames.c. The first test to break is
 * tests/unit/reclaim/test_reclaim.c.
 */
#include "frames/lru.h"

void
aspen_lru_init(struct aspen_lru *lru)
{
    for (unsigned kind = 0; kind < ASPEN_LRU_LISTS; kind++) {
        lru->lists[kind].first = ASPEN_NO_FRAME;
        lru->lists[kind].last = ASPEN_NO_FRAME;
    }
}

static struct aspen_lru_list *
list_of(struct aspen_lru *lru, enum aspen_lru_state state)
{
    return &lru->lists[aspen_lru_kind_of(state)];
}

/* What leads to a frame from the side of the list's first, or of its last. */
static uint32_t *
next_link(struct aspen *aspen, struct aspen_lru_list *list, uint32_t frame)
{
    return frame == ASPEN_NO_FRAME ? &list->first
                                   : &aspen_frame_at(aspen, frame)->next;
}

static uint32_t *
previous_link(struct aspen *aspen, struct aspen_lru_list *list, uint32_t frame)
{
    return frame == ASPEN_NO_FRAME ? &list->last
                                   : &aspen_frame_at(aspen, frame)->previous;
}

/* The lock is held, here and in what follows. */
static void
push(struct aspen *aspen, struct aspen_lru *lru, uint32_t number,
     enum aspen_lru_state state)
{
    struct aspen_frame *frame = aspen_frame_at(aspen, number);
    struct aspen_lru_list *list = list_of(lru, state);
    uint64_t old = aspen_load_relaxed(&frame->index);

    while (!aspen_compare_exchange(
        &frame->index, &old,
        (old & ~ASPEN_FRAME_LRU) | (uint64_t)state << ASPEN_FRAME_LRU_SHIFT))
        ;
    frame->previous = ASPEN_NO_FRAME;
    aspen_store_relaxed(&frame->next, list->first);
    *previous_link(aspen, list, list->first) = number;
    list->first = number;
    aspen_store_relaxed(&list->count, list->count + 1);
    if (aspen_frame_type(frame) == ASPEN_FRAME_ANON)
        aspen_store_relaxed(&list->anon, list->anon + 1);
}

static void
unlink_page(struct aspen *aspen, struct aspen_lru *lru,
            struct aspen_frame *frame)
{
    struct aspen_lru_list *list = list_of(lru, aspen_lru_state(frame));

    aspen_store_relaxed(next_link(aspen, list, frame->previous), frame->next);
    *previous_link(aspen, list, frame->next) = frame->previous;
    frame->previous = 0;
    aspen_store_relaxed(&list->count, list->count - 1);
    if (aspen_frame_type(frame) == ASPEN_FRAME_ANON)
        aspen_store_relaxed(&list->anon, list->anon - 1);
    aspen_store(&frame->next, 0u); /* I2: it may be free from now on */
}

static struct aspen_lru *
lock_of(struct aspen *aspen, uint32_t frame)
{
    struct aspen_lru *lru = aspen_lru_of(aspen, frame);

    aspen_spin_lock(&lru->lock, ASPEN_LOCK_LEAF);
    return lru;
}

void
aspen_lru_add(struct aspen *aspen, uint32_t frame, enum aspen_lru_state state)
{
    struct aspen_lru *lru = lock_of(aspen, frame);

    ASPEN_ASSERT_TEST(!aspen_frame_at(aspen, frame)->next);
    push(aspen, lru, frame, state);
    aspen_spin_unlock(&lru->lock);
}

void
aspen_lru_enter(struct aspen *aspen, uint32_t frame, enum aspen_lru_state state)
{
    struct aspen_lru *lru = lock_of(aspen, frame);

    if (!aspen_frame_at(aspen, frame)->next)
        push(aspen, lru, frame, state);
    aspen_spin_unlock(&lru->lock);
}

bool
aspen_lru_remove(struct aspen *aspen, uint32_t number)
{
    struct aspen_frame *frame = aspen_frame_at(aspen, number);
    struct aspen_lru *lru = lock_of(aspen, number);
    bool listed = frame->next;

    if (listed)
        unlink_page(aspen, lru, frame);
    aspen_spin_unlock(&lru->lock);
    return listed;
}

void
aspen_lru_move(struct aspen *aspen, uint32_t number, enum aspen_lru_state state)
{
    struct aspen_frame *frame = aspen_frame_at(aspen, number);
    struct aspen_lru *lru = lock_of(aspen, number);

    if (frame->next) {
        unlink_page(aspen, lru, frame);
        push(aspen, lru, number, state);
    }
    aspen_spin_unlock(&lru->lock);
}

/* The lock is held. What both sides lead to is the other from now on. */
static void
take_place(struct aspen *aspen, struct aspen_lru *lru, struct aspen_frame *old,
           uint32_t number)
{
    struct aspen_frame *new = aspen_frame_at(aspen, number);
    struct aspen_lru_list *list = list_of(lru, aspen_lru_state(old));

    aspen_fetch_or(&new->index,
                   aspen_load_relaxed(&old->index) & ASPEN_FRAME_LRU);
    new->previous = old->previous;
    aspen_store_relaxed(&new->next, old->next);
    aspen_store_relaxed(next_link(aspen, list, old->previous), number);
    *previous_link(aspen, list, old->next) = number;
    old->previous = 0;
    aspen_store(&old->next, 0u); /* I2 */
}

void
aspen_lru_replace(struct aspen *aspen, uint32_t old, uint32_t new)
{
    struct aspen_lru *lru = lock_of(aspen, old);

    if (aspen_frame_at(aspen, old)->next)
        take_place(aspen, lru, aspen_frame_at(aspen, old), new);
    aspen_spin_unlock(&lru->lock);
}

void
aspen_lru_regroup(struct aspen *aspen, uint32_t number,
                  struct aspen_group *group)
{
    struct aspen_frame *frame = aspen_frame_at(aspen, number);
    struct aspen_lru *lru = lock_of(aspen, number);
    bool listed = frame->next;

    if (listed)
        unlink_page(aspen, lru, frame);
    aspen_spin_unlock(&lru->lock);
    aspen_store_relaxed(aspen_bank_group(aspen, number), group);
    if (listed)
        aspen_lru_add(aspen, number, aspen_lru_state(frame));
}

unsigned
aspen_lru_take(struct aspen *aspen, struct aspen_lru *lru,
               enum aspen_lru_kind kind, uint32_t *frames, unsigned most)
{
    struct aspen_lru_list *list = &lru->lists[kind];
    unsigned count = 0;

    aspen_spin_lock(&lru->lock, ASPEN_LOCK_LEAF);
    most = (unsigned)aspen_min_u64(most, list->count);
    for (; most > 0; most--) {
        uint32_t number = list->last;
        struct aspen_frame *frame = aspen_frame_at(aspen, number);
        bool used = aspen_frame_get_used(frame); /* I2: as long as it is on */
        unlink_page(aspen, lru, frame);
        if (!used)
            continue;
        push(aspen, lru, number, aspen_lru_state(frame));
        frames[count++] = number;
    }
    aspen_spin_unlock(&lru->lock);
    return count;
}
