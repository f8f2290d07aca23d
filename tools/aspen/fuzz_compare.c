/* SPDX-License-Identifier: MIT */
/*
 * fuzz_compare.c - a scratch process and its model: is there the same?
 *
 * After each operation mappings, and which pages of private anonymous memory
 * are there and what they begin with (of large areas the first pages and the
 * last); at the end of a sequence all else that the host shows.
 *
 * Called by fuzz_pair.c. tests/tools/fuzz.sh breaks first.
 */
#define _GNU_SOURCE
#include "fuzz_session.h"
#include "smaps.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOKED_AT 32u /* pages at either end of an area */
#define BYTES     8u  /* of a page, after each operation */

#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SWAP    (UINT64_C(1) << 62)
#define PAGEMAP_GUARD   (UINT64_C(1) << 58)

static enum fuzz_result differs(struct fuzz_pair *pair, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static enum fuzz_result
differs(struct fuzz_pair *pair, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(pair->compare.what, sizeof(pair->compare.what), format,
              arguments);
    va_end(arguments);
    return FUZZ_DIFFERENT;
}

static enum fuzz_result
broken(struct fuzz_pair *pair, const char *what)
{
    tool_fail(&pair->error, "cannot read %s: %s", what, strerror(errno));
    return FUZZ_BROKEN;
}

/* ---- Lists of areas ----------------------------------------------------- */

static bool
add_area(struct fuzz_areas *areas, const struct fuzz_area *area)
{
    if (areas->count == areas->room) {
        size_t room = areas->room ? areas->room * 2 : 64;
        struct fuzz_area *list = realloc(areas->list, room * sizeof(*list));

        if (!list)
            return false;
        areas->list = list;
        areas->room = room;
    }
    areas->list[areas->count++] = *area;
    return true;
}

static uint64_t
hexadecimal(const char **at)
{
    uint64_t value = 0;

    for (;; ++*at) {
        unsigned digit = (unsigned)**at;
        if (digit >= '0' && digit <= '9')
            digit -= '0';
        else if (digit >= 'a' && digit <= 'f')
            digit -= 'a' - 10;
        else
            return value;
        value = value << 4 | digit;
    }
}

/* "start-end rwxp offset major:minor inode path": read by hand, since this is
 * done twice for each operation. */
static const char *
parse_area(const char *at, struct fuzz_area *area)
{
    uint64_t major;

    area->start = hexadecimal(&at);
    at++;
    area->end = hexadecimal(&at);
    area->flags = (at[1] == 'r' ? ASPEN_VM_READ : 0) |
                  (at[2] == 'w' ? ASPEN_VM_WRITE : 0) |
                  (at[3] == 'x' ? ASPEN_VM_EXEC : 0) |
                  (at[4] == 's' ? ASPEN_VM_MAYSHARE : 0);
    at += 6;
    area->offset = hexadecimal(&at);
    at++;
    major = hexadecimal(&at);
    at++;
    area->device = major << 32 | hexadecimal(&at);
    area->inode = strtoull(at, NULL, 10);
    at = strchr(at, '\n');
    return at ? at + 1 : NULL;
}

bool
fuzz_areas_parse(const char *text, struct fuzz_areas *areas)
{
    struct fuzz_area area;

    areas->count = 0;
    while (text && *text) {
        text = parse_area(text, &area);
        /* [vsyscall] is none of the process. */
        if (area.start >> 63 == 0 && !add_area(areas, &area))
            return false;
    }
    return true;
}

/* ---- Mappings ----------------------------------------------------------- */

static bool
make_room(struct fuzz_compare *compare, size_t length)
{
    char *text;

    if (length < compare->text_room)
        return true;
    text = realloc(compare->text, 2 * length + 4096);
    if (!text)
        return false;
    compare->text = text;
    compare->text_room = 2 * length + 4096;
    return true;
}

static bool
read_theirs(struct fuzz_pair *pair, unsigned process)
{
    struct fuzz_compare *compare = &pair->compare;
    int file = pair->kernel.maps[process];
    size_t length = 0;
    ssize_t got;

    do {
        if (!make_room(compare, length + 4096))
            return false;
        got = pread(file, compare->text + length,
                    compare->text_room - length - 1, (off_t)length);
        if (got > 0)
            length += (size_t)got;
    } while (got > 0);
    compare->text[length] = '\0';
    return got == 0 && fuzz_areas_parse(compare->text, &compare->theirs);
}

struct sink {
    struct fuzz_compare *compare;
    size_t length;
    bool failed;
};

static void
take_text(void *context, const char *text, size_t length)
{
    struct sink *sink = context;

    if (!make_room(sink->compare, sink->length + length + 1)) {
        sink->failed = true;
        return;
    }
    memcpy(sink->compare->text + sink->length, text, length);
    sink->length += length;
}

static bool
read_ours(struct fuzz_pair *pair, unsigned process)
{
    struct sink sink = {.compare = &pair->compare};

    aspen_inspect_maps(pair->model.process[process], take_text, &sink);
    if (sink.failed || !make_room(sink.compare, sink.length + 1))
        return false;
    sink.compare->text[sink.length] = '\0';
    return fuzz_areas_parse(sink.compare->text, &sink.compare->ours);
}

/* Who meets first stands for each other. */
static bool
same_name(struct fuzz_names *names, const struct fuzz_area *theirs,
          const struct fuzz_area *ours)
{
    const struct fuzz_name name = {{theirs->device, theirs->inode},
                                   {ours->device, ours->inode}};

    if (theirs->inode == 0 || ours->inode == 0)
        return theirs->inode == ours->inode;
    for (unsigned i = 0; i < names->used; i++) {
        const struct fuzz_name *known = &names->list[i];
        bool same_theirs =
            memcmp(known->theirs, name.theirs, sizeof(name.theirs)) == 0;
        bool same_ours = memcmp(known->ours, name.ours, sizeof(name.ours)) == 0;
        if (same_theirs || same_ours)
            return same_theirs && same_ours;
    }
    if (names->used < sizeof(names->list) / sizeof(names->list[0]))
        names->list[names->used++] = name;
    return true;
}

static void
area_text(const struct fuzz_areas *areas, size_t i, char *text, size_t size)
{
    const struct fuzz_area *area = &areas->list[i];

    if (i >= areas->count) {
        snprintf(text, size, "nothing more");
        return;
    }
    snprintf(text, size,
             "%" PRIx64 "-%" PRIx64 " %c%c%c%c %" PRIx64 " %" PRIx64 ":%" PRIx64
             " %" PRIu64 " (flags %#" PRIx64 ")",
             area->start, area->end, area->flags & ASPEN_VM_READ ? 'r' : '-',
             area->flags & ASPEN_VM_WRITE ? 'w' : '-',
             area->flags & ASPEN_VM_EXEC ? 'x' : '-',
             area->flags & ASPEN_VM_MAYSHARE ? 's' : 'p', area->offset,
             area->device >> 32, area->device & UINT32_MAX, area->inode,
             area->flags);
}

static enum fuzz_result
compare_lists(struct fuzz_pair *pair, const char *what)
{
    struct fuzz_compare *compare = &pair->compare;
    size_t most = compare->theirs.count > compare->ours.count
                      ? compare->theirs.count
                      : compare->ours.count;
    char theirs_text[160], ours_text[160];

    for (size_t i = 0; i < most; i++) {
        const struct fuzz_area *theirs = &compare->theirs.list[i];
        const struct fuzz_area *ours = &compare->ours.list[i];

        if (i < compare->theirs.count && i < compare->ours.count &&
            theirs->start == ours->start && theirs->end == ours->end &&
            theirs->flags == ours->flags && theirs->offset == ours->offset &&
            same_name(&compare->names, theirs, ours))
            continue;
        area_text(&compare->theirs, i, theirs_text, sizeof(theirs_text));
        area_text(&compare->ours, i, ours_text, sizeof(ours_text));
        return differs(pair, "%s: kernel %s, Aspen %s", what, theirs_text,
                       ours_text);
    }
    return FUZZ_SAME;
}

static enum fuzz_result
compare_maps(struct fuzz_pair *pair, unsigned process)
{
    if (!read_theirs(pair, process) || !read_ours(pair, process))
        return broken(pair, "maps");
    return compare_lists(pair, "maps");
}

/* ---- Pages of private anonymous memory ---------------------------------- */

/* Some pages of an area, and which of them are there. */
struct look {
    uint64_t start;
    unsigned count;
    bool there[LOOKED_AT];
};

static bool
is_there(const struct fuzz_pair *pair, uint64_t entry)
{
    return entry & PAGEMAP_PRESENT ||
           (entry & PAGEMAP_SWAP && !(entry & PAGEMAP_GUARD) &&
            pair->kernel.swaps);
}

static enum fuzz_result
compare_residency(struct fuzz_pair *pair, unsigned process, struct look *look)
{
    uint64_t theirs[LOOKED_AT];
    uint8_t ours[LOOKED_AT];
    size_t size = look->count * sizeof(theirs[0]);

    if (pread(pair->kernel.pagemap[process], theirs, size,
              (off_t)(look->start / FUZZ_PAGE * 8)) != (ssize_t)size)
        return broken(pair, "pagemap");
    if (aspen_mincore(pair->model.process[process], look->start,
                      look->count * FUZZ_PAGE, ours) != 0)
        return differs(pair, "residency: Aspen does not tell it");
    for (unsigned i = 0; i < look->count; i++) {
        look->there[i] = is_there(pair, theirs[i]);
        if (look->there[i] != (ours[i] & 1))
            return differs(
                pair, "residency of %" PRIx64 ": kernel %d, Aspen %d",
                look->start + i * FUZZ_PAGE, look->there[i], ours[i] & 1);
    }
    return FUZZ_SAME;
}

/* The bytes that a processor would see; NULL: it would fault. */
static const uint8_t *
our_bytes(struct fuzz_pair *pair, unsigned process, uint64_t address)
{
    uint32_t frame;

    if (aspen_translate(pair->model.process[process], address,
                        ASPEN_ACCESS_READ, &frame) != 0)
        return NULL;
    return (uint8_t *)pair->model.direct_map + frame * FUZZ_PAGE;
}

static enum fuzz_result
compare_page(struct fuzz_pair *pair, unsigned process, uint64_t address,
             const uint8_t *theirs, size_t size)
{
    const uint8_t *ours = our_bytes(pair, process, address);
    size_t at = 0;

    if (!ours)
        return differs(pair, "contents of %" PRIx64 ": Aspen faults", address);
    if (memcmp(theirs, ours, size) == 0)
        return FUZZ_SAME;
    while (theirs[at] == ours[at])
        at++;
    return differs(pair, "contents of %" PRIx64 ": kernel %d, Aspen %d",
                   address + at, theirs[at], ours[at]);
}

/* By /proc/P/mem: process_vm_readv pins pages, and so ends their sharing. */
static enum fuzz_result
compare_contents(struct fuzz_pair *pair, unsigned process,
                 const struct look *look, size_t size)
{
    enum fuzz_result result = FUZZ_SAME;
    uint8_t theirs[FUZZ_PAGE];

    for (unsigned i = 0; i < look->count && result == FUZZ_SAME; i++) {
        uint64_t address = look->start + i * FUZZ_PAGE;
        if (!look->there[i])
            continue;
        if (pread(pair->kernel.memory[process], theirs, size, (off_t)address) !=
            (ssize_t)size)
            return broken(pair, "memory");
        result = compare_page(pair, process, address, theirs, size);
    }
    return result;
}

static enum fuzz_result
compare_look(struct fuzz_pair *pair, unsigned process,
             const struct fuzz_area *area, uint64_t start, uint64_t end,
             size_t size)
{
    struct look look = {.start = start,
                        .count = (unsigned)((end - start) / FUZZ_PAGE)};
    enum fuzz_result result = compare_residency(pair, process, &look);

    if (result == FUZZ_SAME && area->flags & ASPEN_VM_READ)
        result = compare_contents(pair, process, &look, size);
    return result;
}

/* `all`: all pages and all their bytes. */
static enum fuzz_result
compare_area(struct fuzz_pair *pair, unsigned process,
             const struct fuzz_area *area, bool all)
{
    const uint64_t look = LOOKED_AT * FUZZ_PAGE;
    enum fuzz_result result = FUZZ_SAME;
    uint64_t end;

    for (uint64_t start = area->start; start < area->end && result == FUZZ_SAME;
         start = end) {
        if (!all && start == area->start + look && area->end - start > look)
            start = area->end - look;
        end = area->end - start > look ? start + look : area->end;
        result = compare_look(pair, process, area, start, end,
                              all ? FUZZ_PAGE : BYTES);
    }
    return result;
}

static enum fuzz_result
compare_memory(struct fuzz_pair *pair, unsigned process, bool all)
{
    enum fuzz_result result = FUZZ_SAME;

    for (size_t i = 0; i < pair->compare.theirs.count && result == FUZZ_SAME;
         i++) {
        const struct fuzz_area *area = &pair->compare.theirs.list[i];
        if (area->inode == 0 && area->start != FUZZ_EXECUTOR)
            result = compare_area(pair, process, area, all);
    }
    return result;
}

enum fuzz_result
fuzz_compare_quickly(struct fuzz_pair *pair, unsigned process)
{
    enum fuzz_result result = compare_maps(pair, process);

    return result == FUZZ_SAME ? compare_memory(pair, process, false) : result;
}

/* ---- VmFlags ------------------------------------------------------------ */

static bool
read_smaps(struct fuzz_pair *pair, FILE *file, struct fuzz_areas *areas)
{
    struct smaps_reader reader;
    struct smaps_area from;
    bool good = true;
    int got = 0;

    areas->count = 0;
    if (!file)
        return false;
    smaps_begin(&reader, file);
    while (good && (got = smaps_next(&reader, &from, &pair->error)) == 1) {
        struct fuzz_area area = {
            .start = from.start,
            .end = from.end,
            .offset = from.offset,
            .device = from.device,
            .inode = from.inode,
            .flags = snapshot_flags(from.permissions, from.vm_flags) &
                     ~(uint64_t)ASPEN_VM_SOFTDIRTY,
        };
        /* See split_reason() in fuzz_pair.c. */
        if (pair->has_filled)
            area.flags &= ~(uint64_t)ASPEN_VM_ACCOUNT;
        good = add_area(areas, &area);
    }
    smaps_end(&reader);
    fclose(file);
    return good && got == 0;
}

static bool
read_both_smaps(struct fuzz_pair *pair, unsigned process)
{
    struct fuzz_compare *compare = &pair->compare;
    struct sink sink = {.compare = compare};
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/smaps",
             (int)pair->kernel.process[process]);
    if (!read_smaps(pair, fopen(path, "re"), &compare->theirs))
        return false;
    aspen_inspect_smaps(pair->model.process[process], take_text, &sink);
    return !sink.failed &&
           read_smaps(pair, fmemopen(compare->text, sink.length, "r"),
                      &compare->ours);
}

/* A part of one of ours, `offset` bytes from its start. */
static bool
is_part(struct fuzz_names *names, const struct fuzz_area *theirs,
        const struct fuzz_area *ours, uint64_t offset)
{
    return theirs->start == ours->start + offset && theirs->end <= ours->end &&
           theirs->flags == ours->flags &&
           (theirs->inode == 0 || theirs->offset == ours->offset + offset) &&
           same_name(names, theirs, ours);
}

enum fuzz_result
fuzz_compare_flags(struct fuzz_pair *pair, unsigned process)
{
    if (!read_both_smaps(pair, process))
        return broken(pair, "smaps");
    return compare_lists(pair, "VmFlags");
}

static void
join(struct fuzz_areas *areas)
{
    size_t kept = 0;

    for (size_t i = 1; i < areas->count; i++) {
        struct fuzz_area *last = &areas->list[kept];
        const struct fuzz_area *area = &areas->list[i];
        if (last->end == area->start && last->flags == area->flags &&
            last->device == area->device && last->inode == area->inode &&
            (area->inode == 0 ||
             last->offset + (last->end - last->start) == area->offset))
            last->end = area->end;
        else
            areas->list[++kept] = *area;
    }
    if (areas->count)
        areas->count = kept + 1;
}

bool
fuzz_compare_joined(struct fuzz_pair *pair, unsigned process)
{
    char what[sizeof(pair->compare.what)];
    bool same;

    if (!read_both_smaps(pair, process))
        return false;
    join(&pair->compare.theirs);
    join(&pair->compare.ours);
    memcpy(what, pair->compare.what, sizeof(what));
    same = compare_lists(pair, "joined") == FUZZ_SAME;
    memcpy(pair->compare.what, what, sizeof(what));
    /* Who asks goes on with the lists as they are. */
    if (!same)
        (void)read_both_smaps(pair, process);
    return same;
}

bool
fuzz_compare_parts(struct fuzz_pair *pair, unsigned process)
{
    struct fuzz_compare *compare = &pair->compare;
    size_t next = 0;

    if (!read_both_smaps(pair, process))
        return false;
    for (size_t i = 0; i < compare->ours.count; i++) {
        const struct fuzz_area *ours = &compare->ours.list[i];
        uint64_t at = ours->start;

        for (; at < ours->end; at = compare->theirs.list[next++].end)
            if (next == compare->theirs.count ||
                !is_part(&compare->names, &compare->theirs.list[next], ours,
                         at - ours->start))
                return false;
    }
    return next == compare->theirs.count;
}

/* ---- Counters ----------------------------------------------------------- */

struct shown {
    uint64_t size, locked, data, stack, text, library;
};

static bool
read_status(pid_t pid, struct shown *shown)
{
    const struct {
        const char *name;
        uint64_t *to;
    } rows[] = {
        {"VmSize: %" SCNu64, &shown->size},
        {"VmLck: %" SCNu64, &shown->locked},
        {"VmData: %" SCNu64, &shown->data},
        {"VmStk: %" SCNu64, &shown->stack},
        {"VmExe: %" SCNu64, &shown->text},
        {"VmLib: %" SCNu64, &shown->library},
    };
    char path[64], line[256];
    FILE *file;

    memset(shown, 0, sizeof(*shown));
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    file = fopen(path, "re");
    if (!file)
        return false;
    while (fgets(line, sizeof(line), file))
        for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
            (void)sscanf(line, rows[i].name, rows[i].to);
    fclose(file);
    return true;
}

static enum fuzz_result
compare_counters(struct fuzz_pair *pair, unsigned process)
{
    struct aspen_mm_counters ours;
    struct shown shown;

    if (!read_status(pair->kernel.process[process], &shown))
        return broken(pair, "status");
    aspen_mm_counters_read(pair->model.process[process], &ours);
    /* The kernel counts what DONTUNMAP has left behind as locked. */
    if (pair->has_kept_old && shown.locked > ours.locked_pages * 4)
        shown.locked = ours.locked_pages * 4;
    const struct {
        const char *name;
        uint64_t theirs, pages;
    } rows[] = {
        {"VmSize", shown.size, ours.total_pages},
        {"VmLck", shown.locked, ours.locked_pages},
        {"VmData", shown.data, ours.data_pages},
        {"VmStk", shown.stack, ours.stack_pages},
        {"VmExe and VmLib", shown.text + shown.library, ours.exec_pages},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].theirs != rows[i].pages * 4)
            return differs(pair,
                           "%s: kernel %" PRIu64 " kB, Aspen %" PRIu64 " kB",
                           rows[i].name, rows[i].theirs, rows[i].pages * 4);
    return FUZZ_SAME;
}

/* ---- Files -------------------------------------------------------------- */

static enum fuzz_result
compare_file(struct fuzz_pair *pair, unsigned number)
{
    struct aspen_object *object = pair->model.files[number];
    uint64_t size = aspen_object_size(object);
    uint8_t theirs[FUZZ_PAGE], ours[FUZZ_PAGE];
    struct stat status;

    if (fstat(pair->kernel.files[number], &status) != 0)
        return broken(pair, "a file");
    if ((uint64_t)status.st_size != size)
        return differs(pair, "size of file %u: kernel %lld, Aspen %" PRIu64,
                       number, (long long)status.st_size, size);
    for (uint64_t at = 0; at < size; at += FUZZ_PAGE) {
        uint64_t done = 0;
        ssize_t got = pread(pair->kernel.files[number], theirs, sizeof(theirs),
                            (off_t)at);
        if (got < 0)
            return broken(pair, "a file");
        if (aspen_object_read(object, at, ours, sizeof(ours), &done) != 0 ||
            done != (uint64_t)got || memcmp(theirs, ours, done) != 0)
            return differs(pair, "contents of file %u, page %" PRIu64, number,
                           at / FUZZ_PAGE);
    }
    return FUZZ_SAME;
}

enum fuzz_result
fuzz_compare_all(struct fuzz_pair *pair, unsigned process)
{
    struct aspen_finding finding;
    enum fuzz_result result = compare_maps(pair, process);

    if (result == FUZZ_SAME)
        result = compare_memory(pair, process, true);
    if (result == FUZZ_SAME)
        result = fuzz_compare_flags(pair, process);
    if (result == FUZZ_SAME)
        result = compare_counters(pair, process);
    for (unsigned i = 0; i < FUZZ_FILES && result == FUZZ_SAME; i++)
        result = compare_file(pair, i);
    if (result == FUZZ_SAME &&
        aspen_validate_mm(pair->model.process[process], &finding) != 0)
        result = differs(pair, "the model is inconsistent: %s: %s",
                         finding.check, finding.text);
    return result;
}

void
fuzz_compare_free(struct fuzz_compare *compare)
{
    free(compare->theirs.list);
    free(compare->ours.list);
    free(compare->text);
}
