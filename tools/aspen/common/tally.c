/* SPDX-License-Identifier: MIT */
/*
 * tally.c - counts by name.
 *
 * Called by shadow and fuzz. tests/tools/fuzz.sh breaks first.
 */
#include "common/tally.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

void
tally_add(struct tally *tally, const char *name, uint64_t count)
{
    unsigned i = 0;

    while (i < tally->used && strcmp(tally->rows[i].name, name) != 0)
        i++;
    if (i == TALLY_ROWS)
        return;
    if (i == tally->used) {
        tally->rows[i].name = name;
        tally->used++;
    }
    tally->rows[i].count += count;
}

uint64_t
tally_sum(const struct tally *tally)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < tally->used; i++)
        sum += tally->rows[i].count;
    return sum;
}

void
tally_print(FILE *to, const char *what, const struct tally *tally)
{
    if (tally->used == 0)
        return;
    fprintf(to, "%s:", what);
    for (unsigned i = 0; i < tally->used; i++)
        fprintf(to, "%s %s %" PRIu64, i ? "," : "", tally->rows[i].name,
                tally->rows[i].count);
    fputc('\n', to);
}

struct json_t *
tally_json(const struct tally *tally)
{
    json_t *object = json_object();

    for (unsigned i = 0; object && i < tally->used; i++)
        json_object_set_new(object, tally->rows[i].name,
                            json_integer((json_int_t)tally->rows[i].count));
    return object;
}
