/* SPDX-License-Identifier: MIT */
/*
 * areas.c - what is mapped, the host's and Aspen's, to be compared.
 *
 * Called by shadow and fuzz. tests/tools/fuzz.sh breaks first.
 */
#define _GNU_SOURCE
#include "snapshot/areas.h"
#include "snapshot/smaps.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

struct areas_pair {
    uint64_t theirs[2]; /* device, inode */
    uint64_t ours[2];
};

/* ---- Reading ------------------------------------------------------------ */

static const char *const names[AREAS_TEXTS] = {"maps", "smaps"};

bool
areas_is_segment(const char *path)
{
    return strncmp(path, "/SYSV", 5) == 0;
}

static bool
add_area(struct areas *areas, enum areas_text from,
         const struct smaps_area *area)
{
    const uint64_t told = from == AREAS_MAPS
                              ? ASPEN_VM_ACCESS | ASPEN_VM_MAYSHARE
                              : ~(uint64_t)ASPEN_VM_SOFTDIRTY;
    struct area *list =
        tool_room(areas->list, areas->count, &areas->room, sizeof(*list));

    if (!list)
        return false;
    areas->list = list;
    list[areas->count++] = (struct area){
        .start = area->start,
        .end = area->end,
        .offset = area->offset,
        .device = area->device,
        .inode = area->inode,
        .flags = snapshot_flags(area->permissions, area->vm_flags) & told,
        .memory = strcmp(area->path, "/dev/zero (deleted)") == 0,
        .segment = areas_is_segment(area->path),
        .nowhere = strncmp(area->path, "anon_inode:", 11) == 0 ||
                   strcmp(area->path, "/[aio] (deleted)") == 0,
    };
    return true;
}

static int
read_areas(struct areas *areas, enum areas_text from, FILE *file,
           struct tool_error *error)
{
    struct smaps_reader reader;
    struct smaps_area area;
    int got;

    smaps_begin(&reader, file);
    while ((got = smaps_next(&reader, &area, error)) == 1)
        if (!add_area(areas, from, &area)) {
            got = tool_fail(error, "no memory");
            break;
        }
    smaps_end(&reader);
    return got;
}

FILE *
areas_open(enum areas_text from, pid_t pid)
{
    char path[64];
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, names[from]);
    file = fopen(path, "re");
    /* More at once than the kilobyte that stdio takes from /proc. */
    if (file)
        setvbuf(file, NULL, _IOFBF, 16384);
    return file;
}

int
areas_of_file(struct areas *areas, enum areas_text from, FILE *file,
              struct tool_error *error)
{
    rewind(file);
    areas->count = 0;
    return read_areas(areas, from, file, error);
}

int
areas_of_host(struct areas *areas, enum areas_text from, pid_t pid,
              struct tool_error *error)
{
    FILE *file = areas_open(from, pid);
    int result;

    if (!file)
        return tool_fail(error, "cannot read %s: %s", names[from],
                         strerror(errno));
    areas->count = 0;
    result = read_areas(areas, from, file, error);
    fclose(file);
    return result;
}

static void
take_text(void *context, const char *text, size_t length)
{
    uint8_t *to = tool_buffer_add(context, length);

    if (to)
        memcpy(to, text, length);
}

/* The text is freed. */
static int
read_text(struct areas *areas, enum areas_text from, struct tool_buffer *text,
          struct tool_error *error)
{
    FILE *file = NULL;
    int result = 0;

    if (text->length && !text->failed)
        file = fmemopen(text->bytes, text->length, "r");
    if (file) {
        result = read_areas(areas, from, file, error);
        fclose(file);
    } else if (text->length || text->failed)
        result = tool_fail(error, "no memory");
    tool_buffer_free(text);
    return result;
}

int
areas_of_aspen(struct areas *areas, enum areas_text from, struct aspen_mm *mm,
               struct tool_error *error)
{
    struct tool_buffer text = {0};

    areas->count = 0;
    (from == AREAS_MAPS ? aspen_inspect_maps
                        : aspen_inspect_smaps)(mm, take_text, &text);
    return read_text(areas, from, &text, error);
}

/* ---- A part of them ----------------------------------------------------- */

/* Linux 6.11's PROCMAP_QUERY, which older headers lack. */
struct map_query {
    uint64_t size;
    uint64_t flags;
    uint64_t address;
    uint64_t start;
    uint64_t end;
    uint64_t access; /* as `permissions` of a snapshot, and 8: shared */
    uint64_t page_bytes;
    uint64_t offset;
    uint64_t inode;
    uint32_t major;
    uint32_t minor;
    uint32_t name_size;
    uint32_t build_id_size;
    uint64_t name;
    uint64_t build_id;
};

#define QUERY      _IOWR(0x66, 17, struct map_query)
#define QUERY_NEXT 0x10u /* or the next one, if nothing covers the address */

static uint32_t
permissions_of(uint64_t access)
{
    return (access & 1 ? SNAPSHOT_PERM_READ : 0) |
           (access & 2 ? SNAPSHOT_PERM_WRITE : 0) |
           (access & 4 ? SNAPSHOT_PERM_EXEC : 0) |
           (access & 8 ? SNAPSHOT_PERM_SHARED : 0);
}

int
areas_add_host(struct areas *areas, int maps, uint64_t start, uint64_t end,
               struct tool_error *error)
{
    char name[256];

    while (start < end) {
        struct map_query query = {
            .size = sizeof(query),
            .flags = QUERY_NEXT,
            .address = start,
            .name_size = sizeof(name),
            .name = (uintptr_t)name,
        };
        int result = ioctl(maps, QUERY, &query);
        if (result != 0 && errno == ENAMETOOLONG) {
            query.name_size = 0;
            query.name = 0;
            result = ioctl(maps, QUERY, &query);
        }
        if (result != 0)
            return errno == ENOENT || errno == ESRCH;
        if (query.start >= end)
            return 1;
        if (!add_area(areas, AREAS_MAPS,
                      &(struct smaps_area){
                          .start = query.start,
                          .end = query.end,
                          .permissions = permissions_of(query.access),
                          .offset = query.offset,
                          .device = (uint64_t)query.major << 32 | query.minor,
                          .inode = query.inode,
                          .path = query.name_size ? name : "",
                          .vm_flags = "",
                      }))
            return tool_fail(error, "no memory");
        start = query.end;
    }
    return 1;
}

int
areas_add_aspen(struct areas *areas, struct aspen_mm *mm, uint64_t start,
                uint64_t end, struct tool_error *error)
{
    struct tool_buffer text = {0};

    aspen_inspect_maps_range(mm, start, end, take_text, &text);
    return read_text(areas, AREAS_MAPS, &text, error);
}

void
areas_free(struct areas *areas)
{
    free(areas->list);
    *areas = (struct areas){0};
}

/* ---- Lists -------------------------------------------------------------- */

const struct area *
areas_at(const struct areas *areas, uint64_t address)
{
    for (size_t i = 0; i < areas->count; i++)
        if (areas->list[i].start <= address && address < areas->list[i].end)
            return &areas->list[i];
    return NULL;
}

static bool
can_join(const struct area *a, const struct area *b)
{
    return a->end == b->start && a->flags == b->flags &&
           a->device == b->device && a->inode == b->inode &&
           (a->inode == 0 || a->offset + (a->end - a->start) == b->offset);
}

void
areas_join(struct areas *areas)
{
    size_t kept = 0;

    for (size_t i = 1; i < areas->count; i++)
        if (can_join(&areas->list[kept], &areas->list[i]))
            areas->list[kept].end = areas->list[i].end;
        else
            areas->list[++kept] = areas->list[i];
    if (areas->count)
        areas->count = kept + 1;
}

void
areas_put(const struct areas *areas, size_t i, bool with_flags, char *text,
          size_t size)
{
    const struct area *area;
    int length;

    if (i >= areas->count) {
        snprintf(text, size, "nothing more");
        return;
    }
    area = &areas->list[i];
    length = snprintf(
        text, size,
        "%" PRIx64 "-%" PRIx64 " %c%c%c%c %" PRIx64 " %" PRIx64 ":%" PRIx64
        " %" PRIu64,
        area->start, area->end, area->flags & ASPEN_VM_READ ? 'r' : '-',
        area->flags & ASPEN_VM_WRITE ? 'w' : '-',
        area->flags & ASPEN_VM_EXEC ? 'x' : '-',
        area->flags & ASPEN_VM_MAYSHARE ? 's' : 'p', area->offset,
        area->device >> 32, area->device & UINT32_MAX, area->inode);
    if (with_flags && length > 0 && (size_t)length < size)
        snprintf(text + length, size - (size_t)length, " (flags %#" PRIx64 ")",
                 area->flags);
}

/* ---- Comparing ---------------------------------------------------------- */

bool
areas_same_file(struct areas_files *files, const struct area *theirs,
                const struct area *ours)
{
    const struct areas_pair pair = {{theirs->device, theirs->inode},
                                    {ours->device, ours->inode}};
    bool memory = theirs->memory && ours->memory;
    struct areas_pair *list;

    if (theirs->inode == 0 || ours->inode == 0 ||
        (files->memory_only && !memory))
        return memcmp(pair.theirs, pair.ours, sizeof(pair.ours)) == 0;
    for (size_t i = 0; i < files->count; i++) {
        const struct areas_pair *known = &files->list[i];
        bool same_theirs =
            memcmp(known->theirs, pair.theirs, sizeof(pair.theirs)) == 0;
        bool same_ours = memcmp(known->ours, pair.ours, sizeof(pair.ours)) == 0;
        if (same_theirs || same_ours)
            return same_theirs && same_ours;
    }
    list = tool_room(files->list, files->count, &files->room, sizeof(*list));
    if (!list)
        return false;
    files->list = list;
    list[files->count++] = pair;
    return true;
}

void
areas_files_free(struct areas_files *files)
{
    free(files->list);
    *files = (struct areas_files){0};
}

static bool
same_area(struct areas_files *files, const struct area *theirs,
          const struct area *ours, uint64_t flags)
{
    return theirs->start == ours->start && theirs->end == ours->end &&
           ((theirs->flags ^ ours->flags) & flags) == 0 &&
           theirs->offset == ours->offset &&
           areas_same_file(files, theirs, ours);
}

size_t
areas_difference(struct areas_files *files, const struct areas *theirs,
                 const struct areas *ours, uint64_t flags)
{
    size_t i = 0;

    while (i < theirs->count && i < ours->count &&
           same_area(files, &theirs->list[i], &ours->list[i], flags))
        i++;
    return i < theirs->count || i < ours->count ? i : SIZE_MAX;
}
