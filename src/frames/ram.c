/* SPDX-License-Identifier: MIT */
/*
 * frames/ram.c - what a configuration says of RAM. ram.h says what for.
 *
 * Called by bank.c, frames.c and machine.c. The first test to break is
 * tests/unit/frames/test_ram.c.
 */
#include "frames/ram.h"

#define FRAMES_MIN 64

/* ---- Ranges ------------------------------------------------------------ */

static unsigned
ranges_of(const struct aspen_config *config)
{
    return config->ram ? config->ram_ranges : 1;
}

static struct aspen_ram_run
run_of(const struct aspen_frame_range *range)
{
    return (struct aspen_ram_run){range->first,
                                  (uint64_t)range->first + range->count};
}

/* The short form says one range: from 0 on. */
static struct aspen_ram_run
range_at(const struct aspen_config *config, unsigned i)
{
    return config->ram ? run_of(&config->ram[i])
                       : (struct aspen_ram_run){0, config->frames};
}

static struct aspen_ram_run
reserved_at(const struct aspen_config *config, unsigned i)
{
    return run_of(&config->reserved[i]);
}

/* ---- What is valid ----------------------------------------------------- */

static bool
overlaps_one_before(const struct aspen_config *config, unsigned i)
{
    struct aspen_ram_run range = range_at(config, i);

    while (i-- > 0) {
        struct aspen_ram_run other = range_at(config, i);
        if (range.first < other.end && other.first < range.end)
            return true;
    }
    return false;
}

bool
aspen_ram_valid(const struct aspen_config *config)
{
    struct aspen_ram_run run = {.first = ASPEN_NO_FRAME};
    uint64_t frames = 0;

    if (config->ram ? config->frames || !config->ram_ranges
                    : config->ram_ranges)
        return false;
    if ((!config->reserved && config->reserved_ranges) ||
        config->frames_end >= ASPEN_NO_FRAME)
        return false;
    for (unsigned i = 0; i < ranges_of(config); i++) {
        struct aspen_ram_run range = range_at(config, i);
        if (range.first == range.end || range.end >= ASPEN_NO_FRAME ||
            overlaps_one_before(config, i))
            return false;
    }
    while (aspen_ram_run_below(config, run.first, &run))
        frames += run.end - run.first;
    return frames >= FRAMES_MIN;
}

/* ---- Runs -------------------------------------------------------------- */

/* The highest range that begins below `end`, cut off there. */
static bool
range_below(const struct aspen_config *config, uint64_t end,
            struct aspen_ram_run *found)
{
    bool any = false;

    for (unsigned i = 0; i < ranges_of(config); i++) {
        struct aspen_ram_run range = range_at(config, i);
        if (range.first >= end || (any && range.first < found->first))
            continue;
        *found = range;
        any = true;
    }
    found->end = any ? aspen_min_u64(found->end, end) : end;
    return any;
}

/* The highest end at `end` or below that no reserved range covers. */
static uint64_t
end_before_reserved(const struct aspen_config *config, uint64_t end)
{
    for (unsigned i = 0; i < config->reserved_ranges; i++) {
        struct aspen_ram_run range = reserved_at(config, i);
        if (range.first < end && end <= range.end) {
            end = range.first;
            i = UINT32_MAX; /* from the beginning */
        }
    }
    return end;
}

bool
aspen_ram_run_below(const struct aspen_config *config, uint64_t end,
                    struct aspen_ram_run *run)
{
    struct aspen_ram_run range;

    while (range_below(config, end, &range)) {
        end = end_before_reserved(config, range.end);
        if (end <= range.first)
            continue;
        *run = (struct aspen_ram_run){range.first, end};
        for (unsigned i = 0; i < config->reserved_ranges; i++) {
            uint64_t reserved_end = reserved_at(config, i).end;
            if (reserved_end < end && reserved_end > run->first)
                run->first = reserved_end;
        }
        return true;
    }
    return false;
}

uint32_t
aspen_ram_lowest(const struct aspen_config *config)
{
    struct aspen_ram_run run = {.first = ASPEN_NO_FRAME};

    while (aspen_ram_run_below(config, run.first, &run))
        ;
    return (uint32_t)run.first;
}

/* ---- Banks ------------------------------------------------------------- */

uint64_t
aspen_ram_end(const struct aspen_config *config)
{
    uint64_t end = config->frames_end;

    for (unsigned i = 0; i < ranges_of(config); i++)
        end = aspen_max_u64(end, range_at(config, i).end);
    return end;
}

struct aspen_ram_run
aspen_ram_sections(struct aspen_ram_run run, uint64_t end)
{
    run.first = aspen_align_down(run.first, ASPEN_SECTION_FRAMES);
    run.end = aspen_min_u64(aspen_align_up(run.end, ASPEN_SECTION_FRAMES), end);
    return run;
}

/* The lowest range that begins at `from` or above. */
static bool
range_from(const struct aspen_config *config, uint64_t from,
           struct aspen_ram_run *found)
{
    bool any = false;

    for (unsigned i = 0; i < ranges_of(config); i++) {
        struct aspen_ram_run range = range_at(config, i);
        if (range.first < from || (any && range.first > found->first))
            continue;
        *found = range;
        any = true;
    }
    return any;
}

bool
aspen_ram_bank(const struct aspen_config *config, uint64_t from,
               struct aspen_ram_run *bank)
{
    struct aspen_ram_run next;

    if (!range_from(config, from, bank))
        return false;
    while (range_from(config, bank->end, &next) &&
           next.first - bank->end <= ASPEN_SECTION_FRAMES)
        bank->end = next.end;
    if (config->frames_end)
        *bank = aspen_ram_sections(*bank, aspen_ram_end(config));
    bank->first = aspen_align_down(bank->first, ASPEN_CHUNK_FRAMES);
    return true;
}
