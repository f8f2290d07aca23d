/* SPDX-License-Identifier: MIT */
#include "fork_rows.h"

#include "aspen_fork.h"
#include "host_fork.h"
#include "internal.h"
#include <string.h>

#define MIB ((size_t)1 << 20)

static const char peer[] = "linux fork()";
static const char peer_exit[] = "linux munmap()";
static const char fork_does[] =
    "task set-up (its bare fork is taken off), TLB shoot-down, memory-group "
    "accounting, checks for pinned pages, system-call entry, all under "
    "virtualisation";
static const char exit_does[] =
    "TLB shoot-down, memory-group uncharging, LRU removal, system-call entry, "
    "all under virtualisation";

/* One case: what is forked, what it is divided by, what it may cost. */
struct fork_case {
    const char *name;
    struct aspen_fork_case work;
    double fork_target;    /* 0: no row */
    double failing_target; /* 0: no row */
    double exit_target;    /* 0: no row */
};

static const struct fork_case cases[] = {
    {"256 MiB touched", {256 * MIB, 0, FORK_TOUCHED}, 0.15, 0, 0},
    {"256 MiB touched, shuffled", {256 * MIB, 0, FORK_SHUFFLED}, 0.3, 0, 0},
    {"1 GiB touched", {1024 * MIB, 0, FORK_TOUCHED}, 0.15, 0.2, 0.1},
    {"1 GiB touched, shuffled", {1024 * MIB, 0, FORK_SHUFFLED}, 0.3, 0, 0},
    {"10,000 VMAs untouched", {0, 10000, FORK_UNTOUCHED}, 0.3, 0, 0},
    {"50,000 VMAs untouched", {0, 50000, FORK_UNTOUCHED}, 0.3, 0, 0},
    {"10,000 VMAs, a page each", {0, 10000, FORK_TOUCHED}, 0.3, 0, 0},
    {"50,000 VMAs, a page each", {0, 50000, FORK_TOUCHED}, 0.3, 0.3, 0},
};

struct rows_of_case {
    struct report_row *fork;
    struct report_row *failing;
    struct report_row *own; /* failing against succeeding, both sides */
    struct report_row *exit;
};

static uint64_t
units_of(const struct fork_case *one)
{
    return one->work.vmas ? one->work.vmas : one->work.bytes / 4096;
}

static struct report_row *
new_row(struct report_row *rows, size_t *count, const char *what,
        const struct fork_case *one, const char *peer_name, double target,
        const char *does)
{
    struct report_row *row = &rows[(*count)++];

    memset(row, 0, sizeof(*row));
    snprintf(row->name, sizeof(row->name), "%s: %s", what, one->name);
    row->n = units_of(one);
    row->unit = "ns";
    row->peer_name = peer_name;
    row->target = target;
    row->peer_does = does;
    return row;
}

static void
measure_host(const struct fork_case *one, const struct rows_of_case *rows,
             double units)
{
    double bare = host_fork_bare();
    const struct aspen_fork_case *work = &one->work;
    const char *reason;

    double ns = work->vmas
                    ? host_fork_vmas(work->vmas, work->pages != FORK_UNTOUCHED)
                    : host_fork_pages(work->bytes);
    double whole = (ns - bare) / units;
    report_add_peer(rows->fork, whole);
    if (rows->exit)
        report_add_peer(rows->exit, host_munmap_pages(work->bytes) / units);
    if (!rows->failing || !host_fork_can_fail(&reason))
        return;
    ns = work->vmas
             ? host_fork_vmas_failing(work->vmas, work->pages != FORK_UNTOUCHED)
             : host_fork_pages_failing(work->bytes);
    report_add_peer(rows->failing, (ns - bare) / units);
    report_add_peer(rows->own, (ns - bare) / units / whole);
}

static void
measure_aspen(const struct fork_case *one, const struct rows_of_case *rows,
              double units)
{
    struct aspen_fork_times times = aspen_fork_measure(&one->work);

    report_add_aspen(rows->fork, times.fork / units);
    if (rows->failing) {
        report_add_aspen(rows->failing, times.failing / units);
        report_add_aspen(rows->own, times.failing / times.fork);
    }
    if (rows->exit)
        report_add_aspen(rows->exit, times.exit / units);
}

static struct rows_of_case
rows_of(const struct fork_case *one, struct report_row *rows, size_t *count)
{
    struct rows_of_case of = {0};

    of.fork =
        new_row(rows, count, "fork", one, peer, one->fork_target, fork_does);
    if (one->failing_target > 0) {
        of.failing = new_row(rows, count, "failing", one, peer,
                             one->failing_target, fork_does);
        of.own =
            new_row(rows, count, "failing/succeeding", one, peer, 0, fork_does);
        of.own->unit = "ratio";
    }
    if (one->exit_target > 0)
        of.exit = new_row(rows, count, "exit", one, peer_exit, one->exit_target,
                          exit_does);
    return of;
}

static void
size_row(struct report_row *rows, size_t *count, const char *name, size_t size,
         double limit)
{
    struct report_row *row = &rows[(*count)++];

    memset(row, 0, sizeof(*row));
    snprintf(row->name, sizeof(row->name), "%s", name);
    row->n = 1;
    row->unit = "bytes";
    row->target = limit;
    report_add_aspen(row, (double)size);
}

size_t
fork_rows(struct report_row *rows, unsigned runs, FILE *progress)
{
    size_t count = 0;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct fork_case *one = &cases[i];
        struct rows_of_case of = rows_of(one, rows, &count);
        for (unsigned run = 0; run < runs; run++) {
            if (progress)
                fprintf(progress, "\r%-28s %u/%u ", one->name, run + 1, runs);
            measure_aspen(one, &of, (double)units_of(one));
            measure_host(one, &of, (double)units_of(one));
        }
    }
    if (progress)
        fprintf(progress, "\r%-40s\r", "");
    size_row(rows, &count, "struct aspen_vma", sizeof(struct aspen_vma), 192);
    size_row(rows, &count, "struct aspen_mm", sizeof(struct aspen_mm), 1024);
    size_row(rows, &count, "struct aspen_frame", sizeof(struct aspen_frame),
             32);
    return count;
}
