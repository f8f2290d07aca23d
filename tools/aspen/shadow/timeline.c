/* SPDX-License-Identifier: MIT */
/*
 * timeline.c - see timeline.h.
 *
 * tests/tools/pages.sh breaks first.
 */
#include "shadow/timeline.h"

#include "page/ranges.h"

#include <aspen/vma.h>
#include <stdlib.h>
#include <string.h>

/* Changes that are kept of a space: more are no picture any more. */
#define EVENTS_MAX 200000u

/* A range, and what it was from a call on. */
struct event {
    uint64_t call;
    uint64_t start;
    uint64_t end;
    uint64_t flags;
    const char *name; /* of the call, for ever */
    bool mapped;
    bool differs;
};

struct timeline {
    struct timeline *next;
    pid_t pid;
    uint64_t calls;
    const char *name; /* of the call that is told */
    struct event *events;
    size_t count;
    size_t room;
    uint64_t left_out;
};

static void
keep(struct timeline *timeline, const struct event *event)
{
    struct event *events = timeline->count < EVENTS_MAX
                               ? tool_room(timeline->events, timeline->count,
                                           &timeline->room, sizeof(*events))
                               : NULL;

    if (!events) {
        timeline->left_out++;
        return;
    }
    timeline->events = events;
    events[timeline->count++] = *event;
}

/* What is mapped in the range. */
static void
keep_mapped(struct timeline *timeline, struct aspen_mm *mm, uint64_t start,
            uint64_t end)
{
    aspen_mm_read_lock(mm);
    for (struct aspen_vma *vma = aspen_vma_find(mm, start);
         vma && aspen_vma_start(vma) < end; vma = aspen_vma_next(vma)) {
        uint64_t from = aspen_vma_start(vma), to = aspen_vma_end(vma);
        keep(timeline, &(struct event){
                           .call = timeline->calls,
                           .start = from < start ? start : from,
                           .end = to > end ? end : to,
                           .flags = aspen_vma_flags(vma),
                           .name = timeline->name,
                           .mapped = true,
                       });
    }
    aspen_mm_read_unlock(mm);
}

struct timeline *
timeline_begin(struct timelines *timelines, pid_t pid, struct aspen_mm *mm)
{
    struct timeline *timeline =
        timelines->wanted ? calloc(1, sizeof(*timeline)) : NULL;

    if (!timeline)
        return NULL;
    timeline->pid = pid;
    keep_mapped(timeline, mm, 0, UINT64_MAX);
    if (!timelines->last)
        timelines->last = &timelines->first;
    *timelines->last = timeline;
    timelines->last = &timeline->next;
    return timeline;
}

void
timeline_call(struct timeline *timeline, const char *name)
{
    if (!timeline)
        return;
    timeline->calls++;
    timeline->name = name;
}

void
timeline_touch(struct timeline *timeline, struct aspen_mm *mm, uint64_t start,
               uint64_t end)
{
    if (!timeline || start >= end)
        return;
    keep(timeline, &(struct event){
                       .call = timeline->calls,
                       .start = start,
                       .end = end,
                       .name = timeline->name,
                   });
    keep_mapped(timeline, mm, start, end);
}

void
timelines_differ(struct timelines *timelines, const char *text)
{
    struct timeline *now = timelines->now;
    struct timeline_difference *list =
        now ? tool_room(timelines->differences, timelines->difference_count,
                        &timelines->difference_room, sizeof(*list))
            : NULL;
    char *copy = list ? strdup(text) : NULL;

    if (now)
        keep(now, &(struct event){
                      .call = now->calls,
                      .name = now->name,
                      .differs = true,
                  });
    if (list)
        timelines->differences = list;
    if (copy)
        list[timelines->difference_count++] =
            (struct timeline_difference){now->pid, now->calls, copy};
}

void
timelines_free(struct timelines *timelines)
{
    while (timelines->first) {
        struct timeline *timeline = timelines->first;
        timelines->first = timeline->next;
        free(timeline->events);
        free(timeline);
    }
    for (size_t i = 0; i < timelines->difference_count; i++)
        free(timelines->differences[i].text);
    free(timelines->differences);
}

/* ---- For the page ------------------------------------------------------- */

pid_t
timeline_pid(const struct timeline *timeline)
{
    return timeline->pid;
}

uint64_t
timeline_calls(const struct timeline *timeline)
{
    return timeline->calls;
}

uint64_t
timeline_left_out(const struct timeline *timeline)
{
    return timeline->left_out;
}

struct timeline *
timeline_next(const struct timeline *timeline)
{
    return timeline->next;
}

static json_t *
event_json(const struct event *event)
{
    char text[5] = "";

    if (event->mapped)
        page_range_access(event->flags, text);
    return json_pack(
        "[IsIIsb]", (json_int_t)event->call, event->name ? event->name : "",
        (json_int_t)(event->start >> PAGE_RANGE_SHIFT),
        (json_int_t)((event->end - event->start) >> PAGE_RANGE_SHIFT), text,
        event->differs);
}

json_t *
timeline_json(const struct timeline *timeline)
{
    json_t *first = json_array(), *events = json_array();

    for (size_t i = 0; i < timeline->count; i++) {
        const struct event *event = &timeline->events[i];
        if (event->call == 0 && event->mapped)
            json_array_append_new(
                first, page_range(event->start, event->end, event->flags));
        else
            json_array_append_new(events, event_json(event));
    }
    return json_pack("{sIsoso}", "calls", (json_int_t)timeline->calls, "first",
                     first, "events", events);
}
