/* SPDX-License-Identifier: MIT */
/*
 * frames/bank.h - from the number of a frame to what is known of it: its entry
 * of the frame table, its chunk, its side arrays. struct aspen_bank is drawn in
 * internal.h.
 */
#ifndef ASPEN_FRAMES_BANK_H
#define ASPEN_FRAMES_BANK_H

#include "internal.h"

/* 0 or -ASPEN_ENOMEM, to be followed by destroy either way. All that is no RAM
 * or reserved is RESERVED; zone and counts know nothing of the rest yet. */
ASPEN_MUST_USE int aspen_banks_init(struct aspen *aspen);
void aspen_banks_destroy(struct aspen *aspen);

/* The side arrays go; nothing is in them. */
void aspen_banks_drop_arrays(struct aspen *aspen);

#define aspen_banks_for_each(bank, aspen)                                      \
    for (struct aspen_bank *bank = aspen_load_settled(&(aspen)->banks.first);  \
         bank; (bank) = aspen_load_settled(&(bank)->next))

/* The bank that has a table for `number`; NULL: none has. */
static inline struct aspen_bank *
aspen_bank_of(const struct aspen_banks *banks, uint64_t number)
{
    uint64_t section = number >> ASPEN_SECTION_ORDER;

    if (section >= banks->section_count)
        return NULL;
    struct aspen_bank *bank =
        aspen_load_settled(&banks->sections[section].bank);
    return bank && number - bank->first < bank->count ? bank : NULL;
}

/* Any number: is it one that the frame table knows? */
static inline bool
aspen_frame_exists(const struct aspen *aspen, uint64_t number)
{
    return aspen_bank_of(&aspen->banks, number) != NULL;
}

static inline struct aspen_frame *
aspen_frame_at(const struct aspen *aspen, uint32_t frame)
{
    const uintptr_t *table = &aspen->banks.tables[frame >> ASPEN_SECTION_ORDER];

    ASPEN_ASSERT_TEST(aspen_frame_exists(aspen, frame));
    return (void *)(aspen_load_settled_relaxed(table) +
                    (uintptr_t)frame * sizeof(struct aspen_frame));
}

/* Any number: where its entry of the frame table is if it is of the largest
 * bank, for a prefetch alone. */
static inline const void *
aspen_frame_ahead(const struct aspen *aspen, uint64_t number)
{
    return (void *)(aspen_load_settled_relaxed(&aspen->banks.largest) +
                    (uintptr_t)number * sizeof(struct aspen_frame));
}

/* NULL: this is no entry of the frame table. */
static inline const struct aspen_bank *
aspen_bank_with(const struct aspen *aspen, const struct aspen_frame *frame)
{
    aspen_banks_for_each(bank, aspen)
    {
        if ((uintptr_t)frame - (uintptr_t)bank->frames <
            bank->count * sizeof(*frame))
            return bank;
    }
    return NULL;
}

static inline uint32_t
aspen_frame_number(const struct aspen *aspen, const struct aspen_frame *frame)
{
    const struct aspen_bank *bank = aspen_bank_with(aspen, frame);

    return bank->first + (uint32_t)(frame - bank->frames);
}

/* Its place among all frames that have a table: below banks.table_frames. */
static inline uint64_t
aspen_frame_rank(const struct aspen *aspen, uint32_t frame)
{
    const struct aspen_bank *bank = aspen_bank_of(&aspen->banks, frame);

    return bank->rank + (frame - bank->first);
}

/* ---- Chunks ------------------------------------------------------------ */

static inline struct aspen_frame_chunk *
aspen_chunk_at(const struct aspen_banks *banks, uint32_t index)
{
    const struct aspen_section *section =
        &banks->sections[index / (ASPEN_SECTION_FRAMES / ASPEN_CHUNK_FRAMES)];

    return (void *)(aspen_load_settled_relaxed(&section->chunks) +
                    (uintptr_t)index * sizeof(struct aspen_frame_chunk));
}

static inline bool
aspen_chunk_exists(const struct aspen_banks *banks, uint64_t index)
{
    return aspen_bank_of(banks, index * ASPEN_CHUNK_FRAMES) != NULL;
}

/* ---- Code -------------------------------------------------------------- */

#ifdef ASPEN_PORT_ICACHE_SYNC

/* What paging/icache.h knows of a frame. */
static inline uint8_t *
aspen_bank_code(const struct aspen *aspen, uint32_t frame)
{
    const struct aspen_bank *bank = aspen_bank_of(&aspen->banks, frame);

    return &bank->code[frame - bank->first];
}

#endif

/* A block was allocated: what is put there is new. */
static inline void
aspen_bank_forget_code(const struct aspen *aspen, uint32_t frame,
                       unsigned order)
{
#ifdef ASPEN_PORT_ICACHE_SYNC
    for (uint32_t i = 0; i < (uint32_t)1 << order; i++)
        aspen_store_relaxed(aspen_bank_code(aspen, frame + i), (uint8_t)0);
#else
    (void)aspen, (void)frame, (void)order;
#endif
}

/* ---- Side arrays ------------------------------------------------------- */

/* What the side array of orders has; 0 where there is none, or no frame. */
static inline unsigned
aspen_bank_order(const struct aspen *aspen, uint32_t frame)
{
    const struct aspen_bank *bank = aspen_bank_of(&aspen->banks, frame);
    const uint8_t *orders = bank ? aspen_load_settled(&bank->orders) : NULL;

    return orders ? aspen_load_relaxed(&orders[frame - bank->first]) : 0;
}

/* The place for a frame's order; NULL: no memory for the side array. */
uint8_t *aspen_bank_make_orders(struct aspen *aspen, uint32_t frame);

static inline void
aspen_bank_clear_order(struct aspen *aspen, uint32_t frame)
{
    const struct aspen_bank *bank = aspen_bank_of(&aspen->banks, frame);

    aspen_store_relaxed(&aspen_load_settled(&bank->orders)[frame - bank->first],
                        (uint8_t)0);
}

/* The side array of pins, of slots, of groups, in every bank: 0 or
 * -ASPEN_ENOMEM. */
ASPEN_MUST_USE int aspen_banks_make_pins(struct aspen *aspen);
ASPEN_MUST_USE int aspen_banks_make_slots(struct aspen *aspen);
ASPEN_MUST_USE int aspen_banks_make_groups(struct aspen *aspen);

/* The place for a frame's pins; whoever asks has seen banks.pins, and with that
 * the arrays. */
static inline uint32_t *
aspen_bank_pins(const struct aspen *aspen, uint32_t frame)
{
    const struct aspen_bank *bank = aspen_bank_of(&aspen->banks, frame);

    return &bank->pins[frame - bank->first];
}

/* The place for a frame's swap slot: so it is with banks.slots. */
static inline uint64_t *
aspen_bank_slot(const struct aspen *aspen, uint32_t frame)
{
    const struct aspen_bank *bank = aspen_bank_of(&aspen->banks, frame);

    return &bank->slots[frame - bank->first];
}

/* The place for the group that a frame is charged to: so it is with
 * banks.groups. */
static inline struct aspen_group **
aspen_bank_group(const struct aspen *aspen, uint32_t frame)
{
    const struct aspen_bank *bank = aspen_bank_of(&aspen->banks, frame);

    return &bank->groups[frame - bank->first];
}

/* Was there ever a group? Who meets a page that has one knows by then. */
static inline bool
aspen_has_groups(const struct aspen *aspen)
{
    return aspen_unlikely(aspen_load_settled(&aspen->banks.groups));
}

/* The group that a frame, the first of its block, is charged to; NULL: none.
 * Whoever asks holds it, or its list's lock. */
static inline struct aspen_group *
aspen_frame_group(const struct aspen *aspen, uint32_t frame)
{
    return aspen_has_groups(aspen)
               ? aspen_load_relaxed(aspen_bank_group(aspen, frame))
               : NULL;
}

#endif
