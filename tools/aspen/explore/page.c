/* SPDX-License-Identifier: MIT */
/*
 * page.c - what --html writes: a table of scenarios; below it each that failed
 * as lanes, one a task, in which time goes downwards.
 *
 * tests/tools/explore.sh breaks first.
 */
#include "explore/session.h"
#include "page/page.h"

#include <string.h>

#define LANES 4 /* tasks, and deferred work */

static const char *
text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static json_int_t
number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* ---- Lanes --------------------------------------------------------------- */

/* In the lane of `task`; the others are empty there. */
static void
begin_row(FILE *file, json_int_t task, bool switches)
{
    fprintf(file, "<tr%s>", switches ? " class=\"switch\"" : "");
    for (json_int_t i = 0; i < task; i++)
        fputs("<td></td>", file);
    fputs("<td class=\"on", file);
}

static void
end_row(FILE *file, json_int_t task)
{
    fputs("</td>", file);
    for (json_int_t i = task + 1; i < LANES; i++)
        fputs("<td></td>", file);
    fputs("</tr>\n", file);
}

static void
write_left_out(FILE *file, json_int_t task, unsigned count)
{
    if (!count)
        return;
    begin_row(file, task, false);
    fprintf(file, " rest\">%u step%s that nobody else sees", count,
            count == 1 ? "" : "s");
    end_row(file, task);
}

static void
write_step(FILE *file, const json_t *step, json_int_t task, bool switches)
{
    const char *where = text_of(step, "where");

    begin_row(file, task, switches);
    fputs("\"><b>", file);
    page_text(file, text_of(step, "what"));
    fputs("</b> ", file);
    page_text(file, text_of(step, "address"));
    fputs("<br><small>", file);
    page_text(file, text_of(step, "function"));
    fputs(" ", file);
    page_text(file, *where ? where : "?");
    fputs("</small>", file);
    end_row(file, task);
}

/* What others touch as well, and the first of each row of steps. */
static void
write_lanes(FILE *file, const json_t *steps)
{
    json_int_t last = -1;
    unsigned left_out = 0;
    json_t *step;
    size_t i;

    fputs("<div class=\"scroll\"><table class=\"lanes\"><tr><th>task "
          "0</th><th>task 1</th>"
          "<th>task 2</th><th>deferred work</th></tr>\n",
          file);
    json_array_foreach(steps, i, step)
    {
        json_int_t task = number_of(step, "task");
        if (task < 0 || task >= LANES)
            continue;
        if (task == last && !json_is_true(json_object_get(step, "shared")) &&
            i + 1 < json_array_size(steps)) {
            left_out++;
            continue;
        }
        write_left_out(file, last, left_out);
        left_out = 0;
        write_step(file, step, task, task != last && last >= 0);
        last = task;
    }
    fputs("</table></div>\n", file);
}

static void
write_failure(FILE *file, const json_t *scenario)
{
    const json_t *steps = json_object_get(scenario, "steps");
    json_t *site;
    size_t i;

    fputs("<h2 id=\"", file);
    page_text(file, text_of(scenario, "name"));
    fputs("\">", file);
    page_text(file, text_of(scenario, "name"));
    fputs("</h2>\n<p class=\"bad\">", file);
    page_text(file, text_of(scenario, "what"));
    fputs("</p>\n", file);
    json_array_foreach(json_object_get(scenario, "sites"), i, site)
    {
        if (strcmp(json_string_value(site), text_of(scenario, "what")) == 0)
            continue;
        fputs("<p>besides: ", file);
        page_text(file, json_string_value(site));
        fputs("</p>\n", file);
    }
    fputs("<p>replay: <code>aspen explore --replay '", file);
    page_text(file, text_of(scenario, "name"));
    fprintf(file, " %s", explore_memory_word(scenario));
    page_text(file, text_of(scenario, "schedule"));
    fputs("'</code></p>\n", file);
    if (steps)
        write_lanes(file, steps);
}

/* ---- The table ----------------------------------------------------------- */

static void
write_cell(FILE *file, const json_t *number)
{
    if (json_is_integer(number))
        fprintf(file, "<td class=\"n\">%" JSON_INTEGER_FORMAT "</td>",
                json_integer_value(number));
    else
        fputs("<td class=\"n\">-</td>", file);
}

static void
write_scenario(FILE *file, const json_t *scenario)
{
    bool failed = number_of(scenario, "failed") != 0;
    bool complete = json_is_true(json_object_get(scenario, "complete"));

    fputs("<tr><td>", file);
    if (failed) {
        fputs("<a class=\"bad\" href=\"#", file);
        page_text(file, text_of(scenario, "name"));
        fputs("\">", file);
    }
    page_text(file, text_of(scenario, "name"));
    fputs(failed ? "</a></td>" : "</td>", file);
    write_cell(file, json_object_get(scenario, "preemptions"));
    write_cell(file, json_object_get(scenario, "schedules"));
    fprintf(file, "<td>%s</td><td class=\"%s\">%s</td>",
            complete ? "yes" : "no", failed ? "bad" : "good",
            failed ? "failed" : "held");
    write_cell(file, json_object_get(scenario, "races"));
    fputs("<td>", file);
    page_text(file, text_of(scenario, "memory"));
    fputs("</td></tr>\n", file);
}

static void
write_sum(FILE *file, const json_t *scenarios)
{
    json_int_t schedules = 0, failed = 0, races = 0, complete = 0;
    json_t *scenario;
    size_t i;

    json_array_foreach(scenarios, i, scenario)
    {
        schedules += number_of(scenario, "schedules");
        failed += number_of(scenario, "failed") != 0;
        races += number_of(scenario, "races");
        complete += json_is_true(json_object_get(scenario, "complete"));
    }
    fprintf(file,
            "<p>%zu scenarios, %" JSON_INTEGER_FORMAT " of them complete; "
            "%" JSON_INTEGER_FORMAT " schedules, %" JSON_INTEGER_FORMAT
            " failed, %" JSON_INTEGER_FORMAT " races</p>\n",
            json_array_size(scenarios), complete, schedules, failed, races);
}

/* Those that failed, or the others. */
static void
write_rows(FILE *file, const json_t *scenarios, bool failed)
{
    json_t *scenario;
    size_t i;

    json_array_foreach(scenarios, i,
                       scenario) if ((number_of(scenario, "failed") != 0) ==
                                     failed) write_scenario(file, scenario);
}

static void
write_page(FILE *file, const json_t *scenarios)
{
    json_t *scenario;
    size_t i;

    write_sum(file, scenarios);
    fputs("<div class=\"scroll\"><table><tr><th>scenario</th>"
          "<th class=\"n\">preemptions</th><th class=\"n\">schedules</th>"
          "<th>complete</th><th>result</th><th class=\"n\">races</th>"
          "<th>memory</th></tr>\n",
          file);
    write_rows(file, scenarios, true);
    write_rows(file, scenarios, false);
    fputs("</table></div>\n", file);
    json_array_foreach(scenarios, i,
                       scenario) if (number_of(scenario, "failed") != 0)
        write_failure(file, scenario);
}

int
explore_write(const char *path, const char *title, const json_t *what,
              explore_writer *write)
{
    struct tool_error error;
    struct page page;

    if (page_begin(&page, path, PAGE_WIDE, title, &error) == 0) {
        write(page.file, what);
        if (page_end(&page, &error) == 0)
            return 0;
    }
    return tool_refuse(EXPLORE_COMMAND, "%s", error.text);
}

int
explore_page(const char *path, const json_t *scenarios)
{
    return explore_write(path, "aspen explore", scenarios, write_page);
}
