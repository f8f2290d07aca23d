/* SPDX-License-Identifier: MIT */
/*
 * report.c - what a rehearsal found, for people and as JSON.
 *
 * Called by command.c. tests/tools/rehearse.sh breaks first.
 */
#define _GNU_SOURCE
#include "rehearse/report.h"
#include "common/json.h"

#include <aspen/version.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPLANATION_BYTES 400

/* Kinds of steps that a fork can have, in the order of the JSON. */
#define FORK_STEP_KINDS ASPEN_STEP_OBJECT

/* All results added up. */
struct sums {
    struct snapshot_totals totals;
    uint64_t by_kind[ASPEN_STEP_KINDS];
    uint64_t held[PROMISES];
    uint64_t from_swap[2]; /* in parents, in children */
    struct report_counts counts;
    uint64_t fork_median_ns;
    uint64_t recovery_median_ns;
    uint64_t recovery_max_ns;
    bool sampled;
    char explanation[EXPLANATION_BYTES]; /* of the page tables */
};

static int
compare_times(const void *a, const void *b)
{
    uint64_t first = *(const uint64_t *)a;
    uint64_t second = *(const uint64_t *)b;

    return first < second ? -1 : first > second;
}

static uint64_t
median(uint64_t *times, uint64_t count)
{
    if (count == 0)
        return 0;
    qsort(times, (size_t)count, sizeof(*times), compare_times);
    return times[count / 2];
}

static int
sum_times(const struct workers *workers, struct sums *sums)
{
    uint64_t room = workers->planned + 1;
    uint64_t *forks = calloc((size_t)room, sizeof(*forks));
    uint64_t *recoveries = calloc((size_t)room, sizeof(*recoveries));
    uint64_t fork_count = 0;
    uint64_t recovery_count = 0;

    for (uint64_t i = 0; forks && recoveries && i < workers->planned; i++) {
        const struct rehearsal_result *result = &workers->results[i];

        if (result->done != 0 && result->fork_ns != 0)
            forks[fork_count++] = result->fork_ns;
        if (result->done != 0 && result->recovery_ns != 0)
            recoveries[recovery_count++] = result->recovery_ns;
    }
    if (forks != NULL && recoveries != NULL) {
        sums->fork_median_ns = median(forks, fork_count);
        sums->recovery_median_ns = median(recoveries, recovery_count);
        if (recovery_count > 0)
            sums->recovery_max_ns = recoveries[recovery_count - 1];
    }
    free(forks);
    free(recoveries);
    return forks != NULL && recoveries != NULL ? 0 : -1;
}

/*
 * VmPTE counts the tables below the top one, as `page_tables` does. What the
 * kernel has more of is told apart as far as it can be.
 */
static void
explain_tables(const struct report *report, struct sums *sums)
{
    uint64_t kib = report->snapshot->counters[SNAPSHOT_VM_PTE];
    uint64_t ours = report->workers->facts.page_tables;
    uint64_t spare = sums->totals.deposits;
    uint64_t theirs = kib / 4;
    char *text = sums->explanation;
    size_t size = sizeof(sums->explanation);
    uint64_t kept;

    if (kib == SNAPSHOT_UNKNOWN) {
        snprintf(text, size, "VmPTE is not known");
        return;
    }
    if (theirs == ours) {
        snprintf(text, size, "as many as VmPTE says");
        return;
    }
    if (theirs < ours) {
        snprintf(text, size,
                 "VmPTE says %" PRIu64 ": %" PRIu64
                 " more here, for raw frames taken as mapped (%" PRIu64
                 " pages) and tables of hugetlb pages that processes share",
                 theirs, ours - theirs, report->snapshot->assumed);
        return;
    }
    kept = theirs - ours;
    if (spare > kept)
        spare = kept;
    snprintf(text, size,
             "VmPTE says %" PRIu64 ": of %" PRIu64 " more there %" PRIu64
             " are spares behind huge pages, %" PRIu64
             " hold nothing that /proc shows (emptied by munmap or madvise, "
             "or never filled)",
             theirs, kept, spare, kept - spare);
}

static int
sum_up(const struct report *report, struct sums *sums)
{
    const struct workers *workers = report->workers;

    memset(sums, 0, sizeof(*sums));
    snapshot_sum(report->snapshot, &sums->totals);
    report_count(report, &sums->counts);
    for (uint64_t i = 0; i < workers->facts.steps; i++)
        sums->by_kind[workers->kinds[i]]++;
    for (uint64_t i = 0; i < workers->planned; i++) {
        if (workers->results[i].done == 0)
            continue;
        sums->from_swap[0] += workers->results[i].from_swap_in_parents;
        sums->from_swap[1] += workers->results[i].from_swap_in_children;
        for (unsigned j = 0; j < PROMISES; j++)
            sums->held[j] += workers->results[i].held >> j & 1;
    }
    sums->sampled = sums->counts.done < workers->possible;
    explain_tables(report, sums);
    return sum_times(workers, sums);
}

void
report_count(const struct report *report, struct report_counts *counts)
{
    const struct workers *workers = report->workers;
    struct snapshot_totals totals;

    snapshot_sum(report->snapshot, &totals);
    *counts = (struct report_counts){
        .resident = totals.resident_pages,
        .swapped = totals.pages[SNAPSHOT_SWAP],
    };
    for (uint64_t i = 0; i < workers->planned; i++) {
        counts->done += workers->results[i].done != 0;
        counts->broken += workers->results[i].done != 0 &&
                          workers->results[i].held != HELD_ALL;
    }
}

/* --- JSON ---------------------------------------------------------------- */

static json_t *
steps_json(const struct sums *sums)
{
    json_t *object = json_object();

    for (unsigned i = 0; i < FORK_STEP_KINDS; i++)
        tool_json_count(object, aspen_step_name((enum aspen_step)i),
                        sums->by_kind[i]);
    return object;
}

static json_t *
held_json(const struct sums *sums)
{
    json_t *object = json_object();

    for (unsigned i = 0; i < PROMISES; i++)
        tool_json_count(object, rehearsal_promise_name(i), sums->held[i]);
    return object;
}

static json_t *
time_json(const struct sums *sums)
{
    json_t *object = json_object();

    tool_json_count(object, "fork", sums->fork_median_ns);
    tool_json_count(object, "recovery_median", sums->recovery_median_ns);
    tool_json_count(object, "recovery_max", sums->recovery_max_ns);
    return object;
}

void
report_replay_line(const struct report *report, plan_item item, char *line,
                   size_t size)
{
    snprintf(
        line, size, "aspen rehearse --snapshot %s --step %" PRIu64 " --kind %s",
        report->replay, plan_step(item), rehearsal_mode_name(plan_mode(item)));
}

const char *
report_step_name(const struct report *report, plan_item item)
{
    uint8_t kind = report->workers->kinds[plan_step(item) - 1];

    return aspen_step_name((enum aspen_step)kind);
}

static json_t *
breaks_json(const struct report *report)
{
    const struct workers_break *breaks;
    uint64_t count = workers_breaks(report->workers, &breaks);
    json_t *list = json_array();

    for (uint64_t i = 0; i < count && i < BREAKS_MAX; i++) {
        json_t *object = json_object();
        char line[REPORT_LINE_BYTES];

        report_replay_line(report, breaks[i].item, line, sizeof(line));
        tool_json_count(object, "step", plan_step(breaks[i].item));
        json_object_set_new(
            object, "kind",
            json_string(rehearsal_mode_name(plan_mode(breaks[i].item))));
        json_object_set_new(
            object, "step_kind",
            json_string(report_step_name(report, breaks[i].item)));
        json_object_set_new(object, "promise", tool_json_words(breaks[i].text));
        json_object_set_new(object, "replay", tool_json_words(line));
        json_array_append_new(list, object);
    }
    return list;
}

/* Beyond what the schema asks for. */
static void
add_details(json_t *root, const struct report *report, const struct sums *sums)
{
    const struct snapshot *snapshot = report->snapshot;
    json_t *pages = json_object();

    for (unsigned i = 0; i < SNAPSHOT_KINDS; i++)
        tool_json_count(pages, snapshot_kind_name(i), sums->totals.pages[i]);
    json_object_set_new(root, "breaks", breaks_json(report));
    tool_json_count(root, "rehearsals_possible", report->workers->possible);
    tool_json_count(root, "jobs", report->workers->jobs);
    tool_json_count(root, "elapsed_ns", report->passed_ns);
    json_object_set_new(
        root, "process",
        tool_json_words(snapshot_text(snapshot, snapshot->name)));
    json_object_set_new(
        root, "kernel",
        tool_json_words(snapshot_text(snapshot, snapshot->release)));
    json_object_set_new(root, "method",
                        json_string(snapshot_method_name(snapshot->method)));
    json_object_set_new(root, "torn", json_boolean(snapshot->torn));
    json_object_set_new(root, "redacted", json_boolean(snapshot->redacted));
    json_object_set_new(root, "pages", pages);
    tool_json_count(root, "pages_hugetlb", sums->totals.hugetlb_pages);
    tool_json_count(root, "pages_on_device", report->workers->facts.swapped);
    tool_json_count(root, "from_swap_in_parents", sums->from_swap[0]);
    tool_json_count(root, "from_swap_in_children", sums->from_swap[1]);
    tool_json_count(root, "pages_left_out", report->workers->facts.left_out);
    tool_json_count(root, "pages_not_looked_at", snapshot->unread);
    tool_json_count(root, "pages_missing", sums->totals.missing_pages);
    tool_json_count(root, "assumed", snapshot->assumed);
    if (snapshot->counters[SNAPSHOT_VM_PTE] != SNAPSHOT_UNKNOWN)
        tool_json_count(root, "vm_pte_kib",
                        snapshot->counters[SNAPSHOT_VM_PTE]);
    json_object_set_new(root, "page_tables_explained",
                        json_string(sums->explanation));
    json_object_set_new(
        root, "not_visible",
        json_string("relatives of the process and sharing with other "
                    "processes: built as if there were none"));
}

int
report_json(const struct report *report)
{
    const struct snapshot *snapshot = report->snapshot;
    json_t *root;
    struct sums sums;

    if (sum_up(report, &sums) != 0)
        return -1;
    root = json_object();
    json_object_set_new(root, "schema", json_string("aspen.rehearse/1"));
    json_object_set_new(root, "build", json_string(aspen_build()));
    json_object_set_new(root, "source", tool_json_words(report->source));
    tool_json_count(root, "vmas", snapshot->vma_count);
    tool_json_count(root, "pages_resident", sums.totals.resident_pages);
    tool_json_count(root, "pages_swapped", sums.totals.pages[SNAPSHOT_SWAP]);
    tool_json_count(root, "page_tables", report->workers->facts.page_tables);
    tool_json_count(root, "ambiguous", snapshot->ambiguous);
    tool_json_count(root, "steps", report->workers->facts.steps);
    json_object_set_new(root, "steps_by_kind", steps_json(&sums));
    json_object_set_new(root, "sampled", json_boolean(sums.sampled));
    tool_json_count(root, "seed", report->seed);
    tool_json_count(root, "rehearsals", sums.counts.done);
    tool_json_count(root, "broken", sums.counts.broken);
    json_object_set_new(root, "held", held_json(&sums));
    json_object_set_new(root, "time_ns", time_json(&sums));
    add_details(root, report, &sums);
    return tool_json_print(root, JSON_ENSURE_ASCII);
}

/* --- for people ---------------------------------------------------------- */

static const char *
duration(uint64_t nanoseconds, char *text, size_t size)
{
    static const struct {
        uint64_t unit;
        const char *name;
    } units[] = {
        {1000000000u, "s"},
        {1000000u, "ms"},
        {1000u, "us"},
    };

    for (unsigned i = 0; i < 3; i++)
        if (nanoseconds >= units[i].unit) {
            snprintf(text, size, "%" PRIu64 ".%" PRIu64 " %s",
                     nanoseconds / units[i].unit,
                     nanoseconds % units[i].unit * 10 / units[i].unit,
                     units[i].name);
            return text;
        }
    snprintf(text, size, "%" PRIu64 " ns", nanoseconds);
    return text;
}

static void
print_process(const struct report *report, const struct sums *sums)
{
    const struct snapshot *snapshot = report->snapshot;

    printf("process     %s (%s), kernel %s, pages by %s\n",
           snapshot->name == 0 ? "without a name"
                               : snapshot_text(snapshot, snapshot->name),
           report->source,
           snapshot->release == 0 ? "unknown"
                                  : snapshot_text(snapshot, snapshot->release),
           snapshot_method_name(snapshot->method));
    printf("size        %" PRIu64 " mappings, %" PRIu64
           " pages resident, %" PRIu64 " swapped\n",
           snapshot->vma_count, sums->totals.resident_pages,
           sums->totals.pages[SNAPSHOT_SWAP]);
    printf("            %" PRIu64 " page tables: %s\n",
           report->workers->facts.page_tables, sums->explanation);
    if (sums->totals.hugetlb_pages > 0)
        printf("            %" PRIu64 " pages in hugetlb pages\n",
               sums->totals.hugetlb_pages);
    if (snapshot->ambiguous > 0)
        printf("            %" PRIu64
               " pages of which the kernel did not tell the kind\n",
               snapshot->ambiguous);
    if (snapshot->assumed > 0)
        printf("            %" PRIu64
               " raw frames that the kernel shows nobody, taken as mapped\n",
               snapshot->assumed);
    if (snapshot->unread > 0)
        printf("            %" PRIu64 " pages of areas not looked at\n",
               snapshot->unread);
    if (sums->totals.missing_pages > 0)
        printf("            %" PRIu64 " of them resident, and missing here\n",
               sums->totals.missing_pages);
    if (report->workers->facts.left_out > 0)
        printf("            %" PRIu64 " pages left out (markers)\n",
               report->workers->facts.left_out);
    if (snapshot->torn)
        printf("            taken while it ran: may not fit together\n");
    printf("            relatives and sharing with other processes do not "
           "show in /proc:\n            built as if there were none\n");
}

static void
print_steps(const struct report *report, const struct sums *sums)
{
    printf("steps       %" PRIu64 ":", report->workers->facts.steps);
    for (unsigned i = 0; i < FORK_STEP_KINDS; i++)
        if (sums->by_kind[i] > 0)
            printf(" %s %" PRIu64, aspen_step_name((enum aspen_step)i),
                   sums->by_kind[i]);
    printf("\n");
}

static void
print_breaks(const struct report *report)
{
    const struct workers_break *breaks;
    uint64_t count = workers_breaks(report->workers, &breaks);

    for (uint64_t i = 0; i < count && i < BREAKS_MAX; i++) {
        char line[REPORT_LINE_BYTES];

        report_replay_line(report, breaks[i].item, line, sizeof(line));
        printf("BROKEN      step %" PRIu64 " (%s), %s: %s\n            %s\n",
               plan_step(breaks[i].item),
               report_step_name(report, breaks[i].item),
               rehearsal_mode_name(plan_mode(breaks[i].item)), breaks[i].text,
               line);
    }
}

int
report_text(const struct report *report)
{
    struct sums sums;
    char time[3][32];

    if (sum_up(report, &sums) != 0)
        return -1;
    print_process(report, &sums);
    print_steps(report, &sums);
    printf("rehearsals  %" PRIu64 "%s%" PRIu64 "%s, seed %" PRIu64
           ", %u job%s, %s\n",
           sums.counts.done, sums.sampled ? ", a sample of " : " of ",
           report->workers->possible, sums.sampled ? "" : " (all)",
           report->seed, report->workers->jobs,
           report->workers->jobs == 1 ? "" : "s",
           duration(report->passed_ns, time[0], sizeof(time[0])));
    if (report->workers->facts.swapped > 0)
        printf("swap        %" PRIu64 " pages on a device; compared after they "
               "came back: %" PRIu64 " in parents, %" PRIu64 " in children\n",
               report->workers->facts.swapped, sums.from_swap[0],
               sums.from_swap[1]);
    printf("held       ");
    for (unsigned i = 0; i < PROMISES; i++)
        printf(" %s %" PRIu64, rehearsal_promise_name(i), sums.held[i]);
    printf("\ntime        fork %s; recovery %s (median), %s (longest)\n",
           duration(sums.fork_median_ns, time[0], sizeof(time[0])),
           duration(sums.recovery_median_ns, time[1], sizeof(time[1])),
           duration(sums.recovery_max_ns, time[2], sizeof(time[2])));
    print_breaks(report);
    printf("%s\n", sums.counts.broken == 0 ? "every promise held"
                                           : "a promise was BROKEN");
    return 0;
}
