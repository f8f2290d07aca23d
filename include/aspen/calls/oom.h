/* SPDX-License-Identifier: MIT */
/**
 * aspen/calls/oom.h - who is killed when no memory is left.
 *
 * A fault or a call has answered -ASPEN_ENOMEM, and whoever embeds the library
 * would rather lose one process than fail this one:
 *
 *     error = aspen_oom_select(aspen, &choice, &victim);
 *     if (error == -ASPEN_EAGAIN)  wait a little, then try the fault again
 *     if (error == -ASPEN_ESRCH)   nobody may be killed: it fails
 *     if (error == 0) {
 *         error = aspen_oom_kill(victim);     your hook `killed` ends its
 * threads error = aspen_oom_reap(victim);     -ASPEN_EAGAIN: later, once more
 *         aspen_mm_put(victim);               and try the fault again
 *     }
 *
 * The victim's threads may be waiting for whatever the one without memory
 * holds. So its memory does not wait for them: it is reaped at once.
 */
#ifndef ASPEN_CALLS_OOM_H
#define ASPEN_CALLS_OOM_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen;
struct aspen_mm;
struct aspen_group;

/** What a space is worth that is never chosen. */
#define ASPEN_OOM_NEVER INT64_MIN

/** Adjustments go from -ASPEN_OOM_ADJUST_MAX, which is never, to this. */
#define ASPEN_OOM_ADJUST_MAX 1000

/**
 * How much the space has, in pages: resident, swapped out, and page tables;
 * and, for its adjustment, so many thousandths of RAM and swap more or less.
 * ASPEN_OOM_NEVER: it is not to be killed, has been reaped or passed over
 * already, or its last user has left.
 *
 * Context: any. Exact when no call is under way.
 * Source:  Linux v6.12 oom_badness(); /proc/P/oom_score.
 */
int64_t aspen_oom_badness(const struct aspen_mm *mm);

/**
 * As /proc/P/oom_score_adj: a forked child has its parent's, and so has what
 * exec makes.
 *
 * Context: any.
 * Returns: 0, or -ASPEN_EINVAL (out of range) and nothing changed.
 */
ASPEN_MUST_USE int aspen_oom_adjust_set(struct aspen_mm *mm, int adjustment);
int32_t aspen_oom_adjust(const struct aspen_mm *mm);

/** How a victim is chosen. */
struct aspen_oom_choice {
    struct aspen_group *group; /* one of the spaces that are in it or below it,
                                  of which the caller has a handle; NULL: any
                                  one */
    uint64_t now;      /* of a clock of yours that never goes back, any unit */
    uint64_t patience; /* the same unit: so long somebody may take who is
                          giving memory back, before he is passed over */
    /**
     * What a space is worth, by your own rules; `badness` is what
     * aspen_oom_badness() says, and never ASPEN_OOM_NEVER. The largest goes.
     * Context: a spin lock is held: no call of Aspen but aspen_mm_id(),
     *          aspen_mm_embedder() and aspen_oom_adjust().
     */
    int64_t (*score)(void *context, const struct aspen_mm *mm, int64_t badness);
    void *context;
};

/**
 * Choose who is to be killed. Nobody is while memory is coming back already:
 * a space that was killed has not been reaped, one ends, or a fork that failed
 * is being taken down; but for no longer than `patience`. Then whoever was
 * killed and is still there counts as reaped, and another one is chosen.
 *
 * Owns:    the caller becomes a user of *victim (aspen_mm_put()).
 * Context: never sleeps. Calls `score`.
 * Returns: 0 and *victim; -ASPEN_EAGAIN: memory is coming back;
 *          -ASPEN_ESRCH: there is none that may be killed.
 * Source:  Linux v6.12 select_bad_process(), oom_evaluate_task().
 */
ASPEN_MUST_USE int aspen_oom_select(struct aspen *aspen,
                                    const struct aspen_oom_choice *choice,
                                    struct aspen_mm **victim);

/**
 * The space is lost: it cannot be forked any more, it may be reaped, and the
 * hook `killed` (aspen/hooks.h) hears of it, to end whatever runs in it.
 *
 * Context: that of the hook, and may be called for any space by any rule.
 *          The caller is a user of it.
 * Returns: 0; -ASPEN_EALREADY: it has been killed before, and nothing changed.
 */
ASPEN_MUST_USE int aspen_oom_kill(struct aspen_mm *mm);

/** Whether it was killed. Context: any. */
bool aspen_oom_is_killed(const struct aspen_mm *mm);

/**
 * Give back the private memory of a space that was killed, locked memory too,
 * while it may still run: what its threads touch then answers -ASPEN_ESRCH, and
 * nobody ever reads zeroes where there was something. Shared and raw memory,
 * huge pages of pools and what is pinned stays.
 *
 * Context: may sleep; no lock of the core is held. The caller is a user.
 * Returns: 0: all of it is free; -ASPEN_EAGAIN: somebody changes or reaps the
 *          space at the moment (its exit among others): nothing was done, try
 *          again later; -ASPEN_EINVAL: it was not killed.
 * Source:  Linux v6.12 oom_reap_task_mm().
 */
ASPEN_MUST_USE int aspen_oom_reap(struct aspen_mm *mm);

#ifdef __cplusplus
}
#endif

#endif
