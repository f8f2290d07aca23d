/* SPDX-License-Identifier: MIT */
/*
 * Each row is measured once a run, with its peer beside it: a peer that is
 * Aspen itself is another machine, or the same work done to 64 MiB.
 */
#include "pressure_rows.h"

#include "../clock.h"
#include "../must.h"
#include "memory.h"
#include "scene.h"
#include <string.h>
#include <unistd.h>

#define MIB          ((uint64_t)1 << 20)
#define SIZES        5
#define SMALLEST     (64 * MIB)
#define RECLAIM_GOAL (4096 / 1.5) /* ns: 1.5 GB a second */
#define OF_10_GIB    (10240 * MIB / SCENE_PAGE)
#define USED_SLOTS   1024u

/* What a page takes besides its contents: its frame, its entries, what is known
 * of its slot. */
#define BYTES_A_PAGE 160u

static const uint64_t sizes[SIZES] = {SMALLEST, 256 * MIB, 1024 * MIB,
                                      4096 * MIB, 16384 * MIB};
static const char smaller[] = "64 MiB";

/* Of one run. */
struct sample {
    double aspen;
    double peer;
};

static double
since(double begin, uint64_t pages)
{
    return (clock_thread_ns() - begin) / (double)pages;
}

static uint64_t
leave(struct scene *scene)
{
    return aspen_reclaim(scene->aspen, scene->pages);
}

/* ---- By size: nanoseconds a page ----------------------------------------- */

static double
reclaim_file(uint64_t pages)
{
    struct scene scene;

    (void)scene_begin(&scene, pages, SCENE_NO_SWAP, false);
    scene_map_file(&scene);
    scene_make_old(&scene);
    double begin = clock_thread_ns();
    uint64_t left = leave(&scene);
    double ns = since(begin, left);
    scene_end(&scene);
    return ns;
}

static double
swap_out(uint64_t pages)
{
    struct scene scene;

    (void)scene_begin(&scene, pages, SCENE_NOWHERE, true);
    scene_touch(scene.mm, scene.at, pages, ASPEN_ACCESS_WRITE, false);
    scene_make_old(&scene);
    double begin = clock_thread_ns();
    uint64_t left = leave(&scene);
    double ns = since(begin, left);
    scene_end(&scene);
    return ns;
}

static double
swap_in(uint64_t pages)
{
    struct scene scene;

    (void)scene_begin(&scene, pages, SCENE_NOWHERE, true);
    scene_touch(scene.mm, scene.at, pages, ASPEN_ACCESS_WRITE, false);
    scene_make_old(&scene);
    (void)leave(&scene);
    double begin = clock_thread_ns();
    scene_touch(scene.mm, scene.at, pages, ASPEN_ACCESS_READ, true);
    double ns = since(begin, pages);
    scene_end(&scene);
    return ns;
}

static double
first_touch(uint64_t pages)
{
    struct scene scene;

    (void)scene_begin(&scene, pages, SCENE_NOWHERE, true);
    double begin = clock_thread_ns();
    scene_touch(scene.mm, scene.at, pages, ASPEN_ACCESS_WRITE, false);
    double ns = since(begin, pages);
    scene_end(&scene);
    return ns;
}

static const struct {
    const char *name;
    double (*measure)(uint64_t pages);
    bool contents; /* it takes as much of the host's memory */
    double goal;   /* of 64 MiB, in nanoseconds; 0: none */
} by_size[] = {
    {"reclaim of clean file pages", reclaim_file, false, RECLAIM_GOAL},
    {"swap-out, a device of nothing", swap_out, true, 0},
    {"swap-in, a device of nothing", swap_in, true, 0},
    {"first touch, with swap", first_touch, true, 0},
};
#define BY_SIZE (sizeof(by_size) / sizeof(by_size[0]))

/* ---- Reaped, and ended --------------------------------------------------- */

static struct sample
reap(uint64_t pages)
{
    struct sample sample;
    struct scene scene;
    uint64_t at;

    (void)scene_begin(&scene, pages, SCENE_NO_SWAP, false);
    for (unsigned i = 0; i < 2; i++) {
        struct aspen_mm *mm = scene_new_mm(&scene, &at);
        scene_touch(mm, at, pages, ASPEN_ACCESS_WRITE, false);
        double begin = clock_thread_ns();
        if (i) {
            must(aspen_oom_kill(mm), "aspen_oom_kill");
            must(aspen_oom_reap(mm), "aspen_oom_reap");
            sample.aspen = since(begin, pages);
            aspen_mm_put(mm);
        } else {
            aspen_mm_put(mm);
            sample.peer = since(begin, pages);
        }
    }
    scene_end(&scene);
    return sample;
}

/* ---- Compressed memory ----------------------------------------------------
 */

/* The codec alone, on the pages as they are: both ways. */
static void
codec_alone(const struct scene *scene, double *out, double *in)
{
    const struct swap_codec *codec = scene->device->kind->codec;
    char *store = malloc((size_t)(scene->pages * SCENE_PAGE));
    size_t *lengths = calloc((size_t)scene->pages, sizeof(*lengths));
    char *at = store, page[SCENE_PAGE];

    must(store && lengths ? 0 : -ASPEN_ENOMEM, "malloc");
    memset(store, 1, (size_t)(scene->pages * SCENE_PAGE));
    double begin = clock_thread_ns();
    for (uint64_t i = 0; i < scene->pages; at += lengths[i++])
        lengths[i] =
            codec->compress(NULL, at, SCENE_PAGE - 1, scene_page(scene, i));
    *out = since(begin, scene->pages);
    at = store;
    begin = clock_thread_ns();
    for (uint64_t i = 0; i < scene->pages; at += lengths[i++])
        must(codec->decompress(NULL, page, at, lengths[i]) ? 0 : -ASPEN_EIO,
             "decompress");
    *in = since(begin, scene->pages);
    free(lengths);
    free(store);
}

/* False: not in this build. */
static bool
compressed(uint64_t pages, struct sample *out, struct sample *in)
{
    struct scene scene;
    uint64_t young;

    if (!scene_begin(&scene, pages, SCENE_LZ4, true))
        return false;
    scene_touch(scene.mm, scene.at, pages, ASPEN_ACCESS_WRITE, false);
    scene_fill(&scene);
    must(aspen_young(scene.mm, scene.at, pages * SCENE_PAGE, ASPEN_YOUNG_CLEAR,
                     &young),
         "aspen_young");
    codec_alone(&scene, &out->peer, &in->peer);
    double begin = clock_thread_ns();
    uint64_t left = leave(&scene);
    out->aspen = since(begin, left);
    begin = clock_thread_ns();
    scene_touch(scene.mm, scene.at, pages, ASPEN_ACCESS_READ, false);
    in->aspen = since(begin, pages);
    scene_end(&scene);
    return true;
}

/* ---- A fault that needs nothing of it --------------------------------------
 */

static double
fault_in(struct scene *scene)
{
    double begin = clock_thread_ns();

    scene_touch(scene->mm, scene->at, scene->pages, ASPEN_ACCESS_WRITE, false);
    double ns = since(begin, scene->pages);
    must(aspen_madvise(scene->mm, scene->at, scene->pages * SCENE_PAGE,
                       ASPEN_MADV_DONTNEED),
         "aspen_madvise");
    return ns;
}

/* In a machine with swap and watermarks, beside one without. */
static struct sample
fault(uint64_t pages)
{
    struct scene with, without;
    struct sample sample;

    (void)scene_begin(&with, pages, SCENE_NOWHERE, true);
    (void)scene_begin(&without, pages, SCENE_NO_SWAP, true);
    (void)fault_in(&with); /* tables, memory of the host's */
    (void)fault_in(&without);
    sample.aspen = fault_in(&with);
    sample.peer = fault_in(&without);
    scene_end(&with);
    scene_end(&without);
    return sample;
}

/* ---- swapoff ----------------------------------------------------------------
 */

/* Microseconds, of an area with so many slots. */
static double
swapoff(uint64_t slots)
{
    static const uint64_t bytes = USED_SLOTS * SCENE_PAGE;
    struct scene scene;

    (void)scene_begin(&scene, USED_SLOTS, SCENE_NO_SWAP, true);
    unsigned type = scene_add_nowhere(&scene, slots);
    scene_touch(scene.mm, scene.at, USED_SLOTS, ASPEN_ACCESS_WRITE, false);
    must(aspen_madvise(scene.mm, scene.at, bytes, ASPEN_MADV_PAGEOUT),
         "aspen_madvise");
    double begin = clock_thread_ns();
    must(aspen_swap_remove(scene.aspen, type), "aspen_swap_remove");
    double us = (clock_thread_ns() - begin) / 1000;
    scene_end(&scene);
    return us;
}

/* ---- All of them
 * -------------------------------------------------------------- */

struct table {
    struct report_row *rows;
    size_t count;
    unsigned sizes[BY_SIZE]; /* so many that there is memory for */
    unsigned run;
    unsigned runs;
    FILE *progress;
};

/* The next row, which is new in the first run. */
static struct report_row *
next_row(struct table *table, const char *name, uint64_t n, const char *unit)
{
    struct report_row *row = &table->rows[table->count++];

    if (!table->run) {
        memset(row, 0, sizeof(*row));
        snprintf(row->name, sizeof(row->name), "%s", name);
        row->n = n;
        row->unit = unit;
    }
    if (table->progress)
        fprintf(table->progress, "\r%-44s %u/%u ", row->name, table->run + 1,
                table->runs);
    return row;
}

static void
add(struct report_row *row, struct sample sample, const char *peer,
    double target)
{
    row->peer_name = peer;
    row->target = target;
    report_add_aspen(row, sample.aspen);
    if (peer)
        report_add_peer(row, sample.peer);
}

static unsigned
sizes_of(bool contents)
{
    uint64_t free = (uint64_t)sysconf(_SC_AVPHYS_PAGES) * SCENE_PAGE;
    uint64_t a_page = BYTES_A_PAGE + (contents ? SCENE_PAGE : 0);
    unsigned count = 1;

    while (count < SIZES && sizes[count] / SCENE_PAGE * a_page < free / 2)
        count++;
    return count;
}

/* The smallest alone has a goal; the others are compared with it. */
static void
rows_by_size(struct table *table)
{
    for (unsigned kind = 0; kind < BY_SIZE; kind++) {
        double small = 0;
        for (unsigned i = 0; i < table->sizes[kind]; i++) {
            char name[64];
            uint64_t pages = sizes[i] / SCENE_PAGE;
            snprintf(name, sizeof(name), "%s, %u MiB", by_size[kind].name,
                     (unsigned)(sizes[i] / MIB));
            struct report_row *row = next_row(table, name, pages, "ns");
            struct sample sample = {by_size[kind].measure(pages), small};
            add(row, sample, i ? smaller : NULL, i ? 0 : by_size[kind].goal);
            small = i ? small : sample.aspen;
        }
    }
}

static void
rows_of_ends(struct table *table)
{
    for (unsigned i = 0; i < 3; i++) {
        char name[64];
        uint64_t pages = sizes[i] / SCENE_PAGE;
        snprintf(name, sizeof(name), "reaped, %u MiB",
                 (unsigned)(sizes[i] / MIB));
        struct report_row *row = next_row(table, name, pages, "ns");
        add(row, reap(pages), "its exit", i == 2 ? 1.2 : 0);
    }
}

static void
rows_of_the_rest(struct table *table)
{
    const uint64_t pages = SMALLEST / SCENE_PAGE;
    struct sample out, in;

    if (compressed(pages, &out, &in)) {
        add(next_row(table, "swap-out to lz4", pages, "ns"), out, "lz4 alone",
            1 / 0.9);
        add(next_row(table, "swap-in from lz4", pages, "ns"), in, "lz4 alone",
            1.3);
    }
    add(next_row(table, "fault that needs no reclaim", pages, "ns"),
        fault(pages), "no swap, no watermarks", 1.05);
    add(next_row(table, "swapoff, 1,024 slots of 10 GiB", USED_SLOTS, "us"),
        (struct sample){swapoff(OF_10_GIB), swapoff(USED_SLOTS)},
        "1,024 slots of 4 MiB", 0);
}

size_t
pressure_rows(struct report_row *rows, unsigned runs, FILE *progress)
{
    struct table table = {.rows = rows, .runs = runs, .progress = progress};

    for (unsigned kind = 0; kind < BY_SIZE; kind++)
        table.sizes[kind] = sizes_of(by_size[kind].contents);
    for (; table.run < runs; table.run++) {
        table.count = 0;
        rows_by_size(&table);
        rows_of_ends(&table);
        rows_of_the_rest(&table);
    }
    return table.count;
}
