/* SPDX-License-Identifier: MIT */
/*
 * smaps.c - the text of /proc/P/smaps, area by area.
 *
 * An area is a line of /proc/P/maps and then fields "Name: value". Fields
 * differ between kernels: those that are not known are skipped, those that
 * are missing count as zero. Names of special areas differ too ("[vvar]",
 * "[vvar_vclock]"), so nothing here goes by them.
 *
 * Called by capture.c. tests/unit/tools/test_smaps.c breaks first.
 */
#define _GNU_SOURCE
#include "snapshot/smaps.h"

#include <aspen/flags.h>

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct field {
    const char *name;
    size_t offset; /* in struct smaps_area; values are added up */
};

#define FIELD(name, member)                                                    \
    {                                                                          \
        name, offsetof(struct smaps_area, member)                              \
    }

static const struct field fields[] = {
    FIELD("Rss:", rss_kb),
    FIELD("Swap:", swap_kb),
    FIELD("Anonymous:", anonymous_kb),
    FIELD("AnonHugePages:", anon_huge_kb),
    FIELD("ShmemPmdMapped:", file_huge_kb),
    FIELD("FilePmdMapped:", file_huge_kb),
    FIELD("Shared_Hugetlb:", hugetlb_kb),
    FIELD("Private_Hugetlb:", hugetlb_kb),
    FIELD("KernelPageSize:", page_kb),
    FIELD("ProtectionKey:", pkey),
};

static bool
take_hex(const char **at, uint64_t *value)
{
    const char *text = *at;

    *value = 0;
    for (; isxdigit((unsigned char)*text); text++) {
        unsigned digit =
            (unsigned)(*text <= '9' ? *text - '0' : (*text | 32) - 'a' + 10);

        if (*value >> 60 != 0)
            return false;
        *value = *value << 4 | digit;
    }
    if (text == *at)
        return false;
    *at = text;
    return true;
}

static bool
take_decimal(const char **at, uint64_t *value)
{
    const char *text = *at;

    *value = 0;
    for (; isdigit((unsigned char)*text); text++) {
        if (*value > UINT64_MAX / 10 - 1)
            return false;
        *value = *value * 10 + (unsigned)(*text - '0');
    }
    if (text == *at)
        return false;
    *at = text;
    return true;
}

static bool
take_character(const char **at, char wanted)
{
    if (**at != wanted)
        return false;
    (*at)++;
    return true;
}

static bool
take_permissions(const char **at, uint32_t *permissions)
{
    static const char letters[] = "rwx";
    const char *text = *at;

    *permissions = 0;
    for (unsigned i = 0; i < 3; i++) {
        if (text[i] == letters[i])
            *permissions |= 1u << i;
        else if (text[i] != '-')
            return false;
    }
    if (text[3] == 's')
        *permissions |= SNAPSHOT_PERM_SHARED;
    else if (text[3] != 'p')
        return false;
    *at = text + 4;
    return true;
}

/* "start-end rwxp offset major:minor inode   path" */
static bool
parse_first_line(const char *line, struct smaps_area *area)
{
    uint64_t major;
    uint64_t minor;

    if (!take_hex(&line, &area->start) || !take_character(&line, '-') ||
        !take_hex(&line, &area->end) || !take_character(&line, ' ') ||
        !take_permissions(&line, &area->permissions) ||
        !take_character(&line, ' ') || !take_hex(&line, &area->offset) ||
        !take_character(&line, ' ') || !take_hex(&line, &major) ||
        !take_character(&line, ':') || !take_hex(&line, &minor) ||
        !take_character(&line, ' ') || !take_decimal(&line, &area->inode))
        return false;
    while (*line == ' ')
        line++;
    area->path = line;
    area->device = major << 32 | (minor & UINT32_MAX);
    return area->start < area->end;
}

static void
parse_field(struct smaps_reader *reader, const char *line,
            struct smaps_area *area)
{
    size_t length = strcspn(line, " ");
    const char *value = line + length + strspn(line + length, " ");
    uint64_t number;

    if (strncmp(line, "VmFlags:", 8) == 0) {
        snprintf(reader->vm_flags, sizeof(reader->vm_flags), "%s", value);
        length = strlen(reader->vm_flags);
        while (length > 0 && reader->vm_flags[length - 1] == ' ')
            reader->vm_flags[--length] = '\0';
        return;
    }
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (strlen(fields[i].name) == length &&
            memcmp(line, fields[i].name, length) == 0 &&
            take_decimal(&value, &number)) {
            uint64_t *member =
                (uint64_t *)(void *)((char *)area + fields[i].offset);

            *member += number;
        }
}

/* A field's name begins with a letter and ends with a colon. */
static bool
is_field(const char *line)
{
    size_t length = strcspn(line, " ");

    return isalpha((unsigned char)line[0]) && length > 1 &&
           line[length - 1] == ':';
}

static int
read_line(struct smaps_reader *reader, struct tool_error *error)
{
    ssize_t length;

    errno = 0;
    length = getline(&reader->next_line, &reader->next_size, reader->file);
    if (length < 0) {
        reader->has_next = false;
        if (ferror(reader->file) || !feof(reader->file))
            return tool_fail(error, "cannot read smaps: %s",
                             strerror(errno != 0 ? errno : EIO));
        return 0;
    }
    if (length > 0 && reader->next_line[length - 1] == '\n')
        reader->next_line[length - 1] = '\0';
    reader->has_next = true;
    return 1;
}

static void
swap_lines(struct smaps_reader *reader)
{
    char *line = reader->line;
    size_t size = reader->line_size;

    reader->line = reader->next_line;
    reader->line_size = reader->next_size;
    reader->next_line = line;
    reader->next_size = size;
}

static int
read_area(struct smaps_reader *reader, struct smaps_area *area,
          struct tool_error *error)
{
    int got;

    memset(area, 0, sizeof(*area));
    reader->vm_flags[0] = '\0';
    swap_lines(reader); /* the path in `area` points into reader->line */
    if (!parse_first_line(reader->line, area))
        return tool_fail(error, "smaps: not the first line of an area: %.80s",
                         reader->line);
    while ((got = read_line(reader, error)) == 1 && is_field(reader->next_line))
        parse_field(reader, reader->next_line, area);
    if (got < 0)
        return -1;
    if (area->page_kb == 0)
        area->page_kb = 4;
    if (area->pkey > SNAPSHOT_PERM_PKEY >> SNAPSHOT_PERM_PKEY_SHIFT)
        return tool_fail(error, "smaps: no protection key: %" PRIu64,
                         area->pkey);
    area->permissions |= (uint32_t)area->pkey << SNAPSHOT_PERM_PKEY_SHIFT;
    area->vm_flags = reader->vm_flags;
    return 1;
}

/*
 * Shared memory counts apart from files (RssShmem), but nothing in smaps
 * names it. These are the names that the kernel itself gives it; a file on a
 * tmpfs elsewhere counts as a file.
 */
static bool
is_shared_memory(const char *path)
{
    return strncmp(path, "/memfd:", 7) == 0 || strncmp(path, "/SYSV", 5) == 0 ||
           strncmp(path, "/dev/shm/", 9) == 0 ||
           strcmp(path, "/dev/zero (deleted)") == 0 ||
           strncmp(path, "[anon_shmem:", 12) == 0;
}

void
smaps_begin(struct smaps_reader *reader, FILE *file)
{
    memset(reader, 0, sizeof(*reader));
    reader->file = file;
}

void
smaps_end(struct smaps_reader *reader)
{
    free(reader->line);
    free(reader->next_line);
    memset(reader, 0, sizeof(*reader));
}

int
smaps_next(struct smaps_reader *reader, struct smaps_area *area,
           struct tool_error *error)
{
    int got;

    if (reader->line == NULL && (got = read_line(reader, error)) != 1)
        return got;
    while (reader->has_next) {
        got = read_area(reader, area, error);
        if (got != 1 || area->start < SNAPSHOT_ADDRESS_LIMIT)
            return got;
    }
    return 0;
}

int
smaps_object(struct snapshot *snapshot, const struct smaps_area *area,
             uint32_t *object)
{
    uint64_t flags = snapshot_flags(area->permissions, area->vm_flags);
    enum snapshot_object_kind kind = SNAPSHOT_OBJECT_FILE;
    uint64_t inode = area->inode;

    *object = SNAPSHOT_NO_OBJECT;
    if (inode == 0 && area->device == 0) {
        /* Only special mappings may not grow and yet have no file. Each is an
         * object of its own, keyed by its address. */
        if ((flags &
             (ASPEN_VM_DONTEXPAND | ASPEN_VM_PFNMAP | ASPEN_VM_SHARED)) == 0)
            return 0;
        kind = SNAPSHOT_OBJECT_SPECIAL;
        inode = area->start >> SNAPSHOT_PAGE_SHIFT;
    } else if ((flags & ASPEN_VM_HUGETLB) != 0)
        kind = SNAPSHOT_OBJECT_HUGETLB;
    else if ((flags & ASPEN_VM_PFNMAP) != 0)
        kind = SNAPSHOT_OBJECT_DEVICE;
    else if (is_shared_memory(area->path))
        kind = SNAPSHOT_OBJECT_SHMEM;
    *object = snapshot_object(snapshot, area->device, inode, kind);
    return *object == SNAPSHOT_NO_OBJECT ? -1 : 0;
}
