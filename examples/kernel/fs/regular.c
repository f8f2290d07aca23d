/* SPDX-License-Identifier: MIT */
/*
 * regular.c - reading and writing files whose contents are an Aspen object,
 * files of text that was made up, and directories.
 */
#include "fs/file.h"

#include "mm/memory.h"
#include "mm/space.h"
#include "mm/user.h"

#define FILE_END ((uint64_t)1 << 46)

static long
regular_read(struct file *file, uint64_t to, size_t bytes, uint64_t *offset)
{
    char *buffer = memory_alloc(PAGE_BYTES);
    long total = 0;
    int error = 0;

    if (!buffer)
        return -ENOMEM;
    while (bytes) {
        uint64_t done = 0;
        error = aspen_object_read(file->node->object, *offset, buffer,
                                  MIN(bytes, PAGE_BYTES), &done);
        if (!done)
            break;
        if (user_write(to, buffer, done)) {
            error = -EFAULT;
            break;
        }
        *offset += done;
        to += done;
        total += (long)done;
        bytes -= done;
    }
    memory_free(buffer, PAGE_BYTES);
    return total ? total : error;
}

/* The last eighth of memory is not for files: programs need some. */
static bool
may_grow(void)
{
    struct aspen_counters counters;

    aspen_counters_read(machine, &counters);
    uint64_t swap = counters.swap_slots - counters.swap_slots_used;
    uint64_t anon = counters.inactive_anon + counters.active_anon;
    return memory_available(&counters) + MIN(swap, anon) >
           counters.frames_total / 8;
}

/* The object is made as long as what will be in it. */
static int
write_part(struct file *file, const char *buffer, uint64_t bytes,
           uint64_t *offset)
{
    struct aspen_object *object = file->node->object;
    uint64_t before = aspen_object_size(object), done;
    int error = 0;

    if (*offset > FILE_END - bytes)
        return -EFBIG;
    if (*offset + bytes > before && !may_grow())
        return -ENOSPC;
    if (*offset + bytes > before)
        error = aspen_object_resize(object, *offset + bytes);
    if (!error)
        error = aspen_object_write(object, *offset, buffer, bytes, &done);
    if (error == -ENOMEM)
        error = -ENOSPC;
    if (error && aspen_object_size(object) > before)
        (void)!aspen_object_resize(object, before);
    if (!error)
        *offset += bytes;
    return error;
}

int
regular_resize(struct node *node, uint64_t bytes)
{
    mutex_lock(&node->lock);
    int error = aspen_object_resize(node->object, bytes);
    mutex_unlock(&node->lock);
    return error;
}

static long
regular_write(struct file *file, uint64_t from, size_t bytes, uint64_t *offset)
{
    char *buffer = memory_alloc(PAGE_BYTES);
    long total = 0;
    int error = 0;

    if (!buffer)
        return -ENOMEM;
    mutex_lock(&file->node->lock);
    if (file->flags & O_APPEND)
        *offset = aspen_object_size(file->node->object);
    while (bytes && !error) {
        size_t part = MIN(bytes, PAGE_BYTES);
        error = user_read(buffer, from, part);
        if (!error)
            error = write_part(file, buffer, part, offset);
        if (error)
            break;
        from += part;
        total += (long)part;
        bytes -= part;
    }
    file->node->modified = time_unix();
    mutex_unlock(&file->node->lock);
    memory_free(buffer, PAGE_BYTES);
    return total ? total : error;
}

const struct file_ops regular_ops = {
    .read = regular_read,
    .write = regular_write,
};

/* ---- Text -------------------------------------------------------------- */

static long
text_read(struct file *file, uint64_t to, size_t bytes, uint64_t *offset)
{
    size_t part;

    if (*offset >= file->text.length)
        return 0;
    part = MIN(bytes, file->text.length - *offset);
    if (user_write(to, file->text.bytes + *offset, part))
        return -EFAULT;
    *offset += part;
    return (long)part;
}

static long
text_write(struct file *file, uint64_t from, size_t bytes, uint64_t *offset)
{
    char line[128];
    long error;

    (void)offset;
    if (!file->node->ops->write || bytes >= sizeof(line))
        return -EINVAL;
    if (user_read(line, from, bytes))
        return -EFAULT;
    line[bytes] = 0;
    error = file->node->ops->write(file->node, line);
    return error ? error : (long)bytes;
}

const struct file_ops text_ops = {
    .read = text_read,
    .write = text_write,
};

/* ---- Directories ------------------------------------------------------- */

struct directory_entry {
    uint64_t number;
    uint64_t next;
    uint16_t bytes;
    uint8_t type;
    char name[];
} __attribute__((packed));

static long
directory_read(struct file *file, uint64_t to, size_t bytes, uint64_t *offset)
{
    (void)file, (void)to, (void)bytes, (void)offset;
    return -EISDIR;
}

const struct file_ops directory_ops = {
    .read = directory_read,
};

struct found {
    char name[NAME_BYTES_MAX + 1];
    uint8_t type;
    uint64_t next; /* where to look from then on */
};

/* The first entry from `position` on; "." and ".." come before all others. What
 * goes meanwhile does not move those that stay. */
static bool
find_from(struct node *directory, uint64_t position, struct found *found)
{
    found->next = position + 1;
    found->type = 4;
    if (position < 2) {
        format(found->name, sizeof(found->name), "%s", position ? ".." : ".");
        return true;
    }
    found->type = 0;
    if (directory->ops) {
        uint64_t place = position - 2;
        bool any = directory->ops->list(directory, &place, found->name);
        found->next = place + 3;
        return any;
    }
    list_for_each(link, &directory->entries)
    {
        struct entry *entry = container_of(link, struct entry, sibling);
        if (entry->position + 1 < position)
            continue;
        found->next = entry->position + 2;
        found->type = (uint8_t)(entry->node->mode >> 12);
        format(found->name, sizeof(found->name), "%s", entry->name);
        return true;
    }
    return false;
}

/* With the tree locked, into plain memory. */
static long
list_locked(struct file *file, char *to, size_t bytes)
{
    struct found found;
    size_t total = 0;

    while (find_from(file->node, file->offset, &found)) {
        size_t length = strlen(found.name) + 1;
        size_t whole =
            round_up(offsetof(struct directory_entry, name) + length, 8);
        struct directory_entry *entry = (void *)(to + total);
        if (total + whole > bytes)
            return total ? (long)total : -EINVAL;
        *entry = (struct directory_entry){
            .number = file->node->number + found.next,
            .next = found.next,
            .bytes = (uint16_t)whole,
            .type = found.type,
        };
        memcpy(entry->name, found.name, length);
        file->offset = found.next;
        total += whole;
    }
    return (long)total;
}

long
directory_list(struct file *file, uint64_t to, size_t bytes)
{
    size_t room = MIN(bytes, PAGE_BYTES);
    char *buffer = memory_alloc(room);
    long total;

    if (!buffer)
        return -ENOMEM;
    mutex_lock(&file->lock);
    if (!file->node->ops)
        tree_lock();
    total = list_locked(file, buffer, room);
    if (!file->node->ops)
        tree_unlock();
    mutex_unlock(&file->lock);
    if (total > 0 && user_write(to, buffer, (size_t)total))
        total = -EFAULT;
    memory_free(buffer, room);
    return total;
}
