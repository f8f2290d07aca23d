/* SPDX-License-Identifier: MIT */
/*
 * record_pages.c - which pages a space has accessed, from look to look.
 *
 * A page that is there now and was not before was accessed in between. It was
 * written, if it is a private one of the space alone. That it is written again
 * only soft-dirty bits tell, where the kernel has them; they are cleared at
 * each look. That it is read again nothing tells whom it has not given
 * privileges.
 *
 * Called by record.c. tests/tools/trace.sh breaks first.
 */
#define _GNU_SOURCE
#include "shadow/record_parts.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WINDOW 65536u /* entries of pagemap, at a time */
/* Mappings that have more are not looked at: 16 GiB. */
#define PAGES_MAX (UINT64_C(4) << 20)
/* Looks at more than this wait until they are a fifth of the time. */
#define FEW   (UINT64_C(1) << 18)
#define SHARE 4u

#define ENTRY_PRESENT (UINT64_C(1) << 63)
#define ENTRY_SWAPPED (UINT64_C(1) << 62)
#define ENTRY_FILE    (UINT64_C(1) << 61) /* or shared without one */
#define ENTRY_ALONE   (UINT64_C(1) << 56) /* mapped once */
#define ENTRY_DIRTY   (UINT64_C(1) << 55) /* since they were cleared */

/* Of a page: it was not there; was there; is a private one that was written;
 * was, and the host has swapped it. */
enum seen { UNSEEN, THERE, WRITTEN, AWAY };

bool
record_tells_writes(void)
{
    uint64_t entry = 0;
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    volatile char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pagemap >= 0 && page != MAP_FAILED) {
        *page = 1;
        if (pread(pagemap, &entry, sizeof(entry),
                  (off_t)((uintptr_t)page / 4096 * sizeof(entry))) !=
            sizeof(entry))
            entry = 0;
    }
    if (pagemap >= 0)
        close(pagemap);
    if (page != MAP_FAILED)
        munmap((void *)page, 4096);
    return entry & ENTRY_DIRTY;
}

/* ---- What was seen ------------------------------------------------------ */

/* NULL: nothing; with `make`: no memory. */
static uint8_t *
chunk_of(struct recorded_space *space, uint64_t page, bool make)
{
    uint64_t key = page / RECORDED_CHUNK;
    const uint32_t *known = page_map_find(&space->chunks, key);

    if (known)
        return space->seen[*known];
    if (!make)
        return NULL;
    void *seen = tool_room(space->seen, space->seen_count, &space->seen_room,
                           sizeof(*space->seen));
    if (!seen)
        return NULL;
    space->seen = seen;
    if (page_map_put(&space->chunks, key, (uint32_t)space->seen_count) != 0)
        return NULL;
    memset(space->seen[space->seen_count], UNSEEN, RECORDED_CHUNK);
    return space->seen[space->seen_count++];
}

static uint8_t *
seen_of(struct recorded_space *space, uint64_t page, bool make)
{
    uint8_t *chunk = chunk_of(space, page, make);

    return chunk ? &chunk[page % RECORDED_CHUNK] : NULL;
}

int
record_copy_seen(struct recorded_space *space,
                 const struct recorded_space *from)
{
    if (from->seen_count == 0)
        return 0;
    space->seen = malloc(from->seen_count * sizeof(*space->seen));
    if (!space->seen || page_map_copy(&space->chunks, &from->chunks) != 0)
        return -1;
    memcpy(space->seen, from->seen, from->seen_count * sizeof(*space->seen));
    space->seen_count = space->seen_room = from->seen_count;
    return 0;
}

void
record_free_seen(struct recorded_space *space)
{
    if (!space)
        return;
    page_map_free(&space->chunks);
    free(space->seen);
    space->seen = NULL;
}

static void
forget_in(uint8_t *chunk, uint64_t first, uint64_t start, uint64_t end)
{
    for (uint64_t i = 0; i < RECORDED_CHUNK; i++)
        if (first + i >= start && first + i < end)
            chunk[i] = UNSEEN;
}

void
record_forget(struct recorded_space *space, uint64_t start, uint64_t end)
{
    const struct page_map *chunks = &space->chunks;

    for (size_t i = 0; i < chunks->room; i++) {
        uint64_t key = chunks->keys[i];
        if (key != PAGE_MAP_EMPTY && key >= start / RECORDED_CHUNK &&
            key <= (end - 1) / RECORDED_CHUNK)
            forget_in(space->seen[chunks->values[i]], key * RECORDED_CHUNK,
                      start, end);
    }
}

int
record_move_seen(struct recorded_space *space, uint64_t start, uint64_t count,
                 uint64_t to)
{
    for (uint64_t i = 0; i < count; i++) {
        if (!chunk_of(space, start + i, false)) { /* to the next one */
            i |= RECORDED_CHUNK - 1 - (start + i) % RECORDED_CHUNK;
            continue;
        }
        uint8_t seen = *seen_of(space, start + i, false);
        uint8_t *there = seen_of(space, to + i, seen != UNSEEN);
        if (seen != UNSEEN && !there)
            return -1;
        if (there)
            *there = seen;
    }
    record_forget(space, start, start + count);
    return 0;
}

/* ---- A look ------------------------------------------------------------- */

/* Accesses of one kind to pages in a row, to be written. */
struct row {
    struct recorder *recorder;
    struct recorded_space *space;
    char letter;
    uint64_t start;
    uint64_t end;
};

static void
write_row(struct row *row)
{
    if (row->end > row->start)
        record_accesses(row->recorder, row->space, row->letter, row->start,
                        row->end);
    row->start = row->end = 0;
}

static void
add_to_row(struct row *row, char letter, uint64_t page)
{
    if (row->end != page || row->letter != letter || row->start == row->end) {
        write_row(row);
        row->letter = letter;
        row->start = page;
    }
    row->end = page + 1;
}

/* 'r', 'w', or 0: none that can be seen. */
static char
access_of(const struct recorder *recorder, const struct model_mapping *mapping,
          uint64_t entry, uint8_t *seen)
{
    bool own = (entry & (ENTRY_FILE | ENTRY_ALONE)) == ENTRY_ALONE;
    bool again = recorder->tells_writes && entry & ENTRY_DIRTY;
    enum seen was = *seen;
    bool wrote = mapping->shared ? again : own && (was < WRITTEN || again);

    if (!(entry & ENTRY_PRESENT)) {
        *seen = entry & ENTRY_SWAPPED && was >= WRITTEN ? AWAY : UNSEEN;
        return 0;
    }
    *seen = was >= WRITTEN || (own && !mapping->shared) ? WRITTEN : THERE;
    if (wrote && mapping->access & MODEL_WRITE)
        return 'w';
    return was == UNSEEN || was == AWAY ? 'r' : 0;
}

static int
look_at_window(struct row *row, const struct model_mapping *mapping,
               uint64_t first, const uint64_t *entries, uint64_t count)
{
    uint8_t *seen = NULL;

    for (uint64_t i = 0; i < count; i++) {
        uint64_t page = first + i;
        bool there = entries[i] & ENTRY_PRESENT;
        if (i == 0 || page % RECORDED_CHUNK == 0 || (!seen && there)) {
            seen = chunk_of(row->space, page, there);
            if (there && !seen)
                return tool_fail(&row->recorder->error, "no memory");
        }
        if (!seen)
            continue;
        char letter = access_of(row->recorder, mapping, entries[i],
                                &seen[page % RECORDED_CHUNK]);
        if (letter)
            add_to_row(row, letter, page);
    }
    return 0;
}

static int
look_at_mapping(struct row *row, int pagemap,
                const struct model_mapping *mapping)
{
    static uint64_t entries[WINDOW];
    uint64_t page = mapping->start;
    int result = 0;

    while (page < mapping->end && result == 0) {
        uint64_t count = mapping->end - page;
        if (count > WINDOW)
            count = WINDOW;
        ssize_t got = pread(pagemap, entries, count * sizeof(*entries),
                            (off_t)(page * sizeof(*entries)));
        if (got < (ssize_t)sizeof(*entries))
            return -1;
        count = (uint64_t)got / sizeof(*entries);
        result = look_at_window(row, mapping, page, entries, count);
        row->recorder->looked_at += count;
        page += count;
    }
    return result;
}

static void
clear_dirty(pid_t tid)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/clear_refs", (int)tid);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return;
    if (write(file, "4", 1) != 1)
        (void)0; /* then what was written is so again at the next look */
    close(file);
}

static int
look(struct recorder *recorder, struct recorded_space *space, int pagemap)
{
    struct row row = {.recorder = recorder, .space = space};
    size_t count;
    const struct model_mapping *mappings = model_mappings(space->model, &count);
    int result = 0;

    for (size_t i = 0; i < count && result == 0; i++)
        if (mappings[i].access &&
            mappings[i].end - mappings[i].start <= PAGES_MAX)
            result = look_at_mapping(&row, pagemap, &mappings[i]);
    write_row(&row);
    return result;
}

int
record_look_at_pages(struct recorder *recorder, struct recorded_space *space,
                     pid_t tid)
{
    uint64_t now_ns = tool_now_ns();
    char path[64];

    if (recorder->looked_at > FEW &&
        now_ns < recorder->looked_ns + SHARE * recorder->took_ns)
        return 0;
    snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)tid);
    int pagemap = open(path, O_RDONLY | O_CLOEXEC);
    if (pagemap < 0)
        return -1;
    recorder->looked_at = 0;
    int result = look(recorder, space, pagemap);
    close(pagemap);
    if (recorder->tells_writes)
        clear_dirty(tid);
    recorder->looked_ns = tool_now_ns();
    recorder->took_ns = recorder->looked_ns - now_ns;
    return result;
}
