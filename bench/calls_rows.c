/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "calls_rows.h"

#include "calls_side.h"
#include "clock.h"
#include "extern_rows.h"
#include "tlb_rows.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const char peer[] = "linux";
static const char peer_zero[] = "memset of cold pages";
static const char peer_copy[] = "memcpy of cold pages";
static const char does[] =
    "system-call or exception entry and the TLB, under virtualisation; "
    "memory-group accounting, security hooks, LRU lists, statistics";

static const unsigned sizes[] = {26, 1000, 50000};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* ---- What bounds a fault ------------------------------------------------ */

/* For each of many pages in turn: more than caches hold. */
static double
zero_or_copy(bool copy)
{
    size_t bytes = CALLS_COLD_BYTES;
    char *memory = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 0;
    madvise(memory, 2 * bytes, MADV_NOHUGEPAGE);
    memset(memory, 1, 2 * bytes);
    double begin = clock_ns();
    for (size_t i = 0; i < bytes; i += CALLS_PAGE) {
        if (copy)
            memcpy(memory + i, memory + bytes + i, CALLS_PAGE);
        else
            memset(memory + i, 0, CALLS_PAGE);
        /* Each page is a call of its own, as it is in a fault. */
        __asm__ volatile("" ::: "memory");
    }
    double ns = clock_ns() - begin;
    munmap(memory, 2 * bytes);
    return ns / (double)(bytes / CALLS_PAGE);
}

/* ---- The calls ---------------------------------------------------------- */

struct call {
    const char *name;
    double (*const *aspen)(void *space);
    double (*const *host)(void *space);
    double target; /* of the ratio to the host's */
};

#define CALL(title, function, at_most)                                         \
    {                                                                          \
        title, &calls_of_aspen.function, &calls_of_host.function, at_most      \
    }

static const struct call calls[] = {
    CALL("mmap + munmap, 16 pages", map_unmap, 0.15),
    CALL("mmap, touch, munmap, 16 pages", map_touch_unmap, 0),
    CALL("mprotect, split + merge", split_merge, 0.15),
    CALL("mremap move, 16 touched pages", move_touched, 0.2),
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

static const struct call faults[] = {
    CALL("first touch", first_touch, 0.2),
    CALL("copy on write", copy_on_write, 0),
};
#define FAULTS (sizeof(faults) / sizeof(faults[0]))

static struct report_row *
new_row(struct report_row *rows, size_t *count, const char *name, uint64_t n,
        const char *peer_name, double target)
{
    struct report_row *row = &rows[(*count)++];

    memset(row, 0, sizeof(*row));
    snprintf(row->name, sizeof(row->name), "%s", name);
    row->n = n;
    row->unit = "ns";
    row->peer_name = peer_name;
    row->target = target;
    row->peer_does = peer_name == peer ? does : NULL;
    return row;
}

static void
say(FILE *progress, const char *what, unsigned run, unsigned runs)
{
    if (progress)
        fprintf(progress, "\r%-40s %u/%u ", what, run + 1, runs);
}

/* Every call, beside this many other VMAs; `rows` has one for each. */
static void
measure_calls(struct report_row *rows[], unsigned vmas, unsigned runs,
              FILE *progress)
{
    for (unsigned run = 0; run < runs; run++) {
        void *aspen = calls_of_aspen.open(vmas);
        void *host = calls_of_host.open(vmas);
        for (size_t i = 0; i < CALLS; i++) {
            say(progress, calls[i].name, run, runs);
            report_add_aspen(rows[i], (*calls[i].aspen)(aspen));
            report_add_peer(rows[i], (*calls[i].host)(host));
        }
        calls_of_host.close(host);
        calls_of_aspen.close(aspen);
    }
}

static void
measure_faults(struct report_row *rows[], struct report_row *bounds[],
               unsigned vmas, unsigned runs, FILE *progress)
{
    for (unsigned run = 0; run < runs; run++) {
        for (size_t i = 0; i < FAULTS; i++) {
            say(progress, faults[i].name, run, runs);
            void *aspen = calls_of_aspen.open(vmas);
            double ns = (*faults[i].aspen)(aspen);
            calls_of_aspen.close(aspen);
            report_add_aspen(rows[i], ns);
            report_add_aspen(bounds[i], ns);
            void *host = calls_of_host.open(vmas);
            report_add_peer(rows[i], (*faults[i].host)(host));
            calls_of_host.close(host);
            report_add_peer(bounds[i], zero_or_copy(i == 1));
        }
    }
}

/* Aspen beside itself: the most VMAs against the fewest. */
static void
flat_row(struct report_row *rows, size_t *count, const char *name,
         const struct report_row *few, const struct report_row *many)
{
    char title[64];
    snprintf(title, sizeof(title), "flat: %.50s", name);
    struct report_row *row = new_row(rows, count, title, many->n, NULL, 1.6);
    row->unit = "ratio";
    for (unsigned i = 0; i < many->aspen_count; i++)
        report_add_aspen(row, many->aspen[i] / few->aspen[i]);
}

size_t
calls_rows(struct report_row *rows, const char *folder, unsigned runs,
           FILE *progress)
{
    struct report_row *of_calls[SIZES][CALLS];
    struct report_row *of_faults[SIZES][FAULTS];
    size_t count = 0;

    for (size_t s = 0; s < SIZES; s++) {
        struct report_row *bounds[FAULTS];
        for (size_t i = 0; i < CALLS; i++)
            of_calls[s][i] = new_row(rows, &count, calls[i].name, sizes[s],
                                     peer, calls[i].target);
        measure_calls(of_calls[s], sizes[s], runs, progress);
        for (size_t i = 0; i < FAULTS; i++) {
            of_faults[s][i] = new_row(rows, &count, faults[i].name, sizes[s],
                                      peer, faults[i].target);
            bounds[i] =
                new_row(rows, &count, faults[i].name, sizes[s],
                        i == 1 ? peer_copy : peer_zero, i == 1 ? 1.4 : 1.5);
        }
        measure_faults(of_faults[s], bounds, sizes[s], runs, progress);
    }
    for (size_t i = 0; i < CALLS; i++)
        flat_row(rows, &count, calls[i].name, of_calls[0][i],
                 of_calls[SIZES - 1][i]);
    for (size_t i = 0; i < FAULTS; i++)
        flat_row(rows, &count, faults[i].name, of_faults[0][i],
                 of_faults[SIZES - 1][i]);
    count += extern_rows(&rows[count], folder, runs, progress);
    count += tlb_rows(&rows[count], runs, progress);
    if (progress)
        fprintf(progress, "\r%-50s\r", "");
    return count;
}
