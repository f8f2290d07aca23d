/* SPDX-License-Identifier: MIT */
/*
 * page.h - what --html of a command writes: one file that needs no other, and
 * no network. It looks like page.css says; what moves in it is page.js, to
 * which a command gives numbers. Both are in the command itself.
 *
 * A page that is begun has to be ended. Nothing is refused in between: what
 * failed the end says.
 */
#ifndef ASPEN_PAGE_H
#define ASPEN_PAGE_H

#include "common/tool.h"

#include <jansson.h>
#include <stdio.h>

struct page {
    FILE *file; /* for markup of one's own; page_text() for anything else */
    const char *path;
    json_t *data; /* of views */
    bool no_memory;
};

/** How wide text runs. */
enum page_width { PAGE_WIDE, PAGE_NARROW };

/** Begin a page with a title. 0; or -1 and the reason, and nothing is open. */
int page_begin(struct page *page, const char *path, enum page_width width,
               const char *title, struct tool_error *error);

/** Write the rest and close the file. 0; or -1 and why it is not whole. */
int page_end(struct page *page, struct tool_error *error);

/** Text of any kind: markup in it is shown, bytes that are no UTF-8 replaced.
 */
void page_text(FILE *file, const char *text);

/** A heading, which others can name by #id if `id` is not NULL. */
void page_heading(struct page *page, const char *id, const char *text);

/** Facts: names and what they are, between the first and the last call. */
void page_facts_begin(struct page *page);
void page_fact(struct page *page, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void page_facts_end(struct page *page);

/** What the function of that name in page.js draws of `data`, which is taken
 * over; NULL: there was no memory for it. Once for each name: "time-0" and
 * "time-1" are two of `time`. */
void page_view(struct page *page, const char *name, json_t *data);

#endif
