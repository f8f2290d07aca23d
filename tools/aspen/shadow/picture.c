/* SPDX-License-Identifier: MIT */
/*
 * picture.c - the page of a shadow: what was found, each difference, and what
 * was mapped when, of each space.
 *
 * Called by command.c. tests/tools/pages.sh breaks first.
 */
#include "shadow/session.h"

#include "page/page.h"

#include <inttypes.h>
#include <stdlib.h>

/* Of a run with many processes the busiest are drawn. */
#define DRAWN 12u

static void
write_facts(struct page *page, const struct shadow_session *session,
            const struct shadow_counts *sum)
{
    page_facts_begin(page);
    page_fact(page, "Calls", "%" PRIu64 ", %" PRIu64 " answers differ",
              sum->calls, sum->answers_differ);
    page_fact(page, "Maps compared",
              "%" PRIu64 ": %" PRIu64 " identical, %" PRIu64 " equal, %" PRIu64
              " different",
              sum->maps_compared, sum->identical, sum->equal, sum->different);
    page_fact(page, "Addresses",
              "%" PRIu64 " of %" PRIu64 " that the kernel picked",
              sum->addresses_same, sum->addresses_picked);
    page_fact(page, "Result", "%s%s",
              sum->answers_differ || sum->different
                  ? "Aspen and the kernel DIFFER"
                  : "Aspen decided as the kernel did",
              session->not_followed.used ? "; not everything was followed"
                                         : "");
    page_facts_end(page);
}

static void
write_differences(struct page *page, const struct timelines *timelines)
{
    if (!timelines->difference_count)
        return;
    page_heading(page, NULL, "Differences");
    fputs("<div class=\"tall\"><table>\n<tr><th class=\"n\">process</th>"
          "<th class=\"n\">call</th><th>what</th></tr>\n",
          page->file);
    for (size_t i = 0; i < timelines->difference_count; i++) {
        const struct timeline_difference *one = &timelines->differences[i];
        fprintf(page->file,
                "<tr><td class=\"n\">%d</td><td class=\"n\">%" PRIu64
                "</td><td class=\"bad\">",
                (int)one->pid, one->call);
        page_text(page->file, one->text);
        fputs("</td></tr>\n", page->file);
    }
    fputs("</table></div>\n", page->file);
}

/* The calls of the one that is the last to be drawn. */
static uint64_t
least_calls(const struct timelines *timelines)
{
    uint64_t most[DRAWN] = {0};

    for (const struct timeline *one = timelines->first; one;
         one = timeline_next(one)) {
        uint64_t calls = timeline_calls(one);
        for (size_t i = 0; i < DRAWN; i++)
            if (calls > most[i]) {
                uint64_t less = most[i];
                most[i] = calls;
                calls = less;
            }
    }
    return most[DRAWN - 1];
}

static void
write_timelines(struct page *page, const struct timelines *timelines)
{
    uint64_t least = least_calls(timelines);
    unsigned drawn = 0, left_out = 0;

    for (const struct timeline *one = timelines->first; one;
         one = timeline_next(one)) {
        char text[80];
        if (timeline_calls(one) < least || drawn == DRAWN) {
            left_out++;
            continue;
        }
        snprintf(text, sizeof(text), "Process %d: what was mapped when",
                 (int)timeline_pid(one));
        page_heading(page, NULL, text);
        if (timeline_left_out(one))
            fprintf(page->file,
                    "<p class=\"soft\">%" PRIu64
                    " changes more, which are not drawn.</p>\n",
                    timeline_left_out(one));
        snprintf(text, sizeof(text), "time-%u", drawn++);
        page_view(page, text, timeline_json(one));
    }
    if (left_out)
        fprintf(page->file,
                "<p class=\"soft\">%u spaces with fewer calls are not "
                "drawn.</p>\n",
                left_out);
}

int
shadow_picture_write(const struct shadow_session *session, const char *path,
                     struct tool_error *error)
{
    struct shadow_counts sum;
    struct page page;

    shadow_report_sum(session, &sum);
    if (page_begin(&page, path, PAGE_WIDE, "aspen shadow", error) != 0)
        return -1;
    write_facts(&page, session, &sum);
    write_differences(&page, &session->timelines);
    write_timelines(&page, &session->timelines);
    return page_end(&page, error);
}
