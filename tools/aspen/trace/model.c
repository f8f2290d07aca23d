/* SPDX-License-Identifier: MIT */
/*
 * model.c - see model.h.
 *
 * I1  mappings of a space are in order, and none lies in another.
 * I2  a page of a space that is in its map lies in a private mapping, and its
 *     cell counts all spaces that have it.
 *
 * Called by recorded.c. tests/unit/tools/test_recorded.c breaks first.
 */
#include "trace/model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FILE_STAMPS  0x80000000u
#define OFFSETS_BITS 40u

/* ---- The model ---------------------------------------------------------- */

struct cell {
    uint32_t stamp;
    uint32_t spaces; /* of a file's: unused */
};

struct model_space {
    uint32_t number;
    struct model_mapping *mappings;
    size_t count;
    size_t room;
    struct page_map pages; /* cells */
};

struct model {
    struct model_space *spaces[MODEL_SPACES];
    struct cell *cells;
    size_t cell_count;
    size_t cell_room;
    uint32_t stamps;            /* given out */
    struct page_map file_pages; /* cells */
};

static int
no_memory(struct tool_error *error)
{
    return tool_fail(error, "no memory");
}

struct model *
model_begin(void)
{
    struct model *model = calloc(1, sizeof(*model));
    struct tool_error error;

    if (model && !model_space_add(model, 1, NULL, &error)) {
        free(model);
        return NULL;
    }
    return model;
}

static void
free_space(struct model_space *space)
{
    page_map_free(&space->pages);
    free(space->mappings);
    free(space);
}

void
model_end(struct model *model)
{
    if (!model)
        return;
    for (unsigned i = 0; i < MODEL_SPACES; i++)
        if (model->spaces[i])
            free_space(model->spaces[i]);
    page_map_free(&model->file_pages);
    free(model->cells);
    free(model);
}

uint32_t
model_cells(const struct model *model)
{
    return (uint32_t)model->cell_count;
}

/* ---- Spaces ------------------------------------------------------------- */

struct model_space *
model_space(struct model *model, uint64_t number)
{
    return number < MODEL_SPACES ? model->spaces[number] : NULL;
}

uint32_t
model_space_number(const struct model_space *space)
{
    return space->number;
}

static int
copy_space(struct model *model, struct model_space *space,
           const struct model_space *from)
{
    if (from->count) {
        space->mappings = malloc(from->count * sizeof(*space->mappings));
        if (!space->mappings)
            return -1;
        memcpy(space->mappings, from->mappings,
               from->count * sizeof(*space->mappings));
        space->count = space->room = from->count;
    }
    if (page_map_copy(&space->pages, &from->pages) != 0)
        return -1;
    for (size_t i = 0; i < space->pages.room; i++)
        if (space->pages.keys[i] != PAGE_MAP_EMPTY)
            model->cells[space->pages.values[i]].spaces++;
    return 0;
}

struct model_space *
model_space_add(struct model *model, uint64_t number,
                const struct model_space *from, struct tool_error *error)
{
    struct model_space *space;

    if (number >= MODEL_SPACES) {
        tool_fail(error, "spaces are numbered up to %x", MODEL_SPACES - 1);
        return NULL;
    }
    if (model->spaces[number]) {
        tool_fail(error, "there is a space %" PRIx64 " already", number);
        return NULL;
    }
    space = calloc(1, sizeof(*space));
    if (!space || (from && copy_space(model, space, from) != 0)) {
        if (space)
            free_space(space);
        no_memory(error);
        return NULL;
    }
    space->number = (uint32_t)number;
    model->spaces[number] = space;
    return space;
}

/* Nobody has the page any more there. */
static void
forget(struct model *model, uint32_t *cell)
{
    if (*cell == PAGE_MAP_NONE)
        return;
    model->cells[*cell].spaces--;
    *cell = PAGE_MAP_NONE;
}

void
model_space_end(struct model *model, struct model_space *space)
{
    for (size_t i = 0; i < space->pages.room; i++)
        if (space->pages.keys[i] != PAGE_MAP_EMPTY)
            forget(model, &space->pages.values[i]);
    model->spaces[space->number] = NULL;
    free_space(space);
}

/* ---- Mappings ----------------------------------------------------------- */

/* The first that does not end before the page. */
static size_t
find(const struct model_space *space, uint64_t page)
{
    size_t low = 0, high = space->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (space->mappings[middle].end <= page)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int
insert(struct model_space *space, size_t at,
       const struct model_mapping *mapping, struct tool_error *error)
{
    struct model_mapping *mappings = tool_room(space->mappings, space->count,
                                               &space->room, sizeof(*mappings));

    if (!mappings)
        return no_memory(error);
    space->mappings = mappings;
    memmove(mappings + at + 1, mappings + at,
            (space->count - at) * sizeof(*mappings));
    mappings[at] = *mapping;
    space->count++;
    return 0;
}

static int
check_range(uint64_t start, uint64_t count, struct tool_error *error)
{
    if (count == 0)
        return tool_fail(error, "no pages");
    if (start >= MODEL_PAGES_END || count > MODEL_PAGES_END - start)
        return tool_fail(error, "pages end before %" PRIx64, MODEL_PAGES_END);
    return 0;
}

static int
check_free(const struct model_space *space, uint64_t start, uint64_t end,
           struct tool_error *error)
{
    size_t at = find(space, start);

    if (at == space->count || space->mappings[at].start >= end)
        return 0;
    return tool_fail(error, "%" PRIx64 "-%" PRIx64 " is mapped already",
                     space->mappings[at].start, space->mappings[at].end);
}

static int
check_mapped(const struct model_space *space, uint64_t start, uint64_t count,
             struct tool_error *error)
{
    uint64_t page = start;

    if (check_range(start, count, error) != 0)
        return -1;
    for (size_t at = find(space, start); page < start + count; at++) {
        if (at == space->count || space->mappings[at].start > page)
            return tool_fail(error, "page %" PRIx64 " is not mapped", page);
        page = space->mappings[at].end;
    }
    return 0;
}

/* One mapping ends before the page, and another begins there. */
static int
split(struct model_space *space, uint64_t page, struct tool_error *error)
{
    size_t at = find(space, page);

    if (at == space->count || space->mappings[at].start >= page)
        return 0;
    struct model_mapping rest = space->mappings[at];
    rest.offset += page - rest.start;
    rest.start = page;
    if (insert(space, at + 1, &rest, error) != 0)
        return -1;
    space->mappings[at].end = page;
    return 0;
}

/* The mappings of the range, which is mapped, begin and end with it. */
static int
cut(struct model_space *space, uint64_t start, uint64_t count, size_t *first,
    size_t *beyond, struct tool_error *error)
{
    if (check_mapped(space, start, count, error) != 0 ||
        split(space, start, error) != 0 ||
        split(space, start + count, error) != 0)
        return -1;
    *first = find(space, start);
    *beyond = find(space, start + count);
    return 0;
}

static void
take_out(struct model_space *space, size_t first, size_t beyond)
{
    memmove(space->mappings + first, space->mappings + beyond,
            (space->count - beyond) * sizeof(*space->mappings));
    space->count -= beyond - first;
}

/* ---- Pages -------------------------------------------------------------- */

static void
forget_pages(struct model *model, struct model_space *space, uint64_t start,
             uint64_t count)
{
    struct page_map *pages = &space->pages;
    uint32_t *cell;

    if (count < pages->room) {
        for (uint64_t page = start; page < start + count; page++)
            if ((cell = page_map_find(pages, page)) != NULL)
                forget(model, cell);
        return;
    }
    for (size_t i = 0; i < pages->room; i++)
        if (pages->keys[i] != PAGE_MAP_EMPTY && pages->keys[i] - start < count)
            forget(model, &pages->values[i]);
}

/* Those that are there, to where nothing is. */
static int
move_pages(struct model_space *space, uint64_t start, uint64_t count,
           uint64_t to)
{
    const struct page_map *pages = &space->pages;
    struct page_map moved = {0};
    int result = 0;

    for (size_t i = 0; i < pages->room && result == 0; i++) {
        uint64_t page = pages->keys[i];
        if (page == PAGE_MAP_EMPTY || pages->values[i] == PAGE_MAP_NONE)
            continue;
        if (page - start < count)
            page = page - start + to;
        result = page_map_put(&moved, page, pages->values[i]);
    }
    page_map_free(&space->pages);
    space->pages = moved;
    return result;
}

/* ---- Changes ------------------------------------------------------------ */

const struct model_mapping *
model_mappings(const struct model_space *space, size_t *count)
{
    *count = space->count;
    return space->mappings;
}

int
model_map(struct model_space *space, const struct model_mapping *mapping,
          struct tool_error *error)
{
    uint64_t count = mapping->end - mapping->start;

    if (check_range(mapping->start, count, error) != 0 ||
        check_free(space, mapping->start, mapping->end, error) != 0)
        return -1;
    if (mapping->offset >= MODEL_OFFSETS_END ||
        count > MODEL_OFFSETS_END - mapping->offset)
        return tool_fail(error, "files end before %" PRIx64, MODEL_OFFSETS_END);
    if (mapping->shared && mapping->file == 0)
        return tool_fail(error, "what is shared has a file");
    return insert(space, find(space, mapping->start), mapping, error);
}

int
model_unmap(struct model *model, struct model_space *space, uint64_t start,
            uint64_t count, struct tool_error *error)
{
    size_t first, beyond;

    if (cut(space, start, count, &first, &beyond, error) != 0)
        return -1;
    take_out(space, first, beyond);
    forget_pages(model, space, start, count);
    return 0;
}

int
model_protect(struct model_space *space, uint64_t start, uint64_t count,
              uint8_t access, struct tool_error *error)
{
    size_t first, beyond;

    if (cut(space, start, count, &first, &beyond, error) != 0)
        return -1;
    for (size_t i = first; i < beyond; i++)
        space->mappings[i].access = access;
    return 0;
}

int
model_move(struct model_space *space, uint64_t start, uint64_t count,
           uint64_t to, struct tool_error *error)
{
    size_t first, beyond;

    if (check_range(to, count, error) != 0 ||
        cut(space, start, count, &first, &beyond, error) != 0 ||
        check_free(space, to, to + count, error) != 0)
        return -1;
    if (move_pages(space, start, count, to) != 0)
        return no_memory(error);
    /* One after the other, each to its place among the rest. */
    for (size_t moved = beyond - first; moved > 0; moved--) {
        size_t at = find(space, start);
        struct model_mapping mapping = space->mappings[at];
        take_out(space, at, at + 1);
        uint64_t from = mapping.start;
        mapping.start = from - start + to;
        mapping.end = mapping.end - start + to;
        if (insert(space, find(space, mapping.start), &mapping, error) != 0)
            return -1;
        uint64_t length = mapping.end - mapping.start;
        start = from + length;
        to = mapping.end;
    }
    return 0;
}

int
model_drop(struct model *model, struct model_space *space, uint64_t start,
           uint64_t count, struct tool_error *error)
{
    if (check_mapped(space, start, count, error) != 0)
        return -1;
    forget_pages(model, space, start, count);
    return 0;
}

/* ---- Accesses ----------------------------------------------------------- */

uint32_t
model_file_stamp(uint32_t file, uint64_t offset)
{
    return (uint32_t)(page_map_scatter((uint64_t)file << OFFSETS_BITS |
                                       offset) >>
                      32) |
           FILE_STAMPS;
}

/* MODEL_NO_CELL: no memory, or there are too many. */
static uint32_t
new_cell(struct model *model, uint32_t stamp)
{
    struct cell *cells = tool_room(model->cells, model->cell_count,
                                   &model->cell_room, sizeof(*cells));

    if (!cells || model->cell_count == INT32_MAX / 2)
        return MODEL_NO_CELL;
    model->cells = cells;
    cells[model->cell_count] = (struct cell){stamp, 1};
    return (uint32_t)model->cell_count++;
}

/* The cell of a page of a file; it is made. */
static uint32_t
file_cell(struct model *model, const struct model_mapping *mapping,
          uint64_t page)
{
    uint64_t offset = page - mapping->start + mapping->offset;
    uint64_t key = (uint64_t)mapping->file << OFFSETS_BITS | offset;
    uint32_t *known = page_map_find(&model->file_pages, key);

    if (known)
        return *known;
    uint32_t cell = new_cell(model, model_file_stamp(mapping->file, offset));
    if (cell == MODEL_NO_CELL || page_map_put(&model->file_pages, key, cell))
        return MODEL_NO_CELL;
    return cell;
}

/* The private page of its own that the space has, or NULL. */
static uint32_t *
own_cell(const struct model_space *space, uint64_t page)
{
    uint32_t *cell = page_map_find(&space->pages, page);

    return cell && *cell != PAGE_MAP_NONE ? cell : NULL;
}

/* One that no other space has, which is the page from now on. */
static int
own_page(struct model *model, struct model_space *space, uint64_t page,
         uint32_t *own, struct model_page *touched)
{
    if (own && model->cells[*own].spaces == 1) {
        touched->cell = *own;
        return 0;
    }
    touched->cell = new_cell(model, 0);
    if (touched->cell == MODEL_NO_CELL)
        return -1;
    if (own)
        model->cells[*own].spaces--;
    return page_map_put(&space->pages, page, touched->cell);
}

static int
touch(struct model *model, struct model_space *space,
      const struct model_mapping *mapping, uint64_t page, bool write,
      struct model_page *touched)
{
    uint32_t *own = own_cell(space, page);

    touched->cell = MODEL_NO_CELL;
    touched->found = 0;
    if (own)
        touched->cell = *own;
    else if (mapping->file) {
        touched->cell = file_cell(model, mapping, page);
        if (touched->cell == MODEL_NO_CELL)
            return -1;
    }
    if (touched->cell != MODEL_NO_CELL)
        touched->found = model->cells[touched->cell].stamp;
    touched->left = touched->found;
    if (!write)
        return 0;
    if (!mapping->shared && own_page(model, space, page, own, touched) != 0)
        return -1;
    touched->left = model->cells[touched->cell].stamp = ++model->stamps;
    return 0;
}

int
model_touch(struct model *model, struct model_space *space, uint64_t page,
            bool write, struct model_page *touched, struct tool_error *error)
{
    size_t at = find(space, page);

    if (at == space->count || space->mappings[at].start > page)
        return tool_fail(error, "page %" PRIx64 " is not mapped", page);
    if ((space->mappings[at].access &
         (write ? MODEL_WRITE : MODEL_READ | MODEL_EXECUTE)) == 0)
        return tool_fail(error, "page %" PRIx64 " may not be %s", page,
                         write ? "written" : "read");
    return touch(model, space, &space->mappings[at], page, write, touched) == 0
               ? 0
               : no_memory(error);
}

/* ---- At the end --------------------------------------------------------- */

/* In a mapping that may be read. */
static bool
can_read(const struct model_space *space, uint64_t page)
{
    return space->mappings[find(space, page)].access &
           (MODEL_READ | MODEL_EXECUTE);
}

int
model_each_page(const struct model *model,
                int (*look)(void *context, uint32_t space, uint64_t page,
                            uint32_t stamp),
                void *context)
{
    int result = 0;

    for (uint32_t number = 0; number < MODEL_SPACES && result == 0; number++) {
        const struct model_space *space = model->spaces[number];
        for (size_t i = 0; space && i < space->pages.room && result == 0; i++)
            if (space->pages.keys[i] != PAGE_MAP_EMPTY &&
                space->pages.values[i] != PAGE_MAP_NONE &&
                can_read(space, space->pages.keys[i]))
                result = look(context, number, space->pages.keys[i],
                              model->cells[space->pages.values[i]].stamp);
    }
    return result;
}
