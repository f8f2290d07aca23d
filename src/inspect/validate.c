/* SPDX-License-Identifier: MIT */
/*
 * inspect/validate.c - compares everything of a machine with everything else.
 *
 * I1  It changes nothing, and trusts only what it has checked before: lists
 *     before what is on them, VMAs and chains before page tables, a frame's
 *     number before the frame.
 * I2  It stops at the first finding: what follows from it would mislead.
 *
 * Called by tests and tools, when no call is under way. The first test to
 * break is tests/unit/inspect/test_validate.c.
 */
#include "inspect/validate.h"

#include "machine/charge.h"

#include "frames/count.h"
#include "paging/table.h"
#include "space/pkeys.h"

static void
validator_init(struct aspen_validator *v, struct aspen *aspen,
               struct aspen_finding *finding)
{
    memset(v, 0, sizeof(*v));
    memset(finding, 0, sizeof(*finding));
    v->aspen = aspen;
    v->finding = finding;
}

/* ---- One address space ------------------------------------------------- */

static bool
is_registered_state(uint32_t state)
{
    return state == ASPEN_MM_LIVE || state == ASPEN_MM_DYING;
}

/* What exec fills has a tree for readers from the start; the child of a fork
 * gets that when it is whole. */
static bool
is_filled_by_exec(const struct aspen_mm *mm)
{
    return mm->state == ASPEN_MM_BUILDING && mm->vmas.rcu &&
           aspen_list_is_empty(&mm->registry_link);
}

static bool
is_lasting_state(const struct aspen_mm *mm)
{
    return is_registered_state(mm->state) || mm->state == ASPEN_MM_EMPTY ||
           is_filled_by_exec(mm);
}

/* Where it is in its life, and where it can be found. */
static bool
check_life(struct aspen_validator *v, const struct aspen_mm *mm)
{
    uint64_t state = ASPEN_TEXT_STRING(aspen_text_state(mm->state));
    bool registered = !aspen_list_is_empty(&mm->registry_link);
    bool listed = !aspen_list_is_empty(&mm->swap_link);
    bool flagged = mm->flags & ASPEN_MM_SWAPPED;

    return ASPEN_EXPECT(v, is_lasting_state(mm), MM_STATE,
                        "mm %u is %s while nothing runs", mm->id, state) &&
           ASPEN_EXPECT(v, !registered || is_registered_state(mm->state),
                        REGISTRY_STATE, "mm %u is in the registry, but %s",
                        mm->id, state) &&
           ASPEN_EXPECT(v, registered || !is_registered_state(mm->state),
                        REGISTRY_MISSING,
                        "mm %u is %s, but not in the registry", mm->id,
                        state) &&
           ASPEN_EXPECT(v, listed == flagged, SWAP_LIST_FLAG,
                        "mm %u: on the swap list %u, flag says %u", mm->id,
                        listed, flagged) &&
           ASPEN_EXPECT(v,
                        mm->references > 0 &&
                            (mm->users > 0 || mm->state == ASPEN_MM_DYING ||
                             mm->state == ASPEN_MM_EMPTY),
                        MM_REFERENCES,
                        "mm %u, which is %s, has %u references, %u users",
                        mm->id, state, mm->references, mm->users);
}

/* Key 0 is always given out, and so is the space's own. */
static bool
check_pkeys(struct aspen_validator *v, const struct aspen_mm *mm)
{
    const struct aspen_config *config = &v->aspen->config;
    uint32_t own = mm->execute_only_pkey;
    bool own_right = own == ASPEN_NO_PKEY ||
                     (config->execute_only == ASPEN_EXECUTE_ONLY_KEY && own &&
                      own < config->pkeys && mm->pkeys >> own & 1);

    return ASPEN_EXPECT(v,
                        mm->pkeys & 1 &&
                            (mm->pkeys == 1 || !(mm->pkeys >> config->pkeys)),
                        MM_PKEYS, "mm %u has given out keys %a", mm->id,
                        mm->pkeys) &&
           ASPEN_EXPECT(v, own_right, MM_PKEYS,
                        "mm %u keeps key %u, which is not its own", mm->id,
                        own);
}

/* After exit or a failed fork nothing may be left in it. */
static bool
check_empty(struct aspen_validator *v, const struct aspen_mm *mm)
{
    uint64_t remains = mm->map_count + mm->total_pages + mm->data_pages +
                       mm->exec_pages + mm->stack_pages + mm->locked_pages +
                       mm->page_tables;

    for (unsigned kind = 0; kind < ASPEN_RSS_KINDS; kind++)
        remains |= aspen_mm_rss_sum(mm, (enum aspen_rss)kind);
    return ASPEN_EXPECT(v,
                        mm->state != ASPEN_MM_EMPTY ||
                            (aspen_tree_is_empty(&mm->vmas) && remains == 0),
                        MM_EMPTY, "mm %u is EMPTY, but something is left in it",
                        mm->id);
}

void
aspen_validate_space(struct aspen_validator *v, struct aspen_mm *mm)
{
    v->mms++;
    v->pinned_pages += mm->pinned_pages;
    if (!check_life(v, mm) || !check_pkeys(v, mm) || !check_empty(v, mm))
        return;
    aspen_validate_vmas(v, mm);
    if (!v->failed)
        aspen_validate_tables(v, mm);
    if (!v->failed)
        aspen_validate_order(v, mm);
}

static void
validate_locked(struct aspen_validator *v, struct aspen_mm *mm)
{
    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    aspen_validate_space(v, mm);
    aspen_read_unlock(&mm->mmap_lock);
}

int
aspen_validate_mm(struct aspen_mm *mm, struct aspen_finding *finding)
{
    struct aspen_validator v;

    validator_init(&v, mm->aspen, finding);
    validate_locked(&v, mm);
    return v.failed;
}

/* ---- Lists of address spaces ------------------------------------------- */

/* Whole, and as long as it says. */
static bool
check_list(struct aspen_validator *v, const struct aspen_list *head,
           uint64_t count, enum aspen_check check, const char *name)
{
    const struct aspen_list *link = head;
    uint64_t met = 0;

    do {
        if (!aspen_validate_link(link)) {
            aspen_validate_fail(
                v, check, "the %s is broken after %u address spaces",
                (const uint64_t[]){0, ASPEN_TEXT_STRING(name), met});
            return false;
        }
        link = link->next;
        met++;
    } while (link != head);
    met--;
    if (met != count)
        aspen_validate_fail(
            v, check, "the %s holds %u address spaces, but counts %u",
            (const uint64_t[]){0, ASPEN_TEXT_STRING(name), met, count});
    return met == count;
}

static void
check_registered(struct aspen_validator *v)
{
    aspen_list_for_each(position, &v->aspen->registry)
    {
        validate_locked(
            v, aspen_container_of(position, struct aspen_mm, registry_link));
        if (v->failed)
            return;
    }
}

/*
 * Spaces that are in no registry: a reference keeps them after exit or a failed
 * fork, or exec is filling them. Each still owns a top table. The owners of
 * tables are trusted only when there are as many such tables as such spaces.
 */
static bool
is_unmet_top(const struct aspen_validator *v, uint32_t number)
{
    const struct aspen_frame *frame = aspen_frame_at(v->aspen, number);

    return aspen_frame_type(frame) == ASPEN_FRAME_TABLE &&
           aspen_frame_offset(frame) == ASPEN_TABLE_LEVELS - 1 &&
           *aspen_validate_tally(v, number) == 0;
}

static void
validate_top(struct aspen_validator *v, uint32_t number)
{
    uint64_t owner = aspen_frame_at(v->aspen, number)->owner;

    validate_locked(v, (struct aspen_mm *)(uintptr_t)owner);
}

/* How many there are; `each`, if there is one, is called for them. */
static uint64_t
unmet_tops(struct aspen_validator *v,
           void (*each)(struct aspen_validator *v, uint32_t number))
{
    uint64_t tops = 0;

    aspen_banks_for_each(bank, v->aspen)
    {
        for (uint32_t i = 0; i < bank->count && !v->failed; i++) {
            if (!is_unmet_top(v, bank->first + i))
                continue;
            tops++;
            if (each)
                each(v, bank->first + i);
        }
    }
    return tops;
}

static void
check_unregistered(struct aspen_validator *v)
{
    uint64_t spaces = aspen_cache_allocated(&v->aspen->mm_cache) - v->mms;
    uint64_t tops = spaces ? unmet_tops(v, NULL) : 0;

    if (!ASPEN_EXPECT(v, tops == spaces, CACHE_MM,
                      "%u address spaces are in no registry, and %u top "
                      "tables belong to none that is",
                      spaces, tops))
        return;
    if (spaces)
        (void)unmet_tops(v, validate_top);
}

/* ---- Sums -------------------------------------------------------------- */

static void
check_sums(struct aspen_validator *v)
{
    const struct aspen *aspen = v->aspen;
    const struct {
        enum aspen_check check;
        const char *what;
        uint64_t met;
        uint64_t counted;
    } sums[] = {
        {ASPEN_CHECK_CACHE_VMA, "VMAs", v->vmas,
         aspen_cache_allocated(&aspen->vma_cache)},
        {ASPEN_CHECK_CACHE_LINK, "anon_vma links", v->links,
         aspen_cache_allocated(&aspen->anon_vma_link_cache)},
        {ASPEN_CHECK_CACHE_ANON_VMA, "anon_vmas", v->anon_vmas,
         aspen_cache_allocated(&aspen->anon_vma_cache)},
        {ASPEN_CHECK_CACHE_OBJECT, "objects", v->objects,
         aspen_cache_allocated(&aspen->object_cache)},
        {ASPEN_CHECK_CACHE_NAME, "names", v->names,
         aspen_cache_allocated(&aspen->name_cache)},
        {ASPEN_CHECK_OBJECT_I_MMAP, "VMAs in i_mmaps", v->mappings, v->i_mmaps},
        {ASPEN_CHECK_CACHE_TREE_NODE, "tree nodes", v->tree_nodes,
         aspen_tree_pool_nodes(&aspen->tree_pool)},
        {ASPEN_CHECK_TABLE_COUNT, "page tables", v->tables,
         aspen_count_sum(aspen, ASPEN_COUNT_TABLE)},
        {ASPEN_CHECK_PIN_COUNT, "pins", v->pins, v->pinned_pages},
        {ASPEN_CHECK_CHARGE_SUM, "charged pages", v->charge_pages,
         aspen_charged(aspen)},
    };

    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(sums); i++)
        if (sums[i].met != sums[i].counted) {
            aspen_validate_fail(
                v, sums[i].check, "%u %s can be reached, but %u are counted",
                (const uint64_t[]){0, sums[i].met,
                                   ASPEN_TEXT_STRING(sums[i].what),
                                   sums[i].counted});
            return;
        }
}

/* ---- The machine ------------------------------------------------------- */

static bool
check_allocator(struct aspen_validator *v)
{
    uint32_t where = 0;
    const char *broken = aspen_frames_check(v->aspen, &where);

    if (broken)
        aspen_validate_note(v, broken, "frame %u (the allocator's check)",
                            (const uint64_t[]){0, where});
    return !broken;
}

static void
validate_machine(struct aspen_validator *v)
{
    struct aspen *aspen = v->aspen;

    if (!check_list(v, &aspen->registry, aspen->registry_count,
                    ASPEN_CHECK_REGISTRY_LIST, "registry") ||
        !check_list(v, &aspen->swap_list, aspen->swap_list_count,
                    ASPEN_CHECK_SWAP_LIST_LIST, "swap list") ||
        !check_allocator(v) || !aspen_validate_names_begin(v) ||
        !aspen_validate_groups_begin(v))
        return;
    check_registered(v);
    if (!v->failed)
        check_unregistered(v);
    if (!v->failed)
        aspen_validate_names_end(v);
    if (!v->failed)
        aspen_validate_objects(v);
    if (!v->failed)
        aspen_validate_lru(v);
    if (!v->failed)
        aspen_validate_tally_check(v);
    if (!v->failed)
        aspen_validate_groups_end(v);
    if (!v->failed)
        check_sums(v);
    if (!v->failed)
        aspen_validate_counts(v);
}

int
aspen_validate(struct aspen *aspen, struct aspen_finding *finding)
{
    struct aspen_validator v;

    validator_init(&v, aspen, finding);
    int error = aspen_validate_tally_begin(&v);
    if (error)
        return error;
    /* Tables that wait for a grace period go to the allocator from another
     * thread: not while we look at it. */
    aspen_tables_drain(aspen);
    validate_machine(&v);
    aspen_validate_tally_end(&v);
    return v.failed;
}
