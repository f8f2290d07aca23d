/* SPDX-License-Identifier: MIT */
/*
 * inspect/finding.c - the first thing that does not hold, in words.
 *
 * Called by all parts of the validator. The first test to break is
 * tests/unit/inspect/test_validate.c.
 */
#include "inspect/validate.h"

const char *
aspen_check_name(enum aspen_check check)
{
    static const char *const names[] = {
#define ASPEN_CHECK_NAME(id, name) name,
        ASPEN_CHECKS(ASPEN_CHECK_NAME)
#undef ASPEN_CHECK_NAME
    };
    return (unsigned)check < ASPEN_CHECK_KINDS ? names[check] : NULL;
}

void
aspen_validate_note(struct aspen_validator *v, const char *check,
                    const char *format, const uint64_t *arguments)
{
    struct aspen_text text;

    if (v->failed)
        return;
    v->failed = true;
    v->finding->check = check;
    aspen_text_begin(&text, v->finding->text, ASPEN_FINDING_BYTES, NULL, NULL);
    aspen_text_format(&text, format, arguments);
    aspen_text_end(&text);
}

void
aspen_validate_fail(struct aspen_validator *v, enum aspen_check check,
                    const char *format, const uint64_t *arguments)
{
    aspen_validate_note(v, aspen_check_name(check), format, arguments);
}
