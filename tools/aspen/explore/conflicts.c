/* SPDX-License-Identifier: MIT */
/*
 * conflicts.c - `aspen explore --conflicts`: the conflict matrix of
 * aspen-conflicts (tests/explore/conflicts), which stands beside the command;
 * as it prints it, or as a page.
 *
 * tests/tools/explore.sh breaks first.
 */
#define _GNU_SOURCE
#include "explore/session.h"
#include "page/page.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "aspen-conflicts"
#define CALLS   64u

/* ---- The program --------------------------------------------------------- */

static int
find_program(char *path, size_t size)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash = length > 0 ? memrchr(self, '/', (size_t)length) : NULL;

    if (!slash)
        return tool_refuse(EXPLORE_COMMAND,
                           "cannot tell where this program is");
    *slash = '\0';
    snprintf(path, size, "%s/" PROGRAM, self);
    if (access(path, X_OK) == 0)
        return 0;
    return tool_refuse(EXPLORE_COMMAND,
                       "there is no %s; build it with `make conflicts`", path);
}

/* What it prints with --json; NULL: said. */
static json_t *
measure(const char *path)
{
    int ends[2];
    int status = -1;
    pid_t pid = pipe(ends) == 0 ? fork() : -1;

    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl(path, PROGRAM, "--json", (char *)NULL);
        _exit(127);
    }
    if (pid > 0)
        close(ends[1]);
    json_t *matrix = pid > 0 ? json_loadfd(ends[0], 0, NULL) : NULL;
    if (pid > 0) {
        close(ends[0]);
        waitpid(pid, &status, 0);
    }
    if (!matrix || status != 0 ||
        !json_is_array(json_object_get(matrix, "cells"))) {
        json_decref(matrix);
        tool_refuse(EXPLORE_COMMAND, "%s has not measured", path);
        return NULL;
    }
    return matrix;
}

/* ---- The page ------------------------------------------------------------ */

static const char *
text_of(const json_t *cell, const char *key)
{
    const char *text = json_string_value(json_object_get(cell, key));

    return text ? text : "";
}

/* Texts of `key` in the cells of that relation, each once, in order. */
static unsigned
collect(const json_t *cells, const char *relation, const char *const keys[],
        const char *names[CALLS])
{
    unsigned count = 0;
    json_t *cell;
    size_t i;

    json_array_foreach(cells, i, cell)
    {
        if (relation && strcmp(text_of(cell, "relation"), relation) != 0)
            continue;
        for (unsigned k = 0; keys[k]; k++) {
            unsigned known = 0;
            while (known < count &&
                   strcmp(names[known], text_of(cell, keys[k])))
                known++;
            if (known == count && count < CALLS)
                names[count++] = text_of(cell, keys[k]);
        }
    }
    return count;
}

static const json_t *
cell_of(const json_t *cells, const char *relation, const char *a, const char *b)
{
    json_t *cell;
    size_t i;

    json_array_foreach(cells, i,
                       cell) if (!strcmp(text_of(cell, "relation"), relation) &&
                                 !strcmp(text_of(cell, "a"), a) &&
                                 !strcmp(text_of(cell, "b"), b)) return cell;
    return NULL;
}

static void
write_cell(FILE *file, const json_t *cell)
{
    json_int_t lines = json_integer_value(json_object_get(cell, "lines"));
    bool commute = json_is_true(json_object_get(cell, "commute"));
    json_t *field;
    size_t i;

    if (!cell) {
        fputs("<td></td>", file);
        return;
    }
    fprintf(file, "<td class=\"%s\" title=\"",
            !commute ? "no"
            : lines  ? "shared"
                     : "free");
    json_array_foreach(json_object_get(cell, "fields"), i, field)
    {
        fputs(i ? ", " : "", file);
        page_text(file, json_string_value(field));
    }
    fprintf(file, "\">%" JSON_INTEGER_FORMAT "</td>", lines);
}

static void
write_relation(FILE *file, const json_t *cells, const char *relation)
{
    static const char *const keys[] = {"a", "b", NULL};
    const char *calls[CALLS];
    unsigned count = collect(cells, relation, keys, calls);

    fputs("<h2>", file);
    page_text(file, relation);
    fputs("</h2>\n<div class=\"scroll\"><table class=\"pairs\"><tr><th></th>",
          file);
    for (unsigned b = 0; b < count; b++) {
        fputs("<th>", file);
        page_text(file, calls[b]);
        fputs("</th>", file);
    }
    for (unsigned a = 0; a < count; a++) {
        fputs("</tr>\n<tr><th>", file);
        page_text(file, calls[a]);
        fputs("</th>", file);
        for (unsigned b = 0; b < count; b++)
            write_cell(file, cell_of(cells, relation, calls[a], calls[b]));
    }
    fputs("</tr>\n</table></div>\n", file);
}

static void
write_page(FILE *file, const json_t *matrix)
{
    static const char *const keys[] = {"relation", NULL};
    const json_t *cells = json_object_get(matrix, "cells");
    const char *relations[CALLS];
    unsigned count = collect(cells, NULL, keys, relations);

    fprintf(file,
            "<p>Cache lines that two calls share, where one writes, by how "
            "their places are related; grey: the two do not commute. "
            "%" JSON_INTEGER_FORMAT " pairs commute, %" JSON_INTEGER_FORMAT
            " of them share none.</p>\n",
            json_integer_value(json_object_get(matrix, "pairs")),
            json_integer_value(json_object_get(matrix, "free")));
    for (unsigned i = 0; i < count; i++)
        write_relation(file, cells, relations[i]);
}

int
explore_conflicts(const struct explore_wish *wish)
{
    char path[PATH_MAX + sizeof(PROGRAM) + 1];
    int status = find_program(path, sizeof(path));

    if (status == 0 && wish->html) {
        json_t *matrix = measure(path);
        status = matrix ? explore_write(wish->html, "aspen explore --conflicts",
                                        matrix, write_page)
                        : EXIT_REFUSED;
        json_decref(matrix);
    }
    if (status)
        return status;
    fflush(NULL);
    execl(path, PROGRAM, wish->json ? "--json" : "--all", (char *)NULL);
    return tool_refuse(EXPLORE_COMMAND, "cannot run %s: %s", path,
                       strerror(errno));
}
