/* SPDX-License-Identifier: MIT */
/*
 * snapshot.c - the model of a captured address space: building, flags, sums,
 * redaction. The file format is in snapshot/file.c; the invariants I1 to I3
 * are in snapshot.h.
 *
 * Called by capture, rehearse and tests/snapshots/make_snapshots.c.
 * tests/unit/tools/test_snapshot.c breaks first.
 */
#define _GNU_SOURCE
#include "snapshot/snapshot.h"

#include <aspen/flags.h>

#include <stdlib.h>
#include <string.h>

#define FIRST_SLOTS 64u

static const char *const kind_names[SNAPSHOT_KINDS] = {
    "anon", "object", "zero", "swap", "guard", "raw", "other",
};

static const char *const method_names[SNAPSHOT_METHODS] = {
    "pagemap_scan",
    "pagemap",
    "made",
};

struct flag_name {
    char name[3];
    uint64_t flag;
};

/*
 * What the two letters of VmFlags mean to us (proc(5) and the kernel's manual
 * of /proc). A name that is not here stays in the snapshot as text: "dw", "ar"
 * and the like change nothing in a fork.
 */
static const struct flag_name flag_names[] = {
    {"rd", ASPEN_VM_READ},        {"wr", ASPEN_VM_WRITE},
    {"ex", ASPEN_VM_EXEC},        {"sh", ASPEN_VM_SHARED},
    {"mr", ASPEN_VM_MAYREAD},     {"mw", ASPEN_VM_MAYWRITE},
    {"me", ASPEN_VM_MAYEXEC},     {"ms", ASPEN_VM_MAYSHARE},
    {"gd", ASPEN_VM_GROWSDOWN},   {"pf", ASPEN_VM_PFNMAP},
    {"mm", ASPEN_VM_MIXEDMAP},    {"io", ASPEN_VM_IO},
    {"ht", ASPEN_VM_HUGETLB},     {"ac", ASPEN_VM_ACCOUNT},
    {"nr", ASPEN_VM_NORESERVE},   {"lo", ASPEN_VM_LOCKED},
    {"lf", ASPEN_VM_LOCKONFAULT}, {"sl", ASPEN_VM_SEALED},
    {"dc", ASPEN_VM_DONTCOPY},    {"wf", ASPEN_VM_WIPEONFORK},
    {"sr", ASPEN_VM_SEQ_READ},    {"rr", ASPEN_VM_RAND_READ},
    {"de", ASPEN_VM_DONTEXPAND},  {"dd", ASPEN_VM_DONTDUMP},
    {"hg", ASPEN_VM_HUGEPAGE},    {"nh", ASPEN_VM_NOHUGEPAGE},
    {"mg", ASPEN_VM_MERGEABLE},   {"sf", ASPEN_VM_SYNC},
    {"sd", ASPEN_VM_SOFTDIRTY},   {"um", ASPEN_VM_UFFD_MISSING},
    {"uw", ASPEN_VM_UFFD_WP},     {"ui", ASPEN_VM_UFFD_MINOR},
    {"bt", ASPEN_VM_BTI},         {"mt", ASPEN_VM_MTE},
};

/* Make room for one more element. */
static bool
grow(void **array, uint64_t count, uint64_t *capacity, size_t element)
{
    uint64_t wanted = *capacity + *capacity / 2 + 16;
    void *bigger;

    if (count < *capacity)
        return true;
    if (wanted > SIZE_MAX / element)
        return false;
    bigger = realloc(*array, (size_t)wanted * element);
    if (bigger == NULL)
        return false;
    *array = bigger;
    *capacity = wanted;
    return true;
}

static bool
grow32(void **array, uint32_t count, uint32_t *capacity, size_t element)
{
    uint64_t wide = *capacity;

    if (count == UINT32_MAX - 1 || !grow(array, count, &wide, element))
        return false;
    *capacity = (uint32_t)wide;
    return true;
}

static uint32_t
hash_bytes(const void *bytes, size_t length)
{
    const uint8_t *byte = bytes;
    uint32_t hash = 2166136261u;

    while (length-- > 0)
        hash = (hash ^ *byte++) * 16777619u;
    return hash ^ hash >> 15;
}

static uint32_t
hash_string(const struct snapshot *snapshot, uint32_t string)
{
    const char *text = snapshot->strings[string];

    return hash_bytes(text, strlen(text));
}

static uint32_t
hash_object(const struct snapshot *snapshot, uint32_t object)
{
    const struct snapshot_object *of = &snapshot->objects[object];
    uint64_t key[2] = {of->device, of->inode};

    return hash_bytes(key, sizeof(key));
}

/*
 * Both hash tables are the same: slots of index + 1, a power of two of them,
 * at most half full, searched linearly.
 */
static bool
slots_grow(const struct snapshot *snapshot, uint32_t **slots, uint32_t *size,
           uint32_t used, uint32_t (*hash)(const struct snapshot *, uint32_t))
{
    uint32_t bigger = *size == 0 ? FIRST_SLOTS : *size * 2;
    uint32_t *fresh;

    if (used < *size / 2)
        return true;
    fresh = calloc(bigger, sizeof(*fresh));
    if (fresh == NULL)
        return false;
    for (uint32_t i = 0; i < used; i++) {
        uint32_t slot = hash(snapshot, i) & (bigger - 1);

        while (fresh[slot] != 0)
            slot = (slot + 1) & (bigger - 1);
        fresh[slot] = i + 1;
    }
    free(*slots);
    *slots = fresh;
    *size = bigger;
    return true;
}

static void
use_run(const struct snapshot_vma *vma, const struct snapshot_run *run,
        struct snapshot_totals *totals)
{
    unsigned kind = snapshot_run_kind(run);
    unsigned level = snapshot_run_level(run);
    uint64_t pages = snapshot_run_pages(run);

    totals->pages[kind] += pages;
    if (kind == SNAPSHOT_OTHER)
        return;
    totals->huge_entries[level] += run->count;
    if ((vma->flags & ASPEN_VM_HUGETLB) != 0)
        totals->hugetlb_pages += pages;
    else if (kind == SNAPSHOT_ANON || kind == SNAPSHOT_OBJECT)
        totals->resident_pages += pages;
    /* The huge zero page has one as well; built of small pages it is used. */
    if (level == 1 && (vma->flags & ASPEN_VM_HUGETLB) == 0 &&
        kind == SNAPSHOT_ANON)
        totals->deposits += run->count;
}

/* Tables on the way to [start, end), those of the last call not again. */
static void
use_tables(uint64_t start, uint64_t end, unsigned leaf_level,
           uint64_t next_table[4], struct snapshot_totals *totals)
{
    for (unsigned level = leaf_level; level < 4; level++) {
        unsigned shift = SNAPSHOT_PAGE_SHIFT + 9 * (level + 1);
        uint64_t first = start >> shift;
        uint64_t last = (end - 1) >> shift;

        if (first < next_table[level])
            first = next_table[level];
        if (first > last)
            continue;
        totals->tables[level] += last - first + 1;
        next_table[level] = last + 1;
    }
}

const char *
snapshot_kind_name(unsigned kind)
{
    return kind < SNAPSHOT_KINDS ? kind_names[kind] : NULL;
}

const char *
snapshot_method_name(unsigned method)
{
    return method < SNAPSHOT_METHODS ? method_names[method] : NULL;
}

int
snapshot_init(struct snapshot *snapshot)
{
    memset(snapshot, 0, sizeof(*snapshot));
    for (unsigned i = 0; i < SNAPSHOT_COUNTERS; i++)
        snapshot->counters[i] = SNAPSHOT_UNKNOWN;
    return snapshot_string(snapshot, "", 0) == 0 ? 0 : -1;
}

void
snapshot_free(struct snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->string_count; i++)
        free(snapshot->strings[i]);
    free(snapshot->strings);
    free(snapshot->string_slots);
    free(snapshot->object_slots);
    free(snapshot->objects);
    free(snapshot->runs);
    free(snapshot->vmas);
    memset(snapshot, 0, sizeof(*snapshot));
}

uint32_t
snapshot_string(struct snapshot *snapshot, const char *text, size_t length)
{
    uint32_t slot;
    char *copy;

    if (!slots_grow(snapshot, &snapshot->string_slots,
                    &snapshot->string_slot_count, snapshot->string_count,
                    hash_string))
        return UINT32_MAX;
    slot = hash_bytes(text, length) & (snapshot->string_slot_count - 1);
    while (snapshot->string_slots[slot] != 0) {
        uint32_t string = snapshot->string_slots[slot] - 1;
        const char *other = snapshot->strings[string];

        if (strlen(other) == length && memcmp(other, text, length) == 0)
            return string;
        slot = (slot + 1) & (snapshot->string_slot_count - 1);
    }
    if (!grow32((void **)&snapshot->strings, snapshot->string_count,
                &snapshot->string_capacity, sizeof(char *)))
        return UINT32_MAX;
    copy = malloc(length + 1);
    if (copy == NULL)
        return UINT32_MAX;
    memcpy(copy, text, length);
    copy[length] = '\0';
    snapshot->strings[snapshot->string_count] = copy;
    snapshot->string_slots[slot] = ++snapshot->string_count;
    return snapshot->string_count - 1;
}

const char *
snapshot_text(const struct snapshot *snapshot, uint32_t string)
{
    return snapshot->strings[string];
}

uint32_t
snapshot_object(struct snapshot *snapshot, uint64_t device, uint64_t inode,
                enum snapshot_object_kind kind)
{
    uint64_t key[2] = {device, inode};
    struct snapshot_object *object;
    uint32_t slot;

    if (!slots_grow(snapshot, &snapshot->object_slots,
                    &snapshot->object_slot_count, snapshot->object_count,
                    hash_object))
        return SNAPSHOT_NO_OBJECT;
    slot = hash_bytes(key, sizeof(key)) & (snapshot->object_slot_count - 1);
    while (snapshot->object_slots[slot] != 0) {
        object = &snapshot->objects[snapshot->object_slots[slot] - 1];
        if (object->device == device && object->inode == inode)
            return snapshot->object_slots[slot] - 1;
        slot = (slot + 1) & (snapshot->object_slot_count - 1);
    }
    if (!grow32((void **)&snapshot->objects, snapshot->object_count,
                &snapshot->object_capacity, sizeof(*object)))
        return SNAPSHOT_NO_OBJECT;
    object = &snapshot->objects[snapshot->object_count];
    *object = (struct snapshot_object){device, inode, kind};
    snapshot->object_slots[slot] = ++snapshot->object_count;
    return snapshot->object_count - 1;
}

struct snapshot_vma *
snapshot_add_vma(struct snapshot *snapshot, const struct snapshot_vma *vma)
{
    struct snapshot_vma *added;

    if (!grow((void **)&snapshot->vmas, snapshot->vma_count,
              &snapshot->vma_capacity, sizeof(*vma)))
        return NULL;
    added = &snapshot->vmas[snapshot->vma_count++];
    *added = *vma;
    added->first_run = snapshot->run_count;
    added->run_count = 0;
    return added;
}

/* Whether entries with `value` go on where `run` ends. */
static bool
values_follow(const struct snapshot_run *run, uint64_t value)
{
    switch (snapshot_run_kind(run)) {
    case SNAPSHOT_RAW:
        return run->value == 0 ? value == 0
                               : value == run->value + snapshot_run_pages(run);
    case SNAPSHOT_SWAP:
        if (run->value == SNAPSHOT_NO_SLOT || value == SNAPSHOT_NO_SLOT)
            return run->value == value;
        return value == run->value + (run->count << SNAPSHOT_SWAP_TYPE_BITS);
    default:
        return true;
    }
}

int
snapshot_add_run(struct snapshot *snapshot, uint64_t address, uint64_t count,
                 unsigned level, enum snapshot_kind kind, uint64_t value)
{
    struct snapshot_vma *vma = &snapshot->vmas[snapshot->vma_count - 1];
    uint64_t place = address | (uint64_t)level << 4 | (uint64_t)kind;
    struct snapshot_run *run;

    if (count == 0)
        return 0;
    if (vma->run_count > 0) {
        run = &snapshot->runs[snapshot->run_count - 1];
        if (((run->place ^ place) & (SNAPSHOT_PAGE_SIZE - 1)) == 0 &&
            snapshot_run_end(run) == address && values_follow(run, value)) {
            run->count += count;
            return 0;
        }
    }
    if (vma->run_count == UINT32_MAX ||
        !grow((void **)&snapshot->runs, snapshot->run_count,
              &snapshot->run_capacity, sizeof(*run)))
        return -1;
    snapshot->runs[snapshot->run_count++] =
        (struct snapshot_run){place, count, value};
    vma->run_count++;
    return 0;
}

bool
snapshot_has_flag(const char *vm_flags, const char *name)
{
    for (const char *at = vm_flags; *at != '\0';) {
        size_t length = strcspn(at, " ");

        if (length == strlen(name) && memcmp(at, name, length) == 0)
            return true;
        at += length + strspn(at + length, " ");
    }
    return false;
}

bool
snapshot_anon_name(const char *path, char name[ASPEN_NAME_BYTES])
{
    const size_t start = strlen("[anon:");
    size_t length = strlen(path);

    if (strncmp(path, "[anon:", start) != 0 || path[length - 1] != ']')
        return false;
    length -= start + 1;
    if (length >= ASPEN_NAME_BYTES)
        return false;
    memcpy(name, path + start, length);
    name[length] = '\0';
    return true;
}

uint64_t
snapshot_flags(uint32_t permissions, const char *vm_flags)
{
    const size_t names = sizeof(flag_names) / sizeof(flag_names[0]);
    uint64_t flags = 0;

    /* Of two letters each: "rd wr mr". */
    for (const char *at = vm_flags; *at != '\0'; at += strspn(at, " ")) {
        size_t length = strcspn(at, " ");

        for (size_t i = 0; i < names && length == 2; i++)
            if (memcmp(at, flag_names[i].name, 2) == 0)
                flags |= flag_names[i].flag;
        at += length;
    }
    /* The first column of maps says it as well, and is always there. What is
     * done may be done, whatever VmFlags say, or do not. */
    flags &= ~(uint64_t)ASPEN_VM_ACCESS;
    if ((permissions & SNAPSHOT_PERM_READ) != 0)
        flags |= ASPEN_VM_READ | ASPEN_VM_MAYREAD;
    if ((permissions & SNAPSHOT_PERM_WRITE) != 0)
        flags |= ASPEN_VM_WRITE | ASPEN_VM_MAYWRITE;
    if ((permissions & SNAPSHOT_PERM_EXEC) != 0)
        flags |= ASPEN_VM_EXEC | ASPEN_VM_MAYEXEC;
    /* Without "sh" it is shared memory that nobody can write to. */
    if ((permissions & SNAPSHOT_PERM_SHARED) != 0)
        flags |= ASPEN_VM_MAYSHARE | ASPEN_VM_SHARED;
    return flags | (uint64_t)((permissions & SNAPSHOT_PERM_PKEY) >>
                              SNAPSHOT_PERM_PKEY_SHIFT)
                       << ASPEN_VM_PKEY_SHIFT;
}

void
snapshot_note_pkey(struct aspen_pkeys *pkeys, uint64_t flags)
{
    int pkey = (int)((flags & ASPEN_VM_PKEY) >> ASPEN_VM_PKEY_SHIFT);

    pkeys->given_out |= UINT32_C(1) << pkey;
    if (pkey && (flags & ASPEN_VM_ACCESS) == ASPEN_VM_EXEC &&
        pkeys->execute_only_key == -1)
        pkeys->execute_only_key = pkey;
}

uint64_t
snapshot_vma_flags(const struct snapshot *snapshot,
                   const struct snapshot_vma *vma)
{
    uint64_t flags =
        snapshot_flags(vma->permissions, snapshot->strings[vma->vm_flags]);

    if (vma->object != SNAPSHOT_NO_OBJECT &&
        snapshot->objects[vma->object].kind == SNAPSHOT_OBJECT_SPECIAL)
        flags |= ASPEN_VM_SPECIAL;
    return flags;
}

void
snapshot_redact(struct snapshot *snapshot)
{
    for (uint64_t i = 0; i < snapshot->vma_count; i++)
        snapshot->vmas[i].path = 0;
    for (uint32_t i = 0; i < snapshot->object_count; i++) {
        snapshot->objects[i].device = 0;
        snapshot->objects[i].inode = i + 1;
    }
    snapshot->name = 0;
    snapshot->redacted = true;
    /* Objects have new keys; nobody looks one up in a finished snapshot. */
    free(snapshot->object_slots);
    snapshot->object_slots = NULL;
    snapshot->object_slot_count = 0;
}

static int
check_runs(const struct snapshot *snapshot, const struct snapshot_vma *vma,
           struct tool_error *error)
{
    uint64_t at = vma->start;

    for (uint32_t i = 0; i < vma->run_count; i++) {
        const struct snapshot_run *run = &snapshot->runs[vma->first_run + i];
        unsigned level = snapshot_run_level(run);
        uint64_t room = (vma->end - vma->start) >> SNAPSHOT_PAGE_SHIFT;
        uint64_t span = snapshot_level_pages(level) << SNAPSHOT_PAGE_SHIFT;

        if (level > 2 || snapshot_run_kind(run) >= SNAPSHOT_KINDS)
            return tool_fail(error, "unknown kind of page");
        if (run->count == 0 || run->count > room >> (9 * level) ||
            (snapshot_run_address(run) & (span - 1)) != 0 ||
            snapshot_run_address(run) < at || snapshot_run_end(run) > vma->end)
            return tool_fail(error, "pages outside of their mapping");
        at = snapshot_run_end(run);
    }
    return 0;
}

int
snapshot_check(const struct snapshot *snapshot, struct tool_error *error)
{
    uint64_t end = 0;
    uint64_t runs = 0;

    for (uint64_t i = 0; i < snapshot->vma_count; i++) {
        const struct snapshot_vma *vma = &snapshot->vmas[i];

        if (((vma->start | vma->end) & (SNAPSHOT_PAGE_SIZE - 1)) != 0 ||
            vma->start < end || vma->end <= vma->start ||
            vma->end > SNAPSHOT_ADDRESS_LIMIT)
            return tool_fail(error, "mappings out of order");
        if (vma->vm_flags >= snapshot->string_count ||
            vma->path >= snapshot->string_count ||
            (vma->object != SNAPSHOT_NO_OBJECT &&
             vma->object >= snapshot->object_count))
            return tool_fail(error, "reference to something that is not there");
        if (vma->pgoff > UINT64_MAX >> SNAPSHOT_PAGE_SHIFT)
            return tool_fail(error, "offset out of range");
        if (vma->first_run != runs ||
            vma->run_count > snapshot->run_count - runs)
            return tool_fail(error, "pages outside of their mapping");
        if (check_runs(snapshot, vma, error) != 0)
            return -1;
        runs += vma->run_count;
        end = vma->end;
    }
    if (runs != snapshot->run_count)
        return tool_fail(error, "pages outside of their mapping");
    return 0;
}

/* What smaps counted of a mapping and its runs do not have. */
static uint64_t
missing_pages(const struct snapshot *snapshot, const struct snapshot_vma *vma)
{
    uint64_t counted = vma->rss_pages + vma->swap_pages;
    uint64_t found = 0;

    for (uint32_t i = 0; i < vma->run_count; i++) {
        const struct snapshot_run *run = &snapshot->runs[vma->first_run + i];
        unsigned kind = snapshot_run_kind(run);

        if (kind != SNAPSHOT_ZERO && kind != SNAPSHOT_GUARD)
            found += snapshot_run_pages(run);
    }
    return counted > found ? counted - found : 0;
}

void
snapshot_sum(const struct snapshot *snapshot, struct snapshot_totals *totals)
{
    uint64_t next_table[4] = {0};

    memset(totals, 0, sizeof(*totals));
    for (uint64_t i = 0; i < snapshot->vma_count; i++) {
        const struct snapshot_vma *vma = &snapshot->vmas[i];

        totals->missing_pages += missing_pages(snapshot, vma);
        for (uint32_t j = 0; j < vma->run_count; j++) {
            const struct snapshot_run *run =
                &snapshot->runs[vma->first_run + j];

            use_run(vma, run, totals);
            if (snapshot_run_kind(run) != SNAPSHOT_OTHER)
                use_tables(snapshot_run_address(run), snapshot_run_end(run),
                           snapshot_run_level(run), next_table, totals);
        }
    }
}
