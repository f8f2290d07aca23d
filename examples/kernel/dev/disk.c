/* SPDX-License-Identifier: MIT */
/*
 * disk.c - disks: virtio-blk over PCI, by the interface that came first: ports.
 *
 * One request of each at a time, of as many pages as fit a descriptor chain.
 * The first reads come before there are interrupts to sleep for: it polls.
 */
#include "dev/disk.h"

#include "cpu/trap.h"
#include "dev/apic.h"
#include "mm/memory.h"
#include "sched/thread.h"

#define PCI_ADDRESS 0xcf8u
#define PCI_DATA    0xcfcu
#define VIRTIO_BLK  0x10011af4u

#define FEATURES      4u
#define QUEUE_PAGE    8u
#define QUEUE_SIZE    12u
#define QUEUE_SELECT  14u
#define QUEUE_NOTIFY  16u
#define DEVICE_STATUS 18u
#define DEVICE_ISR    19u
#define CAPACITY      20u

#define DESCRIPTOR_NEXT  1u
#define DESCRIPTOR_WRITE 2u /* by the device */
#define SECTOR           512u
#define SEGMENTS         34u

struct descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};

struct available {
    uint16_t flags;
    uint16_t index;
    uint16_t ring[];
};

struct used {
    uint16_t flags;
    volatile uint16_t index;
};

struct request {
    uint32_t type;
    uint32_t reserved;
    uint64_t sector;
    volatile uint8_t status;
};

struct disk {
    uint16_t port;
    uint16_t queue_size;
    struct descriptor *descriptors;
    struct available *available;
    struct used *used;
    struct request *request;
    uint16_t seen; /* of used->index */
    char *bounce;  /* a page, for what is not whole sectors */
    struct mutex lock;
};

static struct disk disks[DISKS_MAX];
static unsigned disk_count;

/* ---- Finding them ------------------------------------------------------ */

static uint32_t
pci_read(unsigned device, unsigned reg)
{
    out32(PCI_ADDRESS, 0x80000000u | device << 11 | reg);
    return in32(PCI_DATA);
}

static void
pci_write(unsigned device, unsigned reg, uint32_t value)
{
    out32(PCI_ADDRESS, 0x80000000u | device << 11 | reg);
    out32(PCI_DATA, value);
}

static bool
make_queue(struct disk *disk)
{
    uint16_t port = disk->port;

    out16(port + QUEUE_SELECT, 0);
    disk->queue_size = in16(port + QUEUE_SIZE);
    size_t ring = disk->queue_size * 16u;
    size_t first = round_up(ring + 6 + disk->queue_size * 2u, 4096);
    size_t bytes = first + round_up(6 + disk->queue_size * 8u, 4096);
    char *memory = memory_device(bytes + 2 * PAGE_BYTES);
    if (!memory || disk->queue_size < SEGMENTS + 2)
        return false;
    disk->request = (struct request *)(void *)(memory + bytes);
    disk->bounce = memory + bytes + PAGE_BYTES;
    disk->descriptors = (struct descriptor *)(void *)memory;
    disk->available = (struct available *)(void *)(memory + ring);
    disk->used = (struct used *)(void *)(memory + first);
    out32(port + QUEUE_PAGE, (uint32_t)(physical_address(memory) >> 12));
    return true;
}

static bool
begin_device(struct disk *disk, unsigned device)
{
    pci_write(device, 4, pci_read(device, 4) | 7); /* ports, memory, DMA */
    uint16_t port = disk->port = (uint16_t)(pci_read(device, 0x10) & ~3u);
    out8(port + DEVICE_STATUS, 0);
    out8(port + DEVICE_STATUS, 1 | 2); /* seen, driven */
    out32(port + FEATURES, 0);
    if (!make_queue(disk))
        return false;
    out8(port + DEVICE_STATUS, 1 | 2 | 4);
    apic_route(pci_read(device, 0x3c) & 0xff, VECTOR_DISK, true);
    return true;
}

int
disk_init(void)
{
    for (unsigned device = 0; device < 32 && disk_count < DISKS_MAX; device++)
        if (pci_read(device, 0) == VIRTIO_BLK &&
            begin_device(&disks[disk_count], device))
            disk_count++;
    return disk_count ? 0 : -ENODEV;
}

struct disk *
disk_get(unsigned number)
{
    return number < disk_count ? &disks[number] : NULL;
}

uint64_t
disk_bytes(const struct disk *disk)
{
    uint64_t low = in32(disk->port + CAPACITY);
    uint64_t high = in32(disk->port + CAPACITY + 4);

    return (high << 32 | low) * SECTOR;
}

/* ---- Reading and writing ----------------------------------------------- */

/* They may share a line; reading it ends the interrupt. */
void
disk_interrupt(void)
{
    for (unsigned i = 0; i < disk_count; i++)
        if (in8(disks[i].port + DEVICE_ISR))
            wake_all(&disks[i]);
}

static void
put_descriptor(struct disk *disk, unsigned at, const volatile void *memory,
               uint32_t bytes, uint16_t flags)
{
    disk->descriptors[at] = (struct descriptor){
        physical_address((const void *)memory),
        bytes,
        flags,
        (uint16_t)(at + 1),
    };
}

/* Of a request's pages. */
static void
put_segment(struct disk *disk, unsigned index, bool write, void *memory,
            uint32_t bytes)
{
    put_descriptor(disk, index + 1, memory, bytes,
                   write ? DESCRIPTOR_NEXT
                         : DESCRIPTOR_NEXT | DESCRIPTOR_WRITE);
}

static int
run_locked(struct disk *disk, bool write, uint64_t offset_bytes,
           unsigned segments)
{
    struct request *request = disk->request;
    struct available *available = disk->available;

    request->type = write;
    request->sector = offset_bytes / SECTOR;
    request->status = 0xff;
    put_descriptor(disk, 0, request, 16, DESCRIPTOR_NEXT);
    put_descriptor(disk, segments + 1, &request->status, 1, DESCRIPTOR_WRITE);
    available->ring[available->index % disk->queue_size] = 0;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    available->index++;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    out16(disk->port + QUEUE_NOTIFY, 0);
    WAIT(disk, disk->used->index != disk->seen);
    disk->seen = disk->used->index;
    return request->status ? -EIO : 0;
}

int
disk_pages(struct disk *disk, bool write, uint64_t offset_bytes,
           void *const pages[], unsigned count)
{
    int error = 0;

    ASSERT(offset_bytes % SECTOR == 0);
    mutex_lock(&disk->lock);
    while (count && !error) {
        unsigned part = MIN(count, SEGMENTS);
        for (unsigned i = 0; i < part; i++)
            put_segment(disk, i, write, pages[i], PAGE_BYTES);
        error = run_locked(disk, write, offset_bytes, part);
        pages += part;
        count -= part;
        offset_bytes += (uint64_t)part * PAGE_BYTES;
    }
    mutex_unlock(&disk->lock);
    return error;
}

static int
bounce_locked(struct disk *disk, bool write, uint64_t start, size_t bytes)
{
    put_segment(disk, 0, write, disk->bounce,
                (uint32_t)round_up(bytes, SECTOR));
    return run_locked(disk, write, start, 1);
}

int
disk_some(struct disk *disk, bool write, uint64_t offset_bytes, void *memory,
          size_t bytes)
{
    char *at = memory;
    int error = 0;

    while (bytes && !error) {
        uint64_t start = round_down(offset_bytes, SECTOR);
        size_t skip = offset_bytes - start;
        size_t part = MIN(bytes, PAGE_BYTES - skip);
        mutex_lock(&disk->lock);
        /* What is around it in its sectors stays. */
        error = bounce_locked(disk, false, start, skip + part);
        if (!error && write) {
            memcpy(disk->bounce + skip, at, part);
            error = bounce_locked(disk, true, start, skip + part);
        } else if (!error) {
            memcpy(at, disk->bounce + skip, part);
        }
        mutex_unlock(&disk->lock);
        at += part;
        offset_bytes += part;
        bytes -= part;
    }
    return error;
}
