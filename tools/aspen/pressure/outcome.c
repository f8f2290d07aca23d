/* SPDX-License-Identifier: MIT */
/*
 * outcome.c - see outcome.h.
 *
 * Called by run.c. tests/tools/pressure.sh breaks first.
 */
#include "pressure/outcome.h"

#include <stdlib.h>
#include <string.h>

int
pressure_result_begin(struct pressure_result *result, size_t accesses)
{
    memset(result, 0, sizeof(*result));
    result->sample_each = accesses / PRESSURE_SAMPLES + 1;
    result->sample_count =
        (accesses + result->sample_each - 1) / result->sample_each + 1;
    result->samples = calloc(result->sample_count, sizeof(*result->samples));
    return result->samples ? 0 : -1;
}

void
pressure_result_free(struct pressure_result *result)
{
    free(result->samples);
    memset(result, 0, sizeof(*result));
}

static void
take(struct pressure_sample *sample, struct pressure_machine *machine,
     size_t at, uint64_t hits)
{
    struct aspen_pressure pressure;
    struct aspen_counters all;

    aspen_counters_read(machine->aspen, &all);
    aspen_pressure_read(machine->aspen, &pressure);
    *sample = (struct pressure_sample){
        .accesses = at,
        .resident = all.anon_pages + all.file_pages,
        .swapped = all.swap_slots_used,
        .reclaimed = all.reclaimed,
        .refaults = all.refaults,
        .hits = hits,
        .some_us = pressure.some.total,
        .full_us = pressure.full.total,
    };
}

void
pressure_result_note(struct pressure_result *result,
                     struct pressure_machine *machine, size_t at, uint64_t hits)
{
    if (at % result->sample_each == 0)
        take(&result->samples[at / result->sample_each], machine, at, hits);
}

void
pressure_result_count(struct pressure_result *result,
                      struct pressure_machine *machine, uint64_t hits)
{
    struct pressure_sample *last = &result->samples[result->sample_count - 1];
    struct aspen_posix_swap_counters swap;
    struct aspen_counters all;

    take(last, machine, result->accesses, hits);
    aspen_counters_read(machine->aspen, &all);
    pressure_areas_count(&machine->swap, &swap);
    for (unsigned i = 0; i < PRESSURE_THREADS; i++) {
        result->faults += machine->cpus[i].faults;
        result->refused += machine->cpus[i].refused;
    }
    result->refaults = last->refaults;
    result->reclaimed = last->reclaimed;
    result->direct_reclaims = all.direct_reclaims;
    result->swap_in = swap.pages_read;
    result->swap_out = swap.pages_written;
    result->swap_memory_bytes = swap.memory_bytes;
    /* The worker goes on, and so do transfers that are late. */
    result->file_in = __atomic_load_n(&machine->file_reads, __ATOMIC_RELAXED);
    result->file_out = __atomic_load_n(&machine->file_writes, __ATOMIC_RELAXED);
    result->failed = __atomic_load_n(&machine->swap.failed, __ATOMIC_RELAXED);
    result->areas_removed = machine->swap.removed;
    result->some_us = last->some_us;
    result->full_us = last->full_us;
}

/* ---- Beside LRU and the optimum ---------------------------------------- */

static uint32_t
average(const struct pressure_result *result)
{
    uint64_t resident = 0, count = 0;

    for (size_t i = result->sample_count; i-- > 0;) {
        const struct pressure_sample *sample = &result->samples[i];
        if (sample->accesses < result->skipped && count)
            break;
        resident += sample->resident;
        count++;
    }
    return count ? (uint32_t)(resident / count) : 0;
}

int
pressure_result_compare(struct pressure_result *result,
                        const struct trace *trace)
{
    struct pressure_sample *samples = result->samples;
    uint64_t *hits = calloc(2 * result->sample_count, sizeof(*hits));
    struct trace_parts lru = {result->sample_each, hits};
    struct trace_parts optimum = {result->sample_each,
                                  hits + result->sample_count};

    if (!hits)
        return -1;
    result->resident = average(result);
    uint32_t memory = result->resident ? result->resident : 1;
    result->lru_ratio = trace_lru(trace, memory, result->skipped, &lru);
    result->optimal_ratio =
        trace_optimum(trace, memory, result->skipped, &optimum);
    for (size_t i = 1; i < result->sample_count; i++) {
        samples[i].lru_hits = samples[i - 1].lru_hits + lru.hits[i - 1];
        samples[i].optimal_hits =
            samples[i - 1].optimal_hits + optimum.hits[i - 1];
    }
    free(hits);
    return result->lru_ratio < 0 || result->optimal_ratio < 0 ? -1 : 0;
}
