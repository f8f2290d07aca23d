/* SPDX-License-Identifier: MIT */
#include "bare_machine.h"

#include <sys/mman.h>

struct aspen *
bare_create(uint32_t frames, bool memory)
{
    struct aspen *aspen = aspen_port_memory_alloc(sizeof(*aspen));
    assert_non_null(aspen);
    aspen->config.frames = frames;
    aspen->config.flags = memory ? 0 : ASPEN_CONFIG_TABLES_ONLY;
    if (memory) {
        aspen->config.direct_map =
            mmap(NULL, (size_t)frames << 12, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        assert_true(aspen->config.direct_map != MAP_FAILED);
    }
    assert_int_equal(aspen_frames_init(aspen), 0);
    return aspen;
}

void
bare_destroy(struct aspen *aspen)
{
    aspen_frames_destroy(aspen);
    if (aspen->config.direct_map)
        munmap(aspen->config.direct_map, (size_t)aspen->config.frames << 12);
    aspen_port_memory_free(aspen, sizeof(*aspen));
}

void
bare_assert_frames(struct aspen *aspen)
{
    uint32_t where = 0;
    const char *wrong = aspen_frames_check(aspen, &where);
    if (wrong)
        fail_msg("%s at frame %u", wrong, (unsigned)where);
}

uint32_t
bare_alloc(struct aspen *aspen, unsigned order)
{
    uint32_t frame = ASPEN_NO_FRAME;
    assert_int_equal(aspen_frame_alloc(aspen, order, ASPEN_STEP_FRAME, &frame),
                     0);
    return frame;
}
