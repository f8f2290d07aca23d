/* SPDX-License-Identifier: MIT */
/* settings.c - what stands in files of /proc and /sys. */
#include "host/settings.h"

#include <stdio.h>
#include <string.h>

uint64_t
host_number_in(const char *path, uint64_t otherwise)
{
    unsigned long long number;
    FILE *file = fopen(path, "re");

    if (!file)
        return otherwise;
    bool found = fscanf(file, "%llu", &number) == 1;
    fclose(file);
    return found ? number : otherwise;
}

bool
host_file_says(const char *path, const char *word)
{
    char text[256];
    FILE *file = fopen(path, "re");

    if (!file)
        return false;
    bool found = fgets(text, sizeof(text), file) && strstr(text, word);
    fclose(file);
    return found;
}
