/* SPDX-License-Identifier: MIT */
/*
 * inspect/validate_object.c - objects: the list of them, who maps them, and
 * their page caches.
 */
#include "inspect/validate.h"

#include "object/page_cache.h"
#include "machine/swap_map.h"
#include "object/cached.h"

#define OBJECT_FORMAT    "object %u:%u"
#define OBJECT_VALUES(o) (o)->device, (o)->inode

static bool
check_mappings(struct aspen_validator *v, const struct aspen_object *object)
{
    const uint64_t both = ASPEN_VM_SHARED | ASPEN_VM_MAYWRITE;
    struct aspen_interval_node *node;
    uint64_t shared = 0;

    const char *broken = aspen_interval_tree_check(&object->i_mmap);
    if (!ASPEN_EXPECT(v, !broken, OBJECT_I_MMAP, OBJECT_FORMAT ": i_mmap: %s",
                      OBJECT_VALUES(object), ASPEN_TEXT_STRING(broken)))
        return false;
    for (node = aspen_interval_first(&object->i_mmap, 0, UINT64_MAX); node;
         node = aspen_interval_next(node, 0, UINT64_MAX)) {
        const struct aspen_vma *vma =
            aspen_container_of(node, struct aspen_vma, i_mmap_node);
        if (!ASPEN_EXPECT(v, vma->object == object, OBJECT_I_MMAP,
                          OBJECT_FORMAT ": i_mmap holds a VMA at %a that maps "
                                        "something else",
                          OBJECT_VALUES(object), vma->start))
            return false;
        shared += (vma->flags & both) == both;
    }
    v->i_mmaps += object->i_mmap.count;
    /* Its references are checked with each VMA that maps it. */
    return ASPEN_EXPECT(v,
                        object->writable_shared == (int64_t)shared ||
                            (object->writable_shared < 0 && !shared),
                        OBJECT_SHARED,
                        OBJECT_FORMAT ": %u writable shared mappings, but it "
                                      "counts %a",
                        OBJECT_VALUES(object), shared,
                        (uint64_t)object->writable_shared);
}

/* An entry of the page cache: [first, last] are the pages of one block. */
static bool
check_page(struct aspen_validator *v, const struct aspen_object *object,
           const struct aspen_frame *frame, uint64_t first, uint64_t last)
{
    const struct aspen *aspen = v->aspen;
    const struct aspen_bank *bank = aspen_bank_with(aspen, frame);
    uintptr_t place = bank ? (uintptr_t)frame - (uintptr_t)bank->frames : 1;

    if (!ASPEN_EXPECT(v, place % sizeof(*frame) == 0, OBJECT_PAGE,
                      OBJECT_FORMAT ": page %a is no frame",
                      OBJECT_VALUES(object), first))
        return false;
    uint32_t number = aspen_frame_number(aspen, frame);
    unsigned order = aspen_frame_order(aspen, number);
    if (v->entries)
        *aspen_validate_tally(v, number) |= ASPEN_TALLY_CACHED;
    /* Shared memory from before there was a swap device is on none. */
    v->lru_pages +=
        order == 0 &&
        (aspen_object_can_read_again(object) ||
         (aspen_object_may_swap(object) && aspen_load_relaxed(&frame->next)));
    *(object->kind == ASPEN_OBJECT_FILE ? &v->file_pages : &v->shmem_pages) +=
        last - first + 1;
    return ASPEN_EXPECT(v,
                        aspen_frame_type(frame) == ASPEN_FRAME_OBJECT &&
                            frame->owner == (uint64_t)(uintptr_t)object &&
                            aspen_frame_offset(frame) == first &&
                            last - first == ((uint64_t)1 << order) - 1,
                        OBJECT_PAGE,
                        OBJECT_FORMAT
                        ": its page %a is frame %u, which says otherwise",
                        OBJECT_VALUES(object), first, number);
}

/* A page that is in swap: the slot counts the place as it does an entry. */
static bool
check_swapped(struct aspen_validator *v, const struct aspen_object *object,
              const void *entry, uint64_t offset)
{
    unsigned type = aspen_swapped_type(entry);
    uint32_t slot = aspen_swapped_slot(entry);

    if (!ASPEN_EXPECT(v,
                      aspen_object_may_swap(object) &&
                          aspen_swap_references(v->aspen, type, slot) > 0,
                      OBJECT_SWAPPED,
                      OBJECT_FORMAT ": its page %a is swap %u:%u, a slot that "
                                    "is not in use, or not for it",
                      OBJECT_VALUES(object), offset, type, slot))
        return false;
    if (v->swap_entries[type])
        v->swap_entries[type][slot]++;
    return true;
}

/* As many as it counts, and then it is on the list. */
static bool
check_swapped_count(struct aspen_validator *v,
                    const struct aspen_object *object, uint64_t swapped)
{
    bool listed = !aspen_list_is_empty(&object->swap_link);

    v->swapped_objects += listed;
    return ASPEN_EXPECT(v, object->swapped == swapped, OBJECT_SWAPPED,
                        OBJECT_FORMAT ": %u pages in swap, but it counts %u",
                        OBJECT_VALUES(object), swapped, object->swapped) &&
           ASPEN_EXPECT(v, listed || !swapped, OBJECT_SWAPPED,
                        OBJECT_FORMAT ": %u pages in swap, and it is not on "
                                      "the list of those that have some",
                        OBJECT_VALUES(object), swapped);
}

static bool
check_pages(struct aspen_validator *v, struct aspen_object *object)
{
    struct aspen_tree_cursor cursor;
    const void *entry;
    uint64_t shadows = 0, swapped = 0;
    uint64_t where = 0;

    const char *broken = aspen_tree_check(&object->pages, &where);
    if (!ASPEN_EXPECT(v, !broken, OBJECT_PAGES,
                      OBJECT_FORMAT ": page cache is broken at page %a: %s",
                      OBJECT_VALUES(object), where, ASPEN_TEXT_STRING(broken)))
        return false;
    v->tree_nodes += aspen_tree_nodes(&object->pages);
    aspen_tree_cursor_init(&cursor, &object->pages, 0);
    while ((entry = aspen_tree_next(&cursor, UINT64_MAX)) != NULL) {
        bool is_right = true;
        if (aspen_is_shadow(entry)) {
            shadows++;
        } else if (aspen_is_swapped(entry)) {
            swapped++;
            is_right = check_swapped(v, object, entry, cursor.first);
        } else {
            is_right = check_page(v, object, entry, cursor.first, cursor.last);
        }
        if (!is_right)
            return false;
    }
    v->shadows += shadows;
    return ASPEN_EXPECT(v, object->shadows == shadows, OBJECT_SHADOWS,
                        OBJECT_FORMAT ": %u shadows, but it counts %u",
                        OBJECT_VALUES(object), shadows, object->shadows) &&
           check_swapped_count(v, object, swapped);
}

void
aspen_validate_objects(struct aspen_validator *v)
{
    struct aspen *aspen = v->aspen;

    if (!ASPEN_EXPECT(v, aspen_validate_link(&aspen->objects), OBJECT_LIST,
                      "the list of objects is broken at its head"))
        return;
    aspen_list_for_each(position, &aspen->objects)
    {
        struct aspen_object *object =
            aspen_container_of(position, struct aspen_object, link);
        if (!ASPEN_EXPECT(
                v, aspen_validate_link(position) && object->aspen == aspen,
                OBJECT_LIST,
                "the list of objects is broken after "
                "%u of them",
                v->objects) ||
            !check_mappings(v, object) || !check_pages(v, object))
            return;
        v->charge_pages += object->charged_pages;
        v->objects++;
    }
    (void)ASPEN_EXPECT(
        v, v->swapped_objects == aspen->swapped_object_count, OBJECT_SWAPPED,
        "%u objects are on the list of those with pages in swap, which counts "
        "%u",
        v->swapped_objects, aspen->swapped_object_count);
}
