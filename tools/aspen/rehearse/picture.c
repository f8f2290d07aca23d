/* SPDX-License-Identifier: MIT */
/*
 * picture.c - the page of a rehearsal: the address space that was forked, and
 * each step of the fork with what came of its failing.
 *
 * Called by command.c. tests/tools/pages.sh breaks first.
 */
#define _GNU_SOURCE
#include "rehearse/report.h"

#include "common/json.h"
#include "page/page.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Browsers are slow with more. */
#define RUNS_MAX 300000u

/* ---- The space ----------------------------------------------------------- */

static void
add_number(json_t *list, uint64_t number)
{
    json_array_append_new(list, json_integer((json_int_t)number));
}

static json_t *
mapping_json(const struct snapshot_vma *vma)
{
    unsigned p = vma->permissions;
    const char text[] = {p & SNAPSHOT_PERM_READ ? 'r' : '-',
                         p & SNAPSHOT_PERM_WRITE ? 'w' : '-',
                         p & SNAPSHOT_PERM_EXEC ? 'x' : '-',
                         p & SNAPSHOT_PERM_SHARED ? 's' : 'p', '\0'};
    json_t *list = json_array();

    add_number(list, vma->start >> SNAPSHOT_PAGE_SHIFT);
    add_number(list, (vma->end - vma->start) >> SNAPSHOT_PAGE_SHIFT);
    json_array_append_new(list, json_string(text));
    add_number(list, vma->path);
    add_number(list, vma->rss_pages);
    add_number(list, vma->swap_pages);
    return list;
}

static json_t *
runs_json(const struct snapshot *snapshot)
{
    json_t *list = json_array();

    for (uint64_t i = 0;
         snapshot->run_count <= RUNS_MAX && i < snapshot->run_count; i++) {
        const struct snapshot_run *run = &snapshot->runs[i];
        json_t *entry = json_array();

        add_number(entry, snapshot_run_address(run) >> SNAPSHOT_PAGE_SHIFT);
        add_number(entry, snapshot_run_pages(run));
        add_number(entry, snapshot_run_kind(run));
        json_array_append_new(list, entry);
    }
    return list;
}

static json_t *
space_json(const struct snapshot *snapshot)
{
    json_t *mappings = json_array();
    json_t *names = json_array();
    json_t *kinds = json_array();

    for (uint64_t i = 0; i < snapshot->vma_count; i++)
        json_array_append_new(mappings, mapping_json(&snapshot->vmas[i]));
    for (uint32_t i = 0; i < snapshot->string_count; i++)
        json_array_append_new(names,
                              tool_json_words(snapshot_text(snapshot, i)));
    for (unsigned i = 0; i < SNAPSHOT_KINDS; i++)
        json_array_append_new(kinds, json_string(snapshot_kind_name(i)));
    return json_pack("{sosososo}", "mappings", mappings, "names", names,
                     "kinds", kinds, "runs", runs_json(snapshot));
}

/* ---- Steps --------------------------------------------------------------- */

/* A letter for each step: what came of its failing in that mode. */
static json_t *
mode_json(const struct workers *workers, enum rehearsal_mode mode)
{
    size_t steps = (size_t)workers->facts.steps;
    char *letters = malloc(steps + 1);
    json_t *text = NULL;

    if (!letters)
        return NULL;
    for (size_t i = 0; i < steps; i++)
        letters[i] = (workers->kinds[i] == ASPEN_STEP_INTERRUPT) ==
                             (mode == REHEARSE_INTERRUPT)
                         ? '.'
                         : ' ';
    for (uint64_t i = 0; i < workers->planned; i++)
        if (plan_mode(workers->items[i]) == mode && workers->results[i].done)
            letters[plan_step(workers->items[i]) - 1] =
                workers->results[i].held == HELD_ALL ? 'h' : 'b';
    text = json_stringn(letters, steps);
    free(letters);
    return text;
}

static json_t *
matrix_json(const struct report *report)
{
    const struct workers *workers = report->workers;
    size_t steps = (size_t)workers->facts.steps;
    char *letters = malloc(steps + 1);
    json_t *kinds = json_array();
    json_t *modes = json_object();

    for (unsigned i = 0; i < ASPEN_STEP_KINDS; i++)
        json_array_append_new(kinds,
                              json_string(aspen_step_name((enum aspen_step)i)));
    for (unsigned i = 0; i < REHEARSAL_MODES; i++)
        json_object_set_new(modes, rehearsal_mode_name(i),
                            mode_json(workers, (enum rehearsal_mode)i));
    for (size_t i = 0; letters && i < steps; i++)
        letters[i] = (char)('a' + workers->kinds[i]);
    json_t *kind = letters ? json_stringn(letters, steps) : NULL;
    free(letters);
    return json_pack("{sosososo}", "kinds", kinds, "kind", kind, "modes", modes,
                     "replay",
                     tool_json_words(report->kept ? report->replay : ""));
}

/* ---- The page ------------------------------------------------------------ */

static void
write_facts(struct page *page, const struct report *report,
            const struct report_counts *counts)
{
    const struct snapshot *snapshot = report->snapshot;

    page_facts_begin(page);
    page_fact(page, "Process", "%s (%s)",
              snapshot->name ? snapshot_text(snapshot, snapshot->name)
                             : "without a name",
              report->source);
    page_fact(page, "Size",
              "%" PRIu64 " mappings, %" PRIu64 " pages resident, %" PRIu64
              " swapped",
              snapshot->vma_count, counts->resident, counts->swapped);
    page_fact(page, "Fork", "%" PRIu64 " steps that can fail",
              report->workers->facts.steps);
    page_fact(page, "Rehearsals", "%" PRIu64 " of %" PRIu64 ", seed %" PRIu64,
              counts->done, report->workers->possible, report->seed);
    page_fact(page, "Result", "%s",
              counts->broken ? "a promise was BROKEN" : "every promise held");
    page_facts_end(page);
}

static void
write_breaks(struct page *page, const struct report *report)
{
    const struct workers_break *breaks;
    uint64_t count = workers_breaks(report->workers, &breaks);

    if (count > 0)
        fputs("<div class=\"tall\">\n", page->file);
    for (uint64_t i = 0; i < count && i < BREAKS_MAX; i++) {
        char line[REPORT_LINE_BYTES];

        fprintf(page->file, "<p class=\"bad\">step %" PRIu64 " (%s), %s: ",
                plan_step(breaks[i].item),
                report_step_name(report, breaks[i].item),
                rehearsal_mode_name(plan_mode(breaks[i].item)));
        page_text(page->file, breaks[i].text);
        fputs("</p>\n<p>replay: <code>", page->file);
        report_replay_line(report, breaks[i].item, line, sizeof(line));
        page_text(page->file, line);
        fputs("</code></p>\n", page->file);
    }
    if (count > 0)
        fputs("</div>\n", page->file);
}

int
report_page(const struct report *report, const char *path,
            struct tool_error *error)
{
    struct report_counts counts;
    struct page page;

    report_count(report, &counts);
    if (page_begin(&page, path, PAGE_WIDE, "aspen rehearse", error) != 0)
        return -1;
    write_facts(&page, report, &counts);
    write_breaks(&page, report);
    page_heading(&page, NULL, "The address space");
    if (report->snapshot->run_count > RUNS_MAX)
        fprintf(page.file,
                "<p class=\"soft\">Its %" PRIu64
                " runs of pages are too many to "
                "be drawn.</p>\n",
                report->snapshot->run_count);
    page_view(&page, "space", space_json(report->snapshot));
    page_heading(&page, NULL,
                 "Steps of its fork, and what came of each failing");
    page_view(&page, "matrix", matrix_json(report));
    return page_end(&page, error);
}
