/* SPDX-License-Identifier: MIT */
/*
 * page.c - see page.h.
 *
 * tests/tools/pages.sh breaks first.
 */
#define _GNU_SOURCE
#include "page/page.h"
#include "page/assets.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define FACT_BYTES 4096

void
page_text(FILE *file, const char *text)
{
    char *copy = strdup(text);

    if (!copy)
        return;
    tool_make_utf8(copy);
    for (const char *c = copy; *c; c++)
        if (strchr("<>&\"", *c))
            fprintf(file, "&#%d;", *c);
        else
            fputc(*c, file);
    free(copy);
}

int
page_begin(struct page *page, const char *path, enum page_width width,
           const char *title, struct tool_error *error)
{
    *page = (struct page){.path = path};
    page->file = fopen(path, "we");
    if (!page->file)
        return tool_fail(error, "cannot write %s: %s", path, strerror(errno));
    page->data = json_object();
    fputs("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width\">\n<title>",
          page->file);
    page_text(page->file, title);
    fprintf(page->file, "</title>\n<style>\n%s</style>\n<body%s>\n<h1>",
            page_css, width == PAGE_NARROW ? " class=\"narrow\"" : "");
    page_text(page->file, title);
    fputs("</h1>\n", page->file);
    return 0;
}

void
page_heading(struct page *page, const char *id, const char *text)
{
    if (id) {
        fputs("<h2 id=\"", page->file);
        page_text(page->file, id);
        fputs("\">", page->file);
    } else {
        fputs("<h2>", page->file);
    }
    page_text(page->file, text);
    fputs("</h2>\n", page->file);
}

void
page_facts_begin(struct page *page)
{
    fputs("<dl>\n", page->file);
}

void
page_fact(struct page *page, const char *name, const char *format, ...)
{
    char text[FACT_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fprintf(page->file, "<dt>%s</dt><dd>", name);
    page_text(page->file, text);
    fputs("</dd>\n", page->file);
}

void
page_facts_end(struct page *page)
{
    fputs("</dl>\n", page->file);
}

void
page_view(struct page *page, const char *name, json_t *data)
{
    if (!data || json_object_set_new(page->data, name, data) != 0)
        page->no_memory = true;
    fprintf(page->file, "<div data-view=\"%s\"></div>\n", name);
}

/* Inside of a script nothing may look like its end. */
static int
write_data(const char *bytes, size_t count, void *context)
{
    FILE *file = context;

    for (size_t i = 0; i < count; i++)
        if (bytes[i] == '<')
            fputs("\\u003c", file);
        else
            fputc(bytes[i], file);
    return 0;
}

static void
write_views(struct page *page)
{
    fputs("<noscript><p class=\"soft\">What is drawn here needs scripts."
          "</p></noscript>\n<script type=\"application/json\" id=\"data\">",
          page->file);
    if (json_dump_callback(page->data, write_data, page->file, JSON_COMPACT))
        page->no_memory = true;
    fprintf(page->file, "</script>\n<script>\n%s</script>\n", page_js);
}

int
page_end(struct page *page, struct tool_error *error)
{
    if (!page->data)
        page->no_memory = true;
    else if (json_object_size(page->data))
        write_views(page);
    fputs("</html>\n", page->file);
    bool failed = fflush(page->file) != 0 || ferror(page->file);
    int reason = errno;
    if (fclose(page->file) != 0 && !failed) {
        failed = true;
        reason = errno;
    }
    json_decref(page->data);
    if (page->no_memory)
        return tool_fail(error, "no memory for %s", page->path);
    if (failed)
        return tool_fail(error, "cannot write %s: %s", page->path,
                         strerror(reason));
    return 0;
}
