/* SPDX-License-Identifier: MIT */
/*
 * recorded.c - see recorded.h.
 *
 * Called by command.c. tests/unit/tools/test_recorded.c breaks first.
 */
#define _GNU_SOURCE
#include "trace/recorded.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME    "aspen.trace/"
#define VERSION "1"
#define FIELDS  6u
/* Of a line, the end included: the longest name of a file fits in. A file that
 * has no end, as /dev/zero, may have no end of a line either. */
#define LINE_BYTES 32768u

struct reader {
    struct recorded *recorded;
    struct model_space *space; /* NULL: it has ended */
    const char *path;
    FILE *file;
    uint64_t line;
    char text[LINE_BYTES];
    char *fields[FIELDS];
    unsigned count;
    uint32_t *cells; /* of accesses that are counted */
    size_t cell_count;
    size_t cell_room;
    size_t accesses;
    struct tool_error *error;
};

/* ---- Lines -------------------------------------------------------------- */

/* What is wrong, which is in the error, has a place. */
static int
place(const struct reader *reader)
{
    struct tool_error why = *reader->error;

    return tool_fail(reader->error, "%.200s:%" PRIu64 ": %.250s", reader->path,
                     reader->line, why.text);
}

static int
no_memory(const struct reader *reader)
{
    return tool_fail(reader->error, "no memory");
}

/* 1, 0 at the end, or -1. */
static int
next_line(struct reader *reader)
{
    size_t length = 0;
    int byte = getc_unlocked(reader->file);

    if (byte == EOF && !ferror(reader->file))
        return 0;
    reader->line++;
    while (byte != EOF && byte != '\0' && byte != '\n' &&
           length < LINE_BYTES - 1) {
        reader->text[length++] = (char)byte;
        byte = getc_unlocked(reader->file);
    }
    reader->text[length] = '\0';
    if (byte == '\n')
        return 1;
    if (byte == '\0')
        return tool_fail(reader->error, "there is a byte of 0");
    if (byte != EOF)
        return tool_fail(reader->error, "a line has more than %u bytes",
                         LINE_BYTES - 1);
    if (ferror(reader->file))
        return tool_fail(reader->error, "cannot read: %s", strerror(errno));
    return tool_fail(reader->error, "the file ends inside of a line");
}

static int
take_fields(struct reader *reader)
{
    char *rest = reader->text, *field;

    reader->count = 0;
    while ((field = strsep(&rest, " \t")) != NULL) {
        if (*field == '\0')
            continue;
        if (reader->count == FIELDS)
            return tool_fail(reader->error, "there is more than '%.40s'",
                             reader->fields[0]);
        reader->fields[reader->count++] = field;
    }
    return 0;
}

/* Digits of base 16, no sign. */
static int
take_number(const struct reader *reader, unsigned field, const char *what,
            uint64_t *number)
{
    const char *text = field < reader->count ? reader->fields[field] : "";
    size_t length = strlen(text);

    if (length == 0)
        return tool_fail(reader->error, "%s lacks its %s", reader->fields[0],
                         what);
    if (length > 16 || strspn(text, "0123456789abcdefABCDEF") != length)
        return tool_fail(reader->error, "'%.40s' is no %s", text, what);
    *number = strtoull(text, NULL, 16);
    return 0;
}

static int
take_access(const struct reader *reader, unsigned field, bool may_share,
            struct model_mapping *mapping)
{
    const char *text = field < reader->count ? reader->fields[field] : "";
    const char *letters = "rwx";

    mapping->access = 0;
    for (unsigned i = 0; i < 3; i++, text++) {
        if (*text != letters[i] && *text != '-')
            return tool_fail(reader->error, "access is as rw-, not '%.40s'",
                             field < reader->count ? reader->fields[field]
                                                   : "");
        if (*text == letters[i])
            mapping->access |= (uint8_t)(1u << i);
    }
    mapping->shared = may_share && *text == 's';
    if (may_share && (*text == 's' || *text == 'p'))
        text++;
    return *text == '\0'
               ? 0
               : tool_fail(reader->error, "access is as %s, not '%.40s'",
                           may_share ? "rw-p" : "rw-", reader->fields[field]);
}

static int
take_end(const struct reader *reader, unsigned fields)
{
    return reader->count <= fields
               ? 0
               : tool_fail(reader->error,
                           "there is more than %s takes: '%.40s'",
                           reader->fields[0], reader->fields[fields]);
}

/* ---- Steps -------------------------------------------------------------- */

static struct recorded_step *
add_step(const struct reader *reader, enum recorded_kind kind)
{
    struct recorded *recorded = reader->recorded;
    struct recorded_step *steps =
        tool_room(recorded->steps, recorded->step_count, &recorded->step_room,
                  sizeof(*steps));

    if (!steps)
        return NULL;
    recorded->steps = steps;
    steps += recorded->step_count++;
    *steps = (struct recorded_step){
        .kind = (uint8_t)kind,
        .space =
            (uint16_t)(reader->space ? model_space_number(reader->space) : 0),
    };
    return steps;
}

static int
add_change(const struct reader *reader, enum recorded_kind kind,
           struct recorded_change change)
{
    struct recorded *recorded = reader->recorded;
    struct recorded_step *step = add_step(reader, kind);
    struct recorded_change *changes =
        tool_room(recorded->changes, recorded->change_count,
                  &recorded->change_room, sizeof(*changes));

    if (!step || !changes)
        return no_memory(reader);
    recorded->changes = changes;
    step->page = recorded->change_count;
    changes[recorded->change_count++] = change;
    return 0;
}

static int
count_cell(struct reader *reader, uint32_t cell)
{
    uint32_t *cells = tool_room(reader->cells, reader->cell_count,
                                &reader->cell_room, sizeof(*cells));

    if (!cells)
        return no_memory(reader);
    reader->cells = cells;
    cells[reader->cell_count++] = cell;
    return 0;
}

static int
add_access(struct reader *reader, uint64_t page, bool write)
{
    uint32_t cells = model_cells(reader->recorded->model);
    struct model_page touched;

    if (reader->accesses++ == RECORDED_ACCESSES_MAX)
        return tool_fail(reader->error, "more than %u accesses",
                         RECORDED_ACCESSES_MAX);
    if (model_touch(reader->recorded->model, reader->space, page, write,
                    &touched, reader->error) != 0)
        return -1;
    struct recorded_step *step =
        add_step(reader, write ? RECORDED_WRITE : RECORDED_READ);
    if (!step)
        return no_memory(reader);
    step->page = page;
    step->found = touched.found;
    step->left = touched.left;
    step->counted = touched.cell != MODEL_NO_CELL;
    step->fresh = step->counted && touched.cell >= cells;
    return step->counted ? count_cell(reader, touched.cell) : 0;
}

/* ---- Records ------------------------------------------------------------ */

static int
read_access(struct reader *reader)
{
    uint64_t start, count = 1;

    if (take_end(reader, 3) != 0 ||
        take_number(reader, 1, "page", &start) != 0 ||
        (reader->count > 2 && take_number(reader, 2, "count", &count) != 0))
        return -1;
    if (count == 0)
        return tool_fail(reader->error, "no pages");
    for (uint64_t i = 0; i < count; i++)
        if (add_access(reader, start + i, *reader->fields[0] == 'w') != 0)
            return -1;
    return 0;
}

static int
take_range(const struct reader *reader, struct model_mapping *mapping)
{
    uint64_t count;

    if (take_number(reader, 1, "page", &mapping->start) != 0 ||
        take_number(reader, 2, "count", &count) != 0)
        return -1;
    if (count > MODEL_PAGES_END || mapping->start > MODEL_PAGES_END)
        return tool_fail(reader->error, "pages end before %" PRIx64,
                         MODEL_PAGES_END);
    mapping->end = mapping->start + count;
    return 0;
}

static void
note_file(const struct reader *reader, const struct model_mapping *mapping)
{
    uint64_t *pages = &reader->recorded->file_pages[mapping->file];
    uint64_t end = mapping->offset + (mapping->end - mapping->start);

    if (mapping->file && end > *pages)
        *pages = end;
}

static int
read_map(struct reader *reader)
{
    struct recorded_change change = {.line = reader->line};
    struct model_mapping *mapping = &change.mapping;
    uint64_t file = 0;

    if (take_range(reader, mapping) != 0 ||
        take_access(reader, 3, true, mapping) != 0)
        return -1;
    if (reader->count > 4 &&
        (take_number(reader, 4, "file", &file) != 0 ||
         take_number(reader, 5, "offset", &mapping->offset) != 0))
        return -1;
    if (reader->count > 4 && (file == 0 || file >= MODEL_FILES))
        return tool_fail(reader->error, "files are numbered from 1 to %x",
                         MODEL_FILES - 1);
    mapping->file = (uint32_t)file;
    if (model_map(reader->space, mapping, reader->error) != 0)
        return -1;
    note_file(reader, mapping);
    return add_change(reader, RECORDED_MAP, change);
}

/* What happens to a range that is mapped. */
static const struct change {
    char name;
    enum recorded_kind kind;
    unsigned fields;
} changes[] = {
    {'u', RECORDED_UNMAP, 3},
    {'p', RECORDED_PROTECT, 4},
    {'v', RECORDED_MOVE, 4},
    {'d', RECORDED_DROP, 3},
};

static int
change_range(const struct reader *reader, enum recorded_kind kind,
             struct recorded_change *change)
{
    struct model *model = reader->recorded->model;
    struct model_mapping *range = &change->mapping;
    uint64_t start = range->start, count = range->end - range->start;

    switch (kind) {
    case RECORDED_UNMAP:
        return model_unmap(model, reader->space, start, count, reader->error);
    case RECORDED_PROTECT:
        if (take_access(reader, 3, false, range) != 0)
            return -1;
        return model_protect(reader->space, start, count, range->access,
                             reader->error);
    case RECORDED_MOVE:
        if (take_number(reader, 3, "new page", &change->to) != 0)
            return -1;
        return model_move(reader->space, start, count, change->to,
                          reader->error);
    default:
        return model_drop(model, reader->space, start, count, reader->error);
    }
}

static int
read_change(struct reader *reader)
{
    struct recorded_change change = {.line = reader->line};
    const struct change *what = changes;

    while (what->name != *reader->fields[0])
        what++;
    if (take_end(reader, what->fields) != 0 ||
        take_range(reader, &change.mapping) != 0 ||
        change_range(reader, what->kind, &change) != 0)
        return -1;
    return add_change(reader, what->kind, change);
}

static int
read_new(struct reader *reader)
{
    struct recorded_change change = {.line = reader->line};
    bool fork = *reader->fields[0] == 'f';

    if (take_end(reader, 2) != 0 ||
        take_number(reader, 1, "space", &change.to) != 0 ||
        !model_space_add(reader->recorded->model, change.to,
                         fork ? reader->space : NULL, reader->error))
        return -1;
    return add_change(reader, fork ? RECORDED_FORK : RECORDED_NEW, change);
}

static int
read_space(struct reader *reader)
{
    uint64_t number;

    if (take_end(reader, 2) != 0 ||
        take_number(reader, 1, "space", &number) != 0)
        return -1;
    reader->space = model_space(reader->recorded->model, number);
    return reader->space
               ? 0
               : tool_fail(reader->error, "there is no space %" PRIx64, number);
}

static int
read_end(struct reader *reader)
{
    struct recorded_change change = {.line = reader->line};

    if (take_end(reader, 1) != 0 ||
        add_change(reader, RECORDED_END, change) != 0)
        return -1;
    model_space_end(reader->recorded->model, reader->space);
    reader->space = NULL;
    return 0;
}

static const struct record {
    const char *name;
    int (*read)(struct reader *reader);
    bool anywhere; /* also when no space is the one that all is about */
} records[] = {
    {"r", read_access, false}, {"w", read_access, false},
    {"m", read_map, false},    {"u", read_change, false},
    {"p", read_change, false}, {"v", read_change, false},
    {"d", read_change, false}, {"f", read_new, false},
    {"n", read_new, true},     {"s", read_space, true},
    {"e", read_end, false},
};

static int
read_record(struct reader *reader)
{
    if (*reader->text == '#')
        return 0;
    if (take_fields(reader) != 0)
        return -1;
    if (reader->count == 0)
        return 0;
    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
        if (strcmp(records[i].name, reader->fields[0]) != 0)
            continue;
        if (!reader->space && !records[i].anywhere)
            return tool_fail(reader->error,
                             "the space has ended: s names another");
        return records[i].read(reader);
    }
    return tool_fail(reader->error, "there is no record '%.40s'",
                     reader->fields[0]);
}

/* ---- Files -------------------------------------------------------------- */

static int
read_head(struct reader *reader)
{
    int got = next_line(reader);

    if (got < 0)
        return -1;
    if (got == 0 || strncmp(reader->text, NAME, strlen(NAME)) != 0) {
        reader->line = 1;
        return tool_fail(reader->error, "a trace begins with " NAME VERSION);
    }
    return strcmp(reader->text + strlen(NAME), VERSION) == 0
               ? 0
               : tool_fail(reader->error,
                           "only version " VERSION " is known, not '%.40s'",
                           reader->text + strlen(NAME));
}

static int
read_all(struct reader *reader)
{
    int got;

    if (read_head(reader) != 0)
        return place(reader);
    while ((got = next_line(reader)) == 1)
        if (read_record(reader) != 0)
            return place(reader);
    if (got < 0)
        return place(reader);
    if (reader->cell_count == 0)
        return tool_fail(reader->error, "%.200s accesses nothing",
                         reader->path);
    reader->recorded->trace = (struct trace){
        .accesses = reader->cells,
        .length = reader->cell_count,
        .pages = model_cells(reader->recorded->model),
    };
    reader->cells = NULL;
    return 0;
}

int
recorded_read(struct recorded *recorded, const char *path,
              struct tool_error *error)
{
    struct reader reader = {
        .recorded = recorded,
        .path = path,
        .file = fopen(path, "re"),
        .error = error,
    };
    int status = -1;

    if (!reader.file)
        return tool_fail(error, "cannot read %s: %s", path, strerror(errno));
    recorded->model = model_begin();
    if (recorded->model) {
        reader.space = model_space(recorded->model, 1);
        status = read_all(&reader);
    } else {
        tool_fail(error, "no memory");
    }
    fclose(reader.file);
    free(reader.cells);
    return status;
}

void
recorded_free(struct recorded *recorded)
{
    trace_end(&recorded->trace);
    model_end(recorded->model);
    free(recorded->steps);
    free(recorded->changes);
    memset(recorded, 0, sizeof(*recorded));
}
