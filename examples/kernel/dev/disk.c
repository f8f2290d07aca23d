/* SPDX-License-Identifier: MIT */
/*
 * disk.c - virtio-blk over PCI, by the interface that came first: ports.
 *
 * One request at a time, of up to as many pages as fit a descriptor chain.
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

static uint16_t port;
static uint16_t queue_size;
static struct descriptor *descriptors;
static struct available *available;
static struct used *used;
static struct request *request;
static uint16_t seen; /* of used->index */
static char *bounce;  /* a page, for what is not whole sectors */
static struct mutex lock;

/* ---- Finding it -------------------------------------------------------- */

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

static unsigned
find_device(void)
{
    for (unsigned device = 0; device < 32; device++)
        if (pci_read(device, 0) == VIRTIO_BLK)
            return device;
    return 32;
}

static bool
make_queue(void)
{
    out16(port + QUEUE_SELECT, 0);
    queue_size = in16(port + QUEUE_SIZE);
    size_t first = round_up(queue_size * 16u + 6 + queue_size * 2u, 4096);
    size_t bytes = first + round_up(6 + queue_size * 8u, 4096);
    char *memory = memory_device(bytes + 2 * PAGE_BYTES);
    if (!memory || queue_size < SEGMENTS + 2)
        return false;
    request = (struct request *)(void *)(memory + bytes);
    bounce = memory + bytes + PAGE_BYTES;
    descriptors = (struct descriptor *)(void *)memory;
    available = (struct available *)(void *)(memory + queue_size * 16u);
    used = (struct used *)(void *)(memory + first);
    out32(port + QUEUE_PAGE, (uint32_t)(physical_address(memory) >> 12));
    return true;
}

int
disk_init(void)
{
    unsigned device = find_device();

    if (device == 32)
        return -ENODEV;
    pci_write(device, 4, pci_read(device, 4) | 7); /* ports, memory, DMA */
    port = (uint16_t)(pci_read(device, 0x10) & ~3u);
    out8(port + DEVICE_STATUS, 0);
    out8(port + DEVICE_STATUS, 1 | 2); /* seen, driven */
    out32(port + FEATURES, 0);
    if (!make_queue())
        return -ENODEV;
    out8(port + DEVICE_STATUS, 1 | 2 | 4);
    apic_route(pci_read(device, 0x3c) & 0xff, VECTOR_DISK, true);
    return 0;
}

uint64_t
disk_bytes(void)
{
    uint64_t low = in32(port + CAPACITY), high = in32(port + CAPACITY + 4);

    return port ? (high << 32 | low) * SECTOR : 0;
}

/* ---- Reading ----------------------------------------------------------- */

void
disk_interrupt(void)
{
    (void)in8(port + DEVICE_ISR); /* reading it ends the interrupt */
    wake_all(&lock);
}

static void
put_descriptor(unsigned at, const volatile void *memory, uint32_t bytes,
               uint16_t flags)
{
    descriptors[at] = (struct descriptor){
        physical_address((const void *)memory),
        bytes,
        flags,
        (uint16_t)(at + 1),
    };
}

static int
read_locked(uint64_t offset_bytes, unsigned segments)
{
    request->type = 0; /* read */
    request->sector = offset_bytes / SECTOR;
    request->status = 0xff;
    put_descriptor(0, request, 16, DESCRIPTOR_NEXT);
    descriptors[segments].flags |= DESCRIPTOR_NEXT;
    put_descriptor(segments + 1, &request->status, 1, DESCRIPTOR_WRITE);
    available->ring[available->index % queue_size] = 0;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    available->index++;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    out16(port + QUEUE_NOTIFY, 0);
    WAIT(&lock, used->index != seen);
    seen = used->index;
    return request->status ? -EIO : 0;
}

int
disk_read_pages(uint64_t offset_bytes, void *const pages[], unsigned count)
{
    int error = 0;

    ASSERT(offset_bytes % SECTOR == 0);
    mutex_lock(&lock);
    while (count && !error) {
        unsigned part = MIN(count, SEGMENTS);
        for (unsigned i = 0; i < part; i++)
            put_descriptor(i + 1, pages[i], PAGE_BYTES,
                           DESCRIPTOR_NEXT | DESCRIPTOR_WRITE);
        error = read_locked(offset_bytes, part);
        pages += part;
        count -= part;
        offset_bytes += (uint64_t)part * PAGE_BYTES;
    }
    mutex_unlock(&lock);
    return error;
}

int
disk_read(uint64_t offset_bytes, void *to, size_t bytes)
{
    char *at = to;
    int error = 0;

    while (bytes && !error) {
        uint64_t start = round_down(offset_bytes, SECTOR);
        size_t skip = offset_bytes - start;
        size_t part = MIN(bytes, PAGE_BYTES - skip);
        mutex_lock(&lock);
        put_descriptor(1, bounce, (uint32_t)round_up(skip + part, SECTOR),
                       DESCRIPTOR_NEXT | DESCRIPTOR_WRITE);
        error = read_locked(start, 1);
        if (!error)
            memcpy(at, bounce + skip, part);
        mutex_unlock(&lock);
        at += part;
        offset_bytes += part;
        bytes -= part;
    }
    return error;
}
