/* SPDX-License-Identifier: MIT */
/*
 * space/layout.c - where the parts of an address space lie.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/space/test_limits.c.
 */
#include "space/limits.h"
#include "space/mm.h"
#include "space/vma.h"

#define MIB ((uint64_t)1 << 20)

/* Above the mmap area there is room for a stack of at least this, and for
 * where chance may put its top. */
#define STACK_LEAST (128 * MIB)

/* That much in a space of 32 bits, as Linux. */
#define STACK_RANDOM_32BIT ((uint64_t)0x7ff << ASPEN_PAGE_SHIFT)

/* Chance moves the mmap area by at most this part of user space: as much as
 * Linux can be configured for (vm.mmap_rnd_bits, 32 of 47 bits, 33 of 48), and
 * less than the sixth that is left below the largest stack. */
#define RANDOM_PART 8

/* ---- Checks ------------------------------------------------------------ */

static bool
address_valid(const struct aspen_mm *mm, uint64_t address)
{
    return address < mm->address_limit && address >= aspen_mm_lowest(mm);
}

static bool
addresses_valid(const struct aspen_mm *mm, const struct aspen_layout *layout)
{
    const uint64_t addresses[] = {
        layout->code_start,  layout->code_end,  layout->data_start,
        layout->data_end,    layout->brk_start, layout->brk,
        layout->stack_start, layout->arg_start, layout->arg_end,
        layout->env_start,   layout->env_end,
    };

    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(addresses); i++)
        if (addresses[i] && !address_valid(mm, addresses[i]))
            return false;
    return true;
}

/* Both are known or none is, and they are in order. */
static bool
pair_valid(uint64_t start, uint64_t end)
{
    return !start == !end && start <= end;
}

static bool
order_valid(const struct aspen_layout *layout)
{
    return pair_valid(layout->code_start, layout->code_end) &&
           (!layout->code_start || layout->code_start < layout->code_end) &&
           pair_valid(layout->data_start, layout->data_end) &&
           pair_valid(layout->brk_start, layout->brk) &&
           pair_valid(layout->arg_start, layout->arg_end) &&
           pair_valid(layout->env_start, layout->env_end);
}

/* Mappings are placed by it, so it is always known. */
static bool
area_valid(const struct aspen_mm *mm, const struct aspen_layout *layout)
{
    return layout->mmap_base && layout->mmap_bottom &&
           aspen_is_aligned(layout->mmap_base, ASPEN_PAGE_SIZE) &&
           aspen_is_aligned(layout->mmap_bottom, ASPEN_PAGE_SIZE) &&
           layout->mmap_base <= mm->address_limit &&
           layout->mmap_bottom <= mm->address_limit;
}

static bool
layout_valid(const struct aspen_mm *mm, const struct aspen_layout *layout)
{
    return addresses_valid(mm, layout) && order_valid(layout) &&
           area_valid(mm, layout) &&
           !aspen_check_data_limit(mm, layout->brk_start, layout->brk,
                                   layout->data_start, layout->data_end);
}

/* ---- One part ---------------------------------------------------------- */

/* NULL: there is no such part. */
static uint64_t *
field_of(struct aspen_layout *layout, enum aspen_layout_part part)
{
    switch (part) {
    case ASPEN_LAYOUT_CODE_START:
        return &layout->code_start;
    case ASPEN_LAYOUT_CODE_END:
        return &layout->code_end;
    case ASPEN_LAYOUT_DATA_START:
        return &layout->data_start;
    case ASPEN_LAYOUT_DATA_END:
        return &layout->data_end;
    case ASPEN_LAYOUT_STACK_START:
        return &layout->stack_start;
    case ASPEN_LAYOUT_BRK_START:
        return &layout->brk_start;
    case ASPEN_LAYOUT_BRK:
        return &layout->brk;
    case ASPEN_LAYOUT_ARG_START:
        return &layout->arg_start;
    case ASPEN_LAYOUT_ARG_END:
        return &layout->arg_end;
    case ASPEN_LAYOUT_ENV_START:
        return &layout->env_start;
    case ASPEN_LAYOUT_ENV_END:
        return &layout->env_end;
    }
    return NULL;
}

/* What Linux wants to find mapped, there or above. */
static bool
part_is_mapped(enum aspen_layout_part part)
{
    return part == ASPEN_LAYOUT_STACK_START || part >= ASPEN_LAYOUT_ARG_START;
}

/* The mmap lock is held for writing. */
static int
move(struct aspen_mm *mm, enum aspen_layout_part part, uint64_t address)
{
    struct aspen_layout layout = mm->layout;
    uint64_t *field = field_of(&layout, part);

    if (!aspen_privileged(mm, ASPEN_PRIVILEGE_SYS_RESOURCE))
        return -ASPEN_EPERM;
    if (!address_valid(mm, address) || !field)
        return -ASPEN_EINVAL;
    *field = address;
    if (!layout_valid(mm, &layout))
        return -ASPEN_EINVAL;
    if (part_is_mapped(part) && !aspen_vma_find(mm, address))
        return -ASPEN_EFAULT;
    mm->layout = layout;
    return 0;
}

/* ---- Public ------------------------------------------------------------ */

int
aspen_layout_move(struct aspen_mm *mm, enum aspen_layout_part part,
                  uint64_t address)
{
    aspen_mm_write_lock(mm, ASPEN_LOCK_MM);
    int error = move(mm, part, address);
    aspen_mm_write_unlock(mm);
    return error;
}

int
aspen_layout_set(struct aspen_mm *mm, const struct aspen_layout *layout)
{
    aspen_mm_write_lock(mm, ASPEN_LOCK_MM);
    bool valid = layout_valid(mm, layout);
    if (valid)
        mm->layout = *layout;
    aspen_mm_write_unlock(mm);
    return valid ? 0 : -ASPEN_EINVAL;
}

void
aspen_layout_read(struct aspen_mm *mm, struct aspen_layout *layout)
{
    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    *layout = mm->layout;
    aspen_read_unlock(&mm->mmap_lock);
}

static uint64_t
stack_random(const struct aspen_mm *mm)
{
    return mm->address_limit > (uint64_t)1 << 32 ? ASPEN_STACK_RANDOM
                                                 : STACK_RANDOM_32BIT;
}

int
aspen_layout_choose(const struct aspen_mm *mm,
                    const struct aspen_layout_choice *choice,
                    struct aspen_layout *layout)
{
    const uint64_t top = aspen_mm_window(mm);
    uint64_t random =
        aspen_align_down(aspen_min_u64(choice->random_bytes, top / RANDOM_PART),
                         ASPEN_PAGE_SIZE);
    uint64_t stack = aspen_limit(mm, ASPEN_LIMIT_STACK);
    uint64_t more =
        aspen_stack_guard_bytes(mm->aspen) +
        (choice->flags & ASPEN_LAYOUT_CHOICE_RANDOM_STACK ? stack_random(mm)
                                                          : 0);

    if (choice->flags & ~ASPEN_LAYOUT_CHOICE_FLAGS)
        return -ASPEN_EINVAL;
    if (stack + more > stack)
        stack += more;
    stack = aspen_min_u64(aspen_max_u64(stack, STACK_LEAST), top / 6 * 5);
    layout->mmap_base = aspen_align_up(top - stack - random, ASPEN_PAGE_SIZE);
    layout->mmap_bottom = aspen_mm_bottom(mm) + random;
    layout->bottom_up = choice->flags & ASPEN_LAYOUT_CHOICE_BOTTOM_UP;
    return 0;
}
