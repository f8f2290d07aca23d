/* SPDX-License-Identifier: MIT */
/*
 * swap/io.c - transfers between pages and the slots of a device that are waited
 * for. How they end is told in machine/swap_reads.c, which has those that
 * nobody waits for.
 *
 * Called by out.c and in.c. The first test to break is
 * tests/unit/swap/test_swap.c.
 */
#include "swap/swap.h"

#include "machine/swap_reads.h"

static bool
is_pending(const void *argument)
{
    const struct aspen_swap_request *request = argument;
    return aspen_load(&request->pending) != 0;
}

static void
start(struct aspen_swap_request *request)
{
    struct aspen_swap_area *area = request->area;

    if (area->ops->transfer)
        aspen_swap_done(&request->io,
                        area->ops->transfer(area->context, &request->io));
    else
        area->ops->submit(area->context, &request->io);
}

void
aspen_swap_transfer_begin(struct aspen_swap_request *request,
                          struct aspen *aspen, unsigned type, uint32_t slot,
                          const uint32_t *frames, unsigned count, bool write)
{
    request->io = (struct aspen_swap_io){.slot = slot,
                                         .pages = count,
                                         .write = write,
                                         .memory = request->memory};
    request->area = &aspen->swap[type];
    request->error = 0;
    request->pending = 1;
    request->is_read = false;
    if (!request->area->ops) {
        request->error = -ASPEN_EOPNOTSUPP;
    } else if (aspen_failpoint(&aspen->failpoints, ASPEN_STEP_HOOK)) {
        request->error = -ASPEN_EIO;
    }
    if (request->error) {
        request->pending = 0;
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        request->memory[i] = aspen_frame_pointer(aspen, frames[i]);
        aspen_contents_point(request->memory[i], !write);
    }
    if (write)
        aspen_swap_keep_sums(request);
    start(request);
}

int
aspen_swap_transfer_end(struct aspen *aspen, struct aspen_swap_request *request)
{
    const struct aspen_swap_io *io = &request->io;

    if (is_pending(request))
        aspen_port_wait_while(request->area, is_pending, request);
    int error = request->error;
    if (!error && !io->write && !aspen_swap_sums_are_right(request))
        error = -ASPEN_EIO;
    if (!error)
        aspen_count(aspen,
                    io->write ? ASPEN_COUNT_SWAP_OUT : ASPEN_COUNT_SWAP_IN,
                    io->pages);
    return error;
}

int
aspen_swap_transfer(struct aspen *aspen, unsigned type, uint32_t slot,
                    const uint32_t *frames, unsigned count, bool write)
{
    struct aspen_swap_request request;

    aspen_swap_transfer_begin(&request, aspen, type, slot, frames, count,
                              write);
    return aspen_swap_transfer_end(aspen, &request);
}
