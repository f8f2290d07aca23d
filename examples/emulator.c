/* SPDX-License-Identifier: MIT */
/*
 * An emulator's software TLB, to copy from. Each virtual CPU finds the memory
 * of the program that it runs in a small table of its own:
 *
 *     hit     the table has the page
 *     refill  the page tables have it: aspen_mmu_translate()
 *     fault   they are made to have it: aspen_fault()
 *
 * Whatever takes a page away empties it from the tables first, by the hooks
 * below; docs/use/mmu.md says why nothing is missed. Here two CPUs count in one
 * page, while what they write to is protected, forked and aged.
 */
#include <aspen/aspen.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define MUST(call)                                                             \
    do {                                                                       \
        int error_ = (call);                                                   \
        if (error_) {                                                          \
            fprintf(stderr, "%s: %s\n", #call, aspen_error_name(error_));      \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

#define PAGE   ((uint64_t)4096)
#define FRAMES 1024u
#define CPUS   2u
#define SLOTS  64u /* a power of two */
#define RW     (ASPEN_VM_READ | ASPEN_VM_WRITE)

/* ---- The software TLB -------------------------------------------------- */

struct slot {
    uint64_t page; /* its address; 0: the slot is empty */
    char *host;    /* where its bytes are */
    bool write;
    bool young; /* accessed since that was cleared */
};

struct cpu {
    pthread_mutex_t lock; /* for all below; held for a whole access */
    struct aspen_mm *mm;  /* whose program it runs; NULL: none */
    struct slot slots[SLOTS];
    unsigned long hits, refills, faults;
};

struct emulator {
    char *memory; /* frame n is at memory + n * 4096 */
    struct cpu cpus[CPUS];
};

static struct slot *
slot_of(struct cpu *cpu, uint64_t page)
{
    return &cpu->slots[page / PAGE % SLOTS];
}

/* ---- Emptied: what Aspen asks for -------------------------------------- */

/* Nobody accesses what is dropped when this returns: an access has the lock. */
static void
invalidate_start(void *context, struct aspen_mm *mm, uint64_t start,
                 uint64_t end)
{
    struct emulator *emulator = context;

    for (struct cpu *cpu = emulator->cpus; cpu < emulator->cpus + CPUS; cpu++) {
        pthread_mutex_lock(&cpu->lock);
        for (unsigned i = 0; cpu->mm == mm && i < SLOTS; i++)
            if (cpu->slots[i].page >= start && cpu->slots[i].page < end)
                cpu->slots[i].page = 0;
        pthread_mutex_unlock(&cpu->lock);
    }
}

static void
invalidate_end(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    (void)context, (void)mm, (void)start, (void)end;
}

static bool
was_young(struct emulator *emulator, const struct aspen_mm *mm, uint64_t start,
          uint64_t end, bool clear)
{
    bool young = false;

    for (struct cpu *cpu = emulator->cpus; cpu < emulator->cpus + CPUS; cpu++) {
        pthread_mutex_lock(&cpu->lock);
        for (unsigned i = 0; cpu->mm == mm && i < SLOTS; i++) {
            struct slot *slot = &cpu->slots[i];
            if (!slot->page || slot->page < start || slot->page >= end)
                continue;
            young |= slot->young;
            slot->young &= !clear;
        }
        pthread_mutex_unlock(&cpu->lock);
    }
    return young;
}

static bool
test_young(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    return was_young(context, mm, start, end, false);
}

static bool
clear_young(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    return was_young(context, mm, start, end, true);
}

static const struct aspen_notifier_ops notifier = {
    .invalidate_start = invalidate_start,
    .invalidate_end = invalidate_end,
    .test_young = test_young,
    .clear_young = clear_young,
};

/* ---- Filled ------------------------------------------------------------ */

/* Put the page into the CPU's table, unless it was taken away meanwhile: then
 * the access looks again. 0, or the error of a fault. */
static int
refill(struct emulator *emulator, struct cpu *cpu, uint64_t page, bool write)
{
    struct aspen_mm *mm = cpu->mm;
    struct aspen_translation to;

    uint64_t begun = aspen_mmu_begin(mm); /* before the look */
    if (aspen_mmu_translate(mm, page, &to) || (write ? !to.write : !to.read)) {
        cpu->faults++;
        return aspen_fault(mm, page,
                           write ? ASPEN_ACCESS_WRITE : ASPEN_ACCESS_READ);
    }
    if (to.raw) /* a device's registers: not memory of ours */
        return -ASPEN_EOPNOTSUPP;
    pthread_mutex_lock(&cpu->lock);
    bool again = aspen_mmu_retry(mm, begun, page, page + PAGE);
    if (!again) {
        *slot_of(cpu, page) = (struct slot){
            page, emulator->memory + to.number * PAGE, to.write, false};
        cpu->refills++;
    }
    pthread_mutex_unlock(&cpu->lock);
    if (again) /* without the lock, which the hook wants */
        aspen_mmu_wait(mm, page, page + PAGE);
    return 0;
}

/* Add to a word of the program's, as its atomic instruction does. 0, or what
 * becomes a signal. */
static int
add(struct emulator *emulator, struct cpu *cpu, uint64_t address, uint64_t n)
{
    const uint64_t page = address / PAGE * PAGE;
    int error = 0;

    while (!error) {
        pthread_mutex_lock(&cpu->lock);
        struct slot *slot = slot_of(cpu, page);
        bool hit = slot->page == page && slot->write;
        if (hit) {
            slot->young = true;
            cpu->hits++;
            __atomic_fetch_add((uint64_t *)(slot->host + address % PAGE), n,
                               __ATOMIC_SEQ_CST);
        }
        pthread_mutex_unlock(&cpu->lock);
        if (hit)
            return 0;
        error = refill(emulator, cpu, page, true);
    }
    return error;
}

/* ---- What is emulated -------------------------------------------------- */

#define COUNT 50000u

static struct emulator emulator;
static uint64_t counter; /* the address of the word */

/* A program that counts. While it may not write there it tries again. */
static void *
run(void *argument)
{
    struct cpu *cpu = argument;

    for (unsigned i = 0; i < COUNT; i++) {
        int error;
        while ((error = add(&emulator, cpu, counter, 1)) == -ASPEN_EACCES)
            sched_yield();
        MUST(error);
    }
    return NULL;
}

static uint64_t
read_counter(struct aspen_mm *mm)
{
    uint64_t value, done;

    MUST(aspen_read_memory(mm, counter, &value, sizeof(value), 0, &done));
    return value;
}

/* Everything that could lose a count. */
static void
disturb(struct aspen_mm *mm)
{
    struct aspen_mm *child;
    uint64_t young;

    MUST(aspen_mprotect(mm, counter, PAGE, ASPEN_VM_READ, ASPEN_PKEY_SAME));
    uint64_t before = read_counter(mm);
    sched_yield();
    if (read_counter(mm) != before)
        fprintf(stderr, "read-only memory was written to\n"), exit(1);
    MUST(aspen_mprotect(mm, counter, PAGE, RW, ASPEN_PKEY_SAME));
    MUST(aspen_fork(mm, &child));
    before = read_counter(child);
    MUST(aspen_young(mm, counter, PAGE, ASPEN_YOUNG_CLEAR, &young));
    if (read_counter(child) != before)
        fprintf(stderr, "a child's memory was written to\n"), exit(1);
    aspen_mm_put(child);
}

int
main(void)
{
    struct aspen_config config;
    struct aspen *machine;
    struct aspen_mm *mm;
    pthread_t threads[CPUS];

    aspen_config_init(&config);
    config.frames = FRAMES;
    config.direct_map = emulator.memory = aligned_alloc(PAGE, FRAMES * PAGE);
    config.hooks.notifier = &notifier;
    config.hooks.context = &emulator;
    MUST(aspen_create(&config, &machine));
    MUST(aspen_mm_create(machine, &mm));
    MUST(aspen_mmap(mm,
                    &(struct aspen_mmap_args){
                        .length_bytes = PAGE,
                        .vm_flags = RW,
                    },
                    &counter));
    for (unsigned i = 0; i < CPUS; i++) {
        pthread_mutex_init(&emulator.cpus[i].lock, NULL);
        emulator.cpus[i].mm = mm;
    }
    for (unsigned i = 0; i < CPUS; i++)
        MUST(-pthread_create(&threads[i], NULL, run, &emulator.cpus[i]));
    while (read_counter(mm) < CPUS * COUNT)
        disturb(mm);
    for (unsigned i = 0; i < CPUS; i++)
        pthread_join(threads[i], NULL);

    uint64_t counted = read_counter(mm);
    printf("counted to %llu\n", (unsigned long long)counted);
    aspen_mm_put(mm);
    MUST(aspen_destroy(machine));
    free(config.direct_map);
    return counted == CPUS * COUNT ? 0 : 1;
}
