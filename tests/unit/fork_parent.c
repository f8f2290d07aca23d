/* SPDX-License-Identifier: MIT */
#include "fork_parent.h"

#include "paging/table.h"
#include "space/vma.h"

#define FRAMES    16384u
#define PINNED    2u
#define SWAP_FULL 7u /* a slot whose count is at its byte's maximum */
#define MAY_R     (R | ASPEN_VM_MAYREAD)

#define KERNEL_ENTRY(id, i) ((uint64_t)(id) << 32 | (uint64_t)(i) << 12)

/* ---- Hooks that keep a record ------------------------------------------ */

static struct fork_events *
events_of(void *context)
{
    return &((struct fork_parent *)context)->events;
}

static int
object_open(void *context, struct aspen_vma *vma)
{
    (void)vma;
    struct fork_events *events = events_of(context);
    if (events->open_error)
        return events->open_error;
    events->opened++;
    return 0;
}

static void
object_close(void *context, struct aspen_vma *vma)
{
    (void)vma;
    events_of(context)->closed++;
}

static const struct aspen_pager_ops pager = {
    .open = object_open,
    .close = object_close,
};

static int
userfault_prepare(void *context, void *userfault, struct aspen_vma *parent,
                  struct aspen_vma *child, void **cookie)
{
    struct fork_events *events = events_of(context);
    (void)userfault;
    (void)parent;
    (void)child;
    if (events->userfault_error)
        return events->userfault_error;
    events->userfault_prepared++;
    *cookie = context;
    return 0;
}

/* All locks are dropped here, and a failed child is still held: this is
 * where whoever met a half-made one would crash. */
static void
userfault_commit(void *context, void *cookie)
{
    assert_ptr_equal(context, cookie);
    events_of(context)->userfault_committed++;
    fork_walkers(context);
}

static void
userfault_abort(void *context, void *cookie)
{
    assert_ptr_equal(context, cookie);
    events_of(context)->userfault_aborted++;
    fork_walkers(context);
}

static const struct aspen_userfault_ops userfault_ops = {
    .fork_prepare = userfault_prepare,
    .fork_commit = userfault_commit,
    .fork_abort = userfault_abort,
};

/* The kernel's half: nothing that a processor would follow, and nothing that
 * the core could take for its own. */
static int
space_begins(void *context, struct aspen_mm *mm)
{
    struct fork_events *events = events_of(context);
    uint64_t *entries = aspen_table_entries(mm->aspen, mm->root);

    assert_int_equal(aspen_mm_state(mm), ASPEN_MM_BUILDING);
    if (events->init_error)
        return events->init_error;
    events->begun++;
    for (unsigned i = aspen_table_top_entries(mm->aspen);
         i < ASPEN_TABLE_ENTRIES; i++)
        entries[i] = KERNEL_ENTRY(mm->id, i);
    return 0;
}

static void
space_ends(void *context, struct aspen_mm *mm)
{
    struct fork_events *events = events_of(context);
    const uint64_t *entries = aspen_table_entries(mm->aspen, mm->root);

    assert_int_equal(aspen_mm_state(mm), ASPEN_MM_EMPTY);
    for (unsigned i = aspen_table_top_entries(mm->aspen);
         i < ASPEN_TABLE_ENTRIES; i++)
        assert_int_equal(entries[i], KERNEL_ENTRY(mm->id, i));
    events->ended++;
}

static int
arch_prepare(void *context, struct aspen_mm *parent, struct aspen_mm *child)
{
    struct fork_events *events = events_of(context);
    (void)parent;
    (void)child;
    if (events->arch_error)
        return events->arch_error;
    events->arch_prepared++;
    return 0;
}

static void
arch_commit(void *context, struct aspen_mm *parent, struct aspen_mm *child)
{
    (void)parent;
    (void)child;
    events_of(context)->arch_committed++;
}

static void
arch_abort(void *context, struct aspen_mm *parent, struct aspen_mm *child)
{
    (void)parent;
    struct fork_events *events = events_of(context);
    events->arch_aborted++;
    if (child->state != ASPEN_MM_EMPTY)
        events->broken = "arch abort: the child is not EMPTY";
}

static const struct aspen_arch_ops arch_ops = {
    .mm_init = space_begins,
    .mm_exit = space_ends,
    .fork_prepare = arch_prepare,
    .fork_commit = arch_commit,
    .fork_abort = arch_abort,
};

static void
scanner_fork(void *context, struct aspen_mm *parent, struct aspen_mm *child)
{
    (void)parent;
    (void)child;
    events_of(context)->scanner_forks++;
}

static const struct aspen_scanner_ops scanner_ops = {
    .fork_done = scanner_fork,
};

static void
bracket_start(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    (void)mm;
    (void)start;
    (void)end;
    events_of(context)->brackets_started++;
}

static void
bracket_end(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    (void)mm;
    (void)start;
    (void)end;
    events_of(context)->brackets_ended++;
}

static const struct aspen_notifier_ops notifier_ops = {
    .invalidate_start = bracket_start,
    .invalidate_end = bracket_end,
};

/* ---- Parents ----------------------------------------------------------- */

static struct fork_parent *
make_machine(void)
{
    struct fork_parent *parent = calloc(1, sizeof(*parent));
    struct aspen_config config;
    unsigned type;

    assert_non_null(parent);
    aspen_config_init(&config);
    config.frames = FRAMES;
    config.kernel_start = HELPER_KERNEL_START;
    config.hooks = (struct aspen_hooks){
        .arch = &arch_ops,
        .userfault = &userfault_ops,
        .scanner = &scanner_ops,
        .notifier = &notifier_ops,
        .context = parent,
    };
    helper_create(&parent->helper, &config);
    assert_int_equal(aspen_swap_area_add(parent->helper.aspen, 4096, &type), 0);
    parent->mm = helper_mm(&parent->helper);
    return parent;
}

static struct aspen_object *
make_object(struct fork_parent *parent, enum aspen_object_kind kind,
            uint64_t inode, bool hooked)
{
    struct aspen_object_args args = {
        .kind = kind,
        .device = 1,
        .inode = inode,
        .size_bytes = GIB,
        .pager = hooked ? &pager : NULL,
        .context = parent,
    };
    struct aspen_object *object;
    assert_int_equal(aspen_object_create(parent->helper.aspen, &args, &object),
                     0);
    return object;
}

static void
add_vma(struct fork_parent *parent, uint64_t start, uint64_t bytes,
        uint64_t flags, struct aspen_object *object, bool anon, bool userfault)
{
    struct aspen_import_vma vma = {
        .start = start,
        .end = start + bytes,
        .vm_flags = flags,
        .object = object,
        /* Apart, so that at one offset there is one VMA and its child. */
        .offset_bytes = object ? start / MIB * 16 * PAGE : 0,
        .flags = (anon ? ASPEN_IMPORT_HAS_ANON_VMA : 0) |
                 (userfault ? ASPEN_IMPORT_HAS_USERFAULT : 0),
    };
    assert_int_equal(aspen_import_vma(parent->mm, &vma), 0);
}

static void
add_pages(struct fork_parent *parent, uint64_t address, uint64_t count,
          unsigned level, enum aspen_import_kind kind, uint32_t swap_slot)
{
    struct aspen_import_pages pages = {
        .address = address,
        .count = count,
        .level = level,
        .kind = kind,
        .first_raw = 0xfe000,
        .swap_slot = swap_slot,
    };
    uint64_t done = 0;
    assert_int_equal(aspen_import_pages(parent->mm, &pages, &done), 0);
    assert_int_equal(done, count);
}

static void
add_anon(struct fork_parent *parent, uint64_t start, uint64_t pages,
         uint64_t flags)
{
    add_vma(parent, start, pages * PAGE, MAY_RW | flags, NULL, true, false);
    add_pages(parent, start, pages, 0, ASPEN_IMPORT_ANON, 0);
}

struct fork_parent *
fork_parent_rich(void)
{
    struct fork_parent *parent = make_machine();
    uint64_t at = 2 * MIB;

    parent->file = make_object(parent, ASPEN_OBJECT_FILE, 7, true);
    parent->shmem = make_object(parent, ASPEN_OBJECT_SHMEM, 8, false);

    /* Charged memory over two last-level tables, the second shared with the
     * VMA after it. */
    add_anon(parent, at + MIB, 512, ASPEN_VM_ACCOUNT);
    add_anon(parent, at + 3 * MIB, 4, ASPEN_VM_LOCKED | ASPEN_VM_ACCOUNT);
    add_vma(parent, 8 * MIB, 8 * PAGE, MAY_RW | ASPEN_VM_DONTCOPY, NULL, true,
            false);
    add_pages(parent, 8 * MIB, 8, 0, ASPEN_IMPORT_ANON, 0);
    add_vma(parent, 9 * MIB, 8 * PAGE, MAY_RW | ASPEN_VM_WIPEONFORK, NULL, true,
            false);
    add_pages(parent, 9 * MIB, 8, 0, ASPEN_IMPORT_ANON, 0);
    /* A private file mapping with some private copies; a shared one; shared
     * memory; an untouched private one. */
    add_vma(parent, 10 * MIB, 16 * PAGE, MAY_RW, parent->file, true, false);
    add_pages(parent, 10 * MIB, 4, 0, ASPEN_IMPORT_OBJECT, 0);
    add_pages(parent, 10 * MIB + 4 * PAGE, 4, 0, ASPEN_IMPORT_ANON, 0);
    add_vma(parent, 11 * MIB, 8 * PAGE, MAY_RW | ASPEN_VM_SHARED, parent->file,
            false, false);
    add_pages(parent, 11 * MIB, 8, 0, ASPEN_IMPORT_OBJECT, 0);
    add_vma(parent, 12 * MIB, 8 * PAGE, MAY_RW | ASPEN_VM_SHARED, parent->shmem,
            false, false);
    add_pages(parent, 12 * MIB, 8, 0, ASPEN_IMPORT_OBJECT, 0);
    add_vma(parent, 13 * MIB, 8 * PAGE, MAY_R, parent->file, false, false);
    /* Userfault, zero pages, guards. */
    add_vma(parent, 14 * MIB, 8 * PAGE, MAY_RW | ASPEN_VM_UFFD_MISSING, NULL,
            true, true);
    add_pages(parent, 14 * MIB, 2, 0, ASPEN_IMPORT_ANON, 0);
    add_pages(parent, 14 * MIB + 2 * PAGE, 2, 0, ASPEN_IMPORT_ZERO, 0);
    add_pages(parent, 14 * MIB + 4 * PAGE, 2, 0, ASPEN_IMPORT_GUARD, 0);
    /* Swapped out: one slot each, and one slot as often as its byte can
     * count, in a table of its own far away. */
    add_vma(parent, 3 * GIB, 128 * PAGE, MAY_RW, NULL, true, false);
    add_pages(parent, 3 * GIB, 4, 0, ASPEN_IMPORT_SWAP, 100);
    for (unsigned i = 0; i < ASPEN_SWAP_COUNT_MAX; i++)
        add_pages(parent, 3 * GIB + (4 + i) * PAGE, 1, 0, ASPEN_IMPORT_SWAP,
                  SWAP_FULL);
    /* Raw frames, and a huge leaf. */
    add_vma(parent, 4 * GIB, 4 * PAGE, MAY_R | ASPEN_VM_PFNMAP | ASPEN_VM_IO,
            NULL, false, false);
    add_pages(parent, 4 * GIB, 4, 0, ASPEN_IMPORT_RAW, 0);
    add_vma(parent, FAR_AWAY, 4 * MIB, MAY_RW | ASPEN_VM_HUGEPAGE, NULL, true,
            false);
    add_pages(parent, FAR_AWAY, 1, 1, ASPEN_IMPORT_ANON, 0);
    add_pages(parent, FAR_AWAY + 2 * MIB, 3, 0, ASPEN_IMPORT_ANON, 0);
    assert_int_equal(
        aspen_name_anon(parent->mm, at + 3 * MIB, 4 * PAGE, "locked"), 0);
    /* Two of the locked pages, for somebody outside. */
    assert_int_equal(aspen_pin_range(parent->mm, at + 3 * MIB + 2 * PAGE,
                                     PINNED * PAGE, ASPEN_PIN_WRITE,
                                     parent->pinned),
                     0);
    return parent;
}

struct fork_parent *
fork_parent_empty(void)
{
    return make_machine();
}

struct fork_parent *
fork_parent_many(unsigned vmas)
{
    struct fork_parent *parent = make_machine();
    for (unsigned i = 0; i < vmas; i++)
        add_anon(parent, MIB + i * 2 * PAGE, 1,
                 i % 3 == 0 ? ASPEN_VM_ACCOUNT : 0);
    return parent;
}

void
fork_parent_free(struct fork_parent *parent)
{
    aspen_mm_put(parent->mm);
    if (parent->file) /* pins outlive the space */
        helper_unpin(parent->mm, parent->pinned, PINNED, ASPEN_UNPIN_DIRTY);
    if (parent->file)
        aspen_object_put(parent->file);
    if (parent->shmem)
        aspen_object_put(parent->shmem);
    helper_destroy(&parent->helper);
    assert_int_equal(parent->events.begun, parent->events.ended);
    free(parent);
}

/* ---- Walkers ----------------------------------------------------------- */

static void
broken(struct fork_parent *parent, const char *what)
{
    if (!parent->events.broken)
        parent->events.broken = what;
}

/* Every entry under a VMA is whole: its frame is in use and counts it. */
static void
look_at_entries(struct fork_parent *parent, struct aspen_vma *vma)
{
    for (uint64_t address = vma->start; address < vma->end; address += PAGE) {
        struct aspen_slot slot;
        uint64_t entry = aspen_table_walk(vma->mm, address, &slot);
        if (!aspen_entry_is_leaf(entry, slot.level) ||
            aspen_entry_bits(entry) & ASPEN_ENTRY_SPECIAL)
            continue;
        struct aspen_frame *frame = aspen_frame_at(
            parent->helper.aspen, (uint32_t)aspen_entry_frame(entry));
        enum aspen_frame_type type = aspen_frame_type(frame);
        if (type != ASPEN_FRAME_ANON && type != ASPEN_FRAME_OBJECT)
            broken(parent, "an entry leads to a frame that holds no page");
        if (aspen_frame_map_count(frame) == 0)
            broken(parent, "an entry leads to a frame that does not count it");
    }
}

static void
look_at_vma(struct fork_parent *parent, struct aspen_vma *vma)
{
    if (!vma->mm || vma->start >= vma->end) {
        broken(parent, "a reverse map leads to a VMA that is not whole");
        return;
    }
    if (vma->mm == parent->mm)
        return;
    uint32_t state = aspen_load(&vma->mm->state);
    if (state == ASPEN_MM_EMPTY)
        broken(parent, "a reverse map leads into an EMPTY space");
    if (state == ASPEN_MM_BUILDING) {
        parent->events.children_met++;
        if (aspen_read_trylock(&vma->mm->mmap_lock, ASPEN_LOCK_MM_CHILD)) {
            aspen_read_unlock(&vma->mm->mmap_lock);
            broken(parent, "a BUILDING space is not locked");
        }
    }
    look_at_entries(parent, vma);
}

/* All intervals of a reverse map; at equal offset the parent comes first. */
static void
look_at_links(struct fork_parent *parent, struct aspen_interval_tree *tree,
              bool anon)
{
    struct aspen_interval_node *node =
        aspen_interval_first(tree, 0, UINT64_MAX);
    uint64_t child_at = UINT64_MAX;

    for (; node; node = aspen_interval_next(node, 0, UINT64_MAX)) {
        struct aspen_vma *vma =
            anon ? aspen_container_of(node, struct aspen_anon_vma_link, node)
                       ->vma
                 : aspen_container_of(node, struct aspen_vma, i_mmap_node);
        look_at_vma(parent, vma);
        if (vma->mm != parent->mm)
            child_at = node->start;
        else if (child_at == node->start && !anon)
            broken(parent, "a child's VMA sorts before its parent's (i_mmap)");
        else if (child_at == node->start)
            broken(parent, "a child's link sorts before its parent's (anon)");
    }
}

static void
walk_object(struct fork_parent *parent, struct aspen_object *object)
{
    if (!object || !aspen_read_trylock(&object->i_mmap_lock, ASPEN_LOCK_I_MMAP))
        return;
    look_at_links(parent, &object->i_mmap, false);
    aspen_read_unlock(&object->i_mmap_lock);
}

static void
walk_anon(struct fork_parent *parent, struct aspen_vma *vma)
{
    aspen_list_for_each(link, &vma->anon_chain)
    {
        struct aspen_anon_vma *anon_vma =
            aspen_container_of(link, struct aspen_anon_vma_link, same_vma)
                ->anon_vma;
        if (!aspen_read_trylock(&anon_vma->root->lock, ASPEN_LOCK_ANON_VMA))
            continue;
        look_at_links(parent, &anon_vma->links, true);
        aspen_read_unlock(&anon_vma->root->lock);
    }
}

static void
walk_registry(struct fork_parent *parent)
{
    aspen_list_for_each(link, &parent->helper.aspen->registry)
    {
        struct aspen_mm *mm =
            aspen_container_of(link, struct aspen_mm, registry_link);
        if (mm->state != ASPEN_MM_LIVE && mm->state != ASPEN_MM_DYING)
            broken(parent, "the registry holds a space that is not LIVE");
    }
}

/* What the gate lets pass is LIVE. A space whose lock is held would make it
 * wait: there the lock itself is what protects. */
static void
walk_swap_list(struct fork_parent *parent)
{
    aspen_list_for_each(link, &parent->helper.aspen->swap_list)
    {
        struct aspen_mm *mm =
            aspen_container_of(link, struct aspen_mm, swap_link);
        if (!aspen_read_trylock(&mm->mmap_lock, ASPEN_LOCK_MM))
            continue;
        aspen_read_unlock(&mm->mmap_lock);
        if (!aspen_mm_get_live(mm)) {
            if (!aspen_tree_is_empty(&mm->vmas))
                broken(parent, "a space that is refused still has VMAs");
            continue;
        }
        if (mm->state != ASPEN_MM_LIVE)
            broken(parent, "the gate let a space pass that is not LIVE");
        aspen_read_unlock(&mm->mmap_lock);
    }
}

void
fork_walkers(struct fork_parent *parent)
{
    struct aspen_tree_cursor cursor;
    struct aspen_vma *vma;

    parent->events.walks++;
    walk_registry(parent);
    walk_swap_list(parent);
    walk_object(parent, parent->file);
    walk_object(parent, parent->shmem);
    aspen_tree_cursor_init(&cursor, &parent->mm->vmas, 0);
    while ((vma = aspen_tree_next(&cursor, UINT64_MAX)) != NULL)
        walk_anon(parent, vma);
}

/* ---- Rows of docs/design/fork.md ------------------------------------- */

#define TABLES 64

struct labels {
    const enum aspen_step *steps;
    uint64_t count;
    uint64_t at;
    struct fork_label *labels;
    /* Tables that the child has by now: first address and level. */
    uint64_t tables[TABLES];
    unsigned table_count;
};

static bool
one(struct labels *labels, enum aspen_step step, unsigned row)
{
    if (labels->at == labels->count || labels->steps[labels->at] != step)
        return false;
    labels->labels[labels->at++].row = row;
    return true;
}

static void
any(struct labels *labels, enum aspen_step step, unsigned row)
{
    while (one(labels, step, row))
        ;
}

/* The table of `level` at `address` is made now unless the child has it. */
static bool
label_table(struct labels *labels, uint64_t address, unsigned level)
{
    uint64_t table = (address & ~(aspen_table_span(level) - 1)) | level;

    for (unsigned i = 0; i < labels->table_count; i++)
        if (labels->tables[i] == table)
            return true;
    assert_true(labels->table_count < TABLES);
    labels->tables[labels->table_count++] = table;
    if (!one(labels, ASPEN_STEP_PAGE_TABLE, 16))
        return false;
    labels->labels[labels->at - 1].level = level;
    return true;
}

/* Every table that the parent has below the VMA, from the top down. */
static bool
label_tables(struct labels *labels, struct aspen_vma *vma)
{
    uint64_t span = aspen_table_span(0);
    struct aspen_slot slot;

    for (uint64_t address = vma->start; address < vma->end;
         address = (address & ~(span - 1)) + span) {
        aspen_table_walk(vma->mm, address, &slot);
        for (unsigned level = ASPEN_TABLE_LEVELS - 1; level-- > slot.level;)
            if (!label_table(labels, address, level))
                return false;
        any(labels, ASPEN_STEP_SWAP, 16);
        any(labels, ASPEN_STEP_FRAME, 16); /* pinned pages */
    }
    return true;
}

static bool
label_vma(struct labels *labels, struct aspen_vma *vma)
{
    bool hooked = vma->object && vma->object->pager;

    if (!one(labels, ASPEN_STEP_INTERRUPT, 5))
        return false;
    if (vma->flags & ASPEN_VM_DONTCOPY)
        return true;
    if (!one(labels, ASPEN_STEP_INTERRUPT, 7))
        return false;
    if (vma->flags & ASPEN_VM_ACCOUNT && !one(labels, ASPEN_STEP_CHARGE, 8))
        return false;
    if (!one(labels, ASPEN_STEP_VMA, 9))
        return false;
    if (vma->userfault && !one(labels, ASPEN_STEP_HOOK, 11))
        return false;
    if (vma->anon_vma && !(vma->flags & ASPEN_VM_WIPEONFORK)) {
        any(labels, ASPEN_STEP_ANON_VMA, 12);
        if (labels->labels[labels->at - 1].row != 12)
            return false;
    }
    if (hooked && !one(labels, ASPEN_STEP_HOOK, 13))
        return false;
    if (vma->flags & ASPEN_VM_WIPEONFORK ||
        !(vma->anon_vma || vma->flags & ASPEN_VM_PFNMAP))
        return true;
    return label_tables(labels, vma);
}

bool
fork_label_steps(const struct fork_parent *parent, const enum aspen_step *steps,
                 uint64_t count, struct fork_label *out)
{
    struct labels labels = {.steps = steps, .count = count, .labels = out};
    struct aspen_tree_cursor cursor;
    struct aspen_vma *vma;

    if (!one(&labels, ASPEN_STEP_MM, 0) ||
        !one(&labels, ASPEN_STEP_PAGE_TABLE, 0) ||
        !one(&labels, ASPEN_STEP_HOOK, 0) ||
        !one(&labels, ASPEN_STEP_INTERRUPT, 1))
        return false;
    any(&labels, ASPEN_STEP_TREE_NODE, 4);
    aspen_tree_cursor_init(&cursor, &parent->mm->vmas, 0);
    while ((vma = aspen_tree_next(&cursor, UINT64_MAX)) != NULL)
        if (!label_vma(&labels, vma))
            return false;
    return one(&labels, ASPEN_STEP_HOOK, 17) &&
           one(&labels, ASPEN_STEP_INTERRUPT, 17) && labels.at == count;
}
