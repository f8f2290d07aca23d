/* SPDX-License-Identifier: MIT */
/*
 * archive.c - the files of a cpio archive ("newc") on the disk.
 *
 * Only headers are read here. A file's pages come when somebody touches them,
 * by an Aspen pager; when memory is short they leave, but for what programs
 * wrote.
 */
#include "dev/disk.h"
#include "fs/node.h"
#include "mm/memory.h"
#include "mm/space.h"
#include "sched/thread.h"

#define HEADER_BYTES 110u
#define WINDOW_BYTES 131072u

struct archived {
    uint64_t start; /* on the disk */
    uint64_t bytes; /* that are still the archive's */
    char *name;
};

/* ---- The pager --------------------------------------------------------- */

static int
archived_readahead(void *context, uint64_t offset, void *const pages[],
                   unsigned count)
{
    const struct archived *file = context;
    uint64_t bytes = __atomic_load_n(&file->bytes, __ATOMIC_RELAXED);
    int error = 0;

    /* The image lets each file begin with a sector, if it can. */
    if (file->start % 512 == 0 && offset + count * PAGE_BYTES <= bytes)
        return disk_pages(disk_get(0), false, file->start + offset, pages,
                          count);
    for (unsigned i = 0; i < count && !error; i++, offset += PAGE_BYTES)
        if (offset < bytes)
            error = disk_some(disk_get(0), false, file->start + offset,
                              pages[i], MIN(bytes - offset, PAGE_BYTES));
    return error;
}

static int
archived_read(void *context, uint64_t offset, void *page)
{
    return archived_readahead(context, offset, &page, 1);
}

/* What was cut off once reads as zeroes if the file grows again. */
static int
archived_resize(void *context, uint64_t bytes)
{
    struct archived *file = context;

    if (bytes < file->bytes)
        __atomic_store_n(&file->bytes, bytes, __ATOMIC_RELAXED);
    return 0;
}

static void
archived_release(void *context)
{
    struct archived *file = context;

    string_free(file->name);
    memory_free(file, sizeof(*file));
}

static const struct aspen_pager_ops archived_ops = {
    .read = archived_read,
    .readahead = archived_readahead,
    .resize = archived_resize,
    .release = archived_release,
};

/* ---- Headers ----------------------------------------------------------- */

struct reader {
    char *window; /* a piece of the disk, so that small files cost nothing */
    uint64_t at;
    uint64_t length;
};

static int
read_at(struct reader *reader, uint64_t at, void *to, size_t bytes)
{
    if (at < reader->at || at + bytes > reader->at + reader->length) {
        void *pages[WINDOW_BYTES / PAGE_BYTES];
        reader->at = round_down(at, PAGE_BYTES);
        reader->length =
            MIN(WINDOW_BYTES, disk_bytes(disk_get(0)) - reader->at);
        for (unsigned i = 0; i < LENGTH(pages); i++)
            pages[i] = reader->window + i * PAGE_BYTES;
        if (at + bytes > reader->at + reader->length)
            return -EIO;
        int error = disk_pages(disk_get(0), false, reader->at, pages,
                               (unsigned)(reader->length / PAGE_BYTES));
        if (error)
            return error;
    }
    memcpy(to, reader->window + (at - reader->at), bytes);
    return 0;
}

/* Number `index` of a header: eight hexadecimal digits. */
static uint32_t
header_number(const char *header, unsigned index)
{
    uint32_t value = 0;

    for (const char *at = header + 6 + index * 8, *end = at + 8; at < end; at++)
        value = value * 16 +
                (uint32_t)(*at <= '9' ? *at - '0' : (*at | 32) - 'a' + 10);
    return value;
}

static int
give_contents(struct node *node, struct reader *reader, uint64_t start,
              uint64_t bytes)
{
    if (node_is(node, S_IFLNK)) {
        node->target = memory_alloc(bytes + 1);
        return node->target ? read_at(reader, start, node->target, bytes)
                            : -ENOMEM;
    }
    if (!node_is(node, S_IFREG) || !bytes)
        return 0;
    struct archived *file = memory_alloc(sizeof(*file));
    if (!file)
        return -ENOMEM;
    *file = (struct archived){start, bytes, string_copy(node->name)};
    struct aspen_object_args args = {
        .kind = ASPEN_OBJECT_FILE,
        .device = 8,
        .inode = node->number,
        .size_bytes = bytes,
        .name = file->name,
        .pager = &archived_ops,
        .context = file,
    };
    struct aspen_object *empty = node->object;
    int error = file->name ? aspen_object_create(machine, &args, &node->object)
                           : -ENOMEM;
    if (error) {
        archived_release(file);
        return error;
    }
    node->name = file->name;
    aspen_object_put(empty);
    return 0;
}

static int
add(struct reader *reader, const char *header, const char *name, uint64_t start)
{
    struct path path;
    struct node *node;
    int error;

    if (name[0] == '.' && (!name[1] || name[1] == '/'))
        name += name[1] ? 2 : 1;
    if (!name[0])
        return 0; /* the root */
    error = path_walk(root_node, name, WALK_PARENT, &path);
    if (error)
        return error;
    error = tree_make(path.node, path.name, header_number(header, 1), &node);
    node_put(path.node);
    if (error)
        return error == -EEXIST ? 0 : error;
    node->modified = header_number(header, 5) * SECOND;
    error = give_contents(node, reader, start, header_number(header, 6));
    node_put(node);
    return error;
}

/* One entry, and *at is where the next one begins. 1: the archive ends. */
static int
read_entry(struct reader *reader, uint64_t *at)
{
    char header[HEADER_BYTES], name[PATH_BYTES_MAX];
    int error = read_at(reader, *at, header, HEADER_BYTES);

    if (error)
        return error;
    if (memcmp(header, "070701", 6) != 0)
        return -EINVAL;
    uint32_t length = header_number(header, 11);
    if (length > sizeof(name))
        return -ENAMETOOLONG;
    error = read_at(reader, *at + HEADER_BYTES, name, length);
    if (error)
        return error;
    uint64_t start = round_up(*at + HEADER_BYTES + length, 4);
    *at = round_up(start + header_number(header, 6), 4);
    if (strcmp(name, "TRAILER!!!") == 0)
        return 1;
    return add(reader, header, name, start);
}

/* Another archive may follow, from the next whole page on. */
int
archive_read(void)
{
    struct reader reader = {.window = memory_alloc(WINDOW_BYTES)};
    uint64_t at = 0;
    int error = reader.window ? 0 : -ENOMEM;

    while (!error) {
        error = read_entry(&reader, &at);
        if (error != 1)
            continue;
        at = round_up(at, PAGE_BYTES);
        if (at < disk_bytes(disk_get(0)))
            error = 0;
    }
    memory_free(reader.window, WINDOW_BYTES);
    return error == 1 ? 0 : error;
}
