/* SPDX-License-Identifier: MIT */
/*
 * How calls of two CPUs get on beside each other. What bounds them is the
 * memory that both want, so each is measured beside two threads that want it as
 * well and share nothing: a row is how much slower one is beside the other than
 * alone, and its peer the same of threads that only zero pages, or of the
 * host's faults; or a time beside a writer, and its peer the time beside one of
 * another machine, or beside none.
 */
#define _GNU_SOURCE
#include "threads_rows.h"

#include "../clock.h"
#include "../must.h"
#include "pair.h"
#include "space/vma.h"
#include <aspen/aspen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE   ((uint64_t)4096)
#define PAGES  16384u /* of a thread: 64 MiB, more than caches hold */
#define BYTES  (PAGES * PAGE)
#define FRAMES (2 * PAGES + 4096u)
#define RANGE  (16 * PAGE) /* what writers map */
#define VMAS   1000u
#define LOOKS  400000u
#define RW     (ASPEN_VM_READ | ASPEN_VM_WRITE)

struct machine {
    struct aspen *aspen;
    struct aspen_mm *mm;
    char *memory;
};

/* What a thread works on. */
struct part {
    struct machine *machine; /* NULL: the host's memory */
    uint64_t at;
};

/* ---- Memory ------------------------------------------------------------- */

static char *
host_map(size_t bytes)
{
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    must(memory == MAP_FAILED ? -ASPEN_ENOMEM : 0, "memory");
    madvise(memory, bytes, MADV_NOHUGEPAGE);
    return memory;
}

static void
machine_create(struct machine *machine)
{
    struct aspen_config config;

    aspen_config_init(&config);
    config.frames = FRAMES;
    config.direct_map = machine->memory = host_map(FRAMES * PAGE);
    memset(machine->memory, 1, FRAMES * PAGE);
    must(aspen_create(&config, &machine->aspen), "aspen_create");
    must(aspen_mm_create(machine->aspen, &machine->mm), "aspen_mm_create");
    for (unsigned cpu = 0; cpu < 2; cpu++) /* its threads run on both */
        must(aspen_mm_activate(machine->mm, cpu), "aspen_mm_activate");
}

static void
machine_destroy(struct machine *machine)
{
    for (unsigned cpu = 0; cpu < 2; cpu++)
        must(aspen_mm_deactivate(machine->mm, cpu), "aspen_mm_deactivate");
    aspen_mm_put(machine->mm);
    must(aspen_destroy(machine->aspen), "aspen_destroy");
    munmap(machine->memory, FRAMES * PAGE);
}

static uint64_t
map(struct machine *machine, uint64_t bytes)
{
    struct aspen_mmap_args args = {.length_bytes = bytes,
                                   .vm_flags = RW | ASPEN_VM_NORESERVE};
    uint64_t at;

    must(aspen_mmap(machine->mm, &args, &at), "aspen_mmap");
    return at;
}

static void
unmap(struct machine *machine, uint64_t at, uint64_t bytes)
{
    must(aspen_munmap(machine->mm, at, bytes), "aspen_munmap");
}

/* ---- What threads do ---------------------------------------------------- */

static double
touch(void *argument)
{
    const struct part *part = argument;
    double begin = clock_ns();

    for (uint64_t at = part->at; at < part->at + BYTES; at += PAGE)
        must(aspen_fault(part->machine->mm, at, ASPEN_ACCESS_WRITE),
             "aspen_fault");
    return (clock_ns() - begin) / PAGES;
}

static double
host_touch(void *argument)
{
    const struct part *part = argument;
    double begin = clock_ns();

    for (uint64_t at = part->at; at < part->at + BYTES; at += PAGE)
        *(volatile char *)(uintptr_t)at = 1;
    return (clock_ns() - begin) / PAGES;
}

static double
zero(void *argument)
{
    const struct part *part = argument;
    double begin = clock_ns();

    for (uint64_t at = part->at; at < part->at + BYTES; at += PAGE) {
        memset((void *)(uintptr_t)at, 0, PAGE);
        __asm__ volatile("" ::: "memory");
    }
    return (clock_ns() - begin) / PAGES;
}

/* Of mappings, as a fault's. */
static double
look_up(void *argument)
{
    const struct part *part = argument;
    uint64_t random = 1;
    double begin = clock_ns();

    for (unsigned i = 0; i < LOOKS; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint64_t at = part->at + (random >> 33) % VMAS * PAGE;
        aspen_port_rcu_read_lock();
        must(aspen_vma_at(part->machine->mm, at) ? 0 : -ASPEN_EFAULT,
             "a lookup");
        aspen_port_rcu_read_unlock();
    }
    return (clock_ns() - begin) / LOOKS;
}

static void
map_and_unmap(void *argument)
{
    struct part *part = argument;

    unmap(part->machine, map(part->machine, RANGE), RANGE);
}

/* ---- Rows --------------------------------------------------------------- */

/* Two parts of one mapping, or a mapping each. */
static void
map_parts(struct part parts[2], struct machine *machine, bool one)
{
    for (unsigned i = 0; i < 2; i++)
        parts[i].machine = machine;
    if (!machine) {
        parts[0].at = (uintptr_t)host_map(one ? 2 * BYTES : BYTES);
        parts[1].at = one ? parts[0].at + BYTES : (uintptr_t)host_map(BYTES);
        return;
    }
    parts[0].at = map(machine, one ? 2 * BYTES : BYTES);
    if (one) {
        parts[1].at = parts[0].at + BYTES;
        return;
    }
    parts[1].at = map(machine, BYTES);
    /* They are neighbours, and one mapping: let them be two. */
    must(aspen_mprotect(machine->mm, parts[1].at, BYTES, RW | ASPEN_VM_EXEC,
                        ASPEN_PKEY_SAME),
         "aspen_mprotect");
}

static void
unmap_parts(struct part parts[2])
{
    for (unsigned i = 0; i < 2; i++) {
        if (parts[i].machine)
            unmap(parts[i].machine, parts[i].at, BYTES);
        else
            munmap((void *)(uintptr_t)parts[i].at, BYTES);
    }
}

/* How much longer one takes beside another than alone. */
static double
slower(pair_work *work, struct machine *machine, bool one, bool filled)
{
    struct part parts[2];
    double ns[2];

    for (unsigned both = 0; both < 2; both++) {
        map_parts(parts, machine, one);
        for (unsigned i = 0; filled && i < 2; i++)
            memset((void *)(uintptr_t)parts[i].at, 1, BYTES);
        ns[both] = both ? pair_both(work, &parts[0], &parts[1])
                        : pair_alone(work, &parts[0]);
        unmap_parts(parts);
    }
    return ns[1] / ns[0];
}

static double
touch_beside(struct machine *machine, struct machine *writers)
{
    struct part part = {machine, map(machine, BYTES)};
    struct part writer = {writers, 0};

    double ns = pair_measured(touch, &part, map_and_unmap, &writer);
    unmap(machine, part.at, BYTES);
    return ns;
}

static void
map_many(struct part *part)
{
    struct machine *machine = part->machine;

    part->at = map(machine, VMAS * PAGE);
    for (unsigned i = 0; i < VMAS; i += 2)
        must(aspen_mprotect(machine->mm, part->at + i * PAGE, PAGE,
                            ASPEN_VM_READ, ASPEN_PKEY_SAME),
             "aspen_mprotect");
}

enum { DIFFERENT, ONE, HOST_DIFFERENT, HOST_ONE, LOOKUP, FAULT, ROWS };

static const struct {
    const char *name, *unit, *peer;
    double target;
} kinds[ROWS] = {
    [DIFFERENT] = {"first touch by 2, a VMA each: slower", "ratio",
                   "two that zero cold pages", 1 / 0.95},
    [ONE] = {"first touch by 2, in one VMA: slower", "ratio",
             "two that zero cold pages", 1 / 0.95},
    [HOST_DIFFERENT] = {"first touch by 2, a VMA each: slower", "ratio",
                        "linux", 0},
    [HOST_ONE] = {"first touch by 2, in one VMA: slower", "ratio", "linux", 0},
    [LOOKUP] = {"lookup beside mmap + munmap", "ns", "alone", 1 / 0.9},
    [FAULT] = {"first touch beside mmap + munmap", "ns",
               "beside the same in another machine", 1 / 0.85},
};

static void
measure(struct report_row *rows, struct machine *machine,
        struct machine *another)
{
    struct part looked = {.machine = machine};
    struct part writer = {.machine = machine};
    double zeroing = slower(zero, NULL, false, true);

    for (unsigned one = 0; one < 2; one++) {
        double ratio = slower(touch, machine, one, false);
        report_add_aspen(&rows[one ? ONE : DIFFERENT], ratio);
        report_add_aspen(&rows[one ? HOST_ONE : HOST_DIFFERENT], ratio);
        report_add_peer(&rows[one ? ONE : DIFFERENT], zeroing);
        report_add_peer(&rows[one ? HOST_ONE : HOST_DIFFERENT],
                        slower(host_touch, NULL, one, false));
    }
    report_add_aspen(&rows[FAULT], touch_beside(machine, machine));
    report_add_peer(&rows[FAULT], touch_beside(machine, another));
    map_many(&looked);
    report_add_peer(&rows[LOOKUP], pair_alone(look_up, &looked));
    report_add_aspen(&rows[LOOKUP],
                     pair_measured(look_up, &looked, map_and_unmap, &writer));
    unmap(machine, looked.at, VMAS * PAGE);
}

size_t
threads_rows(struct report_row *rows, unsigned runs, FILE *progress)
{
    struct machine machine, another;

    if (!pair_possible()) {
        fprintf(stderr, "aspen bench: threads wants CPUs 0 and 1, and may not "
                        "run on both\n");
        return 0;
    }
    memset(rows, 0, ROWS * sizeof(*rows));
    for (unsigned i = 0; i < ROWS; i++) {
        snprintf(rows[i].name, sizeof(rows[i].name), "%s", kinds[i].name);
        rows[i].n = i == LOOKUP ? VMAS : PAGES;
        rows[i].unit = kinds[i].unit;
        rows[i].peer_name = kinds[i].peer;
        rows[i].target = kinds[i].target;
    }
    machine_create(&machine);
    machine_create(&another);
    for (unsigned run = 0; run < runs; run++) {
        if (progress)
            fprintf(progress, "\rthreads %u/%u ", run + 1, runs);
        measure(rows, &machine, &another);
    }
    machine_destroy(&another);
    machine_destroy(&machine);
    if (progress)
        fprintf(progress, "\r%-50s\r", "");
    return ROWS;
}
