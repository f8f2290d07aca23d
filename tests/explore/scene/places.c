/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "places.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

extern const char __executable_start[];

/* What the program's file calls the address. */
static uintptr_t
in_file(const void *address)
{
    const Elf64_Ehdr *header = (const void *)__executable_start;
    uintptr_t base = (uintptr_t)header;

    return (uintptr_t)address - (header->e_type == ET_DYN ? base : 0);
}

/* ---- Places in the sources ----------------------------------------------- */

/* What every step passes, and says nothing of it. */
static bool
is_of_the_telling(const char *path)
{
    static const char *const parts[] = {
        "/ports/sim/", "/src/base/atomic.h", "/src/base/lock",
        "/tests/mmu/", "/scene/explore.c",   "/scene/serve.c"};

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (strstr(path, parts[i]))
            return true;
    return false;
}

/* From the project's root on. */
static const char *
in_project(const char *path)
{
    static const char *const roots[] = {"/src/", "/tests/", "/ports/"};
    const char *best = path;

    for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++)
        for (const char *at = path; (at = strstr(at, roots[i])); at++)
            if (at + 1 > best)
                best = at + 1;
    return best;
}

static FILE *
ask_addr2line(void *const *rows, size_t count)
{
    char command[PATH_MAX + 200], self[PATH_MAX];
    char questions[] = "/tmp/aspen-places-XXXXXX";
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    int file = mkstemp(questions);
    FILE *out = NULL;

    if (file < 0 || length < 0)
        return NULL;
    self[length] = '\0';
    for (size_t row = 0; row < count; rows++) {
        /* The call, not what it returns to; 0 ends a row. */
        dprintf(file, "0x%lx\n", *rows ? in_file(*rows) - 1 : 0ul);
        row += !*rows;
    }
    close(file);
    snprintf(command, sizeof(command),
             "addr2line -a -f -i -e '%s' <%s 2>/dev/null; rm -f %s", self,
             questions, questions);
    out = popen(command, "r");
    return out;
}

static bool
read_line(FILE *from, char *line, size_t size)
{
    if (!fgets(line, (int)size, from))
        return false;
    line[strcspn(line, "\n")] = '\0';
    return true;
}

void
places_of(void *const *rows, struct place *places, size_t count)
{
    FILE *answers = ask_addr2line(rows, count);
    char line[PATH_MAX], path[PATH_MAX];
    size_t row = 0;

    memset(places, 0, count * sizeof(*places));
    while (answers && row < count && read_line(answers, line, sizeof(line))) {
        if (strncmp(line, "0x", 2) == 0) { /* the next address */
            row += strtoull(line, NULL, 16) == 0;
            continue;
        }
        if (!read_line(answers, path, sizeof(path)))
            break;
        path[strcspn(path, " ")] = '\0'; /* (discriminator 1) */
        if (places[row].where[0] || path[0] == '?' || is_of_the_telling(path))
            continue;
        snprintf(places[row].where, sizeof(places[row].where), "%.95s",
                 in_project(path));
        snprintf(places[row].function, sizeof(places[row].function), "%.63s",
                 line);
    }
    if (answers)
        pclose(answers);
}

/* ---- Variables ------------------------------------------------------------
 */

static const char *
own_file(void)
{
    static const char *bytes;
    struct stat status;
    int file;

    if (bytes)
        return bytes;
    file = open("/proc/self/exe", O_RDONLY);
    if (file < 0 || fstat(file, &status))
        return NULL;
    void *mapped =
        mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    bytes = mapped == MAP_FAILED ? NULL : mapped;
    return bytes;
}

static const Elf64_Sym *
find_symbol(const Elf64_Sym *symbols, size_t count, uintptr_t address)
{
    for (size_t i = 0; i < count; i++)
        if (ELF64_ST_TYPE(symbols[i].st_info) == STT_OBJECT &&
            address - symbols[i].st_value < symbols[i].st_size)
            return &symbols[i];
    return NULL;
}

void
places_variable(const void *address, char *out, size_t size)
{
    const char *bytes = own_file();
    const Elf64_Ehdr *header = (const void *)bytes;
    uintptr_t wanted = in_file(address);

    out[0] = '\0';
    if (!bytes)
        return;
    const Elf64_Shdr *sections = (const void *)(bytes + header->e_shoff);
    for (unsigned i = 0; i < header->e_shnum; i++) {
        if (sections[i].sh_type != SHT_SYMTAB)
            continue;
        const Elf64_Sym *symbol =
            find_symbol((const void *)(bytes + sections[i].sh_offset),
                        sections[i].sh_size / sizeof(Elf64_Sym), wanted);
        if (symbol)
            snprintf(out, size, "%s + 0x%lx",
                     bytes + sections[sections[i].sh_link].sh_offset +
                         symbol->st_name,
                     wanted - symbol->st_value);
        return;
    }
}
