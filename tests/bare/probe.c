/* SPDX-License-Identifier: MIT */
/*
 * probe.c - an access by a program, and what tests/mmu says of it.
 *
 * What ours does is done first: what it reads, whether it faults, what it
 * writes into entries. These are put back, and the program does the same. Ours
 * begins with nothing cached each time. So what the processor has cached and
 * should not have is a difference as well.
 */
#include "bare.h"

#include "inside.h"

#define ATTEMPTS 8u
#define OUR_CPU  7u /* of tests/mmu: nobody is told that it is there */

uint64_t probe_compared, probe_faults;

/* What is expected of an access. */
struct expected {
    enum why why;
    unsigned level; /* of the entry where the walk ended */
    uint64_t number;
    uint64_t value;
    uint64_t *entries[FORMAT_LEVELS]; /* by level; NULL: not reached */
    uint64_t before[FORMAT_LEVELS];
    uint64_t after[FORMAT_LEVELS];
};

static const char *const access_names[] = {"read", "write", "fetch"};
static const char *const why_names[] = {
    "goes", "finds nothing", "lacks the access flag", "is denied", "faults"};

void
probe_begin(void)
{
    mmu_attach(&(struct mmu_config){
        .direct_map = machine.direct_map,
        .frames = (uint32_t)((machine.ram_start + machine.ram_bytes) / PAGE),
        .flags = machine.sets_flags ? MMU_FLAGS_SET : MMU_FLAGS_FAULT,
    });
}

/* Which entries the walk comes by, and why it ends, by the manuals. */
static void
walk(uint32_t root, uint64_t address, enum mmu_access access,
     struct expected *expected)
{
    struct mmu_walk at = {.root = root, .address = address};
    struct format_entry says;

    mmu_walk_from_root(&at);
    for (;;) {
        uint64_t *entry = mmu_walk_entry(at.table, at.level, address);
        if (!entry)
            give_up("no memory is behind a table of %#lx", address);
        expected->entries[at.level] = entry;
        expected->before[at.level] = *entry;
        expected->level = at.level;
        says = format_read(*entry, at.level);
        if (says.kind != FORMAT_TABLE)
            break;
        mmu_walk_descend(&at, &says);
    }
    expected->number = says.number;
    bool read = at.read && says.read, write = at.write && says.write;
    bool exec = at.exec && says.exec;
    bool allowed = access == MMU_READ    ? read
                   : access == MMU_WRITE ? write
                                         : exec;
    if (says.kind != FORMAT_LEAF)
        expected->why = WHY_ABSENT;
    else if (!machine.sets_flags && !says.accessed)
        expected->why = WHY_FLAG;
    else if (!allowed ||
             (access == MMU_WRITE && !machine.sets_flags && !says.dirty))
        expected->why = WHY_DENIED;
    else
        expected->why = WHY_NOT;
}

static void
expect(uint32_t root, uint64_t address, enum mmu_access access,
       struct expected *expected)
{
    *expected = (struct expected){0};
    walk(root, address, access, expected);
    mmu_leave(OUR_CPU, root);
    bool goes = mmu_access(OUR_CPU, root, address, access,
                           access == MMU_READ ? &expected->value : NULL, 8);
    if (goes != (expected->why == WHY_NOT))
        found("tests/mmu does not agree with itself about a %s of %#lx",
              access_names[access], address);
    if (mmu_breach()) {
        found("%s", mmu_breach());
        mmu_forgive();
    }
    for (unsigned level = 0; level < FORMAT_LEVELS; level++)
        if (expected->entries[level]) {
            expected->after[level] = *expected->entries[level];
            *expected->entries[level] = expected->before[level];
        }
}

enum outcome { WENT, FAULTED, CODE_FAULTED };

/* The program does it. What else happens than that it goes or faults, there, is
 * found. */
static enum outcome
attempt(uint64_t address, enum mmu_access access, uint64_t *value,
        struct trap *trap)
{
    uint64_t pc = access == MMU_EXEC    ? address + CODE_IN_PAGE
                  : access == MMU_WRITE ? code_of(user_store)
                                        : code_of(user_load);
    uint64_t where = access == MMU_EXEC ? pc : address;
    struct program program;

    program_begin(&program, pc, address, *value, 0);
    kernel_run(&program, trap);
    if (trap->kind == TRAP_FAULT && access != MMU_EXEC &&
        trap->access == MMU_EXEC && trap->address == pc)
        return CODE_FAULTED;
    if (trap->kind == TRAP_FAULT) {
        if (trap->address != where || trap->access != access)
            found("a %s of %#lx is said to be a %s of %#lx (%#lx)",
                  access_names[access], where, access_names[trap->access],
                  trap->address, trap->cause);
        return FAULTED;
    }
    /* A fetch of what is no code is one all the same. */
    if (access != MMU_EXEC && trap->kind != TRAP_CALL)
        found("a %s of %#lx: exception %#lx at %#lx", access_names[access],
              where, trap->cause, trap->pc);
    if (access == MMU_READ)
        *value = program_word(&program, 2);
    return WENT;
}

/* Upper tables and the flag are the processor's to set ahead, and the flag may
 * be cached as set where it was cleared without a flush; what it must not do is
 * set dirty for nothing, or not set what it goes by. */
static void
compare_entries(const struct expected *expected, uint64_t address,
                enum mmu_access access, bool went)
{
    for (unsigned level = 0; level < FORMAT_LEVELS; level++) {
        uint64_t *entry = expected->entries[level];
        if (!entry)
            continue;
        uint64_t now = *entry, before = expected->before[level];
        uint64_t flag = format_accessed(before, true, false) ^ before;
        uint64_t other = expected->after[level] ^ now;
        bool may_differ = !went || (kernel_flags_cached && level == 0);
        if (other & ~(may_differ ? flag : 0) && (went || now != before))
            found(
                "a %s of %#lx leaves the entry %#lx at level %u, where it was "
                "%#lx and ours leaves %#lx",
                access_names[access], address, now, level, before,
                expected->after[level]);
    }
}

static void
compare(const struct expected *expected, uint64_t address,
        enum mmu_access access, uint64_t value, bool went,
        const struct trap *trap)
{
    uint64_t *page = frame_pointer(expected->number);

    probe_compared++;
    probe_faults += !went;
    bool cached = kernel_flags_cached && expected->why == WHY_FLAG;
    if (went != (expected->why == WHY_NOT) && !(went && cached)) {
        found("a %s of %#lx %s, and ours %s (%#lx; entry %#lx)",
              access_names[access], address, why_names[went ? 0 : trap->why],
              why_names[expected->why], went ? 0 : trap->cause,
              expected->before[expected->level]);
        return;
    }
    if (!went && trap->why != WHY_UNTOLD && trap->why != expected->why)
        found("a %s of %#lx %s, and ours %s", access_names[access], address,
              why_names[trap->why], why_names[expected->why]);
    if (!went && trap->level != LEVEL_UNTOLD && trap->level != expected->level)
        found("a %s of %#lx faults at level %u, and ours at %u",
              access_names[access], address, trap->level, expected->level);
    if (went && access == MMU_READ && value != expected->value && !cached)
        found("a read of %#lx finds %#lx, and ours %#lx", address, value,
              expected->value);
    if (went && access == MMU_WRITE && page[address % PAGE / 8] != value)
        found("a write of %#lx does not arrive", address);
    compare_entries(expected, address, access, went);
}

int
probe_touch(struct aspen_mm *mm, uint64_t address, enum mmu_access access,
            uint64_t *value, bool compared)
{
    static const unsigned accesses[] = {ASPEN_ACCESS_READ, ASPEN_ACCESS_WRITE,
                                        ASPEN_ACCESS_EXEC};
    uint32_t root = aspen_mm_root(mm);
    struct expected expected;
    struct trap trap;

    for (unsigned i = 0; i < ATTEMPTS; i++) {
        uint32_t frame = 0;
        bool says = compared &&
                    aspen_translate(mm, address, accesses[access], &frame) == 0;
        if (compared)
            expect(root, address, access, &expected);
        enum outcome outcome = attempt(address, access, value, &trap);
        if (outcome == CODE_FAULTED) {
            MUST(aspen_fault(mm, trap.address, ASPEN_ACCESS_EXEC));
            machine_faulted(trap.address);
            continue;
        }
        if (compared)
            compare(&expected, address, access, *value, outcome == WENT, &trap);
        /* What the core means by its own entries; it does not say for whom the
         * flags have to be set. */
        if (says &&
            (machine.sets_flags ||
             (access != MMU_WRITE && expected.why != WHY_FLAG)) &&
            (outcome != WENT || frame != expected.number))
            found("a %s of %#lx %s, and the core says that it goes to %#x",
                  access_names[access], address,
                  why_names[outcome == WENT ? 0 : trap.why], frame);
        if (outcome == WENT)
            return 0;
        int error = aspen_fault(mm, address, accesses[access]);
        if (error)
            return error;
        machine_faulted(address);
    }
    found("a %s of %#lx faults for ever", access_names[access], address);
    return 0;
}
