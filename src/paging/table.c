/* SPDX-License-Identifier: MIT */
/*
 * paging/table.c - page tables: make them, walk them, give them back; TLB
 * flushes.
 *
 *     in use ----------------------------------------> free frame
 *        |    aspen_table_free (quiet)                     ^
 *        |                                                 |
 *        \--> collecting --> waiting, one grace period ----/
 *             aspen_table_free_waiting
 *
 * I1-I3 stand in table.h, and:
 * I4  Of each CPU's tables_waiting: while `armed`, the RCU head is in flight
 *     and frees `waiting`; `collecting` is not empty only while armed.
 *
 * Called by fault, fork, import, gather.c. The first test to break is
 * tests/unit/paging/test_paging.c.
 */
#include "paging/table.h"

#include "frames/count.h"

#include <aspen/tlb.h>

/* Of the machine's frames so many may be tables that wait: one in eight. */
#define WAITING_PART 8

/* ---- Make and free ----------------------------------------------------- */

static int
table_alloc(struct aspen_mm *mm, uint64_t address, unsigned level,
            enum aspen_frames_from from, uint32_t *table)
{
    struct aspen *aspen = mm->aspen;
    uint64_t first = aspen_align_down(address, aspen_table_span(level));

    ASPEN_ASSERT_TEST(level < ASPEN_TABLE_LEVELS);
    int error =
        aspen_frame_alloc_from(aspen, 0, ASPEN_STEP_PAGE_TABLE, from, table);
    if (error)
        return error;
    memset(aspen_table_entries(aspen, *table), 0, ASPEN_PAGE_SIZE);
    aspen_frame_set(aspen_frame_at(aspen, *table), ASPEN_FRAME_TABLE, mm,
                    aspen_bytes_to_pages(first) | level, 0);
    aspen_count(aspen, ASPEN_COUNT_TABLE, 1);
    return 0;
}

int
aspen_table_alloc(struct aspen_mm *mm, uint64_t address, unsigned level,
                  uint32_t *table)
{
    return table_alloc(mm, address, level, ASPEN_FRAMES_ALL, table);
}

static void
table_assert_unused(struct aspen *aspen, uint32_t table)
{
    (void)aspen;
    (void)table;
    ASPEN_ASSERT_TEST(aspen_frame_type(aspen_frame_at(aspen, table)) ==
                      ASPEN_FRAME_TABLE);
    ASPEN_ASSERT_TEST(aspen_frame_references(aspen_frame_at(aspen, table)) ==
                      1);
    ASPEN_ASSERT_TEST(aspen_frame_map_count(aspen_frame_at(aspen, table)) == 0);
}

void
aspen_table_free(struct aspen *aspen, uint32_t table)
{
    table_assert_unused(aspen, table);
    aspen_count(aspen, ASPEN_COUNT_TABLE, (uint64_t)-1);
    aspen_frame_put(aspen, table);
}

/* ---- After a grace period ---------------------------------------------- */

static uint64_t
table_list_free(struct aspen *aspen, uint32_t list)
{
    uint64_t count = 0;

    while (list) {
        uint32_t next = aspen_frame_at(aspen, list)->table_next;
        aspen_frame_put(aspen, list);
        list = next;
        count++;
    }
    return count;
}

static void
tables_grace_over(struct aspen_port_rcu_head *head)
{
    struct aspen_table_waiting *waiting =
        aspen_container_of(head, struct aspen_table_waiting, head);
    struct aspen *aspen = waiting->aspen;

    /* Only we touch `waiting` while armed. */
    uint64_t count = table_list_free(aspen, waiting->waiting);

    aspen_spin_lock(&waiting->lock, ASPEN_LOCK_LEAF);
    waiting->waiting = waiting->collecting;
    waiting->collecting = 0;
    bool again = waiting->waiting != 0;
    waiting->armed = again;
    aspen_spin_unlock(&waiting->lock);
    if (again)
        aspen_port_rcu_defer(&waiting->head, tables_grace_over);

    /* Last of all: who sees 0 may free the machine. */
    aspen_fetch_sub(&waiting->count, count);
}

/* Count the tables of a list off from those in use; *last gets its last. */
static uint64_t
table_list_retire(struct aspen *aspen, uint32_t list, uint32_t *last)
{
    uint64_t count = 0;

    for (; list; list = aspen_frame_at(aspen, list)->table_next) {
        table_assert_unused(aspen, list);
        aspen_store_relaxed(&aspen_frame_at(aspen, list)->owner, 0);
        *last = list;
        count++;
    }
    aspen_count(aspen, ASPEN_COUNT_TABLE, 0 - count);
    return count;
}

void
aspen_table_free_waiting(struct aspen *aspen, uint32_t list)
{
    uint32_t last = 0;

    if (!list)
        return;
    struct aspen_table_waiting *waiting =
        &aspen->tables_waiting[aspen_port_cpu()];
    uint64_t count = table_list_retire(aspen, list, &last);
    aspen_fetch_add(&waiting->count, count);

    aspen_spin_lock(&waiting->lock, ASPEN_LOCK_LEAF);
    bool arm = !waiting->armed;
    if (arm) {
        waiting->armed = true;
        waiting->aspen = aspen;
        waiting->waiting = list;
    } else {
        aspen_frame_at(aspen, last)->table_next = waiting->collecting;
        waiting->collecting = list;
    }
    aspen_spin_unlock(&waiting->lock);
    if (arm) /* outside the lock: a port may call back at once */
        aspen_port_rcu_defer(&waiting->head, tables_grace_over);
}

uint64_t
aspen_tables_waiting(const struct aspen *aspen)
{
    uint64_t count = 0;

    for (unsigned cpu = 0; cpu < ASPEN_PORT_CPUS; cpu++)
        count += aspen_load(&aspen->tables_waiting[cpu].count);
    return count;
}

void
aspen_tables_settle(struct aspen *aspen)
{
    uint64_t most = aspen_load_relaxed(&aspen->banks.ram_frames) / WAITING_PART;
    const struct aspen_table_waiting *own =
        &aspen->tables_waiting[aspen_port_cpu()];

    /* All of them are asked only by who has his share. */
    if (aspen_load(&own->count) > most / ASPEN_PORT_CPUS &&
        aspen_tables_waiting(aspen) > most)
        aspen_port_rcu_barrier();
}

void
aspen_tables_drain(struct aspen *aspen)
{
    while (aspen_tables_waiting(aspen))
        aspen_port_rcu_barrier();
}

/* ---- Walk -------------------------------------------------------------- */

/*
 * Put a new table into `slot`, which held no entry. If somebody else was
 * quicker their table stays. *entry gets what is there then.
 */
static int
table_install(struct aspen_mm *mm, uint64_t address,
              enum aspen_frames_from from, const struct aspen_slot *slot,
              uint64_t *entry)
{
    struct aspen *aspen = mm->aspen;
    uint32_t table;

    int error = table_alloc(mm, address, slot->level - 1, from, &table);
    if (error)
        return error;

    aspen_table_own(aspen, slot->table);
    aspen_table_lock(aspen, slot->table, ASPEN_LOCK_TABLE);
    *entry = aspen_load_relaxed(slot->entry);
    bool mine = *entry == 0;
    if (mine) {
        *entry = aspen_entry_make_table(table);
        aspen_table_inherit_taken(aspen, table, slot->table);
        aspen_store(slot->entry, *entry);
    }
    aspen_table_unlock(aspen, slot->table);

    if (mine)
        aspen_fetch_add_relaxed(&mm->page_tables, 1);
    else
        aspen_table_free(aspen, table);
    return 0;
}

int
aspen_table_walk_alloc_from(struct aspen_mm *mm, uint64_t address,
                            unsigned level, enum aspen_frames_from from,
                            struct aspen_slot *slot)
{
    ASPEN_ASSERT_TEST(address < mm->address_limit);
    aspen_slot_at(mm->aspen, slot, mm->root, ASPEN_TABLE_LEVELS - 1, address);
    while (slot->level > level) {
        uint64_t entry = aspen_load(slot->entry);
        if (!entry) {
            int error = table_install(mm, address, from, slot, &entry);
            if (error)
                return error;
        }
        if (!aspen_entry_is_table(entry, slot->level))
            return -ASPEN_EEXIST;
        aspen_slot_at(mm->aspen, slot, (uint32_t)aspen_entry_frame(entry),
                      slot->level - 1, address);
    }
    return 0;
}

uint64_t
aspen_table_walk(struct aspen_mm *mm, uint64_t address, struct aspen_slot *slot)
{
    ASPEN_ASSERT_TEST(address < mm->address_limit);
    aspen_slot_at(mm->aspen, slot, mm->root, ASPEN_TABLE_LEVELS - 1, address);
    for (;;) {
        uint64_t entry = aspen_load(slot->entry);
        if (!aspen_entry_is_table(entry, slot->level))
            return entry;
        aspen_slot_at(mm->aspen, slot, (uint32_t)aspen_entry_frame(entry),
                      slot->level - 1, address);
        /* Whoever may walk keeps tables from being freed under it. */
        ASPEN_ASSERT_TEST(aspen_frame_type(aspen_frame_at(
                              mm->aspen, slot->table)) == ASPEN_FRAME_TABLE);
    }
}

/* ---- Protection and flushes -------------------------------------------- */

/* What can be written can be read, on every processor. */
static bool
can_be_read(const struct aspen *aspen, uint64_t vm_flags)
{
    return vm_flags & (ASPEN_VM_READ | ASPEN_VM_WRITE) ||
           (vm_flags & ASPEN_VM_EXEC &&
            aspen->config.execute_only != ASPEN_EXECUTE_ONLY_ENTRY);
}

unsigned
aspen_entry_bits_of(const struct aspen *aspen, uint64_t vm_flags)
{
    unsigned bits = (unsigned)((vm_flags & ASPEN_VM_PKEY) >>
                               (ASPEN_VM_PKEY_SHIFT - ASPEN_ENTRY_PKEY_SHIFT));

    if (can_be_read(aspen, vm_flags))
        bits |= ASPEN_ENTRY_READ;
    if (vm_flags & ASPEN_VM_EXEC)
        bits |= ASPEN_ENTRY_EXEC;
    if (vm_flags & ASPEN_VM_WRITE && vm_flags & ASPEN_VM_SHARED)
        bits |= ASPEN_ENTRY_WRITE;
    return bits;
}

void
aspen_tlb_flush(struct aspen_mm *mm, uint64_t start, uint64_t end,
                unsigned levels, bool tables)
{
    uint64_t cpus[ASPEN_CPU_WORDS];
    uint64_t any = 0;

    aspen_lock_order_assert_outside(ASPEN_LOCK_TABLE_CHILD);
    uint64_t generation = aspen_fetch_add(&mm->tlb_generation, 1) + 1;
    aspen_count(mm->aspen, ASPEN_COUNT_TLB_FLUSH, 1);
    /* A CPU that is not in the mask yet will read the entries as they are now,
     * and the generation: pairs with the mask's update in aspen_mm_activate().
     */
    aspen_fence();
    for (unsigned i = 0; i < ASPEN_CPU_WORDS; i++)
        any |= cpus[i] = aspen_load(&mm->cpus[i]);
    if (any)
        aspen_port_tlb_flush(&(struct aspen_tlb_flush){
            .mm = mm,
            .cpus = cpus,
            .root = mm->root,
            .levels = levels,
            .tables = tables,
            .start = start,
            .end = end,
            .generation = generation,
        });
}

bool
aspen_tlb_pending(const struct aspen_mm *mm, uint32_t own)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < ASPEN_MM_PARTS; i++)
        sum += aspen_load(&mm->parts[i].tlb_pending);
    return sum > own;
}

bool
aspen_table_is_pending(struct aspen_mm *mm, uint32_t table)
{
    uint32_t *taken = &aspen_frame_at(mm->aspen, table)->table_taken;

    for (uint32_t left = *taken & ASPEN_TAKEN_PARTS; left; left &= left - 1)
        if (aspen_load(&mm->parts[aspen_lowest_bit(left)].tlb_pending))
            return true;
    *taken &= ~ASPEN_TAKEN_PARTS;
    return false;
}

void
aspen_table_settle(struct aspen_mm *mm, uint32_t table, uint64_t start,
                   uint64_t end)
{
    const struct aspen_frame *frame = aspen_frame_at(mm->aspen, table);
    uint32_t taken;

    do {
        taken = frame->table_taken;
        aspen_table_unlock(mm->aspen, table);
        aspen_tlb_flush(mm, start, end, ASPEN_LEVELS_ALL, false);
        aspen_table_lock(mm->aspen, table, ASPEN_LOCK_TABLE);
    } while (frame->table_taken != taken);
}
