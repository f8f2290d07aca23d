/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "tree_rows.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char aspen_program[] = "aspen-bench-tree";
static const char peer_program[] = "maple/maple_bench";
static const char peer[] = "linux maple tree (user space)";
static const char does[] =
    "entries that are values, searches for marked ones, trees of several "
    "kinds in one code, positions that survive an unlock; it runs here on a "
    "small allocator of its own and liburcu's call_rcu for each dead node";

static const unsigned sizes[] = {64, 1000, 10000, 100000};

/* What the project has set itself, by the beginning of a row's name; the
 * sizes that it is set for. */
static const struct target {
    const char *name;
    double ratio;
    bool large_only; /* 1,000 and 100,000 ranges */
} targets[] = {
    {"lookup", 0.6, true},
    {"find at or after", 0.6, true},
    {"walk", 0.5, true},
    {"build, in order, RCU", 0.5, true},
    {"build, in order, private", 0.7, true},
    {"build, random, RCU", 0.5, true},
    {"build, random, private", 0.7, true},
    {"store and erase mix, RCU", 0.5, true},
    {"store and erase mix, private", 0.7, true},
    {"split and merge, RCU", 0.5, true},
    {"split and merge, private", 0.7, true},
    {"erase and restore, RCU", 0.5, true},
    {"erase and restore, private", 0.7, true},
    {"duplicate and replace all", 0.5, true},
    {"duplicate, per entry", 0.7, true},
    {"gap search", 0.7, true},
    {"bytes an entry", 0.85, true},
};

static double
target_of(const char *name, uint64_t n)
{
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
        if (!strncmp(name, targets[i].name, strlen(targets[i].name)))
            return targets[i].large_only && n != 1000 && n != 100000
                       ? 0
                       : targets[i].ratio;
    return 0;
}

static struct report_row *
row_of(struct report_row *rows, size_t *count, const char *name, uint64_t n,
       const char *unit)
{
    for (size_t i = 0; i < *count; i++)
        if (rows[i].n == n && !strcmp(rows[i].name, name))
            return &rows[i];
    if (*count == TREE_ROWS_MAX)
        return NULL;
    struct report_row *row = &rows[(*count)++];
    memset(row, 0, sizeof(*row));
    snprintf(row->name, sizeof(row->name), "%.63s", name);
    row->n = n;
    row->unit = strcmp(unit, "bytes") ? "ns" : "bytes";
    row->peer_name = peer;
    row->peer_does = does;
    row->target = target_of(name, n);
    return row;
}

/* NAME N UNIT VALUE, where the name has spaces. */
static bool
parse_line(char *line, unsigned long long *n, char unit[16], double *value)
{
    for (unsigned words = 0; words < 3; words++) {
        char *space = strrchr(line, ' ');
        char *end = NULL;
        if (!space)
            return false;
        *space = '\0';
        if (words == 0)
            *value = strtod(space + 1, &end);
        else if (words == 1)
            snprintf(unit, 16, "%s", space + 1);
        else
            *n = strtoull(space + 1, &end, 10);
        if (end && *end)
            return false;
    }
    return true;
}

/* Run one side once; its values go to the rows. False: it cannot be run. */
static bool
run_side(const char *folder, const char *program, unsigned n,
         struct report_row *rows, size_t *count,
         void (*add)(struct report_row *row, double value))
{
    char command[PATH_MAX + 64];
    char line[256];
    char unit[16];
    unsigned long long at = 0;
    double value = 0;
    bool any = false;

    snprintf(command, sizeof(command), "'%s/%s' %u", folder, program, n);
    FILE *output = popen(command, "re");
    if (!output)
        return false;
    while (fgets(line, sizeof(line), output)) {
        line[strcspn(line, "\n")] = '\0';
        if (!parse_line(line, &at, unit, &value))
            continue;
        struct report_row *row = row_of(rows, count, line, at, unit);
        if (row)
            add(row, value);
        any = true;
    }
    return pclose(output) == 0 && any;
}

static bool
installed(const char *folder, const char *program)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", folder, program);
    return access(path, X_OK) == 0;
}

size_t
tree_rows(struct report_row *rows, const char *folder, unsigned runs,
          FILE *progress)
{
    bool with_peer = installed(folder, peer_program);
    size_t count = 0;

    if (!installed(folder, aspen_program)) {
        fprintf(stderr, "aspen bench: %s/%s is missing\n", folder,
                aspen_program);
        return 0;
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (unsigned run = 0; run < runs; run++) {
            if (progress)
                fprintf(progress, "\r%u ranges: %u/%u ", sizes[i], run + 1,
                        runs);
            if (!run_side(folder, aspen_program, sizes[i], rows, &count,
                          report_add_aspen))
                return 0;
            if (with_peer && !run_side(folder, peer_program, sizes[i], rows,
                                       &count, report_add_peer))
                with_peer = false;
        }
    }
    if (progress)
        fprintf(progress, "\r%-30s\r", "");
    return count;
}
