/* SPDX-License-Identifier: MIT */
/*
 * report.c - see report.h.
 *
 * Called by command.c. tests/tools/pressure.sh breaks first.
 */
#include "pressure/report.h"
#include "common/json.h"

#include <inttypes.h>
#include <stdio.h>

#define MIB (1 << 20)

static double
rate(const struct pressure_result *result)
{
    return result->seconds > 0 ? (double)result->accesses / result->seconds : 0;
}

void
pressure_report_text(const char *workload, const struct pressure_plan *plan,
                     const struct pressure_result *result)
{
    printf(
        "workload    %s: %" PRIu32 " pages, %.1f times the memory of %" PRIu32
        ", swap %s, seed %" PRIu64 "\n",
        workload, plan->trace->pages, (double)plan->trace->pages / plan->frames,
        plan->frames, plan->swap, plan->seed);
    printf("accesses    %" PRIu64 " by %u threads in %.1f s: %.0f a second "
           "(%s build)\n",
           result->accesses, plan->threads, result->seconds, rate(result),
           aspen_build());
    printf("faults      %" PRIu64 ", %" PRIu64 " refaults, %" PRIu64
           " direct reclaims; %" PRIu64 " pages reclaimed\n",
           result->faults, result->refaults, result->direct_reclaims,
           result->reclaimed);
    if (result->forks)
        printf("forks       %" PRIu64 "\n", result->forks);
    printf("swap        %" PRIu64 " pages in, %" PRIu64 " out", result->swap_in,
           result->swap_out);
    if (result->swap_memory_bytes)
        printf("; %.1f MiB of memory for it",
               (double)result->swap_memory_bytes / MIB);
    putchar('\n');
    if (result->file_in)
        printf("file        %" PRIu64 " pages read, %" PRIu64 " written\n",
               result->file_in, result->file_out);
    printf("hit ratio   %.3f; LRU %.3f, optimum %.3f, with %" PRIu32
           " pages in memory\n",
           result->hit_ratio, result->lru_ratio, result->optimal_ratio,
           result->resident);
    if (result->kernel_pages)
        printf("the kernel  %.3f, with %" PRIu32
               " pages in memory, of a process in a cgroup\n",
               result->kernel_ratio, result->kernel_pages);
    if (result->some_us)
        printf("stalls      %.1f ms by one thread or more, %.1f ms by all\n",
               (double)result->some_us / 1000, (double)result->full_us / 1000);
    if (result->refused)
        printf("refused     %" PRIu64 " faults\n", result->refused);
    if (plan->can_fail)
        printf("failures    %" PRIu64 " transfers that were told to, %" PRIu64
               " pages given up, %" PRIu64 " areas removed\n",
               result->failed, result->given_up, result->areas_removed);
    if (result->wrong_bytes == 0 && result->lost_pages == 0)
        printf("every byte was as it was written\n");
}

int
pressure_report_json(const char *workload, const struct pressure_plan *plan,
                     const struct pressure_result *result)
{
    json_t *object = json_object();

    json_object_set_new(object, "schema", json_string("aspen.pressure/1"));
    json_object_set_new(object, "workload", json_string(workload));
    json_object_set_new(object, "swap", tool_json_words(plan->swap));
    json_object_set_new(object, "build", json_string(aspen_build()));
    tool_json_count(object, "seed", plan->seed);
    tool_json_count(object, "threads", plan->threads);
    tool_json_count(object, "memory_pages", plan->frames);
    tool_json_count(object, "pages", plan->trace->pages);
    tool_json_count(object, "accesses", result->accesses);
    json_object_set_new(object, "seconds", json_real(result->seconds));
    json_object_set_new(object, "per_second", json_real(rate(result)));
    tool_json_count(object, "faults", result->faults);
    tool_json_count(object, "refused", result->refused);
    tool_json_count(object, "refaults", result->refaults);
    tool_json_count(object, "reclaimed", result->reclaimed);
    tool_json_count(object, "direct_reclaims", result->direct_reclaims);
    tool_json_count(object, "forks", result->forks);
    tool_json_count(object, "swap_in", result->swap_in);
    tool_json_count(object, "swap_out", result->swap_out);
    tool_json_count(object, "swap_memory_bytes", result->swap_memory_bytes);
    tool_json_count(object, "file_in", result->file_in);
    tool_json_count(object, "file_out", result->file_out);
    tool_json_count(object, "failed", result->failed);
    tool_json_count(object, "given_up", result->given_up);
    tool_json_count(object, "areas_removed", result->areas_removed);
    tool_json_count(object, "stalled_some_us", result->some_us);
    tool_json_count(object, "stalled_full_us", result->full_us);
    tool_json_count(object, "wrong_bytes", result->wrong_bytes);
    tool_json_count(object, "lost_pages", result->lost_pages);
    tool_json_count(object, "resident_pages", result->resident);
    json_object_set_new(object, "hit_ratio", json_real(result->hit_ratio));
    json_object_set_new(object, "lru_ratio", json_real(result->lru_ratio));
    json_object_set_new(object, "optimal_ratio",
                        json_real(result->optimal_ratio));
    if (result->kernel_pages) {
        tool_json_count(object, "kernel_pages", result->kernel_pages);
        json_object_set_new(object, "kernel_ratio",
                            json_real(result->kernel_ratio));
    }
    return tool_json_print(object, JSON_REAL_PRECISION(6));
}
