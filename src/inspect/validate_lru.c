/* SPDX-License-Identifier: MIT */
/*
 * inspect/validate_lru.c - LRU lists: whole, and exactly of those pages that
 * belong there.
 */
#include "inspect/validate.h"

#include "frames/lru.h"
#include "object/page_cache.h"

/* Anonymous, or of an object's cache that could read it again. */
static bool
belongs(struct aspen_validator *v, uint32_t number)
{
    const struct aspen_frame *frame = aspen_frame_at(v->aspen, number);
    const struct aspen_object *object = (const void *)(uintptr_t)frame->owner;

    if (aspen_frame_type(frame) == ASPEN_FRAME_ANON)
        return !(frame->index & ASPEN_FRAME_HEAD);
    return *aspen_validate_tally(v, number) & ASPEN_TALLY_CACHED &&
           aspen_object_can_read_again(object);
}

static bool
check_page(struct aspen_validator *v, uint32_t number, unsigned kind)
{
    const struct aspen_frame *frame = aspen_frame_at(v->aspen, number);

    return ASPEN_EXPECT(v,
                        belongs(v, number) &&
                            aspen_lru_kind_of(aspen_lru_state(frame)) == kind,
                        LRU_PAGE,
                        "frame %u: on LRU list %u, to which it does "
                        "not belong",
                        number, kind);
}

static bool
check_list(struct aspen_validator *v, unsigned kind)
{
    const struct aspen_lru_list *list = &v->aspen->lru.lists[kind];
    uint32_t previous = ASPEN_NO_FRAME;
    uint32_t number = list->first;
    uint64_t count = 0, anon = 0;

    while (number != ASPEN_NO_FRAME && count < list->count) {
        if (!ASPEN_EXPECT(
                v,
                aspen_frame_exists(v->aspen, number) &&
                    aspen_frame_at(v->aspen, number)->previous == previous,
                LRU_LIST, "LRU list %u is broken at frame %u", kind, number) ||
            !check_page(v, number, kind))
            return false;
        anon += aspen_frame_type(aspen_frame_at(v->aspen, number)) ==
                ASPEN_FRAME_ANON;
        previous = number;
        number = aspen_frame_at(v->aspen, number)->next;
        count++;
    }
    return ASPEN_EXPECT(v,
                        number == ASPEN_NO_FRAME && count == list->count &&
                            anon == list->anon && list->last == previous,
                        LRU_LIST,
                        "LRU list %u has %u pages, %u of them anonymous, but "
                        "counts %u and %u",
                        kind, count, anon, list->count, list->anon);
}

void
aspen_validate_lru(struct aspen_validator *v)
{
    const struct aspen_lru *lru = &v->aspen->lru;
    uint64_t pages = 0;

    for (unsigned kind = 0; kind < ASPEN_LRU_LISTS; kind++) {
        if (!check_list(v, kind))
            return;
        pages += lru->lists[kind].count - lru->lists[kind].anon;
    }
    if (ASPEN_EXPECT(v, pages == v->lru_pages, LRU_PAGE,
                     "%u pages of files belong on LRU lists, but %u are",
                     v->lru_pages, pages))
        (void)ASPEN_EXPECT(v, v->shadows == lru->shadows, OBJECT_SHADOWS,
                           "%u shadows, but the machine counts %u", v->shadows,
                           lru->shadows);
}
