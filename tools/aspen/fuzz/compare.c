/* SPDX-License-Identifier: MIT */
/*
 * compare.c - a scratch process and its model: is there the same?
 *
 * After each operation mappings, and which pages of private anonymous memory
 * are there and what they begin with (of large areas the first pages and the
 * last); at the end of a sequence all else that the host shows.
 *
 * Called by pair.c. tests/tools/fuzz.sh breaks first.
 */
#define _GNU_SOURCE
#include "fuzz/session.h"

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

/* ---- Mappings ----------------------------------------------------------- */

static void
forget(struct areas *areas, uint64_t flags)
{
    for (size_t i = 0; i < areas->count; i++)
        areas->list[i].flags &= ~flags;
}

static bool
read_both(struct fuzz_pair *pair, unsigned process, enum areas_text from)
{
    struct fuzz_compare *compare = &pair->compare;

    if (areas_of_file(&compare->theirs, from, pair->kernel.texts[process][from],
                      &pair->error) != 0 ||
        areas_of_aspen(&compare->ours, from, pair->model.process[process],
                       &pair->error) != 0)
        return false;
    /* See split_reason() in known.c. */
    if (pair->has_filled) {
        forget(&compare->theirs, ASPEN_VM_ACCOUNT);
        forget(&compare->ours, ASPEN_VM_ACCOUNT);
    }
    return true;
}

static enum fuzz_result
compare_lists(struct fuzz_pair *pair, const char *what)
{
    struct fuzz_compare *compare = &pair->compare;
    size_t at = areas_difference(&compare->files, &compare->theirs,
                                 &compare->ours, UINT64_MAX);
    char theirs[160], ours[160];

    if (at == SIZE_MAX)
        return FUZZ_SAME;
    areas_put(&compare->theirs, at, true, theirs, sizeof(theirs));
    areas_put(&compare->ours, at, true, ours, sizeof(ours));
    return differs(pair, "%s: kernel %s, Aspen %s", what, theirs, ours);
}

static enum fuzz_result
compare_maps(struct fuzz_pair *pair, unsigned process)
{
    if (!read_both(pair, process, AREAS_MAPS))
        return FUZZ_BROKEN;
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

/* The bytes that a processor would see, whatever the key; NULL: it would
 * fault. */
static const uint8_t *
our_bytes(struct fuzz_pair *pair, unsigned process, uint64_t address)
{
    uint32_t frame;

    if (aspen_translate_with_rights(pair->model.process[process], address,
                                    ASPEN_ACCESS_READ, ASPEN_RIGHTS_ALL,
                                    &frame) != 0)
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
compare_look(struct fuzz_pair *pair, unsigned process, const struct area *area,
             uint64_t start, uint64_t end, size_t size)
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
compare_area(struct fuzz_pair *pair, unsigned process, const struct area *area,
             bool all)
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
        const struct area *area = &pair->compare.theirs.list[i];
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

/* A part of one of ours, `offset` bytes from its start. */
static bool
is_part(struct areas_files *files, const struct area *theirs,
        const struct area *ours, uint64_t offset)
{
    return theirs->start == ours->start + offset && theirs->end <= ours->end &&
           theirs->flags == ours->flags &&
           (theirs->inode == 0 || theirs->offset == ours->offset + offset) &&
           areas_same_file(files, theirs, ours);
}

enum fuzz_result
fuzz_compare_flags(struct fuzz_pair *pair, unsigned process)
{
    if (!read_both(pair, process, AREAS_SMAPS))
        return FUZZ_BROKEN;
    return compare_lists(pair, "VmFlags");
}

/* DONTUNMAP's mapping keeps its lock, unless it became one with what it leaves
 * behind: by then that may be so on one side only. */
static void
forget_locks(struct areas *areas)
{
    for (size_t i = 0; i < areas->count; i++)
        areas->list[i].flags &= ~(ASPEN_VM_LOCKED | ASPEN_VM_LOCKONFAULT);
}

bool
fuzz_compare_joined(struct fuzz_pair *pair, unsigned process)
{
    char what[sizeof(pair->compare.what)];
    bool same;

    if (!read_both(pair, process, AREAS_SMAPS))
        return false;
    if (pair->has_kept_old) {
        forget_locks(&pair->compare.theirs);
        forget_locks(&pair->compare.ours);
    }
    areas_join(&pair->compare.theirs);
    areas_join(&pair->compare.ours);
    memcpy(what, pair->compare.what, sizeof(what));
    same = compare_lists(pair, "joined") == FUZZ_SAME;
    memcpy(pair->compare.what, what, sizeof(what));
    /* Who asks goes on with the lists as they are. */
    if (!same)
        (void)read_both(pair, process, AREAS_SMAPS);
    return same;
}

bool
fuzz_compare_parts(struct fuzz_pair *pair, unsigned process)
{
    struct fuzz_compare *compare = &pair->compare;
    size_t next = 0;

    if (!read_both(pair, process, AREAS_SMAPS))
        return false;
    for (size_t i = 0; i < compare->ours.count; i++) {
        const struct area *ours = &compare->ours.list[i];
        uint64_t at = ours->start;

        for (; at < ours->end; at = compare->theirs.list[next++].end)
            if (next == compare->theirs.count ||
                !is_part(&compare->files, &compare->theirs.list[next], ours,
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
    enum fuzz_result result = compare_maps(pair, process);

    if (result == FUZZ_SAME)
        result = compare_memory(pair, process, true);
    if (result == FUZZ_SAME)
        result = fuzz_compare_flags(pair, process);
    if (result == FUZZ_SAME)
        result = compare_counters(pair, process);
    for (unsigned i = 0; i < FUZZ_FILES && result == FUZZ_SAME; i++)
        result = compare_file(pair, i);
    return result;
}

/* ---- The machine -------------------------------------------------------- */

static enum fuzz_result
validate_machine(struct fuzz_pair *pair)
{
    struct aspen_finding finding;
    int found = aspen_validate(pair->model.aspen, &finding);

    if (found == 0)
        return FUZZ_SAME;
    if (found == 1)
        return differs(pair, "the model is inconsistent: %s: %s", finding.check,
                       finding.text);
    tool_fail(&pair->error, "no memory to validate the model");
    return FUZZ_BROKEN;
}

static enum fuzz_result
compare_empty(struct fuzz_pair *pair)
{
    struct aspen_counters now;
    char text[100];

    fuzz_model_clear(&pair->model);
    counters_settle(pair->model.aspen, &pair->model.empty, &now);
    if (counters_difference(&pair->model.empty, &now, text, sizeof(text)))
        return differs(pair, "the model has leaked: %s", text);
    return FUZZ_SAME;
}

enum fuzz_result
fuzz_compare_machine(struct fuzz_pair *pair)
{
    enum fuzz_result result = validate_machine(pair);

    if (result == FUZZ_SAME)
        result = compare_empty(pair);
    pair->model.broken = result == FUZZ_DIFFERENT;
    return result;
}

void
fuzz_compare_free(struct fuzz_compare *compare)
{
    areas_free(&compare->theirs);
    areas_free(&compare->ours);
    areas_files_free(&compare->files);
}
