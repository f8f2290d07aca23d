/* SPDX-License-Identifier: MIT */
/*
 * kernel.c - what a kernel gives to its port: memory, waiting, the switches of
 * its CPUs. There are no tasks: each CPU does one thing, with interrupts off.
 */
#include "bare.h"

#include <string.h>

struct bare_cpu bare_cpus[2];
struct aspen *aspen;
bool kernel_flags_cached;
uint32_t kernel_raw;

extern char kernel_start[], kernel_end[];

static struct bare_cpu *
this_cpu(void)
{
    return &bare_cpus[aspen_port_cpu()];
}

/* ---- Memory ---------------------------------------------------------------
 */

static char early[2 << 20] __attribute__((aligned(PAGE)));

void *
aspen_port_memory_alloc(size_t bytes)
{
    static size_t used;
    struct aspen_frames_args args = {.kind = ASPEN_FRAMES_METADATA,
                                     .flags = ASPEN_FRAMES_ZEROED};
    char *memory = early + used;
    uint32_t first;

    if (!aspen) {
        used += (bytes + PAGE - 1) / PAGE * PAGE;
        return used <= sizeof(early) ? memory : NULL;
    }
    while (((size_t)PAGE << args.order) < bytes)
        args.order++;
    return aspen_frames_alloc(aspen, &args, &first) ? NULL
                                                    : frame_pointer(first);
}

void
aspen_port_memory_free(void *memory, size_t bytes)
{
    (void)bytes;
    if (memory &&
        ((char *)memory < early || (char *)memory >= early + sizeof(early)))
        aspen_frames_free(
            aspen,
            (uint32_t)((uint64_t)((char *)memory - machine.direct_map) / PAGE));
}

/* ---- Waiting --------------------------------------------------------------
 */

/* Who waits reads nothing. */
void
aspen_kernel_yield(void)
{
    aspen_kernel_quiescent(this_cpu()->port);
    machine_poll();
    aspen_kernel_pause();
}

void
aspen_port_wait_while(const void *key, bool (*busy)(const void *argument),
                      const void *argument)
{
    (void)key;
    while (busy(argument))
        aspen_kernel_yield();
}

void
aspen_port_wake_all(const void *key)
{
    (void)key;
}

bool
aspen_port_fatal_signal_pending(void)
{
    return false;
}

_Noreturn void
aspen_port_panic(const char *message)
{
    give_up("aspen: %s", message);
}

#ifdef ASPEN_TEST_BUILD
struct aspen_lock_order *
aspen_port_lock_order(void)
{
    return &this_cpu()->lock_order;
}
#endif

void
kernel_settle(void)
{
    aspen_port_rcu_barrier();
}

/* ---- Spaces ---------------------------------------------------------------
 */

static int
space_begins(void *context, struct aspen_mm *mm)
{
    (void)context;
    machine_begin_root(frame_pointer(aspen_mm_root(mm)));
    return 0;
}

static void
load_root(void *context, struct aspen_mm *mm)
{
    (void)context;
    machine_load(mm ? aspen_mm_root(mm) : 0);
}

static const struct aspen_arch_ops arch = {
    .mm_init = space_begins,
    .mm_load = load_root,
};

void
kernel_switch(struct aspen_mm *mm)
{
    struct bare_cpu *cpu = this_cpu();

    MUST(aspen_mm_switch(cpu->port->number, cpu->loaded, mm));
    cpu->loaded = mm;
    if (cpu == &bare_cpus[0])
        kernel_flags_cached = false;
}

void
kernel_reclaim(unsigned pages)
{
    (void)aspen_reclaim(aspen, pages);
    kernel_flags_cached = true;
}

/* No reader is on a CPU that runs a program. */
void
kernel_run(struct program *program, struct trap *trap)
{
    struct bare_cpu *cpu = this_cpu();

    aspen_kernel_idle(cpu->port, true);
    program_run(program, trap);
    aspen_kernel_idle(cpu->port, false);
}

void
kernel_begin(void)
{
    uint32_t first = (uint32_t)(machine.ram_start / PAGE);
    uint64_t end = (uint64_t)(kernel_end - kernel_start);
    struct aspen_frame_range ram = {first,
                                    (uint32_t)(machine.ram_bytes / PAGE)};
    /* The loader's device tree or the firmware, the kernel, and a page that is
     * nobody's. */
    struct aspen_frame_range reserved = {
        first, (uint32_t)((2 << 20) / PAGE + end / PAGE + 1)};
    struct aspen_config config;

    kernel_raw = first + reserved.count - 1;
    aspen_config_init(&config);
    config.ram = &ram;
    config.ram_ranges = 1;
    config.reserved = &reserved;
    config.reserved_ranges = 1;
    config.direct_map = machine.direct_map;
    config.kernel_start = machine.kernel_start;
    config.flags = machine.config_flags;
    config.semantics = ASPEN_SEMANTICS_6_18;
    config.execute_only = machine.execute_only ? ASPEN_EXECUTE_ONLY_ENTRY
                                               : ASPEN_EXECUTE_ONLY_NONE;
    config.hooks.arch = &arch;
    MUST(aspen_create(&config, &aspen));
}
