/* SPDX-License-Identifier: MIT */
/*
 * machine/charge.c - commit charge: how many pages all private writable memory
 * could need one day.
 *
 *   GUESS   refuses only a request that by itself exceeds RAM and swap
 *   ALWAYS  refuses nothing
 *   NEVER   refuses what would bring the sum to the limit, less the reserves
 *
 * Every mode counts what it grants. As in Linux the sum has to stay below the
 * limit: a request that would reach it is refused. Where there is no limit each
 * CPU counts for itself, so that spaces do not meet here.
 *
 * Called by mmap, import and fork; unmap and recovery give charge back. The
 * first test to break is tests/unit/machine/test_charge.c.
 */
#include "machine/charge.h"

#include "frames/count.h"

/* Where nothing else is refused. One charge is at most 2^52: however many come
 * at once, the sum does not wrap. Whoever asks for less than LARGE_PAGES does
 * not look: no machine has the mappings that it would take. */
#define COMMITTED_MAX ((uint64_t)INT64_MAX)
#define LARGE_PAGES   ((uint64_t)1 << 32)

static bool
is_limited(const struct aspen *aspen)
{
    return aspen->config.overcommit == ASPEN_OVERCOMMIT_NEVER;
}

static uint64_t
swap_pages(const struct aspen *aspen)
{
    uint64_t pages = 0;
    for (unsigned i = 0; i < ASPEN_SWAP_AREAS; i++)
        pages += aspen_load(&aspen->swap[i].slots);
    return pages;
}

/* RAM and swap. */
static uint64_t
guess_pages(const struct aspen *aspen)
{
    uint64_t pages = aspen->config.overcommit_guess_pages;

    return pages ? pages
                 : aspen_load_relaxed(&aspen->banks.ram_frames) +
                       swap_pages(aspen);
}

/* Add to the sum unless that brings it to what is left of the limit. */
static int
charge_below_limit(struct aspen *aspen, uint64_t pages, uint64_t reserve)
{
    uint64_t limit = aspen_charge_limit(aspen);
    uint64_t committed = aspen_load_relaxed(&aspen->committed_pages);

    limit -= aspen_min_u64(limit, reserve);
    do {
        if (pages >= limit || committed >= limit - pages)
            return -ASPEN_ENOMEM;
    } while (!aspen_compare_exchange(&aspen->committed_pages, &committed,
                                     committed + pages));
    return 0;
}

/* `most`: of one mapping. */
static int
try_charge(struct aspen *aspen, uint64_t pages, uint64_t most, uint64_t reserve)
{
    if (is_limited(aspen))
        return charge_below_limit(aspen, pages, reserve);
    if (aspen->config.overcommit == ASPEN_OVERCOMMIT_GUESS &&
        most > guess_pages(aspen))
        return -ASPEN_ENOMEM;
    if (aspen_unlikely(pages >= LARGE_PAGES) &&
        aspen_charged(aspen) > COMMITTED_MAX)
        return -ASPEN_ENOMEM;
    aspen_count(aspen, ASPEN_COUNT_COMMITTED, pages);
    return 0;
}

static int
charge(struct aspen *aspen, uint64_t pages, uint64_t most, uint64_t reserve)
{
    if (pages == 0)
        return 0;
    if (aspen_failpoint(&aspen->failpoints, ASPEN_STEP_CHARGE))
        return -ASPEN_ENOMEM;
    int error = try_charge(aspen, pages, most, reserve);
    if (error)
        aspen_fetch_add_relaxed(&aspen->refused_charge, 1);
    return error;
}

/* What a space has to leave to the administrator, and to the user who has to
 * get rid of it. */
static uint64_t
reserve_of(const struct aspen_mm *mm)
{
    const struct aspen_config *config = &mm->aspen->config;
    uint64_t admin = mm->privileges & ASPEN_PRIVILEGE_SYS_ADMIN
                         ? 0
                         : config->admin_reserve_pages;

    uint64_t user =
        aspen_min_u64(mm->total_pages / 32, config->user_reserve_pages);
    return admin + aspen_min_u64(user, UINT64_MAX - admin);
}

uint64_t
aspen_charge_limit(const struct aspen *aspen)
{
    const struct aspen_config *config = &aspen->config;
    uint64_t pages = config->overcommit_kbytes
                         ? config->overcommit_kbytes >> (ASPEN_PAGE_SHIFT - 10)
                         : aspen_load_relaxed(&aspen->banks.ram_frames) *
                               config->overcommit_percent / 100;

    return pages + swap_pages(aspen);
}

int
aspen_charge_mm(const struct aspen_mm *mm, uint64_t pages)
{
    return charge(mm->aspen, pages, pages, reserve_of(mm));
}

int
aspen_charge_mappings(const struct aspen_mm *mm, uint64_t pages, uint64_t most)
{
    return charge(mm->aspen, pages, most, reserve_of(mm));
}

int
aspen_charge(struct aspen *aspen, uint64_t pages)
{
    return charge(aspen, pages, pages, 0);
}

int
aspen_charge_check_less(struct aspen *aspen, uint64_t pages)
{
    if (!is_limited(aspen))
        return 0;
    int error = aspen_charge(aspen, pages);
    if (!error)
        aspen_uncharge(aspen, pages);
    return error;
}

void
aspen_uncharge(struct aspen *aspen, uint64_t pages)
{
    if (!is_limited(aspen)) {
        aspen_count(aspen, ASPEN_COUNT_COMMITTED, 0 - pages);
        return;
    }
    if (pages == 0)
        return;
    uint64_t before = aspen_fetch_sub_relaxed(&aspen->committed_pages, pages);
    ASPEN_ASSERT(before >= pages);
}

uint64_t
aspen_charged(const struct aspen *aspen)
{
    if (is_limited(aspen))
        return aspen_load_relaxed(&aspen->committed_pages);
    uint64_t sum = aspen_count_wrapping(aspen, ASPEN_COUNT_COMMITTED);
    /* More than there can be is less than 0: somebody has just counted. */
    return sum > COMMITTED_MAX + COMMITTED_MAX / 2 ? 0 : sum;
}
