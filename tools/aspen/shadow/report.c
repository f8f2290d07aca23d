/* SPDX-License-Identifier: MIT */
/*
 * report.c - what a shadow found, for people and as JSON.
 *
 * Called by command.c. tests/tools/shadow.sh breaks first.
 */
#define _GNU_SOURCE
#include "shadow/session.h"
#include "common/json.h"

#include <inttypes.h>
#include <string.h>
#include <sys/wait.h>

#define TOLD 20u /* differences that are printed */

void
shadow_counts_add(struct shadow_counts *sum, const struct shadow_counts *more)
{
    sum->calls += more->calls;
    sum->answers_differ += more->answers_differ;
    sum->maps_compared += more->maps_compared;
    sum->identical += more->identical;
    sum->equal += more->equal;
    sum->different += more->different;
    sum->in_part += more->in_part;
    sum->addresses_picked += more->addresses_picked;
    sum->addresses_same += more->addresses_same;
}

void
shadow_tell(struct shadow_session *session, const char *format, ...)
{
    va_list arguments;
    char text[900];

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    timelines_differ(&session->timelines, text);
    if (session->told++ >= TOLD)
        return;
    fprintf(stderr, "aspen shadow: DIFFERENT %s\n", text);
}

void
shadow_report_sum(const struct shadow_session *session,
                  struct shadow_counts *sum)
{
    memset(sum, 0, sizeof(*sum));
    for (struct guest_process *process = session->guest.processes; process;
         process = process->next)
        shadow_counts_add(sum, &shadow_process_of(process)->counts);
}

static uint64_t
count_processes(const struct shadow_session *session)
{
    uint64_t count = 0;

    for (struct guest_process *process = session->guest.processes; process;
         process = process->next)
        count++;
    return count;
}

/* ---- For people --------------------------------------------------------- */

static void
put_counts(FILE *to, const struct shadow_counts *counts)
{
    fprintf(to,
            "%8" PRIu64 " %7" PRIu64 " %6" PRIu64 " %10" PRIu64 " %6" PRIu64
            " %10" PRIu64 " %6" PRIu64 "/%" PRIu64 "\n",
            counts->calls, counts->answers_differ, counts->maps_compared,
            counts->identical, counts->equal, counts->different,
            counts->addresses_same, counts->addresses_picked);
}

static void
put_end(FILE *to, const struct guest_process *process)
{
    if (!process->ended)
        return;
    if (WIFSIGNALED(process->status))
        fprintf(to, "%-24s died of signal %d\n", "", WTERMSIG(process->status));
    else if (WEXITSTATUS(process->status) != 0)
        fprintf(to, "%-24s exit code %d\n", "", WEXITSTATUS(process->status));
}

void
shadow_report_text(const struct shadow_session *session, FILE *to)
{
    struct shadow_counts sum;

    shadow_report_sum(session, &sum);
    fprintf(to, "%-24s %8s %7s %6s %10s %6s %10s %s\n", "process", "calls",
            "answers", "maps", "identical", "equal", "different",
            "same/picked");
    fprintf(to, "%-24s %8s %7s\n", "", "", "differ");
    for (struct guest_process *process = session->guest.processes; process;
         process = process->next) {
        fprintf(to, "%8d %-15.15s ", (int)process->pid, process->name);
        put_counts(to, &shadow_process_of(process)->counts);
        put_end(to, process);
    }
    fprintf(to, "%-24s ", "in total");
    put_counts(to, &sum);
    if (sum.in_part)
        fprintf(to, "compared in part: %" PRIu64 "\n", sum.in_part);
    tally_print(to, "calls", &session->by_call);
    tally_print(to, "deviations", &session->deviations);
    tally_print(to, "not modelled", &session->unmodelled);
    tally_print(to, "not followed", &session->not_followed);
    tally_print(to, "set up", &session->set_up);
    if (session->elsewhere[0])
        fprintf(to, "elsewhere, first: %s\n", session->elsewhere);
    if (session->told > TOLD)
        fprintf(to, "%u differences were not printed\n", session->told - TOLD);
    fprintf(to, "%s%s\n",
            sum.answers_differ || sum.different
                ? "Aspen and the kernel DIFFER"
                : "Aspen decided as the kernel did",
            session->not_followed.used ? "; not everything was followed" : "");
}

/* ---- JSON --------------------------------------------------------------- */

static void
set_counts(json_t *object, const struct shadow_counts *counts)
{
    tool_json_count(object, "calls", counts->calls);
    tool_json_count(object, "answers_differ", counts->answers_differ);
    tool_json_count(object, "maps_compared", counts->maps_compared);
    tool_json_count(object, "identical", counts->identical);
    tool_json_count(object, "equal", counts->equal);
    tool_json_count(object, "different", counts->different);
    tool_json_count(object, "in_part", counts->in_part);
    tool_json_count(object, "addresses_picked", counts->addresses_picked);
    tool_json_count(object, "addresses_same", counts->addresses_same);
}

static void
set_end(json_t *object, const struct guest_process *process)
{
    if (process->ended && WIFEXITED(process->status))
        tool_json_count(object, "exit_code",
                        (uint64_t)WEXITSTATUS(process->status));
    if (process->ended && WIFSIGNALED(process->status))
        tool_json_count(object, "signal", (uint64_t)WTERMSIG(process->status));
}

static json_t *
process_json(struct guest_process *process)
{
    json_t *object = json_object();

    tool_json_count(object, "pid", (uint64_t)process->pid);
    json_object_set_new(object, "name", tool_json_words(process->name));
    tool_json_count(object, "execs", process->execs);
    set_counts(object, &shadow_process_of(process)->counts);
    set_end(object, process);
    return object;
}

int
shadow_report_json(const struct shadow_session *session)
{
    json_t *object = json_object();
    json_t *list = json_array();
    struct shadow_counts sum;

    shadow_report_sum(session, &sum);
    json_object_set_new(object, "schema", json_string("aspen.shadow/1"));
    json_object_set_new(object, "kernel_known",
                        json_boolean(session->kernel_known));
    tool_json_count(object, "processes", count_processes(session));
    set_counts(object, &sum);
    if (session->guest.processes)
        set_end(object, session->guest.processes);
    json_object_set_new(object, "by_call", tally_json(&session->by_call));
    json_object_set_new(object, "deviations", tally_json(&session->deviations));
    json_object_set_new(object, "unmodelled", tally_json(&session->unmodelled));
    json_object_set_new(object, "not_followed",
                        tally_json(&session->not_followed));
    json_object_set_new(object, "set_up", tally_json(&session->set_up));
    for (struct guest_process *process = session->guest.processes; process;
         process = process->next)
        json_array_append_new(list, process_json(process));
    json_object_set_new(object, "by_process", list);
    return tool_json_print(object, 0);
}
