/* SPDX-License-Identifier: MIT */
/*
 * picture.c - see picture.h.
 *
 * Called by command.c. tests/tools/pressure.sh breaks first.
 */
#define _GNU_SOURCE
#include "pressure/picture.h"
#include "page/page.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a picture, in its own units, which are about pixels of a telephone. */
#define WIDTH  480.0
#define HEIGHT 220.0
#define LEFT   52.0
#define RIGHT  10.0
#define TOP    10.0
#define BOTTOM 26.0
#define LINES  4u /* across, above the axis */
/* What happens is added up over so many samples. */
#define STEP   4u
#define CURVES 3u

struct curve {
    const char *name;
    /* At a sample; or, where `next` is not NULL, between two of them. */
    double (*value)(const struct pressure_sample *sample,
                    const struct pressure_sample *next);
};

struct picture {
    const char *title;
    const char *says; /* what the numbers are */
    bool between;
    double most;                 /* of the axis; 0: what there is */
    struct curve curves[CURVES]; /* up to one without a name */
};

/* ---- What is drawn ------------------------------------------------------ */

/* Of one in a thousand accesses. */
static double
rate(uint64_t from, uint64_t to, const struct pressure_sample *sample,
     const struct pressure_sample *next)
{
    uint64_t accesses = next->accesses - sample->accesses;

    return accesses && to > from
               ? 1000.0 * (double)(to - from) / (double)accesses
               : 0;
}

static double
resident(const struct pressure_sample *sample,
         const struct pressure_sample *next)
{
    (void)next;
    return (double)sample->resident;
}

static double
swapped(const struct pressure_sample *sample,
        const struct pressure_sample *next)
{
    (void)next;
    return (double)sample->swapped;
}

static double
reclaimed(const struct pressure_sample *sample,
          const struct pressure_sample *next)
{
    return rate(sample->reclaimed, next->reclaimed, sample, next);
}

static double
refaults(const struct pressure_sample *sample,
         const struct pressure_sample *next)
{
    return rate(sample->refaults, next->refaults, sample, next);
}

static double
hits(const struct pressure_sample *sample, const struct pressure_sample *next)
{
    return rate(sample->hits, next->hits, sample, next) / 10;
}

static double
lru(const struct pressure_sample *sample, const struct pressure_sample *next)
{
    return rate(sample->lru_hits, next->lru_hits, sample, next) / 10;
}

static double
optimum(const struct pressure_sample *sample,
        const struct pressure_sample *next)
{
    return rate(sample->optimal_hits, next->optimal_hits, sample, next) / 10;
}

static double
some(const struct pressure_sample *sample, const struct pressure_sample *next)
{
    (void)next;
    return (double)sample->some_us / 1000;
}

static double
full(const struct pressure_sample *sample, const struct pressure_sample *next)
{
    (void)next;
    return (double)sample->full_us / 1000;
}

static const struct picture pictures[] = {
    {"Pages",
     "in memory, and on the swap device",
     false,
     0,
     {{"resident", resident}, {"swapped", swapped}}},
    {"Hit ratio",
     "percent of the accesses, and what others would have had",
     true,
     100,
     {{"Aspen", hits}, {"LRU", lru}, {"optimum", optimum}}},
    {"Reclaim",
     "pages that left, and that came back too soon, of 1,000 "
     "accesses",
     true,
     0,
     {{"reclaimed", reclaimed}, {"refaults", refaults}}},
    {"Stalls",
     "milliseconds lost up to then: by one thread or more, by all",
     false,
     0,
     {{"some", some}, {"full", full}}},
};

#define PICTURES (sizeof(pictures) / sizeof(pictures[0]))

/* ---- Axes --------------------------------------------------------------- */

/* The least round number that is not less, so that a quarter of it is round. */
static double
round_up(double value)
{
    static const double steps[] = {1, 2, 3, 4, 6, 8, 10};
    double unit = 1;

    while (unit * 10 < value)
        unit *= 10;
    while (unit / 10 >= value && unit > 1e-3)
        unit /= 10;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        if (steps[i] * unit >= value)
            return steps[i] * unit;
    return 10 * unit;
}

static void
write_number(FILE *file, double value)
{
    if (value >= 1e6)
        fprintf(file, "%.4gM", value / 1e6);
    else
        fprintf(file, "%.6g", value);
}

/* Between which a curve has a point: at `i`, or from there on. */
static const struct pressure_sample *
next_of(const struct pressure_result *result, size_t i)
{
    size_t last = result->sample_count - 1;

    return &result->samples[i + STEP < last ? i + STEP : last];
}

static double
most_of(const struct picture *picture, const struct pressure_result *result)
{
    double most = 0;

    for (unsigned c = 0; c < CURVES && picture->curves[c].name; c++)
        for (size_t i = 0; i < result->sample_count;
             i += picture->between ? STEP : 1) {
            double value = picture->curves[c].value(&result->samples[i],
                                                    next_of(result, i));
            most = value > most ? value : most;
        }
    return round_up(most);
}

/* ---- Pictures ----------------------------------------------------------- */

static double
x_of(const struct pressure_result *result, double accesses)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * accesses /
                      (result->accesses ? (double)result->accesses : 1);
}

static double
y_of(double value, double most)
{
    double part = value < most ? value / most : 1;

    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - part);
}

static void
write_axes(FILE *file, const struct pressure_result *result, double most)
{
    for (unsigned i = 0; i <= LINES; i++) {
        double value = most * i / LINES, y = y_of(value, most);
        fprintf(file,
                "<path class=\"%s\" d=\"M%.1f %.1fH%.1f\"/>"
                "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">",
                i ? "grid" : "axis", LEFT, y, WIDTH - RIGHT, LEFT - 6, y + 4);
        write_number(file, value);
        fputs("</text>\n", file);
    }
    for (unsigned i = 0; i <= 2; i++) {
        double accesses = (double)result->accesses * i / 2;
        fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">",
                x_of(result, accesses), HEIGHT - 8, i == 2 ? "end" : "middle");
        write_number(file, accesses);
        fputs(i == 2 ? " accesses</text>\n" : "</text>\n", file);
    }
}

static void
write_curve(FILE *file, const struct picture *picture, unsigned c,
            const struct pressure_result *result, double most)
{
    char command = 'M';

    fprintf(file, "<path class=\"c%u\" d=\"", c);
    for (size_t i = 0; i < result->sample_count;
         i += picture->between ? STEP : 1) {
        const struct pressure_sample *sample = &result->samples[i];
        const struct pressure_sample *next = next_of(result, i);
        double at = (double)sample->accesses;
        if (picture->between && next->accesses == sample->accesses)
            break;
        if (picture->between)
            at = (at + (double)next->accesses) / 2;
        fprintf(file, "%c%.1f %.1f", command, x_of(result, at),
                y_of(picture->curves[c].value(sample, next), most));
        command = 'L';
    }
    fputs("\"/>\n", file);
}

static void
write_picture(FILE *file, const struct picture *picture,
              const struct pressure_result *result)
{
    double most = picture->most > 0 ? picture->most : most_of(picture, result);

    fprintf(file, "<figure>\n<figcaption><h2>%s</h2> %s</figcaption>\n<p>",
            picture->title, picture->says);
    for (unsigned c = 0; c < CURVES && picture->curves[c].name; c++)
        fprintf(file,
                "<span><svg class=\"key\" viewBox=\"0 0 28 8\">"
                "<path class=\"c%u\" d=\"M0 4H28\"/></svg> %s</span>\n",
                c, picture->curves[c].name);
    fprintf(file,
            "</p>\n<svg role=\"img\" aria-label=\"%s\" "
            "viewBox=\"0 0 %.0f %.0f\">\n",
            picture->title, WIDTH, HEIGHT);
    write_axes(file, result, most);
    for (unsigned c = 0; c < CURVES && picture->curves[c].name; c++)
        write_curve(file, picture, c, result, most);
    fputs("</svg>\n</figure>\n", file);
}

/* ---- The page ----------------------------------------------------------- */

static void
write_facts(struct page *page, const struct pressure_plan *plan,
            const struct pressure_result *result)
{
    page_facts_begin(page);
    page_fact(page, "Pages", "%" PRIu32 " accessed, %" PRIu32 " of memory",
              plan->trace->pages, plan->frames);
    page_fact(page, "Swap", "%s: %" PRIu64 " pages in, %" PRIu64 " out",
              plan->swap, result->swap_in, result->swap_out);
    page_fact(page, "Accesses", "%" PRIu64 " by %u thread%s", result->accesses,
              plan->threads, plan->threads == 1 ? "" : "s");
    page_fact(page, "Hit ratio",
              "%.3f; LRU %.3f, optimum %.3f, since memory was full",
              result->hit_ratio, result->lru_ratio, result->optimal_ratio);
    page_fact(page, "Contents", "%s",
              result->wrong_bytes || result->lost_pages
                  ? "not as they were written"
                  : "every byte as it was written");
    page_facts_end(page);
}

int
pressure_picture_write(const char *path, const char *workload,
                       const struct pressure_plan *plan,
                       const struct pressure_result *result,
                       struct tool_error *error)
{
    struct page page;
    char title[64];

    snprintf(title, sizeof(title), "aspen pressure %s", workload);
    if (page_begin(&page, path, PAGE_NARROW, title, error) != 0)
        return -1;
    write_facts(&page, plan, result);
    for (size_t i = 0; i < PICTURES; i++)
        write_picture(page.file, &pictures[i], result);
    return page_end(&page, error);
}

/* ---- Files -------------------------------------------------------------- */

int
pressure_samples_write(const char *path, const struct pressure_result *result,
                       struct tool_error *error)
{
    FILE *file = fopen(path, "we");

    if (!file)
        return tool_fail(error, "cannot write %s: %s", path, strerror(errno));
    fputs("# accesses resident swapped reclaimed refaults hits lru_hits "
          "optimal_hits some_us full_us\n",
          file);
    for (size_t i = 0; i < result->sample_count; i++) {
        const struct pressure_sample *s = &result->samples[i];
        fprintf(file,
                "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                "\n",
                s->accesses, s->resident, s->swapped, s->reclaimed, s->refaults,
                s->hits, s->lru_hits, s->optimal_hits, s->some_us, s->full_us);
    }
    bool failed = fflush(file) != 0 || ferror(file);
    int reason = errno;
    if (fclose(file) == 0 && !failed)
        return 0;
    return tool_fail(error, "cannot write %s: %s", path,
                     strerror(failed ? reason : errno));
}
