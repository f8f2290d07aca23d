/* SPDX-License-Identifier: MIT */
/*
 * inspect/pressure.c - text of /proc/pressure/memory, in Linux's format.
 *
 *     some avg10=0.00 avg60=0.00 avg300=0.00 total=0
 *     full avg10=0.00 avg60=0.00 avg300=0.00 total=0
 *
 * The first test to break is tests/unit/machine/test_pressure.c.
 */
#include "inspect/text.h"

#include <aspen/account/pressure.h>

/* Two digits behind the point. */
static void
put_average(struct aspen_text *text, const char *name, uint32_t hundredths)
{
    ASPEN_TEXT(text, " %s=%u.%u%u", ASPEN_TEXT_STRING(name), hundredths / 100,
               hundredths / 10 % 10, hundredths % 10);
}

static void
put_line(struct aspen_text *text, const char *name,
         const struct aspen_stalls *stalls)
{
    aspen_text_string(text, name);
    put_average(text, "avg10", stalls->avg10);
    put_average(text, "avg60", stalls->avg60);
    put_average(text, "avg300", stalls->avg300);
    ASPEN_TEXT(text, " total=%u\n", stalls->total);
}

void
aspen_inspect_pressure(struct aspen *aspen, aspen_text_sink *sink,
                       void *context)
{
    struct aspen_pressure pressure;
    struct aspen_text text;
    char buffer[256];

    aspen_pressure_read(aspen, &pressure);
    aspen_text_begin(&text, buffer, sizeof(buffer), sink, context);
    put_line(&text, "some", &pressure.some);
    put_line(&text, "full", &pressure.full);
    aspen_text_end(&text);
}
