/* SPDX-License-Identifier: MIT */
/*
 * space/pkeys.c - protection keys: which ones a space has given out, and the
 * one that it keeps for memory for execution alone.
 *
 * I1  mm->pkeys has a bit for each key that was given out, the space's own
 *     included; bit 0 is always set.
 * I2  mm->execute_only_pkey, once there is one, stays until the space ends:
 *     mappings have it, and nobody could give them another.
 *
 * Called by the embedder, mmap, mprotect and whoever looks at rights. The
 * first test to break is tests/unit/calls/test_pkey.c.
 */
#include "space/pkeys.h"

#include <aspen/import.h>

/* ---- What a thread may do ---------------------------------------------- */

static uint32_t
rights_without(uint32_t rights, unsigned pkey, unsigned denied)
{
    const uint32_t both = ASPEN_PKEY_DISABLE_ACCESS | ASPEN_PKEY_DISABLE_WRITE;

    return (rights & ~(both << 2 * pkey)) | denied << 2 * pkey;
}

uint32_t
aspen_rights_ask(const struct aspen_mm *mm)
{
    const struct aspen_hooks *hooks = &mm->aspen->config.hooks;
    uint32_t own = aspen_load_relaxed(&mm->execute_only_pkey);

    if (hooks->arch && hooks->arch->rights)
        return hooks->arch->rights(hooks->context, mm);
    return own == ASPEN_NO_PKEY ? ASPEN_RIGHTS_ALL
                                : rights_without(ASPEN_RIGHTS_ALL, own,
                                                 ASPEN_PKEY_DISABLE_ACCESS);
}

static void
rights_change(const struct aspen_mm *mm, unsigned pkey, unsigned denied)
{
    const struct aspen_hooks *hooks = &mm->aspen->config.hooks;

    if (!hooks->arch || !hooks->arch->rights_set)
        return;
    uint32_t rights = hooks->arch->rights(hooks->context, mm);
    hooks->arch->rights_set(hooks->context, mm,
                            rights_without(rights, pkey, denied));
}

/* ---- Keys -------------------------------------------------------------- */

/* The lowest free key; 0: none is. */
static unsigned
find_free(const struct aspen_mm *mm)
{
    unsigned keys = mm->aspen->config.pkeys;

    for (unsigned pkey = 1; pkey < keys; pkey++)
        if (!(mm->pkeys >> pkey & 1))
            return pkey;
    return 0;
}

static void
give_out(struct aspen_mm *mm, unsigned pkey)
{
    aspen_store_relaxed(&mm->pkeys, mm->pkeys | UINT32_C(1) << pkey);
}

unsigned
aspen_pkey_for_execute_only(const struct aspen_mm *mm)
{
    if (mm->aspen->config.execute_only != ASPEN_EXECUTE_ONLY_KEY)
        return 0;
    return mm->execute_only_pkey != ASPEN_NO_PKEY ? mm->execute_only_pkey
                                                  : find_free(mm);
}

void
aspen_pkey_set_execute_only(struct aspen_mm *mm, unsigned pkey)
{
    bool fresh = mm->execute_only_pkey != pkey;

    if (!pkey)
        return;
    give_out(mm, pkey);
    aspen_store_relaxed(&mm->execute_only_pkey, pkey);
    if (fresh ||
        aspen_rights_allow(aspen_rights_ask(mm), pkey, ASPEN_ACCESS_READ))
        rights_change(mm, pkey, ASPEN_PKEY_DISABLE_ACCESS);
}

int
aspen_pkey_alloc(struct aspen_mm *mm, unsigned denied, int *pkey)
{
    const unsigned known = ASPEN_PKEY_DISABLE_ACCESS | ASPEN_PKEY_DISABLE_WRITE;

    if (denied & ~known)
        return -ASPEN_EINVAL;
    aspen_mm_write_lock(mm, ASPEN_LOCK_MM);
    unsigned found = find_free(mm);
    if (found) {
        give_out(mm, found);
        rights_change(mm, found, denied);
        *pkey = (int)found;
    }
    aspen_mm_write_unlock(mm);
    return found ? 0 : -ASPEN_ENOSPC;
}

int
aspen_pkey_free(struct aspen_mm *mm, int pkey)
{
    aspen_mm_write_lock(mm, ASPEN_LOCK_MM);
    bool callers = pkey != 0 && aspen_pkey_is_callers(mm, pkey);
    if (callers)
        aspen_store_relaxed(&mm->pkeys, mm->pkeys & ~(UINT32_C(1) << pkey));
    aspen_mm_write_unlock(mm);
    return callers ? 0 : -ASPEN_EINVAL;
}

void
aspen_pkeys_read(const struct aspen_mm *mm, struct aspen_pkeys *pkeys)
{
    uint32_t own = aspen_load_relaxed(&mm->execute_only_pkey);

    pkeys->given_out = aspen_load_relaxed(&mm->pkeys);
    pkeys->execute_only_key = own == ASPEN_NO_PKEY ? -1 : (int)own;
}

/* ---- From elsewhere ---------------------------------------------------- */

static bool
pkeys_valid(const struct aspen *aspen, const struct aspen_pkeys *pkeys)
{
    int own = pkeys->execute_only_key;

    if (!(pkeys->given_out & 1) ||
        (pkeys->given_out != 1 && pkeys->given_out >> aspen->config.pkeys))
        return false;
    return own == -1 ||
           (aspen->config.execute_only == ASPEN_EXECUTE_ONLY_KEY && own > 0 &&
            own < ASPEN_PKEYS_MAX && pkeys->given_out >> own & 1);
}

int
aspen_import_pkeys(struct aspen_mm *mm, const struct aspen_pkeys *pkeys)
{
    if (!pkeys_valid(mm->aspen, pkeys))
        return -ASPEN_EINVAL;
    aspen_mm_write_lock(mm, ASPEN_LOCK_MM);
    aspen_store_relaxed(&mm->pkeys, pkeys->given_out);
    aspen_store_relaxed(&mm->execute_only_pkey,
                        pkeys->execute_only_key == -1
                            ? ASPEN_NO_PKEY
                            : (uint32_t)pkeys->execute_only_key);
    aspen_mm_write_unlock(mm);
    return 0;
}
