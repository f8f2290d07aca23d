/* SPDX-License-Identifier: MIT */
/*
 * The shoot-down of ports/x86_64/tlb.c, on processors in software: each CPU is
 * a coroutine that flushes pages of others, and a second one for the interrupt
 * that comes anywhere in between. Who goes on, and when an interrupt comes, is
 * chance. When a flush returns each of its CPUs has dropped the page since it
 * began. And the memory types of its PAT.
 */
#define _GNU_SOURCE
#include "unit.h"
#include <ucontext.h>

/* ---- The port, without what only a kernel has --------------------------- */

#define ASPEN_PORT_H
#define ASPEN_X86_64_PROCESSOR_H

#define ASPEN_PORT_CPUS 8

struct aspen_kernel_cpu {
    uint32_t number;
    uint32_t idle;
    uint64_t quiescent;
};

struct aspen_port_spinlock {
    uint32_t word;
};

static void point(void);
static unsigned aspen_port_cpu(void);

static bool
aspen_port_spin_trylock(struct aspen_port_spinlock *lock)
{
    point();
    return __atomic_exchange_n(&lock->word, 1, __ATOMIC_ACQUIRE) == 0;
}

static void
aspen_port_spin_unlock(struct aspen_port_spinlock *lock)
{
    __atomic_store_n(&lock->word, 0, __ATOMIC_RELEASE);
    point();
}

static void
aspen_port_rcu_read_lock(void)
{
}

static void
aspen_port_rcu_read_unlock(void)
{
}

struct aspen_tlb_flush;
extern void aspen_port_tlb_flush(const struct aspen_tlb_flush *flush);

/* ---- Its processors ------------------------------------------------------ */

#define CPUS    3u
#define PAGES   4u
#define FLUSHES 40u /* by each CPU, in a round */
#define ROUNDS  300u
#define ROOT    5u
#define STACK   65536u

struct processor {
    ucontext_t context[2]; /* of its task, of an interrupt */
    char *stack[2];
    bool interrupted; /* inside of one */
    bool asked;       /* one is on its way */
    bool done;
    uint64_t dropped[PAGES]; /* when it did so last */
};

static struct processor processors[CPUS];
static ucontext_t scheduler;
static unsigned now; /* the CPU that runs */
static uint64_t moment;
static uint64_t chance;
static char breach[80]; /* what was seen */

static unsigned
aspen_port_cpu(void)
{
    return now;
}

static ucontext_t *
context_of(struct processor *processor)
{
    return &processor->context[processor->interrupted];
}

/* Here others may go on, or an interrupt may come. */
static void
point(void)
{
    swapcontext(context_of(&processors[now]), &scheduler);
}

static uint64_t
read_cr3(void)
{
    point();
    return (uint64_t)ROOT << 12;
}

static void
invlpg(uint64_t address)
{
    processors[now].dropped[address >> 12] = ++moment;
    point();
}

static void
write_cr3(uint64_t value)
{
    (void)value;
    for (unsigned i = 0; i < PAGES; i++)
        processors[now].dropped[i] = ++moment;
    point();
}

static void
spin_pause(void)
{
    point();
}

#include "../../../ports/x86_64/tlb.c"

void
aspen_kernel_kick(uint64_t cpus)
{
    for (unsigned i = 0; i < CPUS; i++)
        processors[i].asked |= cpus >> i & 1;
    point();
}

/* ---- What they run ------------------------------------------------------- */

static void
flush_by_chance(void)
{
    uint64_t cpus = 1 + unit_below(&chance, (1u << CPUS) - 1);
    uint64_t page = unit_below(&chance, PAGES);
    uint64_t since = ++moment;

    const struct aspen_tlb_flush flush = {
        .cpus = &cpus,
        .root = ROOT,
        .levels = 1,
        .tables = unit_below(&chance, 4) == 0,
        .start = page << 12,
        .end = (page + 1) << 12,
    };
    aspen_port_tlb_flush(&flush);
    for (unsigned i = 0; i < CPUS; i++)
        if (cpus >> i & 1 && processors[i].dropped[page] <= since)
            snprintf(breach, sizeof(breach),
                     "CPU %u keeps page %u after a flush by CPU %u", i,
                     (unsigned)page, now);
}

static void
task(void)
{
    for (unsigned i = 0; i < FLUSHES; i++)
        flush_by_chance();
    processors[now].done = true;
    for (;;) /* what others ask for comes by interrupts */
        point();
}

static void
interrupt(void)
{
    for (;;) {
        aspen_x86_64_tlb_interrupt();
        processors[now].interrupted = false;
        swapcontext(&processors[now].context[1], &scheduler);
    }
}

static void
make_context(struct processor *processor, unsigned which, void (*entry)(void))
{
    ucontext_t *context = &processor->context[which];

    if (!processor->stack[which])
        processor->stack[which] = malloc(STACK);
    assert_non_null(processor->stack[which]);
    getcontext(context);
    context->uc_stack.ss_sp = processor->stack[which];
    context->uc_stack.ss_size = STACK;
    context->uc_link = NULL;
    makecontext(context, entry, 0);
}

/* One CPU goes on, by what it was at or by an interrupt that has come. */
static void
step(void)
{
    now = (unsigned)unit_below(&chance, CPUS);
    struct processor *processor = &processors[now];

    if (processor->asked && !processor->interrupted &&
        unit_below(&chance, 4) == 0) {
        processor->asked = false;
        processor->interrupted = true;
    }
    swapcontext(&scheduler, context_of(processor));
}

static bool
all_done(void)
{
    bool done = true;

    for (unsigned i = 0; i < CPUS; i++)
        done &= processors[i].done;
    return done;
}

static void
nobody_keeps_what_was_flushed(void **state)
{
    (void)state;
    chance = unit_seed("test_x86_64_tlb", 1);
    for (unsigned round = 0; round < unit_rounds(ROUNDS); round++) {
        for (unsigned i = 0; i < CPUS; i++) {
            struct processor *processor = &processors[i];
            processor->interrupted = false;
            processor->asked = false;
            processor->done = false;
            make_context(processor, 0, task);
            make_context(processor, 1, interrupt);
        }
        while (!all_done() && !breach[0])
            step();
    }
    for (unsigned i = 0; i < CPUS; i++)
        for (unsigned which = 0; which < 2; which++)
            free(processors[i].stack[which]);
    if (breach[0])
        fail_msg("%s", breach);
}

/* Intel's numbers of memory types, in the order of ASPEN_VM_CACHE_*. */
static void
cache_modes_are_what_they_say(void **state)
{
    enum { UNCACHEABLE = 0, COMBINING = 1, WRITE_BACK = 6, UC_MINUS = 7 };
    static const uint8_t types[] = {WRITE_BACK, COMBINING, UC_MINUS,
                                    UNCACHEABLE};
    (void)state;

    for (unsigned mode = 0; mode < 4; mode++)
        assert_int_equal(ASPEN_X86_64_PAT >> 8 * mode & 0xff, types[mode]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_keeps_what_was_flushed),
        cmocka_unit_test(cache_modes_are_what_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
