/* SPDX-License-Identifier: MIT */
/*
 * json.c - the one JSON object that a subcommand prints with --json.
 *
 * Called by all subcommands. tests/tools/usage.sh breaks first.
 */
#define _GNU_SOURCE
#include "common/json.h"
#include "common/tool.h"

#include <stdlib.h>
#include <string.h>

void
tool_json_count(json_t *object, const char *key, uint64_t count)
{
    json_object_set_new(
        object, key,
        json_integer(count > INT64_MAX ? INT64_MAX : (json_int_t)count));
}

json_t *
tool_json_words(const char *text)
{
    char *copy = strdup(text);
    json_t *value;

    if (copy == NULL)
        return NULL;
    tool_make_utf8(copy);
    value = json_string(copy);
    free(copy);
    return value;
}

int
tool_json_print(json_t *object, size_t flags)
{
    char *text = json_dumps(object, JSON_COMPACT | flags);

    json_decref(object);
    if (text == NULL)
        return -1;
    puts(text);
    free(text);
    return 0;
}
