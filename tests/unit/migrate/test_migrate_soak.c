/* SPDX-License-Identifier: MIT */
/*
 * Threads that write, read, fork, pin and give up memory, anonymous, shared and
 * a file's, with more pages than frames and a swap device; beside them threads
 * that move pages to other frames, make blocks free, and take pages out of
 * memory. What is read was written.
 */
#include "../swap/device.h"
#include "helper.h"

#include "frames/frames.h"

#include <aspen/calls/advise.h>
#include <aspen/calls/pin.h>
#include <aspen/calls/reclaim.h>
#include <aspen/memory/compact.h>

#define FRAMES  512u
#define THREADS 3u
#define PAGES   300u /* of each thread */
#define ROUNDS  4000u

struct soak {
    struct helper_space s;
    struct device device;
    struct aspen_object *file;
    uint64_t at[THREADS];
    uint32_t next; /* atomic, as all that follows */
    uint32_t wrong;
    uint32_t refused;
    uint32_t ended;
};

/* What the file's pager has. */
static uint8_t disk[PAGES][PAGE];

static int
read_disk(void *context, uint64_t offset_bytes, void *page)
{
    (void)context;
    memcpy(page, disk[offset_bytes / PAGE], PAGE);
    return 0;
}

static int
write_disk(void *context, uint64_t offset_bytes, const void *const pages[],
           uint64_t bytes)
{
    (void)context;
    for (uint64_t i = 0; i < bytes / PAGE; i++)
        memcpy(disk[offset_bytes / PAGE + i], pages[i], PAGE);
    return 0;
}

static bool
went_through(struct soak *soak, int error)
{
    if (!error)
        return true;
    assert_true(error == -ASPEN_ENOMEM || error == -ASPEN_EAGAIN);
    aspen_fetch_add(&soak->refused, 1u);
    return false;
}

static void
compare(struct soak *soak, struct aspen_mm *mm, uint64_t address,
        uint64_t value)
{
    uint64_t found = 0, done;

    if (went_through(soak, aspen_read_memory(mm, address, &found, sizeof(found),
                                             0, &done)) &&
        found != value)
        aspen_fetch_add(&soak->wrong, 1u);
}

/* A device reads what is written, and the other way round. */
static void
by_pin(struct soak *soak, uint64_t address, uint64_t value)
{
    struct aspen *aspen = soak->s.helper.aspen;
    uint32_t frame;

    if (!went_through(soak, aspen_pin_range(soak->s.mm, address, PAGE,
                                            ASPEN_PIN_WRITE, &frame)))
        return;
    uint64_t *page = aspen_frame_pointer(aspen, frame);
    if (page[1] != value)
        aspen_fetch_add(&soak->wrong, 1u);
    page[1] = value + 1;
    compare(soak, soak->s.mm, address + 8, value + 1);
    page[1] = value;
    assert_int_equal(aspen_unpin(soak->s.mm, &frame, 1, ASPEN_UNPIN_DIRTY), 0);
}

static void
by_fork(struct soak *soak, uint64_t at, const uint64_t *values, uint64_t *seed)
{
    struct aspen_mm *child;

    if (!went_through(soak, aspen_fork(soak->s.mm, &child)))
        return;
    for (unsigned i = 0; i < 8; i++) {
        uint64_t page = unit_random(seed) % PAGES;
        compare(soak, child, at + page * PAGE, values[page]);
    }
    aspen_mm_put(child);
}

/* One page: two words with the same value. */
static void
write_page(struct soak *soak, uint64_t address, uint64_t *value, uint64_t next)
{
    uint64_t words[2] = {next, next}, done;

    if (went_through(soak, aspen_write_memory(soak->s.mm, address, words,
                                              sizeof(words), 0, &done)))
        *value = next;
}

static void
one_round(struct soak *soak, uint64_t at, uint64_t *values, uint64_t *seed,
          bool shared)
{
    uint64_t page = unit_random(seed) % PAGES;
    uint64_t address = at + page * PAGE;

    switch (unit_random(seed) % 16) {
    case 0:
        if (!shared && unit_random(seed) % 8 == 0)
            by_fork(soak, at, values, seed);
        break;
    case 1:
        if (!shared)
            by_pin(soak, address, values[page]);
        break;
    case 2:
        (void)!aspen_madvise(soak->s.mm, address, PAGE, ASPEN_MADV_PAGEOUT);
        break;
    case 3:
        if (!shared &&
            !aspen_madvise(soak->s.mm, address, PAGE, ASPEN_MADV_DONTNEED))
            values[page] = 0;
        break;
    case 4:
        (void)!aspen_mprotect(soak->s.mm, address, PAGE, ASPEN_VM_READ,
                              ASPEN_PKEY_SAME);
        compare(soak, soak->s.mm, address, values[page]);
        (void)!aspen_mprotect(soak->s.mm, address, PAGE, RW, ASPEN_PKEY_SAME);
        break;
    case 5:
    case 6:
    case 7:
    case 8:
        write_page(soak, address, &values[page], unit_random(seed));
        break;
    default:
        compare(soak, soak->s.mm, address, values[page]);
    }
}

static void
works(struct soak *soak, uint32_t thread)
{
    uint64_t values[PAGES] = {0}, seed = thread + 1;
    const bool shared = thread > 0;

    for (unsigned i = 0; i < unit_rounds(ROUNDS); i++)
        one_round(soak, soak->at[thread], values, &seed, shared);
    for (unsigned i = 0; i < PAGES; i++)
        compare(soak, soak->s.mm, soak->at[thread] + i * PAGE, values[i]);
    aspen_fetch_add(&soak->ended, 1u);
}

static void
moves(struct soak *soak, uint64_t seed)
{
    struct aspen *aspen = soak->s.helper.aspen;

    while (aspen_load(&soak->ended) < THREADS) {
        for (unsigned i = 0; i < 16; i++)
            (void)!aspen_migrate(aspen,
                                 (uint32_t)(unit_random(&seed) % FRAMES));
        if (unit_random(&seed) % 4 == 0)
            (void)!aspen_compact_tick(aspen, 3);
        if (unit_random(&seed) % 4 == 0)
            aspen_reclaim(aspen, 16);
    }
}

static void *
soak_thread(void *argument)
{
    struct soak *soak = argument;
    uint32_t thread = aspen_fetch_add(&soak->next, 1u);

    if (thread < THREADS)
        works(soak, thread);
    else
        moves(soak, thread);
    return NULL;
}

static void
soak(void **state)
{
    static const struct aspen_pager_ops pager = {.read = read_disk,
                                                 .write = write_disk};
    struct aspen_config config;
    struct soak soak = {.next = 0};
    struct aspen_counters counters;

    (void)state;
    memset(disk, 0, sizeof(disk));
    aspen_config_init(&config);
    config.frames = FRAMES;
    config.overcommit = ASPEN_OVERCOMMIT_ALWAYS;
    helper_space_create(&soak.s, &config);
    device_add(&soak.device, soak.s.helper.aspen, 4096, 0);
    soak.file =
        helper_object(&soak.s.helper, ASPEN_OBJECT_FILE, PAGES, &pager, NULL);
    soak.at[0] = helper_map(soak.s.mm, 0, PAGES, RW);
    soak.at[1] = helper_map(soak.s.mm, 0, PAGES, RW | ASPEN_VM_SHARED);
    soak.at[2] = helper_map_object(soak.s.mm, 0, PAGES, RW | ASPEN_VM_SHARED,
                                   soak.file, 0);
    unit_run_threads(THREADS + 2, soak_thread, &soak);
    helper_assert_valid(&soak.s.helper);
    counters = helper_counts(soak.s.helper.aspen);
    print_message("%u pages moved, %u stayed, %u blocks, %u swapped in, "
                  "%u refused\n",
                  (unsigned)counters.migrated,
                  (unsigned)counters.migrate_failed,
                  (unsigned)counters.compact_success,
                  (unsigned)counters.swapped_in, soak.refused);
    assert_int_equal(soak.wrong, 0);
    assert_true(counters.migrated > 100);
    assert_true(counters.swapped_in > 0);
    for (unsigned i = 0; i < THREADS; i++)
        helper_unmap(soak.s.mm, soak.at[i], PAGES);
    aspen_object_put(soak.file);
    assert_int_equal(aspen_swap_remove(soak.s.helper.aspen, soak.device.type),
                     0);
    helper_space_destroy(&soak.s);
    device_free(&soak.device);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(soak)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
