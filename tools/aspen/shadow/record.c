/* SPDX-License-Identifier: MIT */
/*
 * record.c - see record.h. What is written goes through the model first: so
 * nothing gets into the file that could not be.
 *
 * Called by watch.c, space.c and command.c. tests/tools/trace.sh breaks first.
 */
#define _GNU_SOURCE
#include "shadow/record.h"
#include "shadow/record_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define PAGE_BITS 12u

/* ---- The file ----------------------------------------------------------- */

struct recorder *
recorder_begin(const char *path, struct tool_error *error)
{
    struct recorder *recorder = calloc(1, sizeof(*recorder));

    if (recorder)
        recorder->model = model_begin();
    if (!recorder || !recorder->model) {
        free(recorder);
        tool_fail(error, "no memory");
        return NULL;
    }
    recorder->file = fopen(path, "we");
    if (!recorder->file) {
        tool_fail(error, "cannot write %s: %s", path, strerror(errno));
        model_end(recorder->model);
        free(recorder);
        return NULL;
    }
    recorder->path = path;
    recorder->current = 1;
    recorder->tells_writes = record_tells_writes();
    fprintf(recorder->file,
            "aspen.trace/1\n# writes to pages that were written before: %s\n",
            recorder->tells_writes ? "recorded"
                                   : "not recorded, this kernel does not tell");
    return recorder;
}

int
recorder_end(struct recorder *recorder, struct tool_error *error)
{
    int result = 0;

    if (!recorder)
        return 0;
    if (fclose(recorder->file) != 0 && !recorder->write_error)
        recorder->write_error = errno;
    if (recorder->write_error)
        result = tool_fail(error, "cannot write %s: %s", recorder->path,
                           strerror(recorder->write_error));
    else if (recorder->failed)
        result = tool_fail(error, "%s ends early: %s", recorder->path,
                           recorder->error.text);
    model_end(recorder->model);
    free(recorder->files);
    free(recorder);
    return result;
}

/* False: it has ended. */
static bool
is_going(const struct recorder *recorder)
{
    return recorder && !recorder->failed && !recorder->write_error;
}

void
recorder_note(struct recorder *recorder, const char *format, ...)
{
    va_list arguments;

    if (!is_going(recorder))
        return;
    fputs("# ", recorder->file);
    va_start(arguments, format);
    vfprintf(recorder->file, format, arguments);
    va_end(arguments);
    fputc('\n', recorder->file);
}

/* What follows is about that space. */
static void
name_space(struct recorder *recorder, const struct recorded_space *space)
{
    uint32_t number = model_space_number(space->model);

    if (recorder->current != number)
        fprintf(recorder->file, "s %" PRIx32 "\n", number);
    recorder->current = number;
}

/* ---- Spaces ------------------------------------------------------------- */

/* One that no space has. */
static uint64_t
free_number(struct recorder *recorder)
{
    for (uint32_t tries = 0; tries < MODEL_SPACES; tries++) {
        recorder->next_number = recorder->next_number % (MODEL_SPACES - 1) + 1;
        if (!model_space(recorder->model, recorder->next_number))
            break;
    }
    return recorder->next_number;
}

struct recorded_space *
recorder_space(struct recorder *recorder, const struct recorded_space *from)
{
    struct recorded_space *space;

    if (!is_going(recorder))
        return NULL;
    space = calloc(1, sizeof(*space));
    if (!space || (from && record_copy_seen(space, from) != 0)) {
        tool_fail(&recorder->error, "no memory");
        recorder->failed = true;
    } else if (!recorder->has_first) {
        recorder->has_first = true;
        recorder->next_number = 1;
        space->model = model_space(recorder->model, 1);
    } else {
        uint64_t number = free_number(recorder);
        space->model =
            model_space_add(recorder->model, number, from ? from->model : NULL,
                            &recorder->error);
        recorder->failed = !space->model;
        if (from)
            name_space(recorder, from);
        fprintf(recorder->file, "%c %" PRIx64 "\n", from ? 'f' : 'n', number);
    }
    if (recorder->failed) {
        record_free_seen(space);
        free(space);
        return NULL;
    }
    space->recorder = recorder;
    return space;
}

void
recorder_space_end(struct recorded_space *space)
{
    if (!space)
        return;
    struct recorder *recorder = space->recorder;
    if (is_going(recorder)) {
        name_space(recorder, space);
        fputs("e\n", recorder->file);
        recorder->current = 0;
    }
    model_space_end(recorder->model, space->model);
    record_free_seen(space);
    free(space);
}

/* ---- Mappings ----------------------------------------------------------- */

/* 0: there are too many. */
static uint32_t
file_number(struct recorder *recorder, const struct smaps_area *area)
{
    struct recorded_file *files;

    for (uint32_t i = 0; i < recorder->file_count; i++)
        if (recorder->files[i].device == area->device &&
            recorder->files[i].inode == area->inode)
            return i + 1;
    files = tool_room(recorder->files, recorder->file_count,
                      &recorder->file_room, sizeof(*files));
    if (!files || recorder->file_count + 1 == MODEL_FILES) {
        tool_fail(&recorder->error, "too many files");
        return 0;
    }
    recorder->files = files;
    files[recorder->file_count++] =
        (struct recorded_file){area->device, area->inode};
    recorder_note(recorder, "%zx is %s", recorder->file_count, area->path);
    return (uint32_t)recorder->file_count;
}

static int
mapping_of(struct recorder *recorder, const struct smaps_area *area,
           struct model_mapping *mapping)
{
    *mapping = (struct model_mapping){
        .start = area->start >> PAGE_BITS,
        .end = area->end >> PAGE_BITS,
        .access = (uint8_t)(area->permissions &
                            (SNAPSHOT_PERM_READ | SNAPSHOT_PERM_WRITE |
                             SNAPSHOT_PERM_EXEC)),
        .shared = (area->permissions & SNAPSHOT_PERM_SHARED) != 0,
    };
    if ((area->inode == 0 && area->device == 0) ||
        (shadow_files_is_zeroes(area) && !mapping->shared))
        return 0;
    mapping->offset = area->offset >> PAGE_BITS;
    mapping->file = file_number(recorder, area);
    return mapping->file ? 0 : -1;
}

static void
write_access(const struct recorder *recorder,
             const struct model_mapping *mapping)
{
    fprintf(recorder->file, " %c%c%c", mapping->access & MODEL_READ ? 'r' : '-',
            mapping->access & MODEL_WRITE ? 'w' : '-',
            mapping->access & MODEL_EXECUTE ? 'x' : '-');
}

static void
write_range(struct recorder *recorder, const struct recorded_space *space,
            char letter, uint64_t start, uint64_t end)
{
    name_space(recorder, space);
    fprintf(recorder->file, "%c %" PRIx64 " %" PRIx64, letter, start,
            end - start);
}

static int
map(struct recorder *recorder, struct recorded_space *space,
    const struct model_mapping *mapping)
{
    if (model_map(space->model, mapping, &recorder->error) != 0)
        return -1;
    write_range(recorder, space, 'm', mapping->start, mapping->end);
    write_access(recorder, mapping);
    fputc(mapping->shared ? 's' : 'p', recorder->file);
    if (mapping->file)
        fprintf(recorder->file, " %" PRIx32 " %" PRIx64, mapping->file,
                mapping->offset);
    fputc('\n', recorder->file);
    return 0;
}

static int
unmap(struct recorder *recorder, struct recorded_space *space, uint64_t start,
      uint64_t end)
{
    if (model_unmap(recorder->model, space->model, start, end - start,
                    &recorder->error) != 0)
        return -1;
    write_range(recorder, space, 'u', start, end);
    fputc('\n', recorder->file);
    record_forget(space, start, end);
    return 0;
}

static int
protect(struct recorder *recorder, struct recorded_space *space, uint64_t start,
        uint64_t end, const struct model_mapping *as)
{
    if (model_protect(space->model, start, end - start, as->access,
                      &recorder->error) != 0)
        return -1;
    write_range(recorder, space, 'p', start, end);
    write_access(recorder, as);
    fputc('\n', recorder->file);
    return 0;
}

/* The same memory, whoever may do what with it. */
static bool
is_same(const struct model_mapping *a, const struct model_mapping *b)
{
    return a->file == b->file && a->shared == b->shared &&
           (a->file == 0 || a->offset - a->start == b->offset - b->start);
}

/* Pages `start` up to `end`, in which neither begins or ends; NULL: none is
 * there. */
static int
settle(struct recorder *recorder, struct recorded_space *space, uint64_t start,
       uint64_t end, const struct model_mapping *was,
       const struct model_mapping *is)
{
    bool same = was && is && is_same(was, is);

    if (same && was->access == is->access)
        return 0;
    if (same)
        return protect(recorder, space, start, end, is);
    if (was && unmap(recorder, space, start, end) != 0)
        return -1;
    if (!is)
        return 0;
    struct model_mapping part = *is;
    part.start = start;
    part.end = end;
    part.offset += part.file ? start - is->start : 0;
    return map(recorder, space, &part);
}

struct list {
    const struct model_mapping *mappings;
    size_t count;
    size_t at;
};

/* The mapping at the page or NULL; *end: where that changes, at the latest. */
static const struct model_mapping *
next_at(struct list *list, uint64_t page, uint64_t *end)
{
    const struct model_mapping *mapping;

    while (list->at < list->count && list->mappings[list->at].end <= page)
        list->at++;
    if (list->at == list->count)
        return NULL;
    mapping = &list->mappings[list->at];
    uint64_t change = mapping->start > page ? mapping->start : mapping->end;
    *end = change < *end ? change : *end;
    return mapping->start > page ? NULL : mapping;
}

static int
settle_all(struct recorder *recorder, struct recorded_space *space,
           struct list was, struct list is)
{
    uint64_t end;
    int result = 0;

    for (uint64_t page = 0; page < MODEL_PAGES_END && result == 0; page = end) {
        end = MODEL_PAGES_END;
        const struct model_mapping *before = next_at(&was, page, &end);
        const struct model_mapping *now = next_at(&is, page, &end);
        result = settle(recorder, space, page, end, before, now);
    }
    return result;
}

/* From /proc/P/maps. 0 and *count: it is gone. */
static int
read_maps(struct recorder *recorder, pid_t tid, struct model_mapping **list,
          size_t *count)
{
    struct smaps_reader reader;
    struct smaps_area area;
    char path[64];
    size_t room = 0;
    int got;

    snprintf(path, sizeof(path), "/proc/%d/maps", (int)tid);
    FILE *maps = fopen(path, "re");
    if (!maps)
        return 0;
    smaps_begin(&reader, maps);
    while ((got = smaps_next(&reader, &area, &recorder->error)) == 1) {
        struct model_mapping *larger =
            tool_room(*list, *count, &room, sizeof(**list));
        if (larger)
            *list = larger;
        if (!larger || mapping_of(recorder, &area, &(*list)[(*count)++]) != 0) {
            got = -1;
            break;
        }
    }
    smaps_end(&reader);
    fclose(maps);
    return got;
}

/* What differs from /proc/P/maps is written, and is as there afterwards. */
static int
look_at_mappings(struct recorder *recorder, struct recorded_space *space,
                 pid_t tid)
{
    struct model_mapping *now = NULL;
    size_t count = 0, old_count;
    const struct model_mapping *old = model_mappings(space->model, &old_count);
    struct model_mapping *before = malloc((old_count + 1) * sizeof(*before));
    int result = read_maps(recorder, tid, &now, &count);

    if (!before)
        result = tool_fail(&recorder->error, "no memory");
    if (result == 0 && count) {
        if (old_count)
            memcpy(before, old, old_count * sizeof(*before));
        result =
            settle_all(recorder, space, (struct list){before, old_count, 0},
                       (struct list){now, count, 0});
    }
    free(before);
    free(now);
    return result ? result : (int)(count > 0) - 1;
}

/* ---- Looks -------------------------------------------------------------- */

void
recorder_look(struct recorded_space *space, pid_t tid)
{
    struct recorder *recorder = space ? space->recorder : NULL;

    if (!is_going(recorder))
        return;
    recorder->error.text[0] = '\0';
    int result = look_at_mappings(recorder, space, tid);
    if (result == 0)
        result = record_look_at_pages(recorder, space, tid);
    /* Without a reason it is gone. */
    recorder->failed = result != 0 && recorder->error.text[0];
    if (fflush(recorder->file) != 0)
        recorder->write_error = errno;
}

void
record_accesses(struct recorder *recorder, struct recorded_space *space,
                char letter, uint64_t start, uint64_t end)
{
    name_space(recorder, space);
    if (end - start == 1)
        fprintf(recorder->file, "%c %" PRIx64 "\n", letter, start);
    else
        fprintf(recorder->file, "%c %" PRIx64 " %" PRIx64 "\n", letter, start,
                end - start);
}

/* ---- Calls -------------------------------------------------------------- */

/* For each part of the range that was mapped when it was looked at last. */
static int
each_part(struct recorder *recorder, struct recorded_space *space,
          uint64_t start, uint64_t end,
          int (*take)(struct recorder *recorder, struct recorded_space *space,
                      uint64_t start, uint64_t end))
{
    uint64_t page = start;
    int result = 0;

    while (page < end && result == 0) {
        struct list list = {.at = 0};
        uint64_t until = end;
        list.mappings = model_mappings(space->model, &list.count);
        if (next_at(&list, page, &until))
            result = take(recorder, space, page, until);
        page = until;
    }
    return result;
}

static int
drop(struct recorder *recorder, struct recorded_space *space, uint64_t start,
     uint64_t end)
{
    if (model_drop(recorder->model, space->model, start, end - start,
                   &recorder->error) != 0)
        return -1;
    write_range(recorder, space, 'd', start, end);
    fputc('\n', recorder->file);
    record_forget(space, start, end);
    return 0;
}

/* Where pages came to lie, and the part of them that was there before. */
static int
move(struct recorder *recorder, struct recorded_space *space, uint64_t start,
     uint64_t count, uint64_t to)
{
    struct list list = {.at = 0};
    uint64_t end = start + count;

    if (each_part(recorder, space, to, to + count, unmap) != 0)
        return -1;
    list.mappings = model_mappings(space->model, &list.count);
    if (!next_at(&list, start, &end) || end != start + count)
        return 0; /* nobody knew of it, or of several */
    if (model_move(space->model, start, count, to, &recorder->error) != 0)
        return -1;
    write_range(recorder, space, 'v', start, start + count);
    fprintf(recorder->file, " %" PRIx64 "\n", to);
    return record_move_seen(space, start, count, to) == 0
               ? 0
               : tool_fail(&recorder->error, "no memory");
}

static uint64_t
pages_of(uint64_t bytes)
{
    return (bytes + 4095) >> PAGE_BITS;
}

static int
note_call(struct recorder *recorder, struct recorded_space *space,
          const struct guest_call *call)
{
    const uint64_t *a = call->call.arguments;
    uint64_t start = a[0] >> PAGE_BITS, count = pages_of(a[1]);
    uint64_t to = (uint64_t)call->answer >> PAGE_BITS;

    if (linux_is_error(call->answer))
        return 0;
    switch (call->call.number) {
    case SYS_mmap: /* instead of what was there */
        return each_part(recorder, space, to, to + count, unmap);
    case SYS_mremap:
        if (pages_of(a[2]) < count)
            count = pages_of(a[2]);
        return to == start || count == 0
                   ? 0
                   : move(recorder, space, start, count, to);
    case SYS_madvise:
        if (a[2] != MADV_DONTNEED && a[2] != 24 /* DONTNEED_LOCKED */ &&
            a[2] != 102 /* GUARD_INSTALL */)
            return 0;
        return each_part(recorder, space, start, start + count, drop);
    default:
        return 0;
    }
}

void
recorder_call(struct recorded_space *space, pid_t tid,
              const struct guest_call *call)
{
    struct recorder *recorder = space ? space->recorder : NULL;

    if (!is_going(recorder))
        return;
    if (note_call(recorder, space, call) != 0) {
        recorder->failed = true;
        return;
    }
    recorder_look(space, tid);
}
