/* SPDX-License-Identifier: MIT */
/*
 * two.c - a second CPU runs a program while the first one changes what it
 * accesses: what has been taken away when a call returns is not there any more.
 *
 * The program tells of each access in a page of its own, `told`: what it read
 * or wrote last, and how often. So the first CPU sees that it goes on.
 */
#include "bare.h"

#define AT   0x30000000u
#define TOLD 0x30800000u
#define OWN  0x31000000u
#define RW   (ASPEN_VM_READ | ASPEN_VM_WRITE)

#define SOON   200000000u /* rounds of a loop that waits */
#define OFTEN  50u        /* times that a program goes on */
#define TIMES  8u         /* that each is tried */
#define ROUNDS 24u

/* ---- The second CPU --------------------------------------------------------
 */

static char stack[32 << 10] __attribute__((aligned(16)));

/* What it is to do. It goes on through faults that are repaired; what ends it
 * is a call, an exception, or a fault that is not. */
static struct job {
    struct aspen_mm *mm;
    uint64_t pc, a, b, c;
    void (*instead)(struct aspen_mm *mm); /* of a program */
    uint32_t state;                       /* atomic */
    struct trap trap;
    int error;
} job;

enum { JOB_NONE, JOB_GIVEN, JOB_DONE };

static uint32_t stop; /* atomic: of what runs instead */

static uint32_t
job_state(void)
{
    return __atomic_load_n(&job.state, __ATOMIC_ACQUIRE);
}

static void
do_program(void)
{
    static const unsigned accesses[] = {ASPEN_ACCESS_READ, ASPEN_ACCESS_WRITE,
                                        ASPEN_ACCESS_EXEC};
    struct program program;

    program_begin(&program, job.pc, job.a, job.b, job.c);
    do {
        kernel_run(&program, &job.trap);
        if (job.trap.kind != TRAP_FAULT)
            return;
        job.error =
            aspen_fault(job.mm, job.trap.address, accesses[job.trap.access]);
        machine_faulted(job.trap.address);
    } while (!job.error);
}

static void
second(uint64_t argument)
{
    struct bare_cpu *cpu = &bare_cpus[1];

    (void)argument;
    cpu->port = machine_cpu(1);
    aspen_kernel_cpu_online(cpu->port);
    __atomic_store_n(&job.state, JOB_DONE, __ATOMIC_RELEASE);
    for (;;) {
        while (job_state() != JOB_GIVEN)
            aspen_kernel_yield();
        kernel_switch(job.mm);
        if (job.instead)
            job.instead(job.mm);
        else
            do_program();
        kernel_switch(NULL);
        __atomic_store_n(&job.state, JOB_DONE, __ATOMIC_RELEASE);
    }
}

/* Until it is so, or it takes too long. */
#define soon(condition)                                                        \
    ({                                                                         \
        uint64_t left_ = SOON;                                                 \
        while (!(condition) && left_) {                                        \
            left_--;                                                           \
            aspen_kernel_yield();                                              \
        }                                                                      \
        left_ != 0;                                                            \
    })

bool
two_begin(void)
{
    if (!machine_start_second(second, stack + sizeof(stack)))
        return false;
    if (!soon(job_state() == JOB_DONE))
        give_up("the second CPU does not come");
    return true;
}

static void
give(const struct job *what)
{
    job = *what;
    __atomic_store_n(&job.state, JOB_GIVEN, __ATOMIC_RELEASE);
}

/* ---- What both look at ------------------------------------------------------
 */

static struct aspen_mm *mm;

static void
map(uint64_t address, uint64_t pages, uint64_t rights)
{
    MUST(aspen_mmap(mm,
                    &(struct aspen_mmap_args){
                        .address = address,
                        .length_bytes = pages * PAGE,
                        .vm_flags = rights,
                        .flags = ASPEN_MAP_FIXED,
                    },
                    &address));
}

static uint64_t
word(struct aspen_mm *space, uint64_t address)
{
    uint64_t value = 0, done;

    MUST(aspen_read_memory(space, address, &value, sizeof(value),
                           ASPEN_MEMORY_REMOTE, &done));
    return value;
}

/* By this CPU's program. */
static void
store(struct aspen_mm *space, uint64_t address, uint64_t value)
{
    kernel_switch(space);
    MUST(probe_touch(space, address, MMU_WRITE, &value, false));
    kernel_switch(NULL);
}

static void
begin(uint64_t pc)
{
    for (unsigned i = 0; i < MODEL_SPACES; i++)
        if (model[i].mm)
            model_end(i);
    model_create(0);
    mm = model[0].mm;
    map(AT, 4, RW);
    map(TOLD, 1, RW | ASPEN_VM_SHARED);
    store(mm, AT, 1);
    give(&(struct job){.mm = mm, .pc = pc, .a = AT, .b = TOLD, .c = 1});
}

/* It goes on: that many times more than now, or it has ended. */
static bool
goes_on(unsigned times, unsigned which)
{
    uint64_t from = word(mm, TOLD + 8u * which);

    return soon(job_state() == JOB_DONE ||
                word(mm, TOLD + 8u * which) - from >= times) &&
           job_state() != JOB_DONE;
}

/* The program has to end with that error now, after at the most one access that
 * was under way; if it goes on instead, it uses what is gone. */
static void
has_to_end(const char *after, int error, unsigned which)
{
    uint64_t from = word(mm, TOLD + 8u * which);

    if (!soon(job_state() == JOB_DONE ||
              word(mm, TOLD + 8u * which) - from > OFTEN))
        give_up("%s: the second CPU is stuck", after);
    if (job_state() != JOB_DONE) {
        /* It would go on for ever. */
        give_up("%s: the second CPU goes on with what is gone", after);
    }
    uint64_t more = word(mm, TOLD + 8u * which) - from;
    if (more > 1)
        found("%s: the second CPU went on %lu times", after, more);
    if (job.trap.kind != TRAP_FAULT || job.trap.address != AT ||
        job.error != error)
        found("%s: exception %#lx at %#lx, error %d", after, job.trap.cause,
              job.trap.address, job.error);
}

static void
end(void)
{
    MUST(aspen_munmap(mm, AT, PAGE));
    if (!soon(job_state() == JOB_DONE))
        give_up("the second CPU does not end");
    model_end(0);
}

/* ---- Scenes -----------------------------------------------------------------
 */

static void
unmapped(void)
{
    for (unsigned i = 0; i < TIMES; i++) {
        begin(code_of(user_reader));
        if (!goes_on(OFTEN, 1))
            give_up("the second CPU does not read");
        MUST(aspen_munmap(mm, AT, PAGE));
        has_to_end("munmap", -ASPEN_EFAULT, 1);
        end();
    }
}

static void protected(void)
{
    for (unsigned i = 0; i < TIMES; i++) {
        begin(code_of(user_writer));
        if (!goes_on(OFTEN, 0))
            give_up("the second CPU does not write");
        MUST(aspen_mprotect(mm, AT, PAGE, ASPEN_VM_READ, ASPEN_PKEY_SAME));
        uint64_t value = word(mm, AT);
        has_to_end("mprotect", -ASPEN_EACCES, 0);
        if (word(mm, AT) != value)
            found("what is read-only was written: %#lx, then %#lx", value,
                  word(mm, AT));
        end();
    }
}

/* What the program writes goes on in its own space alone. */
static void
forked(void)
{
    begin(code_of(user_writer));
    for (unsigned i = 0; i < TIMES; i++) {
        struct aspen_mm *child;
        if (!goes_on(OFTEN, 0))
            give_up("the second CPU does not write");
        MUST(aspen_fork(mm, &child));
        uint64_t value = word(child, AT);
        (void)goes_on(OFTEN, 0);
        if (word(child, AT) != value)
            found("the parent writes into its child's page: %#lx, then %#lx",
                  value, word(child, AT));
        if (word(mm, AT) <= value)
            found("the parent's page does not change any more");
        aspen_mm_put(child);
        kernel_settle();
    }
    end();
}

/* The program reads what this CPU writes, wherever the page has gone to. */
static void
sees(uint64_t value, const char *after)
{
    uint64_t from;

    store(mm, AT, value);
    from = word(mm, TOLD + 8);
    if (!soon(word(mm, TOLD + 8) - from > OFTEN))
        give_up("%s: the second CPU is stuck", after);
    if (word(mm, TOLD) != value)
        found("%s: the second CPU reads %#lx, not %#lx", after, word(mm, TOLD),
              value);
}

static void
replaced(void)
{
    uint64_t value = 2;

    begin(code_of(user_reader));
    for (unsigned i = 0; i < TIMES; i++) {
        struct aspen_mm *child;
        sees(value++, "nothing");
        MUST(aspen_madvise(mm, AT, PAGE, ASPEN_MADV_DONTNEED));
        sees(value++, "DONTNEED");
        MUST(aspen_fork(mm, &child));
        sees(value++, "a copy on write");
        aspen_mm_put(child);
        MUST(aspen_madvise(mm, AT, PAGE, ASPEN_MADV_PAGEOUT));
        sees(value++, "PAGEOUT");
        kernel_reclaim(8);
        sees(value++, "reclaim");
        map(AT, 1, RW);
        sees(value++, "mmap over it");
        kernel_settle();
    }
    end();
}

/* The other CPU counts in pages of its own, with all faults that it takes. */
static void
count(struct aspen_mm *space)
{
    for (uint64_t round = 1; !__atomic_load_n(&stop, __ATOMIC_RELAXED); round++)
        for (unsigned i = 0; i < 16; i++) {
            uint64_t address = OWN + i * PAGE, value = 0;
            int error = probe_touch(space, address, MMU_READ, &value, false);
            if (error || value != round - 1)
                found("%#lx has %#lx, not %#lx (%d)", address, value, round - 1,
                      error);
            value = round;
            error = probe_touch(space, address, MMU_WRITE, &value, false);
            if (error)
                found("a write to %#lx: %d", address, error);
        }
}

static void
beside(void)
{
    begin(code_of(user_reader));
    end();
    model_create(0);
    mm = model[0].mm;
    map(OWN, 16, RW);
    stop = 0;
    give(&(struct job){.mm = mm, .instead = count});
    for (unsigned i = 0; i < ROUNDS && found_so_far() < 4; i++) {
        struct aspen_mm *child;
        MUST(aspen_fork(mm, &child));
        map(AT, 8, RW);
        for (unsigned page = 0; page < 8; page++)
            store(mm, AT + page * PAGE, i);
        MUST(aspen_madvise(mm, OWN, 8 * PAGE, ASPEN_MADV_COLD));
        MUST(aspen_madvise(mm, OWN + 4 * PAGE, 8 * PAGE, ASPEN_MADV_PAGEOUT));
        MUST(aspen_mprotect(mm, AT, 4 * PAGE, ASPEN_VM_READ, ASPEN_PKEY_SAME));
        kernel_reclaim(8);
        store(child, OWN, 0);
        aspen_mm_put(child);
        MUST(aspen_munmap(mm, AT, 8 * PAGE));
        kernel_settle();
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    if (!soon(job_state() == JOB_DONE))
        give_up("the second CPU does not end");
    model_end(0);
}

const struct scene scenes_two[] = {
    {"two CPUs: munmap", unmapped},
    {"two CPUs: mprotect", protected},
    {"two CPUs: fork", forked},
    {"two CPUs: pages that are replaced", replaced},
    {"two CPUs: calls beside faults", beside},
    {0},
};
