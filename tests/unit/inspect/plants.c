/* SPDX-License-Identifier: MIT */
#include "plants.h"

#include "frames/lru.h"
#include "object/page_cache.h"
#include <aspen/calls/swap.h>

/* Nothing is ever swapped out to it. */
static int
transfer(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    (void)io;
    return -ASPEN_EIO;
}

static const struct aspen_swap_ops device = {.transfer = transfer};

struct scene
scene_create(void)
{
    struct scene scene = {.rich = fork_parent_rich()};
    unsigned type;

    scene.aspen = scene.rich->helper.aspen;
    assert_int_equal(aspen_swap_area_add(scene.aspen, 64, &type), 0);
    assert_int_equal(type, 1);
    assert_int_equal(aspen_swap_add(scene.aspen,
                                    &(struct aspen_swap_args){
                                        .pages = 64,
                                        .ops = &device,
                                    },
                                    &type),
                     0);
    assert_int_equal(type, 2);
    scene.parent = scene.rich->mm;
    assert_int_equal(aspen_fork(scene.parent, &scene.child), 0);
    assert_int_equal(aspen_mm_create(scene.aspen, &scene.empty), 0);
    aspen_mm_hold(scene.empty);
    aspen_mm_put(scene.empty);
    assert_int_equal(
        aspen_object_get_page(scene.rich->shmem, 5000, NULL, &scene.cached), 0);
    /* As if it were from before there was a swap device. */
    aspen_lru_remove(scene.aspen, scene.cached);
    aspen_frame_put(scene.aspen, scene.cached);
    assert_int_equal(aspen_group_create(scene.aspen, NULL, &scene.top), 0);
    assert_int_equal(aspen_group_create(scene.aspen, scene.top, &scene.group),
                     0);
    scene.member = helper_mm(&scene.rich->helper);
    assert_int_equal(aspen_group_enter(scene.member, scene.group), 0);
    helper_map(scene.member, ANON, 1, RW);
    assert_int_equal(aspen_fault(scene.member, ANON, ASPEN_ACCESS_WRITE), 0);
    return scene;
}

void
scene_destroy(struct scene *scene)
{
    aspen_mm_put(scene->member);
    aspen_group_put(scene->group);
    aspen_group_put(scene->top);
    aspen_mm_put(scene->child);
    aspen_mm_drop(scene->empty);
    fork_parent_free(scene->rich);
}

void
remember(struct scene *scene, void *place, size_t size)
{
    assert_true(scene->poked < POKES);
    struct poke *poke = &scene->pokes[scene->poked++];
    assert_true(size <= sizeof(poke->old));
    poke->place = place;
    poke->size = size;
    memcpy(poke->old, place, size);
}

void
restore(struct scene *scene)
{
    if (scene->after)
        scene->after(scene);
    scene->after = NULL;
    while (scene->poked) {
        struct poke *poke = &scene->pokes[--scene->poked];
        memcpy(poke->place, poke->old, poke->size);
    }
}

/* ---- Finding one's way ------------------------------------------------- */

struct aspen_vma *
vma_at(struct aspen_mm *mm, uint64_t address)
{
    struct aspen_vma *vma = aspen_vma_at(mm, address);
    assert_non_null(vma);
    return vma;
}

uint64_t *
slot_at(struct aspen_mm *mm, uint64_t address, unsigned level)
{
    uint32_t table = mm->root;
    uint64_t *entry = NULL;

    for (unsigned at = ASPEN_TABLE_LEVELS; at-- > level;) {
        entry = &aspen_table_entries(mm->aspen,
                                     table)[aspen_table_index(address, at)];
        table = (uint32_t)aspen_entry_frame(*entry);
    }
    return entry;
}

uint32_t
frame_at(struct aspen_mm *mm, uint64_t address, unsigned level)
{
    return (uint32_t)aspen_entry_frame(*slot_at(mm, address, level));
}

struct aspen_frame *
page_at(struct scene *scene, uint64_t address)
{
    return aspen_frame_at(scene->aspen, frame_at(scene->parent, address, 0));
}

struct aspen_frame *
table_at(struct scene *scene, uint64_t address)
{
    return aspen_frame_at(scene->aspen, frame_at(scene->parent, address, 1));
}

struct aspen_anon_vma_link *
link_at(struct aspen_mm *mm, uint64_t address)
{
    return aspen_container_of(vma_at(mm, address)->anon_chain.next,
                              struct aspen_anon_vma_link, same_vma);
}

struct aspen_anon_vma_link *
own_link_at(struct aspen_mm *mm, uint64_t address)
{
    return aspen_container_of(vma_at(mm, address)->anon_chain.previous,
                              struct aspen_anon_vma_link, same_vma);
}

uint64_t
anon_leaf(struct scene *scene, uint64_t of)
{
    return aspen_entry_make_leaf(frame_at(scene->parent, of, 0), 0,
                                 ASPEN_ENTRY_READ);
}

void
exchange(struct aspen_interval_tree *tree, struct aspen_interval_node *first,
         struct aspen_interval_node *second)
{
    aspen_interval_remove(tree, first);
    aspen_interval_remove(tree, second);
    aspen_interval_insert(tree, first);
    aspen_interval_insert(tree, second);
}
