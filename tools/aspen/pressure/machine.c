/* SPDX-License-Identifier: MIT */
/*
 * machine.c - see machine.h.
 *
 * I1  From its look at the tables to its end an access holds its CPU's lock,
 *     which every flush takes: so what it found is there until then.
 *
 * Called by run.c. tests/tools/pressure.sh breaks first.
 */
#define _GNU_SOURCE
#include "pressure/machine.h"

#include <aspen_posix.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* While others reclaim there may be no memory for a moment. Where swap is full
 * there is none until somebody gives pages back. */
#define PATIENCE      2000u
#define PATIENCE_FULL 4u
#define WAIT_NS       1000000u

/* ---- Processors -------------------------------------------------------- */

/* I1 */
static void
flush(void *context, const struct aspen_tlb_flush *unused)
{
    struct pressure_machine *machine = context;

    (void)unused;
    for (unsigned i = 0; i < PRESSURE_THREADS; i++) {
        pthread_mutex_lock(&machine->cpus[i].lock);
        pthread_mutex_unlock(&machine->cpus[i].lock);
    }
}

void
pressure_machine_enter(struct pressure_machine *machine, unsigned cpu)
{
    pressure_count_reads(&machine->cpus[cpu].reads);
}

static uint64_t
differing(const char *page, const char *expected)
{
    uint64_t bytes = 0;

    if (memcmp(page, expected, PRESSURE_PAGE) == 0)
        return 0;
    for (unsigned i = 0; i < PRESSURE_PAGE; i++)
        bytes += page[i] != expected[i];
    return bytes;
}

/* Whether it went through without a fault. */
static bool
try_access(struct pressure_machine *machine, struct aspen_mm *mm,
           uint64_t address, const void *expected, const void *next,
           uint64_t *wrong_bytes)
{
    struct aspen_translation to;

    if (aspen_mmu_translate(mm, address, &to) || (next ? !to.write : !to.read))
        return false;
    char *page = (char *)machine->direct_map + to.number * PRESSURE_PAGE;
    *wrong_bytes = differing(page, expected);
    if (next)
        memcpy(page, next, PRESSURE_PAGE);
    return true;
}

/* Until it goes through, or the fault answers an error. */
static int
access_once(struct pressure_machine *machine, unsigned cpu, struct aspen_mm *mm,
            uint64_t address, const void *expected, const void *next,
            uint64_t *wrong_bytes)
{
    struct pressure_cpu *here = &machine->cpus[cpu];

    for (;;) {
        pthread_mutex_lock(&here->lock);
        bool done =
            try_access(machine, mm, address, expected, next, wrong_bytes);
        pthread_mutex_unlock(&here->lock);
        if (done)
            return 0;
        here->faults++;
        int error = aspen_fault(mm, address,
                                next ? ASPEN_ACCESS_WRITE : ASPEN_ACCESS_READ);
        if (error) {
            here->refused++;
            return error;
        }
    }
}

int
pressure_access(struct pressure_machine *machine, unsigned cpu,
                struct aspen_mm *mm, uint64_t address, const void *expected,
                const void *next, uint64_t *wrong_bytes)
{
    int error = 0;

    for (unsigned i = 0; i < machine->patience; i++) {
        error =
            access_once(machine, cpu, mm, address, expected, next, wrong_bytes);
        if (error != -ASPEN_ENOMEM)
            break;
        tool_sleep_until_ns(tool_now_ns() + WAIT_NS);
    }
    if (error)
        __atomic_store_n(&machine->refused_with, error, __ATOMIC_RELAXED);
    return error;
}

/* ---- The worker -------------------------------------------------------- */

static void
wake(void *context)
{
    struct pressure_machine *machine = context;

    sem_post(&machine->work);
}

static uint64_t
read_clock(void *unused)
{
    (void)unused;
    return tool_now_ns() / 1000;
}

static void *
work(void *context)
{
    struct pressure_machine *machine = context;

    for (;;) {
        while (sem_wait(&machine->work) != 0)
            continue;
        if (__atomic_load_n(&machine->ending, __ATOMIC_ACQUIRE))
            return NULL;
        while (aspen_reclaim_tick(machine->aspen))
            continue;
    }
}

static int
begin_worker(struct pressure_machine *machine, struct tool_error *error)
{
    int result = pthread_create(&machine->worker, NULL, work, machine);

    if (result != 0)
        return tool_fail(error, "no thread for the worker: %s",
                         strerror(result));
    machine->has_worker = true;
    return 0;
}

void
pressure_machine_rest(struct pressure_machine *machine)
{
    if (!machine->has_worker)
        return;
    __atomic_store_n(&machine->ending, 1u, __ATOMIC_RELEASE);
    sem_post(&machine->work);
    pthread_join(machine->worker, NULL);
    machine->has_worker = false;
}

/* ---- Where pages go ---------------------------------------------------- */

static int
begin_swap(struct pressure_machine *machine,
           const struct pressure_machine_args *args, struct tool_error *error)
{
    struct pressure_areas *swap = &machine->swap;
    uint32_t beyond =
        machine->pages > machine->frames ? machine->pages - machine->frames : 0;

    swap->aspen = machine->aspen;
    swap->swap = args->swap;
    /* Children have pages of their own, and some slots do not get free at once;
     * or there are half as many as it takes. */
    swap->slots = args->faults.full ? beyond / 2 + 1 : 2 * machine->pages;
    swap->flags = args->swap_flags;
    swap->faults = args->faults;
    swap->can_fail = args->can_fail;
    swap->seed = args->seed;
    return pressure_areas_add(swap, error);
}

static int
read_file(void *context, uint64_t offset_bytes, void *page)
{
    struct pressure_machine *machine = context;

    pressure_note_read();
    pressure_add(&machine->file_reads, 1);
    memcpy(page, machine->file_bytes + offset_bytes, PRESSURE_PAGE);
    return 0;
}

static int
write_file(void *context, uint64_t offset_bytes, const void *const pages[],
           uint64_t bytes)
{
    struct pressure_machine *machine = context;

    for (uint64_t i = 0; i * PRESSURE_PAGE < bytes; i++)
        memcpy(machine->file_bytes + offset_bytes + i * PRESSURE_PAGE, pages[i],
               PRESSURE_PAGE);
    pressure_add(&machine->file_writes, bytes / PRESSURE_PAGE);
    return 0;
}

static int
begin_file(struct pressure_machine *machine, struct tool_error *error)
{
    static const struct aspen_pager_ops pager = {
        .read = read_file,
        .write = write_file,
    };
    struct aspen_object_args args = {
        .kind = ASPEN_OBJECT_FILE,
        .size_bytes = (uint64_t)machine->pages * PRESSURE_PAGE,
        .pager = &pager,
        .context = machine,
    };

    machine->file_bytes =
        mmap(NULL, args.size_bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (machine->file_bytes == MAP_FAILED) {
        machine->file_bytes = NULL;
        return tool_fail(error, "no memory for the file");
    }
    int result = aspen_object_create(machine->aspen, &args, &machine->file);
    return result == 0
               ? 0
               : tool_fail(error, "no file: %s", aspen_error_name(result));
}

/* ---- The machine ------------------------------------------------------- */

static int
begin_space(struct pressure_machine *machine, struct tool_error *error)
{
    int result = aspen_mm_create(machine->aspen, &machine->mm);

    for (unsigned i = 0; result == 0 && i < PRESSURE_THREADS; i++)
        result = aspen_mm_activate(machine->mm, i);
    return result == 0 ? 0
                       : tool_fail(error, "no address space: %s",
                                   aspen_error_name(result));
}

int
pressure_machine_map(struct pressure_machine *machine, struct tool_error *error)
{
    struct aspen_mmap_args args = {
        .length_bytes = (uint64_t)machine->pages * PRESSURE_PAGE,
        .vm_flags = ASPEN_VM_READ | ASPEN_VM_WRITE |
                    (machine->file ? ASPEN_VM_SHARED : 0),
        .object = machine->file,
    };
    int result = aspen_mmap(machine->mm, &args, &machine->start);

    return result == 0
               ? 0
               : tool_fail(error, "no pages: %s", aspen_error_name(result));
}

static int
create(struct pressure_machine *machine, struct tool_error *error)
{
    static const struct aspen_memory_ops memory = {.wake = wake,
                                                   .clock = read_clock};
    struct aspen_config config;

    aspen_config_init(&config);
    config.frames = machine->frames;
    config.direct_map = machine->direct_map =
        aspen_posix_direct_map_create(machine->frames);
    if (!machine->direct_map)
        return tool_fail(error, "no memory for %u pages", machine->frames);
    config.overcommit = ASPEN_OVERCOMMIT_ALWAYS;
    config.hooks.memory = &memory;
    config.hooks.context = machine;
    int result = aspen_create(&config, &machine->aspen);
    return result == 0
               ? 0
               : tool_fail(error, "no machine: %s", aspen_error_name(result));
}

int
pressure_machine_begin(struct pressure_machine *machine,
                       const struct pressure_machine_args *args,
                       struct tool_error *error)
{
    memset(machine, 0, sizeof(*machine));
    machine->frames = args->frames;
    machine->pages = args->pages;
    machine->patience = args->faults.full ? PATIENCE_FULL : PATIENCE;
    sem_init(&machine->work, 0, 0);
    pressure_areas_begin(&machine->swap);
    for (unsigned i = 0; i < PRESSURE_THREADS; i++)
        pthread_mutex_init(&machine->cpus[i].lock, NULL);
    aspen_posix_observe_tlb(flush, machine);
    if (create(machine, error) != 0)
        return -1;
    int result = strcmp(args->swap, "none") == 0
                     ? begin_file(machine, error)
                     : begin_swap(machine, args, error);
    if (result == 0)
        result = begin_space(machine, error);
    return result == 0 ? begin_worker(machine, error) : result;
}

static bool
end_core(struct pressure_machine *machine, struct tool_error *error)
{
    for (unsigned i = 0; machine->mm && i < PRESSURE_THREADS; i++)
        (void)!aspen_mm_deactivate(machine->mm, i);
    if (machine->mm)
        aspen_mm_put(machine->mm);
    if (machine->file)
        aspen_object_put(machine->file);
    int result = machine->aspen ? aspen_destroy(machine->aspen) : 0;
    if (result != 0)
        tool_fail(error, "something is left of the machine: %s",
                  aspen_error_name(result));
    return result == 0;
}

bool
pressure_machine_end(struct pressure_machine *machine, struct tool_error *error)
{
    pressure_machine_rest(machine);
    bool whole = end_core(machine, error);
    aspen_posix_observe_tlb(NULL, NULL);
    pressure_areas_end(&machine->swap);
    if (machine->file_bytes)
        munmap(machine->file_bytes, (size_t)machine->pages * PRESSURE_PAGE);
    if (machine->direct_map)
        aspen_posix_direct_map_destroy(machine->direct_map, machine->frames);
    for (unsigned i = 0; i < PRESSURE_THREADS; i++)
        pthread_mutex_destroy(&machine->cpus[i].lock);
    sem_destroy(&machine->work);
    return whole;
}
