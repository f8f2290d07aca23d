/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "report.h"

#include "clock.h"
#include <jansson.h>
#include <string.h>

struct side {
    bool measured;
    double median;
    double low;
    double high;
};

static struct side
side_of(double *samples, unsigned count)
{
    if (!count)
        return (struct side){0};
    double median = clock_median(samples, count); /* sorts */
    return (struct side){true, median, samples[0], samples[count - 1]};
}

static void
add(double *samples, unsigned *count, double value)
{
    if (*count < REPORT_SAMPLES)
        samples[(*count)++] = value;
}

void
report_add_aspen(struct report_row *row, double value)
{
    add(row->aspen, &row->aspen_count, value);
}

void
report_add_peer(struct report_row *row, double value)
{
    add(row->peer, &row->peer_count, value);
}

/* The ratio to the peer, or the value itself where there is only a limit. */
static bool
judged(const struct report_row *row, struct side aspen, struct side peer,
       double *value)
{
    *value = row->peer_name ? aspen.median / peer.median : aspen.median;
    return row->peer_name ? peer.measured : aspen.measured;
}

static void
print_side(FILE *out, struct side side)
{
    if (side.measured)
        fprintf(out, " %9.1f %9.1f-%-9.1f", side.median, side.low, side.high);
    else
        fprintf(out, " %9s %9s %-9s", "-", "", "");
}

static const char *
row_format(const struct report_row *row)
{
    return row->peer_name || !strcmp(row->unit, "ratio") ? " %6.2f" : " %6.0f";
}

static void
print_row(FILE *out, struct report_row *row)
{
    struct side aspen = side_of(row->aspen, row->aspen_count);
    struct side peer = side_of(row->peer, row->peer_count);
    double value;

    fprintf(out, "%-40s %8llu %-6s", row->name, (unsigned long long)row->n,
            row->unit);
    print_side(out, aspen);
    print_side(out, peer);
    if (judged(row, aspen, peer, &value))
        fprintf(out, row_format(row), value);
    else
        fprintf(out, " %6s", "-");
    if (row->target > 0)
        fprintf(out, row_format(row), row->target);
    fputc('\n', out);
}

static void
print_what_peers_do(FILE *out, const struct report_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *does = rows[i].peer_does;
        size_t before = 0;
        while (before < i && rows[before].peer_does != does)
            before++;
        if (does && before == i)
            fprintf(out, "%s also does: %s\n", rows[i].peer_name, does);
    }
}

void
report_table(FILE *out, const char *title, struct report_row *rows,
             size_t count)
{
    fprintf(out, "%s\n%-40s %8s %-6s %9s %19s %9s %19s %6s %6s\n", title, "row",
            "n", "unit", "aspen", "low-high", "peer", "low-high", "ratio",
            "target");
    for (size_t i = 0; i < count; i++)
        print_row(out, &rows[i]);
    print_what_peers_do(out, rows, count);
}

static json_t *
number(bool known, double value)
{
    return known ? json_real(value) : json_null();
}

static json_t *
row_json(struct report_row *row)
{
    struct side aspen = side_of(row->aspen, row->aspen_count);
    struct side peer = side_of(row->peer, row->peer_count);

    return json_pack(
        "{s:s, s:I, s:s, s:o, s:o, s:s?, s:o, s:o, s:s?, s:[o,o], s:[o,o]}",
        "name", row->name, "n", (json_int_t)row->n, "unit", row->unit, "aspen",
        number(aspen.measured, aspen.median), "peer",
        number(peer.measured, peer.median), "peer_name", row->peer_name,
        "ratio",
        number(aspen.measured && peer.measured, aspen.median / peer.median),
        "target", number(row->target > 0, row->target), "peer_does",
        row->peer_does, "aspen_range", number(aspen.measured, aspen.low),
        number(aspen.measured, aspen.high), "peer_range",
        number(peer.measured, peer.low), number(peer.measured, peer.high));
}

bool
report_json(FILE *out, struct report_row *rows, size_t count)
{
    json_t *list = json_array();
    bool whole = list != NULL;

    for (size_t i = 0; whole && i < count; i++)
        whole = json_array_append_new(list, row_json(&rows[i])) == 0;
    json_t *all = json_pack("{s:s, s:s, s:o}", "schema", "aspen.bench/1",
                            "build", "release", "rows", list);
    whole = whole && all && json_dumpf(all, out, JSON_REAL_PRECISION(6)) == 0;
    json_decref(all);
    return whole && fputc('\n', out) != EOF && fflush(out) == 0;
}
