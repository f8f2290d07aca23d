/* SPDX-License-Identifier: MIT */
/*
 * oom.c - who is killed when no memory is left (aspen/calls/oom.h).
 */
#include "mm/oom.h"

#include "mm/space.h"
#include "proc/process.h"
#include "sched/thread.h"
#include "sys/swap.h"

#include <aspen/calls/oom.h>
#include <aspen/error.h>
#include <aspen/failpoint.h>
#include <aspen/mm.h>

#define PATIENCE 2000000000u /* nanoseconds */
#define A_MOMENT 10000000u

/* Whoever is process 1 has all others for children. */
static int64_t
score(void *first, const struct aspen_mm *mm, int64_t badness)
{
    return mm == first ? ASPEN_OOM_NEVER : badness;
}

static struct aspen_mm *
first_space(void)
{
    bool on = irq_lock(&process_lock);
    struct process *first = process_find(1);
    struct aspen_mm *mm = first ? first->mm : NULL;

    irq_unlock(&process_lock, on);
    return mm;
}

void
oom_end_processes(void *context, struct aspen_mm *mm, int64_t badness)
{
    bool on = irq_lock(&process_lock);

    (void)context;
    list_for_each(entry, &processes)
    {
        struct process *process = container_of(entry, struct process, all);
        if (process->mm != mm)
            continue;
        print("out of memory: killed %s (%d), %ld pages\n", process->name,
              process->id, badness);
        signal_send_locked(process, SIGKILL);
    }
    irq_unlock(&process_lock, on);
}

/* By /proc/aspen/fail: memory is there. */
static bool
fails_on_purpose(void)
{
    struct aspen_failpoint_counts counts;

    aspen_failpoints_read(machine, &counts);
    return counts.failed > 0;
}

static void
kill_and_reap(struct aspen_mm *victim)
{
    /* Another one may be at it: then he does what there is to do. */
    if (aspen_oom_kill(victim) == 0 && aspen_oom_reap(victim))
        print("out of memory: the memory comes when it has ended\n");
    aspen_mm_put(victim);
}

bool
oom_make_room(void)
{
    struct aspen_oom_choice choice = {.now = time_now(),
                                      .patience = PATIENCE,
                                      .score = score,
                                      .context = first_space()};
    struct aspen_mm *victim;

    if (fails_on_purpose())
        return false;
    int error = swap_give_up() ? -ASPEN_EAGAIN
                               : aspen_oom_select(machine, &choice, &victim);
    if (error == -ASPEN_ESRCH)
        return false;
    if (error) {
        thread_sleep(time_now() + A_MOMENT);
    } else {
        kill_and_reap(victim);
    }
    return !aspen_oom_is_killed(current->mm);
}
