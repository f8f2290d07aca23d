/* SPDX-License-Identifier: MIT */
/*
 * space.c - RAM goes to Aspen, all but the kernel itself and what it keeps for
 * its own memory; and the kernel's half of each address space.
 */
#include "mm/space.h"

#include "boot/boot.h"
#include "cpu/cpu.h"
#include "lib/lib.h"
#include "mm/memory.h"
#include "mm/oom.h"
#include "sched/thread.h"

/* Of RAM: pages of files that stay, for programs to go on. */
#define FILES_PART 32u

/* Of RAM, and so many bytes more: what aspen_create() asks for is less. */
#define EARLY_PART  64u
#define EARLY_BYTES (1u << 20)

struct aspen *machine;

extern char kernel_start[], kernel_end[];

/* ---- The kernel's half, and who has what loaded -------------------------- */

/* All roots share what is below the kernel's half. */
static int
space_begins(void *context, struct aspen_mm *mm)
{
    uint64_t *root = direct_pointer((uint64_t)aspen_mm_root(mm) << 12);

    (void)context;
    memcpy(root + 256, kernel_root + 256, 256 * sizeof(*root));
    return 0;
}

/* This CPU and others may have gone on with its tables: see space_load(). */
static void
space_ends(void *context, struct aspen_mm *mm)
{
    uint64_t others = 0;

    (void)context;
    interrupts_off();
    space_leave_ended();
    interrupts_on();
    for (unsigned i = 0; i < cpus_online; i++)
        others |= (uint64_t)aspen_mm_is_active(mm, i) << i;
    aspen_kernel_kick(others);
    for (unsigned i = 0; i < cpus_online; i++)
        while (aspen_mm_is_active(mm, i))
            __asm__ volatile("pause");
}

static void
load_root(void *context, struct aspen_mm *mm)
{
    (void)context;
    write_cr3(mm ? (uint64_t)aspen_mm_root(mm) << 12
                 : physical_address(kernel_root));
}

static const struct aspen_arch_ops arch = {
    .mm_init = space_begins,
    .mm_exit = space_ends,
    .mm_load = load_root,
};

void
space_load(struct aspen_mm *mm)
{
    struct cpu *cpu = this_cpu();

    ASSERT(aspen_mm_switch(cpu->port.number, cpu->loaded, mm) == 0);
    cpu->loaded = mm;
}

void
space_leave_ended(void)
{
    struct aspen_mm *mm = this_cpu()->loaded;

    if (mm && aspen_mm_state(mm) == ASPEN_MM_EMPTY)
        space_load(NULL);
}

/* ---- Physical memory ----------------------------------------------------- */

static bool is_short;

static void
memory_is_short(void *context)
{
    (void)context;
    __atomic_store_n(&is_short, true, __ATOMIC_RELAXED);
    wake_all(&is_short);
}

void
space_keep_free(void *unused)
{
    (void)unused;
    for (;;) {
        WAIT(&is_short,
             __atomic_exchange_n(&is_short, false, __ATOMIC_RELAXED));
        while (aspen_reclaim_tick(machine))
            schedule();
    }
}

static uint64_t
microseconds(void *context)
{
    (void)context;
    return time_now() / 1000;
}

static const struct aspen_memory_ops memory = {
    .clock = microseconds,
    .wake = memory_is_short,
    .killed = oom_end_processes,
};

static struct aspen_frame_range
range_of(uint64_t start, uint64_t end)
{
    return (struct aspen_frame_range){
        (uint32_t)(start / PAGE_BYTES),
        (uint32_t)((end - start) / PAGE_BYTES),
    };
}

/* What the machine is made of comes after the kernel's image. */
static uint64_t
begin_memory(const struct stretch *ram, unsigned count)
{
    uint64_t start = physical_address(kernel_end), total = 0, end;

    for (unsigned i = 0; i < count; i++)
        total += ram[i].end - ram[i].start;
    end = start + round_up(total / EARLY_PART + EARLY_BYTES, PAGE_BYTES);
    memory_begin(start, end);
    return end;
}

void
space_init(void)
{
    struct stretch ram[STRETCHES_MAX];
    struct aspen_frame_range ranges[STRETCHES_MAX], reserved[1];
    unsigned count = boot_memory(ram);
    struct aspen_config config;

    reserved[0] = range_of(0, begin_memory(ram, count));
    for (unsigned i = 0; i < count; i++)
        ranges[i] = range_of(ram[i].start, ram[i].end);
    aspen_config_init(&config);
    config.ram = ranges;
    config.ram_ranges = count;
    config.reserved = reserved;
    config.reserved_ranges = 1;
    config.direct_map = direct_pointer(0);
    config.kernel_start = DIRECT_MAP;
    config.semantics = ASPEN_SEMANTICS_6_1;
    for (unsigned i = 0; i < count; i++)
        config.file_pages_min += ranges[i].count / FILES_PART;
    config.hooks.arch = &arch;
    config.hooks.memory = &memory;
    int error = aspen_create(&config, &machine);
    if (error)
        panic("no machine: error %d", -error);
    memory_goes_on();
}

/* ---- What the core says -------------------------------------------------- */

_Noreturn void
aspen_port_panic(const char *message)
{
    panic("aspen: %s", message);
}

#ifdef ASPEN_TEST_BUILD
struct aspen_lock_order *
aspen_port_lock_order(void)
{
    return &current->lock_order;
}
#endif
