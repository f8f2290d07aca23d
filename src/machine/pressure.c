/* SPDX-License-Identifier: MIT */
/*
 * machine/pressure.c - time that threads lose for want of memory.
 *
 *     time     ....|.........|.........|.........|....
 *     stalled      0    1   2  1   0        1
 *     some         .....xxxxxxxxxxx.........xxxxxxx
 *     full         .........xxx....................   of 2 threads
 *
 * Of each there is the total, and how much of it lies in this period.
 * Nothing runs by itself: whoever begins or ends a stall, or asks, brings the
 * sums up to his moment first (fold()). What held before did so for all of the
 * time between, however many periods that is; so their averages are one step.
 *
 * I1  `changed` is the moment up to which all sums are: in the period that
 *     ends at `period_end`, and not after it.
 * I2  Moments of two threads may come in another order than they were read: one
 *     that is before `changed` is `changed`.
 *
 * Averages are numbers of 30 binary digits behind the point; they are rounded
 * towards what they go to, so that they get there.
 *
 * The first test to break is tests/unit/machine/test_pressure.c.
 */
#include "machine/pressure.h"

#include "group/group.h"

#define PERIOD     ((uint64_t)2000000) /* microseconds */
#define POINT      30
#define ONE        ((uint64_t)1 << POINT)
#define HUNDREDTHS 10000u /* of a percent, in ONE */

/* What is left of a weight after a period: e to the power of -2/10, ... */
static const uint64_t keeps[ASPEN_PRESSURE_SPANS] = {879105452, 1038540380,
                                                     1066607353};

static bool
has_clock(const struct aspen *aspen)
{
    const struct aspen_memory_ops *memory = aspen->config.hooks.memory;

    return memory && memory->clock;
}

/* Without a clock it is always the beginning. */
static uint64_t
now(const struct aspen *aspen)
{
    return has_clock(aspen)
               ? aspen->config.hooks.memory->clock(aspen->config.hooks.context)
               : 0;
}

/* ---- Averages ---------------------------------------------------------- */

/* `keep` for so many periods. */
static uint64_t
power(uint64_t keep, uint64_t periods)
{
    uint64_t result = ONE;

    for (; periods; periods >>= 1) {
        if (periods & 1)
            result = result * keep >> POINT;
        keep = keep * keep >> POINT;
    }
    return result;
}

/* `periods` have ended, with `part` of each lost. */
static uint64_t
average(uint64_t average, uint64_t part, uint64_t keep, uint64_t periods)
{
    uint64_t kept = power(keep, periods);
    uint64_t sum = average * kept + part * (ONE - kept);

    return (sum + (part > average ? ONE - 1 : 0)) >> POINT;
}

/* The lock is held, here and in what follows. */
static void
end_periods(struct aspen_pressure_sums *sums, uint64_t periods)
{
    uint64_t part = sums->period / periods * ONE / PERIOD;

    for (unsigned i = 0; i < ASPEN_PRESSURE_SPANS; i++)
        sums->averages[i] = average(sums->averages[i], part, keeps[i], periods);
    sums->period = 0;
}

/* ---- Time -------------------------------------------------------------- */

static bool
is_full(const struct aspen_pressure_state *state)
{
    return state->threads && state->stalled >= state->threads;
}

static void
pass(struct aspen_pressure_state *state, uint64_t until)
{
    uint64_t time = until - state->changed;

    if (state->stalled) {
        state->some.total += time;
        state->some.period += time;
    }
    if (is_full(state)) {
        state->full.total += time;
        state->full.period += time;
    }
    state->changed = until;
}

/* So many periods, from `changed` on to their end. */
static void
pass_periods(struct aspen_pressure_state *state, uint64_t periods)
{
    pass(state, state->period_end + (periods - 1) * PERIOD);
    end_periods(&state->some, periods);
    end_periods(&state->full, periods);
    state->period_end = state->changed + PERIOD;
}

/* Bring all sums up to this moment. */
static void
fold(struct aspen_pressure_state *state, uint64_t moment)
{
    if (moment <= state->changed)
        return; /* I2 */
    if (moment >= state->period_end)
        pass_periods(state, 1); /* of which a part was something else */
    if (moment >= state->period_end)
        pass_periods(state, (moment - state->changed) / PERIOD);
    pass(state, moment);
}

static void
lock_at(struct aspen_pressure_state *state, uint64_t moment)
{
    aspen_spin_lock(&state->lock, ASPEN_LOCK_LEAF);
    fold(state, moment);
}

/* ---- Stalls ------------------------------------------------------------ */

void
aspen_pressure_init(struct aspen *aspen, struct aspen_pressure_state *state)
{
    const struct aspen_pressure_sums none = {.total = 0};

    state->stalled = 0;
    state->threads = 0;
    state->some = none;
    state->full = none;
    state->changed = now(aspen);
    state->period_end = state->changed + PERIOD;
}

/* One more, or one less, of the machine's and of all groups from one on
 * upwards. */
static void
change_stalled(struct aspen *aspen, struct aspen_group *group, bool begins)
{
    struct aspen_pressure_state *state = &aspen->pressure;
    uint64_t moment = now(aspen);

    while (state) {
        lock_at(state, moment);
        ASPEN_ASSERT(begins || state->stalled);
        state->stalled += begins ? 1u : 0u - 1u;
        aspen_spin_unlock(&state->lock);
        state = group ? &group->pressure : NULL;
        group = group ? group->parent : NULL;
    }
}

struct aspen_group *
aspen_stall_begin(struct aspen *aspen, const struct aspen_payer *payer)
{
    if (!has_clock(aspen))
        return NULL;
    struct aspen_group *group = aspen_payer_hold(aspen, payer);
    change_stalled(aspen, group, true);
    return group;
}

void
aspen_stall_end(struct aspen *aspen, struct aspen_group *group)
{
    if (!has_clock(aspen))
        return;
    change_stalled(aspen, group, false);
    if (group)
        aspen_group_drop(group, 1);
}

/* ---- Called by the embedder -------------------------------------------- */

static struct aspen_stalls
stalls_of(const struct aspen_pressure_sums *sums)
{
    return (struct aspen_stalls){
        .total = sums->total,
        .avg10 = (uint32_t)(sums->averages[0] * HUNDREDTHS >> POINT),
        .avg60 = (uint32_t)(sums->averages[1] * HUNDREDTHS >> POINT),
        .avg300 = (uint32_t)(sums->averages[2] * HUNDREDTHS >> POINT),
    };
}

static void
read_state(const struct aspen *aspen, struct aspen_pressure_state *state,
           struct aspen_pressure *pressure)
{
    lock_at(state, now(aspen));
    pressure->some = stalls_of(&state->some);
    pressure->full = stalls_of(&state->full);
    aspen_spin_unlock(&state->lock);
}

static void
set_threads(const struct aspen *aspen, struct aspen_pressure_state *state,
            uint32_t threads)
{
    lock_at(state, now(aspen));
    state->threads = threads;
    aspen_spin_unlock(&state->lock);
}

void
aspen_pressure_read(struct aspen *aspen, struct aspen_pressure *pressure)
{
    read_state(aspen, &aspen->pressure, pressure);
}

void
aspen_pressure_threads(struct aspen *aspen, uint32_t threads)
{
    set_threads(aspen, &aspen->pressure, threads);
}

void
aspen_group_pressure_read(struct aspen_group *group,
                          struct aspen_pressure *pressure)
{
    read_state(group->aspen, &group->pressure, pressure);
}

void
aspen_group_pressure_threads(struct aspen_group *group, uint32_t threads)
{
    set_threads(group->aspen, &group->pressure, threads);
}
