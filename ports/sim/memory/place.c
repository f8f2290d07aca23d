/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "place.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern const char __executable_start[]; /* the linker's */

uint32_t
place_of(const void *address)
{
    return (uint32_t)((const char *)address - __executable_start);
}

/* A line of its answer without its end. */
static bool
read_line(FILE *file, char *line, size_t size)
{
    if (!fgets(line, (int)size, file))
        return false;
    line[strcspn(line, "\n")] = '\0';
    return true;
}

void
place_name(uint32_t place, char *name, size_t size)
{
    char command[96];
    char function[64] = "";
    char line[64] = "";

    snprintf(name, size, "+%#x", place);
    /* The call is what comes before the return address. */
    snprintf(command, sizeof(command),
             "addr2line -f -s -e /proc/%ld/exe %#x 2>/dev/null", (long)getpid(),
             place - 1);
    FILE *answer = popen(command, "r");
    if (!answer)
        return;
    if (read_line(answer, function, sizeof(function)) &&
        read_line(answer, line, sizeof(line)) && function[0] != '?')
        snprintf(name, size, "%s %s", function, line);
    pclose(answer);
}
