/* SPDX-License-Identifier: MIT */
#include "device.h"
#include "slots.h"

#include "base/atomic.h"

#include <pthread.h>

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    struct device *device = context;
    uint64_t seed = aspen_fetch_add(&device->transfers, 1u) + 1;

    assert_in_range(io->pages, 1, ASPEN_SWAP_IO_PAGES);
    assert_true(io->slot < device->pages &&
                io->pages <= device->pages - io->slot);
    if (unit_below(&seed, 1000) < aspen_load(&device->fails)) {
        aspen_fetch_add(&device->failed, 1u);
        return -ASPEN_EIO;
    }
    return slots_transfer(device->slots, io);
}

struct request {
    struct device *device;
    struct aspen_swap_io *io;
};

static void *
answer(void *argument)
{
    struct request request = *(struct request *)argument;

    free(argument);
    aspen_swap_done(request.io, transfer(request.device, request.io));
    return NULL;
}

static void
submit(void *context, struct aspen_swap_io *io)
{
    struct request *request = malloc(sizeof(*request));
    pthread_t thread;

    assert_non_null(request);
    *request = (struct request){context, io};
    assert_int_equal(pthread_create(&thread, NULL, answer, request), 0);
    assert_int_equal(pthread_detach(thread), 0);
}

void
device_add(struct device *device, struct aspen *aspen, uint32_t pages,
           unsigned flags)
{
    static const struct aspen_swap_ops at_once = {.transfer = transfer};
    static const struct aspen_swap_ops later = {.submit = submit};
    struct aspen_swap_args args = {
        .pages = pages,
        .flags = flags,
        .ops = device->later ? &later : &at_once,
        .context = device,
    };

    device->pages = pages;
    device->slots = malloc(pages * PAGE);
    assert_non_null(device->slots);
    assert_int_equal(aspen_swap_add(aspen, &args, &device->type), 0);
}

void
device_free(struct device *device)
{
    free(device->slots);
    device->slots = NULL;
}
