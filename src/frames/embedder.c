/* SPDX-License-Identifier: MIT */
/*
 * frames/embedder.c - frames that who embeds the machine takes out of it.
 *
 * I1  The first frame of a block has type EMBEDDER, one reference, and order
 *     and kind where others have their page offset: no side array is needed, so
 *     nothing here asks the port for memory, which may ask us.
 * I2  aspen->embedder_frames has the sum of each kind.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/frames/test_embedder.c.
 */
#include <aspen/frames.h>

#include "frames/frames.h"

ASPEN_STATIC_ASSERT(ASPEN_FRAMES_ORDER_MAX == ASPEN_ORDER_MAX,
                    "the header says what the allocator can");

#define KIND_SHIFT 8 /* of the page offset; the order is below */
#define FLAGS      ASPEN_FRAMES_ZEROED

static bool
args_valid(const struct aspen_frames_args *args)
{
    return args->order <= ASPEN_ORDER_MAX &&
           (unsigned)args->kind < ASPEN_FRAMES_KINDS && !(args->flags & ~FLAGS);
}

/* Contents are there: aspen_frames_alloc() has asked. */
static void
zero(struct aspen *aspen, uint32_t first, unsigned order)
{
    for (uint32_t i = 0; i < (uint32_t)1 << order; i++)
        if (aspen_frame_zero(aspen, first + i))
            aspen_port_panic("a frame without contents is zeroed");
}

/* What a call of the core was refused, by way of the port, may be worth another
 * attempt of that call (reclaim/direct.c). */
static void
note_refused(struct aspen *aspen, enum aspen_frames_kind kind)
{
    if (kind == ASPEN_FRAMES_METADATA)
        aspen_fetch_add_relaxed(&aspen->refused_frames, 1);
}

int
aspen_frames_alloc(struct aspen *aspen, const struct aspen_frames_args *args,
                   uint32_t *first)
{
    if (!args_valid(args))
        return -ASPEN_EINVAL;
    if (args->flags & ASPEN_FRAMES_ZEROED && !aspen_frames_have_contents(aspen))
        return -ASPEN_EOPNOTSUPP;
    if (aspen_failpoint(&aspen->failpoints, ASPEN_STEP_FRAME))
        return -ASPEN_ENOMEM;
    uint32_t frame = args->end
                         ? aspen_frame_take_below(aspen, args->order, args->end)
                         : aspen_frame_take(aspen, args->order);
    if (frame == ASPEN_NO_FRAME) {
        note_refused(aspen, args->kind);
        return -ASPEN_ENOMEM;
    }
    struct aspen_frame *head = aspen_frame_at(aspen, frame);
    uint64_t index = (uint64_t)ASPEN_FRAME_EMBEDDER << ASPEN_FRAME_TYPE_SHIFT |
                     (uint64_t)args->kind << KIND_SHIFT | args->order;
    aspen_store_relaxed(&head->index,
                        index | (args->order ? ASPEN_FRAME_HEAD : 0));
    aspen_store(&head->counts, ASPEN_FRAME_REF);
    aspen_fetch_add_relaxed(&aspen->embedder_frames[args->kind],
                            (uint64_t)1 << args->order);
    if (args->flags & ASPEN_FRAMES_ZEROED)
        zero(aspen, frame, args->order);
    *first = frame;
    return 0;
}

void
aspen_frames_free(struct aspen *aspen, uint32_t first)
{
    struct aspen_frame *head = aspen_frame_at(aspen, first);
    unsigned order = aspen_frame_embedder_order(head);
    uint64_t kind = aspen_frame_offset(head) >> KIND_SHIFT;

    ASPEN_ASSERT(aspen_frame_type(head) == ASPEN_FRAME_EMBEDDER &&
                 aspen_load(&head->counts) == ASPEN_FRAME_REF);
    aspen_store_relaxed(&head->index, (uint64_t)0);
    aspen_store_relaxed(&head->counts, (uint64_t)0);
    aspen_fetch_sub_relaxed(&aspen->embedder_frames[kind],
                            (uint64_t)1 << order);
    aspen_frame_give(aspen, first, order);
}
