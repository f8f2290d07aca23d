/* SPDX-License-Identifier: MIT */
/*
 * frames/bank.c - banks of RAM: where they are, how they come. internal.h draws
 * them and has their invariants.
 *
 * The machine knows a bank only when all of it is there, so that whoever looks
 * up a number meanwhile finds everything or nothing.
 *
 * Called by frames.c, pins.c and the embedder. The first test to break is
 * tests/unit/frames/test_ram.c.
 */
#include "frames/frames.h"
#include "frames/ram.h"
#include "frames/watermark.h"
#include "frames/zone.h"

/* ---- One bank ---------------------------------------------------------- */

static uint64_t
chunks_of(uint64_t count)
{
    return (count + ASPEN_CHUNK_FRAMES - 1) / ASPEN_CHUNK_FRAMES;
}

/* The bank with its chunks behind it, and a byte for each frame if the port has
 * to hear of code (paging/icache.h). */
static size_t
head_bytes(uint64_t count)
{
    size_t bytes = sizeof(struct aspen_bank) +
                   (size_t)chunks_of(count) * sizeof(struct aspen_frame_chunk);

#ifdef ASPEN_PORT_ICACHE_SYNC
    bytes += (size_t)count;
#endif
    return bytes;
}

static void
bank_drop_arrays(struct aspen_bank *bank)
{
    if (bank->orders)
        aspen_port_memory_free(bank->orders, bank->count);
    if (bank->pins)
        aspen_port_memory_free(bank->pins, bank->count * sizeof(*bank->pins));
    if (bank->slots)
        aspen_port_memory_free(bank->slots, bank->count * sizeof(*bank->slots));
    if (bank->groups)
        aspen_port_memory_free(bank->groups,
                               bank->count * sizeof(*bank->groups));
    bank->groups = NULL;
    bank->slots = NULL;
    bank->orders = NULL;
    bank->pins = NULL;
}

static void
bank_destroy(struct aspen_bank *bank)
{
    if (bank->frames)
        aspen_port_memory_free(bank->frames,
                               bank->count * sizeof(*bank->frames));
    bank_drop_arrays(bank);
    aspen_port_memory_free(bank, head_bytes(bank->count));
}

/* NULL: no memory. */
static struct aspen_bank *
bank_create(struct aspen *aspen, struct aspen_ram_run run)
{
    uint64_t count = run.end - run.first;
    uint64_t *refused = &aspen->refused_metadata;
    struct aspen_bank *bank = aspen_memory_alloc(head_bytes(count), refused);

    if (!bank)
        return NULL;
    bank->first = (uint32_t)run.first;
    bank->count = (uint32_t)count;
    bank->chunks = (void *)(bank + 1);
#ifdef ASPEN_PORT_ICACHE_SYNC
    bank->code = (void *)(bank->chunks + chunks_of(count));
#endif
    bank->rank = aspen->banks.table_frames;
    bank->frames = aspen_memory_alloc(count * sizeof(*bank->frames), refused);
    if (bank->frames)
        return bank;
    bank_destroy(bank);
    return NULL;
}

static void
bank_reserve(struct aspen_bank *bank, uint64_t first, uint64_t end)
{
    for (uint64_t number = first; number < end; number++) {
        struct aspen_frame *frame = &bank->frames[number - bank->first];
        frame->index = (uint64_t)ASPEN_FRAME_RESERVED << ASPEN_FRAME_TYPE_SHIFT;
        frame->counts = ASPEN_FRAME_REF;
    }
}

/* All but what the configuration gives. */
static void
bank_reserve_gaps(struct aspen_bank *bank, const struct aspen_config *config)
{
    uint64_t end = (uint64_t)bank->first + bank->count;
    struct aspen_ram_run run;

    while (aspen_ram_run_below(config, end, &run) && run.end > bank->first) {
        bank_reserve(bank, run.end, end);
        end = run.first;
    }
    bank_reserve(bank, bank->first, end);
}

/* Into its sections, and into the list by its number: a free block may lie in
 * two banks, and who walks them meets its beginning first. */
static void
bank_publish(struct aspen *aspen, struct aspen_bank *bank)
{
    struct aspen_banks *banks = &aspen->banks;
    struct aspen_bank **place = &banks->first;
    uint32_t last = bank->first + (bank->count - 1);
    uintptr_t table = (uintptr_t)bank->frames -
                      (uintptr_t)bank->first * sizeof(*bank->frames);

    for (uint32_t i = bank->first >> ASPEN_SECTION_ORDER;
         i <= last >> ASPEN_SECTION_ORDER; i++) {
        struct aspen_section *section = &banks->sections[i];
        aspen_store_relaxed(&banks->tables[i], table);
        aspen_store_relaxed(&section->chunks,
                            (uintptr_t)bank->chunks -
                                (uintptr_t)(bank->first / ASPEN_CHUNK_FRAMES) *
                                    sizeof(*bank->chunks));
        aspen_store(&section->bank, bank);
    }
    if (bank->count > banks->largest_count) {
        banks->largest_count = bank->count;
        aspen_store_relaxed(&banks->largest, table);
    }
    while (*place && (*place)->first < bank->first)
        place = &(*place)->next;
    bank->next = *place;
    aspen_store(place, bank);
    aspen_fetch_add_relaxed(&banks->table_frames, bank->count);
}

/* ---- All --------------------------------------------------------------- */

static size_t
sections_bytes(const struct aspen_banks *banks)
{
    return banks->section_count *
           (sizeof(*banks->sections) + sizeof(*banks->tables));
}

int
aspen_banks_init(struct aspen *aspen)
{
    const struct aspen_config *config = &aspen->config;
    struct aspen_banks *banks = &aspen->banks;
    struct aspen_ram_run run = {.end = 0};

    memset(banks, 0, sizeof(*banks));
    banks->end = aspen_ram_end(config);
    banks->section_count =
        (uint32_t)((banks->end - 1) >> ASPEN_SECTION_ORDER) + 1;
    banks->sections = aspen_port_memory_alloc(sections_bytes(banks));
    if (!banks->sections)
        return -ASPEN_ENOMEM;
    banks->tables = (void *)(banks->sections + banks->section_count);
    while (aspen_ram_bank(config, run.end, &run)) {
        struct aspen_bank *bank = bank_create(aspen, run);
        if (!bank)
            return -ASPEN_ENOMEM;
        bank_reserve_gaps(bank, config);
        bank_publish(aspen, bank);
    }
    return 0;
}

void
aspen_banks_destroy(struct aspen *aspen)
{
    struct aspen_banks *banks = &aspen->banks;

    while (banks->first) {
        struct aspen_bank *bank = banks->first;
        banks->first = bank->next;
        bank_destroy(bank);
    }
    if (banks->sections)
        aspen_port_memory_free(banks->sections, sections_bytes(banks));
    memset(banks, 0, sizeof(*banks));
}

/* ---- Side arrays ------------------------------------------------------- */

void
aspen_banks_drop_arrays(struct aspen *aspen)
{
    aspen_banks_for_each(bank, aspen) bank_drop_arrays(bank);
}

uint8_t *
aspen_bank_make_orders(struct aspen *aspen, uint32_t frame)
{
    struct aspen_bank *bank = aspen_bank_of(&aspen->banks, frame);
    uint8_t *orders = aspen_load(&bank->orders);
    uint8_t *none = NULL;

    if (aspen_unlikely(!orders)) {
        orders = aspen_memory_alloc(bank->count, &aspen->refused_metadata);
        if (!orders)
            return NULL;
        /* First: who finds the array does not come by here. */
        aspen_store(&aspen->banks.blocks, true);
        if (!aspen_compare_exchange(&bank->orders, &none, orders)) {
            aspen_port_memory_free(orders, bank->count);
            orders = none;
        }
    }
    return &orders[frame - bank->first];
}

/* The side array of one bank, unless it is there: false: no memory. The lock is
 * held. */
#define MAKE_ARRAY(aspen, bank, array)                                         \
    ((bank)->array || ((bank)->array = aspen_memory_alloc(                     \
                           (bank)->count * sizeof(*(bank)->array),             \
                           &(aspen)->refused_metadata)) != NULL)

static bool
bank_make_pins(struct aspen *aspen, struct aspen_bank *bank)
{
    return MAKE_ARRAY(aspen, bank, pins);
}

static bool
bank_make_slots(struct aspen *aspen, struct aspen_bank *bank)
{
    return MAKE_ARRAY(aspen, bank, slots);
}

static bool
bank_make_groups(struct aspen *aspen, struct aspen_bank *bank)
{
    return MAKE_ARRAY(aspen, bank, groups);
}

/* In every bank, or in those up to one that has no memory. *there says that all
 * have it. */
static int
make_arrays(struct aspen *aspen, bool *there,
            bool (*make)(struct aspen *aspen, struct aspen_bank *bank))
{
    struct aspen_banks *banks = &aspen->banks;
    bool all = true;

    aspen_spin_lock(&banks->lock, ASPEN_LOCK_LEAF);
    aspen_banks_for_each(bank, aspen) all = all && make(aspen, bank);
    if (all)
        aspen_store(there, true);
    aspen_spin_unlock(&banks->lock);
    return all ? 0 : -ASPEN_ENOMEM;
}

int
aspen_banks_make_pins(struct aspen *aspen)
{
    return make_arrays(aspen, &aspen->banks.pins, bank_make_pins);
}

int
aspen_banks_make_slots(struct aspen *aspen)
{
    return make_arrays(aspen, &aspen->banks.slots, bank_make_slots);
}

int
aspen_banks_make_groups(struct aspen *aspen)
{
    return make_arrays(aspen, &aspen->banks.groups, bank_make_groups);
}

/* ---- RAM that comes later ---------------------------------------------- */

/* Frames that have a table. */
static bool
all_reserved(const struct aspen *aspen, struct aspen_ram_run run)
{
    for (uint64_t i = run.first; i < run.end; i++)
        if (aspen_load_relaxed(
                &aspen_frame_at(aspen, (uint32_t)i)->index) != /* nor bad */
            (uint64_t)ASPEN_FRAME_RESERVED << ASPEN_FRAME_TYPE_SHIFT)
            return false;
    return true;
}

/* Is there a table for one of these? */
static bool
any_exists(const struct aspen *aspen, struct aspen_ram_run run)
{
    for (uint64_t i = run.first; i < run.end; i += ASPEN_SECTION_FRAMES)
        if (aspen->banks.sections[i >> ASPEN_SECTION_ORDER].bank)
            return true;
    return false;
}

/* A bank for frames of which none has a table. The lock is held. */
static int
add_bank(struct aspen *aspen, struct aspen_ram_run run)
{
    struct aspen_ram_run sections = aspen_ram_sections(run, aspen->banks.end);

    if (any_exists(aspen, sections))
        return -ASPEN_EINVAL;
    struct aspen_bank *bank = bank_create(aspen, sections);
    if (!bank)
        return -ASPEN_ENOMEM;
    if ((aspen->banks.pins && !bank_make_pins(aspen, bank)) ||
        (aspen->banks.slots && !bank_make_slots(aspen, bank)) ||
        (aspen->banks.groups && !bank_make_groups(aspen, bank))) {
        bank_destroy(bank);
        return -ASPEN_ENOMEM;
    }
    bank_reserve(bank, sections.first, sections.end);
    bank_publish(aspen, bank);
    return 0;
}

/* The lock is held. */
static int
prepare(struct aspen *aspen, struct aspen_ram_run run)
{
    const struct aspen_bank *bank = aspen_bank_of(&aspen->banks, run.first);

    if (aspen_failpoint(&aspen->failpoints, ASPEN_STEP_FRAME))
        return -ASPEN_ENOMEM;
    if (!bank)
        return add_bank(aspen, run);
    return aspen_bank_of(&aspen->banks, run.end - 1) == bank &&
                   all_reserved(aspen, run)
               ? 0
               : -ASPEN_EINVAL;
}

/* The lock is held. */
static void
commit(struct aspen *aspen, struct aspen_ram_run run)
{
    for (uint64_t i = run.first; i < run.end; i++) {
        struct aspen_frame *frame = aspen_frame_at(aspen, (uint32_t)i);
        aspen_store_relaxed(&frame->index, (uint64_t)0);
        aspen_store_relaxed(&frame->counts, (uint64_t)0);
    }
    aspen_spin_lock(&aspen->zone.lock, ASPEN_LOCK_DEPOT);
    aspen_zone_give_run_locked(&aspen->zone, run.first, run.end);
    aspen_spin_unlock(&aspen->zone.lock);
    aspen_fetch_add_relaxed(&aspen->banks.ram_frames, run.end - run.first);
}

int
aspen_frames_add(struct aspen *aspen, uint32_t first, uint32_t count)
{
    struct aspen_ram_run run = {first, (uint64_t)first + count};

    if (first == 0 || count == 0 || run.end > aspen->banks.end)
        return -ASPEN_EINVAL;
    aspen_spin_lock(&aspen->banks.lock, ASPEN_LOCK_LEAF);
    int error = prepare(aspen, run);
    if (!error)
        commit(aspen, run);
    aspen_spin_unlock(&aspen->banks.lock);
    if (!error)
        aspen_watermarks_set(aspen);
    return error;
}
