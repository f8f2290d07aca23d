/* SPDX-License-Identifier: MIT */
/*
 * full.c - a machine whose memory can be filled.
 */
#include "full.h"

#include "frames/frames.h"

static const struct aspen_pager_ops pager = {.read = helper_pager_number};

struct full full;

void
full_begin(uint32_t frames, const struct aspen_config *config)
{
    struct aspen_config filled = config ? *config : helper_config(frames);

    filled.overcommit = ASPEN_OVERCOMMIT_ALWAYS;
    filled.semantics = ASPEN_SEMANTICS_6_18;
    full.taken_count = 0;
    helper_create(&full.helper, &filled);
    full.aspen = full.helper.aspen;
    full.mm = helper_mm(&full.helper);
    full.file = helper_object(&full.helper, ASPEN_OBJECT_FILE, 2 * frames,
                              &pager, NULL);
}

struct aspen_counters
full_counts(void)
{
    return helper_counts(full.aspen);
}

void
full_fill(void)
{
    uint8_t byte;
    uint64_t done;

    for (uint64_t page = 0; full_counts().frames_free; page++)
        assert_int_equal(
            aspen_object_read(full.file, page * PAGE, &byte, 1, &done), 0);
}

static void
drop_file(void)
{
    assert_int_equal(aspen_object_drop(full.file, 0,
                                       aspen_object_size(full.file),
                                       &(uint64_t){0}),
                     0);
}

void
full_fill_for_good(void)
{
    const struct aspen_frames_args args = {.kind = ASPEN_FRAMES_DEVICE};

    drop_file();
    while (
        !aspen_frames_alloc(full.aspen, &args, &full.taken[full.taken_count]))
        full.taken_count++;
}

void
full_give_one(void)
{
    aspen_frames_free(full.aspen, full.taken[--full.taken_count]);
}

void
full_give_back(void)
{
    while (full.taken_count)
        full_give_one();
}

void
full_touch(uint64_t address)
{
    uint8_t byte = 7;

    helper_map(full.mm, address, 2, RW);
    assert_int_equal(helper_write(&full.helper, full.mm, address, &byte, 1), 0);
}

void
full_end(void)
{
    drop_file(); /* the validator needs memory, too */
    helper_assert_valid(&full.helper);
    aspen_object_put(full.file);
    aspen_mm_put(full.mm);
    struct aspen_counters counts = full_counts();
    assert_int_equal(counts.frames_free + counts.tables_waiting +
                         counts.frames_kinds[ASPEN_FRAMES_METADATA],
                     counts.frames_total - 1);
    helper_machine_destroy(full.aspen);
}
