/* SPDX-License-Identifier: MIT */
/*
 * swap/io.c - transfers between pages and the slots of a device.
 *
 * I1  `io` of a transfer that was submitted is there until the device has said
 *     how it ended; whoever waits is woken by the area's address, which stays.
 * I2  The checksum of a slot is that of what was written last: it is written
 *     and read by who holds the slot and has locked its page.
 *
 * Called by out.c and in.c. The first test to break is
 * tests/unit/swap/test_swap.c.
 */
#include "swap/swap.h"

struct transfer {
    struct aspen_swap_io io;
    struct aspen_swap_area *area;
    int error;
    uint32_t pending; /* atomic */
};

static bool
is_pending(const void *argument)
{
    const struct transfer *transfer = argument;
    return aspen_load(&transfer->pending) != 0;
}

void
aspen_swap_done(struct aspen_swap_io *io, int error)
{
    struct transfer *transfer = aspen_container_of(io, struct transfer, io);
    struct aspen_swap_area *area = transfer->area;

    transfer->error = aspen_answer_of(error);
    aspen_store(&transfer->pending, (uint32_t)0); /* I1: it may be gone now */
    aspen_port_wake_all(area);
}

/* Four sums side by side, so that no multiplication waits for the one before.
 */
static uint64_t
checksum_of(const void *page)
{
    const uint64_t *words = page;
    uint64_t sums[4] = {1, 2, 3, 4};

    for (unsigned i = 0; i < ASPEN_PAGE_SIZE / sizeof(*words); i++) {
        uint64_t *sum = &sums[i % 4];
        *sum = (*sum ^ words[i]) * 0x9fb21c651e98df25u;
        *sum ^= *sum >> 29;
    }
    return sums[0] ^ sums[1] << 1 ^ sums[2] << 2 ^ sums[3] << 3;
}

static int
run(struct transfer *transfer)
{
    struct aspen_swap_area *area = transfer->area;

    if (area->ops->transfer)
        return aspen_answer_of(
            area->ops->transfer(area->context, &transfer->io));
    area->ops->submit(area->context, &transfer->io);
    aspen_port_wait_while(area, is_pending, transfer);
    return transfer->error;
}

/* I2 */
static void
keep_sums(const struct transfer *transfer)
{
    const struct aspen_swap_io *io = &transfer->io;

    for (uint32_t i = 0; i < io->pages; i++)
        transfer->area->sums[io->slot + i] = checksum_of(io->memory[i]);
}

static bool
sums_are_right(const struct transfer *transfer)
{
    const struct aspen_swap_io *io = &transfer->io;

    for (uint32_t i = 0; i < io->pages; i++)
        if (transfer->area->sums[io->slot + i] != checksum_of(io->memory[i]))
            return false;
    return true;
}

static int
run_checked(struct transfer *transfer)
{
    const struct aspen_swap_area *area = transfer->area;

    if (area->sums && transfer->io.write)
        keep_sums(transfer);
    int error = run(transfer);
    if (!error && area->sums && !transfer->io.write &&
        !sums_are_right(transfer))
        error = -ASPEN_EIO;
    return error;
}

int
aspen_swap_transfer(struct aspen *aspen, unsigned type, uint32_t slot,
                    const uint32_t *frames, unsigned count, bool write)
{
    void *memory[ASPEN_SWAP_IO_PAGES];
    struct transfer transfer = {
        .io = {.slot = slot, .pages = count, .write = write, .memory = memory},
        .area = &aspen->swap[type],
        .pending = 1,
    };

    if (!transfer.area->ops)
        return -ASPEN_EOPNOTSUPP;
    if (aspen_failpoint(&aspen->failpoints, ASPEN_STEP_HOOK))
        return -ASPEN_EIO;
    for (unsigned i = 0; i < count; i++) {
        memory[i] = aspen_frame_pointer(aspen, frames[i]);
        aspen_contents_point(memory[i], !write);
    }
    int error = run_checked(&transfer);
    if (!error)
        aspen_count(aspen, write ? ASPEN_COUNT_SWAP_OUT : ASPEN_COUNT_SWAP_IN,
                    count);
    return error;
}
