/* SPDX-License-Identifier: MIT */
/*
 * test_frames_memory.c - the frame allocator and the port's memory: each
 * request fails once, nothing is left, the next call works; nothing behind a
 * piece is believed. The layer is compiled in here with its requests led past
 * a gate.
 */
#include "unit.h"

#include <aspen_port.h>

static unsigned requests;    /* so far */
static unsigned refused_one; /* which of them fails; 0: none */
static size_t held_bytes;

/* What lies behind each piece looks like a free chunk: words of 1 + 6. */
#define BEHIND_BYTES 4096

static void *
gated_alloc(size_t bytes)
{
    if (++requests == refused_one)
        return NULL;
    char *memory = aspen_port_memory_alloc(bytes + BEHIND_BYTES);
    if (memory) {
        held_bytes += bytes;
        for (size_t i = 0; i + 4 <= BEHIND_BYTES; i += 4)
            memcpy(memory + bytes + i, &(uint32_t){7}, 4);
    }
    return memory;
}

static void
gated_free(void *memory, size_t bytes)
{
    if (memory)
        held_bytes -= bytes;
    aspen_port_memory_free(memory, bytes + BEHIND_BYTES);
}

#define aspen_port_memory_alloc gated_alloc
#define aspen_port_memory_free  gated_free
#include "frames/bank.c"
#include "frames/frames.c"
#include "frames/zone.c"
#undef aspen_port_memory_alloc
#undef aspen_port_memory_free

static void
refuse(unsigned number)
{
    requests = 0;
    refused_one = number;
}

static struct aspen *
new_machine(void)
{
    struct aspen *aspen = aspen_port_memory_alloc(sizeof(*aspen));
    assert_non_null(aspen);
    aspen->config.frames = 4096;
    aspen->config.flags |= ASPEN_CONFIG_TABLES_ONLY;
    return aspen;
}

static void
test_init_without_memory(void **unused)
{
    (void)unused;
    struct aspen *aspen = new_machine();

    refuse(0);
    assert_int_equal(aspen_frames_init(aspen), 0);
    unsigned all = requests;
    aspen_frames_destroy(aspen);
    assert_int_equal(all, 4);
    for (unsigned n = 1; n <= all; n++) {
        refuse(n);
        assert_int_equal(aspen_frames_init(aspen), -ASPEN_ENOMEM);
        assert_int_equal(held_bytes, 0);
        assert_int_equal(aspen_frames_init(aspen), 0);
        aspen_frames_destroy(aspen);
        assert_int_equal(held_bytes, 0);
    }
    aspen_port_memory_free(aspen, sizeof(*aspen));
}

/* The side array of orders comes with the first block, or that one fails. */
static void
test_block_without_memory(void **unused)
{
    (void)unused;
    struct aspen *aspen = new_machine();
    uint32_t frame;

    refuse(0);
    assert_int_equal(aspen_frames_init(aspen), 0);
    assert_null(aspen->banks.first->orders);
    refuse(1);
    assert_int_equal(aspen_frame_alloc(aspen, 4, ASPEN_STEP_FRAME, &frame),
                     -ASPEN_ENOMEM);
    assert_int_equal(aspen_frames_free_count(aspen), 4095);
    assert_null(aspen->banks.first->orders);
    assert_int_equal(aspen_frame_alloc(aspen, 0, ASPEN_STEP_FRAME, &frame), 0);
    aspen_frame_put(aspen, frame);
    assert_int_equal(requests, 1);
    assert_int_equal(aspen_frame_alloc(aspen, 4, ASPEN_STEP_FRAME, &frame), 0);
    assert_non_null(aspen->banks.first->orders);
    assert_int_equal(aspen_frame_order(aspen, frame), 4);
    aspen_frame_put(aspen, frame);
    aspen_frames_destroy(aspen);
    assert_int_equal(held_bytes, 0);
    aspen_port_memory_free(aspen, sizeof(*aspen));
}

/* The last chunk's buddy would be behind the array. */
static void
test_last_chunk_has_no_buddy(void **unused)
{
    (void)unused;
    struct aspen *aspen = new_machine();
    uint32_t block;

    refuse(0);
    aspen->config.frames = 5 * ASPEN_CHUNK_FRAMES;
    assert_int_equal(aspen_frames_init(aspen), 0);
    assert_int_equal(aspen_frame_alloc(aspen, 6, ASPEN_STEP_FRAME, &block), 0);
    for (unsigned i = 0; i < 3; i++) {
        uint32_t next;
        assert_int_equal(aspen_frame_alloc(aspen, 6, ASPEN_STEP_FRAME, &next),
                         0);
        aspen_frame_put(aspen, block);
        block = next;
    }
    aspen_frame_put(aspen, block);
    assert_int_equal(aspen_frames_free_count(aspen), 319);
    for (unsigned i = 1; i < 5; i++)
        assert_int_equal(aspen_chunk_at(&aspen->banks, i)->listed, i == 3 ? 0
                                                                   : i == 2
                                                                       ? 8
                                                                       : 7);
    aspen_frames_destroy(aspen);
    aspen_port_memory_free(aspen, sizeof(*aspen));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init_without_memory),
        cmocka_unit_test(test_block_without_memory),
        cmocka_unit_test(test_last_chunk_has_no_buddy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
