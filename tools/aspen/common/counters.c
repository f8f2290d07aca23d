/* SPDX-License-Identifier: MIT */
/*
 * counters.c - what a machine counts, before and after.
 *
 * Called by rehearse and fuzz. tests/tools/broken.sh breaks first.
 */
#include "common/counters.h"
#include "common/tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SETTLE_TRIES  200u
#define SETTLE_NAP_NS 500000u

#define COUNTER(member)                                                        \
    {                                                                          \
#member, offsetof(struct aspen_counters, member)                       \
    }

static const struct {
    const char *name;
    size_t offset;
} names[] = {
    COUNTER(frames_total),
    COUNTER(frames_free),
    COUNTER(frames_table),
    COUNTER(mms),
    COUNTER(mms_live),
    COUNTER(mms_swap_list),
    COUNTER(vmas),
    COUNTER(anon_vmas),
    COUNTER(anon_vma_links),
    COUNTER(objects),
    COUNTER(tree_nodes),
    COUNTER(committed_pages),
    COUNTER(swap_slots_used),
    COUNTER(swap_references),
    COUNTER(swap_continuations),
};

#define NAMES (sizeof(names) / sizeof(names[0]))

static uint64_t
counter(const struct aspen_counters *counters, size_t i)
{
    uint64_t value;

    memcpy(&value, (const char *)counters + names[i].offset, sizeof(value));
    return value;
}

/* NAMES: none differs. */
static size_t
first_difference(const struct aspen_counters *wanted,
                 const struct aspen_counters *now)
{
    size_t i = 0;

    while (i < NAMES && counter(wanted, i) == counter(now, i))
        i++;
    return i;
}

void
counters_read(const struct aspen *aspen, struct aspen_counters *counters)
{
    aspen_counters_read(aspen, counters);
    counters->frames_free += counters->tables_waiting;
    counters->tables_waiting = 0;
}

/* They are read one by one, and what waits for a grace period may become free
 * in between: what seems to miss is looked for again for a while. */
void
counters_settle(const struct aspen *aspen, const struct aspen_counters *wanted,
                struct aspen_counters *now)
{
    for (unsigned i = 0; i < SETTLE_TRIES; i++) {
        counters_read(aspen, now);
        if (first_difference(wanted, now) == NAMES)
            return;
        tool_sleep_until_ns(tool_now_ns() + SETTLE_NAP_NS);
    }
}

bool
counters_difference(const struct aspen_counters *wanted,
                    const struct aspen_counters *now, char *text, size_t size)
{
    size_t i = first_difference(wanted, now);

    if (i == NAMES)
        return false;
    snprintf(text, size, "%s: %" PRIu64 ", not %" PRIu64, names[i].name,
             counter(now, i), counter(wanted, i));
    return true;
}
