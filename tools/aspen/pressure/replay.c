/* SPDX-License-Identifier: MIT */
/*
 * replay.c - see replay.h.
 *
 * A file's pages are what model.h says they hold at first, until they are
 * written back: then they are kept in memory of the process. What is shared
 * without a file has one, too, in a trace.
 *
 * Called by run.c. tests/tools/pressure.sh breaks first.
 */
#include "pressure/replay.h"
#include "pressure/contents.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct file {
    struct replay *replay;
    uint32_t number;
    struct aspen_object *object;
    pthread_mutex_t lock;    /* for all below */
    struct page_map written; /* which of `pages` */
    char (*pages)[PRESSURE_PAGE];
    size_t count;
    size_t room;
};

struct replay {
    struct pressure_machine *machine;
    const struct recorded *recorded;
    struct aspen_mm *spaces[MODEL_SPACES];
    struct file *files[MODEL_FILES];
    uint64_t *wrong_bytes; /* of replay_compare(), as the next one */
    uint64_t *lost;
    char expected[PRESSURE_PAGE];
    char next[PRESSURE_PAGE];
};

/* What a device says that fails may be anything; one that is gone for a time
 * comes back. */
#define TRIES 4000u

/* What a page holds that has the stamp. */
static void
contents_of(uint32_t stamp, void *bytes)
{
    pressure_contents(stamp, stamp != 0, bytes);
}

/* ---- Files -------------------------------------------------------------- */

static char *
written_page(struct file *file, uint64_t offset)
{
    uint32_t *known = page_map_find(&file->written, offset);

    return known ? file->pages[*known] : NULL;
}

static int
read_file(void *context, uint64_t offset_bytes, void *page)
{
    struct file *file = context;
    uint64_t offset = offset_bytes / PRESSURE_PAGE;

    pressure_note_read();
    pressure_add(&file->replay->machine->file_reads, 1);
    pthread_mutex_lock(&file->lock);
    const char *written = written_page(file, offset);
    if (written)
        memcpy(page, written, PRESSURE_PAGE);
    pthread_mutex_unlock(&file->lock);
    if (!written)
        contents_of(model_file_stamp(file->number, offset), page);
    return 0;
}

static int
keep(struct file *file, uint64_t offset, const void *bytes)
{
    char *page = written_page(file, offset);

    if (!page) {
        void *pages = tool_room(file->pages, file->count, &file->room,
                                sizeof(*file->pages));
        if (!pages)
            return -ASPEN_ENOMEM;
        file->pages = pages;
        if (page_map_put(&file->written, offset, (uint32_t)file->count) != 0)
            return -ASPEN_ENOMEM;
        page = file->pages[file->count++];
    }
    memcpy(page, bytes, PRESSURE_PAGE);
    return 0;
}

static int
write_file(void *context, uint64_t offset_bytes, const void *const pages[],
           uint64_t length_bytes)
{
    struct file *file = context;
    int result = 0;

    pthread_mutex_lock(&file->lock);
    for (uint64_t i = 0; i * PRESSURE_PAGE < length_bytes && result == 0; i++)
        result = keep(file, offset_bytes / PRESSURE_PAGE + i, pages[i]);
    pthread_mutex_unlock(&file->lock);
    pressure_add(&file->replay->machine->file_writes,
                 length_bytes / PRESSURE_PAGE);
    return result;
}

/* The last mapping may be gone before the replay is. */
static void
free_file(struct file *file)
{
    if (!file)
        return;
    if (file->object)
        aspen_object_put(file->object);
    pthread_mutex_destroy(&file->lock);
    page_map_free(&file->written);
    free(file->pages);
    free(file);
}

/* NULL: no memory. */
static struct file *
file_of(struct replay *replay, uint32_t number)
{
    static const struct aspen_pager_ops pager = {
        .read = read_file,
        .write = write_file,
    };
    struct file *file = replay->files[number];
    struct aspen_object_args args = {
        .kind = ASPEN_OBJECT_FILE,
        .inode = number,
        .size_bytes = replay->recorded->file_pages[number] * PRESSURE_PAGE,
        .pager = &pager,
    };

    if (file)
        return file;
    args.context = file = calloc(1, sizeof(*file));
    if (!file)
        return NULL;
    file->replay = replay;
    file->number = number;
    pthread_mutex_init(&file->lock, NULL);
    if (aspen_object_create(replay->machine->aspen, &args, &file->object)) {
        free_file(file);
        return NULL;
    }
    return replay->files[number] = file;
}

/* ---- Spaces ------------------------------------------------------------- */

/* The CPU is in all of them. */
static int
take_space(struct replay *replay, uint64_t number, struct aspen_mm *mm)
{
    replay->spaces[number] = mm;
    return aspen_mm_activate(mm, 0);
}

static void
end_space(struct replay *replay, uint64_t number)
{
    (void)!aspen_mm_deactivate(replay->spaces[number], 0);
    aspen_mm_put(replay->spaces[number]);
    replay->spaces[number] = NULL;
}

static int
new_space(struct replay *replay, uint64_t number)
{
    struct aspen_mm *mm;
    int result = aspen_mm_create(replay->machine->aspen, &mm);

    return result ? result : take_space(replay, number, mm);
}

static int
fork_space(struct replay *replay, struct aspen_mm *from, uint64_t number)
{
    struct aspen_mm *mm;
    int result = aspen_fork(from, &mm);

    return result ? result : take_space(replay, number, mm);
}

int
replay_begin(struct replay **begun, struct pressure_machine *machine,
             const struct recorded *recorded, struct tool_error *error)
{
    struct replay *replay = calloc(1, sizeof(*replay));

    *begun = replay;
    if (!replay)
        return tool_fail(error, "no memory");
    replay->machine = machine;
    replay->recorded = recorded;
    int result = new_space(replay, 1);
    return result == 0 ? 0
                       : tool_fail(error, "no address space: %s",
                                   aspen_error_name(result));
}

void
replay_end(struct replay *replay)
{
    if (!replay)
        return;
    for (uint32_t i = 0; i < MODEL_SPACES; i++)
        if (replay->spaces[i])
            end_space(replay, i);
    for (uint32_t i = 0; i < MODEL_FILES; i++)
        free_file(replay->files[i]);
    free(replay);
}

/* ---- Changes ------------------------------------------------------------ */

static uint64_t
flags_of(uint8_t access)
{
    return (access & MODEL_READ ? ASPEN_VM_READ : 0) |
           (access & MODEL_WRITE ? ASPEN_VM_WRITE : 0) |
           (access & MODEL_EXECUTE ? ASPEN_VM_EXEC | ASPEN_VM_READ : 0);
}

static int
map(struct replay *replay, struct aspen_mm *mm,
    const struct model_mapping *mapping)
{
    const struct file *file = NULL;
    struct aspen_mmap_args args = {
        .address = mapping->start * PRESSURE_PAGE,
        .length_bytes = (mapping->end - mapping->start) * PRESSURE_PAGE,
        .vm_flags =
            flags_of(mapping->access) | (mapping->shared ? ASPEN_VM_SHARED : 0),
        .flags = ASPEN_MAP_FIXED_NOREPLACE,
        .offset_bytes = mapping->offset * PRESSURE_PAGE,
    };
    uint64_t address;

    if (mapping->file) {
        file = file_of(replay, mapping->file);
        if (!file)
            return -ASPEN_ENOMEM;
        args.object = file->object;
    } else {
        args.offset_bytes = 0;
    }
    return aspen_mmap(mm, &args, &address);
}

static int
move(struct aspen_mm *mm, uint64_t start, uint64_t bytes, uint64_t to)
{
    struct aspen_mremap_args args = {
        .address = start,
        .old_bytes = bytes,
        .new_bytes = bytes,
        .flags = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
        .new_address = to * PRESSURE_PAGE,
    };
    uint64_t address;

    return aspen_mremap(mm, &args, &address);
}

static int
make_change(struct replay *replay, const struct recorded_step *step,
            const struct recorded_change *change)
{
    struct aspen_mm *mm = replay->spaces[step->space];
    const struct model_mapping *range = &change->mapping;
    uint64_t start = range->start * PRESSURE_PAGE;
    uint64_t bytes = (range->end - range->start) * PRESSURE_PAGE;

    switch (step->kind) {
    case RECORDED_MAP:
        return map(replay, mm, range);
    case RECORDED_UNMAP:
        return aspen_munmap(mm, start, bytes);
    case RECORDED_PROTECT:
        return aspen_mprotect(mm, start, bytes, flags_of(range->access),
                              ASPEN_PKEY_SAME);
    case RECORDED_MOVE:
        return move(mm, start, bytes, change->to);
    case RECORDED_DROP:
        return aspen_madvise(mm, start, bytes, ASPEN_MADV_DONTNEED);
    case RECORDED_FORK:
        return fork_space(replay, mm, change->to);
    case RECORDED_NEW:
        return new_space(replay, change->to);
    default:
        end_space(replay, step->space);
        return 0;
    }
}

/* ---- Steps -------------------------------------------------------------- */

static int
access_page(struct replay *replay, uint32_t space, uint64_t page,
            uint32_t found, const void *next, uint64_t *wrong_bytes)
{
    unsigned tries = replay->machine->swap.can_fail ? TRIES : 1;
    uint64_t wrong = 0;
    int error;

    contents_of(found, replay->expected);
    do
        error = pressure_access(replay->machine, 0, replay->spaces[space],
                                page * PRESSURE_PAGE, replay->expected, next,
                                &wrong);
    while (error && error != -ASPEN_ENOMEM && --tries);
    *wrong_bytes += wrong;
    return error;
}

int
replay_step(struct replay *replay, const struct recorded_step *step,
            uint64_t *wrong_bytes, struct tool_error *error)
{
    const struct recorded_change *change;
    int result;

    if (step->kind <= RECORDED_WRITE) {
        bool write = step->kind == RECORDED_WRITE;
        if (write)
            contents_of(step->left, replay->next);
        result = access_page(replay, step->space, step->page, step->found,
                             write ? replay->next : NULL, wrong_bytes);
        return result == 0
                   ? 0
                   : tool_fail(error, "no access to page %" PRIx64 ": %s",
                               step->page, aspen_error_name(result));
    }
    change = &replay->recorded->changes[step->page];
    result = make_change(replay, step, change);
    return result == 0
               ? 0
               : tool_fail(error, "what line %" PRIu64 " wants is refused: %s",
                           change->line, aspen_error_name(result));
}

static int
compare_page(void *context, uint32_t space, uint64_t page, uint32_t stamp)
{
    struct replay *replay = context;

    if (access_page(replay, space, page, stamp, NULL, replay->wrong_bytes) != 0)
        ++*replay->lost;
    return 0;
}

void
replay_compare(struct replay *replay, uint64_t *wrong_bytes, uint64_t *lost)
{
    replay->wrong_bytes = wrong_bytes;
    replay->lost = lost;
    (void)model_each_page(replay->recorded->model, compare_page, replay);
}
