/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "extern_rows.h"

#include "calls_side.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char program[] = "aspen-bench-extern";
static const char peer[] = "the same port, inline";

#define VMAS 26u

static double (*const *const inline_calls[EXTERN_ROWS])(void *space) = {
    &calls_of_aspen.map_unmap,   &calls_of_aspen.map_touch_unmap,
    &calls_of_aspen.split_merge, &calls_of_aspen.move_touched,
    &calls_of_aspen.first_touch, &calls_of_aspen.copy_on_write,
};

/* One line for each row: nanoseconds, then the name. */
static bool
run_extern(const char *path, struct report_row *rows)
{
    char command[PATH_MAX + 64];
    char line[256];
    size_t i = 0;

    snprintf(command, sizeof(command), "'%s' %u", path, VMAS);
    FILE *output = popen(command, "re");
    if (!output)
        return false;
    while (i < EXTERN_ROWS && fgets(line, sizeof(line), output)) {
        char *name;
        double value = strtod(line, &name);
        line[strcspn(line, "\n")] = '\0';
        if (*name != ' ')
            break;
        snprintf(rows[i].name, sizeof(rows[i].name), "extern: %.50s", name + 1);
        report_add_aspen(&rows[i++], value);
    }
    return pclose(output) == 0 && i == EXTERN_ROWS;
}

size_t
extern_rows(struct report_row *rows, const char *folder, unsigned runs,
            FILE *progress)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", folder, program);
    if (access(path, X_OK) != 0)
        return 0;
    memset(rows, 0, EXTERN_ROWS * sizeof(*rows));
    for (size_t i = 0; i < EXTERN_ROWS; i++) {
        rows[i].n = VMAS;
        rows[i].unit = "ns";
        rows[i].peer_name = peer;
    }
    for (unsigned run = 0; run < runs; run++) {
        if (progress)
            fprintf(progress, "\r%-40s %u/%u ", "ports/extern", run + 1, runs);
        if (!run_extern(path, rows))
            return 0;
        for (size_t i = 0; i < EXTERN_ROWS; i++) {
            void *space = calls_of_aspen.open(VMAS);
            report_add_peer(&rows[i], (*inline_calls[i])(space));
            calls_of_aspen.close(space);
        }
    }
    return EXTERN_ROWS;
}
