/* SPDX-License-Identifier: MIT */
/*
 * swap.c - swapon and swapoff: disks that pages go to when memory is short, and
 * what /proc/swaps says of them.
 *
 * I1  An area belongs to who adds or removes it (`owner`), or is not in use (no
 *     pages), or is (pages): `lock` covers which.
 */
#include "sys/call.h"

#include "dev/disk.h"
#include "mm/memory.h"
#include "mm/space.h"
#include "sys/swap.h"

#define FLAG_PREFER 0x8000u
#define PRIORITY    0x7fffu
#define FLAGS       0x7ffffu /* those of discarding, too, which nobody does */

/* As mkswap writes it, on the first page; the slots are the pages after. */
#define SIGNATURE_AT 4086u
#define SIGNATURE    "SWAPSPACE2"
#define HEADER_AT    1024u

struct header {
    uint32_t version;
    uint32_t last_page;
    uint32_t bad_pages;
};

struct area {
    struct disk *disk;
    struct thread *owner;
    uint32_t pages;
    int priority;
    unsigned type; /* Aspen's number */
};

static struct area areas[DISKS_MAX];
static struct spinlock lock;

/* ---- The device -------------------------------------------------------- */

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    const struct area *area = context;

    return disk_pages(area->disk, io->write, (io->slot + 1ul) * PAGE_BYTES,
                      io->memory, io->pages);
}

static const struct aspen_swap_ops ops = {.transfer = transfer};

/* 0 and how many pages there are for slots. */
static int
read_header(struct disk *disk, uint32_t *pages)
{
    struct header header;
    char signature[sizeof(SIGNATURE) - 1];
    int error = disk_some(disk, false, HEADER_AT, &header, sizeof(header));

    if (!error)
        error =
            disk_some(disk, false, SIGNATURE_AT, signature, sizeof(signature));
    if (error)
        return error;
    *pages = header.last_page;
    return memcmp(signature, SIGNATURE, sizeof(signature)) != 0 ||
                   header.version != 1 || !header.last_page ||
                   header.bad_pages ||
                   header.last_page >= disk_bytes(disk) / PAGE_BYTES
               ? -EINVAL
               : 0;
}

/* By its path, as one that is opened would answer. */
static int
find_disk(uint64_t text, struct area **area)
{
    struct path path;
    int error = call_path(AT_FDCWD, text, 0, &path);

    if (error)
        return error;
    unsigned number = device_disk(path.node->device);
    if (node_is(path.node, S_IFDIR))
        error = -EISDIR;
    else if (!node_is(path.node, S_IFBLK))
        error = -EINVAL;
    else if (!disk_get(number))
        error = -ENXIO;
    else
        *area = &areas[number];
    node_put(path.node);
    return error;
}

/* ---- The calls --------------------------------------------------------- */

/* The caller's, if it is in use, or not in use. The archive's disk is always
 * somebody's. */
static bool
own(struct area *area, bool in_use)
{
    spin_lock(&lock);
    bool free = area != areas && !area->owner && !area->pages == !in_use;
    if (free)
        area->owner = current;
    spin_unlock(&lock);
    return free;
}

static void
disown(struct area *area, uint32_t pages)
{
    spin_lock(&lock);
    area->pages = pages;
    area->owner = NULL;
    spin_unlock(&lock);
}

/* Below all others. */
static int
next_priority(void)
{
    int lowest = -1;

    for (unsigned i = 0; i < DISKS_MAX; i++)
        if (areas[i].pages)
            lowest = MIN(lowest, areas[i].priority);
    return lowest - 1;
}

/* What the area needs in memory is in few pieces: there may be none yet. */
static int
add(struct area *area, uint32_t pages)
{
    struct aspen_swap_args args = {
        .pages = pages,
        .priority = area->priority,
        .ops = &ops,
        .context = area,
    };
    int error = aspen_swap_add(machine, &args, &area->type);

    for (unsigned i = 0; error == -ASPEN_ENOMEM && memory_make_room(i, 256);
         i++)
        error = aspen_swap_add(machine, &args, &area->type);
    return error == -ASPEN_ENOSPC ? -EPERM : error;
}

static long
sys_swapon(const uint64_t *a)
{
    unsigned flags = (unsigned)a[1];
    struct area *area;
    uint32_t pages = 0;

    if (flags & ~FLAGS)
        return -EINVAL;
    int error = find_disk(a[0], &area);
    if (error)
        return error;
    if (!own(area, false))
        return -EBUSY;
    area->disk = disk_get((unsigned)(area - areas));
    area->priority =
        flags & FLAG_PREFER ? (int)(flags & PRIORITY) : next_priority();
    error = read_header(area->disk, &pages);
    if (!error)
        error = add(area, pages);
    disown(area, error ? 0 : pages);
    return error;
}

static long
sys_swapoff(const uint64_t *a)
{
    struct area *area;
    int error = find_disk(a[0], &area);

    if (error)
        return error;
    if (!own(area, true))
        return -EINVAL;
    error = aspen_swap_remove(machine, area->type);
    disown(area, error ? area->pages : 0);
    if (current->gives_up && error == -EINTR)
        error = -ENOMEM;
    current->gives_up = false;
    return error;
}

bool
swap_give_up(void)
{
    bool any = false;

    spin_lock(&lock);
    for (unsigned i = 0; i < DISKS_MAX; i++)
        if (areas[i].owner && areas[i].pages)
            areas[i].owner->gives_up = any = true;
    spin_unlock(&lock);
    return any;
}

const struct call swap_calls[] = {
    {167, sys_swapon},
    {168, sys_swapoff},
    {0, NULL},
};

/* ---- What is said of them ---------------------------------------------- */

void
swap_show(struct text *text)
{
    text_print(text, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
    for (unsigned i = 0; i < DISKS_MAX; i++)
        if (areas[i].pages)
            text_print(text, "/dev/vd%c%32s\t%s\t%u\t\t%lu\t\t%d\n", 'a' + i,
                       "", "partition", areas[i].pages * 4,
                       aspen_swap_used(machine, areas[i].type) * 4,
                       areas[i].priority);
}
