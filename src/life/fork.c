/* SPDX-License-Identifier: MIT */
/*
 * life/fork.c - copy an address space, or leave nothing of the attempt.
 *
 * The steps are numbered as in docs/design/fork.md, after Linux's dup_mmap().
 *
 * I1  While it is built the child is BUILDING and in no registry, and its tree
 *     is private. The reverse maps lead to its VMAs, each whole; the swap list
 *     leads to the child itself, behind its mmap lock.
 * I2  `end` is the end of the last VMA that was replaced. At every moment the
 *     child's tree holds the child's VMAs below it, and the parent's from
 *     there on.
 * I3  Nothing can fail after the last poll. Only then are optional services
 *     told, and the registry comes last.
 * I4  The parent's TLB is always flushed: its pages were write-protected.
 *
 * The first tests to break are tests/unit/life/test_fork.c (what a child holds)
 * and tests/unit/life/test_fork_failing.c (every step failing).
 */
#include "life/copy_tables.h"
#include "life/recovery.h"
#include "rmap/anon_vma.h"
#include "machine/charge.h"
#include "space/limits.h"
#include "machine/notify.h"
#include "object/object.h"
#include "space/pkeys.h"
#include "space/userfault.h"
#include "object/i_mmap.h"
#include "reclaim/attempt.h"
#include "space/vma_hooks.h"
#include <aspen/mm.h>

struct fork {
    struct aspen *aspen;
    struct aspen_mm *parent;
    struct aspen_mm *child;
    struct aspen_payer *payer;
    struct aspen_tree_cursor cursor; /* in the child's tree */
    uint64_t end;                    /* I2 */
    void *userfault_cookie;
    bool userfault_prepared;
    bool arch_cancelled;
};

/* A hook is about to be asked, or would be if there were one. */
static int
hook_gate(struct aspen *aspen)
{
    return aspen_failpoint(&aspen->failpoints, ASPEN_STEP_HOOK) ? -ASPEN_ENOMEM
                                                                : 0;
}

/* ---- One VMA ----------------------------------------------------------- */

/* Step 6: a VMA that the child does not get. */
static int
leave_out(struct fork *fork, const struct aspen_vma *from)
{
    int error =
        aspen_tree_erase(&fork->child->vmas, from->start, from->end - 1);
    if (error)
        return error;
    aspen_tree_cursor_init(&fork->cursor, &fork->child->vmas, from->end);
    return 0;
}

/* Step 11. Without somebody who follows forks the child has no userfault. */
static int
prepare_userfault(struct fork *fork, struct aspen_vma *from,
                  struct aspen_vma *to)
{
    const struct aspen_hooks *hooks = &fork->aspen->config.hooks;

    if (!from->userfault)
        return 0;
    int error = hook_gate(fork->aspen);
    if (error)
        return error;
    if (!hooks->userfault || aspen_userfault_of(from)) {
        aspen_vma_set_userfault(to, NULL);
        to->flags &= ~ASPEN_VM_UFFD;
        return 0;
    }
    error = aspen_answer_of(hooks->userfault->fork_prepare(
        hooks->context, from->userfault, from, to, &fork->userfault_cookie));
    if (!error)
        fork->userfault_prepared = true;
    return error;
}

/* Steps 8 to 13: everything the copy needs, or nothing. */
static int
prepare_vma(struct fork *fork, struct aspen_vma *from, struct aspen_vma **copy)
{
    uint64_t charge =
        from->flags & ASPEN_VM_ACCOUNT ? aspen_vma_pages(from) : 0;
    struct aspen_vma *to = NULL;

    int error = aspen_charge_mm(fork->parent, charge);
    if (error)
        return error;
    error = -ASPEN_ENOMEM;
    to = aspen_vma_copy(fork->child, from);
    if (!to)
        goto undo_charge;
    error = prepare_userfault(fork, from, to);
    if (error)
        goto undo_copy;
    if (!(from->flags & ASPEN_VM_WIPEONFORK))
        error = aspen_anon_vma_fork(to, from);
    if (error)
        goto undo_copy;
    /* Step 13: the object may refuse to be mapped once more. The last step
     * that can fail before the copy is the child's: close undoes it. */
    error = aspen_vma_open(to);
    if (error)
        goto undo_anon_vma;
    *copy = to;
    return 0;

undo_anon_vma:
    aspen_anon_vma_unlink(to);
undo_copy:
    aspen_vma_free(to);
undo_charge:
    aspen_uncharge(fork->aspen, charge);
    return error;
}

/* Steps 14 and 15: the copy becomes the child's. Cannot fail. */
static void
commit_vma(struct fork *fork, struct aspen_vma *from, struct aspen_vma *to)
{
    struct aspen_mm *child = fork->child;
    struct aspen_object *object = to->object;

    /* Who comes by a reverse map looks at it. */
    aspen_store_relaxed(&to->flags,
                        to->flags & ~(ASPEN_VM_LOCKED | ASPEN_VM_LOCKONFAULT));
    aspen_tree_cursor_replace(&fork->cursor, to);
    fork->end = to->end;
    child->map_count++;
    aspen_mm_account_vma(child, to->flags, aspen_vma_pages(to), true);
    if (!object)
        return;
    aspen_object_get(object);
    aspen_i_mmap_insert(to, from);
}

/* Steps 5 to 16. */
static int
copy_vma(struct fork *fork, struct aspen_vma *from)
{
    struct aspen_vma *to = NULL;

    int error = aspen_vma_write_lock_killable(from);
    if (error)
        return error;
    if (from->flags & ASPEN_VM_DONTCOPY)
        return leave_out(fork, from);
    error = aspen_poll_fatal(fork->aspen);
    if (error)
        return error;
    error = prepare_vma(fork, from, &to);
    if (error)
        return error;
    commit_vma(fork, from, to);
    if (from->flags & ASPEN_VM_WIPEONFORK ||
        !aspen_copy_tables_wanted(to, from))
        return 0;
    return aspen_copy_tables(to, from, fork->payer);
}

/* ---- The whole space --------------------------------------------------- */

/* Step 3: what is copied as it is. The sizes are counted up VMA by VMA, so
 * that they are right at every moment. */
static void
copy_settings(struct aspen_mm *child, const struct aspen_mm *parent)
{
    child->forked_from = parent->id;
    child->forked_at = parent->lock_sequence;
    child->layout = parent->layout;
    aspen_limits_inherit(child, parent);
    aspen_mm_group_inherit(child, parent);
    aspen_pkeys_inherit(child, parent);
}

/* Steps 4 to 16. */
static int
copy_vmas(struct fork *fork)
{
    struct aspen_tree *tree = &fork->child->vmas;
    uint64_t top = fork->child->address_limit;
    struct aspen_vma *from;

    int error = aspen_tree_duplicate(tree, &fork->parent->vmas);
    if (error)
        return error;
    aspen_tree_cursor_init(&fork->cursor, tree, 0);
    while ((from = aspen_tree_next(&fork->cursor, top - 1)) != NULL) {
        error = copy_vma(fork, from);
        if (error)
            return error;
    }
    return 0;
}

/* Step 17: the architecture, and a last look whether anybody still wants the
 * child. */
static int
prepare_arch(struct fork *fork)
{
    const struct aspen_hooks *hooks = &fork->aspen->config.hooks;

    int error = hook_gate(fork->aspen);
    if (!error && hooks->arch && hooks->arch->fork_prepare)
        error = aspen_answer_of(hooks->arch->fork_prepare(
            hooks->context, fork->parent, fork->child));
    if (error)
        return error;
    error = aspen_poll_fatal(fork->aspen);
    fork->arch_cancelled = error != 0;
    return error;
}

/* Both locks are held; the child is taken down on the spot. */
static void
give_up(struct fork *fork)
{
    const struct aspen_hooks *hooks = &fork->aspen->config.hooks;

    aspen_fork_recover(fork->child, fork->end);
    if (fork->arch_cancelled && hooks->arch && hooks->arch->fork_abort)
        hooks->arch->fork_abort(hooks->context, fork->parent, fork->child);
}

/* Step 18. */
static void
finish(struct fork *fork)
{
    const struct aspen_hooks *hooks = &fork->aspen->config.hooks;

    if (hooks->arch && hooks->arch->fork_commit)
        hooks->arch->fork_commit(hooks->context, fork->parent, fork->child);
    aspen_tree_rcu_enter(&fork->child->vmas);
    if (hooks->scanner && hooks->scanner->fork_done)
        hooks->scanner->fork_done(hooks->context, fork->parent, fork->child);
}

/* Steps 2 to 19, the parent's lock held; drops it. */
static int
fork_locked(struct fork *fork)
{
    struct aspen_mm *parent = fork->parent;
    struct aspen_mm *child = fork->child;

    aspen_mm_write_lock(child, ASPEN_LOCK_MM_CHILD);
    aspen_port_cache_flush(parent->root);
    aspen_notify_start(parent, 0, parent->address_limit);
    copy_settings(child, parent);

    int error = copy_vmas(fork);
    if (!error)
        error = prepare_arch(fork);
    if (error)
        give_up(fork);
    else
        finish(fork);

    aspen_tlb_flush(parent, 0, parent->address_limit, ASPEN_LEVELS_ALL, false);
    aspen_notify_end(parent, 0, parent->address_limit);
    if (!error)
        aspen_mm_publish(child);
    aspen_mm_write_unlock(child);
    aspen_mm_write_unlock(parent);
    return error;
}

/* Step 19: userfault hears of it when no lock is held any more. */
static void
tell_userfault(struct fork *fork, bool done)
{
    const struct aspen_hooks *hooks = &fork->aspen->config.hooks;

    if (!fork->userfault_prepared)
        return;
    if (done && hooks->userfault->fork_commit)
        hooks->userfault->fork_commit(hooks->context, fork->userfault_cookie);
    if (!done && hooks->userfault->fork_abort)
        hooks->userfault->fork_abort(hooks->context, fork->userfault_cookie);
}

/* Step 1. */
static int
lock_parent(struct aspen_mm *parent)
{
    int error = aspen_mm_write_lock_killable(parent, ASPEN_LOCK_MM_PARENT);
    if (error)
        return error;
    if (aspen_load_relaxed(&parent->state) != ASPEN_MM_LIVE)
        error = -ASPEN_EINVAL;
    else if (aspen_load_relaxed(&parent->flags) & ASPEN_MM_KILLED)
        error = -ASPEN_ESRCH; /* pages may be missing */
    if (error)
        aspen_mm_write_unlock(parent);
    return error;
}

/* What it has on the stack is gone before pages leave. */
static ASPEN_NOINLINE int
try_fork(struct aspen_mm *parent, struct aspen_payer *payer,
         struct aspen_mm **child)
{
    struct fork fork = {
        .aspen = parent->aspen, .parent = parent, .payer = payer};

    int error =
        aspen_mm_alloc(fork.aspen, aspen_mm_embedder(parent), &fork.child);
    if (error)
        return error;
    error = lock_parent(parent);
    if (!error) {
        error = fork_locked(&fork);
        tell_userfault(&fork, error == 0);
    } else {
        aspen_store(&fork.child->state, (uint32_t)ASPEN_MM_EMPTY);
    }
    if (error)
        aspen_mm_put(fork.child);
    else
        *child = fork.child;
    return error;
}

int
aspen_fork(struct aspen_mm *parent, struct aspen_mm **child)
{
    struct aspen_attempt attempt;
    int error = 0;

    aspen_attempt_begin(&attempt, parent->aspen, parent, ASPEN_ATTEMPT_ALONE);
    while (aspen_attempt_next(&attempt, &error))
        error = try_fork(parent, &attempt.direct.payer, child);
    return error;
}
